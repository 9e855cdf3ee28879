/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* disk_real.c: the disk of this machine, by its system calls. */
#include "store/disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum {
    PIECE_BYTES = 1 << 20 /* Read at a time where all is to be read. */
};

static enum err
real_open(const struct disk *, const char *path, unsigned flags, int *file)
{
    int mode = flags & DISK_WRITE ? O_RDWR : O_RDONLY;
    int fd;

    if (flags & DISK_CREATE)
        mode |= O_CREAT | O_EXCL;
    do {
        fd = open(path, mode | O_CLOEXEC | O_NOFOLLOW, 0600);
    } while (fd < 0 && errno == EINTR);
    if (fd < 0)
        return err_from_errno(errno);
    *file = fd;
    return OK;
}

static void
real_close(const struct disk *, int file)
{
    close(file);
}

static enum err
read_error(bool now)
{
    if (now && (errno == EAGAIN || errno == EOPNOTSUPP || errno == ENOSYS))
        return ERR_BUSY;
    return ERR_IO;
}

static enum err
real_read(const struct disk *, int file, void *bytes, size_t size, uint64_t offset, bool now,
          size_t *got)
{
    size_t done = 0;

    while (done < size) {
        struct iovec part = { (char *)bytes + done, size - done };
        ssize_t n = preadv2(file, &part, 1, (off_t)(offset + done), now ? RWF_NOWAIT : 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return read_error(now);
        if (n == 0)
            break;
        done += (size_t)n;
    }
    *got = done;
    return OK;
}

/* Forgets COUNT bytes at the front of PARTS. */
static void
parts_skip(struct iovec **parts, size_t *left, size_t count)
{
    while (*left && count >= (*parts)->iov_len) {
        count -= (*parts)->iov_len;
        (*parts)++;
        (*left)--;
    }
    if (*left) {
        (*parts)->iov_base = (char *)(*parts)->iov_base + count;
        (*parts)->iov_len -= count;
    }
}

/* On kernels that cannot do it for a mapping (before 5.14). */
static enum err
read_through(int file, size_t size)
{
    char *piece = malloc(PIECE_BYTES);
    size_t got = PIECE_BYTES;
    enum err e = piece ? OK : ERR_LIMIT;

    for (size_t at = 0; !e && at < size; at += got) {
        size_t part = MIN(size - at, (size_t)PIECE_BYTES);
        e = real_read(NULL, file, piece, part, at, false, &got);
        if (!e && got < part)
            e = ERR_IO;
    }
    free(piece);
    return e;
}

static enum err
real_map(const struct disk *, int file, size_t size, const char **bytes)
{
    void *mapped = mmap(NULL, size, PROT_READ, MAP_SHARED, file, 0);
    enum err e = OK;

    if (mapped == MAP_FAILED)
        return err_from_errno(errno);
    (void)posix_fadvise(file, 0, (off_t)size, POSIX_FADV_WILLNEED);
    if (madvise(mapped, size, MADV_POPULATE_READ))
        e = errno == EINVAL ? read_through(file, size) : ERR_IO;
    if (e)
        (void)munmap(mapped, size);
    else
        *bytes = mapped;
    return e;
}

static void
real_unmap(const struct disk *, const char *bytes, size_t size)
{
    (void)munmap((void *)(uintptr_t)bytes, size);
}

static enum err
real_write(const struct disk *, int file, struct iovec *parts, size_t count, uint64_t offset)
{
    parts_skip(&parts, &count, 0);
    while (count) {
        ssize_t n = pwritev(file, parts, (int)MIN(count, (size_t)IOV_MAX), (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_from_errno(errno);
        if (n == 0)
            return ERR_IO;
        offset += (uint64_t)n;
        parts_skip(&parts, &count, (size_t)n);
    }
    return OK;
}

static enum err
real_sync(const struct disk *, int file)
{
    /* Not again after EINTR or any other failure: the kernel may have dropped the pages. */
    return fdatasync(file) ? err_from_errno(errno) : OK;
}

static enum err
real_settle(const struct disk *, int file)
{
    if (fdatasync(file))
        return err_from_errno(errno);
    posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED); /* Not every file system does it. */
    return OK;
}

static enum err
real_allocate(const struct disk *, int file, uint64_t size)
{
    int number;

    do {
        number = posix_fallocate(file, 0, (off_t)size);
    } while (number == EINTR);
    return err_from_errno(number);
}

static enum err
real_size(const struct disk *, int file, uint64_t *size)
{
    struct stat st;

    if (fstat(file, &st))
        return err_from_errno(errno);
    *size = (uint64_t)st.st_size;
    return OK;
}

static enum err
real_unlink(const struct disk *, const char *path)
{
    return unlink(path) ? err_from_errno(errno) : OK;
}

static enum err
real_rename(const struct disk *, const char *from, const char *to)
{
    return rename(from, to) ? err_from_errno(errno) : OK;
}

static enum err
real_mkdir(const struct disk *, const char *path)
{
    return mkdir(path, 0700) ? err_from_errno(errno) : OK;
}

static enum err
real_list(const struct disk *, const char *path, void (*each)(void *arg, str name), void *arg)
{
    DIR *dir = opendir(path);
    const struct dirent *item;

    if (!dir)
        return err_from_errno(errno);
    for (;;) {
        errno = 0;
        item = readdir(dir);
        if (!item)
            break;
        if (strcmp(item->d_name, ".") != 0 && strcmp(item->d_name, "..") != 0)
            each(arg, str_from(item->d_name));
    }
    enum err e = err_from_errno(errno);
    closedir(dir);
    return e;
}

static enum err
real_sync_dir(const struct disk *, const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    enum err e = OK;

    if (fd < 0)
        return err_from_errno(errno);
    if (fsync(fd))
        e = err_from_errno(errno);
    close(fd);
    return e;
}

static enum err
real_free_bytes(const struct disk *, const char *path, uint64_t *bytes)
{
    struct statvfs st;

    if (statvfs(path, &st))
        return err_from_errno(errno);
    /* A file system without inodes left (f_files is 0 where there is no such limit) is full too. */
    *bytes = st.f_files && !st.f_favail ? 0 : (uint64_t)st.f_bavail * st.f_frsize;
    return OK;
}

static enum err
real_lock(const struct disk *, const char *path, int *file)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd < 0)
        return err_from_errno(errno);
    if (flock(fd, LOCK_EX | LOCK_NB)) {
        enum err e = errno == EWOULDBLOCK ? ERR_BUSY : err_from_errno(errno);
        close(fd);
        return e;
    }
    *file = fd;
    return OK;
}

const struct disk *
disk_real(void)
{
    static const struct disk disk = {
        .open = real_open,
        .close = real_close,
        .read = real_read,
        .map = real_map,
        .unmap = real_unmap,
        .write = real_write,
        .sync = real_sync,
        .settle = real_settle,
        .allocate = real_allocate,
        .size = real_size,
        .unlink = real_unlink,
        .rename = real_rename,
        .mkdir = real_mkdir,
        .list = real_list,
        .sync_dir = real_sync_dir,
        .free_bytes = real_free_bytes,
        .lock = real_lock,
    };

    return &disk;
}
