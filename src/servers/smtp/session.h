/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* session.h: one conversation with one SMTP client, shared by the files of this folder.
 *
 * A command is one function from the session and its argument to a reply; it returns an error only
 * when the conversation cannot go on.  Everything that a stranger sends is counted against a
 * ceiling of the configuration's `smtp` block.
 */
#pragma once

#include "base/base.h"
#include "base/err.h"
#include "base/instant.h"
#include "base/str.h"
#include "intake/intake.h"
#include "protocols/smtp/data.h"
#include "servers/smtp/server.h"

struct config;

/* Where the session stands; commands name those in which they are allowed. */
enum smtp_phase {
    PHASE_NEW = 1,     /* No EHLO yet. */
    PHASE_GREETED = 2, /* Between transactions. */
    PHASE_MAIL = 4,    /* MAIL was accepted. */
    PHASE_BDAT = 8,    /* In the middle of a message that comes in chunks. */
};

enum {
    SESSION_HELO_MAX = 256,
    SESSION_TLS_MAX = 84
};

struct smtp_session {
    struct smtp_server *server;
    struct stream *stream;
    const struct config *config;
    enum smtp_phase phase;
    bool extended;       /* EHLO, not HELO. */
    bool ends;           /* The last reply has been given. */
    bool counted;        /* In the connections of its address. */
    bool handshake_done; /* TLS, from the first byte or by STARTTLS. */
    bool rcpt_seen;      /* A RCPT was tried in this transaction. */
    unsigned commands;
    unsigned errors;
    unsigned refused_recipients;
    unsigned auth_failures;
    unsigned messages;
    instant ends_at;                    /* Steady: the session's last deadline. */
    struct intake *intake;              /* Of the transaction, from MAIL on. */
    struct smtp_data_decoder inspector; /* Of chunks. */
    char *account;                      /* Address of the login, or NULL. */
    int64_t account_id;
    char helo[SESSION_HELO_MAX];
    char tls[SESSION_TLS_MAX];
};

/* One reply line, "CODE ENHANCED text": printable ASCII, never over 512 bytes.  Mistakes of the
 * peer (5xx) are counted, and from some number on each costs it a growing delay; ENHANCED may be
 * "". */
WAITS enum err smtp_reply(struct smtp_session *s, unsigned code, const char *enhanced,
                          const char *format, ...) PRINTF_LIKE(4, 5);
/* The same as a line that is not the last: "CODE-ENHANCED text". */
WAITS enum err smtp_reply_more(struct smtp_session *s, unsigned code, const char *enhanced,
                               const char *format, ...) PRINTF_LIKE(4, 5);
/* A refusal that is no mistake in the protocol: of a message or a recipient. */
WAITS enum err smtp_reply_uncounted(struct smtp_session *s, unsigned code, const char *enhanced,
                                    const char *format, ...) PRINTF_LIKE(4, 5);
WAITS enum err smtp_reply_verdict(struct smtp_session *s, const struct verdict *verdict);
/* A last reply: the session ends after it. */
WAITS enum err smtp_reply_last(struct smtp_session *s, unsigned code, const char *enhanced,
                               const char *format, ...) PRINTF_LIKE(4, 5);

/* The one who speaks, for the intake; its strings live in the session. */
void smtp_session_peer(const struct smtp_session *s, struct intake_peer *peer);
/* Back to PHASE_GREETED, without the transaction. */
void smtp_session_reset(struct smtp_session *s);
/* Deadlines: TIME from now, but never past the end of the session. */
void smtp_session_deadline(struct smtp_session *s, duration time);
bool smtp_session_has_tls(const struct smtp_session *s);
/* Facts of a finished handshake into s->tls. */
void smtp_session_note_tls(struct smtp_session *s);
/* AUTH may be used here, now. */
bool smtp_session_offers_auth(const struct smtp_session *s);

/* The commands, each in the file of its group. ARGS is trimmed of blanks at both ends. */
WAITS enum err smtp_ehlo(struct smtp_session *s, str args); /* hello.c */
WAITS enum err smtp_helo(struct smtp_session *s, str args);
WAITS enum err smtp_mail(struct smtp_session *s, str args); /* mail.c */
WAITS enum err smtp_rcpt(struct smtp_session *s, str args);
WAITS enum err smtp_data(struct smtp_session *s, str args);     /* data.c */
WAITS enum err smtp_bdat(struct smtp_session *s, str args);     /* bdat.c */
WAITS enum err smtp_auth(struct smtp_session *s, str args);     /* auth.c */
WAITS enum err smtp_starttls(struct smtp_session *s, str args); /* starttls.c */
WAITS enum err smtp_rset(struct smtp_session *s, str args);     /* misc.c */
WAITS enum err smtp_noop(struct smtp_session *s, str args);
WAITS enum err smtp_vrfy(struct smtp_session *s, str args);
WAITS enum err smtp_expn(struct smtp_session *s, str args);
WAITS enum err smtp_help(struct smtp_session *s, str args);
WAITS enum err smtp_quit(struct smtp_session *s, str args);

/* The final answer to a message, for DATA and BDAT: asks the intake, replies, ends the transaction.
 */
WAITS enum err smtp_finish_message(struct smtp_session *s);
