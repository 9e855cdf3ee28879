/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* queue_advice.c: see queue_advice.h.
 *
 * In a command {place}, {which}, {id}, {rule}, {address}, {domain} and {answer} stand for what is
 * known; a command whose word is not known, or holds what a shell would read, is left out.
 */
#include "delivery/queue/queue_advice.h"

#include <stdio.h>
#include <string.h>

enum {
    COMMAND_SIZE_MAX = 1000
};

struct row {
    const char *text;
    const char *commands[QUEUE_COMMANDS_MAX];
};

/* clang-format off */
static const struct row by_case[] = {
    [ADVICE_NONE] = { "Nothing is wrong with it.", { "outpost queue retry {which} --reason 'wanted now'" } },
    [ADVICE_RULE] = { "When the rule is removed, what it keeps goes at once; to release alone lets this one pass.",
        { "outpost rule show {rule}", "outpost queue release {which} --reason 'may go'", "outpost rule rm {rule}" } },
    [ADVICE_HELD] = { "It goes when it is released.",
        { "outpost queue release {which} --reason 'may go'", "outpost queue bounce {which} --reason 'not wanted'" } },
    [ADVICE_THROTTLED] = { "The receiver takes less than there is; we send as much as it takes, and try "
      "for more by ourselves.",
        { "outpost rule add slow {place} --rate 10/m --for 2h --reason '{answer}'",
          "outpost queue hold {place} not:lane:code --reason '{answer}'",
          "outpost queue retry {id} --reason 'a probe'" } },
};

static const struct row by_class[CLASS_COUNT] = {
    [CLASS_INVALID_RECIPIENT] = { "The receiver does not know the address; the sender has to correct it.",
        { "outpost queue bounce {which} --reason '{answer}'" } },
    [CLASS_INACTIVE_MAILBOX] = { "The mailbox is closed for now; it may open again.",
        { "outpost queue bounce {which} --reason '{answer}'", "outpost queue retry {id} --reason 'a probe'" } },
    [CLASS_BAD_DOMAIN] = { "The domain takes no mail; the sender has to correct it.",
        { "outpost test route {address}", "outpost queue bounce {which} --reason '{answer}'" } },
    [CLASS_MAILBOX_FULL] = { "The recipient has to make room.", { "outpost queue retry {id} --reason 'a probe'" } },
    [CLASS_MESSAGE_TOO_LARGE] = { "The receiver takes smaller messages only.",
        { "outpost queue bounce {which} --reason '{answer}'" } },
    [CLASS_CONTENT_POLICY] = { "The receiver does not like what is in it; the same again will not help.",
        { "outpost queue hold {which} --reason '{answer}'", "outpost queue bounce {which} --reason '{answer}'" } },
    [CLASS_SPAM_BLOCK] = { "The receiver takes it for spam: look who sends it before more goes out.",
        { "outpost queue shape {place} --by sender", "outpost rule add hold {place} lane:bulk --for 2h "
          "--reason '{answer}'",
          "outpost queue hold {which} --reason '{answer}'" } },
    [CLASS_IP_OR_DOMAIN_BLOCK] = { "Our address or domain is on a list there: ask to be taken off, and "
      "send less until then.",
        { "outpost queue hold {place} --reason '{answer}'", "outpost rule add hold {place} --for 4h "
          "--reason '{answer}'",
          "outpost queue reroute {place} --to smtp://RELAY --reason '{answer}' --dry-run" } },
    [CLASS_AUTH_FAIL] = { "The receiver misses SPF, DKIM or DMARC of the sender's domain: mend the DNS, then retry.",
        { "outpost queue hold {place} --reason '{answer}'", "outpost queue retry {which} --reason 'mended'" } },
    [CLASS_RATE_LIMITED] = { "The receiver takes less than there is; we slow down and try for more by ourselves.",
        { "outpost rule add slow {place} --rate 10/m --for 2h --reason '{answer}'",
          "outpost queue hold {place} not:lane:code --reason '{answer}'",
          "outpost queue retry {id} --reason 'a probe'" } },
    [CLASS_GREYLISTED] = { "This is usual at the first contact; it goes through by itself.",
        { "outpost queue retry {id} --reason 'a probe'" } },
    [CLASS_TLS_POLICY] = { "TLS could not be agreed as one side wants it; where it is known to be "
      "broken, a rule says what is enough.",
        { "outpost test route {address}", "outpost queue retry {id} --reason 'a probe'",
          "outpost rule add tls domain:{domain} --level plain --for 1d --reason 'they were told'" } },
    [CLASS_DNS_FAILURE] = { "The DNS does not answer for the domain.",
        { "outpost test route {address}", "outpost queue retry {id} --reason 'a probe'" } },
    [CLASS_NO_ANSWER] = { "Its hosts do not answer, or put mail off; it is tried again by itself.",
        { "outpost test route {address}", "outpost queue retry {id} --reason 'a probe'",
          "outpost queue bounce {which} --reason 'nobody answers'" } },
    [CLASS_PROTOCOL_ERROR] = { "The two sides misunderstand each other; the trace shows how.",
        { "outpost trace show {id}", "outpost queue retry {id} --reason 'a probe'" } },
    [CLASS_LOOP] = { "The mail comes back to where it was.",
        { "outpost test route {address}", "outpost queue hold {which} --reason '{answer}'" } },
    [CLASS_EXPIRED] = { "Its time is over.", { "outpost trace show {id}" } },
};
/* clang-format on */

/* What a shell takes as it stands, also between quotes. */
static bool
is_plain(str text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (!ascii_is_alnum(c) && !memchr("@.:-_+=,/[] ", c, 12))
            return false;
    }
    return text.len > 0;
}

static str
value_of(const struct advice *advice, str name, char room[64])
{
    if (str_eq(name, S("place")))
        return advice->place;
    if (str_eq(name, S("which")))
        return advice->which.len ? advice->which : advice->id;
    if (str_eq(name, S("id")))
        return advice->id;
    if (str_eq(name, S("address")))
        return advice->address;
    if (str_eq(name, S("domain"))) {
        ssize_t at = str_find_last(advice->address, '@');
        return at < 0 ? S("") : str_skip(advice->address, (size_t)at + 1);
    }
    if (str_eq(name, S("rule")))
        (void)snprintf(room, 64, "%u", advice->rule);
    else if (advice->code == 0)
        return S("no answer");
    else
        (void)snprintf(room, 64, "%u%s%.*s", advice->code, advice->enhanced.len ? " " : "",
                       STR_ARG(str_head(advice->enhanced, 16)));
    return str_from(room);
}

/* False when it cannot be filled in. */
static bool
fill(const struct advice *advice, const char *pattern, struct buf *buf)
{
    str rest = str_from(pattern);
    str before, name;

    while (str_split(rest, '{', &before, &rest) && str_split(rest, '}', &name, &rest)) {
        char room[64];
        str value = value_of(advice, name, room);
        bool quoted = before.len && before.ptr[before.len - 1] == '\'';
        if (!is_plain(value) || (!quoted && !str_eq(name, S("which")) && str_find(value, ' ') >= 0))
            return false;
        buf_add(buf, before);
        buf_add(buf, value);
    }
    buf_add(buf, before);
    return buf_ok(buf);
}

bool
advice_give(enum advice_case which, enum reply_class class, const struct advice *advice,
            struct arena *arena, str *advice_text, str commands[QUEUE_COMMANDS_MAX], size_t *count)
{
    const struct row *row = which == ADVICE_CLASS ? &by_class[class] : &by_case[which];
    bool fits = true;
    struct buf buf;

    *count = 0;
    *advice_text = str_from(row->text);
    buf_init(&buf, COMMAND_SIZE_MAX);
    for (size_t i = 0; i < QUEUE_COMMANDS_MAX && row->commands[i]; i++) {
        buf_clear(&buf);
        if (fill(advice, row->commands[i], &buf))
            fits = fits && arena_copy(arena, buf_str(&buf), &commands[(*count)++]);
    }
    buf_done(&buf);
    return fits;
}
