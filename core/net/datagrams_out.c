/* Packets to be sent. What goes from one socket to one place is one bundle as far as the packets are of one length: the
 * kernel takes it through its stack as one, and cuts it into the packets where they go out (UDP_SEGMENT, Linux 4.18).
 */
#include "net/datagrams.h"

#include <errno.h>
#include <netinet/udp.h>
#include <stdalign.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
    OUT_BYTES = 1024 * 1024, /* of which only what packets need is ever touched */
    PACKET_MAX = 65536,
    CONTROL_SIZE = 64,
    BUNDLE_FROM = 4,           /* packets that wait: fewer go one by one, as whoever looks at the wire expects */
    BUNDLED_PACKET_MAX = 1232, /* bytes: what fits every network's packets (RFC 8200 section 5, less the headers) */
    BUNDLE_BYTES_MAX = 60000,
    PLACES = 128, /* of the table of bundles; a power of two */
    REST = 1024,  /* times that packets go one by one after the kernel could not take a bundle */
};

_Static_assert(CONTROL_SIZE >= CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(uint16_t)),
               "room for a packet info and a segment size");

/* The control messages' room, aligned as the kernel wants it. */
union control {
    struct cmsghdr header;
    char bytes[CONTROL_SIZE];
};

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

/* Numbers of messages among those that are sent; `next` has the one after each. */
struct bundle {
    uint8_t first, last, count;
};

struct bundles {
    unsigned count;
    struct bundle list[DATAGRAMS_MAX];
    uint8_t next[DATAGRAMS_MAX];
    uint8_t places[PLACES]; /* by what packets of a bundle have in common: its number in the list, and 1 */
    struct mmsghdr messages[DATAGRAMS_MAX];
    struct iovec vectors[DATAGRAMS_MAX];
    union control controls[DATAGRAMS_MAX];
};

struct datagrams_out {
    unsigned count;
    size_t used;
    bool mixed;    /* not all that wait are one socket's */
    bool bundles;  /* the kernel knows how to cut them */
    unsigned rest; /* times that it is not to be asked for it */
    struct mmsghdr messages[DATAGRAMS_MAX];
    struct packet packets[DATAGRAMS_MAX];
    union control controls[DATAGRAMS_MAX];
    struct mmsghdr batch[DATAGRAMS_MAX]; /* those of one socket among others' */
    struct bundles bundled;
    void (*failed)(void *context, void *owner, int error);
    void *context;
    uint8_t *bytes;
};

static bool kernel_cuts(void)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), size;
    socklen_t length = sizeof size;
    if (fd < 0)
        return false;
    bool cuts = !getsockopt(fd, SOL_UDP, UDP_SEGMENT, &size, &length);
    close(fd);
    return cuts;
}

struct datagrams_out *datagrams_out_new(void (*failed)(void *context, void *owner, int error), void *context)
{
    struct datagrams_out *out = aligned_alloc(alignof(struct datagrams_out), sizeof *out);
    if (!out)
        return NULL;
    memset(out, 0, sizeof *out);
    out->failed = failed;
    out->context = context;
    out->bytes = datagrams_map(OUT_BYTES);
    if (!out->bytes) {
        free(out);
        return NULL;
    }
    out->bundles = kernel_cuts();
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

/* --- adding --- */

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

bool datagrams_out_is_empty(const struct datagrams_out *out)
{
    return out->count == 0;
}

/* --- sending one by one --- */

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
static void send_packets(struct datagrams_out *out, int fd, struct mmsghdr *messages, unsigned count)
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

/* --- sending bundles --- */

static bool is_same(const void *a, size_t a_length, const void *b, size_t b_length)
{
    return a_length == b_length && (a_length == 0 || memcmp(a, b, a_length) == 0);
}

static bool belongs(const struct msghdr *a, const struct msghdr *b)
{
    return a->msg_iov->iov_len == b->msg_iov->iov_len &&
           is_same(a->msg_name, a->msg_namelen, b->msg_name, b->msg_namelen) &&
           is_same(a->msg_control, a->msg_controllen, b->msg_control, b->msg_controllen);
}

static unsigned place_of(const struct msghdr *header)
{
    const struct sockaddr_in *name = header->msg_name; /* the port is where IPv6 has it */
    return ((unsigned)header->msg_iov->iov_len * 37 + (name ? ntohs(name->sin_port) : 0)) % PLACES;
}

static bool has_room(const struct bundle *bundle, size_t length)
{
    return length <= BUNDLED_PACKET_MAX && (bundle->count + 1u) * length <= BUNDLE_BYTES_MAX;
}

/* Finds the bundles among these packets of one socket. */
static void find_bundles(struct bundles *bundles, const struct mmsghdr *messages, unsigned count)
{
    bundles->count = 0;
    memset(bundles->places, 0, sizeof bundles->places);
    for (unsigned i = 0; i < count; i++) {
        const struct msghdr *header = &messages[i].msg_hdr;
        uint8_t *place = &bundles->places[place_of(header)];
        struct bundle *bundle = *place ? &bundles->list[*place - 1] : NULL;
        if (bundle && belongs(&messages[bundle->first].msg_hdr, header) && has_room(bundle, header->msg_iov->iov_len)) {
            bundles->next[bundle->last] = (uint8_t)i;
            bundle->last = (uint8_t)i;
            bundle->count++;
            continue;
        }
        bundles->list[bundles->count++] = (struct bundle){(uint8_t)i, (uint8_t)i, 1};
        *place = (uint8_t)bundles->count;
    }
}

/* Adds the size of the packets that the kernel is to make of it. */
static void set_segment(struct msghdr *header, union control *control, uint16_t size)
{
    if (header->msg_controllen)
        memcpy(control->bytes, header->msg_control, header->msg_controllen);
    struct cmsghdr *segment = (struct cmsghdr *)(control->bytes + header->msg_controllen);
    segment->cmsg_level = SOL_UDP;
    segment->cmsg_type = UDP_SEGMENT;
    segment->cmsg_len = CMSG_LEN(sizeof size);
    memcpy(CMSG_DATA(segment), &size, sizeof size);
    header->msg_control = control;
    header->msg_controllen += CMSG_SPACE(sizeof size);
}

/* Makes a message of each bundle. */
static void make_messages(struct bundles *bundles, const struct mmsghdr *messages)
{
    struct iovec *vector = bundles->vectors;
    for (unsigned i = 0; i < bundles->count; i++) {
        const struct bundle *bundle = &bundles->list[i];
        struct msghdr *header = &bundles->messages[i].msg_hdr;
        *header = messages[bundle->first].msg_hdr;
        if (bundle->count == 1)
            continue;
        set_segment(header, &bundles->controls[i], (uint16_t)header->msg_iov->iov_len);
        header->msg_iov = vector;
        header->msg_iovlen = bundle->count;
        for (unsigned at = bundle->first, left = bundle->count; left > 0; left--, at = bundles->next[at])
            *vector++ = *messages[at].msg_hdr.msg_iov;
    }
}

/* A bundle that could not be sent: what is wrong shows with each packet, if it is. */
static void send_parts(struct datagrams_out *out, int fd, const struct bundle *bundle, struct mmsghdr *messages)
{
    for (unsigned at = bundle->first, left = bundle->count; left > 0; left--, at = out->bundled.next[at])
        send_packets(out, fd, &messages[at], 1);
}

static void send_bundles(struct datagrams_out *out, int fd, struct mmsghdr *messages, unsigned count)
{
    struct bundles *bundles = &out->bundled;
    find_bundles(bundles, messages, count);
    if (bundles->count == count) {
        send_packets(out, fd, messages, count);
        return;
    }
    make_messages(bundles, messages);
    for (unsigned done = 0; done < bundles->count;) {
        int sent = sendmmsg(fd, bundles->messages + done, bundles->count - done, MSG_DONTWAIT);
        if (sent > 0) {
            done += (unsigned)sent;
        } else if (errno != EINTR) {
            if (errno == EIO || errno == EINVAL || errno == EMSGSIZE)
                out->rest = REST;
            send_parts(out, fd, &bundles->list[done++], messages);
        }
    }
}

/* Sends packets of one socket. */
static void send_all(struct datagrams_out *out, int fd, struct mmsghdr *messages, unsigned count)
{
    if (count < BUNDLE_FROM || !out->bundles) {
        send_packets(out, fd, messages, count);
    } else if (out->rest) {
        out->rest--;
        send_packets(out, fd, messages, count);
    } else {
        send_bundles(out, fd, messages, count);
    }
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
