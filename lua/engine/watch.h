/* Which scripts' files change (inotify). Folders are watched, not files: editors replace files by renaming, and links
 * are swapped; the folder of every link on the way to a file is watched for that link. */
#ifndef MOONDNS_LUA_ENGINE_WATCH_H
#define MOONDNS_LUA_ENGINE_WATCH_H

#include "lua/engine/script.h"

struct watch_name {
    int descriptor;
    char *folder, *name;
    struct script_source *source;
};

struct watch {
    int fd; /* owned; -1: nothing is watched */
    struct watch_name *names;
    size_t count;
};

/* The descriptor, -1 when the system gives none. */
int watch_start(struct watch *watch);
void watch_stop(struct watch *watch);

/* Watches the files of the source, in addition. */
void watch_add(struct watch *watch, struct script_source *source);

/* Reads what happened: marks sources dirty or being written. False when nothing of theirs did. */
bool watch_read(struct watch *watch);

#endif
