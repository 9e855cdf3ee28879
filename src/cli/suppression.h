/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* suppression.h: what suppression.c and suppression_file.c share. */
#pragma once

#include "cli/ask.h"

extern const struct column suppression_columns[];

/* What the flags say of all entries of a request. */
void suppression_put_common(struct ask *ask);
/* The words of the command line. */
void suppression_put_query(struct ask *ask);
/* A row of the answer: an entry that could not be. */
void suppression_say_wrong(void *arg, const struct json *row);

int suppression_import(struct call *call);
int suppression_export(struct call *call);
