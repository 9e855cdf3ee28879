/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* control.c: a Unix socket, whose lines go to control_run().  Start reading at serve_connection().
 */
#include "ops/control.h"

#include "base/must.h"
#include "config/config.h"
#include "intake/intake.h"
#include "ops/control_call.h"
#include "ops/server.h"
#include "runtime/clock.h"
#include "runtime/listener.h"
#include "runtime/stream.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define REQUEST_TIME MINUTES(10) /* A connection that asks nothing for so long is closed. */
#define ANSWER_TIME  MINUTES(1)  /* A line that nobody reads. */

struct control {
    struct server *server;
    struct listener *listener;
    char path[108]; /* What a Unix socket's name may be. */
};

WAITS static enum err
emit_to_stream(void *arg, str line)
{
    struct stream *stream = arg;
    enum err e;

    stream_set_deadline(stream, deadline_in(ANSWER_TIME));
    e = stream_write(stream, line);
    if (!e)
        e = stream_write(stream, S("\n"));
    return e;
}

WAITS static enum err
flush_stream(void *arg)
{
    return stream_flush(arg);
}

static void
context_of(struct server *server, struct control_context *context)
{
    const struct intake_services *services = server_services(server);

    *context = (struct control_context){
        .server = server,
        .config = server_config(server),
        .accounts = services->accounts,
        .limits = services->limits,
        .logins = services->logins,
        .mailboxes = services->mailboxes,
        .events = services->events,
        .keyring = services->keyring,
        .secrets = services->secrets,
        .queue = services->queue,
        .suppression = services->suppression,
    };
}

WAITS static void
serve_connection(void *arg, struct stream *stream)
{
    struct control *control = arg;
    struct control_carrier carrier = { emit_to_stream, flush_stream, stream };
    struct control_context context;
    enum err e = OK;

    while (!e) {
        char *copy;
        str line;

        stream_set_deadline(stream, deadline_in(REQUEST_TIME));
        e = stream_read_line(stream, CONTROL_REQUEST_MAX, &line);
        if (e)
            break;
        copy = str_dup(str_trim(line));
        context_of(control->server, &context);
        e = control_run(&context, str_from(copy), &carrier);
        if (!e)
            e = stream_flush(stream);
        free(copy);
    }
    stream_close(stream);
}

enum err
control_start(struct server *server, struct control **control, struct why *why)
{
    struct listener_options options = {
        .name = "control",
        .connections_max = CONTROL_CONNECTIONS_MAX,
    };
    struct control *made = calloc(1, sizeof *made);
    enum err e;
    int fd;

    must(made);
    made->server = server;
    if (!config_data_path(server_config(server), made->path, sizeof made->path, "control.sock")) {
        free(made);
        return err_why(why, ERR_LIMIT,
                       "the path of the data directory is too long for a Unix socket; choose a "
                       "server.data_dir of at most 90 characters");
    }
    /* One of an earlier life: the lock on the data directory says that nobody serves it. */
    (void)!unlink(made->path);
    e = listener_bind_unix(made->path, 0600, &fd, why);
    if (!e) {
        e = listener_start(fd, &options, serve_connection, made, &made->listener);
        if (e)
            close(fd);
    }
    if (e) {
        free(made);
        return e;
    }
    *control = made;
    return OK;
}

void
control_stop(struct control *control)
{
    listener_stop(control->listener, 0);
    (void)!unlink(control->path);
    free(control);
}
