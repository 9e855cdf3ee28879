/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* enhanced.h: enhanced status codes such as 5.1.1.  RFC 3463, RFC 2034. */
#pragma once

#include "base/base.h"
#include "base/str.h"

enum {
    ENHANCED_TEXT_MAX = 12
};

/* A class of 0 means that there is none. */
struct enhanced {
    uint8_t class; /* 2, 4 or 5 */
    uint16_t subject;
    uint16_t detail;
};

/* At the front of TEXT, ended by a blank or the end.  REST (which may be NULL) is what follows the
 * blanks. */
bool enhanced_parse(str text, struct enhanced *code, str *rest);
/* "5.1.1"; for none, "X.0.0" with the class of REPLY_CODE (550 gives 5.0.0). */
void enhanced_format(const struct enhanced *code, unsigned reply_code,
                     char text[ENHANCED_TEXT_MAX]);
/* What it means, as a clause for a human: "the mailbox does not exist"; never NULL. */
const char *enhanced_meaning(const struct enhanced *code);
/* The same, with what the server SAID: Exchange answers 5.1.10, which RFC 7505 has for a domain
 * that takes no mail, where it knows no such recipient. */
const char *enhanced_meaning_said(const struct enhanced *code, str said);
