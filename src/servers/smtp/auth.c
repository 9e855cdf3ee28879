/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* auth.c: AUTH: an exchange of lines between the client and accounts/login.  RFC 4954.
 *
 * Only in TLS; passwords are never seen here.  The challenge of a finished SCRAM exchange is sent
 * and its empty answer read inside login_step()'s states, so this file only carries lines.
 */
#include "servers/smtp/session.h"

#include "accounts/login.h"
#include "base/buf.h"
#include "config/config.h"
#include "runtime/stream.h"
#include "runtime/tls.h"
#include "servers/login_record.h"

#include <inttypes.h>
#include <string.h>

/* Base64 of the longest challenge that we send. */
enum {
    CHALLENGE_MAX = 4096
};
enum {
    ANSWER_SWALLOW_MAX = 1024 * 1024
};

/* The next line of the client in LINE, without CRLF; the view lasts until the next read. */
WAITS static enum err
read_answer(struct smtp_session *s, str *line)
{
    enum err e;

    smtp_session_deadline(s, s->config->smtp.command_timeout);
    e = stream_read_line(s->stream, SASL_LINE_MAX + 2, line);
    if (e)
        return e;
    if (!str_ends(*line, S("\r\n")))
        return ERR_SYNTAX;
    line->len -= 2;
    return OK;
}

WAITS static enum err
welcome(struct smtp_session *s, const struct login_result *result)
{
    s->account = str_dup(str_from(result->address));
    s->account_id = result->account;
    return smtp_reply(s, 235, "2.7.0", "Welcome");
}

WAITS static enum err
refuse_login(struct smtp_session *s, const struct login_result *result)
{
    s->auth_failures++;
    switch (result->state) {
    case LOGIN_DISABLED:
        return smtp_reply(s, 535, "5.7.13", "This account is disabled");
    case LOGIN_THROTTLED:
        return smtp_reply(s, 454, "4.7.0", "Too many wrong passwords: try again in %" PRId64 " s",
                          result->retry_after / SECONDS(1) + 1);
    case LOGIN_BUSY:
        return smtp_reply(s, 454, "4.7.0", "Too many logins at once: try again");
    case LOGIN_BROKEN:
        return smtp_reply(s, 501, "5.5.2", "That does not follow the mechanism");
    case LOGIN_ABORTED:
        return smtp_reply(s, 501, "5.7.0", "Login given up");
    case LOGIN_BAD:
    case LOGIN_CONTINUE:
    case LOGIN_OK:
        break;
    }
    return smtp_reply(s, 535, "5.7.8", "Wrong name or password");
}

WAITS static enum err
finish(struct smtp_session *s, const struct login_result *result)
{
    unsigned max = s->config->smtp.auth_failures_max;
    enum err e;

    login_record(s->server->services, s->server->name, s->stream, result);
    if (result->state == LOGIN_OK)
        return welcome(s, result);
    e = refuse_login(s, result);
    if (e)
        return e;
    if (max && s->auth_failures >= max)
        return smtp_reply_last(s, 421, "4.7.0", "Too many failed logins");
    return OK;
}

/* RFC 4954 4: too long an answer fails the exchange, and the conversation goes on behind it. */
WAITS static enum err
swallow_answer(struct smtp_session *s)
{
    enum err e;

    e = stream_skip_line(s->stream, ANSWER_SWALLOW_MAX);
    if (e == ERR_LIMIT)
        return smtp_reply_last(s, 421, "4.7.0", "That line never ends");
    if (e)
        return e;
    return smtp_reply(s, 500, "5.5.6", "Line too long");
}

/* Challenge and answer until the exchange is over.  FIRST is the initial response or NULL. */
WAITS static enum err
exchange(struct smtp_session *s, struct login *login, const str *first, struct buf *challenge)
{
    struct login_result result;
    enum err e;
    str line;

    e = login_step(login, first, challenge, &result);
    while (!e && result.state == LOGIN_CONTINUE) {
        e = smtp_reply(s, 334, "", "%.*s", STR_ARG(buf_str(challenge)));
        if (e)
            return e;
        e = read_answer(s, &line);
        if (e == ERR_LIMIT)
            return swallow_answer(s);
        if (e == ERR_SYNTAX)
            return smtp_reply(s, 501, "5.5.2", "Lines end in CR LF");
        if (e)
            return e;
        e = login_step(login, &line, challenge, &result);
    }
    if (e)
        return e;
    return finish(s, &result);
}

static bool
mechanism_is_offered(const struct smtp_session *s, str name, enum sasl_mechanism *mechanism)
{
    const struct config_texts *offered = &s->config->auth.mechanisms;
    const struct tls_info *tls = stream_tls(s->stream);

    if (!sasl_mechanism_parse(name, mechanism))
        return false;
    if (*mechanism == SASL_SCRAM_SHA_256_PLUS && !(tls && tls->has_exporter))
        return false;
    for (size_t i = 0; i < offered->count; i++) {
        if (str_eq_nocase(offered->items[i], name))
            return true;
    }
    return false;
}

WAITS static enum err
begin_exchange(struct smtp_session *s, enum sasl_mechanism mechanism, const str *first)
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
        return smtp_reply(s, 454, "4.7.0", "Logins are not possible at the moment");
    buf_init(&challenge, CHALLENGE_MAX);
    e = exchange(s, login, first, &challenge);
    buf_done(&challenge);
    return e;
}

enum err
smtp_auth(struct smtp_session *s, str args)
{
    enum sasl_mechanism mechanism;
    str name, first = { 0 };
    bool has_first;

    if (s->account)
        return smtp_reply(s, 503, "5.5.1", "You are logged in already");
    if (s->server->door != DOOR_SUBMISSION)
        return smtp_reply(s, 502, "5.5.1", "No logins on this port: use submission, 465 or 587");
    if (!s->handshake_done)
        return smtp_reply(s, 538, "5.7.11", "Passwords only in TLS: STARTTLS first");
    has_first = str_split(args, ' ', &name, &first);
    first = str_trim(first);
    if (!mechanism_is_offered(s, name, &mechanism))
        return smtp_reply(s, 504, "5.5.4", "That mechanism is not offered");
    return begin_exchange(s, mechanism, has_first ? &first : NULL);
}
