#include "lua/engine/cache_library.h"

#include "flow/exchange.h"
#include "lua/engine/engine_private.h"
#include "lua/values.h"

/* flush([name]) */
static int flush(lua_State *L)
{
    const struct engine_config *config = &engine_of(L)->config;
    struct dns_name name;
    bool all = lua_isnoneornil(L, 1);
    if (!all)
        lua_name_check(L, 1, &name, "dns.cache.flush");
    struct exchange *exchange = config->exchange ? config->exchange(config->context) : NULL;
    size_t count = exchange ? exchange_flush_cache(exchange, all ? NULL : name.wire) : 0;
    lua_pushinteger(L, (lua_Integer)count);
    return 1;
}

void cache_library_open(struct engine *engine)
{
    lua_State *L = engine->L;
    lua_createtable(L, 0, 1);
    engine_push_function(engine, flush);
    lua_setfield(L, -2, "flush");
    lua_setfield(L, -2, "cache");
}
