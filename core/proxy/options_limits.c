/* The text of limits: networks, rates, domains, bits. */
#include "proxy/options_table.h"

#include <stdlib.h>

enum { PER_SECOND_MAX = 1000000, RATE_IPV4_BITS = 32, RATE_IPV6_BITS = 56, CUT_IPV4_BITS = 24, CUT_IPV6_BITS = 48 };

static enum status refuse(const struct option_spec *spec, const char *text, struct reason *reason)
{
    reason_set(reason, "%s expected, got '%s'", spec->expected, text);
    return STATUS_INVALID;
}

/* Reads a whole number up to `most` and goes past it; false: there is none. */
static bool number_at(const char **at, unsigned long most, unsigned *out)
{
    char *end;
    if (**at < '0' || **at > '9')
        return false;
    unsigned long number = strtoul(*at, &end, 10);
    if (number > most || end - *at > 9)
        return false;
    *out = (unsigned)number;
    *at = end;
    return true;
}

static bool skip(const char **at, char byte)
{
    bool there = **at == byte;
    *at += there;
    return there;
}

enum status options_apply_prefixes(const struct option_spec *spec, const struct option_given *given,
                                   struct options *options, struct reason *reason)
{
    (void)spec;
    if (given->count == 0)
        return STATUS_OK;
    options->allowed = arena_alloc(&options->arena, given->count * sizeof *options->allowed);
    if (!options->allowed)
        return STATUS_NO_MEMORY;
    for (size_t i = 0; i < given->count; i++) {
        const char *text = given->texts[i];
        if (!strcmp(text, "any")) {
            options->allow_all = true;
            continue;
        }
        struct address_prefix *out = &options->allowed[options->allowed_count++];
        enum status status = address_prefix_from_text(text, strlen(text), out, reason);
        if (status)
            return status;
    }
    return STATUS_OK;
}

/* QPS[/IPV4[/IPV6]] */
enum status options_apply_rate(const struct option_spec *spec, const struct option_given *given,
                               struct options *options, struct reason *reason)
{
    if (given->count == 0)
        return STATUS_OK;
    const char *text = given->texts[given->count - 1], *at = text;
    unsigned per_second, ipv4 = RATE_IPV4_BITS, ipv6 = RATE_IPV6_BITS;
    if (!number_at(&at, PER_SECOND_MAX, &per_second) || per_second == 0 ||
        (skip(&at, '/') && (!number_at(&at, 32, &ipv4) || (skip(&at, '/') && !number_at(&at, 128, &ipv6)))) || *at)
        return refuse(spec, text, reason);
    options->rate_limit = (struct options_rate){per_second, {(uint8_t)ipv4, (uint8_t)ipv6}};
    return STATUS_OK;
}

enum status options_apply_names(const struct option_spec *spec, const struct option_given *given,
                                struct options *options, struct reason *reason)
{
    (void)spec;
    options->rebind_allowed = arena_alloc(&options->arena, (given->count + 1) * sizeof *options->rebind_allowed);
    if (!options->rebind_allowed)
        return STATUS_NO_MEMORY;
    for (size_t i = 0; i < given->count; i++) {
        const char *text = given->texts[i];
        enum status status = dns_name_from_text(text, strlen(text), &options->rebind_allowed[i], reason);
        if (status)
            return status;
    }
    options->rebind_allowed_count = given->count;
    return STATUS_OK;
}

/* IPV4,IPV6, true or false */
enum status options_apply_cut(const struct option_spec *spec, const struct option_given *given, struct options *options,
                              struct reason *reason)
{
    const char *text = given->count ? given->texts[given->count - 1] : "false", *at = text;
    unsigned ipv4 = CUT_IPV4_BITS, ipv6 = CUT_IPV6_BITS;
    const bool plain = !strcmp(text, "true") || !strcmp(text, "false");
    if (!plain && (!number_at(&at, 32, &ipv4) || !skip(&at, ',') || !number_at(&at, 128, &ipv6) || *at))
        return refuse(spec, text, reason);
    options->anonymize = strcmp(text, "false") != 0;
    options->anonymize_cut = (struct address_cut){(uint8_t)ipv4, (uint8_t)ipv6};
    return STATUS_OK;
}
