/* Any text as everything that users write to say where something is: addresses, prefixes, -l, -u, --metrics, --dnstap,
 * --shared, URLs. What is refused has a reason, and leaves the result as it was; what is taken reads the same when it
 * is printed. */
#include "data/address_set.h"
#include "messages.h"
#include "net/http/url.h"
#include "observe/dnstap.h"
#include "proxy/options_table.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { UNTOUCHED = 0xa5 };

/* Whether a function that failed has kept to what it promises. */
#define MUST_BE_REFUSED(out, reason)                                      \
    do {                                                                  \
        const uint8_t *bytes_ = (const uint8_t *)&(out);                  \
        MUST((reason).text[0] && strlen((reason).text) < sizeof(reason)); \
        for (size_t at_ = 0; at_ < sizeof(out); at_++)                    \
            MUST(bytes_[at_] == UNTOUCHED);                               \
    } while (0)

static void try_address(const char *text, size_t length)
{
    struct address address, back;
    struct reason reason = {""};
    char printed[ADDRESS_TEXT_MAX];
    memset(&address, UNTOUCHED, sizeof address);
    if (address_from_text(text, length, 53, &address, &reason)) {
        MUST_BE_REFUSED(address, reason);
    } else {
        address_text(&address, printed);
        MUST(!address_from_text(printed, strlen(printed), 1, &back, &reason) && address_equal(&address, &back));
    }
    if (address_from_ip(text, length, &address) == STATUS_OK) {
        MUST(address.port == 0);
        address_ip_text(&address, printed);
        MUST(!address_from_ip(printed, strlen(printed), &back) && address_equal(&address, &back));
    }
}

static void try_prefix(const char *text, size_t length)
{
    struct address_prefix prefix, back;
    struct reason reason = {""};
    char printed[ADDRESS_PREFIX_TEXT_MAX];
    memset(&prefix, UNTOUCHED, sizeof prefix);
    if (address_prefix_from_text(text, length, &prefix, &reason)) {
        MUST_BE_REFUSED(prefix, reason);
        return;
    }
    address_prefix_text(&prefix, printed);
    MUST(!address_prefix_from_text(printed, strlen(printed), &back, &reason));
    MUST(back.length == prefix.length && address_equal(&prefix.address, &back.address));
}

static void try_listen(const char *text)
{
    struct options_listen listen;
    struct address metrics;
    struct reason reason = {""}, metrics_reason = {""};
    memset(&listen, UNTOUCHED, sizeof listen);
    memset(&metrics, UNTOUCHED, sizeof metrics);
    if (options_listen_from_text(text, &listen, &reason))
        MUST_BE_REFUSED(listen, reason);
    else
        MUST(listen.transports && listen.address.family != AF_UNSPEC);
    if (options_metrics_from_text(text, &metrics, &metrics_reason))
        MUST_BE_REFUSED(metrics, metrics_reason);
    else
        MUST(metrics.family != AF_UNSPEC);
}

static void try_upstream(const char *text)
{
    struct arena arena = {0};
    struct options_upstream *upstreams;
    size_t count = SIZE_MAX;
    struct reason reason = {""};
    memset(&upstreams, UNTOUCHED, sizeof upstreams);
    if (options_upstreams_from_text(text, &arena, &upstreams, &count, &reason)) {
        MUST_BE_REFUSED(upstreams, reason);
        MUST(count == SIZE_MAX);
        count = 0;
    }
    for (size_t i = 0; i < count; i++) {
        const struct upstream_target *target = &upstreams[i].target;
        MUST(target->address.family == AF_UNSPEC || target->address.port > 0);
        MUST(upstreams[i].domain.length != 1);
        if (upstreams[i].domain.length)
            MUST(dns_name_wire_length(upstreams[i].domain.wire, upstreams[i].domain.length) ==
                 upstreams[i].domain.length);
    }
    arena_free(&arena);
}

static void try_store(const char *text)
{
    struct arena arena = {0};
    struct redis_url url;
    struct reason reason = {""}, dnstap_reason = {""};
    memset(&url, UNTOUCHED, sizeof url);
    if (redis_url_parse(text, &arena, &url, &reason)) {
        MUST_BE_REFUSED(url, reason);
    } else {
        MUST(!url.host != !url.path && url.prefix && url.place && url.shown);
        MUST(!url.host || (url.host[0] && url.port > 0));
    }
    arena_free(&arena);
    if (dnstap_check(text, &dnstap_reason))
        MUST(dnstap_reason.text[0]);
}

static void must_come_back(const struct http_url *url)
{
    struct http_url back;
    struct reason reason = {""};
    struct buffer printed = {0};
    http_url_append(url, &printed);
    for (size_t i = 0; i < printed.length; i++)
        MUST(printed.data[i] > ' ' && printed.data[i] < 0x7f);
    MUST(!http_url_parse((const char *)printed.data, printed.length, &back, &reason));
    MUST(http_url_same_origin(url, &back) && !strcmp(url->target, back.target));
    buffer_free(&printed);
}

static void try_url(const char *text, size_t length)
{
    static const char text_of_base[] = "https://example.com:8443/a/b?c";
    struct http_url url, base;
    struct reason reason = {""};
    memset(&url, UNTOUCHED, sizeof url);
    if (http_url_parse(text, length, &url, &reason))
        MUST_BE_REFUSED(url, reason);
    else
        must_come_back(&url);
    MUST(!http_url_parse(text_of_base, sizeof text_of_base - 1, &base, &reason));
    reason = (struct reason){""};
    memset(&url, UNTOUCHED, sizeof url);
    if (http_url_resolve(&base, text, &url, &reason))
        MUST_BE_REFUSED(url, reason);
    else
        must_come_back(&url);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    if (!text)
        return 0;
    if (size)
        memcpy(text, data, size);
    text[size] = '\0';
    try_address((const char *)data, size);
    try_prefix((const char *)data, size);
    try_listen(text);
    try_upstream(text);
    try_store(text);
    try_url(text, strlen(text));
    free(text);
    return 0;
}
