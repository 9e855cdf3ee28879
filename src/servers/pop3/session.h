/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* session.h: one conversation with one POP3 client, shared by the files of this folder.
 *
 * Before the login there is a name at most; after it, the mailbox, locked for us alone, and the
 * list of its messages as it was then.  A message is named by its place in that list, from 1.
 */
#pragma once

#include "base/base.h"
#include "base/err.h"
#include "base/instant.h"
#include "base/str.h"
#include "servers/pop3/server.h"
#include "store/mailbox.h"

struct config;
struct login_result;

/* Where the session stands: RFC 1939 3. */
enum pop3_phase {
    POP3_AUTHORIZATION = 1,
    POP3_TRANSACTION = 2,
};

enum {
    POP3_NAME_MAX = 320
};

struct pop3_session {
    struct pop3_server *server;
    struct stream *stream;
    const struct config *config;
    enum pop3_phase phase;
    bool ends;
    bool counted;
    bool has_tls;
    bool utf8; /* RFC 6856: the client understands UTF-8 everywhere. */
    unsigned commands;
    unsigned errors;
    unsigned auth_failures;
    char name[POP3_NAME_MAX + 1]; /* Of USER, until PASS. */
    struct mailbox *mailbox;
    struct mailbox_list list;
    uint8_t *deleted; /* One for each message: marked by DELE, deleted by QUIT. */
    size_t deleted_count;
    uint64_t deleted_bytes;
};

/* "+OK text" and "-ERR text"; a refusal is counted, and from some number on delayed. */
WAITS enum err pop3_ok(struct pop3_session *s, const char *format, ...) PRINTF_LIKE(2, 3);
WAITS enum err pop3_refuse(struct pop3_session *s, const char *format, ...) PRINTF_LIKE(2, 3);
/* One line of a longer answer; ends the answer. */
WAITS enum err pop3_line(struct pop3_session *s, const char *format, ...) PRINTF_LIKE(2, 3);
WAITS enum err pop3_end(struct pop3_session *s);

/* The login succeeded: locks and lists the mailbox, and says so. */
WAITS enum err pop3_enter(struct pop3_session *s, const struct login_result *result);
/* "3": the message; NULL when there is none, or it is marked as deleted. */
struct mailbox_message *pop3_message(struct pop3_session *s, str number, size_t *index);

/* login.c */
WAITS enum err pop3_capa(struct pop3_session *s, str args);
WAITS enum err pop3_stls(struct pop3_session *s, str args);
WAITS enum err pop3_user(struct pop3_session *s, str args);
WAITS enum err pop3_pass(struct pop3_session *s, str args);
WAITS enum err pop3_auth(struct pop3_session *s, str args);
WAITS enum err pop3_utf8(struct pop3_session *s, str args);
/* maildrop.c */
WAITS enum err pop3_stat(struct pop3_session *s, str args);
WAITS enum err pop3_list(struct pop3_session *s, str args);
WAITS enum err pop3_uidl(struct pop3_session *s, str args);
WAITS enum err pop3_dele(struct pop3_session *s, str args);
WAITS enum err pop3_rset(struct pop3_session *s, str args);
WAITS enum err pop3_noop(struct pop3_session *s, str args);
WAITS enum err pop3_quit(struct pop3_session *s, str args);
/* retrieve.c */
WAITS enum err pop3_retr(struct pop3_session *s, str args);
WAITS enum err pop3_top(struct pop3_session *s, str args);
