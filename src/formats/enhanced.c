/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* enhanced.c: the three numbers of RFC 3463, and the registered meanings in plain words. */
#include "formats/enhanced.h"

#include "base/cursor.h"

#include <stdio.h>

struct meaning {
    uint8_t class; /* 0: any. */
    uint16_t subject;
    uint16_t detail;
    const char *text;
};

/* The first that fits counts.  Detail 0 stands for every detail of its subject. */
/* clang-format off */
static const struct meaning meanings[] = {
    { 5, 1, 1, "there is no such mailbox" },
    { 5, 1, 2, "there is no such domain, or it takes no mail" },
    { 5, 1, 3, "the address is not well-formed" },
    { 0, 1, 6, "the mailbox has moved" },
    { 0, 1, 7, "the sender's address is not well-formed" },
    { 0, 1, 8, "the sender's address is refused" },
    { 0, 1, 10, "the domain says that it takes no mail" },
    { 0, 1, 0, "there is something wrong with the address" },
    { 0, 2, 1, "the mailbox is disabled" },
    { 0, 2, 2, "the mailbox is full" },
    { 0, 2, 3, "the message is too large for the mailbox" },
    { 0, 2, 0, "the mailbox cannot take the message" },
    { 0, 3, 1, "the mail system has no space left" },
    { 0, 3, 2, "the mail system takes no messages at present" },
    { 0, 3, 4, "the message is too large" },
    { 0, 3, 0, "the mail system has a problem" },
    { 0, 4, 1, "the mail server does not answer" },
    { 0, 4, 2, "the connection was lost" },
    { 0, 4, 3, "the names of the domain cannot be looked up" },
    { 0, 4, 4, "there is no way to the mail server" },
    { 0, 4, 5, "the mail system is too busy" },
    { 0, 4, 6, "the message goes round in a loop" },
    { 0, 4, 7, "the time for delivery is over" },
    { 0, 4, 0, "the network or the routing has a problem" },
    { 0, 5, 3, "there are too many recipients" },
    { 0, 5, 0, "the two mail servers do not understand each other" },
    { 0, 6, 7, "the address needs international mail (SMTPUTF8), which the next server lacks" },
    { 0, 6, 0, "the content of the message is not accepted" },
    { 0, 7, 4, "security that was demanded is not available" },
    { 0, 7, 8, "the login was not accepted" },
    { 0, 7, 10, "encryption is needed, and is not available" },
    { 0, 7, 30, "its sender demanded secure delivery (REQUIRETLS), which cannot be had on the way" },
    { 0, 7, 20, "the message has no valid signature (DKIM)" },
    { 0, 7, 23, "the sender's domain does not allow the sending server (SPF)" },
    { 0, 7, 25, "the sending server has no proper name in the DNS" },
    { 0, 7, 26, "the message failed the checks of its sender's domain" },
    { 0, 7, 0, "a rule of the receiving side forbids it" },
};
/* clang-format on */

/* One to three digits, without zeros in front. */
static bool
read_number(struct cursor *in, uint16_t *value)
{
    str digits = cursor_while(in, ascii_is_digit);
    uint64_t number;

    if (digits.len > 3 || !str_to_u64(digits, &number) || (digits.len > 1 && digits.ptr[0] == '0'))
        return false;
    *value = (uint16_t)number;
    return true;
}

bool
enhanced_parse(str text, struct enhanced *code, str *rest)
{
    struct enhanced result = {};
    struct cursor in;
    char class = text.len ? text.ptr[0] : 0;

    if (class != '2' && class != '4' && class != '5')
        return false;
    cursor_init(&in, str_skip(text, 1));
    result.class = (uint8_t)(class - '0');
    if (!cursor_accept(&in, '.') || !read_number(&in, &result.subject) ||
        !cursor_accept(&in, '.') || !read_number(&in, &result.detail))
        return false;
    if (!cursor_at_end(&in) && cursor_peek(&in) != ' ')
        return false;
    *code = result;
    if (rest)
        *rest = str_trim(in.rest);
    return true;
}

void
enhanced_format(const struct enhanced *code, unsigned reply_code, char text[ENHANCED_TEXT_MAX])
{
    unsigned class = reply_code / 100;

    if (code->class)
        snprintf(text, ENHANCED_TEXT_MAX, "%u.%u.%u", code->class % 10U, code->subject % 1000U,
                 code->detail % 1000U);
    else
        snprintf(text, ENHANCED_TEXT_MAX, "%u.0.0", class == 2 || class == 4 ? class : 5);
}

const char *
enhanced_meaning(const struct enhanced *code)
{
    for (size_t i = 0; i < COUNT_OF(meanings); i++) {
        const struct meaning *m = &meanings[i];

        if ((!m->class || m->class == code->class) && m->subject == code->subject &&
            (!m->detail || m->detail == code->detail))
            return m->text;
    }
    return code->class == 4 ? "the receiving side cannot take it at present"
                            : "the receiving side does not take it";
}

const char *
enhanced_meaning_said(const struct enhanced *code, str said)
{
    static const struct enhanced unknown = { 5, 1, 1 };

    if (code->class == 5 && code->subject == 1 && code->detail == 10 &&
        str_find_nocase(said, S("RecipientNotFound")) >= 0)
        return enhanced_meaning(&unknown);
    return enhanced_meaning(code);
}
