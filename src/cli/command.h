/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* command.h: outpost's command line, as a table.
 *
 * A noun (nouns.c) has commands, one row each.  From the rows come the parser, --help, "did you
 * mean", the completion for bash and outpost(1): so a command that is not in its noun's table does
 * not exist, and one that is there is documented.  To add one, write
 *
 *     static int
 *     queue_show(struct call *call)          returns an exit code of exit.h
 *     {
 *         return control_document(call, "queue.show", ...);
 *     }
 *     const struct command queue_commands[] = {
 *         { .verb = "show", .args = "ID", .args_min = 1, .args_max = 1, .uses = USES_SERVER,
 *           .summary = "Show one message", .run = queue_show,
 *           .examples = { "outpost queue show 01JD8W...", "everything about one message" } },
 *         { 0 },
 *     };
 *
 * and a row in nouns.c.  version.c and config.c are the models.
 */
#pragma once

#include "base/arena.h"
#include "base/base.h"
#include "base/instant.h"
#include "base/str.h"
#include "cli/exit.h"
#include "cli/output.h"

struct call;
struct config;

enum flag_type {
    FLAG_NONE, /* Given or not. */
    FLAG_TEXT,
    FLAG_NUMBER,
    FLAG_BYTES,    /* 10M */
    FLAG_DURATION, /* 30s */
    FLAG_CHOICE,   /* One of the words of `value`, parted by |. */
};

struct flag {
    const char *name;   /* "--dry-run"; NULL ends a list. */
    char letter;        /* 'n' for -n; 0: none */
    enum flag_type type;
    const char *value;  /* How its value is called in help: "FILE", or the choices "auto|always|never". */
    bool repeated;
    const char *doc;    /* One line. */
};

/* What else a command takes: sets of flags that many share. */
enum command_uses {
    USES_CONFIG = 1, /* Reads outpost.conf: --config */
    USES_SERVER = 2, /* Talks to the running server, found by --config: implies USES_CONFIG. */
    USES_CHANGES = 4,  /* Changes something: --dry-run */
    USES_DESTROYS = 8, /* Cannot be undone: --yes and --reason, beside --dry-run. */
    USES_REASON = 32,  /* --reason, for the record: see call_need_reason(). */
    USES_LIST = 16,  /* Prints a list: -o table|wide|tsv|ids|json, --no-headers */
};

enum { COMMAND_EXAMPLES_MAX = 4 };

struct command {
    const char *verb;     /* NULL ends a list, unless `run` is set: the noun alone (`outpost version`). */
    const char *args;     /* "ADDRESS...", "[KEY]"; NULL: none */
    unsigned args_min;
    unsigned args_max;    /* UINT_MAX: any number */
    unsigned uses;
    const struct flag *flags;
    const char *summary;  /* A line without a full stop. */
    const char *text;     /* Paragraphs, parted by an empty line; may be NULL. */
    const char *examples[2 * COMMAND_EXAMPLES_MAX]; /* Pairs: the command, what it does. */
    int (*run)(struct call *call);
};

struct noun {
    const char *name;
    const char *summary;
    const struct command *commands;
};

/* nouns.c: the table of the whole command line; ends with a NULL name. */
extern const struct noun nouns[];
/* The flags that every command has. */
extern const struct flag common_flags[];

/* One use of a command. */
struct call {
    const char *program; /* As it was called: "build/outpost". */
    const struct noun *noun;
    const struct command *command;
    const char **args;
    unsigned arg_count;
    struct flag_use *uses;
    unsigned use_count;
    struct output *out;
    struct arena arena;       /* Lives as long as the call. */
    const char *reason;       /* Asked for at the terminal. */
    const struct config *config; /* After call_config(). */
};

bool call_has(const struct call *call, const char *flag);
/* The value, or NULL when it was not given.  FLAG_TEXT and FLAG_CHOICE. */
const char *call_text(const struct call *call, const char *flag);
uint64_t call_number(const struct call *call, const char *flag, uint64_t standard); /* Also FLAG_BYTES. */
duration call_duration(const struct call *call, const char *flag, duration standard);
/* For a time that something stands: 0s is refused.  0 or an exit code. */
int call_check_lasting(const struct call *call, const char *flag);
/* Walks the values of a repeated flag: start with *at = 0; NULL at the end. */
const char *call_each(const struct call *call, const char *flag, unsigned *at);

/* The path of outpost.conf: --config, OUTPOST_CONFIG, /etc/outpost/outpost.conf. */
const char *call_config_path(const struct call *call);
/* Loads it into call->config; on failure says everything that is wrong and returns EXIT_CONFIG or
 * another code, otherwise 0. */
int call_config(struct call *call);
/* The same without a word. */
bool call_has_good_config(struct call *call);

/* Says what is wrong and what to do about it, on stderr, as text or JSON; returns EXIT, so that a failure is one
 * line: return call_fail(call, EXIT_UNAVAILABLE, "daemon_unreachable", "is it running?", "cannot reach ..."); */
int call_fail(const struct call *call, int exit, const char *code, const char *cure,
              const char *format, ...) PRINTF_LIKE(5, 6);

/* For USES_DESTROYS: whether to go on.  0 to go on; with --dry-run, or a no at the terminal, or
 * without --yes elsewhere, an exit code (0 is never it: EXIT_STOP means end now, well). */
enum { EXIT_STOP = -1 };
int call_confirm(const struct call *call, const char *what);
/* The same for COUNT things: above a hundred the number has to be typed. */
int call_confirm_count(const struct call *call, const char *what, uint64_t count);
/* --reason or OUTPOST_REASON; NULL when not given. */
const char *call_reason(const struct call *call);
/* For USES_REASON: asks for it at the terminal when it was not given.  0 or an exit code. */
int call_need_reason(struct call *call);

/* A password: --password-file FILE, --password-stdin, OUTPOST_PASSWORD, or asked at the terminal (twice when
 * CONFIRM).  The commands that use it list PASSWORD_FLAGS among their flags.  0 or an exit code. */
#define PASSWORD_FLAGS                                                                             \
    { "--password-stdin", 0, FLAG_NONE, NULL, false, "Read the password from standard input" },    \
    { "--password-file", 0, FLAG_TEXT, "FILE", false, "Read the password from the first line of FILE" }
int call_password(struct call *call, bool confirm, str *password);
/* Whether one of the two flags or the variable is there, so that nothing needs to be asked. */
/* Asks at the terminal, once, without echo. */
int call_ask_password(struct call *call, str *password);
bool call_has_password(const struct call *call);

/* Runs the words of a command line; the exit code of the process. */
int cli_run(int argc, char **argv);
