/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* attempt_events.c: the results of an attempt, and the records that are made of them: one wide
 * event for each recipient (attempt_record). */
#include "delivery/attempt.h"
#include "formats/json.h"
#include "runtime/clock.h"

str
attempt_text(struct arena *arena, const char *text)
{
    str copy = S("");

    if (!arena_copy(arena, str_from(text), &copy))
        return S("");
    return copy;
}

struct result *
attempt_add_result(struct attempt *a, struct schedule_row *row, enum outcome outcome, unsigned code,
                   const char *enhanced, const char *text)
{
    struct result *result = &a->results[a->result_count++];

    *result = (struct result){
        .row = row,
        .outcome = outcome,
        .code = (uint16_t)code,
        .enhanced = enhanced,
        .text = text,
        .remote = "",
        .is_attempt = true,
        .stage = (uint8_t)a->failure.stage,
    };
    return result;
}

void
attempt_all_results(struct attempt *a, enum outcome outcome, unsigned code, const char *enhanced,
                    const char *text, instant not_before)
{
    a->result_count = 0;
    for (size_t i = 0; i < a->count; i++) {
        struct result *result = attempt_add_result(a, a->rows[i], outcome, code, enhanced, text);
        result->not_before = not_before;
    }
}

enum outcome
attempt_outcome_of(unsigned code)
{
    if (code / 100 == 2)
        return OUTCOME_DELIVERED;
    return code / 100 == 5 ? OUTCOME_FAILED : OUTCOME_DEFERRED;
}

const struct shaping_provider *
attempt_provider(const struct attempt *a)
{
    const struct runner *runner = a->runner;
    bool has_host = runner->client && runner->client_host.len > 0;

    if (runner->knows_provider)
        return runner->provider;
    return shaping_provider_of(runner->shaping, &runner->client_host, has_host, a->route.domain);
}

void
attempt_judge(const struct attempt *a, unsigned code, str enhanced, str text,
              struct shaping_verdict *verdict)
{
    bool success = code >= 200 && code < 400;

    shaping_judge(a->runner->shaping, success ? NULL : attempt_provider(a), (uint16_t)code,
                  enhanced, text, verdict);
}

static enum event_kind
event_kind_of(enum outcome outcome)
{
    switch (outcome) {
    case OUTCOME_DELIVERED:
        return EVENT_DELIVERED;
    case OUTCOME_EXPANDED:
        return EVENT_REDIRECTED;
    case OUTCOME_FAILED:
        return EVENT_BOUNCED;
    default:
        return EVENT_DEFERRED;
    }
}

static str
after_at(str address)
{
    ssize_t at = str_find_last(address, '@');

    return at < 0 ? S("") : str_skip(address, (size_t)at + 1);
}

static void
describe_connection(const struct attempt *a, struct event *event, char *peer, char *local)
{
    const struct runner *runner = a->runner;
    const struct secure_outcome *seen = runner->client ? &runner->client_secure : &a->outcome;

    event->tls_why = str_from(seen->why);
    if (!runner->client)
        return;
    ipaddr_format(smtp_client_peer(runner->client)->addr, peer);
    ipaddr_format(smtp_client_local(runner->client)->addr, local);
    event->mx = runner->client_host;
    event->mx_ip = str_from(peer);
    event->egress_ip = str_from(local);
    event->tls_verify = str_from(secure_verified_name(seen->verified));
    event->tls_version = str_from(seen->version);
    event->tls_cipher = str_from(seen->cipher);
}

/* The class, and beside it the provider and the rule. */
static void
describe_judgement(const struct attempt *a, const struct result *result, struct event *event)
{
    struct shaping_verdict verdict = { .class = result->class, .rule = result->rule };
    const struct shaping_provider *provider;
    struct json_writer writer;
    struct buf more, place;

    event->class = event->more = S("");
    if (result->outcome == OUTCOME_DELIVERED || result->outcome == OUTCOME_EXPANDED)
        return;
    provider = attempt_provider(a);
    if (verdict.class == CLASS_NONE)
        attempt_judge(a, result->code, event->enhanced, event->text_raw, &verdict);
    event->class = str_from(reply_class_name(verdict.class));
    buf_init(&more, 400);
    buf_init(&place, 40);
    shaping_rule_place(verdict.rule, &place);
    json_writer_init(&writer, &more);
    json_begin_object(&writer, NULL);
    if (provider)
        json_put_text(&writer, "provider", provider->name);
    if (verdict.rule)
        json_put_text(&writer, "rule", buf_str(&place));
    json_end_object(&writer);
    if ((provider || verdict.rule) && buf_ok(&more))
        (void)arena_copy(&a->runner->arena, buf_str(&more), &event->more);
    buf_done(&place);
    buf_done(&more);
}

void
attempt_record(const struct attempt *a)
{
    struct runner *runner = a->runner;
    char peer[IPADDR_TEXT_MAX], local[IPADDR_TEXT_MAX];
    struct event event = {
        .message = a->envelope.id,
        .sender = a->envelope.reverse_path,
        .account = a->envelope.account,
        .from_domain = after_at(a->envelope.reverse_path),
        .site = str_from(runner->site->key),
        .route = str_from(a->route.key),
        .bytes = (int64_t)a->envelope.size,
        .took = clock_now() - a->began,
    };

    if (!runner->queue->events)
        return;
    describe_connection(a, &event, peer, local);
    for (size_t i = 0; i < a->result_count; i++) {
        const struct result *result = &a->results[i];
        event.kind = event_kind_of(result->outcome);
        event.recipient_index = result->row->index;
        event.recipient = a->envelope.recipients[result->row->index].address;
        event.to_domain = after_at(event.recipient);
        event.attempt = result->row->attempts + 1;
        event.code = result->code;
        event.enhanced = str_from(result->enhanced);
        event.text_raw = str_from(result->text);
        describe_judgement(a, result, &event);
        event.stage = result->outcome == OUTCOME_DELIVERED
                          ? S("")
                          : str_from(smtp_stage_name((enum smtp_stage)result->stage));
        events_record(runner->queue->events, &event);
    }
}
