/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* queue_world.h: a spool, a queue, accounts and next hops in the simulated world; for tests only.
 *
 * A hop is a server of a few lines at an address; its manners come from its fields and from the
 * local parts of recipients: "u550" is unknown, "u451" is to come again, "unauth" as well, for what its sender did.
 */
#pragma once

#include "delivery/queue/queue.h"

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
#include "trust/keyring.h"

#include "check.h"

#include <string.h>

enum {
    HOPS = 4,
    TEXT_KEPT = 512 * 1024,
    RECIPIENTS_KEPT = 600
};

struct hop {
    struct listener *listener;
    unsigned connections;
    const char *greeting;  /* NULL: a welcome. */
    unsigned transactions; /* Messages taken. */
    unsigned recipients;
    unsigned cuts_after_dot; /* So many times. */
    unsigned stalls_at;      /* This many-th transaction has no answer. */
    unsigned recipients_max; /* More of them at once are too many: 452. */
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
    struct temp_dir keys;
    struct keyring *keyring; /* Without keys, unless a test makes some. */
    bool is_from_outside;    /* Messages came by port 25. */
    struct spool *spool;
    struct queue *queue;
    const char *content;         /* Of messages; NULL: message_text. */
    const char *original;        /* The ORCPT of recipients, or NULL. */
    const struct envelope *like; /* Priority, times, prefix and ENVID of messages, or NULL. */
    struct hop hops[HOPS];
};

/* --- Hops. */

#define LONG_TEXT                                                                                  \
    "This message is not wanted here, for reasons that are told at https://reasons.example/long. "

static inline void
keep(struct hop *hop, str bytes)
{
    size_t len = MIN(bytes.len, TEXT_KEPT - hop->text_len);

    memcpy(hop->text + hop->text_len, bytes.ptr, len);
    hop->text_len += len;
}

static inline bool
heard(const struct hop *hop, const char *text)
{
    return str_find_str((str){ hop->text, hop->text_len }, str_from(text)) >= 0;
}

static inline unsigned
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
    if (str_starts(line, S("RCPT TO:<verbose")))
        return "550 5.7.1 " LONG_TEXT LONG_TEXT LONG_TEXT LONG_TEXT "\r\n";
    if (str_starts(line, S("RCPT TO:<u451")))
        return "451 4.7.1 greylisted\r\n";
    if (str_starts(line, S("RCPT TO:<grey")))
        return "450 4.2.0 Greylisted, try again in 480 seconds\r\n";
    if (str_starts(line, S("RCPT TO:<full")))
        return "452 4.2.2 The mailbox is full\r\n";
    if (str_starts(line, S("RCPT TO:<blocked")))
        return "550 5.7.1 Client host blocked using zen.spamhaus.org\r\n";
    if (str_starts(line, S("RCPT TO:<unauth")))
        return "450 4.7.26 not authenticated\r\n";
    if (str_starts(line, S("RCPT")) && hop->recipients_max && *accepted == hop->recipients_max)
        return "452 4.5.3 too many recipients\r\n";
    if (str_starts(line, S("RCPT"))) {
        (*accepted)++;
        return "250 2.1.5 ok\r\n";
    }
    if (str_starts(line, S("DATA")))
        return *accepted ? "354 go\r\n" : "503 5.5.1 nobody\r\n";
    return str_starts(line, S("QUIT")) ? "221 bye\r\n" : "500 what\r\n";
}

static inline enum err
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
    if (hop->transactions == hop->stalls_at)
        return fiber_sleep(DAYS(1));
    return stream_write(stream, S("250 2.0.0 taken\r\n"));
}

static inline void
converse(struct hop *hop, struct stream *stream)
{
    unsigned accepted = 0;
    enum err e = stream_write(stream, str_from(hop->greeting ? hop->greeting : "220 hop\r\n"));

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

static inline void
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

static inline ipaddr
addr_of(const char *text)
{
    ipaddr addr = {};

    CHECK(ipaddr_parse(str_from(text), &addr));
    return addr;
}

static inline void
dns(const char *name, enum dns_type type, uint16_t preference, const char *value)
{
    struct dns_record record = { .preference = preference };

    if (type == DNS_MX)
        record.name = str_from(value);
    else
        record.addr = addr_of(value);
    sim_dns_add(name, type, &record, false);
}

static inline struct hop *
hop_at(struct world *world, unsigned index, const char *addr)
{
    struct endpoint endpoint = { addr_of(addr), 25 };
    struct listener_options options = { .name = "hop" };
    struct hop *hop = &world->hops[index];

    CHECK(listener_start_sim(&endpoint, &options, serve, hop, &hop->listener) == OK);
    return hop;
}

/* --- The world. */

static inline void
open_queue(struct world *world)
{
    struct queue_options options = { .config = world->config,
                                     .accounts = world->accounts,
                                     .mailstore = world->mailstore,
                                     .keyring = world->keyring,
                                     .simulated = true };
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

static inline void
close_queue(struct world *world)
{
    queue_stop(world->queue, clock_steady() + SECONDS(1));
    spool_close(world->spool);
    queue_free(world->queue);
}

static inline void
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
    temp_dir_make(&world->keys);
    CHECK(keyring_open(world->keys.path, &world->keyring, &why) == OK);
    sim_dns_clear();
    dns("there.example", DNS_MX, 10, "mx.there.example");
    dns("mx.there.example", DNS_A, 0, "198.51.100.1");
    dns("other.example", DNS_MX, 10, "mx.other.example");
    dns("mx.other.example", DNS_A, 0, "198.51.100.2");
    dns("sender.example", DNS_MX, 10, "mx.sender.example");
    dns("mx.sender.example", DNS_A, 0, "198.51.100.3");
    open_queue(world);
}

static inline void
close_world(struct world *world)
{
    for (unsigned i = 0; i < HOPS; i++)
        if (world->hops[i].listener)
            listener_stop(world->hops[i].listener, clock_steady() + SECONDS(1));
    close_queue(world);
    mailstore_close(world->mailstore);
    keyring_close(world->keyring);
    accounts_close(world->accounts);
    config_unref(world->config);
    disk_sim_free(world->disk);
    if (world->keyring)
        temp_dir_remove(&world->keys);
    temp_dir_remove(&world->dir);
}

[[maybe_unused]] static const char message_text[] =
    "From: me@sender.example\r\nSubject: hello\r\n\r\nbody\r\n";

static inline void
handle_like(struct envelope *envelope, const struct envelope *like)
{
    if (!like)
        return;
    envelope->lane = like->lane;
    envelope->priority = like->priority;
    envelope->by = like->by;
    envelope->by_deadline = like->by_deadline;
    envelope->by_trace = like->by_trace;
    envelope->release_at = like->release_at;
    envelope->prefix = like->prefix;
    envelope->ret = like->ret;
    envelope->size += like->prefix.len;
    envelope->header_size += like->prefix.len;
}

/* As the intake does it; false when the spool did not take it.  RECIPIENTS are parted by blanks. */
static inline bool
try_post(struct world *world, const char *sender, const char *recipients, uint8_t notify)
{
    static struct recipient list[RECIPIENTS_KEPT];
    str content = str_from(world->content ? world->content : message_text);
    struct envelope envelope = {
        .received_at = clock_now(),
        .door = world->is_from_outside ? DOOR_MX : DOOR_SUBMISSION,
        .reverse_path = str_from(sender),
        .size = content.len,
        .header_size = content.len - 6,
        .lane = LANE_PERSONAL,
        .recipients = list,
    };
    struct draft *draft = NULL;
    uint8_t entropy[10];
    struct buf encoded;
    str rest = str_from(recipients);
    enum err e;

    handle_like(&envelope, world->like);
    while (rest.len > 0 && envelope.recipient_count < COUNT_OF(list)) {
        str one;
        if (!str_split(rest, ' ', &one, &rest))
            rest = S("");
        list[envelope.recipient_count++] = (struct recipient){
            .address = one,
            .original = str_from(world->original ? world->original : ""),
            .notify = notify,
        };
    }
    random_bytes(entropy, sizeof(entropy));
    envelope.id = msgid_make(clock_now(), entropy);
    buf_init(&encoded, 1000000);
    envelope_encode(&envelope, &encoded);
    e = draft_begin(world->spool, &draft);
    if (!e)
        e = draft_write(draft, content);
    if (!e)
        e = draft_commit(&draft, envelope.id, buf_str(&encoded));
    if (!e)
        queue_add(world->queue, &envelope);
    draft_drop(&draft);
    buf_done(&encoded);
    return e == OK;
}

static inline void
post(struct world *world, const char *sender, const char *recipients, uint8_t notify)
{
    CHECK(try_post(world, sender, recipients, notify));
}

static inline uint64_t
spooled(struct world *world)
{
    struct spool_stats stats;

    CHECK(spool_sync(world->spool) == OK);
    spool_stats(world->spool, &stats);
    return stats.messages;
}

static inline uint64_t
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

static inline void
tell(void *arg)
{
    const struct tale *tale = arg;
    struct world *world = calloc(1, sizeof(*world));

    open_world(world, tale->config);
    tale->story(world);
    close_world(world);
    free(world);
}

static inline void
in_world(void (*story)(struct world *world), const char *config)
{
    struct tale tale = { story, config };
    struct runtime_options options = { .simulated = true, .seed = 3 };

    CHECK(runtime_run(&options, tell, &tale) == OK);
}

[[maybe_unused]] static const char plain_config[] = "server { hostname here.example; }\n";

/* Nothing here asks whether SQLite's files survive anything. */
static inline void
world_files_in_memory(void)
{
    if (access("/dev/shm", W_OK) == 0)
        (void)setenv("TMPDIR", "/dev/shm", 0);
}
