#include "window.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { SHOWN_MAX = 20 };

uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void window_open(struct window *window, uint32_t size, bool stream)
{
    *window = (struct window){.slots = calloc(size, sizeof *window->slots), .size = size, .stream = stream};
    if (!window->slots) {
        perror("calloc");
        exit(2);
    }
}

void window_close(struct window *window)
{
    free(window->slots);
    *window = (struct window){0};
}

static const char *const fault_names[] = {"wrong", "crossed", "late", "lost"};

static void show(struct tally *tally, enum fault fault, struct question question, uint64_t age, const uint8_t *answer,
                 size_t length)
{
    if (tally->shown[fault]++ >= SHOWN_MAX)
        return;
    uint8_t query[MALFORMED_MAX];
    size_t size = question.malformed ? malformed_write(question, 0, query) : question_write(question, 0, query);
    fprintf(stderr, "%s after %.3f s%s; query ", fault_names[fault], (double)age / 1e9,
            question.malformed ? " (malformed)" : "");
    for (size_t i = 0; i < size; i++)
        fprintf(stderr, "%02x", query[i]);
    fprintf(stderr, " answer ");
    for (size_t i = 0; i < length; i++)
        fprintf(stderr, "%02x", answer[i]);
    fputc('\n', stderr);
}

size_t window_ask(struct window *window, struct tally *tally, struct question question, uint8_t *out)
{
    struct slot *slot = &window->slots[window->next % window->size];
    if (slot->asked_at)
        return 0;
    *slot = (struct slot){now_ns(), question};
    uint16_t id = (uint16_t)(window->next % window->size);
    window->next++;
    window->waiting++;
    tally->asked++;
    tally->malformed += question.malformed;
    return question.malformed ? malformed_write(question, id, out) : question_write(question, id, out);
}

void window_settle(struct window *window, struct tally *tally, const uint8_t *answer, size_t length)
{
    uint32_t id = length >= 2 ? (uint32_t)(answer[0] << 8 | answer[1]) : UINT32_MAX;
    if (id >= window->size || !window->slots[id].asked_at) {
        tally->stray++;
        return;
    }
    struct slot *slot = &window->slots[id];
    uint64_t age = now_ns() - slot->asked_at;
    enum verdict verdict = slot->question.malformed
                               ? malformed_judge(answer, length)
                               : answer_judge(slot->question, window->stream, answer, length, &tally->version);
    tally->verdicts[verdict]++;
    if (verdict == VERDICT_WRONG || verdict == VERDICT_CROSSED)
        show(tally, verdict == VERDICT_WRONG ? FAULT_WRONG : FAULT_CROSSED, slot->question, age, answer, length);
    if (age > tally->late_after) {
        tally->late++;
        show(tally, FAULT_LATE, slot->question, age, answer, length);
    }
    tally->worst = age > tally->worst ? age : tally->worst;
    slot->asked_at = 0;
    window->waiting--;
}

static void expire(struct window *window, struct tally *tally, uint64_t older_than)
{
    uint64_t now = now_ns();
    for (; window->oldest != window->next; window->oldest++) {
        struct slot *slot = &window->slots[window->oldest % window->size];
        if (!slot->asked_at)
            continue;
        if (now - slot->asked_at < older_than)
            break;
        tally->lost++;
        show(tally, FAULT_LOST, slot->question, now - slot->asked_at, NULL, 0);
        slot->asked_at = 0;
        window->waiting--;
    }
}

void window_expire(struct window *window, struct tally *tally)
{
    expire(window, tally, tally->lost_after);
}

void window_abandon(struct window *window, struct tally *tally)
{
    expire(window, tally, 0);
}
