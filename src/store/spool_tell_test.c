/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* spool_tell_test.c: what a restart tells of thousands of messages, compared with a plain table. */
#include "store/spool.h"

#include "base/rand.h"
#include "check.h"
#include "store/disk_sim.h"

#include <string.h>

enum {
    MESSAGES = 9000,
    STEPS = 20000
};

/* What should be there. */
static struct {
    bool lives;
    unsigned notes; /* Versions; 0: none. */
} model[MESSAGES];

static struct {
    size_t count;
    size_t wrong;
    size_t out_of_order;
    unsigned last;
} told;

static msgid
id_of(unsigned number)
{
    uint8_t entropy[10] = { (uint8_t)(number >> 8), (uint8_t)number };

    return msgid_make(MILLISECONDS(number), entropy);
}

static unsigned
number_of(msgid id)
{
    return (unsigned)id.bytes[6] << 8 | id.bytes[7];
}

static void
compare_one(const struct spool_entry *entry)
{
    unsigned number = number_of(entry->id);
    char text[64];

    told.count++;
    told.out_of_order += number < told.last;
    told.last = number;
    (void)snprintf(text, sizeof(text), "envelope %u", number);
    if (number >= MESSAGES || !model[number].lives || entry->damaged || entry->body_size != 5 ||
        !str_eq(entry->envelope, str_from(text)))
        told.wrong++;
    else if (model[number].notes == 0)
        told.wrong += entry->note.len > 0;
    else {
        (void)snprintf(text, sizeof(text), "note %u of %u", model[number].notes, number);
        told.wrong += !str_eq(entry->note, str_from(text));
    }
}

static void
compare(void *, const struct spool_entry *entries, size_t count)
{
    for (size_t i = 0; i < count; i++)
        compare_one(&entries[i]);
}

static struct spool *
open_again(struct disk_sim *sim, size_t memory)
{
    struct spool_options options = {
        .dir = "/disk/spool",
        .segment_bytes = 128 << 10,
        .opening_memory = memory,
        .disk = disk_sim_disk(sim),
    };
    struct spool *spool = NULL;
    struct why why = {};

    memset(&told, 0, sizeof(told));
    CHECK(spool_open(&options, compare, NULL, &spool, &why) == OK);
    return spool;
}

static void
put(struct spool *spool, unsigned number)
{
    struct draft *draft = NULL;
    char text[64];

    (void)snprintf(text, sizeof(text), "envelope %u", number);
    CHECK(draft_begin(spool, &draft) == OK);
    CHECK(draft_write(draft, S("body\n")) == OK);
    CHECK(draft_commit(&draft, id_of(number), str_from(text)) == OK);
    model[number].lives = true;
}

/* Notes, tombstones, and now and then a sync. */
static void
live_on(struct spool *spool, struct rand *rand)
{
    for (size_t i = 0; i < STEPS; i++) {
        unsigned number = (unsigned)rand_below(rand, MESSAGES);
        char text[64];
        if (!model[number].lives)
            continue;
        if (rand_below(rand, 4) == 0) {
            CHECK(spool_forget_later(spool, id_of(number)) == OK);
            model[number].lives = false;
        } else {
            (void)snprintf(text, sizeof(text), "note %u of %u", ++model[number].notes, number);
            CHECK(spool_note_later(spool, id_of(number), str_from(text)) == OK);
        }
        if (i % 500 == 0)
            CHECK(spool_sync(spool) == OK);
    }
    CHECK(spool_sync(spool) == OK);
}

static size_t
count_model(void)
{
    size_t count = 0;

    for (size_t i = 0; i < MESSAGES; i++)
        count += model[i].lives;
    return count;
}

static void
a_restart_tells_of_what_is_live_and_nothing_else(void)
{
    static const size_t memories[] = { 0, 1, 300000 };
    struct disk_sim *sim = disk_sim_new(1);
    struct spool *spool = open_again(sim, 0);
    struct rand rand;

    rand_init(&rand, 7);
    for (unsigned i = 0; i < MESSAGES; i++)
        put(spool, i);
    for (size_t i = 0; i < COUNT_OF(memories); i++) {
        spool_close(spool);
        spool = open_again(sim, memories[i]);
        CHECK(told.count == count_model());
        CHECK(told.wrong == 0);
        CHECK(i > 0 || told.out_of_order == 0);
        live_on(spool, &rand);
    }
    spool_close(spool);
    disk_sim_free(sim);
}

static void
places_of_those_that_went_are_used_again(void)
{
    struct disk_sim *sim = disk_sim_new(2);
    struct spool *spool;

    memset(model, 0, sizeof(model));
    spool = open_again(sim, 0);
    for (unsigned i = 0; i < MESSAGES; i++)
        put(spool, i);
    for (unsigned i = 0; i < MESSAGES; i++)
        if (i != 5000) {
            CHECK(spool_forget_later(spool, id_of(i)) == OK);
            model[i].lives = false;
        }
    CHECK(spool_sync(spool) == OK);
    /* New ones take the places of those that went. */
    CHECK(spool_has(spool, id_of(5000)) && !spool_has(spool, id_of(4999)));
    put(spool, 8999);
    put(spool, 4999);
    CHECK(spool_has(spool, id_of(8999)) && spool_has(spool, id_of(4999)));
    spool_close(spool);
    spool = open_again(sim, 0);
    CHECK(told.count == 3 && told.wrong == 0);
    spool_close(spool);
    disk_sim_free(sim);
}

static void
a_process_that_wrote_nothing_leaves_no_segment_for_ever(void)
{
    struct disk_sim *sim = disk_sim_new(3);
    struct spool_stats stats;
    struct spool *spool;

    memset(model, 0, sizeof(model));
    spool = open_again(sim, 0);
    put(spool, 1);
    for (unsigned i = 0; i < 20; i++) {
        spool_close(spool);
        spool = open_again(sim, 0);
        CHECK(told.count == 1 && told.wrong == 0);
    }
    spool_stats(spool, &stats);
    CHECK(stats.segments + stats.segments_free <= 5);
    put(spool, 2);
    spool_close(spool);
    spool = open_again(sim, 0);
    CHECK(told.count == 2 && told.wrong == 0);
    spool_close(spool);
    disk_sim_free(sim);
}

int
main(void)
{
    RUN(a_restart_tells_of_what_is_live_and_nothing_else);
    RUN(a_process_that_wrote_nothing_leaves_no_segment_for_ever);
    RUN(places_of_those_that_went_are_used_again);
    return check_end();
}
