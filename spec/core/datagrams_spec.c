/* Packets out in batches, to real sockets: what is bundled arrives as packets of its own. */
#include "net/datagrams.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <netinet/udp.h>

#include <cmocka.h>

enum { READERS = 3, WAIT_MS = 5000, ROOM = 65536 };

struct world {
    struct datagrams_out *out;
    int sender, readers[READERS];
    struct address places[READERS];
    unsigned failures;
    int error;
    void *owner;
    uint8_t room[ROOM];
};

static void failed(void *context, void *owner, int error)
{
    struct world *world = context;
    world->failures++;
    world->error = error;
    world->owner = owner;
}

static int bound_socket(int family, struct address *place)
{
    struct address any = {.family = (sa_family_t)family};
    struct sockaddr_storage name;
    socklen_t length;
    int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    address_to_reach(&any);
    length = address_to_sockaddr(&any, (struct sockaddr *)&name);
    assert_int_equal(bind(fd, (struct sockaddr *)&name, length), 0);
    length = sizeof name;
    assert_int_equal(getsockname(fd, (struct sockaddr *)&name, &length), 0);
    *place = address_from_sockaddr((struct sockaddr *)&name);
    return fd;
}

static void open_world(struct world *world, int family)
{
    struct address own;
    *world = (struct world){.out = NULL};
    world->out = datagrams_out_new(failed, world);
    assert_non_null(world->out);
    world->sender = bound_socket(family, &own);
    for (int i = 0; i < READERS; i++)
        world->readers[i] = bound_socket(family, &world->places[i]);
}

static void close_world(struct world *world)
{
    datagrams_out_free(world->out);
    close(world->sender);
    for (int i = 0; i < READERS; i++)
        close(world->readers[i]);
}

/* The length of the next read from this reader. */
static size_t read_next(struct world *world, int reader)
{
    struct pollfd ready = {.fd = world->readers[reader], .events = POLLIN};
    assert_int_equal(poll(&ready, 1, WAIT_MS), 1);
    ssize_t got = recv(world->readers[reader], world->room, ROOM, 0);
    assert_true(got >= 0);
    return (size_t)got;
}

static bool has_more(const struct world *world, int reader)
{
    struct pollfd ready = {.fd = world->readers[reader], .events = POLLIN};
    return poll(&ready, 1, 0) > 0;
}

/* Adds packet number `number`, all of whose bytes are that. */
static void add(struct world *world, int reader, const struct address *from, uint8_t number, size_t length)
{
    uint8_t bytes[2048];
    const struct datagram_way way = {.fd = world->sender, .owner = world, .to = &world->places[reader], .from = from};
    assert_true(length <= sizeof bytes);
    memset(bytes, number, length);
    datagrams_add(world->out, &way, bytes, length);
}

static size_t length_of(unsigned number)
{
    static const size_t lengths[] = {40, 41, 1232, 1233, 512};
    return lengths[number / 2 % 5];
}

/* Each of many packets, of several lengths, comes to its reader by itself and whole. */
static void check_all_arrive(int family)
{
    static struct world world;
    enum { PACKETS = 200 };
    bool seen[PACKETS] = {false};
    open_world(&world, family);
    for (unsigned i = 0; i < PACKETS; i++)
        add(&world, (int)(i % READERS), NULL, (uint8_t)i, length_of(i));
    datagrams_flush(world.out);
    assert_true(datagrams_out_is_empty(world.out));
    for (unsigned i = 0; i < PACKETS; i++) {
        size_t length = read_next(&world, (int)(i % READERS));
        unsigned number = world.room[0];
        assert_true(number < PACKETS && !seen[number] && number % READERS == i % READERS);
        assert_int_equal(length, length_of(number));
        for (size_t at = 0; at < length; at++)
            assert_int_equal(world.room[at], number);
        seen[number] = true;
    }
    for (int i = 0; i < READERS; i++)
        assert_false(has_more(&world, i));
    assert_int_equal(world.failures, 0);
    close_world(&world);
}

static void all_arrive_over_ipv4(void **state)
{
    (void)state;
    check_all_arrive(AF_INET);
}

static void all_arrive_over_ipv6(void **state)
{
    (void)state;
    check_all_arrive(AF_INET6);
}

/* A reader who asks for it gets a bundle as it was sent. False where the kernel knows no bundles. */
static bool takes_bundles(int fd)
{
    int on = 1;
    return !setsockopt(fd, SOL_UDP, UDP_GRO, &on, sizeof on);
}

static void bundles_what_goes_one_way(void **state)
{
    (void)state;
    static struct world world;
    open_world(&world, AF_INET);
    if (!takes_bundles(world.readers[0])) {
        close_world(&world);
        skip();
    }
    for (uint8_t i = 0; i < 8; i++)
        add(&world, i % 2, NULL, i, 100);
    add(&world, 0, NULL, 8, 101);
    datagrams_flush(world.out);
    assert_int_equal(read_next(&world, 0), 400);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(world.room[i * 100], i * 2);
    assert_int_equal(read_next(&world, 0), 101);
    assert_int_equal(read_next(&world, 1), 100);
    close_world(&world);
}

static void sends_few_one_by_one(void **state)
{
    (void)state;
    static struct world world;
    open_world(&world, AF_INET);
    (void)takes_bundles(world.readers[0]);
    for (uint8_t i = 0; i < 3; i++)
        add(&world, 0, NULL, i, 100);
    datagrams_flush(world.out);
    for (uint8_t i = 0; i < 3; i++)
        assert_int_equal(read_next(&world, 0), 100);
    close_world(&world);
}

/* Bundles keep the address that they are to come from. */
static void sends_from_the_address_asked(void **state)
{
    (void)state;
    static struct world world;
    struct sockaddr_storage name;
    socklen_t length = sizeof name;
    struct address other = {.family = AF_INET, .bytes = {127, 0, 0, 2}}, from;
    open_world(&world, AF_INET);
    close(world.sender);
    world.sender = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    for (uint8_t i = 0; i < 16; i++)
        add(&world, 0, i < 8 ? &other : &world.places[0], i, 100);
    datagrams_flush(world.out);
    for (int i = 0; i < 16; i++) {
        assert_int_equal(recvfrom(world.readers[0], world.room, ROOM, 0, (struct sockaddr *)&name, &length), 100);
        from = address_from_sockaddr((struct sockaddr *)&name);
        assert_int_equal(from.bytes[3], world.room[0] < 8 ? 2 : 1);
    }
    assert_int_equal(world.failures, 0);
    close_world(&world);
}

/* Nobody is told of a packet that could not go but its owner, once for each. */
static void tells_what_could_not_be_sent(void **state)
{
    (void)state;
    static struct world world;
    open_world(&world, AF_INET);
    world.places[0] = (struct address){.family = AF_INET, .port = 9, .bytes = {255, 255, 255, 255}};
    for (uint8_t i = 0; i < 12; i++)
        add(&world, i % 2, NULL, i, 100); /* a broadcast, which the socket may not send */
    datagrams_flush(world.out);
    assert_int_equal(world.failures, 6);
    assert_ptr_equal(world.owner, &world);
    assert_true(world.error != 0);
    for (int i = 0; i < 6; i++)
        assert_int_equal(read_next(&world, 1), 100);
    close_world(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_arrive_over_ipv4),         cmocka_unit_test(all_arrive_over_ipv6),
        cmocka_unit_test(bundles_what_goes_one_way),    cmocka_unit_test(sends_few_one_by_one),
        cmocka_unit_test(sends_from_the_address_asked), cmocka_unit_test(tells_what_could_not_be_sent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
