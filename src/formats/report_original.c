/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* report_original.c: the header of the message that came back.
 *
 * It may be a part of its own, or stand in the text, indented or quoted.  Start reading at
 * report_read_original().
 */
#include "formats/report_original.h"

#include "formats/header.h"
#include "formats/report_text.h"

enum {
    SECTION_MAX = 64 * 1024,
    MESSAGE_ID_MAX = 500,
    SUBJECT_MAX = 400,
    RECEIVED_MAX = 2000
};

bool
report_message_id(str value, str *id)
{
    ssize_t open = str_find(value, '<'), close;

    if (open < 0)
        return false;
    value = str_skip(value, (size_t)open);
    close = str_find(str_head(value, MESSAGE_ID_MAX), '>');
    if (close < 4)
        return false;
    value = str_head(value, (size_t)close + 1);
    if (!str_is_printable(value) || str_find(value, ' ') >= 0)
        return false;
    *id = value;
    return true;
}

/* "from … by … with … id 01JDN0 for …; date": the word after "id". */
static enum err
add_received_id(str value, struct arena *arena, struct report *report)
{
    ssize_t at;
    size_t size = 0;
    str line;

    if (report->id_count == REPORT_IDS_MAX) {
        report->is_cut = true;
        return OK;
    }
    if (!report_clean(value, RECEIVED_MAX, arena, &line))
        return ERR_LIMIT;
    at = str_find_nocase(line, S(" id "));
    if (at < 0)
        return OK;
    line = str_trim(str_skip(line, (size_t)at + 4));
    while (size < line.len && line.ptr[size] != ' ' && line.ptr[size] != ';')
        size++;
    if (size)
        report->ids[report->id_count++] = str_head(line, size);
    return OK;
}

/* The only address of a To: field. */
static bool
single_address(str value, str *address)
{
    str other, rest;

    return report_address_in(value, address, &rest) && !report_address_in(rest, &other, &rest);
}

static enum err
read_field(const struct header_field *field, struct arena *arena, struct report *report)
{
    str found, rest;
    bool fine = true;

    if (header_is(field, S("Received")))
        return add_received_id(field->value, arena, report);
    if (header_is(field, S("Message-ID")) && !report->message_id.len) {
        if (report_message_id(field->value, &found))
            report->message_id = found;
    } else if (header_is(field, S("Return-Path")) && !report->return_path.len) {
        if (report_address_in(field->value, &found, &rest))
            fine = report_clean(found, REPORT_ADDRESS_MAX, arena, &report->return_path);
    } else if (header_is(field, S("To")) && !report->original_to.len) {
        if (single_address(str_head(field->value, SUBJECT_MAX), &found))
            fine = report_clean(found, REPORT_ADDRESS_MAX, arena, &report->original_to);
    } else if (header_is(field, S("Subject")) && !report->original_subject.len) {
        fine = report_decode_words(str_head(field->value, SUBJECT_MAX), arena,
                                   &report->original_subject);
    }
    return fine ? OK : ERR_LIMIT;
}

enum err
report_read_original(str section, struct arena *arena, struct report *report)
{
    struct header_field field;
    enum err e;

    section = str_head(section, SECTION_MAX);
    while (section.len && (section.ptr[0] == '\n' || section.ptr[0] == '\r'))
        section = str_skip(section, 1);
    while (header_next(&section, &field)) {
        e = read_field(&field, arena, report);
        if (e)
            return e;
    }
    return OK;
}

/* In text. */

/* Without ">", "|" and blanks in front. */
static str
unquoted(str line)
{
    while (line.len && str_find(S("> \t|*"), line.ptr[0]) >= 0)
        line = str_skip(line, 1);
    return line;
}

static bool
begins_header(str line)
{
    static const char *const names[] = { "Return-Path:", "Received:", "Delivered-To:",
                                         "X-Envelope" };

    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (str_starts_nocase(line, str_from(names[i])))
            return true;
    return false;
}

static void
find_message_id(str rest, str line, struct report *report)
{
    str id, next = rest;

    if (!str_starts_nocase(line, S("Message-ID")) && !str_starts_nocase(line, S("Message ID")))
        return;
    if (!report_message_id(line, &id)) {
        /* Folded. */
        if (line.len > 13 || !report_next_line(&next, &line) || !report_message_id(line, &id))
            return;
    }
    report->message_id = id;
}

enum err
report_find_original(str text, struct arena *arena, struct report *report)
{
    const char *end = text.ptr + text.len;
    bool section_read = false;
    enum err e = OK;
    str line;

    while (!e && report_next_line(&text, &line)) {
        if (!section_read && begins_header(line)) {
            section_read = true;
            e = report_read_original((str){ line.ptr, (size_t)(end - line.ptr) }, arena, report);
        } else if (!report->message_id.len) {
            find_message_id(text, unquoted(line), report);
        }
    }
    return e;
}
