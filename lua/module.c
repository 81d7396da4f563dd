#include "lua/module.h"

#include "dns/text.h"
#include "lua/address_set_class.h"
#include "lua/conn_class.h"
#include "lua/domain_set_class.h"
#include "lua/flow_class.h"
#include "lua/https_record_class.h"
#include "lua/internal.h"
#include "lua/message_class.h"
#include "lua/name_library.h"
#include "lua/question_class.h"
#include "lua/record_class.h"
#include "lua/zone_class.h"

static const char module_key; /* its address is the module's key in the registry */

static int dns_typeof(lua_State *L)
{
    const char *name = lua_zone_test(L, 1) ? lua_zone_class.name : lua_class_name_of(L, 1);
    if (name)
        lua_pushstring(L, name);
    else
        lua_pushnil(L);
    return 1;
}

/* Sets the class as a field of the table at the top. */
static void add_class(lua_State *L, const struct lua_class *class)
{
    lua_class_register(L, class);
    lua_setfield(L, -2, class->name);
}

static void add_functions(lua_State *L, const char *name, const struct lua_method *functions)
{
    lua_functions_push(L, functions);
    lua_setfield(L, -2, name);
}

static void push_module(lua_State *L)
{
    lua_workspace(L);
    lua_newtable(L);
    add_class(L, &lua_question_class);
    add_class(L, &lua_record_class);
    add_class(L, &lua_https_record_class);
    add_class(L, &lua_message_class);
    add_class(L, &lua_flow_class);
    add_class(L, &lua_domain_set_class);
    add_class(L, &lua_address_set_class);
    add_class(L, &lua_zone_class);
    lua_class_register(L, &lua_conn_class);
    lua_class_register(L, &lua_error_class);
    lua_pop(L, 2);
    lua_getfield(L, -1, lua_record_class.name);
    lua_pushinteger(L, DNS_DEFAULT_TTL);
    lua_setfield(L, -2, "DEFAULT_TTL");
    lua_pop(L, 1);
    lua_registries_open(L);
    lua_json_open(L);
    add_functions(L, "name", lua_name_functions);
    add_functions(L, "idna", lua_idna_functions);
    lua_pushcfunction(L, dns_typeof);
    lua_setfield(L, -2, "typeof");
    lua_internal_lib(L, "dns.random");
    lua_setfield(L, -2, "random");
    lua_internal_lib(L, "dns.sequence");
    lua_setfield(L, -2, "sequence");
}

int lua_dns_open(lua_State *L)
{
    void *key = (void *)(uintptr_t)&module_key;
    luaL_checkstack(L, 16, NULL);
    lua_pushlightuserdata(L, key);
    lua_rawget(L, LUA_REGISTRYINDEX);
    if (lua_istable(L, -1))
        return 1;
    lua_pop(L, 1);
    push_module(L);
    lua_pushlightuserdata(L, key);
    lua_pushvalue(L, -2);
    lua_rawset(L, LUA_REGISTRYINDEX);
    return 1;
}
