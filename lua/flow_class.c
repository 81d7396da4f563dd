#include "lua/flow_class.h"

#include "base/clock.h"
#include "lua/message_lent.h"

static const char KILLED_MESSAGE[] = "Connection killed.";

bool lua_flow_is_live(const struct lua_flow *flow)
{
    return flow->flow ? !flow->flow->killed : flow->live && !flow->killed;
}

/* --- messages and error --- */

/* Pushes a message over these bytes, and keeps it in the slot; leaves something below it. The request has its slots in
 * the flow's own table, as the two mostly live together. */
static void push_wire(lua_State *L, int index, struct lua_flow *self, int slot, const uint8_t *wire, size_t length,
                      double timestamp)
{
    lua_class_slots_push(L, index, self);
    struct lua_message *message = NULL;
    if (slot == LUA_FLOW_REQUEST && self->lends)
        message = self->spare = lua_message_lend(L, wire, length, timestamp);
    if (!message)
        message = lua_message_push(L, wire, length, timestamp);
    if (slot == LUA_FLOW_REQUEST) {
        self->request = message;
        lua_class_slots_share(L, -2, message, LUA_FLOW_REQUEST_SLOTS);
    }
    lua_pushvalue(L, -1);
    lua_class_slots_set(L, -3, self, slot);
}

/* Pushes the request's object of an earlier flow, if there is one. */
static bool lend_request(lua_State *L, int index, struct lua_flow *self, const struct flow_message *request)
{
    if (!self->spare || !lua_message_lend_again(self->spare, &request->view, clock_seconds(request->timestamp_us)))
        return false;
    lua_class_slot_reach(L, index, self, LUA_FLOW_REQUEST);
    lua_class_slot_note(self, LUA_FLOW_REQUEST);
    self->request = self->spare;
    return true;
}

/* Both leave something below what they push. */
static void push_request(lua_State *L, int index, struct lua_flow *self)
{
    self->changed |= LUA_FLOW_REQUEST_TOUCHED;
    if (lua_class_slot_used(self, LUA_FLOW_REQUEST)) {
        lua_class_slot_reach(L, index, self, LUA_FLOW_REQUEST);
    } else if (self->flow) {
        const struct flow_message *request = flow_request(self->flow);
        if (lend_request(L, index, self, request))
            return;
        push_wire(L, index, self, LUA_FLOW_REQUEST, request->wire.data, request->wire.length,
                  clock_seconds(request->timestamp_us));
    } else if (self->query_length) {
        push_wire(L, index, self, LUA_FLOW_REQUEST, self->wire, self->query_length, clock_seconds(self->query_us));
    } else {
        lua_pushnil(L);
    }
}

static void push_response(lua_State *L, int index, struct lua_flow *self)
{
    self->changed |= LUA_FLOW_RESPONSE_TOUCHED;
    if (lua_class_slot_used(self, LUA_FLOW_RESPONSE)) {
        lua_class_slot_reach(L, index, self, LUA_FLOW_RESPONSE);
    } else if (self->changed & LUA_FLOW_RESPONSE_CLEARED) {
        lua_pushnil(L);
    } else if (self->flow && self->flow->response.present) {
        const struct flow_message *response = &self->flow->response;
        push_wire(L, index, self, LUA_FLOW_RESPONSE, response->wire.data, response->wire.length,
                  clock_seconds(response->timestamp_us));
    } else if (self->response_length) {
        push_wire(L, index, self, LUA_FLOW_RESPONSE, self->wire + self->query_room, self->response_length,
                  clock_seconds(self->response_us));
    } else if (lua_class_slot_used(self, LUA_FLOW_RESPONSE_WIRE)) {
        lua_class_slot_get(L, index, LUA_FLOW_RESPONSE_WIRE);
        size_t length;
        const char *wire = lua_tolstring(L, -1, &length);
        push_wire(L, index, self, LUA_FLOW_RESPONSE, (const uint8_t *)wire, length, clock_seconds(self->response_us));
    } else {
        lua_pushnil(L);
    }
}

/* Takes away what the pushed value has below it, down to the old top. */
static void tidy(lua_State *L, int top)
{
    if (lua_gettop(L) == top + 1)
        return;
    lua_replace(L, top + 1);
    lua_settop(L, top + 1);
}

void lua_flow_get_request(lua_State *L, int index)
{
    int top = lua_gettop(L);
    push_request(L, index, lua_class_test(L, index, &lua_flow_class));
    tidy(L, top);
}

void lua_flow_get_response(lua_State *L, int index)
{
    int top = lua_gettop(L);
    push_response(L, index, lua_class_test(L, index, &lua_flow_class));
    tidy(L, top);
}

void lua_flow_get_error(lua_State *L, int index)
{
    struct lua_flow *self = lua_class_test(L, index, &lua_flow_class);
    const struct flow *flow = self->flow;
    if (lua_class_slot_used(self, LUA_FLOW_ERROR)) {
        lua_class_slot_get(L, index, LUA_FLOW_ERROR);
        return;
    }
    if (flow && flow->error[0] && !(self->changed & LUA_FLOW_ERROR_ASSIGNED))
        lua_error_push(L, flow->error, strlen(flow->error), clock_seconds(flow->error_us));
    else if (flow ? flow->killed && !flow->dropped : self->killed && !self->dropped)
        lua_error_push(L, KILLED_MESSAGE, sizeof KILLED_MESSAGE - 1, clock_seconds(clock_wall_us()));
    else {
        lua_pushnil(L);
        return;
    }
    lua_pushvalue(L, -1);
    lua_class_slot_set(L, index, LUA_FLOW_ERROR);
}

void lua_flow_put_request(lua_State *L, int index)
{
    struct lua_flow *self = lua_class_known(L, index);
    self->request = lua_class_known(L, -1);
    lua_class_slot_set(L, index, LUA_FLOW_REQUEST);
}

static void get_request(lua_State *L, void *self)
{
    push_request(L, 1, self);
}

static void set_request(lua_State *L, void *self, int value)
{
    struct lua_flow *flow = self;
    lua_class_check(L, value, &lua_message_class, "DNSFlow.request");
    lua_pushvalue(L, value);
    lua_flow_put_request(L, 1);
    flow->changed |= LUA_FLOW_REQUEST_TOUCHED;
}

static void get_response(lua_State *L, void *self)
{
    push_response(L, 1, self);
}

static void set_response(lua_State *L, void *self, int value)
{
    struct lua_flow *flow = self;
    if (lua_isnil(L, value)) {
        flow->changed &= ~(unsigned)LUA_FLOW_RESPONSE_ASSIGNED;
        flow->changed |= LUA_FLOW_RESPONSE_CLEARED;
        lua_pushnil(L);
        lua_class_slot_set(L, 1, LUA_FLOW_RESPONSE);
    } else {
        lua_class_check(L, value, &lua_message_class, "DNSFlow.response");
        flow->changed &= ~(unsigned)LUA_FLOW_RESPONSE_CLEARED;
        flow->changed |= LUA_FLOW_RESPONSE_ASSIGNED;
        lua_class_slots_push(L, 1, flow);
        lua_pushvalue(L, value);
        lua_class_slots_set(L, -2, flow, LUA_FLOW_RESPONSE);
    }
}

static void get_error(lua_State *L, void *self)
{
    (void)self;
    lua_flow_get_error(L, 1);
}

static void set_error(lua_State *L, void *self, int value)
{
    struct lua_flow *flow = self;
    if (lua_type(L, value) == LUA_TSTRING) {
        size_t length;
        const char *text = lua_tolstring(L, value, &length);
        lua_error_push(L, text, length, clock_seconds(clock_wall_us()));
    } else if (lua_isnil(L, value) || lua_class_test(L, value, &lua_error_class)) {
        lua_pushvalue(L, value);
    } else {
        lua_raise_expected(L, value, "DNSFlow.error", "text, Error or nil");
    }
    lua_class_slot_set(L, 1, LUA_FLOW_ERROR);
    flow->changed |= LUA_FLOW_ERROR_ASSIGNED;
}

/* --- the other properties --- */

static void get_type(lua_State *L, void *self)
{
    (void)self;
    lua_pushliteral(L, "dns");
}

void lua_flow_push_id(lua_State *L, int index)
{
    const struct lua_flow *self = lua_class_test(L, index, &lua_flow_class);
    char text[FLOW_ID_MAX];
    if (lua_class_slot_used(self, LUA_FLOW_ID)) {
        lua_class_slot_get(L, index, LUA_FLOW_ID);
        return;
    }
    struct flow flow = {.exchange_tag = self->tag, .serial = self->serial};
    lua_pushstring(L, flow_id(self->flow ? self->flow : &flow, text));
}

static void get_id(lua_State *L, void *self)
{
    (void)self;
    lua_flow_push_id(L, 1);
}

static void get_conn(lua_State *L, bool server)
{
    int slot = server ? LUA_FLOW_SERVER : LUA_FLOW_CLIENT;
    lua_class_slot_get(L, 1, slot);
    if (!lua_isnil(L, -1))
        return;
    lua_conn_push_side(L, 1, server);
    lua_pushvalue(L, -1);
    lua_class_slot_set(L, 1, slot);
}

static void get_client_conn(lua_State *L, void *self)
{
    struct lua_conn_data data;
    if (lua_flow_client(self, &data))
        get_conn(L, false);
    else
        lua_pushnil(L);
}

static void get_server_conn(lua_State *L, void *self)
{
    struct lua_conn_data data;
    if (lua_flow_server(self, &data))
        get_conn(L, true);
    else
        lua_pushnil(L);
}

static void get_live(lua_State *L, void *self)
{
    lua_pushboolean(L, lua_flow_is_live(self));
}

static void get_intercepted(lua_State *L, void *self)
{
    const struct lua_flow *flow = self;
    lua_pushboolean(L, flow->flow ? flow->flow->intercepted : flow->intercepted);
}

static void get_is_replay(lua_State *L, void *self)
{
    const struct lua_flow *flow = self;
    lua_pushboolean(L, flow->flow ? flow->flow->is_replay : flow->is_replay);
}

static void get_timestamp_created(lua_State *L, void *self)
{
    const struct lua_flow *flow = self;
    lua_pushnumber(L, flow->flow ? clock_seconds(flow->flow->created_us) : flow->created);
}

static void get_note(lua_State *L, int slot)
{
    lua_class_slot_get(L, 1, slot);
    if (lua_isnil(L, -1))
        lua_pushliteral(L, "");
}

static void set_note(lua_State *L, int value, int slot, const char *what)
{
    lua_check_text(L, value, NULL, what);
    lua_pushvalue(L, value);
    lua_class_slot_set(L, 1, slot);
}

static void get_marked(lua_State *L, void *self)
{
    (void)self;
    get_note(L, LUA_FLOW_MARKED);
}

static void set_marked(lua_State *L, void *self, int value)
{
    (void)self;
    set_note(L, value, LUA_FLOW_MARKED, "DNSFlow.marked");
}

static void get_comment(lua_State *L, void *self)
{
    (void)self;
    get_note(L, LUA_FLOW_COMMENT);
}

static void set_comment(lua_State *L, void *self, int value)
{
    (void)self;
    set_note(L, value, LUA_FLOW_COMMENT, "DNSFlow.comment");
}

bool lua_flow_is_hit(const struct lua_flow *flow)
{
    return flow->flow ? flow->flow->cache_hit : flow->cache_hit;
}

void lua_flow_note_hit(lua_State *L)
{
    lua_pushliteral(L, "cache_hit");
    lua_pushboolean(L, true);
    lua_rawset(L, -3);
}

static void get_metadata(lua_State *L, void *self)
{
    lua_class_slot_get(L, 1, LUA_FLOW_METADATA);
    if (!lua_isnil(L, -1))
        return;
    lua_newtable(L);
    if (lua_flow_is_hit(self))
        lua_flow_note_hit(L);
    lua_pushvalue(L, -1);
    lua_class_slot_set(L, 1, LUA_FLOW_METADATA);
}

static void set_metadata(lua_State *L, void *self, int value)
{
    (void)self;
    lua_check_table(L, value, "DNSFlow.metadata");
    lua_pushvalue(L, value);
    lua_class_slot_set(L, 1, LUA_FLOW_METADATA);
}

static void get_killable(lua_State *L, void *self)
{
    lua_pushboolean(L, lua_flow_is_live(self));
}

static const struct lua_property properties[] = {
    {"request", get_request, set_request, "DNSMessage",
     "The query. Changed in `dns_request`, it is asked as it then is."},
    {"response", get_response, set_response, "DNSMessage or nil", "The answer, so far; nil for none."},
    {"error", get_error, set_error, "Error or nil", "What went wrong, with `msg` and `timestamp`; may be set to text."},
    {"type", get_type, NULL, "text", "`\"dns\"`."},
    {"id", get_id, NULL, "text", "Unique to this flow."},
    {"client_conn", get_client_conn, NULL, "Connection or nil", "Who asks."},
    {"server_conn", get_server_conn, NULL, "Connection or nil",
     "The upstream that was asked. Its `address` may be set in `dns_request`, to send this query elsewhere."},
    {"live", get_live, NULL, "boolean", "Whether the proxy still works on the flow: later changes reach nobody."},
    {"killable", get_killable, NULL, "boolean", "Whether `kill` can be called."},
    {"intercepted", get_intercepted, NULL, "boolean", "Whether the flow is held, see `intercept`."},
    {"is_replay", get_is_replay, NULL, "boolean", "Whether the query was replayed."},
    {"timestamp_created", get_timestamp_created, NULL, "seconds", "When the query came in."},
    {"marked", get_marked, set_marked, "text", "Free; `\"\"` for not marked."},
    {"comment", get_comment, set_comment, "text", "Free."},
    {"metadata", get_metadata, set_metadata, "table",
     "Free, for scripts to note what they like. `cache_hit` is true where the answer came from the cache."},
    {0},
};

/* DNSFlow{request = m, response = m2} */
static int flow_construct(lua_State *L)
{
    static const char *const keys[] = {"request", "response", "error", "marked", "comment", "metadata", NULL};
    lua_settop(L, 2);
    if (lua_isnil(L, 2)) {
        lua_newtable(L);
        lua_replace(L, 2);
    }
    lua_check_table(L, 2, "DNSFlow");
    lua_check_class_keys(L, 2, keys, &lua_flow_class);
    lua_remove(L, 1);
    lua_flow_push_new(L);
    lua_insert(L, 1);
    for (size_t i = 0; keys[i]; i++) {
        lua_getfield(L, 2, keys[i]);
        if (i == 0 || !lua_isnil(L, -1)) /* there is no flow without a request */
            lua_setfield(L, 1, keys[i]);
        else
            lua_pop(L, 1);
    }
    lua_settop(L, 1);
    return 1;
}

const struct lua_class lua_flow_class = {
    .name = "DNSFlow",
    .properties = properties,
    .methods = lua_flow_methods,
    .statics = lua_flow_statics,
    .construct = flow_construct,
    .tostring = lua_flow_tostring,
    .to_json = lua_flow_to_json,
    .constructor_signature = "DNSFlow{request, response, error, marked, comment, metadata}",
    .doc = "One query on its way to an answer.",
};
