/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* control.c: one question to the running server, and its answer line by line.
 *
 * What needs no server is answered in this process when there is none (offline.h).  Start reading
 * at control_ask().
 */
#include "cli/control.h"

#include "base/buf.h"
#include "cli/offline.h"
#include "config/config.h"
#include "ops/control_call.h"
#include "runtime/clock.h"
#include "runtime/stream.h"

#include <poll.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    ANSWER_LINE_MAX = 16 << 20
};
static const duration patience = MINUTES(10);
#define PATIENCE_WITH_START SECONDS(10)

static int
cannot_reach(struct call *call, const char *path, const char *why)
{
    return call_fail(call, EXIT_UNAVAILABLE, "daemon_unreachable",
                     "is it running?  outpost serve --config FILE, or: systemctl status outpost",
                     "cannot reach outpost at %s: %s", path, why);
}

/* The line of the request, with its end. */
static void
write_request(struct buf *line, const char *command, str args)
{
    const struct passwd *user = getpwuid(geteuid());
    struct json_writer writer;

    json_writer_init(&writer, line);
    json_begin_object(&writer, NULL);
    json_put_text(&writer, "command", str_from(command));
    if (user)
        json_put_text(&writer, "actor", str_from(user->pw_name));
    json_put_raw(&writer, "args", args.len ? args : S("{}"));
    json_end_object(&writer);
    buf_add_byte(line, '\n');
}

/* A whole line without its end, however long up to the maximum. */
WAITS static enum err
read_line(struct stream *stream, struct buf *line)
{
    buf_clear(line);
    for (;;) {
        str bytes;
        ssize_t end;
        enum err e = stream_fill(stream, &bytes);

        if (e)
            return e;
        end = str_find(bytes, '\n');
        buf_add(line, end < 0 ? bytes : str_head(bytes, (size_t)end));
        stream_consume(stream, end < 0 ? bytes.len : (size_t)end + 1);
        if (!buf_ok(line))
            return ERR_LIMIT;
        if (end >= 0)
            return OK;
    }
}

static int
server_error(struct call *call, const struct json *error)
{
    str code = json_get_text(error, "code");
    str message = json_get_text(error, "message");
    str cure = json_get_text(error, "cure");
    int64_t exit = json_get_int(error, "exit");
    char code_text[64], cure_text[512];

    snprintf(code_text, sizeof(code_text), "%.*s", STR_ARG(str_head(code, 60)));
    snprintf(cure_text, sizeof(cure_text), "%.*s", STR_ARG(str_head(cure, 500)));
    return call_fail(call, exit > 0 && exit < 126 ? (int)exit : EXIT_INTERNAL, code_text, cure_text,
                     "%.*s", STR_ARG(str_head(message, 2000)));
}

struct answer {
    struct call *call;
    void (*row)(void *arg, const struct json *row);
    void *arg;
    const struct json **final;
    bool done;
    int exit;
};

/* One line of the answer; false when it is none. */
static bool
take_line(struct answer *answer, str line)
{
    const struct json *error, *row, *progress;
    struct json *value;
    struct arena arena;
    str kept;
    bool ok = true;

    arena_init(&arena, 4 * ANSWER_LINE_MAX);
    if (json_parse(line, &arena, &value) || value->type != JSON_OBJECT) {
        arena_done(&arena);
        return false;
    }
    row = json_get(value, "row");
    progress = json_get(value, "progress");
    error = json_get(value, "error");
    if (progress) {
        output_progress(answer->call->out, (uint64_t)json_get_int(progress, "done"),
                        (uint64_t)json_get_int(progress, "total"));
    } else if (row && answer->row) {
        answer->row(answer->arg, row);
    } else if (!row) {
        output_progress(answer->call->out, 0, 0);
        answer->done = true;
        answer->exit = error ? server_error(answer->call, error) : EXIT_OK;
        if (!error && answer->final)
            ok = arena_copy(&answer->call->arena, line, &kept) &&
                 !json_parse(kept, &answer->call->arena, &value);
        if (!error && answer->final && ok)
            *answer->final = value;
    }
    arena_done(&arena);
    return ok;
}

/* The answer over STREAM.  An empty line only says that the server is still there. */
WAITS static int
ask_stream(struct answer *answer, struct stream *stream, struct buf *line, const char *command)
{
    enum err e;

    stream_set_deadline(stream, deadline_in(patience));
    e = stream_write(stream, buf_str(line));
    if (!e)
        e = stream_flush(stream);
    while (!e && !answer->done) {
        stream_set_deadline(stream, deadline_in(patience));
        e = read_line(stream, line);
        if (!e && line->len && !take_line(answer, buf_str(line)))
            e = ERR_SYNTAX;
    }
    if (e)
        return call_fail(answer->call, EXIT_PROTOCOL, "bad_answer",
                         "are server and command of the same version?  outpost version",
                         "the server did not answer %s to its end: %s", command, err_name(e));
    return answer->exit;
}

static enum err
emit_to_answer(void *arg, str line)
{
    return !line.len || take_line(arg, line) ? OK : ERR_SYNTAX;
}

static enum err
flush_nothing(void *)
{
    return OK;
}

/* The server is stopped: the command runs here. */
static int
ask_ourselves(struct answer *answer, struct buf *line)
{
    struct control_carrier carrier = { emit_to_answer, flush_nothing, answer };
    struct why why = { "" };
    enum err e = offline_run(answer->call->config, str_trim(buf_str(line)), &carrier, &why);

    if (e && !answer->done)
        return call_fail(answer->call, control_exit_code(e), "no_access",
                         "the data directory must be yours, or run this as root", "%s",
                         why.text[0] ? why.text : err_name(e));
    return answer->exit;
}

/* A server that starts, stops or hands over is waited for. */
WAITS static enum err
connect_server(const struct config *config, const char *path, struct stream **stream,
               struct why *why)
{
    instant deadline = deadline_in(PATIENCE_WITH_START);
    enum err e;

    for (;;) {
        e = stream_connect_unix(path, deadline_in(SECONDS(10)), stream, why);
        if (!e || clock_steady() > deadline || !offline_is_locked(config))
            return e;
        poll(NULL, 0, 50);
    }
}

/* outpost.conf has become wrong while the server runs: it is reached all the same, by the data
 * directory that the file names.  False when there is none. */
WAITS static bool
reach_by_name(struct call *call, struct stream **stream)
{
    char dir[400], path[512];
    struct why why = { "" };

    if (!config_find_data_dir(call_config_path(call), dir, sizeof(dir)))
        return false;
    snprintf(path, sizeof(path), "%s/control.sock", dir);
    if (stream_connect_unix(path, deadline_in(SECONDS(10)), stream, &why))
        return false;
    fprintf(stderr,
            "outpost: %s is not right at present (outpost config check); the running server has "
            "the one from before\n",
            call_config_path(call));
    return true;
}

/* By a configuration that is right; STREAM stays NULL where no server answers. */
WAITS static int
reach(struct call *call, const char *command, struct stream **stream)
{
    struct why why = { "" };
    char path[512] = "";
    int exit = call_config(call);

    if (exit)
        return exit;
    if (!config_data_path(call->config, path, sizeof(path), "control.sock"))
        return cannot_reach(call, "control.sock", "the path is too long");
    if (!connect_server(call->config, path, stream, &why) || offline_knows(command))
        return EXIT_OK;
    return cannot_reach(call, path, why.text[0] ? why.text : "no answer");
}

WAITS int
control_ask(struct call *call, const char *command, str args,
            void (*row)(void *arg, const struct json *row), void *arg, const struct json **final)
{
    struct answer answer = { .call = call, .row = row, .arg = arg, .final = final };
    struct stream *stream = NULL;
    struct buf line;
    int exit = EXIT_OK;

    if (call_has_good_config(call) || !reach_by_name(call, &stream))
        exit = reach(call, command, &stream);
    if (exit)
        return exit;
    buf_init(&line, ANSWER_LINE_MAX);
    write_request(&line, command, args);
    exit = stream ? ask_stream(&answer, stream, &line, command) : ask_ourselves(&answer, &line);
    stream_close(stream);
    buf_done(&line);
    return exit;
}

static void
print_row(void *arg, const struct json *row)
{
    output_row(arg, row);
}

WAITS int
control_list(struct call *call, const char *command, str args, const char *schema,
             const struct column *columns, const char *none)
{
    const struct json *final = NULL;
    str message;
    int exit;

    output_list(call->out, schema, columns);
    exit = control_ask(call, command, args, print_row, call->out, &final);
    output_list_end(call->out, exit ? NULL : none);
    message = exit ? S("") : json_get_text(final, "message");
    if (message.len && call->out->format != OUTPUT_JSON)
        fprintf(stderr, "%.*s\n", STR_ARG(message));
    return exit;
}

WAITS int
control_document(struct call *call, const char *command, str args, const char *schema,
                 const struct column *columns)
{
    const struct json *final = NULL;
    const struct json *document;
    int exit = control_ask(call, command, args, NULL, NULL, &final);

    if (exit)
        return exit;
    document = json_get(final, "document");
    if (document) {
        output_document(call->out, schema, columns, document);
    } else {
        struct json rest = *final;

        /* "ok" comes first by the protocol, and says nothing more. */
        if (rest.first && str_eq(rest.first->key, S("ok")))
            rest.first = rest.first->next;
        output_document(call->out, schema, columns, &rest);
    }
    return EXIT_OK;
}

WAITS int
control_do(struct call *call, const char *command, str args)
{
    const struct json *final = NULL;
    int exit = control_ask(call, command, args, NULL, NULL, &final);
    str message;

    if (exit)
        return exit;
    message = json_get_text(final, "message");
    if (call->out->format == OUTPUT_JSON)
        output_document(call->out, "outpost.result/1", NULL, final);
    else if (message.len)
        output_line(call->out, "%.*s", STR_ARG(message));
    return EXIT_OK;
}
