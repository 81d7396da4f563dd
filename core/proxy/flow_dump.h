/* The long forms of a flow, for --flow-detail 2 and 3. Private to flow_print.c. */
#ifndef MOONDNS_PROXY_FLOW_DUMP_H
#define MOONDNS_PROXY_FLOW_DUMP_H

#include "flow/flow.h"

/* Appends the response's flags, question and records, one a line. `scratch` is room that the caller lends. */
void flow_dump_response(const struct flow *flow, struct buffer *scratch, struct buffer *out);

/* Appends query, changed request and response as dig shows them, with EDNS, sizes and times. */
void flow_dump_messages(const struct flow *flow, struct buffer *scratch, struct buffer *out);

#endif
