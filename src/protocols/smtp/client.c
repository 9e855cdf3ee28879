/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* client.c: how a connection to a mail server begins and ends.
 *
 * smtp_client_open() reads from top to bottom as the conversation does: connect, greeting, EHLO,
 * STARTTLS and EHLO again, AUTH.  RFC 5321 3.1, 3207, 4954, 8314; LMTP: RFC 2033.
 */
#include "protocols/smtp/client.h"

#include "auth/sasl.h"
#include "protocols/smtp/connection.h"
#include "runtime/clock.h"
#include "runtime/egress.h"
#include "runtime/stream.h"

#include <stdlib.h>
#include <string.h>

const char *
smtp_stage_name(enum smtp_stage stage)
{
    static const char *const names[] = {
        [SMTP_STAGE_CONNECT] = "connect", [SMTP_STAGE_GREETING] = "greeting",
        [SMTP_STAGE_EHLO] = "ehlo",       [SMTP_STAGE_STARTTLS] = "starttls",
        [SMTP_STAGE_TLS] = "tls",         [SMTP_STAGE_AUTH] = "auth",
        [SMTP_STAGE_MAIL] = "mail",       [SMTP_STAGE_RCPT] = "rcpt",
        [SMTP_STAGE_DATA] = "data",       [SMTP_STAGE_BODY] = "body",
        [SMTP_STAGE_FINAL] = "final",     [SMTP_STAGE_IDLE] = "idle",
    };

    return names[stage];
}

void
smtp_connection_stage(struct smtp_client *client, enum smtp_stage stage)
{
    client->stage = stage;
    if (client->on_stage)
        client->on_stage(client->arg, stage);
}

static void
tap(void *arg, bool output, str bytes)
{
    struct smtp_client *client = arg;

    client->tap(client->arg, output, output && client->secret ? S("[login]\r\n") : bytes);
}

/* --- Replies. */

/* Printable ASCII in one line. */
static void
clean(str text, char *to, size_t size)
{
    size_t len = 0;

    for (size_t i = 0; i < text.len && len < size - 1; i++) {
        char c = text.ptr[i];
        if (c == '\n' || c == '\t')
            c = ' ';
        else if (c < 0x20 || c > 0x7e)
            c = '?';
        if (c != ' ' || (len > 0 && to[len - 1] != ' '))
            to[len++] = c;
    }
    to[len] = '\0';
}

void
smtp_answer_from_reply(const struct smtp_reply *reply, struct smtp_answer *answer)
{
    answer->code = (uint16_t)reply->code;
    answer->enhanced[0] = '\0';
    if (reply->enhanced.class != 0 && reply->enhanced.class == reply->code / 100)
        enhanced_format(&reply->enhanced, reply->code, answer->enhanced);
    clean(smtp_reply_text(reply), answer->text, sizeof(answer->text));
}

void
smtp_answer_set(struct smtp_answer *answer, unsigned code, const char *enhanced, const char *text)
{
    answer->code = (uint16_t)code;
    clean(str_from(enhanced), answer->enhanced, sizeof(answer->enhanced));
    clean(str_from(text), answer->text, sizeof(answer->text));
}

static const char *
reason_of(enum err e)
{
    switch (e) {
    case ERR_CLOSED:
        return "the server closed the connection";
    case ERR_TIMEOUT:
        return "the server did not answer in time";
    case ERR_CANCELLED:
        return "interrupted here";
    case ERR_SYNTAX:
        return "the server does not speak SMTP as it should";
    default:
        return err_name(e);
    }
}

enum err
smtp_connection_fail(struct smtp_client *client, struct smtp_failure *failure, enum err e)
{
    client->broken = true;
    failure->stage = client->stage;
    if (!failure->why.text[0])
        return err_why(&failure->why, e, "%s", reason_of(e));
    return e;
}

enum err
smtp_connection_read(struct smtp_client *client, struct smtp_failure *failure)
{
    enum err e;
    str line;

    smtp_reply_clear(&client->reply);
    do {
        e = stream_read_line(client->stream, SMTP_REPLY_LINE_MAX, &line);
        if (!e)
            e = smtp_reply_add_line(&client->reply, line);
        if (e == ERR_LIMIT)
            e = err_why(&failure->why, ERR_SYNTAX, "the server's reply is too long");
        if (e)
            return smtp_connection_fail(client, failure, e);
    } while (!client->reply.complete);
    if (client->reply.code == 421)
        client->closing = true;
    return OK;
}

/* Says no: the answer goes into FAILURE. */
static enum err
refused(struct smtp_client *client, struct smtp_failure *failure, enum err e, const char *what)
{
    smtp_answer_from_reply(&client->reply, &failure->answer);
    failure->stage = client->stage;
    client->broken = true;
    return err_why(&failure->why, e, "%s: %u %s", what, client->reply.code, failure->answer.text);
}

WAITS static enum err
write_parts(struct smtp_client *client, str a, str b, struct smtp_failure *failure)
{
    enum err e = stream_write(client->stream, a);

    if (!e)
        e = stream_write(client->stream, b);
    if (!e)
        e = stream_write(client->stream, S("\r\n"));
    return e ? smtp_connection_fail(client, failure, e) : OK;
}

WAITS static enum err
command(struct smtp_client *client, str verb, str argument, struct smtp_failure *failure)
{
    enum err e;

    stream_set_deadline(client->stream, deadline_in(client->timeouts.command));
    e = write_parts(client, verb, argument, failure);
    if (e)
        return e;
    return smtp_connection_read(client, failure);
}

/* --- The steps. */

WAITS static enum err
connect_to(struct smtp_client *client, const struct smtp_client_options *options,
           struct smtp_failure *failure)
{
    instant deadline = deadline_in(options->timeouts.connect);
    enum err e;

    smtp_connection_stage(client, SMTP_STAGE_CONNECT);
    if (options->unix_path)
        e = stream_connect_unix(options->unix_path, deadline, &client->stream, &failure->why);
    else if (options->egress)
        e = egress_connect(options->egress, &options->peer, deadline, &client->stream,
                           &failure->why);
    else
        e = stream_connect(&options->peer, options->local, deadline, &client->stream,
                           &failure->why);
    if (e)
        return smtp_connection_fail(client, failure, e);
    if (client->tap)
        stream_set_tap(client->stream, tap, client);
    return OK;
}

WAITS static enum err
greeting(struct smtp_client *client, struct smtp_failure *failure)
{
    enum err e;

    smtp_connection_stage(client, SMTP_STAGE_GREETING);
    stream_set_deadline(client->stream, deadline_in(client->timeouts.greeting));
    e = smtp_connection_read(client, failure);
    if (e)
        return e;
    if (client->reply.code != 220)
        return refused(client, failure, ERR_REFUSED, "the server's greeting refuses us");
    return OK;
}

/* RFC 5321 4.1.1.1: the first word. */
static void
note_peer_name(const struct smtp_client *client, struct smtp_failure *failure)
{
    str text = smtp_reply_text(&client->reply);
    size_t len = 0;

    while (len < text.len && text.ptr[len] > 0x20)
        len++;
    clean(str_head(text, len), failure->peer_name, sizeof(failure->peer_name));
}

WAITS static enum err
ehlo(struct smtp_client *client, const struct smtp_client_options *options,
     struct smtp_failure *failure)
{
    bool plain_helo_will_do = !options->lmtp && !options->user.len &&
                              options->tls != RELAY_TLS_REQUIRE && !stream_tls(client->stream);
    enum err e;

    smtp_connection_stage(client, SMTP_STAGE_EHLO);
    client->capabilities = (struct smtp_capabilities){};
    e = command(client, options->lmtp ? S("LHLO ") : S("EHLO "), options->helo_name, failure);
    if (e)
        return e;
    if (client->reply.code == 250) {
        note_peer_name(client, failure);
        client->esmtp = true;
        smtp_capabilities_parse(&client->reply, &client->capabilities);
        return OK;
    }
    if (client->reply.code / 100 != 5 || !plain_helo_will_do)
        return refused(client, failure, ERR_REFUSED, "the server refuses our EHLO");
    e = command(client, S("HELO "), options->helo_name, failure);
    if (e)
        return e;
    if (client->reply.code != 250)
        return refused(client, failure, ERR_REFUSED, "the server refuses our HELO");
    return OK;
}

WAITS static enum err
handshake(struct smtp_client *client, const struct smtp_client_options *options,
          struct smtp_failure *failure)
{
    struct tls_client_options tls = {
        .server_name = options->host,
        .verify = options->tlsa_count                  ? TLS_VERIFY_DANE
                  : options->verify == RELAY_VERIFY_ON ? TLS_VERIFY_PKIX
                                                       : TLS_VERIFY_NONE,
        .tlsa = options->tlsa,
        .tlsa_count = options->tlsa_count,
        .also_named = options->also_named,
        .san_only = options->san_only,
        .resuming = &failure->resuming,
        .fault = &failure->tls_fault,
    };
    enum err e;

    failure->resuming = false;
    failure->tls_fault = TLS_FAULT_NONE;
    smtp_connection_stage(client, SMTP_STAGE_TLS);
    stream_set_deadline(client->stream, deadline_in(client->timeouts.greeting));
    e = stream_start_tls_client(client->stream, options->tls_context, &tls, &failure->why);
    if (!e && options->on_tls)
        options->on_tls(options->arg, stream_tls(client->stream));
    if (!e)
        return OK;
    return smtp_connection_fail(client, failure, e == ERR_CANCELLED ? e : ERR_TLS);
}

/* What was said in the clear is worth nothing afterwards; and a peer whose bytes came before the
 * handshake is not the peer, or lets somebody else speak (CVE-2021-38371). */
WAITS static enum err
starttls(struct smtp_client *client, const struct smtp_client_options *options,
         struct smtp_failure *failure)
{
    enum err e;

    if (options->tls == RELAY_TLS_OFF || options->implicit_tls)
        return OK;
    if (!client->capabilities.starttls || !options->tls_context) {
        if (options->tls != RELAY_TLS_REQUIRE)
            return OK;
        client->stage = SMTP_STAGE_STARTTLS;
        (void)err_why(&failure->why, ERR_TLS,
                      "the server does not offer STARTTLS, and TLS is required");
        return smtp_connection_fail(client, failure, ERR_TLS);
    }
    smtp_connection_stage(client, SMTP_STAGE_STARTTLS);
    e = command(client, S("STARTTLS"), S(""), failure);
    if (e)
        return e;
    if (client->reply.code != 220) {
        if (options->tls != RELAY_TLS_REQUIRE && !client->closing)
            return OK;
        return refused(client, failure, ERR_TLS, "the server offers STARTTLS but refuses it");
    }
    if (stream_buffered(client->stream) > 0) {
        stream_discard_input(client->stream);
        (void)err_why(&failure->why, ERR_TLS, "bytes came in the clear after STARTTLS");
        return smtp_connection_fail(client, failure, ERR_TLS);
    }
    e = handshake(client, options, failure);
    if (e)
        return e;
    return ehlo(client, options, failure);
}

static enum sasl_mechanism
choose_mechanism(const struct smtp_capabilities *capabilities, enum relay_auth wanted)
{
    /* clang-format off */
    static const struct {
        enum relay_auth name;
        unsigned offered;
        enum sasl_mechanism mechanism;
    } best_first[] = {
        { RELAY_AUTH_SCRAM_SHA_256, SMTP_MECHANISM_SCRAM_SHA_256, SASL_SCRAM_SHA_256 },
        { RELAY_AUTH_PLAIN,         SMTP_MECHANISM_PLAIN,         SASL_PLAIN },
        { RELAY_AUTH_LOGIN,         SMTP_MECHANISM_LOGIN,         SASL_LOGIN },
    };
    /* clang-format on */

    for (size_t i = 0; i < COUNT_OF(best_first); i++)
        if ((capabilities->mechanisms & best_first[i].offered) &&
            (wanted == RELAY_AUTH_AUTO || wanted == best_first[i].name))
            return best_first[i].mechanism;
    return SASL_NONE;
}

/* The exchange after AUTH, until the server says yes or no. */
WAITS static enum err
exchange(struct smtp_client *client, struct sasl_client *sasl, struct buf *response,
         struct smtp_failure *failure)
{
    enum err e;

    for (unsigned step = 0; step < SASL_STEPS_MAX; step++) {
        client->secret = true;
        stream_set_deadline(client->stream, deadline_in(client->timeouts.command));
        e = smtp_connection_read(client, failure);
        client->secret = false;
        if (e)
            return e;
        if (client->reply.code == 235)
            return OK;
        if (client->reply.code != 334)
            return refused(client, failure, ERR_REFUSED, "the server refuses the login");
        buf_clear(response);
        e = sasl_client_step(sasl, smtp_reply_text(&client->reply), response);
        if (e) {
            (void)err_why(&failure->why, e, "%s",
                          e == ERR_REFUSED ? "the server could not prove that it knows the password"
                                           : "the server's challenge cannot be understood");
            return smtp_connection_fail(client, failure, e);
        }
        client->secret = true;
        e = write_parts(client, buf_str(response), S(""), failure);
        if (e)
            return e;
    }
    return smtp_connection_fail(client, failure, ERR_SYNTAX);
}

WAITS static enum err
login_with(struct smtp_client *client, struct sasl_client *sasl, enum sasl_mechanism mechanism,
           struct buf *response, struct smtp_failure *failure)
{
    const char *name = sasl_mechanism_name(mechanism);
    enum err e = stream_write(client->stream, S("AUTH "));

    if (!e && sasl_client_speaks_first(sasl)) {
        e = sasl_client_step(sasl, S(""), response);
        if (!e)
            e = stream_write(client->stream, str_from(name));
        if (!e)
            e = stream_write(client->stream, response->len ? S(" ") : S(" ="));
        client->secret = true;
        if (!e)
            e = write_parts(client, buf_str(response), S(""), failure);
    } else if (!e) {
        e = write_parts(client, str_from(name), S(""), failure);
    }
    if (e)
        return smtp_connection_fail(client, failure, e);
    return exchange(client, sasl, response, failure);
}

WAITS static enum err
login(struct smtp_client *client, const struct smtp_client_options *options,
      struct smtp_failure *failure)
{
    struct sasl_client_options sasl_options = { .name = options->user,
                                                .password = options->password };
    struct sasl_client *sasl = NULL;
    struct buf response;
    enum err e;

    if (!options->user.len || options->auth == RELAY_AUTH_NONE)
        return OK;
    smtp_connection_stage(client, SMTP_STAGE_AUTH);
    if (!stream_tls(client->stream)) {
        (void)err_why(&failure->why, ERR_TLS,
                      "a password is never sent without TLS, and this "
                      "connection has none");
        return smtp_connection_fail(client, failure, ERR_TLS);
    }
    sasl_options.mechanism = choose_mechanism(&client->capabilities, options->auth);
    if (sasl_options.mechanism == SASL_NONE) {
        (void)err_why(&failure->why, ERR_UNSUPPORTED,
                      "the server offers no login that we speak "
                      "(PLAIN, LOGIN, SCRAM-SHA-256)");
        return smtp_connection_fail(client, failure, ERR_UNSUPPORTED);
    }
    e = sasl_client_new(options->sasl, &sasl_options, &sasl);
    if (e)
        return smtp_connection_fail(client, failure, e);
    buf_init(&response, SASL_LINE_MAX);
    e = login_with(client, sasl, sasl_options.mechanism, &response, failure);
    client->secret = false;
    explicit_bzero(response.data, response.len);
    buf_done(&response);
    sasl_client_free(sasl);
    return e;
}

/* --- The whole. */

static void
client_free(struct smtp_client *client)
{
    stream_close(client->stream);
    smtp_reply_done(&client->reply);
    free(client);
}

void
smtp_client_close(struct smtp_client *client)
{
    if (!client)
        return;
    if (client->stream && !client->broken && !client->closing) {
        enum err ignored = stream_write(client->stream, S("QUIT\r\n"));
        (void)ignored;
    }
    client_free(client);
}

void
smtp_client_quit(struct smtp_client *client)
{
    struct smtp_failure failure = {};

    if (!client)
        return;
    if (client->stream && !client->broken && !client->closing) {
        enum err ignored;
        client->timeouts.command = MIN(client->timeouts.command, SECONDS(5));
        ignored = command(client, S("QUIT"), S(""), &failure);
        (void)ignored;
    }
    client_free(client);
}

const struct smtp_capabilities *
smtp_client_capabilities(const struct smtp_client *client)
{
    return &client->capabilities;
}

const struct tls_info *
smtp_client_tls(const struct smtp_client *client)
{
    return stream_tls(client->stream);
}

bool
smtp_client_certificate(const struct smtp_client *client, struct tls_certificate *certificate)
{
    return stream_certificate(client->stream, certificate);
}

const struct endpoint *
smtp_client_peer(const struct smtp_client *client)
{
    return stream_peer(client->stream);
}

const struct endpoint *
smtp_client_local(const struct smtp_client *client)
{
    return stream_local(client->stream);
}

unsigned
smtp_client_sent(const struct smtp_client *client)
{
    return client->sent;
}

bool
smtp_client_is_usable(const struct smtp_client *client)
{
    uint64_t max = client->capabilities.mail_max;

    return !client->broken && !client->closing && stream_buffered(client->stream) == 0 &&
           (max == 0 || client->sent < max);
}

WAITS static enum err
converse(struct smtp_client *client, const struct smtp_client_options *options,
         struct smtp_failure *failure)
{
    enum err e = connect_to(client, options, failure);

    if (!e)
        failure->local = stream_local(client->stream)->addr;
    if (!e && options->implicit_tls)
        e = handshake(client, options, failure);
    if (!e)
        e = greeting(client, failure);
    if (!e)
        e = ehlo(client, options, failure);
    if (!e)
        e = starttls(client, options, failure);
    if (!e)
        e = login(client, options, failure);
    return e;
}

enum err
smtp_client_open(const struct smtp_client_options *options, struct smtp_client **client,
                 struct smtp_failure *failure)
{
    struct smtp_client *opened = calloc(1, sizeof(*opened));
    enum err e;

    *failure = (struct smtp_failure){};
    if (!opened)
        return ERR_LIMIT;
    opened->timeouts = options->timeouts;
    opened->lmtp = options->lmtp;
    opened->tap = options->tap;
    opened->on_stage = options->on_stage;
    opened->arg = options->arg;
    smtp_reply_init(&opened->reply);
    e = converse(opened, options, failure);
    if (e) {
        client_free(opened);
        return e;
    }
    smtp_connection_stage(opened, SMTP_STAGE_IDLE);
    *client = opened;
    return OK;
}
