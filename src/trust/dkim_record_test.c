/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* dkim_record_test.c: which records publish the same key. */
#include "trust/dkim_record.h"

#include "check.h"

static void
two_records_are_the_same_when_their_keys_are(void)
{
    CHECK(dkim_record_same(S("v=DKIM1; k=rsa; p=AbC="), S("p=AbC=")));
    CHECK(dkim_record_same(S("v=DKIM1; p=A bC\t=\r\n ; t=s"), S("v=DKIM1;k=rsa;p=AbC=;")));
    CHECK(!dkim_record_same(S("v=DKIM1; p=abC="), S("v=DKIM1; p=AbC=")));
    CHECK(!dkim_record_same(S("v=DKIM1; p=AbC=="), S("v=DKIM1; p=AbC=")));
}

static void
an_empty_key_is_nobodys(void)
{
    CHECK(!dkim_record_same(S("v=DKIM1; p="), S("v=DKIM1; p=")));
    CHECK(!dkim_record_same(S("v=DKIM1; p= ;"), S("v=DKIM1; p=x")));
    CHECK(!dkim_record_same(S(""), S("")));
}

static void
what_is_no_record_of_dkim_has_no_key(void)
{
    static const char *const bad[] = {
        "v=spf1 -all", "v=DKIM2; p=x", "k=rsa; v=DKIM1; p=x", "just words; p=x", "v=DKIM1; k=rsa",
    };
    str key;

    for (size_t i = 0; i < COUNT_OF(bad); i++)
        CHECK(!dkim_record_key(str_from(bad[i]), &key));
    CHECK(dkim_record_key(S("v=DKIM1; n=; p=x=;"), &key));
    CHECK_STR(key, "x=");
}

int
main(void)
{
    RUN(two_records_are_the_same_when_their_keys_are);
    RUN(an_empty_key_is_nobodys);
    RUN(what_is_no_record_of_dkim_has_no_key);
    return check_end();
}
