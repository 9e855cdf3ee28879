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

enum { RECIPIENTS_MAX = 50000 };

/* By which door the message came. */
enum door {
    DOOR_MX,         /* Port 25, from other servers. */
    DOOR_SUBMISSION, /* 465, 587, and networks that may relay. */
    DOOR_LOCAL,      /* sendmail on this machine. */
    DOOR_BOUNCE,     /* Made here: reports of delivery. */
};

enum body_type { BODY_7BIT, BODY_8BITMIME, BODY_BINARYMIME };

struct recipient {
    str address;    /* "local@domain", as it was given; quoted where the syntax needs it. */
    str original;   /* ORCPT as given ("rfc822;ann@example.org", xtext decoded), or empty. */
    uint8_t notify; /* NOTIFY_* */
};

struct envelope {
    msgid id;
    instant received_at;      /* Wall clock. */
    enum door door;
    str account;              /* Address of the login, or empty. */
    struct endpoint client;   /* Zero for DOOR_LOCAL and DOOR_BOUNCE. */
    str helo;
    str protocol;             /* "ESMTPSA": RFC 3848. */
    str reverse_path;         /* "local@domain"; empty for the null reverse-path. */
    bool smtputf8;
    enum body_type body;
    enum dsn_return ret;
    str envid;                /* xtext decoded, or empty. */
    uint64_t size;            /* Of the message as stored. */
    uint64_t header_size;     /* Of its header section, with the empty line. */
    str header_message_id;    /* The Message-ID field, for events; may be empty. */
    str tls;                  /* "TLSv1.3 TLS_AES_256_GCM_SHA384", or empty. */
    struct recipient *recipients;
    size_t recipient_count;
};

void envelope_encode(const struct envelope *envelope, struct buf *buf);
/* The strings point into BYTES, the recipients into the arena.  ERR_CORRUPT, ERR_LIMIT. */
enum err envelope_decode(str bytes, struct arena *arena, struct envelope *envelope);
