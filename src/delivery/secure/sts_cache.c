/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* sts_cache.c: what is known of the policies of domains.
 *
 * An entry has a policy, or it does not; each sort has a ceiling and a list of its own, so that a
 * newsletter to many domains without a policy drives out none of those that have one.  The entry's
 * `busy` is the flight: who finds it set waits in `waiters` until it has landed.  Start reading at
 * sts_cache_find().
 */
#include "delivery/secure/sts_cache.h"

#include "base/list.h"
#include "base/map.h"
#include "base/must.h"
#include "delivery/secure/sts_store.h"
#include "runtime/clock.h"
#include "runtime/log.h"
#include "runtime/wait.h"
#include "store/db.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    DECODE_ARENA_MAX = 1024 * 1024,
    FLIGHTS_WAITED_FOR = 3 /* Then the answer is what is there. */
};

struct entry {
    char *domain;
    struct link used; /* In `without` or `with`: the one used last stands last. */
    struct link waiters;
    bool busy;
    instant believed_until; /* What is here needs no question. */
    instant used_at;        /* By mail. */
    instant asked;
    enum secure_result failure;
    char why[SECURE_WHY_MAX];
    struct sts_policy policy;
    void *policy_block; /* Its patterns and their bytes; NULL: there is no policy. */
    size_t bytes;
    char id[STS_ID_MAX + 1];
    instant fetched;
    instant expires;
};

struct waiter {
    struct link link;
    struct latch latch;
};

struct sts_cache {
    struct db *db; /* NULL: in memory only. */
    pthread_mutex_t lock;
    struct map by_domain;
    struct link with;
    struct link without;
    size_t with_count;
    size_t without_count;
    size_t bytes;
};

/* --- Entries, under the lock. */

static void
drop_policy(struct sts_cache *cache, struct entry *entry)
{
    if (!entry->policy_block)
        return;
    cache->bytes -= entry->bytes;
    cache->with_count--;
    cache->without_count++;
    free(take(entry->policy_block));
    entry->policy = (struct sts_policy){};
    entry->bytes = 0;
    entry->id[0] = '\0';
    list_remove(&entry->used);
    list_append(&cache->without, &entry->used);
}

static void
drop_entry(struct sts_cache *cache, struct entry *entry)
{
    drop_policy(cache, entry);
    list_remove(&entry->used);
    cache->without_count--;
    (void)map_remove(&cache->by_domain, str_from(entry->domain));
    free(entry->domain);
    free(entry);
}

/* The one of LIST that was used longest ago, and that nobody needs now. */
static bool
drop_oldest(struct sts_cache *cache, struct link *list)
{
    list_each(link, list) {
        struct entry *entry = CONTAINER_OF(link, struct entry, used);
        if (!entry->busy && list_is_empty(&entry->waiters)) {
            drop_entry(cache, entry);
            return true;
        }
    }
    return false;
}

static struct entry *
entry_for(struct sts_cache *cache, str domain)
{
    struct entry *entry = map_get(&cache->by_domain, domain);

    if (entry)
        return entry;
    while (cache->without_count >= STS_WITHOUT_MAX && drop_oldest(cache, &cache->without))
        ;
    entry = calloc(1, sizeof(*entry));
    must(entry);
    entry->domain = str_dup(domain);
    list_init(&entry->waiters);
    list_append(&cache->without, &entry->used);
    cache->without_count++;
    must(map_put(&cache->by_domain, domain, entry) == OK);
    return entry;
}

static void
touch(struct sts_cache *cache, struct entry *entry)
{
    list_remove(&entry->used);
    list_append(entry->policy_block ? &cache->with : &cache->without, &entry->used);
}

/* One block holds the patterns and their bytes: whoever asks gets a copy of it in one piece. */
static void
keep_policy(struct sts_cache *cache, struct entry *entry, const struct sts_policy *policy)
{
    size_t size = policy->pattern_count * sizeof(str);
    char *block, *at;

    drop_policy(cache, entry);
    for (size_t i = 0; i < policy->pattern_count; i++)
        size += policy->patterns[i].len;
    while ((cache->with_count >= STS_POLICIES_MAX || cache->bytes + size > STS_BYTES_MAX) &&
           drop_oldest(cache, &cache->with))
        ;
    block = malloc(size + 1);
    must(block);
    entry->policy = *policy;
    entry->policy.patterns = (str *)(void *)block;
    at = block + policy->pattern_count * sizeof(str);
    for (size_t i = 0; i < policy->pattern_count; i++) {
        memcpy(at, policy->patterns[i].ptr, policy->patterns[i].len);
        entry->policy.patterns[i] = (str){ at, policy->patterns[i].len };
        at += policy->patterns[i].len;
    }
    entry->policy_block = block;
    entry->bytes = size;
    cache->bytes += size;
    cache->with_count++;
    cache->without_count--;
    touch(cache, entry);
}

static void
drop_ended(struct sts_cache *cache, struct entry *entry, instant now)
{
    if (!entry->policy_block || entry->expires > now)
        return;
    drop_policy(cache, entry);
    entry->believed_until = 0;
}

static bool
is_old(const struct entry *entry, instant now)
{
    duration age = MIN(STS_REFRESH_AGE, entry->policy.max_age / 2);

    return entry->policy_block && now - entry->fetched >= age;
}

static bool
copy_policy(const struct sts_policy *policy, struct arena *arena, struct sts_policy *copy)
{
    *copy = *policy;
    copy->patterns = arena_new_array(arena, str, policy->pattern_count + 1);
    for (size_t i = 0; copy->patterns && i < policy->pattern_count; i++)
        if (!arena_copy(arena, policy->patterns[i], &copy->patterns[i]))
            return false;
    return copy->patterns != NULL;
}

static enum err
tell(const struct entry *entry, struct arena *arena, struct sts_known *known)
{
    *known = (struct sts_known){
        .has_policy = entry->policy_block != NULL,
        .fetched = entry->fetched,
        .expires = entry->expires,
        .failure = entry->failure,
        .asked = entry->asked,
    };
    memcpy(known->why, entry->why, sizeof(known->why));
    memcpy(known->id, entry->id, sizeof(known->id));
    if (!arena_copy(arena, str_from(entry->domain), &known->domain))
        return ERR_LIMIT;
    return known->has_policy && !copy_policy(&entry->policy, arena, &known->policy) ? ERR_LIMIT
                                                                                    : OK;
}

/* --- A flight. */

/* What a flight brought home. */
struct catch
{
    struct sts_record record;
    bool has_policy; /* A new one. */
    struct sts_policy policy;
    enum secure_result failure;
    struct why why;
};

/* HAS: the id of the policy that is here, or "", and whether it is to be fetched anyway. */
WAITS static enum err
fly(const struct sts_ways *ways, struct arena *arena, str domain, str has, bool is_old_one,
    struct catch *catch)
{
    enum err e = sts_ask_record(ways, arena, domain, &catch->record);
    str id = str_from(catch->record.id);

    if (e || id.len == 0 || (str_eq(id, has) && !is_old_one))
        return e;
    e = sts_fetch_policy(ways, arena, domain, &catch->policy, &catch->failure, &catch->why);
    catch->has_policy = !e && catch->failure == SECURE_FINE;
    return e;
}

/* Under the lock. */
static void
land(struct sts_cache *cache, struct entry *entry, const struct catch *catch, instant now)
{
    bool is_known = catch->record.id[0] != '\0';
    duration ttl = MIN(MAX(catch->record.ttl, STS_BELIEVE_MIN), STS_BELIEVE_MAX);

    entry->asked = now;
    entry->failure = catch->failure;
    entry->believed_until = now + (catch->failure            ? STS_RETRY_TIME
                                   : is_known                ? ttl
                                   : catch->record.temporary ? MINUTES(1)
                                                             : STS_NONE_TIME);
    (void)snprintf(entry->why, sizeof(entry->why), "%.239s",
                   is_known ? catch->why.text : catch->record.why);
    if (!catch->has_policy)
        return;
    keep_policy(cache, entry, &catch->policy);
    memcpy(entry->id, catch->record.id, sizeof(entry->id));
    entry->fetched = now;
    entry->expires = now + catch->policy.max_age;
    entry->believed_until = MIN(entry->believed_until, entry->expires);
}

WAITS static void
save(struct sts_cache *cache, str domain, const struct catch *catch, instant now)
{
    struct sts_row row = { .domain = domain,
                           .id = str_from(catch->record.id),
                           .fetched = now,
                           .expires = now + catch->policy.max_age };
    struct why why = {};
    struct buf text;

    if (!cache->db || !catch->has_policy)
        return;
    buf_init(&text, STS_POLICY_SIZE_MAX);
    sts_policy_format(&catch->policy, &text);
    row.text = buf_str(&text);
    if (sts_store_put(cache->db, &row, STS_POLICIES_MAX, &why))
        log_warning("the MTA-STS policy of %.*s is kept in memory only: %s", STR_ARG(domain),
                    why.text);
    buf_done(&text);
}

/* Under the lock: all who wait for it go on. */
static void
wake_waiters(struct entry *entry)
{
    struct link *link;

    while ((link = list_pop(&entry->waiters)))
        latch_open(&CONTAINER_OF(link, struct waiter, link)->latch);
}

/* Entered with the entry busy by us, and without the lock. */
WAITS static enum err
fetch(struct sts_cache *cache, const struct sts_ways *ways, struct arena *arena,
      struct entry *entry, str has, bool is_old_one)
{
    struct catch *catch = arena_new(arena, struct catch);
    str domain = str_from(entry->domain);
    instant now;
    enum err e = ERR_LIMIT;

    if (catch)
        e = fly(ways, arena, domain, has, is_old_one, catch);
    now = clock_now();
    if (!e)
        save(cache, domain, catch, now);
    pthread_mutex_lock(&cache->lock);
    if (!e)
        land(cache, entry, catch, now);
    entry->busy = false;
    wake_waiters(entry);
    pthread_mutex_unlock(&cache->lock);
    return e;
}

/* Waits for the flight that somebody else is on.  Entered with the lock, left without. */
WAITS static enum err
wait_for(struct sts_cache *cache, struct entry *entry)
{
    struct waiter waiter = {};
    enum err e;

    list_append(&entry->waiters, &waiter.link);
    pthread_mutex_unlock(&cache->lock);
    e = latch_wait(&waiter.latch, NEVER);
    if (!e)
        return OK;
    /* Whoever opens the latch does so under the lock. */
    pthread_mutex_lock(&cache->lock);
    list_remove(&waiter.link);
    pthread_mutex_unlock(&cache->lock);
    return e;
}

/* Under the lock: sets out, when nobody has yet.  HAS: in ARENA. */
static bool
set_out(struct entry *entry, instant now, struct arena *arena, str *has, bool *is_old_one)
{
    *is_old_one = is_old(entry, now);
    if (entry->busy || !arena_copy(arena, str_from(entry->id), has))
        return false;
    entry->busy = true;
    return true;
}

enum err
sts_cache_find(struct sts_cache *cache, const struct sts_ways *ways, struct arena *arena,
               str domain, struct sts_known *known)
{
    enum err e = OK;

    for (unsigned flights = 0; !e; flights++) {
        instant now = clock_now();
        struct entry *entry;
        bool is_old_one;
        str has;
        pthread_mutex_lock(&cache->lock);
        entry = entry_for(cache, domain);
        drop_ended(cache, entry, now);
        touch(cache, entry);
        entry->used_at = now;
        /* What is valid is used while somebody asks for a newer one; not what is in doubt. */
        if (entry->believed_until > now || flights == FLIGHTS_WAITED_FOR ||
            (entry->policy_block && entry->believed_until > 0)) {
            e = tell(entry, arena, known);
            known->is_stale = !entry->busy && entry->believed_until <= now;
            pthread_mutex_unlock(&cache->lock);
            return e;
        }
        if (entry->busy) {
            e = wait_for(cache, entry);
            continue;
        }
        if (!set_out(entry, now, arena, &has, &is_old_one))
            e = ERR_LIMIT;
        pthread_mutex_unlock(&cache->lock);
        if (!e)
            e = fetch(cache, ways, arena, entry, has, is_old_one);
    }
    return e;
}

enum err
sts_cache_refresh(struct sts_cache *cache, const struct sts_ways *ways, struct arena *arena,
                  str domain)
{
    struct entry *entry;
    bool flies, is_old_one;
    str has;

    pthread_mutex_lock(&cache->lock);
    entry = map_get(&cache->by_domain, domain);
    flies = entry && set_out(entry, clock_now(), arena, &has, &is_old_one);
    pthread_mutex_unlock(&cache->lock);
    return flies ? fetch(cache, ways, arena, entry, has, is_old_one) : OK;
}

void
sts_cache_doubt(struct sts_cache *cache, str domain)
{
    struct entry *entry;

    pthread_mutex_lock(&cache->lock);
    entry = map_get(&cache->by_domain, domain);
    /* A policy that fails all the time is not asked for all the time. */
    if (entry && entry->asked + STS_BELIEVE_MIN <= clock_now())
        entry->believed_until = 0;
    pthread_mutex_unlock(&cache->lock);
}

bool
sts_cache_due(struct sts_cache *cache, instant now, struct arena *arena, str *domain, instant *next)
{
    bool found = false;

    pthread_mutex_lock(&cache->lock);
    *next = now + (cache->with_count ? MINUTES(1) : HOURS(1));
    list_each(link, &cache->with) {
        struct entry *entry = CONTAINER_OF(link, struct entry, used);
        if (entry->busy || !is_old(entry, now) || entry->believed_until > now ||
            entry->expires <= now || now - entry->used_at > STS_UNUSED_AGE)
            continue;
        found = arena_copy(arena, str_from(entry->domain), domain);
        break;
    }
    pthread_mutex_unlock(&cache->lock);
    return found;
}

/* --- Operators. */

bool
sts_cache_look(struct sts_cache *cache, struct arena *arena, str domain, struct sts_known *known)
{
    struct entry *entry;
    bool found;

    pthread_mutex_lock(&cache->lock);
    entry = map_get(&cache->by_domain, domain);
    if (entry)
        drop_ended(cache, entry, clock_now());
    found = entry && entry->asked > 0 && tell(entry, arena, known) == OK;
    pthread_mutex_unlock(&cache->lock);
    return found;
}

enum err
sts_cache_list(struct sts_cache *cache, struct arena *arena, struct sts_known **list, size_t *count)
{
    enum err e = OK;
    size_t at = 0;
    void *value;
    str key;

    *count = 0;
    pthread_mutex_lock(&cache->lock);
    *list = arena_new_array(arena, struct sts_known, map_count(&cache->by_domain) + 1);
    if (!*list)
        e = ERR_LIMIT;
    while (!e && map_next(&cache->by_domain, &at, &key, &value)) {
        struct entry *entry = value;
        drop_ended(cache, entry, clock_now());
        if (entry->policy_block || entry->failure)
            e = tell(entry, arena, &(*list)[(*count)++]);
    }
    pthread_mutex_unlock(&cache->lock);
    return e;
}

enum err
sts_cache_forget(struct sts_cache *cache, str domain)
{
    struct why why = {};
    struct entry *entry;
    bool found;

    pthread_mutex_lock(&cache->lock);
    entry = map_get(&cache->by_domain, domain);
    found = entry && entry->asked > 0;
    if (found) {
        drop_policy(cache, entry);
        entry->believed_until = entry->asked = 0;
        entry->failure = SECURE_FINE;
    }
    pthread_mutex_unlock(&cache->lock);
    if (!found)
        return ERR_NOT_FOUND;
    return cache->db ? sts_store_remove(cache->db, domain, &why) : OK;
}

size_t
sts_cache_bytes(struct sts_cache *cache)
{
    size_t bytes;

    pthread_mutex_lock(&cache->lock);
    bytes = cache->bytes;
    pthread_mutex_unlock(&cache->lock);
    return bytes;
}

/* --- Life. */

static void
take_row(void *arg, const struct sts_row *row)
{
    struct sts_cache *cache = arg;
    struct sts_policy policy;
    struct arena arena;
    struct entry *entry;

    arena_init(&arena, DECODE_ARENA_MAX);
    if (sts_policy_parse(row->text, &arena, &policy, NULL) == OK && row->id.len <= STS_ID_MAX &&
        !map_get(&cache->by_domain, row->domain)) {
        entry = entry_for(cache, row->domain);
        keep_policy(cache, entry, &policy);
        if (row->id.len)
            memcpy(entry->id, row->id.ptr, row->id.len);
        entry->fetched = entry->asked = entry->used_at = row->fetched;
        entry->expires = row->expires;
        entry->believed_until = 1; /* Long ago: it is used, and asked for anew. */
    }
    arena_done(&arena);
}

/* Mail is worth more than a cache: without its file it begins with nothing. */
static void
give_up_file(struct sts_cache *cache, const char *what)
{
    log_warning("the MTA-STS policies of other domains are kept in memory only: %s", what);
    db_close(take(cache->db));
}

struct sts_cache *
sts_cache_new(const char *path)
{
    struct sts_cache *made = calloc(1, sizeof(*made));
    struct why why = {};

    must(made);
    must(pthread_mutex_init(&made->lock, NULL) == 0);
    map_init(&made->by_domain, 0);
    list_init(&made->with);
    list_init(&made->without);
    if (path && sts_store_open(path, &made->db, &why))
        give_up_file(made, why.text);
    return made;
}

void
sts_cache_load(struct sts_cache *cache, instant now)
{
    struct why why = {};

    if (cache->db && sts_store_read(cache->db, now, STS_POLICIES_MAX, take_row, cache, &why))
        give_up_file(cache, why.text);
}

void
sts_cache_free(struct sts_cache *cache)
{
    if (!cache)
        return;
    while (drop_oldest(cache, &cache->with) || drop_oldest(cache, &cache->without))
        ;
    db_close(cache->db);
    map_done(&cache->by_domain);
    pthread_mutex_destroy(&cache->lock);
    free(cache);
}
