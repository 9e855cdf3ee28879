/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* ipaddr.h: an IPv4 or IPv6 address, with a port or a network's length beside it. */
#pragma once

#include "base/base.h"
#include "base/str.h"

enum { IPADDR_TEXT_MAX = 46 };

/* 16 bytes; IPv4 stands as ::ffff:a.b.c.d. */
typedef struct ipaddr {
    uint8_t bytes[16];
} ipaddr;

struct endpoint {
    ipaddr addr;
    uint16_t port;
};

struct network {
    ipaddr addr;
    unsigned bits; /* Counted in the 128-bit form: 10.0.0.0/8 has 104. */
};

bool ipaddr_parse(str text, ipaddr *addr); /* "192.0.2.1" or "2001:db8::1"; no brackets, no zone. */
void ipaddr_format(ipaddr addr, char text[IPADDR_TEXT_MAX]);
ipaddr ipaddr_from_v4(uint32_t host_order);
ipaddr ipaddr_from_v6(const uint8_t bytes[16]);
bool ipaddr_is_v4(ipaddr addr);
bool ipaddr_eq(ipaddr a, ipaddr b);
bool ipaddr_is_loopback(ipaddr addr);
bool ipaddr_is_any(ipaddr addr); /* 0.0.0.0 or :: */

/* "10.0.0.0/8", "2001:db8::/32", or one address.  False on bits below the mask. */
bool network_parse(str text, struct network *network);
bool network_holds(const struct network *network, ipaddr addr);

/* "192.0.2.1:25", "[2001:db8::1]:25", ":25" (any IPv6 and IPv4) */
bool endpoint_parse(str text, struct endpoint *endpoint);
void endpoint_format(const struct endpoint *endpoint, char text[IPADDR_TEXT_MAX + 8]);
