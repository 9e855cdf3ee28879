/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* token_test.c: what a token proves, what one bit undoes, and the life of the keys. */
#include "trust/token.h"

#include "store/temp_dir.h"

#include "check.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const instant day_one = SECONDS(1764201600LL);

static struct temp_dir dir;
static struct secrets *secrets;
static char path[600];

static void
open_secrets(instant now)
{
    struct why why = { "" };

    if (secrets_open(path, now, &secrets, &why))
        printf("secrets_open: %s\n", why.text);
    must(secrets);
}

static void
begin(void)
{
    temp_dir_make(&dir);
    snprintf(path, sizeof(path), "%s", temp_dir_file(&dir, "secrets"));
    open_secrets(day_one);
}

static void
end(void)
{
    secrets_close(take(secrets));
    temp_dir_remove(&dir);
}

static void
put_file(const char *text, mode_t mode)
{
    FILE *file = fopen(path, "w");

    must(file);
    fputs(text, file);
    fclose(file);
    chmod(path, mode);
}

static size_t
seal(enum token_purpose purpose, str payload, char text[128])
{
    struct buf buf;
    size_t len;

    buf_init(&buf, 127);
    CHECK(token_seal(secrets, purpose, payload, &buf) == OK);
    len = buf.len;
    memcpy(text, buf.data, len);
    text[len] = '\0';
    buf_done(&buf);
    return len;
}

static enum err
open_text(enum token_purpose purpose, const char *text)
{
    uint8_t payload[64];
    size_t len;

    return token_open(secrets, purpose, str_from(text), payload, sizeof(payload), &len);
}

static void
count_key(void *arg, instant created, str name)
{
    (void)created;
    CHECK(name.len == 8);
    ++*(size_t *)arg;
}

static size_t
keys(void)
{
    size_t count = 0;

    secrets_each(secrets, count_key, &count);
    return count;
}

static void
what_we_made_is_known_again_in_any_case(void)
{
    uint8_t payload[64];
    char text[128];
    size_t len;

    begin();
    seal(TOKEN_RETURN, S("message 1"), text);
    CHECK(token_open(secrets, TOKEN_RETURN, str_from(text), payload, sizeof(payload), &len) == OK);
    CHECK_STR(((str){ (char *)payload, len }), "message 1");
    for (char *at = text; *at; at++)
        *at = *at >= 'a' && *at <= 'z' ? (char)(*at - 32) : *at;
    CHECK(open_text(TOKEN_RETURN, text) == OK);
    end();
}

static void
another_purpose_knows_it_not(void)
{
    char text[128];

    begin();
    seal(TOKEN_RETURN, S("message 1"), text);
    CHECK(open_text(TOKEN_FORWARD, text) == ERR_REFUSED);
    CHECK(open_text(TOKEN_UNSUBSCRIBE, text) == ERR_REFUSED);
    end();
}

static void
one_bit_makes_it_a_forgery(void)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz234567";
    char text[128];
    size_t len;

    begin();
    len = seal(TOKEN_RETURN, S("0123456789"), text);
    CHECK(len == 32); /* 20 bytes: no bit is padding. */
    for (size_t i = 0; i < len; i++)
        for (unsigned bit = 1; bit < 32; bit <<= 1) {
            char was = text[i];
            text[i] = letters[(size_t)(strchr(letters, was) - letters) ^ bit];
            CHECK(open_text(TOKEN_RETURN, text) == ERR_REFUSED);
            text[i] = was;
        }
    CHECK(open_text(TOKEN_RETURN, text) == OK);
    end();
}

static void
a_text_that_is_none_is_told_from_a_forgery(void)
{
    char text[128];

    begin();
    seal(TOKEN_RETURN, S("0123456789"), text);
    CHECK(open_text(TOKEN_RETURN, "") == ERR_SYNTAX);
    CHECK(open_text(TOKEN_RETURN, "postmaster") == ERR_SYNTAX);
    text[16] = '\0'; /* The MAC of nothing, perhaps. */
    CHECK(open_text(TOKEN_RETURN, text) == ERR_REFUSED);
    end();
}

static void
a_payload_has_a_ceiling(void)
{
    static char long_text[2000];
    uint8_t payload[8];
    char text[128];
    struct buf buf;
    size_t len;

    begin();
    seal(TOKEN_RETURN, S("012345678"), text);
    CHECK(token_open(secrets, TOKEN_RETURN, str_from(text), payload, 8, &len) == ERR_LIMIT);
    buf_init(&buf, sizeof(long_text));
    CHECK(token_seal(secrets, TOKEN_RETURN, (str){ long_text, TOKEN_PAYLOAD_MAX + 1 }, &buf) ==
          ERR_LIMIT);
    memset(long_text, 'a', sizeof(long_text));
    CHECK(token_open(secrets, TOKEN_RETURN, (str){ long_text, sizeof(long_text) }, payload, 8,
                     &len) == ERR_LIMIT);
    buf_done(&buf);
    end();
}

static void
a_short_mac_is_checked_as_far_as_it_goes(void)
{
    uint8_t mac[TOKEN_MAC_SIZE];

    begin();
    token_mac(secrets, TOKEN_FORWARD, S("payload"), mac);
    CHECK(token_check(secrets, TOKEN_FORWARD, S("payload"), (str){ (char *)mac, 10 }));
    CHECK(token_check(secrets, TOKEN_FORWARD, S("payload"), (str){ (char *)mac, 5 }));
    CHECK(!token_check(secrets, TOKEN_FORWARD, S("payload"), (str){ (char *)mac, 4 }));
    mac[4] ^= 1;
    CHECK(!token_check(secrets, TOKEN_FORWARD, S("payload"), (str){ (char *)mac, 5 }));
    end();
}

static void
the_keys_outlive_a_restart_and_are_for_us_alone(void)
{
    struct stat status;
    char text[128];

    begin();
    seal(TOKEN_RETURN, S("x"), text);
    secrets_close(take(secrets));
    CHECK(!stat(path, &status) && (status.st_mode & 0777) == 0600);
    open_secrets(day_one + DAYS(3));
    CHECK(keys() == 1 && open_text(TOKEN_RETURN, text) == OK);
    end();
}

static void
old_keys_check_for_a_year_after_the_next_was_made(void)
{
    char before[128], after[128], later[128];
    size_t forgotten = 9;

    begin();
    seal(TOKEN_RETURN, S("x"), before);
    CHECK(secrets_rotate(secrets, day_one + DAYS(400), SECRETS_KEEP, &forgotten, NULL) == OK);
    CHECK(forgotten == 0 && keys() == 2); /* Old as it is, it signed until now. */
    seal(TOKEN_RETURN, S("x"), after);
    CHECK(strcmp(before, after) != 0);
    CHECK(open_text(TOKEN_RETURN, before) == OK && open_text(TOKEN_RETURN, after) == OK);
    CHECK(secrets_rotate(secrets, day_one + DAYS(800), SECRETS_KEEP, &forgotten, NULL) == OK);
    CHECK(forgotten == 1 && keys() == 2);
    seal(TOKEN_RETURN, S("x"), later);
    secrets_close(take(secrets));
    open_secrets(day_one);
    CHECK(open_text(TOKEN_RETURN, before) == ERR_REFUSED);
    CHECK(open_text(TOKEN_RETURN, after) == OK && open_text(TOKEN_RETURN, later) == OK);
    end();
}

static void
a_key_that_others_have_seen_goes_at_once(void)
{
    char before[128];
    size_t forgotten;

    begin();
    seal(TOKEN_RETURN, S("x"), before);
    CHECK(secrets_rotate(secrets, day_one, 0, &forgotten, NULL) == OK);
    CHECK(forgotten == 1 && keys() == 1 && open_text(TOKEN_RETURN, before) == ERR_REFUSED);
    end();
}

static void
a_rotation_that_is_only_foreseen_changes_nothing(void)
{
    char before[128];
    size_t forgotten = 0;

    begin();
    seal(TOKEN_RETURN, S("x"), before);
    CHECK(secrets_foresee_rotation(secrets, day_one, 0, &forgotten, NULL) == OK);
    CHECK(forgotten == 1 && keys() == 1 && open_text(TOKEN_RETURN, before) == OK);
    secrets_close(take(secrets));
    open_secrets(day_one);
    CHECK(keys() == 1 && open_text(TOKEN_RETURN, before) == OK);
    end();
}

static void
there_are_never_more_keys_than_a_check_should_cost(void)
{
    size_t forgotten;

    begin();
    for (size_t i = 1; i < SECRETS_MAX; i++)
        CHECK(secrets_rotate(secrets, day_one, SECRETS_KEEP, &forgotten, NULL) == OK);
    CHECK(keys() == SECRETS_MAX);
    CHECK(secrets_rotate(secrets, day_one, SECRETS_KEEP, &forgotten, NULL) == ERR_LIMIT);
    CHECK(secrets_rotate(secrets, day_one + DAYS(1), HOURS(1), &forgotten, NULL) == OK);
    CHECK(forgotten == SECRETS_MAX - 1 && keys() == 2);
    end();
}

static void
a_file_that_is_not_ours_is_not_used(void)
{
    static const char *const wrong[] = {
        "",
        "outpost-secrets 2\n",
        "outpost-secrets 1\n",
        "outpost-secrets 1\n1764201600 00\n",
        "outpost-secrets 1\nx 0000000000000000000000000000000000000000000000000000000000000000\n",
        "outpost-secrets 1\n1 0000000000000000000000000000000000000000000000000000000000000000\n1",
    };
    struct secrets *none = NULL;

    begin();
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        put_file(wrong[i], 0600);
        CHECK(secrets_open(path, day_one, &none, NULL) == ERR_CORRUPT);
    }
    put_file("outpost-secrets 1\n", 0640);
    CHECK(secrets_open(path, day_one, &none, NULL) == ERR_REFUSED);
    CHECK(!none);
    end();
}

static void
tokens_of_a_known_key_stay_what_they_are(void)
{
    /* What version 1 made must be read by all later ones. */
    static const char text[] = "outpost-secrets 1\n1764201600 "
                               "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n";
    char sealed[128];

    begin();
    secrets_close(take(secrets));
    put_file(text, 0600);
    open_secrets(day_one);
    seal(TOKEN_RETURN, S("hello"), sealed);
    CHECK_STR(str_from(sealed), "nbswy3dp6euyjbjnxgm5esjt");
    end();
}

int
main(void)
{
    RUN(what_we_made_is_known_again_in_any_case);
    RUN(another_purpose_knows_it_not);
    RUN(one_bit_makes_it_a_forgery);
    RUN(a_text_that_is_none_is_told_from_a_forgery);
    RUN(a_payload_has_a_ceiling);
    RUN(a_short_mac_is_checked_as_far_as_it_goes);
    RUN(the_keys_outlive_a_restart_and_are_for_us_alone);
    RUN(old_keys_check_for_a_year_after_the_next_was_made);
    RUN(a_key_that_others_have_seen_goes_at_once);
    RUN(a_rotation_that_is_only_foreseen_changes_nothing);
    RUN(there_are_never_more_keys_than_a_check_should_cost);
    RUN(a_file_that_is_not_ours_is_not_used);
    RUN(tokens_of_a_known_key_stay_what_they_are);
    return check_end();
}
