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
#include "delivery/queue/queue.h"
#include "intake/intake.h"
#include "ops/dkim_rotate.h"
#include "ops/dkim_view.h"
#include "ops/server.h"
#include "runtime/clock.h"
#include "runtime/fiber.h"
#include "runtime/log.h"
#include "runtime/wait.h"
#include "store/events.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    LOOK_MEMORY_MAX = 64 << 20,
    KEY_NAME_MAX = 320,
    LOOK_SECONDS = 60, /* For one key. */
};

/* What is known of the record of a key. */
struct sighting {
    instant first;    /* Since when everybody has seen it: steady; 0: they do not. */
    bool missed;      /* An active key whose record has gone: said once. */
    bool unwritten;   /* Its record could not be written: said once. */
    instant told_at;  /* When a human was last told to do something: steady. */
    instant revoked;  /* The change of a revoked key whose record was then seen to be right, */
    instant right_at; /* and when that was: steady. */
};

struct dkim_watch {
    struct server *server;
    struct map sightings; /* By "selector@domain". */
};

/* A step on a thread of the pool: it writes files. */
struct step {
    struct keyring *keyring;
    const struct key_info *key; /* As it was when it was looked at. */
    enum key_state to;
    bool rotate; /* Make the next keys of its domain instead. */
    size_t made;
    enum err result;
    struct why why;
};

struct still {
    const struct key_info *key;
    bool same;
};

static bool
compare_key(void *arg, const struct key_info *key)
{
    struct still *still = arg;

    if (str_eq(key->domain, still->key->domain) && str_eq(key->selector, still->key->selector))
        still->same = key->state == still->key->state;
    return !still->same;
}

/* Looking takes time, in which an operator may have decided otherwise. */
static bool
is_still(struct keyring *keyring, const struct key_info *key)
{
    struct still still = { .key = key };

    keyring_each(keyring, compare_key, &still);
    return still.same;
}

static void
take_step(void *arg)
{
    struct step *step = arg;

    if (!is_still(step->keyring, step->key))
        step->result = err_why(&step->why, ERR_BUSY, "somebody else changed it");
    else if (step->rotate)
        step->result =
            dkim_rotate(step->keyring, step->key->domain, clock_now(), &step->made, &step->why);
    else if (step->to == KEY_ACTIVE)
        step->result = keyring_activate(step->keyring, step->key->domain, step->key->selector,
                                        clock_now(), &step->why);
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

/* Writes KEY's record; the key may be removed while that lasts, and the record goes again then. */
WAITS static bool
publish(struct dkim_watch *watch, const struct key_info *key)
{
    const struct config *config = server_config(watch->server);
    struct keyring *keyring = server_services(watch->server)->keyring;
    struct sighting *sighting = sighting_of(watch, key);
    struct why why = { "" };
    enum err e = dkim_publish(config, key, false, &why);

    if (e && sighting && !sighting->unwritten)
        log_warning(
            "the DKIM record %.*s._domainkey.%.*s could not be written, and is tried again: "
            "%s",
            STR_ARG(key->selector), STR_ARG(key->domain), why.text);
    if (sighting)
        sighting->unwritten = e != OK;
    if (e)
        return false;
    log_info("the DKIM record %.*s._domainkey.%.*s is written", STR_ARG(key->selector),
             STR_ARG(key->domain));
    if (is_still(keyring, key) || key->state != KEY_NEW)
        return true;
    e = dkim_publish(config, key, true, &why);
    if (e)
        log_warning("the record of a removed DKIM key is left: %s", why.text);
    return false;
}

/* Revoked keys stay for ever, and there are more of them with each rotation: a record that is as it
 * must be is looked at once a day. */
static bool
is_done_with(const struct sighting *sighting, const struct key_info *key)
{
    return key->state == KEY_REVOKED && sighting && sighting->revoked == key->changed &&
           clock_steady() - sighting->right_at < DAYS(1);
}

/* Where we write the zone: what stands there follows the keyring.  Another's record is not touched
 * unasked, but for that of a key of ours that is revoked. */
WAITS static enum err
keep_published(struct dkim_watch *watch, struct arena *arena, const struct key_info *key)
{
    const struct config *config = server_config(watch->server);
    struct sighting *sighting = sighting_of(watch, key);
    enum dkim_sight sight;
    enum err e;

    if (!dkim_is_ours_to_publish(config, key->domain) || is_done_with(sighting, key))
        return OK;
    e = dkim_look_primary(arena, config, key, deadline_in(SECONDS(LOOK_SECONDS)), &sight);
    if (e)
        return e;
    if (key->state == KEY_REVOKED && sighting && (sight == SIGHT_ABSENT || sight == SIGHT_SEEN)) {
        sighting->revoked = key->changed;
        sighting->right_at = clock_steady();
    }
    if ((sight == SIGHT_ABSENT && key->state != KEY_REVOKED) ||
        (sight == SIGHT_OTHER && key->state == KEY_REVOKED))
        (void)publish(watch, key);
    return OK;
}

/* Once a day, where a human has to do something. */
static bool
is_to_be_told(struct sighting *sighting)
{
    if (sighting->told_at && clock_steady() - sighting->told_at < DAYS(1))
        return false;
    sighting->told_at = clock_steady();
    return true;
}

/* RFC 6376 has no time for this: but resolvers may still remember that there was no record. */
WAITS static enum err
look_at_new(struct dkim_watch *watch, struct arena *arena, const struct key_info *key)
{
    const struct config *config = server_config(watch->server);
    struct sighting *sighting = sighting_of(watch, key);
    struct dkim_views *views = arena_new(arena, struct dkim_views);
    enum err e;

    if (!sighting || !views)
        return ERR_LIMIT;
    e = dkim_look_everywhere(arena, config, key, deadline_in(SECONDS(LOOK_SECONDS)), views);
    if (e)
        return e;
    if (views->together == SIGHT_ABSENT || views->together == SIGHT_OTHER)
        sighting->first = 0;
    if (views->together != SIGHT_SEEN) {
        if (clock_now() - key->created >= DAYS(1) && is_to_be_told(sighting))
            log_warning("a new DKIM key waits for its record: %.*s._domainkey.%.*s is %s at %.*s",
                        STR_ARG(key->selector), STR_ARG(key->domain),
                        dkim_sight_name(views->together), STR_ARG(views->against));
        return OK;
    }
    if (!sighting->first)
        sighting->first = clock_steady();
    if (clock_steady() - sighting->first >= config->dkim.settle)
        move_on(watch, key,
                dkim_is_overtaken(server_services(watch->server)->keyring, key) ? KEY_REVOKED
                                                                                : KEY_ACTIVE);
    return OK;
}

/* A key whose time has come is followed by another, where we write the zone ourselves; a rotation
 * that was undone is not begun anew while its key is retired. */
WAITS static void
renew(struct dkim_watch *watch, const struct key_info *key, bool in_rotation)
{
    const struct config *config = server_config(watch->server);
    struct step step = { .keyring = server_services(watch->server)->keyring,
                         .key = key,
                         .rotate = true };
    struct sighting *sighting = sighting_of(watch, key);

    if (!config->dkim.rotate_every || in_rotation || !sighting ||
        clock_now() - key->created < config->dkim.rotate_every)
        return;
    if (!dkim_is_ours_to_publish(config, key->domain)) {
        if (is_to_be_told(sighting))
            log_warning("the DKIM key %.*s of %.*s is older than dkim.rotate_every: "
                        "'outpost dkim rotate %.*s' begins with the next one",
                        STR_ARG(key->selector), STR_ARG(key->domain), STR_ARG(key->domain));
        return;
    }
    offload(take_step, &step);
    if (step.result)
        log_warning("the DKIM keys of %.*s were not rotated: %s", STR_ARG(key->domain),
                    step.why.text);
    else if (step.made)
        log_info("the DKIM keys of %.*s are being rotated", STR_ARG(key->domain));
}

WAITS static enum err
look_at_active(struct dkim_watch *watch, struct arena *arena, const struct key_info *key)
{
    struct sighting *sighting = sighting_of(watch, key);
    enum dkim_sight sight;
    enum err e = dkim_look(arena, key, deadline_in(SECONDS(LOOK_SECONDS)), &sight);
    bool gone = sight == SIGHT_ABSENT || sight == SIGHT_OTHER;

    if (e || !sighting || sight == SIGHT_UNKNOWN)
        return e;
    if (gone && !sighting->missed)
        log_warning("the DKIM record %.*s._domainkey.%.*s is %s in the DNS, but its key signs: "
                    "'outpost dkim list %.*s' shows what must stand there",
                    STR_ARG(key->selector), STR_ARG(key->domain), dkim_sight_name(sight),
                    STR_ARG(key->domain));
    sighting->missed = gone;
    return OK;
}

/* Whether a message waits that KEY may have signed before it was retired: held by an operator or a
 * rule, it can be older than delivery.expire lets others become. */
WAITS static enum err
look_for_older_mail(struct dkim_watch *watch, struct arena *arena, const struct key_info *key,
                    bool *found)
{
    const struct config *config = server_config(watch->server);
    duration age = clock_now() - key->changed - config->smtp.message_timeout;
    struct queue_query query;
    struct queue_entry *entries;
    char text[40];
    size_t count = 0;
    bool more;
    enum err e;

    *found = true;
    if (age < SECONDS(10000))
        snprintf(text, sizeof(text), "age:>%llds", (long long)(MAX(age, 0) / SECONDS(1)));
    else
        snprintf(text, sizeof(text), "age:>%lldh", (long long)MIN(age / HOURS(1), 999999));
    e = queue_query_parse(str_from(text), &query, NULL);
    if (!e)
        e = queue_list(server_queue(watch->server), &query, 1, arena, &entries, &count, &more);
    *found = e || count;
    return e;
}

WAITS static enum err
look_at_retired(struct dkim_watch *watch, struct arena *arena, const struct key_info *key)
{
    const struct config *config = server_config(watch->server);
    /* What it signed may wait as long as a message may, or came in just before. */
    duration overlap =
        MAX(MAX(config->dkim.overlap, config->delivery.expire), config->smtp.message_timeout);
    bool found;
    enum err e;

    if (clock_now() - key->changed < overlap)
        return OK;
    e = look_for_older_mail(watch, arena, key, &found);
    if (!e && !found)
        move_on(watch, key, KEY_REVOKED);
    return e;
}

WAITS static enum err
look_at(struct dkim_watch *watch, struct arena *arena, const struct key_info *key, bool in_rotation)
{
    enum err e = keep_published(watch, arena, key);

    if (e)
        return e;
    switch (key->state) {
    case KEY_NEW:
        return look_at_new(watch, arena, key);
    case KEY_ACTIVE:
        e = look_at_active(watch, arena, key);
        if (!e)
            renew(watch, key, in_rotation);
        return e;
    case KEY_RETIRED:
        return look_at_retired(watch, arena, key);
    case KEY_REVOKED:
        break;
    }
    return OK;
}

/* Whether a key of the domain and algorithm of KEYS[INDEX] is on its way in, or out. */
static bool
is_in_rotation(const struct key_info *keys, size_t count, size_t index)
{
    size_t i = index;

    while (i > 0 && str_eq(keys[i - 1].domain, keys[index].domain)) /* They are in order. */
        i--;
    for (; i < count && str_eq(keys[i].domain, keys[index].domain); i++)
        if ((keys[i].state == KEY_NEW || keys[i].state == KEY_RETIRED) &&
            str_eq(keys[i].algorithm, keys[index].algorithm))
            return true;
    return false;
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
        e = look_at(watch, &one, &keys[i], is_in_rotation(keys, count, i));
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
