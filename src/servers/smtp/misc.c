/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* misc.c: the small commands: RSET, NOOP, HELP, VRFY, EXPN, QUIT.  RFC 5321 4.1.1.5 to 4.1.1.10.
 *
 * VRFY and EXPN answer the same for every name, so that nobody learns who lives here.
 */
#include "servers/smtp/session.h"

#include "config/config.h"

enum err
smtp_rset(struct smtp_session *s, str args)
{
    (void)args;
    smtp_session_reset(s);
    return smtp_reply(s, 250, "2.0.0", "Ok");
}

enum err
smtp_noop(struct smtp_session *s, str args)
{
    (void)args;
    return smtp_reply(s, 250, "2.0.0", "Ok");
}

enum err
smtp_help(struct smtp_session *s, str args)
{
    (void)args;
    return smtp_reply(s, 214, "2.0.0",
                      "EHLO HELO STARTTLS AUTH MAIL RCPT DATA BDAT RSET NOOP HELP VRFY QUIT");
}

enum err
smtp_vrfy(struct smtp_session *s, str args)
{
    (void)args;
    return smtp_reply(s, 252, "2.1.5", "Send some mail, and we will try to deliver it");
}

/* EXPN, ETRN and TURN: known, and not done here. */
enum err
smtp_expn(struct smtp_session *s, str args)
{
    (void)args;
    return smtp_reply(s, 502, "5.5.1", "Not done here");
}

enum err
smtp_quit(struct smtp_session *s, str args)
{
    (void)args;
    return smtp_reply_last(s, 221, "2.0.0", "%s Goodbye", s->config->server.hostname.ptr);
}
