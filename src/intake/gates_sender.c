/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* gates_sender.c: the gates at MAIL: who may send at all, and as whom. */
#include "accounts/account.h"
#include "accounts/limits.h"
#include "config/config.h"
#include "delivery/queue/queue.h"
#include "intake/gates.h"
#include "intake/limits_words.h"
#include "intake/transaction.h"
#include "runtime/clock.h"
#include "store/spool.h"

enum err
gate_login_required(struct intake *intake, struct verdict *verdict)
{
    if (!intake_is_ours(intake))
        verdict_refuse(verdict, 530, "5.7.0", "Log in first");
    return OK;
}

enum err
gate_room(struct intake *intake, struct verdict *verdict)
{
    unsigned queue_max = intake->config->store.queue_max;
    struct queue_stats queue;
    struct spool_stats spool;

    spool_stats(intake->services->spool, &spool);
    queue_stats(intake->services->queue, &queue);
    if (spool.full)
        verdict_refuse(verdict, 452, "4.3.1", "No space on the disk, try again later");
    else if (queue_max && queue.recipients >= queue_max)
        verdict_refuse(verdict, 452, "4.3.2", "Too much is waiting here, try again later");
    return OK;
}

enum err
gate_announced_size(struct intake *intake, struct verdict *verdict)
{
    uint64_t max = intake->config->smtp.message_size_max;

    /* RFC 1870 6.1. */
    if (max && intake->sender.size > max)
        verdict_refuse(verdict, 552, "5.3.4", "Messages are limited to %llu bytes",
                       (unsigned long long)max);
    return OK;
}

enum err
gate_sender_syntax(struct intake *intake, struct verdict *verdict)
{
    /* RFC 6531 3.5. */
    if (!intake->sender.smtputf8 && !str_is_ascii(intake->sender.path))
        verdict_refuse(verdict, 553, "5.6.7", "This sender needs SMTPUTF8");
    return OK;
}

enum err
gate_sender_owned(struct intake *intake, struct verdict *verdict)
{
    str path = intake->sender_forms.canonical;

    /* The null path is for reports, such as read receipts: RFC 6409 6.1 lets the login send it. */
    if (!intake->peer.account.len || !path.len)
        return OK;
    if (!accounts_may_send_as(intake->services->accounts, intake->peer.account_id, path))
        verdict_refuse(verdict, 553, "5.7.1", "%.*s may not send as this address",
                       STR_ARG(intake->peer.account));
    return OK;
}

enum err
gate_messages_limit(struct intake *intake, struct verdict *verdict)
{
    struct limits_verdict limits;
    enum err e;

    if (!intake->peer.account.len)
        return OK;
    e = limits_begin(intake->services->limits, intake->peer.account_id, clock_now(),
                     &intake->ticket, &limits);
    if (e)
        return e;
    if (limits.state != LIMITS_OK)
        limits_refuse(intake, &limits, verdict);
    return OK;
}
