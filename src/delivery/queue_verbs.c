/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* queue_verbs.c: what operators ask of the queue, and do to it.
 *
 * The tables know ids, times, states and sites; addresses stand in the spool.  So a query first
 * picks candidates from the tables, under the lock, by the words that the tables can answer; then
 * reads each one's envelope and note, without it, and looks closer.  A change of what must survive
 * a restart (held, bounced, deleted) goes through settle(), like any result.  Start reading at
 * queue_list().
 */
#include "delivery/queue_inside.h"

#include "base/must.h"
#include "formats/date.h"
#include "runtime/clock.h"

#include <stdlib.h>
#include <string.h>

enum {
    LOOKS_AT_ONCE = 64
};

/* What the tables say of one recipient, copied out. */
struct row_view {
    uint8_t state; /* enum schedule_state */
    bool held;
    bool kept; /* By a standing rule. */
    uint32_t attempts;
    instant due;
    str site;
    str wait; /* What keeps the site, in words; until when, if that is known. */
    instant wait_until;
};

struct message_view {
    msgid id;
    struct row_view *rows;
    uint32_t row_count;
    instant expires;
    struct envelope envelope;
    struct progress progress;
};

/* --- Queries. */

static const char *const state_names[] = {
    [ROW_SCHEDULED] = "scheduled",
    [ROW_READY] = "ready",
    [ROW_RUNNING] = "running",
    [ROW_HELD] = "held",
};

static bool
parse_state(str text, unsigned *state)
{
    for (unsigned i = 0; i < COUNT_OF(state_names); i++)
        if (str_eq_nocase(text, str_from(state_names[i]))) {
            *state = i;
            return true;
        }
    return false;
}

/* ">2h", "<30m": the sign says which word it is. */
static bool
parse_age(str text, enum queue_word *word, duration *age)
{
    uint64_t number;
    duration unit;

    if (text.len < 3 || (text.ptr[0] != '>' && text.ptr[0] != '<'))
        return false;
    *word = text.ptr[0] == '>' ? QUEUE_OLDER : QUEUE_YOUNGER;
    switch (text.ptr[text.len - 1]) {
    case 's':
        unit = SECONDS(1);
        break;
    case 'm':
        unit = MINUTES(1);
        break;
    case 'h':
        unit = HOURS(1);
        break;
    case 'd':
        unit = DAYS(1);
        break;
    default:
        return false;
    }
    if (!str_to_u64(str_skip(str_head(text, text.len - 1), 1), &number) || number > 100000)
        return false;
    *age = (duration)number * unit;
    return true;
}

static enum err
parse_word(str text, struct queue_query *query, struct why *why)
{
    typeof(&query->words[0]) word = &query->words[query->count];
    str name, value;
    bool good = true;

    word->text = text;
    if (!str_split(text, ':', &name, &value)) {
        word->word = QUEUE_ID;
        if (!msgid_parse(text, &word->id))
            return err_why(why, ERR_SYNTAX,
                           "\"%.*s\" is no word of a query and no id; words are id: to: from: "
                           "domain: account: state: age:",
                           STR_ARG(str_head(text, 60)));
        query->count++;
        return OK;
    }
    word->text = value;
    if (str_eq(name, S("id")))
        word->word = QUEUE_ID, good = msgid_parse(value, &word->id);
    else if (str_eq(name, S("to")))
        word->word = QUEUE_TO;
    else if (str_eq(name, S("from")))
        word->word = QUEUE_FROM;
    else if (str_eq(name, S("domain")))
        word->word = QUEUE_DOMAIN;
    else if (str_eq(name, S("account")))
        word->word = QUEUE_ACCOUNT;
    else if (str_eq(name, S("state")))
        word->word = QUEUE_STATE, good = parse_state(value, &word->state);
    else if (str_eq(name, S("age")))
        good = parse_age(value, &word->word, &word->age);
    else
        return err_why(why, ERR_SYNTAX,
                       "\"%.*s:\" is no word of a query; words are id: to: from: "
                       "domain: account: state: age:",
                       STR_ARG(str_head(name, 60)));
    if (!good)
        return err_why(why, ERR_SYNTAX,
                       "\"%.*s\" does not fit; write for example id:01J..., "
                       "state:held or age:>2h",
                       STR_ARG(str_head(text, 60)));
    query->count++;
    return OK;
}

enum err
queue_query_parse(str text, struct queue_query *query, struct why *why)
{
    struct queue_query read = {};
    str rest = str_trim(text);
    str word;

    while (rest.len > 0) {
        enum err e;
        if (!str_split(rest, ' ', &word, &rest))
            rest = S("");
        rest = str_trim(rest);
        if (read.count == QUEUE_QUERY_WORDS)
            return err_why(why, ERR_LIMIT, "a query has at most %d words", QUEUE_QUERY_WORDS);
        e = parse_word(word, &read, why);
        if (e)
            return e;
    }
    *query = read;
    return OK;
}

bool
queue_verb_parse(str text, enum queue_verb *verb)
{
    static const char *const names[] = {
        [QUEUE_RETRY] = "retry",   [QUEUE_HOLD] = "hold",     [QUEUE_RELEASE] = "release",
        [QUEUE_BOUNCE] = "bounce", [QUEUE_DELETE] = "delete",
    };

    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (str_eq_nocase(text, str_from(names[i]))) {
            *verb = (enum queue_verb)i;
            return true;
        }
    return false;
}

/* "ann@example.org" whole, "@example.org" at the end, anything else anywhere. */
static bool
address_matches(str address, str wanted)
{
    if (str_starts(wanted, S("@")))
        return str_ends_nocase(address, wanted);
    if (str_find(wanted, '@') > 0)
        return str_eq_nocase(address, wanted);
    return wanted.len == 0 || str_find_nocase(address, wanted) >= 0;
}

static bool
domain_matches(str address, str wanted)
{
    ssize_t at = str_find_last(address, '@');

    return at >= 0 && str_eq_nocase(str_skip(address, (size_t)at + 1), wanted);
}

static bool
recipient_matches(const struct message_view *view, const struct queue_query *query, uint32_t index,
                  instant now)
{
    const struct envelope *envelope = &view->envelope;
    str address = envelope->recipients[index].address;

    if (view->rows[index].state == ROW_DONE)
        return false;
    for (size_t i = 0; i < query->count; i++) {
        typeof(&query->words[0]) word = &query->words[i];
        duration age = now - envelope->received_at;
        bool holds = false;
        switch (word->word) {
        case QUEUE_ID:
            holds = msgid_cmp(view->id, word->id) == 0;
            break;
        case QUEUE_TO:
            holds = address_matches(address, word->text);
            break;
        case QUEUE_FROM:
            holds = address_matches(envelope->reverse_path, word->text);
            break;
        case QUEUE_DOMAIN:
            holds = domain_matches(address, word->text);
            break;
        case QUEUE_ACCOUNT:
            holds = address_matches(envelope->account, word->text);
            break;
        case QUEUE_STATE:
            holds = view->rows[index].state == word->state;
            break;
        case QUEUE_OLDER:
            holds = age > word->age;
            break;
        case QUEUE_YOUNGER:
            holds = age < word->age;
            break;
        }
        if (!holds)
            return false;
    }
    return true;
}

/* --- Candidates. */

struct candidates {
    msgid *ids;
    size_t count;
};

static int
compare_ids(const void *a, const void *b)
{
    return msgid_cmp(*(const msgid *)a, *(const msgid *)b);
}

/* What the tables can say against MESSAGE without its envelope. */
static bool
may_match(const struct schedule_message *message, const struct queue_query *query, instant now)
{
    for (size_t i = 0; i < query->count; i++) {
        duration age = now - message->received_at;
        if ((query->words[i].word == QUEUE_OLDER && age <= query->words[i].age) ||
            (query->words[i].word == QUEUE_YOUNGER && age >= query->words[i].age) ||
            (query->words[i].word == QUEUE_ID && msgid_cmp(message->id, query->words[i].id) != 0))
            return false;
        if (query->words[i].word == QUEUE_STATE) {
            bool any = false;
            for (uint32_t row = 0; row < message->row_count && !any; row++)
                any = message->rows[row].state == query->words[i].state;
            if (!any)
                return false;
        }
    }
    return true;
}

/* Under the lock; to be freed. */
static enum err
find_candidates(struct queue *queue, const struct queue_query *query, struct candidates *found)
{
    struct schedule_message *message = NULL;
    instant now = clock_now();

    *found = (struct candidates){};
    found->ids = calloc(queue->schedule.message_count + 1, sizeof(msgid));
    if (!found->ids)
        return ERR_LIMIT;
    for (size_t i = 0; i < query->count; i++)
        if (query->words[i].word == QUEUE_ID) {
            message = schedule_find(&queue->schedule, query->words[i].id);
            if (message)
                found->ids[found->count++] = message->id;
            return OK;
        }
    while ((message = schedule_next_message(&queue->schedule, message)))
        if (message->waiting > 0 && may_match(message, query, now))
            found->ids[found->count++] = message->id;
    return OK;
}

static enum err
candidates_get(struct queue *queue, const struct queue_query *query, struct candidates *found)
{
    enum err e;

    pthread_mutex_lock(&queue->lock);
    e = find_candidates(queue, query, found);
    pthread_mutex_unlock(&queue->lock);
    if (!e)
        qsort(found->ids, found->count, sizeof(msgid), compare_ids);
    return e;
}

/* Conversations on this loop do not wait for a long queue to be looked through. */
WAITS static void
share_core(size_t count)
{
    if (count % LOOKS_AT_ONCE == LOOKS_AT_ONCE - 1)
        fiber_yield();
}

/* --- A closer look. */

/* Under the lock. */
static enum err
copy_rows(struct queue *queue, const struct schedule_message *message, struct arena *arena,
          struct message_view *view)
{
    const struct schedule_site *last = NULL;
    struct schedule_wait wait = {};
    str site = S(""), text = S("");

    view->row_count = message->row_count;
    view->expires = schedule_expiry(&queue->schedule, message);
    view->rows = arena_new_array(arena, struct row_view, message->row_count);
    if (!view->rows)
        return ERR_LIMIT;
    for (uint32_t i = 0; i < message->row_count; i++) {
        const struct schedule_row *row = &message->rows[i];
        struct row_view *copy = &view->rows[i];
        copy->state = row->state;
        if (row->state == ROW_DONE)
            continue;
        if (row->target->site != last) {
            last = row->target->site;
            schedule_site_why(&queue->schedule, last, clock_now(), &wait);
            if (!arena_copy(arena, str_from(last->key), &site) ||
                !arena_copy(arena, str_from(wait.text), &text))
                return ERR_LIMIT;
        }
        *copy = (struct row_view){
            .state = row->state,
            .held = row->held,
            .kept = row->kept,
            .attempts = row->attempts,
            .due = row->due,
            .site = site,
            .wait = text,
            .wait_until = wait.until,
        };
    }
    return OK;
}

/* ERR_NOT_FOUND when it has left meanwhile. */
WAITS static enum err
look_at(struct queue *queue, msgid id, struct arena *arena, struct message_view *view)
{
    struct schedule_message *message;
    enum err e = ERR_NOT_FOUND;
    str envelope, note;

    *view = (struct message_view){ .id = id };
    pthread_mutex_lock(&queue->lock);
    message = schedule_find(&queue->schedule, id);
    if (message)
        e = copy_rows(queue, message, arena, view);
    pthread_mutex_unlock(&queue->lock);
    if (!e)
        e = spool_get(queue->spool, id, arena, &envelope, &note, NULL);
    if (!e)
        e = envelope_decode(envelope, arena, &view->envelope);
    if (!e && view->envelope.recipient_count != view->row_count)
        e = ERR_CORRUPT;
    if (!e && (note.len == 0 || progress_decode(note, arena, &view->progress) ||
               view->progress.recipient_count != view->row_count))
        e = progress_init(&view->progress, arena, view->row_count, view->envelope.received_at);
    return e;
}

/* --- In words. */

static str
sentence(struct arena *arena, const struct row_view *row, const struct recipient_progress *progress)
{
    char when[DATE_TEXT_MAX];
    str text = S("");
    bool made = true;

    switch (row->state) {
    case ROW_HELD:
        return S("It is held, until somebody releases it.");
    case ROW_RUNNING:
        made = arena_printf(arena, &text, "A delivery to %.*s is under way.", STR_ARG(row->site));
        break;
    case ROW_SCHEDULED:
        date_format_rfc3339(row->due, false, when);
        if (progress->text.len)
            made = arena_printf(arena, &text,
                                "The last attempt failed (%.*s%s%.*s); the next one is at %s.",
                                STR_ARG(progress->remote), progress->remote.len ? ": " : "",
                                STR_ARG(progress->text), when);
        else
            made = arena_printf(arena, &text, "It waits for its time, %s.", when);
        break;
    case ROW_READY:
        date_format_rfc3339(row->wait_until, false, when);
        made = arena_printf(arena, &text, "It waits: %.*s%s%s.", STR_ARG(row->wait),
                            row->wait_until ? "; it goes on at " : "", row->wait_until ? when : "");
        break;
    default:
        return S("");
    }
    return made ? text : S("");
}

static void
fill_recipient(struct arena *arena, const struct message_view *view, uint32_t index, bool matches,
               struct queue_recipient *to)
{
    const struct recipient_progress *progress = &view->progress.recipients[index];
    const struct row_view *row = &view->rows[index];
    bool done = row->state == ROW_DONE;
    str asked = row->state == ROW_SCHEDULED ? handling_why(arena, &view->envelope, clock_now())
                                            : S("");

    *to = (struct queue_recipient){
        .index = index,
        .address = view->envelope.recipients[index].address,
        .state = done ? recipient_state_name(progress->state) : state_names[row->state],
        .matches = matches,
        .attempts = done ? progress->attempts : row->attempts,
        .next_attempt = row->state == ROW_SCHEDULED ? row->due
                        : row->state == ROW_READY   ? row->wait_until
                                                    : 0,
        .expires = view->expires,
        .site = row->site,
        .code = progress->code,
        .enhanced = progress->enhanced,
        .text = progress->text,
        .remote = progress->remote,
        .why = asked.len ? asked : sentence(arena, row, progress),
    };
}

static enum err
fill_entry(struct arena *arena, const struct message_view *view, const struct queue_query *query,
           struct queue_entry *entry, bool *matches)
{
    instant now = clock_now();

    *entry = (struct queue_entry){
        .id = view->id,
        .received_at = view->envelope.received_at,
        .size = view->envelope.size,
        .sender = view->envelope.reverse_path,
        .account = view->envelope.account,
        .header_message_id = view->envelope.header_message_id,
        .lane = view->envelope.lane,
        .lane_why = view->envelope.lane_why,
        .priority = view->envelope.priority,
        .recipients = arena_new_array(arena, struct queue_recipient, view->row_count),
        .recipient_count = view->row_count,
    };
    *matches = false;
    if (!entry->recipients)
        return ERR_LIMIT;
    for (uint32_t i = 0; i < view->row_count; i++) {
        bool this_one = recipient_matches(view, query, i, now);
        fill_recipient(arena, view, i, this_one, &entry->recipients[i]);
        *matches = *matches || this_one;
    }
    return OK;
}

enum err
queue_list(struct queue *queue, const struct queue_query *query, size_t max, struct arena *arena,
           struct queue_entry **entries, size_t *count, bool *more)
{
    struct candidates found;
    struct queue_entry *list;
    size_t listed = 0;
    bool others = false;
    enum err e = candidates_get(queue, query, &found);

    if (e)
        return e;
    list = arena_new_array(arena, struct queue_entry, MIN(max, found.count) + 1);
    if (!list)
        e = ERR_LIMIT;
    for (size_t i = 0; !e && i < found.count && !others; i++) {
        struct message_view view;
        bool matches = false;
        share_core(i);
        e = look_at(queue, found.ids[i], arena, &view);
        if (!e)
            e = fill_entry(arena, &view, query, &list[listed], &matches);
        if (!e && matches && listed == max)
            others = true;
        else if (!e && matches)
            listed++;
        if (e == ERR_NOT_FOUND || e == ERR_CORRUPT)
            e = OK;
    }
    free(found.ids);
    if (e)
        return e;
    *entries = list;
    *count = listed;
    *more = others;
    return OK;
}

/* --- Acts. */

struct act {
    struct queue *queue;
    const struct queue_action *action;
    struct arena arena;
    struct result *results;
    size_t result_count;
};

static enum event_kind
event_kind_of(enum queue_verb verb)
{
    switch (verb) {
    case QUEUE_HOLD:
        return EVENT_HELD;
    case QUEUE_RELEASE:
        return EVENT_RELEASED;
    case QUEUE_BOUNCE:
        return EVENT_BOUNCED;
    case QUEUE_DELETE:
        return EVENT_CANCELLED;
    default:
        return EVENT_SCHEDULED;
    }
}

static void
record_act(const struct act *act, const struct message_view *view, uint32_t index)
{
    struct event event = {
        .kind = event_kind_of(act->action->verb),
        .message = view->id,
        .sender = view->envelope.reverse_path,
        .recipient = view->envelope.recipients[index].address,
        .recipient_index = index,
        .account = view->envelope.account,
        .reason = act->action->reason,
        .actor = act->action->actor,
    };

    if (act->queue->events)
        events_record(act->queue->events, &event);
}

static void
add_result(struct act *act, struct schedule_row *row, enum outcome outcome, const char *text)
{
    act->results[act->result_count++] = (struct result){
        .row = row,
        .outcome = outcome,
        .enhanced = outcome == OUTCOME_FAILED ? "5.0.0" : "",
        .text = text,
        .remote = "",
        .is_attempt = outcome == OUTCOME_FAILED,
        .not_before = row->due,
    };
}

/* An operator wants it to go, whatever a standing rule says. */
static void
leave_rule(struct schedule *schedule, struct schedule_row *row)
{
    row->exempt = true;
    schedule_row_unkeep(schedule, row, clock_now());
}

/* Under the lock.  False when the row is under way, or the verb does not concern it. */
static bool
act_on_row(struct act *act, struct schedule_row *row)
{
    struct schedule *schedule = &act->queue->schedule;
    str text = S("Returned by the administrator");

    switch (act->action->verb) {
    case QUEUE_RETRY:
        if (row->kept)
            leave_rule(schedule, row);
        else if (!schedule_retry(schedule, row, clock_now()))
            return false;
        return true;
    case QUEUE_HOLD:
        if (row->held || !schedule_seize(schedule, row))
            return false;
        row->held = true;
        add_result(act, row, OUTCOME_UNCHANGED, "");
        return true;
    case QUEUE_RELEASE:
        if (row->kept) {
            leave_rule(schedule, row);
            return true;
        }
        if (!row->held || !schedule_seize(schedule, row))
            return false;
        row->held = false;
        add_result(act, row, OUTCOME_UNCHANGED, "");
        return true;
    case QUEUE_BOUNCE:
        if (!schedule_seize(schedule, row))
            return false;
        if (act->action->reason.len)
            (void)arena_printf(&act->arena, &text, "Returned by the administrator: %.*s",
                               STR_ARG(act->action->reason));
        add_result(act, row, OUTCOME_FAILED, text.ptr);
        return true;
    case QUEUE_DELETE:
        if (!schedule_seize(schedule, row))
            return false;
        add_result(act, row, OUTCOME_DELETED, "");
        return true;
    }
    return false;
}

static bool
would_act(const struct queue_action *action, const struct row_view *row)
{
    if (row->state == ROW_DONE || row->state == ROW_RUNNING)
        return false;
    if (row->kept && (action->verb == QUEUE_RETRY || action->verb == QUEUE_RELEASE))
        return true;
    if (action->verb == QUEUE_RETRY)
        return row->state != ROW_HELD;
    if (action->verb == QUEUE_HOLD || action->verb == QUEUE_RELEASE)
        return row->held == (action->verb == QUEUE_RELEASE);
    return true;
}

/* Those of VIEW's recipients that match. */
WAITS static uint64_t
act_on_message(struct act *act, const struct message_view *view, const bool *chosen)
{
    struct queue *queue = act->queue;
    struct schedule_message *message;
    uint64_t count = 0;

    act->result_count = 0;
    pthread_mutex_lock(&queue->lock);
    message = schedule_find(&queue->schedule, view->id);
    if (!message || message->row_count != view->row_count) {
        pthread_mutex_unlock(&queue->lock);
        return 0;
    }
    message->users++;
    for (uint32_t i = 0; i < message->row_count; i++)
        if (chosen[i] && act_on_row(act, &message->rows[i])) {
            record_act(act, view, i);
            count++;
        }
    /* Not row by row: what can go in one transaction should. */
    for (uint32_t i = 0; i < message->row_count; i++)
        if (chosen[i] && message->rows[i].state == ROW_READY)
            queue_feed_idle(queue, message->rows[i].target->site);
    pthread_mutex_unlock(&queue->lock);
    if (act->result_count > 0)
        settle(&queue->loops[runtime_loop_current()], message, NULL, act->results,
               act->result_count);
    pthread_mutex_lock(&queue->lock);
    (void)schedule_message_release(&queue->schedule, message);
    pthread_mutex_unlock(&queue->lock);
    return count;
}

WAITS static enum err
consider(struct act *act, const struct queue_query *query, msgid id, uint64_t *count)
{
    struct message_view view;
    instant now = clock_now();
    bool *chosen;
    enum err e;

    arena_clear(&act->arena);
    e = look_at(act->queue, id, &act->arena, &view);
    if (e)
        return e == ERR_NOT_FOUND || e == ERR_CORRUPT ? OK : e;
    chosen = arena_new_array(&act->arena, bool, view.row_count);
    act->results = arena_new_array(&act->arena, struct result, view.row_count);
    if (!chosen || !act->results)
        return ERR_LIMIT;
    for (uint32_t i = 0; i < view.row_count; i++) {
        chosen[i] =
            recipient_matches(&view, query, i, now) && would_act(act->action, &view.rows[i]);
        if (act->action->dry_run && chosen[i])
            (*count)++;
    }
    if (!act->action->dry_run)
        *count += act_on_message(act, &view, chosen);
    return OK;
}

enum err
queue_act(struct queue *queue, const struct queue_query *query, const struct queue_action *action,
          uint64_t *count)
{
    struct act act = { .queue = queue, .action = action };
    struct candidates found;
    uint64_t concerned = 0;
    enum err e;

    if (queue->loop_count == 0)
        return ERR_BUSY;
    e = candidates_get(queue, query, &found);
    if (e)
        return e;
    arena_init(&act.arena, ATTEMPT_ARENA_MAX);
    for (size_t i = 0; !e && i < found.count; i++) {
        share_core(i);
        e = consider(&act, query, found.ids[i], &concerned);
    }
    arena_done(&act.arena);
    free(found.ids);
    queue_ring(queue);
    *count = concerned;
    return e;
}
