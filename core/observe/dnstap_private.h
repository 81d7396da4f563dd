/* What the files of dnstap share. */
#ifndef MOONDNS_OBSERVE_DNSTAP_PRIVATE_H
#define MOONDNS_OBSERVE_DNSTAP_PRIVATE_H

#include "observe/dnstap.h"

#include "dnstap.pb-c.h"

#include <fstrm.h>
#include <limits.h>
#include <stdatomic.h>

#define DNSTAP_CONTENT_TYPE "protobuf:dnstap.Dnstap"

enum {
    DNSTAP_IDENTITY_MAX = 256,
    DNSTAP_HOST_MAX = 256,
    DNSTAP_COMMON_MAX = DNSTAP_IDENTITY_MAX + 64,
};

/* What becomes of messages that were queued. The writer's thread hands them on, and gives their memory back afterwards,
 * in the same order: those that it gives back without having handed them on are lost. */
struct dnstap_fate {
    uint64_t handed_on; /* and not given back yet; the writer's thread's */
    atomic_ullong lost;
};

/* A write of the library's was done: `count` parts, which are a frame's length and the frame in turn, or one part
 * alone, which is a control frame. */
static inline void dnstap_fate_handed_on(struct dnstap_fate *fate, int count)
{
    fate->handed_on += (uint64_t)count / 2;
}

static inline void dnstap_fate_given_back(struct dnstap_fate *fate)
{
    if (fate->handed_on)
        fate->handed_on--;
    else
        atomic_fetch_add_explicit(&fate->lost, 1, memory_order_relaxed);
}

struct dnstap {
    const struct log *log;
    struct fstrm_iothr *writer;
    struct dnstap_file *file; /* the writer's, which frees it; NULL: a socket */
    struct dnstap_fate fate;
    uint8_t common[DNSTAP_COMMON_MAX]; /* what every frame begins with: who sends it, and that it is a message */
    size_t common_length;
    bool anonymize;         /* clients' addresses are cut … */
    struct address_cut cut; /* … so */
};

/* Opens the file for a writer, which owns `*file` and frees it with itself; log and fate are borrowed for as long.
 * STATUS_IO with the reason. */
MUST_CHECK enum status dnstap_file_writer(const char *path, const struct log *log, struct dnstap_fate *fate,
                                          struct fstrm_writer **out, struct dnstap_file **file, struct reason *reason);

/* Where messages go. */
struct dnstap_target {
    enum { DNSTAP_TARGET_UNIX, DNSTAP_TARGET_TCP, DNSTAP_TARGET_FILE } kind;
    const char *path;           /* fits a sockaddr_un where it is a socket's */
    char host[DNSTAP_HOST_MAX]; /* a name or an address */
    uint16_t port;
};

/* Connects to a socket whenever the library opens the writer, which owns all of it. */
MUST_CHECK enum status dnstap_socket_writer(const struct dnstap_target *target, const struct log *log,
                                            struct dnstap_fate *fate, struct fstrm_writer **out);

/* Begins the file anew with the next message, if it was moved away. Any thread. */
void dnstap_file_reopen(struct dnstap_file *file);

#endif
