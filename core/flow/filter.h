/* mitmproxy's filter language, for flows that have ended. */
#ifndef MOONDNS_FLOW_FILTER_H
#define MOONDNS_FLOW_FILTER_H

#include "flow/flow.h"

struct filter;

/* ~d REGEX question name · ~t TYPE question type · ~c RCODE (names or numbers) · ~a REGEX answer text · ~q no response
 * · ~s has a response · ~e error · ~src REGEX, ~dst REGEX peer ("ip:port") · ~tcp, ~udp client's transport · ~all ·
 * ~meta REGEX, ~comment REGEX, ~marked, ~marker REGEX · ! & | ( ) · a bare REGEX is ~d; terms side by side are joined
 * by
 * &. Strings may be quoted ('…' or "…"). Regular expressions are PCRE2, without regard to case, found anywhere.
 * STATUS_INVALID with a reason that names the place and what was expected. */
MUST_CHECK enum status filter_parse(const char *text, struct filter **out, struct reason *reason);
void filter_free(struct filter *filter);

/* Whether the flow matches. One filter is used by one thread at a time. */
bool filter_matches(struct filter *filter, const struct flow *flow);

#endif
