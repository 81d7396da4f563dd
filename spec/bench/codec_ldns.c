/* ldns, which keeps every field of a record as an object of its own. */
#include "codec.h"

#include <ldns/ldns.h>

#include <stdlib.h>

struct state {
    ldns_buffer *out;
};

static void *bench_open(void)
{
    struct state *state = calloc(1, sizeof *state);
    state->out = ldns_buffer_new(LDNS_MAX_PACKETLEN);
    return state;
}

static int count_records(const ldns_rr_list *list)
{
    int records = 0;
    for (size_t i = 0; i < ldns_rr_list_rr_count(list); i++)
        records += ldns_rr_owner(ldns_rr_list_rr(list, i)) != NULL;
    return records;
}

static int bench_parse(void *state, const uint8_t *wire, size_t length)
{
    ldns_pkt *packet;
    (void)state;
    if (ldns_wire2pkt(&packet, wire, length) != LDNS_STATUS_OK)
        return -1;
    const int records = count_records(ldns_pkt_answer(packet)) + count_records(ldns_pkt_authority(packet)) +
                        count_records(ldns_pkt_additional(packet)) + ldns_pkt_edns(packet);
    ldns_pkt_free(packet);
    return records;
}

static void *bench_load(void *state, const uint8_t *wire, size_t length)
{
    ldns_pkt *packet;
    (void)state;
    return ldns_wire2pkt(&packet, wire, length) == LDNS_STATUS_OK ? packet : NULL;
}

static struct span bench_pack(void *context, void *loaded)
{
    struct state *state = context;
    ldns_buffer_clear(state->out);
    if (ldns_pkt2buffer_wire(state->out, loaded) != LDNS_STATUS_OK)
        return (struct span){0};
    return (struct span){ldns_buffer_begin(state->out), ldns_buffer_position(state->out)};
}

const struct library library_ldns = {
    .name = "ldns",
    .open = bench_open,
    .parse = bench_parse,
    .load = bench_load,
    .pack = bench_pack,
};
