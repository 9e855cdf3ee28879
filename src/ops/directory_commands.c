/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* control_directory.c: user, domain and alias, for the running server and for a stopped one.
 *
 * Lists are copied out of the directory before they are sent, since sending may wait.  The table at
 * the end names every command and the arguments that it reads.
 */
#include "accounts/account.h"
#include "accounts/limits.h"
#include "accounts/login.h"
#include "config/relay.h"
#include "ops/control_call.h"
#include "runtime/clock.h"
#include "store/events.h"
#include "store/mailbox.h"

#include <stdio.h>

/* An account that was copied, in the order in which it was found. */
struct found {
    struct account_info account;
    struct domain_info domain;
    str target;
    struct found *next;
};

struct finder {
    struct arena *arena;
    str wanted; /* A domain, or "" for all. */
    struct found *first;
    struct found **place;
    bool full;
};

static struct found *
add_found(struct finder *finder)
{
    struct found *found = arena_new(finder->arena, struct found);

    if (!found) {
        finder->full = true;
        return NULL;
    }
    *finder->place = found;
    finder->place = &found->next;
    return found;
}

static bool
is_in_domain(str address, str domain)
{
    ssize_t at = str_find_last(address, '@');

    return !domain.len || (at >= 0 && str_eq_nocase(str_skip(address, (size_t)at + 1), domain));
}

static bool
find_account(void *arg, const struct account_info *account)
{
    struct finder *finder = arg;
    struct found *found;

    if (!is_in_domain(account->address, finder->wanted))
        return true;
    found = add_found(finder);
    if (!found)
        return false;
    found->account = *account;
    finder->full = !arena_copy(finder->arena, account->address, &found->account.address) ||
                   !arena_copy(finder->arena, account->limit_preset, &found->account.limit_preset);
    return !finder->full;
}

static bool
find_domain(void *arg, const struct domain_info *domain)
{
    struct finder *finder = arg;
    struct found *found = add_found(finder);

    if (!found)
        return false;
    found->domain = *domain;
    finder->full = !arena_copy(finder->arena, domain->name, &found->domain.name) ||
                   !arena_copy(finder->arena, domain->alias_of, &found->domain.alias_of) ||
                   !arena_copy(finder->arena, domain->catch_all, &found->domain.catch_all) ||
                   !arena_copy(finder->arena, domain->route, &found->domain.route) ||
                   !arena_copy(finder->arena, domain->limit_preset, &found->domain.limit_preset);
    return !finder->full;
}

static bool
find_alias(void *arg, str address, str target)
{
    struct finder *finder = arg;
    struct found *found;

    if (!is_in_domain(address, finder->wanted))
        return true;
    found = add_found(finder);
    if (!found)
        return false;
    finder->full = !arena_copy(finder->arena, address, &found->account.address) ||
                   !arena_copy(finder->arena, target, &found->target);
    return !finder->full;
}

static void
start_finding(struct control_call *call, struct finder *finder)
{
    *finder =
        (struct finder){ .arena = &call->arena, .wanted = json_get_text(call->args, "domain") };
    finder->place = &finder->first;
}

static enum err
too_many(struct control_call *call)
{
    return control_fail(call, ERR_LIMIT, "too_many", "name a domain", "the list is too long");
}

/* Leaves a trace of who changed what. */
static void
record_change(struct control_call *call, const char *what, str whom)
{
    struct event event = {
        .kind = EVENT_ADMIN,
        .text = str_from(what),
        .account = whom,
        .actor = call->actor,
        .reason = json_get_text(call->args, "reason"),
    };

    if (call->context->events)
        events_record(call->context->events, &event);
}

/* A member that is left out when there is nothing to say. */
static void
put_text(struct json_writer *writer, const char *key, str text)
{
    if (text.len)
        json_put_text(writer, key, text);
}

static void
put_limit(struct json_writer *writer, const char *key, uint32_t limit)
{
    if (limit)
        json_put_int(writer, key, limit);
}

static void
put_usage(struct control_call *call, struct json_writer *writer, const struct account_info *account)
{
    struct limits_usage usage;

    if (!call->context->limits) {
        json_put_text(writer, "state", account->disabled ? S("disabled") : S("ok"));
        put_text(writer, "limit", account->limit_preset);
        return;
    }
    limits_usage(call->context->limits, account->id, clock_now(), &usage);
    json_put_text(writer, "state",
                  account->disabled  ? S("disabled")
                  : usage.restricted ? S("restricted")
                                     : S("ok"));
    put_text(writer, "limit", str_from(usage.preset));
    json_put_int(writer, "messages_24h", usage.messages);
    put_limit(writer, "messages_max", usage.rules.messages_per_day);
    json_put_int(writer, "recipients_24h", usage.recipients);
    put_limit(writer, "recipients_per_message_max", usage.rules.recipients_per_message);
    json_put_int(writer, "first_time_24h", usage.first_time);
    put_limit(writer, "first_time_max", usage.rules.first_time_per_day);
    if (usage.restricted && usage.restricted_until)
        json_put_time(writer, "free_at", usage.restricted_until);
}

static void
put_account(struct control_call *call, struct json_writer *writer,
            const struct account_info *account)
{
    json_put_text(writer, "address", account->address);
    put_usage(call, writer, account);
    json_put_bool(writer, "has_password", account->has_password);
    json_put_time(writer, "created", account->created);
    if (account->quota)
        json_put_int(writer, "quota", (int64_t)account->quota);
}

WAITS static enum err
user_list(struct control_call *call)
{
    struct finder finder;
    enum err e = OK;

    start_finding(call, &finder);
    accounts_each(call->context->accounts, find_account, &finder);
    if (finder.full)
        return too_many(call);
    for (struct found *at = finder.first; at && !e; at = at->next) {
        put_account(call, control_row(call), &at->account);
        e = control_row_end(call);
    }
    return e;
}

/* The account that the argument "address" names. */
static enum err
named_account(struct control_call *call, struct account_info *account)
{
    str address;
    enum err e;

    if (!control_need(call, "address", &address))
        return ERR_SYNTAX;
    e = accounts_get(call->context->accounts, &call->arena, address, account);
    if (e == ERR_NOT_FOUND)
        return control_fail(call, e, "no_such_user", "'outpost user list' shows them all",
                            "there is no account %.*s", STR_ARG(address));
    return e ? control_failed(call, e) : OK;
}

WAITS static void
put_mailbox(struct control_call *call, struct json_writer *writer, int64_t account)
{
    struct mailbox_usage usage = { 0 };
    OWN(mailbox) mailbox = NULL;

    if (!call->context->mailboxes ||
        mailbox_open(call->context->mailboxes, account, &mailbox, NULL) ||
        mailbox_usage(mailbox, &usage))
        return;
    json_put_int(writer, "mailbox_messages", (int64_t)usage.messages);
    json_put_int(writer, "mailbox_bytes", (int64_t)usage.bytes);
}

static void
put_login(struct control_call *call, struct json_writer *writer, str address)
{
    struct throttle_state state;

    if (!call->context->logins)
        return;
    logins_state(call->context->logins, address, &state);
    json_put_bool(writer, "login_locked", state.locked);
    if (state.wrong_secrets)
        json_put_int(writer, "wrong_passwords", state.wrong_secrets);
    if (state.locked)
        json_put_int(writer, "login_free_in_ms", state.retry_after / MILLISECONDS(1));
}

WAITS static enum err
user_show(struct control_call *call)
{
    struct account_info account;
    struct json_writer *writer;
    struct finder finder;
    enum err e = named_account(call, &account);

    if (e)
        return e;
    start_finding(call, &finder);
    accounts_each_alias(call->context->accounts, find_alias, &finder);
    writer = control_document_begin(call);
    put_account(call, writer, &account);
    put_mailbox(call, writer, account.id);
    put_login(call, writer, account.address);
    json_begin_array(writer, "aliases");
    for (struct found *at = finder.first; at; at = at->next)
        if (str_eq_nocase(at->target, account.address))
            json_put_text(writer, NULL, at->account.address);
    json_end_array(writer);
    json_begin_array(writer, "forwards_to");
    for (struct found *at = finder.first; at; at = at->next)
        if (str_eq_nocase(at->account.address, account.address))
            json_put_text(writer, NULL, at->target);
    json_end_array(writer);
    control_document_end(call);
    return OK;
}

/* Says what became of a change that is named by its object. */
static enum err
changed(struct control_call *call, enum err e, const char *what, str whom)
{
    if (e)
        return control_failed(call, e);
    record_change(call, what, whom);
    control_say(call, "%.*s: %s", STR_ARG(whom), what);
    return OK;
}

WAITS static enum err
user_add(struct control_call *call)
{
    struct accounts *accounts = call->context->accounts;
    str preset = json_get_text(call->args, "limit");
    int64_t quota = json_get_int(call->args, "quota");
    int64_t id;
    str address;
    enum err e;

    if (!control_need(call, "address", &address))
        return ERR_SYNTAX;
    if (preset.len && !limits_preset(preset))
        return control_fail(call, ERR_SYNTAX, "no_such_limit",
                            "gmail, workspace, small-host or unlimited", "there is no limit %.*s",
                            STR_ARG(preset));
    e = accounts_add(accounts, address, json_get_text(call->args, "password"), &id, &call->why);
    if (!e && preset.len)
        e = accounts_set_limit(accounts, address, preset, &call->why);
    if (!e && quota > 0)
        e = accounts_set_quota(accounts, address, (uint64_t)quota, &call->why);
    return changed(call, e, "added", address);
}

WAITS static enum err
user_passwd(struct control_call *call)
{
    struct account_info account;
    enum err e = named_account(call, &account);

    if (e)
        return e;
    e = accounts_set_password(call->context->accounts, account.address,
                              json_get_text(call->args, "password"), &call->why);
    return changed(call, e, "password changed", account.address);
}

WAITS static enum err
set_disabled(struct control_call *call, bool disabled)
{
    struct account_info account;
    enum err e = named_account(call, &account);

    if (e)
        return e;
    e = accounts_set_disabled(call->context->accounts, account.address, disabled, &call->why);
    return changed(call, e, disabled ? "disabled" : "enabled", account.address);
}

WAITS static enum err
user_disable(struct control_call *call)
{
    return set_disabled(call, true);
}

WAITS static enum err
user_enable(struct control_call *call)
{
    return set_disabled(call, false);
}

WAITS static enum err
user_limit(struct control_call *call)
{
    str preset = json_get_text(call->args, "limit");
    struct account_info account;
    enum err e = named_account(call, &account);

    if (e)
        return e;
    if (preset.len && !limits_preset(preset))
        return control_fail(call, ERR_SYNTAX, "no_such_limit",
                            "gmail, workspace, small-host or unlimited", "there is no limit %.*s",
                            STR_ARG(preset));
    e = accounts_set_limit(call->context->accounts, account.address, preset, &call->why);
    return changed(call, e, "limit changed", account.address);
}

WAITS static enum err
user_quota(struct control_call *call)
{
    int64_t quota = json_get_int(call->args, "quota");
    struct account_info account;
    enum err e = named_account(call, &account);

    if (e)
        return e;
    e = accounts_set_quota(call->context->accounts, account.address,
                           quota > 0 ? (uint64_t)quota : 0, &call->why);
    return changed(call, e, "quota changed", account.address);
}

static enum err
user_unlock(struct control_call *call)
{
    struct account_info account;
    enum err e = named_account(call, &account);

    if (e)
        return e;
    if (!call->context->logins)
        return control_fail(call, ERR_UNSUPPORTED, "not_running", "start it with 'outpost serve'",
                            "the server is not running; nobody is locked then");
    logins_unlock(call->context->logins, account.address);
    return changed(call, OK, "unlocked", account.address);
}

WAITS static enum err
user_rm(struct control_call *call)
{
    struct account_info account;
    enum err e = named_account(call, &account);

    if (e)
        return e;
    if (json_get_bool(call->args, "dry_run")) {
        control_say(call, "%.*s and its mailbox would be removed", STR_ARG(account.address));
        return OK;
    }
    e = accounts_remove(call->context->accounts, account.address, &call->why);
    if (!e && call->context->mailboxes && !json_get_bool(call->args, "keep_mail")) {
        e = mailbox_remove(call->context->mailboxes, account.id);
        if (e == ERR_NOT_FOUND)
            e = OK;
        if (e)
            return control_fail(call, e, "mailbox_kept", "remove the file below DATA/mail",
                                "the account is removed, but its mailbox (%lld) is not: %s",
                                (long long)account.id, err_name(e));
    }
    return changed(call, e, "removed", account.address);
}

static void
put_domain(struct json_writer *writer, const struct domain_info *domain)
{
    json_put_text(writer, "name", domain->name);
    json_put_int(writer, "accounts", (int64_t)domain->accounts);
    json_put_int(writer, "aliases", (int64_t)domain->aliases);
    put_text(writer, "alias_of", domain->alias_of);
    put_text(writer, "catch_all", domain->catch_all);
    put_text(writer, "route", domain->route);
    put_text(writer, "limit", domain->limit_preset);
}

WAITS static enum err
domain_list(struct control_call *call)
{
    struct finder finder;
    enum err e = OK;

    start_finding(call, &finder);
    accounts_each_domain(call->context->accounts, find_domain, &finder);
    if (finder.full)
        return too_many(call);
    for (struct found *at = finder.first; at && !e; at = at->next) {
        put_domain(control_row(call), &at->domain);
        e = control_row_end(call);
    }
    return e;
}

static enum err
named_domain(struct control_call *call, struct domain_info *domain)
{
    str name;
    enum err e;

    if (!control_need(call, "name", &name))
        return ERR_SYNTAX;
    e = accounts_get_domain(call->context->accounts, &call->arena, name, domain);
    if (e == ERR_NOT_FOUND)
        return control_fail(call, e, "no_such_domain", "'outpost domain list' shows them all",
                            "there is no domain %.*s", STR_ARG(name));
    return e ? control_failed(call, e) : OK;
}

static enum err
domain_show(struct control_call *call)
{
    struct domain_info domain;
    enum err e = named_domain(call, &domain);

    if (e)
        return e;
    put_domain(control_document_begin(call), &domain);
    control_document_end(call);
    return OK;
}

/* A setting that was given, "" to take it away. */
static bool
given(struct control_call *call, const char *name, str *value)
{
    const struct json *member = json_get(call->args, name);

    *value = json_get_text(call->args, name);
    return member && member->type == JSON_TEXT;
}

WAITS static enum err
set_domain(struct control_call *call, str name)
{
    struct accounts *accounts = call->context->accounts;
    struct relay_target target;
    enum err e = OK;
    str value;

    if (given(call, "route", &value) && value.len)
        e = relay_parse_url(&call->arena, value, &target, &call->why);
    if (!e && given(call, "limit", &value)) {
        if (value.len && !limits_preset(value))
            return err_why(&call->why, ERR_SYNTAX,
                           "there is no limit %.*s: gmail, workspace, small-host or unlimited",
                           STR_ARG(value));
        e = accounts_set_domain_limit(accounts, name, value, &call->why);
    }
    if (!e && given(call, "alias_of", &value))
        e = accounts_set_domain_alias(accounts, name, value, &call->why);
    if (!e && given(call, "catch_all", &value))
        e = accounts_set_catch_all(accounts, name, value, &call->why);
    if (!e && given(call, "route", &value))
        e = accounts_set_domain_route(accounts, name, value, &call->why);
    return e;
}

WAITS static enum err
domain_add(struct control_call *call)
{
    str name;
    enum err e;

    if (!control_need(call, "name", &name))
        return ERR_SYNTAX;
    e = accounts_add_domain(call->context->accounts, name, &call->why);
    if (e)
        return changed(call, e, "added", name);
    e = set_domain(call, name);
    if (e) /* Half a domain would take mail in that it must not. */
        (void)accounts_remove_domain(call->context->accounts, name, NULL);
    return changed(call, e, "added", name);
}

WAITS static enum err
domain_set(struct control_call *call)
{
    struct domain_info domain;
    enum err e = named_domain(call, &domain);

    if (e)
        return e;
    return changed(call, set_domain(call, domain.name), "changed", domain.name);
}

WAITS static enum err
domain_rm(struct control_call *call)
{
    struct domain_info domain;
    enum err e = named_domain(call, &domain);

    if (e)
        return e;
    if (json_get_bool(call->args, "dry_run")) {
        control_say(call, "%.*s would be removed", STR_ARG(domain.name));
        return OK;
    }
    e = accounts_remove_domain(call->context->accounts, domain.name, &call->why);
    return changed(call, e, "removed", domain.name);
}

WAITS static enum err
alias_list(struct control_call *call)
{
    struct finder finder;
    enum err e = OK;

    start_finding(call, &finder);
    accounts_each_alias(call->context->accounts, find_alias, &finder);
    if (finder.full)
        return too_many(call);
    for (struct found *at = finder.first; at && !e; at = at->next) {
        struct json_writer *writer = control_row(call);

        json_put_text(writer, "address", at->account.address);
        json_put_text(writer, "target", at->target);
        e = control_row_end(call);
    }
    return e;
}

WAITS static enum err
alias_add(struct control_call *call)
{
    const struct json *targets = json_get(call->args, "targets");
    str address;
    enum err e = OK;

    if (!control_need(call, "address", &address))
        return ERR_SYNTAX;
    if (!targets || targets->type != JSON_ARRAY || !targets->first)
        return control_fail(call, ERR_SYNTAX, "missing_argument", "see 'outpost help alias'",
                            "an alias needs a target");
    for (const struct json *at = targets->first; at && !e; at = at->next)
        e = accounts_add_alias(call->context->accounts, address, at->text, &call->why);
    return changed(call, e, "alias added", address);
}

WAITS static enum err
alias_rm(struct control_call *call)
{
    str target = json_get_text(call->args, "target");
    str address;
    enum err e;

    if (!control_need(call, "address", &address))
        return ERR_SYNTAX;
    if (json_get_bool(call->args, "dry_run")) {
        control_say(call, "%.*s would be removed", STR_ARG(address));
        return OK;
    }
    e = accounts_remove_alias(call->context->accounts, address, target, &call->why);
    return changed(call, e, "alias removed", address);
}

/* clang-format off */
const struct control_command control_directory[] = {
    /* name             what it does      needs                         arguments */
    { "user.list",      user_list,        CONTROL_NEEDS_ACCOUNTS }, /* domain */
    { "user.show",      user_show,        CONTROL_NEEDS_ACCOUNTS }, /* address */
    { "user.add",       user_add,         CONTROL_NEEDS_ACCOUNTS }, /* address password limit quota */
    { "user.passwd",    user_passwd,      CONTROL_NEEDS_ACCOUNTS }, /* address password */
    { "user.disable",   user_disable,     CONTROL_NEEDS_ACCOUNTS }, /* address reason */
    { "user.enable",    user_enable,      CONTROL_NEEDS_ACCOUNTS }, /* address reason */
    { "user.limit",     user_limit,       CONTROL_NEEDS_ACCOUNTS }, /* address limit */
    { "user.quota",     user_quota,       CONTROL_NEEDS_ACCOUNTS }, /* address quota */
    { "user.unlock",    user_unlock,      CONTROL_NEEDS_ACCOUNTS }, /* address */
    { "user.rm",        user_rm,          CONTROL_NEEDS_ACCOUNTS }, /* address keep_mail dry_run reason */
    { "domain.list",    domain_list,      CONTROL_NEEDS_ACCOUNTS },
    { "domain.show",    domain_show,      CONTROL_NEEDS_ACCOUNTS }, /* name */
    { "domain.add",     domain_add,       CONTROL_NEEDS_ACCOUNTS }, /* name alias_of catch_all route limit */
    { "domain.set",     domain_set,       CONTROL_NEEDS_ACCOUNTS }, /* the same */
    { "domain.rm",      domain_rm,        CONTROL_NEEDS_ACCOUNTS }, /* name dry_run reason */
    { "alias.list",     alias_list,       CONTROL_NEEDS_ACCOUNTS }, /* domain */
    { "alias.add",      alias_add,        CONTROL_NEEDS_ACCOUNTS }, /* address targets */
    { "alias.rm",       alias_rm,         CONTROL_NEEDS_ACCOUNTS }, /* address target dry_run reason */
    { NULL, NULL, 0 },
};
/* clang-format on */
