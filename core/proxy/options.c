#include "proxy/options_table.h"

#include "flow/filter.h"

#include <unistd.h>

void option_set_clear(struct option_set *set, enum option_id id, enum option_origin origin, const char *file)
{
    struct option_given *given = &set->given[id];
    if (origin < given->origin)
        return;
    given->origin = origin;
    given->file = file;
    given->count = 0;
}

enum status option_set_add(struct option_set *set, enum option_id id, enum option_origin origin, const char *file,
                           const char *text, size_t length)
{
    struct option_given *given = &set->given[id];
    if (origin < given->origin)
        return STATUS_OK;
    if (origin != given->origin || file != given->file || !(options_table[id].traits & OPTION_REPEATS))
        option_set_clear(set, id, origin, file);
    if (given->count == given->capacity) {
        size_t capacity = given->capacity ? given->capacity * 2 : 4;
        const char **texts = arena_alloc(set->arena, capacity * sizeof *texts);
        if (!texts)
            return STATUS_NO_MEMORY;
        if (given->count)
            memcpy(texts, given->texts, given->count * sizeof *texts);
        given->texts = texts;
        given->capacity = capacity;
    }
    const char *copy = arena_copy(set->arena, text, length);
    if (!copy)
        return STATUS_NO_MEMORY;
    given->texts[given->count++] = copy;
    return STATUS_OK;
}

/* The command line on its way: where reading stands, and what was found. */
struct line {
    int argc, at;
    char **argv;
    struct option_set *set;
    enum options_action action;
    const char *filter;
    const char **words; /* where arguments that are no options go instead; NULL: they are a filter */
    size_t words_max, words_count;
    struct reason *reason;
};

static enum status unknown_option(const char *argument, size_t name_length, struct reason *reason)
{
    char name[64];
    size_t length = name_length < sizeof name ? name_length : sizeof name - 1;
    memcpy(name, argument + 2, length);
    name[length] = '\0';
    const char *nearest = options_nearest(name, 0);
    if (nearest)
        reason_set(reason, "unknown option '--%s' (did you mean '--%s'?)", name, nearest);
    else
        reason_set(reason, "unknown option '--%s'; --help lists them all", name);
    return STATUS_INVALID;
}

/* Takes an option with its value; `value` is NULL where it takes none. */
static enum status take_option(struct line *line, const struct option_spec *spec, const char *value)
{
    enum option_id id = (enum option_id)(spec - options_table);
    if (id == OPTION_HELP || id == OPTION_VERSION) {
        line->action = id == OPTION_HELP ? OPTIONS_HELP : OPTIONS_VERSION;
        return STATUS_OK;
    }
    if (!value)
        value = spec->kind == OPTION_KIND_TIMES ? "1" : "true";
    enum status status = option_set_add(line->set, id, OPTION_FROM_COMMAND_LINE, NULL, value, strlen(value));
    if (status)
        reason_set(line->reason, "out of memory");
    return status;
}

static enum status missing_value(const struct option_spec *spec, struct reason *reason)
{
    reason_set(reason, "--%s needs a value: --%s %s", spec->name, spec->name, spec->argument);
    return STATUS_INVALID;
}

/* --name, --name=value, --name value */
static enum status read_long(struct line *line, const char *argument)
{
    const char *equals = strchr(argument, '=');
    size_t name_length = equals ? (size_t)(equals - argument) - 2 : strlen(argument) - 2;
    const struct option_spec *spec = options_find(argument + 2, name_length);
    if (!spec)
        return unknown_option(argument, name_length, line->reason);
    if (!spec->argument && equals) {
        reason_set(line->reason, "--%s takes no value, got '%s'", spec->name, equals + 1);
        return STATUS_INVALID;
    }
    if (!spec->argument || equals || spec->traits & OPTION_VALUE_OPTIONAL)
        return take_option(line, spec, equals ? equals + 1 : NULL);
    if (line->at == line->argc)
        return missing_value(spec, line->reason);
    return take_option(line, spec, line->argv[line->at++]);
}

/* -q, -qv, -sFILE, -s FILE */
static enum status read_letters(struct line *line, const char *argument)
{
    for (const char *letter = argument + 1; *letter; letter++) {
        const struct option_spec *spec = options_find_letter(*letter);
        if (!spec) {
            const struct option_spec *meant = options_find(argument + 1, strlen(argument + 1));
            if (meant)
                reason_set(line->reason, "unknown option '%s' (did you mean '--%s'?)", argument, meant->name);
            else
                reason_set(line->reason, "unknown option '-%c'; --help lists them all", *letter);
            return STATUS_INVALID;
        }
        if (spec->argument && letter[1])
            return take_option(line, spec, letter + 1);
        if (spec->argument && line->at == line->argc)
            return missing_value(spec, line->reason);
        if (spec->argument)
            return take_option(line, spec, line->argv[line->at++]);
        enum status status = take_option(line, spec, NULL);
        if (status)
            return status;
    }
    return STATUS_OK;
}

/* Whether the argument is meant as the value of the option before it, which takes one only when it is joined to it. */
static bool is_value_apart(const struct line *line, const char *argument)
{
    const char *before = line->at > 2 ? line->argv[line->at - 2] : "";
    const struct option_spec *spec = strncmp(before, "--", 2) ? NULL : options_find(before + 2, strlen(before + 2));
    return spec && spec->traits & OPTION_VALUE_OPTIONAL && argument[strspn(argument, "0123456789,")] == '\0';
}

static enum status read_filter(struct line *line, const char *argument)
{
    static const char extension[] = ".lua";
    size_t length = strlen(argument);
    if (length >= sizeof extension && !strcmp(argument + length - strlen(extension), extension) &&
        !access(argument, F_OK)) {
        reason_set(line->reason, "'%s' is a script: run it with --script %s", argument, argument);
        return STATUS_INVALID;
    }
    if (is_value_apart(line, argument)) {
        reason_set(line->reason, "'%s' is no filter; a value is joined to that option: %s=%s", argument,
                   line->argv[line->at - 2], argument);
        return STATUS_INVALID;
    }
    if (line->words && line->words_count == line->words_max) {
        reason_set(line->reason, "'%s' is one argument too many", argument);
        return STATUS_INVALID;
    }
    if (line->words) {
        line->words[line->words_count++] = argument;
        return STATUS_OK;
    }
    if (line->filter) {
        reason_set(line->reason, "one FILTER expected, got '%s' and '%s': quote the filter, it is one argument",
                   line->filter, argument);
        return STATUS_INVALID;
    }
    line->filter = argument;
    return STATUS_OK;
}

static enum status read_line(struct line *line)
{
    bool options_end = false;
    enum status status = STATUS_OK;
    while (!status && line->at < line->argc && line->action == OPTIONS_RUN) {
        const char *argument = line->argv[line->at++];
        if (options_end || argument[0] != '-' || !argument[1])
            status = read_filter(line, argument);
        else if (!strcmp(argument, "--"))
            options_end = true;
        else if (argument[1] == '-')
            status = read_long(line, argument);
        else
            status = read_letters(line, argument);
    }
    return status;
}

static enum status read_configs(struct option_set *set, struct reason *reason)
{
    const struct option_given *files = &set->given[OPTION_CONFIG];
    for (size_t i = 0; i < files->count; i++) {
        enum status status = options_config_load(set, files->texts[i], reason);
        if (status)
            return status;
    }
    return STATUS_OK;
}

enum status options_set_complete(struct option_set *set, struct reason *reason)
{
    for (size_t id = 0; id < OPTION_COUNT; id++) {
        const char *initial = options_table[id].initial;
        if (!initial || set->given[id].count)
            continue;
        set->given[id].origin = OPTION_FROM_NOWHERE;
        enum status status = option_set_add(set, (enum option_id)id, OPTION_FROM_TABLE, NULL, initial, strlen(initial));
        if (status) {
            reason_set(reason, "out of memory");
            return status;
        }
    }
    return STATUS_OK;
}

/* -q and -v: what they make of the log's level, and of the flow detail where that is not given. */
static void apply_verbosity(const struct option_set *set, struct options *out)
{
    int more = (int)out->verbose - (int)out->quiet;
    int level = LOG_INFO - more, detail = 1 + more;
    out->level = (enum log_level)(level < LOG_DEBUG ? LOG_DEBUG : level > LOG_ERROR ? LOG_ERROR : level);
    if (set->given[OPTION_FLOW_DETAIL].origin <= OPTION_FROM_TABLE)
        out->flow_detail = (unsigned)(detail < 0 ? 0 : detail > 3 ? 3 : detail);
}

static enum status make_value(const struct option_spec *spec, const struct option_given *given, struct options *out,
                              struct options_value *value)
{
    struct buffer json = {0};
    enum status status = STATUS_NO_MEMORY;
    char *script_name = arena_copy(&out->arena, spec->name, strlen(spec->name));
    option_show(spec, given, out, &json);
    const char *text = buffer_c_string(&json);
    const char *copy = text ? arena_copy(&out->arena, text, json.length) : NULL;
    if (script_name && copy) {
        for (char *dash = script_name; (dash = strchr(dash, '-'));)
            *dash = '_';
        *value = (struct options_value){spec->name, script_name, spec->expected,
                                        copy,       spec->help,  (spec->traits & OPTION_AT_RUN_TIME) != 0};
        status = STATUS_OK;
    }
    buffer_free(&json);
    return status;
}

static enum status make_values(const struct option_set *set, struct options *out)
{
    size_t count = 0;
    out->values = arena_alloc(&out->arena, (OPTION_COUNT + 1) * sizeof *out->values);
    if (!out->values)
        return STATUS_NO_MEMORY;
    for (size_t id = 0; id < OPTION_COUNT; id++) {
        if (options_table[id].traits & OPTION_COMMAND_LINE_ONLY)
            continue;
        enum status status = make_value(&options_table[id], &set->given[id], out, &out->values[count]);
        if (status)
            return status;
        count++;
    }
    return STATUS_OK;
}

enum status options_from_set(const struct option_set *set, struct options *out, struct reason *reason)
{
    for (size_t id = 0; id < OPTION_COUNT; id++) {
        enum status status = option_apply(&options_table[id], &set->given[id], out, reason);
        if (status)
            return status;
    }
    apply_verbosity(set, out);
    if (make_values(set, out)) {
        reason_set(reason, "out of memory");
        return STATUS_NO_MEMORY;
    }
    return STATUS_OK;
}

static enum status check_filter(const char *text, struct reason *reason)
{
    struct filter *filter;
    enum status status = filter_parse(text, &filter, reason);
    if (status)
        reason_prefix(reason, "'%s': ", text);
    else
        filter_free(filter);
    return status;
}

/* All that counts for OPTIONS_RUN alone. */
static enum status read_run(const struct line *line, struct options *options)
{
    struct reason *reason = line->reason;
    enum status status = read_configs(line->set, reason);
    if (!status)
        status = options_set_complete(line->set, reason);
    if (!status)
        status = options_from_set(line->set, options, reason);
    if (status || !line->filter)
        return status;
    options->filter = arena_copy(&options->arena, line->filter, strlen(line->filter));
    return options->filter ? check_filter(line->filter, reason) : STATUS_NO_MEMORY;
}

enum status options_parse(int argc, char **argv, struct options *out, enum options_action *action,
                          struct reason *reason)
{
    return options_parse_words(argc, argv, NULL, 0, out, action, reason);
}

enum status options_parse_words(int argc, char **argv, const char **words, size_t words_max, struct options *out,
                                enum options_action *action, struct reason *reason)
{
    struct options options = {0};
    struct option_set set = {.arena = &options.arena};
    struct line line = {.argc = argc,
                        .argv = argv,
                        .at = argc > 0 ? 1 : 0,
                        .set = &set,
                        .reason = reason,
                        .words = words,
                        .words_max = words_max};
    enum status status = read_line(&line);
    if (!status && line.action == OPTIONS_RUN)
        status = read_run(&line, &options);
    if (status) {
        log_escape_reason(reason);
        options_free(&options);
        return status;
    }
    *out = options;
    *action = line.action;
    return STATUS_OK;
}

bool options_differ(const struct options *before, const struct options *after, bool at_run_time, struct buffer *names)
{
    bool differ = false;
    for (size_t i = 0; before->values[i].name; i++) {
        const struct options_value *value = &after->values[i];
        if (value->at_run_time != at_run_time || !strcmp(before->values[i].value, value->value))
            continue;
        buffer_format(names, "%s%s", differ ? ", " : "", value->name);
        differ = true;
    }
    return differ;
}

void options_free(struct options *options)
{
    arena_free(&options->arena);
    *options = (struct options){0};
}
