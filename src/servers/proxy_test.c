/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* proxy_test.c: headers of the PROXY protocol. */
#include "servers/proxy.h"

#include "check.h"

static const str v4_header = { "\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c", 16 };
static const str v4_addresses = { "\xc0\x00\x02\x01\xc6\x33\x64\x02\x30\x39\x00\x19", 12 };

static void
a_tcp4_header_names_the_client(void)
{
    struct endpoint source;
    size_t size;
    bool known;
    char text[IPADDR_TEXT_MAX + 8];

    CHECK(proxy_parse_header(v4_header, &size) == OK && size == 12);
    CHECK(proxy_parse_addresses(v4_header, v4_addresses, &known, &source) == OK && known);
    endpoint_format(&source, text);
    CHECK_STR(str_from(text), "192.0.2.1:12345");
}

static void
a_local_header_leaves_the_peer(void)
{
    str header = { "\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00", 16 };
    struct endpoint source;
    size_t size;
    bool known;

    CHECK(proxy_parse_header(header, &size) == OK && size == 0);
    CHECK(proxy_parse_addresses(header, S(""), &known, &source) == OK && !known);
}

static void
anything_else_is_refused(void)
{
    struct endpoint source;
    size_t size;
    bool known;

    CHECK(proxy_parse_header(S("PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n"), &size) == ERR_SYNTAX);
    CHECK(proxy_parse_header((str){ "\r\n\r\n\0\r\nQUIT\n\x31\x11\x00\x0c", 16 }, &size) ==
          ERR_SYNTAX);
    CHECK(proxy_parse_header((str){ "\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff", 16 }, &size) ==
          ERR_LIMIT);
    CHECK(proxy_parse_addresses(v4_header, str_head(v4_addresses, 11), &known, &source) ==
          ERR_SYNTAX);
}

int
main(void)
{
    RUN(a_tcp4_header_names_the_client);
    RUN(a_local_header_leaves_the_peer);
    RUN(anything_else_is_refused);
    return check_end();
}
