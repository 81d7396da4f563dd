/* What the soak asks: questions whose answers follow from their names, and packets that are no questions at all. Wire
 * bytes are made and read here apart from the codec under test. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    QUERY_MAX = 128,     /* bytes of a well-formed query */
    MALFORMED_MAX = 600, /* bytes of a malformed one */
    QUESTION_NUMBERS = 2000,
};

/* A question is its kind (an index of the table in questions.c) and a number below QUESTION_NUMBERS. */
struct question {
    uint8_t kind;
    bool edns, malformed; /* malformed: `kind` is one of malformed packets */
    uint16_t number;
};

enum verdict {
    VERDICT_RIGHT,
    VERDICT_SERVFAIL, /* of a question that needs the upstream */
    VERDICT_WRONG,    /* anything else than the answer that the question has */
    VERDICT_CROSSED,  /* the answer to another question */
    VERDICT_COUNT,
};

/* A number below `limit`; `state` must not be 0. */
uint32_t random_below(uint64_t *state, uint32_t limit);

/* A question as often as its kind's weight in the table has it. */
struct question question_draw(uint64_t *state);

/* Writes it as a query of at most QUERY_MAX bytes; gives its length. */
size_t question_write(struct question question, uint16_t id, uint8_t *out);

/* Judges an answer, whose id was looked at already. `stream`: it came over TCP. `version`: takes the scripts' version
 * where the answer tells it, else stays. */
enum verdict answer_judge(struct question question, bool stream, const uint8_t *answer, size_t length,
                          uint32_t *version);

/* A malformed packet that must be answered FORMERR. */
struct question malformed_draw(uint64_t *state);
size_t malformed_write(struct question question, uint16_t id, uint8_t *out);
enum verdict malformed_judge(const uint8_t *answer, size_t length);

/* A packet of at most MALFORMED_MAX bytes that must not be answered: too short, or an answer itself. */
size_t unanswerable_write(uint64_t *state, uint8_t *out);

/* Bytes at random, perhaps after a good header: anything but a standstill will do. */
size_t garbage_write(uint64_t *state, uint8_t *out);
