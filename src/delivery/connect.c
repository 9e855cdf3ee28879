/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* connect.c: a connection for an attempt: the hosts of its way, the address it leaves from, what is
 * said at the door (TLS, a password), one host after the other.
 *
 * attempt_connect() is the story.  No connection or no service is the site's failure
 * (schedule_site_failed), not the recipient's.
 */
#include "base/must.h"
#include "delivery/attempt.h"
#include "runtime/clock.h"
#include "runtime/egress.h"
#include "runtime/stream.h"
#include "runtime/tls.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    PASSWORD_MAX = 1024,
    WAITING_BLOCK = 64,
    WAITING_MAX = 100000 /* Rows that one failure moves to another way. */
};

WAITS void
runner_drop_client(struct runner *runner)
{
    smtp_client_close(take(runner->client));
}

static str
helo_name(const struct attempt *a)
{
    const struct config *config = a->runner->config;

    if (a->route.source && a->route.source->helo_name.len)
        return a->route.source->helo_name;
    return config->delivery.helo_name.len ? config->delivery.helo_name : config->server.hostname;
}

/* The address to connect from; NULL: any. */
static const ipaddr *
local_for(const struct attempt *a, ipaddr peer)
{
    const struct config_source *source = a->route.source;
    const struct config_addrs *addrs =
        source ? &source->address : &a->runner->config->delivery.source;

    for (size_t i = 0; i < addrs->count; i++)
        if (ipaddr_is_v4(addrs->items[i]) == ipaddr_is_v4(peer))
            return &addrs->items[i];
    return NULL;
}

static str
source_name(const struct attempt *a)
{
    return a->route.source ? a->route.source->name : S("");
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

/* The first line of the file FROM, in the arena. */
WAITS static enum err
read_password(struct attempt *a, str from, str *password)
{
    struct password_read *read_it = arena_new(&a->runner->arena, struct password_read);
    str line, rest;

    if (!read_it)
        return ERR_LIMIT;
    read_it->path = from.ptr;
    offload(read_password_file, read_it);
    if (read_it->len < 0)
        return err_why(&a->failure.why, ERR_IO, "the password file %s cannot be read",
                       read_it->path);
    (void)str_split((str){ read_it->text, (size_t)read_it->len }, '\n', &line, &rest);
    *password = str_trim(line);
    return OK;
}

/* The proxy of the source, if it has one; not towards a socket of this machine. */
WAITS static enum err
choose_egress(struct attempt *a, struct smtp_client_options *options)
{
    const struct config_source *source = a->route.source;
    struct egress *egress;

    if (!source || !(source->socks5.count + source->proxy.count) || options->unix_path)
        return OK;
    egress = arena_new(&a->runner->arena, struct egress);
    if (!egress)
        return ERR_LIMIT;
    *egress = (struct egress){
        .kind = source->socks5.count ? EGRESS_SOCKS5 : EGRESS_PROXY,
        .proxy = source->socks5.count ? source->socks5.items[0] : source->proxy.items[0],
        .from = options->local,
        .user = source->username,
    };
    options->egress = egress;
    return source->username.len ? read_password(a, source->password_file, &egress->password) : OK;
}

WAITS static enum err
fill_options(struct attempt *a, const struct route_host *host, struct smtp_client_options *options)
{
    const struct config *config = a->runner->config;
    const struct relay_target *relay = &a->route.relay;

    *options = (struct smtp_client_options){
        .peer = host->endpoint,
        .local = local_for(a, host->endpoint.addr),
        .host = host->name,
        .helo_name = helo_name(a),
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
    options->unix_path = relay->path.len && !relay->host.len ? relay->path.ptr : NULL;
    options->tls = relay->tls;
    options->verify = relay->verify;
    options->auth = relay->auth;
    options->user = relay->user;
    if (!relay->user.len && !(relay_is_http(relay) && relay->password_file.len))
        return OK;
    return read_password(a, relay->password_file, &options->password);
}

/* How long a host may take to answer: hosts that are silent keep slots, and with many of them
 * others would wait for nothing. */
static duration
connect_timeout(struct attempt *a, bool is_last)
{
    const struct config_delivery *delivery = &a->runner->config->delivery;
    struct queue *queue = a->runner->queue;
    duration timeout = delivery->connect_timeout;
    bool is_busy;

    pthread_mutex_lock(&queue->lock);
    is_busy = schedule_is_busy(&queue->schedule);
    pthread_mutex_unlock(&queue->lock);
    if (!is_last)
        timeout = MIN(timeout, delivery->next_address_timeout);
    return is_busy ? MIN(timeout, delivery->busy_connect_timeout) : timeout;
}

WAITS enum err
attempt_fill_options(struct attempt *a, const struct route_host *host, bool is_last,
                     struct smtp_client_options *options)
{
    enum err e = fill_options(a, host, options);

    if (!e)
        e = choose_egress(a, options);
    if (!e)
        options->timeouts.connect = connect_timeout(a, is_last);
    return e;
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

static void
keep_client(struct attempt *a, const struct route_host *host)
{
    struct runner *runner = a->runner;

    runner->client_host = str_head(host->name, sizeof(runner->client_host_text));
    memcpy(runner->client_host_text, runner->client_host.ptr, runner->client_host.len);
    runner->client_host.ptr = runner->client_host_text;
    runner->client_site = runner->site;
    runner->client_secure = a->outcome;
}

/* As the plan of the attempt says; where TLS was only wished for and breaks, once more without it.
 */
WAITS static enum err
open_client(struct attempt *a, const struct route_host *host, struct smtp_client_options *options,
            struct smtp_failure *broken)
{
    struct smtp_client **client = &a->runner->client;
    bool may_be_clear = options->tls == RELAY_TLS_MAY && options->verify != RELAY_VERIFY_ON &&
                        !options->implicit_tls && !options->user.len;
    enum err e;

    if (may_be_clear && tls_is_broken(a, host->endpoint.addr, false))
        options->tls = RELAY_TLS_OFF;
    e = smtp_client_open(options, client, &a->failure);
    if (e == ERR_TLS && a->failure.resuming) /* An old session is no proof of broken TLS. */
        e = smtp_client_open(options, client, &a->failure);
    if (e == ERR_TLS && may_be_clear) {
        *broken = a->failure;
        options->tls = RELAY_TLS_OFF;
        e = smtp_client_open(options, client, &a->failure);
        if (!e)
            (void)tls_is_broken(a, host->endpoint.addr, true);
    }
    return e;
}

static enum err
refuse_host(struct attempt *a)
{
    a->failure = (struct smtp_failure){ .stage = SMTP_STAGE_TLS };
    return err_why(&a->failure.why, ERR_TLS, "%s", a->plan.why);
}

/* RFC 3463 3.8 and its registry: what a failure of TLS is called. */
static void
name_failure(struct attempt *a)
{
    struct smtp_answer *answer = &a->failure.answer;
    bool is_no_tls = a->outcome.result == SECURE_STARTTLS_NOT_SUPPORTED;

    if (answer->code || a->outcome.result == SECURE_FINE || a->outcome.result == SECURE_NO_SESSION)
        return;
    if (!a->plan.refused && a->plan.enforced > SECURE_MAY) {
        size_t len = strlen(a->failure.why.text);
        (void)snprintf(a->failure.why.text + len, sizeof(a->failure.why.text) - len, "; %s",
                       a->plan.why);
    }
    memcpy(answer->enhanced, is_no_tls ? "4.7.10" : "4.7.5", sizeof("4.7.5") + is_no_tls);
}

/* The client refuses what proves too little; should it ever not, nothing goes there either. */
WAITS static enum err
refuse_weak(struct attempt *a)
{
    if (secure_is_enough(&a->outcome, &a->plan))
        return OK;
    runner_drop_client(a->runner);
    a->failure = (struct smtp_failure){ .stage = SMTP_STAGE_TLS };
    return err_why(&a->failure.why, ERR_TLS, "TLS with %.*s proved too little",
                   STR_ARG(str_head(a->plan.host, 120)));
}

/* One host, as its plan says.  However it ends, secure_conclude() says what came of the plan. */
WAITS static enum err
open_host(struct attempt *a, const struct route_host *host, bool is_last)
{
    struct smtp_failure *broken = arena_new(&a->runner->arena, struct smtp_failure);
    struct smtp_client_options options;
    enum err e = attempt_fill_options(a, host, is_last, &options);

    if (!broken)
        return ERR_LIMIT;
    *broken = (struct smtp_failure){};
    if (!e)
        e = attempt_secure(a, host, &options, &a->plan);
    if (e)
        return e;
    a->is_disowned = a->is_disowned && a->plan.refused && a->plan.by == SECURE_BY_STS;
    e = a->plan.refused ? refuse_host(a) : open_client(a, host, &options, broken);
    if (e == ERR_CANCELLED)
        return e;
    if (!e)
        e = require_check(a);
    if (e)
        runner_drop_client(a->runner);
    secure_conclude(a, &a->plan, host, broken->why.text[0] ? broken : NULL, &a->outcome);
    attempt_note_tls(a, broken->why.text[0] ? broken : &a->failure);
    if (!e && a->route.kind == ROUTE_MX)
        e = refuse_weak(a);
    if (!e)
        keep_client(a, host);
    else
        name_failure(a);
    return e;
}

/* --- Address families. */

/* Whether this machine has a way to IPv6 addresses out there; asked anew every minute. */
static bool
machine_has_six(struct queue *queue, instant now)
{
    static const uint8_t anywhere[16] = { 0x20, 0x01, 0x05, 0x03, 0xba, 0x3e, [15] = 0x30 };

    if (queue->six_asked_at + MINUTES(1) <= now) {
        queue->six_asked_at = now;
        queue->has_six = stream_has_way_to(ipaddr_from_v6(anywhere));
    }
    return queue->has_six;
}

/* Global unicast addresses are 2000::/3. */
static bool
is_out_there(ipaddr addr)
{
    return !ipaddr_is_v4(addr) && (addr.bytes[0] & 0xe0) == 0x20;
}

/* Addresses that will hardly answer come last: those of a family that is broken at this site, or
 * that this machine does not have. */
static void
sort_by_family(struct attempt *a, struct route_hosts *hosts)
{
    struct queue *queue = a->runner->queue;
    str site = str_from(a->runner->site->key);
    struct route_host *late = arena_new_array(&a->runner->arena, struct route_host, hosts->count);
    size_t late_count = 0;
    size_t kept = 0;
    instant now = clock_now();
    bool broken[2], has_six, is_out;
    ipaddr out;

    if (!late || hosts->count < 2)
        return;
    pthread_mutex_lock(&queue->lock);
    broken[0] = families_is_broken(&queue->families, site, false, now);
    broken[1] = families_is_broken(&queue->families, site, true, now);
    has_six = machine_has_six(queue, now);
    is_out = a->runner->site->out_until > now;
    out = a->runner->site->out_addr;
    pthread_mutex_unlock(&queue->lock);
    for (size_t i = 0; i < hosts->count; i++) {
        ipaddr addr = hosts->hosts[i].endpoint.addr;
        if (broken[ipaddr_is_v4(addr)] || (!has_six && is_out_there(addr)) ||
            (is_out && ipaddr_eq(addr, out)))
            late[late_count++] = hosts->hosts[i];
        else
            hosts->hosts[kept++] = hosts->hosts[i];
    }
    for (size_t i = 0; i < late_count; i++)
        hosts->hosts[kept++] = late[i];
}

/* FOUR is the family that let us in; FAILED: the other one did not. */
static void
learn_families(struct attempt *a, bool four, bool failed)
{
    struct queue *queue = a->runner->queue;
    str site = str_from(a->runner->site->key);

    pthread_mutex_lock(&queue->lock);
    families_note_working(&queue->families, site, four);
    if (failed)
        families_note_broken(&queue->families, site, !four, clock_now());
    pthread_mutex_unlock(&queue->lock);
}

/* The host at OUT did not let us in, and another one did: the other comes first for a while. */
static void
learn_host(struct attempt *a, ipaddr out)
{
    struct schedule_site *site = a->runner->site;

    pthread_mutex_lock(&a->runner->queue->lock);
    site->out_addr = out;
    site->out_until = clock_now() + MINUTES(10);
    pthread_mutex_unlock(&a->runner->queue->lock);
}

static bool
was_tried(const struct attempt *a, str host)
{
    for (size_t i = 0; i < a->tried_count; i++)
        if (str_eq(a->tried[i], host))
            return true;
    return false;
}

/* The host said what all its neighbours would say: that we are too many, or not wanted. */
static bool
ends_the_search(const struct attempt *a)
{
    const struct smtp_answer *answer = &a->failure.answer;
    struct shaping_verdict verdict;

    if (answer->code < 400)
        return false;
    attempt_judge(a, answer->code, str_from(answer->enhanced), str_from(answer->text), &verdict);
    return !verdict.next_host &&
           (verdict.site != SITE_NOTHING || verdict.class == CLASS_GREYLISTED);
}

WAITS static enum err
open_any(struct attempt *a, struct route_hosts *hosts)
{
    const struct route_host *out = NULL;
    bool failed[2] = {};
    enum err e = ERR_UNREACHABLE;

    sort_by_family(a, hosts);
    for (size_t i = 0; i < hosts->count; i++) {
        const struct route_host *host = &hosts->hosts[i];
        bool four = ipaddr_is_v4(host->endpoint.addr);
        if (was_tried(a, host->name))
            continue;
        e = open_host(a, host, i + 1 == hosts->count);
        if (!e)
            learn_families(a, four, failed[!four]);
        if (!e && out)
            learn_host(a, out->endpoint.addr);
        if (!e || e == ERR_CANCELLED)
            return e;
        (void)require_note(a, e);
        if (ends_the_search(a))
            return e;
        if (a->failure.stage == SMTP_STAGE_CONNECT && !a->plan.refused) {
            failed[four] = true;
            out = host;
        }
    }
    return e;
}

/* --- Another way. */

void
attempt_facts(const struct attempt *a, const struct schedule_row *row, struct route_facts *facts)
{
    route_facts_of(&a->envelope, facts);
    facts->recipient = a->envelope.recipients[row->index].address;
    facts->attempts = row->attempts;
    facts->is_out = queue_way_is_out;
    facts->arg = a->runner->queue;
}

/* Rows that wait behind those of the attempt at a way that is out, and would until its pause ends.
 */
static void
move_waiting(struct attempt *a)
{
    struct queue *queue = a->runner->queue;
    struct route_facts facts = { .is_out = queue_way_is_out, .arg = queue };
    struct schedule_row *rows[WAITING_BLOCK];
    size_t count = WAITING_BLOCK;
    bool moved = true;

    for (size_t all = 0; moved && count == WAITING_BLOCK && all < WAITING_MAX; all += count) {
        moved = false;
        pthread_mutex_lock(&queue->lock);
        count =
            schedule_target_seize(&queue->schedule, a->runner->batch.target, rows, WAITING_BLOCK);
        pthread_mutex_unlock(&queue->lock);
        for (size_t i = 0; i < count; i++) {
            struct route other;
            bool moves;
            facts.id = rows[i]->message->id;
            moves = route_another(a->runner->config, &facts, &a->route, &other);
            pthread_mutex_lock(&queue->lock);
            if (moves)
                schedule_row_move(&queue->schedule, rows[i], str_from(other.key), clock_now());
            else
                schedule_row_return(&queue->schedule, rows[i], clock_now());
            pthread_mutex_unlock(&queue->lock);
            moved = moved || moves;
        }
    }
}

/* This way is out: rows for which another one is left (a source, a fallback) go there at once. */
static void
move_on(struct attempt *a)
{
    struct runner *runner = a->runner;
    struct queue *queue = runner->queue;
    str here = str_from(runner->batch.target->key);
    size_t kept = 0;

    for (size_t i = 0; i < a->count; i++) {
        struct route route;
        if (attempt_way(a, a->rows[i], &route) || route.all_out ||
            str_eq(str_from(route.key), here)) {
            a->rows[kept++] = a->rows[i];
            continue;
        }
        pthread_mutex_lock(&queue->lock);
        schedule_row_move(&queue->schedule, a->rows[i], str_from(route.key), clock_now());
        pthread_mutex_unlock(&queue->lock);
    }
    if (kept < a->count) {
        move_waiting(a);
        queue_ring(queue);
    }
    a->count = kept;
}

const char *
attempt_remote_name(struct attempt *a)
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

/* Results of rows that went another way are no results. */
static void
drop_moved(struct attempt *a)
{
    size_t kept = 0;

    for (size_t i = 0; i < a->result_count; i++)
        if (kept < a->count && a->results[i].row == a->rows[kept])
            a->results[kept++] = a->results[i];
    a->result_count = kept;
}

WAITS void
attempt_not_connected(struct attempt *a, enum err e)
{
    struct arena *arena = &a->runner->arena;
    const struct smtp_failure *failure = &a->failure;
    bool answered = failure->answer.code != 0;

    attempt_all_results(a, OUTCOME_DEFERRED, failure->answer.code,
                        attempt_text(arena, failure->answer.enhanced).ptr,
                        answered ? attempt_text(arena, failure->answer.text).ptr
                                 : attempt_text(arena, failure->why.text).ptr,
                        0);
    attempt_learn(a, e);
    move_on(a);
    drop_moved(a);
    attempt_record(a);
    attempt_return_throttled(a);
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
    if (answer->code / 100 == 4 && own_site) {
        until = pause_site(a);
        move_on(a);
    }
    attempt_all_results(a, attempt_outcome_of(answer->code), answer->code,
                        attempt_text(arena, answer->enhanced).ptr,
                        attempt_text(arena, answer->text).ptr, until);
    attempt_record(a);
}

/* Under the lock: the rows of the attempt become ready again at the site where they belong. */
static void
give_back(struct attempt *a)
{
    for (size_t i = a->count; i > 0; i--)
        schedule_row_return(&a->runner->queue->schedule, a->rows[i - 1], clock_now());
    a->count = 0;
}

/* A host of a route may be a provider's as well as one of an MX; but the domains of the recipients
 * say nothing of a relay, and a service that one logs in to is no receiver. */
void
attempt_know_provider(struct attempt *a, const struct route_hosts *hosts)
{
    struct runner *runner = a->runner;
    const struct route *route = &a->route;
    bool is_mx = route->kind == ROUTE_MX;
    str *names = arena_new_array(&runner->arena, str, hosts->count);

    runner->provider = NULL;
    runner->knows_provider = true;
    if (!names || !(is_mx || (route->kind == ROUTE_RELAY && route->relay.kind == RELAY_SMTP &&
                              route->relay.user.len == 0)))
        return;
    for (size_t i = 0; i < hosts->count; i++)
        names[i] = hosts->hosts[i].name;
    runner->provider =
        shaping_provider_of(runner->shaping, names, hosts->count, is_mx ? route->domain : S(""));
}

static void
add_rate(struct pace *pace, unsigned count, duration period)
{
    if (count > 0 && pace->rate_count < PACE_RATES)
        pace->rates[pace->rate_count++] = (struct rate){ count, period };
}

/* Under the lock: what the source may do over all sites. */
static void
bound_source(struct attempt *a, struct schedule_site *site)
{
    const struct config_source *source = a->route.source;
    struct pace pace = {};

    if (!source)
        return;
    pace.connections = source->connections_max;
    add_rate(&pace, source->messages_per_minute, MINUTES(1));
    add_rate(&pace, source->messages_per_hour, HOURS(1));
    add_rate(&pace, source->messages_per_day, DAYS(1));
    schedule_site_group(&a->runner->queue->schedule, site, SCOPE_SOURCE,
                        pace_is_empty(&pace) ? S("") : source->name, &pace);
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
    bool paused;

    pthread_mutex_lock(&queue->lock);
    site = schedule_bind(&queue->schedule, runner->batch.target, str_from(hosts->site),
                         source_name(a));
    schedule_site_group(&queue->schedule, site, SCOPE_PROVIDER,
                        runner->provider ? runner->provider->name : S(""),
                        runner->provider ? &runner->provider->pace : NULL);
    bound_source(a, site);
    if (site != runner->site) {
        joined =
            list_is_empty(&site->idle) && schedule_site_join(&queue->schedule, site, clock_now());
        if (joined) {
            schedule_site_release(&queue->schedule, runner->site);
            runner->site = site;
        }
    }
    paused = !joined && schedule_site_paused_until(site, clock_now()) != 0;
    pthread_mutex_unlock(&queue->lock);
    if (joined)
        return true;
    if (paused)
        move_on(a);
    pthread_mutex_lock(&queue->lock);
    give_back(a);
    queue_feed_idle(queue, runner->batch.target->site);
    pthread_mutex_unlock(&queue->lock);
    return false;
}

WAITS bool
attempt_find_hosts(struct attempt *a, struct route_hosts *hosts)
{
    struct runner *runner = a->runner;
    struct queue *queue = runner->queue;
    struct route_self self;
    enum err e;

    queue_self(queue, runner->config, &self);
    e = route_find_hosts(runner->config, &self, &runner->arena, &a->route,
                         queue->seed ^ (uint64_t)clock_steady(), hosts);
    if (e) {
        if (e != ERR_CANCELLED)
            attempt_not_connected(a, e);
        return false;
    }
    if (hosts->answer.code) {
        no_host(a, &hosts->answer);
        return false;
    }
    a->mx_secure = hosts->secure;
    attempt_know_provider(a, hosts);
    e = attempt_find_policy(a, hosts);
    if (e) {
        if (e != ERR_CANCELLED)
            attempt_not_connected(a, e);
        return false;
    }
    if (!enter_site(a, hosts))
        return false;
    attempt_obey_rules(a);
    return a->count > 0;
}

/* A kept connection serves where it proved enough for this message, too. */
WAITS static bool
may_go_on(struct attempt *a)
{
    struct runner *runner = a->runner;

    if (!runner->client || runner->client_site != runner->site)
        return false;
    return require_reuses(a) &&
           (a->route.kind != ROUTE_MX || (attempt_policy_again(a) == OK && secure_goes_on(a)));
}

WAITS bool
attempt_connect(struct attempt *a)
{
    struct runner *runner = a->runner;
    struct route_hosts hosts;
    enum err e;

    if (may_go_on(a))
        return true;
    runner_drop_client(runner);
    a->tried_count = 0;
    a->is_disowned = true;
    a->unmet = NULL;
    a->may_be_met = false;
    if (!attempt_find_hosts(a, &hosts))
        return false;
    e = open_any(a, &hosts);
    if (!e)
        return true;
    attempt_doubt_policy(a);
    if (e != ERR_CANCELLED && !require_returns(a) && !attempt_is_disowned(a))
        attempt_not_connected(a, e);
    return false;
}

WAITS bool
attempt_next_host(struct attempt *a)
{
    struct runner *runner = a->runner;
    struct queue *queue = runner->queue;
    struct route_self self;
    struct route_hosts hosts;
    bool any = false;

    if (!runner->client || a->tried_count == ATTEMPT_HOSTS_MAX ||
        !arena_copy(&runner->arena, runner->client_host, &a->tried[a->tried_count]))
        return false;
    a->tried_count++;
    queue_self(queue, runner->config, &self);
    if (route_find_hosts(runner->config, &self, &runner->arena, &a->route,
                         queue->seed ^ (uint64_t)clock_steady(), &hosts) ||
        hosts.answer.code || attempt_find_policy(a, &hosts))
        return false;
    for (size_t i = 0; i < hosts.count; i++)
        any = any || !was_tried(a, hosts.hosts[i].name);
    a->mx_secure = hosts.secure;
    if (!any || str_cmp(str_from(hosts.site), str_from(runner->site->key)) != 0)
        return false;
    runner_drop_client(runner);
    return open_any(a, &hosts) == OK;
}
