/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* events.c: a queue in memory, a table on disk, and the way back.
 *
 * One table of fields says for each member of struct event where it stands, what it is
 * called, and what it is; copying, storing, reading and JSON all walk it.  The sequence is
 * the time in microseconds, made unique by counting up, so the row id serves as the index for time,
 * and rows are only ever added at the end.
 *
 * Start reading at events_record() and events_flush().
 */
#include "store/events.h"

#include "base/list.h"
#include "base/must.h"
#include "formats/json.h"
#include "runtime/clock.h"
#include "runtime/fiber.h"
#include "runtime/log.h"
#include "runtime/wait.h"
#include "store/db.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum {
    CHECKPOINT_PAGES = 4000,
    PAGE_ROWS = 200,    /* Read at once by events_find(). */
    EXPIRE_ROWS = 2000, /* Deleted in one transaction. */
    FIELD_COUNT = 37,
};
#define FLUSH_EVERY   MILLISECONDS(200)
#define KEEP_UP_LOOK  MILLISECONDS(5)
#define KEEP_UP_LOOKS 200
/* How far the sequence may run ahead of the time of an event. */
#define SKEW_US ((int64_t)3600 * 1000000)

/* clang-format off */
static const char *const kind_names[EVENT_KIND_COUNT] = {
    [EVENT_NONE] = "",
    [EVENT_RECEIVED] = "received",
    [EVENT_REJECTED] = "rejected",
    [EVENT_ACCEPTED] = "accepted",
    [EVENT_HELD] = "held",
    [EVENT_RELEASED] = "released",
    [EVENT_SCHEDULED] = "scheduled",
    [EVENT_POLICY] = "policy",
    [EVENT_QUEUED] = "queued",
    [EVENT_DNS] = "dns",
    [EVENT_ATTEMPT] = "attempt",
    [EVENT_TLS] = "tls",
    [EVENT_DELIVERED] = "delivered",
    [EVENT_DEFERRED] = "deferred",
    [EVENT_BOUNCED] = "bounced",
    [EVENT_EXPIRED] = "expired",
    [EVENT_DSN_SENT] = "dsn_sent",
    [EVENT_CANCELLED] = "cancelled",
    [EVENT_REDIRECTED] = "redirected",
    [EVENT_COMPLAINT] = "complaint",
    [EVENT_OPENED_BY_ADMIN] = "opened_by_admin",
    [EVENT_LOGIN] = "login",
    [EVENT_LOGIN_FAILED] = "login_failed",
    [EVENT_RESTRICTED] = "restricted",
    [EVENT_SESSION] = "session",
    [EVENT_ADMIN] = "admin",
    [EVENT_STARTED] = "started",
    [EVENT_STOPPED] = "stopped",
    [EVENT_DUPLICATE] = "duplicate",
    [EVENT_BOUNCED_LATER] = "bounced_later",
    [EVENT_DELAYED] = "delayed",
    [EVENT_REPLIED] = "replied",
    [EVENT_SUPPRESSED] = "suppressed",
};

enum field_type { TEXT, MORE, NUMBER, TIME, DURATION, MESSAGE, KIND, SEQUENCE };

struct field {
    const char *name;
    enum field_type type;
    size_t offset;
};

#define FIELD(member, type) { #member, type, offsetof(struct event, member) }
/* In the order of the columns. */
static const struct field fields[FIELD_COUNT] = {
    FIELD(sequence, SEQUENCE), FIELD(time, TIME), FIELD(kind, KIND), FIELD(message, MESSAGE),
    FIELD(node, TEXT), FIELD(sender, TEXT), FIELD(recipient, TEXT),
    FIELD(recipient_index, NUMBER), FIELD(attempt, NUMBER), FIELD(connection, TEXT),
    FIELD(service, TEXT), FIELD(stage, TEXT), FIELD(account, TEXT), FIELD(client_ip, TEXT),
    FIELD(helo, TEXT), FIELD(from_domain, TEXT), FIELD(to_domain, TEXT), FIELD(site, TEXT),
    FIELD(route, TEXT), FIELD(egress_ip, TEXT), FIELD(mx, TEXT), FIELD(mx_ip, TEXT),
    FIELD(code, NUMBER), FIELD(enhanced, TEXT), FIELD(text, TEXT), FIELD(text_raw, TEXT),
    FIELD(cluster, TEXT), FIELD(class, TEXT), FIELD(tls_version, TEXT), FIELD(tls_cipher, TEXT),
    FIELD(tls_verify, TEXT), FIELD(tls_why, TEXT), FIELD(bytes, NUMBER), FIELD(took, DURATION),
    FIELD(next_try, TIME), FIELD(reason, TEXT), FIELD(actor, TEXT),
};
static const struct field more_field = FIELD(more, MORE);

#define COLUMNS                                                                                    \
    "sequence, time, kind, message, node, sender, recipient, recipient_index, attempt,"            \
    " connection, service, stage, account, client_ip, helo, from_domain, to_domain, site, route,"  \
    " egress_ip, mx, mx_ip, code, enhanced, text, text_raw, cluster, class, tls_version,"          \
    " tls_cipher, tls_verify, tls_why, bytes, took, next_try, reason, actor, more"

static const char *const migrations[] = {
    "CREATE TABLE event ("
    "  sequence INTEGER PRIMARY KEY, time INTEGER NOT NULL, kind INTEGER NOT NULL, message BLOB,"
    "  node TEXT, sender TEXT COLLATE NOCASE, recipient TEXT COLLATE NOCASE,"
    "  recipient_index INTEGER, attempt INTEGER, connection TEXT, service TEXT, stage TEXT,"
    "  account TEXT COLLATE NOCASE, client_ip TEXT, helo TEXT, from_domain TEXT, to_domain TEXT,"
    "  site TEXT, route TEXT, egress_ip TEXT, mx TEXT, mx_ip TEXT, code INTEGER, enhanced TEXT,"
    "  text TEXT, text_raw TEXT, cluster TEXT, class TEXT, tls_version TEXT, tls_cipher TEXT,"
    "  tls_verify TEXT, tls_why TEXT, bytes INTEGER, took INTEGER, next_try INTEGER, reason TEXT,"
    "  actor TEXT, more TEXT);"
    "CREATE INDEX event_message ON event (message) WHERE message IS NOT NULL;"
    "CREATE INDEX event_sender ON event (sender) WHERE sender IS NOT NULL;"
    "CREATE INDEX event_recipient ON event (recipient) WHERE recipient IS NOT NULL;",
};

static const char insert_sql[] =
    "INSERT OR IGNORE INTO event (" COLUMNS ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10,"
    " ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26, ?27, ?28,"
    " ?29, ?30, ?31, ?32, ?33, ?34, ?35, ?36, ?37, ?38)";
/* clang-format on */

const char *
event_kind_name(enum event_kind kind)
{
    return (size_t)kind < EVENT_KIND_COUNT ? kind_names[kind] : "";
}

bool
event_kind_parse(str name, enum event_kind *kind)
{
    for (size_t i = 1; i < EVENT_KIND_COUNT; i++)
        if (str_eq(name, str_from(kind_names[i]))) {
            *kind = (enum event_kind)i;
            return true;
        }
    return false;
}

/* Members by the table. */

static str *
text_at(const struct event *event, const struct field *field)
{
    return (str *)(void *)((char *)event + field->offset);
}

static int64_t *
number_at(const struct event *event, const struct field *field)
{
    return (int64_t *)(void *)((char *)event + field->offset);
}

static const msgid no_message;

static bool
has_message(const struct event *event)
{
    return msgid_cmp(event->message, no_message) != 0;
}

/* An event that owns its texts: for each field that is there its number, and its value. */
struct copy {
    struct copy *next;
    size_t size;
    int64_t sequence;
    char bytes[];
};

static const struct field *
field_of(size_t number)
{
    return number < FIELD_COUNT ? &fields[number] : &more_field;
}

/* A text may end in the middle of a character; JSON makes that visible. */
static size_t
kept_size(const struct field *field, str text)
{
    if (field->type == MORE)
        return text.len <= EVENT_MORE_MAX ? text.len : 0;
    return MIN(text.len, (size_t)EVENT_TEXT_MAX);
}

/* The value of FIELD as it is kept; empty when it is not there. */
static str
kept_value(const struct event *event, const struct field *field, int64_t *number)
{
    str text;

    switch (field->type) {
    case TEXT:
    case MORE:
        text = *text_at(event, field);
        return str_head(text, kept_size(field, text));
    case MESSAGE:
        return (str){ (const char *)event->message.bytes,
                      has_message(event) ? sizeof(event->message.bytes) : 0 };
    case SEQUENCE:
        return S("");
    case KIND:
        *number = event->kind;
        break;
    default:
        *number = *number_at(event, field);
    }
    return (str){ (const char *)number, *number ? sizeof(*number) : 0 };
}

static struct copy *
copy_new(const struct event *event)
{
    size_t size = sizeof(struct copy);
    struct copy *copy;
    int64_t number;
    char *room;

    for (size_t i = 0; i <= FIELD_COUNT; i++) {
        size_t len = kept_value(event, field_of(i), &number).len;
        size += len ? 1 + sizeof(uint16_t) + len : 0;
    }
    copy = malloc(size);
    must(copy);
    *copy = (struct copy){ .size = size, .sequence = event->sequence };
    room = copy->bytes;
    for (size_t i = 0; i <= FIELD_COUNT; i++) {
        str value = kept_value(event, field_of(i), &number);
        uint16_t len = (uint16_t)value.len;
        if (!len)
            continue;
        *room++ = (char)i;
        memcpy(room, &len, sizeof(len));
        memcpy(room + sizeof(len), value.ptr, len);
        room += sizeof(len) + len;
    }
    must(room == (char *)copy + size);
    return copy;
}

static void
set_value(struct event *event, const struct field *field, str value)
{
    int64_t number = 0;

    if (field->type == TEXT || field->type == MORE) {
        *text_at(event, field) = value;
        return;
    }
    if (field->type == MESSAGE) {
        memcpy(event->message.bytes, value.ptr, sizeof(event->message.bytes));
        return;
    }
    memcpy(&number, value.ptr, sizeof(number));
    if (field->type == KIND)
        event->kind = (enum event_kind)number;
    else
        *number_at(event, field) = number;
}

/* The event in COPY, with views of its texts. */
static void
copy_read(const struct copy *copy, struct event *event)
{
    const char *at = copy->bytes;
    const char *end = (const char *)copy + copy->size;
    uint16_t len;

    *event = (struct event){ .sequence = copy->sequence };
    for (; at < end; at += len) {
        const struct field *field = field_of((unsigned char)*at++);
        memcpy(&len, at, sizeof(len));
        at += sizeof(len);
        set_value(event, field, (str){ at, len });
    }
}

struct copies {
    struct copy *first;
    struct copy **end; /* NULL: empty. */
    size_t count;
    size_t bytes;
};

static void
copies_add(struct copies *copies, struct copy *copy)
{
    if (!copies->first)
        copies->end = &copies->first;
    *copies->end = copy;
    copies->end = &copy->next;
    copies->count++;
    copies->bytes += copy->size;
}

static struct copy *
copies_pop(struct copies *copies)
{
    struct copy *copy = copies->first;

    if (!copy)
        return NULL;
    copies->first = copy->next;
    copies->count--;
    copies->bytes -= copy->size;
    copy->next = NULL;
    return copy;
}

static void
copies_clear(struct copies *copies)
{
    struct copy *copy;

    while ((copy = copies_pop(copies)))
        free(copy);
}

/* The record. */

struct flush_wait {
    struct link link;
    struct latch latch;
};

struct events {
    struct db *db;
    struct bell bell;
    pthread_mutex_t lock; /* For all below. */
    struct copies queue;
    int64_t last_sequence;
    int64_t day; /* Since 1970, UTC: of the counts. */
    uint64_t counts[EVENT_KIND_COUNT];
    uint64_t dropped;
    bool flushing;
    struct link waiting; /* Of struct flush_wait. */
};

/* Under the lock. */
static void
count_event(struct events *events, enum event_kind kind, instant time)
{
    if (time / DAYS(1) != events->day) {
        events->day = time / DAYS(1);
        memset(events->counts, 0, sizeof(events->counts));
    }
    if ((size_t)kind < EVENT_KIND_COUNT)
        events->counts[kind]++;
}

/* Where the record ends, and what has happened today, as far as that is found quickly. */
static enum err
read_last(void *arg, struct db_conn *conn)
{
    struct events *events = arg;
    instant now = clock_now();
    struct db_stmt *stmt = db_query(conn, "SELECT max(sequence) FROM event");

    events->last_sequence = db_step(stmt) ? db_column_int(stmt, 0) : 0;
    db_reset(stmt);
    events->day = now / DAYS(1);
    memset(events->counts, 0, sizeof(events->counts));
    stmt = db_query(conn, "SELECT kind FROM event WHERE sequence >= ?1 LIMIT ?2",
                    db_int((now - now % DAYS(1)) / 1000), db_int(EVENTS_COUNTED_AT_START));
    while (db_step(stmt))
        count_event(events, (enum event_kind)db_column_int(stmt, 0), now);
    return db_error(conn);
}

WAITS enum err
events_open(const char *path, struct events **result, struct why *why)
{
    const struct db_options options = {
        .path = path,
        .migrations = migrations,
        .migration_count = COUNT_OF(migrations),
        .checkpoint_pages = CHECKPOINT_PAGES,
        .small_pages = true,
        .relaxed = true,
    };
    struct events *events = calloc(1, sizeof(*events));
    enum err e;

    must(events);
    pthread_mutex_init(&events->lock, NULL);
    list_init(&events->waiting);
    e = db_open(&options, &events->db, why);
    if (!e)
        e = db_read(events->db, read_last, events, why);
    if (e) {
        db_close(events->db);
        free(events);
        return e;
    }
    *result = events;
    return OK;
}

WAITS void
events_close(struct events *events)
{
    if (!events)
        return;
    if (events_flush(events))
        log_error("the last %zu events are lost", events->queue.count);
    copies_clear(&events->queue);
    db_close(events->db);
    pthread_mutex_destroy(&events->lock);
    free(events);
}

uint64_t
events_dropped(const struct events *events)
{
    return __atomic_load_n(&events->dropped, __ATOMIC_RELAXED);
}

void
events_today(struct events *events, uint64_t counts[EVENT_KIND_COUNT])
{
    pthread_mutex_lock(&events->lock);
    if (clock_now() / DAYS(1) == events->day)
        memcpy(counts, events->counts, sizeof(events->counts));
    else
        memset(counts, 0, sizeof(events->counts));
    pthread_mutex_unlock(&events->lock);
}

void
events_record(struct events *events, const struct event *event)
{
    struct event timed = *event;
    struct copy *copy;
    bool ring = false;

    if (!timed.time)
        timed.time = clock_now();
    copy = copy_new(&timed);
    pthread_mutex_lock(&events->lock);
    count_event(events, timed.kind, timed.time);
    if (events->queue.bytes + copy->size > EVENTS_QUEUE_BYTES_MAX) {
        __atomic_fetch_add(&events->dropped, 1, __ATOMIC_RELAXED);
        free(take(copy));
    } else {
        copy->sequence = MAX(events->last_sequence + 1, timed.time / 1000);
        events->last_sequence = copy->sequence;
        copies_add(&events->queue, copy);
        ring = events->queue.count == 1 || events->queue.count == EVENTS_BATCH;
    }
    pthread_mutex_unlock(&events->lock);
    if (ring)
        bell_ring(&events->bell);
}

static bool
is_behind(struct events *events)
{
    bool behind;

    pthread_mutex_lock(&events->lock);
    behind = events->queue.bytes > EVENTS_QUEUE_BYTES_MAX / 2;
    pthread_mutex_unlock(&events->lock);
    return behind;
}

WAITS void
events_keep_up(struct events *events)
{
    enum err e = OK;

    for (unsigned i = 0; !e && i < KEEP_UP_LOOKS && is_behind(events); i++)
        e = fiber_sleep(KEEP_UP_LOOK);
}

/* Writing. */

static struct db_value
value_of(const struct event *event, const struct field *field)
{
    int64_t number;

    switch (field->type) {
    case TEXT:
    case MORE:
        return db_text_or_null(*text_at(event, field));
    case MESSAGE:
        return has_message(event) ? db_blob((str){ (const char *)event->message.bytes,
                                                   sizeof(event->message.bytes) })
                                  : db_null();
    case KIND:
        return db_int((int64_t)event->kind);
    case SEQUENCE:
        return db_int(event->sequence);
    default:
        number = *number_at(event, field);
        return number || field->offset == offsetof(struct event, time) ? db_int(number) : db_null();
    }
}

static enum err
insert_events(void *arg, struct db_conn *conn)
{
    const struct copy *copy = arg;
    struct db_value values[FIELD_COUNT + 1];
    struct event event;
    enum err e = OK;

    for (size_t count = 0; !e && copy && count < EVENTS_BATCH; count++, copy = copy->next) {
        copy_read(copy, &event);
        for (size_t i = 0; i <= FIELD_COUNT; i++)
            values[i] = value_of(&event, field_of(i));
        e = db_run_values(conn, insert_sql, values, COUNT_OF(values));
    }
    return e;
}

/* Only one at a time, so that a flush has seen all that was recorded before it. */
WAITS static void
flush_begin(struct events *events, struct copies *taken)
{
    struct flush_wait wait;

    pthread_mutex_lock(&events->lock);
    while (events->flushing) {
        wait = (struct flush_wait){ 0 };
        list_append(&events->waiting, &wait.link);
        pthread_mutex_unlock(&events->lock);
        latch_wait_always(&wait.latch);
        pthread_mutex_lock(&events->lock);
    }
    events->flushing = true;
    *taken = events->queue;
    events->queue = (struct copies){ 0 };
    pthread_mutex_unlock(&events->lock);
}

/* What could not be written goes back to the front. */
static void
flush_end(struct events *events, struct copies *rest)
{
    struct link *next;
    struct copy *copy;

    pthread_mutex_lock(&events->lock);
    if (rest->first) {
        while ((copy = copies_pop(&events->queue)))
            copies_add(rest, copy);
        events->queue = *rest;
    }
    events->flushing = false;
    next = list_pop(&events->waiting);
    pthread_mutex_unlock(&events->lock);
    if (next)
        latch_open(&CONTAINER_OF(next, struct flush_wait, link)->latch);
}

WAITS enum err
events_flush(struct events *events)
{
    struct copies taken;
    struct why why = { "" };
    enum err e = OK;

    flush_begin(events, &taken);
    while (!e && taken.first) {
        e = db_write(events->db, insert_events, taken.first, &why);
        for (size_t i = 0; !e && i < EVENTS_BATCH; i++)
            free(copies_pop(&taken));
    }
    flush_end(events, &taken);
    if (e)
        log_error("events cannot be written: %s", why.text[0] ? why.text : err_name(e));
    return e;
}

WAITS void
events_run(void *arg)
{
    struct events *events = arg;
    enum err e = OK;

    while (e != ERR_CANCELLED) {
        e = bell_wait(&events->bell, NEVER);
        if (!e)
            e = bell_wait(&events->bell,
                          deadline_in(FLUSH_EVERY)); /* Full sooner, or time is over. */
        if (events_flush(events) && e != ERR_CANCELLED) {
            e = fiber_sleep(SECONDS(1));
            bell_ring(&events->bell);
        }
    }
}

/* Reading. */

static void
read_field(struct db_stmt *stmt, int column, struct event *event, const struct field *field)
{
    str bytes;

    switch (field->type) {
    case TEXT:
    case MORE:
        *text_at(event, field) = db_column_text(stmt, column);
        break;
    case MESSAGE:
        bytes = db_column_blob(stmt, column);
        memcpy(event->message.bytes, bytes.ptr, MIN(bytes.len, sizeof(event->message.bytes)));
        break;
    case KIND:
        event->kind = (enum event_kind)db_column_int(stmt, column);
        break;
    default:
        *number_at(event, field) = db_column_int(stmt, column);
    }
}

static struct copy *
read_row(struct db_stmt *stmt)
{
    struct event event = { 0 };

    for (int i = 0; i < FIELD_COUNT; i++)
        read_field(stmt, i, &event, &fields[i]);
    read_field(stmt, FIELD_COUNT, &event, &more_field);
    return copy_new(&event);
}

/* One page of a search. */
struct find_job {
    const struct events_query *query;
    int64_t first; /* Range of the sequence, inclusive. */
    int64_t last;
    size_t rows;
    struct copies found;
};

/* ?1, ?2: range of the sequence.  ?3, ?4: of the time.  ?5: kind or 0.  ?6: account or ''.
 * ?7: message or an empty blob.  ?8: address or ''.  ?9: rows. */
#define FILTER                                                                                     \
    " sequence BETWEEN ?1 AND ?2 AND time >= ?3 AND time < ?4 AND (?5 = 0 OR kind = ?5)"           \
    " AND (?6 = '' OR account = ?6)"
#define SELECT "SELECT " COLUMNS " FROM event WHERE"
#define BY_TIME(order)                                                                             \
    SELECT FILTER " AND ?7 = x'' AND ?8 = '' ORDER BY sequence " order " LIMIT ?9"
#define BY_MESSAGE(order)                                                                          \
    SELECT FILTER " AND message = ?7 AND (?8 = '' OR sender = ?8 OR recipient = ?8)"               \
                  " ORDER BY sequence " order " LIMIT ?9"
/* The first rows of each index, so that nobody's million events are sorted for ten of them. */
#define ONE_SIDE(side, order)                                                                      \
    "SELECT sequence FROM (SELECT sequence FROM event WHERE" FILTER " AND " side                   \
    " = ?8 AND ?7 = x'' ORDER BY sequence " order " LIMIT ?9)"
#define BY_ADDRESS(order)                                                                          \
    SELECT " sequence IN (" ONE_SIDE("sender", order) " UNION " ONE_SIDE(                          \
        "recipient", order) ")"                                                                    \
                            " ORDER BY sequence " order " LIMIT ?9"

static const char *
find_sql(const struct events_query *query)
{
    static const char *const sql[3][2] = {
        { BY_TIME("DESC"), BY_TIME("ASC") },
        { BY_ADDRESS("DESC"), BY_ADDRESS("ASC") },
        { BY_MESSAGE("DESC"), BY_MESSAGE("ASC") },
    };
    size_t by = query->address.len ? 1 : 0;

    if (msgid_cmp(query->message, no_message))
        by = 2;
    return sql[by][query->oldest_first];
}

static enum err
find_page(void *arg, struct db_conn *conn)
{
    struct find_job *job = arg;
    const struct events_query *query = job->query;
    bool by_message = msgid_cmp(query->message, no_message) != 0;
    str message = { (const char *)query->message.bytes, by_message ? sizeof(query->message) : 0 };
    const struct db_value values[] = {
        db_int(job->first),
        db_int(job->last),
        db_int(query->since),
        db_int(query->until ? query->until : INT64_MAX),
        db_int((int64_t)query->kind),
        db_text(query->account),
        db_blob(message),
        db_text(query->address),
        db_int((int64_t)job->rows),
    };
    struct db_stmt *stmt = db_query_values(conn, find_sql(query), values, COUNT_OF(values));

    copies_clear(&job->found);
    while (db_step(stmt))
        copies_add(&job->found, read_row(stmt));
    return db_error(conn);
}

static void
range_of(const struct events_query *query, struct find_job *job)
{
    job->first = MAX(query->after_sequence + 1, query->since / 1000);
    job->last = query->until ? query->until / 1000 + SKEW_US : INT64_MAX;
}

/* Gives the page away; false when FN wants no more. */
static bool
show_page(struct find_job *job, bool (*fn)(void *arg, const struct event *event), void *arg)
{
    struct copy *copy;
    struct event event;
    bool more = true;

    while (more && (copy = copies_pop(&job->found))) {
        copy_read(copy, &event);
        if (job->query->oldest_first)
            job->first = event.sequence + 1;
        else
            job->last = event.sequence - 1;
        more = fn(arg, &event);
        free(copy);
    }
    copies_clear(&job->found);
    return more;
}

WAITS enum err
events_find(struct events *events, const struct events_query *query,
            bool (*fn)(void *arg, const struct event *event), void *arg)
{
    struct find_job job = { .query = query };
    size_t left = query->limit ? query->limit : EVENTS_LIMIT_DEFAULT;
    size_t found;
    enum err e;

    range_of(query, &job);
    do {
        job.rows = MIN(left, (size_t)PAGE_ROWS);
        e = db_read(events->db, find_page, &job, NULL);
        if (e) {
            copies_clear(&job.found);
            return e;
        }
        found = job.found.count;
        left -= found;
    } while (show_page(&job, fn, arg) && found == job.rows && left);
    return OK;
}

struct expire_job {
    int64_t before;
    int64_t deleted;
};

static enum err
expire_some(void *arg, struct db_conn *conn)
{
    struct expire_job *job = arg;
    enum err e = db_run(conn,
                        "DELETE FROM event WHERE sequence IN (SELECT sequence FROM event"
                        " WHERE sequence < ?1 ORDER BY sequence LIMIT ?2)",
                        db_int(job->before), db_int(EXPIRE_ROWS));

    job->deleted = e ? 0 : db_changes(conn);
    return e;
}

WAITS enum err
events_expire(struct events *events, instant now, duration keep, uint64_t *deleted)
{
    struct expire_job job = { .before = (now - keep) / 1000 };
    uint64_t total = 0;
    enum err e;

    do {
        e = db_write(events->db, expire_some, &job, NULL);
        if (e)
            return e;
        total += (uint64_t)job.deleted;
    } while (job.deleted == EXPIRE_ROWS);
    if (deleted)
        *deleted = total;
    return OK;
}

/* JSON. */

static void
put_field(struct json_writer *json, const struct event *event, const struct field *field)
{
    char id[MSGID_TEXT_SIZE + 1];

    switch (field->type) {
    case TEXT:
        if (text_at(event, field)->len)
            json_put_text(json, field->name, *text_at(event, field));
        break;
    case MORE:
        if (event->more.len)
            json_put_raw(json, field->name, event->more);
        break;
    case MESSAGE:
        if (has_message(event)) {
            msgid_format(event->message, id);
            json_put_text(json, field->name, str_from(id));
        }
        break;
    case KIND:
        json_put_text(json, field->name, str_from(event_kind_name(event->kind)));
        break;
    case TIME:
        if (*number_at(event, field))
            json_put_time(json, field->name, *number_at(event, field));
        break;
    case DURATION:
        if (*number_at(event, field))
            json_put_int(json, "took_us", *number_at(event, field) / 1000);
        break;
    default:
        if (*number_at(event, field))
            json_put_int(json, field->name, *number_at(event, field));
    }
}

void
event_to_json(const struct event *event, struct buf *buf)
{
    struct json_writer json;

    json_writer_init(&json, buf);
    json_begin_object(&json, NULL);
    for (size_t i = 0; i < FIELD_COUNT; i++)
        put_field(&json, event, &fields[i]);
    put_field(&json, event, &more_field);
    json_end_object(&json);
}
