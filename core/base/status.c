#include "base/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void reason_set(struct reason *reason, const char *format, ...)
{
    if (!reason)
        return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(reason->text, sizeof reason->text, format, arguments);
    va_end(arguments);
}

void reason_prefix(struct reason *reason, const char *format, ...)
{
    if (!reason)
        return;
    char text[sizeof reason->text];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (length < 0 || (size_t)length >= sizeof text)
        return;
    size_t room = sizeof text - (size_t)length - 1, tail = strlen(reason->text);
    if (tail > room)
        tail = room;
    memcpy(text + length, reason->text, tail);
    text[(size_t)length + tail] = '\0';
    memcpy(reason->text, text, (size_t)length + tail + 1);
}

void reason_append(struct reason *reason, const char *format, ...)
{
    if (!reason)
        return;
    const size_t length = strlen(reason->text);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(reason->text + length, sizeof reason->text - length, format, arguments);
    va_end(arguments);
}
