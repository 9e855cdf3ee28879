/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* forward_seal.h: the ARC set on what an alias sends on.  RFC 8617.
 *
 * Whoever forwards a message breaks SPF, and what others change on the way breaks DKIM: the set
 * says what was true when the message came here.  The body is hashed while it is copied.
 */
#pragma once

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "delivery/returns/forward.h"

struct forward_seal;

enum {
    FORWARD_SEAL_HEADER_MAX = 1024 * 1024, /* Longer header sections are not sealed. */
};

/* NULL in *SEAL when nothing is to be sealed: it began here, no RSA key signs for the alias's
 * domain, or the configuration says so.  Everything else that speaks against it comes out at the
 * end. ERR_CANCELLED. */
WAITS enum err forward_seal_begin(const struct forward *forward, struct forward_seal **seal);
/* Bytes of the message, from its first one on.  NULL is fine. */
WAITS void forward_seal_add(struct forward_seal *seal, str bytes);
/* Appends the set to FIELDS, or nothing.  What was done, for the event, is at the front of TOLD: it
 * begins with ", " and lives as long as the seal.  ERR_CANCELLED. */
WAITS enum err forward_seal_end(struct forward_seal *seal, struct buf *fields, str *told);
void forward_seal_drop(struct forward_seal **seal);
