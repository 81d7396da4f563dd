#include "net/http/names.h"

#include "dns/registry.h"

#include <stdio.h>

static const uint16_t types[2] = {DNS_TYPE_AAAA, DNS_TYPE_A};

/* --- the hosts file --- */

void http_hosts_free(struct http_hosts *hosts)
{
    hosts_free(hosts->hosts);
    hosts->hosts = NULL;
}

/* Reads the file if it has changed. One that is not there, or cannot be read, names nobody. */
static void refresh(struct http_hosts *file)
{
    const struct log silent = {.level = LOG_ERROR + 1, .fd = -1};
    struct stat info;
    if (stat(file->path, &info) != 0) {
        http_hosts_free(file);
        return;
    }
    bool same = info.st_mtim.tv_sec == file->changed.tv_sec && info.st_mtim.tv_nsec == file->changed.tv_nsec;
    if (file->hosts && same)
        return;
    http_hosts_free(file);
    file->changed = info.st_mtim;
    if (hosts_load(file->path, &silent, &file->hosts, NULL))
        file->hosts = NULL;
}

static MUST_CHECK enum status pack_query(const struct dns_name *name, uint16_t type, struct buffer *wire)
{
    const struct dns_header header = {.flags = DNS_FLAG_RD};
    const struct dns_question question = {
        .name = name->wire, .name_length = name->length, .type = type, .class_ = DNS_CLASS_IN};
    struct dns_packer packer;
    buffer_clear(wire);
    dns_packer_start(&packer, wire, &header, DNS_MESSAGE_MAX);
    enum status status = dns_packer_question(&packer, &question);
    return status ? status : dns_packer_finish(&packer);
}

/* --- addresses --- */

static void add_address(struct http_lookup *lookup, sa_family_t family, const void *bytes)
{
    if (lookup->count == HTTP_ADDRESSES_MAX)
        return;
    struct address *address = &lookup->addresses[lookup->count++];
    *address = (struct address){.family = family};
    memcpy(address->bytes, bytes, family == AF_INET6 ? 16 : 4);
}

/* Whose they are does not matter: aliases have been followed by whoever answered. */
static void add_answers(struct http_lookup *lookup, const struct dns_message *message)
{
    struct buffer expanded = {0};
    struct dns_reader reader;
    struct dns_record record;
    dns_reader_start(&reader, message, DNS_SECTION_ANSWER, &expanded);
    while (dns_reader_next(&reader, &record) == STATUS_OK) {
        if (record.type == DNS_TYPE_AAAA && record.data_length == 16)
            add_address(lookup, AF_INET6, record.data);
        else if (record.type == DNS_TYPE_A && record.data_length == 4)
            add_address(lookup, AF_INET, record.data);
    }
    buffer_free(&expanded);
}

static void add_from_hosts(struct http_lookup *lookup, struct http_hosts *file, const struct dns_name *name)
{
    struct buffer query = {0}, answer = {0};
    refresh(file);
    for (size_t i = 0; i < 2 && file->hosts; i++) {
        struct dns_message message;
        if (pack_query(name, types[i], &query) == STATUS_OK &&
            dns_message_parse(query.data, query.length, &message, NULL) == STATUS_OK &&
            hosts_answer(file->hosts, &message, &answer) == STATUS_OK &&
            dns_message_parse(answer.data, answer.length, &message, NULL) == STATUS_OK)
            add_answers(lookup, &message);
    }
    buffer_free(&query);
    buffer_free(&answer);
}

/* Names of this machine are asked of nobody (RFC 6761 section 6.3). */
static void add_if_localhost(struct http_lookup *lookup, const struct dns_name *name)
{
    static const uint8_t localhost[] = "\x09localhost", loopback4[4] = {127, 0, 0, 1}, loopback6[16] = {[15] = 1};
    if (!dns_name_is_subdomain(name->wire, localhost))
        return;
    add_address(lookup, AF_INET6, loopback6);
    add_address(lookup, AF_INET, loopback4);
}

/* --- the exchange --- */

static void set_reason(struct http_lookup *lookup, const struct flow *flow)
{
    char code[DNS_MNEMONIC_MAX];
    if (flow->error[0])
        reason_set(&lookup->reason, "%s", flow->error);
    else if (flow->response.present && dns_message_response_code(&flow->response.view) != DNS_RCODE_NOERROR)
        reason_set(&lookup->reason, "%s",
                   dns_registry_to_text(DNS_RESPONSE_CODES, dns_message_response_code(&flow->response.view), code));
    else
        reason_set(&lookup->reason, "it has no address");
}

/* All answers are there. */
static void gather(struct http_lookup *lookup)
{
    for (size_t i = 0; i < 2; i++) {
        const struct flow *flow = lookup->questions[i].flow;
        if (flow && flow->response.present)
            add_answers(lookup, &flow->response.view);
    }
    for (size_t i = 0; i < 2 && lookup->count == 0; i++)
        if (lookup->questions[i].flow)
            set_reason(lookup, lookup->questions[i].flow);
    http_lookup_end(lookup);
}

static void on_finished(void *context)
{
    struct http_lookup *lookup = ((struct http_question *)context)->lookup;
    if (--lookup->left)
        return;
    gather(lookup);
    lookup->finished(lookup->context);
}

enum status http_lookup_start(struct http_lookup *lookup, struct http_hosts *hosts, struct exchange *exchange,
                              const char *host, int64_t timeout_us)
{
    struct dns_name name;
    reason_set(&lookup->reason, "it has no address");
    if (dns_name_from_text(host, strlen(host), &name, &lookup->reason))
        return STATUS_NOT_FOUND;
    add_from_hosts(lookup, hosts, &name);
    if (lookup->count == 0)
        add_if_localhost(lookup, &name);
    if (lookup->count)
        return STATUS_NOT_FOUND;
    lookup->exchange = exchange;
    for (size_t i = 0; i < 2; i++) {
        struct http_question *question = &lookup->questions[i];
        const struct exchange_ask ask = {
            .name = &name,
            .type = types[i],
            .class_ = DNS_CLASS_IN,
            .locally = true,
            .unguarded = true,
            .timeout_us = timeout_us,
            .finished = on_finished,
            .context = question,
        };
        question->lookup = lookup;
        if (exchange_ask(exchange, &ask, &question->flow))
            reason_set(&lookup->reason, "too many queries in flight");
        else
            lookup->left += !question->flow->finished_us;
    }
    if (lookup->left)
        return STATUS_OK;
    gather(lookup);
    return STATUS_NOT_FOUND;
}

void http_lookup_end(struct http_lookup *lookup)
{
    for (size_t i = 0; i < 2; i++) {
        if (lookup->questions[i].flow)
            exchange_forget(lookup->exchange, lookup->questions[i].flow);
        lookup->questions[i].flow = NULL;
    }
}
