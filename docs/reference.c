/* Writes docs/api.md from docs/api.template: reference TEMPLATE >api.md. Lines of the template pass as they are, but
 * for
 *   @class NAME    the tables of that class: constructor, attributes, methods, functions
 *   @json          the functions of dns.json
 *   @shared        those of shared
 *   @metrics       those of metrics
 *   @registries    the tables of registered numbers
 * which come from the very tables that the binding is made of. Ends with 1 when a member lacks its words, or when a
 * class is not in the template. */
#include "lua/address_set_class.h"
#include "lua/conn_class.h"
#include "lua/domain_set_class.h"
#include "lua/flow_class.h"
#include "lua/https_record_class.h"
#include "lua/json.h"
#include "lua/message_class.h"
#include "lua/metrics_library.h"
#include "lua/question_class.h"
#include "lua/record_class.h"
#include "lua/registries.h"
#include "lua/shared_library.h"
#include "lua/zone_class.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct lua_class *const classes[] = {
    &lua_question_class, &lua_record_class, &lua_https_record_class, &lua_message_class,     &lua_flow_class,
    &lua_conn_class,     &lua_error_class,  &lua_domain_set_class,   &lua_address_set_class, &lua_zone_class,
    &lua_counter_class,  &lua_gauge_class,  &lua_histogram_class,
};

enum { CLASS_COUNT = sizeof classes / sizeof classes[0], LINE_MAX_LENGTH = 1024 };

struct writer {
    FILE *out;
    bool complete;          /* nothing lacks its words so far */
    bool seen[CLASS_COUNT]; /* classes that the template names */
};

/* Text in a cell of a table. */
static void write_cell(struct writer *writer, const char *text)
{
    for (; *text; text++) {
        if (*text == '|')
            fputc('\\', writer->out);
        fputc(*text, writer->out);
    }
}

static const char *words(struct writer *writer, const char *text, const char *owner, const char *name)
{
    if (text && text[0])
        return text;
    fprintf(stderr, "%s.%s is not described\n", owner, name);
    writer->complete = false;
    return "";
}

static void write_functions(struct writer *writer, const struct lua_method *functions, const char *owner,
                            const char *title, const char *prefix)
{
    if (!functions || !functions->name)
        return;
    fprintf(writer->out, "\n| %s | does |\n| --- | --- |\n", title);
    for (const struct lua_method *function = functions; function->name; function++) {
        fprintf(writer->out, "| `%s", prefix);
        write_cell(writer, words(writer, function->signature, owner, function->name));
        fputs("` | ", writer->out);
        write_cell(writer, words(writer, function->doc, owner, function->name));
        fputs(" |\n", writer->out);
    }
}

static void write_properties(struct writer *writer, const struct lua_class *class)
{
    if (!class->properties || !class->properties->name)
        return;
    fputs("\n| attribute | value | |\n| --- | --- | --- |\n", writer->out);
    for (const struct lua_property *property = class->properties; property->name; property++) {
        fprintf(writer->out, "| `%s`%s | ", property->name, property->set ? "" : " (read-only)");
        write_cell(writer, words(writer, property->type, class->name, property->name));
        fputs(" | ", writer->out);
        write_cell(writer, words(writer, property->doc, class->name, property->name));
        fputs(" |\n", writer->out);
    }
}

static bool write_class(struct writer *writer, const char *name)
{
    for (size_t i = 0; i < CLASS_COUNT; i++) {
        const struct lua_class *class = classes[i];
        if (strcmp(class->name, name))
            continue;
        char prefix[LINE_MAX_LENGTH];
        writer->seen[i] = true;
        if (class->construct)
            fprintf(writer->out, "`%s`\n\n",
                    words(writer, class->constructor_signature, name, "constructor_signature"));
        fprintf(writer->out, "%s\n", words(writer, class->doc, name, "doc"));
        write_properties(writer, class);
        write_functions(writer, class->methods, name, "method", ":");
        snprintf(prefix, sizeof prefix, "%s.", name);
        write_functions(writer, class->statics, name, "function", prefix);
        return true;
    }
    fprintf(stderr, "there is no class %s\n", name);
    return false;
}

static void write_registries(struct writer *writer)
{
    fputs("| table | of | |\n| --- | --- | --- |\n", writer->out);
    for (const struct lua_registry *registry = lua_registries; registry->name; registry++) {
        fprintf(writer->out, "| `dns.%s` | ", registry->name);
        write_cell(writer, words(writer, registry->what, "dns", registry->name));
        fputs(" | ", writer->out);
        write_cell(writer, words(writer, registry->doc, "dns", registry->name));
        fputs(" |\n", writer->out);
    }
}

static bool write_line(struct writer *writer, char *line)
{
    static const char class_mark[] = "@class ";
    if (!strncmp(line, class_mark, sizeof class_mark - 1)) {
        line[strcspn(line, "\n")] = 0;
        return write_class(writer, line + sizeof class_mark - 1);
    }
    if (!strcmp(line, "@json\n"))
        write_functions(writer, lua_json_functions, "dns.json", "function", "dns.json.");
    else if (!strcmp(line, "@shared\n"))
        write_functions(writer, lua_shared_functions, "shared", "function", "shared.");
    else if (!strcmp(line, "@metrics\n"))
        write_functions(writer, lua_metrics_functions, "metrics", "function", "metrics.");
    else if (!strcmp(line, "@registries\n"))
        write_registries(writer);
    else
        fputs(line, writer->out);
    return true;
}

int main(int argc, char **argv)
{
    struct writer writer = {.out = stdout, .complete = true};
    FILE *template = argc == 2 ? fopen(argv[1], "r") : NULL;
    if (!template) {
        fprintf(stderr, "usage: reference TEMPLATE\n");
        return EXIT_FAILURE;
    }
    char line[LINE_MAX_LENGTH];
    while (fgets(line, sizeof line, template))
        writer.complete &= write_line(&writer, line);
    fclose(template);
    for (size_t i = 0; i < CLASS_COUNT; i++) {
        if (!writer.seen[i]) {
            fprintf(stderr, "the template does not name %s\n", classes[i]->name);
            writer.complete = false;
        }
    }
    return writer.complete ? EXIT_SUCCESS : EXIT_FAILURE;
}
