/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* throttle.c: three counters of different wrong secrets, in a table of fixed size.
 *
 * An entry remembers the digests of the last wrong secrets; one that is there already does
 * not count again.  The table is an array of sets of eight; in a full set the entry that
 * was touched first gives way, one that is locked only when all are.
 *
 * Start reading at throttle_failed() and throttle_check().
 */
#include "auth/throttle.h"

#include "base/must.h"

#include <stdlib.h>
#include <string.h>

enum {
    SETS = 4096,
    WAYS = 8,
    REMEMBERED = 16,      /* Digests in an entry; a circle of more than that counts anew. */
    LOCKS_DOUBLE_MAX = 4, /* Repeated locks: 15, 30, 60, 120, 240 minutes. */
};
#define DELAY_FIRST MILLISECONDS(500)
#define DELAY_MAX   SECONDS(8)

enum entry_kind {
    EMPTY,
    PAIR,
    NETWORK,
    ACCOUNT
};

struct entry {
    uint64_t key;
    uint64_t account; /* Of PAIR and ACCOUNT: to find all of an account. */
    uint8_t kind;
    uint8_t locks;
    uint16_t wrong; /* Different wrong secrets. */
    uint8_t next;
    uint32_t secrets[REMEMBERED];
    instant touched; /* For giving way. */
    instant counted; /* The last new wrong secret. */
    instant locked_until;
    instant known_until; /* PAIR: has logged in. */
};

struct throttle {
    uint64_t seed;
    struct entry entries[SETS][WAYS];
};

static uint64_t
mix(uint64_t x)
{
    x ^= x >> 33;
    x *= 0xff51afd7ed558ccdULL;
    x ^= x >> 33;
    x *= 0xc4ceb9fe1a85ec53ULL;
    return x ^ (x >> 33);
}

static uint64_t
account_key(const struct throttle *throttle, str account)
{
    return mix(str_hash_nocase(account) ^ throttle->seed);
}

/* The address cut to its network. */
static uint64_t
network_key(const struct throttle *throttle, ipaddr client)
{
    size_t kept = ipaddr_is_v4(client) ? 15 : 6;
    char bytes[16] = { 0 };

    memcpy(bytes, client.bytes, kept);
    return mix(str_hash((str){ bytes, sizeof(bytes) }) + throttle->seed);
}

struct keys {
    uint64_t account;
    uint64_t network;
    uint64_t pair;
};

static struct keys
keys_of(const struct throttle *throttle, str account, ipaddr client)
{
    struct keys keys = {
        .account = account_key(throttle, account),
        .network = network_key(throttle, client),
    };

    keys.pair = mix(keys.account ^ mix(keys.network + throttle->seed));
    return keys;
}

static struct entry *
entry_find(struct throttle *throttle, enum entry_kind kind, uint64_t key)
{
    struct entry *set = throttle->entries[key % SETS];

    for (size_t i = 0; i < WAYS; i++)
        if (set[i].kind == kind && set[i].key == key)
            return &set[i];
    return NULL;
}

/* Whether A should rather stay than B. */
static bool
is_worth_more(const struct entry *a, const struct entry *b, instant now)
{
    bool a_locked = a->locked_until > now;
    bool b_locked = b->locked_until > now;

    if (a->kind == EMPTY || b->kind == EMPTY)
        return a->kind != EMPTY;
    return a_locked != b_locked ? a_locked : a->touched > b->touched;
}

static struct entry *
entry_need(struct throttle *throttle, enum entry_kind kind, uint64_t key, uint64_t account,
           instant now)
{
    struct entry *entry = entry_find(throttle, kind, key);
    struct entry *set = throttle->entries[key % SETS];

    if (!entry) {
        entry = &set[0];
        for (size_t i = 1; i < WAYS; i++)
            if (is_worth_more(entry, &set[i], now))
                entry = &set[i];
        *entry = (struct entry){ .kind = (uint8_t)kind, .key = key, .account = account };
    }
    if (entry->wrong && now - entry->counted > THROTTLE_WINDOW)
        entry->wrong = 0;
    entry->touched = now;
    return entry;
}

static bool
entry_remembers(const struct entry *entry, uint32_t secret)
{
    for (size_t i = 0; i < REMEMBERED; i++)
        if (secret && entry->secrets[i] == secret)
            return true;
    return false;
}

static void
entry_count(struct entry *entry, uint64_t digest, unsigned max, instant now)
{
    uint32_t secret = (uint32_t)(digest ^ (digest >> 32));

    if (digest && !secret)
        secret = 1;
    if (entry->locked_until > now || (entry->wrong && entry_remembers(entry, secret)))
        return;
    entry->secrets[entry->next] = secret;
    entry->next = (uint8_t)((entry->next + 1) % REMEMBERED);
    entry->counted = now;
    entry->wrong++;
    if (entry->wrong < max)
        return;
    entry->locked_until = now + (THROTTLE_LOCK << entry->locks);
    entry->locks = (uint8_t)MIN(entry->locks + 1, LOCKS_DOUBLE_MAX);
    entry->wrong = 0;
}

void
throttle_failed(struct throttle *throttle, str account, ipaddr client, uint64_t secret, instant now)
{
    struct keys keys = keys_of(throttle, account, client);

    entry_count(entry_need(throttle, PAIR, keys.pair, keys.account, now), secret, THROTTLE_PAIR_MAX,
                now);
    entry_count(entry_need(throttle, NETWORK, keys.network, 0, now), secret, THROTTLE_NETWORK_MAX,
                now);
    entry_count(entry_need(throttle, ACCOUNT, keys.account, keys.account, now), secret,
                THROTTLE_ACCOUNT_MAX, now);
}

void
throttle_succeeded(struct throttle *throttle, str account, ipaddr client, instant now)
{
    struct keys keys = keys_of(throttle, account, client);
    struct entry *entry = entry_need(throttle, PAIR, keys.pair, keys.account, now);

    entry->known_until = now + THROTTLE_KNOWN;
    entry->wrong = 0;
    entry->locks = 0;
    memset(entry->secrets, 0, sizeof(entry->secrets));
}

static instant
locked_until(const struct entry *entry)
{
    return entry ? entry->locked_until : 0;
}

static duration
delay_for(const struct entry *pair, instant now)
{
    duration delay = DELAY_FIRST;

    if (!pair || pair->wrong < THROTTLE_PAIR_SLOW || now - pair->counted > THROTTLE_WINDOW)
        return 0;
    for (unsigned i = THROTTLE_PAIR_SLOW; i < pair->wrong && delay < DELAY_MAX; i++)
        delay *= 2;
    return MIN(delay, DELAY_MAX);
}

void
throttle_check(struct throttle *throttle, str account, ipaddr client, instant now,
               struct throttle_verdict *verdict)
{
    struct keys keys = keys_of(throttle, account, client);
    const struct entry *pair = entry_find(throttle, PAIR, keys.pair);
    bool known = pair && pair->known_until > now;
    instant until = locked_until(pair);

    if (!known) {
        until = MAX(until, locked_until(entry_find(throttle, NETWORK, keys.network)));
        until = MAX(until, locked_until(entry_find(throttle, ACCOUNT, keys.account)));
    }
    *verdict = (struct throttle_verdict){ .locked = until > now };
    if (verdict->locked)
        verdict->retry_after = until - now;
    else
        verdict->delay = delay_for(pair, now);
}

void
throttle_state(const struct throttle *throttle, str account, instant now,
               struct throttle_state *state)
{
    uint64_t key = account_key(throttle, account);
    const struct entry *all = &throttle->entries[0][0];

    *state = (struct throttle_state){ 0 };
    for (size_t i = 0; i < (size_t)SETS * WAYS; i++) {
        if (all[i].account != key || (all[i].kind != PAIR && all[i].kind != ACCOUNT))
            continue;
        if (all[i].kind == ACCOUNT && now - all[i].counted <= THROTTLE_WINDOW)
            state->wrong_secrets = all[i].wrong;
        if (all[i].locked_until > now)
            state->retry_after = MAX(state->retry_after, all[i].locked_until - now);
    }
    state->locked = state->retry_after > 0;
}

void
throttle_unlock(struct throttle *throttle, str account)
{
    uint64_t key = account_key(throttle, account);
    struct entry *all = &throttle->entries[0][0];

    for (size_t i = 0; i < (size_t)SETS * WAYS; i++)
        if (all[i].account == key && (all[i].kind == PAIR || all[i].kind == ACCOUNT)) {
            all[i].locked_until = 0;
            all[i].wrong = 0;
            all[i].locks = 0;
        }
}

struct throttle *
throttle_new(uint64_t seed)
{
    struct throttle *throttle = calloc(1, sizeof(*throttle));

    must(throttle);
    throttle->seed = mix(seed + 1);
    return throttle;
}

void
throttle_free(struct throttle *throttle)
{
    free(throttle);
}
