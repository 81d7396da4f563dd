/* Clients and upstreams as the exchange sees them, and what it shows of its flows. */
#include "exchange/world.h"
#include "flow/flow_json.h"

struct span world_take_some(struct world *world)
{
    return input_take(&world->input, cursor_u8(&world->input));
}

void world_disturb(struct world *world, struct buffer *wire)
{
    for (unsigned left = cursor_u8(&world->input) % 4; left > 0 && wire->length > 0; left--) {
        size_t at = cursor_u16(&world->input) % wire->length;
        wire->data[at] ^= cursor_u8(&world->input);
    }
}

/* --- the world of the exchange --- */

static struct client_query *end_query(struct world *world, const struct reply_to *to)
{
    MUST(to->connection < world->query_count);
    struct client_query *query = &world->queries[to->connection];
    MUST(!query->ended);
    query->ended = true;
    return query;
}

static void check_reply(const struct client_query *query, const struct dns_message *reply)
{
    struct dns_message asked;
    if (dns_message_parse(query->wire.data, query->wire.length, &asked, NULL))
        return;
    if (asked.opt.count == 0)
        MUST(reply->opt.count == 0);
    size_t limit = asked.opt.count && asked.opt.udp_payload_size > 512 ? asked.opt.udp_payload_size : 512;
    MUST(transport_is_stream(query->transport) || reply->length <= limit);
    if (asked.header.counts[0] != 1 || reply->header.counts[0] == 0)
        return;
    MUST(reply->header.counts[0] == 1);
    MUST(reply->question.name_length == asked.question.name_length);
    MUST(!memcmp(reply->question.name, asked.question.name, asked.question.name_length + 4u));
}

static void reply_again(void *context, const struct reply_to *to, const uint8_t *wire, size_t length)
{
    const struct world *world = context;
    MUST(to->connection < world->query_count && !world->queries[to->connection].ended);
    MUST(wire || length == 0);
}

static void reply(void *context, const struct reply_to *to, const uint8_t *wire, size_t length)
{
    const struct client_query *query = end_query(context, to);
    struct dns_message message;
    if (length == 0)
        return; /* a fault cut it off */
    MUST(query->wire.length >= DNS_HEADER_SIZE && !(query->wire.data[2] & 0x80));
    MUST(dns_message_parse(wire, length, &message, NULL) == STATUS_OK);
    MUST(message.header.id == load_u16(query->wire.data));
    check_reply(query, &message);
}

static enum part_result reply_part(void *context, const struct reply_to *to, const uint8_t *wire, size_t length)
{
    struct world *world = context;
    struct dns_message message;
    MUST(to->connection < world->query_count && !world->queries[to->connection].ended);
    MUST(transport_is_stream(to->transport));
    MUST(dns_message_parse(wire, length, &message, NULL) == STATUS_OK);
    MUST(message.header.id == load_u16(world->queries[to->connection].wire.data));
    uint8_t how = cursor_u8(&world->input);
    return how < 128 ? PART_TAKEN : how < 240 ? PART_FULL : PART_GONE;
}

static void no_reply(void *context, const struct reply_to *to)
{
    end_query(context, to);
}

static enum status route(void *context, const struct route *wanted, struct channel *out, struct reason *reason)
{
    struct world *world = context;
    uint8_t how = cursor_u8(&world->input);
    MUST(!wanted->stream || wanted->again);
    if (how >= 250)
        return STATUS_NOT_FOUND;
    out->server = (struct address){.family = AF_INET, .port = 53, .bytes = {how}};
    if (how >= 240) {
        reason_set(reason, "out of reach");
        return STATUS_IO;
    }
    out->number = how % 5;
    out->transport = wanted->stream || wanted->transfer || how % 5 == 4 ? TRANSPORT_TCP : TRANSPORT_UDP;
    out->scheme = how & 64 ? UPSTREAM_UDP : UPSTREAM_PLAIN;
    out->no_edns = how & 128 && world->no_edns;
    world->routed++;
    return STATUS_OK;
}

static unsigned rivals(void *context, const struct flow *flow, uint8_t members[static RIVALS_MAX])
{
    struct world *world = context;
    (void)flow;
    if (!world->races)
        return 0;
    unsigned count = cursor_u8(&world->input) % 4;
    for (unsigned i = 0; i < count; i++)
        members[i] = (uint8_t)i;
    return count;
}

static void note_no_edns(void *context, const struct channel *channel)
{
    struct world *world = context;
    MUST(channel->number < 5 && !channel->no_edns);
    world->no_edns = true;
}

static void hold(void *context, const struct channel *channel, bool held)
{
    struct world *world = context;
    MUST(channel->number < 5 && channel->transport == TRANSPORT_TCP);
    world->held += held;
}

static void disturb_client(void *context, const struct reply_to *to, bool reset, uint32_t bytes_per_second)
{
    const struct world *world = context;
    MUST(to->connection < world->query_count && !world->queries[to->connection].ended);
    MUST(reset || bytes_per_second > 0);
}

static bool blocks(void *context, const struct flow *flow, const struct channel *channel,
                   const struct dns_message *answer, char why[static FLOW_SOURCE_NAME_MAX])
{
    struct world *world = context;
    (void)flow;
    MUST(channel->number < 5 && answer->wire);
    strcpy(why, "private address 10.0.0.1");
    return world->blocks && cursor_u8(&world->input) >= 128;
}

static enum status send_query(void *context, const struct channel *channel, const uint8_t *wire, size_t length,
                              struct reason *reason)
{
    struct world *world = context;
    struct dns_message message;
    MUST(dns_message_parse(wire, length, &message, NULL) == STATUS_OK);
    if (cursor_u8(&world->input) >= 250) {
        reason_set(reason, "cannot send");
        return STATUS_IO;
    }
    struct sent_query *sent = &world->sent[world->sent_count++ % SENT_MAX];
    buffer_clear(&sent->wire);
    buffer_append(&sent->wire, wire, length);
    sent->channel = channel->number;
    return STATUS_OK;
}

static void release(void *context, const struct channel *channel, enum try_outcome outcome)
{
    (void)outcome;
    struct world *world = context;
    MUST(channel->number < 5);
    world->released++;
}

static enum status local_answer(void *context, const struct flow *flow, struct buffer *out, enum flow_source *source,
                                const char **source_name)
{
    struct world *world = context;
    MUST(!flow->response.present && out->length == 0);
    if (cursor_u8(&world->input) < 240)
        return STATUS_NOT_FOUND;
    struct span bytes = world_take_some(world);
    if (bytes.length)
        buffer_append(out, bytes.data, bytes.length);
    else
        MUST(!dns_message_make_error(&flow->query.view, DNS_RCODE_NXDOMAIN, out));
    *source = bytes.length % 2 ? FLOW_SOURCE_ZONE : FLOW_SOURCE_HOSTS;
    *source_name = bytes.length % 2 ? "a.zone" : NULL;
    return STATUS_OK;
}

struct exchange_io world_io(struct world *world)
{
    return (struct exchange_io){.context = world,
                                .reply = reply,
                                .no_reply = no_reply,
                                .reply_part = reply_part,
                                .reply_again = reply_again,
                                .hold = hold,
                                .disturb = disturb_client,
                                .no_edns = note_no_edns,
                                .rivals = rivals,
                                .blocks = blocks,
                                .route = route,
                                .send = send_query,
                                .release = release,
                                .local_answer = local_answer};
}

/* --- flows --- */

/* The view is what a parser would see. */
static void check_view(const struct flow_message *message)
{
    struct dns_message parsed;
    if (!message->present)
        return;
    MUST(!dns_message_parse(message->wire.data, message->wire.length, &parsed, NULL));
    MUST(message->view.wire == parsed.wire && message->view.length == parsed.length);
    MUST(!memcmp(message->view.section, parsed.section, sizeof parsed.section));
    MUST(message->view.question.name == parsed.question.name && message->view.opt.offset == parsed.opt.offset);
    MUST(message->view.opt.options.data == parsed.opt.options.data && message->view.header.id == parsed.header.id);
}

static void check_json(const struct flow *flow)
{
    cJSON *json = flow_to_json(flow);
    char *text = json ? cJSON_PrintUnformatted(json) : NULL;
    cJSON *back = text ? cJSON_Parse(text) : NULL;
    MUST(back);
    cJSON_Delete(json);
    cJSON_Delete(back);
    cJSON_free(text);
}

static void passed(void *context, const struct flow *flow, enum passage passage, struct span wire)
{
    struct dns_message message;
    (void)context;
    MUST(flow->finished_us == 0 || passage == PASSAGE_UPSTREAM_ANSWER || passage == PASSAGE_CLIENT_ANSWER);
    if (passage == PASSAGE_CLIENT_QUERY || passage == PASSAGE_UPSTREAM_QUERY)
        MUST(!dns_message_parse(wire.data, wire.length, &message, NULL));
}

static void finished(void *context, const struct flow *flow)
{
    struct world *world = context;
    MUST(!flow->wrapper && flow->finished_us > 0);
    for (size_t i = 0; i < ASKS_MAX; i++)
        MUST(world->asked[i].flow != flow);
    MUST(!flow->cache_hit || (!flow->asked && flow->target.address.family == AF_UNSPEC));
    check_view(&flow->query);
    check_view(&flow->request);
    check_view(&flow->response);
    if (flow->serial % 8 == 0)
        check_json(flow);
    if (world->seen == flow)
        world->seen = NULL;
    for (size_t i = 0; i < PARKED_MAX; i++)
        if (world->parked[i] == flow)
            world->parked[i] = NULL;
}

struct flow_observer world_observer(struct world *world)
{
    return (struct flow_observer){.context = world, .finished = finished, .passed = passed};
}
