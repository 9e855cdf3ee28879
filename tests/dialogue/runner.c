/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* runner.c: plays dialogues: dialogue [--real] TLS-DIR FILE|DIR...
 *
 * Each file runs in a process of its own, in a simulated world with virtual time; a file that hangs
 * is ended by an alarm.  Prints a line for each and "N passed, N failed" at the end.
 */
#include "script.h"
#include "stage.h"
#include "world.h"

#include "runtime/fiber.h"
#include "runtime/log.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    FILES_MAX = 2000,
    SCRIPT_SIZE_MAX = 1 << 20,
    SCRIPT_MEMORY_MAX = 4 << 20
};
enum {
    REAL_SECONDS_MAX = 60
};

enum outcome {
    PLAY_PASSED,
    PLAY_FAILED,
    PLAY_SKIPPED
};

/* One file that is being played. */
struct child {
    pid_t pid;
    const char *path;
};

enum {
    CHILDREN_MAX = 6
};

struct play {
    const char *path;
    const char *tls_dir;
    struct script script;
    bool failed;
    struct stage stage;
};

static char *files[FILES_MAX];
static size_t file_count;

static void
play_script(void *arg)
{
    struct play *play = arg;
    struct why why = { "" };
    enum err e;

    e = stage_open(&play->stage, play->tls_dir, &why);
    if (e)
        printf("%s: %s\n", play->path, why.text);
    for (size_t i = 0; i < play->script.count && !e; i++) {
        e = stage_play(&play->stage, &play->script.steps[i], &why);
        if (e)
            printf("%s:%u: %s\n", play->path, play->script.steps[i].line,
                   why.text[0] ? why.text : err_name(e));
    }
    play->failed = e != OK;
    stage_close(&play->stage);
}

static bool
read_script(const char *path, char *text, str *script)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got;

    if (fd < 0)
        return false;
    got = read(fd, text, SCRIPT_SIZE_MAX);
    close(fd);
    *script = (str){ text, got > 0 ? (size_t)got : 0 };
    return got >= 0;
}

/* In the child. */
static enum outcome
play_file(const char *path, const char *tls_dir, bool real)
{
    struct runtime_options options = { .simulated = !real, .loops = 2, .seed = 1 };
    static char text[SCRIPT_SIZE_MAX];
    static struct play play;
    struct arena arena;
    unsigned line;
    str script;

    alarm(REAL_SECONDS_MAX);
    if (real && !world_enter_real()) {
        printf("%s: the system gives us no network of our own\n", path);
        return PLAY_FAILED;
    }
    log_set_level(getenv("DIALOGUE_DEBUG") ? LOG_LEVEL_DEBUG : LOG_LEVEL_ERROR);
    arena_init(&arena, SCRIPT_MEMORY_MAX);
    if (!read_script(path, text, &script)) {
        printf("%s: cannot be read\n", path);
        return PLAY_FAILED;
    }
    play.path = path;
    play.tls_dir = tls_dir;
    if (script_parse(script, &arena, &play.script, &line)) {
        printf("%s:%u: not a line of a dialogue\n", path, line);
        return PLAY_FAILED;
    }
    if (!world_can_play(&play.script)) {
        arena_done(&arena);
        return PLAY_SKIPPED;
    }
    if (runtime_run(&options, play_script, &play))
        return PLAY_FAILED;
    arena_done(&arena);
    return play.failed ? PLAY_FAILED : PLAY_PASSED;
}

static pid_t
start_child(const char *path, const char *tls_dir, bool real)
{
    pid_t child;

    fflush(stdout);
    child = fork();
    if (!child) {
        enum outcome outcome = play_file(path, tls_dir, real);

        fflush(stdout);
        _exit((int)outcome);
    }
    return child;
}

/* Waits for one of the running children, and counts how it went. */
static void
reap_child(struct child *children, unsigned *running, unsigned counts[3])
{
    static const char *const words[] = { "ok", "FAILED", "skipped" };
    enum outcome outcome = PLAY_FAILED;
    int status = 0;
    pid_t pid = wait(&status);

    for (unsigned i = 0; i < *running; i++) {
        if (children[i].pid != pid)
            continue;
        if (WIFEXITED(status) && WEXITSTATUS(status) <= PLAY_SKIPPED)
            outcome = (enum outcome)WEXITSTATUS(status);
        if (WIFSIGNALED(status))
            printf("%s: ended by signal %d (%s)\n", children[i].path, WTERMSIG(status),
                   strsignal(WTERMSIG(status)));
        printf("%s %s\n", words[outcome], children[i].path);
        counts[outcome]++;
        children[i] = children[--*running];
        return;
    }
}

/* Most of the time a dialogue waits, so several are played at a time. */
static void
play_all(const char *tls_dir, bool real, unsigned counts[3])
{
    struct child children[CHILDREN_MAX];
    unsigned running = 0;

    for (size_t i = 0; i < file_count; i++) {
        if (running == CHILDREN_MAX)
            reap_child(children, &running, counts);
        children[running].path = files[i];
        children[running].pid = start_child(files[i], tls_dir, real);
        if (children[running].pid < 0)
            counts[PLAY_FAILED]++;
        else
            running++;
    }
    while (running)
        reap_child(children, &running, counts);
}

static int
note_file(const char *path, const struct stat *info, int kind, struct FTW *at)
{
    (void)info;
    (void)at;
    if (kind == FTW_F && str_ends(str_from(path), S(".txt")) && file_count < FILES_MAX)
        files[file_count++] = str_dup(str_from(path));
    return 0;
}

static int
by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

int
main(int argc, char **argv)
{
    unsigned counts[3] = { 0 };
    bool real = argc > 1 && !strcmp(argv[1], "--real");
    char *tls_dir;

    argv += real;
    argc -= real;
    tls_dir = argc > 2 ? realpath(argv[1], NULL) : NULL;
    if (!tls_dir) {
        fprintf(stderr, "usage: dialogue [--real] TLS-DIR FILE|DIR...\n");
        return 64;
    }
    for (int i = 2; i < argc; i++)
        nftw(argv[i], note_file, 16, FTW_PHYS);
    qsort(files, file_count, sizeof(files[0]), by_name);
    play_all(tls_dir, real, counts);
    free(tls_dir);
    printf("%u passed, %u failed, %u skipped\n", counts[0], counts[1], counts[2]);
    return counts[PLAY_FAILED] || !counts[PLAY_PASSED] ? 1 : 0;
}
