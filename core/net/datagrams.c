/* Packets received. */
#include "net/datagrams.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/uio.h>

enum {
    PACKET_MAX = 65536,
    SLOT_SIZE = PACKET_MAX + 192, /* so that the slots' starts fall into different cache sets */
    CONTROL_SIZE = 64,
};

_Static_assert(CONTROL_SIZE >= CMSG_SPACE(sizeof(struct in6_pktinfo)), "room for one packet info");

/* One control message's room, aligned as the kernel wants it. */
union control {
    struct cmsghdr header;
    char bytes[CONTROL_SIZE];
};

void *datagrams_map(size_t size)
{
    void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return at == MAP_FAILED ? NULL : at;
}

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
    in->bytes = datagrams_map((size_t)DATAGRAMS_MAX * SLOT_SIZE);
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
