/* The whole exchange: packets from clients and upstreams in any order, time, channels that break, and scripts that
 * answer, edit, clear, fail, kill and suspend. The input is a program: a byte says what happens next, and what it needs
 * follows.
 *
 * With a response cache or without, as the input says.
 *
 * Must hold: a query sent comes to one answer or to none, never two; a response sent as a query to none; answers are
 * whole messages, carry the client's id and question, no OPT if it sent none, and fit it; each route is released once.
 */
#include "flow/exchange.h"
#include "flow/faults.h"
#include "flow/flow_json.h"
#include "messages.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    QUERIES_MAX = 256, /* of one run; reply_to.connection is a query's number */
    SENT_MAX = 64,     /* the last ones sent upstream are remembered */
    PARKED_MAX = 16,
    GENERATIONS = 4,
    ASKS_MAX = 8, /* queries of scripts' own at one time */
    ASKS_OP = 248,
    RARE_OP = 250,   /* and above: what seldom happens */
    FAULTS_OP = 248, /* in a hook */
};

struct client_query {
    struct buffer wire;
    bool ended;
    enum transport transport;
};

struct sent_query {
    struct buffer wire;
    uint32_t channel;
};

struct asked {
    struct world *world;
    struct flow *flow;
    bool being_made, finished;
};

struct world {
    struct cursor input;
    struct exchange *exchange;
    struct client_query queries[QUERIES_MAX];
    struct sent_query sent[SENT_MAX];
    struct flow *parked[PARKED_MAX];
    struct flow *seen; /* the last one that a hook saw, while it is under way */
    struct hooks generations[GENERATIONS];
    struct asked asked[ASKS_MAX];
    size_t query_count, sent_count, routed, released, held;
    int64_t now_us;
    bool no_edns;       /* some server was found not to know EDNS */
    bool races, blocks; /* several upstreams may be asked at once; answers may be kept from clients */
};

static struct span take(struct world *world, size_t length)
{
    size_t left = cursor_left(&world->input);
    length = length < left ? length : left;
    return (struct span){cursor_take(&world->input, length), length};
}

/* Bytes whose length is in the input. */
static struct span take_some(struct world *world)
{
    return take(world, cursor_u8(&world->input));
}

/* Changes some bytes as the input says. */
static void disturb(struct world *world, struct buffer *wire)
{
    for (unsigned left = cursor_u8(&world->input) % 4; left > 0 && wire->length > 0; left--) {
        size_t at = cursor_u16(&world->input) % wire->length;
        wire->data[at] ^= cursor_u8(&world->input);
    }
}

/* --- the world --- */

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
    struct span bytes = take_some(world);
    if (bytes.length)
        buffer_append(out, bytes.data, bytes.length);
    else
        MUST(!dns_message_make_error(&flow->query.view, DNS_RCODE_NXDOMAIN, out));
    *source = bytes.length % 2 ? FLOW_SOURCE_ZONE : FLOW_SOURCE_HOSTS;
    *source_name = bytes.length % 2 ? "a.zone" : NULL;
    return STATUS_OK;
}

/* --- scripts --- */

/* What a script makes of a message: one of the input's, or the one there is with some bytes changed. */
static struct buffer edited(struct world *world, const struct flow_message *message)
{
    struct buffer wire = {0};
    struct span bytes = take_some(world);
    if (bytes.length > 1) {
        buffer_append(&wire, bytes.data, bytes.length);
    } else if (message->present) {
        buffer_append(&wire, message->wire.data, message->wire.length);
        disturb(world, &wire);
    }
    return wire;
}

static void set_response(struct world *world, struct flow *flow)
{
    struct buffer wire = edited(world, flow->response.present ? &flow->response : &flow->query);
    struct reason reason;
    enum status status = flow_set_response(flow, wire.data, wire.length, FLOW_SOURCE_SCRIPT, "fuzz.lua", &reason);
    MUST(flow->response.present == (status == STATUS_OK));
    buffer_free(&wire);
}

/* The question of another name: what a client asked comes back to it all the same. */
static struct buffer other_question(const struct flow *flow)
{
    struct buffer wire = {0};
    buffer_append(&wire, flow->query.wire.data, 4);
    buffer_append(&wire, "\0\1\0\0\0\0\0\0\5other\7example\0\0\1\0\1", 27);
    return wire;
}

static void set_request(struct world *world, struct flow *flow)
{
    struct buffer wire = cursor_u8(&world->input) & 1 ? other_question(flow) : edited(world, flow_request(flow));
    struct reason reason;
    if (flow_set_request(flow, wire.data, wire.length, &reason))
        MUST(reason.text[0]);
    buffer_free(&wire);
}

static void resume_parked(struct world *world, size_t i)
{
    struct flow *flow = world->parked[i];
    world->parked[i] = NULL;
    if (flow)
        exchange_resume(world->exchange, flow);
}

/* --- queries of scripts' own --- */

static void forget(struct world *world, struct asked *asked)
{
    struct flow *flow = asked->flow;
    asked->flow = NULL;
    if (flow)
        exchange_forget(world->exchange, flow);
}

/* What waited for it goes on, and perhaps ends others. */
static void ask_finished(void *context)
{
    struct asked *asked = context;
    struct world *world = asked->world;
    MUST(asked->flow && !asked->finished && !asked->being_made && asked->flow->finished_us > 0);
    MUST(asked->flow->response.present != (asked->flow->error[0] != 0));
    asked->finished = true;
    uint8_t what = cursor_u8(&world->input);
    if (what & 1)
        forget(world, asked);
    if (what & 2)
        forget(world, &world->asked[what / 4 % ASKS_MAX]);
    if (what & 128)
        resume_parked(world, what / 4 % PARKED_MAX);
}

static void ask_or_forget(struct world *world)
{
    static const char *const names[] = {"\7example\3com", "\1b"};
    struct asked *asked = &world->asked[cursor_u8(&world->input) % ASKS_MAX];
    if (asked->being_made)
        return;
    if (asked->flow) {
        forget(world, asked);
        return;
    }
    uint8_t how = cursor_u8(&world->input);
    struct dns_name name = {.length = (uint8_t)(strlen(names[how & 1]) + 1)};
    memcpy(name.wire, names[how & 1], name.length);
    struct exchange_ask ask = {.name = &name,
                               .type = 1,
                               .class_ = DNS_CLASS_IN,
                               .locally = how & 8,
                               .timeout_us = how / 16 * 4000,
                               .finished = ask_finished,
                               .context = asked};
    if (how & 2)
        ask.target.address = (struct address){.family = AF_INET, .port = 53, .bytes = {how}};
    *asked = (struct asked){.world = world, .being_made = true};
    struct flow *flow = NULL;
    enum status status = exchange_ask(world->exchange, &ask, &flow);
    MUST((status == STATUS_OK) == (flow != NULL));
    asked->being_made = false;
    asked->flow = flow;
}

static bool park(struct world *world, struct flow *flow)
{
    for (size_t i = 0; i < PARKED_MAX; i++) {
        if (world->parked[i])
            continue;
        world->parked[i] = flow;
        return true;
    }
    return false;
}

/* Those that leave the answer a whole message. */
static void set_faults(struct world *world, enum hook hook, struct flow *flow)
{
    struct flow_faults *faults = flow_faults_of(flow);
    uint8_t which = cursor_u8(&world->input);
    MUST(faults);
    faults->truncate = which & 1;
    faults->copies = which >> 1 & 3;
    faults->reset = (which >> 3) == 1;
    faults->drip = (which >> 3) == 2 ? 10 : 0;
    faults->delay_us = (which >> 4) * 1000;
    faults->cut = (which >> 4) == 15 ? DNS_MESSAGE_MAX : 0;
    if ((which >> 4) == 14)
        flow_drop(flow);
    struct upstream_target target = {.address = {.family = which & 1 ? AF_INET : AF_UNSPEC, .port = 53}};
    if ((which >> 4) == 13 && hook != HOOK_REQUEST)
        MUST(flow_resend(flow, &target) == flow->resend && flow->resends <= FLOW_RESENDS_MAX);
}

static enum hook_result run(struct hooks *hooks, enum hook hook, struct flow *flow)
{
    struct world *world = hooks->context;
    MUST(hooks->defined & 1u << hook && flow->hooks == hooks && flow->finished_us == 0 && !flow->killed);
    MUST(hook != HOOK_RESPONSE || flow->response.present);
    MUST(hook != HOOK_ERROR || flow->error[0]);
    world->seen = flow;
    for (unsigned left = 1 + cursor_u8(&world->input) % 3; left > 0; left--) {
        uint8_t what = cursor_u8(&world->input);
        if (what >= FAULTS_OP) {
            set_faults(world, hook, flow);
            continue;
        }
        switch (what % 10) {
        case 1:
            set_response(world, flow);
            break;
        case 2:
            set_request(world, flow);
            break;
        case 3:
            flow_clear_response(flow);
            break;
        case 4:
            flow_set_error(flow, "fuzz", 1);
            break;
        case 5:
            flow_kill(flow);
            break;
        case 6:
            flow->wrapper = world;
            break;
        case 7:
            flow_response_unpackable(flow);
            break;
        case 8:
            if (park(world, flow))
                return HOOK_SUSPENDED;
            break;
        case 9:
            ask_or_forget(world);
            break;
        default:
            break;
        }
    }
    return HOOK_DONE;
}

static void wrapper_ended(struct hooks *hooks, struct flow *flow)
{
    MUST(flow->hooks == hooks && flow->wrapper == hooks->context);
    flow->wrapper = NULL;
}

static void unused(struct hooks *hooks)
{
    MUST(hooks->flows == 0);
}

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

/* --- what happens --- */

static void ask(struct world *world, struct buffer *wire)
{
    if (world->query_count < QUERIES_MAX) {
        uint8_t from = cursor_u8(&world->input);
        struct reply_to to = {.transport = from & 1 ? TRANSPORT_TCP : TRANSPORT_UDP, .connection = world->query_count};
        struct client_query *query = &world->queries[world->query_count++];
        *query = (struct client_query){.wire = *wire, .transport = to.transport};
        *wire = (struct buffer){0};
        exchange_query(world->exchange, query->wire.data, query->wire.length, &to);
    }
    buffer_free(wire);
}

static void happen_raw_query(struct world *world)
{
    struct buffer wire = {0};
    struct span bytes = take_some(world);
    buffer_append(&wire, bytes.data, bytes.length);
    ask(world, &wire);
}

/* A good query: so that the input need not find one. */
static void happen_query(struct world *world)
{
    static const char *const names[] = {"\7eXample\3Com", "\1a", "", "\3www\7example\3com"};
    struct buffer wire = {0};
    uint8_t kind = cursor_u8(&world->input);
    const char *name = names[kind & 3];
    struct dns_header header = {
        .id = cursor_u16(&world->input), .flags = DNS_FLAG_RD, .counts = {1, 0, 0, kind & 4 ? 1 + (kind >> 7) : 0}};
    buffer_reserve(&wire, DNS_HEADER_SIZE);
    dns_header_write(wire.data, &header);
    wire.length = DNS_HEADER_SIZE;
    buffer_append(&wire, name, strlen(name) + 1);
    buffer_u16(&wire, kind & 32 ? kind & 64 ? DNS_TYPE_AXFR : DNS_TYPE_IXFR : DNS_TYPE_A);
    buffer_u16(&wire, DNS_CLASS_IN);
    if (kind & 4) {
        struct span options = take(world, kind & 8 ? cursor_u8(&world->input) % 32 : 0);
        buffer_u8(&wire, 0);
        buffer_u16(&wire, DNS_TYPE_OPT);
        buffer_u16(&wire, cursor_u16(&world->input));
        buffer_u32(&wire, kind & 16 ? 0x8000 : 0);
        buffer_u16(&wire, (uint16_t)options.length);
        buffer_append(&wire, options.data, options.length);
        if (kind & 128)
            buffer_append(&wire, "\0\0\51\2\0\0\0\0\0\0", 11);
    }
    disturb(world, &wire);
    ask(world, &wire);
}

static void happen_raw_answer(struct world *world)
{
    uint32_t channel = cursor_u8(&world->input) % 5;
    struct span bytes = take_some(world);
    exchange_answer(world->exchange, channel, bytes.data, bytes.length);
}

/* What zone transfers are made of: SOA records of some serials, and others. */
static void append_rows(struct world *world, struct buffer *wire)
{
    static const char address[] = "\xc0\x0c\0\1\0\1\0\0\0\1\0\4\1\2\3\4";
    static const char soa[] = "\xc0\x0c\0\6\0\1\0\0\0\1\0\x16\0\0\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\1";
    enum { SERIAL = 17 };
    for (unsigned left = cursor_u8(&world->input) % 8; left > 0; left--) {
        const uint8_t row = cursor_u8(&world->input);
        if (row & 1)
            buffer_append(wire, soa, sizeof soa - 1);
        else
            buffer_append(wire, address, sizeof address - 1);
        if (row & 1)
            wire->data[wire->length - (sizeof soa - 1) + SERIAL] = row >> 1 & 3;
        store_u16(wire->data + 6, (uint16_t)(load_u16(wire->data + 6) + 1));
    }
}

/* An answer to one of the last queries: its question, then records of the input's, so many as it says. */
static void happen_answer(struct world *world)
{
    size_t known = world->sent_count < SENT_MAX ? world->sent_count : SENT_MAX;
    if (!known)
        return;
    const struct sent_query *sent = &world->sent[cursor_u8(&world->input) % known];
    struct dns_message asked;
    struct buffer wire = {0};
    MUST(!dns_message_parse(sent->wire.data, sent->wire.length, &asked, NULL));
    buffer_append(&wire, sent->wire.data, asked.section[DNS_SECTION_ANSWER]);
    uint8_t kind = cursor_u8(&world->input);
    uint16_t repeat = kind & 8 ? cursor_u8(&world->input) * 16 : 1;
    wire.data[2] |= (uint8_t)(0x80 | (kind & 2));
    memset(wire.data + 6, 0, 6);
    if (!(kind & 1) && asked.header.counts[0] &&
        (asked.question.type == DNS_TYPE_AXFR || asked.question.type == DNS_TYPE_IXFR))
        append_rows(world, &wire);
    struct span record = take(world, kind & 1 ? cursor_u8(&world->input) % 64 : 0);
    for (unsigned i = 0; record.length && i < repeat && wire.length < DNS_MESSAGE_MAX - 64; i++) {
        buffer_append(&wire, record.data, record.length);
        uint8_t *count = wire.data + 6 + 2 * ((kind >> 4) % 3);
        store_u16(count, (uint16_t)(load_u16(count) + 1));
    }
    if (kind & 4)
        disturb(world, &wire);
    exchange_answer(world->exchange, sent->channel, wire.data, wire.length);
    buffer_free(&wire);
}

static void happen_broken_channel(struct world *world)
{
    uint8_t which = cursor_u8(&world->input);
    exchange_channel_failed(world->exchange, which % 5, "connection refused", which & 128);
}

static void happen_time(struct world *world)
{
    uint8_t how_long = cursor_u8(&world->input);
    world->now_us += how_long < 224 ? 1 + how_long * 1000 : (1 << (how_long - 224) / 2) * (int64_t)1000000;
    exchange_set_time(world->exchange, world->now_us, world->now_us + 5);
    exchange_expire(world->exchange);
    int64_t next = exchange_next_deadline(world->exchange);
    MUST(next == -1 || next > world->now_us);
}

static void happen_resume(struct world *world)
{
    resume_parked(world, cursor_u8(&world->input) % PARKED_MAX);
}

static void happen_kill(struct world *world)
{
    uint8_t which = cursor_u8(&world->input);
    struct flow *flow = which < 128 ? world->seen : world->parked[which % PARKED_MAX];
    if (flow)
        flow_kill(flow);
}

static void flush(struct world *world, bool all)
{
    const uint8_t *name = (const uint8_t *)"\7example\3com";
    const struct cache_counters *counters = &exchange_counters(world->exchange)->cache;
    uint64_t before = counters->flushed;
    size_t flushed = exchange_flush_cache(world->exchange, all ? NULL : name);
    MUST(counters->flushed == before + flushed);
    MUST(!exchange_flush_cache(world->exchange, all ? NULL : name));
}

static void happen_reload(struct world *world)
{
    uint8_t which = cursor_u8(&world->input);
    if (which >= 250) {
        flush(world, which & 1);
        return;
    }
    exchange_set_hooks(world->exchange, which % 5 == 4 ? NULL : &world->generations[which % 5]);
}

static struct exchange_config config_of(struct world *world)
{
    int64_t timeout_us = 1 + cursor_u8(&world->input) * 2000;
    uint8_t more = cursor_u8(&world->input);
    world->races = more & 64;
    world->blocks = more & 128;
    return (struct exchange_config){.timeout_us = timeout_us,
                                    .retries = more & 3,
                                    .flows_max = 8,
                                    .payload_size = 1232,
                                    .op_codes_refused = more & 4 ? 0xfff0 : 0,
                                    .stream_idle_us = more & 8 ? 10000000 : 0,
                                    .coalesce = more & 64,
                                    .cache_entries = more >> 4 & 3};
}

static void happen_ready(struct world *world)
{
    struct reply_to client = {.connection = cursor_u8(&world->input)};
    exchange_client_ready(world->exchange, &client);
}

/* Its connection is closed: what hooks have suspended ends. */
static void client_left(struct world *world)
{
    struct reply_to client = {.transport = TRANSPORT_TCP, .connection = cursor_u8(&world->input)};
    exchange_client_left(world->exchange, &client);
}

/* A query of somebody who is not served: its end is the matter of one call. */
static void turn_away(struct world *world)
{
    const uint8_t how = cursor_u8(&world->input);
    struct span bytes = take_some(world);
    struct buffer wire = {0};
    if (world->query_count == QUERIES_MAX)
        return;
    struct reply_to to = {.transport = how & 4 ? TRANSPORT_TCP : TRANSPORT_UDP, .connection = world->query_count};
    struct client_query *query = &world->queries[world->query_count++];
    buffer_append(&wire, bytes.data, bytes.length);
    *query = (struct client_query){.wire = wire, .transport = to.transport};
    exchange_turn_away(world->exchange, query->wire.data, query->wire.length, &to, how % 3, DNS_EDE_PROHIBITED, "fuzz");
    MUST(query->ended);
}

static void set_tries(struct world *world)
{
    const uint8_t how = cursor_u8(&world->input);
    exchange_set_tries(world->exchange, 1 + how / 4 * 3000, how & 3);
}

static void happen_seldom(struct world *world, uint8_t what)
{
    static void (*const happenings[])(struct world *) = {client_left, turn_away, set_tries};
    const unsigned count = sizeof happenings / sizeof *happenings;
    if (what % (count + 1) == count)
        exchange_trim(world->exchange);
    else
        happenings[what % (count + 1)](world);
}

static void happen_config(struct world *world)
{
    struct exchange_config config = config_of(world);
    exchange_set_config(world->exchange, &config);
}

static void live(struct world *world)
{
    static void (*const happenings[])(struct world *) = {
        happen_query, happen_answer, happen_raw_query, happen_raw_answer, happen_broken_channel, happen_time,
        happen_kill,  happen_resume, happen_reload,    happen_config,     happen_ready,
    };
    while (cursor_left(&world->input)) {
        uint8_t what = cursor_u8(&world->input);
        if (what >= RARE_OP)
            happen_seldom(world, what);
        else if (what >= ASKS_OP)
            ask_or_forget(world);
        else
            happenings[what % (sizeof happenings / sizeof *happenings)](world);
        size_t open = 0;
        for (size_t i = 0; i < world->query_count; i++)
            open += !world->queries[i].ended;
        MUST(open == exchange_flows(world->exchange));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct world empty;
    struct world *world = malloc(sizeof *world);
    if (!world)
        return 0;
    *world = empty;
    world->input = cursor_over(data, size);
    for (unsigned i = 0; i < GENERATIONS; i++)
        world->generations[i] =
            (struct hooks){.context = world, .defined = 7u >> i, .run = run, .ended = wrapper_ended, .unused = unused};
    struct exchange_io io = {.context = world,
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
    struct flow_observer observer = {.context = world, .finished = finished, .passed = passed};
    struct exchange_config config = config_of(world);
    world->exchange = exchange_new(&config, &io, &world->generations[0], &observer);
    MUST(world->exchange);
    world->now_us = 1;
    exchange_set_time(world->exchange, 1, 1);
    live(world);
    exchange_free(world->exchange);
    MUST(world->routed == world->released);
    for (unsigned i = 0; i < GENERATIONS; i++)
        MUST(world->generations[i].flows == 0);
    for (size_t i = 0; i < QUERIES_MAX; i++)
        buffer_free(&world->queries[i].wire);
    for (size_t i = 0; i < SENT_MAX; i++)
        buffer_free(&world->sent[i].wire);
    free(world);
    return 0;
}
