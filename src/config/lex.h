/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* lex.h: outpost.conf as words and signs, each with its place.
 *
 * A word runs up to a blank or one of { } ; and may hold a # inside; a text in double quotes knows
 * \" and \\; # at the beginning of a word starts a comment that ends with the line.
 */
#pragma once

#include "base/arena.h"
#include "base/base.h"
#include "base/str.h"

enum token_kind {
    TOKEN_WORD,
    TOKEN_OPEN,
    TOKEN_CLOSE,
    TOKEN_SEMICOLON,
    TOKEN_END,
    TOKEN_BAD
};

struct token {
    enum token_kind kind;
    bool quoted;
    str text; /* A word without its quotes. */
    unsigned line;
    unsigned column; /* In bytes, from 1. */
    const char *why; /* TOKEN_BAD: what is wrong, */
    const char *cure;
};

struct lexer {
    struct arena *arena; /* For quoted texts with a backslash. */
    str rest;
    unsigned line;
    unsigned column;
};

void lexer_init(struct lexer *lexer, struct arena *arena, str text);
/* The next one; after TOKEN_BAD goes on behind the rest of the line; TOKEN_END for ever at the end.
 */
void lexer_next(struct lexer *lexer, struct token *token);
