/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* parse.c: from the text of outpost.conf to a snapshot, and everything that is wrong on the way.
 *
 *     file      = *section
 *     section   = name [label] "{" *statement "}"
 *     statement = name 1*value ";"
 *
 * A section without label may be opened again, and goes on then.  After a mistake the parser goes
 * on behind the next `;` or `}`, so that one look shows all of them. Start reading at
 * config_parse().
 */
#include "config/config.h"

#include "base/buf.h"
#include "base/must.h"
#include "config/body.h"
#include "config/lex.h"
#include "config/options.h"
#include "config/value.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    FILE_SIZE_MAX = 8 << 20
};

struct parser {
    struct lexer lexer;
    struct token token;
    struct config *config;
    struct config_problems *problems;
    str base_dir;

    /* The statement at hand. */
    struct token name;
    str words[VALUE_ITEMS_MAX];
    unsigned lines[VALUE_ITEMS_MAX];
    unsigned columns[VALUE_ITEMS_MAX];
    size_t count;
    struct token last; /* Of the statement, before its end. */

    /* The section at hand. */
    const struct section *section;
    void *place;
    unsigned *seen; /* For each option, the line that set it. */
    unsigned opened;
};

/* A name as it may be shown: 60 bytes at most, and nothing but printable ones. */
#define SHOWN(text) STR_ARG(str_head((text), 60))

static void
next(struct parser *p)
{
    lexer_next(&p->lexer, &p->token);
    while (p->token.kind == TOKEN_BAD) {
        problem_addf(p->problems, p->token.line, p->token.column, p->token.cure, "%s",
                     p->token.why);
        lexer_next(&p->lexer, &p->token);
    }
}

/* From `{` to behind its `}`. */
static void
skip_block(struct parser *p)
{
    unsigned depth = 0;

    do {
        if (p->token.kind == TOKEN_OPEN)
            depth++;
        if (p->token.kind == TOKEN_CLOSE)
            depth--;
        next(p);
    } while (depth && p->token.kind != TOKEN_END);
}

static void
unknown_section(struct parser *p, const struct token *name)
{
    const char *near = section_nearest(name->text);
    const struct section *owner = section_with_option(name->text);
    char cure[200];

    if (owner && !near)
        snprintf(cure, sizeof(cure), "%.*s is an option: put it into %s { ... }", SHOWN(name->text),
                 owner->name);
    else if (near)
        snprintf(cure, sizeof(cure), "did you mean %s?", near);
    else
        snprintf(cure, sizeof(cure), "list the sections with: outpost config explain");
    problem_addf(p->problems, name->line, name->column, cure, "there is no section \"%.*s\"",
                 SHOWN(name->text));
}

static void
no_block(struct parser *p, const struct token *name)
{
    const struct section *section = section_find(name->text);
    const struct section *owner = section_with_option(name->text);
    char cure[200];

    if (section) {
        snprintf(cure, sizeof(cure), "write %s%s { ... }", section->name,
                 section->repeated ? " NAME" : "");
        problem_addf(p->problems, name->line, name->column, cure, "section %s has no {",
                     section->name);
    } else if (owner) {
        snprintf(cure, sizeof(cure), "put it into a section: %s { %.*s ...; }", owner->name,
                 SHOWN(name->text));
        problem_addf(p->problems, name->line, name->column, cure,
                     "the option %.*s stands outside of every section", SHOWN(name->text));
    } else {
        unknown_section(p, name);
    }
}

/* The words up to the end of the statement.  False when there was no `;`; that is reported. */
static bool
collect(struct parser *p)
{
    p->name = p->last = p->token;
    p->count = 0;
    next(p);
    while (p->token.kind == TOKEN_WORD) {
        /* A word that begins a line and is an option of this section: somebody forgot a `;`. */
        if (p->token.line > p->last.line && !p->token.quoted && p->count &&
            option_find(section_id(p->section), p->token.text))
            break;
        if (p->count < VALUE_ITEMS_MAX) {
            p->words[p->count] = p->token.text;
            p->lines[p->count] = p->token.line;
            p->columns[p->count++] = p->token.column;
        }
        p->last = p->token;
        next(p);
    }
    if (p->token.kind == TOKEN_SEMICOLON) {
        next(p);
        return true;
    }
    if (p->token.kind != TOKEN_OPEN)
        problem_addf(p->problems, p->last.line,
                     p->last.column + (unsigned)p->last.text.len + (p->last.quoted ? 2 : 0),
                     "add ; after the last value", "the ; after %.*s is missing",
                     SHOWN(p->name.text));
    return false;
}

static void
unknown_option(struct parser *p)
{
    const char *near = option_nearest(section_id(p->section), p->name.text);
    const struct section *owner = section_with_option(p->name.text);
    char cure[200];

    if (owner)
        snprintf(cure, sizeof(cure), "it belongs into %s { ... }", owner->name);
    else if (near)
        snprintf(cure, sizeof(cure), "did you mean %s?", near);
    else
        snprintf(cure, sizeof(cure), "list the options of %s with: outpost config explain %s",
                 p->section->name, p->section->name);
    problem_addf(p->problems, p->name.line, p->name.column, cure,
                 "there is no option \"%.*s\" in %s", SHOWN(p->name.text), p->section->name);
}

static void
set_option(struct parser *p)
{
    const struct option *option = option_find(section_id(p->section), p->name.text);
    struct config_problem problem = { 0 };
    size_t bad = 0;
    unsigned *seen;

    if (!option) {
        unknown_option(p);
        return;
    }
    seen = &p->seen[option - options];
    if (*seen && !option_is_list(option)) {
        problem_addf(p->problems, p->name.line, p->name.column, "keep one of the two lines",
                     "%s was already set in line %u", option->name, *seen);
        return;
    }
    if (!*seen && option_is_list(option))
        memset((char *)p->place + option->offset, 0, sizeof(struct config_texts));
    *seen = p->name.line;
    if (value_set(option, &p->config->body->arena, p->base_dir, p->words, p->count, p->place,
                  &problem, &bad))
        return;
    problem.line = bad < p->count ? p->lines[bad] : p->name.line;
    problem.column = bad < p->count ? p->columns[bad] : p->name.column;
    problem_add(p->problems, &problem);
}

/* `server { hostname a; listen smtp {`: the section before was not closed.  The inner block is
 * skipped, and the outer one taken as closed, so that this is said once. */
static void
section_in_section(struct parser *p)
{
    char cure[200];

    snprintf(cure, sizeof(cure), "close %s, opened in line %u, with } before it", p->section->name,
             p->opened);
    problem_addf(p->problems, p->name.line, p->name.column, cure,
                 "%.*s { cannot stand inside of %s", SHOWN(p->name.text), p->section->name);
    skip_block(p);
}

static void
parse_statements(struct parser *p)
{
    for (;;) {
        switch (p->token.kind) {
        case TOKEN_CLOSE:
            next(p);
            return;
        case TOKEN_END:
            problem_addf(p->problems, p->token.line, p->token.column, "add } where it ends",
                         "section %s, opened in line %u, is not closed", p->section->name,
                         p->opened);
            return;
        case TOKEN_SEMICOLON:
            next(p); /* An empty statement does no harm. */
            break;
        case TOKEN_WORD:
            if (collect(p) || p->token.kind != TOKEN_OPEN) {
                set_option(p);
                break;
            }
            section_in_section(p);
            return;
        default:
            problem_addf(p->problems, p->token.line, p->token.column, "write NAME VALUE; here",
                         "there is a { without a name");
            skip_block(p);
        }
    }
}

/* Where the values of this block go; NULL, with the problem told, when it cannot be there. */
static void *
open_place(struct parser *p, const struct token *name, str label)
{
    enum section_id id = section_id(p->section);
    void *place;

    if (!p->section->repeated) {
        if (label.len)
            problem_addf(p->problems, name->line, name->column, "delete what stands before {",
                         "section %s has no label", p->section->name);
        if (id == SECTION_RELAY)
            p->config->body->relay_line = name->line;
        p->seen = p->config->body->lines;
        return (char *)p->config + p->section->offset;
    }
    if (!label.len) {
        problem_addf(p->problems, name->line, name->column,
                     "write listen smtp { or route example.org {", "section %s needs a label",
                     p->section->name);
        label = S("?");
    }
    place = id == SECTION_LISTEN  ? (void *)config_add_listen(p->config, label, name->line)
            : id == SECTION_ROUTE ? (void *)config_add_route(p->config, label, name->line)
            : id == SECTION_DKIM_POLICY
                ? (void *)config_add_dkim_policy(p->config, label, name->line)
            : id == SECTION_DNS_UPDATE ? (void *)config_add_dns_update(p->config, label, name->line)
            : id == SECTION_LIST       ? (void *)config_add_list(p->config, label, name->line)
                                       : (void *)config_add_source(p->config, label, name->line);
    p->seen = arena_new_array(&p->config->body->arena, unsigned, option_count);
    if (!place || !p->seen)
        problem_addf(p->problems, name->line, name->column, "make it smaller",
                     "the configuration is too large");
    return p->seen ? place : NULL;
}

static void
parse_section(struct parser *p)
{
    struct token name = p->token;
    str label = { 0 };
    size_t labels = 0;

    next(p);
    for (; p->token.kind == TOKEN_WORD; next(p)) {
        if (labels++ == 0)
            label = p->token.text;
    }
    p->section = section_find(name.text);
    if (p->token.kind != TOKEN_OPEN) {
        no_block(p, &name);
        if (p->token.kind == TOKEN_SEMICOLON)
            next(p);
        return;
    }
    if (!p->section) {
        unknown_section(p, &name);
        skip_block(p);
        return;
    }
    if (labels > 1)
        problem_addf(p->problems, name.line, name.column, "put a label with blanks into \"quotes\"",
                     "section %s has more than one label", p->section->name);
    p->opened = name.line;
    p->place = open_place(p, &name, label);
    if (!p->place) {
        skip_block(p);
        return;
    }
    next(p);
    parse_statements(p);
}

static void
parse_file(struct parser *p)
{
    next(p);
    while (p->token.kind != TOKEN_END) {
        switch (p->token.kind) {
        case TOKEN_WORD:
            parse_section(p);
            break;
        case TOKEN_CLOSE:
            problem_addf(p->problems, p->token.line, p->token.column,
                         "delete it, or look for a { that is missing above",
                         "there is a } that closes nothing");
            next(p);
            break;
        case TOKEN_OPEN:
            problem_addf(p->problems, p->token.line, p->token.column, "write SECTION { ... }",
                         "there is a { without a name");
            skip_block(p);
            break;
        default:
            next(p);
        }
    }
}

enum err
config_parse(str text, const char *path, struct config **config, struct config_problems *problems)
{
    struct config *made = config_new();
    struct parser *p = calloc(1, sizeof(*p));
    str own;
    ssize_t slash;

    must(p && arena_copy(&made->body->arena, str_from(path), &made->path));
    p->config = made;
    p->problems = problems;
    slash = str_find_last(made->path, '/');
    if (slash > 0)
        p->base_dir = str_head(made->path, (size_t)slash);
    /* The tokens are views: the text has to live as long as the snapshot's own copies. */
    if (arena_copy(&made->body->arena, text, &own)) {
        lexer_init(&p->lexer, &made->body->arena, own);
        parse_file(p);
        config_finish(made, problems);
    } else {
        problem_addf(problems, 0, 0, "make it smaller", "the file is too large");
    }
    free(p);
    if (problems->count) {
        config_unref(made);
        return ERR_SYNTAX;
    }
    *config = made;
    return OK;
}

/* The whole file; on failure a problem is told. */
static enum err
read_file(const char *path, struct buf *text, struct config_problems *problems)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t count = -1;
    enum err e;

    while (fd >= 0) {
        char *room = buf_reserve(text, 65536);

        if (!room) {
            close(fd);
            problem_addf(problems, 0, 0, "make it smaller", "the file is too large");
            return ERR_LIMIT;
        }
        count = read(fd, room, 65536);
        if (count <= 0)
            break;
        buf_claim(text, (size_t)count);
    }
    e = count < 0 ? err_from_errno(errno) : OK;
    if (e == ERR_NOT_FOUND)
        problem_addf(problems, 0, 0, "name another with --config, or make one with: outpost setup",
                     "there is no such file");
    else if (e)
        problem_addf(problems, 0, 0, "is it a file that you may read?", "cannot be read: %s",
                     strerror(errno));
    if (fd >= 0)
        close(fd);
    return e;
}

enum err
config_load(const char *path, struct config **config, struct config_problems *problems)
{
    struct buf text;
    enum err e;

    buf_init(&text, FILE_SIZE_MAX);
    e = read_file(path, &text, problems);
    if (!e)
        e = config_parse(buf_str(&text), path, config, problems);
    buf_done(&text);
    return e;
}

/* The value of "data_dir VALUE;" within server { }, as its words stand. */
static str
data_dir_of(str text, struct arena *arena)
{
    struct token token, name = {}, section = {};
    struct lexer lexer;
    unsigned depth = 0;

    lexer_init(&lexer, arena, text);
    for (lexer_next(&lexer, &token); token.kind != TOKEN_END; lexer_next(&lexer, &token)) {
        if (token.kind == TOKEN_OPEN && depth++ == 0)
            section = name;
        else if (token.kind == TOKEN_CLOSE && depth)
            depth--;
        if (token.kind == TOKEN_WORD && name.kind == TOKEN_WORD && depth == 1 &&
            str_eq(name.text, S("data_dir")) && str_eq(section.text, S("server")))
            return token.text;
        name = token;
    }
    return S("");
}

bool
config_find_data_dir(const char *path, char *dir, size_t size)
{
    struct config_problems problems = { 0 };
    struct arena arena;
    struct buf text;
    bool ok;

    buf_init(&text, FILE_SIZE_MAX);
    arena_init(&arena, FILE_SIZE_MAX);
    ok = !read_file(path, &text, &problems);
    if (ok) {
        ssize_t slash = str_find_last(str_from(path), '/');
        str found = data_dir_of(buf_str(&text), &arena);
        int length;

        if (found.len == 0)
            found = S(DATA_DIR_STANDARD);
        if (found.ptr[0] == '/' || slash <= 0)
            slash = 0;
        length = snprintf(dir, size, "%.*s%s%.*s", (int)slash, path, slash ? "/" : "",
                          STR_ARG(found));
        ok = length > 0 && (size_t)length < size && str_find(found, '\0') < 0;
    }
    config_problems_done(&problems);
    arena_done(&arena);
    buf_done(&text);
    return ok;
}
