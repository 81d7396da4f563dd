/* Any text as a master file: what is wrong has a reason; a zone's records, written as text, give the same zone; and
 * every question about its names, those above and those below has an answer that is a message. */
#include "messages.h"

#include "data/zone.h"
#include "dns/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { GENERATED_MAX = 200, RECORDS_ASKED = 40 };

static const struct dns_name origin = {9, "\7example"};

/* The zone in a piece of memory of just its size, which belongs to the caller; NULL when the text has something wrong.
 */
static struct zone *parse(const uint8_t *text, size_t length)
{
    const struct zone_source source = {
        .name = "f", .origin = &origin, .no_include = true, .generated_max = GENERATED_MAX};
    struct buffer image = {0};
    struct reason reason = {""};
    struct zone *zone = NULL;
    if (zone_parse(&source, (const char *)text, length, &image, &reason)) {
        MUST(reason.text[0] == 'f' && reason.text[1] == ':');
    } else {
        MUST(zone_size(zone_from(image.data)) == image.length);
        zone = malloc(image.length);
        MUST(zone);
        memcpy(zone, image.data, image.length);
    }
    buffer_free(&image);
    return zone;
}

static void ask(const struct zone *zone, const uint8_t *name, size_t length, uint16_t type, uint16_t class)
{
    const struct dns_header header = {.id = 7, .flags = DNS_FLAG_RD};
    const struct dns_question question = {name, (uint8_t)length, type, class};
    struct buffer wire = {0}, answer = {0};
    struct dns_packer packer;
    struct dns_message query, view;
    dns_packer_start(&packer, &wire, &header, DNS_MESSAGE_MAX);
    MUST(dns_packer_question(&packer, &question) == STATUS_OK);
    MUST(dns_packer_finish(&packer) == STATUS_OK);
    MUST(dns_message_add_opt(&wire, 1232, 0, type % 2) == STATUS_OK);
    MUST(dns_message_parse(wire.data, wire.length, &query, NULL) == STATUS_OK);
    enum status status = zone_answer(zone, &query, &answer);
    MUST(status == (dns_name_is_subdomain(name, zone_origin(zone)) ? STATUS_OK : STATUS_NOT_FOUND));
    if (status == STATUS_OK) {
        MUST(dns_message_parse(answer.data, answer.length, &view, NULL) == STATUS_OK);
        MUST(view.header.id == 7 && view.header.flags & DNS_FLAG_QR && view.opt.count == 1);
        MUST(dns_question_equal(&view.question, &question));
    }
    buffer_free(&wire);
    buffer_free(&answer);
}

/* Asks for the name itself, the one above, and one below. */
static void ask_around(const struct zone *zone, const uint8_t *name, size_t length, uint16_t type, uint16_t class)
{
    uint8_t below[DNS_NAME_MAX] = "\1x";
    ask(zone, name, length, type, class);
    if (length > 1)
        ask(zone, name + name[0] + 1, length - name[0] - 1, type, class);
    if (length + 2 <= sizeof below) {
        memcpy(below + 2, name, length);
        ask(zone, below, length + 2, type, class);
    }
}

static void ask_for(const struct zone *zone, const struct dns_record *record)
{
    static const uint16_t types[] = {DNS_TYPE_A, DNS_TYPE_NS, DNS_TYPE_ANY, 43, DNS_TYPE_CNAME, 46, 252};
    ask_around(zone, record->name, record->name_length, record->type, record->class_);
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        ask_around(zone, record->name, record->name_length, types[i], record->class_);
    if (record->type == DNS_TYPE_CNAME || record->type == DNS_TYPE_DNAME || record->type == DNS_TYPE_NS)
        ask_around(zone, record->data, record->data_length, DNS_TYPE_A, record->class_);
}

static void must_come_back(const struct zone *zone)
{
    struct buffer text = {0};
    struct dns_record a, b;
    for (size_t i = 0; i < zone_count(zone); i++) {
        zone_record(zone, i, &a);
        dns_record_to_text(&a, &text);
        buffer_u8(&text, '\n');
    }
    struct zone *again = parse(text.data, text.length);
    MUST(again && zone_count(again) == zone_count(zone));
    for (size_t i = 0; i < zone_count(zone); i++) {
        zone_record(zone, i, &a);
        zone_record(again, i, &b);
        MUST(dns_record_equal(&a, &b));
    }
    free(again);
    buffer_free(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct zone *zone = parse(data, size);
    struct dns_record record;
    if (!zone)
        return 0;
    must_come_back(zone);
    for (size_t i = 0; i < zone_count(zone) && i < RECORDS_ASKED; i++) {
        zone_record(zone, i, &record);
        MUST(dns_name_is_subdomain(record.name, zone_origin(zone)));
        ask_for(zone, &record);
    }
    free(zone);
    return 0;
}
