/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* suppression.c: asking the list, and changing it.
 *
 * A question costs one look into the table; only a "perhaps" reads rows.  A change is one
 * transaction.  What is added stands in the table before it is durable, what is removed leaves it
 * afterwards: the table may say too much for a moment, never too little.  Start reading at
 * suppression_check(); what is learnt by itself is in suppression_learn.c, walks are in
 * suppression_query.c.
 */
#include "accounts/suppression.h"

#include "accounts/account.h"
#include "accounts/snapshot.h"
#include "accounts/suppression_inside.h"
#include "base/must.h"
#include "formats/address.h"
#include "formats/date.h"
#include "runtime/clock.h"
#include "runtime/fiber.h"
#include "runtime/log.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    QUESTION_MEMORY_MAX = 64 * 1024,
    EXPIRE_AT_ONCE = 500,
    EXPIRE_ROUNDS_MAX = 10000, /* Of one sweep. */
};
#define EXPIRE_EVERY MINUTES(10)
/* How long after its end a learnt entry is remembered: the next one stays longer then. */
#define REMEMBER DAYS(365)

/* --- Spelling. */

enum err
suppression_spell(str text, struct arena *arena, str *spelling)
{
    struct spelling address;
    str domain;
    enum err e;

    if (text.len > 1 && text.ptr[0] == '@') {
        if (!domain_is_valid(str_skip(text, 1)))
            return ERR_SYNTAX;
        e = domain_to_alabel(str_skip(text, 1), arena, &domain);
        if (e)
            return e;
        return arena_printf(arena, spelling, "@%.*s", STR_ARG(domain)) ? OK : ERR_LIMIT;
    }
    e = spelling_of(text, arena, &address);
    if (e)
        return e;
    if (!address.domain.len)
        return ERR_SYNTAX;
    *spelling = address.address;
    return OK;
}

static str
at_domain(str address)
{
    ssize_t at = str_find_last(address, '@');

    return at < 0 ? S("") : str_skip(address, (size_t)at);
}

static void
add_scope(str scope, str scopes[TABLE_SCOPES_MAX], size_t *count)
{
    for (size_t i = 0; i < *count; i++)
        if (str_eq(scopes[i], scope))
            return;
    scopes[(*count)++] = scope;
}

enum err
suppression_scopes(const struct suppression_mail *mail, struct arena *arena,
                   str scopes[TABLE_SCOPES_MAX], size_t *count)
{
    const str owners[] = { mail->account, mail->sender };

    *count = 0;
    add_scope(S(""), scopes, count);
    for (size_t i = 0; i < COUNT_OF(owners); i++) {
        str owner;
        enum err e = owners[i].len ? suppression_spell(owners[i], arena, &owner) : ERR_SYNTAX;
        if (e == ERR_SYNTAX)
            continue;
        if (e)
            return e;
        add_scope(owner, scopes, count);
        add_scope(at_domain(owner), scopes, count);
    }
    return OK;
}

/* --- Rows. */

void
suppression_from_row(const struct suppressed_row *row, struct suppression_entry *entry)
{
    *entry = (struct suppression_entry){
        .id = row->id,
        .address = row->address,
        .scope = row->scope,
        .reason = (enum suppression_reason)row->reason,
        .list = row->list,
        .note = row->note,
        .source = row->source,
        .message = row->message,
        .created = row->created,
        .expires = row->expires,
        .count = row->count,
        .in_force = row->in_force,
    };
}

void
suppression_to_row(const struct suppression_entry *entry, struct suppressed_row *row)
{
    *row = (struct suppressed_row){
        .address = entry->address,
        .scope = entry->scope,
        .reason = entry->reason,
        .list = entry->list,
        .note = entry->note,
        .source = entry->source,
        .message = entry->message,
        .created = entry->created,
        .expires = entry->expires,
        .count = entry->count,
        .in_force = entry->in_force,
    };
}

bool
suppression_copy(const struct suppression_entry *entry, struct arena *arena,
                 struct suppression_entry *copy)
{
    struct suppression_entry made = *entry;

    if (!arena_copy(arena, entry->address, &made.address) ||
        !arena_copy(arena, entry->scope, &made.scope) ||
        !arena_copy(arena, entry->list, &made.list) ||
        !arena_copy(arena, entry->note, &made.note) ||
        !arena_copy(arena, entry->source, &made.source) ||
        !arena_copy(arena, entry->message, &made.message))
        return false;
    *copy = made;
    return true;
}

/* --- Opening. */

static bool
load_row(void *arg, const struct suppressed_row *row)
{
    struct suppression *list = arg;
    uint64_t key = suppression_table_key(&list->table, row->address, row->scope);

    suppression_table_begin(&list->table, key, 1U << (row->reason & 7));
    suppression_table_end(&list->table);
    return true;
}

static enum err
load_all(void *arg, struct db_conn *conn)
{
    const struct suppressed_filter all = { .reason = -1 };

    return suppressed_find(conn, &all, SIZE_MAX >> 1, load_row, arg);
}

WAITS enum err
suppression_open(struct accounts *accounts, const struct suppression_rules *rules,
                 struct suppression **result, struct why *why)
{
    struct suppression *list = calloc(1, sizeof(*list));
    enum err e;

    must(list);
    list->db = accounts_db(accounts);
    if (rules)
        list->rules = *rules;
    pthread_mutex_init(&list->lock, NULL);
    suppression_table_init(&list->table);
    e = rules ? db_read(list->db, load_all, list, why) : OK;
    if (e) {
        suppression_close(list);
        return e;
    }
    *result = list;
    return OK;
}

void
suppression_close(struct suppression *list)
{
    if (!list)
        return;
    suppression_table_done(&list->table);
    pthread_mutex_destroy(&list->lock);
    free(list);
}

void
suppression_set_rules(struct suppression *list, const struct suppression_rules *rules)
{
    pthread_mutex_lock(&list->lock);
    list->rules = *rules;
    pthread_mutex_unlock(&list->lock);
}

struct suppression_rules
suppression_get_rules(struct suppression *list)
{
    struct suppression_rules rules;

    pthread_mutex_lock(&list->lock);
    rules = list->rules;
    pthread_mutex_unlock(&list->lock);
    return rules;
}

void
suppression_stats(struct suppression *list, struct suppression_stats *stats)
{
    *stats = (struct suppression_stats){ 0 };
    if (!list)
        return;
    stats->entries = suppression_table_count(&list->table);
    stats->bytes = suppression_table_bytes(&list->table);
}

/* --- Asking. */

static bool
is_to_many(const struct suppression_mail *mail)
{
    return mail->list.len > 0 || (mail->knows_lane && mail->lane == LANE_BULK);
}

bool
suppression_binds(enum suppression_reason reason, str list, const struct suppression_mail *mail)
{
    switch (reason) {
    case SUPPRESSION_MANUAL:
        return true;
    case SUPPRESSION_BOUNCE:
        return is_to_many(mail) || (mail->knows_lane && mail->lane == LANE_NOTICE);
    case SUPPRESSION_COMPLAINT:
        return is_to_many(mail);
    case SUPPRESSION_UNSUBSCRIBE:
        /* From one list: mail of another one goes on.  What is of no list, but to many, might as
         * well be of that one. */
        return is_to_many(mail) && (!list.len || !mail->list.len || str_eq(list, mail->list));
    case SUPPRESSION_REASONS:
        break;
    }
    return false;
}

/* The reasons that can bind MAIL at all. */
static unsigned
binding_mask(const struct suppression_mail *mail)
{
    unsigned mask = 0;

    for (unsigned i = 0; i < SUPPRESSION_REASONS; i++)
        if (suppression_binds(i, S(""), mail))
            mask |= 1U << i;
    return mask;
}

struct question {
    const struct suppression_mail *mail;
    str addresses[TABLE_ADDRESSES_MAX];
    str scopes[TABLE_SCOPES_MAX];
    size_t scope_count;
    instant now;
    struct arena *arena;
    struct suppression_entry *entry;
    bool *found;
    bool failed;
    struct suppression_fix fixes[TABLE_SCOPES_MAX * TABLE_ADDRESSES_MAX];
};

static enum err
prepare(struct question *question, const struct suppression_mail *mail, struct arena *arena)
{
    enum err e = suppression_spell(mail->recipient, arena, &question->addresses[0]);

    if (e)
        return e;
    question->mail = mail;
    question->addresses[1] = at_domain(question->addresses[0]);
    return suppression_scopes(mail, arena, question->scopes, &question->scope_count);
}

static unsigned
ask_table(struct suppression *list, const struct question *question)
{
    return suppression_table_find(&list->table, question->addresses, TABLE_ADDRESSES_MAX,
                                  question->scopes, question->scope_count);
}

bool
suppression_may_bind(struct suppression *list, const struct suppression_mail *mail)
{
    struct question question = { 0 };
    struct arena arena;
    bool may;
    enum err e;

    if (!list || suppression_table_count(&list->table) == 0)
        return false;
    arena_init(&arena, QUESTION_MEMORY_MAX);
    e = prepare(&question, mail, &arena);
    /* An address that has no canonical form is on no list. */
    may = !e ? (ask_table(list, &question) & binding_mask(mail)) != 0 : e != ERR_SYNTAX;
    arena_done(&arena);
    return may;
}

/* The strongest reason speaks: a manual entry before the others. */
static bool
look_at_row(void *arg, const struct suppressed_row *row)
{
    struct question *question = arg;
    struct suppression_entry entry;
    bool is_stronger;

    suppression_from_row(row, &entry);
    if ((entry.expires && entry.expires <= question->now) ||
        !suppression_binds(entry.reason, entry.list, question->mail))
        return true;
    is_stronger = !*question->found || entry.reason > question->entry->reason;
    if (is_stronger && !suppression_copy(&entry, question->arena, question->entry))
        question->failed = true;
    *question->found = true;
    return !question->failed;
}

static enum err
read_rows(void *arg, struct db_conn *conn)
{
    struct question *question = arg;
    size_t count = 0;
    enum err e = OK;

    *question->found = question->failed = false;
    for (size_t i = 0; i < TABLE_ADDRESSES_MAX && !e; i++) {
        for (size_t k = 0; k < question->scope_count && !e; k++) {
            const struct suppressed_filter filter = { .address = question->addresses[i],
                                                      .scope = question->scopes[k],
                                                      .has_scope = true,
                                                      .reason = -1 };
            question->fixes[count++] =
                (struct suppression_fix){ .address = filter.address, .scope = filter.scope };
            e = suppressed_find(conn, &filter, SUPPRESSION_AT_ONCE, look_at_row, question);
        }
    }
    if (!e && question->failed)
        e = ERR_LIMIT;
    return e ? e : suppression_read_masks(conn, question->fixes, count, question->now);
}

WAITS enum err
suppression_check(struct suppression *list, const struct suppression_mail *mail, instant now,
                  struct arena *arena, bool *found, struct suppression_entry *entry)
{
    struct question *question;
    uint64_t epoch;
    enum err e;

    *found = false;
    if (!suppression_may_bind(list, mail))
        return OK;
    question = arena_new(arena, struct question);
    if (!question)
        return ERR_LIMIT;
    e = prepare(question, mail, arena);
    if (e)
        return e == ERR_SYNTAX ? OK : e;
    question->now = now;
    question->arena = arena;
    question->found = found;
    question->entry = entry;
    epoch = suppression_table_epoch(&list->table);
    e = db_read(list->db, read_rows, question, NULL);
    if (!e && !*found)
        suppression_fix_table(list, question->fixes, TABLE_ADDRESSES_MAX * question->scope_count,
                              epoch);
    return e;
}

void
suppression_tell(const struct suppression_entry *entry, char *text, size_t size)
{
    char since[DATE_TEXT_MAX];
    str note = entry->note.len ? entry->note : entry->source;

    date_format_rfc3339(entry->created, false, since);
    since[10] = '\0';
    snprintf(text, size, "%s since %s%s%.*s%s", suppression_reason_name(entry->reason), since,
             note.len ? " (" : "", STR_ARG(str_head(note, 80)), note.len ? ")" : "");
}

/* --- Changes. */

enum err
suppression_read_masks(struct db_conn *conn, struct suppression_fix *fixes, size_t count,
                       instant now)
{
    enum err e = OK;

    for (size_t i = 0; i < count && !e; i++)
        e = suppressed_mask(conn, fixes[i].address, fixes[i].scope, now, &fixes[i].mask);
    return e;
}

void
suppression_fix_table(struct suppression *list, const struct suppression_fix *fixes, size_t count,
                      uint64_t epoch)
{
    for (size_t i = 0; i < count; i++) {
        uint64_t key = suppression_table_key(&list->table, fixes[i].address, fixes[i].scope);
        if (!suppression_table_correct(&list->table, key, fixes[i].mask, epoch))
            return;
    }
}

struct addition {
    struct suppression_entry *entries; /* With canonical spellings. */
    size_t count;
};

/* More than a look into the table needs: an entry that no address can equal would only comfort.
 * Bytes that were no UTF-8 arrive as U+FFFD. */
static bool
can_match(str spelling)
{
    ssize_t at = str_find_last(spelling, '@');
    str domain = str_skip(spelling, (size_t)(at + 1));

    return str_find_nocase(spelling, S("\xef\xbf\xbd")) < 0 &&
           (domain_is_valid(domain) || domain_literal_parse(domain, NULL));
}

static enum err
canonical(const struct suppression_entry *entry, struct arena *arena,
          struct suppression_entry *result, struct why *why)
{
    *result = *entry;
    if (suppression_spell(entry->address, arena, &result->address) || !can_match(result->address))
        return err_why(why, ERR_SYNTAX, "%.*s is neither a mail address nor @domain",
                       STR_ARG(str_head(entry->address, 100)));
    if (entry->scope.len &&
        (suppression_spell(entry->scope, arena, &result->scope) || !can_match(result->scope)))
        return err_why(why, ERR_SYNTAX, "%.*s is neither an account nor @domain",
                       STR_ARG(str_head(entry->scope, 100)));
    if ((unsigned)entry->reason >= SUPPRESSION_REASONS)
        return err_why(why, ERR_SYNTAX, "the reasons are bounce, complaint, unsubscribe, manual");
    if (entry->list.len > SUPPRESSION_LIST_MAX)
        return err_why(why, ERR_SYNTAX, "the name of a list has at most %d bytes",
                       SUPPRESSION_LIST_MAX);
    if (entry->expires < 0 || (entry->expires && entry->expires <= entry->created))
        return err_why(why, ERR_SYNTAX, "it would end before it begins");
    result->note = str_head(entry->note, SUPPRESSION_NOTE_MAX);
    result->source = str_head(entry->source, SUPPRESSION_SOURCE_MAX);
    result->message = str_head(entry->message, MSGID_TEXT_SIZE);
    result->in_force = true;
    return OK;
}

enum err
suppression_examine(const struct suppression_entry *entry, struct why *why)
{
    struct suppression_entry result;
    struct arena arena;
    enum err e;

    arena_init(&arena, QUESTION_MEMORY_MAX);
    e = canonical(entry, &arena, &result, why);
    arena_done(&arena);
    return e;
}

static enum err
put_all(void *arg, struct db_conn *conn)
{
    const struct addition *addition = arg;
    enum err e = OK;

    for (size_t i = 0; i < addition->count && !e; i++) {
        struct suppressed_row row;
        suppression_to_row(&addition->entries[i], &row);
        e = suppressed_put(conn, &row);
    }
    return e;
}

WAITS static enum err
add_all(struct suppression *list, struct addition *addition, struct why *why)
{
    enum err e;

    for (size_t i = 0; i < addition->count; i++) {
        const struct suppression_entry *entry = &addition->entries[i];
        suppression_table_begin(&list->table,
                                suppression_table_key(&list->table, entry->address, entry->scope),
                                1U << entry->reason);
    }
    e = db_write(list->db, put_all, addition, why);
    for (size_t i = 0; i < addition->count; i++)
        suppression_table_end(&list->table);
    return e;
}

WAITS enum err
suppression_add(struct suppression *list, const struct suppression_entry *entries, size_t count,
                struct why *why)
{
    struct addition addition = { .count = count };
    struct arena arena;
    enum err e = OK;

    must(count <= SUPPRESSION_AT_ONCE);
    if (!count)
        return OK;
    arena_init(&arena, SUPPRESSION_MEMORY_MAX);
    addition.entries = arena_new_array(&arena, struct suppression_entry, count);
    if (!addition.entries)
        e = ERR_LIMIT;
    for (size_t i = 0; i < count && !e; i++)
        e = canonical(&entries[i], &arena, &addition.entries[i], why);
    if (!e)
        e = add_all(list, &addition, why);
    arena_done(&arena);
    return e;
}

struct removal {
    const int64_t *ids;
    size_t id_count;
    struct arena arena;
    struct suppression_fix *fixes;
    size_t count;
    instant now;
    bool failed;
};

static bool
note_name(void *arg, const struct suppressed_row *row)
{
    struct removal *removal = arg;
    struct suppression_fix *fix = &removal->fixes[removal->count];

    if (!arena_copy(&removal->arena, row->address, &fix->address) ||
        !arena_copy(&removal->arena, row->scope, &fix->scope)) {
        removal->failed = true;
        return false;
    }
    removal->count++;
    return true;
}

static enum err
remove_all(void *arg, struct db_conn *conn)
{
    struct removal *removal = arg;
    enum err e = OK;

    removal->count = 0;
    removal->failed = false;
    for (size_t i = 0; i < removal->id_count && !e; i++) {
        e = suppressed_remove(conn, removal->ids[i], note_name, removal);
        if (!e && removal->failed)
            e = ERR_LIMIT;
    }
    return e ? e : suppression_read_masks(conn, removal->fixes, removal->count, removal->now);
}

WAITS enum err
suppression_remove(struct suppression *list, const int64_t *ids, size_t id_count, size_t *count,
                   struct why *why)
{
    struct removal removal = { .ids = ids, .id_count = id_count, .now = clock_now() };
    uint64_t epoch = suppression_table_epoch(&list->table);
    enum err e = ERR_LIMIT;

    must(id_count <= SUPPRESSION_AT_ONCE);
    arena_init(&removal.arena, SUPPRESSION_MEMORY_MAX);
    removal.fixes = arena_new_array(&removal.arena, struct suppression_fix, MAX(id_count, 1));
    if (removal.fixes)
        e = db_write(list->db, remove_all, &removal, why);
    if (!e) {
        suppression_fix_table(list, removal.fixes, removal.count, epoch);
        *count = removal.count;
    }
    arena_done(&removal.arena);
    return e;
}

/* --- Ending. */

static enum err
expire_some(void *arg, struct db_conn *conn)
{
    struct removal *removal = arg;
    enum err e;

    removal->count = 0;
    removal->failed = false;
    e = suppressed_expire(conn, removal->now, removal->now - REMEMBER, EXPIRE_AT_ONCE, note_name,
                          removal);
    if (!e && removal->failed)
        e = ERR_LIMIT;
    return e ? e : suppression_read_masks(conn, removal->fixes, removal->count, removal->now);
}

WAITS enum err
suppression_expire(struct suppression *list, instant now, struct why *why)
{
    struct removal removal = { .now = now };
    enum err e = OK;

    arena_init(&removal.arena, SUPPRESSION_MEMORY_MAX);
    for (unsigned i = 0; i < EXPIRE_ROUNDS_MAX && !e; i++) {
        uint64_t epoch = suppression_table_epoch(&list->table);
        arena_clear(&removal.arena);
        removal.fixes = arena_new_array(&removal.arena, struct suppression_fix, EXPIRE_AT_ONCE);
        e = removal.fixes ? db_write(list->db, expire_some, &removal, why) : ERR_LIMIT;
        if (e || removal.count == 0)
            break;
        suppression_fix_table(list, removal.fixes, removal.count, epoch);
    }
    arena_done(&removal.arena);
    return e;
}

WAITS void
suppression_run(void *arg)
{
    struct suppression *list = arg;
    enum err e = OK;

    while (e != ERR_CANCELLED) {
        e = suppression_expire(list, clock_now(), NULL);
        if (e && e != ERR_CANCELLED)
            log_warning("ended entries of the suppression list stay: %s", err_name(e));
        if (e != ERR_CANCELLED)
            e = fiber_sleep(EXPIRE_EVERY);
    }
}
