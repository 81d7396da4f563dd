/* A message that was unpacked is packed and unpacked again: nothing is lost, and packing once is enough. */
#include "messages.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct dns_message first, second;
    struct buffer packed = {0}, again = {0};
    bool equal = false;
    if (dns_message_parse(data, size, &first, NULL) != STATUS_OK)
        return 0;
    if (pack(&first, &packed) == STATUS_OK) {
        MUST(packed.length <= DNS_MESSAGE_MAX);
        MUST(dns_message_parse(packed.data, packed.length, &second, NULL) == STATUS_OK);
        MUST(dns_message_equal(&first, &second, &equal) == STATUS_OK);
        MUST(equal);
        MUST(pack(&second, &again) == STATUS_OK);
        MUST(again.length == packed.length && memcmp(again.data, packed.data, packed.length) == 0);
    }
    buffer_free(&again);
    buffer_free(&packed);
    return 0;
}
