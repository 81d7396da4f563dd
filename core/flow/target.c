/* The text form of an upstream. */
#include "flow/flow.h"

#include <strings.h>

static const struct scheme {
    const char *name;
    enum upstream_scheme scheme;
    uint16_t port;
} schemes[] = {
    {"udp", UPSTREAM_UDP, 53},
    {"tcp", UPSTREAM_TCP, 53},
    {"tls", UPSTREAM_TLS, 853},
    {"https", UPSTREAM_HTTPS, 443},
};

static const struct scheme *find_scheme(const char *text, size_t length)
{
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++)
        if (strlen(schemes[i].name) == length && !strncasecmp(schemes[i].name, text, length))
            return &schemes[i];
    return NULL;
}

enum status upstream_target_from_text(const char *text, size_t length, struct upstream_target *out,
                                      struct reason *reason)
{
    static const char separator[] = "://";
    struct scheme scheme = {NULL, UPSTREAM_PLAIN, 53};
    const char *rest = memmem(text, length, separator, strlen(separator));
    if (rest) {
        const struct scheme *found = find_scheme(text, (size_t)(rest - text));
        if (!found) {
            reason_set(reason, "scheme udp, tcp, tls or https expected, got '%.*s'", (int)(rest - text), text);
            return STATUS_INVALID;
        }
        scheme = *found;
        rest += strlen(separator);
    } else {
        rest = text;
    }
    struct upstream_target target = {.scheme = scheme.scheme};
    enum status status = address_from_text(rest, length - (size_t)(rest - text), scheme.port, &target.address, reason);
    if (status)
        return status;
    if (target.address.port == 0) {
        reason_set(reason, "port from 1 to 65535 expected, got '0'");
        return STATUS_INVALID;
    }
    *out = target;
    return STATUS_OK;
}
