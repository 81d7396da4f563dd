/* The queries of one socket that wait for answers, and the tally of what became of them. */
#pragma once

#include "questions.h"

/* What is wrong with an answer, or with there being none; the first ones of each are printed. */
enum fault { FAULT_WRONG, FAULT_CROSSED, FAULT_LATE, FAULT_LOST, FAULT_COUNT };

/* What all clients count into. Times are nanoseconds of the monotonic clock. */
struct tally {
    uint64_t late_after, lost_after; /* ages of a query */
    uint64_t asked;                  /* well-formed queries, and malformed ones that must be answered */
    uint64_t verdicts[VERDICT_COUNT];
    uint64_t late;  /* answered after `late_after`; they have a verdict too */
    uint64_t lost;  /* never answered */
    uint64_t stray; /* answers to nothing that was asked, or second ones */
    uint64_t worst; /* the longest wait for an answer */
    uint64_t malformed, vanished;
    uint64_t stuck; /* connections that the proxy did not close in time */
    uint32_t version;
    unsigned shown[FAULT_COUNT];
};

struct slot {
    uint64_t asked_at; /* 0: free */
    struct question question;
};

/* Ids are given out in turn; `size` is a power of two, at most 65536. */
struct window {
    struct slot *slots; /* owned */
    uint32_t size;
    uint32_t next, oldest; /* oldest: no query before it waits */
    uint32_t waiting;
    bool stream;
};

uint64_t now_ns(void);

/* Exits where there is no memory. */
void window_open(struct window *window, uint32_t size, bool stream);
void window_close(struct window *window);

/* Takes an id for a question and writes its query to `out` (MALFORMED_MAX bytes). Gives the length, 0 where too many
 * wait. */
size_t window_ask(struct window *window, struct tally *tally, struct question question, uint8_t *out);

/* An answer came. */
void window_settle(struct window *window, struct tally *tally, const uint8_t *answer, size_t length);

/* Counts as lost what waits for too long. */
void window_expire(struct window *window, struct tally *tally);

/* Counts as lost all that waits: the connection is gone. */
void window_abandon(struct window *window, struct tally *tally);
