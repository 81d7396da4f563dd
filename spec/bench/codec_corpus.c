/* Where the messages come from. */
#include "codec.h"

#include "dns/message.h"
#include "dns/text.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

enum { VARIANTS = 40, TEXT_MAX = 4096 };

static void add(struct corpus *corpus, const uint8_t *wire, size_t length)
{
    struct bench_message *grown = realloc(corpus->messages, (corpus->count + 1) * sizeof *grown);
    uint8_t *copy = malloc(length ? length : 1);
    if (!grown || !copy)
        exit(EXIT_FAILURE);
    memcpy(copy, wire, length);
    corpus->messages = grown;
    grown[corpus->count++] = (struct bench_message){.wire = copy, .length = length};
}

/* --- made up: a message a text; "? name TYPE" is the question, then records, a line each, behind '=' (answer), '-'
 * (authority) or '+' (additional); '~' is the variant's number, which makes names differ --- */

#define SIGNATURE                                                 \
    "13 3 300 20260301000000 20260201000000 34505 example~.com. " \
    "oJB1W6WNGv+ldvQ3WDG0MQkg5IEhjRip8WTrPYGv07h108dUKGMeDPKijVCHX3DDKdfb+v6oB9wfuh3DTJXUAQ=="
#define ROOT(letter) "- com. 172800 IN NS " letter ".gtld-servers.net.\n"
#define GLUE(letter, v4, v6)                              \
    "+ " letter ".gtld-servers.net. 172800 IN A " v4 "\n" \
    "+ " letter ".gtld-servers.net. 172800 IN AAAA " v6 "\n"
#define OPT "+ . CLASS1232 TYPE41 \\# 0\n"

static const struct shape {
    unsigned weight; /* how many of it among a variant's messages */
    uint16_t flags;
    const char *text;
} shapes[] = {
    {6, 0x0100, "? www.example~.com A\n" OPT},
    {4, 0x0100, "? www.example~.com AAAA\n"},
    {2, 0x0100, "? api~.eu-west.services.example.net HTTPS\n" OPT},
    {3, 0x8180, "? www.example~.com A\n= www.example~.com. 300 IN A 192.0.2.17\n" OPT},
    {2, 0x8180,
     "? cdn~.example.org A\n= cdn~.example.org. 60 IN CNAME cdn~.example.org.edge.example.net.\n"
     "= cdn~.example.org.edge.example.net. 3600 IN CNAME e~.dscb.pool.example.net.\n"
     "= e~.dscb.pool.example.net. 20 IN A 198.51.100.4\n= e~.dscb.pool.example.net. 20 IN A 198.51.100.5\n" OPT},
    {2, 0x8180,
     "? mail~.example.org AAAA\n= mail~.example.org. 300 IN AAAA 2001:db8::~\n"
     "= mail~.example.org. 300 IN AAAA 2001:db8:1::~\n" OPT},
    {2, 0x8183,
     "? missing~.example.com A\n"
     "- example.com. 900 IN SOA ns1.example.com. hostmaster.example.com. 2026020100 7200 3600 1209600 300\n" OPT},
    {1, 0x8180,
     "? ipv4only~.example.com AAAA\n"
     "- example.com. 900 IN SOA ns1.example.com. hostmaster.example.com. 2026020100 7200 3600 1209600 300\n"},
    {1, 0x8180,
     "? api~.example.net HTTPS\n= api~.example.net. 300 IN HTTPS 1 . alpn=h3,h2 ipv4hint=192.0.2.1,192.0.2.2 "
     "ipv6hint=2001:db8::1,2001:db8::2\n" OPT},
    {1, 0x8180,
     "? example~.com MX\n= example~.com. 3600 IN MX 10 mx1.mail.example~.com.\n"
     "= example~.com. 3600 IN MX 20 mx2.mail.example~.com.\n= example~.com. 3600 IN MX 30 backup.example.net.\n"
     "+ mx1.mail.example~.com. 3600 IN A 192.0.2.25\n+ mx2.mail.example~.com. 3600 IN A 192.0.2.26\n" OPT},
    {1, 0x8180,
     "? example~.com TXT\n= example~.com. 3600 IN TXT \"v=spf1 include:_spf.example.net ip4:192.0.2.0/24 -all\"\n"
     "= example~.com. 3600 IN TXT \"site-verification=AbCdEf0123456789AbCdEf0123456789\"\n" OPT},
    {1, 0x8180, "? 17.2.0.192.in-addr.arpa PTR\n= 17.2.0.192.in-addr.arpa. 3600 IN PTR host~.example.com.\n"},
    {1, 0x8180,
     "? _xmpp._tcp.example~.com SRV\n= _xmpp._tcp.example~.com. 300 IN SRV 5 0 5269 xmpp1.example~.com.\n"
     "= _xmpp._tcp.example~.com. 300 IN SRV 10 0 5269 xmpp2.example~.com.\n" OPT},
    {1, 0x81a0,
     "? www.example~.com A\n= www.example~.com. 300 IN A 192.0.2.17\n= www.example~.com. 300 IN RRSIG A " SIGNATURE
     "\n+ . CLASS1232 32768 TYPE41 \\# 0\n"},
    {1, 0x81a3,
     "? nothing.example~.com A\n"
     "- example~.com. 300 IN SOA ns1.example~.com. hostmaster.example~.com. 2026020100 7200 3600 1209600 300\n"
     "- example~.com. 300 IN RRSIG SOA " SIGNATURE "\n- mail.example~.com. 300 IN NSEC www.example~.com. A RRSIG NSEC\n"
     "- mail.example~.com. 300 IN RRSIG NSEC " SIGNATURE
     "\n- example~.com. 300 IN NSEC api.example~.com. A NS SOA MX TXT AAAA RRSIG NSEC DNSKEY\n"
     "- example~.com. 300 IN RRSIG NSEC " SIGNATURE "\n+ . CLASS1232 32768 TYPE41 \\# 0\n"},
    {1, 0x8400,
     "? www.example~.com A\n- example~.com. 172800 IN NS ns1.dns~.example.net.\n"
     "- example~.com. 172800 IN NS ns2.dns~.example.net.\n+ ns1.dns~.example.net. 172800 IN A 192.0.2.53\n"
     "+ ns2.dns~.example.net. 172800 IN A 198.51.100.53\n+ ns1.dns~.example.net. 172800 IN AAAA 2001:db8::53\n" OPT},
    {1, 0x8000,
     "? www.example~.com A\n" ROOT("a") ROOT("b") ROOT("c") ROOT("d") ROOT("e") ROOT("f") ROOT("g") ROOT("h") ROOT("i")
         ROOT("j") ROOT("k") ROOT("l") ROOT("m") GLUE("a", "192.5.6.30", "2001:503:a83e::2:30")
             GLUE("b", "192.33.14.30", "2001:503:231d::2:30") GLUE("c", "192.26.92.30", "2001:503:83eb::30")
                 GLUE("d", "192.31.80.30", "2001:500:856e::30") GLUE("e", "192.12.94.30", "2001:502:1ca1::30") OPT},
};

static void fail(const char *line, const struct reason *reason)
{
    fprintf(stderr, "%s: %s\n", line, reason->text);
    exit(EXIT_FAILURE);
}

static void add_line(struct dns_packer *packer, const char *line, struct buffer *storage)
{
    static const char marks[] = "?=-+";
    const enum dns_section section = (enum dns_section)(strchr(marks, line[0]) - marks);
    struct reason reason = {"does not fit"};
    struct dns_record record;
    enum status status;
    if (section == DNS_SECTION_QUESTION) {
        const char *type = strrchr(line, ' ');
        struct dns_name name;
        struct dns_question question = {.class_ = DNS_CLASS_IN};
        status = dns_name_from_text(line + 2, (size_t)(type - line - 2), &name, &reason);
        if (status == STATUS_OK)
            status = dns_registry_from_text(DNS_TYPES, type + 1, strlen(type + 1), &question.type);
        question.name = name.wire;
        question.name_length = name.length;
        if (status == STATUS_OK)
            status = dns_packer_question(packer, &question);
    } else {
        status = dns_record_from_text(line + 2, strlen(line + 2), storage, &record, &reason);
        if (status == STATUS_OK && record.type == DNS_TYPE_OPT && record.ttl == DNS_DEFAULT_TTL)
            record.ttl = 0;
        if (status == STATUS_OK)
            status = dns_packer_record(packer, section, &record);
    }
    if (status)
        fail(line, &reason);
}

static void make(struct corpus *corpus, const struct shape *shape, unsigned variant)
{
    char text[TEXT_MAX];
    size_t length = 0;
    struct buffer wire = {0}, storage = {0};
    struct dns_packer packer;
    for (const char *at = shape->text; *at; at++)
        length += (size_t)(*at == '~' ? snprintf(text + length, sizeof text - length, "%u", variant)
                                      : snprintf(text + length, sizeof text - length, "%c", *at));
    dns_packer_start(&packer, &wire, &(struct dns_header){.id = (uint16_t)(variant * 7919), .flags = shape->flags},
                     DNS_MESSAGE_MAX);
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
        add_line(&packer, line, &storage);
    if (dns_packer_finish(&packer) == STATUS_OK)
        add(corpus, wire.data, wire.length);
    buffer_free(&wire);
    buffer_free(&storage);
}

struct corpus corpus_make(void)
{
    struct corpus corpus = {0};
    for (unsigned variant = 0; variant < VARIANTS; variant++)
        for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
            for (unsigned n = 0; n < shapes[i].weight; n++)
                make(&corpus, &shapes[i], variant * 10 + n);
    return corpus;
}

/* --- from files --- */

struct corpus corpus_load(const char *folder)
{
    struct corpus corpus = {0};
    struct dirent **entries;
    const int count = scandir(folder, &entries, NULL, alphasort);
    for (int i = 0; i < count; i++) {
        static uint8_t wire[DNS_MESSAGE_MAX];
        char path[TEXT_MAX];
        snprintf(path, sizeof path, "%s/%s", folder, entries[i]->d_name);
        FILE *file = entries[i]->d_name[0] == '.' ? NULL : fopen(path, "rb");
        const size_t length = file ? fread(wire, 1, sizeof wire, file) : 0;
        if (file)
            fclose(file);
        if (length > 0)
            add(&corpus, wire, length);
        free(entries[i]);
    }
    if (count >= 0)
        free(entries);
    if (corpus.count == 0) {
        fprintf(stderr, "there are no messages in %s\n", folder);
        exit(EXIT_FAILURE);
    }
    return corpus;
}
