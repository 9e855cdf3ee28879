/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* fixed.c: compares two snapshots by the table of options, and the listeners by themselves. */
#include "ops/fixed.h"

#include "base/buf.h"
#include "config/config.h"
#include "config/options.h"
#include "config/show.h"

enum {
    VALUE_MAX = 65536 /* Of an option, as text. */
};

static bool
same_addresses(const struct config_listen *a, const struct config_listen *b)
{
    if (!str_eq(a->name, b->name) || a->kind != b->kind || a->tls != b->tls ||
        a->address.count != b->address.count)
        return false;
    for (size_t i = 0; i < a->address.count; i++)
        if (!ipaddr_eq(a->address.items[i].addr, b->address.items[i].addr) ||
            a->address.items[i].port != b->address.items[i].port)
            return false;
    return true;
}

/* The names of what differs and cannot be changed by a reload, since it is open, bound or running.
 */
static void
find_fixed(const struct config *old, const struct config *new, struct buf *names)
{
    struct buf before, after;
    bool same = old->listener_count == new->listener_count;

    buf_init(&before, VALUE_MAX);
    buf_init(&after, VALUE_MAX);
    for (size_t i = 0; i < option_count; i++) {
        const struct section *section = &sections[options[i].section];

        if (options[i].reload != RELOAD_RESTART || section->repeated)
            continue;
        buf_clear(&before);
        buf_clear(&after);
        config_value(old, &options[i], &before);
        config_value(new, &options[i], &after);
        if (!str_eq(buf_str(&before), buf_str(&after)))
            buf_addf(names, "%s%s.%s", names->len ? ", " : "", section->name, options[i].name);
    }
    for (size_t i = 0; i < old->listener_count && same; i++)
        same = same_addresses(&old->listeners[i], &new->listeners[i]);
    if (!same)
        buf_addf(names, "%slisten", names->len ? ", " : "");
    buf_done(&before);
    buf_done(&after);
}

/* Half of a change would be worse than none: a file that wants more than a reload can do is
 * refused. */
enum err
fixed_check(const struct config *old, const struct config *new, struct why *why)
{
    struct buf names;
    enum err e = OK;

    buf_init(&names, VALUE_MAX);
    find_fixed(old, new, &names);
    if (names.len)
        e = err_why(
            why, ERR_UNSUPPORTED,
            "%.*s: changed, and takes a restart ('systemctl restart outpost', or SIGUSR2 to the "
            "supervisor, which refuses no connection)",
            STR_ARG(str_head(buf_str(&names), 100)));
    buf_done(&names);
    return e;
}
