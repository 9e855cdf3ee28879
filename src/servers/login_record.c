/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* login_record.c: see login_record.h. */
#include "servers/login_record.h"

#include "accounts/login.h"
#include "intake/intake.h"
#include "runtime/stream.h"
#include "runtime/tls.h"
#include "store/events.h"

static const char *
reason(enum login_state state)
{
    switch (state) {
    case LOGIN_BAD:
        return "wrong name or password";
    case LOGIN_DISABLED:
        return "the account is disabled";
    case LOGIN_THROTTLED:
        return "too many wrong passwords";
    case LOGIN_BUSY:
        return "too many logins at once";
    case LOGIN_BROKEN:
        return "broken exchange";
    case LOGIN_ABORTED:
        return "given up by the client";
    case LOGIN_OK:
    case LOGIN_CONTINUE:
        break;
    }
    return "";
}

void
login_record(struct intake_services *services, const char *service, const struct stream *stream,
             const struct login_result *result)
{
    const struct tls_info *tls = stream_tls(stream);
    char ip[IPADDR_TEXT_MAX];
    struct event event = {
        .kind = result->state == LOGIN_OK ? EVENT_LOGIN : EVENT_LOGIN_FAILED,
        .service = str_from(service),
        .account = str_from(result->address),
        .text = str_from(reason(result->state)),
        .tls_version = str_from(tls ? tls->version : NULL),
        .tls_cipher = str_from(tls ? tls->cipher : NULL),
    };

    ipaddr_format(stream_peer(stream)->addr, ip);
    event.client_ip = str_from(ip);
    events_record(services->events, &event);
}
