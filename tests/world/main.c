/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* main.c: worlds by their seeds, each in a process of its own.
 *
 * What a seed means beside the numbers that it draws: those that four divides have crashes, of the
 * others each fifth is lived twice, with and without the sick sites.  Each third sends from two
 * addresses, which receivers count apart; in each seventh an operator meddles.  Start reading at
 * main(); README.md has examples.
 */
#include "world.h"

#include "base/must.h"
#include "runtime/log.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    JOBS_MAX = 64,
    CRASHES = 4,
    LINE = 512
};

struct job {
    pid_t pid;
    struct options options;
    struct tally *tally; /* Shared with the process. */
};

struct run {
    struct options base;
    unsigned jobs;
    bool bars; /* Judge the sum, too. */
    struct job running[JOBS_MAX];
    struct tally sum;
    uint64_t failed;
};

static void
choose_troubles(struct options *options)
{
    options->crashes = options->seed % 4 == 0 ? CRASHES : 0;
    options->sources = options->seed % 3 == 0 ? SOURCES_MAX : 1;
    options->meddles = options->seed % 7 == 0;
    options->pair = options->crashes == 0 && !options->meddles && options->seed % 5 == 0;
}

/* --- Processes. */

static void
say_how_to_repeat(const struct options *options)
{
    printf("FAILED: world --seeds %llu --sites %u --recipients %u%s%s%s --verbose\n",
           (unsigned long long)options->seed, options->sites, options->recipients,
           options->only ? " --only '" : "", options->only ? options->only : "",
           options->only ? "'" : "");
    fflush(stdout);
}

static void
finish_one(struct run *run)
{
    int status = 0;
    pid_t pid = wait(&status);

    for (unsigned i = 0; i < run->jobs; i++) {
        struct job *job = &run->running[i];
        if (job->pid != pid)
            continue;
        job->pid = 0;
        tally_add(&run->sum, job->tally);
        if (status != 0 || job->tally->failures > 0 || job->tally->worlds == 0) {
            run->failed++;
            say_how_to_repeat(&job->options);
        }
    }
}

static struct job *
free_job(struct run *run)
{
    for (;;) {
        for (unsigned i = 0; i < run->jobs; i++)
            if (run->running[i].pid == 0)
                return &run->running[i];
        finish_one(run);
    }
}

static void
start(struct run *run, const struct options *options)
{
    struct job *job = free_job(run);

    if (!job->tally) {
        job->tally = mmap(NULL, sizeof(*job->tally), PROT_READ | PROT_WRITE,
                          MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        must(job->tally != MAP_FAILED);
    }
    *job->tally = (struct tally){};
    job->options = *options;
    fflush(stdout);
    job->pid = fork();
    must(job->pid >= 0);
    if (job->pid != 0)
        return;
    /* A disk that dies makes the spool say so again and again. */
    if (!options->verbose && options->crashes > 0)
        must(freopen("/dev/null", "w", stderr));
    world_run(options, job->tally, stdout);
    fflush(stdout);
    _exit(0);
}

static void
wait_for_all(struct run *run)
{
    for (unsigned i = 0; i < run->jobs; i++)
        while (run->running[i].pid != 0)
            finish_one(run);
}

/* --- Words. */

static uint64_t
number(str text)
{
    uint64_t value;

    if (str_to_u64(text, &value))
        return value;
    fprintf(stderr, "world: \"%.*s\" is not a number\n", STR_ARG(text));
    exit(64);
}

static void
run_seeds(struct run *run, const char *range)
{
    ssize_t dots = str_find_str(str_from(range), S(".."));
    uint64_t first = number(str_head(str_from(range), dots < 0 ? strlen(range) : (size_t)dots));
    uint64_t last = dots < 0 ? first : number(str_skip(str_from(range), (size_t)dots + 2));

    for (uint64_t seed = first; seed <= last; seed++) {
        struct options options = run->base;
        options.seed = seed;
        choose_troubles(&options);
        start(run, &options);
    }
    wait_for_all(run);
}

/* Lines "SEED SITES RECIPIENTS why". */
static void
run_kept(struct run *run, const char *path)
{
    FILE *file = fopen(path, "re");
    char line[LINE];

    if (!file) {
        fprintf(stderr, "world: cannot open %s\n", path);
        exit(66);
    }
    while (fgets(line, sizeof(line), file)) {
        struct options options = run->base;
        str rest = str_from(line), words[3];
        if (line[0] == '#' || line[0] == '\n')
            continue;
        for (size_t i = 0; i < COUNT_OF(words); i++)
            (void)str_split(rest, ' ', &words[i], &rest);
        options.seed = number(words[0]);
        options.sites = (unsigned)number(words[1]);
        options.recipients = (unsigned)number(words[2]);
        choose_troubles(&options);
        start(run, &options);
    }
    wait_for_all(run);
    (void)fclose(file);
}

static void
usage(void)
{
    fprintf(
        stderr,
        "usage: world [--sites N] [--recipients N] [--jobs N] [--only KIND] [--bars] [--verbose] "
        "--seeds FROM..TO | --kept FILE\n");
    exit(64);
}

int
main(int argc, char **argv)
{
    static struct run run = { .base = { .sites = 60, .recipients = 4000 }, .jobs = 2 };
    const char *seeds = NULL, *kept = NULL;

    log_set_level(LOG_LEVEL_ERROR);
    if (access("/dev/shm", W_OK) == 0)
        (void)setenv("TMPDIR", "/dev/shm", 0);
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--verbose") == 0)
            run.base.verbose = true;
        else if (strcmp(argv[i], "--bars") == 0)
            run.bars = true;
        else if (i + 1 == argc)
            usage();
        else if (strcmp(argv[i], "--sites") == 0)
            run.base.sites = (unsigned)number(str_from(argv[++i]));
        else if (strcmp(argv[i], "--recipients") == 0)
            run.base.recipients = (unsigned)number(str_from(argv[++i]));
        else if (strcmp(argv[i], "--jobs") == 0)
            run.jobs = (unsigned)number(str_from(argv[++i]));
        else if (strcmp(argv[i], "--only") == 0)
            run.base.only = argv[++i];
        else if (strcmp(argv[i], "--seeds") == 0)
            seeds = argv[++i];
        else if (strcmp(argv[i], "--kept") == 0)
            kept = argv[++i];
        else
            usage();
    }
    if ((!seeds && !kept) || run.jobs == 0 || run.jobs > JOBS_MAX)
        usage();
    if (kept)
        run_kept(&run, kept);
    if (seeds)
        run_seeds(&run, seeds);
    tally_print(&run.sum, true, stdout);
    if (run.bars)
        judge_all(&run.sum, stdout);
    run.failed += run.sum.failures > 0 && run.failed == 0;
    printf("%llu passed, %llu failed\n",
           (unsigned long long)(run.sum.worlds - MIN(run.failed, run.sum.worlds)),
           (unsigned long long)run.failed);
    return run.failed ? 1 : 0;
}
