#include "flow/transfer.h"

enum {
    SOA_NUMBERS = 20,                   /* serial, refresh, retry, expire, minimum: the last bytes of an SOA's data */
    SOA_LENGTH_LEAST = SOA_NUMBERS + 2, /* two names before them */
};

/* A record, as far as it matters here. */
struct row {
    uint16_t type;
    uint32_t serial; /* of an SOA */
};

/* The next record of a checked message. */
static struct row next_row(struct cursor *cursor)
{
    struct row row = {0};
    if (dns_name_skip(cursor, NULL))
        return row;
    row.type = cursor_u16(cursor);
    cursor_take(cursor, 6); /* class, TTL */
    const uint16_t length = cursor_u16(cursor);
    const uint8_t *data = cursor_take(cursor, length);
    if (row.type == DNS_TYPE_SOA && data && length >= SOA_LENGTH_LEAST)
        row.serial = load_u32(data + length - SOA_NUMBERS);
    return row;
}

bool transfer_start(struct transfer *out, const struct dns_message *request)
{
    const uint16_t *counts = request->header.counts, type = request->question.type;
    if (request->header.flags & DNS_FLAG_OPCODE || counts[DNS_SECTION_QUESTION] != 1 ||
        (type != DNS_TYPE_AXFR && type != DNS_TYPE_IXFR))
        return false;
    *out = (struct transfer){.incremental = type == DNS_TYPE_IXFR};
    if (out->incremental && counts[DNS_SECTION_AUTHORITY] > 0) {
        struct cursor cursor = {
            .data = request->wire, .length = request->length, .offset = request->section[DNS_SECTION_AUTHORITY]};
        struct row row = next_row(&cursor);
        out->has_version = row.type == DNS_TYPE_SOA;
        out->version = row.serial;
    }
    return true;
}

/* RFC 5936 section 2.2: from SOA to SOA. RFC 1995 section 4: the same, or for each version an SOA and what it lost, an
 * SOA and what it won; the newest SOA ends them. */
static enum transfer_state next_state(const struct transfer *transfer, const struct row *row)
{
    const bool soa = row->type == DNS_TYPE_SOA, newest = soa && row->serial == transfer->serial;
    switch (transfer->state) {
    case TRANSFER_FIRST:
        return soa ? TRANSFER_SECOND : TRANSFER_ENDED;
    case TRANSFER_SECOND:
        if (soa)
            return transfer->incremental && !newest ? TRANSFER_DELETED : TRANSFER_ENDED;
        return TRANSFER_WHOLE;
    case TRANSFER_WHOLE:
        return soa ? TRANSFER_ENDED : TRANSFER_WHOLE;
    case TRANSFER_DELETED:
        return soa ? TRANSFER_ADDED : TRANSFER_DELETED;
    case TRANSFER_ADDED:
        if (soa)
            return newest ? TRANSFER_ENDED : TRANSFER_DELETED;
        return TRANSFER_ADDED;
    case TRANSFER_ENDED:
        break;
    }
    return TRANSFER_ENDED;
}

/* An SOA alone says that the client's version is the newest one (RFC 1995 section 2), in the arithmetic of serial
 * numbers (RFC 1982). A newer one begins what is sent one record a message. */
static bool is_up_to_date(const struct transfer *transfer)
{
    return transfer->state == TRANSFER_SECOND && transfer->incremental &&
           (!transfer->has_version || (int32_t)(transfer->version - transfer->serial) >= 0);
}

bool transfer_feed(struct transfer *transfer, const struct dns_message *answer)
{
    struct cursor cursor = {
        .data = answer->wire, .length = answer->length, .offset = answer->section[DNS_SECTION_ANSWER]};
    const unsigned count = answer->header.counts[DNS_SECTION_ANSWER];
    if (answer->header.flags & DNS_FLAG_RCODE || (count == 0 && transfer->state == TRANSFER_FIRST))
        transfer->state = TRANSFER_ENDED;
    for (unsigned i = 0; i < count && transfer->state != TRANSFER_ENDED; i++) {
        const struct row row = next_row(&cursor);
        if (transfer->state == TRANSFER_FIRST)
            transfer->serial = row.serial;
        transfer->state = next_state(transfer, &row);
    }
    if (is_up_to_date(transfer))
        transfer->state = TRANSFER_ENDED;
    return transfer->state != TRANSFER_ENDED;
}
