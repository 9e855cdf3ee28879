/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* tls_inside.h: what tls.c and stream_tls.c share, without OpenSSL's headers.  For this room only.
 */
#pragma once

#include "base/base.h"
#include "base/str.h"

struct ssl_session_st;
struct ssl_st;
struct tls_context;

/* OpenSSL's latest reason on this thread, as static text. */
const char *tls_reason(void);
/* The SSL_CTX. */
void *tls_context_ssl(struct tls_context *context);
/* An SSL_SESSION with the server that KEY names, or NULL; the caller's reference.  One of TLS 1.3
 * is given away once (RFC 8446 appendix C.4). */
void *tls_context_take_session(struct tls_context *context, str key);
/* OpenSSL's call, of stream_tls.c, when a server has given a session that can be resumed. */
int tls_session_is_new(struct ssl_st *ssl, struct ssl_session_st *session);
/* Takes the reference; SESSION NULL: what is there is forgotten. */
void tls_context_keep_session(struct tls_context *context, str key, void *session);
