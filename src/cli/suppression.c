/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* suppression.c: `outpost suppression`: to whom mail of ours is not sent.  Works with the server
 * stopped as well.  What comes from a file, and goes into one, is in suppression_file.c. */
#include "cli/ask.h"
#include "cli/suppression.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#define KINDS "bounce|complaint|unsubscribe|manual"
#define QUERY_TEXT                                                                                 \
    "Words that must all hold: address:ADDRESS (or the address alone), domain:NAME, "              \
    "account:ADDRESS|@DOMAIN|all, reason:" KINDS ", list:NAME, source:TEXT, older:TIME, "          \
    "newer:TIME, remembered:yes (with those that have ended)."

const struct column suppression_columns[] = {
    { "address", NULL, COLUMN_ID, false },
    { "reason", NULL, COLUMN_STATE, false },
    { "account", "FOR", COLUMN_TEXT, false },
    { "created", "SINCE", COLUMN_AGE, false },
    { "expires", "ENDS", COLUMN_AGE, false },
    { "list", NULL, COLUMN_TEXT, true },
    { "source", "BY", COLUMN_TEXT, true },
    { "note", NULL, COLUMN_TEXT, false },
    { "state", NULL, COLUMN_TEXT, true },
    { "refusals", NULL, COLUMN_NUMBER, true },
    { "message", NULL, COLUMN_TEXT, true },
    { NULL, NULL, COLUMN_TEXT, false },
};

void
suppression_put_common(struct ask *ask)
{
    static const struct {
        const char *flag;
        const char *member;
    } rows[] = { { "--as", "kind" }, { "--account", "account" }, { "--list", "list" } };
    duration time = call_duration(ask->call, "--for", 0);

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const char *value = call_text(ask->call, rows[i].flag);
        if (value)
            json_put_text(&ask->writer, rows[i].member, str_from(value));
    }
    if (time)
        json_put_int(&ask->writer, "for_ms", time / MILLISECONDS(1));
}

void
suppression_say_wrong(void *arg, const struct json *row)
{
    int64_t line = json_get_int(row, "line");
    str error = json_get_text(row, "error");

    (void)arg;
    if (line > 0)
        fprintf(stderr, "line %lld: %.*s\n", (long long)line, STR_ARG(error));
    else
        fprintf(stderr, "%.*s\n", STR_ARG(error));
}

/* For programs: it was not ok when a line was wrong, whatever the server calls its own part. */
static void
print_added(struct call *call, const struct json *final)
{
    struct json whole = *final;
    struct json first;

    if (final->first && str_eq(final->first->key, S("ok"))) {
        first = *final->first;
        first.boolean = json_get_int(final, "wrong") == 0;
        whole.first = &first;
    }
    output_document(call->out, "outpost.result/1", NULL, &whole);
}

static int
run_add(struct call *call)
{
    const struct json *final = NULL;
    struct ask ask;
    int exit = call_check_lasting(call, "--for");

    if (!exit)
        exit = call_need_reason(call);
    if (exit)
        return exit;
    ask_begin(&ask, call);
    suppression_put_common(&ask);
    json_begin_array(&ask.writer, "entries");
    for (unsigned i = 0; i < call->arg_count; i++) {
        json_begin_object(&ask.writer, NULL);
        json_put_text(&ask.writer, "address", str_from(call->args[i]));
        json_end_object(&ask.writer);
    }
    json_end_array(&ask.writer);
    exit = control_ask(call, "suppression.add", ask_text(&ask), suppression_say_wrong, NULL,
                       &final);
    ask_done(&ask);
    if (exit)
        return exit;
    if (call->out->format == OUTPUT_JSON)
        print_added(call, final);
    else
        output_line(call->out, "%.*s", STR_ARG(json_get_text(final, "message")));
    if (json_get_int(final, "wrong") == 0)
        return EXIT_OK;
    return json_get_int(final, "entered") ? EXIT_PARTLY : EXIT_DATA;
}

void
suppression_put_query(struct ask *ask)
{
    const struct call *call = ask->call;
    struct buf words;

    buf_init(&words, 8192);
    for (unsigned i = 0; i < call->arg_count; i++)
        buf_addf(&words, "%s%s", i ? " " : "", call->args[i]);
    json_put_text(&ask->writer, "query", buf_str(&words));
    buf_done(&words);
}

static int
run_list(struct call *call)
{
    struct ask ask;

    ask_begin(&ask, call);
    suppression_put_query(&ask);
    json_put_int(&ask.writer, "max", (int64_t)call_number(call, "--max", 1000));
    return ask_list(&ask, "suppression.list", "outpost.suppression/1", suppression_columns,
                    "nobody is suppressed");
}

static int
run_show(struct call *call)
{
    struct ask ask;

    ask_begin(&ask, call);
    suppression_put_query(&ask);
    return ask_list(&ask, "suppression.show", "outpost.suppression/1", suppression_columns,
                    "nothing is known of it");
}

/* --- Lifting. */

static void
print_row(void *arg, const struct json *row)
{
    output_row(arg, row);
}

static int
ask_rm(struct call *call, bool dry, const struct json **final)
{
    struct output *out = call->out;
    FILE *file = out->file;
    struct ask ask;
    int exit;

    ask_begin(&ask, call);
    suppression_put_query(&ask);
    json_put_bool(&ask.writer, "all", call_has(call, "--all"));
    if (dry && !call_has(call, "--dry-run"))
        json_put_bool(&ask.writer, "dry_run", true);
    json_put_bool(&ask.writer, "samples", dry);
    /* What is shown before the question is no data. */
    if (dry && !call_has(call, "--dry-run"))
        out->file = stderr;
    output_list(out, "outpost.suppression/1", suppression_columns);
    exit = control_ask(call, "suppression.rm", ask_text(&ask), print_row, out, final);
    output_list_end(out, NULL);
    out->file = file;
    ask_done(&ask);
    return exit;
}

static int
end_rm(struct call *call, const struct json *final)
{
    if (call->out->format == OUTPUT_JSON)
        output_document(call->out, "outpost.result/1", NULL, final);
    else
        output_line(call->out, "%.*s", STR_ARG(json_get_text(final, "message")));
    return json_get_int(final, "count") || call_has(call, "--dry-run") ? EXIT_OK : EXIT_NOTHING;
}

static int
run_rm(struct call *call)
{
    const struct json *final = NULL;
    char what[100];
    int64_t count;
    int exit;

    if (!call->arg_count && !call_has(call, "--all"))
        return call_fail(call, EXIT_USAGE, "no_query", "name addresses, or words, or say --all",
                         "nothing says which entries");
    exit = call_has(call, "--dry-run") ? 0 : call_need_reason(call);
    if (!exit && (call_has(call, "--dry-run") || !call_has(call, "--yes")))
        exit = ask_rm(call, true, &final);
    if (exit)
        return exit;
    if (call_has(call, "--dry-run"))
        return end_rm(call, final);
    count = json_get_int(final, "count");
    snprintf(what, sizeof what, "lift %lld entr%s", (long long)count, count == 1 ? "y" : "ies");
    exit = count && !call_has(call, "--yes") ? call_confirm_count(call, what, (uint64_t)count) : 0;
    if (exit)
        return exit == EXIT_STOP ? 0 : exit;
    exit = ask_rm(call, false, &final);
    return exit ? exit : end_rm(call, final);
}

static int
run_unsubscribe(struct call *call)
{
    const char *token = call->args[0];
    const char *slash = strrchr(token, '/');
    struct ask ask;

    ask_begin(&ask, call);
    json_put_text(&ask.writer, "token", str_from(slash ? slash + 1 : token));
    json_put_bool(&ask.writer, "undo", call_has(call, "--undo"));
    return ask_do(&ask, "suppression.unsubscribe");
}

/* clang-format off */
static const struct flag add_flags[] = {
    { "--as", 0, FLAG_CHOICE, KINDS, false, "What kind of entry (manual)" },
    { "--account", 0, FLAG_TEXT, "ADDRESS", false, "Whose mail it binds: an account or sender, @DOMAIN, or all (all)" },
    { "--list", 0, FLAG_TEXT, "NAME", false, "For unsubscribe: the list that was left" },
    { "--for", 0, FLAG_DURATION, "TIME", false, "How long it stands; for ever when not given" },
    { 0 },
};
static const struct flag import_flags[] = {
    { "--as", 0, FLAG_CHOICE, KINDS, false, "What kind of entry, where the file does not say (manual)" },
    { "--account", 0, FLAG_TEXT, "ADDRESS", false, "Whose mail it binds, where the file does not say (all)" },
    { "--list", 0, FLAG_TEXT, "NAME", false, "The list that was left, where the file does not say" },
    { "--for", 0, FLAG_DURATION, "TIME", false, "How long they stand, where the file does not say (for ever)" },
    { 0 },
};
static const struct flag list_flags[] = {
    { "--max", 0, FLAG_NUMBER, "N", false, "At most so many (1000)" },
    { 0 },
};
static const struct flag unsubscribe_flags[] = {
    { "--undo", 0, FLAG_NONE, NULL, false, "Take back what the token did" },
    { 0 },
};
static const struct flag rm_flags[] = {
    { "--all", 0, FLAG_NONE, NULL, false, "Every entry that there is" },
    { 0 },
};

const struct command suppression_commands[] = {
    { .verb = "add", .args = "ADDRESS...", .args_min = 1, .args_max = 100, .flags = add_flags,
      .uses = USES_SERVER | USES_CHANGES | USES_REASON, .run = run_add,
      .summary = "Enter addresses, or @domains, to which nothing is sent",
      .text = "An entry binds mail that begins its way here. As manual it binds all mail; as bounce, mail to "
              "many and notices of programs; as complaint or unsubscribe, mail to many alone: what a person "
              "writes by hand goes out.",
      .examples = { "outpost suppression add bob@example.net --reason 'asked us by telephone'", "",
                    "outpost suppression add @example.net --account news@example.org --for 30d --reason 'their wish'",
                    "only what news@example.org sends" } },
    { .verb = "list", .args = "[WORD...]", .args_max = UINT_MAX, .uses = USES_SERVER | USES_LIST,
      .flags = list_flags, .summary = "List entries", .text = QUERY_TEXT, .run = run_list,
      .examples = { "outpost suppression list reason:complaint newer:7d", "",
                    "outpost suppression list domain:example.net account:news@example.org", "" } },
    { .verb = "show", .args = "ADDRESS", .args_min = 1, .args_max = 1, .uses = USES_SERVER | USES_LIST,
      .summary = "Show what is known of an address", .run = run_show,
      .text = "Also entries of its whole domain, and those that have ended.",
      .examples = { "outpost suppression show bob@example.net -o wide", "" } },
    { .verb = "rm", .args = "[WORD...]", .args_max = UINT_MAX, .flags = rm_flags,
      .uses = USES_SERVER | USES_DESTROYS, .summary = "Lift entries", .text = QUERY_TEXT, .run = run_rm,
      .examples = { "outpost suppression rm bob@example.net --reason 'mailbox is back'", "",
                    "outpost suppression rm reason:bounce domain:example.net --reason 'their server was broken'",
                    "counts, and asks" } },
    { .verb = "unsubscribe", .args = "TOKEN", .args_min = 1, .args_max = 1, .flags = unsubscribe_flags,
      .uses = USES_SERVER | USES_CHANGES, .run = run_unsubscribe,
      .summary = "Do what a link in List-Unsubscribe does",
      .text = "TOKEN is what follows in the link; the whole URL will do. With --dry-run it is only looked at.",
      .examples = { "outpost suppression unsubscribe https://mail.example.org/u/aeqg... --dry-run",
                    "whom it would concern" } },
    { .verb = "import", .args = "FILE", .args_min = 1, .args_max = 1, .flags = import_flags,
      .uses = USES_SERVER | USES_CHANGES | USES_REASON, .run = suppression_import,
      .summary = "Enter what is in a file: CSV, or a JSON object in each line",
      .text = "FILE - is the standard input. The first line of a CSV file may name its columns: address (or "
              "email, recipient), reason (or type), account, list, note (or error, description), created, "
              "expires; without such a line the first column is the address. Members of JSON objects have the "
              "same names. Times are RFC 3339, or seconds since 1970. Lines that are wrong are told and left out; "
              "the others are entered.",
      .examples = { "outpost suppression import bounces.csv --as bounce --for 90d --dry-run", "",
                    "outpost suppression import - --account news@example.org < left.jsonl", "" } },
    { .verb = "export", .args = "[WORD...]", .args_max = UINT_MAX, .uses = USES_SERVER | USES_LIST,
      .summary = "Print entries as CSV, or with --json as a JSON object in each line",
      .text = QUERY_TEXT, .run = suppression_export,
      .examples = { "outpost suppression export reason:unsubscribe > left.csv", "" } },
    { 0 },
};
/* clang-format on */
