/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* A supervisor with a server that does nothing but say what is asked of it. */
#include "ops/supervisor.h"

#include "check.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

enum {
    PATIENCE_MS = 10000
};

/* Shared by all processes of a test. */
static struct board {
    volatile pid_t server;
    volatile unsigned starts;
    volatile unsigned reloads;
    volatile unsigned fail_from; /* Starts from this one on fail with EX_CONFIG; 0: none. */
} * board;

static int
serve(const struct supervisor_child *child, void *)
{
    sigset_t set;
    int number;

    board->server = getpid();
    board->starts++;
    if (board->fail_from && board->starts >= board->fail_from)
        return EX_CONFIG;
    supervisor_say(child->notify_fd, SUPERVISOR_WAITING, NULL);
    supervisor_say(child->notify_fd, SUPERVISOR_READY, NULL);
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    while (!sigwait(&set, &number) && number == SIGHUP) {
        board->reloads++;
        supervisor_say(child->notify_fd, SUPERVISOR_RELOADED, NULL);
    }
    return 0;
}

struct run {
    pid_t pid;
    int output;
};

static void
run_start(struct run *run)
{
    int pipes[2];

    *board = (struct board){ .fail_from = board->fail_from };
    fflush(stdout);
    CHECK(!pipe(pipes));
    run->pid = fork();
    if (run->pid == 0) {
        struct supervisor_options options = {
            .serve = serve,
            .listeners = (struct supervisor_listener[]){ { .name = "smtp" } },
            .listener_count = 1,
            .backoff = MILLISECONDS(10),
        };

        ipaddr_parse(S("127.0.0.1"),
                     &((struct supervisor_listener *)options.listeners)->endpoint.addr);
        dup2(pipes[1], STDOUT_FILENO);
        close(pipes[0]);
        close(pipes[1]);
        exit(supervisor_run(&options));
    }
    close(pipes[1]);
    run->output = pipes[0];
}

/* The next piece of output, or nothing when none comes. */
static str
run_read(struct run *run, char *text, size_t size)
{
    struct pollfd wait = { .fd = run->output, .events = POLLIN };
    ssize_t got = 0;

    if (poll(&wait, 1, PATIENCE_MS) > 0)
        got = read(run->output, text, size);
    return (str){ text, got > 0 ? (size_t)got : 0 };
}

static int
run_end(struct run *run, int number)
{
    int status = 0;

    if (number)
        kill(run->pid, number);
    for (int i = 0; i < PATIENCE_MS / 10; i++) {
        if (waitpid(run->pid, &status, WNOHANG) == run->pid) {
            close(run->output);
            return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
        }
        poll(NULL, 0, 10);
    }
    kill(run->pid, SIGKILL);
    waitpid(run->pid, &status, 0);
    close(run->output);
    return -1000;
}

static void
the_first_line_names_the_ports(void)
{
    struct run run;
    char text[200];
    str line;

    run_start(&run);
    line = run_read(&run, text, sizeof text);
    CHECK(str_starts(line, S("ready smtp=")));
    CHECK(str_find_str(line, S("smtp=0")) < 0);
    CHECK(str_find_str(line, S(" pid=")) > 0);
    CHECK(run_end(&run, SIGTERM) == 0);
}

static void
a_killed_server_is_started_again(void)
{
    struct run run;
    char text[200];

    run_start(&run);
    CHECK(run_read(&run, text, sizeof text).len > 0);
    kill(board->server, SIGKILL);
    CHECK(str_starts(run_read(&run, text, sizeof text), S("ready ")));
    CHECK(board->starts == 2);
    CHECK(run_end(&run, SIGINT) == 0);
}

static void
a_reload_is_passed_on(void)
{
    struct run run;
    char text[200];

    run_start(&run);
    CHECK(run_read(&run, text, sizeof text).len > 0);
    kill(run.pid, SIGHUP);
    for (int i = 0; i < PATIENCE_MS / 10 && !board->reloads; i++)
        poll(NULL, 0, 10);
    CHECK(board->reloads == 1);
    CHECK(board->starts == 1);
    CHECK(run_end(&run, SIGTERM) == 0);
}

static void
a_server_that_cannot_start_ends_the_supervisor_with_its_code(void)
{
    struct run run;

    board->fail_from = 1;
    run_start(&run);
    CHECK(run_end(&run, 0) == EX_CONFIG);
    CHECK(board->starts == 1);
    board->fail_from = 0;
}

static void
a_server_that_fails_later_is_tried_again_and_again(void)
{
    struct run run;
    char text[200];

    board->fail_from = 2;
    run_start(&run);
    CHECK(run_read(&run, text, sizeof text).len > 0);
    kill(board->server, SIGKILL);
    for (int i = 0; i < PATIENCE_MS / 10 && board->starts < 4; i++)
        poll(NULL, 0, 10);
    CHECK(board->starts >= 4);
    CHECK(run_end(&run, SIGTERM) == 0);
    board->fail_from = 0;
}

static void
the_server_ends_with_its_supervisor(void)
{
    struct run run;
    char text[200];
    pid_t server;

    run_start(&run);
    CHECK(run_read(&run, text, sizeof text).len > 0);
    server = board->server;
    CHECK(run_end(&run, SIGKILL) == -SIGKILL);
    for (int i = 0; i < PATIENCE_MS / 10 && !kill(server, 0); i++)
        poll(NULL, 0, 10);
    CHECK(kill(server, 0) != 0);
}

static void
systemd_is_told(void)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    char text[100] = { 0 };
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

    snprintf(address.sun_path + 1, sizeof address.sun_path - 1, "outpost-test-%ld", (long)getpid());
    CHECK(!bind(
        fd, (struct sockaddr *)&address,
        (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(address.sun_path + 1))));
    address.sun_path[0] = '@';
    setenv("NOTIFY_SOCKET", address.sun_path, 1);
    supervisor_notify("READY=1");
    unsetenv("NOTIFY_SOCKET");
    CHECK(recv(fd, text, sizeof text - 1, MSG_DONTWAIT) == 7);
    CHECK_STR(str_from(text), "READY=1");
    close(fd);
}

static void
sockets_are_named_in_the_environment(void)
{
    struct server_socket sockets[2];

    CHECK(supervisor_parse_sockets(S("smtp=3;submission=14;"), sockets, 2) == 2);
    CHECK_STR(str_from(sockets[1].name), "submission");
    CHECK(sockets[1].fd == 14);
    CHECK(supervisor_parse_sockets(S("a=1;b=2;c=3"), sockets, 2) == 2);
    CHECK(supervisor_parse_sockets(S("a=x;=4;b;c=99999999999"), sockets, 2) == 0);
    CHECK(supervisor_parse_sockets(S(""), sockets, 2) == 0);
}

static void
restarts_get_slower_up_to_a_quarter_of_a_minute(void)
{
    CHECK(supervisor_backoff(0, 1) == MILLISECONDS(100));
    CHECK(supervisor_backoff(0, 2) == MILLISECONDS(200));
    CHECK(supervisor_backoff(0, 5) == MILLISECONDS(1600));
    CHECK(supervisor_backoff(0, 1000) == SECONDS(15));
}

int
main(void)
{
    board = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (board == MAP_FAILED)
        return 1;
    RUN(the_first_line_names_the_ports);
    RUN(a_killed_server_is_started_again);
    RUN(a_reload_is_passed_on);
    RUN(a_server_that_cannot_start_ends_the_supervisor_with_its_code);
    RUN(a_server_that_fails_later_is_tried_again_and_again);
    RUN(the_server_ends_with_its_supervisor);
    RUN(systemd_is_told);
    RUN(sockets_are_named_in_the_environment);
    RUN(restarts_get_slower_up_to_a_quarter_of_a_minute);
    return check_end();
}
