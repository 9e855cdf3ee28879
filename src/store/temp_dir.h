/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* temp_dir.h: a directory for the files of a test, below TMPDIR; for tests only. */
#pragma once

#include "base/must.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct temp_dir {
    char path[256];
    char file[512];
};

static inline void
temp_dir_make(struct temp_dir *dir)
{
    const char *base = getenv("TMPDIR");

    snprintf(dir->path, sizeof(dir->path), "%s/outpost-test-XXXXXX",
             base && base[0] ? base : "/tmp");
    must(mkdtemp(dir->path));
}

/* The path of NAME in it, until the next call. */
static inline const char *
temp_dir_file(struct temp_dir *dir, const char *name)
{
    snprintf(dir->file, sizeof(dir->file), "%s/%s", dir->path, name);
    return dir->file;
}

/* Files only, no directories in it. */
static inline void
temp_dir_remove(struct temp_dir *dir)
{
    DIR *stream = opendir(dir->path);
    struct dirent *entry;

    must(stream);
    while ((entry = readdir(stream)))
        unlink(temp_dir_file(dir, entry->d_name));
    closedir(stream);
    must(rmdir(dir->path) == 0);
}
