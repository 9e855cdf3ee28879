/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* control_trace.c: what happened, from the event record.
 *
 * A row is an event as event_to_json() writes it.  Events are copied as text before they are sent,
 * since sending may wait.  The table at the end names the commands and the arguments that they
 * read.
 */
#include "delivery/returns/return_path.h"
#include "ops/control_call.h"
#include "runtime/clock.h"
#include "runtime/fiber.h"
#include "store/events.h"

enum {
    SEARCH_STANDARD = 1000,
    SEARCH_MAX = 100000,
    FOLLOW_BATCH = 500,
};

#define FOLLOW_EVERY     MILLISECONDS(500)
#define KEEP_ALIVE_EVERY SECONDS(15)

struct line {
    str text;
    int64_t sequence;
    struct line *next;
};

struct collector {
    struct arena *arena;
    struct buf buf;
    struct line *first;
    struct line **place;
    size_t count;
    bool full;
};

static bool
collect(void *arg, const struct event *event)
{
    struct collector *collector = arg;
    struct line *line = arena_new(collector->arena, struct line);

    buf_clear(&collector->buf);
    event_to_json(event, &collector->buf);
    if (!line || !buf_ok(&collector->buf) ||
        !arena_copy(collector->arena, buf_str(&collector->buf), &line->text)) {
        collector->full = true;
        return false;
    }
    line->sequence = event->sequence;
    *collector->place = line;
    collector->place = &line->next;
    collector->count++;
    return true;
}

static void
start_collecting(struct collector *collector, struct arena *arena)
{
    *collector = (struct collector){ .arena = arena };
    collector->place = &collector->first;
    buf_init(&collector->buf, 256 * 1024);
}

/* The argument NAME: milliseconds since 1970, or 0. */
static instant
get_time(struct control_call *call, const char *name)
{
    int64_t milliseconds = json_get_int(call->args, name);

    return milliseconds > 0 && milliseconds < INT64_MAX / MILLISECONDS(1)
               ? milliseconds * MILLISECONDS(1)
               : 0;
}

/* The message that left with the sender ADDRESS: what another postmaster finds in his log. */
static bool
is_return_path(struct control_call *call, str address, msgid *message)
{
    ssize_t at = str_find_last(address, '@');
    struct return_path path;

    if (!call->context->secrets ||
        return_path_read(call->context->secrets,
                         str_head(address, at < 0 ? address.len : (size_t)at), clock_now(),
                         DAYS(36500), &path))
        return false;
    *message = path.message;
    return true;
}

static enum err
read_query(struct control_call *call, struct events_query *query)
{
    int64_t limit = json_get_int(call->args, "limit");
    str kind = json_get_text(call->args, "kind");
    str id = json_get_text(call->args, "id");

    *query = (struct events_query){
        .address = json_get_text(call->args, "address"),
        .account = json_get_text(call->args, "account"),
        .since = get_time(call, "since"),
        .until = get_time(call, "until"),
        .oldest_first = json_get_bool(call->args, "oldest_first"),
        .limit = limit > 0 && limit <= SEARCH_MAX ? (size_t)limit : SEARCH_STANDARD,
    };
    if (id.len && !msgid_parse(id, &query->message) && !is_return_path(call, id, &query->message))
        return control_fail(
            call, ERR_SYNTAX, "bad_id",
            "the 26 letters after 'queued as' in the reply to the message, or the sender with "
            "which it left",
            "%.*s is not the id of a message", STR_ARG(id));
    if (kind.len && !event_kind_parse(kind, &query->kind))
        return control_fail(call, ERR_SYNTAX, "no_such_kind",
                            "accepted, delivered, deferred, bounced, rejected, login_failed ...",
                            "there is no event %.*s", STR_ARG(kind));
    return OK;
}

WAITS static enum err
send_lines(struct control_call *call, const struct collector *collector)
{
    enum err e = OK;

    for (const struct line *at = collector->first; at && !e; at = at->next)
        e = control_row_raw(call, at->text);
    return e;
}

WAITS static enum err
run_search(struct control_call *call)
{
    struct collector collector;
    struct events_query query;
    enum err e = read_query(call, &query);

    if (e)
        return e;
    /* What cannot be written yet will be there the next time. */
    (void)events_flush(call->context->events);
    start_collecting(&collector, &call->arena);
    e = events_find(call->context->events, &query, collect, &collector);
    if (e)
        e = control_failed(call, e);
    else if (collector.full)
        e = control_fail(call, ERR_LIMIT, "too_many", "narrow the search, or use --max",
                         "too many events match");
    else
        e = send_lines(call, &collector);
    buf_done(&collector.buf);
    if (!e)
        json_put_int(&call->answer, "count", (int64_t)collector.count);
    return e;
}

/* All that happened to one message, the oldest first. */
WAITS static enum err
run_show(struct control_call *call)
{
    struct collector collector;
    struct events_query query;
    str id;
    enum err e;

    if (!control_need(call, "id", &id))
        return ERR_SYNTAX;
    e = read_query(call, &query);
    if (e)
        return e;
    query.oldest_first = true;
    (void)events_flush(call->context->events);
    start_collecting(&collector, &call->arena);
    e = events_find(call->context->events, &query, collect, &collector);
    if (e)
        e = control_failed(call, e);
    else if (!collector.count)
        e = control_fail(call, ERR_NOT_FOUND, "no_such_message",
                         "events are kept for events.retention",
                         "nothing is known of the message %.*s", STR_ARG(id));
    else
        e = send_lines(call, &collector);
    buf_done(&collector.buf);
    return e;
}

/* The number of the latest event, from which following begins. */
WAITS static enum err
latest_sequence(struct control_call *call, int64_t *sequence)
{
    struct events_query query = { .limit = 1 };
    struct collector collector;
    enum err e;

    start_collecting(&collector, &call->arena);
    e = events_find(call->context->events, &query, collect, &collector);
    *sequence = collector.first ? collector.first->sequence : 0;
    buf_done(&collector.buf);
    return e;
}

/* One look for what is new. */
WAITS static enum err
follow_once(struct control_call *call, struct events_query *query, bool *found)
{
    struct collector collector;
    struct arena arena;
    enum err e;

    arena_init(&arena, CONTROL_ARENA_MAX);
    start_collecting(&collector, &arena);
    e = events_find(call->context->events, query, collect, &collector);
    if (!e)
        e = send_lines(call, &collector);
    for (const struct line *at = collector.first; at; at = at->next)
        query->after_sequence = at->sequence;
    *found = collector.count > 0;
    buf_done(&collector.buf);
    arena_done(&arena);
    return e;
}

/* Until the one who asked goes away: an empty line now and then finds that out. */
WAITS static enum err
run_follow(struct control_call *call)
{
    struct events_query query;
    instant alive = clock_steady();
    bool found;
    enum err e = read_query(call, &query);

    if (e)
        return e;
    query.oldest_first = true;
    query.limit = FOLLOW_BATCH;
    e = latest_sequence(call, &query.after_sequence);
    while (!e) {
        e = follow_once(call, &query, &found);
        if (!e && !found && clock_steady() - alive > KEEP_ALIVE_EVERY) {
            alive = clock_steady();
            e = call->carrier->emit(call->carrier->arg, S(""));
        }
        if (!e)
            e = call->carrier->flush(call->carrier->arg);
        if (!e)
            e = fiber_sleep(FOLLOW_EVERY);
    }
    return e == ERR_CLOSED || e == ERR_CANCELLED ? e : control_failed(call, e);
}

/* clang-format off */
const struct control_command control_trace[] = {
    /* name            what it does  needs                      arguments */
    { "trace.search",  run_search,   CONTROL_NEEDS_EVENTS }, /* id address account kind since until
                                                                 limit oldest_first */
    { "trace.show",    run_show,     CONTROL_NEEDS_EVENTS }, /* id */
    { "trace.follow",  run_follow,   CONTROL_NEEDS_SERVER }, /* as trace.search */
    { NULL, NULL, 0 },
};
/* clang-format on */
