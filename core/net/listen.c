/* Opening the listeners. */
#include "net/port_owner.h"
#include "net/transport.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

enum { FREE_PORT_TRIES = 32 };

static const struct server_transport *const transports[] = {&udp_server_transport, &tcp_server_transport};
enum { TRANSPORT_KINDS = sizeof transports / sizeof *transports };

enum status net_listen_from_text(const char *text, size_t length, struct net_listen *out, struct reason *reason)
{
    struct net_listen listen = {.transports = 1u << TRANSPORT_UDP | 1u << TRANSPORT_TCP};
    const char *rest = memmem(text, length, "://", 3);
    if (rest) {
        size_t scheme = (size_t)(rest - text);
        listen.transports = 0;
        for (size_t i = 0; i < TRANSPORT_KINDS; i++) {
            const char *name = transport_name(transports[i]->transport);
            if (strlen(name) == scheme && !strncasecmp(name, text, scheme))
                listen.transports = 1u << transports[i]->transport;
        }
        if (!listen.transports) {
            reason_set(reason, "'%.*s://' is not supported; udp://, tcp:// and no scheme (both) are", (int)scheme,
                       text);
            return STATUS_INVALID;
        }
        rest += 3;
    } else {
        rest = text;
    }
    enum status status =
        address_from_text(rest, length - (size_t)(rest - text), NET_LISTEN_PORT, &listen.address, reason);
    if (!status)
        *out = listen;
    return status;
}

static bool is_wildcard(const struct address *address)
{
    static const uint8_t zeros[16];
    return !memcmp(address->bytes, zeros, address->family == AF_INET6 ? 16 : 4);
}

/* An address of this machine is one that can be bound. */
static bool is_local(const struct address *address)
{
    struct address any_port = *address;
    struct sockaddr_storage name;
    any_port.port = 0;
    socklen_t length = address_to_sockaddr(&any_port, (struct sockaddr *)&name);
    int fd = socket(address->family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    bool local = !bind(fd, (const struct sockaddr *)&name, length);
    close(fd);
    return local;
}

bool net_is_self(const struct net *net, const struct address *address)
{
    for (size_t i = 0; i < net->listener_count; i++) {
        const struct listener *listener = &net->listeners[i];
        if (listener->local.port != address->port || listener->local.family != address->family)
            continue;
        if (address_equal(&listener->local, address) ||
            ((listener->wildcard || is_wildcard(address)) && is_local(address)))
            return true;
    }
    return false;
}

/* --- one socket --- */

static int set_option(int fd, int level, int option)
{
    int on = 1;
    return setsockopt(fd, level, option, &on, sizeof on);
}

/* Binds; 0 or errno. Without a sibling nobody may hold the port, so SO_REUSEPORT is set only once it is ours: from then
 * on siblings may join. */
static int bind_socket(struct listener *listener, const struct address *address, bool joins)
{
    struct sockaddr_storage name;
    socklen_t length = address_to_sockaddr(address, (struct sockaddr *)&name);
    const struct net_config *config = &listener->net->config;
    bool stream = listener->ops->socket_type == SOCK_STREAM;
    if (address->family == AF_INET6 && set_option(listener->fd, IPPROTO_IPV6, IPV6_V6ONLY))
        return errno;
    if (stream && set_option(listener->fd, SOL_SOCKET, SO_REUSEADDR)) /* old connections don't keep the port */
        return errno;
    if (joins && set_option(listener->fd, SOL_SOCKET, SO_REUSEPORT))
        return errno;
    if (bind(listener->fd, (const struct sockaddr *)&name, length))
        return errno;
    if (!joins && config->reuse_port && set_option(listener->fd, SOL_SOCKET, SO_REUSEPORT))
        return errno;
    length = sizeof name;
    if (getsockname(listener->fd, (struct sockaddr *)&name, &length))
        return errno;
    listener->local = address_from_sockaddr((const struct sockaddr *)&name);
    return 0;
}

static int open_listener(struct listener *listener, const struct address *address, bool joins)
{
    listener->fd = socket(address->family, listener->ops->socket_type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (listener->fd < 0)
        return errno;
    listener->wildcard = is_wildcard(address);
    int error = bind_socket(listener, address, joins);
    return error ? error : listener->ops->open(listener);
}

/* --- one -l: its transports on the same port --- */

static void close_listeners(struct listener *listeners, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (listeners[i].fd >= 0)
            close(listeners[i].fd);
        listeners[i].fd = -1;
    }
}

static enum status open_all(struct listener *listeners, size_t count, const struct address *wanted, bool joins,
                            struct reason *reason)
{
    for (unsigned try = 1;; try++) {
        struct address address = *wanted;
        int error = 0;
        size_t at = 0;
        for (; at < count && !error; at++) {
            error = open_listener(&listeners[at], &address, joins);
            if (!error)
                address.port = listeners[at].local.port;
        }
        if (!error)
            return STATUS_OK;
        close_listeners(listeners, count);
        if (wanted->port == 0 && error == EADDRINUSE && try < FREE_PORT_TRIES)
            continue; /* free for the first transport, not for the second */
        port_owner_explain("/proc", &address, listeners[at - 1].ops->socket_type == SOCK_STREAM, error, reason);
        return STATUS_IO;
    }
}

static size_t add_listeners(struct net *net, const struct net_listen *listen, size_t first)
{
    size_t count = 0;
    for (size_t i = 0; i < TRANSPORT_KINDS; i++) {
        if (!(listen->transports & 1u << transports[i]->transport))
            continue;
        struct listener *listener = &net->listeners[first + count++];
        *listener =
            (struct listener){.net = net, .ops = transports[i], .index = (uint32_t)(first + count - 1), .fd = -1};
    }
    return count;
}

/* Takes a socket that somebody else has opened. */
static enum status adopt(struct net *net, int fd, size_t index, struct reason *reason)
{
    struct sockaddr_storage name;
    socklen_t length = sizeof name, type_length = sizeof(int);
    struct listener *listener = &net->listeners[index];
    int type = 0, error = 0;
    *listener = (struct listener){.net = net, .index = (uint32_t)index, .fd = -1, .inherited = true};
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &type_length) ||
        getsockname(fd, (struct sockaddr *)&name, &length) || (listener->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0)) < 0)
        error = errno;
    for (size_t i = 0; i < TRANSPORT_KINDS; i++)
        if (transports[i]->socket_type == type)
            listener->ops = transports[i];
    net->listener_count = index + 1;
    if (!error) {
        listener->local = address_from_sockaddr((const struct sockaddr *)&name);
        listener->wildcard = is_wildcard(&listener->local);
        error = listener->ops->open(listener);
    }
    if (!error)
        return STATUS_OK;
    reason_set(reason, "cannot use socket %d, which was passed: %s", fd, net_error_text(error));
    return STATUS_IO;
}

enum status net_bind(struct net *net, const struct net *sibling, struct reason *reason)
{
    size_t first = 0;
    net->listeners =
        calloc(net->config.listen_count * TRANSPORT_KINDS + net->config.inherited_count + 1, sizeof *net->listeners);
    if (!net->listeners) {
        reason_set(reason, "out of memory");
        return STATUS_NO_MEMORY;
    }
    for (size_t i = 0; i < net->config.listen_count; i++) {
        size_t count = add_listeners(net, &net->listens[i], first);
        net->listener_count = first + count;
        if (count == 0)
            continue;
        struct address address = sibling ? sibling->listeners[first].local : net->listens[i].address;
        enum status status = open_all(net->listeners + first, count, &address, sibling != NULL, reason);
        if (status)
            return status;
        first += count;
    }
    for (size_t i = 0; i < net->config.inherited_count; i++) {
        enum status status = adopt(net, net->inherited[i], first + i, reason);
        if (status)
            return status;
    }
    net_admission_start(net);
    return STATUS_OK;
}
