/* The zones that are served, each from its file. */
#ifndef MOONDNS_DATA_ZONE_LIST_H
#define MOONDNS_DATA_ZONE_LIST_H

#include "base/log.h"
#include "data/zone.h"

struct zone_list_item {
    char *path;
    struct buffer image; /* zone_from(image.data) */
};

/* Owns its items; all zeros is an empty list. */
struct zone_list {
    struct zone_list_item *items;
    size_t count;
};

/* Fills an empty list from these files (ended by NULL; NULL: none). Fails as zone_load does, and when two files hold
 * the same zone. */
MUST_CHECK enum status zone_list_load(struct zone_list *list, const char *const *paths, struct reason *reason);

/* Fills an empty list with the same zones. STATUS_NO_MEMORY. */
MUST_CHECK enum status zone_list_copy(const struct zone_list *list, struct zone_list *out);

/* Reads all files again; a zone whose file cannot be used stays as it was, and the reason is logged: false. */
MUST_CHECK bool zone_list_reload(struct zone_list *list, const struct log *log);

void zone_list_free(struct zone_list *list);

/* Replaces what `out` holds by the answer of the zone that is nearest to the name (for DS, nearest above it: RFC 4035
 * section 3.1.4.1); `path`, borrowed, is its file. STATUS_NOT_FOUND when it is nothing for any of them. */
MUST_CHECK enum status zone_list_answer(const struct zone_list *list, const struct dns_message *query,
                                        struct buffer *out, const char **path);

#endif
