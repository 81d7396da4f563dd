#include "net/http/tls.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>

static const unsigned char protocols[] = "\x08http/1.1"; /* ALPN, RFC 7301 */

static void set_error(struct reason *reason, const char *what)
{
    const char *text = ERR_reason_error_string(ERR_peek_last_error());
    reason_set(reason, "%s: %s", what, text ? text : "unknown error");
    ERR_clear_error();
}

SSL_CTX *http_tls_context(const char *ca_file, struct reason *reason)
{
    ERR_clear_error();
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    if (!context) {
        set_error(reason, "TLS");
        return NULL;
    }
    bool loaded =
        ca_file ? SSL_CTX_load_verify_file(context, ca_file) == 1 : SSL_CTX_set_default_verify_paths(context) == 1;
    if (!loaded) {
        set_error(reason, ca_file ? ca_file : "the system's certificates");
        SSL_CTX_free(context);
        return NULL;
    }
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_alpn_protos(context, protocols, sizeof protocols - 1);
    ERR_clear_error();
    return context;
}

/* The certificate must be for the host: an address is looked for among its addresses (RFC 9110 section 4.3.5). */
static bool expect_host(SSL *ssl, const struct http_url *url)
{
    const struct address *address = &url->address;
    if (address->family != AF_UNSPEC)
        return X509_VERIFY_PARAM_set1_ip(SSL_get0_param(ssl), address->bytes, address->family == AF_INET6 ? 16 : 4) ==
               1;
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return SSL_set1_host(ssl, url->host) == 1;
}

SSL *http_tls_session(SSL_CTX *context, const struct http_url *url, bool verify)
{
    SSL *ssl = SSL_new(context);
    bool fine = ssl && expect_host(ssl, url);
    if (fine && url->address.family == AF_UNSPEC)
        fine = SSL_set_tlsext_host_name(ssl, url->host) == 1;
    if (!fine) {
        SSL_free(ssl);
        return NULL;
    }
    SSL_set_verify(ssl, verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
    return ssl;
}

bool http_tls_failure(const SSL *ssl, unsigned long error, struct reason *reason)
{
    long verified = SSL_get_verify_result(ssl);
    if (verified != X509_V_OK && SSL_get_verify_mode(ssl) != SSL_VERIFY_NONE) {
        reason_set(reason, "certificate: %s", X509_verify_cert_error_string(verified));
        return true;
    }
    const char *text = error ? ERR_reason_error_string(error) : NULL;
    if (text)
        reason_set(reason, "TLS: %s", text);
    return text != NULL;
}
