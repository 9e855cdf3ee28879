/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* control.h: asks the running server, over DATA/control.sock.
 *
 * One request, a line of JSON:   {"command":"queue.list","args":{...}}
 * Answer: lines                  {"row":{...}}              any number
 *                                {"progress":{"done":4210,"total":9020}}  now and then
 * and one of                     {"ok":true,...}
 *                                {"error":{"code":"no_such_message","exit":65,"message":"...","cure":"..."}}
 *
 * ARGS is the text of a JSON object, or empty.  All functions say by themselves what went wrong and return
 * an exit code.
 */
#pragma once

#include "base/base.h"
#include "base/str.h"
#include "cli/command.h"
#include "formats/json.h"

/* Calls ROW(arg, row) for each row as it comes (NULL: they are dropped), and gives the last line in FINAL
 * (NULL: not wanted), which lives in the call's arena. */
int control_ask(struct call *call, const char *command, str args,
                void (*row)(void *arg, const struct json *row), void *arg,
                const struct json **final);
/* Prints the rows as a list. */
int control_list(struct call *call, const char *command, str args, const char *schema,
                 const struct column *columns, const char *none);
/* Prints the member "document" of the last line, or the last line without its "ok". */
int control_document(struct call *call, const char *command, str args, const char *schema,
                     const struct column *columns);
/* For commands that only do something: says the member "message" of the last line, if there is one. */
int control_do(struct call *call, const char *command, str args);
