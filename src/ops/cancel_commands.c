/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* cancel_commands.c: a message taken back by its sender, or for him (delivery/queue/queue_cancel.c).
 *
 * The answer has a row for each recipient, so that whoever asked knows whom it reached all the same.
 */
#include "delivery/queue/queue.h"

#include "ops/control_call.h"

static str
sentence(const struct queue_cancelled *recipient, struct arena *arena)
{
    str text = S("");

    switch (recipient->fate) {
    case CANCEL_TAKEN_BACK:
        return S("It was taken back and never goes.");
    case CANCEL_UNDER_WAY:
        return S("It is on its way at this moment and cannot be called back.");
    case CANCEL_TOO_LATE:
        (void)arena_printf(arena, &text, "It is too late: it is %s already.", recipient->state);
        break;
    }
    return text;
}

WAITS static enum err
put_recipients(struct control_call *call, const struct queue_cancelled *recipients, size_t count)
{
    size_t taken = 0;
    enum err e = OK;

    for (size_t i = 0; i < count && !e; i++) {
        struct json_writer *row = control_row(call);

        json_put_text(row, "address", recipients[i].address);
        json_put_text(row, "state", str_from(recipients[i].state));
        json_put_bool(row, "cancelled", recipients[i].fate == CANCEL_TAKEN_BACK);
        json_put_text(row, "why", sentence(&recipients[i], &call->arena));
        taken += recipients[i].fate == CANCEL_TAKEN_BACK;
        e = control_row_end(call);
    }
    json_put_int(&call->answer, "count", (int64_t)taken);
    json_put_int(&call->answer, "late", (int64_t)(count - taken));
    return e;
}

WAITS static enum err
run_cancel(struct control_call *call)
{
    struct queue_cancel wish = { .account = json_get_text(call->args, "account"),
                                 .reason = json_get_text(call->args, "reason"),
                                 .actor = call->actor };
    struct queue_cancelled *recipients;
    size_t count = 0;
    enum err e;
    str id;

    if (!control_need(call, "id", &id))
        return ERR_SYNTAX;
    if (!msgid_parse(id, &wish.id))
        return control_fail(call, ERR_SYNTAX, "bad_id", "'outpost queue list' shows the ids",
                            "%.*s is not the id of a message", STR_ARG(id));
    e = queue_cancel(call->context->queue, &wish, &call->arena, &recipients, &count);
    if (e == ERR_NOT_FOUND)
        return control_fail(call, e, "no_such_message",
                            "'outpost trace show' tells what became of it",
                            "%.*s is not in the queue%s", STR_ARG(id),
                            wish.account.len ? " as a message of this account" : "");
    if (e)
        return control_failed(call, e);
    return put_recipients(call, recipients, count);
}

/* clang-format off */
const struct control_command control_cancel[] = {
    { "queue.cancel", run_cancel, CONTROL_NEEDS_SERVER }, /* id account reason */
    { NULL, NULL, 0 },
};
/* clang-format on */
