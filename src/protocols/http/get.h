/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* get.h: one small text over HTTP/1.1: a GET that follows nobody elsewhere.
 *
 * As for a POST (client.h), the stream is connected and of no use afterwards.
 */
#pragma once

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "protocols/http/client.h"

struct stream;

/* Asks HOST for TARGET, within the deadline of the stream.  OK: a whole answer came, whatever its
 * status; its text is in BODY, whose maximum is the ceiling.  ERR_LIMIT: it is longer.  ERR_SYNTAX
 * (not HTTP), ERR_CLOSED, ERR_TIMEOUT, ERR_CANCELLED. */
WAITS enum err http_get(struct stream *stream, str host, str target, struct http_head *head,
                        struct buf *body);

/* The parser of what follows a head, pure; bytes may come in any pieces. */
enum http_body_state {
    HTTP_BODY_LENGTH, /* So many bytes more. */
    HTTP_BODY_UNTIL_END,
    HTTP_BODY_CHUNK_SIZE,
    HTTP_BODY_CHUNK,
    HTTP_BODY_CHUNK_END,
    HTTP_BODY_TRAILER,
    HTTP_BODY_DONE,
};

enum {
    HTTP_CHUNK_LINE_MAX = 256
};

struct http_body {
    enum http_body_state state;
    uint64_t left; /* Of a length or a chunk. */
    unsigned lines;
    struct buf *to;
    char line[HTTP_CHUNK_LINE_MAX];
    size_t line_len;
};

/* ERR_LIMIT: it is said to be longer than TO can be. */
enum err http_body_begin(struct http_body *body, const struct http_head *head, struct buf *to);
/* ERR_SYNTAX, ERR_LIMIT.  What comes after the end is passed over. */
enum err http_body_add(struct http_body *body, str bytes);
/* The stream has ended.  ERR_CLOSED: too early. */
enum err http_body_end(const struct http_body *body);
