/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* fuzz_json.c: JSON that was read is written and read again with the same shape; any text can be
 * quoted. */
#include "fuzz.h"

#include "formats/json.h"

/* clang-format off */
const str fuzz_seeds[] = {
    S("{\"a\": [1, -2, 3.5e7, true, false, null], \"b\": {\"c\": \"x\\u00f6\\ud83d\\ude00\\n\"}}"),
    S("\"\\\"\\\\\\/\\b\\f\\t\""), S("[[[[]]]]"), S("-0"), S("9223372036854775807"), S(" {} "),
};
FUZZ_SEEDS_END;
/* clang-format on */

/* The depth is bounded by JSON_DEPTH_MAX. */
static void
write_value(struct json_writer *writer, const struct json *value, const char *key)
{
    switch (value->type) {
    case JSON_NULL:
        json_put_null(writer, key);
        break;
    case JSON_BOOL:
        json_put_bool(writer, key, value->boolean);
        break;
    case JSON_NUMBER:
        json_put_raw(writer, key, value->text);
        break;
    case JSON_TEXT:
        json_put_text(writer, key, value->text);
        break;
    case JSON_ARRAY:
        json_begin_array(writer, key);
        for (const struct json *item = value->first; item; item = item->next)
            write_value(writer, item, NULL);
        json_end_array(writer);
        break;
    case JSON_OBJECT:
        json_begin_object(writer, key);
        for (const struct json *item = value->first; item; item = item->next)
            write_value(writer, item, "k");
        json_end_object(writer);
        break;
    }
}

static bool
is_same(const struct json *a, const struct json *b)
{
    if (a->type != b->type || !str_eq(a->text, b->text) || a->boolean != b->boolean ||
        a->number != b->number)
        return false;
    for (a = a->first, b = b->first; a && b; a = a->next, b = b->next)
        if (!is_same(a, b))
            return false;
    return !a && !b;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    str input = { (const char *)data, size };
    struct json_writer writer;
    struct json *value, *again;
    struct arena arena;
    struct buf buf;

    arena_init(&arena, 1 << 22);
    buf_init(&buf, 1 << 22);
    json_quote(&buf, input);
    must(json_parse(buf_str(&buf), &arena, &value) == OK && value->type == JSON_TEXT);
    must(!str_is_utf8(input) || str_eq(value->text, input));
    if (!json_parse(input, &arena, &value)) {
        buf_clear(&buf);
        json_writer_init(&writer, &buf);
        write_value(&writer, value, NULL);
        must(buf_ok(&buf));
        must(json_parse(buf_str(&buf), &arena, &again) == OK && is_same(value, again));
    }
    buf_done(&buf);
    arena_done(&arena);
    return 0;
}
