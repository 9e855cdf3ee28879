/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* tls_report_commands.c: reports about TLS: what is counted, what was sent, and sending now
 * (delivery/secure/tls_reports.h).
 *
 * The table at the end names the commands and the arguments that they read.
 */
#include "config/config.h"
#include "delivery/secure/tls_reports_send.h"
#include "formats/address.h"
#include "formats/date.h"
#include "ops/control_call.h"
#include "ops/server.h"
#include "runtime/clock.h"

#include <stdio.h>

enum {
    SHOWN_MAX = 1000,  /* Domains of one answer. */
    LISTED_MAX = 5000, /* Reports. */
    DAY_SIZE = sizeof("2026-11-27") - 1,
};

/* Of one answer: which days (of their beginning), and whose. */
struct wish {
    struct tls_reports *reports;
    instant from;
    instant to;
    str domain;
};

/* "2026-11-27", "today", or a time within a shorter day. */
static enum err
read_day(struct control_call *call, str text, struct wish *wish)
{
    instant now = clock_now();
    char day[40];

    wish->from = 0;
    wish->to = NEVER;
    if (!text.len)
        return OK;
    snprintf(day, sizeof(day), "%.*sT00:00:00Z", STR_ARG(str_head(text, DAY_SIZE)));
    if (str_eq(text, S("today"))) {
        wish->from = now - now % DAYS(1);
        wish->to = wish->from + DAYS(1);
    } else if (text.len == DAY_SIZE && date_parse_rfc3339(str_from(day), &wish->from) == OK) {
        wish->to = wish->from + DAYS(1);
    } else if (date_parse_rfc3339(text, &wish->from) == OK) {
        tls_reports_day(wish->reports, wish->from, &wish->from, &wish->to);
    } else {
        return control_fail(call, ERR_SYNTAX, "bad_day", "write for example 2026-11-27",
                            "\"%.*s\" is no day", STR_ARG(str_head(text, 60)));
    }
    return OK;
}

/* What was counted so far is written first, so that all answers come from one place. */
WAITS static enum err
begin(struct control_call *call, const char *standard_day, struct wish *wish)
{
    str day = json_get_text(call->args, "day");
    str domain = json_get_text(call->args, "domain");
    enum err e;

    *wish = (struct wish){ .reports = server_tls_reports(call->context->server) };
    e = read_day(call, day.len ? day : str_from(standard_day), wish);
    if (!e && domain.len && domain_to_alabel(domain, &call->arena, &wish->domain))
        e = control_fail(call, ERR_SYNTAX, "no_domain",
                         "write it as in mail addresses: example.org", "%.*s is not a domain",
                         STR_ARG(str_head(domain, 60)));
    if (!e)
        e = tls_reports_flush(wish->reports);
    return e;
}

static void
put_day(struct json_writer *writer, const struct tls_domain *domain)
{
    char text[DATE_TEXT_MAX];

    date_format_rfc3339(domain->begin, false, text);
    json_put_text(writer, "day",
                  domain->end - domain->begin == DAYS(1) ? str_head(str_from(text), DAY_SIZE)
                                                         : str_from(text));
    json_put_text(writer, "domain", domain->name.len ? domain->name : S("(others)"));
}

static void
put_policy(struct json_writer *writer, const struct tls_domain *domain,
           const struct tlsrpt_policy *policy)
{
    put_day(writer, domain);
    json_put_text(writer, "policy", str_from(tlsrpt_policy_name(policy->type)));
    json_put_text(writer, "policy_domain", policy->domain);
}

WAITS static enum err
show_policy(struct control_call *call, const struct tls_domain *domain,
            const struct tlsrpt_policy *policy)
{
    struct json_writer *row = control_row(call);
    enum err e;

    put_policy(row, domain, policy);
    json_put_text(row, "result", S("sessions"));
    json_put_int(row, "count", (int64_t)(policy->succeeded + policy->failed));
    json_put_int(row, "succeeded", (int64_t)policy->succeeded);
    json_put_int(row, "failed", (int64_t)policy->failed);
    e = control_row_end(call);
    for (size_t i = 0; i < policy->failure_count && !e; i++) {
        const struct tlsrpt_failure *failure = &policy->failures[i];
        row = control_row(call);
        put_policy(row, domain, policy);
        json_put_text(row, "result", str_from(tlsrpt_result_name(failure->result)));
        json_put_int(row, "count", (int64_t)failure->count);
        json_put_text(row, "mx", failure->mx);
        json_put_text(row, "mx_ip", failure->receiving_ip);
        json_put_text(row, "helo", failure->helo);
        json_put_text(row, "from_ip", failure->sending_ip);
        json_put_text(row, "reason", failure->reason);
        e = control_row_end(call);
    }
    return e;
}

WAITS static enum err
run_show(struct control_call *call)
{
    struct tls_domain *domains;
    struct wish wish;
    size_t count = 0;
    enum err e = begin(call, "today", &wish);

    if (e)
        return control_failed(call, e);
    e = tls_reports_domains(wish.reports, wish.from, wish.to, wish.domain, SHOWN_MAX, &call->arena,
                            &domains, &count);
    for (size_t i = 0; i < count && !e; i++) {
        struct tlsrpt_policy *policies;
        struct arena arena;
        size_t policy_count = 0;
        arena_init(&arena, CONTROL_ARENA_MAX);
        e = tls_reports_read(wish.reports, domains[i].id, &arena, &policies, &policy_count);
        for (size_t k = 0; k < policy_count && !e; k++)
            e = show_policy(call, &domains[i], &policies[k]);
        arena_done(&arena);
    }
    return e;
}

WAITS static enum err
run_list(struct control_call *call)
{
    static const msgid none;
    struct tls_report_row *rows;
    struct wish wish;
    size_t count = 0;
    enum err e = begin(call, "", &wish);

    if (e)
        return control_failed(call, e);
    e = tls_reports_list(wish.reports, wish.domain, LISTED_MAX, &call->arena, &rows, &count);
    for (size_t i = 0; i < count && !e; i++) {
        struct json_writer *row = control_row(call);
        char id[MSGID_TEXT_SIZE + 1];
        put_day(row, &rows[i].domain);
        json_put_text(row, "to", rows[i].uri);
        json_put_text(row, "state", str_from(tls_report_state_name(rows[i].state)));
        json_put_time(row, "since", rows[i].changed);
        if (rows[i].state == TLS_REPORT_WAITING)
            json_put_time(row, "next", rows[i].next);
        json_put_int(row, "succeeded", (int64_t)rows[i].succeeded);
        json_put_int(row, "failed", (int64_t)rows[i].failed);
        json_put_int(row, "tries", rows[i].tries);
        json_put_text(row, "report_id", rows[i].domain.report_id);
        msgid_format(rows[i].message, id);
        if (msgid_cmp(rows[i].message, none))
            json_put_text(row, "message", str_from(id));
        json_put_text(row, "text", rows[i].text);
        e = control_row_end(call);
    }
    return e;
}

/* The reports as they would go, each the text of its JSON. */
WAITS static enum err
print_reports(struct control_call *call, const struct wish *wish)
{
    struct tls_identity identity;
    struct tls_domain *domains;
    size_t count = 0;
    enum err e =
        tls_identity_of(call->context->config, call->context->keyring, &call->arena, &identity);

    if (!e)
        e = tls_reports_domains(wish->reports, wish->from, wish->to, wish->domain, SHOWN_MAX,
                                &call->arena, &domains, &count);
    for (size_t i = 0; i < count && !e; i++) {
        struct arena arena;
        struct buf json;
        if (!domains[i].name.len)
            continue;
        arena_init(&arena, CONTROL_ARENA_MAX);
        buf_init(&json, CONTROL_LINE_MAX / 2);
        e = tls_report_format(wish->reports, &identity, &domains[i], &arena, &json);
        if (!e) {
            put_day(control_row(call), &domains[i]);
            json_put_text(&call->row, "report", buf_str(&json));
            e = control_row_end(call);
        }
        buf_done(&json);
        arena_done(&arena);
    }
    return e;
}

WAITS static enum err
run_send(struct control_call *call)
{
    uint64_t count = 0;
    struct wish wish;
    enum err e = begin(call, "", &wish);

    if (e)
        return control_failed(call, e);
    if (json_get_bool(call->args, "dry_run"))
        return print_reports(call, &wish);
    if (!call->context->config->tls_reports.send)
        return control_fail(call, ERR_REFUSED, "off", "set tls_reports.send on",
                            "reports about TLS are off");
    e = tls_reports_hurry(wish.reports, clock_now(), wish.from, wish.to, wish.domain, &count);
    if (e)
        return control_failed(call, e);
    json_put_int(&call->answer, "count", (int64_t)count);
    control_say(call,
                count ? "%llu due now: 'outpost tls-report list' shows what becomes of them"
                      : "%llu: of the days that are over nothing is left to send",
                (unsigned long long)count);
    return OK;
}

const struct control_command control_tls_report[] = {
    { "tls_report.list", run_list, CONTROL_NEEDS_SERVER }, /* domain */
    { "tls_report.show", run_show, CONTROL_NEEDS_SERVER }, /* domain, day */
    { "tls_report.send", run_send, CONTROL_NEEDS_SERVER }, /* domain, day, dry_run */
    { NULL, NULL, 0 },
};
