/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* intake.h: from a conversation to a promise.
 *
 * A server fills an intake: who speaks, the reverse-path, recipients one by one, then the bytes.
 * Each step passes the gates of its door, in the order of the tables in gates.c, and is answered by
 * a verdict.  intake_accept() returns OK with an accepting verdict only when the message is durable
 * in the spool; then the server may say 250.
 *
 * One intake is one transaction of one conversation; it lives in an arena of its own with a
 * ceiling, and the message never stands in memory as a whole.  Errors that are not verdicts are
 * cancellation and bugs: whatever else goes wrong here (disk, database, memory) becomes a 4xx
 * verdict.
 */
#pragma once

#include "base/base.h"
#include "base/err.h"
#include "base/instant.h"
#include "base/ipaddr.h"
#include "base/str.h"
#include "mail/envelope.h"

struct accounts;
struct config;
struct connections;
struct events;
struct intake;
struct keyring;
struct limits;
struct logins;
struct mailstore;
struct queue;
struct secrets;
struct spool;
struct suppression;

/* An answer in the words of the protocol: code 0 accepts. */
struct verdict {
    uint16_t code;     /* 250, 451, 550, ...; 0: no objection. */
    char enhanced[12]; /* "5.1.1" */
    char text[200];
};

/* What every intake needs; the server owns it.  The snapshot of the configuration is replaced by a
 * reload; an old one stays alive as long as the services do. */
struct intake_services {
    _Atomic(struct config *) config;
    struct accounts *accounts;
    struct limits *limits;
    struct logins *logins;
    struct mailstore *mailboxes;
    struct spool *spool;
    struct queue *queue;
    struct events *events;
    struct suppression *suppression; /* NULL: nobody is on it. */
    struct keyring *keyring; /* NULL: nothing is signed. */
    struct secrets *secrets; /* Of tokens; NULL: there are none. */
    struct connections *connections; /* Of each client address: servers/connections.h. */
};

/* What is known of the one who speaks.  The strings outlive the intake. */
struct intake_peer {
    enum door door;
    struct endpoint client;
    str helo;
    str service; /* The listener: "submission". */
    str account; /* Address of the login, or empty. */
    int64_t account_id;
    str tls;      /* "TLSv1.3 TLS_AES_256_GCM_SHA384", or empty. */
    str protocol; /* "ESMTPSA" */
};

/* The parameters of MAIL and RCPT, already read. */
struct intake_sender {
    str path; /* "local@domain", or empty. */
    bool smtputf8;
    enum body_type body;
    uint64_t size; /* As the client announced it; 0: not at all. */
    enum dsn_return ret;
    str envid;
    int priority; /* MT-PRIORITY: -9 to 9. */
    enum deliver_by by;
    bool by_trace;
    bool require_tls; /* REQUIRETLS: RFC 8689. */
    duration by_time;   /* From now; negative with BY_NOTIFY when it is over. */
    duration hold_for;  /* At most one of these two; 0: no. */
    instant hold_until; /* Wall clock. */
};

/* Begins a transaction; nothing is checked yet.  ERR_LIMIT without memory. */
enum err intake_begin(struct intake_services *services, const struct intake_peer *peer,
                      struct intake **intake);
/* Ends it; what was not accepted is forgotten. NULL is fine. */
void intake_free(struct intake *intake);
void intake_drop(struct intake **intake);

/* Each answers by a verdict.  ERR_CANCELLED only. */
WAITS enum err intake_sender(struct intake *intake, const struct intake_sender *sender,
                             struct verdict *verdict);
WAITS enum err intake_recipient(struct intake *intake, const struct recipient *recipient,
                                struct verdict *verdict);
size_t intake_recipient_count(const struct intake *intake);

/* The bytes of the message, in pieces of any size, with CRLF line ends and without dot-stuffing.  A
 * refusal is kept and the rest is swallowed: the server reads on to the end of the data and then
 * asks intake_accept() for the verdict. */
WAITS enum err intake_write(struct intake *intake, str bytes);
/* The reader of the data found something that refuses the message, whatever the gates say. */
void intake_refuse(struct intake *intake, uint16_t code, const char *enhanced, const char *text);
/* A byte beyond ASCII was seen: whatever BODY= said, the message travels as 8BITMIME. */
void intake_note_8bit(struct intake *intake);
bool intake_is_refused(const struct intake *intake);
uint64_t intake_size(const struct intake *intake);
/* Another priority than the client asked for was granted: *PRIORITY. */
bool intake_priority_changed(const struct intake *intake, int *priority);

/* The end of the data.  With an accepting verdict the message is durable, queued, and named ID. */
WAITS enum err intake_accept(struct intake *intake, struct verdict *verdict, msgid *id);

/* How many recipients one message of this peer may have: for LIMITS. */
unsigned intake_recipients_max(struct intake_services *services, const struct intake_peer *peer);
/* Whether a client may ask for a message to be held, and how long; 0: not at this door. */
duration intake_hold_max(struct intake_services *services, const struct intake_peer *peer);
/* Whether this client may send to strangers without a login. */
bool intake_is_trusted(struct intake_services *services, const struct endpoint *client);

/* Fills VERDICT. */
void verdict_refuse(struct verdict *verdict, uint16_t code, const char *enhanced,
                    const char *format, ...) PRINTF_LIKE(4, 5);
bool verdict_accepts(const struct verdict *verdict);
