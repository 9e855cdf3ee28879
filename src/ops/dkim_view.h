/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* dkim_view.h: who sees the record of a key.
 *
 * A signature is verified by whoever receives it, with the answer of whichever server of the zone
 * his resolver happens to ask.  So a record counts as seen only when our resolver sees it, those
 * that dkim.resolvers names, and every server of the zone that answers at all.
 */
#pragma once

#include "base/arena.h"
#include "base/base.h"
#include "base/err.h"
#include "base/instant.h"
#include "trust/keyring.h"

struct config;

/* What the DNS says of a key. */
enum dkim_sight {
    SIGHT_UNKNOWN, /* It could not be asked. */
    SIGHT_ABSENT,
    SIGHT_OTHER, /* There is a record, of another key. */
    SIGHT_SEEN,
};
const char *dkim_sight_name(enum dkim_sight sight);

enum {
    DKIM_VIEWS_MAX = 64,
};

struct dkim_view {
    str who; /* "our resolver", "192.0.2.53", "ns1.example.org (192.0.2.1)" */
    enum dkim_sight sight;
};

struct dkim_views {
    struct dkim_view items[DKIM_VIEWS_MAX];
    size_t count;
    enum dkim_sight together;
    str against; /* Who stands against SIGHT_SEEN; empty: nobody. */
};

/* The name of KEY's record, in ARENA.  False past its ceiling. */
bool dkim_record_name(struct arena *arena, const struct key_info *key, str *name);

/* Our resolver alone.  DEADLINE is steady. */
WAITS enum err dkim_look(struct arena *arena, const struct key_info *key, instant deadline,
                         enum dkim_sight *sight);
/* All of them. */
WAITS enum err dkim_look_everywhere(struct arena *arena, const struct config *config,
                                    const struct key_info *key, instant deadline,
                                    struct dkim_views *views);
/* What the server says to which we write the zone of KEY; SIGHT_UNKNOWN when we write it to none.
 */
WAITS enum err dkim_look_primary(struct arena *arena, const struct config *config,
                                 const struct key_info *key, instant deadline,
                                 enum dkim_sight *sight);
