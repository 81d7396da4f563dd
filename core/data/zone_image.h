/* How a zone lies in memory. Private to zone*.c. */
#ifndef MOONDNS_DATA_ZONE_IMAGE_H
#define MOONDNS_DATA_ZONE_IMAGE_H

#include "data/zone.h"

#define ZONE_NOTHING UINT32_MAX /* no node, no record */

enum { ZONE_APEX = 0 /* the first node */ };

enum zone_node_flag {
    ZONE_NODE_NS = 1,
    ZONE_NODE_CNAME = 2,
    ZONE_NODE_DNAME = 4,
    ZONE_NODE_OTHER = 8,  /* data that may not stand beside a CNAME */
    ZONE_NODE_ABOVE = 16, /* there are records below, none of which may be below a DNAME */
};

/* A name that exists: one with records, or one between such a name and the top (RFC 4592 section 2.2.2). */
struct zone_node {
    uint32_t parent;
    uint32_t label;        /* its first label, length byte before it: an offset into the bytes */
    uint32_t first, count; /* its records in `sorted` */
    uint32_t flags;
};

struct zone_entry {
    uint32_t node;
    uint32_t name, data; /* offsets into the bytes */
    uint32_t ttl;
    uint16_t type, data_length;
    uint8_t name_length;
};

/* The parts stand behind the struct in this order, at offsets from its start. */
struct zone {
    uint32_t size;
    uint16_t class_, origin_labels;
    uint32_t node_count, entry_count;
    uint32_t slots_mask; /* of the hash table: a power of two less one */
    uint32_t nodes, entries;
    uint32_t sorted; /* entries by node and type, else in the file's order */
    uint32_t slots;  /* node + 1, or 0: hashed by parent and label */
    uint32_t bytes;
};

#define ZONE_PART(zone, type, part) ((const type *)(const void *)((const uint8_t *)(zone) + (zone)->part))

static inline const struct zone_node *zone_node(const struct zone *zone, uint32_t node)
{
    return ZONE_PART(zone, struct zone_node, nodes) + node;
}

/* A place in `sorted`. */
static inline const struct zone_entry *zone_sorted(const struct zone *zone, uint32_t place)
{
    return ZONE_PART(zone, struct zone_entry, entries) + ZONE_PART(zone, uint32_t, sorted)[place];
}

static inline const uint8_t *zone_bytes(const struct zone *zone, uint32_t offset)
{
    return ZONE_PART(zone, uint8_t, bytes) + offset;
}

/* The record of an entry, borrowed. */
static inline struct dns_record zone_record_of(const struct zone *zone, const struct zone_entry *entry)
{
    return (struct dns_record){
        .name = zone_bytes(zone, entry->name),
        .name_length = entry->name_length,
        .type = entry->type,
        .class_ = zone->class_,
        .ttl = entry->ttl,
        .data = zone_bytes(zone, entry->data),
        .data_length = entry->data_length,
    };
}

/* --- looking names up: zone_find.c --- */

enum { ZONE_LABELS_MAX = 127 };

/* The offsets of a name's labels, the root's not counted. */
size_t zone_labels(const uint8_t *name, uint8_t out[static ZONE_LABELS_MAX]);

enum zone_place {
    ZONE_PLACE_NODE,     /* the name exists */
    ZONE_PLACE_WILDCARD, /* it does not, and `node` is the wildcard that stands for it (RFC 4592) */
    ZONE_PLACE_CUT,      /* at or below a delegation, or a wildcard's, whose node it is */
    ZONE_PLACE_DNAME,    /* below a DNAME, whose node it is */
    ZONE_PLACE_NOTHING,  /* no such name */
};

struct zone_found {
    enum zone_place place;
    uint32_t node;
    uint8_t above; /* where in the name the node's own begins, for ZONE_PLACE_DNAME */
};

/* Finds the name, which must be at or below the zone's top, from the top down (RFC 1034 section 4.3.2). With
 * `at_parent` a cut at the name itself is none: DS is the parent's (RFC 4035 section 3.1.4.1). */
struct zone_found zone_find(const struct zone *zone, const uint8_t *name, bool at_parent);

/* The same for addresses that are added: what lies below a cut is found too (glue), and DNAMEs do not count. */
struct zone_found zone_find_glue(const struct zone *zone, const uint8_t *name);

/* The node's records of a type: the place of the first in `sorted`, and how many. */
uint32_t zone_find_set(const struct zone *zone, uint32_t node, uint16_t type, uint32_t *first);

/* The hash of a label (its length byte before it) below a parent, without regard to case. */
uint32_t zone_label_hash(uint32_t parent, const uint8_t *label);
bool zone_label_equal(const uint8_t *a, const uint8_t *b);

#endif
