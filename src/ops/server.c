/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* server.c: what is opened in which order, and closed in the other.
 *
 *     lock → events → accounts → limits, suppression → mailboxes → spool, whose messages go to the queue
 *          → deliveries → local door → listeners → control socket
 *
 * The lock on DATA/server.lock is the whole data directory's: whoever takes over waits for it and
 * opens nothing before.  A reload replaces the snapshot, the certificate and what hangs on them;
 * old ones are kept until the end, since a session may be looking at them.  Start reading at
 * server_start().
 */
#include "ops/server.h"

#include "accounts/account.h"
#include "accounts/limits.h"
#include "accounts/login.h"
#include "accounts/suppression.h"
#include "base/must.h"
#include "config/config.h"
#include "delivery/queue/queue.h"
#include "delivery/rules/shaping.h"
#include "delivery/secure/tls_reports.h"
#include "delivery/secure/tls_reports_send.h"
#include "intake/intake.h"
#include "ops/control.h"
#include "ops/dkim_watch.h"
#include "ops/doors.h"
#include "ops/fixed.h"
#include "ops/maildrop_door.h"
#include "ops/supervisor.h"
#include "runtime/clock.h"
#include "runtime/dns.h"
#include "runtime/fiber.h"
#include "runtime/log.h"
#include "runtime/tls.h"
#include "runtime/wait.h"
#include "servers/connections.h"
#include "store/events.h"
#include "store/mailbox.h"
#include "store/spool.h"
#include "trust/keyring.h"
#include "trust/token.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    RELOADS_MAX = 4096, /* After so many the old snapshots stand in the way: restart. */
    MAILBOXES_OPEN_MAX = 256,
    PATH_SIZE = 1024,
    FOUND_THREADS_MAX = 4, /* That fill the queue at the start. */
};

#define LOCK_POLL      MILLISECONDS(10)
#define EXPIRE_EVERY   HOURS(1)
#define STOP_GRACE     SECONDS(10)
#define HANDOVER_GRACE SECONDS(30)

struct server {
    char *config_path;
    bool simulated;
    int programs;
    int notify_fd;
    int lock;
    instant started_at;
    struct intake_services services;
    struct tls_context *tls;
    struct group group; /* events, limits, expiry */
    struct doors *doors;
    struct maildrop_door *maildrop;
    struct control *control;
    struct dkim_watch *dkim_watch;
    struct tls_reports *tls_reports;
    struct group tls_reports_group; /* Its sender uses the queue, and ends before it. */
    pthread_mutex_t reloading; /* A signal and a command may come at once. */
    /* Replaced by reloads, freed at the end. */
    struct config **old_configs;
    struct tls_context **old_tls;
    size_t old_count;
};

struct config *
server_config(struct server *server)
{
    return atomic_load(&server->services.config);
}

struct intake_services *
server_services(struct server *server)
{
    return &server->services;
}

struct accounts *
server_accounts(struct server *server)
{
    return server->services.accounts;
}

struct events *
server_events(struct server *server)
{
    return server->services.events;
}

struct limits *
server_limits(struct server *server)
{
    return server->services.limits;
}

struct queue *
server_queue(struct server *server)
{
    return server->services.queue;
}

struct spool *
server_spool(struct server *server)
{
    return server->services.spool;
}

struct tls_reports *
server_tls_reports(struct server *server)
{
    return server->tls_reports;
}

instant
server_started_at(const struct server *server)
{
    return server->started_at;
}

bool
server_door(const struct server *server, size_t index, const char **name, unsigned *port,
            unsigned *connections)
{
    return doors_get(server->doors, index, name, port, connections);
}

static enum err
data_path(const struct config *config, const char *name, char path[PATH_SIZE], struct why *why)
{
    if (!config_data_path(config, path, PATH_SIZE, name))
        return err_why(why, ERR_LIMIT, "the path of the data directory is too long");
    return OK;
}

/* Takes the lock on the data directory, and waits for it when somebody is about to give it up. */
WAITS static enum err
lock_data(const struct server_options *options, int *lock, struct why *why)
{
    char path[PATH_SIZE];
    enum err e = data_path(options->config, "server.lock", path, why);
    int fd;

    if (e)
        return e;
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_why(why, err_from_errno(errno),
                       "%s: %s; 'outpost setup' makes the data directory, and it must belong to "
                       "server.user",
                       path, strerror(errno));
    while (flock(fd, LOCK_EX | LOCK_NB)) {
        e = OK;
        if (!options->wait_for_data)
            e = err_why(why, ERR_BUSY, "%s: another outpost is running on this data directory",
                        path);
        else if (options->give_up && atomic_load(options->give_up))
            e = err_why(why, ERR_CANCELLED, "told to stop while waiting for the older server");
        else
            e = fiber_sleep(LOCK_POLL);
        if (e) {
            close(fd);
            return e;
        }
    }
    *lock = fd;
    return OK;
}

static enum err
open_tls(const struct config *config, struct tls_context **tls, struct why *why)
{
    *tls = NULL;
    if (!config->tls.certificate.len)
        return OK;
    return tls_server_new(config->tls.certificate.ptr, config->tls.key.ptr, tls, why);
}

/* The figures of the preset, and what the file sets beside it. */
static void
find_rules(const struct config *config, struct limits_rules *system, struct limits_rules *standard)
{
    const struct config_limits *set = &config->limits;
    const struct limits_rules *preset = limits_preset(str_from(config_preset_name(set->preset)));

    must(preset);
    *standard = *preset;
    if (set->recipients_per_message)
        standard->recipients_per_message = set->recipients_per_message;
    if (set->messages_per_day)
        standard->messages_per_day = set->messages_per_day;
    if (set->new_recipients_per_day)
        standard->first_time_per_day = set->new_recipients_per_day;
    *system = (struct limits_rules){
        .name = "system",
        .messages_per_day = set->system_messages_per_day,
    };
}

WAITS static enum err
open_limits(struct server *server, const struct config *config, struct why *why)
{
    struct limits_rules system, standard;

    find_rules(config, &system, &standard);
    return limits_open(server->services.accounts, &system, &standard, &server->services.limits,
                       why);
}

static void
find_suppression_rules(const struct config *config, struct suppression_rules *rules)
{
    const struct config_suppression *set = &config->suppression;

    *rules = (struct suppression_rules){
        .learn = set->learn,
        .everybody = set->for_all,
        .bounces = set->bounces,
        .bounce_expire = set->bounce_expire,
        .bounce_expire_max = set->bounce_expire_max,
        .complaint_expire = set->complaint_expire,
    };
}

WAITS static enum err
open_suppression(struct server *server, const struct config *config, struct why *why)
{
    struct suppression_rules rules;

    find_suppression_rules(config, &rules);
    return suppression_open(server->services.accounts, &rules, &server->services.suppression, why);
}

WAITS static enum err
open_databases(struct server *server, const struct config *config, struct why *why)
{
    struct intake_services *services = &server->services;
    char path[PATH_SIZE];
    enum err e;

    e = data_path(config, "events.db", path, why);
    if (!e)
        e = events_open(path, &services->events, why);
    if (!e)
        e = data_path(config, "directory.db", path, why);
    if (!e)
        e = accounts_open(path, &services->accounts, why);
    if (!e)
        e = open_limits(server, config, why);
    if (!e)
        e = open_suppression(server, config, why);
    if (!e)
        e = data_path(config, "dkim", path, why);
    if (!e)
        e = keyring_open(path, &services->keyring, why);
    if (!e)
        e = data_path(config, "token-keys", path, why);
    if (!e)
        e = secrets_open(path, clock_now(), &services->secrets, why);
    if (e)
        return e;
    services->logins = logins_new(services->accounts);
    services->connections = connections_new();
    e = data_path(config, "mail", path, why);
    if (!e)
        e = mailstore_open(path, MAILBOXES_OPEN_MAX, &services->mailboxes, why);
    return e;
}

static void
configure_tls_reports(struct server *server, const struct config *config)
{
    tls_reports_configure(server->tls_reports, config->tls_reports.send, config->tls_reports.period,
                          config->tls_reports.delay, config->server.hostname);
}

WAITS static enum err
open_tls_reports(struct server *server, const struct config *config, struct why *why)
{
    char path[PATH_SIZE];
    enum err e = data_path(config, "tls_reports.db", path, why);

    if (!e)
        e = tls_reports_open(path, &server->tls_reports, why);
    if (!e)
        configure_tls_reports(server, config);
    return e;
}

WAITS static enum err
open_spool(struct server *server, const struct config *config, struct why *why)
{
    struct intake_services *services = &server->services;
    struct queue_options queue = {
        .config = config,
        .accounts = services->accounts,
        .mailstore = services->mailboxes,
        .events = services->events,
        .suppression = services->suppression,
        .keyring = services->keyring,
        .tls_reports = server->tls_reports,
        .secrets = services->secrets,
        .simulated = server->simulated,
        .programs = server->programs,
    };
    char path[PATH_SIZE];
    char rules_path[PATH_SIZE];
    char sts_path[PATH_SIZE];
    struct spool_options spool = {
        .dir = path,
        .segment_bytes = config->store.segment_size,
        .inline_max = config->store.body_file_over,
        .free_bytes_min = config->store.free_space_min,
        .inline_flush = server->simulated,
        .expect = queue_expect,
        .found_threads = (unsigned)MIN(MAX(sysconf(_SC_NPROCESSORS_ONLN), 1), FOUND_THREADS_MAX),
    };
    enum err e = data_path(config, "spool", path, why);

    if (!e)
        e = data_path(config, "standing.rules", rules_path, why);
    queue.rules_path = rules_path;
    if (!e)
        e = data_path(config, "sts.db", sts_path, why);
    queue.sts_path = sts_path;
    if (!e)
        e = queue_new(&queue, &services->queue, why);
    if (!e)
        e = spool_open(&spool, queue_found, services->queue, &services->spool, why);
    return e;
}

/* On a thread of the pool: opening reads and syncs files. */
struct opening {
    struct server *server;
    const struct config *config;
    struct why *why;
    enum err result;
};

WAITS static void
open_on_thread(void *arg)
{
    struct opening *opening = arg;

    opening->result = open_databases(opening->server, opening->config, opening->why);
    if (!opening->result)
        opening->result = open_tls_reports(opening->server, opening->config, opening->why);
    if (!opening->result)
        opening->result = open_spool(opening->server, opening->config, opening->why);
}

/* Forgets events that are older than the configuration wants. */
WAITS static void
expire_events(void *arg)
{
    struct server *server = arg;
    enum err e = OK;

    while (e != ERR_CANCELLED) {
        const struct config *config = server_config(server);
        uint64_t deleted = 0;

        e = events_expire(server->services.events, clock_now(), config->events.retention, &deleted);
        if (e && e != ERR_CANCELLED)
            log_warning("old events could not be deleted: %s", err_name(e));
        if (e != ERR_CANCELLED)
            e = fiber_sleep(EXPIRE_EVERY);
    }
}

static enum err
start_chores(struct server *server)
{
    enum err e;

    e = group_start(&server->group, events_run, server->services.events, "events");
    if (!e)
        e = group_start(&server->group, limits_run, server->services.limits, "limits");
    if (!e)
        e = group_start(&server->group, expire_events, server, "expiry");
    if (!e)
        e = group_start(&server->group, tls_reports_run, server->tls_reports, "tls counts");
    if (!e)
        e = group_start(&server->group, suppression_run, server->services.suppression,
                        "suppression");
    if (!e)
        e = group_start(&server->tls_reports_group, tls_reports_send_run, server->services.queue,
                        "tls reports");
    server->dkim_watch = dkim_watch_new(server);
    if (!e)
        e = group_start(&server->group, dkim_watch_run, server->dkim_watch, "dkim");
    return e;
}

static void
record(struct server *server, enum event_kind kind, const char *text)
{
    struct event event = { .kind = kind, .text = str_from(text) };

    events_record(server->services.events, &event);
}

WAITS static enum err
open_doors(struct server *server, const struct server_options *options, struct why *why)
{
    enum err e;

    if (!server->simulated) {
        e = maildrop_door_start(&server->services, &server->maildrop, why);
        if (e)
            return e;
    }
    e = doors_start(&server->services, options, server->tls, &server->doors, why);
    if (!e && !server->simulated)
        e = control_start(server, &server->control, why);
    return e;
}

WAITS static void
close_spool(struct server *server, instant deadline)
{
    struct intake_services *services = &server->services;

    if (services->queue && services->spool)
        queue_stop(services->queue, deadline);
    if (services->spool)
        spool_close(services->spool);
    queue_free(services->queue);
}

WAITS static void
close_databases(struct server *server)
{
    struct intake_services *services = &server->services;

    group_stop(&server->group);
    tls_reports_close(server->tls_reports);
    dkim_watch_free(server->dkim_watch);
    keyring_close(services->keyring);
    secrets_close(services->secrets);
    if (services->mailboxes)
        mailstore_close(services->mailboxes);
    if (services->limits)
        limits_close(services->limits);
    if (services->logins)
        logins_free(services->logins);
    if (services->connections)
        connections_free(services->connections);
    suppression_close(services->suppression);
    if (services->accounts)
        accounts_close(services->accounts);
    if (services->events)
        events_close(services->events);
}

static void
free_server(struct server *server)
{
    for (size_t i = 0; i < server->old_count; i++) {
        config_unref(server->old_configs[i]);
        tls_context_unref(server->old_tls[i]);
    }
    free(server->old_configs);
    free(server->old_tls);
    config_unref(server_config(server));
    tls_context_unref(server->tls);
    if (server->lock >= 0)
        close(server->lock);
    pthread_mutex_destroy(&server->reloading);
    free(server->config_path);
    free(server);
}

void
server_stop(struct server *server, duration grace)
{
    instant deadline = clock_steady() + grace;

    if (server->control)
        control_stop(server->control);
    if (server->doors)
        doors_stop(server->doors, deadline);
    if (server->maildrop)
        maildrop_door_stop(server->maildrop);
    group_stop(&server->tls_reports_group);
    close_spool(server, deadline);
    if (server->services.events)
        record(server, EVENT_STOPPED, "");
    close_databases(server);
    free_server(server);
}

enum err
server_start(const struct server_options *options, struct server **server, struct why *why)
{
    struct server *made = calloc(1, sizeof *made);
    enum err e;

    must(made);
    made->lock = -1;
    made->notify_fd = options->notify_fd;
    made->simulated = options->simulated;
    made->programs = options->programs;
    made->started_at = clock_now();
    made->config_path = options->config_path ? str_dup(str_from(options->config_path)) : NULL;
    atomic_store(&made->services.config, config_ref(options->config));
    group_init(&made->group);
    group_init(&made->tls_reports_group);
    pthread_mutex_init(&made->reloading, NULL);
    log_set_level(options->config->log.level);

    e = open_tls(options->config, &made->tls, why);
    if (!e)
        e = doors_check(options, made->tls, why);
    if (!e) {
        supervisor_say(options->notify_fd, SUPERVISOR_WAITING, NULL);
        e = lock_data(options, &made->lock, why);
    }
    if (!e) {
        struct opening opening = { made, options->config, why, OK };

        offload(open_on_thread, &opening);
        e = opening.result;
    }
    if (!e)
        e = queue_start(made->services.queue, made->services.spool, why);
    if (!e)
        e = start_chores(made);
    if (!e)
        e = open_doors(made, options, why);
    if (e) {
        server_stop(made, 0);
        return e;
    }
    record(made, EVENT_STARTED, "");
    supervisor_say(options->notify_fd, SUPERVISOR_READY, NULL);
    *server = made;
    return OK;
}

/* Reads the file; the first problem stands for all. */
static enum err
load_config(const char *path, struct config **config, struct why *why)
{
    struct config_problems problems = { 0 };
    enum err e = config_load(path, config, &problems);

    if (e && problems.count)
        (void)err_why(why, e, "%s:%u: %s; %s", path, problems.items[0].line, problems.items[0].text,
                      problems.items[0].cure);
    else if (e)
        (void)err_why(why, e, "%s: %s", path, err_name(e));
    config_problems_done(&problems);
    return e;
}

static void
keep_old(struct server *server, struct config *config, struct tls_context *tls)
{
    size_t count = server->old_count + 1;

    server->old_configs = realloc(server->old_configs, count * sizeof *server->old_configs);
    server->old_tls = realloc(server->old_tls, count * sizeof *server->old_tls);
    must(server->old_configs && server->old_tls);
    server->old_configs[server->old_count] = config;
    server->old_tls[server->old_count] = tls;
    server->old_count = count;
}

/* The new snapshot everywhere. */
static void
publish(struct server *server, struct config *config, struct tls_context *tls,
        struct shaping *shaping)
{
    struct limits_rules system, standard;
    struct suppression_rules suppression;

    keep_old(server, server_config(server), server->tls);
    atomic_store(&server->services.config, config);
    server->tls = tls;
    find_rules(config, &system, &standard);
    limits_set_rules(server->services.limits, &system, &standard);
    find_suppression_rules(config, &suppression);
    suppression_set_rules(server->services.suppression, &suppression);
    doors_reload(server->doors, config, tls);
    queue_reload(server->services.queue, config, shaping);
    configure_tls_reports(server, config);
    log_set_level(config->log.level);
}

static enum err
reload(struct server *server, struct why *why)
{
    struct config *old = server_config(server), *new = NULL;
    struct tls_context *tls;
    struct shaping *shaping = NULL;
    enum err e;

    if (!server->config_path)
        return err_why(why, ERR_UNSUPPORTED, "this server has no configuration file");
    if (server->old_count >= RELOADS_MAX)
        return err_why(why, ERR_LIMIT, "too many reloads; restart the server");
    e = load_config(server->config_path, &new, why);
    if (e)
        return e;
    e = fixed_check(old, new, why);
    if (!e)
        e = shaping_of(new, &shaping, why);
    if (!e)
        e = open_tls(new, &tls, why);
    if (e) {
        shaping_unref(shaping);
        config_unref(new);
        return e;
    }
    publish(server, new, tls, shaping);
    record(server, EVENT_ADMIN, "reload");
    return OK;
}

enum err
server_reload(struct server *server, struct why *why)
{
    enum err e;

    pthread_mutex_lock(&server->reloading);
    e = reload(server, why);
    pthread_mutex_unlock(&server->reloading);
    return e;
}

/* The server process. */
struct run {
    const struct server_options *options;
    struct why *why;
    enum err result;
    struct bell bell;
    _Atomic(bool) stop;
    _Atomic(bool) hand_over; /* Stop with more patience. */
    _Atomic(bool) reload;
};

static void
watched_signals(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGHUP);
    sigaddset(set, SIGUSR1);
    sigaddset(set, SIGUSR2); /* From ourselves: there is nothing more to wait for. */
}

/* A thread that only waits for signals; all others have them blocked. */
static void *
watch_signals(void *arg)
{
    struct run *run = arg;
    sigset_t set;
    int number;

    watched_signals(&set);
    while (!sigwait(&set, &number) && number != SIGUSR2) {
        if (number == SIGHUP)
            atomic_store(&run->reload, true);
        else if (number == SIGUSR1)
            atomic_store(&run->hand_over, true);
        if (number != SIGHUP)
            atomic_store(&run->stop, true);
        bell_ring(&run->bell);
    }
    return NULL;
}

WAITS static void
reload_now(struct server *server)
{
    struct why why;

    if (server_reload(server, &why))
        supervisor_say(server->notify_fd, SUPERVISOR_RELOAD_FAILED, why.text);
    else
        supervisor_say(server->notify_fd, SUPERVISOR_RELOADED, NULL);
}

WAITS static void
run_server(void *arg)
{
    struct run *run = arg;
    struct server *server = NULL;

    run->result = server_start(run->options, &server, run->why);
    if (run->result)
        return;
    while (!atomic_load(&run->stop)) {
        if (atomic_exchange(&run->reload, false))
            reload_now(server);
        else if (bell_wait(&run->bell, NEVER) == ERR_CANCELLED)
            break;
    }
    server_stop(server, atomic_load(&run->hand_over) ? HANDOVER_GRACE : STOP_GRACE);
}

static enum err
configure_dns(const struct config *config, struct why *why)
{
    const struct config_dns *dns = &config->dns;
    const char **anchors = calloc(dns->trust_anchor.count + 1, sizeof *anchors);
    struct dns_options options = {
        .trust_anchor_file = dns->trust_anchor_file.len ? dns->trust_anchor_file.ptr : NULL,
        .trust_anchors = anchors,
        .trust_anchor_count = dns->trust_anchor.count,
        .forwarders = dns->forwarders.items,
        .forwarder_count = dns->forwarders.count,
        .stubs = dns->stub.items,
        .stub_count = dns->stub.count,
        .hosts_file = dns->hosts_file.len ? dns->hosts_file.ptr : NULL,
    };
    enum err e;

    must(anchors);
    for (size_t i = 0; i < dns->trust_anchor.count; i++)
        anchors[i] = dns->trust_anchor.items[i].ptr;
    e = dns_configure(&options, why);
    free(anchors);
    return e;
}

enum err
server_run(const struct server_options *options, struct why *why)
{
    struct server_options copy = *options;
    struct run run = { .options = &copy, .why = why };
    struct runtime_options runtime = { .loops = options->config->server.loops };
    pthread_t watcher;
    enum err e;

    e = configure_dns(options->config, why);
    if (e)
        return e;
    copy.give_up = &run.stop;
    if (pthread_create(&watcher, NULL, watch_signals, &run))
        return err_why(why, ERR_LIMIT, "no thread can be made");
    e = runtime_run(&runtime, run_server, &run);
    if (e)
        (void)err_why(why, e, "the event loops cannot be started: %s", err_name(e));
    pthread_kill(watcher, SIGUSR2);
    pthread_join(watcher, NULL);
    return e ? e : run.result;
}
