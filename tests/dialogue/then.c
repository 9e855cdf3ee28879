/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* then.c: what must hold at a point of a dialogue: the queue, mailboxes, messages, events. */
#include "stage.h"

#include "accounts/account.h"
#include "base/must.h"
#include "intake/intake.h"
#include "ops/server.h"
#include "runtime/fiber.h"
#include "store/events.h"
#include "store/mailbox.h"
#include "store/spool.h"
#include "world.h"

#include <stdio.h>
#include <string.h>

enum {
    MESSAGE_MAX = 64 * 1024 * 1024,
    JSON_MAX = 64 * 1024
};
/* A thing that takes time is looked at again for so many seconds of virtual time. */
enum {
    LOOKS = 60
};

static bool
take_word(str *text, str word)
{
    if (!str_starts(*text, word))
        return false;
    *text = str_trim(str_skip(*text, word.len));
    return true;
}

static bool
take_number(str *text, uint64_t *number)
{
    str word, rest = { 0 };

    str_split(*text, ' ', &word, &rest);
    if (!str_to_u64(word, number))
        return false;
    *text = str_trim(rest);
    return true;
}

static enum err
check_queue(struct stage *stage, str text, struct why *why)
{
    struct spool_stats stats = { 0 };
    uint64_t wanted = 0;
    enum err e;

    if (take_word(&text, S("has ")) && !take_number(&text, &wanted))
        return err_why(why, ERR_SYNTAX, "the queue has NUMBER | is empty");
    for (unsigned i = 0; i < LOOKS; i++) {
        world_settle();
        e = spool_sync(server_spool(stage->server));
        if (e)
            return err_why(why, e, "the spool cannot be written");
        spool_stats(server_spool(stage->server), &stats);
        if (stats.messages == wanted)
            return OK;
        world_look_again();
    }
    return err_why(why, ERR_REFUSED, "the queue has %llu", (unsigned long long)stats.messages);
}

static enum err
open_mailbox(struct stage *stage, str name, struct mailbox **mailbox, struct why *why)
{
    struct password_secret secret;
    struct buf address;
    bool disabled;
    int64_t id;
    enum err e;

    buf_init(&address, 400);
    stage_address(stage, name, &address);
    e = accounts_get_secret(server_accounts(stage->server), buf_str(&address), &id, &disabled,
                            &secret);
    buf_done(&address);
    if (e)
        return err_why(why, e, "no account %.*s", STR_ARG(name));
    return mailbox_open(server_services(stage->server)->mailboxes, id, mailbox, why);
}

static enum err
check_mailbox(struct stage *stage, str text, struct why *why)
{
    struct mailbox_usage usage = { 0 };
    OWN(mailbox) mailbox = NULL;
    uint64_t wanted;
    str name, rest = { 0 };
    enum err e;

    str_split(text, ' ', &name, &rest);
    if (!take_word(&rest, S("has ")) || !take_number(&rest, &wanted))
        return err_why(why, ERR_SYNTAX, "mailbox NAME has NUMBER");
    e = open_mailbox(stage, name, &mailbox, why);
    for (unsigned i = 0; i < LOOKS && !e; i++) {
        world_settle();
        e = mailbox_usage(mailbox, &usage);
        if (!e && usage.messages == wanted)
            return OK;
        world_look_again();
    }
    return e ? e : err_why(why, ERR_REFUSED, "it has %llu", (unsigned long long)usage.messages);
}

static enum err
read_message(struct mailbox *mailbox, uint64_t number, struct buf *message)
{
    struct mailbox_list list = { 0 };
    size_t got = 1;
    enum err e;

    e = mailbox_list(mailbox, S(""), &list);
    if (!e && (!number || number > list.count))
        e = ERR_NOT_FOUND;
    while (!e && got) {
        char *room = buf_reserve(message, MAILBOX_CHUNK);

        if (!room) {
            e = ERR_LIMIT;
            break;
        }
        e = mailbox_read(mailbox, list.messages[number - 1].uid, message->len, room, MAILBOX_CHUNK,
                         &got);
        if (!e)
            buf_claim(message, got);
    }
    mailbox_list_done(&list);
    return e;
}

static enum err
judge_message(struct stage *stage, str message, str text, struct why *why)
{
    bool lacks = take_word(&text, S("lacks "));
    struct buf wanted;
    bool found, is_list;
    enum err e = OK;

    is_list = take_word(&text, S("has "));
    (void)is_list;
    buf_init(&wanted, 1 << 20);
    if (!pattern_expand(text, &stage->captures, &wanted))
        e = err_why(why, ERR_SYNTAX, "a mistake in the text");
    found = str_find_str(message, buf_str(&wanted)) >= 0;
    if (!e && found == lacks)
        e = err_why(why, ERR_REFUSED, "it %s that: %.*s", lacks ? "has" : "lacks",
                    STR_ARG(str_head(message, 200)));
    buf_done(&wanted);
    return e;
}

/* "1 of ann has TEXT" */
static enum err
check_message(struct stage *stage, str text, struct why *why)
{
    OWN(mailbox) mailbox = NULL;
    struct buf message;
    uint64_t number;
    str name, rest = { 0 };
    enum err e;

    if (!take_number(&text, &number) || !take_word(&text, S("of ")))
        return err_why(why, ERR_SYNTAX, "message NUMBER of NAME has|lacks TEXT");
    str_split(text, ' ', &name, &rest);
    e = open_mailbox(stage, name, &mailbox, why);
    if (e)
        return e;
    buf_init(&message, MESSAGE_MAX);
    e = read_message(mailbox, number, &message);
    if (e)
        e = err_why(why, e, "cannot read it: %s", err_name(e));
    else
        e = judge_message(stage, buf_str(&message), str_trim(rest), why);
    buf_done(&message);
    return e;
}

struct event_search {
    struct stage *stage;
    str wanted; /* "code=550, text=..." */
    bool found;
    struct buf last; /* JSON of the last one that did not fit. */
};

/* Whether JSON has "key":"value" or "key":value. */
static bool
json_has(str json, str pair)
{
    char text[400];
    str key, value;

    if (!str_split(pair, '=', &key, &value))
        return false;
    snprintf(text, sizeof(text), "\"%.*s\":\"%.*s\"", STR_ARG(key), STR_ARG(value));
    if (str_find_str(json, str_from(text)) >= 0)
        return true;
    snprintf(text, sizeof(text), "\"%.*s\":%.*s", STR_ARG(key), STR_ARG(value));
    return str_find_str(json, str_from(text)) >= 0;
}

static bool
look_at_event(void *arg, const struct event *event)
{
    struct event_search *search = arg;
    str rest = search->wanted, pair;
    bool fits = true;

    buf_clear(&search->last);
    event_to_json(event, &search->last);
    while (rest.len && fits) {
        str tail = { 0 };

        str_split(rest, ',', &pair, &tail);
        rest = str_trim(tail);
        fits = json_has(buf_str(&search->last), str_trim(pair));
    }
    search->found = search->found || fits;
    return !search->found;
}

/* "rejected has code=550", "no event rejected" came here as wanted = false. */
static enum err
check_event(struct stage *stage, str text, bool wanted, struct why *why)
{
    struct events *events = server_events(stage->server);
    struct event_search search = { .stage = stage };
    struct events_query query = { .oldest_first = true };
    struct buf pairs;
    str kind, rest = { 0 };
    enum err e = OK;

    str_split(text, ' ', &kind, &rest);
    if (!event_kind_parse(kind, &query.kind))
        return err_why(why, ERR_SYNTAX, "no such kind of event");
    take_word(&rest, S("has "));
    buf_init(&pairs, JSON_MAX);
    if (!pattern_expand(str_trim(rest), &stage->captures, &pairs))
        e = err_why(why, ERR_SYNTAX, "a mistake in the fields");
    search.wanted = buf_str(&pairs);
    buf_init(&search.last, JSON_MAX);
    world_settle();
    for (unsigned i = 0; i < (wanted ? LOOKS : 1u) && !e && !search.found; i++) {
        if (i)
            world_look_again();
        e = events_flush(events);
        if (!e)
            e = events_find(events, &query, look_at_event, &search);
    }
    if (!e && search.found != wanted)
        e = err_why(why, ERR_REFUSED, "%s; the last: %.*s",
                    wanted ? "no such event" : "there is one",
                    STR_ARG(str_head(buf_str(&search.last), 180)));
    buf_done(&search.last);
    buf_done(&pairs);
    return e;
}

enum err
then_check(struct stage *stage, str text, struct why *why)
{
    if (take_word(&text, S("the queue ")))
        return check_queue(stage, text, why);
    if (take_word(&text, S("mailbox ")))
        return check_mailbox(stage, text, why);
    if (take_word(&text, S("message ")))
        return check_message(stage, text, why);
    if (take_word(&text, S("event ")))
        return check_event(stage, text, true, why);
    if (take_word(&text, S("no event ")))
        return check_event(stage, text, false, why);
    return err_why(why, ERR_SYNTAX, "unknown: then %.*s", STR_ARG(text));
}
