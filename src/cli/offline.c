/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* offline.c: opens the databases for one command.  Start reading at offline_run(). */
#include "cli/offline.h"

#include "accounts/account.h"
#include "accounts/suppression.h"
#include "config/config.h"
#include "ops/control_call.h"
#include "ops/sandbox.h"
#include "runtime/clock.h"
#include "store/events.h"
#include "store/mailbox.h"
#include "trust/keyring.h"
#include "trust/token.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

enum {
    PATH_SIZE = 1024,
    MAILBOXES_OPEN_MAX = 4
};

bool
offline_knows(const char *command)
{
    static const char *const prefixes[] = {
        "user.",   "domain.",      "alias.",       "dns.",
        "secret.", "suppression.", "trace.search", "trace.show"
    };

    for (size_t i = 0; i < COUNT_OF(prefixes); i++)
        if (str_starts(str_from(command), str_from(prefixes[i])))
            return true;
    return false;
}

bool
offline_is_locked(const struct config *config)
{
    char path[PATH_SIZE];
    bool locked = false;
    int fd;

    if (!config_data_path(config, path, sizeof path, "server.lock"))
        return false;
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        locked = flock(fd, LOCK_SH | LOCK_NB) != 0;
        close(fd);
    }
    return locked;
}

static enum err
lock_data(const struct config *config, int *lock, struct why *why)
{
    char path[PATH_SIZE];

    if (!config_data_path(config, path, sizeof path, "server.lock"))
        return err_why(why, ERR_LIMIT, "the path of the data directory is too long");
    *lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (*lock < 0)
        return err_why(why, err_from_errno(errno), "%s: %s", path, strerror(errno));
    if (flock(*lock, LOCK_EX | LOCK_NB)) {
        close(*lock);
        *lock = -1;
        return err_why(why, ERR_BUSY, "a server is starting or stopping; try again in a moment");
    }
    return OK;
}

WAITS static enum err
open_all(const struct config *config, struct control_context *context, struct why *why)
{
    char path[PATH_SIZE];
    enum err e = OK;

    if (!config_data_path(config, path, sizeof path, "events.db"))
        return err_why(why, ERR_LIMIT, "the path of the data directory is too long");
    e = events_open(path, &context->events, why);
    if (e)
        return e;
    (void)config_data_path(config, path, sizeof path, "directory.db");
    e = accounts_open(path, &context->accounts, why);
    if (e)
        return e;
    e = suppression_open(context->accounts, NULL, &context->suppression, why);
    if (e)
        return e;
    (void)config_data_path(config, path, sizeof path, "dkim");
    e = keyring_open(path, &context->keyring, why);
    if (e)
        return e;
    (void)config_data_path(config, path, sizeof path, "token-keys");
    e = secrets_open(path, clock_now(), &context->secrets, why);
    if (e)
        return e;
    (void)config_data_path(config, path, sizeof path, "mail");
    return mailstore_open(path, MAILBOXES_OPEN_MAX, &context->mailboxes, why);
}

WAITS enum err
offline_run(const struct config *config, str request, const struct control_carrier *carrier,
            struct why *why)
{
    struct control_context context = { .config = config };
    int lock = -1;
    enum err e;

    /* What root would make here the server could not open. */
    e = sandbox_drop_to_user(config->server.user.ptr, why);
    if (!e)
        e = lock_data(config, &lock, why);
    if (!e)
        e = open_all(config, &context, why);
    if (!e)
        e = control_run(&context, request, carrier);
    if (context.mailboxes)
        mailstore_close(context.mailboxes);
    suppression_close(context.suppression);
    if (context.accounts)
        accounts_close(context.accounts);
    keyring_close(context.keyring);
    secrets_close(context.secrets);
    if (context.events)
        events_close(context.events);
    if (lock >= 0)
        close(lock);
    return e;
}
