/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* tls_reports_rows.c: the rows of the database of reports, read and changed for the sender and for
 * operators.
 *
 *     domain (counted) ──> domain (reported), and a report for each place: waiting ──> sending ──>
 * sent └──> forgotten: it wants none                                      └──<──┘     └──> dropped
 */
#include "delivery/secure/tls_reports_inside.h"

#include <string.h>

enum {
    POLICIES_READ_MAX = TLS_REPORTS_POLICIES_MAX + 16, /* With what stands for the rest. */
    FAILURES_READ_MAX = TLS_REPORTS_FAILURES_MAX + TLSRPT_RESULT_COUNT,
    EXPIRE_DOMAINS = 100, /* Forgotten in one transaction. */
};

#define DOMAIN_COLUMNS "domain.id, name, begin, until, domain.state, domain.tries, report"

const char *
tls_report_state_name(enum tls_report_state state)
{
    static const char *const names[] = {
        [TLS_REPORT_WAITING] = "waiting",
        [TLS_REPORT_SENDING] = "sending",
        [TLS_REPORT_SENT] = "sent",
        [TLS_REPORT_DROPPED] = "dropped",
    };

    return names[state];
}

/* --- Domains. */

static bool
read_domain(struct db_stmt *stmt, struct arena *arena, struct tls_domain *domain)
{
    *domain = (struct tls_domain){
        .id = db_column_int(stmt, 0),
        .begin = db_column_int(stmt, 2),
        .end = db_column_int(stmt, 3),
        .state = (enum tls_domain_state)db_column_int(stmt, 4),
        .tries = (unsigned)db_column_int(stmt, 5),
    };
    return arena_copy(arena, db_column_text(stmt, 1), &domain->name) &&
           arena_copy(arena, db_column_text(stmt, 6), &domain->report_id);
}

struct domain_query {
    const char *sql;
    struct db_value values[4];
    size_t value_count;
    size_t max;
    struct arena *arena;
    struct tls_domain *domains;
    size_t count;
};

static enum err
read_domains(void *arg, struct db_conn *conn)
{
    struct domain_query *query = arg;
    struct db_stmt *stmt = db_query_values(conn, query->sql, query->values, query->value_count);

    query->count = 0;
    while (query->count < query->max && db_step(stmt)) {
        if (!read_domain(stmt, query->arena, &query->domains[query->count])) {
            db_reset(stmt);
            return ERR_LIMIT;
        }
        query->count++;
    }
    db_reset(stmt);
    return db_error(conn);
}

WAITS static enum err
run_domains(struct tls_reports *reports, struct domain_query *query, struct tls_domain **domains,
            size_t *count)
{
    enum err e;

    query->domains = arena_new_array(query->arena, struct tls_domain, query->max);
    if (!query->domains)
        return ERR_LIMIT;
    e = db_read(reports->db, read_domains, query, NULL);
    if (e)
        return e;
    *domains = query->domains;
    *count = query->count;
    return OK;
}

WAITS enum err
tls_reports_due_domains(struct tls_reports *reports, instant now, size_t max, struct arena *arena,
                        struct tls_domain **domains, size_t *count)
{
    struct domain_query query = {
        .sql = "SELECT " DOMAIN_COLUMNS
               " FROM domain WHERE state = 0 AND next <= ?1 ORDER BY next LIMIT ?2",
        .values = { db_int(now), db_int((int64_t)max) },
        .value_count = 2,
        .max = max,
        .arena = arena,
    };

    return run_domains(reports, &query, domains, count);
}

WAITS enum err
tls_reports_domains(struct tls_reports *reports, instant from, instant to, str name, size_t max,
                    struct arena *arena, struct tls_domain **domains, size_t *count)
{
    struct domain_query query = {
        .sql = "SELECT " DOMAIN_COLUMNS " FROM domain WHERE begin >= ?1 AND begin < ?2"
               " AND (?3 = '' OR name = ?3) ORDER BY begin, name LIMIT ?4",
        .values = { db_int(from), db_int(to), db_text(name), db_int((int64_t)max) },
        .value_count = 4,
        .max = max,
        .arena = arena,
    };

    return run_domains(reports, &query, domains, count);
}

static enum err
forget_domain(struct db_conn *conn, int64_t id)
{
    enum err e = db_run(conn,
                        "DELETE FROM failure WHERE policy IN"
                        " (SELECT id FROM policy WHERE domain = ?1)",
                        db_int(id));

    if (!e)
        e = db_run(conn, "DELETE FROM policy WHERE domain = ?1", db_int(id));
    if (!e)
        e = db_run(conn, "DELETE FROM report WHERE domain = ?1", db_int(id));
    if (!e)
        e = db_run(conn, "DELETE FROM domain WHERE id = ?1", db_int(id));
    return e;
}

struct deciding {
    const struct tls_decision *decisions;
    size_t count;
    instant now;
};

static enum err
decide(struct db_conn *conn, const struct tls_decision *decision, instant now)
{
    enum err e = OK;

    if (decision->next)
        return db_run(conn, "UPDATE domain SET tries = tries + 1, next = ?2 WHERE id = ?1",
                      db_int(decision->domain), db_int(decision->next));
    if (decision->uri_count == 0)
        return forget_domain(conn, decision->domain);
    for (size_t i = 0; i < decision->uri_count && !e; i++)
        e = db_run(conn,
                   "INSERT OR IGNORE INTO report (domain, uri, made, next, changed)"
                   " VALUES (?1, ?2, ?3, ?3, ?3)",
                   db_int(decision->domain), db_text(decision->uris[i]), db_int(now));
    if (!e)
        e = db_run(conn, "UPDATE domain SET state = 1, report = ?2 WHERE id = ?1 AND state = 0",
                   db_int(decision->domain), db_text(decision->report_id));
    return e;
}

static enum err
decide_all(void *arg, struct db_conn *conn)
{
    const struct deciding *deciding = arg;
    enum err e = OK;

    for (size_t i = 0; i < deciding->count && !e; i++)
        e = decide(conn, &deciding->decisions[i], deciding->now);
    return e;
}

WAITS enum err
tls_reports_decide(struct tls_reports *reports, instant now, const struct tls_decision *decisions,
                   size_t count)
{
    struct deciding deciding = { decisions, count, now };

    return count ? db_write(reports->db, decide_all, &deciding, NULL) : OK;
}

struct hurry {
    instant now;
    instant from;
    instant to;
    str name;
    int64_t count;
};

static enum err
hurry(void *arg, struct db_conn *conn)
{
    struct hurry *wish = arg;
    enum err e =
        db_run(conn,
               "UPDATE domain SET next = ?1 WHERE state = 0 AND until <= ?1 AND name != ''"
               " AND begin >= ?2 AND begin < ?3 AND (?4 = '' OR name = ?4)",
               db_int(wish->now), db_int(wish->from), db_int(wish->to), db_text(wish->name));

    wish->count = e ? 0 : db_changes(conn);
    if (!e)
        e = db_run(
            conn,
            "UPDATE report SET next = ?1 WHERE state = 0 AND domain IN (SELECT id FROM domain"
            " WHERE begin >= ?2 AND begin < ?3 AND (?4 = '' OR name = ?4))",
            db_int(wish->now), db_int(wish->from), db_int(wish->to), db_text(wish->name));
    wish->count += e ? 0 : db_changes(conn);
    return e;
}

WAITS enum err
tls_reports_hurry(struct tls_reports *reports, instant now, instant from, instant to, str name,
                  uint64_t *count)
{
    struct hurry wish = { now, from, to, name, 0 };
    enum err e = db_write(reports->db, hurry, &wish, NULL);

    if (e)
        return e;
    *count = (uint64_t)wish.count;
    bell_ring(&reports->due);
    return OK;
}

struct expiring {
    instant before;
    bool more;
};

static enum err
expire_some(void *arg, struct db_conn *conn)
{
    struct expiring *expiring = arg;
    int64_t ids[EXPIRE_DOMAINS];
    size_t count = 0;
    struct db_stmt *stmt = db_query(conn, "SELECT id FROM domain WHERE until < ?1 LIMIT ?2",
                                    db_int(expiring->before), db_int(EXPIRE_DOMAINS));
    enum err e = OK;

    while (count < EXPIRE_DOMAINS && db_step(stmt))
        ids[count++] = db_column_int(stmt, 0);
    db_reset(stmt);
    for (size_t i = 0; i < count && !e; i++)
        e = forget_domain(conn, ids[i]);
    expiring->more = count == EXPIRE_DOMAINS;
    return e ? e : db_error(conn);
}

WAITS enum err
tls_reports_expire(struct tls_reports *reports, instant now)
{
    struct expiring expiring = { .before = now - TLS_REPORTS_KEEP };
    enum err e;

    do
        e = db_write(reports->db, expire_some, &expiring, NULL);
    while (!e && expiring.more && !fiber_cancelled());
    return e;
}

/* --- Reports. */

#define REPORT_COLUMNS                                                                             \
    DOMAIN_COLUMNS ", report.id, uri, report.state, report.tries, made, report.next, changed,"     \
                   " message, text, (SELECT sum(succeeded) FROM policy WHERE domain = domain.id)," \
                   " (SELECT sum(failed) FROM policy WHERE domain = domain.id)"
#define REPORT_TABLES " FROM report JOIN domain ON domain.id = report.domain "

static bool
read_report(struct db_stmt *stmt, struct arena *arena, struct tls_report_row *row)
{
    str message = db_column_blob(stmt, 14);

    *row = (struct tls_report_row){
        .id = db_column_int(stmt, 7),
        .state = (enum tls_report_state)db_column_int(stmt, 9),
        .tries = (unsigned)db_column_int(stmt, 10),
        .made = db_column_int(stmt, 11),
        .next = db_column_int(stmt, 12),
        .changed = db_column_int(stmt, 13),
        .succeeded = (uint64_t)db_column_int(stmt, 16),
        .failed = (uint64_t)db_column_int(stmt, 17),
    };
    if (message.len == sizeof(row->message.bytes))
        memcpy(row->message.bytes, message.ptr, message.len);
    return read_domain(stmt, arena, &row->domain) &&
           arena_copy(arena, db_column_text(stmt, 8), &row->uri) &&
           arena_copy(arena, db_column_text(stmt, 15), &row->text);
}

struct report_query {
    const char *sql;
    struct db_value values[3];
    size_t value_count;
    size_t max;
    struct arena *arena;
    struct tls_report_row *rows;
    size_t count;
};

static enum err
read_reports(void *arg, struct db_conn *conn)
{
    struct report_query *query = arg;
    struct db_stmt *stmt = db_query_values(conn, query->sql, query->values, query->value_count);

    query->count = 0;
    while (query->count < query->max && db_step(stmt)) {
        if (!read_report(stmt, query->arena, &query->rows[query->count])) {
            db_reset(stmt);
            return ERR_LIMIT;
        }
        query->count++;
    }
    db_reset(stmt);
    return db_error(conn);
}

WAITS static enum err
run_reports(struct tls_reports *reports, struct report_query *query, struct tls_report_row **rows,
            size_t *count)
{
    enum err e;

    query->rows = arena_new_array(query->arena, struct tls_report_row, query->max);
    if (!query->rows)
        return ERR_LIMIT;
    e = db_read(reports->db, read_reports, query, NULL);
    if (e)
        return e;
    *rows = query->rows;
    *count = query->count;
    return OK;
}

WAITS enum err
tls_reports_due(struct tls_reports *reports, instant now, bool left, size_t max,
                struct arena *arena, struct tls_report_row **rows, size_t *count)
{
    struct report_query query = {
        .sql = "SELECT " REPORT_COLUMNS REPORT_TABLES
               "WHERE (report.state = 0 AND report.next <= ?1) OR (?2 AND report.state = 1)"
               " ORDER BY report.next LIMIT ?3",
        .values = { db_int(now), db_int(left), db_int((int64_t)max) },
        .value_count = 3,
        .max = max,
        .arena = arena,
    };

    return run_reports(reports, &query, rows, count);
}

WAITS enum err
tls_reports_list(struct tls_reports *reports, str name, size_t max, struct arena *arena,
                 struct tls_report_row **rows, size_t *count)
{
    struct report_query query = {
        .sql = "SELECT " REPORT_COLUMNS REPORT_TABLES
               "WHERE ?1 = '' OR name = ?1 ORDER BY begin DESC, name, uri LIMIT ?2",
        .values = { db_text(name), db_int((int64_t)max) },
        .value_count = 2,
        .max = max,
        .arena = arena,
    };

    return run_reports(reports, &query, rows, count);
}

struct marking {
    const struct tls_report_row *row;
    instant now;
};

static enum err
mark(void *arg, struct db_conn *conn)
{
    const struct marking *marking = arg;
    const struct tls_report_row *row = marking->row;
    str message = { (const char *)row->message.bytes, sizeof(row->message.bytes) };

    return db_run(conn,
                  "UPDATE report SET state = ?2, tries = ?3, next = ?4, changed = ?5, message = ?6,"
                  " text = ?7 WHERE id = ?1",
                  db_int(row->id), db_int(row->state), db_int(row->tries), db_int(row->next),
                  db_int(marking->now), db_blob(message), db_text(row->text));
}

WAITS enum err
tls_reports_mark(struct tls_reports *reports, instant now, const struct tls_report_row *row)
{
    struct marking marking = { row, now };

    return db_write(reports->db, mark, &marking, NULL);
}

struct next_query {
    instant next;
    bool any;
};

static enum err
read_next(void *arg, struct db_conn *conn)
{
    struct next_query *query = arg;
    struct db_stmt *stmt =
        db_query(conn, "SELECT min(next), 1 FROM domain WHERE state = 0"
                       " UNION ALL SELECT min(next), 1 FROM report WHERE state = 0");

    *query = (struct next_query){ .next = NEVER };
    while (db_step(stmt)) {
        int64_t next = db_column_int(stmt, 0);
        if (next > 0)
            query->next = MIN(query->next, next);
    }
    stmt = db_query(conn, "SELECT 1 FROM domain LIMIT 1");
    query->any = db_step(stmt);
    db_reset(stmt);
    return db_error(conn);
}

WAITS enum err
tls_reports_next(struct tls_reports *reports, instant *next)
{
    struct next_query query;
    enum err e = db_read(reports->db, read_next, &query, NULL);

    if (e)
        return e;
    *next = query.any ? query.next : 0;
    return OK;
}

/* --- Policies. */

struct policy_query {
    int64_t domain;
    struct arena *arena;
    struct tlsrpt_policy *policies;
    size_t count;
};

static enum err
read_failures(struct db_conn *conn, int64_t id, struct arena *arena, struct tlsrpt_policy *policy)
{
    struct db_stmt *stmt =
        db_query(conn,
                 "SELECT result, sending_ip, mx, helo, receiving_ip, reason, count FROM failure"
                 " WHERE policy = ?1 ORDER BY count DESC LIMIT ?2",
                 db_int(id), db_int(FAILURES_READ_MAX));
    struct tlsrpt_failure *failures =
        arena_new_array(arena, struct tlsrpt_failure, FAILURES_READ_MAX);
    bool fits = failures != NULL;

    policy->failures = failures;
    while (fits && db_step(stmt)) {
        struct tlsrpt_failure *failure = &failures[policy->failure_count++];
        failure->result = (enum tlsrpt_result)db_column_int(stmt, 0);
        failure->count = (uint64_t)db_column_int(stmt, 6);
        fits = arena_copy(arena, db_column_text(stmt, 1), &failure->sending_ip) &&
               arena_copy(arena, db_column_text(stmt, 2), &failure->mx) &&
               arena_copy(arena, db_column_text(stmt, 3), &failure->helo) &&
               arena_copy(arena, db_column_text(stmt, 4), &failure->receiving_ip) &&
               arena_copy(arena, db_column_text(stmt, 5), &failure->reason);
    }
    db_reset(stmt);
    return fits ? db_error(conn) : ERR_LIMIT;
}

static enum err
read_policies(void *arg, struct db_conn *conn)
{
    struct policy_query *query = arg;
    struct db_stmt *stmt = db_query(conn,
                                    "SELECT id, type, policy_domain, lines, mx, succeeded, failed"
                                    " FROM policy WHERE domain = ?1 ORDER BY id LIMIT ?2",
                                    db_int(query->domain), db_int(POLICIES_READ_MAX));
    int64_t ids[POLICIES_READ_MAX];
    bool fits = true;
    enum err e = OK;

    query->count = 0;
    while (fits && db_step(stmt)) {
        struct tlsrpt_policy *policy = &query->policies[query->count];
        ids[query->count++] = db_column_int(stmt, 0);
        *policy = (struct tlsrpt_policy){
            .type = (enum tlsrpt_policy_type)db_column_int(stmt, 1),
            .succeeded = (uint64_t)db_column_int(stmt, 5),
            .failed = (uint64_t)db_column_int(stmt, 6),
        };
        fits = arena_copy(query->arena, db_column_text(stmt, 2), &policy->domain) &&
               arena_copy(query->arena, db_column_text(stmt, 3), &policy->lines) &&
               arena_copy(query->arena, db_column_text(stmt, 4), &policy->mx);
    }
    db_reset(stmt);
    for (size_t i = 0; i < query->count && fits && !e; i++)
        e = read_failures(conn, ids[i], query->arena, &query->policies[i]);
    return !fits ? ERR_LIMIT : e ? e : db_error(conn);
}

WAITS enum err
tls_reports_read(struct tls_reports *reports, int64_t domain, struct arena *arena,
                 struct tlsrpt_policy **policies, size_t *count)
{
    struct policy_query query = { .domain = domain, .arena = arena };
    enum err e;

    query.policies = arena_new_array(arena, struct tlsrpt_policy, POLICIES_READ_MAX);
    if (!query.policies)
        return ERR_LIMIT;
    e = db_read(reports->db, read_policies, &query, NULL);
    if (e)
        return e;
    *policies = query.policies;
    *count = query.count;
    return OK;
}
