/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* control_call.h: one command of an operator, whoever carries it.
 *
 * A request is {"command":"queue.list","args":{...}}.  Its answer is any number of lines
 * {"row":{...}} or {"progress":{...}} and then either {"ok":true,...} or
 * {"error":{"code":...,"exit":N,"message":...,"cure":...}}.  The running server carries it over the
 * control socket (control.h); `outpost user add` on a stopped server runs the very same commands in
 * its own process, with a context that has the databases only.
 */
#pragma once

#include "base/arena.h"
#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "formats/json.h"

struct accounts;
struct config;
struct events;
struct keyring;
struct limits;
struct logins;
struct mailstore;
struct queue;
struct secrets;
struct server;
struct suppression;

/* What a command may use; what is not there is NULL. */
struct control_context {
    struct server *server;
    const struct config *config;
    struct accounts *accounts;
    struct limits *limits;
    struct logins *logins;
    struct mailstore *mailboxes;
    struct events *events;
    struct keyring *keyring;
    struct secrets *secrets;
    struct queue *queue;
    struct suppression *suppression;
};

/* How the answer gets to whoever asked. */
struct control_carrier {
    WAITS enum err (*emit)(void *arg, str line); /* Without the end of the line. */
    WAITS enum err (*flush)(void *arg);          /* What was emitted goes out now. */
    void *arg;
};

struct control_call {
    const struct control_context *context;
    const struct json *args;
    str actor; /* Who asks: "root", "uid 1000". */
    struct arena arena;
    struct buf line; /* Of the row that is being written. */
    struct json_writer row;
    str said;          /* By control_say(). */
    struct buf result; /* Members of the last line. */
    struct json_writer answer;
    const struct control_carrier *carrier;
    /* Of a failure. */
    const char *code;
    struct why why;
    char cure[200];
};

enum {
    CONTROL_ARENA_MAX = 64 << 20,
    CONTROL_LINE_MAX = 1 << 20,
    CONTROL_REQUEST_MAX = 16000,
};

/* Runs one request and emits its answer.  ERR_CLOSED and the like when the answer cannot be
 * carried. */
WAITS enum err control_run(const struct control_context *context, str request,
                           const struct control_carrier *carrier);

/* For the commands.  A row: write members to the writer, then end it. */
struct json_writer *control_row(struct control_call *call);
WAITS enum err control_row_end(struct control_call *call);
/* A row that is written already: a JSON object. */
WAITS enum err control_row_raw(struct control_call *call, str json);
/* How far a long command is: {"progress":{"done":...,"total":...}}, at once. */
WAITS enum err control_progress(struct control_call *call, uint64_t done, uint64_t total);
/* What the command line tells a person: the member "message" of the last line; each call adds a
 * line to it. */
void control_say(struct control_call *call, const char *format, ...) PRINTF_LIKE(2, 3);
/* The member "document" of the last line, for commands that show one thing. */
struct json_writer *control_document_begin(struct control_call *call);
void control_document_end(struct control_call *call);
/* Fails with a code, a cure, and the reason; returns E. */
enum err control_fail(struct control_call *call, enum err e, const char *code, const char *cure,
                      const char *format, ...) PRINTF_LIKE(5, 6);
/* After a call that filled call->why: adds the code by the kind of error. */
enum err control_failed(struct control_call *call, enum err e);
/* A text that must be there; false after having failed. */
bool control_need(struct control_call *call, const char *name, str *value);
/* The argument "domain" in A-labels and lower case; an error after having failed. */
enum err control_need_domain(struct control_call *call, str *domain);
/* The exit code of the command line for E. */
int control_exit_code(enum err e);

/* The commands, by the file that holds them. */
typedef enum err (*control_fn)(struct control_call *call);
struct control_command {
    const char *name;
    control_fn run;
    unsigned needs; /* CONTROL_NEEDS_* */
};
enum {
    CONTROL_NEEDS_ACCOUNTS = 1,
    CONTROL_NEEDS_EVENTS = 2,
    CONTROL_NEEDS_SERVER = 4,
};
extern const struct control_command control_directory[]; /* Each ends with a NULL name. */
extern const struct control_command control_dkim[];
extern const struct control_command control_dns[];
extern const struct control_command control_tls[];
extern const struct control_command control_queue[];
extern const struct control_command control_cancel[];
extern const struct control_command control_route[];
extern const struct control_command control_rule[];
extern const struct control_command control_secret[];
extern const struct control_command control_tls_report[];
extern const struct control_command control_trace[];
extern const struct control_command control_status[];
extern const struct control_command control_suppression[];
