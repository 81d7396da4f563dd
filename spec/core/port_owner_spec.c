/* Who holds a port: the kernel's tables, a made-up /proc, and a real socket of our own. */
#include "net/port_owner.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define HEADING "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
#define LINE(address, state, user, inode)                                                                        \
    "  1: " address " 00000000:0000 " state " 00000000:00000000 00:00000000 00000000   " user "        0 " inode \
    " 2 0000000000000000 0\n"

static void reads_a_line(void **state)
{
    (void)state;
    struct socket_line line;
    char text[ADDRESS_TEXT_MAX];
    assert_int_equal(socket_line_parse(LINE("0100007F:0035", "07", "101", "4711"), &line), STATUS_OK);
    assert_string_equal(address_text(&line.local, text), "127.0.0.1:53");
    assert_int_equal(line.state, 7);
    assert_int_equal(line.user, 101);
    assert_int_equal(line.inode, 4711);
    assert_int_equal(socket_line_parse("  0: 00000000000000000000000001000000:14B4 "
                                       "00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 "
                                       "00000000     0        0 99 1 0 100 0 0 10 0\n",
                                       &line),
                     STATUS_OK);
    assert_string_equal(address_text(&line.local, text), "[::1]:5300");
    assert_int_equal(line.state, 10);
}

static void passes_over_other_lines(void **state)
{
    (void)state;
    struct socket_line line = {.inode = 5};
    assert_int_equal(socket_line_parse(HEADING, &line), STATUS_MALFORMED);
    assert_int_equal(socket_line_parse("", &line), STATUS_MALFORMED);
    assert_int_equal(socket_line_parse("  1: 0100:0035 00000000:0000 07 0:0 0:0 0 1 0 2\n", &line), STATUS_MALFORMED);
    assert_int_equal(line.inode, 5);
}

/* --- a made-up /proc --- */

static char proc[] = "/tmp/port-owner-spec-XXXXXX";

static const char *in_proc(const char *name)
{
    static char path[100];
    snprintf(path, sizeof path, "%s/%s", proc, name);
    return path;
}

static void write_file(const char *name, const char *text)
{
    FILE *file = fopen(in_proc(name), "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static int make_proc(void **state)
{
    (void)state;
    if (!mkdtemp(proc) || mkdir(in_proc("net"), 0700) || mkdir(in_proc("412"), 0700) ||
        mkdir(in_proc("412/fd"), 0700) || symlink("socket:[4711]", in_proc("412/fd/3")) ||
        symlink("/dev/null", in_proc("412/fd/0")))
        return -1;
    write_file("412/comm", "systemd-resolve\n");
    write_file("net/udp", HEADING LINE("3500007F:0035", "07", "0", "4711") LINE("0100007F:1F90", "07", "0", "4712"));
    write_file("net/tcp", HEADING LINE("00000000:0050", "0A", "0", "4713") LINE("0100007F:0051", "01", "0", "4711"));
    write_file("net/udp6", "  1: 00000000000000000000000000000000:14E9 00000000000000000000000000000000:0000 07 "
                           "00000000:00000000 00:00000000 00000000     0        0 4711 2 0 0\n");
    return 0;
}

static int remove_proc(void **state)
{
    (void)state;
    static const char *const names[] = {"412/fd/3", "412/fd/0", "412/fd",   "412/comm", "412",
                                        "net/udp",  "net/tcp",  "net/udp6", "net",      ""};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (remove(in_proc(names[i])))
            return -1;
    return 0;
}

static struct address at(const char *text)
{
    struct address address = {0};
    assert_int_equal(address_from_text(text, strlen(text), 53, &address, NULL), STATUS_OK);
    return address;
}

static enum status find(const char *text, bool stream, struct port_owner *out)
{
    const struct address address = at(text);
    return port_owner_find(proc, &address, stream, out);
}

static void finds_the_process(void **state)
{
    (void)state;
    struct port_owner owner;
    assert_int_equal(find("127.0.0.53:53", false, &owner), STATUS_OK);
    assert_int_equal(owner.pid, 412);
    assert_string_equal(owner.name, "systemd-resolve");
    assert_int_equal(find("0.0.0.0:53", false, &owner), STATUS_OK);
    assert_int_equal(owner.pid, 412);
    assert_int_equal(find("127.0.0.1:53", false, &owner), STATUS_NOT_FOUND);
    assert_int_equal(find("127.0.0.53:53", true, &owner), STATUS_NOT_FOUND);
}

static void knows_sockets_without_a_process(void **state)
{
    (void)state;
    struct port_owner owner;
    assert_int_equal(find("127.0.0.1:8080", false, &owner), STATUS_OK);
    assert_int_equal(owner.pid, 0);
    assert_true(owner.user_known);
    assert_int_equal(owner.user, 0);
}

static void knows_who_takes_all_addresses(void **state)
{
    (void)state;
    struct port_owner owner;
    assert_int_equal(find("192.0.2.1:80", true, &owner), STATUS_OK);
    assert_int_equal(find("192.0.2.1:81", true, &owner), STATUS_NOT_FOUND); /* connected, not listening */
    assert_int_equal(find("[::1]:5353", false, &owner), STATUS_OK);
    assert_int_equal(find("127.0.0.1:5353", false, &owner), STATUS_OK); /* [::] holds IPv4 too */
}

static const char *explained(const char *text, bool stream, int error)
{
    static struct reason reason;
    const struct address address = at(text);
    port_owner_explain(proc, &address, stream, error, &reason);
    return reason.text;
}

static void says_what_to_do(void **state)
{
    (void)state;
    assert_string_equal(explained("127.0.0.53:53", false, EADDRINUSE),
                        "cannot listen on 127.0.0.53:53 (udp): the port is in use by systemd-resolve (pid 412); set "
                        "DNSStubListener=no in /etc/systemd/resolved.conf, then: sudo systemctl restart "
                        "systemd-resolved");
    assert_non_null(strstr(explained("127.0.0.1:8080", false, EADDRINUSE), "in use by a process of user root;"));
    assert_non_null(strstr(explained("127.0.0.1:99", true, EADDRINUSE), "in use by another process;"));
    assert_non_null(strstr(explained("127.0.0.1:53", true, EADDRINUSE), "DNSStubListener=no"));
    assert_non_null(strstr(explained("127.0.0.1:53", false, EACCES), "sudo setcap cap_net_bind_service=+ep /"));
    assert_non_null(strstr(explained("127.0.0.1:53", false, EACCES), "port_owner_spec"));
    assert_non_null(strstr(explained("192.0.2.1:53", false, EADDRNOTAVAIL), "this machine has no such address"));
    assert_null(strstr(explained("192.0.2.1:53", false, EADDRNOTAVAIL), "[ADDR]:PORT"));
    assert_non_null(strstr(explained("::1:5300", false, EADDRNOTAVAIL), "an IPv6 address is written [ADDR]:PORT"));
    assert_non_null(strstr(explained("[::1]:53", true, EAFNOSUPPORT), "cannot listen on [::1]:53 (tcp): "));
}

static void finds_ourselves(void **state)
{
    (void)state;
    struct address address = at("127.0.0.1:0");
    struct sockaddr_storage name;
    socklen_t length = address_to_sockaddr(&address, (struct sockaddr *)&name);
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&name, length), 0);
    length = sizeof name;
    assert_int_equal(getsockname(fd, (struct sockaddr *)&name, &length), 0);
    address = address_from_sockaddr((const struct sockaddr *)&name);
    struct port_owner owner;
    assert_int_equal(port_owner_find("/proc", &address, false, &owner), STATUS_OK);
    assert_int_equal(owner.pid, getpid());
    assert_string_equal(owner.name, "port_owner_spec");
    close(fd);
    assert_int_equal(port_owner_find("/proc", &address, false, &owner), STATUS_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_a_line),
        cmocka_unit_test(passes_over_other_lines),
        cmocka_unit_test(finds_the_process),
        cmocka_unit_test(knows_sockets_without_a_process),
        cmocka_unit_test(knows_who_takes_all_addresses),
        cmocka_unit_test(says_what_to_do),
        cmocka_unit_test(finds_ourselves),
    };
    return cmocka_run_group_tests(tests, make_proc, remove_proc);
}
