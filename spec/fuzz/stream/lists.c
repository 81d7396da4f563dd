/* The files that the proxy reads again: each is in memory, and has one of a few texts. */
#include "stream/world.h"

#include <sys/mman.h>
#include <unistd.h>

enum { HOSTS, RESOLV_CONF, ZONE, FILES, TEXTS = 4 };

/* Servers of resolv.conf are asked at port 53 of loopback addresses that nobody uses. */
static const char *const texts[FILES][TEXTS] = {
    [HOSTS] = {"192.0.2.1 a\n2001:db8::1 a www.example.com\n", "192.0.2.2 www.example.com\n", "no address\n", ""},
    [RESOLV_CONF] = {"nameserver 127.88.0.1\n", "nameserver 127.88.0.2\nnameserver 127.88.0.3\n", "nameserver x\n", ""},
    [ZONE] = {"$ORIGIN a.\n@ 60 SOA . . 1 2 3 4 5\n@ 60 TXT one\n",
              "$ORIGIN example.com.\n@ 60 SOA . . 2 2 3 4 5\nwww 60 A 192.0.2.3\n", "no zone\n", ""},
};

struct files {
    struct lists lists;
    int fds[FILES];
    char paths[FILES][32];
};

static void write_text(int fd, const char *text)
{
    const size_t length = strlen(text);
    MUST(!ftruncate(fd, 0) && pwrite(fd, text, length, 0) == (ssize_t)length);
}

static struct files *the_files(void)
{
    static struct files files;
    for (size_t i = 0; i < FILES && !files.lists.hosts; i++) {
        files.fds[i] = memfd_create("list", MFD_CLOEXEC);
        MUST(files.fds[i] >= 0);
        snprintf(files.paths[i], sizeof files.paths[i], "/proc/self/fd/%d", files.fds[i]);
    }
    files.lists = (struct lists){files.paths[HOSTS], files.paths[RESOLV_CONF], {files.paths[ZONE], NULL}};
    return &files;
}

const struct lists *the_lists(void)
{
    struct files *files = the_files();
    for (size_t i = 0; i < FILES; i++)
        write_text(files->fds[i], texts[i][0]);
    return &files->lists;
}

void happen_lists(struct world *world)
{
    struct files *files = the_files();
    const uint8_t how = cursor_u8(&world->input);
    if (!world->lists)
        return;
    for (size_t i = 0; i < FILES; i++)
        write_text(files->fds[i], texts[i][how >> 2 * i & (TEXTS - 1)]);
    const bool fine = net_prepare_lists(world->net, true);
    MUST(fine || (how & 2) || (how & 8) || (how & 32));
    if (how & 64)
        net_drop_lists(world->net);
    else
        net_take_lists(world->net);
}
