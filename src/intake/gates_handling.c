/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* gates_handling.c: the gates over what a client asks for beside delivery: a priority, a time
 * limit, a later release.  RFC 6710, RFC 2852, RFC 4865. */
#include "config/config.h"
#include "intake/gates.h"
#include "intake/transaction.h"
#include "runtime/clock.h"

#include <inttypes.h>

/* RFC 6710 4.1: a server may grant another priority, and says so when it accepts the message.  To
 * wait longer than others, everybody may ask. */
enum err
gate_priority(struct intake *intake, struct verdict *verdict)
{
    int max = intake_is_ours(intake) ? (int)intake->config->smtp.priority_max : 0;

    (void)verdict;
    intake->envelope.priority = (int8_t)MIN(intake->sender.priority, max);
    return OK;
}

enum err
gate_deliver_by(struct intake *intake, struct verdict *verdict)
{
    duration min = intake->config->smtp.deliver_by_min;

    if (intake->sender.by == BY_RETURN && intake->sender.by_time < min)
        verdict_refuse(verdict, 555, "5.5.4", "BY= demands at least %" PRId64 " seconds",
                       min / SECONDS(1));
    return OK;
}

static duration
hold_time(const struct intake_sender *sender)
{
    if (sender->hold_until)
        return sender->hold_until - clock_now();
    return sender->hold_for;
}

enum err
gate_future_release(struct intake *intake, struct verdict *verdict)
{
    const struct intake_sender *sender = &intake->sender;
    duration max = intake_hold_max(intake->services, &intake->peer);
    duration held = hold_time(sender);

    if (!sender->hold_for && !sender->hold_until)
        return OK;
    if (max == 0)
        verdict_refuse(verdict, 555, "5.5.4", "Messages are not held here");
    else if (held > max)
        verdict_refuse(verdict, 501, "5.5.4", "A message is held for at most %" PRId64 " seconds",
                       max / SECONDS(1));
    else if (sender->by == BY_RETURN && sender->by_time <= held)
        verdict_refuse(verdict, 501, "5.5.4", "The time of BY= would be over before the release");
    return OK;
}
