/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* stream.h: a conversation's bytes, in both directions, over TCP, a Unix socket, or TLS.
 *
 * Writes collect in a buffer and leave when it is full, at stream_flush(), and by themselves
 * before a read waits: so pipelining is right without a line of code in the protocols.
 * The deadline belongs to the stream: an absolute steady instant, set once for each phase of a
 * protocol; a peer that dribbles cannot move it.  After an error the stream only returns that error
 * again, but for ERR_TIMEOUT and ERR_CANCELLED, after which a last word can still be written
 * (stream_close() sends what goes without waiting). One fiber uses a stream at a time.  Buffers are
 * given back while a stream is idle.
 */
#pragma once

#include "base/base.h"
#include "base/err.h"
#include "base/instant.h"
#include "base/ipaddr.h"
#include "base/str.h"

struct stream;
struct tls_context;
struct tls_certificate;
struct tls_client_options;
struct tls_info;

enum {
    STREAM_READ_BUFFER = 65536,
    STREAM_WRITE_BUFFER = 65536
};

/* Connects from LOCAL (NULL: any) to PEER.  ERR_REFUSED, ERR_UNREACHABLE, ERR_TIMEOUT; WHY tells.
 */
WAITS enum err stream_connect(const struct endpoint *peer, const ipaddr *local, instant deadline,
                              struct stream **stream, struct why *why);
WAITS enum err stream_connect_unix(const char *path, instant deadline, struct stream **stream,
                                   struct why *why);
/* Whether the system knows any way to ADDR.  Nothing is sent. */
bool stream_has_way_to(ipaddr addr);
/* Takes FD, a connected non-blocking stream socket. */
enum err stream_from_socket(int fd, struct stream **stream);
/* Who is at the other end of a Unix socket; false for other streams. */
bool stream_peer_uid(const struct stream *stream, uid_t *uid);
/* Flushes what it can without waiting, closes, frees.  NULL is fine. */
void stream_close(struct stream *stream);
void stream_drop(struct stream **stream); /* For OWN(stream). */

void stream_set_deadline(struct stream *stream, instant deadline);
instant stream_deadline(const struct stream *stream);
const struct endpoint *stream_peer(const struct stream *stream);
const struct endpoint *stream_local(const struct stream *stream);
void stream_set_peer(struct stream *stream, const struct endpoint *peer); /* PROXY protocol. */
/* The ends of a connection that a proxy made. */
void stream_set_ends(struct stream *stream, const struct endpoint *local,
                     const struct endpoint *peer);

/* A line with its end, up to LF and including it: the caller checks that it is CRLF.  The view
 * lasts until the next call on the stream.  ERR_LIMIT when more than MAX bytes (at most
 * STREAM_READ_BUFFER) came without LF: nothing is consumed then, and stream_skip_line() gets past
 * it. */
WAITS enum err stream_read_line(struct stream *stream, size_t max, str *line);
/* Discards up to and including the next LF; ERR_LIMIT after MAX bytes without one. */
WAITS enum err stream_skip_line(struct stream *stream, size_t max);
/* At least one byte, as many as are there (a view as above), not consumed.  ERR_CLOSED at the end.
 * Does not wait while something is buffered: for more, stream_fill_at_least() what is buffered and
 * one. */
WAITS enum err stream_fill(struct stream *stream, str *bytes);
/* At least COUNT bytes (at most STREAM_READ_BUFFER) in the view, not consumed. */
WAITS enum err stream_fill_at_least(struct stream *stream, size_t count, str *bytes);
void stream_consume(struct stream *stream, size_t count);
/* What was received and not consumed, without waiting. */
size_t stream_buffered(const struct stream *stream);
/* Discards what was received and not consumed.  For STARTTLS: nothing from before survives. */
void stream_discard_input(struct stream *stream);

WAITS enum err stream_write(struct stream *stream, str bytes);
WAITS enum err stream_flush(struct stream *stream);

/* Handshakes.  The input buffer must be empty (ERR_TLS otherwise).  On failure WHY holds OpenSSL's
 * reason. */
WAITS enum err stream_start_tls_server(struct stream *stream, struct tls_context *context,
                                       struct why *why);
WAITS enum err stream_start_tls_client(struct stream *stream, struct tls_context *context,
                                       const struct tls_client_options *options, struct why *why);
/* NULL on a stream without TLS. */
const struct tls_info *stream_tls(const struct stream *stream);
/* For people: it is taken apart anew at each call.  False when the peer showed none. */
bool stream_certificate(const struct stream *stream, struct tls_certificate *certificate);

/* A copy of each byte in the clear, for `--verbose` and traces: FN(ARG, is_output, bytes). NULL:
 * none. */
void stream_set_tap(struct stream *stream, void (*fn)(void *arg, bool output, str bytes),
                    void *arg);
