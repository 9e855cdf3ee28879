/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* send.c: a message through the connection of an attempt: as many transactions as the peer's limits
 * need, and what its answers mean for each recipient.
 *
 * attempt_send() is the story.  A reply of 2xx to the whole message, and nothing else, is a
 * delivery.
 */
#include "base/must.h"
#include "delivery/attempt.h"
#include "delivery/returns/return_address.h"
#include "formats/address.h"
#include "protocols/smtp/reply.h"
#include "runtime/clock.h"

#include <string.h>

WAITS static enum err
read_body(void *arg, uint64_t offset, void *bytes, size_t size, size_t *got)
{
    struct attempt *a = arg;

    return body_read(a->body, offset, bytes, size, got);
}

/* SMTPUTF8 was asked for by whoever sent the message; whether it is needed, the message says. */
WAITS static bool
needs_utf8(struct attempt *a)
{
    char block[1024];
    uint64_t offset = 0;

    if (!a->envelope.smtputf8)
        return false;
    if (!str_is_ascii(a->envelope.reverse_path))
        return true;
    for (size_t i = 0; i < a->count; i++)
        if (!str_is_ascii(a->envelope.recipients[a->rows[i]->index].address))
            return true;
    while (offset < a->envelope.header_size) {
        size_t want = (size_t)MIN(sizeof(block), a->envelope.header_size - offset);
        size_t got;
        if (body_read(a->body, offset, block, want, &got) || got == 0)
            return true;
        for (size_t i = 0; i < got; i++)
            if ((unsigned char)block[i] >= 0x80)
                return true;
        offset += got;
    }
    return false;
}

/* A domain in A-labels needs no extension. */
static str
address_for(struct attempt *a, str address)
{
    struct arena *arena = &a->runner->arena;
    ssize_t at = str_find_last(address, '@');
    str alabel, text;

    if (smtp_client_capabilities(a->runner->client)->smtputf8 || str_is_ascii(address) || at < 0 ||
        !str_is_ascii(str_head(address, (size_t)at)) ||
        domain_to_alabel(str_skip(address, (size_t)at + 1), arena, &alabel) ||
        !arena_printf(arena, &text, "%.*s@%.*s", (int)at, address.ptr, STR_ARG(alabel)))
        return address;
    return text;
}

static const char *
ret_name(enum dsn_return ret)
{
    return ret == RETURN_FULL ? "FULL" : ret == RETURN_HEADERS ? "HDRS" : NULL;
}

/* When nobody knows whether the peer took it, the record says so. */
static const char *
failure_text(struct attempt *a)
{
    str text = S("");

    if (a->failure.stage != SMTP_STAGE_FINAL)
        return attempt_text(&a->runner->arena, a->failure.why.text).ptr;
    if (!arena_printf(&a->runner->arena, &text,
                      "%s after the whole message was sent; it may arrive twice",
                      a->failure.why.text))
        return "";
    return text.ptr;
}

static void
result_of(struct attempt *a, struct schedule_row *row, const struct smtp_recipient *recipient,
          const char *remote)
{
    const struct smtp_answer *answer = recipient->answer;
    const struct smtp_failure *failure = &a->failure;
    struct result *result;
    enum outcome outcome;

    if (!answer) {
        result = attempt_add_result(a, row, OUTCOME_DEFERRED, failure->answer.code,
                                    attempt_text(&a->runner->arena, failure->answer.enhanced).ptr,
                                    failure_text(a));
        result->remote = remote;
        result->stage = (uint8_t)failure->stage;
        return;
    }
    outcome = attempt_outcome_of(answer->code);
    /* Only the answer to the whole message can be a delivery. */
    if (outcome == OUTCOME_DELIVERED && recipient->stage != SMTP_STAGE_FINAL)
        outcome = OUTCOME_DEFERRED;
    result = attempt_add_result(a, row, outcome, answer->code, answer->enhanced, answer->text);
    result->remote = remote;
    result->stage = (uint8_t)recipient->stage;
    if (outcome == OUTCOME_DELIVERED)
        result->relayed = attempt_relayed(a);
}

/* The sender that this transaction names.  What a mail store keeps as Return-Path is the message's
 * own. */
static enum err
leave_with(struct attempt *a, size_t first, size_t count, str *reverse_path)
{
    struct queue *queue = a->runner->queue;

    if (a->route.kind == ROUTE_RELAY && a->route.relay.kind == RELAY_LMTP)
        return OK;
    return return_address_leaving(a->runner->config, queue->accounts, queue->secrets, &a->envelope,
                                  a->rows[first]->index, count, &a->runner->arena, reverse_path);
}

/* Rows of the attempt from FIRST on, COUNT of them, in one transaction. */
WAITS static enum err
send_some(struct attempt *a, size_t first, size_t count, bool utf8)
{
    struct runner *runner = a->runner;
    struct smtp_recipient *recipients =
        arena_new_array(&runner->arena, struct smtp_recipient, count);
    struct smtp_message message = {
        .reverse_path = a->envelope.reverse_path,
        .envid = a->envelope.envid,
        .ret = ret_name(a->envelope.ret),
        .size = body_size(a->body),
        .eightbit = a->envelope.body != BODY_7BIT,
        .smtputf8 = utf8,
        .require_tls = a->envelope.tls_wish == TLS_REQUIRED &&
                       smtp_client_capabilities(runner->client)->requiretls,
        .priority = a->envelope.priority,
        .by = attempt_by(a, clock_now()),
        .recipients = recipients,
        .recipient_count = count,
        .arena = &runner->arena,
        .content = body_view(a->body),
        .read = read_body,
        .arg = a,
    };
    const char *remote = attempt_remote_name(a);
    enum err e;

    if (!recipients)
        return ERR_LIMIT;
    must(a->envelope.tls_wish != TLS_REQUIRED || runner->client_secure.requires);
    e = leave_with(a, first, count, &message.reverse_path);
    if (e)
        return e;
    for (size_t i = 0; i < count; i++) {
        const struct recipient *to = &a->envelope.recipients[a->rows[first + i]->index];
        recipients[i] = (struct smtp_recipient){ .address = address_for(a, to->address),
                                                 .original = to->original,
                                                 .notify = to->notify };
    }
    e = smtp_client_send(runner->client, &message, &a->failure);
    if (e && a->failure.silent)
        return e;
    for (size_t i = 0; i < count; i++)
        result_of(a, a->rows[first + i], &recipients[i], remote);
    return e;
}

WAITS enum err
attempt_send(struct attempt *a, bool *fresh_wanted)
{
    struct runner *runner = a->runner;
    uint64_t offered = smtp_client_capabilities(runner->client)->rcpt_max;
    size_t max = offered ? (size_t)MIN(offered, (uint64_t)a->count) : a->count;
    bool kept = smtp_client_sent(runner->client) > 0;
    bool utf8 = needs_utf8(a);
    enum err e = OK;

    *fresh_wanted = false;
    if (!attempt_keeps_time(a))
        return OK;
    for (size_t first = 0; !e && first < a->count; first += max) {
        size_t count = MIN(max, a->count - first);
        if (first > 0 && !smtp_client_is_usable(runner->client))
            break;
        e = send_some(a, first, count, utf8);
        *fresh_wanted = kept && first == 0 && e && e != ERR_CANCELLED && a->failure.silent;
    }
    return e;
}
