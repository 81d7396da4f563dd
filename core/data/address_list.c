/* Lists of addresses and prefixes. */
#include "data/list_lines.h"

struct list {
    struct address_set *set;
    const struct set_memory *memory;
    const struct list_report *report;
};

static enum status take_line(void *context, const char *line, size_t length, size_t number)
{
    struct list *list = context;
    struct address_prefix prefix;
    struct reason reason;
    bool added;
    size_t end = 0;
    if (line[0] == '!')
        return STATUS_OK;
    while (end < length && line[end] != '#' && line[end] != ';')
        end++;
    while (end > 0 && list_is_blank(line[end - 1]))
        end--;
    if (end == 0)
        return STATUS_OK;
    if (address_prefix_from_text(line, end, &prefix, &reason) == STATUS_OK)
        return address_set_add(list->set, list->memory, &prefix, &added);
    list->report->unusable(list->report->context, number, line, end, &reason);
    return STATUS_OK;
}

enum status address_set_load(struct address_set *set, const struct set_memory *memory, const char *path,
                             const struct list_report *report, struct reason *reason)
{
    struct list list = {.set = set, .memory = memory, .report = report};
    const struct list_lines lines = {take_line, &list, report};
    return list_lines_read(path, &lines, reason);
}

enum status address_set_parse(struct address_set *set, const struct set_memory *memory, const char *text, size_t length,
                              const struct list_report *report)
{
    struct list list = {.set = set, .memory = memory, .report = report};
    const struct list_lines lines = {take_line, &list, report};
    return list_lines_parse(text, length, &lines);
}
