#include "lua/domain_set_class.h"

#include "lua/set_object.h"
#include "lua/values.h"

static const char entry_name[] = "domain name";

static enum status add_entry(void *set, const struct set_memory *memory, const char *text, size_t length, bool *added,
                             struct reason *reason)
{
    struct dns_name name;
    enum domain_kind kind;
    enum status status = domain_from_text(text, length, &name, &kind, reason);
    return status ? status : domain_set_add(set, memory, &name, kind, added);
}

static enum status remove_entry(void *set, const char *text, size_t length, bool *removed, struct reason *reason)
{
    struct dns_name name;
    enum domain_kind kind;
    enum status status = domain_from_text(text, length, &name, &kind, reason);
    if (!status)
        *removed = domain_set_remove(set, &name, kind);
    return status;
}

LUA_SET_FUNCTIONS(domain_set)

/* Pushes the text of the entry: where it can, the very string at 2, which need not be made again. */
static void push_entry(lua_State *L, const uint8_t *entry)
{
    char text[DNS_NAME_TEXT_MAX];
    size_t given_length;
    const char *given = lua_tolstring(L, 2, &given_length);
    const size_t length = dns_name_to_text(entry, DNS_NAME_LOWER, text);
    if (length == given_length && memcmp(text, given, length) == 0)
        lua_pushvalue(L, 2);
    else
        lua_pushlstring(L, text, length);
}

static int set_match(lua_State *L)
{
    struct dns_name name;
    const struct domain_set *set = lua_class_self(L, &lua_domain_set_class, "DomainSet.match");
    lua_settop(L, 2);
    lua_name_check(L, 2, &name, "DomainSet.match");
    const uint8_t *entry = domain_set_match(set, name.wire);
    if (entry)
        push_entry(L, entry);
    else
        lua_pushnil(L);
    return 1;
}

static int set_length(lua_State *L)
{
    const struct domain_set *set = lua_class_self(L, &lua_domain_set_class, "DomainSet");
    lua_pushnumber(L, (lua_Number)set->count);
    return 1;
}

static int set_tostring(lua_State *L)
{
    const struct domain_set *set = lua_class_self(L, &lua_domain_set_class, "DomainSet.tostring");
    lua_pushfstring(L, "DomainSet of %f", (lua_Number)set->count);
    if (set->exceptions) {
        lua_pushfstring(L, " without %f", (lua_Number)set->exceptions);
        lua_concat(L, 2);
    }
    return 1;
}

static const struct lua_property properties[] = {LUA_SET_PROPERTIES, {0}};

static const struct lua_method methods[] = {
    {"match", set_match, "match(name)",
     "The entry that equals the name or is its nearest parent, in lower case; nil when there is none, or when an "
     "exception equals the name or is any of its parents. The root matches all."},
    {"add", set_add, "add(entry)", "Adds an entry or an exception; true when it was not there before."},
    {"remove", set_remove, "remove(entry)", "Takes an entry or an exception out; true when it was there."},
    {0},
};

static const struct lua_method statics[] = {
    {"load", set_load, "load(path, …)",
     "The set of all domains in these files; nil and the reason when one cannot be read. They may mix plain lists (one "
     "domain a line), hosts files, `||domain^` and `@@||domain^`, and dnsmasq's `address=/domain/0.0.0.0`, "
     "`server=/domain/` and `local=/domain/`, with comments after `#`, `;` or `!`. Lines that cannot be used, such as "
     "patterns, are left out and told of in `skipped`."},
    {"parse", set_parse, "parse(text [, name])",
     "The set of all that `load` would find in a file of this text; `name` is what `skipped` and the log call it."},
    {0},
};

const struct lua_class lua_domain_set_class = {
    .name = "DomainSet",
    .properties = properties,
    .methods = methods,
    .statics = statics,
    .construct = construct,
    .tostring = set_tostring,
    .length = set_length,
    .constructor_signature = "dns.DomainSet([entries])",
    .doc =
        "A set of domains, for block lists and the like: made for millions of them. An entry is a name and stands for "
        "all names below it too; `\"*.ads.example\"`, `\".ads.example\"` and `\"||ads.example^\"` are the same as "
        "`\"ads.example\"`. "
        "`\"@@||good.ads.example^\"` is an exception, which wins over entries above and below it. `#set` is the "
        "number of entries, exceptions not counted.",
};
