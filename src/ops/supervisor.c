/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* supervisor.c: keeps one server alive over its sockets.
 *
 * Servers are children, made by fork without exec; each has a channel, a socket pair on which it
 * says that it is ready.  At most one is `current`; others are `leaving`.  A new binary takes over
 * like this:
 *
 *     SIGUSR2: try the binary ── bad: say so, all stays
 *        └─ exec in this process, with sockets and servers named in the environment
 *             └─ the new image starts its server; it reads its configuration, says WAITING and
 * waits for the spool ├─ WAITING: the older server is asked to leave (SIGUSR1), and gives up the
 * spool when it has └─ dies before that: the older server is current again
 *
 * Meanwhile the kernel keeps accepting connections on the sockets.  Start reading at
 * supervisor_run().
 */
#include "ops/supervisor.h"

#include "base/buf.h"
#include "base/must.h"
#include "ops/sandbox.h"
#include "runtime/clock.h"
#include "runtime/listener.h"
#include "runtime/log.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

enum {
    SERVERS_MAX = 4, /* One current, and those that are leaving. */
    BACKLOG = 1024,
    WORD_MAX = 512,
};

#define STOP_TIME     SECONDS(80) /* systemd kills after 90. */
#define TRIAL_TIME    SECONDS(10) /* For a new binary to say its version. */
#define BACKOFF_FIRST MILLISECONDS(100)
#define BACKOFF_MAX   SECONDS(15)
/* Of serving; a death after it is the first in a row again. */
#define LIFE_LONG_ENOUGH SECONDS(1)

#define ENV_SOCKETS "OUTPOST_SOCKETS"
#define ENV_SERVERS "OUTPOST_SERVERS"

struct server_process {
    pid_t pid; /* 0: a free place. */
    int channel;
    bool leaving; /* Of an older binary. */
    bool asked;   /* It was told to leave. */
    bool ready;
    instant ready_at; /* Steady; 0: not yet. */
};

struct supervisor {
    const struct supervisor_options *options;
    struct server_socket sockets[SUPERVISOR_LISTENERS_MAX];
    size_t socket_count;
    struct server_process servers[SERVERS_MAX];
    int signals;
    bool stopping;
    bool was_ready;     /* Once: from then on a death is answered by a restart. */
    unsigned failures;  /* Quick deaths in a row. */
    instant restart_at; /* NEVER: no restart is due. */
    instant kill_at;
    int exit_code;
};

static const char *const words[] = {
    [SUPERVISOR_WAITING] = "waiting",
    [SUPERVISOR_READY] = "ready",
    [SUPERVISOR_RELOADED] = "reloaded",
    [SUPERVISOR_RELOAD_FAILED] = "reload-failed",
};

void
supervisor_say(int fd, enum supervisor_word word, const char *text)
{
    char line[WORD_MAX];
    int length;

    if (fd < 0)
        return;
    length = snprintf(line, sizeof line, "%s %s", words[word], text ? text : "");
    /* One packet; if nobody listens any more there is nobody to tell. */
    (void)!send(fd, line, MIN((size_t)length, sizeof line - 1), MSG_NOSIGNAL);
}

void
supervisor_notify(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    size_t length = path ? strlen(path) : 0;
    int fd;

    if (length < 2 || length >= sizeof address.sun_path || (path[0] != '/' && path[0] != '@'))
        return;
    memcpy(address.sun_path, path, length);
    if (path[0] == '@')
        address.sun_path[0] = '\0';
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    (void)!sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&address,
                  (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length));
    close(fd);
}

/* Tells systemd that a reload begins; it compares the time with that of READY=1. */
static void
notify_reloading(void)
{
    char state[80];

    snprintf(state, sizeof state, "RELOADING=1\nMONOTONIC_USEC=%lld",
             (long long)(clock_steady() / MICROSECONDS(1)));
    supervisor_notify(state);
}

static void
set_close_on_exec(int fd, bool on)
{
    (void)!fcntl(fd, F_SETFD, on ? FD_CLOEXEC : 0);
}

static bool
is_socket(int fd)
{
    int listening = 0;
    socklen_t size = sizeof listening;

    return !getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) && listening;
}

size_t
supervisor_parse_sockets(str text, struct server_socket *sockets, size_t max)
{
    size_t count = 0;

    while (text.len && count < max) {
        str entry, name, number;
        uint64_t fd;

        (void)str_split(text, ';', &entry, &text);
        if (!str_split(entry, '=', &name, &number) || !str_to_u64(number, &fd) || fd > INT32_MAX ||
            !name.len || name.len >= sizeof sockets->name)
            continue;
        memcpy(sockets[count].name, name.ptr, name.len);
        sockets[count].name[name.len] = '\0';
        sockets[count++].fd = (int)fd;
    }
    return count;
}

duration
supervisor_backoff(duration first, unsigned failures)
{
    duration wait = first > 0 ? first : BACKOFF_FIRST;

    for (unsigned i = 1; i < failures && wait < BACKOFF_MAX; i++)
        wait *= 2;
    return MIN(wait, BACKOFF_MAX);
}

/* The sockets of our own older image. */
static size_t
inherited_from_ourselves(struct server_socket *sockets)
{
    const char *text = getenv(ENV_SOCKETS);
    size_t count = supervisor_parse_sockets(str_from(text), sockets, SUPERVISOR_LISTENERS_MAX);
    size_t kept = 0;

    unsetenv(ENV_SOCKETS);
    for (size_t i = 0; i < count; i++)
        if (is_socket(sockets[i].fd))
            sockets[kept++] = sockets[i];
    return kept;
}

/* systemd's socket activation: descriptors from 3 on, meant for this process. */
static size_t
inherited_from_systemd(struct server_socket *sockets)
{
    str names = str_from(getenv("LISTEN_FDNAMES"));
    uint64_t pid, count = 0;
    size_t kept = 0;

    if (!str_to_u64(str_from(getenv("LISTEN_PID")), &pid) || pid != (uint64_t)getpid() ||
        !str_to_u64(str_from(getenv("LISTEN_FDS")), &count))
        count = 0;
    for (int i = 0; i < (int)MIN(count, (uint64_t)SUPERVISOR_LISTENERS_MAX); i++) {
        struct server_socket *socket = &sockets[kept];
        str name;

        (void)str_split(names, ':', &name, &names);
        if (!is_socket(3 + i))
            continue;
        name = str_head(name, sizeof socket->name - 1);
        memcpy(socket->name, name.ptr, name.len);
        socket->name[name.len] = '\0';
        socket->fd = 3 + i;
        kept++;
    }
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
    return kept;
}

/* Where FD listens; false when that is not IP. */
static bool
endpoint_of(int fd, struct endpoint *endpoint)
{
    struct sockaddr_storage address = { 0 };
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)&address;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&address;
    socklen_t size = sizeof address;

    if (getsockname(fd, (struct sockaddr *)&address, &size))
        return false;
    if (address.ss_family == AF_INET) {
        endpoint->addr = ipaddr_from_v4(ntohl(v4->sin_addr.s_addr));
        endpoint->port = ntohs(v4->sin_port);
        return true;
    }
    if (address.ss_family == AF_INET6) {
        endpoint->addr = ipaddr_from_v6(v6->sin6_addr.s6_addr);
        endpoint->port = ntohs(v6->sin6_port);
        return true;
    }
    return false;
}

static uint16_t
port_of(int fd)
{
    struct endpoint endpoint;

    return endpoint_of(fd, &endpoint) ? endpoint.port : 0;
}

/* How well SOCKET does for LISTENER: the very address, the port, or, when the configuration leaves
 * the port to the system, the name.  0: not at all. */
static int
likeness(const struct supervisor_listener *listener, const struct server_socket *socket)
{
    struct endpoint endpoint;

    if (socket->fd < 0 || !endpoint_of(socket->fd, &endpoint))
        return 0;
    if (!listener->endpoint.port)
        return !strcmp(socket->name, listener->name);
    if (endpoint.port != listener->endpoint.port)
        return 0;
    return ipaddr_eq(endpoint.addr, listener->endpoint.addr) ? 2 : 1;
}

/* Takes the inherited socket that does best for LISTENER out of the list; -1 when none does. */
static int
take_inherited(const struct supervisor_listener *listener, struct server_socket *inherited,
               size_t count)
{
    struct server_socket *best = NULL;
    int fd = -1;

    for (size_t i = 0; i < count; i++)
        if (likeness(listener, &inherited[i]) > (best ? likeness(listener, best) : 0))
            best = &inherited[i];
    if (best) {
        fd = best->fd;
        best->fd = -1;
    }
    return fd;
}

/* Every listener of the configuration gets its socket: one that was handed to us, or a new one. */
static enum err
open_sockets(struct supervisor *supervisor, struct why *why)
{
    struct server_socket inherited[SUPERVISOR_LISTENERS_MAX * 2];
    size_t count = inherited_from_ourselves(inherited);

    count += inherited_from_systemd(inherited + count);
    must(supervisor->options->listener_count <= SUPERVISOR_LISTENERS_MAX);
    for (size_t i = 0; i < supervisor->options->listener_count; i++) {
        const struct supervisor_listener *listener = &supervisor->options->listeners[i];
        struct server_socket *socket = &supervisor->sockets[supervisor->socket_count];
        enum err e;

        memcpy(socket->name, listener->name, sizeof socket->name);
        socket->fd = take_inherited(listener, inherited, count);
        if (socket->fd < 0) {
            e = listener_bind(&listener->endpoint, BACKLOG, &socket->fd, why);
            /* An older server is running: better it than none. */
            if (e && supervisor->was_ready) {
                log_error("%s", why->text);
                continue;
            }
            if (e)
                return e;
        }
        set_close_on_exec(socket->fd, true);
        /* Somebody else's socket may block, and accept() must not. */
        (void)!fcntl(socket->fd, F_SETFL, O_NONBLOCK);
        supervisor->socket_count++;
    }
    for (size_t i = 0; i < count; i++)
        if (inherited[i].fd >= 0)
            close(inherited[i].fd); /* No longer in the configuration. */
    return OK;
}

static unsigned
count_servers(const struct supervisor *supervisor)
{
    unsigned count = 0;

    for (size_t i = 0; i < SERVERS_MAX; i++)
        count += supervisor->servers[i].pid != 0;
    return count;
}

static void
signal_servers(struct supervisor *supervisor, int number, bool leaving_too)
{
    for (size_t i = 0; i < SERVERS_MAX; i++) {
        struct server_process *server = &supervisor->servers[i];

        if (server->pid && (leaving_too || !server->leaving))
            kill(server->pid, number);
    }
}

/* The servers that our older image started: they are still children of this process. */
static void
adopt_servers(struct supervisor *supervisor)
{
    struct server_socket pairs[SERVERS_MAX]; /* "pid=channel" */
    size_t count = supervisor_parse_sockets(str_from(getenv(ENV_SERVERS)), pairs, SERVERS_MAX - 1);

    unsetenv(ENV_SERVERS);
    for (size_t i = 0; i < count; i++) {
        uint64_t pid;

        if (!str_to_u64(str_from(pairs[i].name), &pid) || pid > INT32_MAX)
            continue;
        set_close_on_exec(pairs[i].fd, true);
        supervisor->servers[i] = (struct server_process){
            .pid = (pid_t)pid,
            .channel = pairs[i].fd,
            .leaving = true,
        };
        supervisor->was_ready = true;
    }
}

/* In the child: what a server must have before it runs, and nothing of ours beside. */
static void
become_server(struct supervisor *supervisor, pid_t parent, int channel, int *helper)
{
    struct rlimit files;
    struct why why;
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

    close(supervisor->signals);
    for (size_t i = 0; i < SERVERS_MAX; i++)
        if (supervisor->servers[i].pid && supervisor->servers[i].channel != channel)
            close(supervisor->servers[i].channel);
    if (null >= 0) {
        dup2(null, STDIN_FILENO);
        close(null);
    }
    if (!getrlimit(RLIMIT_NOFILE, &files)) {
        files.rlim_cur = files.rlim_max;
        (void)!setrlimit(RLIMIT_NOFILE, &files);
    }
    unsetenv("NOTIFY_SOCKET");
    if (supervisor->options->start_helper)
        *helper = supervisor->options->start_helper(supervisor->options->arg);
    if (sandbox_drop_to_user(supervisor->options->user, &why)) {
        log_error("%s", why.text);
        _exit(EX_NOUSER);
    }
    /* After the change of user, which would clear it. */
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent)
        _exit(EX_UNAVAILABLE);
}

static void
start_server(struct supervisor *supervisor)
{
    struct server_process *place = NULL;
    pid_t parent = getpid();
    int pair[2];
    pid_t pid;

    supervisor->restart_at = NEVER;
    for (size_t i = 0; i < SERVERS_MAX && !place; i++)
        if (!supervisor->servers[i].pid)
            place = &supervisor->servers[i];
    must(place);
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair)) {
        log_error("socketpair: %s", strerror(errno));
        supervisor->restart_at = clock_steady() + BACKOFF_MAX;
        return;
    }
    pid = fork();
    if (pid == 0) {
        struct supervisor_child child = {
            .sockets = supervisor->sockets,
            .socket_count = supervisor->socket_count,
            .notify_fd = pair[1],
            .taking_over = count_servers(supervisor) > 0,
        };

        close(pair[0]);
        become_server(supervisor, parent, pair[1], &child.helper);
        exit(supervisor->options->serve(&child, supervisor->options->arg));
    }
    close(pair[1]);
    if (pid < 0) {
        log_error("fork: %s", strerror(errno));
        close(pair[0]);
        supervisor->restart_at = clock_steady() + BACKOFF_MAX;
        return;
    }
    *place = (struct server_process){ .pid = pid, .channel = pair[0] };
}

/* "ready smtp=127.0.0.1:2025 ...", the first line of output, for people and scripts that wait. */
static void
announce_ready(struct supervisor *supervisor)
{
    struct buf line;

    buf_init(&line, 8192);
    buf_addf(&line, "ready");
    for (size_t i = 0; i < supervisor->socket_count; i++)
        buf_addf(&line, " %s=%u", supervisor->sockets[i].name,
                 (unsigned)port_of(supervisor->sockets[i].fd));
    buf_addf(&line, " pid=%ld\n", (long)getpid());
    fwrite(line.data, 1, line.len, stdout);
    fflush(stdout);
    buf_done(&line);
    supervisor_notify("READY=1\nSTATUS=Serving mail");
}

static void
ask_older_to_leave(struct supervisor *supervisor)
{
    for (size_t i = 0; i < SERVERS_MAX; i++) {
        struct server_process *server = &supervisor->servers[i];

        if (server->pid && server->leaving) {
            server->asked = true;
            kill(server->pid, SIGUSR1);
        }
    }
}

/* One packet of SERVER. */
static void
hear(struct supervisor *supervisor, struct server_process *server, str packet)
{
    str word, text;

    (void)str_split(packet, ' ', &word, &text);
    if (server->leaving)
        return;
    if (str_eq(word, S("waiting"))) {
        ask_older_to_leave(supervisor);
    } else if (str_eq(word, S("ready"))) {
        server->ready = supervisor->was_ready = true;
        server->ready_at = clock_steady();
        announce_ready(supervisor);
    } else if (str_eq(word, S("reloaded"))) {
        log_info("the configuration was read again%s%.*s", text.len ? ": " : "", STR_ARG(text));
        supervisor_notify("READY=1\nSTATUS=Serving mail");
    } else if (str_eq(word, S("reload-failed"))) {
        log_error("the configuration was not changed: %.*s", STR_ARG(text));
        supervisor_notify("READY=1\nSTATUS=Serving mail; the last reload failed");
    }
}

static void
hear_all(struct supervisor *supervisor, struct server_process *server)
{
    char packet[WORD_MAX];
    ssize_t got;

    while ((got = recv(server->channel, packet, sizeof packet, MSG_DONTWAIT)) > 0)
        hear(supervisor, server, (str){ packet, (size_t)got });
}

static void
describe_end(int status, char *text, size_t size)
{
    if (WIFSIGNALED(status))
        snprintf(text, size, "was ended by signal %d (%s)", WTERMSIG(status),
                 strsignal(WTERMSIG(status)));
    else
        snprintf(text, size, "ended with code %d", WEXITSTATUS(status));
}

/* An older server that was not told to leave yet is the current one again.  False: there is none.
 */
static bool
fall_back(struct supervisor *supervisor)
{
    for (size_t i = 0; i < SERVERS_MAX; i++) {
        struct server_process *server = &supervisor->servers[i];

        if (server->pid && server->leaving && !server->asked) {
            server->leaving = false;
            server->ready = true;
            announce_ready(supervisor);
            return true;
        }
    }
    return false;
}

/* The current server is gone without having been asked. */
static void
decide_restart(struct supervisor *supervisor, const struct server_process *gone, int status)
{
    char text[100];
    duration wait;

    describe_end(status, text, sizeof text);
    if (!gone->ready && fall_back(supervisor)) {
        log_error("the new server %s; the older one goes on", text);
        return;
    }
    if (!supervisor->was_ready && WIFEXITED(status)) {
        /* It could not start, and has said why: an operator is watching. */
        supervisor->stopping = true;
        supervisor->exit_code = WEXITSTATUS(status) ? WEXITSTATUS(status) : EX_UNAVAILABLE;
        return;
    }
    if (gone->ready_at && clock_steady() - gone->ready_at > LIFE_LONG_ENOUGH)
        supervisor->failures = 0;
    supervisor->failures++;
    wait = supervisor_backoff(supervisor->options->backoff, supervisor->failures);
    log_error("the server %s; starting it again in %lld ms", text,
              (long long)(wait / MILLISECONDS(1)));
    supervisor_notify("STATUS=The server ended; starting it again");
    supervisor->restart_at = clock_steady() + wait;
}

static void
reap(struct supervisor *supervisor)
{
    for (size_t i = 0; i < SERVERS_MAX; i++) {
        struct server_process *server = &supervisor->servers[i];
        struct server_process gone = *server;
        int status;

        if (!server->pid || waitpid(server->pid, &status, WNOHANG) != server->pid)
            continue;
        hear_all(supervisor, server);
        gone.ready = server->ready;
        gone.ready_at = server->ready_at;
        close(server->channel);
        *server = (struct server_process){ 0 };
        if (gone.leaving)
            log_info("the older server has finished");
        else if (!supervisor->stopping)
            decide_restart(supervisor, &gone, status);
    }
}

/* Whether the binary that would be started now can run at all. */
static bool
new_binary_works(char **trial)
{
    instant deadline = clock_steady() + TRIAL_TIME;
    sigset_t none;
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        int null = open("/dev/null", O_RDWR | O_CLOEXEC);

        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        dup2(null, STDIN_FILENO);
        dup2(null, STDOUT_FILENO);
        execvp(trial[0], trial);
        _exit(127);
    }
    while (pid > 0 && clock_steady() < deadline) {
        if (waitpid(pid, &status, WNOHANG) == pid)
            return WIFEXITED(status) && WEXITSTATUS(status) == 0;
        poll(NULL, 0, 10);
    }
    if (pid > 0) {
        kill(pid, SIGKILL);
        waitpid(pid, &status, 0);
    }
    return false;
}

static void
hand_over_all(struct supervisor *supervisor, bool on)
{
    struct buf sockets, servers;

    buf_init(&sockets, 16384);
    buf_init(&servers, 1024);
    for (size_t i = 0; i < supervisor->socket_count; i++) {
        set_close_on_exec(supervisor->sockets[i].fd, !on);
        buf_addf(&sockets, "%s=%d;", supervisor->sockets[i].name, supervisor->sockets[i].fd);
    }
    for (size_t i = 0; i < SERVERS_MAX; i++) {
        if (!supervisor->servers[i].pid)
            continue;
        set_close_on_exec(supervisor->servers[i].channel, !on);
        buf_addf(&servers, "%ld=%d;", (long)supervisor->servers[i].pid,
                 supervisor->servers[i].channel);
    }
    if (on) {
        setenv(ENV_SOCKETS, buf_cstr(&sockets), 1);
        setenv(ENV_SERVERS, buf_cstr(&servers), 1);
    } else {
        unsetenv(ENV_SOCKETS);
        unsetenv(ENV_SERVERS);
    }
    buf_done(&sockets);
    buf_done(&servers);
}

/* SIGUSR2: from here on this process is the new binary, or nothing has changed. */
static void
start_new_binary(struct supervisor *supervisor)
{
    char **argv = supervisor->options->argv;

    if (count_servers(supervisor) >= SERVERS_MAX - 1) {
        log_error("older servers have not finished yet; try again when they have");
        return;
    }
    if (!new_binary_works(supervisor->options->trial)) {
        log_error("'%s %s' fails: the new binary is not started, the server goes on unchanged",
                  supervisor->options->trial[0], supervisor->options->trial[1]);
        return;
    }
    notify_reloading();
    log_info("starting %s anew", argv[0]);
    hand_over_all(supervisor, true);
    execvp(argv[0], argv);
    log_error("%s cannot be started: %s; the server goes on unchanged", argv[0], strerror(errno));
    hand_over_all(supervisor, false);
    supervisor_notify("READY=1\nSTATUS=Serving mail; the new binary could not be started");
}

static void
stop(struct supervisor *supervisor)
{
    supervisor_notify("STOPPING=1\nSTATUS=Finishing");
    supervisor->restart_at = NEVER;
    if (!supervisor->stopping)
        supervisor->kill_at = clock_steady() + STOP_TIME;
    supervisor->stopping = true;
    signal_servers(supervisor, SIGTERM, true);
}

static void
obey(struct supervisor *supervisor, int number)
{
    switch (number) {
    case SIGCHLD:
        reap(supervisor);
        break;
    case SIGHUP:
        notify_reloading();
        signal_servers(supervisor, SIGHUP, false);
        break;
    case SIGUSR2:
        if (!supervisor->stopping)
            start_new_binary(supervisor);
        break;
    default: /* SIGTERM, SIGINT */
        stop(supervisor);
    }
}

static int
wait_time(const struct supervisor *supervisor)
{
    instant next = MIN(supervisor->restart_at, supervisor->kill_at);

    if (next == NEVER)
        return -1;
    next -= clock_steady();
    return next <= 0 ? 0 : (int)MIN(next / MILLISECONDS(1) + 1, (instant)60000);
}

static void
take_turn(struct supervisor *supervisor)
{
    struct pollfd polls[1 + SERVERS_MAX] = { { .fd = supervisor->signals, .events = POLLIN } };
    struct signalfd_siginfo info;

    for (size_t i = 0; i < SERVERS_MAX; i++) {
        const struct server_process *server = &supervisor->servers[i];

        polls[1 + i].fd = server->pid ? server->channel : -1;
        polls[1 + i].events = POLLIN;
    }
    if (poll(polls, 1 + SERVERS_MAX, wait_time(supervisor)) > 0) {
        for (size_t i = 0; i < SERVERS_MAX; i++)
            if (supervisor->servers[i].pid && polls[1 + i].revents & POLLIN)
                hear_all(supervisor, &supervisor->servers[i]);
        while (read(supervisor->signals, &info, sizeof info) == sizeof info)
            obey(supervisor, (int)info.ssi_signo);
    }
    if (supervisor->kill_at <= clock_steady()) {
        log_error("the server does not finish; killing it");
        signal_servers(supervisor, SIGKILL, true);
        supervisor->kill_at = NEVER;
    }
    if (supervisor->restart_at <= clock_steady() && !supervisor->stopping)
        start_server(supervisor);
}

static int
block_signals(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGUSR2);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

int
supervisor_run(const struct supervisor_options *options)
{
    struct supervisor supervisor = {
        .options = options,
        .restart_at = NEVER,
        .kill_at = NEVER,
    };
    struct why why;

    supervisor.signals = block_signals();
    if (supervisor.signals < 0) {
        log_error("signalfd: %s", strerror(errno));
        return EX_OSERR;
    }
    adopt_servers(&supervisor);
    if (open_sockets(&supervisor, &why)) {
        log_error("%s", why.text);
        return EX_UNAVAILABLE;
    }
    start_server(&supervisor);
    while (!supervisor.stopping || count_servers(&supervisor))
        take_turn(&supervisor);
    for (size_t i = 0; i < supervisor.socket_count; i++)
        close(supervisor.sockets[i].fd);
    close(supervisor.signals);
    return supervisor.exit_code;
}
