/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* sts_fetch.h: asks a domain for its MTA-STS record and its policy.  RFC 8461 3.1 and 3.3. */
#pragma once

#include "delivery/secure/secure.h"
#include "runtime/tls.h"
#include "trust/sts.h"

/* How to ask. */
struct sts_ways {
    struct tls_context *tls_context; /* Its roots vouch for policy hosts. */
    duration dns_timeout;
    duration timeout; /* For the policy, from the first address on. */
    bool private;     /* Policy hosts may be in private networks. */
};

struct sts_record {
    char id[STS_ID_MAX + 1]; /* "": there is none. */
    bool temporary;          /* Nobody knows: the DNS did not say. */
    duration ttl;
    char why[SECURE_WHY_MAX]; /* Where there is none. */
};

/* ERR_CANCELLED, ERR_LIMIT. */
WAITS enum err sts_ask_record(const struct sts_ways *ways, struct arena *arena, str domain,
                              struct sts_record *record);
/* RESULT: SECURE_FINE and the policy, or why there is none.  ERR_CANCELLED, ERR_LIMIT (memory). */
WAITS enum err sts_fetch_policy(const struct sts_ways *ways, struct arena *arena, str domain,
                                struct sts_policy *policy, enum secure_result *result,
                                struct why *why);
