/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* queue_commands.c: what waits, why, and what an operator wants done about it.
 *
 * Every command takes the same words (delivery/queue/queue.h, queue_query_parse()).  The table at the end
 * names the commands and the arguments that they read.
 */
#include "config/relay.h"
#include "delivery/queue/queue.h"

#include "ops/control_call.h"
#include "formats/date.h"
#include "runtime/clock.h"
#include "store/events.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    LIST_MAX_STANDARD = 1000,
    LIST_MAX = 100000,
    WHY_MAX = 50,
    CONNECTION_EVENTS = 20, /* Looked at for the latest connection. */
    SAMPLES = 3,
    CLUSTERS_SHOWN = 50,
    DELAY_MAX_DAYS = 366,
};

static void
put_text(struct json_writer *writer, const char *key, str text)
{
    if (text.len)
        json_put_text(writer, key, text);
}

static void
put_time(struct json_writer *writer, const char *key, instant time)
{
    if (time)
        json_put_time(writer, key, time);
}

WAITS static enum err
list_entries(struct control_call *call, size_t max, struct queue_entry **entries, size_t *count,
             bool *more)
{
    struct queue_query query;
    enum err e;

    e = queue_query_parse(json_get_text(call->args, "query"), &query, &call->why);
    if (e)
        return control_failed(call, e);
    e = queue_list(call->context->queue, &query, max, &call->arena, entries, count, more);
    if (e == ERR_LIMIT)
        return control_fail(call, e, "too_many", "narrow the query, or use --max",
                            "the list is too long");
    return e ? control_failed(call, e) : OK;
}

/* The recipient that tells most about the message: the first that matches. */
static const struct queue_recipient *
main_recipient(const struct queue_entry *entry)
{
    for (size_t i = 0; i < entry->recipient_count; i++)
        if (entry->recipients[i].matches)
            return &entry->recipients[i];
    return entry->recipient_count ? &entry->recipients[0] : NULL;
}

static void
put_recipient(struct json_writer *writer, const struct queue_recipient *recipient)
{
    json_put_text(writer, "address", recipient->address);
    json_put_text(writer, "state", str_from(recipient->state));
    json_put_int(writer, "attempts", recipient->attempts);
    put_time(writer, "next_attempt", recipient->next_attempt);
    put_time(writer, "last_attempt", recipient->last_attempt);
    put_time(writer, "expires", recipient->expires);
    put_text(writer, "route", recipient->route);
    put_text(writer, "site", recipient->site);
    put_text(writer, "source", recipient->source);
    put_text(writer, "provider", recipient->provider);
    if (recipient->rule)
        json_put_int(writer, "rule", recipient->rule);
    if (recipient->code)
        json_put_int(writer, "code", recipient->code);
    put_text(writer, "enhanced", recipient->enhanced);
    put_text(writer, "text", recipient->text);
    put_text(writer, "remote", recipient->remote);
    put_text(writer, "why", recipient->why);
}

static void
put_head(struct json_writer *writer, const struct queue_entry *entry)
{
    char id[MSGID_TEXT_SIZE + 1];

    msgid_format(entry->id, id);
    json_put_text(writer, "id", str_from(id));
    json_put_time(writer, "received", entry->received_at);
    json_put_int(writer, "size", (int64_t)entry->size);
    json_put_text(writer, "from", entry->sender.len ? entry->sender : S("<>"));
    put_text(writer, "account", entry->account);
    put_text(writer, "message_id", entry->header_message_id);
    json_put_text(writer, "lane", str_from(lane_name(entry->lane)));
    put_text(writer, "lane_why", entry->lane_why);
    if (entry->tls_wish)
        put_text(writer, "tls_wish",
                 entry->tls_wish == TLS_REQUIRED ? S("required") : S("optional"));
    if (entry->priority)
        json_put_int(writer, "priority", entry->priority);
    put_time(writer, "deliver_by", entry->deliver_by);
}

static void
put_entry(struct json_writer *writer, const struct queue_entry *entry)
{
    const struct queue_recipient *recipient = main_recipient(entry);

    put_head(writer, entry);
    json_begin_array(writer, "to");
    for (size_t i = 0; i < entry->recipient_count; i++)
        if (entry->recipients[i].matches)
            json_put_text(writer, NULL, entry->recipients[i].address);
    json_end_array(writer);
    if (!recipient)
        return;
    json_put_text(writer, "state", str_from(recipient->state));
    json_put_int(writer, "attempts", recipient->attempts);
    put_time(writer, "next_attempt", recipient->next_attempt);
    put_text(writer, "why", recipient->why);
}

static void
put_recipients(struct json_writer *writer, const struct queue_entry *entry)
{
    json_begin_array(writer, "recipients");
    for (size_t i = 0; i < entry->recipient_count; i++) {
        json_begin_object(writer, NULL);
        put_recipient(writer, &entry->recipients[i]);
        json_end_object(writer);
    }
    json_end_array(writer);
}

WAITS static enum err
emit_entry(void *arg, const struct queue_entry *entry)
{
    struct control_call *call = arg;

    put_entry(control_row(call), entry);
    return control_row_end(call);
}

WAITS static enum err
emit_recipients(void *arg, const struct queue_entry *entry)
{
    struct control_call *call = arg;
    char id[MSGID_TEXT_SIZE + 1];
    enum err e = OK;

    msgid_format(entry->id, id);
    for (size_t i = 0; i < entry->recipient_count && !e; i++) {
        struct json_writer *writer;
        if (!entry->recipients[i].matches)
            continue;
        writer = control_row(call);
        put_head(writer, entry);
        put_recipient(writer, &entry->recipients[i]);
        e = control_row_end(call);
    }
    return e;
}

/* Rows by EACH for what matches the query, at most MAX messages. */
WAITS static enum err
emit_each(struct control_call *call, uint64_t max, queue_each_fn each)
{
    struct queue_query query;
    uint64_t count = 0;
    bool more = false;
    enum err e = queue_query_parse(json_get_text(call->args, "query"), &query, &call->why);

    if (!e)
        e = queue_each(call->context->queue, &query, (size_t)max, each, call, &count, &more);
    if (e)
        return call->code ? e : control_failed(call, e);
    json_put_int(&call->answer, "count", (int64_t)count);
    json_put_bool(&call->answer, "more", more);
    return OK;
}

WAITS static enum err
run_list(struct control_call *call)
{
    int64_t wanted = json_get_int(call->args, "max");

    return emit_each(call, wanted > 0 && wanted < LIST_MAX ? (uint64_t)wanted : LIST_MAX_STANDARD,
                     emit_entry);
}

/* Everything that matches, one row for each recipient. */
WAITS static enum err
run_export(struct control_call *call)
{
    return emit_each(call, INT32_MAX, emit_recipients);
}

/* The one message that the argument "id" names. */
WAITS static enum err
named_entry(struct control_call *call, struct queue_entry **entry)
{
    struct queue_query query = { .count = 1, .words = { { .word = QUEUE_ID } } };
    size_t count;
    bool more;
    enum err e;
    str id;

    if (!control_need(call, "id", &id))
        return ERR_SYNTAX;
    if (!msgid_parse(id, &query.words[0].id))
        return control_fail(call, ERR_SYNTAX, "bad_id", "'outpost queue list' shows the ids",
                            "%.*s is not the id of a message", STR_ARG(id));
    query.words[0].text = id;
    e = queue_list(call->context->queue, &query, 1, &call->arena, entry, &count, &more);
    if (!e && count == 0)
        return control_fail(call, ERR_NOT_FOUND, "no_such_message",
                            "'outpost trace show' tells what became of it",
                            "%.*s is not in the queue", STR_ARG(id));
    return e ? control_failed(call, e) : OK;
}

WAITS static enum err
run_show(struct control_call *call)
{
    struct json_writer *writer;
    struct queue_entry *entry;
    enum err e = named_entry(call, &entry);

    if (e)
        return e;
    writer = control_document_begin(call);
    put_head(writer, entry);
    put_recipients(writer, entry);
    control_document_end(call);
    return OK;
}

/* Of the latest event about a recipient that tells of a connection. */
struct seen {
    struct arena *arena;
    str mx, version, cipher, verify, why;
};

static bool
take_connection(void *arg, const struct event *event)
{
    struct seen *seen = arg;

    if (event->tls_verify.len == 0)
        return true;
    if (!arena_copy(seen->arena, event->mx, &seen->mx) ||
        !arena_copy(seen->arena, event->tls_version, &seen->version) ||
        !arena_copy(seen->arena, event->tls_cipher, &seen->cipher) ||
        !arena_copy(seen->arena, event->tls_why, &seen->why) ||
        !arena_copy(seen->arena, event->tls_verify, &seen->verify))
        seen->verify = S("");
    return false;
}

/* How the last connection for RECIPIENT was secured, and why so. */
WAITS static void
find_connection(struct control_call *call, const struct queue_entry *entry,
                const struct queue_recipient *recipient, struct seen *seen)
{
    struct events_query query = { .message = entry->id,
                                  .address = recipient->address,
                                  .limit = CONNECTION_EVENTS };
    enum err e;

    *seen = (struct seen){ .arena = &call->arena };
    if (!call->context->events || recipient->attempts == 0)
        return;
    e = events_flush(call->context->events);
    if (!e)
        e = events_find(call->context->events, &query, take_connection, seen);
    (void)e; /* It is told without, then. */
}

static void
write_connection(struct control_call *call, struct json_writer *writer, const struct seen *seen)
{
    str text = S("");

    if (seen->verify.len == 0)
        return;
    put_text(writer, "tls_version", seen->version);
    put_text(writer, "tls_cipher", seen->cipher);
    put_text(writer, "tls_verify", seen->verify);
    put_text(writer, "tls_why", seen->why);
    if (seen->version.len)
        (void)arena_printf(
            &call->arena, &text,
            "Its last connection, to %.*s, had %.*s with %.*s, verified: %.*s (%.*s).",
            STR_ARG(seen->mx), STR_ARG(seen->version), STR_ARG(seen->cipher), STR_ARG(seen->verify),
            STR_ARG(seen->why));
    else
        (void)arena_printf(&call->arena, &text, "Its last connection, to %.*s, had no TLS (%.*s).",
                           STR_ARG(seen->mx), STR_ARG(seen->why));
    put_text(writer, "connection", text);
}

/* What a person wants to know about one recipient; why, in a paragraph. */
WAITS static enum err
put_story(struct control_call *call, const struct queue_entry *entry,
          const struct queue_recipient *recipient)
{
    struct json_writer *writer;
    struct queue_story story;
    struct seen seen;
    enum err e = queue_tell(call->context->queue, entry, recipient, &call->arena, &story);

    if (e)
        return control_failed(call, e);
    find_connection(call, entry, recipient, &seen);
    writer = control_row(call);
    put_head(writer, entry);
    put_recipient(writer, recipient);
    put_text(writer, "story", story.text);
    write_connection(call, writer, &seen);
    put_text(writer, "class", story.class);
    put_text(writer, "cluster", str_from(story.cluster));
    json_put_int(writer, "others", (int64_t)story.others);
    put_text(writer, "advice", story.advice);
    json_begin_array(writer, "commands");
    for (size_t i = 0; i < story.command_count; i++)
        json_put_text(writer, NULL, story.commands[i]);
    json_end_array(writer);
    return control_row_end(call);
}

WAITS static enum err
run_why(struct control_call *call)
{
    struct queue_entry *entries;
    size_t count;
    bool more;
    enum err e = list_entries(call, WHY_MAX, &entries, &count, &more);

    if (e)
        return e;
    if (count == 0)
        return control_fail(call, ERR_NOT_FOUND, "no_such_message",
                            "'outpost trace show ID' tells what became of a message",
                            "nothing in the queue matches");
    for (size_t i = 0; i < count && !e; i++)
        for (size_t j = 0; j < entries[i].recipient_count && !e; j++)
            if (entries[i].recipients[j].matches)
                e = put_story(call, &entries[i], &entries[i].recipients[j]);
    json_put_bool(&call->answer, "more", more);
    return e;
}

/* --- Acts. */

/* Some of the messages that an action would concern, for a human to look at first. */
WAITS static enum err
put_samples(struct control_call *call)
{
    struct queue_entry *entries;
    size_t count;
    bool more;
    enum err e = list_entries(call, SAMPLES, &entries, &count, &more);

    for (size_t i = 0; i < count && !e; i++)
        e = emit_entry(call, &entries[i]);
    return e;
}

WAITS static enum err
tell_progress(void *arg, uint64_t done, uint64_t total)
{
    struct control_call *call = arg;

    return control_progress(call, done, total);
}

/* What DELAY and REROUTE need. */
static enum err
read_extras(struct control_call *call, struct queue_action *action)
{
    int64_t time = json_get_int(call->args, "for_ms");
    str until = json_get_text(call->args, "until");
    str to = json_get_text(call->args, "to");
    struct relay_target target;
    instant now = clock_now();
    enum err e = OK;

    if (action->verb == QUEUE_DELAY) {
        if (until.len && date_parse_rfc3339(until, &action->until))
            return control_fail(call, ERR_SYNTAX, "bad_time",
                                "write for example 2026-11-27T18:00:00Z", "\"%.*s\" is not a time",
                                STR_ARG(until));
        if (!until.len && time > 0 && time <= DAYS(DELAY_MAX_DAYS) / MILLISECONDS(1))
            action->until = now + MILLISECONDS(time);
        if (action->until <= now || action->until - now > DAYS(DELAY_MAX_DAYS))
            return control_fail(call, ERR_SYNTAX, "bad_time", "say --for 2h, or --until TIME",
                                "until when, within a year?");
    }
    if (action->verb != QUEUE_REROUTE || str_eq(to, S("usual")))
        return OK;
    if (to.len > PROGRESS_ROUTE_MAX)
        return control_fail(call, ERR_SYNTAX, "bad_route", "", "the next hop is too long");
    e = relay_parse_url(&call->arena, to, &target, &call->why);
    if (e || !arena_copy(&call->arena, to, &action->route))
        return control_failed(call, e ? e : ERR_LIMIT);
    return OK;
}

static enum err
read_action(struct control_call *call, struct queue_query *query, struct queue_action *action)
{
    str verb = json_get_text(call->args, "verb");
    enum err e;

    *action = (struct queue_action){
        .dry_run = json_get_bool(call->args, "dry_run"),
        .reason = json_get_text(call->args, "reason"),
        .actor = call->actor,
        .progress = tell_progress,
        .arg = call,
    };
    if (!queue_verb_parse(verb, &action->verb))
        return control_fail(call, ERR_SYNTAX, "unknown_verb", "see 'outpost help queue'",
                            "the queue does not know %.*s", STR_ARG(verb));
    e = queue_query_parse(json_get_text(call->args, "query"), query, &call->why);
    if (e)
        return control_failed(call, e);
    if (query->count == 0 && !json_get_bool(call->args, "all"))
        return control_fail(call, ERR_SYNTAX, "no_selector", "name ids or a query, or say --all",
                            "nothing was selected");
    if (action->reason.len == 0 && !action->dry_run)
        return control_fail(call, ERR_SYNTAX, "no_reason", "add --reason TEXT",
                            "a reason is needed, for the record");
    return read_extras(call, action);
}

WAITS static enum err
run_act(struct control_call *call)
{
    str verb = json_get_text(call->args, "verb");
    uint64_t count = 0, skipped = 0;
    struct queue_action action;
    struct queue_query query;
    enum err e = read_action(call, &query, &action);

    if (e)
        return e;
    if (action.dry_run) {
        e = put_samples(call);
        if (e)
            return e;
    }
    e = queue_act(call->context->queue, &query, &action, &count, &skipped);
    if (e)
        return call->code ? e : control_failed(call, e);
    json_put_int(&call->answer, "count", (int64_t)count);
    json_put_int(&call->answer, "skipped", (int64_t)skipped);
    control_say(call, "%.*s: %llu recipient%s%s%s", STR_ARG(verb), (unsigned long long)count,
                count == 1 ? "" : "s", skipped ? "; others are under way just now" : "",
                action.dry_run ? " (not done: --dry-run)" : "");
    return OK;
}

/* --- Counts. */

static enum err
read_query(struct control_call *call, struct queue_query *query)
{
    enum err e = queue_query_parse(json_get_text(call->args, "query"), query, &call->why);

    return e ? control_failed(call, e) : OK;
}

static enum err
too_many(struct control_call *call, enum err e)
{
    if (e == ERR_LIMIT)
        return control_fail(call, e, "too_many", "narrow the query", "there are too many groups");
    return control_failed(call, e);
}

WAITS static enum err
run_shape(struct control_call *call)
{
    static const char *const ages[SHAPE_AGES] = { "5m",   "10m",  "20m",  "40m",   "80m",
                                                  "160m", "320m", "640m", "1280m", "older" };
    str by_text = json_get_text(call->args, "by");
    int64_t max = json_get_int(call->args, "max");
    enum shape_by by = SHAPE_PROVIDER;
    struct shape_group *groups;
    struct queue_query query;
    uint64_t one_in;
    size_t count;
    enum err e = read_query(call, &query);

    if (e)
        return e;
    if (by_text.len && !shape_by_parse(by_text, &by))
        return control_fail(call, ERR_SYNTAX, "bad_by", "see 'outpost help queue shape'",
                            "there is no shape by %.*s", STR_ARG(by_text));
    e = queue_shape(call->context->queue, &query, by, &call->arena, &groups, &count, &one_in);
    if (e)
        return too_many(call, e);
    for (size_t i = 0; i < count && (max <= 0 || (int64_t)i < max) && !e; i++) {
        struct json_writer *writer = control_row(call);
        json_put_text(writer, "name", groups[i].name);
        json_put_int(writer, "total", (int64_t)groups[i].total);
        for (unsigned j = 0; j < SHAPE_AGES; j++)
            json_put_int(writer, ages[j], (int64_t)groups[i].ages[j]);
        put_text(writer, "state", groups[i].state);
        e = control_row_end(call);
    }
    json_put_int(&call->answer, "count", (int64_t)count);
    json_put_int(&call->answer, "one_in", (int64_t)one_in);
    return e;
}

WAITS static enum err
put_cluster(struct control_call *call, const struct queue_cluster *cluster)
{
    struct json_writer *writer = control_row(call);

    put_text(writer, "cluster", str_from(cluster->id));
    json_put_text(writer, "query", cluster->words);
    json_put_text(writer, "reason", cluster->reason);
    put_text(writer, "class", cluster->class);
    json_put_int(writer, "count", (int64_t)cluster->count);
    put_time(writer, "since", cluster->since);
    put_time(writer, "next", cluster->next);
    put_text(writer, "place", cluster->place);
    json_put_int(writer, "place_count", (int64_t)cluster->place_count);
    json_put_int(writer, "places", (int64_t)cluster->places);
    put_text(writer, "summary", cluster->summary);
    put_text(writer, "doing", cluster->doing);
    put_text(writer, "advice", cluster->advice);
    put_text(writer, "sample", cluster->sample);
    json_begin_array(writer, "commands");
    for (size_t i = 0; i < cluster->command_count; i++)
        json_put_text(writer, NULL, cluster->commands[i]);
    json_end_array(writer);
    return control_row_end(call);
}

WAITS static enum err
run_clusters(struct control_call *call)
{
    int64_t max = json_get_int(call->args, "max");
    struct queue_cluster *clusters;
    struct queue_query query;
    uint64_t one_in;
    size_t count;
    enum err e = read_query(call, &query);

    if (e)
        return e;
    e = queue_clusters(call->context->queue, &query, &call->arena, &clusters, &count, &one_in);
    if (e)
        return too_many(call, e);
    if (max <= 0)
        max = CLUSTERS_SHOWN;
    for (size_t i = 0; i < count && (int64_t)i < max && !e; i++)
        e = put_cluster(call, &clusters[i]);
    json_put_int(&call->answer, "count", (int64_t)count);
    json_put_int(&call->answer, "one_in", (int64_t)one_in);
    json_put_bool(&call->answer, "more", (int64_t)count > max);
    return e;
}

/* clang-format off */
const struct control_command control_queue[] = {
    /* name            what it does  needs                       arguments */
    { "queue.list",    run_list,     CONTROL_NEEDS_SERVER },  /* query max */
    { "queue.show",    run_show,     CONTROL_NEEDS_SERVER },  /* id */
    { "queue.why",     run_why,      CONTROL_NEEDS_SERVER },  /* query */
    { "queue.act",     run_act,      CONTROL_NEEDS_SERVER },  /* verb query all dry_run reason for_ms until to */
    { "queue.shape",   run_shape,    CONTROL_NEEDS_SERVER },  /* query by max */
    { "queue.clusters", run_clusters, CONTROL_NEEDS_SERVER }, /* query max */
    { "queue.export",  run_export,   CONTROL_NEEDS_SERVER },  /* query */
    { NULL, NULL, 0 },
};
/* clang-format on */
