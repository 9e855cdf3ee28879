/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* events_test.c: what is recorded is found again, in order, and shown. */
#include "store/events.h"
#include "formats/json.h"
#include "runtime/clock.h"
#include "store/temp_dir.h"

#include "check.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct temp_dir dir;
static struct events *events;

static void
begin(void)
{
    temp_dir_make(&dir);
    CHECK(events_open(temp_dir_file(&dir, "events.db"), &events, NULL) == OK);
}

static void
end(void)
{
    events_close(events);
    temp_dir_remove(&dir);
}

static msgid
id_of(uint8_t number)
{
    uint8_t entropy[10] = { number };

    return msgid_make(SECONDS(1700000000), entropy);
}

static void
record(enum event_kind kind, uint8_t message, const char *recipient, instant time)
{
    events_record(events, &(struct event){ .kind = kind,
                                           .message = id_of(message),
                                           .sender = S("Ann@example.org"),
                                           .recipient = str_from(recipient),
                                           .time = time });
}

struct found {
    size_t count;
    size_t stop_at;
    int64_t first;
    int64_t last;
    enum event_kind kinds[8];
    bool ascending;
    bool descending;
};

static bool
note(void *arg, const struct event *event)
{
    struct found *found = arg;

    if (found->count == 0) {
        found->first = event->sequence;
        found->ascending = found->descending = true;
    } else {
        found->ascending &= event->sequence > found->last;
        found->descending &= event->sequence < found->last;
    }
    if (found->count < COUNT_OF(found->kinds))
        found->kinds[found->count] = event->kind;
    found->last = event->sequence;
    found->count++;
    return found->count != found->stop_at;
}

static struct found
find(const struct events_query *query)
{
    struct found found = { 0 };

    CHECK(events_flush(events) == OK);
    CHECK(events_find(events, query, note, &found) == OK);
    return found;
}

static void
events_are_found_by_message_address_kind_and_time(void)
{
    struct found found;

    begin();
    record(EVENT_RECEIVED, 1, "", SECONDS(100));
    record(EVENT_ACCEPTED, 1, "Bob@Example.net", SECONDS(101));
    record(EVENT_RECEIVED, 2, "eve@example.net", SECONDS(102));
    record(EVENT_DELIVERED, 1, "bob@example.net", SECONDS(103));
    found = find(&(struct events_query){ .message = id_of(1) });
    CHECK(found.count == 3 && found.descending && found.kinds[0] == EVENT_DELIVERED);
    found = find(&(struct events_query){ .message = id_of(1), .oldest_first = true });
    CHECK(found.count == 3 && found.ascending && found.kinds[0] == EVENT_RECEIVED);
    found = find(&(struct events_query){ .address = S("bob@EXAMPLE.net") });
    CHECK(found.count == 2);
    found = find(&(struct events_query){ .address = S("ann@example.org") });
    CHECK(found.count == 4);
    found = find(&(struct events_query){ .address = S("%") });
    CHECK(found.count == 0);
    found = find(&(struct events_query){ .message = id_of(1), .address = S("bob@example.net") });
    CHECK(found.count == 2);
    found = find(&(struct events_query){ .kind = EVENT_RECEIVED });
    CHECK(found.count == 2);
    found = find(&(struct events_query){ .since = SECONDS(101), .until = SECONDS(103) });
    CHECK(found.count == 2);
    found = find(&(struct events_query){ .message = id_of(9) });
    CHECK(found.count == 0);
    end();
}

static void
events_of_one_instant_keep_their_order_and_can_be_followed(void)
{
    struct found found;
    int64_t last;

    begin();
    for (int i = 0; i < 700; i++)
        record(EVENT_ATTEMPT, 1, "", SECONDS(100));
    found = find(&(struct events_query){ .oldest_first = true });
    CHECK(found.count == 700 && found.ascending);
    last = found.last;
    found = find(&(struct events_query){ .limit = 300 });
    CHECK(found.count == 300 && found.descending && found.first == last);
    record(EVENT_DELIVERED, 1, "", SECONDS(50)); /* A clock that went back. */
    found = find(&(struct events_query){ .after_sequence = last, .oldest_first = true });
    CHECK(found.count == 1 && found.kinds[0] == EVENT_DELIVERED);
    found = (struct found){ .stop_at = 5 };
    CHECK(events_find(events, &(struct events_query){ 0 }, note, &found) == OK);
    CHECK(found.count == 5);
    end();
}

static void
the_sequence_goes_on_after_reopening(void)
{
    struct found found;
    int64_t last;

    begin();
    record(EVENT_STARTED, 1, "", clock_now() + HOURS(1));
    last = find(&(struct events_query){ 0 }).last;
    events_close(events);
    CHECK(events_open(temp_dir_file(&dir, "events.db"), &events, NULL) == OK);
    record(EVENT_STARTED, 1, "", 0);
    found = find(&(struct events_query){ .after_sequence = last });
    CHECK(found.count == 1);
    end();
}

static struct event complete;

static bool
compare(void *arg, const struct event *event)
{
    struct buf a;
    struct buf b;
    struct event expected = complete;

    ++*(int *)arg;
    expected.sequence = event->sequence;
    buf_init(&a, 65536);
    buf_init(&b, 65536);
    event_to_json(event, &a);
    event_to_json(&expected, &b);
    CHECK(str_eq(buf_str(&a), buf_str(&b)));
    CHECK(event->took == expected.took && event->next_try == expected.next_try);
    buf_done(&a);
    buf_done(&b);
    return true;
}

static void
every_field_comes_back(void)
{
    int count = 0;

    begin();
    complete = (struct event){
        .time = SECONDS(1700000000) + 123456789,
        .kind = EVENT_DEFERRED,
        .message = id_of(3),
        .node = S("node1"),
        .sender = S("a@b.example"),
        .recipient = S("c@d.example"),
        .recipient_index = 4,
        .attempt = 5,
        .connection = S("conn"),
        .service = S("smtp"),
        .stage = S("rcpt"),
        .account = S("ann@example.org"),
        .client_ip = S("192.0.2.1"),
        .helo = S("client.example"),
        .from_domain = S("b.example"),
        .to_domain = S("d.example"),
        .site = S("site"),
        .route = S("mx"),
        .egress_ip = S("192.0.2.2"),
        .mx = S("mx.d.example"),
        .mx_ip = S("192.0.2.3"),
        .code = 451,
        .enhanced = S("4.7.1"),
        .text = S("later"),
        .text_raw = S("451 4.7.1 \"later\"\r\n"),
        .cluster = S("c1"),
        .class = S("greylisted"),
        .tls_version = S("TLSv1.3"),
        .tls_cipher = S("X"),
        .tls_verify = S("pkix"),
        .tls_why = S("ok"),
        .bytes = 1234,
        .took = MILLISECONDS(7),
        .next_try = SECONDS(1700000300),
        .reason = S("because"),
        .actor = S("root"),
        .more = S("{\"x\":1}"),
    };
    events_record(events, &complete);
    CHECK(events_flush(events) == OK);
    CHECK(events_find(events, &(struct events_query){ 0 }, compare, &count) == OK);
    CHECK(count == 1);
    end();
}

static void
json_is_json_whatever_a_peer_said(void)
{
    struct event event = { .kind = EVENT_BOUNCED,
                           .time = SECONDS(1700000000),
                           .text_raw = S("550 \"no\\\r\n\x80\xff\x01</script>") };
    struct arena arena;
    struct json *json = NULL;
    struct buf buf;

    buf_init(&buf, 65536);
    arena_init(&arena, 65536);
    event_to_json(&event, &buf);
    CHECK(json_parse(buf_str(&buf), &arena, &json) == OK);
    CHECK_STR(json_get_text(json, "kind"), "bounced");
    CHECK_STR(json_get_text(json, "time"), "2023-11-14T22:13:20.000Z");
    CHECK(json_get(json, "sender") == NULL);
    arena_done(&arena);
    buf_done(&buf);
}

static void
texts_are_cut_and_the_queue_is_bounded(void)
{
    static char large[100000];
    struct found found;
    uint64_t deleted = 0;

    begin();
    memset(large, 'x', sizeof(large));
    for (int i = 0; i < 12000; i++)
        events_record(events, &(struct event){ .kind = EVENT_SESSION,
                                               .text = { large, sizeof(large) },
                                               .more = { large, sizeof(large) } });
    CHECK(events_dropped(events) > 0);
    found = find(&(struct events_query){ .limit = 100000 });
    CHECK(found.count + events_dropped(events) == 12000);
    CHECK(found.count > 4000);
    CHECK(events_expire(events, clock_now() + DAYS(31), EVENTS_KEEP_DEFAULT, &deleted) == OK);
    CHECK(deleted == found.count);
    end();
}

static void
what_is_old_goes_and_the_rest_stays(void)
{
    uint64_t deleted = 0;

    begin();
    record(EVENT_RECEIVED, 1, "", DAYS(1000));
    record(EVENT_RECEIVED, 2, "", DAYS(1020));
    CHECK(events_flush(events) == OK);
    CHECK(events_expire(events, DAYS(1031), EVENTS_KEEP_DEFAULT, &deleted) == OK);
    CHECK(deleted == 1);
    CHECK(find(&(struct events_query){ 0 }).count == 1);
    end();
}

enum {
    THREADS = 4,
    EACH = 3000
};

static void *
record_many(void *arg)
{
    for (int i = 0; i < EACH; i++) {
        record(EVENT_ATTEMPT, (uint8_t)(size_t)arg, "", 0);
        if (i % 1000 == 0 && events_flush(events))
            return arg;
    }
    return NULL;
}

static void
threads_record_and_flush_at_once_and_nothing_is_lost(void)
{
    pthread_t threads[THREADS];
    void *result;

    begin();
    for (size_t i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, record_many, (void *)(i + 1));
    for (size_t i = 0; i < THREADS; i++) {
        pthread_join(threads[i], &result);
        CHECK(result == NULL);
    }
    CHECK(find(&(struct events_query){ .limit = 100000 }).count == THREADS * EACH);
    end();
}

/* More than half of what the queue takes. */
static void
record_a_crowd(void)
{
    char text[EVENT_TEXT_MAX];

    memset(text, 'x', sizeof(text));
    for (size_t i = 0; i < EVENTS_QUEUE_BYTES_MAX / 2 / sizeof(text); i++)
        events_record(events, &(struct event){ .kind = EVENT_ATTEMPT,
                                               .message = id_of(1),
                                               .text = { text, sizeof(text) } });
}

static void *
flush_soon(void *arg)
{
    usleep(20000);
    return events_flush(events) ? arg : NULL;
}

static void
who_keeps_up_loses_nothing(void)
{
    pthread_t thread;
    void *result;

    begin();
    for (size_t i = 0; i < 3; i++) {
        record_a_crowd();
        pthread_create(&thread, NULL, flush_soon, events);
        events_keep_up(events);
        pthread_join(thread, &result);
        CHECK(result == NULL);
    }
    CHECK(events_dropped(events) == 0);
    record_a_crowd();
    record_a_crowd();
    CHECK(events_dropped(events) > 0);
    end();
}

static void
kinds_have_names(void)
{
    enum event_kind kind = EVENT_NONE;

    for (int i = 1; i < EVENT_KIND_COUNT; i++) {
        CHECK(event_kind_name((enum event_kind)i)[0] != '\0');
        CHECK(event_kind_parse(str_from(event_kind_name((enum event_kind)i)), &kind));
        CHECK((int)kind == i);
    }
    CHECK(!event_kind_parse(S("nonsense"), &kind));
    CHECK(!event_kind_parse(S(""), &kind));
}

int
main(void)
{
    RUN(events_are_found_by_message_address_kind_and_time);
    RUN(events_of_one_instant_keep_their_order_and_can_be_followed);
    RUN(the_sequence_goes_on_after_reopening);
    RUN(every_field_comes_back);
    RUN(json_is_json_whatever_a_peer_said);
    RUN(texts_are_cut_and_the_queue_is_bounded);
    RUN(what_is_old_goes_and_the_rest_stays);
    RUN(threads_record_and_flush_at_once_and_nothing_is_lost);
    RUN(who_keeps_up_loses_nothing);
    RUN(kinds_have_names);
    return check_end();
}
