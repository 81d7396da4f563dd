/* The authoritative answer (RFC 1034 section 4.3.2): first it is put together as a list of sets of records, then
 * packed. */
#include "data/zone_image.h"

#include "dns/rdata.h"

#include <stdlib.h>

enum {
    LINKS_MAX = 20, /* CNAMEs that are followed; whoever asks can go on from the last */
    SETS_FIXED = 64,
    SETS_MAX = DNS_MESSAGE_MAX / 16, /* a record has at least 16 bytes, its name compressed and with data for glue */
    OPT_SIZE = 11,
    TYPE_DS = 43,
    TYPE_RRSIG = 46,
    TYPE_NSEC = 47,
    TYPE_IXFR = 251,
    TYPE_AXFR = 252,
    RCODE_YXDOMAIN = 6,
};

/* Records that go into a section together. */
struct set {
    enum dns_section section;
    uint32_t first, count;         /* in `sorted` */
    const uint8_t *owner;          /* uncompressed wire; NULL: their own */
    const struct dns_name *target; /* not NULL: a CNAME to this, made from the first record, a DNAME */
    uint32_t ttl_most;
    bool needed; /* glue that a referral is no use without (RFC 9471 section 3) */
};

struct answer {
    const struct zone *zone;
    uint16_t type; /* what is asked for */
    uint16_t response_code;
    bool authoritative;
    struct set fixed[SETS_FIXED];
    struct set *sets; /* `fixed`, or more of them, owned */
    size_t count, room;
    size_t named;    /* sets of the sections before, whose additional ones come behind them */
    uint32_t *index; /* of these, when there are many: a hash table of twice `room`, owned; 0 is free, else set + 1 */
    bool failed;     /* no memory for more */
    bool cut_off;    /* needed glue does not fit */
    struct dns_name made[LINKS_MAX]; /* targets of CNAMEs made from DNAMEs */
    size_t made_count;
};

/* Sets and names made are written as they come: there is room for many. */
static void start(struct answer *answer, const struct zone *zone, uint16_t type)
{
    answer->zone = zone;
    answer->type = type;
    answer->response_code = DNS_RCODE_NOERROR;
    answer->authoritative = true;
    answer->sets = answer->fixed;
    answer->room = SETS_FIXED;
    answer->index = NULL;
    answer->failed = answer->cut_off = false;
    answer->count = answer->named = answer->made_count = 0;
}

/* Where in the index the set under that name is, or would be. */
static uint32_t *find_indexed(const struct answer *answer, uint32_t first, const uint8_t *owner)
{
    uint64_t hash = first;
    const size_t length = dns_name_wire_length(owner, DNS_NAME_MAX), mask = answer->room * 2 - 1;
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ dns_lower(owner[i])) * UINT64_C(0x100000001b3);
    for (size_t at = (hash ^ hash >> 32) & mask;; at = (at + 1) & mask) {
        uint32_t *slot = &answer->index[at];
        const struct set *set = &answer->sets[*slot ? *slot - 1 : 0];
        if (*slot == 0 || (set->first == first && dns_name_equal(set->owner, owner)))
            return slot;
    }
}

/* Makes the index of the additional sets. */
static bool make_index(struct answer *answer)
{
    free(answer->index);
    answer->index = calloc(answer->room * 2, sizeof *answer->index);
    for (size_t i = answer->named; answer->index && i < answer->count; i++)
        *find_indexed(answer, answer->sets[i].first, answer->sets[i].owner) = (uint32_t)i + 1;
    return answer->index != NULL;
}

/* Makes room for one set more. */
static bool reserve(struct answer *answer)
{
    if (answer->count < answer->room)
        return true;
    size_t room = answer->room * 2;
    bool was_fixed = answer->sets == answer->fixed;
    struct set *sets = realloc(was_fixed ? NULL : answer->sets, room * sizeof *sets);
    answer->failed = answer->failed || !sets;
    if (!sets)
        return false;
    if (was_fixed)
        memcpy(sets, answer->fixed, sizeof answer->fixed);
    answer->sets = sets;
    answer->room = room;
    answer->failed = answer->failed || (answer->named && !make_index(answer));
    return !answer->failed;
}

static struct set *add_set(struct answer *answer, enum dns_section section, uint32_t first, uint32_t count,
                           const uint8_t *owner)
{
    if (count == 0 || !reserve(answer))
        return NULL;
    struct set *set = &answer->sets[answer->count++];
    *set = (struct set){.section = section, .first = first, .count = count, .owner = owner, .ttl_most = DNS_TTL_MAX};
    return set;
}

/* Adds the records of a type, if there are any. */
static bool add_type(struct answer *answer, enum dns_section section, uint32_t node, uint16_t type,
                     const uint8_t *owner)
{
    uint32_t first, count = zone_find_set(answer->zone, node, type, &first);
    return add_set(answer, section, first, count, owner) != NULL;
}

/* --- one name --- */

/* The SOA record of an answer that says no: its TTL is for how long that holds (RFC 2308 sections 3 and 5). */
static void add_soa(struct answer *answer)
{
    uint32_t first, count = zone_find_set(answer->zone, ZONE_APEX, DNS_TYPE_SOA, &first);
    struct set *set = add_set(answer, DNS_SECTION_AUTHORITY, first, count, NULL);
    if (!set)
        return;
    const struct zone_entry *soa = zone_sorted(answer->zone, first);
    uint32_t minimum = load_u32(zone_bytes(answer->zone, soa->data) + soa->data_length - 4);
    if (minimum < set->ttl_most)
        set->ttl_most = minimum;
}

/* A referral: the only answer that is not our own word, unless a CNAME led to it. */
static void refer(struct answer *answer, uint32_t node)
{
    answer->authoritative = answer->count > 0;
    add_type(answer, DNS_SECTION_AUTHORITY, node, DNS_TYPE_NS, NULL);
}

/* Answers with a node's records, under the name that was asked for. Gives the name to go on with, or NULL. */
static const uint8_t *answer_node(struct answer *answer, uint32_t node, const uint8_t *name)
{
    const struct zone_node *at = zone_node(answer->zone, node);
    uint32_t first, count;
    if (answer->type == DNS_TYPE_ANY && at->count > 0) {
        add_set(answer, DNS_SECTION_ANSWER, at->first, at->count, name);
        return NULL;
    }
    if (add_type(answer, DNS_SECTION_ANSWER, node, answer->type, name))
        return NULL;
    count = zone_find_set(answer->zone, node, DNS_TYPE_CNAME, &first);
    /* What stands beside a CNAME is not looked for elsewhere (RFC 4035 section 2.5). */
    bool beside = answer->type == TYPE_RRSIG || answer->type == TYPE_NSEC;
    if (beside || !add_set(answer, DNS_SECTION_ANSWER, first, count, name)) {
        add_soa(answer);
        return NULL;
    }
    return zone_bytes(answer->zone, zone_sorted(answer->zone, first)->data);
}

/* The name with the DNAME's target in place of its owner (RFC 6672 section 2.2); false when that is too long. */
static bool redirect(const uint8_t *name, size_t above, const uint8_t *target, struct dns_name *out)
{
    size_t length = dns_name_wire_length(target, DNS_NAME_MAX);
    if (above + length > DNS_NAME_MAX)
        return false;
    memcpy(out->wire, name, above);
    memcpy(out->wire + above, target, length);
    out->length = (uint8_t)(above + length);
    return true;
}

/* Answers with a DNAME and the CNAME that it makes. Gives the name to go on with, or NULL. */
static const uint8_t *answer_dname(struct answer *answer, const struct zone_found *found, const uint8_t *name)
{
    const struct zone *zone = answer->zone;
    uint32_t first, count = zone_find_set(zone, found->node, DNS_TYPE_DNAME, &first);
    bool there = false;
    for (size_t i = 0; i < answer->count; i++)
        there = there || (answer->sets[i].first == first && !answer->sets[i].target);
    if (!there)
        add_set(answer, DNS_SECTION_ANSWER, first, count, NULL);
    if (answer->made_count == LINKS_MAX)
        return NULL;
    struct dns_name *target = &answer->made[answer->made_count];
    if (!redirect(name, found->above, zone_bytes(zone, zone_sorted(zone, first)->data), target)) {
        answer->response_code = RCODE_YXDOMAIN;
        return NULL;
    }
    struct set *set = add_set(answer, DNS_SECTION_ANSWER, first, 1, name);
    if (!set)
        return NULL;
    set->target = target;
    answer->made_count++;
    return answer->type == DNS_TYPE_CNAME ? NULL : target->wire;
}

/* Answers for one name; gives the name that a CNAME leads to, or NULL. */
static const uint8_t *answer_name(struct answer *answer, const uint8_t *name)
{
    struct zone_found found = zone_find(answer->zone, name, answer->type == TYPE_DS);
    switch (found.place) {
    case ZONE_PLACE_NODE:
    case ZONE_PLACE_WILDCARD:
        return answer_node(answer, found.node, name);
    case ZONE_PLACE_CUT:
        refer(answer, found.node);
        return NULL;
    case ZONE_PLACE_DNAME:
        return answer_dname(answer, &found, name);
    case ZONE_PLACE_NOTHING:
        break;
    }
    answer->response_code = DNS_RCODE_NXDOMAIN;
    add_soa(answer);
    return NULL;
}

/* Whether the answer has been at this name before: CNAMEs in a circle. */
static bool was_answered(const struct answer *answer, const uint8_t *name)
{
    for (size_t i = 0; i < answer->count; i++)
        if (answer->sets[i].owner && dns_name_equal(answer->sets[i].owner, name))
            return true;
    return false;
}

/* --- what belongs to what is named --- */

/* The name in a record's data whose addresses are worth adding (RFC 1035 sections 3.3.9 and 3.3.11, RFC 2782, RFC 9460
 * section 4.1), or NULL. */
static const uint8_t *named_by(const struct dns_record *record)
{
    static const struct {
        uint16_t type;
        uint8_t offset;
    } types[] = {{DNS_TYPE_NS, 0}, {DNS_TYPE_MX, 2}, {DNS_TYPE_SRV, 6}, {DNS_TYPE_SVCB, 2}, {DNS_TYPE_HTTPS, 2}};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (dns_rdata_type(record->type, record->class_) == types[i].type)
            return record->data + types[i].offset;
    return NULL;
}

/* Whether one of the sets from `from` to `end` has these records under that name. */
static bool is_among(const struct answer *answer, size_t from, size_t end, uint32_t first, const uint8_t *owner)
{
    for (size_t i = from; i < end; i++) {
        const struct set *set = &answer->sets[i];
        bool holds = first >= set->first && first < set->first + set->count && !set->target;
        const uint8_t *name =
            set->owner ? set->owner : zone_bytes(answer->zone, zone_sorted(answer->zone, first)->name);
        if (holds && dns_name_equal(name, owner))
            return true;
    }
    return false;
}

static void add_additional(struct answer *answer, uint32_t node, uint16_t type, const uint8_t *owner, bool needed)
{
    uint32_t first, count = zone_find_set(answer->zone, node, type, &first);
    if (count == 0 || is_among(answer, 0, answer->index ? answer->named : answer->count, first, owner) ||
        (answer->index && *find_indexed(answer, first, owner)))
        return;
    struct set *set = add_set(answer, DNS_SECTION_ADDITIONAL, first, count, owner);
    if (!set)
        return;
    set->needed = needed;
    if (answer->index)
        *find_indexed(answer, first, owner) = (uint32_t)answer->count;
}

/* Adds what belongs to the name in a record: addresses, and for SVCB and HTTPS the target's records of that type. */
static void add_named(struct answer *answer, enum dns_section section, const struct dns_record *record)
{
    const struct zone *zone = answer->zone;
    const uint8_t *name = named_by(record);
    if (!name || !dns_name_is_subdomain(name, zone_origin(zone)))
        return;
    struct zone_found found = zone_find_glue(zone, name);
    if (found.place == ZONE_PLACE_NOTHING)
        return;
    bool needed = section == DNS_SECTION_AUTHORITY && dns_name_is_subdomain(name, record->name);
    if (answer->count >= SETS_MAX) {
        answer->cut_off = answer->cut_off || needed;
        return;
    }
    add_additional(answer, found.node, DNS_TYPE_A, name, needed);
    add_additional(answer, found.node, DNS_TYPE_AAAA, name, needed);
    if (record->type == DNS_TYPE_SVCB || record->type == DNS_TYPE_HTTPS)
        add_additional(answer, found.node, record->type, name, false);
}

static void add_all_named(struct answer *answer)
{
    answer->named = answer->count;
    for (size_t i = 0; i < answer->named; i++) {
        const struct set set = answer->sets[i];
        for (uint32_t at = set.first; at < set.first + set.count && !set.target; at++) {
            struct dns_record record = zone_record_of(answer->zone, zone_sorted(answer->zone, at));
            add_named(answer, set.section, &record);
        }
    }
}

/* --- the message --- */

static enum status pack_set(struct dns_packer *packer, const struct answer *answer, const struct set *set)
{
    enum status status = STATUS_OK;
    for (uint32_t i = 0; i < set->count && status == STATUS_OK; i++) {
        struct dns_record record = zone_record_of(answer->zone, zone_sorted(answer->zone, set->first + i));
        if (set->owner) {
            record.name = set->owner;
            record.name_length = (uint8_t)dns_name_wire_length(set->owner, DNS_NAME_MAX);
        }
        if (set->target) {
            record.type = DNS_TYPE_CNAME;
            record.data = set->target->wire;
            record.data_length = set->target->length;
        }
        if (record.ttl > set->ttl_most)
            record.ttl = set->ttl_most;
        status = dns_packer_record(packer, set->section, &record);
    }
    return status;
}

/* Whether an answer without the sets from this one on has to say that it is cut off. */
static bool misses(const struct answer *answer, size_t from)
{
    for (size_t i = from; i < answer->count; i++)
        if (answer->sets[i].section != DNS_SECTION_ADDITIONAL || answer->sets[i].needed)
            return true;
    return false;
}

static enum status pack(const struct answer *answer, const struct dns_message *query, struct buffer *out)
{
    const struct dns_header header = {
        .id = query->header.id,
        .flags = (uint16_t)(DNS_FLAG_QR | (query->header.flags & (DNS_FLAG_RD | DNS_FLAG_CD)) |
                            (answer->response_code & DNS_FLAG_RCODE) | (answer->authoritative ? DNS_FLAG_AA : 0) |
                            (answer->cut_off ? DNS_FLAG_TC : 0)),
    };
    struct dns_packer packer;
    dns_packer_start(&packer, out, &header, DNS_MESSAGE_MAX - (query->opt.count ? OPT_SIZE : 0));
    enum status status = dns_packer_question(&packer, &query->question);
    for (size_t i = 0; i < answer->count && status == STATUS_OK; i++) {
        status = pack_set(&packer, answer, &answer->sets[i]);
        if (status == STATUS_NO_SPACE && misses(answer, i))
            packer.header.flags |= DNS_FLAG_TC;
    }
    if (status == STATUS_OK || status == STATUS_NO_SPACE)
        status = dns_packer_finish(&packer);
    if (status == STATUS_OK && query->opt.count)
        status = dns_message_add_opt(out, ZONE_PAYLOAD_SIZE, answer->response_code, query->opt.dnssec_ok);
    return status;
}

static bool is_for_zone(const struct zone *zone, const struct dns_message *query)
{
    return !(query->header.flags & (DNS_FLAG_QR | DNS_FLAG_OPCODE)) &&
           query->header.counts[DNS_SECTION_QUESTION] == 1 && query->question.class_ == zone->class_ &&
           dns_name_is_subdomain(query->question.name, zone_origin(zone));
}

/* Answers with a code alone, which is no word of the zone's. */
static void decline(struct answer *answer, uint16_t response_code)
{
    answer->response_code = response_code;
    answer->authoritative = false;
}

static void answer_question(struct answer *answer, const uint8_t *name)
{
    for (size_t links = 0; name && links < LINKS_MAX; links++) {
        if (was_answered(answer, name) || !dns_name_is_subdomain(name, zone_origin(answer->zone)))
            break;
        name = answer_name(answer, name);
    }
    add_all_named(answer);
}

enum status zone_answer(const struct zone *zone, const struct dns_message *query, struct buffer *out)
{
    if (!is_for_zone(zone, query))
        return STATUS_NOT_FOUND;
    struct answer answer;
    start(&answer, zone, query->question.type);
    if (query->opt.count && query->opt.version > 0)
        decline(&answer, DNS_RCODE_BADVERS); /* RFC 6891 section 6.1.3 */
    else if (answer.type == TYPE_AXFR || answer.type == TYPE_IXFR)
        decline(&answer, DNS_RCODE_REFUSED); /* whole zones are not given away (RFC 5936 section 2.2.1) */
    else
        answer_question(&answer, query->question.name);
    enum status status = answer.failed ? STATUS_NO_MEMORY : STATUS_OK;
    if (status == STATUS_OK) {
        buffer_clear(out);
        status = pack(&answer, query, out);
    }
    if (answer.sets != answer.fixed)
        free(answer.sets);
    free(answer.index);
    return status;
}
