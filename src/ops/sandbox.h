/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* sandbox.h: rights that the server gives up before it speaks to strangers.
 *
 * Called once, before any thread is started; what is given up stays given up.
 */
#pragma once

#include "base/base.h"
#include "base/err.h"

enum sandbox_right {
    SANDBOX_READ,
    SANDBOX_WRITE, /* Reads, writes, creates and removes. */
};

struct sandbox_path {
    const char
        *path; /* A file, or a directory with all below it.  One that does not exist is skipped. */
    enum sandbox_right right;
};

/* seccomp: no execve, ptrace, mount, bpf, keyctl, modules and the like: they fail with EPERM. */
enum err sandbox_refuse_calls(struct why *why);
/* Landlock: files only below PATHS, and what the system's own libraries need (resolver,
 * certificates, time zones).  OK with *active false where the kernel lacks it. */
enum err sandbox_confine_files(const struct sandbox_path *paths, size_t count, bool *active,
                               struct why *why);
/* What a capability such as CAP_NET_BIND_SERVICE allows is over; nothing to do for root itself. */
enum err sandbox_drop_capabilities(struct why *why);
/* Becomes USER: groups, group, user, in this order, and not back.  Nothing to do when we are not
 * root, or USER is empty. */
enum err sandbox_drop_to_user(const char *user, struct why *why);
