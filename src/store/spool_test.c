/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* spool_test.c: what the spool promises, on a disk in memory and on the real one.  Crashes at each
 * operation are in tests/crash/spool_crash.c. */
#include "store/spool.h"

#include "base/arena.h"
#include "base/rand.h"
#include "check.h"
#include "store/disk_sim.h"
#include "store/spool_crc.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DIR_SIM "/disk/spool"

struct found_one {
    msgid id;
    char envelope[64];
    char note[64];
    uint64_t body_size;
    bool damaged;
};

static struct found_one found[4096];
static size_t found_count;
static const struct found_one nobody;

static void
copy_text(char text[64], str s)
{
    memset(text, 0, 64);
    if (s.len)
        memcpy(text, s.ptr, MIN(s.len, (size_t)63));
}

static void
remember_one(const struct spool_entry *entry)
{
    struct found_one *one = &found[found_count++ % COUNT_OF(found)];

    one->id = entry->id;
    copy_text(one->envelope, entry->envelope);
    copy_text(one->note, entry->note);
    one->body_size = entry->body_size;
    one->damaged = entry->damaged;
}

static void
remember(void *, const struct spool_entry *entries, size_t count)
{
    for (size_t i = 0; i < count; i++)
        remember_one(&entries[i]);
}

static const struct found_one *
found_with(msgid id)
{
    for (size_t i = 0; i < found_count; i++)
        if (msgid_cmp(found[i].id, id) == 0)
            return &found[i];
    return &nobody;
}

static bool
was_found(msgid id)
{
    return found_with(id) != &nobody;
}

static msgid
id_of(unsigned number)
{
    uint8_t entropy[10] = { (uint8_t)(number >> 8), (uint8_t)number };

    return msgid_make(MILLISECONDS(number), entropy);
}

static struct spool *
open_small(struct disk_sim *sim)
{
    struct spool_options options = {
        .dir = DIR_SIM,
        .segment_bytes = 64 << 10,
        .inline_max = 4096,
        .disk = disk_sim_disk(sim),
    };
    struct spool *spool = NULL;
    struct why why = {};

    found_count = 0;
    if (spool_open(&options, remember, NULL, &spool, &why))
        printf("spool_open: %s\n", why.text);
    return spool;
}

/* A body that tells its number and every offset. */
static void
fill_body(char *bytes, size_t size, unsigned number)
{
    for (size_t i = 0; i < size; i++)
        bytes[i] = (char)(i * 31 + number * 7 + i / 251);
}

static enum err
put(struct spool *spool, unsigned number, size_t size)
{
    OWN(draft) draft = NULL;
    char *bytes = malloc(size + 1);
    char envelope[32];
    enum err e;

    fill_body(bytes, size, number);
    snprintf(envelope, sizeof(envelope), "envelope %u", number);
    e = draft_begin(spool, &draft);
    /* In pieces, as a stream would bring it. */
    for (size_t at = 0; !e && at < size; at += 1000)
        e = draft_write(draft, (str){ bytes + at, MIN((size_t)1000, size - at) });
    free(bytes);
    if (e)
        return e;
    return draft_commit(&draft, id_of(number), str_from(envelope));
}

/* Whether the body of NUMBER reads back, in pieces of PIECE. */
static bool
body_is_right(struct spool *spool, unsigned number, size_t size, size_t piece)
{
    OWN(body) body = NULL;
    char *wanted = malloc(size + 1);
    char *bytes = calloc(1, size + 1);
    bool right = true;
    size_t got = 0;

    fill_body(wanted, size, number);
    if (body_open(spool, id_of(number), &body) || body_size(body) != size)
        right = false;
    for (size_t at = 0; right && at < size; at += got)
        right = body_read(body, at, bytes + at, MIN(piece, size - at), &got) == OK && got;
    right = right && memcmp(bytes, wanted, size) == 0;
    free(wanted);
    free(bytes);
    return right;
}

static bool
note_is(struct spool *spool, unsigned number, const char *text)
{
    struct arena arena;
    str envelope;
    str note;
    uint64_t size;
    bool right;

    arena_init(&arena, 1 << 20);
    right = spool_get(spool, id_of(number), &arena, &envelope, &note, &size) == OK &&
            str_eq(note, str_from(text)) && str_starts(envelope, S("envelope "));
    arena_done(&arena);
    return right;
}

static struct spool_stats
stats_of(struct spool *spool)
{
    struct spool_stats stats;

    spool_stats(spool, &stats);
    return stats;
}

static void
checksums_are_crc32c(void)
{
    char long_one[1000];

    memset(long_one, 'x', sizeof(long_one));
    CHECK(crc32c(0, "123456789", 9) == 0xe3069283);
    CHECK(crc32c(crc32c(0, "1234", 4), "56789", 5) == 0xe3069283);
    CHECK(crc32c(crc32c(0, long_one, 13), long_one + 13, 987) == crc32c(0, long_one, 1000));
}

static void
a_committed_message_reads_back_before_and_after_a_restart(void)
{
    struct disk_sim *sim = disk_sim_new(1);
    struct spool *spool = open_small(sim);
    static const size_t sizes[] = { 0, 1, 7, 1000, 4096, 4097, 30000, 200000 };

    CHECK(found_count == 0);
    for (unsigned i = 0; i < COUNT_OF(sizes); i++)
        CHECK(put(spool, i, sizes[i]) == OK);
    for (unsigned i = 0; i < COUNT_OF(sizes); i++)
        CHECK(body_is_right(spool, i, sizes[i], 777));
    spool_close(spool);
    spool = open_small(sim);
    CHECK(found_count == COUNT_OF(sizes));
    for (unsigned i = 0; i < COUNT_OF(sizes); i++) {
        CHECK(body_is_right(spool, i, sizes[i], 100000));
        CHECK(was_found(id_of(i)) && found_with(id_of(i))->body_size == sizes[i]);
    }
    CHECK(was_found(id_of(3)) && strcmp(found_with(id_of(3))->envelope, "envelope 3") == 0);
    CHECK(stats_of(spool).torn == 0 && stats_of(spool).damaged == 0);
    spool_close(spool);
    disk_sim_free(sim);
}

static void
a_commit_survives_a_power_cut_and_a_draft_does_not(void)
{
    struct disk_sim *sim = disk_sim_new(2);
    struct spool *spool = open_small(sim);
    struct draft *draft = NULL;

    CHECK(put(spool, 1, 3000) == OK);
    CHECK(put(spool, 2, 50000) == OK);
    CHECK(draft_begin(spool, &draft) == OK);
    for (int i = 0; i < 100; i++)
        CHECK(draft_write(draft, S("a piece of a body that will never be committed\r\n")) == OK);
    CHECK(draft_size(draft) == 4800);
    disk_sim_crash_at(sim, 1);
    draft_drop(&draft);
    spool_close(spool);
    disk_sim_power_cut(sim);
    spool = open_small(sim);
    CHECK(found_count == 2);
    CHECK(body_is_right(spool, 1, 3000, 4096));
    CHECK(body_is_right(spool, 2, 50000, 4096));
    spool_close(spool);
    disk_sim_free(sim);
}

static void
the_latest_note_counts(void)
{
    struct disk_sim *sim = disk_sim_new(3);
    struct spool *spool = open_small(sim);

    CHECK(put(spool, 1, 100) == OK);
    CHECK(note_is(spool, 1, ""));
    CHECK(spool_note(spool, id_of(1), S("first")) == OK);
    CHECK(note_is(spool, 1, "first"));
    CHECK(spool_note_later(spool, id_of(1), S("second")) == OK);
    CHECK(spool_note_later(spool, id_of(1), S("third")) == OK);
    CHECK(spool_sync(spool) == OK);
    CHECK(note_is(spool, 1, "third"));
    CHECK(spool_note(spool, id_of(9), S("nobody")) == ERR_NOT_FOUND);
    spool_close(spool);
    spool = open_small(sim);
    CHECK(found_count == 1 && strcmp(found[0].note, "third") == 0);
    CHECK(spool_note(spool, id_of(1), S("fourth")) == OK);
    spool_close(spool);
    spool = open_small(sim);
    CHECK(found_count == 1 && strcmp(found[0].note, "fourth") == 0);
    spool_close(spool);
    disk_sim_free(sim);
}

static void
a_forgotten_message_is_gone_and_stays_gone(void)
{
    struct disk_sim *sim = disk_sim_new(4);
    struct spool *spool = open_small(sim);
    struct body *body = NULL;

    CHECK(put(spool, 1, 100) == OK);
    CHECK(put(spool, 2, 100000) == OK);
    CHECK(put(spool, 3, 100) == OK);
    CHECK(spool_forget(spool, id_of(1)) == OK);
    CHECK(spool_forget_later(spool, id_of(2)) == OK);
    CHECK(!spool_has(spool, id_of(2)) && spool_has(spool, id_of(3)));
    CHECK(body_open(spool, id_of(2), &body) == ERR_NOT_FOUND);
    CHECK(spool_forget(spool, id_of(2)) == ERR_NOT_FOUND);
    CHECK(spool_sync(spool) == OK);
    spool_close(spool);
    spool = open_small(sim);
    CHECK(found_count == 1 && was_found(id_of(3)));
    CHECK(stats_of(spool).bodies_orphaned == 0);
    spool_close(spool);
    disk_sim_free(sim);
}

static void
an_open_body_outlives_its_message(void)
{
    struct spool_options options = { .dir = DIR_SIM, .segment_bytes = 1 << 20 };
    struct disk_sim *sim = disk_sim_new(5);
    struct spool *spool = NULL;
    static char bytes[60000];
    size_t got = 0;

    options.disk = disk_sim_disk(sim);
    CHECK(spool_open(&options, NULL, NULL, &spool, NULL) == OK);
    static const size_t sizes[] = { 500, 60000, 400000 };
    for (unsigned i = 0; i < COUNT_OF(sizes); i++) {
        OWN(body) body = NULL;
        CHECK(put(spool, i, sizes[i]) == OK);
        CHECK(body_open(spool, id_of(i), &body) == OK);
        CHECK(spool_forget(spool, id_of(i)) == OK);
        CHECK(body_read(body, 400, bytes, 50, &got) == OK && got == 50);
    }
    CHECK(stats_of(spool).messages == 0);
    CHECK(stats_of(spool).live_bytes == 0);
    spool_close(spool);
    disk_sim_free(sim);
}

static void
an_id_is_taken_once(void)
{
    struct disk_sim *sim = disk_sim_new(6);
    struct spool *spool = open_small(sim);

    CHECK(put(spool, 1, 100) == OK);
    CHECK(put(spool, 1, 100) == ERR_EXISTS);
    CHECK(stats_of(spool).messages == 1);
    spool_close(spool);
    disk_sim_free(sim);
}

static void
what_is_too_large_is_refused(void)
{
    struct disk_sim *sim = disk_sim_new(7);
    struct spool *spool = open_small(sim);
    OWN(draft) draft = NULL;
    char *large = calloc(1, SPOOL_ENVELOPE_MAX + 1);

    CHECK(draft_begin(spool, &draft) == OK);
    CHECK(draft_commit(&draft, id_of(1), (str){ large, SPOOL_ENVELOPE_MAX + 1 }) == ERR_LIMIT);
    CHECK(!draft);
    CHECK(draft_begin(spool, &draft) == OK);
    CHECK(draft_commit(&draft, id_of(1), (str){ large, 64 << 10 }) == ERR_LIMIT);
    CHECK(put(spool, 1, 10) == OK);
    CHECK(spool_note(spool, id_of(1), (str){ large, SPOOL_NOTE_MAX + 1 }) == ERR_LIMIT);
    free(large);
    spool_close(spool);
    disk_sim_free(sim);
}

/* Much goes through, little stays. */
static void
the_log_stays_short_when_old_messages_stay(void)
{
    struct disk_sim *sim = disk_sim_new(8);
    struct spool *spool = open_small(sim);
    unsigned next = 100;

    for (unsigned i = 0; i < 10; i++) {
        CHECK(put(spool, i, 1500) == OK);
        CHECK(spool_note(spool, id_of(i), S("waits")) == OK);
        for (int k = 0; k < 100; k++, next++) {
            CHECK(put(spool, next, 2500) == OK);
            CHECK(spool_forget_later(spool, id_of(next)) == OK);
        }
    }
    for (int k = 0; k < 2000; k++, next++) {
        CHECK(put(spool, next, 2500) == OK);
        CHECK(spool_forget_later(spool, id_of(next)) == OK);
    }
    CHECK(spool_sync(spool) == OK);
    CHECK(stats_of(spool).messages == 10);
    CHECK(stats_of(spool).segments <= 6);
    CHECK(stats_of(spool).bytes_moved > 0);
    CHECK(stats_of(spool).bytes_moved < stats_of(spool).bytes_written / 5);
    for (unsigned i = 0; i < 10; i++)
        CHECK(body_is_right(spool, i, 1500, 4096) && note_is(spool, i, "waits"));
    spool_close(spool);
    spool = open_small(sim);
    CHECK(found_count == 10);
    for (unsigned i = 0; i < 10; i++)
        CHECK(body_is_right(spool, i, 1500, 4096) && note_is(spool, i, "waits"));
    spool_close(spool);
    disk_sim_free(sim);
}

static void
a_body_is_read_while_it_is_moved(void)
{
    struct spool_options options = { .dir = DIR_SIM,
                                     .segment_bytes = 128 << 10,
                                     .inline_max = 60000 };
    struct disk_sim *sim = disk_sim_new(9);
    struct spool *spool = NULL;
    OWN(body) body = NULL;
    static char bytes[50000];
    static char wanted[50000];
    size_t got = 0;

    options.disk = disk_sim_disk(sim);
    CHECK(spool_open(&options, NULL, NULL, &spool, NULL) == OK);
    CHECK(put(spool, 1, 50000) == OK);
    CHECK(body_open(spool, id_of(1), &body) == OK);
    for (unsigned i = 0; i < 50; i++) {
        CHECK(body_read(body, i * 1000, bytes + (size_t)i * 1000, 1000, &got) == OK && got == 1000);
        CHECK(put(spool, i + 10, 30000) == OK);
        CHECK(spool_forget_later(spool, id_of(i + 10)) == OK);
    }
    fill_body(wanted, sizeof(wanted), 1);
    CHECK(memcmp(bytes, wanted, sizeof(bytes)) == 0);
    CHECK(stats_of(spool).bytes_moved > 0);
    body_drop(&body);
    spool_close(spool);
    disk_sim_free(sim);
}

static void
a_failed_sync_is_an_error_and_the_message_does_not_come_back(void)
{
    for (uint64_t seed = 0; seed < 40; seed++) {
        struct disk_sim *sim = disk_sim_new(seed);
        struct spool *spool = open_small(sim);
        CHECK(put(spool, 1, 100) == OK);
        /* A commit is one write and one sync: the write fails, or the sync. */
        disk_sim_fail_at(sim, disk_sim_operations(sim) + 1 + seed % 2, 1, ERR_IO);
        CHECK(put(spool, 2, 3000) == ERR_IO);
        CHECK(!spool_has(spool, id_of(2)));
        CHECK(put(spool, 3, 100) == OK);
        CHECK(stats_of(spool).groups_failed == 1);
        disk_sim_crash_at(sim, 1);
        spool_close(spool);
        disk_sim_power_cut(sim);
        spool = open_small(sim);
        CHECK(found_count == 2 && was_found(id_of(1)) && was_found(id_of(3)));
        CHECK(stats_of(spool).damaged == 0);
        /* The same id can be used again: the client tries again. */
        CHECK(put(spool, 2, 3000) == OK);
        CHECK(body_is_right(spool, 2, 3000, 4096));
        spool_close(spool);
        disk_sim_free(sim);
    }
}

static void
a_tombstone_that_failed_is_written_again(void)
{
    struct disk_sim *sim = disk_sim_new(11);
    struct spool *spool = open_small(sim);

    CHECK(put(spool, 1, 100) == OK);
    CHECK(put(spool, 2, 100) == OK);
    CHECK(spool_forget_later(spool, id_of(1)) == OK);
    CHECK(spool_note_later(spool, id_of(2), S("later")) == OK);
    disk_sim_fail_at(sim, disk_sim_operations(sim) + 2, 1, ERR_IO);
    CHECK(spool_sync(spool) == ERR_IO);
    CHECK(spool_sync(spool) == OK);
    disk_sim_crash_at(sim, 1);
    spool_close(spool);
    disk_sim_power_cut(sim);
    spool = open_small(sim);
    CHECK(found_count == 1 && strcmp(found[0].note, "later") == 0);
    spool_close(spool);
    disk_sim_free(sim);
}

static void
a_full_disk_refuses_drafts_and_still_forgets(void)
{
    struct disk_sim *sim = disk_sim_new(12);
    struct spool *spool = open_small(sim);
    unsigned count = 0;
    enum err e = OK;

    disk_sim_set_capacity(sim, 512 << 10);
    while (!e && count < 1000)
        e = put(spool, count++, 3000);
    CHECK(e == ERR_FULL);
    CHECK(stats_of(spool).full);
    for (unsigned i = 0; i + 1 < count; i++)
        CHECK(spool_forget(spool, id_of(i)) == OK);
    CHECK(stats_of(spool).messages == 0);
    CHECK(put(spool, 2000, 3000) == OK);
    spool_close(spool);
    spool = open_small(sim);
    CHECK(found_count == 1);
    spool_close(spool);
    disk_sim_free(sim);
}

static void
a_restart_on_a_full_disk_still_forgets(void)
{
    struct disk_sim *sim = disk_sim_new(21);
    struct spool *spool = open_small(sim);
    unsigned count = 0;
    enum err e = OK;

    disk_sim_set_capacity(sim, (9 * 64 + 50) << 10);
    while (!e && count < 1000)
        e = put(spool, count++, 3000);
    CHECK(e == ERR_FULL);
    /* Each restart takes one more segment; the last ones find only room for small ones. */
    for (int i = 0; i < 3; i++) {
        disk_sim_crash_at(sim, 1);
        spool_close(spool);
        disk_sim_power_cut(sim);
        spool = open_small(sim);
        CHECK(spool && found_count == count - 1);
        CHECK(put(spool, 2000, 3000) == ERR_FULL);
        CHECK(spool_note(spool, id_of(1), S("noted")) == OK);
    }
    for (unsigned i = 0; i + 1 < count; i++)
        CHECK(spool_forget(spool, id_of(i)) == OK);
    CHECK(put(spool, 2000, 3000) == OK);
    spool_close(spool);
    spool = open_small(sim);
    CHECK(found_count == 1);
    spool_close(spool);
    disk_sim_free(sim);
}

static void
free_space_below_the_floor_refuses_drafts(void)
{
    struct spool_options options = { .dir = DIR_SIM,
                                     .segment_bytes = 64 << 10,
                                     .free_bytes_min = 1 << 20 };
    struct disk_sim *sim = disk_sim_new(13);
    struct spool *spool = NULL;
    OWN(draft) draft = NULL;

    disk_sim_set_capacity(sim, 1 << 20);
    options.disk = disk_sim_disk(sim);
    CHECK(spool_open(&options, NULL, NULL, &spool, NULL) == OK);
    CHECK(draft_begin(spool, &draft) == ERR_FULL);
    spool_close(spool);
    disk_sim_free(sim);
}

/* Flips a bit of message 1's record, which is the first in its segment: at AT from its start. */
static void
damage_first(struct disk_sim *sim, uint64_t at)
{
    struct spool *spool = open_small(sim);

    CHECK(put(spool, 1, 1000) == OK);
    CHECK(put(spool, 2, 1000) == OK);
    CHECK(put(spool, 3, 1000) == OK);
    spool_close(spool);
    CHECK(disk_sim_flip(sim, DIR_SIM "/segments/00000001", 4096 + at, 4));
}

static void
rot_in_a_body_is_reported_and_never_served(void)
{
    struct disk_sim *sim = disk_sim_new(14);
    struct body *body = NULL;

    damage_first(sim, 500);
    struct spool *spool = open_small(sim);
    CHECK(found_count == 3);
    CHECK(stats_of(spool).damaged == 1 && stats_of(spool).torn == 0);
    CHECK(was_found(id_of(1)) && found_with(id_of(1))->damaged);
    CHECK(strcmp(found_with(id_of(1))->envelope, "envelope 1") == 0);
    CHECK(body_open(spool, id_of(1), &body) == ERR_CORRUPT);
    CHECK(body_is_right(spool, 2, 1000, 4096) && body_is_right(spool, 3, 1000, 4096));
    CHECK(spool_forget(spool, id_of(1)) == OK);
    spool_close(spool);
    spool = open_small(sim);
    CHECK(found_count == 2);
    spool_close(spool);
    disk_sim_free(sim);
}

static void
rot_in_a_head_costs_one_message_and_is_kept_in_quarantine(void)
{
    struct disk_sim *sim = disk_sim_new(15);
    const struct disk *disk = disk_sim_disk(sim);
    int file;

    damage_first(sim, 20);
    struct spool *spool = open_small(sim);
    CHECK(found_count == 2);
    CHECK(stats_of(spool).damaged == 1);
    CHECK(disk->open(disk, DIR_SIM "/quarantine/0000000000000001-00001000", DISK_READ, &file) ==
          OK);
    spool_close(spool);
    disk_sim_free(sim);
}

static void
rot_in_a_header_is_healed_from_its_copy_or_its_successor(void)
{
    struct disk_sim *sim = disk_sim_new(16);

    damage_first(sim, 9000); /* Behind the records: harmless. */
    CHECK(disk_sim_flip(sim, DIR_SIM "/segments/00000001", 10, 1));
    struct spool *spool = open_small(sim);
    CHECK(found_count == 3);
    spool_close(spool);
    /* Now it has a successor. */
    CHECK(disk_sim_flip(sim, DIR_SIM "/segments/00000001", 512 + 10, 1));
    spool = open_small(sim);
    CHECK(found_count == 3);
    CHECK(stats_of(spool).damaged == 1);
    spool_close(spool);
    disk_sim_free(sim);
}

static void
a_restart_reads_the_index_and_not_the_bodies(void)
{
    struct disk_sim *sim = disk_sim_new(20);
    struct spool *spool = open_small(sim);
    struct body *body = NULL;

    for (unsigned i = 1; i <= 60; i++)
        CHECK(put(spool, i, 3000) == OK);
    CHECK(spool_note(spool, id_of(1), S("noted")) == OK);
    CHECK(spool_forget(spool, id_of(3)) == OK);
    spool_close(spool);
    /* Damage in a body is not met at the restart, but when the body is read. */
    CHECK(disk_sim_flip(sim, DIR_SIM "/segments/00000001", 4096 + 500, 4));
    spool = open_small(sim);
    CHECK(found_count == 59 && stats_of(spool).damaged == 0);
    CHECK(strcmp(found_with(id_of(1))->note, "noted") == 0);
    CHECK(strcmp(found_with(id_of(2))->envelope, "envelope 2") == 0);
    CHECK(body_open(spool, id_of(1), &body) == ERR_CORRUPT);
    CHECK(body_is_right(spool, 2, 3000, 4096) && note_is(spool, 1, "noted"));
    spool_close(spool);
    /* A damaged index is not believed: the segment itself is read, and the damage met. */
    CHECK(disk_sim_flip(sim, DIR_SIM "/index/00000001", 300, 1));
    spool = open_small(sim);
    CHECK(found_count == 59 && stats_of(spool).damaged == 1);
    CHECK(found_with(id_of(1))->damaged);
    spool_close(spool);
    disk_sim_free(sim);
}

static void
a_missing_body_file_is_reported(void)
{
    struct disk_sim *sim = disk_sim_new(17);
    const struct disk *disk = disk_sim_disk(sim);
    struct spool *spool = open_small(sim);
    struct body *body = NULL;

    CHECK(put(spool, 1, 100000) == OK);
    spool_close(spool);
    CHECK(disk->unlink(disk, DIR_SIM "/bodies/0000000100000001") == OK);
    spool = open_small(sim);
    CHECK(found_count == 1 && found[0].damaged);
    CHECK(stats_of(spool).bodies_missing == 1);
    CHECK(body_open(spool, id_of(1), &body) == ERR_CORRUPT);
    spool_close(spool);
    disk_sim_free(sim);
}

static void
bytes_of_a_mail_are_not_taken_for_records(void)
{
    struct disk_sim *sim = disk_sim_new(18);
    struct spool *spool = open_small(sim);
    const struct disk *disk = disk_sim_disk(sim);
    OWN(draft) draft = NULL;
    static char stolen[4000];
    size_t got;
    int file;

    /* A body that is a copy of the log itself, then damage right in front of it. */
    CHECK(put(spool, 1, 100) == OK);
    CHECK(disk->open(disk, DIR_SIM "/segments/00000001", DISK_READ, &file) == OK);
    CHECK(disk->read(disk, file, stolen, sizeof(stolen), 4096, false, &got) == OK);
    disk->close(disk, file);
    CHECK(draft_begin(spool, &draft) == OK);
    CHECK(draft_write(draft, (str){ stolen, sizeof(stolen) }) == OK);
    CHECK(draft_commit(&draft, id_of(2), S("envelope 2")) == OK);
    CHECK(put(spool, 3, 100) == OK);
    CHECK(spool_forget(spool, id_of(1)) == OK);
    spool_close(spool);
    /* The first record is 88 + 100 + 10 bytes, padded to 200; this is the head of the second. */
    CHECK(disk_sim_flip(sim, DIR_SIM "/segments/00000001", 4096 + 200 + 30, 1));
    spool = open_small(sim);
    CHECK(found_count == 1 && was_found(id_of(3)));
    CHECK(stats_of(spool).damaged == 1);
    spool_close(spool);
    disk_sim_free(sim);
}

static void
a_spool_is_opened_once_at_a_time(void)
{
    struct disk_sim *sim = disk_sim_new(19);
    struct spool_options options = { .dir = DIR_SIM, .disk = disk_sim_disk(sim) };
    struct spool *spool = open_small(sim);
    struct spool *second = NULL;
    struct why why = {};

    CHECK(spool_open(&options, NULL, NULL, &second, &why) == ERR_BUSY);
    CHECK(strstr(why.text, "another process") != NULL);
    spool_close(spool);
    disk_sim_free(sim);
}

enum {
    WORKERS = 8,
    ROUNDS = 100
};

static void
remove_file(void *dir, str name)
{
    char path[256];

    snprintf(path, sizeof(path), "%s/%.*s", (const char *)dir, STR_ARG(name));
    CHECK(unlink(path) == 0);
}

static void
remove_tree(const char *spool)
{
    static const char *const parts[] = { "/segments", "/bodies", "/index", "/quarantine", "" };
    char path[128];

    snprintf(path, sizeof(path), "%s/lock", spool);
    CHECK(unlink(path) == 0);
    for (size_t i = 0; i < COUNT_OF(parts); i++) {
        snprintf(path, sizeof(path), "%s%s", spool, parts[i]);
        if (parts[i][0])
            CHECK(disk_real()->list(disk_real(), path, remove_file, path) == OK);
        CHECK(rmdir(path) == 0);
    }
}

/* A spool on the real disk, and threads that use it. */
struct real {
    char dir[32];
    char path[64];
    struct spool_options options;
    struct spool *spool;
    unsigned next_worker;
};

static void
real_open(struct real *real, size_t inline_max)
{
    struct why why = {};

    snprintf(real->dir, sizeof(real->dir), "/tmp/spool_test_XXXXXX");
    CHECK(mkdtemp(real->dir) != NULL);
    snprintf(real->path, sizeof(real->path), "%s/spool", real->dir);
    real->options = (struct spool_options){ .dir = real->path,
                                            .segment_bytes = 256 << 10,
                                            .inline_max = inline_max };
    CHECK(spool_open(&real->options, NULL, NULL, &real->spool, &why) == OK);
}

static void
real_reopen(struct real *real)
{
    struct why why = {};

    spool_close(real->spool);
    found_count = 0;
    CHECK(spool_open(&real->options, remember, NULL, &real->spool, &why) == OK);
    CHECK(stats_of(real->spool).damaged == 0 && stats_of(real->spool).torn == 0);
}

static void
real_run(struct real *real, void *(*fn)(void *))
{
    pthread_t threads[WORKERS];

    for (int i = 0; i < WORKERS; i++)
        CHECK(pthread_create(&threads[i], NULL, fn, real) == 0);
    for (int i = 0; i < WORKERS; i++) {
        void *result = NULL;
        pthread_join(threads[i], &result);
        CHECK(result != NULL);
    }
}

static void
real_close(struct real *real)
{
    spool_close(real->spool);
    remove_tree(real->path);
    CHECK(rmdir(real->dir) == 0);
}

/* The first message number of the calling worker. */
static unsigned
worker_base(struct real *real)
{
    return 1000 + __atomic_fetch_add(&real->next_worker, 1, __ATOMIC_RELAXED) * ROUNDS;
}

static void *
commit_and_forget_half(void *arg)
{
    struct real *real = arg;
    struct spool *spool = real->spool;
    unsigned base = worker_base(real);

    for (unsigned i = 0; i < ROUNDS; i++) {
        size_t size = i % 10 == 0 ? 20000 : 2000;
        if (put(spool, base + i, size) || !body_is_right(spool, base + i, size, 5000) ||
            spool_note_later(spool, id_of(base + i), S("noted")))
            return NULL;
        if (i % 2 && spool_forget_later(spool, id_of(base + i)))
            return NULL;
    }
    return arg;
}

static void
threads_share_groups_on_the_real_disk(void)
{
    struct real real = {};

    real_open(&real, 16384);
    real_run(&real, commit_and_forget_half);
    CHECK(stats_of(real.spool).groups < stats_of(real.spool).records);
    real_reopen(&real);
    CHECK(found_count == WORKERS * ROUNDS / 2);
    for (size_t i = 0; i < found_count; i++)
        CHECK(strcmp(found[i].note, "noted") == 0 && !found[i].damaged);
    real_close(&real);
}

/* One old message, read again and again, noted, and forgotten while it is open; many pass by. */
static void *
hold_one(void *arg)
{
    struct real *real = arg;
    struct spool *spool = real->spool;
    unsigned base = worker_base(real);
    unsigned held = base;
    OWN(body) body = NULL;

    if (put(spool, held, 40000))
        return NULL;
    for (unsigned i = 1; i < ROUNDS; i++) {
        if (put(spool, base + i, 9000) || !body_is_right(spool, held, 40000, 7000) ||
            spool_note_later(spool, id_of(held), S("held")))
            return NULL;
        if (i % 25) {
            if (spool_forget_later(spool, id_of(base + i)))
                return NULL;
            continue;
        }
        /* The held one changes; it is forgotten while somebody has it open. */
        body_drop(&body);
        if (body_open(spool, id_of(held), &body) || spool_forget(spool, id_of(held)))
            return NULL;
        if (put(spool, held = base + i + 500 * ROUNDS, 40000) ||
            spool_forget_later(spool, id_of(base + i)))
            return NULL;
    }
    return arg;
}

static void
the_log_is_cleaned_while_it_is_read_and_forgotten(void)
{
    struct real real = {};

    real_open(&real, 65536);
    real_run(&real, hold_one);
    CHECK(spool_sync(real.spool) == OK);
    CHECK(stats_of(real.spool).messages == WORKERS);
    CHECK(stats_of(real.spool).bytes_moved > 0);
    real_reopen(&real);
    CHECK(found_count == WORKERS);
    for (size_t i = 0; i < found_count; i++)
        CHECK(!found[i].damaged && found[i].body_size == 40000);
    real_close(&real);
}

int
main(void)
{
    RUN(checksums_are_crc32c);
    RUN(a_committed_message_reads_back_before_and_after_a_restart);
    RUN(a_commit_survives_a_power_cut_and_a_draft_does_not);
    RUN(the_latest_note_counts);
    RUN(a_forgotten_message_is_gone_and_stays_gone);
    RUN(an_open_body_outlives_its_message);
    RUN(an_id_is_taken_once);
    RUN(what_is_too_large_is_refused);
    RUN(the_log_stays_short_when_old_messages_stay);
    RUN(a_body_is_read_while_it_is_moved);
    RUN(a_failed_sync_is_an_error_and_the_message_does_not_come_back);
    RUN(a_tombstone_that_failed_is_written_again);
    RUN(a_full_disk_refuses_drafts_and_still_forgets);
    RUN(a_restart_on_a_full_disk_still_forgets);
    RUN(free_space_below_the_floor_refuses_drafts);
    RUN(rot_in_a_body_is_reported_and_never_served);
    RUN(rot_in_a_head_costs_one_message_and_is_kept_in_quarantine);
    RUN(rot_in_a_header_is_healed_from_its_copy_or_its_successor);
    RUN(a_restart_reads_the_index_and_not_the_bodies);
    RUN(a_missing_body_file_is_reported);
    RUN(bytes_of_a_mail_are_not_taken_for_records);
    RUN(a_spool_is_opened_once_at_a_time);
    RUN(threads_share_groups_on_the_real_disk);
    RUN(the_log_is_cleaned_while_it_is_read_and_forgotten);
    return check_end();
}
