#include "observe/flow_tally.h"

#include "base/clock.h"

const double flow_tally_bounds[TALLY_BOUNDS] = {0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025,
                                                0.05,   0.1,     0.25,   0.5,   1,      2.5,   5};

static const int64_t bounds_us[TALLY_BOUNDS] = {100,   250,    500,    1000,   2500,    5000,    10000,  25000,
                                                50000, 100000, 250000, 500000, 1000000, 2500000, 5000000};

static unsigned capped(unsigned number, unsigned count)
{
    return number < count ? number : count;
}

static void count_query(struct flow_counts *counts, const struct flow *flow)
{
    const struct dns_message *query = &flow->query.view;
    unsigned type = query->header.counts[DNS_SECTION_QUESTION] ? query->question.type : TALLY_TYPES;
    counts->queries[flow->reply_to.transport][capped(type, TALLY_TYPES)]++;
}

static void count_answer(struct flow_counts *counts, const struct flow *flow)
{
    unsigned response_code = dns_message_response_code(&flow->response.view);
    counts->answers[flow->reply_to.transport][capped(response_code, TALLY_RCODES)]++;
    counts->sources[flow->source]++;
}

static void passed(void *context, const struct flow *flow, enum passage passage, struct span wire)
{
    struct flow_tally *tally = context;
    (void)wire;
    if (passage == PASSAGE_CLIENT_QUERY)
        count_query(&tally->counts, flow);
    else if (passage == PASSAGE_CLIENT_ANSWER)
        count_answer(&tally->counts, flow);
}

static void count_duration(struct flow_counts *counts, enum flow_source source, int64_t duration_us, unsigned times)
{
    unsigned bucket = 0;
    while (bucket < TALLY_BOUNDS && duration_us > bounds_us[bucket])
        bucket++;
    counts->durations[source][bucket] += times;
    counts->duration_us[source] += (uint64_t)duration_us * times;
}

static void finished(void *context, const struct flow *flow)
{
    struct flow_tally *tally = context;
    const int64_t duration_us = flow->finished_us - flow->started_us;
    if (!flow->response.present)
        return;
    if (duration_us > 0) {
        count_duration(&tally->counts, flow->source, duration_us, 1);
        return;
    }
    tally->instants[flow->source]++;
    tally->turn_us = flow->started_us;
}

static void gone_out(void *context)
{
    struct flow_tally *tally = context;
    if (tally->turn_us == 0)
        return;
    const int64_t duration_us = clock_monotonic_us() - tally->turn_us;
    tally->turn_us = 0;
    for (unsigned source = 0; source < TALLY_SOURCES; source++) {
        if (tally->instants[source])
            count_duration(&tally->counts, (enum flow_source)source, duration_us, tally->instants[source]);
        tally->instants[source] = 0;
    }
}

void flow_tally_init(struct flow_tally *tally)
{
    *tally = (struct flow_tally){
        .observer = {.context = tally, .finished = finished, .passed = passed, .gone_out = gone_out}};
}
