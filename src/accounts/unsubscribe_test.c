/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* unsubscribe_test.c: what a token does, and what only looks like one does not. */
#include "accounts/unsubscribe.h"
#include "accounts/account.h"
#include "runtime/clock.h"
#include "store/temp_dir.h"
#include "trust/token.h"

#include "check.h"

#include <string.h>

static struct temp_dir dir;
static struct accounts *accounts;
static struct suppression *list;
static struct secrets *secrets;
static struct arena arena;
static struct buf token;
static instant now;

static const struct unsubscribe bob = { .scope = S("news@here.example"),
                                        .list = S("weekly"),
                                        .recipient = S("bob@there.example") };

static void
begin(void)
{
    now = clock_now();
    arena_init(&arena, 1 << 20);
    buf_init(&token, 2000);
    temp_dir_make(&dir);
    CHECK(accounts_open(temp_dir_file(&dir, "directory.db"), &accounts, NULL) == OK);
    CHECK(suppression_open(accounts, &(struct suppression_rules){ 0 }, &list, NULL) == OK);
    CHECK(secrets_open(temp_dir_file(&dir, "secrets"), now, &secrets, NULL) == OK);
    CHECK(unsubscribe_token(secrets, &bob, now, &token) == OK);
}

static void
end(void)
{
    secrets_close(secrets);
    suppression_close(list);
    accounts_close(accounts);
    temp_dir_remove(&dir);
    buf_done(&token);
    arena_done(&arena);
}

static bool
is_bound(const char *list_name)
{
    const struct suppression_mail mail = { .account = bob.scope,
                                           .recipient = bob.recipient,
                                           .knows_lane = true,
                                           .lane = LANE_BULK,
                                           .list = str_from(list_name) };
    struct suppression_entry entry;
    bool found;

    CHECK(suppression_check(list, &mail, now, &arena, &found, &entry) == OK);
    return found;
}

static enum err
apply(str text, enum unsubscribe_way way)
{
    struct unsubscribe what;

    return unsubscribe_apply(list, secrets, text, way, S("test"), now, &arena, &what, NULL);
}

static void
a_post_unsubscribes_and_a_look_never_does(void)
{
    struct unsubscribe what = { 0 };

    begin();
    CHECK(unsubscribe_apply(list, secrets, buf_str(&token), UNSUBSCRIBE_LOOK, S("scanner"), now,
                            &arena, &what, NULL) == OK);
    CHECK(str_eq(what.recipient, bob.recipient) && str_eq(what.list, bob.list));
    CHECK(!is_bound("weekly"));
    CHECK(apply(buf_str(&token), UNSUBSCRIBE_POST) == OK);
    CHECK(is_bound("weekly") && !is_bound("daily"));
    CHECK(apply(buf_str(&token), UNSUBSCRIBE_POST) == OK);
    end();
}

static void
it_can_be_taken_back(void)
{
    struct unsubscribe what;

    begin();
    CHECK(unsubscribe_undo(list, secrets, buf_str(&token), now, &arena, &what, NULL) ==
          ERR_NOT_FOUND);
    CHECK(apply(buf_str(&token), UNSUBSCRIBE_MAIL) == OK);
    CHECK(is_bound("weekly"));
    CHECK(unsubscribe_undo(list, secrets, buf_str(&token), now, &arena, &what, NULL) == OK);
    CHECK(!is_bound("weekly"));
    end();
}

static void
case_does_not_matter_and_every_other_change_does(void)
{
    char changed[600];
    str text;

    begin();
    text = (str){ changed, token.len };
    CHECK(token.len < sizeof(changed));
    for (size_t i = 0; i < token.len; i++) {
        memcpy(changed, token.data, token.len);
        changed[i] = changed[i] == 'a' ? 'b' : 'a';
        CHECK(apply(text, UNSUBSCRIBE_POST) != OK);
    }
    CHECK(apply(S(""), UNSUBSCRIBE_POST) == ERR_SYNTAX);
    CHECK(apply(str_head(buf_str(&token), token.len - 8), UNSUBSCRIBE_POST) != OK);
    CHECK(!is_bound("weekly"));
    for (size_t i = 0; i < token.len; i++)
        changed[i] = token.data[i] >= 'a' && token.data[i] <= 'z' ? (char)(token.data[i] - 32)
                                                                  : token.data[i];
    CHECK(apply(text, UNSUBSCRIBE_POST) == OK);
    CHECK(is_bound("weekly"));
    end();
}

static void
a_token_of_another_purpose_or_another_installation_does_nothing(void)
{
    struct secrets *others;
    struct unsubscribe what;
    struct buf text;

    begin();
    CHECK(secrets_open(temp_dir_file(&dir, "others"), now, &others, NULL) == OK);
    CHECK(unsubscribe_read(others, buf_str(&token), now, &arena, &what) == ERR_REFUSED);
    secrets_close(others);
    buf_init(&text, 2000);
    CHECK(token_seal(secrets, TOKEN_RETURN, S("\1\0\0a@b\0c\0d@e"), &text) == OK);
    CHECK(apply(buf_str(&text), UNSUBSCRIBE_POST) == ERR_REFUSED);
    buf_done(&text);
    end();
}

static void
a_token_ends(void)
{
    begin();
    now += DAYS(UNSUBSCRIBE_DAYS);
    CHECK(apply(buf_str(&token), UNSUBSCRIBE_LOOK) == OK);
    now += DAYS(2);
    CHECK(apply(buf_str(&token), UNSUBSCRIBE_POST) == ERR_TIMEOUT);
    CHECK(!is_bound("weekly"));
    end();
}

static void
names_that_make_too_long_a_token_get_none(void)
{
    char name[400];
    struct unsubscribe what = { .scope = { name, 300 },
                                .list = S("l"),
                                .recipient = { name, 300 } };

    begin();
    memset(name, 'a', sizeof(name));
    CHECK(unsubscribe_token(secrets, &what, now, &token) == ERR_LIMIT);
    end();
}

static void
the_body_of_a_post_has_to_say_one_click(void)
{
    static const char form[] = "application/x-www-form-urlencoded";
    static const char multi[] = "multipart/form-data; boundary=X1";
    static const struct {
        const char *type;
        const char *body;
        bool says;
    } rows[] = {
        { form, "List-Unsubscribe=One-Click", true },
        { "application/x-www-form-urlencoded; charset=utf-8", "a=b&List-Unsubscribe=One-Click\r\n",
          true },
        { "", "List-Unsubscribe=One-Click", true },
        { form, "", false },
        { form, "List-Unsubscribe=one-click", false },
        { form, "xList-Unsubscribe=One-Click", false },
        { "text/plain", "List-Unsubscribe=One-Click", false },
        { multi,
          "--X1\r\nContent-Disposition: form-data; name=\"List-Unsubscribe\"\r\n\r\nOne-Click\r\n"
          "--X1--\r\n",
          true },
        { "multipart/form-data; boundary=\"X1\"",
          "--X1\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nb\r\n"
          "--X1\r\nContent-Disposition: form-data; name=\"List-Unsubscribe\"\r\n\r\nOne-Click\r\n"
          "--X1--\r\n",
          true },
        { multi,
          "--X1\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nOne-Click\r\n--X1--\r\n",
          false },
        { multi,
          "--X1\r\nContent-Disposition: form-data; name=\"List-Unsubscribe\"\r\n\r\nOne-Click",
          false },
        { "multipart/form-data", "List-Unsubscribe=One-Click", false },
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++)
        CHECK(unsubscribe_is_one_click(str_from(rows[i].type), str_from(rows[i].body)) ==
              rows[i].says);
}

static void
more_of_a_body_is_not_looked_at(void)
{
    static char body[UNSUBSCRIBE_BODY_MAX + 1];
    str pair = S("List-Unsubscribe=One-Click");

    memset(body, '&', sizeof(body));
    memcpy(body, pair.ptr, pair.len);
    CHECK(unsubscribe_is_one_click(S(""), (str){ body, UNSUBSCRIBE_BODY_MAX }));
    CHECK(!unsubscribe_is_one_click(S(""), (str){ body, UNSUBSCRIBE_BODY_MAX + 1 }));
}

int
main(void)
{
    RUN(a_post_unsubscribes_and_a_look_never_does);
    RUN(it_can_be_taken_back);
    RUN(case_does_not_matter_and_every_other_change_does);
    RUN(a_token_of_another_purpose_or_another_installation_does_nothing);
    RUN(a_token_ends);
    RUN(names_that_make_too_long_a_token_get_none);
    RUN(the_body_of_a_post_has_to_say_one_click);
    RUN(more_of_a_body_is_not_looked_at);
    return check_end();
}
