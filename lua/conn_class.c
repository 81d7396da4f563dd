#include "lua/conn_class.h"

#include "base/clock.h"
#include "dns/json.h"
#include "lua/flow_class.h"

#include <math.h>
#include <string.h>

struct conn {
    struct lua_flow *flow; /* the flow that it belongs to, which slot 1 keeps; NULL: none, `data` counts */
    bool server;
    struct lua_conn_data data;
};

enum { CONN_FLOW = 1 /* slot */ };

struct lua_conn_data lua_conn_data(const void *self)
{
    const struct conn *conn = self;
    struct lua_conn_data data = {0};
    if (!conn->flow)
        return conn->data;
    if (conn->server)
        (void)lua_flow_server(conn->flow, &data);
    else
        (void)lua_flow_client(conn->flow, &data);
    return data;
}

struct lua_conn_data lua_conn_data_from(const struct reply_to *client)
{
    return (struct lua_conn_data){.address = client->client,
                                  .transport = client->transport,
                                  .connected = true,
                                  .started_us = client->connected_us};
}

void lua_conn_push(lua_State *L, const struct lua_conn_data *data)
{
    struct conn *conn = lua_class_new(L, &lua_conn_class, sizeof *conn);
    conn->data = *data;
}

void lua_conn_push_side(lua_State *L, int flow_index, bool server)
{
    struct lua_flow *flow = lua_class_test(L, flow_index, &lua_flow_class);
    lua_pushvalue(L, flow_index);
    struct conn *conn = lua_class_new(L, &lua_conn_class, sizeof *conn);
    conn->flow = flow;
    conn->server = server;
    lua_insert(L, -2);
    lua_class_slot_set(L, -2, CONN_FLOW);
}

/* --- properties --- */

static void push_ip(lua_State *L, const struct address *address)
{
    char text[ADDRESS_TEXT_MAX];
    lua_pushstring(L, address_ip_text(address, text));
}

static void get_address(lua_State *L, void *self)
{
    struct lua_conn_data data = lua_conn_data(self);
    if (data.address.family == AF_UNSPEC)
        lua_pushnil(L);
    else
        push_ip(L, &data.address);
}

static void set_address(lua_State *L, void *self, int value)
{
    static const char what[] = "Connection.address";
    struct conn *conn = self;
    struct upstream_target target = {0};
    if (!conn->flow || !conn->server)
        lua_raise_reason(L, what, &(struct reason){"only a flow's server_conn can be sent elsewhere"});
    if (!lua_isnil(L, value))
        lua_check_upstream(L, value, what, &target);
    lua_flow_set_target(L, conn->flow, &target, what);
}

static void get_port(lua_State *L, void *self)
{
    struct lua_conn_data data = lua_conn_data(self);
    if (data.address.family == AF_UNSPEC)
        lua_pushnil(L);
    else
        lua_pushinteger(L, data.address.port);
}

static void get_transport(lua_State *L, void *self)
{
    struct lua_conn_data data = lua_conn_data(self);
    if (data.connected)
        lua_pushstring(L, transport_name(data.transport));
    else
        lua_pushnil(L);
}

static void get_timestamp_start(lua_State *L, void *self)
{
    struct lua_conn_data data = lua_conn_data(self);
    if (data.connected)
        lua_pushnumber(L, clock_seconds(data.started_us));
    else
        lua_pushnil(L);
}

static void get_peername(lua_State *L, void *self)
{
    struct lua_conn_data data = lua_conn_data(self);
    if (data.address.family == AF_UNSPEC) {
        lua_pushnil(L);
        return;
    }
    lua_createtable(L, 2, 0);
    push_ip(L, &data.address);
    lua_rawseti(L, -2, 1);
    lua_pushinteger(L, data.address.port);
    lua_rawseti(L, -2, 2);
}

static void get_tls(lua_State *L, void *self)
{
    (void)self;
    lua_pushnil(L);
}

static const struct lua_property properties[] = {
    {"address", get_address, set_address, "address text or nil",
     "The peer's address. A server's may be set in `dns_request`, to send this query elsewhere: `\"9.9.9.9\"`, "
     "`\"tls://1.1.1.1\"`, `{\"9.9.9.9\", 5353}`; nil takes that back."},
    {"port", get_port, NULL, "integer from 0 to 65535, or nil", "The peer's port."},
    {"peername", get_peername, NULL, "array of address and port, or nil", "Both, as mitmproxy has it."},
    {"transport", get_transport, NULL, "text or nil", "`\"udp\"`, `\"tcp\"`, `\"tls\"`, `\"https\"` or `\"quic\"`."},
    {"tls", get_tls, NULL, "table or nil", "What TLS agreed on (`sni`, `version`, `alpn`); nil without TLS."},
    {"timestamp_start", get_timestamp_start, NULL, "seconds or nil",
     "When the connection began; for UDP, when the packet came in or the query went out."},
    {0},
};

static int conn_tostring(lua_State *L)
{
    struct lua_conn_data data = lua_conn_data(lua_class_self(L, &lua_conn_class, "Connection"));
    char text[ADDRESS_TEXT_MAX];
    if (data.address.family == AF_UNSPEC)
        lua_pushliteral(L, "Connection");
    else if (data.connected)
        lua_pushfstring(L, "%s (%s)", address_text(&data.address, text), transport_name(data.transport));
    else
        lua_pushstring(L, address_text(&data.address, text));
    return 1;
}

static int conn_equal(lua_State *L)
{
    struct lua_conn_data a = lua_conn_data(lua_class_test(L, 1, &lua_conn_class));
    struct lua_conn_data b = lua_conn_data(lua_class_test(L, 2, &lua_conn_class));
    lua_pushboolean(L, address_equal(&a.address, &b.address) && a.connected == b.connected &&
                           a.transport == b.transport && a.started_us == b.started_us);
    return 1;
}

static struct cJSON *conn_to_json(lua_State *L, int index, struct reason *reason)
{
    struct lua_conn_data data = lua_conn_data(lua_class_test(L, index, &lua_conn_class));
    cJSON *json = lua_conn_data_to_json(&data);
    if (!json)
        reason_set(reason, "no memory");
    return json;
}

const struct lua_class lua_conn_class = {
    .name = "Connection",
    .properties = properties,
    .tostring = conn_tostring,
    .equal = conn_equal,
    .to_json = conn_to_json,
    .doc = "A client or an upstream, as a flow's `client_conn` and `server_conn` and the connection hooks give it.",
};

/* --- JSON --- */

cJSON *lua_conn_data_to_json(const struct lua_conn_data *data)
{
    cJSON *json = cJSON_CreateObject();
    if (!json || data->address.family == AF_UNSPEC)
        return json;
    char ip[ADDRESS_TEXT_MAX];
    address_ip_text(&data->address, ip);
    bool good =
        cJSON_AddStringToObject(json, "address", ip) && cJSON_AddNumberToObject(json, "port", data->address.port);
    if (good && data->connected)
        good = cJSON_AddStringToObject(json, "transport", transport_name(data->transport)) &&
               cJSON_AddNumberToObject(json, "timestamp_start", clock_seconds(data->started_us));
    cJSON *peer = good ? cJSON_AddArrayToObject(json, "peername") : NULL;
    if (peer && json_add(peer, NULL, cJSON_CreateString(ip)) &&
        json_add(peer, NULL, cJSON_CreateNumber(data->address.port)))
        return json;
    cJSON_Delete(json);
    return NULL;
}

static void read_transport(lua_State *L, int index, const char *what, struct lua_conn_data *out)
{
    const char *text = lua_check_text(L, index, NULL, what);
    for (enum transport transport = TRANSPORT_UDP; transport <= TRANSPORT_QUIC; transport++) {
        if (strcmp(text, transport_name(transport)) == 0) {
            out->transport = transport;
            out->connected = true;
            return;
        }
    }
    lua_raise_expected(L, index, what, "\"udp\", \"tcp\", \"tls\", \"https\" or \"quic\"");
}

struct lua_conn_data lua_conn_data_from_table(lua_State *L, int index, const char *what)
{
    static const char *const keys[] = {"address", "port", "transport", "tls", "timestamp_start", "peername", NULL};
    struct lua_conn_data data = {.transport = TRANSPORT_UDP};
    lua_check_table(L, index, what);
    lua_check_keys(L, index, keys, what);
    lua_getfield(L, index, "address");
    size_t length = 0;
    const char *ip = lua_isnil(L, -1) ? NULL : lua_check_text(L, -1, &length, what);
    if (ip && address_from_ip(ip, length, &data.address) != STATUS_OK)
        lua_raise_expected(L, -1, what, "address text");
    lua_getfield(L, index, "port");
    if (!lua_isnil(L, -1))
        data.address.port = (uint16_t)lua_check_integer(L, -1, 0, 65535, what);
    lua_getfield(L, index, "transport");
    if (!lua_isnil(L, -1))
        read_transport(L, lua_gettop(L), what, &data);
    lua_getfield(L, index, "timestamp_start");
    if (!lua_isnil(L, -1))
        data.started_us = llround(lua_check_number(L, -1, what) * CLOCK_SECOND_US);
    lua_pop(L, 4);
    return data;
}

/* {ip, port} */
static void check_upstream_pair(lua_State *L, int index, const char *what, struct upstream_target *out)
{
    struct upstream_target target = {.scheme = UPSTREAM_PLAIN};
    size_t length;
    lua_rawgeti(L, index, 1);
    const char *ip = lua_check_text(L, -1, &length, what);
    if (address_from_ip(ip, length, &target.address) != STATUS_OK)
        lua_raise_expected(L, -1, what, "address text as the first of {ip, port}");
    lua_rawgeti(L, index, 2);
    target.address.port = lua_isnil(L, -1) ? 53 : (uint16_t)lua_check_integer(L, -1, 1, 65535, what);
    lua_pop(L, 2);
    *out = target;
}

void lua_check_upstream(lua_State *L, int index, const char *what, struct upstream_target *out)
{
    if (lua_type(L, index) == LUA_TTABLE) {
        check_upstream_pair(L, index, what, out);
        return;
    }
    if (lua_type(L, index) != LUA_TSTRING)
        lua_raise_expected(L, index, what, "upstream (\"ip\", \"ip:port\", \"scheme://…\" or {ip, port})");
    size_t length;
    const char *text = lua_tolstring(L, index, &length);
    struct reason reason = {""};
    if (upstream_target_from_text(text, length, out, &reason) != STATUS_OK)
        lua_raise_reason(L, what, &reason);
}

/* --- Error --- */

struct error {
    double timestamp;
    char text[]; /* ends with NUL */
};

void lua_error_push(lua_State *L, const char *text, size_t length, double timestamp)
{
    struct error *error = lua_class_new(L, &lua_error_class, sizeof *error + length + 1);
    error->timestamp = timestamp;
    memcpy(error->text, text, length);
    error->text[length] = '\0';
}

const char *lua_error_text(lua_State *L, int index, double *timestamp)
{
    const struct error *error = lua_class_test(L, index, &lua_error_class);
    if (!error)
        return NULL;
    if (timestamp)
        *timestamp = error->timestamp;
    return error->text;
}

static void get_msg(lua_State *L, void *self)
{
    const struct error *error = self;
    lua_pushstring(L, error->text);
}

static void get_timestamp(lua_State *L, void *self)
{
    const struct error *error = self;
    lua_pushnumber(L, error->timestamp);
}

static const struct lua_property error_properties[] = {
    {"msg", get_msg, NULL, "text", "What went wrong."},
    {"timestamp", get_timestamp, NULL, "seconds", "When it did."},
    {0},
};

static int error_tostring(lua_State *L)
{
    get_msg(L, lua_class_self(L, &lua_error_class, "Error"));
    return 1;
}

static int error_equal(lua_State *L)
{
    lua_pushboolean(L, strcmp(lua_error_text(L, 1, NULL), lua_error_text(L, 2, NULL)) == 0);
    return 1;
}

static struct cJSON *error_to_json(lua_State *L, int index, struct reason *reason)
{
    double timestamp = 0;
    const char *text = lua_error_text(L, index, &timestamp);
    cJSON *json = cJSON_CreateObject();
    if (!json || !cJSON_AddStringToObject(json, "msg", text) ||
        !cJSON_AddNumberToObject(json, "timestamp", timestamp)) {
        cJSON_Delete(json);
        reason_set(reason, "no memory");
        return NULL;
    }
    return json;
}

const struct lua_class lua_error_class = {
    .name = "Error",
    .properties = error_properties,
    .tostring = error_tostring,
    .equal = error_equal,
    .to_json = error_to_json,
    .doc = "What went wrong with a flow. `flow.error = \"text\"` makes one.",
};
