/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* get_test.c: bodies in pieces, and texts from a service in the simulated network. */
#include "protocols/http/get.h"

#include "check.h"
#include "runtime/clock.h"
#include "runtime/fiber.h"
#include "runtime/listener.h"
#include "runtime/sim.h"
#include "runtime/stream.h"

#include <string.h>

enum {
    BODY_MAX = 100
};

/* STEP bytes at a time. */
static enum err
read_body(const struct http_head *head, str bytes, size_t step, struct buf *to)
{
    struct http_body body;
    enum err e;

    buf_clear(to);
    e = http_body_begin(&body, head, to);
    while (!e && bytes.len) {
        e = http_body_add(&body, str_head(bytes, step));
        bytes = str_skip(bytes, step);
    }
    return e ? e : http_body_end(&body);
}

static void
expect(const struct http_head *head, const char *bytes, enum err wanted, const char *text)
{
    struct buf to;

    buf_init(&to, BODY_MAX);
    for (size_t step = 1; step < 9; step++) {
        CHECK(read_body(head, str_from(bytes), step, &to) == wanted);
        if (!wanted)
            CHECK_STR(buf_str(&to), text);
    }
    buf_done(&to);
}

static const struct http_head chunked = { .status = 200, .chunked = true };

static void
a_body_comes_whole_in_any_pieces(void)
{
    struct http_head sized = { .status = 200, .has_length = true, .length = 5 };
    struct http_head open = { .status = 200 };
    struct http_head none = { .status = 204 };

    expect(&sized, "hello and more", OK, "hello");
    expect(&open, "hello", OK, "hello");
    expect(&none, "", OK, "");
    expect(&chunked, "3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\nTrailer: x\r\n\r\nmore", OK, "hello");
    expect(&chunked, "00000005\nhello\n0\n\n", OK, "hello");
}

static void
a_body_that_is_cut_short_or_nonsense_is_told(void)
{
    struct http_head sized = { .status = 200, .has_length = true, .length = 5 };

    expect(&sized, "hell", ERR_CLOSED, "");
    expect(&chunked, "5\r\nhello\r\n", ERR_CLOSED, "");
    expect(&chunked, "5\r\nhello\r\n0\r\n", ERR_CLOSED, "");
    expect(&chunked, "5\r\nhelloX\r\n0\r\n\r\n", ERR_SYNTAX, "");
    expect(&chunked, "-5\r\nhello\r\n", ERR_SYNTAX, "");
    expect(&chunked, "5 x\r\nhello\r\n", ERR_SYNTAX, "");
}

static void
a_body_has_a_ceiling(void)
{
    struct http_head sized = { .status = 200, .has_length = true, .length = BODY_MAX + 1 };
    struct http_head open = { .status = 200 };
    char long_text[BODY_MAX + 2];
    char lines[4 * HTTP_LINES_MAX + 40] = "0\r\n";

    memset(long_text, 'x', BODY_MAX + 1);
    long_text[BODY_MAX + 1] = 0;
    expect(&sized, "", ERR_LIMIT, "");
    expect(&open, long_text, ERR_LIMIT, "");
    expect(&open, long_text + 1, OK, long_text + 1);
    expect(&chunked, "65\r\n", ERR_LIMIT, "");
    expect(&chunked, "ffffffff\r\n", ERR_LIMIT, "");
    for (int i = 0; i <= HTTP_LINES_MAX; i++)
        memcpy(lines + 3 + 4 * i, "a:\r\n", 5);
    expect(&chunked, lines, ERR_LIMIT, "");
}

struct play {
    const char *says;
    enum err expected;
    unsigned status;
    const char *type;
    const char *text;
    bool stays_silent;
};

static void
serve(void *arg, struct stream *mine)
{
    static const char request[] = "GET /p HTTP/1.1\r\nHost: h.example\r\nUser-Agent: outpost\r\n"
                                  "Accept: */*\r\nConnection: close\r\n\r\n";
    OWN(stream) stream = mine;
    const struct play *play = arg;
    str heard;

    stream_set_deadline(stream, deadline_in(SECONDS(50)));
    CHECK(stream_fill_at_least(stream, strlen(request), &heard) == OK);
    CHECK_STR(heard, request);
    CHECK(stream_write(stream, str_from(play->says)) == OK);
    CHECK(stream_flush(stream) == OK);
    if (play->stays_silent)
        CHECK(fiber_sleep(SECONDS(30)) == OK);
}

static void
try_one(void *arg)
{
    struct play *play = arg;
    struct listener_options options = { .name = "policy" };
    struct listener *listener = NULL;
    OWN(stream) stream = NULL;
    struct http_head head;
    struct endpoint endpoint;
    struct buf body;

    buf_init(&body, BODY_MAX);
    CHECK(endpoint_parse(S("192.0.2.1:443"), &endpoint));
    CHECK(listener_start_sim(&endpoint, &options, serve, play, &listener) == OK);
    CHECK(stream_connect(&endpoint, NULL, NEVER, &stream, NULL) == OK);
    stream_set_deadline(stream, deadline_in(SECONDS(10)));
    CHECK(http_get(stream, S("h.example"), S("/p"), &head, &body) == play->expected);
    if (!play->expected) {
        CHECK(head.status == play->status);
        CHECK_STR(str_from(head.content_type), play->type);
        CHECK_STR(buf_str(&body), play->text);
    }
    buf_done(&body);
    stream_close(take(stream));
    listener_stop(listener, deadline_in(SECONDS(60)));
}

static void
run_play(struct play play)
{
    struct runtime_options options = { .simulated = true, .seed = 9 };

    CHECK(runtime_run(&options, try_one, &play) == OK);
}

static void
a_get_has_its_answer(void)
{
    run_play((struct play){
        .says = "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nhello",
        .status = 200,
        .type = "text/plain",
        .text = "hello" });
    run_play((struct play){
        .says =
            "HTTP/1.1 301 Go\r\nLocation: https://elsewhere.example/\r\nContent-Length: 0\r\n\r\n",
        .status = 301,
        .type = "",
        .text = "" });
    run_play((struct play){ .says = "SSH-2.0-x\r\n", .expected = ERR_SYNTAX });
}

static void
a_service_that_goes_silent_costs_no_more_than_the_deadline(void)
{
    run_play((struct play){ .says = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhell",
                            .expected = ERR_TIMEOUT,
                            .stays_silent = true });
}

int
main(void)
{
    RUN(a_body_comes_whole_in_any_pieces);
    RUN(a_body_that_is_cut_short_or_nonsense_is_told);
    RUN(a_body_has_a_ceiling);
    RUN(a_get_has_its_answer);
    RUN(a_service_that_goes_silent_costs_no_more_than_the_deadline);
    return check_end();
}
