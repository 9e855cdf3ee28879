/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* json_test.c: what is written can be read again, and what is no JSON is refused. */
#include "formats/json.h"

#include "check.h"

static struct arena arena;
static struct buf buf;

static void
a_document_is_written_with_its_commas(void)
{
    struct json_writer writer;

    buf_clear(&buf);
    json_writer_init(&writer, &buf);
    json_begin_object(&writer, NULL);
    json_put_text(&writer, "id", S("01JD"));
    json_put_int(&writer, "size", -5);
    json_begin_array(&writer, "to");
    json_put_text(&writer, NULL, S("a"));
    json_put_null(&writer, NULL);
    json_end_array(&writer);
    json_begin_object(&writer, "empty");
    json_end_object(&writer);
    json_put_bool(&writer, "held", true);
    json_put_time(&writer, "at", SECONDS(1700000000) + MILLISECONDS(7));
    json_end_object(&writer);
    CHECK_STR(buf_str(&buf), "{\"id\":\"01JD\",\"size\":-5,\"to\":[\"a\",null],\"empty\":{},"
                             "\"held\":true,\"at\":\"2023-11-14T22:13:20.007Z\"}");
}

static void
nothing_that_is_written_breaks_the_document(void)
{
    buf_clear(&buf);
    json_quote(&buf, S("\"\\\n\x01\x7f\xff"
                       "a\xc3\xa9\xed\xa0\x80"));
    CHECK_STR(buf_str(&buf), "\"\\\"\\\\\\n\\u0001\\u007f\xef\xbf\xbd"
                             "a\xc3\xa9\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
}

static void
a_document_is_read_back(void)
{
    struct json *value = NULL;

    arena_clear(&arena);
    CHECK(!json_parse(S(" {\"command\" : \"queue.list\", \"args\":{\"max\":50,\"all\":true,"
                        "\"x\":[1,-2.5e3,\"\\u00e9\\ud83d\\ude00\\/\",{}]}}\n"),
                      &arena, &value));
    CHECK_STR(json_get_text(value, "command"), "queue.list");
    CHECK(json_get_int(json_get(value, "args"), "max") == 50);
    CHECK(json_get_bool(json_get(value, "args"), "all"));
    CHECK_STR(json_get(json_get(value, "args"), "x")->first->next->next->text,
              "\xc3\xa9\xf0\x9f\x98\x80/");
    CHECK(json_get(value, "nothing") == NULL);
    CHECK_STR(json_get_text(value, "args"), "");
}

static void
nonsense_is_refused(void)
{
    static const char *const texts[] = {
        "",       "{",        "[1,]",  "{\"a\"}", "{\"a\":1,}",  "01",          "1.",
        "+1",     "nul",      "\"a",   "\"\\x\"", "\"\\ud800\"", "\"\\udc00\"", "1 2",
        "\"\n\"", "\"\xff\"", "[1 2]", "{1:2}",   "-",           "1e",          "'a'",
    };
    struct json *value = NULL;

    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        arena_clear(&arena);
        if (json_parse(str_from(texts[i]), &arena, &value) != ERR_SYNTAX) {
            printf("accepted: %s\n", texts[i]);
            CHECK(false);
        }
    }
}

static void
depth_has_a_ceiling(void)
{
    struct json *value = NULL;

    arena_clear(&arena);
    buf_clear(&buf);
    for (int i = 0; i < 1000; i++)
        buf_add_byte(&buf, '[');
    CHECK(json_parse(buf_str(&buf), &arena, &value) == ERR_LIMIT);
}

int
main(void)
{
    arena_init(&arena, 1 << 20);
    buf_init(&buf, 1 << 16);
    RUN(a_document_is_written_with_its_commas);
    RUN(nothing_that_is_written_breaks_the_document);
    RUN(a_document_is_read_back);
    RUN(nonsense_is_refused);
    RUN(depth_has_a_ceiling);
    arena_done(&arena);
    buf_done(&buf);
    return check_end();
}
