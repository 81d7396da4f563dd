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

static bool is_digit(char byte)
{
    return byte >= '0' && byte <= '9';
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
