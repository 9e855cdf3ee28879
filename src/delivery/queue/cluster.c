/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* cluster.c: see cluster.h.  The text is read word by word; each is kept, or becomes a star.
 *
 * Start reading at cluster_text().
 */
#include "delivery/queue/cluster.h"

#include "base/ipaddr.h"

#include <stdio.h>
#include <string.h>

enum {
    QUOTED_MAX = 120, /* A longer quotation is not a name. */
    ID_LENGTH_MIN = 8,
    DIGITS_MIN = 3
};

/* Names that say more than a host: lists that receivers ask. */
static const char *const lists[] = {
    "spamhaus.org",   "spamhaus.net",  "spamcop.net",     "barracudacentral.org", "sorbs.net",
    "uceprotect.net", "abuseat.org",   "mailspike.net",   "spamrats.com",         "surbl.org",
    "uribl.com",      "cloudmark.com", "senderscore.net",
};

struct writer {
    char *room;
    size_t len;
    bool starred; /* The last word is a star. */
};

static void
put(struct writer *to, str word)
{
    bool star = str_eq(word, S("*"));

    if (word.len == 0 || (star && to->starred) ||
        to->len + word.len + (to->len > 0) > CLUSTER_TEXT_MAX)
        return;
    if (to->len)
        to->room[to->len++] = ' ';
    for (size_t i = 0; i < word.len; i++)
        to->room[to->len++] = ascii_lower(word.ptr[i]);
    to->starred = star;
}

static bool
is_blank(char c)
{
    return (unsigned char)c <= ' ' || c == 0x7f;
}

/* Without brackets, quotes and stops around it. */
static str
core_of(str word)
{
    while (word.len > 0 && memchr("[](){}<>\"'`,.;:!?*", word.ptr[0], 18))
        word = str_skip(word, 1);
    while (word.len > 0 && memchr("[](){}<>\"'`,.;:!?*", word.ptr[word.len - 1], 18))
        word.len--;
    return word;
}

struct counts {
    size_t digits;
    size_t letters;
    size_t others;
    size_t longest; /* Run of digits. */
    bool hex;       /* Nothing but hexadecimal digits. */
};

static struct counts
count(str word)
{
    struct counts counts = { .hex = true };
    size_t run = 0;

    for (size_t i = 0; i < word.len; i++) {
        char c = word.ptr[i];
        run = ascii_is_digit(c) ? run + 1 : 0;
        counts.longest = MAX(counts.longest, run);
        counts.digits += ascii_is_digit(c);
        counts.letters += ascii_is_alpha(c);
        counts.others += !ascii_is_alnum(c);
        counts.hex = counts.hex && ascii_hex(c) >= 0;
    }
    return counts;
}

/* "4.7.28" */
static bool
is_enhanced_code(str word)
{
    str class, subject, detail;
    uint64_t number;

    return str_split(word, '.', &class, &subject) && str_split(subject, '.', &subject, &detail) &&
           (str_eq(class, S("2")) || str_eq(class, S("4")) || str_eq(class, S("5"))) &&
           subject.len <= 3 && detail.len <= 3 && str_to_u64(subject, &number) &&
           str_to_u64(detail, &number);
}

static bool
is_address(str word)
{
    ipaddr addr;

    if (str_starts_nocase(word, S("ipv6:")))
        word = str_skip(word, 5);
    return ipaddr_parse(word, &addr);
}

/* "mx1.example.org", unless it is a list that is asked for addresses. */
static bool
is_host(str word)
{
    ssize_t dot = str_find_last(word, '.');
    struct counts last;

    if (dot <= 0)
        return false;
    for (size_t i = 0; i < word.len; i++)
        if (!ascii_is_alnum(word.ptr[i]) && word.ptr[i] != '.' && word.ptr[i] != '-' &&
            word.ptr[i] != '_')
            return false;
    for (size_t i = 0; i < COUNT_OF(lists); i++)
        if (str_ends_nocase(word, str_from(lists[i])))
            return false;
    last = count(str_skip(word, (size_t)dot + 1));
    return last.letters >= 2 && last.digits == 0 && last.others == 0;
}

/* Whether WORD differs from message to message. */
static bool
is_particular(str word)
{
    struct counts counts;

    if (is_enhanced_code(word))
        return false;
    if (str_find(word, '@') >= 0 || str_find_str(word, S("://")) >= 0 ||
        str_starts_nocase(word, S("www.")) || is_address(word) || is_host(word))
        return true;
    counts = count(word);
    if (counts.letters == 0)
        return counts.longest >= DIGITS_MIN || (counts.digits >= 3 && counts.others > 0);
    /* "S3150" and "TSS04" are a vendor's; "01jd7z3k9q8m" is a message's. */
    return word.len >= ID_LENGTH_MIN && ((counts.hex && counts.digits > 0) || counts.digits >= 4 ||
                                         (counts.digits >= 2 && counts.others == 0));
}

/* The length of a quotation or bracket that begins TEXT and may be a name; 0: it is none. */
static size_t
quotation(str text)
{
    char end = text.ptr[0] == '<' ? '>' : text.ptr[0];

    if (end != '"' && end != '>' && end != '\'' && end != '`')
        return 0;
    for (size_t i = 1; i < text.len && i < QUOTED_MAX; i++)
        if (text.ptr[i] == end && (i + 1 == text.len || !ascii_is_alnum(text.ptr[i + 1])))
            return i + 1;
    return 0;
}

static str
next_word(str text)
{
    size_t len = 0;

    while (len < text.len && !is_blank(text.ptr[len]))
        len++;
    return str_head(text, len);
}

str
cluster_text(str text, char room[CLUSTER_TEXT_MAX + 1])
{
    struct writer to = { room, 0, false };

    while (text.len > 0) {
        size_t quoted;
        str word;
        if (is_blank(text.ptr[0])) {
            text = str_skip(text, 1);
            continue;
        }
        quoted = quotation(text);
        word = quoted ? str_head(text, quoted) : next_word(text);
        if (quoted || is_particular(core_of(word)))
            put(&to, S("*"));
        else
            put(&to, core_of(word));
        text = str_skip(text, word.len);
    }
    room[to.len] = '\0';
    return (str){ room, to.len };
}

uint32_t
cluster_id(uint16_t code, str enhanced, str text)
{
    char room[CLUSTER_TEXT_MAX + 1];
    char key[CLUSTER_TEXT_MAX + 40];
    str normal = cluster_text(text, room);
    int len = snprintf(key, sizeof(key), "%u %.*s %.*s", code, STR_ARG(str_head(enhanced, 16)),
                       STR_ARG(normal));
    uint64_t hash = str_hash((str){ key, len > 0 ? MIN((size_t)len, sizeof(key) - 1) : 0 });

    return (uint32_t)(hash ^ hash >> 32);
}

void
cluster_format(uint32_t id, char name[CLUSTER_NAME_SIZE])
{
    (void)snprintf(name, CLUSTER_NAME_SIZE, "%08x", id);
}

bool
cluster_parse(str name, uint32_t *id)
{
    uint32_t value = 0;

    if (name.len != CLUSTER_NAME_SIZE - 1)
        return false;
    for (size_t i = 0; i < name.len; i++) {
        int digit = ascii_hex(name.ptr[i]);
        if (digit < 0)
            return false;
        value = value << 4 | (uint32_t)digit;
    }
    *id = value;
    return true;
}
