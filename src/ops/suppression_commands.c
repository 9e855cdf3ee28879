/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* suppression_commands.c: the suppression list for operators: to enter, lift, list.
 *
 * A request holds a batch of entries, so that a file of many thousands goes over in pieces, each
 * durable when it is answered; what is wrong with one of them is told in a row and keeps none of
 * the others out.  The table at the end names the commands and the arguments that they read.
 */
#include "accounts/account.h"
#include "accounts/suppression.h"
#include "accounts/unsubscribe.h"

#include "formats/date.h"
#include "ops/control_call.h"
#include "runtime/clock.h"
#include "store/events.h"

#include <stdio.h>

enum {
    COUNT_SAMPLES = 3
};

/* --- Entering. */

struct batch {
    struct suppression_entry *entries;
    size_t count;
    size_t wrong;
};

static enum err
read_time(str text, instant *time, struct why *why)
{
    uint64_t seconds;

    *time = 0;
    if (!text.len || date_parse_rfc3339(text, time) == OK)
        return OK;
    if (!str_to_u64(text, &seconds) || seconds > (uint64_t)(INT64_MAX / SECONDS(1)))
        return err_why(why, ERR_SYNTAX, "\"%.*s\" is no time; write 2026-11-27T18:00:00Z",
                       STR_ARG(str_head(text, 60)));
    *time = SECONDS((int64_t)seconds);
    return OK;
}

/* A member of the entry, or the one that holds for the whole batch. */
static str
member(const struct control_call *call, const struct json *item, const char *name,
       const char *for_all)
{
    str own = json_get_text(item, name);

    return own.len ? own : json_get_text(call->args, for_all);
}

/* An address at a domain of ours that nobody has sends nothing; senders elsewhere may. */
static enum err
check_scope(struct control_call *call, str scope, struct why *why)
{
    struct resolution found;
    enum err e;

    if (!scope.len || scope.ptr[0] == '@')
        return OK;
    e = accounts_resolve(call->context->accounts, &call->arena, scope, &found);
    if (!e && found.kind == RESOLUTION_UNKNOWN)
        e = err_why(why, ERR_NOT_FOUND, "there is no account %.*s", STR_ARG(str_head(scope, 100)));
    return e;
}

static enum err
read_entry(struct control_call *call, const struct json *item, instant now,
           struct suppression_entry *entry, struct why *why)
{
    str reason = member(call, item, "reason", "kind");
    str scope = member(call, item, "account", "account");
    int64_t time = json_get_int(call->args, "for_ms");
    enum err e = OK;

    *entry = (struct suppression_entry){
        .address = json_get_text(item, "address"),
        .scope = str_eq(scope, S("all")) ? S("") : scope,
        .reason = SUPPRESSION_MANUAL,
        .list = member(call, item, "list", "list"),
        .note = member(call, item, "note", "reason"),
        .source = json_get_text(item, "source"),
        .message = json_get_text(item, "message"),
    };
    if (!entry->source.len)
        entry->source = call->actor.len ? call->actor : S("unknown");
    if (reason.len && !suppression_reason_parse(reason, &entry->reason))
        return err_why(why, ERR_SYNTAX,
                       "\"%.*s\" is no reason; these are bounce, complaint, "
                       "unsubscribe and manual",
                       STR_ARG(str_head(reason, 40)));
    e = read_time(json_get_text(item, "created"), &entry->created, why);
    if (!e)
        e = read_time(json_get_text(item, "expires"), &entry->expires, why);
    if (!entry->created)
        entry->created = now;
    if (!e && !entry->expires && time > 0 && time < DAYS(36500) / MILLISECONDS(1))
        entry->expires = now + MILLISECONDS(time);
    if (!e)
        e = check_scope(call, entry->scope, why);
    return e ? e : suppression_examine(entry, why);
}

/* What is wrong with one line of a file, which may have its number. */
WAITS static enum err
tell_wrong(struct control_call *call, const struct json *item, const struct why *why)
{
    struct json_writer *row = control_row(call);

    json_put_text(row, "address", json_get_text(item, "address"));
    json_put_int(row, "line", json_get_int(item, "line"));
    json_put_text(row, "error", str_from(why->text));
    return control_row_end(call);
}

WAITS static enum err
read_batch(struct control_call *call, struct batch *batch)
{
    const struct json *items = json_get(call->args, "entries");
    instant now = clock_now();
    size_t count = 0;
    enum err e = OK;

    *batch = (struct batch){ 0 };
    for (const struct json *at = items ? items->first : NULL; at; at = at->next)
        count++;
    if (count == 0 || count > SUPPRESSION_AT_ONCE)
        return control_fail(call, ERR_SYNTAX, "bad_batch", "see 'outpost help suppression'",
                            "a request has 1 to %d entries", SUPPRESSION_AT_ONCE);
    batch->entries = arena_new_array(&call->arena, struct suppression_entry, count);
    if (!batch->entries)
        return control_failed(call, ERR_LIMIT);
    for (const struct json *at = items->first; at && !e; at = at->next) {
        struct why why = { "" };
        if (read_entry(call, at, now, &batch->entries[batch->count], &why) == OK) {
            batch->count++;
            continue;
        }
        batch->wrong++;
        e = tell_wrong(call, at, &why);
    }
    return e;
}

static void
record_change(const struct control_call *call, const char *done, size_t count, str address)
{
    char text[200];
    struct event event = { .kind = EVENT_ADMIN,
                           .actor = call->actor,
                           .reason = json_get_text(call->args, "reason"),
                           .recipient = count == 1 ? address : S("") };

    (void)snprintf(text, sizeof(text), "suppression list: %zu %s", count, done);
    event.text = str_from(text);
    if (call->context->events)
        events_record(call->context->events, &event);
}

WAITS static enum err
run_add(struct control_call *call)
{
    bool dry = json_get_bool(call->args, "dry_run");
    struct batch batch;
    enum err e = read_batch(call, &batch);

    if (e)
        return e;
    if (!dry && batch.count) {
        e = suppression_add(call->context->suppression, batch.entries, batch.count, &call->why);
        if (e)
            return control_failed(call, e);
        record_change(call, "entered", batch.count, batch.entries[0].address);
    }
    json_put_int(&call->answer, "entered", (int64_t)batch.count);
    json_put_int(&call->answer, "wrong", (int64_t)batch.wrong);
    control_say(call, "%zu %s%s", batch.count, dry ? "would be entered" : "entered",
                dry ? " (not done: --dry-run)" : "");
    return OK;
}

/* --- Listing. */

static void
put_entry(struct json_writer *row, const struct suppression_entry *entry)
{
    json_put_int(row, "id", entry->id);
    json_put_text(row, "address", entry->address);
    json_put_text(row, "account", entry->scope.len ? entry->scope : S("all"));
    json_put_text(row, "reason", str_from(suppression_reason_name(entry->reason)));
    if (entry->list.len)
        json_put_text(row, "list", entry->list);
    json_put_text(row, "note", entry->note);
    json_put_text(row, "source", entry->source);
    json_put_time(row, "created", entry->created);
    if (entry->expires)
        json_put_time(row, "expires", entry->expires);
    if (entry->message.len)
        json_put_text(row, "message", entry->message);
    if (entry->count)
        json_put_int(row, "refusals", entry->count);
    json_put_text(row, "state", entry->in_force ? S("in force") : S("remembered"));
}

WAITS static enum err
emit_entry(void *arg, const struct suppression_entry *entry)
{
    struct control_call *call = arg;

    put_entry(control_row(call), entry);
    return control_row_end(call);
}

static enum err
read_query(struct control_call *call, struct suppression_query *query)
{
    enum err e = suppression_query_parse(json_get_text(call->args, "query"), &call->arena, query,
                                         &call->why);

    if (!e)
        return OK;
    call->code = "bad_query";
    (void)snprintf(call->cure, sizeof(call->cure), "see 'outpost help suppression'");
    return e;
}

WAITS static enum err
run_list(struct control_call *call)
{
    int64_t max = json_get_int(call->args, "max");
    struct suppression_query query;
    bool more = false;
    enum err e = read_query(call, &query);

    if (e)
        return e;
    e = suppression_each(call->context->suppression, &query, clock_now(), max > 0 ? (size_t)max : 0,
                         emit_entry, call, &more, &call->why);
    if (e)
        return call->code ? e : control_failed(call, e);
    json_put_bool(&call->answer, "more", more);
    return OK;
}

/* All that concerns one address: entries of its domain, and what is only remembered, too. */
WAITS static enum err
run_show(struct control_call *call)
{
    struct suppression_query query;
    ssize_t at;
    bool more;
    enum err e = read_query(call, &query);

    if (!e && !query.address.len)
        return control_fail(call, ERR_SYNTAX, "bad_query", "name a mail address, or @domain",
                            "which address?");
    if (e)
        return e;
    query.remembered = true;
    e = suppression_each(call->context->suppression, &query, clock_now(), 0, emit_entry, call,
                         &more, &call->why);
    at = str_find_last(query.address, '@');
    if (!e && at > 0) {
        query.address = str_skip(query.address, (size_t)at);
        e = suppression_each(call->context->suppression, &query, clock_now(), 0, emit_entry, call,
                             &more, &call->why);
    }
    if (e)
        return call->code ? e : control_failed(call, e);
    return OK;
}

/* --- Lifting. */

struct lifting {
    struct control_call *call;
    int64_t ids[SUPPRESSION_AT_ONCE];
    size_t count; /* In IDS. */
    uint64_t found;
    uint64_t lifted;
    bool dry;
    bool samples;
};

WAITS static enum err
lift(struct lifting *lifting)
{
    size_t count = 0;
    enum err e = suppression_remove(lifting->call->context->suppression, lifting->ids,
                                    lifting->count, &count, &lifting->call->why);

    lifting->count = 0;
    lifting->lifted += count;
    if (e)
        return control_failed(lifting->call, e);
    return control_progress(lifting->call, lifting->lifted, lifting->lifted);
}

WAITS static enum err
lift_entry(void *arg, const struct suppression_entry *entry)
{
    struct lifting *lifting = arg;

    lifting->found++;
    if (lifting->dry)
        return lifting->samples && lifting->found <= COUNT_SAMPLES
                   ? emit_entry(lifting->call, entry)
                   : OK;
    lifting->ids[lifting->count++] = entry->id;
    return lifting->count == SUPPRESSION_AT_ONCE ? lift(lifting) : OK;
}

WAITS static enum err
run_rm(struct control_call *call)
{
    struct suppression_query query;
    struct lifting *lifting = arena_new(&call->arena, struct lifting);
    bool more;
    enum err e = read_query(call, &query);

    if (e)
        return e;
    if (!lifting)
        return control_failed(call, ERR_LIMIT);
    if (!json_get_text(call->args, "query").len && !json_get_bool(call->args, "all"))
        return control_fail(call, ERR_SYNTAX, "no_query", "name addresses, or words, or say --all",
                            "nothing says which entries");
    lifting->call = call;
    lifting->dry = json_get_bool(call->args, "dry_run");
    lifting->samples = json_get_bool(call->args, "samples");
    e = suppression_each(call->context->suppression, &query, clock_now(), 0, lift_entry, lifting,
                         &more, &call->why);
    if (!e && lifting->count)
        e = lift(lifting);
    if (lifting->lifted)
        record_change(call, "lifted", (size_t)lifting->lifted, query.address);
    if (e)
        return call->code ? e : control_failed(call, e);
    json_put_int(&call->answer, "count",
                 (int64_t)(lifting->dry ? lifting->found : lifting->lifted));
    control_say(
        call, "%llu %s%s", (unsigned long long)(lifting->dry ? lifting->found : lifting->lifted),
        lifting->dry ? "would be lifted" : "lifted", lifting->dry ? " (not done: --dry-run)" : "");
    return OK;
}

/* --- Links to unsubscribe. */

static enum err
bad_token(struct control_call *call, enum err e)
{
    switch (e) {
    case ERR_SYNTAX:
    case ERR_REFUSED:
        return control_fail(call, ERR_REFUSED, "bad_token",
                            "it stands at the end of the URL in List-Unsubscribe",
                            "this is no token that was made here");
    case ERR_TIMEOUT:
        return control_fail(call, ERR_REFUSED, "old_token", "use 'outpost suppression add'",
                            "this token is older than %d days", UNSUBSCRIBE_DAYS);
    case ERR_NOT_FOUND:
        return control_fail(call, ERR_NOT_FOUND, "not_unsubscribed",
                            "'outpost suppression show' tells what is known of an address",
                            "nobody has unsubscribed by this token");
    default:
        return control_failed(call, e);
    }
}

WAITS static enum err
run_unsubscribe(struct control_call *call)
{
    const struct control_context *context = call->context;
    bool undo = json_get_bool(call->args, "undo");
    bool dry = json_get_bool(call->args, "dry_run");
    struct unsubscribe what;
    str token;
    enum err e;

    if (!control_need(call, "token", &token))
        return ERR_SYNTAX;
    if (undo && !dry)
        e = unsubscribe_undo(context->suppression, context->secrets, token, clock_now(),
                             &call->arena, &what, &call->why);
    else
        e = unsubscribe_apply(context->suppression, context->secrets, token,
                              dry ? UNSUBSCRIBE_LOOK : UNSUBSCRIBE_OPERATOR, call->actor,
                              clock_now(), &call->arena, &what, &call->why);
    if (e)
        return bad_token(call, e);
    if (!dry)
        record_change(call, undo ? "came back" : "unsubscribed", 1, what.recipient);
    json_put_text(&call->answer, "address", what.recipient);
    json_put_text(&call->answer, "account", what.scope);
    json_put_text(&call->answer, "list", what.list);
    control_say(call, "%.*s %s list %.*s of %.*s%s", STR_ARG(what.recipient),
                undo ? "gets again" : "gets no more of", STR_ARG(what.list), STR_ARG(what.scope),
                dry ? " (not done: --dry-run)" : "");
    return OK;
}

/* clang-format off */
const struct control_command control_suppression[] = {
    /* name                what it does  needs                         arguments */
    { "suppression.add",   run_add,      CONTROL_NEEDS_ACCOUNTS },  /* entries kind account list reason for_ms */
    { "suppression.list",  run_list,     CONTROL_NEEDS_ACCOUNTS },  /* query max */
    { "suppression.show",  run_show,     CONTROL_NEEDS_ACCOUNTS },  /* query */
    { "suppression.rm",    run_rm,       CONTROL_NEEDS_ACCOUNTS },  /* query all samples dry_run reason */
    { "suppression.unsubscribe", run_unsubscribe, CONTROL_NEEDS_ACCOUNTS },  /* token undo dry_run */
    { NULL, NULL, 0 },
};
/* clang-format on */
