/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* ipaddr.c: the text forms of addresses, by the system's own inet_pton and inet_ntop. */
#include "base/ipaddr.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

static const uint8_t v4_prefix[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

bool
ipaddr_is_v4(ipaddr addr)
{
    return memcmp(addr.bytes, v4_prefix, sizeof(v4_prefix)) == 0;
}

bool
ipaddr_parse(str text, ipaddr *addr)
{
    char plain[IPADDR_TEXT_MAX];
    ipaddr parsed = {};

    if (text.len == 0 || text.len >= sizeof(plain) || str_find(text, '\0') >= 0)
        return false;
    memcpy(plain, text.ptr, text.len);
    plain[text.len] = '\0';
    if (str_find(text, ':') >= 0) {
        if (inet_pton(AF_INET6, plain, parsed.bytes) != 1)
            return false;
    } else {
        if (inet_pton(AF_INET, plain, parsed.bytes + 12) != 1)
            return false;
        memcpy(parsed.bytes, v4_prefix, sizeof(v4_prefix));
    }
    *addr = parsed;
    return true;
}

void
ipaddr_format(ipaddr addr, char text[IPADDR_TEXT_MAX])
{
    if (ipaddr_is_v4(addr))
        inet_ntop(AF_INET, addr.bytes + 12, text, IPADDR_TEXT_MAX);
    else
        inet_ntop(AF_INET6, addr.bytes, text, IPADDR_TEXT_MAX);
}

ipaddr
ipaddr_from_v4(uint32_t host_order)
{
    ipaddr addr;

    memcpy(addr.bytes, v4_prefix, sizeof(v4_prefix));
    for (size_t i = 0; i < 4; i++)
        addr.bytes[12 + i] = (uint8_t)(host_order >> (24 - 8 * i));
    return addr;
}

ipaddr
ipaddr_from_v6(const uint8_t bytes[16])
{
    ipaddr addr;

    memcpy(addr.bytes, bytes, sizeof(addr.bytes));
    return addr;
}

bool
ipaddr_eq(ipaddr a, ipaddr b)
{
    return memcmp(a.bytes, b.bytes, sizeof(a.bytes)) == 0;
}

bool
ipaddr_is_loopback(ipaddr addr)
{
    static const uint8_t v6[16] = { [15] = 1 };

    return ipaddr_is_v4(addr) ? addr.bytes[12] == 127 : memcmp(addr.bytes, v6, 16) == 0;
}

bool
ipaddr_is_any(ipaddr addr)
{
    static const uint8_t v6[16];

    return ipaddr_eq(addr, ipaddr_from_v4(0)) || memcmp(addr.bytes, v6, 16) == 0;
}

static bool
bit_at(ipaddr addr, unsigned bit)
{
    return (addr.bytes[bit / 8] >> (7 - bit % 8)) & 1;
}

bool
network_parse(str text, struct network *network)
{
    str addr_text, bits_text;
    struct network parsed;
    uint64_t bits;
    bool has_bits = str_split(text, '/', &addr_text, &bits_text);
    unsigned offset;

    if (!ipaddr_parse(addr_text, &parsed.addr))
        return false;
    offset = ipaddr_is_v4(parsed.addr) ? 96 : 0;
    if (!has_bits)
        bits = 128 - offset;
    else if (!str_to_u64(bits_text, &bits) || bits > 128 - offset)
        return false;
    parsed.bits = (unsigned)bits + offset;
    for (unsigned bit = parsed.bits; bit < 128; bit++)
        if (bit_at(parsed.addr, bit))
            return false;
    *network = parsed;
    return true;
}

bool
network_holds(const struct network *network, ipaddr addr)
{
    unsigned whole = network->bits / 8;

    if (memcmp(network->addr.bytes, addr.bytes, whole) != 0)
        return false;
    for (unsigned bit = whole * 8; bit < network->bits; bit++)
        if (bit_at(network->addr, bit) != bit_at(addr, bit))
            return false;
    return true;
}

bool
endpoint_parse(str text, struct endpoint *endpoint)
{
    ssize_t colon = str_find_last(text, ':');
    struct endpoint parsed = {};
    uint64_t port;
    str addr;

    if (colon < 0 || !str_to_u64(str_skip(text, (size_t)colon + 1), &port) || port > UINT16_MAX)
        return false;
    addr = str_head(text, (size_t)colon);
    if (addr.len >= 2 && addr.ptr[0] == '[' && addr.ptr[addr.len - 1] == ']')
        addr = str_head(str_skip(addr, 1), addr.len - 2);
    else if (str_find(addr, ':') >= 0)
        return false;
    if (addr.len && !ipaddr_parse(addr, &parsed.addr))
        return false;
    parsed.port = (uint16_t)port;
    *endpoint = parsed;
    return true;
}

void
endpoint_format(const struct endpoint *endpoint, char text[IPADDR_TEXT_MAX + 8])
{
    char addr[IPADDR_TEXT_MAX];

    ipaddr_format(endpoint->addr, addr);
    snprintf(text, IPADDR_TEXT_MAX + 8, ipaddr_is_v4(endpoint->addr) ? "%s:%u" : "[%s]:%u", addr,
             endpoint->port);
}
