/* Scripts: a source is a path that was given; a script is one loading of it. */
#ifndef MOONDNS_LUA_ENGINE_SCRIPT_H
#define MOONDNS_LUA_ENGINE_SCRIPT_H

#include "base/bytes.h"
#include "flow/hooks.h"
#include "lua/engine/measure.h"

struct engine;
struct generation;

/* What a script may define; the first are enum hook. The order is that of dns.script's `hooks`. */
enum script_hook {
    SCRIPT_LOAD = HOOK_COUNT,
    SCRIPT_CONFIGURE,
    SCRIPT_RUNNING,
    SCRIPT_DONE,
    SCRIPT_CLIENT_CONNECTED,
    SCRIPT_CLIENT_DISCONNECTED,
    SCRIPT_HOOK_COUNT,
};

extern const char *const script_hook_names[SCRIPT_HOOK_COUNT];

struct addon {
    int self;                         /* reference; LUA_NOREF for global functions */
    int functions[SCRIPT_HOOK_COUNT]; /* references, LUA_NOREF where it has none */
    bool keeps;                       /* one of those that are given flows may keep something of them */
    int compiled;                     /* reference to a copy of dns_request, to be compiled; LUA_NOREF: it cannot be */
    bool shares;                      /* that one may look at the records of an answer */
};

struct script {
    unsigned references;
    struct engine *engine;
    struct script_source *source; /* lives as long as the engine */
    uint64_t number;              /* counts the loadings */
    int loaded;                   /* reference to what dns.script.load gave */
    struct addon *addons;
    size_t count;
};

/* A file that a script was made of, or looked for in its own folder. */
struct script_file {
    char *path;
    uint64_t hash; /* of its text */
    bool present;
};

struct script_source {
    struct engine *engine;
    const char *path;                 /* as given; borrowed */
    const char *name;                 /* its last part */
    char label[FLOW_SOURCE_NAME_MAX]; /* the same, cut, as flows have it */
    struct script_file *files;
    size_t files_count;
    struct script *script;                          /* the current one; holds a reference */
    struct script *next;                            /* loaded and configured, to be the current one; the same */
    bool begins;                                    /* `running` is still to be called */
    bool dirty;                                     /* a file was written */
    struct measure measures[SCRIPT_HOOK_COUNT + 1]; /* the last one is the timers' */
    int64_t written_us;                             /* monotonic; a file is being written since; 0: none is */
};

/* Runs the source's file: the caller owns one reference to the script. On an error logs it. */
MUST_CHECK enum status script_load(struct script_source *source, struct script **out);

/* Looks once more which hooks the script defines; where that fails it is in the log. */
bool script_gather(struct script *script);

/* The same for the generation that calls them too: where it fails, both stay with the hooks that they knew. */
void script_gather_again(struct script *script, struct generation *generation);

/* Calls load, configure or done of all addons, with the `arguments` (0 or 1) at the top of the engine's stack, which
 * are popped. An error is logged and ends it: false. */
bool script_call(struct script *script, enum script_hook hook, int arguments);

struct script *script_hold(struct script *script);
void script_release(struct script *script); /* NULL is fine */

/* Whether a file of the source has other text than when it was read; a file that is gone has not. */
bool script_source_changed(const struct script_source *source);
void script_source_free(struct script_source *source);

#endif
