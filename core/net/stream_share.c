#include "net/stream_share.h"

enum {
    CUTS_TOLD = 2,     /* cuts in a row that are no accident */
    TRIED_BEHIND = 16, /* whole connections, then the next one is given a quarter more */
    QUERIES_MAX = 512, /* whoever answers more of them is given any number */
};

void stream_share_wait(struct stream_share *own, struct stream_share *all, struct stream_wait *wait)
{
    *wait = (struct stream_wait){.previous = own->last};
    if (own->last)
        own->last->next = wait;
    else
        own->first = wait;
    own->last = wait;
    own->waiting++;
    all->waiting++;
}

void stream_share_leave(struct stream_share *own, struct stream_share *all, struct stream_wait *wait)
{
    if (wait->previous)
        wait->previous->next = wait->next;
    else
        own->first = wait->next;
    if (wait->next)
        wait->next->previous = wait->previous;
    else
        own->last = wait->previous;
    own->waiting--;
    all->waiting--;
}

unsigned stream_habit_queries(struct stream_habit *habit)
{
    if (habit->cuts < CUTS_TOLD)
        return 0;
    if (habit->whole < TRIED_BEHIND)
        return habit->queries;
    habit->whole = 0;
    return habit->queries + habit->queries / 4 + 1;
}

void stream_habit_cut(struct stream_habit *habit, unsigned answers)
{
    if (answers > QUERIES_MAX)
        return;
    habit->queries = answers;
    habit->whole = 0;
    if (habit->cuts < CUTS_TOLD)
        habit->cuts++;
}

void stream_habit_whole(struct stream_habit *habit, unsigned answers, bool filled)
{
    if (habit->cuts < CUTS_TOLD) {
        habit->cuts = 0;
    } else if (filled) {
        habit->whole++;
        if (answers > habit->queries)
            habit->queries = answers;
        if (habit->queries > QUERIES_MAX)
            *habit = (struct stream_habit){0};
    }
}
