/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* address.h: a mailbox such as ann@example.org, as a value.
 *
 * The local part is kept without quotes and backslashes, the domain as it was written, so
 * that two spellings of one address compare equal and a question about its meaning never
 * parses text.  address_format() adds quotes where they are needed.  The grammar is that of
 * SMTP (RFC 5321 4.1.2, with UTF-8 by RFC 6531): no blanks, no comments, no empty words;
 * the looser one of header fields is in header_address.h.
 */
#pragma once

#include "base/arena.h"
#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/ipaddr.h"
#include "base/str.h"

/* RFC 5321 4.5.3.1.1 has 64 for the local part; return addresses that hold another address need
 * more. */
enum {
    ADDRESS_LOCAL_MAX = 128,
    DOMAIN_MAX = 255,
    DOMAIN_LABEL_MAX = 63
};
/* The longest that address_format() writes: every byte escaped, two quotes and the "@". */
enum {
    ADDRESS_TEXT_MAX = 2 * ADDRESS_LOCAL_MAX + 3 + DOMAIN_MAX
};

struct address {
    str local;  /* Without quoting.  May be empty (""@example.org). */
    str domain; /* "example.org", "[192.0.2.1]", "[IPv6:2001:db8::1]"; empty in <> and <postmaster>.
                 */
    bool is_utf8; /* Something in it is beyond ASCII: it may travel with SMTPUTF8 only. */
};

/* What a path may be.  RFC 5321 4.1.2: only a return path is ever null, only a recipient lacks a
 * domain. */
enum address_path {
    ADDRESS_REVERSE_PATH, /* <> is fine. */
    ADDRESS_FORWARD_PATH, /* <postmaster> is fine, in any case; its domain is empty then. */
};

/* "local@domain", the whole of TEXT.  The result lives in ARENA.  ERR_SYNTAX, or ERR_LIMIT from the
 * arena. */
enum err address_parse(str text, struct arena *arena, struct address *address);
/* "<local@domain>" at the front of TEXT, a source route in it dropped.  REST is what follows the
 * ">": empty, or begins with a blank; anything else there is ERR_SYNTAX. */
enum err address_parse_path(str text, enum address_path kind, struct arena *arena,
                            struct address *address, str *rest);

/* "local@domain", quoted if it must be; nothing for the null address. */
void address_format(const struct address *address, struct buf *buf);
/* The same in angle brackets. */
void address_format_path(const struct address *address, struct buf *buf);
/* address_format() into the arena.  False past its ceiling. */
bool address_text(const struct address *address, struct arena *arena, str *text);

/* Both empty: the return path of a message about a message. */
bool address_is_null(const struct address *address);
/* The domain stands in brackets; IP (which may be NULL) receives the address in them. */
bool address_is_literal(const struct address *address, ipaddr *ip);
/* The same mailbox: the domain in any case, the local part exactly. */
bool address_eq(const struct address *a, const struct address *b);
/* A copy that lives in ARENA. */
bool address_copy(const struct address *address, struct arena *arena, struct address *copy);
/* The one spelling that we look up: lower case, normal form C, the domain in A-labels, literals as
 * ipaddr_format() writes them.  ERR_SYNTAX when the domain has no A-label form. */
enum err address_canonical(const struct address *address, struct arena *arena,
                           struct address *canonical);

/* A host name: labels of letters, digits, "-" and "_" (which real hosts have), or U-labels that
 * IDNA 2008 allows; one label is enough, no dot at the end, and not four numbers. */
bool domain_is_valid(str domain);
/* Lower case, U-labels as A-labels: "Bücher.example" gives "xn--bcher-kva.example". */
enum err domain_to_alabel(str domain, struct arena *arena, str *alabel);
/* "[192.0.2.1]" or "[IPv6:2001:db8::1]", the whole of TEXT; IP may be NULL. */
bool domain_literal_parse(str text, ipaddr *ip);
