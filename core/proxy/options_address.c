/* The text of listeners and upstreams. */
#include "proxy/options_table.h"

/* What may stand before :// of a listener. */
static const struct {
    const char *name;
    unsigned transports; /* 0: known, and not served by this version */
} schemes[] = {
    {"udp", 1 << TRANSPORT_UDP}, {"tcp", 1 << TRANSPORT_TCP}, {"tls", 0}, {"https", 0}, {"quic", 0},
};

enum { TRANSPORTS_PLAIN = 1 << TRANSPORT_UDP | 1 << TRANSPORT_TCP };

static enum status transports_from_scheme(const char *name, size_t length, unsigned *out, struct reason *reason)
{
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
        if (strlen(schemes[i].name) != length || memcmp(schemes[i].name, name, length))
            continue;
        if (!schemes[i].transports) {
            reason_set(reason, "%s:// is not supported yet; udp:// and tcp:// are, and no scheme for both",
                       schemes[i].name);
            return STATUS_INVALID;
        }
        *out = schemes[i].transports;
        return STATUS_OK;
    }
    reason_set(reason, "unknown scheme '%.*s://'; udp:// and tcp:// are known, and no scheme for both", (int)length,
               name);
    return STATUS_INVALID;
}

enum status options_listen_from_text(const char *text, struct options_listen *out, struct reason *reason)
{
    struct options_listen listen = {.transports = TRANSPORTS_PLAIN};
    const char *scheme_end = strstr(text, "://"), *address = text;
    enum status status;
    if (scheme_end) {
        status = transports_from_scheme(text, (size_t)(scheme_end - text), &listen.transports, reason);
        if (status)
            return status;
        address = scheme_end + strlen("://");
    }
    status = address_from_text(address, strlen(address), OPTIONS_LISTEN_PORT, &listen.address, reason);
    if (status)
        return status;
    *out = listen;
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
    if (status)
        return status;
    if (target.scheme == UPSTREAM_TLS || target.scheme == UPSTREAM_HTTPS) {
        reason_set(reason, "%.*s is not supported yet; udp:// and tcp:// are, and no scheme",
                   (int)(strstr(text, "://") - text + 3), text);
        return STATUS_INVALID;
    }
    if (target.address.port == 0) {
        reason_set(reason, "port from 1 to 65535 expected, got '%s'", text);
        return STATUS_INVALID;
    }
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
