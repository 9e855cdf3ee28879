/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* command.h: SMTP command lines and their arguments, as a server reads them.
 *
 * RFC 5321 4.1.1, with the parameters of SIZE (1870), DSN (3461), BDAT (3030), AUTH (4954),
 * 8BITMIME (6152), SMTPUTF8 (6531), MT-PRIORITY (6710), DELIVERBY (2852), FUTURERELEASE (4865) and
 * REQUIRETLS (8689).
 * Parsers here know the grammar, and the answer that a breach of it deserves; whether a command is
 * in order, or allowed, the server decides.
 */
#pragma once

#include "base/arena.h"
#include "base/base.h"
#include "base/err.h"
#include "base/str.h"
#include "formats/address.h"
#include "formats/dsn.h"
#include "protocols/smtp/parameters.h"

enum smtp_verb {
    SMTP_UNKNOWN,
    SMTP_HELO,
    SMTP_EHLO,
    SMTP_LHLO,
    SMTP_MAIL,
    SMTP_RCPT,
    SMTP_DATA,
    SMTP_BDAT,
    SMTP_RSET,
    SMTP_NOOP,
    SMTP_QUIT,
    SMTP_VRFY,
    SMTP_EXPN,
    SMTP_HELP,
    SMTP_STARTTLS,
    SMTP_AUTH,
    SMTP_HTTP, /* "POST / HTTP/1.1" and the like: somebody uses a browser against us. */
};

struct smtp_command {
    enum smtp_verb verb;
    str name; /* The verb as it was sent. */
    str args; /* Without blanks at both ends. */
};

/* The answer to a line that breaks the grammar. */
struct smtp_fault {
    unsigned code;
    const char *enhanced;
    const char *text;
};

/* A line without its CRLF.  ERR_SYNTAX when it holds a control character (NUL, CR, LF and TAB, too)
 * or bytes that are not UTF-8: such a line is never executed.  An unknown verb is OK. */
enum err smtp_command_parse(str line, struct smtp_command *command);
/* Arguments stand where they belong: "DATA x" and "EHLO" alone are false, a 501. */
bool smtp_command_args_fit(const struct smtp_command *command);
/* "MAIL"; for SMTP_UNKNOWN, "?". */
const char *smtp_verb_name(enum smtp_verb verb);

/* HELO and EHLO.  A name that follows the grammar, or that a sloppy client may send: up to 255
 * printable bytes without blanks.  PROPER tells which. */
enum err smtp_helo_parse(str args, str *name, bool *proper);

enum smtp_body {
    SMTP_BODY_UNSTATED,
    SMTP_BODY_7BIT,
    SMTP_BODY_8BITMIME,
    SMTP_BODY_BINARYMIME,
};

struct smtp_mail {
    struct address from; /* Null for <>. */
    bool has_size;
    uint64_t size; /* As declared: a promise of a stranger. */
    enum smtp_body body;
    bool smtputf8;
    enum dsn_return ret;
    str envid; /* Decoded, printable; empty when unstated. */
    bool has_auth;
    struct address auth; /* Null for AUTH=<>. */
    bool has_priority;
    int priority;
    struct smtp_deliver_by by;
    bool require_tls;
    duration hold_for;   /* 0: unstated. */
    instant hold_until;  /* 0: unstated.  At most one of the two is there. */
    bool has_parameters; /* Any at all; after HELO none belongs there. */
};

struct smtp_rcpt {
    struct address to;
    uint8_t notify; /* NOTIFY_* of formats/dsn.h. */
    str orcpt;      /* "rfc822;ann@example.org", decoded, without controls; empty when unstated. */
    bool has_parameters;
};

/* The arguments of MAIL and RCPT: "FROM:<ann@example.org> SIZE=1000".  Blanks behind the colon are
 * overlooked.  ERR_SYNTAX or ERR_LIMIT (arena) with FAULT filled: 501 for a breach or a doubled
 * parameter, 555 for one that is unknown, 553 for an international address without SMTPUTF8. */
enum err smtp_mail_parse(str args, struct arena *arena, struct smtp_mail *mail,
                         struct smtp_fault *fault);
enum err smtp_rcpt_parse(str args, bool smtputf8, struct arena *arena, struct smtp_rcpt *rcpt,
                         struct smtp_fault *fault);

/* A chunk may be declared as large as this, so that sums cannot overflow. */
#define SMTP_BDAT_SIZE_MAX (UINT64_C(1) << 60)

struct smtp_bdat {
    uint64_t size;
    bool last;
};

/* "1000" or "1000 LAST".  After ERR_SYNTAX nobody knows where the chunk ends: the session must be
 * closed. */
enum err smtp_bdat_parse(str args, struct smtp_bdat *bdat);

struct smtp_auth {
    str mechanism; /* 1 to 20 letters, digits, "-", "_"; in any case. */
    bool has_initial;
    str initial; /* Base 64, not yet decoded; empty for "=". */
};

enum err smtp_auth_parse(str args, struct smtp_auth *auth);
