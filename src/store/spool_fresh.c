/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* spool_fresh.c: messages that were committed a moment ago, still in memory.
 *
 * Most messages leave again at once: their delivery reads here what the draft had collected, and no
 * file.  Nothing depends on it: what is not found here (any more) is read from the log.  A message
 * has one slot, by its id; a newcomer takes the slot, and the oldest go when there is too much.  A
 * copy counts only for the record that it was written as: a record that was moved may say more.
 */
#include "store/spool_log.h"

#include "base/must.h"

#include <stdlib.h>
#include <string.h>

struct fresh {
    struct link by_age;
    msgid id;
    struct place place;
    uint32_t users; /* With the slot, when it stands in one. */
    char *body;
    size_t body_size;
    size_t cost;
    size_t envelope_size;
    char envelope[];
};

static struct fresh **
slot_of(struct fresh_table *table, msgid id)
{
    str bytes = { (const char *)id.bytes, sizeof(id.bytes) };

    return &table->slots[str_hash(bytes) % FRESH_SLOTS];
}

static void
release(struct fresh *fresh)
{
    must(fresh->users);
    if (--fresh->users)
        return;
    free(fresh->body);
    free(fresh);
}

static void
empty_slot(struct fresh_table *table, struct fresh **slot)
{
    if (!*slot)
        return;
    list_remove(&(*slot)->by_age);
    table->bytes -= (*slot)->cost;
    release(take(*slot));
}

static void
empty_oldest(struct fresh_table *table)
{
    const struct fresh *oldest = CONTAINER_OF(table->by_age.next, struct fresh, by_age);

    empty_slot(table, slot_of(table, oldest->id));
}

void
fresh_init(struct spool *spool)
{
    pthread_mutex_init(&spool->fresh.lock, NULL);
    list_init(&spool->fresh.by_age);
}

void
fresh_put(struct spool *spool, const struct record *record, char **body)
{
    struct fresh_table *table = &spool->fresh;
    str envelope = record->envelope;
    struct fresh *fresh;
    struct fresh **slot;

    if (spool->inline_flush || record->head.file)
        return;
    fresh = malloc(sizeof(*fresh) + envelope.len);
    must(fresh);
    *fresh = (struct fresh){
        .id = record->head.id,
        .place = record->place,
        .users = 1,
        .body = take(*body),
        .body_size = (size_t)record->head.body_size,
        .envelope_size = envelope.len,
    };
    if (envelope.len)
        memcpy(fresh->envelope, envelope.ptr, envelope.len);
    fresh->cost = sizeof(*fresh) + envelope.len + fresh->body_size;
    pthread_mutex_lock(&table->lock);
    slot = slot_of(table, fresh->id);
    empty_slot(table, slot);
    *slot = fresh;
    list_append(&table->by_age, &fresh->by_age);
    table->bytes += fresh->cost;
    while (table->bytes > FRESH_BYTES_MAX)
        empty_oldest(table);
    pthread_mutex_unlock(&table->lock);
}

struct fresh *
fresh_take(struct spool *spool, msgid id, struct place place)
{
    struct fresh_table *table = &spool->fresh;
    struct fresh *fresh;

    pthread_mutex_lock(&table->lock);
    fresh = *slot_of(table, id);
    if (fresh && (msgid_cmp(fresh->id, id) != 0 || !place_eq(fresh->place, place)))
        fresh = NULL;
    if (fresh)
        fresh->users++;
    pthread_mutex_unlock(&table->lock);
    return fresh;
}

void
fresh_give_back(struct spool *spool, struct fresh *fresh)
{
    pthread_mutex_lock(&spool->fresh.lock);
    release(fresh);
    pthread_mutex_unlock(&spool->fresh.lock);
}

str
fresh_body(const struct fresh *fresh)
{
    return (str){ fresh->body, fresh->body_size };
}

str
fresh_envelope(const struct fresh *fresh)
{
    return (str){ fresh->envelope, fresh->envelope_size };
}

void
fresh_forget(struct spool *spool, msgid id)
{
    struct fresh_table *table = &spool->fresh;
    struct fresh **slot;

    pthread_mutex_lock(&table->lock);
    slot = slot_of(table, id);
    if (*slot && msgid_cmp((*slot)->id, id) == 0)
        empty_slot(table, slot);
    pthread_mutex_unlock(&table->lock);
}

void
fresh_done(struct spool *spool)
{
    while (!list_is_empty(&spool->fresh.by_age))
        empty_oldest(&spool->fresh);
    must(!spool->fresh.bytes);
    pthread_mutex_destroy(&spool->fresh.lock);
}
