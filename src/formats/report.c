/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* report.c: messages that came back.
 *
 * The message is taken apart into its MIME parts (report_parts.c).  Parts for programs are believed
 * first (report_fields.c); only where there are none are the words for humans read
 * (report_words.c), and those only when the header, the body and what is found in it agree that
 * this is a report: a letter about a bounce must never be one.  Last, the returned original says
 * which message it is about (report_original.c).  Start reading at report_read().
 */
#include "formats/report.h"

#include "formats/header.h"
#include "formats/report_fields.h"
#include "formats/report_original.h"
#include "formats/report_parts.h"
#include "formats/report_phrases.h"
#include "formats/report_text.h"
#include "formats/report_words.h"

enum {
    VALUE_MAX = 1000,
    TEXTS_MAX = 3,
    FOLDED_MAX = 4096
};

/* clang-format off */
static const char *const kind_names[] = {
    [REPORT_OTHER] = "other",
    [REPORT_FAILURE] = "failure",
    [REPORT_DELAY] = "delay",
    [REPORT_SUCCESS] = "success",
    [REPORT_FEEDBACK] = "feedback",
    [REPORT_AUTO_REPLY] = "auto-reply",
    [REPORT_CHALLENGE] = "challenge",
};

static const char *const form_names[] = {
    [REPORT_FORM_NONE] = "none",
    [REPORT_FORM_FIELDS] = "fields",
    [REPORT_FORM_WORDS] = "words",
    [REPORT_FORM_ARF] = "arf",
};

static const char *const action_names[] = {
    [REPORT_FAILED] = "failed",
    [REPORT_DELAYED] = "delayed",
    [REPORT_DELIVERED] = "delivered",
    [REPORT_RELAYED] = "relayed",
    [REPORT_EXPANDED] = "expanded",
};
/* clang-format on */

const char *
report_kind_name(enum report_kind kind)
{
    return kind_names[kind];
}

const char *
report_form_name(enum report_form form)
{
    return form_names[form];
}

const char *
report_action_name(enum report_action action)
{
    return action_names[action];
}

str
report_address(const struct report_recipient *recipient)
{
    if (str_find(recipient->original, '@') > 0 || recipient->final.len == 0)
        return recipient->original;
    return recipient->final;
}

/* The header of the report. */

static str
header_value(str section, const char *name)
{
    struct header_field field;

    return header_find(section, str_from(name), &field) ? str_head(field.value, VALUE_MAX) : S("");
}

static str
first_address(str section, const char *name)
{
    str address, rest;

    return report_address_in(header_value(section, name), &address, &rest) ? address : S("");
}

static enum err
read_header(str section, struct arena *arena, struct report *report)
{
    if (!report_decode_words(header_value(section, "Subject"), arena, &report->subject) ||
        !report_clean(first_address(section, "From"), REPORT_ADDRESS_MAX, arena, &report->from) ||
        !report_clean(first_address(section, "To"), REPORT_ADDRESS_MAX, arena, &report->to))
        return ERR_LIMIT;
    return OK;
}

/* Parts for programs. */

static bool
is_status(const struct report_part *part)
{
    return report_part_is(part, "message/delivery-status") ||
           report_part_is(part, "message/global-delivery-status");
}

static bool
is_original(const struct report_part *part)
{
    static const char *const types[] = {
        "message/rfc822",         "text/rfc822-headers",    "message/global", "text/rfc822-header",
        "message/global-headers", "message/rfc822-headers", "text/rfc822",
    };

    for (size_t i = 0; i < COUNT_OF(types); i++)
        if (report_part_is(part, types[i]))
            return true;
    return false;
}

/* Is the message a report by its type?  Gateways turn multipart/report into multipart/mixed, which
 * counts only when a mail system wrote it. */
static bool
may_have_fields(const struct report_parts *parts, const struct report *report)
{
    str local, domain;

    if (report_part_is(&parts->list[0], "multipart/report"))
        return true;
    (void)str_split(report->from, '@', &local, &domain);
    return report_is_daemon(local) || report->from.len == 0;
}

static enum err
read_fields(const struct report_parts *parts, struct arena *arena, struct report *report)
{
    for (size_t i = 0; i < parts->count; i++) {
        const struct report_part *part = &parts->list[i];
        bool arf = report_part_is(part, "message/feedback-report");
        enum err e;
        str body;

        if (!arf && !is_status(part))
            continue;
        e = report_part_decode(part, arena, &body);
        if (!e && arf)
            e = report_read_feedback(body, arena, report);
        else if (!e)
            e = report_read_status(body, arena, report);
        if (e)
            return e;
        if (report->form == REPORT_FORM_NONE)
            report->form = arf ? REPORT_FORM_ARF : REPORT_FORM_FIELDS;
    }
    return OK;
}

/* Microsoft's complaints are older than ARF: nothing but the message, and in its header who got it.
 */
static enum err
read_complaint(const struct report_parts *parts, struct arena *arena, struct report *report)
{
    struct report_recipient recipient = { .action = REPORT_DELIVERED };
    str address, rest, body;
    enum err e;

    if (parts->count < 2 || !is_original(&parts->list[1]))
        return OK;
    e = report_part_decode(&parts->list[1], arena, &body);
    if (e || !report_address_in(header_value(body, "X-HmXmrOriginalRecipient"), &address, &rest))
        return e;
    if (!report_clean(address, REPORT_ADDRESS_MAX, arena, &recipient.final))
        return ERR_LIMIT;
    report->form = REPORT_FORM_ARF;
    report->feedback.type = S("abuse");
    report->feedback.rcpt_to = recipient.final;
    report->feedback.incidents = 1;
    return report_add_recipient(report, &recipient, arena);
}

/* The worst that happened to anybody. */
static enum report_kind
kind_of_recipients(const struct report *report)
{
    enum report_kind kind = REPORT_OTHER;

    for (const struct report_recipient *r = report->recipients; r; r = r->next) {
        if (r->action == REPORT_FAILED)
            return REPORT_FAILURE;
        if (r->action == REPORT_DELAYED)
            kind = REPORT_DELAY;
        else if (kind == REPORT_OTHER)
            kind = REPORT_SUCCESS;
    }
    return kind;
}

/* The original. */

static enum err
read_originals(const struct report_parts *parts, struct arena *arena, struct report *report)
{
    for (size_t i = 1; i < parts->count; i++) {
        enum err e;
        str body;

        if (!is_original(&parts->list[i]))
            continue;
        e = report_part_decode(&parts->list[i], arena, &body);
        return e ? e : report_read_original(body, arena, report);
    }
    return OK;
}

/* A report that returns nothing may answer the original all the same. */
static void
read_references(str section, struct report *report)
{
    str id;

    if (!report->message_id.len && report_message_id(header_value(section, "In-Reply-To"), &id))
        report->message_id = id;
    if (!report->message_id.len && report_message_id(header_value(section, "References"), &id))
        report->message_id = id;
}

/* Plain words. */

static bool
has_field(str section, const char *name)
{
    struct header_field field;

    return header_find(section, str_from(name), &field);
}

static bool
is_answer(str subject)
{
    static const char *const marks[] = { "re:", "fwd:",  "fw:", "aw:", "wg:",  "tr:",  "rv:", "sv:",
                                         "vs:", "antw:", "i:",  "r:",  "odp:", "res:", "enc:" };

    for (size_t i = 0; i < COUNT_OF(marks); i++)
        if (str_starts_nocase(subject, str_from(marks[i])))
            return true;
    return false;
}

static bool
returns_original(const struct report_parts *parts)
{
    for (size_t i = 1; i < parts->count; i++)
        if (is_original(&parts->list[i]))
            return true;
    return false;
}

/* How far the header speaks for a report. */
static struct report_letter
letter_of(const struct report_parts *parts, const struct report *report)
{
    str header = parts->list[0].header, local, domain;
    str path = header_value(header, "Return-Path");

    (void)str_split(report->from, '@', &local, &domain);
    return (struct report_letter){
        .parts = parts,
        .from_daemon = has_field(header, "From") ? report->from.len == 0 || report_is_daemon(local)
                                                 : str_starts(path, S("<>")),
        .has_null_path = str_starts(path, S("<>")),
        .is_list = has_field(header, "List-Id") || has_field(header, "List-Post") ||
                   has_field(header, "List-Unsubscribe") ||
                   str_eq_nocase(header_value(header, "Precedence"), S("list")),
        .is_answer = is_answer(report->subject),
        .returns_original = returns_original(parts),
        .failed_field = header_value(header, "X-Failed-Recipients"),
    };
}

static enum err
read_words(const struct report_parts *parts, struct arena *arena, struct report *report)
{
    struct report_letter letter = letter_of(parts, report);
    enum err e;

    for (size_t i = 0; i < TEXTS_MAX && !report->recipients; i++) {
        str text, original;

        e = report_visible_text(parts, i, arena, &text);
        if (e)
            return e;
        if (text.len == 0)
            break;
        e = report_read_words(&letter, text, arena, report, &original);
        if (!e && report->recipients && !letter.returns_original)
            e = report_find_original(original.len ? original : text, arena, report);
        if (e)
            return e;
    }
    if (report->recipients)
        report->form = REPORT_FORM_WORDS;
    return OK;
}

static bool
lacks_words(const struct report *report)
{
    for (const struct report_recipient *r = report->recipients; r; r = r->next)
        if (!r->code && !r->text.len && r->action != REPORT_DELIVERED)
            return true;
    return false;
}

/* What WORDS say of the same recipient, where the fields are silent. */
static void
learn_words(struct report_recipient *r, const struct report_recipient *words)
{
    for (; words; words = words->next) {
        if (!str_eq_nocase(words->final, r->final) && !str_eq_nocase(words->final, r->original))
            continue;
        r->code = words->code;
        r->text = words->text;
        if (!r->remote.len)
            r->remote = words->remote;
        if (words->status.len && (!r->status.len || (str_eq(str_skip(r->status, 1), S(".0.0")) &&
                                                     words->status.ptr[0] == r->status.ptr[0])))
            r->status = words->status;
        return;
    }
}

/* Fields without a diagnostic, as OpenSMTPD writes them: people are told the reason all the same.
 */
static enum err
complete_from_words(const struct report_parts *parts, struct arena *arena, struct report *report)
{
    struct report words = { .subject = report->subject, .from = report->from, .to = report->to };
    enum err e;

    if (!lacks_words(report))
        return OK;
    e = read_words(parts, arena, &words);
    if (e)
        return e;
    for (struct report_recipient *r = report->recipients; r; r = r->next)
        if (!r->code && !r->text.len)
            learn_words(r, words.recipients);
    return OK;
}

/* Answers of programs that are no reports. */

static bool
is_automatic(str header)
{
    str submitted = header_value(header, "Auto-Submitted");
    str precedence = header_value(header, "Precedence");

    return (submitted.len && !str_starts_nocase(submitted, S("no"))) ||
           str_starts(header_value(header, "Return-Path"), S("<>")) ||
           has_field(header, "X-Autoreply") || has_field(header, "X-Autorespond") ||
           has_field(header, "X-Autogenerated") || has_field(header, "X-Auto-Response-Suppress") ||
           str_starts_nocase(precedence, S("auto")) || str_eq_nocase(precedence, S("bulk")) ||
           str_eq_nocase(precedence, S("junk"));
}

static enum err
read_automatic(const struct report_parts *parts, struct arena *arena, struct report *report)
{
    str header = parts->list[0].header, text, folded;
    bool automatic = is_automatic(header);
    char *room = arena_alloc(arena, FOLDED_MAX);
    enum err e;

    if (!room)
        return ERR_LIMIT;
    e = report_visible_text(parts, 0, arena, &text);
    if (e)
        return e;
    folded = report_fold(report->subject, room, FOLDED_MAX - 1);
    room[folded.len] = ' ';
    folded.len += 1 + report_fold(text, room + folded.len + 1, FOLDED_MAX - folded.len - 1).len;
    if (letter_of(parts, report).is_list)
        return OK;
    if (automatic && report_body_says(folded, REPORT_SAYS_CHALLENGE))
        report->kind = REPORT_CHALLENGE;
    else if (str_starts_nocase(header_value(header, "Auto-Submitted"), S("auto-replied")) ||
             str_eq_nocase(report_part_param(&parts->list[0], "report-type"),
                           S("disposition-notification")) ||
             ((automatic || has_field(header, "In-Reply-To")) &&
              report_says_auto_reply(report->subject)) ||
             has_field(header, "X-Autoreply") || has_field(header, "X-Autorespond"))
        report->kind = REPORT_AUTO_REPLY;
    return OK;
}

/* Nobody is named: no report, whatever its type says. */
static enum err
read_nobody(const struct report_parts *parts, struct arena *arena, struct report *report)
{
    report->form = REPORT_FORM_NONE;
    return read_automatic(parts, arena, report);
}

/* The story. */

static enum err
classify(const struct report_parts *parts, struct arena *arena, struct report *report)
{
    enum err e = OK;

    if (may_have_fields(parts, report))
        e = read_fields(parts, arena, report);
    if (!e && report->form == REPORT_FORM_NONE && report_is_complaint(report->subject))
        e = read_complaint(parts, arena, report);
    if (!e && report->form != REPORT_FORM_ARF)
        e = report->recipients ? complete_from_words(parts, arena, report)
                               : read_words(parts, arena, report);
    if (e)
        return e;
    if (report->form == REPORT_FORM_ARF)
        report->kind = REPORT_FEEDBACK;
    else if (report->recipients)
        report->kind = kind_of_recipients(report);
    else
        return read_nobody(parts, arena, report);
    return OK;
}

enum err
report_read(str message, struct arena *arena, struct report *report)
{
    struct report result = { .is_cut = message.len > REPORT_LOOKED_AT };
    struct report_parts *parts;
    enum err e;

    e = report_parts_read(str_head(message, REPORT_LOOKED_AT), arena, &parts);
    if (e)
        return e;
    result.is_cut |= parts->is_cut;
    e = read_header(parts->list[0].header, arena, &result);
    if (!e)
        e = classify(parts, arena, &result);
    if (!e && result.kind != REPORT_OTHER)
        e = read_originals(parts, arena, &result);
    if (e)
        return e;
    if (result.kind != REPORT_OTHER)
        read_references(parts->list[0].header, &result);
    *report = result;
    return OK;
}
