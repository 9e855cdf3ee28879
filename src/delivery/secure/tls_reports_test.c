/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* tls_reports_test.c: what is counted is there again, and no stranger makes it grow beyond its
 * ceilings. */
#include "delivery/secure/tls_reports_send.h"

#include "delivery/attempt.h"
#include "delivery/secure/https.h"

#include "runtime/clock.h"
#include "runtime/fiber.h"
#include "runtime/listener.h"
#include "runtime/sim.h"
#include "runtime/stream.h"
#include "runtime/tls.h"
#include "store/temp_dir.h"

#include "check.h"

#include <dirent.h>
#include <string.h>

static struct temp_dir dir;
static struct arena arena;

static struct tls_reports *
open_reports(void)
{
    struct tls_reports *reports = NULL;
    struct why why = {};

    CHECK(tls_reports_open(temp_dir_file(&dir, "tls_reports.db"), &reports, &why) == OK);
    tls_reports_configure(reports, true, DAYS(1), 0, S("here.example"));
    return reports;
}

static const struct tls_session good = {
    .domain = S("far.example"),
    .type = TLSRPT_STS,
    .policy_domain = S("far.example"),
    .lines = S("version: STSv1\nmode: enforce\nmax_age: 86400"),
    .mx = S("*.far.example"),
};

static struct tls_session
failed(enum tlsrpt_result result, const char *host, const char *reason)
{
    struct tls_session session = good;

    session.result = result;
    session.host = str_from(host);
    session.reason = str_from(reason);
    session.local = ipaddr_from_v4(0xc0000201);
    session.peer = ipaddr_from_v4(0xc6336401);
    return session;
}

static struct tls_domain
only_domain(struct tls_reports *reports, const char *name)
{
    struct tls_domain *domains = NULL;
    size_t count = 0;

    CHECK(tls_reports_domains(reports, 0, NEVER, str_from(name), 10, &arena, &domains, &count) ==
          OK);
    CHECK(count == 1);
    return count ? domains[0] : (struct tls_domain){};
}

static void
in_a_fiber(void *story)
{
    void (*tell)(void) = *(void (**)(void))story;

    arena_init(&arena, 64 << 20);
    temp_dir_make(&dir);
    tell();
    temp_dir_remove(&dir);
    arena_done(&arena);
}

static void
tell(void (*story)(void))
{
    struct runtime_options options = { .simulated = true, .seed = 5 };

    CHECK(runtime_run(&options, in_a_fiber, &story) == OK);
}

static void
a_file_that_is_no_database_is_put_aside(void)
{
    FILE *file = fopen(temp_dir_file(&dir, "tls_reports.db"), "w");
    struct tls_reports *reports;
    struct dirent *entry;
    size_t kept = 0;
    DIR *names;

    for (int i = 0; i < 200; i++)
        CHECK(file && fputs("this is no database\n", file) >= 0);
    CHECK(fclose(file) == 0);
    reports = open_reports();
    tls_reports_note(reports, &good);
    CHECK(tls_reports_flush(reports) == OK);
    tls_reports_close(reports);
    names = opendir(dir.path);
    while (names && (entry = readdir(names)))
        kept += str_starts(str_from(entry->d_name), S("tls_reports.db.broken-"));
    CHECK(kept == 1);
    closedir(names);
}

static void
counts_survive(void)
{
    struct tls_session expired = failed(TLSRPT_CERTIFICATE_EXPIRED, "mx.far.example", "expired");
    struct tls_reports *reports = open_reports();
    struct tlsrpt_policy *policies;
    size_t count;

    for (unsigned i = 0; i < 5; i++)
        tls_reports_note(reports, &good);
    tls_reports_note(reports, &expired);
    CHECK(tls_reports_flush(reports) == OK);
    tls_reports_note(reports, &expired);
    tls_reports_note(reports, &good);
    tls_reports_close(reports);
    reports = open_reports();
    CHECK(tls_reports_read(reports, only_domain(reports, "far.example").id, &arena, &policies,
                           &count) == OK);
    CHECK(count == 1 && policies[0].succeeded == 6 && policies[0].failed == 2);
    CHECK(policies[0].type == TLSRPT_STS && policies[0].failure_count == 1);
    CHECK_STR(policies[0].lines, "version: STSv1\nmode: enforce\nmax_age: 86400");
    CHECK(policies[0].failures[0].count == 2);
    CHECK_STR(policies[0].failures[0].mx, "mx.far.example");
    CHECK_STR(policies[0].failures[0].sending_ip, "192.0.2.1");
    CHECK_STR(policies[0].failures[0].receiving_ip, "198.51.100.1");
    tls_reports_close(reports);
}

static void
policies_and_days_are_kept_apart(void)
{
    struct tls_reports *reports = open_reports();
    struct tls_session other = good;
    struct tlsrpt_policy *policies;
    struct tls_domain *domains;
    size_t count;

    tls_reports_note(reports, &good);
    other.lines = S("version: STSv1\nmode: testing\nmax_age: 86400");
    tls_reports_note(reports, &other);
    CHECK(tls_reports_flush(reports) == OK);
    CHECK(tls_reports_read(reports, only_domain(reports, "far.example").id, &arena, &policies,
                           &count) == OK &&
          count == 2);
    CHECK(fiber_sleep(DAYS(1)) == OK);
    tls_reports_note(reports, &good);
    CHECK(tls_reports_flush(reports) == OK);
    CHECK(tls_reports_domains(reports, 0, NEVER, S(""), 10, &arena, &domains, &count) == OK &&
          count == 2);
    CHECK(domains[0].end == domains[1].begin && domains[0].begin % DAYS(1) == 0);
    CHECK(tls_reports_due_domains(reports, clock_now(), 10, &arena, &domains, &count) == OK &&
          count == 1);
    tls_reports_close(reports);
}

static void
kinds_of_failure_beyond_the_ceiling_are_one(void)
{
    struct tls_reports *reports = open_reports();
    struct tlsrpt_policy *policies;
    uint64_t sum = 0, rest = 0;
    size_t count;
    char host[40];

    for (unsigned i = 0; i < 3 * TLS_REPORTS_FAILURES_MAX; i++) {
        struct tls_session session;
        snprintf(host, sizeof(host), "mx%u.far.example", i);
        session = failed(TLSRPT_VALIDATION_FAILURE, host, "no shared cipher");
        tls_reports_note(reports, &session);
        if (i % 10 == 0)
            CHECK(tls_reports_flush(reports) == OK);
    }
    CHECK(tls_reports_flush(reports) == OK);
    CHECK(tls_reports_read(reports, only_domain(reports, "far.example").id, &arena, &policies,
                           &count) == OK);
    CHECK(count == 1 && policies[0].failed == 3 * TLS_REPORTS_FAILURES_MAX);
    CHECK(policies[0].failure_count == TLS_REPORTS_FAILURES_MAX + 1);
    for (size_t i = 0; i < policies[0].failure_count; i++) {
        sum += policies[0].failures[i].count;
        if (!policies[0].failures[i].mx.len)
            rest = policies[0].failures[i].count;
    }
    CHECK(sum == 3 * TLS_REPORTS_FAILURES_MAX && rest == 2 * TLS_REPORTS_FAILURES_MAX);
    tls_reports_close(reports);
}

static void
policies_beyond_the_ceiling_are_one(void)
{
    struct tls_reports *reports = open_reports();
    struct tlsrpt_policy *policies;
    uint64_t sum = 0;
    size_t count;
    char text[80];

    for (unsigned i = 0; i < 3 * TLS_REPORTS_POLICIES_MAX; i++) {
        struct tls_session session = good;
        snprintf(text, sizeof(text), "h%u.far.example", i);
        session.type = TLSRPT_TLSA;
        session.policy_domain = str_from(text);
        session.lines = S("3 1 1 00");
        tls_reports_note(reports, &session);
    }
    CHECK(tls_reports_flush(reports) == OK);
    CHECK(tls_reports_read(reports, only_domain(reports, "far.example").id, &arena, &policies,
                           &count) == OK);
    CHECK(count == TLS_REPORTS_POLICIES_MAX + 1);
    for (size_t i = 0; i < count; i++)
        sum += policies[i].succeeded;
    CHECK(sum == 3 * TLS_REPORTS_POLICIES_MAX);
    tls_reports_close(reports);
}

static void
a_long_policy_is_cut_at_a_line(void)
{
    static char lines[2 * TLS_REPORTS_POLICY_TEXT_MAX];
    struct tls_reports *reports = open_reports();
    struct tls_session session = good;
    struct tlsrpt_policy *policies;
    size_t count;

    for (size_t i = 0; i < sizeof(lines); i++)
        lines[i] = i % 10 == 9 ? '\n' : 'x';
    session.lines = (str){ lines, sizeof(lines) };
    tls_reports_note(reports, &session);
    CHECK(tls_reports_flush(reports) == OK);
    CHECK(tls_reports_read(reports, only_domain(reports, "far.example").id, &arena, &policies,
                           &count) == OK);
    CHECK(policies[0].lines.len == TLS_REPORTS_POLICY_TEXT_MAX / 10 * 10 - 1);
    tls_reports_close(reports);
}

static void
domains_between_two_writes_are_bounded(void)
{
    struct tls_reports *reports = open_reports();
    struct tlsrpt_policy *policies;
    struct tls_domain *domains;
    size_t count = 0;
    char name[40];

    for (unsigned i = 0; i < TLS_REPORTS_UNSAVED_MAX + 50; i++) {
        struct tls_session session = { .type = TLSRPT_NO_POLICY };
        snprintf(name, sizeof(name), "d%u.example", i);
        session.domain = str_from(name);
        tls_reports_note(reports, &session);
    }
    CHECK(tls_reports_flush(reports) == OK);
    CHECK(tls_reports_domains(reports, 0, NEVER, S(""), 2 * TLS_REPORTS_UNSAVED_MAX, &arena,
                              &domains, &count) == OK);
    CHECK(count == TLS_REPORTS_UNSAVED_MAX + 1 && domains[0].name.len == 0);
    CHECK(tls_reports_read(reports, domains[0].id, &arena, &policies, &count) == OK);
    CHECK(policies[0].succeeded == 50);
    tls_reports_close(reports);
}

static void
a_domain_without_a_record_is_forgotten(void)
{
    struct tls_reports *reports = open_reports();
    struct tls_decision decision = {};
    struct tls_domain *domains;
    instant next;
    size_t count;

    tls_reports_note(reports, &good);
    CHECK(tls_reports_flush(reports) == OK);
    CHECK(tls_reports_next(reports, &next) == OK && next > clock_now());
    decision.domain = only_domain(reports, "far.example").id;
    CHECK(tls_reports_decide(reports, clock_now(), &decision, 1) == OK);
    CHECK(tls_reports_domains(reports, 0, NEVER, S(""), 10, &arena, &domains, &count) == OK);
    CHECK(count == 0 && tls_reports_next(reports, &next) == OK && next == 0);
    tls_reports_close(reports);
}

static void
a_report_is_made_once_and_what_comes_late_is_not_in_it(void)
{
    struct tls_reports *reports = open_reports();
    struct tls_decision decision = { .uris = { S("mailto:a@far.example"), S("https://b.example/") },
                                     .uri_count = 2,
                                     .report_id = S("1@here.example") };
    struct tls_report_row *rows;
    size_t count;

    tls_reports_note(reports, &good);
    CHECK(tls_reports_flush(reports) == OK);
    decision.domain = only_domain(reports, "far.example").id;
    CHECK(tls_reports_decide(reports, clock_now(), &decision, 1) == OK);
    CHECK(tls_reports_decide(reports, clock_now(), &decision, 1) == OK);
    tls_reports_note(reports, &good);
    CHECK(tls_reports_flush(reports) == OK);
    CHECK(tls_reports_due(reports, clock_now(), false, 10, &arena, &rows, &count) == OK);
    CHECK(count == 2 && rows[0].succeeded == 1);
    rows[0].state = TLS_REPORT_SENDING;
    rows[1].state = TLS_REPORT_SENT;
    CHECK(tls_reports_mark(reports, clock_now(), &rows[0]) == OK);
    CHECK(tls_reports_mark(reports, clock_now(), &rows[1]) == OK);
    CHECK(tls_reports_due(reports, clock_now(), false, 10, &arena, &rows, &count) == OK);
    CHECK(count == 0);
    CHECK(tls_reports_due(reports, clock_now(), true, 10, &arena, &rows, &count) == OK);
    CHECK(count == 1 && rows[0].state == TLS_REPORT_SENDING);
    CHECK(tls_reports_list(reports, S("far.example"), 10, &arena, &rows, &count) == OK);
    CHECK(count == 2);
    CHECK(fiber_sleep(DAYS(40)) == OK && tls_reports_expire(reports, clock_now()) == OK);
    CHECK(tls_reports_list(reports, S(""), 10, &arena, &rows, &count) == OK && count == 0);
    tls_reports_close(reports);
}

static bool
is_public(const char *text)
{
    ipaddr addr;

    CHECK(ipaddr_parse(str_from(text), &addr));
    return https_is_public(addr);
}

static void
private_networks_are_not_posted_to(void)
{
    CHECK(!is_public("127.0.0.1") && !is_public("10.1.2.3") && !is_public("192.168.1.1"));
    CHECK(!is_public("169.254.169.254") && !is_public("172.31.0.1") && !is_public("0.0.0.0"));
    CHECK(!is_public("::1") && !is_public("::") && !is_public("fe80::1") && !is_public("fd00::1"));
    CHECK(!is_public("::ffff:127.0.0.1") && !is_public("255.255.255.255"));
    CHECK(is_public("9.9.9.9") && is_public("172.32.0.1") && is_public("2606:4700::1111"));
}

/* Says nothing, for hours. */
static void
keep_silent(void *arg, struct stream *mine)
{
    OWN(stream) stream = mine;

    (void)arg;
    CHECK(fiber_sleep(HOURS(2)) == OK);
}

static void
a_place_that_is_silent_is_waited_for_once(void)
{
    struct listener_options options = { .name = "silent" };
    struct tlsrpt_rua rua = { .host = S("silent.example"), .port = 443, .target = S("/") };
    struct tls_posting posting = { .rua = &rua, .timeout = SECONDS(60) };
    struct listener *listeners[4];
    struct dns_record record = {};
    char answer[TLS_POSTING_TEXT_MAX];
    struct why why = {};
    instant before;

    CHECK(tls_client_new(NULL, &posting.context, &why) == OK);
    for (unsigned i = 0; i < COUNT_OF(listeners); i++) {
        struct endpoint at = { ipaddr_from_v4(0x08080801 + i), 443 };
        record.addr = at.addr;
        sim_dns_add("silent.example", DNS_A, &record, false);
        CHECK(listener_start_sim(&at, &options, keep_silent, NULL, &listeners[i]) == OK);
    }
    before = clock_steady();
    CHECK(tls_report_post(&posting, &arena, answer) != OK);
    CHECK(clock_steady() - before <= SECONDS(61));
    for (unsigned i = 0; i < COUNT_OF(listeners); i++)
        listener_stop(listeners[i], deadline_in(HOURS(3)));
    tls_context_unref(posting.context);
    sim_dns_clear();
}

static void
what_is_old_is_forgotten_however_much_it_is(void)
{
    struct tls_reports *reports = open_reports();
    struct tls_domain *domains;
    size_t count = 0;
    char name[40];

    for (unsigned i = 0; i < 350; i++) {
        struct tls_session session = { .type = TLSRPT_NO_POLICY };
        snprintf(name, sizeof(name), "d%u.example", i);
        session.domain = str_from(name);
        tls_reports_note(reports, &session);
    }
    CHECK(tls_reports_flush(reports) == OK && tls_reports_expire(reports, clock_now()) == OK);
    CHECK(tls_reports_domains(reports, 0, NEVER, S(""), 1000, &arena, &domains, &count) == OK);
    CHECK(count == 350);
    CHECK(fiber_sleep(TLS_REPORTS_KEEP + DAYS(1)) == OK);
    CHECK(tls_reports_expire(reports, clock_now()) == OK);
    CHECK(tls_reports_domains(reports, 0, NEVER, S(""), 1000, &arena, &domains, &count) == OK);
    CHECK(count == 0);
    tls_reports_close(reports);
}

/* What the report says of a session of a message that asks WISH, under PLAN. */
static size_t
sessions_told(enum tls_wish wish, struct secure_plan plan)
{
    static struct queue queue;
    static struct runner runner;
    static struct attempt a;
    static struct smtp_failure failure;
    struct tls_domain *domains = NULL;
    struct config config = { .delivery.tls = RELAY_TLS_MAY };
    size_t count = 0;

    queue.tls_reports = open_reports();
    runner = (struct runner){ .queue = &queue, .config = &config };
    a = (struct attempt){
        .runner = &runner, .route.kind = ROUTE_MX, .envelope.tls_wish = wish, .plan = plan
    };
    require_plan(&a, &a.plan);
    attempt_note_tls(&a, &failure);
    CHECK(tls_reports_flush(queue.tls_reports) == OK);
    CHECK(tls_reports_domains(queue.tls_reports, 0, NEVER, S(""), 10, &arena, &domains, &count) ==
          OK);
    CHECK(count == 0 ||
          tls_reports_decide(queue.tls_reports, clock_now(),
                             &(struct tls_decision){ .domain = domains[0].id }, 1) == OK);
    tls_reports_close(queue.tls_reports);
    return count;
}

/* Under a policy that was set aside nothing was proven: a success by it would be a lie. */
static void
a_session_that_set_the_policy_aside_is_not_told(void)
{
    struct sts_known known = { .has_policy = true, .policy.mode = STS_ENFORCE };
    struct secure_plan plan = { .demand = SECURE_NAME,
                                .enforced = SECURE_NAME,
                                .by = SECURE_BY_STS,
                                .sts = &known,
                                .domain = S("far.example"),
                                .host = S("mx.far.example") };

    CHECK(sessions_told(TLS_AS_USUAL, plan) == 1);
    CHECK(sessions_told(TLS_OPTIONAL, plan) == 0);
    plan.by = SECURE_BY_NOTHING;
    plan.demand = plan.enforced = SECURE_MAY;
    plan.sts = NULL;
    CHECK(sessions_told(TLS_OPTIONAL, plan) == 1);
}

#define STORY(story)                                                                               \
    static void story##_told(void)                                                                 \
    {                                                                                              \
        tell(story);                                                                               \
    }
STORY(a_file_that_is_no_database_is_put_aside)
STORY(counts_survive)
STORY(a_session_that_set_the_policy_aside_is_not_told)
STORY(policies_and_days_are_kept_apart)
STORY(kinds_of_failure_beyond_the_ceiling_are_one)
STORY(policies_beyond_the_ceiling_are_one)
STORY(a_long_policy_is_cut_at_a_line)
STORY(domains_between_two_writes_are_bounded)
STORY(a_domain_without_a_record_is_forgotten)
STORY(a_report_is_made_once_and_what_comes_late_is_not_in_it)
STORY(a_place_that_is_silent_is_waited_for_once)
STORY(what_is_old_is_forgotten_however_much_it_is)

int
main(void)
{
    RUN(private_networks_are_not_posted_to);
    RUN(a_file_that_is_no_database_is_put_aside_told);
    RUN(counts_survive_told);
    RUN(a_session_that_set_the_policy_aside_is_not_told_told);
    RUN(policies_and_days_are_kept_apart_told);
    RUN(kinds_of_failure_beyond_the_ceiling_are_one_told);
    RUN(policies_beyond_the_ceiling_are_one_told);
    RUN(a_long_policy_is_cut_at_a_line_told);
    RUN(domains_between_two_writes_are_bounded_told);
    RUN(a_domain_without_a_record_is_forgotten_told);
    RUN(a_report_is_made_once_and_what_comes_late_is_not_in_it_told);
    RUN(a_place_that_is_silent_is_waited_for_once_told);
    RUN(what_is_old_is_forgotten_however_much_it_is_told);
    return check_end();
}
