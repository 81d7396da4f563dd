/* DNSFlow as JSON, and back. */
#include "base/clock.h"
#include "dns/json.h"
#include "lua/flow_class.h"
#include "lua/json.h"
#include "lua/message_class.h"

#include <math.h>

/* Bytes that were checked when they came. */
static cJSON *wire_to_json(const uint8_t *wire, size_t length, int64_t us, struct reason *reason)
{
    struct dns_message view;
    if (dns_message_parse(wire, length, &view, reason) != STATUS_OK)
        return NULL;
    return dns_message_to_json(&view, clock_seconds(us));
}

static cJSON *flow_message_to_json(const struct flow_message *message)
{
    return dns_message_to_json(&message->view, clock_seconds(message->timestamp_us));
}

/* The object in the slot at the top, which is popped. */
static cJSON *slot_to_json(lua_State *L, int index, int slot, const struct lua_class *class, struct reason *reason)
{
    lua_class_slot_get(L, index, slot);
    cJSON *json = class->to_json(L, lua_gettop(L), reason);
    lua_pop(L, 1);
    return json;
}

static cJSON *request_to_json(lua_State *L, int index, struct reason *reason)
{
    const struct lua_flow *self = lua_class_test(L, index, &lua_flow_class);
    if (lua_class_slot_used(self, LUA_FLOW_REQUEST))
        return slot_to_json(L, index, LUA_FLOW_REQUEST, &lua_message_class, reason);
    if (self->flow)
        return flow_message_to_json(flow_request(self->flow));
    if (self->query_length)
        return wire_to_json(self->wire, self->query_length, self->query_us, reason);
    return cJSON_CreateNull();
}

static cJSON *response_to_json(lua_State *L, int index, struct reason *reason)
{
    const struct lua_flow *self = lua_class_test(L, index, &lua_flow_class);
    if (lua_class_slot_used(self, LUA_FLOW_RESPONSE))
        return slot_to_json(L, index, LUA_FLOW_RESPONSE, &lua_message_class, reason);
    if (self->changed & LUA_FLOW_RESPONSE_CLEARED)
        return cJSON_CreateNull();
    if (self->flow)
        return self->flow->response.present ? flow_message_to_json(&self->flow->response) : cJSON_CreateNull();
    if (self->response_length)
        return wire_to_json(self->wire + self->query_length, self->response_length, self->response_us, reason);
    if (!lua_class_slot_used(self, LUA_FLOW_RESPONSE_WIRE))
        return cJSON_CreateNull();
    lua_class_slot_get(L, index, LUA_FLOW_RESPONSE_WIRE);
    size_t length;
    const char *wire = lua_tolstring(L, -1, &length);
    cJSON *json = wire_to_json((const uint8_t *)wire, length, self->response_us, reason);
    lua_pop(L, 1);
    return json;
}

static cJSON *error_to_json(lua_State *L, int index, struct reason *reason)
{
    lua_flow_get_error(L, index);
    cJSON *json = lua_isnil(L, -1) ? cJSON_CreateNull() : lua_error_class.to_json(L, lua_gettop(L), reason);
    lua_pop(L, 1);
    return json;
}

static cJSON *metadata_to_json(lua_State *L, int index, struct reason *reason)
{
    lua_class_slot_get(L, index, LUA_FLOW_METADATA);
    cJSON *json = NULL;
    bool empty = !lua_istable(L, -1);
    if (!empty) {
        lua_pushnil(L);
        empty = !lua_next(L, -2);
        lua_pop(L, empty ? 0 : 2);
    }
    if (empty) {
        json = cJSON_CreateObject();
        if (lua_flow_is_hit(lua_class_test(L, index, &lua_flow_class)) && !cJSON_AddTrueToObject(json, "cache_hit")) {
            cJSON_Delete(json);
            json = NULL;
        }
    } else {
        json = lua_json_from(L, lua_gettop(L), reason);
        if (!json)
            reason_prefix(reason, "metadata: ");
    }
    lua_pop(L, 1);
    return json;
}

static cJSON *text_to_json(lua_State *L, int index, int slot)
{
    lua_class_slot_get(L, index, slot);
    cJSON *json = cJSON_CreateString(lua_isnil(L, -1) ? "" : lua_tostring(L, -1));
    lua_pop(L, 1);
    return json;
}

static cJSON *conn_to_json(bool present, const struct lua_conn_data *data)
{
    return present && data->address.family != AF_UNSPEC ? lua_conn_data_to_json(data) : cJSON_CreateNull();
}

/* The id's text lies at the top. */
static bool add_plain(lua_State *L, int index, cJSON *json)
{
    const struct lua_flow *self = lua_class_test(L, index, &lua_flow_class);
    const struct flow *flow = self->flow;
    return json_add(json, "id", cJSON_CreateString(lua_tostring(L, -1))) &&
           json_add(json, "type", cJSON_CreateString("dns")) &&
           json_add(json, "timestamp_created",
                    cJSON_CreateNumber(flow ? clock_seconds(flow->created_us) : self->created)) &&
           json_add(json, "live", cJSON_CreateBool(lua_flow_is_live(self))) &&
           json_add(json, "intercepted", cJSON_CreateBool(flow ? flow->intercepted : self->intercepted)) &&
           json_add(json, "is_replay", cJSON_CreateBool(flow ? flow->is_replay : self->is_replay)) &&
           json_add(json, "marked", text_to_json(L, index, LUA_FLOW_MARKED)) &&
           json_add(json, "comment", text_to_json(L, index, LUA_FLOW_COMMENT));
}

/* Values on their way to JSON lie on the stack: a flow that lies below already holds itself in its metadata. */
struct cJSON *lua_flow_to_json(lua_State *L, int index, struct reason *reason)
{
    const struct lua_flow *self = lua_class_test(L, index, &lua_flow_class);
    struct lua_conn_data client, server;
    for (int below = 1; below < index; below++) {
        if (lua_rawequal(L, below, index)) {
            reason_set(reason, "the flow refers to itself");
            return NULL;
        }
    }
    bool has_client = lua_flow_client(self, &client), has_server = lua_flow_server(self, &server);
    struct reason why = {"no memory"};
    lua_flow_push_id(L, index); /* which may raise */
    cJSON *json = cJSON_CreateObject();
    const bool plain = json && add_plain(L, index, json);
    lua_pop(L, 1);
    if (plain && json_add(json, "metadata", metadata_to_json(L, index, &why)) &&
        json_add(json, "client_conn", conn_to_json(has_client, &client)) &&
        json_add(json, "server_conn", conn_to_json(has_server, &server)) &&
        json_add(json, "request", request_to_json(L, index, &why)) &&
        json_add(json, "response", response_to_json(L, index, &why)) &&
        json_add(json, "error", error_to_json(L, index, &why)))
        return json;
    cJSON_Delete(json);
    reason_set(reason, "%s", why.text);
    return NULL;
}

/* Without the keys whose value is null: a table has none of those. */
int lua_flow_to_json_method(lua_State *L)
{
    struct reason reason = {""};
    lua_class_self(L, &lua_flow_class, "DNSFlow.to_json");
    cJSON *json = lua_flow_to_json(L, 1, &reason);
    for (cJSON *item = json ? json->child : NULL, *next; item; item = next) {
        next = item->next;
        if (cJSON_IsNull(item))
            cJSON_Delete(cJSON_DetachItemViaPointer(json, item));
    }
    lua_json_push_owned(L, json, "DNSFlow.to_json", &reason);
    return 1;
}

/* --- and back --- */

/* Pushes the field of the table at 1; false (and nothing is pushed) for nil and JSON's null. */
static bool field(lua_State *L, const char *name)
{
    lua_getfield(L, 1, name);
    if (!lua_isnil(L, -1) && !lua_islightuserdata(L, -1))
        return true;
    lua_pop(L, 1);
    return false;
}

static void read_message(lua_State *L, const char *name, int slot)
{
    if (!field(L, name))
        return;
    lua_class_push(L, &lua_message_class);
    lua_getfield(L, -1, "from_json");
    lua_pushvalue(L, -3);
    lua_call(L, 1, 1);
    lua_class_slot_set(L, 2, slot);
    lua_settop(L, 2);
}

static void read_error(lua_State *L)
{
    if (!field(L, "error"))
        return;
    int error = lua_gettop(L);
    lua_check_table(L, error, "DNSFlow.error");
    size_t length;
    lua_getfield(L, error, "msg");
    const char *text = lua_check_text(L, -1, &length, "Error.msg");
    lua_getfield(L, error, "timestamp");
    lua_error_push(L, text, length, lua_check_number(L, -1, "Error.timestamp"));
    lua_class_slot_set(L, 2, LUA_FLOW_ERROR);
    lua_settop(L, 2);
}

static bool read_conn(lua_State *L, const char *name, const char *what, struct lua_conn_data *out)
{
    if (!field(L, name))
        return false;
    *out = lua_conn_data_from_table(L, lua_gettop(L), what);
    lua_settop(L, 2);
    return true;
}

static void read_plain(lua_State *L, struct lua_flow *self)
{
    if (field(L, "id")) {
        lua_check_text(L, -1, NULL, "DNSFlow.id");
        lua_class_slot_set(L, 2, LUA_FLOW_ID);
    }
    if (field(L, "timestamp_created"))
        self->created = lua_check_number(L, -1, "DNSFlow.timestamp_created");
    if (field(L, "is_replay"))
        self->is_replay = lua_check_boolean(L, -1, "DNSFlow.is_replay");
    lua_settop(L, 2);
    static const struct {
        const char *name, *what;
        int slot;
    } notes[] = {{"marked", "DNSFlow.marked", LUA_FLOW_MARKED}, {"comment", "DNSFlow.comment", LUA_FLOW_COMMENT}};
    for (size_t i = 0; i < sizeof notes / sizeof *notes; i++) {
        if (!field(L, notes[i].name))
            continue;
        lua_check_text(L, -1, NULL, notes[i].what);
        lua_class_slot_set(L, 2, notes[i].slot);
    }
    if (field(L, "metadata")) {
        lua_check_table(L, -1, "DNSFlow.metadata");
        lua_class_slot_set(L, 2, LUA_FLOW_METADATA);
    }
}

int lua_flow_from_json(lua_State *L)
{
    static const char *const keys[] = {"type",        "id",      "timestamp_created", "live",     "intercepted",
                                       "is_replay",   "marked",  "comment",           "metadata", "client_conn",
                                       "server_conn", "request", "response",          "error",    NULL};
    lua_settop(L, 1);
    lua_check_table(L, 1, "DNSFlow.from_json");
    lua_check_keys(L, 1, keys, "DNSFlow");
    struct lua_flow *self = lua_flow_push_new(L);
    read_plain(L, self);
    read_message(L, "request", LUA_FLOW_REQUEST);
    read_message(L, "response", LUA_FLOW_RESPONSE);
    read_error(L);
    self->has_client = read_conn(L, "client_conn", "DNSFlow.client_conn", &self->client);
    self->has_server = read_conn(L, "server_conn", "DNSFlow.server_conn", &self->server);
    lua_settop(L, 2);
    lua_class_slot_get(L, 2, LUA_FLOW_REQUEST);
    lua_class_check(L, 3, &lua_message_class, "DNSFlow.request");
    lua_settop(L, 2);
    return 1;
}
