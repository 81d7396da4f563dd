/* DNSFlow's methods: holding and ending a flow, copies of it. */
#include "base/clock.h"
#include "lua/flow_class.h"
#include "lua/message_class.h"

#include <string.h>

static struct lua_flow *check_self(lua_State *L, const char *what)
{
    return lua_class_self(L, &lua_flow_class, what);
}

/* --- live flows --- */

static void check_live(lua_State *L, const struct lua_flow *self, const char *what)
{
    if (!lua_flow_is_live(self))
        lua_raise_reason(L, what, &(struct reason){"the flow is not live"});
}

void lua_flow_end(struct lua_flow *self, bool dropped)
{
    struct flow *flow = self->flow;
    bool held = flow ? flow->intercepted : self->intercepted;
    self->intercepted = false;
    self->killed = true;
    self->dropped = dropped;
    if (!flow)
        return;
    flow->intercepted = false;
    if (dropped)
        flow_drop(flow);
    else
        flow_kill(flow);
    if (held)
        self->host->resume(flow);
}

static int flow_kill_method(lua_State *L)
{
    struct lua_flow *self = check_self(L, "DNSFlow.kill");
    check_live(L, self, "DNSFlow.kill");
    lua_flow_end(self, false);
    return 0;
}

static int flow_intercept(lua_State *L)
{
    struct lua_flow *self = check_self(L, "DNSFlow.intercept");
    check_live(L, self, "DNSFlow.intercept");
    if (self->flow) {
        self->host->intercept(L, self->flow);
        self->flow->intercepted = true;
    }
    self->intercepted = true;
    return 0;
}

static int flow_resume(lua_State *L)
{
    struct lua_flow *self = check_self(L, "DNSFlow.resume");
    struct flow *flow = self->flow;
    bool held = flow && flow->intercepted;
    self->intercepted = false;
    if (held) {
        flow->intercepted = false;
        self->host->resume(flow);
    }
    return 0;
}

/* flow_resend for a flow made by hand. */
static bool resend_by_hand(struct lua_flow *self, const struct upstream_target *target)
{
    if (self->resends >= FLOW_RESENDS_MAX && !self->resend)
        return false;
    self->resends += !self->resend;
    self->resend = true;
    self->resend_target = target->address;
    return true;
}

/* resend([upstream]) */
static int flow_resend_method(lua_State *L)
{
    static const char what[] = "DNSFlow.resend";
    struct lua_flow *self = check_self(L, what);
    struct upstream_target target = {0};
    check_live(L, self, what);
    if (self->hook != HOOK_RESPONSE && self->hook != HOOK_ERROR)
        lua_raise_reason(L, what, &(struct reason){"only dns_response and dns_error can send a query again"});
    if (!lua_isnoneornil(L, 2))
        lua_check_upstream(L, 2, what, &target);
    if (!(self->flow ? flow_resend(self->flow, &target) : resend_by_hand(self, &target))) {
        lua_pushnil(L);
        lua_pushfstring(L, "sent again %d times already", FLOW_RESENDS_MAX);
        return 2;
    }
    lua_pushboolean(L, true);
    return 1;
}

/* --- copies --- */

enum { DEPTH_MAX = 100 };

/* Pushes a deep copy of the value at `value`: of tables, but for their keys, and of objects whose class has copies.
 * What was copied before is in the table at `seen`. */
static void copy_value(lua_State *L, int value, int seen, int depth)
{
    const struct lua_class *class = lua_class_of(L, value);
    if (lua_type(L, value) != LUA_TTABLE && !(class && class->copy)) {
        lua_pushvalue(L, value);
        return;
    }
    if (depth > DEPTH_MAX)
        luaL_error(L, "DNSFlow.metadata: tables more than %d deep", DEPTH_MAX);
    luaL_checkstack(L, 8, NULL);
    lua_pushvalue(L, value);
    lua_rawget(L, seen);
    if (!lua_isnil(L, -1))
        return;
    lua_pop(L, 1);
    if (class)
        class->copy(L, value, "DNSFlow.metadata");
    else
        lua_newtable(L);
    int copy = lua_gettop(L);
    lua_pushvalue(L, value);
    lua_pushvalue(L, copy);
    lua_rawset(L, seen);
    if (class)
        return;
    if (lua_getmetatable(L, value))
        lua_setmetatable(L, copy);
    for (lua_pushnil(L); lua_next(L, value); lua_settop(L, copy + 1)) {
        lua_pushvalue(L, copy + 1);
        copy_value(L, copy + 2, seen, depth + 1);
        lua_rawset(L, copy);
    }
}

/* Whether the values at `a` and `b` (absolute) are alike, tables by what they hold. The table at `seen` has those that
 * are being compared, each with its like: they are taken to be alike where they come again. */
static bool alike(lua_State *L, int a, int b, int seen, int depth)
{
    if (lua_equal(L, a, b))
        return true;
    if (lua_type(L, a) != LUA_TTABLE || lua_type(L, b) != LUA_TTABLE || depth > DEPTH_MAX)
        return false;
    luaL_checkstack(L, 8, NULL);
    int top = lua_gettop(L);
    lua_pushvalue(L, a);
    lua_rawget(L, seen);
    bool again = lua_rawequal(L, -1, b);
    lua_settop(L, top);
    if (again)
        return true;
    lua_pushvalue(L, a);
    lua_pushvalue(L, b);
    lua_rawset(L, seen);
    size_t left = 0;
    for (lua_pushnil(L); lua_next(L, b); lua_pop(L, 1))
        left++;
    for (lua_pushnil(L); lua_next(L, a); lua_settop(L, top + 1), left--) {
        lua_pushvalue(L, top + 1);
        lua_rawget(L, b);
        if (!alike(L, top + 2, top + 3, seen, depth + 1)) {
            lua_settop(L, top);
            return false;
        }
    }
    return left == 0;
}

/* Pushes a copy of the message at `index`; nil for nil. */
static void copy_message(lua_State *L, int index, const char *what)
{
    if (lua_isnil(L, index))
        lua_pushnil(L);
    else
        lua_message_class.copy(L, index, what);
}

/* Copies what scripts can change from the flow at `from` to the one at `to`. Makes all copies before it changes `to`.
 */
static void copy_state(lua_State *L, int from, int to, const char *what)
{
    static const int notes[] = {LUA_FLOW_MARKED, LUA_FLOW_COMMENT};
    struct lua_flow *target = lua_class_test(L, to, &lua_flow_class);
    lua_newtable(L);
    int seen = lua_gettop(L);
    lua_class_slot_get(L, from, LUA_FLOW_METADATA);
    copy_value(L, seen + 1, seen, 0);
    lua_flow_get_error(L, from);
    lua_flow_get_response(L, from);
    copy_message(L, lua_gettop(L), what);
    lua_flow_get_request(L, from);
    copy_message(L, lua_gettop(L), what);

    if (lua_isnil(L, -1))
        lua_pop(L, 1);
    else
        lua_flow_put_request(L, to);
    lua_pop(L, 1);
    bool responded = !lua_isnil(L, -1);
    lua_class_slot_set(L, to, LUA_FLOW_RESPONSE);
    lua_pop(L, 1);
    lua_class_slot_set(L, to, LUA_FLOW_ERROR);
    lua_class_slot_set(L, to, LUA_FLOW_METADATA);
    lua_settop(L, seen - 1);
    for (size_t i = 0; i < sizeof notes / sizeof *notes; i++) {
        lua_class_slot_get(L, from, notes[i]);
        lua_class_slot_set(L, to, notes[i]);
    }
    target->changed &= ~(unsigned)(LUA_FLOW_RESPONSE_ASSIGNED | LUA_FLOW_RESPONSE_CLEARED);
    target->changed |= LUA_FLOW_REQUEST_TOUCHED | LUA_FLOW_ERROR_ASSIGNED |
                       (unsigned)(responded ? LUA_FLOW_RESPONSE_ASSIGNED : LUA_FLOW_RESPONSE_CLEARED);
}

/* Pushes a copy of the flow at 1. */
static void push_copy(lua_State *L, const char *what)
{
    struct lua_flow *self = check_self(L, what);
    struct lua_flow *copy = lua_flow_push_new(L);
    copy->has_client = lua_flow_client(self, &copy->client);
    copy->has_server = lua_flow_server(self, &copy->server);
    copy->created = self->flow ? clock_seconds(self->flow->created_us) : self->created;
    copy->is_replay = self->flow ? self->flow->is_replay : self->is_replay;
    copy_state(L, 1, lua_gettop(L), what);
}

static int flow_copy(lua_State *L)
{
    push_copy(L, "DNSFlow.copy");
    return 1;
}

static int flow_backup(lua_State *L)
{
    const struct lua_flow *self = check_self(L, "DNSFlow.backup");
    if (!lua_class_slot_used(self, LUA_FLOW_BACKUP)) {
        push_copy(L, "DNSFlow.backup");
        lua_class_slot_set(L, 1, LUA_FLOW_BACKUP);
    }
    return 0;
}

static int flow_revert(lua_State *L)
{
    check_self(L, "DNSFlow.revert");
    lua_settop(L, 1);
    lua_class_slot_get(L, 1, LUA_FLOW_BACKUP);
    if (lua_isnil(L, 2))
        return 0;
    copy_state(L, 2, 1, "DNSFlow.revert");
    lua_pushnil(L);
    lua_class_slot_set(L, 1, LUA_FLOW_BACKUP);
    return 0;
}

/* Whether the messages at `a` and `b` differ; one that cannot be packed differs from all. */
static bool messages_differ(lua_State *L, int a, int b)
{
    if (lua_isnil(L, a) || lua_isnil(L, b))
        return !lua_rawequal(L, a, b);
    struct buffer *wire = lua_scratch(L);
    if (lua_message_pack(L, a, wire, NULL) != STATUS_OK)
        return true;
    lua_pushlstring(L, (const char *)wire->data, wire->length);
    if (lua_message_pack(L, b, lua_scratch(L), NULL) != STATUS_OK)
        return true;
    wire = &lua_workspace(L)->scratch;
    lua_pushlstring(L, (const char *)wire->data, wire->length);
    bool same = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    return !same;
}

/* Whether a slot holds something else in the flow at 1 than in its backup at 2. */
static bool slot_differs(lua_State *L, int slot)
{
    lua_class_slot_get(L, 1, slot);
    lua_class_slot_get(L, 2, slot);
    int top = lua_gettop(L);
    if (slot == LUA_FLOW_METADATA && lua_isnil(L, top) && lua_istable(L, top - 1)) {
        lua_newtable(L);
        lua_replace(L, top);
    }
    lua_newtable(L);
    bool same = alike(L, top - 1, top, top + 1, 0);
    lua_settop(L, top - 2);
    return !same;
}

static int flow_modified(lua_State *L)
{
    static const int slots[] = {LUA_FLOW_METADATA, LUA_FLOW_MARKED, LUA_FLOW_COMMENT};
    check_self(L, "DNSFlow.modified");
    lua_settop(L, 1);
    lua_class_slot_get(L, 1, LUA_FLOW_BACKUP);
    bool modified = false;
    if (!lua_isnil(L, 2)) {
        for (size_t i = 0; i < sizeof slots / sizeof *slots; i++)
            modified = modified || slot_differs(L, slots[i]);
        lua_flow_get_request(L, 1);
        lua_flow_get_request(L, 2);
        lua_flow_get_response(L, 1);
        lua_flow_get_response(L, 2);
        lua_flow_get_error(L, 1);
        lua_flow_get_error(L, 2);
        modified = modified || messages_differ(L, 3, 4) || messages_differ(L, 5, 6) || !lua_equal(L, 7, 8);
    }
    lua_pushboolean(L, modified);
    return 1;
}

int lua_flow_tostring(lua_State *L)
{
    struct lua_flow *self = check_self(L, "DNSFlow");
    char text[ADDRESS_TEXT_MAX];
    struct lua_conn_data client;
    lua_flow_get_request(L, 1);
    lua_pushliteral(L, "DNSFlow");
    if (lua_flow_client(self, &client))
        lua_pushfstring(L, " %s", address_text(&client.address, text));
    else
        lua_pushliteral(L, "");
    lua_pushliteral(L, "");
    if (!lua_isnil(L, 2)) {
        lua_getfield(L, 2, "question");
        if (!lua_isnil(L, -1)) {
            lua_getfield(L, -1, "name");
            lua_pushfstring(L, " %s", lua_tostring(L, -1));
            lua_replace(L, 5);
        }
        lua_settop(L, 5);
    }
    lua_concat(L, 3);
    return 1;
}

const struct lua_method lua_flow_methods[] = {
    {"kill", flow_kill_method, "kill()", "The client gets no answer. Raises for a flow that is not live."},
    {"intercept", flow_intercept, "intercept()",
     "Holds the flow once its hooks have run, until `resume` or `kill`, or for `--held-timeout`: then it has an error, "
     "and "
     "SERVFAIL goes out after `dns_error`; so it does where `--held-max` flows are held already."},
    {"resume", flow_resume, "resume()", "Lets a held flow go on."},
    {"resend", flow_resend_method, "resend([upstream])",
     "In `dns_response` and `dns_error`: once the hooks have run, the query goes out again, as `request` now is, to "
     "this "
     "upstream or the configured ones, and the hooks run on what comes. The answer that was there does not count any "
     "more. Gives true; nil and the reason when that was done 8 times already."},
    {"drop", lua_flow_drop, "drop()", "As `kill`, but `error` stays nil: nobody failed, the answer got lost."},
    {"delay", lua_flow_delay, "delay(seconds)",
     "The answer goes out so much later. The hook does not wait. This and the next do something to the finished "
     "answer, "
     "whatever it is, on its way to the client."},
    {"truncate", lua_flow_truncate, "truncate()", "The answer goes out with TC and no records (but OPT)."},
    {"duplicate", lua_flow_duplicate, "duplicate([n])", "The answer goes out `n` times more (1; at most 100)."},
    {"corrupt", lua_flow_corrupt, "corrupt{id, question, loop, raw, cut, trailing}",
     "The answer goes out broken: `id = true`: another id than the query's; `question = true`: another name; `loop = "
     "true`: an answer record whose name points to itself; `raw`: these bytes in its stead; `cut`: so many bytes less; "
     "`trailing`: so many zero bytes, or these bytes, behind it. Several do, in that order."},
    {"reset", lua_flow_reset, "reset()",
     "The client's connection is reset instead of an answer; over UDP nothing comes."},
    {"drip", lua_flow_drip, "drip(bytes_per_second)",
     "The answer, and whatever follows on this connection, goes out so slowly. Nothing changes over UDP."},
    {"copy", flow_copy, "copy()", "A deep copy, `metadata` too, not live, with an id of its own."},
    {"backup", flow_backup, "backup()", "Keeps the flow's state for `revert`; a second backup keeps the first."},
    {"revert", flow_revert, "revert()", "Goes back to the backup; does nothing without one."},
    {"modified", flow_modified, "modified()", "Whether the flow differs from its backup; false without one."},
    {"to_json", lua_flow_to_json_method, "to_json()", "The flow as a table."},
    {0},
};

const struct lua_method lua_flow_statics[] = {
    {"from_json", lua_flow_from_json, "from_json(table)", "Builds a flow, not live, from what `to_json` gave."},
    {0},
};
