/* dnstap: queries and answers as they pass, to a reader behind a socket or into a file, in Frame Streams (libfstrm). A
 * thread of its own writes; each worker has a queue to it, and what finds its queue full is dropped and counted. A
 * reader that is away is looked for again, once a second; what comes meanwhile is thrown away, and counted as lost. */
#ifndef MOONDNS_OBSERVE_DNSTAP_H
#define MOONDNS_OBSERVE_DNSTAP_H

#include "base/log.h"
#include "flow/exchange.h"

struct dnstap;
struct dnstap_batch;
struct fstrm_iothr;
struct fstrm_iothr_queue;

struct dnstap_config {
    const char *target;   /* unix:PATH, tcp:HOST:PORT, file:PATH; borrowed, like the two below */
    const char *identity; /* who says it; NULL: the host's name */
    const struct log *log;
    unsigned workers;
    const struct address_cut *anonymize; /* clients' addresses are cut so; NULL: they are not */
};

/* Whether text is such a target; STATUS_INVALID, and the reason says what works. */
MUST_CHECK enum status dnstap_check(const char *target, struct reason *reason);

/* Opens the file, which is overwritten, or looks for the reader; starts the thread, with all signals blocked. The
 * caller owns it. STATUS_IO: the file cannot be written. */
MUST_CHECK enum status dnstap_new(const struct dnstap_config *config, struct dnstap **out, struct reason *reason);

/* Writes out what waits, a second at the most. No worker may have messages any more. NULL is fine. */
void dnstap_free(struct dnstap *dnstap);

/* Messages that were queued and then lost, of all workers: no reader was there, it hung up, the disk was full. Not
 * among them is what lies in a socket whose reader ends. Any thread. NULL is fine. */
uint64_t dnstap_lost(const struct dnstap *dnstap);

/* A file that was moved away is begun anew under its name, with the next message. Any thread. NULL is fine. */
void dnstap_reopen(struct dnstap *dnstap);

/* One worker's end, in its thread. */
struct dnstap_tap {
    struct flow_observer observer; /* to be put into the exchange's list; `next` is the caller's */
    struct dnstap *dnstap;
    struct fstrm_iothr_queue *queue; /* NULL: nothing is sent */
    struct dnstap_batch *batch;      /* memory for messages; NULL: none yet */
    uint64_t queued, dropped;
};

/* An observer that sends nothing yet; and that sends from now on. */
void dnstap_tap_init(struct dnstap_tap *tap);
void dnstap_tap_open(struct dnstap_tap *tap, struct dnstap *dnstap, unsigned worker);

/* Gives its memory back; nothing may pass any more. */
void dnstap_tap_close(struct dnstap_tap *tap);

#endif
