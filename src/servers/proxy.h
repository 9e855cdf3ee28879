/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* proxy.h: the PROXY protocol, version 2: a load balancer says who is behind it. */
#pragma once

#include "base/base.h"
#include "base/err.h"
#include "base/ipaddr.h"
#include "base/str.h"

struct config_networks;
struct stream;

/* From a peer in PROXIES, reads the header that must come first and makes its source the stream's
 * peer; from anybody else, does nothing.  ERR_SYNTAX without a proper header. */
WAITS enum err proxy_read_header(struct stream *stream, const struct config_networks *proxies);

/* The address block of a header: FAMILY is its 14th octet.  Pure, for tests.  KNOWN is false for
 * LOCAL and for families other than TCP: the peer stays who it was. */
enum {
    PROXY_HEADER_SIZE = 16,
    PROXY_ADDRESSES_MAX = 2048
};
enum err proxy_parse_header(str header, size_t *addresses_size);
enum err proxy_parse_addresses(str header, str addresses, bool *known, struct endpoint *source);
