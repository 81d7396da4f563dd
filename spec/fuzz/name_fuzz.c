/* Names: text to wire to text, and wire to text to wire, must come back; IDNA must take anything. */
#include "dns/idna.h"
#include "dns/name.h"

#include <stdio.h>
#include <stdlib.h>

#define MUST(condition)                                                     \
    do {                                                                    \
        if (!(condition)) {                                                 \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
            abort();                                                        \
        }                                                                   \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The name's text gives the name, in every style. */
static void must_come_back(const struct dns_name *name)
{
    char text[DNS_NAME_TEXT_MAX];
    struct dns_name back;
    MUST(dns_name_wire_length(name->wire, name->length) == name->length);
    for (unsigned style = 0; style < 4; style++) {
        const size_t length = dns_name_to_text(name->wire, style, text);
        MUST(length == strlen(text) && length < sizeof text);
        MUST(dns_name_from_text(text, length, &back, NULL) == STATUS_OK);
        MUST(back.length == name->length && dns_name_equal(back.wire, name->wire));
        MUST(style & DNS_NAME_LOWER || memcmp(back.wire, name->wire, name->length) == 0);
    }
    MUST(dns_name_is_subdomain(name->wire, name->wire));
    MUST(dns_name_is_subdomain(name->wire, (const uint8_t *)""));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct dns_name name;
    struct reason reason = {""};
    struct buffer out = {0};
    const char *text = (const char *)data;

    if (dns_name_from_text(text, size, &name, &reason) == STATUS_OK)
        must_come_back(&name);
    else
        MUST(reason.text[0] != '\0');

    /* The same bytes as a message whose last name starts at a place of the input's choosing. */
    if (size > 0) {
        struct cursor reading = {.data = data, .length = size, .offset = data[0] % size}, skipping = reading;
        const enum status status = dns_name_read(&reading, &name, NULL);
        MUST(status == dns_name_skip(&skipping, NULL));
        MUST(status != STATUS_OK || reading.offset == skipping.offset);
        if (status == STATUS_OK)
            must_come_back(&name);
    }

    MUST(dns_idna_to_unicode(text, size, &out, &reason) == STATUS_OK);
    buffer_clear(&out);
    if (dns_idna_to_ascii(text, size, &out, &reason) == STATUS_OK)
        for (size_t i = 0; i < out.length; i++)
            MUST(out.data[i] < 0x80);
    else
        MUST(out.length == 0);
    buffer_free(&out);
    return 0;
}
