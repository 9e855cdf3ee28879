/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* standing_test.c: standing rules as a table and as a file. */
#include "delivery/rules/standing.h"

#include "delivery/rules/standing_file.h"
#include "store/disk.h"
#include "store/temp_dir.h"

#include "check.h"

#include <string.h>

static const instant t0 = DAYS(20000);

static uint32_t
add(struct standing *standing, enum standing_kind kind, enum standing_fact fact, const char *value)
{
    struct standing_rule rule = {
        .kind = kind, .reason = S("test"), .actor = S("root"), .until = t0 + HOURS(1)
    };
    struct why why = {};
    uint32_t id = 0;

    rule.values[fact] = str_from(value);
    if (kind == STANDING_SLOW)
        rule.rate_count = 10, rule.rate_period = MINUTES(1);
    if (kind == STANDING_REROUTE)
        rule.route = S("smtp://relay.example");
    CHECK(standing_add(standing, &rule, t0, &id, &why) == OK);
    return id;
}

/* What is known of a delivery of ann's to bob. */
static struct standing_facts
facts(void)
{
    struct standing_facts made = {};

    made.values[FACT_DOMAIN] = S("There.example");
    made.values[FACT_SITE] = S("mx1.there.example,mx2.there.example");
    made.values[FACT_PROVIDER] = S("google");
    made.values[FACT_SENDER] = S("ann@sender.example");
    made.values[FACT_ACCOUNT] = S("ann@here.example");
    made.values[FACT_LANE] = S("bulk");
    return made;
}

static uint32_t
match(struct standing *standing, instant now)
{
    struct standing_facts known = facts();
    struct standing_verdict verdict;

    return standing_match(standing, &known, now, &verdict) ? verdict.rule : 0;
}

static struct standing *
open_at(const char *path)
{
    struct standing *standing = NULL;
    struct why why = {};

    CHECK(standing_open(disk_real(), path, t0, &standing, &why) == OK);
    return standing;
}

static void
each_fact_is_matched(void)
{
    static const struct {
        enum standing_fact fact;
        const char *value;
        bool holds;
    } rows[] = {
        { FACT_DOMAIN, "there.example", true },
        { FACT_DOMAIN, "other.example", false },
        { FACT_SITE, "mx2.there.example", true },
        { FACT_SITE, "mx3.there.example", false },
        { FACT_SITE, "mx1.there.example,mx2.there.example", true },
        { FACT_PROVIDER, "Google", true },
        { FACT_SENDER, "ANN@sender.example", true },
        { FACT_SENDER, "@sender.example", true },
        { FACT_SENDER, "@ender.example", false },
        { FACT_ACCOUNT, "ann@here.example", true },
        { FACT_ACCOUNT, "@here.example", true },
        { FACT_LANE, "bulk", true },
        { FACT_LANE, "code", false },
        { FACT_SOURCE, "first", false }, /* It is not known. */
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct standing *standing = open_at(NULL);
        uint32_t id = add(standing, STANDING_HOLD, rows[i].fact, rows[i].value);
        CHECK(match(standing, t0) == (rows[i].holds ? id : 0));
        CHECK(match(standing, t0 + HOURS(1)) == 0);
        standing_free(standing);
    }
}

static void
domains_are_compared_as_a_labels(void)
{
    static const char *const nonsense[] = { "\xc3\xbc x", "a..example", "x@y.example" };
    struct standing *standing = open_at(NULL);
    struct standing_facts known = { .values[FACT_DOMAIN] = S("xn--mnchen-3ya.example"),
                                    .values[FACT_SENDER] = S("ann@M\xc3\xbcnchen.example") };
    struct standing_rule rule = {
        .kind = STANDING_HOLD, .reason = S("test"), .actor = S("root"), .until = t0 + HOURS(1)
    };
    struct standing_verdict verdict;
    struct why why = {};
    uint32_t id = add(standing, STANDING_HOLD, FACT_DOMAIN, "M\xc3\xbcnchen.example");

    CHECK(standing_match(standing, &known, t0, &verdict) && verdict.rule == id);
    CHECK(standing_remove(standing, id) == OK);
    id = add(standing, STANDING_HOLD, FACT_SENDER, "@xn--mnchen-3ya.example");
    CHECK(standing_match(standing, &known, t0, &verdict) && verdict.rule == id);
    for (size_t i = 0; i < COUNT_OF(nonsense); i++) {
        rule.values[FACT_DOMAIN] = str_from(nonsense[i]);
        CHECK(standing_add(standing, &rule, t0, &id, &why) == ERR_SYNTAX);
    }
    standing_free(standing);
}

static void
what_can_be_undone_goes_first(void)
{
    struct standing *standing = open_at(NULL);
    uint32_t slow = add(standing, STANDING_SLOW, FACT_PROVIDER, "google");
    uint32_t bounce = add(standing, STANDING_BOUNCE, FACT_SENDER, "ann@sender.example");
    uint32_t hold = add(standing, STANDING_HOLD, FACT_SITE, "mx1.there.example");
    uint32_t second = add(standing, STANDING_HOLD, FACT_LANE, "bulk");

    CHECK(match(standing, t0) == hold);
    CHECK(standing_remove(standing, hold) == OK);
    CHECK(standing_remove(standing, hold) == ERR_NOT_FOUND);
    CHECK(match(standing, t0) == second);
    CHECK(standing_remove(standing, second) == OK);
    CHECK(match(standing, t0) == bounce);
    CHECK(standing_remove(standing, bounce) == OK);
    CHECK(match(standing, t0) == slow);
    CHECK(standing_remove(standing, slow) == OK);
    CHECK(standing_is_empty(standing) && match(standing, t0) == 0);
    CHECK(standing_due(standing) == NEVER);
    standing_free(standing);
}

static void
a_rule_of_several_words_needs_all_of_them(void)
{
    struct standing_rule rule = {
        .kind = STANDING_HOLD, .reason = S("test"), .actor = S("root"), .until = t0 + HOURS(1)
    };
    struct standing *standing = open_at(NULL);
    struct why why = {};
    uint32_t id;

    rule.values[FACT_SENDER] = S("ann@sender.example");
    rule.values[FACT_PROVIDER] = S("microsoft");
    CHECK(standing_add(standing, &rule, t0, &id, &why) == OK);
    CHECK(match(standing, t0) == 0);
    rule.values[FACT_PROVIDER] = S("google");
    CHECK(standing_add(standing, &rule, t0, &id, &why) == OK);
    CHECK(match(standing, t0) == id);
    standing_free(standing);
}

static void
a_slow_rule_gives_out_slots(void)
{
    struct standing *standing = open_at(NULL);
    uint32_t id = add(standing, STANDING_SLOW, FACT_PROVIDER, "google");

    CHECK(standing_due(standing) == t0 + HOURS(1));
    CHECK(standing_slot(standing, id, t0) == t0);
    CHECK(standing_slot(standing, id, t0) == t0 + SECONDS(6));
    CHECK(standing_slot(standing, id, t0) == t0 + SECONDS(12));
    CHECK(standing_slot(standing, id, t0 + MINUTES(5)) == t0 + MINUTES(5));
    for (unsigned i = 0; i < 1000; i++)
        CHECK(standing_slot(standing, id, t0 + MINUTES(5)) <= t0 + HOURS(1));
    CHECK(standing_slot(standing, id, t0 + MINUTES(5)) == t0 + HOURS(1));
    standing_free(standing);
}

static void
what_is_no_rule_is_refused(void)
{
    struct standing_rule rule = {
        .kind = STANDING_HOLD, .reason = S("test"), .actor = S("root"), .until = t0 + HOURS(1)
    };
    struct standing *standing = open_at(NULL);
    char long_value[STANDING_VALUE_MAX + 2];
    struct why why = {};
    uint32_t id;

    CHECK(standing_add(standing, &rule, t0, &id, &why) == ERR_SYNTAX);
    memset(long_value, 'a', sizeof(long_value));
    rule.values[FACT_DOMAIN] = (str){ long_value, sizeof(long_value) };
    CHECK(standing_add(standing, &rule, t0, &id, &why) == ERR_SYNTAX);
    rule.values[FACT_DOMAIN] = S("there.example");
    rule.until = t0;
    CHECK(standing_add(standing, &rule, t0, &id, &why) == ERR_SYNTAX);
    rule.until = t0 + STANDING_TIME_MAX + 1;
    CHECK(standing_add(standing, &rule, t0, &id, &why) == ERR_SYNTAX);
    rule.until = t0 + HOURS(1);
    rule.kind = STANDING_SLOW;
    CHECK(standing_add(standing, &rule, t0, &id, &why) == ERR_SYNTAX);
    rule.kind = STANDING_REROUTE;
    CHECK(standing_add(standing, &rule, t0, &id, &why) == ERR_SYNTAX);
    rule.route = S("mx");
    rule.reason = S("");
    CHECK(standing_add(standing, &rule, t0, &id, &why) == ERR_SYNTAX);
    rule.reason = S("test");
    CHECK(standing_add(standing, &rule, t0, &id, &why) == OK);
    standing_free(standing);
}

static void
the_engine_leaves_room_for_operators(void)
{
    struct standing_rule rule = { .kind = STANDING_SUSPEND,
                                  .reason = S("test"),
                                  .actor = S("engine"),
                                  .by_engine = true,
                                  .until = t0 + HOURS(1) };
    struct standing *standing = open_at(NULL);
    char sender[40];
    struct why why = {};
    uint32_t id = 0;

    for (unsigned i = 0; i < STANDING_ENGINE_MAX; i++) {
        snprintf(sender, sizeof(sender), "s%u@sender.example", i);
        rule.values[FACT_SENDER] = str_from(sender);
        CHECK(standing_add(standing, &rule, t0, &id, &why) == OK);
    }
    CHECK(standing_add(standing, &rule, t0, &id, &why) == ERR_LIMIT);
    rule.by_engine = false;
    for (unsigned i = STANDING_ENGINE_MAX; i < STANDING_RULES_MAX; i++)
        CHECK(standing_add(standing, &rule, t0, &id, &why) == OK);
    CHECK(standing_add(standing, &rule, t0, &id, &why) == ERR_LIMIT);
    CHECK(match(standing, t0) == 0);
    standing_free(standing);
}

static void
rules_survive_a_restart(void)
{
    struct standing_facts same = {};
    struct standing_rule *rules;
    struct standing *standing;
    struct temp_dir dir;
    struct arena arena;
    const char *path;
    uint32_t ids[4];
    size_t count;
    uint32_t slow, gone, kept;

    temp_dir_make(&dir);
    arena_init(&arena, 1 << 20);
    path = temp_dir_file(&dir, "standing.rules");
    standing = open_at(path);
    slow = add(standing, STANDING_SLOW, FACT_PROVIDER, "google");
    gone = add(standing, STANDING_HOLD, FACT_DOMAIN, "there.example");
    kept = add(standing, STANDING_REROUTE, FACT_SENDER, "\"a\\n\"@sender.example");
    CHECK(standing_remove(standing, gone) == OK);
    standing_free(standing);

    standing = open_at(path);
    CHECK(match(standing, t0) == slow);
    CHECK(standing_slot(standing, slow, t0) == t0);
    CHECK(standing_slot(standing, slow, t0) == t0 + SECONDS(6));
    CHECK(standing_list(standing, &arena, &rules, &count) == OK && count == 2);
    CHECK(rules[1].id == kept && rules[1].kind == STANDING_REROUTE);
    CHECK_STR(rules[1].values[FACT_SENDER], "\"a\\n\"@sender.example");
    CHECK_STR(rules[1].route, "smtp://relay.example");
    CHECK(rules[1].until == t0 + HOURS(1) && rules[1].made == t0);
    CHECK(add(standing, STANDING_HOLD, FACT_DOMAIN, "x.example") > kept);
    CHECK(standing_due(standing) == t0 + HOURS(1));
    CHECK(standing_expire(standing, t0 + HOURS(1) - 1, ids, NULL, 4) == 0);
    CHECK(standing_prolong(standing, &same, STANDING_SLOW, t0 + HOURS(2)) == 0);
    CHECK(standing_expire(standing, t0 + HOURS(1), ids, NULL, 2) == 2 && ids[0] == slow);
    CHECK(standing_expire(standing, t0 + HOURS(1), ids, NULL, 2) == 1);
    standing_free(standing);

    standing = open_at(path);
    CHECK(standing_is_empty(standing) && standing_due(standing) == NEVER);
    CHECK(add(standing, STANDING_HOLD, FACT_DOMAIN, "x.example") > kept + 1);
    standing_free(standing);
    arena_done(&arena);
    temp_dir_remove(&dir);
}

static uint32_t
add_tls(struct standing *standing, enum standing_level level, enum standing_fact fact, str value,
        enum err expected)
{
    struct standing_rule rule = { .kind = STANDING_TLS,
                                  .level = level,
                                  .reason = S("test"),
                                  .actor = S("root"),
                                  .until = t0 + HOURS(1) };
    struct why why = {};
    uint32_t id = 0;

    rule.values[fact] = value;
    CHECK(standing_add(standing, &rule, t0, &id, &why) == expected);
    return id;
}

static enum standing_level
level_of(struct standing *standing, instant now)
{
    struct standing_facts known = facts();
    struct standing_verdict verdict;

    return standing_match_tls(standing, &known, now, &verdict) ? verdict.level : LEVEL_NONE;
}

static void
tls_rules_decide_beside_the_others_and_about_connections_alone(void)
{
    struct standing *standing;
    struct temp_dir dir;
    const char *path;
    uint32_t hold;

    temp_dir_make(&dir);
    path = temp_dir_file(&dir, "standing.rules");
    standing = open_at(path);
    add_tls(standing, LEVEL_VERIFY, FACT_DOMAIN, S("there.example"), OK);
    add_tls(standing, LEVEL_PLAIN, FACT_SITE, S("mx1.there.example"), OK);
    CHECK(match(standing, t0) == 0 && level_of(standing, t0) == LEVEL_VERIFY);
    hold = add(standing, STANDING_HOLD, FACT_LANE, "bulk");
    CHECK(match(standing, t0) == hold && level_of(standing, t0) == LEVEL_VERIFY);
    CHECK(level_of(standing, t0 + HOURS(1)) == LEVEL_NONE);
    add_tls(standing, LEVEL_NONE, FACT_DOMAIN, S("there.example"), ERR_SYNTAX);
    add_tls(standing, LEVEL_VERIFY, FACT_SENDER, S("@sender.example"), ERR_SYNTAX);
    add_tls(standing, LEVEL_VERIFY, FACT_LANE, S("bulk"), ERR_SYNTAX);
    standing_free(standing);
    standing = open_at(path);
    CHECK(level_of(standing, t0) == LEVEL_VERIFY);
    CHECK(standing_remove(standing, 1) == OK && level_of(standing, t0) == LEVEL_PLAIN);
    standing_free(standing);
    temp_dir_remove(&dir);
}

static void
a_file_that_is_none_is_not_believed(void)
{
    static const struct {
        const char *text;
        enum err e;
    } files[] = {
        { "", ERR_CORRUPT },
        { "outpost-standing-rules 1 1", ERR_CORRUPT },
        { "outpost-standing-rules 1 1\n", OK },
        { "outpost-standing-rules 2 1\n", OK },
        { "outpost-standing-rules 3 1\n", ERR_UNSUPPORTED },
        { "outpost-standing-rules 2 9\n{\"id\":1,\"kind\":\"tls\",\"level\":\"plain\"}\n", OK },
        { "outpost-standing-rules 2 9\n{\"id\":1,\"kind\":\"tls\"}\n", ERR_CORRUPT },
        { "outpost-standing-rules 1 0\n", ERR_CORRUPT },
        { "outpost-standing-rules 1 9\n{}\n", ERR_CORRUPT },
        { "outpost-standing-rules 1 9\n{\"id\":1,\"kind\":\"hold\",\"later\":true}\n", OK },
        { "outpost-standing-rules 1 9\n{\"id\":1048576,\"kind\":\"hold\"}\n", ERR_CORRUPT },
        { "outpost-standing-rules 1 "
          "9\n{\"id\":2,\"kind\":\"hold\"}\n{\"id\":1,\"kind\":\"hold\"}\n",
          ERR_CORRUPT },
        { "outpost-standing-rules 1 9\n{\"id\":1,\"kind\":\"slow\"}\n", ERR_CORRUPT },
        { "outpost-standing-rules 1 9\n{\"id\":1,\"kind\":\"hold\"}", ERR_CORRUPT },
    };

    for (size_t i = 0; i < COUNT_OF(files); i++) {
        struct standing_rule *rules;
        struct arena arena;
        uint32_t next;
        size_t count;
        arena_init(&arena, 16 << 20);
        CHECK(standing_decode(str_from(files[i].text), &arena, &next, &rules, &count) ==
              files[i].e);
        arena_done(&arena);
    }
}

static void
numbers_begin_again_when_they_are_used_up(void)
{
    static const char text[] = "outpost-standing-rules 1 1048574\n"
                               "{\"id\":1,\"kind\":\"hold\",\"reason\":\"r\",\"until_ns\":"
                               "1728003600000000000,\"lane\":\"code\"}\n";
    struct standing *standing;
    struct temp_dir dir;
    const char *path;

    temp_dir_make(&dir);
    path = temp_dir_file(&dir, "standing.rules");
    CHECK(standing_file_write(disk_real(), path, str_from(text)) == OK);
    standing = open_at(path);
    CHECK(add(standing, STANDING_HOLD, FACT_DOMAIN, "a.example") == STANDING_ID_MAX - 1);
    CHECK(add(standing, STANDING_HOLD, FACT_DOMAIN, "b.example") == STANDING_ID_MAX);
    CHECK(add(standing, STANDING_HOLD, FACT_DOMAIN, "there.example") == 2);
    CHECK(match(standing, t0) == 2);
    CHECK(standing_remove(standing, STANDING_ID_MAX) == OK);
    CHECK(match(standing, t0) == 2);
    standing_free(standing);
    temp_dir_remove(&dir);
}

static void
rates_are_read(void)
{
    uint32_t count;
    duration period;

    CHECK(standing_rate_parse(S("10/m"), &count, &period) && count == 10 && period == MINUTES(1));
    CHECK(standing_rate_parse(S("3/10s"), &count, &period) && count == 3 && period == SECONDS(10));
    CHECK(standing_rate_parse(S("1/d"), &count, &period) && period == DAYS(1));
    CHECK(!standing_rate_parse(S("0/m"), &count, &period));
    CHECK(!standing_rate_parse(S("10"), &count, &period));
    CHECK(!standing_rate_parse(S("10/"), &count, &period));
    CHECK(!standing_rate_parse(S("10/0s"), &count, &period));
    CHECK(!standing_rate_parse(S("10/x"), &count, &period));
    CHECK(!standing_rate_parse(S("1000001/s"), &count, &period));
}

int
main(void)
{
    RUN(each_fact_is_matched);
    RUN(domains_are_compared_as_a_labels);
    RUN(what_can_be_undone_goes_first);
    RUN(a_rule_of_several_words_needs_all_of_them);
    RUN(a_slow_rule_gives_out_slots);
    RUN(what_is_no_rule_is_refused);
    RUN(the_engine_leaves_room_for_operators);
    RUN(rules_survive_a_restart);
    RUN(tls_rules_decide_beside_the_others_and_about_connections_alone);
    RUN(a_file_that_is_none_is_not_believed);
    RUN(numbers_begin_again_when_they_are_used_up);
    RUN(rates_are_read);
    return check_end();
}
