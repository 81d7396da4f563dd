#include "lua/zone_class.h"

#include "base/clock.h"
#include "data/zone.h"
#include "lua/message_object.h"

enum { SCRATCH_KEPT = 64 << 10 /* bytes that the scratch buffer may keep when a zone has been built in it */ };

static const char zone_key; /* its address is the metatable's key of the blob */

const struct zone *lua_zone_test(lua_State *L, int index)
{
    if (lua_type(L, index) != LUA_TTABLE || !lua_getmetatable(L, index))
        return NULL;
    lua_pushlightuserdata(L, (void *)(uintptr_t)&zone_key);
    lua_rawget(L, -2);
    const void *zone = lua_touserdata(L, -1);
    lua_pop(L, 2);
    return zone;
}

/* --- metamethods --- */

static int zone_index(lua_State *L)
{
    lua_settop(L, 2);
    if (lua_type(L, 2) == LUA_TNUMBER) {
        lua_pushnil(L);
        return 1;
    }
    const char *key = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";
    for (const struct lua_property *property = lua_zone_class.properties; property->name; property++) {
        if (strcmp(property->name, key) == 0) {
            const void *zone = lua_zone_test(L, 1);
            property->get(L, (void *)(uintptr_t)zone);
            return 1;
        }
    }
    for (const struct lua_method *method = lua_zone_class.methods; method->name; method++) {
        if (strcmp(method->name, key) == 0) {
            lua_pushcfunction(L, method->function);
            return 1;
        }
    }
    return lua_raise_unknown(L, 2, &lua_zone_class);
}

static int zone_newindex(lua_State *L)
{
    struct reason reason;
    lua_settop(L, 3);
    reason_set(&reason, "properties cannot be set, nor records be added");
    return lua_raise_reason(L, "Zone", &reason);
}

static int zone_tostring(lua_State *L)
{
    const struct zone *zone = lua_zone_test(L, 1);
    if (!zone)
        return lua_raise_expected(L, 1, "Zone.tostring", "Zone");
    lua_name_push(L, zone_origin(zone), DNS_NAME_LOWER);
    return 1;
}

/* Gives the table at the top a metatable around the blob below it. */
static void set_metatable(lua_State *L)
{
    static const luaL_Reg metamethods[] = {
        {"__index", zone_index}, {"__newindex", zone_newindex}, {"__tostring", zone_tostring}, {NULL, NULL}};
    lua_newtable(L);
    luaL_register(L, NULL, metamethods);
    lua_pushstring(L, lua_zone_class.name);
    lua_setfield(L, -2, "__metatable");
    lua_pushlightuserdata(L, (void *)(uintptr_t)&zone_key);
    lua_pushvalue(L, -4);
    lua_rawset(L, -3);
    lua_setmetatable(L, -2);
}

/* --- making --- */

/* Pushes the zone in the scratch buffer. */
static void push_zone(lua_State *L, struct buffer *image)
{
    struct dns_record record;
    const struct zone *zone = memcpy(lua_newuserdata(L, image->length), image->data, image->length);
    if (image->capacity > SCRATCH_KEPT)
        buffer_free(image);
    const size_t count = zone_count(zone);
    lua_createtable(L, (int)count, 0);
    for (size_t i = 0; i < count; i++) {
        zone_record(zone, i, &record);
        lua_record_push(L, &record);
        lua_rawseti(L, -2, (int)i + 1);
    }
    set_metatable(L);
}

/* What load and parse share: the origin at 2, and what comes of it. */
static int make(lua_State *L, const char *what, bool is_path)
{
    struct dns_name origin;
    struct reason reason = {""};
    size_t length;
    lua_settop(L, 2);
    luaL_checkstack(L, 10, NULL);
    const char *text = lua_check_text(L, 1, &length, what);
    struct zone_source source = {.name = is_path ? text : "zone"};
    if (is_path && strlen(text) != length)
        return lua_raise_expected(L, 1, what, "path of a file");
    if (!lua_isnil(L, 2)) {
        lua_name_check(L, 2, &origin, what);
        source.origin = &origin;
    }
    struct buffer *image = lua_scratch(L);
    enum status status =
        is_path ? zone_load(&source, image, &reason) : zone_parse(&source, text, length, image, &reason);
    if (status) {
        lua_pushnil(L);
        lua_pushstring(L, reason.text);
        return 2;
    }
    push_zone(L, image);
    return 1;
}

static int zone_static_load(lua_State *L)
{
    return make(L, "Zone.load", true);
}

static int zone_static_parse(lua_State *L)
{
    return make(L, "Zone.parse", false);
}

/* --- answering --- */

/* The message at 2 as a checked view. Where it was changed, its bytes are in a string that is pushed. */
static const struct dns_message *check_query(lua_State *L, struct dns_message *out)
{
    const struct lua_message *message = lua_class_check(L, 2, &lua_message_class, "Zone.answer");
    struct reason reason;
    if (!lua_message_changed(L, 2) && lua_message_view(message, out, &reason) == STATUS_OK)
        return out;
    lua_message_push_packed(L, 2, "Zone.answer");
    size_t length;
    const uint8_t *wire = (const uint8_t *)lua_tolstring(L, -1, &length);
    if (lua_memory_check(L, dns_message_parse(wire, length, out, &reason)))
        lua_raise_reason(L, "Zone.answer", &reason);
    return out;
}

static int raise_self(lua_State *L)
{
    struct reason reason;
    lua_push_shown(L, 1);
    reason_set(&reason, "Zone expected as self, got %s (call the method with a colon)", lua_tostring(L, -1));
    return lua_raise_reason(L, "Zone.answer", &reason);
}

static int zone_method_answer(lua_State *L)
{
    struct dns_message packed;
    const struct zone *zone = lua_zone_test(L, 1);
    if (!zone)
        return raise_self(L);
    lua_settop(L, 2);
    luaL_checkstack(L, 8, NULL);
    const struct dns_message *query = check_query(L, &packed);
    struct buffer *out = lua_scratch(L);
    if (lua_memory_check(L, zone_answer(zone, query, out)))
        lua_pushnil(L);
    else
        lua_message_push(L, out->data, out->length, clock_seconds(clock_wall_us()))->made = true;
    return 1;
}

static void get_origin(lua_State *L, void *self)
{
    lua_name_push(L, zone_origin(self), DNS_NAME_LOWER);
}

static const struct lua_property properties[] = {
    {"origin", get_origin, NULL, "name", "The name of the zone's top: the owner of its SOA record."},
    {0},
};

static const struct lua_method methods[] = {
    {"answer", zone_method_answer, "answer(message)",
     "The authoritative response to the query, a new DNSMessage (RFC 1034 section 4.3.2): records, CNAMEs followed "
     "inside the zone (20 CNAMEs and DNAMEs in a row: the answer ends there, and whoever asks can go on from the last "
     "name), wildcards, DNAMEs, referrals with glue (a wildcard's NS records delegate all names that it stands for), "
     "NXDOMAIN and empty answers with the SOA record, BADVERS for EDNS of a version above 0. `truncation` is set when "
     "the records, or the glue of name servers below a delegation, do not fit into 65,535 bytes. nil when the zone is "
     "not the one to ask: a name outside of it, another class or op code, not exactly one question, or a "
     "response. `flow.response = zone:answer(flow.request)` therefore answers for the zone and lets all else be "
     "forwarded. DNSSEC's records are given when they are asked for, and not added."},
    {0},
};

static const struct lua_method statics[] = {
    {"load", zone_static_load, "load(path [, origin])",
     "The zone in a master file (RFC 1035 section 5): with `$ORIGIN`, `$TTL`, `$INCLUDE` (paths are looked for beside "
     "the file), `$GENERATE`, `@`, parentheses and comments. Relative names lie below `origin`; without it the file "
     "begins with `$ORIGIN`, or with an SOA record whose owner ends with a dot. The first record is the zone's SOA; "
     "below a DNAME there are no records. nil and the reason, with file and line, for a file that cannot be read or "
     "has "
     "an error."},
    {"parse", zone_static_parse, "parse(text [, origin])",
     "The same for a text, which reasons call `zone`; `$INCLUDE` begins in the working directory."},
    {0},
};

const struct lua_class lua_zone_class = {
    .name = "Zone",
    .properties = properties,
    .methods = methods,
    .statics = statics,
    .doc =
        "A zone, as an array of ResourceRecord in the file's order: `#zone`, `zone[1]` and `ipairs(zone)` do what "
        "they do for any array. Records that are there twice count once. The array is a copy of what answers are made "
        "from, for reading: changes of it, or of the records in it, change no answer. (LuaJIT asks nobody about "
        "`zone[1] = x`, so that is not refused; new places and properties are.) `tostring(zone)` is its origin.",
};
