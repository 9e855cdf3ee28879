/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* dkim_rotate.c: the steps of a rotation, each by itself.  Who takes them, and when, is in
 * dkim_watch.c and dkim_commands.c. */
#include "ops/dkim_rotate.h"

#include "config/config.h"
#include "formats/date.h"
#include "ops/dkim_view.h"
#include "runtime/clock.h"
#include "runtime/dns_update.h"
#include "runtime/wait.h"

enum {
    SELECTOR_TRIES = 26,
    SELECTOR_LETTERS = 4,
    UPDATE_SECONDS = 20,
    KEYS_MEMORY_MAX = 64 << 20,
};

static const str algorithms[] = { { "rsa", 3 }, { "ed25519", 7 } };

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
                   !arena_copy(arena, key->record, &copy->record) ||
                   !arena_copy(arena, key->whole, &copy->whole);
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

/* --- New keys. */

struct selector_search {
    str domain;
    str selector;
    bool taken;
};

static bool
is_taken(void *arg, const struct key_info *key)
{
    struct selector_search *search = arg;

    search->taken = search->taken || (str_eq(key->domain, search->domain) &&
                                      str_eq(key->selector, search->selector));
    return true;
}

/* "r20261127kqzd": the day tells how old a key is, wherever its name is met.  The letters make the
 * name one that was never used: the record of a key that was removed is remembered by resolvers. */
enum err
dkim_free_selector(struct keyring *keyring, str domain, str algorithm, instant now,
                   struct arena *arena, str *selector)
{
    struct date today = date_from_instant(now, 0);

    for (int try = 0; try < SELECTOR_TRIES; try++) {
        struct selector_search search = { .domain = domain };
        char letters[SELECTOR_LETTERS + 1] = "";

        random_bytes(letters, SELECTOR_LETTERS);
        for (size_t i = 0; i < SELECTOR_LETTERS; i++)
            letters[i] = (char)('a' + (unsigned char)letters[i] % 26);
        if (!arena_printf(arena, selector, "%c%04d%02d%02d%s", algorithm.ptr[0], today.year,
                          today.month, today.day, letters))
            return ERR_LIMIT;
        search.selector = *selector;
        keyring_each(keyring, is_taken, &search);
        if (!search.taken)
            return OK;
    }
    return ERR_LIMIT;
}

struct overtaking {
    const struct key_info *key;
    bool found;
};

static bool
overtakes(void *arg, const struct key_info *key)
{
    struct overtaking *search = arg;

    search->found =
        search->found ||
        (key->state == KEY_ACTIVE && str_eq(key->domain, search->key->domain) &&
         str_eq(key->algorithm, search->key->algorithm) && key->created > search->key->created);
    return !search->found;
}

bool
dkim_is_overtaken(struct keyring *keyring, const struct key_info *key)
{
    struct overtaking search = { .key = key };

    keyring_each(keyring, overtakes, &search);
    return search.found;
}

/* The newest of those of KEYS that are in STATE; -1: when the state was entered never. */
static instant
newest(const struct key_info *keys, size_t count, enum key_state state)
{
    instant at = -1;

    for (size_t i = 0; i < count; i++)
        if (keys[i].state == state)
            at = MAX(at, keys[i].changed);
    return at;
}

static bool
has_key(const struct key_info *keys, size_t count, str algorithm, enum key_state state)
{
    for (size_t i = 0; i < count; i++)
        if (keys[i].state == state && str_eq(keys[i].algorithm, algorithm))
            return true;
    return false;
}

enum err
dkim_rotate(struct keyring *keyring, str domain, instant now, size_t *made, struct why *why)
{
    struct key_info *keys;
    struct arena arena;
    size_t count;
    bool first;
    str selector;
    enum err e;

    *made = 0;
    arena_init(&arena, KEYS_MEMORY_MAX);
    e = dkim_copy_keys(keyring, domain, &arena, &keys, &count);
    first = !e && newest(keys, count, KEY_ACTIVE) < 0 && newest(keys, count, KEY_NEW) < 0;
    for (size_t i = 0; !e && i < COUNT_OF(algorithms); i++) {
        if (!first && (!has_key(keys, count, algorithms[i], KEY_ACTIVE) ||
                       has_key(keys, count, algorithms[i], KEY_NEW)))
            continue;
        e = dkim_free_selector(keyring, domain, algorithms[i], now, &arena, &selector);
        if (e)
            e = err_why(why, e, "%.*s has %d keys of today already", STR_ARG(domain),
                        SELECTOR_TRIES);
        else
            e = keyring_add(keyring, domain, selector, algorithms[i], now, why);
        *made += !e;
    }
    arena_done(&arena);
    return e;
}

/* --- The way back. */

/* Of the retired keys of an algorithm, the one that signed last and still can. */
static bool
signed_before(const struct key_info *keys, size_t count, size_t index)
{
    if (keys[index].state != KEY_RETIRED || !keys[index].can_sign)
        return false;
    for (size_t i = 0; i < count; i++)
        if (i != index && keys[i].state == KEY_RETIRED && keys[i].can_sign &&
            str_eq(keys[i].algorithm, keys[index].algorithm) &&
            (keys[i].changed > keys[index].changed ||
             (keys[i].changed == keys[index].changed && i > index)))
            return false;
    return true;
}

enum dkim_undo
dkim_undo_of(const struct key_info *keys, size_t count)
{
    instant signs = newest(keys, count, KEY_ACTIVE);
    instant revoked = newest(keys, count, KEY_REVOKED);

    if (newest(keys, count, KEY_NEW) >= 0)
        return UNDO_NEW;
    for (size_t i = 0; i < count; i++)
        if (signed_before(keys, count, i))
            return UNDO_SIGN;
    for (size_t i = 0; i < count; i++)
        if (revoked >= signs && dkim_undo_takes(UNDO_REVOKE, keys, count, i))
            return UNDO_REVOKE;
    return UNDO_NOTHING;
}

bool
dkim_undo_takes(enum dkim_undo undo, const struct key_info *keys, size_t count, size_t index)
{
    const struct key_info *key = &keys[index];

    switch (undo) {
    case UNDO_NEW:
        return key->state == KEY_NEW;
    case UNDO_SIGN:
        return signed_before(keys, count, index);
    case UNDO_REVOKE:
        /* Those of the rotation at hand, not of one long ago. */
        return key->state == KEY_REVOKED && key->changed >= newest(keys, count, KEY_ACTIVE) &&
               !str_eq(key->whole, key->record);
    case UNDO_NOTHING:
        break;
    }
    return false;
}

enum err
dkim_undo_one(struct keyring *keyring, enum dkim_undo undo, const struct key_info *key, instant now,
              struct why *why)
{
    switch (undo) {
    case UNDO_NEW:
        return keyring_remove(keyring, key->domain, key->selector, why);
    case UNDO_SIGN:
        return keyring_activate(keyring, key->domain, key->selector, now, why);
    case UNDO_REVOKE:
        return keyring_set_state(keyring, key->domain, key->selector, KEY_RETIRED, now, why);
    case UNDO_NOTHING:
        break;
    }
    return err_why(why, ERR_NOT_FOUND, "there is nothing to undo");
}

/* --- The zone. */

bool
dkim_is_ours_to_publish(const struct config *config, str domain)
{
    return config_dns_update(config, domain) != NULL;
}

/* Reading the secret blocks. */
struct key_reading {
    const struct config_dns_update *update;
    struct tsig_key key;
    enum err result;
    struct why *why;
};

static void
read_key(void *arg)
{
    struct key_reading *reading = arg;

    reading->result = tsig_key_load(reading->update->key_file.ptr, reading->update->key_name,
                                    &reading->key, reading->why);
}

enum err
dkim_publish(const struct config *config, const struct key_info *key, bool withdraw,
             struct why *why)
{
    const struct config_dns_update *update = config_dns_update(config, key->domain);
    struct key_reading reading = { .update = update, .why = why };
    struct dns_update change = { .text = withdraw ? S("") : key->record };
    struct arena arena;
    enum err e = OK;

    if (!update)
        return err_why(why, ERR_NOT_FOUND, "no dns_update block says how to write the zone of %.*s",
                       STR_ARG(key->domain));
    arena_init(&arena, 1 << 16);
    if (!dkim_record_name(&arena, key, &change.name))
        e = err_why(why, ERR_LIMIT, "the name is too long");
    change.zone = update->name;
    change.ttl = (uint32_t)(update->ttl / SECONDS(1));
    if (!e) {
        offload(read_key, &reading);
        e = reading.result;
    }
    if (!e)
        e = dns_update_send(&change, &reading.key, &update->server.items[0],
                            deadline_in(SECONDS(UPDATE_SECONDS)), why);
    tsig_key_done(&reading.key);
    arena_done(&arena);
    return e;
}
