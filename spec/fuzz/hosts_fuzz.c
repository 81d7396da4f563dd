/* Any bytes as a hosts file: what it holds can be asked for, and every answer is a message; a line that cannot be used
 * is told of. */
#include "messages.h"

#include "net/hosts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void ask(const struct hosts *hosts, const char *name, uint16_t type)
{
    struct buffer query = {0}, answer = {0};
    struct dns_packer packer;
    struct dns_header header = {.id = 1};
    struct dns_name owner;
    struct dns_message view;
    MUST(dns_name_from_text(name, strlen(name), &owner, NULL) == STATUS_OK);
    dns_packer_start(&packer, &query, &header, DNS_MESSAGE_MAX);
    const struct dns_question question = {owner.wire, owner.length, type, DNS_CLASS_IN};
    MUST(dns_packer_question(&packer, &question) == STATUS_OK);
    MUST(dns_packer_finish(&packer) == STATUS_OK);
    MUST(dns_message_parse(query.data, query.length, &view, NULL) == STATUS_OK);
    if (hosts_answer(hosts, &view, &answer) == STATUS_OK)
        MUST(dns_message_parse(answer.data, answer.length, &view, NULL) == STATUS_OK);
    buffer_free(&query);
    buffer_free(&answer);
}

static void count(void *context, enum log_level level, const char *text, size_t length)
{
    size_t *lines = context;
    MUST(level == LOG_WARN && length > 6 && !memcmp(text, "hosts:", 6));
    ++*lines;
}

static bool is_blank(const char *text, size_t length)
{
    size_t at = 0;
    while (at < length && strchr(" \t\r\f\v", text[at]) && text[at])
        at++;
    return at == length || text[at] == '#';
}

/* A line by itself is a comment, gives names, or is told of. */
static void try_line(const char *text, size_t length)
{
    size_t told = 0;
    const struct log log = {.level = LOG_WARN, .sink = count, .context = &told};
    struct hosts *hosts = NULL;
    MUST(hosts_parse(text, length, "hosts", &log, &hosts) == STATUS_OK);
    if (is_blank(text, length))
        MUST(told == 0 && hosts_count(hosts) == 0);
    else
        MUST(told + hosts_count(hosts) > 0);
    hosts_free(hosts);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hosts *hosts = NULL;
    const char *line = (const char *)data, *end = line + size, *newline;
    for (; line < end && (newline = memchr(line, '\n', (size_t)(end - line))); line = newline + 1)
        try_line(line, (size_t)(newline - line));
    try_line(line, (size_t)(end - line));
    MUST(hosts_parse((const char *)data, size, "hosts", NULL, &hosts) == STATUS_OK);
    ask(hosts, "a", DNS_TYPE_A);
    ask(hosts, "a", DNS_TYPE_AAAA);
    ask(hosts, "1.0.0.127.in-addr.arpa", DNS_TYPE_PTR);
    ask(hosts, "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.ip6.arpa", DNS_TYPE_PTR);
    hosts_free(hosts);
    return 0;
}
