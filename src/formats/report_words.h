/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* report_words.h: reports for humans only, in the fashion of each mail server.  Parts of report.c.
 */
#pragma once

#include "base/base.h"
#include "base/err.h"
#include "base/str.h"
#include "formats/report.h"
#include "formats/report_parts.h"

/* What decides whether words are believed. */
struct report_letter {
    const struct report_parts *parts;
    bool from_daemon;      /* From: MAILER-DAEMON and the like, or nobody. */
    bool has_null_path;    /* Return-Path: <> */
    bool is_list;          /* A mailing list, or bulk mail with a way out. */
    bool is_answer;        /* "Re:", "Fwd:": somebody answers or passes on. */
    bool returns_original; /* As a part of its own. */
    str failed_field;      /* X-Failed-Recipients */
};

/* The text that a reader sees: the NUMBER-th plain part, or HTML where there is no plain one; empty
 * when there is none. */
enum err report_visible_text(const struct report_parts *parts, size_t number, struct arena *arena,
                             str *text);
/* Appends the recipients of a report in words; none if it is no report.  ORIGINAL is what was
 * found to follow in the same text.  ERR_LIMIT from the arena. */
enum err report_read_words(const struct report_letter *letter, str text, struct arena *arena,
                           struct report *report, str *original);
