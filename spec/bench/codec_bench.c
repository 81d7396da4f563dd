/* Parses and packs one corpus with several libraries, side by side: codec_bench [--rounds N] [--json FILE] [FOLDER].
 * FOLDER holds messages, one a file; without it, messages that are made up. Every round gives each library in turn a
 * slice of processor time for each task; what counts is the median over the rounds. Messages that not all of them read
 * alike, or cannot write, are left out. */
#include "codec.h"

#include "dns/message.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { ROUNDS = 15, ROUNDS_MAX = 1000, SLICE_NS = 100000000, TASKS = 2 };

static const struct library *const libraries[LIBRARIES_MAX] = {&library_moondns, &library_knot, &library_ldns};
static const char *const task_names[TASKS] = {"parse", "pack"};

enum { MOONDNS, YARDSTICK /* what the others are compared with */ };

struct bench {
    struct corpus corpus;
    size_t wire_bytes, packed_bytes[LIBRARIES_MAX];
    size_t left_out;
    size_t rounds;
    void *states[LIBRARIES_MAX];
    double ns[TASKS][LIBRARIES_MAX][ROUNDS_MAX]; /* for one message */
};

static double cpu_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

/* --- which messages count --- */

static bool packs(struct bench *bench, const struct bench_message *message)
{
    for (size_t i = 0; i < LIBRARIES_MAX; i++) {
        struct dns_message back;
        const struct span packed = libraries[i]->pack(bench->states[i], message->loaded[i]);
        if (packed.length == 0 || dns_message_parse(packed.data, packed.length, &back, NULL))
            return false;
    }
    return true;
}

static bool counts(struct bench *bench, struct bench_message *message)
{
    const int records = libraries[MOONDNS]->parse(bench->states[MOONDNS], message->wire, message->length);
    for (size_t i = 0; i < LIBRARIES_MAX; i++) {
        if (records < 0 || libraries[i]->parse(bench->states[i], message->wire, message->length) != records)
            return false;
        message->loaded[i] = libraries[i]->load(bench->states[i], message->wire, message->length);
        if (!message->loaded[i])
            return false;
    }
    return packs(bench, message);
}

static void select_messages(struct bench *bench)
{
    size_t kept = 0;
    for (size_t i = 0; i < bench->corpus.count; i++) {
        struct bench_message *message = &bench->corpus.messages[i];
        if (!counts(bench, message))
            continue;
        bench->wire_bytes += message->length;
        for (size_t n = 0; n < LIBRARIES_MAX; n++)
            bench->packed_bytes[n] += libraries[n]->pack(bench->states[n], message->loaded[n]).length;
        bench->corpus.messages[kept++] = *message;
    }
    bench->left_out = bench->corpus.count - kept;
    bench->corpus.count = kept;
}

/* --- measuring --- */

static void parse_all(const struct bench *bench, size_t library)
{
    const struct corpus *corpus = &bench->corpus;
    for (size_t i = 0; i < corpus->count; i++)
        (void)libraries[library]->parse(bench->states[library], corpus->messages[i].wire, corpus->messages[i].length);
}

static void pack_all(const struct bench *bench, size_t library)
{
    const struct corpus *corpus = &bench->corpus;
    for (size_t i = 0; i < corpus->count; i++)
        (void)libraries[library]->pack(bench->states[library], corpus->messages[i].loaded[library]);
}

static void (*const tasks[TASKS])(const struct bench *bench, size_t library) = {parse_all, pack_all};

/* Goes through the corpus as often as the slice lasts; the first time warms up. */
static double measure(const struct bench *bench, size_t task, size_t library)
{
    tasks[task](bench, library);
    const double start = cpu_ns();
    double end = start;
    size_t passes = 0;
    for (; end - start < SLICE_NS; end = cpu_ns(), passes++)
        tasks[task](bench, library);
    return (end - start) / (double)(passes * bench->corpus.count);
}

static void run(struct bench *bench)
{
    for (size_t round = 0; round < bench->rounds; round++)
        for (size_t task = 0; task < TASKS; task++)
            for (size_t library = 0; library < LIBRARIES_MAX; library++)
                bench->ns[task][library][round] = measure(bench, task, library);
}

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(const double *values, size_t count)
{
    double sorted[ROUNDS_MAX];
    memcpy(sorted, values, count * sizeof *values);
    qsort(sorted, count, sizeof *sorted, compare);
    return count % 2 ? sorted[count / 2] : (sorted[count / 2 - 1] + sorted[count / 2]) / 2;
}

/* The median of what a round says: rounds see the same machine, noise and all. */
static double ratio(const struct bench *bench, size_t task, size_t library)
{
    double ratios[ROUNDS_MAX];
    for (size_t i = 0; i < bench->rounds; i++)
        ratios[i] = bench->ns[task][library][i] / bench->ns[task][YARDSTICK][i];
    return median(ratios, bench->rounds);
}

/* --- the report --- */

static void print_table(const struct bench *bench)
{
    printf("%zu messages (%.0f bytes each), %zu left out, %zu rounds\n\n", bench->corpus.count,
           (double)bench->wire_bytes / (double)bench->corpus.count, bench->left_out, bench->rounds);
    printf("%-6s %-10s %12s %14s %12s\n", "task", "library", "ns/message", "of libknot's", "bytes out");
    for (size_t task = 0; task < TASKS; task++) {
        for (size_t i = 0; i < LIBRARIES_MAX; i++) {
            printf("%-6s %-10s %12.0f %14.2f", task_names[task], libraries[i]->name,
                   median(bench->ns[task][i], bench->rounds), ratio(bench, task, i));
            if (task == TASKS - 1)
                printf(" %12.0f", (double)bench->packed_bytes[i] / (double)bench->corpus.count);
            printf("\n");
        }
    }
}

static bool write_json(const struct bench *bench, const char *path)
{
    FILE *file = fopen(path, "w");
    if (!file) {
        perror(path);
        return false;
    }
    fprintf(file, "{\"messages\":%zu,\"left_out\":%zu,\"wire_bytes\":%zu,\"rounds\":%zu,\"results\":[",
            bench->corpus.count, bench->left_out, bench->wire_bytes, bench->rounds);
    for (size_t task = 0; task < TASKS; task++) {
        for (size_t i = 0; i < LIBRARIES_MAX; i++) {
            fprintf(file,
                    "%s{\"task\":\"%s\",\"library\":\"%s\",\"ns_per_message\":%.1f,\"of_libknot\":%.3f,\"rounds\":[",
                    task + i ? "," : "", task_names[task], libraries[i]->name,
                    median(bench->ns[task][i], bench->rounds), ratio(bench, task, i));
            for (size_t round = 0; round < bench->rounds; round++)
                fprintf(file, "%s%.1f", round ? "," : "", bench->ns[task][i][round]);
            fprintf(file, "]%s", task == TASKS - 1 ? "" : "}");
            if (task == TASKS - 1)
                fprintf(file, ",\"bytes\":%zu}", bench->packed_bytes[i]);
        }
    }
    fprintf(file, "]}\n");
    return fclose(file) == 0;
}

int main(int argc, char **argv)
{
    static struct bench bench = {.rounds = ROUNDS};
    const char *json = NULL, *folder = NULL;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0 && i + 1 < argc)
            json = argv[++i];
        else if (strcmp(argv[i], "--rounds") == 0 && i + 1 < argc)
            bench.rounds = strtoul(argv[++i], NULL, 10);
        else
            folder = argv[i];
    }
    if (bench.rounds < 1 || bench.rounds > ROUNDS_MAX) {
        fprintf(stderr, "1 to %d rounds\n", ROUNDS_MAX);
        return EXIT_FAILURE;
    }
    bench.corpus = folder ? corpus_load(folder) : corpus_make();
    for (size_t i = 0; i < LIBRARIES_MAX; i++)
        bench.states[i] = libraries[i]->open();
    select_messages(&bench);
    run(&bench);
    print_table(&bench);
    return !json || write_json(&bench, json) ? EXIT_SUCCESS : EXIT_FAILURE;
}
