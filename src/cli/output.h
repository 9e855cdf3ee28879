/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* output.h: what commands print: one way for people, others for programs.
 *
 * Data goes to stdout and nothing else does.  A command hands over rows and documents as JSON
 * values (formats/json.h), whether they came from the server or were made here; the format decides
 * what becomes of them: a table as wide as the terminal, JSON lines, tab-separated values, or ids.
 */
#pragma once

#include "base/base.h"
#include "base/buf.h"
#include "base/instant.h"
#include "base/str.h"
#include "formats/json.h"

#include <stdio.h>

enum output_format {
    OUTPUT_TABLE,
    OUTPUT_WIDE,
    OUTPUT_TSV,
    OUTPUT_IDS,
    OUTPUT_JSON
};

enum column_kind {
    COLUMN_TEXT,
    COLUMN_ID, /* Never cut; what `-o ids` prints. */
    COLUMN_NUMBER,
    COLUMN_BYTES,    /* A number of bytes: 4.1 KiB */
    COLUMN_TIME,     /* RFC 3339: shown as the local time. */
    COLUMN_AGE,      /* RFC 3339: shown as the time since then, or "in 5m". */
    COLUMN_DURATION, /* Milliseconds: 1.5 s */
    COLUMN_STATE,    /* A word with a colour: ok, warn, fail and their like. */
    COLUMN_LIST,     /* Texts, shown with commas. */
};

struct column {
    const char *key;   /* In the row; NULL ends a list. */
    const char *title; /* NULL: the key in capitals. */
    enum column_kind kind;
    bool wide;         /* Only with -o wide. */
    const char *other; /* The member that is shown when there is none of KEY; may be NULL. */
};

struct output {
    enum output_format format;
    bool quiet;
    bool color;
    bool headers;
    unsigned width; /* Of the terminal; 0: do not cut. */
    FILE *file;
    instant now;      /* For ages. */
    bool progressing; /* A line of progress stands on the terminal. */

    const struct column *columns;
    const char *schema;
    size_t row_count;
    struct buf cells; /* Of the rows that were not printed yet: each cell ends with 0x1f. */
    size_t held;
    unsigned widths[24];
};

void output_init(struct output *out, FILE *file);
void output_done(struct output *out);

/* A list.  SCHEMA is "outpost.queue.message/1": the first member of every JSON line. */
void output_list(struct output *out, const char *schema, const struct column *columns);
void output_row(struct output *out, const struct json *row);
/* Prints what is still held; NONE is said on stderr when there was no row (NULL: nothing). */
void output_list_end(struct output *out, const char *none);

/* One document: its members line by line, or those of COLUMNS when not NULL, or one JSON object. */
void output_document(struct output *out, const char *schema, const struct column *columns,
                     const struct json *document);
/* The same from the text of a JSON object that the command wrote itself; it must be one. */
void output_document_text(struct output *out, const char *schema, const struct column *columns,
                          str json);
void output_row_text(struct output *out, str json);

/* How far a long command is, on stderr when that is a terminal; TOTAL 0: it has ended. */
void output_progress(struct output *out, uint64_t done, uint64_t total);

/* TEXT for people, as wide as the terminal when it WRAPS; what would steer the terminal is a
 * question mark. */
void output_paragraph(struct output *out, unsigned indent, bool wraps, str text);

/* TEXT as nothing that a terminal would obey: no C0, no DEL, no C1, no marks that turn
 * the direction, no broken UTF-8. */
void output_add_harmless(struct buf *buf, str text);

/* A line for people, or several; nothing with --quiet or for programs.  What would steer the
 * terminal is a question mark: a text may be a stranger's. */
void output_line(struct output *out, const char *format, ...) PRINTF_LIKE(2, 3);

/* WORD in its colour when colours are on: for lines of people.  Into TEXT, which it returns. */
const char *output_colored(const struct output *out, const char *word, char text[64]);

/* Re-writes VALUE as a member of what WRITER writes. */
void output_put_json(struct json_writer *writer, const char *key, const struct json *value);
