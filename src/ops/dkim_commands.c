/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* dkim_commands.c: the keys that sign.
 *
 * The commands stand in the table at the end.  Making keys and writing the list block, so that they
 * run on a thread of the pool: see struct work.
 */
#include "accounts/account.h"
#include "formats/date.h"
#include "ops/control_call.h"
#include "ops/dkim_watch.h"
#include "runtime/clock.h"
#include "runtime/wait.h"
#include "store/events.h"
#include "trust/keyring.h"

#include <stdio.h>

enum {
    LOOK_SECONDS = 5, /* For all keys of a list. */
    SELECTOR_TRIES = 26,
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
        WORK_REMOVE
    } what;
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
        work->result = dkim_activate(work->keyring, key, now, &work->why);
        return;
    case WORK_REMOVE:
        work->result = keyring_remove(work->keyring, key->domain, key->selector, &work->why);
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

static void
put_key(struct json_writer *writer, const struct key_info *key, enum dkim_sight sight, bool looked)
{
    char name[400];

    json_put_text(writer, "domain", key->domain);
    json_put_text(writer, "selector", key->selector);
    json_put_text(writer, "algorithm", key->algorithm);
    json_put_text(writer, "state", str_from(key_state_name(key->state)));
    json_put_time(writer, "since", key->changed);
    json_put_time(writer, "created", key->created);
    if (looked)
        json_put_text(writer, "dns", str_from(dkim_sight_name(sight)));
    snprintf(name, sizeof(name), "%.*s._domainkey.%.*s", STR_ARG(key->selector),
             STR_ARG(key->domain));
    json_put_text(writer, "name", str_from(name));
    json_put_text(writer, "record", key->record);
}

/* --- Lists. */

WAITS static enum err
dkim_list(struct control_call *call)
{
    bool looks = call->context->server && !json_get_bool(call->args, "offline");
    instant deadline = deadline_in(SECONDS(LOOK_SECONDS));
    struct key_info *keys;
    str domain = S("");
    size_t count;
    enum err e = OK;

    if (json_get_text(call->args, "domain").len)
        e = control_need_domain(call, &domain);
    if (e)
        return e;
    e = dkim_copy_keys(call->context->keyring, domain, &call->arena, &keys, &count);
    for (size_t i = 0; !e && i < count; i++) {
        enum dkim_sight sight = SIGHT_UNKNOWN;
        if (looks)
            e = dkim_look(&call->arena, &keys[i], deadline, &sight);
        if (e)
            break;
        put_key(control_row(call), &keys[i], sight, looks);
        e = control_row_end(call);
    }
    return e == ERR_LIMIT
               ? control_fail(call, e, "too_many", "name a domain", "the list is too long")
               : e;
}

/* --- New keys. */

struct selector_search {
    str domain;
    str selector;
    bool taken;
};

static bool
is_taken(void *arg, const struct key_info *key)
{
    struct selector_search *search = arg;

    search->taken = search->taken || (str_eq(key->domain, search->domain) &&
                                      str_eq(key->selector, search->selector));
    return true;
}

/* "r20261127", "r20261127b", …: the day tells how old a key is, wherever its name is met. */
static enum err
free_selector(struct control_call *call, str domain, str algorithm, str *selector)
{
    struct date today = date_from_instant(clock_now(), 0);

    for (int try = 0; try < SELECTOR_TRIES; try++) {
        struct selector_search search = { .domain = domain };
        char letter[2] = { try ? (char)('a' + try) : '\0', '\0' };
        if (!arena_printf(&call->arena, selector, "%c%04d%02d%02d%s", algorithm.ptr[0], today.year,
                          today.month, today.day, letter))
            return ERR_LIMIT;
        search.selector = *selector;
        keyring_each(call->context->keyring, is_taken, &search);
        if (!search.taken)
            return OK;
    }
    return control_fail(call, ERR_LIMIT, "too_many", "name one with --selector",
                        "there are %d keys of today already", SELECTOR_TRIES);
}

WAITS static enum err
add_key(struct control_call *call, str domain, str algorithm, str selector)
{
    struct work work = { .what = WORK_ADD };
    enum err e = OK;

    if (!selector.len)
        e = free_selector(call, domain, algorithm, &selector);
    if (e)
        return e;
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
        put_key(control_row(call), &keys[i], SIGHT_UNKNOWN, false);
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
        control_say(call, "%.*s is not one of our domains: its keys sign only what is sent in its name",
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
    enum dkim_sight sight = SIGHT_UNKNOWN;
    enum err e = named_key(call, &work.key);

    if (e)
        return e;
    if (work.key.state == KEY_NEW && !json_get_bool(call->args, "force")) {
        if (call->context->server)
            e = dkim_look(&call->arena, &work.key, deadline_in(SECONDS(LOOK_SECONDS)), &sight);
        if (e)
            return control_failed(call, e);
        if (sight != SIGHT_SEEN)
            return control_fail(call, ERR_REFUSED, "not_visible",
                                "publish the record that 'outpost dkim list' shows, or add --force",
                                "the record of %.*s in the DNS is not this key's: %s",
                                STR_ARG(work.key.selector), dkim_sight_name(sight));
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
    return e ? e : change_key(call, &work, "revoked");
}

WAITS static enum err
dkim_rm(struct control_call *call)
{
    struct work work = { .what = WORK_REMOVE };
    enum err e = named_key(call, &work.key);

    return e ? e : change_key(call, &work, "removed");
}

/* clang-format off */
const struct control_command control_dkim[] = {
    /* name             what it does      needs                         arguments */
    { "dkim.list",      dkim_list,        CONTROL_NEEDS_ACCOUNTS }, /* domain offline */
    { "dkim.new",       dkim_new,         CONTROL_NEEDS_ACCOUNTS }, /* domain algorithm selector force dry_run */
    { "dkim.sign",      dkim_sign_now,    CONTROL_NEEDS_ACCOUNTS }, /* domain selector force dry_run */
    { "dkim.retire",    dkim_retire,      CONTROL_NEEDS_ACCOUNTS }, /* domain selector dry_run reason */
    { "dkim.revoke",    dkim_revoke,      CONTROL_NEEDS_ACCOUNTS }, /* domain selector dry_run reason */
    { "dkim.rm",        dkim_rm,          CONTROL_NEEDS_ACCOUNTS }, /* domain selector dry_run reason */
    { NULL, NULL, 0 },
};
/* clang-format on */
