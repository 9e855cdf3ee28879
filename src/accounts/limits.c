/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* limits.c: rolling counts of what was sent, with reservations.
 *
 * A tally exists for each account, each domain and the system.  It holds 145 pieces of ten
 * minutes, found by number modulo 145, so nothing has to be moved as time goes on: a piece that is
 * too old does not count.  A message so counts for 24 hours and up to ten minutes more.  What an
 * open ticket will add stands in `reserved` and counts already.
 *
 * Start reading at limits_begin().
 */
#include "accounts/limits.h"

#include "accounts/account.h"
#include "base/list.h"
#include "base/map.h"
#include "base/must.h"
#include "runtime/clock.h"
#include "runtime/fiber.h"
#include "runtime/log.h"
#include "runtime/wait.h"
#include "store/directory.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum {
    PIECES = 145,
    KNOWN_MAX =
        100000,      /* Recipients remembered for each account; further ones do not count as new. */
    NEW_MAX = 10000, /* New recipients in one message. */
    SCOPE_SIZE_MAX = 300,
    UNSAVED_MAX = 100000,
};
#define PIECE      MINUTES(10)
#define SAVE_EVERY SECONDS(1)

/* clang-format off */
static const struct limits_rules presets[] = {
    /* name          recipients  messages  first-time */
    { "gmail",       100,        500,      0   },
    { "workspace",   500,        2000,     0   },
    { "small-host",  100,        1000,     200 },
    { "unlimited",   0,          0,        0   },
};
static const struct limits_rules no_rules = { "", 0, 0, 0 };
/* clang-format on */

struct counts {
    uint32_t messages;
    uint32_t recipients;
    uint32_t first_time;
};

struct piece {
    int64_t number; /* Wall time divided by PIECE. */
    struct counts counts;
};

struct unsaved {
    struct unsaved *next;
    struct tally *tally;
    struct piece piece;
};

struct tally {
    struct piece pieces[PIECES];
    struct counts reserved;
    struct unsaved *unsaved; /* The last entry in the list that is ours, or NULL. */
    struct map known;        /* Accounts with a limit for new recipients: whom they have sent to. */
    bool known_loaded;
    char scope[];
};

struct new_known {
    struct new_known *next;
    int64_t account;
    int64_t recipient;
};

struct limits {
    struct accounts *accounts;
    struct limits_rules system_rules;
    struct limits_rules default_rules;
    struct bell bell;
    pthread_mutex_t lock; /* For all below and for all tallies. */
    struct map tallies;
    struct unsaved *unsaved;
    size_t unsaved_count;
    struct new_known *new_known;
    int64_t expired_piece;
};

struct side {
    const struct limits_rules *rules;
    struct tally *tally; /* NULL: does not apply. */
};

struct limits_ticket {
    struct limits *limits;
    int64_t account;
    struct side sides[3]; /* By enum limits_scope. */
    uint32_t recipients;
    int64_t *new_recipients;
    uint32_t new_count;
    uint32_t new_capacity;
};

const struct limits_rules *
limits_preset(str name)
{
    for (size_t i = 0; i < COUNT_OF(presets); i++)
        if (str_eq(name, str_from(presets[i].name)))
            return &presets[i];
    return NULL;
}

const struct limits_rules *
limits_preset_at(size_t index)
{
    return index < COUNT_OF(presets) ? &presets[index] : NULL;
}

/* Tallies.  All of these run under the lock. */

static struct tally *
tally_need(struct limits *limits, str scope)
{
    struct tally *tally = map_get(&limits->tallies, scope);

    if (tally)
        return tally;
    tally = calloc(1, sizeof(*tally) + scope.len + 1);
    must(tally);
    memcpy(tally->scope, scope.ptr, scope.len);
    map_init(&tally->known, KNOWN_MAX);
    must(map_put(&limits->tallies, scope, tally) == OK);
    return tally;
}

static int64_t
piece_number(instant now)
{
    return now / PIECE;
}

static bool
piece_counts(const struct piece *piece, instant now)
{
    return piece->number > piece_number(now) - PIECES && piece->number <= piece_number(now);
}

static struct counts
tally_sum(const struct tally *tally, instant now)
{
    struct counts sum = tally->reserved;

    for (size_t i = 0; i < PIECES; i++) {
        const struct piece *piece = &tally->pieces[i];
        if (!piece_counts(piece, now))
            continue;
        sum.messages += piece->counts.messages;
        sum.recipients += piece->counts.recipients;
        sum.first_time += piece->counts.first_time;
    }
    return sum;
}

static void
counts_add(struct counts *counts, const struct counts *more)
{
    counts->messages += more->messages;
    counts->recipients += more->recipients;
    counts->first_time += more->first_time;
}

static void
tally_put(struct tally *tally, int64_t number, const struct counts *counts)
{
    struct piece *piece = &tally->pieces[number % PIECES];

    if (piece->number != number)
        *piece = (struct piece){ .number = number };
    counts_add(&piece->counts, counts);
}

static void
tally_count(struct limits *limits, struct tally *tally, instant now, const struct counts *counts)
{
    struct unsaved *unsaved = tally->unsaved;
    int64_t number = piece_number(now);

    tally_put(tally, number, counts);
    if (unsaved && unsaved->piece.number == number) {
        counts_add(&unsaved->piece.counts, counts);
        return;
    }
    if (limits->unsaved_count == UNSAVED_MAX)
        return; /* The database has failed for long, and says so in the log. */
    unsaved = calloc(1, sizeof(*unsaved));
    must(unsaved);
    *unsaved = (struct unsaved){ .next = limits->unsaved,
                                 .tally = tally,
                                 .piece = { .number = number, .counts = *counts } };
    limits->unsaved = unsaved;
    limits->unsaved_count++;
    tally->unsaved = unsaved;
}

/* When enough of the oldest pieces will have left that USED falls below LIMIT. */
static instant
free_at(const struct tally *tally, instant now, bool first_time, uint32_t used, uint32_t limit)
{
    for (int64_t number = piece_number(now) - PIECES + 1; number <= piece_number(now); number++) {
        const struct piece *piece = &tally->pieces[number % PIECES];
        if (piece->number != number)
            continue;
        used -= MIN(used, first_time ? piece->counts.first_time : piece->counts.messages);
        if (used < limit)
            return (number + PIECES) * PIECE;
    }
    return now + PIECE; /* Only reservations hold it: soon. */
}

/* Saving. */

struct save {
    struct unsaved *unsaved;
    struct new_known *new_known;
    int64_t expire_before; /* 0: not now. */
};

static enum err
save_rows(void *arg, struct db_conn *conn)
{
    const struct save *save = arg;
    enum err e = OK;

    for (const struct unsaved *u = save->unsaved; !e && u; u = u->next)
        e = directory_add_usage(
            conn, &(struct directory_usage){ .scope = str_from(u->tally->scope),
                                             .piece = u->piece.number,
                                             .messages = u->piece.counts.messages,
                                             .recipients = u->piece.counts.recipients,
                                             .first_time = u->piece.counts.first_time });
    for (const struct new_known *k = save->new_known; !e && k; k = k->next)
        e = directory_add_known(conn, k->account, k->recipient);
    if (!e && save->expire_before)
        e = directory_expire_usage(conn, save->expire_before);
    return e;
}

static void
take_unsaved(struct limits *limits, struct save *save)
{
    int64_t number = piece_number(clock_now());

    pthread_mutex_lock(&limits->lock);
    save->unsaved = take(limits->unsaved);
    save->new_known = take(limits->new_known);
    limits->unsaved_count = 0;
    for (struct unsaved *u = save->unsaved; u; u = u->next)
        u->tally->unsaved = NULL;
    if (limits->expired_piece != number) {
        limits->expired_piece = number;
        save->expire_before = number - PIECES;
    }
    pthread_mutex_unlock(&limits->lock);
}

static void
put_back(struct limits *limits, struct save *save)
{
    struct unsaved **end = &save->unsaved;
    struct new_known **known_end = &save->new_known;
    size_t count = 0;

    for (; *end; end = &(*end)->next)
        count++;
    while (*known_end)
        known_end = &(*known_end)->next;
    pthread_mutex_lock(&limits->lock);
    *end = limits->unsaved;
    *known_end = limits->new_known;
    limits->unsaved = save->unsaved;
    limits->new_known = save->new_known;
    limits->unsaved_count += count;
    pthread_mutex_unlock(&limits->lock);
}

static void
save_free(struct save *save)
{
    struct unsaved *unsaved;
    struct new_known *known;

    while ((unsaved = save->unsaved)) {
        save->unsaved = unsaved->next;
        free(unsaved);
    }
    while ((known = save->new_known)) {
        save->new_known = known->next;
        free(known);
    }
}

WAITS enum err
limits_flush(struct limits *limits)
{
    struct save save = { 0 };
    struct why why = { "" };
    enum err e;

    take_unsaved(limits, &save);
    if (!save.unsaved && !save.new_known)
        return OK;
    e = db_write(accounts_db(limits->accounts), save_rows, &save, &why);
    if (e) {
        log_error("sending limits cannot be saved: %s", why.text[0] ? why.text : err_name(e));
        put_back(limits, &save);
        return e;
    }
    save_free(&save);
    return OK;
}

WAITS void
limits_run(void *arg)
{
    struct limits *limits = arg;
    enum err e = OK;

    while (e != ERR_CANCELLED) {
        e = bell_wait(&limits->bell, NEVER);
        if (!e)
            e = fiber_sleep(SAVE_EVERY);
        if (e != ERR_CANCELLED && limits_flush(limits))
            bell_ring(&limits->bell); /* Again in a second. */
    }
}

static bool
load_usage(void *arg, const struct directory_usage *usage)
{
    struct limits *limits = arg;
    const struct counts counts = { .messages = usage->messages,
                                   .recipients = usage->recipients,
                                   .first_time = usage->first_time };

    if (usage->piece >= 0 && usage->scope.len <= SCOPE_SIZE_MAX)
        tally_put(tally_need(limits, usage->scope), usage->piece, &counts);
    return true;
}

static enum err
load_all(void *arg, struct db_conn *conn)
{
    return directory_walk_usage(conn, piece_number(clock_now()) - PIECES, load_usage, arg);
}

void
limits_set_rules(struct limits *limits, const struct limits_rules *system,
                 const struct limits_rules *default_rules)
{
    pthread_mutex_lock(&limits->lock);
    limits->system_rules = system ? *system : no_rules;
    limits->default_rules = default_rules ? *default_rules : no_rules;
    pthread_mutex_unlock(&limits->lock);
}

WAITS enum err
limits_open(struct accounts *accounts, const struct limits_rules *system,
            const struct limits_rules *default_rules, struct limits **result, struct why *why)
{
    struct limits *limits = calloc(1, sizeof(*limits));
    enum err e;

    must(limits);
    limits->accounts = accounts;
    pthread_mutex_init(&limits->lock, NULL);
    limits_set_rules(limits, system, default_rules);
    map_init(&limits->tallies, 0);
    e = db_read(accounts_db(accounts), load_all, limits, why);
    if (e) {
        limits_close(limits);
        return e;
    }
    *result = limits;
    return OK;
}

WAITS void
limits_close(struct limits *limits)
{
    struct save rest = { 0 };
    size_t at = 0;
    str key;
    void *value;

    if (!limits)
        return;
    if (limits_flush(limits))
        take_unsaved(limits, &rest); /* Was logged; nothing more can be done. */
    save_free(&rest);
    while (map_next(&limits->tallies, &at, &key, &value)) {
        map_done(&((struct tally *)value)->known);
        free(value);
    }
    map_done(&limits->tallies);
    pthread_mutex_destroy(&limits->lock);
    free(limits);
}

/* Whom a ticket concerns. */

static const struct limits_rules *
rules_of(str preset, const struct limits_rules *otherwise)
{
    const struct limits_rules *rules = limits_preset(preset);

    return rules ? rules : otherwise;
}

static void
find_account_sides(struct limits *limits, struct arena *arena, int64_t id, struct side *sides)
{
    struct account_info account;
    struct domain_info domain;
    str scope;
    str name;

    if (accounts_get_by_id(limits->accounts, arena, id, &account))
        return;
    if (!arena_printf(arena, &scope, "account:%lld", (long long)id))
        return;
    sides[LIMITS_ACCOUNT] = (struct side){ rules_of(account.limit_preset, &limits->default_rules),
                                           tally_need(limits, scope) };
    name = str_skip(account.address, (size_t)(str_find_last(account.address, '@') + 1));
    if (accounts_get_domain(limits->accounts, arena, name, &domain) ||
        !arena_printf(arena, &scope, "domain:%.*s", STR_ARG(name)))
        return;
    sides[LIMITS_DOMAIN] =
        (struct side){ rules_of(domain.limit_preset, &no_rules), tally_need(limits, scope) };
}

/* Under the lock: the accounts have one of their own, which is never held across ours. */
static void
find_sides(struct limits *limits, int64_t account, struct side sides[3])
{
    struct arena arena;

    arena_init(&arena, 8192);
    memset(sides, 0, 3 * sizeof(*sides));
    sides[LIMITS_SYSTEM] = (struct side){ &limits->system_rules, tally_need(limits, S("system")) };
    if (account)
        find_account_sides(limits, &arena, account, sides);
    arena_done(&arena);
}

static uint32_t
recipients_max(const struct side sides[3])
{
    uint32_t least = 0;

    for (size_t i = 0; i < 3; i++)
        if (sides[i].tally && sides[i].rules->recipients_per_message &&
            (!least || sides[i].rules->recipients_per_message < least))
            least = sides[i].rules->recipients_per_message;
    return least;
}

uint32_t
limits_recipients_max(struct limits *limits, int64_t account)
{
    struct side sides[3];

    pthread_mutex_lock(&limits->lock);
    find_sides(limits, account, sides);
    pthread_mutex_unlock(&limits->lock);
    return recipients_max(sides);
}

/* Tickets. */

/* Whether one more fits into every side. */
static bool
has_room(const struct side sides[3], bool first_time, instant now, struct limits_verdict *verdict)
{
    for (size_t i = 0; i < 3; i++) {
        struct counts sum;
        uint32_t used;
        uint32_t limit;
        if (!sides[i].tally)
            continue;
        limit = first_time ? sides[i].rules->first_time_per_day : sides[i].rules->messages_per_day;
        if (!limit)
            continue;
        sum = tally_sum(sides[i].tally, now);
        used = first_time ? sum.first_time : sum.messages;
        if (used < limit)
            continue;
        *verdict = (struct limits_verdict){
            .state = first_time ? LIMITS_FIRST_TIME : LIMITS_MESSAGES,
            .scope = (enum limits_scope)i,
            .used = used,
            .limit = limit,
            .free_at = free_at(sides[i].tally, now, first_time, used, limit),
        };
        return false;
    }
    return true;
}

static void
reserve(struct limits_ticket *ticket, uint32_t messages, uint32_t first_time)
{
    for (size_t i = 0; i < 3; i++)
        if (ticket->sides[i].tally) {
            ticket->sides[i].tally->reserved.messages += messages;
            ticket->sides[i].tally->reserved.first_time += first_time;
        }
}

enum err
limits_begin(struct limits *limits, int64_t account, instant now, struct limits_ticket **result,
             struct limits_verdict *verdict)
{
    struct limits_ticket *ticket = calloc(1, sizeof(*ticket));

    must(ticket);
    ticket->limits = limits;
    ticket->account = account;
    *verdict = (struct limits_verdict){ .state = LIMITS_OK };
    pthread_mutex_lock(&limits->lock);
    find_sides(limits, account, ticket->sides);
    if (has_room(ticket->sides, false, now, verdict))
        reserve(ticket, 1, 0);
    else
        free(take(ticket));
    pthread_mutex_unlock(&limits->lock);
    *result = ticket;
    return OK;
}

uint32_t
limits_recent(const struct limits_ticket *ticket, instant now)
{
    uint32_t messages = 0;

    if (!ticket || !ticket->sides[LIMITS_ACCOUNT].tally)
        return 0;
    pthread_mutex_lock(&ticket->limits->lock);
    messages = tally_sum(ticket->sides[LIMITS_ACCOUNT].tally, now).messages;
    pthread_mutex_unlock(&ticket->limits->lock);
    return messages;
}

/* New recipients. */

static bool
counts_new_recipients(const struct limits_ticket *ticket)
{
    for (size_t i = 0; i < 3; i++)
        if (ticket->sides[i].tally && ticket->sides[i].rules->first_time_per_day)
            return ticket->account != 0;
    return false;
}

struct known_load {
    int64_t account;
    struct map known;
};

static bool
put_known(struct map *known, int64_t recipient)
{
    return map_put(known, (str){ (char *)&recipient, sizeof(recipient) }, known) == OK;
}

static bool
load_one_known(void *arg, int64_t recipient)
{
    return put_known(arg, recipient);
}

static enum err
load_known(void *arg, struct db_conn *conn)
{
    struct known_load *load = arg;

    map_done(&load->known);
    map_init(&load->known, KNOWN_MAX);
    return directory_walk_known(conn, load->account, KNOWN_MAX, load_one_known, &load->known);
}

WAITS static enum err
need_known(struct limits_ticket *ticket)
{
    struct limits *limits = ticket->limits;
    struct tally *tally = ticket->sides[LIMITS_ACCOUNT].tally;
    struct known_load load = { .account = ticket->account };
    bool loaded;
    enum err e;

    if (!tally)
        return OK;
    pthread_mutex_lock(&limits->lock);
    loaded = tally->known_loaded;
    pthread_mutex_unlock(&limits->lock);
    if (loaded)
        return OK;
    map_init(&load.known, KNOWN_MAX);
    e = db_read(accounts_db(limits->accounts), load_known, &load, NULL);
    pthread_mutex_lock(&limits->lock);
    if (!e && !tally->known_loaded) {
        map_done(&tally->known);
        tally->known = load.known;
        load.known = (struct map){ 0 };
        tally->known_loaded = true;
    }
    pthread_mutex_unlock(&limits->lock);
    map_done(&load.known);
    return e;
}

static bool
is_new_recipient(const struct limits_ticket *ticket, int64_t recipient)
{
    const struct tally *tally = ticket->sides[LIMITS_ACCOUNT].tally;
    str key = { (char *)&recipient, sizeof(recipient) };

    if (!tally || map_get(&tally->known, key) || map_count(&tally->known) >= KNOWN_MAX)
        return false;
    for (uint32_t i = 0; i < ticket->new_count; i++)
        if (ticket->new_recipients[i] == recipient)
            return false;
    return true;
}

static bool
remember_new(struct limits_ticket *ticket, int64_t recipient)
{
    if (ticket->new_count == NEW_MAX)
        return false;
    if (ticket->new_count == ticket->new_capacity) {
        ticket->new_capacity = ticket->new_capacity ? ticket->new_capacity * 2 : 8;
        ticket->new_recipients =
            realloc(ticket->new_recipients, ticket->new_capacity * sizeof(*ticket->new_recipients));
        must(ticket->new_recipients);
    }
    ticket->new_recipients[ticket->new_count++] = recipient;
    return true;
}

/* Under the lock. */
static bool
add_new_recipient(struct limits_ticket *ticket, str recipient, instant now,
                  struct limits_verdict *verdict)
{
    int64_t hash = (int64_t)str_hash_nocase(recipient);

    if (!is_new_recipient(ticket, hash))
        return true;
    if (!has_room(ticket->sides, true, now, verdict))
        return false;
    if (remember_new(ticket, hash))
        reserve(ticket, 0, 1);
    return true;
}

WAITS enum err
limits_add_recipient(struct limits_ticket *ticket, str recipient, instant now,
                     struct limits_verdict *verdict)
{
    uint32_t max = recipients_max(ticket->sides);
    enum err e;

    *verdict = (struct limits_verdict){ .state = LIMITS_OK };
    if (max && ticket->recipients >= max) {
        *verdict = (struct limits_verdict){ .state = LIMITS_RECIPIENTS,
                                            .used = ticket->recipients,
                                            .limit = max };
        return OK;
    }
    if (counts_new_recipients(ticket)) {
        e = need_known(ticket);
        if (e)
            return e;
        pthread_mutex_lock(&ticket->limits->lock);
        add_new_recipient(ticket, recipient, now, verdict);
        pthread_mutex_unlock(&ticket->limits->lock);
    }
    if (verdict->state == LIMITS_OK)
        ticket->recipients++;
    return OK;
}

/* Ending.  Under the lock. */

static void
keep_new_recipients(struct limits_ticket *ticket)
{
    struct tally *tally = ticket->sides[LIMITS_ACCOUNT].tally;

    for (uint32_t i = 0; i < ticket->new_count; i++) {
        struct new_known *known;
        if (!put_known(&tally->known, ticket->new_recipients[i]))
            return;
        known = calloc(1, sizeof(*known));
        must(known);
        *known = (struct new_known){ .next = ticket->limits->new_known,
                                     .account = ticket->account,
                                     .recipient = ticket->new_recipients[i] };
        ticket->limits->new_known = known;
    }
}

static void
unreserve(struct limits_ticket *ticket)
{
    for (size_t i = 0; i < 3; i++) {
        struct tally *tally = ticket->sides[i].tally;
        if (!tally)
            continue;
        must(tally->reserved.messages >= 1);
        must(tally->reserved.first_time >= ticket->new_count);
        tally->reserved.messages -= 1;
        tally->reserved.first_time -= ticket->new_count;
    }
}

static void
ticket_free(struct limits_ticket *ticket)
{
    free(ticket->new_recipients);
    free(ticket);
}

void
limits_commit(struct limits_ticket *ticket, instant now)
{
    struct limits *limits = ticket->limits;
    const struct counts counts = { .messages = 1,
                                   .recipients = ticket->recipients,
                                   .first_time = ticket->new_count };
    bool first;

    pthread_mutex_lock(&limits->lock);
    first = !limits->unsaved;
    unreserve(ticket);
    for (size_t i = 0; i < 3; i++)
        if (ticket->sides[i].tally)
            tally_count(limits, ticket->sides[i].tally, now, &counts);
    keep_new_recipients(ticket);
    pthread_mutex_unlock(&limits->lock);
    if (first)
        bell_ring(&limits->bell);
    ticket_free(ticket);
}

void
limits_cancel(struct limits_ticket *ticket)
{
    if (!ticket)
        return;
    pthread_mutex_lock(&ticket->limits->lock);
    unreserve(ticket);
    pthread_mutex_unlock(&ticket->limits->lock);
    ticket_free(ticket);
}

/* Usage. */

static void
usage_of(const struct side *side, instant now, struct limits_usage *usage)
{
    const struct limits_rules *rules = side->rules ? side->rules : &no_rules;
    struct counts sum = { 0 };
    instant messages_free = 0;
    instant first_time_free = 0;

    *usage = (struct limits_usage){ .preset = rules->name, .rules = *rules };
    if (!side->tally)
        return;
    sum = tally_sum(side->tally, now);
    usage->messages = sum.messages;
    usage->recipients = sum.recipients;
    usage->first_time = sum.first_time;
    if (rules->messages_per_day && sum.messages >= rules->messages_per_day)
        messages_free = free_at(side->tally, now, false, sum.messages, rules->messages_per_day);
    if (rules->first_time_per_day && sum.first_time >= rules->first_time_per_day)
        first_time_free =
            free_at(side->tally, now, true, sum.first_time, rules->first_time_per_day);
    usage->restricted_until = MAX(messages_free, first_time_free);
    usage->restricted = usage->restricted_until != 0;
}

void
limits_usage(struct limits *limits, int64_t account, instant now, struct limits_usage *usage)
{
    struct side sides[3];

    pthread_mutex_lock(&limits->lock);
    find_sides(limits, account, sides);
    usage_of(&sides[LIMITS_ACCOUNT], now, usage);
    pthread_mutex_unlock(&limits->lock);
}

void
limits_usage_domain(struct limits *limits, str name, instant now, struct limits_usage *usage)
{
    struct arena arena;
    struct domain_info domain;
    struct side side = { 0 };
    str scope;

    arena_init(&arena, 8192);
    if (accounts_get_domain(limits->accounts, &arena, name, &domain) == OK)
        side.rules = rules_of(domain.limit_preset, &no_rules);
    pthread_mutex_lock(&limits->lock);
    if (side.rules && arena_printf(&arena, &scope, "domain:%.*s", STR_ARG(domain.name)))
        side.tally = map_get(&limits->tallies, scope);
    usage_of(&side, now, usage);
    pthread_mutex_unlock(&limits->lock);
    arena_done(&arena);
}

void
limits_usage_system(struct limits *limits, instant now, struct limits_usage *usage)
{
    struct side sides[3];

    pthread_mutex_lock(&limits->lock);
    find_sides(limits, 0, sides);
    usage_of(&sides[LIMITS_SYSTEM], now, usage);
    pthread_mutex_unlock(&limits->lock);
}
