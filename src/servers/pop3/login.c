/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* login.c: CAPA, STLS, USER, PASS, AUTH, UTF8: all before a mailbox is open.  RFC 2449, 2595, 5034.
 *
 * Nothing that has to do with a password is offered or taken without TLS, and nothing from before
 * STLS survives it.
 */
#include "servers/pop3/session.h"

#include "accounts/login.h"
#include "base/buf.h"
#include "config/config.h"
#include "intake/intake.h"
#include "runtime/clock.h"
#include "runtime/stream.h"
#include "runtime/tls.h"
#include "servers/login_record.h"
#include "servers/tls_record.h"

#include <stdio.h>
#include <string.h>

enum {
    CHALLENGE_MAX = 4096
};

static bool
mechanism_fits(const struct pop3_session *s, str name, enum sasl_mechanism *mechanism)
{
    const struct tls_info *tls = stream_tls(s->stream);

    if (!sasl_mechanism_parse(name, mechanism))
        return false;
    return *mechanism != SASL_SCRAM_SHA_256_PLUS || (tls && tls->has_exporter);
}

WAITS static enum err
list_mechanisms(struct pop3_session *s, const char *head, bool in_one_line)
{
    const struct config_texts *offered = &s->config->auth.mechanisms;
    enum sasl_mechanism mechanism;
    char line[160];
    size_t used = (size_t)snprintf(line, sizeof(line), "%s", head);
    enum err e;

    for (size_t i = 0; i < offered->count && used < sizeof(line); i++) {
        const char *name;

        if (!mechanism_fits(s, offered->items[i], &mechanism))
            continue;
        name = sasl_mechanism_name(mechanism);
        if (in_one_line) {
            used += (size_t)snprintf(line + used, sizeof(line) - used, " %s", name);
            continue;
        }
        e = pop3_line(s, "%s", name);
        if (e)
            return e;
    }
    return in_one_line ? pop3_line(s, "%s", line) : OK;
}

enum err
pop3_capa(struct pop3_session *s, str args)
{
    static const char *const always[] = {
        "TOP",
        "UIDL",
        "PIPELINING",
        "RESP-CODES",
        "AUTH-RESP-CODE",
        "UTF8",
        "EXPIRE NEVER",
        "IMPLEMENTATION Outpost",
    };
    enum err e;

    (void)args;
    e = pop3_ok(s, "Capabilities");
    for (size_t i = 0; i < COUNT_OF(always) && !e; i++)
        e = pop3_line(s, "%s", always[i]);
    if (!e && s->has_tls)
        e = pop3_line(s, "USER");
    if (!e && s->has_tls)
        e = list_mechanisms(s, "SASL", true);
    if (!e && !s->has_tls && s->server->tls)
        e = pop3_line(s, "STLS");
    return e ? e : pop3_end(s);
}

enum err
pop3_stls(struct pop3_session *s, str args)
{
    struct why why = { "" };
    enum err e;

    (void)args;
    if (s->has_tls)
        return pop3_refuse(s, "This conversation is in TLS already");
    if (!s->server->tls)
        return pop3_refuse(s, "TLS is not set up here");
    s->name[0] = '\0';
    if (stream_buffered(s->stream) > 0) {
        s->ends = true;
        return pop3_refuse(s, "Commands behind STLS are not safe");
    }
    e = pop3_ok(s, "Begin TLS");
    if (!e)
        e = stream_flush(s->stream);
    if (e)
        return e;
    stream_set_deadline(s->stream, deadline_in(s->config->smtp.handshake_timeout));
    e = stream_start_tls_server(s->stream, s->server->tls, &why);
    if (e == ERR_TLS || e == ERR_TIMEOUT)
        tls_record_failure(s->server->services, s->server->name, "starttls", s->stream, &why);
    if (e)
        return e;
    s->has_tls = true;
    s->utf8 = false;
    return OK;
}

enum err
pop3_utf8(struct pop3_session *s, str args)
{
    (void)args;
    s->utf8 = true;
    return pop3_ok(s, "UTF-8 it is");
}

WAITS static enum err
finish_login(struct pop3_session *s, const struct login_result *result)
{
    unsigned max = s->config->pop3.auth_failures_max;

    login_record(s->server->services, s->server->name, s->stream, result);
    s->name[0] = '\0';
    if (result->state == LOGIN_OK)
        return pop3_enter(s, result);
    if (max && ++s->auth_failures >= max)
        s->ends = true;
    switch (result->state) {
    case LOGIN_DISABLED:
        return pop3_refuse(s, "[AUTH] This account is disabled");
    case LOGIN_THROTTLED:
        return pop3_refuse(s, "[SYS/TEMP] Too many wrong passwords: try again in %lld s",
                           (long long)(result->retry_after / SECONDS(1)) + 1);
    case LOGIN_BUSY:
        return pop3_refuse(s, "[SYS/TEMP] Too many logins at once: try again");
    case LOGIN_BROKEN:
        return pop3_refuse(s, "That does not follow the mechanism");
    case LOGIN_ABORTED:
        return pop3_refuse(s, "Login given up");
    default:
        return pop3_refuse(s, "[AUTH] Wrong name or password");
    }
}

enum err
pop3_user(struct pop3_session *s, str args)
{
    if (!s->has_tls)
        return pop3_refuse(s, "Passwords only in TLS: STLS first");
    if (args.len > POP3_NAME_MAX)
        return pop3_refuse(s, "[AUTH] Wrong name or password");
    memcpy(s->name, args.ptr, args.len);
    s->name[args.len] = '\0';
    return pop3_ok(s, "And the password?");
}

enum err
pop3_pass(struct pop3_session *s, str args)
{
    struct login_result result;
    enum err e;

    if (!s->has_tls)
        return pop3_refuse(s, "Passwords only in TLS: STLS first");
    if (!s->name[0])
        return pop3_refuse(s, "USER comes first");
    e = login_plain(s->server->services->logins, stream_peer(s->stream)->addr, str_from(s->name),
                    args, &result);
    if (e)
        return e;
    return finish_login(s, &result);
}

WAITS static enum err
read_answer(struct pop3_session *s, str *line)
{
    enum err e;

    stream_set_deadline(s->stream, deadline_in(s->config->pop3.idle_timeout));
    e = stream_read_line(s->stream, SASL_LINE_MAX + 2, line);
    if (e)
        return e;
    if (!str_ends(*line, S("\r\n")))
        return ERR_SYNTAX;
    line->len -= 2;
    return OK;
}

WAITS static enum err
exchange(struct pop3_session *s, struct login *login, const str *first, struct buf *challenge)
{
    struct login_result result;
    enum err e;
    str line;

    e = login_step(login, first, challenge, &result);
    while (!e && result.state == LOGIN_CONTINUE) {
        e = pop3_line(s, "+ %.*s", STR_ARG(buf_str(challenge)));
        if (e)
            return e;
        e = read_answer(s, &line);
        if (e == ERR_LIMIT || e == ERR_SYNTAX) {
            s->ends = true;
            return pop3_refuse(s, "That is no line of a login");
        }
        if (e)
            return e;
        e = login_step(login, &line, challenge, &result);
    }
    if (e)
        return e;
    return finish_login(s, &result);
}

WAITS static enum err
begin_exchange(struct pop3_session *s, enum sasl_mechanism mechanism, const str *first)
{
    const struct tls_info *tls = stream_tls(s->stream);
    struct login_options options = {
        .mechanism = mechanism,
        .client = stream_peer(s->stream)->addr,
        .exporter = tls && tls->has_exporter ? tls->exporter : NULL,
    };
    OWN(login) login = NULL;
    struct buf challenge;
    enum err e;

    e = login_begin(s->server->services->logins, &options, &login);
    if (e)
        return pop3_refuse(s, "[SYS/TEMP] Logins are not possible at the moment");
    buf_init(&challenge, CHALLENGE_MAX);
    e = exchange(s, login, first, &challenge);
    buf_done(&challenge);
    return e;
}

enum err
pop3_auth(struct pop3_session *s, str args)
{
    enum sasl_mechanism mechanism;
    str name, first = { 0 };
    bool has_first;
    enum err e;

    if (!s->has_tls)
        return pop3_refuse(s, "Passwords only in TLS: STLS first");
    if (!args.len) {
        e = pop3_ok(s, "Mechanisms");
        if (!e)
            e = list_mechanisms(s, "", false);
        return e ? e : pop3_end(s);
    }
    has_first = str_split(args, ' ', &name, &first);
    first = str_trim(first);
    if (!mechanism_fits(s, name, &mechanism))
        return pop3_refuse(s, "That mechanism is not offered");
    return begin_exchange(s, mechanism, has_first ? &first : NULL);
}
