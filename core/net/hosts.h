/* A hosts file (hosts(5)): addresses by name and names by address. */
#ifndef MOONDNS_NET_HOSTS_H
#define MOONDNS_NET_HOSTS_H

#include "base/log.h"
#include "dns/message.h"

struct hosts;

enum { HOSTS_TTL = 60 /* seconds, of each record made from the file */ };

/* Takes the text of a hosts file. Lines that can't be used are logged with `name`:line (the first few, and how many)
 * and left out. STATUS_NO_MEMORY. */
MUST_CHECK enum status hosts_parse(const char *text, size_t length, const char *name, const struct log *log,
                                   struct hosts **out);

/* Reads the file. STATUS_IO, with the reason, when it can't be read. */
MUST_CHECK enum status hosts_load(const char *path, const struct log *log, struct hosts **out, struct reason *reason);
void hosts_free(struct hosts *hosts);

size_t hosts_count(const struct hosts *hosts); /* names */

/* Replaces what `out` holds by the answer to a query for A, AAAA (of a name in the file; no records when it has only
 * the other family) or PTR (of an address in it; its first name). STATUS_NOT_FOUND for all else. */
MUST_CHECK enum status hosts_answer(const struct hosts *hosts, const struct dns_message *query, struct buffer *out);

#endif
