#include "proxy/privileges.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

/* The number that a name may be instead: decimal, and not the -1 that means "leave as it is". */
static bool number_from_text(const char *text, unsigned *out)
{
    char *end;
    if (text[0] < '0' || text[0] > '9')
        return false;
    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    if (*end || errno || number >= (unsigned)-1)
        return false;
    *out = (unsigned)number;
    return true;
}

static enum status find_user(const char *user, struct privileges *out, struct reason *reason)
{
    unsigned number;
    errno = 0;
    const struct passwd *entry = getpwnam(user);
    if (!entry && number_from_text(user, &number))
        entry = getpwuid(number);
    if (!entry) {
        reason_set(reason, "--user: there is no user '%s'%s%s", user, errno ? ": " : "", errno ? strerror(errno) : "");
        return STATUS_INVALID;
    }
    if (strlen(entry->pw_name) >= sizeof out->user_name) {
        reason_set(reason, "--user: the name of user '%s' is too long", user);
        return STATUS_INVALID;
    }
    out->user = entry->pw_uid;
    out->group = entry->pw_gid;
    snprintf(out->user_name, sizeof out->user_name, "%s", entry->pw_name);
    return STATUS_OK;
}

static enum status find_group(const char *group, struct privileges *out, struct reason *reason)
{
    unsigned number;
    errno = 0;
    const struct group *entry = getgrnam(group);
    if (entry) {
        out->group = entry->gr_gid;
    } else if (number_from_text(group, &number)) {
        out->group = number;
    } else {
        reason_set(reason, "--group: there is no group '%s'%s%s", group, errno ? ": " : "",
                   errno ? strerror(errno) : "");
        return STATUS_INVALID;
    }
    return STATUS_OK;
}

enum status privileges_find(const char *user, const char *group, struct privileges *out, struct reason *reason)
{
    struct privileges found = {.change = user || group, .user = geteuid(), .group = getegid()};
    enum status status = STATUS_OK;
    if (user)
        status = find_user(user, &found, reason);
    if (!status && group)
        status = find_group(group, &found, reason);
    if (status)
        return status;
    if (geteuid() != 0 && found.user == geteuid() && found.group == getegid())
        found.change = false;
    if (found.change && geteuid() != 0) {
        reason_set(reason, "%s needs root's rights to change; start moondns as root (sudo)",
                   user ? "--user" : "--group");
        return STATUS_IO;
    }
    *out = found;
    return STATUS_OK;
}

/* Whether real, effective and saved ids are what they were to become. */
static bool changed(const struct privileges *privileges)
{
    uid_t users[3];
    gid_t groups[3];
    if (getresuid(&users[0], &users[1], &users[2]) || getresgid(&groups[0], &groups[1], &groups[2]))
        return false;
    for (size_t i = 0; i < 3; i++) {
        if (users[i] != privileges->user || groups[i] != privileges->group)
            return false;
    }
    return true;
}

enum status privileges_drop(const struct privileges *privileges, struct reason *reason)
{
    if (!privileges->change)
        return STATUS_OK;
    const char *step = NULL;
    if (privileges->user_name[0] ? initgroups(privileges->user_name, privileges->group)
                                 : setgroups(1, &privileges->group))
        step = "its supplementary groups";
    else if (setresgid(privileges->group, privileges->group, privileges->group))
        step = "the group";
    else if (setresuid(privileges->user, privileges->user, privileges->user))
        step = "the user";
    else if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        step = "no new rights";
    if (step) {
        reason_set(reason, "cannot become user %u, group %u: %s: %s", (unsigned)privileges->user,
                   (unsigned)privileges->group, step, strerror(errno));
        return STATUS_IO;
    }
    if (!changed(privileges) || (privileges->user != 0 && setresuid(-1U, 0, -1U) == 0)) {
        reason_set(reason, "cannot become user %u, group %u: the old rights are still there",
                   (unsigned)privileges->user, (unsigned)privileges->group);
        return STATUS_IO;
    }
    return STATUS_OK;
}
