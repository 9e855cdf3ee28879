/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* secure.c: what DANE and MTA-STS add to a delivery, with warm caches.
 *
 *   build/bench/bench-secure COUNT ROUNDS STUB ANCHOR ZONE
 *
 * `bench/secure` starts the signed zone and calls it so.  A round makes COUNT plans for a
 * connection in each of some ways, in turns: with neither, with DANE, with a policy of MTA-STS, with
 * both; and COUNT notes for the reports about TLS.  CPU is that of the whole process.  With callgrind
 * a round of one way (a sixth argument) gives its instructions.  Start at main().
 */
#include "base/must.h"
#include "config/config.h"
#include "delivery/attempt.h"
#include "delivery/rules/standing.h"
#include "delivery/secure/sts_cache.h"
#include "delivery/secure/sts_store.h"
#include "delivery/secure/tls_reports.h"
#include "runtime/clock.h"
#include "runtime/dns.h"
#include "store/db.h"
#include "store/temp_dir.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum {
    ROUNDS_MAX = 200,
    PORT = 25,
    WARM = 100,
};

enum way {
    WITH_NEITHER,
    WITH_DANE,
    WITH_STS,
    WITH_BOTH,
    NOTING_STS,
    NOTING_DANE,
    WAYS
};
static const char *const way_names[WAYS] = {
    "neither", "dane", "sts", "both", "note-sts", "note-dane",
};

struct bench {
    uint64_t count;
    size_t rounds;
    const char *zone;
    int only; /* A way, or -1. */
    struct config *config;
    struct queue *queue;
    struct runner *runner;
    struct attempt *attempt;
    struct route_host host;
    struct smtp_failure failure;
    char site_key[16];
    double times[WAYS][ROUNDS_MAX];
};

static double
cpu_microseconds(void)
{
    struct rusage usage;

    must(getrusage(RUSAGE_SELF, &usage) == 0);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e6 +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

/* A policy as the cache finds it after a restart; the record in the DNS says that it is still the
 * same. */
WAITS static void
know_policy(struct bench *bench, struct temp_dir *dir)
{
    struct sts_row row = {
        .domain = bench->attempt->route.domain,
        .id = S("20261127"),
        .text = S("version: STSv1\nmode: enforce\nmx: *.far.example\nmx: far.example\n"
                  "max_age: 604800\n"),
        .fetched = clock_now(),
        .expires = clock_now() + DAYS(7),
    };
    struct sts_ways ways = { NULL, SECONDS(10), SECONDS(10) };
    char path[600];
    struct db *db;

    snprintf(path, sizeof(path), "%s/sts.db", dir->path);
    must(sts_store_open(path, &db, NULL) == OK);
    must(sts_store_put(db, &row, 100, NULL) == OK);
    db_close(db);
    bench->queue->sts = sts_cache_new(path);
    sts_cache_load(bench->queue->sts, clock_now());
    must(sts_cache_refresh(bench->queue->sts, &ways, &bench->runner->arena, row.domain) == OK);
}

WAITS static void
prepare(struct bench *bench, struct temp_dir *dir)
{
    struct attempt *a = calloc(1, sizeof(*a));
    char path[600];

    bench->attempt = a;
    bench->queue = calloc(1, sizeof(*bench->queue));
    bench->runner = calloc(1, sizeof(*bench->runner));
    must(a && bench->queue && bench->runner);
    pthread_mutex_init(&bench->queue->lock, NULL);
    bench->runner->queue = bench->queue;
    bench->runner->config = bench->config;
    arena_init(&bench->runner->arena, ATTEMPT_ARENA_MAX);
    a->runner = bench->runner;
    a->route = (struct route){ .kind = ROUTE_MX, .domain = str_from(bench->zone) };
    bench->runner->site = calloc(1, sizeof(*bench->runner->site));
    must(bench->runner->site);
    bench->runner->site->key = bench->site_key;
    must(standing_open(NULL, NULL, clock_now(), &bench->queue->standing, NULL) == OK);
    know_policy(bench, dir);
    snprintf(path, sizeof(path), "%s/tls_reports.db", dir->path);
    must(tls_reports_open(path, &bench->queue->tls_reports, NULL) == OK);
    tls_reports_configure(bench->queue->tls_reports, true, DAYS(1), 0, S("here.example"));
}

/* COUNT times what a connection costs before it is made. */
WAITS static void
make_plans(struct bench *bench, enum way way)
{
    struct attempt *a = bench->attempt;
    struct smtp_client_options options;

    bench->config->delivery.dane = way == WITH_DANE || way == WITH_BOTH;
    bench->config->delivery.sts = way == WITH_STS || way == WITH_BOTH;
    for (uint64_t i = 0; i < bench->count; i++) {
        options = (struct smtp_client_options){ .tls = RELAY_TLS_MAY, .verify = RELAY_VERIFY_OFF };
        must(attempt_policy_again(a) == OK);
        must(attempt_secure(a, &bench->host, &options, &a->plan) == OK);
        must((way == WITH_STS) == (a->plan.by == SECURE_BY_STS));
        must((way == WITH_DANE || way == WITH_BOTH) == (a->plan.by == SECURE_BY_DANE));
        if (i % 16 == 15)
            arena_clear(&bench->runner->arena);
    }
}

static void
make_notes(struct bench *bench)
{
    for (uint64_t i = 0; i < bench->count; i++)
        attempt_note_tls(bench->attempt, &bench->failure);
}

WAITS static void
run_way(struct bench *bench, enum way way, size_t round)
{
    double began;

    arena_clear(&bench->runner->arena);
    if (way >= NOTING_STS) {
        uint64_t count = bench->count;
        bench->count = 1;
        make_plans(bench, way == NOTING_STS ? WITH_STS : WITH_DANE);
        bench->count = count;
    }
    began = cpu_microseconds();
    if (way >= NOTING_STS)
        make_notes(bench);
    else
        make_plans(bench, way);
    bench->times[way][round] = (cpu_microseconds() - began) / (double)bench->count;
}

WAITS static void
warm(struct bench *bench)
{
    uint64_t count = bench->count;

    bench->count = WARM;
    for (unsigned way = 0; way < WAYS; way++)
        run_way(bench, way, 0);
    bench->count = count;
}

static int
compare(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;

    return left < right ? -1 : left > right;
}

static void
print(const char *name, double *times, size_t rounds)
{
    qsort(times, rounds, sizeof(*times), compare);
    printf("%-9s %6.2f us (%.2f to %.2f; nine in ten below %.2f)\n", name, times[rounds / 2],
           times[0], times[rounds - 1], times[rounds * 9 / 10]);
}

static void
report(struct bench *bench)
{
    double added[ROUNDS_MAX];

    for (unsigned way = WITH_DANE; way <= WITH_BOTH; way++) {
        for (size_t i = 0; i < bench->rounds; i++)
            added[i] = bench->times[way][i] - bench->times[WITH_NEITHER][i];
        printf("added by ");
        print(way_names[way], added, bench->rounds);
    }
    for (unsigned way = 0; way < WAYS; way++)
        print(way_names[way], bench->times[way], bench->rounds);
}

WAITS static void
tell(void *arg)
{
    struct bench *bench = arg;
    struct temp_dir dir;

    temp_dir_make(&dir);
    prepare(bench, &dir);
    warm(bench);
    for (size_t round = 0; round < bench->rounds; round++)
        for (unsigned way = 0; way < WAYS; way++)
            if (bench->only < 0 || bench->only == (int)way)
                run_way(bench, way, round);
    if (bench->only < 0)
        report(bench);
    arena_done(&bench->runner->arena);
    tls_reports_close(bench->queue->tls_reports);
    sts_cache_free(bench->queue->sts);
    standing_free(bench->queue->standing);
    free(bench->attempt);
    free(bench->runner->site);
    free(bench->runner);
    free(bench->queue);
    temp_dir_remove(&dir);
}

int
main(int argc, char **argv)
{
    struct runtime_options runtime = { .loops = 1 };
    struct dns_stub stub = {};
    struct dns_options dns = { .stubs = &stub, .stub_count = 1, .trust_anchor_count = 1 };
    struct bench *bench = calloc(1, sizeof(*bench));
    char name[300];
    uint64_t rounds = 0;

    must(bench);
    if (argc < 6 || !str_to_u64(str_from(argv[1]), &bench->count) ||
        !str_to_u64(str_from(argv[2]), &rounds) || rounds == 0 || rounds > ROUNDS_MAX ||
        !endpoint_parse(str_from(argv[3]), &stub.server)) {
        fprintf(stderr, "usage: bench-secure COUNT ROUNDS STUB ANCHOR ZONE [WAY]\n");
        return 64;
    }
    bench->rounds = (size_t)rounds;
    bench->only = -1;
    for (int way = 0; argc > 6 && way < WAYS; way++)
        if (strcmp(argv[6], way_names[way]) == 0)
            bench->only = way;
    bench->zone = stub.zone = argv[5];
    dns.trust_anchors = (const char *const *)&argv[4];
    bench->config = config_default();
    snprintf(name, sizeof(name), "mx.%s", bench->zone);
    bench->host = (struct route_host){ .name = str_from(name), .secure = true };
    bench->host.endpoint = (struct endpoint){ ipaddr_from_v4(0x7f000c01), PORT };
    must(dns_configure(&dns, NULL) == OK);
    must(runtime_run(&runtime, tell, bench) == OK);
    config_unref(bench->config);
    free(bench);
    return 0;
}
