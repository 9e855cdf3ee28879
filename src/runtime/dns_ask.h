/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* dns_ask.h: a question to one server that is named, past the resolver and its cache.
 *
 * For those who want to know what that server says at this moment: whether every server of a zone
 * has a record already.  Nothing is validated.  By UDP with a random port and id, again by TCP when
 * the answer was cut.
 */
#pragma once

#include "base/arena.h"
#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/instant.h"
#include "base/ipaddr.h"
#include "base/str.h"
#include "runtime/dns.h"

enum {
    DNS_MESSAGE_MAX = 65535,
    DNS_UDP_MAX = 1232, /* What we say that we take: RFC 9715 2.2. */
};

/* As dns_lookup().  That the server does not answer, or refuses, is DNS_TEMPORARY. */
WAITS enum err dns_ask(struct arena *arena, const struct endpoint *server, str name,
                       enum dns_type type, instant deadline, struct dns_answer *answer);

/* Sends MESSAGE to SERVER by TCP and takes one message back, in ARENA.  ERR_TIMEOUT, ERR_CLOSED,
 * ERR_UNREACHABLE, ERR_REFUSED, ERR_LIMIT. */
WAITS enum err dns_exchange(struct arena *arena, const struct endpoint *server, str message,
                            instant deadline, str *answer, struct why *why);

/* For writers of messages: big-endian numbers, and NAME (as of dns_name_normalize()) as labels. */
void dns_add_u16(struct buf *buf, unsigned value);
void dns_add_u32(struct buf *buf, uint32_t value);
void dns_add_name(struct buf *buf, str name);
