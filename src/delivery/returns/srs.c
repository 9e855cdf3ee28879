/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* srs.c: words between equals signs.  The hash is checked before anything else is believed.
 *
 * Start reading at srs_rewrite() and srs_back().
 */
#include "delivery/returns/srs.h"

#include "base/buf.h"
#include "base/must.h"
#include "formats/address.h"
#include "formats/base32.h"
#include "trust/token.h"

#include <string.h>

enum {
    TAG_SIZE = 4, /* "SRS0" */
    HASH_BYTES = 5,
    HASH_LETTERS = BASE32_LETTERS(HASH_BYTES),
    DAYS_ROUND = 1024, /* Two letters. */
    TEXT_MAX = 2 * (ADDRESS_LOCAL_MAX + DOMAIN_MAX),
};

static const char day_letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

static bool
has_tag(str local, str tag)
{
    return local.len > TAG_SIZE && str_starts_nocase(local, tag) &&
           memchr("=+-", local.ptr[TAG_SIZE], 3);
}

bool
srs_is_one(str local)
{
    return has_tag(local, S("SRS0")) || has_tag(local, S("SRS1"));
}

/* What is hashed: KIND and WORDS, folded. */
static bool
fold(char kind, str words, char *text, str *folded)
{
    if (words.len + 1 > TEXT_MAX)
        return false;
    text[0] = kind;
    for (size_t i = 0; i < words.len; i++)
        text[i + 1] = ascii_lower(words.ptr[i]);
    *folded = (str){ text, words.len + 1 };
    return true;
}

static void
add_hash(struct secrets *secrets, char kind, str words, struct buf *local)
{
    uint8_t mac[TOKEN_MAC_SIZE];
    char text[TEXT_MAX];
    str folded = S("");

    must(fold(kind, words, text, &folded));
    token_mac(secrets, TOKEN_FORWARD, folded, mac);
    base32_encode((str){ (const char *)mac, HASH_BYTES }, local);
}

static bool
hash_is_ours(struct secrets *secrets, char kind, str words, str hash)
{
    uint8_t mac[HASH_BYTES];
    char text[TEXT_MAX];
    str folded;
    size_t len;

    return hash.len == HASH_LETTERS && base32_decode(hash, mac, sizeof(mac), &len) == OK &&
           fold(kind, words, text, &folded) &&
           token_check(secrets, TOKEN_FORWARD, folded, (str){ (const char *)mac, len });
}

/* "tt=domain=local" */
static void
add_first(struct secrets *secrets, const struct address *sender, instant now, struct buf *local)
{
    unsigned day = token_day(now) % DAYS_ROUND;
    struct buf words;

    buf_init(&words, TEXT_MAX);
    buf_addf(&words, "%c%c=%.*s=%.*s", day_letters[day / 32], day_letters[day % 32],
             STR_ARG(sender->domain), STR_ARG(sender->local));
    buf_add(local, S("SRS0="));
    add_hash(secrets, '0', buf_str(&words), local);
    buf_addf(local, "=%.*s", STR_ARG(buf_str(&words)));
    buf_done(&words);
}

/* "domain" and what followed SRS0 there: of an SRS1 they stand in it already. */
static bool
add_second(struct secrets *secrets, const struct address *sender, struct buf *local)
{
    str host = sender->domain, rest = str_skip(sender->local, TAG_SIZE), hash;
    struct buf words;

    if (has_tag(sender->local, S("SRS1"))) {
        if (!str_split(str_skip(rest, 1), '=', &hash, &rest) ||
            !str_split(rest, '=', &host, &rest) || !domain_is_valid(host))
            return false;
    }
    buf_init(&words, TEXT_MAX);
    buf_addf(&words, "%.*s=%.*s", STR_ARG(host), STR_ARG(rest));
    buf_add(local, S("SRS1="));
    add_hash(secrets, '1', buf_str(&words), local);
    buf_addf(local, "=%.*s", STR_ARG(buf_str(&words)));
    buf_done(&words);
    return true;
}

enum err
srs_rewrite(struct secrets *secrets, const struct address *sender, str domain, instant now,
            struct arena *arena, str *address)
{
    struct address made = { .domain = domain, .is_utf8 = sender->is_utf8 };
    struct buf local;
    enum err e = OK;

    if (!sender->local.len)
        return ERR_SYNTAX;
    if (sender->local.len > ADDRESS_LOCAL_MAX || sender->domain.len > DOMAIN_MAX)
        return ERR_LIMIT;
    buf_init(&local, TEXT_MAX);
    /* What is no whole SRS1 is an address like any other. */
    if (!srs_is_one(sender->local) || !add_second(secrets, sender, &local))
        add_first(secrets, sender, now, &local);
    made.local = buf_str(&local);
    if (!buf_ok(&local) || local.len > SRS_LOCAL_MAX || !address_text(&made, arena, address))
        e = ERR_LIMIT;
    buf_done(&local);
    return e;
}

/* Folded to lower case on its way, perhaps; -1. */
static int
letter_value(char c)
{
    const char *at =
        c ? strchr(day_letters, c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c) : NULL;

    return at ? (int)(at - day_letters) : -1;
}

static bool
parse_day(str word, unsigned *day)
{
    int high, low;

    if (word.len != 2)
        return false;
    high = letter_value(word.ptr[0]);
    low = letter_value(word.ptr[1]);
    *day = (unsigned)(high * 32 + low);
    return high >= 0 && low >= 0;
}

/* Tomorrow's is fine: clocks differ, and so do the ends of a day. */
static bool
is_over(unsigned day, instant now)
{
    unsigned age = (token_day(now) + DAYS_ROUND - day) % DAYS_ROUND;

    return age > SRS_DAYS && age != DAYS_ROUND - 1;
}

static enum err
write_address(str local, str domain, struct arena *arena, str *address)
{
    struct address whole = { .local = local, .domain = domain };
    struct address again;
    str text;
    enum err e;

    if (!local.len || !domain.len)
        return ERR_SYNTAX;
    if (!address_text(&whole, arena, &text))
        return ERR_LIMIT;
    e = address_parse(text, arena, &again);
    if (!e)
        *address = text;
    return e;
}

static enum err
back_from_first(struct secrets *secrets, str rest, instant now, struct arena *arena, str *address)
{
    str hash, words, stamp, domain, local;
    unsigned day;

    if (!str_split(rest, '=', &hash, &words) || !str_split(words, '=', &stamp, &rest) ||
        !str_split(rest, '=', &domain, &local) || !parse_day(stamp, &day))
        return ERR_SYNTAX;
    if (!hash_is_ours(secrets, '0', words, hash))
        return ERR_REFUSED;
    if (is_over(day, now))
        return ERR_TIMEOUT;
    return write_address(local, domain, arena, address);
}

static enum err
back_from_second(struct secrets *secrets, str rest, struct arena *arena, str *address)
{
    str hash, words, host, opaque, local;

    if (!str_split(rest, '=', &hash, &words) || !str_split(words, '=', &host, &opaque))
        return ERR_SYNTAX;
    if (!hash_is_ours(secrets, '1', words, hash))
        return ERR_REFUSED;
    if (!arena_printf(arena, &local, "SRS0%.*s", STR_ARG(opaque)))
        return ERR_LIMIT;
    return write_address(local, host, arena, address);
}

enum err
srs_back(struct secrets *secrets, str local, instant now, struct arena *arena, str *address)
{
    str rest = str_skip(local, TAG_SIZE + 1);

    if (!srs_is_one(local) || local.len > ADDRESS_LOCAL_MAX)
        return ERR_SYNTAX;
    if (has_tag(local, S("SRS0")))
        return back_from_first(secrets, rest, now, arena, address);
    return back_from_second(secrets, rest, arena, address);
}
