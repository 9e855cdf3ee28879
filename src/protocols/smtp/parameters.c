/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* parameters.c: when a message is to go, as MAIL says it. */
#include "protocols/smtp/parameters.h"

#include "base/cursor.h"
#include "formats/date.h"

enum {
    DIGITS_MAX = 9
};

bool
smtp_priority_parse(str value, int *priority)
{
    bool negative = str_starts(value, S("-"));
    str digits = str_skip(value, negative);

    if (digits.len != 1 || !ascii_is_digit(digits.ptr[0]) || (negative && digits.ptr[0] == '0'))
        return false;
    *priority = (digits.ptr[0] - '0') * (negative ? -1 : 1);
    return true;
}

/* 1 to 9 digits. */
static bool
read_seconds(str digits, int32_t *seconds)
{
    uint64_t number;

    if (digits.len > DIGITS_MAX || !str_to_u64(digits, &number))
        return false;
    *seconds = (int32_t)number;
    return true;
}

bool
smtp_deliver_by_parse(str value, struct smtp_deliver_by *by)
{
    struct smtp_deliver_by result = {};
    struct cursor in;
    bool negative;

    cursor_init(&in, value);
    negative = cursor_accept(&in, '-');
    if (!negative)
        (void)cursor_accept(&in, '+');
    if (!read_seconds(cursor_while(&in, ascii_is_digit), &result.seconds))
        return false;
    if (negative)
        result.seconds = -result.seconds;
    cursor_expect(&in, ';');
    if (cursor_accept_nocase(&in, S("R")))
        result.mode = SMTP_BY_RETURN;
    else if (cursor_accept_nocase(&in, S("N")))
        result.mode = SMTP_BY_NOTIFY;
    result.trace = cursor_accept_nocase(&in, S("T"));
    if (!cursor_ok(&in) || !cursor_at_end(&in) || !result.mode ||
        (result.mode == SMTP_BY_RETURN && result.seconds <= 0))
        return false;
    *by = result;
    return true;
}

void
smtp_deliver_by_format(const struct smtp_deliver_by *by, struct buf *buf)
{
    buf_addf(buf, "%d;%s%s", by->seconds, by->mode == SMTP_BY_RETURN ? "R" : "N",
             by->trace ? "T" : "");
}

bool
smtp_hold_for_parse(str value, duration *time)
{
    int32_t seconds;

    if (str_starts(value, S("0")) || !read_seconds(value, &seconds))
        return false;
    *time = SECONDS(seconds);
    return true;
}

bool
smtp_hold_until_parse(str value, instant *when)
{
    return date_parse_rfc3339(value, when) == OK;
}
