/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* client.h: the side of SMTP (and LMTP) that gives mail away.
 *
 * smtp_client_open() brings a connection to the point where mail may be sent: greeting, EHLO, TLS,
 * login. Then any number of messages go through it by smtp_client_send(), each with many
 * recipients, each of whom gets an answer of his own.  An answer of the peer is never an error; an
 * error means that the connection is of no use any more.  A recipient counts as taken only when the
 * answer that followed the whole message was 2xx.
 *
 * What the peer offers is used: PIPELINING, CHUNKING, SIZE, 8BITMIME, SMTPUTF8, DSN, LIMITS,
 * MT-PRIORITY, DELIVERBY, REQUIRETLS.
 * Nothing of what it says is trusted: replies are bounded and cleaned of controls.
 */
#pragma once

#include "base/arena.h"
#include "base/base.h"
#include "base/err.h"
#include "base/instant.h"
#include "base/ipaddr.h"
#include "base/str.h"
#include "config/relay.h"
#include "protocols/smtp/parameters.h"
#include "runtime/tls.h"

struct egress;
struct sasl;
struct smtp_capabilities;
struct smtp_client;
struct stream;

enum {
    SMTP_ANSWER_TEXT_MAX = 400,
    SMTP_PEER_NAME_MAX = 128,
    SMTP_CLIENT_FLIGHT_MAX = 64
};

/* A reply; code 0: none came. */
struct smtp_answer {
    uint16_t code;
    char enhanced[12];               /* "4.2.2", or "" */
    char text[SMTP_ANSWER_TEXT_MAX]; /* The lines joined, printable ASCII, without the codes. */
};

enum smtp_stage {
    SMTP_STAGE_CONNECT,
    SMTP_STAGE_GREETING,
    SMTP_STAGE_EHLO,
    SMTP_STAGE_STARTTLS,
    SMTP_STAGE_TLS, /* The handshake and the certificate. */
    SMTP_STAGE_AUTH,
    SMTP_STAGE_MAIL,
    SMTP_STAGE_RCPT,
    SMTP_STAGE_DATA,
    SMTP_STAGE_BODY,
    SMTP_STAGE_FINAL, /* The message was sent whole; its answer is awaited. */
    SMTP_STAGE_IDLE,
};

const char *smtp_stage_name(enum smtp_stage stage);

/* Why a connection is of no use, or could not be had. */
struct smtp_failure {
    enum smtp_stage stage;
    struct smtp_answer answer; /* What the peer said, if it was the peer's saying. */
    struct why why;            /* In our words. */
    bool silent;               /* Of a message: not one reply came to it. */
    bool resuming;             /* The TLS handshake was to resume an earlier session. */
    enum tls_fault tls_fault;  /* At SMTP_STAGE_TLS. */
    /* Known also of a connection that did not fail: */
    ipaddr local;                       /* Whence; "any": it did not come to that. */
    char peer_name[SMTP_PEER_NAME_MAX]; /* How the peer calls itself in its answer to EHLO, or "". */
};

struct smtp_timeouts {
    duration connect;
    duration greeting;
    duration command;
    duration data; /* Between two blocks of a message. */
    duration final;
};

struct smtp_client_options {
    struct endpoint peer;
    const char *unix_path;       /* LMTP; instead of peer. */
    const ipaddr *local;         /* NULL: any. */
    const struct egress *egress; /* A proxy that connects for us; NULL: none. */
    str host;                    /* The peer's name: for SNI and the certificate. */
    str helo_name;
    bool lmtp;
    bool implicit_tls;
    enum relay_tls tls; /* OFF, MAY, REQUIRE */
    enum relay_verify verify;
    bool san_only;               /* See runtime/tls.h. */
    const struct tls_tlsa *tlsa; /* The certificate must be one that these name; needs REQUIRE. */
    size_t tlsa_count;           /* 0: `verify` says how it is checked. */
    str also_named;              /* See runtime/tls.h. */
    struct tls_context *tls_context;
    struct sasl *sasl;
    str user; /* Empty: no login. */
    str password;
    enum relay_auth auth;
    struct smtp_timeouts timeouts;
    /* Of all that is said, in the clear, for `test send` and traces; NULL: none.  Login lines are
     * hidden. */
    void (*tap)(void *arg, bool output, str bytes);
    /* When a stage begins; NULL: none. */
    void (*on_stage)(void *arg, enum smtp_stage stage);
    /* When TLS is up, with what the handshake found; NULL: none. */
    void (*on_tls)(void *arg, const struct tls_info *info);
    void *arg;
};

/* The strings of OPTIONS must live as long as the call.  ERR_REFUSED: FAILURE.answer says it;
 * ERR_TLS: of TLS (with tls = MAY a new connection without it may be tried); ERR_TIMEOUT,
 * ERR_CLOSED, ERR_UNREACHABLE, ERR_SYNTAX (not SMTP), ERR_CANCELLED. */
WAITS enum err smtp_client_open(const struct smtp_client_options *options,
                                struct smtp_client **client, struct smtp_failure *failure);
/* Says QUIT when that can be sent without waiting, and closes.  NULL is fine. */
WAITS void smtp_client_close(struct smtp_client *client);
/* The same, and waits (up to five seconds) for the answer to QUIT. */
WAITS void smtp_client_quit(struct smtp_client *client);

/* What the peer offered last; all false after HELO. */
const struct smtp_capabilities *smtp_client_capabilities(const struct smtp_client *client);
const struct tls_info *smtp_client_tls(const struct smtp_client *client); /* NULL: in the clear. */
/* What the peer showed; false in the clear. */
bool smtp_client_certificate(const struct smtp_client *client, struct tls_certificate *certificate);
const struct endpoint *smtp_client_peer(const struct smtp_client *client);
const struct endpoint *smtp_client_local(const struct smtp_client *client);
unsigned smtp_client_sent(const struct smtp_client *client); /* Messages so far. */
/* Another message may be tried: no error, no 421, nothing unasked has come, and MAILMAX is not
 * reached. */
bool smtp_client_is_usable(const struct smtp_client *client);

struct smtp_recipient {
    str address;
    str original;                     /* ORCPT, xtext decoded; may be empty. */
    uint8_t notify;                   /* formats/dsn.h; 0: not said. */
    bool accepted;                    /* Was said yes to at RCPT. */
    const struct smtp_answer *answer; /* In the arena of the message; NULL: none came. */
    enum smtp_stage stage;            /* To what the answer was. */
};

struct smtp_message {
    str reverse_path;
    str envid;       /* May be empty. */
    const char *ret; /* "FULL", "HDRS", or NULL */
    uint64_t size;
    bool eightbit;
    bool require_tls;          /* REQUIRETLS is said, whether it was offered or not. */
    bool smtputf8;             /* Needed: without the extension every recipient fails with 5.6.7. */
    int priority;              /* MT-PRIORITY, told where it is offered; 0: the usual one. */
    struct smtp_deliver_by by; /* What is left of it; told where it is offered. */
    struct smtp_recipient *recipients;
    size_t recipient_count;
    struct arena *arena;
    str content; /* All of it, where it is in memory; else empty, and READ gives it: */
    /* Up to SIZE bytes from OFFSET; *GOT = 0 at the end. */
    WAITS enum err (*read)(void *arg, uint64_t offset, void *bytes, size_t size, size_t *got);
    void *arg;
};

/* OK: every recipient has an answer, and the connection can go on (smtp_client_is_usable() says
 * whether it lasts).  On an error FAILURE tells; recipients without a final answer have none, and
 * with the stage SMTP_STAGE_FINAL in it nobody knows whether the peer took the message. */
WAITS enum err smtp_client_send(struct smtp_client *client, struct smtp_message *message,
                                struct smtp_failure *failure);
