/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* tls_note.c: a connection's plan and outcome as a session of the report to its domain (RFC 8460
 * 4.1).
 *
 * The report goes to the domain of the recipients; the policy in it is of the domain that published
 * it: with DANE that of the mail host (RFC 8460 1.1).  Sessions that were no matter of a policy of
 * theirs are left out: relays of ours, operators' and senders' exceptions, and the reports
 * themselves.
 */
#include "delivery/attempt.h"
#include "delivery/secure/tls_reports.h"
#include "trust/tlsa.h"

/* The numbers are the same ones. */
static_assert(SECURE_FINE == (int)TLSRPT_OK, "results");
static_assert(SECURE_STARTTLS_NOT_SUPPORTED == (int)TLSRPT_STARTTLS_NOT_SUPPORTED, "results");
static_assert(SECURE_VALIDATION_FAILURE == (int)TLSRPT_VALIDATION_FAILURE, "results");
static_assert(SECURE_TLSA_INVALID == (int)TLSRPT_TLSA_INVALID, "results");
static_assert(SECURE_STS_WEBPKI_INVALID == (int)TLSRPT_STS_WEBPKI_INVALID, "results");
static_assert(SECURE_NO_SESSION == (int)TLSRPT_RESULT_COUNT, "results");

/* REQUIRETLS kept the host from being asked, or TLS-Required: No set the domain's policy aside. */
static bool
is_by_message(const struct secure_plan *plan)
{
    return plan->by == SECURE_BY_MESSAGE && (plan->refused || plan->demand < SECURE_NAME);
}

static bool
is_counted(const struct attempt *a)
{
    const struct secure_plan *plan = &a->plan;

    return a->runner->queue->tls_reports && a->route.kind == ROUTE_MX &&
           a->envelope.door != DOOR_REPORT && a->outcome.result != SECURE_NO_SESSION &&
           plan->demand != SECURE_PLAIN && plan->by != SECURE_BY_RELAY &&
           plan->by != SECURE_BY_RULE && !is_by_message(plan);
}

static void
add_hex(str bytes, struct buf *lines)
{
    static const char digits[] = "0123456789abcdef";
    char *to = buf_reserve(lines, 2 * bytes.len);

    for (size_t i = 0; to && i < bytes.len; i++) {
        to[2 * i] = digits[(unsigned char)bytes.ptr[i] >> 4];
        to[2 * i + 1] = digits[bytes.ptr[i] & 15];
    }
    if (to)
        buf_claim(lines, 2 * bytes.len);
}

/* "3 1 1 5f0a…", a line for each: RFC 6698 2.2. */
static void
add_tlsa(const struct tlsa_set *set, struct buf *lines)
{
    for (size_t i = 0; i < set->count; i++) {
        const struct tls_tlsa *item = &set->items[i];
        buf_addf(lines, "%s%u %u %u ", i ? "\n" : "", item->usage, item->selector, item->matching);
        add_hex(item->data, lines);
    }
}

/* The text and, behind it, the hosts that it names. */
static void
add_sts(const struct sts_policy *policy, struct buf *lines, struct tls_session *session)
{
    size_t text_len;

    sts_policy_format(policy, lines);
    text_len = lines->len;
    for (size_t i = 0; i < policy->pattern_count; i++)
        buf_addf(lines, "%s%.*s", i ? "\n" : "", STR_ARG(policy->patterns[i]));
    if (!buf_ok(lines))
        return;
    session->lines = str_trim(str_head(buf_str(lines), text_len));
    session->mx = str_skip(buf_str(lines), text_len);
}

static bool
is_of_sts(const struct secure_plan *plan)
{
    return plan->noted >= SECURE_STS_POLICY_FETCH_ERROR && plan->noted <= SECURE_STS_WEBPKI_INVALID;
}

static void
add_policy(const struct secure_plan *plan, struct buf *lines, struct tls_session *session)
{
    session->policy_domain = plan->domain;
    if (plan->by == SECURE_BY_DANE || (plan->tlsa && plan->by != SECURE_BY_STS)) {
        session->type = TLSRPT_TLSA;
        session->policy_domain = plan->base;
        session->mx = plan->host;
        if (plan->tlsa)
            add_tlsa(plan->tlsa, lines);
        session->lines = buf_str(lines);
    } else if (plan->sts && plan->sts->policy.mode != STS_NONE) {
        session->type = TLSRPT_STS;
        add_sts(&plan->sts->policy, lines, session);
    } else if (is_of_sts(plan)) {
        session->type = TLSRPT_STS;
    }
}

void
attempt_note_tls(struct attempt *a, const struct smtp_failure *failure)
{
    struct tls_session session = {
        .domain = a->plan.domain,
        .result = (enum tlsrpt_result)a->outcome.result,
        .local = failure->local,
        .host = a->plan.host,
        .helo = str_from(failure->peer_name),
        .reason = str_from(a->outcome.why),
    };
    struct buf lines;

    if (!is_counted(a))
        return;
    buf_init(&lines, STS_POLICY_SIZE_MAX);
    if (!a->plan.refused)
        session.peer = a->outcome.peer.addr;
    add_policy(&a->plan, &lines, &session);
    tls_reports_note(a->runner->queue->tls_reports, &session);
    buf_done(&lines);
}
