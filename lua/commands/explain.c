/* moondns explain: takes one question through the scripts and the upstream, as the proxy would, and prints step by step
 * what comes of it. It is the proxy, with one listener of its own and one client: this one. */
#include "dns/text.h"
#include "lua/commands/commands.h"
#include "lua/commands/process.h"
#include "lua/engine/trace.h"
#include "proxy/flow_print.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { PLACE_COLUMNS = 20 };

struct explanation {
    struct moondns moondns;
    struct flow_observer observer;
    struct options_listen listen;
    struct flow_print *print; /* makes text of answers */
    struct buffer query;
    int client; /* a UDP socket, or -1 */
    struct event *answered;
    bool got, ended; /* the client has got something; the flow is over */
};

/* --- lines --- */

static void step_json(struct buffer *line, const char *place, const char *text, size_t length)
{
    buffer_text(line, "{\"place\": ");
    log_json_string(line, place, strlen(place));
    buffer_text(line, ", \"text\": ");
    log_json_string(line, text, length);
    buffer_text(line, "}\n");
}

static void step_text(struct buffer *line, const char *place, const char *text, size_t length)
{
    log_escape(line, place, strlen(place), false);
    do
        buffer_text(line, " ");
    while (!line->failed && line->length < PLACE_COLUMNS);
    log_escape(line, text, length, true);
    buffer_text(line, "\n");
}

static void step(void *context, const char *place, const char *text, size_t length)
{
    const struct explanation *explanation = context;
    struct buffer line = {0};
    if (explanation->moondns.options.log_json)
        step_json(&line, place, text, length);
    else
        step_text(&line, place, text, length);
    if (!line.failed)
        log_write(STDOUT_FILENO, line.data, line.length);
    buffer_free(&line);
}

/* Moves the text into a line, and empties it. */
static void step_buffer(struct explanation *explanation, const char *place, struct buffer *text)
{
    if (!text->failed)
        step(explanation, place, text->length ? (const char *)text->data : "", text->length);
    buffer_free(text);
}

static void on_log(void *context, enum log_level level, const char *text, size_t length)
{
    step(context, level == LOG_ERROR ? "error" : level == LOG_WARN ? "warning" : "log", text, length);
}

static void append_question(struct buffer *out, const struct dns_message *message)
{
    char name[DNS_NAME_TEXT_MAX], mnemonic[DNS_MNEMONIC_MAX];
    if (!message->header.counts[DNS_SECTION_QUESTION])
        return;
    dns_name_to_text(message->question.name, DNS_NAME_LOWER, name);
    buffer_format(out, "%s %s", dns_registry_to_text(DNS_TYPES, message->question.type, mnemonic), name);
}

/* --- what the exchange shows --- */

/* What the client gets of an answer that was spoiled on purpose. */
static void show_spoiled(struct explanation *explanation, struct span wire)
{
    struct buffer text = {0};
    struct dns_message message;
    struct reason reason;
    buffer_format(&text, "gets %zu bytes: ", wire.length);
    if (dns_message_parse(wire.data, wire.length, &message, &reason))
        buffer_format(&text, "malformed (%s)", reason.text);
    else
        flow_print_message(explanation->print, &message, &text);
    if (wire.length >= DNS_HEADER_SIZE && load_u16(wire.data + 2) & DNS_FLAG_TC)
        buffer_text(&text, ", truncated");
    step_buffer(explanation, "client", &text);
}

static void on_passed(void *context, const struct flow *flow, enum passage passage, struct span wire)
{
    struct explanation *explanation = context;
    struct buffer text = {0};
    struct dns_message message;
    char address[ADDRESS_TEXT_MAX];
    if (passage == PASSAGE_CLIENT_ANSWER) {
        explanation->got = true;
        if (flow->faults)
            show_spoiled(explanation, wire);
        return;
    }
    if (dns_message_parse(wire.data, wire.length, &message, NULL))
        return;
    if (passage == PASSAGE_CLIENT_QUERY) {
        append_question(&text, &message);
        buffer_format(&text, " from %s", address_ip_text(&flow->reply_to.client, address));
        step_buffer(explanation, "question", &text);
    } else if (passage == PASSAGE_UPSTREAM_QUERY) {
        buffer_format(&text, "%s is asked: ", address_text(&flow->server, address));
        append_question(&text, &message);
        step_buffer(explanation, "upstream", &text);
    } else if (passage == PASSAGE_UPSTREAM_ANSWER) {
        buffer_format(&text, "%s answers: ", address_text(&flow->server, address));
        flow_print_message(explanation->print, &message, &text);
        step_buffer(explanation, "upstream", &text);
    }
}

static void on_finished(void *context, const struct flow *flow)
{
    struct explanation *explanation = context;
    struct buffer text = {0};
    if (explanation->ended)
        return;
    explanation->ended = true;
    if (flow->faults && !explanation->got)
        step(explanation, "client", "gets nothing", strlen("gets nothing"));
    flow_print_answer(explanation->print, flow, &text);
    step_buffer(explanation, "answer", &text);
    seats_stop(&explanation->moondns);
}

/* --- the client --- */

static void on_answered(evutil_socket_t fd, short what, void *context)
{
    (void)what;
    struct explanation *explanation = context;
    uint8_t wire[512];
    if (recv(fd, wire, sizeof wire, 0) >= 0 && !explanation->ended) /* refused before it became a flow */
        seats_stop(&explanation->moondns);
}

static enum status make_query(const char *name, const char *type_name, struct buffer *out, struct reason *reason)
{
    struct dns_name qname;
    uint16_t type = DNS_TYPE_A;
    uint8_t fixed[DNS_HEADER_SIZE], tail[4];
    enum { PAYLOAD_SIZE = 1232 };
    if (dns_name_from_text(name, strlen(name), &qname, reason)) {
        log_escape_reason(reason);
        return STATUS_INVALID;
    }
    if (type_name && dns_registry_from_text(DNS_TYPES, type_name, strlen(type_name), &type)) {
        reason_set(reason, "'%s' is no type of record: A, AAAA, MX, TYPE65280 are", type_name);
        log_escape_reason(reason);
        return STATUS_INVALID;
    }
    dns_header_write(fixed, &(struct dns_header){.id = 1, .flags = DNS_FLAG_RD, .counts[DNS_SECTION_QUESTION] = 1});
    store_u16(tail, type);
    store_u16(tail + 2, DNS_CLASS_IN);
    buffer_append(out, fixed, sizeof fixed);
    buffer_append(out, qname.wire, qname.length);
    buffer_append(out, tail, sizeof tail);
    enum status status = buffer_status(out);
    return status ? status : dns_message_add_opt(out, PAYLOAD_SIZE, DNS_RCODE_NOERROR, false);
}

static bool ask(struct explanation *explanation)
{
    struct seat *seat = &explanation->moondns.seats[0];
    struct address server = net_first_address(worker_net(seat->worker));
    struct sockaddr_storage socket_address;
    socklen_t length = address_to_sockaddr(&server, (struct sockaddr *)&socket_address);
    explanation->client = socket(server.family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (explanation->client < 0 || connect(explanation->client, (struct sockaddr *)&socket_address, length) < 0)
        return false;
    explanation->answered =
        event_new(worker_base(seat->worker), explanation->client, EV_READ | EV_PERSIST, on_answered, explanation);
    return explanation->answered && event_add(explanation->answered, NULL) == 0 &&
           send(explanation->client, explanation->query.data, explanation->query.length, 0) >= 0;
}

/* --- the run --- */

static int run(struct explanation *explanation)
{
    struct moondns *moondns = &explanation->moondns;
    struct reason reason = {"out of memory"};
    int code = process_open(moondns);
    if (code)
        return code;
    struct seat *seat = &moondns->seats[0];
    moondns->log.sink = on_log;
    moondns->log.context = explanation;
    if (!engine_trace(seat->engine, (struct trace_sink){step, explanation}) || worker_bind(seat->worker, NULL, &reason))
        goto failed;
    if ((code = seat_start(seat)))
        return code;
    if (!ask(explanation)) {
        reason_set(&reason, "cannot ask: %s", strerror(errno));
        goto failed;
    }
    worker_run(seat->worker);
    return OPTIONS_EXIT_DONE;
failed:
    fprintf(stderr, "moondns explain: %s\n", reason.text);
    return OPTIONS_EXIT_FAILURE;
}

/* What of the options does not matter for one question: it comes over UDP to a port of its own, and nothing else is
 * printed or recorded. */
static void narrow(struct explanation *explanation)
{
    struct options *options = &explanation->moondns.options;
    explanation->listen.transports = 1u << TRANSPORT_UDP;
    explanation->listen.address = (struct address){.family = AF_INET, .bytes = {127, 0, 0, 1}};
    options->listens = &explanation->listen;
    options->listens_count = 1;
    options->workers = 1;
    options->no_reload = true;
    options->jit = false; /* compiled code has no lines */
    options->flow_detail = 0;
    options->metrics.family = AF_UNSPEC;
    options->dnstap = NULL;
    options->allow_all = true;
    options->rate_limit.per_second = 0;
    options->user = options->group = NULL;
}

static int explain(struct explanation *explanation)
{
    struct reason reason = {"out of memory"};
    if (flow_print_new(&(struct flow_print_config){.detail = 0, .fd = STDOUT_FILENO}, &explanation->print, &reason)) {
        fprintf(stderr, "moondns explain: %s\n", reason.text);
        return OPTIONS_EXIT_FAILURE;
    }
    explanation->observer =
        (struct flow_observer){.context = explanation, .finished = on_finished, .passed = on_passed};
    explanation->moondns.observer = &explanation->observer;
    narrow(explanation);
    int code = run(explanation);
    explanation->ended = true; /* what ends with the process is no step */
    return code;
}

static void print_usage(void)
{
    static const char text[] = "Usage: moondns explain [OPTION...] NAME [TYPE]\n\n"
                               "Takes one question through the scripts and the upstream, and prints step by step\n"
                               "which line of which script changes what. The options are the proxy's: -s, --set,\n"
                               "-u and so on (moondns --help); -u none asks nobody. --log-json prints JSON.\n";
    log_write(STDOUT_FILENO, text, sizeof text - 1);
}

static int usage_error(const struct reason *reason)
{
    fprintf(stderr, "moondns explain: %s\nmoondns explain --help tells more\n", reason->text);
    return OPTIONS_EXIT_USAGE;
}

int command_explain(int argc, char **argv)
{
    struct explanation explanation = {.client = -1};
    struct moondns *moondns = &explanation.moondns;
    const char *words[2] = {NULL, NULL};
    struct reason reason = {"out of memory"};
    enum options_action action = OPTIONS_RUN;
    *moondns = (struct moondns){
        .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER, .argc = argc, .argv = argv};
    if (options_parse_words(argc, argv, words, 2, &moondns->options, &action, &reason))
        return usage_error(&reason);
    if (action != OPTIONS_RUN) {
        print_usage();
        return OPTIONS_EXIT_DONE;
    }
    if (!words[0])
        reason_set(&reason, "which name? moondns explain -s SCRIPT example.com A");
    if (!words[0] || make_query(words[0], words[1], &explanation.query, &reason)) {
        options_free(&moondns->options);
        return usage_error(&reason);
    }
    int code = explain(&explanation);
    if (explanation.answered)
        event_free(explanation.answered);
    if (explanation.client >= 0)
        close(explanation.client);
    process_close(moondns);
    flow_print_free(explanation.print);
    buffer_free(&explanation.query);
    return code;
}
