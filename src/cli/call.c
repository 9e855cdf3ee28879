/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* call.c: what many commands do: load the configuration, complain, ask, take a password. */
#include "cli/command.h"

#include "base/buf.h"
#include "base/must.h"
#include "config/config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

enum {
    PASSWORD_LINE_MAX = 1024,
    CONFIRM_BY_NUMBER_ABOVE = 100
};

static void
fail_json(int exit, const char *code, const char *cure, const char *message)
{
    struct json_writer writer;
    struct buf line;

    buf_init(&line, 65536);
    json_writer_init(&writer, &line);
    json_begin_object(&writer, NULL);
    json_begin_object(&writer, "error");
    json_put_text(&writer, "code", str_from(code));
    json_put_int(&writer, "exit", exit);
    json_put_text(&writer, "message", str_from(message));
    if (cure)
        json_put_text(&writer, "cure", str_from(cure));
    json_end_object(&writer);
    json_end_object(&writer);
    fprintf(stderr, "%s\n", buf_cstr(&line));
    buf_done(&line);
}

/* A message may quote a stranger: nothing in it steers the terminal. */
static void
say_harmless(const char *message)
{
    str rest = str_from(message), line;
    struct buf text;

    buf_init(&text, 8192);
    buf_add(&text, S("outpost: "));
    while (rest.len) {
        (void)str_split(rest, '\n', &line, &rest);
        output_add_harmless(&text, line);
        buf_add_byte(&text, '\n');
    }
    fprintf(stderr, "%s", buf_cstr(&text));
    buf_done(&text);
}

int
call_fail(const struct call *call, int exit, const char *code, const char *cure, const char *format,
          ...)
{
    char message[2048];
    va_list args;

    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    fflush(stdout);
    if (call->out->format == OUTPUT_JSON) {
        fail_json(exit, code, cure, message);
        return exit;
    }
    say_harmless(message);
    if (cure && cure[0])
        fprintf(stderr, "  %s\n", cure);
    return exit;
}

int
call_check_lasting(const struct call *call, const char *flag)
{
    if (!call_has(call, flag) || call_duration(call, flag, 0) > 0)
        return 0;
    return call_fail(call, EXIT_USAGE, "usage", "write a time such as 2h or 30d, or leave it out",
                     "%s has to be longer than nothing", flag);
}

const char *
call_config_path(const struct call *call)
{
    const char *path = call_text(call, "--config");

    if (!path)
        path = getenv("OUTPOST_CONFIG");
    return path && path[0] ? path : "/etc/outpost/outpost.conf";
}

bool
call_has_good_config(struct call *call)
{
    struct config_problems problems = { 0 };
    struct config *config = NULL;

    if (!call->config && !config_load(call_config_path(call), &config, &problems))
        call->config = config;
    config_problems_done(&problems);
    return call->config != NULL;
}

int
call_config(struct call *call)
{
    const char *path = call_config_path(call);
    struct config_problems problems = { 0 };
    struct config *config;
    enum err e;

    if (call->config)
        return EXIT_OK;
    e = config_load(path, &config, &problems);
    if (!e) {
        call->config = config;
        return EXIT_OK;
    }
    for (size_t i = 0; i < problems.count; i++) {
        const struct config_problem *problem = &problems.items[i];
        char place[64] = "";

        if (problem->line)
            snprintf(place, sizeof(place), ":%u:%u", problem->line, problem->column);
        call_fail(call, EXIT_CONFIG, "configuration", problem->cure, "%s%s: %s", path, place,
                  problem->text);
    }
    config_problems_done(&problems);
    return e == ERR_NOT_FOUND ? EXIT_NOINPUT : EXIT_CONFIG;
}

const char *
call_reason(const struct call *call)
{
    const char *reason = call_text(call, "--reason");

    if (!reason)
        reason = getenv("OUTPOST_REASON");
    return reason && reason[0] ? reason : call->reason;
}

int
call_need_reason(struct call *call)
{
    char line[512] = "";
    str text;

    if (call_reason(call) || call_has(call, "--dry-run"))
        return EXIT_OK;
    if (isatty(STDIN_FILENO)) {
        fprintf(stderr, "Why, for the record: ");
        if (!fgets(line, sizeof(line), stdin))
            line[0] = '\0';
    }
    text = str_trim(str_from(line));
    if (text.len == 0 || !arena_copy(&call->arena, text, &text))
        return call_fail(call, EXIT_USAGE, "no_reason", "add --reason TEXT, or set OUTPOST_REASON",
                         "a reason is needed, for the record");
    call->reason = text.ptr;
    return EXIT_OK;
}

static bool
is_yes(const char *answer, uint64_t count)
{
    uint64_t typed;

    if (count <= CONFIRM_BY_NUMBER_ABOVE)
        return answer[0] == 'y' || answer[0] == 'Y';
    return str_to_u64(str_trim(str_from(answer)), &typed) && typed == count;
}

int
call_confirm(const struct call *call, const char *what)
{
    return call_confirm_count(call, what, 1);
}

int
call_confirm_count(const struct call *call, const char *what, uint64_t count)
{
    char answer[32] = "";

    if (call_has(call, "--dry-run")) {
        output_line(call->out, "would %s", what);
        return EXIT_STOP;
    }
    if (call_has(call, "--yes"))
        return EXIT_OK;
    if (!isatty(STDIN_FILENO))
        return call_fail(call, EXIT_USAGE, "not_confirmed",
                         "add --yes, or look first with --dry-run",
                         "this would %s, and nobody is there to ask", what);
    fprintf(stderr, "This will %s. %s", what,
            count > CONFIRM_BY_NUMBER_ABOVE ? "Type the number to go on: " : "Go on? [y/N] ");
    if (!fgets(answer, sizeof(answer), stdin) || !is_yes(answer, count)) {
        fprintf(stderr, "Nothing was done.\n");
        return EXIT_STOP;
    }
    return EXIT_OK;
}

static int
keep_password(struct call *call, char *line, str *password)
{
    size_t length = strcspn(line, "\r\n");
    bool kept = arena_copy(&call->arena, (str){ line, length }, password);

    explicit_bzero(line, PASSWORD_LINE_MAX);
    must(kept);
    if (!password->len)
        return call_fail(call, EXIT_DATA, "no_password", "the first line has to hold the password",
                         "the password is empty");
    return EXIT_OK;
}

static int
read_password(struct call *call, FILE *file, const char *name, str *password)
{
    char line[PASSWORD_LINE_MAX] = "";

    if (!fgets(line, sizeof(line), file) && ferror(file))
        return call_fail(call, EXIT_NOINPUT, "no_password", NULL, "cannot read %s: %s", name,
                         strerror(errno));
    return keep_password(call, line, password);
}

/* Asks once, without showing what is typed. */
static int
ask_password(struct call *call, const char *prompt, str *password)
{
    char line[PASSWORD_LINE_MAX] = "";
    struct termios old, silent;
    bool silenced = tcgetattr(STDIN_FILENO, &old) == 0;

    fprintf(stderr, "%s: ", prompt);
    if (silenced) {
        silent = old;
        silent.c_lflag &= ~(tcflag_t)ECHO;
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
    }
    if (!fgets(line, sizeof(line), stdin))
        line[0] = '\0';
    if (silenced)
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &old);
    fprintf(stderr, "\n");
    return keep_password(call, line, password);
}

int
call_ask_password(struct call *call, str *password)
{
    return ask_password(call, "Password", password);
}

bool
call_has_password(const struct call *call)
{
    return call_has(call, "--password-stdin") || call_has(call, "--password-file") ||
           getenv("OUTPOST_PASSWORD");
}

int
call_password(struct call *call, bool confirm, str *password)
{
    const char *path = call_text(call, "--password-file");
    const char *variable = getenv("OUTPOST_PASSWORD");
    str again = { 0 };
    FILE *file;
    int exit;

    if (path) {
        file = fopen(path, "re");
        if (!file)
            return call_fail(call, EXIT_NOINPUT, "no_password", NULL, "cannot open %s: %s", path,
                             strerror(errno));
        exit = read_password(call, file, path, password);
        fclose(file);
        return exit;
    }
    if (call_has(call, "--password-stdin"))
        return read_password(call, stdin, "standard input", password);
    if (variable && variable[0]) {
        *password = str_from(variable);
        return EXIT_OK;
    }
    if (!isatty(STDIN_FILENO))
        return call_fail(call, EXIT_USAGE, "no_password",
                         "add --password-stdin or --password-file FILE",
                         "a password is needed, and nobody is there to ask");
    exit = ask_password(call, "Password", password);
    if (exit || !confirm)
        return exit;
    exit = ask_password(call, "Once more", &again);
    if (!exit && !str_eq(*password, again))
        exit = call_fail(call, EXIT_DATA, "no_password", "try again", "the two are not the same");
    return exit;
}
