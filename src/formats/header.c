/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* header.c: lines, fields, sections.  Start reading at header_next(). */
#include "formats/header.h"

#include <string.h>

/* Up to LF and with it, or all that is left. */
static str
first_line(str s)
{
    ssize_t end = str_find(s, '\n');

    return end < 0 ? s : str_head(s, (size_t)end + 1);
}

static str
without_end(str line)
{
    if (line.len && line.ptr[line.len - 1] == '\n')
        line.len--;
    if (line.len && line.ptr[line.len - 1] == '\r')
        line.len--;
    return line;
}

static bool
is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* RFC 5322 2.2: printable ASCII without the colon; blanks before it by 4.5.  The length of the
 * name, or 0. */
static size_t
name_size(str line)
{
    size_t size = 0, after;

    while (size < line.len && line.ptr[size] > 0x20 && line.ptr[size] < 0x7f &&
           line.ptr[size] != ':')
        size++;
    after = size;
    while (after < line.len && is_blank(line.ptr[after]))
        after++;
    return after < line.len && line.ptr[after] == ':' && size <= HEADER_NAME_MAX ? size : 0;
}

bool
header_find_end(str bytes, size_t *scanned, size_t *size)
{
    for (;;) {
        str line = first_line(str_skip(bytes, *scanned));
        str text = without_end(line);

        if (line.len == 0 || line.ptr[line.len - 1] != '\n')
            return false;
        if (text.len == 0) {
            *size = *scanned + line.len;
            return true;
        }
        if (name_size(text) == 0 && !(is_blank(text.ptr[0]) && *scanned)) {
            *size = *scanned;
            return true;
        }
        *scanned += line.len;
    }
}

bool
header_next(str *section, struct header_field *field)
{
    struct header_field result = {};
    str line = first_line(*section);
    str text = without_end(line);
    size_t size = line.len;

    if (text.len == 0)
        return false;
    result.name = str_head(text, name_size(text));
    for (;;) {
        line = first_line(str_skip(*section, size));
        if (line.len == 0 || !is_blank(line.ptr[0]))
            break;
        size += line.len;
    }
    result.raw = str_head(*section, size);
    if (result.name.len) {
        str rest = str_skip(result.raw, result.name.len);
        result.value = str_trim(str_skip(rest, (size_t)str_find(rest, ':') + 1));
    }
    *section = str_skip(*section, size);
    *field = result;
    return true;
}

bool
header_is(const struct header_field *field, str name)
{
    return str_eq_nocase(field->name, name);
}

bool
header_find(str section, str name, struct header_field *field)
{
    struct header_field next;

    while (header_next(&section, &next)) {
        if (header_is(&next, name)) {
            *field = next;
            return true;
        }
    }
    return false;
}

/* A field that is counted, or whose first value is kept; NOWHERE: not. */
struct survey_row {
    const char *name;
    size_t len;
    size_t count;
    size_t value;
};

#define NOWHERE      SIZE_MAX
#define FACT(member) offsetof(struct header_facts, member)
#define SURVEY(name, count, value)                                                                 \
    {                                                                                              \
        name, sizeof(name) - 1, count, value                                                       \
    }

/* clang-format off */
static const struct survey_row surveyed[] = {
    SURVEY("Received",                 FACT(received),     NOWHERE),
    SURVEY("Delivered-To",             FACT(delivered_to), NOWHERE),
    SURVEY("From",                     FACT(from),         FACT(from_value)),
    SURVEY("Sender",                   FACT(sender),       FACT(sender_value)),
    SURVEY("Reply-To",                 FACT(reply_to),     NOWHERE),
    SURVEY("To",                       FACT(to),           NOWHERE),
    SURVEY("Cc",                       FACT(cc),           NOWHERE),
    SURVEY("Bcc",                      FACT(bcc),          NOWHERE),
    SURVEY("Resent-Bcc",               FACT(bcc),          NOWHERE),
    SURVEY("Date",                     FACT(date),         NOWHERE),
    SURVEY("Message-ID",               FACT(message_id),   FACT(message_id_value)),
    SURVEY("Subject",                  FACT(subject),      FACT(subject_value)),
    SURVEY("Return-Path",              FACT(return_path),  NOWHERE),
    SURVEY("Auto-Submitted",           NOWHERE,            FACT(auto_submitted)),
    SURVEY("X-Auto-Response-Suppress", NOWHERE,            FACT(auto_response_suppress)),
    SURVEY("Feedback-ID",              NOWHERE,            FACT(feedback_id)),
    SURVEY("In-Reply-To",              NOWHERE,            FACT(in_reply_to)),
    SURVEY("References",               NOWHERE,            FACT(references)),
    SURVEY("List-Id",                  NOWHERE,            FACT(list_id)),
    SURVEY("List-Post",                NOWHERE,            FACT(list_post)),
    SURVEY("List-Unsubscribe",         NOWHERE,            FACT(list_unsubscribe)),
    SURVEY("List-Unsubscribe-Post",    NOWHERE,            FACT(list_unsubscribe_post)),
    SURVEY("TLS-Required",             FACT(tls_required), FACT(tls_required_value)),
    SURVEY("Precedence",               NOWHERE,            FACT(precedence)),
    SURVEY("User-Agent",               NOWHERE,            FACT(user_agent)),
    SURVEY("X-Mailer",                 NOWHERE,            FACT(mailer)),
};
/* clang-format on */

static const struct survey_row *
find_surveyed(str name)
{
    for (size_t i = 0; i < COUNT_OF(surveyed); i++)
        if (surveyed[i].len == name.len &&
            ascii_lower(name.ptr[0]) == ascii_lower(surveyed[i].name[0]) &&
            str_eq_nocase(name, (str){ surveyed[i].name, surveyed[i].len }))
            return &surveyed[i];
    return NULL;
}

static void
count_field(const struct header_field *field, struct header_facts *facts)
{
    const struct survey_row *row = field->name.len ? find_surveyed(field->name) : NULL;
    char *base = (char *)facts;
    str *value;

    if (!row)
        return;
    if (row->count != NOWHERE)
        (*(size_t *)(void *)(base + row->count))++;
    if (row->value == NOWHERE)
        return;
    value = (str *)(void *)(base + row->value);
    if (!value->ptr)
        *value = field->value;
    if (row->value == FACT(auto_submitted) && !str_starts_nocase(field->value, S("no")))
        facts->is_automatic = true;
}

static void
measure_lines(str raw, struct header_facts *facts)
{
    while (raw.len) {
        str line = first_line(raw);

        facts->longest_line = MAX(facts->longest_line, without_end(line).len);
        raw = str_skip(raw, line.len);
    }
}

enum err
header_survey(str section, size_t fields_max, struct header_facts *facts)
{
    struct header_facts result = { .has_8bit = !str_is_ascii(section) };
    struct header_field field;

    while (header_next(&section, &field)) {
        if (++result.fields > fields_max)
            return ERR_LIMIT;
        if (field.name.len == 0)
            result.malformed++;
        count_field(&field, &result);
        measure_lines(field.raw, &result);
    }
    *facts = result;
    return OK;
}

enum err
header_unfold(str value, struct arena *arena, str *line)
{
    char *room = arena_alloc(arena, value.len + 1);
    size_t len = 0;

    if (!room)
        return ERR_LIMIT;
    for (size_t i = 0; i < value.len; i++) {
        char c = value.ptr[i];

        if (c == '\r' || c == '\n')
            continue;
        room[len++] = (c >= 0 && c < 0x20) || c == 0x7f ? ' ' : c;
    }
    *line = str_trim((str){ room, len });
    return OK;
}
