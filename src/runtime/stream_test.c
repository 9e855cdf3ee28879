/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* stream_test.c: lines, buffers, listeners and TLS, over sockets and in the simulated world. */
#include "runtime/stream.h"

#include "check.h"
#include "runtime/clock.h"
#include "runtime/fiber.h"
#include "runtime/listener.h"
#include "runtime/sim.h"
#include "runtime/test_cert.h"
#include "runtime/tls.h"

#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static void
run(void (*fn)(void *), void *arg)
{
    struct runtime_options options = { .loops = 2 };
    enum err e = runtime_run(&options, fn, arg);

    CHECK(e == OK);
}

static void
run_simulated(void (*fn)(void *), void *arg, uint64_t seed)
{
    struct runtime_options options = { .simulated = true, .seed = seed };
    enum err e = runtime_run(&options, fn, arg);

    CHECK(e == OK);
}

static void
pair(struct stream **a, struct stream **b)
{
    int fds[2];

    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
    CHECK(stream_from_socket(fds[0], a) == OK);
    CHECK(stream_from_socket(fds[1], b) == OK);
}

static void
read_lines(void *arg)
{
    OWN(stream) a = NULL;
    OWN(stream) b = NULL;
    str line, bytes;

    (void)arg;
    pair(&a, &b);
    CHECK(stream_write(a, S("one\r\ntwo\r\nthree and much more\r\nfour")) == OK);
    CHECK(stream_flush(a) == OK);
    CHECK(stream_read_line(b, 100, &line) == OK);
    CHECK_STR(line, "one\r\n");
    CHECK(stream_read_line(b, 100, &line) == OK);
    CHECK_STR(line, "two\r\n");
    CHECK(stream_read_line(b, 10, &line) == ERR_LIMIT);
    CHECK(stream_skip_line(b, 5) == ERR_LIMIT);
    CHECK(stream_skip_line(b, 100) == OK);
    stream_set_deadline(b, deadline_in(MILLISECONDS(10)));
    CHECK(stream_read_line(b, 100, &line) == ERR_TIMEOUT);
    stream_set_deadline(b, deadline_in(SECONDS(10)));
    CHECK(stream_fill(b, &bytes) == OK);
    CHECK_STR(bytes, "four");
    CHECK(stream_buffered(b) == 4);
    stream_discard_input(b);
    CHECK(stream_buffered(b) == 0);
    stream_close(take(a));
    CHECK(stream_fill(b, &bytes) == ERR_CLOSED);
    CHECK(stream_fill(b, &bytes) == ERR_CLOSED);
}

static void
lines_come_one_by_one(void)
{
    run(read_lines, NULL);
    read_lines(NULL);
}

struct transfer {
    struct stream *stream;
    size_t count;
    bool intact;
};

static char
pattern(size_t at)
{
    return (char)(at * 31 + at / 977);
}

static void
send_much(void *arg)
{
    struct transfer *transfer = arg;
    char *bytes = malloc(transfer->count);
    size_t at = 0;

    for (size_t i = 0; i < transfer->count; i++)
        bytes[i] = pattern(i);
    for (size_t part = 1; at < transfer->count; part = part * 3 + 1) {
        size_t length = MIN(part, transfer->count - at);
        CHECK(stream_write(transfer->stream, (str){ bytes + at, length }) == OK);
        at += length;
    }
    CHECK(stream_flush(transfer->stream) == OK);
    free(bytes);
}

static void
receive_much(struct transfer *transfer)
{
    size_t at = 0;

    transfer->intact = true;
    while (at < transfer->count) {
        str bytes;
        if (stream_fill(transfer->stream, &bytes))
            break;
        for (size_t i = 0; i < bytes.len; i++)
            if (bytes.ptr[i] != pattern(at + i))
                transfer->intact = false;
        at += bytes.len;
        stream_consume(transfer->stream, bytes.len);
    }
    CHECK(at == transfer->count);
    CHECK(transfer->intact);
}

static void
send_and_receive(struct stream *from, struct stream *to, size_t count)
{
    struct transfer out = { from, count, false };
    struct transfer in = { to, count, false };
    struct group group;
    enum err e;

    group_init(&group);
    e = group_start(&group, send_much, &out, "sender");
    CHECK(!e);
    receive_much(&in);
    group_join(&group);
}

static void
transfer_much(void *arg)
{
    OWN(stream) a = NULL;
    OWN(stream) b = NULL;

    (void)arg;
    pair(&a, &b);
    send_and_receive(a, b, 3000000);
    send_and_receive(b, a, 100000);
}

static void
many_bytes_arrive_whole_and_in_order(void)
{
    run(transfer_much, NULL);
}

/* Echoes lines until "quit", with STARTTLS when a context is given. */
static void
echo(void *arg, struct stream *stream)
{
    OWN(stream) mine = stream;
    str line;

    stream_set_deadline(mine, deadline_in(SECONDS(10)));
    CHECK(stream_write(mine, S("hello\r\n")) == OK);
    while (stream_read_line(mine, 1000, &line) == OK) {
        if (str_eq(line, S("quit\r\n")))
            break;
        if (str_eq(line, S("starttls\r\n"))) {
            struct why why;
            CHECK(stream_write(mine, S("go\r\n")) == OK);
            if (stream_start_tls_server(mine, arg, &why))
                return;
            continue;
        }
        CHECK(stream_write(mine, line) == OK);
    }
    (void)!stream_write(mine, S("bye\r\n"));
}

static struct listener *
listen_on_loopback(struct endpoint *endpoint, void *context)
{
    struct listener_options options = { .name = "echo", .connections_max = 3 };
    struct listener *listener = NULL;
    struct sockaddr_in bound;
    socklen_t size = sizeof(bound);
    struct why why;
    int fd = -1;

    CHECK(endpoint_parse(S("127.0.0.1:0"), endpoint));
    CHECK(listener_bind(endpoint, 128, &fd, &why) == OK);
    CHECK(getsockname(fd, (struct sockaddr *)&bound, &size) == 0);
    endpoint->port = ntohs(bound.sin_port);
    CHECK(listener_start(fd, &options, echo, context, &listener) == OK);
    return listener;
}

static void
expect_line(struct stream *stream, const char *text)
{
    str line = S("");

    CHECK(stream_read_line(stream, 1000, &line) == OK);
    CHECK_STR(line, text);
}

static void
say(struct stream *stream, const char *text)
{
    CHECK(stream_write(stream, str_from(text)) == OK);
}

static void
visit(void *arg)
{
    const struct endpoint *endpoint = arg;
    OWN(stream) stream = NULL;
    struct why why;

    CHECK(stream_connect(endpoint, NULL, deadline_in(SECONDS(10)), &stream, &why) == OK);
    if (!stream)
        return;
    stream_set_deadline(stream, deadline_in(SECONDS(10)));
    CHECK(stream_peer(stream)->port == endpoint->port);
    expect_line(stream, "hello\r\n");
    say(stream, "a\r\nb\r\n");
    expect_line(stream, "a\r\n");
    expect_line(stream, "b\r\n");
    say(stream, "quit\r\n");
    expect_line(stream, "bye\r\n");
}

static void
serve_visitors(void *arg)
{
    struct endpoint endpoint;
    struct listener *listener = listen_on_loopback(&endpoint, NULL);
    struct group group;

    (void)arg;
    group_init(&group);
    for (int i = 0; i < 50; i++) {
        enum err e = group_start(&group, visit, &endpoint, "visitor");
        CHECK(!e);
    }
    group_join(&group);
    listener_stop(listener, deadline_in(SECONDS(10)));
}

static void
a_listener_serves_more_visitors_than_its_ceiling_one_after_another(void)
{
    run(serve_visitors, NULL);
}

static void
stop_with_guests(void *arg)
{
    struct endpoint endpoint;
    struct listener *listener = listen_on_loopback(&endpoint, NULL);
    OWN(stream) stream = NULL;
    str line;

    (void)arg;
    CHECK(stream_connect(&endpoint, NULL, NEVER, &stream, NULL) == OK);
    expect_line(stream, "hello\r\n");
    CHECK(listener_connections(listener) == 1);
    listener_stop(listener, deadline_in(MILLISECONDS(10)));
    expect_line(stream, "bye\r\n");
    CHECK(stream_read_line(stream, 100, &line) == ERR_CLOSED);
    stream_close(take(stream));
    CHECK(stream_connect(&endpoint, NULL, NEVER, &stream, NULL) == ERR_REFUSED);
}

static void
a_stopped_listener_lets_its_guests_say_goodbye(void)
{
    run(stop_with_guests, NULL);
}

struct world {
    struct test_cert cert;
    struct tls_context *server, *client, *stranger;
};

static void
world_init(struct world *world)
{
    struct why why = {};

    test_cert_new(&world->cert, "mail.example.test");
    CHECK(tls_server_new(world->cert.cert_file, world->cert.key_file, &world->server, &why) == OK);
    CHECK_STR(str_from(why.text), "");
    CHECK(tls_client_new(world->cert.cert_file, &world->client, &why) == OK);
    CHECK(tls_client_new(NULL, &world->stranger, &why) == OK);
}

static void
world_done(struct world *world)
{
    tls_context_unref(world->server);
    tls_context_unref(world->client);
    tls_context_unref(world->stranger);
    test_cert_done(&world->cert);
}

static void
secure_visit(struct world *world, const struct endpoint *endpoint)
{
    struct tls_client_options options = { S("mail.example.test"), TLS_VERIFY_PKIX };
    OWN(stream) stream = NULL;
    struct why why = {};
    const struct tls_info *info;

    CHECK(stream_connect(endpoint, NULL, deadline_in(SECONDS(10)), &stream, &why) == OK);
    stream_set_deadline(stream, deadline_in(SECONDS(10)));
    expect_line(stream, "hello\r\n");
    say(stream, "starttls\r\n");
    expect_line(stream, "go\r\n");
    CHECK(stream_tls(stream) == NULL);
    CHECK(stream_start_tls_client(stream, world->client, &options, &why) == OK);
    CHECK_STR(str_from(why.text), "");
    info = stream_tls(stream);
    CHECK(info && info->verified && info->has_exporter && info->peer_has_cert);
    CHECK_STR(str_from(info->version), "TLSv1.3");
    CHECK_STR(str_from(info->verify_text), "ok");
    say(stream, "secret\r\n");
    expect_line(stream, "secret\r\n");
    say(stream, "quit\r\n");
    expect_line(stream, "bye\r\n");
    CHECK(stream_read_line(stream, 100, &(str){}) == ERR_CLOSED);
}

static enum err
visit_as(struct tls_context *context, const struct tls_client_options *options,
         const struct endpoint *endpoint, struct tls_info *info, struct why *why)
{
    OWN(stream) stream = NULL;
    enum err e;

    CHECK(stream_connect(endpoint, NULL, deadline_in(SECONDS(10)), &stream, why) == OK);
    expect_line(stream, "hello\r\n");
    say(stream, "starttls\r\n");
    expect_line(stream, "go\r\n");
    e = stream_start_tls_client(stream, context, options, why);
    if (e)
        return e;
    *info = *stream_tls(stream);
    say(stream, "quit\r\n");
    expect_line(stream, "bye\r\n");
    return OK;
}

static void
refuse_strangers(struct world *world, const struct endpoint *endpoint)
{
    struct tls_client_options options = { S("mail.example.test"), TLS_VERIFY_PKIX };
    struct tls_info info = {};
    struct why why = {};

    CHECK(visit_as(world->stranger, &options, endpoint, &info, &why) == ERR_TLS);
    CHECK(str_find_str(str_from(why.text), S("not trusted")) >= 0);
    options.server_name = S("other.example.test");
    CHECK(visit_as(world->client, &options, endpoint, &info, &why) == ERR_TLS);
    CHECK(str_find_nocase(str_from(why.text), S("hostname mismatch")) >= 0);
    options.verify = TLS_VERIFY_NONE;
    CHECK(visit_as(world->client, &options, endpoint, &info, &why) == OK);
    CHECK(!info.verified);
    CHECK_STR(str_from(info.verify_text), "hostname mismatch");
    options = (struct tls_client_options){ S("127.0.0.1"), TLS_VERIFY_PKIX };
    CHECK(visit_as(world->client, &options, endpoint, &info, &why) == OK);
    CHECK(info.verified);
}

static void
visit_over_tls(void *arg)
{
    struct world *world = arg;
    struct endpoint endpoint;
    struct listener *listener = listen_on_loopback(&endpoint, world->server);

    secure_visit(world, &endpoint);
    refuse_strangers(world, &endpoint);
    listener_stop(listener, deadline_in(SECONDS(10)));
}

static void
starttls_protects_and_verifies(void)
{
    struct world world = {};

    world_init(&world);
    run(visit_over_tls, &world);
    world_done(&world);
}

/* Two servers with one key, and tickets of their own. */
static void
visit_again(void *arg)
{
    struct world *world = arg;
    struct endpoint endpoint;
    struct listener *listener = listen_on_loopback(&endpoint, world->server);
    bool resuming = true;
    struct tls_client_options options = { .server_name = S("mail.example.test"), .verify = TLS_VERIFY_PKIX,
                                          .resuming = &resuming };
    struct tls_info info = {};
    struct why why = {};

    CHECK(visit_as(world->client, &options, &endpoint, &info, &why) == OK);
    CHECK(!resuming && !info.resumed && info.verified);
    for (int i = 0; i < 2; i++) {
        CHECK(visit_as(world->client, &options, &endpoint, &info, &why) == OK);
        CHECK(resuming && info.resumed && info.verified && info.has_exporter);
        CHECK_STR(str_from(info.verify_text), "ok");
    }
    options.verify = TLS_VERIFY_NONE;
    CHECK(visit_as(world->client, &options, &endpoint, &info, &why) == OK);
    CHECK(!resuming && !info.resumed);
    options = (struct tls_client_options){
        .server_name = S("other.example.test"), .verify = TLS_VERIFY_PKIX, .resuming = &resuming
    };
    CHECK(visit_as(world->client, &options, &endpoint, &info, &why) == ERR_TLS);
    CHECK(!resuming);
    listener_stop(listener, deadline_in(SECONDS(10)));
}

static void
sessions_are_resumed_only_with_the_same_server_and_check(void)
{
    struct world world = {};

    world_init(&world);
    run(visit_again, &world);
    world_done(&world);
}

static void
fill_the_cache(void *arg)
{
    struct world *world = arg;
    struct endpoint endpoint;
    struct listener *listener = listen_on_loopback(&endpoint, world->server);
    struct tls_info info = {};
    struct why why = {};
    char name[32];

    for (unsigned i = 0; i < TLS_SESSIONS_KEPT + 44; i++) {
        struct tls_client_options options = { .verify = TLS_VERIFY_NONE };
        snprintf(name, sizeof(name), "mx%u.example.test", i);
        options.server_name = str_from(name);
        CHECK(visit_as(world->client, &options, &endpoint, &info, &why) == OK);
        CHECK(!info.resumed);
    }
    CHECK(tls_context_sessions(world->client) > 0);
    CHECK(tls_context_sessions(world->client) <= TLS_SESSIONS_KEPT);
    listener_stop(listener, deadline_in(SECONDS(10)));
}

static void
kept_sessions_have_a_ceiling(void)
{
    struct world world = {};

    world_init(&world);
    run(fill_the_cache, &world);
    world_done(&world);
}

static void
inject(void *arg)
{
    struct world *world = arg;
    struct endpoint endpoint;
    struct listener *listener = listen_on_loopback(&endpoint, world->server);
    OWN(stream) stream = NULL;
    str line;

    CHECK(stream_connect(&endpoint, NULL, deadline_in(SECONDS(10)), &stream, NULL) == OK);
    expect_line(stream, "hello\r\n");
    say(stream, "starttls\r\nquit\r\n");
    stream_set_deadline(stream, deadline_in(SECONDS(10)));
    CHECK(stream_read_line(stream, 100, &line) == ERR_CLOSED);
    listener_stop(listener, deadline_in(SECONDS(10)));
}

static void
bytes_before_tls_end_the_conversation(void)
{
    struct world world = {};

    world_init(&world);
    run(inject, &world);
    world_done(&world);
}

static void
accept_tls(void *arg)
{
    void **both = arg;
    struct why why;

    CHECK(stream_start_tls_server(both[0], both[1], &why) == OK);
}

static void
transfer_over_tls(void *arg)
{
    struct world *world = arg;
    struct tls_client_options options = { S("mail.example.test"), TLS_VERIFY_PKIX };
    OWN(stream) a = NULL;
    OWN(stream) b = NULL;
    struct group group;
    struct why why = {};
    void *server[2];
    enum err e;

    pair(&a, &b);
    server[0] = b;
    server[1] = world->server;
    group_init(&group);
    e = group_start(&group, accept_tls, server, "server");
    CHECK(!e);
    CHECK(stream_start_tls_client(a, world->client, &options, &why) == OK);
    group_join(&group);
    CHECK_STR(str_from(stream_tls(b)->sni), "mail.example.test");
    CHECK(memcmp(stream_tls(a)->exporter, stream_tls(b)->exporter, 32) == 0);
    send_and_receive(a, b, 3000000);
    send_and_receive(b, a, 100000);
}

static void
many_bytes_arrive_over_tls(void)
{
    struct world world = {};

    world_init(&world);
    run(transfer_over_tls, &world);
    world_done(&world);
}

static void *
be_server(void *arg)
{
    accept_tls(arg);
    return NULL;
}

static void
tls_works_without_a_loop(void)
{
    struct tls_client_options options = { S("mail.example.test"), TLS_VERIFY_PKIX };
    struct world world = {};
    OWN(stream) a = NULL;
    OWN(stream) b = NULL;
    pthread_t thread;
    void *server[2];

    world_init(&world);
    pair(&a, &b);
    server[0] = b;
    server[1] = world.server;
    CHECK(pthread_create(&thread, NULL, be_server, server) == 0);
    CHECK(stream_start_tls_client(a, world.client, &options, NULL) == OK);
    pthread_join(thread, NULL);
    say(a, "line\r\n");
    CHECK(stream_flush(a) == OK);
    expect_line(b, "line\r\n");
    world_done(&world);
}

/* RFC 5280 4.1.2.5: 99991231235959Z says that there is no end. */
static void
a_certificate_without_an_end_has_one_that_can_be_told(void)
{
    struct tls_client_options options = { S("mail.example.test"), TLS_VERIFY_PKIX };
    struct tls_certificate certificate = {};
    struct world world = {};
    struct why why = {};
    OWN(stream) a = NULL;
    OWN(stream) b = NULL;
    pthread_t thread;
    void *server[2];

    test_cert_until(&world.cert, "mail.example.test", "99991231235959Z");
    CHECK(tls_server_new(world.cert.cert_file, world.cert.key_file, &world.server, &why) == OK);
    CHECK(tls_client_new(world.cert.cert_file, &world.client, &why) == OK);
    pair(&a, &b);
    server[0] = b;
    server[1] = world.server;
    CHECK(pthread_create(&thread, NULL, be_server, server) == 0);
    CHECK(stream_start_tls_client(a, world.client, &options, NULL) == OK);
    pthread_join(thread, NULL);
    CHECK(stream_certificate(a, &certificate));
    CHECK(certificate.until > clock_now() + DAYS(36500));
    world_done(&world);
}

static void
broken_certificates_are_explained(void)
{
    struct world world = {};
    struct test_cert other = {};
    struct tls_context *context = NULL;
    struct why why = {};

    world_init(&world);
    test_cert_new(&other, "other.test");
    CHECK(tls_server_new("/nowhere/cert.pem", other.key_file, &context, &why) == ERR_NOT_FOUND);
    CHECK(str_find_str(str_from(why.text), S("/nowhere/cert.pem")) >= 0);
    CHECK(tls_server_new(world.cert.cert_file, other.key_file, &context, &why) == ERR_SYNTAX);
    CHECK(str_find_str(str_from(why.text), S("does not belong")) >= 0);
    CHECK(tls_server_new(other.key_file, other.key_file, &context, &why) == ERR_SYNTAX);
    CHECK(!context);
    test_cert_done(&other);
    world_done(&world);
}

/* The simulated network. */

static char story[2][4096];

static void
note(void *arg, bool output, str bytes)
{
    char *text = arg;
    size_t length = strlen(text);

    snprintf(text + length, sizeof(story[0]) - length, "%c%lld:%.*s", output ? '>' : '<',
             (long long)clock_steady(), STR_ARG(bytes));
}

static void
meet_in_simulation(void *arg)
{
    struct listener_options options = { .name = "echo" };
    struct listener *listener = NULL;
    struct endpoint endpoint;
    instant before = clock_steady();

    CHECK(endpoint_parse(S("192.0.2.1:25"), &endpoint));
    CHECK(listener_start_sim(&endpoint, &options, echo, NULL, &listener) == OK);
    for (int i = 0; i < 5; i++) {
        OWN(stream) stream = NULL;
        CHECK(stream_connect(&endpoint, NULL, NEVER, &stream, NULL) == OK);
        stream_set_tap(stream, note, arg);
        expect_line(stream, "hello\r\n");
        say(stream, "first line\r\nsecond line\r\n");
        expect_line(stream, "first line\r\n");
        expect_line(stream, "second line\r\n");
    }
    CHECK(clock_steady() > before && clock_steady() < before + SECONDS(1));
    sim_advance(DAYS(5));
    CHECK(clock_steady() >= before + DAYS(5));
    listener_stop(listener, deadline_in(SECONDS(10)));
}

static void
the_same_seed_gives_the_same_conversation(void)
{
    story[0][0] = story[1][0] = 0;
    run_simulated(meet_in_simulation, story[0], 7);
    run_simulated(meet_in_simulation, story[1], 7);
    CHECK(strlen(story[0]) > 100);
    CHECK(strcmp(story[0], story[1]) == 0);
    story[1][0] = 0;
    run_simulated(meet_in_simulation, story[1], 8);
    CHECK(strcmp(story[0], story[1]) != 0);
}

static void
meet_faults(void *arg)
{
    struct listener_options options = { .name = "echo" };
    struct listener *listener = NULL;
    struct endpoint endpoint;
    OWN(stream) stream = NULL;
    instant before;
    str line;

    (void)arg;
    CHECK(endpoint_parse(S("192.0.2.1:25"), &endpoint));
    CHECK(stream_connect(&endpoint, NULL, NEVER, &stream, NULL) == ERR_REFUSED);
    CHECK(listener_start_sim(&endpoint, &options, echo, NULL, &listener) == OK);
    sim_network_fault(endpoint.addr, SIM_FAULT_UNREACHABLE);
    CHECK(stream_connect(&endpoint, NULL, NEVER, &stream, NULL) == ERR_UNREACHABLE);
    sim_network_fault(endpoint.addr, SIM_FAULT_SILENT);
    before = clock_steady();
    CHECK(stream_connect(&endpoint, NULL, deadline_in(SECONDS(30)), &stream, NULL) == ERR_TIMEOUT);
    CHECK(clock_steady() - before == SECONDS(30));
    sim_network_fault(endpoint.addr, SIM_FAULT_NONE);
    sim_connect_from(ipaddr_from_v4(0xc6336407));
    CHECK(stream_connect(&endpoint, NULL, NEVER, &stream, NULL) == OK);
    CHECK(ipaddr_eq(stream_local(stream)->addr, ipaddr_from_v4(0xc6336407)));
    expect_line(stream, "hello\r\n");
    sim_cut(stream);
    CHECK(stream_read_line(stream, 100, &line) == ERR_CLOSED);
    sim_settle();
    CHECK(listener_connections(listener) == 0);
    listener_stop(listener, deadline_in(SECONDS(10)));
}

static void
the_simulated_network_fails_on_demand(void)
{
    run_simulated(meet_faults, NULL, 1);
}

static void
simulate_tls(void *arg)
{
    struct world *world = arg;
    struct listener_options options = { .name = "echo" };
    struct listener *listener = NULL;
    struct endpoint endpoint;

    CHECK(endpoint_parse(S("192.0.2.1:25"), &endpoint));
    CHECK(listener_start_sim(&endpoint, &options, echo, world->server, &listener) == OK);
    secure_visit(world, &endpoint);
    listener_stop(listener, deadline_in(SECONDS(10)));
}

static void
tls_runs_in_the_simulated_world(void)
{
    struct world world = {};

    world_init(&world);
    for (uint64_t seed = 0; seed < 20; seed++)
        run_simulated(simulate_tls, &world, seed);
    world_done(&world);
}

int
main(void)
{
    RUN(lines_come_one_by_one);
    RUN(many_bytes_arrive_whole_and_in_order);
    RUN(a_listener_serves_more_visitors_than_its_ceiling_one_after_another);
    RUN(a_stopped_listener_lets_its_guests_say_goodbye);
    RUN(starttls_protects_and_verifies);
    RUN(sessions_are_resumed_only_with_the_same_server_and_check);
    RUN(kept_sessions_have_a_ceiling);
    RUN(bytes_before_tls_end_the_conversation);
    RUN(many_bytes_arrive_over_tls);
    RUN(tls_works_without_a_loop);
    RUN(a_certificate_without_an_end_has_one_that_can_be_told);
    RUN(broken_certificates_are_explained);
    RUN(the_same_seed_gives_the_same_conversation);
    RUN(the_simulated_network_fails_on_demand);
    RUN(tls_runs_in_the_simulated_world);
    return check_end();
}
