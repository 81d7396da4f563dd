#include "data/shared_call.h"

static void call_get(struct shared_store *store, const struct shared_call *call, int64_t now_us, struct buffer *bytes,
                     struct shared_answer *out)
{
    out->status = shared_store_get(store, call->key, now_us, &out->value, bytes);
}

static void call_set(struct shared_store *store, const struct shared_call *call, int64_t now_us, struct buffer *bytes,
                     struct shared_answer *out)
{
    (void)bytes;
    if (call->value.kind == SHARED_NOTHING)
        (void)shared_store_delete(store, call->key, now_us);
    else
        out->status = shared_store_set(store, call->key, now_us, &call->value, call->ttl_us);
}

static void call_add(struct shared_store *store, const struct shared_call *call, int64_t now_us, struct buffer *bytes,
                     struct shared_answer *out)
{
    (void)bytes;
    out->status = shared_store_add(store, call->key, now_us, &call->value, call->ttl_us, &out->yes);
}

static void call_incr(struct shared_store *store, const struct shared_call *call, int64_t now_us, struct buffer *bytes,
                      struct shared_answer *out)
{
    (void)bytes;
    out->status = shared_store_incr(store, call->key, now_us, call->by, call->initial, &out->value.number);
    out->value.kind = SHARED_NUMBER;
}

static void call_delete(struct shared_store *store, const struct shared_call *call, int64_t now_us,
                        struct buffer *bytes, struct shared_answer *out)
{
    (void)bytes;
    out->yes = shared_store_delete(store, call->key, now_us);
}

static void call_keys(struct shared_store *store, const struct shared_call *call, int64_t now_us, struct buffer *bytes,
                      struct shared_answer *out)
{
    out->status = shared_store_keys(store, call->key, now_us, bytes);
    out->keys = (struct span){bytes->data, bytes->length};
}

void shared_store_call(struct shared_store *store, const struct shared_call *call, int64_t now_us, struct buffer *bytes,
                       struct shared_answer *out)
{
    static void (*const calls[])(struct shared_store *, const struct shared_call *, int64_t, struct buffer *,
                                 struct shared_answer *) = {
        [SHARED_GET] = call_get,   [SHARED_SET] = call_set,       [SHARED_ADD] = call_add,
        [SHARED_INCR] = call_incr, [SHARED_DELETE] = call_delete, [SHARED_KEYS] = call_keys,
    };
    *out = (struct shared_answer){.status = STATUS_OK};
    calls[call->verb](store, call, now_us, bytes, out);
}
