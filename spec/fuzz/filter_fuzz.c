/* Any text as a filter: it is refused with a reason that says where, or it judges flows. */
#include "flow/filter.h"
#include "messages.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void judge(struct filter *filter)
{
    static const uint8_t wire[] =
        "\x12\x34\x81\x80\0\1\0\1\0\0\0\0\1a\7example\0\0\1\0\1\xc0\x0c\0\1\0\1\0\0\0\1\0\4\1\2\3\4";
    struct flow flow = {.reply_to = {.client = {.family = AF_INET}}, .comment = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
    filter_matches(filter, &flow);
    MUST(!flow_message_set(&flow.query, wire, sizeof wire - 1, 0, NULL));
    MUST(!flow_message_set(&flow.response, wire, sizeof wire - 1, 0, NULL));
    bool matched = filter_matches(filter, &flow);
    MUST(filter_matches(filter, &flow) == matched);
    flow_message_free(&flow.query);
    flow_message_free(&flow.response);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct filter *filter;
    struct reason reason = {""};
    char *text = malloc(size + 1);
    if (!text)
        return 0;
    if (size)
        memcpy(text, data, size);
    text[size] = '\0';
    if (filter_parse(text, &filter, &reason)) {
        MUST(!strncmp(reason.text, "filter: ", 8));
    } else {
        judge(filter);
        filter_free(filter);
    }
    free(text);
    return 0;
}
