/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* handling.c: what an envelope asks for beside delivery, at the next hop and in words.
 *
 * A message that is to be returned after a time (BY=;R) may only go to a next hop that keeps the
 * time as well: one that does not know DELIVERBY, or needs longer, does not get it.  One of which
 * the sender only wants to hear (BY=;N) goes on, and he hears from us where the trace ends.  RFC
 * 2852 4.
 */
#include "delivery/attempt.h"
#include "formats/date.h"
#include "protocols/smtp/reply.h"
#include "runtime/clock.h"

/* The last hop: a mailbox's own server. */
static bool
is_final_hop(const struct attempt *a)
{
    return a->route.relay.kind == RELAY_LMTP;
}

struct smtp_deliver_by
attempt_by(const struct attempt *a, instant now)
{
    const struct envelope *envelope = &a->envelope;
    int64_t seconds = (envelope->by_deadline - now) / SECONDS(1);

    if (envelope->by == BY_NONE)
        return (struct smtp_deliver_by){};
    seconds = MIN(MAX(seconds, (int64_t)-SMTP_SECONDS_MAX), (int64_t)SMTP_SECONDS_MAX);
    return (struct smtp_deliver_by){
        .mode = envelope->by == BY_RETURN ? SMTP_BY_RETURN : SMTP_BY_NOTIFY,
        .trace = envelope->by_trace,
        .seconds = (int32_t)(envelope->by == BY_RETURN ? MAX(seconds, (int64_t)1) : seconds),
    };
}

bool
attempt_keeps_time(struct attempt *a)
{
    const struct smtp_capabilities *offered = smtp_client_capabilities(a->runner->client);
    struct smtp_deliver_by by = attempt_by(a, clock_now());

    if (by.mode != SMTP_BY_RETURN || is_final_hop(a))
        return true;
    if (!offered->deliverby)
        attempt_all_results(a, OUTCOME_FAILED, 554, "5.4.7",
                            "The next mail server does not promise delivery in the time asked for",
                            0);
    else if ((uint64_t)by.seconds < offered->deliverby_min)
        attempt_all_results(a, OUTCOME_FAILED, 554, "5.4.7",
                            "The next mail server needs longer than the time that is left", 0);
    else
        return true;
    return false;
}

uint8_t
attempt_relayed(const struct attempt *a)
{
    const struct smtp_capabilities *offered = smtp_client_capabilities(a->runner->client);
    unsigned relayed = offered->dsn ? 0 : RELAYED_WITHOUT_DSN;

    if (a->envelope.by == BY_NONE || is_final_hop(a))
        return (uint8_t)relayed;
    if (!offered->deliverby)
        relayed |= RELAYED_WITHOUT_BY;
    if (a->envelope.by_trace)
        relayed |= RELAYED_TRACED;
    return (uint8_t)relayed;
}

instant
handling_expiry(const struct envelope *envelope, const struct config *config)
{
    duration time =
        envelope->door == DOOR_BOUNCE ? config->delivery.expire_bounce : config->delivery.expire;

    if (envelope->by == BY_RETURN)
        return envelope->by_deadline;
    if (envelope->door == DOOR_REPORT)
        return envelope->received_at + HANDLING_REPORT_TIME;
    return MAX(envelope->received_at, envelope->release_at) + time;
}

str
handling_why(struct arena *arena, const struct envelope *envelope, instant now)
{
    char when[DATE_TEXT_MAX];
    str text = S("");

    if (envelope->release_at <= now)
        return text;
    date_format_rfc3339(envelope->release_at, false, when);
    (void)arena_printf(arena, &text, "It is held until %s, as the sender asked.", when);
    return text;
}
