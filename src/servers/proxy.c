/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* proxy.c: PROXY protocol version 2, from haproxy's doc/proxy-protocol.txt, section 2.2.
 *
 * Twelve octets of signature, version and command, family, length of the rest; then the addresses
 * and extensions, which are skipped.
 */
#include "servers/proxy.h"

#include "config/config.h"
#include "runtime/stream.h"

#include <string.h>

enum {
    VERSION_AND_LOCAL = 0x20,
    VERSION_AND_PROXY = 0x21
};
enum {
    FAMILY_TCP4 = 0x11,
    FAMILY_TCP6 = 0x21
};
enum {
    TCP4_SIZE = 12,
    TCP6_SIZE = 36
};

static const char signature[12] = "\r\n\r\n\0\r\nQUIT\n";

static unsigned
u16_at(str bytes, size_t at)
{
    return (unsigned)(unsigned char)bytes.ptr[at] << 8 | (unsigned char)bytes.ptr[at + 1];
}

enum err
proxy_parse_header(str header, size_t *addresses_size)
{
    unsigned command;

    if (header.len < PROXY_HEADER_SIZE || memcmp(header.ptr, signature, sizeof(signature)))
        return ERR_SYNTAX;
    command = (unsigned char)header.ptr[12];
    if (command != VERSION_AND_LOCAL && command != VERSION_AND_PROXY)
        return ERR_SYNTAX;
    if (u16_at(header, 14) > PROXY_ADDRESSES_MAX)
        return ERR_LIMIT;
    *addresses_size = u16_at(header, 14);
    return OK;
}

enum err
proxy_parse_addresses(str header, str addresses, bool *known, struct endpoint *source)
{
    unsigned family = (unsigned char)header.ptr[13];
    const uint8_t *bytes = (const uint8_t *)addresses.ptr;

    *known = false;
    if ((unsigned char)header.ptr[12] == VERSION_AND_LOCAL)
        return OK;
    if (family == FAMILY_TCP4) {
        if (addresses.len < TCP4_SIZE)
            return ERR_SYNTAX;
        source->addr = ipaddr_from_v4((uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 |
                                      (uint32_t)bytes[2] << 8 | bytes[3]);
        source->port = (uint16_t)u16_at(addresses, 8);
        *known = true;
    } else if (family == FAMILY_TCP6) {
        if (addresses.len < TCP6_SIZE)
            return ERR_SYNTAX;
        source->addr = ipaddr_from_v6(bytes);
        source->port = (uint16_t)u16_at(addresses, 32);
        *known = true;
    }
    return OK;
}

static bool
is_listed(const struct config_networks *proxies, ipaddr addr)
{
    for (size_t i = 0; proxies && i < proxies->count; i++) {
        if (network_holds(&proxies->items[i], addr))
            return true;
    }
    return false;
}

enum err
proxy_read_header(struct stream *stream, const struct config_networks *proxies)
{
    struct endpoint source;
    size_t size;
    bool known;
    enum err e;
    str bytes;

    if (!is_listed(proxies, stream_peer(stream)->addr))
        return OK;
    e = stream_fill_at_least(stream, PROXY_HEADER_SIZE, &bytes);
    if (e)
        return e;
    e = proxy_parse_header(bytes, &size);
    if (e)
        return e;
    e = stream_fill_at_least(stream, PROXY_HEADER_SIZE + size, &bytes);
    if (e)
        return e;
    e = proxy_parse_addresses(bytes, str_head(str_skip(bytes, PROXY_HEADER_SIZE), size), &known,
                              &source);
    if (e)
        return e;
    stream_consume(stream, PROXY_HEADER_SIZE + size);
    if (known)
        stream_set_peer(stream, &source);
    return OK;
}
