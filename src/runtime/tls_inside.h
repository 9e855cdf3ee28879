/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* tls_inside.h: what tls.c and stream_tls.c share, without OpenSSL's headers.  For this room only.
 */
#pragma once

#include "base/base.h"

struct tls_context;

/* OpenSSL's latest reason on this thread, as static text. */
const char *tls_reason(void);
/* The SSL_CTX. */
void *tls_context_ssl(struct tls_context *context);
