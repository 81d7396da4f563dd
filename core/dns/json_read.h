/* Reading JSON strictly, with reasons that name the attribute. Private to the codec. */
#ifndef MOONDNS_DNS_JSON_READ_H
#define MOONDNS_DNS_JSON_READ_H

#include "dns/json.h"

/* "EXPECTED expected, got 'x'"; gives STATUS_INVALID. `json` NULL is a key that is missing. */
enum status json_refuse(const cJSON *json, const char *expected, struct reason *reason);

/* An object all of whose keys are in `keys` (ended by NULL), each once. Reasons name the class. */
MUST_CHECK enum status json_check_object(const cJSON *json, const char *class, const char *const *keys,
                                         struct reason *reason);

MUST_CHECK enum status json_integer(const cJSON *json, double least, double most, double *out, struct reason *reason);
MUST_CHECK enum status json_boolean(const cJSON *json, bool *out, struct reason *reason);

/* A number up to `most` or a registered name. */
MUST_CHECK enum status json_registered(const cJSON *json, enum dns_registry registry, uint16_t most, uint16_t *out,
                                       struct reason *reason);

/* A name, appended as wire bytes. */
MUST_CHECK enum status json_name(const cJSON *json, struct buffer *out, uint8_t *length, struct reason *reason);

/* --- writing --- */

/* Adds text of any length, or nothing (false) when it is not whole UTF-8 or holds a NUL, which JSON's text here cannot.
 */
bool json_is_text(const uint8_t *text, size_t length);
cJSON *json_from_text(const uint8_t *text, size_t length);

#endif
