/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* address.c: mailboxes and paths, RFC 5321 4.1.2 and RFC 6531 3.3.
 *
 * A path is read by one cursor from left to right: source route, local part, "@", domain,
 * ">".  The local part is decoded into a fixed buffer as it is read; only a whole and valid
 * address is copied to the arena, so outputs are untouched on failure.  Start reading at
 * address_parse_path().
 */
#include "formats/address.h"

#include "base/cursor.h"

#include <idn2.h>
#include <stdlib.h>
#include <string.h>
#include <unicase.h>
#include <uninorm.h>

/* RFC 5321 4.5.3.1.3 gives 256 octets for a path; a source route may take as much again. */
enum {
    PATH_MAX_BYTES = 1024
};

struct local_part {
    char bytes[ADDRESS_LOCAL_MAX];
    size_t len;
};

static bool
is_beyond_ascii(char c)
{
    return (unsigned char)c >= 0x80;
}

/* RFC 5322 3.2.3. */
static bool
is_atext(char c)
{
    return ascii_is_alnum(c) || is_beyond_ascii(c) || (c && strchr("!#$%&'*+-/=?^_`{|}~", c));
}

/* Well-formed, and without what a display would obey instead of show: C1 controls, line and
 * paragraph separators, overrides of the direction of writing. */
static bool
utf8_is_plain(str s)
{
    if (!str_is_utf8(s))
        return false;
    for (size_t i = 0; i + 1 < s.len; i++) {
        unsigned char a = (unsigned char)s.ptr[i], b = (unsigned char)s.ptr[i + 1];
        unsigned char c = i + 2 < s.len ? (unsigned char)s.ptr[i + 2] : 0;

        if (a == 0xc2 && b < 0xa0)
            return false;
        if (a == 0xe2 && b == 0x80 && c >= 0xa8 && c <= 0xae)
            return false;
        if (a == 0xe2 && b == 0x81 && c >= 0xa6 && c <= 0xa9)
            return false;
    }
    return true;
}

/* Domains. */

static bool
is_label_byte(char c)
{
    return ascii_is_alnum(c) || c == '-' || c == '_';
}

static bool
is_domain_byte(char c)
{
    return is_label_byte(c) || c == '.';
}

static bool
is_number(str label)
{
    for (size_t i = 0; i < label.len; i++)
        if (!ascii_is_digit(label.ptr[i]))
            return false;
    return true;
}

static bool
label_is_valid(str label)
{
    if (label.len == 0 || label.len > DOMAIN_LABEL_MAX)
        return false;
    for (size_t i = 0; i < label.len; i++)
        if (!is_label_byte(label.ptr[i]))
            return false;
    return label.ptr[0] != '-' && label.ptr[label.len - 1] != '-';
}

static bool
ascii_domain_is_valid(str domain)
{
    str label, rest = domain;
    bool more;

    if (domain.len == 0 || domain.len > DOMAIN_MAX)
        return false;
    do {
        more = str_split(rest, '.', &label, &rest);
        if (!label_is_valid(label))
            return false;
    } while (more);
    /* RFC 1123 2.1: the last label is never a number, which tells a name from 192.0.2.1. */
    return !is_number(label);
}

/* The A-label form of a domain beyond ASCII, for idn2_free(), or NULL. */
static uint8_t *
idna_lookup(str domain)
{
    char text[DOMAIN_MAX + 1];
    uint8_t *alabel = NULL;

    if (domain.len > DOMAIN_MAX || memchr(domain.ptr, 0, domain.len) || !str_is_utf8(domain))
        return NULL;
    memcpy(text, domain.ptr, domain.len);
    text[domain.len] = '\0';
    if (idn2_lookup_u8((uint8_t *)text, &alabel, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL) != IDN2_OK)
        return NULL;
    return alabel;
}

bool
domain_is_valid(str domain)
{
    uint8_t *alabel;
    bool valid;

    if (str_is_ascii(domain))
        return ascii_domain_is_valid(domain);
    alabel = idna_lookup(domain);
    valid = alabel && ascii_domain_is_valid(str_from((char *)alabel));
    idn2_free(alabel);
    return valid;
}

static bool
copy_lower(str s, struct arena *arena, str *lower)
{
    char *room = arena_alloc(arena, s.len + 1);

    if (!room)
        return false;
    for (size_t i = 0; i < s.len; i++)
        room[i] = ascii_lower(s.ptr[i]);
    *lower = (str){ room, s.len };
    return true;
}

enum err
domain_to_alabel(str domain, struct arena *arena, str *alabel)
{
    uint8_t *text;
    enum err e = ERR_SYNTAX;

    if (str_is_ascii(domain)) {
        if (!ascii_domain_is_valid(domain))
            return ERR_SYNTAX;
        return copy_lower(domain, arena, alabel) ? OK : ERR_LIMIT;
    }
    text = idna_lookup(domain);
    if (text && ascii_domain_is_valid(str_from((char *)text)))
        e = copy_lower(str_from((char *)text), arena, alabel) ? OK : ERR_LIMIT;
    idn2_free(text);
    return e;
}

/* RFC 5321 4.1.3.  Other kinds of literal are not registered. */
bool
domain_literal_parse(str text, ipaddr *ip)
{
    ipaddr parsed;
    bool tagged;

    if (text.len < 3 || text.ptr[0] != '[' || text.ptr[text.len - 1] != ']')
        return false;
    text = str_head(str_skip(text, 1), text.len - 2);
    tagged = str_starts_nocase(text, S("IPv6:"));
    if (tagged)
        text = str_skip(text, 5);
    if (!ipaddr_parse(text, &parsed) || tagged != (str_find(text, ':') >= 0))
        return false;
    if (ip)
        *ip = parsed;
    return true;
}

/* Local parts. */

static bool
local_add(struct local_part *local, char c)
{
    if (local->len == sizeof(local->bytes))
        return false;
    local->bytes[local->len++] = c;
    return true;
}

/* Dot-string: atoms with single dots between them. */
static bool
read_dot_string(struct cursor *in, struct local_part *local)
{
    bool after_atom = false;

    for (;;) {
        char c = cursor_peek(in);

        if (c == '.' ? !after_atom : !is_atext(c))
            break;
        if (!local_add(local, c))
            return false;
        after_atom = c != '.';
        (void)cursor_take(in, 1);
    }
    return after_atom;
}

/* Quoted-string: qtextSMTP and quoted pairs; the opening quote has been read. */
static bool
read_quoted(struct cursor *in, struct local_part *local)
{
    for (;;) {
        str next = cursor_take(in, 1);
        char c = next.len ? next.ptr[0] : 0;

        if (c == '"')
            return true;
        if (c == '\\') {
            next = cursor_take(in, 1);
            c = next.len && !is_beyond_ascii(next.ptr[0]) ? next.ptr[0] : 0;
        }
        if (!is_beyond_ascii(c) && (c < 0x20 || c > 0x7e))
            return false;
        if (!local_add(local, c))
            return false;
    }
}

static bool
read_local(struct cursor *in, struct local_part *local)
{
    bool ok = cursor_accept(in, '"') ? read_quoted(in, local) : read_dot_string(in, local);

    return ok && utf8_is_plain((str){ local->bytes, local->len });
}

static bool
domain_is_acceptable(str domain)
{
    return domain.len && domain.ptr[0] == '[' ? domain_literal_parse(domain, NULL)
                                              : domain_is_valid(domain);
}

static enum err
store(const struct local_part *local, str domain, struct arena *arena, struct address *address)
{
    struct address result = { .local = { local->bytes, local->len }, .domain = domain };

    result.is_utf8 = !str_is_ascii(result.local) || !str_is_ascii(domain);
    return address_copy(&result, arena, address) ? OK : ERR_LIMIT;
}

enum err
address_parse(str text, struct arena *arena, struct address *address)
{
    struct local_part local = {};
    struct cursor in;

    if (text.len > ADDRESS_TEXT_MAX)
        return ERR_SYNTAX;
    cursor_init(&in, text);
    if (!read_local(&in, &local) || !cursor_accept(&in, '@') || !domain_is_acceptable(in.rest))
        return ERR_SYNTAX;
    return store(&local, in.rest, arena, address);
}

/* "@a.example,@b.example:".  RFC 5321 4.1.2: accepted, and ignored. */
static bool
skip_source_route(struct cursor *in)
{
    if (cursor_peek(in) != '@')
        return true;
    do {
        str domain;

        if (!cursor_accept(in, '@'))
            return false;
        domain = cursor_while(in, is_domain_byte);
        if (!ascii_domain_is_valid(domain))
            return false;
    } while (cursor_accept(in, ','));
    return cursor_accept(in, ':');
}

/* What stands between the brackets; nothing, for the null path. */
static bool
read_path_inside(struct cursor *in, enum address_path kind, struct local_part *local, str *domain)
{
    bool routed = cursor_peek(in) == '@';

    *domain = S("");
    if (cursor_peek(in) == '>')
        return kind == ADDRESS_REVERSE_PATH;
    if (!skip_source_route(in) || !read_local(in, local))
        return false;
    if (cursor_peek(in) == '>')
        return !routed && kind == ADDRESS_FORWARD_PATH &&
               str_eq_nocase((str){ local->bytes, local->len }, S("postmaster"));
    if (!cursor_accept(in, '@'))
        return false;
    *domain = cursor_until(in, '>');
    return domain_is_acceptable(*domain);
}

enum err
address_parse_path(str text, enum address_path kind, struct arena *arena, struct address *address,
                   str *rest)
{
    struct local_part local = {};
    struct cursor in;
    str domain;
    enum err e;

    cursor_init(&in, str_head(text, PATH_MAX_BYTES));
    if (!cursor_accept(&in, '<') || !read_path_inside(&in, kind, &local, &domain) ||
        !cursor_accept(&in, '>'))
        return ERR_SYNTAX;
    text = str_skip(text, (size_t)(in.rest.ptr - text.ptr));
    if (text.len && text.ptr[0] != ' ')
        return ERR_SYNTAX;
    e = store(&local, domain, arena, address);
    if (e)
        return e;
    *rest = text;
    return OK;
}

/* The way back, and questions. */

static bool
needs_quotes(str local)
{
    bool after_atom = false;

    for (size_t i = 0; i < local.len; i++) {
        char c = local.ptr[i];

        if (c == '.' ? !after_atom : !is_atext(c))
            return true;
        after_atom = c != '.';
    }
    return !after_atom;
}

void
address_format(const struct address *address, struct buf *buf)
{
    if (address_is_null(address))
        return;
    if (needs_quotes(address->local)) {
        buf_add_byte(buf, '"');
        for (size_t i = 0; i < address->local.len; i++) {
            char c = address->local.ptr[i];

            if (c == '"' || c == '\\')
                buf_add_byte(buf, '\\');
            buf_add_byte(buf, c);
        }
        buf_add_byte(buf, '"');
    } else {
        buf_add(buf, address->local);
    }
    if (address->domain.len) {
        buf_add_byte(buf, '@');
        buf_add(buf, address->domain);
    }
}

void
address_format_path(const struct address *address, struct buf *buf)
{
    buf_add_byte(buf, '<');
    address_format(address, buf);
    buf_add_byte(buf, '>');
}

bool
address_text(const struct address *address, struct arena *arena, str *text)
{
    struct buf buf;
    bool ok;

    buf_init(&buf, 2 * ADDRESS_TEXT_MAX);
    address_format(address, &buf);
    ok = buf_ok(&buf) && arena_copy(arena, buf_str(&buf), text);
    buf_done(&buf);
    return ok;
}

bool
address_is_null(const struct address *address)
{
    return address->local.len == 0 && address->domain.len == 0;
}

bool
address_is_literal(const struct address *address, ipaddr *ip)
{
    return domain_literal_parse(address->domain, ip);
}

bool
address_eq(const struct address *a, const struct address *b)
{
    return str_eq(a->local, b->local) && str_eq_nocase(a->domain, b->domain);
}

bool
address_copy(const struct address *address, struct arena *arena, struct address *copy)
{
    struct address result = { .is_utf8 = address->is_utf8 };

    if (!arena_copy(arena, address->local, &result.local) ||
        !arena_copy(arena, address->domain, &result.domain))
        return false;
    *copy = result;
    return true;
}

static enum err
canonical_local(str local, struct arena *arena, str *canonical)
{
    size_t size = 0;
    uint8_t *lower;
    bool copied;

    if (str_is_ascii(local))
        return copy_lower(local, arena, canonical) ? OK : ERR_LIMIT;
    lower = u8_tolower((const uint8_t *)local.ptr, local.len, NULL, UNINORM_NFC, NULL, &size);
    if (!lower)
        return ERR_SYNTAX;
    copied = arena_copy(arena, (str){ (char *)lower, size }, canonical);
    free(lower);
    return copied ? OK : ERR_LIMIT;
}

static enum err
canonical_domain(const struct address *address, struct arena *arena, str *canonical)
{
    char text[IPADDR_TEXT_MAX];
    ipaddr ip;

    if (address->domain.len == 0)
        return arena_copy(arena, S(""), canonical) ? OK : ERR_LIMIT;
    if (!address_is_literal(address, &ip))
        return domain_to_alabel(address->domain, arena, canonical);
    ipaddr_format(ip, text);
    return arena_printf(arena, canonical, "[%s%s]", ipaddr_is_v4(ip) ? "" : "IPv6:", text)
               ? OK
               : ERR_LIMIT;
}

enum err
address_canonical(const struct address *address, struct arena *arena, struct address *canonical)
{
    struct address result = {};
    enum err e;

    e = canonical_local(address->local, arena, &result.local);
    if (e)
        return e;
    e = canonical_domain(address, arena, &result.domain);
    if (e)
        return e;
    result.is_utf8 = !str_is_ascii(result.local);
    *canonical = result;
    return OK;
}
