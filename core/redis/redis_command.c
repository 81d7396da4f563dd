#include "redis/redis_command.h"

#include "redis/redis_value.h"

#include <stdio.h>

/* Numbers are Lua's doubles on both sides, so a sum is the same as in memory. Gives the sum's text, nothing where there
 * is no value and no initial one, 0 where the value is no number. */
static const char INCR[] =
    "local text, number = redis.call('GET', KEYS[1]), nil\n"
    "if not text then\n"
    "  if ARGV[2] == '' then return false end\n"
    "  number = tonumber(ARGV[2])\n"
    "elseif text == 'inf' or text == '-inf' or text == 'nan' or #text < 64 and text:find('^-?%d[%d.eE+-]*$') then\n"
    "  number = tonumber(text)\n"
    "end\n"
    "if not number then return 0 end\n"
    "local sum = number + tonumber(ARGV[1])\n"
    "local out = string.format('%.15g', sum)\n"
    "if sum ~= sum then out = 'nan'\n"
    "elseif tonumber(out) ~= sum then out = string.format('%.17g', sum) end\n"
    "if text then redis.call('SET', KEYS[1], out, 'KEEPTTL')\n"
    "elseif ARGV[3] == '' then redis.call('SET', KEYS[1], out)\n"
    "else redis.call('SET', KEYS[1], out, 'PX', ARGV[3]) end\n"
    "return out";

/* The words of one command. */
struct words {
    const char *texts[8];
    size_t lengths[8];
    int count;
};

static void add(struct words *words, const void *text, size_t length)
{
    words->texts[words->count] = text;
    words->lengths[words->count++] = length;
}

static void add_text(struct words *words, const char *text)
{
    add(words, text, strlen(text));
}

static enum status format(const struct words *words, char **out, size_t *length)
{
    char *text = NULL;
    long long made =
        redisFormatCommandArgv(&text, words->count, (const char **)(uintptr_t)words->texts, words->lengths);
    if (made < 0)
        return STATUS_NO_MEMORY;
    *out = text;
    *length = (size_t)made;
    return STATUS_OK;
}

/* Whole milliseconds, one at least; "" for none. */
static const char *ttl_text(int64_t ttl_us, char out[static 24])
{
    out[0] = '\0';
    if (ttl_us != SHARED_TTL_NONE)
        snprintf(out, 24, "%lld", (long long)((ttl_us + 999) / 1000));
    return out;
}

/* Where the texts of a command lie while it is made. */
struct texts {
    struct buffer key_and_value;
    size_t key_length;
    char ttl[24], by[REDIS_NUMBER_MAX], initial[REDIS_NUMBER_MAX];
};

static void add_key(struct words *words, const struct texts *texts)
{
    add(words, texts->key_and_value.data, texts->key_length);
}

static void write_set(const struct shared_call *call, struct texts *texts, struct words *words)
{
    const char *ttl = ttl_text(call->ttl_us, texts->ttl);
    add_text(words, "SET");
    add_key(words, texts);
    add(words, texts->key_and_value.data + texts->key_length, texts->key_and_value.length - texts->key_length);
    if (call->verb == SHARED_ADD)
        add_text(words, "NX");
    if (*ttl) {
        add_text(words, "PX");
        add_text(words, ttl);
    }
}

static void write_incr(const struct shared_call *call, struct texts *texts, struct words *words)
{
    const struct shared_initial *initial = call->initial;
    add_text(words, "EVAL");
    add(words, INCR, sizeof INCR - 1);
    add_text(words, "1");
    add_key(words, texts);
    add(words, texts->by, redis_number_write(call->by, texts->by));
    add(words, texts->initial, initial ? redis_number_write(initial->number, texts->initial) : 0);
    add_text(words, ttl_text(initial ? initial->ttl_us : SHARED_TTL_NONE, texts->ttl));
}

enum status redis_command_make(const struct shared_call *call, const char *prefix, char **out, size_t *length)
{
    struct words words = {.count = 0};
    struct texts texts = {.key_and_value = {0}};
    bool sets = (call->verb == SHARED_SET || call->verb == SHARED_ADD) && call->value.kind != SHARED_NOTHING;
    size_t value_length = sets && call->value.kind == SHARED_TEXT ? call->value.text.length : 0;
    if (call->key.length > REDIS_TEXT_MAX || value_length > REDIS_TEXT_MAX - call->key.length)
        return STATUS_NO_SPACE;
    if (call->verb == SHARED_KEYS)
        return redis_command_scan(prefix, call->key, "0", out, length);
    buffer_text(&texts.key_and_value, prefix);
    buffer_append(&texts.key_and_value, call->key.bytes, call->key.length);
    texts.key_length = texts.key_and_value.length;
    if (sets)
        redis_value_write(&call->value, &texts.key_and_value);
    enum status status = buffer_status(&texts.key_and_value);
    if (status)
        goto done;
    if (sets) {
        write_set(call, &texts, &words);
    } else if (call->verb == SHARED_INCR) {
        write_incr(call, &texts, &words);
    } else {
        add_text(&words, call->verb == SHARED_GET ? "GET" : "DEL");
        add_key(&words, &texts);
    }
    status = format(&words, out, length);
done:
    buffer_free(&texts.key_and_value);
    return status;
}

/* Appends the text so that a pattern takes it as it is. */
static void append_literal(struct buffer *out, const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (text[i] && strchr("*?[]\\", text[i]))
            buffer_text(out, "\\");
        buffer_append(out, &text[i], 1);
    }
}

enum status redis_command_scan(const char *prefix, struct shared_text key, const char *cursor, char **out,
                               size_t *length)
{
    struct words words = {.count = 0};
    struct buffer pattern = {0};
    append_literal(&pattern, prefix, strlen(prefix));
    append_literal(&pattern, key.bytes, key.length);
    buffer_text(&pattern, "*");
    enum status status = buffer_status(&pattern);
    if (!status) {
        add_text(&words, "SCAN");
        add_text(&words, cursor);
        add_text(&words, "MATCH");
        add(&words, pattern.data, pattern.length);
        add_text(&words, "COUNT");
        add_text(&words, "1000");
        status = format(&words, out, length);
    }
    buffer_free(&pattern);
    return status;
}

static const char UNEXPECTED[] = "Redis: an answer that does not fit the question";

static void fail(struct shared_answer *out, const char *reason)
{
    *out = (struct shared_answer){.status = STATUS_IO, .reason = reason};
}

static void read_get(const redisReply *reply, struct shared_answer *out)
{
    if (reply->type == REDIS_REPLY_NIL)
        out->status = STATUS_NOT_FOUND;
    else if (reply->type != REDIS_REPLY_STRING)
        fail(out, UNEXPECTED);
    else if ((size_t)reply->len > REDIS_TEXT_MAX)
        fail(out, "Redis: the value is larger than 4 MiB");
    else
        out->value = redis_value_read(reply->str, (size_t)reply->len);
}

/* SET's, with NX and without, and DEL's for a value of nil. */
static void read_set(const redisReply *reply, struct shared_answer *out)
{
    out->yes = reply->type == REDIS_REPLY_STATUS;
    if (!out->yes && reply->type != REDIS_REPLY_NIL && reply->type != REDIS_REPLY_INTEGER)
        fail(out, UNEXPECTED);
}

static void read_incr(const redisReply *reply, struct shared_answer *out)
{
    if (reply->type == REDIS_REPLY_NIL)
        out->status = STATUS_NOT_FOUND;
    else if (reply->type == REDIS_REPLY_INTEGER)
        out->status = STATUS_INVALID;
    else if (reply->type == REDIS_REPLY_STRING)
        out->value = redis_value_read(reply->str, (size_t)reply->len);
    if (out->status == STATUS_OK && out->value.kind != SHARED_NUMBER)
        fail(out, UNEXPECTED);
}

static void read_delete(const redisReply *reply, struct shared_answer *out)
{
    out->yes = reply->type == REDIS_REPLY_INTEGER && reply->integer > 0;
    if (reply->type != REDIS_REPLY_INTEGER)
        fail(out, UNEXPECTED);
}

void redis_reply_read(enum shared_verb verb, const redisReply *reply, struct shared_answer *out)
{
    static void (*const readers[])(const redisReply *, struct shared_answer *) = {
        [SHARED_GET] = read_get,   [SHARED_SET] = read_set,       [SHARED_ADD] = read_set,
        [SHARED_INCR] = read_incr, [SHARED_DELETE] = read_delete,
    };
    *out = (struct shared_answer){.status = STATUS_OK};
    if (reply->type == REDIS_REPLY_ERROR)
        fail(out, reply->str);
    else
        readers[verb](reply, out);
}

const char *redis_reply_scan(const redisReply *reply, size_t prefix_length, struct buffer *keys, const char **cursor)
{
    if (reply->type == REDIS_REPLY_ERROR)
        return reply->str;
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 || reply->element[0]->type != REDIS_REPLY_STRING ||
        reply->element[1]->type != REDIS_REPLY_ARRAY)
        return UNEXPECTED;
    const redisReply *list = reply->element[1];
    for (size_t i = 0; i < list->elements; i++) {
        const redisReply *key = list->element[i];
        if (key->type != REDIS_REPLY_STRING || (size_t)key->len < prefix_length)
            return UNEXPECTED;
        size_t length = (size_t)key->len - prefix_length;
        buffer_append(keys, &length, sizeof length);
        buffer_append(keys, key->str + prefix_length, length);
    }
    if (keys->length > REDIS_KEYS_MAX)
        return "Redis: the keys take more than 64 MiB";
    *cursor = reply->element[0]->str;
    return keys->failed ? "out of memory" : NULL;
}
