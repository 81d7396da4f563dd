/* Prints flows that have ended: an observer of the exchange. Lines for people or one JSON object a line; whatever came
 * from the network is escaped. One printer belongs to one worker. */
#ifndef MOONDNS_PROXY_FLOW_PRINT_H
#define MOONDNS_PROXY_FLOW_PRINT_H

#include "flow/exchange.h"
#include "flow/filter.h"

struct log;

struct flow_print_config {
    unsigned detail;        /* 0: nothing, 1: two lines a flow, 2: and flags and records, 3: the whole messages */
    bool json;              /* {"time", "flow"} instead; nothing at detail 0 */
    bool anonymize;         /* clients' addresses are cut … */
    struct address_cut cut; /* … to so many bits */
    bool colour;            /* see log_wants_colour */
    int fd;                 /* not owned; 1 */
    const struct log *log;  /* borrowed */
    const char *filter;     /* FILTER's text; borrowed for the call; NULL: all flows */
};

struct flow_print;

/* STATUS_INVALID when the filter is none (the reason names the place); STATUS_NO_MEMORY. */
MUST_CHECK enum status flow_print_new(const struct flow_print_config *config, struct flow_print **out,
                                      struct reason *reason);
void flow_print_free(struct flow_print *print); /* flushes, and waits for the reader a little; NULL is fine */

/* The observer to hand to exchange_new; belongs to the printer. It gathers lines. */
struct flow_observer *flow_print_observer(struct flow_print *print);

/* Appends what the second of the two lines says: the flow's answer and who made it; or the answer in a message alone.
 */
void flow_print_answer(struct flow_print *print, const struct flow *flow, struct buffer *out);
void flow_print_message(struct flow_print *print, const struct dns_message *response, struct buffer *out);

/* Writes what was gathered. To be called at the end of each turn of the loop, so that no line waits. False: the reader
 * of a pipe, a terminal or a socket does not take all of it now, and it is to be called again soon. It never waits for
 * one: flows beyond 1 MiB of lines are not printed, which the log tells. */
bool flow_print_flush(struct flow_print *print);

#endif
