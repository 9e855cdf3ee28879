/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* actor.h: one side of a dialogue that the script plays: a client (C, C2) or a remote server (M).
 */
#pragma once

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/ipaddr.h"
#include "base/list.h"
#include "base/str.h"
#include "pattern.h"
#include "runtime/wait.h"

struct listener;
struct stream;
struct tls_context;

enum {
    ACTORS_MAX = 64,
    ACTOR_WAITING_MAX = 16
};

struct actor {
    char name[8];
    struct stream *stream;
    struct buf log; /* Lines received since the last one sent. */
    bool skipping; /* The last pattern was "250-..." or "...*": more lines may come before the next.
                    */
    char skip_prefix[8];
    struct listener *listener; /* M only. */
    struct bell accepted;
    struct stream *waiting[ACTOR_WAITING_MAX];
    size_t waiting_count;
};

void actor_init(struct actor *actor, str name);
WAITS void actor_done(struct actor *actor);

WAITS enum err actor_connect(struct actor *actor, const struct endpoint *peer, const ipaddr *from,
                             struct tls_context *tls, struct why *why);
WAITS enum err actor_start_tls(struct actor *actor, struct tls_context *tls, struct why *why);
/* M: listens, and takes the next connection. */
enum err actor_listen(struct actor *actor, const struct endpoint *endpoint);
WAITS enum err actor_accept(struct actor *actor);

WAITS enum err actor_send(struct actor *actor, str bytes);
/* Reads lines until one follows PATTERN.  WHY tells what came instead. */
WAITS enum err actor_expect(struct actor *actor, str pattern, struct captures *captures,
                            struct why *why);
WAITS enum err actor_expect_close(struct actor *actor, struct why *why);
/* A SASL exchange as SMTP carries it, up to the last line, which the script expects. */
WAITS enum err actor_login(struct actor *actor, str mechanism, str name, str password,
                           struct why *why);
void actor_cut(struct actor *actor);
