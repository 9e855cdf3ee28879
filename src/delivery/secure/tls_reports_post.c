/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* tls_reports_post.c: a report to a web server (RFC 8460 5.4).
 *
 * Where it goes says a stranger in his DNS, so that nothing in private networks is spoken to, and
 * what comes back is bounded and cleaned.  A certificate that does not hold is no reason to keep a
 * report back (RFC 8460 3): it may be what it tells of.
 */
#include "delivery/secure/tls_reports_send.h"

#include "delivery/secure/https.h"
#include "protocols/http/client.h"
#include "runtime/clock.h"
#include "runtime/dns.h"
#include "runtime/stream.h"
#include "runtime/tls.h"

#include <stdio.h>

enum {
    ADDRESSES_MAX = 4, /* Tried in one attempt. */
};

/* --- Where. */

struct places {
    ipaddr addrs[ADDRESSES_MAX];
    size_t count;
    bool any; /* Also one that may not be spoken to. */
};

WAITS static enum err
look_up(const struct tls_posting *posting, struct arena *arena, enum dns_type type,
        struct places *places)
{
    struct dns_answer answer;
    enum err e =
        dns_lookup(arena, posting->rua->host, type, deadline_in(posting->timeout), &answer);

    if (e || answer.status != DNS_FOUND)
        return e;
    for (size_t i = 0; i < answer.count && places->count < ADDRESSES_MAX; i++) {
        places->any = true;
        if (posting->private || https_is_public(answer.records[i].addr))
            places->addrs[places->count++] = answer.records[i].addr;
    }
    return OK;
}

WAITS static enum err
find_places(const struct tls_posting *posting, struct arena *arena, struct places *places,
            struct why *why)
{
    enum err e;

    *places = (struct places){};
    e = look_up(posting, arena, DNS_A, places);
    if (!e)
        e = look_up(posting, arena, DNS_AAAA, places);
    if (!e && places->count == 0)
        e = err_why(why, ERR_UNREACHABLE, "%.*s %s", STR_ARG(posting->rua->host),
                    places->any ? "is in a private network" : "has no address");
    return e;
}

/* --- The conversation. */

WAITS static enum err
write_gzip(void *arg, struct stream *stream)
{
    const struct tls_posting *posting = arg;

    return stream_write(stream, posting->gzip);
}

WAITS static enum err
open_stream(const struct tls_posting *posting, ipaddr addr, bool verifies, instant deadline,
            struct stream **stream, struct why *why)
{
    struct endpoint peer = { addr, posting->rua->port };
    struct tls_client_options tls = {
        .server_name = posting->rua->host,
        .verify = verifies ? TLS_VERIFY_PKIX : TLS_VERIFY_NONE,
    };
    OWN(stream) made = NULL;
    enum err e = stream_connect(&peer, NULL, deadline, &made, why);

    if (e)
        return e;
    stream_set_deadline(made, deadline);
    e = stream_start_tls_client(made, posting->context, &tls, why);
    if (e)
        return e;
    *stream = take(made);
    return OK;
}

WAITS static enum err
open_any(const struct tls_posting *posting, const struct places *places, bool verifies,
         instant deadline, struct stream **stream, struct why *why)
{
    enum err e = ERR_UNREACHABLE;

    for (size_t i = 0; i < places->count && e && e != ERR_CANCELLED; i++)
        e = open_stream(posting, places->addrs[i], verifies, deadline, stream, why);
    return e;
}

WAITS static enum err
post(struct tls_posting *posting, struct arena *arena, struct stream *stream, instant deadline,
     struct http_reply *reply)
{
    duration left = MAX(deadline - clock_steady(), SECONDS(1));
    const struct tlsrpt_rua *rua = posting->rua;
    struct http_request request = {
        .target = rua->target,
        .host = rua->host,
        .content_type = S("application/tlsrpt+gzip"),
        .content_length = posting->gzip.len,
        .write_body = write_gzip,
        .arg = posting,
        .write_timeout = left,
        .reply_timeout = left,
    };
    bool sent;

    if (rua->port != 443 &&
        !arena_printf(arena, &request.host, "%.*s:%u", STR_ARG(rua->host), rua->port))
        return ERR_LIMIT;
    return http_post(stream, &request, reply, &sent);
}

WAITS enum err
tls_report_post(const struct tls_posting *wanted, struct arena *arena,
                char answer[TLS_POSTING_TEXT_MAX])
{
    instant deadline = deadline_in(wanted->timeout); /* For all addresses, and both ways. */
    struct tls_posting posting = *wanted;
    struct http_reply reply = {};
    OWN(stream) stream = NULL;
    struct places places;
    struct why why = {};
    const char *how = "";
    enum err e = find_places(&posting, arena, &places, &why);

    if (!e)
        e = open_any(&posting, &places, true, deadline, &stream, &why);
    if (e == ERR_TLS) {
        how = ", without a certificate that holds";
        e = open_any(&posting, &places, false, deadline, &stream, &why);
    }
    if (!e)
        e = post(&posting, arena, stream, deadline, &reply);
    if (e) {
        snprintf(answer, TLS_POSTING_TEXT_MAX, "%s", why.text[0] ? why.text : err_name(e));
        return e;
    }
    snprintf(answer, TLS_POSTING_TEXT_MAX, "HTTP %u %s%s", reply.status, reply.text, how);
    return reply.status / 100 == 2 ? OK : ERR_REFUSED;
}
