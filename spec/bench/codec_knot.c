/* libknot, as its own server uses it: memory from a pool that is emptied after each message, records left as they came
 * (not made canonical), one packet to write into. What compression may know beforehand, that an owner is the question's
 * name, is worked out when the message is loaded. */
#include "codec.h"

#include <libknot/libknot.h>

#include <stdlib.h>

enum { POOL_SIZE = 1 << 22, WIRE_SIZE = 65535 };

struct pool {
    uint8_t *memory;
    size_t used;
};

struct state {
    struct pool pool;
    knot_mm_t mm;
    knot_pkt_t *out;
};

static void *pool_alloc(void *context, size_t length)
{
    struct pool *pool = context;
    uint8_t *at = pool->memory + pool->used;
    pool->used += (length + 15) / 16 * 16;
    return pool->used <= POOL_SIZE ? at : NULL;
}

static void pool_free(void *at)
{
    (void)at;
}

static void *knot_open(void)
{
    struct state *state = calloc(1, sizeof *state);
    state->pool.memory = malloc(POOL_SIZE);
    state->mm = (knot_mm_t){.ctx = &state->pool, .alloc = pool_alloc, .free = pool_free};
    state->out = knot_pkt_new(NULL, WIRE_SIZE, NULL);
    return state;
}

static int knot_parse(void *context, const uint8_t *wire, size_t length)
{
    struct state *state = context;
    state->pool.used = 0;
    knot_pkt_t *packet = knot_pkt_new((void *)(uintptr_t)wire, (uint16_t)length, &state->mm);
    if (!packet || knot_pkt_parse(packet, KNOT_PF_NOCANON | KNOT_PF_KEEPWIRE) != KNOT_EOK)
        return -1;
    int records = 0;
    for (knot_section_t section = KNOT_ANSWER; section <= KNOT_ADDITIONAL; section++) {
        const knot_pktsection_t *list = knot_pkt_section(packet, section);
        for (uint16_t i = 0; i < list->count; i++)
            records += knot_pkt_rr(list, i)->rrs.count > 0;
    }
    return records;
}

struct loaded {
    knot_pkt_t *packet;
    uint16_t *hints; /* for each record */
};

static void *knot_load(void *context, const uint8_t *wire, size_t length)
{
    (void)context;
    struct loaded *loaded = calloc(1, sizeof *loaded);
    knot_pkt_t *packet = knot_pkt_new((void *)(uintptr_t)wire, (uint16_t)length, NULL);
    if (!packet || knot_pkt_parse(packet, KNOT_PF_NOCANON | KNOT_PF_KEEPWIRE) != KNOT_EOK)
        return NULL;
    loaded->packet = packet;
    loaded->hints = calloc(packet->rrset_count + 1u, sizeof *loaded->hints);
    const knot_dname_t *name = packet->qname_size ? knot_pkt_wire_qname(packet) : NULL;
    for (uint16_t i = 0; i < packet->rrset_count; i++) {
        const knot_dname_t *owner = packet->rr[i].owner;
        const size_t size = knot_dname_size(owner);
        loaded->hints[i] = name && size > 1 && size == packet->qname_size && memcmp(owner, name, size) == 0
                               ? KNOT_COMPR_HINT_QNAME
                               : KNOT_COMPR_HINT_NONE;
    }
    return loaded;
}

static struct span knot_pack(void *context, void *message)
{
    struct state *state = context;
    struct loaded *loaded = message;
    const knot_pkt_t *packet = loaded->packet;
    knot_pkt_t *out = state->out;
    knot_pkt_clear(out);
    out->qname_size = 0; /* clearing leaves the last question's name to be compressed against */
    out->compr.suffix.pos = 0;
    out->compr.suffix.labels = 0;
    memcpy(out->wire, packet->wire, 4);
    if (packet->qname_size && knot_pkt_put_question(out, knot_pkt_wire_qname(packet), knot_pkt_qclass(packet),
                                                    knot_pkt_qtype(packet)) != KNOT_EOK)
        return (struct span){0};
    for (knot_section_t section = KNOT_ANSWER; section <= KNOT_ADDITIONAL; section++) {
        const knot_pktsection_t *list = knot_pkt_section(packet, section);
        if (section > KNOT_ANSWER)
            knot_pkt_begin(out, section);
        for (uint16_t i = 0; i < list->count; i++)
            if (knot_pkt_put(out, loaded->hints[list->pos + i], knot_pkt_rr(list, i), KNOT_PF_NOTRUNC) != KNOT_EOK)
                return (struct span){0};
    }
    return (struct span){out->wire, out->size};
}

const struct library library_knot = {
    .name = "libknot",
    .open = knot_open,
    .parse = knot_parse,
    .load = knot_load,
    .pack = knot_pack,
};
