#include "redis/redis_url.h"

#include "base/bytes.h"

#include <arpa/inet.h>
#include <stdlib.h>

/* A URL on its way; the pieces are taken off `rest`. */
struct parsing {
    struct arena *arena;
    struct redis_url url;
    char *rest; /* a copy of the text behind the scheme */
    struct reason *reason;
};

static enum status refuse(struct parsing *parsing, const char *expected, const char *got)
{
    reason_set(parsing->reason, "%s expected, got '%s'", expected, got);
    return STATUS_INVALID;
}

static int hex_digit(char digit)
{
    return digit >= '0' && digit <= '9'   ? digit - '0'
           : digit >= 'a' && digit <= 'f' ? digit - 'a' + 10
           : digit >= 'A' && digit <= 'F' ? digit - 'A' + 10
                                          : -1;
}

/* Undoes %XX in place. False: that breaks off, or makes a NUL. */
static bool undo_percent(char *text)
{
    char *to = text;
    for (const char *from = text; *from; from++) {
        if (*from != '%') {
            *to++ = *from;
            continue;
        }
        int high = hex_digit(from[1]), low = high < 0 ? -1 : hex_digit(from[2]);
        if (low < 0 || (high == 0 && low == 0))
            return false;
        *to++ = (char)(high << 4 | low);
        from += 2;
    }
    *to = '\0';
    return true;
}

static bool number_from_text(const char *text, unsigned long most, unsigned long *out)
{
    char *end;
    if (text[0] < '0' || text[0] > '9' || strlen(text) > 9)
        return false;
    *out = strtoul(text, &end, 10);
    return !*end && *out <= most;
}

static enum status take_scheme(struct parsing *parsing, const char *text, bool *is_path)
{
    static const struct {
        const char *scheme;
        bool is_path, has_tls;
    } schemes[] = {
        {"redis://", false, false}, {"valkey://", false, false}, {"redis+unix://", true, false},
        {"unix://", true, false},   {"rediss://", false, true},  {"valkeys://", false, true},
    };
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
        size_t length = strlen(schemes[i].scheme);
        if (strncmp(text, schemes[i].scheme, length) != 0)
            continue;
        if (schemes[i].has_tls) {
            reason_set(parsing->reason,
                       "%s (TLS) is not there: use redis:// through a tunnel (stunnel, ssh -L), or redis+unix://",
                       schemes[i].scheme);
            return STATUS_INVALID;
        }
        *is_path = schemes[i].is_path;
        parsing->rest = arena_copy(parsing->arena, text + length, strlen(text + length));
        return parsing->rest ? STATUS_OK : STATUS_NO_MEMORY;
    }
    /* Not more of the text than its scheme: there may be a password in it. */
    const char *slashes = strstr(text, "://");
    reason_set(parsing->reason, "memory, or redis://[[USER]:PASSWORD@]HOST[:PORT][/DATABASE] expected, got '%.*s'",
               slashes             ? (int)(slashes + 3 - text)
               : strchr(text, '@') ? 0
                                   : (int)strlen(text),
               text);
    return STATUS_INVALID;
}

/* [[USER]:PASSWORD@] before what `end` points to. A password alone is taken as well. */
static enum status take_credentials(struct parsing *parsing, char *end)
{
    char *at = NULL;
    for (char *seen = parsing->rest; seen < end; seen++)
        if (*seen == '@')
            at = seen;
    if (!at)
        return STATUS_OK;
    *at = '\0';
    char *user = parsing->rest, *colon = strchr(user, ':');
    char *password = colon ? colon + 1 : user;
    if (colon)
        *colon = '\0';
    parsing->rest = at + 1;
    if (!undo_percent(password) || (colon && !undo_percent(user))) {
        reason_set(parsing->reason, "%%XX with two hexadecimal digits expected in user and password");
        return STATUS_INVALID;
    }
    if (!*password) {
        reason_set(parsing->reason, "a password expected before the '@'");
        return STATUS_INVALID;
    }
    parsing->url.password = password;
    parsing->url.user = colon && *user ? user : NULL;
    return STATUS_OK;
}

static enum status take_database(struct parsing *parsing, const char *text)
{
    unsigned long number;
    if (!number_from_text(text, 999999, &number))
        return refuse(parsing, "number of a database", text);
    parsing->url.database = (unsigned)number;
    return STATUS_OK;
}

/* name=value&… */
static enum status take_query(struct parsing *parsing, char *query)
{
    enum status status = STATUS_OK;
    while (query && *query && !status) {
        char *next = strchr(query, '&'), *value = strchr(query, '=');
        if (next)
            *next++ = '\0';
        if (!value || (next && value > next))
            return refuse(parsing, "prefix=TEXT or db=NUMBER behind the '?'", query);
        *value++ = '\0';
        if (!undo_percent(value))
            status = refuse(parsing, "%XX with two hexadecimal digits", value);
        else if (!strcmp(query, "prefix"))
            parsing->url.prefix = value;
        else if (!strcmp(query, "db"))
            status = take_database(parsing, value);
        else
            status = refuse(parsing, "prefix=TEXT or db=NUMBER behind the '?'", query);
        query = next;
    }
    return status;
}

/* HOST[:PORT], the host in brackets where it has colons. */
static enum status take_host(struct parsing *parsing, char *host)
{
    static const char expected[] = "HOST or HOST:PORT (an IPv6 address in brackets)";
    char *colon = strrchr(host, ':');
    unsigned long port = REDIS_PORT;
    if (host[0] == '[') {
        char *end = strchr(host, ']');
        if (!end || (end[1] && end[1] != ':'))
            return refuse(parsing, expected, host);
        colon = end[1] ? end + 1 : NULL;
        *end = '\0';
        host++;
        struct in6_addr address;
        if (inet_pton(AF_INET6, host, &address) != 1)
            return refuse(parsing, "IPv6 address", host);
    } else if (colon && strchr(host, ':') != colon) {
        return refuse(parsing, expected, host);
    }
    if (colon) {
        *colon = '\0';
        if (!number_from_text(colon + 1, UINT16_MAX, &port) || port == 0)
            return refuse(parsing, "port from 1 to 65535", colon + 1);
    }
    if (!*host || strspn(host, " \t") || strlen(host) > 253)
        return refuse(parsing, expected, host);
    parsing->url.host = host;
    parsing->url.port = (uint16_t)port;
    return STATUS_OK;
}

static enum status take_place(struct parsing *parsing, bool is_path)
{
    char *text = parsing->rest, *slash = strchr(text, '/');
    if (is_path) {
        if (text[0] != '/' || !text[1] || !undo_percent(text))
            return refuse(parsing, "path that begins with /", text);
        parsing->url.path = text;
        return STATUS_OK;
    }
    if (slash)
        *slash = '\0';
    enum status status = take_host(parsing, text);
    return !status && slash && slash[1] ? take_database(parsing, slash + 1) : status;
}

/* Fills `place` and `shown`. */
static enum status describe(struct parsing *parsing)
{
    struct redis_url *url = &parsing->url;
    struct buffer place = {0}, shown = {0};
    bool brackets = url->host && strchr(url->host, ':');
    if (url->path)
        buffer_text(&place, url->path);
    else
        buffer_format(&place, brackets ? "[%s]:%u" : "%s:%u", url->host, (unsigned)url->port);
    buffer_text(&shown, url->path ? "redis+unix://" : "redis://");
    if (url->password)
        buffer_format(&shown, "%s:***@", url->user ? url->user : "");
    buffer_append(&shown, place.data, place.length);
    if (url->database)
        buffer_format(&shown, url->path ? "?db=%u" : "/%u", url->database);
    if (buffer_status(&place) == STATUS_OK && buffer_status(&shown) == STATUS_OK) {
        url->place = arena_copy(parsing->arena, place.data, place.length);
        url->shown = arena_copy(parsing->arena, shown.data, shown.length);
    }
    buffer_free(&place);
    buffer_free(&shown);
    return url->place && url->shown ? STATUS_OK : STATUS_NO_MEMORY;
}

enum status redis_url_parse(const char *text, struct arena *arena, struct redis_url *out, struct reason *reason)
{
    struct parsing parsing = {.arena = arena, .url = {.prefix = "moondns:"}, .reason = reason};
    bool is_path = false;
    enum status status = take_scheme(&parsing, text, &is_path);
    if (status)
        return status;
    char *query = strchr(parsing.rest, '?');
    char *slash = strchr(parsing.rest, '/');
    char *end = slash ? slash : query ? query : parsing.rest + strlen(parsing.rest);
    if (query)
        *query++ = '\0';
    status = take_credentials(&parsing, end);
    if (!status)
        status = take_place(&parsing, is_path);
    if (!status)
        status = take_query(&parsing, query);
    if (!status)
        status = describe(&parsing);
    if (!status)
        *out = parsing.url;
    return status;
}
