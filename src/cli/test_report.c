/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* test_report.c: `outpost test report`: what a message that came back says, and what we make of it.
 *
 * No server is needed: the file is read here, by the same function that reads what comes to a
 * return path.  Start reading at report_test().
 */
#include "cli/exit.h"
#include "cli/nouns.h"

#include "formats/date.h"
#include "formats/enhanced.h"
#include "formats/report.h"

#include <errno.h>
#include <string.h>

enum {
    DOCUMENT_MAX = 4 * 1024 * 1024,
    LINE_MAX_BYTES = 4096,
};

/* --- For programs. */

static void
put_recipient(struct json_writer *w, const struct report_recipient *r)
{
    json_begin_object(w, NULL);
    json_put_text(w, "address", report_address(r));
    json_put_text(w, "original", r->original);
    json_put_text(w, "final", r->final);
    json_put_text(w, "action", str_from(report_action_name(r->action)));
    json_put_text(w, "status", r->status);
    json_put_int(w, "code", r->code);
    json_put_text(w, "text", r->text);
    json_put_text(w, "remote", r->remote);
    json_end_object(w);
}

static void
put_feedback(struct json_writer *w, const struct report_feedback *f)
{
    char ip[IPADDR_TEXT_MAX];

    json_begin_object(w, "feedback");
    json_put_text(w, "type", f->type);
    json_put_text(w, "mail_from", f->mail_from);
    json_put_text(w, "user_agent", f->user_agent);
    json_put_text(w, "reported_domain", f->reported_domain);
    if (f->has_source_ip) {
        ipaddr_format(f->source_ip, ip);
        json_put_text(w, "source_ip", str_from(ip));
    }
    if (f->arrived_at)
        json_put_time(w, "arrived_at", f->arrived_at);
    json_put_int(w, "incidents", (int64_t)MIN(f->incidents, (uint64_t)INT64_MAX));
    json_end_object(w);
}

static void
print_json(struct call *call, const struct report *report)
{
    struct json_writer w;
    struct buf document;

    buf_init(&document, DOCUMENT_MAX);
    json_writer_init(&w, &document);
    json_begin_object(&w, NULL);
    json_put_text(&w, "kind", str_from(report_kind_name(report->kind)));
    json_put_text(&w, "form", str_from(report_form_name(report->form)));
    json_begin_array(&w, "recipients");
    for (const struct report_recipient *r = report->recipients; r; r = r->next)
        put_recipient(&w, r);
    json_end_array(&w);
    json_put_text(&w, "message_id", report->message_id);
    json_put_text(&w, "envelope_id", report->envid);
    json_put_text(&w, "return_path", report->return_path);
    json_put_text(&w, "original_to", report->original_to);
    json_put_text(&w, "original_subject", report->original_subject);
    json_begin_array(&w, "ids");
    for (size_t i = 0; i < report->id_count; i++)
        json_put_text(&w, NULL, report->ids[i]);
    json_end_array(&w);
    json_put_text(&w, "reporting_mta", report->reporting_mta);
    if (report->kind == REPORT_FEEDBACK)
        put_feedback(&w, &report->feedback);
    json_put_bool(&w, "cut", report->is_cut);
    json_end_object(&w);
    output_document_text(call->out, "outpost.report/1", NULL, buf_str(&document));
    buf_done(&document);
}

/* --- In words. */

static const char *
kind_in_words(const struct report *report)
{
    switch (report->kind) {
    case REPORT_FAILURE:
        return "a report of a failure";
    case REPORT_DELAY:
        return "a report of a delay; it is being tried still";
    case REPORT_SUCCESS:
        return "a report of success";
    case REPORT_FEEDBACK:
        return "a complaint, or another feedback report";
    case REPORT_AUTO_REPLY:
        return "the answer of a program, such as out of office; nobody failed";
    case REPORT_CHALLENGE:
        return "a challenge: somebody has to confirm before it is delivered";
    case REPORT_OTHER:
        break;
    }
    return "no report";
}

static const char *
form_in_words(enum report_form form)
{
    switch (form) {
    case REPORT_FORM_FIELDS:
        return "fields for programs (RFC 3464)";
    case REPORT_FORM_WORDS:
        return "plain words";
    case REPORT_FORM_ARF:
        return "fields for programs (RFC 5965)";
    case REPORT_FORM_NONE:
        break;
    }
    return "none";
}

/* What a stranger wrote does not steer the terminal. */
static void
say(struct call *call, const char *name, str value)
{
    struct buf line;

    if (value.len == 0 || call->out->quiet)
        return;
    buf_init(&line, LINE_MAX_BYTES);
    buf_addf(&line, "%-11s", name);
    buf_add(&line, value);
    output_paragraph(call->out, 0, false, buf_str(&line));
    buf_done(&line);
}

static void
say_recipient(struct call *call, const struct report_recipient *r)
{
    struct enhanced code;
    struct buf line;

    buf_init(&line, LINE_MAX_BYTES);
    buf_add(&line, report_address(r));
    if (r->final.len && !str_eq_nocase(r->final, report_address(r)))
        buf_addf(&line, " (led to %.*s)", STR_ARG(r->final));
    buf_addf(&line, ": %s", report_action_name(r->action));
    if (enhanced_parse(r->status, &code, NULL))
        buf_addf(&line, ", %.*s: %s", STR_ARG(r->status), enhanced_meaning_said(&code, r->text));
    say(call, "recipient", buf_str(&line));
    buf_clear(&line);
    if (r->remote.len)
        buf_addf(&line, "%.*s: ", STR_ARG(r->remote));
    if (r->code)
        buf_addf(&line, "%u ", r->code);
    buf_add(&line, r->text);
    say(call, "said", buf_str(&line));
    buf_done(&line);
}

static void
print_words(struct call *call, const struct report *report)
{
    say(call, "kind", str_from(kind_in_words(report)));
    say(call, "told by", report->form ? str_from(form_in_words(report->form)) : S(""));
    for (const struct report_recipient *r = report->recipients; r; r = r->next)
        say_recipient(call, r);
    say(call, "feedback", report->feedback.type);
    say(call, "message", report->message_id);
    say(call, "envelope", report->envid);
    say(call, "sender", report->return_path);
    say(call, "subject", report->original_subject);
    for (size_t i = 0; i < report->id_count; i++)
        say(call, "id", report->ids[i]);
    say(call, "reporter", report->reporting_mta.len ? report->reporting_mta : report->from);
    if (report->is_cut)
        say(call, "cut", S("there was more than is looked at"));
}

/* --- The file. */

static int
read_bytes(struct call *call, const char *path, struct buf *text)
{
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
    size_t got = 1;
    int exit = 0;

    if (!file)
        return call_fail(call, EXIT_NOINPUT, "file", "name a file that can be read, or - for stdin",
                         "cannot read %s: %s", path, strerror(errno));
    while (got > 0 && text->len < REPORT_LOOKED_AT + 1) {
        char *room = buf_reserve(text, 65536);

        got = room ? fread(room, 1, 65536, file) : 0;
        buf_claim(text, got);
    }
    if (ferror(file)) /* Such as a folder. */
        exit = call_fail(call, EXIT_NOINPUT, "file", "name a file that can be read, or - for stdin",
                         "cannot read %s: %s", path, strerror(errno));
    if (file != stdin)
        fclose(file);
    return exit;
}

int
report_test(struct call *call)
{
    struct report report = {};
    struct arena arena;
    struct buf text;
    int exit;

    buf_init(&text, REPORT_LOOKED_AT + 2 * 65536);
    arena_init(&arena, REPORT_ARENA);
    exit = read_bytes(call, call->args[0], &text);
    if (!exit && report_read(buf_str(&text), &arena, &report))
        exit = call_fail(call, EXIT_INTERNAL, "memory", "tell us",
                         "the message takes too much memory");
    if (!exit && call->out->format == OUTPUT_JSON)
        print_json(call, &report);
    else if (!exit)
        print_words(call, &report);
    arena_done(&arena);
    buf_done(&text);
    return exit ? exit : report.kind == REPORT_OTHER ? EXIT_NO : EXIT_OK;
}
