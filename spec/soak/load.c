/* The soak's clients: so many queries a second, over UDP and TCP, among them malformed packets and clients that vanish.
 * Every answer is checked.
 *
 *   load PORT RATE LATE-MS    of 127.0.0.1; LATE-MS is when an answer is late
 *
 * Prints a line of figures each second, NAME=NUMBER, and faults on standard error. INT makes it stop asking; it ends
 * once all is answered or given up, with the line "done". */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/sock_diag.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "streams.h"

enum {
    UDP_CLIENTS = 16,
    UDP_WINDOW = 65536,
    PACKET_MAX = 4096,
    SOCKET_BUFFER = 8 * 1024 * 1024,
    TICK_MS = 1,
    EXPIRE_NS = 50000000,
    SECOND_NS = 1000000000,
    CATCH_UP_NS = 20000000, /* what could not be sent for longer is never sent: no floods */
    STREAM_RATE = 16,       /* queries a second on each steady TCP connection */
    VISIT_SHARE = 250,      /* of so many queries, one is a visit over TCP */
};

/* Its last two clients send what must not be answered, and garbage. */
enum { CLIENT_UNANSWERABLE = UDP_CLIENTS, CLIENT_GARBAGE, CLIENTS };
enum { SOURCE_STREAMS = CLIENTS, SOURCE_SIGNAL };

struct client {
    int fd;
    struct window window;
};

struct load {
    struct sockaddr_in server;
    uint64_t random, rate;
    struct tally tally;
    struct client clients[CLIENTS];
    struct streams *streams;
    unsigned turn;
    bool stopping;
    int epoll;
};

static void stop(const char *what)
{
    perror(what);
    exit(2);
}

static void watch(struct load *load, int fd, uint32_t source)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = source};
    if (epoll_ctl(load->epoll, EPOLL_CTL_ADD, fd, &event))
        stop("epoll_ctl");
}

/* A socket of a loopback address of its own, connected to the proxy. */
static int open_udp(const struct load *load, uint32_t client)
{
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK + client)};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), size = SOCKET_BUFFER;
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size))
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    if (bind(fd, (const struct sockaddr *)&name, sizeof name) ||
        connect(fd, (const struct sockaddr *)&load->server, sizeof load->server))
        stop("socket");
    return fd;
}

static void open_clients(struct load *load)
{
    unsigned steady = (unsigned)(load->rate / 10 / STREAM_RATE) + 1;
    load->epoll = epoll_create1(EPOLL_CLOEXEC);
    for (uint32_t i = 0; i < CLIENTS; i++) {
        load->clients[i].fd = open_udp(load, i);
        window_open(&load->clients[i].window, UDP_WINDOW, false);
        watch(load, load->clients[i].fd, i);
    }
    load->streams = streams_open(&load->server, steady, &load->random, &load->tally);
    watch(load, streams_fd(load->streams), SOURCE_STREAMS);
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    watch(load, signalfd(-1, &signals, SFD_CLOEXEC), SOURCE_SIGNAL);
}

/* --- asking --- */

/* A full buffer of the kernel's is the proxy's loss of time only if it stays full; the packet counts as sent. */
static void send_packet(int fd, const uint8_t *packet, size_t length)
{
    while (send(fd, packet, length, 0) < 0 && errno == EINTR)
        continue;
}

static void ask_udp(struct load *load, struct question question)
{
    struct client *client = &load->clients[load->turn++ % UDP_CLIENTS];
    uint8_t packet[MALFORMED_MAX];
    size_t length = window_ask(&client->window, &load->tally, question, packet);
    if (length)
        send_packet(client->fd, packet, length);
}

static void send_malformed(struct load *load)
{
    uint8_t packet[MALFORMED_MAX];
    switch (random_below(&load->random, 4)) {
    case 0:
        send_packet(load->clients[CLIENT_UNANSWERABLE].fd, packet, unanswerable_write(&load->random, packet));
        break;
    case 1:
        send_packet(load->clients[CLIENT_GARBAGE].fd, packet, garbage_write(&load->random, packet));
        break;
    default:
        ask_udp(load, malformed_draw(&load->random));
        return;
    }
    load->tally.malformed++;
}

/* A client that closes its socket before the answers come. */
static void vanish_udp(struct load *load)
{
    int fd = open_udp(load, random_below(&load->random, 32));
    for (int i = 0; i < 5; i++) {
        uint8_t packet[MALFORMED_MAX];
        send_packet(fd, packet, question_write(question_draw(&load->random), 0, packet));
        load->tally.vanished++;
    }
    close(fd);
}

static void ask(struct load *load)
{
    if (random_below(&load->random, VISIT_SHARE) == 0)
        streams_visit(load->streams);
    if (random_below(&load->random, 10 * VISIT_SHARE) == 0)
        vanish_udp(load);
    uint32_t draw = random_below(&load->random, 100);
    if (draw == 0)
        send_malformed(load);
    else if (draw <= 10)
        streams_ask(load->streams);
    else
        ask_udp(load, question_draw(&load->random));
}

/* --- answers --- */

static void read_answers(struct load *load, uint32_t which)
{
    struct client *client = &load->clients[which];
    uint8_t packet[PACKET_MAX];
    for (;;) {
        ssize_t got = recv(client->fd, packet, sizeof packet, 0);
        if (got < 0 && errno == EAGAIN)
            return;
        if (got >= 0 && which != CLIENT_GARBAGE)
            window_settle(&client->window, &load->tally, packet, (size_t)got);
    }
}

static void turn(struct load *load)
{
    struct epoll_event events[CLIENTS + 2];
    int ready = epoll_wait(load->epoll, events, CLIENTS + 2, TICK_MS);
    for (int i = 0; i < ready; i++) {
        if (events[i].data.u32 == SOURCE_STREAMS)
            streams_turn(load->streams);
        else if (events[i].data.u32 == SOURCE_SIGNAL)
            load->stopping = true;
        else
            read_answers(load, events[i].data.u32);
    }
}

static void expire(struct load *load)
{
    for (uint32_t i = 0; i < CLIENTS; i++)
        window_expire(&load->clients[i].window, &load->tally);
    streams_expire(load->streams);
}

static uint64_t waiting(const struct load *load)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < CLIENTS; i++)
        sum += load->clients[i].window.waiting;
    return sum;
}

/* Answers that the kernel threw away because they were not read in time. */
static uint64_t kernel_drops(const struct load *load)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < CLIENTS; i++) {
        uint32_t info[SK_MEMINFO_VARS] = {0};
        socklen_t size = sizeof info;
        if (!getsockopt(load->clients[i].fd, SOL_SOCKET, SO_MEMINFO, info, &size))
            sum += info[SK_MEMINFO_DROPS];
    }
    return sum;
}

static void print_figures(const struct load *load)
{
    const struct tally *tally = &load->tally;
    const struct {
        const char *name;
        uint64_t value;
    } figures[] = {
        {"asked", tally->asked},
        {"right", tally->verdicts[VERDICT_RIGHT]},
        {"servfail", tally->verdicts[VERDICT_SERVFAIL]},
        {"wrong", tally->verdicts[VERDICT_WRONG]},
        {"crossed", tally->verdicts[VERDICT_CROSSED]},
        {"late", tally->late},
        {"lost", tally->lost},
        {"stray", tally->stray},
        {"stuck", tally->stuck},
        {"worst_ms", tally->worst / 1000000},
        {"malformed", tally->malformed},
        {"vanished", tally->vanished},
        {"waiting", waiting(load)},
        {"kernel_drops", kernel_drops(load)},
        {"version", tally->version},
    };
    for (size_t i = 0; i < sizeof figures / sizeof *figures; i++)
        printf("%s=%llu ", figures[i].name, (unsigned long long)figures[i].value);
    putchar('\n');
    fflush(stdout);
}

static void run(struct load *load)
{
    uint64_t start = now_ns(), told = start, expired = start, until = start;
    const uint64_t step = SECOND_NS / load->rate;
    bool drained = false;
    while (!load->stopping || waiting(load) > 0 || !streams_gone(load->streams)) {
        turn(load);
        uint64_t now = now_ns();
        if (until + CATCH_UP_NS < now)
            until = now - CATCH_UP_NS;
        for (; !load->stopping && until < now; until += step)
            ask(load);
        if (now - expired >= EXPIRE_NS) {
            expire(load);
            expired = now;
        }
        if (now - told >= SECOND_NS) {
            print_figures(load);
            told = now;
        }
        if (load->stopping && !drained) {
            streams_drain(load->streams);
            drained = true;
        }
    }
}

int main(int count, char **arguments)
{
    static struct load load;
    if (count != 4) {
        fprintf(stderr, "load PORT RATE LATE-MS\n");
        return 2;
    }
    uint64_t late_ms = strtoull(arguments[3], NULL, 10);
    load.server = (struct sockaddr_in){.sin_family = AF_INET,
                                       .sin_port = htons((uint16_t)strtoul(arguments[1], NULL, 10)),
                                       .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    load.rate = strtoull(arguments[2], NULL, 10);
    load.random = now_ns() | 1;
    load.tally.late_after = late_ms * 1000000;
    load.tally.lost_after = 2 * load.tally.late_after;
    if (!load.rate || !late_ms) {
        fprintf(stderr, "load: RATE and LATE-MS are numbers above 0\n");
        return 2;
    }
    open_clients(&load);
    run(&load);
    print_figures(&load);
    printf("done\n");
    streams_free(load.streams);
    for (uint32_t i = 0; i < CLIENTS; i++) {
        close(load.clients[i].fd);
        window_close(&load.clients[i].window);
    }
    return 0;
}
