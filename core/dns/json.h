/* Records and messages as JSON, by cJSON; the keys are mitmproxy's. */
#ifndef MOONDNS_DNS_JSON_H
#define MOONDNS_DNS_JSON_H

#include "dns/message.h"
#include "dns/text.h"

#include <cjson/cJSON.h>

/* Each gives an object that the caller owns (cJSON_Delete); NULL when there is no memory. */
cJSON *dns_question_to_json(const struct dns_question *question);
cJSON *dns_record_to_json(const struct dns_record *record);

/* `timestamp` in seconds; left out when negative. */
cJSON *dns_message_to_json(const struct dns_message *message, double timestamp);

/* SVCB and HTTPS data as {priority, target_name, params by name}; NULL when it does not fit, or holds text that is not
 * UTF-8. And back: appends data. */
cJSON *dns_svcb_to_json(const uint8_t *data, size_t length);
MUST_CHECK enum status dns_svcb_from_json(const cJSON *json, struct buffer *out, struct reason *reason);

/* The way back; borrow `json`. What `out` points to lies in `storage`, which is cleared first. Reasons name the
 * attribute: "ResourceRecord.ttl: integer from 0 to 2147483647 expected, got 'soon'". */
MUST_CHECK enum status dns_question_from_json(const cJSON *json, struct buffer *storage, struct dns_question *out,
                                              struct reason *reason);
MUST_CHECK enum status dns_record_from_json(const cJSON *json, struct buffer *storage, struct dns_record *out,
                                            struct reason *reason);

/* Appends the packed message; `timestamp` is -1 when there is none. Every key may be missing: `id` is 0 then, `query`
 * and `recursion_desired` are true. size and status_code are ignored. A response code's upper bits go into the OPT
 * record, which must be there for them. */
MUST_CHECK enum status dns_message_from_json(const cJSON *json, struct buffer *wire, double *timestamp,
                                             struct reason *reason);

/* Adds `item` under `key` (NULL: to an array); takes it, and frees it where that fails. False also for a NULL item. */
bool json_add(cJSON *to, const char *key, cJSON *item);

#endif
