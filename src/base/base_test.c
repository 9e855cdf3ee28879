/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* base_test.c: the ground floor: bytes, lists, times, ids, addresses. */
#include "base/arena.h"
#include "base/buf.h"
#include "base/cursor.h"
#include "base/heap.h"
#include "base/ipaddr.h"
#include "base/map.h"
#include "base/msgid.h"
#include "base/rand.h"

#include "check.h"

#include <stdio.h>
#include <string.h>

static void
a_number_is_digits_and_fits(void)
{
    uint64_t value = 7;

    CHECK(str_to_u64(S("18446744073709551615"), &value) && value == UINT64_MAX);
    CHECK(!str_to_u64(S("18446744073709551616"), &value));
    CHECK(!str_to_u64(S(""), &value));
    CHECK(!str_to_u64(S("+1"), &value));
    CHECK(!str_to_u64(S("1 "), &value));
}

static void
utf8_has_one_form_for_each_letter(void)
{
    CHECK(str_is_utf8(S("gr\xc3\xbc\xc3\x9f")));
    CHECK(!str_is_utf8(S("\xc0\xaf")));
    CHECK(!str_is_utf8(S("\xed\xa0\x80")));
    CHECK(!str_is_utf8(S("\xf4\x90\x80\x80")));
    CHECK(!str_is_utf8(S("\xe2\x82")));
}

static void
searching_splits_at_the_first_byte(void)
{
    str head, rest;

    CHECK(str_split(S("a@b@c"), '@', &head, &rest));
    CHECK_STR(head, "a");
    CHECK_STR(rest, "b@c");
    CHECK(!str_split(S("abc"), '@', &head, &rest));
    CHECK_STR(head, "abc");
    CHECK(str_find_last(S("a@b@c"), '@') == 3);
    CHECK(str_eq_nocase(S("MaIl"), S("mAiL")));
    CHECK(str_find_nocase(S("xxReTryyy"), S("retry")) == 2);
}

static void
a_buf_stops_at_its_maximum(void)
{
    struct buf buf;

    buf_init(&buf, 10);
    buf_add(&buf, S("12345678"));
    CHECK(buf_ok(&buf));
    buf_add(&buf, S("abc"));
    CHECK(!buf_ok(&buf));
    CHECK_STR(buf_str(&buf), "12345678");
    buf_clear(&buf);
    buf_addf(&buf, "%d-%s", 42, "x");
    CHECK(buf_ok(&buf));
    CHECK(strcmp(buf_cstr(&buf), "42-x") == 0);
    buf_consume(&buf, 3);
    CHECK_STR(buf_str(&buf), "x");
    buf_done(&buf);
}

static void
a_record_is_read_as_it_was_written(void)
{
    struct buf buf;
    struct cursor cursor;

    buf_init(&buf, 1000);
    buf_add_u8(&buf, 200);
    buf_add_u32(&buf, 0xdeadbeef);
    buf_add_u64(&buf, UINT64_MAX - 1);
    buf_add_str(&buf, S("text"));
    cursor_init(&cursor, buf_str(&buf));
    CHECK(cursor_u8(&cursor) == 200);
    CHECK(cursor_u32(&cursor) == 0xdeadbeef);
    CHECK(cursor_u64(&cursor) == UINT64_MAX - 1);
    CHECK_STR(cursor_str(&cursor), "text");
    CHECK(cursor_ok(&cursor) && cursor_at_end(&cursor));
    CHECK(cursor_u32(&cursor) == 0 && !cursor_ok(&cursor));
    buf_done(&buf);
}

static void
an_arena_refuses_past_its_ceiling(void)
{
    struct arena arena;
    str copy;

    arena_init(&arena, 8192);
    CHECK(arena_alloc(&arena, 5000));
    CHECK(arena_alloc(&arena, 3000));
    CHECK(!arena_alloc(&arena, 3000));
    arena_clear(&arena);
    CHECK(arena_copy(&arena, S("abc"), &copy) && copy.ptr[3] == '\0');
    arena_done(&arena);
}

static void
a_map_keeps_what_a_random_life_leaves(void)
{
    enum { KEYS = 500, STEPS = 20000 };
    static int values[KEYS];
    bool there[KEYS] = {};
    struct map map;
    struct rand rand;

    map_init(&map, 0);
    rand_init(&rand, 1);
    for (int step = 0; step < STEPS; step++) {
        size_t index = rand_below(&rand, KEYS);
        char key[16];
        int len = snprintf(key, sizeof(key), "key%zu", index);
        str name = { key, (size_t)len };
        if (rand_below(&rand, 2)) {
            CHECK(map_put(&map, name, &values[index]) == OK);
            there[index] = true;
        } else {
            CHECK((map_remove(&map, name) != NULL) == there[index]);
            there[index] = false;
        }
        CHECK(map_get(&map, name) == (there[index] ? &values[index] : NULL));
    }
    map_done(&map);
    map_init(&map, 1);
    CHECK(map_put(&map, S("a"), values) == OK);
    CHECK(map_put(&map, S("b"), values) == ERR_LIMIT);
    map_done(&map);
}

static void
a_heap_gives_the_earliest_first(void)
{
    enum { ITEMS = 300 };
    struct heap_item items[ITEMS] = {};
    struct heap heap;
    struct rand rand;
    int64_t last = -1;
    size_t count = 0;

    heap_init(&heap);
    rand_init(&rand, 2);
    for (int step = 0; step < 5000; step++) {
        struct heap_item *item = &items[rand_below(&rand, ITEMS)];
        if (rand_below(&rand, 4) == 0)
            heap_remove(&heap, item);
        else
            heap_set(&heap, item, (int64_t)rand_below(&rand, 1000));
    }
    for (size_t i = 0; i < ITEMS; i++)
        count += items[i].place != 0;
    CHECK(count == heap.count);
    while (heap_first(&heap)) {
        CHECK(heap_first(&heap)->key >= last);
        last = heap_first(&heap)->key;
        heap_remove(&heap, heap_first(&heap));
    }
    heap_done(&heap);
}

static void
a_message_id_has_26_letters(void)
{
    uint8_t entropy[10] = { 0xff, 1, 2, 3, 4, 5, 6, 7, 8, 0xfe };
    msgid id = msgid_make(SECONDS(1700000000) + MILLISECONDS(123), entropy);
    msgid parsed;
    char text[MSGID_TEXT_SIZE + 1];

    msgid_format(id, text);
    CHECK(strlen(text) == MSGID_TEXT_SIZE);
    CHECK(msgid_parse(str_from(text), &parsed) && msgid_cmp(id, parsed) == 0);
    CHECK(msgid_instant(parsed) == SECONDS(1700000000) + MILLISECONDS(123));
    CHECK(!msgid_parse(S("8ZZZZZZZZZZZZZZZZZZZZZZZZZ"), &parsed));
    CHECK(!msgid_parse(S("01ARZ3NDEKTSV4RRFFQ69G5FAU"), &parsed)); /* No U in the alphabet. */
}

static void
networks_hold_addresses(void)
{
    static const struct {
        const char *network, *addr;
        bool holds;
    } cases[] = {
        { "10.0.0.0/8", "10.255.0.1", true },    { "10.0.0.0/8", "11.0.0.1", false },
        { "192.0.2.1", "192.0.2.1", true },      { "192.0.2.0/25", "192.0.2.128", false },
        { "2001:db8::/32", "2001:db8::1", true }, { "2001:db8::/32", "192.0.2.1", false },
        { "0.0.0.0/0", "2001:db8::1", false },   { "::/0", "192.0.2.1", true },
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct network network;
        ipaddr addr;
        CHECK(network_parse(str_from(cases[i].network), &network));
        CHECK(ipaddr_parse(str_from(cases[i].addr), &addr));
        CHECK(network_holds(&network, addr) == cases[i].holds);
    }
    CHECK(!network_parse(S("10.0.0.1/8"), &(struct network){}));
    CHECK(!network_parse(S("10.0.0.0/33"), &(struct network){}));
}

static void
endpoints_have_a_port(void)
{
    struct endpoint endpoint;
    char text[IPADDR_TEXT_MAX + 8];

    CHECK(endpoint_parse(S("[2001:db8::1]:25"), &endpoint));
    endpoint_format(&endpoint, text);
    CHECK(strcmp(text, "[2001:db8::1]:25") == 0);
    CHECK(endpoint_parse(S("127.0.0.1:2025"), &endpoint) && endpoint.port == 2025);
    CHECK(endpoint_parse(S(":25"), &endpoint) && ipaddr_is_any(endpoint.addr));
    CHECK(!endpoint_parse(S("2001:db8::1:25"), &endpoint));
    CHECK(!endpoint_parse(S("127.0.0.1:65536"), &endpoint));
}

int
main(void)
{
    RUN(a_number_is_digits_and_fits);
    RUN(utf8_has_one_form_for_each_letter);
    RUN(searching_splits_at_the_first_byte);
    RUN(a_buf_stops_at_its_maximum);
    RUN(a_record_is_read_as_it_was_written);
    RUN(an_arena_refuses_past_its_ceiling);
    RUN(a_map_keeps_what_a_random_life_leaves);
    RUN(a_heap_gives_the_earliest_first);
    RUN(a_message_id_has_26_letters);
    RUN(networks_hold_addresses);
    RUN(endpoints_have_a_port);
    return check_end();
}
