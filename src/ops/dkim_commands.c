/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* dkim_commands.c: the keys that sign.
 *
 * The commands stand in the table at the end.  Making keys and writing the list block, so that they
 * run on a thread of the pool: see struct work.
 */
#include "accounts/account.h"
#include "ops/control_call.h"
#include "ops/dkim_rotate.h"
#include "ops/dkim_view.h"
#include "runtime/clock.h"
#include "runtime/wait.h"
#include "store/events.h"
#include "trust/keyring.h"

#include <stdio.h>

enum {
    LOOK_SECONDS = 5,        /* For all keys of a list. */
    EVERYWHERE_SECONDS = 30, /* For those of one domain, asked everywhere. */
    NEW_KEYS_MAX = 2,
};

/* One change of the keyring. */
struct work {
    struct keyring *keyring;
    struct key_info key;
    enum {
        WORK_ADD,
        WORK_STATE,
        WORK_ACTIVATE,
        WORK_REMOVE,
        WORK_ROTATE,
        WORK_UNDO,
    } what;
    enum dkim_undo undo;
    size_t made;
    enum err result;
    struct why why;
};

static void
do_work(void *arg)
{
    struct work *work = arg;
    const struct key_info *key = &work->key;
    instant now = clock_now();

    switch (work->what) {
    case WORK_ADD:
        work->result =
            keyring_add(work->keyring, key->domain, key->selector, key->algorithm, now, &work->why);
        return;
    case WORK_STATE:
        work->result = keyring_set_state(work->keyring, key->domain, key->selector, key->state, now,
                                         &work->why);
        return;
    case WORK_ACTIVATE:
        work->result = keyring_activate(work->keyring, key->domain, key->selector, now, &work->why);
        return;
    case WORK_REMOVE:
        work->result = keyring_remove(work->keyring, key->domain, key->selector, &work->why);
        return;
    case WORK_ROTATE:
        work->result = dkim_rotate(work->keyring, key->domain, now, &work->made, &work->why);
        return;
    case WORK_UNDO:
        work->result = dkim_undo_one(work->keyring, work->undo, key, now, &work->why);
        return;
    }
}

WAITS static enum err
run_work(struct control_call *call, struct work *work)
{
    work->keyring = call->context->keyring;
    offload(do_work, work);
    if (work->result)
        (void)err_why(&call->why, work->result, "%s", work->why.text);
    return work->result;
}

static void
record_change(struct control_call *call, const struct key_info *key, const char *what)
{
    char text[400];
    struct event event = {
        .kind = EVENT_ADMIN,
        .account = key->domain,
        .actor = call->actor,
        .reason = json_get_text(call->args, "reason"),
    };

    snprintf(text, sizeof(text), "dkim key %.*s of %.*s: %s", STR_ARG(key->selector),
             STR_ARG(key->domain), what);
    event.text = str_from(text);
    if (call->context->events)
        events_record(call->context->events, &event);
}

/* "absent at ns2.example.org (192.0.2.2)" for a person; who sees what for a program. */
static void
put_views(struct json_writer *writer, const struct dkim_views *views)
{
    char text[400];

    snprintf(text, sizeof(text), "%s%s%.*s", dkim_sight_name(views->together),
             views->against.len && views->count > 1 ? " at " : "",
             STR_ARG(views->count > 1 ? views->against : S("")));
    json_put_text(writer, "dns", str_from(dkim_sight_name(views->together)));
    json_put_text(writer, "seen", str_from(text));
    json_begin_array(writer, "views");
    for (size_t i = 0; i < views->count; i++) {
        json_begin_object(writer, NULL);
        json_put_text(writer, "who", views->items[i].who);
        json_put_text(writer, "sight", str_from(dkim_sight_name(views->items[i].sight)));
        json_end_object(writer);
    }
    json_end_array(writer);
}

/* VIEWS: NULL when nobody was asked. */
static void
put_key(struct json_writer *writer, const struct key_info *key, const struct dkim_views *views)
{
    char name[400];

    json_put_text(writer, "domain", key->domain);
    json_put_text(writer, "selector", key->selector);
    json_put_text(writer, "algorithm", key->algorithm);
    json_put_text(writer, "state", str_from(key_state_name(key->state)));
    json_put_time(writer, "since", key->changed);
    json_put_time(writer, "created", key->created);
    if (views)
        put_views(writer, views);
    snprintf(name, sizeof(name), "%.*s._domainkey.%.*s", STR_ARG(key->selector),
             STR_ARG(key->domain));
    json_put_text(writer, "name", str_from(name));
    json_put_text(writer, "record", key->record);
}

/* --- Lists. */

/* Of all domains our resolver alone tells, of one everybody. */
WAITS static enum err
look(struct control_call *call, const struct key_info *key, bool everywhere, instant deadline,
     struct dkim_views *views)
{
    enum err e;

    if (everywhere)
        return dkim_look_everywhere(&call->arena, call->context->config, key, deadline, views);
    *views = (struct dkim_views){ .count = 1, .items = { { .who = S("our resolver") } } };
    e = dkim_look(&call->arena, key, deadline, &views->items[0].sight);
    views->together = views->items[0].sight;
    return e;
}

WAITS static enum err
dkim_list(struct control_call *call)
{
    bool looks = call->context->server && !json_get_bool(call->args, "offline");
    bool everywhere = json_get_text(call->args, "domain").len > 0;
    instant deadline = deadline_in(SECONDS(everywhere ? EVERYWHERE_SECONDS : LOOK_SECONDS));
    struct dkim_views *views = arena_new(&call->arena, struct dkim_views);
    struct key_info *keys;
    str domain = S("");
    size_t count;
    enum err e = views ? OK : ERR_LIMIT;

    if (!e && everywhere)
        e = control_need_domain(call, &domain);
    if (e)
        return e;
    e = dkim_copy_keys(call->context->keyring, domain, &call->arena, &keys, &count);
    for (size_t i = 0; !e && i < count; i++) {
        if (looks)
            e = look(call, &keys[i], everywhere, deadline, views);
        if (e)
            break;
        put_key(control_row(call), &keys[i], looks ? views : NULL);
        e = control_row_end(call);
    }
    return e == ERR_LIMIT
               ? control_fail(call, e, "too_many", "name a domain", "the list is too long")
               : e;
}

/* --- New keys. */

WAITS static enum err
add_key(struct control_call *call, str domain, str algorithm, str selector)
{
    struct work work = { .what = WORK_ADD };
    enum err e = OK;

    if (!selector.len)
        e = dkim_free_selector(call->context->keyring, domain, algorithm, clock_now(), &call->arena,
                               &selector);
    if (e)
        return control_fail(call, e, "too_many", "name one with --selector",
                            "there are too many keys of today already");
    work.key = (struct key_info){ .domain = domain, .selector = selector, .algorithm = algorithm };
    if (json_get_bool(call->args, "dry_run"))
        return OK;
    e = run_work(call, &work);
    if (!e)
        record_change(call, &work.key, "made");
    return e ? control_failed(call, e) : OK;
}

/* What was just made, as rows, so that their records can be copied. */
WAITS static enum err
show_new(struct control_call *call, str domain)
{
    struct key_info *keys;
    size_t count;
    enum err e = dkim_copy_keys(call->context->keyring, domain, &call->arena, &keys, &count);

    for (size_t i = 0; !e && i < count; i++) {
        if (keys[i].state != KEY_NEW)
            continue;
        put_key(control_row(call), &keys[i], NULL);
        e = control_row_end(call);
    }
    return e;
}

/* Keys of others' domains would be of no use: nobody publishes their records. */
static enum err
need_own_domain(struct control_call *call, str domain)
{
    str above = domain, label;

    do {
        if (accounts_has_domain(call->context->accounts, above))
            return OK;
    } while (str_split(above, '.', &label, &above));
    if (json_get_bool(call->args, "force")) {
        control_say(call,
                    "%.*s is not one of our domains: its keys sign only what is sent in its name",
                    STR_ARG(domain));
        return OK;
    }
    return control_fail(call, ERR_NOT_FOUND, "no_such_domain",
                        "'outpost domain add' makes it ours; --force makes the keys all the same",
                        "%.*s is not one of our domains", STR_ARG(domain));
}

WAITS static enum err
dkim_new(struct control_call *call)
{
    static const str both[NEW_KEYS_MAX] = { { "rsa", 3 }, { "ed25519", 7 } };
    str algorithm = json_get_text(call->args, "algorithm");
    str selector = json_get_text(call->args, "selector");
    bool makes_both = !algorithm.len || str_eq(algorithm, S("both"));
    str domain;
    enum err e = control_need_domain(call, &domain);

    if (!e)
        e = need_own_domain(call, domain);
    if (e)
        return e;
    if (makes_both && selector.len)
        return control_fail(call, ERR_SYNTAX, "one_selector", "give --algorithm rsa or ed25519 too",
                            "two keys cannot have one selector");
    if (!makes_both)
        e = add_key(call, domain, algorithm, selector);
    for (size_t i = 0; makes_both && !e && i < NEW_KEYS_MAX; i++)
        e = add_key(call, domain, both[i], S(""));
    if (!e)
        e = show_new(call, domain);
    return e;
}

/* --- The life of a key. */

static enum err
named_key(struct control_call *call, struct key_info *key)
{
    struct key_info *keys;
    str domain, selector;
    size_t count;
    enum err e = control_need_domain(call, &domain);

    if (e)
        return e;
    if (!control_need(call, "selector", &selector))
        return ERR_SYNTAX;
    e = dkim_copy_keys(call->context->keyring, domain, &call->arena, &keys, &count);
    if (e)
        return control_failed(call, e);
    for (size_t i = 0; i < count; i++)
        if (str_eq(keys[i].selector, selector)) {
            *key = keys[i];
            return OK;
        }
    return control_fail(call, ERR_NOT_FOUND, "no_such_key", "'outpost dkim list' shows them all",
                        "%.*s has no key %.*s", STR_ARG(domain), STR_ARG(selector));
}

WAITS static enum err
change_key(struct control_call *call, struct work *work, const char *what)
{
    enum err e;

    if (json_get_bool(call->args, "dry_run")) {
        control_say(call, "%.*s of %.*s would be %s", STR_ARG(work->key.selector),
                    STR_ARG(work->key.domain), what);
        return OK;
    }
    e = run_work(call, work);
    if (e)
        return control_failed(call, e);
    record_change(call, &work->key, what);
    control_say(call, "%.*s of %.*s is %s", STR_ARG(work->key.selector), STR_ARG(work->key.domain),
                what);
    return OK;
}

/* RFC 6376 3.6.1: a signature by a key that nobody can see is worth less than none. */
WAITS static enum err
dkim_sign_now(struct control_call *call)
{
    struct work work = { .what = WORK_ACTIVATE };
    struct dkim_views *views = arena_new(&call->arena, struct dkim_views);
    enum err e = named_key(call, &work.key);

    if (e || !views)
        return e ? e : ERR_LIMIT;
    if (work.key.state == KEY_NEW && !json_get_bool(call->args, "force")) {
        if (call->context->server)
            e = look(call, &work.key, true, deadline_in(SECONDS(EVERYWHERE_SECONDS)), views);
        if (e)
            return control_failed(call, e);
        if (views->together != SIGHT_SEEN)
            return control_fail(call, ERR_REFUSED, "not_visible",
                                "publish the record that 'outpost dkim list' shows, or add --force",
                                "the record of %.*s in the DNS is not this key's: %s at %.*s",
                                STR_ARG(work.key.selector), dkim_sight_name(views->together),
                                STR_ARG(views->against));
    }
    return change_key(call, &work, "active");
}

WAITS static enum err
dkim_retire(struct control_call *call)
{
    struct work work = { .what = WORK_STATE };
    enum err e = named_key(call, &work.key);

    work.key.state = KEY_RETIRED;
    return e ? e : change_key(call, &work, "retired");
}

/* Where we write the zone, what stands there follows.  False, and it is said, when it does not yet.
 */
WAITS static bool
follow(struct control_call *call, const struct key_info *key, bool withdraw)
{
    struct why why = { "" };

    if (!dkim_is_ours_to_publish(call->context->config, key->domain) || !call->context->server ||
        json_get_bool(call->args, "dry_run"))
        return true;
    if (!dkim_publish(call->context->config, key, withdraw, &why)) {
        record_change(call, key, withdraw ? "its record is withdrawn" : "its record is written");
        return true;
    }
    control_say(call, "the record of %.*s is not %s yet: %s", STR_ARG(key->selector),
                withdraw ? "withdrawn" : "written", why.text);
    return false;
}

/* KEY as the keyring has it by now. */
WAITS static enum err
follow_change(struct control_call *call, struct key_info *key)
{
    enum err e = named_key(call, key);

    if (!e)
        (void)follow(call, key, false);
    return e;
}

WAITS static enum err
dkim_revoke(struct control_call *call)
{
    struct work work = { .what = WORK_STATE };
    enum err e = named_key(call, &work.key);

    if (!e && work.key.state == KEY_ACTIVE)
        return control_fail(call, ERR_REFUSED, "active", "retire it first: 'outpost dkim retire'",
                            "%.*s of %.*s signs at present", STR_ARG(work.key.selector),
                            STR_ARG(work.key.domain));
    work.key.state = KEY_REVOKED;
    if (!e)
        e = change_key(call, &work, "revoked");
    return e ? e : follow_change(call, &work.key);
}

/* The record goes first: nobody would know of it afterwards. */
WAITS static enum err
dkim_rm(struct control_call *call)
{
    struct work work = { .what = WORK_REMOVE };
    enum err e = named_key(call, &work.key);

    if (e)
        return e;
    if (work.key.state != KEY_ACTIVE && !follow(call, &work.key, true) &&
        !json_get_bool(call->args, "force"))
        return control_fail(call, ERR_BUSY, "not_withdrawn",
                            "try again, or add --force and remove the record by hand",
                            "the record of %.*s could not be withdrawn",
                            STR_ARG(work.key.selector));
    return change_key(call, &work, "removed");
}

/* --- Rotation. */

static bool
needs_record(const struct key_info *key, str selector)
{
    return !selector.len || str_eq(key->selector, selector);
}

WAITS static enum err
dkim_publish_now(struct control_call *call)
{
    str selector = json_get_text(call->args, "selector");
    struct key_info *keys;
    size_t count, written = 0;
    struct why why;
    str domain;
    enum err e = control_need_domain(call, &domain);

    if (!e)
        e = dkim_copy_keys(call->context->keyring, domain, &call->arena, &keys, &count);
    if (e)
        return e;
    for (size_t i = 0; i < count; i++) {
        if (!needs_record(&keys[i], selector))
            continue;
        if (!json_get_bool(call->args, "dry_run"))
            e = dkim_publish(call->context->config, &keys[i], false, &why);
        if (e)
            return control_fail(call, e, "not_written", "see dns_update in outpost.conf(5)",
                                "the record of %.*s could not be written: %s",
                                STR_ARG(keys[i].selector), why.text);
        record_change(call, &keys[i], "its record is written");
        written++;
    }
    if (!written)
        return control_fail(call, ERR_NOT_FOUND, "no_such_key",
                            "'outpost dkim list' shows them all", "there is no such key");
    control_say(call, "%zu %s of %.*s %s", written, written == 1 ? "record" : "records",
                STR_ARG(domain),
                json_get_bool(call->args, "dry_run") ? "would be written" : "written");
    return OK;
}

/* What waits for its record, which is written at once where that is ours to do. */
WAITS static enum err
await_records(struct control_call *call, str domain)
{
    struct key_info *keys;
    size_t count;
    bool ours = dkim_is_ours_to_publish(call->context->config, domain), written = true;
    enum err e = dkim_copy_keys(call->context->keyring, domain, &call->arena, &keys, &count);

    for (size_t i = 0; !e && i < count; i++)
        if (keys[i].state == KEY_NEW && written)
            written = follow(call, &keys[i], false);
    if (!e && ours && written)
        control_say(call, "the records are written; the keys sign once everybody has seen them for "
                          "dkim.settle");
    else if (!e && !ours)
        control_say(call, "put these records into the zone; the keys sign once everybody has seen "
                          "them for dkim.settle");
    return e ? e : show_new(call, domain);
}

WAITS static enum err
dkim_rotate_now(struct control_call *call)
{
    struct work work = { .what = WORK_ROTATE };
    enum err e = control_need_domain(call, &work.key.domain);

    if (!e)
        e = need_own_domain(call, work.key.domain);
    if (e)
        return e;
    if (json_get_bool(call->args, "dry_run")) {
        control_say(call, "new keys of %.*s would be made", STR_ARG(work.key.domain));
        return OK;
    }
    e = run_work(call, &work);
    if (e)
        return control_failed(call, e);
    work.key.selector = S("(next)");
    if (work.made)
        record_change(call, &work.key, "a rotation begins");
    return await_records(call, work.key.domain);
}

static const char *
undo_text(enum dkim_undo undo)
{
    static const char *const texts[] = {
        [UNDO_NOTHING] = "",
        [UNDO_NEW] = "removed: it did not sign yet",
        [UNDO_SIGN] = "signing again",
        [UNDO_REVOKE] = "retired again, and its record is whole",
    };

    return texts[undo];
}

WAITS static enum err
undo_one(struct control_call *call, enum dkim_undo undo, const struct key_info *key)
{
    struct work work = { .what = WORK_UNDO, .undo = undo, .key = *key };
    enum err e;

    if (json_get_bool(call->args, "dry_run")) {
        control_say(call, "%.*s would be %s", STR_ARG(key->selector), undo_text(undo));
        return OK;
    }
    if (undo == UNDO_NEW && !follow(call, key, true) && !json_get_bool(call->args, "force"))
        return control_fail(call, ERR_BUSY, "not_withdrawn",
                            "try again, or add --force and remove the record by hand",
                            "the record of %.*s could not be withdrawn", STR_ARG(key->selector));
    e = run_work(call, &work);
    if (e)
        return control_failed(call, e);
    record_change(call, key, undo_text(undo));
    control_say(call, "%.*s is %s", STR_ARG(key->selector), undo_text(undo));
    if (undo == UNDO_REVOKE) {
        work.key.state = KEY_RETIRED;
        work.key.record = key->whole;
        (void)follow(call, &work.key, false);
    }
    return OK;
}

/* One step back. */
WAITS static enum err
dkim_undo_last(struct control_call *call)
{
    struct key_info *keys;
    size_t count;
    enum dkim_undo undo;
    str domain;
    enum err e = control_need_domain(call, &domain);

    if (!e)
        e = dkim_copy_keys(call->context->keyring, domain, &call->arena, &keys, &count);
    if (e)
        return e;
    undo = dkim_undo_of(keys, count);
    if (undo == UNDO_NOTHING)
        return control_fail(call, ERR_NOT_FOUND, "nothing_to_undo",
                            "'outpost dkim list' shows the keys",
                            "no step of a rotation of %.*s can be undone", STR_ARG(domain));
    for (size_t i = 0; !e && i < count; i++)
        if (dkim_undo_takes(undo, keys, count, i))
            e = undo_one(call, undo, &keys[i]);
    return e;
}

/* clang-format off */
const struct control_command control_dkim[] = {
    /* name             what it does      needs                         arguments */
    { "dkim.list",      dkim_list,        CONTROL_NEEDS_ACCOUNTS }, /* domain offline */
    { "dkim.new",       dkim_new,         CONTROL_NEEDS_ACCOUNTS }, /* domain algorithm selector force dry_run */
    { "dkim.sign",      dkim_sign_now,    CONTROL_NEEDS_ACCOUNTS }, /* domain selector force dry_run */
    { "dkim.retire",    dkim_retire,      CONTROL_NEEDS_ACCOUNTS }, /* domain selector dry_run reason */
    { "dkim.revoke",    dkim_revoke,      CONTROL_NEEDS_ACCOUNTS }, /* domain selector dry_run reason */
    { "dkim.rm",        dkim_rm,          CONTROL_NEEDS_ACCOUNTS }, /* domain selector force dry_run reason */
    { "dkim.publish",   dkim_publish_now, CONTROL_NEEDS_SERVER },   /* domain selector dry_run */
    { "dkim.rotate",    dkim_rotate_now,  CONTROL_NEEDS_SERVER },   /* domain force dry_run */
    { "dkim.undo",      dkim_undo_last,   CONTROL_NEEDS_SERVER },   /* domain force dry_run reason */
    { NULL, NULL, 0 },
};
/* clang-format on */
