/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* srs.h: the Sender Rewriting Scheme: the return path of what an alias sends on to other places.
 *
 *     ann@example.net            SRS0=hhhhhhhh=tt=example.net=ann@here.example
 *     SRS0=xx=tt=a.example=b@forwarder.example
 *                                SRS1=hhhhhhhh=forwarder.example==xx=tt=a.example=b@here.example
 *
 * The form is the classic one, so that the next forwarder knows what it sees; the hash is ours
 * alone (trust/token.h, 40 bits) and of lower-case text, since addresses are folded on their way.
 * tt is the day.  Back from SRS1 leads to the first forwarder, whose SRS0 it was, and who expires
 * it.
 *
 * Pure but for the keys.
 */
#pragma once

#include "base/arena.h"
#include "base/base.h"
#include "base/err.h"
#include "base/instant.h"
#include "base/str.h"

struct address;
struct secrets;

enum {
    SRS_LOCAL_MAX = 64, /* RFC 5321 4.5.3.1.1: a longer one is not made. */
    SRS_DAYS = 21,
};

/* Whether LOCAL has the form of one, whoever made it. */
bool srs_is_one(str local);
/* What SENDER becomes at DOMAIN; in ARENA.  ERR_LIMIT: it would be too long; ERR_SYNTAX: it has no
 * local part. */
enum err srs_rewrite(struct secrets *secrets, const struct address *sender, str domain, instant now,
                     struct arena *arena, str *address);
/* Whose address LOCAL stands for; in ARENA.  ERR_SYNTAX: not the form, or no address in it;
 * ERR_REFUSED: not by a key of ours; ERR_TIMEOUT: older than SRS_DAYS. */
enum err srs_back(struct secrets *secrets, str local, instant now, struct arena *arena,
                  str *address);
