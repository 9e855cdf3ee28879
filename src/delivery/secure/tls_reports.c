/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* tls_reports.c: counts sessions, in memory and then in a database.
 *
 * A tally stands for a domain, a day and a policy.  tls_reports_note() finds it in a map and adds
 * one; tls_reports_flush() takes the whole map away and writes it, so that noting never waits for a
 * disk.  What could not be written comes back into the map.  The rows are read and changed in
 * tls_reports_rows.c.
 */
#include "delivery/secure/tls_reports.h"

#include "base/must.h"
#include "delivery/secure/tls_reports_inside.h"
#include "runtime/clock.h"
#include "runtime/log.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    CHUNK = 200, /* Tallies written in one transaction. */
    KEY_MAX = 2 * TLS_REPORTS_TEXT_MAX + 40,
    TALLY_FAILURES_MAX = 64, /* Kinds kept apart between two writes; more are one. */
};

static const char *const migrations[] = {
    "CREATE TABLE domain (id INTEGER PRIMARY KEY, name TEXT NOT NULL, begin INTEGER NOT NULL,"
    "  until INTEGER NOT NULL, state INTEGER NOT NULL DEFAULT 0, tries INTEGER NOT NULL DEFAULT 0,"
    "  next INTEGER NOT NULL, report TEXT NOT NULL DEFAULT '', policies INTEGER NOT NULL DEFAULT 0,"
    "  failures INTEGER NOT NULL DEFAULT 0, UNIQUE (begin, name));"
    "CREATE INDEX domain_next ON domain (state, next);"
    "CREATE TABLE policy (id INTEGER PRIMARY KEY, domain INTEGER NOT NULL, type INTEGER NOT NULL,"
    "  policy_domain TEXT NOT NULL, lines TEXT NOT NULL, mx TEXT NOT NULL,"
    "  succeeded INTEGER NOT NULL DEFAULT 0, failed INTEGER NOT NULL DEFAULT 0);"
    "CREATE INDEX policy_domain ON policy (domain);"
    "CREATE TABLE failure (policy INTEGER NOT NULL, result INTEGER NOT NULL,"
    "  sending_ip TEXT NOT NULL, mx TEXT NOT NULL, helo TEXT NOT NULL, receiving_ip TEXT NOT NULL,"
    "  reason TEXT NOT NULL, count INTEGER NOT NULL,"
    "  PRIMARY KEY (policy, result, sending_ip, mx, helo, receiving_ip, reason)) WITHOUT ROWID;"
    "CREATE TABLE report (id INTEGER PRIMARY KEY, domain INTEGER NOT NULL, uri TEXT NOT NULL,"
    "  state INTEGER NOT NULL DEFAULT 0, tries INTEGER NOT NULL DEFAULT 0, made INTEGER NOT NULL,"
    "  next INTEGER NOT NULL, changed INTEGER NOT NULL, message BLOB, text TEXT NOT NULL DEFAULT "
    "'',"
    "  UNIQUE (domain, uri));"
    "CREATE INDEX report_next ON report (state, next);",
};

/* A kind of failure; counts between two writes. */
struct kind {
    struct kind *next;
    enum tlsrpt_result result;
    ipaddr local;
    ipaddr peer;
    str host; /* These three lie behind it. */
    str helo;
    str reason;
    uint64_t count;
};

struct tally {
    instant begin;
    instant end;
    enum tlsrpt_policy_type type;
    str domain; /* These four lie behind it. */
    str policy_domain;
    str lines;
    str mx;
    uint64_t succeeded;
    uint64_t failed;
    struct kind *kinds;
    unsigned kind_count;
    uint64_t hash; /* Of lines and mx. */
};

/* --- Tallies. */

static str
put_behind(char **at, str text)
{
    str copy = { *at, text.len };

    if (text.len)
        memcpy(*at, text.ptr, text.len);
    *at += text.len;
    return copy;
}

static void
free_tally(struct tally *tally)
{
    struct kind *next;

    for (struct kind *kind = tally->kinds; kind; kind = next) {
        next = kind->next;
        free(kind);
    }
    free(tally);
}

static str
cut(str text)
{
    return str_head(text, TLS_REPORTS_TEXT_MAX);
}

/* Whole lines. */
static str
cut_lines(str lines)
{
    str head = str_head(lines, TLS_REPORTS_POLICY_TEXT_MAX);
    ssize_t end;

    if (head.len == lines.len)
        return head;
    end = str_find_last(head, '\n');
    return str_head(head, end < 0 ? 0 : (size_t)end);
}

/* What makes two sessions belong to the same tally; the texts of the policy by their hash. */
static str
key_of(const struct tls_session *session, instant begin, uint64_t hash, char key[KEY_MAX])
{
    char *at = key;
    str front = { (const char *)&begin, sizeof(begin) };
    str middle = { (const char *)&hash, sizeof(hash) };

    (void)put_behind(&at, front);
    (void)put_behind(&at, middle);
    *at++ = (char)session->type;
    (void)put_behind(&at, cut(session->domain));
    *at++ = '\0';
    (void)put_behind(&at, cut(session->policy_domain));
    return (str){ key, (size_t)(at - key) };
}

static struct tally *
new_tally(struct tls_reports *reports, const struct tls_session *session, instant begin,
          instant end, uint64_t hash)
{
    str domain = cut(session->domain), policy_domain = cut(session->policy_domain);
    str lines = cut_lines(session->lines), mx = cut_lines(session->mx);
    size_t size = sizeof(struct tally) + domain.len + policy_domain.len + lines.len + mx.len;
    struct tally *tally = malloc(size);
    char *at;

    must(tally);
    *tally = (struct tally){ .begin = begin, .end = end, .type = session->type, .hash = hash };
    at = (char *)(tally + 1);
    tally->domain = put_behind(&at, domain);
    tally->policy_domain = put_behind(&at, policy_domain);
    tally->lines = put_behind(&at, lines);
    tally->mx = put_behind(&at, mx);
    reports->unsaved_bytes += size;
    return tally;
}

/* Finds or makes; NULL: there are too many. */
static struct tally *
tally_of(struct tls_reports *reports, const struct tls_session *session, instant begin, instant end)
{
    uint64_t hash = str_hash(cut_lines(session->lines)) * 31 + str_hash(cut_lines(session->mx));
    char text[KEY_MAX];
    str key = key_of(session, begin, hash, text);
    struct tally *tally = map_get(&reports->tallies, key);

    if (tally)
        return tally;
    if (map_count(&reports->tallies) >= TLS_REPORTS_UNSAVED_MAX ||
        reports->unsaved_bytes >= TLS_REPORTS_UNSAVED_BYTES_MAX)
        return NULL;
    tally = new_tally(reports, session, begin, end, hash);
    if (map_put(&reports->tallies, key, tally)) {
        free_tally(tally);
        return NULL;
    }
    return tally;
}

static bool
is_kind(const struct kind *kind, const struct tls_session *session)
{
    return kind->result == session->result && ipaddr_eq(kind->local, session->local) &&
           ipaddr_eq(kind->peer, session->peer) && str_eq(kind->host, cut(session->host)) &&
           str_eq(kind->helo, cut(session->helo)) && str_eq(kind->reason, cut(session->reason));
}

static struct kind *
new_kind(struct tls_reports *reports, const struct tls_session *session)
{
    str host = cut(session->host), helo = cut(session->helo), reason = cut(session->reason);
    size_t size = sizeof(struct kind) + host.len + helo.len + reason.len;
    struct kind *kind = malloc(size);
    char *at;

    must(kind);
    *kind =
        (struct kind){ .result = session->result, .local = session->local, .peer = session->peer };
    at = (char *)(kind + 1);
    kind->host = put_behind(&at, host);
    kind->helo = put_behind(&at, helo);
    kind->reason = put_behind(&at, reason);
    reports->unsaved_bytes += size;
    return kind;
}

static void
add_kind(struct tls_reports *reports, struct tally *tally, const struct tls_session *session,
         uint64_t count)
{
    const struct tls_session rest = { .result = session->result };
    struct kind *kind;

    if (tally->kind_count >= TALLY_FAILURES_MAX)
        session = &rest;
    for (kind = tally->kinds; kind; kind = kind->next)
        if (is_kind(kind, session))
            break;
    if (!kind) {
        kind = new_kind(reports, session);
        kind->next = tally->kinds;
        tally->kinds = kind;
        tally->kind_count++;
    }
    kind->count += count;
}

static void
add_session(struct tls_reports *reports, struct tally *tally, const struct tls_session *session)
{
    if (session->result == TLSRPT_OK) {
        tally->succeeded++;
        return;
    }
    tally->failed++;
    add_kind(reports, tally, session, 1);
}

void
tls_reports_day(struct tls_reports *reports, instant when, instant *begin, instant *end)
{
    duration period = atomic_load_explicit(&reports->period, memory_order_relaxed);

    *begin = when - when % period;
    *end = *begin + period;
}

void
tls_reports_note(struct tls_reports *reports, const struct tls_session *session)
{
    const struct tls_session others = { .result = session->result };
    instant begin, end;
    struct tally *tally;
    bool first;

    if (!reports || !atomic_load_explicit(&reports->counts, memory_order_relaxed) ||
        !session->domain.len)
        return;
    tls_reports_day(reports, clock_now(), &begin, &end);
    pthread_mutex_lock(&reports->lock);
    first = map_count(&reports->tallies) == 0;
    tally = tally_of(reports, session, begin, end);
    if (tally) {
        add_session(reports, tally, session);
    } else {
        if (!reports->others)
            reports->others = new_tally(reports, &others, begin, end, 0);
        add_session(reports, reports->others, &others);
    }
    pthread_mutex_unlock(&reports->lock);
    if (first)
        bell_ring(&reports->bell);
}

/* --- Writing. */

/* Some tallies, for one transaction; it may run twice. */
struct saving {
    struct tls_reports *reports;
    struct tally *const *tallies;
    size_t count;
    int64_t domains; /* Of the day BEGIN; -1: not counted yet. */
    instant begin;
};

/* Whether one more domain may have a row of its own. */
static bool
has_room(struct saving *saving, struct db_conn *conn, instant begin)
{
    struct db_stmt *stmt;

    if (saving->domains < 0 || saving->begin != begin) {
        stmt = db_query(conn, "SELECT count(*) FROM domain WHERE begin = ?1", db_int(begin));
        saving->domains = db_step(stmt) ? db_column_int(stmt, 0) : 0;
        db_reset(stmt);
        saving->begin = begin;
    }
    return saving->domains < TLS_REPORTS_DOMAINS_MAX;
}

/* Spread over the delay, by who reports and when: each sender at another time, always the same
 * one. */
static instant
due_at(struct tls_reports *reports, const struct tally *tally)
{
    duration delay = atomic_load_explicit(&reports->delay, memory_order_relaxed);
    uint64_t seed = atomic_load_explicit(&reports->seed, memory_order_relaxed);
    struct rand rand;

    rand_init(&rand, seed ^ (uint64_t)tally->begin);
    return tally->end + (duration)rand_below(&rand, (uint64_t)delay + 1);
}

/* The row of the tally's domain; false: there is none that counts. */
static bool
domain_row(struct saving *saving, struct db_conn *conn, const struct tally *tally, str name,
           struct domain_counts *row)
{
    struct db_stmt *stmt = db_query(
        conn, "SELECT id, state, policies, failures FROM domain WHERE begin = ?1 AND name = ?2",
        db_int(tally->begin), db_text(name));
    bool found = db_step(stmt);

    if (found)
        *row = (struct domain_counts){ db_column_int(stmt, 0), db_column_int(stmt, 2),
                                       db_column_int(stmt, 3) };
    found = found && db_column_int(stmt, 1) == TLS_DOMAIN_COUNTED;
    db_reset(stmt);
    if (found || row->id)
        return found;
    if (name.len && !has_room(saving, conn, tally->begin))
        return domain_row(saving, conn, tally, S(""), row);
    if (db_run(conn, "INSERT INTO domain (name, begin, until, next) VALUES (?1, ?2, ?3, ?4)",
               db_text(name), db_int(tally->begin), db_int(tally->end),
               db_int(name.len ? due_at(saving->reports, tally) : NEVER)))
        return false;
    saving->domains++;
    row->id = db_last_id(conn);
    return true;
}

/* POLICY is of the tally, or what is left of it when there are too many. */
static int64_t
policy_row(struct db_conn *conn, const struct tally *tally, struct domain_counts *row,
           const struct tlsrpt_policy *policy)
{
    const struct tlsrpt_policy rest = { .domain = tally->domain };
    bool is_rest = str_eq(policy->domain, rest.domain) && !policy->lines.len && !policy->mx.len;
    struct db_stmt *stmt =
        db_query(conn,
                 "SELECT id FROM policy WHERE domain = ?1 AND type = ?2 AND policy_domain = ?3"
                 " AND lines = ?4 AND mx = ?5",
                 db_int(row->id), db_int(tally->type), db_text(policy->domain),
                 db_text(policy->lines), db_text(policy->mx));
    int64_t id = db_step(stmt) ? db_column_int(stmt, 0) : 0;

    db_reset(stmt);
    if (id)
        return id;
    if (row->policies >= TLS_REPORTS_POLICIES_MAX && !is_rest)
        return policy_row(conn, tally, row, &rest);
    if (db_run(conn,
               "INSERT INTO policy (domain, type, policy_domain, lines, mx)"
               " VALUES (?1, ?2, ?3, ?4, ?5)",
               db_int(row->id), db_int(tally->type), db_text(policy->domain),
               db_text(policy->lines), db_text(policy->mx)))
        return 0;
    row->policies++;
    return db_last_id(conn);
}

static str
address_text(ipaddr addr, char text[IPADDR_TEXT_MAX])
{
    if (ipaddr_is_any(addr))
        return S("");
    ipaddr_format(addr, text);
    return str_from(text);
}

static enum err
save_kind(struct db_conn *conn, int64_t policy, struct domain_counts *row, const struct kind *kind)
{
    char local[IPADDR_TEXT_MAX], peer[IPADDR_TEXT_MAX];
    struct kind rest = { .result = kind->result, .count = kind->count };
    bool is_rest = !kind->host.len && !kind->helo.len && !kind->reason.len;
    enum err e = db_run(
        conn,
        "UPDATE failure SET count = count + ?8 WHERE policy = ?1 AND result = ?2"
        " AND sending_ip = ?3 AND mx = ?4 AND helo = ?5 AND receiving_ip = ?6 AND reason = ?7",
        db_int(policy), db_int(kind->result), db_text(address_text(kind->local, local)),
        db_text(kind->host), db_text(kind->helo), db_text(address_text(kind->peer, peer)),
        db_text(kind->reason), db_int((int64_t)kind->count));

    if (e || db_changes(conn) > 0)
        return e;
    if (row->failures >= TLS_REPORTS_FAILURES_MAX && !is_rest)
        return save_kind(conn, policy, row, &rest);
    row->failures++;
    return db_run(conn, "INSERT INTO failure VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                  db_int(policy), db_int(kind->result), db_text(address_text(kind->local, local)),
                  db_text(kind->host), db_text(kind->helo), db_text(address_text(kind->peer, peer)),
                  db_text(kind->reason), db_int((int64_t)kind->count));
}

static enum err
save_tally(struct saving *saving, struct db_conn *conn, const struct tally *tally)
{
    const struct tlsrpt_policy own = { .domain = tally->policy_domain,
                                       .lines = tally->lines,
                                       .mx = tally->mx };
    struct domain_counts row = {};
    int64_t policy;
    enum err e;

    if (!domain_row(saving, conn, tally, tally->domain, &row))
        return db_error(conn); /* Its report is made already. */
    policy = policy_row(conn, tally, &row, &own);
    e = db_run(conn,
               "UPDATE policy SET succeeded = succeeded + ?2, failed = failed + ?3 WHERE id = ?1",
               db_int(policy), db_int((int64_t)tally->succeeded), db_int((int64_t)tally->failed));
    for (const struct kind *kind = tally->kinds; kind && !e; kind = kind->next)
        e = save_kind(conn, policy, &row, kind);
    if (!e)
        e = db_run(conn, "UPDATE domain SET policies = ?2, failures = ?3 WHERE id = ?1",
                   db_int(row.id), db_int(row.policies), db_int(row.failures));
    return e;
}

static enum err
save_some(void *arg, struct db_conn *conn)
{
    struct saving *saving = arg;
    enum err e = OK;

    saving->domains = -1;
    for (size_t i = 0; i < saving->count && !e; i++)
        e = save_tally(saving, conn, saving->tallies[i]);
    return e ? e : db_error(conn);
}

/* What could not be written counts on; it may be that the same tally has begun anew. */
static void
put_back(struct tls_reports *reports, struct tally *tally)
{
    struct tls_session session = {
        .domain = tally->domain,
        .type = tally->type,
        .policy_domain = tally->policy_domain,
        .lines = tally->lines,
        .mx = tally->mx,
    };
    struct tally *to;

    pthread_mutex_lock(&reports->lock);
    to =
        tally->domain.len ? tally_of(reports, &session, tally->begin, tally->end) : reports->others;
    if (!to)
        to = reports->others ? reports->others
                             : (reports->others = new_tally(reports, &(struct tls_session){},
                                                            tally->begin, tally->end, 0));
    to->succeeded += tally->succeeded;
    to->failed += tally->failed;
    for (const struct kind *kind = tally->kinds; kind; kind = kind->next) {
        session = (struct tls_session){ .result = kind->result,
                                        .local = kind->local,
                                        .peer = kind->peer,
                                        .host = kind->host,
                                        .helo = kind->helo,
                                        .reason = kind->reason };
        add_kind(reports, to, &session, kind->count);
    }
    pthread_mutex_unlock(&reports->lock);
    free_tally(tally);
}

/* Everything that is counted, taken out of the map. */
static struct tally **
take_all(struct tls_reports *reports, size_t *count)
{
    struct tally **tallies;
    struct map map;
    size_t at = 0;
    void *value;
    str key;

    pthread_mutex_lock(&reports->lock);
    map = reports->tallies;
    map_init(&reports->tallies, 0);
    tallies = calloc(map_count(&map) + 1, sizeof(struct tally *));
    must(tallies);
    *count = 0;
    while (map_next(&map, &at, &key, &value))
        tallies[(*count)++] = value;
    if (reports->others)
        tallies[(*count)++] = take(reports->others);
    reports->unsaved_bytes = 0;
    pthread_mutex_unlock(&reports->lock);
    map_done(&map);
    return tallies;
}

WAITS enum err
tls_reports_flush(struct tls_reports *reports)
{
    size_t count;
    struct tally **tallies = take_all(reports, &count);
    enum err e = OK;

    for (size_t done = 0; done < count; done += CHUNK) {
        struct saving saving = { reports, tallies + done, MIN(count - done, (size_t)CHUNK), -1, 0 };
        if (!e)
            e = db_write(reports->db, save_some, &saving, NULL);
        for (size_t i = 0; i < saving.count; i++) {
            if (e)
                put_back(reports, tallies[done + i]);
            else
                free_tally(tallies[done + i]);
        }
    }
    free(tallies);
    if (count && !atomic_exchange(&reports->has_rows, true))
        bell_ring(&reports->due);
    return e;
}

WAITS void
tls_reports_run(void *arg)
{
    struct tls_reports *reports = arg;
    enum err e = OK;

    while (e != ERR_CANCELLED) {
        e = bell_wait(&reports->bell, NEVER);
        if (!e)
            e = fiber_sleep(TLS_REPORTS_FLUSH_EVERY);
        if (e == ERR_CANCELLED)
            break;
        e = tls_reports_flush(reports);
        if (e && e != ERR_CANCELLED) {
            log_warning("the counts for TLS reports could not be written: %s", err_name(e));
            bell_ring(&reports->bell);
        }
    }
}

/* --- Opening. */

void
tls_reports_configure(struct tls_reports *reports, bool counts, duration period, duration delay,
                      str submitter)
{
    atomic_store(&reports->counts, counts);
    atomic_store(&reports->period, MAX(period, SECONDS(1)));
    atomic_store(&reports->delay, delay);
    atomic_store(&reports->seed, str_hash(submitter));
    bell_ring(&reports->due);
}

/* Mail is worth more than counts: a file that is no database is put aside. */
static enum err
put_aside(const char *path, const char *what, struct why *why)
{
    static const char *const ends[] = { "", "-wal", "-shm" };
    instant now = clock_now();
    char from[PATH_MAX], to[PATH_MAX];

    for (size_t i = 0; i < COUNT_OF(ends); i++) {
        int len = snprintf(to, sizeof(to), "%s.broken-%lld%s", path, (long long)(now / SECONDS(1)),
                           ends[i]);
        int from_len = snprintf(from, sizeof(from), "%s%s", path, ends[i]);

        if (len >= PATH_MAX || from_len >= PATH_MAX)
            return err_why(why, ERR_LIMIT, "the path is too long");
        if (rename(from, to) && errno != ENOENT)
            return err_why(why, err_from_errno(errno), "%s: %s", from, strerror(errno));
        if (i == 0)
            log_error("the counts for TLS reports begin anew: %s; the file is %s now", what, to);
    }
    return OK;
}

WAITS enum err
tls_reports_open(const char *path, struct tls_reports **result, struct why *why)
{
    const struct db_options options = {
        .path = path,
        .migrations = migrations,
        .migration_count = COUNT_OF(migrations),
        .small_pages = true,
        .small = true,
    };
    struct tls_reports *reports = calloc(1, sizeof(*reports));
    struct why broken = {};
    enum err e;

    must(reports);
    pthread_mutex_init(&reports->lock, NULL);
    map_init(&reports->tallies, 0);
    atomic_store(&reports->period, DAYS(1));
    atomic_store(&reports->has_rows, true);
    e = db_open(&options, &reports->db, &broken);
    if (e == ERR_CORRUPT) {
        e = put_aside(path, broken.text, why);
        if (!e)
            e = db_open(&options, &reports->db, why);
    } else if (e) {
        (void)err_why(why, e, "%s", broken.text);
    }
    if (e) {
        free(reports);
        return e;
    }
    *result = reports;
    return OK;
}

WAITS void
tls_reports_close(struct tls_reports *reports)
{
    size_t count;
    struct tally **left;

    if (!reports)
        return;
    if (tls_reports_flush(reports))
        log_error("the last counts for TLS reports are lost");
    left = take_all(reports, &count);
    for (size_t i = 0; i < count; i++)
        free_tally(left[i]);
    free(left);
    map_done(&reports->tallies);
    db_close(reports->db);
    pthread_mutex_destroy(&reports->lock);
    free(reports);
}
