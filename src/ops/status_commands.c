/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* control_status.c: how the server is, and what it is told about itself. */
#include "accounts/suppression.h"
#include "accounts/account.h"
#include "accounts/limits.h"
#include "config/config.h"
#include "delivery/queue/queue.h"
#include "ops/control_call.h"
#include "ops/dkim_rotate.h"
#include "ops/server.h"
#include "runtime/clock.h"
#include "store/events.h"
#include "store/spool.h"

#include <unistd.h>

enum {
    RESTRICTED_MAX = 1000,
    TROUBLES_SHOWN = 5
};

struct restricted {
    struct arena *arena;
    struct {
        int64_t id;
        str address;
    } accounts[RESTRICTED_MAX];
    size_t count;
};

static bool
find_account(void *arg, const struct account_info *account)
{
    struct restricted *restricted = arg;

    if (restricted->count == RESTRICTED_MAX)
        return false;
    restricted->accounts[restricted->count].id = account->id;
    return arena_copy(restricted->arena, account->address,
                      &restricted->accounts[restricted->count++].address);
}

static void
put_restricted(struct control_call *call, struct json_writer *writer)
{
    struct restricted *restricted = arena_new(&call->arena, struct restricted);

    if (!restricted)
        return;
    restricted->arena = &call->arena;
    accounts_each(call->context->accounts, find_account, restricted);
    json_begin_array(writer, "restricted");
    for (size_t i = 0; i < restricted->count; i++) {
        struct limits_usage usage;

        limits_usage(call->context->limits, restricted->accounts[i].id, clock_now(), &usage);
        if (!usage.restricted)
            continue;
        json_begin_object(writer, NULL);
        json_put_text(writer, "address", restricted->accounts[i].address);
        if (usage.restricted_until)
            json_put_time(writer, "free_at", usage.restricted_until);
        json_end_object(writer);
    }
    json_end_array(writer);
}

static void
put_doors(struct json_writer *writer, const struct server *server)
{
    const char *name;
    unsigned port, connections;

    json_begin_array(writer, "listeners");
    for (size_t i = 0; server_door(server, i, &name, &port, &connections); i++) {
        json_begin_object(writer, NULL);
        json_put_text(writer, "name", str_from(name));
        json_put_int(writer, "port", port);
        json_put_int(writer, "connections", connections);
        json_end_object(writer);
    }
    json_end_array(writer);
}

static void
put_queue(struct json_writer *writer, struct queue *queue)
{
    struct queue_stats stats;

    queue_stats(queue, &stats);
    json_begin_object(writer, "queue");
    json_put_int(writer, "messages", (int64_t)stats.messages);
    json_put_int(writer, "recipients", (int64_t)stats.recipients);
    json_put_int(writer, "ready", (int64_t)stats.ready);
    json_put_int(writer, "connections", (int64_t)stats.connections);
    json_put_int(writer, "sites", (int64_t)stats.sites);
    json_end_object(writer);
}

static void
put_spool(struct json_writer *writer, struct spool *spool)
{
    struct spool_stats stats;

    spool_stats(spool, &stats);
    json_begin_object(writer, "spool");
    json_put_int(writer, "messages", (int64_t)stats.messages);
    json_put_int(writer, "segments", (int64_t)stats.segments);
    json_put_int(writer, "bytes_written", (int64_t)stats.bytes_written);
    json_put_int(writer, "damaged", (int64_t)stats.damaged);
    json_put_int(writer, "bodies_missing", (int64_t)stats.bodies_missing);
    json_put_bool(writer, "full", stats.full);
    json_end_object(writer);
}

static void
put_suppression(struct json_writer *writer, struct suppression *list)
{
    struct suppression_stats stats;

    suppression_stats(list, &stats);
    json_begin_object(writer, "suppression");
    json_put_int(writer, "entries", (int64_t)stats.entries);
    json_put_int(writer, "bytes", (int64_t)stats.bytes);
    json_end_object(writer);
}

/* What happened since midnight UTC. */
static void
put_today(struct json_writer *writer, struct events *events)
{
    static const enum event_kind kinds[] = { EVENT_ACCEPTED,  EVENT_REJECTED, EVENT_DELIVERED,
                                             EVENT_DEFERRED,  EVENT_BOUNCED,  EVENT_EXPIRED,
                                             EVENT_SUPPRESSED };
    uint64_t counts[EVENT_KIND_COUNT];

    events_today(events, counts);
    json_begin_object(writer, "today");
    for (size_t i = 0; i < COUNT_OF(kinds); i++)
        json_put_int(writer, event_kind_name(kinds[i]), (int64_t)counts[kinds[i]]);
    json_end_object(writer);
}

/* What an operator should know of the mail that goes out. */
static enum err
put_outgoing(struct control_call *call, struct json_writer *writer)
{
    struct queue_trouble *troubles;
    size_t count;
    uint64_t all;
    enum err e =
        queue_troubles(call->context->queue, TROUBLES_SHOWN, &call->arena, &troubles, &count, &all);

    if (e)
        return e;
    json_put_int(writer, "rules", (int64_t)queue_rule_count(call->context->queue));
    json_put_int(writer, "troubles", (int64_t)all);
    json_begin_array(writer, "throttled");
    for (size_t i = 0; i < count; i++) {
        json_begin_object(writer, NULL);
        json_put_text(writer, "query", troubles[i].place);
        json_put_int(writer, "waiting", (int64_t)troubles[i].waiting);
        json_put_text(writer, "state", troubles[i].state);
        json_end_object(writer);
    }
    json_end_array(writer);
    return OK;
}

/* Keys that need a human, where we do not write the zone. */
struct key_wants {
    const struct config *config;
    int64_t waiting; /* For their records. */
    int64_t old;     /* Older than dkim.rotate_every. */
};

static bool
count_key(void *arg, const struct key_info *key)
{
    struct key_wants *wants = arg;
    duration every = wants->config->dkim.rotate_every;

    if (dkim_is_ours_to_publish(wants->config, key->domain))
        return true;
    wants->waiting += key->state == KEY_NEW;
    wants->old += key->state == KEY_ACTIVE && every && clock_now() - key->created >= every;
    return true;
}

static void
put_dkim(struct json_writer *writer, const struct control_context *context)
{
    struct key_wants wants = { .config = context->config };

    keyring_each(context->keyring, count_key, &wants);
    json_begin_object(writer, "dkim");
    json_put_int(writer, "waiting_for_records", wants.waiting);
    json_put_int(writer, "to_be_rotated", wants.old);
    json_end_object(writer);
}

static enum err
run_status(struct control_call *call)
{
    const struct config *config = call->context->config;
    struct server *server = call->context->server;
    struct json_writer *writer = control_document_begin(call);
    uint64_t dropped = events_dropped(call->context->events);
    enum err e;

    json_put_text(writer, "version", S(OUTPOST_VERSION));
    json_put_text(writer, "hostname", config->server.hostname);
    json_put_int(writer, "pid", getpid());
    json_put_time(writer, "started", server_started_at(server));
    json_put_int(writer, "uptime_ms", (clock_now() - server_started_at(server)) / MILLISECONDS(1));
    json_put_text(writer, "config", config->path);
    json_put_text(writer, "data", config->server.data_dir);
    put_doors(writer, server);
    put_queue(writer, call->context->queue);
    e = put_outgoing(call, writer);
    if (e)
        return control_failed(call, e);
    put_spool(writer, server_spool(server));
    put_today(writer, call->context->events);
    put_suppression(writer, call->context->suppression);
    put_restricted(call, writer);
    put_dkim(writer, call->context);
    if (dropped)
        json_put_int(writer, "events_dropped", (int64_t)dropped);
    control_document_end(call);
    return OK;
}

WAITS static enum err
run_reload(struct control_call *call)
{
    enum err e = server_reload(call->context->server, &call->why);

    if (e)
        return control_failed(call, e);
    control_say(call, "the configuration was read again");
    return OK;
}

static enum err
run_ping(struct control_call *call)
{
    json_put_text(&call->answer, "version", S(OUTPOST_VERSION));
    return OK;
}

/* clang-format off */
const struct control_command control_status[] = {
    { "status",        run_status,   CONTROL_NEEDS_SERVER },
    { "ping",          run_ping,     0 },
    { "reload",        run_reload,   CONTROL_NEEDS_SERVER },
    { NULL, NULL, 0 },
};
/* clang-format on */
