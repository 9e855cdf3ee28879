/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* header.h: the header section of a message: where it ends, and its fields.  RFC 5322 2.2.
 *
 * A section is small enough to be held (its ceiling is the caller's), so that all but the
 * search for its end work on one str and give slices of it.  Lines end in CRLF; a bare LF is
 * understood, too, since local programs write it.
 */
#pragma once

#include "base/arena.h"
#include "base/base.h"
#include "base/err.h"
#include "base/str.h"

enum {
    HEADER_NAME_MAX = 997
};

/* Looks at the whole lines of BYTES from *SCANNED on (0 at first, kept between calls with more
 * bytes behind). True when the section is complete: SIZE counts it with its empty line; when a line
 * that is no field ends it, as the body of a message without an empty line does, SIZE is up to that
 * line. */
bool header_find_end(str bytes, size_t *scanned, size_t *size);

struct header_field {
    str name;  /* Empty: the line is no field; only `raw` is set then. */
    str value; /* As it stands, folds in it, blanks at both ends removed. */
    str raw;   /* All of it, with the line end. */
};

/* Takes one field off the front of SECTION.  False at the empty line, or at the end. */
bool header_next(str *section, struct header_field *field);
/* The first field of that name; false if there is none. */
bool header_find(str section, str name, struct header_field *field);
bool header_is(const struct header_field *field, str name);

/* What intake asks of a section, from one walk. */
struct header_facts {
    size_t fields;
    size_t malformed; /* Lines that are no fields. */
    size_t received;  /* Hops so far. */
    size_t delivered_to;
    size_t from;
    size_t sender;
    size_t reply_to;
    size_t to;
    size_t cc;
    size_t bcc; /* Resent-Bcc, too. */
    size_t date;
    size_t message_id;
    size_t subject;
    size_t return_path;
    bool is_automatic; /* Auto-Submitted other than "no". */
    bool has_8bit;
    size_t longest_line; /* Without its end. */
    str from_value;      /* Of the first of its name; empty if there is none. */
    str sender_value;
    str message_id_value;
    str subject_value;
    /* Who writes like that: a person, a program, or either to many; mail/lane.h. */
    str auto_submitted;
    str auto_response_suppress;
    str feedback_id;
    str in_reply_to;
    str references;
    str list_id;
    str list_post;
    str list_unsubscribe;
    str list_unsubscribe_post;
    str precedence;
    size_t tls_required; /* How often it is there: RFC 8689 3. */
    str tls_required_value;
    str user_agent;
    str mailer;
};

/* ERR_LIMIT when there are more than FIELDS_MAX. */
enum err header_survey(str section, size_t fields_max, struct header_facts *facts);

/* A value as one line: line ends removed where it was folded, other controls become blanks. */
enum err header_unfold(str value, struct arena *arena, str *line);
