/* The filter language:
 *
 *   filter  = any { any }               side by side: all of them
 *   any     = all { "|" all }
 *   all     = term { "&" term }
 *   term    = "!" term | "(" filter ")" | "~" code [ argument ] | argument
 *
 * An argument is quoted, or goes on to the next blank, quote, parenthesis or "~". */
#include "flow/filter_private.h"

#include <ctype.h>
#include <stdlib.h>

enum {
    DEPTH_MAX = 64, /* of parentheses and negations */
    /* Steps one regular expression may take over one text: a few milliseconds. */
    MATCH_STEPS_MAX = 100000,
    MATCH_MEMORY_KIB = 1024,
};

enum argument { ARGUMENT_NONE, ARGUMENT_REGEX, ARGUMENT_TYPE, ARGUMENT_RESPONSE_CODE };

static const struct code {
    const char *name;
    enum filter_kind kind;
    enum argument argument;
} codes[] = {
    {"a", FILTER_ANSWER, ARGUMENT_REGEX},
    {"all", FILTER_ALL, ARGUMENT_NONE},
    {"c", FILTER_RESPONSE_CODE, ARGUMENT_RESPONSE_CODE},
    {"comment", FILTER_COMMENT, ARGUMENT_REGEX},
    {"d", FILTER_NAME, ARGUMENT_REGEX},
    {"dst", FILTER_DESTINATION, ARGUMENT_REGEX},
    {"e", FILTER_ERROR, ARGUMENT_NONE},
    {"marked", FILTER_MARKED, ARGUMENT_NONE},
    {"marker", FILTER_MARKER, ARGUMENT_REGEX},
    {"meta", FILTER_METADATA, ARGUMENT_REGEX},
    {"q", FILTER_NO_RESPONSE, ARGUMENT_NONE},
    {"s", FILTER_HAS_RESPONSE, ARGUMENT_NONE},
    {"src", FILTER_SOURCE, ARGUMENT_REGEX},
    {"t", FILTER_TYPE, ARGUMENT_TYPE},
    {"tcp", FILTER_TCP, ARGUMENT_NONE},
    {"udp", FILTER_UDP, ARGUMENT_NONE},
};

struct parser {
    struct filter *filter;
    const char *text, *at;
    unsigned depth;
    struct reason *reason;
};

/* Where things are is counted from 1. */
static enum status fail(const struct parser *parser, const char *at, const char *what)
{
    reason_set(parser->reason, "filter: at %zu: %s", (size_t)(at - parser->text) + 1, what);
    return STATUS_INVALID;
}

static enum status no_memory(const struct parser *parser)
{
    reason_set(parser->reason, "filter: out of memory");
    return STATUS_NO_MEMORY;
}

static char peek(struct parser *parser)
{
    while (isspace((unsigned char)*parser->at))
        parser->at++;
    return *parser->at;
}

static bool take(struct parser *parser, char wanted)
{
    if (peek(parser) != wanted)
        return false;
    parser->at++;
    return true;
}

static struct filter_node *new_node(struct parser *parser, enum filter_kind kind)
{
    struct filter_node *node = arena_alloc(&parser->filter->arena, sizeof *node);
    if (!node)
        return NULL;
    node->kind = kind;
    node->all = parser->filter->all;
    parser->filter->all = node;
    return node;
}

/* --- arguments --- */

/* Where an argument without quotes ends; the operators belong to expressions, but not to types and codes. */
static const char regex_ends[] = "()~'\" \t\r\n\v\f", word_ends[] = "()~'\" \t\r\n\v\f|&!";

/* The argument's bytes, quotes taken off; a backslash keeps the quote behind it in (and both go into the expression).
 */
static enum status take_argument(struct parser *parser, const char *ends, const char *expected, struct span *out)
{
    char quote = peek(parser);
    const char *start = parser->at;
    if (quote == '\'' || quote == '"') {
        const char *end = start + 1;
        while (*end && *end != quote)
            end += *end == '\\' && end[1] ? 2 : 1;
        if (!*end)
            return fail(parser, start, quote == '"' ? "string without its closing \"" : "string without its closing '");
        *out = (struct span){(const uint8_t *)start + 1, (size_t)(end - start) - 1};
        parser->at = end + 1;
        return STATUS_OK;
    }
    size_t length = strcspn(start, ends);
    if (length == 0)
        return fail(parser, start, expected);
    *out = (struct span){(const uint8_t *)start, length};
    parser->at = start + length;
    return STATUS_OK;
}

static enum status take_regex(struct parser *parser, struct filter_node *node)
{
    struct span pattern;
    enum status status =
        take_argument(parser, regex_ends,
                      "regular expression expected (in quotes if it holds parentheses, quotes or blanks)", &pattern);
    if (status)
        return status;
    int error;
    PCRE2_SIZE offset;
    node->regex = pcre2_compile(pattern.data, pattern.length, PCRE2_CASELESS, &error, &offset, NULL);
    if (node->regex)
        return STATUS_OK;
    char text[120] = "regular expression: ";
    size_t used = strlen(text);
    pcre2_get_error_message(error, (PCRE2_UCHAR *)text + used, sizeof text - used);
    return fail(parser, (const char *)pattern.data + offset, text);
}

/* A number, or a registered name. */
static enum status take_registered(struct parser *parser, struct filter_node *node, enum dns_registry registry,
                                   const char *expected)
{
    struct span word;
    enum status status = take_argument(parser, word_ends, expected, &word);
    if (status)
        return status;
    unsigned long number = 0;
    bool digits = word.length > 0 && word.length <= 5;
    for (size_t i = 0; i < word.length && digits; i++) {
        digits = isdigit(word.data[i]);
        number = number * 10 + (unsigned long)(word.data[i] - '0');
    }
    if (digits && number <= UINT16_MAX) {
        node->number = (uint16_t)number;
        return STATUS_OK;
    }
    const char *text = (const char *)word.data;
    if (dns_registry_from_text(registry, text, word.length, &node->number))
        return fail(parser, text, expected);
    return STATUS_OK;
}

static enum status take_code_argument(struct parser *parser, struct filter_node *node, enum argument argument)
{
    switch (argument) {
    case ARGUMENT_REGEX:
        return take_regex(parser, node);
    case ARGUMENT_TYPE:
        return take_registered(parser, node, DNS_TYPES, "record type expected (A, AAAA, 65 …)");
    case ARGUMENT_RESPONSE_CODE:
        return take_registered(parser, node, DNS_RESPONSE_CODES, "response code expected (NOERROR, NXDOMAIN, 2 …)");
    case ARGUMENT_NONE:
        break;
    }
    return STATUS_OK;
}

/* --- terms --- */

static enum status take_code(struct parser *parser, struct filter_node **out)
{
    const char *start = parser->at++;
    size_t length = 0;
    while (isalnum((unsigned char)parser->at[length]))
        length++;
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        if (strlen(codes[i].name) != length || memcmp(codes[i].name, parser->at, length))
            continue;
        struct filter_node *node = new_node(parser, codes[i].kind);
        if (!node)
            return no_memory(parser);
        parser->at += length;
        *out = node;
        return take_code_argument(parser, node, codes[i].argument);
    }
    return fail(parser, start,
                "one of ~a ~all ~c ~comment ~d ~dst ~e ~marked ~marker ~meta ~q ~s ~src ~t ~tcp ~udp expected");
}

static enum status take_filter(struct parser *parser, struct filter_node **out);

static enum status take_term(struct parser *parser, struct filter_node **out)
{
    const char *start = parser->at;
    enum status status;
    if (parser->depth == DEPTH_MAX)
        return fail(parser, start, "nested too deeply");
    parser->depth++;
    if (take(parser, '!')) {
        struct filter_node *node = new_node(parser, FILTER_NOT);
        status = node ? take_term(parser, &node->first) : no_memory(parser);
        *out = node;
    } else if (take(parser, '(')) {
        status = take_filter(parser, out);
        if (!status && !take(parser, ')'))
            status = fail(parser, parser->at, "')' expected");
    } else if (peek(parser) == '~') {
        status = take_code(parser, out);
    } else if (strchr("&|)", *parser->at)) {
        status = fail(parser, parser->at, "expression expected");
    } else {
        struct filter_node *node = new_node(parser, FILTER_NAME);
        status = node ? take_regex(parser, node) : no_memory(parser);
        *out = node;
    }
    parser->depth--;
    return status;
}

/* Items of one operator, each taken by `item`; one alone stands for itself. `more` tells whether another one follows.
 */
static enum status take_items(struct parser *parser, enum filter_kind kind, bool (*more)(struct parser *),
                              enum status (*item)(struct parser *, struct filter_node **), struct filter_node **out)
{
    struct filter_node *first = NULL, **end = &first;
    do {
        enum status status = item(parser, end);
        if (status)
            return status;
        end = &(*end)->next;
    } while (more(parser));
    if (!first->next) {
        *out = first;
        return STATUS_OK;
    }
    struct filter_node *node = new_node(parser, kind);
    if (!node)
        return no_memory(parser);
    node->first = first;
    *out = node;
    return STATUS_OK;
}

static bool more_all(struct parser *parser)
{
    return take(parser, '&');
}

static bool more_any(struct parser *parser)
{
    return take(parser, '|');
}

static bool more_terms(struct parser *parser)
{
    char next = peek(parser);
    return next && next != ')';
}

static enum status take_all(struct parser *parser, struct filter_node **out)
{
    return take_items(parser, FILTER_AND, more_all, take_term, out);
}

static enum status take_any(struct parser *parser, struct filter_node **out)
{
    return take_items(parser, FILTER_OR, more_any, take_all, out);
}

static enum status take_filter(struct parser *parser, struct filter_node **out)
{
    return take_items(parser, FILTER_AND, more_terms, take_any, out);
}

/* --- the whole --- */

static enum status make_limits(struct filter *filter)
{
    filter->match = pcre2_match_data_create(1, NULL);
    filter->limits = pcre2_match_context_create(NULL);
    if (!filter->match || !filter->limits)
        return STATUS_NO_MEMORY;
    pcre2_set_match_limit(filter->limits, MATCH_STEPS_MAX);
    pcre2_set_heap_limit(filter->limits, MATCH_MEMORY_KIB);
    return STATUS_OK;
}

enum status filter_parse(const char *text, struct filter **out, struct reason *reason)
{
    struct filter *filter = calloc(1, sizeof *filter);
    struct parser parser = {.filter = filter, .text = text, .at = text, .reason = reason};
    enum status status;
    if (!filter || make_limits(filter)) {
        status = no_memory(&parser);
        goto done;
    }
    status = take_filter(&parser, &filter->root);
    if (!status && peek(&parser))
        status = fail(&parser, parser.at, "end of the filter, or a term, expected");
    if (!status) {
        *out = filter;
        filter = NULL;
    }
done:
    filter_free(filter);
    return status;
}

void filter_free(struct filter *filter)
{
    if (!filter)
        return;
    for (struct filter_node *node = filter->all; node; node = node->all)
        pcre2_code_free(node->regex);
    arena_free(&filter->arena);
    pcre2_match_data_free(filter->match);
    pcre2_match_context_free(filter->limits);
    buffer_free(&filter->text);
    buffer_free(&filter->expanded);
    free(filter);
}
