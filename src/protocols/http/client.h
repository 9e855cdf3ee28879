/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* client.h: one POST over HTTP/1.1 (RFC 9110, 9112), for mail that a web service takes.
 *
 * The stream is connected, with TLS where that is wanted, and of no use afterwards: the request
 * says `Connection: close`.  What the server says is bounded, and its text is cleaned.
 */
#pragma once

#include "base/base.h"
#include "base/err.h"
#include "base/instant.h"
#include "base/str.h"

struct stream;

enum {
    HTTP_LINE_MAX = 8192,
    HTTP_LINES_MAX = 200, /* Of all heads before the final one's end. */
    HTTP_TEXT_MAX = 300,
    HTTP_TYPE_MAX = 80
};

struct http_request {
    str target; /* "/hook?a=b" */
    str host;   /* For the Host field; with the port where it is not the usual one. */
    str content_type;
    str fields; /* More header fields, each with its CRLF. */
    uint64_t content_length;
    WAITS enum err (*write_body)(void *arg, struct stream *stream); /* Exactly that much. */
    void *arg;
    duration write_timeout; /* For the request. */
    duration reply_timeout; /* For the answer, from the request's end on. */
};

struct http_reply {
    unsigned status;      /* 200 to 999. */
    duration retry_after; /* 0: not said. */
    char
        text[HTTP_TEXT_MAX]; /* The beginning of the body, or the reason phrase: printable ASCII. */
};

/* OK: a reply came.  *SENT: the whole request had been sent, so that on an error nobody knows
 * whether it was obeyed.  ERR_SYNTAX (not HTTP), ERR_LIMIT, ERR_CLOSED, ERR_TIMEOUT, ERR_CANCELLED,
 * and what WRITE_BODY returns. */
WAITS enum err http_post(struct stream *stream, const struct http_request *request,
                         struct http_reply *reply, bool *sent);

/* The parser, pure.  A head is read line by line: */
struct http_head {
    unsigned status; /* 0: the status line has not come yet. */
    unsigned lines;
    bool complete;
    bool chunked;
    bool has_length;
    uint64_t length;
    duration retry_after;
    char reason[HTTP_TEXT_MAX];
    char content_type[HTTP_TYPE_MAX]; /* Without parameters: "text/plain". */
};
/* LINE with its end.  NOW (wall clock) is what a Retry-After date is held against.  After an
 * interim head (1xx) it begins anew.  ERR_SYNTAX, ERR_LIMIT. */
enum err http_head_add_line(struct http_head *head, str line, instant now);
/* BYTES as printable ASCII in one line, cut to HTTP_TEXT_MAX. */
void http_clean(str bytes, char text[HTTP_TEXT_MAX]);
