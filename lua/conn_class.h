/* dns.Connection: a client or an upstream as a flow saw it; and dns.Error: what went wrong with a flow. Both are plain
 * values that live as long as a script holds them. */
#ifndef MOONDNS_LUA_CONN_CLASS_H
#define MOONDNS_LUA_CONN_CLASS_H

#include "flow/flow.h"
#include "lua/class.h"

struct lua_flow;

/* One side of a flow. */
struct lua_conn_data {
    struct address address; /* AF_UNSPEC: not known (yet) */
    enum transport transport;
    bool connected;     /* transport and started_us hold */
    int64_t started_us; /* wall clock */
};

extern const struct lua_class lua_conn_class, lua_error_class;

/* Pushes a connection with these values, which belongs to no flow. */
void lua_conn_push(lua_State *L, const struct lua_conn_data *data);

/* Pushes the connection of the flow at `flow_index`: it reads through that flow, and keeps it. */
void lua_conn_push_side(lua_State *L, int flow_index, bool server);

/* The connection's values as they are now. */
struct lua_conn_data lua_conn_data(const void *conn);

/* What belongs to a client that came in. */
struct lua_conn_data lua_conn_data_from(const struct reply_to *client);

/* A connection as JSON, {address, port, transport, timestamp_start, peername}, that the caller owns; NULL when there is
 * no memory. And back, raising with `what`, from the table at `index`. */
struct cJSON *lua_conn_data_to_json(const struct lua_conn_data *data);
struct lua_conn_data lua_conn_data_from_table(lua_State *L, int index, const char *what);

/* Takes an upstream as scripts write it: "ip", "ip:port", "scheme://…" or {ip, port}. Raises with `what`. */
void lua_check_upstream(lua_State *L, int index, const char *what, struct upstream_target *out);

/* Pushes an Error. `timestamp` in seconds. */
void lua_error_push(lua_State *L, const char *text, size_t length, double timestamp);

/* The text of the Error at `index` (borrowed; ends with NUL), NULL for any other value. */
const char *lua_error_text(lua_State *L, int index, double *timestamp);

#endif
