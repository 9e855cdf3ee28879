/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* disk_sim.c: nodes (files and directories) with two lives each: as seen now, and as on the disk.
 *
 * A file has its bytes as seen, its bytes on the disk, and the list of writes between the two,
 * each with its own copy, because the disk may take a later one and not an earlier one.  A name
 * is an entry in one table of whole paths; changes of names wait in a list until their directory
 * is synced.  Start at sim_write(), sim_sync() and disk_sim_power_cut().
 */
#include "store/disk_sim.h"

#include "base/must.h"
#include "base/rand.h"

#include <stdlib.h>
#include <string.h>

enum {
    SECTOR = 512,
    HANDLES_MAX = 4096,
    PATH_SIZE = 512
};

struct bytes {
    char *data;
    uint64_t size;
};

struct pending {
    struct pending *next;
    uint64_t offset;
    uint64_t size;
    bool is_size; /* The file got SIZE bytes; no data. */
    char data[];
};

struct node {
    struct node *next;
    bool is_dir;
    struct bytes now;
    struct bytes disk;
    struct pending *first;
    struct pending **last;
};

/* A path that leads to a node: as seen now, and on the disk. */
struct name {
    struct name *next;
    char path[PATH_SIZE];
    struct node *now;
    struct node *disk;
};

struct disk_sim {
    struct disk disk;
    struct rand rand;
    struct node *nodes;
    struct name *names;
    struct node *handles[HANDLES_MAX];
    const char *locked[HANDLES_MAX];
    uint64_t operations;
    uint64_t crash_at;
    uint64_t fail_at;
    uint64_t fail_count;
    enum err fail_with;
    uint64_t capacity;
    bool crashed;
    bool ignore_syncs;
};

static struct disk_sim *
sim_of(const struct disk *disk)
{
    return disk->state;
}

static bool
coin(struct disk_sim *sim)
{
    return rand_below(&sim->rand, 2) != 0;
}

/* Counts an operation that changes the disk; the error that it must end with. */
static enum err
sim_count(struct disk_sim *sim)
{
    if (sim->crashed)
        return ERR_IO;
    sim->operations++;
    if (sim->crash_at && sim->operations >= sim->crash_at) {
        sim->crashed = true;
        return ERR_IO;
    }
    if (sim->fail_at && sim->operations >= sim->fail_at &&
        sim->operations < sim->fail_at + sim->fail_count)
        return sim->fail_with;
    return OK;
}

static void
bytes_resize(struct bytes *bytes, uint64_t size)
{
    if (size <= bytes->size)
        return;
    bytes->data = realloc(bytes->data, size);
    must(bytes->data);
    memset(bytes->data + bytes->size, 0, size - bytes->size);
    bytes->size = size;
}

static void
bytes_put(struct bytes *bytes, uint64_t offset, const char *data, uint64_t size)
{
    bytes_resize(bytes, offset + size);
    memcpy(bytes->data + offset, data, size);
}

static struct node *
node_new(struct disk_sim *sim, bool is_dir)
{
    struct node *node = calloc(1, sizeof(*node));

    must(node);
    node->is_dir = is_dir;
    node->last = &node->first;
    node->next = sim->nodes;
    sim->nodes = node;
    return node;
}

static struct pending *
node_pend(struct node *node, uint64_t offset, uint64_t size, bool is_size)
{
    struct pending *pending = calloc(1, sizeof(*pending) + (is_size ? 0 : size));

    must(pending);
    pending->offset = offset;
    pending->size = size;
    pending->is_size = is_size;
    *node->last = pending;
    node->last = &pending->next;
    return pending;
}

/* Ends the waiting of all writes of NODE: ALL of them reach the disk, or each sector by chance. */
static void
node_settle(struct disk_sim *sim, struct node *node, bool all)
{
    struct pending *next;

    /* Sometimes nothing at all made it, sometimes everything: both are likely in practice. */
    uint64_t mode = all ? 1 : rand_below(&sim->rand, 4);
    for (struct pending *p = node->first; p; p = next) {
        next = p->next;
        if (p->is_size && (mode == 1 || (mode && coin(sim))))
            bytes_resize(&node->disk, p->size);
        for (uint64_t at = 0; !p->is_size && at < p->size;) {
            uint64_t piece = MIN(p->size - at, SECTOR - (p->offset + at) % SECTOR);
            if (mode == 1 || (mode && coin(sim)))
                bytes_put(&node->disk, p->offset + at, p->data + at, piece);
            at += piece;
        }
        free(p);
    }
    node->first = NULL;
    node->last = &node->first;
}

static struct name *
name_of(struct disk_sim *sim, const char *path, bool make)
{
    struct name *name;

    must(strlen(path) < PATH_SIZE);
    for (name = sim->names; name; name = name->next)
        if (strcmp(name->path, path) == 0)
            return name;
    if (!make)
        return NULL;
    name = calloc(1, sizeof(*name));
    must(name);
    memcpy(name->path, path, strlen(path));
    name->next = sim->names;
    sim->names = name;
    return name;
}

/* Whether PATH stands directly in the directory DIR. */
static bool
path_is_in(const char *path, const char *dir)
{
    size_t length = strlen(dir);

    return strncmp(path, dir, length) == 0 && path[length] == '/' && path[length + 1] &&
           !strchr(path + length + 1, '/');
}

static bool
parent_exists(struct disk_sim *sim, const char *path)
{
    char parent[PATH_SIZE];
    size_t length = strlen(path);
    const struct name *name;

    while (length && path[length] != '/')
        length--;
    if (!length)
        return true;
    memcpy(parent, path, length);
    parent[length] = '\0';
    if (!strchr(parent + 1, '/'))
        return true; /* A directory of the first level is always there. */
    name = name_of(sim, parent, false);
    return name && name->now && name->now->is_dir;
}

static enum err
handle_new(struct disk_sim *sim, struct node *node, const char *locked, int *file)
{
    for (int i = 0; i < HANDLES_MAX; i++) {
        if (sim->handles[i])
            continue;
        sim->handles[i] = node;
        sim->locked[i] = locked;
        *file = i;
        return OK;
    }
    return ERR_LIMIT;
}

static struct node *
handle_node(struct disk_sim *sim, int file)
{
    must(file >= 0 && file < HANDLES_MAX && sim->handles[file]);
    return sim->handles[file];
}

static enum err
sim_create(struct disk_sim *sim, const char *path, struct name **name)
{
    enum err e = sim_count(sim);

    if (e)
        return e;
    if (!parent_exists(sim, path))
        return ERR_NOT_FOUND;
    *name = name_of(sim, path, true);
    if ((*name)->now)
        return ERR_EXISTS;
    (*name)->now = node_new(sim, false);
    return OK;
}

static enum err
sim_open(const struct disk *disk, const char *path, unsigned flags, int *file)
{
    struct disk_sim *sim = sim_of(disk);
    struct name *name = name_of(sim, path, false);

    if (sim->crashed)
        return ERR_IO;
    if (flags & DISK_CREATE) {
        enum err e = sim_create(sim, path, &name);
        if (e)
            return e;
    }
    if (!name || !name->now || name->now->is_dir)
        return ERR_NOT_FOUND;
    return handle_new(sim, name->now, NULL, file);
}

static void
sim_close(const struct disk *disk, int file)
{
    struct disk_sim *sim = sim_of(disk);

    if (file < 0 || file >= HANDLES_MAX)
        return;
    sim->handles[file] = NULL;
    sim->locked[file] = NULL;
}

static enum err
sim_read(const struct disk *disk, int file, void *bytes, size_t size, uint64_t offset, bool,
         size_t *got)
{
    struct disk_sim *sim = sim_of(disk);
    struct node *node;

    if (sim->crashed)
        return ERR_IO;
    node = handle_node(sim, file);
    *got = offset < node->now.size ? MIN(size, node->now.size - offset) : 0;
    if (*got)
        memcpy(bytes, node->now.data + offset, *got);
    return OK;
}

static uint64_t
sim_used(const struct disk_sim *sim)
{
    uint64_t used = 0;

    for (const struct name *name = sim->names; name; name = name->next)
        if (name->now)
            used += name->now->now.size;
    return used;
}

static enum err
sim_grow(struct disk_sim *sim, struct node *node, uint64_t size)
{
    if (size > node->now.size && sim->capacity &&
        sim_used(sim) + size - node->now.size > sim->capacity)
        return ERR_FULL;
    bytes_resize(&node->now, size);
    return OK;
}

static enum err
sim_map(const struct disk *disk, int file, size_t size, const char **bytes)
{
    char *copy = calloc(1, size);
    size_t got;
    enum err e;

    must(copy);
    e = sim_read(disk, file, copy, size, 0, false, &got);
    if (e) {
        free(copy);
        return e;
    }
    *bytes = copy;
    return OK;
}

static void
sim_unmap(const struct disk *, const char *bytes, size_t)
{
    free((void *)(uintptr_t)bytes);
}

static enum err
sim_write(const struct disk *disk, int file, struct iovec *parts, size_t count, uint64_t offset)
{
    struct disk_sim *sim = sim_of(disk);
    bool was_crashed = sim->crashed;
    enum err e = sim_count(sim);
    struct node *node;
    struct pending *pending;
    uint64_t size = 0;

    /* The write that fails may have been done in part: it waits for the cut as all others do. */
    if (was_crashed)
        return ERR_IO;
    node = handle_node(sim, file);
    for (size_t i = 0; i < count; i++)
        size += parts[i].iov_len;
    if (sim_grow(sim, node, offset + size))
        return ERR_FULL;
    pending = node_pend(node, offset, size, false);
    size = 0;
    for (size_t i = 0; i < count; i++) {
        if (parts[i].iov_len)
            memcpy(pending->data + size, parts[i].iov_base, parts[i].iov_len);
        size += parts[i].iov_len;
    }
    bytes_put(&node->now, offset, pending->data, size);
    return e;
}

static enum err
sim_sync(const struct disk *disk, int file)
{
    struct disk_sim *sim = sim_of(disk);
    enum err e = sim_count(sim);

    if (sim->crashed)
        return ERR_IO;
    if (sim->ignore_syncs && !e)
        return OK;
    node_settle(sim, handle_node(sim, file), !e);
    return e;
}

/* What is seen of NODE becomes what is on the disk. */
static void
node_reread(struct node *node)
{
    free(node->now.data);
    node->now = (struct bytes){};
    if (node->disk.size)
        bytes_put(&node->now, 0, node->disk.data, node->disk.size);
}

static enum err
sim_settle(const struct disk *disk, int file)
{
    struct disk_sim *sim = sim_of(disk);
    enum err e = sim_sync(disk, file);

    if (!e && !sim->ignore_syncs)
        node_reread(handle_node(sim, file));
    return e;
}

static enum err
sim_allocate(const struct disk *disk, int file, uint64_t size)
{
    struct disk_sim *sim = sim_of(disk);
    enum err e = sim_count(sim);
    struct node *node;

    if (e)
        return e;
    node = handle_node(sim, file);
    e = sim_grow(sim, node, size);
    if (e)
        return e;
    node_pend(node, 0, size, true);
    return OK;
}

static enum err
sim_size(const struct disk *disk, int file, uint64_t *size)
{
    struct disk_sim *sim = sim_of(disk);

    if (sim->crashed)
        return ERR_IO;
    *size = handle_node(sim, file)->now.size;
    return OK;
}

static enum err
sim_unlink(const struct disk *disk, const char *path)
{
    struct disk_sim *sim = sim_of(disk);
    enum err e = sim_count(sim);
    struct name *name = name_of(sim, path, false);

    if (e)
        return e;
    if (!name || !name->now)
        return ERR_NOT_FOUND;
    name->now = NULL;
    return OK;
}

static enum err
sim_rename(const struct disk *disk, const char *from, const char *to)
{
    struct disk_sim *sim = sim_of(disk);
    enum err e = sim_count(sim);
    struct name *name = name_of(sim, from, false);

    if (e)
        return e;
    if (!name || !name->now || !parent_exists(sim, to))
        return ERR_NOT_FOUND;
    name_of(sim, to, true)->now = name->now;
    name->now = NULL;
    return OK;
}

static enum err
sim_mkdir(const struct disk *disk, const char *path)
{
    struct disk_sim *sim = sim_of(disk);
    enum err e = sim_count(sim);
    struct name *name;

    if (e)
        return e;
    if (!parent_exists(sim, path))
        return ERR_NOT_FOUND;
    name = name_of(sim, path, true);
    if (name->now)
        return ERR_EXISTS;
    name->now = node_new(sim, true);
    return OK;
}

static enum err
sim_list(const struct disk *disk, const char *path, void (*each)(void *arg, str name), void *arg)
{
    struct disk_sim *sim = sim_of(disk);
    const struct name *dir = name_of(sim, path, false);

    if (sim->crashed)
        return ERR_IO;
    if (!dir || !dir->now || !dir->now->is_dir)
        return ERR_NOT_FOUND;
    for (const struct name *name = sim->names; name; name = name->next)
        if (name->now && path_is_in(name->path, path))
            each(arg, str_from(name->path + strlen(path) + 1));
    return OK;
}

static enum err
sim_sync_dir(const struct disk *disk, const char *path)
{
    struct disk_sim *sim = sim_of(disk);
    enum err e = sim_count(sim);

    if (sim->crashed)
        return ERR_IO;
    if (e || sim->ignore_syncs)
        return e;
    for (struct name *name = sim->names; name; name = name->next)
        if (path_is_in(name->path, path))
            name->disk = name->now;
    return OK;
}

static enum err
sim_free_bytes(const struct disk *disk, const char *, uint64_t *bytes)
{
    struct disk_sim *sim = sim_of(disk);
    uint64_t used = sim_used(sim);

    if (sim->crashed)
        return ERR_IO;
    *bytes = !sim->capacity ? UINT64_MAX : sim->capacity > used ? sim->capacity - used : 0;
    return OK;
}

static enum err
sim_lock(const struct disk *disk, const char *path, int *file)
{
    struct disk_sim *sim = sim_of(disk);
    struct name *name;

    if (sim->crashed)
        return ERR_IO;
    if (!parent_exists(sim, path))
        return ERR_NOT_FOUND;
    name = name_of(sim, path, true);
    for (size_t i = 0; i < HANDLES_MAX; i++)
        if (sim->locked[i] == name->path)
            return ERR_BUSY;
    if (!name->now)
        name->now = node_new(sim, false);
    return handle_new(sim, name->now, name->path, file);
}

struct disk_sim *
disk_sim_new(uint64_t seed)
{
    static const struct disk calls = {
        .open = sim_open,
        .close = sim_close,
        .read = sim_read,
        .map = sim_map,
        .unmap = sim_unmap,
        .write = sim_write,
        .sync = sim_sync,
        .settle = sim_settle,
        .allocate = sim_allocate,
        .size = sim_size,
        .unlink = sim_unlink,
        .rename = sim_rename,
        .mkdir = sim_mkdir,
        .list = sim_list,
        .sync_dir = sim_sync_dir,
        .free_bytes = sim_free_bytes,
        .lock = sim_lock,
    };
    struct disk_sim *sim = calloc(1, sizeof(*sim));

    must(sim);
    sim->disk = calls;
    sim->disk.state = sim;
    rand_init(&sim->rand, seed);
    return sim;
}

static void
node_free(struct node *node)
{
    for (struct pending *p = node->first, *next; p; p = next) {
        next = p->next;
        free(p);
    }
    free(node->now.data);
    free(node->disk.data);
    free(node);
}

void
disk_sim_free(struct disk_sim *sim)
{
    if (!sim)
        return;
    for (struct node *node = sim->nodes, *next; node; node = next) {
        next = node->next;
        node_free(node);
    }
    for (struct name *name = sim->names, *next; name; name = next) {
        next = name->next;
        free(name);
    }
    free(sim);
}

const struct disk *
disk_sim_disk(struct disk_sim *sim)
{
    return &sim->disk;
}

uint64_t
disk_sim_operations(const struct disk_sim *sim)
{
    return sim->operations;
}

void
disk_sim_crash_at(struct disk_sim *sim, uint64_t at)
{
    sim->crash_at = at;
}

bool
disk_sim_has_crashed(const struct disk_sim *sim)
{
    return sim->crashed;
}

void
disk_sim_fail_at(struct disk_sim *sim, uint64_t at, uint64_t count, enum err e)
{
    sim->fail_at = at;
    sim->fail_count = count;
    sim->fail_with = e;
}

void
disk_sim_ignore_syncs(struct disk_sim *sim, bool ignore)
{
    sim->ignore_syncs = ignore;
}

void
disk_sim_set_capacity(struct disk_sim *sim, uint64_t bytes)
{
    sim->capacity = bytes;
}

/* Each change of a name by itself: it happened, or it did not. */
static void
names_settle(struct disk_sim *sim)
{
    uint64_t mode = rand_below(&sim->rand, 4);

    for (struct name *name = sim->names; name; name = name->next) {
        if (name->now != name->disk && (mode == 1 || (mode && coin(sim))))
            name->disk = name->now;
        name->now = name->disk;
    }
    /* What stands in a directory that is not there is not there; so is what stands in that. */
    for (int depth = 0; depth < 3; depth++)
        for (struct name *name = sim->names; name; name = name->next)
            if (name->now && !parent_exists(sim, name->path))
                name->now = name->disk = NULL;
}

static bool
node_is_named(const struct disk_sim *sim, const struct node *node)
{
    for (const struct name *name = sim->names; name; name = name->next)
        if (name->now == node)
            return true;
    return false;
}

static void
sim_revive(struct disk_sim *sim)
{
    sim->crashed = false;
    sim->crash_at = 0;
    sim->fail_at = 0;
}

void
disk_sim_power_cut(struct disk_sim *sim)
{
    struct node **link = &sim->nodes;

    memset(sim->handles, 0, sizeof(sim->handles));
    memset(sim->locked, 0, sizeof(sim->locked));
    names_settle(sim);
    while (*link) {
        struct node *node = *link;
        node_settle(sim, node, false);
        if (!node_is_named(sim, node)) {
            *link = node->next;
            node_free(node);
            continue;
        }
        node_reread(node);
        link = &node->next;
    }
    sim_revive(sim);
}

void
disk_sim_kill(struct disk_sim *sim)
{
    memset(sim->handles, 0, sizeof(sim->handles));
    memset(sim->locked, 0, sizeof(sim->locked));
    sim_revive(sim);
}

bool
disk_sim_flip(struct disk_sim *sim, const char *path, uint64_t offset, uint8_t mask)
{
    const struct name *name = name_of(sim, path, false);

    if (!name || !name->now || offset >= name->now->now.size)
        return false;
    name->now->now.data[offset] ^= (char)mask;
    if (offset < name->now->disk.size)
        name->now->disk.data[offset] ^= (char)mask;
    return true;
}
