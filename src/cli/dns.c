/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* dns.c: `outpost dns`: the records that a domain needs, as a zone file or as rows, and the policy
 * of MTA-STS.  Works with the server stopped as well; the DNS is not asked then. */
#include "cli/ask.h"
#include "cli/nouns.h"

enum {
    ZONE_TEXT_PART = 255, /* RFC 1035 3.3: of one <character-string>. */
    ZONE_ESCAPED_MAX = 4
};

static const struct column record_columns[] = {
    { "name", NULL, COLUMN_ID, false },        { "type", NULL, COLUMN_TEXT, false },
    { "now", "IN THE DNS", COLUMN_STATE, false }, { "value", NULL, COLUMN_ID, false },
    { "other", "THERE INSTEAD", COLUMN_TEXT, true }, { "what", "WHAT FOR", COLUMN_TEXT, true },
    { NULL, NULL, COLUMN_TEXT, false },
};

static const struct column check_columns[] = {
    { "now", "IN THE DNS", COLUMN_STATE, false },
    { "type", NULL, COLUMN_TEXT, false },
    { "name", NULL, COLUMN_ID, false },
    { "what", "WHAT FOR", COLUMN_TEXT, false },
    { "other", "THERE INSTEAD", COLUMN_TEXT, true },
    { NULL, NULL, COLUMN_TEXT, false },
};

/* RFC 1035 5.1: what is not printable, a quote and a backslash are escaped. */
static void
put_quoted(FILE *file, str text)
{
    for (size_t at = 0; at == 0 || at < text.len; at += ZONE_TEXT_PART) {
        str part = str_head(str_skip(text, at), ZONE_TEXT_PART);
        fputs(at ? " \"" : "\"", file);
        for (size_t i = 0; i < part.len; i++) {
            unsigned char c = (unsigned char)part.ptr[i];
            if (c < ' ' || c > '~')
                fprintf(file, "\\%03u", c);
            else
                fprintf(file, "%s%c", c == '"' || c == '\\' ? "\\" : "", c);
        }
        fputs("\"", file);
    }
}

/* A comment must stay on its line, whatever the DNS has said. */
static void
put_comment(FILE *file, const char *front, str text)
{
    fprintf(file, "; %s", front);
    for (size_t i = 0; i < text.len; i++)
        fputc(text.ptr[i] < ' ' || text.ptr[i] == 0x7f ? '?' : text.ptr[i], file);
    fputc('\n', file);
}

static void
print_record(void *arg, const struct json *row)
{
    struct output *out = arg;
    FILE *file = out->file;
    str name = json_get_text(row, "name");
    str type = json_get_text(row, "type");
    str value = json_get_text(row, "value");
    str now = json_get_text(row, "now");

    put_comment(file, "", json_get_text(row, "what"));
    if (str_eq(now, S("other")))
        put_comment(file, "the DNS says instead: ", json_get_text(row, "other"));
    else if (now.len)
        put_comment(file, "in the DNS: ", now);
    if (json_get_bool(row, "needs_dnssec") && now.len && !json_get_bool(row, "dnssec"))
        put_comment(file, "", S("no answer signed by DNSSEC was seen: others will not look at it"));
    if (!value.len)
        fputs("; ", file);
    fprintf(file, "%.*s.%*s %-5.*s ", STR_ARG(name), name.len < 39 ? (int)(39 - name.len) : 0, "",
            STR_ARG(type));
    if (str_eq(type, S("TXT")))
        put_quoted(file, value);
    else
        fprintf(file, "%.*s", STR_ARG(value.len ? value : S("...")));
    fputs("\n\n", file);
}

static void
begin(struct ask *ask, struct call *call)
{
    ask_begin(ask, call);
    json_put_text(&ask->writer, "domain", str_from(call->args[0]));
    if (call_text(call, "--mode"))
        json_put_text(&ask->writer, "mode", str_from(call_text(call, "--mode")));
}

static int
run_records(struct call *call)
{
    struct ask ask;
    int exit;

    begin(&ask, call);
    if (call_has(call, "--no-dns"))
        json_put_bool(&ask.writer, "offline", true);
    if (call->out->format != OUTPUT_TABLE)
        return ask_list(&ask, "dns.records", "outpost.dns.record/1", record_columns, "no records");
    exit = control_ask(call, "dns.records", ask_text(&ask), print_record, call->out, NULL);
    ask_done(&ask);
    return exit;
}

struct check {
    struct output *out;
    bool bad;
};

static void
check_record(void *arg, const struct json *row)
{
    struct check *check = arg;

    check->bad = check->bad || !str_eq(json_get_text(row, "now"), S("seen"));
    output_row(check->out, row);
}

static int
run_check(struct call *call)
{
    struct check check = { .out = call->out };
    struct ask ask;
    int exit;

    begin(&ask, call);
    output_list(call->out, "outpost.dns.record/1", check_columns);
    exit = control_ask(call, "dns.records", ask_text(&ask), check_record, &check, NULL);
    output_list_end(call->out, NULL);
    ask_done(&ask);
    return exit ? exit : check.bad ? EXIT_NO : EXIT_OK;
}

static int
run_sts_policy(struct call *call)
{
    const struct json *final = NULL, *document;
    struct ask ask;
    int exit;
    str text;

    begin(&ask, call);
    exit = control_ask(call, "dns.sts_policy", ask_text(&ask), NULL, NULL, &final);
    ask_done(&ask);
    if (exit)
        return exit;
    document = json_get(final, "document");
    text = json_get_text(document, "policy");
    if (call->out->format == OUTPUT_JSON)
        output_document(call->out, "outpost.dns.sts_policy/1", NULL, document);
    else
        fwrite(text.ptr, 1, text.len, call->out->file);
    return EXIT_OK;
}

#define MODE_FLAG                                                                                  \
    { "--mode", 0, FLAG_CHOICE, "testing|enforce|none", false,                                     \
      "What the MTA-STS policy asks of senders; testing when not given" }

static const struct flag records_flags[] = {
    { "--no-dns", 0, FLAG_NONE, NULL, false, "Do not ask the DNS whether the records are there" },
    MODE_FLAG,
    { 0 },
};

static const struct flag mode_flags[] = { MODE_FLAG, { 0 } };

/* clang-format off */
const struct command dns_commands[] = {
    { .verb = "records", .args = "DOMAIN", .args_min = 1, .args_max = 1, .uses = USES_SERVER | USES_LIST,
      .flags = records_flags,
      .summary = "Print every record that a domain needs, and whether it is there",
      .text = "As a piece of a zone file, with what each is for; -o wide, tsv and --json give rows. The "
              "records come from the configuration (listen, delivery, source, tls), the keys of outpost "
              "dkim, and the certificate.",
      .run = run_records,
      .examples = { "outpost dns records example.org", "", "outpost dns records example.org --no-dns", "as text only",
                    "outpost dns records example.org --mode enforce",
                    "when reports have shown that testing goes well" } },
    { .verb = "check", .args = "DOMAIN", .args_min = 1, .args_max = 1, .uses = USES_SERVER | USES_LIST,
      .flags = mode_flags,
      .summary = "Say which of the records of a domain are there; exit code 1 when one is not",
      .text = "A record for the same purpose that says something else is shown as other: that may be as you "
              "want it, for example p=reject where we propose p=none.",
      .run = run_check, .examples = { "outpost dns check example.org", "" } },
    { .verb = "sts-policy", .args = "DOMAIN", .args_min = 1, .args_max = 1, .uses = USES_SERVER,
      .flags = mode_flags,
      .summary = "Print the MTA-STS policy of a domain, the file for its web server",
      .text = "It belongs at https://mta-sts.DOMAIN/.well-known/mta-sts.txt. The id of the record _mta-sts "
              "changes with it: publish the file first.",
      .run = run_sts_policy, .examples = { "outpost dns sts-policy example.org > mta-sts.txt", "" } },
    { 0 },
};
/* clang-format on */
