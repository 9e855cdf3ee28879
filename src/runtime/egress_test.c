/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* egress_test.c: proxies that are played in the simulated network. */
#include "runtime/egress.h"

#include "check.h"
#include "runtime/clock.h"
#include "runtime/fiber.h"
#include "runtime/listener.h"
#include "runtime/sim.h"
#include "runtime/stream.h"

#include <string.h>

/* What the proxy hears and says in turn. */
struct play {
    struct egress egress;
    const char *peer;
    struct {
        str hears;
        str says;
    } turns[4];
    enum err expected;
    const char *why;
};

#define SOCKS_HELLO  S("\x05\x01\x00")
#define SOCKS_LOGIN  S("\x05\x01\x02")
#define CONNECT_FOUR S("\x05\x01\x00\x01\xc6\x33\x64\x19\x00\x19")
#define CONNECTED                                                                                  \
    S("\x05\x00\x00\x01\xc0\x00\x02\x07\x10\x00"                                                   \
      "220 here\r\n")
#define PROXY_START "\x0d\x0a\x0d\x0a\x00\x0d\x0a\x51\x55\x49\x54\x0a\x21"

static void
play_proxy(void *arg, struct stream *mine)
{
    OWN(stream) stream = mine;
    const struct play *play = arg;

    stream_set_deadline(stream, deadline_in(SECONDS(5)));
    for (size_t i = 0; i < COUNT_OF(play->turns); i++) {
        str expected = play->turns[i].hears;
        str heard;
        if (expected.len) {
            CHECK(stream_fill_at_least(stream, expected.len, &heard) == OK);
            CHECK(heard.len >= expected.len && str_eq(str_head(heard, expected.len), expected));
            stream_consume(stream, expected.len);
        }
        if (play->turns[i].says.len) {
            CHECK(stream_write(stream, play->turns[i].says) == OK);
            CHECK(stream_flush(stream) == OK);
        }
    }
    if (play->expected == ERR_TIMEOUT)
        CHECK(fiber_sleep(SECONDS(15)) == OK);
}

static void
try_one(void *arg)
{
    struct play *play = arg;
    struct listener_options options = { .name = "proxy" };
    struct listener *listener = NULL;
    OWN(stream) stream = NULL;
    struct endpoint peer;
    struct why why = {};
    str line;
    enum err e;

    CHECK(endpoint_parse(S("192.0.2.1:1080"), &play->egress.proxy));
    CHECK(endpoint_parse(str_from(play->peer), &peer));
    CHECK(listener_start_sim(&play->egress.proxy, &options, play_proxy, play, &listener) == OK);
    e = egress_connect(&play->egress, &peer, deadline_in(SECONDS(10)), &stream, &why);
    CHECK(e == play->expected);
    if (e)
        CHECK(str_find_str(str_from(why.text), str_from(play->why)) >= 0);
    if (!e) {
        stream_set_deadline(stream, deadline_in(SECONDS(10)));
        CHECK(ipaddr_eq(stream_peer(stream)->addr, peer.addr));
        CHECK(stream_read_line(stream, 100, &line) == OK);
        CHECK_STR(line, "220 here\r\n");
    }
    stream_close(take(stream));
    listener_stop(listener, deadline_in(SECONDS(20)));
}

static void
run_play(struct play play)
{
    struct runtime_options options = { .simulated = true, .seed = 3 };

    CHECK(runtime_run(&options, try_one, &play) == OK);
}

static void
socks5_connects_and_what_follows_its_answer_is_the_peers(void)
{
    run_play((struct play){
        .peer = "198.51.100.25:25",
        .turns = { { SOCKS_HELLO, S("\x05\x00") }, { CONNECT_FOUR, CONNECTED } },
    });
    run_play((struct play){
        .peer = "[2001:db8::25]:25",
        .turns = { { SOCKS_HELLO, S("\x05\x00") },
                   { S("\x05\x01\x00\x04"
                       "\x20\x01\x0d\xb8"
                       "\x00\x00\x00\x00"
                       "\x00\x00\x00\x00"
                       "\x00\x00\x00\x25"
                       "\x00\x19"),
                     S("\x05\x00\x00\x03\x04"
                       "here"
                       "\x00\x19"
                       "220 here\r\n") } },
    });
}

static void
socks5_logs_in_with_user_and_password(void)
{
    struct egress egress = { .user = S("ann"), .password = S("secret") };

    run_play((struct play){
        .egress = egress,
        .peer = "198.51.100.25:25",
        .turns = { { SOCKS_LOGIN, S("\x05\x02") },
                   { S("\x01\x03"
                       "ann"
                       "\x06"
                       "secret"),
                     S("\x01\x00") },
                   { CONNECT_FOUR, CONNECTED } },
    });
    run_play((struct play){
        .egress = egress,
        .peer = "198.51.100.25:25",
        .turns = { { SOCKS_LOGIN, S("\x05\x02") },
                   { S("\x01\x03"
                       "ann"
                       "\x06"
                       "secret"),
                     S("\x01\x01") } },
        .expected = ERR_REFUSED,
        .why = "refuses the login",
    });
}

static void
socks5_says_why_it_cannot(void)
{
    run_play((struct play){
        .peer = "198.51.100.25:25",
        .turns = { { SOCKS_HELLO, S("\x05\x00") },
                   { CONNECT_FOUR, S("\x05\x04\x00\x01\x00\x00\x00\x00\x00\x00") } },
        .expected = ERR_UNREACHABLE,
        .why = "cannot connect to 198.51.100.25:25: host unreachable",
    });
    run_play((struct play){
        .peer = "198.51.100.25:25",
        .turns = { { SOCKS_HELLO, S("\x05\xff") } },
        .expected = ERR_REFUSED,
        .why = "wants a login",
    });
    run_play((struct play){
        .peer = "198.51.100.25:25",
        .turns = { { SOCKS_HELLO, S("HTTP/1.1 400 Bad Request\r\n") } },
        .expected = ERR_SYNTAX,
        .why = "does not speak SOCKS5",
    });
    run_play((struct play){
        .peer = "198.51.100.25:25",
        .turns = { { SOCKS_HELLO, S("\x05\x00") }, { CONNECT_FOUR, S("\x05\x00\x00\x09\x00") } },
        .expected = ERR_SYNTAX,
        .why = "does not speak SOCKS5",
    });
}

static void
a_proxy_that_falls_silent_costs_no_more_than_the_deadline(void)
{
    run_play((struct play){
        .peer = "198.51.100.25:25",
        .turns = { { SOCKS_HELLO, S("\x05\x00") }, { CONNECT_FOUR, S("\x05\x00\x00") } },
        .expected = ERR_TIMEOUT,
        .why = "the proxy 192.0.2.1:1080",
    });
}

static void
a_proxy_is_told_from_where_and_to_whom(void)
{
    ipaddr four = ipaddr_from_v4(0xc0000207);

    run_play((struct play){
        .egress = { .kind = EGRESS_PROXY, .from = &four },
        .peer = "198.51.100.25:25",
        .turns = { { S(PROXY_START "\x11\x00\x0c"
                                   "\xc0\x00\x02\x07"
                                   "\xc6\x33\x64\x19"
                                   "\x00\x00"
                                   "\x00\x19"),
                     S("220 here\r\n") } },
    });
    run_play((struct play){
        .egress = { .kind = EGRESS_PROXY, .from = &four },
        .peer = "[2001:db8::25]:25",
        .expected = ERR_UNREACHABLE,
        .why = "no address of this family",
    });
}

int
main(void)
{
    RUN(socks5_connects_and_what_follows_its_answer_is_the_peers);
    RUN(socks5_logs_in_with_user_and_password);
    RUN(socks5_says_why_it_cannot);
    RUN(a_proxy_that_falls_silent_costs_no_more_than_the_deadline);
    RUN(a_proxy_is_told_from_where_and_to_whom);
    return check_end();
}
