/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* spool_tell.c: telling at opening what is live.
 *
 * While the segments are replayed, their envelopes and notes are kept: indexes stay mapped, what
 * comes out of segments without one is copied, up to a ceiling.
 * When it is known what is live the entries are walked in the order in which their messages came,
 * which is nearly the order of the texts.  A segment that was let go is read again, the one that
 * was kept longest gone for it; a record that is not found there (it is damaged) is looked for on
 * the disk by itself.  Start at tell_all().
 */
#include "store/spool_log.h"

#include "base/must.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

enum {
    READS_AGAIN = 4, /* For each segment; then messages are read one by one. */
    TELL_BATCH = 64,
    TELL_THREADS_MAX = 16
};

/* What the threads share. */
struct tellers {
    struct spool *spool;
    const struct findings *findings;
    struct keeping *keeping;
    const struct telling *telling;
    _Atomic uint32_t next_chunk;
};

struct teller {
    struct tellers *all;
    size_t *next; /* For each slot: where to look first. */
    struct spool_entry batch[TELL_BATCH];
    size_t count;
};

void
keeping_init(struct keeping *keeping, const struct spool *spool)
{
    *keeping = (struct keeping){ .slot_count = spool->slot_count };
    keeping->slots = calloc(spool->slot_count, sizeof(*keeping->slots));
    must(keeping->slots);
    keeping->reads_left = READS_AGAIN * spool->used.count;
    keeping->max = spool->opening_memory;
}

void
keeping_done(struct keeping *keeping, struct spool *spool)
{
    for (uint32_t slot = 0; slot < keeping->slot_count; slot++)
        kept_done(spool, &keeping->slots[slot]);
    free(keeping->slots);
    *keeping = (struct keeping){};
}

/* The one that was filled longest ago, except that of the slot SPARED. */
static struct kept *
oldest_kept(struct keeping *keeping, uint32_t spared)
{
    struct kept *oldest = NULL;

    for (uint32_t slot = 0; slot < keeping->slot_count; slot++) {
        struct kept *kept = &keeping->slots[slot];
        if (slot != spared && kept->since && (!oldest || kept->since < oldest->since))
            oldest = kept;
    }
    return oldest;
}

struct kept *
keeping_room(struct keeping *keeping, struct spool *spool, uint32_t slot, uint32_t spared)
{
    struct kept *kept = &keeping->slots[slot];

    for (;;) {
        struct kept *oldest;
        uint64_t bytes = 0;
        for (uint32_t i = 0; i < keeping->slot_count; i++)
            bytes +=
                keeping->slots[i].size + keeping->slots[i].capacity * sizeof(struct kept_record);
        oldest = oldest_kept(keeping, spared);
        if (bytes <= keeping->max || !oldest)
            break;
        kept_done(spool, oldest);
        keeping->let_go = true;
    }
    kept_done(spool, kept);
    kept->since = ++keeping->clock;
    return kept;
}

/* The texts of the record at PLACE, or NULL; it is usually at *NEXT, or soon after. */
static const struct kept_record *
kept_find(const struct kept *kept, struct place place, size_t *next)
{
    size_t low = 0;
    size_t high = kept->count;

    for (size_t i = 0; i < 4 && *next + i < kept->count; i++)
        if (kept->records[*next + i].at == place.at) {
            *next += i + 1;
            return &kept->records[*next - 1];
        }
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (kept->records[middle].at < place.at)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == kept->count || kept->records[low].at != place.at)
        return NULL;
    *next = low + 1;
    return &kept->records[low];
}

static void
tell_batch(struct teller *teller)
{
    const struct telling *telling = teller->all->telling;

    if (teller->count)
        telling->found(telling->arg, teller->batch, teller->count);
    teller->count = 0;
}

/* Reads the segment in SLOT again.  What was found before is told first, since its texts may have
 * to go; those in the slot SPARED stay. */
static bool
read_again(struct teller *teller, uint32_t slot, uint32_t spared)
{
    struct spool *spool = teller->all->spool;
    struct keeping *keeping = teller->all->keeping;
    struct kept *kept;

    if (!keeping->reads_left)
        return false;
    keeping->reads_left--;
    tell_batch(teller);
    kept = keeping_room(keeping, spool, slot, spared);
    if (keep_segment(spool, teller->all->findings, spool->by_slot[slot], kept) == OK)
        return true;
    kept_done(spool, kept);
    return false;
}

static bool
find_texts(struct teller *teller, struct place place, uint32_t spared, str *envelope, str *note)
{
    const struct kept *kept = &teller->all->keeping->slots[place.slot];
    const struct kept_record *record;
    const char *text;

    if (!kept->since && !read_again(teller, place.slot, spared))
        return false;
    record = kept_find(kept, place, &teller->next[place.slot]);
    if (!record)
        return false;
    text = (kept->map.bytes ? kept->map.bytes : kept->bytes) + record->offset;
    *envelope = (str){ text, record->envelope_size };
    *note = (str){ text + record->envelope_size, record->note_size };
    return true;
}

/* From the disk, for itself. */
static void
tell_alone(struct teller *teller, struct entry *entry)
{
    struct spool *spool = teller->all->spool;
    const struct telling *telling = teller->all->telling;
    const struct segment *segment = spool->by_slot[entry->base.slot];
    const struct segment *note_segment = entry->note.slot ? spool->by_slot[entry->note.slot] : NULL;
    struct spool_entry told = { .id = entry->id, .body_size = entry_body_size(entry) };
    struct message_text text = {};

    if (message_read_text(spool, segment, entry->base, note_segment, entry->note, false, &text))
        entry->damaged = true;
    told.envelope = text.envelope;
    told.note = text.note;
    told.damaged = entry->damaged;
    telling->found(telling->arg, &told, 1);
    free(text.block);
}

static void
tell_entry(struct teller *teller, struct entry *entry)
{
    struct spool_entry told = { .id = entry->id,
                                .body_size = entry_body_size(entry),
                                .damaged = entry->damaged };
    str none;

    if (!find_texts(teller, entry->base, 0, &told.envelope, &told.note) ||
        (entry->note.slot &&
         !find_texts(teller, entry->note, entry->base.slot, &none, &told.note))) {
        tell_alone(teller, entry);
        return;
    }
    teller->batch[teller->count++] = told;
    if (teller->count == TELL_BATCH)
        tell_batch(teller);
}

static void *
teller_run(void *arg)
{
    struct tellers *all = arg;
    struct teller teller = { .all = all };
    uint32_t end = table_end(all->spool);

    teller.next = calloc(all->keeping->slot_count, sizeof(*teller.next));
    must(teller.next);
    for (;;) {
        uint32_t chunk = all->next_chunk++;
        if ((uint64_t)chunk * CHUNK_ENTRIES >= end)
            break;
        for (uint32_t i = 0; i < CHUNK_ENTRIES; i++) {
            struct entry *entry = table_at(all->spool, chunk * CHUNK_ENTRIES + i);
            if (entry)
                tell_entry(&teller, entry);
        }
        tell_batch(&teller);
    }
    free(teller.next);
    return NULL;
}

void
tell_all(struct spool *spool, const struct findings *findings, struct keeping *keeping,
         const struct telling *telling)
{
    struct tellers all = { spool, findings, keeping, telling, 0 };
    pthread_t threads[TELL_THREADS_MAX];
    unsigned wanted = MIN(telling->threads, (unsigned)TELL_THREADS_MAX);
    unsigned count = 0;

    if (keeping->let_go || spool->inline_flush || spool->stats.messages < CHUNK_ENTRIES)
        wanted = 1;
    /* The caller is one of them. */
    while (count + 1 < wanted && !pthread_create(&threads[count], NULL, teller_run, &all))
        count++;
    teller_run(&all);
    while (count > 0)
        pthread_join(threads[--count], NULL);
}
