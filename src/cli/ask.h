/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* ask.h: the arguments of a request to the server, written in one go.
 *
 *     struct ask ask;
 *
 *     ask_begin(&ask, call);
 *     json_put_text(&ask.writer, "address", str_from(call->args[0]));
 *     return ask_do(&ask, "user.disable");
 *
 * ask_begin() adds what every change carries: "dry_run" and "reason" when they were given.  Each of
 * the three ends frees what the ask holds and gives the exit code.
 */
#pragma once

#include "base/base.h"
#include "base/buf.h"
#include "cli/command.h"
#include "cli/control.h"
#include "formats/json.h"

struct ask {
    struct call *call;
    struct buf buf;
    struct json_writer writer;
};

void ask_begin(struct ask *ask, struct call *call);
/* The text of the arguments so far, finished; ask_done() frees it. */
str ask_text(struct ask *ask);
void ask_done(struct ask *ask);

int ask_do(struct ask *ask, const char *command);
int ask_list(struct ask *ask, const char *command, const char *schema, const struct column *columns,
             const char *none);
int ask_document(struct ask *ask, const char *command, const char *schema,
                 const struct column *columns);
