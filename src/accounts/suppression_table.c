/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* suppression_table.c: linear probing over words; the hash is keyed by a number of this process, so
 * that nobody can choose addresses that fall on one another.  Start reading at
 * suppression_table_find(). */
#include "accounts/suppression_table.h"

#include "base/must.h"
#include "runtime/clock.h"

#include <stdlib.h>
#include <string.h>

enum {
    CAPACITY_FIRST = 64,
    MASK_BITS = 0xff
};

void
suppression_table_init(struct suppression_table *table)
{
    *table = (struct suppression_table){ 0 };
    pthread_rwlock_init(&table->lock, NULL);
    random_bytes(table->secret, sizeof(table->secret));
    table->secret[0] |= 1;
    table->secret[1] |= 1;
}

void
suppression_table_done(struct suppression_table *table)
{
    free(table->slots);
    pthread_rwlock_destroy(&table->lock);
}

static uint64_t
fold(uint64_t a, uint64_t b)
{
    unsigned __int128 product = (unsigned __int128)a * b;

    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint64_t
hash(const struct suppression_table *table, str text)
{
    uint64_t h = table->secret[0] ^ text.len;
    uint64_t word;

    for (; text.len >= sizeof(word); text = str_skip(text, sizeof(word))) {
        memcpy(&word, text.ptr, sizeof(word));
        h = fold(h ^ word, table->secret[1]);
    }
    word = 0;
    if (text.len)
        memcpy(&word, text.ptr, text.len);
    return fold(h ^ word, table->secret[1] ^ 0x9e3779b97f4a7c15ULL);
}

static uint64_t
combine(const struct suppression_table *table, uint64_t address, uint64_t scope)
{
    return fold(address ^ (scope << 1 | scope >> 63), table->secret[0]) & ~(uint64_t)MASK_BITS;
}

uint64_t
suppression_table_key(const struct suppression_table *table, str address, str scope)
{
    return combine(table, hash(table, address), hash(table, scope));
}

static size_t
home_of(const struct suppression_table *table, uint64_t key)
{
    return (size_t)(key >> 8) & (table->capacity - 1);
}

static size_t
after(const struct suppression_table *table, size_t i)
{
    return (i + 1) & (table->capacity - 1);
}

static uint64_t *
slot_for(const struct suppression_table *table, uint64_t key)
{
    size_t i;

    if (table->capacity == 0)
        return NULL;
    for (i = home_of(table, key); table->slots[i]; i = after(table, i))
        if ((table->slots[i] & ~(uint64_t)MASK_BITS) == key)
            return &table->slots[i];
    return NULL;
}

static void
place(struct suppression_table *table, uint64_t filled)
{
    size_t i = home_of(table, filled);

    while (table->slots[i])
        i = after(table, i);
    table->slots[i] = filled;
    table->count++;
}

/* At most three quarters are filled. */
static void
make_room(struct suppression_table *table)
{
    uint64_t *old = table->slots;
    size_t old_capacity = table->capacity;

    if (table->count + 1 <= table->capacity - table->capacity / 4)
        return;
    table->capacity = old_capacity ? 2 * old_capacity : (size_t)CAPACITY_FIRST;
    table->slots = calloc(table->capacity, sizeof(*table->slots));
    must(table->slots);
    table->count = 0;
    for (size_t i = 0; i < old_capacity; i++)
        if (old[i])
            place(table, old[i]);
    free(old);
}

/* What stands behind the hole and would not be found any more moves into it. */
static void
empty_slot(struct suppression_table *table, size_t hole)
{
    size_t mask = table->capacity - 1;

    for (size_t i = after(table, hole); table->slots[i]; i = after(table, i)) {
        size_t home = home_of(table, table->slots[i]);
        if (((i - home) & mask) < ((i - hole) & mask))
            continue;
        table->slots[hole] = table->slots[i];
        hole = i;
    }
    table->slots[hole] = 0;
    table->count--;
}

void
suppression_table_begin(struct suppression_table *table, uint64_t key, unsigned mask)
{
    uint64_t *slot;

    must(mask > 0 && mask <= MASK_BITS);
    pthread_rwlock_wrlock(&table->lock);
    table->adds++;
    table->underway++;
    slot = slot_for(table, key);
    if (slot) {
        *slot |= mask;
    } else {
        make_room(table);
        place(table, key | mask);
    }
    pthread_rwlock_unlock(&table->lock);
}

void
suppression_table_end(struct suppression_table *table)
{
    pthread_rwlock_wrlock(&table->lock);
    must(table->underway > 0);
    table->underway--;
    pthread_rwlock_unlock(&table->lock);
}

uint64_t
suppression_table_epoch(struct suppression_table *table)
{
    uint64_t epoch;

    pthread_rwlock_rdlock(&table->lock);
    epoch = table->underway ? UINT64_MAX : table->adds;
    pthread_rwlock_unlock(&table->lock);
    return epoch;
}

bool
suppression_table_correct(struct suppression_table *table, uint64_t key, unsigned mask,
                          uint64_t epoch)
{
    uint64_t *slot;
    bool may;

    pthread_rwlock_wrlock(&table->lock);
    may = table->underway == 0 && table->adds == epoch;
    slot = may ? slot_for(table, key) : NULL;
    if (slot && mask)
        *slot = key | mask;
    else if (slot)
        empty_slot(table, (size_t)(slot - table->slots));
    pthread_rwlock_unlock(&table->lock);
    return may;
}

static unsigned
look(const struct suppression_table *table, const uint64_t *keys, size_t count)
{
    unsigned mask = 0;

    /* All at once, so that memory is waited for once. */
    for (size_t i = 0; i < count; i++)
        __builtin_prefetch(&table->slots[home_of(table, keys[i])]);
    for (size_t i = 0; i < count; i++) {
        const uint64_t *slot = slot_for(table, keys[i]);
        if (slot)
            mask |= (unsigned)(*slot & MASK_BITS);
    }
    return mask;
}

unsigned
suppression_table_find(struct suppression_table *table, const str *addresses, size_t address_count,
                       const str *scopes, size_t scope_count)
{
    uint64_t scope_hashes[TABLE_SCOPES_MAX];
    uint64_t keys[TABLE_SCOPES_MAX * TABLE_ADDRESSES_MAX];
    size_t count = 0;
    unsigned mask = 0;

    must(scope_count <= TABLE_SCOPES_MAX && address_count <= TABLE_ADDRESSES_MAX);
    for (size_t i = 0; i < scope_count; i++)
        scope_hashes[i] = hash(table, scopes[i]);
    for (size_t i = 0; i < address_count; i++) {
        uint64_t h = hash(table, addresses[i]);
        for (size_t k = 0; k < scope_count; k++)
            keys[count++] = combine(table, h, scope_hashes[k]);
    }
    pthread_rwlock_rdlock(&table->lock);
    if (table->count)
        mask = look(table, keys, count);
    pthread_rwlock_unlock(&table->lock);
    return mask;
}

size_t
suppression_table_count(struct suppression_table *table)
{
    size_t count;

    pthread_rwlock_rdlock(&table->lock);
    count = table->count;
    pthread_rwlock_unlock(&table->lock);
    return count;
}

size_t
suppression_table_bytes(struct suppression_table *table)
{
    size_t capacity;

    pthread_rwlock_rdlock(&table->lock);
    capacity = table->capacity;
    pthread_rwlock_unlock(&table->lock);
    return capacity * sizeof(*table->slots);
}
