/* How a DNSFlow's object begins, serves flow after flow, and ends; and whose connections it has. */
#include "base/clock.h"
#include "base/random.h"
#include "lua/flow_class.h"

/* --- making and letting go --- */

enum {
    ROOM_FOR_RESPONSE = 96, /* bytes: many answers */
    ROOM_FOR_QUERIES = 192, /* of an object that serves several flows */
};

static void begin_live(struct lua_flow *self, struct flow *flow, const struct lua_flow_host *host)
{
    memset(self, 0, offsetof(struct lua_flow, tag));
    self->flow = flow;
    self->host = host;
    self->hook = HOOK_COUNT;
    self->query_length = (uint32_t)flow->query.wire.length;
    memcpy(self->wire, flow->query.wire.data, flow->query.wire.length);
}

struct lua_flow *lua_flow_push_live(lua_State *L, struct flow *flow, const struct lua_flow_host *host, bool lends)
{
    size_t room = flow->query.wire.length;
    lends = lends && room <= ROOM_FOR_QUERIES;
    if (lends)
        room = ROOM_FOR_QUERIES;
    struct lua_flow *self = lua_class_new_bare(L, &lua_flow_class, sizeof *self + room + ROOM_FOR_RESPONSE);
    begin_live(self, flow, host);
    self->spare = NULL;
    self->lends = lends;
    self->query_room = (uint32_t)room;
    return self;
}

bool lua_flow_lend_again(struct lua_flow *self, struct flow *flow, const struct lua_flow_host *host)
{
    if (flow->query.wire.length > self->query_room)
        return false;
    lua_class_slots_forget(self);
    begin_live(self, flow, host);
    return true;
}

void lua_flow_leave(struct lua_flow *self)
{
    self->flow = NULL;
    self->host = NULL;
}

struct lua_flow *lua_flow_push_new(lua_State *L)
{
    struct lua_flow *self = lua_class_new(L, &lua_flow_class, sizeof *self);
    struct random *random = &lua_workspace(L)->random;
    self->hook = HOOK_COUNT;
    self->created = clock_seconds(clock_wall_us());
    self->tag = random_u32(random);
    self->serial = (uint64_t)random_u32(random) << 32 | random_u32(random);
    return self;
}

static bool server_of(const struct flow *flow, struct lua_conn_data *out)
{
    if (flow->asked)
        *out = (struct lua_conn_data){.address = flow->server,
                                      .transport = flow->server_transport,
                                      .connected = true,
                                      .started_us = flow->asked_us};
    else
        *out = (struct lua_conn_data){.address = flow->target.address};
    return true;
}

/* Whether the flow has a response that the object has neither read nor set. */
static bool has_unread_response(const struct lua_flow *self)
{
    return self->flow->response.present && !lua_class_slot_used(self, LUA_FLOW_RESPONSE) &&
           !(self->changed & LUA_FLOW_RESPONSE_CLEARED);
}

static bool has_unread_error(const struct lua_flow *self)
{
    return self->flow->error[0] && !lua_class_slot_used(self, LUA_FLOW_ERROR);
}

bool lua_flow_has_room(const struct lua_flow *self)
{
    return !has_unread_error(self) &&
           (!has_unread_response(self) || self->flow->response.wire.length <= ROOM_FOR_RESPONSE);
}

void lua_flow_keep(lua_State *L, int index)
{
    const struct lua_flow *self = lua_class_test(L, index, &lua_flow_class);
    const struct flow *flow = self->flow;
    if (has_unread_response(self)) {
        lua_pushlstring(L, (const char *)flow->response.wire.data, flow->response.wire.length);
        lua_class_slot_set(L, index, LUA_FLOW_RESPONSE_WIRE);
    }
    if (has_unread_error(self)) {
        lua_error_push(L, flow->error, strlen(flow->error), clock_seconds(flow->error_us));
        lua_class_slot_set(L, index, LUA_FLOW_ERROR);
    }
}

void lua_flow_detach(struct lua_flow *self)
{
    const struct flow *flow = self->flow;
    const struct buffer *response = &flow->response.wire;
    if (has_unread_response(self) && response->length <= ROOM_FOR_RESPONSE) {
        memcpy(self->wire + self->query_room, response->data, response->length);
        self->response_length = (uint32_t)response->length;
    }
    self->tag = flow->exchange_tag;
    self->serial = flow->serial;
    self->created = clock_seconds(flow->created_us);
    self->query_us = flow->query.timestamp_us;
    self->response_us = flow->response.timestamp_us;
    self->client = lua_conn_data_from(&flow->reply_to);
    self->has_client = true;
    self->has_server = server_of(flow, &self->server);
    self->killed = flow->killed;
    self->dropped = flow->dropped;
    self->is_replay = flow->is_replay;
    self->cache_hit = flow->cache_hit;
    self->live = self->intercepted = false;
    self->flow = NULL;
    self->host = NULL;
}

/* --- connections --- */

bool lua_flow_client(const struct lua_flow *flow, struct lua_conn_data *out)
{
    if (flow->flow)
        *out = lua_conn_data_from(&flow->flow->reply_to);
    else if (flow->has_client)
        *out = flow->client;
    return flow->flow || flow->has_client;
}

bool lua_flow_server(const struct lua_flow *flow, struct lua_conn_data *out)
{
    if (flow->flow)
        return server_of(flow->flow, out);
    if (flow->has_server)
        *out = flow->server;
    return flow->has_server;
}

void lua_flow_set_target(lua_State *L, struct lua_flow *flow, const struct upstream_target *target, const char *what)
{
    if (!lua_flow_is_live(flow) || (flow->hook != HOOK_REQUEST && flow->hook != HOOK_COUNT))
        lua_raise_reason(L, what, &(struct reason){"only dns_request can send a query elsewhere"});
    if (flow->flow)
        flow->flow->target = *target;
    else
        flow->server.address = target->address;
}
