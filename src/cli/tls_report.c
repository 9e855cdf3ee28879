/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* tls_report.c: `outpost tls-report`: the daily reports about TLS that go to other domains. */
#include "cli/ask.h"

#include <stdio.h>

static const struct column list_columns[] = {
    { "day", NULL, COLUMN_TEXT, false },         { "domain", NULL, COLUMN_ID, false },
    { "state", NULL, COLUMN_STATE, false },      { "since", NULL, COLUMN_AGE, false },
    { "succeeded", "OK", COLUMN_NUMBER, false }, { "failed", NULL, COLUMN_NUMBER, false },
    { "to", NULL, COLUMN_ID, false },            { "text", NULL, COLUMN_TEXT, false },
    { "next", NULL, COLUMN_AGE, true },          { "report_id", "REPORT ID", COLUMN_ID, true },
    { "message", "ID", COLUMN_ID, true },        { NULL, NULL, COLUMN_TEXT, false },
};

static const struct column show_columns[] = {
    { "day", NULL, COLUMN_TEXT, true },
    { "domain", NULL, COLUMN_ID, false },
    { "policy", NULL, COLUMN_TEXT, false },
    { "result", NULL, COLUMN_STATE, false },
    { "count", NULL, COLUMN_NUMBER, false },
    { "failed", NULL, COLUMN_NUMBER, false },
    { "mx", NULL, COLUMN_TEXT, false },
    { "reason", NULL, COLUMN_TEXT, false },
    { "mx_ip", "ADDRESS", COLUMN_TEXT, true },
    { "from_ip", "FROM", COLUMN_TEXT, true },
    { "helo", NULL, COLUMN_TEXT, true },
    { "policy_domain", "POLICY OF", COLUMN_TEXT, true },
    { NULL, NULL, COLUMN_TEXT, false },
};

static void
put_wish(struct ask *ask)
{
    struct call *call = ask->call;

    ask_begin(ask, call);
    if (call->arg_count)
        json_put_text(&ask->writer, "domain", str_from(call->args[0]));
    if (call_has(call, "--day"))
        json_put_text(&ask->writer, "day", str_from(call_text(call, "--day")));
}

static int
run_list(struct call *call)
{
    struct ask ask = { .call = call };

    put_wish(&ask);
    return ask_list(&ask, "tls_report.list", "outpost.tls-report/1", list_columns,
                    "no reports were sent");
}

static int
run_show(struct call *call)
{
    struct ask ask = { .call = call };

    put_wish(&ask);
    return ask_list(&ask, "tls_report.show", "outpost.tls-report.count/1", show_columns,
                    "nothing is counted");
}

/* A report is a document of its own: it is printed as it would be sent. */
static void
print_report(void *arg, const struct json *row)
{
    struct call *call = arg;

    fprintf(call->out->file, "%.*s\n", STR_ARG(json_get_text(row, "report")));
}

static int
run_send(struct call *call)
{
    struct ask ask = { .call = call };
    int exit;

    put_wish(&ask);
    if (!call_has(call, "--dry-run"))
        return ask_do(&ask, "tls_report.send");
    exit = control_ask(call, "tls_report.send", ask_text(&ask), print_report, call, NULL);
    ask_done(&ask);
    return exit;
}

static const struct flag day_flags[] = {
    { "--day", 0, FLAG_TEXT, "DAY", false, "2026-11-27 or today, in UTC" },
    { 0 },
};

/* clang-format off */
const struct command tls_report_commands[] = {
    { .verb = "list", .args = "[DOMAIN]", .args_max = 1, .uses = USES_SERVER | USES_LIST,
      .summary = "List the reports of the last month: where they went, and when",
      .text = "A domain gets a report when it publishes a record at _smtp._tls (RFC 8460) and mail went there. "
              "One line stands for each place that the record names.",
      .run = run_list,
      .examples = { "outpost tls-report list", "", "outpost tls-report list example.org -o wide", "" } },
    { .verb = "show", .args = "[DOMAIN]", .args_max = 1, .uses = USES_SERVER | USES_LIST, .flags = day_flags,
      .summary = "Show how connections to other domains ended, as it is counted for their reports",
      .text = "Of today when --day is not given. Of a day that is over only domains that got a report are kept.",
      .run = run_show, .examples = { "outpost tls-report show", "",
                                     "outpost tls-report show example.org --day 2026-11-26", "" } },
    { .verb = "send", .args = "[DOMAIN]", .args_max = 1, .uses = USES_SERVER | USES_CHANGES,
      .flags = day_flags,
      .summary = "Send what is left of days that are over now, not after the usual delay",
      .text = "Nothing goes twice: what was sent stays sent. With --dry-run the reports are printed instead, those "
              "of today as well, one line of JSON each.",
      .run = run_send, .examples = { "outpost tls-report send --day 2026-11-26", "",
                                     "outpost tls-report send example.org --day today --dry-run", "" } },
    { 0 },
};
/* clang-format on */
