#include "proxy/flow_print.h"

#include "base/log.h"
#include "dns/text.h"
#include "flow/flow_json.h"
#include "proxy/flow_dump.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    GATHER_MAX = 32 << 10, /* bytes beyond which a turn's lines are written early */
    WAITING_MAX = 1 << 20, /* bytes that may wait for the reader */
    END_WAITS = 10,
    END_WAIT_MS = 100,
    DNS_PORT = 53,
};

struct flow_print {
    struct flow_observer observer;
    struct flow_print_config config;
    struct filter *filter; /* NULL: all flows */
    struct buffer lines;   /* what the turn has gathered */
    struct buffer text, expanded;
    int fd;                  /* config.fd, or another one for the same */
    bool waits;              /* the reader did not take all lines */
    unsigned long long lost; /* flows that were not printed, as too many lines waited */
};

enum paint { PAINT_NONE, PAINT_FAINT, PAINT_BOLD, PAINT_GOOD, PAINT_EMPTY, PAINT_BAD };

static void paint(struct flow_print *print, enum paint colour)
{
    static const char *const codes[] = {"\033[0m", "\033[2m", "\033[1m", "\033[32m", "\033[33m", "\033[31m"};
    if (print->config.colour)
        buffer_text(&print->lines, codes[colour]);
}

static void append_escaped(struct flow_print *print, const char *text)
{
    log_escape(&print->lines, text, strlen(text), false);
}

static unsigned op_code_of(const struct dns_message *message)
{
    return (unsigned)(message->header.flags & DNS_FLAG_OPCODE) >> 11;
}

/* "127.0.0.1:40312 A example.com" */
static void append_question(struct flow_print *print, const struct flow *flow)
{
    struct buffer *out = &print->lines;
    const struct dns_message *query = &flow->query.view;
    char address[ADDRESS_TEXT_MAX], mnemonic[DNS_MNEMONIC_MAX], name[DNS_NAME_TEXT_MAX];
    buffer_format(out, "%s ", address_text(&flow->reply_to.client, address));
    if (op_code_of(query))
        buffer_format(out, "%s ", dns_registry_to_text(DNS_OP_CODES, (uint16_t)op_code_of(query), mnemonic));
    if (query->header.counts[DNS_SECTION_QUESTION] == 0) {
        buffer_text(out, "no question\n");
        return;
    }
    if (query->question.class_ != DNS_CLASS_IN)
        buffer_format(out, "%s ", dns_registry_to_text(DNS_CLASSES, query->question.class_, mnemonic));
    dns_name_to_text(query->question.name, DNS_NAME_LOWER, name);
    buffer_format(out, "%s ", dns_registry_to_text(DNS_TYPES, query->question.type, mnemonic));
    paint(print, PAINT_BOLD);
    buffer_text(out, name);
    paint(print, PAINT_NONE);
    buffer_text(out, "\n");
}

/* The answers' data, joined; gives their number. */
static unsigned append_answers(struct flow_print *print, const struct dns_message *response)
{
    struct dns_reader reader;
    struct dns_record record;
    unsigned count = 0;
    dns_reader_start(&reader, response, DNS_SECTION_ANSWER, &print->expanded);
    while (!dns_reader_next(&reader, &record)) {
        buffer_text(&print->lines, count++ ? ", " : "");
        buffer_clear(&print->text);
        dns_rdata_to_text(&record, &print->text);
        if (!print->text.failed)
            log_escape(&print->lines, (const char *)print->text.data, print->text.length, false);
    }
    return count;
}

/* The answers, or what there is instead of them. */
static void append_message(struct flow_print *print, const struct dns_message *response)
{
    char mnemonic[DNS_MNEMONIC_MAX];
    uint16_t code = dns_message_response_code(response);
    if (code != DNS_RCODE_NOERROR) {
        paint(print, code == DNS_RCODE_NXDOMAIN ? PAINT_EMPTY : PAINT_BAD);
        buffer_text(&print->lines, dns_registry_to_text(DNS_RESPONSE_CODES, code, mnemonic));
        return;
    }
    bool empty = response->header.counts[DNS_SECTION_ANSWER] == 0;
    paint(print, empty ? PAINT_EMPTY : PAINT_GOOD);
    if (empty)
        buffer_text(&print->lines, op_code_of(response) ? "NOERROR" : "NODATA");
    else
        append_answers(print, response);
}

static void append_result(struct flow_print *print, const struct flow *flow)
{
    const struct dns_message *response = &flow->response.view;
    if (flow->killed || !flow->response.present) {
        paint(print, PAINT_BAD);
        buffer_text(&print->lines, flow->dropped ? "dropped" : flow->killed ? "killed" : "no answer");
        return;
    }
    if (flow->messages > 0 && dns_message_response_code(response) == DNS_RCODE_NOERROR) {
        paint(print, PAINT_GOOD);
        buffer_format(&print->lines, "%llu records in %u messages", (unsigned long long)flow->records, flow->messages);
        return;
    }
    append_message(print, response);
}

/* Starts the next item of what stands in parentheses. */
static void next_item(struct flow_print *print, unsigned *items)
{
    buffer_text(&print->lines, (*items)++ ? ", " : " (");
}

static void append_server(struct flow_print *print, const struct flow *flow, unsigned *items)
{
    char text[ADDRESS_TEXT_MAX];
    if (!flow->asked || flow->server.family == AF_UNSPEC)
        return;
    next_item(print, items);
    buffer_text(&print->lines, flow->server.port == DNS_PORT ? address_ip_text(&flow->server, text)
                                                             : address_text(&flow->server, text));
}

static void append_duration(struct flow_print *print, const struct flow *flow, unsigned *items)
{
    next_item(print, items);
    buffer_format(&print->lines, "%lld ms", (long long)(flow->finished_us - flow->started_us + 500) / 1000);
}

/* Why there is no real answer. */
static void append_failure(struct flow_print *print, const struct flow *flow, unsigned *items)
{
    if (flow->error[0]) {
        next_item(print, items);
        append_escaped(print, flow->error);
        append_server(print, flow, items);
    } else if (flow->source == FLOW_SOURCE_PROXY) {
        next_item(print, items);
        append_escaped(print, flow->source_name[0] ? flow->source_name : "moondns");
        if (flow->source_name[0])
            append_server(print, flow, items);
    }
}

/* Who made the answer: " (12 ms, 9.9.9.9)" and so on. */
static void append_source(struct flow_print *print, const struct flow *flow)
{
    unsigned items = 0;
    paint(print, PAINT_NONE);
    paint(print, PAINT_FAINT);
    switch (flow->response.present ? flow->source : FLOW_SOURCE_PROXY) {
    case FLOW_SOURCE_SCRIPT:
        next_item(print, &items);
        buffer_text(&print->lines, "script ");
        append_escaped(print, flow->source_name);
        break;
    case FLOW_SOURCE_HOSTS:
        next_item(print, &items);
        buffer_text(&print->lines, "hosts");
        break;
    case FLOW_SOURCE_CACHE:
        next_item(print, &items);
        buffer_text(&print->lines, "cache");
        break;
    case FLOW_SOURCE_ZONE:
        next_item(print, &items);
        buffer_text(&print->lines, "zone ");
        append_escaped(print, flow->source_name);
        break;
    case FLOW_SOURCE_UPSTREAM:
        append_duration(print, flow, &items);
        append_server(print, flow, &items);
        break;
    case FLOW_SOURCE_NONE:
    case FLOW_SOURCE_PROXY:
        append_failure(print, flow, &items);
        break;
    }
    if (flow->response.present && flow->response.view.header.flags & DNS_FLAG_TC) {
        next_item(print, &items);
        buffer_text(&print->lines, "truncated");
    }
    buffer_text(&print->lines, items ? ")" : "");
    paint(print, PAINT_NONE);
}

static void print_for_people(struct flow_print *print, const struct flow *flow)
{
    append_question(print, flow);
    buffer_text(&print->lines, " << ");
    append_result(print, flow);
    if (flow->killed)
        paint(print, PAINT_NONE);
    else
        append_source(print, flow);
    buffer_text(&print->lines, "\n");
    if (print->config.detail == 2)
        flow_dump_response(flow, &print->expanded, &print->lines);
    else if (print->config.detail >= 3)
        flow_dump_messages(flow, &print->expanded, &print->lines);
}

static void print_json(struct flow_print *print, const struct flow *flow)
{
    int64_t ended_us = flow->created_us + (flow->finished_us - flow->started_us);
    cJSON *json = flow_to_json(flow);
    char *text = cJSON_PrintUnformatted(json);
    if (text) {
        buffer_format(&print->lines, "{\"time\": %lld.%06d, \"flow\": ", (long long)(ended_us / 1000000),
                      (int)(ended_us % 1000000));
        log_json_text(&print->lines, text, strlen(text));
        buffer_text(&print->lines, "}\n");
    }
    cJSON_free(text);
    cJSON_Delete(json);
}

static void print_flow(struct flow_print *print, const struct flow *flow)
{
    if (print->config.json)
        print_json(print, flow);
    else
        print_for_people(print, flow);
}

static void print_anonymously(struct flow_print *print, const struct flow *flow)
{
    struct flow shown = *flow; /* for reading alone: what it points to stays the flow's */
    address_cut(&shown.reply_to.client, print->config.cut);
    print_flow(print, &shown);
}

static void finished(void *context, const struct flow *flow)
{
    struct flow_print *print = context;
    size_t before = print->lines.length;
    if (print->filter && !filter_matches(print->filter, flow))
        return;
    if (print->waits && print->lines.length >= WAITING_MAX) {
        if (print->lost++ == 0)
            log_line(print->config.log, LOG_WARN,
                     "nobody reads standard output: until that changes no more flows are printed");
        return;
    }
    if (print->config.anonymize)
        print_anonymously(print, flow);
    else
        print_flow(print, flow);
    if (print->lines.failed) { /* out of memory: this flow goes unprinted, those before it do not */
        print->lines.failed = false;
        print->lines.length = before;
    }
    if (print->lines.length >= GATHER_MAX && !print->waits)
        flow_print_flush(print);
}

static void ignored(void *context, const struct flow *flow)
{
    (void)context;
    (void)flow;
}

enum status flow_print_new(const struct flow_print_config *config, struct flow_print **out, struct reason *reason)
{
    struct flow_print *print = calloc(1, sizeof *print);
    if (!print) {
        reason_set(reason, "out of memory");
        return STATUS_NO_MEMORY;
    }
    enum status status = config->filter ? filter_parse(config->filter, &print->filter, reason) : STATUS_OK;
    if (status) {
        free(print);
        return status;
    }
    print->config = *config;
    print->config.filter = NULL;
    print->fd = config->detail ? log_open_output(config->fd) : config->fd;
    print->observer = (struct flow_observer){.context = print, .finished = config->detail ? finished : ignored};
    *out = print;
    return STATUS_OK;
}

void flow_print_free(struct flow_print *print)
{
    if (!print)
        return;
    for (unsigned i = 0; i < END_WAITS && !flow_print_flush(print); i++) {
        struct pollfd reader = {.fd = print->fd, .events = POLLOUT};
        (void)poll(&reader, 1, END_WAIT_MS);
    }
    if (print->fd != print->config.fd)
        close(print->fd);
    if (print->filter)
        filter_free(print->filter);
    buffer_free(&print->lines);
    buffer_free(&print->text);
    buffer_free(&print->expanded);
    free(print);
}

/* Moves what was appended to the gathered lines from `before` on. */
static void give(struct flow_print *print, size_t before, struct buffer *out)
{
    if (!print->lines.failed)
        buffer_append(out, print->lines.data + before, print->lines.length - before);
    print->lines.failed = false;
    print->lines.length = before;
}

void flow_print_answer(struct flow_print *print, const struct flow *flow, struct buffer *out)
{
    size_t before = print->lines.length;
    append_result(print, flow);
    if (!flow->killed)
        append_source(print, flow);
    give(print, before, out);
}

void flow_print_message(struct flow_print *print, const struct dns_message *response, struct buffer *out)
{
    size_t before = print->lines.length;
    append_message(print, response);
    give(print, before, out);
}

struct flow_observer *flow_print_observer(struct flow_print *print)
{
    return &print->observer;
}

bool flow_print_flush(struct flow_print *print)
{
    struct buffer *lines = &print->lines;
    size_t done = lines->length ? log_write_some(print->fd, lines->data, lines->length) : 0;
    print->waits = done < lines->length;
    if (print->waits) {
        lines->length -= done;
        memmove(lines->data, lines->data + done, lines->length);
        return false;
    }
    buffer_clear(lines);
    if (print->lost)
        log_line(print->config.log, LOG_WARN, "%llu flows were not printed", print->lost);
    print->lost = 0;
    return true;
}
