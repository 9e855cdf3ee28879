/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* login.h: one login, from the mechanism's name to the verdict, for SMTP and POP3 alike.
 *
 * Ties together SASL, stored passwords, the cache of right ones and the throttle.  The
 * caller sees to it that there is TLS, sends challenges, and reports the verdict.
 */
#pragma once

#include "auth/sasl.h"
#include "auth/throttle.h"
#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/instant.h"
#include "base/ipaddr.h"
#include "base/str.h"

struct accounts;
struct logins; /* One for the process: the throttle and the SASL library. */
struct login;  /* One exchange. */

enum login_state {
    LOGIN_CONTINUE, /* Send the challenge (334 or +), read a line, step again. */
    LOGIN_OK,
    LOGIN_BAD,       /* Wrong name or password, or another's name to act for.  535 5.7.8 */
    LOGIN_DISABLED,  /* Right password, disabled account.  535 5.7.13 */
    LOGIN_THROTTLED, /* 454 4.7.0; see retry_after. */
    LOGIN_BUSY,      /* Too many logins at once.  454 4.7.0 */
    LOGIN_BROKEN,    /* 501 5.5.2 */
    LOGIN_ABORTED,   /* 501 5.7.0: the client sent "*". */
};

struct login_result {
    enum login_state state;
    int64_t account; /* OK */
    char address[SASL_NAME_MAX +
                 1]; /* OK and DISABLED: of the account.  Otherwise as it was tried (may be ""). */
    duration retry_after; /* THROTTLED */
};

struct logins *logins_new(struct accounts *accounts);
void logins_free(struct logins *logins);

struct login_options {
    enum sasl_mechanism mechanism;
    ipaddr client;
    const uint8_t *exporter; /* Of tls_info, or NULL: then no -PLUS. */
};

enum err login_begin(struct logins *logins, const struct login_options *options,
                     struct login **login);
void login_free(struct login *login);
void login_drop(struct login **login);
/* LINE: the client's base64, "=" for empty; NULL when AUTH came without initial response. CHALLENGE
 * is cleared and gets base64.  Sleeps when the throttle wants the answer slowed.  ERR_CANCELLED
 * only. */
WAITS enum err login_step(struct login *login, const str *line, struct buf *challenge,
                          struct login_result *result);
/* Name and password as such: USER and PASS of POP3, basic authentication. */
WAITS enum err login_plain(struct logins *logins, ipaddr client, str name, str password,
                           struct login_result *result);

/* For `user show` and `user unlock`. */
void logins_state(struct logins *logins, str address, struct throttle_state *state);
void logins_unlock(struct logins *logins, str address);
