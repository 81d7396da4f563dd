/* URLs: what is taken, and where references lead to (RFC 3986 section 5.4). */
#include "net/http/url.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void expect_url(const struct http_url *url, const char *expected)
{
    struct buffer text = {0};
    http_url_append(url, &text);
    assert_string_equal(buffer_c_string(&text), expected);
    buffer_free(&text);
}

static void urls_are_normal(void **state)
{
    static const struct {
        const char *given, *expected;
    } cases[] = {
        {"http://a.example", "http://a.example/"},
        {"HTTPS://A.Example.:443/b#c", "https://a.example/b"},
        {"http://a.example:8080?x=y", "http://a.example:8080/?x=y"},
        {"https://a.example:80/%7Ea/;b", "https://a.example:80/%7Ea/;b"},
        {"http://[2001:DB8::1]:8080/", "http://[2001:db8::1]:8080/"},
        {"http://192.0.2.1/", "http://192.0.2.1/"},
        {"http://b\xc3\xbc"
         "cher.example/\xc3\xbc",
         "http://xn--bcher-kva.example/%C3%BC"},
        {"http://a_b.example/", "http://a_b.example/"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct http_url url;
        assert_int_equal(http_url_parse(cases[i].given, strlen(cases[i].given), &url, NULL), STATUS_OK);
        expect_url(&url, cases[i].expected);
    }
}

static void others_are_refused(void **state)
{
    static const char *const cases[] = {
        "",
        "a.example",
        "//a.example/",
        "ftp://a.example/",
        "http:a.example",
        "http://",
        "http:///b",
        "http://a.example:0/",
        "http://a.example:65536/",
        "http://a.example:-1/",
        "http://a b.example/",
        "http://a.example/b c",
        "http://a.example/\r\nX: y",
        "http://a%20b.example/",
        "http://a%00b.example/",
        "http://a@b.example/",
        "http://[::1/",
        "http://[fe80::1",
        "http://..example/",
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct http_url url = {.port = 7};
        struct reason reason = {""};
        assert_int_equal(http_url_parse(cases[i], strlen(cases[i]), &url, &reason), STATUS_INVALID);
        assert_true(reason.text[0] != '\0');
        assert_int_equal(url.port, 7);
    }
}

static void references_lead_on(void **state)
{
    static const struct {
        const char *reference, *expected;
    } cases[] = {
        {"g", "http://a/b/c/g"},
        {"./g", "http://a/b/c/g"},
        {"g/", "http://a/b/c/g/"},
        {"/g", "http://a/g"},
        {"//g", "http://g/"},
        {"?y", "http://a/b/c/d;p?y"},
        {"g?y", "http://a/b/c/g?y"},
        {"#s", "http://a/b/c/d;p?q"},
        {"g#s", "http://a/b/c/g"},
        {";x", "http://a/b/c/;x"},
        {"", "http://a/b/c/d;p?q"},
        {".", "http://a/b/c/"},
        {"./", "http://a/b/c/"},
        {"..", "http://a/b/"},
        {"../", "http://a/b/"},
        {"../g", "http://a/b/g"},
        {"../..", "http://a/"},
        {"../../g", "http://a/g"},
        {"../../../g", "http://a/g"},
        {"../../../../g", "http://a/g"},
        {"/./g", "http://a/g"},
        {"/../g", "http://a/g"},
        {"g.", "http://a/b/c/g."},
        {".g", "http://a/b/c/.g"},
        {"..g", "http://a/b/c/..g"},
        {"./../g", "http://a/b/g"},
        {"./g/.", "http://a/b/c/g/"},
        {"g/./h", "http://a/b/c/g/h"},
        {"g/../h", "http://a/b/c/h"},
        {"g;x=1/../y", "http://a/b/c/y"},
        {"g?y/../x", "http://a/b/c/g?y/../x"},
        {"https://b:8443/", "https://b:8443/"},
    };
    static const char base_text[] = "http://a/b/c/d;p?q";
    struct http_url base;
    (void)state;
    assert_int_equal(http_url_parse(base_text, sizeof base_text - 1, &base, NULL), STATUS_OK);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct http_url url;
        assert_int_equal(http_url_resolve(&base, cases[i].reference, &url, NULL), STATUS_OK);
        expect_url(&url, cases[i].expected);
    }
}

static void long_ones_are_refused(void **state)
{
    static char text[2 * HTTP_URL_MAX];
    struct http_url base, url;
    (void)state;
    memset(text, 'a', sizeof text - 1);
    memcpy(text, "http://a/", 9);
    assert_int_equal(http_url_parse(text, HTTP_URL_MAX - 1, &base, NULL), STATUS_OK);
    assert_int_equal(http_url_parse(text, HTTP_URL_MAX, &url, NULL), STATUS_INVALID);
    assert_int_equal(http_url_resolve(&base, text, &url, NULL), STATUS_INVALID);
    assert_int_equal(http_url_resolve(&base, "b/c", &url, NULL), STATUS_OK);
    text[HTTP_URL_MAX - 2] = '/';
    assert_int_equal(http_url_parse(text, HTTP_URL_MAX - 1, &base, NULL), STATUS_OK);
    assert_int_equal(http_url_resolve(&base, "bcdefghijklmnopq", &url, NULL), STATUS_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(urls_are_normal),
        cmocka_unit_test(others_are_refused),
        cmocka_unit_test(references_lead_on),
        cmocka_unit_test(long_ones_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
