#include "observe/dnstap_private.h"

#include "base/clock.h"
#include "dnstap.pb-c.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum {
    QUEUE_MESSAGES = 8192, /* of one worker, a power of two */
    REOPEN_S = 1,
    CLOSE_S = 1, /* for what waits, when it ends */
};

/* --- targets --- */

struct target {
    enum { TARGET_UNIX, TARGET_TCP, TARGET_FILE } kind;
    const char *path;
    struct address address;
};

static const char *after(const char *text, const char *start)
{
    size_t length = strlen(start);
    return strncmp(text, start, length) == 0 && text[length] ? text + length : NULL;
}

static enum status read_target(const char *text, struct target *out, struct reason *reason)
{
    struct target target = {.kind = TARGET_UNIX};
    const char *rest;
    if ((target.path = after(text, "unix:"))) {
        if (strlen(target.path) >= sizeof((struct sockaddr_un *)0)->sun_path) {
            reason_set(reason, "the path of a socket has %zu bytes at the most, this one has %zu",
                       sizeof((struct sockaddr_un *)0)->sun_path - 1, strlen(target.path));
            return STATUS_INVALID;
        }
    } else if ((target.path = after(text, "file:"))) {
        target.kind = TARGET_FILE;
    } else if ((rest = after(text, "tcp:"))) {
        target.kind = TARGET_TCP;
        enum status status = address_from_text(rest, strlen(rest), 0, &target.address, reason);
        if (status)
            return status;
        if (target.address.port == 0) {
            reason_set(reason, "'%s': a port is missing; tcp:ADDR:PORT expected", text);
            return STATUS_INVALID;
        }
    } else {
        reason_set(reason, "unix:PATH, tcp:ADDR:PORT or file:PATH expected, got '%s'", text);
        return STATUS_INVALID;
    }
    *out = target;
    return STATUS_OK;
}

enum status dnstap_check(const char *target, struct reason *reason)
{
    struct target out;
    return read_target(target, &out, reason);
}

/* --- life --- */

static struct fstrm_writer *socket_writer(const struct target *target)
{
    struct fstrm_writer_options *options = fstrm_writer_options_init();
    struct fstrm_writer *writer;
    fstrm_writer_options_add_content_type(options, DNSTAP_CONTENT_TYPE, sizeof DNSTAP_CONTENT_TYPE - 1);
    if (target->kind == TARGET_UNIX) {
        struct fstrm_unix_writer_options *there = fstrm_unix_writer_options_init();
        fstrm_unix_writer_options_set_socket_path(there, target->path);
        writer = fstrm_unix_writer_init(there, options);
        fstrm_unix_writer_options_destroy(&there);
    } else {
        struct fstrm_tcp_writer_options *there = fstrm_tcp_writer_options_init();
        char ip[ADDRESS_TEXT_MAX], port[8];
        snprintf(port, sizeof port, "%u", (unsigned)target->address.port);
        fstrm_tcp_writer_options_set_socket_address(there, address_ip_text(&target->address, ip));
        fstrm_tcp_writer_options_set_socket_port(there, port);
        writer = fstrm_tcp_writer_init(there, options);
        fstrm_tcp_writer_options_destroy(&there);
    }
    fstrm_writer_options_destroy(&options);
    return writer;
}

/* Starts the thread, which takes the writer. */
static struct fstrm_iothr *start(struct fstrm_writer *writer, unsigned workers)
{
    struct fstrm_iothr_options *options = fstrm_iothr_options_init();
    sigset_t all, before;
    fstrm_iothr_options_set_num_input_queues(options, workers);
    fstrm_iothr_options_set_input_queue_size(options, QUEUE_MESSAGES);
    fstrm_iothr_options_set_queue_model(options, FSTRM_IOTHR_QUEUE_MODEL_SPSC);
    fstrm_iothr_options_set_reopen_interval(options, REOPEN_S);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    struct fstrm_iothr *thread = fstrm_iothr_init(options, &writer);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    fstrm_iothr_options_destroy(&options);
    if (!thread)
        fstrm_writer_destroy(&writer);
    return thread;
}

enum status dnstap_new(const struct dnstap_config *config, struct dnstap **out, struct reason *reason)
{
    struct target target;
    enum status status = read_target(config->target, &target, reason);
    if (status)
        return status;
    struct dnstap *dnstap = calloc(1, sizeof *dnstap);
    if (!dnstap)
        return STATUS_NO_MEMORY;
    struct fstrm_writer *writer = NULL;
    dnstap->log = config->log;
    dnstap->anonymize = config->anonymize != NULL;
    if (config->anonymize)
        dnstap->cut = *config->anonymize;
    if (config->identity)
        snprintf(dnstap->identity, sizeof dnstap->identity, "%s", config->identity);
    else if (gethostname(dnstap->identity, sizeof dnstap->identity - 1))
        dnstap->identity[0] = '\0';
    if (target.kind == TARGET_FILE)
        status = dnstap_file_writer(target.path, config->log, &writer, &dnstap->file, reason);
    else
        writer = socket_writer(&target);
    if (!status && writer)
        dnstap->writer = start(writer, config->workers);
    if (!status && !dnstap->writer) {
        reason_set(reason, "--dnstap: cannot start its thread");
        status = STATUS_IO;
    }
    if (status) {
        free(dnstap);
        return status;
    }
    *out = dnstap;
    return STATUS_OK;
}

static void *close_writer(void *context)
{
    struct fstrm_iothr *writer = context;
    fstrm_iothr_destroy(&writer);
    return NULL;
}

void dnstap_free(struct dnstap *dnstap)
{
    pthread_t closer;
    struct timespec until;
    if (!dnstap)
        return;
    /* A reader that takes nothing would hold the writer for ever: it is left to the process's end. */
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += CLOSE_S;
    if (pthread_create(&closer, NULL, close_writer, dnstap->writer) == 0 &&
        pthread_timedjoin_np(closer, NULL, &until)) {
        log_line(dnstap->log, LOG_WARN, "--dnstap: %s: what was not written yet is lost",
                 dnstap->file ? "the file takes too long" : "the reader takes nothing");
        pthread_detach(closer);
    }
    free(dnstap);
}

void dnstap_reopen(struct dnstap *dnstap)
{
    if (dnstap && dnstap->file)
        dnstap_file_reopen(dnstap->file);
}

/* --- messages --- */

static ProtobufCBinaryData bytes_of(const void *data, size_t length)
{
    return (ProtobufCBinaryData){.len = length, .data = (uint8_t *)(uintptr_t)data};
}

static void set_address(const struct address *address, protobuf_c_boolean *has_ip, ProtobufCBinaryData *ip,
                        protobuf_c_boolean *has_port, uint32_t *port)
{
    if (address->family != AF_INET && address->family != AF_INET6)
        return;
    *has_ip = *has_port = true;
    *ip = bytes_of(address->bytes, address->family == AF_INET ? 4 : 16);
    *port = address->port;
}

static void set_time(int64_t us, protobuf_c_boolean *has_seconds, uint64_t *seconds, protobuf_c_boolean *has_rest,
                     uint32_t *nanoseconds)
{
    *has_seconds = *has_rest = true;
    *seconds = (uint64_t)(us / 1000000);
    *nanoseconds = (uint32_t)(us % 1000000 * 1000);
}

static void set_socket(Dnstap__Message *message, const struct address *address, enum transport transport)
{
    static const Dnstap__SocketProtocol protocols[] = {
        [TRANSPORT_UDP] = DNSTAP__SOCKET_PROTOCOL__UDP,  [TRANSPORT_TCP] = DNSTAP__SOCKET_PROTOCOL__TCP,
        [TRANSPORT_TLS] = DNSTAP__SOCKET_PROTOCOL__DOT,  [TRANSPORT_HTTPS] = DNSTAP__SOCKET_PROTOCOL__DOH,
        [TRANSPORT_QUIC] = DNSTAP__SOCKET_PROTOCOL__DOQ,
    };
    message->has_socket_family = message->has_socket_protocol = true;
    message->socket_family = address->family == AF_INET6 ? DNSTAP__SOCKET_FAMILY__INET6 : DNSTAP__SOCKET_FAMILY__INET;
    message->socket_protocol = protocols[transport];
}

/* The client's address is given as it is to be told. */
static void describe_client(Dnstap__Message *message, const struct flow *flow, const struct address *client)
{
    const struct reply_to *to = &flow->reply_to;
    set_socket(message, client, to->transport);
    set_address(client, &message->has_query_address, &message->query_address, &message->has_query_port,
                &message->query_port);
    set_address(&to->local, &message->has_response_address, &message->response_address, &message->has_response_port,
                &message->response_port);
    set_time(flow->created_us, &message->has_query_time_sec, &message->query_time_sec, &message->has_query_time_nsec,
             &message->query_time_nsec);
}

static void describe_upstream(Dnstap__Message *message, const struct flow *flow)
{
    set_socket(message, &flow->server, flow->server_transport);
    set_address(&flow->server, &message->has_response_address, &message->response_address, &message->has_response_port,
                &message->response_port);
    set_time(flow->asked_us, &message->has_query_time_sec, &message->query_time_sec, &message->has_query_time_nsec,
             &message->query_time_nsec);
}

/* Hands it to the writer. */
static void submit(struct dnstap_tap *tap, const Dnstap__Dnstap *frame)
{
    size_t size = dnstap__dnstap__get_packed_size(frame);
    uint8_t *data = malloc(size);
    if (data)
        dnstap__dnstap__pack(frame, data);
    if (data && fstrm_iothr_submit(tap->dnstap->writer, tap->queue, data, size, fstrm_free_wrapper, NULL) ==
                    fstrm_res_success) {
        tap->queued++;
        return;
    }
    free(data);
    tap->dropped++;
}

static void passed(void *context, const struct flow *flow, enum passage passage, struct span wire)
{
    static const Dnstap__Message__Type types[] = {
        [PASSAGE_CLIENT_QUERY] = DNSTAP__MESSAGE__TYPE__CLIENT_QUERY,
        [PASSAGE_CLIENT_ANSWER] = DNSTAP__MESSAGE__TYPE__CLIENT_RESPONSE,
        [PASSAGE_UPSTREAM_QUERY] = DNSTAP__MESSAGE__TYPE__FORWARDER_QUERY,
        [PASSAGE_UPSTREAM_ANSWER] = DNSTAP__MESSAGE__TYPE__FORWARDER_RESPONSE,
    };
    static const char version[] = "moondns " MOONDNS_VERSION;
    struct dnstap_tap *tap = context;
    if (!tap->queue)
        return;
    Dnstap__Dnstap frame = DNSTAP__DNSTAP__INIT;
    Dnstap__Message message = DNSTAP__MESSAGE__INIT;
    struct address client = flow->reply_to.client;
    if (tap->dnstap->anonymize)
        address_cut(&client, tap->dnstap->cut);
    message.type = types[passage];
    if (passage == PASSAGE_CLIENT_QUERY || passage == PASSAGE_CLIENT_ANSWER)
        describe_client(&message, flow, &client);
    else
        describe_upstream(&message, flow);
    if (passage == PASSAGE_CLIENT_QUERY || passage == PASSAGE_UPSTREAM_QUERY) {
        message.has_query_message = true;
        message.query_message = bytes_of(wire.data, wire.length);
    } else {
        set_time(clock_wall_us(), &message.has_response_time_sec, &message.response_time_sec,
                 &message.has_response_time_nsec, &message.response_time_nsec);
        message.has_response_message = true;
        message.response_message = bytes_of(wire.data, wire.length);
    }
    frame.type = DNSTAP__DNSTAP__TYPE__MESSAGE;
    frame.message = &message;
    frame.has_version = true;
    frame.version = bytes_of(version, sizeof version - 1);
    frame.has_identity = tap->dnstap->identity[0] != '\0';
    frame.identity = bytes_of(tap->dnstap->identity, strlen(tap->dnstap->identity));
    submit(tap, &frame);
}

static void finished(void *context, const struct flow *flow)
{
    (void)context;
    (void)flow;
}

void dnstap_tap_init(struct dnstap_tap *tap)
{
    *tap = (struct dnstap_tap){.observer = {.context = tap, .finished = finished, .passed = passed}};
}

void dnstap_tap_open(struct dnstap_tap *tap, struct dnstap *dnstap, unsigned worker)
{
    tap->dnstap = dnstap;
    tap->queue = fstrm_iothr_get_input_queue_idx(dnstap->writer, worker);
}
