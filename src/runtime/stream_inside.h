/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* stream_inside.h: what stream.c and stream_tls.c share.  For files of this room only. */
#pragma once

#include "base/base.h"
#include "base/err.h"
#include "base/instant.h"
#include "base/ipaddr.h"
#include "base/str.h"
#include "runtime/stream.h"
#include "runtime/transport.h"

struct tls_session;

struct stream {
    struct transport *transport;
    struct tls_session *tls;
    char *in; /* Received, not consumed: from IN_AT up to IN_END. */
    char *out;
    size_t in_at, in_end;
    size_t out_at, out_end;
    instant deadline;
    enum err in_error; /* What ended the direction; returned ever after. */
    enum err out_error;
    struct endpoint local, peer;
    void (*tap)(void *arg, bool output, str bytes);
    void *tap_arg;
};

/* As the transport's read and write.  With ERR_BUSY, OUTPUT says for what to wait. */
enum err tls_session_read(struct tls_session *session, void *bytes, size_t room, size_t *got,
                          bool *output);
enum err tls_session_write(struct tls_session *session, str bytes, size_t *put, bool *output);
/* Says goodbye without waiting, unless FAILED; frees. */
/* What is written from now on is the last: it may leave together with the end. */
void tls_session_ends(struct tls_session *session);
void tls_session_free(struct tls_session *session, bool failed);
