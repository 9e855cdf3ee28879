/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* limits_words.c: what a sender hears, and the record sees, at a sending limit. */
#include "intake/limits_words.h"

#include "accounts/limits.h"
#include "intake/transaction.h"
#include "store/events.h"

#include <stdio.h>
#include <time.h>

enum {
    FREE_TEXT_SIZE = 48
};

/* "; free again at 2026-11-26 22:10 UTC", or nothing. */
static void
free_text(instant free_at, char text[FREE_TEXT_SIZE])
{
    time_t seconds = (time_t)(free_at / SECONDS(1)) + 59;
    struct tm parts;

    text[0] = '\0';
    if (free_at && gmtime_r(&seconds, &parts))
        strftime(text, FREE_TEXT_SIZE, "; free again at %Y-%m-%d %H:%M UTC", &parts);
}

static const char *
scope_name(enum limits_scope scope)
{
    switch (scope) {
    case LIMITS_ACCOUNT:
        return "account";
    case LIMITS_DOMAIN:
        return "domain";
    case LIMITS_SYSTEM:
        break;
    }
    return "server";
}

static void
record_restricted(struct intake *intake, const struct limits_verdict *limits,
                  const struct verdict *verdict)
{
    struct event event = {
        .kind = EVENT_RESTRICTED,
        .service = intake->peer.service,
        .account = intake->peer.account,
        .sender = intake->sender.path,
        .code = verdict->code,
        .enhanced = str_from(verdict->enhanced),
        .text = str_from(verdict->text),
        .next_try = limits->free_at,
    };

    events_record(intake->services->events, &event);
}

void
limits_refuse(struct intake *intake, const struct limits_verdict *limits, struct verdict *verdict)
{
    const char *scope = scope_name(limits->scope);
    char when[FREE_TEXT_SIZE];

    free_text(limits->free_at, when);
    switch (limits->state) {
    case LIMITS_OK:
        return;
    case LIMITS_RECIPIENTS:
        verdict_refuse(verdict, 452, "4.5.3", "Too many recipients: %u for each message of this %s",
                       limits->limit, scope);
        return;
    case LIMITS_MESSAGES:
        verdict_refuse(verdict, 550, "5.4.5", "This %s has sent its %u messages of 24 hours%s",
                       scope, limits->limit, when);
        break;
    case LIMITS_FIRST_TIME:
        verdict_refuse(verdict, 550, "5.4.5",
                       "This %s has written to its %u new recipients of 24 hours%s", scope,
                       limits->limit, when);
        break;
    }
    record_restricted(intake, limits, verdict);
}
