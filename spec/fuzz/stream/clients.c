/* Stream clients that send in pieces, half close, leave and do not read; UDP clients; what becomes of their queries. */
#include "net/framing.h"
#include "stream/world.h"

#include <arpa/inet.h>
#include <poll.h>
#include <unistd.h>

enum { QUERIES_MAX = 64 /* of one client */ };

void client_leaves(struct stream_client *client)
{
    socket_drop(&client->fd);
    buffer_free(&client->sent);
    buffer_free(&client->got);
    *client = (struct stream_client){.fd = -1};
}

static struct stream_client *some_client(struct world *world)
{
    struct stream_client *client = &world->clients[cursor_u8(&world->input) % CLIENTS];
    if (client->fd >= 0)
        return client;
    const struct sockaddr_in from = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK + (uint32_t)(client - world->clients) / 3)};
    const int small = 4096;
    client->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    (void)setsockopt(client->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    MUST(client->fd >= 0 && !bind(client->fd, (const struct sockaddr *)&from, sizeof from));
    MUST(!connect(client->fd, (const struct sockaddr *)&the_sockets()->proxy, sizeof(struct sockaddr_in)));
    return client;
}

static void append_query(struct buffer *out, struct world *world, bool framed)
{
    static const char *const names[] = {"\7eXample\3Com", "\1a", "", "\3www\7example\3com"};
    static const uint16_t types[] = {DNS_TYPE_A, DNS_TYPE_TXT, DNS_TYPE_AXFR, DNS_TYPE_IXFR};
    const uint8_t kind = cursor_u8(&world->input);
    const char *name = names[kind & 3];
    const struct dns_header header = {.id = cursor_u16(&world->input), .flags = DNS_FLAG_RD, .counts = {1}};
    struct buffer wire = {0};
    buffer_reserve(&wire, DNS_HEADER_SIZE);
    dns_header_write(wire.data, &header);
    wire.length = DNS_HEADER_SIZE;
    buffer_append(&wire, name, strlen(name) + 1);
    buffer_u16(&wire, types[kind >> 2 & 3]);
    buffer_u16(&wire, DNS_CLASS_IN);
    if (kind & 16)
        MUST(!dns_message_add_opt(&wire, 1232, 0, false));
    if (framed)
        framing_append(out, wire.data, wire.length);
    else
        buffer_append(out, wire.data, wire.length);
    buffer_free(&wire);
}

static void client_sends(struct stream_client *client, const uint8_t *data, size_t length)
{
    if (client->fd < 0 || length == 0)
        return;
    const ssize_t sent = send(client->fd, data, length, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent > 0)
        buffer_append(&client->sent, data, (size_t)sent);
}

/* Several at once, the last one perhaps not whole: what is missing may be the next bytes, or never come. */
void happen_stream_queries(struct world *world)
{
    struct stream_client *client = some_client(world);
    const uint8_t how = cursor_u8(&world->input);
    struct buffer bytes = {0};
    for (unsigned left = 1 + how % 8; left > 0; left--)
        append_query(&bytes, world, true);
    const size_t first = how & 64 ? cursor_u8(&world->input) % bytes.length : bytes.length;
    client_sends(client, bytes.data, first);
    if (how & 64)
        world_run(world);
    if (!(how & 128))
        client_sends(client, bytes.data + first, bytes.length - first);
    buffer_free(&bytes);
}

void happen_stream_bytes(struct world *world)
{
    struct stream_client *client = some_client(world);
    const struct span bytes = input_take(&world->input, cursor_u8(&world->input));
    client_sends(client, bytes.data, bytes.length);
}

void happen_client_ends(struct world *world)
{
    const uint8_t how = cursor_u8(&world->input);
    struct stream_client *client = &world->clients[how % CLIENTS];
    if (how & 128)
        client->held_up = !client->held_up;
    else if (how & 64 && client->fd >= 0)
        (void)shutdown(client->fd, SHUT_WR);
    else
        client_leaves(client);
}

void happen_datagram(struct world *world)
{
    struct buffer wire = {0};
    append_query(&wire, world, false);
    const uint8_t cut = cursor_u8(&world->input);
    const size_t length = cut >= 240 && wire.length > cut - 240u ? wire.length - (cut - 240u) : wire.length;
    (void)!sendto(world->datagram_client, wire.data, length, MSG_DONTWAIT,
                  (const struct sockaddr *)&the_sockets()->proxy, sizeof(struct sockaddr_in));
    buffer_free(&wire);
}

void clients_read(struct world *world)
{
    for (size_t i = 0; i < CLIENTS; i++)
        if (!world->clients[i].held_up || world->settling)
            socket_read(world->clients[i].fd, &world->clients[i].got);
}

/* --- what became of their queries --- */

static bool is_good(const uint8_t *wire, size_t length, struct dns_message *message)
{
    return !dns_message_parse(wire, length, message, NULL) && !(message->header.flags & DNS_FLAG_QR);
}

struct tally {
    uint16_t ids[QUERIES_MAX];
    bool transfers[QUERIES_MAX];
    unsigned answers[QUERIES_MAX];
    size_t count, whole; /* good queries; all frames */
    bool ended;          /* by an empty frame */
};

static void tally_sent(const struct stream_client *client, struct tally *tally)
{
    const struct buffer *sent = &client->sent;
    size_t length;
    for (size_t at = 0; sent->length - at >= 2 && !tally->ended; at += 2 + length) {
        struct dns_message query;
        length = load_u16(sent->data + at);
        tally->ended = length == 0;
        if (length == 0 || sent->length - at - 2 < length)
            break;
        tally->whole++;
        if (tally->count == QUERIES_MAX || !is_good(sent->data + at + 2, length, &query))
            continue;
        const uint16_t type = query.header.counts[0] ? query.question.type : 0;
        tally->ids[tally->count] = query.header.id;
        tally->transfers[tally->count++] = type == DNS_TYPE_IXFR || type == DNS_TYPE_AXFR;
    }
}

/* Counts the answers to each good query; those of one id share them. Answers to others (FORMERR) are passed over.
 * Whether the last one is whole. */
static bool tally_got(const struct stream_client *client, struct tally *tally)
{
    const struct buffer *got = &client->got;
    size_t at = 0, length;
    for (; got->length - at >= 2 && got->length - at - 2 >= (length = load_u16(got->data + at)); at += 2 + length) {
        struct dns_message answer;
        MUST(!dns_message_parse(got->data + at + 2, length, &answer, NULL));
        MUST(answer.header.flags & DNS_FLAG_QR);
        size_t best = tally->count;
        for (size_t i = 0; i < tally->count; i++)
            if (tally->ids[i] == answer.header.id && (best == tally->count || tally->answers[i] < tally->answers[best]))
                best = i;
        if (best < tally->count)
            tally->answers[best]++;
        else
            MUST(tally->whole > tally->count);
    }
    return at == got->length;
}

static bool is_open(const struct stream_client *client)
{
    struct pollfd look = {.fd = client->fd, .events = POLLIN | POLLRDHUP};
    return client->fd >= 0 && poll(&look, 1, 0) == 0;
}

/* Whether the query's id is that of a zone transfer too, whose messages may be many. */
static bool is_shared(const struct tally *tally, size_t query)
{
    for (size_t i = 0; i < tally->count; i++)
        if (tally->transfers[i] && tally->ids[i] == tally->ids[query])
            return true;
    return false;
}

bool clients_are_settled(struct world *world, bool must_be)
{
    bool settled = exchange_flows(world->exchange) == 0;
    for (size_t i = 0; i < CLIENTS; i++) {
        struct stream_client *client = &world->clients[i];
        struct tally tally = {.count = 0};
        const bool open = is_open(client) && !client->disturbed;
        if (client->fd < 0)
            continue;
        tally_sent(client, &tally);
        const bool whole = tally_got(client, &tally);
        settled = settled && (whole || !open);
        for (size_t k = 0; k < tally.count && open && !tally.ended; k++) {
            settled = settled && tally.answers[k] > 0;
            MUST(!must_be || is_shared(&tally, k) || tally.answers[k] == 1 || tally.whole > tally.count);
        }
    }
    return settled;
}
