#include "redis/redis_link.h"

#include "base/clock.h"
#include "base/random.h"
#include "redis/redis_lookup.h"

#include <arpa/inet.h>
#include <event2/event.h>
#include <stdlib.h>

enum {
    ATTEMPT_MS = 1000, /* for one attempt, with all addresses and the greeting */
    RETRY_FIRST_MS = 100,
    RETRY_MOST_MS = 2000,
    STABLE_US = 1000 * 1000, /* a connection that lasted so long is renewed at once */
};

/* What the timer is for. */
enum timer { TIMER_ATTEMPT, TIMER_ADDRESS, TIMER_TOO_LONG };

struct redis_link {
    struct redis_link_config config;
    enum redis_link_state state;
    struct redis_wire *wire; /* from its first attempt on; NULL: none */
    struct redis_lookup *lookup;
    redis_address addresses[REDIS_ADDRESSES_MAX];
    size_t count, at; /* … of these, and the next one to try */
    struct event *timer;
    enum timer timer_for;
    unsigned failures; /* since it was up */
    int64_t up_us;
    bool told; /* that the server is away */
    struct random random;
    struct reason why;
};

static void set_timer(struct redis_link *link, enum timer timer_for, unsigned ms)
{
    struct timeval time = clock_timeval((int64_t)ms * 1000);
    link->timer_for = timer_for;
    evtimer_add(link->timer, &time);
}

static void set_why(struct redis_link *link, const char *why)
{
    reason_set(&link->why, "Redis at %s is away: %s", link->config.store.url->place, why);
}

static void say(const struct redis_link *link, enum log_level level, const char *text)
{
    if (!link->config.store.silent)
        log_line(link->config.store.log, level, "shared: %s", text);
}

/* --- the end of an attempt --- */

/* The next one comes later the more have failed; by chance, so that not all workers come at once. */
static unsigned retry_ms(struct redis_link *link)
{
    unsigned ms = RETRY_MOST_MS;
    if (link->failures < 5)
        ms = (unsigned)RETRY_FIRST_MS << link->failures;
    ms = ms < RETRY_MOST_MS ? ms : RETRY_MOST_MS;
    return ms / 2 + random_u32(&link->random) % (ms / 2);
}

static void fail(struct redis_link *link)
{
    link->state = REDIS_LINK_DOWN;
    set_timer(link, TIMER_ATTEMPT, retry_ms(link));
    link->failures++;
    if (!link->told)
        say(link, LOG_WARN, link->why.text);
    link->told = true;
    link->config.down(link->config.context);
}

/* Commands that wait on the wire get NULL, once the link is as it is to be then. */
static void close_wire(struct redis_link *link)
{
    struct redis_wire *wire = link->wire;
    link->wire = NULL;
    if (wire)
        redis_wire_free(wire);
}

/* Ends the connection, and with it the attempt; `why` may lie in a reply. */
static void give_up(struct redis_link *link, const char *why)
{
    set_why(link, why);
    close_wire(link);
    fail(link);
}

static void on_lost(void *context, const char *why)
{
    struct redis_link *link = context;
    bool was_stable = clock_monotonic_us() - link->up_us >= STABLE_US;
    set_why(link, why);
    if (link->state == REDIS_LINK_UP) {
        link->state = REDIS_LINK_HOPEFUL;
        set_timer(link, TIMER_ATTEMPT, was_stable ? 0 : RETRY_FIRST_MS);
    } else {
        set_timer(link, TIMER_ADDRESS, 0);
    }
    close_wire(link);
}

void redis_link_drop(struct redis_link *link, const char *why)
{
    give_up(link, why);
}

/* --- the greeting --- */

/* AUTH's and SELECT's reply. */
static void on_step(void *context, const redisReply *reply)
{
    struct redis_link *link = context;
    if (reply && reply->type == REDIS_REPLY_ERROR && link->wire)
        give_up(link, reply->str);
}

/* The last one's. */
static void on_ready(void *context, const redisReply *reply)
{
    struct redis_link *link = context;
    on_step(link, reply);
    if (!reply || !link->wire)
        return;
    evtimer_del(link->timer);
    link->state = REDIS_LINK_UP;
    link->up_us = clock_monotonic_us();
    link->failures = 0;
    if (link->told) {
        struct reason text;
        reason_set(&text, "Redis at %s is there again", link->config.store.url->place);
        say(link, LOG_INFO, text.text);
    }
    link->told = false;
    link->config.up(link->config.context);
}

/* Takes a formatted command, or -1 for none. */
static bool greet_with(struct redis_link *link, redis_wire_fn *fn, char *command, int length)
{
    bool sent = length >= 0 && redis_wire_send(link->wire, command, (size_t)length, fn, link) == STATUS_OK;
    if (length >= 0)
        redisFreeCommand(command);
    return sent;
}

static bool greet(struct redis_link *link)
{
    const struct redis_url *url = link->config.store.url;
    char *command = NULL;
    int length = 0;
    bool fine = true;
    if (url->user)
        length = redisFormatCommand(&command, "AUTH %s %s", url->user, url->password);
    else if (url->password)
        length = redisFormatCommand(&command, "AUTH %s", url->password);
    if (url->user || url->password)
        fine = greet_with(link, on_step, command, length);
    if (fine && url->database) {
        length = redisFormatCommand(&command, "SELECT %u", url->database);
        fine = greet_with(link, on_step, command, length);
    }
    if (!fine)
        return false;
    length = redisFormatCommand(&command, "PING");
    return greet_with(link, on_ready, command, length);
}

/* --- an attempt --- */

/* Begins to connect; false: there is something wrong at once. */
static bool connect_to(struct redis_link *link, const char *address)
{
    const struct redis_url *url = link->config.store.url;
    struct redis_wire_config config = {
        .base = link->config.store.base, .path = url->path, .lost = on_lost, .context = link};
    struct reason reason = {"out of memory"};
    enum status status = STATUS_OK;
    if (!url->path && address_from_ip(address, strlen(address), &config.address)) {
        reason_set(&reason, "'%s' is no address", address);
        status = STATUS_INVALID;
    }
    config.address.port = url->port;
    if (!status)
        status = redis_wire_new(&config, &link->wire, &reason);
    if (!status && greet(link))
        return true;
    set_why(link, reason.text);
    close_wire(link);
    return false;
}

static void try_next(struct redis_link *link)
{
    set_timer(link, TIMER_TOO_LONG, ATTEMPT_MS);
    while (link->at < link->count)
        if (connect_to(link, link->addresses[link->at++]))
            return;
    fail(link);
}

static void on_found(void *context, redis_address *addresses, size_t count, const char *reason)
{
    struct redis_link *link = context;
    link->lookup = NULL;
    memcpy(link->addresses, addresses, sizeof link->addresses);
    link->count = count;
    if (!count)
        set_why(link, reason);
    try_next(link);
}

static void attempt(struct redis_link *link)
{
    const char *host = link->config.store.url->host;
    struct in6_addr ignored;
    set_timer(link, TIMER_TOO_LONG, ATTEMPT_MS);
    link->at = link->count = 0;
    if (!host || inet_pton(AF_INET, host, &ignored) == 1 || inet_pton(AF_INET6, host, &ignored) == 1) {
        reason_set(&link->why, "out of memory");
        link->count = 1;
        if (host)
            memcpy(link->addresses[0], host, strlen(host) + 1);
        try_next(link);
        return;
    }
    link->lookup = redis_lookup_start(link->config.store.base, host, on_found, link);
    if (!link->lookup)
        give_up(link, "its address cannot be looked up: no memory");
}

static void on_timer(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    struct redis_link *link = context;
    if (link->timer_for == TIMER_ATTEMPT) {
        attempt(link);
    } else if (link->timer_for == TIMER_ADDRESS) {
        try_next(link);
    } else if (link->at < link->count) {
        close_wire(link);
        try_next(link);
    } else {
        const char *why = link->lookup ? "looking up its address takes too long" : "it does not answer";
        redis_lookup_free(link->lookup);
        link->lookup = NULL;
        give_up(link, why);
    }
}

/* --- life --- */

struct redis_link *redis_link_new(const struct redis_link_config *config)
{
    struct redis_link *link = calloc(1, sizeof *link);
    if (!link)
        return NULL;
    link->config = *config;
    set_why(link, "nobody has connected yet");
    link->timer = evtimer_new(config->store.base, on_timer, link);
    if (link->timer)
        return link;
    free(link);
    return NULL;
}

void redis_link_start(struct redis_link *link)
{
    link->state = REDIS_LINK_HOPEFUL;
    attempt(link);
}

void redis_link_free(struct redis_link *link)
{
    if (!link)
        return;
    link->state = REDIS_LINK_DOWN;
    close_wire(link);
    redis_lookup_free(link->lookup);
    event_free(link->timer);
    free(link);
}

enum redis_link_state redis_link_state(const struct redis_link *link)
{
    return link->state;
}

struct redis_wire *redis_link_wire(const struct redis_link *link)
{
    return link->state == REDIS_LINK_UP ? link->wire : NULL;
}

const char *redis_link_why(const struct redis_link *link)
{
    return link->why.text;
}
