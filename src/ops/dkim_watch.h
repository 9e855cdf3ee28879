/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* dkim_watch.h: carries keys through their life: see trust/keyring.h.
 *
 * A new key signs once its record has been seen for dkim.settle; the key of the same algorithm that
 * signed before is retired then, and revoked when nothing that it signed can be on its way any
 * more. So a rotation needs a human, or a tool, for the record in the DNS alone.
 */
#pragma once

#include "base/base.h"
#include "base/err.h"
#include "trust/keyring.h"

struct arena;
struct dkim_watch;
struct server;

/* What the DNS says of a key. */
enum dkim_sight {
    SIGHT_UNKNOWN, /* It could not be asked. */
    SIGHT_ABSENT,
    SIGHT_OTHER, /* There is a record, of another key. */
    SIGHT_SEEN,
};
const char *dkim_sight_name(enum dkim_sight sight);
/* DEADLINE is steady. */
WAITS enum err dkim_look(struct arena *arena, const struct key_info *key, instant deadline,
                         enum dkim_sight *sight);

/* A copy of the keys of DOMAIN, or of all when it is empty, in ARENA. */
enum err dkim_copy_keys(struct keyring *keyring, str domain, struct arena *arena,
                        struct key_info **keys, size_t *count);

/* Makes KEY sign, and retires the keys of its algorithm that signed for its domain.  Blocks. */
enum err dkim_activate(struct keyring *keyring, const struct key_info *key, instant now,
                       struct why *why);

struct dkim_watch *dkim_watch_new(struct server *server);
void dkim_watch_free(struct dkim_watch *watch); /* NULL is fine. */
/* A fiber. */
WAITS void dkim_watch_run(void *watch);
