/* TCP clients: steady ones, whose every query must be answered, and those that vanish in all ways that connections
 * have. */
#pragma once

#include <netinet/in.h>

#include "window.h"

struct streams;

/* `steady` connections to `server` are kept open. Counts into `tally`, which is borrowed. Exits where that cannot be.
 */
struct streams *streams_open(const struct sockaddr_in *server, unsigned steady, uint64_t *random, struct tally *tally);
void streams_free(struct streams *streams);

/* Readable when streams_turn has work. */
int streams_fd(const struct streams *streams);
void streams_turn(struct streams *streams);

/* Asks a question on one of the steady connections. */
void streams_ask(struct streams *streams);

/* A client that comes and goes, of a kind drawn at random. */
void streams_visit(struct streams *streams);

/* Ends what has its time behind it, and counts what waits for too long. To be called some times a second. */
void streams_expire(struct streams *streams);

/* From now on no steady connection is opened anew. Then: whether all have gone. */
void streams_drain(struct streams *streams);
bool streams_gone(const struct streams *streams);
