/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* story.c: what happens in a world, from the first letter until nobody waits any more.
 *
 * The queue, its spool on a simulated disk, and the SMTP client are the real ones.  Letters are
 * posted when their time comes, the power is cut when a crash is planned, and the rest is waiting.
 * Start reading at world_run().
 */
#include "world.h"

#include "accounts/account.h"
#include "base/must.h"
#include "config/config.h"
#include "delivery/queue/queue.h"
#include "mail/envelope.h"
#include "runtime/clock.h"
#include "runtime/fiber.h"
#include "runtime/listener.h"
#include "runtime/sim.h"
#include "store/disk_sim.h"
#include "store/mailbox.h"
#include "store/spool.h"
#include "store/temp_dir.h"

#include <stdlib.h>
#include <string.h>

enum {
    MESSAGE_RECIPIENTS_MAX = 64,
    ADDRESS_SIZE = 80,
    SHOWN_MAX = 20,
    MEDDLES_ONE_IN = 8,
    SEGMENT = 4 * 1024 * 1024
};

static const char config_text[] =
    "server { hostname here.example; }\n"
    "source one { address 192.0.2.1 2001:db8::1; helo_name one.here.example; }\n"
    "source two { address 192.0.2.2 2001:db8::2; helo_name two.here.example; }\n"
    "delivery { connections_max 20000; expire 2d; expire_bounce 2d; sources %s; }\n";
static const char message_text[] = "From: me@home.example\r\nSubject: a letter\r\n\r\nbody\r\n";

/* --- The queue, which comes and goes. */

WAITS static void
open_queue(struct world *world)
{
    struct queue_options options = { .config = world->config,
                                     .accounts = world->accounts,
                                     .mailstore = world->mailstore,
                                     .simulated = true };
    struct spool_options spool_options = { .dir = "/disk/spool",
                                           .segment_bytes = SEGMENT,
                                           .inline_flush = true,
                                           .disk = disk_sim_disk(world->disk) };
    struct why why = {};

    must(queue_new(&options, &world->queue, &why) == OK);
    must(spool_open(&spool_options, queue_found, world->queue, &world->spool, &why) == OK);
    must(queue_start(world->queue, world->spool, &why) == OK);
}

WAITS static void
close_queue(struct world *world)
{
    queue_stop(world->queue, clock_steady());
    spool_close(world->spool);
    queue_free(world->queue);
}

/* --- The network. */

static void
add_hosts(struct world *world, const struct site *site)
{
    char domain[64], host_name[64];

    for (unsigned host = 0; host < site->hosts; host++) {
        struct dns_record address = { .addr = world_address(site, host) };
        struct dns_record exchanger = { .preference = (uint16_t)(10 * (host + 1)) };
        world_host(world, site, host, host_name, sizeof(host_name));
        exchanger.name = str_from(host_name);
        for (unsigned i = 0; i < site->domains; i++) {
            world_domain(site, i, domain, sizeof(domain));
            sim_dns_add(domain, DNS_MX, &exchanger, false);
        }
        if (site->kind == KIND_HOME)
            sim_dns_add("home.example", DNS_MX, &exchanger, false);
        if (site->kind != KIND_DNS_NO_DATA)
            sim_dns_add(host_name, DNS_A, &address, false);
        address.addr = world_address_v6(site, host);
        if (site->kind == KIND_BROKEN_V6)
            sim_dns_add(host_name, DNS_AAAA, &address, false);
    }
}

static void
make_network(struct world *world)
{
    struct endpoint everywhere = { ipaddr_from_v4(0), 25 };
    struct listener_options options = { .name = "world" };

    sim_dns_clear();
    for (unsigned i = 0; i < world->site_count; i++)
        if (world->sites[i].kind != KIND_DNS_NO_NAME)
            add_hosts(world, &world->sites[i]);
    receiver_weather(world);
    must(listener_start_sim(&everywhere, &options, receiver_serve, world, &world->listener) == OK);
}

/* --- Letters. */

static const char *
sender_of(const struct letter *letter)
{
    static const char *const senders[] = {
        [LANE_CODE] = "codes@home.example",
        [LANE_PERSONAL] = "me@home.example",
        [LANE_NOTICE] = "notices@home.example",
        [LANE_BULK] = "news@home.example",
    };

    return letter->small ? "club@home.example" : senders[letter->lane];
}

/* As the intake does it.  COUNT letters of one message, from FIRST on. */
WAITS static enum err
post(struct world *world, uint32_t first, unsigned count)
{
    static char addresses[MESSAGE_RECIPIENTS_MAX][ADDRESS_SIZE];
    struct recipient recipients[MESSAGE_RECIPIENTS_MAX] = {};
    struct envelope envelope = {
        .received_at = clock_now(),
        .door = DOOR_SUBMISSION,
        .reverse_path = str_from(sender_of(&world->letters[first])),
        .account = str_from(sender_of(&world->letters[first])),
        .lane = (enum lane)world->letters[first].lane,
        .release_at = world->letters[first].release_at,
        .by = world->letters[first].by ? BY_RETURN : BY_NONE,
        .by_deadline = world->letters[first].by,
        .size = strlen(message_text),
        .header_size = strlen(message_text) - strlen("body\r\n"),
        .recipients = recipients,
        .recipient_count = count,
    };
    OWN(draft) draft = NULL;
    uint8_t entropy[10];
    struct buf encoded;
    enum err e;

    for (unsigned i = 0; i < count; i++) {
        const struct letter *letter = &world->letters[first + i];
        char domain[64];
        world_domain(&world->sites[letter->site], letter->domain, domain, sizeof(domain));
        (void)snprintf(addresses[i], sizeof(addresses[i]), "r%u@%s", first + i, domain);
        recipients[i].address = str_from(addresses[i]);
    }
    random_bytes(entropy, sizeof(entropy));
    envelope.id = msgid_make(clock_now(), entropy);
    buf_init(&encoded, 1000000);
    envelope_encode(&envelope, &encoded);
    e = draft_begin(world->spool, &draft);
    if (!e)
        e = draft_write(draft, str_from(message_text));
    if (!e)
        e = draft_commit(&draft, envelope.id, buf_str(&encoded));
    if (!e)
        queue_add(world->queue, &envelope);
    buf_done(&encoded);
    return e;
}

/* Letters whose time has come; the number of the next. */
WAITS static uint32_t
post_due(struct world *world, uint32_t at)
{
    while (at < world->letter_count && world->letters[at].post_at <= clock_now()) {
        unsigned count = 1;
        bool promised;
        while (at + count < world->letter_count && count < MESSAGE_RECIPIENTS_MAX &&
               world->letters[at + count].message == world->letters[at].message)
            count++;
        promised = post(world, at, count) == OK;
        for (unsigned i = 0; i < count; i++)
            world->letters[at + i].promised = promised;
        at += count;
    }
    return at;
}

/* --- Time. */

/* What comes next: a letter, a change of the weather, a crash; at most a minute away. */
static duration
until_next(const struct world *world, uint32_t letter, const struct crash *crash)
{
    duration wait = MINUTES(1);

    if (crash)
        wait = SECONDS(1);
    if (letter < world->letter_count)
        wait = MIN(wait, world->letters[letter].post_at - clock_now());
    if (crash && crash->at > clock_now())
        wait = MIN(wait, crash->at - clock_now());
    else if (crash)
        wait = MIN(wait, MILLISECONDS(500));
    return MAX(wait, 0);
}

/* The power is cut; everything in memory is gone, and of the disk what it may lose. */
WAITS static void
crash_now(struct world *world, struct crash *crash)
{
    close_queue(world);
    disk_sim_power_cut(world->disk);
    disk_sim_crash_at(world->disk, 0);
    ledger_crashed(world, world->hiccup_at ? world->hiccup_at : crash->dead_at);
    open_queue(world);
    crash->back_at = clock_now();
}

/* True when the crash is over. */
WAITS static bool
go_on_crashing(struct world *world, struct crash *crash, bool *armed)
{
    instant now = clock_now();

    if (now < crash->at)
        return false;
    if (crash->hiccups) {
        disk_sim_fail_at(world->disk, disk_sim_operations(world->disk) + crash->after,
                         crash->hiccups, crash->after % 2 ? ERR_IO : ERR_FULL);
        if (world->hiccup_at == 0)
            world->hiccup_at = now;
        return true;
    }
    if (!*armed) {
        disk_sim_crash_at(world->disk, disk_sim_operations(world->disk) + crash->after);
        crash->dead_at = now;
        *armed = true;
    }
    if (!disk_sim_has_crashed(world->disk) && now < crash->at + MINUTES(10)) {
        crash->dead_at = now;
        return false;
    }
    if (now < crash->dead_at + crash->silence)
        return false;
    crash_now(world, crash);
    *armed = false;
    return true;
}

/* What the spool's own thread does outside this world. */
WAITS static void
keep_durable(struct world *world)
{
    enum err e = spool_sync(world->spool);

    (void)e; /* The disk may be dead. */
}

/* While letters are posted. */
WAITS static void
live(struct world *world)
{
    uint32_t letter = 0;
    unsigned crashes = 0;
    bool armed = false;
    instant weather = 0;

    while (letter < world->letter_count || crashes < world->crash_count) {
        struct crash *crash = crashes < world->crash_count ? &world->crashes[crashes] : NULL;
        sim_advance(until_next(world, letter, crash));
        if (crash)
            keep_durable(world);
        if (clock_now() - weather >= MINUTES(1)) {
            receiver_weather(world);
            weather = clock_now();
        }
        letter = post_due(world, letter);
        if (world->options.meddles && rand_below(&world->whims, MEDDLES_ONE_IN) == 0)
            meddle(world);
        if (crash && go_on_crashing(world, crash, &armed))
            crashes++;
    }
}

/* Who is still there at the end of all patience. */
WAITS static void
show_waiting(struct world *world)
{
    struct queue_query query = {};
    struct queue_entry *entries;
    struct why why = {};
    struct arena arena;
    size_t count = 0;
    bool more;

    struct queue_stats queue;
    struct spool_stats spool;
    queue_stats(world->queue, &queue);
    spool_stats(world->spool, &spool);
    printf("  %llu recipients, %llu ready, %llu connections; %llu messages in the spool\n",
           (unsigned long long)queue.recipients, (unsigned long long)queue.ready,
           (unsigned long long)queue.connections, (unsigned long long)spool.messages);
    arena_init(&arena, 64 * 1024 * 1024);
    must(queue_query_parse(S(""), &query, &why) == OK);
    if (queue_list(world->queue, &query, SHOWN_MAX, &arena, &entries, &count, &more))
        count = 0;
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < entries[i].recipient_count; k++) {
            const struct queue_recipient *row = &entries[i].recipients[k];
            printf("  %.*s: %s, %u attempts, %u %.*s: %.*s\n", STR_ARG(row->address), row->state,
                   row->attempts, row->code, STR_ARG(row->text), STR_ARG(row->why));
        }
    arena_done(&arena);
}

/* Until nobody waits any more. */
WAITS static void
wait_for_the_end(struct world *world)
{
    instant last = clock_now() + DAYS(6);

    while (clock_now() < last) {
        struct spool_stats spool = { .messages = 1 };
        struct queue_stats queue;
        queue_stats(world->queue, &queue);
        if (spool_sync(world->spool) == OK)
            spool_stats(world->spool, &spool);
        world->settled = queue.recipients == 0 && spool.messages == 0;
        if (world->settled)
            break;
        sim_advance(clock_now() - world->begins < HOURS(4) ? MINUTES(1) : MINUTES(30));
        receiver_weather(world);
    }
    world->ended = clock_now();
    if (!world->settled)
        show_waiting(world);
}

WAITS static void
open_world(struct world *world, struct temp_dir *dir)
{
    struct config_problems problems = {};
    struct why why = {};
    char config[1024];
    int64_t id;

    temp_dir_make(dir);
    world->disk = disk_sim_new(world->options.seed);
    (void)snprintf(config, sizeof(config), config_text,
                   world->options.sources == SOURCES_MAX ? "one two" : "one");
    must(config_parse(str_from(config), "world.conf", &world->config, &problems) == OK);
    config_problems_done(&problems);
    must(accounts_open(temp_dir_file(dir, "directory.db"), &world->accounts, &why) == OK);
    must(accounts_add(world->accounts, S("ann@here.example"), S(""), &id, &why) == OK);
    must(mailstore_open(dir->path, 10, &world->mailstore, &why) == OK);
    world_plan(world);
    make_network(world);
    open_queue(world);
}

WAITS static void
close_world(struct world *world, struct temp_dir *dir)
{
    listener_stop(world->listener, clock_steady());
    close_queue(world);
    mailstore_close(world->mailstore);
    accounts_close(world->accounts);
    config_unref(world->config);
    disk_sim_free(world->disk);
    temp_dir_remove(dir);
}

WAITS static void
tell(void *arg)
{
    struct world *world = arg;
    struct temp_dir dir;

    open_world(world, &dir);
    live(world);
    if (world->options.meddles)
        meddle_no_more(world);
    wait_for_the_end(world);
    close_world(world, &dir);
}

static void
simulate(struct world *world)
{
    struct runtime_options options = { .simulated = true, .seed = world->options.seed };

    must(runtime_run(&options, tell, world) == OK);
}

void
world_run(const struct options *options, struct tally *tally, FILE *out)
{
    struct world world = { .options = *options };

    simulate(&world);
    judge(&world, tally, out);
    if (options->pair && world.crash_count == 0) {
        struct world without = { .options = *options };
        without.options.without_sick = true;
        simulate(&without);
        judge_pair(&world, &without, tally, out);
        world_forget(&without);
    }
    world_forget(&world);
}
