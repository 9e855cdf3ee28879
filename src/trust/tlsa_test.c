/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* tlsa_test.c: which TLSA records serve for SMTP. */
#include "trust/tlsa.h"

#include "check.h"

#include <string.h>

static char data[TLSA_RECORDS_MAX * 2][80];
static struct dns_record records[TLSA_RECORDS_MAX * 2];

static void
put(size_t at, char usage, char selector, char matching, size_t len)
{
    data[at][0] = usage;
    data[at][1] = selector;
    data[at][2] = matching;
    memset(data[at] + 3, 'x', len);
    records[at].data = (str){ data[at], 3 + len };
}

static size_t
usable(size_t count)
{
    struct tlsa_set set;

    tlsa_usable(records, count, &set);
    return set.count;
}

static void
the_usages_for_mail_are_two_and_three(void)
{
    for (char usage = 0; usage < 6; usage++) {
        put(0, usage, 1, 1, 32);
        CHECK(usable(1) == (usage == 2 || usage == 3));
    }
}

static void
a_digest_has_its_length(void)
{
    put(0, 3, 1, 1, 31);
    CHECK(usable(1) == 0);
    put(0, 3, 1, 2, 64);
    CHECK(usable(1) == 1);
    put(0, 3, 1, 0, 0);
    CHECK(usable(1) == 0);
    put(0, 3, 1, 3, 32);
    CHECK(usable(1) == 0);
    put(0, 3, 2, 1, 32);
    CHECK(usable(1) == 0);
}

static void
those_that_serve_are_kept_beside_those_that_do_not(void)
{
    put(0, 0, 0, 1, 32);
    put(1, 3, 1, 1, 32);
    put(2, 9, 9, 9, 9);
    CHECK(usable(3) == 1);
}

static void
no_more_than_the_ceiling_are_kept(void)
{
    for (size_t i = 0; i < COUNT_OF(records); i++)
        put(i, 3, 1, 1, 32);
    CHECK(usable(COUNT_OF(records)) == TLSA_RECORDS_MAX);
}

int
main(void)
{
    RUN(the_usages_for_mail_are_two_and_three);
    RUN(a_digest_has_its_length);
    RUN(those_that_serve_are_kept_beside_those_that_do_not);
    RUN(no_more_than_the_ceiling_are_kept);
    return check_end();
}
