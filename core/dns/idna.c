#include "dns/idna.h"

#include "dns/name.h"

#include <idn2.h>

enum {
    FLAGS = IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL,
    LABEL_TEXT_MAX = 4 * DNS_NAME_TEXT_MAX, /* bytes of one label's UTF-8: more cannot come to 63 */
};

static bool is_ascii(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if ((uint8_t)text[i] >= 0x80)
            return false;
    return true;
}

/* Where the label at text[0] ends: at an unescaped dot, or at the text's end. */
static size_t label_end(const char *text, size_t length)
{
    size_t at = 0;
    while (at < length && text[at] != '.')
        at += text[at] == '\\' && length - at > 1 ? 2 : 1;
    return at;
}

static enum status label_to_ascii(const char *label, size_t length, struct buffer *out, struct reason *reason)
{
    char text[LABEL_TEXT_MAX];
    char *ascii = NULL;
    if (length >= sizeof text) {
        reason_set(reason, "label longer than 63 bytes");
        return STATUS_INVALID;
    }
    for (size_t i = 0; i < length; i++)
        if ((uint8_t)label[i] <= ' ' || label[i] == 0x7f || label[i] == '\\') {
            reason_set(reason, "escapes, spaces and control characters do not go with letters beyond ASCII");
            return STATUS_INVALID;
        }
    memcpy(text, label, length);
    text[length] = '\0';
    const int result = idn2_to_ascii_8z(text, &ascii, FLAGS);
    if (result == IDN2_MALLOC)
        return STATUS_NO_MEMORY;
    if (result != IDN2_OK) {
        reason_set(reason, "%s", result == IDN2_ENCODING_ERROR ? "not UTF-8" : idn2_strerror(result));
        return STATUS_INVALID;
    }
    /* What is ignored in names (a soft hyphen) can be all there is of one. */
    if (ascii[0] == '\0') {
        idn2_free(ascii);
        reason_set(reason, "empty label");
        return STATUS_INVALID;
    }
    buffer_text(out, ascii);
    idn2_free(ascii);
    return buffer_status(out);
}

enum status dns_idna_to_ascii(const char *text, size_t length, struct buffer *out, struct reason *reason)
{
    const size_t mark = out->length;
    for (size_t at = 0; at < length;) {
        const char *label = text + at;
        const size_t n = label_end(label, length - at);
        if (is_ascii(label, n)) {
            buffer_append(out, label, n);
        } else {
            const enum status status = label_to_ascii(label, n, out, reason);
            if (status != STATUS_OK) {
                out->length = mark;
                return status;
            }
        }
        at += n;
        if (at < length) {
            buffer_u8(out, '.');
            at++;
        }
    }
    return buffer_status(out);
}

static bool has_ace_prefix(const char *label, size_t length)
{
    return length > 4 && dns_lower((uint8_t)label[0]) == 'x' && dns_lower((uint8_t)label[1]) == 'n' &&
           label[2] == '-' && label[3] == '-';
}

/* Whether the U-label gives the A-label (in lower case) back: only then do the two name the same. */
static bool is_its_own_inverse(const char *unicode, const char *ascii)
{
    char *back = NULL;
    if (idn2_to_ascii_8z(unicode, &back, FLAGS) != IDN2_OK)
        return false;
    const bool same = strcmp(ascii, back) == 0;
    idn2_free(back);
    return same;
}

static void label_to_unicode(const char *label, size_t length, struct buffer *out)
{
    char ascii[DNS_LABEL_MAX + 1];
    char *unicode = NULL;
    if (!has_ace_prefix(label, length) || length > DNS_LABEL_MAX || memchr(label, '\0', length)) {
        buffer_append(out, label, length);
        return;
    }
    for (size_t i = 0; i < length; i++) /* RFC 5891 section 5.3: an A-label is looked at in lower case */
        ascii[i] = (char)dns_lower((uint8_t)label[i]);
    ascii[length] = '\0';
    if (idn2_to_unicode_8z8z(ascii, &unicode, FLAGS) == IDN2_OK && is_its_own_inverse(unicode, ascii))
        buffer_text(out, unicode);
    else
        buffer_append(out, label, length);
    idn2_free(unicode);
}

enum status dns_idna_to_unicode(const char *text, size_t length, struct buffer *out, struct reason *reason)
{
    for (size_t at = 0; at < length;) {
        const size_t n = label_end(text + at, length - at);
        label_to_unicode(text + at, n, out);
        at += n;
        if (at < length) {
            buffer_u8(out, '.');
            at++;
        }
    }
    if (out->failed)
        reason_set(reason, "out of memory");
    return buffer_status(out);
}
