/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* spool_table.c: the live messages in memory, found by their ids.
 *
 * Open addressing with linear probing in 256 shards, so that growing moves one part in 256 only.
 * Removal shifts the followers back, so there are no graves.
 */
#include "store/spool_log.h"

#include "base/must.h"

#include <stdlib.h>
#include <string.h>

static uint64_t
hash_of(msgid id)
{
    uint64_t high;
    uint64_t low;

    memcpy(&high, id.bytes, 8);
    memcpy(&low, id.bytes + 8, 8);
    high = (high ^ low) * 0x9e3779b97f4a7c15;
    high ^= high >> 32;
    return high * 0xd6e8feb86659fd93;
}

static struct shard *
shard_of(struct spool *spool, uint64_t hash)
{
    return &spool->shards[hash >> 56];
}

/* Where an id with HASH would like to be. */
static uint32_t
home_of(const struct shard *shard, uint64_t hash)
{
    return (uint32_t)((hash & UINT32_MAX) * shard->capacity >> 32);
}

static uint32_t
after(const struct shard *shard, uint32_t index)
{
    return index + 1 == shard->capacity ? 0 : index + 1;
}

static struct entry *
shard_find(struct shard *shard, msgid id, uint64_t hash)
{
    uint32_t i;

    if (!shard->capacity)
        return NULL;
    i = home_of(shard, hash);
    while (shard->slots[i].state && msgid_cmp(shard->slots[i].id, id) != 0)
        i = after(shard, i);
    return &shard->slots[i];
}

static void
shard_grow(struct shard *shard)
{
    struct shard larger = { .capacity =
                                shard->capacity ? shard->capacity + shard->capacity / 2 : 8 };

    larger.slots = calloc(larger.capacity, sizeof(*larger.slots));
    must(larger.slots);
    for (uint32_t i = 0; i < shard->capacity; i++)
        if (shard->slots[i].state) {
            msgid id = shard->slots[i].id;
            *shard_find(&larger, id, hash_of(id)) = shard->slots[i];
            larger.count++;
        }
    free(shard->slots);
    *shard = larger;
}

struct entry *
table_find(struct spool *spool, msgid id)
{
    uint64_t hash = hash_of(id);
    struct entry *entry = shard_find(shard_of(spool, hash), id, hash);

    return entry && entry->state ? entry : NULL;
}

struct entry *
table_insert(struct spool *spool, msgid id)
{
    uint64_t hash = hash_of(id);
    struct shard *shard = shard_of(spool, hash);
    struct entry *entry;

    /* At most six places in seven are taken. */
    if ((uint64_t)(shard->count + 1) * 7 > (uint64_t)shard->capacity * 6)
        shard_grow(shard);
    entry = shard_find(shard, id, hash);
    must(!entry->state);
    *entry = (struct entry){ .id = id };
    shard->count++;
    return entry;
}

void
table_remove(struct spool *spool, struct entry *entry)
{
    struct shard *shard = shard_of(spool, hash_of(entry->id));
    uint32_t hole = (uint32_t)(entry - shard->slots);

    for (uint32_t i = after(shard, hole); shard->slots[i].state; i = after(shard, i)) {
        uint32_t home = home_of(shard, hash_of(shard->slots[i].id));
        /* It may move to the hole unless its home lies cyclically in (hole, i]. */
        bool stays = hole <= i ? hole < home && home <= i : hole < home || home <= i;
        if (stays)
            continue;
        shard->slots[hole] = shard->slots[i];
        hole = i;
    }
    shard->slots[hole] = (struct entry){};
    shard->count--;
}

void
table_done(struct spool *spool)
{
    for (size_t i = 0; i < SHARDS; i++)
        free(spool->shards[i].slots);
}
