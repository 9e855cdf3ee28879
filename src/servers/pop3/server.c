/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* server.c: the story of one POP3 session, and the table of its commands.
 *
 * Start reading at pop3_server_run(), at the end.  RFC 1939.
 */
#include "servers/pop3/server.h"

#include "config/config.h"
#include "intake/intake.h"
#include "runtime/clock.h"
#include "runtime/fiber.h"
#include "runtime/stream.h"
#include "runtime/tls.h"
#include "servers/connections.h"
#include "servers/pop3/session.h"
#include "servers/proxy.h"
#include "servers/tls_record.h"

#include <stdlib.h>

enum {
    LINE_SWALLOW_MAX = 1024 * 1024
};
enum {
    EITHER = POP3_AUTHORIZATION | POP3_TRANSACTION
};

enum argument {
    ARG_NONE,
    ARG_REQUIRED,
    ARG_OPTIONAL
};

struct pop3_verb {
    str name;
    enum err (*handler)(struct pop3_session *s, str args);
    unsigned phases;
    enum argument argument;
};

/* clang-format off */
static const struct pop3_verb verbs[] = {
    /* name      handler    phases               argument */
    { S("CAPA"), pop3_capa, EITHER,              ARG_NONE },
    { S("STLS"), pop3_stls, POP3_AUTHORIZATION,  ARG_NONE },
    { S("USER"), pop3_user, POP3_AUTHORIZATION,  ARG_REQUIRED },
    { S("PASS"), pop3_pass, POP3_AUTHORIZATION,  ARG_REQUIRED },
    { S("AUTH"), pop3_auth, POP3_AUTHORIZATION,  ARG_OPTIONAL },
    { S("UTF8"), pop3_utf8, POP3_AUTHORIZATION,  ARG_NONE },
    { S("STAT"), pop3_stat, POP3_TRANSACTION,    ARG_NONE },
    { S("LIST"), pop3_list, POP3_TRANSACTION,    ARG_OPTIONAL },
    { S("UIDL"), pop3_uidl, POP3_TRANSACTION,    ARG_OPTIONAL },
    { S("RETR"), pop3_retr, POP3_TRANSACTION,    ARG_REQUIRED },
    { S("TOP"),  pop3_top,  POP3_TRANSACTION,    ARG_REQUIRED },
    { S("DELE"), pop3_dele, POP3_TRANSACTION,    ARG_REQUIRED },
    { S("RSET"), pop3_rset, POP3_TRANSACTION,    ARG_NONE },
    { S("NOOP"), pop3_noop, POP3_TRANSACTION,    ARG_NONE },
    { S("QUIT"), pop3_quit, EITHER,              ARG_NONE },
};
/* clang-format on */

static const struct pop3_verb *
find_verb(str name)
{
    for (size_t i = 0; i < COUNT_OF(verbs); i++) {
        if (str_eq_nocase(verbs[i].name, name))
            return &verbs[i];
    }
    return NULL;
}

static bool
has_controls(str line)
{
    for (size_t i = 0; i < line.len; i++) {
        if ((unsigned char)line.ptr[i] < 0x20 || line.ptr[i] == 0x7f)
            return true;
    }
    return false;
}

/* A password may begin and end with blanks; every other argument is trimmed. */
WAITS static enum err
execute(struct pop3_session *s, str line)
{
    const struct pop3_verb *verb;
    str name, args = { 0 };

    if (has_controls(line) || !str_is_utf8(line))
        return pop3_refuse(s, "A command holds no control characters, and is UTF-8");
    str_split(line, ' ', &name, &args);
    verb = find_verb(name);
    if (!verb)
        return pop3_refuse(s, "Unknown command");
    if (verb->handler != pop3_pass)
        args = str_trim(args);
    if (verb->argument == ARG_REQUIRED && !args.len)
        return pop3_refuse(s, "%s needs an argument", verb->name.ptr);
    if (verb->argument == ARG_NONE && args.len)
        return pop3_refuse(s, "%s takes no argument", verb->name.ptr);
    if (!(verb->phases & s->phase))
        return pop3_refuse(s, s->phase == POP3_AUTHORIZATION ? "Log in first"
                                                             : "You are logged in already");
    return verb->handler(s, args);
}

WAITS static enum err
swallow_line(struct pop3_session *s)
{
    enum err e;

    e = stream_skip_line(s->stream, LINE_SWALLOW_MAX);
    if (e == ERR_LIMIT) {
        s->ends = true;
        return pop3_refuse(s, "That line never ends");
    }
    return e ? e : pop3_refuse(s, "Line too long");
}

WAITS static enum err
next_command(struct pop3_session *s)
{
    size_t line_max = MAX(s->config->pop3.command_line_max, s->config->smtp.auth_line_max);
    enum err e;
    str line;

    stream_set_deadline(s->stream, deadline_in(s->config->pop3.idle_timeout));
    fiber_set_idle(!s->deleted_count);
    e = stream_read_line(s->stream, MIN(line_max, (size_t)STREAM_READ_BUFFER), &line);
    fiber_set_idle(false);
    if (e == ERR_LIMIT)
        return swallow_line(s);
    if (e)
        return e;
    if (line.len > s->config->pop3.command_line_max && !str_starts_nocase(line, S("AUTH ")))
        return pop3_refuse(s, "Line too long");
    if (!str_ends(line, S("\r\n")))
        return pop3_refuse(s, "Lines end in CR LF");
    return execute(s, str_head(line, line.len - 2));
}

static bool
ceiling_is_reached(const struct pop3_session *s)
{
    const struct config_pop3 *limits = &s->config->pop3;

    return (limits->errors_max && s->errors >= limits->errors_max) ||
           (limits->commands_max && s->commands >= limits->commands_max);
}

WAITS static enum err
serve_commands(struct pop3_session *s)
{
    enum err e;

    while (!s->ends) {
        e = next_command(s);
        if (e)
            return e;
        s->commands++;
        if (!s->ends && ceiling_is_reached(s)) {
            s->ends = true;
            return pop3_refuse(s, "[SYS/TEMP] Too many errors or commands in one session");
        }
    }
    return OK;
}

WAITS static enum err
handshake_first(struct pop3_session *s)
{
    struct why why = { "" };
    enum err e;

    stream_set_deadline(s->stream, deadline_in(s->config->smtp.handshake_timeout));
    e = stream_start_tls_server(s->stream, s->server->tls, &why);
    if (e == ERR_TLS || e == ERR_TIMEOUT)
        tls_record_failure(s->server->services, s->server->name, "connect", s->stream, &why);
    if (e)
        return e;
    s->has_tls = true;
    return OK;
}

static bool
count_connection(struct pop3_session *s)
{
    const struct endpoint *client = stream_peer(s->stream);
    bool exempt =
        ipaddr_is_loopback(client->addr) || intake_is_trusted(s->server->services, client);

    s->counted = connections_enter(s->server->services->connections, client->addr,
                                   exempt ? 0 : s->config->smtp.connections_per_address_max);
    return s->counted;
}

WAITS static enum err
converse(struct pop3_session *s)
{
    enum err e;

    stream_set_deadline(s->stream, deadline_in(s->config->smtp.handshake_timeout));
    e = proxy_read_header(s->stream, s->server->proxies);
    if (e)
        return e;
    if (!count_connection(s))
        return pop3_refuse(s, "[SYS/TEMP] Too many connections from your address");
    if (s->server->implicit_tls) {
        e = handshake_first(s);
        if (e)
            return e;
    }
    e = pop3_ok(s, "%s Outpost", s->config->server.hostname.ptr);
    if (e)
        return e;
    return serve_commands(s);
}

static void
end_session(struct pop3_session *s)
{
    if (s->counted)
        connections_leave(s->server->services->connections, stream_peer(s->stream)->addr);
    mailbox_close(s->mailbox);
    mailbox_list_done(&s->list);
    free(s->deleted);
    stream_close(s->stream);
    config_unref(s->config);
}

void
pop3_server_run(void *arg, struct stream *stream)
{
    struct pop3_server *server = arg;
    struct pop3_session s = {
        .server = server,
        .stream = stream,
        .config = config_ref(server->services->config),
        .phase = POP3_AUTHORIZATION,
    };
    enum err e;

    e = converse(&s);
    if (e == ERR_CANCELLED)
        e = pop3_refuse(&s, "[SYS/TEMP] The server is stopping, come back soon");
    (void)e; /* RFC 1939 3: a conversation that breaks off or idles ends without a word. */
    end_session(&s);
}
