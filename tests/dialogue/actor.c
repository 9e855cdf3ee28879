/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* actor.c: see actor.h. */
#include "actor.h"

#include "auth/sasl.h"
#include "runtime/clock.h"
#include "runtime/listener.h"
#include "runtime/stream.h"
#include "runtime/tls.h"
#include "world.h"

#include <string.h>

enum {
    LOG_MAX = 64 * 1024 * 1024
};

/* Of virtual time: nothing that a server says may take longer. */
#define PATIENCE MINUTES(15)

void
actor_init(struct actor *actor, str name)
{
    *actor = (struct actor){ 0 };
    memcpy(actor->name, name.ptr, MIN(name.len, sizeof(actor->name) - 1));
    buf_init(&actor->log, LOG_MAX);
}

void
actor_done(struct actor *actor)
{
    stream_drop(&actor->stream);
    for (size_t i = 0; i < actor->waiting_count; i++)
        stream_drop(&actor->waiting[i]);
    if (actor->listener)
        listener_stop(actor->listener, 0);
    buf_done(&actor->log);
}

enum err
actor_start_tls(struct actor *actor, struct tls_context *tls, struct why *why)
{
    struct tls_client_options options = { .server_name = S("here.example"),
                                          .verify = TLS_VERIFY_NONE };

    stream_set_deadline(actor->stream, deadline_in(PATIENCE));
    return stream_start_tls_client(actor->stream, tls, &options, why);
}

enum err
actor_connect(struct actor *actor, const struct endpoint *peer, const ipaddr *from,
              struct tls_context *tls, struct why *why)
{
    enum err e;

    stream_drop(&actor->stream);
    buf_clear(&actor->log);
    actor->skipping = false;
    e = world_connect(peer, from, deadline_in(PATIENCE), &actor->stream, why);
    if (e || !tls)
        return e;
    return actor_start_tls(actor, tls, why);
}

/* The connection is played by the script's own fiber: it is only handed over here. */
static void
hand_over(void *arg, struct stream *stream)
{
    struct actor *actor = arg;

    if (actor->waiting_count == ACTOR_WAITING_MAX) {
        stream_close(stream);
        return;
    }
    actor->waiting[actor->waiting_count++] = stream;
    bell_ring(&actor->accepted);
}

enum err
actor_listen(struct actor *actor, const struct endpoint *endpoint)
{
    static const struct listener_options options = { .name = "remote" };

    return listener_start_sim(endpoint, &options, hand_over, actor, &actor->listener);
}

enum err
actor_accept(struct actor *actor)
{
    enum err e;

    stream_drop(&actor->stream);
    buf_clear(&actor->log);
    while (!actor->waiting_count) {
        e = bell_wait(&actor->accepted, deadline_in(HOURS(2)));
        if (e)
            return e;
    }
    actor->stream = actor->waiting[0];
    actor->waiting_count--;
    memmove(actor->waiting, actor->waiting + 1, actor->waiting_count * sizeof(actor->waiting[0]));
    return OK;
}

enum err
actor_send(struct actor *actor, str bytes)
{
    enum err e;

    buf_clear(&actor->log);
    stream_set_deadline(actor->stream, deadline_in(PATIENCE));
    e = stream_write(actor->stream, bytes);
    if (e)
        return e;
    return stream_flush(actor->stream);
}

/* The next line without its CRLF, kept in the log; a line with another end keeps it. */
static enum err
next_line(struct actor *actor, str *line)
{
    size_t start = actor->log.len;
    enum err e;
    str raw;

    stream_set_deadline(actor->stream, deadline_in(PATIENCE));
    e = stream_read_line(actor->stream, STREAM_READ_BUFFER, &raw);
    if (e)
        return e;
    if (str_ends(raw, S("\r\n")))
        raw.len -= 2;
    buf_add(&actor->log, raw);
    *line = str_skip(buf_str(&actor->log), start);
    buf_add(&actor->log, S("\n"));
    line->ptr = actor->log.data + start;
    return OK;
}

/* "250-..." stands for any number of such lines, "...*" for any lines at all. */
static bool
note_skip(struct actor *actor, str pattern)
{
    bool any = str_eq(pattern, S("...*"));
    bool block = pattern.len == 7 && str_ends(pattern, S("-...")) && ascii_is_digit(pattern.ptr[0]);

    if (!any && !block)
        return false;
    actor->skipping = true;
    memset(actor->skip_prefix, 0, sizeof(actor->skip_prefix));
    if (block)
        memcpy(actor->skip_prefix, pattern.ptr, 4);
    return true;
}

enum err
actor_expect(struct actor *actor, str pattern, struct captures *captures, struct why *why)
{
    enum err e;
    str line;

    if (!actor->stream)
        return err_why(why, ERR_CLOSED, "%s is not connected", actor->name);
    if (note_skip(actor, pattern))
        return OK;
    for (;;) {
        e = next_line(actor, &line);
        if (e)
            return err_why(why, e, "wanted \"%.*s\", but: %s", STR_ARG(pattern), err_name(e));
        if (pattern_match(pattern, line, captures))
            break;
        if (!actor->skipping || !str_starts(line, str_from(actor->skip_prefix)))
            return err_why(why, ERR_REFUSED, "wanted \"%.*s\", got \"%.*s\"",
                           STR_ARG(str_head(pattern, 100)), STR_ARG(str_head(line, 120)));
    }
    actor->skipping = false;
    return OK;
}

enum err
actor_expect_close(struct actor *actor, struct why *why)
{
    enum err e;
    str bytes;

    if (!actor->stream)
        return err_why(why, ERR_CLOSED, "%s is not connected", actor->name);
    stream_set_deadline(actor->stream, deadline_in(PATIENCE));
    e = stream_fill(actor->stream, &bytes);
    if (e == OK)
        return err_why(why, ERR_REFUSED, "wanted the end, got \"%.*s\"",
                       STR_ARG(str_head(bytes, 100)));
    if (e != ERR_CLOSED)
        return err_why(why, e, "wanted the end, but: %s", err_name(e));
    stream_drop(&actor->stream);
    return OK;
}

/* Answers challenges until the other side is about to say something else than 334. */
static enum err
answer_challenges(struct actor *actor, struct sasl_client *client, struct buf *response,
                  struct why *why)
{
    enum err e;
    str bytes;

    for (;;) {
        buf_add(response, S("\r\n"));
        e = actor_send(actor, buf_str(response));
        if (!e)
            e = stream_fill_at_least(actor->stream, 4, &bytes);
        if (e)
            return err_why(why, e, "the login broke off: %s", err_name(e));
        if (!str_starts(bytes, S("334 ")))
            return OK;
        e = stream_read_line(actor->stream, STREAM_READ_BUFFER, &bytes);
        if (e)
            return err_why(why, e, "the login broke off: %s", err_name(e));
        buf_clear(response);
        e = sasl_client_step(client, str_skip(str_trim(bytes), 4), response);
        if (e)
            return err_why(why, e, "the challenge is refused: %s", err_name(e));
    }
}

enum err
actor_login(struct actor *actor, str mechanism, str name, str password, struct why *why)
{
    struct sasl_client_options options = { .name = name, .password = password };
    struct sasl *sasl = sasl_new();
    struct sasl_client *client;
    struct buf response;
    enum err e;

    if (!sasl_mechanism_parse(mechanism, &options.mechanism))
        return err_why(why, ERR_SYNTAX, "no such mechanism");
    e = sasl_client_new(sasl, &options, &client);
    if (e)
        return err_why(why, e, "the mechanism is not for clients");
    buf_init(&response, 1 << 16);
    buf_addf(&response, "AUTH %.*s", STR_ARG(mechanism));
    if (sasl_client_speaks_first(client)) {
        buf_add_byte(&response, ' ');
        e = sasl_client_step(client, S(""), &response);
    }
    if (!e)
        e = answer_challenges(actor, client, &response, why);
    buf_done(&response);
    sasl_client_free(client);
    sasl_free(sasl);
    return e;
}

void
actor_cut(struct actor *actor)
{
    if (actor->stream)
        world_cut(actor->stream);
    stream_drop(&actor->stream);
}
