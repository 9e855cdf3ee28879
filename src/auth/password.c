/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* password.c: Argon2id by libsodium, behind a gate and a cache.
 *
 * The gate lets a few hashes run at once, the others queue in order.  The cache is an array
 * of sets of four, found by the digest itself, so it never grows; an entry is a 256-bit
 * keyed digest over account, stored hash and password, compared as a whole: nobody can be
 * taken for another.
 *
 * Start reading at password_check().
 */
#include "auth/password.h"

#include "base/list.h"
#include "base/must.h"
#include "runtime/wait.h"

#include <gsasl.h>
#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

enum {
    HASH_PASSES = 2,
    HASH_BYTES = 19 << 20, /* OWASP: 19 MiB, 2 passes. */
    CONCURRENT = 2,
    CACHE_SETS = 1024,
    CACHE_WAYS = 4,
    DIGEST_SIZE = 32,
};

struct cache_entry {
    uint8_t digest[DIGEST_SIZE];
    instant until; /* 0: empty. */
};

struct passwords {
    uint8_t key[crypto_generichash_KEYBYTES];
    char nobody[PASSWORD_HASH_SIZE]; /* A hash of a random password, for unknown accounts. */
    duration cache_time;
    pthread_mutex_t lock; /* For all below. */
    struct cache_entry cache[CACHE_SETS][CACHE_WAYS];
    struct link waiting;
    unsigned waiting_count;
    unsigned running;
    unsigned concurrent;
};

struct gate_place {
    struct link link;
    struct latch latch;
};

/* The gate. */

WAITS static enum err
gate_enter(struct passwords *passwords)
{
    struct gate_place place = { 0 };
    bool wait = false;

    pthread_mutex_lock(&passwords->lock);
    if (passwords->running < passwords->concurrent) {
        passwords->running++;
    } else if (passwords->waiting_count >= PASSWORD_WAITING_MAX) {
        pthread_mutex_unlock(&passwords->lock);
        return ERR_BUSY;
    } else {
        list_append(&passwords->waiting, &place.link);
        passwords->waiting_count++;
        wait = true;
    }
    pthread_mutex_unlock(&passwords->lock);
    if (wait)
        latch_wait_always(&place.latch); /* The place was handed over: running stays. */
    return OK;
}

static void
gate_leave(struct passwords *passwords)
{
    struct link *next;

    pthread_mutex_lock(&passwords->lock);
    next = list_pop(&passwords->waiting);
    if (next)
        passwords->waiting_count--;
    else
        passwords->running--;
    pthread_mutex_unlock(&passwords->lock);
    if (next)
        latch_open(&CONTAINER_OF(next, struct gate_place, link)->latch);
}

/* Digests. */

static void
digest_add(crypto_generichash_state *state, const void *bytes, size_t size)
{
    uint64_t length = size;

    crypto_generichash_update(state, (const uint8_t *)&length, sizeof(length));
    crypto_generichash_update(state, bytes, size);
}

static void
digest_str(crypto_generichash_state *state, str bytes)
{
    digest_add(state, bytes.ptr ? bytes.ptr : "", bytes.len);
}

static void
cache_digest(const struct passwords *passwords, int64_t account, str hash, str password,
             uint8_t digest[DIGEST_SIZE])
{
    crypto_generichash_state state;

    crypto_generichash_init(&state, passwords->key, sizeof(passwords->key), DIGEST_SIZE);
    digest_str(&state, S("cache"));
    digest_add(&state, &account, sizeof(account));
    digest_str(&state, hash);
    digest_str(&state, password);
    crypto_generichash_final(&state, digest, DIGEST_SIZE);
    sodium_memzero(&state, sizeof(state));
}

uint64_t
password_digest(const struct passwords *passwords, str account, str password)
{
    crypto_generichash_state state;
    uint64_t digest[2];

    crypto_generichash_init(&state, passwords->key, sizeof(passwords->key), sizeof(digest));
    digest_str(&state, S("throttle"));
    digest_str(&state, account);
    digest_str(&state, password);
    crypto_generichash_final(&state, (uint8_t *)digest, sizeof(digest));
    sodium_memzero(&state, sizeof(state));
    return digest[0] ? digest[0] : 1;
}

void
password_fake_scram(const struct passwords *passwords, str name, struct scram_keys *keys)
{
    crypto_generichash_state state;

    *keys = (struct scram_keys){ .iterations = SCRAM_ITERATIONS };
    crypto_generichash_init(&state, passwords->key, sizeof(passwords->key), SCRAM_SALT_SIZE);
    digest_str(&state, S("salt"));
    digest_str(&state, name);
    crypto_generichash_final(&state, keys->salt, SCRAM_SALT_SIZE);
    randombytes_buf(keys->stored_key, SCRAM_KEY_SIZE);
    randombytes_buf(keys->server_key, SCRAM_KEY_SIZE);
}

/* The cache. */

static struct cache_entry *
cache_set(struct passwords *passwords, const uint8_t digest[DIGEST_SIZE])
{
    uint64_t start;

    memcpy(&start, digest, sizeof(start));
    return passwords->cache[start % CACHE_SETS];
}

static bool
cache_knows(struct passwords *passwords, const uint8_t digest[DIGEST_SIZE], instant now)
{
    bool knows = false;

    pthread_mutex_lock(&passwords->lock);
    for (size_t i = 0; i < CACHE_WAYS; i++) {
        const struct cache_entry *entry = &cache_set(passwords, digest)[i];
        if (entry->until > now && sodium_memcmp(entry->digest, digest, DIGEST_SIZE) == 0)
            knows = true;
    }
    pthread_mutex_unlock(&passwords->lock);
    return knows;
}

/* In place of the one that ends first. */
static void
cache_add(struct passwords *passwords, const uint8_t digest[DIGEST_SIZE], instant until)
{
    struct cache_entry *oldest;

    pthread_mutex_lock(&passwords->lock);
    oldest = cache_set(passwords, digest);
    for (size_t i = 1; i < CACHE_WAYS; i++)
        if (cache_set(passwords, digest)[i].until < oldest->until)
            oldest = &cache_set(passwords, digest)[i];
    memcpy(oldest->digest, digest, DIGEST_SIZE);
    oldest->until = until;
    pthread_mutex_unlock(&passwords->lock);
}

void
passwords_forget(struct passwords *passwords)
{
    pthread_mutex_lock(&passwords->lock);
    sodium_memzero(passwords->cache, sizeof(passwords->cache));
    pthread_mutex_unlock(&passwords->lock);
}

/* Hashing. */

struct hash_job {
    str password;
    const char *hash;               /* To check against, or */
    struct password_secret *secret; /* to make. */
    bool good;
};

static void
hash_check(void *arg)
{
    struct hash_job *job = arg;

    job->good = crypto_pwhash_str_verify(job->hash, job->password.ptr, job->password.len) == 0;
}

/* Keys for SCRAM, or none for a password that SASLprep (RFC 4013) refuses. */
static void
make_scram(str password, struct scram_keys *keys)
{
    char salted[SCRAM_KEY_SIZE];
    char client_key[SCRAM_KEY_SIZE];
    char text[PASSWORD_SIZE_MAX + 1];
    char *prepared = NULL;

    *keys = (struct scram_keys){ 0 };
    memcpy(text, password.ptr, password.len);
    text[password.len] = '\0';
    if (gsasl_saslprep(text, GSASL_ALLOW_UNASSIGNED, &prepared, NULL) == GSASL_OK) {
        randombytes_buf(keys->salt, SCRAM_SALT_SIZE);
        if (gsasl_scram_secrets_from_password(GSASL_HASH_SHA256, prepared, SCRAM_ITERATIONS,
                                              (const char *)keys->salt, SCRAM_SALT_SIZE, salted,
                                              client_key, (char *)keys->server_key,
                                              (char *)keys->stored_key) == GSASL_OK)
            keys->iterations = SCRAM_ITERATIONS;
        sodium_memzero(prepared, strlen(prepared));
        gsasl_free(prepared);
    }
    sodium_memzero(text, sizeof(text));
    sodium_memzero(salted, sizeof(salted));
    sodium_memzero(client_key, sizeof(client_key));
}

static void
hash_make(void *arg)
{
    struct hash_job *job = arg;

    job->good = crypto_pwhash_str_alg(job->secret->hash, job->password.ptr, job->password.len,
                                      HASH_PASSES, HASH_BYTES, crypto_pwhash_ALG_ARGON2ID13) == 0;
    if (job->good)
        make_scram(job->password, &job->secret->scram);
}

struct passwords *
passwords_new(unsigned concurrent, duration cache_time)
{
    struct passwords *passwords;
    char random[33];

    static_assert(PASSWORD_HASH_SIZE >= crypto_pwhash_STRBYTES);
    must(sodium_init() >= 0);
    passwords = calloc(1, sizeof(*passwords));
    must(passwords);
    pthread_mutex_init(&passwords->lock, NULL);
    list_init(&passwords->waiting);
    passwords->concurrent = concurrent ? concurrent : CONCURRENT;
    passwords->cache_time = cache_time ? cache_time : MINUTES(5);
    randombytes_buf(passwords->key, sizeof(passwords->key));
    randombytes_buf(random, sizeof(random));
    must(crypto_pwhash_str_alg(passwords->nobody, random, sizeof(random), HASH_PASSES, HASH_BYTES,
                               crypto_pwhash_ALG_ARGON2ID13) == 0);
    return passwords;
}

void
passwords_free(struct passwords *passwords)
{
    if (!passwords)
        return;
    must(passwords->running == 0);
    pthread_mutex_destroy(&passwords->lock);
    sodium_memzero(passwords, sizeof(*passwords));
    free(passwords);
}

WAITS enum err
password_make(struct passwords *passwords, str password, struct password_secret *secret)
{
    struct password_secret made = { 0 };
    struct hash_job job = { .password = password, .secret = &made };
    enum err e;

    if (password.len > PASSWORD_SIZE_MAX)
        return ERR_LIMIT;
    if (!password.len || str_find(password, '\0') >= 0)
        return ERR_SYNTAX;
    e = gate_enter(passwords);
    if (e)
        return e;
    offload(hash_make, &job);
    gate_leave(passwords);
    if (!job.good)
        return ERR_LIMIT; /* No memory for it. */
    *secret = made;
    return OK;
}

WAITS enum err
password_check(struct passwords *passwords, int64_t account, str hash, str password, instant now,
               bool *right)
{
    bool known = hash.len > 0 && hash.len < PASSWORD_HASH_SIZE;
    char text[PASSWORD_HASH_SIZE] = { 0 };
    uint8_t digest[DIGEST_SIZE];
    struct hash_job job = { .password = password, .hash = known ? text : passwords->nobody };
    enum err e;

    *right = false;
    if (password.len > PASSWORD_SIZE_MAX)
        return OK;
    if (!password.len)
        job.password = S("");
    cache_digest(passwords, account, hash, password, digest);
    if (known && cache_knows(passwords, digest, now)) {
        *right = true;
        return OK;
    }
    if (known)
        memcpy(text, hash.ptr, hash.len);
    e = gate_enter(passwords);
    if (e)
        return e;
    offload(hash_check, &job);
    gate_leave(passwords);
    *right = known && job.good;
    if (*right)
        cache_add(passwords, digest, now + passwords->cache_time);
    return OK;
}
