/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* relay.h: a next hop, as people write it: smtp://ann@mail.example.org:587?tls=require.
 *
 *     mx                                  the MX records of the recipient's domain
 *     local                               the mailboxes here
 *     smtp://[USER@]HOST[:PORT][?...]     port 25, or 587 when there is a user
 *     smtps://[USER@]HOST[:PORT][?...]    TLS from the first byte, port 465
 *     lmtp://HOST[:PORT][?...]            port 24
 *     lmtp:///PATH                        a Unix socket
 *     https://[USER@]HOST[:PORT]/PATH     a POST to that URL, with all behind the host as it is
 *     http://[USER@]HOST[:PORT]/PATH      the same without TLS
 *     pipe:/PROGRAM ARGUMENTS             a program of this machine, without a shell
 *
 * After `?` (but for http), parted by `&`: tls=off|may|require, verify=on|off,
 * auth=auto|none|plain|login|scram-sha-256, mx=yes (HOST is a domain whose MX records are asked).
 * A password never stands in a URL.
 */
#pragma once

#include "base/arena.h"
#include "base/base.h"
#include "base/err.h"
#include "base/str.h"

enum relay_kind {
    RELAY_NONE,
    RELAY_MX,
    RELAY_LOCAL,
    RELAY_SMTP,
    RELAY_SMTPS,
    RELAY_LMTP,
    RELAY_HTTP,
    RELAY_HTTPS,
    RELAY_PIPE
};

enum relay_tls {
    RELAY_TLS_AUTO, /* may, and require when a password is sent; never seen after loading. */
    RELAY_TLS_OFF,
    RELAY_TLS_MAY,
    RELAY_TLS_REQUIRE,
};

enum relay_auth {
    RELAY_AUTH_AUTO, /* The strongest that both sides know. */
    RELAY_AUTH_NONE,
    RELAY_AUTH_PLAIN,
    RELAY_AUTH_LOGIN,
    RELAY_AUTH_SCRAM_SHA_256,
};

enum relay_verify {
    RELAY_VERIFY_AUTO, /* On where TLS is required; never seen after loading. */
    RELAY_VERIFY_ON,   /* The certificate must lead to a root and name the host. */
    RELAY_VERIFY_OFF,
};

struct relay_target {
    enum relay_kind kind;
    bool mx;  /* SMTP: ask the MX records of `host` instead of its addresses. */
    str host; /* A name, or an address without brackets. */
    uint16_t port;
    str path; /* LMTP over a Unix socket, PIPE: the command; then host is empty.  HTTP: "/…?…". */
    str user;
    str password_file; /* Comes from the configuration, never from a URL. */
    enum relay_tls tls;
    enum relay_auth auth;
    enum relay_verify verify;
};

/* ERR_SYNTAX with the reason and the cure in WHY; ERR_LIMIT when the arena is full.  Port, tls and
 * verify are resolved: never 0 or AUTO. */
enum err relay_parse_url(struct arena *arena, str url, struct relay_target *target,
                         struct why *why);
/* The same with what the URL leaves open still open, for those who add a user; then
 * relay_resolve(). */
enum err relay_parse_unresolved(struct arena *arena, str url, struct relay_target *target,
                                struct why *why);
void relay_resolve(struct relay_target *target);
static inline bool
relay_is_http(const struct relay_target *target)
{
    return target->kind == RELAY_HTTP || target->kind == RELAY_HTTPS;
}
/* Back to a URL that gives the same target; false past the arena's ceiling. */
bool relay_format_url(struct arena *arena, const struct relay_target *target, str *url);
