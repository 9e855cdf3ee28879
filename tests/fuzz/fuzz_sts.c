/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* fuzz_sts.c: records and policies of MTA-STS; what is read is written as it is read. */
#include "fuzz.h"

#include "trust/sts.h"

/* clang-format off */
const str fuzz_seeds[] = {
    S("v=STSv1; id=20160831085700Z;"), S("v=STSv1 ; id = 1; a.b=c"), S("v=STSv1;id=1;id=2"),
    S("version: STSv1\r\nmode: enforce\r\nmx: mail.example.com\r\nmx: *.example.net\r\nmax_age: 604800\r\n"),
    S("version:STSv1\nmode:none\nmax_age:9999999999"), S("max_age: 1\nx: y\nmode: testing\n\nversion: STSv1\nmx: a.b"),
};
FUZZ_SEEDS_END;
/* clang-format on */

static void
check_policy(const struct sts_policy *policy)
{
    struct sts_policy again;
    struct arena arena;
    struct buf text;

    must(policy->pattern_count <= STS_PATTERNS_MAX && policy->max_age <= STS_MAX_AGE_MAX);
    must(policy->pattern_count > 0 || policy->mode == STS_NONE);
    arena_init(&arena, 1 << 20);
    buf_init(&text, STS_POLICY_SIZE_MAX);
    sts_policy_format(policy, &text);
    must(sts_policy_parse(buf_str(&text), &arena, &again, NULL) == OK);
    must(again.mode == policy->mode && again.max_age == policy->max_age &&
         again.pattern_count == policy->pattern_count);
    for (size_t i = 0; i < policy->pattern_count; i++) {
        str pattern = policy->patterns[i];
        bool is_wild = str_starts(pattern, S("*."));
        must(str_eq(pattern, again.patterns[i]) && !fuzz_has_line_end(pattern));
        must(is_wild || sts_policy_names(policy, pattern));
        must(!is_wild || !sts_pattern_matches(pattern, str_skip(pattern, 2)));
    }
    buf_done(&text);
    arena_done(&arena);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    str input = { (const char *)data, size };
    struct sts_policy policy;
    struct arena arena;
    str id;

    if (sts_record_parse(input, &id))
        must(sts_record_is_ours(input) && id.len > 0 && id.len <= STS_ID_MAX);
    arena_init(&arena, 1 << 20);
    if (sts_policy_parse(input, &arena, &policy, NULL) == OK)
        check_policy(&policy);
    arena_done(&arena);
    return 0;
}
