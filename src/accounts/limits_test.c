/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* limits_test.c: rolling limits, reservations, and what survives a restart. */
#include "accounts/limits.h"
#include "accounts/account.h"
#include "runtime/clock.h"
#include "store/temp_dir.h"

#include "check.h"

static struct temp_dir dir;
static struct accounts *accounts;
static struct limits *limits;
static int64_t ann;
static int64_t bob;
static instant now;

static void
begin(const char *ann_preset, const char *domain_preset, const struct limits_rules *system)
{
    now = clock_now();
    temp_dir_make(&dir);
    CHECK(accounts_open(temp_dir_file(&dir, "directory.db"), &accounts, NULL) == OK);
    CHECK(accounts_add(accounts, S("ann@example.org"), S(""), &ann, NULL) == OK);
    CHECK(accounts_add(accounts, S("bob@example.org"), S(""), &bob, NULL) == OK);
    CHECK(accounts_set_limit(accounts, S("ann@example.org"), str_from(ann_preset), NULL) == OK);
    CHECK(accounts_set_domain_limit(accounts, S("example.org"), str_from(domain_preset), NULL) ==
          OK);
    CHECK(limits_open(accounts, system, NULL, &limits, NULL) == OK);
}

static void
end(void)
{
    limits_close(limits);
    accounts_close(accounts);
    temp_dir_remove(&dir);
}

static struct limits_verdict
send_to(int64_t account, const char *recipient)
{
    struct limits_ticket *ticket;
    struct limits_verdict verdict;

    CHECK(limits_begin(limits, account, now, &ticket, &verdict) == OK);
    if (verdict.state)
        return verdict;
    CHECK(limits_add_recipient(ticket, str_from(recipient), now, &verdict) == OK);
    if (verdict.state)
        limits_cancel(ticket);
    else
        limits_commit(ticket, now);
    return verdict;
}

static void
messages_of_a_day_are_counted_and_leave_after_it(void)
{
    struct limits_verdict verdict;
    struct limits_usage usage;

    begin("gmail", "", NULL);
    for (int i = 0; i < 500; i++) {
        CHECK(send_to(ann, "x@elsewhere.example").state == LIMITS_OK);
        if (i == 249)
            now += HOURS(12);
    }
    verdict = send_to(ann, "x@elsewhere.example");
    CHECK(verdict.state == LIMITS_MESSAGES && verdict.scope == LIMITS_ACCOUNT);
    CHECK(verdict.used == 500 && verdict.limit == 500);
    CHECK(verdict.free_at > now + HOURS(12) - MINUTES(1));
    CHECK(verdict.free_at <= now + HOURS(12) + MINUTES(10));
    CHECK(send_to(bob, "x@elsewhere.example").state == LIMITS_OK);
    limits_usage(limits, ann, now, &usage);
    CHECK(usage.messages == 500 && usage.restricted && usage.restricted_until == verdict.free_at);
    CHECK_STR(str_from(usage.preset), "gmail");
    now = verdict.free_at - SECONDS(1);
    CHECK(send_to(ann, "x@elsewhere.example").state == LIMITS_MESSAGES);
    now = verdict.free_at;
    CHECK(send_to(ann, "x@elsewhere.example").state == LIMITS_OK);
    limits_usage(limits, ann, now, &usage);
    CHECK(usage.messages == 251 && !usage.restricted);
    end();
}

static void
recipients_of_one_message_are_limited(void)
{
    struct limits_ticket *ticket;
    struct limits_verdict verdict;

    begin("gmail", "", NULL);
    CHECK(limits_recipients_max(limits, ann) == 100);
    CHECK(limits_recipients_max(limits, bob) == 0);
    CHECK(limits_begin(limits, ann, now, &ticket, &verdict) == OK);
    for (int i = 0; i < 100; i++) {
        CHECK(limits_add_recipient(ticket, S("x@elsewhere.example"), now, &verdict) == OK);
        CHECK(verdict.state == LIMITS_OK);
    }
    CHECK(limits_add_recipient(ticket, S("x@elsewhere.example"), now, &verdict) == OK);
    CHECK(verdict.state == LIMITS_RECIPIENTS && verdict.limit == 100);
    limits_commit(ticket, now);
    end();
}

static void
parallel_sessions_cannot_pass_the_limit_together(void)
{
    static struct limits_ticket *tickets[500];
    struct limits_ticket *late;
    struct limits_verdict verdict;

    begin("gmail", "", NULL);
    for (int i = 0; i < 500; i++) {
        CHECK(limits_begin(limits, ann, now, &tickets[i], &verdict) == OK);
        CHECK(verdict.state == LIMITS_OK);
    }
    CHECK(limits_begin(limits, ann, now, &late, &verdict) == OK);
    CHECK(verdict.state == LIMITS_MESSAGES && late == NULL);
    CHECK(verdict.free_at > now && verdict.free_at <= now + MINUTES(10));
    limits_cancel(tickets[0]);
    CHECK(limits_begin(limits, ann, now, &tickets[0], &verdict) == OK);
    CHECK(verdict.state == LIMITS_OK);
    for (int i = 0; i < 500; i++)
        limits_cancel(tickets[i]);
    end();
}

static void
new_recipients_are_counted_once_for_ever(void)
{
    char recipient[48];

    begin("small-host", "", NULL);
    for (int i = 0; i < 200; i++) {
        snprintf(recipient, sizeof(recipient), "user%d@elsewhere.example", i);
        CHECK(send_to(ann, recipient).state == LIMITS_OK);
    }
    CHECK(send_to(ann, "one.more@elsewhere.example").state == LIMITS_FIRST_TIME);
    CHECK(send_to(ann, "USER7@elsewhere.example").state == LIMITS_OK);
    now += HOURS(25);
    CHECK(send_to(ann, "one.more@elsewhere.example").state == LIMITS_OK);
    end();
}

static void
counts_survive_a_restart(void)
{
    struct limits_usage usage;

    begin("small-host", "", NULL);
    CHECK(send_to(ann, "a@elsewhere.example").state == LIMITS_OK);
    CHECK(send_to(ann, "b@elsewhere.example").state == LIMITS_OK);
    CHECK(limits_flush(limits) == OK);
    CHECK(send_to(ann, "b@elsewhere.example").state == LIMITS_OK);
    limits_close(limits);
    CHECK(limits_open(accounts, NULL, NULL, &limits, NULL) == OK);
    CHECK(send_to(ann, "b@elsewhere.example").state == LIMITS_OK);
    limits_usage(limits, ann, now, &usage);
    CHECK(usage.messages == 4 && usage.recipients == 4 && usage.first_time == 2);
    limits_usage_domain(limits, S("example.org"), now, &usage);
    CHECK(usage.messages == 4);
    limits_usage_system(limits, now, &usage);
    CHECK(usage.messages == 4);
    end();
}

static void
a_domain_and_the_system_have_limits_of_their_own(void)
{
    static const struct limits_rules three = { "three", 50, 3, 0 };

    begin("", "gmail", &three);
    CHECK(limits_recipients_max(limits, ann) == 50);
    CHECK(send_to(ann, "a@elsewhere.example").state == LIMITS_OK);
    CHECK(send_to(bob, "a@elsewhere.example").state == LIMITS_OK);
    CHECK(send_to(0, "a@elsewhere.example").state == LIMITS_OK);
    CHECK(send_to(ann, "a@elsewhere.example").state == LIMITS_MESSAGES);
    CHECK(send_to(ann, "a@elsewhere.example").scope == LIMITS_SYSTEM);
    CHECK(send_to(0, "a@elsewhere.example").scope == LIMITS_SYSTEM);
    end();
}

static void
presets_have_the_figures_that_people_know(void)
{
    CHECK(limits_preset(S("gmail"))->recipients_per_message == 100);
    CHECK(limits_preset(S("gmail"))->messages_per_day == 500);
    CHECK(limits_preset(S("workspace"))->messages_per_day == 2000);
    CHECK(limits_preset(S("small-host"))->first_time_per_day == 200);
    CHECK(limits_preset(S("unlimited"))->messages_per_day == 0);
    CHECK(limits_preset(S("other")) == NULL);
    CHECK(limits_preset_at(0) && !limits_preset_at(4));
}

int
main(void)
{
    RUN(messages_of_a_day_are_counted_and_leave_after_it);
    RUN(recipients_of_one_message_are_limited);
    RUN(parallel_sessions_cannot_pass_the_limit_together);
    RUN(new_recipients_are_counted_once_for_ever);
    RUN(counts_survive_a_restart);
    RUN(a_domain_and_the_system_have_limits_of_their_own);
    RUN(presets_have_the_figures_that_people_know);
    return check_end();
}
