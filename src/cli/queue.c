/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* queue.c: `outpost queue`: what waits to be delivered, and what is to be done about it.
 *
 * The words of a query are those of delivery/queue.h: to:@example.org from: domain: account: state:
 * age:>1h, or ids.  What concerns messages names them first: nothing selected is an error, --all is
 * everything.
 */
#include "cli/ask.h"

#include <limits.h>
#include <stdio.h>

static const struct column list_columns[] = {
    { "id", NULL, COLUMN_ID, false },
    { "received", "AGE", COLUMN_AGE, false },
    { "size", NULL, COLUMN_BYTES, false },
    { "from", NULL, COLUMN_TEXT, false },
    { "to", NULL, COLUMN_LIST, false },
    { "state", NULL, COLUMN_STATE, false },
    { "attempts", "TRIES", COLUMN_NUMBER, false },
    { "next_attempt", "NEXT", COLUMN_AGE, false },
    { "why", NULL, COLUMN_TEXT, true },
    { NULL, NULL, COLUMN_TEXT, false },
};

static const struct column why_columns[] = {
    { "id", NULL, COLUMN_ID, false },    { "address", "TO", COLUMN_TEXT, false },
    { "why", NULL, COLUMN_TEXT, false }, { "text", "LAST ANSWER", COLUMN_TEXT, true },
    { NULL, NULL, COLUMN_TEXT, false },
};

static const struct column shape_columns[] = {
    { "name", NULL, COLUMN_ID, false },         { "total", NULL, COLUMN_NUMBER, false },
    { "5m", "<5M", COLUMN_NUMBER, false },      { "10m", "10M", COLUMN_NUMBER, false },
    { "20m", "20M", COLUMN_NUMBER, false },     { "40m", "40M", COLUMN_NUMBER, false },
    { "80m", "80M", COLUMN_NUMBER, false },     { "160m", "160M", COLUMN_NUMBER, false },
    { "320m", "320M", COLUMN_NUMBER, false },   { "640m", "640M", COLUMN_NUMBER, false },
    { "1280m", "1280M", COLUMN_NUMBER, false }, { "older", ">21H", COLUMN_NUMBER, false },
    { NULL, NULL, COLUMN_TEXT, false },
};

static void
put_query(struct ask *ask)
{
    struct buf query;

    buf_init(&query, 16384);
    for (unsigned i = 0; i < ask->call->arg_count; i++)
        buf_addf(&query, "%s%s", i ? " " : "", ask->call->args[i]);
    json_put_text(&ask->writer, "query", buf_str(&query));
    buf_done(&query);
}

static int
run_list(struct call *call)
{
    struct ask ask;

    ask_begin(&ask, call);
    put_query(&ask);
    json_put_int(&ask.writer, "max", (int64_t)call_number(call, "--max", 1000));
    return ask_list(&ask, "queue.list", "outpost.queue.message/1", list_columns,
                    "the queue is empty");
}

static int
run_show(struct call *call)
{
    struct ask ask;

    ask_begin(&ask, call);
    json_put_text(&ask.writer, "id", str_from(call->args[0]));
    return ask_document(&ask, "queue.show", "outpost.queue.message/1", NULL);
}

static int
run_why(struct call *call)
{
    struct ask ask;

    ask_begin(&ask, call);
    put_query(&ask);
    return ask_list(&ask, "queue.why", "outpost.queue.recipient/1", why_columns, NULL);
}

static int
run_shape(struct call *call)
{
    const char *by = call_text(call, "--by");
    struct ask ask;

    ask_begin(&ask, call);
    put_query(&ask);
    if (by)
        json_put_text(&ask.writer, "by", str_from(by));
    return ask_list(&ask, "queue.shape", "outpost.queue.shape/1", shape_columns,
                    "the queue is empty");
}

/* What an action is asked with; DRY_RUN: only counted. */
static void
begin_action(struct ask *ask, struct call *call, bool dry_run)
{
    ask_begin(ask, call);
    put_query(ask);
    json_put_text(&ask->writer, "verb", str_from(call->command->verb));
    json_put_bool(&ask->writer, "all", call_has(call, "--all"));
    if (dry_run && !call_has(call, "--dry-run"))
        json_put_bool(&ask->writer, "dry_run", true);
}

static int
run_action(struct call *call)
{
    struct ask ask;

    begin_action(&ask, call, false);
    return ask_do(&ask, "queue.act");
}

/* Counts first, so that the question says what is at stake. */
static int
run_destruction(struct call *call)
{
    const struct json *final = NULL;
    struct ask ask;
    char what[100];
    int64_t count;
    int exit;

    begin_action(&ask, call, true);
    exit = control_ask(call, "queue.act", ask_text(&ask), NULL, NULL, &final);
    ask_done(&ask);
    if (exit)
        return exit;
    count = json_get_int(final, "count");
    snprintf(what, sizeof what, "%s %lld recipient%s", call->command->verb, (long long)count,
             count == 1 ? "" : "s");
    exit = count ? call_confirm(call, what) : 0;
    if (exit)
        return exit == EXIT_STOP ? 0 : exit;
    return run_action(call);
}

static const struct flag list_flags[] = {
    { "--max", 0, FLAG_NUMBER, "N", false, "At most so many messages (1000)" },
    { "--all", 0, FLAG_NONE, NULL, false, "Everything, as without a query" },
    { 0 },
};

static const struct flag shape_flags[] = {
    { "--by", 0, FLAG_CHOICE, "domain|site|sender|account", false, "What a line stands for" },
    { 0 },
};

static const struct flag act_flags[] = {
    { "--all", 0, FLAG_NONE, NULL, false, "Everything in the queue" },
    { 0 },
};

#define QUERY_TEXT                                                                                 \
    "A query is ids, or words that must all hold: to:ADDRESS from:ADDRESS domain:NAME "            \
    "account:ADDRESS state:scheduled|ready|running|held age:>2h. An ADDRESS may be a part, such "  \
    "as @example.org."

/* clang-format off */
const struct command queue_commands[] = {
    { .verb = "list", .args = "[QUERY...]", .args_max = UINT_MAX, .uses = USES_SERVER | USES_LIST,
      .flags = list_flags, .summary = "List what waits, the oldest first", .text = QUERY_TEXT,
      .run = run_list,
      .examples = { "outpost queue list", "everything",
                    "outpost queue list to:@example.org 'age:>1h'", "what is stuck for one domain",
                    "outpost queue list -o ids", "ids only, for a program" } },
    { .verb = "show", .args = "ID", .args_min = 1, .args_max = 1, .uses = USES_SERVER,
      .summary = "Show one message and each of its recipients", .run = run_show,
      .examples = { "outpost queue show 01JD7Z3K9Q8M5N2P4R6S8T0V1W", "" } },
    { .verb = "why", .args = "QUERY...", .args_min = 1, .args_max = UINT_MAX,
      .uses = USES_SERVER | USES_LIST,
      .summary = "Say in one sentence for each recipient what it waits for, and until when",
      .text = QUERY_TEXT, .run = run_why,
      .examples = { "outpost queue why 01JD7Z3K9Q8M5N2P4R6S8T0V1W", "" } },
    { .verb = "shape", .args = "[QUERY...]", .args_max = UINT_MAX, .uses = USES_SERVER | USES_LIST,
      .flags = shape_flags, .summary = "Count by destination and age", .text = QUERY_TEXT,
      .run = run_shape,
      .examples = { "outpost queue shape", "by domain", "outpost queue shape --by account", "" } },
    { .verb = "retry", .args = "QUERY...", .args_max = UINT_MAX,
      .uses = USES_SERVER | USES_CHANGES, .flags = act_flags, .summary = "Try again now",
      .text = QUERY_TEXT, .run = run_action,
      .examples = { "outpost queue retry domain:example.org", "" } },
    { .verb = "hold", .args = "QUERY...", .args_max = UINT_MAX, .uses = USES_SERVER | USES_CHANGES,
      .flags = act_flags, .summary = "Make no attempts until released", .text = QUERY_TEXT,
      .run = run_action,
      .examples = { "outpost queue hold account:shop@example.org", "" } },
    { .verb = "release", .args = "QUERY...", .args_max = UINT_MAX,
      .uses = USES_SERVER | USES_CHANGES, .flags = act_flags, .summary = "Let what was held go on",
      .text = QUERY_TEXT, .run = run_action, .examples = { "outpost queue release state:held", "" } },
    { .verb = "bounce", .args = "QUERY...", .args_max = UINT_MAX,
      .uses = USES_SERVER | USES_DESTROYS, .flags = act_flags,
      .summary = "Give up now, with a report to the sender", .text = QUERY_TEXT,
      .run = run_destruction,
      .examples = { "outpost queue bounce to:@gone.example --yes --reason 'domain is gone'", "" } },
    { .verb = "delete", .args = "QUERY...", .args_max = UINT_MAX,
      .uses = USES_SERVER | USES_DESTROYS, .flags = act_flags,
      .summary = "Remove without a report", .text = QUERY_TEXT, .run = run_destruction,
      .examples = { "outpost queue delete from:spam@example.org --dry-run", "counts only" } },
    { 0 },
};
/* clang-format on */
