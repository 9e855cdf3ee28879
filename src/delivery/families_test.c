/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* families_test.c: which family of addresses is broken at a site, and until when. */
#include "delivery/families.h"

#include "check.h"

#include <string.h>

static struct families table;
static const instant now = SECONDS(1000000);

static void
what_broke_is_remembered_for_an_hour(void)
{
    memset(&table, 0, sizeof(table));
    CHECK(!families_is_broken(&table, S("mx.example"), false, now));
    families_note_broken(&table, S("mx.example"), false, now);
    CHECK(families_is_broken(&table, S("mx.example"), false, now + MINUTES(59)));
    CHECK(!families_is_broken(&table, S("mx.example"), false, now + HOURS(1)));
}

static void
each_family_of_each_site_stands_alone(void)
{
    memset(&table, 0, sizeof(table));
    families_note_broken(&table, S("mx.example"), false, now);
    CHECK(!families_is_broken(&table, S("mx.example"), true, now));
    CHECK(!families_is_broken(&table, S("other.example"), false, now));
}

static void
what_works_again_is_forgotten(void)
{
    memset(&table, 0, sizeof(table));
    families_note_broken(&table, S("mx.example"), true, now);
    families_note_working(&table, S("mx.example"), true);
    CHECK(!families_is_broken(&table, S("mx.example"), true, now));
}

static void
many_sites_only_forget(void)
{
    char name[32];
    size_t remembered = 0;

    memset(&table, 0, sizeof(table));
    for (int i = 0; i < 5000; i++) {
        snprintf(name, sizeof(name), "mx%d.example", i);
        families_note_broken(&table, str_from(name), false, now);
        CHECK(families_is_broken(&table, str_from(name), false, now));
    }
    for (int i = 0; i < 5000; i++) {
        snprintf(name, sizeof(name), "mx%d.example", i);
        remembered += families_is_broken(&table, str_from(name), false, now);
        snprintf(name, sizeof(name), "not%d.example", i);
        CHECK(!families_is_broken(&table, str_from(name), false, now));
    }
    CHECK(remembered > 500 && remembered <= FAMILIES_SLOTS);
}

int
main(void)
{
    RUN(what_broke_is_remembered_for_an_hour);
    RUN(each_family_of_each_site_stands_alone);
    RUN(what_works_again_is_forgotten);
    RUN(many_sites_only_forget);
    return check_end();
}
