/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* lane.c: which lane a message takes, from what its header section says.
 *
 * The first sign decides, in this order: it goes to many; its subject is that of a code; a program
 * wrote it; a person wrote it.  The subject is decoded, folded to lower case into a small buffer,
 * and looked through once: wherever a word begins, the phrases with its first two
 * bytes are compared.  Start reading at lane_of().
 */
#include "mail/lane.h"

#include "base/arena.h"
#include "base/must.h"
#include "formats/encoded_word.h"
#include "formats/header.h"
#include "mail/lane_words.h"

#include <stdio.h>
#include <string.h>

/* clang-format off */
enum {
    SUBJECT_MAX = 256,     /* So much of it is looked at, decoded; */
    SUBJECT_RAW_MAX = 1024, /* and so much is decoded. */
    SUBJECT_ARENA = 16 * 1024,
    CODE_RECIPIENTS_MAX = 3,
    MANY_RECIPIENTS = 25,
    MANY_MESSAGES = 300,   /* In a day, without any sign of a person. */
    LOW_PRIORITY = -4,     /* "Non-urgent": RFC 6710, appendix. */
    DIGITS_MIN = 4,
    DIGITS_MAX = 8,
};
/* clang-format on */

static const char *const names[LANE_COUNT] = { "code", "personal", "notice", "bulk" };

const char *
lane_name(enum lane lane)
{
    must(lane <= LANE_BULK);
    return names[lane];
}

bool
lane_parse(str text, enum lane *lane)
{
    for (unsigned i = 0; i < LANE_COUNT; i++) {
        if (!str_eq_nocase(text, str_from(names[i])))
            continue;
        *lane = (enum lane)i;
        return true;
    }
    return false;
}

static enum lane
because(enum lane lane, char why[LANE_WHY_MAX], const char *reason)
{
    snprintf(why, LANE_WHY_MAX, "%s", reason);
    return lane;
}

/* --- The subject. */

struct text {
    size_t len;
    char bytes[SUBJECT_MAX];
};

static size_t
char_size(unsigned char lead)
{
    return lead < 0xc0 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
}

/* A letter of two bytes in lower case: Latin, Greek, Cyrillic. */
static void
fold_pair(unsigned char lead, unsigned char tail, struct text *to)
{
    if (lead == 0xc3 && tail >= 0x80 && tail <= 0x9e && tail != 0x97) {
        tail += 0x20; /* À to Þ. */
    } else if (lead == 0xc4 && (tail == 0xb0 || tail == 0xb1)) {
        to->bytes[to->len++] = 'i'; /* The Turkish ones, with and without dot. */
        return;
    } else if (((lead == 0xc4 && tail < 0xb8) || (lead == 0xc5 && tail >= 0x8a && tail < 0xb8)) &&
               !(tail & 1)) {
        tail++; /* Ā to ķ, Ŋ to ŷ: capitals are even. */
    } else if (((lead == 0xc4 && tail >= 0xb9) || (lead == 0xc5 && (tail < 0x88 || tail > 0xb8))) &&
               (tail & 1)) {
        tail++; /* Ĺ to ň, Ź to ž: capitals are odd. */
        if (tail == 0xc0)
            lead = 0xc5, tail = 0x80;
    } else if (lead == 0xce && tail >= 0x91 && tail <= 0x9f) {
        tail += 0x20; /* Α to Ο. */
    } else if (lead == 0xce && tail >= 0xa0 && tail <= 0xa9) {
        lead = 0xcf, tail -= 0x20; /* Π to Ω. */
    } else if (lead == 0xd0 && tail < 0x90) {
        lead = 0xd1, tail += 0x10; /* Ѐ to Џ. */
    } else if (lead == 0xd0 && tail < 0xa0) {
        tail += 0x20; /* А to П. */
    } else if (lead == 0xd0 && tail < 0xb0) {
        lead = 0xd1, tail -= 0x20; /* Р to Я. */
    }
    to->bytes[to->len++] = (char)lead;
    to->bytes[to->len++] = (char)tail;
}

static void
fold_blank(struct text *to)
{
    if (to->len && to->bytes[to->len - 1] != ' ')
        to->bytes[to->len++] = ' ';
}

/* Lower case, one blank between words, straight apostrophes. */
static void
fold(str subject, struct text *to)
{
    const unsigned char *at = (const unsigned char *)subject.ptr;
    const unsigned char *end = at + subject.len;

    to->len = 0;
    while (at < end && to->len + 4 <= SUBJECT_MAX) {
        size_t size = MIN(char_size(*at), (size_t)(end - at));
        if (*at <= 0x20 || (size == 2 && at[0] == 0xc2 && at[1] == 0xa0)) {
            fold_blank(to);
        } else if (size == 1) {
            to->bytes[to->len++] = ascii_lower((char)*at);
        } else if (size == 2) {
            fold_pair(at[0], at[1], to);
        } else if (size == 3 && memcmp(at, "\xe2\x80\x99", 3) == 0) {
            to->bytes[to->len++] = '\'';
        } else {
            memcpy(to->bytes + to->len, at, size);
            to->len += size;
        }
        at += size;
    }
}

static void
read_subject(str value, struct text *to)
{
    struct arena arena;
    str decoded;

    value = str_head(value, SUBJECT_RAW_MAX);
    if (str_find_str(value, S("=?")) < 0) {
        fold(value, to);
        return;
    }
    arena_init(&arena, SUBJECT_ARENA);
    fold(encoded_word_decode(value, &arena, &decoded) == OK ? decoded : value, to);
    arena_done(&arena);
}

/* Nothing of a word follows: "code" is not in "codec".  Scripts without blanks have no words. */
static bool
ends_here(const struct text *text, size_t at, str phrase)
{
    unsigned char next = at < text->len ? (unsigned char)text->bytes[at] : ' ';

    if (char_size((unsigned char)phrase.ptr[phrase.len - 1]) == 1 &&
        (unsigned char)phrase.ptr[phrase.len - 1] >= 0x80 && phrase.len >= 3 &&
        (unsigned char)phrase.ptr[phrase.len - 3] >= 0xe3)
        return true;
    return !ascii_is_alnum((char)next) && !(next >= 0xc3 && next < 0xe0);
}

static unsigned
first_two(const char *bytes)
{
    return (unsigned)(unsigned char)bytes[0] << 8 | (unsigned char)bytes[1];
}

/* The first of those that do not begin below PAIR, or COUNT. */
static size_t
first_with(const char *const *phrases, size_t count, unsigned pair)
{
    size_t low = 0, high = count;

    while (low < high) {
        size_t middle = (low + high) / 2;
        if (first_two(phrases[middle]) < pair)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static const char *
phrase_at(const struct text *text, size_t at, const char *const *phrases, size_t count)
{
    str rest = { text->bytes + at, text->len - at };
    unsigned pair = rest.len < 2 ? 0 : first_two(rest.ptr);

    for (size_t i = first_with(phrases, count, pair); i < count && first_two(phrases[i]) == pair;
         i++) {
        str phrase = str_from(phrases[i]);
        if (str_starts(rest, phrase) && ends_here(text, at + phrase.len, phrase))
            return phrases[i];
    }
    return NULL;
}

/* A word begins behind anything that is no letter; every sign of a script without blanks is one. */
static bool
begins_word(unsigned char before, unsigned char lead)
{
    return lead >= 0xe3 || before >= 0xe2 || (before < 0x80 && !ascii_is_alnum((char)before));
}

static const char *
find_phrase(const struct text *text, const char *const *phrases, size_t count)
{
    unsigned char before = ' ';

    for (size_t at = 0; at < text->len; at += char_size(before)) {
        unsigned char lead = (unsigned char)text->bytes[at];
        if (lead > ' ' && begins_word(before, lead)) {
            const char *phrase = phrase_at(text, at, phrases, count);
            if (phrase)
                return phrase;
        }
        before = lead;
    }
    return NULL;
}

/* "482913", "482-913", "482 913", "G-482913"; not a year. */
static bool
has_digit_code(const struct text *text)
{
    size_t at = 0;

    while (at < text->len) {
        size_t start = at, digits = 0;
        bool after_letter = at > 0 && ascii_is_alpha(text->bytes[at - 1]);
        while (at < text->len && (ascii_is_digit(text->bytes[at]) ||
                                  (digits == 3 && at == start + 3 && at + 1 < text->len &&
                                   (text->bytes[at] == '-' || text->bytes[at] == ' ') &&
                                   ascii_is_digit(text->bytes[at + 1]))))
            digits += ascii_is_digit(text->bytes[at++]);
        if (digits >= DIGITS_MIN && digits <= DIGITS_MAX && !after_letter &&
            !(at < text->len && ascii_is_alpha(text->bytes[at])) &&
            !(digits == 4 && (memcmp(text->bytes + start, "20", 2) == 0 ||
                              memcmp(text->bytes + start, "19", 2) == 0)))
            return true;
        if (at == start)
            at++;
    }
    return false;
}

/* "Re: your verification code does not work" is a person's. */
static bool
is_answer(const struct text *text)
{
    static const char *const marks[] = { "re:", "aw:", "fw:", "fwd:", "wg:",   "sv:",
                                         "vs:", "tr:", "rv:", "odp:", "回复:", "re：" };

    for (size_t i = 0; i < COUNT_OF(marks); i++)
        if (str_starts((str){ text->bytes, text->len }, str_from(marks[i])))
            return true;
    return false;
}

static bool
subject_is_of_code(str subject, char why[LANE_WHY_MAX])
{
    const char *phrase;
    struct text text;

    read_subject(subject, &text);
    if (text.len == 0 || is_answer(&text))
        return false;
    phrase = find_phrase(&text, lane_phrases, lane_phrase_count);
    if (!phrase && has_digit_code(&text) &&
        (phrase = find_phrase(&text, lane_code_words, lane_code_word_count)) &&
        find_phrase(&text, lane_other_codes, lane_other_code_count))
        phrase = NULL;
    if (phrase)
        snprintf(why, LANE_WHY_MAX, "the subject says '%s'", phrase);
    return phrase != NULL;
}

/* --- Who wrote it. */

static bool
is_persons_program(str agent)
{
    static const char *const programs[] = {
        "Alpine",
        "Apple Mail",
        "Claws Mail",
        "eM",
        "Evolution",
        "FairEmail",
        "Foxmail",
        "Geary",
        "Gnus",
        "Horde",
        "iPad Mail",
        "iPhone Mail",
        "K-9 Mail",
        "KMail",
        "MailMate",
        "Microsoft-Mac",
        "Microsoft Outlook",
        "Mozilla",
        "mu4e",
        "Mutt",
        "NeoMutt",
        "Open-Xchange",
        "Outlook",
        "Roundcube",
        "SOGo",
        "SquirrelMail",
        "Sylpheed",
        "The Bat!",
        "Thunderbird",
        "Trojita",
        "YahooMail",
        "Zimbra",
    };

    for (size_t i = 0; agent.len && i < COUNT_OF(programs); i++)
        if (ascii_lower(programs[i][0]) == ascii_lower(agent.ptr[0]) &&
            str_starts_nocase(agent, str_from(programs[i])))
            return true;
    return false;
}

/* "noreply@", "no-reply@", "Shop <donotreply@". */
static bool
wants_no_answer(str from)
{
    static const char *const locals[] = { "noreply",    "no-reply",     "no_reply",
                                          "donotreply", "do-not-reply", "mailer-daemon" };
    ssize_t at = str_find_last(from, '<');
    str address = str_skip(from, (size_t)(at + 1));

    for (size_t i = 0; i < COUNT_OF(locals); i++)
        if (str_starts_nocase(address, str_from(locals[i])))
            return true;
    return false;
}

static bool
is_said(str field)
{
    return field.ptr != NULL;
}

/* A sign that it goes to many; NULL: none. */
static const char *
sign_of_many(const struct lane_facts *facts)
{
    const struct header_facts *header = facts->header;

    if (is_said(header->list_id))
        return "it has a List-Id field";
    if (is_said(header->list_unsubscribe) || is_said(header->list_unsubscribe_post))
        return "it has a List-Unsubscribe field";
    if (is_said(header->list_post))
        return "it has a List-Post field";
    if (str_eq_nocase(header->precedence, S("bulk")) ||
        str_eq_nocase(header->precedence, S("list")) ||
        str_eq_nocase(header->precedence, S("junk")))
        return "its Precedence field says so";
    if (facts->priority <= LOW_PRIORITY)
        return "the sender asked for a low priority";
    return NULL;
}

static const char *
sign_of_program(const struct lane_facts *facts)
{
    const struct header_facts *header = facts->header;

    if (header->is_automatic)
        return "its Auto-Submitted field says that a program wrote it";
    if (is_said(header->auto_response_suppress))
        return "its X-Auto-Response-Suppress field wants no answer";
    if (is_said(header->feedback_id))
        return "it has a Feedback-ID field";
    if (is_said(header->precedence))
        return "it has a Precedence field";
    if (wants_no_answer(header->from_value))
        return "its sender takes no answers";
    if (facts->null_sender)
        return "it has no return path";
    return NULL;
}

static const char *
sign_of_person(const struct header_facts *header)
{
    if (is_said(header->in_reply_to) || is_said(header->references))
        return "it answers another message";
    if (is_persons_program(header->user_agent) || is_persons_program(header->mailer))
        return "a mail program of people wrote it";
    return NULL;
}

enum lane
lane_of(const struct lane_facts *facts, char why[LANE_WHY_MAX])
{
    const char *sign = sign_of_many(facts);
    const char *person = sign_of_person(facts->header);

    if (sign)
        return because(LANE_BULK, why, sign);
    if (facts->recipients >= MANY_RECIPIENTS) {
        snprintf(why, LANE_WHY_MAX, "it has %zu recipients", facts->recipients);
        return LANE_BULK;
    }
    if (!person && facts->recipients <= CODE_RECIPIENTS_MAX &&
        subject_is_of_code(facts->header->subject_value, why))
        return LANE_CODE;
    sign = sign_of_program(facts);
    if (sign)
        return because(LANE_NOTICE, why, sign);
    if (person)
        return because(LANE_PERSONAL, why, person);
    if (facts->recent >= MANY_MESSAGES) {
        snprintf(why, LANE_WHY_MAX, "its account has sent %u messages within a day", facts->recent);
        return LANE_BULK;
    }
    if (facts->from_program)
        return because(LANE_NOTICE, why, "a program of this machine sent it");
    return because(LANE_PERSONAL, why, "nothing speaks against a person");
}
