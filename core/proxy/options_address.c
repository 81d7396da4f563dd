/* The text of listeners and upstreams. */
#include "net/upstream.h"
#include "proxy/options_table.h"

#include <stdio.h>

enum status options_listen_from_text(const char *text, struct options_listen *out, struct reason *reason)
{
    struct net_listen listen;
    enum status status = net_listen_from_text(text, strlen(text), &listen, reason);
    if (status)
        return status;
    *out = (struct options_listen){.transports = listen.transports, .address = listen.address};
    return STATUS_OK;
}

enum status options_metrics_from_text(const char *text, struct address *out, struct reason *reason)
{
    char with_address[ADDRESS_TEXT_MAX];
    struct address address;
    const char *port = text + (text[0] == ':');
    if (port[0] && !port[strspn(port, "0123456789")]) {
        snprintf(with_address, sizeof with_address, "127.0.0.1:%s", port);
        text = with_address;
    }
    enum status status = address_from_text(text, strlen(text), UINT16_MAX, &address, reason);
    if (status)
        return status;
    struct address other;
    status = address_from_text(text, strlen(text), 0, &other, reason);
    if (status || other.port != address.port) { /* none was given */
        reason_set(reason, "a port is missing; [ADDR:]PORT expected, got '%s'", text);
        return STATUS_INVALID;
    }
    *out = address;
    return STATUS_OK;
}

static enum status target_from_text(const char *text, struct upstream_target *out, struct reason *reason)
{
    struct upstream_target target = {.address = {.family = AF_UNSPEC}};
    if (!strcmp(text, "none")) {
        *out = target;
        return STATUS_OK;
    }
    enum status status = upstream_target_from_text(text, strlen(text), &target, reason);
    if (!status)
        status = upstream_scheme_check(target.scheme, reason);
    if (status)
        return status;
    *out = target;
    return STATUS_OK;
}

/* Reads the domains between `text` and `end`, divided by '/', into `out` when it is not NULL, and counts them.
 * STATUS_NOT_FOUND where one is missing. */
static enum status read_domains(const char *text, const char *end, struct options_upstream *out, size_t *count,
                                struct reason *reason)
{
    size_t found = 0;
    for (const char *next; text <= end; text = next + 1) {
        next = memchr(text, '/', (size_t)(end - text));
        next = next ? next : end;
        if (next == text)
            return STATUS_NOT_FOUND;
        if (out) {
            enum status status = dns_name_from_text(text, (size_t)(next - text), &out[found].domain, reason);
            if (status)
                return status;
            if (out[found].domain.length == 1) /* the root: all names */
                out[found].domain.length = 0;
        }
        found++;
    }
    *count = found;
    return STATUS_OK;
}

enum status options_upstreams_from_text(const char *text, struct arena *arena, struct options_upstream **out,
                                        size_t *count, struct reason *reason)
{
    const char *address = text, *domains_end = NULL;
    size_t entries = 1;
    enum status status;
    if (text[0] == '[' && text[1] == '/') {
        domains_end = strstr(text, "/]");
        if (!domains_end) {
            reason_set(reason, "[/domain/]ADDR expected, got '%s'", text);
            return STATUS_INVALID;
        }
        address = domains_end + strlen("/]");
        if (domains_end == text + 1 || read_domains(text + 2, domains_end, NULL, &entries, reason)) {
            reason_set(reason, "a domain is missing; [/domain/]ADDR expected, got '%s'", text);
            return STATUS_INVALID;
        }
    }
    struct upstream_target target;
    status = target_from_text(address, &target, reason);
    if (status)
        return status;
    struct options_upstream *upstreams = arena_alloc(arena, entries * sizeof *upstreams);
    if (!upstreams)
        return STATUS_NO_MEMORY;
    for (size_t i = 0; i < entries; i++)
        upstreams[i].target = target;
    if (domains_end) {
        status = read_domains(text + 2, domains_end, upstreams, &entries, reason);
        if (status)
            return status;
    }
    *out = upstreams;
    *count = entries;
    return STATUS_OK;
}
