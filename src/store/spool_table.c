/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* spool_table.c: the live messages in memory, found by their ids.
 *
 * Entries stand in chunks in the order in which they came, so that a walk through a million of them
 * reads memory in order, and never move.  An index finds them: open addressing with linear probing
 * in 256 shards, so that growing moves one part in 256 only; a slot is 8 bytes, with enough of the
 * hash to pass over nearly all that is not meant without looking at the entry.  Removal shifts the
 * followers back, so there are no graves.  Start at table_find().
 */
#include "store/spool_log.h"

#include "base/must.h"

#include <stdlib.h>
#include <string.h>

/* FREE: the place after the first free one, 0 for none; the chain goes through note_version. */
struct chunk {
    uint32_t used;
    uint32_t free;
    uint32_t begun; /* Places behind it were never used. */
    struct entry entries[CHUNK_ENTRIES];
};

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

static bool
is_of(const struct entry *entry, msgid id)
{
    uint64_t one[2];
    uint64_t other[2];

    memcpy(one, entry->id.bytes, sizeof(one));
    memcpy(other, id.bytes, sizeof(other));
    return one[0] == other[0] && one[1] == other[1];
}

static struct shard *
shard_of(struct spool *spool, uint64_t hash)
{
    return &spool->shards[hash >> 56];
}

/* Where an id with TAG would like to be. */
static uint32_t
home_of(const struct shard *shard, uint32_t tag)
{
    return (uint32_t)((uint64_t)tag * shard->capacity >> 32);
}

static uint32_t
after(const struct shard *shard, uint32_t index)
{
    return index + 1 == shard->capacity ? 0 : index + 1;
}

static struct entry *
entry_at(struct spool *spool, uint32_t number)
{
    return &spool->chunks[number / CHUNK_ENTRIES]->entries[number % CHUNK_ENTRIES];
}

/* The slot of ID, or the empty one where it would go. */
static struct shard_slot *
slot_of(struct spool *spool, struct shard *shard, msgid id, uint32_t tag)
{
    for (uint32_t i = home_of(shard, tag);; i = after(shard, i)) {
        struct shard_slot *slot = &shard->slots[i];
        if (!slot->entry || (slot->tag == tag && is_of(entry_at(spool, slot->entry - 1), id)))
            return slot;
    }
}

static void
shard_grow(struct shard *shard)
{
    struct shard larger = { .capacity =
                                shard->capacity ? shard->capacity + shard->capacity / 2 : 8 };

    larger.slots = calloc(larger.capacity, sizeof(*larger.slots));
    must(larger.slots);
    larger.count = shard->count;
    for (uint32_t k = 0; k < shard->capacity; k++) {
        uint32_t i = home_of(&larger, shard->slots[k].tag);
        if (!shard->slots[k].entry)
            continue;
        while (larger.slots[i].entry)
            i = after(&larger, i);
        larger.slots[i] = shard->slots[k];
    }
    free(shard->slots);
    *shard = larger;
}

static struct chunk *
chunk_new(struct spool *spool, uint32_t number)
{
    if (number == spool->chunk_count) {
        spool->chunks = realloc(spool->chunks, (number + 1) * sizeof(*spool->chunks));
        must(spool->chunks);
        spool->chunk_count++;
    }
    spool->chunks[number] = calloc(1, sizeof(struct chunk));
    must(spool->chunks[number]);
    return spool->chunks[number];
}

/* The number of a free place, in the first chunk that has one. */
static uint32_t
place_take(struct spool *spool)
{
    uint32_t number = spool->chunk_room;
    struct chunk *chunk = NULL;
    uint32_t place;

    for (; number < spool->chunk_count; number++) {
        chunk = spool->chunks[number];
        if (!chunk || chunk->used < CHUNK_ENTRIES)
            break;
    }
    spool->chunk_room = number;
    if (number == spool->chunk_count || !chunk)
        chunk = chunk_new(spool, number);
    else if (!chunk->used)
        spool->chunks_empty--;
    place = chunk->free ? chunk->free - 1 : chunk->begun++;
    if (chunk->free)
        chunk->free = chunk->entries[place].note_version;
    chunk->used++;
    return number * CHUNK_ENTRIES + place;
}

/* One chunk without entries is kept for the next. */
static void
place_give_back(struct spool *spool, uint32_t at)
{
    uint32_t number = at / CHUNK_ENTRIES;
    struct chunk *chunk = spool->chunks[number];
    uint32_t place = at % CHUNK_ENTRIES;

    chunk->entries[place] = (struct entry){ .note_version = chunk->free };
    chunk->free = place + 1;
    spool->chunk_room = MIN(spool->chunk_room, number);
    if (--chunk->used)
        return;
    if (!spool->chunks_empty) {
        spool->chunks_empty = 1;
        return;
    }
    free(chunk);
    spool->chunks[number] = NULL;
}

static void
drop_file(struct entry *entry)
{
    if (entry->has_file)
        free(entry->file);
    entry->has_file = false;
    entry->inline_size = 0;
}

void
entry_set_body(struct entry *entry, uint64_t file, uint64_t size)
{
    drop_file(entry);
    if (!file) {
        entry->inline_size = size;
        return;
    }
    entry->file = malloc(sizeof(*entry->file));
    must(entry->file);
    *entry->file = (struct entry_file){ file, size };
    entry->has_file = true;
}

uint64_t
entry_file_number(const struct entry *entry)
{
    return entry->has_file ? entry->file->number : 0;
}

uint64_t
entry_body_size(const struct entry *entry)
{
    return entry->has_file ? entry->file->size : entry->inline_size;
}

struct entry *
table_find(struct spool *spool, msgid id)
{
    uint64_t hash = hash_of(id);
    struct shard *shard = shard_of(spool, hash);
    const struct shard_slot *slot;

    if (!shard->capacity)
        return NULL;
    slot = slot_of(spool, shard, id, (uint32_t)hash);
    return slot->entry ? entry_at(spool, slot->entry - 1) : NULL;
}

struct entry *
table_insert(struct spool *spool, msgid id)
{
    uint64_t hash = hash_of(id);
    struct shard *shard = shard_of(spool, hash);
    struct shard_slot *slot;
    struct entry *entry;
    uint32_t number;

    /* At most six places in seven are taken. */
    if ((uint64_t)(shard->count + 1) * 7 > (uint64_t)shard->capacity * 6)
        shard_grow(shard);
    slot = slot_of(spool, shard, id, (uint32_t)hash);
    must(!slot->entry);
    number = place_take(spool);
    must(number < UINT32_MAX);
    *slot = (struct shard_slot){ (uint32_t)hash, number + 1 };
    shard->count++;
    entry = entry_at(spool, number);
    *entry = (struct entry){ .id = id };
    return entry;
}

void
table_remove(struct spool *spool, struct entry *entry)
{
    uint64_t hash = hash_of(entry->id);
    struct shard *shard = shard_of(spool, hash);
    struct shard_slot *slot = slot_of(spool, shard, entry->id, (uint32_t)hash);
    uint32_t hole = (uint32_t)(slot - shard->slots);

    must(slot->entry && entry_at(spool, slot->entry - 1) == entry);
    drop_file(entry);
    place_give_back(spool, slot->entry - 1);
    for (uint32_t i = after(shard, hole); shard->slots[i].entry; i = after(shard, i)) {
        uint32_t home = home_of(shard, shard->slots[i].tag);
        /* It may move to the hole unless its home lies cyclically in (hole, i]. */
        bool stays = hole <= i ? hole < home && home <= i : hole < home || home <= i;
        if (stays)
            continue;
        shard->slots[hole] = shard->slots[i];
        hole = i;
    }
    shard->slots[hole] = (struct shard_slot){};
    shard->count--;
}

uint32_t
table_end(const struct spool *spool)
{
    return spool->chunk_count * CHUNK_ENTRIES;
}

struct entry *
table_at(struct spool *spool, uint32_t number)
{
    struct entry *entry;

    if (number >= table_end(spool) || !spool->chunks[number / CHUNK_ENTRIES])
        return NULL;
    entry = entry_at(spool, number);
    return entry->state ? entry : NULL;
}

void
table_done(struct spool *spool)
{
    for (size_t i = 0; i < SHARDS; i++)
        free(spool->shards[i].slots);
    for (uint32_t number = 0; number < table_end(spool); number++) {
        struct entry *entry = table_at(spool, number);
        if (entry)
            drop_file(entry);
    }
    for (uint32_t i = 0; i < spool->chunk_count; i++)
        free(spool->chunks[i]);
    free(spool->chunks);
}
