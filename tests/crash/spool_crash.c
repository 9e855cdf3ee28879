/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* spool_crash.c: nothing that was acknowledged is lost, wherever the disk stops.
 *
 * A run is a seeded sequence of commits, notes and forgets on a simulated disk.  It is repeated
 * with a crash at its first disk operation, at its second, and so on.  After each crash (a power
 * cut, which loses, tears and reorders what was not synced, or the death of the process alone) the
 * spool is opened again, itself with crashes, compared with a model of what was acknowledged, and
 * the run goes on, to the next crash.  The same again with operations that fail instead.  At last
 * the proof that all this can find something: a disk that ignores syncs must be caught.  Start at
 * run().
 */
#include "base/arena.h"
#include "base/must.h"
#include "base/rand.h"
#include "check.h"
#include "runtime/log.h"
#include "store/disk_sim.h"
#include "store/spool.h"

#include <stdlib.h>
#include <string.h>

enum {
    STEPS = 300,
    MESSAGES_MAX = 512,
    BODY_MAX = 12000,
    LIVE_WANTED = 10
};

enum fate {
    NEVER_WAS,  /* Refused, or not begun: must never be found. */
    MAYBE_IS,   /* Its commit was cut short: both are right until the next opening. */
    IS,         /* Acknowledged: must be found. */
    MAYBE_GONE, /* To be forgotten, not acknowledged: both are right. */
    GONE,       /* Must never be found again. */
};

/* What the world has been told of one message. */
struct message {
    enum fate fate;
    unsigned size;
    unsigned note_least; /* Acknowledged. */
    unsigned note_taken; /* Not refused. */
    unsigned note_most;  /* Asked for. */
    unsigned found_note;
    bool found;
};

struct world {
    struct disk_sim *sim;
    struct spool *spool;
    struct rand rand;
    struct message messages[MESSAGES_MAX];
    unsigned count;
    unsigned wrong;
    const char *what;
    uint64_t seed;
    uint64_t at;
    bool hopeless; /* The disk is full and fails again and again: what is refused may come back. */
};

static bool quiet;
static uint64_t moved; /* Bytes that cleaning wrote again, in all runs. */
static uint64_t torn;  /* Openings that found a torn group. */
static char pattern[BODY_MAX + 64];

static void
wrong(struct world *world, unsigned number, const char *what)
{
    if (!quiet && world->wrong < 3)
        printf("seed %llu, operation %llu: message %u: %s\n", (unsigned long long)world->seed,
               (unsigned long long)world->at, number, what);
    world->wrong++;
}

static msgid
id_of(unsigned number)
{
    uint8_t entropy[10] = { 1, (uint8_t)(number >> 8), (uint8_t)number };

    return msgid_make(MILLISECONDS(number / 3), entropy);
}

static unsigned
number_of(msgid id)
{
    return (unsigned)id.bytes[7] << 8 | id.bytes[8];
}

static str
body_of(const struct world *world, unsigned number)
{
    return (str){ pattern + number % 64, world->messages[number].size };
}

static unsigned
pick(struct world *world, unsigned limit)
{
    return (unsigned)rand_below(&world->rand, limit);
}

/* A live message, or -1. */
static int
pick_live(struct world *world)
{
    for (unsigned i = 0, start = pick(world, MAX(world->count, 1U)); i < world->count; i++) {
        unsigned number = (start + i) % world->count;
        if (world->messages[number].fate == IS)
            return (int)number;
    }
    return -1;
}

static enum err
commit(struct world *world, unsigned number)
{
    OWN(draft) draft = NULL;
    str body = body_of(world, number);
    char envelope[300] = { 0 };
    enum err e;

    snprintf(envelope, sizeof(envelope), "envelope %u", number);
    e = draft_begin(world->spool, &draft);
    if (!e)
        e = draft_write(draft, str_head(body, body.len / 2));
    if (!e)
        e = draft_write(draft, str_skip(body, body.len / 2));
    if (e)
        return e;
    return draft_commit(&draft, id_of(number), (str){ envelope, 20 + number % 250 });
}

static void
step_commit(struct world *world, unsigned size)
{
    unsigned number = world->count;
    enum err e;

    if (number == MESSAGES_MAX)
        return;
    world->count++;
    world->messages[number].size = size;
    e = commit(world, number);
    world->messages[number].fate = !e                                 ? IS
                                   : disk_sim_has_crashed(world->sim) ? MAYBE_IS
                                                                      : NEVER_WAS;
}

static void
step_note(struct world *world, bool later)
{
    int number = pick_live(world);
    struct message *message = &world->messages[MAX(number, 0)];
    char note[200] = { 0 };
    str text;
    enum err e;

    if (number < 0)
        return;
    message->note_most++;
    snprintf(note, sizeof(note), "note %u", message->note_most);
    text = (str){ note, 12 + message->note_most % 180 };
    e = later ? spool_note_later(world->spool, id_of((unsigned)number), text)
              : spool_note(world->spool, id_of((unsigned)number), text);
    if (!e)
        message->note_taken = message->note_most;
    if (!e && !later)
        message->note_least = message->note_most;
    if (e == ERR_NOT_FOUND)
        wrong(world, (unsigned)number, "is live, and its note is refused");
}

static void
step_forget(struct world *world, bool later)
{
    int number = pick_live(world);
    struct message *message = &world->messages[MAX(number, 0)];
    enum err e;

    /* Some stay long, so that they are moved forward. */
    if (number < 0 || (number % 6 == 0 && pick(world, 12)))
        return;
    e = later ? spool_forget_later(world->spool, id_of((unsigned)number))
              : spool_forget(world->spool, id_of((unsigned)number));
    message->fate = !e && !later ? GONE : MAYBE_GONE;
    if (e == ERR_NOT_FOUND)
        wrong(world, (unsigned)number, "is live, and cannot be forgotten");
}

static enum err
step_sync(struct world *world)
{
    enum err e = spool_sync(world->spool);

    for (unsigned i = 0; !e && i < world->count; i++) {
        struct message *message = &world->messages[i];
        /* A spool_forget() that failed left it there, in spite of what was asked. */
        if (message->fate == MAYBE_GONE && !spool_has(world->spool, id_of(i)))
            message->fate = GONE;
        message->note_least = message->note_taken;
    }
    return e;
}

static void
check_body(struct world *world, unsigned number)
{
    static char bytes[BODY_MAX];
    str wanted = body_of(world, number);
    OWN(body) body = NULL;
    size_t got = 0;

    if (body_open(world->spool, id_of(number), &body) ||
        body_read(body, 0, bytes, sizeof(bytes), &got)) {
        if (!disk_sim_has_crashed(world->sim))
            wrong(world, number, "its body cannot be read");
        return;
    }
    if (!str_eq((str){ bytes, got }, wanted))
        wrong(world, number, "its body is not what was committed");
}

static void
found_one(void *arg, const struct spool_entry *entry)
{
    struct world *world = arg;
    unsigned number = number_of(entry->id);
    struct message *message = &world->messages[number % MESSAGES_MAX];
    char envelope[300] = { 0 };
    str rest;

    if (number >= world->count) {
        wrong(world, number, "was never heard of");
        return;
    }
    message->found = true;
    message->found_note = 0;
    if (entry->note.len) {
        for (rest = str_skip(entry->note, 5); rest.len && ascii_is_digit(rest.ptr[0]);
             rest = str_skip(rest, 1))
            message->found_note = message->found_note * 10 + (unsigned)(rest.ptr[0] - '0');
    }
    snprintf(envelope, sizeof(envelope), "envelope %u", number);
    if (!str_eq(entry->envelope, (str){ envelope, 20 + number % 250 }))
        wrong(world, number, "its envelope is not what was committed");
    if (entry->damaged || entry->body_size != message->size)
        wrong(world, number, "is called damaged");
}

static void
found(void *arg, const struct spool_entry *entries, size_t count)
{
    for (size_t i = 0; i < count; i++)
        found_one(arg, &entries[i]);
}

static enum err
open_once(struct world *world)
{
    struct spool_options options = {
        .dir = "/disk/spool",
        .segment_bytes = 16 << 10,
        .inline_max = 2048,
        .disk = disk_sim_disk(world->sim),
    };

    for (unsigned i = 0; i < world->count; i++)
        world->messages[i].found = false;
    return spool_open(&options, found, world, &world->spool, NULL);
}

/* What was found against what was promised; then what was found is what is. */
static void
compare(struct world *world)
{
    struct spool_stats stats;

    for (unsigned i = 0; i < world->count; i++) {
        struct message *message = &world->messages[i];
        if (message->found && message->fate == NEVER_WAS && !world->hopeless)
            wrong(world, i, "was refused, and is there");
        if (message->found && message->fate == GONE)
            wrong(world, i, "was forgotten, and is there");
        if (!message->found && message->fate == IS)
            wrong(world, i, "was acknowledged, and is not there");
        if (message->found &&
            (message->found_note < message->note_least || message->found_note > message->note_most))
            wrong(world, i, "has a wrong note");
        if (message->found)
            check_body(world, i);
        message->fate = message->found ? IS : message->fate == NEVER_WAS ? NEVER_WAS : GONE;
        message->note_least = message->note_taken = message->note_most = message->found_note;
    }
    spool_stats(world->spool, &stats);
    torn += stats.torn != 0;
    if (stats.damaged || stats.bodies_missing)
        wrong(world, 0, "a crash is taken for damage");
}

static void
step(struct world *world)
{
    unsigned live = 0;
    unsigned what = pick(world, 100);

    for (unsigned i = 0; i < world->count; i++)
        live += world->messages[i].fate == IS;
    if (live > LIVE_WANTED && what < 48)
        what = 60 + what % 25;
    if (what < 40)
        step_commit(world, pick(world, 2049));
    else if (what < 48)
        step_commit(world, 2049 + pick(world, BODY_MAX - 2049));
    else if (what < 53)
        step_note(world, false);
    else if (what < 60)
        step_note(world, true);
    else if (what < 70)
        step_forget(world, false);
    else if (what < 85)
        step_forget(world, true);
    else if (what < 90)
        (void)!step_sync(world);
    else
        step_note(world, what % 2);
}

/* The end of the world, and its return. */
static void
crash(struct world *world, bool power_cut)
{
    struct spool_stats stats;

    spool_stats(world->spool, &stats);
    moved += stats.bytes_moved;
    spool_close(take(world->spool));
    if (power_cut)
        disk_sim_power_cut(world->sim);
    else
        disk_sim_kill(world->sim);
}

/* Opens after a crash, with further crashes on the way. */
static bool
reopen(struct world *world)
{
    for (unsigned round = pick(world, 3); round; round--) {
        disk_sim_crash_at(world->sim, disk_sim_operations(world->sim) + 1 + pick(world, 12));
        if (!open_once(world))
            spool_close(take(world->spool));
        if (pick(world, 4))
            disk_sim_power_cut(world->sim);
        else
            disk_sim_kill(world->sim);
    }
    if (open_once(world)) {
        wrong(world, 0, "the spool does not open");
        return false;
    }
    compare(world);
    return true;
}

static struct world *
world_new(uint64_t seed, uint64_t at)
{
    struct world *world = calloc(1, sizeof(*world));

    must(world);
    world->sim = disk_sim_new(seed * 1000003 + at);
    if (seed % 3 == 0) /* On a disk that is full now and then. */
        disk_sim_set_capacity(world->sim, (100 + seed * 8 % 64) << 10);
    world->seed = seed;
    world->at = at;
    rand_init(&world->rand, seed);
    return world;
}

static unsigned
world_end(struct world *world)
{
    unsigned count = world->wrong;

    spool_close(world->spool);
    disk_sim_free(world->sim);
    free(world);
    return count;
}

/* One run with crashes: the first at operation AT, two more after it.  Returns what was wrong. */
static unsigned
run(uint64_t seed, uint64_t at, bool ignore_syncs, uint64_t *operations)
{
    struct world *world = world_new(seed, at);

    disk_sim_ignore_syncs(world->sim, ignore_syncs);
    disk_sim_crash_at(world->sim, at);
    if (open_once(world)) {
        disk_sim_power_cut(world->sim);
        if (!reopen(world))
            return world_end(world);
    }
    for (unsigned crashes = 0; crashes < 3; crashes++) {
        for (unsigned i = 0; i < STEPS && !disk_sim_has_crashed(world->sim); i++)
            step(world);
        if (operations)
            break;
        crash(world, pick(world, 4) != 0);
        if (!reopen(world))
            break;
        disk_sim_crash_at(world->sim, disk_sim_operations(world->sim) + 1 + pick(world, 300));
    }
    if (operations)
        *operations = disk_sim_operations(world->sim);
    return world_end(world);
}

/* One run in which COUNT operations from AT on fail; the power is cut at its end. */
static unsigned
run_with_failures(uint64_t seed, uint64_t at, uint64_t count, enum err with)
{
    struct world *world = world_new(seed, at);
    bool synced = false;

    world->hopeless = seed % 3 == 0 && count > 1;
    if (open_once(world))
        wrong(world, 0, "the spool does not open");
    disk_sim_fail_at(world->sim, at, count, with);
    for (unsigned i = 0; world->spool && i < STEPS; i++)
        step(world);
    for (unsigned i = 0; world->spool && !synced && i < 30; i++)
        synced = step_sync(world) == OK;
    if (world->spool && !synced && seed % 3)
        wrong(world, 0, "the spool did not recover from an error");
    if (world->spool) {
        crash(world, true);
        reopen(world);
    }
    return world_end(world);
}

static uint64_t first_seed = 1;
static uint64_t seed_count = 6;
static uint64_t only_at;

static void
nothing_acknowledged_is_lost_wherever_the_disk_stops(void)
{
    uint64_t runs = 0;
    uint64_t failures = 0;

    for (uint64_t seed = first_seed; seed < first_seed + seed_count; seed++) {
        uint64_t operations = 0;
        failures += run(seed, 0, false, &operations) != 0;
        for (uint64_t at = 1; at <= operations; at++, runs++)
            if (!only_at || at == only_at)
                failures += run(seed, at, false, NULL) != 0;
    }
    printf("%llu runs, %llu of them wrong\n", (unsigned long long)runs,
           (unsigned long long)failures);
    CHECK(runs > 100 || only_at);
    CHECK(failures == 0);
    printf("%llu KiB moved forward, %llu openings with a torn group\n",
           (unsigned long long)moved / 1024, (unsigned long long)torn);
    CHECK((moved > 1000000 && torn > 50) || only_at);
}

static void
nothing_refused_comes_back_and_nothing_is_lost_when_the_disk_fails(void)
{
    static const struct {
        uint64_t count;
        enum err with;
    } faults[] = { { 1, ERR_IO }, { 1, ERR_FULL }, { 3, ERR_IO }, { 20, ERR_FULL } };
    uint64_t runs = 0;
    uint64_t failures = 0;

    for (uint64_t seed = first_seed; seed < first_seed + seed_count; seed++) {
        uint64_t operations = 0;
        failures += run(seed, 0, false, &operations) != 0;
        for (size_t i = 0; i < COUNT_OF(faults); i++)
            for (uint64_t at = 8; at <= operations; at += 1 + i, runs++)
                failures += run_with_failures(seed, at, faults[i].count, faults[i].with) != 0;
    }
    printf("%llu runs, %llu of them wrong\n", (unsigned long long)runs,
           (unsigned long long)failures);
    CHECK(runs > 100);
    CHECK(failures == 0);
}

static void
a_disk_that_ignores_syncs_is_found_out(void)
{
    uint64_t failures = 0;

    quiet = true;
    for (uint64_t at = 20; at < 200; at++)
        failures += run(first_seed, at, true, NULL) != 0;
    quiet = false;
    printf("losses in %llu of 180 runs\n", (unsigned long long)failures);
    CHECK(failures > 90);
}

int
main(int argc, char **argv)
{
    uint64_t number;

    log_set_level(LOG_LEVEL_ERROR);
    if (argc > 1 && str_to_u64(str_from(argv[1]), &number))
        seed_count = number;
    if (argc > 2 && str_to_u64(str_from(argv[2]), &number))
        first_seed = number;
    if (argc > 3 && str_to_u64(str_from(argv[3]), &number))
        only_at = number;
    for (size_t i = 0; i < sizeof(pattern); i++)
        pattern[i] = (char)(i * 31 + i / 251 + i / 7);
    RUN(nothing_acknowledged_is_lost_wherever_the_disk_stops);
    RUN(nothing_refused_comes_back_and_nothing_is_lost_when_the_disk_fails);
    RUN(a_disk_that_ignores_syncs_is_found_out);
    return check_end();
}
