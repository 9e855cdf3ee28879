/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* login_test.c: whole logins against a real directory. */
#include "accounts/login.h"
#include "accounts/account.h"
#include "store/temp_dir.h"

#include "check.h"

#include <sodium.h>
#include <string.h>

static struct temp_dir dir;
static struct accounts *accounts;
static struct logins *logins;
static int64_t ann;
static int64_t bob;

static void
begin(void)
{
    temp_dir_make(&dir);
    CHECK(accounts_open(temp_dir_file(&dir, "directory.db"), &accounts, NULL) == OK);
    CHECK(accounts_add(accounts, S("ann@example.org"), S("ann's word"), &ann, NULL) == OK);
    CHECK(accounts_add(accounts, S("bob@example.org"), S("bob's word"), &bob, NULL) == OK);
    logins = logins_new(accounts);
}

static void
end(void)
{
    logins_free(logins);
    accounts_close(accounts);
    temp_dir_remove(&dir);
}

static ipaddr
client(unsigned last)
{
    return ipaddr_from_v4(0xc0000200u | last);
}

static struct login_result
plain(const char *name, const char *password)
{
    struct login_result result;

    CHECK(login_plain(logins, client(1), str_from(name), str_from(password), &result) == OK);
    return result;
}

static void
a_right_password_is_a_login_and_a_wrong_one_is_not(void)
{
    struct login_result result;

    begin();
    result = plain("ANN@Example.org", "ann's word");
    CHECK(result.state == LOGIN_OK && result.account == ann);
    CHECK_STR(str_from(result.address), "ann@example.org");
    CHECK(plain("ann@example.org", "bob's word").state == LOGIN_BAD);
    CHECK(plain("ann@example.org", "").state == LOGIN_BAD);
    CHECK(plain("nobody@example.org", "ann's word").state == LOGIN_BAD);
    CHECK(plain("a' OR '1'='1", "x").state == LOGIN_BAD);
    CHECK(plain("", "").state == LOGIN_BAD);
    end();
}

static void
a_disabled_account_is_told_so_only_with_the_right_password(void)
{
    begin();
    CHECK(accounts_set_disabled(accounts, S("ann@example.org"), true, NULL) == OK);
    CHECK(plain("ann@example.org", "ann's word").state == LOGIN_DISABLED);
    CHECK(plain("ann@example.org", "wrong").state == LOGIN_BAD);
    CHECK(accounts_set_disabled(accounts, S("ann@example.org"), false, NULL) == OK);
    CHECK(plain("ann@example.org", "ann's word").state == LOGIN_OK);
    end();
}

static void
a_changed_password_ends_the_old_one_at_once(void)
{
    begin();
    CHECK(plain("ann@example.org", "ann's word").state == LOGIN_OK);
    CHECK(accounts_set_password(accounts, S("ann@example.org"), S("new word"), NULL) == OK);
    CHECK(plain("ann@example.org", "ann's word").state == LOGIN_BAD);
    CHECK(plain("ann@example.org", "new word").state == LOGIN_OK);
    end();
}

static void
interleaved_logins_never_get_anothers_mailbox(void)
{
    begin();
    for (int i = 0; i < 2000; i++) {
        bool as_ann = (i * 7919) % 13 < 6;
        struct login_result result = plain(as_ann ? "ann@example.org" : "bob@example.org",
                                           as_ann ? "ann's word" : "bob's word");
        CHECK(result.state == LOGIN_OK && result.account == (as_ann ? ann : bob));
    }
    end();
}

static struct login *
login_with(enum sasl_mechanism mechanism)
{
    struct login *login = NULL;

    CHECK(login_begin(logins,
                      &(struct login_options){ .mechanism = mechanism, .client = client(2) },
                      &login) == OK);
    return login;
}

static struct login_result
scram(const char *name, const char *password)
{
    struct sasl *sasl = sasl_new();
    struct sasl_client *peer = NULL;
    struct login *login = login_with(SASL_SCRAM_SHA_256);
    struct login_result result = { .state = LOGIN_CONTINUE };
    struct buf line;
    struct buf challenge;
    enum err e;

    buf_init(&line, SASL_LINE_MAX);
    buf_init(&challenge, SASL_LINE_MAX);
    CHECK(sasl_client_new(sasl,
                          &(struct sasl_client_options){ .mechanism = SASL_SCRAM_SHA_256,
                                                         .name = str_from(name),
                                                         .password = str_from(password) },
                          &peer) == OK);
    e = sasl_client_step(peer, S(""), &line);
    while (!e && result.state == LOGIN_CONTINUE) {
        str text = buf_str(&line);
        CHECK(login_step(login, &text, &challenge, &result) == OK);
        buf_clear(&line);
        if (result.state == LOGIN_CONTINUE)
            e = sasl_client_step(peer, buf_str(&challenge), &line);
    }
    CHECK(e == OK);
    if (result.state == LOGIN_OK)
        CHECK(sasl_client_is_satisfied(peer));
    sasl_client_free(peer);
    sasl_free(sasl);
    login_free(login);
    buf_done(&line);
    buf_done(&challenge);
    return result;
}

static void
scram_logs_in_without_the_password_being_sent(void)
{
    begin();
    CHECK(scram("ann@example.org", "ann's word").state == LOGIN_OK);
    CHECK(scram("ann@example.org", "ann's word").account == ann);
    CHECK(scram("ann@example.org", "bob's word").state == LOGIN_BAD);
    CHECK(scram("nobody@example.org", "bob's word").state == LOGIN_BAD);
    CHECK(accounts_set_disabled(accounts, S("ann@example.org"), true, NULL) == OK);
    CHECK(scram("ann@example.org", "ann's word").state == LOGIN_DISABLED);
    end();
}

static enum login_state
plain_line(str raw)
{
    struct login *login = login_with(SASL_PLAIN);
    struct login_result result;
    struct buf challenge;
    char text[512];
    str line;

    sodium_bin2base64(text, sizeof(text), (const uint8_t *)raw.ptr, raw.len,
                      sodium_base64_VARIANT_ORIGINAL);
    line = str_from(text);
    buf_init(&challenge, SASL_LINE_MAX);
    CHECK(login_step(login, &line, &challenge, &result) == OK);
    buf_done(&challenge);
    login_free(login);
    return result.state;
}

/* ",s=SALT,i=ITERATIONS" of the server's first words to NAME. */
static void
scram_salt_for(const char *name, char salt[256])
{
    struct login *login = login_with(SASL_SCRAM_SHA_256);
    struct login_result result;
    struct buf challenge;
    char words[256], line[512];
    size_t length = 0;
    str first;

    (void)snprintf(words, sizeof(words), "n,,n=%s,r=fyko", name);
    (void)sodium_bin2base64(line, sizeof(line), (uint8_t *)words, strlen(words),
                            sodium_base64_VARIANT_ORIGINAL);
    first = str_from(line);
    buf_init(&challenge, 4096);
    CHECK(login_step(login, &first, &challenge, &result) == OK);
    CHECK(result.state == LOGIN_CONTINUE);
    CHECK(sodium_base642bin((uint8_t *)words, sizeof(words) - 1, buf_str(&challenge).ptr,
                            challenge.len, NULL, &length, NULL,
                            sodium_base64_VARIANT_ORIGINAL) == 0);
    words[length] = '\0';
    (void)snprintf(salt, 256, "%s", strstr(words, ",s=") ? strstr(words, ",s=") : "");
    buf_done(&challenge);
    login_free(login);
}

static void
the_spelling_of_a_name_does_not_tell_whether_it_is_known(void)
{
    char one[256], other[256];

    begin();
    scram_salt_for("ann@example.org", one);
    scram_salt_for("ANN@Example.org", other);
    CHECK(one[0] && strcmp(one, other) == 0);
    scram_salt_for("nobody@example.org", one);
    scram_salt_for("NOBODY@Example.org", other);
    CHECK(one[0] && strcmp(one, other) == 0);
    end();
}

static void
nobody_acts_for_another(void)
{
    begin();
    CHECK(plain_line(S("\0ann@example.org\0ann's word")) == LOGIN_OK);
    CHECK(plain_line(S("ann@example.org\0ann@example.org\0ann's word")) == LOGIN_OK);
    CHECK(plain_line(S("bob@example.org\0ann@example.org\0ann's word")) == LOGIN_BAD);
    CHECK(plain_line(S("\0ann@example.org\0ann's word\0x")) != LOGIN_OK);
    end();
}

static void
guessing_ends_locked_and_an_administrator_unlocks(void)
{
    struct throttle_state state;
    char password[32];
    struct login_result result = { 0 };

    begin();
    /* Distinct wrong words told to the throttle at once: a real guesser would wait here for its
     * delays. */
    for (int i = 0; i < 3; i++) {
        snprintf(password, sizeof(password), "guess %d", i);
        CHECK(plain("bob@example.org", password).state == LOGIN_BAD);
    }
    logins_state(logins, S("bob@example.org"), &state);
    CHECK(state.wrong_secrets == 3 && !state.locked);
    for (int i = 0; i < 40; i++)
        CHECK(plain("ann@example.org", "the same wrong word").state == LOGIN_BAD);
    logins_state(logins, S("ann@example.org"), &state);
    CHECK(state.wrong_secrets == 1);
    result = plain("ann@example.org", "ann's word");
    CHECK(result.state == LOGIN_OK);
    logins_unlock(logins, S("bob@example.org"));
    logins_state(logins, S("bob@example.org"), &state);
    CHECK(state.wrong_secrets == 0);
    end();
}

int
main(void)
{
    RUN(a_right_password_is_a_login_and_a_wrong_one_is_not);
    RUN(a_disabled_account_is_told_so_only_with_the_right_password);
    RUN(a_changed_password_ends_the_old_one_at_once);
    RUN(interleaved_logins_never_get_anothers_mailbox);
    RUN(scram_logs_in_without_the_password_being_sent);
    RUN(the_spelling_of_a_name_does_not_tell_whether_it_is_known);
    RUN(nobody_acts_for_another);
    RUN(guessing_ends_locked_and_an_administrator_unlocks);
    return check_end();
}
