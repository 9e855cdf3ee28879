/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* local.c: recipients who live here: into their mailboxes, or on to where their alias leads.
 *
 * accounts_resolve() gives the targets of an alias flat; those that are mailboxes are served here,
 * the others get the message anew (forward.c), in the spool before the alias counts as done.
 *
 * Loops show in Delivered-To, which every delivery and every expansion adds.
 */
#include "delivery/returns/bounce_intake.h"
#include "delivery/returns/forward.h"
#include "delivery/queue/queue_inside.h"
#include "delivery/returns/return_address.h"
#include "runtime/clock.h"

#include <string.h>

enum {
    HEADER_SCAN_MAX = 256 * 1024
};

struct local {
    struct runner *runner;
    const struct envelope *envelope;
    struct body *body;
    const char *did; /* What an expansion is called. */
    str header;      /* Of the message, as far as it is looked at; read when it is first needed. */
};

struct reading {
    struct body *body;
    uint64_t offset;
};

static void
set(struct result *result, enum outcome outcome, unsigned code, const char *enhanced,
    const char *text)
{
    result->outcome = outcome;
    result->code = (uint16_t)code;
    result->enhanced = enhanced;
    result->text = text;
}

/* --- Loops. */

WAITS static void
read_header(struct local *local)
{
    uint64_t size = MIN(local->envelope->header_size, (uint64_t)HEADER_SCAN_MAX);
    char *bytes = arena_alloc(&local->runner->arena, (size_t)size + 1);
    size_t len = 0;
    size_t got;

    while (bytes && len < size) {
        if (body_read(local->body, len, bytes + len, (size_t)size - len, &got) || got == 0)
            break;
        len += got;
    }
    local->header = (str){ bytes ? bytes : "", len };
}

WAITS static bool
was_here_before(struct local *local, str address)
{
    str rest, line;

    if (!local->header.ptr)
        read_header(local);
    rest = local->header;
    while (rest.len > 0) {
        if (!str_split(rest, '\n', &line, &rest))
            rest = S("");
        if (str_starts_nocase(line, S("Delivered-To:")) &&
            str_eq_nocase(str_trim(str_skip(line, 13)), address))
            return true;
    }
    return false;
}

/* --- Mailboxes. */

WAITS static enum err
read_message(void *arg, char *bytes, size_t size, size_t *got)
{
    struct reading *reading = arg;
    enum err e = body_read(reading->body, reading->offset, bytes, size, got);

    if (!e)
        reading->offset += *got;
    return e;
}

WAITS static enum err
append(struct local *local, const struct resolution_target *target, enum mailbox_verdict *verdict,
       struct why *why)
{
    struct reading reading = { .body = local->body };
    struct mailbox_append append = {
        .message = local->envelope->id,
        .recipient = target->address,
        .received = clock_now(),
        .quota = target->quota,
        .size_hint = local->envelope->size,
        .read = read_message,
        .arg = &reading,
    };
    OWN(mailbox) mailbox = NULL;
    enum err e;

    if (!arena_printf(&local->runner->arena, &append.head,
                      "Return-Path: <%.*s>\r\nDelivered-To: %.*s\r\n",
                      STR_ARG(local->envelope->reverse_path), STR_ARG(target->address)))
        return ERR_LIMIT;
    e = mailbox_open(local->runner->queue->mailstore, target->account, &mailbox, why);
    if (e)
        return e;
    return mailbox_append(mailbox, &append, verdict, why);
}

WAITS static void
deliver_to_mailbox(struct local *local, const struct resolution_target *target,
                   struct result *result)
{
    enum mailbox_verdict verdict = MAILBOX_STORED;
    struct why why = {};
    str text = S("");
    enum err e;

    if (was_here_before(local, target->address)) {
        set(result, OUTCOME_FAILED, 554, "5.4.6", "The message was delivered here before: a loop");
        return;
    }
    e = append(local, target, &verdict, &why);
    if (e == ERR_FULL) {
        set(result, OUTCOME_DEFERRED, 452, "4.3.1", "The disk of the mailboxes is full");
    } else if (e) {
        (void)arena_printf(&local->runner->arena, &text, "The mailbox cannot be written: %s",
                           why.text[0] ? why.text : err_name(e));
        set(result, OUTCOME_DEFERRED, 451, "4.3.0", text.len ? text.ptr : "");
    } else if (verdict == MAILBOX_OVER_QUOTA) {
        set(result, OUTCOME_DEFERRED, 452, "4.2.2", "The mailbox is full");
    } else {
        (void)arena_printf(&local->runner->arena, &text, "%s the mailbox of %.*s",
                           verdict == MAILBOX_DUPLICATE ? "Was already in" : "Stored in",
                           STR_ARG(target->address));
        set(result, OUTCOME_DELIVERED, 250, "2.1.5", text.len ? text.ptr : "");
    }
}

/* --- Aliases. */

WAITS static enum err
send_on(struct local *local, const struct recipient *alias, const struct resolution *resolution,
        str *told)
{
    struct forward forward = {
        .runner = local->runner,
        .envelope = local->envelope,
        .body = local->body,
        .alias = alias,
        .resolution = resolution,
        .did = local->did,
    };

    return forward_send(&forward, told);
}

/* What became of one mailbox of an alias, whose own event only says that it was expanded. */
static void
record_target(const struct local *local, const struct resolution_target *target,
              const struct result *result)
{
    struct event event = {
        .kind = result->outcome == OUTCOME_DELIVERED ? EVENT_DELIVERED
                : result->outcome == OUTCOME_FAILED  ? EVENT_BOUNCED
                                                     : EVENT_DEFERRED,
        .message = local->envelope->id,
        .sender = local->envelope->reverse_path,
        .account = local->envelope->account,
        .recipient = target->address,
        .recipient_index = result->row->index,
        .attempt = result->row->attempts + 1,
        .code = result->code,
        .enhanced = str_from(result->enhanced),
        .text_raw = str_from(result->text),
        .bytes = (int64_t)local->envelope->size,
    };

    if (local->runner->queue->events)
        events_record(local->runner->queue->events, &event);
}

/* A mailbox that cannot have it ever makes the alias fail, once all others are served.  Mailboxes
 * that are full are tried again as long as any other; those that have it do not take it
 * twice.  The copy for others leaves once, whatever was tried before this address was an alias. */
WAITS static void
expand(struct local *local, const struct recipient *alias, const struct resolution *resolution,
       struct result *result)
{
    str told = str_from(local->did);
    struct result failed = { .outcome = OUTCOME_EXPANDED };
    enum err e = OK;

    if (was_here_before(local, alias->address)) {
        set(result, OUTCOME_FAILED, 554, "5.4.6",
            "The message was here before: its aliases make "
            "a loop");
        return;
    }
    if (!result->row->forwarded)
        e = send_on(local, alias, resolution, &told);
    if (e) {
        result->is_attempt = false;
        set(result, OUTCOME_DEFERRED, 451, "4.3.0", "The message cannot be copied for its alias");
        return;
    }
    result->forwarded = true;
    for (size_t i = 0; i < resolution->count; i++) {
        if (resolution->targets[i].kind != TARGET_MAILBOX)
            continue;
        deliver_to_mailbox(local, &resolution->targets[i], result);
        record_target(local, &resolution->targets[i], result);
        if (result->outcome == OUTCOME_DEFERRED)
            return;
        if (result->outcome == OUTCOME_FAILED)
            failed = *result;
    }
    if (failed.outcome == OUTCOME_FAILED)
        *result = failed;
    else
        set(result, OUTCOME_EXPANDED, 250, "2.1.5", told.ptr);
}

/* --- What comes back. */

/* To the one address TARGET, which needs not be here. */
WAITS static void
send_back(const struct local *local, const struct envelope *envelope,
          const struct recipient *recipient, str target, const char *did, struct result *result)
{
    struct local back = *local;
    struct resolution_target to = { .kind = TARGET_ELSEWHERE, .address = target };
    struct resolution resolution = { .kind = RESOLUTION_ALIAS, .targets = &to, .count = 1 };

    back.envelope = envelope;
    back.did = did;
    expand(&back, recipient, &resolution, result);
}

/* A report, or whatever somebody sent there.  It goes on as what nobody reports about. */
WAITS static void
take_report(const struct local *local, const struct recipient *recipient,
            const struct return_path *path, struct result *result)
{
    struct envelope onward = *local->envelope;
    struct recipient quiet = *recipient;
    struct bounce_news news;
    enum err e = bounce_intake(local->runner, local->envelope, local->body, path, &news);

    if (e)
        set(result, OUTCOME_DEFERRED, 451, "4.3.0", "What came back cannot be read now");
    else if (!news.is_known)
        set(result, OUTCOME_FAILED, 550, "5.1.1",
            "The message that it is about is not known any more");
    else if (news.is_understood && !local->runner->config->bounces.forward)
        set(result, OUTCOME_DELIVERED, 250, "2.1.5", news.told.ptr);
    else {
        onward.reverse_path = S("");
        onward.door = DOOR_BOUNCE;
        quiet.notify = NOTIFY_NEVER;
        send_back(local, &onward, &quiet, news.sender, news.told.ptr, result);
    }
}

/* Complaints are read; where the address is a mailbox here as well, they go there, too. */
WAITS static bool
take_complaint(const struct local *local, const struct recipient *recipient, struct result *result)
{
    struct runner *runner = local->runner;
    struct resolution resolution;
    struct bounce_news news;
    enum err e = bounce_intake(runner, local->envelope, local->body, NULL, &news);

    if (!e)
        e = accounts_resolve(runner->queue->accounts, &runner->arena, recipient->address,
                             &resolution);
    if (e)
        set(result, OUTCOME_DEFERRED, 451, "4.3.0", "What came back cannot be read now");
    else if (resolution.kind == RESOLUTION_NOT_OURS || resolution.kind == RESOLUTION_UNKNOWN)
        set(result, OUTCOME_DELIVERED, 250, "2.1.5", news.told.ptr);
    else
        return false;
    return true;
}

/* Its work was done when it came in (gate_unsubscribe); where the address is a mailbox here as well,
 * it goes there, too. */
static bool
take_unsubscribe(const struct local *local, const struct recipient *recipient,
                 struct result *result)
{
    struct runner *runner = local->runner;
    struct resolution resolution;
    enum err e = accounts_resolve(runner->queue->accounts, &runner->arena, recipient->address,
                                  &resolution);

    if (e)
        set(result, OUTCOME_DEFERRED, 451, "4.3.0", "The address cannot be looked up");
    else if (resolution.kind == RESOLUTION_NOT_OURS || resolution.kind == RESOLUTION_UNKNOWN)
        set(result, OUTCOME_DELIVERED, 250, "2.1.5", "It was for leaving a list");
    else
        return false;
    return true;
}

/* An address that nobody has.  True: RESULT says what became of it; else ADDRESS is to be looked
 * up. */
WAITS static bool
take_return(const struct local *local, const struct recipient *recipient, str *address,
            struct result *result)
{
    struct runner *runner = local->runner;
    struct queue *queue = runner->queue;
    struct return_address found;
    enum err e = return_address_check(runner->config, queue->accounts, queue->secrets,
                                      recipient->address, clock_now(), &runner->arena, &found);

    if (e == ERR_LIMIT) {
        set(result, OUTCOME_DEFERRED, 451, "4.3.0", "Too little memory to read the address");
        return true;
    }
    if (e) {
        set(result, OUTCOME_FAILED, 550, "5.1.1", "Nobody here has this address");
        return true;
    }
    switch (found.kind) {
    case RETURN_REPORT:
        take_report(local, recipient, &found.path, result);
        return true;
    case RETURN_SRS:
        send_back(local, local->envelope, recipient, found.original,
                  "Went back to whose mail was sent on", result);
        return true;
    case RETURN_COMPLAINT:
        return take_complaint(local, recipient, result);
    case RETURN_UNSUBSCRIBE:
        return take_unsubscribe(local, recipient, result);
    case RETURN_POSTMASTER:
        *address = S("postmaster");
        return false;
    default:
        return false;
    }
}

/* --- One recipient. */

WAITS static void
deliver_one(struct local *local, const struct recipient *recipient, struct result *result)
{
    struct resolution resolution;
    str address = recipient->address;
    enum err e;

    if (take_return(local, recipient, &address, result))
        return;
    e = accounts_resolve(local->runner->queue->accounts, &local->runner->arena, address,
                         &resolution);
    if (e) {
        set(result, OUTCOME_DEFERRED, 451, "4.3.0", "The address cannot be looked up");
        return;
    }
    switch (resolution.kind) {
    case RESOLUTION_MAILBOX:
        result->relayed = RELAYED_WITHOUT_DSN; /* Success is ours to report. */
        deliver_to_mailbox(local, &resolution.targets[0], result);
        return;
    case RESOLUTION_ALIAS:
        expand(local, recipient, &resolution, result);
        return;
    case RESOLUTION_LOOP:
        set(result, OUTCOME_FAILED, 554, "5.4.6", "The aliases of this address lead in a circle");
        return;
    case RESOLUTION_UNKNOWN:
        set(result, OUTCOME_FAILED, 550, "5.1.1", "Nobody here has this address");
        return;
    default:
        set(result, OUTCOME_DEFERRED, 451, "4.3.5", "The way of this address has just changed");
        return;
    }
}

void
local_deliver(struct runner *runner, const struct envelope *envelope, struct body *body,
              struct schedule_row *const *rows, size_t count, struct result *results)
{
    struct local local = {
        .runner = runner,
        .envelope = envelope,
        .body = body,
        .did = "Went to the addresses of the alias",
    };

    for (size_t i = 0; i < count; i++) {
        results[i] = (struct result){ .row = rows[i], .remote = "", .is_attempt = true };
        deliver_one(&local, &envelope->recipients[rows[i]->index], &results[i]);
    }
}
