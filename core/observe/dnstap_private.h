/* What the files of dnstap share. */
#ifndef MOONDNS_OBSERVE_DNSTAP_PRIVATE_H
#define MOONDNS_OBSERVE_DNSTAP_PRIVATE_H

#include "observe/dnstap.h"

#include "dnstap.pb-c.h"

#include <fstrm.h>
#include <limits.h>

#define DNSTAP_CONTENT_TYPE "protobuf:dnstap.Dnstap"

enum {
    DNSTAP_IDENTITY_MAX = 256,
    DNSTAP_HOST_MAX = 256,
    DNSTAP_COMMON_MAX = DNSTAP_IDENTITY_MAX + 64,
};

struct dnstap {
    const struct log *log;
    struct fstrm_iothr *writer;
    struct dnstap_file *file;          /* the writer's, which frees it; NULL: a socket */
    uint8_t common[DNSTAP_COMMON_MAX]; /* what every frame begins with: who sends it, and that it is a message */
    size_t common_length;
    bool anonymize;         /* clients' addresses are cut … */
    struct address_cut cut; /* … so */
};

/* Opens the file for a writer, which owns `*file` and frees it with itself. STATUS_IO with the reason. */
MUST_CHECK enum status dnstap_file_writer(const char *path, const struct log *log, struct fstrm_writer **out,
                                          struct dnstap_file **file, struct reason *reason);

/* Connects whenever the library opens the writer, which owns all of it. The host is a name or an address. */
MUST_CHECK enum status dnstap_tcp_writer(const char *host, uint16_t port, const struct log *log,
                                         struct fstrm_writer **out);

/* Begins the file anew with the next message, if it was moved away. Any thread. */
void dnstap_file_reopen(struct dnstap_file *file);

#endif
