/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* schedule_turns.c: whose turn it is.
 *
 *     schedule.runnable: ranks -> sites -> queues: ranks -> queues of targets -> turns -> rows
 *
 * A turnstile serves codes before all others, and these by weight: each rank has a pass that grows
 * by its stride when it is served, and the least pass is next.  A rank that comes back after a
 * pause starts where the others are, so that nobody saves up turns.
 *
 * A queue exists as long as its target has ready rows in its rank.  It has one list, for one
 * sender, until a second one comes; then SCHEDULE_TURNS lists by a hash of the sender, served in
 * turn: a newsletter fills one list and delays the others by one batch at a time.
 *
 * Start reading at schedule_take().
 */
#include "delivery/schedule/schedule_inside.h"

#include <stdlib.h>

/* For 64 : 32 : 16 : 4 : 1, so that personal : notice : bulk is 8 : 4 : 1. */
static const uint32_t strides[RANK_COUNT] = { 0, 1, 2, 4, 16, 64 };

struct schedule_queue {
    struct schedule_queue *next; /* Of the same target. */
    struct schedule_target *target;
    struct link link;   /* In site.queues. */
    struct link *turns; /* SCHEDULE_TURNS, or the one below. */
    struct link single; /* For the sender ONLY. */
    uint16_t filled;    /* A bit for each turn that has rows. */
    uint8_t turn;       /* Whose turn it was last. */
    uint8_t rank;
    uint8_t only;
};

/* --- Turnstiles. */

void
turnstile_init(struct turnstile *turnstile)
{
    *turnstile = (struct turnstile){};
    for (size_t i = 0; i < RANK_COUNT; i++)
        list_init(&turnstile->lists[i]);
}

int
turnstile_best(const struct turnstile *turnstile)
{
    for (int rank = 0; rank < RANK_COUNT; rank++)
        if (!list_is_empty(&turnstile->lists[rank]))
            return rank;
    return -1;
}

/* Passes wrap around; no two in use are far from each other. */
static bool
is_before(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b) < 0;
}

int
turnstile_next(const struct turnstile *turnstile)
{
    int next = turnstile_best(turnstile);

    if (next == RANK_CODE)
        return next;
    for (int rank = next + 1; next >= 0 && rank < RANK_COUNT; rank++)
        if (!list_is_empty(&turnstile->lists[rank]) &&
            is_before(turnstile->passes[rank], turnstile->passes[next]))
            next = rank;
    return next;
}

void
turnstile_enter(struct turnstile *turnstile, unsigned rank, struct link *item)
{
    if (list_is_empty(&turnstile->lists[rank]) &&
        is_before(turnstile->passes[rank], turnstile->now))
        turnstile->passes[rank] = turnstile->now;
    list_append(&turnstile->lists[rank], item);
}

void
turnstile_charge(struct turnstile *turnstile, unsigned rank)
{
    if (rank == RANK_CODE)
        return;
    turnstile->now = turnstile->passes[rank];
    turnstile->passes[rank] += strides[rank];
}

enum schedule_rank
schedule_rank_of(enum lane lane, int priority)
{
    static const int ranks[LANE_COUNT] = { RANK_CODE, RANK_PERSONAL, RANK_NOTICE, RANK_BULK };
    int rank = ranks[lane] - priority / 4;

    if (lane == LANE_CODE)
        return priority <= -4 ? RANK_URGENT : RANK_CODE;
    return (enum schedule_rank)MAX((int)RANK_URGENT, MIN(rank, (int)RANK_LATER));
}

/* --- Queues. */

static unsigned
slot_of(const struct schedule_row *row)
{
    return (unsigned)(row->message->sender % SCHEDULE_TURNS);
}

static struct schedule_queue *
queue_find(const struct schedule_target *target, unsigned rank)
{
    struct schedule_queue *queue = target->queues;

    while (queue && queue->rank != rank)
        queue = queue->next;
    return queue;
}

static struct schedule_queue *
queue_new(struct schedule_target *target, unsigned rank, unsigned only)
{
    struct schedule_queue *queue = calloc(1, sizeof(*queue));

    must(queue);
    queue->target = target;
    queue->rank = (uint8_t)rank;
    queue->only = (uint8_t)only;
    queue->turns = &queue->single;
    list_init(&queue->single);
    queue->next = target->queues;
    target->queues = queue;
    return queue;
}

static void
queue_free(struct schedule_queue *queue)
{
    struct schedule_queue **at = &queue->target->queues;

    while (*at != queue)
        at = &(*at)->next;
    *at = queue->next;
    list_remove(&queue->link);
    if (queue->turns != &queue->single)
        free(queue->turns);
    free(queue);
}

/* A second sender has come. */
static void
queue_widen(struct schedule_queue *queue)
{
    struct link *turns = calloc(SCHEDULE_TURNS, sizeof(*turns));
    struct link *own;

    must(turns);
    for (size_t i = 0; i < SCHEDULE_TURNS; i++)
        list_init(&turns[i]);
    own = &turns[queue->only];
    if (!list_is_empty(&queue->single)) {
        *own = queue->single;
        own->next->prev = own;
        own->prev->next = own;
    }
    queue->turns = turns;
}

static struct link *
turn_of(struct schedule_queue *queue, unsigned slot)
{
    if (queue->turns != &queue->single)
        return &queue->turns[slot];
    must(slot == queue->only);
    return &queue->single;
}

void
schedule_turns_enter(struct schedule *schedule, struct schedule_row *row, bool in_front)
{
    struct schedule_target *target = row->target;
    unsigned rank = row->message->rank;
    unsigned slot = slot_of(row);
    struct schedule_queue *queue = queue_find(target, rank);
    bool is_new = !queue;

    if (!queue)
        queue = queue_new(target, rank, slot);
    else if (queue->turns == &queue->single && slot != queue->only)
        queue_widen(queue);
    if (in_front)
        list_prepend(turn_of(queue, slot), &row->link);
    else
        list_append(turn_of(queue, slot), &row->link);
    queue->filled |= (uint16_t)(1U << slot);
    schedule->ready_count++;
    target->ready++;
    if (is_new) {
        turnstile_enter(&target->site->queues, rank, &queue->link);
        schedule_site_update(schedule, target->site);
    }
}

/* The queue that is left, or NULL. */
static struct schedule_queue *
queue_leave(struct schedule *schedule, struct schedule_queue *queue, struct schedule_row *row)
{
    unsigned slot = slot_of(row);

    list_remove(&row->link);
    schedule->ready_count--;
    queue->target->ready--;
    if (list_is_empty(turn_of(queue, slot)))
        queue->filled &= (uint16_t) ~(1U << slot);
    if (queue->filled)
        return queue;
    queue_free(queue);
    return NULL;
}

void
schedule_turns_leave(struct schedule *schedule, struct schedule_row *row)
{
    struct schedule_queue *queue = queue_find(row->target, row->message->rank);

    must(queue);
    if (!queue_leave(schedule, queue, row))
        schedule_site_update(schedule, row->target->site);
}

void
schedule_turns_move(struct schedule *schedule, struct schedule_target *target,
                    struct schedule_site *site)
{
    (void)schedule;
    for (struct schedule_queue *queue = target->queues; queue; queue = queue->next) {
        list_remove(&queue->link);
        turnstile_enter(&site->queues, queue->rank, &queue->link);
    }
}

static struct schedule_row *
any_row(struct schedule_queue *queue)
{
    unsigned slot = (unsigned)__builtin_ctz(queue->filled);

    return CONTAINER_OF(turn_of(queue, slot)->next, struct schedule_row, link);
}

size_t
schedule_target_seize(struct schedule *schedule, struct schedule_target *target,
                      struct schedule_row **rows, size_t max)
{
    size_t count = 0;

    while (count < max && target->queues) {
        struct schedule_row *row = any_row(target->queues);
        must(schedule_seize(schedule, row));
        rows[count++] = row;
    }
    return count;
}

void
schedule_turns_free(struct schedule_target *target)
{
    while (target->queues)
        queue_free(target->queues);
}

/* --- Turns. */

static struct link *
next_turn(struct schedule_queue *queue)
{
    must(queue->filled);
    if (queue->turns == &queue->single)
        return &queue->single;
    do
        queue->turn = (uint8_t)((queue->turn + 1) % SCHEDULE_TURNS);
    while (!(queue->filled & 1U << queue->turn));
    return &queue->turns[queue->turn];
}

/* What the groups of SITE say of the size of a transaction. */
static unsigned
transaction_max(const struct schedule_site *site, unsigned max)
{
    for (size_t i = 0; i < SCOPE_COUNT; i++)
        if (site->groups[i] && site->groups[i]->pace)
            max = pace_least(max, site->groups[i]->pace->recipients_per_transaction);
    return max;
}

static void
take_rows(struct schedule *schedule, struct schedule_queue *queue, unsigned max,
          struct schedule_batch *batch)
{
    struct schedule_site *site = queue->target->site;
    struct link *turn = next_turn(queue);
    unsigned rank = queue->rank;

    batch->message = CONTAINER_OF(turn->next, struct schedule_row, link)->message;
    while (queue && batch->count < max && !list_is_empty(turn)) {
        struct schedule_row *row = CONTAINER_OF(turn->next, struct schedule_row, link);
        if (row->message != batch->message)
            break;
        queue = queue_leave(schedule, queue, row);
        schedule_row_out(schedule, row);
        row->state = ROW_RUNNING;
        list_append(&batch->rows, &row->link);
        batch->count++;
    }
    turnstile_charge(&site->queues, rank);
    if (queue) {
        list_remove(&queue->link);
        list_append(&site->queues.lists[rank], &queue->link);
    }
}

bool
schedule_take(struct schedule *schedule, struct schedule_site *site, unsigned max, instant now,
              struct schedule_batch *batch)
{
    struct schedule_queue *queue;
    struct schedule_group *closed;
    instant until;
    int rank = turnstile_next(&site->queues);

    if (rank < 0 || (site->waits_for_time && (rank != RANK_CODE || site->waits_with_code)))
        return false;
    closed = schedule_site_closed(site, rank == RANK_CODE, now, &until);
    if (closed) {
        schedule_site_await(schedule, site, closed, until);
        return false;
    }
    queue = CONTAINER_OF(site->queues.lists[rank].next, struct schedule_queue, link);
    *batch = (struct schedule_batch){ .target = queue->target, .taken_at = now };
    list_init(&batch->rows);
    batch->target->users++;
    take_rows(schedule, queue, MAX(transaction_max(site, max), 1U), batch);
    batch->message->users++;
    schedule_site_charge(schedule, site, rank == RANK_CODE, now);
    schedule_site_update(schedule, site);
    return true;
}

/* --- Sites. */

bool
schedule_has_work(const struct schedule *schedule)
{
    return turnstile_best(&schedule->runnable) >= 0;
}

/* The site whose turn it is goes behind the others, if it still wants something. */
static void
rotate(struct schedule *schedule, struct schedule_site *site, unsigned rank)
{
    turnstile_charge(&schedule->runnable, rank);
    if (list_holds(&site->runnable)) {
        list_remove(&site->runnable);
        list_append(&schedule->runnable.lists[site->runnable_rank], &site->runnable);
    }
}

/* The site whose turn it is, and whether a connection that waits there shall serve it.  Sites that
 * turn out to have no room go to wait. */
static struct schedule_site *
next_site(struct schedule *schedule, instant now, int *rank)
{
    for (;;) {
        struct schedule_site *site;
        struct schedule_group *closed;
        instant until;
        bool is_code;

        *rank = turnstile_next(&schedule->runnable);
        if (*rank < 0)
            return NULL;
        site = CONTAINER_OF(schedule->runnable.lists[*rank].next, struct schedule_site, runnable);
        is_code = *rank == RANK_CODE;
        closed = schedule_site_closed(site, is_code, now, &until);
        if (closed)
            schedule_site_await(schedule, site, closed, until);
        else if (!list_is_empty(&site->idle))
            return site;
        else if (!schedule_has_slot(schedule, is_code))
            return NULL;
        else if (schedule_site_has_slot(schedule, site, is_code))
            return site;
        else
            schedule_site_update(schedule, site);
    }
}

bool
schedule_next(struct schedule *schedule, unsigned max, instant now, struct schedule_work *work)
{
    struct schedule_site *site;
    int rank;

    site = next_site(schedule, now, &rank);
    if (!site)
        return false;
    work->site = site;
    work->for_idle = !list_is_empty(&site->idle);
    if (!work->for_idle)
        schedule_site_take_slot(schedule, site);
    must(schedule_take(schedule, site, max, now, &work->batch));
    rotate(schedule, site, (unsigned)rank);
    return true;
}

