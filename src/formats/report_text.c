/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* report_text.c: what is picked out of lines that people and programs wrote.
 *
 * Everything here looks once from front to back.  Start reading at report_address_at().
 */
#include "formats/report_text.h"

#include "formats/encoded_word.h"

enum {
    LOCAL_MAX = 128,
    STATUS_MAX = 9,
    DECODED_MAX = 4096
};

bool
report_next_line(str *text, str *line)
{
    if (text->len == 0)
        return false;
    (void)str_split(*text, '\n', line, text);
    while (line->len && line->ptr[line->len - 1] == '\r')
        line->len--;
    return true;
}

static bool
is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

bool
report_clean(str text, size_t max, struct arena *arena, str *line)
{
    bool utf8;
    char *room;
    size_t len = 0;

    text = str_head(str_trim(text), max);
    /* A character that is cut at the end does not count against the rest. */
    for (size_t cut = 0; cut < 3 && text.len && !str_is_utf8(text) && text.len == max; cut++)
        text.len--;
    utf8 = str_is_utf8(text);
    room = arena_alloc(arena, 2 * text.len + 1);
    if (!room)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];

        if (c == 0xc2 && utf8 && (unsigned char)text.ptr[i + 1] < 0xa0)
            c = (unsigned char)text.ptr[++i]; /* A C1 control. */
        else if (c >= 0x80 && utf8) {
            room[len++] = (char)c;
            continue;
        }
        if (c <= 0x20 || (c >= 0x7f && c < 0xa0)) {
            if (len && room[len - 1] != ' ')
                room[len++] = ' ';
        } else if (c < 0x80) {
            room[len++] = (char)c;
        } else {
            room[len++] = (char)(0xc0 | c >> 6);
            room[len++] = (char)(0x80 | (c & 0x3f));
        }
    }
    *line = str_trim((str){ room, len });
    return true;
}

bool
report_decode_words(str value, struct arena *arena, str *line)
{
    str decoded;

    value = str_head(value, DECODED_MAX);
    if (encoded_word_decode(value, arena, &decoded))
        decoded = value;
    return report_clean(decoded, DECODED_MAX, arena, line);
}

/* Addresses.  The grammar is loose: what real servers print. */

static bool
is_local_byte(char c)
{
    return ascii_is_alnum(c) || (unsigned char)c >= 0x80 ||
           str_find(S("!#$%&'*+-/=?^_`{|}~."), c) >= 0;
}

static bool
is_domain_byte(char c)
{
    return ascii_is_alnum(c) || (unsigned char)c >= 0x80 || c == '-' || c == '.' || c == '_';
}

/* Letters, digits and a dot or more within; a literal in brackets. */
static size_t
domain_size(str s)
{
    size_t size = 0, dots = 0;

    if (str_starts(s, S("["))) {
        ssize_t end = str_find(str_head(s, 60), ']');

        return end > 1 ? (size_t)end + 1 : 0;
    }
    while (size < s.len && size < 254 && is_domain_byte(s.ptr[size])) {
        if (s.ptr[size] == '.' && (size == 0 || s.ptr[size - 1] == '.'))
            break;
        size++;
    }
    while (size && !ascii_is_alnum(s.ptr[size - 1]) && (unsigned char)s.ptr[size - 1] < 0x80)
        size--;
    for (size_t i = 0; i < size; i++)
        dots += s.ptr[i] == '.';
    return dots || str_eq_nocase(str_head(s, size), S("localhost")) ? size : 0;
}

static size_t
quoted_size(str s)
{
    for (size_t i = 1; i < s.len && i <= LOCAL_MAX; i++) {
        if (s.ptr[i] == '\\')
            i++;
        else if (s.ptr[i] == '"')
            return i + 1;
    }
    return 0;
}

/* local@domain at the front of S. */
static size_t
mailbox_size(str s)
{
    size_t local = 0, domain;

    if (str_starts(s, S("\"")))
        local = quoted_size(s);
    else
        while (local < s.len && local <= LOCAL_MAX && is_local_byte(s.ptr[local]))
            local++;
    if (local == 0 || local > LOCAL_MAX + 2 || local >= s.len || s.ptr[local] != '@')
        return 0;
    domain = domain_size(str_skip(s, local + 1));
    return domain ? local + 1 + domain : 0;
}

/* Signs and characters of three bytes, such as a wide colon, are no part of a local part that goes
 * on in ASCII: texts in Chinese have no blanks.  Where the last of them in front of "@" ends. */
static size_t
wide_size(str local)
{
    size_t end = 0;

    for (size_t i = 0; i + 3 <= local.len; i++)
        if ((unsigned char)local.ptr[i] >= 0xe2 && (unsigned char)local.ptr[i] <= 0xef)
            end = i + 3;
    return end < local.len ? end : 0;
}

/* "@relay.example,@b.example:" of old. */
static str
skip_route(str s)
{
    ssize_t colon;

    if (!str_starts(s, S("@")))
        return s;
    colon = str_find(str_head(s, REPORT_ADDRESS_MAX), ':');
    return colon > 0 ? str_skip(s, (size_t)colon + 1) : s;
}

static str
skip_scheme(str s)
{
    static const char *const schemes[] = { "mailto:", "smtp:", "rfc822:", "smtp;", "rfc822;" };

    for (size_t i = 0; i < COUNT_OF(schemes); i++)
        if (str_starts_nocase(s, str_from(schemes[i])))
            return str_trim(str_skip(s, str_from(schemes[i]).len));
    return s;
}

bool
report_address_at(str text, str *address, str *rest)
{
    char close = 0;
    size_t size;
    str s = text;

    if (s.len && str_find(S("<'(["), s.ptr[0]) >= 0) {
        close = s.ptr[0] == '<' ? '>' : s.ptr[0] == '(' ? ')' : s.ptr[0] == '[' ? ']' : '\'';
        s = str_skip(s, 1);
    } else if (str_starts(s, S("\"")) && !mailbox_size(s)) {
        close = '"';
        s = str_skip(s, 1);
    }
    s = skip_route(skip_scheme(s));
    size = mailbox_size(s);
    if (size && wide_size(str_head(s, (size_t)str_find(s, '@'))))
        return false;
    /* 'ann@example.org' : the quote is not of the local part. */
    if (close == '\'' && size && s.ptr[size - 1] == '\'')
        size--;
    if (size == 0 || size > REPORT_ADDRESS_MAX)
        return false;
    *address = str_head(s, size);
    s = str_skip(s, size);
    if (close && s.len && s.ptr[0] == close)
        s = str_skip(s, 1);
    *rest = s;
    return true;
}

bool
report_address_in(str line, str *address, str *rest)
{
    for (size_t from = 0; from < line.len;) {
        ssize_t at = str_find(str_skip(line, from), '@');
        size_t start, end;

        if (at < 0)
            return false;
        end = start = from + (size_t)at;
        while (start > from && end - start <= LOCAL_MAX && is_local_byte(line.ptr[start - 1]))
            start--;
        start += wide_size((str){ line.ptr + start, end - start });
        while (start < end && str_find(S("'`={|./*"), line.ptr[start]) >= 0)
            start++;
        if (start < end && report_address_at(str_skip(line, start), address, rest))
            return true;
        from = end + 1;
    }
    return false;
}

str
report_typed_value(str value, str *type)
{
    str head, rest, address;

    value = str_trim(value);
    *type = S("");
    if (str_split(value, ';', &head, &rest) && head.len < 20) {
        *type = str_trim(head);
        value = str_trim(rest);
    }
    if (report_address_at(value, &address, &rest) || report_address_in(value, &address, &rest))
        return address;
    if (str_starts(value, S("<")) && str_find(value, '>') > 0)
        value = str_head(str_skip(value, 1), (size_t)str_find(value, '>') - 1);
    (void)str_split(value, ' ', &value, &rest);
    return str_head(value, REPORT_ADDRESS_MAX);
}

/* Codes. */

static bool
is_word_byte(char c)
{
    return ascii_is_alnum(c) || (unsigned char)c >= 0x80;
}

/* A digit of 4 or 5, two more, and neither a letter, a digit nor a dot around them: no part of an
 * address, a date or a version. */
static bool
is_code_at(str s, size_t i)
{
    if (i + 3 > s.len || (s.ptr[i] != '4' && s.ptr[i] != '5') || s.ptr[i + 1] > '5' ||
        !ascii_is_digit(s.ptr[i + 1]) || !ascii_is_digit(s.ptr[i + 2]))
        return false;
    if (i && (ascii_is_alnum(s.ptr[i - 1]) || str_find(S(".,-:/@+"), s.ptr[i - 1]) >= 0) &&
        !(s.ptr[i - 1] == ':' || (s.ptr[i - 1] == '-' && i > 1 && s.ptr[i - 2] == ' ')))
        return false;
    if (i + 3 < s.len && (is_word_byte(s.ptr[i + 3]) || str_find(S("/@%"), s.ptr[i + 3]) >= 0))
        return false;
    /* "12:456" and "500.12" are none. */
    return !(i > 1 && s.ptr[i - 1] == ':' && ascii_is_digit(s.ptr[i - 2])) &&
           !(i + 4 < s.len && s.ptr[i + 3] == '.' && ascii_is_digit(s.ptr[i + 4]));
}

ssize_t
report_code_position(str text)
{
    for (size_t i = 0; i + 3 <= text.len; i++)
        if (is_code_at(text, i))
            return (ssize_t)i;
    return -1;
}

unsigned
report_find_code(str text)
{
    ssize_t at = report_code_position(text);
    const char *digits;

    if (at < 0)
        return 0;
    digits = text.ptr + at;
    return (unsigned)(digits[0] - '0') * 100 + (unsigned)(digits[1] - '0') * 10 +
           (unsigned)(digits[2] - '0');
}

/* "5.1.1" at the front of S: one digit, then one to three, then one to three. */
static size_t
status_size(str s)
{
    size_t size = 1;

    if (s.len < 5 || (s.ptr[0] != '2' && s.ptr[0] != '4' && s.ptr[0] != '5'))
        return 0;
    for (int part = 0; part < 2; part++) {
        size_t digits = 0;

        if (size >= s.len || s.ptr[size] != '.')
            return 0;
        size++;
        while (size < s.len && digits < 3 && ascii_is_digit(s.ptr[size])) {
            size++;
            digits++;
        }
        if (digits == 0)
            return 0;
    }
    if (size < s.len && (is_word_byte(s.ptr[size]) || s.ptr[size] == '-'))
        return 0;
    if (size + 1 < s.len && s.ptr[size] == '.' && ascii_is_digit(s.ptr[size + 1]))
        return 0;
    return size;
}

str
report_find_status(str text)
{
    for (size_t i = 0; i + 5 <= text.len; i++) {
        size_t size;

        if (i && (is_word_byte(text.ptr[i - 1]) || text.ptr[i - 1] == '.'))
            continue;
        size = status_size(str_skip(text, i));
        if (size && size <= STATUS_MAX)
            return str_head(str_skip(text, i), size);
    }
    return S("");
}

str
report_without_code(str text)
{
    size_t size;

    text = str_trim(text);
    if (is_code_at(text, 0))
        text = str_skip(text, 3);
    while (text.len && str_find(S(" -:"), text.ptr[0]) >= 0)
        text = str_skip(text, 1);
    size = status_size(text);
    text = str_skip(text, size);
    while (size && text.len && str_find(S(" -:"), text.ptr[0]) >= 0)
        text = str_skip(text, 1);
    return text;
}

/* A host name at the front, perhaps in brackets or quotes. */
static str
host_at(str s)
{
    size_t size;

    while (s.len && str_find(S(" \t('\"<"), s.ptr[0]) >= 0)
        s = str_skip(s, 1);
    if (str_starts_nocase(s, S("dns;")))
        s = str_trim(str_skip(s, 4));
    size = domain_size(s);
    return str_starts(s, S("[")) && size > 2 ? str_head(str_skip(s, 1), size - 2)
                                             : str_head(s, size);
}

str
report_find_remote(str text)
{
    static const char *const signs[] = {
        "host ",           "host: ",
        "talking to ",     "remote server at ",
        "remote mta ",     "remote-mta: ",
        "remote system: ", "by the server for the recipient domain ",
        "server at ",      "generating server: ",
        "response from ",  "the server ",
        "mail server ",    " by ",
    };

    for (size_t i = 0; i < COUNT_OF(signs); i++) {
        str sign = str_from(signs[i]);
        ssize_t at = str_find_nocase(text, sign);

        if (at >= 0) {
            str host = host_at(str_skip(text, (size_t)at + sign.len));

            if (host.len > 3 && str_find(host, '.') > 0)
                return host;
        }
    }
    return S("");
}

str
report_fold(str text, char *room, size_t size)
{
    size_t len = 0;

    for (size_t i = 0; i < text.len && len < size; i++) {
        char c = text.ptr[i];

        if (!is_blank(c))
            room[len++] = ascii_lower(c);
        else if (len && room[len - 1] != ' ')
            room[len++] = ' ';
    }
    return (str){ room, len };
}
