/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* limits.h: how much an account, a domain and the whole system may send.
 *
 * A message takes a ticket when it begins, names its recipients to it, and ends by
 * limits_commit() or limits_cancel(); a ticket counts from its beginning, so that parallel
 * sessions cannot pass the limit together.  The rolling 24 hours are kept in pieces of ten
 * minutes; they are written to directory.db by limits_run() every second, so a crash may forget the
 * last second. Times are wall clock and come from the caller.  Calls without WAITS: any thread.
 */
#pragma once

#include "base/base.h"
#include "base/err.h"
#include "base/instant.h"
#include "base/str.h"

struct accounts;
struct limits;

/* 0: no limit. */
struct limits_rules {
    const char *name;
    uint32_t recipients_per_message;
    uint32_t messages_per_day;
    uint32_t first_time_per_day; /* Recipients that the account has never sent to before. */
};

/* "gmail", "workspace", "small-host", "unlimited"; NULL for an unknown name.  INDEX walks them,
 * NULL at the end. */
const struct limits_rules *limits_preset(str name);
const struct limits_rules *limits_preset_at(size_t index);

/* SYSTEM holds for everybody together, a domain's preset for its accounts together; DEFAULT for
 * each account without a preset of its own.  Either may be NULL. */
WAITS enum err limits_open(struct accounts *accounts, const struct limits_rules *system,
                           const struct limits_rules *default_rules, struct limits **limits,
                           struct why *why);
/* Other rules from now on; what was counted stays.  The rules are copied, here and by limits_open(); their names
 * are static text. */
void limits_set_rules(struct limits *limits, const struct limits_rules *system,
                      const struct limits_rules *default_rules);
WAITS void limits_close(struct limits *limits); /* Writes the rest. */
/* Writes until cancelled: group_start(g, limits_run, limits, "limits"). */
WAITS void limits_run(void *limits);
WAITS enum err limits_flush(struct limits *limits);

enum limits_scope {
    LIMITS_ACCOUNT,
    LIMITS_DOMAIN,
    LIMITS_SYSTEM
};
enum limits_state {
    LIMITS_OK,
    LIMITS_RECIPIENTS, /* Too many in this message.  452 4.5.3 */
    LIMITS_MESSAGES,   /* Too many messages in 24 hours.  550 5.4.5 */
    LIMITS_FIRST_TIME, /* Too many new recipients in 24 hours.  550 5.4.5 */
};

struct limits_verdict {
    enum limits_state state;
    enum limits_scope scope;
    uint32_t used;
    uint32_t limit;
    instant
        free_at; /* Wall time at which there is room again; 0 when it does not pass with time. */
};

struct limits_ticket;

/* At MAIL.  A refused ticket is NULL.  ACCOUNT 0: nobody logged in, only the system's limit holds.
 */
enum err limits_begin(struct limits *limits, int64_t account, instant now,
                      struct limits_ticket **ticket, struct limits_verdict *verdict);
/* At each RCPT; counts it when OK. */
WAITS enum err limits_add_recipient(struct limits_ticket *ticket, str recipient, instant now,
                                    struct limits_verdict *verdict);
/* The message was accepted.  Frees the ticket. */
void limits_commit(struct limits_ticket *ticket, instant now);
void limits_cancel(struct limits_ticket *ticket); /* NULL is fine. */
/* Messages of the ticket's account in the last 24 hours, this one among them; NULL: 0. */
uint32_t limits_recent(const struct limits_ticket *ticket, instant now);

/* The least that binds ACCOUNT: for the LIMITS extension.  0: no limit. */
uint32_t limits_recipients_max(struct limits *limits, int64_t account);

struct limits_usage {
    const char *preset; /* "" for none. */
    struct limits_rules rules;
    uint32_t messages; /* In the last 24 hours. */
    uint32_t recipients;
    uint32_t first_time;
    bool restricted;
    instant restricted_until;
};
void limits_usage(struct limits *limits, int64_t account, instant now, struct limits_usage *usage);
void limits_usage_domain(struct limits *limits, str domain, instant now,
                         struct limits_usage *usage);
void limits_usage_system(struct limits *limits, instant now, struct limits_usage *usage);
