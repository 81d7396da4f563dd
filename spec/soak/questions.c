#include "questions.h"

#include <stdio.h>
#include <string.h>

enum {
    HEADER_SIZE = 12,
    RCODE_NOERROR = 0,
    RCODE_FORMERR = 1,
    RCODE_SERVFAIL = 2,
    RCODE_NXDOMAIN = 3,
    TYPE_A = 1,
    TYPE_TXT = 16,
    FLAG_QR = 0x80,
    FLAG_TC = 0x02,
    BIG_ANSWER = 1500, /* the TXT record is longer than this, and than any client over UDP takes */
    OPT_SIZE = 11,
};

static const uint8_t opt_record[OPT_SIZE] = {0, 0, 41, 1232 >> 8, 1232 & 0xff};

/* The names are LETTER and five digits, then `suffix`. An A record's address is FIRST.SECOND and the number. Names and
 * networks are those of the zone in run.lua and of work.lua. */
static const struct kind {
    char letter;
    const char *suffix;
    uint16_t type;
    bool upstream; /* SERVFAIL will do while the upstream is dead */
    uint8_t rcode;
    uint8_t first, second;
    unsigned weight;
} kinds[] = {
    {'h', "example.com", TYPE_A, true, RCODE_NOERROR, 10, 1, 48},     /* forwarded */
    {'n', "example.com", TYPE_A, true, RCODE_NXDOMAIN, 0, 0, 6},      /* forwarded, and not there */
    {'t', "example.com", TYPE_TXT, true, RCODE_NOERROR, 0, 0, 3},     /* too large for UDP */
    {'w', "example.com", TYPE_A, true, RCODE_NOERROR, 127, 2, 8},     /* a response hook rewrites the address */
    {'e', "example.com", TYPE_A, true, RCODE_NOERROR, 10, 3, 3},      /* a request hook raises an error */
    {'r', "resolve.test", TYPE_A, true, RCODE_NOERROR, 10, 1, 6},     /* a request hook asks the upstream */
    {'m', "malware.example", TYPE_A, false, RCODE_NXDOMAIN, 0, 0, 7}, /* scripts/block.lua */
    {'b', "blocked.example", TYPE_A, false, RCODE_NXDOMAIN, 0, 0, 7}, /* scripts/blocklist.lua */
    {'s', "sleep.test", TYPE_A, false, RCODE_NOERROR, 127, 3, 4},     /* a request hook sleeps */
    {'c', "count.test", TYPE_A, false, RCODE_NOERROR, 127, 4, 4},     /* one that counts in the shared store */
    {'v', "version.test", TYPE_A, false, RCODE_NOERROR, 127, 5, 4},   /* its TTL is the script's version */
};
enum { KINDS = sizeof kinds / sizeof *kinds, VERSION_KIND = KINDS - 1 };

uint32_t random_below(uint64_t *state, uint32_t limit)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return (uint32_t)((*state >> 32) * limit >> 32);
}

struct question question_draw(uint64_t *state)
{
    unsigned sum = 0, chosen = 0;
    for (size_t i = 0; i < KINDS; i++)
        sum += kinds[i].weight;
    for (unsigned at = random_below(state, sum); at >= kinds[chosen].weight; chosen++)
        at -= kinds[chosen].weight;
    return (struct question){.kind = (uint8_t)chosen,
                             .edns = random_below(state, 2),
                             .number = (uint16_t)random_below(state, QUESTION_NUMBERS)};
}

static void put_u16(uint8_t *out, unsigned value)
{
    out[0] = (uint8_t)(value >> 8);
    out[1] = (uint8_t)value;
}

static unsigned get_u16(const uint8_t *bytes)
{
    return (unsigned)(bytes[0] << 8 | bytes[1]);
}

/* Odd numbers have a capital letter: the answer must have it too. */
static size_t write_question(struct question question, uint8_t *out)
{
    const struct kind *kind = &kinds[question.kind];
    char text[64];
    int letter = question.number % 2 ? kind->letter - 'a' + 'A' : kind->letter;
    snprintf(text, sizeof text, "%c%05u.%s", letter, (unsigned)question.number, kind->suffix);
    size_t at = 0;
    for (const char *label = text;; label++) {
        size_t length = strcspn(label, ".");
        out[at++] = (uint8_t)length;
        memcpy(out + at, label, length);
        at += length;
        label += length;
        if (!*label)
            break;
    }
    out[at++] = 0;
    put_u16(out + at, kind->type);
    put_u16(out + at + 2, 1);
    return at + 4;
}

size_t question_write(struct question question, uint16_t id, uint8_t *out)
{
    memset(out, 0, HEADER_SIZE);
    put_u16(out, id);
    out[2] = 1;
    out[5] = 1;
    size_t length = HEADER_SIZE + write_question(question, out + HEADER_SIZE);
    if (question.edns) {
        out[11] = 1;
        memcpy(out + length, opt_record, OPT_SIZE);
        length += OPT_SIZE;
    }
    return length;
}

/* The place behind the name at `at`, or `length` where it does not end. */
static size_t skip_name(const uint8_t *bytes, size_t length, size_t at)
{
    while (at < length && bytes[at]) {
        if (bytes[at] >= 0xc0)
            return at + 2;
        at += bytes[at] + 1u;
    }
    return at < length ? at + 1 : length;
}

static bool has_address(struct question question, const uint8_t *answer, size_t length, size_t at, uint32_t *version)
{
    const struct kind *kind = &kinds[question.kind];
    at = skip_name(answer, length, at);
    if (get_u16(answer + 6) != 1 || length - at < 14 || get_u16(answer + at) != TYPE_A || get_u16(answer + at + 8) != 4)
        return false;
    const uint8_t address[4] = {kind->first, kind->second, (uint8_t)(question.number >> 8), (uint8_t)question.number};
    if (memcmp(answer + at + 10, address, sizeof address) != 0)
        return false;
    if (question.kind == VERSION_KIND)
        *version = (uint32_t)(get_u16(answer + at + 4) << 16 | get_u16(answer + at + 6));
    return true;
}

enum verdict answer_judge(struct question question, bool stream, const uint8_t *answer, size_t length,
                          uint32_t *version)
{
    const struct kind *kind = &kinds[question.kind];
    uint8_t asked[QUERY_MAX];
    size_t size = write_question(question, asked), at = HEADER_SIZE + size;
    if (length < at || !(answer[2] & FLAG_QR) || get_u16(answer + 4) != 1)
        return VERDICT_WRONG;
    if (memcmp(answer + HEADER_SIZE, asked, size) != 0)
        return VERDICT_CROSSED;
    uint8_t rcode = answer[3] & 0x0f;
    if (rcode == RCODE_SERVFAIL && kind->upstream)
        return VERDICT_SERVFAIL;
    if (rcode != kind->rcode)
        return VERDICT_WRONG;
    bool right = true;
    if (kind->type == TYPE_TXT)
        right = stream ? length > BIG_ANSWER && get_u16(answer + 6) == 1 : answer[2] & FLAG_TC;
    else if (rcode == RCODE_NOERROR)
        right = has_address(question, answer, length, at, version);
    return right ? VERDICT_RIGHT : VERDICT_WRONG;
}

/* --- malformed packets --- */

enum malformed {
    MALFORMED_TRAILING,  /* bytes behind the end */
    MALFORMED_QUESTIONS, /* two questions */
    MALFORMED_COUNT,     /* records that are not there */
    MALFORMED_TWO_OPTS,
    MALFORMED_CUT_RECORD,
    MALFORMED_KINDS,
};

struct question malformed_draw(uint64_t *state)
{
    return (struct question){.kind = (uint8_t)random_below(state, MALFORMED_KINDS),
                             .malformed = true,
                             .number = (uint16_t)random_below(state, QUESTION_NUMBERS)};
}

size_t malformed_write(struct question question, uint16_t id, uint8_t *out)
{
    size_t length = question_write((struct question){.edns = true, .number = question.number}, id, out);
    switch ((enum malformed)question.kind) {
    case MALFORMED_TRAILING:
        memset(out + length, question.number & 0xff, 7);
        return length + 7;
    case MALFORMED_QUESTIONS:
        out[5] = 2;
        out[11] = 0;
        length -= OPT_SIZE;
        return length + write_question((struct question){.number = question.number}, out + length);
    case MALFORMED_COUNT:
        put_u16(out + 6, 1 + question.number);
        return length;
    case MALFORMED_TWO_OPTS:
        out[11] = 2;
        memcpy(out + length, opt_record, OPT_SIZE);
        return length + OPT_SIZE;
    default:
        return length - 1 - question.number % (OPT_SIZE - 1u);
    }
}

enum verdict malformed_judge(const uint8_t *answer, size_t length)
{
    bool right = length >= HEADER_SIZE && answer[2] & FLAG_QR && (answer[3] & 0x0f) == RCODE_FORMERR;
    return right ? VERDICT_RIGHT : VERDICT_WRONG;
}

size_t unanswerable_write(uint64_t *state, uint8_t *out)
{
    size_t length = question_write(question_draw(state), (uint16_t)random_below(state, 65536), out);
    if (random_below(state, 2))
        return random_below(state, HEADER_SIZE);
    out[2] |= FLAG_QR;
    return length;
}

size_t garbage_write(uint64_t *state, uint8_t *out)
{
    size_t length = 1 + random_below(state, MALFORMED_MAX - 1);
    for (size_t i = 0; i < length; i++)
        out[i] = (uint8_t)random_below(state, 256);
    if (length > HEADER_SIZE && random_below(state, 2))
        memcpy(out + 2, "\1\0\0\1\0\0\0\0\0\0", HEADER_SIZE - 2);
    return length;
}
