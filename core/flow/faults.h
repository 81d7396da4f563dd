/* Faults on purpose: what a script has done to an answer once it is finished, to see how clients take it. */
#ifndef MOONDNS_FLOW_FAULTS_H
#define MOONDNS_FLOW_FAULTS_H

#include "flow/flow.h"

struct flow_faults {
    int64_t delay_us;        /* it goes out so much later */
    unsigned copies;         /* and so many times more */
    bool truncate;           /* no records, and TC */
    bool id, question, loop; /* other ones than the client's; an owner name that points to itself */
    bool replaced;           /* by `raw` */
    bool reset;              /* the client's connection ends in its stead; over UDP nothing comes */
    size_t cut;              /* bytes taken off the end */
    uint32_t drip;           /* bytes a second of what goes to the client's connection from now on; 0: all at once */
    struct buffer trailing, raw; /* bytes put behind it; owned, like the next */
};

/* The flow's faults, none at first; NULL when there is no memory. */
struct flow_faults *flow_faults_of(struct flow *flow);

/* Forgets them. */
void flow_faults_free(struct flow *flow);

/* Does to the finished answer in `wire` what is to be done to its bytes. It stays of at most 65535. */
MUST_CHECK enum status flow_faults_apply(const struct flow_faults *faults, struct buffer *wire);

#endif
