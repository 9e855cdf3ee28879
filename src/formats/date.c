/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* date.c: the Gregorian calendar, without the system's idea of it.  RFC 5322 3.3, 4.3; RFC
 * 3339 5.6.
 *
 * Days are counted from March, so that the leap day is the last of its year.
 */
#include "formats/date.h"

#include "base/cursor.h"

#include <stdio.h>

enum {
    DAY_SECONDS = 86400,
    YEAR_MIN = 1970,
    YEAR_MAX = 2261,
    COMMENT_DEPTH_MAX = 100
};

static const char *const months[] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                      "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
static const char *const weekdays[] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };

/* Days from 1970-01-01. */
static int64_t
days_from_date(int64_t year, int month, int day)
{
    int64_t era, year_of_era, day_of_year;

    year -= month <= 2;
    era = (year >= 0 ? year : year - 399) / 400;
    year_of_era = year - era * 400;
    day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year -
           719468;
}

static int64_t
floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

struct date
date_from_instant(instant when, int zone_minutes)
{
    int64_t seconds = floor_div(when, SECONDS(1)) + (int64_t)zone_minutes * 60;
    int64_t days = floor_div(seconds, DAY_SECONDS);
    int64_t rest = seconds - days * DAY_SECONDS;
    int64_t shifted = days + 719468;
    int64_t era = floor_div(shifted, 146097);
    int64_t day_of_era = shifted - era * 146097;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month_index = (5 * day_of_year + 2) / 153;
    int month = (int)(month_index < 10 ? month_index + 3 : month_index - 9);

    return (struct date){
        .year = (int)(year_of_era + era * 400 + (month <= 2)),
        .month = month,
        .day = (int)(day_of_year - (153 * month_index + 2) / 5 + 1),
        .hour = (int)(rest / 3600),
        .minute = (int)(rest / 60 % 60),
        .second = (int)(rest % 60),
        .weekday = (int)(((days + 4) % 7 + 7) % 7),
    };
}

instant
date_to_instant(const struct date *date, int zone_minutes)
{
    int64_t days = days_from_date(date->year, date->month, date->day);
    int64_t seconds = days * DAY_SECONDS + date->hour * 3600 + date->minute * 60 + date->second;

    return SECONDS(seconds - (int64_t)zone_minutes * 60);
}

static bool
date_is_real(const struct date *date)
{
    static const int lengths[] = { 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    bool leap = date->year % 4 == 0 && (date->year % 100 != 0 || date->year % 400 == 0);

    if (date->year < YEAR_MIN || date->year > YEAR_MAX || date->month < 1 || date->month > 12)
        return false;
    if (date->day < 1 || date->day > lengths[date->month - 1])
        return false;
    if (date->month == 2 && date->day == 29 && !leap)
        return false;
    return date->hour < 24 && date->minute < 60 && date->second <= 60;
}

void
date_format(instant when, int zone_minutes, char text[DATE_TEXT_MAX])
{
    struct date d = date_from_instant(when, zone_minutes);
    unsigned zone = (unsigned)(zone_minutes < 0 ? -zone_minutes : zone_minutes);

    snprintf(text, DATE_TEXT_MAX, "%s, %d %s %04d %02d:%02d:%02d %c%02u%02u", weekdays[d.weekday],
             d.day, months[d.month - 1], d.year, d.hour, d.minute, d.second,
             zone_minutes < 0 ? '-' : '+', zone / 60 % 100, zone % 60);
}

/* Parsing of RFC 5322. */

static bool
is_white(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void
skip_blanks(struct cursor *in)
{
    unsigned depth = 0;

    for (;;) {
        char c = cursor_peek(in);

        if (c == '(' && ++depth > COMMENT_DEPTH_MAX)
            cursor_fail(in);
        if (depth == 0 && !is_white(c))
            return;
        if (cursor_at_end(in)) {
            cursor_fail(in);
            return;
        }
        if (c == '\\')
            (void)cursor_take(in, 1);
        if (c == ')')
            depth--;
        (void)cursor_take(in, 1);
    }
}

/* MIN to MAX digits, blanks and comments behind them dropped. */
static int
read_number(struct cursor *in, size_t min, size_t max, size_t *digits)
{
    str text = cursor_while(in, ascii_is_digit);
    uint64_t value = 0;

    if (text.len < min || text.len > max || !str_to_u64(text, &value))
        cursor_fail(in);
    if (digits)
        *digits = text.len;
    return (int)value;
}

static int
read_name(struct cursor *in, const char *const *names, size_t count)
{
    str word = cursor_while(in, ascii_is_alpha);

    for (size_t i = 0; i < count; i++)
        if (str_eq_nocase(word, str_from(names[i])))
            return (int)i;
    cursor_fail(in);
    return 0;
}

struct zone_row {
    const char *name;
    int minutes;
};

/* RFC 5322 4.3. */
static const struct zone_row zones[] = {
    { "EDT", -240 }, { "EST", -300 }, { "CDT", -300 }, { "CST", -360 },
    { "MDT", -360 }, { "MST", -420 }, { "PDT", -420 }, { "PST", -480 },
};

static int
read_zone(struct cursor *in)
{
    bool west = cursor_peek(in) == '-';
    str word;
    int value;

    if (cursor_accept(in, '+') || cursor_accept(in, '-')) {
        value = read_number(in, 4, 4, NULL);
        if (value % 100 > 59)
            cursor_fail(in);
        value = value / 100 * 60 + value % 100;
        return west ? -value : value;
    }
    word = cursor_while(in, ascii_is_alpha);
    if (word.len == 0 || word.len > 5)
        cursor_fail(in);
    for (size_t i = 0; i < COUNT_OF(zones); i++)
        if (str_eq_nocase(word, str_from(zones[i].name)))
            return zones[i].minutes;
    return 0; /* GMT, UT, UTC, and what nobody can know. */
}

/* RFC 5322 4.3: 00 to 49 is after 2000, 50 to 99 and three digits are counted from 1900. */
static int
read_year(struct cursor *in)
{
    size_t digits = 0;
    int year = read_number(in, 2, 4, &digits);

    if (digits == 2 && year < 50)
        return year + 2000;
    return digits < 4 ? year + 1900 : year;
}

static void
read_time(struct cursor *in, struct date *date)
{
    date->hour = read_number(in, 1, 2, NULL);
    skip_blanks(in);
    cursor_expect(in, ':');
    skip_blanks(in);
    date->minute = read_number(in, 2, 2, NULL);
    skip_blanks(in);
    if (!cursor_accept(in, ':'))
        return;
    skip_blanks(in);
    date->second = read_number(in, 2, 2, NULL);
    skip_blanks(in);
}

enum err
date_parse(str text, instant *when)
{
    struct date date = {};
    struct cursor in;
    int zone;

    cursor_init(&in, text);
    skip_blanks(&in);
    if (ascii_is_alpha(cursor_peek(&in))) {
        (void)read_name(&in, weekdays, COUNT_OF(weekdays));
        skip_blanks(&in);
        (void)cursor_accept(&in, ',');
        skip_blanks(&in);
    }
    date.day = read_number(&in, 1, 2, NULL);
    skip_blanks(&in);
    date.month = read_name(&in, months, COUNT_OF(months)) + 1;
    skip_blanks(&in);
    date.year = read_year(&in);
    skip_blanks(&in);
    read_time(&in, &date);
    zone = read_zone(&in);
    skip_blanks(&in);
    if (!cursor_ok(&in) || !cursor_at_end(&in) || !date_is_real(&date))
        return ERR_SYNTAX;
    *when = date_to_instant(&date, zone);
    return OK;
}

void
date_format_rfc3339(instant when, bool with_ms, char text[DATE_TEXT_MAX])
{
    struct date d = date_from_instant(when, 0);
    int ms = (int)((when % SECONDS(1) + SECONDS(1)) % SECONDS(1) / 1000000);
    int size = snprintf(text, DATE_TEXT_MAX, "%04d-%02d-%02dT%02d:%02d:%02d", d.year, d.month,
                        d.day, d.hour, d.minute, d.second);

    if (with_ms)
        snprintf(text + size, (size_t)(DATE_TEXT_MAX - size), ".%03dZ", ms);
    else
        snprintf(text + size, (size_t)(DATE_TEXT_MAX - size), "Z");
}

static duration
read_fraction(struct cursor *in)
{
    str digits = cursor_while(in, ascii_is_digit);
    uint64_t value = 0;

    if (digits.len > 9 || !str_to_u64(digits, &value))
        cursor_fail(in);
    for (size_t i = digits.len; i < 9; i++)
        value *= 10;
    return (duration)value;
}

static int
read_offset(struct cursor *in)
{
    bool west = cursor_peek(in) == '-';
    int hours, minutes;

    if (cursor_accept(in, 'Z') || cursor_accept(in, 'z'))
        return 0;
    if (!cursor_accept(in, '+') && !cursor_accept(in, '-'))
        cursor_fail(in);
    hours = read_number(in, 2, 2, NULL);
    cursor_expect(in, ':');
    minutes = read_number(in, 2, 2, NULL);
    if (hours > 23 || minutes > 59)
        cursor_fail(in);
    return (west ? -1 : 1) * (hours * 60 + minutes);
}

enum err
date_parse_rfc3339(str text, instant *when)
{
    struct date date = {};
    duration fraction = 0;
    struct cursor in;
    int zone;

    cursor_init(&in, text);
    date.year = read_number(&in, 4, 4, NULL);
    cursor_expect(&in, '-');
    date.month = read_number(&in, 2, 2, NULL);
    cursor_expect(&in, '-');
    date.day = read_number(&in, 2, 2, NULL);
    if (!cursor_accept(&in, 'T') && !cursor_accept(&in, 't'))
        cursor_expect(&in, ' ');
    date.hour = read_number(&in, 2, 2, NULL);
    cursor_expect(&in, ':');
    date.minute = read_number(&in, 2, 2, NULL);
    cursor_expect(&in, ':');
    date.second = read_number(&in, 2, 2, NULL);
    if (cursor_accept(&in, '.'))
        fraction = read_fraction(&in);
    zone = read_offset(&in);
    if (!cursor_ok(&in) || !cursor_at_end(&in) || !date_is_real(&date))
        return ERR_SYNTAX;
    *when = date_to_instant(&date, zone) + fraction;
    return OK;
}
