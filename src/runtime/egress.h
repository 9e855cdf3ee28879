/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* egress.h: connections that somebody else makes for us.
 *
 * SOCKS5 (RFC 1928, login RFC 1929): the proxy is told the peer's address, connects, and says how
 * that went.  Which of its addresses it uses is its own affair; it may tell.
 *
 * PROXY (the PROXY protocol, version 2, towards the proxy): the first bytes say from which of its
 * addresses the proxy shall connect (source) and to whom (destination).  It says nothing back:
 * where it cannot connect it closes.
 *
 * Either way the stream's peer is then the peer itself, and the time for both connections together
 * is the deadline's.
 */
#pragma once

#include "base/base.h"
#include "base/err.h"
#include "base/instant.h"
#include "base/ipaddr.h"
#include "base/str.h"

struct stream;

enum egress_kind {
    EGRESS_SOCKS5,
    EGRESS_PROXY
};

struct egress {
    enum egress_kind kind;
    struct endpoint proxy;
    const ipaddr *from; /* PROXY: of the peer's family. */
    str user;           /* SOCKS5; empty: no login.  At most 255 bytes, as the password. */
    str password;
};

/* As stream_connect(), and ERR_REFUSED when the proxy does not let us in, ERR_SYNTAX when it does
 * not speak as it should. */
WAITS enum err egress_connect(const struct egress *egress, const struct endpoint *peer,
                              instant deadline, struct stream **stream, struct why *why);

enum {
    SOCKS5_REPLY_HEAD = 5,
    SOCKS5_REPLY_MAX = 4 + 1 + 255 + 2,
    PROXY_HEADER_MAX = 52
};
/* How long a reply is that begins with these SOCKS5_REPLY_HEAD bytes.  ERR_SYNTAX.  Pure, as the
 * rest. */
enum err socks5_reply_size(str head, size_t *size);
/* REPLY has that size.  *CODE 0: connected; BOUND is zero where the proxy does not tell. */
void socks5_reply_parse(str reply, uint8_t *code, struct endpoint *bound);
/* What CODE says, and which error it is. */
const char *socks5_reply_text(uint8_t code, enum err *e);
/* Into BYTES, of PROXY_HEADER_MAX; the size. */
size_t proxy_header_write(const ipaddr *from, const struct endpoint *to, uint8_t *bytes);
