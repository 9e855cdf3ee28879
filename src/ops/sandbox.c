/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* sandbox.c: rights given up, with the smallest tools of the kernel.
 *
 * seccomp here is a list of what is refused, not of what is allowed: libraries change their calls
 * with every release, and a mail server that dies of an unknown call loses more than it gains.  The
 * list holds what an intruder would want and a mail server never does.  Landlock then bounds the
 * file system.
 */
#include "ops/sandbox.h"

#include "base/must.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <pwd.h>
#include <seccomp.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Rights of later kernels than the headers at hand. */
#define FS_REFER    (1ULL << 13)
#define FS_TRUNCATE (1ULL << 14)

#define FS_READ   (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define FS_ALL_V1 ((1ULL << 13) - 1)
/* What can be granted on a file; the rest is about directories. */
#define FS_OF_FILE (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | FS_TRUNCATE)

/* Read by libunbound, OpenSSL, libc and SQLite on their own. */
static const char *const system_paths[] = {
    "/etc/resolv.conf",
    "/etc/hosts",
    "/etc/services",
    "/etc/protocols",
    "/etc/nsswitch.conf",
    "/etc/ssl",
    "/etc/unbound",
    "/etc/localtime",
    "/etc/passwd",
    "/etc/group",
    "/usr/lib",
    "/usr/share/ca-certificates",
    "/usr/share/dns",
    "/usr/share/zoneinfo",
    "/usr/local/share/ca-certificates",
    "/var/lib/unbound",
    "/run/systemd/resolve",
    "/dev/urandom",
    "/dev/random",
    "/proc/self",
    "/proc/sys/vm",
    "/sys/devices/system/cpu",
};

/* clang-format off */
static const int refused_calls[] = {
    /* Other programs and other processes. */
    SCMP_SYS(execve), SCMP_SYS(execveat), SCMP_SYS(ptrace), SCMP_SYS(process_vm_readv),
    SCMP_SYS(process_vm_writev), SCMP_SYS(kcmp), SCMP_SYS(pidfd_getfd), SCMP_SYS(personality),
    /* The shape of the system. */
    SCMP_SYS(mount), SCMP_SYS(umount2), SCMP_SYS(pivot_root), SCMP_SYS(chroot), SCMP_SYS(unshare),
    SCMP_SYS(setns), SCMP_SYS(move_mount), SCMP_SYS(fsopen), SCMP_SYS(fsconfig), SCMP_SYS(fsmount),
    SCMP_SYS(fspick), SCMP_SYS(open_tree), SCMP_SYS(swapon), SCMP_SYS(swapoff), SCMP_SYS(quotactl),
    SCMP_SYS(acct), SCMP_SYS(reboot), SCMP_SYS(sethostname), SCMP_SYS(setdomainname),
    SCMP_SYS(settimeofday), SCMP_SYS(clock_settime), SCMP_SYS(clock_adjtime), SCMP_SYS(adjtimex),
    SCMP_SYS(syslog), SCMP_SYS(vhangup), SCMP_SYS(nfsservctl),
    /* The kernel itself. */
    SCMP_SYS(init_module), SCMP_SYS(finit_module), SCMP_SYS(delete_module), SCMP_SYS(kexec_load),
    SCMP_SYS(kexec_file_load), SCMP_SYS(bpf), SCMP_SYS(perf_event_open), SCMP_SYS(userfaultfd),
    SCMP_SYS(io_uring_setup), SCMP_SYS(io_uring_enter), SCMP_SYS(io_uring_register),
    SCMP_SYS(iopl), SCMP_SYS(ioperm), SCMP_SYS(modify_ldt), SCMP_SYS(lookup_dcookie),
    SCMP_SYS(open_by_handle_at), SCMP_SYS(name_to_handle_at),
    /* Keys and rights. */
    SCMP_SYS(keyctl), SCMP_SYS(add_key), SCMP_SYS(request_key), SCMP_SYS(setuid), SCMP_SYS(setgid),
    SCMP_SYS(setreuid), SCMP_SYS(setregid), SCMP_SYS(setresuid), SCMP_SYS(setresgid),
    SCMP_SYS(setgroups), SCMP_SYS(setfsuid), SCMP_SYS(setfsgid), SCMP_SYS(capset), SCMP_SYS(mknod),
    SCMP_SYS(mknodat),
};
/* clang-format on */

enum err
sandbox_refuse_calls(struct why *why)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    int failed;

    if (!filter)
        return err_why(why, ERR_IO, "seccomp: no filter can be made");
    for (size_t i = 0; i < COUNT_OF(refused_calls); i++) {
        /* A call that this machine does not have cannot be made either. */
        failed = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), refused_calls[i], 0);
        if (failed && failed != -EDOM && failed != -EINVAL) {
            seccomp_release(filter);
            return err_why(why, ERR_IO, "seccomp: %s", strerror(-failed));
        }
    }
    failed = seccomp_load(filter);
    seccomp_release(filter);
    if (failed)
        return err_why(why, ERR_UNSUPPORTED, "seccomp: %s", strerror(-failed));
    return OK;
}

/* The rights that this kernel knows, or 0 without Landlock. */
static uint64_t
handled_rights(void)
{
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    uint64_t rights = FS_ALL_V1;

    if (version < 1)
        return 0;
    if (version >= 2)
        rights |= FS_REFER;
    if (version >= 3)
        rights |= FS_TRUNCATE;
    return rights;
}

static enum err
grant(int ruleset, const char *path, uint64_t rights, struct why *why)
{
    struct landlock_path_beneath_attr rule = { .allowed_access = rights };
    struct stat status;
    long failed;

    rule.parent_fd = open(path, O_PATH | O_CLOEXEC);
    if (rule.parent_fd < 0)
        return OK;
    if (!fstat(rule.parent_fd, &status) && !S_ISDIR(status.st_mode))
        rule.allowed_access &= FS_OF_FILE;
    failed = syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
    if (failed)
        (void)err_why(why, ERR_IO, "landlock: %s: %s", path, strerror(errno));
    close(rule.parent_fd);
    return failed ? ERR_IO : OK;
}

static enum err
grant_all(int ruleset, const struct sandbox_path *paths, size_t count, uint64_t rights,
          struct why *why)
{
    uint64_t write = rights & ~(uint64_t)LANDLOCK_ACCESS_FS_EXECUTE;
    enum err e;

    for (size_t i = 0; i < COUNT_OF(system_paths); i++) {
        e = grant(ruleset, system_paths[i], FS_READ, why);
        if (e)
            return e;
    }
    e = grant(ruleset, "/dev/null", (FS_READ | LANDLOCK_ACCESS_FS_WRITE_FILE) & rights, why);
    if (e)
        return e;
    for (size_t i = 0; i < count; i++) {
        e = grant(ruleset, paths[i].path, paths[i].right == SANDBOX_WRITE ? write : FS_READ, why);
        if (e)
            return e;
    }
    return OK;
}

enum err
sandbox_confine_files(const struct sandbox_path *paths, size_t count, bool *active, struct why *why)
{
    struct landlock_ruleset_attr attr = { .handled_access_fs = handled_rights() };
    long ruleset;
    enum err e;

    *active = false;
    if (!attr.handled_access_fs)
        return OK;
    ruleset = syscall(SYS_landlock_create_ruleset, &attr, sizeof attr, 0);
    if (ruleset < 0)
        return err_why(why, ERR_IO, "landlock: %s", strerror(errno));
    e = grant_all((int)ruleset, paths, count, attr.handled_access_fs, why);
    if (!e && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        e = err_why(why, ERR_IO, "no_new_privs: %s", strerror(errno));
    if (!e && syscall(SYS_landlock_restrict_self, (int)ruleset, 0))
        e = err_why(why, ERR_IO, "landlock: %s", strerror(errno));
    close((int)ruleset);
    *active = !e;
    return e;
}

enum err
sandbox_drop_capabilities(struct why *why)
{
    struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct none[2] = { { 0 }, { 0 } };

    if (geteuid() == 0)
        return OK;
    (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    if (syscall(SYS_capset, &header, none))
        return err_why(why, err_from_errno(errno), "capset: %s", strerror(errno));
    return OK;
}

enum err
sandbox_drop_to_user(const char *user, struct why *why)
{
    const struct passwd *entry;

    if (geteuid() != 0 || !user || !user[0])
        return OK;
    errno = 0;
    entry = getpwnam(user);
    if (!entry)
        return err_why(why, ERR_NOT_FOUND,
                       "there is no user \"%s\" on this machine; make one with "
                       "'adduser --system --group %s', or change server.user",
                       user, user);
    if (initgroups(user, entry->pw_gid) || setgid(entry->pw_gid) || setuid(entry->pw_uid))
        return err_why(why, err_from_errno(errno), "cannot become user \"%s\": %s", user,
                       strerror(errno));
    must(entry->pw_uid == 0 || setuid(0) != 0);
    return OK;
}
