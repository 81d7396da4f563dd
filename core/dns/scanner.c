#include "dns/scanner.h"

static bool is_blank(char byte)
{
    return byte == ' ' || byte == '\t' || byte == '\r';
}

static bool ends_word(char byte)
{
    return is_blank(byte) || byte == '\n' || byte == ';' || byte == '(' || byte == ')' || byte == '"';
}

static void skip_comment(struct dns_scanner *scanner)
{
    while (scanner->offset < scanner->length && scanner->text[scanner->offset] != '\n')
        scanner->offset++;
}

/* Moves to the next word; STATUS_NOT_FOUND at the end of the line. */
static enum status skip_blanks(struct dns_scanner *scanner, struct reason *reason)
{
    for (; scanner->offset < scanner->length; scanner->offset++) {
        char byte = scanner->text[scanner->offset];
        if (byte == ';') {
            skip_comment(scanner);
            if (scanner->offset == scanner->length)
                break;
            byte = '\n';
        }
        if (byte == '\n' && scanner->depth == 0)
            return STATUS_NOT_FOUND;
        if (byte == '(') {
            scanner->depth++;
        } else if (byte == ')') {
            if (scanner->depth == 0) {
                reason_set(reason, "')' without '('");
                return STATUS_MALFORMED;
            }
            scanner->depth--;
        } else if (byte != '\n' && !is_blank(byte)) {
            return STATUS_OK;
        }
    }
    if (scanner->depth > 0) {
        reason_set(reason, "'(' without ')'");
        return STATUS_MALFORMED;
    }
    return STATUS_NOT_FOUND;
}

/* Moves from behind a quote to behind the one that closes it. */
static enum status skip_quoted(struct dns_scanner *scanner, struct reason *reason)
{
    while (scanner->offset < scanner->length) {
        char byte = scanner->text[scanner->offset++];
        if (byte == '"')
            return STATUS_OK;
        if (byte == '\\' && scanner->offset < scanner->length)
            scanner->offset++;
    }
    reason_set(reason, "quote without its other half");
    return STATUS_MALFORMED;
}

static void skip_word(struct dns_scanner *scanner)
{
    while (scanner->offset < scanner->length && !ends_word(scanner->text[scanner->offset])) {
        if (scanner->text[scanner->offset] == '\\' && scanner->offset + 1 < scanner->length)
            scanner->offset++;
        scanner->offset++;
    }
}

enum status dns_scanner_next(struct dns_scanner *scanner, struct dns_token *out, struct reason *reason)
{
    enum status status = skip_blanks(scanner, reason);
    if (status)
        return status;
    size_t start = scanner->offset;
    if (scanner->text[start] == '"') {
        scanner->offset++;
        status = skip_quoted(scanner, reason);
        if (status == STATUS_OK)
            *out = (struct dns_token){scanner->text + start + 1, scanner->offset - start - 2, true};
        return status;
    }
    skip_word(scanner);
    *out = (struct dns_token){scanner->text + start, scanner->offset - start, false};
    return STATUS_OK;
}

enum status dns_scanner_next_pair(struct dns_scanner *scanner, struct dns_token *out, struct reason *reason)
{
    struct dns_token token;
    enum status status = dns_scanner_next(scanner, &token, reason);
    if (status)
        return status;
    bool value_follows = !token.quoted && token.text[token.length - 1] == '=' && scanner->offset < scanner->length &&
                         scanner->text[scanner->offset] == '"';
    if (value_follows) {
        scanner->offset++;
        status = skip_quoted(scanner, reason);
        if (status)
            return status;
        token.length = (size_t)(scanner->text + scanner->offset - token.text);
    }
    *out = token;
    return STATUS_OK;
}

bool dns_scanner_next_line(struct dns_scanner *scanner)
{
    if (scanner->offset >= scanner->length)
        return false;
    scanner->offset++;
    return true;
}

enum status dns_scanner_expect_end(struct dns_scanner *scanner, const char *expected, struct reason *reason)
{
    struct dns_token word;
    enum status status = dns_scanner_next(scanner, &word, reason);
    if (status == STATUS_OK)
        return dns_word_refuse(&word, expected, reason);
    return status == STATUS_NOT_FOUND ? STATUS_OK : status;
}

static bool is_digit(char byte)
{
    return byte >= '0' && byte <= '9';
}

/* --- what words stand for --- */

/* Whether the text ends with a dot that is not escaped. */
static bool is_absolute(const struct dns_token *word)
{
    bool absolute = false;
    for (size_t i = 0; i < word->length; i++) {
        absolute = word->text[i] == '.';
        if (word->text[i] == '\\')
            i++;
    }
    return absolute;
}

enum status dns_word_to_name(const struct dns_token *word, const struct dns_name *origin, struct dns_name *out,
                             struct reason *reason)
{
    struct dns_name name;
    if (!origin)
        return dns_name_from_text(word->text, word->length, out, reason);
    if (word->length == 1 && word->text[0] == '@' && !word->quoted) {
        *out = *origin;
        return STATUS_OK;
    }
    if (word->length == 0)
        return dns_word_refuse(word, "domain name", reason);
    enum status status = dns_name_from_text(word->text, word->length, &name, reason);
    if (status)
        return status;
    if (!is_absolute(word)) {
        if (name.length - 1u + origin->length > DNS_NAME_MAX) {
            reason_set(reason, "the name is longer than 255 bytes with its origin");
            return STATUS_INVALID;
        }
        memcpy(name.wire + name.length - 1, origin->wire, origin->length);
        name.length = (uint8_t)(name.length - 1 + origin->length);
    }
    *out = name;
    return STATUS_OK;
}

bool dns_word_to_seconds(const struct dns_token *word, uint32_t *out)
{
    static const char units[] = "smhdw";
    static const uint32_t seconds[] = {1, 60, 3600, 86400, 604800};
    uint64_t total = 0, number = 0;
    bool digits = false;
    if (word->quoted || word->length == 0 || !is_digit(word->text[0]))
        return false;
    for (size_t i = 0; i < word->length; i++) {
        uint8_t byte = dns_lower((uint8_t)word->text[i]);
        const char *unit = byte ? strchr(units, byte) : NULL;
        if (is_digit((char)byte) && number <= UINT32_MAX) {
            number = number * 10 + (uint64_t)(byte - '0');
            digits = true;
        } else if (unit && digits) {
            total += number * seconds[unit - units];
            number = 0;
            digits = false;
        } else {
            return false;
        }
        if (total > UINT32_MAX)
            return false;
    }
    if (total + number > UINT32_MAX)
        return false;
    *out = (uint32_t)(total + number);
    return true;
}

enum status dns_unescape(const char *text, size_t length, struct buffer *out)
{
    for (size_t i = 0; i < length; i++) {
        if (text[i] != '\\') {
            buffer_u8(out, (uint8_t)text[i]);
            continue;
        }
        if (++i == length)
            return STATUS_MALFORMED;
        if (!is_digit(text[i])) {
            buffer_u8(out, (uint8_t)text[i]);
            continue;
        }
        if (length - i < 3 || !is_digit(text[i + 1]) || !is_digit(text[i + 2]))
            return STATUS_MALFORMED;
        int number = (text[i] - '0') * 100 + (text[i + 1] - '0') * 10 + (text[i + 2] - '0');
        if (number > UINT8_MAX)
            return STATUS_MALFORMED;
        buffer_u8(out, (uint8_t)number);
        i += 2;
    }
    return buffer_status(out);
}

void dns_escape(const uint8_t *data, size_t length, struct buffer *out)
{
    for (size_t i = 0; i < length; i++) {
        if (data[i] == '"' || data[i] == '\\') {
            buffer_u8(out, '\\');
            buffer_u8(out, data[i]);
        } else if (data[i] < ' ' || data[i] > '~') {
            buffer_format(out, "\\%03u", (unsigned)data[i]);
        } else {
            buffer_u8(out, data[i]);
        }
    }
}
