/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* client.c: a POST and its answer; start reading at http_post(). */
#include "protocols/http/client.h"

#include "base/buf.h"
#include "formats/date.h"
#include "runtime/clock.h"
#include "runtime/stream.h"

#include <string.h>

static const duration retry_after_max = DAYS(1);

void
http_clean(str bytes, char text[HTTP_TEXT_MAX])
{
    size_t len = 0;

    bytes = str_trim(bytes);
    for (size_t i = 0; i < bytes.len && len < HTTP_TEXT_MAX - 1; i++) {
        char c = bytes.ptr[i];
        if (c == '\n' || c == '\r' || c == '\t')
            c = ' ';
        else if (c < 0x20 || c > 0x7e)
            c = '?';
        if (c != ' ' || (len > 0 && text[len - 1] != ' '))
            text[len++] = c;
    }
    text[len] = '\0';
}

/* "HTTP/1.1 200 OK" */
static enum err
add_status_line(struct http_head *head, str line)
{
    uint64_t status;

    if (!str_starts(line, S("HTTP/1.")) || line.len < 12 || line.ptr[8] != ' ' ||
        !str_to_u64(str_head(str_skip(line, 9), 3), &status) || status < 100)
        return ERR_SYNTAX;
    if (line.len > 12 && line.ptr[12] != ' ')
        return ERR_SYNTAX;
    head->status = (unsigned)status;
    http_clean(str_skip(line, 12), head->reason);
    return OK;
}

static void
take_retry_after(struct http_head *head, str value, instant now)
{
    uint64_t seconds;
    instant when;

    if (str_to_u64(value, &seconds))
        head->retry_after = SECONDS((duration)MIN(seconds, 86400U));
    else if (!date_parse(value, &when) && when > now)
        head->retry_after = when - now;
    head->retry_after = MIN(head->retry_after, retry_after_max);
}

/* Cut where a type of a sensible length would have ended long ago. */
static void
take_type(struct http_head *head, str value)
{
    str type, parameters;

    (void)str_split(value, ';', &type, &parameters);
    type = str_head(str_trim(type), sizeof(head->content_type) - 1);
    if (!str_is_printable(type))
        type = S("");
    if (type.len)
        memcpy(head->content_type, type.ptr, type.len);
    head->content_type[type.len] = '\0';
}

static enum err
add_field(struct http_head *head, str line, instant now)
{
    str name, value;

    if (!str_split(line, ':', &name, &value) || name.len == 0)
        return ERR_SYNTAX;
    value = str_trim(value);
    if (str_eq_nocase(name, S("Retry-After")))
        take_retry_after(head, value, now);
    else if (str_eq_nocase(name, S("Content-Type")))
        take_type(head, value);
    else if (str_eq_nocase(name, S("Content-Length")))
        head->has_length = str_to_u64(value, &head->length);
    else if (str_eq_nocase(name, S("Transfer-Encoding")))
        head->chunked = str_ends_nocase(value, S("chunked"));
    return OK;
}

enum err
http_head_add_line(struct http_head *head, str line, instant now)
{
    if (head->lines++ >= HTTP_LINES_MAX || line.len > HTTP_LINE_MAX)
        return ERR_LIMIT;
    if (str_ends(line, S("\n")))
        line.len--;
    if (str_ends(line, S("\r")))
        line.len--;
    if (head->status == 0)
        return add_status_line(head, line);
    if (line.len > 0)
        return add_field(head, line, now);
    if (head->status >= 200)
        head->complete = true;
    else
        *head = (struct http_head){ .lines = head->lines };
    return OK;
}

WAITS static enum err
write_request(struct stream *stream, const struct http_request *request)
{
    struct buf head;
    enum err e;

    buf_init(&head, 1 << 20);
    buf_addf(&head, "POST %.*s HTTP/1.1\r\nHost: %.*s\r\nUser-Agent: outpost\r\n",
             STR_ARG(request->target), STR_ARG(request->host));
    buf_addf(&head, "Content-Type: %.*s\r\nContent-Length: %llu\r\nConnection: close\r\n",
             STR_ARG(request->content_type), (unsigned long long)request->content_length);
    buf_add(&head, request->fields);
    buf_add(&head, S("\r\n"));
    e = buf_ok(&head) ? stream_write(stream, buf_str(&head)) : ERR_LIMIT;
    buf_done(&head);
    if (!e)
        e = request->write_body(request->arg, stream);
    if (!e)
        e = stream_flush(stream);
    return e;
}

WAITS static enum err
read_head(struct stream *stream, struct http_head *head)
{
    enum err e = OK;
    str line;

    while (!e && !head->complete) {
        e = stream_read_line(stream, HTTP_LINE_MAX, &line);
        if (!e)
            e = http_head_add_line(head, line, clock_now());
    }
    return e;
}

/* What of the body comes at once will do for a text.  That it does not come is no failure. */
WAITS static void
read_text(struct stream *stream, const struct http_head *head, struct http_reply *reply)
{
    str bytes = S("");

    memcpy(reply->text, head->reason, sizeof(reply->text));
    if (head->has_length && head->length == 0)
        return;
    if (head->chunked && stream_read_line(stream, HTTP_LINE_MAX, &bytes))
        return;
    if (stream_fill(stream, &bytes))
        return;
    if (head->chunked)
        (void)str_split(bytes, '\r', &bytes, &(str){});
    if (head->has_length)
        bytes = str_head(bytes, (size_t)MIN(head->length, (uint64_t)bytes.len));
    if (bytes.len > 0)
        http_clean(bytes, reply->text);
}

enum err
http_post(struct stream *stream, const struct http_request *request, struct http_reply *reply,
          bool *sent)
{
    struct http_head head = {};
    enum err e;

    *sent = false;
    stream_set_deadline(stream, deadline_in(request->write_timeout));
    e = write_request(stream, request);
    if (e)
        return e;
    *sent = true;
    stream_set_deadline(stream, deadline_in(request->reply_timeout));
    e = read_head(stream, &head);
    if (e)
        return e;
    *reply = (struct http_reply){ .status = head.status, .retry_after = head.retry_after };
    stream_set_deadline(stream, deadline_in(MIN(request->reply_timeout, SECONDS(5))));
    read_text(stream, &head, reply);
    return OK;
}
