/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* families.h: destinations whose IPv6 (or IPv4) does not answer while the other family does.
 *
 * A table of fixed size, keyed by a hash: what is overwritten is only found out again.  No lock and
 * no clock: the owner has them.
 */
#pragma once

#include "base/base.h"
#include "base/instant.h"
#include "base/str.h"

enum {
    FAMILIES_SLOTS = 1024
};

struct families {
    struct {
        uint64_t key;
        instant until;
    } slots[FAMILIES_SLOTS];
};

/* FOUR of SITE failed to connect at NOW, and the other family did not. */
void families_note_broken(struct families *families, str site, bool four, instant now);
void families_note_working(struct families *families, str site, bool four);
bool families_is_broken(const struct families *families, str site, bool four, instant now);
