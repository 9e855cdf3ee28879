/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* fuzz_config.c: a configuration is understood, or refused with a problem that says where. */
#include "fuzz.h"

#include "base/buf.h"
#include "config/config.h"
#include "config/show.h"

/* clang-format off */
const str fuzz_seeds[] = {
    S("server {\n    hostname mx.example.org;\n}\n# note\nlisten submission {\n    address :465;\n}\n"),
    S("relay \"smtps://ann@smtp.example.org:465\";\n"), S("smtp { message-size-max 50M; }"),
    S("limits { preset gmail; }"), S("route example.net { to \"lmtp://127.0.0.1:24\"; }"),
};
FUZZ_SEEDS_END;
/* clang-format on */

/* What is shown is a file that gives the same again. */
static void
check_shown(str shown)
{
    struct config_problems problems = {};
    struct config *config = NULL;
    struct buf again;

    must(config_parse(shown, "/etc/outpost.conf", &config, &problems) == OK);
    buf_init(&again, 1 << 22);
    config_show(config, true, &again);
    must(str_eq(buf_str(&again), shown));
    buf_done(&again);
    config_unref(config);
    config_problems_done(&problems);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct config_problems problems = {};
    struct config *config = NULL;
    struct buf shown;
    enum err e;

    e = config_parse((str){ (const char *)data, size }, "/etc/outpost.conf", &config, &problems);
    must(problems.count <= CONFIG_PROBLEMS_MAX && !e == !!config);
    if (e) {
        must(problems.count > 0 && problems.items[0].text[0]);
    } else {
        buf_init(&shown, 1 << 22);
        config_show(config, true, &shown);
        must(buf_ok(&shown) && shown.len > 0);
        check_shown(buf_str(&shown));
        buf_done(&shown);
        config_unref(config);
    }
    config_problems_done(&problems);
    return 0;
}
