/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* get.c: a GET and its whole answer; start reading at http_get(). */
#include "protocols/http/get.h"

#include "runtime/clock.h"
#include "runtime/stream.h"

/* --- The body. */

enum err
http_body_begin(struct http_body *body, const struct http_head *head, struct buf *to)
{
    bool has_none = head->status == 204 || head->status == 304;

    *body = (struct http_body){ .to = to, .state = HTTP_BODY_UNTIL_END };
    if (has_none || (!head->chunked && head->has_length && head->length == 0)) {
        body->state = HTTP_BODY_DONE;
    } else if (head->chunked) {
        body->state = HTTP_BODY_CHUNK_SIZE;
    } else if (head->has_length) {
        body->state = HTTP_BODY_LENGTH;
        body->left = head->length;
        if (head->length > to->max)
            return ERR_LIMIT;
    }
    return OK;
}

static enum err
take_bytes(struct http_body *body, str *bytes)
{
    str piece = *bytes;

    if (body->state != HTTP_BODY_UNTIL_END)
        piece = str_head(piece, (size_t)MIN(body->left, (uint64_t)piece.len));
    buf_add(body->to, piece);
    if (!buf_ok(body->to))
        return ERR_LIMIT;
    *bytes = str_skip(*bytes, piece.len);
    if (body->state == HTTP_BODY_UNTIL_END)
        return OK;
    body->left -= piece.len;
    if (body->left == 0)
        body->state = body->state == HTTP_BODY_LENGTH ? HTTP_BODY_DONE : HTTP_BODY_CHUNK_END;
    return OK;
}

/* Hexadecimal, and perhaps extensions behind a semicolon. */
static enum err
read_size(struct http_body *body, str line)
{
    uint64_t size = 0;
    size_t digits = 0;

    while (digits < line.len && ascii_hex(line.ptr[digits]) >= 0 && digits < 8)
        size = size * 16 + (uint64_t)ascii_hex(line.ptr[digits++]);
    line = str_trim(str_skip(line, digits));
    if (digits == 0 || (line.len && line.ptr[0] != ';'))
        return ERR_SYNTAX;
    if (size > body->to->max - body->to->len)
        return ERR_LIMIT;
    body->left = size;
    body->state = size ? HTTP_BODY_CHUNK : HTTP_BODY_TRAILER;
    return OK;
}

static enum err
end_line(struct http_body *body)
{
    str line = { body->line, body->line_len };

    if (str_ends(line, S("\r")))
        line.len--;
    body->line_len = 0;
    if (++body->lines > HTTP_LINES_MAX)
        return ERR_LIMIT;
    switch (body->state) {
    case HTTP_BODY_CHUNK_SIZE:
        return read_size(body, line);
    case HTTP_BODY_CHUNK_END:
        body->state = HTTP_BODY_CHUNK_SIZE;
        return line.len ? ERR_SYNTAX : OK;
    default:
        if (!line.len)
            body->state = HTTP_BODY_DONE;
        return OK;
    }
}

static enum err
take_line(struct http_body *body, str *bytes)
{
    char byte = bytes->ptr[0];

    *bytes = str_skip(*bytes, 1);
    if (byte == '\n')
        return end_line(body);
    if (body->line_len == sizeof(body->line))
        return ERR_LIMIT;
    body->line[body->line_len++] = byte;
    return OK;
}

enum err
http_body_add(struct http_body *body, str bytes)
{
    enum err e = OK;

    while (!e && bytes.len && body->state != HTTP_BODY_DONE) {
        bool has_bytes = body->state == HTTP_BODY_LENGTH || body->state == HTTP_BODY_CHUNK ||
                         body->state == HTTP_BODY_UNTIL_END;
        e = has_bytes ? take_bytes(body, &bytes) : take_line(body, &bytes);
    }
    return e;
}

enum err
http_body_end(const struct http_body *body)
{
    return body->state == HTTP_BODY_DONE || body->state == HTTP_BODY_UNTIL_END ? OK : ERR_CLOSED;
}

/* --- The conversation. */

WAITS static enum err
ask(struct stream *stream, str host, str target)
{
    struct buf request;
    enum err e;

    buf_init(&request, 4096);
    buf_addf(&request,
             "GET %.*s HTTP/1.1\r\nHost: %.*s\r\nUser-Agent: outpost\r\nAccept: */*\r\n"
             "Connection: close\r\n\r\n",
             STR_ARG(target), STR_ARG(host));
    e = buf_ok(&request) ? stream_write(stream, buf_str(&request)) : ERR_LIMIT;
    buf_done(&request);
    return e ? e : stream_flush(stream);
}

WAITS static enum err
read_body(struct stream *stream, struct http_body *body)
{
    enum err e = OK;
    str bytes;

    while (!e && body->state != HTTP_BODY_DONE) {
        e = stream_fill(stream, &bytes);
        if (e == ERR_CLOSED)
            return http_body_end(body);
        if (!e)
            e = http_body_add(body, bytes);
        if (!e)
            stream_consume(stream, bytes.len);
    }
    return e;
}

enum err
http_get(struct stream *stream, str host, str target, struct http_head *head, struct buf *body)
{
    struct http_body reading;
    enum err e = ask(stream, host, target);
    str line;

    *head = (struct http_head){};
    while (!e && !head->complete) {
        e = stream_read_line(stream, HTTP_LINE_MAX, &line);
        if (!e)
            e = http_head_add_line(head, line, clock_now());
    }
    if (!e)
        e = http_body_begin(&reading, head, body);
    return e ? e : read_body(stream, &reading);
}
