/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* sendmail_args.c: one table of letters, and what each does.
 *
 * A word "-tif ann@example.org" is three letters; a letter that takes a value takes the rest of its
 * word, or the next word when nothing is left.  Start reading at sendmail_parse().
 */
#include "cli/sendmail_args.h"

#include <string.h>

enum value_rule {
    VALUE_NONE,
    VALUE_NEEDED,
    VALUE_ATTACHED /* Only in the same word; may be empty. */
};

typedef enum err (*letter_fn)(struct sendmail_args *args, str value, struct why *why);

struct letter {
    char letter;
    enum value_rule value;
    letter_fn set; /* NULL: taken and ignored. */
};

static enum err
set_mode(struct sendmail_args *args, str value, struct why *why)
{
    switch (value.len ? value.ptr[0] : 0) {
    case 'm':
        args->mode = SENDMAIL_SEND;
        return OK;
    case 's':
        args->mode = SENDMAIL_SMTP;
        return OK;
    case 'p':
        args->mode = SENDMAIL_LIST_QUEUE;
        return OK;
    case 'i':
        args->mode = SENDMAIL_ALIASES;
        return OK;
    case 'd':
    case 'D':
    case 'l':
        return err_why(why, ERR_SYNTAX, "-b%c: the server is started by 'outpost serve'",
                       value.ptr[0]);
    case 'v':
    case 't':
        return err_why(why, ERR_SYNTAX, "-b%c: ask 'outpost test route ADDRESS' instead",
                       value.ptr[0]);
    default:
        return err_why(why, ERR_SYNTAX, "-b%.*s: unknown mode", STR_ARG(value));
    }
}

static enum err
set_body(struct sendmail_args *args, str value, struct why *why)
{
    if (str_eq_nocase(value, S("8BITMIME")))
        args->body = BODY_8BITMIME;
    else if (str_eq_nocase(value, S("7BIT")))
        args->body = BODY_7BIT;
    else
        return err_why(why, ERR_SYNTAX, "-B %.*s: 7BIT or 8BITMIME", STR_ARG(value));
    return OK;
}

static enum err
set_from(struct sendmail_args *args, str value, struct why *)
{
    value = str_trim(value);
    if (value.len >= 2 && value.ptr[0] == '<' && value.ptr[value.len - 1] == '>')
        value = str_head(str_skip(value, 1), value.len - 2);
    args->has_from = true;
    args->from = value;
    return OK;
}

static enum err
set_full_name(struct sendmail_args *args, str value, struct why *)
{
    args->full_name = value;
    return OK;
}

static enum err
set_from_headers(struct sendmail_args *args, str, struct why *)
{
    args->from_headers = true;
    return OK;
}

static enum err
set_keep_dots(struct sendmail_args *args, str, struct why *)
{
    args->keep_dots = true;
    return OK;
}

static enum err
set_aliases(struct sendmail_args *args, str, struct why *)
{
    args->mode = SENDMAIL_ALIASES;
    return OK;
}

static enum err
set_flush(struct sendmail_args *args, str value, struct why *why)
{
    if (value.len && ascii_is_digit(value.ptr[0]))
        return err_why(why, ERR_SYNTAX,
                       "-q%.*s: the server tries again by itself; see "
                       "delivery.retry_min",
                       STR_ARG(value));
    args->mode = SENDMAIL_FLUSH;
    args->queue_word = value.len ? value.ptr : "";
    return OK;
}

static enum err
set_notify(struct sendmail_args *args, str value, struct why *why)
{
    static const struct {
        str word;
        uint8_t bit;
    } words[] = { { S("never"), NOTIFY_NEVER },
                  { S("success"), NOTIFY_SUCCESS },
                  { S("failure"), NOTIFY_FAILURE },
                  { S("delay"), NOTIFY_DELAY } };
    uint8_t bits = 0;

    while (value.len) {
        uint8_t bit = 0;
        str word;

        (void)str_split(value, ',', &word, &value);
        for (size_t i = 0; i < COUNT_OF(words); i++)
            if (str_eq_nocase(str_trim(word), words[i].word))
                bit = words[i].bit;
        if (!bit)
            return err_why(why, ERR_SYNTAX, "-N %.*s: never, or success, failure, delay",
                           STR_ARG(word));
        bits |= bit;
    }
    if ((bits & NOTIFY_NEVER) && bits != NOTIFY_NEVER)
        return err_why(why, ERR_SYNTAX, "-N: never stands alone");
    args->notify = bits;
    return OK;
}

static enum err
set_return(struct sendmail_args *args, str value, struct why *why)
{
    if (str_eq_nocase(value, S("full")))
        args->ret = RETURN_FULL;
    else if (str_eq_nocase(value, S("hdrs")))
        args->ret = RETURN_HEADERS;
    else
        return err_why(why, ERR_SYNTAX, "-R %.*s: full or hdrs", STR_ARG(value));
    return OK;
}

static enum err
set_envid(struct sendmail_args *args, str value, struct why *why)
{
    if (!str_is_printable(value) || value.len > 100)
        return err_why(why, ERR_SYNTAX, "-V: at most 100 printable characters");
    args->envid = value;
    return OK;
}

static enum err
set_config(struct sendmail_args *args, str value, struct why *)
{
    args->config = value.ptr;
    return OK;
}

/* -oX: the options of old.  Only -oi means something here. */
static enum err
set_option(struct sendmail_args *args, str value, struct why *)
{
    if (str_starts(value, S("i")))
        args->keep_dots = true;
    return OK;
}

/* -O Name=value: the same with long names. */
static enum err
set_long_option(struct sendmail_args *args, str value, struct why *)
{
    if (str_starts_nocase(value, S("IgnoreDots")))
        args->keep_dots = true;
    if (str_starts_nocase(value, S("RequireTLS")))
        args->require_tls = true;
    return OK;
}

/* clang-format off */
static const struct letter letters[] = {
    { 'A', VALUE_ATTACHED, NULL },            /* -Ac, -Am: which configuration of sendmail. */
    { 'B', VALUE_NEEDED,   set_body },
    { 'b', VALUE_NEEDED,   set_mode },
    { 'C', VALUE_NEEDED,   set_config },
    { 'd', VALUE_ATTACHED, NULL },
    { 'E', VALUE_NONE,     NULL },
    { 'e', VALUE_ATTACHED, NULL },            /* -em: mail errors back, as we do. */
    { 'F', VALUE_NEEDED,   set_full_name },
    { 'f', VALUE_NEEDED,   set_from },
    { 'G', VALUE_NONE,     NULL },
    { 'h', VALUE_NEEDED,   NULL },
    { 'I', VALUE_NONE,     set_aliases },
    { 'i', VALUE_NONE,     set_keep_dots },
    { 'L', VALUE_NEEDED,   NULL },
    { 'm', VALUE_NONE,     NULL },
    { 'N', VALUE_NEEDED,   set_notify },
    { 'n', VALUE_NONE,     NULL },
    { 'O', VALUE_NEEDED,   set_long_option },
    { 'o', VALUE_NEEDED,   set_option },
    { 'p', VALUE_NEEDED,   NULL },
    { 'q', VALUE_ATTACHED, set_flush },
    { 'R', VALUE_NEEDED,   set_return },
    { 'r', VALUE_NEEDED,   set_from },
    { 's', VALUE_NONE,     NULL },
    { 't', VALUE_NONE,     set_from_headers },
    { 'U', VALUE_NONE,     NULL },
    { 'V', VALUE_NEEDED,   set_envid },
    { 'v', VALUE_NONE,     NULL },
    { 'X', VALUE_NEEDED,   NULL },
};
/* clang-format on */

static const struct letter *
find_letter(char letter)
{
    for (size_t i = 0; i < COUNT_OF(letters); i++)
        if (letters[i].letter == letter)
            return &letters[i];
    return NULL;
}

/* One word of flags; NEXT (NULL at the end) may be taken as a value. */
static enum err
parse_word(struct sendmail_args *args, const char *word, const char *next, bool *took_next,
           struct why *why)
{
    *took_next = false;
    for (const char *at = word + 1; *at; at++) {
        const struct letter *letter = find_letter(*at);
        str value = { 0 };
        enum err e;

        if (!letter)
            return err_why(why, ERR_SYNTAX, "%s: unknown flag -%c", word, *at);
        if (letter->value != VALUE_NONE)
            value = str_from(at + 1);
        if (letter->value == VALUE_NEEDED && !value.len) {
            if (!next)
                return err_why(why, ERR_SYNTAX, "-%c needs a value", *at);
            value = str_from(next);
            *took_next = true;
        }
        e = letter->set ? letter->set(args, value, why) : OK;
        if (e)
            return e;
        if (letter->value != VALUE_NONE)
            break;
    }
    return OK;
}

enum err
sendmail_parse(int argc, char **argv, struct arena *arena, struct sendmail_args *args,
               struct why *why)
{
    str name = str_from(argc ? argv[0] : NULL);
    bool took_next;
    int at = 1;

    *args = (struct sendmail_args){ 0 };
    if (argc > SENDMAIL_RECIPIENTS_MAX)
        return err_why(why, ERR_SYNTAX, "more than %d words", SENDMAIL_RECIPIENTS_MAX);
    name = str_skip(name, (size_t)(str_find_last(name, '/') + 1));
    if (str_eq(name, S("mailq")))
        args->mode = SENDMAIL_LIST_QUEUE;
    else if (str_eq(name, S("newaliases")))
        args->mode = SENDMAIL_ALIASES;
    for (; at < argc && argv[at][0] == '-' && argv[at][1]; at++) {
        enum err e;

        if (!strcmp(argv[at], "--")) {
            at++;
            break;
        }
        e = parse_word(args, argv[at], at + 1 < argc ? argv[at + 1] : NULL, &took_next, why);
        if (e)
            return e;
        at += took_next;
    }
    args->recipients = arena_new_array(arena, str, (size_t)(argc - at) + 1);
    if (!args->recipients)
        return err_why(why, ERR_LIMIT, "too many recipients");
    for (; at < argc; at++)
        args->recipients[args->recipient_count++] = str_from(argv[at]);
    return OK;
}
