/* LOC's text (RFC 1876 section 3), which is nothing like its fields:
 * d1 [m1 [s1]] {N|S} d2 [m2 [s2]] {E|W} alt[m] [size[m] [horiz_pre[m] [vert_pre[m]]]] */
#include "dns/rdata/layout.h"

#include <stdlib.h>

enum {
    LOC_SIZE = 16,
    SIZE_AT = 1, /* then horiz_pre, vert_pre */
    LATITUDE_AT = 4,
    LONGITUDE_AT = 8,
    ALTITUDE_AT = 12,
    PRECISIONS = 3,
    MS_PER_DEGREE = 3600000, /* thousandths of a second of arc */
    MS_PER_MINUTE = 60000,
    ALTITUDE_BASE_CM = 10000000,
};

#define EQUATOR INT64_C(0x80000000)

/* 1 m, 10 km, 10 m: centimetres as a digit and a power of ten. */
static const uint8_t default_precisions[PRECISIONS] = {0x12, 0x16, 0x13};

static bool is_precision(uint8_t byte)
{
    return byte >> 4 <= 9 && (byte & 15) <= 9 && (byte >> 4 > 0 || byte == 0);
}

static bool is_angle(uint32_t wire, int64_t degrees)
{
    return llabs((int64_t)wire - EQUATOR) <= degrees * MS_PER_DEGREE;
}

bool dns_loc_check(const uint8_t *data, size_t length)
{
    return length == LOC_SIZE && data[0] == 0 && is_precision(data[SIZE_AT]) && is_precision(data[SIZE_AT + 1]) &&
           is_precision(data[SIZE_AT + 2]) && is_angle(load_u32(data + LATITUDE_AT), 90) &&
           is_angle(load_u32(data + LONGITUDE_AT), 180);
}

enum status dns_loc_refuse(const uint8_t *data, struct reason *reason)
{
    static const char *const precisions[PRECISIONS] = {"size", "horiz_pre", "vert_pre"};
    static const struct {
        const char *name;
        int64_t degrees;
        size_t at;
    } angles[] = {{"latitude", 90, LATITUDE_AT}, {"longitude", 180, LONGITUDE_AT}};
    if (data[0] != 0) {
        reason_set(reason, "version: 0 expected, got %u", (unsigned)data[0]);
        return STATUS_INVALID;
    }
    for (size_t i = 0; i < PRECISIONS; i++) {
        if (is_precision(data[SIZE_AT + i]))
            continue;
        reason_set(reason, "%s: 16 times a digit and a power of ten, both up to 9, expected, got %u", precisions[i],
                   (unsigned)data[SIZE_AT + i]);
        return STATUS_INVALID;
    }
    for (size_t i = 0; i < sizeof angles / sizeof angles[0]; i++) {
        const uint32_t angle = load_u32(data + angles[i].at);
        const int64_t most = angles[i].degrees * MS_PER_DEGREE;
        if (is_angle(angle, angles[i].degrees))
            continue;
        reason_set(reason, "%s: integer from %lld to %lld expected, got %u", angles[i].name,
                   (long long)(EQUATOR - most), (long long)(EQUATOR + most), (unsigned)angle);
        return STATUS_INVALID;
    }
    reason_set(reason, "values do not fit together");
    return STATUS_INVALID;
}

static void print_angle(uint32_t wire, const char *hemispheres, struct buffer *out)
{
    int64_t angle = (int64_t)wire - EQUATOR;
    char hemisphere = hemispheres[angle < 0];
    unsigned ms = (unsigned)llabs(angle);
    buffer_format(out, "%u %u %u.%03u %c ", ms / MS_PER_DEGREE, ms % MS_PER_DEGREE / MS_PER_MINUTE,
                  ms % MS_PER_MINUTE / 1000, ms % 1000, hemisphere);
}

static int64_t precision_cm(uint8_t byte)
{
    int64_t cm = byte >> 4;
    for (unsigned i = 0; i < (byte & 15U); i++)
        cm *= 10;
    return cm;
}

static void print_metres(int64_t cm, struct buffer *out)
{
    buffer_format(out, "%s%lld.%02lldm", cm < 0 ? "-" : "", llabs(cm) / 100, llabs(cm) % 100);
}

void dns_loc_print(const uint8_t *data, struct buffer *out)
{
    print_angle(load_u32(data + LATITUDE_AT), "NS", out);
    print_angle(load_u32(data + LONGITUDE_AT), "EW", out);
    print_metres((int64_t)load_u32(data + ALTITUDE_AT) - ALTITUDE_BASE_CM, out);
    if (memcmp(data + SIZE_AT, default_precisions, PRECISIONS) == 0)
        return;
    for (unsigned i = 0; i < PRECISIONS; i++) {
        buffer_u8(out, ' ');
        print_metres(precision_cm(data[SIZE_AT + i]), out);
    }
}

/* A decimal number with at most `places` digits behind its point, as an integer of that many places; an "m" at its end
 * is left out. False for anything else. */
static bool parse_decimal(const struct dns_token *word, unsigned places, int64_t *out)
{
    const char *at = word->text, *end = word->text + word->length;
    bool negative = at < end && *at == '-', digits = false;
    int64_t number = 0;
    for (at += negative; at < end && *at >= '0' && *at <= '9'; at++, digits = true) {
        if (number > UINT32_MAX)
            return false;
        number = number * 10 + (*at - '0');
    }
    bool point = at < end && *at == '.';
    for (at += point; places > 0; places--) {
        bool more = point && at < end && *at >= '0' && *at <= '9';
        number = number * 10 + (more ? *at++ - '0' : 0);
        digits = digits || more;
    }
    *out = negative ? -number : number;
    return digits && at == end;
}

static bool parse_metres(struct dns_token word, int64_t *out)
{
    if (word.length > 1 && dns_lower((uint8_t)word.text[word.length - 1]) == 'm')
        word.length--;
    return parse_decimal(&word, 2, out);
}

/* The hemisphere's sign, or 0 when the word names none. */
static int hemisphere_sign(const struct dns_token *word, const char *hemispheres)
{
    if (word->length != 1)
        return 0;
    char letter = (char)(word->text[0] & ~0x20);
    return letter == hemispheres[0] ? 1 : letter == hemispheres[1] ? -1 : 0;
}

static enum status next_word(struct dns_scanner *scanner, struct dns_token *word, const char *expected,
                             struct reason *reason)
{
    enum status status = dns_scanner_next(scanner, word, reason);
    if (status != STATUS_NOT_FOUND)
        return status;
    reason_set(reason, "%s expected, got nothing", expected);
    return STATUS_INVALID;
}

static enum status scan_angle(struct dns_scanner *scanner, const char *name, const char *hemispheres, int64_t degrees,
                              uint32_t *out, struct reason *reason)
{
    static const struct {
        int64_t unit, below;
        unsigned places;
    } parts[] = {{MS_PER_DEGREE, 181, 0}, {MS_PER_MINUTE, 60, 0}, {1, 60000, 3}};
    int64_t angle = 0;
    struct dns_token word;
    for (size_t i = 0; i <= sizeof parts / sizeof parts[0]; i++) {
        int64_t number;
        enum status status = next_word(scanner, &word, name, reason);
        if (status)
            return status;
        int sign = hemisphere_sign(&word, hemispheres);
        if (i > 0 && sign && angle <= degrees * MS_PER_DEGREE) {
            *out = (uint32_t)(EQUATOR + sign * angle);
            return STATUS_OK;
        }
        if (i == sizeof parts / sizeof parts[0] || !parse_decimal(&word, parts[i].places, &number) || number < 0 ||
            number >= parts[i].below)
            break;
        angle += number * parts[i].unit;
    }
    return dns_word_refuse(&word, name, reason);
}

/* Centimetres as a digit and a power of ten; false when they are too many. What does not fit the digit is cut off. */
static bool precision_from_cm(int64_t cm, uint8_t *out)
{
    unsigned exponent = 0;
    for (; cm > 9; cm /= 10)
        exponent++;
    *out = (uint8_t)((uint64_t)cm << 4 | exponent);
    return cm >= 0 && exponent <= 9;
}

enum status dns_loc_scan(struct dns_scanner *scanner, struct buffer *out, struct reason *reason)
{
    uint8_t data[LOC_SIZE] = {0};
    uint32_t latitude, longitude;
    int64_t metres;
    struct dns_token word;
    memcpy(data + SIZE_AT, default_precisions, PRECISIONS);
    enum status status = scan_angle(scanner, "latitude up to 90 degrees", "NS", 90, &latitude, reason);
    if (status == STATUS_OK)
        status = scan_angle(scanner, "longitude up to 180 degrees", "EW", 180, &longitude, reason);
    if (status == STATUS_OK)
        status = next_word(scanner, &word, "altitude", reason);
    if (status)
        return status;
    if (!parse_metres(word, &metres) || metres < -ALTITUDE_BASE_CM || metres + ALTITUDE_BASE_CM > UINT32_MAX)
        return dns_word_refuse(&word, "altitude", reason);
    store_u32(data + LATITUDE_AT, latitude);
    store_u32(data + LONGITUDE_AT, longitude);
    store_u32(data + ALTITUDE_AT, (uint32_t)(metres + ALTITUDE_BASE_CM));
    for (unsigned i = 0; i < PRECISIONS; i++) {
        status = dns_scanner_next(scanner, &word, reason);
        if (status == STATUS_NOT_FOUND)
            break;
        if (status)
            return status;
        if (!parse_metres(word, &metres) || !precision_from_cm(metres, data + SIZE_AT + i))
            return dns_word_refuse(&word, "size or precision in metres", reason);
    }
    buffer_append(out, data, sizeof data);
    return STATUS_OK;
}
