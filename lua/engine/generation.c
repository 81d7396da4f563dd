#include "lua/engine/generation.h"

#include "lua/engine/engine_private.h"

#include <stdlib.h>

static void on_connection(struct hooks *hooks, const struct reply_to *connection, bool connected)
{
    const struct generation *generation = (struct generation *)hooks;
    lua_State *L = generation->engine->L;
    struct lua_conn_data data = lua_conn_data_from(connection);
    for (size_t i = 0; i < generation->count; i++) {
        lua_conn_push(L, &data);
        lifecycle_call(generation->scripts[i], connected ? SCRIPT_CLIENT_CONNECTED : SCRIPT_CLIENT_DISCONNECTED, 1);
    }
}

static void on_outdated(struct hooks *hooks)
{
    const struct engine_config *config = &((const struct generation *)hooks)->engine->config;
    config->outdated(config->context);
}

static void on_unused(struct hooks *hooks)
{
    generation_free((struct generation *)hooks);
}

static size_t count_calls(const struct generation *generation, int hook)
{
    size_t count = 0;
    for (size_t i = 0; i < generation->count; i++)
        for (size_t j = 0; j < generation->scripts[i]->count; j++)
            count += generation->scripts[i]->addons[j].functions[hook] != LUA_NOREF;
    return count;
}

/* Takes the list, which has room for all. */
static void gather_hook(struct generation *generation, int hook, struct hook_call *list)
{
    struct hook_calls *calls = &generation->calls[hook];
    free(calls->list);
    *calls = (struct hook_calls){.list = list, .compiling.possible = hook == HOOK_REQUEST};
    for (size_t i = 0; i < generation->count; i++) {
        struct script *script = generation->scripts[i];
        for (size_t j = 0; j < script->count; j++) {
            const struct addon *addon = &script->addons[j];
            if (addon->functions[hook] == LUA_NOREF)
                continue;
            list[calls->count++] = (struct hook_call){addon->functions[hook], addon->self,
                                                      hook == HOOK_REQUEST ? addon->compiled : LUA_NOREF, script};
            calls->compiling.possible &= addon->compiled != LUA_NOREF;
            calls->compiling.shares |= addon->shares;
            generation->keeps |= addon->keeps;
        }
    }
    if (calls->count)
        generation->hooks.defined |= 1u << hook;
    else
        generation->hooks.defined &= ~(1u << hook);
}

bool generation_gather(struct generation *generation)
{
    struct hook_call *lists[HOOK_COUNT] = {0};
    bool has_memory = true;
    for (int hook = 0; hook < HOOK_COUNT && has_memory; hook++) {
        lists[hook] = calloc(count_calls(generation, hook) + 1, sizeof *lists[hook]);
        has_memory = lists[hook] != NULL;
    }
    for (int hook = 0; hook < HOOK_COUNT && !has_memory; hook++)
        free(lists[hook]);
    if (!has_memory)
        return false;
    generation->keeps = false;
    for (int hook = 0; hook < HOOK_COUNT; hook++)
        gather_hook(generation, hook, lists[hook]);
    generation->calls[HOOK_REQUEST].compiling.possible &= !generation->keeps && generation->engine->compiles;
    if (count_calls(generation, SCRIPT_CLIENT_CONNECTED) + count_calls(generation, SCRIPT_CLIENT_DISCONNECTED))
        generation->hooks.defined |= HOOKS_CONNECTION_BIT;
    else
        generation->hooks.defined &= ~(unsigned)HOOKS_CONNECTION_BIT;
    return true;
}

struct generation *generation_new(struct engine *engine)
{
    struct generation *generation = calloc(1, sizeof *generation);
    struct script **scripts = calloc(engine->sources_count + 1, sizeof(struct script *));
    if (!generation || !scripts) {
        free(generation);
        free(scripts);
        return NULL;
    }
    generation->engine = engine;
    generation->next = engine->generations;
    engine->generations = generation;
    generation->scripts = scripts;
    for (size_t i = 0; i < engine->sources_count; i++) {
        const struct script_source *source = &engine->sources[i];
        struct script *script = source->next ? source->next : source->script;
        if (script)
            scripts[generation->count++] = script_hold(script);
    }
    generation->hooks = (struct hooks){
        .context = generation,
        .run = flow_run_hooks,
        .ended = flow_run_ended,
        .connection = on_connection,
        .latest = engine->config.latest,
        .outdated = on_outdated,
        .unused = on_unused,
    };
    if (generation_gather(generation))
        return generation;
    generation_free(generation);
    return NULL;
}

void generation_free(struct generation *generation)
{
    if (!generation)
        return;
    struct generation **at = &generation->engine->generations;
    while (*at != generation)
        at = &(*at)->next;
    *at = generation->next;
    for (size_t i = 0; i < generation->count; i++)
        script_release(generation->scripts[i]);
    for (int hook = 0; hook < HOOK_COUNT; hook++)
        free(generation->calls[hook].list);
    free(generation->scripts);
    free(generation);
}
