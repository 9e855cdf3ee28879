/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* tls_record.c: see tls_record.h.  "My old phone cannot connect" finds its answer here. */
#include "servers/tls_record.h"

#include "base/ipaddr.h"
#include "intake/intake.h"
#include "runtime/stream.h"
#include "store/events.h"

void
tls_record_failure(struct intake_services *services, const char *service, const char *stage,
                   const struct stream *stream, const struct why *why)
{
    char ip[IPADDR_TEXT_MAX];
    struct event event = {
        .kind = EVENT_TLS,
        .service = str_from(service),
        .stage = str_from(stage),
        .text = S("the handshake failed"),
        .tls_why = str_from(why->text),
    };

    ipaddr_format(stream_peer(stream)->addr, ip);
    event.client_ip = str_from(ip);
    events_record(services->events, &event);
}
