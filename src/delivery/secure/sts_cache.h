/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* sts_cache.h: which domains have an MTA-STS policy, in memory, and on disk behind it.
 *
 * A domain that is known is answered from memory.  Whoever asks first for one that is not asks the
 * DNS and the policy host; all others who want it wait for his answer.  A policy that is still
 * valid goes on to be used when its host or its record is out of reach; what failed is remembered
 * briefly. RFC 8461 3 and 5.
 *
 * All times are wall clock.  Threads: any.  Start reading at sts_cache_find().
 */
#pragma once

#include "delivery/secure/sts_fetch.h"

struct sts_cache;

enum {
    STS_POLICIES_MAX = 10000,         /* Domains with a policy that are remembered, */
    STS_WITHOUT_MAX = 20000,          /* and domains without one. */
    STS_BYTES_MAX = 32 * 1024 * 1024, /* Of all policies. */
};
/* How long an answer of the DNS is believed: its own time, within these. */
#define STS_BELIEVE_MIN SECONDS(5)
#define STS_BELIEVE_MAX HOURS(1)
#define STS_NONE_TIME   MINUTES(5) /* That a domain has no record, */
#define STS_RETRY_TIME  MINUTES(5) /* that its policy could not be had. */
#define STS_REFRESH_AGE DAYS(1)    /* Or half of its time, if that is less. */
#define STS_UNUSED_AGE  DAYS(30)   /* A policy that no mail needed for so long just ends. */

/* What is known of a domain. */
struct sts_known {
    str domain;
    bool has_policy;
    struct sts_policy policy;
    char id[STS_ID_MAX + 1];
    instant fetched;
    instant expires;
    enum secure_result failure; /* Of the latest try; FINE: none failed. */
    instant asked;
    char why[SECURE_WHY_MAX]; /* Why there is no policy, or no newer one; or "". */
    bool is_stale;            /* Somebody should call sts_cache_refresh(). */
};

/* Policies are kept in the file PATH; NULL, or one that cannot be used, which the log says: in
 * memory only.  Blocks the thread. */
struct sts_cache *sts_cache_new(const char *path);
/* Reads the policies of the file that are valid at NOW. */
WAITS void sts_cache_load(struct sts_cache *cache, instant now);
void sts_cache_free(struct sts_cache *cache); /* NULL is fine. */

/* DOMAIN in A-labels, lower case.  Does not wait for a domain that is known.  ERR_CANCELLED,
 * ERR_LIMIT. */
WAITS enum err sts_cache_find(struct sts_cache *cache, const struct sts_ways *ways,
                              struct arena *arena, str domain, struct sts_known *known);
/* Asks anew, unless somebody does already.  ERR_CANCELLED, ERR_LIMIT. */
WAITS enum err sts_cache_refresh(struct sts_cache *cache, const struct sts_ways *ways,
                                 struct arena *arena, str domain);
/* Its policy could not be met: before the next message it is asked for anew (RFC 8461 5.1). */
void sts_cache_doubt(struct sts_cache *cache, str domain);
/* A domain whose policy is to be asked for anew though no mail goes there now, in ARENA.  *NEXT: when
 * to look again. */
bool sts_cache_due(struct sts_cache *cache, instant now, struct arena *arena, str *domain,
                   instant *next);

/* For operators.  False: nothing is known. */
bool sts_cache_look(struct sts_cache *cache, struct arena *arena, str domain,
                    struct sts_known *known);
/* All domains with a policy, and those whose policy could not be had; in no order.  ERR_LIMIT. */
enum err sts_cache_list(struct sts_cache *cache, struct arena *arena, struct sts_known **list,
                        size_t *count);
/* ERR_NOT_FOUND, ERR_IO. */
WAITS enum err sts_cache_forget(struct sts_cache *cache, str domain);
size_t sts_cache_bytes(struct sts_cache *cache);
