/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* suppression_query.c: which entries, in words, and the walk over them.
 *
 * A walk reads one page of rows after the other, each a view of its own: what is added meanwhile
 * may or may not be among them, and nothing is told twice.  Start reading at suppression_each().
 */
#include "accounts/suppression_inside.h"
#include "config/value.h"

enum {
    PAGE = 500
};

static const char *const reason_names[SUPPRESSION_REASONS] = {
    [SUPPRESSION_BOUNCE] = "bounce",
    [SUPPRESSION_COMPLAINT] = "complaint",
    [SUPPRESSION_UNSUBSCRIBE] = "unsubscribe",
    [SUPPRESSION_MANUAL] = "manual",
};

const char *
suppression_reason_name(enum suppression_reason reason)
{
    return (unsigned)reason < SUPPRESSION_REASONS ? reason_names[reason] : "";
}

bool
suppression_reason_parse(str text, enum suppression_reason *reason)
{
    for (unsigned i = 0; i < SUPPRESSION_REASONS; i++) {
        if (str_eq_nocase(text, str_from(reason_names[i]))) {
            *reason = i;
            return true;
        }
    }
    return false;
}

/* --- Words. */

static enum err
read_address(str value, struct arena *arena, struct suppression_query *query, struct why *why)
{
    if (suppression_spell(value, arena, &query->address))
        return err_why(why, ERR_SYNTAX, "%.*s is neither a mail address nor @domain",
                       STR_ARG(value));
    return OK;
}

static enum err
read_domain(str value, struct arena *arena, struct suppression_query *query, struct why *why)
{
    str at;

    if (!arena_printf(arena, &at, "%s%.*s", str_starts(value, S("@")) ? "" : "@", STR_ARG(value)))
        return ERR_LIMIT;
    if (suppression_spell(at, arena, &query->domain))
        return err_why(why, ERR_SYNTAX, "%.*s is not a domain", STR_ARG(value));
    return OK;
}

static enum err
read_account(str value, struct arena *arena, struct suppression_query *query, struct why *why)
{
    query->has_scope = true;
    query->scope = S("");
    if (str_eq(value, S("all")))
        return OK;
    if (suppression_spell(value, arena, &query->scope))
        return err_why(why, ERR_SYNTAX,
                       "%.*s is no account; write ann@example.org, @example.org or all",
                       STR_ARG(value));
    return OK;
}

static enum err
read_reason(str value, struct arena *arena, struct suppression_query *query, struct why *why)
{
    (void)arena;
    query->has_reason = suppression_reason_parse(value, &query->reason);
    return query->has_reason ? OK
                             : err_why(why, ERR_SYNTAX,
                                       "the reasons are bounce, complaint, unsubscribe and manual");
}

static enum err
read_list(str value, struct arena *arena, struct suppression_query *query, struct why *why)
{
    (void)arena;
    (void)why;
    query->list = value;
    return OK;
}

static enum err
read_source(str value, struct arena *arena, struct suppression_query *query, struct why *why)
{
    (void)arena;
    (void)why;
    query->source = value;
    return OK;
}

static enum err
read_time(str value, duration *time, struct why *why)
{
    if (!duration_parse(value, time) || *time <= 0)
        return err_why(why, ERR_SYNTAX, "%.*s is no time; write for example 30d", STR_ARG(value));
    return OK;
}

static enum err
read_older(str value, struct arena *arena, struct suppression_query *query, struct why *why)
{
    (void)arena;
    return read_time(value, &query->older, why);
}

static enum err
read_newer(str value, struct arena *arena, struct suppression_query *query, struct why *why)
{
    (void)arena;
    return read_time(value, &query->newer, why);
}

static enum err
read_remembered(str value, struct arena *arena, struct suppression_query *query, struct why *why)
{
    (void)arena;
    (void)why;
    query->remembered = str_eq(value, S("yes"));
    return OK;
}

static const struct {
    const char *name;
    enum err (*read)(str value, struct arena *arena, struct suppression_query *query,
                     struct why *why);
} query_words[] = {
    { "address", read_address }, { "domain", read_domain }, { "account", read_account },
    { "reason", read_reason },   { "list", read_list },     { "source", read_source },
    { "older", read_older },     { "newer", read_newer },   { "remembered", read_remembered },
};

static enum err
read_word(str word, struct arena *arena, struct suppression_query *query, struct why *why)
{
    str name, value;

    if (!str_split(word, ':', &name, &value)) {
        if (str_find(word, '@') >= 0)
            return read_address(word, arena, query, why);
        return err_why(why, ERR_SYNTAX,
                       "\"%.*s\" is no word of a query; words are address: domain: "
                       "account: reason: list: source: older: newer: remembered:",
                       STR_ARG(str_head(word, 60)));
    }
    for (size_t i = 0; i < COUNT_OF(query_words); i++)
        if (str_eq(name, str_from(query_words[i].name)) && value.len)
            return query_words[i].read(value, arena, query, why);
    return err_why(why, ERR_SYNTAX,
                   "\"%.*s\" is no word of a query; words are address: domain: "
                   "account: reason: list: source: older: newer: remembered:",
                   STR_ARG(str_head(word, 60)));
}

enum err
suppression_query_parse(str words, struct arena *arena, struct suppression_query *query,
                        struct why *why)
{
    struct suppression_query made = { 0 };
    str word;
    enum err e = OK;

    while (words.len && !e) {
        bool more = str_split(str_trim(words), ' ', &word, &words);
        if (!more)
            words = S("");
        if (word.len)
            e = read_word(word, arena, &made, why);
    }
    if (!e)
        *query = made;
    return e;
}

/* --- The walk. */

struct page {
    struct suppressed_filter filter;
    instant now;
    struct arena arena;
    struct suppression_entry *entries;
    size_t count;
    bool failed;
    int64_t last_id;
    size_t rows;
};

static bool
take_row(void *arg, const struct suppressed_row *row)
{
    struct page *page = arg;
    struct suppression_entry entry;

    page->rows++;
    page->last_id = row->id;
    suppression_from_row(row, &entry);
    if (entry.expires && entry.expires <= page->now)
        entry.in_force = false;
    if (!entry.in_force && !page->filter.remembered)
        return true;
    if (!suppression_copy(&entry, &page->arena, &page->entries[page->count])) {
        page->failed = true;
        return false;
    }
    page->count++;
    return true;
}

static enum err
read_page(void *arg, struct db_conn *conn)
{
    struct page *page = arg;
    enum err e;

    page->count = page->rows = 0;
    page->failed = false;
    e = suppressed_find(conn, &page->filter, PAGE, take_row, page);
    return page->failed ? ERR_LIMIT : e;
}

static void
fill_filter(const struct suppression_query *query, instant now, struct suppressed_filter *filter)
{
    *filter = (struct suppressed_filter){
        .address = query->address,
        .domain = query->domain,
        .scope = query->scope,
        .has_scope = query->has_scope,
        .reason = query->has_reason ? (int64_t)query->reason : -1,
        .list = query->list,
        .source = query->source,
        .created_before = query->older ? now - query->older : 0,
        .created_after = query->newer ? now - query->newer : 0,
        .remembered = query->remembered,
    };
}

/* Of one page; false when it was the last that is wanted. */
WAITS static bool
tell_page(const struct page *page, size_t max, size_t *told, suppression_each_fn each, void *arg,
          bool *more, enum err *e)
{
    for (size_t i = 0; i < page->count; i++) {
        if (max && *told == max) {
            *more = true;
            return false;
        }
        *e = each(arg, &page->entries[i]);
        if (*e)
            return false;
        (*told)++;
    }
    return page->rows == PAGE;
}

WAITS enum err
suppression_each(struct suppression *list, const struct suppression_query *query, instant now,
                 size_t max, suppression_each_fn each, void *arg, bool *more, struct why *why)
{
    struct page page = { .now = now };
    size_t told = 0;
    enum err e = OK;
    bool goes_on = list != NULL;

    *more = false;
    fill_filter(query, now, &page.filter);
    arena_init(&page.arena, SUPPRESSION_MEMORY_MAX);
    while (goes_on && !e) {
        arena_clear(&page.arena);
        page.entries = arena_new_array(&page.arena, struct suppression_entry, PAGE);
        e = page.entries ? db_read(list->db, read_page, &page, why) : ERR_LIMIT;
        if (!e)
            goes_on = tell_page(&page, max, &told, each, arg, more, &e);
        page.filter.after_id = page.last_id;
    }
    arena_done(&page.arena);
    return e;
}
