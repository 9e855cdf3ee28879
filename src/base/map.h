/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* map.h: finds things by the bytes of a key.  Open addressing, grows by doubling.
 *
 * The map stores a copy of each key and a pointer for each value; it does not own what the
 * values point to.  Not thread-safe.  Keys that strangers choose: give a ceiling with max.
 */
#pragma once

#include "base/base.h"
#include "base/err.h"
#include "base/str.h"

struct map_slot;

struct map {
    struct map_slot *slots;
    size_t capacity;
    size_t count;
    size_t filled; /* With the graves of removed keys. */
    size_t max;    /* 0: no ceiling. */
};

void map_init(struct map *map, size_t max);
void map_done(struct map *map);
size_t map_count(const struct map *map);

/* KEY is looked for soon: asks memory for where it may be.  Changes nothing. */
void map_foresee(const struct map *map, str key);
void *map_get(const struct map *map, str key); /* NULL when there is none. */
/* Sets or replaces.  ERR_LIMIT when a new key would pass the ceiling. */
enum err map_put(struct map *map, str key, void *value);
/* Takes KEY out and returns its value, or NULL. */
void *map_remove(struct map *map, str key);

/* Walks in no order: start with *at = 0; false at the end.  Removal of the current key is allowed. */
bool map_next(const struct map *map, size_t *at, str *key, void **value);
