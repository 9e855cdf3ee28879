/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* dns_test.c: the resolver against a real server (Knot DNS), which signs its zones itself; without
 * one this says so and proves only what needs none. */
#include "runtime/dns.h"

#include "check.h"
#include "runtime/clock.h"
#include "runtime/dns_ask.h"
#include "runtime/fiber.h"
#include "runtime/sim.h"

#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static char directory[] = "/tmp/outpost-dns-test-XXXXXX";
static uint16_t port;
static pid_t server;
static char good_anchor[512];
static char wrong_anchor[512];

/* 200 bytes of text: eight of them do not fit into a datagram. */
#define TEN "0123456789"
#define LARGE                                                                                      \
    "\"" TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN "\" "

static const char zone_text[] =
    "@ 300 SOA ns hostmaster 1 3600 600 86400 60\n@ 300 NS ns\nns 300 A 127.0.0.1\n"
    "@ 300 MX 10 mx1\n@ 300 MX 20 mx2\nmx1 300 A 192.0.2.1\nmx1 300 AAAA 2001:db8::1\n"
    "www 300 CNAME mx1\n@ 300 TXT \"v=spf1 \" \"-all\"\n"
    "large 300 TXT " LARGE LARGE LARGE LARGE LARGE LARGE LARGE LARGE "\n"
    "_25._tcp.mx1 300 TLSA 3 1 1 "
    "0000000000000000000000000000000000000000000000000000000000000001\n";

static void
put_file(const char *name, const char *text)
{
    char path[128];
    FILE *file;

    snprintf(path, sizeof(path), "%s/%s", directory, name);
    file = fopen(path, "w");
    CHECK(file && fputs(text, file) >= 0);
    if (file)
        fclose(file);
}

static uint16_t
free_port(void)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000001) };
    socklen_t size = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    CHECK(bind(fd, (struct sockaddr *)&address, size) == 0);
    CHECK(getsockname(fd, (struct sockaddr *)&address, &size) == 0);
    close(fd);
    return ntohs(address.sin_port);
}

static void
write_config(void)
{
    static const char *const zones[] = { "signed.test", "bogus.test", "plain.test" };
    char text[4096];
    size_t at;

    at = (size_t)snprintf(text, sizeof(text),
                          "server:\n  listen: 127.0.0.1@%u\n  rundir: %s\n  udp-workers: 1\n"
                          "  tcp-workers: 1\n  background-workers: 1\n"
                          "database:\n  storage: %s\nlog:\n  - target: stderr\n    any: error\n"
                          "zone:\n",
                          port, directory, directory);
    for (size_t i = 0; i < COUNT_OF(zones); i++) {
        char name[64], body[2048];
        snprintf(name, sizeof(name), "%s.zone", zones[i]);
        snprintf(body, sizeof(body), "$ORIGIN %s.\n%s", zones[i], zone_text);
        put_file(name, body);
        at += (size_t)snprintf(text + at, sizeof(text) - at,
                               "  - domain: %s\n    storage: %s\n    file: %s\n"
                               "    zonefile-sync: -1\n    journal-content: all\n"
                               "    dnssec-signing: %s\n",
                               zones[i], directory, name, i < 2 ? "on" : "off");
    }
    put_file("knot.conf", text);
}

static bool
accepts(void)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_port = htons(port),
                                   .sin_addr.s_addr = htonl(0x7f000001) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool connected = connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0;

    close(fd);
    return connected;
}

/* The key-signing key, as a record of ZONE. */
static bool
read_anchor(const char *zone, char *anchor, size_t size)
{
    char command[256], line[512] = "";
    FILE *pipe;
    str owner, rest;

    snprintf(command, sizeof(command), "keymgr -c %s/knot.conf signed.test dnskey 2>/dev/null",
             directory);
    pipe = popen(command, "r");
    if (!pipe)
        return false;
    while (fgets(line, sizeof(line), pipe))
        if (strstr(line, "DNSKEY 257 "))
            break;
    pclose(pipe);
    if (!strstr(line, "DNSKEY 257 "))
        return false;
    (void)str_split(str_trim(str_from(line)), ' ', &owner, &rest);
    snprintf(anchor, size, "%s. IN %.*s", zone, STR_ARG(rest));
    return true;
}

static bool
start_server(void)
{
    char config[128];
    char *words[] = { "knotd", "-c", config, NULL };

    port = free_port();
    if (!mkdtemp(directory))
        return false;
    write_config();
    snprintf(config, sizeof(config), "%s/knot.conf", directory);
    if (posix_spawnp(&server, "knotd", NULL, NULL, words, environ)) {
        server = 0;
        return false;
    }
    for (int i = 0; i < 200; i++) {
        if (accepts() && read_anchor("signed.test", good_anchor, sizeof(good_anchor)) &&
            read_anchor("bogus.test", wrong_anchor, sizeof(wrong_anchor)))
            return true;
        usleep(50000);
    }
    return false;
}

static void
stop_server(void)
{
    char command[128];

    if (server) {
        kill(server, SIGTERM);
        waitpid(server, NULL, 0);
    }
    snprintf(command, sizeof(command), "rm -rf %s", directory);
    CHECK(system(command) == 0);
}

static struct arena arena;
static struct dns_answer answer;

static void
ask(const char *name, enum dns_type type)
{
    enum err e;

    arena_clear(&arena);
    answer = (struct dns_answer){};
    e = dns_lookup(&arena, str_from(name), type, deadline_in(SECONDS(20)), &answer);
    CHECK(e == OK);
}

static void
ask_signed_zone(void *arg)
{
    (void)arg;
    ask("signed.test", DNS_MX);
    CHECK(answer.status == DNS_FOUND && answer.secure && answer.count == 2);
    if (answer.status != DNS_FOUND)
        printf("status %d: %s\n", (int)answer.status, answer.why);
    ask("WWW.Signed.Test.", DNS_A);
    CHECK(answer.status == DNS_FOUND && answer.secure && answer.count == 1);
    CHECK_STR(answer.canonical, "mx1.signed.test");
    CHECK(answer.count && ipaddr_eq(answer.records[0].addr, ipaddr_from_v4(0xc0000201)));
    ask("mx1.signed.test", DNS_AAAA);
    CHECK(answer.status == DNS_FOUND && answer.secure && answer.count == 1);
    ask("signed.test", DNS_TXT);
    CHECK(answer.count == 1);
    CHECK_STR(answer.records[0].data, "v=spf1 -all");
    ask("_25._tcp.mx1.signed.test", DNS_TLSA);
    CHECK(answer.status == DNS_FOUND && answer.secure && answer.records[0].data.len == 35);
    ask("mx2.signed.test", DNS_A);
    CHECK(answer.status == DNS_NO_NAME && answer.secure);
    ask("mx1.signed.test", DNS_TXT);
    CHECK(answer.status == DNS_NO_DATA && answer.secure);
}

static void
ask_other_zones(void *arg)
{
    (void)arg;
    ask("plain.test", DNS_MX);
    CHECK(answer.status == DNS_FOUND && !answer.secure && answer.count == 2);
    ask("nobody.plain.test", DNS_MX);
    CHECK(answer.status == DNS_NO_NAME && !answer.secure);
    ask("bogus.test", DNS_MX);
    CHECK(answer.status == DNS_BOGUS && !answer.secure && answer.why[0]);
}

static void
in_a_fiber(void (*fn)(void *))
{
    struct runtime_options options = { .loops = 2 };
    enum err e = runtime_run(&options, fn, NULL);

    CHECK(e == OK);
}

static void
a_signed_zone_is_secure(void)
{
    in_a_fiber(ask_signed_zone);
    ask_signed_zone(NULL);
}

static void
unsigned_is_insecure_and_a_wrong_key_is_bogus(void)
{
    in_a_fiber(ask_other_zones);
    ask_other_zones(NULL);
}

static void
ask_repeatedly(void *arg)
{
    struct arena own;

    (void)arg;
    arena_init(&own, 65536);
    for (int i = 0; i < 200; i++) {
        struct dns_answer mine;
        arena_clear(&own);
        CHECK(dns_lookup(&own, S("signed.test"), DNS_MX, deadline_in(SECONDS(20)), &mine) == OK);
        CHECK(mine.status == DNS_FOUND && mine.secure);
    }
    arena_done(&own);
}

static void
ask_from_many_fibers(void *arg)
{
    struct group group;

    (void)arg;
    group_init(&group);
    for (int i = 0; i < 200; i++) {
        enum err e = group_start(&group, ask_repeatedly, NULL, "asker");
        CHECK(!e);
    }
    group_join(&group);
}

static void
forty_thousand_questions_at_once_are_answered(void)
{
    instant before = clock_steady();

    in_a_fiber(ask_from_many_fibers);
    printf("(40000 questions in %lld ms)\n",
           (long long)((clock_steady() - before) / MILLISECONDS(1)));
}

static void
ask_the_silent(void *arg)
{
    struct group *group = arg;
    enum err e = dns_lookup(&arena, S("silent.test"), DNS_A, NEVER, &answer);

    (void)group;
    CHECK(e == ERR_CANCELLED);
}

static void
give_up(void *arg)
{
    struct group group;
    enum err e;

    (void)arg;
    e = dns_lookup(&arena, S("silent.test"), DNS_MX, deadline_in(MILLISECONDS(20)), &answer);
    CHECK(e == OK && answer.status == DNS_TEMPORARY);
    group_init(&group);
    e = group_start(&group, ask_the_silent, &group, "asker");
    CHECK(!e);
    CHECK(fiber_sleep(MILLISECONDS(20)) == OK);
    group_stop(&group);
}

static void
a_question_without_answer_can_be_given_up(void)
{
    in_a_fiber(give_up);
}

static void
ask_directly(const struct endpoint *at, const char *name, enum dns_type type, duration patience)
{
    arena_clear(&arena);
    answer = (struct dns_answer){};
    CHECK(dns_ask(&arena, at, str_from(name), type, deadline_in(patience), &answer) == OK);
}

static void
ask_one_server(void *arg)
{
    struct endpoint knot = { ipaddr_from_v4(0x7f000001), port };
    struct endpoint silent = { ipaddr_from_v4(0x7f000001), *(uint16_t *)arg };
    struct endpoint nobody = { ipaddr_from_v4(0x7f000001), free_port() };

    ask_directly(&knot, "Plain.test", DNS_NS, SECONDS(5));
    CHECK(answer.status == DNS_FOUND && answer.count == 1 && !answer.secure);
    CHECK_STR(answer.records[0].name, "ns.plain.test");
    ask_directly(&knot, "nobody.plain.test", DNS_TXT, SECONDS(5));
    CHECK(answer.status == DNS_NO_NAME);
    ask_directly(&knot, "large.plain.test", DNS_TXT, SECONDS(5));
    CHECK(answer.status == DNS_FOUND && answer.records[0].data.len == 1600);
    ask_directly(&knot, "else.example", DNS_TXT, SECONDS(5));
    CHECK(answer.status == DNS_TEMPORARY && answer.why[0]);
    ask_directly(&silent, "plain.test", DNS_TXT, MILLISECONDS(50));
    CHECK(answer.status == DNS_TEMPORARY);
    ask_directly(&nobody, "plain.test", DNS_TXT, SECONDS(5));
    CHECK(answer.status == DNS_TEMPORARY);
    CHECK(dns_ask(&arena, &knot, S("a..b"), DNS_TXT, NEVER, &answer) == ERR_SYNTAX);
}

static uint16_t silent_at;

static void
one_server_is_asked_past_the_resolver(void)
{
    struct runtime_options options = { .loops = 1 };

    CHECK(runtime_run(&options, ask_one_server, &silent_at) == OK);
}

/* A UDP socket that never answers. */
static int
silent_socket(uint16_t *at)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000001) };
    socklen_t size = sizeof(address);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    CHECK(bind(fd, (struct sockaddr *)&address, size) == 0);
    CHECK(getsockname(fd, (struct sockaddr *)&address, &size) == 0);
    *at = ntohs(address.sin_port);
    return fd;
}

/* --- A server that is overtaken by liars, on a thread of its own. */

struct liars {
    int fd;
    bool tells_truth;
};

static void *
lie(void *arg)
{
    struct liars *liars = arg;
    uint8_t bytes[512];
    struct sockaddr_in from;
    socklen_t size = sizeof(from);
    ssize_t len = recvfrom(liars->fd, bytes, sizeof(bytes), 0, (struct sockaddr *)&from, &size);

    if (len < 12)
        return NULL;
    /* No answer at all; another id; another question; then no such name. */
    for (int i = 0; i < (liars->tells_truth ? 4 : 3); i++) {
        uint8_t forged[512];
        memcpy(forged, bytes, (size_t)len);
        forged[2] |= i == 0 ? 0 : 0x80;
        forged[3] = i == 3 ? 3 : 0;
        forged[1] ^= i == 1;
        forged[13] ^= i == 2 ? 3 : 0;
        sendto(liars->fd, forged, (size_t)len, 0, (struct sockaddr *)&from, size);
    }
    return NULL;
}

static void
ask_among_liars(void *arg)
{
    struct endpoint at = { ipaddr_from_v4(0x7f000001), *(uint16_t *)arg };

    ask_directly(&at, "plain.test", DNS_TXT, MILLISECONDS(700));
}

static void
answers_of_others_are_passed_over(void)
{
    for (int truth = 0; truth < 2; truth++) {
        struct runtime_options options = { .loops = 1 };
        uint16_t at;
        struct liars liars = { silent_socket(&at), truth };
        pthread_t thread;

        CHECK(pthread_create(&thread, NULL, lie, &liars) == 0);
        CHECK(runtime_run(&options, ask_among_liars, &at) == OK);
        CHECK(answer.status == (truth ? DNS_NO_NAME : DNS_TEMPORARY));
        pthread_join(thread, NULL);
        close(liars.fd);
    }
}

static void
ask_the_simulated(void *arg)
{
    struct dns_record mx = { .preference = 10, .name = S("mx.example.test") };
    struct dns_record alias = { .name = S("mx.example.test") };
    struct dns_record a = { .addr = ipaddr_from_v4(0xc0000201) };

    (void)arg;
    sim_dns_add("example.test", DNS_MX, &mx, true);
    sim_dns_add("www.example.test", DNS_CNAME, &alias, false);
    sim_dns_add("mx.example.test", DNS_A, &a, true);
    sim_dns_fail("broken.test", DNS_TEMPORARY);
    sim_dns_fail("bogus.test", DNS_BOGUS);
    ask("EXAMPLE.test", DNS_MX);
    CHECK(answer.status == DNS_FOUND && answer.secure && answer.count == 1);
    CHECK_STR(answer.records[0].name, "mx.example.test");
    ask("www.example.test", DNS_A);
    CHECK(answer.status == DNS_FOUND && !answer.secure);
    CHECK_STR(answer.canonical, "mx.example.test");
    ask("mx.example.test", DNS_AAAA);
    CHECK(answer.status == DNS_NO_DATA);
    ask("nobody.test", DNS_AAAA);
    CHECK(answer.status == DNS_NO_NAME);
    ask("broken.test", DNS_MX);
    CHECK(answer.status == DNS_TEMPORARY);
    ask("bogus.test", DNS_MX);
    CHECK(answer.status == DNS_BOGUS);
    CHECK(dns_lookup(&arena, S("not a name"), DNS_MX, NEVER, &answer) == ERR_SYNTAX);
}

static void
the_simulated_dns_answers_from_its_table(void)
{
    struct runtime_options options = { .simulated = true, .seed = 3 };

    CHECK(runtime_run(&options, ask_the_simulated, NULL) == OK);
}

static void
configure(int silent_port)
{
    struct endpoint knot = { ipaddr_from_v4(0x7f000001), port };
    struct endpoint silent = { ipaddr_from_v4(0x7f000001), (uint16_t)silent_port };
    struct dns_stub stubs[] = { { "signed.test", knot },
                                { "bogus.test", knot },
                                { "plain.test", knot },
                                { "silent.test", silent } };
    const char *anchors[] = { good_anchor, wrong_anchor };
    struct dns_options options = { .trust_anchors = anchors,
                                   .trust_anchor_count = 2,
                                   .stubs = stubs,
                                   .stub_count = COUNT_OF(stubs) };
    struct why why = {};

    CHECK(dns_configure(&options, &why) == OK);
    CHECK_STR(str_from(why.text), "");
}

static void
mistakes_in_the_configuration_are_explained(void)
{
    const char *anchors[] = { "this is no anchor" };
    struct dns_options options = { .trust_anchors = anchors, .trust_anchor_count = 1 };
    struct why why = {};

    CHECK(dns_configure(&options, &why) == ERR_SYNTAX);
    CHECK(str_find_str(str_from(why.text), S("trust anchor")) >= 0);
    options = (struct dns_options){ .trust_anchor_file = "/nowhere/root.key" };
    CHECK(dns_configure(&options, &why) == ERR_NOT_FOUND);
    CHECK(str_find_str(str_from(why.text), S("/nowhere/root.key")) >= 0);
}

int
main(void)
{
    int silent = silent_socket(&silent_at);

    arena_init(&arena, 1 << 20);
    RUN(the_simulated_dns_answers_from_its_table);
    RUN(answers_of_others_are_passed_over);
    RUN(mistakes_in_the_configuration_are_explained);
    if (start_server()) {
        configure(silent_at);
        RUN(a_signed_zone_is_secure);
        RUN(unsigned_is_insecure_and_a_wrong_key_is_bogus);
        RUN(one_server_is_asked_past_the_resolver);
        RUN(forty_thousand_questions_at_once_are_answered);
        RUN(a_question_without_answer_can_be_given_up);
    } else {
        printf("SKIPPED: everything that needs a name server: knotd does not start here\n");
    }
    stop_server();
    arena_done(&arena);
    close(silent);
    return check_end();
}
