/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* load_test.c: many fibers on several loops use directory, logins, limits, mailboxes and
 * events at once, on the real runtime; then the same on the stacks of the simulated one. */
#include "accounts/account.h"
#include "accounts/limits.h"
#include "accounts/login.h"
#include "runtime/clock.h"
#include "runtime/fiber.h"
#include "runtime/wait.h"
#include "store/events.h"
#include "store/mailbox.h"
#include "store/temp_dir.h"

#include "check.h"

#include <sys/stat.h>

enum {
    FIBERS = 12,
    ROUNDS = 10
};

static struct temp_dir dir;
static struct temp_dir mail_dir;

struct world {
    struct accounts *accounts;
    struct logins *logins;
    struct limits *limits;
    struct mailstore *mailstore;
    struct events *events;
    int64_t account[2];
    unsigned failures;
    unsigned sent;
};

static struct world world;

struct side {
    struct group group;
    struct latch done;
    unsigned number;
};

static void
fail(void)
{
    __atomic_fetch_add(&world.failures, 1, __ATOMIC_RELAXED);
}

static enum err
no_body(void *arg, char *bytes, size_t size, size_t *got)
{
    (void)arg;
    (void)bytes;
    (void)size;
    *got = 0;
    return OK;
}

static void
deliver(int64_t account, msgid id)
{
    struct mailbox *mailbox = NULL;
    enum mailbox_verdict verdict = MAILBOX_OVER_QUOTA;

    if (mailbox_open(world.mailstore, account, &mailbox, NULL)) {
        fail();
        return;
    }
    if (mailbox_append(mailbox,
                       &(struct mailbox_append){ .message = id,
                                                 .recipient = S("x@example.org"),
                                                 .head = S("Subject: x\r\n\r\n"),
                                                 .read = no_body },
                       &verdict, NULL) ||
        verdict != MAILBOX_STORED)
        fail();
    mailbox_close(mailbox);
}

static void
send_one(unsigned who)
{
    static const char *const names[] = { "ann@example.org", "bob@example.org" };
    static const char *const passwords[] = { "ann's", "bob's" };
    struct login_result result;
    struct limits_ticket *ticket = NULL;
    struct limits_verdict verdict;
    uint8_t entropy[10];
    msgid id;

    if (login_plain(world.logins, ipaddr_from_v4(0x0a000001), str_from(names[who]),
                    str_from(passwords[who]), &result) ||
        result.state != LOGIN_OK || result.account != world.account[who])
        fail();
    if (limits_begin(world.limits, result.account, clock_now(), &ticket, &verdict) || !ticket) {
        fail();
        return;
    }
    if (limits_add_recipient(ticket, S("x@example.org"), clock_now(), &verdict) || verdict.state)
        fail();
    random_bytes(entropy, sizeof(entropy));
    id = msgid_make(clock_now(), entropy);
    deliver(world.account[1 - who], id);
    events_record(world.events, &(struct event){ .kind = EVENT_DELIVERED, .message = id });
    limits_commit(ticket, clock_now());
    __atomic_fetch_add(&world.sent, 1, __ATOMIC_RELAXED);
}

static void
one_fiber(void *arg)
{
    struct side *side = arg;

    for (unsigned i = 0; i < ROUNDS; i++)
        send_one((side->number + i) % 2);
}

/* Runs in a fiber of its own: the group's owner. */
static void
run_side(void *arg)
{
    struct side *side = arg;

    group_init(&side->group);
    for (unsigned i = 0; i < FIBERS; i++)
        if (group_start(&side->group, one_fiber, side, "load"))
            fail();
    group_join(&side->group);
    latch_open(&side->done);
}

static struct group owners[2];

static void
start_side(void *arg)
{
    struct side *side = arg;

    group_init(&owners[side->number]);
    if (group_start(&owners[side->number], run_side, side, "side"))
        fail();
}

static void
open_world(void)
{
    CHECK(accounts_open(temp_dir_file(&dir, "directory.db"), &world.accounts, NULL) == OK);
    CHECK(accounts_add(world.accounts, S("ann@example.org"), S("ann's"), &world.account[0], NULL) ==
          OK);
    CHECK(accounts_add(world.accounts, S("bob@example.org"), S("bob's"), &world.account[1], NULL) ==
          OK);
    world.logins = logins_new(world.accounts);
    CHECK(limits_open(world.accounts, NULL, limits_preset(S("small-host")), &world.limits, NULL) ==
          OK);
    CHECK(mailstore_open(mail_dir.path, 4, &world.mailstore, NULL) == OK);
    CHECK(events_open(temp_dir_file(&dir, "events.db"), &world.events, NULL) == OK);
}

static void
close_world(void)
{
    limits_close(world.limits);
    logins_free(world.logins);
    accounts_close(world.accounts);
    mailstore_close(world.mailstore);
    events_close(world.events);
}

static bool
count_event(void *arg, const struct event *event)
{
    (void)event;
    ++*(unsigned *)arg;
    return true;
}

static void
check_world(unsigned sent)
{
    struct mailbox_usage usage = { 0 };
    struct limits_usage limits;
    struct mailbox *mailbox = NULL;
    unsigned events = 0;
    unsigned messages = 0;
    unsigned counted = 0;

    CHECK(world.failures == 0);
    CHECK(world.sent == sent);
    for (int i = 0; i < 2; i++) {
        CHECK(mailbox_open(world.mailstore, world.account[i], &mailbox, NULL) == OK);
        CHECK(mailbox_usage(mailbox, &usage) == OK);
        messages += (unsigned)usage.messages;
        mailbox_close(mailbox);
        limits_usage(world.limits, world.account[i], clock_now(), &limits);
        counted += limits.messages;
    }
    CHECK(messages == sent && counted == sent);
    CHECK(events_flush(world.events) == OK);
    CHECK(events_find(world.events, &(struct events_query){ .limit = 100000 }, count_event,
                      &events) == OK);
    CHECK(events == sent);
}

static void
whole(void *arg)
{
    static struct side sides[2];
    unsigned side_count = *(unsigned *)arg;
    struct group background;

    group_init(&background);
    open_world();
    CHECK(group_start(&background, events_run, world.events, "events") == OK);
    CHECK(group_start(&background, limits_run, world.limits, "limits") == OK);
    for (unsigned i = 0; i < side_count; i++) {
        sides[i] = (struct side){ .number = i };
        runtime_post(i % runtime_loop_count(), start_side, &sides[i]);
    }
    for (unsigned i = 0; i < side_count; i++)
        CHECK(latch_wait(&sides[i].done, NEVER) == OK);
    group_stop(&background);
    check_world(side_count * FIBERS * ROUNDS);
    close_world();
}

static void
run(const struct runtime_options *options, unsigned side_count)
{
    world = (struct world){ 0 };
    temp_dir_make(&dir);
    temp_dir_make(&mail_dir);
    CHECK(runtime_run(options, whole, &side_count) == OK);
    temp_dir_remove(&dir);
    temp_dir_remove(&mail_dir);
}

static void
fibers_on_two_loops_share_everything(void)
{
    run(&(struct runtime_options){ .loops = 2 }, 2);
}

static void
the_simulated_world_has_stacks_deep_enough(void)
{
    run(&(struct runtime_options){ .simulated = true, .seed = 1 }, 1);
}

int
main(void)
{
    RUN(fibers_on_two_loops_share_everything);
    RUN(the_simulated_world_has_stacks_deep_enough);
    return check_end();
}
