/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* sendmail_message.h: a message as local programs write it, made into one that may travel.
 *
 * Line ends become CRLF, a lone dot ends it where the caller wants that, a missing header section
 * or From is added, and the recipients in it can be collected (-t).  Bytes go in by pieces and come
 * out by pieces.
 */
#pragma once

#include "base/arena.h"
#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

enum {
    SENDMAIL_HEADER_MAX = 1 << 20
};

struct sendmail_message {
    /* Set by the caller. */
    bool dot_ends;
    bool collect; /* Recipients of To, Cc and Bcc, or of Resent-To and so on. */
    str from;     /* For a missing From: "ann@example.org"; with full_name, which may be empty. */
    str full_name;
    struct arena *arena; /* For the recipients. */
    void (*write)(void *arg, str bytes);
    void *arg;
    /* Results. */
    str *recipients;
    size_t recipient_count;
    bool ended; /* The dot has come. */
    bool has_8bit;
    enum err error; /* ERR_LIMIT, or ERR_SYNTAX of a recipient, which is WHY. */
    struct why why;
    /* Inside. */
    struct buf line;
    struct buf header;
    bool in_body;
    size_t recipient_capacity;
};

void sendmail_message_init(struct sendmail_message *message);
void sendmail_message_done(struct sendmail_message *message);
void sendmail_message_add(struct sendmail_message *message, str bytes);
/* The input has ended: writes the rest. */
enum err sendmail_message_end(struct sendmail_message *message);

/* The addresses of a list such as "root, Ann <ann@example.org>", as "local@domain" or "local",
 * added to the message's recipients. */
enum err sendmail_message_add_recipients(struct sendmail_message *message, str list);
