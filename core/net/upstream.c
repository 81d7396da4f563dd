#include "net/upstream.h"

#include <stdlib.h>

static const struct {
    const char *prefix;
    bool works;
} schemes[] = {
    [UPSTREAM_PLAIN] = {"", true},      [UPSTREAM_UDP] = {"udp://", true},      [UPSTREAM_TCP] = {"tcp://", true},
    [UPSTREAM_TLS] = {"tls://", false}, [UPSTREAM_HTTPS] = {"https://", false},
};

enum status upstream_scheme_check(enum upstream_scheme scheme, struct reason *reason)
{
    if (schemes[scheme].works)
        return STATUS_OK;
    reason_set(reason, "%s is not supported yet; udp://, tcp:// and no scheme are", schemes[scheme].prefix);
    return STATUS_INVALID;
}

enum status net_upstream_from_text(const char *text, size_t length, struct net_upstream *out, struct reason *reason)
{
    struct net_upstream upstream = {.domain = {.length = 1}};
    if (length >= 2 && text[0] == '[' && text[1] == '/') {
        const char *end = memmem(text + 2, length - 2, "/]", 2);
        if (!end || memchr(text + 2, '/', (size_t)(end - text - 2))) {
            reason_set(reason, "[/domain/]ADDR expected, got '%.*s' (one domain for each)", (int)length, text);
            return STATUS_INVALID;
        }
        enum status status = dns_name_from_text(text + 2, (size_t)(end - text - 2), &upstream.domain, reason);
        if (status)
            return status;
        length -= (size_t)(end + 2 - text);
        text = end + 2;
    }
    enum status status = upstream_target_from_text(text, length, &upstream.target, reason);
    if (!status)
        status = upstream_scheme_check(upstream.target.scheme, reason);
    if (status)
        return status;
    *out = upstream;
    return STATUS_OK;
}

/* --- the list --- */

/* Whether `a` is to stand before `b`: longer domains first, those of one length in order of their bytes. */
static bool comes_before(const struct dns_name *a, const struct dns_name *b)
{
    if (a->length != b->length)
        return a->length > b->length;
    for (unsigned i = 0; i < a->length; i++) {
        uint8_t left = dns_lower(a->wire[i]), right = dns_lower(b->wire[i]);
        if (left != right)
            return left < right;
    }
    return false;
}

enum status upstreams_set(struct upstreams *upstreams, const struct net_upstream *items, size_t count)
{
    struct net_upstream *copy = count ? malloc(count * sizeof *copy) : NULL;
    if (count && !copy)
        return STATUS_NO_MEMORY;
    for (size_t i = 0; i < count; i++) { /* insertion keeps the order of equals */
        size_t at = i;
        for (; at > 0 && comes_before(&items[i].domain, &copy[at - 1].domain); at--)
            copy[at] = copy[at - 1];
        copy[at] = items[i];
    }
    upstreams_free(upstreams);
    *upstreams = (struct upstreams){copy, count};
    return STATUS_OK;
}

void upstreams_free(struct upstreams *upstreams)
{
    free(upstreams->items);
    *upstreams = (struct upstreams){0};
}

/* --- the choice --- */

static bool takes(const struct net_upstream *upstream, const struct dns_question *question)
{
    if (upstream->domain.length == 1)
        return true;
    return question && dns_name_is_subdomain(question->name, upstream->domain.wire);
}

static const struct net_upstream *choose(const struct upstreams *upstreams, const struct dns_question *question,
                                         unsigned attempt)
{
    size_t first = 0;
    while (first < upstreams->count && !takes(&upstreams->items[first], question))
        first++;
    if (first == upstreams->count)
        return NULL;
    size_t end = first + 1;
    while (end < upstreams->count && !comes_before(&upstreams->items[first].domain, &upstreams->items[end].domain))
        end++;
    return &upstreams->items[first + attempt % (end - first)];
}

enum status upstreams_choose(const struct upstreams *upstreams, const struct route *route, struct upstream_target *out,
                             struct reason *reason)
{
    struct upstream_target target = {0};
    const struct dns_message *query = &flow_request(route->flow)->view;
    if (route->again) {
        target = (struct upstream_target){route->scheme, *route->again};
    } else if (route->flow->target.address.family != AF_UNSPEC) {
        target = route->flow->target;
    } else {
        const struct dns_question *question = query->header.counts[DNS_SECTION_QUESTION] ? &query->question : NULL;
        const struct net_upstream *chosen = choose(upstreams, question, route->attempt);
        if (!chosen || chosen->target.address.family == AF_UNSPEC) {
            reason_set(reason, "no upstream");
            return STATUS_NOT_FOUND;
        }
        target = chosen->target;
    }
    *out = target;
    return upstream_scheme_check(target.scheme, reason) ? STATUS_IO : STATUS_OK;
}

void upstreams_describe(const struct upstreams *upstreams, struct buffer *out)
{
    char text[ADDRESS_TEXT_MAX], domain[DNS_NAME_TEXT_MAX];
    for (size_t i = 0; i < upstreams->count; i++) {
        const struct net_upstream *upstream = &upstreams->items[i];
        if (i)
            buffer_text(out, ", ");
        if (upstream->domain.length > 1) {
            dns_name_to_text(upstream->domain.wire, DNS_NAME_LOWER, domain);
            buffer_format(out, "[/%s/]", domain);
        }
        buffer_text(out, schemes[upstream->target.scheme].prefix);
        buffer_text(out, upstream->target.address.family == AF_UNSPEC ? "none"
                                                                      : address_text(&upstream->target.address, text));
    }
    if (upstreams->count == 0)
        buffer_text(out, "none");
}
