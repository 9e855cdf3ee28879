/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* return_address.h: addresses that nobody has and that are ours all the same: those that mail left
 * with (return_path.h, srs.h), the one for complaints, those that leave lists, and the postmaster of their domains.
 *
 * They are told by their form, without a key; whoever lets mail for one in checks it by
 * return_address_check().  Nothing here waits.
 */
#pragma once

#include "base/arena.h"
#include "base/base.h"
#include "base/err.h"
#include "base/instant.h"
#include "base/str.h"
#include "delivery/returns/return_path.h"

struct accounts;
struct config;
struct envelope;
struct secrets;

enum return_kind {
    RETURN_NONE,       /* An address like any other. */
    RETURN_REPORT,     /* What comes back is about a message of ours. */
    RETURN_SRS,        /* It goes back to whose mail we sent on. */
    RETURN_COMPLAINT,  /* bounces.complaints_to */
    RETURN_UNSUBSCRIBE, /* list.unsubscribe_to */
    RETURN_POSTMASTER, /* Of a domain that has no other mailboxes, or of this host; abuse there. */
    RETURN_UNKNOWN,    /* Of such a domain, and nobody. */
};

struct return_address {
    enum return_kind kind;
    struct return_path path; /* REPORT */
    str original;            /* SRS: where it leads; in the arena. */
};

/* By its form.  ADDRESS is "local@domain". */
enum return_kind return_kind_of(const struct config *config, struct accounts *accounts,
                                str address);
/* Also what it stands for.  ERR_REFUSED: nobody, forged, or too old; ERR_LIMIT (ARENA). */
enum err return_address_check(const struct config *config, struct accounts *accounts,
                              struct secrets *secrets, str address, instant now,
                              struct arena *arena, struct return_address *found);

/* The reverse-path with which ENVELOPE leaves in a transaction of COUNT recipients, the first of
 * which is INDEX: its own, or one of return_path.h.  ERR_LIMIT (ARENA). */
enum err return_address_leaving(const struct config *config, struct accounts *accounts,
                                struct secrets *secrets, const struct envelope *envelope,
                                uint32_t index, size_t count, struct arena *arena, str *address);
/* The reverse-path of what an alias sends on: its own where that is null, or ours, or
 * bounces.srs_domain is not set; else one of srs.h.  TOO_LONG: it would be, and stays as it is. */
enum err return_address_forwarding(const struct config *config, struct accounts *accounts,
                                   struct secrets *secrets, str reverse_path, instant now,
                                   struct arena *arena, str *address, bool *too_long);
