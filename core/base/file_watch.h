/* Which files change (inotify). Folders are watched, not files: files are replaced by renaming, and links are swapped;
 * the folder of every link on the way to a file is watched for that link. */
#ifndef MOONDNS_BASE_FILE_WATCH_H
#define MOONDNS_BASE_FILE_WATCH_H

#include <stdbool.h>
#include <stddef.h>

struct file_watch_name {
    int descriptor;
    char *folder, *name;
    void *owner;
};

struct file_watch {
    int fd; /* owned; -1: nothing is watched */
    struct file_watch_name *names;
    size_t count;
};

enum file_change {
    FILE_BEING_WRITTEN, /* FILE_CHANGED comes when it is closed */
    FILE_CHANGED,       /* it is another one, or may be; or it is gone */
};

typedef void file_changed(void *owner, enum file_change change);

/* The descriptor, which becomes readable when something happens; -1 when the system gives none. */
int file_watch_start(struct file_watch *watch);
void file_watch_stop(struct file_watch *watch);

/* Watches the file for its owner, in addition. To be called again once it has changed, as links may lead elsewhere. */
void file_watch_add(struct file_watch *watch, const char *path, void *owner);

/* Reads what happened and tells it; false when nothing did to these files. */
bool file_watch_read(struct file_watch *watch, file_changed *changed);

#endif
