/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* fuzz_csv.c: comma-separated values: what is read is written so that it is read as the same. */
#include "fuzz.h"

#include "formats/csv.h"

/* clang-format off */
const str fuzz_seeds[] = {
    S("bob@example.net,bounce,,\"550 5.1.1 \"\"no\"\" such user, really\",2026-11-27T10:00:00Z"),
    S("a,\"b\"x"), S("\"\","), S(",,,"), S(" a , \" b \" "), S("\""), S("a\r\n"),
};
FUZZ_SEEDS_END;
/* clang-format on */

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    str fields[CSV_FIELDS_MAX], again[CSV_FIELDS_MAX];
    struct arena arena;
    struct buf line;
    size_t count, again_count;

    arena_init(&arena, 1 << 20);
    buf_init(&line, 1 << 20);
    if (csv_parse((str){ (const char *)data, size }, &arena, fields, &count) == OK) {
        must(count > 0 && count <= CSV_FIELDS_MAX);
        for (size_t i = 0; i < count; i++) {
            if (i)
                buf_add_byte(&line, ',');
            csv_put(&line, fields[i]);
        }
        must(!buf_ok(&line) || !fuzz_has_line_end(buf_str(&line)) ||
             str_find(buf_str(&line), '\0') >= 0);
        must(csv_parse(buf_str(&line), &arena, again, &again_count) == OK);
        must(again_count == count);
        for (size_t i = 0; i < count; i++)
            must(fuzz_has_line_end(fields[i]) || fields[i].len != again[i].len ||
                 str_eq(fields[i], again[i]));
    }
    buf_done(&line);
    arena_done(&arena);
    return 0;
}
