/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* fill.c: writes a backlog into a spool, as intake would have, but without the conversations.
 *
 *   build/bench/bench-fill DIR MESSAGES RECIPIENTS DOMAINS [SIZE [WAIT]]
 *
 * Each message has RECIPIENTS recipients; all of them together go around DOMAINS domains
 * (d00000.backlog.example and on).  With WAIT every recipient has been tried once and is due again
 * between WAIT and twice as many seconds from now.  No server may have the spool open.  With 0
 * MESSAGES it only opens the spool, and says how long that took.
 */
#include "base/rand.h"
#include "mail/envelope.h"
#include "mail/progress.h"
#include "runtime/clock.h"
#include "runtime/fiber.h"
#include "runtime/wait.h"
#include "store/spool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    FIBERS = 1000,
    RECIPIENTS_AT_MOST = 1000
};

static struct {
    uint64_t messages;
    uint64_t recipients;
    uint64_t domains;
    uint64_t size;
    uint64_t wait;
    struct spool *spool;
    char *body;
    uint64_t next;
    uint64_t running;
    uint64_t failures;
    struct bell done;
    struct group groups[64];
} fill = { .size = 1024 };

static const char header[] =
    "Received: from app.src.example by bench.example; Fri, 27 Nov 2026 00:00:00 +0000\r\n"
    "From: News <news@src.example>\r\n"
    "To: somebody\r\n"
    "Subject: The backlog\r\n"
    "Date: Fri, 27 Nov 2026 00:00:00 +0000\r\n"
    "Message-ID: <backlog@src.example>\r\n"
    "\r\n";

static msgid
id_of(uint64_t number)
{
    uint8_t entropy[10] = {};

    memcpy(entropy, &number, sizeof(number));
    return msgid_make(clock_now(), entropy);
}

static void
make_envelope(msgid id, uint64_t number, struct arena *arena, struct buf *buf)
{
    struct envelope envelope = {
        .id = id,
        .received_at = clock_now(),
        .door = DOOR_SUBMISSION,
        .account = S("news@src.example"),
        .client = { ipaddr_from_v4(0x7f000001), 40000 },
        .helo = S("app.src.example"),
        .protocol = S("ESMTPSA"),
        .reverse_path = S("news@src.example"),
        .body = BODY_8BITMIME,
        .size = fill.size,
        .header_size = sizeof(header) - 1,
        .header_message_id = S("<backlog@src.example>"),
        .tls = S("TLSv1.3 TLS_AES_256_GCM_SHA384"),
        .recipient_count = fill.recipients,
    };

    envelope.recipients = arena_new_array(arena, struct recipient, fill.recipients);
    for (uint64_t i = 0; i < fill.recipients; i++) {
        char text[80];
        uint64_t global = number * fill.recipients + i;
        int len = snprintf(text, sizeof(text), "user%07llu@d%05llu.backlog.example",
                           (unsigned long long)global, (unsigned long long)(global % fill.domains));
        envelope.recipients[i].notify = 0;
        if (!arena_copy(arena, (str){ text, (size_t)len }, &envelope.recipients[i].address))
            abort();
    }
    envelope_encode(&envelope, buf);
}

/* One attempt failed a moment ago. */
static void
make_note(struct arena *arena, struct buf *buf)
{
    struct progress progress;
    uint64_t random;

    if (progress_init(&progress, arena, fill.recipients, clock_now()))
        abort();
    for (uint64_t i = 0; i < fill.recipients; i++) {
        random_bytes(&random, sizeof(random));
        progress.recipients[i].attempts = 1;
        progress.recipients[i].last_attempt = clock_now();
        progress.recipients[i].next_attempt =
            clock_now() + SECONDS(fill.wait) + (duration)(random % (uint64_t)SECONDS(fill.wait));
        progress.recipients[i].enhanced = S("4.4.1");
        progress.recipients[i].text = S("no connection within 30 s");
        progress.recipients[i].remote = S("mx.dead.example [192.0.2.1]");
    }
    progress_encode(&progress, buf);
}

WAITS static enum err
one_message(uint64_t number, struct arena *arena, struct buf *buf)
{
    OWN(draft) draft = NULL;
    msgid id = id_of(number);
    enum err e;

    arena_clear(arena);
    buf_clear(buf);
    make_envelope(id, number, arena, buf);
    e = draft_begin(fill.spool, &draft);
    if (!e)
        e = draft_write(draft, (str){ fill.body, fill.size });
    if (!e)
        e = draft_commit(&draft, id, buf_str(buf));
    if (e || !fill.wait)
        return e;
    buf_clear(buf);
    make_note(arena, buf);
    return spool_note_later(fill.spool, id, buf_str(buf));
}

WAITS static void
filler(void *)
{
    struct arena arena;
    struct buf buf;

    arena_init(&arena, 1 << 20);
    buf_init(&buf, 1 << 20);
    for (;;) {
        uint64_t number = __atomic_fetch_add(&fill.next, 1, __ATOMIC_RELAXED);
        if (number >= fill.messages)
            break;
        if (one_message(number, &arena, &buf))
            __atomic_fetch_add(&fill.failures, 1, __ATOMIC_RELAXED);
    }
    arena_done(&arena);
    buf_done(&buf);
    if (__atomic_sub_fetch(&fill.running, 1, __ATOMIC_ACQ_REL) == 0)
        bell_ring(&fill.done);
}

/* Posted to each loop: its share of the fibers. */
static void
start_share(void *arg)
{
    struct group *group = arg;
    unsigned loop = (unsigned)(group - fill.groups);

    group_init(group);
    for (unsigned i = loop; i < FIBERS; i += runtime_loop_count())
        if (group_start(group, filler, NULL, "filler"))
            abort();
}

WAITS static void
run(void *)
{
    instant began = clock_steady();
    double seconds;

    fill.running = FIBERS;
    for (unsigned loop = 0; loop < runtime_loop_count(); loop++)
        runtime_post(loop, start_share, &fill.groups[loop]);
    (void)!bell_wait(&fill.done, NEVER);
    if (spool_sync(fill.spool))
        fill.failures++;
    seconds = (double)(clock_steady() - began) / 1e9;
    printf("%llu messages for %llu recipients in %.1f s\n", (unsigned long long)fill.messages,
           (unsigned long long)(fill.messages * fill.recipients), seconds);
}

static void
make_body(void)
{
    size_t begin = sizeof(header) - 1;

    fill.size = MAX(fill.size, (uint64_t)begin);
    fill.body = malloc(fill.size);
    if (!fill.body)
        abort();
    memset(fill.body, 'm', fill.size);
    memcpy(fill.body, header, begin);
    for (size_t at = begin + 76; at + 2 < fill.size; at += 78)
        memcpy(fill.body + at, "\r\n", 2);
    memcpy(fill.body + fill.size - 2, "\r\n", 2);
}

static bool
arguments(int argc, char **argv)
{
    uint64_t *const to[] = { &fill.messages, &fill.recipients, &fill.domains, &fill.size,
                             &fill.wait };

    for (int i = 2; i < argc; i++)
        if (i >= 7 || !str_to_u64(str_from(argv[i]), to[i - 2]))
            return false;
    return argc >= 5 && fill.domains && fill.recipients && fill.recipients <= RECIPIENTS_AT_MOST;
}

static void
count_found(void *arg, const struct spool_entry *, size_t count)
{
    *(uint64_t *)arg += count;
}

static bool
open_spool(const char *dir)
{
    struct spool_options options = { .dir = dir };
    instant began = clock_steady();
    uint64_t found = 0;
    struct why why = {};

    if (spool_open(&options, count_found, &found, &fill.spool, &why)) {
        printf("%s\n", why.text);
        return false;
    }
    printf("opened %llu messages in %.3f s\n", (unsigned long long)found,
           (double)(clock_steady() - began) / 1e9);
    return true;
}

int
main(int argc, char **argv)
{
    struct runtime_options runtime = {};

    if (!arguments(argc, argv)) {
        printf("usage: bench-fill DIR MESSAGES RECIPIENTS DOMAINS [SIZE [WAIT]]\n");
        return 64;
    }
    make_body();
    if (!open_spool(argv[1]))
        return 1;
    if (fill.messages && runtime_run(&runtime, run, NULL))
        return 1;
    spool_close(fill.spool);
    free(fill.body);
    return fill.failures != 0;
}
