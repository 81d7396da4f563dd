/* A zone: the records of a master file, and the authoritative answers that they give. */
#ifndef MOONDNS_DATA_ZONE_H
#define MOONDNS_DATA_ZONE_H

#include "dns/message.h"

/* One piece of memory without pointers, aligned for uint32_t: it may be copied as it is, and nothing in it needs to be
 * freed. It never changes. */
struct zone;

enum { ZONE_PAYLOAD_SIZE = 1232 /* what OPT in an answer announces */ };

/* Where a zone's text comes from. */
struct zone_source {
    const char *name;              /* of the file, for reasons; names in $INCLUDE are looked for beside it */
    const struct dns_name *origin; /* of relative names, NULL: the file has to name it (see zone_file_read) */
    bool no_include;               /* $INCLUDE is refused */
    unsigned generated_max;        /* records that $GENERATE may make; 0: ZONE_FILE_GENERATED_MAX */
};

/* Replaces what `out` holds by the zone (zone_from). Wrong text is STATUS_MALFORMED or STATUS_INVALID with the first
 * reason, "NAME:LINE: …": besides what zone_file_read finds, a zone begins with its one SOA record, all records are of
 * its class and at or below its owner, none is of a type for messages alone (OPT, TSIG, ANY), and beside a CNAME there
 * are no other data (RFC 1034 section 3.6.2, RFC 4034 section 2.5), nor a second DNAME or an NS below the top beside a
 * DNAME (RFC 6672 section 2.3), and nothing is below one (section 2.4), NSEC3 and RRSIG aside. Records that are there
 * twice count once (RFC 2181 section 5.2), and the lowest TTL of several of one name and type counts for all. */
MUST_CHECK enum status zone_parse(const struct zone_source *source, const char *text, size_t length, struct buffer *out,
                                  struct reason *reason);

/* The same for the file `source->name`. STATUS_IO, with the reason, when it cannot be read. */
MUST_CHECK enum status zone_load(const struct zone_source *source, struct buffer *out, struct reason *reason);

/* The zone in bytes that zone_parse gave, or in a copy of them. */
static inline const struct zone *zone_from(const uint8_t *bytes)
{
    return (const struct zone *)(const void *)bytes;
}

size_t zone_size(const struct zone *zone); /* of all its bytes */

/* The name of its top, borrowed: uncompressed wire. */
const uint8_t *zone_origin(const struct zone *zone);

/* The records in the file's order; what `out` points to is borrowed. `index` is below the count. */
size_t zone_count(const struct zone *zone);
void zone_record(const struct zone *zone, size_t index, struct dns_record *out);

/* Replaces what `out` holds by the answer to a query (RFC 1034 section 4.3.2): records, CNAMEs followed in the zone,
 * wildcards (RFC 4592), DNAMEs (RFC 6672), referrals with glue, NXDOMAIN and no data with SOA (RFC 2308 section 3),
 * BADVERS (RFC 6891 section 6.1.3). Of CNAMEs and DNAMEs 20 in a row are followed: the answer ends there. TC: not all
 * records of the answer, or not all glue of names below the delegation (RFC 9471 section 3), fit into 65,535 bytes.
 * DNSSEC's records are answered when asked for, and not added. STATUS_NOT_FOUND when it is nothing for this zone:
 * another class or op code, a name outside, not one question, or a response. */
MUST_CHECK enum status zone_answer(const struct zone *zone, const struct dns_message *query, struct buffer *out);

#endif
