#include "proxy/flow_dump.h"

#include "base/log.h"
#include "dns/text.h"

#include <stdio.h>
#include <time.h>

static const struct {
    uint16_t bit;
    const char *name;
} flags[] = {
    {DNS_FLAG_QR, "qr"}, {DNS_FLAG_AA, "aa"}, {DNS_FLAG_TC, "tc"}, {DNS_FLAG_RD, "rd"},
    {DNS_FLAG_RA, "ra"}, {0x0040, "z"},       {DNS_FLAG_AD, "ad"}, {DNS_FLAG_CD, "cd"},
};

/* Every line starts this far in. */
static const char INDENT[] = "    ";

static void append_status(const struct dns_message *message, struct buffer *out)
{
    char mnemonic[DNS_MNEMONIC_MAX];
    unsigned op_code = (unsigned)(message->header.flags & DNS_FLAG_OPCODE) >> 11;
    buffer_text(out, dns_registry_to_text(DNS_OP_CODES, (uint16_t)op_code, mnemonic));
    buffer_text(out, ", ");
    buffer_text(out, dns_registry_to_text(DNS_RESPONSE_CODES, dns_message_response_code(message), mnemonic));
    buffer_format(out, ", id %u, flags", (unsigned)message->header.id);
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++) {
        if (message->header.flags & flags[i].bit)
            buffer_format(out, " %s", flags[i].name);
    }
    buffer_text(out, "\n");
}

static void append_questions(const struct dns_message *message, struct buffer *out)
{
    struct dns_reader reader;
    struct dns_question question;
    char name[DNS_NAME_TEXT_MAX], type[DNS_MNEMONIC_MAX], class_[DNS_MNEMONIC_MAX];
    dns_reader_start_questions(&reader, message);
    while (!dns_reader_next_question(&reader, &question)) {
        dns_name_to_text(question.name, DNS_NAME_FINAL_DOT, name);
        buffer_format(out, "%s;%s %s %s\n", INDENT, name, dns_registry_to_text(DNS_CLASSES, question.class_, class_),
                      dns_registry_to_text(DNS_TYPES, question.type, type));
    }
}

/* One section's records, OPT left out; `title` stands above them where there are any. */
static void append_section(const struct dns_message *message, enum dns_section section, const char *title,
                           struct buffer *scratch, struct buffer *out)
{
    struct dns_reader reader;
    struct dns_record record;
    struct buffer text = {0};
    dns_reader_start(&reader, message, section, scratch);
    while (!dns_reader_next(&reader, &record)) {
        if (record.type == DNS_TYPE_OPT)
            continue;
        if (title)
            buffer_format(out, "%s;; %s\n", INDENT, title);
        title = NULL;
        buffer_clear(&text);
        dns_record_to_text(&record, &text);
        buffer_text(out, INDENT);
        log_escape(out, (const char *)text.data, text.failed ? 0 : text.length, false);
        buffer_text(out, "\n");
    }
    buffer_free(&text);
}

static void append_edns(const struct dns_message *message, struct buffer *out)
{
    if (!message->opt.count)
        return;
    buffer_format(out, "%s;; EDNS version %u, udp %u%s", INDENT, (unsigned)message->opt.version,
                  (unsigned)message->opt.udp_payload_size, message->opt.dnssec_ok ? ", do" : "");
    struct cursor cursor = cursor_over(message->opt.options.data, message->opt.options.length);
    while (cursor_left(&cursor)) {
        char mnemonic[DNS_MNEMONIC_MAX];
        uint16_t code = cursor_u16(&cursor), length = cursor_u16(&cursor);
        const uint8_t *data = cursor_take(&cursor, length);
        if (!data) {
            buffer_text(out, ", malformed options");
            break;
        }
        buffer_format(out, ", %s", dns_registry_to_text(DNS_EDNS_OPTIONS, code, mnemonic));
        if (length)
            buffer_text(out, " 0x");
        for (uint16_t i = 0; i < length; i++)
            buffer_format(out, "%02x", data[i]);
    }
    buffer_text(out, "\n");
}

void flow_dump_response(const struct flow *flow, struct buffer *scratch, struct buffer *out)
{
    const struct dns_message *message = flow->response.present ? &flow->response.view : &flow->query.view;
    buffer_format(out, "%s;; ", INDENT);
    append_status(message, out);
    append_questions(message, out);
    append_section(message, DNS_SECTION_ANSWER, NULL, scratch, out);
    append_section(message, DNS_SECTION_AUTHORITY, NULL, scratch, out);
    append_section(message, DNS_SECTION_ADDITIONAL, NULL, scratch, out);
}

/* "2026-11-23 15:02:03.123456", local time. */
static void append_time(int64_t wall_us, struct buffer *out)
{
    struct tm local;
    time_t seconds = (time_t)(wall_us / 1000000);
    if (wall_us < 0 || !localtime_r(&seconds, &local))
        return;
    buffer_format(out, " at %04d-%02d-%02d %02d:%02d:%02d.%06d", local.tm_year + 1900, local.tm_mon + 1, local.tm_mday,
                  local.tm_hour, local.tm_min, local.tm_sec, (int)(wall_us % 1000000));
}

static void append_message(const char *title, const struct address *peer, enum transport transport,
                           const struct flow_message *message, struct buffer *scratch, struct buffer *out)
{
    char address[ADDRESS_TEXT_MAX];
    buffer_format(out, "%s;; %s", INDENT, title);
    if (peer)
        buffer_format(out, " %s (%s)", address_text(peer, address), transport_name(transport));
    append_time(message->timestamp_us, out);
    buffer_format(out, ", %zu bytes: ", message->wire.length);
    append_status(&message->view, out);
    append_edns(&message->view, out);
    append_questions(&message->view, out);
    append_section(&message->view, DNS_SECTION_ANSWER, "answer", scratch, out);
    append_section(&message->view, DNS_SECTION_AUTHORITY, "authority", scratch, out);
    append_section(&message->view, DNS_SECTION_ADDITIONAL, "additional", scratch, out);
}

void flow_dump_messages(const struct flow *flow, struct buffer *scratch, struct buffer *out)
{
    const struct reply_to *client = &flow->reply_to;
    const struct address *server = flow->source == FLOW_SOURCE_UPSTREAM && flow->asked ? &flow->server : NULL;
    append_message("query from", &client->client, client->transport, &flow->query, scratch, out);
    if (flow->request.present)
        append_message("query as scripts changed it", NULL, TRANSPORT_UDP, &flow->request, scratch, out);
    if (flow->response.present)
        append_message(server ? "answer from" : "answer", server, flow->server_transport, &flow->response, scratch,
                       out);
}
