/* Pending entries by deadline, whatever these are: a pairing heap that lies in the entries. Putting one in costs
 * nothing that grows, taking one out the logarithm of their number on average. */
#ifndef MOONDNS_FLOW_PENDING_HEAP_H
#define MOONDNS_FLOW_PENDING_HEAP_H

#include "flow/pending.h"

/* `*first` is the entry that is due first, NULL when there is none. Borrows entries until they are taken out. */
void pending_heap_insert(struct pending **first, struct pending *entry);
void pending_heap_remove(struct pending **first, struct pending *entry);

#endif
