/* What the filter's parser and its judge share: a tree of terms. */
#ifndef MOONDNS_FLOW_FILTER_PRIVATE_H
#define MOONDNS_FLOW_FILTER_PRIVATE_H

#include "base/arena.h"
#include "flow/filter.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

enum filter_kind {
    FILTER_AND, /* all of the items; none: true */
    FILTER_OR,  /* any of the items */
    FILTER_NOT, /* the one item is not so */
    FILTER_NAME,
    FILTER_TYPE,
    FILTER_RESPONSE_CODE,
    FILTER_ANSWER,
    FILTER_NO_RESPONSE,
    FILTER_HAS_RESPONSE,
    FILTER_ERROR,
    FILTER_SOURCE,
    FILTER_DESTINATION,
    FILTER_TCP,
    FILTER_UDP,
    FILTER_ALL,
    FILTER_METADATA,
    FILTER_COMMENT,
    FILTER_MARKED,
    FILTER_MARKER,
    FILTER_KIND_COUNT,
};

struct filter_node {
    enum filter_kind kind;
    uint16_t number;                  /* a type or response code */
    pcre2_code *regex;                /* owned by the filter */
    struct filter_node *first, *next; /* an operator's items; the sibling */
    struct filter_node *all;          /* every node of the filter, newest first */
};

struct filter {
    struct arena arena; /* the nodes */
    struct filter_node *root, *all;
    pcre2_match_data *match;
    pcre2_match_context *limits;
    struct buffer text, expanded; /* of the flow that is judged */
};

#endif
