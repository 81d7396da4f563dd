/* Becoming another user: names, refusals, and that there is no way back. */
#include "proxy/privileges.h"

#include <grp.h>
#include <pwd.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static void nobody_asked_for_anything(void **state)
{
    (void)state;
    struct privileges privileges = {.change = true};
    assert_int_equal(privileges_find(NULL, NULL, &privileges, NULL), STATUS_OK);
    assert_false(privileges.change);
    uid_t before = getuid();
    assert_int_equal(privileges_drop(&privileges, NULL), STATUS_OK);
    assert_int_equal(getuid(), before);
}

static void unknown_names_are_told(void **state)
{
    (void)state;
    struct privileges privileges = {.user_name = "as it was"};
    struct reason reason = {""};
    assert_int_equal(privileges_find("no-such-user", NULL, &privileges, &reason), STATUS_INVALID);
    assert_non_null(strstr(reason.text, "--user: there is no user 'no-such-user'"));
    assert_int_equal(privileges_find(NULL, "no-such-group", &privileges, &reason), STATUS_INVALID);
    assert_non_null(strstr(reason.text, "--group: there is no group 'no-such-group'"));
    assert_int_equal(privileges_find("4294967295", NULL, &privileges, &reason), STATUS_INVALID);
    assert_int_equal(privileges_find(NULL, "-1", &privileges, &reason), STATUS_INVALID);
    assert_string_equal(privileges.user_name, "as it was");
}

static void finds_names_and_numbers(void **state)
{
    (void)state;
    const struct passwd *nobody = getpwnam("nobody");
    struct privileges privileges;
    char number[16];
    if (!nobody || geteuid() != 0)
        skip();
    uid_t user = nobody->pw_uid;
    gid_t group = nobody->pw_gid;
    assert_int_equal(privileges_find("nobody", NULL, &privileges, NULL), STATUS_OK);
    assert_true(privileges.change && privileges.user == user && privileges.group == group);
    assert_string_equal(privileges.user_name, "nobody");
    snprintf(number, sizeof number, "%u", (unsigned)user);
    assert_int_equal(privileges_find(number, "12345", &privileges, NULL), STATUS_OK);
    assert_true(privileges.user == user && privileges.group == 12345);
}

/* Runs in a child, which then is nobody: gives the number of the check that failed, or 0. */
static int become(const struct privileges *privileges, uid_t user, gid_t group)
{
    struct reason reason = {""};
    gid_t groups[64] = {0, 4};
    if (setgroups(2, groups)) /* those of root, to be lost */
        return 6;
    if (privileges_drop(privileges, &reason))
        return 1;
    if (getuid() != user || geteuid() != user || getgid() != group || getegid() != group)
        return 2;
    int count = getgroups(64, groups);
    for (int i = 0; i < count; i++) {
        if (groups[i] == 0 || groups[i] == 4)
            return 3;
    }
    if (user != 0 && (setuid(0) == 0 || setresuid((uid_t)-1, 0, (uid_t)-1) == 0))
        return 4;
    return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ? 0 : 5;
}

static int become_in_a_child(const struct privileges *privileges)
{
    int status;
    pid_t child = fork();
    if (child == 0)
        _exit(become(privileges, privileges->user, privileges->group));
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void there_is_no_way_back(void **state)
{
    (void)state;
    struct privileges privileges;
    if (geteuid() != 0)
        skip();
    assert_int_equal(privileges_find("nobody", NULL, &privileges, NULL), STATUS_OK);
    assert_int_equal(become_in_a_child(&privileges), 0);
    assert_int_equal(privileges_find(NULL, "12345", &privileges, NULL), STATUS_OK);
    assert_int_equal(become_in_a_child(&privileges), 0);
}

/* A child that is nobody may stay what it is, and may not become root. */
static void others_than_root_are_refused(void **state)
{
    (void)state;
    struct privileges nobody;
    int status;
    if (geteuid() != 0)
        skip();
    assert_int_equal(privileges_find("nobody", NULL, &nobody, NULL), STATUS_OK);
    pid_t child = fork();
    if (child == 0) {
        struct privileges privileges;
        struct reason reason = {""};
        if (privileges_drop(&nobody, NULL))
            _exit(1);
        if (privileges_find("nobody", NULL, &privileges, NULL) || privileges.change)
            _exit(2);
        if (privileges_find("root", NULL, &privileges, &reason) != STATUS_IO || !strstr(reason.text, "sudo"))
            _exit(3);
        _exit(privileges_drop(&(struct privileges){.change = true}, &reason) == STATUS_IO ? 0 : 4);
    }
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_asked_for_anything),    cmocka_unit_test(unknown_names_are_told),
        cmocka_unit_test(finds_names_and_numbers),      cmocka_unit_test(there_is_no_way_back),
        cmocka_unit_test(others_than_root_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
