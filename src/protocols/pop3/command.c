/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* command.c: the grammar of POP3: one table of verbs and of the arguments that each takes. */
#include "protocols/pop3/command.h"

#include "base/cursor.h"

enum arguments {
    ARGUMENTS_NONE,
    ARGUMENTS_TEXT, /* One or more words. */
    ARGUMENTS_OPTIONAL_TEXT,
    ARGUMENTS_NUMBER,
    ARGUMENTS_OPTIONAL_NUMBER,
    ARGUMENTS_TWO_NUMBERS,
};

struct verb_row {
    const char *name;
    enum pop3_verb verb;
    enum arguments arguments;
};

/* clang-format off */
static const struct verb_row verbs[] = {
    { "APOP", POP3_APOP, ARGUMENTS_TEXT },
    { "AUTH", POP3_AUTH, ARGUMENTS_OPTIONAL_TEXT },
    { "CAPA", POP3_CAPA, ARGUMENTS_NONE },
    { "DELE", POP3_DELE, ARGUMENTS_NUMBER },
    { "LANG", POP3_LANG, ARGUMENTS_OPTIONAL_TEXT },
    { "LIST", POP3_LIST, ARGUMENTS_OPTIONAL_NUMBER },
    { "NOOP", POP3_NOOP, ARGUMENTS_NONE },
    { "PASS", POP3_PASS, ARGUMENTS_TEXT },
    { "QUIT", POP3_QUIT, ARGUMENTS_NONE },
    { "RETR", POP3_RETR, ARGUMENTS_NUMBER },
    { "RSET", POP3_RSET, ARGUMENTS_NONE },
    { "STAT", POP3_STAT, ARGUMENTS_NONE },
    { "STLS", POP3_STLS, ARGUMENTS_NONE },
    { "TOP",  POP3_TOP,  ARGUMENTS_TWO_NUMBERS },
    { "UIDL", POP3_UIDL, ARGUMENTS_OPTIONAL_NUMBER },
    { "USER", POP3_USER, ARGUMENTS_TEXT },
    { "UTF8", POP3_UTF8, ARGUMENTS_NONE },
    { "GET",  POP3_HTTP, ARGUMENTS_OPTIONAL_TEXT },
    { "POST", POP3_HTTP, ARGUMENTS_OPTIONAL_TEXT },
    { "HEAD", POP3_HTTP, ARGUMENTS_OPTIONAL_TEXT },
    { "OPTIONS", POP3_HTTP, ARGUMENTS_OPTIONAL_TEXT },
};
/* clang-format on */

static const struct verb_row *
find_verb(str name)
{
    for (size_t i = 0; i < COUNT_OF(verbs); i++)
        if (str_eq_nocase(name, str_from(verbs[i].name)))
            return &verbs[i];
    return NULL;
}

static bool
has_control(str s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.ptr[i] < 0x20 || s.ptr[i] == 0x7f)
            return true;
    return false;
}

static bool
read_number(struct cursor *in, uint32_t *number)
{
    uint64_t value;

    if (!str_to_u64(cursor_while(in, ascii_is_digit), &value) || value > UINT32_MAX)
        return false;
    *number = (uint32_t)value;
    return true;
}

static bool
read_arguments(enum arguments arguments, struct pop3_command *command)
{
    struct cursor in;

    cursor_init(&in, command->args);
    switch (arguments) {
    case ARGUMENTS_NONE:
        return command->args.len == 0;
    case ARGUMENTS_TEXT:
        return command->args.len > 0;
    case ARGUMENTS_OPTIONAL_TEXT:
        return true;
    case ARGUMENTS_OPTIONAL_NUMBER:
        if (command->args.len == 0)
            return true;
        break;
    case ARGUMENTS_NUMBER:
    case ARGUMENTS_TWO_NUMBERS:
        break;
    }
    if (!read_number(&in, &command->number) || command->number == 0)
        return false;
    command->has_number = true;
    if (arguments == ARGUMENTS_TWO_NUMBERS) {
        cursor_expect(&in, ' ');
        while (cursor_accept(&in, ' '))
            continue;
        if (!read_number(&in, &command->lines))
            return false;
    }
    return cursor_ok(&in) && cursor_at_end(&in);
}

enum err
pop3_command_parse(str line, struct pop3_command *command)
{
    struct pop3_command result = {};
    const struct verb_row *row;
    bool fits;

    *command = result;
    if (has_control(line) || !str_is_utf8(line))
        return ERR_SYNTAX;
    (void)str_split(line, ' ', &result.name, &result.args);
    row = find_verb(result.name);
    if (row)
        result.verb = row->verb;
    if (result.verb != POP3_PASS) /* RFC 1939 7: blanks may be part of the password. */
        result.args = str_trim(result.args);
    fits = !row || read_arguments(row->arguments, &result);
    *command = result;
    return fits ? OK : ERR_SYNTAX;
}

const char *
pop3_verb_name(enum pop3_verb verb)
{
    if (verb == POP3_HTTP)
        return "HTTP";
    for (size_t i = 0; i < COUNT_OF(verbs); i++)
        if (verbs[i].verb == verb)
            return verbs[i].name;
    return "?";
}

static bool
is_mechanism_byte(char c)
{
    return ascii_is_alnum(c) || c == '-' || c == '_';
}

enum err
pop3_auth_parse(str args, struct pop3_auth *auth)
{
    struct pop3_auth result = {};
    struct cursor in;

    cursor_init(&in, args);
    result.mechanism = cursor_while(&in, is_mechanism_byte);
    if (result.mechanism.len > 20 || (result.mechanism.len == 0 && args.len))
        return ERR_SYNTAX;
    result.has_initial = cursor_accept(&in, ' ');
    result.initial = str_trim(in.rest);
    if (str_find(result.initial, ' ') >= 0 || (result.initial.len > 0) != result.has_initial)
        return ERR_SYNTAX;
    if (str_eq(result.initial, S("=")))
        result.initial.len = 0;
    *auth = result;
    return OK;
}
