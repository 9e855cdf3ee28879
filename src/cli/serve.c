/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* serve.c: `outpost serve`: the supervisor here, the server in a process below it.
 *
 * The server process reads the file once more, so that a restart finds what a reload had found;
 * when it is wrong by then, the snapshot of the start serves.  Start reading at run_serve() and at
 * serve().
 */
#include "cli/command.h"

#include "config/config.h"
#include "ops/control_call.h"
#include "ops/programs.h"
#include "ops/sandbox.h"
#include "ops/server.h"
#include "ops/supervisor.h"
#include "runtime/log.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    ARGUMENTS_MAX = 64,
    ARGUMENTS_SIZE = 65536,
    SANDBOX_PATHS_MAX = 256
};

/* A file's folder may be read, so that a renewed file is found after a rename. */
static void
may_read_beside(struct sandbox_path *paths, size_t *count, char (*names)[PATH_MAX], str file)
{
    ssize_t slash = str_find_last(file, '/');

    if (!file.len || *count == SANDBOX_PATHS_MAX || file.len >= PATH_MAX)
        return;
    if (slash < 0)
        snprintf(names[*count], PATH_MAX, ".");
    else
        snprintf(names[*count], PATH_MAX, "%.*s", (int)slash + 1, file.ptr);
    paths[*count] = (struct sandbox_path){ names[*count], SANDBOX_READ };
    (*count)++;
}

static enum err
confine(const struct config *config, struct why *why)
{
    struct sandbox_path *paths = calloc(SANDBOX_PATHS_MAX, sizeof *paths);
    char(*names)[PATH_MAX] = calloc(SANDBOX_PATHS_MAX, sizeof *names);
    size_t count = 0;
    bool active = false;
    enum err e = OK;

    if (!paths || !names) {
        e = ERR_LIMIT;
    } else {
        paths[count++] = (struct sandbox_path){ config->server.data_dir.ptr, SANDBOX_WRITE };
        may_read_beside(paths, &count, names, config->path);
        may_read_beside(paths, &count, names, config->tls.certificate);
        may_read_beside(paths, &count, names, config->tls.key);
        may_read_beside(paths, &count, names, config->tls.next_key);
        may_read_beside(paths, &count, names, config->tls.ca_file);
        may_read_beside(paths, &count, names, config->dns.trust_anchor_file);
        may_read_beside(paths, &count, names, config->dns.hosts_file);
        may_read_beside(paths, &count, names, config->delivery.rules_file);
        may_read_beside(paths, &count, names, config->relay.to.password_file);
        for (size_t i = 0; i < config->route_count; i++)
            may_read_beside(paths, &count, names, config->routes[i].to.password_file);
        may_read_beside(paths, &count, names, config->relay.fallback_password_file);
        for (size_t i = 0; i < config->route_count; i++)
            may_read_beside(paths, &count, names, config->routes[i].fallback_password_file);
        for (size_t i = 0; i < config->source_count; i++)
            may_read_beside(paths, &count, names, config->sources[i].password_file);
        for (size_t i = 0; i < config->dns_update_count; i++)
            may_read_beside(paths, &count, names, config->dns_updates[i].key_file);
        e = sandbox_confine_files(paths, count, &active, why);
    }
    free(paths);
    free(names);
    if (!e && !active)
        log_warning("this kernel has no Landlock: the server can reach files outside its data");
    if (!e)
        e = sandbox_drop_capabilities(why);
    if (!e)
        e = sandbox_refuse_calls(why);
    return e;
}

static void
add_program(const struct relay_target *target, str *commands, size_t *count)
{
    if (target->kind == RELAY_PIPE && *count < PROGRAMS_COMMANDS_MAX)
        commands[(*count)++] = target->path;
}

/* Before the server gives up its rights: the process that runs programs, if the configuration names
 * any. */
static int
start_programs(void *arg)
{
    const struct config *first = arg;
    struct config_problems problems = { 0 };
    struct config *config = NULL;
    str *commands = calloc(PROGRAMS_COMMANDS_MAX, sizeof *commands);
    struct why why = { "" };
    size_t count = 0;
    int fd = 0;

    if (config_load(first->path.ptr, &config, &problems))
        config = config_ref(first);
    config_problems_done(&problems);
    for (size_t i = 0; commands && i < config->route_count; i++) {
        add_program(&config->routes[i].to, commands, &count);
        add_program(&config->routes[i].fallback, commands, &count);
    }
    if (commands) {
        add_program(&config->relay.to, commands, &count);
        add_program(&config->relay.fallback, commands, &count);
    }
    if (count && programs_start(commands, count, config->server.program_user.ptr, &fd, &why)) {
        log_error("%s", why.text);
        fd = 0;
    }
    free(commands);
    config_unref(config);
    return fd;
}

/* In the server process. */
static int
serve(const struct supervisor_child *child, void *arg)
{
    const struct config *first = arg;
    struct config_problems problems = { 0 };
    struct config *config = NULL;
    struct server_options options = {
        .config_path = first->path.ptr,
        .sockets = child->sockets,
        .socket_count = child->socket_count,
        .notify_fd = child->notify_fd,
        .wait_for_data = child->taking_over,
        .programs = child->helper,
    };
    struct why why = { "" };
    enum err e = OK;

    if (config_load(first->path.ptr, &config, &problems)) {
        log_error("%s cannot be read any more; the configuration of the start is used",
                  first->path.ptr);
        config = config_ref(first);
    }
    config_problems_done(&problems);
    options.config = config;
    /* SQLite wants a place for large sorts, and the sandbox leaves it only this one. */
    setenv("SQLITE_TMPDIR", config->server.data_dir.ptr, 1);
    if (config->server.sandbox)
        e = confine(config, &why);
    if (!e)
        e = server_run(&options, &why);
    if (e)
        log_error("%s", why.text[0] ? why.text : err_name(e));
    config_unref(config);
    return control_exit_code(e);
}

/* The words with which we were started, for the next binary.  A program that was named by a path is
 * found there again, wherever we stand. */
static char **
own_arguments(void)
{
    static char text[ARGUMENTS_SIZE], program[PATH_MAX];
    static char *arguments[ARGUMENTS_MAX + 1];
    int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
    ssize_t size = fd >= 0 ? read(fd, text, sizeof text - 1) : 0;
    size_t count = 0;

    if (fd >= 0)
        close(fd);
    for (char *at = text; at < text + MAX(size, 0) && count < ARGUMENTS_MAX; at += strlen(at) + 1)
        arguments[count++] = at;
    if (count && strchr(arguments[0], '/') && arguments[0][0] != '/' &&
        getcwd(program, sizeof program) &&
        strlen(program) + strlen(arguments[0]) + 2 < sizeof program) {
        size_t length = strlen(program);

        snprintf(program + length, sizeof program - length, "/%s", arguments[0]);
        arguments[0] = program;
    }
    return arguments;
}

static int
list_listeners(struct call *call, struct supervisor_listener *listeners, size_t *count)
{
    const struct config *config = call->config;

    for (size_t i = 0; i < config->listener_count; i++) {
        const struct config_listen *listen = &config->listeners[i];

        for (size_t j = 0; j < listen->address.count; j++) {
            struct supervisor_listener *listener = &listeners[*count];

            if (*count == SUPERVISOR_LISTENERS_MAX || listen->name.len >= sizeof listener->name)
                return call_fail(call, EXIT_CONFIG, "listeners",
                                 "at most 64 addresses, with names of at most 31 letters",
                                 "listener %.*s cannot be opened", STR_ARG(listen->name));
            *listener = (struct supervisor_listener){ .endpoint = listen->address.items[j] };
            memcpy(listener->name, listen->name.ptr, listen->name.len);
            (*count)++;
        }
    }
    return 0;
}

static int
run_serve(struct call *call)
{
    struct supervisor_listener *listeners = calloc(SUPERVISOR_LISTENERS_MAX, sizeof *listeners);
    size_t count = 0;
    int exit = listeners ? call_config(call) : EXIT_SYSTEM;

    if (!exit)
        exit = list_listeners(call, listeners, &count);
    if (!exit) {
        char **words = own_arguments();
        char *trial[] = { words[0], "config", "check", "--config", (char *)call->config->path.ptr,
                          NULL };
        struct supervisor_options options = {
            .listeners = listeners,
            .listener_count = count,
            .user = call->config->server.user.ptr,
            .argv = words,
            .trial = trial,
            .serve = serve,
            .start_helper = start_programs,
            .arg = (void *)call->config,
        };

        exit = supervisor_run(&options);
    }
    free(listeners);
    return exit;
}

/* clang-format off */
const struct command serve_commands[] = {
    { .uses = USES_CONFIG, .summary = "Run the server, in the foreground", .run = run_serve,
      .text = "The first line of output begins with 'ready' and names the ports; systemd is told as "
              "well. Signals: SIGTERM and SIGINT stop after the sessions have finished, SIGHUP reads the "
              "configuration again, SIGUSR2 starts the binary anew (a newer one, after an upgrade) "
              "without refusing a connection.\n\n"
              "Started as root it opens the ports and gives the server the rights of server.user. "
              "Sockets that systemd has opened are taken over.",
      .examples = { "outpost serve --config /etc/outpost/outpost.conf", "",
                    "kill -USR2 $(pidof -s outpost)", "after the binary was replaced" } },
    { 0 },
};
/* clang-format on */
