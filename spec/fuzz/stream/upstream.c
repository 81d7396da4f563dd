/* An upstream that answers over UDP and TCP, well, badly or not at all. */
#include "net/framing.h"
#include "stream/world.h"

#include <errno.h>
#include <sys/socket.h>

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

void upstream_reads(struct world *world)
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
        socket_read(world->channels[i], bytes);
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

void upstream_close(struct world *world, int i)
{
    socket_drop(&world->channels[i]);
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
    socket_write(world->channels[to->channel], framed.data, framed.length);
    buffer_free(&framed);
}

static void append_records(struct buffer *wire, const char *record, size_t length, unsigned count)
{
    for (unsigned i = 0; i < count && wire->length < DNS_MESSAGE_MAX - 64; i++) {
        buffer_append(wire, record, length);
        store_u16(wire->data + 6, (uint16_t)(load_u16(wire->data + 6) + 1));
    }
}

/* One of the last queries that came; NULL: there is none. */
static const struct upstream_query *some_query(struct world *world)
{
    upstream_reads(world);
    const size_t known = world->sent_count < SENT_MAX ? world->sent_count : SENT_MAX;
    return known ? &world->sent[cursor_u8(&world->input) % known] : NULL;
}

/* The query as far as its question, as an answer without records. */
static struct buffer begin_answer(const struct upstream_query *to)
{
    struct dns_message asked;
    struct buffer wire = {0};
    MUST(!dns_message_parse(to->wire.data, to->wire.length, &asked, NULL));
    buffer_append(&wire, to->wire.data, asked.section[DNS_SECTION_ANSWER]);
    wire.data[2] |= 0x80;
    memset(wire.data + 6, 0, 6);
    return wire;
}

/* No more than a code, without OPT: from a server that does not know EDNS, perhaps. */
void happen_refusal(struct world *world)
{
    static const uint8_t codes[] = {DNS_RCODE_FORMERR, DNS_RCODE_NOTIMP, DNS_RCODE_SERVFAIL, DNS_RCODE_REFUSED};
    const struct upstream_query *to = some_query(world);
    if (!to)
        return;
    const uint8_t kind = cursor_u8(&world->input);
    struct buffer wire = begin_answer(to);
    wire.data[3] = codes[kind & 3];
    if (kind & 4) { /* not even the question */
        wire.length = DNS_HEADER_SIZE;
        store_u16(wire.data + 4, 0);
    }
    upstream_sends(world, to, &wire);
    buffer_free(&wire);
}

/* The question, then addresses or, as zone transfers begin and end, SOA records; disturbed if it is to be. */
void happen_answer(struct world *world)
{
    static const char address[] = "\xc0\x0c\0\1\0\1\0\0\0\1\0\4\1\2\3\4";
    static const char soa[] = "\xc0\x0c\0\6\0\1\0\0\0\1\0\x16\0\0\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\1";
    const struct upstream_query *to = some_query(world);
    if (!to)
        return;
    const uint8_t kind = cursor_u8(&world->input);
    struct buffer wire = begin_answer(to);
    wire.data[2] |= kind & 2;
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

void happen_upstream_bytes(struct world *world)
{
    upstream_reads(world);
    const uint8_t how = cursor_u8(&world->input);
    const struct span bytes = input_take(&world->input, how >> 3);
    if (how >= 240)
        upstream_close(world, how % CHANNELS);
    else
        socket_write(world->channels[how % CHANNELS], bytes.data, bytes.length);
}
