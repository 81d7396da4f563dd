/* The service manager (systemd): what it passes to a service, and what it is told. Both are a few variables and a
 * datagram that systemd promises to keep (sd_notify(3), sd_listen_fds(3)); libsystemd would bring compression and
 * cryptography along for them. */
#ifndef MOONDNS_PROXY_SERVICE_H
#define MOONDNS_PROXY_SERVICE_H

#include "base/status.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

enum { SERVICE_SOCKETS_MAX = 64 };

struct service {
    int fd; /* to tell it; -1: nobody listens */
    struct sockaddr_un manager;
    socklen_t manager_length;
    int64_t watchdog_us;              /* it wants a sign of life that often; 0: it does not */
    int sockets[SERVICE_SOCKETS_MAX]; /* passed to us: bound, listening where they are streams; owned */
    size_t socket_count;
};

/* Reads the environment (NOTIFY_SOCKET, WATCHDOG_USEC, LISTEN_FDS and theirs) and takes it away, so that nothing that
 * is started later takes it for its own. STATUS_INVALID, with the reason: what was passed is of no use here. To be
 * called while there is one thread. */
MUST_CHECK enum status service_open(struct service *out, struct reason *reason);
void service_close(struct service *service);

/* Tells the manager: "READY=1\nSTATUS=…". Nobody there, or no answer: nothing happens. */
void service_tell(const struct service *service, const char *format, ...) PRINTF_LIKE(2, 3);

#endif
