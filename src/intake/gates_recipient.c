/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* gates_recipient.c: the gates at RCPT: to whom this client may send.
 *
 * gate_relay() is what keeps us from being an open relay.  It looks only at the domain of the
 * parsed address: whatever is inside a local part (percent, bang, another at) means nothing here.
 */
#include "accounts/account.h"
#include "accounts/limits.h"
#include "config/config.h"
#include "delivery/returns/return_address.h"
#include "intake/gates.h"
#include "intake/limits_words.h"
#include "intake/transaction.h"
#include "runtime/clock.h"
#include "store/mailbox.h"

enum err
gate_recipient_count(struct intake *intake, struct verdict *verdict)
{
    unsigned max = intake_recipients_max(intake->services, &intake->peer);

    /* RFC 5321 4.5.3.1.10: 452, so that the client sends the rest in another message. */
    if (intake->envelope.recipient_count >= max)
        verdict_refuse(verdict, 452, "4.5.3", "No more than %u recipients for each message", max);
    return OK;
}

enum err
gate_recipient_syntax(struct intake *intake, struct verdict *verdict)
{
    str address = intake->candidate->address;

    if (!intake->sender.smtputf8 && !str_is_ascii(address))
        verdict_refuse(verdict, 553, "5.6.7", "This recipient needs SMTPUTF8");
    return OK;
}

/* Whoever gets what an alias of ours sends on knows SRS addresses, of any sender that he names to
 * the alias: what begins a conversation by one would be relayed to whom he likes, in our name. */
static bool
is_no_report(const struct intake *intake, const struct return_address *found)
{
    return found->kind == RETURN_SRS && intake->peer.door == DOOR_MX && intake->sender.path.len &&
           !intake_is_ours(intake);
}

/* <postmaster> has a mailbox once there is any account. */
static enum err
judge_postmaster(struct intake *intake, struct verdict *verdict)
{
    struct resolution found;
    enum err e =
        accounts_resolve(intake->services->accounts, &intake->lookup, S("postmaster"), &found);

    if (!e && found.kind != RESOLUTION_MAILBOX && found.kind != RESOLUTION_ALIAS &&
        found.kind != RESOLUTION_ROUTE)
        verdict_refuse(verdict, 550, "5.1.1", "No such recipient here");
    return e;
}

/* A forged one is told nothing that an unknown one is not told. */
enum err
gate_return_address(struct intake *intake, struct verdict *verdict)
{
    struct intake_services *services = intake->services;
    struct return_address found;
    enum err e;

    e = return_address_check(intake->config, services->accounts, services->secrets,
                             intake->candidate->address, clock_now(), &intake->lookup, &found);
    intake->comes_back = !e && found.kind != RETURN_NONE;
    if (e == ERR_REFUSED) {
        verdict_refuse(verdict, 550, "5.1.1", "No such recipient here");
        return OK;
    }
    if (!e && is_no_report(intake, &found))
        verdict_refuse(verdict, 550, "5.7.1",
                       "Only reports of delivery, which have no sender, come to this address");
    else if (!e && found.kind == RETURN_POSTMASTER)
        e = judge_postmaster(intake, verdict);
    return e;
}

enum err
gate_relay(struct intake *intake, struct verdict *verdict)
{
    str domain = intake->candidate_forms.domain;

    if (intake_is_ours(intake) || intake->comes_back || !domain.len)
        return OK;
    if (!accounts_has_domain(intake->services->accounts, domain))
        verdict_refuse(verdict, 550, "5.7.1", "We do not relay to this domain");
    return OK;
}

static void
judge_resolution(const struct resolution *resolution, bool without_domain, struct verdict *verdict)
{
    switch (resolution->kind) {
    case RESOLUTION_NOT_OURS:
        if (without_domain)
            verdict_refuse(verdict, 550, "5.1.1", "No such recipient here");
        return;
    case RESOLUTION_MAILBOX:
    case RESOLUTION_ALIAS:
    case RESOLUTION_ROUTE:
        return;
    case RESOLUTION_UNKNOWN:
        verdict_refuse(verdict, 550, "5.1.1", "No such recipient here");
        return;
    case RESOLUTION_LOOP:
        verdict_refuse(verdict, 550, "5.4.6", "This alias leads in circles");
        return;
    }
}

/* Looks the candidate up once, for all gates. */
static enum err
resolve_candidate(struct intake *intake)
{
    enum err e;

    if (intake->resolved)
        return OK;
    e = accounts_resolve(intake->services->accounts, &intake->lookup,
                         intake->candidate_forms.canonical, &intake->resolution);
    intake->resolved = e == OK;
    return e;
}

enum err
gate_recipient_exists(struct intake *intake, struct verdict *verdict)
{
    enum err e;

    if (intake->comes_back)
        return OK;
    e = resolve_candidate(intake);
    if (e)
        return e;
    judge_resolution(&intake->resolution, !intake->candidate_forms.domain.len, verdict);
    return OK;
}

/* Of one mailbox with a quota.  Another who writes to it at the same time may still be first: then
 * the delivery reports it. */
WAITS static enum err
judge_quota(struct intake *intake, const struct resolution_target *target, struct verdict *verdict)
{
    OWN(mailbox) mailbox = NULL;
    struct mailbox_usage usage;
    struct why why;
    enum err e;

    e = mailbox_open(intake->services->mailboxes, target->account, &mailbox, &why);
    if (e)
        return e;
    e = mailbox_usage(mailbox, &usage);
    if (e)
        return e;
    if (usage.bytes + intake->sender.size > target->quota)
        verdict_refuse(verdict, 452, "4.2.2", "This mailbox is full");
    return OK;
}

/* RFC 5321 6.1 and common sense: better refused here than reported to a forged sender.  Complaints
 * may be kept in a mailbox besides being read. */
enum err
gate_mailbox_room(struct intake *intake, struct verdict *verdict)
{
    const struct resolution *resolution = &intake->resolution;
    enum err e;

    if (intake->comes_back &&
        !str_eq_nocase(intake->candidate->address, intake->config->bounces.complaints_to))
        return OK;
    e = resolve_candidate(intake);
    if (e)
        return e;
    if (resolution->kind == RESOLUTION_MAILBOX && resolution->targets[0].quota)
        return judge_quota(intake, &resolution->targets[0], verdict);
    return OK;
}

enum err
gate_recipients_limit(struct intake *intake, struct verdict *verdict)
{
    struct limits_verdict limits;
    enum err e;

    if (!intake->ticket)
        return OK;
    e = limits_add_recipient(intake->ticket, intake->candidate_forms.canonical, clock_now(),
                             &limits);
    if (e)
        return e;
    if (limits.state != LIMITS_OK)
        limits_refuse(intake, &limits, verdict);
    return OK;
}
