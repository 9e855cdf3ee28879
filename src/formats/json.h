/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* json.h: JSON (RFC 8259), written piece by piece and read as a tree.
 *
 * The writer appends to a buf, sets commas itself, and always produces valid JSON: what is not
 * UTF-8 becomes U+FFFD.  The reader takes one value with bounded depth into an arena.
 */
#pragma once

#include "base/arena.h"
#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/instant.h"
#include "base/str.h"

enum {
    JSON_DEPTH_MAX = 32
};

struct json_writer {
    struct buf *buf;
    bool needs_comma;
};

void json_writer_init(struct json_writer *writer, struct buf *buf);
/* KEY names the value in an object; NULL in an array and at the top. */
void json_begin_object(struct json_writer *writer, const char *key);
void json_end_object(struct json_writer *writer);
void json_begin_array(struct json_writer *writer, const char *key);
void json_end_array(struct json_writer *writer);
void json_put_text(struct json_writer *writer, const char *key, str text);
void json_put_int(struct json_writer *writer, const char *key, int64_t number);
void json_put_bool(struct json_writer *writer, const char *key, bool value);
void json_put_null(struct json_writer *writer, const char *key);
/* Wall clock, RFC 3339 in UTC with milliseconds. */
void json_put_time(struct json_writer *writer, const char *key, instant time);
/* JSON that somebody else wrote. */
void json_put_raw(struct json_writer *writer, const char *key, str json);

/* "..." with what JSON wants escaped. */
void json_quote(struct buf *buf, str text);
/* 2026-11-23T10:41:02.123Z */
enum {
    JSON_TIME_SIZE = 80
};
void json_format_time(instant time, char text[JSON_TIME_SIZE]);

enum json_type {
    JSON_NULL,
    JSON_BOOL,
    JSON_NUMBER,
    JSON_TEXT,
    JSON_ARRAY,
    JSON_OBJECT
};

struct json {
    enum json_type type;
    bool boolean;
    str key;            /* Of a member of an object. */
    str text;           /* TEXT: decoded; NUMBER: as it was written. */
    int64_t number;     /* NUMBER: when it is an integer that fits; otherwise 0. */
    struct json *first; /* ARRAY, OBJECT: the members in order. */
    struct json *next;
};

/* One value and nothing behind it but blanks.  ERR_SYNTAX, ERR_LIMIT (depth, arena). */
enum err json_parse(str text, struct arena *arena, struct json **value);
/* The member KEY of an object; NULL when there is none, or VALUE is NULL or no object. */
const struct json *json_get(const struct json *value, const char *key);
/* The same as a text or number or truth; empty, 0, false when it is not there or of another type.
 */
str json_get_text(const struct json *value, const char *key);
int64_t json_get_int(const struct json *value, const char *key);
bool json_get_bool(const struct json *value, const char *key);
