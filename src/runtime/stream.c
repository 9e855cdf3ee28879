/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* stream.c: buffers between a protocol and its transport (or TLS).
 *
 * Reading: what is buffered; else one direct read; else flush what we owe the peer, give the empty
 * buffers back, and wait.  Writing: into the buffer, which leaves when it is full, by
 * stream_flush(), or before a read waits; what is as long as the buffer goes past it.
 * Start reading at read_more() and stream_write().
 */
#include "runtime/stream.h"

#include "base/must.h"
#include "runtime/clock.h"
#include "runtime/loop.h"
#include "runtime/sim.h"
#include "runtime/stream_inside.h"

#include <stdlib.h>
#include <string.h>

static_assert((int)BUFFER_SIZE == (int)STREAM_READ_BUFFER, "both buffers come from one cache");
static_assert((int)BUFFER_SIZE == (int)STREAM_WRITE_BUFFER, "both buffers come from one cache");

struct stream *
stream_new(struct transport *transport, const struct endpoint *local, const struct endpoint *peer)
{
    struct stream *stream = calloc(1, sizeof(*stream));

    must(stream);
    stream->transport = transport;
    stream->deadline = NEVER;
    stream->local = *local;
    stream->peer = *peer;
    return stream;
}

struct transport *
stream_transport(const struct stream *stream)
{
    return stream->transport;
}

void
stream_set_deadline(struct stream *stream, instant deadline)
{
    stream->deadline = deadline;
}

instant
stream_deadline(const struct stream *stream)
{
    return stream->deadline;
}

const struct endpoint *
stream_peer(const struct stream *stream)
{
    return &stream->peer;
}

const struct endpoint *
stream_local(const struct stream *stream)
{
    return &stream->local;
}

void
stream_set_ends(struct stream *stream, const struct endpoint *local, const struct endpoint *peer)
{
    stream->local = *local;
    stream->peer = *peer;
}

void
stream_set_peer(struct stream *stream, const struct endpoint *peer)
{
    stream->peer = *peer;
}

void
stream_set_tap(struct stream *stream, void (*fn)(void *arg, bool output, str bytes), void *arg)
{
    stream->tap = fn;
    stream->tap_arg = arg;
}

static void
tap(struct stream *stream, bool output, str bytes)
{
    if (stream->tap)
        stream->tap(stream->tap_arg, output, bytes);
}

void
sim_cut(struct stream *stream)
{
    stream->transport->ops->cut(stream->transport);
}

/* Writing. */

/* What may be tried again with another deadline does not end the stream. */
static bool
is_passing(enum err e)
{
    return e == ERR_TIMEOUT || e == ERR_CANCELLED;
}

static enum err
write_once(struct stream *stream, str bytes, size_t *put, bool *output)
{
    struct iovec part = { .iov_base = (void *)bytes.ptr, .iov_len = bytes.len };

    *output = true;
    if (stream->tls)
        return tls_session_write(stream->tls, bytes, put, output);
    return stream->transport->ops->write(stream->transport, &part, 1, put);
}

/* Writes from BYTES, as long as LEAST of them are left. */
static enum err
write_through(struct stream *stream, str *bytes, size_t least)
{
    while (bytes->len >= least && bytes->len) {
        size_t put = 0;
        bool output;
        enum err e = write_once(stream, *bytes, &put, &output);
        if (e == ERR_BUSY)
            e = stream->transport->ops->wait(stream->transport, output, stream->deadline);
        if (e) {
            if (!is_passing(e))
                stream->out_error = e;
            return e;
        }
        *bytes = str_skip(*bytes, put);
    }
    fiber_share();
    return OK;
}

enum err
stream_flush(struct stream *stream)
{
    str bytes = { stream->out + stream->out_at, stream->out_end - stream->out_at };
    enum err e;

    if (stream->out_error)
        return stream->out_error;
    if (bytes.len == 0)
        return OK;
    e = write_through(stream, &bytes, 1);
    stream->out_at = stream->out_end - bytes.len;
    if (e)
        return e;
    stream->out_at = stream->out_end = 0;
    buffer_free(take(stream->out));
    return OK;
}

/* Past the buffer, which is empty.  After a failure nobody knows what the peer has. */
static enum err
write_long(struct stream *stream, str *bytes)
{
    enum err e = write_through(stream, bytes, BUFFER_SIZE);

    if (e)
        stream->out_error = e;
    return e;
}

enum err
stream_write(struct stream *stream, str bytes)
{
    enum err e = stream->out_error;

    if (e)
        return e;
    tap(stream, true, bytes);
    while (bytes.len) {
        size_t part;
        if (!stream->out_end && bytes.len >= BUFFER_SIZE) {
            e = write_long(stream, &bytes);
            if (e)
                return e;
            continue;
        }
        if (stream->out_end == BUFFER_SIZE) {
            e = stream_flush(stream);
            if (e)
                return e;
            continue;
        }
        if (!stream->out)
            stream->out = buffer_new();
        part = MIN(bytes.len, BUFFER_SIZE - stream->out_end);
        memcpy(stream->out + stream->out_end, bytes.ptr, part);
        stream->out_end += part;
        bytes = str_skip(bytes, part);
    }
    return OK;
}

/* Reading. */

static str
buffered(const struct stream *stream)
{
    return (str){ stream->in ? stream->in + stream->in_at : "", stream->in_end - stream->in_at };
}

static void
give_back(struct stream *stream)
{
    if (stream->in_at < stream->in_end)
        return;
    stream->in_at = stream->in_end = 0;
    buffer_free(take(stream->in));
}

static void
make_room(struct stream *stream)
{
    if (!stream->in)
        stream->in = buffer_new();
    if (stream->in_at == stream->in_end) {
        stream->in_at = stream->in_end = 0;
    } else if (stream->in_end == BUFFER_SIZE && stream->in_at > 0) {
        memmove(stream->in, stream->in + stream->in_at, stream->in_end - stream->in_at);
        stream->in_end -= stream->in_at;
        stream->in_at = 0;
    }
    must(stream->in_end < BUFFER_SIZE);
}

static enum err
read_once(struct stream *stream, bool *output)
{
    size_t room = BUFFER_SIZE - stream->in_end;
    char *to = stream->in + stream->in_end;
    size_t got = 0;
    enum err e;

    *output = false;
    if (stream->tls)
        e = tls_session_read(stream->tls, to, room, &got, output);
    else
        e = stream->transport->ops->read(stream->transport, to, room, &got);
    if (!e) {
        stream->in_end += got;
        tap(stream, false, (str){ to, got });
    }
    return e;
}

/* Waits until it has added at least one byte to the buffer. */
static enum err
read_more(struct stream *stream)
{
    enum err e;

    if (stream->in_error)
        return stream->in_error;
    fiber_share();
    if (fiber_cancelled())
        return ERR_CANCELLED;
    if (stream->deadline != NEVER && clock_steady() >= stream->deadline)
        return ERR_TIMEOUT;
    for (;;) {
        bool output;
        make_room(stream);
        e = read_once(stream, &output);
        if (!e)
            return OK;
        give_back(stream);
        if (e != ERR_BUSY)
            return stream->in_error = e;
        if (stream->out_at < stream->out_end)
            e = stream_flush(stream);
        else
            e = stream->transport->ops->wait(stream->transport, output, stream->deadline);
        if (e)
            return e;
    }
}

enum err
stream_fill_at_least(struct stream *stream, size_t count, str *bytes)
{
    must(count <= BUFFER_SIZE);
    while (stream->in_end - stream->in_at < count) {
        enum err e = read_more(stream);
        if (e)
            return e;
    }
    *bytes = buffered(stream);
    return OK;
}

enum err
stream_fill(struct stream *stream, str *bytes)
{
    return stream_fill_at_least(stream, 1, bytes);
}

void
stream_consume(struct stream *stream, size_t count)
{
    must(count <= stream->in_end - stream->in_at);
    stream->in_at += count;
}

size_t
stream_buffered(const struct stream *stream)
{
    return stream->in_end - stream->in_at;
}

void
stream_discard_input(struct stream *stream)
{
    stream->in_at = stream->in_end;
    give_back(stream);
}

enum err
stream_read_line(struct stream *stream, size_t max, str *line)
{
    size_t scanned = 0;

    max = MIN(max, BUFFER_SIZE);
    for (;;) {
        str bytes = buffered(stream);
        ssize_t end = str_find(str_skip(str_head(bytes, max), scanned), '\n');
        enum err e;
        if (end >= 0) {
            *line = str_head(bytes, scanned + (size_t)end + 1);
            stream->in_at += line->len;
            return OK;
        }
        if (bytes.len >= max)
            return ERR_LIMIT;
        scanned = bytes.len;
        e = read_more(stream);
        if (e)
            return e;
    }
}

enum err
stream_skip_line(struct stream *stream, size_t max)
{
    for (;;) {
        str bytes;
        ssize_t end;
        enum err e = stream_fill(stream, &bytes);
        if (e)
            return e;
        end = str_find(str_head(bytes, max), '\n');
        if (end >= 0) {
            stream_consume(stream, (size_t)end + 1);
            return OK;
        }
        stream_consume(stream, MIN(bytes.len, max));
        max -= MIN(bytes.len, max);
        if (max == 0)
            return ERR_LIMIT;
    }
}

/* The end. */

static void
flush_what_goes(struct stream *stream)
{
    str bytes = { stream->out + stream->out_at, stream->out_end - stream->out_at };

    while (bytes.len && !stream->out_error) {
        size_t put = 0;
        bool output;
        if (write_once(stream, bytes, &put, &output))
            return;
        bytes = str_skip(bytes, put);
    }
}

void
stream_close(struct stream *stream)
{
    if (!stream)
        return;
    stream->transport->ends = true;
    if (stream->tls)
        tls_session_ends(stream->tls);
    flush_what_goes(stream);
    if (stream->tls)
        tls_session_free(stream->tls, stream->out_error != OK);
    stream->transport->ops->close(stream->transport);
    buffer_free(stream->in);
    buffer_free(stream->out);
    free(stream);
}

void
stream_drop(struct stream **stream)
{
    stream_close(take(*stream));
}
