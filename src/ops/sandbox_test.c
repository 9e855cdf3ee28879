/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* Each test gives up rights in a process of its own, and tries to use them. */
#include "ops/sandbox.h"

#include "check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char directory[] = "/tmp/outpost-sandbox-XXXXXX";
static struct why why;

/* The exit code of FN in a child. */
static int
in_child(int (*fn)(void))
{
    int status = 0;
    pid_t pid;

    fflush(stdout);
    pid = fork();
    if (pid == 0)
        _exit(fn());
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 200;
}

static int
try_to_execute(void)
{
    char *const argv[] = { "/bin/true", NULL };

    if (sandbox_refuse_calls(&why))
        return 1;
    execv(argv[0], argv);
    if (errno != EPERM)
        return 2;
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != -1 || errno != EPERM)
        return 3;
    if (setuid(getuid()) != -1 || errno != EPERM)
        return 4;
    /* What is not refused still works. */
    return getpid() > 0 ? 0 : 5;
}

static void
no_program_can_be_started(void)
{
    CHECK(in_child(try_to_execute) == 0);
}

static int
try_to_leave(void)
{
    char inside[100], outside[100];
    bool active;
    int fd;

    snprintf(inside, sizeof inside, "%s/in/file", directory);
    snprintf(outside, sizeof outside, "%s/out/file", directory);
    struct sandbox_path paths[] = { { inside, SANDBOX_WRITE }, { "/nowhere", SANDBOX_READ } };
    *strrchr(inside, '/') = '\0';
    if (sandbox_confine_files(paths, COUNT_OF(paths), &active, &why))
        return 1;
    if (!active)
        return 100;
    inside[strlen(inside)] = '/';
    fd = open(inside, O_CREAT | O_RDWR, 0600);
    if (fd < 0 || write(fd, "x", 1) != 1 || unlink(inside))
        return 2;
    if (open(outside, O_CREAT | O_RDWR, 0600) >= 0 || errno != EACCES)
        return 3;
    if (open("/etc/shadow", O_RDONLY) >= 0)
        return 4;
    if (open("/etc/hosts", O_RDONLY) < 0 && errno == EACCES)
        return 5;
    return 0;
}

static void
files_outside_are_out_of_reach(void)
{
    char path[100];
    int result;

    CHECK(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/in", directory);
    CHECK(!mkdir(path, 0700));
    snprintf(path, sizeof path, "%s/out", directory);
    CHECK(!mkdir(path, 0700));
    result = in_child(try_to_leave);
    if (result == 100)
        printf("this kernel has no Landlock\n");
    CHECK(result == 0 || result == 100);
    rmdir(path);
    snprintf(path, sizeof path, "%s/in", directory);
    rmdir(path);
    rmdir(directory);
}

static void
an_unknown_user_is_named_with_the_cure(void)
{
    if (geteuid() != 0) {
        CHECK(!sandbox_drop_to_user("no-such-user-here", &why));
        return;
    }
    CHECK(sandbox_drop_to_user("no-such-user-here", &why) == ERR_NOT_FOUND);
    CHECK(str_find_str(str_from(why.text), S("adduser")) > 0);
    CHECK(!sandbox_drop_to_user("", &why));
}

static int
become_nobody(void)
{
    if (geteuid() != 0)
        return 0;
    if (sandbox_drop_to_user("nobody", &why))
        return 1;
    return getuid() != 0 && geteuid() != 0 && getgid() != 0 && seteuid(0) == -1 ? 0 : 2;
}

static void
root_cannot_be_had_back(void)
{
    CHECK(in_child(become_nobody) == 0);
}

int
main(void)
{
    RUN(no_program_can_be_started);
    RUN(files_outside_are_out_of_reach);
    RUN(an_unknown_user_is_named_with_the_cure);
    RUN(root_cannot_be_had_back);
    return check_end();
}
