/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* record.c: events of acceptance and refusal, with all that is known of the conversation. */
#include "intake/record.h"

#include "intake/transaction.h"
#include "store/events.h"

#include <stdio.h>

static str
domain_part(str address)
{
    ssize_t at = str_find_last(address, '@');

    return at < 0 ? S("") : str_skip(address, (size_t)at + 1);
}

static void
fill(struct intake *intake, struct event *event, char ip[IPADDR_TEXT_MAX])
{
    str cipher;

    ipaddr_format(intake->peer.client.addr, ip);
    event->sender = intake->sender.path;
    event->from_domain = domain_part(intake->sender.path);
    event->service = intake->peer.service;
    event->account = intake->peer.account;
    event->client_ip = str_from(ip);
    event->helo = intake->peer.helo;
    if (str_split(intake->peer.tls, ' ', &event->tls_version, &cipher))
        event->tls_cipher = cipher;
}

void
record_rejected(struct intake *intake, const char *stage, str recipient,
                const struct verdict *verdict)
{
    char ip[IPADDR_TEXT_MAX];
    struct event event = {
        .kind = EVENT_REJECTED,
        .stage = str_from(stage),
        .recipient = recipient,
        .to_domain = domain_part(recipient),
        .code = verdict->code,
        .enhanced = str_from(verdict->enhanced),
        .text = str_from(verdict->text),
        .bytes = (int64_t)intake->received,
    };

    fill(intake, &event, ip);
    events_record(intake->services->events, &event);
}

/* Bulk mail of ours that nobody can leave: RFC 8058, and the rules of the great providers. */
static bool
lacks_link(const struct intake *intake)
{
    return intake->envelope.lane == LANE_BULK && !intake->facts.list_unsubscribe.len &&
           !intake->has_links && (intake_is_ours(intake) || intake->peer.door == DOOR_LOCAL);
}

void
record_accepted(struct intake *intake)
{
    static const char *const wishes[] = {
        [TLS_AS_USUAL] = "",
        [TLS_REQUIRED] = "; TLS is required on the whole way (REQUIRETLS)",
        [TLS_OPTIONAL] = "; it may go without TLS (TLS-Required: No)",
    };
    const struct envelope *envelope = &intake->envelope;
    char ip[IPADDR_TEXT_MAX], more[40], text[LANE_WHY_MAX + 140];
    struct event event = {
        .kind = EVENT_ACCEPTED,
        .message = envelope->id,
        .code = 250,
        .enhanced = S("2.0.0"),
        .bytes = (int64_t)envelope->size,
    };

    fill(intake, &event, ip);
    snprintf(text, sizeof(text), "lane %s: %s%s%s", lane_name(envelope->lane), intake->lane_why,
             lacks_link(intake) ? "; it has no List-Unsubscribe field" : "",
             wishes[envelope->tls_wish]);
    event.text = str_from(text);
    event.next_try = envelope->release_at;
    if (envelope->recipient_count == 1) {
        event.recipient = envelope->recipients[0].address;
        event.to_domain = domain_part(event.recipient);
    } else {
        snprintf(more, sizeof(more), "{\"recipients\":%zu}", envelope->recipient_count);
        event.more = str_from(more);
    }
    events_record(intake->services->events, &event);
}
