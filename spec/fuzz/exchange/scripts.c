/* Scripts that answer, edit, clear, fail, kill, suspend and ask, as the input says. */
#include "exchange/world.h"
#include "flow/faults.h"

enum { FAULTS_OP = 248 /* and above, in a hook */ };

/* What a script makes of a message: one of the input's, or the one there is with some bytes changed. */
static struct buffer edited(struct world *world, const struct flow_message *message)
{
    struct buffer wire = {0};
    struct span bytes = world_take_some(world);
    if (bytes.length > 1) {
        buffer_append(&wire, bytes.data, bytes.length);
    } else if (message->present) {
        buffer_append(&wire, message->wire.data, message->wire.length);
        world_disturb(world, &wire);
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

void world_resume(struct world *world, size_t i)
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
        world_resume(world, what / 4 % PARKED_MAX);
}

void world_ask_or_forget(struct world *world)
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
            world_ask_or_forget(world);
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

struct hooks world_hooks(struct world *world, unsigned defined)
{
    return (struct hooks){.context = world, .defined = defined, .run = run, .ended = wrapper_ended, .unused = unused};
}
