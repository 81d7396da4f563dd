/* What --help and --options print. */
#include "proxy/options_table.h"

enum { HELP_COLUMN = 26, HELP_WIDTH = 80 };

/* Appends text in lines of HELP_WIDTH, each but the first behind `indent` spaces; `at` is the column it starts at. */
static void wrap(struct buffer *out, const char *text, size_t at, size_t indent)
{
    while (*text) {
        size_t word = strcspn(text, " ");
        if (at > indent && at + 1 + word > HELP_WIDTH) {
            buffer_format(out, "\n%*s", (int)indent, "");
            at = indent;
        } else if (at > indent) {
            buffer_text(out, " ");
            at++;
        }
        buffer_append(out, text, word);
        at += word;
        text += word;
        text += strspn(text, " ");
    }
    buffer_text(out, "\n");
}

static void help_line(struct buffer *out, const struct option_spec *spec)
{
    struct buffer text = {0};
    size_t start = out->length;
    if (spec->letter)
        buffer_format(out, "  -%c, --%s", spec->letter, spec->name);
    else
        buffer_format(out, "      --%s", spec->name);
    if (spec->argument)
        buffer_format(out, spec->traits & OPTION_VALUE_OPTIONAL ? "[=%s]" : " %s", spec->argument);
    size_t width = out->length - start;
    if (width + 2 > HELP_COLUMN)
        buffer_format(out, "\n%*s", HELP_COLUMN, "");
    else
        buffer_format(out, "%*s", (int)(HELP_COLUMN - width), "");
    buffer_text(&text, spec->help);
    const char *initial = spec->initial_help ? spec->initial_help : spec->initial;
    if (initial && initial[0])
        buffer_format(&text, " (default: %s)", initial);
    if (buffer_c_string(&text))
        wrap(out, (const char *)text.data, HELP_COLUMN, HELP_COLUMN);
    buffer_free(&text);
}

void options_help(struct buffer *out)
{
    buffer_text(out, "Usage: moondns [OPTION...] [FILTER]\n"
                     "       moondns explain [OPTION...] NAME [TYPE]  what becomes of one question\n"
                     "       moondns test [OPTION...] [FILE|DIR...]   run tests of scripts\n"
                     "A DNS interception proxy that you program in Lua.\n\n");
    for (size_t id = 0; id < OPTION_COUNT; id++) {
        if (options_table[id].heading)
            buffer_format(out, "%s%s:\n", id ? "\n" : "", options_table[id].heading);
        help_line(out, &options_table[id]);
    }
    buffer_text(out, "\n");
    wrap(out,
         "FILTER, one argument, says which flows are printed: ~d REGEX question name (a bare REGEX too), ~t TYPE, "
         "~c RCODE, ~a REGEX answer, ~q no response, ~s response, ~e error, ~src REGEX, ~dst REGEX, ~udp, ~tcp, "
         "~meta REGEX, ~comment REGEX, ~marked, ~all; !, &, | and parentheses.",
         0, 0);
    buffer_text(out, "\nTry: moondns --script spoof.lua, then: dig @127.0.0.1 -p 5300 example.com\n");
}

void options_describe(const struct options *options, struct buffer *out)
{
    for (const struct options_value *value = options->values; value->name; value++) {
        buffer_format(out, "%s = %s\n    ", value->name, value->value);
        wrap(out, value->help, 4, 4);
        buffer_format(out, "    type: %s\n", value->type);
    }
}
