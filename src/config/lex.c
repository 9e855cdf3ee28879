/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* lex.c: cuts outpost.conf into tokens.  Start reading at lexer_next(). */
#include "config/lex.h"

void
lexer_init(struct lexer *lexer, struct arena *arena, str text)
{
    *lexer = (struct lexer){ .arena = arena, .rest = text, .line = 1, .column = 1 };
    if (str_starts(text, S("\xef\xbb\xbf")))
        lexer->rest = str_skip(text, 3);
}

static void
advance(struct lexer *lexer, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (lexer->rest.ptr[i] == '\n') {
            lexer->line++;
            lexer->column = 1;
        } else {
            lexer->column++;
        }
    }
    lexer->rest = str_skip(lexer->rest, count);
}

static bool
is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool
is_control(char c)
{
    return ((unsigned char)c < 0x20 && c != '\t') || c == 0x7f;
}

static void
skip_line(struct lexer *lexer)
{
    ssize_t end = str_find(lexer->rest, '\n');

    advance(lexer, end < 0 ? lexer->rest.len : (size_t)end);
}

static void
skip_blanks_and_comments(struct lexer *lexer)
{
    while (lexer->rest.len) {
        if (lexer->rest.ptr[0] == '#')
            skip_line(lexer);
        else if (is_blank(lexer->rest.ptr[0]))
            advance(lexer, 1);
        else
            return;
    }
}

static void
bad(struct lexer *lexer, struct token *token, const char *why, const char *cure)
{
    token->kind = TOKEN_BAD;
    token->why = why;
    token->cure = cure;
    skip_line(lexer);
}

static bool
unquote(struct arena *arena, str raw, str *text)
{
    char *bytes;
    size_t size = 0;

    if (str_find(raw, '\\') < 0) {
        *text = raw;
        return true;
    }
    bytes = arena_alloc(arena, raw.len + 1);
    if (!bytes)
        return false;
    for (size_t i = 0; i < raw.len; i++) {
        if (raw.ptr[i] == '\\' && i + 1 < raw.len)
            i++;
        bytes[size++] = raw.ptr[i];
    }
    *text = (str){ bytes, size };
    return true;
}

static void
lex_quoted(struct lexer *lexer, struct token *token)
{
    size_t end = 1;

    /* Past escapes: only the character that ends the text, or cannot be in it, stops the search. */
    while (end < lexer->rest.len && lexer->rest.ptr[end] != '"' &&
           !is_control(lexer->rest.ptr[end]))
        end += lexer->rest.ptr[end] == '\\' && end + 1 < lexer->rest.len &&
                       !is_control(lexer->rest.ptr[end + 1])
                   ? 2
                   : 1;
    if (end >= lexer->rest.len || lexer->rest.ptr[end] != '"') {
        bad(lexer, token, "the text in quotes does not end on its line",
            "put the closing \" where the text ends");
        return;
    }
    token->kind = TOKEN_WORD;
    token->quoted = true;
    if (!unquote(lexer->arena, (str){ lexer->rest.ptr + 1, end - 1 }, &token->text)) {
        bad(lexer, token, "the file is too large", "make it smaller");
        return;
    }
    advance(lexer, end + 1);
    if (lexer->rest.len && !is_blank(lexer->rest.ptr[0]) && lexer->rest.ptr[0] != ';' &&
        lexer->rest.ptr[0] != '{' && lexer->rest.ptr[0] != '}')
        bad(lexer, token, "something follows the closing \" without a blank",
            "write a blank or ; after it, and \\\" for a quote inside the text");
}

static bool
ends_word(char c)
{
    return is_blank(c) || c == '{' || c == '}' || c == ';' || c == '"';
}

static void
lex_word(struct lexer *lexer, struct token *token)
{
    size_t end = 0;

    while (end < lexer->rest.len && !ends_word(lexer->rest.ptr[end])) {
        if (is_control(lexer->rest.ptr[end])) {
            bad(lexer, token, "there is a control character here", "delete it");
            return;
        }
        end++;
    }
    token->kind = TOKEN_WORD;
    token->text = str_head(lexer->rest, end);
    advance(lexer, end);
}

void
lexer_next(struct lexer *lexer, struct token *token)
{
    skip_blanks_and_comments(lexer);
    *token = (struct token){ .kind = TOKEN_END, .line = lexer->line, .column = lexer->column };
    if (!lexer->rest.len)
        return;
    switch (lexer->rest.ptr[0]) {
    case '{':
        token->kind = TOKEN_OPEN;
        advance(lexer, 1);
        return;
    case '}':
        token->kind = TOKEN_CLOSE;
        advance(lexer, 1);
        return;
    case ';':
        token->kind = TOKEN_SEMICOLON;
        advance(lexer, 1);
        return;
    case '"':
        lex_quoted(lexer, token);
        return;
    default:
        lex_word(lexer, token);
    }
}
