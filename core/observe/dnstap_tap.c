/* Messages as they pass, packed for the writer. What all of them have in common is packed once, by protobuf-c; the
 * rest, for each message, by hand and in one go, as the library takes some 2,000 instructions for what is a few stores.
 */
#include "observe/dnstap_private.h"

#include "base/clock.h"

#include <stdatomic.h>
#include <stdlib.h>

/* Field numbers of dnstap.proto. */
enum field {
    MESSAGE_TYPE = 1,
    SOCKET_FAMILY = 2,
    SOCKET_PROTOCOL = 3,
    QUERY_ADDRESS = 4,
    RESPONSE_ADDRESS = 5,
    QUERY_PORT = 6,
    RESPONSE_PORT = 7,
    QUERY_TIME_SEC = 8,
    QUERY_TIME_NSEC = 9,
    QUERY_MESSAGE = 10,
    RESPONSE_TIME_SEC = 12,
    RESPONSE_TIME_NSEC = 13,
    RESPONSE_MESSAGE = 14,
    DNSTAP_MESSAGE = 14, /* of the frame */
};

enum wire_type { WIRE_VARINT = 0, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

enum {
    HEAD_MAX = 160,         /* all fields but the DNS message */
    LENGTH_MAX = 5,         /* bytes of a length */
    BATCH_SIZE = 64 * 1024, /* bytes */
    BATCH_OPEN = 1 << 30,   /* more than it can have messages */
    MICROSECONDS = 1000000, /* a second */
    NANOSECONDS = 1000,     /* a microsecond */
};

/* Memory of many messages, freed once all of them are written: by the writer, or by the worker that has gone on to the
 * next one. */
struct dnstap_batch {
    atomic_uint left; /* BATCH_OPEN more than are not written, until the worker has gone on */
    struct dnstap_fate *fate;
    unsigned given; /* the worker's, like the two below */
    size_t used, size;
    uint8_t bytes[];
};

/* What is told of a message. */
struct sight {
    enum passage passage;
    const struct address *asking, *answering; /* AF_UNSPEC: not told */
    const struct address *there;              /* who is at the other end */
    enum transport transport;
    int64_t query_us; /* wall clock */
    struct span wire;
};

/* --- packing --- */

static uint8_t *put_varint(uint8_t *at, uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        *at++ = (uint8_t)(value | 0x80);
    *at++ = (uint8_t)value;
    return at;
}

/* All numbers of fields are below 16. */
static uint8_t *put_tag(uint8_t *at, enum field field, enum wire_type type)
{
    *at++ = (uint8_t)((unsigned)field << 3 | (unsigned)type);
    return at;
}

static uint8_t *put_number(uint8_t *at, enum field field, uint64_t value)
{
    return put_varint(put_tag(at, field, WIRE_VARINT), value);
}

static uint8_t *put_length(uint8_t *at, enum field field, size_t length)
{
    return put_varint(put_tag(at, field, WIRE_BYTES), length);
}

/* Little-endian. */
static uint8_t *put_fixed32(uint8_t *at, enum field field, uint32_t value)
{
    at = put_tag(at, field, WIRE_FIXED32);
    for (unsigned i = 0; i < 4; i++, value >>= 8)
        *at++ = (uint8_t)value;
    return at;
}

static uint8_t *put_address(uint8_t *at, const struct address *address, enum field ip, enum field port)
{
    const size_t size = address->family == AF_INET ? 4 : 16;
    if (address->family != AF_INET && address->family != AF_INET6)
        return at;
    at = put_length(at, ip, size);
    memcpy(at, address->bytes, size);
    return put_number(at + size, port, address->port);
}

static uint8_t *put_time(uint8_t *at, int64_t us, enum field seconds, enum field rest)
{
    at = put_number(at, seconds, (uint64_t)(us / MICROSECONDS));
    return put_fixed32(at, rest, (uint32_t)(us % MICROSECONDS * NANOSECONDS));
}

static bool is_query(enum passage passage)
{
    return passage == PASSAGE_CLIENT_QUERY || passage == PASSAGE_UPSTREAM_QUERY;
}

/* All of the message but its bytes, which come next. */
static uint8_t *put_head(uint8_t *at, const struct sight *sight)
{
    static const uint8_t types[] = {
        [PASSAGE_CLIENT_QUERY] = DNSTAP__MESSAGE__TYPE__CLIENT_QUERY,
        [PASSAGE_CLIENT_ANSWER] = DNSTAP__MESSAGE__TYPE__CLIENT_RESPONSE,
        [PASSAGE_UPSTREAM_QUERY] = DNSTAP__MESSAGE__TYPE__FORWARDER_QUERY,
        [PASSAGE_UPSTREAM_ANSWER] = DNSTAP__MESSAGE__TYPE__FORWARDER_RESPONSE,
    };
    static const uint8_t protocols[] = {
        [TRANSPORT_UDP] = DNSTAP__SOCKET_PROTOCOL__UDP,  [TRANSPORT_TCP] = DNSTAP__SOCKET_PROTOCOL__TCP,
        [TRANSPORT_TLS] = DNSTAP__SOCKET_PROTOCOL__DOT,  [TRANSPORT_HTTPS] = DNSTAP__SOCKET_PROTOCOL__DOH,
        [TRANSPORT_QUIC] = DNSTAP__SOCKET_PROTOCOL__DOQ,
    };
    const bool ipv6 = sight->there->family == AF_INET6;
    at = put_number(at, MESSAGE_TYPE, types[sight->passage]);
    at = put_number(at, SOCKET_FAMILY, ipv6 ? DNSTAP__SOCKET_FAMILY__INET6 : DNSTAP__SOCKET_FAMILY__INET);
    at = put_number(at, SOCKET_PROTOCOL, protocols[sight->transport]);
    at = put_address(at, sight->asking, QUERY_ADDRESS, QUERY_PORT);
    at = put_address(at, sight->answering, RESPONSE_ADDRESS, RESPONSE_PORT);
    at = put_time(at, sight->query_us, QUERY_TIME_SEC, QUERY_TIME_NSEC);
    if (is_query(sight->passage))
        return put_length(at, QUERY_MESSAGE, sight->wire.length);
    at = put_time(at, clock_wall_us(), RESPONSE_TIME_SEC, RESPONSE_TIME_NSEC);
    return put_length(at, RESPONSE_MESSAGE, sight->wire.length);
}

/* --- memory --- */

static void take_off(struct dnstap_batch *batch, unsigned count)
{
    if (atomic_fetch_sub_explicit(&batch->left, count, memory_order_acq_rel) == count)
        free(batch);
}

/* In the writer's thread. */
static void on_written(void *data, void *context)
{
    (void)data;
    struct dnstap_batch *batch = context;
    dnstap_fate_given_back(batch->fate);
    take_off(batch, 1);
}

/* Room for a message, at its end; NULL: there is no memory. */
static uint8_t *make_room(struct dnstap_tap *tap, size_t size)
{
    struct dnstap_batch *batch = tap->batch;
    if (batch && batch->size - batch->used >= size)
        return batch->bytes + batch->used;
    dnstap_tap_close(tap);
    const size_t room = size > BATCH_SIZE ? size : BATCH_SIZE;
    batch = malloc(sizeof *batch + room);
    if (!batch)
        return NULL;
    atomic_init(&batch->left, BATCH_OPEN);
    batch->fate = &tap->dnstap->fate;
    batch->given = 0;
    batch->used = 0;
    batch->size = room;
    tap->batch = batch;
    return batch->bytes;
}

void dnstap_tap_close(struct dnstap_tap *tap)
{
    struct dnstap_batch *batch = tap->batch;
    tap->batch = NULL;
    if (batch)
        take_off(batch, BATCH_OPEN - batch->given);
}

/* --- telling --- */

static void tell(struct dnstap_tap *tap, const struct sight *sight)
{
    const struct dnstap *dnstap = tap->dnstap;
    uint8_t head[HEAD_MAX];
    const size_t head_length = (size_t)(put_head(head, sight) - head), message = head_length + sight->wire.length;
    const size_t most = dnstap->common_length + 1 + LENGTH_MAX + message;
    uint8_t *start = make_room(tap, most), *at = start;
    if (!start) {
        tap->dropped++;
        return;
    }
    memcpy(at, dnstap->common, dnstap->common_length);
    at = put_length(at + dnstap->common_length, DNSTAP_MESSAGE, message);
    memcpy(at, head, head_length);
    memcpy(at + head_length, sight->wire.data, sight->wire.length);
    const size_t length = (size_t)(at - start) + message;
    struct dnstap_batch *batch = tap->batch;
    if (fstrm_iothr_submit(dnstap->writer, tap->queue, start, length, on_written, batch) != fstrm_res_success) {
        tap->dropped++;
        return;
    }
    batch->used += length;
    batch->given++;
    tap->queued++;
}

/* The client's address, as it is to be told. */
static struct address client_of(const struct dnstap *dnstap, const struct reply_to *to)
{
    struct address client = to->client;
    if (dnstap->anonymize)
        address_cut(&client, dnstap->cut);
    return client;
}

static void tell_client_side(struct dnstap_tap *tap, const struct reply_to *to, enum passage passage, int64_t query_us,
                             struct span wire)
{
    const struct address client = client_of(tap->dnstap, to);
    tell(tap, &(struct sight){passage, &client, &to->local, &client, to->transport, query_us, wire});
}

static void passed(void *context, const struct flow *flow, enum passage passage, struct span wire)
{
    static const struct address nobody = {.family = AF_UNSPEC};
    struct dnstap_tap *tap = context;
    if (!tap->queue)
        return;
    if (passage == PASSAGE_CLIENT_QUERY || passage == PASSAGE_CLIENT_ANSWER)
        tell_client_side(tap, &flow->reply_to, passage, flow->created_us, wire);
    else
        tell(tap, &(struct sight){passage, &nobody, &flow->server, &flow->server, flow->server_transport,
                                  flow->asked_us, wire});
}

static void turned_away(void *context, const struct reply_to *to, int64_t query_us, struct span query,
                        struct span answer)
{
    struct dnstap_tap *tap = context;
    if (!tap->queue)
        return;
    tell_client_side(tap, to, PASSAGE_CLIENT_QUERY, query_us, query);
    tell_client_side(tap, to, PASSAGE_CLIENT_ANSWER, query_us, answer);
}

static void finished(void *context, const struct flow *flow)
{
    (void)context;
    (void)flow;
}

void dnstap_tap_init(struct dnstap_tap *tap)
{
    *tap = (struct dnstap_tap){
        .observer = {.context = tap, .finished = finished, .passed = passed, .turned_away = turned_away}};
}

void dnstap_tap_open(struct dnstap_tap *tap, struct dnstap *dnstap, unsigned worker)
{
    tap->dnstap = dnstap;
    tap->queue = fstrm_iothr_get_input_queue_idx(dnstap->writer, worker);
}
