/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* password_test.c: right and wrong ones, the cache, the ceilings. */
#include "auth/password.h"
#include "runtime/clock.h"

#include "check.h"

#include <string.h>

static struct passwords *passwords;

static bool
is_right(int64_t account, const char *hash, const char *password, instant now)
{
    bool right = true;

    CHECK(password_check(passwords, account, str_from(hash), str_from(password), now, &right) ==
          OK);
    return right;
}

static void
a_password_is_known_again_and_no_other(void)
{
    struct password_secret secret;

    CHECK(password_make(passwords, S("correct horse"), &secret) == OK);
    CHECK(str_starts(str_from(secret.hash), S("$argon2id$v=19$m=19456,t=2,p=1$")));
    CHECK(secret.scram.iterations == SCRAM_ITERATIONS);
    CHECK(is_right(1, secret.hash, "correct horse", SECONDS(1)));
    CHECK(!is_right(1, secret.hash, "correct horsf", SECONDS(1)));
    CHECK(!is_right(1, secret.hash, "", SECONDS(1)));
    CHECK(!is_right(0, "", "correct horse", SECONDS(1)));
    CHECK(!is_right(1, "not a hash", "correct horse", SECONDS(1)));
}

/* Two accounts with one password, in every order: the cache must never mix them up. */
static void
the_cache_never_takes_one_account_for_another(void)
{
    struct password_secret ann;
    struct password_secret bob;

    CHECK(password_make(passwords, S("same"), &ann) == OK);
    CHECK(password_make(passwords, S("same too"), &bob) == OK);
    CHECK(is_right(1, ann.hash, "same", SECONDS(1)));
    CHECK(is_right(2, bob.hash, "same too", SECONDS(1)));
    for (int i = 0; i < 2000; i++) {
        bool as_ann = i % 3 == 0;
        bool own = i % 3 == 1 || i % 9 == 0;
        const char *hash = as_ann ? ann.hash : bob.hash;
        if (own)
            CHECK(is_right(as_ann ? 1 : 2, hash, as_ann ? "same" : "same too", SECONDS(2)));
    }
    CHECK(!is_right(2, bob.hash, "same", SECONDS(2)));
    CHECK(!is_right(1, ann.hash, "same too", SECONDS(2)));
}

static void
the_cache_is_quick_and_ends_with_time_or_a_new_password(void)
{
    struct password_secret secret;
    struct password_secret changed;
    instant start;

    CHECK(password_make(passwords, S("one"), &secret) == OK);
    CHECK(is_right(1, secret.hash, "one", SECONDS(1)));
    start = clock_steady();
    for (int i = 0; i < 1000; i++)
        CHECK(is_right(1, secret.hash, "one", SECONDS(2)));
    CHECK(clock_steady() - start < SECONDS(1)); /* 35 s without the cache. */
    CHECK(password_make(passwords, S("two"), &changed) == OK);
    CHECK(!is_right(1, changed.hash, "one", SECONDS(2)));
    start = clock_steady();
    CHECK(is_right(1, secret.hash, "one", MINUTES(6)));
    CHECK(clock_steady() - start > MILLISECONDS(2));
}

static void
ceilings_hold_before_any_hashing(void)
{
    static char large[1 << 20];
    struct password_secret secret;
    instant start = clock_steady();
    bool right = true;

    memset(large, 'x', sizeof(large));
    CHECK(password_make(passwords, (str){ large, sizeof(large) }, &secret) == ERR_LIMIT);
    CHECK(password_make(passwords, S(""), &secret) == ERR_SYNTAX);
    CHECK(password_make(passwords, S("a\0b"), &secret) == ERR_SYNTAX);
    CHECK(password_check(passwords, 1, S(""), (str){ large, sizeof(large) }, 1, &right) == OK);
    CHECK(!right);
    CHECK(clock_steady() - start < MILLISECONDS(100));
}

static void
a_fake_salt_is_the_same_each_time(void)
{
    struct scram_keys a;
    struct scram_keys b;
    struct scram_keys other;

    password_fake_scram(passwords, S("x@example.org"), &a);
    password_fake_scram(passwords, S("x@example.org"), &b);
    password_fake_scram(passwords, S("y@example.org"), &other);
    CHECK(memcmp(a.salt, b.salt, sizeof(a.salt)) == 0);
    CHECK(memcmp(a.salt, other.salt, sizeof(a.salt)) != 0);
    CHECK(a.iterations == SCRAM_ITERATIONS);
}

int
main(void)
{
    passwords = passwords_new(2, MINUTES(5));
    RUN(a_password_is_known_again_and_no_other);
    RUN(the_cache_never_takes_one_account_for_another);
    RUN(the_cache_is_quick_and_ends_with_time_or_a_new_password);
    RUN(ceilings_hold_before_any_hashing);
    RUN(a_fake_salt_is_the_same_each_time);
    passwords_free(passwords);
    return check_end();
}
