/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* session.c: what all commands share: replies, phases, deadlines.
 *
 * Replies collect in the stream's buffer and leave when the next command is waited for, so that
 * pipelining needs no code.  RFC 2920, RFC 5321 4.2, 4.5.3.1.5.
 */
#include "servers/smtp/session.h"

#include "config/config.h"
#include "runtime/clock.h"
#include "runtime/fiber.h"
#include "runtime/stream.h"
#include "runtime/tls.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* RFC 5321 4.5.3.1.5: 512 octets with the code and CRLF. */
enum {
    REPLY_MAX = 512
};
/* A few mistakes are free; then each delays its reply by so much more than the last. */
enum {
    MISTAKES_FREE = 3
};
#define MISTAKE_DELAY     MILLISECONDS(100)
#define MISTAKE_DELAY_MAX SECONDS(1)

WAITS static enum err
delay_mistake(struct smtp_session *s, unsigned code)
{
    duration delay;

    if (code < 500)
        return OK;
    s->errors++;
    if (s->errors <= MISTAKES_FREE)
        return OK;
    delay = MISTAKE_DELAY * (duration)(s->errors - MISTAKES_FREE);
    return fiber_sleep(MIN(delay, MISTAKE_DELAY_MAX));
}

WAITS static enum err
put_reply(struct smtp_session *s, unsigned code, char separator, const char *enhanced,
          const char *format, va_list args)
{
    char line[REPLY_MAX + 1];
    size_t length, start;
    int printed;

    start = (size_t)snprintf(line, sizeof(line), "%03u%c%s%s", code, separator, enhanced,
                             enhanced[0] ? " " : "");
    printed = vsnprintf(line + start, sizeof(line) - 2 - start, format, args);
    length = MIN(start + (size_t)MAX(printed, 0), (size_t)REPLY_MAX - 2);
    for (size_t i = start; i < length; i++) {
        if (line[i] < 0x20 || line[i] > 0x7e)
            line[i] = '?';
    }
    memcpy(line + length, "\r\n", 2);
    return stream_write(s->stream, (str){ line, length + 2 });
}

enum err
smtp_reply(struct smtp_session *s, unsigned code, const char *enhanced, const char *format, ...)
{
    va_list args;
    enum err e;

    e = delay_mistake(s, code);
    if (e)
        return e;
    va_start(args, format);
    e = put_reply(s, code, ' ', enhanced, format, args);
    va_end(args);
    return e;
}

enum err
smtp_reply_more(struct smtp_session *s, unsigned code, const char *enhanced, const char *format,
                ...)
{
    va_list args;
    enum err e;

    va_start(args, format);
    e = put_reply(s, code, '-', enhanced, format, args);
    va_end(args);
    return e;
}

enum err
smtp_reply_last(struct smtp_session *s, unsigned code, const char *enhanced, const char *format,
                ...)
{
    va_list args;
    enum err e;

    s->ends = true;
    va_start(args, format);
    e = put_reply(s, code, ' ', enhanced, format, args);
    va_end(args);
    return e;
}

enum err
smtp_reply_uncounted(struct smtp_session *s, unsigned code, const char *enhanced,
                     const char *format, ...)
{
    va_list args;
    enum err e;

    va_start(args, format);
    e = put_reply(s, code, ' ', enhanced, format, args);
    va_end(args);
    return e;
}

enum err
smtp_reply_verdict(struct smtp_session *s, const struct verdict *verdict)
{
    return smtp_reply_uncounted(s, verdict->code, verdict->enhanced, "%s", verdict->text);
}

/* RFC 3848: ESMTP, then S for TLS, A for a login. */
static const char *
protocol_name(const struct smtp_session *s)
{
    if (!s->extended)
        return "SMTP";
    if (s->handshake_done)
        return s->account ? "ESMTPSA" : "ESMTPS";
    return s->account ? "ESMTPA" : "ESMTP";
}

void
smtp_session_peer(const struct smtp_session *s, struct intake_peer *peer)
{
    *peer = (struct intake_peer){
        .door = s->server->door,
        .client = *stream_peer(s->stream),
        .helo = str_from(s->helo),
        .service = str_from(s->server->name),
        .account = str_from(s->account),
        .account_id = s->account_id,
        .tls = str_from(s->tls),
        .protocol = str_from(protocol_name(s)),
    };
}

void
smtp_session_reset(struct smtp_session *s)
{
    intake_drop(&s->intake);
    s->rcpt_seen = false;
    if (s->phase != PHASE_NEW)
        s->phase = PHASE_GREETED;
}

void
smtp_session_deadline(struct smtp_session *s, duration time)
{
    stream_set_deadline(s->stream, MIN(deadline_in(time), s->ends_at));
}

bool
smtp_session_has_tls(const struct smtp_session *s)
{
    return stream_tls(s->stream) != NULL;
}

void
smtp_session_note_tls(struct smtp_session *s)
{
    const struct tls_info *info = stream_tls(s->stream);

    s->handshake_done = true;
    snprintf(s->tls, sizeof(s->tls), "%s %s", info->version, info->cipher);
}

bool
smtp_session_offers_auth(const struct smtp_session *s)
{
    return s->server->door == DOOR_SUBMISSION && s->handshake_done && !s->account &&
           s->config->auth.mechanisms.count > 0;
}
