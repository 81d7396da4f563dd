#include "data/zone_list.h"

#include <stdlib.h>

enum { TYPE_DS = 43 };

/* Whether another file's zone, one of the first `count`, has the same name. */
static const struct zone_list_item *find_twin(const struct zone_list *list, size_t count,
                                              const struct zone_list_item *item, const struct zone *zone)
{
    for (size_t i = 0; i < count; i++)
        if (&list->items[i] != item &&
            dns_name_equal(zone_origin(zone_from(list->items[i].image.data)), zone_origin(zone)))
            return &list->items[i];
    return NULL;
}

/* Loads the item's file, among the first `count` items. */
static enum status load(const struct zone_list *list, size_t count, struct zone_list_item *item, struct reason *reason)
{
    const struct zone_source source = {.name = item->path};
    struct buffer image = {0};
    enum status status = zone_load(&source, &image, reason);
    const struct zone_list_item *twin = status ? NULL : find_twin(list, count, item, zone_from(image.data));
    if (twin) {
        char name[DNS_NAME_TEXT_MAX];
        dns_name_to_text(zone_origin(zone_from(image.data)), DNS_NAME_LOWER, name);
        reason_set(reason, "%s: the zone %s is in %s already", item->path, name, twin->path);
        status = STATUS_INVALID;
    }
    if (status) {
        buffer_free(&image);
        return status;
    }
    buffer_free(&item->image);
    item->image = image;
    return STATUS_OK;
}

enum status zone_list_load(struct zone_list *list, const char *const *paths, struct reason *reason)
{
    size_t count = 0;
    while (paths && paths[count])
        count++;
    struct zone_list made = {.items = calloc(count + 1, sizeof *made.items)};
    enum status status = made.items ? STATUS_OK : STATUS_NO_MEMORY;
    for (; status == STATUS_OK && made.count < count; made.count++) {
        struct zone_list_item *item = &made.items[made.count];
        item->path = strdup(paths[made.count]);
        status = item->path ? load(&made, made.count, item, reason) : STATUS_NO_MEMORY;
    }
    if (status == STATUS_NO_MEMORY)
        reason_set(reason, "out of memory");
    if (status)
        zone_list_free(&made);
    else
        *list = made;
    return status;
}

enum status zone_list_copy(const struct zone_list *list, struct zone_list *out)
{
    struct zone_list made = {.items = calloc(list->count + 1, sizeof *made.items)};
    enum status status = made.items ? STATUS_OK : STATUS_NO_MEMORY;
    for (; status == STATUS_OK && made.count < list->count; made.count++) {
        struct zone_list_item *item = &made.items[made.count];
        const struct buffer *image = &list->items[made.count].image;
        item->path = strdup(list->items[made.count].path);
        buffer_append(&item->image, image->data, image->length);
        status = item->path ? buffer_status(&item->image) : STATUS_NO_MEMORY;
    }
    if (status)
        zone_list_free(&made);
    else
        *out = made;
    return status;
}

bool zone_list_reload(struct zone_list *list, const struct log *log)
{
    struct reason reason = {""};
    bool all = true;
    for (size_t i = 0; i < list->count; i++) {
        if (load(list, list->count, &list->items[i], &reason) == STATUS_OK)
            continue;
        all = false;
        log_line(log, LOG_ERROR, "%s; the old zone stays", reason.text);
    }
    return all;
}

void zone_list_free(struct zone_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        free(list->items[i].path);
        buffer_free(&list->items[i].image);
    }
    free(list->items);
    *list = (struct zone_list){.count = 0};
}

/* The zone with the longest name that the name lies in; `above`: the zone of that very name does not count. */
static const struct zone_list_item *find(const struct zone_list *list, const struct dns_question *question, bool above)
{
    const struct zone_list_item *found = NULL;
    size_t longest = 0;
    for (size_t i = 0; i < list->count; i++) {
        const uint8_t *origin = zone_origin(zone_from(list->items[i].image.data));
        size_t length = dns_name_wire_length(origin, DNS_NAME_MAX);
        if (length > longest && length + above <= question->name_length &&
            dns_name_is_subdomain(question->name, origin)) {
            found = &list->items[i];
            longest = length;
        }
    }
    return found;
}

enum status zone_list_answer(const struct zone_list *list, const struct dns_message *query, struct buffer *out,
                             const char **path)
{
    const struct zone_list_item *item = NULL;
    if (list->count == 0 || query->header.counts[DNS_SECTION_QUESTION] != 1)
        return STATUS_NOT_FOUND;
    if (query->question.type == TYPE_DS)
        item = find(list, &query->question, true);
    if (!item)
        item = find(list, &query->question, false);
    if (!item)
        return STATUS_NOT_FOUND;
    enum status status = zone_answer(zone_from(item->image.data), query, out);
    if (status == STATUS_OK)
        *path = item->path;
    return status;
}
