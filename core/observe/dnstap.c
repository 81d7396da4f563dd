#include "observe/dnstap_private.h"

#include "base/room.h"
#include "dns/name.h"

#include <assert.h>
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

#define NO_THREAD "--dnstap: cannot start its thread"

/* --- targets --- */

static const char *after(const char *text, const char *start)
{
    size_t length = strlen(start);
    return strncmp(text, start, length) == 0 && text[length] ? text + length : NULL;
}

/* 0: it is none. */
static uint16_t read_port(const char *text)
{
    char *end;
    const unsigned long port = strtoul(text, &end, 10);
    return *text >= '0' && *text <= '9' && !*end && port <= UINT16_MAX ? (uint16_t)port : 0;
}

/* "ip:port", "[ipv6]:port" or "name:port". */
static enum status read_host(const char *text, struct dnstap_target *out, struct reason *reason)
{
    struct address address;
    struct dns_name name;
    char ip[ADDRESS_TEXT_MAX];
    const char *colon = strrchr(text, ':');
    if (!colon)
        colon = text + strlen(text);
    const size_t length = (size_t)(colon - text);
    if (address_from_text(text, strlen(text), 0, &address, NULL) == STATUS_OK) {
        snprintf(out->host, sizeof out->host, "%s", address_ip_text(&address, ip));
        out->port = address.port;
    } else if (length == 0 || length >= sizeof out->host || dns_name_from_text(text, length, &name, NULL)) {
        reason_set(reason, "tcp:HOST:PORT expected, got 'tcp:%s'", text);
        return STATUS_INVALID;
    } else {
        snprintf(out->host, sizeof out->host, "%.*s", (int)length, text);
        out->port = *colon ? read_port(colon + 1) : 0;
    }
    if (out->port > 0)
        return STATUS_OK;
    reason_set(reason, "'tcp:%s': a port from 1 to 65535 is missing; tcp:HOST:PORT expected", text);
    return STATUS_INVALID;
}

static enum status read_target(const char *text, struct dnstap_target *out, struct reason *reason)
{
    struct dnstap_target target = {.kind = DNSTAP_TARGET_UNIX};
    const char *rest;
    if ((target.path = after(text, "unix:"))) {
        if (strlen(target.path) >= sizeof((struct sockaddr_un *)0)->sun_path) {
            reason_set(reason, "the path of a socket has %zu bytes at the most, this one has %zu",
                       sizeof((struct sockaddr_un *)0)->sun_path - 1, strlen(target.path));
            return STATUS_INVALID;
        }
    } else if ((target.path = after(text, "file:"))) {
        target.kind = DNSTAP_TARGET_FILE;
    } else if ((rest = after(text, "tcp:"))) {
        target.kind = DNSTAP_TARGET_TCP;
        enum status status = read_host(rest, &target, reason);
        if (status)
            return status;
    } else {
        reason_set(reason, "unix:PATH, tcp:HOST:PORT or file:PATH expected, got '%s'", text);
        return STATUS_INVALID;
    }
    *out = target;
    return STATUS_OK;
}

enum status dnstap_check(const char *target, struct reason *reason)
{
    struct dnstap_target out;
    return read_target(target, &out, reason);
}

/* --- life --- */

static enum status open_writer(const struct dnstap_target *target, struct dnstap *dnstap, struct fstrm_writer **out,
                               struct reason *reason)
{
    if (target->kind == DNSTAP_TARGET_FILE)
        return dnstap_file_writer(target->path, dnstap->log, &dnstap->fate, out, &dnstap->file, reason);
    return dnstap_socket_writer(target, dnstap->log, &dnstap->fate, out);
}

static ProtobufCBinaryData bytes_of(char *text)
{
    return (ProtobufCBinaryData){.len = strlen(text), .data = (uint8_t *)text};
}

/* What all frames have in common. */
static void pack_common(struct dnstap *dnstap, const char *given)
{
    char identity[DNSTAP_IDENTITY_MAX] = "", version[] = "moondns " MOONDNS_VERSION;
    if (given)
        snprintf(identity, sizeof identity, "%s", given);
    else if (gethostname(identity, sizeof identity - 1))
        identity[0] = '\0';
    Dnstap__Dnstap frame = DNSTAP__DNSTAP__INIT;
    frame.type = DNSTAP__DNSTAP__TYPE__MESSAGE;
    frame.has_version = true;
    frame.version = bytes_of(version);
    frame.has_identity = identity[0] != '\0';
    frame.identity = bytes_of(identity);
    assert(dnstap__dnstap__get_packed_size(&frame) <= sizeof dnstap->common);
    dnstap->common_length = dnstap__dnstap__pack(&frame, dnstap->common);
}

/* libfstrm ends the process where it has no room to start. */
static enum status check_room(unsigned workers, struct reason *reason)
{
    enum { ENTRY_BYTES = 64 };
    if (!room_is_there(ROOM_BYTES + (size_t)workers * QUEUE_MESSAGES * ENTRY_BYTES))
        return STATUS_NO_MEMORY;
    if (room_has_thread())
        return STATUS_OK;
    reason_set(reason, NO_THREAD);
    return STATUS_IO;
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
    struct dnstap_target target;
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
    pack_common(dnstap, config->identity);
    status = check_room(config->workers, reason);
    if (!status)
        status = open_writer(&target, dnstap, &writer, reason);
    if (!status && writer)
        dnstap->writer = start(writer, config->workers);
    if (!status && !dnstap->writer) {
        reason_set(reason, NO_THREAD);
        status = STATUS_IO;
    }
    if (status) {
        free(dnstap);
        return status;
    }
    *out = dnstap;
    return STATUS_OK;
}

/* Takes the tap: what the writer uses is freed once that has ended. */
static void *close_writer(void *context)
{
    struct dnstap *dnstap = context;
    fstrm_iothr_destroy(&dnstap->writer);
    free(dnstap);
    return NULL;
}

void dnstap_free(struct dnstap *dnstap)
{
    pthread_t closer;
    struct timespec until;
    if (!dnstap)
        return;
    const struct log *log = dnstap->log;
    const bool is_file = dnstap->file != NULL;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += CLOSE_S;
    if (pthread_create(&closer, NULL, close_writer, dnstap))
        return; /* the writer is left to the process's end, with what it uses */
    if (pthread_timedjoin_np(closer, NULL, &until)) {
        /* A reader that takes nothing would hold it for ever. */
        log_line(log, LOG_WARN, "--dnstap: %s: what was not written yet is lost",
                 is_file ? "the file takes too long" : "the reader takes nothing");
        pthread_detach(closer);
    }
}

uint64_t dnstap_lost(const struct dnstap *dnstap)
{
    return dnstap ? atomic_load_explicit(&dnstap->fate.lost, memory_order_relaxed) : 0;
}

void dnstap_reopen(struct dnstap *dnstap)
{
    if (dnstap && dnstap->file)
        dnstap_file_reopen(dnstap->file);
}
