#include "dns/name.h"

#include "dns/idna.h"

enum {
    ROOM_FOR_LABELS = DNS_NAME_MAX - 1, /* what the root's byte leaves */
    FIRST_TARGET = 12,                  /* pointers into the header point at no name */
    POINTERS_MAX = 127,                 /* one for each label; more of them only make work (RFC 9267 section 2) */
    GOT_MAX = 64,                       /* bytes of a refused text that its reason quotes */
};

/* What dns_name_read and dns_name_skip have in common: `out` is NULL for the latter. A run is what stands between two
 * pointers; each lies wholly before the one that led to it, so the walk comes to an end, and a name needs no byte
 * behind its own last. */
static inline enum status walk(struct cursor *cursor, struct dns_name *out, struct reason *reason)
{
    const uint8_t *data = cursor->data;
    const size_t length = cursor->failed ? 0 : cursor->length, start = cursor->offset;
    size_t run = start, limit = length, at = start, behind = 0, total = 0;
    unsigned pointers = 0;
    const char *wrong;
    uint8_t name[DNS_NAME_MAX];

    for (;;) {
        if (at >= limit) {
            wrong = behind ? "points into itself" : "is cut off";
            goto failed;
        }
        const uint8_t label = data[at];
        if (label == 0)
            break;
        if (label <= DNS_LABEL_MAX) {
            at += label + 1u;
            if (total + (at - run) > ROOM_FOR_LABELS) {
                wrong = "is longer than 255 bytes";
                goto failed;
            }
            continue;
        }
        if (label < 0xc0) {
            wrong = "has a label of an unknown kind";
            goto failed;
        }
        if (limit - at < 2) {
            wrong = behind ? "points into itself" : "is cut off";
            goto failed;
        }
        const size_t target = load_u16(data + at) & 0x3fffu;
        if (target >= run) {
            wrong = target > at ? "points forward" : "points into itself";
            goto failed;
        }
        if (target < FIRST_TARGET) {
            wrong = "points into the header";
            goto failed;
        }
        if (++pointers > POINTERS_MAX) {
            wrong = "has more than 127 pointers";
            goto failed;
        }
        if (out)
            memcpy(name + total, data + run, at - run);
        total += at - run;
        if (behind == 0)
            behind = at + 2;
        limit = run;
        run = at = target;
    }
    at++;
    if (out) {
        memcpy(name + total, data + run, at - run);
        total += at - run;
        memcpy(out->wire, name, total);
        out->length = (uint8_t)total;
    }
    cursor->offset = behind ? behind : at;
    return STATUS_OK;

failed:
    cursor->failed = true;
    reason_set(reason, "name at offset %zu %s", start, wrong);
    return STATUS_MALFORMED;
}

enum status dns_name_read(struct cursor *cursor, struct dns_name *out, struct reason *reason)
{
    return walk(cursor, out, reason);
}

enum status dns_name_skip(struct cursor *cursor, struct reason *reason)
{
    const size_t end = cursor->failed ? 0 : dns_name_plain_end(cursor->data, cursor->length, cursor->offset);
    if (end > 0) {
        cursor->offset = end;
        return STATUS_OK;
    }
    return walk(cursor, NULL, reason);
}

size_t dns_name_wire_length(const uint8_t *wire, size_t length)
{
    size_t at = 0;
    if (length > DNS_NAME_MAX)
        length = DNS_NAME_MAX;
    while (at < length) {
        const uint8_t label = wire[at];
        if (label == 0)
            return at + 1;
        if (label > DNS_LABEL_MAX)
            return 0;
        at += label + 1u;
    }
    return 0;
}

/* --- text --- */

/* What each byte of a name is as text, in lower case; 0: it must be escaped. Plain are printable ASCII characters
 * except space and . \ " ( ) ; @ $ */
static const uint8_t plain_lower[0x100] = {
    [0x20] = 0,   '!', 0,   '#', 0,   '%', '&', '\'', 0,   0,   '*', '+', ',', '-', 0,   '/', /* */
    [0x30] = '0', '1', '2', '3', '4', '5', '6', '7',  '8', '9', ':', 0,   '<', '=', '>', '?', /* */
    [0x40] = 0,   'a', 'b', 'c', 'd', 'e', 'f', 'g',  'h', 'i', 'j', 'k', 'l', 'm', 'n', 'o', /* */
    [0x50] = 'p', 'q', 'r', 's', 't', 'u', 'v', 'w',  'x', 'y', 'z', '[', 0,   ']', '^', '_', /* */
    [0x60] = '`', 'a', 'b', 'c', 'd', 'e', 'f', 'g',  'h', 'i', 'j', 'k', 'l', 'm', 'n', 'o', /* */
    [0x70] = 'p', 'q', 'r', 's', 't', 'u', 'v', 'w',  'x', 'y', 'z', '{', '|', '}', '~',      /* */
};

static inline bool is_plain(uint8_t byte)
{
    return plain_lower[byte] != 0;
}

static inline bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Says what is wrong with a text, and quotes it: control bytes escaped, cut off between two characters. */
static enum status refuse(const char *text, size_t length, const char *wrong, struct reason *reason)
{
    char got[GOT_MAX + 8];
    size_t n = 0, at = 0;
    for (; at < length && n + 4 <= GOT_MAX; at++) {
        const uint8_t byte = (uint8_t)text[at];
        if (byte >= ' ' && byte != 0x7f) {
            got[n++] = text[at];
            continue;
        }
        got[n++] = '\\';
        got[n++] = (char)('0' + byte / 100);
        got[n++] = (char)('0' + byte / 10 % 10);
        got[n++] = (char)('0' + byte % 10);
    }
    if (at < length) {
        while (n > 0 && ((uint8_t)got[n - 1] & 0xc0) == 0x80)
            n--;
        if (n > 0 && (uint8_t)got[n - 1] >= 0xc0)
            n--;
    }
    reason_set(reason, "domain name expected, got '%.*s%s' (%s)", (int)n, got, at < length ? "..." : "", wrong);
    return STATUS_INVALID;
}

/* Reads one byte of a label, escaped or not, at text[*at] and moves behind it. NULL, or what is wrong. */
static const char *read_byte(const char *text, size_t length, size_t *at, uint8_t *out)
{
    const char *from = text + *at;
    const size_t left = length - *at;
    if (from[0] != '\\') {
        if (!is_plain((uint8_t)from[0]))
            return "character that must be escaped";
        *out = (uint8_t)from[0];
        *at += 1;
        return NULL;
    }
    if (left < 2)
        return "unfinished escape";
    if (!is_digit(from[1])) {
        *out = (uint8_t)from[1];
        *at += 2;
        return NULL;
    }
    if (left < 4 || !is_digit(from[2]) || !is_digit(from[3]))
        return "unfinished escape";
    const int value = (from[1] - '0') * 100 + (from[2] - '0') * 10 + (from[3] - '0');
    if (value > 255)
        return "escape above \\255";
    *out = (uint8_t)value;
    *at += 4;
    return NULL;
}

/* Text without escapes: each byte moves by one, and each dot becomes the length of the label behind it. False for all
 * else, and for what is wrong. */
static bool from_plain(const char *text, size_t length, struct dns_name *out)
{
    size_t label = 0; /* where the current label's length byte stands */
    if (length == 0 || length >= ROOM_FOR_LABELS)
        return false;
    for (size_t i = 0; i < length; i++) {
        const uint8_t byte = (uint8_t)text[i];
        out->wire[i + 1] = byte;
        if (is_plain(byte))
            continue;
        if (byte != '.' || i == label || i - label > DNS_LABEL_MAX)
            return false;
        out->wire[label] = (uint8_t)(i - label);
        label = i + 1;
    }
    const size_t last = length - label; /* 0: there was a final dot */
    if (last > DNS_LABEL_MAX)
        return false;
    out->wire[label] = (uint8_t)last;
    out->wire[length + (last > 0)] = 0;
    out->length = (uint8_t)(length + 1 + (last > 0));
    return true;
}

/* Text without bytes above 127. NULL, or what is wrong with it. */
static const char *from_ascii(const char *text, size_t length, struct dns_name *out)
{
    size_t label = 0, used = 1; /* where the current label's length byte stands, and where its next byte goes */
    if (length == 0 || (length == 1 && text[0] == '.')) {
        out->wire[0] = 0;
        out->length = 1;
        return NULL;
    }
    for (size_t at = 0; at < length;) {
        if (text[at] == '.') {
            if (used == label + 1)
                return "empty label";
            out->wire[label] = (uint8_t)(used - label - 1);
            label = used++;
            at++;
            continue;
        }
        if (used - label > DNS_LABEL_MAX)
            return "label longer than 63 bytes";
        if (used >= ROOM_FOR_LABELS)
            return "longer than 255 bytes";
        const char *wrong = read_byte(text, length, &at, &out->wire[used]);
        if (wrong)
            return wrong;
        used++;
    }
    if (used > label + 1) {
        out->wire[label] = (uint8_t)(used - label - 1);
        label = used++;
    }
    out->wire[label] = 0;
    out->length = (uint8_t)used;
    return NULL;
}

enum status dns_name_from_text(const char *text, size_t length, struct dns_name *out, struct reason *reason)
{
    struct dns_name name;
    struct buffer ascii = {0};
    bool plain = true;
    const char *wrong;
    enum status status = STATUS_OK;
    struct reason why;

    if (from_plain(text, length, &name)) {
        memcpy(out->wire, name.wire, name.length);
        out->length = name.length;
        return STATUS_OK;
    }
    for (size_t i = 0; i < length && plain; i++)
        plain = (uint8_t)text[i] < 0x80;
    if (plain) {
        wrong = from_ascii(text, length, &name);
    } else if (length > DNS_NAME_TEXT_MAX) {
        wrong = "longer than 255 bytes";
    } else {
        status = dns_idna_to_ascii(text, length, &ascii, &why);
        if (status == STATUS_NO_MEMORY)
            goto done;
        wrong = status == STATUS_OK ? from_ascii((const char *)ascii.data, ascii.length, &name) : why.text;
    }
    if (wrong) {
        status = refuse(text, length, wrong, reason);
        goto done;
    }
    memcpy(out->wire, name.wire, name.length);
    out->length = name.length;
done:
    buffer_free(&ascii);
    if (status == STATUS_NO_MEMORY)
        reason_set(reason, "out of memory");
    return status;
}

static inline char *write_byte(uint8_t byte, bool lower, char *to)
{
    if (is_plain(byte)) {
        *to++ = (char)(lower ? plain_lower[byte] : byte);
        return to;
    }
    *to++ = '\\';
    if (byte > ' ' && byte < 0x7f) {
        *to++ = (char)byte;
        return to;
    }
    *to++ = (char)('0' + byte / 100);
    *to++ = (char)('0' + byte / 10 % 10);
    *to++ = (char)('0' + byte % 10);
    return to;
}

/* The text, in lower case, of a name without bytes to be escaped; its length, or 0 for all others. */
static size_t plain_to_text(const uint8_t *wire, char *out)
{
    char *to = out;
    while (wire[0] != 0) {
        const uint8_t *const end = wire + wire[0] + 1;
        while (++wire < end) {
            const uint8_t plain = plain_lower[*wire];
            if (plain == 0)
                return 0;
            *to++ = (char)plain;
        }
        *to++ = '.';
    }
    if (to == out)
        return 0;
    *--to = '\0';
    return (size_t)(to - out);
}

size_t dns_name_to_text(const uint8_t *wire, unsigned style, char out[static DNS_NAME_TEXT_MAX])
{
    const bool lower = style & DNS_NAME_LOWER;
    char *to = out;
    const size_t plain = style == DNS_NAME_LOWER ? plain_to_text(wire, out) : 0;
    if (plain > 0)
        return plain;
    if (wire[0] == 0)
        *to++ = '.';
    while (wire[0] != 0) {
        const uint8_t *end = wire + wire[0] + 1;
        while (++wire < end)
            to = write_byte(*wire, lower, to);
        if (wire[0] != 0 || style & DNS_NAME_FINAL_DOT)
            *to++ = '.';
    }
    *to = '\0';
    return (size_t)(to - out);
}

/* --- comparing --- */

bool dns_name_equal(const uint8_t *a, const uint8_t *b)
{
    /* Length bytes are at most 63 and no letters: they compare like any other byte. */
    for (;;) {
        const uint8_t label = *a;
        if (label != *b)
            return false;
        if (label == 0)
            return true;
        for (size_t i = 1; i <= label; i++)
            if (a[i] != b[i] && dns_lower(a[i]) != dns_lower(b[i]))
                return false;
        a += label + 1u;
        b += label + 1u;
    }
}

static size_t count_labels(const uint8_t *wire)
{
    size_t count = 0;
    for (; *wire != 0; wire += *wire + 1u)
        count++;
    return count;
}

bool dns_name_is_subdomain(const uint8_t *name, const uint8_t *parent)
{
    const size_t labels = count_labels(name), parents = count_labels(parent);
    if (labels < parents)
        return false;
    for (size_t i = labels - parents; i > 0; i--)
        name += *name + 1u;
    return dns_name_equal(name, parent);
}
