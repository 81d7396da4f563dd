/* A config file's text, then every option made of it. What is accepted must tell its values as JSON. */
#include "proxy/options_table.h"

#include <cjson/cJSON.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct options options = {0};
    struct option_set set = {.arena = &options.arena};
    struct reason reason = {""};
    char *text = malloc(size + 1);
    if (!text)
        return 0;
    if (size)
        memcpy(text, data, size);
    text[size] = '\0';
    enum status status = options_config_read(&set, "config", text, size, &reason);
    if (!status)
        status = options_set_complete(&set, &reason);
    if (!status)
        status = options_from_set(&set, &options, &reason);
    if (status && !reason.text[0])
        abort();
    for (const struct options_value *value = options.values; !status && value->name; value++) {
        cJSON *json = cJSON_Parse(value->value);
        if (!json)
            abort();
        cJSON_Delete(json);
    }
    free(text);
    options_free(&options);
    return 0;
}
