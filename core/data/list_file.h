/* Lists in files and texts, one thing a line. */
#ifndef MOONDNS_DATA_LIST_FILE_H
#define MOONDNS_DATA_LIST_FILE_H

#include "data/address_set.h"
#include "data/domain_set.h"

/* What is told of lines that cannot be used. */
struct list_report {
    /* `line` counts from 1; `text` is the line or the word in it, borrowed, any bytes. */
    void (*unusable)(void *context, size_t line, const char *text, size_t length, const struct reason *reason);
    void *context;
};

/* What a domain is written as: "ads.example"; "*.ads.example", ".ads.example", "||ads.example^" and "||ads.example",
 * which are the same; and "@@||good.ads.example^", an exception. The reason says what is wrong with the text. */
MUST_CHECK enum status domain_from_text(const char *text, size_t length, struct dns_name *name, enum domain_kind *kind,
                                        struct reason *reason);

/* Adds the domains of a file, which may mix the usual forms of lists: domain_from_text's, with "$important" and its
 * like behind the last; hosts files (the names count, of whatever address; the machine's own, localhost and so on, are
 * passed over); dnsmasq's "address=/ads.example/0.0.0.0", "server=/ads.example/" and "local=/ads.example/". Comments
 * begin with #, ; or !, or with # or ; in a line. UTF-8 is turned into A-labels. Lines that cannot be used are reported
 * and left out. STATUS_IO (with the reason) when the file cannot be read, STATUS_NO_MEMORY: what came before is in the
 * set. */
MUST_CHECK enum status domain_set_load(struct domain_set *set, const struct set_memory *memory, const char *path,
                                       const struct list_report *report, struct reason *reason);

/* The same from the file's text. */
MUST_CHECK enum status domain_set_parse(struct domain_set *set, const struct set_memory *memory, const char *text,
                                        size_t length, const struct list_report *report);

/* The same for addresses and prefixes. Comments begin with #, ; or !. */
MUST_CHECK enum status address_set_load(struct address_set *set, const struct set_memory *memory, const char *path,
                                        const struct list_report *report, struct reason *reason);

MUST_CHECK enum status address_set_parse(struct address_set *set, const struct set_memory *memory, const char *text,
                                         size_t length, const struct list_report *report);

#endif
