#include "proxy/notices.h"

#include <pthread.h>
#include <stdlib.h>

struct notice {
    struct notice *next;
    struct buffer name, value;
    uint64_t number; /* of the telling, from 1 */
    unsigned member; /* who told it */
};

struct notices {
    struct notices_config config;
    pthread_mutex_t lock;
    struct notice *first;
    uint64_t told;
    uint64_t seen[]; /* by each member: the number up to which it looked */
};

struct notices *notices_new(const struct notices_config *config)
{
    struct notices *notices = calloc(1, sizeof *notices + config->members * sizeof notices->seen[0]);
    if (!notices)
        return NULL;
    notices->config = *config;
    pthread_mutex_init(&notices->lock, NULL);
    return notices;
}

static void notice_free(struct notice *notice)
{
    buffer_free(&notice->name);
    buffer_free(&notice->value);
    free(notice);
}

void notices_free(struct notices *notices)
{
    if (!notices)
        return;
    while (notices->first) {
        struct notice *notice = notices->first;
        notices->first = notice->next;
        notice_free(notice);
    }
    pthread_mutex_destroy(&notices->lock);
    free(notices);
}

/* The name's notice, made where there is none; NULL when there is no memory. */
static struct notice *find(struct notices *notices, struct span name)
{
    struct notice *notice = notices->first;
    while (notice && (notice->name.length != name.length ||
                      (name.length && memcmp(notice->name.data, name.data, name.length) != 0)))
        notice = notice->next;
    if (notice)
        return notice;
    notice = calloc(1, sizeof *notice);
    if (!notice)
        return NULL;
    buffer_append(&notice->name, name.data, name.length);
    if (buffer_status(&notice->name) != STATUS_OK) {
        notice_free(notice);
        return NULL;
    }
    notice->next = notices->first;
    notices->first = notice;
    return notice;
}

enum status notices_tell(struct notices *notices, unsigned member, struct span name, struct span value)
{
    struct buffer copy = {0};
    buffer_append(&copy, value.data, value.length);
    enum status status = buffer_status(&copy);
    if (status)
        return status;
    pthread_mutex_lock(&notices->lock);
    struct notice *notice = find(notices, name);
    if (!notice) {
        status = STATUS_NO_MEMORY;
    } else {
        buffer_free(&notice->value);
        notice->value = copy;
        notice->member = member;
        notice->number = ++notices->told;
        copy = (struct buffer){0};
        for (unsigned i = 0; i < notices->config.members; i++)
            if (i != member)
                notices->config.wake(notices->config.context, i);
    }
    pthread_mutex_unlock(&notices->lock);
    buffer_free(&copy);
    return status;
}

/* Copies the next one that the member has not seen, in the order in which they were told; false: there is none. */
static bool next_unseen(struct notices *notices, unsigned member, struct buffer *name, struct buffer *value)
{
    const struct notice *next = NULL;
    buffer_clear(name);
    buffer_clear(value);
    pthread_mutex_lock(&notices->lock);
    for (const struct notice *notice = notices->first; notice; notice = notice->next)
        if (notice->member != member && notice->number > notices->seen[member] &&
            (!next || notice->number < next->number))
            next = notice;
    if (next) {
        buffer_append(name, next->name.data, next->name.length);
        buffer_append(value, next->value.data, next->value.length);
        if (!name->failed && !value->failed)
            notices->seen[member] = next->number;
    }
    pthread_mutex_unlock(&notices->lock);
    return next != NULL;
}

enum status notices_take(struct notices *notices, unsigned member,
                         void (*take)(void *context, struct span name, struct span value), void *context)
{
    struct buffer name = {0}, value = {0};
    while (next_unseen(notices, member, &name, &value) && !name.failed && !value.failed)
        take(context, (struct span){name.data, name.length}, (struct span){value.data, value.length});
    enum status status = name.failed || value.failed ? STATUS_NO_MEMORY : STATUS_OK;
    buffer_free(&name);
    buffer_free(&value);
    return status;
}
