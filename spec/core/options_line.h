/* Command lines, as the specs of the options give them. */
#ifndef MOONDNS_SPEC_OPTIONS_LINE_H
#define MOONDNS_SPEC_OPTIONS_LINE_H

#include "proxy/options_table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

enum { ARGUMENTS_MAX = 48 };

/* Arguments, ended by NULL, as a command line. */
static inline enum status parse(const char *const *arguments, struct options *out, enum options_action *action,
                                struct reason *reason)
{
    char *argv[ARGUMENTS_MAX + 2] = {(char *)"moondns"};
    int argc = 1;
    for (; arguments[argc - 1]; argc++)
        argv[argc] = (char *)arguments[argc - 1];
    return options_parse(argc, argv, out, action, reason);
}

#define SECONDS_EXPECTED "seconds from 0.000001 to 31622400 (366 days)"
#define ARGS(...) ((const char *const[]){__VA_ARGS__, NULL})

static inline void accept_line(const char *const *arguments, struct options *out)
{
    enum options_action action = OPTIONS_HELP;
    struct reason reason = {""};
    if (parse(arguments, out, &action, &reason))
        fail_msg("refused: %s", reason.text);
    assert_int_equal(action, OPTIONS_RUN);
}

static inline void refuse_line(const char *const *arguments, const char *expected)
{
    struct options options;
    enum options_action action;
    struct reason reason = {""};
    assert_int_not_equal(parse(arguments, &options, &action, &reason), STATUS_OK);
    assert_string_equal(reason.text, expected);
}

static inline const char *value_of(const struct options *options, const char *name)
{
    for (const struct options_value *value = options->values; value->name; value++) {
        if (!strcmp(value->script_name, name))
            return value->value;
    }
    return NULL;
}

#endif
