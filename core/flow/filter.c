/* Judging a flow. */
#include "flow/filter_private.h"

#include "dns/text.h"

/* A regular expression that needs more steps than it may take does not match. */
static bool found(struct filter *filter, const struct filter_node *node, const void *text, size_t length)
{
    return pcre2_match(node->regex, length ? text : "", length, 0, 0, filter->match, filter->limits) >= 0;
}

static bool found_text(struct filter *filter, const struct filter_node *node, const char *text)
{
    return found(filter, node, text ? text : "", text ? strlen(text) : 0);
}

static const struct dns_question *question_of(const struct flow *flow)
{
    const struct dns_message *query = &flow->query.view;
    return query->header.counts[DNS_SECTION_QUESTION] ? &query->question : NULL;
}

static bool match_name(struct filter *filter, const struct filter_node *node, const struct flow *flow)
{
    const struct dns_question *question = question_of(flow);
    char text[DNS_NAME_TEXT_MAX];
    return question && found(filter, node, text, dns_name_to_text(question->name, DNS_NAME_LOWER, text));
}

static bool match_type(struct filter *filter, const struct filter_node *node, const struct flow *flow)
{
    (void)filter;
    const struct dns_question *question = question_of(flow);
    return question && question->type == node->number;
}

static bool match_response_code(struct filter *filter, const struct filter_node *node, const struct flow *flow)
{
    (void)filter;
    return flow->response.present && dns_message_response_code(&flow->response.view) == node->number;
}

static bool match_answer(struct filter *filter, const struct filter_node *node, const struct flow *flow)
{
    struct dns_reader reader;
    struct dns_record record;
    if (!flow->response.present)
        return false;
    dns_reader_start(&reader, &flow->response.view, DNS_SECTION_ANSWER, &filter->expanded);
    while (!dns_reader_next(&reader, &record)) {
        buffer_clear(&filter->text);
        dns_rdata_to_text(&record, &filter->text);
        if (!filter->text.failed && found(filter, node, filter->text.data, filter->text.length))
            return true;
    }
    return false;
}

static bool match_no_response(struct filter *filter, const struct filter_node *node, const struct flow *flow)
{
    (void)filter, (void)node;
    return !flow->response.present;
}

static bool match_has_response(struct filter *filter, const struct filter_node *node, const struct flow *flow)
{
    (void)filter, (void)node;
    return flow->response.present;
}

static bool match_error(struct filter *filter, const struct filter_node *node, const struct flow *flow)
{
    (void)filter, (void)node;
    return flow->error[0] != '\0';
}

static bool found_address(struct filter *filter, const struct filter_node *node, const struct address *address)
{
    char text[ADDRESS_TEXT_MAX];
    return found_text(filter, node, address_text(address, text));
}

static bool match_source(struct filter *filter, const struct filter_node *node, const struct flow *flow)
{
    return found_address(filter, node, &flow->reply_to.client);
}

static bool match_destination(struct filter *filter, const struct filter_node *node, const struct flow *flow)
{
    return flow->asked && found_address(filter, node, &flow->server);
}

static bool match_tcp(struct filter *filter, const struct filter_node *node, const struct flow *flow)
{
    (void)filter, (void)node;
    return flow->reply_to.transport == TRANSPORT_TCP;
}

static bool match_udp(struct filter *filter, const struct filter_node *node, const struct flow *flow)
{
    (void)filter, (void)node;
    return flow->reply_to.transport == TRANSPORT_UDP;
}

static bool match_metadata(struct filter *filter, const struct filter_node *node, const struct flow *flow)
{
    return found_text(filter, node, flow->metadata);
}

static bool match_comment(struct filter *filter, const struct filter_node *node, const struct flow *flow)
{
    return found_text(filter, node, flow->comment);
}

static bool match_marked(struct filter *filter, const struct filter_node *node, const struct flow *flow)
{
    (void)filter, (void)node;
    return flow->marked && flow->marked[0];
}

static bool match_marker(struct filter *filter, const struct filter_node *node, const struct flow *flow)
{
    return found_text(filter, node, flow->marked);
}

/* --- operators: the parser bounds how deep they go --- */

static bool judge(struct filter *filter, const struct filter_node *node, const struct flow *flow);

static bool match_and(struct filter *filter, const struct filter_node *node, const struct flow *flow)
{
    for (const struct filter_node *item = node->first; item; item = item->next)
        if (!judge(filter, item, flow))
            return false;
    return true;
}

static bool match_or(struct filter *filter, const struct filter_node *node, const struct flow *flow)
{
    for (const struct filter_node *item = node->first; item; item = item->next)
        if (judge(filter, item, flow))
            return true;
    return false;
}

static bool match_not(struct filter *filter, const struct filter_node *node, const struct flow *flow)
{
    return !judge(filter, node->first, flow);
}

static bool judge(struct filter *filter, const struct filter_node *node, const struct flow *flow)
{
    static bool (*const judges[FILTER_KIND_COUNT])(struct filter *, const struct filter_node *, const struct flow *) = {
        [FILTER_AND] = match_and,
        [FILTER_OR] = match_or,
        [FILTER_NOT] = match_not,
        [FILTER_NAME] = match_name,
        [FILTER_TYPE] = match_type,
        [FILTER_RESPONSE_CODE] = match_response_code,
        [FILTER_ANSWER] = match_answer,
        [FILTER_NO_RESPONSE] = match_no_response,
        [FILTER_HAS_RESPONSE] = match_has_response,
        [FILTER_ERROR] = match_error,
        [FILTER_SOURCE] = match_source,
        [FILTER_DESTINATION] = match_destination,
        [FILTER_TCP] = match_tcp,
        [FILTER_UDP] = match_udp,
        [FILTER_ALL] = match_and,
        [FILTER_METADATA] = match_metadata,
        [FILTER_COMMENT] = match_comment,
        [FILTER_MARKED] = match_marked,
        [FILTER_MARKER] = match_marker,
    };
    return judges[node->kind](filter, node, flow);
}

bool filter_matches(struct filter *filter, const struct flow *flow)
{
    return judge(filter, filter->root, flow);
}
