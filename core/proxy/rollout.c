#include "proxy/rollout.h"

#include <pthread.h>
#include <stdlib.h>

enum phase {
    PHASE_IDLE,
    PHASE_PREPARING,
    PHASE_SWITCHING,
    PHASE_ABANDONING,
    PHASE_FINISHED, /* the leader does not know yet */
};

struct member {
    bool answered;   /* has done its part in this phase */
    unsigned number; /* of switches that it has made; its own thread's alone */
};

struct rollout {
    struct rollout_config config;
    atomic_uint number;
    bool busy; /* member 0's thread's alone */

    pthread_mutex_t lock; /* guards all below */
    enum phase phase;
    unsigned missing; /* members that have not answered */
    bool failed;
    void *change;
    struct member members[];
};

struct rollout *rollout_new(const struct rollout_config *config)
{
    struct rollout *rollout = calloc(1, sizeof *rollout + config->members * sizeof rollout->members[0]);
    if (!rollout)
        return NULL;
    rollout->config = *config;
    atomic_init(&rollout->number, 0);
    pthread_mutex_init(&rollout->lock, NULL);
    return rollout;
}

void rollout_free(struct rollout *rollout)
{
    if (!rollout)
        return;
    pthread_mutex_destroy(&rollout->lock);
    free(rollout);
}

const atomic_uint *rollout_number(const struct rollout *rollout)
{
    return &rollout->number;
}

bool rollout_is_busy(const struct rollout *rollout)
{
    return rollout->busy;
}

/* --- with the lock held --- */

static void enter_phase(struct rollout *rollout, enum phase phase)
{
    rollout->phase = phase;
    rollout->missing = 0;
    for (unsigned i = 0; i < rollout->config.members; i++) {
        struct member *member = &rollout->members[i];
        member->answered = phase == PHASE_FINISHED || (phase == PHASE_PREPARING && i == 0);
        rollout->missing += !member->answered;
        if (!member->answered || (phase == PHASE_FINISHED && i == 0))
            rollout->config.wake(rollout->config.context, i);
    }
}

static void leave_phase(struct rollout *rollout)
{
    if (rollout->phase != PHASE_PREPARING) {
        enter_phase(rollout, PHASE_FINISHED);
    } else if (rollout->failed) {
        enter_phase(rollout, PHASE_ABANDONING);
    } else {
        atomic_fetch_add(&rollout->number, 1);
        enter_phase(rollout, PHASE_SWITCHING);
    }
}

/* --- without --- */

static void answer(struct rollout *rollout, unsigned member, bool fine)
{
    pthread_mutex_lock(&rollout->lock);
    rollout->members[member].answered = true;
    rollout->failed = rollout->failed || !fine;
    if (--rollout->missing == 0)
        leave_phase(rollout);
    pthread_mutex_unlock(&rollout->lock);
}

void rollout_catch_up(struct rollout *rollout, unsigned member)
{
    unsigned number = atomic_load_explicit(&rollout->number, memory_order_acquire);
    if (rollout->members[member].number == number)
        return;
    rollout->members[member].number = number;
    rollout->config.switch_over(rollout->config.context, member);
    answer(rollout, member, true);
}

static void finish(struct rollout *rollout)
{
    pthread_mutex_lock(&rollout->lock);
    bool finished = rollout->phase == PHASE_FINISHED;
    bool switched = !rollout->failed;
    void *change = rollout->change;
    if (finished)
        rollout->phase = PHASE_IDLE;
    pthread_mutex_unlock(&rollout->lock);
    if (!finished)
        return;
    rollout->busy = false;
    rollout->config.finished(rollout->config.context, change, switched);
}

void rollout_woken(struct rollout *rollout, unsigned member)
{
    const struct rollout_config *config = &rollout->config;
    rollout_catch_up(rollout, member);
    pthread_mutex_lock(&rollout->lock);
    enum phase phase = rollout->members[member].answered ? PHASE_IDLE : rollout->phase;
    void *change = rollout->change;
    pthread_mutex_unlock(&rollout->lock);
    if (phase == PHASE_PREPARING) {
        answer(rollout, member, config->prepare(config->context, member, change));
    } else if (phase == PHASE_ABANDONING) {
        config->abandon(config->context, member);
        answer(rollout, member, true);
    }
    if (member == 0)
        finish(rollout);
}

void rollout_begin(struct rollout *rollout, void *change)
{
    rollout->busy = true;
    pthread_mutex_lock(&rollout->lock);
    rollout->change = change;
    rollout->failed = false;
    enter_phase(rollout, PHASE_PREPARING);
    if (rollout->missing == 0)
        leave_phase(rollout);
    pthread_mutex_unlock(&rollout->lock);
    if (rollout->config.members == 1)
        rollout_woken(rollout, 0);
}
