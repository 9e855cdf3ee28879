/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* suppression_learn.c: entries that come and go by themselves.
 *
 * A dead mailbox comes into force after so many refusals, for a time that doubles each time that
 * the address turns out to be dead still; what has ended is remembered for that (suppression.c
 * forgets it after a year).  One delivery that succeeds takes back what is in force; refusals that
 * are still too few are forgotten by time, since no delivery asks for them.  Complaints and
 * unsubscribes are words of people: nothing that a machine sees takes these back.  Start reading at
 * suppression_learn().
 */
#include "accounts/suppression_inside.h"
#include "base/must.h"

enum {
    DOUBLINGS_MAX = 8
};

struct lesson {
    struct suppression_entry entry;
    struct suppression_rules rules;
    instant now;
    bool entered;
    bool is_in_force;
    struct suppression_fix fix;
};

/* Whose mail it binds: that of whoever sent it. */
static str
scope_of(const struct suppression_news *news, const struct suppression_rules *rules)
{
    if (news->reason == SUPPRESSION_BOUNCE && rules->everybody)
        return S("");
    return news->account.len ? news->account : news->sender;
}

static bool
is_worth_learning(const struct suppression_news *news, const struct suppression_rules *rules)
{
    switch (news->reason) {
    case SUPPRESSION_BOUNCE:
        return rules->learn && (news->lane == LANE_BULK || news->lane == LANE_NOTICE);
    case SUPPRESSION_COMPLAINT:
        return rules->learn;
    case SUPPRESSION_UNSUBSCRIBE:
    case SUPPRESSION_MANUAL:
        return true;
    case SUPPRESSION_REASONS:
        break;
    }
    return false;
}

static duration
time_of(const struct lesson *lesson, int64_t times_before)
{
    const struct suppression_rules *rules = &lesson->rules;
    duration time = rules->bounce_expire;

    if (lesson->entry.reason == SUPPRESSION_COMPLAINT)
        return rules->complaint_expire;
    if (lesson->entry.reason != SUPPRESSION_BOUNCE)
        return 0;
    for (int64_t i = 0; i < MIN(times_before, (int64_t)DOUBLINGS_MAX); i++)
        time = MIN(2 * time, MAX(rules->bounce_expire_max, time));
    return time;
}

static enum err
put_lesson(void *arg, struct db_conn *conn)
{
    struct lesson *lesson = arg;
    struct suppressed_row row, before;
    int64_t needed = lesson->entry.reason == SUPPRESSION_BOUNCE ? MAX(lesson->rules.bounces, 1) : 1;
    bool found;
    duration time;
    enum err e;

    lesson->entered = lesson->is_in_force = false;
    suppression_to_row(&lesson->entry, &row);
    e = suppressed_get(conn, &row, &found, &before);
    if (e)
        return e;
    lesson->is_in_force = before.in_force && (before.expires == 0 || before.expires > lesson->now);
    /* Many messages may be under way at once: what they hear is one refusal. */
    if (lesson->is_in_force)
        return OK;
    if (before.count < needed && lesson->now - before.created > lesson->rules.bounce_expire)
        before.count = 0; /* It was alive in between, or had little mail. */
    row.count = before.count + 1;
    row.in_force = lesson->entered = lesson->is_in_force = row.count >= needed;
    time = time_of(lesson, row.count - needed);
    row.created = lesson->now;
    row.expires = time ? lesson->now + time : 0;
    return suppressed_put(conn, &row);
}

static enum err
read_fix(void *arg, struct db_conn *conn)
{
    struct lesson *lesson = arg;

    return suppression_read_masks(conn, &lesson->fix, 1, lesson->now);
}

/* The table was told too early: the entry is not in force yet. */
WAITS static void
take_back(struct suppression *list, struct lesson *lesson)
{
    uint64_t epoch = suppression_table_epoch(&list->table);

    lesson->fix =
        (struct suppression_fix){ .address = lesson->entry.address, .scope = lesson->entry.scope };
    if (db_read(list->db, read_fix, lesson, NULL) == OK)
        suppression_fix_table(list, &lesson->fix, 1, epoch);
}

static enum err
prepare(const struct suppression_news *news, instant now, struct arena *arena,
        struct lesson *lesson)
{
    struct suppression_entry *entry = &lesson->entry;
    str scope = scope_of(news, &lesson->rules);
    char id[MSGID_TEXT_SIZE + 1] = "";
    static const msgid none;
    enum err e = suppression_spell(news->recipient, arena, &entry->address);

    if (!e && scope.len)
        e = suppression_spell(scope, arena, &entry->scope);
    if (e)
        return e;
    if (msgid_cmp(news->message, none) != 0)
        msgid_format(news->message, id);
    entry->reason = news->reason;
    entry->list = str_head(news->list, SUPPRESSION_LIST_MAX);
    entry->note = str_head(news->text, SUPPRESSION_NOTE_MAX);
    entry->source = str_head(news->source, SUPPRESSION_SOURCE_MAX);
    entry->created = lesson->now = now;
    return arena_copy(arena, str_from(id), &entry->message) ? OK : ERR_LIMIT;
}

WAITS enum err
suppression_learn(struct suppression *list, const struct suppression_news *news, instant now,
                  bool *entered, struct why *why)
{
    struct lesson lesson = { 0 };
    struct arena arena;
    enum err e;

    if (entered)
        *entered = false;
    if (!list)
        return OK;
    lesson.rules = suppression_get_rules(list);
    if (!is_worth_learning(news, &lesson.rules))
        return OK;
    arena_init(&arena, SUPPRESSION_MEMORY_MAX);
    e = prepare(news, now, &arena, &lesson);
    if (!e) {
        suppression_table_begin(
            &list->table,
            suppression_table_key(&list->table, lesson.entry.address, lesson.entry.scope),
            1U << news->reason);
        e = db_write(list->db, put_lesson, &lesson, why);
        suppression_table_end(&list->table);
        if (!lesson.is_in_force)
            take_back(list, &lesson);
    }
    if (!e && entered)
        *entered = lesson.entered;
    arena_done(&arena);
    return e == ERR_SYNTAX ? OK : e;
}

/* --- And back. */

struct unlearning {
    str address;
    struct suppression_fix fixes[TABLE_SCOPES_MAX];
    str scopes[TABLE_SCOPES_MAX];
    size_t count;
    instant now;
};

static enum err
remove_learnt(void *arg, struct db_conn *conn)
{
    struct unlearning *u = arg;
    enum err e = OK;

    for (size_t i = 0; i < u->count && !e; i++) {
        u->fixes[i] = (struct suppression_fix){ .address = u->address, .scope = u->scopes[i] };
        e = suppressed_remove_learnt(conn, u->address, u->scopes[i], SUPPRESSION_BOUNCE,
                                     S(SUPPRESSION_BY_DELIVERY));
    }
    return e ? e : suppression_read_masks(conn, u->fixes, u->count, u->now);
}

WAITS void
suppression_unlearn(struct suppression *list, const struct suppression_mail *mail, instant now)
{
    struct unlearning u = { .now = now };
    struct arena arena;
    uint64_t epoch;

    if (!list || suppression_table_count(&list->table) == 0)
        return;
    arena_init(&arena, SUPPRESSION_MEMORY_MAX);
    if (suppression_spell(mail->recipient, &arena, &u.address) == OK &&
        suppression_scopes(mail, &arena, u.scopes, &u.count) == OK &&
        (suppression_table_find(&list->table, &u.address, 1, u.scopes, u.count) &
         1U << SUPPRESSION_BOUNCE)) {
        epoch = suppression_table_epoch(&list->table);
        if (db_write(list->db, remove_learnt, &u, NULL) == OK)
            suppression_fix_table(list, u.fixes, u.count, epoch);
    }
    arena_done(&arena);
}
