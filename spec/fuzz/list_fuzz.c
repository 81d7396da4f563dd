/* Any bytes as a list of domains and as one of addresses: what the sets hold afterwards they give back and let go of
 * again, and each line is either used or reported with its number. */
#include "messages.h"

#include "data/list_lines.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { LINES_MAX = 1 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint64_t secret[2] = {1, 2};

/* The sets' memory: each block is one of its own, so that every byte beyond it is out of bounds. */
struct block {
    void *now, *before;
};

static void *replace(void *context, size_t size)
{
    struct block *block = context;
    free(block->before);
    block->before = block->now;
    return block->now = malloc(size);
}

static void block_free(struct block *block)
{
    free(block->before);
    free(block->now);
}

static void check_report(void *context, size_t line, const char *text, size_t length, const struct reason *reason)
{
    size_t *last = context;
    MUST(line >= *last && line <= LINES_MAX);
    MUST(length > 0 && text[length - 1] != '\n');
    MUST(strlen(reason->text) > 0 && strlen(reason->text) < sizeof reason->text);
    *last = line;
}

/* The input's words as domains: what one adds is found, and is gone when it is removed. */
static void try_word(struct domain_set *set, const struct set_memory *memory, const char *word, size_t length)
{
    struct dns_name name;
    enum domain_kind kind;
    struct reason reason;
    bool added;
    if (domain_from_text(word, length, &name, &kind, &reason))
        return;
    const uint8_t *before = domain_set_match(set, name.wire);
    MUST(!before || dns_name_is_subdomain(name.wire, before));
    MUST(domain_set_add(set, memory, &name, kind, &added) == STATUS_OK);
    const uint8_t *found = domain_set_match(set, name.wire);
    if (kind == DOMAIN_EXCEPTION)
        MUST(!found);
    else
        MUST(found ? dns_name_equal(found, name.wire) : set->exceptions > 0);
    if (!added)
        return;
    MUST(domain_set_remove(set, &name, kind));
    MUST(!domain_set_remove(set, &name, kind));
    MUST(domain_set_match(set, name.wire) == before);
}

static void try_address(struct address_set *set, const struct set_memory *memory, const char *word, size_t length)
{
    struct address_prefix prefix, found, again;
    struct reason reason;
    char text[ADDRESS_PREFIX_TEXT_MAX];
    bool added;
    if (address_prefix_from_text(word, length, &prefix, &reason))
        return;
    address_prefix_text(&prefix, text);
    MUST(address_prefix_from_text(text, strlen(text), &again, &reason) == STATUS_OK);
    MUST(again.length == prefix.length && address_equal(&again.address, &prefix.address));
    MUST(address_set_add(set, memory, &prefix, &added) == STATUS_OK);
    MUST(address_set_match(set, &prefix.address, &found) && found.length >= prefix.length);
    MUST(!added || address_set_remove(set, &prefix));
}

static void count_report(void *context, size_t line, const char *text, size_t length, const struct reason *reason)
{
    size_t *told = context;
    MUST(line == 1 && length > 0 && text && reason->text[0]);
    ++*told;
}

/* Whether a line of domains may be passed over in silence: a comment, a list's head, the machine's own names. */
static bool may_be_silent(const char *text, size_t length)
{
    return memmem(text, length, "local", 5) || memmem(text, length, "ip6-", 4) || memmem(text, length, "host", 4) ||
           memmem(text, length, "0.0.0.0", 7) || memmem(text, length, "::1", 3) || text[0] == '!' || text[0] == '[' ||
           text[0] == '#' || text[0] == ';';
}

/* A line by itself gives something, or is told of, or is one that says nothing. */
static void try_line(const char *text, size_t length)
{
    struct block domain_block = {0}, address_block = {0};
    const struct set_memory domain_memory = {replace, &domain_block}, address_memory = {replace, &address_block};
    struct domain_set domains;
    struct address_set addresses;
    size_t told = 0;
    const struct list_report report = {count_report, &told};
    while (length > 0 && list_is_blank(text[0]))
        text++, length--;
    if (length > 2 && !memcmp(text, "\xef\xbb\xbf", 3))
        return;
    domain_set_init(&domains, secret);
    address_set_init(&addresses, secret);
    MUST(domain_set_parse(&domains, &domain_memory, text, length, &report) == STATUS_OK);
    if (length > 0 && !may_be_silent(text, length))
        MUST(told + domains.count + domains.exceptions > 0);
    told = 0;
    MUST(address_set_parse(&addresses, &address_memory, text, length, &report) == STATUS_OK);
    if (length == 0 || strchr("!#;", text[0]))
        MUST(told + address_set_count(&addresses) == 0 || !text[0]);
    else
        MUST(told + address_set_count(&addresses) == 1);
    block_free(&domain_block);
    block_free(&address_block);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct block domain_block = {0}, address_block = {0};
    const struct set_memory domain_memory = {replace, &domain_block}, address_memory = {replace, &address_block};
    struct domain_set domains;
    struct address_set addresses;
    struct reason reason;
    char path[32];
    size_t last = 0;
    const struct list_report report = {check_report, &last};
    const int fd = memfd_create("list", 0);
    MUST(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    domain_set_init(&domains, secret);
    address_set_init(&addresses, secret);
    MUST(domain_set_load(&domains, &domain_memory, path, &report, &reason) == STATUS_OK);
    last = 0;
    MUST(address_set_load(&addresses, &address_memory, path, &report, &reason) == STATUS_OK);
    close(fd);
    const char *text = (const char *)data, *end = text + size;
    while (text < end) {
        const char *line = memchr(text, '\n', (size_t)(end - text));
        const size_t length = (size_t)((line ? line : end) - text);
        try_line(text, length);
        try_word(&domains, &domain_memory, text, length);
        try_address(&addresses, &address_memory, text, length);
        text += length + (line != NULL);
    }
    block_free(&domain_block);
    block_free(&address_block);
    return 0;
}
