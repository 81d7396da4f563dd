/* Any bytes as a hosts file: what it holds can be asked for, and every answer is a message. */
#include "messages.h"

#include "net/hosts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void ask(const struct hosts *hosts, const char *name, uint16_t type)
{
    struct buffer query = {0}, answer = {0};
    struct dns_packer packer;
    struct dns_header header = {.id = 1};
    struct dns_name owner;
    struct dns_message view;
    MUST(dns_name_from_text(name, strlen(name), &owner, NULL) == STATUS_OK);
    dns_packer_start(&packer, &query, &header, DNS_MESSAGE_MAX);
    const struct dns_question question = {owner.wire, owner.length, type, DNS_CLASS_IN};
    MUST(dns_packer_question(&packer, &question) == STATUS_OK);
    MUST(dns_packer_finish(&packer) == STATUS_OK);
    MUST(dns_message_parse(query.data, query.length, &view, NULL) == STATUS_OK);
    if (hosts_answer(hosts, &view, &answer) == STATUS_OK)
        MUST(dns_message_parse(answer.data, answer.length, &view, NULL) == STATUS_OK);
    buffer_free(&query);
    buffer_free(&answer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hosts *hosts = NULL;
    MUST(hosts_parse((const char *)data, size, "hosts", NULL, &hosts) == STATUS_OK);
    ask(hosts, "a", DNS_TYPE_A);
    ask(hosts, "a", DNS_TYPE_AAAA);
    ask(hosts, "1.0.0.127.in-addr.arpa", DNS_TYPE_PTR);
    ask(hosts, "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.ip6.arpa", DNS_TYPE_PTR);
    hosts_free(hosts);
    return 0;
}
