#include "base/file_watch.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    LINKS_MAX = 16,
    EVENTS = IN_CREATE | IN_MODIFY | IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_ATTRIB | IN_ONLYDIR,
};

int file_watch_start(struct file_watch *watch)
{
    if (watch->fd < 0)
        watch->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    return watch->fd;
}

void file_watch_stop(struct file_watch *watch)
{
    for (size_t i = 0; i < watch->count; i++) {
        free(watch->names[i].folder);
        free(watch->names[i].name);
    }
    free(watch->names);
    if (watch->fd >= 0)
        close(watch->fd);
    *watch = (struct file_watch){.fd = -1};
}

/* --- what to watch --- */

static bool is_watched(const struct file_watch *watch, int descriptor, const char *name, const void *owner)
{
    for (size_t i = 0; i < watch->count; i++)
        if (watch->names[i].descriptor == descriptor && watch->names[i].owner == owner &&
            strcmp(watch->names[i].name, name) == 0)
            return true;
    return false;
}

/* Watches the name in the folder that `path` starts with: its first `length` bytes are the folder. */
static void add_name(struct file_watch *watch, const char *path, size_t length, const char *name, void *owner)
{
    char *folder = length ? strndup(path, length) : strdup(".");
    char *copy = strdup(name);
    struct file_watch_name *names = realloc(watch->names, (watch->count + 1) * sizeof *names);
    if (names)
        watch->names = names;
    int descriptor = folder ? inotify_add_watch(watch->fd, folder, EVENTS) : -1;
    if (descriptor < 0 || !copy || !names || is_watched(watch, descriptor, name, owner)) {
        free(folder);
        free(copy);
        return;
    }
    names[watch->count++] = (struct file_watch_name){descriptor, folder, copy, owner};
}

/* Where the link at `path` leads to; false when it is none. */
static bool follow(const char *path, size_t folder, char out[static PATH_MAX])
{
    char target[PATH_MAX];
    ssize_t length = readlink(path, target, sizeof target - 1);
    if (length <= 0)
        return false;
    target[length] = '\0';
    if (target[0] == '/')
        folder = 0;
    return snprintf(out, PATH_MAX, "%.*s%s", (int)folder, path, target) < PATH_MAX;
}

/* Watches the file, every link on the way to it, and the folder that holds it. */
static void add_path(struct file_watch *watch, const char *path, void *owner, int depth)
{
    char part[PATH_MAX], target[PATH_MAX], rest[PATH_MAX];
    if (depth > LINKS_MAX || strlen(path) >= sizeof part)
        return;
    const char *last = strrchr(path, '/');
    size_t folder = 0; /* of the part that is looked at */
    for (const char *end = path; *end;) {
        end = strchrnul(path + folder, '/');
        memcpy(part, path, (size_t)(end - path));
        part[end - path] = '\0';
        const char *name = part + folder;
        bool linked = *name && follow(part, folder, target);
        bool holds_file = last && end == last;
        if (*name && (linked || holds_file || !*end))
            add_name(watch, path, folder, name, owner);
        if (linked && snprintf(rest, sizeof rest, "%s%s", target, end) < (int)sizeof rest)
            add_path(watch, rest, owner, depth + 1);
        folder = (size_t)(end - path) + (*end == '/');
    }
}

void file_watch_add(struct file_watch *watch, const char *path, void *owner)
{
    if (watch->fd >= 0)
        add_path(watch, path, owner, 0);
}

/* --- what happened --- */

/* A name that was just made is a whole file only when it is a link; others are written first. */
static bool is_whole(const struct file_watch_name *name)
{
    char path[PATH_MAX];
    struct stat info;
    if (snprintf(path, sizeof path, "%s/%s", name->folder, name->name) >= (int)sizeof path || lstat(path, &info) != 0)
        return false;
    return !S_ISREG(info.st_mode) || info.st_nlink > 1;
}

static bool take(const struct file_watch_name *name, uint32_t what, file_changed *changed)
{
    if (what & IN_CREATE && !is_whole(name))
        return false;
    changed(name->owner, what & IN_MODIFY ? FILE_BEING_WRITTEN : FILE_CHANGED);
    return true;
}

static bool take_event(const struct file_watch *watch, const struct inotify_event *event, file_changed *changed)
{
    bool taken = false;
    for (size_t i = 0; i < watch->count; i++) {
        const struct file_watch_name *name = &watch->names[i];
        if (event->mask & IN_Q_OVERFLOW) {
            changed(name->owner, FILE_CHANGED);
            taken = true;
        } else if (name->descriptor == event->wd && event->len && strcmp(name->name, event->name) == 0) {
            taken = take(name, event->mask, changed) || taken;
        }
    }
    return taken;
}

bool file_watch_read(struct file_watch *watch, file_changed *changed)
{
    _Alignas(struct inotify_event) char bytes[16384];
    bool taken = false;
    ssize_t got;
    while (watch->fd >= 0 && ((got = read(watch->fd, bytes, sizeof bytes)) > 0 || (got < 0 && errno == EINTR))) {
        for (ssize_t at = 0; at < got;) {
            const struct inotify_event *event = (const struct inotify_event *)(const void *)(bytes + at);
            taken = take_event(watch, event, changed) || taken;
            at += (ssize_t)sizeof *event + (ssize_t)event->len;
        }
    }
    return taken;
}
