/* Which scripts' files change. */
#ifndef MOONDNS_LUA_ENGINE_WATCH_H
#define MOONDNS_LUA_ENGINE_WATCH_H

#include "base/file_watch.h"
#include "lua/engine/script.h"

/* Watches the files of the source, in addition. */
void watch_add(struct file_watch *watch, struct script_source *source);

/* Reads what happened: marks sources dirty or being written. False when nothing of theirs did. */
bool watch_read(struct file_watch *watch);

#endif
