/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* dkim_watch.c: looks for the records of new keys, and moves keys on.
 *
 * How long a record has been seen is remembered while the server runs; after a restart the wait
 * begins anew, which errs on the right side.  Start reading at dkim_watch_run().
 */
#include "ops/dkim_watch.h"

#include "base/arena.h"
#include "base/map.h"
#include "base/must.h"
#include "config/config.h"
#include "intake/intake.h"
#include "ops/server.h"
#include "runtime/clock.h"
#include "runtime/dns.h"
#include "runtime/fiber.h"
#include "runtime/log.h"
#include "runtime/wait.h"
#include "store/events.h"
#include "trust/dkim_record.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    LOOK_MEMORY_MAX = 64 << 20,
    KEY_NAME_MAX = 320,
};

/* When the record of a key was first seen, and last still seen. */
struct sighting {
    instant first; /* Steady. */
    bool missed;   /* An active key whose record has gone: said once. */
};

struct dkim_watch {
    struct server *server;
    struct map sightings; /* By "selector@domain". */
};

const char *
dkim_sight_name(enum dkim_sight sight)
{
    static const char *const names[] = {
        [SIGHT_UNKNOWN] = "unknown",
        [SIGHT_ABSENT] = "absent",
        [SIGHT_OTHER] = "another key",
        [SIGHT_SEEN] = "seen",
    };

    return names[sight];
}

enum err
dkim_look(struct arena *arena, const struct key_info *key, instant deadline,
          enum dkim_sight *sight)
{
    struct dns_answer answer;
    char name[KEY_NAME_MAX];
    enum err e;

    *sight = SIGHT_UNKNOWN;
    snprintf(name, sizeof(name), "%.*s._domainkey.%.*s", STR_ARG(key->selector),
             STR_ARG(key->domain));
    e = dns_lookup(arena, str_from(name), DNS_TXT, deadline, &answer);
    if (e)
        return e;
    if (answer.status == DNS_NO_NAME || answer.status == DNS_NO_DATA)
        *sight = SIGHT_ABSENT;
    if (answer.status != DNS_FOUND)
        return OK;
    *sight = SIGHT_OTHER;
    for (size_t i = 0; i < answer.count; i++)
        if (dkim_record_same(answer.records[i].data, key->record))
            *sight = SIGHT_SEEN;
    return OK;
}

/* --- Copies. */

struct copier {
    struct arena *arena;
    str domain;
    struct key_info *keys;
    size_t count;
    size_t room;
    bool full;
};

static bool
count_key(void *arg, const struct key_info *key)
{
    struct copier *copier = arg;

    copier->room += !copier->domain.len || str_eq(copier->domain, key->domain);
    return true;
}

static bool
copy_key(void *arg, const struct key_info *key)
{
    struct copier *copier = arg;
    struct arena *arena = copier->arena;
    struct key_info *copy;

    if ((copier->domain.len && !str_eq(copier->domain, key->domain)) ||
        copier->count == copier->room)
        return true;
    copy = &copier->keys[copier->count++];
    *copy = *key;
    copier->full = !arena_copy(arena, key->domain, &copy->domain) ||
                   !arena_copy(arena, key->selector, &copy->selector) ||
                   !arena_copy(arena, key->algorithm, &copy->algorithm) ||
                   !arena_copy(arena, key->record, &copy->record);
    return !copier->full;
}

enum err
dkim_copy_keys(struct keyring *keyring, str domain, struct arena *arena, struct key_info **keys,
               size_t *count)
{
    struct copier copier = { .arena = arena, .domain = domain };

    keyring_each(keyring, count_key, &copier);
    copier.keys = arena_new_array(arena, struct key_info, copier.room + 1);
    if (!copier.keys)
        return ERR_LIMIT;
    keyring_each(keyring, copy_key, &copier);
    *keys = copier.keys;
    *count = copier.count;
    return copier.full ? ERR_LIMIT : OK;
}

/* --- Steps. */

enum err
dkim_activate(struct keyring *keyring, const struct key_info *key, instant now, struct why *why)
{
    struct key_info *keys;
    struct arena arena;
    size_t count;
    enum err e;

    arena_init(&arena, LOOK_MEMORY_MAX);
    /* First the new one: between the two steps both sign, never none. */
    e = keyring_set_state(keyring, key->domain, key->selector, KEY_ACTIVE, now, why);
    if (!e)
        e = dkim_copy_keys(keyring, key->domain, &arena, &keys, &count);
    for (size_t i = 0; !e && i < count; i++)
        if (keys[i].state == KEY_ACTIVE && str_eq(keys[i].algorithm, key->algorithm) &&
            !str_eq(keys[i].selector, key->selector))
            e = keyring_set_state(keyring, keys[i].domain, keys[i].selector, KEY_RETIRED, now, why);
    arena_done(&arena);
    return e;
}

/* A step on a thread of the pool: it writes files. */
struct step {
    struct keyring *keyring;
    const struct key_info *key;
    enum key_state to;
    enum err result;
    struct why why;
};

static void
take_step(void *arg)
{
    struct step *step = arg;

    if (step->to == KEY_ACTIVE)
        step->result = dkim_activate(step->keyring, step->key, clock_now(), &step->why);
    else
        step->result = keyring_set_state(step->keyring, step->key->domain, step->key->selector,
                                         step->to, clock_now(), &step->why);
}

static void
record_step(struct dkim_watch *watch, const struct key_info *key, enum key_state to)
{
    char text[KEY_NAME_MAX + 100];
    struct event event = { .kind = EVENT_ADMIN, .actor = S("server"), .account = key->domain };

    snprintf(text, sizeof(text), "dkim key %.*s of %.*s is %s now", STR_ARG(key->selector),
             STR_ARG(key->domain), key_state_name(to));
    event.text = str_from(text);
    events_record(server_events(watch->server), &event);
    log_info("%s", text);
}

WAITS static void
move_on(struct dkim_watch *watch, const struct key_info *key, enum key_state to)
{
    struct step step = { .keyring = server_services(watch->server)->keyring, .key = key, .to = to };

    offload(take_step, &step);
    if (step.result)
        log_warning("a DKIM key stays as it is: %s", step.why.text);
    else
        record_step(watch, key, to);
}

/* --- Looking. */

static struct sighting *
sighting_of(struct dkim_watch *watch, const struct key_info *key)
{
    char name[KEY_NAME_MAX];
    struct sighting *sighting;
    str text;

    snprintf(name, sizeof(name), "%.*s@%.*s", STR_ARG(key->selector), STR_ARG(key->domain));
    text = str_from(name);
    sighting = map_get(&watch->sightings, text);
    if (sighting)
        return sighting;
    sighting = calloc(1, sizeof(*sighting));
    must(sighting);
    if (map_put(&watch->sightings, text, sighting)) {
        free(sighting);
        return NULL;
    }
    return sighting;
}

/* RFC 6376 has no time for this: but a secondary server may still lack what the first one has. */
WAITS static void
judge_new(struct dkim_watch *watch, const struct key_info *key, enum dkim_sight sight,
          duration settle)
{
    struct sighting *sighting = sighting_of(watch, key);

    if (!sighting)
        return;
    if (sight != SIGHT_SEEN) {
        if (sight != SIGHT_UNKNOWN)
            sighting->first = 0;
        return;
    }
    if (!sighting->first)
        sighting->first = clock_steady();
    if (clock_steady() - sighting->first >= settle)
        move_on(watch, key, KEY_ACTIVE);
}

static void
judge_active(struct dkim_watch *watch, const struct key_info *key, enum dkim_sight sight)
{
    struct sighting *sighting = sighting_of(watch, key);
    bool gone = sight == SIGHT_ABSENT || sight == SIGHT_OTHER;

    if (!sighting || sight == SIGHT_UNKNOWN)
        return;
    if (gone && !sighting->missed)
        log_warning("the DKIM record %.*s._domainkey.%.*s is %s in the DNS, but its key signs: "
                    "'outpost dkim list %.*s' shows what must stand there",
                    STR_ARG(key->selector), STR_ARG(key->domain), dkim_sight_name(sight),
                    STR_ARG(key->domain));
    sighting->missed = gone;
}

WAITS static enum err
look_at(struct dkim_watch *watch, struct arena *arena, const struct key_info *key)
{
    const struct config *config = server_config(watch->server);
    enum dkim_sight sight;
    enum err e;

    if (key->state == KEY_RETIRED) {
        /* What it signed may wait as long as a message may. */
        duration overlap = MAX(config->dkim.overlap, config->delivery.expire);
        if (clock_now() - key->changed >= overlap)
            move_on(watch, key, KEY_REVOKED);
        return OK;
    }
    if (key->state == KEY_REVOKED)
        return OK;
    e = dkim_look(arena, key, deadline_in(SECONDS(30)), &sight);
    if (e)
        return e;
    if (key->state == KEY_NEW)
        judge_new(watch, key, sight, config->dkim.settle);
    else
        judge_active(watch, key, sight);
    return OK;
}

WAITS static enum err
look_at_all(struct dkim_watch *watch)
{
    struct arena all, one;
    struct key_info *keys;
    size_t count;
    enum err e;

    arena_init(&all, LOOK_MEMORY_MAX);
    arena_init(&one, LOOK_MEMORY_MAX);
    e = dkim_copy_keys(server_services(watch->server)->keyring, S(""), &all, &keys, &count);
    for (size_t i = 0; !e && i < count; i++) {
        arena_clear(&one);
        e = look_at(watch, &one, &keys[i]);
        if (e != ERR_CANCELLED)
            e = OK;
    }
    arena_done(&one);
    arena_done(&all);
    return e;
}

struct dkim_watch *
dkim_watch_new(struct server *server)
{
    struct dkim_watch *watch = calloc(1, sizeof(*watch));

    must(watch);
    watch->server = server;
    map_init(&watch->sightings, 2 * KEYRING_KEYS_MAX);
    return watch;
}

void
dkim_watch_free(struct dkim_watch *watch)
{
    size_t at = 0;
    void *value;
    str key;

    if (!watch)
        return;
    while (map_next(&watch->sightings, &at, &key, &value))
        free(value);
    map_done(&watch->sightings);
    free(watch);
}

WAITS void
dkim_watch_run(void *arg)
{
    struct dkim_watch *watch = arg;
    enum err e = OK;

    while (e != ERR_CANCELLED) {
        e = look_at_all(watch);
        if (e && e != ERR_CANCELLED)
            log_warning("the DKIM keys could not be looked at: %s", err_name(e));
        if (e != ERR_CANCELLED)
            e = fiber_sleep(server_config(watch->server)->dkim.look_every);
    }
}
