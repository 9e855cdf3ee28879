/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* spool.c: what a commit costs.  FIBERS fibers commit SIZE bytes each, again and again, until COUNT
 * messages went in; with `life` each is read and forgotten as well.
 *
 *   build/bench/bench-spool DIR [COUNT [FIBERS [SIZE [LOOPS [life]]]]]
 *
 * CPU is that of the whole process, with the flusher.  Start at measure().
 */
#include "base/rand.h"
#include "runtime/clock.h"
#include "runtime/fiber.h"
#include "runtime/wait.h"
#include "store/spool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum {
    LATENCIES = 1 << 20
};

static struct {
    const char *dir;
    uint64_t count;
    uint64_t fibers;
    uint64_t size;
    uint64_t loops;
    bool life;
    struct spool *spool;
    char *body;
    uint64_t next;
    uint64_t running;
    uint64_t failures;
    struct bell done;
    uint32_t *latencies; /* In microseconds. */
    struct group groups[64];
} bench = { .count = 200000, .fibers = 64, .size = 4096 };

static enum err
one_message(uint64_t number)
{
    OWN(draft) draft = NULL;
    OWN(body) body = NULL;
    uint8_t entropy[10];
    char bytes[16384];
    char envelope[200] = "an envelope of two hundred bytes";
    instant began = clock_steady();
    size_t got = 1;
    msgid id;
    enum err e;

    memcpy(entropy, &number, sizeof(number));
    entropy[8] = entropy[9] = 0;
    id = msgid_make(clock_now(), entropy);
    e = draft_begin(bench.spool, &draft);
    if (!e)
        e = draft_write(draft, (str){ bench.body, bench.size });
    if (!e)
        e = draft_commit(&draft, id, (str){ envelope, sizeof(envelope) });
    if (number < LATENCIES)
        bench.latencies[number] = (uint32_t)((clock_steady() - began) / 1000);
    if (e || !bench.life)
        return e;
    e = body_open(bench.spool, id, &body);
    for (uint64_t at = 0; !e && got && at < bench.size; at += got)
        e = body_read(body, at, bytes, sizeof(bytes), &got);
    return e ? e : spool_forget_later(bench.spool, id);
}

static void
committer(void *)
{
    for (;;) {
        uint64_t number = __atomic_fetch_add(&bench.next, 1, __ATOMIC_RELAXED);
        if (number >= bench.count)
            break;
        if (one_message(number))
            __atomic_fetch_add(&bench.failures, 1, __ATOMIC_RELAXED);
    }
    if (__atomic_sub_fetch(&bench.running, 1, __ATOMIC_ACQ_REL) == 0)
        bell_ring(&bench.done);
}

/* Posted to each loop: its share of the fibers. */
static void
start_share(void *arg)
{
    struct group *group = arg;
    unsigned loop = (unsigned)(group - bench.groups);

    group_init(group);
    for (uint64_t i = loop; i < bench.fibers; i += runtime_loop_count())
        if (group_start(group, committer, NULL, "committer"))
            abort();
}

static double
cpu_seconds(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static int
by_value(const void *a, const void *b)
{
    const uint32_t *x = a;
    const uint32_t *y = b;

    return *x < *y ? -1 : *x > *y;
}

static void
report(double seconds, double cpu)
{
    struct spool_stats stats;
    size_t timed = (size_t)MIN(bench.count, (uint64_t)LATENCIES);

    spool_stats(bench.spool, &stats);
    qsort(bench.latencies, timed, sizeof(*bench.latencies), by_value);
    printf("%llu messages of %llu bytes%s, %llu fibers on %u loops: %.0f/s, %.1f us CPU each\n",
           (unsigned long long)bench.count, (unsigned long long)bench.size,
           bench.life ? ", read and forgotten" : "", (unsigned long long)bench.fibers,
           runtime_loop_count(), (double)bench.count / seconds, cpu / (double)bench.count * 1e6);
    printf(
        "commit p50 %u us, p99 %u us; %.1f records in a group; %.2f bytes written for each byte\n",
        bench.latencies[timed / 2], bench.latencies[timed * 99 / 100],
        (double)stats.records / (double)MAX(stats.groups, (uint64_t)1),
        (double)stats.bytes_written / (double)(bench.count * bench.size));
    if (bench.failures)
        printf("%llu failed\n", (unsigned long long)bench.failures);
}

static void
measure(void *)
{
    instant began = clock_steady();
    double cpu = cpu_seconds();

    bench.running = bench.fibers;
    for (unsigned loop = 0; loop < runtime_loop_count(); loop++)
        runtime_post(loop, start_share, &bench.groups[loop]);
    (void)!bell_wait(&bench.done, NEVER);
    report((double)(clock_steady() - began) / 1e9, cpu_seconds() - cpu);
}

static void
count_found(void *arg, const struct spool_entry *entries, size_t count)
{
    uint64_t *bytes = arg;

    for (size_t i = 0; i < count; i++)
        *bytes += entries[i].envelope.len + entries[i].note.len;
}

/* How long it takes until all are known again. */
static enum err
reopen(const struct spool_options *options, struct why *why)
{
    instant began = clock_steady();
    double cpu = cpu_seconds();
    struct spool_stats stats;
    uint64_t bytes = 0;
    enum err e;

    e = spool_open(options, count_found, &bytes, &bench.spool, why);
    if (e)
        return e;
    spool_stats(bench.spool, &stats);
    printf("opened again: %llu messages in %.3f s, %.3f s CPU\n",
           (unsigned long long)stats.messages, (double)(clock_steady() - began) / 1e9,
           cpu_seconds() - cpu);
    spool_close(bench.spool);
    return OK;
}

static uint64_t
argument(int argc, char **argv, int index, uint64_t usual)
{
    uint64_t value = usual;

    if (argc > index && !str_to_u64(str_from(argv[index]), &value))
        return usual;
    return value;
}

int
main(int argc, char **argv)
{
    struct spool_options options = { .dir = argc > 1 ? argv[1] : NULL };
    struct runtime_options runtime = {};
    struct why why = {};

    if (!options.dir) {
        printf("usage: bench-spool DIR [COUNT [FIBERS [SIZE [LOOPS [life]]]]]\n");
        return 64;
    }
    bench.count = argument(argc, argv, 2, bench.count);
    bench.fibers = argument(argc, argv, 3, bench.fibers);
    bench.size = argument(argc, argv, 4, bench.size);
    runtime.loops = (unsigned)argument(argc, argv, 5, 0);
    bench.life = argc > 6;
    bench.body = malloc(bench.size + 1);
    bench.latencies = calloc(LATENCIES, sizeof(*bench.latencies));
    memset(bench.body, 'm', bench.size);
    if (spool_open(&options, NULL, NULL, &bench.spool, &why)) {
        printf("%s\n", why.text);
        return 1;
    }
    if (runtime_run(&runtime, measure, NULL))
        return 1;
    spool_close(bench.spool);
    if (reopen(&options, &why))
        printf("%s\n", why.text);
    free(bench.latencies);
    free(bench.body);
    return bench.failures != 0;
}
