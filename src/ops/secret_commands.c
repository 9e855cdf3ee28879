/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* secret_commands.c: the keys of tokens (trust/token.h): to list them, and to make the next one.
 *
 * Neither shows a key.  Writing the file blocks, so that it is done on a thread of the pool.  The
 * table stands at the end.
 */
#include "ops/control_call.h"
#include "runtime/clock.h"
#include "runtime/wait.h"
#include "store/events.h"
#include "trust/token.h"

#include <stdio.h>

struct key {
    instant created;
    char name[16];
};

struct keys {
    struct key items[SECRETS_MAX];
    size_t count;
};

static void
collect(void *arg, instant created, str name)
{
    struct keys *keys = arg;
    struct key *key = &keys->items[keys->count++];

    key->created = created;
    snprintf(key->name, sizeof(key->name), "%.*s", STR_ARG(name));
}

WAITS static enum err
run_list(struct control_call *call)
{
    struct keys keys = { .count = 0 };
    enum err e = OK;

    secrets_each(call->context->secrets, collect, &keys);
    for (size_t i = 0; !e && i < keys.count; i++) {
        struct json_writer *row = control_row(call);
        json_put_text(row, "key", str_from(keys.items[i].name));
        json_put_time(row, "created", keys.items[i].created);
        json_put_text(row, "state", i + 1 == keys.count ? S("makes") : S("checks"));
        e = control_row_end(call);
    }
    return e;
}

struct rotation {
    struct secrets *secrets;
    duration keep;
    bool dry;
    size_t forgotten;
    enum err result;
    struct why why;
};

static void
rotate(void *arg)
{
    struct rotation *rotation = arg;

    if (rotation->dry)
        rotation->result = secrets_foresee_rotation(rotation->secrets, clock_now(), rotation->keep,
                                                    &rotation->forgotten, &rotation->why);
    else
        rotation->result = secrets_rotate(rotation->secrets, clock_now(), rotation->keep,
                                          &rotation->forgotten, &rotation->why);
}

WAITS static enum err
run_rotate(struct control_call *call)
{
    int64_t keep_ms = json_get_int(call->args, "keep_ms");
    struct rotation rotation = { .secrets = call->context->secrets,
                                 .keep = SECRETS_KEEP,
                                 .dry = json_get_bool(call->args, "dry_run") };
    struct event event = {
        .kind = EVENT_ADMIN,
        .actor = call->actor,
        .text = S("secret.rotate"),
    };

    if (json_get(call->args, "keep_ms"))
        rotation.keep = MIN(MAX(keep_ms, 0), SECRETS_KEEP_MAX / MILLISECONDS(1)) * MILLISECONDS(1);
    offload(rotate, &rotation);
    if (rotation.result) {
        (void)err_why(&call->why, rotation.result, "%s", rotation.why.text);
        return control_failed(call, rotation.result);
    }
    if (rotation.dry) {
        control_say(
            call,
            "a new key would be made; %zu older ones would be forgotten (not done: --dry-run)",
            rotation.forgotten);
        return OK;
    }
    events_record(call->context->events, &event);
    control_say(call, "a new key makes from now on; %zu older ones were forgotten",
                rotation.forgotten);
    return OK;
}

/* clang-format off */
const struct control_command control_secret[] = {
    /* name            what it does  needs                        arguments */
    { "secret.list",   run_list,     CONTROL_NEEDS_EVENTS },
    { "secret.rotate", run_rotate,   CONTROL_NEEDS_EVENTS },   /* keep_ms dry_run */
    { NULL, NULL, 0 },
};
/* clang-format on */
