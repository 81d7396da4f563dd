/* The options that scripts declare: the engine's side of dns.options. */
#ifndef MOONDNS_LUA_ENGINE_SCRIPT_OPTIONS_H
#define MOONDNS_LUA_ENGINE_SCRIPT_OPTIONS_H

#include "base/bytes.h"

struct engine;
struct engine_option;
struct script;

/* Makes the set of options; pushes ctx.options. Raises. */
void script_options_open(struct engine *engine);

/* Calls the script's `load` with a loader. */
MUST_CHECK bool script_options_load(struct script *script);

/* Calls the script's `configure` with the names of all options. */
MUST_CHECK bool script_options_configure(struct script *script);

/* What is wrong with the --set options: STATUS_INVALID with the reason. `all`: one that nobody declares is wrong too.
 */
MUST_CHECK enum status script_options_check(struct engine *engine, bool all, struct reason *reason);

/* Forgets what the script at `path` declared, since it is loaded anew; and takes that back. Several can be begun. */
void script_options_begin(struct engine *engine, const char *path);
void script_options_rollback(struct engine *engine);

/* Before scripts are loaded anew with other settings ("NAME=VALUE", ended by NULL) and other values of the proxy's own
 * options (ended by a NULL name); begun with all of them. */
void script_options_renew(struct engine *engine, const char *const *settings, const struct engine_option *options);

/* Ends what was begun: the options are as before that, until `take` makes them what they were when it ended; or until
 * `drop`. */
void script_options_set_aside(struct engine *engine);
void script_options_take(struct engine *engine);
void script_options_drop(struct engine *engine);

void script_options_describe(struct engine *engine, struct buffer *out);

#endif
