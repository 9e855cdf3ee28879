/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* trace.c: `outpost trace`: what happened to a message, from the event record.
 *
 * search and show work with the server stopped as well.
 */
#include "base/msgid.h"
#include "cli/ask.h"
#include "runtime/clock.h"

#include <limits.h>

static const struct column columns[] = {
    { "time", NULL, COLUMN_TIME, false },
    { "kind", "EVENT", COLUMN_STATE, false },
    { "message", "ID", COLUMN_ID, false },
    { "sender", "FROM", COLUMN_TEXT, false, "account" },
    { "recipient", "TO", COLUMN_TEXT, false },
    { "code", NULL, COLUMN_NUMBER, false },
    { "text", NULL, COLUMN_TEXT, false, "text_raw" },
    { "mx", NULL, COLUMN_TEXT, true },
    { "account", NULL, COLUMN_TEXT, true },
    { "client_ip", "CLIENT", COLUMN_TEXT, true },
    { "tls_version", "TLS", COLUMN_TEXT, true },
    { "tls_cipher", "CIPHER", COLUMN_TEXT, true },
    { "tls_verify", "VERIFIED", COLUMN_TEXT, true },
    { "tls_why", "WHY", COLUMN_TEXT, true },
    { NULL, NULL, COLUMN_TEXT, false },
};

/* A word that is an id, or else an address. */
static void
put_words(struct ask *ask)
{
    msgid id;

    for (unsigned i = 0; i < ask->call->arg_count; i++) {
        str word = str_from(ask->call->args[i]);

        json_put_text(&ask->writer, msgid_parse(word, &id) ? "id" : "address", word);
    }
}

static void
put_filters(struct ask *ask)
{
    struct call *call = ask->call;
    const char *kind = call_text(call, "--kind");
    const char *account = call_text(call, "--account");
    duration since = call_duration(call, "--since", 0);

    put_words(ask);
    if (kind)
        json_put_text(&ask->writer, "kind", str_from(kind));
    if (account)
        json_put_text(&ask->writer, "account", str_from(account));
    if (since > 0)
        json_put_int(&ask->writer, "since", (clock_now() - since) / MILLISECONDS(1));
}

static int
run_search(struct call *call)
{
    struct ask ask;

    ask_begin(&ask, call);
    put_filters(&ask);
    json_put_int(&ask.writer, "limit", (int64_t)call_number(call, "--max", 1000));
    return ask_list(&ask, "trace.search", "outpost.event/1", columns, "nothing was found");
}

static int
run_show(struct call *call)
{
    struct ask ask;

    ask_begin(&ask, call);
    json_put_text(&ask.writer, "id", str_from(call->args[0]));
    return ask_list(&ask, "trace.show", "outpost.event/1", columns, NULL);
}

/* Rows are printed as they come: not held back for the widths of a table. */
static void
print_now(void *arg, const struct json *row)
{
    struct call *call = arg;

    output_row(call->out, row);
    if (call->out->format == OUTPUT_TABLE || call->out->format == OUTPUT_WIDE)
        output_list_end(call->out, NULL);
    fflush(call->out->file);
}

static int
run_follow(struct call *call)
{
    struct ask ask;
    int exit;

    ask_begin(&ask, call);
    put_filters(&ask);
    output_list(call->out, "outpost.event/1", columns);
    exit = control_ask(call, "trace.follow", ask_text(&ask), print_now, call, NULL);
    output_list_end(call->out, NULL);
    ask_done(&ask);
    return exit;
}

#define FILTER_FLAGS                                                                               \
    { "--kind", 0, FLAG_TEXT, "EVENT", false, "accepted, delivered, deferred, bounced, ..." },     \
    {                                                                                              \
        "--account", 0, FLAG_TEXT, "ADDRESS", false, "Of one login"                                \
    }

static const struct flag search_flags[] = {
    FILTER_FLAGS,
    { "--since", 0, FLAG_DURATION, "TIME", false, "Not older than this: 30m, 2h, 7d" },
    { "--max", 0, FLAG_NUMBER, "N", false, "At most so many events (1000)" },
    { 0 },
};

static const struct flag follow_flags[] = { FILTER_FLAGS, { 0 } };

/* clang-format off */
const struct command trace_commands[] = {
    { .verb = "search", .args = "[ID|ADDRESS]", .args_max = 2, .uses = USES_SERVER | USES_LIST,
      .flags = search_flags, .summary = "Find events, the newest first", .run = run_search,
      .examples = { "outpost trace search ann@example.org --since 2h", "sender or recipient",
                    "outpost trace search --kind bounced --json", "for a program" } },
    { .verb = "show", .args = "ID", .args_min = 1, .args_max = 1, .uses = USES_SERVER | USES_LIST,
      .summary = "Show all that happened to one message", .run = run_show,
      .examples = { "outpost trace show 01JD7Z3K9Q8M5N2P4R6S8T0V1W",
                    "the id stands in the reply to the message",
                    "outpost trace show bounce-…@bounces.example.org",
                    "the sender with which it left (bounces.return_path)" } },
    { .verb = "follow", .args = "[ID|ADDRESS]", .args_max = 2, .uses = USES_SERVER | USES_LIST,
      .flags = follow_flags, .summary = "Show events as they happen, until Ctrl-C",
      .run = run_follow, .examples = { "outpost trace follow ann@example.org", "" } },
    { 0 },
};
/* clang-format on */
