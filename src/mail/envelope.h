/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* envelope.h: what the conversation said about a message, beside the message.  RFC 5321 2.3.1.
 *
 * The envelope is written once, with the message, and never changes; what happened to each
 * recipient since then is the progress (progress.h).  Recipients are counted from 0 in the
 * order in which they were accepted; the index is their name everywhere.
 */
#pragma once

#include "base/arena.h"
#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/instant.h"
#include "base/ipaddr.h"
#include "base/msgid.h"
#include "base/str.h"
#include "formats/dsn.h"
#include "mail/lane.h"

enum {
    RECIPIENTS_MAX = 50000,
    PREFIX_MAX = 64 * 1024, /* Bytes before the stored body. */
    PRIORITY_MIN = -9,      /* RFC 6710. */
    PRIORITY_MAX = 9,
};

/* By which door the message came. */
enum door {
    DOOR_MX,         /* Port 25, from other servers. */
    DOOR_SUBMISSION, /* 465, 587, and networks that may relay. */
    DOOR_LOCAL,      /* sendmail on this machine. */
    DOOR_BOUNCE,     /* Made here: reports of delivery. */
    DOOR_REPORT,     /* Made here: reports about TLS, to those whom they concern. */
};

enum body_type {
    BODY_7BIT,
    BODY_8BITMIME,
    BODY_BINARYMIME
};

/* How mail is to be handed on: RFC 8689. */
enum tls_wish {
    TLS_AS_USUAL,
    TLS_REQUIRED, /* REQUIRETLS: to a verified host that promises the same, or back. */
    TLS_OPTIONAL, /* "TLS-Required: No": rather in the clear than not at all. */
};

/* RFC 2852: what is due when the time of BY= is over. */
enum deliver_by {
    BY_NONE,
    BY_RETURN, /* No more attempts, and a report that it failed. */
    BY_NOTIFY, /* A report that it is late; attempts go on. */
};

struct recipient {
    str address;    /* "local@domain", as it was given; quoted where the syntax needs it. */
    str original;   /* ORCPT as given ("rfc822;ann@example.org", xtext decoded), or empty. */
    uint8_t notify; /* NOTIFY_* */
};

struct envelope {
    msgid id;
    instant received_at; /* Wall clock. */
    enum door door;
    str account;            /* Address of the login, or empty. */
    struct endpoint client; /* Zero for mail of this machine. */
    str helo;
    str protocol;     /* "ESMTPSA": RFC 3848. */
    str reverse_path; /* "local@domain"; empty for the null reverse-path. */
    bool smtputf8;
    enum body_type body;
    enum dsn_return ret;
    str envid;             /* xtext decoded, or empty. */
    uint64_t size;         /* Of the message: the prefix and the stored body. */
    uint64_t header_size;  /* Of its header section, with the empty line. */
    str header_message_id; /* The Message-ID field, for events; may be empty. */
    str tls;               /* "TLSv1.3 TLS_AES_256_GCM_SHA384", or empty. */
    enum lane lane;
    str lane_why;    /* "the subject says 'verification code'"; may be empty. */
    int8_t priority; /* PRIORITY_MIN to PRIORITY_MAX: MT-PRIORITY.  0: the usual one. */
    enum deliver_by by;
    instant by_deadline; /* Wall clock; 0 with BY_NONE. */
    bool by_trace;       /* A report about every hop is wanted. */
    instant release_at;  /* Wall clock: no attempt before it.  0: at once. */
    enum tls_wish tls_wish;
    /* Header fields that stand before the stored body and belong to the message: for signatures,
     * which are only known when the body has been stored.  Whole lines, with CRLF.  Who reads the
     * body says body_put_before(). */
    str prefix;
    struct recipient *recipients;
    size_t recipient_count;
};

void envelope_encode(const struct envelope *envelope, struct buf *buf);
/* What older versions wrote is read as well: those are LANE_PERSONAL. The strings point into BYTES,
 * the recipients into the arena.  ERR_CORRUPT, ERR_LIMIT. */
enum err envelope_decode(str bytes, struct arena *arena, struct envelope *envelope);
