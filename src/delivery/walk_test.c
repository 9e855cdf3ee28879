/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* walk_test.c: the way of mail is gone without mail: what is found, what is said of it, and that
 * nothing of it stays. */
#include "delivery/queue/queue_world.h"
#include "delivery/walk.h"

static struct arena arena;
static unsigned told;

static void
count_host(void *arg, const struct walk *walk, const struct walk_host *host)
{
    CHECK(arg == &told && walk->hosts.count > 0 && (!host || host->line[0]));
    told += host != NULL;
}

/* The walk for RECIPIENT. */
static const struct walk *
go(struct world *world, const char *recipient, enum tls_wish tls_wish, bool connects)
{
    struct walk_wish wish = {
        .facts = { .recipient = str_from(recipient), .lane = S("personal"), .size = 1000 },
        .tls_wish = tls_wish,
        .connects = connects,
    };
    struct walk *walk;

    arena_clear(&arena);
    told = 0;
    walk = arena_new(&arena, struct walk);
    CHECK(walk &&
          queue_walk(world->queue, world->config, &wish, &arena, count_host, &told, walk) == OK);
    return walk;
}

static bool
says(const char *text, const char *part)
{
    bool is = str_find_str(str_from(text), str_from(part)) >= 0;

    if (!is)
        printf("not in \"%s\": %s\n", text, part);
    return is;
}

static void
story_good(struct world *world)
{
    struct hop *hop = hop_at(world, 0, "198.51.100.1");
    const struct walk *walk;

    hop->extensions = "250-hop\r\n250-SIZE 500000\r\n250 PIPELINING\r\n";
    walk = go(world, "bob@there.example", TLS_AS_USUAL, true);
    CHECK(walk->end == WALK_TAKES && walk->problem == WALK_FINE && walk->count == 1 && told == 1);
    CHECK(says(walk->verdict, "would be delivered to mx.there.example, in the clear"));
    CHECK(walk->items[0].offers.pipelining && walk->items[0].offers.size == 500000);
    CHECK(walk->items[0].stage_count == 3);
    CHECK(walk->items[0].stages[1].stage == SMTP_STAGE_GREETING);
    CHECK(hop->connections == 1 && hop->transactions == 0 && !heard(hop, "MAIL"));
    CHECK(heard(hop, "QUIT"));
    hop->extensions = "250-hop\r\n250 SIZE 500\r\n";
    walk = go(world, "bob@there.example", TLS_AS_USUAL, true);
    CHECK(walk->end == WALK_RETURNS && says(walk->verdict, "mail of at most 500 bytes"));
    walk = go(world, "bob@there.example", TLS_AS_USUAL, false);
    CHECK(walk->end == WALK_UNTRIED && walk->count == 1 && hop->connections == 2);
    CHECK(says(walk->items[0].line, "was not tried"));
}

static void
a_host_that_takes_mail_is_told_with_what_it_offers(void)
{
    in_world(story_good, plain_config);
}

static void
story_second(struct world *world)
{
    struct hop *busy = hop_at(world, 0, "198.51.100.1");
    struct hop *free = hop_at(world, 1, "198.51.100.2");
    const struct walk *walk;

    dns("there.example", DNS_MX, 20, "mx.other.example");
    busy->greets_421 = true;
    walk = go(world, "bob@there.example", TLS_AS_USUAL, true);
    CHECK(walk->end == WALK_TAKES && walk->count == 2 && free->connections == 1);
    CHECK(says(walk->verdict, "delivered to mx.other.example, in the clear; before that, "
                              "mx.there.example at 198.51.100.1:25 does not do"));
    CHECK(says(walk->verdict, "421 4.3.2 too busy"));
    CHECK(walk->problem == WALK_OURS);
    /* What was found is nobody's: a message goes to the first host first. */
    busy->greets_421 = false;
    post(world, "me@sender.example", "bob@there.example", 0);
    sim_advance(SECONDS(5));
    CHECK(busy->transactions == 1 && free->transactions == 0);
}

static void
the_first_host_that_fails_is_named_and_nothing_is_remembered(void)
{
    in_world(story_second, plain_config);
}

static void
story_none(struct world *world)
{
    struct dns_record null_mx = { .name = S("") };
    const struct walk *walk;

    walk = go(world, "bob@there.example", TLS_AS_USUAL, true);
    CHECK(walk->end == WALK_LATER && walk->problem == WALK_BETWEEN);
    CHECK(says(walk->cure, "outgoing port 25 is closed here"));
    sim_dns_add("null.example", DNS_MX, &null_mx, false);
    walk = go(world, "bob@null.example", TLS_AS_USUAL, true);
    CHECK(walk->end == WALK_RETURNS && walk->problem == WALK_THEIRS && told == 0);
    CHECK(says(walk->verdict, "556 5.1.10 The domain null.example takes no mail"));
    walk = go(world, "bob@nowhere.example", TLS_AS_USUAL, true);
    CHECK(walk->end == WALK_RETURNS && says(walk->verdict, "550 5.1.2"));
    sim_dns_fail("lame.example", DNS_TEMPORARY);
    walk = go(world, "bob@lame.example", TLS_AS_USUAL, true);
    CHECK(walk->end == WALK_LATER && says(walk->verdict, "would wait and be tried again: 451"));
    CHECK(walk->problem == WALK_BETWEEN && says(walk->cure, "our resolver"));
    walk = go(world, "ann@here.example", TLS_AS_USUAL, true);
    CHECK(walk->end == WALK_UNTRIED && walk->route.kind == ROUTE_LOCAL);
}

static void
no_host_is_a_verdict_too(void)
{
    in_world(story_none, plain_config);
}

static void
story_required(struct world *world)
{
    struct hop *hop = hop_at(world, 0, "198.51.100.1");
    const struct walk *walk = go(world, "bob@there.example", TLS_REQUIRED, true);

    CHECK(walk->end == WALK_RETURNS && walk->problem == WALK_SENDERS);
    CHECK(says(walk->verdict, "neither DNSSEC nor MTA-STS proves"));
    CHECK(hop->connections == 0);
}

static void
what_requires_tls_would_come_back(void)
{
    in_world(story_required, plain_config);
}

static uint32_t
rule(struct world *world, enum standing_kind kind, enum standing_fact fact, const char *value)
{
    struct standing_rule made = {
        .kind = kind, .reason = S("test"), .actor = S("root"), .until = clock_now() + HOURS(1)
    };
    struct why why = {};
    uint32_t id = 0;

    made.values[fact] = str_from(value);
    if (kind == STANDING_REROUTE)
        made.route = S("smtp://198.51.100.2");
    CHECK(queue_rule_add(world->queue, &made, &id, &why) == OK);
    return id;
}

static void
story_rules(struct world *world)
{
    static const struct {
        enum standing_kind kind;
        enum standing_fact fact;
        const char *value;
        enum walk_end end;
        const char *verdict;
    } table[] = {
        { STANDING_HOLD, FACT_DOMAIN, "there.example", WALK_LATER, "be held by rule 1 (hold" },
        { STANDING_SUSPEND, FACT_SITE, "mx.there.example", WALK_LATER, "suspended by rule 2" },
        { STANDING_BOUNCE, FACT_LANE, "personal", WALK_RETURNS, "come back" },
        { STANDING_REROUTE, FACT_DOMAIN, "there.example", WALK_TAKES, "delivered to 198.51" },
        { STANDING_REROUTE, FACT_SITE, "mx.there.example", WALK_TAKES, "delivered to 198.51" },
    };
    struct hop *hop = hop_at(world, 0, "198.51.100.1");
    struct hop *other = hop_at(world, 1, "198.51.100.2");

    for (size_t i = 0; i < COUNT_OF(table); i++) {
        uint32_t id = rule(world, table[i].kind, table[i].fact, table[i].value);
        const struct walk *walk = go(world, "bob@there.example", TLS_AS_USUAL, true);
        CHECK(walk->end == table[i].end && says(walk->verdict, table[i].verdict));
        CHECK(says(walk->rule_words, "test, by root, until 2"));
        CHECK(queue_rule_remove(world->queue, id) == OK);
    }
    CHECK(hop->connections == 0 && other->connections == 2);
}

static void
standing_rules_decide_as_they_do_for_mail(void)
{
    in_world(story_rules, plain_config);
}

static struct walk_host
host_of(enum secure_by by, enum smtp_stage stage)
{
    static const struct route_host host = { .name = S("mx.far.example") };

    return (struct walk_host){
        .host = &host,
        .plan = { .by = by },
        .failure = { .stage = stage, .why = { "so it is" } },
        .end = WALK_LATER,
    };
}

static void
each_failure_has_an_owner_and_a_cure(void)
{
    static const struct {
        enum secure_by by;
        enum smtp_stage stage;
        enum walk_problem problem;
        const char *cure;
    } table[] = {
        { SECURE_BY_NOTHING, SMTP_STAGE_CONNECT, WALK_BETWEEN, "port 25" },
        { SECURE_BY_NOTHING, SMTP_STAGE_GREETING, WALK_BETWEEN, "no mail server" },
        { SECURE_BY_DANE, SMTP_STAGE_TLS, WALK_THEIRS, "do not fit" },
        { SECURE_BY_DANE, SMTP_STAGE_STARTTLS, WALK_THEIRS, "no STARTTLS" },
        { SECURE_BY_STS, SMTP_STAGE_TLS, WALK_THEIRS, "MTA-STS" },
        { SECURE_BY_RULE, SMTP_STAGE_STARTTLS, WALK_OURS, "a rule of yours" },
        { SECURE_BY_RELAY, SMTP_STAGE_TLS, WALK_OURS, "relay's URL" },
        { SECURE_BY_RELAY, SMTP_STAGE_AUTH, WALK_OURS, "password_file" },
        { SECURE_BY_CONFIG, SMTP_STAGE_STARTTLS, WALK_OURS, "delivery.tls" },
        { SECURE_BY_MESSAGE, SMTP_STAGE_TLS, WALK_SENDERS, "REQUIRETLS" },
    };
    struct walk_wish wish = { .connects = true };

    for (size_t i = 0; i < COUNT_OF(table); i++) {
        struct walk_host item = host_of(table[i].by, table[i].stage);
        struct walk walk = { .route = { .kind = ROUTE_MX }, .items = &item, .count = 1 };
        walk_judge_host(&wish, &item);
        walk_judge(&wish, &walk);
        CHECK(walk.end == WALK_LATER && walk.problem == table[i].problem);
        CHECK(says(walk.verdict, "so it is") && says(walk.cure, table[i].cure));
    }
}

int
main(void)
{
    world_files_in_memory();
    arena_init(&arena, 16 << 20);
    RUN(a_host_that_takes_mail_is_told_with_what_it_offers);
    RUN(the_first_host_that_fails_is_named_and_nothing_is_remembered);
    RUN(no_host_is_a_verdict_too);
    RUN(what_requires_tls_would_come_back);
    RUN(standing_rules_decide_as_they_do_for_mail);
    RUN(each_failure_has_an_owner_and_a_cure);
    arena_done(&arena);
    return check_end();
}
