/* One loading of scripts by several engines: which scripts, and the texts of their files, each of which is read once,
 * so that all engines load the same. Any thread may read from it. */
#ifndef MOONDNS_LUA_ENGINE_LOADING_H
#define MOONDNS_LUA_ENGINE_LOADING_H

#include "base/bytes.h"

struct loading;

/* `sources`: how many scripts there are; none is chosen yet. NULL when there is no memory. */
struct loading *loading_new(size_t sources);
void loading_free(struct loading *loading); /* NULL is fine */

/* Replaces what `out` holds with the file's text as it was when it was asked for first. Errors as of text_file_read. */
MUST_CHECK enum status loading_read(struct loading *loading, const char *path, struct buffer *out,
                                    struct reason *reason);

/* Forgets the texts: they are read anew. */
void loading_forget(struct loading *loading);

/* Which scripts are to be loaded; set before other threads see it. */
void loading_choose(struct loading *loading, size_t source, bool chosen);
bool loading_is_chosen(const struct loading *loading, size_t source);

/* Whether the lists are read again as well; the same. */
void loading_choose_lists(struct loading *loading);
bool loading_has_lists(const struct loading *loading);

/* New values of options, or none any more (NULL): all settings ("NAME=VALUE", ended by NULL), and the proxy's own
 * options that changed (ended by a NULL name). Borrowed; the same. */
struct engine_option;
void loading_offer(struct loading *loading, const char *const *settings, const struct engine_option *options);
const char *const *loading_settings(const struct loading *loading);
const struct engine_option *loading_options(const struct loading *loading);

#endif
