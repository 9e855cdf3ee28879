/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* deliver.c: one attempt: brings the rows of a batch to the next hop.
 *
 * deliver_attempt() reads the envelope, sees that its way is still the right one, has a connection,
 * sends, and hands the results to settle().
 *
 * What a failure means: no connection or no service is the site's (schedule_site_failed); an answer
 * is the recipient's.  A reply of 2xx to the whole message, and nothing else, is a delivery.
 */
#include "base/must.h"
#include "delivery/classify.h"
#include "delivery/queue_inside.h"
#include "formats/address.h"
#include "protocols/smtp/client.h"
#include "protocols/smtp/reply.h"
#include "runtime/clock.h"
#include "runtime/tls.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    PASSWORD_MAX = 1024
};

/* One batch on its way. */
struct attempt {
    struct runner *runner;
    struct envelope envelope;
    struct route route;
    struct schedule_row **rows;
    size_t count;
    struct result *results;
    size_t result_count;
    instant began; /* Wall clock. */
    struct smtp_failure failure;
    struct body *body;
};

WAITS void
runner_drop_client(struct runner *runner)
{
    smtp_client_close(take(runner->client));
}

/* --- Results. */

static str
arena_text(struct arena *arena, const char *text)
{
    str copy = S("");

    if (!arena_copy(arena, str_from(text), &copy))
        return S("");
    return copy;
}

static struct result *
add_result(struct attempt *a, struct schedule_row *row, enum outcome outcome, unsigned code,
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
    };
    return result;
}

static void
all_results(struct attempt *a, enum outcome outcome, unsigned code, const char *enhanced,
            const char *text, instant not_before)
{
    a->result_count = 0;
    for (size_t i = 0; i < a->count; i++) {
        struct result *result = add_result(a, a->rows[i], outcome, code, enhanced, text);
        result->not_before = not_before;
    }
}

static enum outcome
outcome_of(unsigned code)
{
    if (code / 100 == 2)
        return OUTCOME_DELIVERED;
    return code / 100 == 5 ? OUTCOME_FAILED : OUTCOME_DEFERRED;
}

/* --- Events. */

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
    const struct tls_info *tls;

    if (!runner->client)
        return;
    ipaddr_format(smtp_client_peer(runner->client)->addr, peer);
    ipaddr_format(smtp_client_local(runner->client)->addr, local);
    event->mx = runner->client_host;
    event->mx_ip = str_from(peer);
    event->egress_ip = str_from(local);
    tls = smtp_client_tls(runner->client);
    if (!tls) {
        event->tls_verify = S("none");
        return;
    }
    event->tls_version = str_from(tls->version);
    event->tls_cipher = str_from(tls->cipher);
    event->tls_verify = tls->verified ? S("pkix") : S("opportunistic");
    if (!tls->verified)
        event->tls_why = str_from(tls->verify_text);
}

static void
record_results(const struct attempt *a)
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
        event.class = str_from(
            reply_class_name(reply_classify(result->code, event.enhanced, event.text_raw)));
        event.stage = result->outcome == OUTCOME_DELIVERED
                          ? S("")
                          : str_from(smtp_stage_name(a->failure.stage));
        events_record(runner->queue->events, &event);
    }
}

/* --- A connection. */

static str
helo_name(const struct config *config)
{
    return config->delivery.helo_name.len ? config->delivery.helo_name : config->server.hostname;
}

static const ipaddr *
source_for(const struct config *config, ipaddr peer)
{
    for (size_t i = 0; i < config->delivery.source.count; i++)
        if (ipaddr_is_v4(config->delivery.source.items[i]) == ipaddr_is_v4(peer))
            return &config->delivery.source.items[i];
    return NULL;
}

struct password_read {
    const char *path;
    char text[PASSWORD_MAX];
    ssize_t len;
};

static void
read_password_file(void *arg)
{
    struct password_read *read_it = arg;
    int fd = open(read_it->path, O_RDONLY | O_CLOEXEC);

    read_it->len = -1;
    if (fd < 0)
        return;
    read_it->len = read(fd, read_it->text, sizeof(read_it->text));
    close(fd);
}

/* The first line of the file, in the arena. */
WAITS static enum err
read_password(struct attempt *a, str *password)
{
    struct password_read *read_it = arena_new(&a->runner->arena, struct password_read);
    str line, rest;

    if (!read_it)
        return ERR_LIMIT;
    read_it->path = a->route.relay.password_file.ptr;
    offload(read_password_file, read_it);
    if (read_it->len < 0)
        return err_why(&a->failure.why, ERR_IO, "the password file %s cannot be read",
                       read_it->path);
    (void)str_split((str){ read_it->text, (size_t)read_it->len }, '\n', &line, &rest);
    *password = str_trim(line);
    return OK;
}

WAITS static enum err
fill_options(struct attempt *a, const struct route_host *host, struct smtp_client_options *options)
{
    const struct config *config = a->runner->config;
    const struct relay_target *relay = &a->route.relay;

    *options = (struct smtp_client_options){
        .peer = host->endpoint,
        .local = source_for(config, host->endpoint.addr),
        .host = host->name,
        .helo_name = helo_name(config),
        .tls = config->delivery.tls,
        .verify = RELAY_VERIFY_OFF,
        .tls_context = a->runner->queue->tls_context,
        .sasl = a->runner->queue->sasl,
        .timeouts = { config->delivery.connect_timeout, config->delivery.greeting_timeout,
                      config->delivery.command_timeout, config->delivery.data_timeout,
                      config->delivery.final_timeout },
    };
    if (a->route.kind != ROUTE_RELAY)
        return OK;
    options->lmtp = relay->kind == RELAY_LMTP;
    options->implicit_tls = relay->kind == RELAY_SMTPS;
    options->unix_path = relay->path.len ? relay->path.ptr : NULL;
    options->tls = relay->tls;
    options->verify = relay->verify;
    options->auth = relay->auth;
    options->user = relay->user;
    if (!relay->user.len)
        return OK;
    return read_password(a, &options->password);
}

/* Whether TLS of the host at ADDR was found broken a while ago; IS_NEW: it was just now. */
static bool
tls_is_broken(struct attempt *a, ipaddr addr, bool is_new)
{
    struct queue *queue = a->runner->queue;
    instant now = clock_now();
    bool broken;

    pthread_mutex_lock(&queue->lock);
    if (is_new) {
        a->runner->site->clear_until = now + HOURS(1);
        a->runner->site->clear_addr = addr;
    }
    broken = a->runner->site->clear_until > now && ipaddr_eq(a->runner->site->clear_addr, addr);
    pthread_mutex_unlock(&queue->lock);
    return broken;
}

/* One host; where TLS was only wished for and breaks, once more without it. */
WAITS static enum err
open_host(struct attempt *a, const struct route_host *host)
{
    struct runner *runner = a->runner;
    struct smtp_client_options options;
    bool may_be_clear;
    enum err e = fill_options(a, host, &options);

    if (e)
        return e;
    may_be_clear = options.tls == RELAY_TLS_MAY && options.verify != RELAY_VERIFY_ON &&
                   !options.implicit_tls && !options.user.len;
    if (may_be_clear && tls_is_broken(a, host->endpoint.addr, false))
        options.tls = RELAY_TLS_OFF;
    e = smtp_client_open(&options, &runner->client, &a->failure);
    if (e == ERR_TLS && may_be_clear) {
        options.tls = RELAY_TLS_OFF;
        e = smtp_client_open(&options, &runner->client, &a->failure);
        if (!e)
            (void)tls_is_broken(a, host->endpoint.addr, true);
    }
    if (e)
        return e;
    runner->client_host = str_head(host->name, sizeof(runner->client_host_text));
    memcpy(runner->client_host_text, runner->client_host.ptr, runner->client_host.len);
    runner->client_host.ptr = runner->client_host_text;
    runner->client_site = runner->site;
    return OK;
}

WAITS static enum err
open_any(struct attempt *a, const struct route_hosts *hosts)
{
    enum err e = ERR_UNREACHABLE;

    for (size_t i = 0; i < hosts->count; i++) {
        e = open_host(a, &hosts->hosts[i]);
        if (!e || e == ERR_CANCELLED)
            return e;
    }
    return e;
}

/* "mx.example.org [192.0.2.1]" */
static const char *
remote_name(struct attempt *a)
{
    struct runner *runner = a->runner;
    char addr[IPADDR_TEXT_MAX];
    str text = S("");

    if (!runner->client)
        return "";
    ipaddr_format(smtp_client_peer(runner->client)->addr, addr);
    if (!arena_printf(&runner->arena, &text, "%.*s [%s]", STR_ARG(runner->client_host), addr))
        return "";
    return text.ptr;
}

/* No connection could be had: the site pauses.  Returns until when. */
static instant
pause_site(struct attempt *a)
{
    struct queue *queue = a->runner->queue;
    instant until;

    pthread_mutex_lock(&queue->lock);
    until = schedule_site_failed(&queue->schedule, a->runner->site, str_from(a->failure.why.text),
                                 clock_now());
    pthread_mutex_unlock(&queue->lock);
    return until;
}

static void
connection_failed(struct attempt *a)
{
    struct arena *arena = &a->runner->arena;
    const struct smtp_failure *failure = &a->failure;

    all_results(a, OUTCOME_DEFERRED, failure->answer.code,
                arena_text(arena, failure->answer.enhanced).ptr,
                arena_text(arena, failure->why.text).ptr, pause_site(a));
    record_results(a);
}

/* The DNS says that there is no host, or says nothing.  A site that this domain only shares is not
 * to blame. */
static void
no_host(struct attempt *a, const struct route_answer *answer)
{
    struct arena *arena = &a->runner->arena;
    bool own_site = strcmp(a->runner->site->key, a->runner->batch.target->key) == 0;
    instant until = 0;

    (void)err_why(&a->failure.why, OK, "%s", answer->text);
    if (answer->code / 100 == 4 && own_site)
        until = pause_site(a);
    all_results(a, outcome_of(answer->code), answer->code, arena_text(arena, answer->enhanced).ptr,
                arena_text(arena, answer->text).ptr, until);
    record_results(a);
}

/* Under the lock: the rows of the attempt become ready again at the site where they belong. */
static void
give_back(struct attempt *a)
{
    for (size_t i = a->count; i > 0; i--)
        schedule_row_return(&a->runner->queue->schedule, a->rows[i - 1], clock_now());
    a->count = 0;
}

/* The target's hosts are known now: go on at the site that has them.  False when the rows were
 * given to others. */
static bool
enter_site(struct attempt *a, const struct route_hosts *hosts)
{
    struct runner *runner = a->runner;
    struct queue *queue = runner->queue;
    struct schedule_site *site;
    bool joined = true;

    pthread_mutex_lock(&queue->lock);
    site = schedule_bind(&queue->schedule, runner->batch.target, str_from(hosts->site));
    if (site != runner->site) {
        joined = list_is_empty(&site->idle) && schedule_site_join(&queue->schedule, site);
        if (joined) {
            schedule_site_release(&queue->schedule, runner->site);
            runner->site = site;
        } else {
            give_back(a);
            queue_feed_idle(queue, site);
        }
    }
    pthread_mutex_unlock(&queue->lock);
    return joined;
}

/* A connection for the batch, the kept one or a new one.  False: there is none, and the results say
 * why. */
WAITS static bool
have_connection(struct attempt *a)
{
    struct runner *runner = a->runner;
    struct queue *queue = runner->queue;
    struct route_self self;
    struct route_hosts hosts;
    enum err e;

    if (runner->client && runner->client_site == runner->site)
        return true;
    runner_drop_client(runner);
    queue_self(queue, runner->config, &self);
    e = route_find_hosts(runner->config, &self, &runner->arena, &a->route,
                         queue->seed ^ (uint64_t)clock_steady(), &hosts);
    if (!e && hosts.answer.code) {
        no_host(a, &hosts.answer);
        return false;
    }
    if (!e && !enter_site(a, &hosts))
        return false;
    if (!e)
        e = open_any(a, &hosts);
    if (!e)
        return true;
    if (e == ERR_CANCELLED)
        return false;
    connection_failed(a);
    return false;
}

/* --- A message through it. */

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
        return arena_text(&a->runner->arena, a->failure.why.text).ptr;
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
        result = add_result(a, row, OUTCOME_DEFERRED, failure->answer.code,
                            arena_text(&a->runner->arena, failure->answer.enhanced).ptr,
                            failure_text(a));
        result->remote = remote;
        return;
    }
    outcome = outcome_of(answer->code);
    /* Only the answer to the whole message can be a delivery. */
    if (outcome == OUTCOME_DELIVERED && recipient->stage != SMTP_STAGE_FINAL)
        outcome = OUTCOME_DEFERRED;
    result = add_result(a, row, outcome, answer->code, answer->enhanced, answer->text);
    result->remote = remote;
    result->relayed =
        outcome == OUTCOME_DELIVERED && !smtp_client_capabilities(a->runner->client)->dsn;
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
        .recipients = recipients,
        .recipient_count = count,
        .arena = &runner->arena,
        .content = body_view(a->body),
        .read = read_body,
        .arg = a,
    };
    const char *remote = remote_name(a);
    enum err e;

    if (!recipients)
        return ERR_LIMIT;
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

/* Rows without a result: nothing was tried with them. */
static void
return_untried(struct attempt *a)
{
    struct queue *queue = a->runner->queue;
    instant now = clock_now();

    pthread_mutex_lock(&queue->lock);
    for (size_t i = a->result_count; i < a->count; i++)
        schedule_row_return(&queue->schedule, a->rows[i], now);
    pthread_mutex_unlock(&queue->lock);
    a->count = a->result_count;
}

/* Too many at once, it says (RFC 5321 4.5.3.1.10): the others can come at once.  Every row of the
 * attempt has a result. */
static void
return_surplus(struct attempt *a)
{
    struct queue *queue = a->runner->queue;
    bool any_taken = false;
    size_t kept = 0;

    for (size_t i = 0; i < a->result_count; i++)
        any_taken = any_taken || a->results[i].outcome == OUTCOME_DELIVERED;
    if (!any_taken)
        return;
    for (size_t i = 0; i < a->result_count; i++) {
        struct result *result = &a->results[i];
        if (result->code == 452 && strcmp(result->enhanced, "4.5.3") == 0) {
            pthread_mutex_lock(&queue->lock);
            schedule_row_return(&queue->schedule, result->row, clock_now());
            pthread_mutex_unlock(&queue->lock);
        } else {
            a->results[kept++] = *result;
        }
    }
    a->count = a->result_count = kept;
}

static void
tell_site(struct attempt *a, enum err e)
{
    struct runner *runner = a->runner;
    struct queue *queue = runner->queue;
    instant until = 0;

    pthread_mutex_lock(&queue->lock);
    if (!e)
        schedule_site_succeeded(&queue->schedule, runner->site);
    else if (e != ERR_CANCELLED && e != ERR_CORRUPT && e != ERR_IO && e != ERR_LIMIT)
        until = schedule_site_failed(&queue->schedule, runner->site, str_from(a->failure.why.text),
                                     clock_now());
    pthread_mutex_unlock(&queue->lock);
    for (size_t i = 0; i < a->result_count; i++)
        if (a->results[i].outcome == OUTCOME_DEFERRED)
            a->results[i].not_before = until;
}

/* A kept connection may have been closed by the peer before our first word came: that is no
 * failure, and is told by *FRESH_WANTED. */
WAITS static enum err
send_all(struct attempt *a, bool *fresh_wanted)
{
    struct runner *runner = a->runner;
    uint64_t offered = smtp_client_capabilities(runner->client)->rcpt_max;
    size_t max = offered ? (size_t)MIN(offered, (uint64_t)a->count) : a->count;
    bool kept = smtp_client_sent(runner->client) > 0;
    bool utf8 = needs_utf8(a);
    enum err e = OK;

    *fresh_wanted = false;
    for (size_t first = 0; !e && first < a->count; first += max) {
        size_t count = MIN(max, a->count - first);
        if (first > 0 && !smtp_client_is_usable(runner->client))
            break;
        e = send_some(a, first, count, utf8);
        *fresh_wanted = kept && first == 0 && e && e != ERR_CANCELLED && a->failure.silent;
    }
    return e;
}

WAITS static enum err
deliver_remote(struct attempt *a)
{
    bool fresh_wanted = false;
    enum err e;

    if (!have_connection(a))
        return a->count > 0 && a->result_count == 0 ? ERR_CANCELLED : OK;
    e = send_all(a, &fresh_wanted);
    if (fresh_wanted) {
        runner_drop_client(a->runner);
        if (!have_connection(a))
            return a->count > 0 && a->result_count == 0 ? ERR_CANCELLED : OK;
        e = send_all(a, &fresh_wanted);
    }
    if (e && a->failure.silent && e != ERR_CANCELLED && a->result_count == 0)
        all_results(a, OUTCOME_DEFERRED, 0, "",
                    arena_text(&a->runner->arena, a->failure.why.text).ptr, 0);
    tell_site(a, e);
    record_results(a);
    return_untried(a);
    return_surplus(a);
    if (e)
        runner_drop_client(a->runner);
    return e;
}

/* --- An attempt. */

/* Rows whose way is another one by now (a changed configuration, a new alias) go there. */
static enum err
check_ways(struct attempt *a)
{
    struct runner *runner = a->runner;
    struct queue *queue = runner->queue;
    str wanted = str_from(runner->batch.target->key);
    size_t kept = 0;
    size_t i = 0;
    enum err e = OK;

    for (; i < a->count; i++) {
        struct route route;
        e = route_choose(runner->config, queue->accounts, &runner->arena,
                         a->envelope.recipients[a->rows[i]->index].address,
                         a->envelope.reverse_path, &route);
        if (e)
            break;
        if (str_eq(str_from(route.key), wanted)) {
            a->route = route;
            a->rows[kept++] = a->rows[i];
            continue;
        }
        pthread_mutex_lock(&queue->lock);
        schedule_row_move(&queue->schedule, a->rows[i], str_from(route.key), clock_now());
        pthread_mutex_unlock(&queue->lock);
        queue_ring(queue);
    }
    while (i < a->count)
        a->rows[kept++] = a->rows[i++];
    a->count = kept;
    return e;
}

WAITS static enum err
load(struct attempt *a)
{
    struct runner *runner = a->runner;
    struct queue *queue = runner->queue;
    msgid id = runner->batch.message->id;
    str bytes;
    enum err e = spool_get(queue->spool, id, &runner->arena, &bytes, NULL, NULL);

    if (!e)
        e = envelope_decode(bytes, &runner->arena, &a->envelope);
    if (!e)
        e = body_open(queue->spool, id, &a->body);
    a->envelope.id = id;
    return e;
}

WAITS static void
run_attempt(struct attempt *a)
{
    enum err e = check_ways(a);

    if (e) {
        all_results(a, OUTCOME_DEFERRED, 451, "4.3.0", "Too little memory to find its way", 0);
        return;
    }
    if (a->count == 0)
        return;
    switch (a->route.kind) {
    case ROUTE_NONE:
        all_results(a, outcome_of(a->route.answer.code), a->route.answer.code,
                    a->route.answer.enhanced, a->route.answer.text, 0);
        record_results(a);
        return;
    case ROUTE_LOCAL:
        local_deliver(a->runner, &a->envelope, a->body, a->rows, a->count, a->results);
        a->result_count = a->count;
        record_results(a);
        return;
    case ROUTE_MX:
    case ROUTE_RELAY:
        e = deliver_remote(a);
        return_untried(a);
        return;
    }
}

WAITS void
deliver_attempt(struct runner *runner)
{
    struct schedule_batch *batch = &runner->batch;
    struct attempt *a;
    struct link *link;
    enum err e;

    arena_clear(&runner->arena);
    a = arena_new(&runner->arena, struct attempt);
    must(a);
    *a = (struct attempt){ .runner = runner, .began = clock_now() };
    a->rows = arena_new_array(&runner->arena, struct schedule_row *, batch->count);
    a->results = arena_new_array(&runner->arena, struct result, batch->count);
    must(a->rows && a->results);
    while ((link = list_pop(&batch->rows)))
        a->rows[a->count++] = CONTAINER_OF(link, struct schedule_row, link);
    e = load(a);
    if (e == ERR_NOT_FOUND)
        all_results(a, OUTCOME_DELETED, 0, "", "it is not in the spool any more", 0);
    else if (e)
        all_results(a, OUTCOME_DEFERRED, 451, "4.3.0", "The stored message cannot be read", 0);
    else
        run_attempt(a);
    if (a->result_count > 0)
        settle(runner->loop, batch->message, e ? NULL : &a->envelope, a->results, a->result_count);
    body_close(a->body);
}
