/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* str.h: a borrowed view of bytes.  Not NUL-terminated, passed by value, never freed.
 *
 * All comparisons are of bytes; case is folded for ASCII letters only, whatever the
 * locale.  Parsers take a str and return slices of it.
 */
#pragma once

#include "base/base.h"

typedef struct str {
    const char *ptr;
    size_t len;
} str;

/* A str of a string literal: S("MAIL"). */
#define S(literal) ((str){ "" literal, sizeof(literal) - 1 })
/* For printf: printf("%.*s", STR_ARG(s)). */
#define STR_ARG(s) (int)(s).len, (s).ptr

str str_from(const char *text); /* Of a NUL-terminated text; NULL gives the empty str. */
bool str_eq(str a, str b);
bool str_eq_nocase(str a, str b);
int str_cmp(str a, str b); /* <0, 0, >0, as memcmp, the shorter first. */
bool str_starts(str s, str prefix);
bool str_starts_nocase(str s, str prefix);
bool str_ends(str s, str suffix);
bool str_ends_nocase(str s, str suffix);

/* The bytes from START on; past the end gives the empty str. */
str str_skip(str s, size_t start);
/* At most COUNT bytes of the front. */
str str_head(str s, size_t count);
/* Without blanks and tabs (and CR, LF) at both ends. */
str str_trim(str s);
/* The same without blanks and tabs alone: WSP of RFC 5234. */
str str_trim_blanks(str s);

/* Where BYTE (or NEEDLE) first stands, or -1. */
ssize_t str_find(str s, char byte);
ssize_t str_find_last(str s, char byte);
ssize_t str_find_str(str s, str needle);
ssize_t str_find_nocase(str s, str needle);

/* Splits at the first BYTE: HEAD before it, REST after it.  False, and HEAD = s, if there is none. */
bool str_split(str s, char byte, str *head, str *rest);

/* A decimal number of 1 to 20 digits, nothing else; false when it does not fit. */
bool str_to_u64(str s, uint64_t *value);
bool str_to_i64(str s, int64_t *value);

/* Printable US-ASCII and nothing else (0x20 to 0x7e). */
bool str_is_printable(str s);
bool str_is_ascii(str s);
/* Well-formed UTF-8 (RFC 3629): no overlong forms, no surrogates. */
bool str_is_utf8(str s);

uint64_t str_hash(str s);        /* Not for secrets: not keyed. */
uint64_t str_hash_nocase(str s);

/* A copy of its own, NUL-terminated, for free(); must not be used with sizes a stranger chose freely. */
char *str_dup(str s);

static inline char
ascii_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

static inline bool
ascii_is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static inline bool
ascii_is_alpha(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static inline bool
ascii_is_alnum(char c)
{
    return ascii_is_digit(c) || ascii_is_alpha(c);
}

/* 0 to 15, or -1. */
static inline int
ascii_hex(char c)
{
    if (ascii_is_digit(c))
        return c - '0';
    c = ascii_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}
