/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* client_test.c: heads as lines, and posts to a service that is played in the simulated network. */
#include "protocols/http/client.h"

#include "check.h"
#include "runtime/clock.h"
#include "runtime/fiber.h"
#include "runtime/listener.h"
#include "runtime/sim.h"
#include "runtime/stream.h"

#include <string.h>

static const instant now = SECONDS(1795000000);

static enum err
parse(const char *text, struct http_head *head)
{
    str rest = str_from(text);
    enum err e = OK;

    *head = (struct http_head){};
    while (!e && rest.len && !head->complete) {
        size_t length = (size_t)str_find(rest, '\n') + 1;
        e = http_head_add_line(head, str_head(rest, length), now);
        rest = str_skip(rest, length);
    }
    return e;
}

static void
a_head_says_status_and_when_to_come_again(void)
{
    struct http_head head;

    CHECK(parse("HTTP/1.1 503 Not now\r\nRetry-After: 90\r\nContent-Length: 5\r\n\r\n", &head) ==
          OK);
    CHECK(head.complete && head.status == 503 && head.retry_after == SECONDS(90));
    CHECK(head.has_length && head.length == 5);
    CHECK_STR(str_from(head.reason), "Not now");
    CHECK(parse("HTTP/1.0 204\n\n", &head) == OK && head.status == 204);
    CHECK(parse("HTTP/1.1 429 Slow\r\nretry-after: 99999999999\r\n\r\n", &head) == OK);
    CHECK(head.retry_after == DAYS(1));
}

static void
interim_heads_are_passed_over(void)
{
    struct http_head head;

    CHECK(parse("HTTP/1.1 100 Continue\r\nRetry-After: 5\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", &head) ==
          OK);
    CHECK(head.complete && head.status == 200 && head.retry_after == 0);
}

static void
what_is_not_http_or_without_end_is_refused(void)
{
    struct http_head head = {};
    enum err e = OK;

    CHECK(parse("220 mx.example ESMTP\r\n", &head) == ERR_SYNTAX);
    CHECK(parse("HTTP/1.1 2x0 OK\r\n", &head) == ERR_SYNTAX);
    CHECK(parse("HTTP/1.1 2000 OK\r\n", &head) == ERR_SYNTAX);
    CHECK(parse("HTTP/1.1 200 OK\r\nno colon\r\n", &head) == ERR_SYNTAX);
    head = (struct http_head){ .status = 200 };
    for (int i = 0; i <= HTTP_LINES_MAX && !e; i++)
        e = http_head_add_line(&head, S("A: b\r\n"), now);
    CHECK(e == ERR_LIMIT);
}

/* A service: reads what HEARS says, then says SAYS. */
struct play {
    const char *hears;
    const char *says;
    enum err expected;
    unsigned status;
    const char *text;
    bool sent;
};

static void
serve(void *arg, struct stream *mine)
{
    OWN(stream) stream = mine;
    const struct play *play = arg;
    str heard;

    stream_set_deadline(stream, deadline_in(SECONDS(5)));
    if (play->hears) {
        CHECK(stream_fill_at_least(stream, strlen(play->hears), &heard) == OK);
        CHECK(str_starts(heard, str_from(play->hears)));
        stream_consume(stream, heard.len);
    }
    CHECK(stream_write(stream, str_from(play->says)) == OK);
    CHECK(stream_flush(stream) == OK);
}

WAITS static enum err
write_hello(void *arg, struct stream *stream)
{
    (void)arg;
    return stream_write(stream, S("hello"));
}

static void
try_one(void *arg)
{
    struct play *play = arg;
    struct http_request request = {
        .target = S("/hook?x=1"),
        .host = S("hook.example"),
        .content_type = S("text/plain"),
        .fields = S("Outpost-Id: 1\r\n"),
        .content_length = 5,
        .write_body = write_hello,
        .arg = play,
        .write_timeout = SECONDS(10),
        .reply_timeout = SECONDS(10),
    };
    struct listener_options options = { .name = "hook" };
    struct listener *listener = NULL;
    OWN(stream) stream = NULL;
    struct http_reply reply = {};
    struct endpoint endpoint;
    bool sent = false;
    enum err e;

    CHECK(endpoint_parse(S("192.0.2.1:80"), &endpoint));
    CHECK(listener_start_sim(&endpoint, &options, serve, play, &listener) == OK);
    CHECK(stream_connect(&endpoint, NULL, NEVER, &stream, NULL) == OK);
    e = http_post(stream, &request, &reply, &sent);
    if (e != play->expected)
        printf("it is: %s\n", err_name(e));
    CHECK(e == play->expected);
    CHECK(sent == play->sent);
    CHECK(reply.status == play->status);
    if (play->text)
        CHECK_STR(str_from(reply.text), play->text);
    stream_close(take(stream));
    listener_stop(listener, deadline_in(SECONDS(20)));
}

static void
run_play(struct play play)
{
    struct runtime_options options = { .simulated = true, .seed = 9 };

    CHECK(runtime_run(&options, try_one, &play) == OK);
}

static const char whole[] =
    "POST /hook?x=1 HTTP/1.1\r\nHost: hook.example\r\nUser-Agent: outpost\r\n"
    "Content-Type: text/plain\r\nContent-Length: 5\r\nConnection: close\r\n"
    "Outpost-Id: 1\r\n\r\nhello";

static void
a_post_has_its_answer(void)
{
    run_play((struct play){ .hears = whole,
                            .says = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\ntaken\nmore",
                            .status = 200,
                            .text = "taken",
                            .sent = true });
    run_play((struct play){
        .hears = whole,
        .says = "HTTP/1.1 422 No\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nno\x01way\r\n0\r\n\r\n",
        .status = 422,
        .text = "no?way",
        .sent = true });
    run_play((struct play){ .hears = whole,
                            .says = "HTTP/1.1 202 Accepted\r\n\r\n",
                            .status = 202,
                            .text = "Accepted",
                            .sent = true });
}

static void
silence_after_the_request_is_told_apart(void)
{
    run_play((struct play){ .hears = whole, .says = "", .expected = ERR_CLOSED, .sent = true });
    run_play((struct play){
        .hears = whole, .says = "SSH-2.0-x\r\n", .expected = ERR_SYNTAX, .sent = true });
}

int
main(void)
{
    RUN(a_head_says_status_and_when_to_come_again);
    RUN(interim_heads_are_passed_over);
    RUN(what_is_not_http_or_without_end_is_refused);
    RUN(a_post_has_its_answer);
    RUN(silence_after_the_request_is_told_apart);
    return check_end();
}
