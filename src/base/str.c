/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* str.c: looking at borrowed bytes. */
#include "base/str.h"

#include "base/must.h"

#include <stdlib.h>
#include <string.h>

str
str_from(const char *text)
{
    return text ? (str){ text, strlen(text) } : (str){ "", 0 };
}

bool
str_eq(str a, str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

bool
str_eq_nocase(str a, str b)
{
    return a.len == b.len && str_starts_nocase(a, b);
}

int
str_cmp(str a, str b)
{
    size_t shared = MIN(a.len, b.len);
    int order = shared ? memcmp(a.ptr, b.ptr, shared) : 0;

    if (order)
        return order;
    return a.len < b.len ? -1 : a.len > b.len;
}

bool
str_starts(str s, str prefix)
{
    return s.len >= prefix.len && (prefix.len == 0 || memcmp(s.ptr, prefix.ptr, prefix.len) == 0);
}

bool
str_starts_nocase(str s, str prefix)
{
    if (s.len < prefix.len)
        return false;
    for (size_t i = 0; i < prefix.len; i++)
        if (ascii_lower(s.ptr[i]) != ascii_lower(prefix.ptr[i]))
            return false;
    return true;
}

bool
str_ends(str s, str suffix)
{
    return s.len >= suffix.len && str_eq(str_skip(s, s.len - suffix.len), suffix);
}

bool
str_ends_nocase(str s, str suffix)
{
    return s.len >= suffix.len && str_eq_nocase(str_skip(s, s.len - suffix.len), suffix);
}

str
str_skip(str s, size_t start)
{
    if (start >= s.len)
        return (str){ s.ptr ? s.ptr + s.len : "", 0 };
    return (str){ s.ptr + start, s.len - start };
}

str
str_head(str s, size_t count)
{
    return (str){ s.ptr, MIN(s.len, count) };
}

static bool
is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

str
str_trim(str s)
{
    while (s.len && is_blank(s.ptr[0]))
        s = str_skip(s, 1);
    while (s.len && is_blank(s.ptr[s.len - 1]))
        s.len--;
    return s;
}

str
str_trim_blanks(str s)
{
    while (s.len && (s.ptr[0] == ' ' || s.ptr[0] == '\t'))
        s = str_skip(s, 1);
    while (s.len && (s.ptr[s.len - 1] == ' ' || s.ptr[s.len - 1] == '\t'))
        s.len--;
    return s;
}

ssize_t
str_find(str s, char byte)
{
    const char *at = s.len ? memchr(s.ptr, byte, s.len) : NULL;

    return at ? at - s.ptr : -1;
}

ssize_t
str_find_last(str s, char byte)
{
    const char *at = s.len ? memrchr(s.ptr, byte, s.len) : NULL;

    return at ? at - s.ptr : -1;
}

ssize_t
str_find_str(str s, str needle)
{
    const char *at;

    if (needle.len == 0)
        return 0;
    at = s.len ? memmem(s.ptr, s.len, needle.ptr, needle.len) : NULL;
    return at ? at - s.ptr : -1;
}

ssize_t
str_find_nocase(str s, str needle)
{
    for (size_t i = 0; i + needle.len <= s.len; i++)
        if (str_starts_nocase(str_skip(s, i), needle))
            return (ssize_t)i;
    return -1;
}

bool
str_split(str s, char byte, str *head, str *rest)
{
    ssize_t at = str_find(s, byte);

    if (at < 0) {
        *head = s;
        *rest = str_skip(s, s.len);
        return false;
    }
    *head = str_head(s, (size_t)at);
    *rest = str_skip(s, (size_t)at + 1);
    return true;
}

bool
str_to_u64(str s, uint64_t *value)
{
    uint64_t sum = 0;

    if (s.len == 0 || s.len > 20)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        if (!ascii_is_digit(s.ptr[i]))
            return false;
        if (__builtin_mul_overflow(sum, 10U, &sum) ||
            __builtin_add_overflow(sum, (uint64_t)(s.ptr[i] - '0'), &sum))
            return false;
    }
    *value = sum;
    return true;
}

bool
str_to_i64(str s, int64_t *value)
{
    bool negative = s.len && s.ptr[0] == '-';
    uint64_t magnitude;

    if (!str_to_u64(negative ? str_skip(s, 1) : s, &magnitude) || magnitude > INT64_MAX)
        return false;
    *value = negative ? -(int64_t)magnitude : (int64_t)magnitude;
    return true;
}

bool
str_is_printable(str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] < 0x20 || s.ptr[i] > 0x7e)
            return false;
    return true;
}

bool
str_is_ascii(str s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.ptr[i] > 0x7f)
            return false;
    return true;
}

/* Bytes of the UTF-8 sequence at the front of S, or 0 when it is ill-formed.  RFC 3629 4. */
static size_t
utf8_sequence(str s)
{
    const unsigned char *p = (const unsigned char *)s.ptr;
    size_t size = p[0] < 0x80 ? 1 : p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;

    if (p[0] > 0xf4 || size == 0 || size > s.len)
        return 0;
    for (size_t i = 1; i < size; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
        (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
        return 0;
    return size;
}

bool
str_is_utf8(str s)
{
    while (s.len) {
        size_t size = utf8_sequence(s);
        if (size == 0)
            return false;
        s = str_skip(s, size);
    }
    return true;
}

/* FNV-1a, finished with a mix, since tables use the low bits. */
static uint64_t
hash_finish(uint64_t h)
{
    h ^= h >> 32;
    h *= 0xd6e8feb86659fd93U;
    return h ^ (h >> 32);
}

uint64_t
str_hash(str s)
{
    uint64_t h = 0xcbf29ce484222325U;

    for (size_t i = 0; i < s.len; i++)
        h = (h ^ (unsigned char)s.ptr[i]) * 0x100000001b3U;
    return hash_finish(h);
}

uint64_t
str_hash_nocase(str s)
{
    uint64_t h = 0xcbf29ce484222325U;

    for (size_t i = 0; i < s.len; i++)
        h = (h ^ (unsigned char)ascii_lower(s.ptr[i])) * 0x100000001b3U;
    return hash_finish(h);
}

char *
str_dup(str s)
{
    char *copy = malloc(s.len + 1);

    must(copy);
    if (s.len)
        memcpy(copy, s.ptr, s.len);
    copy[s.len] = '\0';
    return copy;
}
