/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* control_queue.c: what waits, why, and what an operator wants done about it.
 *
 * Every command takes the same words (delivery/queue.h, queue_query_parse()).  The table at the end
 * names the commands and the arguments that they read.
 */
#include "base/map.h"
#include "delivery/queue.h"

#include "ops/control_call.h"
#include "runtime/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    LIST_MAX_STANDARD = 1000,
    LIST_MAX = 100000,
    SAMPLES = 3,
    SHAPE_GROUPS_MAX = 10000,
    SHAPE_BUCKETS = 10, /* Minutes: under 5, 10, 20, 40, 80, 160, 320, 640, 1280, and above. */
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
    put_time(writer, "expires", recipient->expires);
    put_text(writer, "site", recipient->site);
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
    if (entry->priority)
        json_put_int(writer, "priority", entry->priority);
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
run_list(struct control_call *call)
{
    int64_t wanted = json_get_int(call->args, "max");
    size_t max = wanted > 0 && wanted < LIST_MAX ? (size_t)wanted : LIST_MAX_STANDARD;
    struct queue_entry *entries;
    size_t count;
    bool more;
    enum err e = list_entries(call, max, &entries, &count, &more);

    for (size_t i = 0; i < count && !e; i++) {
        put_entry(control_row(call), &entries[i]);
        e = control_row_end(call);
    }
    if (!e) {
        json_put_int(&call->answer, "count", (int64_t)count);
        json_put_bool(&call->answer, "more", more);
    }
    return e;
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

WAITS static enum err
run_why(struct control_call *call)
{
    struct queue_entry *entries;
    char id[MSGID_TEXT_SIZE + 1];
    size_t count;
    bool more;
    enum err e = list_entries(call, LIST_MAX_STANDARD, &entries, &count, &more);

    if (e)
        return e;
    if (count == 0)
        return control_fail(call, ERR_NOT_FOUND, "no_such_message",
                            "'outpost trace show ID' tells what became of a message",
                            "nothing in the queue matches");
    for (size_t i = 0; i < count && !e; i++) {
        msgid_format(entries[i].id, id);
        for (size_t j = 0; j < entries[i].recipient_count && !e; j++) {
            struct json_writer *writer;

            if (!entries[i].recipients[j].matches)
                continue;
            writer = control_row(call);
            json_put_text(writer, "id", str_from(id));
            put_recipient(writer, &entries[i].recipients[j]);
            e = control_row_end(call);
        }
    }
    return e;
}

/* Some of the messages that an action would concern, for a human to look at first. */
WAITS static enum err
put_samples(struct control_call *call)
{
    struct queue_entry *entries;
    size_t count;
    bool more;
    enum err e = list_entries(call, SAMPLES, &entries, &count, &more);

    for (size_t i = 0; i < count && !e; i++) {
        put_entry(control_row(call), &entries[i]);
        e = control_row_end(call);
    }
    return e;
}

WAITS static enum err
run_act(struct control_call *call)
{
    struct queue_action action = {
        .dry_run = json_get_bool(call->args, "dry_run"),
        .reason = json_get_text(call->args, "reason"),
        .actor = call->actor,
    };
    str verb = json_get_text(call->args, "verb");
    struct queue_query query;
    uint64_t count = 0;
    enum err e;

    if (!queue_verb_parse(verb, &action.verb))
        return control_fail(call, ERR_SYNTAX, "unknown_verb", "see 'outpost help queue'",
                            "the queue does not know %.*s", STR_ARG(verb));
    e = queue_query_parse(json_get_text(call->args, "query"), &query, &call->why);
    if (e)
        return control_failed(call, e);
    if (query.count == 0 && !json_get_bool(call->args, "all"))
        return control_fail(call, ERR_SYNTAX, "no_selector", "name ids or a query, or say --all",
                            "nothing was selected");
    if (action.dry_run) {
        e = put_samples(call);
        if (e)
            return e;
    }
    e = queue_act(call->context->queue, &query, &action, &count);
    if (e)
        return control_failed(call, e);
    json_put_int(&call->answer, "count", (int64_t)count);
    control_say(call, "%.*s: %llu recipient%s%s", STR_ARG(verb), (unsigned long long)count,
                count == 1 ? "" : "s", action.dry_run ? " (not done: --dry-run)" : "");
    return OK;
}

/* A line of the shape: one domain, site, sender or account. */
struct shape_group {
    str name;
    uint64_t total;
    uint64_t buckets[SHAPE_BUCKETS];
};

static str
domain_of(str address)
{
    ssize_t at = str_find_last(address, '@');

    return at >= 0 ? str_skip(address, (size_t)at + 1) : address;
}

static str
group_name(str by, const struct queue_entry *entry, const struct queue_recipient *recipient)
{
    str name;

    if (str_eq(by, S("site")))
        name = recipient->site;
    else if (str_eq(by, S("sender")))
        name = entry->sender;
    else if (str_eq(by, S("account")))
        name = entry->account;
    else
        name = domain_of(recipient->address);
    return name.len ? name : S("-");
}

static unsigned
bucket_of(duration age)
{
    duration minutes = age / MINUTES(1);
    unsigned bucket = 0;

    for (duration limit = 5; bucket < SHAPE_BUCKETS - 1 && minutes >= limit; limit *= 2)
        bucket++;
    return bucket;
}

static int
compare_groups(const void *a, const void *b)
{
    const struct shape_group *const *first = a, *const *second = b;

    return (*first)->total < (*second)->total ? 1 : (*first)->total > (*second)->total ? -1 : 0;
}

static enum err
count_shape(struct control_call *call, const struct queue_entry *entries, size_t count,
            struct map *groups)
{
    str by = json_get_text(call->args, "by");
    instant now = clock_now();

    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < entries[i].recipient_count; j++) {
            const struct queue_recipient *recipient = &entries[i].recipients[j];
            str name = group_name(by, &entries[i], recipient);
            struct shape_group *group;

            if (!recipient->matches)
                continue;
            group = map_get(groups, name);
            if (!group) {
                group = arena_new(&call->arena, struct shape_group);
                if (!group || map_put(groups, name, group))
                    return control_fail(call, ERR_LIMIT, "too_many", "narrow the query",
                                        "there are too many groups");
                group->name = name;
            }
            group->total++;
            group->buckets[bucket_of(now - entries[i].received_at)]++;
        }
    }
    return OK;
}

WAITS static enum err
send_shape(struct control_call *call, const struct map *groups)
{
    static const char *const names[SHAPE_BUCKETS] = { "5m",   "10m",  "20m",  "40m",   "80m",
                                                      "160m", "320m", "640m", "1280m", "older" };
    size_t count = 0, at = 0;
    struct shape_group **sorted =
        arena_new_array(&call->arena, struct shape_group *, map_count(groups) + 1);
    enum err e = OK;
    void *value;
    str key;

    if (!sorted)
        return control_fail(call, ERR_LIMIT, "too_many", "narrow the query", "too many groups");
    while (map_next(groups, &at, &key, &value))
        sorted[count++] = value;
    qsort(sorted, count, sizeof *sorted, compare_groups);
    for (size_t i = 0; i < count && !e; i++) {
        struct json_writer *writer = control_row(call);

        json_put_text(writer, "name", sorted[i]->name);
        json_put_int(writer, "total", (int64_t)sorted[i]->total);
        for (unsigned j = 0; j < SHAPE_BUCKETS; j++)
            json_put_int(writer, names[j], (int64_t)sorted[i]->buckets[j]);
        e = control_row_end(call);
    }
    return e;
}

WAITS static enum err
run_shape(struct control_call *call)
{
    struct queue_entry *entries;
    struct map groups;
    size_t count;
    bool more;
    enum err e = list_entries(call, LIST_MAX, &entries, &count, &more);

    if (e)
        return e;
    map_init(&groups, SHAPE_GROUPS_MAX);
    e = count_shape(call, entries, count, &groups);
    if (!e)
        e = send_shape(call, &groups);
    map_done(&groups);
    return e;
}

/* clang-format off */
const struct control_command control_queue[] = {
    /* name            what it does  needs                       arguments */
    { "queue.list",    run_list,     CONTROL_NEEDS_SERVER },  /* query max */
    { "queue.show",    run_show,     CONTROL_NEEDS_SERVER },  /* id */
    { "queue.why",     run_why,      CONTROL_NEEDS_SERVER },  /* query */
    { "queue.act",     run_act,      CONTROL_NEEDS_SERVER },  /* verb query all dry_run reason */
    { "queue.shape",   run_shape,    CONTROL_NEEDS_SERVER },  /* query by */
    { NULL, NULL, 0 },
};
/* clang-format on */
