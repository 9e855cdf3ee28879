/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* header_address.h: the addresses in From:, Sender:, To: and the like.  RFC 5322 3.4, 4.4.
 *
 * Comments, groups, and the obsolete forms (blanks around dots, routes, empty members) are
 * understood.  What does not follow the grammar is refused as a whole, since a rule about
 * who may write a name must not guess.
 */
#pragma once

#include "base/arena.h"
#include "base/base.h"
#include "base/err.h"
#include "base/str.h"
#include "formats/address.h"

enum {
    HEADER_COMMENT_DEPTH_MAX = 100
};

struct header_address {
    struct header_address *next;
    struct address address;
    str name; /* The words in front of "<", as they stand: quotes and encoded words in them. */
};

/* In the order of the field; FIRST is NULL for an empty list ("undisclosed-recipients:;").  All
 * lives in ARENA, but the names are slices of VALUE.  ERR_SYNTAX; ERR_LIMIT beyond COUNT_MAX
 * addresses or the arena's ceiling. */
enum err header_addresses_parse(str value, size_t count_max, struct arena *arena,
                                struct header_address **first);
