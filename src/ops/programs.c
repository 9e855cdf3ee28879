/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* programs.c: the process that runs programs; start reading at serve_requests().  No threads, no
 * fibers: poll, fork, waitpid.
 */
#include "ops/programs.h"

#include "base/buf.h"
#include "delivery/program.h"
#include "ops/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    WORDS_MAX = 64,
    TEXT_MAX = 4096
};

struct running {
    pid_t pid; /* And its process group; 0: a free place. */
    int end;   /* -1: the server does not want to hear of it any more. */
};

struct programs {
    int requests;
    int signals;
    char **commands;
    size_t count;
    struct running running[PROGRAMS_RUNNING_MAX];
};

static void
tell(int fd, enum program_how how, uint32_t number)
{
    struct program_end end = { how, number };

    (void)!send(fd, &end, sizeof(end), MSG_NOSIGNAL | MSG_DONTWAIT);
    close(fd);
}

/* One request and its descriptors, which are the caller's.  -1: none is there; 0: the server is
 * gone. */
static ssize_t
receive(int fd, char *bytes, size_t size, int fds[PROGRAM_FDS])
{
    char control[CMSG_SPACE(sizeof(int) * PROGRAM_FDS)];
    struct iovec part = { bytes, size };
    struct msghdr message = {
        .msg_iov = &part,
        .msg_iovlen = 1,
        .msg_control = control,
        .msg_controllen = sizeof(control),
    };
    ssize_t got = recvmsg(fd, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    struct cmsghdr *head = got > 0 ? CMSG_FIRSTHDR(&message) : NULL;

    for (size_t i = 0; i < PROGRAM_FDS; i++)
        fds[i] = -1;
    if (head && head->cmsg_level == SOL_SOCKET && head->cmsg_type == SCM_RIGHTS)
        memcpy(fds, CMSG_DATA(head), MIN(head->cmsg_len - CMSG_LEN(0), sizeof(int) * PROGRAM_FDS));
    return got;
}

static bool
is_known(const struct programs *programs, str command)
{
    for (size_t i = 0; i < programs->count; i++)
        if (str_eq(command, str_from(programs->commands[i])))
            return true;
    return false;
}

/* In the child, which has nothing to lose: the texts end with NUL only where the packet ends them.
 */
_Noreturn static void
become_program(const str parts[PROGRAM_PARTS], const int fds[PROGRAM_FDS], int failure)
{
    static char text[TEXT_MAX * 4];
    static const char *const names[] = { NULL, "SENDER=", "RECIPIENT=", "MESSAGE_ID=" };
    char *arguments[WORDS_MAX + 1] = {};
    char *environment[PROGRAM_PARTS + 1] = { "PATH=/usr/local/bin:/usr/bin:/bin" };
    str words[WORDS_MAX];
    size_t count = program_words(parts, words, WORDS_MAX);
    size_t used = 0;
    sigset_t none;
    int number = E2BIG;

    for (size_t i = 0; i < count && used + words[i].len < sizeof(text); i++) {
        arguments[i] = text + used;
        memcpy(arguments[i], words[i].ptr, words[i].len);
        used += words[i].len + 1;
    }
    for (size_t i = PROGRAM_SENDER; i < PROGRAM_PARTS; i++) {
        size_t len = strlen(names[i]);
        if (used + len + parts[i].len >= sizeof(text))
            break;
        environment[i] = text + used;
        memcpy(environment[i], names[i], len);
        memcpy(environment[i] + len, parts[i].ptr, parts[i].len);
        used += len + parts[i].len + 1;
    }
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)signal(SIGPIPE, SIG_DFL);
    (void)signal(SIGTERM, SIG_DFL);
    (void)signal(SIGINT, SIG_DFL);
    if (count > 0 && arguments[count - 1] && environment[PROGRAM_PARTS - 1] &&
        dup2(fds[0], STDIN_FILENO) >= 0 && dup2(fds[1], STDOUT_FILENO) >= 0 &&
        dup2(fds[1], STDERR_FILENO) >= 0 && chdir("/") == 0) {
        execve(arguments[0], arguments, environment);
        number = errno;
    }
    (void)!write(failure, &number, sizeof(number));
    _exit(127);
}

/* 0, or the errno of what failed. */
static int
spawn(const str parts[PROGRAM_PARTS], const int fds[PROGRAM_FDS], pid_t *pid)
{
    int failure[2], number = 0;

    if (pipe2(failure, O_CLOEXEC))
        return errno;
    *pid = fork();
    if (*pid == 0) {
        (void)setpgid(0, 0);
        become_program(parts, fds, failure[1]);
    }
    number = *pid < 0 ? errno : 0;
    close(failure[1]);
    if (*pid > 0) {
        (void)setpgid(*pid, *pid);
        /* Ends with the execve. */
        if (read(failure[0], &number, sizeof(number)) != sizeof(number))
            number = 0;
    }
    close(failure[0]);
    return number;
}

static void
run(struct programs *programs, const str parts[PROGRAM_PARTS], const int fds[PROGRAM_FDS])
{
    struct running *place = NULL;
    int number;

    for (size_t i = 0; i < PROGRAMS_RUNNING_MAX && !place; i++)
        if (!programs->running[i].pid)
            place = &programs->running[i];
    if (!is_known(programs, parts[PROGRAM_COMMAND])) {
        tell(fds[2], PROGRAM_UNKNOWN, 0);
        return;
    }
    if (!place) {
        tell(fds[2], PROGRAM_BUSY, 0);
        return;
    }
    number = spawn(parts, fds, &place->pid);
    place->end = fds[2];
    if (number == 0)
        return;
    if (place->pid > 0)
        (void)waitpid(place->pid, NULL, 0);
    place->pid = 0;
    tell(fds[2], PROGRAM_FAILED, (uint32_t)number);
}

/* False: the server is gone. */
static bool
take_request(struct programs *programs)
{
    char bytes[PROGRAM_REQUEST_MAX];
    str parts[PROGRAM_PARTS];
    int fds[PROGRAM_FDS];
    ssize_t got = receive(programs->requests, bytes, sizeof(bytes), fds);

    if (got == 0)
        return false;
    if (got < 0)
        return errno == EAGAIN || errno == EINTR;
    if (fds[2] >= 0 && program_request_parse((str){ bytes, (size_t)got }, parts))
        run(programs, parts, fds);
    else if (fds[2] >= 0)
        close(fds[2]);
    for (size_t i = 0; i < 2; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    return true;
}

static void
reap(struct programs *programs)
{
    struct signalfd_siginfo info;
    int status;
    pid_t pid;

    (void)!read(programs->signals, &info, sizeof(info));
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        for (size_t i = 0; i < PROGRAMS_RUNNING_MAX; i++) {
            struct running *running = &programs->running[i];
            if (running->pid != pid)
                continue;
            /* What it left behind goes with it. */
            (void)kill(-pid, SIGKILL);
            if (running->end >= 0)
                tell(running->end, WIFEXITED(status) ? PROGRAM_EXITED : PROGRAM_KILLED,
                     (uint32_t)(WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status)));
            running->pid = 0;
        }
    }
}

/* The server closed its end: it waits no longer. */
static void
give_up(struct running *running)
{
    (void)kill(-running->pid, SIGKILL);
    close(running->end);
    running->end = -1;
}

static void
serve_requests(struct programs *programs)
{
    for (;;) {
        struct pollfd polled[2 + PROGRAMS_RUNNING_MAX];

        polled[0] = (struct pollfd){ .fd = programs->requests, .events = POLLIN };
        polled[1] = (struct pollfd){ .fd = programs->signals, .events = POLLIN };
        for (size_t i = 0; i < PROGRAMS_RUNNING_MAX; i++)
            polled[2 + i] = (struct pollfd){
                .fd = programs->running[i].pid ? programs->running[i].end : -1,
                .events = POLLRDHUP,
            };
        if (poll(polled, COUNT_OF(polled), -1) < 0 && errno != EINTR)
            break;
        for (size_t i = 0; i < PROGRAMS_RUNNING_MAX; i++)
            if (polled[2 + i].revents)
                give_up(&programs->running[i]);
        if (polled[1].revents)
            reap(programs);
        if (polled[0].revents && !take_request(programs))
            break;
    }
    for (size_t i = 0; i < PROGRAMS_RUNNING_MAX; i++)
        if (programs->running[i].pid)
            (void)kill(-programs->running[i].pid, SIGKILL);
}

_Noreturn static void
live(struct programs *programs, pid_t parent)
{
    struct rlimit no_cores = { 0, 0 };
    sigset_t children;

    if (getppid() != parent)
        _exit(0);
    (void)prctl(PR_SET_NAME, "outpost-program");
    (void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    (void)setrlimit(RLIMIT_CORE, &no_cores);
    /* Nothing of the server's comes along: its end of ours is the only descriptor. */
    if (dup2(programs->requests, 3) < 0)
        _exit(1);
    programs->requests = 3;
    (void)fcntl(3, F_SETFD, FD_CLOEXEC);
    (void)close_range(4, ~0U, 0);
    /* The end of the server is the end of its socket: then the programs are ended first. */
    (void)signal(SIGTERM, SIG_IGN);
    (void)signal(SIGINT, SIG_IGN);
    (void)sigemptyset(&children);
    (void)sigaddset(&children, SIGCHLD);
    (void)sigprocmask(SIG_SETMASK, &children, NULL);
    programs->signals = signalfd(-1, &children, SFD_CLOEXEC | SFD_NONBLOCK);
    if (programs->signals >= 0)
        serve_requests(programs);
    _exit(0);
}

static struct programs *
programs_new(const str *commands, size_t count)
{
    struct programs *programs = calloc(1, sizeof(*programs));

    if (!programs)
        return NULL;
    programs->commands = calloc(count + 1, sizeof(*programs->commands));
    for (size_t i = 0; programs->commands && i < count; i++) {
        programs->commands[i] = strndup(commands[i].ptr, commands[i].len);
        if (programs->commands[i])
            programs->count++;
    }
    return programs;
}

static void
programs_free(struct programs *programs)
{
    for (size_t i = 0; i < programs->count; i++)
        free(programs->commands[i]);
    free(programs->commands);
    free(programs);
}

enum err
programs_start(const str *commands, size_t count, const char *user, int *fd, struct why *why)
{
    struct programs *programs;
    pid_t parent = getpid();
    int pair[2];
    pid_t pid;

    if (count > PROGRAMS_COMMANDS_MAX)
        return err_why(why, ERR_LIMIT, "at most %d programs can be named", PROGRAMS_COMMANDS_MAX);
    if (geteuid() == 0 && (!user || !user[0]))
        return err_why(why, ERR_REFUSED,
                       "programs do not run as root: name an account by server.program_user");
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
        return err_why(why, err_from_errno(errno), "socketpair: %s", strerror(errno));
    programs = programs_new(commands, count);
    pid = programs ? fork() : -1;
    if (pid == 0) {
        if (sandbox_drop_to_user(user, why))
            _exit(1);
        programs->requests = pair[1];
        live(programs, parent);
    }
    close(pair[1]);
    if (programs)
        programs_free(programs);
    if (pid < 0) {
        close(pair[0]);
        return err_why(why, ERR_IO, "the process for programs cannot be started");
    }
    *fd = pair[0];
    return OK;
}
