/* The codec under test. */
#include "codec.h"

#include "base/arena.h"
#include "dns/message.h"

#include <stdlib.h>

struct state {
    struct buffer expanded, out;
};

static void *moondns_open(void)
{
    return calloc(1, sizeof(struct state));
}

static int moondns_parse(void *state, const uint8_t *wire, size_t length)
{
    struct dns_message message;
    struct dns_question question;
    struct dns_reader reader;
    int records = 0;
    if (dns_message_parse(wire, length, &message, NULL))
        return -1;
    dns_reader_start_questions(&reader, &message);
    while (dns_reader_next_question(&reader, &question) == STATUS_OK)
        continue;
    for (enum dns_section section = DNS_SECTION_ANSWER; section <= DNS_SECTION_ADDITIONAL; section++) {
        struct dns_record record;
        dns_reader_start(&reader, &message, section, &((struct state *)state)->expanded);
        while (dns_reader_next(&reader, &record) == STATUS_OK)
            records++;
    }
    return records;
}

struct loaded {
    struct arena arena;
    struct dns_header header;
    struct dns_question *questions;
    struct dns_record *records; /* of all sections, in order */
};

static void copy_records(struct loaded *loaded, const struct dns_message *message, struct buffer *expanded)
{
    struct dns_reader reader;
    size_t count = 0;
    for (enum dns_section section = DNS_SECTION_ANSWER; section <= DNS_SECTION_ADDITIONAL; section++) {
        struct dns_record record;
        dns_reader_start(&reader, message, section, expanded);
        while (dns_reader_next(&reader, &record) == STATUS_OK) {
            record.name = arena_copy(&loaded->arena, record.name, record.name_length);
            record.data = arena_copy(&loaded->arena, record.data, record.data_length);
            loaded->records[count++] = record;
        }
    }
}

static void *moondns_load(void *state, const uint8_t *wire, size_t length)
{
    struct dns_message message;
    struct dns_reader reader;
    struct dns_question question;
    if (dns_message_parse(wire, length, &message, NULL))
        return NULL;
    const uint16_t *counts = message.header.counts;
    struct loaded *loaded = calloc(1, sizeof *loaded);
    loaded->header = message.header;
    loaded->questions = arena_alloc(&loaded->arena, sizeof question * counts[DNS_SECTION_QUESTION]);
    loaded->records =
        arena_alloc(&loaded->arena, sizeof(struct dns_record) * ((size_t)counts[1] + counts[2] + counts[3]));
    dns_reader_start_questions(&reader, &message);
    for (size_t i = 0; dns_reader_next_question(&reader, &question) == STATUS_OK; i++) {
        question.name = arena_copy(&loaded->arena, question.name, question.name_length);
        loaded->questions[i] = question;
    }
    copy_records(loaded, &message, &((struct state *)state)->expanded);
    return loaded;
}

static struct span moondns_pack(void *state, void *message)
{
    const struct loaded *loaded = message;
    const struct dns_record *record = loaded->records;
    struct buffer *out = &((struct state *)state)->out;
    struct dns_packer packer;
    enum status status = STATUS_OK;
    buffer_clear(out);
    dns_packer_start(&packer, out, &loaded->header, DNS_MESSAGE_MAX);
    for (size_t i = 0; i < loaded->header.counts[DNS_SECTION_QUESTION] && status == STATUS_OK; i++)
        status = dns_packer_question(&packer, &loaded->questions[i]);
    for (enum dns_section section = DNS_SECTION_ANSWER; section <= DNS_SECTION_ADDITIONAL; section++)
        for (size_t i = 0; i < loaded->header.counts[section] && status == STATUS_OK; i++)
            status = dns_packer_record(&packer, section, record++);
    if (status == STATUS_OK)
        status = dns_packer_finish(&packer);
    return status ? (struct span){0} : (struct span){out->data, out->length};
}

const struct library library_moondns = {
    .name = "moondns",
    .open = moondns_open,
    .parse = moondns_parse,
    .load = moondns_load,
    .pack = moondns_pack,
};
