/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* fuzz_http.c: what a web service answers is bounded, and clean where it is shown. */
#include "fuzz.h"

#include "protocols/http/client.h"
#include "protocols/http/get.h"

#include <string.h>

enum {
    BODY_MAX = 64
};

/* clang-format off */
const str fuzz_seeds[] = {
    S("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"), S("HTTP/1.0 503 \r\nRetry-After: 120\r\n\r\n"),
    S("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 429 Slow\r\n"
      "Retry-After: Fri, 27 Nov 2026 10:00:00 GMT\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n"),
    S("HTTP/1.1 2000 No\r\n"), S("220 mx ESMTP\r\n"), S("HTTP/1.1 200\n: x\n\n"),
    S("HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n"
      "3;x=y\r\nhel\r\n2\r\nlo\r\n0\r\nTrailer: x\r\n\r\n"),
    S("HTTP/1.1 301 Go\r\nLocation: https://x/\r\n\r\nuntil the end"),
};
FUZZ_SEEDS_END;
/* clang-format on */

/* The body, in pieces of two sizes: the same comes of it. */
static void
check_body(const struct http_head *head, str input)
{
    struct http_body body;
    struct buf to[2];
    enum err e[2];

    for (size_t i = 0; i < 2; i++) {
        str rest = input;
        buf_init(&to[i], BODY_MAX);
        e[i] = http_body_begin(&body, head, &to[i]);
        for (size_t step = i ? 7 : 1; !e[i] && rest.len; rest = str_skip(rest, step))
            e[i] = http_body_add(&body, str_head(rest, step));
        if (!e[i])
            e[i] = http_body_end(&body);
        must(to[i].len <= BODY_MAX);
    }
    must(e[0] == e[1]);
    must(e[0] || str_eq(buf_str(&to[0]), buf_str(&to[1])));
    buf_done(&to[0]);
    buf_done(&to[1]);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    str input = { (const char *)data, size };
    struct http_head head = {};
    char text[HTTP_TEXT_MAX];
    enum err e = OK;

    http_clean(input, text);
    must(strlen(text) < HTTP_TEXT_MAX && str_is_printable(str_from(text)));
    while (!e && !head.complete && input.len) {
        ssize_t end = str_find(input, '\n');
        size_t length = end < 0 ? input.len : (size_t)end + 1;
        e = http_head_add_line(&head, str_head(input, length), SECONDS(1700000000));
        input = str_skip(input, length);
    }
    must(head.lines <= HTTP_LINES_MAX + 1);
    must(head.retry_after >= 0 && head.retry_after <= DAYS(1));
    must(!head.complete || (head.status >= 200 && head.status <= 999));
    must(str_is_printable(str_from(head.reason)));
    must(str_is_printable(str_from(head.content_type)));
    if (head.complete)
        check_body(&head, input);
    return 0;
}
