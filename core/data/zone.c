/* Building a zone from the records of its file. */
#include "data/zone.h"

#include "base/text_file.h"
#include "data/zone_file.h"
#include "data/zone_image.h"
#include "dns/rdata.h"

#include <stdlib.h>

enum {
    SLOTS_LEAST = 16,
    TYPE_TSIG_FIRST = 128, /* types from here to 255 are questions and data of one message (RFC 6895 section 3.1) */
    TYPE_META_LAST = 255,
    TYPE_RRSIG = 46,
    TYPE_NSEC = 47,
    TYPE_NSEC3 = 50,
};

/* --- building --- */

/* The parts as they grow, each an array in a buffer. */
struct builder {
    struct buffer nodes, entries, sorted, slots, bytes;
    uint32_t node_count, entry_count, slots_mask;
    uint16_t class_;
    size_t origin_labels;
    uint32_t last_name; /* the last entry's owner */
};

static struct zone_node *node_at(const struct builder *builder, uint32_t node)
{
    return (struct zone_node *)(void *)builder->nodes.data + node;
}

static struct zone_entry *entry_at(const struct builder *builder, uint32_t entry)
{
    return (struct zone_entry *)(void *)builder->entries.data + entry;
}

static uint32_t *slots_of(const struct builder *builder)
{
    return (uint32_t *)(void *)builder->slots.data;
}

static uint32_t put_bytes(struct builder *builder, const void *data, size_t length)
{
    uint32_t at = (uint32_t)builder->bytes.length;
    buffer_append(&builder->bytes, data, length);
    return at;
}

/* The slot where this label below this parent is, or is to be. */
static uint32_t *find_slot(const struct builder *builder, uint32_t parent, const uint8_t *label)
{
    uint32_t at = zone_label_hash(parent, label);
    for (;; at++) {
        uint32_t *slot = slots_of(builder) + (at & builder->slots_mask);
        if (*slot == 0)
            return slot;
        const struct zone_node *node = node_at(builder, *slot - 1);
        if (node->parent == parent && zone_label_equal(builder->bytes.data + node->label, label))
            return slot;
    }
}

/* Sees to it that at least half of the slots are free with one node more. */
static enum status make_slots(struct builder *builder)
{
    size_t count = builder->slots_mask + 1u;
    if (builder->slots.length > 0 && builder->node_count + 1u <= count / 2)
        return STATUS_OK;
    count = builder->slots.length > 0 ? count * 2 : SLOTS_LEAST;
    buffer_clear(&builder->slots);
    if (!buffer_reserve(&builder->slots, count * sizeof(uint32_t)))
        return STATUS_NO_MEMORY;
    builder->slots.length = count * sizeof(uint32_t);
    memset(builder->slots.data, 0, builder->slots.length);
    builder->slots_mask = (uint32_t)(count - 1);
    for (uint32_t i = ZONE_APEX + 1; i < builder->node_count; i++) {
        const struct zone_node *node = node_at(builder, i);
        *find_slot(builder, node->parent, builder->bytes.data + node->label) = i + 1;
    }
    return STATUS_OK;
}

static enum status add_node(struct builder *builder, uint32_t parent, uint32_t label, uint32_t *out)
{
    const struct zone_node node = {.parent = parent, .label = label};
    enum status status = make_slots(builder);
    if (status)
        return status;
    buffer_append(&builder->nodes, &node, sizeof node);
    if (builder->nodes.failed || builder->bytes.failed)
        return STATUS_NO_MEMORY;
    if (parent != ZONE_NOTHING)
        *find_slot(builder, parent, builder->bytes.data + label) = builder->node_count + 1;
    *out = builder->node_count++;
    return STATUS_OK;
}

/* The node of the owner whose name stands at `name` in the bytes, with all above it. */
static enum status find_or_add_node(struct builder *builder, uint32_t name, uint32_t *out)
{
    uint8_t labels[ZONE_LABELS_MAX];
    uint32_t node = ZONE_APEX;
    for (size_t i = zone_labels(builder->bytes.data + name, labels) - builder->origin_labels; i-- > 0;) {
        uint32_t label = name + labels[i];
        uint32_t found = *find_slot(builder, node, builder->bytes.data + label);
        enum status status = STATUS_OK;
        if (found)
            node = found - 1;
        else
            status = add_node(builder, node, label, &node);
        if (status)
            return status;
    }
    *out = node;
    return STATUS_OK;
}

/* --- what a zone may hold --- */

static bool is_meta(uint16_t type)
{
    return type == 0 || type == DNS_TYPE_OPT || (type >= TYPE_TSIG_FIRST && type <= TYPE_META_LAST);
}

static const uint8_t *origin_of(const struct builder *builder)
{
    return builder->bytes.data + entry_at(builder, 0)->name;
}

static enum status refuse(const struct dns_record *record, const char *why, struct reason *reason)
{
    char name[DNS_NAME_TEXT_MAX], type[DNS_MNEMONIC_MAX];
    dns_name_to_text(record->name, DNS_NAME_PLAIN, name);
    reason_set(reason, "%s %s: %s", name, dns_registry_to_text(DNS_TYPES, record->type, type), why);
    return STATUS_INVALID;
}

static enum status check_place(const struct builder *builder, const struct dns_record *record, struct reason *reason)
{
    if (is_meta(record->type))
        return refuse(record, "no zone holds records of this type", reason);
    if (builder->entry_count == 0)
        return record->type == DNS_TYPE_SOA ? STATUS_OK : refuse(record, "a zone begins with its SOA record", reason);
    if (record->class_ != builder->class_)
        return refuse(record, "not of the zone's class", reason);
    if (!dns_name_is_subdomain(record->name, origin_of(builder)))
        return refuse(record, "not in the zone", reason);
    return STATUS_OK;
}

static uint32_t flag_of(uint16_t type)
{
    switch (type) {
    case DNS_TYPE_NS:
        return ZONE_NODE_NS | ZONE_NODE_OTHER;
    case DNS_TYPE_CNAME:
        return ZONE_NODE_CNAME;
    case DNS_TYPE_DNAME:
        return ZONE_NODE_DNAME | ZONE_NODE_OTHER;
    case TYPE_RRSIG:
    case TYPE_NSEC:
        return 0;
    default:
        return ZONE_NODE_OTHER;
    }
}

/* Of the types that a name has once, whether there is one already, and whether it is the same. */
static bool is_single(uint16_t type)
{
    return type == DNS_TYPE_SOA || type == DNS_TYPE_CNAME || type == DNS_TYPE_DNAME;
}

static bool same_data(const struct builder *builder, const struct zone_entry *entry, const struct dns_record *record)
{
    return entry->data_length == record->data_length &&
           (record->data_length == 0 || !memcmp(builder->bytes.data + entry->data, record->data, record->data_length));
}

/* Whether the record can stand beside what its node has. STATUS_NOT_FOUND: it is there already. */
static enum status check_beside(const struct builder *builder, uint32_t node, const struct dns_record *record,
                                struct reason *reason)
{
    uint32_t has = node_at(builder, node)->flags, comes = flag_of(record->type);
    if (record->type == DNS_TYPE_SOA && node != ZONE_APEX)
        return refuse(record, "a zone has one SOA record", reason);
    if (is_single(record->type)) {
        /* A node's first single record is kept in `first` while the zone is built. */
        uint32_t single = node_at(builder, node)->first;
        bool there = record->type == DNS_TYPE_SOA || has & comes & (ZONE_NODE_CNAME | ZONE_NODE_DNAME);
        if (record->type == DNS_TYPE_SOA)
            single = 0;
        if (there && same_data(builder, entry_at(builder, single), record))
            return STATUS_NOT_FOUND;
        if (there)
            return refuse(record, "a name has one such record", reason);
    }
    if ((comes & ZONE_NODE_CNAME && has & ZONE_NODE_OTHER) || (comes & ZONE_NODE_OTHER && has & ZONE_NODE_CNAME))
        return refuse(record, "no other data beside a CNAME", reason);
    uint32_t both = has | comes;
    if (node != ZONE_APEX && both & ZONE_NODE_NS && both & ZONE_NODE_DNAME)
        return refuse(record, "no DNAME beside NS, but at the zone's top", reason);
    return STATUS_OK;
}

/* Whether the record can stand below what is above it, and above what is below it: under a DNAME there is nothing
 * (RFC 6672 section 2.4), but for the hashed names of NSEC3. */
static enum status check_above(const struct builder *builder, uint32_t node, const struct dns_record *record,
                               struct reason *reason)
{
    if (record->type == TYPE_NSEC3 || record->type == TYPE_RRSIG)
        return STATUS_OK;
    if (record->type == DNS_TYPE_DNAME && node_at(builder, node)->flags & ZONE_NODE_ABOVE)
        return refuse(record, "there are records below it", reason);
    for (uint32_t at = node_at(builder, node)->parent; at != ZONE_NOTHING; at = node_at(builder, at)->parent) {
        if (node_at(builder, at)->flags & ZONE_NODE_DNAME)
            return refuse(record, "no records below a DNAME", reason);
        node_at(builder, at)->flags |= ZONE_NODE_ABOVE;
    }
    return STATUS_OK;
}

/* --- adding --- */

static enum status put_owner(struct builder *builder, const struct dns_record *record, uint32_t *out)
{
    uint32_t last = builder->last_name;
    bool same = builder->entry_count > 0 && builder->bytes.length - last >= record->name_length &&
                !memcmp(builder->bytes.data + last, record->name, record->name_length);
    *out = same ? last : put_bytes(builder, record->name, record->name_length);
    return buffer_status(&builder->bytes);
}

static enum status start_zone(struct builder *builder, const struct dns_record *record)
{
    uint8_t labels[ZONE_LABELS_MAX];
    uint32_t apex;
    builder->class_ = record->class_;
    builder->origin_labels = zone_labels(record->name, labels);
    return add_node(builder, ZONE_NOTHING, 0, &apex);
}

static enum status add_record(void *context, const struct dns_record *record, struct reason *reason)
{
    struct builder *builder = context;
    struct zone_entry entry = {
        .ttl = record->ttl,
        .type = record->type,
        .data_length = record->data_length,
        .name_length = record->name_length,
    };
    bool first = builder->entry_count == 0;
    enum status status = check_place(builder, record, reason);
    if (status == STATUS_OK && builder->bytes.length > UINT32_MAX / 4) {
        reason_set(reason, "the zone is too large");
        return STATUS_NO_SPACE;
    }
    if (status == STATUS_OK && first)
        status = start_zone(builder, record);
    if (status == STATUS_OK)
        status = put_owner(builder, record, &entry.name);
    if (status == STATUS_OK)
        status = find_or_add_node(builder, entry.name, &entry.node);
    if (status == STATUS_OK && !first)
        status = check_beside(builder, entry.node, record, reason);
    if (status == STATUS_OK)
        status = check_above(builder, entry.node, record, reason);
    if (status)
        return status == STATUS_NOT_FOUND ? STATUS_OK : status;
    entry.data = put_bytes(builder, record->data, record->data_length);
    buffer_append(&builder->entries, &entry, sizeof entry);
    if (builder->bytes.failed || builder->entries.failed)
        return STATUS_NO_MEMORY;
    struct zone_node *node = node_at(builder, entry.node);
    node->flags |= flag_of(record->type);
    if (is_single(record->type) && record->type != DNS_TYPE_SOA)
        node->first = builder->entry_count;
    builder->last_name = entry.name;
    builder->entry_count++;
    return STATUS_OK;
}

/* --- sorting --- */

/* By node and type; then by data, or by place in the file. */
static int compare_sets(const struct zone_entry *x, const struct zone_entry *y)
{
    if (x->node != y->node)
        return x->node < y->node ? -1 : 1;
    return (x->type > y->type) - (x->type < y->type);
}

static int compare_data(const void *a, const void *b, void *context)
{
    const struct builder *builder = context;
    uint32_t i = *(const uint32_t *)a, j = *(const uint32_t *)b;
    const struct zone_entry *x = entry_at(builder, i), *y = entry_at(builder, j);
    int order = compare_sets(x, y);
    if (order == 0)
        order = (x->data_length > y->data_length) - (x->data_length < y->data_length);
    if (order == 0 && x->data_length > 0)
        order = memcmp(builder->bytes.data + x->data, builder->bytes.data + y->data, x->data_length);
    return order ? order : (i > j) - (i < j);
}

static int compare_places(const void *a, const void *b, void *context)
{
    const struct builder *builder = context;
    uint32_t i = *(const uint32_t *)a, j = *(const uint32_t *)b;
    int order = compare_sets(entry_at(builder, i), entry_at(builder, j));
    return order ? order : (i > j) - (i < j);
}

static void sort(struct builder *builder, int (*compare)(const void *, const void *, void *))
{
    uint32_t *sorted = (uint32_t *)(void *)builder->sorted.data;
    for (uint32_t i = 0; i < builder->entry_count; i++)
        sorted[i] = i;
    builder->sorted.length = builder->entry_count * sizeof *sorted;
    qsort_r(sorted, builder->entry_count, sizeof *sorted, compare, builder);
}

/* Takes out what is there twice: of equal entries the first stays. */
static void drop_twins(struct builder *builder)
{
    const uint32_t *sorted = (const uint32_t *)(const void *)builder->sorted.data;
    sort(builder, compare_data);
    for (uint32_t i = 1, original = 0; i < builder->entry_count; i++) {
        struct zone_entry *x = entry_at(builder, sorted[original]), *y = entry_at(builder, sorted[i]);
        bool twin = compare_sets(x, y) == 0 && x->data_length == y->data_length &&
                    !memcmp(builder->bytes.data + x->data, builder->bytes.data + y->data, x->data_length);
        if (twin)
            y->name_length = 0;
        else
            original = i;
    }
    uint32_t kept = 0;
    for (uint32_t i = 0; i < builder->entry_count; i++)
        if (entry_at(builder, i)->name_length > 0)
            *entry_at(builder, kept++) = *entry_at(builder, i);
    builder->entry_count = kept;
    builder->entries.length = kept * sizeof(struct zone_entry);
}

/* Tells each node its records. */
static void link_nodes(struct builder *builder)
{
    const uint32_t *sorted = (const uint32_t *)(const void *)builder->sorted.data;
    for (uint32_t i = 0; i < builder->node_count; i++)
        node_at(builder, i)->first = 0;
    for (uint32_t i = 0; i < builder->entry_count; i++) {
        struct zone_node *node = node_at(builder, entry_at(builder, sorted[i])->node);
        if (node->count++ == 0)
            node->first = i;
    }
}

/* Gives all records of one name and type the lowest of their TTLs (RFC 2181 section 5.2). */
static void level_ttls(struct builder *builder)
{
    const uint32_t *sorted = (const uint32_t *)(const void *)builder->sorted.data;
    for (uint32_t first = 0, end; first < builder->entry_count; first = end) {
        const struct zone_entry *set = entry_at(builder, sorted[first]);
        uint32_t lowest = set->ttl;
        for (end = first + 1; end < builder->entry_count; end++) {
            const struct zone_entry *entry = entry_at(builder, sorted[end]);
            if (compare_sets(set, entry) != 0)
                break;
            lowest = entry->ttl < lowest ? entry->ttl : lowest;
        }
        for (uint32_t i = first; i < end; i++)
            entry_at(builder, sorted[i])->ttl = lowest;
    }
}

/* --- the image --- */

static uint32_t put_part(struct buffer *out, const struct buffer *part)
{
    uint32_t at = (uint32_t)out->length;
    buffer_append(out, part->data, part->length);
    return at;
}

static enum status write_image(struct builder *builder, struct buffer *out, struct reason *reason)
{
    struct zone zone = {
        .class_ = builder->class_,
        .origin_labels = (uint16_t)builder->origin_labels,
        .node_count = builder->node_count,
        .entry_count = builder->entry_count,
        .slots_mask = builder->slots_mask,
    };
    const struct buffer *parts[] = {&builder->nodes, &builder->entries, &builder->sorted, &builder->slots,
                                    &builder->bytes};
    size_t size = sizeof zone;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        size += parts[i]->length;
    if (size > UINT32_MAX) {
        reason_set(reason, "the zone is too large");
        return STATUS_NO_SPACE;
    }
    buffer_clear(out);
    if (!buffer_reserve(out, size))
        return STATUS_NO_MEMORY;
    out->length = sizeof zone;
    zone.nodes = put_part(out, parts[0]);
    zone.entries = put_part(out, parts[1]);
    zone.sorted = put_part(out, parts[2]);
    zone.slots = put_part(out, parts[3]);
    zone.bytes = put_part(out, parts[4]);
    zone.size = (uint32_t)out->length;
    memcpy(out->data, &zone, sizeof zone);
    return STATUS_OK;
}

static enum status finish(struct builder *builder, const char *name, struct buffer *out, struct reason *reason)
{
    if (builder->entry_count == 0) {
        reason_set(reason, "%s: no records", name);
        return STATUS_INVALID;
    }
    if (!buffer_reserve(&builder->sorted, builder->entry_count * sizeof(uint32_t)))
        return STATUS_NO_MEMORY;
    drop_twins(builder);
    sort(builder, compare_places);
    link_nodes(builder);
    level_ttls(builder);
    return write_image(builder, out, reason);
}

/* --- from outside --- */

enum status zone_parse(const struct zone_source *source, const char *text, size_t length, struct buffer *out,
                       struct reason *reason)
{
    struct builder builder = {.class_ = 0};
    const struct zone_file_reading reading = {
        .origin = source->origin,
        .generated_max = source->generated_max ? source->generated_max : ZONE_FILE_GENERATED_MAX,
        .open = source->no_include ? NULL : text_file_read_named,
        .add = add_record,
        .context = &builder,
    };
    enum status status = zone_file_read(&reading, source->name, text, length, reason);
    if (status == STATUS_OK) {
        status = finish(&builder, source->name, out, reason);
        if (status == STATUS_NO_MEMORY)
            reason_set(reason, "%s: out of memory", source->name);
    }
    buffer_free(&builder.nodes);
    buffer_free(&builder.entries);
    buffer_free(&builder.sorted);
    buffer_free(&builder.slots);
    buffer_free(&builder.bytes);
    return status;
}

enum status zone_load(const struct zone_source *source, struct buffer *out, struct reason *reason)
{
    struct buffer text = {0};
    enum status status = text_file_read_named(source->name, &text, reason);
    if (status == STATUS_OK)
        status = zone_parse(source, (const char *)text.data, text.length, out, reason);
    buffer_free(&text);
    return status == STATUS_NOT_FOUND ? STATUS_IO : status;
}

size_t zone_size(const struct zone *zone)
{
    return zone->size;
}

const uint8_t *zone_origin(const struct zone *zone)
{
    return zone_bytes(zone, ZONE_PART(zone, struct zone_entry, entries)->name);
}

size_t zone_count(const struct zone *zone)
{
    return zone->entry_count;
}

void zone_record(const struct zone *zone, size_t index, struct dns_record *out)
{
    *out = zone_record_of(zone, ZONE_PART(zone, struct zone_entry, entries) + index);
}
