/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* fuzz_shaping.c: a rules file is understood or refused with a problem that says where; what is
 * understood judges any reply within bounds. */
#include "fuzz.h"

#include "base/instant.h"
#include "config/config.h"
#include "delivery/rules/shaping.h"

/* clang-format off */
const str fuzz_seeds[] = {
    S("reply 421 4.7.28 \"unusual rate*of\" rate_limited slow;\n"
      "421 4.7.28 Our system has an unusual rate of mail"),
    S("provider x { mx *.example.net; domain .example.org; connections 5; rate 10/1s 500/h;\n"
      "reply 5xx 5.7.606-649 ip_or_domain_block back_off 4h; }\n550 5.7.610 banned"),
    S("class greylisted retry 10m;\n450 4.2.0 Greylisted, try again in 300 seconds"),
    S("reply 000 *.4.* no_answer next_host;\n450 Greylisting in action, please come back in 00:05:00"),
    S("reply \"frequency limited\" rate_limited retry 1h suspend_sender 1h bounce;\n"
      "550 Domain frequency limited."),
};
FUZZ_SEEDS_END;
/* clang-format on */

static void
check_verdict(const struct shaping *shaping, const struct shaping_provider *provider, str reply)
{
    struct shaping_verdict verdict;
    uint64_t code = 0;
    str first, enhanced, text;

    (void)str_split(reply, ' ', &first, &text);
    if (!str_to_u64(first, &code) || code > 999)
        code = 450;
    (void)str_split(text, ' ', &enhanced, &reply);
    shaping_judge(shaping, provider, (uint16_t)code, enhanced, text, &verdict);
    must(verdict.class < CLASS_COUNT);
    must(verdict.retry_after >= 0 && verdict.retry_after <= DAYS(7));
    must(verdict.site_for >= 0 && verdict.site_for <= DAYS(7));
    must((verdict.site >= SITE_BACK_OFF) <= (verdict.site_for > 0));
    must(verdict.site != SITE_NOTHING || verdict.site_for == 0);
    must(!verdict.bounces || verdict.retry_after == 0);
    must(!verdict.retry_named ||
         (verdict.retry_after >= SHAPING_NAMED_MIN && verdict.retry_after <= SHAPING_NAMED_MAX));
}

/* The last line is a reply, the rest a rules file. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct config_problems problems = {};
    struct shaping *shaping = NULL;
    str all = { (const char *)data, size };
    ssize_t end = str_find_last(all, '\n');
    str own = str_head(all, end < 0 ? 0 : (size_t)end);
    str reply = str_skip(all, (size_t)(end + 1));
    enum err e = shaping_parse(own, &shaping, &problems);

    must(problems.count <= CONFIG_PROBLEMS_MAX && !e == !!shaping);
    must(!e == (problems.count == 0));
    if (!e) {
        const struct shaping_provider *provider = NULL;
        check_verdict(shaping, NULL, reply);
        while ((provider = shaping_provider_next(shaping, provider)))
            check_verdict(shaping, provider, reply);
        (void)shaping_provider_of(shaping, &reply, 1, reply);
        shaping_unref(shaping);
    }
    config_problems_done(&problems);
    return 0;
}
