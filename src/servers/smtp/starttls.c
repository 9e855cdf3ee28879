/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* starttls.c: from the clear into TLS.  RFC 3207.
 *
 * Nothing from before survives: neither bytes that came behind the command in the clear (they may
 * be somebody else's, CVE-2011-0411), nor anything that the client said.
 */
#include "servers/smtp/session.h"

#include "config/config.h"
#include "runtime/stream.h"
#include "servers/tls_record.h"

static void
forget_all(struct smtp_session *s)
{
    smtp_session_reset(s);
    s->phase = PHASE_NEW;
    s->extended = false;
    s->helo[0] = '\0';
}

enum err
smtp_starttls(struct smtp_session *s, str args)
{
    struct why why = { "" };
    enum err e;

    (void)args;
    if (s->handshake_done)
        return smtp_reply(s, 503, "5.5.1", "This conversation is in TLS already");
    if (!s->server->tls)
        return smtp_reply(s, 502, "5.5.1", "TLS is not set up here");
    if (stream_buffered(s->stream) > 0)
        return smtp_reply_last(s, 421, "4.7.0", "Commands behind STARTTLS are not safe");
    e = smtp_reply(s, 220, "2.0.0", "Begin TLS");
    if (e)
        return e;
    e = stream_flush(s->stream);
    if (e)
        return e;
    forget_all(s);
    smtp_session_deadline(s, s->config->smtp.handshake_timeout);
    e = stream_start_tls_server(s->stream, s->server->tls, &why);
    if (e == ERR_TLS || e == ERR_TIMEOUT)
        tls_record_failure(s->server->services, s->server->name, "starttls", s->stream, &why);
    if (e)
        return e;
    smtp_session_note_tls(s);
    return OK;
}
