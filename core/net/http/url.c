#include "net/http/url.h"

#include "dns/name.h"

#include <ctype.h>
#include <event2/buffer.h>
#include <event2/http.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

enum { HTTP_PORT = 80, HTTPS_PORT = 443 };

static uint16_t default_port(bool tls)
{
    return tls ? HTTPS_PORT : HTTP_PORT;
}

/* Appends the text with the bytes above ASCII encoded; false where it holds what no URL may. */
static bool append_ascii(struct buffer *out, const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        unsigned char byte = (unsigned char)text[i];
        if (byte <= ' ' || byte == 0x7f)
            return false;
        if (byte > 0x7f)
            buffer_format(out, "%%%02X", byte);
        else
            buffer_u8(out, byte);
    }
    return true;
}

/* --- parts --- */

static MUST_CHECK enum status take_scheme(const char *scheme, struct http_url *out, struct reason *reason)
{
    if (scheme && strcasecmp(scheme, "https") == 0) {
        out->tls = true;
    } else if (scheme && strcasecmp(scheme, "http") == 0) {
        out->tls = false;
    } else {
        reason_set(reason, "a URL that begins with http:// or https:// expected");
        return STATUS_INVALID;
    }
    return STATUS_OK;
}

static bool is_host_text(const char *text)
{
    size_t length = strlen(text);
    return length > 0 && length < HTTP_HOST_MAX && strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-_.") == length &&
           text[0] != '.';
}

/* A name, percent-encoded where it is not ASCII. */
static MUST_CHECK enum status take_name(const char *host, struct http_url *out, struct reason *reason)
{
    struct dns_name name;
    struct reason why = {""};
    char text[DNS_NAME_TEXT_MAX];
    size_t length = 0;
    char *decoded = evhttp_uridecode(host, 0, &length);
    enum status status = decoded ? dns_name_from_text(decoded, length, &name, &why) : STATUS_NO_MEMORY;
    free(decoded);
    if (!status) {
        dns_name_to_text(name.wire, DNS_NAME_LOWER, text);
        if (!is_host_text(text))
            status = STATUS_INVALID;
    }
    if (status) {
        reason_set(reason, "the URL's host is no host name");
        return STATUS_INVALID;
    }
    memcpy(out->host, text, strlen(text) + 1);
    return STATUS_OK;
}

static MUST_CHECK enum status take_host(const char *host, struct http_url *out, struct reason *reason)
{
    char text[ADDRESS_TEXT_MAX];
    size_t length = host ? strlen(host) : 0;
    if (length == 0) {
        reason_set(reason, "the URL names no host");
        return STATUS_INVALID;
    }
    bool bracketed = host[0] == '[' && host[length - 1] == ']';
    if (bracketed ? address_from_ip(host + 1, length - 2, &out->address) == STATUS_OK
                  : address_from_ip(host, length, &out->address) == STATUS_OK) {
        snprintf(out->host, sizeof out->host, "%s", address_ip_text(&out->address, text));
        return STATUS_OK;
    }
    return take_name(host, out, reason);
}

static MUST_CHECK enum status take_target(const struct evhttp_uri *uri, struct http_url *out, struct reason *reason)
{
    const char *path = evhttp_uri_get_path(uri), *query = evhttp_uri_get_query(uri);
    int length = snprintf(out->target, sizeof out->target, "%s%s%s", path && path[0] ? path : "/", query ? "?" : "",
                          query ? query : "");
    if (length >= 0 && (size_t)length < sizeof out->target)
        return STATUS_OK;
    reason_set(reason, "the URL is longer than %d bytes", HTTP_URL_MAX);
    return STATUS_INVALID;
}

static MUST_CHECK enum status take_parts(const struct evhttp_uri *uri, struct http_url *out, struct reason *reason)
{
    enum status status = take_scheme(evhttp_uri_get_scheme(uri), out, reason);
    if (status)
        return status;
    int port = evhttp_uri_get_port(uri);
    if (evhttp_uri_get_userinfo(uri)) {
        reason_set(reason, "a URL with a user's name is not taken: give an Authorization header");
        return STATUS_INVALID;
    }
    if (port == 0 || port > UINT16_MAX) {
        reason_set(reason, "the URL's port is not from 1 to 65535");
        return STATUS_INVALID;
    }
    if ((status = take_host(evhttp_uri_get_host(uri), out, reason)) || (status = take_target(uri, out, reason)))
        return status;
    out->port = port > 0 ? (uint16_t)port : default_port(out->tls);
    out->address.port = out->port;
    return STATUS_OK;
}

enum status http_url_parse(const char *text, size_t length, struct http_url *out, struct reason *reason)
{
    struct buffer ascii = {0};
    struct evhttp_uri *uri = NULL;
    struct http_url url = {.tls = false};
    enum status status = STATUS_INVALID;
    if (length >= HTTP_URL_MAX) {
        reason_set(reason, "the URL is longer than %d bytes", HTTP_URL_MAX);
        goto done;
    }
    bool fine = append_ascii(&ascii, text, length);
    const char *encoded = buffer_c_string(&ascii);
    if (!encoded) {
        reason_set(reason, "out of memory");
        status = STATUS_NO_MEMORY;
        goto done;
    }
    uri = fine ? evhttp_uri_parse(encoded) : NULL;
    if (!uri) {
        reason_set(reason, "no URL (blanks and the like are written as %%20)");
        goto done;
    }
    status = take_parts(uri, &url, reason);
    if (!status)
        *out = url;
done:
    if (uri)
        evhttp_uri_free(uri);
    buffer_free(&ascii);
    return status;
}

/* --- references --- */

/* Takes the segments "." and ".." out of a path (RFC 3986 section 5.2.4), in place. */
static void remove_dots(char *path)
{
    char *out = path;
    const char *at = path;
    while (*at) {
        size_t length = 1 + strcspn(at + 1, "/"); /* a slash and what is behind it */
        bool last = at[length] == '\0';
        if (length == 2 && at[1] == '.') {
            if (last)
                *out++ = '/';
        } else if (length == 3 && at[1] == '.' && at[2] == '.') {
            while (out > path && *--out != '/')
                continue;
            if (last)
                *out++ = '/';
        } else {
            memmove(out, at, length);
            out += length;
        }
        at += length;
    }
    *out = '\0';
}

/* Appends the target that a reference without scheme and host leads to. */
static void append_target(const char *base, const char *reference, struct buffer *out)
{
    size_t length = strcspn(reference, "#"), base_path = strcspn(base, "?");
    size_t path_length = strcspn(reference, "?#");
    if (length == 0) {
        buffer_text(out, base);
        return;
    }
    char path[2 * HTTP_URL_MAX + 2];
    size_t kept = base_path;
    if (path_length)
        while (kept && base[kept - 1] != '/')
            kept--;
    if (reference[0] == '/')
        kept = 0;
    snprintf(path, sizeof path, "%.*s%.*s", (int)kept, base, (int)path_length, reference);
    remove_dots(path);
    buffer_text(out, path);
    buffer_append(out, reference + path_length, length - path_length);
}

static bool has_scheme(const char *reference)
{
    size_t length = strcspn(reference, ":/?#");
    return length && reference[length] == ':' && isalpha((unsigned char)reference[0]);
}

enum status http_url_resolve(const struct http_url *base, const char *reference, struct http_url *out,
                             struct reason *reason)
{
    struct buffer whole = {0};
    if (strlen(reference) >= HTTP_URL_MAX) {
        reason_set(reason, "the URL is longer than %d bytes", HTTP_URL_MAX);
        return STATUS_INVALID;
    }
    if (has_scheme(reference)) {
        buffer_text(&whole, reference);
    } else {
        buffer_text(&whole, base->tls ? "https:" : "http:");
        if (strncmp(reference, "//", 2) == 0) {
            buffer_text(&whole, reference);
        } else {
            buffer_text(&whole, "//");
            http_url_append_host(base, &whole);
            append_target(base->target, reference, &whole);
        }
    }
    enum status status = buffer_status(&whole);
    if (!status)
        status = http_url_parse((const char *)whole.data, whole.length, out, reason);
    else
        reason_set(reason, "out of memory");
    buffer_free(&whole);
    return status;
}

bool http_url_same_origin(const struct http_url *a, const struct http_url *b)
{
    return a->tls == b->tls && a->port == b->port && strcmp(a->host, b->host) == 0;
}

void http_url_append_host(const struct http_url *url, struct buffer *out)
{
    bool bracketed = url->address.family == AF_INET6;
    buffer_format(out, "%s%s%s", bracketed ? "[" : "", url->host, bracketed ? "]" : "");
    if (url->port != default_port(url->tls))
        buffer_format(out, ":%u", (unsigned)url->port);
}

void http_url_append(const struct http_url *url, struct buffer *out)
{
    buffer_text(out, url->tls ? "https://" : "http://");
    http_url_append_host(url, out);
    buffer_text(out, url->target);
}
