/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* storm.c: strangers who say anything: storm TLS-DIR SEED SESSIONS DIR...
 *
 * What clients say in the dialogues, cut, doubled, mixed and damaged, is sent to the doors of one
 * server in the simulated world.  Whatever comes, a reply is a line of printable ASCII with a code,
 * at most 512 bytes; the conversation ends; and the server still takes a proper message behind it.
 * The same seed is the same storm.  Start reading at play_storm().
 */
#include "script.h"
#include "stage.h"
#include "world.h"

#include "base/rand.h"
#include "ops/server.h"
#include "runtime/clock.h"
#include "runtime/fiber.h"
#include "runtime/log.h"
#include "runtime/stream.h"
#include "runtime/tls.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    WORDS_MAX = 4000,
    SCRIPT_SIZE_MAX = 1 << 20,
    SCRIPT_MEMORY_MAX = 4 << 20,
    SESSION_BYTES_MAX = 1 << 20,
    WORD_SIZE_MAX = 20000,
    REPLY_LINE_MAX = 512,
};

struct storm {
    struct stage stage;
    struct rand rand;
    const char *tls_dir;
    unsigned sessions;
    unsigned failed;
};

/* What clients say, with its line ends. */
static str words[WORDS_MAX];
static size_t word_count;

static void
keep_word(str text, bool line)
{
    static const struct captures none;
    struct buf bytes;

    if (word_count == WORDS_MAX || str_starts(text, S("connect")))
        return;
    buf_init(&bytes, 1 << 22);
    if (pattern_expand(text, &none, &bytes) && bytes.len < WORD_SIZE_MAX) {
        if (line)
            buf_add(&bytes, S("\r\n"));
        words[word_count].ptr =
            memcpy(malloc(bytes.len + 1), bytes.data ? bytes.data : "", bytes.len);
        words[word_count++].len = bytes.len;
    }
    buf_done(&bytes);
}

static void
keep_words(str text)
{
    struct script script;
    struct arena arena;
    unsigned line;

    arena_init(&arena, SCRIPT_MEMORY_MAX);
    if (script_parse(text, &arena, &script, &line) == OK) {
        for (size_t i = 0; i < script.count; i++) {
            const struct step *step = &script.steps[i];

            if (step->kind == STEP_SEND || step->kind == STEP_RAW)
                keep_word(step->text, step->kind == STEP_SEND);
        }
    }
    arena_done(&arena);
}

static int
note_file(const char *path, const struct stat *info, int kind, struct FTW *at)
{
    static char text[SCRIPT_SIZE_MAX];
    ssize_t got;
    int fd;

    (void)info;
    (void)at;
    if (kind != FTW_F || !str_ends(str_from(path), S(".txt")))
        return 0;
    fd = open(path, O_RDONLY | O_CLOEXEC);
    got = fd < 0 ? -1 : read(fd, text, sizeof(text));
    if (fd >= 0)
        close(fd);
    if (got > 0)
        keep_words((str){ text, (size_t)got });
    return 0;
}

static str
some_word(struct rand *rand)
{
    return words[rand_below(rand, word_count)];
}

/* One word, most often as it is. */
static void
add_damaged(struct rand *rand, str word, struct buf *out)
{
    static const char odd[] = "\r\n\0.<>@:\" \x80\xff\x1b";
    size_t cut = (size_t)rand_below(rand, word.len + 1);

    switch (rand_below(rand, 8)) {
    case 0: /* Cut. */
        buf_add(out, str_head(word, cut));
        return;
    case 1: /* The end only. */
        buf_add(out, str_skip(word, cut));
        return;
    case 2: /* An odd byte in it. */
        buf_add(out, str_head(word, cut));
        buf_add_byte(out, odd[rand_below(rand, sizeof(odd) - 1)]);
        buf_add(out, str_skip(word, cut));
        return;
    case 3: /* Doubled in the middle. */
        buf_add(out, str_head(word, cut));
        buf_add(out, word);
        return;
    default:
        buf_add(out, word);
    }
}

/* A beginning that leads somewhere, then anything. */
static void
compose(struct rand *rand, bool pop3, struct buf *out)
{
    static const str smtp[] = {
        S("EHLO storm.example\r\n"),
        S("AUTH PLAIN AGFubkBoZXJlLmV4YW1wbGUAc2VjcmV0LWFubg==\r\n"),
        S("MAIL FROM:<ann@here.example>\r\n"),
        S("RCPT TO:<bob@here.example>\r\n"),
        S("DATA\r\n"),
        S("From: ann@here.example\r\n\r\nx\r\n"),
    };
    static const str mailbox[] = { S("USER ann@here.example\r\n"), S("PASS secret-ann\r\n") };
    size_t begin = (size_t)rand_below(rand, (pop3 ? COUNT_OF(mailbox) : COUNT_OF(smtp)) + 1);
    size_t count = 1 + (size_t)rand_below(rand, 12);

    for (size_t i = 0; i < begin; i++)
        buf_add(out, pop3 ? mailbox[i] : smtp[i]);
    for (size_t i = 0; i < count; i++)
        add_damaged(rand, some_word(rand), out);
    buf_add(out, S("\r\n.\r\nQUIT\r\n"));
}

static bool
reply_is_sane(str line, bool pop3)
{
    if (line.len > REPLY_LINE_MAX || !str_ends(line, S("\r\n")))
        return false;
    line.len -= 2;
    if (pop3)
        return true; /* Messages come as they are. */
    return line.len >= 3 && str_is_printable(line) && ascii_is_digit(line.ptr[0]) &&
           ascii_is_digit(line.ptr[1]) && ascii_is_digit(line.ptr[2]);
}

/* Reads to the end of the conversation. */
static bool
read_replies(struct stream *stream, bool pop3)
{
    enum err e;
    str line;

    for (;;) {
        stream_set_deadline(stream, deadline_in(HOURS(2)));
        e = stream_read_line(stream, STREAM_READ_BUFFER, &line);
        if (e == ERR_CLOSED)
            return true;
        if (getenv("STORM_DEBUG"))
            printf("%.*s", STR_ARG(str_head(line, 60)));
        if (e || !reply_is_sane(line, pop3)) {
            printf("reply: %s: %.*s\n", err_name(e), e ? 0 : (int)MIN(line.len, (size_t)100),
                   e ? "" : line.ptr);
            return false;
        }
    }
}

static enum err
start_tls(struct storm *storm, struct stream *stream, struct why *why)
{
    static const struct tls_client_options options = { .server_name = { "here.example", 12 },
                                                       .verify = TLS_VERIFY_NONE };

    stream_set_deadline(stream, deadline_in(HOURS(1)));
    return stream_start_tls_client(stream, storm->stage.client_tls, &options, why);
}

static bool
one_session(struct storm *storm)
{
    static const uint16_t ports[] = { 25, 25, 465, 995 };
    uint16_t port = ports[rand_below(&storm->rand, COUNT_OF(ports))];
    struct endpoint peer = { .port = port };
    struct stream *stream;
    struct buf bytes;
    struct why why;
    bool sane;
    enum err e;

    (void)ipaddr_parse(S("203.0.113.1"), &peer.addr);
    e = world_connect(&peer, NULL, deadline_in(HOURS(1)), &stream, &why);
    if (e)
        return false;
    if (port != 25) {
        e = start_tls(storm, stream, &why);
        if (e) {
            stream_close(stream);
            return false;
        }
    }
    buf_init(&bytes, SESSION_BYTES_MAX);
    compose(&storm->rand, port == 995, &bytes);
    stream_set_deadline(stream, deadline_in(HOURS(2)));
    e = stream_write(stream, buf_str(&bytes));
    if (!e)
        e = stream_flush(stream);
    sane = read_replies(stream, port == 995);
    stream_close(stream);
    buf_done(&bytes);
    return sane && (!e || e == ERR_CLOSED);
}

/* Plays a script whose steps all must go well. */
static bool
play_text(struct stage *stage, str text)
{
    struct script script;
    struct arena arena;
    struct why why = { "" };
    unsigned line;
    enum err e;

    arena_init(&arena, SCRIPT_MEMORY_MAX);
    e = script_parse(text, &arena, &script, &line);
    for (size_t i = 0; i < script.count && !e; i++)
        e = stage_play(stage, &script.steps[i], &why);
    if (e)
        printf("a proper session: %s: %s\n", err_name(e), why.text);
    if (!stage->opened || e || !stage->given_count)
        stage->given_count = 0;
    arena_done(&arena);
    return e == OK;
}

static void
play_storm(void *arg)
{
    static const str opening = S("given domain here.example, account ann, account bob\n"
                                 "C> connect from 192.0.2.7\nS< 220 ...\nC> QUIT\nS< 221 ...\n"
                                 "S closes\n");
    static const str proper =
        S("C> connect from 192.0.2.7\nS< 220 ...\nC> EHLO x\nS< 250-...\nS< 250 ...\n"
          "C> MAIL FROM:<a@example.org>\nS< 250 ...\nC> RCPT TO:<bob@here.example>\nS< 250 ...\n"
          "C> DATA\nS< 354 ...\nC> Subject: proper\nC>\nC> .\nS< 250 2.0.0 Queued as ...\n"
          "C> QUIT\nS< 221 ...\nS closes\n");
    struct storm *storm = arg;
    struct why why = { "" };

    if (stage_open(&storm->stage, storm->tls_dir, &why) || !play_text(&storm->stage, opening)) {
        storm->failed = 1;
        return;
    }
    for (unsigned i = 0; i < storm->sessions; i++) {
        uint64_t state = storm->rand.state;

        if (!one_session(storm)) {
            storm->failed++;
            printf("session %u, generator at %llu\n", i, (unsigned long long)state);
        }
    }
    if (!play_text(&storm->stage, proper))
        storm->failed++;
    stage_close(&storm->stage);
}

int
main(int argc, char **argv)
{
    static struct storm storm;
    struct runtime_options options = { .simulated = true, .seed = 1 };
    uint64_t seed = 0, sessions = 0;

    if (argc < 5 || !str_to_u64(str_from(argv[2]), &seed) ||
        !str_to_u64(str_from(argv[3]), &sessions)) {
        fprintf(stderr, "usage: storm TLS-DIR SEED SESSIONS DIR...\n");
        return 64;
    }
    for (int i = 4; i < argc; i++)
        nftw(argv[i], note_file, 16, FTW_PHYS);
    storm.tls_dir = realpath(argv[1], NULL);
    storm.sessions = (unsigned)sessions;
    rand_init(&storm.rand, seed);
    options.seed = seed;
    log_set_level(LOG_LEVEL_ERROR);
    if (!word_count || !storm.tls_dir || runtime_run(&options, play_storm, &storm))
        return 1;
    printf("%u passed, %u failed\n", storm.sessions + 1 - storm.failed, storm.failed);
    return storm.failed != 0;
}
