#include "net/datagrams.h"

#include <errno.h>
#include <stdalign.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/uio.h>

enum {
    PACKET_MAX = 65536,
    SLOT_SIZE = PACKET_MAX + 192, /* so that the slots' starts fall into different cache sets */
    OUT_BYTES = 1024 * 1024,      /* of which only what packets need is ever touched */
    CONTROL_SIZE = 64,
};

_Static_assert(CONTROL_SIZE >= CMSG_SPACE(sizeof(struct in6_pktinfo)), "room for one packet info");

/* One control message's room, aligned as the kernel wants it. */
union control {
    struct cmsghdr header;
    char bytes[CONTROL_SIZE];
};

static void *map_bytes(size_t size)
{
    void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return at == MAP_FAILED ? NULL : at;
}

/* --- in --- */

enum { KINDS = (DATAGRAMS_NAMED | DATAGRAMS_LOCAL) + 1 };

/* The headers of one kind of packets (by flags), made once. The kernel changes those that it fills. */
struct headers {
    struct mmsghdr messages[DATAGRAMS_MAX];
    unsigned filled; /* by the last call: to be put right for the next one */
};

struct datagrams_in {
    struct headers kinds[KINDS];
    const struct mmsghdr *received; /* of the last call */
    struct iovec vectors[DATAGRAMS_MAX];
    struct sockaddr_storage names[DATAGRAMS_MAX];
    union control controls[DATAGRAMS_MAX];
    uint8_t *bytes;
};

static void set_up(struct datagrams_in *in, unsigned flags)
{
    for (size_t i = 0; i < DATAGRAMS_MAX; i++) {
        struct msghdr *header = &in->kinds[flags].messages[i].msg_hdr;
        header->msg_iov = &in->vectors[i];
        header->msg_iovlen = 1;
        if (flags & DATAGRAMS_NAMED) {
            header->msg_name = &in->names[i];
            header->msg_namelen = sizeof in->names[i];
        }
        if (flags & DATAGRAMS_LOCAL) {
            header->msg_control = &in->controls[i];
            header->msg_controllen = sizeof in->controls[i];
        }
    }
}

struct datagrams_in *datagrams_in_new(void)
{
    struct datagrams_in *in = calloc(1, sizeof *in);
    if (!in)
        return NULL;
    in->bytes = map_bytes((size_t)DATAGRAMS_MAX * SLOT_SIZE);
    if (!in->bytes) {
        free(in);
        return NULL;
    }
    for (size_t i = 0; i < DATAGRAMS_MAX; i++)
        in->vectors[i] = (struct iovec){in->bytes + i * SLOT_SIZE, PACKET_MAX};
    for (unsigned flags = 0; flags < KINDS; flags++)
        set_up(in, flags);
    in->received = in->kinds[0].messages;
    return in;
}

void datagrams_in_free(struct datagrams_in *in)
{
    if (!in)
        return;
    munmap(in->bytes, (size_t)DATAGRAMS_MAX * SLOT_SIZE);
    free(in);
}

/* Puts right what the last call changed. */
static void put_right(struct headers *headers, unsigned flags)
{
    if (flags == 0)
        return;
    for (unsigned i = 0; i < headers->filled; i++) {
        struct msghdr *header = &headers->messages[i].msg_hdr;
        header->msg_namelen = flags & DATAGRAMS_NAMED ? sizeof(struct sockaddr_storage) : 0;
        header->msg_controllen = flags & DATAGRAMS_LOCAL ? sizeof(union control) : 0;
    }
}

static int receive_one(struct mmsghdr *message, int fd)
{
    struct msghdr *header = &message->msg_hdr;
    ssize_t length = header->msg_control ? recvmsg(fd, header, MSG_DONTWAIT)
                                         : recvfrom(fd, header->msg_iov->iov_base, PACKET_MAX, MSG_DONTWAIT,
                                                    header->msg_name, header->msg_name ? &header->msg_namelen : NULL);
    message->msg_len = length < 0 ? 0 : (unsigned)length;
    return length < 0 ? -1 : 1;
}

int datagrams_receive(struct datagrams_in *in, int fd, unsigned flags, unsigned want)
{
    struct headers *headers = &in->kinds[flags];
    struct mmsghdr *messages = headers->messages;
    int got;
    put_right(headers, flags);
    do
        got = want > 1 ? recvmmsg(fd, messages, want < DATAGRAMS_MAX ? want : DATAGRAMS_MAX, MSG_DONTWAIT, NULL)
                       : receive_one(messages, fd);
    while (got < 0 && errno == EINTR);
    in->received = messages;
    headers->filled = got > 0 ? (unsigned)got : 0;
    return got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK) ? 0 : got;
}

struct span datagrams_data(const struct datagrams_in *in, unsigned index)
{
    return (struct span){in->vectors[index].iov_base, in->received[index].msg_len};
}

struct address datagrams_sender(const struct datagrams_in *in, unsigned index)
{
    return address_from_sockaddr((const struct sockaddr *)&in->names[index]);
}

bool datagrams_local(const struct datagrams_in *in, unsigned index, struct address *local, uint32_t *interface_index)
{
    struct msghdr header = in->received[index].msg_hdr;
    for (struct cmsghdr *part = CMSG_FIRSTHDR(&header); part; part = CMSG_NXTHDR(&header, part)) {
        if (part->cmsg_level == IPPROTO_IP && part->cmsg_type == IP_PKTINFO) {
            struct in_pktinfo info;
            memcpy(&info, CMSG_DATA(part), sizeof info);
            local->family = AF_INET;
            memcpy(local->bytes, &info.ipi_spec_dst, 4); /* for a broadcast: the address to answer from */
            *interface_index = (uint32_t)info.ipi_ifindex;
            return true;
        }
        if (part->cmsg_level == IPPROTO_IPV6 && part->cmsg_type == IPV6_PKTINFO) {
            struct in6_pktinfo info;
            memcpy(&info, CMSG_DATA(part), sizeof info);
            local->family = AF_INET6;
            memcpy(local->bytes, &info.ipi6_addr, 16);
            *interface_index = info.ipi6_ifindex;
            return true;
        }
    }
    return false;
}

/* --- out --- */

/* What a message's header points to, and more: one line of the processor's cache. */
struct packet {
    alignas(64) struct iovec vector;
    union {
        struct sockaddr_in ipv4;
        struct sockaddr_in6 ipv6;
    } name;
    int fd;
    void *owner;
};
_Static_assert(sizeof(struct packet) == 64, "one line");

struct datagrams_out {
    unsigned count;
    size_t used;
    bool mixed; /* not all that wait are one socket's */
    struct mmsghdr messages[DATAGRAMS_MAX];
    struct packet packets[DATAGRAMS_MAX];
    union control controls[DATAGRAMS_MAX];
    struct mmsghdr batch[DATAGRAMS_MAX]; /* those of one socket among others' */
    void (*failed)(void *context, void *owner, int error);
    void *context;
    uint8_t *bytes;
};

struct datagrams_out *datagrams_out_new(void (*failed)(void *context, void *owner, int error), void *context)
{
    struct datagrams_out *out = aligned_alloc(alignof(struct datagrams_out), sizeof *out);
    if (!out)
        return NULL;
    memset(out, 0, sizeof *out);
    out->failed = failed;
    out->context = context;
    out->bytes = map_bytes(OUT_BYTES);
    if (!out->bytes) {
        free(out);
        return NULL;
    }
    for (size_t i = 0; i < DATAGRAMS_MAX; i++) {
        out->messages[i].msg_hdr.msg_iov = &out->packets[i].vector;
        out->messages[i].msg_hdr.msg_iovlen = 1;
    }
    return out;
}

void datagrams_out_free(struct datagrams_out *out)
{
    if (!out)
        return;
    munmap(out->bytes, OUT_BYTES);
    free(out);
}

/* Only link-local addresses need their interface; for others the routing table knows best. */
static bool is_link_local(const struct address *address)
{
    return address->family == AF_INET6 && address->bytes[0] == 0xfe && (address->bytes[1] & 0xc0) == 0x80;
}

static void set_source(struct msghdr *header, union control *control, const struct datagram_way *way)
{
    header->msg_control = control;
    control->header.cmsg_level = way->from->family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6;
    if (way->from->family == AF_INET) {
        struct in_pktinfo info = {0};
        memcpy(&info.ipi_spec_dst, way->from->bytes, 4);
        control->header.cmsg_type = IP_PKTINFO;
        control->header.cmsg_len = CMSG_LEN(sizeof info);
        memcpy(CMSG_DATA(&control->header), &info, sizeof info);
        header->msg_controllen = CMSG_SPACE(sizeof info);
    } else {
        struct in6_pktinfo info = {.ipi6_ifindex = is_link_local(way->to) ? way->interface_index : 0};
        memcpy(&info.ipi6_addr, way->from->bytes, 16);
        control->header.cmsg_type = IPV6_PKTINFO;
        control->header.cmsg_len = CMSG_LEN(sizeof info);
        memcpy(CMSG_DATA(&control->header), &info, sizeof info);
        header->msg_controllen = CMSG_SPACE(sizeof info);
    }
}

void datagrams_add(struct datagrams_out *out, const struct datagram_way *way, const uint8_t *data, size_t length)
{
    if (length > PACKET_MAX)
        return;
    if (out->count == DATAGRAMS_MAX || OUT_BYTES - out->used < length)
        datagrams_flush(out);
    unsigned i = out->count++;
    struct msghdr *header = &out->messages[i].msg_hdr;
    struct packet *packet = &out->packets[i];
    out->mixed |= way->fd != out->packets[0].fd && i > 0;
    packet->fd = way->fd;
    packet->owner = way->owner;
    packet->vector = (struct iovec){out->bytes + out->used, length};
    memcpy(out->bytes + out->used, data, length);
    out->used += length;
    header->msg_name = way->to ? &packet->name : NULL;
    header->msg_namelen = way->to ? address_to_sockaddr(way->to, (struct sockaddr *)&packet->name) : 0;
    header->msg_control = NULL;
    header->msg_controllen = 0;
    if (way->from)
        set_source(header, &out->controls[i], way);
}

static int send_one(int fd, const struct msghdr *header)
{
    const struct iovec *vector = header->msg_iov;
    ssize_t sent = header->msg_control ? sendmsg(fd, header, MSG_DONTWAIT)
                                       : sendto(fd, vector->iov_base, vector->iov_len, MSG_DONTWAIT, header->msg_name,
                                                header->msg_namelen);
    return sent < 0 ? -1 : 1;
}

/* Sends packets of one socket; their headers say which they are. An error concerns the first one not sent, or, on a
 * connected socket, one that was sent earlier; that one is told first and the packet tried once more. */
static void send_all(struct datagrams_out *out, int fd, struct mmsghdr *messages, unsigned count)
{
    bool told = false;
    for (unsigned done = 0; done < count;) {
        int sent = count - done == 1 ? send_one(fd, &messages[done].msg_hdr)
                                     : sendmmsg(fd, messages + done, count - done, MSG_DONTWAIT);
        if (sent > 0) {
            done += (unsigned)sent;
            told = false;
        } else if (errno != EINTR) {
            int error = errno;
            const struct packet *packet = (const struct packet *)messages[done].msg_hdr.msg_iov;
            out->failed(out->context, packet->owner, error);
            if (told || error != ECONNREFUSED)
                done++;
            told = !told && error == ECONNREFUSED;
        }
    }
}

bool datagrams_out_is_empty(const struct datagrams_out *out)
{
    return out->count == 0;
}

/* Sends those of each socket together. */
static void send_mixed(struct datagrams_out *out)
{
    for (unsigned left = out->count, first = 0; left > 0; first++) {
        int fd = out->packets[first].fd;
        if (fd < 0)
            continue;
        unsigned count = 0;
        for (unsigned i = first; i < out->count; i++) {
            if (out->packets[i].fd != fd)
                continue;
            out->packets[i].fd = -1;
            out->batch[count++] = out->messages[i];
        }
        left -= count;
        send_all(out, fd, out->batch, count);
    }
}

void datagrams_flush(struct datagrams_out *out)
{
    if (out->count == 0)
        return;
    if (out->mixed)
        send_mixed(out);
    else
        send_all(out, out->packets[0].fd, out->messages, out->count);
    out->count = 0;
    out->used = 0;
    out->mixed = false;
}
