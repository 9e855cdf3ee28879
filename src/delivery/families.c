/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* families.c: the table of broken address families; start reading at families_note_broken(). */
#include "delivery/families.h"

/* After this time it is tried again, at the price of one connect that may fail. */
static const duration broken_for = HOURS(1);

static uint64_t
key_of(str site, bool four)
{
    return (str_hash(site) << 1) | (four ? 1 : 0);
}

static size_t
slot_of(uint64_t key)
{
    return (size_t)((key ^ (key >> 32)) % FAMILIES_SLOTS);
}

void
families_note_broken(struct families *families, str site, bool four, instant now)
{
    uint64_t key = key_of(site, four);
    size_t slot = slot_of(key);

    families->slots[slot].key = key;
    families->slots[slot].until = now + broken_for;
}

void
families_note_working(struct families *families, str site, bool four)
{
    uint64_t key = key_of(site, four);
    size_t slot = slot_of(key);

    if (families->slots[slot].key == key)
        families->slots[slot].until = 0;
}

bool
families_is_broken(const struct families *families, str site, bool four, instant now)
{
    uint64_t key = key_of(site, four);
    size_t slot = slot_of(key);

    return families->slots[slot].key == key && families->slots[slot].until > now;
}
