/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* password.h: passwords kept as Argon2id, and as keys for SCRAM-SHA-256.
 *
 * Hashing costs 19 MiB and 35 ms, so it runs by offload() and only a few at once; whoever
 * finds too many waiting gets ERR_BUSY, a temporary refusal.  A password that was right a
 * moment ago is known again by a keyed BLAKE2b of account, stored hash and password, for
 * minutes: the stored hash is part of it, so a changed password forgets by itself.
 */
#pragma once

#include "base/base.h"
#include "base/err.h"
#include "base/instant.h"
#include "base/str.h"

enum {
    PASSWORD_SIZE_MAX = 1024,
    PASSWORD_HASH_SIZE = 128, /* PHC text with its NUL. */
    PASSWORD_WAITING_MAX = 256,
    SCRAM_KEY_SIZE = 32,
    SCRAM_SALT_SIZE = 16,
    SCRAM_ITERATIONS = 10000,
};

/* For SCRAM-SHA-256: what the server stores in place of the password.  RFC 5802 3. */
struct scram_keys {
    uint32_t iterations; /* 0: none (the password cannot be prepared for SCRAM). */
    uint8_t salt[SCRAM_SALT_SIZE];
    uint8_t stored_key[SCRAM_KEY_SIZE];
    uint8_t server_key[SCRAM_KEY_SIZE];
};

struct password_secret {
    char hash[PASSWORD_HASH_SIZE];
    struct scram_keys scram;
};

struct passwords;

/* CONCURRENT hashes at once (0: 2); CACHE_TIME for right passwords (0: 5 minutes). */
struct passwords *passwords_new(unsigned concurrent, duration cache_time);
void passwords_free(struct passwords *passwords);

/* Makes the stored forms.  ERR_LIMIT: too long; ERR_SYNTAX: empty or with a NUL. */
WAITS enum err password_make(struct passwords *passwords, str password,
                             struct password_secret *secret);
/* Whether PASSWORD is the one behind HASH of ACCOUNT.  HASH "" stands for an unknown account: as
 * slow, and never right. NOW is steady.  ERR_BUSY: too many are waiting. */
WAITS enum err password_check(struct passwords *passwords, int64_t account, str hash, str password,
                              instant now, bool *right);
void passwords_forget(struct passwords *passwords); /* Empties the cache. */
/* A salt for a name without account, the same each time while this process lives. */
void password_fake_scram(const struct passwords *passwords, str name, struct scram_keys *keys);
/* A keyed digest of a secret, for the throttle: never 0. */
uint64_t password_digest(const struct passwords *passwords, str account, str password);
