#include "net/hosts.h"

#include "base/address.h"
#include "base/arena.h"
#include "base/text_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <uthash.h>

enum { WARNINGS_MAX = 10, LINE_SHOWN_MAX = 40, PAYLOAD_SIZE = 1232 };

struct hosts_address {
    struct hosts_address *next;
    uint8_t bytes[16];
};

/* A name that can be asked for: one in the file, or the reverse name of an address in it, or both. */
struct hosts_entry {
    UT_hash_handle hh;
    bool in_file;
    struct hosts_address *ipv4, *ipv6; /* in the file's order */
    const uint8_t *host;               /* what PTR answers: wire, as it was written; NULL: no address */
    uint8_t host_length, name_length;
    uint8_t name[]; /* wire, lower case: the key */
};

struct hosts {
    struct arena arena; /* entries and addresses */
    struct hosts_entry *entries;
    size_t names;
    const struct log *log;
    const char *file; /* while it is read: its name, the line's number, and how many could not be used */
    unsigned line, unusable;
    bool no_memory;
};

/* --- the table --- */

static void lower(const struct dns_name *name, uint8_t out[static DNS_NAME_MAX])
{
    for (unsigned i = 0; i < name->length; i++)
        out[i] = dns_lower(name->wire[i]); /* a label's length is at most 63, which is no letter */
}

static struct hosts_entry *find(const struct hosts *hosts, const struct dns_name *name)
{
    uint8_t key[DNS_NAME_MAX];
    struct hosts_entry *entry;
    lower(name, key);
    HASH_FIND(hh, hosts->entries, key, name->length, entry);
    return entry;
}

static struct hosts_entry *find_or_add(struct hosts *hosts, const struct dns_name *name)
{
    struct hosts_entry *entry = find(hosts, name);
    if (entry)
        return entry;
    uint8_t key[DNS_NAME_MAX];
    lower(name, key);
    entry = arena_alloc(&hosts->arena, sizeof *entry + name->length);
    if (!entry) {
        hosts->no_memory = true;
        return NULL;
    }
    entry->name_length = name->length;
    memcpy(entry->name, key, name->length);
    HASH_ADD_KEYPTR(hh, hosts->entries, entry->name, entry->name_length, entry);
    hosts->no_memory |= !entry->hh.tbl;
    return entry->hh.tbl ? entry : NULL;
}

static void add_address(struct hosts *hosts, const struct dns_name *name, const struct address *address)
{
    struct hosts_entry *entry = find_or_add(hosts, name);
    if (!entry)
        return;
    hosts->names += !entry->in_file;
    entry->in_file = true;
    struct hosts_address **at = address->family == AF_INET ? &entry->ipv4 : &entry->ipv6;
    for (; *at; at = &(*at)->next) {
        if (!memcmp((*at)->bytes, address->bytes, sizeof address->bytes))
            return;
    }
    *at = arena_alloc(&hosts->arena, sizeof **at);
    if (*at)
        memcpy((*at)->bytes, address->bytes, sizeof address->bytes);
    else
        hosts->no_memory = true;
}

static void append_label(struct dns_name *name, const char *text, size_t length)
{
    name->wire[name->length++] = (uint8_t)length;
    memcpy(name->wire + name->length, text, length);
    name->length = (uint8_t)(name->length + length);
}

/* 192.0.2.1 is 1.2.0.192.in-addr.arpa (RFC 1035 section 3.5); IPv6 goes by nibbles under ip6.arpa (RFC 3596 section
 * 2.5). */
static struct dns_name reverse_name(const struct address *address)
{
    struct dns_name name = {.length = 0};
    char text[4];
    if (address->family == AF_INET) {
        for (unsigned i = 4; i-- > 0;)
            append_label(&name, text, (size_t)snprintf(text, sizeof text, "%u", address->bytes[i]));
        append_label(&name, "in-addr", 7);
    } else {
        for (unsigned i = 32; i-- > 0;) {
            unsigned nibble = i % 2 ? address->bytes[i / 2] & 15u : address->bytes[i / 2] >> 4;
            append_label(&name, &"0123456789abcdef"[nibble], 1);
        }
        append_label(&name, "ip6", 3);
    }
    append_label(&name, "arpa", 4);
    name.wire[name.length++] = 0;
    return name;
}

/* The first name of an address stays its name. */
static void add_reverse(struct hosts *hosts, const struct address *address, const struct dns_name *host)
{
    struct dns_name name = reverse_name(address);
    struct hosts_entry *entry = find_or_add(hosts, &name);
    if (!entry || entry->host)
        return;
    entry->host = arena_copy(&hosts->arena, host->wire, host->length);
    entry->host_length = host->length;
    if (!entry->host)
        hosts->no_memory = true;
}

/* --- reading the file --- */

static void warn(struct hosts *hosts, const char *what, const char *text, size_t length)
{
    int shown = length > LINE_SHOWN_MAX ? LINE_SHOWN_MAX : (int)length;
    if (++hosts->unusable <= WARNINGS_MAX && hosts->log)
        log_line(hosts->log, LOG_WARN, "%s:%u: '%.*s': %s", hosts->file, hosts->line, shown, text, what);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\f' || c == '\v';
}

static bool next_word(const char **at, const char *end, const char **word, size_t *length)
{
    while (*at < end && is_blank(**at))
        ++*at;
    if (*at == end || **at == '#')
        return false;
    *word = *at;
    while (*at < end && !is_blank(**at) && **at != '#')
        ++*at;
    *length = (size_t)(*at - *word);
    return true;
}

static void take_line(struct hosts *hosts, const char *line, const char *end)
{
    const char *word;
    size_t length;
    struct address address;
    struct dns_name name;
    if (!next_word(&line, end, &word, &length))
        return;
    const char *zone = memchr(word, '%', length); /* as in fe80::1%lo0: names an interface, of no use in an answer */
    if (address_from_ip(word, zone ? (size_t)(zone - word) : length, &address)) {
        warn(hosts, "this is no IP address", word, length);
        return;
    }
    const char *written = word;
    size_t written_length = length;
    bool any = false, reversed = false;
    while (next_word(&line, end, &word, &length)) {
        struct reason reason;
        any = true;
        if (dns_name_from_text(word, length, &name, &reason)) {
            warn(hosts, reason.text, word, length);
            continue;
        }
        add_address(hosts, &name, &address);
        if (!reversed)
            add_reverse(hosts, &address, &name);
        reversed = true;
    }
    if (!any)
        warn(hosts, "no name follows the address", written, written_length);
}

enum status hosts_parse(const char *text, size_t length, const char *name, const struct log *log, struct hosts **out)
{
    struct hosts *hosts = calloc(1, sizeof *hosts);
    if (!hosts)
        return STATUS_NO_MEMORY;
    hosts->log = log;
    hosts->file = name;
    for (const char *at = text, *end = text + length; at < end;) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        hosts->line++;
        take_line(hosts, at, newline ? newline : end);
        at = newline ? newline + 1 : end;
    }
    if (hosts->unusable > WARNINGS_MAX && log)
        log_line(log, LOG_WARN, "%s: %u more could not be used", name, hosts->unusable - WARNINGS_MAX);
    hosts->log = NULL;
    hosts->file = NULL;
    if (hosts->no_memory) {
        hosts_free(hosts);
        return STATUS_NO_MEMORY;
    }
    *out = hosts;
    return STATUS_OK;
}

enum status hosts_load(const char *path, const struct log *log, struct hosts **out, struct reason *reason)
{
    struct buffer text = {0};
    enum status status = text_file_read_named(path, &text, reason);
    if (status == STATUS_OK) {
        status = hosts_parse((const char *)text.data, text.length, path, log, out);
        if (status)
            reason_set(reason, "cannot read %s: out of memory", path);
    }
    buffer_free(&text);
    return status == STATUS_NOT_FOUND ? STATUS_IO : status;
}

void hosts_free(struct hosts *hosts)
{
    if (!hosts)
        return;
    HASH_CLEAR(hh, hosts->entries);
    arena_free(&hosts->arena);
    free(hosts);
}

size_t hosts_count(const struct hosts *hosts)
{
    return hosts->names;
}

/* --- answering --- */

static enum status pack_addresses(struct dns_packer *packer, const struct dns_question *question,
                                  const struct hosts_address *at)
{
    enum status status = STATUS_OK;
    for (; at && !status; at = at->next) {
        struct dns_record record = {
            .name = question->name,
            .name_length = question->name_length,
            .type = question->type,
            .class_ = question->class_,
            .ttl = HOSTS_TTL,
            .data = at->bytes,
            .data_length = question->type == DNS_TYPE_A ? 4 : 16,
        };
        status = dns_packer_record(packer, DNS_SECTION_ANSWER, &record);
    }
    return status;
}

static enum status pack_host(struct dns_packer *packer, const struct dns_question *question,
                             const struct hosts_entry *entry)
{
    struct dns_record record = {
        .name = question->name,
        .name_length = question->name_length,
        .type = DNS_TYPE_PTR,
        .class_ = question->class_,
        .ttl = HOSTS_TTL,
        .data = entry->host,
        .data_length = entry->host_length,
    };
    return dns_packer_record(packer, DNS_SECTION_ANSWER, &record);
}

static enum status pack(const struct dns_message *query, const struct hosts_entry *entry, struct buffer *out)
{
    const struct dns_question *question = &query->question;
    struct dns_header header = {
        .id = query->header.id,
        .flags = (uint16_t)(DNS_FLAG_QR | DNS_FLAG_AA | DNS_FLAG_RA | (query->header.flags & DNS_FLAG_RD)),
    };
    struct dns_packer packer;
    dns_packer_start(&packer, out, &header, DNS_MESSAGE_MAX);
    enum status status = dns_packer_question(&packer, question);
    if (!status)
        status = question->type == DNS_TYPE_PTR
                     ? pack_host(&packer, question, entry)
                     : pack_addresses(&packer, question, question->type == DNS_TYPE_A ? entry->ipv4 : entry->ipv6);
    return status ? status : dns_packer_finish(&packer);
}

enum status hosts_answer(const struct hosts *hosts, const struct dns_message *query, struct buffer *out)
{
    const struct dns_question *question = &query->question;
    struct dns_name name;
    if (query->header.counts[DNS_SECTION_QUESTION] != 1 || query->header.flags & DNS_FLAG_OPCODE ||
        question->class_ != DNS_CLASS_IN)
        return STATUS_NOT_FOUND;
    bool by_address = question->type == DNS_TYPE_PTR;
    if (!by_address && question->type != DNS_TYPE_A && question->type != DNS_TYPE_AAAA)
        return STATUS_NOT_FOUND;
    name.length = question->name_length;
    memcpy(name.wire, question->name, question->name_length);
    const struct hosts_entry *entry = find(hosts, &name);
    if (!entry || !(by_address ? entry->host != NULL : entry->in_file))
        return STATUS_NOT_FOUND;
    buffer_clear(out);
    enum status status = pack(query, entry, out);
    if (!status && query->opt.count)
        status = dns_message_add_opt(out, PAYLOAD_SIZE, DNS_RCODE_NOERROR, query->opt.dnssec_ok);
    return status;
}
