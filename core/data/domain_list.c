/* Lists of domains: the forms that a line can have. */
#include "base/address.h"
#include "data/list_lines.h"

struct list {
    struct domain_set *set;
    const struct set_memory *memory;
    const struct list_report *report;
    size_t line;
};

/* A part of a line. */
struct word {
    const char *text;
    size_t length;
};

static bool starts_with(struct word word, const char *start)
{
    const size_t length = strlen(start);
    return word.length >= length && memcmp(word.text, start, length) == 0;
}

static bool equals(struct word word, const char *text)
{
    return word.length == strlen(text) && memcmp(word.text, text, word.length) == 0;
}

static struct word skip(struct word word, size_t length)
{
    return (struct word){word.text + length, word.length - length};
}

static bool is_any_of(struct word word, const char *const *texts)
{
    while (*texts && !equals(word, *texts))
        texts++;
    return *texts != NULL;
}

/* --- ||domain^$options --- */

/* Options that leave the rule what it is for a whole domain. */
static const char *const harmless_options[] = {"important", "all", "doc", "document", NULL};

static MUST_CHECK enum status check_options(struct word options, struct reason *reason)
{
    while (options.length) {
        const char *comma = memchr(options.text, ',', options.length);
        const struct word option = {options.text, comma ? (size_t)(comma - options.text) : options.length};
        if (!is_any_of(option, harmless_options)) {
            reason_set(reason, "the option '%.*s' cannot be honoured", (int)(option.length < 40 ? option.length : 40),
                       option.text);
            return STATUS_INVALID;
        }
        options = skip(options, comma ? option.length + 1 : option.length);
    }
    return STATUS_OK;
}

/* The domain of "||domain^", "||domain^$options" or "||domain", with nothing behind it. */
static MUST_CHECK enum status take_rule(struct word rule, struct word *domain, struct reason *reason)
{
    rule = skip(rule, 2);
    size_t length = 0;
    while (length < rule.length && !strchr("^$/|", rule.text[length]))
        length++;
    struct word behind = skip(rule, length);
    if (starts_with(behind, "^"))
        behind = skip(behind, 1);
    if (starts_with(behind, "|"))
        behind = skip(behind, 1);
    if (behind.length && behind.text[0] != '$') {
        reason_set(reason, "only a whole domain can be matched");
        return STATUS_INVALID;
    }
    *domain = (struct word){rule.text, length};
    return behind.length ? check_options(skip(behind, 1), reason) : STATUS_OK;
}

/* --- one domain --- */

/* The text of the domain that the word stands for, and what kind it is. */
static MUST_CHECK enum status unwrap(struct word word, struct word *domain, enum domain_kind *kind,
                                     struct reason *reason)
{
    *kind = DOMAIN_ENTRY;
    *domain = word;
    if (starts_with(word, "@@")) {
        *kind = DOMAIN_EXCEPTION;
        word = skip(word, 2);
        if (!starts_with(word, "||")) {
            reason_set(reason, "'||' expected behind '@@'");
            return STATUS_INVALID;
        }
    }
    if (starts_with(word, "||")) {
        enum status status = take_rule(word, domain, reason);
        if (status)
            return status;
    }
    if (starts_with(*domain, "*."))
        *domain = skip(*domain, 2);
    else if (starts_with(*domain, ".") && domain->length > 1)
        *domain = skip(*domain, 1);
    if (domain->length == 0) {
        reason_set(reason, "a domain expected");
        return STATUS_INVALID;
    }
    return STATUS_OK;
}

enum status domain_from_text(const char *text, size_t length, struct dns_name *name, enum domain_kind *kind,
                             struct reason *reason)
{
    const struct word word = {text, length};
    struct word domain = word;
    enum domain_kind found = DOMAIN_ENTRY;
    struct dns_name read;
    enum status status = length ? unwrap(word, &domain, &found, reason) : STATUS_OK;
    if (!status)
        status = dns_name_from_text(domain.text, domain.length, &read, reason);
    if (status)
        return status;
    *name = read;
    *kind = found;
    return STATUS_OK;
}

static bool is_address(struct word word)
{
    struct address address;
    const char *zone = memchr(word.text, '%', word.length); /* as in fe80::1%lo0 */
    const size_t length = zone ? (size_t)(zone - word.text) : word.length;
    const bool dotted = length && word.text[0] <= '9' && word.text[length - 1] <= '9';
    return (dotted || memchr(word.text, ':', length)) && address_from_ip(word.text, length, &address) == STATUS_OK;
}

/* Domains in lists are host names. Other characters are signs of a form that is not known here, such as a URL, a
 * pattern or a regular expression. */
static MUST_CHECK enum status check_host(const struct dns_name *name, struct reason *reason)
{
    for (const uint8_t *label = name->wire; *label; label += *label + 1u) {
        for (size_t i = 1; i <= *label; i++) {
            const uint8_t byte = dns_lower(label[i]);
            if ((byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9') || byte == '-' || byte == '_')
                continue;
            if (byte > ' ' && byte < 0x7f)
                reason_set(reason, "a domain expected, and no '%c' in it", byte);
            else
                reason_set(reason, "a domain expected, and no byte %u in it", byte);
            return STATUS_INVALID;
        }
    }
    return STATUS_OK;
}

/* Adds what the word says, or reports why not. */
static MUST_CHECK enum status add(struct list *list, struct word word)
{
    struct word domain;
    struct dns_name name;
    enum domain_kind kind;
    struct reason reason;
    bool added;
    enum status status = unwrap(word, &domain, &kind, &reason);
    if (!status && is_address(domain)) {
        reason_set(&reason, "a domain expected, and no address");
        status = STATUS_INVALID;
    }
    if (!status)
        status = dns_name_from_text(domain.text, domain.length, &name, &reason);
    if (!status)
        status = check_host(&name, &reason);
    if (!status)
        return domain_set_add(list->set, list->memory, &name, kind, &added);
    if (status == STATUS_NO_MEMORY)
        return status;
    list->report->unusable(list->report->context, list->line, word.text, word.length, &reason);
    return STATUS_OK;
}

/* --- lines --- */

static bool is_comment(char byte)
{
    return byte == '#' || byte == ';';
}

/* The next word; empty at the line's end, or where a comment begins. */
static struct word next_word(struct word *line)
{
    while (line->length && list_is_blank(line->text[0]))
        *line = skip(*line, 1);
    struct word word = {line->text, 0};
    if (line->length && is_comment(line->text[0]))
        return word;
    while (word.length < line->length && !list_is_blank(word.text[word.length]))
        word.length++;
    *line = skip(*line, word.length);
    return word;
}

/* Cuts a comment off that touches the word. */
static struct word without_comment(struct word word)
{
    struct word out = {word.text, 0};
    while (out.length < word.length && !is_comment(word.text[out.length]))
        out.length++;
    return out;
}

/* "example.com##.banner" and its kin hide parts of pages. */
static bool is_cosmetic(struct word word)
{
    static const char *const marks[] = {"##", "#@#", "#?#", "#$#", "#%#", "#@?#", "#@$#", NULL};
    const char *at = memchr(word.text, '#', word.length);
    for (const char *const *mark = marks; at && *mark; mark++)
        if (starts_with(skip(word, (size_t)(at - word.text)), *mark))
            return true;
    return false;
}

/* What hosts files say of the machine itself. */
static const char *const own_names[] = {"localhost",
                                        "localhost.localdomain",
                                        "local",
                                        "broadcasthost",
                                        "ip6-localhost",
                                        "ip6-loopback",
                                        "ip6-localnet",
                                        "ip6-mcastprefix",
                                        "ip6-allnodes",
                                        "ip6-allrouters",
                                        "ip6-allhosts",
                                        "0.0.0.0",
                                        "::1",
                                        "localhost6",
                                        "localhost6.localdomain6",
                                        NULL};

static MUST_CHECK enum status take_hosts(struct list *list, struct word address, struct word line)
{
    enum status status = STATUS_OK;
    bool any = false;
    while (!status) {
        const struct word word = next_word(&line), name = without_comment(word);
        if (name.length) {
            any = true;
            status = is_any_of(name, own_names) ? STATUS_OK : add(list, name);
        }
        if (name.length == 0 || name.length < word.length)
            break;
    }
    if (!any) {
        struct reason reason;
        reason_set(&reason, "a domain expected behind the address");
        list->report->unusable(list->report->context, list->line, address.text, address.length, &reason);
    }
    return status;
}

/* "address=/domain/IP" of dnsmasq's, with one domain or more, and "server=/domain/" or "local=/domain/", which answer
 * that there is no such name. With a server behind them, they send queries there, which is no reason to be in a list.
 */
static MUST_CHECK enum status take_dnsmasq(struct list *list, struct word word)
{
    const bool is_address_line = starts_with(word, "address=");
    struct word line = skip(word, (size_t)((const char *)memchr(word.text, '/', word.length) - word.text) + 1);
    struct word value = line;
    bool has_empty = false;
    for (const char *slash; (slash = memchr(value.text, '/', value.length));) {
        has_empty = has_empty || slash == value.text;
        value = skip(value, (size_t)(slash - value.text) + 1);
    }
    if (value.text == line.text || has_empty || (value.length && !is_address_line)) {
        struct reason reason;
        reason_set(&reason, "%s",
                   value.text == line.text ? "'/' expected behind the domain"
                   : has_empty             ? "a domain expected between the slashes"
                                           : "a server for a domain does not put it into a list");
        list->report->unusable(list->report->context, list->line, word.text, word.length, &reason);
        return STATUS_OK;
    }
    enum status status = STATUS_OK;
    while (!status && line.text < value.text) {
        const size_t length = (size_t)((const char *)memchr(line.text, '/', line.length) - line.text);
        status = add(list, (struct word){line.text, length});
        line = skip(line, length + 1);
    }
    return status;
}

static bool is_dnsmasq(struct word word)
{
    return starts_with(word, "address=/") || starts_with(word, "server=/") || starts_with(word, "local=/");
}

static enum status take_line(void *context, const char *text, size_t length, size_t number)
{
    struct list *list = context;
    const struct word whole = {text, length};
    struct word line = whole;
    struct reason reason;
    list->line = number;
    if (text[0] == '!' || (text[0] == '[' && text[length - 1] == ']')) /* "[Adblock Plus 2.0]" heads a list */
        return STATUS_OK;
    const struct word word = next_word(&line), first = without_comment(word);
    if (is_cosmetic(word) && word.text[0] != '#') {
        reason_set(&reason, "only whole domains can be matched, not parts of pages");
    } else if (first.length == 0) {
        return STATUS_OK;
    } else if (is_dnsmasq(word)) {
        return take_dnsmasq(list, word);
    } else if (first.length < word.length || next_word(&line).length == 0) {
        return add(list, first);
    } else if (is_address(first)) {
        return take_hosts(list, first, skip(whole, first.length));
    } else {
        reason_set(&reason, "one domain a line expected");
    }
    list->report->unusable(list->report->context, number, text, length, &reason);
    return STATUS_OK;
}

enum status domain_set_load(struct domain_set *set, const struct set_memory *memory, const char *path,
                            const struct list_report *report, struct reason *reason)
{
    struct list list = {.set = set, .memory = memory, .report = report};
    const struct list_lines lines = {take_line, &list, report};
    return list_lines_read(path, &lines, reason);
}

enum status domain_set_parse(struct domain_set *set, const struct set_memory *memory, const char *text, size_t length,
                             const struct list_report *report)
{
    struct list list = {.set = set, .memory = memory, .report = report};
    const struct list_lines lines = {take_line, &list, report};
    return list_lines_parse(text, length, &lines);
}
