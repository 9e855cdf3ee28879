/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* err.h: the reasons for which a call can fail, for the whole system.
 *
 * A verdict is not an error: a refused recipient, a 550 of a peer, a bad password are
 * answers, returned through an output with OK.  The attribute sits on the type, so that
 * every ignored error is a warning.
 */
#pragma once

#include "base/base.h"
#include "base/str.h"

/* clang-format off */
enum [[nodiscard]] err {
    OK = 0,
    ERR_CLOSED,      /* The peer ended the connection, or the input ended. */
    ERR_TIMEOUT,     /* The deadline passed. */
    ERR_CANCELLED,   /* The owner of this fiber wants it to end. */
    ERR_LIMIT,       /* A named ceiling was reached. */
    ERR_SYNTAX,      /* The input does not follow its grammar. */
    ERR_NOT_FOUND,   /* There is no such thing. */
    ERR_EXISTS,      /* There is one already. */
    ERR_REFUSED,     /* A peer, or a rule, says no. */
    ERR_UNREACHABLE, /* No way to the peer. */
    ERR_IO,          /* The disk or the system failed. */
    ERR_FULL,        /* No space left on the disk. */
    ERR_CORRUPT,     /* Stored bytes are not what was written. */
    ERR_TLS,         /* TLS could not be agreed, or its peer broke it. */
    ERR_BUSY,        /* Somebody else holds it; try again. */
    ERR_UNSUPPORTED, /* This build, or this peer, cannot do that. */
};
/* clang-format on */

/* What went wrong, for a human: filled only on failure, and only if the caller gave one. */
struct why {
    char text[256];
};

/* A short English name of E, such as "timeout". */
const char *err_name(enum err e);

/* Puts a text into WHY (which may be NULL) and returns E, so that a failure is one line. */
enum err err_why(struct why *why, enum err e, const char *format, ...) PRINTF_LIKE(3, 4);

/* The err for an errno of the system. */
enum err err_from_errno(int number);
