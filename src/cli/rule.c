/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* rule.c: `outpost rule`: what is to be done with mail that waits or comes, until a rule ends.
 *
 * The words that say whom a rule concerns are those of a query of the queue; all must hold.
 */
#include "cli/ask.h"

#include <limits.h>

static const struct column columns[] = {
    { "id", NULL, COLUMN_ID, false },       { "rule", NULL, COLUMN_TEXT, false },
    { "until", "ENDS", COLUMN_AGE, false }, { "hits", NULL, COLUMN_NUMBER, false },
    { "actor", "BY", COLUMN_TEXT, false },  { "reason", NULL, COLUMN_TEXT, false },
    { "made", "AGE", COLUMN_AGE, true },    { "to", NULL, COLUMN_TEXT, true },
    { NULL, NULL, COLUMN_TEXT, false },
};

static int
run_add(struct call *call)
{
    const char *rate = call_text(call, "--rate");
    const char *to = call_text(call, "--to");
    const char *level = call_text(call, "--level");
    struct ask ask;
    int exit = call_check_lasting(call, "--for");

    if (!exit)
        exit = call_need_reason(call);
    if (exit)
        return exit;
    ask_begin(&ask, call);
    json_put_text(&ask.writer, "kind", str_from(call->args[0]));
    json_begin_array(&ask.writer, "matches");
    for (unsigned i = 1; i < call->arg_count; i++)
        json_put_text(&ask.writer, NULL, str_from(call->args[i]));
    json_end_array(&ask.writer);
    json_put_int(&ask.writer, "for_ms", call_duration(call, "--for", HOURS(1)) / MILLISECONDS(1));
    if (rate)
        json_put_text(&ask.writer, "rate", str_from(rate));
    if (to)
        json_put_text(&ask.writer, "to", str_from(to));
    if (level)
        json_put_text(&ask.writer, "level", str_from(level));
    return ask_do(&ask, "rule.add");
}

static int
run_list(struct call *call)
{
    struct ask ask;

    ask_begin(&ask, call);
    return ask_list(&ask, "rule.list", "outpost.rule/1", columns, "no rules");
}

/* 0 or an exit code. */
static int
read_id(struct call *call, const char *text, uint64_t *id)
{
    if (!str_to_u64(str_from(text), id) || *id == 0 || *id > INT32_MAX)
        return call_fail(call, EXIT_USAGE, "bad_id", "'outpost rule list' shows the numbers",
                         "%s is not the number of a rule", text);
    return 0;
}

static int
run_show(struct call *call)
{
    struct ask ask;
    uint64_t id;
    int exit = read_id(call, call->args[0], &id);

    if (exit)
        return exit;
    ask_begin(&ask, call);
    json_put_int(&ask.writer, "id", (int64_t)id);
    return ask_list(&ask, "rule.show", "outpost.rule/1", columns, NULL);
}

static int
run_rm(struct call *call)
{
    int exit = 0;

    for (unsigned i = 0; i < call->arg_count && !exit; i++) {
        struct ask ask;
        uint64_t id;
        exit = read_id(call, call->args[i], &id);
        if (exit)
            break;
        ask_begin(&ask, call);
        json_put_int(&ask.writer, "id", (int64_t)id);
        exit = ask_do(&ask, "rule.rm");
    }
    return exit;
}

static const struct flag add_flags[] = {
    { "--for", 0, FLAG_DURATION, "TIME", false, "How long it stands (1h)" },
    { "--rate", 0, FLAG_TEXT, "COUNT/TIME", false, "For slow: so many messages, as in 10/m" },
    { "--to", 0, FLAG_TEXT, "URL", false, "For reroute: the next hop, or mx" },
    { "--level", 0, FLAG_TEXT, "LEVEL", false, "For tls: require, verify or plain" },
    { 0 },
};

/* clang-format off */
const struct command rule_commands[] = {
    { .verb = "add", .args = "hold|suspend|bounce|slow|reroute|tls WORD...", .args_min = 2,
      .args_max = UINT_MAX, .uses = USES_SERVER | USES_CHANGES | USES_REASON, .flags = add_flags,
      .summary = "Hold, suspend, return, slow or move mail until the rule ends",
      .text = "Words say whom the rule concerns, and all must hold: domain:NAME site:HOST "
              "provider:NAME sender:ADDRESS account:ADDRESS source:NAME lane:NAME. An ADDRESS may be "
              "@example.org; sender:<> is reports.\n\n"
              "hold keeps mail, as 'outpost queue hold' does; suspend puts it off, and it still "
              "expires; bounce returns it; slow lets so many messages go in a time; reroute gives it to "
              "another next hop; tls says what connections must prove, whatever the domain asks for "
              "(DANE, MTA-STS): require TLS with anybody, verify the certificate and its name, or "
              "plain, where their TLS is broken. A rule is asked before a connection is made. When "
              "several hold, the first of hold, suspend, bounce, reroute, slow decides, and beside it "
              "the first of tls. When a rule ends or is removed, what it kept is due at once.",
      .run = run_add,
      .examples = { "outpost rule add slow provider:google --rate 10/m --for 2h --reason '421 4.7.28'",
                    "ten messages a minute",
                    "outpost rule add hold sender:@shop.example --reason 'newsletter looks broken'", "",
                    "outpost rule add reroute domain:example.org --to smtp://relay.example.net --for 1d "
                    "--reason 'their MX is down'", "",
                    "outpost rule add tls domain:example.org --level verify --for 30d "
                    "--reason 'agreed with them'", "" } },
    { .verb = "list", .uses = USES_SERVER | USES_LIST, .summary = "List the rules that stand",
      .run = run_list, .examples = { "outpost rule list", "" } },
    { .verb = "show", .args = "NUMBER", .args_min = 1, .args_max = 1, .uses = USES_SERVER | USES_LIST,
      .summary = "Show one rule", .run = run_show, .examples = { "outpost rule show 3 --json", "" } },
    { .verb = "rm", .args = "NUMBER...", .args_min = 1, .args_max = UINT_MAX,
      .uses = USES_SERVER, .summary = "Remove rules; what they kept is due at once",
      .run = run_rm, .examples = { "outpost rule rm 3", "" } },
    { 0 },
};
/* clang-format on */
