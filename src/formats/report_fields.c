/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* report_fields.c: fields for programs, as real servers write them.
 *
 * By the letter there is one group of fields for the message, then one for each recipient, with
 * empty lines between.  Real reports lack the empty line, have more of them, put angle brackets and
 * comments around addresses, and leave out the action or the status; so fields are collected until
 * something shows that the next recipient begins.  Start reading at report_read_status().
 */
#include "formats/report_fields.h"

#include "formats/date.h"
#include "formats/header.h"
#include "formats/report_phrases.h"
#include "formats/report_text.h"
#include "formats/xtext.h"

#include <string.h>

enum {
    ENVID_TEXT_MAX = 300,
    NAME_MAX_SHOWN = 255
};

/* The second word about somebody counts where the first said nothing. */
static void
complete(struct report_recipient *known, const struct report_recipient *more)
{
    if (known->code || known->status.len || known->action != more->action)
        return;
    known->code = more->code;
    known->status = more->status;
    if (more->text.len)
        known->text = more->text;
    if (!known->remote.len)
        known->remote = more->remote;
}

enum err
report_add_recipient(struct report *report, const struct report_recipient *recipient,
                     struct arena *arena)
{
    struct report_recipient **end = &report->recipients, *copy;
    str address = report_address(recipient);

    for (; *end; end = &(*end)->next) {
        if (str_eq_nocase(report_address(*end), address)) {
            complete(*end, recipient);
            return OK;
        }
    }
    if (report->recipient_count == REPORT_RECIPIENTS_MAX) {
        report->is_cut = true;
        return OK;
    }
    copy = arena_new(arena, struct report_recipient);
    if (!copy)
        return ERR_LIMIT;
    *copy = *recipient;
    copy->next = NULL;
    *end = copy;
    report->recipient_count++;
    return OK;
}

/* Addresses. */

/* "+2B" and "+3D" are what an encoder writes; "+42" would be a "B" that needs no code, so that it
 * is the tag of somebody's address. */
static bool
is_encoded(str text)
{
    bool any = false;

    for (size_t i = 0; i < text.len; i++) {
        int high, low, byte;

        if (text.ptr[i] != '+')
            continue;
        high = i + 2 < text.len ? ascii_hex(text.ptr[i + 1]) : -1;
        low = i + 2 < text.len ? ascii_hex(text.ptr[i + 2]) : -1;
        byte = high * 16 + low;
        if (high < 0 || low < 0 || (byte != '+' && byte != '=' && byte != ' '))
            return false;
        any = true;
    }
    return any;
}

/* "rfc822; ann@example.org", decoded.  False past the arena's ceiling. */
static bool
read_address(str value, struct arena *arena, str *type, str *address)
{
    str text = report_typed_value(value, type), decoded, kind, coded;

    if (str_eq_nocase(*type, S("utf-8")) && str_find_str(value, S("\\x{")) >= 0) {
        if (!arena_printf(
                arena, &coded, "utf-8;%.*s",
                STR_ARG(str_head(str_trim(str_skip(str_trim(value), type->len + 1)), 490))))
            return false;
        if (!orcpt_parse(coded, arena, &kind, &decoded))
            text = decoded;
    } else if (is_encoded(text) && !xtext_decode(text, arena, &decoded)) {
        text = decoded;
    }
    return report_clean(text, REPORT_ADDRESS_MAX, arena, address) &&
           report_clean(str_head(*type, 20), 20, arena, type);
}

/* Groups. */

struct group {
    struct report_recipient recipient;
    str action;
    str actual; /* X-Actual-Recipient */
    bool has_recipient;
    bool has_action;
    bool has_diagnostic;
};

/* The longest front of it that is a word. */
static str
first_word(str value)
{
    size_t size = 0;

    while (size < value.len && (ascii_is_alpha(value.ptr[size]) || value.ptr[size] == '-'))
        size++;
    return str_head(value, size);
}

struct action_word {
    const char *word;
    enum report_action action;
};

/* clang-format off */
static const struct action_word action_words[] = {
    { "failed", REPORT_FAILED }, { "failure", REPORT_FAILED }, { "fail", REPORT_FAILED },
    { "error", REPORT_FAILED }, { "expired", REPORT_FAILED }, { "undeliverable", REPORT_FAILED },
    { "bounced", REPORT_FAILED }, { "rejected", REPORT_FAILED },
    { "delayed", REPORT_DELAYED }, { "delay", REPORT_DELAYED }, { "deferred", REPORT_DELAYED },
    { "transient", REPORT_DELAYED },
    { "delivered", REPORT_DELIVERED }, { "deliverable", REPORT_DELIVERED },
    { "success", REPORT_DELIVERED }, { "sent", REPORT_DELIVERED },
    { "relayed", REPORT_RELAYED }, { "expanded", REPORT_EXPANDED },
};
/* clang-format on */

/* What became of it, said or concluded; false: nothing tells. */
static bool
find_action(const struct group *group, const struct report *report, enum report_action *action)
{
    str word = first_word(group->action);
    char class = group->recipient.status.len ? group->recipient.status.ptr[0] : 0;

    for (size_t i = 0; i < COUNT_OF(action_words); i++) {
        if (str_eq_nocase(word, str_from(action_words[i].word))) {
            *action = action_words[i].action;
            return true;
        }
    }
    if (!class && group->recipient.code)
        class = (char)('0' + group->recipient.code / 100);
    if (class == '5')
        *action = REPORT_FAILED;
    else if (class == '2')
        *action = REPORT_DELIVERED;
    else if (class == '4')
        *action = report_says_failure(report->subject) ? REPORT_FAILED : REPORT_DELAYED;
    else if (report_says_failure(report->subject))
        *action = REPORT_FAILED;
    else
        return false;
    return true;
}

/* "5.0.0" says nothing that "550 5.1.1" in the diagnostic does not say better. */
static void
choose_status(struct report_recipient *r, str diagnostic)
{
    str better = report_find_status(diagnostic);

    if (r->status.len == 0)
        r->status = better;
    else if (str_eq(str_skip(r->status, 1), S(".0.0")) && better.len &&
             better.ptr[0] == r->status.ptr[0])
        r->status = better;
}

/* The group is complete. */
static enum err
end_group(struct group *group, struct report *report, struct arena *arena)
{
    struct group done = *group;

    memset(group, 0, sizeof(*group));
    if (!done.has_recipient && done.actual.len) {
        done.recipient.final = done.actual;
        done.has_recipient = true;
    }
    if (!done.has_recipient || report_address(&done.recipient).len == 0)
        return OK;
    if (!find_action(&done, report, &done.recipient.action))
        return OK;
    return report_add_recipient(report, &done.recipient, arena);
}

static bool
read_diagnostic(struct group *group, str value, struct arena *arena)
{
    struct report_recipient *r = &group->recipient;
    str type, text, line;

    if (!str_split(value, ';', &type, &text) || type.len > 30)
        text = value;
    if (!report_decode_words(text, arena, &line))
        return false;
    if (!r->code)
        r->code = report_find_code(str_head(line, 200));
    choose_status(r, str_head(line, 200));
    r->text = str_head(report_without_code(line), REPORT_TEXT_MAX);
    group->has_diagnostic = true;
    return report_clean(r->text, REPORT_TEXT_MAX, arena, &r->text);
}

/* The next recipient has begun where a field comes a second time. */
static bool
begins_another(const struct group *group, const struct header_field *field)
{
    if (header_is(field, S("Final-Recipient")))
        return group->recipient.final.len > 0;
    if (header_is(field, S("Original-Recipient")))
        return group->recipient.original.len > 0;
    return header_is(field, S("Action")) && group->has_action && group->has_recipient;
}

static bool
read_host(str value, struct arena *arena, str *host)
{
    str type, rest, line = value;

    if (str_split(value, ';', &type, &rest) && type.len < 20)
        line = str_trim(rest);
    if (!report_clean(line, NAME_MAX_SHOWN, arena, &line))
        return false;
    (void)str_split(line, ' ', host, &rest);
    return true;
}

/* False past the arena's ceiling. */
static bool
read_recipient_field(struct group *group, const struct header_field *field, struct arena *arena)
{
    struct report_recipient *r = &group->recipient;
    str type = {};

    if (header_is(field, S("Final-Recipient"))) {
        group->has_recipient = true;
        return read_address(field->value, arena, &type, &r->final);
    }
    if (header_is(field, S("Original-Recipient"))) {
        group->has_recipient = true;
        return read_address(field->value, arena, &r->original_type, &r->original);
    }
    if (header_is(field, S("X-Actual-Recipient")))
        return read_address(field->value, arena, &type, &group->actual);
    if (header_is(field, S("Action"))) {
        group->has_action = true;
        group->action = field->value;
    } else if (header_is(field, S("Status"))) {
        r->status = report_find_status(str_head(field->value, 100));
    } else if (header_is(field, S("Diagnostic-Code"))) {
        return read_diagnostic(group, field->value, arena);
    } else if (header_is(field, S("Remote-MTA"))) {
        return read_host(field->value, arena, &r->remote);
    }
    return true;
}

static bool
read_message_field(struct report *report, const struct header_field *field, struct arena *arena)
{
    if (header_is(field, S("Original-Envelope-Id"))) {
        str decoded;

        if (is_encoded(field->value) && !xtext_decode(field->value, arena, &decoded))
            return report_clean(decoded, ENVID_TEXT_MAX, arena, &report->envid);
        return report_clean(field->value, ENVID_TEXT_MAX, arena, &report->envid);
    }
    if (header_is(field, S("Reporting-MTA")) && !report->reporting_mta.len)
        return read_host(field->value, arena, &report->reporting_mta);
    if (header_is(field, S("X-Original-Message-ID")) && !report->message_id.len)
        return report_clean(field->value, NAME_MAX_SHOWN, arena, &report->message_id);
    return true;
}

/* An empty line by mistake: what follows has no recipient, and goes to the one before. */
static void
give_to_last(struct group *group, struct report *report)
{
    struct report_recipient *last = report->recipients;

    if (group->has_recipient || group->actual.len || !last || !group->has_diagnostic)
        return;
    while (last->next)
        last = last->next;
    if (last->text.len)
        return;
    last->text = group->recipient.text;
    last->code = group->recipient.code;
    choose_status(last, group->recipient.status);
}

enum err
report_read_status(str body, struct arena *arena, struct report *report)
{
    struct group group = {};
    struct header_field field;
    enum err e;
    str line;

    while (body.len) {
        while (header_next(&body, &field)) {
            if (begins_another(&group, &field)) {
                e = end_group(&group, report, arena);
                if (e)
                    return e;
            }
            if (!read_recipient_field(&group, &field, arena) ||
                !read_message_field(report, &field, arena))
                return ERR_LIMIT;
        }
        give_to_last(&group, report);
        e = end_group(&group, report, arena);
        if (e)
            return e;
        (void)report_next_line(&body, &line);
    }
    return OK;
}

/* Complaints. */

static bool
read_lower(str value, struct arena *arena, str *text)
{
    char room[100];

    return report_clean(report_fold(str_trim(value), room, sizeof(room)), sizeof(room), arena,
                        text);
}

static str
bare_address(str value)
{
    str address, rest;

    return report_address_in(value, &address, &rest) || report_address_at(value, &address, &rest)
               ? address
               : S("");
}

static enum err
add_complainer(struct report *report, str value, struct arena *arena)
{
    struct report_recipient recipient = { .action = REPORT_DELIVERED };
    str address = bare_address(value);

    if (address.len == 0)
        return OK;
    if (!report_clean(address, REPORT_ADDRESS_MAX, arena, &recipient.final))
        return ERR_LIMIT;
    if (report->feedback.rcpt_to.len == 0)
        report->feedback.rcpt_to = recipient.final;
    return report_add_recipient(report, &recipient, arena);
}

static void
read_source(struct report_feedback *feedback, str value)
{
    value = str_trim(value);
    if (str_starts(value, S("[")) && str_ends(value, S("]")))
        value = str_head(str_skip(value, 1), value.len - 2);
    if (str_starts_nocase(value, S("IPv6:")))
        value = str_skip(value, 5);
    if (ipaddr_parse(value, &feedback->source_ip))
        feedback->has_source_ip = true;
}

/* False past the arena's ceiling. */
static bool
read_feedback_field(struct report *report, const struct header_field *field, struct arena *arena)
{
    struct report_feedback *f = &report->feedback;
    uint64_t number;

    if (header_is(field, S("Feedback-Type")))
        return read_lower(field->value, arena, &f->type);
    if (header_is(field, S("User-Agent")))
        return report_clean(field->value, NAME_MAX_SHOWN, arena, &f->user_agent);
    if (header_is(field, S("Original-Mail-From")))
        return report_clean(bare_address(field->value), REPORT_ADDRESS_MAX, arena, &f->mail_from);
    if (header_is(field, S("Original-Rcpt-To")) || header_is(field, S("Removal-Recipient")))
        return !add_complainer(report, field->value, arena);
    if (header_is(field, S("Original-Envelope-Id")))
        return report_clean(field->value, ENVID_TEXT_MAX, arena, &f->envid);
    if (header_is(field, S("Reporting-MTA")))
        return read_host(field->value, arena, &f->reporting_mta);
    if (header_is(field, S("Reported-Domain")) && f->reported_domain.len == 0)
        return report_clean(field->value, NAME_MAX_SHOWN, arena, &f->reported_domain);
    if (header_is(field, S("Source-IP")))
        read_source(f, field->value);
    else if (header_is(field, S("Arrival-Date")) || header_is(field, S("Received-Date")))
        (void)!date_parse(field->value, &f->arrived_at);
    else if (header_is(field, S("Incidents")) && str_to_u64(str_trim(field->value), &number))
        f->incidents = number;
    return true;
}

enum err
report_read_feedback(str body, struct arena *arena, struct report *report)
{
    struct header_field field;
    str line;

    report->feedback.incidents = 1;
    while (body.len) {
        while (header_next(&body, &field))
            if (!read_feedback_field(report, &field, arena))
                return ERR_LIMIT;
        (void)report_next_line(&body, &line);
    }
    report->reporting_mta = report->feedback.reporting_mta;
    report->envid = report->feedback.envid;
    report->return_path = report->feedback.mail_from;
    return OK;
}
