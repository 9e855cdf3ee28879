/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* keyring_test.c: the life of a key, and what a crash or a careless hand may have left. */
#include "trust/keyring.h"

#include "store/temp_dir.h"

#include "check.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ORG S("example.org")
static const instant day_one = SECONDS(1764201600LL);

static struct temp_dir dir;
static struct keyring *keyring;

static void
open_ring(void)
{
    struct why why = { "" };

    if (keyring_open(dir.path, &keyring, &why))
        printf("keyring_open: %s\n", why.text);
    must(keyring);
}

static void
reopen(void)
{
    keyring_close(take(keyring));
    open_ring();
}

static void
begin(void)
{
    temp_dir_make(&dir);
    open_ring();
}

static void
end(void)
{
    keyring_close(take(keyring));
    temp_dir_remove(&dir);
}

static void
add(str domain, const char *selector, const char *algorithm, enum key_state state)
{
    CHECK(keyring_add(keyring, domain, str_from(selector), str_from(algorithm), day_one, NULL) ==
          OK);
    CHECK(keyring_set_state(keyring, domain, str_from(selector), state, day_one, NULL) == OK);
}

struct seen {
    char text[2000];
    size_t len;
};

static bool
see(void *arg, const struct key_info *key)
{
    struct seen *seen = arg;

    seen->len +=
        (size_t)snprintf(seen->text + seen->len, sizeof(seen->text) - seen->len,
                         "%.*s/%.*s %.*s %s; ", STR_ARG(key->selector), STR_ARG(key->domain),
                         STR_ARG(key->algorithm), key_state_name(key->state));
    return true;
}

static void
list_is(const char *expected)
{
    struct seen seen = { .len = 0 };

    keyring_each(keyring, see, &seen);
    CHECK_STR(((str){ seen.text, seen.len }), expected);
}

static void
keys_are_there_after_a_restart_in_the_state_they_had(void)
{
    begin();
    add(ORG, "b", "ed25519", KEY_RETIRED);
    add(ORG, "a", "rsa", KEY_ACTIVE);
    add(S("example.net"), "a", "ed25519", KEY_NEW);
    reopen();
    list_is("a/example.net ed25519 new; a/example.org rsa active; b/example.org ed25519 retired; ");
    end();
}

static void
only_active_keys_sign_each_algorithm_one(void)
{
    struct signers signers;

    begin();
    add(ORG, "new", "rsa", KEY_NEW);
    add(ORG, "one", "rsa", KEY_ACTIVE);
    add(ORG, "two", "ed25519", KEY_ACTIVE);
    add(ORG, "old", "rsa", KEY_RETIRED);
    keyring_signers(keyring, ORG, &signers);
    CHECK(signers.count == 2);
    CHECK_STR(signers.items[0].selector, "one");
    CHECK_STR(signers.items[1].selector, "two");
    signers_done(&signers);
    end();
}

static void
a_key_of_the_domain_above_signs_for_those_below(void)
{
    struct signers signers;

    begin();
    add(ORG, "one", "ed25519", KEY_ACTIVE);
    add(S("own.example.org"), "own", "ed25519", KEY_ACTIVE);
    keyring_signers(keyring, S("news.shop.example.org"), &signers);
    CHECK(signers.count == 1);
    CHECK_STR(signers.items[0].domain, "example.org");
    signers_done(&signers);
    keyring_signers(keyring, S("own.example.org"), &signers);
    CHECK_STR(signers.items[0].selector, "own");
    signers_done(&signers);
    keyring_signers(keyring, S("notexample.org"), &signers);
    CHECK(signers.count == 0);
    signers_done(&signers);
    end();
}

static void
whoever_signs_keeps_the_key_while_it_is_revoked(void)
{
    struct signers signers;

    begin();
    add(ORG, "one", "ed25519", KEY_ACTIVE);
    keyring_signers(keyring, ORG, &signers);
    CHECK(keyring_set_state(keyring, ORG, S("one"), KEY_REVOKED, day_one, NULL) == OK);
    CHECK(signers.count == 1 && signers.items[0].key);
    signers_done(&signers);
    CHECK(access(temp_dir_file(&dir, "one@example.org.pem"), F_OK) != 0);
    reopen();
    list_is("one/example.org ed25519 revoked; ");
    end();
}

static void
each_step_has_a_way_back_until_the_private_half_is_gone(void)
{
    struct why why;

    begin();
    add(ORG, "one", "ed25519", KEY_ACTIVE);
    CHECK(keyring_set_state(keyring, ORG, S("one"), KEY_RETIRED, day_one, NULL) == OK);
    CHECK(keyring_set_state(keyring, ORG, S("one"), KEY_ACTIVE, day_one, NULL) == OK);
    CHECK(keyring_set_state(keyring, ORG, S("one"), KEY_NEW, day_one, NULL) == OK);
    CHECK(keyring_set_state(keyring, ORG, S("one"), KEY_REVOKED, day_one, NULL) == OK);
    CHECK(keyring_set_state(keyring, ORG, S("one"), KEY_ACTIVE, day_one, &why) == ERR_REFUSED);
    CHECK_STR(str_from(why.text), "the private half of one at example.org is gone: make a new key");
    end();
}

static bool
keep_key(void *arg, const struct key_info *key)
{
    str *texts = arg;

    texts[0] = (str){ str_dup(key->record), key->record.len };
    texts[1] = (str){ str_dup(key->whole), key->whole.len };
    CHECK(key->can_sign == (key->state != KEY_REVOKED));
    return true;
}

static void
a_revoked_key_has_an_empty_record_and_can_have_the_whole_one_back(void)
{
    str before[2], after[2];
    struct why why;

    begin();
    add(ORG, "one", "ed25519", KEY_ACTIVE);
    keyring_each(keyring, keep_key, before);
    CHECK(keyring_set_state(keyring, ORG, S("one"), KEY_REVOKED, day_one, NULL) == OK);
    reopen();
    keyring_each(keyring, keep_key, after);
    CHECK_STR(after[0], "v=DKIM1; k=ed25519; p=");
    CHECK(str_eq(after[1], before[0]) && str_eq(before[0], before[1]));
    CHECK(keyring_set_state(keyring, ORG, S("one"), KEY_RETIRED, day_one, NULL) == OK);
    reopen();
    list_is("one/example.org ed25519 retired; ");
    CHECK(keyring_set_state(keyring, ORG, S("one"), KEY_ACTIVE, day_one, &why) == ERR_REFUSED);
    CHECK(keyring_activate(keyring, ORG, S("one"), day_one, &why) == ERR_REFUSED);
    CHECK(keyring_set_state(keyring, ORG, S("one"), KEY_REVOKED, day_one, NULL) == OK);
    for (size_t i = 0; i < 2; i++) {
        free((void *)(uintptr_t)before[i].ptr);
        free((void *)(uintptr_t)after[i].ptr);
    }
    end();
}

static void
a_key_takes_the_place_of_those_of_its_algorithm(void)
{
    begin();
    add(ORG, "a", "ed25519", KEY_ACTIVE);
    add(ORG, "b", "ed25519", KEY_NEW);
    add(ORG, "c", "rsa", KEY_ACTIVE);
    add(S("example.com"), "d", "ed25519", KEY_ACTIVE);
    CHECK(keyring_activate(keyring, ORG, S("b"), day_one, NULL) == OK);
    reopen();
    list_is("d/example.com ed25519 active; a/example.org ed25519 retired; "
            "b/example.org ed25519 active; c/example.org rsa active; ");
    CHECK(keyring_activate(keyring, ORG, S("a"), day_one, NULL) == OK);
    list_is("d/example.com ed25519 active; a/example.org ed25519 active; "
            "b/example.org ed25519 retired; c/example.org rsa active; ");
    CHECK(keyring_activate(keyring, ORG, S("x"), day_one, NULL) == ERR_NOT_FOUND);
    end();
}

static void
an_active_key_is_not_removed(void)
{
    begin();
    add(ORG, "one", "ed25519", KEY_ACTIVE);
    CHECK(keyring_remove(keyring, ORG, S("one"), NULL) == ERR_REFUSED);
    CHECK(keyring_set_state(keyring, ORG, S("one"), KEY_RETIRED, day_one, NULL) == OK);
    CHECK(keyring_remove(keyring, ORG, S("one"), NULL) == OK);
    CHECK(keyring_remove(keyring, ORG, S("one"), NULL) == ERR_NOT_FOUND);
    CHECK(access(temp_dir_file(&dir, "one@example.org.pem"), F_OK) != 0);
    end();
}

static void
names_that_are_none_are_refused(void)
{
    static const char *const bad[] = { "",          ".",   "a..b", "Example.org",
                                       "a/../../b", "a b", "a.",   ".a" };

    begin();
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        CHECK(keyring_add(keyring, str_from(bad[i]), S("s"), S("ed25519"), day_one, NULL) ==
              ERR_SYNTAX);
        CHECK(keyring_add(keyring, ORG, str_from(bad[i]), S("ed25519"), day_one, NULL) ==
              ERR_SYNTAX);
    }
    CHECK(keyring_add(keyring, ORG, S("s"), S("dsa"), day_one, NULL) == ERR_UNSUPPORTED);
    list_is("");
    end();
}

static void
a_selector_stands_once_in_a_domain(void)
{
    begin();
    add(ORG, "one", "ed25519", KEY_ACTIVE);
    CHECK(keyring_add(keyring, ORG, S("one"), S("ed25519"), day_one, NULL) == ERR_EXISTS);
    reopen();
    list_is("one/example.org ed25519 active; ");
    end();
}

static void
put_file(const char *name, const char *text, mode_t mode)
{
    int fd = open(temp_dir_file(&dir, name), O_WRONLY | O_CREAT | O_TRUNC, mode);

    CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
}

static void
a_list_that_cannot_be_read_is_not_overwritten(void)
{
    struct keyring *broken = NULL;

    begin();
    put_file("keyring", "outpost-keyring 2\nfrom the future\n", 0600);
    CHECK(keyring_open(dir.path, &broken, NULL) == ERR_CORRUPT);
    put_file("keyring", "outpost-keyring 1\nexample.org one rsa ac", 0600);
    CHECK(keyring_open(dir.path, &broken, NULL) == OK);
    keyring_close(broken);
    put_file("keyring", "outpost-keyring 1\nexample.org one rsa acting 1 1 x\n", 0600);
    CHECK(keyring_open(dir.path, &broken, NULL) == ERR_CORRUPT);
    end();
}

static void
a_key_that_others_can_read_is_not_used(void)
{
    struct keyring *open_to_all = NULL;
    struct why why = { "" };

    begin();
    add(ORG, "one", "ed25519", KEY_ACTIVE);
    CHECK(chmod(temp_dir_file(&dir, "one@example.org.pem"), 0640) == 0);
    CHECK(keyring_open(dir.path, &open_to_all, &why) == ERR_REFUSED);
    CHECK(strstr(why.text, "chmod 600"));
    end();
}

int
main(void)
{
    RUN(keys_are_there_after_a_restart_in_the_state_they_had);
    RUN(only_active_keys_sign_each_algorithm_one);
    RUN(a_key_of_the_domain_above_signs_for_those_below);
    RUN(whoever_signs_keeps_the_key_while_it_is_revoked);
    RUN(each_step_has_a_way_back_until_the_private_half_is_gone);
    RUN(a_revoked_key_has_an_empty_record_and_can_have_the_whole_one_back);
    RUN(a_key_takes_the_place_of_those_of_its_algorithm);
    RUN(an_active_key_is_not_removed);
    RUN(names_that_are_none_are_refused);
    RUN(a_selector_stands_once_in_a_domain);
    RUN(a_list_that_cannot_be_read_is_not_overwritten);
    RUN(a_key_that_others_can_read_is_not_used);
    return check_end();
}
