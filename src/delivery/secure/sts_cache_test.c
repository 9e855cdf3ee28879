/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* sts_cache_test.c: policies that are found, kept, outdated and lost, in a simulated world with one
 * policy host. */
#include "delivery/secure/sts_cache.h"

#include "check.h"
#include "delivery/secure/sts_store.h"
#include "runtime/clock.h"
#include "runtime/fiber.h"
#include "runtime/listener.h"
#include "runtime/sim.h"
#include "runtime/stream.h"
#include "runtime/test_cert.h"
#include "store/db.h"
#include "store/temp_dir.h"

#include <string.h>

#define POLICY "version: STSv1\nmode: enforce\nmx: mx.far.example\nmax_age: 864000\n"

/* The policy host of far.example, and who asks. */
struct host {
    struct test_cert cert;
    struct tls_context *server;
    struct sts_ways ways;
    const char *head;
    const char *policy;
    unsigned visits;
    unsigned answered;
    bool is_slow;
    struct listener *listener;
    struct sts_cache *cache;
    struct arena arena;
    struct sts_known known;
};

static void
serve(void *arg, struct stream *mine)
{
    OWN(stream) stream = mine;
    struct host *host = arg;
    struct why why = {};
    str line;

    host->visits++;
    stream_set_deadline(stream, deadline_in(MINUTES(2)));
    if (stream_start_tls_server(stream, host->server, &why))
        return;
    while (stream_read_line(stream, 1000, &line) == OK && line.len > 2)
        ;
    if (host->is_slow)
        CHECK(fiber_sleep(SECONDS(5)) == OK);
    /* Whoever has read enough may be gone. */
    if (stream_write(stream, str_from(host->head)) == OK &&
        stream_write(stream, str_from(host->policy)) == OK && stream_flush(stream) == OK)
        host->answered++;
}

static void
set_address(const char *text)
{
    struct dns_record address = {};

    sim_dns_clear();
    CHECK(ipaddr_parse(str_from(text), &address.addr));
    sim_dns_add("mta-sts.far.example", DNS_A, &address, false);
}

static void
set_records(const char *first, const char *second)
{
    struct dns_record records[2] = { { .data = str_from(first) }, { .data = str_from(second) } };

    set_address("192.0.2.1");
    if (first)
        sim_dns_add("_mta-sts.far.example", DNS_TXT, &records[0], false);
    if (second)
        sim_dns_add("_mta-sts.far.example", DNS_TXT, &records[1], false);
}

static void
open_host(struct host *host)
{
    struct listener_options options = { .name = "policy" };
    struct endpoint endpoint;

    CHECK(endpoint_parse(S("192.0.2.1:443"), &endpoint));
    CHECK(listener_start_sim(&endpoint, &options, serve, host, &host->listener) == OK);
}

static void
host_init(struct host *host, const char *name)
{
    struct why why = {};

    *host = (struct host){ .head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n",
                           .policy = POLICY };
    test_cert_new(&host->cert, name);
    CHECK(tls_server_new(host->cert.cert_file, host->cert.key_file, &host->server, &why) == OK);
    host->ways = (struct sts_ways){ .dns_timeout = SECONDS(10), .timeout = SECONDS(20) };
    CHECK(tls_client_new(host->cert.cert_file, &host->ways.tls_context, &why) == OK);
    host->cache = sts_cache_new(NULL);
    arena_init(&host->arena, 8 << 20);
    set_records("v=STSv1; id=1;", NULL);
    open_host(host);
}

static void
close_host(struct host *host)
{
    if (host->listener)
        listener_stop(take(host->listener), deadline_in(MINUTES(5)));
}

static void
host_done(struct host *host)
{
    close_host(host);
    sts_cache_free(host->cache);
    arena_done(&host->arena);
    tls_context_unref(host->server);
    tls_context_unref(host->ways.tls_context);
    test_cert_done(&host->cert);
    sim_dns_clear();
}

static const struct sts_known *
find(struct host *host)
{
    CHECK(sts_cache_find(host->cache, &host->ways, &host->arena, S("far.example"), &host->known) ==
          OK);
    return &host->known;
}

static void
refresh(struct host *host)
{
    CHECK(sts_cache_refresh(host->cache, &host->ways, &host->arena, S("far.example")) == OK);
}

static void
run_with_host(void (*fn)(void *))
{
    static struct host host;
    struct runtime_options options = { .simulated = true, .seed = 4 };

    CHECK(runtime_run(&options, fn, &host) == OK);
}

static void
find_one(void *arg)
{
    struct host *host = arg;

    host_init(host, "mta-sts.far.example");
    CHECK(find(host)->has_policy && host->known.policy.mode == STS_ENFORCE);
    CHECK_STR(host->known.policy.patterns[0], "mx.far.example");
    CHECK_STR(str_from(host->known.id), "1");
    CHECK(host->known.failure == SECURE_FINE && !host->known.is_stale);
    for (int i = 0; i < 5; i++)
        CHECK(find(host)->has_policy);
    CHECK(host->visits == 1);
    host_done(host);
}

static void
a_policy_is_fetched_once(void)
{
    run_with_host(find_one);
}

static void
find_inside(void *arg)
{
    struct host *host = arg;
    struct dns_record record = { .data = S("v=STSv1; id=1;") };

    host_init(host, "mta-sts.far.example");
    close_host(host);
    set_address("10.0.0.1");
    sim_dns_add("_mta-sts.far.example", DNS_TXT, &record, false);
    CHECK(!find(host)->has_policy && host->known.failure == SECURE_STS_POLICY_FETCH_ERROR);
    CHECK(strstr(host->known.why, "is in a private network"));
    host_done(host);
}

static void
a_policy_host_in_a_private_network_is_not_asked(void)
{
    run_with_host(find_inside);
}

static void
ask_too(void *arg)
{
    struct host *host = arg;
    struct sts_known known;
    struct arena arena;

    arena_init(&arena, 1 << 20);
    CHECK(sts_cache_find(host->cache, &host->ways, &arena, S("far.example"), &known) == OK);
    CHECK(known.has_policy);
    arena_done(&arena);
}

static void
find_together(void *arg)
{
    struct host *host = arg;
    struct group group;

    host_init(host, "mta-sts.far.example");
    host->is_slow = true;
    group_init(&group);
    for (int i = 0; i < 20; i++)
        CHECK(group_start(&group, ask_too, host, "asks") == OK);
    group_join(&group);
    CHECK(host->visits == 1);
    host_done(host);
}

static void
of_many_who_ask_at_once_one_fetches(void)
{
    run_with_host(find_together);
}

static void
change_id(void *arg)
{
    struct host *host = arg;

    host_init(host, "mta-sts.far.example");
    CHECK(find(host)->has_policy);
    host->policy = "version: STSv1\nmode: testing\nmx: mx.far.example\nmax_age: 864000\n";
    sim_advance(STS_BELIEVE_MAX);
    CHECK(find(host)->is_stale);
    refresh(host);
    CHECK(find(host)->policy.mode == STS_ENFORCE && host->visits == 1);
    set_records("v=STSv1; id=2;", NULL);
    sim_advance(STS_BELIEVE_MAX);
    CHECK(find(host)->is_stale && host->known.policy.mode == STS_ENFORCE);
    refresh(host);
    CHECK(find(host)->policy.mode == STS_TESTING && host->visits == 2 && !host->known.is_stale);
    host_done(host);
}

static void
another_id_brings_another_policy_and_nobody_waits_for_it(void)
{
    run_with_host(change_id);
}

static void
doubt(void *arg)
{
    struct host *host = arg;

    host_init(host, "mta-sts.far.example");
    CHECK(find(host)->has_policy);
    set_records("v=STSv1; id=2;", NULL);
    host->policy = "version: STSv1\nmode: none\nmax_age: 864000\n";
    sim_advance(STS_BELIEVE_MIN + SECONDS(1));
    sts_cache_doubt(host->cache, S("far.example"));
    CHECK(find(host)->policy.mode == STS_NONE && host->visits == 2);
    host_done(host);
}

static void
after_a_failure_the_next_message_waits_for_the_newer_policy(void)
{
    run_with_host(doubt);
}

static void
lose_host(void *arg)
{
    struct host *host = arg;

    host_init(host, "mta-sts.far.example");
    CHECK(find(host)->has_policy);
    close_host(host);
    set_records("v=STSv1; id=2;", NULL);
    sim_advance(STS_BELIEVE_MAX);
    refresh(host);
    CHECK(find(host)->has_policy && host->known.failure == SECURE_STS_POLICY_FETCH_ERROR);
    CHECK_STR(str_from(host->known.id), "1");
    set_records(NULL, NULL);
    sim_advance(DAYS(9));
    refresh(host);
    CHECK(find(host)->has_policy);
    sim_advance(DAYS(1));
    CHECK(!find(host)->has_policy);
    host_done(host);
}

static void
a_valid_policy_outlives_its_host_and_its_record(void)
{
    run_with_host(lose_host);
}

static void
refresh_ahead(void *arg)
{
    struct host *host = arg;
    instant next;
    str domain;

    host_init(host, "mta-sts.far.example");
    CHECK(find(host)->has_policy);
    CHECK(!sts_cache_due(host->cache, clock_now(), &host->arena, &domain, &next));
    sim_advance(STS_REFRESH_AGE);
    CHECK(sts_cache_due(host->cache, clock_now(), &host->arena, &domain, &next));
    CHECK_STR(domain, "far.example");
    refresh(host);
    CHECK(host->visits == 2 &&
          !sts_cache_due(host->cache, clock_now(), &host->arena, &domain, &next));
    CHECK(find(host)->expires == host->known.fetched + SECONDS(864000));
    host_done(host);
}

/* Whoever got one letter once must not be asked every day for ever. */
static void
leave_unused(void *arg)
{
    struct host *host = arg;
    struct sts_known *list;
    unsigned asked = 0;
    instant next;
    size_t count;
    str domain;

    host_init(host, "mta-sts.far.example");
    CHECK(!sts_cache_due(host->cache, clock_now(), &host->arena, &domain, &next));
    CHECK(next == clock_now() + HOURS(1));
    CHECK(find(host)->has_policy);
    for (unsigned day = 0; day < 60; day++) {
        sim_advance(DAYS(1));
        if (!sts_cache_due(host->cache, clock_now(), &host->arena, &domain, &next))
            continue;
        refresh(host);
        asked++;
    }
    CHECK(asked + 1 >= STS_UNUSED_AGE / DAYS(1) && asked <= STS_UNUSED_AGE / DAYS(1));
    CHECK(sts_cache_list(host->cache, &host->arena, &list, &count) == OK && count == 0);
    CHECK(find(host)->has_policy);
    host_done(host);
}

static void
a_policy_that_no_mail_needs_ends(void)
{
    run_with_host(leave_unused);
}

static void
a_policy_is_fetched_anew_long_before_it_ends(void)
{
    run_with_host(refresh_ahead);
}

static void
records_that_do_not_count(void *arg)
{
    struct host *host = arg;

    host_init(host, "mta-sts.far.example");
    set_records("v=STSv1; id=1;", "v=STSv1; id=2;");
    CHECK(!find(host)->has_policy && host->known.failure == SECURE_FINE);
    CHECK(str_find_str(str_from(host->known.why), S("several")) >= 0);
    set_records("v=STSv1; id=1;", "v=spf1 -all");
    CHECK(!find(host)->has_policy);
    sim_advance(STS_NONE_TIME);
    CHECK(find(host)->has_policy);
    host_done(host);
}

static void
two_records_are_none_and_that_is_remembered_briefly(void)
{
    run_with_host(records_that_do_not_count);
}

static void
expect_failure(struct host *host, enum secure_result result, const char *why)
{
    sim_advance(STS_RETRY_TIME);
    CHECK(!find(host)->has_policy);
    if (host->known.failure != result)
        printf("it is: %s, %s\n", secure_result_name(host->known.failure), host->known.why);
    CHECK(host->known.failure == result);
    CHECK(str_find_str(str_from(host->known.why), str_from(why)) >= 0);
}

static void
fail_in_many_ways(void *arg)
{
    static char large[STS_POLICY_SIZE_MAX + 100];
    struct host *host = arg;
    const char *good;

    host_init(host, "mta-sts.far.example");
    good = host->head;
    memset(large, '\n', sizeof(large) - 1);
    host->policy = large;
    expect_failure(host, SECURE_STS_POLICY_FETCH_ERROR, "64 KiB");
    host->policy = "version: STSv1\nmode: perhaps\n";
    expect_failure(host, SECURE_STS_POLICY_INVALID, "line 2");
    host->policy = POLICY;
    host->head = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n";
    expect_failure(host, SECURE_STS_POLICY_FETCH_ERROR, "text/plain");
    host->head = "HTTP/1.1 404 No\r\nContent-Type: text/plain\r\n\r\n";
    expect_failure(host, SECURE_STS_POLICY_FETCH_ERROR, "404");
    host->head =
        "HTTP/1.1 302 Go\r\nLocation: https://a.example/\r\nContent-Type: text/plain\r\n\r\n";
    expect_failure(host, SECURE_STS_POLICY_FETCH_ERROR, "redirect");
    host->head = "SSH-2.0\r\n\r\n";
    expect_failure(host, SECURE_STS_POLICY_FETCH_ERROR, "HTTP");
    host->head = good;
    host->is_slow = true;
    host->ways.timeout = SECONDS(3);
    expect_failure(host, SECURE_STS_POLICY_FETCH_ERROR, "in time");
    CHECK(host->visits == 7);
    CHECK(!find(host)->has_policy && host->visits == 7);
    host_done(host);
}

static void
a_policy_that_cannot_be_had_is_told_and_not_asked_for_all_the_time(void)
{
    run_with_host(fail_in_many_ways);
}

static void
wrong_name(void *arg)
{
    struct host *host = arg;

    host_init(host, "mta-sts.near.example");
    expect_failure(host, SECURE_STS_WEBPKI_INVALID, "certificate");
    host_done(host);
}

static void
a_policy_host_must_prove_its_name(void)
{
    run_with_host(wrong_name);
}

static void
list_and_forget(void *arg)
{
    struct host *host = arg;
    struct sts_known *list;
    size_t count;

    host_init(host, "mta-sts.far.example");
    CHECK(!sts_cache_look(host->cache, &host->arena, S("far.example"), &host->known));
    CHECK(sts_cache_forget(host->cache, S("far.example")) == ERR_NOT_FOUND);
    CHECK(find(host)->has_policy);
    CHECK(sts_cache_list(host->cache, &host->arena, &list, &count) == OK && count == 1);
    CHECK_STR(list[0].domain, "far.example");
    CHECK(sts_cache_look(host->cache, &host->arena, S("far.example"), &host->known));
    CHECK(sts_cache_forget(host->cache, S("far.example")) == OK);
    CHECK(sts_cache_list(host->cache, &host->arena, &list, &count) == OK && count == 0);
    CHECK(find(host)->has_policy && host->visits == 2);
    host_done(host);
}

static void
an_operator_sees_policies_and_may_forget_them(void)
{
    run_with_host(list_and_forget);
}

static struct sts_cache *
open_file(const char *path, instant now)
{
    struct sts_cache *cache = sts_cache_new(path);

    sts_cache_load(cache, now);
    return cache;
}

static void
restart(void *arg)
{
    struct host *host = arg;
    struct temp_dir dir;
    const char *path;

    temp_dir_make(&dir);
    path = temp_dir_file(&dir, "sts.db");
    host_init(host, "mta-sts.far.example");
    for (int round = 0; round < 3; round++) {
        sts_cache_free(host->cache);
        host->cache = open_file(path, clock_now());
        CHECK(find(host)->has_policy && host->visits == 1);
        CHECK_STR(str_from(host->known.id), "1");
        CHECK(host->known.expires - host->known.fetched == SECONDS(864000));
        CHECK(host->known.is_stale == (round > 0));
    }
    CHECK(sts_cache_forget(host->cache, S("far.example")) == OK);
    sts_cache_free(host->cache);
    host->cache = open_file(path, clock_now());
    CHECK(!sts_cache_look(host->cache, &host->arena, S("far.example"), &host->known));
    CHECK(find(host)->has_policy);
    sts_cache_free(host->cache);
    host->cache = open_file(path, clock_now() + DAYS(10));
    CHECK(!sts_cache_look(host->cache, &host->arena, S("far.example"), &host->known));
    host_done(host);
    temp_dir_remove(&dir);
}

static void
lose_file(void *arg)
{
    struct host *host = arg;
    struct temp_dir dir;
    FILE *file;

    temp_dir_make(&dir);
    file = fopen(temp_dir_file(&dir, "sts.db"), "w");
    CHECK(file && fputs("this is no database, and long enough to be taken for one", file) >= 0);
    CHECK(fclose(file) == 0);
    host_init(host, "mta-sts.far.example");
    sts_cache_free(host->cache);
    host->cache = open_file(temp_dir_file(&dir, "sts.db"), clock_now());
    CHECK(find(host)->has_policy);
    host_done(host);
    temp_dir_remove(&dir);
}

static void
a_broken_file_keeps_nobody_from_sending(void)
{
    run_with_host(lose_file);
}

static void
a_restart_keeps_policies_until_they_end(void)
{
    run_with_host(restart);
}

/* --- Ceilings. */

struct fill {
    unsigned count;
    str text;
};

static enum err
fill(void *arg, struct db_conn *conn)
{
    const struct fill *f = arg;

    return db_run(conn,
                  "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)"
                  " INSERT INTO policies SELECT 'd' || i || '.example', '1', ?2, i, ?3 FROM n",
                  db_int(f->count), db_text(f->text), db_int(INT64_MAX));
}

/* The file may hold more than a cache takes. */
static size_t
kept_of(unsigned count, str text, size_t *bytes)
{
    struct fill f = { count, text };
    struct sts_cache *cache;
    struct sts_known *list;
    struct temp_dir dir;
    struct why why = {};
    struct arena arena;
    struct db *db;
    size_t kept;

    temp_dir_make(&dir);
    arena_init(&arena, (size_t)512 << 20);
    CHECK(sts_store_open(temp_dir_file(&dir, "sts.db"), &db, &why) == OK);
    CHECK(db_write(db, fill, &f, &why) == OK);
    db_close(db);
    cache = open_file(temp_dir_file(&dir, "sts.db"), 1);
    CHECK(sts_cache_list(cache, &arena, &list, &kept) == OK);
    *bytes = sts_cache_bytes(cache);
    sts_cache_free(cache);
    arena_done(&arena);
    temp_dir_remove(&dir);
    return kept;
}

static void
policies_have_ceilings_by_number_and_by_size(void)
{
    char host[256];
    struct buf text;
    size_t bytes, kept;

    CHECK(kept_of(STS_POLICIES_MAX + 100, S(POLICY), &bytes) == STS_POLICIES_MAX);
    buf_init(&text, STS_POLICY_SIZE_MAX);
    buf_add(&text, S("version: STSv1\nmode: enforce\nmax_age: 1\n"));
    memset(host, 'a', sizeof(host));
    for (int i = 62; i < 240; i += 62)
        host[i] = '.';
    host[240] = 0;
    for (int i = 0; i < STS_PATTERNS_MAX; i++)
        buf_addf(&text, "mx: %s\n", host);
    kept = kept_of(2500, buf_str(&text), &bytes);
    CHECK(kept > 1000 && kept < 2500);
    CHECK(bytes <= STS_BYTES_MAX && bytes > STS_BYTES_MAX / 2);
    buf_done(&text);
}

static enum err
count_rows(void *arg, struct db_conn *conn)
{
    struct db_stmt *stmt = db_query(conn, "SELECT count(*) FROM policies");

    if (db_step(stmt))
        *(int64_t *)arg = db_column_int(stmt, 0);
    db_reset(stmt);
    return db_error(conn);
}

static void
the_file_keeps_the_latest_policies(void)
{
    struct sts_row row = { S("a.example"), S("1"), S(POLICY), 1, INT64_MAX };
    struct temp_dir dir;
    struct why why = {};
    struct db *db;
    int64_t count = 0;

    temp_dir_make(&dir);
    CHECK(sts_store_open(temp_dir_file(&dir, "sts.db"), &db, &why) == OK);
    for (int i = 0; i < 5; i++) {
        char name[20];
        (void)snprintf(name, sizeof(name), "d%d.example", i);
        row.domain = str_from(name);
        row.fetched = i;
        CHECK(sts_store_put(db, &row, 3, &why) == OK);
    }
    CHECK(db_read(db, count_rows, &count, &why) == OK && count == 3);
    db_close(db);
    temp_dir_remove(&dir);
}

static void
ask_for_many(void *arg)
{
    struct host *host = arg;
    struct sts_known known;

    host_init(host, "mta-sts.far.example");
    CHECK(find(host)->has_policy);
    for (int i = 0; i < STS_WITHOUT_MAX + 50; i++) {
        char name[40];
        (void)snprintf(name, sizeof(name), "n%d.example", i);
        arena_clear(&host->arena);
        CHECK(sts_cache_find(host->cache, &host->ways, &host->arena, str_from(name), &known) == OK);
    }
    CHECK(!sts_cache_look(host->cache, &host->arena, S("n0.example"), &known));
    CHECK(sts_cache_look(host->cache, &host->arena, S("n100.example"), &known));
    CHECK(sts_cache_look(host->cache, &host->arena, S("far.example"), &known) && known.has_policy);
    host_done(host);
}

static void
domains_without_a_policy_drive_out_each_other_alone(void)
{
    run_with_host(ask_for_many);
}

int
main(void)
{
    RUN(a_policy_is_fetched_once);
    RUN(a_policy_host_in_a_private_network_is_not_asked);
    RUN(of_many_who_ask_at_once_one_fetches);
    RUN(another_id_brings_another_policy_and_nobody_waits_for_it);
    RUN(after_a_failure_the_next_message_waits_for_the_newer_policy);
    RUN(a_valid_policy_outlives_its_host_and_its_record);
    RUN(a_policy_is_fetched_anew_long_before_it_ends);
    RUN(a_policy_that_no_mail_needs_ends);
    RUN(two_records_are_none_and_that_is_remembered_briefly);
    RUN(a_policy_that_cannot_be_had_is_told_and_not_asked_for_all_the_time);
    RUN(a_policy_host_must_prove_its_name);
    RUN(an_operator_sees_policies_and_may_forget_them);
    RUN(a_restart_keeps_policies_until_they_end);
    RUN(a_broken_file_keeps_nobody_from_sending);
    RUN(policies_have_ceilings_by_number_and_by_size);
    RUN(the_file_keeps_the_latest_policies);
    RUN(domains_without_a_policy_drive_out_each_other_alone);
    return check_end();
}
