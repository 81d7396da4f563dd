#include "net/resolv_conf.h"

#include "base/text_file.h"

#include <errno.h>
#include <string.h>

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\f' || c == '\v';
}

/* The next word of the line; false at its end or at a comment. */
static bool next_word(const char **at, const char *end, const char **word, size_t *length)
{
    while (*at < end && is_blank(**at))
        ++*at;
    if (*at == end || **at == '#' || **at == ';')
        return false;
    *word = *at;
    while (*at < end && !is_blank(**at))
        ++*at;
    *length = (size_t)(*at - *word);
    return true;
}

static void take_line(struct resolv_conf *conf, const char *line, const char *end)
{
    static const char keyword[] = "nameserver";
    const char *word;
    size_t length;
    struct address address;
    if (line == end || is_blank(*line)) /* as libc has it: keywords start the line */
        return;
    if (!next_word(&line, end, &word, &length) || length != strlen(keyword) || memcmp(word, keyword, length))
        return;
    if (conf->count == RESOLV_CONF_SERVERS_MAX || !next_word(&line, end, &word, &length))
        return;
    if (address_from_ip(word, length, &address))
        return;
    address.port = 53;
    conf->servers[conf->count++] = address;
}

struct resolv_conf resolv_conf_parse(const char *text, size_t length)
{
    struct resolv_conf conf = {.count = 0};
    for (const char *at = text, *end = text + length; at < end;) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        const char *line_end = newline ? newline : end;
        take_line(&conf, at, line_end);
        at = newline ? newline + 1 : end;
    }
    if (conf.count == 0) {
        conf.is_default = true;
        conf.servers[0] = (struct address){.family = AF_INET, .port = 53, .bytes = {127, 0, 0, 1}};
        conf.count = 1;
    }
    return conf;
}

enum status resolv_conf_load(const char *path, struct resolv_conf *out, struct reason *reason)
{
    struct buffer text = {0};
    enum status status = text_file_read_named(path, &text, reason);
    if (status == STATUS_OK)
        *out = resolv_conf_parse((const char *)text.data, text.length);
    else if (status == STATUS_NOT_FOUND)
        *out = resolv_conf_parse("", 0);
    buffer_free(&text);
    return status == STATUS_NOT_FOUND ? STATUS_OK : status;
}
