/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* egress.c: the words for SOCKS5 and PROXY proxies on our way out.  Start reading at
 * egress_connect(). */
#include "runtime/egress.h"

#include "base/must.h"
#include "runtime/stream.h"

#include <string.h>

enum {
    SOCKS5_VERSION = 5,
    SOCKS5_CONNECT = 1,
    SOCKS5_NO_LOGIN = 0,
    SOCKS5_USER_PASSWORD = 2,
    SOCKS5_IPV4 = 1,
    SOCKS5_NAME = 3,
    SOCKS5_IPV6 = 4,
    LOGIN_PART_MAX = 255
};

/* --- The pure parts. */

enum err
socks5_reply_size(str head, size_t *size)
{
    const uint8_t *bytes = (const uint8_t *)head.ptr;

    must(head.len >= SOCKS5_REPLY_HEAD);
    if (bytes[0] != SOCKS5_VERSION)
        return ERR_SYNTAX;
    switch (bytes[3]) {
    case SOCKS5_IPV4:
        *size = 4 + 4 + 2;
        return OK;
    case SOCKS5_IPV6:
        *size = 4 + 16 + 2;
        return OK;
    case SOCKS5_NAME:
        *size = 4 + 1 + (size_t)bytes[4] + 2;
        return OK;
    default:
        return ERR_SYNTAX;
    }
}

void
socks5_reply_parse(str reply, uint8_t *code, struct endpoint *bound)
{
    const uint8_t *bytes = (const uint8_t *)reply.ptr;
    const uint8_t *address = bytes + 4;

    *bound = (struct endpoint){};
    *code = bytes[1];
    if (bytes[3] == SOCKS5_NAME)
        return;
    if (bytes[3] == SOCKS5_IPV4)
        bound->addr = ipaddr_from_v4((uint32_t)address[0] << 24 | (uint32_t)address[1] << 16 |
                                     (uint32_t)address[2] << 8 | address[3]);
    else
        bound->addr = ipaddr_from_v6(address);
    bound->port = (uint16_t)(bytes[reply.len - 2] << 8 | bytes[reply.len - 1]);
}

const char *
socks5_reply_text(uint8_t code, enum err *e)
{
    /* clang-format off */
    static const struct {
        const char *text;
        enum err e;
    } codes[] = {
        [0] = { "connected", OK },
        [1] = { "general failure", ERR_UNREACHABLE },
        [2] = { "its rules do not allow it", ERR_REFUSED },
        [3] = { "network unreachable", ERR_UNREACHABLE },
        [4] = { "host unreachable", ERR_UNREACHABLE },
        [5] = { "connection refused", ERR_REFUSED },
        [6] = { "the time to live ran out", ERR_UNREACHABLE },
        [7] = { "it cannot connect at all", ERR_UNSUPPORTED },
        [8] = { "it does not know this kind of address", ERR_UNSUPPORTED },
    };
    /* clang-format on */

    if (code >= COUNT_OF(codes)) {
        *e = ERR_SYNTAX;
        return "an answer that does not exist";
    }
    *e = codes[code].e;
    return codes[code].text;
}

static size_t
put_address(ipaddr addr, uint8_t *bytes)
{
    if (ipaddr_is_v4(addr)) {
        memcpy(bytes, addr.bytes + 12, 4);
        return 4;
    }
    memcpy(bytes, addr.bytes, 16);
    return 16;
}

static size_t
put_port(uint16_t port, uint8_t *bytes)
{
    bytes[0] = (uint8_t)(port >> 8);
    bytes[1] = (uint8_t)port;
    return 2;
}

size_t
proxy_header_write(const ipaddr *from, const struct endpoint *to, uint8_t *bytes)
{
    static const uint8_t signature[12] = { 0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d,
                                           0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a };
    bool four = ipaddr_is_v4(to->addr);
    size_t size = 16;

    must(ipaddr_is_v4(*from) == four);
    memcpy(bytes, signature, sizeof(signature));
    bytes[12] = 0x21; /* Version 2, PROXY. */
    bytes[13] = four ? 0x11 : 0x21;
    bytes[14] = 0;
    bytes[15] = four ? 12 : 36;
    size += put_address(*from, bytes + size);
    size += put_address(to->addr, bytes + size);
    size += put_port(0, bytes + size);
    size += put_port(to->port, bytes + size);
    return size;
}

/* --- The conversation. */

WAITS static enum err
say(struct stream *stream, const uint8_t *bytes, size_t size)
{
    enum err e = stream_write(stream, (str){ (const char *)bytes, size });

    return e ? e : stream_flush(stream);
}

/* Exactly SIZE bytes, consumed. */
WAITS static enum err
hear(struct stream *stream, uint8_t *bytes, size_t size)
{
    str view;
    enum err e = stream_fill_at_least(stream, size, &view);

    if (e)
        return e;
    memcpy(bytes, view.ptr, size);
    stream_consume(stream, size);
    return OK;
}

WAITS static enum err
socks5_login(struct stream *stream, const struct egress *egress, struct why *why)
{
    uint8_t bytes[3 + 2 * LOGIN_PART_MAX];
    size_t size = 0;
    enum err e;

    if (egress->user.len > LOGIN_PART_MAX || egress->password.len > LOGIN_PART_MAX ||
        egress->password.len == 0)
        return err_why(why, ERR_LIMIT, "a login at a SOCKS5 proxy has 1 to 255 bytes");
    bytes[size++] = 1;
    bytes[size++] = (uint8_t)egress->user.len;
    memcpy(bytes + size, egress->user.ptr, egress->user.len);
    size += egress->user.len;
    bytes[size++] = (uint8_t)egress->password.len;
    memcpy(bytes + size, egress->password.ptr, egress->password.len);
    size += egress->password.len;
    e = say(stream, bytes, size);
    explicit_bzero(bytes, sizeof(bytes));
    if (!e)
        e = hear(stream, bytes, 2);
    if (!e && bytes[1] != 0)
        e = err_why(why, ERR_REFUSED, "the SOCKS5 proxy refuses the login");
    return e;
}

WAITS static enum err
socks5_method(struct stream *stream, const struct egress *egress, struct why *why)
{
    uint8_t wanted = egress->user.len ? SOCKS5_USER_PASSWORD : SOCKS5_NO_LOGIN;
    uint8_t bytes[3] = { SOCKS5_VERSION, 1, wanted };
    enum err e = say(stream, bytes, sizeof(bytes));

    if (!e)
        e = hear(stream, bytes, 2);
    if (e)
        return e;
    if (bytes[0] != SOCKS5_VERSION)
        return err_why(why, ERR_SYNTAX, "the proxy does not speak SOCKS5");
    if (bytes[1] != wanted)
        return err_why(why, ERR_REFUSED, "the SOCKS5 proxy %s",
                       egress->user.len ? "does not take a login by password" : "wants a login");
    return wanted == SOCKS5_USER_PASSWORD ? socks5_login(stream, egress, why) : OK;
}

WAITS static enum err
socks5_connect(struct stream *stream, const struct egress *egress, const struct endpoint *peer,
               struct endpoint *bound, struct why *why)
{
    uint8_t bytes[SOCKS5_REPLY_MAX];
    char to[IPADDR_TEXT_MAX + 8];
    const char *text;
    size_t size = 0;
    uint8_t code;
    str view;
    enum err e = socks5_method(stream, egress, why);

    if (e)
        return e;
    bytes[size++] = SOCKS5_VERSION;
    bytes[size++] = SOCKS5_CONNECT;
    bytes[size++] = 0;
    bytes[size++] = ipaddr_is_v4(peer->addr) ? SOCKS5_IPV4 : SOCKS5_IPV6;
    size += put_address(peer->addr, bytes + size);
    size += put_port(peer->port, bytes + size);
    e = say(stream, bytes, size);
    if (!e)
        e = stream_fill_at_least(stream, SOCKS5_REPLY_HEAD, &view);
    if (!e)
        e = socks5_reply_size(view, &size);
    if (e == ERR_SYNTAX)
        return err_why(why, e, "the proxy does not speak SOCKS5");
    if (!e)
        e = hear(stream, bytes, size);
    if (e)
        return e;
    socks5_reply_parse((str){ (const char *)bytes, size }, &code, bound);
    text = socks5_reply_text(code, &e);
    endpoint_format(peer, to);
    return e ? err_why(why, e, "the SOCKS5 proxy cannot connect to %s: %s", to, text) : OK;
}

enum err
egress_connect(const struct egress *egress, const struct endpoint *peer, instant deadline,
               struct stream **stream, struct why *why)
{
    OWN(stream) made = NULL;
    struct endpoint bound = {};
    uint8_t header[PROXY_HEADER_MAX];
    char at[IPADDR_TEXT_MAX + 8];
    struct why reason = {};
    enum err e;

    endpoint_format(&egress->proxy, at);
    if (egress->kind == EGRESS_PROXY &&
        (!egress->from || ipaddr_is_v4(*egress->from) != ipaddr_is_v4(peer->addr)))
        return err_why(why, ERR_UNREACHABLE, "the proxy %s has no address of this family", at);
    e = stream_connect(&egress->proxy, NULL, deadline, &made, &reason);
    if (e)
        return err_why(why, e, "the proxy: %s", reason.text);
    stream_set_deadline(made, deadline);
    if (egress->kind == EGRESS_PROXY)
        e = say(made, header, proxy_header_write(egress->from, peer, header));
    else
        e = socks5_connect(made, egress, peer, &bound, &reason);
    if (e)
        return reason.text[0] ? err_why(why, e, "%s", reason.text)
                              : err_why(why, e, "the proxy %s: %s", at, err_name(e));
    if (egress->kind == EGRESS_PROXY)
        bound.addr = *egress->from;
    stream_set_ends(made, &bound, peer);
    *stream = take(made);
    return OK;
}
