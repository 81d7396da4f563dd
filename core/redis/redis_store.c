#include "redis/redis_store.h"

#include "base/clock.h"
#include "redis/redis_command.h"
#include "redis/redis_link.h"

#include <event2/event.h>
#include <stdlib.h>

enum { LATE_MS = 2000 /* the server has this long to answer after all, before the connection is given up */ };

/* One call. It is in its store's list from the call on until its answer has come, or nobody can send it any more. */
struct redis_request {
    struct redis_store *store;
    struct redis_request *previous, *next; /* by deadline; free ones by `next` */
    int64_t deadline_us;
    enum shared_verb verb;
    bool is_late;  /* it was told that there is no answer; one may still come */
    char *command; /* kept until there is a connection; NULL: sent */
    size_t length;
    void (*finished)(void *context, const struct shared_answer *answer); /* NULL: nobody waits */
    void *context;
    struct buffer keys, wanted; /* SHARED_KEYS: found so far; what they begin with */
};

struct redis_store {
    struct redis_store_config config;
    struct redis_link *link;
    struct redis_request *first, *last, *free;
    unsigned count, late; /* of those in the list */
    size_t bytes;         /* of their commands */
    struct redis_counters counters;
    struct event *deadline;
};

/* --- the list --- */

static struct redis_request *take_request(struct redis_store *store)
{
    struct redis_request *request = store->free;
    if (request)
        store->free = request->next;
    else
        request = calloc(1, sizeof *request);
    return request;
}

static void append(struct redis_store *store, struct redis_request *request)
{
    request->deadline_us = clock_monotonic_us() + (int64_t)REDIS_CALL_MS * 1000;
    request->previous = store->last;
    request->next = NULL;
    *(store->last ? &store->last->next : &store->first) = request;
    store->last = request;
    store->count++;
    store->bytes += request->length;
    if (!evtimer_pending(store->deadline, NULL))
        evtimer_add(store->deadline, &(struct timeval){.tv_usec = REDIS_CALL_MS * 1000});
}

static void take_out(struct redis_request *request)
{
    struct redis_store *store = request->store;
    *(request->previous ? &request->previous->next : &store->first) = request->next;
    *(request->next ? &request->next->previous : &store->last) = request->previous;
    store->count--;
    store->bytes -= request->length;
    store->late -= request->is_late;
}

/* Frees what the request holds, and keeps it for the next call. */
static void release(struct redis_request *request)
{
    struct redis_store *store = request->store;
    redisFreeCommand(request->command);
    buffer_free(&request->keys);
    buffer_free(&request->wanted);
    *request = (struct redis_request){.next = store->free};
    store->free = request;
}

static void tell(struct redis_request *request, const struct shared_answer *answer)
{
    struct redis_counters *counters = &request->store->counters;
    void (*finished)(void *, const struct shared_answer *) = request->finished;
    request->finished = NULL;
    if (!finished)
        return;
    ++*(answer->status == STATUS_IO ? &counters->failed : &counters->answered);
    finished(request->context, answer);
}

/* The end of a request in the list. */
static void finish(struct redis_request *request, const struct shared_answer *answer)
{
    take_out(request);
    tell(request, answer);
    release(request);
}

static void finish_failed(struct redis_request *request, const char *reason)
{
    finish(request, &(struct shared_answer){.status = STATUS_IO, .reason = reason});
}

/* Why a command was not sent. */
static const char *why_unsent(const struct redis_store *store)
{
    return redis_link_wire(store->link) ? "out of memory" : redis_link_why(store->link);
}

/* --- replies --- */

static void on_reply(void *context, const redisReply *reply);

static bool send_command(struct redis_request *request)
{
    struct redis_wire *wire = redis_link_wire(request->store->link);
    if (!wire || redis_wire_send(wire, request->command, request->length, on_reply, request))
        return false;
    redisFreeCommand(request->command);
    request->command = NULL;
    return true;
}

/* The next step of SHARED_KEYS, with a deadline of its own. */
static bool next_step(struct redis_request *request, const char *cursor)
{
    struct redis_store *store = request->store;
    const struct shared_text wanted = {(const char *)request->wanted.data, request->wanted.length};
    char *command;
    size_t length;
    if (redis_command_scan(store->config.url->prefix, wanted, cursor, &command, &length))
        return false;
    take_out(request);
    request->command = command;
    request->length = length;
    append(store, request);
    return send_command(request);
}

/* A step's reply: takes the next one, or gives the answer. */
static void on_scanned(struct redis_request *request, const redisReply *reply)
{
    struct redis_store *store = request->store;
    const char *cursor = "0";
    const char *problem = redis_reply_scan(reply, strlen(store->config.url->prefix), &request->keys, &cursor);
    if (problem) {
        finish_failed(request, problem);
    } else if (!strcmp(cursor, "0")) {
        struct span keys = {request->keys.data, request->keys.length};
        finish(request, &(struct shared_answer){.status = STATUS_OK, .keys = keys, .keys_repeat = true});
    } else if (!request->finished || !next_step(request, cursor)) {
        finish_failed(request, why_unsent(store));
    }
}

static void on_reply(void *context, const redisReply *reply)
{
    struct redis_request *request = context;
    struct shared_answer answer;
    if (!reply) {
        finish_failed(request, redis_link_why(request->store->link));
    } else if (request->verb == SHARED_KEYS) {
        on_scanned(request, reply);
    } else {
        redis_reply_read(request->verb, reply, &answer);
        finish(request, &answer);
    }
}

/* --- the link --- */

static struct redis_request *first_unsent(const struct redis_store *store)
{
    struct redis_request *request = store->first;
    while (request && !request->command)
        request = request->next;
    return request;
}

/* Hooks that go on may call again: that fails at once. */
static void fail_unsent(struct redis_store *store)
{
    struct redis_request *request;
    while ((request = first_unsent(store)))
        finish_failed(request, why_unsent(store));
}

static void on_up(void *context)
{
    struct redis_store *store = context;
    bool all = true;
    for (struct redis_request *request = store->first; request; request = request->next)
        if (request->command)
            all = send_command(request) && all;
    if (!all)
        fail_unsent(store); /* for want of memory */
}

/* The link is given up. */
static void on_down(void *context)
{
    fail_unsent(context);
}

/* --- deadlines --- */

static void too_late(struct redis_request *request)
{
    struct redis_store *store = request->store;
    struct reason reason;
    reason_set(&reason, "Redis at %s does not answer", store->config.url->place);
    if (request->command) {
        finish_failed(request, reason.text);
        return;
    }
    if (redis_link_wire(store->link))
        redis_wire_look(redis_link_wire(store->link));
    request->is_late = true;
    store->late++;
    tell(request, &(struct shared_answer){.status = STATUS_IO, .reason = reason.text});
}

static struct redis_request *first_in_time(const struct redis_store *store)
{
    struct redis_request *request = store->first;
    while (request && request->is_late)
        request = request->next;
    return request;
}

static void on_deadline(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    struct redis_store *store = context;
    int64_t now_us = clock_monotonic_us();
    const struct redis_request *oldest = store->first;
    if (oldest && oldest->is_late && now_us >= oldest->deadline_us + (int64_t)LATE_MS * 1000)
        redis_link_drop(store->link, "it does not answer");
    struct redis_request *request;
    while ((request = first_in_time(store)) && request->deadline_us <= now_us)
        too_late(request);
    if (!store->first)
        return;
    int64_t wait_us = request ? request->deadline_us - now_us : (int64_t)REDIS_CALL_MS * 1000;
    evtimer_add(store->deadline, &(struct timeval){.tv_usec = (suseconds_t)(wait_us > 0 ? wait_us : 0)});
}

/* --- calls --- */

/* Whether a call can be made now. */
static enum status check_link(const struct redis_store *store, struct reason *reason)
{
    if (redis_link_state(store->link) == REDIS_LINK_DOWN)
        reason_set(reason, "%s", redis_link_why(store->link));
    else if (store->late)
        reason_set(reason, "Redis at %s does not answer", store->config.url->place);
    else if (store->count >= REDIS_REQUESTS_MAX || store->bytes >= REDIS_BYTES_MAX)
        reason_set(reason, "Redis at %s is slow: too many calls wait for it", store->config.url->place);
    else
        return STATUS_OK;
    return STATUS_IO;
}

static enum status make_call(struct redis_store *store, const struct shared_call *call,
                             void (*finished)(void *context, const struct shared_answer *answer), void *context,
                             struct redis_request **out, struct reason *reason)
{
    enum status status = check_link(store, reason);
    if (status)
        return status;
    struct redis_request *request = take_request(store);
    if (!request)
        return STATUS_NO_MEMORY;
    *request = (struct redis_request){.store = store, .verb = call->verb, .finished = finished, .context = context};
    status = redis_command_make(call, store->config.url->prefix, &request->command, &request->length);
    if (!status && call->verb == SHARED_KEYS) {
        buffer_append(&request->wanted, call->key.bytes, call->key.length);
        status = buffer_status(&request->wanted);
    }
    if (!status && redis_link_state(store->link) == REDIS_LINK_UP && !send_command(request))
        status = STATUS_NO_MEMORY;
    if (status == STATUS_NO_SPACE)
        reason_set(reason, "a key with its value can have %d MiB at most", REDIS_TEXT_MAX >> 20);
    if (status) {
        release(request);
        return status;
    }
    append(store, request);
    *out = request;
    return STATUS_OK;
}

enum status redis_store_call(struct redis_store *store, const struct shared_call *call,
                             void (*finished)(void *context, const struct shared_answer *answer), void *context,
                             struct redis_request **out, struct reason *reason)
{
    enum status status = make_call(store, call, finished, context, out, reason);
    store->counters.failed += status != STATUS_OK;
    return status;
}

struct redis_counters redis_store_counters(const struct redis_store *store)
{
    struct redis_counters counters = store->counters;
    counters.is_up = redis_link_state(store->link) == REDIS_LINK_UP;
    return counters;
}

void redis_store_forget(struct redis_request *request)
{
    request->finished = NULL;
    if (request->command) {
        take_out(request);
        release(request);
    }
}

/* --- life --- */

struct redis_store *redis_store_new(const struct redis_store_config *config)
{
    struct redis_store *store = calloc(1, sizeof *store);
    if (!store)
        return NULL;
    struct redis_link_config link = {.store = *config, .up = on_up, .down = on_down, .context = store};
    store->config = *config;
    store->link = redis_link_new(&link);
    store->deadline = evtimer_new(config->base, on_deadline, store);
    if (store->link && store->deadline)
        return store;
    redis_store_free(store);
    return NULL;
}

void redis_store_start(struct redis_store *store)
{
    redis_link_start(store->link);
}

void redis_store_free(struct redis_store *store)
{
    if (!store)
        return;
    for (struct redis_request *request = store->first; request; request = request->next)
        request->finished = NULL;
    if (store->link)
        redis_link_free(store->link); /* takes those out that were sent */
    while (store->first)
        redis_store_forget(store->first);
    while (store->free) {
        struct redis_request *request = store->free;
        store->free = request->next;
        free(request);
    }
    if (store->deadline)
        event_free(store->deadline);
    free(store);
}
