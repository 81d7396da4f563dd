/* TLS of HTTP requests: OpenSSL's client, and the checking of certificates (RFC 9110 section 4.3.4). */
#ifndef MOONDNS_NET_HTTP_TLS_H
#define MOONDNS_NET_HTTP_TLS_H

#include "net/http/url.h"

#include <openssl/ssl.h>

/* What connections have in common, with the certificates in `ca_file` (PEM), by default those that the system trusts
 * (which SSL_CERT_FILE and SSL_CERT_DIR override). The caller owns it. NULL: the reason says why not. */
SSL_CTX *http_tls_context(const char *ca_file, struct reason *reason);

/* One connection's side, told which host is asked (SNI, RFC 6066 section 3) and, where `verify`, that the certificate
 * has to be for that host. The caller owns it. NULL when there is no memory. */
SSL *http_tls_session(SSL_CTX *context, const struct http_url *url, bool verify);

/* Why a connection came to nothing: what is wrong with the certificate, or else what `error` (of OpenSSL, 0: none)
 * says. False: it was not TLS's fault. */
bool http_tls_failure(const SSL *ssl, unsigned long error, struct reason *reason);

#endif
