/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* dkim_rotate_test.c: the steps of a rotation, forth and back, and who must see a record. */
#include "ops/dkim_rotate.h"

#include "base/buf.h"
#include "config/config.h"
#include "ops/dkim_view.h"
#include "runtime/clock.h"
#include "runtime/fiber.h"
#include "runtime/sim.h"
#include "store/temp_dir.h"

#include "check.h"

#include <string.h>

#define ORG S("example.org")
static const instant now = SECONDS(1764201600LL); /* 2025-11-27 */

static struct temp_dir dir;
static struct keyring *keyring;
static struct arena arena;

static void
begin(void)
{
    temp_dir_make(&dir);
    must(keyring_open(dir.path, &keyring, NULL) == OK);
    arena_init(&arena, 1 << 20);
}

static void
end(void)
{
    keyring_close(take(keyring));
    temp_dir_remove(&dir);
    arena_done(&arena);
}

static void
add(const char *selector, const char *algorithm, enum key_state state, instant at)
{
    CHECK(keyring_add(keyring, ORG, str_from(selector), str_from(algorithm), at, NULL) == OK);
    if (state != KEY_NEW)
        CHECK(keyring_set_state(keyring, ORG, str_from(selector), state, at, NULL) == OK);
}

/* Selectors end in letters of chance: the day is what is compared. */
enum {
    DAY_SIZE = 9
};

struct wanted {
    const char *day;
    char selector[KEYRING_SELECTOR_MAX + 1];
};

static bool
take_selector(void *arg, const struct key_info *key)
{
    struct wanted *wanted = arg;

    if (key->state == KEY_NEW && str_starts(key->selector, str_from(wanted->day)))
        snprintf(wanted->selector, sizeof(wanted->selector), "%.*s", STR_ARG(key->selector));
    return true;
}

/* The new key of that day. */
static struct wanted
new_of(const char *day)
{
    struct wanted wanted = { .day = day };

    keyring_each(keyring, take_selector, &wanted);
    CHECK(strlen(wanted.selector) == DAY_SIZE + 4);
    return wanted;
}

/* What going back would take: "NEW a b". */
static void
undo_is(const char *expected)
{
    static const char *const names[] = { [UNDO_NOTHING] = "nothing",
                                         [UNDO_NEW] = "new",
                                         [UNDO_SIGN] = "sign",
                                         [UNDO_REVOKE] = "revoke" };
    struct key_info *keys;
    enum dkim_undo undo;
    struct buf text;
    size_t count;

    arena_clear(&arena);
    CHECK(dkim_copy_keys(keyring, ORG, &arena, &keys, &count) == OK);
    undo = dkim_undo_of(keys, count);
    buf_init(&text, 1000);
    buf_addf(&text, "%s", names[undo]);
    for (size_t i = 0; i < count; i++)
        if (dkim_undo_takes(undo, keys, count, i))
            buf_addf(&text, " %.*s", STR_ARG(str_head(keys[i].selector, DAY_SIZE)));
    CHECK_STR(buf_str(&text), expected);
    buf_done(&text);
}

static void
the_last_step_is_undone_first(void)
{
    begin();
    undo_is("nothing");
    add("a", "ed25519", KEY_ACTIVE, now);
    undo_is("nothing");
    add("b", "ed25519", KEY_NEW, now + 1);
    undo_is("new b");
    CHECK(keyring_activate(keyring, ORG, S("b"), now + SECONDS(2), NULL) == OK);
    undo_is("sign a");
    CHECK(keyring_set_state(keyring, ORG, S("a"), KEY_REVOKED, now + SECONDS(3), NULL) == OK);
    undo_is("revoke a");
    CHECK(keyring_set_state(keyring, ORG, S("a"), KEY_RETIRED, now + SECONDS(4), NULL) == OK);
    undo_is("nothing"); /* Its private half is gone. */
    end();
}

static void
keys_of_a_rotation_long_ago_stay_revoked(void)
{
    begin();
    add("a", "ed25519", KEY_REVOKED, now);
    add("b", "ed25519", KEY_ACTIVE, now + SECONDS(9));
    undo_is("nothing");
    add("c", "ed25519", KEY_RETIRED, now + SECONDS(3));
    add("d", "ed25519", KEY_RETIRED, now + SECONDS(5));
    add("e", "rsa", KEY_ACTIVE, now);
    undo_is("sign d");
    end();
}

static void
an_older_key_takes_no_place_of_a_newer_one(void)
{
    struct key_info older = { .domain = ORG, .algorithm = S("ed25519"), .created = now };
    struct key_info newer = older;

    newer.created = now + SECONDS(9);
    begin();
    add("a", "ed25519", KEY_NEW, now);
    add("b", "ed25519", KEY_NEW, now + SECONDS(5));
    CHECK(!dkim_is_overtaken(keyring, &older));
    CHECK(keyring_activate(keyring, ORG, S("b"), now + SECONDS(6), NULL) == OK);
    CHECK(dkim_is_overtaken(keyring, &older));
    CHECK(!dkim_is_overtaken(keyring, &newer));
    older.algorithm = S("rsa");
    CHECK(!dkim_is_overtaken(keyring, &older));
    end();
}

static void
each_algorithm_that_signs_gets_a_next_key_once(void)
{
    struct wanted first, second;
    struct why why;
    size_t made;

    begin();
    CHECK(dkim_rotate(keyring, ORG, now, &made, &why) == OK && made == 2);
    undo_is("new e20251127 r20251127");
    CHECK(dkim_rotate(keyring, ORG, now, &made, &why) == OK && made == 0);
    first = new_of("e20251127");
    second = new_of("r20251127");
    CHECK(keyring_activate(keyring, ORG, str_from(first.selector), now, NULL) == OK);
    CHECK(keyring_remove(keyring, ORG, str_from(second.selector), NULL) == OK);
    CHECK(dkim_rotate(keyring, ORG, now, &made, &why) == OK && made == 1);
    undo_is("new e20251127");
    second = new_of("e20251127");
    CHECK(strcmp(first.selector, second.selector) != 0);
    CHECK(dkim_rotate(keyring, ORG, now, &made, &why) == OK && made == 0);
    CHECK(keyring_remove(keyring, ORG, str_from(second.selector), NULL) == OK);
    CHECK(keyring_set_state(keyring, ORG, str_from(first.selector), KEY_REVOKED, now, NULL) == OK);
    CHECK(dkim_rotate(keyring, ORG, now, &made, &why) == OK && made == 2);
    end();
}

/* --- Who sees a record. */

static const char *wanted = "v=DKIM1; k=ed25519; p=QUJD";

static struct dkim_views *
look(const struct config *config, enum key_state state)
{
    struct key_info key = { .domain = ORG,
                            .selector = S("s"),
                            .algorithm = S("ed25519"),
                            .state = state,
                            .record = str_from(wanted) };
    struct dkim_views *views;

    arena_clear(&arena);
    views = arena_new(&arena, struct dkim_views);
    must(views);
    if (state == KEY_REVOKED)
        key.record = S("v=DKIM1; k=ed25519; p=");
    CHECK(dkim_look_everywhere(&arena, config, &key, deadline_in(SECONDS(60)), views) == OK);
    return views;
}

/* In the simulated world every server says the same: what differs is whether the zone has any. */
static void
look_around(void *arg)
{
    struct dns_record ns = { .name = S("ns.example.org") };
    struct dns_record at = { .addr = ipaddr_from_v4(0xc0000201) };
    struct dns_record text = { .data = str_from(wanted) };
    struct dkim_views *views = look(arg, KEY_NEW);

    CHECK(views->together == SIGHT_ABSENT && views->count == 1);
    CHECK_STR(views->against, "our resolver");
    sim_dns_add("s._domainkey.example.org", DNS_TXT, &text, false);
    views = look(arg, KEY_NEW);
    CHECK(views->together == SIGHT_UNKNOWN);
    CHECK_STR(views->against, "the servers of the zone");
    sim_dns_add("example.org", DNS_NS, &ns, false);
    sim_dns_add("ns.example.org", DNS_A, &at, false);
    views = look(arg, KEY_NEW);
    CHECK(views->together == SIGHT_SEEN && views->count == 2);
    CHECK_STR(views->items[1].who, "ns.example.org (192.0.2.1)");
    CHECK(look(arg, KEY_REVOKED)->together == SIGHT_OTHER);
    sim_dns_fail("s._domainkey.example.org", DNS_TEMPORARY);
    CHECK(look(arg, KEY_NEW)->together == SIGHT_UNKNOWN);
}

static void
a_record_counts_when_everybody_sees_it(void)
{
    struct runtime_options options = { .simulated = true, .seed = 1 };
    OWN(config) config = config_default();

    arena_init(&arena, 1 << 20);
    CHECK(runtime_run(&options, look_around, config) == OK);
    arena_done(&arena);
}

int
main(void)
{
    RUN(the_last_step_is_undone_first);
    RUN(keys_of_a_rotation_long_ago_stay_revoked);
    RUN(an_older_key_takes_no_place_of_a_newer_one);
    RUN(each_algorithm_that_signs_gets_a_next_key_once);
    RUN(a_record_counts_when_everybody_sees_it);
    return check_end();
}
