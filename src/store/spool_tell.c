/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* spool_tell.c: telling at opening what is live.
 *
 * While the segments are replayed, their envelopes and notes are kept in memory, up to a ceiling.
 * When it is known what is live the entries are walked in the order in which their messages came,
 * which is nearly the order of the texts.  A segment that was let go is read again, the one that
 * was kept longest gone for it; a record that is not found there (it is damaged) is looked for on
 * the disk by itself.  Start at tell_all().
 */
#include "store/spool_log.h"

#include "base/must.h"

#include <stdlib.h>

enum {
    READS_AGAIN = 4 /* For each segment; then messages are read one by one. */
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
keeping_done(struct keeping *keeping)
{
    for (uint32_t slot = 0; slot < keeping->slot_count; slot++)
        kept_done(&keeping->slots[slot]);
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
keeping_room(struct keeping *keeping, uint32_t slot, uint32_t spared)
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
        kept_done(oldest);
    }
    kept_done(kept);
    kept->since = ++keeping->clock;
    return kept;
}

/* The texts of the record at PLACE, or NULL. */
static const struct kept_record *
kept_find(struct kept *kept, struct place place)
{
    size_t low = 0;
    size_t high = kept->count;

    /* Usually it is the next one, or one soon after. */
    for (size_t i = 0; i < 4 && kept->next + i < kept->count; i++)
        if (kept->records[kept->next + i].at == place.at) {
            kept->next += i + 1;
            return &kept->records[kept->next - 1];
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
    kept->next = low + 1;
    return &kept->records[low];
}

/* The texts at PLACE, valid until another segment is read again; that in the slot SPARED stays. */
static bool
find_texts(struct spool *spool, const struct findings *findings, struct keeping *keeping,
           struct place place, uint32_t spared, str *envelope, str *note)
{
    struct kept *kept = &keeping->slots[place.slot];
    const struct kept_record *record;

    if (!kept->since) {
        if (!keeping->reads_left)
            return false;
        keeping->reads_left--;
        kept = keeping_room(keeping, place.slot, spared);
        if (keep_segment(spool, findings, spool->by_slot[place.slot], kept)) {
            kept_done(kept);
            return false;
        }
    }
    record = kept_find(kept, place);
    if (!record)
        return false;
    *envelope = (str){ kept->bytes + record->offset, record->envelope_size };
    *note = (str){ kept->bytes + record->offset + record->envelope_size, record->note_size };
    return true;
}

/* From the disk, for itself. */
static void
tell_alone(struct spool *spool, struct entry *entry, const struct telling *telling)
{
    const struct segment *segment = spool->by_slot[entry->base.slot];
    const struct segment *note_segment = entry->note.slot ? spool->by_slot[entry->note.slot] : NULL;
    struct spool_entry told = { .id = entry->id, .body_size = entry->body_size };
    struct message_text text = {};

    if (message_read_text(spool, segment, entry->base, note_segment, entry->note, false, &text))
        entry->damaged = true;
    told.envelope = text.envelope;
    told.note = text.note;
    told.damaged = entry->damaged;
    telling->found(telling->arg, &told);
    free(text.block);
}

static bool
find_message(struct spool *spool, const struct findings *findings, struct keeping *keeping,
             const struct entry *entry, struct spool_entry *told)
{
    uint32_t slot = entry->base.slot;
    str none;

    return find_texts(spool, findings, keeping, entry->base, 0, &told->envelope, &told->note) &&
           (!entry->note.slot ||
            find_texts(spool, findings, keeping, entry->note, slot, &none, &told->note));
}

void
tell_all(struct spool *spool, const struct findings *findings, struct keeping *keeping,
         const struct telling *telling)
{
    for (uint32_t number = 0; number < table_end(spool); number++) {
        struct entry *entry = table_at(spool, number);
        struct spool_entry told;
        if (!entry)
            continue;
        told = (struct spool_entry){ .id = entry->id,
                                     .body_size = entry->body_size,
                                     .damaged = entry->damaged };
        if (find_message(spool, findings, keeping, entry, &told))
            telling->found(telling->arg, &told);
        else
            tell_alone(spool, entry, telling);
    }
}
