/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* http.c: an attempt whose next hop is a web service: one POST with the message and its envelope.
 *
 * As JSON: {"id", "received_at", "sender", "recipients", "account", "lane", "size", "message"},
 * with the message in base64.  Raw: the message itself, and Outpost-Id, Outpost-Sender and one
 * Outpost-Recipient for each recipient in the header fields.  The answer is every recipient's.
 * Start reading at http_deliver().
 */
#include "delivery/attempt.h"
#include "formats/base64.h"
#include "formats/json.h"
#include "mail/lane.h"
#include "protocols/http/client.h"
#include "runtime/clock.h"
#include "runtime/egress.h"
#include "runtime/stream.h"
#include "runtime/tls.h"

#include <stdio.h>
#include <string.h>

enum {
    BLOCK = 3 * 8192, /* Base64 takes threes. */
    FIELDS_MAX = 8 << 20
};

struct posting {
    struct attempt *a;
    struct buf before; /* Of JSON, what stands before and after the message. */
    struct buf fields;
    struct buf block; /* Base64 of one block. */
    char *bytes;
    bool raw;
};

/* --- The request. */

static uint64_t
base64_size(uint64_t size)
{
    return (size + 2) / 3 * 4;
}

/* Everything up to the quote before the message; the object stays open. */
static void
write_envelope(struct attempt *a, struct buf *out)
{
    const struct envelope *envelope = &a->envelope;
    struct json_writer writer;
    char id[MSGID_TEXT_SIZE + 1];

    msgid_format(envelope->id, id);
    json_writer_init(&writer, out);
    json_begin_object(&writer, NULL);
    json_put_text(&writer, "id", str_from(id));
    json_put_time(&writer, "received_at", envelope->received_at);
    json_put_text(&writer, "sender", envelope->reverse_path);
    json_begin_array(&writer, "recipients");
    for (size_t i = 0; i < a->count; i++)
        json_put_text(&writer, NULL, envelope->recipients[a->rows[i]->index].address);
    json_end_array(&writer);
    json_put_text(&writer, "account", envelope->account);
    json_put_text(&writer, "lane", str_from(lane_name(envelope->lane)));
    json_put_int(&writer, "size", (int64_t)body_size(a->body));
    buf_add(out, S(",\"message\":\""));
}

/* A field takes printable ASCII: the rest, and %, as %XX. */
static void
add_field(struct buf *out, const char *name, str value)
{
    buf_addf(out, "%s: ", name);
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.ptr[i];
        if (c <= 0x20 || c >= 0x7f || c == '%')
            buf_addf(out, "%%%02X", c);
        else
            buf_add_byte(out, (char)c);
    }
    buf_add(out, S("\r\n"));
}

static void
add_login(const struct smtp_client_options *options, str secret, struct buf *fields)
{
    struct buf plain;

    if (!secret.len)
        return;
    if (!options->user.len) {
        buf_addf(fields, "Authorization: Bearer %.*s\r\n", STR_ARG(secret));
        return;
    }
    buf_init(&plain, 4096);
    buf_addf(&plain, "%.*s:%.*s", STR_ARG(options->user), STR_ARG(secret));
    buf_add(fields, S("Authorization: Basic "));
    base64_encode(buf_str(&plain), fields);
    buf_add(fields, S("\r\n"));
    buf_done(&plain);
}

static void
add_fields(struct posting *posting)
{
    struct attempt *a = posting->a;
    char id[MSGID_TEXT_SIZE + 1];

    msgid_format(a->envelope.id, id);
    add_field(&posting->fields, "Outpost-Id", str_from(id));
    if (!posting->raw)
        return;
    add_field(&posting->fields, "Outpost-Sender", a->envelope.reverse_path);
    for (size_t i = 0; i < a->count; i++)
        add_field(&posting->fields, "Outpost-Recipient",
                  a->envelope.recipients[a->rows[i]->index].address);
}

WAITS static enum err
write_message(struct posting *posting, struct stream *stream)
{
    uint64_t offset = 0;
    uint64_t size = body_size(posting->a->body);
    enum err e = OK;

    while (!e && offset < size) {
        size_t want = (size_t)MIN(size - offset, (uint64_t)BLOCK);
        size_t have = 0, got = 0;
        /* Whole blocks, so that only the last one is padded. */
        for (; !e && have < want; have += got) {
            e = body_read(posting->a->body, offset + have, posting->bytes + have, want - have,
                          &got);
            if (!e && got == 0)
                e = ERR_CORRUPT;
        }
        if (e)
            break;
        buf_clear(&posting->block);
        if (!posting->raw)
            base64_encode((str){ posting->bytes, want }, &posting->block);
        e = stream_write(stream,
                         posting->raw ? (str){ posting->bytes, want } : buf_str(&posting->block));
        offset += want;
    }
    return e;
}

WAITS static enum err
write_body(void *arg, struct stream *stream)
{
    struct posting *posting = arg;
    enum err e = OK;

    if (!posting->raw)
        e = stream_write(stream, buf_str(&posting->before));
    if (!e)
        e = write_message(posting, stream);
    if (!e && !posting->raw)
        e = stream_write(stream, S("\"}"));
    return e;
}

/* --- The answer. */

/* What STATUS is in the words of SMTP.  What only says that the configuration or the service is not
 * right now is no reason to return mail. */
static const char *
translate(unsigned status, unsigned *code)
{
    /* clang-format off */
    static const struct {
        unsigned status, code;
        const char *enhanced;
    } known[] = {
        { 401, 451, "4.7.0" }, { 403, 451, "4.7.0" }, { 404, 451, "4.3.5" }, { 405, 451, "4.3.5" },
        { 407, 451, "4.7.0" }, { 408, 451, "4.4.2" }, { 410, 550, "5.1.2" }, { 413, 552, "5.3.4" },
        { 415, 451, "4.3.5" }, { 421, 451, "4.3.2" }, { 425, 451, "4.3.2" }, { 429, 451, "4.7.0" },
        { 507, 452, "4.3.1" },
    };
    /* clang-format on */

    for (size_t i = 0; i < COUNT_OF(known); i++)
        if (known[i].status == status) {
            *code = known[i].code;
            return known[i].enhanced;
        }
    *code = status / 100 == 2 ? 250 : status / 100 == 4 ? 554 : 451;
    return *code == 250 ? "2.0.0" : *code == 554 ? "5.6.0" : "4.3.0";
}

static const char *
remote_name(struct attempt *a, const struct route_host *host)
{
    char addr[IPADDR_TEXT_MAX];
    str text = S("");

    ipaddr_format(host->endpoint.addr, addr);
    if (!arena_printf(&a->runner->arena, &text, "%.*s [%s]", STR_ARG(host->name), addr))
        return "";
    return text.ptr;
}

/* The site pauses: as long as the service wants, or as after any failure. */
static instant
pause_site(struct attempt *a, const struct http_reply *reply)
{
    struct queue *queue = a->runner->queue;
    struct schedule_site *site = a->runner->site;
    str reason = str_from(a->failure.why.text);
    instant now = clock_now();
    instant until;

    pthread_mutex_lock(&queue->lock);
    if (reply->retry_after)
        schedule_site_pause(&queue->schedule, site, SCOPE_SITE, now + reply->retry_after, reason);
    until = reply->retry_after ? now + reply->retry_after
                               : schedule_site_failed(&queue->schedule, site, reason, now);
    pthread_mutex_unlock(&queue->lock);
    return until;
}

static void
answered(struct attempt *a, const struct route_host *host, const struct http_reply *reply)
{
    struct arena *arena = &a->runner->arena;
    struct queue *queue = a->runner->queue;
    instant until = 0;
    str text = S("");
    const char *enhanced;
    unsigned code;

    enhanced = translate(reply->status, &code);
    (void)arena_printf(arena, &text, "HTTP %u %s", reply->status, reply->text);
    (void)err_why(&a->failure.why, OK, "%.*s", STR_ARG(text));
    a->failure.stage = SMTP_STAGE_FINAL;
    if (reply->status == 429 || reply->status / 100 == 5) {
        until = pause_site(a, reply);
    } else {
        pthread_mutex_lock(&queue->lock);
        schedule_site_succeeded(&queue->schedule, a->runner->site, clock_now());
        pthread_mutex_unlock(&queue->lock);
    }
    attempt_all_results(a, attempt_outcome_of(code), code, enhanced, text.ptr, until);
    for (size_t i = 0; i < a->result_count; i++) {
        a->results[i].remote = remote_name(a, host);
        a->results[i].relayed = code == 250 ? RELAYED_WITHOUT_DSN : 0;
    }
    attempt_record(a);
}

/* --- The conversation. */

WAITS static enum err
open_stream(struct attempt *a, const struct smtp_client_options *options, struct stream **stream)
{
    struct tls_client_options tls = {
        .server_name = options->host,
        .verify = options->verify == RELAY_VERIFY_ON ? TLS_VERIFY_PKIX : TLS_VERIFY_NONE,
    };
    OWN(stream) made = NULL;
    instant deadline = deadline_in(options->timeouts.connect);
    struct why *why = &a->failure.why;
    enum err e;

    a->failure = (struct smtp_failure){ .stage = SMTP_STAGE_CONNECT };
    e = options->egress ? egress_connect(options->egress, &options->peer, deadline, &made, why)
                        : stream_connect(&options->peer, options->local, deadline, &made, why);
    if (!e && a->route.relay.kind == RELAY_HTTPS) {
        a->failure.stage = SMTP_STAGE_TLS;
        stream_set_deadline(made, deadline_in(options->timeouts.greeting));
        e = stream_start_tls_client(made, options->tls_context, &tls, why);
    }
    if (e)
        return e;
    *stream = take(made);
    return OK;
}

WAITS static enum err
post(struct posting *posting, const struct smtp_client_options *options, struct stream *stream,
     struct http_reply *reply)
{
    struct attempt *a = posting->a;
    const struct relay_target *relay = &a->route.relay;
    uint64_t size = body_size(a->body);
    bool usual = relay->port == (relay->kind == RELAY_HTTPS ? 443 : 80);
    bool v6 = str_find(relay->host, ':') >= 0;
    struct http_request request = {
        .target = relay->path,
        .content_type = posting->raw ? S("message/rfc822") : S("application/json"),
        .fields = buf_str(&posting->fields),
        .content_length = posting->raw ? size : posting->before.len + base64_size(size) + 2,
        .write_body = write_body,
        .arg = posting,
        .write_timeout = options->timeouts.data,
        .reply_timeout = options->timeouts.final,
    };
    bool sent;
    enum err e;

    if (!arena_printf(&a->runner->arena, &request.host, "%s%.*s%s", v6 ? "[" : "",
                      STR_ARG(relay->host), v6 ? "]" : "") ||
        (!usual && !arena_printf(&a->runner->arena, &request.host, "%s%.*s%s:%u", v6 ? "[" : "",
                                 STR_ARG(relay->host), v6 ? "]" : "", relay->port)) ||
        !buf_ok(&posting->fields) || !buf_ok(&posting->before))
        return ERR_LIMIT;
    a->failure.stage = SMTP_STAGE_BODY;
    e = http_post(stream, &request, reply, &sent);
    if (e)
        (void)err_why(&a->failure.why, e, "the web service: %s%s", err_name(e),
                      sent ? " after the whole message was sent; it may arrive twice" : "");
    return e;
}

/* To the first host that takes the connection. */
WAITS static enum err
post_to_any(struct posting *posting, const struct route_hosts *hosts, struct http_reply *reply,
            const struct route_host **host)
{
    enum err e = ERR_UNREACHABLE;

    for (size_t i = 0; i < hosts->count; i++) {
        struct smtp_client_options options;
        OWN(stream) stream = NULL;
        *host = &hosts->hosts[i];
        e = attempt_fill_options(posting->a, *host, i + 1 == hosts->count, &options);
        if (e)
            return e;
        e = open_stream(posting->a, &options, &stream);
        if (e == ERR_CANCELLED)
            return e;
        if (e)
            continue;
        buf_clear(&posting->fields);
        add_login(&options, options.password, &posting->fields);
        add_fields(posting);
        return post(posting, &options, stream, reply);
    }
    return e;
}

WAITS enum err
http_deliver(struct attempt *a)
{
    struct posting posting = { .a = a, .raw = a->route.rule && a->route.rule->format == HTTP_RAW };
    const struct route_host *host = NULL;
    struct http_reply reply = {};
    struct route_hosts hosts;
    enum err e;

    if (!attempt_find_hosts(a, &hosts))
        return a->count > 0 && a->result_count == 0 ? ERR_CANCELLED : OK;
    posting.bytes = arena_alloc(&a->runner->arena, BLOCK);
    if (!posting.bytes)
        return ERR_LIMIT;
    buf_init(&posting.before, FIELDS_MAX);
    buf_init(&posting.fields, FIELDS_MAX);
    buf_init(&posting.block, (size_t)BLOCK * 2);
    write_envelope(a, &posting.before);
    e = post_to_any(&posting, &hosts, &reply, &host);
    buf_done(&posting.before);
    buf_done(&posting.fields);
    buf_done(&posting.block);
    if (!e)
        answered(a, host, &reply);
    else if (e != ERR_CANCELLED)
        attempt_not_connected(a, e);
    return e == ERR_CANCELLED ? e : OK;
}
