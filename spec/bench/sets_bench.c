/* Sets of a million entries: sets_bench FOLDER JSON. For each kind of entries it writes a list and two files of
 * queries, those that hit and those that miss, into FOLDER (KIND.list, KIND.hit, KIND.miss), and measures loading the
 * list, memory, and lookups. Lookups are made one after another, each waiting for the one before; what counts is
 * processor time, the median over the rounds. */
#include "data/list_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

enum { ENTRIES = 1000000, QUERIES = 200000, ROUNDS = 9, TEXT_MAX = 256, ALIGNMENT = 2 * 1024 * 1024 };

enum { AHEAD = 8 /* queries */, QUERY_BYTES = 64 /* that matter */, LINE = 64 };

/* --- random, the same in each run --- */

static uint64_t random_next(uint64_t *state)
{
    uint64_t mixed = *state += UINT64_C(0x9e3779b97f4a7c15);
    mixed = (mixed ^ mixed >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    mixed = (mixed ^ mixed >> 27) * UINT64_C(0x94d049bb133111eb);
    return mixed ^ mixed >> 31;
}

/* --- kinds of entries --- */

union set {
    struct domain_set domains;
    struct address_set addresses;
};

union query {
    struct dns_name name;
    struct address address;
};

struct kind {
    const char *name;
    bool is_domains;
    /* Entry `number`, and a query in it; the query misses (as good as always) where `miss` is set. */
    void (*entry)(uint64_t number, char out[static TEXT_MAX]);
    void (*query)(uint64_t number, bool miss, char out[static TEXT_MAX]);
};

static void domain_entry(uint64_t number, char out[static TEXT_MAX])
{
    static const char *const above[] = {"com", "net", "example", "co.example", "test"};
    uint64_t state = number;
    char label[16];
    const uint64_t random = random_next(&state);
    const unsigned length = 5 + (unsigned)(random % 10);
    uint64_t letters = random_next(&state);
    for (unsigned i = 0; i < length; i++, letters /= 26)
        label[i] = (char)('a' + letters % 26);
    label[length] = '\0';
    snprintf(out, TEXT_MAX, "%s%s%llu.%s", random >> 32 & 1 ? "ads." : "", label, (unsigned long long)(number % 1000),
             above[random % 5]);
}

static void domain_query(uint64_t number, bool miss, char out[static TEXT_MAX])
{
    char entry[TEXT_MAX];
    domain_entry(miss ? number + 2 * (uint64_t)ENTRIES : number, entry);
    snprintf(out, TEXT_MAX, "%s%.*s", number % 2 ? "www." : "", TEXT_MAX - 5, entry);
}

/* Some of the 32 bits, or of the 128, are the same for all; what is behind them is random. Misses lie elsewhere. */
static void ipv4_bytes(uint64_t number, bool miss, uint8_t out[static 4])
{
    uint64_t state = number;
    store_u32(out, (uint32_t)random_next(&state));
    out[0] = (uint8_t)(miss ? out[0] | 0x80 : out[0] & 0x7f);
}

static unsigned ipv4_length(uint64_t number)
{
    return 8 + (unsigned)(number % 25);
}

static void ipv4_entry(uint64_t number, char out[static TEXT_MAX])
{
    uint8_t bytes[4];
    ipv4_bytes(number, false, bytes);
    snprintf(out, TEXT_MAX, "%u.%u.%u.%u/%u", bytes[0], bytes[1], bytes[2], bytes[3], ipv4_length(number));
}

static void ipv4_query(uint64_t number, bool miss, char out[static TEXT_MAX])
{
    uint8_t bytes[4];
    ipv4_bytes(number, miss, bytes);
    snprintf(out, TEXT_MAX, "%u.%u.%u.%u", bytes[0], bytes[1], bytes[2], bytes[3]);
}

static void ipv6_text(uint64_t high, uint64_t low, bool miss, char out[static TEXT_MAX])
{
    struct address address = {.family = AF_INET6};
    store_u32(address.bytes, (uint32_t)(high >> 32));
    store_u32(address.bytes + 4, (uint32_t)high);
    store_u32(address.bytes + 8, (uint32_t)(low >> 32));
    store_u32(address.bytes + 12, (uint32_t)low);
    address.bytes[0] = (uint8_t)(miss ? address.bytes[0] | 0x80 : (address.bytes[0] & 0x7f) | 0x20);
    address_ip_text(&address, out);
}

static void ipv6_query(uint64_t number, bool miss, char out[static TEXT_MAX])
{
    uint64_t state = number;
    const uint64_t high = random_next(&state);
    ipv6_text(high, random_next(&state), miss, out);
}

static void ipv6_entry(uint64_t number, char out[static TEXT_MAX])
{
    ipv6_query(number, false, out);
    snprintf(out + strlen(out), 8, "/%u", 8 + (unsigned)(number % 121));
}

/* Chains of all lengths from 8 to 128, one inside the other: every length has an entry around the address. */
static void nested_query(uint64_t number, bool miss, char out[static TEXT_MAX])
{
    ipv6_query(number / 121, miss, out);
}

static void nested_entry(uint64_t number, char out[static TEXT_MAX])
{
    nested_query(number, false, out);
    snprintf(out + strlen(out), 8, "/%u", 8 + (unsigned)(number % 121));
}

static const struct kind kinds[] = {
    {"domains", true, domain_entry, domain_query},
    {"ipv4", false, ipv4_entry, ipv4_query},
    {"ipv6", false, ipv6_entry, ipv6_query},
    {"ipv6-nested", false, nested_entry, nested_query},
};

/* --- files --- */

static FILE *open_file(const char *folder, const struct kind *kind, const char *suffix, const char *mode)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s.%s", folder, kind->name, suffix);
    FILE *file = fopen(path, mode);
    if (!file) {
        perror(path);
        exit(1);
    }
    return file;
}

static void write_files(const char *folder, const struct kind *kind)
{
    char text[TEXT_MAX];
    uint64_t state = 1;
    FILE *list = open_file(folder, kind, "list", "w");
    FILE *queries[2] = {open_file(folder, kind, "hit", "w"), open_file(folder, kind, "miss", "w")};
    for (uint64_t i = 0; i < ENTRIES; i++) {
        kind->entry(i, text);
        fprintf(list, "%s\n", text);
    }
    for (unsigned i = 0; i < QUERIES; i++) {
        for (unsigned miss = 0; miss < 2; miss++) {
            kind->query(random_next(&state) % ENTRIES, miss, text);
            fprintf(queries[miss], "%s\n", text);
        }
    }
    fclose(list);
    fclose(queries[0]);
    fclose(queries[1]);
}

static union query *read_queries(const char *folder, const struct kind *kind, bool miss)
{
    char line[TEXT_MAX];
    union query *queries = calloc(QUERIES, sizeof *queries);
    FILE *file = open_file(folder, kind, miss ? "miss" : "hit", "r");
    for (size_t i = 0; queries && i < QUERIES && fgets(line, sizeof line, file); i++) {
        const size_t length = strcspn(line, "\n");
        enum status status = kind->is_domains ? dns_name_from_text(line, length, &queries[i].name, NULL)
                                              : address_from_ip(line, length, &queries[i].address);
        if (status)
            abort();
    }
    fclose(file);
    return queries;
}

/* --- memory --- */

struct heap {
    void *now, *before;
    size_t size;
};

static void *replace(void *context, size_t size)
{
    struct heap *heap = context;
    free(heap->before);
    heap->before = heap->now;
    heap->size = size;
    heap->now = aligned_alloc(ALIGNMENT, (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT);
    if (heap->now && size >= ALIGNMENT)
        (void)madvise(heap->now, size, MADV_HUGEPAGE); /* as the Lua classes do */
    return heap->now;
}

/* --- measuring --- */

static double cpu_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static size_t find(const struct kind *kind, const union set *set, const union query *query)
{
    struct address_prefix prefix;
    return kind->is_domains ? domain_set_match(&set->domains, query->name.wire) != NULL
                            : address_set_match(&set->addresses, &query->address, &prefix);
}

/* A name or an address that is looked up has just been read from a packet: it is in the cache. */
static void prefetch(const union query *query)
{
    for (size_t at = 0; at < QUERY_BYTES; at += LINE)
        __builtin_prefetch((const char *)query + at);
}

/* For one lookup, and how many of them hit. */
static double measure(const struct kind *kind, const union set *set, const union query *queries, size_t *hits)
{
    static volatile size_t zero; /* nobody knows before it is read: so the next query waits for this one */
    double rounds[ROUNDS];
    const size_t none = zero;
    for (size_t round = 0; round < ROUNDS; round++) {
        const double start = cpu_ns();
        *hits = 0;
        for (size_t i = 0; i < QUERIES; i++) {
            prefetch(&queries[i + AHEAD < QUERIES ? i + AHEAD : 0]);
            const size_t hit = find(kind, set, &queries[i]);
            i += hit & none;
            *hits += hit;
        }
        rounds[round] = (cpu_ns() - start) / QUERIES;
    }
    qsort(rounds, ROUNDS, sizeof rounds[0], compare);
    return rounds[ROUNDS / 2];
}

static void unusable(void *context, size_t line, const char *text, size_t length, const struct reason *reason)
{
    (void)context;
    fprintf(stderr, "line %zu: %.*s: %s\n", line, (int)length, text, reason->text);
    abort();
}

static size_t load(const struct kind *kind, const char *folder, union set *set, const struct set_memory *memory)
{
    static const uint64_t secret[2] = {0x0123456789abcdef, 0xfedcba9876543210};
    const struct list_report report = {unusable, NULL};
    struct reason reason = {""};
    char path[4096];
    snprintf(path, sizeof path, "%s/%s.list", folder, kind->name);
    enum status status;
    if (kind->is_domains) {
        domain_set_init(&set->domains, secret);
        status = domain_set_load(&set->domains, memory, path, &report, &reason);
    } else {
        address_set_init(&set->addresses, secret);
        status = address_set_load(&set->addresses, memory, path, &report, &reason);
    }
    if (status) {
        fprintf(stderr, "%s\n", reason.text);
        exit(1);
    }
    return kind->is_domains ? set->domains.count : address_set_count(&set->addresses);
}

static void run(const struct kind *kind, const char *folder, FILE *json)
{
    union set set;
    struct heap heap = {NULL, NULL, 0};
    const struct set_memory memory = {replace, &heap};
    size_t hits[2];
    double ns[2];
    write_files(folder, kind);
    const double start = cpu_ns();
    const size_t count = load(kind, folder, &set, &memory);
    const double load_ms = (cpu_ns() - start) / 1e6;
    for (unsigned miss = 0; miss < 2; miss++) {
        union query *queries = read_queries(folder, kind, miss);
        ns[miss] = measure(kind, &set, queries, &hits[miss]);
        free(queries);
    }
    fprintf(json,
            "{\"kind\": \"%s\", \"entries\": %zu, \"load_ms\": %.0f, \"bytes_per_entry\": %.1f, \"hit_ns\": %.0f, "
            "\"hits\": %.3f, \"miss_ns\": %.0f, \"misses\": %.3f}",
            kind->name, count, load_ms, (double)heap.size / (double)count, ns[0], (double)hits[0] / QUERIES, ns[1],
            1 - (double)hits[1] / QUERIES);
    free(heap.before);
    free(heap.now);
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: sets_bench FOLDER JSON\n");
        return 2;
    }
    FILE *json = fopen(argv[2], "w");
    if (!json) {
        perror(argv[2]);
        return 1;
    }
    fputs("[", json);
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        fputs(i ? ",\n" : "", json);
        run(&kinds[i], argv[1], json);
    }
    fputs("]\n", json);
    return fclose(json) == 0 ? 0 : 1;
}
