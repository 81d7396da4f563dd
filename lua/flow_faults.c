/* DNSFlow's methods that spoil the answer on its way out, for tests of clients. */
#include "base/clock.h"
#include "flow/faults.h"
#include "lua/flow_class.h"

static const double SECONDS_MAX = 1e6;
enum { COPIES_MAX = 100, BYTES_PER_SECOND_MAX = 1000000000 };

/* The flow at 1, which must be live. */
static struct lua_flow *check_live(lua_State *L, const char *what)
{
    struct lua_flow *self = lua_class_self(L, &lua_flow_class, what);
    if (!lua_flow_is_live(self))
        lua_raise_reason(L, what, &(struct reason){"the flow is not live"});
    return self;
}

/* Its faults; NULL where no proxy holds it (in a unit test). */
static struct flow_faults *faults_of(lua_State *L, const struct lua_flow *self, const char *what)
{
    struct flow_faults *faults = self->flow ? flow_faults_of(self->flow) : NULL;
    if (self->flow && !faults)
        luaL_error(L, "%s: out of memory", what);
    return faults;
}

int lua_flow_delay(lua_State *L)
{
    static const char what[] = "DNSFlow.delay";
    const struct lua_flow *self = check_live(L, what);
    double seconds = lua_check_number(L, 2, what);
    if (!(seconds >= 0 && seconds <= SECONDS_MAX))
        lua_raise_expected(L, 2, what, "seconds (0 or more)");
    struct flow_faults *faults = faults_of(L, self, what);
    if (faults)
        faults->delay_us = (int64_t)(seconds * CLOCK_SECOND_US);
    return 0;
}

int lua_flow_drop(lua_State *L)
{
    struct lua_flow *self = check_live(L, "DNSFlow.drop");
    lua_flow_end(self, true);
    return 0;
}

int lua_flow_truncate(lua_State *L)
{
    static const char what[] = "DNSFlow.truncate";
    struct flow_faults *faults = faults_of(L, check_live(L, what), what);
    if (faults)
        faults->truncate = true;
    return 0;
}

int lua_flow_duplicate(lua_State *L)
{
    static const char what[] = "DNSFlow.duplicate";
    const struct lua_flow *self = check_live(L, what);
    int64_t copies = lua_isnoneornil(L, 2) ? 1 : lua_check_integer(L, 2, 0, COPIES_MAX, what);
    struct flow_faults *faults = faults_of(L, self, what);
    if (faults)
        faults->copies = (unsigned)copies;
    return 0;
}

int lua_flow_reset(lua_State *L)
{
    static const char what[] = "DNSFlow.reset";
    struct flow_faults *faults = faults_of(L, check_live(L, what), what);
    if (faults)
        faults->reset = true;
    return 0;
}

int lua_flow_drip(lua_State *L)
{
    static const char what[] = "DNSFlow.drip";
    const struct lua_flow *self = check_live(L, what);
    int64_t rate = lua_check_integer(L, 2, 1, BYTES_PER_SECOND_MAX, what);
    struct flow_faults *faults = faults_of(L, self, what);
    if (faults)
        faults->drip = (uint32_t)rate;
    return 0;
}

/* --- corrupt --- */

/* What corrupt{…} was given; bytes are borrowed from the table. */
struct corruption {
    bool id, question, loop, has_raw;
    size_t cut, zeros;
    struct span trailing, raw;
};

static struct span check_bytes(lua_State *L, int index, const char *what)
{
    size_t length;
    const char *bytes = lua_check_text(L, index, &length, what);
    if (length > DNS_MESSAGE_MAX)
        lua_raise_reason(L, what, &(struct reason){"at most 65535 bytes can be sent"});
    return (struct span){(const uint8_t *)bytes, length};
}

static bool check_flag(lua_State *L, const char *key, const char *what)
{
    lua_getfield(L, 2, key);
    bool flag = !lua_isnil(L, -1) && lua_check_boolean(L, lua_gettop(L), what);
    lua_pop(L, 1);
    return flag;
}

/* Leaves the fields' values on the stack, so that the bytes stay. */
static struct corruption check_corruption(lua_State *L)
{
    static const char *const keys[] = {"id", "question", "cut", "trailing", "loop", "raw", NULL};
    static const char what[] = "DNSFlow.corrupt";
    struct corruption to = {0};
    lua_settop(L, 2);
    lua_check_table(L, 2, what);
    lua_check_keys(L, 2, keys, what);
    to.id = check_flag(L, "id", "DNSFlow.corrupt: id");
    to.question = check_flag(L, "question", "DNSFlow.corrupt: question");
    to.loop = check_flag(L, "loop", "DNSFlow.corrupt: loop");
    lua_getfield(L, 2, "cut");
    if (!lua_isnil(L, 3))
        to.cut = (size_t)lua_check_integer(L, 3, 0, DNS_MESSAGE_MAX, "DNSFlow.corrupt: cut");
    lua_getfield(L, 2, "trailing");
    if (lua_type(L, 4) == LUA_TNUMBER)
        to.zeros = (size_t)lua_check_integer(L, 4, 0, DNS_MESSAGE_MAX, "DNSFlow.corrupt: trailing");
    else if (!lua_isnil(L, 4))
        to.trailing = check_bytes(L, 4, "DNSFlow.corrupt: trailing");
    lua_getfield(L, 2, "raw");
    to.has_raw = !lua_isnil(L, 5);
    if (to.has_raw)
        to.raw = check_bytes(L, 5, "DNSFlow.corrupt: raw");
    return to;
}

int lua_flow_corrupt(lua_State *L)
{
    const struct lua_flow *self = check_live(L, "DNSFlow.corrupt");
    struct corruption to = check_corruption(L);
    struct flow_faults *faults = faults_of(L, self, "DNSFlow.corrupt");
    if (!faults)
        return 0;
    faults->id |= to.id;
    faults->question |= to.question;
    faults->loop |= to.loop;
    faults->cut += to.cut;
    faults->replaced |= to.has_raw;
    if (to.has_raw)
        buffer_clear(&faults->raw);
    buffer_append(&faults->raw, to.raw.data, to.raw.length);
    buffer_append(&faults->trailing, to.trailing.data, to.trailing.length);
    for (size_t i = 0; i < to.zeros; i++)
        buffer_u8(&faults->trailing, 0);
    if (buffer_status(&faults->raw) || buffer_status(&faults->trailing))
        return luaL_error(L, "DNSFlow.corrupt: out of memory");
    return 0;
}

/* --- for who looks on --- */

static void put_flag(lua_State *L, const char *name, bool flag)
{
    if (!flag)
        return;
    lua_pushboolean(L, true);
    lua_setfield(L, -2, name);
}

static void put_number(lua_State *L, const char *name, double number)
{
    if (number == 0)
        return;
    lua_pushnumber(L, number);
    lua_setfield(L, -2, name);
}

static void put_size(lua_State *L, const char *name, const struct buffer *bytes, bool given)
{
    if (!given)
        return;
    lua_pushfstring(L, "%d byte%s", (int)bytes->length, bytes->length == 1 ? "" : "s");
    lua_setfield(L, -2, name);
}

int lua_flow_faults(lua_State *L)
{
    const struct lua_flow *self = lua_class_self(L, &lua_flow_class, "faults");
    const struct flow_faults none = {0}, *faults = self->flow ? self->flow->faults : NULL;
    if (!faults)
        faults = &none;
    lua_newtable(L);
    put_number(L, "delay", (double)faults->delay_us / CLOCK_SECOND_US);
    put_number(L, "duplicate", faults->copies);
    put_number(L, "drip", faults->drip);
    put_flag(L, "truncate", faults->truncate);
    put_flag(L, "reset", faults->reset);
    lua_newtable(L);
    put_flag(L, "id", faults->id);
    put_flag(L, "question", faults->question);
    put_flag(L, "loop", faults->loop);
    put_number(L, "cut", (double)faults->cut);
    put_size(L, "trailing", &faults->trailing, faults->trailing.length > 0);
    put_size(L, "raw", &faults->raw, faults->replaced);
    lua_setfield(L, -2, "corrupt");
    return 1;
}
