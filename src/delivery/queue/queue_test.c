/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* queue_test.c: messages from the spool to next hops, mailboxes and back, in the simulated world.
 */
#include "delivery/queue/queue_world.h"

/* --- Stories. */

static void
story_mx(struct world *world)
{
    struct hop *hop = hop_at(world, 0, "198.51.100.1");

    post(world, "me@sender.example", "bob@there.example", 0);
    sim_advance(SECONDS(1));
    CHECK(hop->transactions == 1 && heard(hop, "MAIL FROM:<me@sender.example>"));
    CHECK(heard(hop, "RCPT TO:<bob@there.example>") && heard(hop, "\r\nbody\r\n.\r\n"));
    CHECK(spooled(world) == 0 && waiting(world) == 0);
}

static void
a_message_goes_to_the_mx_and_leaves_the_spool(void)
{
    in_world(story_mx, plain_config);
}

static void
story_reuse(struct world *world)
{
    struct hop *hop = hop_at(world, 0, "198.51.100.1");

    post(world, "me@sender.example", "bob@there.example", 0);
    sim_advance(SECONDS(1));
    for (unsigned i = 0; i < 5; i++) {
        post(world, "me@sender.example", "bob@there.example", 0);
        sim_advance(SECONDS(1));
    }
    CHECK(hop->transactions == 6 && hop->connections == 1);
    sim_advance(SECONDS(5));
    CHECK(times_heard(hop, "QUIT") == 1 && spooled(world) == 0);
}

static void
a_connection_serves_what_comes_soon_after(void)
{
    in_world(story_reuse, plain_config);
}

static void
story_many(struct world *world)
{
    struct hop *hop = hop_at(world, 0, "198.51.100.1");
    char recipients[100 * 24 + 1] = "";

    for (unsigned i = 0; i < 100; i++)
        (void)snprintf(recipients + strlen(recipients), 25, "%su%u@there.example", i ? " " : "", i);
    post(world, "me@sender.example", recipients, 0);
    sim_advance(SECONDS(1));
    CHECK(hop->transactions == 1 && hop->recipients == 100 && spooled(world) == 0);
}

static void
a_hundred_recipients_at_one_site_are_one_transaction(void)
{
    in_world(story_many, plain_config);
}

static void
story_limits(struct world *world)
{
    struct hop *hop = hop_at(world, 0, "198.51.100.1");

    hop->extensions = "250-hop\r\n250-PIPELINING\r\n250 LIMITS RCPTMAX=2\r\n";
    post(world, "me@sender.example", "a@there.example b@there.example c@there.example", 0);
    sim_advance(SECONDS(1));
    CHECK(hop->transactions == 2 && hop->recipients == 3 && spooled(world) == 0);
}

static void
the_peers_limit_of_recipients_is_kept(void)
{
    in_world(story_limits, plain_config);
}

static void
story_surplus(struct world *world)
{
    struct hop *hop = hop_at(world, 0, "198.51.100.1");

    hop->recipients_max = 2;
    post(world, "me@sender.example",
         "a@there.example b@there.example u451@there.example c@there.example d@there.example "
         "e@there.example",
         0);
    sim_advance(SECONDS(2));
    CHECK(hop->transactions == 3 && hop->recipients == 5 && waiting(world) == 1);
}

static void
recipients_that_were_too_many_follow_at_once(void)
{
    in_world(story_surplus, plain_config);
}

static void
story_bounce(struct world *world)
{
    struct hop *hop = hop_at(world, 0, "198.51.100.1");
    struct hop *back = hop_at(world, 1, "198.51.100.3");

    post(world, "me@sender.example", "u550@there.example bob@there.example", 0);
    sim_advance(SECONDS(10));
    CHECK(hop->transactions == 1 && hop->recipients == 1);
    CHECK(back->transactions == 1 && heard(back, "MAIL FROM:<>"));
    CHECK(heard(back, "RCPT TO:<me@sender.example>"));
    CHECK(heard(back, "Final-Recipient: rfc822;u550@there.example") ||
          heard(back, "Final-Recipient: rfc822; u550@there.example"));
    CHECK(heard(back, "Status: 5.1.1") && heard(back, "no such user"));
    CHECK(heard(back, "Subject: hello") && !heard(back, "bob@there.example"));
    CHECK(spooled(world) == 0);
}

static void
a_refused_recipient_is_reported_to_the_sender(void)
{
    in_world(story_bounce, plain_config);
}

static void
story_no_bounce(struct world *world)
{
    struct hop *hop = hop_at(world, 0, "198.51.100.1");

    post(world, "", "u550@there.example", 0);
    post(world, "u550@there.example", "u550@there.example", 0);
    post(world, "me@sender.example", "u550@there.example", NOTIFY_NEVER);
    sim_advance(SECONDS(10));
    CHECK(hop->transactions == 0 && times_heard(hop, "RCPT TO:<u550") == 4);
    CHECK(spooled(world) == 0 && waiting(world) == 0);
}

static void
nobody_is_told_of_what_has_no_sender_or_is_a_report(void)
{
    in_world(story_no_bounce, plain_config);
}

static void
story_retry(struct world *world)
{
    struct hop *hop = hop_at(world, 0, "198.51.100.1");

    post(world, "me@sender.example", "u451@there.example", 0);
    sim_advance(SECONDS(10));
    CHECK(times_heard(hop, "RCPT") == 1 && waiting(world) == 1);
    sim_advance(MINUTES(6));
    CHECK(times_heard(hop, "RCPT") == 2);
    sim_advance(MINUTES(8));
    CHECK(times_heard(hop, "RCPT") == 2);
    sim_advance(MINUTES(4));
    CHECK(times_heard(hop, "RCPT") == 3 && spooled(world) == 1);
}

static void
a_temporary_refusal_is_tried_again_ever_more_rarely(void)
{
    in_world(story_retry, plain_config);
}

static void
story_dead(struct world *world)
{
    struct hop *other = hop_at(world, 1, "198.51.100.2");
    struct hop *hop;

    sim_network_fault(addr_of("198.51.100.1"), SIM_FAULT_SILENT);
    for (unsigned i = 0; i < 50; i++)
        post(world, "me@sender.example", "bob@there.example", 0);
    post(world, "me@sender.example", "eve@other.example", 0);
    sim_advance(SECONDS(2));
    CHECK(other->transactions == 1);
    sim_advance(HOURS(1));
    CHECK(waiting(world) == 50);
    sim_network_fault(addr_of("198.51.100.1"), SIM_FAULT_NONE);
    hop = hop_at(world, 0, "198.51.100.1");
    sim_advance(HOURS(3));
    CHECK(hop->transactions == 50 && waiting(world) == 0 && spooled(world) == 0);
}

static void
a_dead_site_delays_only_its_own_mail(void)
{
    in_world(story_dead, plain_config);
}

enum {
    SILENT_DOMAINS = 40
};

static const char few_connections_config[] = "server { hostname here.example; }\n"
                                             "delivery { connections_max 8; }\n";

static void
story_many_dead(struct world *world)
{
    struct hop *hop = hop_at(world, 0, "198.51.100.1");

    for (unsigned i = 0; i < SILENT_DOMAINS; i++) {
        char domain[64], host[64], to[64], addr[64];
        (void)snprintf(domain, sizeof(domain), "silent%u.example", i);
        (void)snprintf(host, sizeof(host), "mx.silent%u.example", i);
        (void)snprintf(to, sizeof(to), "bob@silent%u.example", i);
        (void)snprintf(addr, sizeof(addr), "203.0.113.%u", 1 + i);
        dns(domain, DNS_MX, 10, host);
        dns(host, DNS_A, 0, addr);
        sim_network_fault(addr_of(addr), SIM_FAULT_SILENT);
        post(world, "me@sender.example", to, 0);
    }
    post(world, "me@sender.example", "bob@there.example", 0);
    /* With 30 s for each, 8 at a time, its turn would come after two minutes. */
    sim_advance(SECONDS(35));
    CHECK(hop->transactions == 1);
}

static void
silent_sites_do_not_keep_all_connections(void)
{
    in_world(story_many_dead, few_connections_config);
}

static void
story_second_host(struct world *world)
{
    struct hop *busy = hop_at(world, 0, "198.51.100.1");
    struct hop *second = hop_at(world, 1, "198.51.100.9");

    busy->greets_421 = true;
    dns("there.example", DNS_MX, 20, "mx2.there.example");
    dns("mx2.there.example", DNS_A, 0, "198.51.100.9");
    post(world, "me@sender.example", "bob@there.example", 0);
    sim_advance(SECONDS(5));
    CHECK(busy->connections == 1 && second->transactions == 1 && spooled(world) == 0);
}

static void
the_next_host_takes_what_the_first_does_not(void)
{
    in_world(story_second_host, plain_config);
}

static void
story_expiry(struct world *world)
{
    struct hop *back = hop_at(world, 1, "198.51.100.3");

    sim_network_fault(addr_of("198.51.100.1"), SIM_FAULT_REFUSE);
    post(world, "me@sender.example", "bob@there.example", 0);
    sim_advance(HOURS(3));
    CHECK(back->transactions == 0);
    sim_advance(HOURS(2));
    CHECK(back->transactions == 1 && heard(back, "Action: delayed"));
    sim_advance(DAYS(4));
    CHECK(back->transactions == 1 && waiting(world) == 1);
    sim_advance(DAYS(1));
    CHECK(back->transactions == 2 && heard(back, "Action: failed"));
    CHECK(spooled(world) == 0 && waiting(world) == 0);
}

static void
a_late_message_is_reported_and_one_whose_time_is_over_returned(void)
{
    in_world(story_expiry, plain_config);
}

static void
story_uncertain(struct world *world)
{
    struct queue_entry *entries = NULL;
    struct queue_query query;
    struct arena arena;
    struct why why;
    size_t count = 0;
    bool more;
    struct hop *hop = hop_at(world, 0, "198.51.100.1");

    hop->cuts_after_dot = 1;
    post(world, "me@sender.example", "bob@there.example", 0);
    sim_advance(SECONDS(10));
    CHECK(hop->transactions == 1 && waiting(world) == 1);
    CHECK(queue_query_parse(S(""), &query, &why) == OK);
    arena_init(&arena, 1000000);
    CHECK(queue_list(world->queue, &query, 1, &arena, &entries, &count, &more) == OK);
    CHECK(count == 1 && str_ends(entries[0].recipients[0].text, S("it may arrive twice")));
    arena_done(&arena);
    sim_advance(MINUTES(20));
    CHECK(hop->transactions == 2 && spooled(world) == 0);
}

static void
without_an_answer_to_the_dot_it_is_sent_again(void)
{
    in_world(story_uncertain, plain_config);
}

static void
story_answers_of_dns(struct world *world)
{
    struct hop *back = hop_at(world, 1, "198.51.100.3");

    dns("null.example", DNS_MX, 0, "");
    dns("loop.example", DNS_MX, 10, "here.example");
    post(world, "me@sender.example", "bob@null.example", 0);
    sim_advance(SECONDS(10));
    CHECK(back->transactions == 1 && heard(back, "Status: 5.1.10"));
    post(world, "me@sender.example", "bob@loop.example", 0);
    sim_advance(SECONDS(10));
    CHECK(back->transactions == 2 && heard(back, "Status: 5.4.6"));
    post(world, "me@sender.example", "bob@nowhere.example", 0);
    sim_advance(SECONDS(10));
    CHECK(back->transactions == 3 && heard(back, "Status: 5.1.2"));
    CHECK(spooled(world) == 0);
    sim_dns_fail("broken.example", DNS_TEMPORARY);
    post(world, "me@sender.example", "bob@broken.example", 0);
    sim_advance(MINUTES(30));
    CHECK(back->transactions == 3 && waiting(world) == 1);
}

static void
the_dns_decides_between_never_and_later(void)
{
    in_world(story_answers_of_dns, plain_config);
}

static void
story_relay(struct world *world)
{
    struct hop *hop = hop_at(world, 0, "198.51.100.77");

    post(world, "me@sender.example", "bob@there.example eve@other.example", 0);
    sim_advance(SECONDS(2));
    CHECK(hop->transactions == 1 && hop->recipients == 2 && spooled(world) == 0);
}

static void
a_relay_takes_all_domains_in_one_transaction(void)
{
    in_world(story_relay,
             "server { hostname here.example; }\nrelay { to smtp://198.51.100.77:25; }\n");
}

static uint64_t
messages_of(struct world *world, int64_t account)
{
    struct mailbox_usage usage = {};
    struct mailbox *mailbox = NULL;
    struct why why;

    CHECK(mailbox_open(world->mailstore, account, &mailbox, &why) == OK);
    CHECK(mailbox_usage(mailbox, &usage) == OK);
    mailbox_close(mailbox);
    return usage.messages;
}

static void
story_local(struct world *world)
{
    struct hop *hop = hop_at(world, 0, "198.51.100.1");
    struct hop *back = hop_at(world, 1, "198.51.100.3");
    struct why why;

    CHECK(accounts_add_alias(world->accounts, S("all@here.example"), S("ann@here.example"), &why) ==
          OK);
    CHECK(accounts_add_alias(world->accounts, S("all@here.example"), S("bob@there.example"),
                             &why) == OK);
    post(world, "me@sender.example", "ann@here.example", 0);
    sim_advance(SECONDS(1));
    CHECK(messages_of(world, 1) == 1 && spooled(world) == 0);
    post(world, "me@sender.example", "all@here.example", 0);
    sim_advance(SECONDS(5));
    CHECK(messages_of(world, 1) == 2 && hop->transactions == 1);
    CHECK(heard(hop, "Delivered-To: all@here.example") && heard(hop, "<bob@there.example>"));
    post(world, "me@sender.example", "nobody@here.example", 0);
    sim_advance(SECONDS(5));
    CHECK(back->transactions == 1 && heard(back, "Status: 5.1.1") && spooled(world) == 0);
}

static void
local_mail_goes_to_mailboxes_and_on_from_aliases(void)
{
    in_world(story_local, plain_config);
}

static void
story_alias_loop(struct world *world)
{
    struct hop *back = hop_at(world, 1, "198.51.100.3");
    struct why why;

    world->content = "Delivered-To: ann@here.example\r\nFrom: me@sender.example\r\n\r\nbody\r\n";
    CHECK(accounts_add_alias(world->accounts, S("all@here.example"), S("ann@here.example"), &why) ==
          OK);
    post(world, "me@sender.example", "all@here.example", 0);
    sim_advance(SECONDS(5));
    CHECK(messages_of(world, 1) == 0 && spooled(world) == 0);
    CHECK(back->transactions == 1 && heard(back, "Status: 5.4.6"));
}

static void
what_an_alias_cannot_give_to_a_mailbox_comes_back(void)
{
    in_world(story_alias_loop, plain_config);
}

static void
story_note_lost(struct world *world)
{
    struct hop *hop = hop_at(world, 0, "198.51.100.1");
    struct hop *other;

    sim_network_fault(addr_of("198.51.100.2"), SIM_FAULT_REFUSE);
    post(world, "me@sender.example", "bob@there.example carl@other.example", 0);
    disk_sim_fail_at(world->disk, disk_sim_operations(world->disk) + 1, 1000000, ERR_IO);
    sim_advance(SECONDS(5));
    CHECK(hop->transactions == 1 && waiting(world) == 1);
    disk_sim_fail_at(world->disk, 0, 0, OK);
    sim_network_fault(addr_of("198.51.100.2"), SIM_FAULT_NONE);
    other = hop_at(world, 1, "198.51.100.2");
    sim_advance(HOURS(2));
    CHECK(other->transactions == 1 && waiting(world) == 0 && spooled(world) == 0);
}

static void
a_note_that_was_not_written_keeps_no_message_in_the_spool(void)
{
    in_world(story_note_lost, plain_config);
}

static void
story_long_report(struct world *world)
{
    struct hop *hop = hop_at(world, 0, "198.51.100.1");
    struct hop *back = hop_at(world, 1, "198.51.100.3");
    static char recipients[RECIPIENTS_KEPT * 300];
    static char original[500];
    char domain[200];
    size_t len = 0;

    (void)snprintf(domain, sizeof(domain), "x%050d.x%050d.x%050d.example", 1, 2, 3);
    dns(domain, DNS_MX, 10, "mx.there.example");
    (void)snprintf(original, sizeof(original), "rfc822;%0*d@there.example", 470, 1);
    world->original = original;
    for (unsigned i = 0; i < RECIPIENTS_KEPT; i++)
        len += (size_t)snprintf(recipients + len, sizeof(recipients) - len, "%sverbose%050u@%s",
                                i ? " " : "", i, domain);
    post(world, "me@sender.example", recipients, 0);
    sim_advance(MINUTES(2));
    CHECK(times_heard(hop, "RCPT TO") == RECIPIENTS_KEPT && hop->transactions == 0);
    CHECK(waiting(world) == 0 && spooled(world) == 0);
    CHECK(back->transactions >= 2 && heard(back, "RCPT TO:<me@sender.example>"));
}

static void
a_report_that_grows_too_large_becomes_several(void)
{
    in_world(story_long_report, "server { hostname here.example; }\n"
                                "delivery { recipients_per_transaction 1000; }\n");
}

static void
story_forwarded_late(struct world *world)
{
    struct hop *hop = hop_at(world, 0, "198.51.100.1");
    const str bob = S("bob@there.example");
    struct why why;

    CHECK(accounts_set_quota(world->accounts, S("ann@here.example"), 1, &why) == OK);
    post(world, "me@sender.example", "ann@here.example", 0);
    sim_advance(SECONDS(5));
    CHECK(waiting(world) == 1 && messages_of(world, 1) == 0);
    CHECK(accounts_set_alias(world->accounts, S("ann@here.example"), &bob, 1, true, &why) == OK);
    sim_advance(MINUTES(10));
    CHECK(hop->transactions == 1 && waiting(world) == 1);
    close_queue(world);
    open_queue(world);
    sim_advance(HOURS(1));
    CHECK(hop->transactions == 1 && waiting(world) == 1);
    CHECK(accounts_set_quota(world->accounts, S("ann@here.example"), 0, &why) == OK);
    sim_advance(HOURS(2));
    CHECK(hop->transactions == 1 && messages_of(world, 1) == 1 && spooled(world) == 0);
}

static void
what_waited_for_a_full_mailbox_goes_on_once_when_it_is_forwarded(void)
{
    in_world(story_forwarded_late, plain_config);
}

static void
story_success(struct world *world)
{
    struct hop *hop = hop_at(world, 0, "198.51.100.1");
    struct hop *back = hop_at(world, 1, "198.51.100.3");

    post(world, "me@sender.example", "bob@there.example", NOTIFY_SUCCESS);
    sim_advance(SECONDS(5));
    CHECK(hop->transactions == 1 && back->transactions == 1 && heard(back, "Action: relayed"));
    post(world, "me@sender.example", "ann@here.example", NOTIFY_SUCCESS);
    sim_advance(SECONDS(5));
    CHECK(back->transactions == 2 && heard(back, "Action: delivered"));
    hop->extensions = "250-hop\r\n250-PIPELINING\r\n250 DSN\r\n";
    sim_advance(SECONDS(10));
    post(world, "me@sender.example", "bob@there.example", NOTIFY_SUCCESS);
    sim_advance(SECONDS(5));
    CHECK(back->transactions == 2 && heard(hop, "NOTIFY=SUCCESS"));
    CHECK(spooled(world) == 0);
}

static void
success_is_reported_when_asked_for_by_whoever_sees_it_last(void)
{
    in_world(story_success, plain_config);
}

static void
story_restart(struct world *world)
{
    struct hop *hop;

    sim_network_fault(addr_of("198.51.100.1"), SIM_FAULT_REFUSE);
    post(world, "me@sender.example", "bob@there.example carl@there.example", 0);
    sim_advance(MINUTES(1));
    close_queue(world);
    sim_network_fault(addr_of("198.51.100.1"), SIM_FAULT_NONE);
    hop = hop_at(world, 0, "198.51.100.1");
    open_queue(world);
    CHECK(waiting(world) == 2);
    sim_advance(MINUTES(1));
    CHECK(hop->transactions == 0);
    sim_advance(MINUTES(10));
    CHECK(hop->transactions == 1 && hop->recipients == 2 && spooled(world) == 0);
}

static void
after_a_restart_everything_goes_on_where_it_was(void)
{
    in_world(story_restart, plain_config);
}

static void
story_stop(struct world *world)
{
    struct hop *hop = hop_at(world, 0, "198.51.100.1");

    hop->extensions = "250-hop\r\n250-PIPELINING\r\n250 LIMITS RCPTMAX=1\r\n";
    hop->stalls_at = 2;
    post(world, "me@sender.example", "bob@there.example carl@there.example", 0);
    sim_advance(SECONDS(2));
    CHECK(hop->transactions == 2 && waiting(world) == 2);
    close_queue(world);
    open_queue(world);
    CHECK(waiting(world) == 1);
    sim_advance(MINUTES(20));
    CHECK(hop->transactions == 3 && times_heard(hop, "<bob@") == 1 && spooled(world) == 0);
}

static void
what_was_delivered_when_all_is_stopped_is_not_delivered_again(void)
{
    in_world(story_stop, plain_config);
}

int
main(void)
{
    world_files_in_memory();
    RUN(a_message_goes_to_the_mx_and_leaves_the_spool);
    RUN(a_connection_serves_what_comes_soon_after);
    RUN(a_hundred_recipients_at_one_site_are_one_transaction);
    RUN(the_peers_limit_of_recipients_is_kept);
    RUN(recipients_that_were_too_many_follow_at_once);
    RUN(a_refused_recipient_is_reported_to_the_sender);
    RUN(nobody_is_told_of_what_has_no_sender_or_is_a_report);
    RUN(a_temporary_refusal_is_tried_again_ever_more_rarely);
    RUN(a_dead_site_delays_only_its_own_mail);
    RUN(silent_sites_do_not_keep_all_connections);
    RUN(the_next_host_takes_what_the_first_does_not);
    RUN(a_late_message_is_reported_and_one_whose_time_is_over_returned);
    RUN(without_an_answer_to_the_dot_it_is_sent_again);
    RUN(the_dns_decides_between_never_and_later);
    RUN(a_relay_takes_all_domains_in_one_transaction);
    RUN(local_mail_goes_to_mailboxes_and_on_from_aliases);
    RUN(what_an_alias_cannot_give_to_a_mailbox_comes_back);
    RUN(a_note_that_was_not_written_keeps_no_message_in_the_spool);
    RUN(a_report_that_grows_too_large_becomes_several);
    RUN(what_waited_for_a_full_mailbox_goes_on_once_when_it_is_forwarded);
    RUN(success_is_reported_when_asked_for_by_whoever_sees_it_last);
    RUN(after_a_restart_everything_goes_on_where_it_was);
    RUN(what_was_delivered_when_all_is_stopped_is_not_delivered_again);
    return check_end();
}
