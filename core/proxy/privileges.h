/* Becoming somebody with fewer rights. */
#ifndef MOONDNS_PROXY_PRIVILEGES_H
#define MOONDNS_PROXY_PRIVILEGES_H

#include "base/status.h"

#include <stdbool.h>
#include <sys/types.h>

/* Whom to become: looked up before the ports are bound, so that a wrong name is told first. */
struct privileges {
    bool change;
    uid_t user;
    gid_t group;
    char user_name[64]; /* "" where only the group changes */
};

/* Looks up a user and a group by name or number; NULL for those that are not given (the group is then the user's own).
 * STATUS_INVALID for one that is not there: wrong usage. STATUS_IO where the caller may not change to it. */
MUST_CHECK enum status privileges_find(const char *user, const char *group, struct privileges *out,
                                       struct reason *reason);

/* Becomes them for good, with the user's supplementary groups, and lets nothing regain rights (PR_SET_NO_NEW_PRIVS). To
 * be called once the ports are bound and before other threads run. STATUS_IO on failure: then do not go on. */
MUST_CHECK enum status privileges_drop(const struct privileges *privileges, struct reason *reason);

/* Whether a user or a group was given, and root's rights stay all the same. */
static inline bool privileges_keep_root(const struct privileges *privileges)
{
    return privileges->change && privileges->user == 0;
}

#endif
