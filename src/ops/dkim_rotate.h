/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* dkim_rotate.h: from the keys of a domain to the next ones, and back.
 *
 *     dkim_rotate()     new keys beside those that sign                  undone: they are removed
 *     dkim_publish()    their records, where we write the zone           undone: withdrawn
 *     (the watch)       seen everywhere for dkim.settle: they sign       undone: the old ones sign
 *     (the watch)       nothing of the old ones is on its way: revoked   undone: their records
 * again
 *
 * What is done is in the keyring alone, and what is to be done follows from it: a rotation goes on
 * after a restart from where it was.
 */
#pragma once

#include "base/arena.h"
#include "base/base.h"
#include "base/err.h"
#include "base/instant.h"
#include "trust/keyring.h"

struct config;

/* A copy of the keys of DOMAIN, or of all when it is empty, in ARENA. */
enum err dkim_copy_keys(struct keyring *keyring, str domain, struct arena *arena,
                        struct key_info **keys, size_t *count);

/* A newer key of its algorithm signs already: KEY, which waited for its record, does not take its
 * place. */
bool dkim_is_overtaken(struct keyring *keyring, const struct key_info *key);
/* A selector that DOMAIN never used, of the algorithm and the day: "r20261127kqzd".  ERR_LIMIT. */
enum err dkim_free_selector(struct keyring *keyring, str domain, str algorithm, instant now,
                            struct arena *arena, str *selector);

/* Makes a new key for each algorithm of which a key of DOMAIN signs and none waits yet; for both
 * when none signs and none waits.  MADE: how many.  Blocks. */
enum err dkim_rotate(struct keyring *keyring, str domain, instant now, size_t *made,
                     struct why *why);

/* The last step of DOMAIN, as what is to be done to go back. */
enum dkim_undo {
    UNDO_NOTHING,
    UNDO_NEW,    /* Keys wait: they go. */
    UNDO_SIGN,   /* Keys sign in place of others: those sign again. */
    UNDO_REVOKE, /* Keys were revoked: their records come back. */
};
enum dkim_undo dkim_undo_of(const struct key_info *keys, size_t count);
/* Whether going back by UNDO concerns the key KEYS[INDEX]. */
bool dkim_undo_takes(enum dkim_undo undo, const struct key_info *keys, size_t count, size_t index);
/* Takes that step of one key.  Blocks. */
enum err dkim_undo_one(struct keyring *keyring, enum dkim_undo undo, const struct key_info *key,
                       instant now, struct why *why);

/* Whether we write the zone of DOMAIN. */
bool dkim_is_ours_to_publish(const struct config *config, str domain);
/* Writes KEY's record, or with WITHDRAW takes it away.  WHY tells what failed. */
WAITS enum err dkim_publish(const struct config *config, const struct key_info *key, bool withdraw,
                            struct why *why);
