/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* unsubscribe.h: links by which a person leaves a list.  RFC 2369 3.2, RFC 8058.
 *
 * A token names whose mail it is, the list, and the recipient, and says on which day it was made;
 * it is proven by a key of ours (trust/token.h), so that nothing has to be kept for each message.
 * Whoever has it may unsubscribe that recipient from that list, and nothing else.  Whatever is
 * wrong with it, nothing changes.
 *
 * To look at a link never unsubscribes: scanners, previews and prefetchers follow every link that
 * they see (RFC 8058 1).  Only a POST with the body of RFC 8058 3.2, a message of a person, or an
 * operator does; a server that gets a GET shows a page with a button.  unsubscribe_apply() takes
 * the way as an argument so that no caller can forget that.
 */
#pragma once

#include "accounts/suppression.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

struct secrets;

enum {
    UNSUBSCRIBE_DAYS = 400,      /* How long a token is good. */
    UNSUBSCRIBE_TOKEN_MAX = 900, /* Letters: a line of a header has 998. */
    UNSUBSCRIBE_BODY_MAX = 4096, /* Bytes of a POST that are looked at. */
};

struct unsubscribe {
    str scope; /* Account or sender. */
    str list;
    str recipient;
};

enum unsubscribe_way {
    UNSUBSCRIBE_LOOK, /* GET, HEAD: changes nothing. */
    UNSUBSCRIBE_POST, /* After unsubscribe_is_one_click(). */
    UNSUBSCRIBE_MAIL,
    UNSUBSCRIBE_OPERATOR,
};

/* Appends the token.  ERR_LIMIT: the names are too long for one. */
enum err unsubscribe_token(struct secrets *secrets, const struct unsubscribe *what, instant now,
                           struct buf *text);
/* Strings of WHAT in ARENA.  ERR_SYNTAX: no token; ERR_REFUSED: not one of ours; ERR_TIMEOUT: too
 * old. */
enum err unsubscribe_read(struct secrets *secrets, str token, instant now, struct arena *arena,
                          struct unsubscribe *what);
/* Whether the BODY of a POST says List-Unsubscribe=One-Click, as application/x-www-form-urlencoded
 * or multipart/form-data (RFC 8058 3.2). */
bool unsubscribe_is_one_click(str content_type, str body);

/* Reads TOKEN and, but for UNSUBSCRIBE_LOOK, enters the recipient, durably; *WHAT says whom, in
 * ARENA, so that a page or an event can.  SOURCE: who asked.  To do it twice is fine.  Errors of
 * unsubscribe_read() and suppression_learn(). */
WAITS enum err unsubscribe_apply(struct suppression *list, struct secrets *secrets, str token,
                                 enum unsubscribe_way way, str source, instant now,
                                 struct arena *arena, struct unsubscribe *what, struct why *why);
/* Takes it back: what this token has entered, and nothing else.  ERR_NOT_FOUND: nothing was. */
WAITS enum err unsubscribe_undo(struct suppression *list, struct secrets *secrets, str token,
                                instant now, struct arena *arena, struct unsubscribe *what,
                                struct why *why);
