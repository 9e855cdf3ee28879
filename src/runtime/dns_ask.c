/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* dns_ask.c: one question, one server.  RFC 1035 4, RFC 6891 (EDNS), RFC 7766 (TCP).
 *
 * An answer counts when it comes from the server that was asked (the socket is connected), has the
 * id and repeats the question; others are passed over until the time is up.  The question is sent
 * again, each time with more patience.  Start reading at dns_ask().
 */
#include "runtime/dns_ask.h"

#include "runtime/clock.h"
#include "runtime/dns_wire.h"
#include "runtime/sim_world.h"
#include "runtime/stream.h"
#include "runtime/wait.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    HEADER_SIZE = 12,
    QUESTION_MAX = 300,
    TRIES = 3,
    CLASS_IN = 1,
    TYPE_OPT = 41,
    DNS_PORT = 53,
    RCODE_NXDOMAIN = 3,
    STRAYS_MAX = 64, /* Datagrams that are no answer to us, for each try. */
};

void
dns_add_u16(struct buf *buf, unsigned value)
{
    buf_add_byte(buf, (char)(value >> 8));
    buf_add_byte(buf, (char)value);
}

void
dns_add_u32(struct buf *buf, uint32_t value)
{
    dns_add_u16(buf, value >> 16);
    dns_add_u16(buf, value & 0xffff);
}

void
dns_add_name(struct buf *buf, str name)
{
    while (name.len) {
        ssize_t dot = str_find(name, '.');
        str label = dot < 0 ? name : str_head(name, (size_t)dot);
        buf_add_byte(buf, (char)label.len);
        buf_add(buf, label);
        name = str_skip(name, label.len + 1);
    }
    buf_add_byte(buf, '\0');
}

struct question {
    unsigned id;
    enum dns_type type;
    size_t asked; /* Bytes of header and question, which an answer repeats from HEADER_SIZE on. */
    struct buf message;
};

static void
write_question(struct question *question, str name, enum dns_type type)
{
    struct buf *message = &question->message;
    uint16_t id;

    random_bytes(&id, sizeof(id));
    question->id = id;
    question->type = type;
    buf_init(message, QUESTION_MAX);
    dns_add_u16(message, id);
    dns_add_u16(message, 0x0100); /* Recursion desired: a resolver needs it, a zone's server does
                                     not mind. */
    dns_add_u16(message, 1);
    dns_add_u32(message, 0);
    dns_add_u16(message, 1);
    dns_add_name(message, name);
    dns_add_u16(message, type);
    dns_add_u16(message, CLASS_IN);
    question->asked = message->len;
    dns_add_name(message, S(""));
    dns_add_u16(message, TYPE_OPT);
    dns_add_u16(message, DNS_UDP_MAX);
    dns_add_u32(message, 0);
    dns_add_u16(message, 0);
}

/* Whether PACKET is the answer to QUESTION. */
static bool
is_answer(const struct question *question, str packet)
{
    const uint8_t *bytes = (const uint8_t *)packet.ptr;
    size_t repeated = question->asked - HEADER_SIZE;

    if (packet.len < HEADER_SIZE || ((unsigned)bytes[0] << 8 | bytes[1]) != question->id ||
        !(bytes[2] & 0x80))
        return false;
    /* Some servers leave the question away when they refuse. */
    if (!bytes[4] && !bytes[5])
        return (bytes[3] & 15) != 0;
    return str_eq_nocase(str_head(str_skip(packet, HEADER_SIZE), repeated),
                         str_head(str_skip(buf_str(&question->message), HEADER_SIZE), repeated));
}

/* --- UDP. */

static enum err
open_udp(const struct endpoint *server, int *result)
{
    unsigned port = server->port ? server->port : DNS_PORT;
    struct sockaddr_in6 six = { .sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port) };
    struct sockaddr_in four = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
    bool is_four = ipaddr_is_v4(server->addr);
    int fd = socket(is_four ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int failed;

    if (fd < 0)
        return err_from_errno(errno);
    memcpy(&six.sin6_addr, server->addr.bytes, 16);
    memcpy(&four.sin_addr, server->addr.bytes + 12, 4);
    failed = is_four ? connect(fd, (struct sockaddr *)&four, sizeof(four))
                     : connect(fd, (struct sockaddr *)&six, sizeof(six));
    if (failed) {
        close(fd);
        return ERR_UNREACHABLE;
    }
    *result = fd;
    return OK;
}

/* The answer, in ROOM; ERR_TIMEOUT, ERR_UNREACHABLE (nobody listens there), ERR_CANCELLED. */
WAITS static enum err
receive(int fd, const struct question *question, instant until, char *room, size_t *size)
{
    for (int strays = 0; strays < STRAYS_MAX;) {
        ssize_t got = recv(fd, room, DNS_UDP_MAX, 0);
        enum err e;
        if (got >= 0) {
            *size = (size_t)got;
            if (is_answer(question, (str){ room, *size }))
                return OK;
            strays++;
            continue;
        }
        if (errno == EINTR)
            continue;
        if (errno != EAGAIN && errno != EWOULDBLOCK)
            return ERR_UNREACHABLE;
        e = wait_fd(fd, false, until);
        if (e)
            return e;
    }
    return ERR_TIMEOUT;
}

WAITS static enum err
ask_by_udp(const struct question *question, const struct endpoint *server, instant deadline,
           char *room, size_t *size)
{
    enum err e = ERR_TIMEOUT;
    int fd = -1;

    for (int i = 0; i < TRIES && e == ERR_TIMEOUT && clock_steady() < deadline; i++) {
        instant until = MIN(clock_steady() + MILLISECONDS(800) * (1 << i), deadline);
        e = open_udp(server, &fd);
        if (e)
            return e;
        if (send(fd, question->message.data, question->message.len, MSG_NOSIGNAL) < 0)
            e = ERR_UNREACHABLE;
        else
            e = receive(fd, question, until, room, size);
        close(fd);
    }
    return e;
}

/* --- TCP. */

WAITS static enum err
exchange(struct stream *stream, struct arena *arena, str message, str *answer)
{
    char size[2] = { (char)(message.len >> 8), (char)message.len };
    size_t wanted;
    str bytes;
    enum err e = stream_write(stream, (str){ size, sizeof(size) });

    if (!e)
        e = stream_write(stream, message);
    if (!e)
        e = stream_flush(stream);
    if (!e)
        e = stream_fill_at_least(stream, 2, &bytes);
    if (e)
        return e;
    wanted = (size_t)(uint8_t)bytes.ptr[0] << 8 | (uint8_t)bytes.ptr[1];
    stream_consume(stream, 2);
    e = wanted ? stream_fill_at_least(stream, wanted, &bytes) : ERR_SYNTAX;
    if (e)
        return e;
    return arena_copy(arena, str_head(bytes, wanted), answer) ? OK : ERR_LIMIT;
}

enum err
dns_exchange(struct arena *arena, const struct endpoint *server, str message, instant deadline,
             str *answer, struct why *why)
{
    struct endpoint at = { server->addr, server->port ? server->port : DNS_PORT };
    OWN(stream) stream = NULL;
    enum err e;

    if (message.len > DNS_MESSAGE_MAX)
        return ERR_LIMIT;
    e = stream_connect(&at, NULL, deadline, &stream, why);
    if (e)
        return e;
    stream_set_deadline(stream, deadline);
    e = exchange(stream, arena, message, answer);
    return e ? err_why(why, e, "the server ended the conversation (%s)", err_name(e)) : OK;
}

/* --- The story. */

static void
fail(struct dns_answer *answer, const char *why)
{
    *answer = (struct dns_answer){ .status = DNS_TEMPORARY };
    snprintf(answer->why, sizeof(answer->why), "%s", why);
}

static enum err
read_answer(struct arena *arena, const struct question *question, str packet,
            struct dns_answer *answer)
{
    unsigned rcode = (uint8_t)packet.ptr[3] & 15;
    enum err e;

    if (rcode && rcode != RCODE_NXDOMAIN) {
        fail(answer, "the server refuses to answer");
        return OK;
    }
    e = dns_wire_parse(arena, packet, question->type, answer);
    if (e == ERR_SYNTAX) {
        fail(answer, "the answer is malformed");
        return OK;
    }
    return e;
}

WAITS static enum err
ask(struct arena *arena, const struct question *question, const struct endpoint *server,
    instant deadline, struct dns_answer *answer)
{
    char *room = arena_alloc(arena, DNS_UDP_MAX);
    str packet = { room, 0 };
    enum err e;

    if (!room)
        return ERR_LIMIT;
    e = ask_by_udp(question, server, deadline, room, &packet.len);
    if (!e && packet.ptr[2] & 2) {
        e = dns_exchange(arena, server, buf_str(&question->message), deadline, &packet, NULL);
        if (!e && !is_answer(question, packet))
            e = ERR_SYNTAX;
    }
    if (e == ERR_CANCELLED || e == ERR_LIMIT)
        return e;
    if (e) {
        fail(answer, e == ERR_TIMEOUT ? "no answer in time" : "nobody answers there");
        return OK;
    }
    return read_answer(arena, question, packet, answer);
}

enum err
dns_ask(struct arena *arena, const struct endpoint *server, str name, enum dns_type type,
        instant deadline, struct dns_answer *answer)
{
    struct question question;
    char normal[256];
    enum err e;

    if (sim_is_on())
        return sim_dns_lookup(arena, name, type, deadline, answer);
    if (!dns_name_normalize(name, normal))
        return ERR_SYNTAX;
    write_question(&question, str_from(normal), type);
    e = buf_ok(&question.message) ? ask(arena, &question, server, deadline, answer) : ERR_LIMIT;
    buf_done(&question.message);
    return e;
}
