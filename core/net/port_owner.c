#include "net/port_owner.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { STATE_LISTEN = 10, PORT_OF_DNS = 53, PATH_SIZE = 300 };

/* The kernel prints addresses as 32-bit words in host byte order. */
static bool parse_address(const char *hex, size_t digits, struct address *out)
{
    if (digits != 8 && digits != 32)
        return false;
    out->family = digits == 8 ? AF_INET : AF_INET6;
    for (size_t i = 0; i < digits / 8; i++) {
        char word[9] = {0}, *end;
        memcpy(word, hex + i * 8, 8);
        uint32_t value = (uint32_t)strtoul(word, &end, 16);
        if (*end)
            return false;
        memcpy(out->bytes + i * 4, &value, 4);
    }
    return true;
}

enum status socket_line_parse(const char *line, struct socket_line *out)
{
    char hex[40];
    unsigned port, state, user;
    unsigned long inode;
    struct socket_line parsed = {.local = {.family = AF_UNSPEC}};
    if (sscanf(line, " %*u: %32[0-9A-Fa-f]:%4x %*[0-9A-Fa-f:] %2x %*[0-9A-Fa-f:] %*[0-9A-Fa-f:] %*x %u %*d %lu", hex,
               &port, &state, &user, &inode) != 5)
        return STATUS_MALFORMED;
    if (!parse_address(hex, strlen(hex), &parsed.local))
        return STATUS_MALFORMED;
    parsed.local.port = (uint16_t)port;
    parsed.state = state;
    parsed.user = user;
    parsed.inode = inode;
    *out = parsed;
    return STATUS_OK;
}

static bool is_wildcard(const struct address *address)
{
    static const uint8_t zeros[16];
    return !memcmp(address->bytes, zeros, address->family == AF_INET6 ? 16 : 4);
}

/* Whether a socket there keeps one off `wanted`: the same address, or either takes all. One on [::] may hold IPv4 too.
 */
static bool stands_in_way(const struct socket_line *line, const struct address *wanted, bool stream)
{
    if (line->local.port != wanted->port || (stream && line->state != STATE_LISTEN))
        return false;
    if (line->local.family != wanted->family)
        return line->local.family == AF_INET6 && is_wildcard(&line->local);
    size_t size = wanted->family == AF_INET6 ? 16 : 4;
    return is_wildcard(&line->local) || is_wildcard(wanted) || !memcmp(line->local.bytes, wanted->bytes, size);
}

static bool find_socket(const char *proc, const char *table, const struct address *wanted, bool stream,
                        struct socket_line *out)
{
    char path[PATH_SIZE], line[512];
    bool found = false;
    snprintf(path, sizeof path, "%s/net/%s", proc, table);
    FILE *file = fopen(path, "re");
    while (file && !found && fgets(line, sizeof line, file))
        found = !socket_line_parse(line, out) && stands_in_way(out, wanted, stream);
    if (file)
        fclose(file);
    return found;
}

/* --- the process that holds a socket --- */

static bool holds_socket(const char *proc, const char *pid, unsigned long inode)
{
    char path[PATH_SIZE], wanted[40], target[64];
    snprintf(path, sizeof path, "%s/%s/fd", proc, pid);
    snprintf(wanted, sizeof wanted, "socket:[%lu]", inode);
    DIR *folder = opendir(path);
    if (!folder)
        return false;
    bool found = false;
    for (struct dirent *entry; !found && (entry = readdir(folder));) {
        ssize_t length = readlinkat(dirfd(folder), entry->d_name, target, sizeof target - 1);
        if (length < 0)
            continue;
        target[length] = '\0';
        found = !strcmp(target, wanted);
    }
    closedir(folder);
    return found;
}

static void read_name(const char *proc, const char *pid, char *out, size_t size)
{
    char path[PATH_SIZE];
    snprintf(path, sizeof path, "%s/%s/comm", proc, pid);
    FILE *file = fopen(path, "re");
    if (!file)
        return;
    if (!fgets(out, (int)size, file))
        out[0] = '\0';
    out[strcspn(out, "\n")] = '\0';
    fclose(file);
}

static void find_process(const char *proc, unsigned long inode, struct port_owner *out)
{
    DIR *folder = opendir(proc);
    if (!folder)
        return;
    for (struct dirent *entry; (entry = readdir(folder));) {
        if (!isdigit((unsigned char)entry->d_name[0]) || !holds_socket(proc, entry->d_name, inode))
            continue;
        out->pid = atoi(entry->d_name);
        read_name(proc, entry->d_name, out->name, sizeof out->name);
        break;
    }
    closedir(folder);
}

enum status port_owner_find(const char *proc, const struct address *address, bool stream, struct port_owner *out)
{
    struct socket_line line;
    if (!find_socket(proc, stream ? "tcp" : "udp", address, stream, &line) &&
        !find_socket(proc, stream ? "tcp6" : "udp6", address, stream, &line))
        return STATUS_NOT_FOUND;
    struct port_owner owner = {.user = line.user, .user_known = true};
    find_process(proc, line.inode, &owner);
    *out = owner;
    return STATUS_OK;
}

/* --- in words --- */

static void describe_owner(const struct port_owner *owner, char *out, size_t size)
{
    struct passwd entry, *found = NULL;
    char storage[1024];
    if (owner->pid) {
        snprintf(out, size, "%s (pid %d)", owner->name[0] ? owner->name : "a process", owner->pid);
        return;
    }
    if (owner->user_known)
        (void)getpwuid_r(owner->user, &entry, storage, sizeof storage, &found);
    if (found)
        snprintf(out, size, "a process of user %s", found->pw_name);
    else
        snprintf(out, size, "another process");
}

static void explain_in_use(const char *proc, const struct address *address, bool stream, struct reason *reason)
{
    static const char remedy[] = "set DNSStubListener=no in /etc/systemd/resolved.conf, then: "
                                 "sudo systemctl restart systemd-resolved";
    struct port_owner owner = {0};
    char who[80];
    if (port_owner_find(proc, address, stream, &owner))
        owner = (struct port_owner){0};
    describe_owner(&owner, who, sizeof who);
    bool resolved = strstr(who, "systemd-resolve") != NULL, unknown = owner.pid == 0 && !resolved;
    if (address->port == PORT_OF_DNS && resolved)
        reason_set(reason, "the port is in use by %s; %s", who, remedy);
    else if (address->port == PORT_OF_DNS && unknown)
        reason_set(reason, "the port is in use by %s; if it is systemd-resolved: %s", who, remedy);
    else
        reason_set(reason, "the port is in use by %s; stop it, or listen on another port with -l", who);
}

static void explain_rights(struct reason *reason)
{
    char path[128];
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
    path[length < 0 ? 0 : length] = '\0';
    reason_set(reason, "ports below 1024 need rights: sudo setcap cap_net_bind_service=+ep %s",
               length > 0 && (size_t)length < sizeof path - 1 ? path : "$(command -v moondns)");
}

void port_owner_explain(const char *proc, const struct address *address, bool stream, int error, struct reason *reason)
{
    char text[ADDRESS_TEXT_MAX];
    if (error == EADDRINUSE)
        explain_in_use(proc, address, stream, reason);
    else if (error == EACCES || error == EPERM)
        explain_rights(reason);
    else if (error == EADDRNOTAVAIL)
        reason_set(reason, "this machine has no such address%s",
                   address->family == AF_INET6 ? "; with a port, an IPv6 address is written [ADDR]:PORT" : "");
    else
        reason_set(reason, "%s", strerrordesc_np(error));
    reason_prefix(reason, "cannot listen on %s (%s): ", address_text(address, text), stream ? "tcp" : "udp");
}
