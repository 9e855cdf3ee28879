/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* https.h: a connection to a web host that must prove its name, for policies and reports. */
#pragma once

#include "base/arena.h"
#include "base/base.h"
#include "base/err.h"
#include "base/instant.h"
#include "base/ipaddr.h"
#include "base/str.h"
#include "runtime/tls.h"

struct stream;

enum {
    HTTPS_ADDRESSES_MAX = 6 /* Tried, of both families together. */
};

/* To port PORT of HOST, whose addresses our own DNS tells, with TLS and a certificate for that name
 * by a root that we trust.  Strangers say in their DNS where that is: addresses that are not public
 * are passed over, but with PRIVATE.  ERR_TLS: FAULT says what is wrong with the certificate.
 * ERR_UNREACHABLE, ERR_TIMEOUT, ERR_CANCELLED, ERR_LIMIT; WHY tells. */
WAITS enum err https_connect(struct tls_context *context, struct arena *arena, str host,
                             uint16_t port, bool private, instant deadline,
                             struct stream **stream, enum tls_fault *fault, struct why *why);
/* Whether ADDR is one of the wide Internet's. */
bool https_is_public(ipaddr addr);
