/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* connection.h: what client.c (how a connection begins and ends) and transaction.c (how a message
 * goes through it) share.  For these two only. */
#pragma once

#include "protocols/smtp/client.h"
#include "protocols/smtp/reply.h"

enum {
    SMTP_CLIENT_BLOCK = 16384
};

struct smtp_client {
    struct stream *stream;
    struct smtp_timeouts timeouts;
    struct smtp_capabilities capabilities;
    struct smtp_reply reply;
    bool lmtp;
    bool esmtp;
    bool closing;     /* 421 was said. */
    bool broken;      /* An error: nothing can be said any more. */
    bool needs_reset; /* A transaction was begun and not ended. */
    bool secret;      /* Output is hidden from the tap. */
    unsigned sent;
    enum smtp_stage stage;
    void (*tap)(void *arg, bool output, str bytes);
    void (*on_stage)(void *arg, enum smtp_stage stage);
    void *arg;
    char block[SMTP_CLIENT_BLOCK]; /* Of the body that goes out. */
};

void smtp_connection_stage(struct smtp_client *client, enum smtp_stage stage);
/* One whole reply into client->reply, until the stream's deadline. */
WAITS enum err smtp_connection_read(struct smtp_client *client, struct smtp_failure *failure);
void smtp_answer_from_reply(const struct smtp_reply *reply, struct smtp_answer *answer);
void smtp_answer_set(struct smtp_answer *answer, unsigned code, const char *enhanced,
                     const char *text);
/* Marks the connection broken and fills FAILURE with stage and reason. */
enum err smtp_connection_fail(struct smtp_client *client, struct smtp_failure *failure, enum err e);
