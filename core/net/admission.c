/* Who is served: by where a client is, and by how much it asks. One look at each packet, and none where everybody is
 * served at any rate. And what is kept from those who are. */
#include "net/transport.h"

#include <stdio.h>
#include <stdlib.h>

enum { TELL_EVERY_US = 1000000 };

/* RFC 1918, RFC 3927, RFC 4193, RFC 4291 section 2.5, RFC 6598. */
static const char *const private_networks[] = {
    "127.0.0.0/8",   "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16",
    "100.64.0.0/10", "::1",        "fc00::/7",      "fe80::/10",
};

static enum status describe(const struct address_prefix *prefixes, size_t count, char **out)
{
    struct buffer text = {0};
    char prefix[ADDRESS_PREFIX_TEXT_MAX];
    for (size_t i = 0; i < count; i++)
        buffer_format(&text, "%s%s", i ? ", " : "", address_prefix_text(&prefixes[i], prefix));
    *out = (char *)buffer_c_string(&text);
    return *out ? STATUS_OK : STATUS_NO_MEMORY;
}

enum status net_admission_new(struct net *net, const struct net_config *config)
{
    enum status status;
    net->allowed_given = config->allowed != NULL;
    if (net->allowed_given)
        status = address_ranges_set(&net->allowed, config->allowed, config->allowed_count);
    else
        status = address_ranges_set_texts(&net->allowed, private_networks,
                                          sizeof private_networks / sizeof *private_networks);
    if (!status && net->allowed_given)
        status = describe(config->allowed, config->allowed_count, &net->allowed_text);
    if (!status && config->rebind_protection)
        status = rebind_new(config->rebind_allowed, config->rebind_allowed_count, &net->rebind);
    return status;
}

void net_admission_free(struct net *net)
{
    address_ranges_free(&net->allowed);
    rebind_free(net->rebind);
    free(net->allowed_text);
}

static bool is_loopback(const struct address *address)
{
    static const uint8_t ipv6[16] = {[15] = 1};
    return address->family == AF_INET6 ? !memcmp(address->bytes, ipv6, 16) : address->bytes[0] == 127;
}

void net_admission_start(struct net *net)
{
    for (size_t i = 0; i < net->listener_count; i++) {
        struct listener *listener = &net->listeners[i];
        listener->guarded = !net->config.allow_all && (net->allowed_given || !is_loopback(&listener->local));
        listener->checks = listener->guarded || net->config.rate_limit;
    }
}

void net_describe_clients(const struct net *net, struct buffer *out)
{
    bool guarded = false;
    for (size_t i = 0; i < net->listener_count; i++)
        guarded = guarded || net->listeners[i].guarded;
    if (guarded)
        buffer_text(out, net->allowed_given ? net->allowed_text : "loopback and private networks");
}

bool net_admits_client(struct net *net, const struct address *client)
{
    if (address_ranges_match(&net->allowed, client))
        return true;
    net->counters.prohibited++;
    return false;
}

static bool exceeds_rate(struct net *net, const struct reply_to *to)
{
    const struct net_config *config = &net->config;
    if (!config->rate_limit || (config->rate_action == TURN_AWAY_TRUNCATE && transport_is_stream(to->transport)))
        return false;
    return !rate_limit_take(config->rate_limit, &to->client, net->now_us);
}

bool net_admits_query(struct listener *listener, const uint8_t *wire, size_t length, const struct reply_to *to)
{
    struct net *net = listener->net;
    if (listener->guarded && !transport_is_stream(to->transport) && !net_admits_client(net, &to->client)) {
        exchange_turn_away(net->exchange, wire, length, to, TURN_AWAY_REFUSE, DNS_EDE_PROHIBITED,
                           "this client is not allowed");
        return false;
    }
    if (exceeds_rate(net, to)) {
        net->counters.rate_limited++;
        exchange_turn_away(net->exchange, wire, length, to, net->config.rate_action, DNS_EDE_PROHIBITED,
                           "too many queries from this client");
        return false;
    }
    return true;
}

/* --- answers --- */

/* Upstreams of a domain of its own may know private addresses: that is what they are for. */
bool net_blocks_answer(void *context, const struct flow *flow, const struct channel *channel,
                       const struct dns_message *answer, char why[static FLOW_SOURCE_NAME_MAX])
{
    struct net *net = context;
    struct address found;
    const struct dns_message *query = &flow->query.view;
    const struct dns_question *question = query->header.counts[DNS_SECTION_QUESTION] ? &query->question : NULL;
    size_t index = upstreams_index(&net->upstreams, channel->upstream);
    if (index < net->upstreams.count && net->upstreams.items[index].domain.length > 1)
        return false;
    if (!rebind_finds(net->rebind, question, answer, &found))
        return false;
    char address[ADDRESS_TEXT_MAX], name[DNS_NAME_TEXT_MAX];
    snprintf(why, FLOW_SOURCE_NAME_MAX, "private address %.45s", address_ip_text(&found, address));
    if (question && (net->rebind_told_us == 0 || net->now_us - net->rebind_told_us >= TELL_EVERY_US)) {
        net->rebind_told_us = net->now_us;
        dns_name_to_text(question->name, DNS_NAME_LOWER, name);
        log_line(net->log, LOG_WARN, "%s has the %s: its answer is blocked (--rebind-allow DOMAIN lets it pass)", name,
                 why);
    }
    return true;
}
