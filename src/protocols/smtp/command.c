/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* command.c: the grammar of SMTP commands.
 *
 * A line becomes verb and arguments by one table.  MAIL and RCPT share one walk over their
 * parameters: each known keyword is a row with the function that reads its value, a bit in
 * `seen` tells doubled ones.  Start reading at smtp_mail_parse().
 */
#include "protocols/smtp/command.h"

#include "base/cursor.h"
#include "formats/xtext.h"

enum arguments {
    ARGUMENTS_NONE,
    ARGUMENTS_OPTIONAL,
    ARGUMENTS_REQUIRED
};

struct verb_row {
    const char *name;
    enum smtp_verb verb;
    enum arguments arguments;
};

/* clang-format off */
static const struct verb_row verbs[] = {
    { "HELO",     SMTP_HELO,     ARGUMENTS_REQUIRED },
    { "EHLO",     SMTP_EHLO,     ARGUMENTS_REQUIRED },
    { "LHLO",     SMTP_LHLO,     ARGUMENTS_REQUIRED },
    { "MAIL",     SMTP_MAIL,     ARGUMENTS_REQUIRED },
    { "RCPT",     SMTP_RCPT,     ARGUMENTS_REQUIRED },
    { "DATA",     SMTP_DATA,     ARGUMENTS_NONE },
    { "BDAT",     SMTP_BDAT,     ARGUMENTS_REQUIRED },
    { "RSET",     SMTP_RSET,     ARGUMENTS_NONE },
    { "NOOP",     SMTP_NOOP,     ARGUMENTS_OPTIONAL },
    { "QUIT",     SMTP_QUIT,     ARGUMENTS_NONE },
    { "VRFY",     SMTP_VRFY,     ARGUMENTS_REQUIRED },
    { "EXPN",     SMTP_EXPN,     ARGUMENTS_REQUIRED },
    { "HELP",     SMTP_HELP,     ARGUMENTS_OPTIONAL },
    { "STARTTLS", SMTP_STARTTLS, ARGUMENTS_NONE },
    { "AUTH",     SMTP_AUTH,     ARGUMENTS_REQUIRED },
    { "GET",      SMTP_HTTP,     ARGUMENTS_OPTIONAL },
    { "POST",     SMTP_HTTP,     ARGUMENTS_OPTIONAL },
    { "HEAD",     SMTP_HTTP,     ARGUMENTS_OPTIONAL },
    { "PUT",      SMTP_HTTP,     ARGUMENTS_OPTIONAL },
    { "PATCH",    SMTP_HTTP,     ARGUMENTS_OPTIONAL },
    { "DELETE",   SMTP_HTTP,     ARGUMENTS_OPTIONAL },
    { "OPTIONS",  SMTP_HTTP,     ARGUMENTS_OPTIONAL },
    { "CONNECT",  SMTP_HTTP,     ARGUMENTS_OPTIONAL },
    { "TRACE",    SMTP_HTTP,     ARGUMENTS_OPTIONAL },
    { "PRI",      SMTP_HTTP,     ARGUMENTS_OPTIONAL },
    { "HOST:",    SMTP_HTTP,     ARGUMENTS_OPTIONAL },
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

enum err
smtp_command_parse(str line, struct smtp_command *command)
{
    struct smtp_command result = {};
    const struct verb_row *row;

    if (has_control(line) || !str_is_utf8(line))
        return ERR_SYNTAX;
    (void)str_split(line, ' ', &result.name, &result.args);
    result.args = str_trim(result.args);
    row = find_verb(result.name);
    result.verb = row ? row->verb : SMTP_UNKNOWN;
    *command = result;
    return OK;
}

bool
smtp_command_args_fit(const struct smtp_command *command)
{
    const struct verb_row *row = find_verb(command->name);

    if (!row || row->arguments == ARGUMENTS_OPTIONAL)
        return true;
    return (row->arguments == ARGUMENTS_REQUIRED) == (command->args.len > 0);
}

const char *
smtp_verb_name(enum smtp_verb verb)
{
    if (verb == SMTP_HTTP)
        return "HTTP";
    for (size_t i = 0; i < COUNT_OF(verbs); i++)
        if (verbs[i].verb == verb)
            return verbs[i].name;
    return "?";
}

enum err
smtp_helo_parse(str args, str *name, bool *proper)
{
    if (args.len == 0 || args.len > DOMAIN_MAX || str_find(args, ' ') >= 0)
        return ERR_SYNTAX;
    if (!str_is_printable(args) && !domain_is_valid(args))
        return ERR_SYNTAX;
    *proper = domain_is_valid(args) || domain_literal_parse(args, NULL);
    *name = args;
    return OK;
}

/* Parameters. */

static enum err
fault_set(struct smtp_fault *fault, unsigned code, const char *enhanced, const char *text)
{
    *fault = (struct smtp_fault){ code, enhanced, text };
    return ERR_SYNTAX;
}

static enum err
fault_for(enum err e, struct smtp_fault *fault, const char *enhanced, const char *text)
{
    if (e == ERR_LIMIT)
        *fault = (struct smtp_fault){ 452, "4.3.1", "Too much memory for one transaction" };
    else
        *fault = (struct smtp_fault){ 501, enhanced, text };
    return e;
}

/* What the values are read into: of one of the two commands. */
struct parameters {
    struct smtp_mail *mail;
    struct smtp_rcpt *rcpt;
    struct arena *arena;
    struct smtp_fault *fault;
};

static enum err
read_size(struct parameters *p, str value)
{
    if (!str_to_u64(value, &p->mail->size))
        return fault_set(p->fault, 501, "5.5.4", "SIZE= takes a number of at most 20 digits");
    p->mail->has_size = true;
    return OK;
}

static enum err
read_body(struct parameters *p, str value)
{
    if (str_eq_nocase(value, S("7BIT")))
        p->mail->body = SMTP_BODY_7BIT;
    else if (str_eq_nocase(value, S("8BITMIME")))
        p->mail->body = SMTP_BODY_8BITMIME;
    else if (str_eq_nocase(value, S("BINARYMIME")))
        p->mail->body = SMTP_BODY_BINARYMIME;
    else
        return fault_set(p->fault, 501, "5.5.4", "BODY= takes 7BIT or 8BITMIME");
    return OK;
}

static enum err
read_smtputf8(struct parameters *p, str value)
{
    if (value.len)
        return fault_set(p->fault, 501, "5.5.4", "SMTPUTF8 takes no value");
    p->mail->smtputf8 = true;
    return OK;
}

static enum err
read_ret(struct parameters *p, str value)
{
    if (str_eq_nocase(value, S("FULL")))
        p->mail->ret = RETURN_FULL;
    else if (str_eq_nocase(value, S("HDRS")))
        p->mail->ret = RETURN_HEADERS;
    else
        return fault_set(p->fault, 501, "5.5.4", "RET= takes FULL or HDRS");
    return OK;
}

static enum err
read_envid(struct parameters *p, str value)
{
    enum err e;

    if (value.len == 0 || value.len > ENVID_MAX || !xtext_is_printable(value))
        return fault_set(p->fault, 501, "5.5.4", "ENVID= takes at most 100 bytes of xtext");
    e = xtext_decode(value, p->arena, &p->mail->envid);
    return e ? fault_for(e, p->fault, NULL, NULL) : OK;
}

/* RFC 4954 5: a mailbox in xtext, or "<>". */
static enum err
read_auth(struct parameters *p, str value)
{
    const char *text = "AUTH= takes an address in xtext, or <>";
    str decoded;
    enum err e;

    p->mail->has_auth = true;
    if (str_eq(value, S("<>")))
        return OK;
    e = xtext_decode(value, p->arena, &decoded);
    if (e)
        return fault_for(e, p->fault, "5.5.4", text);
    e = address_parse(decoded, p->arena, &p->mail->auth);
    return e ? fault_for(e, p->fault, "5.5.4", text) : OK;
}

static enum err
read_priority(struct parameters *p, str value)
{
    if (!smtp_priority_parse(value, &p->mail->priority))
        return fault_set(p->fault, 501, "5.5.4", "MT-PRIORITY= takes -9 to 9");
    p->mail->has_priority = true;
    return OK;
}

static enum err
read_by(struct parameters *p, str value)
{
    if (!smtp_deliver_by_parse(value, &p->mail->by))
        return fault_set(p->fault, 501, "5.5.4",
                         "BY= takes seconds, \";\", and R (with a positive time) or N, and T");
    return OK;
}

/* RFC 4865: one of the two keywords, not both. */
static enum err
read_hold(struct parameters *p, bool is_read)
{
    if (!is_read)
        return fault_set(p->fault, 501, "5.5.4",
                         "HOLDFOR= takes 1 to 999999999 seconds, HOLDUNTIL= a time as RFC 3339");
    if (p->mail->hold_for && p->mail->hold_until)
        return fault_set(p->fault, 501, "5.5.4", "HOLDFOR= and HOLDUNTIL= exclude each other");
    return OK;
}

static enum err
read_hold_for(struct parameters *p, str value)
{
    return read_hold(p, smtp_hold_for_parse(value, &p->mail->hold_for));
}

static enum err
read_hold_until(struct parameters *p, str value)
{
    return read_hold(p, smtp_hold_until_parse(value, &p->mail->hold_until));
}

static enum err
read_require_tls(struct parameters *p, str value)
{
    (void)value;
    p->mail->require_tls = true;
    return OK;
}

static unsigned
notify_bit(str word)
{
    /* clang-format off */
    return str_eq_nocase(word, S("NEVER"))   ? NOTIFY_NEVER
         : str_eq_nocase(word, S("SUCCESS")) ? NOTIFY_SUCCESS
         : str_eq_nocase(word, S("FAILURE")) ? NOTIFY_FAILURE
         : str_eq_nocase(word, S("DELAY"))   ? NOTIFY_DELAY
                                             : 0;
    /* clang-format on */
}

static enum err
read_notify(struct parameters *p, str value)
{
    unsigned all = 0;
    bool more;

    do {
        str word;
        unsigned bit;

        more = str_split(value, ',', &word, &value);
        bit = notify_bit(word);
        if (!bit || (all & bit))
            return fault_set(p->fault, 501, "5.5.4",
                             "NOTIFY= takes NEVER, or SUCCESS, FAILURE, DELAY");
        all |= bit;
    } while (more);
    if ((all & NOTIFY_NEVER) && all != NOTIFY_NEVER)
        return fault_set(p->fault, 501, "5.5.4", "NOTIFY=NEVER stands alone");
    p->rcpt->notify = (uint8_t)all;
    return OK;
}

static enum err
read_orcpt(struct parameters *p, str value)
{
    str type, address;
    enum err e = orcpt_parse(value, p->arena, &type, &address);

    if (e)
        return fault_for(e, p->fault, "5.5.4",
                         "ORCPT= takes a type, \";\" and an address in xtext");
    if (!arena_printf(p->arena, &p->rcpt->orcpt, "%.*s;%.*s", STR_ARG(type), STR_ARG(address)))
        return fault_for(ERR_LIMIT, p->fault, NULL, NULL);
    return OK;
}

struct parameter_row {
    const char *keyword;
    bool of_mail;
    bool needs_value;
    enum err (*read)(struct parameters *p, str value);
};

/* clang-format off */
static const struct parameter_row parameter_rows[] = {
    { "SIZE",        true,  true,  read_size },
    { "BODY",        true,  true,  read_body },
    { "SMTPUTF8",    true,  false, read_smtputf8 },
    { "RET",         true,  true,  read_ret },
    { "ENVID",       true,  true,  read_envid },
    { "AUTH",        true,  true,  read_auth },
    { "MT-PRIORITY", true,  true,  read_priority },
    { "BY",          true,  true,  read_by },
    { "HOLDFOR",     true,  true,  read_hold_for },
    { "HOLDUNTIL",   true,  true,  read_hold_until },
    { "REQUIRETLS",  true,  false, read_require_tls },
    { "NOTIFY",      false, true,  read_notify },
    { "ORCPT",       false, true,  read_orcpt },
};
/* clang-format on */

static bool
is_keyword_byte(char c)
{
    return ascii_is_alnum(c) || c == '-';
}

/* RFC 5321 4.1.2 esmtp-value, with the UTF-8 of RFC 6531 3.3. */
static bool
is_value_byte(char c)
{
    return (unsigned char)c > 0x20 && c != '=' && c != 0x7f;
}

static enum err
read_parameter(struct parameters *p, str keyword, bool has_value, str value, unsigned *seen)
{
    for (size_t i = 0; i < COUNT_OF(parameter_rows); i++) {
        const struct parameter_row *row = &parameter_rows[i];

        if (row->of_mail != (p->mail != NULL) || !str_eq_nocase(keyword, str_from(row->keyword)))
            continue;
        if (*seen & 1U << i)
            return fault_set(p->fault, 501, "5.5.4", "A parameter stands there twice");
        if (row->needs_value != has_value)
            return fault_set(p->fault, 501, "5.5.4", "A parameter has no value, or one too many");
        *seen |= 1U << i;
        return row->read(p, value);
    }
    return fault_set(p->fault, 555, "5.5.4", "A parameter is not known here");
}

/* " SIZE=1000 SMTPUTF8": what stands behind the path. */
static enum err
read_parameters(struct parameters *p, str text, bool *any)
{
    struct cursor in;
    unsigned seen = 0;

    cursor_init(&in, text);
    for (;;) {
        str keyword, value = {};
        bool has_value;
        enum err e;

        while (cursor_accept(&in, ' '))
            continue;
        if (cursor_at_end(&in))
            return OK;
        keyword = cursor_while(&in, is_keyword_byte);
        has_value = cursor_accept(&in, '=');
        if (has_value)
            value = cursor_while(&in, is_value_byte);
        if (keyword.len == 0 || keyword.ptr[0] == '-' ||
            (!cursor_at_end(&in) && cursor_peek(&in) != ' '))
            return fault_set(p->fault, 501, "5.5.4", "A parameter is not well-formed");
        *any = true;
        e = read_parameter(p, keyword, has_value, value, &seen);
        if (e)
            return e;
    }
}

/* "FROM:" or "TO:", and the path behind it. */
static enum err
read_path(str args, str word, enum address_path kind, struct arena *arena, struct address *address,
          str *rest, struct smtp_fault *fault)
{
    bool is_sender = kind == ADDRESS_REVERSE_PATH;
    struct cursor in;
    enum err e;

    cursor_init(&in, args);
    if (!cursor_accept_nocase(&in, word))
        return fault_set(fault, 501, "5.5.4",
                         is_sender ? "It is MAIL FROM:<address>" : "It is RCPT TO:<address>");
    while (cursor_accept(&in, ' '))
        continue;
    e = address_parse_path(in.rest, kind, arena, address, rest);
    if (e)
        return fault_for(e, fault, is_sender ? "5.1.7" : "5.1.3",
                         "That is not a mail address in angle brackets");
    return OK;
}

static enum err
fault_international(struct smtp_fault *fault)
{
    return fault_set(fault, 553, "5.6.7", "An international address needs SMTPUTF8");
}

enum err
smtp_mail_parse(str args, struct arena *arena, struct smtp_mail *mail, struct smtp_fault *fault)
{
    struct smtp_mail result = {};
    struct parameters p = { .mail = &result, .arena = arena, .fault = fault };
    str rest;
    enum err e;

    e = read_path(args, S("FROM:"), ADDRESS_REVERSE_PATH, arena, &result.from, &rest, fault);
    if (e)
        return e;
    e = read_parameters(&p, rest, &result.has_parameters);
    if (e)
        return e;
    if ((result.from.is_utf8 || result.auth.is_utf8) && !result.smtputf8)
        return fault_international(fault);
    *mail = result;
    return OK;
}

enum err
smtp_rcpt_parse(str args, bool smtputf8, struct arena *arena, struct smtp_rcpt *rcpt,
                struct smtp_fault *fault)
{
    struct smtp_rcpt result = {};
    struct parameters p = { .rcpt = &result, .arena = arena, .fault = fault };
    str rest;
    enum err e;

    e = read_path(args, S("TO:"), ADDRESS_FORWARD_PATH, arena, &result.to, &rest, fault);
    if (e)
        return e;
    e = read_parameters(&p, rest, &result.has_parameters);
    if (e)
        return e;
    if ((result.to.is_utf8 || !str_is_ascii(result.orcpt)) && !smtputf8)
        return fault_international(fault);
    *rcpt = result;
    return OK;
}

enum err
smtp_bdat_parse(str args, struct smtp_bdat *bdat)
{
    struct smtp_bdat result = {};
    str size, last;
    bool has_more = str_split(args, ' ', &size, &last);

    if (!str_to_u64(size, &result.size) || result.size > SMTP_BDAT_SIZE_MAX)
        return ERR_SYNTAX;
    if (has_more && !str_eq_nocase(str_trim(last), S("LAST")))
        return ERR_SYNTAX;
    result.last = has_more;
    *bdat = result;
    return OK;
}

static bool
is_mechanism_byte(char c)
{
    return ascii_is_alnum(c) || c == '-' || c == '_';
}

enum err
smtp_auth_parse(str args, struct smtp_auth *auth)
{
    struct smtp_auth result = {};
    struct cursor in;

    cursor_init(&in, args);
    result.mechanism = cursor_while(&in, is_mechanism_byte);
    if (result.mechanism.len == 0 || result.mechanism.len > 20)
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
