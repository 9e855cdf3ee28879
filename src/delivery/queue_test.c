/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* queue_test.c: messages from the spool to next hops, mailboxes and back, in the simulated world.
 *
 * A hop is a server of a few lines at an address; its manners come from its fields and from the
 * local parts of recipients: "u550" is unknown, "u451" is to come again.
 */
#include "delivery/queue.h"

#include "accounts/account.h"
#include "base/rand.h"
#include "config/config.h"
#include "runtime/clock.h"
#include "runtime/fiber.h"
#include "runtime/listener.h"
#include "runtime/sim.h"
#include "runtime/stream.h"
#include "store/disk_sim.h"
#include "store/mailbox.h"
#include "store/spool.h"
#include "store/temp_dir.h"

#include "check.h"

#include <string.h>

enum {
    HOPS = 4,
    TEXT_KEPT = 512 * 1024
};

struct hop {
    struct listener *listener;
    unsigned connections;
    unsigned transactions; /* Messages taken. */
    unsigned recipients;
    unsigned cuts_after_dot; /* So many times. */
    bool greets_421;
    bool hangs;
    const char *extensions;
    char text[TEXT_KEPT]; /* Envelopes and contents, one after the other. */
    size_t text_len;
};

struct world {
    struct temp_dir dir;
    struct disk_sim *disk;
    struct config *config;
    struct accounts *accounts;
    struct mailstore *mailstore;
    struct spool *spool;
    struct queue *queue;
    struct hop hops[HOPS];
};

/* --- Hops. */

static void
keep(struct hop *hop, str bytes)
{
    size_t len = MIN(bytes.len, TEXT_KEPT - hop->text_len);

    memcpy(hop->text + hop->text_len, bytes.ptr, len);
    hop->text_len += len;
}

static bool
heard(const struct hop *hop, const char *text)
{
    return str_find_str((str){ hop->text, hop->text_len }, str_from(text)) >= 0;
}

static unsigned
times_heard(const struct hop *hop, const char *text)
{
    str rest = { hop->text, hop->text_len };
    unsigned count = 0;
    ssize_t at;

    while ((at = str_find_str(rest, str_from(text))) >= 0) {
        rest = str_skip(rest, (size_t)at + 1);
        count++;
    }
    return count;
}

static const char *
answer_to(struct hop *hop, str line, unsigned *accepted)
{
    if (str_starts(line, S("EHLO")))
        return hop->extensions ? hop->extensions : "250-hop\r\n250 PIPELINING\r\n";
    if (str_starts(line, S("MAIL")))
        *accepted = 0;
    if (str_starts(line, S("MAIL")) || str_starts(line, S("RSET")))
        return "250 2.1.0 ok\r\n";
    if (str_starts(line, S("RCPT TO:<u550")))
        return "550 5.1.1 no such user\r\n";
    if (str_starts(line, S("RCPT TO:<u451")))
        return "451 4.7.1 greylisted\r\n";
    if (str_starts(line, S("RCPT"))) {
        (*accepted)++;
        return "250 2.1.5 ok\r\n";
    }
    if (str_starts(line, S("DATA")))
        return *accepted ? "354 go\r\n" : "503 5.5.1 nobody\r\n";
    return str_starts(line, S("QUIT")) ? "221 bye\r\n" : "500 what\r\n";
}

static enum err
take_content(struct hop *hop, struct stream *stream, unsigned accepted)
{
    str line;
    enum err e;

    do {
        e = stream_read_line(stream, 4096, &line);
        if (!e)
            keep(hop, line);
    } while (!e && !str_eq(line, S(".\r\n")));
    if (e)
        return e;
    hop->transactions++;
    hop->recipients += accepted;
    if (hop->cuts_after_dot > 0) {
        hop->cuts_after_dot--;
        return ERR_CLOSED;
    }
    return stream_write(stream, S("250 2.0.0 taken\r\n"));
}

static void
converse(struct hop *hop, struct stream *stream)
{
    unsigned accepted = 0;
    enum err e = stream_write(stream, S("220 hop\r\n"));

    while (!e) {
        const char *answer;
        str line;
        e = stream_read_line(stream, 4096, &line);
        if (e)
            return;
        keep(hop, line);
        answer = answer_to(hop, line, &accepted);
        e = stream_write(stream, str_from(answer));
        if (!e && str_starts(str_from(answer), S("354")))
            e = take_content(hop, stream, accepted);
        if (str_starts(str_from(answer), S("221")))
            break;
    }
}

static void
serve(void *arg, struct stream *stream)
{
    struct hop *hop = arg;
    enum err e = OK;

    hop->connections++;
    stream_set_deadline(stream, NEVER);
    if (hop->hangs)
        e = fiber_sleep(DAYS(1));
    else if (hop->greets_421)
        e = stream_write(stream, S("421 4.3.2 too busy\r\n"));
    else
        converse(hop, stream);
    (void)e;
    e = stream_flush(stream);
    stream_close(stream);
}

static ipaddr
addr_of(const char *text)
{
    ipaddr addr = {};

    CHECK(ipaddr_parse(str_from(text), &addr));
    return addr;
}

static void
dns(const char *name, enum dns_type type, uint16_t preference, const char *value)
{
    struct dns_record record = { .preference = preference };

    if (type == DNS_MX)
        record.name = str_from(value);
    else
        record.addr = addr_of(value);
    sim_dns_add(name, type, &record, false);
}

static struct hop *
hop_at(struct world *world, unsigned index, const char *addr)
{
    struct endpoint endpoint = { addr_of(addr), 25 };
    struct listener_options options = { .name = "hop" };
    struct hop *hop = &world->hops[index];

    CHECK(listener_start_sim(&endpoint, &options, serve, hop, &hop->listener) == OK);
    return hop;
}

/* --- The world. */

static void
open_queue(struct world *world)
{
    struct queue_options options = { .config = world->config,
                                     .accounts = world->accounts,
                                     .mailstore = world->mailstore };
    struct spool_options spool_options = { .dir = "/disk/spool",
                                           .segment_bytes = 1024 * 1024,
                                           .inline_flush = true,
                                           .disk = disk_sim_disk(world->disk) };
    struct why why = {};

    CHECK(queue_new(&options, &world->queue, &why) == OK);
    CHECK(spool_open(&spool_options, queue_found, world->queue, &world->spool, &why) == OK);
    CHECK(queue_start(world->queue, world->spool, &why) == OK);
    if (why.text[0])
        printf("%s\n", why.text);
}

static void
close_queue(struct world *world)
{
    queue_stop(world->queue, clock_steady() + SECONDS(1));
    spool_close(world->spool);
    queue_free(world->queue);
}

static void
open_world(struct world *world, const char *config)
{
    struct config_problems problems = {};
    struct why why = {};
    int64_t id;

    temp_dir_make(&world->dir);
    world->disk = disk_sim_new(1);
    CHECK(config_parse(str_from(config), "test.conf", &world->config, &problems) == OK);
    for (size_t i = 0; i < problems.count; i++)
        printf("%s\n", problems.items[i].text);
    config_problems_done(&problems);
    CHECK(accounts_open(temp_dir_file(&world->dir, "directory.db"), &world->accounts, &why) == OK);
    CHECK(accounts_add(world->accounts, S("ann@here.example"), S(""), &id, &why) == OK);
    CHECK(mailstore_open(world->dir.path, 10, &world->mailstore, &why) == OK);
    sim_dns_clear();
    dns("there.example", DNS_MX, 10, "mx.there.example");
    dns("mx.there.example", DNS_A, 0, "198.51.100.1");
    dns("other.example", DNS_MX, 10, "mx.other.example");
    dns("mx.other.example", DNS_A, 0, "198.51.100.2");
    dns("sender.example", DNS_MX, 10, "mx.sender.example");
    dns("mx.sender.example", DNS_A, 0, "198.51.100.3");
    open_queue(world);
}

static void
close_world(struct world *world)
{
    for (unsigned i = 0; i < HOPS; i++)
        if (world->hops[i].listener)
            listener_stop(world->hops[i].listener, clock_steady() + SECONDS(1));
    close_queue(world);
    mailstore_close(world->mailstore);
    accounts_close(world->accounts);
    config_unref(world->config);
    disk_sim_free(world->disk);
    temp_dir_remove(&world->dir);
}

static const char message_text[] = "From: me@sender.example\r\nSubject: hello\r\n\r\nbody\r\n";

/* As the intake does it; false when the spool did not take it.  RECIPIENTS are parted by blanks. */
static bool
try_post(struct world *world, const char *sender, const char *recipients, uint8_t notify)
{
    struct recipient list[100];
    struct envelope envelope = {
        .received_at = clock_now(),
        .door = DOOR_SUBMISSION,
        .reverse_path = str_from(sender),
        .size = sizeof(message_text) - 1,
        .header_size = sizeof(message_text) - 1 - 6,
        .recipients = list,
    };
    struct draft *draft = NULL;
    uint8_t entropy[10];
    struct buf encoded;
    str rest = str_from(recipients);
    enum err e;

    while (rest.len > 0 && envelope.recipient_count < COUNT_OF(list)) {
        str one;
        if (!str_split(rest, ' ', &one, &rest))
            rest = S("");
        list[envelope.recipient_count++] = (struct recipient){ .address = one, .notify = notify };
    }
    random_bytes(entropy, sizeof(entropy));
    envelope.id = msgid_make(clock_now(), entropy);
    buf_init(&encoded, 100000);
    envelope_encode(&envelope, &encoded);
    e = draft_begin(world->spool, &draft);
    if (!e)
        e = draft_write(draft, str_from(message_text));
    if (!e)
        e = draft_commit(&draft, envelope.id, buf_str(&encoded));
    if (!e)
        queue_add(world->queue, &envelope);
    draft_drop(&draft);
    buf_done(&encoded);
    return e == OK;
}

static void
post(struct world *world, const char *sender, const char *recipients, uint8_t notify)
{
    CHECK(try_post(world, sender, recipients, notify));
}

static uint64_t
spooled(struct world *world)
{
    struct spool_stats stats;

    CHECK(spool_sync(world->spool) == OK);
    spool_stats(world->spool, &stats);
    return stats.messages;
}

static uint64_t
waiting(struct world *world)
{
    struct queue_stats stats;

    queue_stats(world->queue, &stats);
    return stats.recipients;
}

struct tale {
    void (*story)(struct world *world);
    const char *config;
};

static void
tell(void *arg)
{
    const struct tale *tale = arg;
    struct world *world = calloc(1, sizeof(*world));

    open_world(world, tale->config);
    tale->story(world);
    close_world(world);
    free(world);
}

static void
in_world(void (*story)(struct world *world), const char *config)
{
    struct tale tale = { story, config };
    struct runtime_options options = { .simulated = true, .seed = 3 };

    CHECK(runtime_run(&options, tell, &tale) == OK);
}

static const char plain_config[] = "server { hostname here.example; }\n";

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
    struct hop *hop = hop_at(world, 0, "198.51.100.1");

    hop->cuts_after_dot = 1;
    post(world, "me@sender.example", "bob@there.example", 0);
    sim_advance(SECONDS(10));
    CHECK(hop->transactions == 1 && waiting(world) == 1);
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

/* --- Crashes. */

enum {
    CRASH_MESSAGES = 12,
    CRASH_SEEDS = 20
};

/* From a random write on the disk takes nothing any more; then the power is gone. */
static void
crash(struct world *world, struct rand *dice)
{
    disk_sim_crash_at(world->disk, disk_sim_operations(world->disk) + 1 + rand_below(dice, 30));
    sim_advance(SECONDS(1 + (duration)rand_below(dice, 400)));
    close_queue(world);
    disk_sim_power_cut(world->disk);
    disk_sim_crash_at(world->disk, 0);
    open_queue(world);
}

static bool
is_accounted_for(const struct world *world, unsigned number)
{
    char arrived[64], returned[64];

    (void)snprintf(arrived, sizeof(arrived), "RCPT TO:<n%u@there.example>", number);
    (void)snprintf(returned, sizeof(returned), "u550n%u@there.example\r\nAction: failed", number);
    return heard(&world->hops[0], arrived) && heard(&world->hops[1], returned);
}

/* An empty spool on a new disk, and hops that have heard nothing. */
static void
begin_anew(struct world *world, uint64_t seed)
{
    close_queue(world);
    disk_sim_free(world->disk);
    world->disk = disk_sim_new(seed);
    open_queue(world);
    world->hops[0].text_len = world->hops[1].text_len = 0;
}

static void
crash_by_seed(struct world *world, uint64_t seed)
{
    bool promised[CRASH_MESSAGES] = {};
    unsigned failed = checks_failed_here;
    struct rand dice;

    rand_init(&dice, seed);
    begin_anew(world, seed);
    world->hops[0].cuts_after_dot = (unsigned)rand_below(&dice, 3);
    for (unsigned i = 0; i < CRASH_MESSAGES; i++) {
        char recipients[128];
        (void)snprintf(recipients, sizeof(recipients), "n%u@there.example u550n%u@there.example", i,
                       i);
        promised[i] = try_post(world, "me@sender.example", recipients, 0);
        if (rand_below(&dice, 3) == 0)
            sim_advance(MILLISECONDS(rand_below(&dice, 3000)));
        if (rand_below(&dice, 4) == 0)
            crash(world, &dice);
    }
    crash(world, &dice);
    sim_advance(DAYS(2));
    CHECK(spooled(world) == 0 && waiting(world) == 0);
    for (unsigned i = 0; i < CRASH_MESSAGES; i++)
        if (promised[i] && !is_accounted_for(world, i)) {
            CHECK(!"lost");
            printf("message %u\n", i);
        }
    if (checks_failed_here != failed)
        printf("with seed %u\n", (unsigned)seed);
}

static void
story_crash(struct world *world)
{
    (void)hop_at(world, 0, "198.51.100.1");
    (void)hop_at(world, 1, "198.51.100.3");
    for (uint64_t seed = 1; seed <= CRASH_SEEDS; seed++)
        crash_by_seed(world, seed);
}

static void
no_crash_loses_what_was_promised(void)
{
    in_world(story_crash, plain_config);
}

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
    CHECK(queue_act(world->queue, &query, &action, &count) == OK);
    sim_advance(SECONDS(2));
    return count;
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

static void
queries_that_make_no_sense_say_how(void)
{
    struct queue_query query;
    struct why why = {};

    CHECK(queue_query_parse(S("colour:red"), &query, &why) == ERR_SYNTAX);
    CHECK(str_find_str(str_from(why.text), S("domain:")) >= 0);
    CHECK(queue_query_parse(S("age:2h"), &query, &why) == ERR_SYNTAX);
    CHECK(queue_query_parse(S("state:lost"), &query, &why) == ERR_SYNTAX);
    CHECK(queue_query_parse(S("nonsense"), &query, &why) == ERR_SYNTAX);
    CHECK(queue_query_parse(S(" to:a  from:b "), &query, &why) == OK && query.count == 2);
}

int
main(void)
{
    /* Nothing here asks whether SQLite's files survive anything. */
    if (access("/dev/shm", W_OK) == 0)
        (void)setenv("TMPDIR", "/dev/shm", 0);
    RUN(a_message_goes_to_the_mx_and_leaves_the_spool);
    RUN(a_connection_serves_what_comes_soon_after);
    RUN(a_hundred_recipients_at_one_site_are_one_transaction);
    RUN(the_peers_limit_of_recipients_is_kept);
    RUN(a_refused_recipient_is_reported_to_the_sender);
    RUN(nobody_is_told_of_what_has_no_sender_or_is_a_report);
    RUN(a_temporary_refusal_is_tried_again_ever_more_rarely);
    RUN(a_dead_site_delays_only_its_own_mail);
    RUN(the_next_host_takes_what_the_first_does_not);
    RUN(a_late_message_is_reported_and_one_whose_time_is_over_returned);
    RUN(without_an_answer_to_the_dot_it_is_sent_again);
    RUN(the_dns_decides_between_never_and_later);
    RUN(a_relay_takes_all_domains_in_one_transaction);
    RUN(local_mail_goes_to_mailboxes_and_on_from_aliases);
    RUN(what_waited_for_a_full_mailbox_goes_on_once_when_it_is_forwarded);
    RUN(success_is_reported_when_asked_for_by_whoever_sees_it_last);
    RUN(after_a_restart_everything_goes_on_where_it_was);
    RUN(no_crash_loses_what_was_promised);
    RUN(operators_list_hold_release_bounce_and_delete);
    RUN(operators_can_ask_for_an_attempt_now);
    RUN(queries_that_make_no_sense_say_how);
    return check_end();
}
