/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* schedule_messages.c: messages, found by id.
 *
 * Open addressing; a slot is a pointer of 48 bits with 16 bits of the hash above it, so that a
 * search does not touch the messages of others: with a million of them each touch is a miss.
 * Start at schedule_add().
 */
#include "delivery/schedule/schedule_inside.h"

#include <stdlib.h>

enum {
    SLOTS_MIN = 64,
    TAG_SHIFT = 48
};

/* What was taken out leaves a grave, so that searches go on and walks do not miss what is behind.
 */
static const uint64_t grave = 1;

static struct schedule_message *
message_in(uint64_t slot)
{
    return (struct schedule_message *)(uintptr_t)(slot & ((UINT64_C(1) << TAG_SHIFT) - 1));
}

static uint64_t
slot_for(struct schedule_message *message, uint64_t hash)
{
    uint64_t bits = (uint64_t)(uintptr_t)message;

    must(bits >> TAG_SHIFT == 0);
    return bits | hash >> TAG_SHIFT << TAG_SHIFT;
}

static uint64_t
hash_of(msgid id)
{
    return str_hash((str){ (const char *)id.bytes, sizeof(id.bytes) });
}

static void
place(struct schedule *schedule, uint64_t slot, uint64_t hash)
{
    size_t mask = schedule->slot_count - 1;
    size_t i = hash & mask;

    while (schedule->slots[i] > grave)
        i = (i + 1) & mask;
    schedule->slots_used += schedule->slots[i] == 0;
    schedule->slots[i] = slot;
}

static void
rebuild(struct schedule *schedule, size_t count)
{
    uint64_t *old = schedule->slots;
    size_t old_count = schedule->slot_count;

    schedule->slots = calloc(count, sizeof(*schedule->slots));
    must(schedule->slots);
    schedule->slot_count = count;
    schedule->slots_used = 0;
    schedule->slots_generation++;
    for (size_t i = 0; i < old_count; i++)
        if (old[i] > grave)
            place(schedule, old[i], hash_of(message_in(old[i])->id));
    free(old);
}

void
schedule_reserve(struct schedule *schedule, size_t message_count)
{
    size_t count = SLOTS_MIN;

    while (count / 4 * 3 <= message_count)
        count *= 2;
    if (count > schedule->slot_count)
        rebuild(schedule, count);
}

void
schedule_foresee(const struct schedule *schedule, msgid id, str target)
{
    if (schedule->slot_count > 0)
        __builtin_prefetch(&schedule->slots[hash_of(id) & (schedule->slot_count - 1)]);
    map_foresee(&schedule->targets, target);
}

/* The index of the slot that has ID, or SIZE_MAX. */
static size_t
find_slot(const struct schedule *schedule, msgid id)
{
    uint64_t hash = hash_of(id);
    size_t mask = schedule->slot_count - 1;

    if (schedule->slot_count == 0)
        return SIZE_MAX;
    for (size_t i = hash & mask; schedule->slots[i] != 0; i = (i + 1) & mask)
        if (schedule->slots[i] > grave && schedule->slots[i] >> TAG_SHIFT == hash >> TAG_SHIFT &&
            msgid_cmp(message_in(schedule->slots[i])->id, id) == 0)
            return i;
    return SIZE_MAX;
}

struct schedule_message *
schedule_find(const struct schedule *schedule, msgid id)
{
    size_t slot = find_slot(schedule, id);

    return slot == SIZE_MAX ? NULL : message_in(schedule->slots[slot]);
}

struct schedule_message *
schedule_next_message(const struct schedule *schedule, struct schedule_message *at)
{
    size_t slot = at ? find_slot(schedule, at->id) + 1 : 0;

    for (; slot < schedule->slot_count; slot++)
        if (schedule->slots[slot] > grave)
            return message_in(schedule->slots[slot]);
    return NULL;
}

bool
schedule_walk(struct schedule *schedule, struct schedule_walk *walk, unsigned max,
              void (*each)(void *arg, struct schedule_message *message), void *arg)
{
    if (walk->generation != schedule->slots_generation)
        *walk = (struct schedule_walk){ 0, schedule->slots_generation };
    for (unsigned seen = 0; seen < max && walk->slot < schedule->slot_count; seen++) {
        uint64_t slot = schedule->slots[walk->slot++];
        if (slot > grave)
            each(arg, message_in(slot));
    }
    return walk->slot < schedule->slot_count;
}

struct schedule_message *
schedule_add(struct schedule *schedule, const struct schedule_facts *facts, uint32_t row_count)
{
    struct schedule_message *message;
    uint64_t hash = hash_of(facts->id);

    if (schedule_find(schedule, facts->id))
        return NULL;
    if (schedule->slots_used + 1 > schedule->slot_count / 4 * 3)
        rebuild(schedule, schedule->message_count * 2 >= schedule->slot_count
                              ? MAX((size_t)SLOTS_MIN, schedule->slot_count * 2)
                              : schedule->slot_count);
    message = calloc(1, sizeof(*message) + row_count * sizeof(struct schedule_row));
    must(message);
    message->id = facts->id;
    message->received_at = facts->received_at;
    message->not_before = facts->not_before;
    message->expires = facts->expires;
    message->only_warns = facts->only_warns;
    message->sender = (uint32_t)(facts->sender ^ facts->sender >> 32);
    message->lane = (uint8_t)facts->lane;
    message->priority = facts->priority;
    message->rank = (uint8_t)schedule_rank_of(facts->lane, facts->priority);
    message->is_report = facts->is_report;
    message->row_count = row_count;
    message->waiting = row_count;
    message->users = 1;
    place(schedule, slot_for(message, hash), hash);
    schedule->message_count++;
    return message;
}

bool
schedule_message_release(struct schedule *schedule, struct schedule_message *message)
{
    size_t slot;

    must(message->users > 0);
    if (--message->users > 0 || message->waiting > 0)
        return false;
    slot = find_slot(schedule, message->id);
    must(slot != SIZE_MAX);
    schedule->slots[slot] = grave;
    schedule->message_count--;
    free(message);
    return true;
}

void
schedule_messages_free(struct schedule *schedule)
{
    for (size_t i = 0; i < schedule->slot_count; i++)
        if (schedule->slots[i] > grave)
            free(message_in(schedule->slots[i]));
    free(schedule->slots);
}
