/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* map.c: linear probing over slots with the hash beside the key.  Start at slot_for(). */
#include "base/map.h"

#include "base/must.h"

#include <stdlib.h>
#include <string.h>

struct map_slot {
    char *key; /* NULL: never used; GRAVE: used once. */
    size_t key_len;
    uint64_t hash;
    void *value;
};

static char grave_mark;
#define GRAVE (&grave_mark)

void
map_init(struct map *map, size_t max)
{
    *map = (struct map){ .max = max };
}

static bool
slot_is_live(const struct map_slot *slot)
{
    return slot->key && slot->key != GRAVE;
}

void
map_done(struct map *map)
{
    for (size_t i = 0; i < map->capacity; i++)
        if (slot_is_live(&map->slots[i]))
            free(map->slots[i].key);
    free(map->slots);
    *map = (struct map){ .max = map->max };
}

size_t
map_count(const struct map *map)
{
    return map->count;
}

/* The slot that holds KEY, or NULL. */
static struct map_slot *
slot_for(const struct map *map, str key, uint64_t hash)
{
    if (map->capacity == 0)
        return NULL;
    for (size_t i = hash & (map->capacity - 1);; i = (i + 1) & (map->capacity - 1)) {
        struct map_slot *slot = &map->slots[i];
        if (!slot->key)
            return NULL;
        if (slot->key != GRAVE && slot->hash == hash &&
            str_eq((str){ slot->key, slot->key_len }, key))
            return slot;
    }
}

static void
slot_place(struct map *map, struct map_slot filled)
{
    size_t i = filled.hash & (map->capacity - 1);

    while (map->slots[i].key)
        i = (i + 1) & (map->capacity - 1);
    map->slots[i] = filled;
}

static void
map_grow(struct map *map)
{
    struct map_slot *old = map->slots;
    size_t old_capacity = map->capacity;

    map->capacity = MAX(16, map->count * 4);
    while (map->capacity & (map->capacity - 1))
        map->capacity &= map->capacity - 1;
    map->slots = calloc(map->capacity, sizeof(*map->slots));
    must(map->slots);
    for (size_t i = 0; i < old_capacity; i++)
        if (slot_is_live(&old[i]))
            slot_place(map, old[i]);
    map->filled = map->count;
    free(old);
}

void
map_foresee(const struct map *map, str key)
{
    if (map->capacity > 0)
        __builtin_prefetch(&map->slots[str_hash(key) & (map->capacity - 1)]);
}

void *
map_get(const struct map *map, str key)
{
    struct map_slot *slot = slot_for(map, key, str_hash(key));

    return slot ? slot->value : NULL;
}

enum err
map_put(struct map *map, str key, void *value)
{
    uint64_t hash = str_hash(key);
    struct map_slot *slot = slot_for(map, key, hash);

    if (slot) {
        slot->value = value;
        return OK;
    }
    if (map->max && map->count >= map->max)
        return ERR_LIMIT;
    if (map->filled + 1 > map->capacity / 2)
        map_grow(map);
    slot_place(map, (struct map_slot){ str_dup(key), key.len, hash, value });
    map->count++;
    map->filled++;
    return OK;
}

void *
map_remove(struct map *map, str key)
{
    struct map_slot *slot = slot_for(map, key, str_hash(key));
    void *value;

    if (!slot)
        return NULL;
    value = slot->value;
    free(slot->key);
    *slot = (struct map_slot){ .key = GRAVE };
    map->count--;
    return value;
}

bool
map_next(const struct map *map, size_t *at, str *key, void **value)
{
    while (*at < map->capacity) {
        struct map_slot *slot = &map->slots[(*at)++];
        if (!slot_is_live(slot))
            continue;
        *key = (str){ slot->key, slot->key_len };
        *value = slot->value;
        return true;
    }
    return false;
}
