/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* fuzz_date.c: a date that is read is written and read again as the same. */
#include "fuzz.h"

#include "formats/date.h"

#include <string.h>

/* clang-format off */
const str fuzz_seeds[] = {
    S("Thu, 26 Nov 2026 22:05:56 +0000"), S("26 Nov 26 22:05 EST (c (d))"), S("2026-11-26T22:05:56.123Z"),
    S("2026-11-26t22:05:56-12:30"), S("31 Dec 2261 23:59:60 -9959"),
};
FUZZ_SEEDS_END;
/* clang-format on */

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    str input = { (const char *)data, size };
    char text[DATE_TEXT_MAX];
    instant when, again;
    uint64_t any = 0;

    if (!date_parse(input, &when) && when >= 0) {
        date_format(when, (int)(size % 1440) - 720, text);
        if (when > DAYS(1) && when < DAYS(106000))
            must(date_parse(str_from(text), &again) == OK && again == when);
    }
    if (!date_parse_rfc3339(input, &when) && when > DAYS(1) && when < DAYS(106000)) {
        date_format_rfc3339(when, true, text);
        must(date_parse_rfc3339(str_from(text), &again) == OK);
        must(again / MILLISECONDS(1) == when / MILLISECONDS(1));
    }
    memcpy(&any, data, size < sizeof(any) ? size : sizeof(any));
    date_format((instant)any, (int)(size % 1440) - 720, text);
    must(strlen(text) < DATE_TEXT_MAX - 1);
    return 0;
}
