#include "data/zone_file.h"

#include "dns/text.h"

enum { PATH_LENGTH_MAX = 4096 };

/* What all files of one reading share. */
struct reader {
    const struct zone_file_reading *reading;
    struct buffer data; /* of the record that is being read */
    uint16_t class_;    /* of records that do not name theirs: as the one before */
    unsigned includes;  /* files included so far */
    unsigned generated; /* records made so far */
    bool placed;        /* the reason begins with its place */
    struct reason *why; /* for what is wrong */
};

/* Where the TTL of a record comes from that has none. */
enum ttl_from { TTL_FROM_NOTHING, TTL_FROM_RECORD, TTL_FROM_DIRECTIVE };

struct file {
    struct reader *reader;
    const char *name;
    struct dns_scanner scanner;
    size_t line, counted; /* the line at this offset */
    struct dns_name origin, owner;
    bool has_origin, has_owner;
    enum ttl_from ttl_from;
    uint32_t ttl;
    unsigned depth;
};

static enum status read_lines(struct file *file);

/* Over a file's text, behind the byte order mark that some editors put there. */
static struct dns_scanner scanner_over(const char *text, size_t length)
{
    static const char mark[] = "\xef\xbb\xbf";
    const size_t skipped = length >= 3 && memcmp(text, mark, 3) == 0 ? 3 : 0;
    return dns_scanner_over(text + skipped, length - skipped);
}

/* --- places --- */

static size_t line_at(struct file *file, size_t offset)
{
    for (; file->counted < offset && file->counted < file->scanner.length; file->counted++)
        file->line += file->scanner.text[file->counted] == '\n';
    return file->line;
}

/* Puts "NAME:LINE: " before what is wrong, unless an included file has done so. An entry that never ends is found
 * where it begins. */
static enum status place(struct file *file, enum status status, size_t start_line)
{
    struct reader *reader = file->reader;
    bool endless = file->scanner.offset >= file->scanner.length;
    size_t line = endless ? start_line : line_at(file, file->scanner.offset);
    if (status == STATUS_NO_MEMORY)
        reason_set(reader->why, "out of memory");
    if (!reader->placed)
        reason_prefix(reader->why, "%s:%zu: ", file->name, line);
    reader->placed = true;
    return status;
}

/* --- records --- */

static enum status next_word(struct file *file, const char *expected, struct dns_token *out)
{
    enum status status = dns_scanner_next(&file->scanner, out, file->reader->why);
    if (status == STATUS_NOT_FOUND) {
        reason_set(file->reader->why, "%s expected, got nothing", expected);
        return STATUS_MALFORMED;
    }
    return status;
}

static void set_origin(struct file *file, const struct dns_name *origin)
{
    file->origin = *origin;
    file->has_origin = true;
}

static bool ends_with_dot(const struct dns_token *word)
{
    return word->length > 0 && word->text[word->length - 1] == '.';
}

static enum status take_owner(struct file *file, const struct dns_token *word)
{
    struct reader *reader = file->reader;
    if (!file->has_origin && !ends_with_dot(word)) {
        reason_set(reader->why, "the origin is not known here: $ORIGIN expected, or an SOA record whose owner ends "
                                "with a dot");
        return STATUS_INVALID;
    }
    enum status status = dns_word_to_name(word, &file->origin, &file->owner, reader->why);
    file->has_owner = file->has_owner || status == STATUS_OK;
    return status;
}

/* The minimum field of SOA's data (RFC 1035 section 3.3.13), which fits. */
static uint32_t soa_minimum(const struct buffer *data)
{
    uint32_t minimum = load_u32(data->data + data->length - 4);
    return minimum < DNS_TTL_MAX ? minimum : DNS_TTL_MAX;
}

static void settle_ttl(struct file *file, struct dns_record *record, bool has_ttl)
{
    if (has_ttl) {
        if (file->ttl_from != TTL_FROM_DIRECTIVE) {
            file->ttl = record->ttl;
            file->ttl_from = TTL_FROM_RECORD;
        }
    } else if (file->ttl_from != TTL_FROM_NOTHING) {
        record->ttl = file->ttl;
    } else if (record->type == DNS_TYPE_SOA) {
        record->ttl = soa_minimum(&file->reader->data);
        file->ttl = record->ttl;
        file->ttl_from = TTL_FROM_RECORD;
    }
}

/* Reads what follows the owner, from `scanner`. */
static enum status read_record(struct file *file, struct dns_scanner *scanner)
{
    struct reader *reader = file->reader;
    struct dns_record record = {.class_ = reader->class_, .ttl = DNS_DEFAULT_TTL};
    bool has_ttl;
    enum status status = dns_record_scan_head(scanner, &record, &has_ttl, reader->why);
    if (status)
        return status;
    if (!file->has_origin) {
        if (record.type != DNS_TYPE_SOA) {
            reason_set(reader->why, "the origin is not known here: $ORIGIN or an SOA record expected first");
            return STATUS_INVALID;
        }
        set_origin(file, &file->owner);
    }
    buffer_clear(&reader->data);
    scanner->origin = &file->origin;
    status = dns_rdata_scan(dns_rdata_type(record.type, record.class_), scanner, &reader->data, reader->why);
    if (status)
        return status;
    if (!dns_rdata_fits(dns_rdata_type(record.type, record.class_), reader->data.data, reader->data.length)) {
        char type[DNS_MNEMONIC_MAX];
        reason_set(reader->why, "the data does not fit the type %s",
                   dns_registry_to_text(DNS_TYPES, record.type, type));
        return STATUS_INVALID;
    }
    settle_ttl(file, &record, has_ttl);
    record.name = file->owner.wire;
    record.name_length = file->owner.length;
    record.data = reader->data.data;
    record.data_length = (uint16_t)reader->data.length;
    status = reader->reading->add(reader->reading->context, &record, reader->why);
    reader->class_ = record.class_;
    return status;
}

/* --- directives --- */

static enum status read_origin(struct file *file)
{
    struct reader *reader = file->reader;
    struct dns_token word;
    struct dns_name origin;
    enum status status = next_word(file, "domain name", &word);
    if (status)
        return status;
    if (!file->has_origin && !ends_with_dot(&word)) {
        reason_set(reader->why, "the first $ORIGIN must end with a dot");
        return STATUS_INVALID;
    }
    status = dns_word_to_name(&word, &file->origin, &origin, reader->why);
    if (status == STATUS_OK)
        set_origin(file, &origin);
    return status;
}

static enum status read_ttl(struct file *file)
{
    struct dns_token word;
    uint32_t ttl;
    enum status status = next_word(file, "TTL", &word);
    if (status)
        return status;
    if (!dns_word_to_seconds(&word, &ttl) || ttl > DNS_TTL_MAX)
        return dns_word_refuse(&word, "TTL from 0 to 2147483647", file->reader->why);
    file->ttl = ttl;
    file->ttl_from = TTL_FROM_DIRECTIVE;
    return STATUS_OK;
}

/* The path as it is to be opened: a relative one begins in the folder of the file that names it. */
static enum status include_path(const struct file *file, const struct dns_token *word, struct buffer *out)
{
    const char *slash = strrchr(file->name, '/');
    if (slash && !(word->length > 0 && word->text[0] == '/'))
        buffer_append(out, file->name, (size_t)(slash + 1 - file->name));
    enum status status = dns_unescape(word->text, word->length, out);
    if (status || word->length == 0 || memchr(out->data, '\0', out->length) || out->length > PATH_LENGTH_MAX)
        return status == STATUS_NO_MEMORY ? status : dns_word_refuse(word, "path of a file", file->reader->why);
    return buffer_c_string(out) ? STATUS_OK : STATUS_NO_MEMORY;
}

/* Reads an included file: it begins with this one's state, and leaves it as it was (RFC 1035 section 5.1). */
static enum status read_included(struct file *file, const char *path, const struct dns_name *origin)
{
    struct reader *reader = file->reader;
    struct buffer text = {0};
    enum status status = reader->reading->open(path, &text, reader->why);
    if (status == STATUS_OK) {
        struct file inner = *file;
        inner.name = path;
        inner.scanner = scanner_over((const char *)text.data, text.length);
        inner.counted = 0;
        inner.line = 1;
        inner.origin = *origin;
        inner.depth++;
        status = read_lines(&inner);
    }
    buffer_free(&text);
    return status == STATUS_NOT_FOUND ? STATUS_IO : status;
}

static enum status read_include(struct file *file)
{
    struct reader *reader = file->reader;
    struct buffer path = {0};
    struct dns_name origin = file->origin;
    struct dns_token word;
    enum status status = next_word(file, "path of a file", &word);
    if (status == STATUS_OK)
        status = include_path(file, &word, &path);
    if (status == STATUS_OK &&
        (!reader->reading->open || file->depth == ZONE_FILE_DEPTH_MAX || reader->includes == ZONE_FILE_INCLUDES_MAX)) {
        reason_set(reader->why, reader->reading->open ? "too many files within files" : "$INCLUDE is not taken here");
        status = STATUS_INVALID;
    }
    if (status)
        goto done;
    status = dns_scanner_next(&file->scanner, &word, reader->why);
    if (status == STATUS_OK)
        status = dns_word_to_name(&word, file->has_origin ? &file->origin : NULL, &origin, reader->why);
    else if (status == STATUS_NOT_FOUND)
        status = STATUS_OK;
    if (status == STATUS_OK)
        status = dns_scanner_expect_end(&file->scanner, "end of the line", reader->why);
    if (status == STATUS_OK) {
        reader->includes++;
        status = read_included(file, (const char *)path.data, &origin);
    }
done:
    buffer_free(&path);
    return status;
}

/* One record of $GENERATE, whose text is "OWNER REST". */
static enum status read_generated(struct file *file, const char *text, size_t length)
{
    struct dns_scanner scanner = dns_scanner_over(text, length);
    struct dns_token word;
    if (file->reader->generated++ == file->reader->reading->generated_max) {
        reason_set(
            file->reader->why,
            "$GENERATE makes more than %u records, all that one zone may have of them: a smaller range or a larger "
            "step expected",
            file->reader->reading->generated_max);
        return STATUS_INVALID;
    }
    enum status status = dns_scanner_next(&scanner, &word, file->reader->why);
    if (status == STATUS_OK)
        status = take_owner(file, &word);
    else if (status == STATUS_NOT_FOUND)
        status = dns_word_refuse(&(struct dns_token){.text = ""}, "owner", file->reader->why);
    if (status == STATUS_OK)
        status = read_record(file, &scanner);
    if (status == STATUS_OK && scanner.offset < scanner.length) {
        reason_set(file->reader->why, "$GENERATE takes one line");
        status = STATUS_INVALID;
    }
    return status;
}

static enum status read_generate(struct file *file)
{
    struct zone_generate range;
    struct dns_token word, owner;
    struct buffer text = {0};
    enum status status = next_word(file, "range", &word);
    if (status == STATUS_OK)
        status = zone_generate_range(word.text, word.length, &range, file->reader->why);
    if (status == STATUS_OK)
        status = next_word(file, "owner", &owner);
    if (status == STATUS_OK && owner.quoted)
        status = dns_word_refuse(&owner, "owner without quotes", file->reader->why);
    if (status)
        return status;
    size_t end = file->scanner.offset;
    while ((status = dns_scanner_next(&file->scanner, &word, file->reader->why)) == STATUS_OK)
        end = file->scanner.offset;
    if (status != STATUS_NOT_FOUND)
        return status;
    size_t length = (size_t)(file->scanner.text + end - owner.text);
    for (uint64_t i = range.at; i <= range.stop; i += range.step) {
        buffer_clear(&text);
        status = zone_generate_expand(owner.text, length, (uint32_t)i, &text, file->reader->why);
        if (status == STATUS_OK)
            status = read_generated(file, (const char *)text.data, text.length);
        if (status)
            break;
    }
    buffer_free(&text);
    return status;
}

static const struct directive {
    const char *name;
    enum status (*read)(struct file *file);
} directives[] = {
    {"$ORIGIN", read_origin},
    {"$TTL", read_ttl},
    {"$INCLUDE", read_include},
    {"$GENERATE", read_generate},
};

static bool equal_caseless(const struct dns_token *word, const char *name)
{
    if (strlen(name) != word->length)
        return false;
    for (size_t i = 0; i < word->length; i++)
        if (dns_lower((uint8_t)word->text[i]) != dns_lower((uint8_t)name[i]))
            return false;
    return true;
}

static enum status read_directive(struct file *file, const struct dns_token *word)
{
    for (size_t i = 0; i < sizeof directives / sizeof directives[0]; i++) {
        if (!equal_caseless(word, directives[i].name))
            continue;
        enum status status = directives[i].read(file);
        return status ? status : dns_scanner_expect_end(&file->scanner, "end of the line", file->reader->why);
    }
    return dns_word_refuse(word, "$ORIGIN, $TTL, $INCLUDE or $GENERATE", file->reader->why);
}

/* --- lines --- */

/* Reads one entry, which may be several lines, or nothing. */
static enum status read_entry(struct file *file)
{
    struct dns_scanner *scanner = &file->scanner;
    struct dns_scanner start = *scanner;
    struct dns_token word;
    bool blank = start.offset < start.length && (start.text[start.offset] == ' ' || start.text[start.offset] == '\t');
    enum status status = dns_scanner_next(scanner, &word, file->reader->why);
    if (status)
        return status == STATUS_NOT_FOUND ? STATUS_OK : status;
    if (!word.quoted && word.text[0] == '$')
        return read_directive(file, &word);
    if (blank && !file->has_owner) {
        reason_set(file->reader->why, "owner expected: there is no record before this one");
        return STATUS_INVALID;
    }
    if (blank)
        *scanner = start;
    else
        status = take_owner(file, &word);
    return status ? status : read_record(file, scanner);
}

static enum status read_lines(struct file *file)
{
    do {
        size_t line = line_at(file, file->scanner.offset);
        enum status status = read_entry(file);
        if (status)
            return place(file, status, line);
    } while (dns_scanner_next_line(&file->scanner));
    return STATUS_OK;
}

enum status zone_file_read(const struct zone_file_reading *reading, const char *name, const char *text, size_t length,
                           struct reason *reason)
{
    struct reason why = {""};
    struct reader reader = {.reading = reading, .class_ = DNS_CLASS_IN, .why = &why};
    struct file file = {
        .reader = &reader,
        .name = name,
        .scanner = scanner_over(text, length),
        .line = 1,
        .origin = {.length = 1},
    };
    if (reading->origin)
        set_origin(&file, reading->origin);
    enum status status = read_lines(&file);
    buffer_free(&reader.data);
    if (status)
        reason_set(reason, "%s", why.text);
    return status;
}
