/* The network side with real sockets on the loopback and a clock of our own: stream clients that send in pieces, half
 * close, leave and do not read; UDP clients; an upstream that answers over UDP and TCP, well, badly or not at all;
 * hooks that wait and disturb. The input is a program, as in exchange_fuzz.c.
 *
 * Must hold: what comes back on a connection are whole messages, each to a query that was sent there; a good query on a
 * connection that stays open is answered, and but for zone transfers once; in the end nothing is in flight.
 */
#include "flow/faults.h"
#include "messages.h"
#include "net/framing.h"
#include "net/tcp_connection.h"
#include "net/transport.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    CLIENTS = 4,
    CHANNELS = 8, /* connections of the proxy's to the upstream */
    SENT_MAX = 32,
    PARKED_MAX = 8,
    QUERIES_MAX = 64, /* of one client */
    TIMEOUT_US = 100000,
    DRIP = 4000,      /* bytes a second: what pipelined queries can have waiting is gone within SETTLE_TRIES drops */
    DROP_US = 100000, /* from one drop to the next */
    SETTLE_TRIES = 4000,
};

/* Stands in for base/clock.c: time passes when the input says so. */
static int64_t now_us;

int64_t clock_monotonic_us(void)
{
    return now_us;
}

int64_t clock_wall_us(void)
{
    return now_us;
}

struct stream_client {
    int fd; /* -1: none */
    struct buffer sent, got;
    bool disturbed; /* a hook has had its answers reset or slowed down */
    bool held_up;   /* does not read */
};

struct upstream_query {
    struct buffer wire;
    int channel; /* -1: UDP, from `from` */
    struct sockaddr_in from;
};

struct world {
    struct cursor input;
    struct event_base *base;
    struct net *net;
    struct exchange *exchange;
    struct hooks hooks;
    struct stream_client clients[CLIENTS];
    int datagram_client;
    int channels[CHANNELS];
    struct buffer channel_bytes[CHANNELS];
    struct upstream_query sent[SENT_MAX];
    size_t sent_count;
    struct flow *parked[PARKED_MAX];
    bool settling; /* hooks wait no more */
    bool stops;    /* at the end, as the proxy does when it is told to */
    unsigned idle; /* how often it was told that this is done */
};

/* These stay: the proxy's listeners and the upstream's sockets. */
struct sockets {
    int listeners[2], upstream_stream, upstream_datagram;
    struct sockaddr_in proxy, upstream;
};

static int open_socket(int type, struct sockaddr_in *at)
{
    socklen_t length = sizeof *at;
    const int fd = socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    at->sin_family = AF_INET;
    at->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    MUST(fd >= 0 && !bind(fd, (struct sockaddr *)at, sizeof *at) && !getsockname(fd, (struct sockaddr *)at, &length));
    MUST(type != SOCK_STREAM || !listen(fd, 64));
    return fd;
}

static const struct sockets *the_sockets(void)
{
    static struct sockets sockets;
    if (sockets.proxy.sin_port == 0) {
        sockets.listeners[0] = open_socket(SOCK_DGRAM, &sockets.proxy);
        sockets.listeners[1] = open_socket(SOCK_STREAM, &sockets.proxy);
        /* Connections have it from the listener: what a client does not read soon waits in the proxy. */
        const int small = 4608;
        (void)setsockopt(sockets.listeners[1], SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
        sockets.upstream_datagram = open_socket(SOCK_DGRAM, &sockets.upstream);
        sockets.upstream_stream = open_socket(SOCK_STREAM, &sockets.upstream);
    }
    return &sockets;
}

/* Closes at once: no port stays behind. */
static void drop(int *fd)
{
    const struct linger at_once = {.l_onoff = 1};
    if (*fd < 0)
        return;
    (void)setsockopt(*fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close(*fd);
    *fd = -1;
}

static struct span take(struct world *world, size_t length)
{
    const size_t left = cursor_left(&world->input);
    length = length < left ? length : left;
    return (struct span){cursor_take(&world->input, length), length};
}

static void run_loop(struct world *world)
{
    MUST(event_base_loop(world->base, EVLOOP_NONBLOCK) >= 0);
}

/* --- clients --- */

static void write_bytes(int fd, const uint8_t *data, size_t length)
{
    if (fd >= 0 && length > 0)
        (void)!send(fd, data, length, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void read_bytes(int fd, struct buffer *into)
{
    uint8_t bytes[4096];
    ssize_t got;
    while (fd >= 0 && (got = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT)) > 0)
        buffer_append(into, bytes, (size_t)got);
}

static void client_leaves(struct stream_client *client)
{
    drop(&client->fd);
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
static void happen_stream_queries(struct world *world)
{
    struct stream_client *client = some_client(world);
    const uint8_t how = cursor_u8(&world->input);
    struct buffer bytes = {0};
    for (unsigned left = 1 + how % 8; left > 0; left--)
        append_query(&bytes, world, true);
    const size_t first = how & 64 ? cursor_u8(&world->input) % bytes.length : bytes.length;
    client_sends(client, bytes.data, first);
    if (how & 64)
        run_loop(world);
    if (!(how & 128))
        client_sends(client, bytes.data + first, bytes.length - first);
    buffer_free(&bytes);
}

static void happen_stream_bytes(struct world *world)
{
    struct stream_client *client = some_client(world);
    const struct span bytes = take(world, cursor_u8(&world->input));
    client_sends(client, bytes.data, bytes.length);
}

static void happen_client_ends(struct world *world)
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

static void happen_datagram(struct world *world)
{
    struct buffer wire = {0};
    append_query(&wire, world, false);
    const uint8_t cut = cursor_u8(&world->input);
    const size_t length = cut >= 240 && wire.length > cut - 240u ? wire.length - (cut - 240u) : wire.length;
    (void)!sendto(world->datagram_client, wire.data, length, MSG_DONTWAIT,
                  (const struct sockaddr *)&the_sockets()->proxy, sizeof(struct sockaddr_in));
    buffer_free(&wire);
}

/* --- the upstream --- */

static void remember(struct world *world, int channel, const struct sockaddr_in *from, const uint8_t *wire,
                     size_t length)
{
    struct dns_message query;
    struct upstream_query *sent = &world->sent[world->sent_count++ % SENT_MAX];
    MUST(!dns_message_parse(wire, length, &query, NULL));
    buffer_clear(&sent->wire);
    buffer_append(&sent->wire, wire, length);
    sent->channel = channel;
    if (from)
        sent->from = *from;
}

static void upstream_reads(struct world *world)
{
    const struct sockets *sockets = the_sockets();
    uint8_t wire[DNS_MESSAGE_MAX];
    struct sockaddr_in from;
    socklen_t from_length = sizeof from;
    ssize_t got;
    while ((got = recvfrom(sockets->upstream_datagram, wire, sizeof wire, MSG_DONTWAIT, (struct sockaddr *)&from,
                           &from_length)) > 0)
        remember(world, -1, &from, wire, (size_t)got);
    for (int i = 0; i < CHANNELS; i++) {
        struct buffer *bytes = &world->channel_bytes[i];
        if (world->channels[i] < 0)
            world->channels[i] = accept4(sockets->upstream_stream, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        read_bytes(world->channels[i], bytes);
        size_t at = 0;
        for (size_t length; bytes->length - at >= 2 && bytes->length - at - 2 >= (length = load_u16(bytes->data + at));
             at += 2 + length)
            remember(world, i, NULL, bytes->data + at + 2, length);
        if (at > 0) {
            memmove(bytes->data, bytes->data + at, bytes->length - at);
            bytes->length -= at;
        }
    }
}

static void close_channel(struct world *world, int i)
{
    drop(&world->channels[i]);
    buffer_clear(&world->channel_bytes[i]);
}

static void upstream_sends(struct world *world, const struct upstream_query *to, const struct buffer *wire)
{
    struct buffer framed = {0};
    if (to->channel < 0) {
        (void)!sendto(the_sockets()->upstream_datagram, wire->data, wire->length, MSG_DONTWAIT,
                      (const struct sockaddr *)&to->from, sizeof to->from);
        return;
    }
    framing_append(&framed, wire->data, wire->length);
    write_bytes(world->channels[to->channel], framed.data, framed.length);
    buffer_free(&framed);
}

static void append_records(struct buffer *wire, const char *record, size_t length, unsigned count)
{
    for (unsigned i = 0; i < count && wire->length < DNS_MESSAGE_MAX - 64; i++) {
        buffer_append(wire, record, length);
        store_u16(wire->data + 6, (uint16_t)(load_u16(wire->data + 6) + 1));
    }
}

/* The question, then addresses or, as zone transfers begin and end, SOA records; disturbed if it is to be. */
static void happen_answer(struct world *world)
{
    static const char address[] = "\xc0\x0c\0\1\0\1\0\0\0\1\0\4\1\2\3\4";
    static const char soa[] = "\xc0\x0c\0\6\0\1\0\0\0\1\0\x16\0\0\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\1";
    upstream_reads(world);
    const size_t known = world->sent_count < SENT_MAX ? world->sent_count : SENT_MAX;
    if (known == 0)
        return;
    const struct upstream_query *to = &world->sent[cursor_u8(&world->input) % known];
    const uint8_t kind = cursor_u8(&world->input);
    struct dns_message asked;
    struct buffer wire = {0};
    MUST(!dns_message_parse(to->wire.data, to->wire.length, &asked, NULL));
    buffer_append(&wire, to->wire.data, asked.section[DNS_SECTION_ANSWER]);
    wire.data[2] |= (uint8_t)(0x80 | (kind & 2));
    memset(wire.data + 6, 0, 6);
    append_records(&wire, soa, sizeof soa - 1, kind >> 2 & 1);
    append_records(&wire, address, sizeof address - 1, kind & 1 ? cursor_u8(&world->input) * 16u : kind >> 4 & 3);
    append_records(&wire, soa, sizeof soa - 1, kind >> 3 & 1);
    if (kind & 64)
        wire.data[cursor_u8(&world->input) % wire.length] ^= cursor_u8(&world->input);
    upstream_sends(world, to, &wire);
    if (kind & 128)
        upstream_sends(world, to, &wire);
    buffer_free(&wire);
}

static void happen_upstream_bytes(struct world *world)
{
    upstream_reads(world);
    const uint8_t how = cursor_u8(&world->input);
    const struct span bytes = take(world, how >> 3);
    if (how >= 240)
        close_channel(world, how % CHANNELS);
    else
        write_bytes(world->channels[how % CHANNELS], bytes.data, bytes.length);
}

/* --- scripts --- */

static enum hook_result run(struct hooks *hooks, enum hook hook, struct flow *flow)
{
    struct world *world = hooks->context;
    const uint8_t what = cursor_u8(&world->input);
    if (what >= 250 && hook == HOOK_RESPONSE && transport_is_stream(flow->reply_to.transport)) {
        struct flow_faults *faults = flow_faults_of(flow);
        MUST(faults);
        faults->reset = what & 1;
        faults->drip = what & 1 ? 0 : DRIP;
        faults->copies = what >> 1 & 1;
        for (size_t i = 0; i < CLIENTS; i++)
            world->clients[i].disturbed = true;
    }
    for (size_t i = 0; what >= 200 && what < 240 && !world->settling && i < PARKED_MAX; i++)
        if (!world->parked[i]) {
            world->parked[i] = flow;
            return HOOK_SUSPENDED;
        }
    return HOOK_DONE;
}

static void finished(void *context, const struct flow *flow)
{
    struct world *world = context;
    for (size_t i = 0; i < PARKED_MAX; i++)
        if (world->parked[i] == flow)
            world->parked[i] = NULL;
}

static void resume(struct world *world, size_t i)
{
    struct flow *flow = world->parked[i];
    world->parked[i] = NULL;
    net_turn(world->net);
    if (flow)
        exchange_resume(world->exchange, flow);
}

static void happen_resume(struct world *world)
{
    resume(world, cursor_u8(&world->input) % PARKED_MAX);
}

/* --- time --- */

static void let_drip(const struct tcp_server *server)
{
    for (struct tcp_connection *at = server->clients.oldest; at; at = at->newer)
        if (event_pending(&at->dripping, EV_TIMEOUT, NULL))
            event_active(&at->dripping, EV_TIMEOUT, 0);
}

static void pass_time(struct world *world, int64_t us)
{
    now_us += us;
    if (us >= DROP_US)
        let_drip(world->net->tcp_server);
    if (event_pending(&world->net->deadline_event, EV_TIMEOUT, NULL))
        event_active(&world->net->deadline_event, EV_TIMEOUT, 0);
    if (world->net->ticking && us >= 1000000)
        event_active(&world->net->tick_event, EV_TIMEOUT, 0);
    run_loop(world);
}

static void happen_time(struct world *world)
{
    const uint8_t how_long = cursor_u8(&world->input);
    pass_time(world, how_long < 200 ? how_long * 1000 : (how_long - 199) * 500000);
}

static void clients_read(struct world *world)
{
    for (size_t i = 0; i < CLIENTS; i++)
        if (!world->clients[i].held_up || world->settling)
            read_bytes(world->clients[i].fd, &world->clients[i].got);
}

static void live(struct world *world)
{
    static void (*const happenings[])(struct world *) = {
        happen_stream_queries, happen_answer,         happen_stream_bytes, happen_client_ends,
        happen_datagram,       happen_upstream_bytes, happen_resume,       happen_time,
    };
    while (cursor_left(&world->input)) {
        const uint8_t what = cursor_u8(&world->input);
        happenings[what % (sizeof happenings / sizeof *happenings)](world);
        if (what & 128)
            continue; /* together with what comes next */
        run_loop(world);
        clients_read(world);
        upstream_reads(world);
    }
}

/* --- the end --- */

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

/* Whether all good queries of the connections that stayed open are answered. */
static bool is_settled(struct world *world, bool must_be)
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

static void wait_on(struct world *world, unsigned tries)
{
    pass_time(world, TIMEOUT_US);
    clients_read(world);
    if (tries > SETTLE_TRIES - 400)
        usleep(5000); /* the system may need a moment to carry bytes */
}

static void settle(struct world *world)
{
    world->settling = true;
    for (unsigned i = 0; i < SETTLE_TRIES; i++) {
        for (size_t k = 0; k < PARKED_MAX; k++)
            resume(world, k);
        wait_on(world, i);
        if (is_settled(world, false))
            break;
    }
    MUST(is_settled(world, true));
    if (world->stops) {
        MUST(world->idle == 0);
        /* No tick, which closes what does not go on: that is to end by itself. */
        event_del(&world->net->tick_event);
        world->net->ticking = true;
        net_stop_listening(world->net);
        for (unsigned i = 0; i < SETTLE_TRIES && !world->idle; i++)
            wait_on(world, i);
        MUST(world->idle == 1);
    }
}

/* --- life --- */

static void note_idle(void *context)
{
    struct world *world = context;
    world->idle++;
}

static void start(struct world *world, const struct log *log, const struct flow_observer *observer)
{
    const struct sockets *sockets = the_sockets();
    const uint8_t policy = cursor_u8(&world->input);
    const struct address upstream = address_from_sockaddr((const struct sockaddr *)&sockets->upstream);
    const struct net_upstream upstreams[] = {
        {.target = {.scheme = policy & 1 ? UPSTREAM_TCP : UPSTREAM_PLAIN, .address = upstream},
         .domain = {.length = 1}},
        {.target = {.scheme = policy & 1 ? UPSTREAM_UDP : UPSTREAM_TCP, .address = upstream}, .domain = {.length = 1}},
    };
    const uint8_t limits = cursor_u8(&world->input);
    struct net_config config = net_config_defaults();
    struct reason reason = {""};
    config.inherited = sockets->listeners;
    config.inherited_count = 2;
    config.upstreams = upstreams;
    config.upstream_count = policy & 2 ? 2 : 1;
    config.upstream_policy = policy >> 2 & 3;
    config.resolv_conf = NULL;
    config.tcp_connections_max = 3;
    config.tcp_connections_per_client = 2;
    config.tcp_pipeline_max = 1 + limits % 8;
    config.tcp_output_max = 64u << (limits >> 3 & 7);
    config.on_idle = note_idle;
    config.context = world;
    config.log = log;
    world->stops = policy & 16;
    MUST(!net_new(world->base, &config, &world->net, &reason));
    MUST(!net_bind(world->net, NULL, &reason));
    const struct exchange_config exchange_config = {.timeout_us = TIMEOUT_US,
                                                    .retries = limits >> 6,
                                                    .flows_max = 1000,
                                                    .payload_size = 1232,
                                                    .stream_idle_us = config.tcp_idle_us};
    world->hooks = (struct hooks){.context = world, .defined = 7, .run = run};
    world->exchange = exchange_new(&exchange_config, net_io(world->net), &world->hooks, observer);
    MUST(world->exchange);
    MUST(!net_start(world->net, world->exchange, &reason));
}

/* What came to the sockets that stay is not for the next run. */
static void end(struct world *world)
{
    const struct sockets *sockets = the_sockets();
    const int streams[] = {sockets->listeners[1], sockets->upstream_stream};
    const int datagrams[] = {sockets->listeners[0], sockets->upstream_datagram};
    uint8_t byte;
    for (size_t i = 0; i < CLIENTS; i++)
        client_leaves(&world->clients[i]);
    exchange_free(world->exchange);
    net_free(world->net);
    event_base_free(world->base);
    close(world->datagram_client);
    for (int i = 0; i < CHANNELS; i++) {
        close_channel(world, i);
        buffer_free(&world->channel_bytes[i]);
    }
    for (size_t i = 0; i < SENT_MAX; i++)
        buffer_free(&world->sent[i].wire);
    for (size_t i = 0; i < 2; i++) {
        for (int left; (left = accept(streams[i], NULL, NULL)) >= 0;)
            drop(&left);
        while (recv(datagrams[i], &byte, 1, MSG_DONTWAIT) >= 0 || errno == ECONNREFUSED)
            ;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct world world = {.input = cursor_over(data, size), .base = event_base_new()};
    const struct log silent = {.level = LOG_ERROR + 1, .fd = -1};
    const struct flow_observer observer = {.context = &world, .finished = finished};
    MUST(world.base);
    now_us = 1000000;
    world.datagram_client = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    for (size_t i = 0; i < CLIENTS; i++)
        world.clients[i].fd = -1;
    for (size_t i = 0; i < CHANNELS; i++)
        world.channels[i] = -1;
    start(&world, &silent, &observer);
    live(&world);
    settle(&world);
    end(&world);
    return 0;
}
