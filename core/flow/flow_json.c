#include "flow/flow_json.h"

#include "base/clock.h"
#include "dns/json.h"

/* Puts an item into an object and gives it; NULL when there is no memory, for it or for the item. */
static cJSON *put(cJSON *object, const char *key, cJSON *item)
{
    if (!object || !item || !cJSON_AddItemToObject(object, key, item)) {
        cJSON_Delete(item);
        return NULL;
    }
    return item;
}

static cJSON *put_text(cJSON *object, const char *key, const char *text)
{
    return put(object, key, cJSON_CreateString(text ? text : ""));
}

static cJSON *put_number(cJSON *object, const char *key, double number)
{
    return put(object, key, cJSON_CreateNumber(number));
}

static cJSON *put_bool(cJSON *object, const char *key, bool value)
{
    return put(object, key, cJSON_CreateBool(value));
}

/* One side's {address, port, transport, timestamp_start, peername}. */
static cJSON *connection_json(const struct address *address, enum transport transport, int64_t start_us)
{
    char ip[ADDRESS_TEXT_MAX];
    address_ip_text(address, ip);
    cJSON *connection = cJSON_CreateObject();
    cJSON *peername = put(connection, "peername", cJSON_CreateArray());
    cJSON *host = cJSON_CreateString(ip), *port = cJSON_CreateNumber(address->port);
    bool ok = peername && host && port;
    if (ok) {
        cJSON_AddItemToArray(peername, host);
        cJSON_AddItemToArray(peername, port);
    } else {
        cJSON_Delete(host);
        cJSON_Delete(port);
    }
    if (ok && put_text(connection, "address", ip) && put_number(connection, "port", address->port) &&
        put_text(connection, "transport", transport_name(transport)) &&
        put_number(connection, "timestamp_start", clock_seconds(start_us)))
        return connection;
    cJSON_Delete(connection);
    return NULL;
}

static cJSON *server_json(const struct flow *flow)
{
    return flow->asked ? connection_json(&flow->server, flow->server_transport, flow->asked_us) : cJSON_CreateNull();
}

static cJSON *message_json(const struct flow_message *message)
{
    if (!message->present)
        return cJSON_CreateNull();
    return dns_message_to_json(&message->view, clock_seconds(message->timestamp_us));
}

static cJSON *error_json(const struct flow *flow)
{
    if (!flow->error[0])
        return cJSON_CreateNull();
    cJSON *error = cJSON_CreateObject();
    if (put_text(error, "msg", flow->error) && put_number(error, "timestamp", clock_seconds(flow->error_us)))
        return error;
    cJSON_Delete(error);
    return NULL;
}

/* The script's notes; what is no object counts as an empty one. */
static cJSON *metadata_json(const struct flow *flow)
{
    cJSON *metadata = flow->metadata ? cJSON_Parse(flow->metadata) : NULL;
    if (!cJSON_IsObject(metadata)) {
        cJSON_Delete(metadata);
        metadata = cJSON_CreateObject();
    }
    if (flow->cache_hit && !cJSON_HasObjectItem(metadata, "cache_hit"))
        cJSON_AddTrueToObject(metadata, "cache_hit");
    return metadata;
}

cJSON *flow_to_json(const struct flow *flow)
{
    char id[FLOW_ID_MAX];
    const struct reply_to *from = &flow->reply_to;
    cJSON *json = cJSON_CreateObject();
    if (put_text(json, "id", flow_id(flow, id)) && put_text(json, "type", "dns") &&
        put_number(json, "timestamp_created", clock_seconds(flow->created_us)) &&
        put_bool(json, "live", flow->finished_us == 0) && put_bool(json, "intercepted", flow->intercepted) &&
        put_bool(json, "is_replay", flow->is_replay) && put_text(json, "marked", flow->marked) &&
        put_text(json, "comment", flow->comment) && put(json, "metadata", metadata_json(flow)) &&
        put(json, "client_conn", connection_json(&from->client, from->transport, from->connected_us)) &&
        put(json, "server_conn", server_json(flow)) && put(json, "request", message_json(flow_request(flow))) &&
        put(json, "response", message_json(&flow->response)) && put(json, "error", error_json(flow)))
        return json;
    cJSON_Delete(json);
    return NULL;
}
