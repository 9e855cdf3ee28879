/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* maildrop.c: writes a message so that it is not lost, by whoever and whenever.
 *
 *     body … | envelope (mail/envelope.h) | u32 length of the envelope | "OUTPOST1"
 *
 * The name begins with a dot until the file is complete and synced; then it is ID.mail.
 */
#include "ops/maildrop.h"

#include "base/buf.h"
#include "base/cursor.h"
#include "base/must.h"
#include "config/config.h"
#include "runtime/clock.h"
#include "runtime/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    PATH_SIZE = 1024,
    BUFFER_SIZE = 64 * 1024,
    TRAILER_SIZE = 12
};

#define MAGIC     S("OUTPOST1")
#define RING_TIME SECONDS(2)

struct maildrop {
    int dir;
    int fd;
    enum err error;
    int number; /* errno of it. */
    uint64_t size;
    size_t used;
    char temporary[MSGID_TEXT_SIZE + 8];
    char final[MSGID_TEXT_SIZE + 8];
    char socket[108];
    char buffer[BUFFER_SIZE];
};

enum err
maildrop_make_dir(const struct config *config, struct why *why)
{
    char path[PATH_SIZE];

    if (!config_data_path(config, path, sizeof path, MAILDROP_DIR))
        return err_why(why, ERR_LIMIT, "the path of the data directory is too long");
    /* Everybody may add, nobody may list; chmod since the umask is not ours to choose. */
    if (!mkdir(path, 0700) && chmod(path, 01733))
        return err_why(why, err_from_errno(errno), "%s: %s", path, strerror(errno));
    if (access(path, W_OK | X_OK))
        return err_why(why, err_from_errno(errno), "%s: %s", path, strerror(errno));
    return OK;
}

static void
give_up(struct maildrop *drop)
{
    if (drop->fd >= 0) {
        close(drop->fd);
        unlinkat(drop->dir, drop->temporary, 0);
    }
    if (drop->dir >= 0)
        close(drop->dir);
    free(drop);
}

void
maildrop_drop(struct maildrop **drop)
{
    if (*drop)
        give_up(take(*drop));
}

enum err
maildrop_begin(const struct config *config, struct maildrop **drop, struct why *why)
{
    struct maildrop *made = calloc(1, sizeof *made);
    uint8_t entropy[10];
    char path[PATH_SIZE], name[MSGID_TEXT_SIZE + 1];
    enum err e;

    must(made);
    made->dir = made->fd = -1;
    e = maildrop_make_dir(config, why);
    if (e) {
        give_up(made);
        return e;
    }
    random_bytes(entropy, sizeof entropy);
    msgid_format(msgid_make(clock_now(), entropy), name);
    snprintf(made->temporary, sizeof made->temporary, ".%s", name);
    snprintf(made->final, sizeof made->final, "%s" MAILDROP_SUFFIX, name);
    if (!config_data_path(config, made->socket, sizeof made->socket, MAILDROP_SOCKET))
        made->socket[0] = '\0';
    (void)config_data_path(config, path, sizeof path, MAILDROP_DIR);
    made->dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    /* Readable for the server, whoever it is; others do not know the name. */
    if (made->dir >= 0)
        made->fd =
            openat(made->dir, made->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (made->fd < 0 || fchmod(made->fd, 0644)) {
        e = err_why(why, err_from_errno(errno), "%s: %s", path, strerror(errno));
        give_up(made);
        return e;
    }
    *drop = made;
    return OK;
}

static void
flush(struct maildrop *drop)
{
    size_t done = 0;

    while (!drop->error && done < drop->used) {
        ssize_t wrote = write(drop->fd, drop->buffer + done, drop->used - done);

        if (wrote < 0 && errno != EINTR) {
            drop->number = errno;
            drop->error = err_from_errno(errno);
        }
        done += wrote > 0 ? (size_t)wrote : 0;
    }
    drop->used = 0;
}

void
maildrop_write(struct maildrop *drop, str bytes)
{
    drop->size += bytes.len;
    while (bytes.len) {
        size_t count = MIN(bytes.len, BUFFER_SIZE - drop->used);

        memcpy(drop->buffer + drop->used, bytes.ptr, count);
        drop->used += count;
        bytes = str_skip(bytes, count);
        if (drop->used == BUFFER_SIZE)
            flush(drop);
    }
}

uint64_t
maildrop_size(const struct maildrop *drop)
{
    return drop->size;
}

/* The server looks into the directory when somebody connects; without a server nobody listens. */
WAITS static void
ring(const char *socket)
{
    struct stream *stream = NULL;
    struct why why;

    if (socket[0] && !stream_connect_unix(socket, deadline_in(RING_TIME), &stream, &why))
        stream_close(stream);
}

static enum err
finish_file(struct maildrop *drop)
{
    int fd;

    flush(drop);
    if (drop->error)
        return drop->error;
    if (fsync(drop->fd) || renameat(drop->dir, drop->temporary, drop->dir, drop->final)) {
        drop->number = errno;
        return drop->error = err_from_errno(errno);
    }
    /* Some file systems write the name with the file; the rest need the directory synced, which its
     * rights may forbid us: then the server does it before it takes the message in. */
    fd = openat(drop->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        (void)!fsync(fd);
        close(fd);
    } else {
        (void)!syncfs(drop->fd);
    }
    return OK;
}

WAITS enum err
maildrop_commit(struct maildrop **drop, const struct envelope *envelope, struct why *why)
{
    struct maildrop *d = take(*drop);
    struct buf buf;
    size_t length;
    enum err e;

    buf_init(&buf, MAILDROP_ENVELOPE_MAX + TRAILER_SIZE);
    envelope_encode(envelope, &buf);
    length = buf.len;
    buf_add_u32(&buf, (uint32_t)length);
    buf_add(&buf, MAGIC);
    if (!buf_ok(&buf)) {
        e = err_why(why, ERR_LIMIT, "too many recipients");
    } else {
        maildrop_write(d, buf_str(&buf));
        e = finish_file(d);
        if (e)
            (void)err_why(why, e, "the message cannot be written: %s", strerror(d->number));
    }
    buf_done(&buf);
    if (!e) {
        close(d->fd);
        d->fd = -1;
        ring(d->socket);
    }
    give_up(d);
    return e;
}

enum err
maildrop_read_envelope(int fd, uint64_t size, struct arena *arena, struct envelope *envelope,
                       uint64_t *body_size)
{
    char trailer[TRAILER_SIZE];
    struct cursor cursor;
    uint32_t length;
    char *bytes;

    if (size < TRAILER_SIZE ||
        pread(fd, trailer, TRAILER_SIZE, (off_t)(size - TRAILER_SIZE)) != TRAILER_SIZE)
        return ERR_CORRUPT;
    cursor_init(&cursor, (str){ trailer, TRAILER_SIZE });
    length = cursor_u32(&cursor);
    if (!str_eq(cursor.rest, MAGIC) || length > size - TRAILER_SIZE ||
        length > MAILDROP_ENVELOPE_MAX)
        return ERR_CORRUPT;
    bytes = arena_alloc(arena, length + 1);
    if (!bytes)
        return ERR_LIMIT;
    *body_size = size - TRAILER_SIZE - length;
    if (pread(fd, bytes, length, (off_t)*body_size) != (ssize_t)length)
        return ERR_IO;
    return envelope_decode((str){ bytes, length }, arena, envelope);
}
