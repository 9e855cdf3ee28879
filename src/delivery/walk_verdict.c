/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* walk_verdict.c: what a walk found, in words: what would become of mail, whose problem it is, and
 * what one can do.  Pure; start reading at walk_judge(). */
#include "delivery/walk.h"

#include <stdio.h>
#include <string.h>

const char *
walk_end_name(enum walk_end end)
{
    static const char *const names[] = {
        [WALK_UNTRIED] = "untried",
        [WALK_TAKES] = "takes",
        [WALK_LATER] = "later",
        [WALK_RETURNS] = "returns",
    };

    return names[end];
}

const char *
walk_problem_name(enum walk_problem problem)
{
    static const char *const names[] = {
        [WALK_FINE] = "none",       [WALK_OURS] = "ours",       [WALK_THEIRS] = "theirs",
        [WALK_BETWEEN] = "between", [WALK_SENDERS] = "senders",
    };

    return names[problem];
}

/* --- One host. */

static const char *
verified_words(enum secure_verified verified)
{
    switch (verified) {
    case SECURE_VERIFIED_DANE:
        return "verified by its TLSA records (DANE)";
    case SECURE_VERIFIED_STS:
        return "verified as the domain's MTA-STS policy asks";
    case SECURE_VERIFIED_RULE:
        return "verified as a rule asks";
    case SECURE_VERIFIED_MESSAGE:
        return "verified as REQUIRETLS asks";
    case SECURE_VERIFIED_RELAY:
        return "verified as the relay's URL asks";
    case SECURE_VERIFIED_PKIX:
        return "with a valid certificate for its name, which nothing asks for";
    default:
        return "to whoever answers: the certificate proves nothing, and nothing asks for proof";
    }
}

/* "encrypted (TLSv1.3), verified by ..." */
static void
put_security(const struct secure_outcome *outcome, char *text, size_t size)
{
    if (!outcome->has_tls)
        (void)snprintf(text, size, "in the clear%s",
                       outcome->demand == SECURE_PLAIN ? ", as it was told to" : "");
    else
        (void)snprintf(text, size, "encrypted (%s), %s", outcome->version,
                       verified_words(outcome->verified));
}

static bool
is_too_large(const struct walk_wish *wish, const struct walk_host *item)
{
    return item->heard && item->offers.size && wish->facts.size > item->offers.size;
}

static void
put_failure(const struct walk_host *item, char *text, size_t size)
{
    const struct smtp_answer *answer = &item->failure.answer;

    if (answer->code)
        (void)snprintf(text, size, "%s (%u%s%s %.200s)", item->failure.why.text, answer->code,
                       answer->enhanced[0] ? " " : "", answer->enhanced, answer->text);
    else
        (void)snprintf(text, size, "%s", item->failure.why.text);
}

void
walk_judge_host(const struct walk_wish *wish, struct walk_host *item)
{
    str name = str_head(item->host->name, 200);
    char where[IPADDR_TEXT_MAX + 8], what[500];

    endpoint_format(&item->host->endpoint, where);
    if (item->end == WALK_TAKES && is_too_large(wish, item)) {
        item->end = WALK_RETURNS;
        (void)snprintf(item->line, sizeof(item->line),
                       "%.*s at %s takes mail of at most %llu bytes", STR_ARG(name), where,
                       (unsigned long long)item->offers.size);
    } else if (item->end == WALK_TAKES) {
        put_security(&item->outcome, what, sizeof(what));
        (void)snprintf(item->line, sizeof(item->line), "%.*s at %s takes mail, %s", STR_ARG(name),
                       where, what);
    } else if (item->end == WALK_UNTRIED) {
        (void)snprintf(item->line, sizeof(item->line), "%.*s at %s was not tried: %s",
                       STR_ARG(name), where, item->plan.why);
    } else {
        put_failure(item, what, sizeof(what));
        (void)snprintf(item->line, sizeof(item->line), "%.*s at %s does not do: %s", STR_ARG(name),
                       where, what);
    }
}

/* --- All of them. */

struct advice {
    enum walk_problem problem;
    const char *cure;
};

/* Whoever demanded what the host did not give. */
static struct advice
advice_of_demand(enum secure_by by)
{
    switch (by) {
    case SECURE_BY_DANE:
        return (struct advice){ WALK_THEIRS, "the TLSA records and the certificate of the host do "
                                             "not fit: tell its postmaster; mail "
                                             "waits and is tried again, and a rule (outpost rule "
                                             "add tls ... --level plain) lets it go "
                                             "without" };
    case SECURE_BY_STS:
        return (struct advice){
            WALK_THEIRS,
            "the host does not keep the domain's MTA-STS policy: tell its postmaster; "
            "mail waits and is tried again, and a rule (outpost rule add tls ...) lets "
            "it go without"
        };
    case SECURE_BY_RULE:
        return (struct advice){ WALK_OURS,
                                "a rule of yours asks for more than the host gives: 'outpost rule "
                                "list' shows it, 'outpost rule rm' ends it" };
    case SECURE_BY_RELAY:
        return (struct advice){ WALK_OURS,
                                "the relay's URL asks for more than its host gives: see ?tls= and "
                                "?verify= there, and tls.ca_file" };
    case SECURE_BY_CONFIG:
        return (struct advice){ WALK_OURS, "delivery.tls is require, and the host has no TLS" };
    case SECURE_BY_MESSAGE:
        return (struct advice){ WALK_SENDERS,
                                "a message with REQUIRETLS comes back at once; without it, mail "
                                "would be tried as usual: see 'outpost test route' without "
                                "--require-tls" };
    default:
        return (struct advice){ WALK_THEIRS, "tell the postmaster of the host" };
    }
}

static struct advice
advice_of_refused(const struct walk_host *item)
{
    switch (item->plan.refused) {
    case SECURE_DNSSEC_INVALID:
        return (struct advice){
            WALK_THEIRS,
            "the DNS of the host does not answer as its signatures promise: tell its "
            "postmaster; if other signed domains fail as well, see dns.trust_anchor_file "
            "and the clock of this machine"
        };
    case SECURE_STS_POLICY_INVALID:
    case SECURE_STS_POLICY_FETCH_ERROR:
    case SECURE_STS_WEBPKI_INVALID:
    case SECURE_VALIDATION_FAILURE:
        return (struct advice){ WALK_THEIRS,
                                "the domain's MTA-STS policy does not fit its hosts: tell its "
                                "postmaster; mail waits and is tried again" };
    default:
        return advice_of_demand(item->plan.by);
    }
}

static struct advice
advice_of(const struct walk_host *item)
{
    const struct smtp_failure *failure = &item->failure;

    if (item->plan.requires && item->end == WALK_RETURNS)
        return advice_of_demand(SECURE_BY_MESSAGE);
    if (item->plan.refused)
        return advice_of_refused(item);
    switch (failure->stage) {
    case SMTP_STAGE_CONNECT:
        return (struct advice){
            WALK_BETWEEN,
            "if hosts of other domains do not answer either, outgoing port 25 is closed here: ask "
            "whoever gives you the connection; otherwise theirs are down, and mail waits and is "
            "tried again"
        };
    case SMTP_STAGE_GREETING:
    case SMTP_STAGE_EHLO:
        if (failure->answer.code >= 400)
            return (struct advice){
                WALK_OURS,
                "the host refuses this server before any mail: its answer says why; look "
                "at the PTR record and at blocklists for the address that we leave from"
            };
        return (struct advice){ WALK_BETWEEN, "what answers there is no mail server, or too slow" };
    case SMTP_STAGE_AUTH:
        return (struct advice){ WALK_OURS, "the login at the relay fails: see its user and "
                                           "password_file" };
    case SMTP_STAGE_STARTTLS:
        if (item->plan.by == SECURE_BY_DANE)
            return (struct advice){
                WALK_THEIRS,
                "the host has TLSA records, but offers no STARTTLS: tell its postmaster; mail "
                "waits and is tried again, and a rule (outpost rule add tls domain:... --level "
                "plain --for 1d) lets it go without"
            };
        return advice_of_demand(item->plan.by);
    default:
        return advice_of_demand(item->plan.by);
    }
}

static const struct walk_host *
first_that(const struct walk *walk, enum walk_end end)
{
    for (size_t i = 0; i < walk->count; i++)
        if (walk->items[i].end == end)
            return &walk->items[i];
    return NULL;
}

static void
set_cure(struct walk *walk, const struct walk_host *item)
{
    struct advice advice = advice_of(item);

    walk->problem = advice.problem;
    (void)snprintf(walk->cure, sizeof(walk->cure), "%s", advice.cure);
}

static void
judge_taken(struct walk *walk, const struct walk_host *taker)
{
    const struct walk_host *first = &walk->items[0];
    char how[400];

    put_security(&taker->outcome, how, sizeof(how));
    walk->end = WALK_TAKES;
    (void)snprintf(walk->verdict, sizeof(walk->verdict), "Mail would be delivered to %.*s, %s%s%s",
                   STR_ARG(str_head(taker->host->name, 200)), how,
                   first == taker ? "" : "; before that, ", first == taker ? "" : first->line);
    if (first != taker)
        set_cure(walk, first);
}

static void
judge_untaken(struct walk *walk)
{
    const struct walk_host *item = first_that(walk, WALK_LATER);

    walk->end = item ? WALK_LATER : WALK_RETURNS;
    if (!item)
        item = &walk->items[0];
    (void)snprintf(walk->verdict, sizeof(walk->verdict), "%s: %s",
                   walk->end == WALK_LATER ? "Mail would wait and be tried again"
                                           : "Mail would come back to its sender",
                   item->line);
    set_cure(walk, item);
}

/* Nobody answered: our resolver, the domain's servers, or what is between. */
static bool
is_silence(const struct route_answer *answer)
{
    return str_eq(str_from(answer->enhanced), S("4.4.3"));
}

static void
judge_answer(struct walk *walk, const struct route_answer *answer, enum walk_problem problem)
{
    walk->end = answer->code >= 500 ? WALK_RETURNS : WALK_LATER;
    walk->problem = problem;
    (void)snprintf(walk->verdict, sizeof(walk->verdict), "%s: %u %s %s",
                   walk->end == WALK_LATER ? "Mail would wait and be tried again"
                                           : "Mail would come back to its sender",
                   answer->code, answer->enhanced, answer->text);
    (void)snprintf(walk->cure, sizeof(walk->cure), "%s",
                   answer->code >= 500
                       ? "is the address right?  If it is, the DNS of its domain is "
                         "not as mail needs it"
                       : "the DNS does not answer well: if other domains fail as "
                         "well, it is our resolver, see the options dns; if not, it "
                         "is the DNS of the domain");
}

bool
walk_is_stopped(const struct walk *walk)
{
    return walk->rule_words[0] && walk->rule.kind <= STANDING_BOUNCE;
}

static void
judge_stopped(struct walk *walk)
{
    static const char *const words[] = {
        [STANDING_HOLD] = "Mail would be held by",
        [STANDING_SUSPEND] = "Mail would wait, suspended by",
        [STANDING_BOUNCE] = "Mail would come back to its sender by",
    };

    walk->end = walk->rule.kind == STANDING_BOUNCE ? WALK_RETURNS : WALK_LATER;
    walk->problem = WALK_OURS;
    (void)snprintf(walk->verdict, sizeof(walk->verdict), "%s %s", words[walk->rule.kind],
                   walk->rule_words);
    (void)snprintf(walk->cure, sizeof(walk->cure), "'outpost rule rm %u' ends the rule",
                   walk->rule.rule);
}

void
walk_judge(const struct walk_wish *wish, struct walk *walk)
{
    const struct walk_host *taker = first_that(walk, WALK_TAKES);

    if (walk_is_stopped(walk))
        judge_stopped(walk);
    else if (walk->route.kind == ROUTE_NONE)
        judge_answer(walk, &walk->route.answer, WALK_OURS);
    else if (walk->hosts.answer.code)
        judge_answer(walk, &walk->hosts.answer,
                     is_silence(&walk->hosts.answer) ? WALK_BETWEEN : WALK_THEIRS);
    else if (taker)
        judge_taken(walk, taker);
    else if (walk->count > 0 && wish->connects)
        judge_untaken(walk);
    else if (walk->route.kind != ROUTE_LOCAL)
        (void)snprintf(walk->verdict, sizeof(walk->verdict), "%s%s%s",
                       wish->connects ? "Such a next hop can only be tried with a message"
                                      : "Nothing was connected to",
                       walk->rule_words[0] ? "; the way is chosen by " : "", walk->rule_words);
}
