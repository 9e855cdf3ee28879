/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* server.c: the story of one SMTP session, from the first byte to the last.
 *
 * PROXY header, ceiling of connections, TLS, greeting; then one command after the other, each
 * looked up in the table of verbs and checked against the phase that the session is in.  What is no
 * command line (bare CR or LF, NUL, too long) is refused and never executed, since another server
 * might read it differently.  Start reading at smtp_server_run(), at the end.  RFC
 * 5321 4.1.4, 4.3.2.
 */
#include "servers/smtp/server.h"

#include "config/config.h"
#include "protocols/smtp/command.h"
#include "runtime/clock.h"
#include "runtime/fiber.h"
#include "runtime/stream.h"
#include "runtime/tls.h"
#include "servers/connections.h"
#include "servers/proxy.h"
#include "servers/smtp/session.h"
#include "servers/tls_record.h"

#include <stdlib.h>
#include <string.h>

/* A line without an end is swallowed up to here; whoever sends more is not talking SMTP. */
enum {
    LINE_SWALLOW_MAX = 1024 * 1024
};
/* "AUTH SCRAM-SHA-256-PLUS " and CRLF, beside the response that may follow. */
enum {
    AUTH_COMMAND_MAX = 64
};
/* First octet of a TLS record of type handshake. */
enum {
    TLS_HANDSHAKE_BYTE = 0x16
};

enum {
    ANY = PHASE_NEW | PHASE_GREETED | PHASE_MAIL | PHASE_BDAT
};

enum argument {
    ARG_NONE,
    ARG_REQUIRED,
    ARG_OPTIONAL
};

struct smtp_verb_row {
    str name;
    enum err (*handler)(struct smtp_session *s, str args);
    unsigned phases;
    enum argument argument;
};

/* clang-format off */
static const struct smtp_verb_row verbs[] = {
    /* name          handler        phases allowed             argument */
    { S("EHLO"),     smtp_ehlo,     ANY,                       ARG_REQUIRED },
    { S("HELO"),     smtp_helo,     ANY,                       ARG_REQUIRED },
    { S("STARTTLS"), smtp_starttls, PHASE_GREETED,             ARG_NONE },
    { S("AUTH"),     smtp_auth,     PHASE_GREETED,             ARG_REQUIRED },
    { S("MAIL"),     smtp_mail,     PHASE_GREETED,             ARG_REQUIRED },
    { S("RCPT"),     smtp_rcpt,     PHASE_MAIL,                ARG_REQUIRED },
    { S("DATA"),     smtp_data,     PHASE_MAIL,                ARG_NONE },
    { S("BDAT"),     smtp_bdat,     ANY,                       ARG_REQUIRED },
    { S("RSET"),     smtp_rset,     ANY,                       ARG_NONE },
    { S("NOOP"),     smtp_noop,     ANY,                       ARG_OPTIONAL },
    { S("HELP"),     smtp_help,     ANY,                       ARG_OPTIONAL },
    { S("VRFY"),     smtp_vrfy,     ANY,                       ARG_REQUIRED },
    { S("EXPN"),     smtp_expn,     ANY,                       ARG_OPTIONAL },
    { S("ETRN"),     smtp_expn,     ANY,                       ARG_OPTIONAL },
    { S("TURN"),     smtp_expn,     ANY,                       ARG_OPTIONAL },
    { S("QUIT"),     smtp_quit,     ANY,                       ARG_NONE },
};
/* clang-format on */

static const struct smtp_verb_row *
find_verb(str name)
{
    for (size_t i = 0; i < COUNT_OF(verbs); i++) {
        if (str_eq_nocase(verbs[i].name, name))
            return &verbs[i];
    }
    return NULL;
}

WAITS static enum err
wrong_phase(struct smtp_session *s, const struct smtp_verb_row *row)
{
    if (s->phase == PHASE_NEW)
        return smtp_reply(s, 503, "5.5.1", "Say EHLO first");
    if (s->phase == PHASE_BDAT)
        return smtp_reply(s, 503, "5.5.1", "A message in chunks is under way: BDAT or RSET");
    if (row->phases == PHASE_MAIL)
        return smtp_reply(s, 503, "5.5.1", "MAIL comes first");
    return smtp_reply(s, 503, "5.5.1", "Not in the middle of a transaction");
}

/* One command line without its end: found in the table, in its phase, with or without argument. */
WAITS static enum err
execute(struct smtp_session *s, str line)
{
    const struct smtp_verb_row *row;
    struct smtp_command command;

    if (smtp_command_parse(line, &command))
        return smtp_reply(s, 500, "5.5.2", "A command holds no control characters, and is UTF-8");
    row = find_verb(command.name);
    if (command.verb == SMTP_HTTP)
        return smtp_reply_last(s, 421, "4.7.0", "This is a mail server");
    if (!row)
        return smtp_reply(s, 500, "5.5.1", "Unknown command");
    if (row->argument == ARG_REQUIRED && !command.args.len)
        return smtp_reply(s, 501, "5.5.4", "%s needs an argument", row->name.ptr);
    if (row->argument == ARG_NONE && command.args.len)
        return smtp_reply(s, 501, "5.5.4", "%s takes no argument", row->name.ptr);
    if (!(row->phases & s->phase))
        return wrong_phase(s, row);
    return row->handler(s, command.args);
}

/* A line longer than any command: swallowed, so that its tail is never taken for another command.
 */
WAITS static enum err
swallow_line(struct smtp_session *s)
{
    enum err e;

    e = stream_skip_line(s->stream, LINE_SWALLOW_MAX);
    if (e == ERR_LIMIT)
        return smtp_reply_last(s, 421, "4.7.0", "That line never ends");
    if (e)
        return e;
    return smtp_reply(s, 500, "5.5.2", "Line too long");
}

static bool
too_long_for(const struct smtp_session *s, str line)
{
    return line.len > s->config->smtp.command_line_max && !str_starts_nocase(line, S("AUTH "));
}

WAITS static enum err
next_command(struct smtp_session *s)
{
    const struct config_smtp *limits = &s->config->smtp;
    size_t line_max = MAX(limits->command_line_max, limits->auth_line_max + AUTH_COMMAND_MAX);
    enum err e;
    str line;

    smtp_session_deadline(s, limits->command_timeout);
    fiber_set_idle(!s->intake);
    e = stream_read_line(s->stream, MIN(line_max, (size_t)STREAM_READ_BUFFER), &line);
    fiber_set_idle(false);
    if (e == ERR_LIMIT)
        return swallow_line(s);
    if (e)
        return e;
    if (too_long_for(s, line))
        return smtp_reply(s, 500, "5.5.2", "Line too long");
    if (!str_ends(line, S("\r\n")))
        return smtp_reply(s, 500, "5.5.2", "Lines end in CR LF");
    return execute(s, str_head(line, line.len - 2));
}

/* Whether the session has used up one of its ceilings; then the last reply was given. */
WAITS static enum err
check_ceilings(struct smtp_session *s)
{
    const struct config_smtp *limits = &s->config->smtp;

    if (s->ends)
        return OK;
    if (limits->errors_max && s->errors >= limits->errors_max)
        return smtp_reply_last(s, 421, "4.7.0", "Too many errors");
    if (limits->commands_max && s->commands >= limits->commands_max)
        return smtp_reply_last(s, 421, "4.7.0", "Too many commands in one session");
    return OK;
}

WAITS static enum err
serve_commands(struct smtp_session *s)
{
    enum err e;

    while (!s->ends) {
        e = next_command(s);
        if (e)
            return e;
        s->commands++;
        e = check_ceilings(s);
        if (e)
            return e;
    }
    return OK;
}

/* A client that speaks TLS to a port that begins in the clear would wait for us for ever. */
WAITS static enum err
refuse_blind_tls(struct smtp_session *s)
{
    enum err e;
    str bytes;

    e = stream_fill(s->stream, &bytes);
    if (e)
        return e;
    if (bytes.ptr[0] != TLS_HANDSHAKE_BYTE)
        return OK;
    return smtp_reply_last(s, 554, "5.7.0", "This port begins in the clear: use STARTTLS");
}

WAITS static enum err
greet(struct smtp_session *s)
{
    const char *greeting = s->config->smtp.greeting.len ? s->config->smtp.greeting.ptr : "ESMTP";
    enum err e;

    e = smtp_reply(s, 220, "", "%s %s", s->config->server.hostname.ptr, greeting);
    if (e || s->server->implicit_tls)
        return e;
    return refuse_blind_tls(s);
}

WAITS static enum err
handshake_first(struct smtp_session *s)
{
    struct why why = { "" };
    enum err e;

    smtp_session_deadline(s, s->config->smtp.handshake_timeout);
    e = stream_start_tls_server(s->stream, s->server->tls, &why);
    if (e == ERR_TLS || e == ERR_TIMEOUT)
        tls_record_failure(s->server->services, s->server->name, "connect", s->stream, &why);
    if (e)
        return e;
    smtp_session_note_tls(s);
    return OK;
}

/* Our own machines may have as many as they like. */
static bool
count_connection(struct smtp_session *s)
{
    const struct endpoint *client = stream_peer(s->stream);
    bool exempt =
        ipaddr_is_loopback(client->addr) || intake_is_trusted(s->server->services, client);

    s->counted = connections_enter(s->server->services->connections, client->addr,
                                   exempt ? 0 : s->config->smtp.connections_per_address_max);
    return s->counted;
}

WAITS static enum err
converse(struct smtp_session *s)
{
    enum err e;

    smtp_session_deadline(s, s->config->smtp.command_timeout);
    e = proxy_read_header(s->stream, s->server->proxies);
    if (e)
        return e;
    if (!count_connection(s))
        return smtp_reply_last(s, 421, "4.7.0", "Too many connections from your address");
    if (s->server->implicit_tls) {
        e = handshake_first(s);
        if (e)
            return e;
    }
    e = greet(s);
    if (e)
        return e;
    return serve_commands(s);
}

/* What can still be said when the conversation broke off.  RFC 5321 3.8: never without a word. */
WAITS static void
say_farewell(struct smtp_session *s, enum err why)
{
    enum err e = OK;

    if (why == ERR_TIMEOUT)
        e = smtp_reply_last(s, 421, "4.4.2", "%s Waited too long", s->config->server.hostname.ptr);
    else if (why == ERR_CANCELLED)
        e = smtp_reply_last(s, 421, "4.3.2", "%s Server is stopping, come back soon",
                            s->config->server.hostname.ptr);
    (void)e; /* The peer may be gone; nothing more can be done for it. */
}

void
smtp_server_run(void *arg, struct stream *stream)
{
    struct smtp_server *server = arg;
    struct smtp_session s = {
        .server = server,
        .stream = stream,
        .config = config_ref(server->services->config),
        .phase = PHASE_NEW,
    };
    ipaddr client;
    enum err e;

    s.ends_at = deadline_in(s.config->smtp.session_timeout);
    e = converse(&s);
    if (e)
        say_farewell(&s, e);
    intake_drop(&s.intake);
    client = stream_peer(stream)->addr;
    if (s.counted)
        connections_leave(server->services->connections, client);
    stream_close(stream);
    free(s.account);
    config_unref(s.config);
}
