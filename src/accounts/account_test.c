/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* account_test.c: changes of the directory, and where addresses lead. */
#include "accounts/account.h"
#include "store/temp_dir.h"

#include "check.h"

#include <string.h>

static struct temp_dir dir;
static struct accounts *accounts;
static struct arena arena;

static void
open_accounts(void)
{
    struct why why = { "" };

    accounts = NULL;
    if (accounts_open(temp_dir_file(&dir, "directory.db"), &accounts, &why))
        printf("%s\n", why.text);
    CHECK(accounts != NULL);
}

static void
begin(void)
{
    temp_dir_make(&dir);
    arena_init(&arena, 4 << 20);
    open_accounts();
}

static void
end(void)
{
    accounts_close(accounts);
    arena_done(&arena);
    temp_dir_remove(&dir);
}

static int64_t
add(const char *address)
{
    int64_t id = 0;

    CHECK(accounts_add(accounts, str_from(address), S(""), &id, NULL) == OK);
    return id;
}

static void
alias(const char *address, const char *target)
{
    CHECK(accounts_add_alias(accounts, str_from(address), str_from(target), NULL) == OK);
}

static struct resolution
resolve(const char *address)
{
    struct resolution resolution = { 0 };

    CHECK(accounts_resolve(accounts, &arena, str_from(address), &resolution) == OK);
    return resolution;
}

/* "MAILBOX ann@example.org+detail, ELSEWHERE x@y" */
static const char *
text_of(const char *address)
{
    static const char *const kinds[] = {
        "NOT_OURS", "UNKNOWN", "MAILBOX", "ALIAS", "ROUTE", "LOOP"
    };
    static const char *const targets[] = { "mailbox", "route", "elsewhere" };
    static char text[4096];
    struct resolution resolution = resolve(address);
    size_t len = (size_t)snprintf(text, sizeof(text), "%s", kinds[resolution.kind]);

    for (size_t i = 0; i < resolution.count && i < 20; i++) {
        const struct resolution_target *t = &resolution.targets[i];
        len += (size_t)snprintf(text + len, sizeof(text) - len, " %s:%.*s%s%.*s%s%.*s",
                                targets[t->kind], STR_ARG(t->address), t->detail.len ? "|" : "",
                                STR_ARG(t->detail), t->route.len ? ">" : "", STR_ARG(t->route));
    }
    return text;
}

#define LEADS(address, expected) CHECK_STR(str_from(text_of(address)), expected)

static void
an_address_leads_to_its_mailbox_in_any_spelling(void)
{
    begin();
    add("ann@example.org");
    LEADS("ann@example.org", "MAILBOX mailbox:ann@example.org");
    LEADS("ANN@Example.ORG", "MAILBOX mailbox:ann@example.org");
    LEADS("\"ann\"@example.org", "MAILBOX mailbox:ann@example.org");
    LEADS("ann+news.2@example.org", "MAILBOX mailbox:ann@example.org|news.2");
    LEADS("ann+@example.org", "MAILBOX mailbox:ann@example.org");
    LEADS("+ann@example.org", "UNKNOWN");
    LEADS("bob@example.org", "UNKNOWN");
    LEADS("ann@example.net", "NOT_OURS");
    LEADS("ann", "NOT_OURS");
    LEADS("", "NOT_OURS");
    LEADS("ann%example.org@example.net", "NOT_OURS");
    LEADS("\"ann@example.org\"@example.net", "NOT_OURS");
    LEADS("ann@[192.0.2.1]", "NOT_OURS");
    end();
}

static void
postmaster_is_always_taken(void)
{
    begin();
    LEADS("postmaster", "UNKNOWN");
    add("zoe@example.org");
    add("ann@example.org");
    LEADS("postmaster", "MAILBOX mailbox:zoe@example.org");
    LEADS("PostMaster@example.org", "MAILBOX mailbox:zoe@example.org");
    CHECK(accounts_add_domain(accounts, S("empty.example"), NULL) == OK);
    LEADS("postmaster@empty.example", "MAILBOX mailbox:zoe@example.org");
    alias("postmaster@example.org", "ann@example.org");
    LEADS("postmaster@example.org", "ALIAS mailbox:ann@example.org");
    end();
}

static void
aliases_are_followed_flat_and_end(void)
{
    begin();
    add("ann@example.org");
    add("bob@example.org");
    alias("team@example.org", "ann@example.org");
    alias("team@example.org", "bob@example.org");
    alias("team@example.org", "eve@elsewhere.example");
    alias("all@example.org", "team@example.org");
    alias("all@example.org", "ann@example.org");
    LEADS("all@example.org", "ALIAS mailbox:ann@example.org mailbox:bob@example.org "
                             "elsewhere:eve@elsewhere.example");
    LEADS("all+x@example.org", "ALIAS mailbox:ann@example.org mailbox:bob@example.org "
                               "elsewhere:eve@elsewhere.example");
    alias("a@example.org", "b@example.org");
    alias("b@example.org", "a@example.org");
    LEADS("a@example.org", "LOOP");
    alias("b@example.org", "bob@example.org");
    LEADS("a@example.org", "ALIAS mailbox:bob@example.org");
    alias("gone@example.org", "nobody@example.org");
    LEADS("gone@example.org", "UNKNOWN");
    end();
}

static void
depth_and_count_of_aliases_are_bounded(void)
{
    char from[64];
    char to[64];
    str *targets;

    begin();
    add("ann@example.org");
    for (int i = 0; i < ALIAS_DEPTH_MAX + 1; i++) {
        snprintf(from, sizeof(from), "d%d@example.org", i);
        snprintf(to, sizeof(to), i == ALIAS_DEPTH_MAX ? "ann@example.org" : "d%d@example.org",
                 i + 1);
        alias(from, to);
    }
    LEADS("d1@example.org", "ALIAS mailbox:ann@example.org");
    LEADS("d0@example.org", "LOOP");
    targets = arena_new_array(&arena, str, 600);
    for (int i = 0; i < 600; i++)
        CHECK(arena_printf(&arena, &targets[i], "t%d@elsewhere.example", i));
    CHECK(accounts_set_alias(accounts, S("half1@example.org"), targets, 600, false, NULL) == OK);
    for (int i = 0; i < 600; i++)
        CHECK(arena_printf(&arena, &targets[i], "u%d@elsewhere.example", i));
    CHECK(accounts_set_alias(accounts, S("half2@example.org"), targets, 600, false, NULL) == OK);
    CHECK(resolve("half1@example.org").count == 600);
    alias("whole@example.org", "half1@example.org");
    alias("whole@example.org", "half2@example.org");
    CHECK(resolve("whole@example.org").kind == RESOLUTION_LOOP);
    end();
}

static void
forwarding_keeps_a_copy_if_it_shall(void)
{
    str target = S("ann@elsewhere.example");

    begin();
    add("ann@example.org");
    CHECK(accounts_set_alias(accounts, S("ann@example.org"), &target, 1, true, NULL) == OK);
    LEADS("ann+x@example.org", "ALIAS elsewhere:ann@elsewhere.example mailbox:ann@example.org");
    LEADS("ann@example.org", "ALIAS elsewhere:ann@elsewhere.example mailbox:ann@example.org");
    CHECK(accounts_set_alias(accounts, S("ann@example.org"), &target, 1, false, NULL) == OK);
    LEADS("ann@example.org", "ALIAS elsewhere:ann@elsewhere.example");
    CHECK(accounts_set_alias(accounts, S("ann@example.org"), NULL, 0, true, NULL) == OK);
    LEADS("ann@example.org", "MAILBOX mailbox:ann@example.org");
    end();
}

static void
domains_stand_for_others_catch_all_and_are_routed(void)
{
    begin();
    add("ann@example.org");
    CHECK(accounts_set_domain_alias(accounts, S("example.net"), S("example.org"), NULL) == OK);
    LEADS("ann+y@EXAMPLE.net", "MAILBOX mailbox:ann@example.org|y");
    CHECK(accounts_set_catch_all(accounts, S("example.org"), S("ann@example.org"), NULL) == OK);
    LEADS("who.ever@example.net", "MAILBOX mailbox:ann@example.org");
    CHECK(accounts_set_catch_all(accounts, S("example.org"), S(""), NULL) == OK);
    LEADS("who.ever@example.org", "UNKNOWN");
    /* A gateway without accounts takes all; with accounts it takes those. */
    CHECK(accounts_add_domain(accounts, S("gate.example"), NULL) == OK);
    CHECK(accounts_set_domain_route(accounts, S("gate.example"), S("lmtp://[::1]:24"), NULL) == OK);
    LEADS("who@gate.example", "ROUTE route:who@gate.example>lmtp://[::1]:24");
    add("joe@gate.example");
    LEADS("who@gate.example", "UNKNOWN");
    LEADS("joe+z@gate.example", "ROUTE route:joe@gate.example>lmtp://[::1]:24");
    LEADS("postmaster@gate.example", "ROUTE route:postmaster@gate.example>lmtp://[::1]:24");
    alias("list@example.org", "joe@gate.example");
    LEADS("list@example.org", "ALIAS route:joe@gate.example>lmtp://[::1]:24");
    end();
}

static void
changes_say_what_is_wrong(void)
{
    struct why why = { "" };
    int64_t id;

    begin();
    CHECK(accounts_add_domain(accounts, S("Example.ORG"), NULL) == OK);
    CHECK(accounts_add_domain(accounts, S("example.org"), &why) == ERR_EXISTS);
    CHECK(strstr(why.text, "example.org"));
    CHECK(accounts_add_domain(accounts, S("not a domain"), &why) == ERR_SYNTAX);
    CHECK(accounts_add(accounts, S("no-at-sign"), S(""), &id, &why) == ERR_SYNTAX);
    CHECK(accounts_add(accounts, S("ann@example.org"), S(""), &id, NULL) == OK);
    CHECK(accounts_add(accounts, S("ANN@example.org"), S(""), &id, &why) == ERR_EXISTS);
    alias("info@example.org", "ann@example.org");
    CHECK(accounts_add(accounts, S("info@example.org"), S(""), &id, &why) == ERR_EXISTS);
    CHECK(accounts_add_alias(accounts, S("info@example.org"), S("ann@example.org"), &why) ==
          ERR_EXISTS);
    CHECK(accounts_remove_domain(accounts, S("example.org"), &why) == ERR_REFUSED);
    CHECK(accounts_remove(accounts, S("bob@example.org"), &why) == ERR_NOT_FOUND);
    CHECK(strstr(why.text, "bob@example.org"));
    CHECK(accounts_set_limit(accounts, S("ann@example.org"), S("nonsense"), &why) == ERR_SYNTAX);
    CHECK(accounts_set_limit(accounts, S("ann@example.org"), S("gmail"), &why) == OK);
    CHECK(accounts_set_domain_alias(accounts, S("a.example"), S("b.example"), &why) ==
          ERR_NOT_FOUND);
    CHECK(accounts_set_domain_alias(accounts, S("a.example"), S("example.org"), &why) == OK);
    CHECK(accounts_set_domain_alias(accounts, S("c.example"), S("a.example"), &why) == ERR_REFUSED);
    CHECK(accounts_add(accounts, S("x@a.example"), S(""), &id, &why) == ERR_REFUSED);
    CHECK(accounts_set_catch_all(accounts, S("none.example"), S(""), &why) == ERR_NOT_FOUND);
    end();
}

static void
an_account_that_went_leaves_nothing_behind_and_its_id_is_never_used_again(void)
{
    int64_t first;

    begin();
    first = add("ann@example.org");
    alias("info@example.org", "ann@example.org");
    CHECK(accounts_remove(accounts, S("ann@example.org"), NULL) == OK);
    LEADS("ann@example.org", "UNKNOWN");
    LEADS("info@example.org", "UNKNOWN");
    CHECK(accounts_remove_domain(accounts, S("example.org"), NULL) == OK);
    LEADS("ann@example.org", "NOT_OURS");
    CHECK(add("ann@example.org") > first);
    end();
}

static bool
count_one(void *arg, const struct account_info *info)
{
    (void)info;
    ++*(int *)arg;
    return true;
}

static void
everything_is_there_after_reopening(void)
{
    struct account_info info;
    struct password_secret secret;
    int64_t id;
    bool disabled;
    int count = 0;

    begin();
    CHECK(accounts_add(accounts, S("ann@example.org"), S("pw"), &id, NULL) == OK);
    CHECK(accounts_set_disabled(accounts, S("ann@example.org"), true, NULL) == OK);
    CHECK(accounts_set_quota(accounts, S("ann@example.org"), 1000, NULL) == OK);
    alias("info@example.org", "ann@example.org");
    accounts_close(accounts);
    open_accounts();
    CHECK(accounts_get(accounts, &arena, S("ANN@example.org"), &info) == OK);
    CHECK(info.id == id && info.disabled && info.quota == 1000 && info.has_password);
    CHECK(accounts_get_secret(accounts, S("ann@example.org"), &id, &disabled, &secret) == OK);
    CHECK(disabled && secret.scram.iterations == SCRAM_ITERATIONS);
    LEADS("info@example.org", "ALIAS mailbox:ann@example.org");
    accounts_each(accounts, count_one, &count);
    CHECK(count == 1);
    CHECK(accounts_has_domain(accounts, S("EXAMPLE.org")));
    end();
}

static void
a_login_may_send_as_its_own_addresses_only(void)
{
    int64_t ann;
    int64_t bob;

    begin();
    ann = add("ann@example.org");
    bob = add("bob@example.org");
    alias("sales@example.org", "ann@example.org");
    alias("team@example.org", "ann@example.org");
    alias("team@example.org", "bob@example.org");
    CHECK(accounts_set_domain_alias(accounts, S("example.net"), S("example.org"), NULL) == OK);
    CHECK(accounts_may_send_as(accounts, ann, S("ann@example.org")));
    CHECK(accounts_may_send_as(accounts, ann, S("Ann+tag@EXAMPLE.net")));
    CHECK(accounts_may_send_as(accounts, ann, S("sales@example.org")));
    CHECK(!accounts_may_send_as(accounts, ann, S("team@example.org")));
    CHECK(!accounts_may_send_as(accounts, ann, S("bob@example.org")));
    CHECK(!accounts_may_send_as(accounts, bob, S("sales@example.org")));
    CHECK(!accounts_may_send_as(accounts, bob, S("")));
    CHECK(!accounts_may_send_as(accounts, 99, S("ann@example.org")));
    CHECK(accounts_allow_sender(accounts, S("bob@example.org"), S("team@example.org"), NULL) == OK);
    CHECK(accounts_may_send_as(accounts, bob, S("team@example.org")));
    CHECK(accounts_allow_sender(accounts, S("bob@example.org"), S("@shop.example"), NULL) == OK);
    CHECK(accounts_may_send_as(accounts, bob, S("any.one@shop.example")));
    CHECK(!accounts_may_send_as(accounts, ann, S("any.one@shop.example")));
    CHECK(accounts_deny_sender(accounts, S("bob@example.org"), S("@shop.example"), NULL) == OK);
    CHECK(!accounts_may_send_as(accounts, bob, S("any.one@shop.example")));
    CHECK(accounts_set_disabled(accounts, S("ann@example.org"), true, NULL) == OK);
    CHECK(!accounts_may_send_as(accounts, ann, S("ann@example.org")));
    end();
}

int
main(void)
{
    RUN(an_address_leads_to_its_mailbox_in_any_spelling);
    RUN(postmaster_is_always_taken);
    RUN(aliases_are_followed_flat_and_end);
    RUN(depth_and_count_of_aliases_are_bounded);
    RUN(forwarding_keeps_a_copy_if_it_shall);
    RUN(domains_stand_for_others_catch_all_and_are_routed);
    RUN(changes_say_what_is_wrong);
    RUN(an_account_that_went_leaves_nothing_behind_and_its_id_is_never_used_again);
    RUN(everything_is_there_after_reopening);
    RUN(a_login_may_send_as_its_own_addresses_only);
    return check_end();
}
