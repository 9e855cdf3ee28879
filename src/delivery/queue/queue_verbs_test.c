/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* queue_verbs_test.c: what operators see of the queue and do to it. */
#include "delivery/queue/queue_world.h"

/* --- Operators. */

static size_t
list(struct world *world, const char *text, struct arena *arena, struct queue_entry **entries)
{
    struct queue_query query;
    struct why why = {};
    size_t count = 0;
    bool more;

    CHECK(queue_query_parse(str_from(text), &query, &why) == OK);
    CHECK(queue_list(world->queue, &query, 100, arena, entries, &count, &more) == OK);
    return count;
}

static uint64_t
act(struct world *world, enum queue_verb verb, const char *text, bool dry_run)
{
    struct queue_action action = {
        .verb = verb, .dry_run = dry_run, .reason = S("test"), .actor = S("admin")
    };
    struct queue_query query;
    struct why why = {};
    uint64_t count = 0;

    CHECK(queue_query_parse(str_from(text), &query, &why) == OK);
    CHECK(queue_act(world->queue, &query, &action, &count, NULL) == OK);
    sim_advance(SECONDS(2));
    return count;
}

/* Ids, one after the other, as `xargs` gives them. */
static void
several_ids_are_several_messages(struct world *world, struct arena *arena)
{
    struct queue_entry *entries;
    char text[2 * MSGID_TEXT_SIZE + 10], id[2][MSGID_TEXT_SIZE + 1];

    CHECK(list(world, "", arena, &entries) == 2);
    msgid_format(entries[0].id, id[0]);
    msgid_format(entries[1].id, id[1]);
    snprintf(text, sizeof(text), "%s %s", id[0], id[1]);
    CHECK(list(world, text, arena, &entries) == 2);
    CHECK(list(world, id[1], arena, &entries) == 1);
    snprintf(text, sizeof(text), "%s to:bob", id[0]);
    CHECK(list(world, text, arena, &entries) == 1);
}

static void
story_operators(struct world *world)
{
    struct hop *back = hop_at(world, 1, "198.51.100.3");
    struct queue_entry *entries;
    struct arena arena;

    arena_init(&arena, 10 * 1024 * 1024);
    sim_network_fault(addr_of("198.51.100.1"), SIM_FAULT_REFUSE);
    post(world, "me@sender.example", "bob@there.example", 0);
    post(world, "me@sender.example", "carl@there.example", 0);
    sim_advance(SECONDS(5));
    CHECK(list(world, "", &arena, &entries) == 2);
    CHECK_STR(entries[0].sender, "me@sender.example");
    CHECK(entries[0].recipients[0].why.len > 20);
    CHECK(list(world, "to:bob@there.example", &arena, &entries) == 1);
    CHECK(list(world, "domain:there.example age:<1h", &arena, &entries) == 2);
    CHECK(list(world, "age:>1h", &arena, &entries) == 0);
    several_ids_are_several_messages(world, &arena);
    CHECK(act(world, QUEUE_HOLD, "to:bob", true) == 1);
    CHECK(list(world, "state:held", &arena, &entries) == 0);
    CHECK(act(world, QUEUE_HOLD, "to:bob", false) == 1);
    CHECK(list(world, "state:held", &arena, &entries) == 1);
    close_queue(world);
    open_queue(world);
    CHECK(list(world, "state:held", &arena, &entries) == 1);
    sim_advance(HOURS(2));
    CHECK(list(world, "state:held", &arena, &entries) == 1);
    CHECK(act(world, QUEUE_RELEASE, "to:bob", false) == 1);
    CHECK(list(world, "state:held", &arena, &entries) == 0);
    CHECK(act(world, QUEUE_DELETE, "to:carl", false) == 1);
    CHECK(waiting(world) == 1 && back->transactions == 0);
    CHECK(act(world, QUEUE_BOUNCE, "to:bob", false) == 1);
    sim_advance(SECONDS(5));
    CHECK(back->transactions == 1 && heard(back, "Returned by the administrator: test"));
    CHECK(waiting(world) == 0 && spooled(world) == 0);
    arena_done(&arena);
}

static void
operators_list_hold_release_bounce_and_delete(void)
{
    in_world(story_operators, plain_config);
}

static void
story_retry_now(struct world *world)
{
    struct hop *hop;

    sim_network_fault(addr_of("198.51.100.1"), SIM_FAULT_REFUSE);
    post(world, "me@sender.example", "bob@there.example", 0);
    sim_advance(MINUTES(60));
    sim_network_fault(addr_of("198.51.100.1"), SIM_FAULT_NONE);
    hop = hop_at(world, 0, "198.51.100.1");
    CHECK(act(world, QUEUE_RETRY, "", false) == 1);
    CHECK(hop->transactions == 1 && spooled(world) == 0);
}

static void
operators_can_ask_for_an_attempt_now(void)
{
    in_world(story_retry_now, plain_config);
}

/* --- More verbs. */

static uint64_t
act_with(struct world *world, const struct queue_action *wanted, const char *text)
{
    struct queue_action action = *wanted;
    struct queue_query query;
    struct why why = {};
    uint64_t count = 0;

    action.reason = S("test");
    action.actor = S("admin");
    CHECK(queue_query_parse(str_from(text), &query, &why) == OK);
    CHECK(queue_act(world->queue, &query, &action, &count, NULL) == OK);
    sim_advance(SECONDS(2));
    return count;
}

static void
story_delay(struct world *world)
{
    struct queue_action action = { .verb = QUEUE_DELAY, .until = clock_now() + HOURS(3) };
    struct hop *hop = hop_at(world, 0, "198.51.100.1");

    post(world, "me@sender.example", "u451@there.example", 0);
    post(world, "me@sender.example", "u451b@there.example", 0);
    sim_advance(SECONDS(5));
    CHECK(act_with(world, &action, "to:u451@") == 0);
    CHECK(act_with(world, &action, "to:u451@there.example") == 1);
    close_queue(world);
    open_queue(world);
    sim_advance(HOURS(2) + MINUTES(50));
    CHECK(times_heard(hop, "RCPT TO:<u451@") == 1 && times_heard(hop, "RCPT TO:<u451b@") > 2);
    sim_advance(MINUTES(15));
    CHECK(times_heard(hop, "RCPT TO:<u451@") == 2);
}

static void
a_delay_survives_a_restart(void)
{
    in_world(story_delay, plain_config);
}

static void
story_reroute(struct world *world)
{
    struct queue_action action = { .verb = QUEUE_REROUTE, .route = S("smtp://198.51.100.2") };
    struct queue_action back = { .verb = QUEUE_REROUTE };
    struct hop *hop = hop_at(world, 0, "198.51.100.1");
    struct hop *other = hop_at(world, 1, "198.51.100.2");

    sim_network_fault(addr_of("198.51.100.1"), SIM_FAULT_REFUSE);
    post(world, "me@sender.example", "bob@there.example carl@there.example", 0);
    post(world, "me@sender.example", "u451@there.example", 0);
    sim_advance(SECONDS(5));
    CHECK(act_with(world, &action, "to:bob") == 1);
    CHECK(other->transactions == 1 && other->recipients == 1 && waiting(world) == 2);
    CHECK(act_with(world, &action, "to:u451") == 1);
    CHECK(times_heard(other, "RCPT TO:<u451@") == 1);
    close_queue(world);
    open_queue(world);
    sim_advance(HOURS(1));
    CHECK(times_heard(other, "RCPT TO:<u451@") > 1 && !heard(hop, "u451"));
    sim_network_fault(addr_of("198.51.100.1"), SIM_FAULT_NONE);
    CHECK(act_with(world, &back, "to:u451") == 1);
    sim_advance(MINUTES(20)); /* The site is asked again. */
    CHECK(heard(hop, "u451"));
    CHECK(waiting(world) <= 2);
}

static void
a_reroute_concerns_one_recipient_and_survives_a_restart(void)
{
    in_world(story_reroute, plain_config);
}

static void
story_cancel(struct world *world)
{
    struct hop *back = hop_at(world, 1, "198.51.100.3");

    sim_network_fault(addr_of("198.51.100.1"), SIM_FAULT_REFUSE);
    post(world, "me@sender.example", "bob@there.example", 0);
    sim_advance(SECONDS(5));
    CHECK(act(world, QUEUE_CANCEL, "from:me@sender.example", true) == 1 && waiting(world) == 1);
    CHECK(act(world, QUEUE_CANCEL, "from:me@sender.example", false) == 1);
    CHECK(waiting(world) == 0 && spooled(world) == 0 && back->transactions == 0);
}

static void
what_has_not_left_is_taken_back(void)
{
    in_world(story_cancel, plain_config);
}

/* --- Counts. */

static void
story_counts(struct world *world)
{
    struct queue_cluster *clusters;
    struct shape_group *groups;
    struct queue_query query;
    uint64_t one_in;
    struct arena arena;
    struct why why = {};
    size_t count;

    arena_init(&arena, 10 * 1024 * 1024);
    (void)hop_at(world, 0, "198.51.100.1");
    sim_network_fault(addr_of("198.51.100.2"), SIM_FAULT_REFUSE);
    for (unsigned i = 0; i < 5; i++)
        post(world, "me@sender.example", "u451a@there.example u451b@there.example", 0);
    for (unsigned i = 0; i < 3; i++)
        post(world, "you@else.example", "bob@other.example", 0);
    sim_advance(MINUTES(7));
    CHECK(queue_query_parse(S(""), &query, &why) == OK);
    CHECK(queue_shape(world->queue, &query, SHAPE_DOMAIN, &arena, &groups, &count, &one_in) == OK);
    CHECK(count == 2 && groups[0].total == 10 && groups[1].total == 3);
    CHECK_STR(groups[0].name, "there.example");
    CHECK(groups[0].ages[0] == 0 && groups[0].ages[1] == 10);
    CHECK(queue_shape(world->queue, &query, SHAPE_SENDER, &arena, &groups, &count, &one_in) == OK);
    CHECK(count == 2 && groups[0].total == 10);
    CHECK_STR(groups[0].name, "me@sender.example");
    CHECK(queue_clusters(world->queue, &query, &arena, &clusters, &count, &one_in) == OK);
    CHECK(count >= 2 && clusters[0].count == 10);
    CHECK_STR(clusters[0].reason, "451 4.7.1 greylisted");
    CHECK_STR(clusters[0].class, "greylisted");
    CHECK(clusters[0].command_count > 0 && clusters[0].summary.len > 0);
    CHECK(queue_query_parse(clusters[0].words, &query, &why) == OK);
    CHECK(queue_clusters(world->queue, &query, &arena, &clusters, &count, &one_in) == OK);
    CHECK(count == 1 && clusters[0].count == 10);
    CHECK(one_in == 1);
    CHECK(queue_query_parse(S("domain:there.example"), &query, &why) == OK);
    query.looks_max = 2;
    CHECK(queue_clusters(world->queue, &query, &arena, &clusters, &count, &one_in) == OK);
    CHECK(one_in == 3 && count == 1 && clusters[0].count == 12);
    CHECK(act(world, QUEUE_HOLD, "domain:there.example to:u451a", false) == 5);
    CHECK(queue_query_parse(S("state:held"), &query, &why) == OK);
    CHECK(queue_clusters(world->queue, &query, &arena, &clusters, &count, &one_in) == OK);
    CHECK(count == 1 && clusters[0].count == 5);
    CHECK_STR(clusters[0].reason, "held by an operator");
    arena_done(&arena);
}

static void
what_waits_is_counted_by_age_and_by_reason(void)
{
    in_world(story_counts, plain_config);
}

static void
story_words(struct world *world)
{
    static const struct {
        const char *query;
        size_t count;
    } rows[] = {
        { "", 2 },
        { "class:greylisted", 1 },
        { "not:class:greylisted", 1 },
        { "cluster:451-4.7.1", 1 },
        { "cluster:451", 1 },
        { "cluster:4.7.1", 1 },
        { "cluster:450-4.7.1", 0 },
        { "attempts:>=1 site:mx.there.example", 1 },
        { "attempts:>5", 0 },
        { "size:<1k", 2 },
        { "size:>5M", 0 },
        { "route:mx:there", 1 },
        { "not:domain:there.example", 1 },
        { "domain:other.example not:state:running", 1 },
        { "lane:personal", 2 },
        { "not:lane:personal", 0 },
        { "rule:0", 2 },
        { "from:@sender.example", 1 },
        { "from:@M\xc3\xbcnchen.example", 1 },
        { "from:me@m\xc3\xbcnchen.example", 1 },
        { "not:from:me@m\xc3\xbcnchen.example", 1 },
        { "from:<>", 0 },
        { "msgid:nobody", 0 },
    };
    struct queue_entry *entries;
    struct arena arena;

    (void)hop_at(world, 0, "198.51.100.1");
    sim_network_fault(addr_of("198.51.100.2"), SIM_FAULT_REFUSE);
    post(world, "me@sender.example", "u451@there.example", 0);
    post(world, "me@xn--mnchen-3ya.example", "bob@other.example", 0);
    sim_advance(SECONDS(5));
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        size_t found;
        arena_init(&arena, 10 * 1024 * 1024);
        found = list(world, rows[i].query, &arena, &entries);
        if (found != rows[i].count)
            printf("%s: %zu\n", rows[i].query, found);
        CHECK(found == rows[i].count);
        arena_done(&arena);
    }
}

static void
each_word_of_a_query_finds_what_it_names(void)
{
    in_world(story_words, plain_config);
}

static void
story_why(struct world *world)
{
    struct queue_entry *entries;
    struct queue_story story;
    struct arena arena;

    arena_init(&arena, 10 * 1024 * 1024);
    (void)hop_at(world, 0, "198.51.100.1");
    post(world, "me@sender.example", "u451@there.example", 0);
    sim_advance(SECONDS(5));
    CHECK(list(world, "", &arena, &entries) == 1);
    CHECK(queue_tell(world->queue, &entries[0], &entries[0].recipients[0], &arena, &story) == OK);
    CHECK_STR(story.class, "greylisted");
    CHECK(str_find_str(story.text, S("451 4.7.1 greylisted")) > 0);
    CHECK(str_find_str(story.text, S("mx.there.example")) > 0);
    CHECK(story.others == 0 && story.advice.len > 0 && story.command_count > 0);
    CHECK(str_starts(story.commands[0], S("outpost queue retry ")));
    arena_done(&arena);
}

static void
a_paragraph_tells_why_mail_waits(void)
{
    in_world(story_why, plain_config);
}

/* A site that sends everybody away at its greeting: nobody's own attempt has an answer. */
static void
story_refused_before_mail(struct world *world)
{
    static const char *const queries[] = { "class:rate_limited", "cluster:421-4.7.28",
                                           "cluster:4.7.28" };
    struct hop *hop = hop_at(world, 0, "198.51.100.1");
    struct queue_entry *entries;
    struct queue_story story;
    char cluster[40];
    struct arena arena;

    arena_init(&arena, 10 * 1024 * 1024);
    hop->greeting = "421 4.7.28 Our system has detected an unusual rate of mail\r\n";
    post(world, "me@sender.example", "first@there.example", 0);
    sim_advance(SECONDS(5));
    post(world, "me@sender.example", "second@there.example", 0);
    sim_advance(SECONDS(1));
    CHECK(hop->connections > 0 && list(world, "", &arena, &entries) == 2);
    for (size_t i = 0; i < COUNT_OF(queries); i++) {
        if (list(world, queries[i], &arena, &entries) != 2)
            printf("%s: not both\n", queries[i]);
        CHECK(list(world, queries[i], &arena, &entries) == 2);
    }
    CHECK(list(world, "", &arena, &entries) == 2);
    for (size_t i = 0; i < 2; i++) {
        struct queue_entry *found;

        CHECK(queue_tell(world->queue, &entries[i], &entries[i].recipients[0], &arena, &story) ==
              OK);
        CHECK(str_find_str(story.text, S("421 4.7.28 Our system")) > 0);
        CHECK(str_find_str(story.text, S("never tried")) < 0);
        CHECK_STR(story.class, "rate_limited");
        snprintf(cluster, sizeof(cluster), "cluster:%s", story.cluster);
        CHECK(list(world, cluster, &arena, &found) == 2);
    }
    arena_done(&arena);
}

static void
what_was_refused_before_it_was_tried_is_found_by_the_refusal(void)
{
    in_world(story_refused_before_mail, plain_config);
}

static void
queries_that_make_no_sense_say_how(void)
{
    struct queue_query query;
    struct why why = {};

    CHECK(queue_query_parse(S("colour:red"), &query, &why) == ERR_SYNTAX);
    CHECK(str_find_str(str_from(why.text), S("domain:")) >= 0);
    CHECK(queue_query_parse(S("domain:a..example"), &query, &why) == ERR_SYNTAX);
    CHECK(queue_query_parse(S("to:@a..example"), &query, &why) == ERR_SYNTAX);
    CHECK(queue_query_parse(S("domain:M\xc3\xbcnchen.example"), &query, &why) == OK);
    CHECK(queue_query_parse(S("age:2h"), &query, &why) == ERR_SYNTAX);
    CHECK(queue_query_parse(S("size:5M"), &query, &why) == ERR_SYNTAX);
    CHECK(queue_query_parse(S("lane:fast"), &query, &why) == ERR_SYNTAX);
    CHECK(queue_query_parse(S("class:odd"), &query, &why) == ERR_SYNTAX);
    CHECK(queue_query_parse(S("site:"), &query, &why) == ERR_SYNTAX);
    CHECK(queue_query_parse(S("from:"), &query, &why) == ERR_SYNTAX);
    CHECK(queue_query_parse(S("to:"), &query, &why) == ERR_SYNTAX);
    CHECK(queue_query_parse(S("from:<>"), &query, &why) == OK);
    CHECK(queue_query_parse(S("state:lost"), &query, &why) == ERR_SYNTAX);
    CHECK(queue_query_parse(S("nonsense"), &query, &why) == ERR_SYNTAX);
    CHECK(queue_query_parse(S(" to:a  from:b "), &query, &why) == OK && query.count == 2);
}

int
main(void)
{
    world_files_in_memory();
    RUN(operators_list_hold_release_bounce_and_delete);
    RUN(operators_can_ask_for_an_attempt_now);
    RUN(a_delay_survives_a_restart);
    RUN(a_reroute_concerns_one_recipient_and_survives_a_restart);
    RUN(what_has_not_left_is_taken_back);
    RUN(what_waits_is_counted_by_age_and_by_reason);
    RUN(each_word_of_a_query_finds_what_it_names);
    RUN(a_paragraph_tells_why_mail_waits);
    RUN(what_was_refused_before_it_was_tried_is_found_by_the_refusal);
    RUN(queries_that_make_no_sense_say_how);
    return check_end();
}
