/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* stage.h: the simulated world of one dialogue: the server with its accounts, and who talks to it.
 */
#pragma once

#include "actor.h"
#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"
#include "pattern.h"
#include "script.h"

struct server;
struct tls_context;

struct stage {
    const char *tls_dir; /* With cert.pem and key.pem. */
    char dir[64];        /* Data of the server; removed at the end. */
    struct buf config;
    char domain[128]; /* The first one given. */
    struct step *givens[256];
    size_t given_count;
    bool opened;           /* The server was started: at the first step that is no `given`. */
    struct server *server; /* NULL while it is stopped. */
    struct tls_context *client_tls;
    struct actor actors[ACTORS_MAX];
    size_t actor_count;
    struct captures captures;
};

/* FROM the fiber of the simulated world. */
WAITS enum err stage_open(struct stage *stage, const char *tls_dir, struct why *why);
WAITS void stage_close(struct stage *stage);

/* Plays one step.  WHY tells what was wrong. */
WAITS enum err stage_play(struct stage *stage, struct step *step, struct why *why);

/* given.c: what must be in the configuration before the start, and what is done after it. */
enum err given_configure(struct stage *stage, str item, struct why *why);
WAITS enum err given_apply(struct stage *stage, str item, struct why *why);
/* then.c */
WAITS enum err then_check(struct stage *stage, str text, struct why *why);

struct actor *stage_actor(struct stage *stage, str name);
/* "ann" is ann at the first domain. */
bool stage_address(const struct stage *stage, str name, struct buf *address);
