/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* throttle.h: slows guessing of passwords, then locks for a while.
 *
 * What counts is the number of *different* wrong secrets, so that an old phone which
 * repeats one wrong password all day counts as one.  Three counters: account from network,
 * network, account from everywhere.  A pair (account, network) that logged in lately is not touched
 * by the locks of the network or of the account: a stranger's guesses lock nobody out. Networks are
 * /24 of IPv4 and /48 of IPv6.  Memory is fixed; the oldest entries give way. Pure: times (steady)
 * come from the caller.  Not thread-safe.
 */
#pragma once

#include "base/base.h"
#include "base/instant.h"
#include "base/ipaddr.h"
#include "base/str.h"

enum {
    THROTTLE_PAIR_SLOW = 3,    /* Different wrong secrets before answers get slower. */
    THROTTLE_PAIR_MAX = 10,    /* ... before this account is locked for this network. */
    THROTTLE_NETWORK_MAX = 40, /* ... before this network is locked for accounts it has not used. */
    THROTTLE_ACCOUNT_MAX =
        60, /* ... before this account is locked for networks it has not been used from. */
};
#define THROTTLE_WINDOW MINUTES(30) /* Without a new wrong secret for so long: forgotten. */
#define THROTTLE_LOCK   MINUTES(15)
#define THROTTLE_KNOWN  DAYS(7) /* A success counts for so long. */

struct throttle;

struct throttle *throttle_new(uint64_t seed);
void throttle_free(struct throttle *throttle);

struct throttle_verdict {
    bool locked;
    duration retry_after; /* When locked. */
    duration delay;       /* Otherwise: how long to wait before the answer. */
};

/* Before the password is looked at. */
void throttle_check(struct throttle *throttle, str account, ipaddr client, instant now,
                    struct throttle_verdict *verdict);
/* SECRET is a keyed digest of what was tried; 0 when it cannot be known (SCRAM): then each try
 * counts. */
void throttle_failed(struct throttle *throttle, str account, ipaddr client, uint64_t secret,
                     instant now);
void throttle_succeeded(struct throttle *throttle, str account, ipaddr client, instant now);

struct throttle_state {
    unsigned wrong_secrets; /* Different ones, from everywhere. */
    bool locked;            /* For somebody: the account as a whole, or from one network. */
    duration retry_after;   /* The longest of the locks. */
};
void throttle_state(const struct throttle *throttle, str account, instant now,
                    struct throttle_state *state);
/* Forgets all wrong secrets for ACCOUNT. */
void throttle_unlock(struct throttle *throttle, str account);
