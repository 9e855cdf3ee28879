/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* hello.c: EHLO and HELO: who speaks, and what we can do for them.  RFC 5321 4.1.1.1, 3.2.
 *
 * The name is taken as a claim: it goes into the trace and the events, escaped, and decides
 * nothing.
 */
#include "servers/smtp/session.h"

#include "auth/sasl.h"
#include "config/config.h"
#include "formats/date.h"
#include "runtime/clock.h"
#include "runtime/stream.h"
#include "runtime/tls.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* A name of a host or an address literal: printable, no blanks, nothing that ends a comment or a
 * quoted text in a Received field. */
static bool
hello_is_sane(str name)
{
    if (!name.len || name.len >= SESSION_HELO_MAX || !str_is_utf8(name))
        return false;
    for (size_t i = 0; i < name.len; i++) {
        if ((unsigned char)name.ptr[i] <= 0x20 || memchr("()<>\"\\;,\x7f", name.ptr[i], 9))
            return false;
    }
    return true;
}

static void
keep_hello(struct smtp_session *s, str name, bool extended)
{
    memcpy(s->helo, name.ptr, name.len);
    s->helo[name.len] = '\0';
    s->extended = extended;
    s->phase = PHASE_GREETED;
    smtp_session_reset(s);
}

enum err
smtp_helo(struct smtp_session *s, str args)
{
    if (!hello_is_sane(args))
        return smtp_reply(s, 501, "5.5.4", "That is not a host name");
    keep_hello(s, args, false);
    return smtp_reply(s, 250, "", "%s", s->config->server.hostname.ptr);
}

/* The mechanisms of the configuration; -PLUS only where there is a channel to bind to. */
static void
list_mechanisms(const struct smtp_session *s, char *list, size_t size)
{
    const struct tls_info *tls = stream_tls(s->stream);
    enum sasl_mechanism mechanism;
    size_t used = 0;

    list[0] = '\0';
    for (size_t i = 0; i < s->config->auth.mechanisms.count; i++) {
        if (!sasl_mechanism_parse(s->config->auth.mechanisms.items[i], &mechanism))
            continue;
        if (mechanism == SASL_SCRAM_SHA_256_PLUS && !(tls && tls->has_exporter))
            continue;
        used += (size_t)snprintf(list + used, size - used, " %s", sasl_mechanism_name(mechanism));
        if (used >= size)
            return;
    }
}

WAITS static enum err
offer_auth(struct smtp_session *s)
{
    char mechanisms[128];

    if (!smtp_session_offers_auth(s))
        return OK;
    list_mechanisms(s, mechanisms, sizeof(mechanisms));
    return smtp_reply_more(s, 250, "", "AUTH%s", mechanisms);
}

/* RFC 9422: the caller's own figure, once it is known who calls. */
WAITS static enum err
offer_limits(struct smtp_session *s)
{
    struct intake_peer peer;

    smtp_session_peer(s, &peer);
    return smtp_reply_more(s, 250, "", "LIMITS RCPTMAX=%u MAILMAX=%u",
                           intake_recipients_max(s->server->services, &peer),
                           s->config->smtp.messages_max);
}

/* RFC 2852, RFC 4865: with what is least and most here. */
WAITS static enum err
offer_times(struct smtp_session *s)
{
    duration min = s->config->smtp.deliver_by_min;
    char until[DATE_TEXT_MAX];
    struct intake_peer peer;
    duration max;
    enum err e;

    e = min ? smtp_reply_more(s, 250, "", "DELIVERBY %" PRId64, min / SECONDS(1))
            : smtp_reply_more(s, 250, "", "DELIVERBY");
    if (e)
        return e;
    smtp_session_peer(s, &peer);
    max = intake_hold_max(s->server->services, &peer);
    if (max == 0)
        return OK;
    date_format_rfc3339(clock_now() + max, false, until);
    return smtp_reply_more(s, 250, "", "FUTURERELEASE %" PRId64 " %s", max / SECONDS(1), until);
}

/* Encryption: to be had, or there, and then it can be asked for on the whole way (RFC 8689 2). */
WAITS static enum err
offer_encryption(struct smtp_session *s)
{
    if (stream_tls(s->stream))
        return smtp_reply_more(s, 250, "", "REQUIRETLS");
    if (s->server->tls)
        return smtp_reply_more(s, 250, "", "STARTTLS");
    return OK;
}

WAITS static enum err
offer_plain_extensions(struct smtp_session *s)
{
    static const char *const names[] = { "PIPELINING", "8BITMIME", "SMTPUTF8",
                                         "CHUNKING",   "DSN",      "MT-PRIORITY" };
    enum err e;

    for (size_t i = 0; i < COUNT_OF(names); i++) {
        e = smtp_reply_more(s, 250, "", "%s", names[i]);
        if (e)
            return e;
    }
    return smtp_reply_more(s, 250, "", "SIZE %" PRIu64, s->config->smtp.message_size_max);
}

enum err
smtp_ehlo(struct smtp_session *s, str args)
{
    enum err e;

    if (!hello_is_sane(args))
        return smtp_reply(s, 501, "5.5.4", "That is not a host name");
    keep_hello(s, args, true);
    e = smtp_reply_more(s, 250, "", "%s", s->config->server.hostname.ptr);
    if (e)
        return e;
    e = offer_plain_extensions(s);
    if (e)
        return e;
    e = offer_times(s);
    if (e)
        return e;
    e = offer_encryption(s);
    if (e)
        return e;
    e = offer_auth(s);
    if (e)
        return e;
    e = offer_limits(s);
    if (e)
        return e;
    return smtp_reply(s, 250, "", "ENHANCEDSTATUSCODES");
}
