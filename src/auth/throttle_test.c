/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* throttle_test.c: who is slowed and locked, and who is not. */
#include "auth/throttle.h"

#include "check.h"

#define START HOURS(1)

static struct throttle *throttle;

static ipaddr
ip(const char *text)
{
    ipaddr addr = { 0 };

    CHECK(ipaddr_parse(str_from(text), &addr));
    return addr;
}

static struct throttle_verdict
check(const char *account, const char *client, instant now)
{
    struct throttle_verdict verdict;

    throttle_check(throttle, str_from(account), ip(client), now, &verdict);
    return verdict;
}

static void
fail(const char *account, const char *client, uint64_t secret, instant now)
{
    throttle_failed(throttle, str_from(account), ip(client), secret, now);
}

static void
begin(void)
{
    throttle_free(throttle);
    throttle = throttle_new(7);
}

static void
an_old_phone_with_one_wrong_password_locks_nobody(void)
{
    begin();
    for (int i = 0; i < 5000; i++)
        fail("ann@example.org", "192.0.2.10", 42, START + SECONDS(10) * i);
    CHECK(!check("ann@example.org", "192.0.2.10", START + SECONDS(50001)).locked);
    CHECK(check("ann@example.org", "192.0.2.10", START + SECONDS(50001)).delay == 0);
    CHECK(!check("bob@example.org", "192.0.2.11", START + SECONDS(50001)).locked);
}

static void
different_wrong_passwords_slow_then_lock_then_free(void)
{
    struct throttle_state state;
    duration last = 0;

    begin();
    for (uint64_t i = 1; i < THROTTLE_PAIR_MAX; i++) {
        fail("ann@example.org", "192.0.2.10", i, START);
        CHECK(!check("ann@example.org", "192.0.2.10", START).locked);
        CHECK(check("ann@example.org", "192.0.2.10", START).delay >= last);
        last = check("ann@example.org", "192.0.2.10", START).delay;
    }
    CHECK(last >= SECONDS(1));
    fail("ann@example.org", "192.0.2.10", 99, START);
    CHECK(check("ANN@example.org", "192.0.2.77", START).locked); /* The same /24. */
    CHECK(check("ann@example.org", "192.0.2.10", START).retry_after == THROTTLE_LOCK);
    CHECK(!check("ann@example.org", "198.51.100.1", START).locked);
    CHECK(!check("bob@example.org", "192.0.2.10", START).locked);
    throttle_state(throttle, S("ann@example.org"), START, &state);
    CHECK(state.locked && state.retry_after == THROTTLE_LOCK);
    CHECK(state.wrong_secrets == THROTTLE_PAIR_MAX);
    CHECK(!check("ann@example.org", "192.0.2.10", START + THROTTLE_LOCK).locked);
    /* The next lock is longer. */
    for (uint64_t i = 1; i <= THROTTLE_PAIR_MAX; i++)
        fail("ann@example.org", "192.0.2.10", 100 + i, START + THROTTLE_LOCK);
    CHECK(check("ann@example.org", "192.0.2.10", START + THROTTLE_LOCK).retry_after ==
          2 * THROTTLE_LOCK);
}

static void
guesses_from_everywhere_do_not_lock_the_owner_out(void)
{
    char client[32];

    begin();
    throttle_succeeded(throttle, S("ann@example.org"), ip("203.0.113.5"), START);
    for (unsigned i = 0; i < THROTTLE_ACCOUNT_MAX; i++) {
        snprintf(client, sizeof(client), "10.0.%u.1", i);
        fail("ann@example.org", client, 1000 + i, START + SECONDS(1));
    }
    CHECK(check("ann@example.org", "10.1.1.1", START + SECONDS(2)).locked);
    CHECK(!check("ann@example.org", "203.0.113.5", START + SECONDS(2)).locked);
    CHECK(!check("bob@example.org", "10.1.1.1", START + SECONDS(2)).locked);
}

static void
many_accounts_tried_from_one_network_lock_it_for_strangers(void)
{
    char account[32];

    begin();
    throttle_succeeded(throttle, S("ann@example.org"), ip("2001:db8:1:2::1"), START);
    for (unsigned i = 0; i < THROTTLE_NETWORK_MAX; i++) {
        snprintf(account, sizeof(account), "user%u@example.org", i);
        fail(account, "2001:db8:1:9::1", 500 + i, START);
    }
    CHECK(check("new@example.org", "2001:db8:1:7::9", START).locked); /* The same /48. */
    CHECK(!check("ann@example.org", "2001:db8:1:2::1", START).locked);
    CHECK(!check("new@example.org", "2001:db8:2::1", START).locked);
}

static void
success_and_time_and_an_administrator_forget(void)
{
    struct throttle_state state;

    begin();
    for (uint64_t i = 1; i < THROTTLE_PAIR_MAX; i++)
        fail("ann@example.org", "192.0.2.10", i, START);
    throttle_succeeded(throttle, S("ann@example.org"), ip("192.0.2.10"), START);
    CHECK(check("ann@example.org", "192.0.2.10", START).delay == 0);
    for (uint64_t i = 1; i < THROTTLE_PAIR_MAX; i++)
        fail("bob@example.org", "192.0.2.10", i, START);
    fail("bob@example.org", "192.0.2.10", 77, START + THROTTLE_WINDOW + SECONDS(1));
    CHECK(!check("bob@example.org", "192.0.2.10", START + THROTTLE_WINDOW + SECONDS(1)).locked);
    for (uint64_t i = 1; i <= THROTTLE_PAIR_MAX; i++)
        fail("eve@example.org", "192.0.2.10", i, START);
    CHECK(check("eve@example.org", "192.0.2.10", START).locked);
    throttle_unlock(throttle, S("eve@example.org"));
    CHECK(!check("eve@example.org", "192.0.2.10", START).locked);
    throttle_state(throttle, S("eve@example.org"), START, &state);
    CHECK(!state.locked && state.wrong_secrets == 0);
}

static void
unknown_secrets_count_each_time(void)
{
    begin();
    for (int i = 0; i < THROTTLE_PAIR_MAX; i++)
        fail("ann@example.org", "192.0.2.10", 0, START);
    CHECK(check("ann@example.org", "192.0.2.10", START).locked);
}

static void
a_flood_of_names_does_not_free_who_is_locked(void)
{
    char account[48];

    begin();
    for (uint64_t i = 1; i <= THROTTLE_PAIR_MAX; i++)
        fail("ann@example.org", "192.0.2.10", i, START);
    for (unsigned i = 0; i < 200000; i++) {
        snprintf(account, sizeof(account), "flood%u@example.org", i);
        fail(account, "198.51.100.9", i + 1, START + SECONDS(1));
    }
    CHECK(check("ann@example.org", "192.0.2.10", START + SECONDS(2)).locked);
}

int
main(void)
{
    RUN(an_old_phone_with_one_wrong_password_locks_nobody);
    RUN(different_wrong_passwords_slow_then_lock_then_free);
    RUN(guesses_from_everywhere_do_not_lock_the_owner_out);
    RUN(many_accounts_tried_from_one_network_lock_it_for_strangers);
    RUN(success_and_time_and_an_administrator_forget);
    RUN(unknown_secrets_count_each_time);
    RUN(a_flood_of_names_does_not_free_who_is_locked);
    throttle_free(throttle);
    return check_end();
}
