/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* gates_list.c: the gates for mail of lists: links to leave them, and mail that leaves them.  RFC
 * 2369, RFC 2919, RFC 8058.
 *
 * A message of a list to one recipient gets List-Unsubscribe with a token of its own, before its
 * signature is begun, so that the signature covers it.  One that has such a field already keeps it;
 * one to several recipients gets none, since whoever uses the link of another would unsubscribe
 * him (docs/decisions/0012-unsubscribe.md).  A message to the address that these links name holds
 * such a token; it has done its work when its 250 is said.
 */
#include "accounts/unsubscribe.h"
#include "config/config.h"
#include "delivery/returns/return_address.h"
#include "formats/encoded_word.h"
#include "intake/gates.h"
#include "intake/transaction.h"
#include "runtime/clock.h"
#include "runtime/log.h"
#include "store/events.h"

enum {
    TOKEN_MEMORY_MAX = 64 * 1024,
    SUBJECT_LOOKED_AT = 4096,
    WORDS_TRIED_MAX = 8, /* Each costs a MAC for each key. */
    TOKEN_LETTERS_MIN = 20,
};

enum err
gate_one_recipient(struct intake *intake, struct verdict *verdict)
{
    const struct config_list *list = intake_list(intake);

    /* RFC 5321 4.5.3.1.10: the client sends the rest in another message. */
    if (list && list->one_recipient && intake->envelope.recipient_count >= 1)
        verdict_refuse(verdict, 452, "4.5.3", "One recipient for each message of list %.*s",
                       STR_ARG(list->name));
    return OK;
}

/* --- Links. */

static void
add_links(struct buf *fixed, const struct config_list *list, str token)
{
    bool both = list->unsubscribe_url.len && list->unsubscribe_to.len;

    buf_addf(fixed, "List-Unsubscribe: ");
    if (list->unsubscribe_url.len)
        buf_addf(fixed, "<%.*s%.*s>%s", STR_ARG(list->unsubscribe_url), STR_ARG(token),
                 both ? ",\r\n " : "");
    if (list->unsubscribe_to.len)
        buf_addf(fixed, "<mailto:%.*s?subject=%.*s>", STR_ARG(list->unsubscribe_to),
                 STR_ARG(token));
    buf_addf(fixed, "\r\n");
    if (list->unsubscribe_url.len)
        buf_addf(fixed, "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n");
}

static void
add_unsubscribe(struct intake *intake, const struct config_list *list)
{
    const struct envelope *envelope = &intake->envelope;
    struct unsubscribe what = {
        .scope = intake->peer.account.len ? intake->peer.account : intake->sender.path,
        .list = list->name,
        .recipient = envelope->recipients[0].address,
    };
    struct buf token;

    buf_init(&token, UNSUBSCRIBE_TOKEN_MAX);
    if (unsubscribe_token(intake->services->secrets, &what, envelope->received_at, &token))
        log_warning("a message of list %.*s has no link to leave it: its names are too long",
                    STR_ARG(list->name));
    else
        add_links(&intake->fixed, list, buf_str(&token));
    intake->has_links = token.len > 0;
    buf_done(&token);
}

enum err
gate_list_header(struct intake *intake, struct verdict *verdict)
{
    const struct config_list *list = intake_list(intake);
    struct buf *fixed = &intake->fixed;

    (void)verdict;
    if (!list || !buf_ok(fixed) || !str_ends(buf_str(fixed), S("\r\n")))
        return OK;
    /* Before the empty line. */
    fixed->len -= 2;
    if (list->list_id.len && !intake->facts.list_id.len)
        buf_addf(fixed, "List-Id: <%.*s>\r\n", STR_ARG(list->list_id));
    if ((list->unsubscribe_url.len || list->unsubscribe_to.len) &&
        intake->envelope.recipient_count == 1 && !intake->facts.list_unsubscribe.len &&
        intake->services->secrets)
        add_unsubscribe(intake, list);
    buf_add(fixed, S("\r\n"));
    return OK;
}

/* --- Leaving. */

static bool
is_for_leaving(const struct intake *intake, str address)
{
    return return_kind_of(intake->config, intake->services->accounts, address) ==
           RETURN_UNSUBSCRIBE;
}

/* What stands behind the plus of the address, or else the subject. */
static str
token_of(const struct intake *intake, str address)
{
    ssize_t plus = str_find(address, '+');
    ssize_t at = str_find_last(address, '@');

    if (plus > 0 && at > plus + 1)
        return str_head(str_skip(address, (size_t)plus + 1), (size_t)(at - plus - 1));
    return str_trim(intake->facts.subject_value);
}

/* People write "unsubscribe TOKEN", "Re: TOKEN".  ERR_SYNTAX: no word of LINE is a token. */
static enum err
find_token(const struct intake *intake, str line, struct arena *arena, str *token)
{
    struct unsubscribe what;
    enum err e = ERR_SYNTAX;

    for (unsigned tried = 0; line.len && tried < WORDS_TRIED_MAX;) {
        str rest = S("");
        (void)str_split(str_trim(line), ' ', token, &rest);
        line = rest;
        if (token->len < TOKEN_LETTERS_MIN)
            continue;
        tried++;
        e = unsubscribe_read(intake->services->secrets, *token, clock_now(), arena, &what);
        if (!e || e == ERR_LIMIT)
            return e;
    }
    return e;
}

/* A token that may be long comes in a folded subject, and some programs encode all of it. */
static enum err
keep_token(struct intake *intake, str text)
{
    struct arena arena;
    str line = S(""), token = S("");
    enum err e;

    arena_init(&arena, TOKEN_MEMORY_MAX);
    e = header_unfold(str_head(text, SUBJECT_LOOKED_AT), &arena, &line);
    if (!e)
        e = encoded_word_decode(line, &arena, &line);
    if (!e)
        e = find_token(intake, line, &arena, &token);
    if (!e && !arena_copy(&intake->arena, token, &intake->unsubscribe))
        e = ERR_LIMIT;
    arena_done(&arena);
    return e;
}

/* Whether somebody reads what comes to ADDRESS, token or not. */
static enum err
has_reader(struct intake *intake, str address, bool *reader)
{
    struct resolution resolution;
    enum err e;

    arena_clear(&intake->lookup);
    e = accounts_resolve(intake->services->accounts, &intake->lookup, address, &resolution);
    *reader = !e && resolution.kind != RESOLUTION_UNKNOWN && resolution.kind != RESOLUTION_NOT_OURS;
    return e;
}

enum err
gate_unsubscribe_token(struct intake *intake, struct verdict *verdict)
{
    const struct envelope *envelope = &intake->envelope;
    bool reader;
    enum err e;

    if (!intake->config->list_count)
        return OK;
    for (size_t i = 0; i < envelope->recipient_count; i++) {
        str address = envelope->recipients[i].address;
        if (!is_for_leaving(intake, address))
            continue;
        /* A report is nobody's wish. */
        e = intake->sender.path.len ? keep_token(intake, token_of(intake, address)) : ERR_SYNTAX;
        if (e == ERR_LIMIT)
            return e;
        if (!e || envelope->recipient_count > 1)
            return OK;
        e = has_reader(intake, address, &reader);
        if (!e && !reader)
            verdict_refuse(verdict, 550, "5.7.1",
                           "There is no valid token of a list in the subject of this message");
        return e;
    }
    return OK;
}

enum err
gate_unsubscribe(struct intake *intake, struct verdict *verdict)
{
    struct intake_services *services = intake->services;
    struct unsubscribe what;
    struct event event = { .kind = EVENT_SUPPRESSED,
                           .stage = S("unsubscribe"),
                           .message = intake->envelope.id,
                           .sender = intake->sender.path };
    struct arena arena;
    enum err e;

    (void)verdict;
    if (!intake->unsubscribe.len)
        return OK;
    arena_init(&arena, TOKEN_MEMORY_MAX);
    e = unsubscribe_apply(services->suppression, services->secrets, intake->unsubscribe,
                          UNSUBSCRIBE_MAIL, intake->sender.path, clock_now(), &arena, &what, NULL);
    if (!e) {
        event.recipient = what.recipient;
        event.account = what.scope;
        if (!arena_printf(&arena, &event.text, "left list %.*s by mail", STR_ARG(what.list)))
            event.text = S("by mail");
        events_record(services->events, &event);
    }
    arena_done(&arena);
    return e;
}
