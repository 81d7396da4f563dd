/* Which headers may be set. */
#include "net/http/client.h"

#include <string.h>
#include <strings.h>

static bool is_token(const char *text, size_t length)
{
    static const char marks[] = "!#$%&'*+-.^_`|~";
    for (size_t i = 0; i < length; i++) {
        char byte = text[i];
        bool plain = (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
        if (!plain && (byte == '\0' || !strchr(marks, byte)))
            return false;
    }
    return length > 0;
}

enum status http_header_check(const char *name, size_t name_length, const char *value, size_t value_length,
                              struct reason *reason)
{
    static const char *const own[] = {"Content-Length", "Transfer-Encoding", "Connection", "Expect", "Upgrade"};
    if (!is_token(name, name_length)) {
        reason_set(reason, "a header's name is letters, digits and '-'");
        return STATUS_INVALID;
    }
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
        if (strcasecmp(own[i], name) == 0) {
            reason_set(reason, "the header %s cannot be set", own[i]);
            return STATUS_INVALID;
        }
    }
    for (size_t i = 0; i < value_length; i++) {
        unsigned char byte = (unsigned char)value[i];
        if ((byte < ' ' && byte != '\t') || byte == 0x7f) {
            reason_set(reason, "the header %s may not hold control bytes such as line ends", name);
            return STATUS_INVALID;
        }
    }
    return STATUS_OK;
}
