/* In a heap, an entry's `child` is the first of those that are due after it, and `later` the next one of the same
 * parent; `earlier` is the one before it among these, the parent for the first, NULL for the top. */
#include "flow/pending_heap.h"

static struct pending *meld(struct pending *a, struct pending *b)
{
    if (!a || !b)
        return a ? a : b;
    struct pending *top = b->deadline_us < a->deadline_us ? b : a, *under = top == a ? b : a;
    under->earlier = top;
    under->later = top->child;
    if (under->later)
        under->later->earlier = under;
    top->child = under;
    return top;
}

/* An entry of siblings, apart from those behind it; gives the next one. */
static struct pending *cut(struct pending *entry)
{
    struct pending *next = entry ? entry->later : NULL;
    if (entry)
        entry->earlier = entry->later = NULL;
    return next;
}

/* Makes one heap of siblings: two and two, then all of these, the last ones first. */
static struct pending *meld_all(struct pending *first)
{
    struct pending *pairs = NULL, *all = NULL, *next;
    for (; first; first = next) {
        struct pending *second = cut(first);
        next = cut(second);
        struct pending *pair = meld(first, second);
        pair->later = pairs;
        pairs = pair;
    }
    for (; pairs; pairs = next) {
        next = cut(pairs);
        all = meld(all, pairs);
    }
    return all;
}

void pending_heap_insert(struct pending **first, struct pending *entry)
{
    entry->earlier = entry->later = entry->child = NULL;
    *first = meld(*first, entry);
}

void pending_heap_remove(struct pending **first, struct pending *entry)
{
    struct pending *under = meld_all(entry->child);
    if (entry == *first) {
        *first = under;
        return;
    }
    struct pending *before = entry->earlier;
    *(before->child == entry ? &before->child : &before->later) = entry->later;
    if (entry->later)
        entry->later->earlier = before;
    *first = meld(*first, under);
}
