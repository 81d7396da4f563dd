/* Reloads the scripts of all engines as one, and the workers' lists with them. The first engine watches the files and
 * leads: what it has loaded, the others load from the same texts, and then all switch over together (see
 * proxy/rollout.h). */
#ifndef MOONDNS_LUA_ENGINE_RELOADER_H
#define MOONDNS_LUA_ENGINE_RELOADER_H

#include "lua/engine/engine.h"
#include "observe/snapshot.h"

struct reloader;

struct reloader_config {
    unsigned engines;
    size_t scripts;
    const struct log *log; /* borrowed */

    /* Has reloader_woken called soon in the engine's thread. Any thread, with a lock held. */
    void (*wake)(void *context, unsigned engine);

    /* The lists of the engine's worker, in its thread: to read them again (false: some could not be read), to take
     * what was read, to throw it away. */
    bool (*prepare_lists)(void *context, unsigned engine);
    void (*take_lists)(void *context, unsigned engine);
    void (*drop_lists)(void *context, unsigned engine);

    /* Options that changed. The first engine's thread begins: whether there are any (loading_offer); false: they could
     * not be read. Each engine's thread takes them with the switch. In the end, the first one's: all took them, or
     * none.
     */
    bool (*offer_options)(void *context, struct loading *loading);
    void (*take_options)(void *context, unsigned engine);
    void (*end_options)(void *context, bool taken);

    /* A reload has ended, and counts; in the first engine's thread. */
    void (*finished)(void *context);
    void *context;
};

/* NULL when there is no memory. */
struct reloader *reloader_new(const struct reloader_config *config);
void reloader_free(struct reloader *reloader); /* NULL is fine */

/* What all engines load from at the start; NULL once reloader_started was called. */
struct loading *reloader_loading(struct reloader *reloader);

/* For engine_config.latest; NULL when there is one engine. */
const atomic_uint *reloader_latest(const struct reloader *reloader);

/* The engine takes part from now on (borrowed), or no more (NULL). In its own thread. */
void reloader_join(struct reloader *reloader, unsigned number, struct engine *engine);

/* All engines have joined. In the first one's thread, like all that follow but the last two. */
void reloader_started(struct reloader *reloader);

/* Watches the scripts' files, in this loop; reloader_stop ends that, and begins no reload any more. */
void reloader_watch(struct reloader *reloader, struct event_base *base);
void reloader_stop(struct reloader *reloader);

/* Reloads the lists and all scripts, changed or not. */
void reloader_all(struct reloader *reloader);

/* How reloads went. In the first engine's thread. */
const struct reload_counts *reloader_counts(const struct reloader *reloader);

/* In the engine's thread: does what is its to do; switches over if that is due. */
void reloader_woken(struct reloader *reloader, unsigned number);
void reloader_catch_up(struct reloader *reloader, unsigned number);

#endif
