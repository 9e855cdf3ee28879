/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* ask.c: see ask.h. */
#include "cli/ask.h"

enum {
    ASK_SIZE_MAX = 256 * 1024
};

static bool
takes(const struct call *call, unsigned uses)
{
    return (call->command->uses & uses) != 0;
}

void
ask_begin(struct ask *ask, struct call *call)
{
    const char *reason = takes(call, USES_DESTROYS | USES_REASON) ? call_reason(call) : NULL;

    ask->call = call;
    buf_init(&ask->buf, ASK_SIZE_MAX);
    json_writer_init(&ask->writer, &ask->buf);
    json_begin_object(&ask->writer, NULL);
    if (takes(call, USES_CHANGES | USES_DESTROYS) && call_has(call, "--dry-run"))
        json_put_bool(&ask->writer, "dry_run", true);
    if (reason)
        json_put_text(&ask->writer, "reason", str_from(reason));
}

str
ask_text(struct ask *ask)
{
    json_end_object(&ask->writer);
    return buf_str(&ask->buf);
}

void
ask_done(struct ask *ask)
{
    buf_done(&ask->buf);
}

int
ask_do(struct ask *ask, const char *command)
{
    int exit = control_do(ask->call, command, ask_text(ask));

    ask_done(ask);
    return exit;
}

int
ask_list(struct ask *ask, const char *command, const char *schema, const struct column *columns,
         const char *none)
{
    int exit = control_list(ask->call, command, ask_text(ask), schema, columns, none);

    ask_done(ask);
    return exit;
}

int
ask_document(struct ask *ask, const char *command, const char *schema, const struct column *columns)
{
    int exit = control_document(ask->call, command, ask_text(ask), schema, columns);

    ask_done(ask);
    return exit;
}
