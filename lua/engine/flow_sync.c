#include "lua/engine/flow_sync.h"

#include "base/clock.h"
#include "lua/engine/engine_private.h"
#include "lua/json.h"
#include "lua/json_text.h"
#include "lua/message_class.h"

#include <cjson/cJSON.h>
#include <stdlib.h>

static const unsigned RESPONSE_BITS =
    LUA_FLOW_RESPONSE_TOUCHED | LUA_FLOW_RESPONSE_ASSIGNED | LUA_FLOW_RESPONSE_CLEARED;

/* Pushes the flow's object and gives its place. */
static int push_object(struct flow_run *run)
{
    flow_run_push_object(run);
    return lua_gettop(run->task.engine->L);
}

static void clear_slot(struct flow_run *run, int slot)
{
    lua_State *L = run->task.engine->L;
    if (!lua_class_slot_used(run->object, slot))
        return;
    int object = push_object(run);
    lua_pushnil(L);
    lua_class_slot_set(L, object, slot);
    lua_pop(L, 1);
}

/* Metadata that is not there yet is made with the note. */
static void note_hit(struct flow_run *run)
{
    if (!lua_class_slot_used(run->object, LUA_FLOW_METADATA))
        return;
    lua_State *L = run->task.engine->L;
    int object = push_object(run);
    lua_class_slot_get(L, object, LUA_FLOW_METADATA);
    lua_flow_note_hit(L);
    lua_settop(L, object - 1);
}

void flow_sync_begin(struct flow_run *run)
{
    struct lua_flow *object = run->object;
    const struct flow *flow = run->flow;
    bool stale = object->changed & (LUA_FLOW_RESPONSE_ASSIGNED | LUA_FLOW_RESPONSE_CLEARED);
    object->changed &= (unsigned)LUA_FLOW_REQUEST_TOUCHED;
    run->touched = 0;
    run->changed_by = NULL;
    if (run->hook == HOOK_REQUEST)
        return;
    if (flow->cache_hit)
        note_hit(run);
    if (!flow->response.present || stale || flow->source != FLOW_SOURCE_SCRIPT)
        clear_slot(run, LUA_FLOW_RESPONSE);
    clear_slot(run, LUA_FLOW_ERROR);
}

static bool response_differs(struct flow_run *run)
{
    lua_State *L = run->task.engine->L;
    int object = push_object(run);
    lua_class_slot_get(L, object, LUA_FLOW_RESPONSE);
    bool differs = !lua_isnil(L, -1) && lua_message_changed(L, lua_gettop(L));
    lua_settop(L, object - 1);
    return differs;
}

void flow_sync_note(struct flow_run *run, const struct script *script, bool alone)
{
    struct lua_flow *object = run->object;
    unsigned touched = object->changed & RESPONSE_BITS;
    if (!touched)
        return;
    if (touched & (LUA_FLOW_RESPONSE_ASSIGNED | LUA_FLOW_RESPONSE_CLEARED))
        run->changed_by = script;
    else if (!run->changed_by && (alone || response_differs(run)))
        run->changed_by = script;
    run->touched |= touched;
    object->changed &= ~(unsigned)(LUA_FLOW_RESPONSE_TOUCHED | LUA_FLOW_RESPONSE_ASSIGNED);
}

/* --- messages --- */

static bool same_bytes(const struct buffer *wire, const struct flow_message *message)
{
    return message->present && message->wire.length == wire->length &&
           memcmp(message->wire.data, wire->data, wire->length) == 0;
}

static void report_unpackable(struct flow_run *run, const char *what, const struct script *script,
                              const struct reason *reason)
{
    struct buffer text = {0};
    buffer_format(&text, "%s: flow.%s cannot be packed: %s", script ? script->source->path : "script", what,
                  reason->text);
    if (!text.failed)
        report_error(run->task.engine->config.report, (const char *)text.data, text.length);
    if (!text.failed && script && run->task.engine->config.errors_in_answers)
        flow_run_tell(run, script, (const char *)text.data, text.length);
    buffer_free(&text);
}

static void sync_request(struct flow_run *run, int object)
{
    struct engine *engine = run->task.engine;
    struct reason reason = {""};
    lua_class_slot_reach(engine->L, object, run->object, LUA_FLOW_REQUEST);
    int message = lua_gettop(engine->L);
    if (lua_message_changed(engine->L, message)) {
        enum status status = lua_message_pack(engine->L, message, &engine->scratch, &reason);
        if (!status && !same_bytes(&engine->scratch, flow_request(run->flow)))
            status = flow_set_request(run->flow, engine->scratch.data, engine->scratch.length, &reason);
        if (status) {
            report_unpackable(run, "request", run->task.script, &reason);
            flow_set_error(run->flow, "a script's request cannot be packed", clock_wall_us());
        }
    }
    lua_settop(engine->L, object);
}

/* Whose response it is; NULL: nobody's. */
static const struct script *author(const struct flow_run *run)
{
    return run->changed_by ? run->changed_by : run->task.script;
}

static COLD void refuse_response(struct flow_run *run, const struct reason *reason)
{
    report_unpackable(run, "response", author(run), reason);
    flow_response_unpackable(run->flow);
    clear_slot(run, LUA_FLOW_RESPONSE);
}

/* Takes over the message at `message`. */
static void set_response(struct flow_run *run, int message)
{
    struct engine *engine = run->task.engine;
    const struct script *script = author(run);
    struct reason reason;
    reason.text[0] = '\0';
    struct dns_message view;
    enum status status = lua_message_pack_view(engine->L, message, &engine->scratch, &view, &reason);
    if (!status && !(run->touched & LUA_FLOW_RESPONSE_ASSIGNED) && same_bytes(&engine->scratch, &run->flow->response))
        return;
    if (!status)
        status = flow_adopt_response(run->flow, &view, FLOW_SOURCE_SCRIPT, script ? script->source->name : "", &reason);
    if (status)
        refuse_response(run, &reason);
}

/* The same for the answer that a visit made, to a flow that had none; false where it is another message. */
static bool set_answer(struct flow_run *run)
{
    const struct engine *engine = run->task.engine;
    struct flow_message *response = &run->flow->response;
    struct reason reason;
    reason.text[0] = '\0';
    if (run != engine->visitor || !lua_visit_has_answer(&engine->visit))
        return false;
    if (lua_visit_pack(&engine->visit, &response->wire, &response->view, &reason) ||
        flow_take_response(run->flow, FLOW_SOURCE_SCRIPT, author(run)->source->label, &reason))
        refuse_response(run, &reason);
    return true;
}

static void sync_response(struct flow_run *run, int object)
{
    lua_State *L = run->task.engine->L;
    if (run->object->changed & LUA_FLOW_RESPONSE_CLEARED) {
        flow_clear_response(run->flow);
        return;
    }
    if (!lua_class_slot_used(run->object, LUA_FLOW_RESPONSE))
        return;
    lua_class_slot_reach(L, object, run->object, LUA_FLOW_RESPONSE);
    int message = lua_gettop(L);
    if (run->touched & LUA_FLOW_RESPONSE_ASSIGNED || lua_message_changed(L, message))
        set_response(run, message);
    lua_settop(L, object);
}

static void sync_error(struct flow_run *run, int object)
{
    lua_State *L = run->task.engine->L;
    lua_class_slot_get(L, object, LUA_FLOW_ERROR);
    double timestamp = 0;
    const char *text = lua_error_text(L, -1, &timestamp);
    flow_set_error(run->flow, text ? text : "", text ? (int64_t)(timestamp * 1e6) : 0);
    lua_pop(L, 1);
}

void flow_sync_changes(struct flow_run *run)
{
    struct lua_flow *object = run->object;
    run->touched |= object->changed & RESPONSE_BITS;
    unsigned changed = object->changed | run->touched;
    if (!changed || run->flow->killed)
        return;
    if (changed & LUA_FLOW_REQUEST_TOUCHED && !(object->request && lua_message_may_have_changed(object->request)))
        changed &= ~(unsigned)LUA_FLOW_REQUEST_TOUCHED;
    if (changed & RESPONSE_BITS && set_answer(run))
        changed &= ~RESPONSE_BITS;
    int at = changed ? push_object(run) : 0;
    if (changed & LUA_FLOW_ERROR_ASSIGNED)
        sync_error(run, at);
    if (changed & LUA_FLOW_REQUEST_TOUCHED && (run->hook == HOOK_REQUEST || run->flow->resend))
        sync_request(run, at);
    if (changed & RESPONSE_BITS)
        sync_response(run, at);
    object->changed &= (unsigned)LUA_FLOW_REQUEST_TOUCHED;
    run->touched = 0;
    if (changed)
        lua_settop(run->task.engine->L, at - 1);
}

/* --- notes --- */

static void copy_text(struct flow_run *run, int object, int slot, char **out)
{
    lua_State *L = run->task.engine->L;
    if (!lua_class_slot_used(run->object, slot))
        return;
    lua_class_slot_get(L, object, slot);
    const char *text = lua_tostring(L, -1);
    char *copy = text && *text ? strdup(text) : NULL;
    lua_pop(L, 1);
    free(*out);
    *out = copy;
}

static void copy_metadata(struct flow_run *run, int object)
{
    lua_State *L = run->task.engine->L;
    struct reason reason = {""};
    if (!lua_class_slot_used(run->object, LUA_FLOW_METADATA))
        return;
    lua_class_slot_get(L, object, LUA_FLOW_METADATA);
    lua_pushnil(L);
    if (lua_next(L, -2)) {
        lua_pop(L, 2);
        cJSON *json = lua_json_from(L, lua_gettop(L), &reason);
        char *text = json ? json_text_print(json, false) : NULL;
        if (!json)
            log_line(run->task.engine->config.log, LOG_WARN, "flow.metadata is not recorded: %s", reason.text);
        cJSON_Delete(json);
        free(run->flow->metadata);
        run->flow->metadata = text;
    }
    lua_settop(L, object);
}

void flow_sync_notes(struct flow_run *run)
{
    if (!lua_class_slot_used(run->object, LUA_FLOW_MARKED) && !lua_class_slot_used(run->object, LUA_FLOW_COMMENT) &&
        !lua_class_slot_used(run->object, LUA_FLOW_METADATA))
        return;
    lua_State *L = run->task.engine->L;
    int object = push_object(run);
    copy_text(run, object, LUA_FLOW_MARKED, &run->flow->marked);
    copy_text(run, object, LUA_FLOW_COMMENT, &run->flow->comment);
    copy_metadata(run, object);
    lua_settop(L, object - 1);
}
