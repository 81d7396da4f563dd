/* A flow as JSON: {id, type, request, response, error, client_conn, server_conn, …}. */
#ifndef MOONDNS_FLOW_FLOW_JSON_H
#define MOONDNS_FLOW_FLOW_JSON_H

#include "flow/flow.h"

#include <cjson/cJSON.h>

/* An object that the caller owns; NULL when there is no memory. Keys: type "dns", id, timestamp_created (seconds),
 * live, intercepted, is_replay, marked, comment, metadata (object), client_conn {address, port, transport,
 * timestamp_start, peername: [address, port]}, server_conn (the same, or null), request, response (message JSON or
 * null), error ({msg, timestamp} or null). */
cJSON *flow_to_json(const struct flow *flow);

#endif
