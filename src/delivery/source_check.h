/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* source_check.h: whether the DNS says of our addresses what we say in EHLO.
 *
 * Many receivers refuse mail from an address without a PTR record, or whose PTR record names a host
 * that does not lead back to it.
 */
#pragma once

#include "base/arena.h"
#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"

struct config;
struct config_source;

/* One line for each address of SOURCE; NULL: of delivery.source.  Lines that begin with "Warning:"
 * tell what to mend.  ERR_CANCELLED, ERR_LIMIT. */
WAITS enum err source_check(const struct config *config, const struct config_source *source,
                            struct arena *arena, struct buf *text);
