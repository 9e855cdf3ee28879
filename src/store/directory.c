/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* directory.c: the schema of directory.db, and one function for each statement.
 *
 * Start reading at the migrations.
 */
#include "store/directory.h"

static const char *const migrations[] = {
    "CREATE TABLE generation (id INTEGER PRIMARY KEY CHECK (id = 1), number INTEGER NOT NULL);"
    "INSERT INTO generation VALUES (1, 1);"
    "CREATE TABLE domain ("
    "  name TEXT PRIMARY KEY NOT NULL,"
    "  alias_of TEXT REFERENCES domain (name),"
    "  catch_all TEXT, route TEXT, limit_preset TEXT);"
    "CREATE TABLE account ("
    "  id INTEGER PRIMARY KEY AUTOINCREMENT," /* An id names a mailbox file: never reused. */
    "  address TEXT NOT NULL UNIQUE,"
    "  domain TEXT NOT NULL REFERENCES domain (name),"
    "  password_hash TEXT NOT NULL DEFAULT '',"
    "  scram_iterations INTEGER NOT NULL DEFAULT 0,"
    "  scram_salt BLOB, scram_stored_key BLOB, scram_server_key BLOB,"
    "  disabled INTEGER NOT NULL DEFAULT 0,"
    "  limit_preset TEXT,"
    "  quota INTEGER NOT NULL DEFAULT 0,"
    "  created INTEGER NOT NULL);"
    "CREATE TABLE alias ("
    "  address TEXT NOT NULL, target TEXT NOT NULL,"
    "  domain TEXT NOT NULL REFERENCES domain (name),"
    "  PRIMARY KEY (address, target)) WITHOUT ROWID;"
    "CREATE INDEX alias_target ON alias (target);"
    "CREATE TABLE sender ("
    "  account INTEGER NOT NULL REFERENCES account (id) ON DELETE CASCADE,"
    "  address TEXT NOT NULL,"
    "  PRIMARY KEY (account, address)) WITHOUT ROWID;"
    "CREATE TABLE usage ("
    "  scope TEXT NOT NULL, piece INTEGER NOT NULL,"
    "  messages INTEGER NOT NULL, recipients INTEGER NOT NULL, first_time INTEGER NOT NULL,"
    "  PRIMARY KEY (scope, piece)) WITHOUT ROWID;"
    "CREATE TABLE known ("
    "  account INTEGER NOT NULL REFERENCES account (id) ON DELETE CASCADE,"
    "  recipient INTEGER NOT NULL,"
    "  PRIMARY KEY (account, recipient)) WITHOUT ROWID;",
    /* 2: the suppression list; its statements are in suppressed.c. */
    "CREATE TABLE suppression ("
    "  id INTEGER PRIMARY KEY,"
    "  address TEXT NOT NULL, scope TEXT NOT NULL, reason INTEGER NOT NULL, list TEXT NOT NULL,"
    "  note TEXT NOT NULL, source TEXT NOT NULL, message TEXT NOT NULL,"
    "  created INTEGER NOT NULL, expires INTEGER NOT NULL,"
    "  count INTEGER NOT NULL, in_force INTEGER NOT NULL,"
    "  UNIQUE (address, scope, reason, list));"
    "CREATE INDEX suppression_expires ON suppression (expires) WHERE expires > 0;",
};

enum err
directory_open(const char *path, struct db **db, struct why *why)
{
    const struct db_options options = {
        .path = path,
        .migrations = migrations,
        .migration_count = COUNT_OF(migrations),
    };

    return db_open(&options, db, why);
}

/* The first column of the first row, or NONE. */
static enum err
one_int(struct db_conn *conn, struct db_stmt *stmt, int64_t none, int64_t *value)
{
    *value = db_step(stmt) ? db_column_int(stmt, 0) : none;
    db_reset(stmt);
    return db_error(conn);
}

/* For changes of one row that must be there. */
static enum err
must_change(struct db_conn *conn, enum err e)
{
    if (e)
        return e;
    return db_changes(conn) ? OK : ERR_NOT_FOUND;
}

enum err
directory_count(struct db_conn *conn, struct directory_counts *counts)
{
    struct db_stmt *stmt = db_query(conn, "SELECT number, (SELECT count(*) FROM domain),"
                                          " (SELECT count(*) FROM account),"
                                          " (SELECT count(*) FROM alias) FROM generation");

    if (db_step(stmt)) {
        counts->generation = db_column_int(stmt, 0);
        counts->domains = (size_t)db_column_int(stmt, 1);
        counts->accounts = (size_t)db_column_int(stmt, 2);
        counts->aliases = (size_t)db_column_int(stmt, 3);
    }
    db_reset(stmt);
    return db_error(conn);
}

static bool
walk_domains(struct db_conn *conn, const struct directory_visitor *visitor, void *arg)
{
    struct db_stmt *stmt = db_query(
        conn, "SELECT name, alias_of, catch_all, route, limit_preset FROM domain ORDER BY name");

    while (db_step(stmt)) {
        struct directory_domain row = {
            .name = db_column_text(stmt, 0),
            .alias_of = db_column_text(stmt, 1),
            .catch_all = db_column_text(stmt, 2),
            .route = db_column_text(stmt, 3),
            .limit_preset = db_column_text(stmt, 4),
        };
        if (!visitor->domain(arg, &row))
            return false;
    }
    return true;
}

static bool
walk_accounts(struct db_conn *conn, const struct directory_visitor *visitor, void *arg)
{
    struct db_stmt *stmt =
        db_query(conn, "SELECT id, address, domain, password_hash, scram_iterations, scram_salt,"
                       " scram_stored_key, scram_server_key, disabled, limit_preset, quota, created"
                       " FROM account ORDER BY address");

    while (db_step(stmt)) {
        struct directory_account row = {
            .id = db_column_int(stmt, 0),
            .address = db_column_text(stmt, 1),
            .domain = db_column_text(stmt, 2),
            .password_hash = db_column_text(stmt, 3),
            .scram_iterations = (uint32_t)db_column_int(stmt, 4),
            .scram_salt = db_column_blob(stmt, 5),
            .scram_stored_key = db_column_blob(stmt, 6),
            .scram_server_key = db_column_blob(stmt, 7),
            .disabled = db_column_int(stmt, 8) != 0,
            .limit_preset = db_column_text(stmt, 9),
            .quota = (uint64_t)db_column_int(stmt, 10),
            .created = db_column_int(stmt, 11),
        };
        if (!visitor->account(arg, &row))
            return false;
    }
    return true;
}

static bool
walk_aliases(struct db_conn *conn, const struct directory_visitor *visitor, void *arg)
{
    struct db_stmt *stmt =
        db_query(conn, "SELECT address, target FROM alias ORDER BY address, target");

    while (db_step(stmt))
        if (!visitor->alias(arg, db_column_text(stmt, 0), db_column_text(stmt, 1)))
            return false;
    return true;
}

static bool
walk_senders(struct db_conn *conn, const struct directory_visitor *visitor, void *arg)
{
    struct db_stmt *stmt = db_query(conn, "SELECT account, address FROM sender");

    while (db_step(stmt))
        if (!visitor->sender(arg, db_column_int(stmt, 0), db_column_text(stmt, 1)))
            return false;
    return true;
}

enum err
directory_walk(struct db_conn *conn, const struct directory_visitor *visitor, void *arg)
{
    if (!walk_domains(conn, visitor, arg) || !walk_accounts(conn, visitor, arg) ||
        !walk_aliases(conn, visitor, arg) || !walk_senders(conn, visitor, arg))
        return ERR_LIMIT;
    return db_error(conn);
}

enum err
directory_raise_generation(struct db_conn *conn)
{
    return db_run(conn, "UPDATE generation SET number = number + 1");
}

/* Domains. */

enum err
directory_find_domain(struct db_conn *conn, str name, bool *found, bool *is_alias)
{
    struct db_stmt *stmt =
        db_query(conn, "SELECT alias_of IS NOT NULL FROM domain WHERE name = ?1", db_text(name));

    *found = db_step(stmt);
    *is_alias = *found && db_column_int(stmt, 0) != 0;
    db_reset(stmt);
    return db_error(conn);
}

enum err
directory_add_domain(struct db_conn *conn, str name)
{
    return db_run(conn, "INSERT INTO domain (name) VALUES (?1)", db_text(name));
}

enum err
directory_remove_domain(struct db_conn *conn, str name)
{
    return must_change(conn, db_run(conn, "DELETE FROM domain WHERE name = ?1", db_text(name)));
}

enum err
directory_domain_uses(struct db_conn *conn, str name, int64_t *uses)
{
    return one_int(conn,
                   db_query(conn,
                            "SELECT (SELECT count(*) FROM account WHERE domain = ?1)"
                            " + (SELECT count(*) FROM alias WHERE domain = ?1)"
                            " + (SELECT count(*) FROM domain WHERE alias_of = ?1)",
                            db_text(name)),
                   0, uses);
}

enum err
directory_set_domain(struct db_conn *conn, str name, enum directory_setting setting, str value)
{
    static const char *const sql[] = {
        [DIRECTORY_ALIAS_OF] = "UPDATE domain SET alias_of = ?2 WHERE name = ?1",
        [DIRECTORY_CATCH_ALL] = "UPDATE domain SET catch_all = ?2 WHERE name = ?1",
        [DIRECTORY_ROUTE] = "UPDATE domain SET route = ?2 WHERE name = ?1",
        [DIRECTORY_LIMIT] = "UPDATE domain SET limit_preset = ?2 WHERE name = ?1",
    };

    return must_change(conn, db_run(conn, sql[setting], db_text(name), db_text_or_null(value)));
}

/* Accounts. */

enum err
directory_find_account(struct db_conn *conn, str address, int64_t *id)
{
    return one_int(
        conn, db_query(conn, "SELECT id FROM account WHERE address = ?1", db_text(address)), 0, id);
}

enum err
directory_add_account(struct db_conn *conn, const struct directory_account *row, int64_t *id)
{
    enum err e = db_run(conn,
                        "INSERT INTO account (address, domain, password_hash, scram_iterations,"
                        " scram_salt, scram_stored_key, scram_server_key, created)"
                        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                        db_text(row->address), db_text(row->domain), db_text(row->password_hash),
                        db_int(row->scram_iterations), db_blob(row->scram_salt),
                        db_blob(row->scram_stored_key), db_blob(row->scram_server_key),
                        db_int(row->created));

    if (!e)
        *id = db_last_id(conn);
    return e;
}

enum err
directory_remove_account(struct db_conn *conn, str address)
{
    return must_change(conn,
                       db_run(conn, "DELETE FROM account WHERE address = ?1", db_text(address)));
}

enum err
directory_set_password(struct db_conn *conn, const struct directory_account *row)
{
    return must_change(conn,
                       db_run(conn,
                              "UPDATE account SET password_hash = ?2, scram_iterations = ?3,"
                              " scram_salt = ?4, scram_stored_key = ?5,"
                              " scram_server_key = ?6 WHERE address = ?1",
                              db_text(row->address), db_text(row->password_hash),
                              db_int(row->scram_iterations), db_blob(row->scram_salt),
                              db_blob(row->scram_stored_key), db_blob(row->scram_server_key)));
}

enum err
directory_set_disabled(struct db_conn *conn, str address, bool disabled)
{
    return must_change(conn, db_run(conn, "UPDATE account SET disabled = ?2 WHERE address = ?1",
                                    db_text(address), db_int(disabled)));
}

enum err
directory_set_limit(struct db_conn *conn, str address, str preset)
{
    return must_change(conn, db_run(conn, "UPDATE account SET limit_preset = ?2 WHERE address = ?1",
                                    db_text(address), db_text_or_null(preset)));
}

enum err
directory_set_quota(struct db_conn *conn, str address, uint64_t bytes)
{
    return must_change(conn, db_run(conn, "UPDATE account SET quota = ?2 WHERE address = ?1",
                                    db_text(address), db_int((int64_t)bytes)));
}

enum err
directory_add_sender(struct db_conn *conn, int64_t account, str address)
{
    return db_run(conn, "INSERT INTO sender (account, address) VALUES (?1, ?2)", db_int(account),
                  db_text(address));
}

enum err
directory_remove_sender(struct db_conn *conn, int64_t account, str address)
{
    return must_change(conn, db_run(conn, "DELETE FROM sender WHERE account = ?1 AND address = ?2",
                                    db_int(account), db_text(address)));
}

/* Aliases. */

enum err
directory_count_alias(struct db_conn *conn, str address, int64_t *targets)
{
    return one_int(
        conn, db_query(conn, "SELECT count(*) FROM alias WHERE address = ?1", db_text(address)), 0,
        targets);
}

enum err
directory_add_alias(struct db_conn *conn, str address, str domain, str target)
{
    return db_run(conn, "INSERT INTO alias (address, target, domain) VALUES (?1, ?2, ?3)",
                  db_text(address), db_text(target), db_text(domain));
}

enum err
directory_remove_alias(struct db_conn *conn, str address, str target)
{
    if (!target.len)
        return must_change(conn,
                           db_run(conn, "DELETE FROM alias WHERE address = ?1", db_text(address)));
    return must_change(conn, db_run(conn, "DELETE FROM alias WHERE address = ?1 AND target = ?2",
                                    db_text(address), db_text(target)));
}

enum err
directory_remove_target(struct db_conn *conn, str target)
{
    return db_run(conn, "DELETE FROM alias WHERE target = ?1", db_text(target));
}

/* What was sent. */

enum err
directory_add_usage(struct db_conn *conn, const struct directory_usage *usage)
{
    return db_run(conn,
                  "INSERT INTO usage (scope, piece, messages, recipients, first_time)"
                  " VALUES (?1, ?2, ?3, ?4, ?5)"
                  " ON CONFLICT (scope, piece) DO UPDATE SET messages = messages + ?3,"
                  " recipients = recipients + ?4, first_time = first_time + ?5",
                  db_text(usage->scope), db_int(usage->piece), db_int(usage->messages),
                  db_int(usage->recipients), db_int(usage->first_time));
}

enum err
directory_walk_usage(struct db_conn *conn, int64_t since_piece,
                     bool (*fn)(void *arg, const struct directory_usage *usage), void *arg)
{
    struct db_stmt *stmt = db_query(conn,
                                    "SELECT scope, piece, messages, recipients, first_time"
                                    " FROM usage WHERE piece >= ?1",
                                    db_int(since_piece));

    while (db_step(stmt)) {
        struct directory_usage usage = {
            .scope = db_column_text(stmt, 0),
            .piece = db_column_int(stmt, 1),
            .messages = (uint32_t)db_column_int(stmt, 2),
            .recipients = (uint32_t)db_column_int(stmt, 3),
            .first_time = (uint32_t)db_column_int(stmt, 4),
        };
        if (!fn(arg, &usage))
            return ERR_LIMIT;
    }
    return db_error(conn);
}

enum err
directory_expire_usage(struct db_conn *conn, int64_t before_piece)
{
    return db_run(conn, "DELETE FROM usage WHERE piece < ?1", db_int(before_piece));
}

enum err
directory_add_known(struct db_conn *conn, int64_t account, int64_t recipient)
{
    /* The account may have gone meanwhile: then nothing is kept. */
    return db_run(conn,
                  "INSERT OR IGNORE INTO known (account, recipient)"
                  " SELECT id, ?2 FROM account WHERE id = ?1",
                  db_int(account), db_int(recipient));
}

enum err
directory_walk_known(struct db_conn *conn, int64_t account, size_t max,
                     bool (*fn)(void *arg, int64_t recipient), void *arg)
{
    struct db_stmt *stmt = db_query(conn, "SELECT recipient FROM known WHERE account = ?1 LIMIT ?2",
                                    db_int(account), db_int((int64_t)max));

    while (db_step(stmt))
        if (!fn(arg, db_column_int(stmt, 0)))
            return ERR_LIMIT;
    return db_error(conn);
}
