/* Looking names up in a zone. */
#include "data/zone_image.h"

uint32_t zone_label_hash(uint32_t parent, const uint8_t *label)
{
    uint32_t hash = (2166136261u ^ parent) * 16777619u; /* FNV-1a */
    hash ^= hash >> 15;
    for (unsigned i = 0; i <= label[0]; i++)
        hash = (hash ^ dns_lower(label[i])) * 16777619u;
    return hash ^ hash >> 15;
}

bool zone_label_equal(const uint8_t *a, const uint8_t *b)
{
    for (unsigned i = 0; i <= a[0]; i++)
        if (a[i] != b[i] && dns_lower(a[i]) != dns_lower(b[i]))
            return false;
    return true;
}

size_t zone_labels(const uint8_t *name, uint8_t out[static ZONE_LABELS_MAX])
{
    size_t count = 0;
    for (size_t at = 0; name[at]; at += name[at] + 1u)
        out[count++] = (uint8_t)at;
    return count;
}

static uint32_t find_child(const struct zone *zone, uint32_t parent, const uint8_t *label)
{
    const uint32_t *slots = ZONE_PART(zone, uint32_t, slots);
    for (uint32_t at = zone_label_hash(parent, label);; at++) {
        uint32_t slot = slots[at & zone->slots_mask];
        if (slot == 0)
            return ZONE_NOTHING;
        const struct zone_node *node = zone_node(zone, slot - 1);
        if (node->parent == parent && zone_label_equal(zone_bytes(zone, node->label), label))
            return slot - 1;
    }
}

/* What stands for a name below `encloser` that does not exist. NS there is not defined (RFC 4592 section 4.2): it is
 * taken for the delegation of all such names, under the wildcard's own name, as others take it. */
static struct zone_found find_wildcard(const struct zone *zone, uint32_t encloser, bool at_parent)
{
    uint32_t node = find_child(zone, encloser, (const uint8_t *)"\1*");
    if (node == ZONE_NOTHING)
        return (struct zone_found){.place = ZONE_PLACE_NOTHING};
    bool cut = zone_node(zone, node)->flags & ZONE_NODE_NS && !at_parent;
    return (struct zone_found){.place = cut ? ZONE_PLACE_CUT : ZONE_PLACE_WILDCARD, .node = node};
}

struct zone_found zone_find(const struct zone *zone, const uint8_t *name, bool at_parent)
{
    uint8_t labels[ZONE_LABELS_MAX];
    uint32_t node = ZONE_APEX;
    size_t left = zone_labels(name, labels);
    for (left -= zone->origin_labels;; left--) {
        uint32_t flags = zone_node(zone, node)->flags;
        if (flags & ZONE_NODE_NS && node != ZONE_APEX && !(left == 0 && at_parent))
            return (struct zone_found){.place = ZONE_PLACE_CUT, .node = node};
        if (left == 0)
            return (struct zone_found){.place = ZONE_PLACE_NODE, .node = node};
        const uint8_t *label = name + labels[left - 1];
        if (flags & ZONE_NODE_DNAME)
            return (struct zone_found){ZONE_PLACE_DNAME, node, (uint8_t)(labels[left - 1] + *label + 1)};
        uint32_t child = find_child(zone, node, label);
        if (child == ZONE_NOTHING)
            return find_wildcard(zone, node, at_parent);
        node = child;
    }
}

struct zone_found zone_find_glue(const struct zone *zone, const uint8_t *name)
{
    uint8_t labels[ZONE_LABELS_MAX];
    uint32_t node = ZONE_APEX;
    for (size_t left = zone_labels(name, labels) - zone->origin_labels; left > 0; left--) {
        uint32_t child = find_child(zone, node, name + labels[left - 1]);
        if (child == ZONE_NOTHING)
            return find_wildcard(zone, node, true);
        node = child;
    }
    return (struct zone_found){.place = ZONE_PLACE_NODE, .node = node};
}

uint32_t zone_find_set(const struct zone *zone, uint32_t node, uint16_t type, uint32_t *first)
{
    uint32_t at = zone_node(zone, node)->first, end = at + zone_node(zone, node)->count, high = end;
    while (at < high) {
        uint32_t middle = at + (high - at) / 2;
        if (zone_sorted(zone, middle)->type < type)
            at = middle + 1;
        else
            high = middle;
    }
    uint32_t behind = at;
    while (behind < end && zone_sorted(zone, behind)->type == type)
        behind++;
    *first = at;
    return behind - at;
}
