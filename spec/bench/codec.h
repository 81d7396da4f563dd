/* What the codec's benchmark is made of: messages, and libraries that read and write them. */
#ifndef MOONDNS_SPEC_BENCH_CODEC_H
#define MOONDNS_SPEC_BENCH_CODEC_H

#include "base/bytes.h"

/* One message of the corpus; `loaded` is each library's own form of it, by the library's place in the list. */
enum { LIBRARIES_MAX = 3 };
struct bench_message {
    uint8_t *wire;
    size_t length;
    void *loaded[LIBRARIES_MAX];
};

struct corpus {
    struct bench_message *messages;
    size_t count;
};

/* A library under test. `state` is what it keeps from one message to the next, made by `open`. */
struct library {
    const char *name;
    void *(*open)(void);

    /* Parses the message and walks all its records, names and data in full. Gives how many there are (OPT is one), -1
     * when it refuses the message. */
    int (*parse)(void *state, const uint8_t *wire, size_t length);

    /* The message in the library's own form, to be packed again and again; NULL when it refuses it. */
    void *(*load)(void *state, const uint8_t *wire, size_t length);

    /* Packs it with names compressed. Gives the bytes, which live until the next call; none when it fails. */
    struct span (*pack)(void *state, void *loaded);
};

extern const struct library library_moondns, library_knot, library_ldns;

/* Messages as resolvers and their clients exchange them, made up: queries, answers of many types, referrals, negative
 * and signed answers. */
struct corpus corpus_make(void);

/* One message a file, as bytes; exits with a message when there is none. */
struct corpus corpus_load(const char *folder);

#endif
