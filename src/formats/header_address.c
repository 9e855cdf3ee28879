/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* header_address.c: one walk over the value, without recursion: comments are counted, groups do not
 * nest.
 *
 * Words are collected until the byte behind them tells what they were: "@" makes them a local
 * part, "<" a display name, ":" the name of a group.  Start reading at header_addresses_parse().
 */
#include "formats/header_address.h"

#include "base/cursor.h"

#include <string.h>

struct parser {
    struct cursor in;
    struct arena *arena;
    struct header_address **tail;
    size_t left; /* Addresses that may still come. */
    bool in_group;
};

/* Words with dots between them, decoded; too long, or words side by side: no local part. */
struct words {
    char bytes[ADDRESS_LOCAL_MAX];
    size_t len;
    size_t count;
    bool is_local_part;
    bool after_word;
};

static bool
is_atext(char c)
{
    return ascii_is_alnum(c) || (unsigned char)c >= 0x80 || (c && strchr("!#$%&'*+-/=?^_`{|}~", c));
}

static bool
is_white(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool
skip_comment(struct cursor *in)
{
    unsigned depth = 0;

    do {
        str next = cursor_take(in, 1);

        if (next.len == 0)
            return false;
        if (next.ptr[0] == '\\')
            (void)cursor_take(in, 1);
        else if (next.ptr[0] == '(' && ++depth > HEADER_COMMENT_DEPTH_MAX)
            return false;
        else if (next.ptr[0] == ')')
            depth--;
    } while (depth);
    return cursor_ok(in);
}

/* Blanks, folds and comments. */
static bool
skip_blanks(struct cursor *in)
{
    for (;;) {
        (void)cursor_while(in, is_white);
        if (cursor_peek(in) != '(')
            return true;
        if (!skip_comment(in))
            return false;
    }
}

static void
words_add(struct words *words, char c)
{
    if (words->len == sizeof(words->bytes))
        words->is_local_part = false;
    else
        words->bytes[words->len++] = c;
}

static bool
read_quoted(struct cursor *in, struct words *words)
{
    for (;;) {
        str next = cursor_take(in, 1);
        char c = next.len ? next.ptr[0] : '\0';

        if (c == '"')
            return true;
        if (c == '\r' || c == '\n')
            continue;
        if (c == '\\') {
            next = cursor_take(in, 1);
            c = next.len ? next.ptr[0] : '\0';
        }
        if ((c >= 0 && c < 0x20 && c != '\t') || c == 0x7f)
            return false;
        words_add(words, c);
    }
}

static bool
read_words(struct cursor *in, struct words *words)
{
    *words = (struct words){ .is_local_part = true };
    for (;;) {
        char c;

        if (!skip_blanks(in))
            return false;
        c = cursor_peek(in);
        if (c == '.') {
            words->is_local_part &= words->after_word;
            words->after_word = false;
            words_add(words, cursor_take(in, 1).ptr[0]);
            continue;
        }
        if (c != '"' && !is_atext(c))
            break;
        words->is_local_part &= !words->after_word;
        words->after_word = true;
        words->count++;
        if (cursor_accept(in, '"')) {
            if (!read_quoted(in, words))
                return false;
            continue;
        }
        while (is_atext(cursor_peek(in)))
            words_add(words, cursor_take(in, 1).ptr[0]);
    }
    words->is_local_part &= words->after_word;
    return true;
}

struct domain_text {
    char bytes[DOMAIN_MAX];
    size_t len;
};

static bool
is_dtext(char c)
{
    return c != ']' && c != '[' && c != '\\' && c > 0x20 && c < 0x7f;
}

static bool
domain_add(struct domain_text *domain, char c)
{
    if (domain->len == sizeof(domain->bytes))
        return false;
    domain->bytes[domain->len++] = c;
    return true;
}

static bool
read_atom(struct cursor *in, struct domain_text *domain)
{
    if (!is_atext(cursor_peek(in)))
        return false;
    while (is_atext(cursor_peek(in)))
        if (!domain_add(domain, cursor_take(in, 1).ptr[0]))
            return false;
    return true;
}

static bool
read_literal(struct cursor *in, struct domain_text *domain)
{
    while (is_dtext(cursor_peek(in)))
        if (!domain_add(domain, cursor_take(in, 1).ptr[0]))
            return false;
    return cursor_accept(in, ']') && domain_add(domain, ']');
}

/* "[192.0.2.1]", or atoms with dots, blanks around them dropped. */
static bool
read_domain(struct cursor *in, struct domain_text *domain)
{
    domain->len = 0;
    if (!skip_blanks(in))
        return false;
    if (cursor_accept(in, '['))
        return domain_add(domain, '[') && read_literal(in, domain) && skip_blanks(in);
    for (;;) {
        if (!read_atom(in, domain) || !skip_blanks(in))
            return false;
        if (!cursor_accept(in, '.'))
            return true;
        if (!domain_add(domain, '.') || !skip_blanks(in))
            return false;
    }
}

static enum err
add_address(struct parser *p, const struct words *local, str domain, str name)
{
    struct header_address *item;
    struct buf text;
    enum err e;

    if (p->left == 0)
        return ERR_LIMIT;
    item = arena_new(p->arena, struct header_address);
    if (!item)
        return ERR_LIMIT;
    buf_init(&text, 2 * ADDRESS_TEXT_MAX);
    address_format(&(struct address){ .local = { local->bytes, local->len }, .domain = domain },
                   &text);
    e = address_parse(buf_str(&text), p->arena, &item->address);
    buf_done(&text);
    if (e)
        return e;
    item->name = name;
    *p->tail = item;
    p->tail = &item->next;
    p->left--;
    return OK;
}

/* The "@" has not been read yet. */
static enum err
read_at_domain(struct parser *p, const struct words *local, str name)
{
    struct domain_text domain;

    if (!local->is_local_part || !cursor_accept(&p->in, '@') || !read_domain(&p->in, &domain))
        return ERR_SYNTAX;
    return add_address(p, local, (str){ domain.bytes, domain.len }, name);
}

/* obs-route: "@a,@b:".  RFC 5322 4.4. */
static bool
skip_route(struct cursor *in)
{
    struct domain_text domain;

    if (!skip_blanks(in))
        return false;
    if (cursor_peek(in) != '@')
        return true;
    do {
        if (!skip_blanks(in) || (cursor_accept(in, '@') && !read_domain(in, &domain)))
            return false;
    } while (cursor_accept(in, ','));
    return cursor_accept(in, ':');
}

static enum err
read_angle(struct parser *p, str name)
{
    struct words local;
    enum err e;

    if (!cursor_accept(&p->in, '<') || !skip_route(&p->in) || !read_words(&p->in, &local))
        return ERR_SYNTAX;
    e = read_at_domain(p, &local, name);
    if (e)
        return e;
    return cursor_accept(&p->in, '>') && skip_blanks(&p->in) ? OK : ERR_SYNTAX;
}

/* A mailbox, or the beginning of a group. */
static enum err
read_member(struct parser *p)
{
    const char *start = p->in.rest.ptr;
    struct words words;
    char next;

    if (!read_words(&p->in, &words))
        return ERR_SYNTAX;
    next = cursor_peek(&p->in);
    if (next == '<')
        return read_angle(p, str_trim((str){ start, (size_t)(p->in.rest.ptr - start) }));
    if (next == '@')
        return read_at_domain(p, &words, S(""));
    if (next == ':' && words.count && !p->in_group) {
        p->in_group = cursor_accept(&p->in, ':');
        return OK;
    }
    return ERR_SYNTAX;
}

/* Behind a member: "," another one, ";" the end of its group. */
static enum err
read_separators(struct parser *p, bool *more)
{
    bool seen = false;

    for (;;) {
        if (!skip_blanks(&p->in))
            return ERR_SYNTAX;
        if (cursor_accept(&p->in, ',')) {
            seen = true;
        } else if (p->in_group && cursor_accept(&p->in, ';')) {
            p->in_group = false;
        } else {
            break;
        }
    }
    *more = !cursor_at_end(&p->in);
    return *more && !seen ? ERR_SYNTAX : OK;
}

enum err
header_addresses_parse(str value, size_t count_max, struct arena *arena,
                       struct header_address **first)
{
    struct header_address *list = NULL;
    struct parser p = { .arena = arena, .tail = &list, .left = count_max };
    bool more;

    cursor_init(&p.in, value);
    while (cursor_accept(&p.in, ',') || is_white(cursor_peek(&p.in)))
        (void)cursor_while(&p.in, is_white);
    if (!skip_blanks(&p.in))
        return ERR_SYNTAX;
    more = !cursor_at_end(&p.in);
    while (more) {
        bool was_in_group = p.in_group;
        enum err e = read_member(&p);

        if (e)
            return e;
        if (p.in_group && !was_in_group) {
            (void)skip_blanks(&p.in);
            if (cursor_peek(&p.in) != ';' && cursor_peek(&p.in) != ',')
                continue;
        }
        e = read_separators(&p, &more);
        if (e)
            return e;
    }
    if (p.in_group)
        return ERR_SYNTAX;
    *first = list;
    return OK;
}
