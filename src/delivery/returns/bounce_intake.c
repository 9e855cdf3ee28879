/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* bounce_intake.c: from a report to events of the message that it is about.
 *
 * A return path names a message, and perhaps a recipient.  Who that was stands in the record of
 * events: the message itself has mostly left the spool when a report about it comes.  Where the
 * path names nobody, a report speaks of those of its recipients who are recipients of the message.
 *
 * Reports from the null reverse-path are read whatever their form; from others, which some servers
 * send, plain words are not believed.  Start reading at bounce_intake().
 */
#include "delivery/returns/bounce_intake.h"

#include "accounts/suppression.h"
#include "delivery/queue/queue_inside.h"
#include "delivery/returns/return_address.h"
#include "formats/report.h"
#include "runtime/clock.h"
#include "runtime/log.h"

#include <stdio.h>
#include <string.h>

enum {
    EVENTS_LOOKED_AT = 5000, /* Of one message. */
    REPORT_MEMORY = REPORT_ARENA + REPORT_LOOKED_AT + 64 * 1024,
    RESOLVED_MAX = 320,
};

/* Somebody to whom the message went. */
struct addressee {
    bool is_found;
    str address; /* In the arena of the reading. */
    uint32_t index;
    bool is_named; /* By the report, exactly; and by the return path, or by the host that has him. */
};

struct reading {
    struct runner *runner;
    const struct envelope *envelope; /* Of the report. */
    struct return_path path;
    struct arena arena;
    str bytes;
    struct report report;
    enum err result;
    /* Of the message that it is about. */
    bool is_known;
    str sender;
    str account;
    enum lane lane;
    bool has_lane;
    struct addressee named; /* By the path. */
    size_t counted;
    size_t repeated;
};

/* --- The report. */

WAITS static enum err
read_bytes(struct reading *r, struct body *body)
{
    size_t size = (size_t)MIN(body_size(body), (uint64_t)REPORT_LOOKED_AT);
    char *bytes = arena_alloc(&r->arena, size + 1);
    size_t len = 0, got = 1;
    enum err e = bytes ? OK : ERR_LIMIT;

    while (!e && len < size && got > 0) {
        e = body_read(body, len, bytes + len, size - len, &got);
        len += e ? 0 : got;
    }
    r->bytes = (str){ bytes, len };
    return e;
}

static void
parse(void *arg)
{
    struct reading *r = arg;

    r->result = report_read(r->bytes, &r->arena, &r->report);
}

/* The return path of the original inside, where it is one of ours. */
static bool
path_inside(struct reading *r)
{
    const str texts[] = { r->report.feedback.mail_from, r->report.return_path };
    struct queue *queue = r->runner->queue;
    struct return_address found;

    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        if (!texts[i].len ||
            return_address_check(r->runner->config, queue->accounts, queue->secrets, texts[i],
                                 clock_now(), &r->arena, &found) ||
            found.kind != RETURN_REPORT)
            continue;
        r->path = found.path;
        return true;
    }
    return false;
}

/* --- The message that it is about. */

static bool
speaks_of_recipient(const struct event *event)
{
    switch (event->kind) {
    case EVENT_ACCEPTED:
    case EVENT_DELIVERED:
    case EVENT_DEFERRED:
    case EVENT_BOUNCED:
    case EVENT_EXPIRED:
    case EVENT_REDIRECTED:
        return event->recipient.len > 0;
    default:
        return false;
    }
}

/* "lane bulk: …" */
static enum lane
lane_told(str text)
{
    enum lane lane;
    str name, rest;

    if (str_starts(text, S("lane ")) && str_split(str_skip(text, 5), ':', &name, &rest) &&
        lane_parse(name, &lane))
        return lane;
    return LANE_PERSONAL;
}

static bool
see_message(void *arg, const struct event *event)
{
    struct reading *r = arg;

    if (event->sender.len && !r->is_known)
        r->is_known = arena_copy(&r->arena, event->sender, &r->sender) &&
                      arena_copy(&r->arena, event->account, &r->account);
    if (event->kind == EVENT_ACCEPTED) {
        r->lane = lane_told(event->text);
        r->has_lane = true;
    }
    if (speaks_of_recipient(event) && event->recipient_index == (int64_t)r->path.index &&
        !r->named.is_found) {
        r->named.is_found = arena_copy(&r->arena, event->recipient, &r->named.address);
        r->named.index = r->path.index;
    }
    return !r->is_known || !r->has_lane ||
           (r->path.index != RETURN_PATH_NOBODY && !r->named.is_found);
}

/* What was recorded a moment ago is still to be written. */
WAITS static enum err
find_message(struct reading *r)
{
    struct events_query query = {
        .message = r->path.message,
        .oldest_first = true,
        .limit = EVENTS_LOOKED_AT,
    };
    struct events *events = r->runner->queue->events;
    enum err e;

    if (!events)
        return OK;
    e = events_flush(events);
    return e ? e : events_find(events, &query, see_message, r);
}

struct search {
    struct reading *reading;
    str address;
    struct addressee *found;
};

/* Whoever has the message knows a return path that names nobody, and could say of the others what
 * he likes. */
static bool
is_from_its_host(const struct reading *r, const struct event *event)
{
    ipaddr host;

    return event->kind == EVENT_DELIVERED && ipaddr_parse(event->mx_ip, &host) &&
           ipaddr_eq(host, r->envelope->client.addr);
}

static bool
see_recipient(void *arg, const struct event *event)
{
    struct search *search = arg;
    struct addressee *found = search->found;

    /* The sender may have this address as well. */
    if (!speaks_of_recipient(event) || !str_eq_nocase(event->recipient, search->address))
        return true;
    found->index = (uint32_t)event->recipient_index;
    found->is_named = is_from_its_host(search->reading, event);
    found->is_found = arena_copy(&search->reading->arena, event->recipient, &found->address);
    return false;
}

/* ADDRESS, if the message went there. */
WAITS static enum err
find_recipient(struct reading *r, str address, struct addressee *found)
{
    struct events_query query = {
        .message = r->path.message,
        .address = address,
        .limit = EVENTS_LOOKED_AT,
    };
    struct search search = { r, address, found };

    if (!address.len || address.len > RESOLVED_MAX)
        return OK;
    return events_find(r->runner->queue->events, &query, see_recipient, &search);
}

static bool
names(const struct report_recipient *row, str address)
{
    return str_eq_nocase(row->original, address) || str_eq_nocase(row->final, address);
}

/* Of whom ROW speaks.  Where the path names one, a row about another is about him as well, when it
 * is the only one: his mail went on to there. */
WAITS static enum err
addressee_of(struct reading *r, const struct report_recipient *row, struct addressee *found)
{
    enum err e;

    *found = (struct addressee){ 0 };
    if (r->path.index != RETURN_PATH_NOBODY) {
        *found = r->named;
        found->is_named = names(row, r->named.address) || !report_address(row).len;
        if (!found->is_named && r->report.recipient_count > 1)
            found->is_found = false;
        return OK;
    }
    e = find_recipient(r, row->original, found);
    return e || found->is_found ? e : find_recipient(r, row->final, found);
}

/* --- What it changes. */

struct earlier {
    uint32_t index;
    bool seen;
};

static bool
see_earlier(void *arg, const struct event *event)
{
    struct earlier *earlier = arg;

    earlier->seen = event->recipient_index == (int64_t)earlier->index;
    return !earlier->seen;
}

/* Two that come at the same moment find nothing written yet: one of them finds this.  Nothing waits
 * between this and the record. */
static bool
is_just_seen(struct queue *queue, uint64_t hash)
{
    bool seen = false;

    pthread_mutex_lock(&queue->lock);
    for (size_t i = 0; i < COUNT_OF(queue->recent_reports); i++)
        seen = seen || queue->recent_reports[i] == hash;
    if (!seen)
        queue->recent_reports[queue->recent_report_count++ % COUNT_OF(queue->recent_reports)] =
            hash;
    pthread_mutex_unlock(&queue->lock);
    return seen;
}

WAITS static enum err
was_recorded(struct reading *r, enum event_kind kind, const struct addressee *to, bool *was)
{
    struct events_query query = {
        .message = r->path.message,
        .address = to->address,
        .kind = kind,
    };
    struct earlier earlier = { .index = to->index };
    uint64_t hash = str_hash((str){ (const char *)r->path.message.bytes, sizeof(msgid) });
    enum err e;

    hash = (hash * 31 + (uint64_t)kind) * 65599 + to->index + 1;
    e = events_find(r->runner->queue->events, &query, see_earlier, &earlier);
    *was = !e && (earlier.seen || is_just_seen(r->runner->queue, hash));
    return e;
}

/* The event of the original message, once. */
WAITS static enum err
record(struct reading *r, struct event *event, const struct addressee *to, bool *is_new)
{
    char id[MSGID_TEXT_SIZE + 1];
    str text = event->text;
    bool was;
    enum err e = was_recorded(r, event->kind, to, &was);

    *is_new = !e && !was;
    r->counted += *is_new;
    r->repeated += !e && was;
    if (e || was)
        return e;
    msgid_format(r->envelope->id, id);
    event->message = r->path.message;
    event->sender = r->sender;
    event->account = r->account;
    event->recipient = to->address;
    event->recipient_index = to->index;
    event->stage = S("report");
    if (!arena_printf(&r->arena, &event->text, "%.*s, says the report %s", STR_ARG(text), id))
        return ERR_LIMIT;
    events_record(r->runner->queue->events, event);
    return OK;
}

/* Nothing is learnt where a report may speak of another address than the one that we wrote to, or
 * one recipient of another. */
WAITS static void
learn(struct reading *r, enum suppression_reason reason, const struct event *about,
      const struct addressee *to)
{
    struct queue *queue = r->runner->queue;
    struct suppression_news news = {
        .reason = reason,
        .account = r->account,
        .sender = r->sender,
        .lane = r->lane,
        .message = r->path.message,
        .recipient = to->address,
        .text = about->text_raw.len ? about->text_raw : about->enhanced,
        .source = S("report"),
    };
    struct event event = *about;
    bool entered = false;
    enum err e;

    if (!to->is_found || !to->is_named)
        return;
    e = suppression_learn(queue->suppression, &news, clock_now(), &entered, NULL);
    if (e)
        log_warning("an entry for the suppression list could not be kept: %s", err_name(e));
    if (e || !entered)
        return;
    event.kind = EVENT_SUPPRESSED;
    event.stage = S("learnt");
    event.text = news.text;
    events_record(queue->events, &event);
}

static bool
is_permanent(const struct report_recipient *row)
{
    return row->status.len ? str_starts(row->status, S("5.")) : row->code / 100 == 5;
}

static enum reply_class
class_of(const struct reading *r, const struct report_recipient *row, const struct addressee *to)
{
    ssize_t at = str_find_last(to->address, '@');
    const struct shaping *shaping = r->runner->shaping;
    struct shaping_verdict verdict;
    unsigned code = row->code;

    if (!code)
        code = row->action == REPORT_FAILED && !str_starts(row->status, S("4.")) ? 550 : 451;
    shaping_judge(shaping,
                  shaping_provider_of(shaping, NULL, 0, str_skip(to->address, (size_t)(at + 1))),
                  (uint16_t)code, row->status, row->text, &verdict);
    return verdict.class;
}

WAITS static enum err
read_row(struct reading *r, const struct report_recipient *row)
{
    bool failed = row->action == REPORT_FAILED;
    struct event event = {
        .kind = failed ? EVENT_BOUNCED_LATER : EVENT_DELAYED,
        .text = failed ? S("It failed after it was taken") : S("It is late after it was taken"),
        .code = row->code,
        .enhanced = row->status,
        .text_raw = row->text,
        .mx = row->remote.len ? row->remote : r->report.reporting_mta,
    };
    enum reply_class class;
    struct addressee to;
    bool is_new;
    enum err e;

    if (!failed && row->action != REPORT_DELAYED)
        return OK;
    e = addressee_of(r, row, &to);
    if (e || !to.is_found)
        return e;
    class = class_of(r, row, &to);
    event.class = str_from(reply_class_name(class));
    e = record(r, &event, &to, &is_new);
    if (is_new && failed && is_permanent(row) && reply_class_is_dead(class))
        learn(r, SUPPRESSION_BOUNCE, &event, &to);
    return e;
}

/* RFC 5965 7.3, RFC 6591: others than these are not about who does not want our mail. */
static bool
is_complaint(const struct report *report)
{
    static const char *const types[] = { "abuse",        "fraud", "virus", "opt-out",
                                         "opt-out-list", "other", "" };

    for (size_t i = 0; i < COUNT_OF(types); i++)
        if (str_eq(report->feedback.type, str_from(types[i])))
            return true;
    return false;
}

/* Whom the path names; else one that the report names, if he is one of them. */
WAITS static enum err
find_one(struct reading *r, str address, struct addressee *to)
{
    *to = r->named;
    to->is_named = true;
    return r->path.index != RETURN_PATH_NOBODY ? OK : find_recipient(r, address, to);
}

/* Also when nobody can be named: a complaint about the message it is all the same. */
WAITS static enum err
read_complaint(struct reading *r)
{
    const struct report_feedback *feedback = &r->report.feedback;
    struct event event = { .kind = EVENT_COMPLAINT,
                           .text = S("Its recipient has complained"),
                           .class = feedback->type,
                           .text_raw = feedback->user_agent,
                           .mx = feedback->reporting_mta };
    struct addressee to;
    bool is_new;
    enum err e;

    if (!is_complaint(&r->report))
        return OK;
    e = find_one(r, feedback->rcpt_to, &to);
    if (!e)
        e = record(r, &event, &to, &is_new);
    if (!e && is_new)
        learn(r, SUPPRESSION_COMPLAINT, &event, &to);
    return e;
}

WAITS static enum err
read_answer(struct reading *r)
{
    struct event event = {
        .kind = EVENT_REPLIED,
        .text = r->report.kind == REPORT_CHALLENGE
                    ? S("A program asks for a proof before it lets it through")
                    : S("A program answered"),
        .text_raw = r->report.subject,
    };
    struct addressee to;
    bool is_new;
    enum err e = find_one(r, r->report.from, &to);

    return e || !to.is_found ? e : record(r, &event, &to, &is_new);
}

/* Somebody who is no mail server may know the address as well: RFC 3464 is what a server speaks. */
static bool
may_believe(const struct reading *r)
{
    return !r->envelope->reverse_path.len || r->report.form == REPORT_FORM_FIELDS ||
           r->report.form == REPORT_FORM_ARF;
}

WAITS static enum err
learn_from(struct reading *r, bool only_complaints)
{
    enum err e = OK;

    switch (r->report.kind) {
    case REPORT_FEEDBACK:
        return read_complaint(r);
    case REPORT_FAILURE:
    case REPORT_DELAY:
        if (only_complaints || !may_believe(r))
            return OK;
        for (const struct report_recipient *row = r->report.recipients; row && !e; row = row->next)
            e = read_row(r, row);
        return e;
    case REPORT_AUTO_REPLY:
    case REPORT_CHALLENGE:
        return only_complaints ? OK : read_answer(r);
    case REPORT_SUCCESS:
    case REPORT_OTHER:
        break;
    }
    return OK;
}

static enum err
tell(const struct reading *r, struct bounce_news *news)
{
    const char *how = r->counted    ? ""
                      : r->repeated ? ", known already"
                                    : ", of nobody to whom it went";
    struct arena *arena = &r->runner->arena;
    char id[MSGID_TEXT_SIZE + 1];
    bool told;

    msgid_format(r->path.message, id);
    if (r->report.kind == REPORT_OTHER)
        told = arena_printf(arena, &news->told, "Is for the sender of message %s", id);
    else
        told = arena_printf(arena, &news->told, "Read as %s of message %s%s",
                            report_kind_name(r->report.kind), id, how);
    news->is_understood = r->counted + r->repeated > 0;
    return told && arena_copy(arena, r->sender, &news->sender) ? OK : ERR_LIMIT;
}

WAITS static enum err
read_all(struct reading *r, struct body *body, const struct return_path *path,
         struct bounce_news *news)
{
    enum err e = read_bytes(r, body);

    if (e)
        return e;
    offload(parse, r);
    if (r->result)
        return r->result;
    if (path)
        r->path = *path;
    else if (!path_inside(r))
        return OK;
    e = find_message(r);
    if (e || !r->is_known)
        return e;
    news->is_known = true;
    e = learn_from(r, !path);
    return e ? e : tell(r, news);
}

enum err
bounce_intake(struct runner *runner, const struct envelope *envelope, struct body *body,
              const struct return_path *path, struct bounce_news *news)
{
    struct reading reading = {
        .runner = runner,
        .envelope = envelope,
        .path = { .index = RETURN_PATH_NOBODY },
    };
    enum err e;

    *news = (struct bounce_news){ .told = S("It is about no message that is known here") };
    arena_init(&reading.arena, REPORT_MEMORY);
    e = read_all(&reading, body, path, news);
    arena_done(&reading.arena);
    return e;
}
