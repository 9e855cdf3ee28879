/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* command.h: POP3 command lines.  RFC 1939, CAPA (2449), STLS (2595), AUTH (5034), UTF8 and LANG
 * (6856). */
#pragma once

#include "base/base.h"
#include "base/err.h"
#include "base/str.h"

enum {
    POP3_LINE_MAX = 255
}; /* With CRLF; RFC 2449 4. AUTH lines may be longer. */

enum pop3_verb {
    POP3_UNKNOWN,
    POP3_APOP,
    POP3_AUTH,
    POP3_CAPA,
    POP3_DELE,
    POP3_LANG,
    POP3_LIST,
    POP3_NOOP,
    POP3_PASS,
    POP3_QUIT,
    POP3_RETR,
    POP3_RSET,
    POP3_STAT,
    POP3_STLS,
    POP3_TOP,
    POP3_UIDL,
    POP3_USER,
    POP3_UTF8,
    POP3_HTTP, /* Somebody uses a browser against us. */
};

struct pop3_command {
    enum pop3_verb verb;
    str name;        /* As it was sent. */
    str args;        /* All of them; of PASS, every byte behind the one blank. */
    bool has_number; /* Of LIST and UIDL; always of DELE, RETR, TOP. */
    uint32_t number; /* Of the message, from 1. */
    uint32_t lines;  /* TOP. */
};

/* A line without its CRLF.  ERR_SYNTAX for controls, for bytes that are not UTF-8, and for
 * arguments that do not fit the verb (number 0, two where one belongs); NAME is set then, too, if
 * VERB is known.  An unknown verb is OK. */
enum err pop3_command_parse(str line, struct pop3_command *command);
const char *pop3_verb_name(enum pop3_verb verb);

/* The arguments of AUTH: "", "PLAIN", "PLAIN <initial>"; "=" is an empty initial response. */
struct pop3_auth {
    str mechanism; /* Empty: a question for the list. */
    bool has_initial;
    str initial; /* Base 64, not decoded. */
};
enum err pop3_auth_parse(str args, struct pop3_auth *auth);
