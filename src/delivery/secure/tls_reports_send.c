/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* tls_reports_send.c: asks who wants a report, makes it, sends it.
 *
 * The states of a report are drawn in tls_reports_rows.c.  Start reading at tls_reports_send_run()
 * and send_report().
 */
#include "delivery/secure/tls_reports_send.h"

#include "config/config.h"
#include "delivery/queue/queue_inside.h"
#include "delivery/secure/tls_reports_inside.h"
#include "formats/address.h"
#include "runtime/clock.h"
#include "runtime/dns.h"
#include "runtime/log.h"
#include "trust/keyring.h"
#include "trust/signing.h"
#include "trust/tlsrpt_mail.h"

#include <stdio.h>
#include <string.h>

enum {
    SEND_MEMORY_MAX = 64 << 20,
    ASK_MEMORY_MAX = 1 << 20,
    ASKED_AT_ONCE = 16,
    SENT_AT_ONCE = 16,
};
#define RETRY_MIN    MINUTES(15)
#define ASK_TIMEOUT  SECONDS(20)
#define POST_TIMEOUT SECONDS(60)

/* One look at all that is due. */
struct sender {
    struct queue *queue;
    struct tls_reports *reports;
    const struct config *config;
    struct arena arena; /* For one report. */
    bool is_first;      /* Since the start: what was begun before it is looked at. */
};

/* --- Who we are. */

static str
domain_of(str address)
{
    ssize_t at = str_find_last(address, '@');

    return str_skip(address, (size_t)(at + 1));
}

enum err
tls_identity_of(const struct config *config, struct keyring *keyring, struct arena *arena,
                struct tls_identity *identity)
{
    const struct config_tls_reports *wish = &config->tls_reports;
    str name = wish->from.len ? domain_of(wish->from) : config->server.hostname;
    struct signers signers = {};
    str domain;
    enum err e = domain_to_alabel(name, arena, &domain);

    if (e)
        domain = name;
    if (keyring)
        keyring_signers(keyring, domain, &signers);
    *identity = (struct tls_identity){ .signs = signers.count > 0 && config->dkim.sign };
    e = ERR_LIMIT;
    if (arena_copy(arena, signers.count && !wish->from.len ? signers.items[0].domain : domain,
                   &identity->submitter) &&
        arena_printf(arena, &identity->from, "tlsrpt@%.*s", STR_ARG(identity->submitter)) &&
        arena_printf(arena, &identity->contact, "postmaster@%.*s", STR_ARG(identity->submitter)))
        e = OK;
    if (keyring)
        signers_done(&signers);
    if (wish->from.len)
        identity->from = wish->from;
    if (wish->contact.len)
        identity->contact = wish->contact;
    identity->organization = wish->organization.len ? wish->organization : config->server.hostname;
    return e;
}

WAITS enum err
tls_report_format(struct tls_reports *reports, const struct tls_identity *identity,
                  const struct tls_domain *domain, struct arena *arena, struct buf *json)
{
    struct tlsrpt_policy *policies;
    struct tlsrpt_report report = {
        .organization = identity->organization,
        .contact = identity->contact,
        .id = domain->report_id.len ? domain->report_id : S("none yet"),
        .begin = domain->begin,
        .end = domain->end,
    };
    enum err e = tls_reports_read(reports, domain->id, arena, &policies, &report.policy_count);

    if (e)
        return e;
    report.policies = policies;
    return tlsrpt_format(&report, json);
}

/* --- Who wants a report. */

/* A question to the DNS, in a fiber of its own. */
struct asking {
    const struct tls_domain *domain;
    struct arena arena;
    struct tls_decision decision;
    const struct sender *sender;
    bool failed; /* No answer is no answer. */
};

static msgid
new_id(void)
{
    uint8_t entropy[10];

    random_bytes(entropy, sizeof(entropy));
    return msgid_make(clock_now(), entropy);
}

static duration
retry_time(const struct sender *sender, unsigned tries)
{
    duration period = sender->config->tls_reports.period;
    duration first = MIN(RETRY_MIN, period / 16);

    return MIN(first << MIN(tries, 10U), period / 4);
}

static void
fill_decision(struct asking *asking, const struct tlsrpt_record *record)
{
    struct tls_decision *decision = &asking->decision;

    for (size_t i = 0; i < record->count; i++)
        decision->uris[decision->uri_count++] = record->rua[i].uri;
}

WAITS static void
ask(void *arg)
{
    struct asking *asking = arg;
    const struct tls_domain *domain = asking->domain;
    struct tlsrpt_record record;
    struct dns_answer answer;
    str name;
    enum err e = ERR_LIMIT;

    asking->decision.domain = domain->id;
    if (arena_printf(&asking->arena, &name, "_smtp._tls.%.*s", STR_ARG(domain->name)))
        e = dns_lookup(&asking->arena, name, DNS_TXT, deadline_in(ASK_TIMEOUT), &answer);
    asking->failed = e == ERR_CANCELLED;
    if (e)
        return;
    if (answer.status == DNS_FOUND &&
        tlsrpt_find(answer.records, answer.count, &asking->arena, &record) == OK)
        fill_decision(asking, &record);
    /* An answer that does not come is waited for during a day; then it is no. */
    if ((answer.status == DNS_TEMPORARY || answer.status == DNS_BOGUS) &&
        clock_now() < domain->end + asking->sender->config->tls_reports.delay +
                          asking->sender->config->tls_reports.period)
        asking->decision.next = clock_now() + retry_time(asking->sender, domain->tries);
}

WAITS static enum err
ask_some(struct sender *sender, const struct tls_domain *domains, size_t count, str submitter)
{
    struct asking *askings = arena_new_array(&sender->arena, struct asking, count);
    struct tls_decision *decisions = arena_new_array(&sender->arena, struct tls_decision, count);
    struct group group;
    size_t decided = 0;
    enum err e = OK;

    if (!askings || !decisions)
        return ERR_LIMIT;
    group_init(&group);
    for (size_t i = 0; i < count && !e; i++) {
        askings[i].domain = &domains[i];
        askings[i].sender = sender;
        askings[i].failed = true;
        arena_init(&askings[i].arena, ASK_MEMORY_MAX);
        e = group_start(&group, ask, &askings[i], "tls report");
    }
    group_join(&group);
    for (size_t i = 0; i < count; i++) {
        char id[MSGID_TEXT_SIZE + 1];
        if (askings[i].failed)
            continue;
        msgid_format(new_id(), id);
        if (!arena_printf(&sender->arena, &askings[i].decision.report_id, "%s@%.*s", id,
                          STR_ARG(submitter)))
            e = ERR_LIMIT;
        decisions[decided++] = askings[i].decision;
    }
    if (!e)
        e = fiber_cancelled()
                ? ERR_CANCELLED
                : tls_reports_decide(sender->reports, clock_now(), decisions, decided);
    for (size_t i = 0; i < count; i++)
        arena_done(&askings[i].arena);
    return e;
}

WAITS static enum err
ask_all(struct sender *sender)
{
    struct tls_identity identity;
    struct tls_domain *domains;
    size_t count;
    enum err e;

    do {
        arena_clear(&sender->arena);
        e = tls_identity_of(sender->config, sender->queue->keyring, &sender->arena, &identity);
        if (!e)
            e = tls_reports_due_domains(sender->reports, clock_now(), ASKED_AT_ONCE, &sender->arena,
                                        &domains, &count);
        if (!e)
            e = ask_some(sender, domains, count, identity.submitter);
    } while (!e && count == ASKED_AT_ONCE);
    return e;
}

/* --- One report. */

static void
record_report(const struct sender *sender, const struct tls_report_row *row, const char *what)
{
    char text[TLS_POSTING_TEXT_MAX + TLSRPT_URI_MAX + 100];
    struct event event = {
        .kind = EVENT_TLS,
        .message = row->message,
        .stage = S("report"),
        .to_domain = row->domain.name,
        .class = str_from(tls_report_state_name(row->state)),
    };

    snprintf(text, sizeof(text), "the report about TLS to %.*s, for %.*s, %s: %.*s",
             STR_ARG(row->uri), STR_ARG(row->domain.name), what, STR_ARG(row->text));
    event.text = str_from(text);
    if (sender->queue->events)
        events_record(sender->queue->events, &event);
    if (row->state == TLS_REPORT_DROPPED)
        log_info("%s", text);
}

WAITS static enum err
mark(const struct sender *sender, struct tls_report_row *row, enum tls_report_state state)
{
    row->state = state;
    return tls_reports_mark(sender->reports, clock_now(), row);
}

/* It did not go: later, or no more. */
WAITS static enum err
put_off(const struct sender *sender, struct tls_report_row *row, const char *why)
{
    row->text = str_from(why);
    row->next = clock_now() + retry_time(sender, row->tries++);
    if (row->next > row->made + sender->config->tls_reports.period) {
        row->state = TLS_REPORT_DROPPED;
        record_report(sender, row, "is given up");
        return mark(sender, row, TLS_REPORT_DROPPED);
    }
    return mark(sender, row, TLS_REPORT_WAITING);
}

WAITS static enum err
arrived(const struct sender *sender, struct tls_report_row *row, const char *how)
{
    row->text = str_from(how);
    row->state = TLS_REPORT_SENT;
    record_report(sender, row, "is sent");
    return mark(sender, row, TLS_REPORT_SENT);
}

/* What takes time, on a thread of the pool. */
struct making {
    str json;
    struct buf *gzip;
    enum err result;
};

static void
compress(void *arg)
{
    struct making *making = arg;

    making->result = tlsrpt_compress(making->json, making->gzip);
}

WAITS static enum err
make_report(struct sender *sender, const struct tls_identity *identity,
            const struct tls_domain *domain, struct buf *gzip)
{
    struct making making = { .gzip = gzip };
    struct buf json;
    enum err e;

    buf_init(&json, TLSRPT_JSON_MAX);
    e = tls_report_format(sender->reports, identity, domain, &sender->arena, &json);
    making.json = buf_str(&json);
    if (!e) {
        offload_computing(compress, &making);
        e = making.result;
    }
    buf_done(&json);
    return e;
}

struct signature {
    const struct sender *sender;
    str message;
    struct buf *fields;
    enum err result;
};

static void
sign(void *arg)
{
    struct signature *signature = arg;

    signature->result =
        signing_message(signature->sender->queue->keyring, signature->sender->config,
                        signature->message, clock_now(), signature->fields);
}

/* Into the spool, and into the queue. */
WAITS static enum err
post_mail(const struct sender *sender, msgid id, const struct tls_identity *identity,
          const struct tlsrpt_rua *rua, str message, str signatures)
{
    struct recipient recipient = { .address = rua->address, .notify = NOTIFY_NEVER };
    struct envelope envelope = {
        .id = id,
        .received_at = clock_now(),
        .door = DOOR_REPORT,
        .reverse_path = identity->from,
        .body = BODY_7BIT,
        .size = signatures.len + message.len,
        .header_size = signatures.len + (size_t)str_find_str(message, S("\r\n\r\n")) + 4,
        .prefix = signatures,
        .lane = LANE_NOTICE,
        .lane_why = S("it is a report about TLS"),
        .tls_wish = TLS_OPTIONAL,
        .recipients = &recipient,
        .recipient_count = 1,
    };

    return queue_post(sender->queue, &envelope, message);
}

WAITS static enum err
write_mail(struct sender *sender, const struct tls_report_row *row,
           const struct tls_identity *identity, const struct tlsrpt_rua *rua, str gzip)
{
    char id[MSGID_TEXT_SIZE + 1];
    struct tlsrpt_mail mail = {
        .from = identity->from,
        .to = rua->address,
        .domain = row->domain.name,
        .submitter = identity->submitter,
        .report_id = row->domain.report_id,
        .begin = row->domain.begin,
        .end = row->domain.end,
        .now = clock_now(),
        .succeeded = row->succeeded,
        .failed = row->failed,
        .gzip = gzip,
    };
    struct signature signature = { .sender = sender };
    struct buf message, fields;
    enum err e = ERR_LIMIT;

    buf_init(&message, TLSRPT_MAIL_MAX);
    buf_init(&fields, SIGNING_FIELDS_MAX);
    msgid_format(row->message, id);
    if (arena_printf(&sender->arena, &mail.message_id, "%s@%.*s", id,
                     STR_ARG(sender->config->server.hostname)))
        e = tlsrpt_mail_format(&mail, &message);
    if (!e) {
        signature.message = buf_str(&message);
        signature.fields = &fields;
        offload_computing(sign, &signature);
        e = signature.result;
    }
    if (!e && fields.len == 0)
        e = ERR_REFUSED;
    if (!e)
        e = post_mail(sender, row->message, identity, rua, buf_str(&message), buf_str(&fields));
    buf_done(&message);
    buf_done(&fields);
    return e;
}

static bool
found_one(void *arg, const struct event *event)
{
    (void)event;
    *(bool *)arg = true;
    return false;
}

/* Whether the mail that was begun before a crash is in the spool, or was and is done with. */
WAITS static bool
went_already(const struct sender *sender, const struct tls_report_row *row)
{
    struct events_query query = { .message = row->message, .limit = 1 };
    bool found = spool_has(sender->queue->spool, row->message);

    if (!found && sender->queue->events)
        (void)(events_find(sender->queue->events, &query, found_one, &found) == OK);
    return found;
}

WAITS static enum err
send_mail(struct sender *sender, struct tls_report_row *row, const struct tls_identity *identity,
          const struct tlsrpt_rua *rua, str gzip)
{
    static const msgid none;
    char how[100], id[MSGID_TEXT_SIZE + 1];
    bool is_new = msgid_cmp(row->message, none) == 0;
    enum err e;

    if (!is_new && went_already(sender, row))
        return arrived(sender, row, "it was in the queue already");
    if (!identity->signs)
        return put_off(sender, row, "no DKIM key signs for the domain of tls_reports.from");
    if (is_new)
        row->message = new_id();
    e = mark(sender, row, TLS_REPORT_SENDING);
    if (e)
        return e;
    e = write_mail(sender, row, identity, rua, gzip);
    if (e && e != ERR_EXISTS) {
        snprintf(how, sizeof(how), "the mail could not be put into the queue: %s", err_name(e));
        return put_off(sender, row, how);
    }
    msgid_format(row->message, id);
    snprintf(how, sizeof(how), "by mail, as %s", id);
    return arrived(sender, row, how);
}

WAITS static enum err
send_post(struct sender *sender, struct tls_report_row *row, const struct tlsrpt_rua *rua, str gzip)
{
    char answer[TLS_POSTING_TEXT_MAX];
    struct tls_posting posting = {
        .rua = rua,
        .gzip = gzip,
        .context = sender->queue->tls_context,
        .private = sender->config->tls_reports.private_addresses,
        .timeout = POST_TIMEOUT,
    };
    enum err e = mark(sender, row, TLS_REPORT_SENDING);

    if (e)
        return e;
    e = tls_report_post(&posting, &sender->arena, answer);
    if (e == ERR_CANCELLED) {
        row->state = TLS_REPORT_WAITING;
        (void)(tls_reports_mark(sender->reports, clock_now(), row) == OK);
        return e;
    }
    return e ? put_off(sender, row, answer) : arrived(sender, row, answer);
}

WAITS static enum err
send_report(struct sender *sender, struct tls_report_row *row)
{
    struct tls_identity identity;
    struct tlsrpt_rua rua;
    struct buf gzip;
    enum err e = tls_identity_of(sender->config, sender->queue->keyring, &sender->arena, &identity);

    if (e)
        return e;
    if (!tlsrpt_read_uri(row->uri, &sender->arena, &rua))
        return put_off(sender, row, "there is no such place");
    buf_init(&gzip, TLSRPT_JSON_MAX);
    e = make_report(sender, &identity, &row->domain, &gzip);
    if (!e)
        e = rua.address.len ? send_mail(sender, row, &identity, &rua, buf_str(&gzip))
                            : send_post(sender, row, &rua, buf_str(&gzip));
    else if (e != ERR_CANCELLED)
        e = put_off(sender, row, "the report could not be made");
    buf_done(&gzip);
    return e;
}

/* One report, in a fiber of its own: who takes it may be slow. */
struct sending {
    struct sender sender;
    struct tls_report_row *row;
    enum err result;
};

WAITS static void
send_one(void *arg)
{
    struct sending *sending = arg;

    arena_init(&sending->sender.arena, SEND_MEMORY_MAX);
    sending->result = send_report(&sending->sender, sending->row);
    arena_done(&sending->sender.arena);
}

WAITS static enum err
send_some(const struct sender *sender, struct arena *arena, struct tls_report_row *rows,
          size_t count)
{
    struct sending *sendings = arena_new_array(arena, struct sending, count);
    struct group group;
    enum err e = sendings ? OK : ERR_LIMIT;

    group_init(&group);
    for (size_t i = 0; i < count && !e; i++) {
        sendings[i] = (struct sending){ .sender = *sender, .row = &rows[i] };
        e = group_start(&group, send_one, &sendings[i], "tls report");
    }
    group_join(&group);
    for (size_t i = 0; i < count && !e; i++)
        e = sendings[i].result;
    return e;
}

WAITS static enum err
send_all(struct sender *sender)
{
    struct tls_report_row *rows;
    struct arena list;
    size_t count = 0;
    enum err e = OK;

    arena_init(&list, SEND_MEMORY_MAX);
    do {
        arena_clear(&list);
        e = tls_reports_due(sender->reports, clock_now(), sender->is_first, SENT_AT_ONCE, &list,
                            &rows, &count);
        if (!e && count)
            e = send_some(sender, &list, rows, count);
    } while (!e && count == SENT_AT_ONCE);
    arena_done(&list);
    return e;
}

/* --- The day's work. */

static const struct config *
config_now(struct queue *queue)
{
    const struct config *config;

    pthread_mutex_lock(&queue->lock);
    config = config_ref((struct config *)queue->config);
    pthread_mutex_unlock(&queue->lock);
    return config;
}

/* All that is due; *NEXT is when there is more. */
WAITS static enum err
work(struct queue *queue, bool *is_first, instant *next)
{
    struct sender sender = { .queue = queue,
                             .reports = queue->tls_reports,
                             .config = config_now(queue),
                             .is_first = *is_first };
    duration look = MIN(HOURS(1), sender.config->tls_reports.period / 10);
    enum err e = OK;

    arena_init(&sender.arena, SEND_MEMORY_MAX);
    *next = clock_now() + look;
    if (sender.config->tls_reports.send)
        e = tls_reports_flush(sender.reports); /* A day that is over must be whole. */
    if (!e && sender.config->tls_reports.send)
        e = ask_all(&sender);
    if (!e && sender.config->tls_reports.send)
        e = send_all(&sender);
    if (!e)
        e = tls_reports_expire(sender.reports, clock_now());
    *is_first = *is_first && e;
    if (!e)
        e = tls_reports_next(sender.reports, next);
    /* What waits while nothing is sent is due all the time. */
    if (!e && *next)
        *next =
            sender.config->tls_reports.send ? MIN(*next, clock_now() + look) : clock_now() + look;
    arena_done(&sender.arena);
    config_unref((struct config *)sender.config);
    return e;
}

WAITS void
tls_reports_send_run(void *arg)
{
    struct queue *queue = arg;
    struct tls_reports *reports = queue->tls_reports;
    bool is_first = true;
    enum err e = OK;

    while (e != ERR_CANCELLED) {
        instant next = 0;
        instant deadline = NEVER;
        if (atomic_load(&reports->has_rows)) {
            atomic_store(&reports->has_rows, false);
            e = work(queue, &is_first, &next);
            if (e && e != ERR_CANCELLED)
                log_warning("reports about TLS could not be sent: %s", err_name(e));
            if (e || next)
                atomic_store(&reports->has_rows, true);
            if (e || next)
                deadline = deadline_in(e ? MINUTES(1) : MAX(next - clock_now(), SECONDS(1)));
        }
        if (e != ERR_CANCELLED)
            e = bell_wait(&reports->due, deadline);
    }
}
