/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* queue.c: `outpost queue`: what waits to be delivered, and what is to be done about it.
 *
 * The words of a query are those of delivery/queue/queue.h: to:@example.org from: domain: account: state:
 * age:>1h, or ids.  What concerns messages names them first: nothing selected is an error, --all is
 * everything.
 */
#include "base/msgid.h"
#include "cli/ask.h"

#include <limits.h>
#include <stdio.h>

enum {
    SHAPE_SHOWN = 40
};

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

static const struct column recipient_columns[] = {
    { "id", NULL, COLUMN_ID, false },
    { "address", "TO", COLUMN_TEXT, false },
    { "from", NULL, COLUMN_TEXT, false },
    { "state", NULL, COLUMN_STATE, false },
    { "attempts", "TRIES", COLUMN_NUMBER, false },
    { "next_attempt", "NEXT", COLUMN_AGE, false },
    { "site", NULL, COLUMN_TEXT, false },
    { "why", NULL, COLUMN_TEXT, true },
    { NULL, NULL, COLUMN_TEXT, false },
};

static const struct column cluster_columns[] = {
    { "cluster", NULL, COLUMN_ID, false },  { "count", NULL, COLUMN_NUMBER, false },
    { "since", NULL, COLUMN_AGE, false },   { "place", NULL, COLUMN_TEXT, false },
    { "reason", NULL, COLUMN_TEXT, false }, { "query", NULL, COLUMN_TEXT, false },
    { "doing", NULL, COLUMN_TEXT, true },   { NULL, NULL, COLUMN_TEXT, false },
};

static const struct column cancelled_columns[] = {
    { "address", "TO", COLUMN_TEXT, false },
    { "state", NULL, COLUMN_STATE, false },
    { "why", NULL, COLUMN_TEXT, false },
    { NULL, NULL, COLUMN_TEXT, false },
};

static const struct column shape_columns[] = {
    { "name", NULL, COLUMN_ID, false },         { "total", NULL, COLUMN_NUMBER, false },
    { "5m", "<5M", COLUMN_NUMBER, false },      { "10m", "10M", COLUMN_NUMBER, false },
    { "20m", "20M", COLUMN_NUMBER, false },     { "40m", "40M", COLUMN_NUMBER, false },
    { "80m", "80M", COLUMN_NUMBER, false },     { "160m", "160M", COLUMN_NUMBER, false },
    { "320m", "320M", COLUMN_NUMBER, false },   { "640m", "640M", COLUMN_NUMBER, false },
    { "1280m", "1280M", COLUMN_NUMBER, false }, { "older", ">21H", COLUMN_NUMBER, false },
    { "state", NULL, COLUMN_TEXT, false },      { NULL, NULL, COLUMN_TEXT, false },
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

static const char *
nothing_text(const struct call *call)
{
    return call->arg_count ? "nothing matches" : "the queue is empty";
}

static int
run_list(struct call *call)
{
    struct ask ask;

    ask_begin(&ask, call);
    put_query(&ask);
    json_put_int(&ask.writer, "max", (int64_t)call_number(call, "--max", 1000));
    return ask_list(&ask, "queue.list", "outpost.queue.message/1", list_columns,
                    nothing_text(call));
}

static int
run_show(struct call *call)
{
    struct ask ask;

    ask_begin(&ask, call);
    json_put_text(&ask.writer, "id", str_from(call->args[0]));
    return ask_document(&ask, "queue.show", "outpost.queue.message/1", NULL);
}

static bool
is_for_people(const struct call *call)
{
    return call->out->format == OUTPUT_TABLE || call->out->format == OUTPUT_WIDE;
}

static void
print_commands(struct output *out, const struct json *commands)
{
    if (!commands || !commands->first)
        return;
    output_line(out, "  You can:");
    for (const struct json *at = commands->first; at; at = at->next)
        output_paragraph(out, 4, false, at->text);
}

static void
print_story(void *arg, const struct json *row)
{
    struct output *out = arg;
    struct buf head;

    buf_init(&head, 4096);
    buf_addf(&head, "%.*s to %.*s, from %.*s", STR_ARG(json_get_text(row, "id")),
             STR_ARG(json_get_text(row, "address")), STR_ARG(json_get_text(row, "from")));
    output_paragraph(out, 0, true, buf_str(&head));
    output_paragraph(out, 2, true, json_get_text(row, "story"));
    if (json_get_text(row, "connection").len)
        output_paragraph(out, 2, true, json_get_text(row, "connection"));
    if (json_get_text(row, "advice").len)
        output_paragraph(out, 2, true, json_get_text(row, "advice"));
    print_commands(out, json_get(row, "commands"));
    buf_done(&head);
}

static int
run_why(struct call *call)
{
    struct ask ask;
    int exit;

    ask_begin(&ask, call);
    put_query(&ask);
    if (!is_for_people(call))
        return ask_list(&ask, "queue.why", "outpost.queue.recipient/2", recipient_columns, NULL);
    exit = control_ask(call, "queue.why", ask_text(&ask), print_story, call->out, NULL);
    ask_done(&ask);
    return exit;
}

static void
print_cluster(void *arg, const struct json *row)
{
    struct output *out = arg;

    struct buf line;

    buf_init(&line, 8192);
    buf_addf(&line, "%lld  %.*s", (long long)json_get_int(row, "count"),
             STR_ARG(str_head(json_get_text(row, "reason"), 300)));
    output_paragraph(out, 0, true, buf_str(&line));
    output_paragraph(out, 2, true, json_get_text(row, "summary"));
    if (json_get_text(row, "advice").len)
        output_paragraph(out, 2, true, json_get_text(row, "advice"));
    print_commands(out, json_get(row, "commands"));
    buf_done(&line);
}

static void
print_row(void *arg, const struct json *row)
{
    output_row(arg, row);
}

/* Of a sample, or of more groups than were shown. */
static void
print_rest(const struct call *call, const struct json *final, uint64_t shown)
{
    if (json_get_int(final, "one_in") > 1)
        output_line(call->out, "One message in %lld was read, and counts for all of them.",
                    (long long)json_get_int(final, "one_in"));
    if (shown && json_get_int(final, "count") > (int64_t)shown)
        output_line(call->out, "%lld in all; --max shows more",
                    (long long)json_get_int(final, "count"));
}

static int
run_clusters(struct call *call)
{
    const struct json *final = NULL;
    struct ask ask;
    int exit;

    ask_begin(&ask, call);
    put_query(&ask);
    json_put_int(&ask.writer, "max", (int64_t)call_number(call, "--max", 10));
    if (!is_for_people(call))
        return ask_list(&ask, "queue.clusters", "outpost.queue.cluster/1", cluster_columns, NULL);
    exit = control_ask(call, "queue.clusters", ask_text(&ask), print_cluster, call->out, &final);
    ask_done(&ask);
    if (!exit && json_get_int(final, "count") == 0)
        output_line(call->out, "nothing waits");
    else if (!exit)
        print_rest(call, final, call_number(call, "--max", 10));
    return exit;
}

static int
run_export(struct call *call)
{
    struct ask ask;

    ask_begin(&ask, call);
    put_query(&ask);
    return ask_list(&ask, "queue.export", "outpost.queue.recipient/2", recipient_columns,
                    nothing_text(call));
}

static int
run_shape(struct call *call)
{
    uint64_t max = call_number(call, "--max", is_for_people(call) ? SHAPE_SHOWN : 0);
    const char *by = call_text(call, "--by");
    const struct json *final = NULL;
    struct ask ask;
    int exit;

    ask_begin(&ask, call);
    put_query(&ask);
    if (by)
        json_put_text(&ask.writer, "by", str_from(by));
    json_put_int(&ask.writer, "max", (int64_t)max);
    output_list(call->out, "outpost.queue.shape/1", shape_columns);
    exit = control_ask(call, "queue.shape", ask_text(&ask), print_row, call->out, &final);
    output_list_end(call->out, exit ? NULL : nothing_text(call));
    ask_done(&ask);
    if (!exit)
        print_rest(call, final, max);
    return exit;
}

/* --- Acts. */

/* What an action is asked with; DRY_RUN: only counted. */
static void
begin_action(struct ask *ask, struct call *call, bool dry_run)
{
    const char *until = call_has(call, "--until") ? call_text(call, "--until") : NULL;
    const char *to = call_has(call, "--to") ? call_text(call, "--to") : NULL;

    ask_begin(ask, call);
    put_query(ask);
    json_put_text(&ask->writer, "verb", str_from(call->command->verb));
    json_put_bool(&ask->writer, "all", call_has(call, "--all"));
    if (call_has(call, "--for"))
        json_put_int(&ask->writer, "for_ms", call_duration(call, "--for", 0) / MILLISECONDS(1));
    if (until)
        json_put_text(&ask->writer, "until", str_from(until));
    if (to)
        json_put_text(&ask->writer, "to", str_from(to));
    if (dry_run && !call_has(call, "--dry-run"))
        json_put_bool(&ask->writer, "dry_run", true);
}

/* The exit code of an act that came to FINAL. */
static int
end_action(struct call *call, const struct json *final)
{
    int64_t count = json_get_int(final, "count");

    if (is_for_people(call))
        output_line(call->out, "%.*s", STR_ARG(json_get_text(final, "message")));
    else
        output_document(call->out, "outpost.queue.act/1", NULL, final);
    if (count == 0 && call_has(call, "--must-match"))
        return EXIT_NOTHING;
    return json_get_int(final, "skipped") > 0 && !call_has(call, "--dry-run") ? EXIT_PARTLY
                                                                              : EXIT_OK;
}

/* Counts, with samples of what it would concern: on stdout for --dry-run, before a question on
 * stderr. */
static int
count_first(struct call *call, bool for_question, const struct json **final)
{
    struct output *out = call->out;
    FILE *file = out->file;
    struct ask ask;
    int exit;

    begin_action(&ask, call, true);
    if (for_question)
        out->file = stderr;
    output_list(out, "outpost.queue.message/1", list_columns);
    exit = control_ask(call, "queue.act", ask_text(&ask), print_row, out, final);
    output_list_end(out, NULL);
    out->file = file;
    ask_done(&ask);
    return exit;
}

static int
act(struct call *call)
{
    const struct json *final = NULL;
    struct ask ask;
    int exit;

    begin_action(&ask, call, false);
    exit = control_ask(call, "queue.act", ask_text(&ask), NULL, NULL, &final);
    ask_done(&ask);
    return exit ? exit : end_action(call, final);
}

static int
run_action(struct call *call)
{
    const struct json *final = NULL;
    int exit = call_need_reason(call);

    if (exit)
        return exit;
    if (!call_has(call, "--dry-run"))
        return act(call);
    exit = count_first(call, false, &final);
    return exit ? exit : end_action(call, final);
}

/* Counts first, so that the question says what is at stake. */
static int
run_destruction(struct call *call)
{
    const struct json *final = NULL;
    char what[100];
    int64_t count;
    int exit;

    if (call_has(call, "--dry-run"))
        return run_action(call);
    exit = call_need_reason(call);
    if (!exit && !call_has(call, "--yes"))
        exit = count_first(call, true, &final);
    if (exit || call_has(call, "--yes"))
        return exit ? exit : act(call);
    count = json_get_int(final, "count");
    snprintf(what, sizeof what, "%s %lld recipient%s", call->command->verb, (long long)count,
             count == 1 ? "" : "s");
    exit = count ? call_confirm_count(call, what, (uint64_t)count) : 0;
    if (exit)
        return exit == EXIT_STOP ? 0 : exit;
    return act(call);
}

/* One message, by its id: with an answer for each recipient. */
static int
take_back(struct call *call)
{
    const char *account = call_text(call, "--account");
    const struct json *final = NULL;
    struct ask ask;
    int exit;

    ask_begin(&ask, call);
    json_put_text(&ask.writer, "id", str_from(call->args[0]));
    if (account)
        json_put_text(&ask.writer, "account", str_from(account));
    output_list(call->out, "outpost.queue.cancelled/1", cancelled_columns);
    exit = control_ask(call, "queue.cancel", ask_text(&ask), print_row, call->out, &final);
    output_list_end(call->out, NULL);
    ask_done(&ask);
    return exit || json_get_int(final, "late") == 0 ? exit : EXIT_PARTLY;
}

static int
run_cancel(struct call *call)
{
    bool of_account = call_has(call, "--account");
    msgid id;
    int exit;

    if (call_has(call, "--dry-run") || call->arg_count != 1 ||
        !msgid_parse(str_from(call->args[0]), &id)) {
        if (!of_account)
            return run_destruction(call);
        return call_fail(call, EXIT_USAGE, "one_id", "or say account:ADDRESS among the words",
                         "--account goes with one id, and without --dry-run");
    }
    exit = call_need_reason(call);
    if (!exit && !call_has(call, "--yes"))
        exit = call_confirm(call, "cancel this message");
    if (exit)
        return exit == EXIT_STOP ? 0 : exit;
    return take_back(call);
}

static const struct flag list_flags[] = {
    { "--max", 0, FLAG_NUMBER, "N", false, "At most so many messages (1000)" },
    { "--all", 0, FLAG_NONE, NULL, false, "Everything, as without a query" },
    { 0 },
};

static const struct flag shape_flags[] = {
    { "--by", 0, FLAG_CHOICE, "domain|site|provider|sender|account|lane|source", false,
      "What a line stands for (provider)" },
    { "--max", 0, FLAG_NUMBER, "N", false, "At most so many lines (40 for people)" },
    { 0 },
};

static const struct flag clusters_flags[] = {
    { "--max", 0, FLAG_NUMBER, "N", false, "At most so many reasons (10)" },
    { 0 },
};

/* clang-format off */
#define ACT_FLAGS                                                                                  \
    { "--all", 0, FLAG_NONE, NULL, false, "Everything in the queue" },                             \
    { "--must-match", 0, FLAG_NONE, NULL, false, "Exit with 3 when nothing matched" }
/* clang-format on */

static const struct flag act_flags[] = { ACT_FLAGS, { 0 } };

static const struct flag cancel_flags[] = {
    ACT_FLAGS,
    { "--account", 0, FLAG_TEXT, "ADDRESS", false, "Only if it is a message of this account" },
    { 0 },
};

static const struct flag delay_flags[] = {
    ACT_FLAGS,
    { "--for", 0, FLAG_DURATION, "TIME", false, "No attempt before this time is over" },
    { "--until", 0, FLAG_TEXT, "TIME", false, "No attempt before, as in 2026-11-27T18:00:00Z" },
    { 0 },
};

static const struct flag reroute_flags[] = {
    ACT_FLAGS,
    { "--to", 0, FLAG_TEXT, "URL", false, "The next hop, as for a route; mx, or usual" },
    { 0 },
};

#define QUERY_TEXT                                                                                 \
    "A query is ids, any of them, or words that must all hold: to:ADDRESS from:ADDRESS domain:NAME "            \
    "account:ADDRESS state:scheduled|ready|running|held age:>2h attempts:>=3 size:>5M "            \
    "site:HOST provider:NAME source:NAME lane:code|personal|notice|bulk route:TEXT msgid:TEXT "    \
    "class:NAME cluster:ID cluster:421-4.7.28 rule:NUMBER. An ADDRESS may be a part, such as "     \
    "@example.org. not:WORD turns a word round: not:state:held. Words with < or > are quoted for " \
    "the shell."
#define ACT_TEXT                                                                                   \
    QUERY_TEXT                                                                                     \
    "\n\nWhat is under way at this moment is not concerned; the exit code is 2 then. --dry-run "   \
    "counts, and shows three of them."

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
      .summary = "Say why messages wait, what happens next, and what one can do",
      .text = "A paragraph for each recipient, and the commands that one may want next. At most 50 "
              "messages; for more there is 'outpost queue clusters'.\n\n" QUERY_TEXT,
      .run = run_why,
      .examples = { "outpost queue why 01JD7Z3K9Q8M5N2P4R6S8T0V1W", "",
                    "outpost queue why to:bob@example.org", "" } },
    { .verb = "clusters", .args = "[QUERY...]", .args_max = UINT_MAX,
      .uses = USES_SERVER | USES_LIST, .flags = clusters_flags,
      .summary = "Count by reason: what keeps how many, since when, and what one can do",
      .text = "Answers that say the same thing are one reason, whatever addresses, ids and times "
              "they name.\n\n" QUERY_TEXT,
      .run = run_clusters,
      .examples = { "outpost queue clusters", "",
                    "outpost queue clusters provider:google --json", "" } },
    { .verb = "shape", .args = "[QUERY...]", .args_max = UINT_MAX, .uses = USES_SERVER | USES_LIST,
      .flags = shape_flags, .summary = "Count by destination and age", .text = QUERY_TEXT,
      .run = run_shape,
      .examples = { "outpost queue shape", "by provider", "outpost queue shape --by account", "" } },
    { .verb = "export", .args = "[QUERY...]", .args_max = UINT_MAX, .uses = USES_SERVER | USES_LIST,
      .summary = "Print everything that waits, a line for each recipient", .text = QUERY_TEXT,
      .run = run_export,
      .examples = { "outpost queue export --json > queue.jsonl", "",
                    "outpost queue export state:held -o tsv", "" } },
    { .verb = "retry", .args = "QUERY...", .args_max = UINT_MAX,
      .uses = USES_SERVER | USES_CHANGES | USES_REASON, .flags = act_flags,
      .summary = "Try again now", .text = ACT_TEXT, .run = run_action,
      .examples = { "outpost queue retry domain:example.org --reason 'their server is back'", "" } },
    { .verb = "hold", .args = "QUERY...", .args_max = UINT_MAX,
      .uses = USES_SERVER | USES_CHANGES | USES_REASON,
      .flags = act_flags, .summary = "Make no attempts until released", .text = ACT_TEXT,
      .run = run_action,
      .examples = { "outpost queue hold account:shop@example.org --reason 'is it spam?'", "" } },
    { .verb = "release", .args = "QUERY...", .args_max = UINT_MAX,
      .uses = USES_SERVER | USES_CHANGES | USES_REASON,
      .flags = act_flags, .summary = "Let what was held go on", .text = ACT_TEXT,
      .run = run_action,
      .examples = { "outpost queue release state:held --reason 'looked at'", "" } },
    { .verb = "delay", .args = "QUERY...", .args_max = UINT_MAX,
      .uses = USES_SERVER | USES_CHANGES | USES_REASON, .flags = delay_flags,
      .summary = "Make no attempt before a time", .text = ACT_TEXT, .run = run_action,
      .examples = { "outpost queue delay domain:example.org --for 2h --reason 'they move house'", "" } },
    { .verb = "bounce", .args = "QUERY...", .args_max = UINT_MAX,
      .uses = USES_SERVER | USES_DESTROYS, .flags = act_flags,
      .summary = "Give up now, with a report to the sender", .text = ACT_TEXT,
      .run = run_destruction,
      .examples = { "outpost queue bounce to:@gone.example --yes --reason 'domain is gone'", "" } },
    { .verb = "delete", .args = "QUERY...", .args_max = UINT_MAX,
      .uses = USES_SERVER | USES_DESTROYS, .flags = act_flags,
      .summary = "Remove without a report", .text = ACT_TEXT, .run = run_destruction,
      .examples = { "outpost queue delete from:spam@example.org --dry-run", "counts only" } },
    { .verb = "cancel", .args = "QUERY...", .args_max = UINT_MAX,
      .uses = USES_SERVER | USES_DESTROYS, .flags = cancel_flags,
      .summary = "Take back what has not left yet, by the wish of its sender",
      .text = "For one id the answer says for each recipient whether it was in time: what a delivery "
              "has in its hands, or has handed over, cannot be called back. What was taken back "
              "never goes, and nobody gets a report.\n\n" ACT_TEXT,
      .run = run_cancel,
      .examples = { "outpost queue cancel 01JD7Z3K9Q8M5N2P4R6S8T0V1W --yes --reason 'sent in error'", "",
                    "outpost queue cancel 01JD7Z3K9Q8M5N2P4R6S8T0V1W --account ann@example.org --yes "
                    "--reason undo", "for the one who sent it" } },
    { .verb = "reroute", .args = "QUERY...", .args_max = UINT_MAX,
      .uses = USES_SERVER | USES_DESTROYS, .flags = reroute_flags,
      .summary = "Give it to another next hop",
      .text = "The next hop is written as for a route: smtp://relay.example.net, lmtp:///run/lmtp.sock; "
              "mx is the hosts of the domain itself, usual takes the wish back. It stays with the "
              "recipient, also through a restart.\n\n" ACT_TEXT,
      .run = run_destruction,
      .examples = { "outpost queue reroute domain:example.org --to smtp://relay.example.net --reason 'MX down'", "" } },
    { 0 },
};
/* clang-format on */
