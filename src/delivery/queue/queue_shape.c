/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* queue_shape.c: what waits, counted by age and place, and by reason.
 *
 * A count is made in two passes.  The first walks the tables in slices under the lock and counts
 * what they can answer by themselves; the ids of the others are kept, and the second pass reads
 * these from the spool, one by one.  Groups have a ceiling, beyond which they are counted together.
 * Start reading at queue_shape() and queue_clusters().
 */
#include "delivery/queue/queue_advice.h"
#include "delivery/queue/queue_look.h"

#include "base/must.h"
#include "delivery/rules/classify.h"
#include "delivery/queue/cluster.h"
#include "delivery/rules/standing.h"
#include "runtime/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- Two passes. */

struct counting {
    struct queue *queue;
    const struct queue_query *query;
    struct arena *arena; /* Of the groups. */
    instant now;
    bool full; /* The arena's ceiling was reached. */
    struct map groups;
    size_t groups_max;
    enum shape_by by;
    struct map places;      /* Clusters by their main place. */
    struct candidates left; /* For the second pass, */
    size_t stride;          /* of which it reads one in so many, */
    uint64_t weight;        /* and each counts for these. */
    /* Under the lock: whether the tables know all about ROW; NULL: never. */
    bool (*knows_row)(const struct counting *c, const struct schedule_row *row);
    void (*count_row)(struct counting *c, const struct schedule_row *row);
    void (*count_view)(struct counting *c, const struct message_view *view, uint32_t index);
};

static void
leave_for_later(struct counting *c, msgid id)
{
    struct candidates *left = &c->left;

    if (left->count == left->capacity) {
        left->capacity = MAX((size_t)1024, left->capacity * 2);
        left->ids = realloc(left->ids, left->capacity * sizeof(msgid));
        must(left->ids);
    }
    left->ids[left->count++] = id;
}

/* Under the lock.  A message is counted by one pass, whole. */
static void
count_message(void *arg, struct schedule_message *message)
{
    struct counting *c = arg;
    bool later = false, sure, any = false;

    for (uint32_t i = 0; i < message->row_count && !later; i++) {
        if (!queue_row_may_match(&message->rows[i], c->query, c->now, &sure))
            continue;
        any = true;
        later = !sure || !c->knows_row || !c->knows_row(c, &message->rows[i]);
    }
    for (uint32_t i = 0; i < message->row_count && any && !later; i++)
        if (queue_row_may_match(&message->rows[i], c->query, c->now, &sure))
            c->count_row(c, &message->rows[i]);
    if (later)
        leave_for_later(c, message->id);
}

WAITS static enum err
look_at_rest(struct counting *c)
{
    size_t max = c->query->looks_max ? c->query->looks_max : COUNT_LOOKS_MAX;
    struct arena scratch;
    enum err e = OK;

    arena_init(&scratch, ATTEMPT_ARENA_MAX);
    c->weight = c->stride = (c->left.count + max - 1) / max + (c->left.count == 0);
    for (size_t i = 0; i < c->left.count && !e && !c->full; i += c->stride) {
        struct message_view view;
        queue_share_core(i / c->stride);
        arena_clear(&scratch);
        e = queue_look_at(c->queue, c->left.shaping, c->left.ids[i], &scratch, &view);
        for (uint32_t k = 0; !e && k < view.row_count; k++)
            if (queue_row_matches(&view, c->query, k, c->now))
                c->count_view(c, &view, k);
        if (e == ERR_NOT_FOUND || e == ERR_CORRUPT)
            e = OK;
        if (fiber_cancelled())
            e = ERR_CANCELLED;
    }
    arena_done(&scratch);
    return e;
}

/* The walk begins again when the table grows: what was counted then is forgotten. */
WAITS static enum err
count_all(struct counting *c)
{
    struct schedule_walk walk = {};
    bool more = true;

    c->now = clock_now();
    c->weight = 1;
    c->left.shaping = queue_shaping(c->queue);
    map_init(&c->groups, 0);
    while (more && !c->full) {
        pthread_mutex_lock(&c->queue->lock);
        if (walk.slot > 0 && walk.generation != c->queue->schedule.slots_generation) {
            map_done(&c->groups);
            map_init(&c->groups, 0);
            c->left.count = 0;
        }
        more = schedule_walk(&c->queue->schedule, &walk, LOOK_SLICE, count_message, c);
        pthread_mutex_unlock(&c->queue->lock);
        fiber_yield();
        if (fiber_cancelled())
            return ERR_CANCELLED;
    }
    return look_at_rest(c);
}

/* The group named KEY of SIZE bytes, made when it is new; beyond the ceiling the common one. */
static void *
group_of(struct counting *c, str key, size_t size, bool *is_new)
{
    void *group = map_get(&c->groups, key);

    *is_new = false;
    if (!group && map_count(&c->groups) >= c->groups_max) {
        key = S("(others)");
        group = map_get(&c->groups, key);
    }
    if (group)
        return group;
    group = arena_alloc(c->arena, size);
    if (!group || map_put(&c->groups, key, group)) {
        c->full = true;
        return NULL;
    }
    *is_new = true;
    return group;
}

/* --- Shape. */

bool
shape_by_parse(str text, enum shape_by *by)
{
    static const char *const names[] = {
        [SHAPE_DOMAIN] = "domain", [SHAPE_SITE] = "site",       [SHAPE_PROVIDER] = "provider",
        [SHAPE_SENDER] = "sender", [SHAPE_ACCOUNT] = "account", [SHAPE_LANE] = "lane",
        [SHAPE_SOURCE] = "source",
    };

    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (str_eq_nocase(text, str_from(names[i]))) {
            *by = (enum shape_by)i;
            return true;
        }
    return false;
}

static str
domain_of(str address)
{
    ssize_t at = str_find_last(address, '@');

    return at >= 0 ? str_skip(address, (size_t)at + 1) : address;
}

static unsigned
age_of(duration age)
{
    duration minutes = age / MINUTES(1);
    unsigned bucket = 0;

    for (duration limit = 5; bucket < SHAPE_AGES - 1 && minutes >= limit; limit *= 2)
        bucket++;
    return bucket;
}

static void
add_to_shape(struct counting *c, str name, instant received_at)
{
    struct shape_group *group;
    bool is_new;

    if (name.len == 0)
        name = S("-");
    group = group_of(c, name, sizeof(*group), &is_new);
    if (!group)
        return;
    if (is_new &&
        !arena_copy(c->arena, map_count(&c->groups) > c->groups_max ? S("(others)") : name,
                    &group->name))
        c->full = true;
    group->total += c->weight;
    group->ages[age_of(c->now - received_at)] += c->weight;
}

static bool
shape_knows(const struct counting *c, const struct schedule_row *row)
{
    if (c->by == SHAPE_SENDER || c->by == SHAPE_ACCOUNT)
        return false;
    return c->by != SHAPE_DOMAIN || str_starts(str_from(row->target->key), S("mx:"));
}

static void
shape_row(struct counting *c, const struct schedule_row *row)
{
    const struct schedule_site *site = row->target->site;
    str provider = queue_provider_of(site);
    str name = S("");

    switch (c->by) {
    case SHAPE_DOMAIN:
        name = str_skip(str_from(row->target->key), 3);
        break;
    case SHAPE_SITE:
        name = str_from(site->key);
        break;
    case SHAPE_PROVIDER:
        name = provider.len ? provider : str_from(site->key);
        break;
    case SHAPE_LANE:
        name = str_from(lane_name(row->message->lane));
        break;
    case SHAPE_SOURCE:
        name = str_from(site->source);
        break;
    case SHAPE_SENDER:
    case SHAPE_ACCOUNT:
        break;
    }
    add_to_shape(c, name, row->message->received_at);
}

static void
shape_view(struct counting *c, const struct message_view *view, uint32_t index)
{
    const struct row_view *row = &view->rows[index];
    str name = S("");

    switch (c->by) {
    case SHAPE_DOMAIN:
        name = domain_of(view->envelope.recipients[index].address);
        break;
    case SHAPE_SITE:
        name = row->site;
        break;
    case SHAPE_PROVIDER:
        name = row->provider.len ? row->provider : row->site;
        break;
    case SHAPE_LANE:
        name = str_from(lane_name(view->lane));
        break;
    case SHAPE_SOURCE:
        name = row->source;
        break;
    case SHAPE_SENDER:
        name = view->envelope.reverse_path.len ? view->envelope.reverse_path : S("<>");
        break;
    case SHAPE_ACCOUNT:
        name = view->envelope.account;
        break;
    }
    add_to_shape(c, name, view->envelope.received_at);
}

/* Says of each site that is not well what it is doing, where SLOT_OF says that somebody wants to
 * know it. */
static void
note_states(struct counting *c, str *(*slot_of)(struct counting *c, str place))
{
    struct schedule *schedule = &c->queue->schedule;
    struct buf buf;
    void *value;
    str key;

    buf_init(&buf, 1024);
    pthread_mutex_lock(&c->queue->lock);
    for (size_t at = 0; map_next(&schedule->sites, &at, &key, &value);) {
        const struct schedule_site *site = value;
        str provider = queue_provider_of(site);
        bool by_provider = c->by == SHAPE_PROVIDER && provider.len > 0;
        str *slot = slot_of(c, by_provider ? provider : str_from(site->key));
        if (slot && slot->len == 0 && queue_site_state(schedule, site, c->now, &buf) &&
            !arena_copy(c->arena, buf_str(&buf), slot))
            c->full = true;
    }
    pthread_mutex_unlock(&c->queue->lock);
    buf_done(&buf);
}

static str *
slot_of_shape(struct counting *c, str place)
{
    struct shape_group *group = map_get(&c->groups, place);

    return group ? &group->state : NULL;
}

static int
compare_shapes(const void *a, const void *b)
{
    const struct shape_group *const *first = a, *const *second = b;

    return ((*first)->total < (*second)->total) - ((*first)->total > (*second)->total);
}

/* The groups as an array in the arena. */
static void **
groups_of(struct counting *c, size_t *count)
{
    void **list = arena_new_array(c->arena, void *, map_count(&c->groups) + 1);
    size_t at = 0;
    void *value;
    str key;

    *count = 0;
    while (list && map_next(&c->groups, &at, &key, &value))
        list[(*count)++] = value;
    return list;
}

static void
counting_done(struct counting *c)
{
    map_done(&c->groups);
    candidates_done(&c->left);
}

enum err
queue_shape(struct queue *queue, const struct queue_query *query, enum shape_by by,
            struct arena *arena, struct shape_group **groups, size_t *count, uint64_t *one_in)
{
    struct counting c = {
        .queue = queue,
        .query = query,
        .arena = arena,
        .groups_max = SHAPE_GROUPS_MAX,
        .by = by,
        .knows_row = shape_knows,
        .count_row = shape_row,
        .count_view = shape_view,
    };
    enum err e = count_all(&c);
    struct shape_group *sorted = NULL;
    void **list;

    if (!e && (by == SHAPE_SITE || by == SHAPE_PROVIDER))
        note_states(&c, slot_of_shape);
    list = groups_of(&c, count);
    if (list)
        sorted = arena_new_array(arena, struct shape_group, *count + 1);
    if (sorted) {
        qsort(list, *count, sizeof(*list), compare_shapes);
        for (size_t i = 0; i < *count; i++)
            sorted[i] = *(struct shape_group *)list[i];
    } else if (!e) {
        e = ERR_LIMIT;
    }
    if (!e && c.full)
        e = ERR_LIMIT;
    *one_in = MAX(c.stride, (size_t)1);
    counting_done(&c);
    *groups = sorted;
    return e;
}

/* --- Clusters. */

struct tally {
    struct queue_cluster cluster;
    struct tally *next; /* With the same main place. */
    struct {
        str name;
        str words;
        uint64_t count;
    } places[CLUSTER_PLACES];
    enum advice_case advice;
    enum reply_class reply_class;
    uint32_t rule;
    uint16_t code;
    str enhanced;
    str address; /* Of the sample. */
};

/* Under which name a recipient is counted, and what is said of it. */
struct reason {
    char key[32];
    char text[600];
    char words[260];
    enum advice_case advice;
    uint32_t rule;
};

/* Ready: it waits for its site. */
static void
reason_of_wait(const struct row_view *row, struct reason *reason)
{
    str place = row->provider.len ? row->provider : row->site;
    str first;

    (void)str_split(place, ',', &first, &place);
    if (row->wait.kind == WAIT_PAUSE) {
        /* Many dead sites are one reason. */
        (void)snprintf(reason->key, sizeof(reason->key), "pause %08x",
                       cluster_id(0, S(""), row->reason));
        (void)snprintf(reason->text, sizeof(reason->text), "its site takes no mail: %.*s",
                       STR_ARG(str_head(row->reason, 400)));
        (void)snprintf(reason->words, sizeof(reason->words), "state:ready attempts:0");
        reason->advice = ADVICE_CLASS;
        return;
    }
    if (row->wait.kind == WAIT_RATE || row->reason.len) {
        (void)snprintf(reason->key, sizeof(reason->key), "rate %016llx",
                       (unsigned long long)str_hash(first));
        (void)snprintf(reason->text, sizeof(reason->text), "throttled: %.*s%s%.*s",
                       STR_ARG(str_head(first, 100)), " said ",
                       STR_ARG(str_head(row->reason, 400)));
        (void)snprintf(reason->words, sizeof(reason->words), "state:ready %s:%.*s",
                       row->provider.len ? "provider" : "site", STR_ARG(str_head(first, 200)));
        reason->advice = ADVICE_THROTTLED;
        return;
    }
    *reason = (struct reason){ "ready", "about to go, or waiting for a connection that is busy",
                               "state:ready", ADVICE_NONE, 0 };
}

static void
reason_of_state(struct queue *queue, const struct row_view *row, struct reason *reason)
{
    struct standing_rule rule;
    struct arena arena;

    *reason = (struct reason){ .advice = ADVICE_NONE };
    if (row->rule && row->kept) {
        (void)snprintf(reason->key, sizeof(reason->key), "rule %u", row->rule);
        (void)snprintf(reason->words, sizeof(reason->words), "rule:%u", row->rule);
        reason->advice = ADVICE_RULE;
        reason->rule = row->rule;
        arena_init(&arena, 64 * 1024);
        if (standing_find(queue->standing, row->rule, &arena, &rule))
            (void)snprintf(reason->text, sizeof(reason->text), "kept by rule %u (%s): %.*s",
                           rule.id, standing_kind_name(rule.kind), STR_ARG(rule.reason));
        else
            (void)snprintf(reason->text, sizeof(reason->text), "kept by rule %u", row->rule);
        arena_done(&arena);
        return;
    }
    if (row->state == ROW_HELD) {
        *reason =
            (struct reason){ "held", "held by an operator", "state:held rule:0", ADVICE_HELD, 0 };
    } else if (row->state == ROW_RUNNING) {
        *reason = (struct reason){ "running", "under way", "state:running", ADVICE_NONE, 0 };
    } else if (row->state == ROW_SCHEDULED) {
        *reason = (struct reason){ "later", "to be sent later, as was wished",
                                   "state:scheduled attempts:0", ADVICE_NONE, 0 };
    } else {
        reason_of_wait(row, reason);
    }
}

static void
add_place(struct counting *c, struct tally *tally, str provider, str site)
{
    str name = provider.len ? provider : site;
    str first = S("");

    for (size_t i = 0; i < tally->cluster.places; i++)
        if (str_eq(tally->places[i].name, name)) {
            tally->places[i].count += c->weight;
            return;
        }
    if (tally->cluster.places == CLUSTER_PLACES || name.len == 0)
        return;
    (void)str_split(name, ',', &first, &site);
    if (!arena_copy(c->arena, name, &tally->places[tally->cluster.places].name) ||
        !arena_printf(c->arena, &tally->places[tally->cluster.places].words, "%s:%.*s",
                      provider.len ? "provider" : "site", STR_ARG(first))) {
        c->full = true;
        return;
    }
    tally->places[tally->cluster.places++].count = c->weight;
}

static instant
next_of(const struct row_view *row)
{
    if (row->state == ROW_SCHEDULED)
        return row->due;
    return row->state == ROW_READY ? row->wait.until : 0;
}

static void
add_to_tally(struct counting *c, struct tally *tally, const struct row_view *row,
             instant received_at)
{
    struct queue_cluster *cluster = &tally->cluster;
    instant next = next_of(row);

    cluster->count += c->weight;
    if (cluster->since == 0 || received_at < cluster->since)
        cluster->since = received_at;
    if (next && (cluster->next == 0 || next < cluster->next))
        cluster->next = next;
    add_place(c, tally, row->provider, row->site);
}

static struct tally *
tally_of_state(struct counting *c, const struct row_view *row, msgid id)
{
    char sample[MSGID_TEXT_SIZE + 1];
    struct reason reason;
    struct tally *tally;
    bool is_new;

    reason_of_state(c->queue, row, &reason);
    tally = group_of(c, str_from(reason.key), sizeof(*tally), &is_new);
    if (!tally || !is_new)
        return tally;
    msgid_format(id, sample);
    tally->advice = reason.advice;
    tally->reply_class = queue_class(c->left.shaping, row->provider, 0, S(""), row->reason);
    tally->rule = reason.rule;
    if (reason.advice == ADVICE_THROTTLED) {
        str enhanced;
        queue_split_answer(row->reason, &tally->code, &enhanced);
        if (!arena_copy(c->arena, enhanced, &tally->enhanced))
            c->full = true;
    }
    tally->cluster.class = str_from(reply_class_name(tally->reply_class));
    if (!arena_copy(c->arena, str_from(reason.text), &tally->cluster.reason) ||
        !arena_copy(c->arena, str_from(reason.words), &tally->cluster.words) ||
        !arena_copy(c->arena, str_from(sample), &tally->cluster.sample))
        c->full = true;
    return tally;
}

/* Rows that were never tried, or are kept by a rule or an operator, need no note. */
static bool
cluster_knows(const struct counting *c, const struct schedule_row *row)
{
    (void)c;
    return row->attempts == 0 || row->state == ROW_HELD || row->kept;
}

static void
cluster_row(struct counting *c, const struct schedule_row *row)
{
    const struct schedule_site *site = row->target->site;
    struct row_view view = {
        .state = row->state,
        .held = row->held,
        .kept = row->kept,
        .rule = row->rule,
        .attempts = row->attempts,
        .due = row->due,
        .site = str_from(site->key),
        .provider = queue_provider_of(site),
        .reason = queue_site_reason(site),
    };
    struct tally *tally;

    if (row->state == ROW_READY)
        schedule_site_why(&c->queue->schedule, site, c->now, &view.wait);
    tally = tally_of_state(c, &view, row->message->id);
    if (tally)
        add_to_tally(c, tally, &view, row->message->received_at);
}

static void
fill_answer(struct counting *c, struct tally *tally, const struct message_view *view,
            uint32_t index, const char *id)
{
    const struct recipient_progress *progress = &view->progress.recipients[index];
    struct queue_cluster *cluster = &tally->cluster;
    char code[8] = "", sample[MSGID_TEXT_SIZE + 1];

    msgid_format(view->id, sample);
    memcpy(cluster->id, id, sizeof(cluster->id));
    if (progress->code)
        (void)snprintf(code, sizeof(code), "%u ", progress->code);
    tally->advice = ADVICE_CLASS;
    tally->reply_class = queue_class(c->left.shaping, view->rows[index].provider, progress->code,
                                     progress->enhanced, progress->text);
    tally->code = progress->code;
    cluster->class = str_from(reply_class_name(tally->reply_class));
    if (!arena_printf(c->arena, &cluster->words, "cluster:%s", id) ||
        !arena_printf(c->arena, &cluster->reason, "%s%.*s%s%.*s", code, STR_ARG(progress->enhanced),
                      progress->enhanced.len ? " " : "", STR_ARG(progress->text)) ||
        !arena_copy(c->arena, str_from(sample), &cluster->sample) ||
        !arena_copy(c->arena, view->envelope.recipients[index].address, &tally->address) ||
        !arena_copy(c->arena, progress->enhanced, &tally->enhanced))
        c->full = true;
}

static void
cluster_view(struct counting *c, const struct message_view *view, uint32_t index)
{
    const struct recipient_progress *progress = &view->progress.recipients[index];
    const struct row_view *row = &view->rows[index];
    char id[CLUSTER_NAME_SIZE];
    struct tally *tally;
    bool is_new;

    if (progress->text.len == 0 || row->state == ROW_HELD || row->kept) {
        tally = tally_of_state(c, row, view->id);
    } else {
        cluster_format(cluster_id(progress->code, progress->enhanced, progress->text), id);
        tally = group_of(c, str_from(id), sizeof(*tally), &is_new);
        if (tally && is_new)
            fill_answer(c, tally, view, index, id);
    }
    if (tally)
        add_to_tally(c, tally, row, view->envelope.received_at);
}

static str *
slot_of_cluster(struct counting *c, str place)
{
    struct tally *first = map_get(&c->places, place);

    return first ? &first->cluster.doing : NULL;
}

/* What the engine does at the place where most of a cluster waits, for each of LIST. */
static void
note_doings(struct counting *c, void **list, size_t count)
{
    map_init(&c->places, 0);
    for (size_t i = 0; i < count; i++) {
        struct tally *tally = list[i];
        tally->next = map_get(&c->places, tally->cluster.place);
        if (tally->cluster.place.len && map_put(&c->places, tally->cluster.place, tally))
            c->full = true;
    }
    note_states(c, slot_of_cluster);
    for (size_t i = 0; i < count; i++) {
        const struct tally *tally = list[i];
        for (struct tally *at = tally->next; tally->cluster.doing.len && at; at = at->next)
            at->cluster.doing = tally->cluster.doing;
    }
    map_done(&c->places);
}

static void
find_main_place(struct tally *tally, str *words)
{
    size_t best = 0;

    *words = S("");
    for (size_t i = 1; i < tally->cluster.places; i++)
        if (tally->places[i].count > tally->places[best].count)
            best = i;
    if (tally->cluster.places == 0)
        return;
    tally->cluster.place = tally->places[best].name;
    tally->cluster.place_count = tally->places[best].count;
    *words = tally->places[best].words;
}

static void
summarize(struct counting *c, struct queue_cluster *cluster)
{
    struct buf buf;

    buf_init(&buf, 4096);
    buf_addf(&buf, "%.*s", STR_ARG(cluster->words));
    if (cluster->place.len && cluster->place_count * 10 < cluster->count)
        buf_add(&buf, S("; at many places"));
    else if (cluster->place.len)
        buf_addf(&buf, "; %llu at %.*s%s", (unsigned long long)cluster->place_count,
                 STR_ARG(cluster->place),
                 cluster->places > 1 && cluster->places < CLUSTER_PLACES ? ", the others elsewhere"
                 : cluster->places > 1 ? ", the others at many places"
                                       : "");
    if (cluster->since) {
        buf_add(&buf, S("; the oldest came "));
        queue_put_duration(&buf, c->now - cluster->since);
        buf_add(&buf, S(" ago"));
    }
    if (cluster->next > c->now) {
        buf_add(&buf, S("; the next one goes at "));
        queue_put_when(&buf, cluster->next, c->now);
    }
    buf_add(&buf, S("."));
    if (cluster->doing.len)
        buf_addf(&buf, " What we do: %.*s.", STR_ARG(cluster->doing));
    if (!arena_copy(c->arena, buf_str(&buf), &cluster->summary))
        c->full = true;
    buf_done(&buf);
}

static void
finish_tally(struct counting *c, struct tally *tally)
{
    struct queue_cluster *cluster = &tally->cluster;
    struct advice advice = {
        .which = cluster->words,
        .id = cluster->sample,
        .rule = tally->rule,
        .address = tally->address,
        .code = tally->code,
        .enhanced = tally->enhanced,
    };

    find_main_place(tally, &advice.place);
    if (cluster->reason.len == 0)
        cluster->reason = S("(others)");
    if (!advice_give(tally->advice, tally->reply_class, &advice, c->arena, &cluster->advice,
                     cluster->commands, &cluster->command_count))
        c->full = true;
}

static int
compare_clusters(const void *a, const void *b)
{
    const struct tally *const *first = a, *const *second = b;

    return ((*first)->cluster.count < (*second)->cluster.count) -
           ((*first)->cluster.count > (*second)->cluster.count);
}

enum err
queue_clusters(struct queue *queue, const struct queue_query *query, struct arena *arena,
               struct queue_cluster **clusters, size_t *count, uint64_t *one_in)
{
    struct counting c = {
        .queue = queue,
        .query = query,
        .arena = arena,
        .groups_max = CLUSTERS_MAX,
        .by = SHAPE_PROVIDER,
        .knows_row = cluster_knows,
        .count_row = cluster_row,
        .count_view = cluster_view,
    };
    enum err e = count_all(&c);
    struct queue_cluster *sorted = NULL;
    void **list = groups_of(&c, count);

    if (list)
        sorted = arena_new_array(arena, struct queue_cluster, *count + 1);
    for (size_t i = 0; sorted && i < *count; i++)
        finish_tally(&c, list[i]);
    if (sorted && !e)
        note_doings(&c, list, *count);
    if (sorted) {
        qsort(list, *count, sizeof(*list), compare_clusters);
        for (size_t i = 0; i < *count; i++) {
            sorted[i] = ((struct tally *)list[i])->cluster;
            summarize(&c, &sorted[i]);
        }
    }
    if (!e && (c.full || !sorted))
        e = ERR_LIMIT;
    *one_in = MAX(c.stride, (size_t)1);
    counting_done(&c);
    *clusters = sorted;
    return e;
}
