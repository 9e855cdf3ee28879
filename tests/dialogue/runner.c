/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* runner.c: plays dialogues: dialogue TLS-DIR FILE|DIR...
 *
 * Each file runs in a process of its own, in a simulated world with virtual time; a file that hangs
 * is ended by an alarm.  Prints a line for each and "N passed, N failed" at the end.
 */
#include "script.h"
#include "stage.h"

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

/* In the child: true when all steps went as written. */
static bool
play_file(const char *path, const char *tls_dir)
{
    struct runtime_options options = { .simulated = true, .seed = 1 };
    static char text[SCRIPT_SIZE_MAX];
    static struct play play;
    struct arena arena;
    unsigned line;
    str script;

    alarm(REAL_SECONDS_MAX);
    log_set_level(getenv("DIALOGUE_DEBUG") ? LOG_LEVEL_DEBUG : LOG_LEVEL_ERROR);
    arena_init(&arena, SCRIPT_MEMORY_MAX);
    if (!read_script(path, text, &script)) {
        printf("%s: cannot be read\n", path);
        return false;
    }
    play.path = path;
    play.tls_dir = tls_dir;
    if (script_parse(script, &arena, &play.script, &line)) {
        printf("%s:%u: not a line of a dialogue\n", path, line);
        return false;
    }
    if (runtime_run(&options, play_script, &play))
        return false;
    arena_done(&arena);
    return !play.failed;
}

static bool
play_in_child(const char *path, const char *tls_dir)
{
    int status = 0;
    pid_t child;

    fflush(stdout);
    child = fork();
    if (child < 0)
        return false;
    if (!child) {
        bool passed = play_file(path, tls_dir);

        fflush(stdout);
        _exit(passed ? 0 : 1);
    }
    waitpid(child, &status, 0);
    if (WIFSIGNALED(status))
        printf("%s: ended by signal %d (%s)\n", path, WTERMSIG(status),
               strsignal(WTERMSIG(status)));
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
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
    unsigned passed = 0, failed = 0;
    char *tls_dir;

    if (argc < 3) {
        fprintf(stderr, "usage: dialogue TLS-DIR FILE|DIR...\n");
        return 64;
    }
    tls_dir = realpath(argv[1], NULL);
    if (!tls_dir) {
        perror(argv[1]);
        return 64;
    }
    for (int i = 2; i < argc; i++)
        nftw(argv[i], note_file, 16, FTW_PHYS);
    qsort(files, file_count, sizeof(files[0]), by_name);
    for (size_t i = 0; i < file_count; i++) {
        bool ok = play_in_child(files[i], tls_dir);

        printf("%s %s\n", ok ? "ok" : "FAILED", files[i]);
        passed += ok;
        failed += !ok;
    }
    free(tls_dir);
    printf("%u passed, %u failed\n", passed, failed);
    return failed || !passed ? 1 : 0;
}
