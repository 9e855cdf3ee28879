/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* report_original.h: what the returned original says about which message it was.  Parts of
 * report.c. */
#pragma once

#include "base/arena.h"
#include "base/base.h"
#include "base/err.h"
#include "base/str.h"
#include "formats/report.h"

/* Of a header section: Message-ID, Return-Path, Subject, To, and the ids of Received.  What is
 * known already stays.  ERR_LIMIT from the arena. */
enum err report_read_original(str section, struct arena *arena, struct report *report);
/* The same of one that is quoted somewhere in TEXT, perhaps behind ">" or blanks. */
enum err report_find_original(str text, struct arena *arena, struct report *report);
/* Is it "<something@somewhere>"?  ID is that, and nothing around it. */
bool report_message_id(str value, str *id);
