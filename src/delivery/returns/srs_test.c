/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* srs_test.c: there and back, the forms of other forwarders, and what is not believed. */
#include "delivery/returns/srs.h"

#include "formats/address.h"
#include "store/temp_dir.h"
#include "trust/token.h"

#include "check.h"

#include <string.h>
#include <sys/stat.h>

static const instant day_one = SECONDS(1764201600LL);

static struct temp_dir dir;
static struct secrets *secrets;
static struct arena arena;

static void
begin(void)
{
    /* A key of its own, so that addresses can be written down here. */
    static const char key[] = "outpost-secrets 1\n1764201600 "
                              "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n";
    struct why why = { "" };
    FILE *file;

    temp_dir_make(&dir);
    file = fopen(temp_dir_file(&dir, "secrets"), "w");
    must(file && fputs(key, file) >= 0 && fclose(file) == 0);
    must(chmod(temp_dir_file(&dir, "secrets"), 0600) == 0);
    if (secrets_open(temp_dir_file(&dir, "secrets"), day_one, &secrets, &why))
        printf("secrets_open: %s\n", why.text);
    must(secrets);
    arena_init(&arena, 1 << 16);
}

static void
end(void)
{
    arena_done(&arena);
    secrets_close(take(secrets));
    temp_dir_remove(&dir);
}

static enum err
forward(const char *sender, str *made)
{
    struct address address;

    must(address_parse(str_from(sender), &arena, &address) == OK);
    return srs_rewrite(secrets, &address, S("here.example"), day_one, &arena, made);
}

static enum err
back(str address, instant now, str *original)
{
    struct address parsed;

    must(address_parse(address, &arena, &parsed) == OK);
    return srs_back(secrets, parsed.local, now, &arena, original);
}

static void
a_sender_goes_there_and_back(void)
{
    static const char *const senders[] = {
        "ann@example.net",     "ann+tag@example.net", "a=b@example.net",
        "\"a b\"@example.net", "Ann.Lee@Example.Net", "prvs=12345-ann@example.net",
    };
    str made, original;

    begin();
    for (size_t i = 0; i < COUNT_OF(senders); i++) {
        CHECK(forward(senders[i], &made) == OK);
        CHECK(str_ends(made, S("@here.example")));
        CHECK(back(made, day_one + DAYS(20), &original) == OK);
        CHECK_STR(original, senders[i]);
    }
    end();
}

static void
the_form_is_the_classic_one(void)
{
    str made;

    begin();
    CHECK(forward("ann@example.net", &made) == OK);
    CHECK_STR(made, "SRS0=ihz3l64t=6D=example.net=ann@here.example");
    CHECK(forward("SRS0=ABCD=EF=a.example=bob@first.example", &made) == OK);
    CHECK_STR(made, "SRS1=p2m3h3i5=first.example==ABCD=EF=a.example=bob@here.example");
    end();
}

static void
the_second_forwarder_leads_to_the_first(void)
{
    /* Separators as other programs write them. */
    static const char *const first[] = { "SRS0=ABCD=EF=a.example=bob@first.example",
                                         "SRS0+ABCD=EF=a.example=bob@first.example",
                                         "SRS0-ABCD=EF=a.example=bob@first.example" };
    str made, original;

    begin();
    for (size_t i = 0; i < COUNT_OF(first); i++) {
        CHECK(forward(first[i], &made) == OK);
        CHECK(str_starts(made, S("SRS1=")));
        CHECK(back(made, day_one + DAYS(400), &original) == OK);
        CHECK_STR(original, first[i]);
    }
    end();
}

static void
the_third_leads_to_the_first_as_well(void)
{
    str made, original;

    begin();
    CHECK(forward("SRS1=WXYZ=first.example==ABCD=EF=a.example=bob@second.example", &made) == OK);
    CHECK(str_starts(made, S("SRS1=")) && str_find_nocase(made, S("WXYZ")) < 0);
    CHECK(back(made, day_one, &original) == OK);
    CHECK_STR(original, "SRS0=ABCD=EF=a.example=bob@first.example");
    end();
}

static void
folded_case_does_no_harm(void)
{
    char lower[ADDRESS_TEXT_MAX];
    str made, original;

    begin();
    CHECK(forward("Ann@example.net", &made) == OK);
    for (size_t i = 0; i < made.len; i++)
        lower[i] = ascii_lower(made.ptr[i]);
    CHECK(back((str){ lower, made.len }, day_one, &original) == OK);
    CHECK_STR(original, "ann@example.net");
    end();
}

static void
it_is_over_after_three_weeks(void)
{
    str made, original;

    begin();
    CHECK(forward("ann@example.net", &made) == OK);
    CHECK(back(made, day_one + DAYS(SRS_DAYS), &original) == OK);
    CHECK(back(made, day_one + DAYS(SRS_DAYS + 1), &original) == ERR_TIMEOUT);
    CHECK(back(made, day_one - DAYS(1), &original) == OK); /* A clock that is behind. */
    CHECK(back(made, day_one - DAYS(2), &original) == ERR_TIMEOUT);
    end();
}

/* Each letter of the address in turn becomes another one. */
static void
no_letter_can_be_changed(void)
{
    char text[ADDRESS_TEXT_MAX];
    str made, original;
    size_t at;

    begin();
    CHECK(forward("ann@example.net", &made) == OK);
    at = (size_t)str_find_last(made, '@');
    memcpy(text, made.ptr, made.len);
    for (size_t i = 5; i < at; i++) {
        text[i] ^= 1;
        CHECK(srs_back(secrets, (str){ text, at }, day_one, &arena, &original) != OK);
        text[i] ^= 1;
    }
    CHECK(srs_back(secrets, (str){ text, at }, day_one, &arena, &original) == OK);
    end();
}

static void
a_first_is_no_second(void)
{
    str made, original;
    char text[ADDRESS_TEXT_MAX];

    begin();
    CHECK(forward("ann@example.net", &made) == OK);
    memcpy(text, made.ptr, made.len);
    text[3] = '1';
    CHECK(back((str){ text, made.len }, day_one, &original) == ERR_REFUSED);
    end();
}

static void
what_is_none_is_told(void)
{
    static const char *const others[] = { "SRS0",         "SRS0=",
                                          "SRS0=a",       "SRS0=a=b",
                                          "SRS0=a=b=c",   "SRS0=abcdefgh=AA=c=",
                                          "SRS1=a=b",     "SRS1=abcdefgh=",
                                          "SRS2=a=b=c=d", "SRS0xa=b=c=d",
                                          "ann" };
    str original;

    begin();
    for (size_t i = 0; i < COUNT_OF(others); i++)
        CHECK(srs_back(secrets, str_from(others[i]), day_one, &arena, &original) != OK);
    CHECK(!srs_is_one(S("SRS0")) && !srs_is_one(S("SRS2=a")) && srs_is_one(S("srs0=")));
    end();
}

static void
what_would_be_too_long_is_not_made(void)
{
    static const char longest[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa@example.net";
    str made = S("untouched");

    begin();
    CHECK(forward(longest, &made) == OK && str_find(made, '@') == SRS_LOCAL_MAX);
    made = S("untouched");
    CHECK(forward("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa@example.net", &made) == ERR_LIMIT);
    CHECK_STR(made, "untouched");
    end();
}

int
main(void)
{
    RUN(a_sender_goes_there_and_back);
    RUN(the_form_is_the_classic_one);
    RUN(the_second_forwarder_leads_to_the_first);
    RUN(the_third_leads_to_the_first_as_well);
    RUN(folded_case_does_no_harm);
    RUN(it_is_over_after_three_weeks);
    RUN(no_letter_can_be_changed);
    RUN(a_first_is_no_second);
    RUN(what_is_none_is_told);
    RUN(what_would_be_too_long_is_not_made);
    return check_end();
}
