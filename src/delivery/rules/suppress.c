/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* suppress.c: the suppression list where mail goes out.
 *
 * The gates of intake refuse what they can while the client still listens.  Here stands the last
 * question, before every attempt: for recipients that were suppressed when their message had others
 * beside, and for all that was entered while a message waited.  Such a recipient fails at once,
 * with an event of its own, and a report where one is wanted.  And here is learnt from the answers:
 * suppress_learn() of the dead, attempt_unlearn() of the living.  Start reading at
 * attempt_leave_suppressed().
 */
#include "accounts/suppression.h"

#include "delivery/attempt.h"
#include "runtime/clock.h"
#include "runtime/log.h"

#include <stdio.h>

enum {
    TEXT_MAX = 200,
    REFUSED_CODE = 550
};
#define REFUSED_ENHANCED "5.7.1"

/* Only what begins its way here: the mail of strangers that an alias sends on is theirs. */
static bool
is_ours(const struct config *config, const struct envelope *envelope)
{
    const struct config_networks *trusted = &config->trust.network;

    if (envelope->door == DOOR_SUBMISSION || envelope->door == DOOR_LOCAL || envelope->account.len)
        return true;
    if (envelope->door != DOOR_MX)
        return false;
    for (size_t i = 0; i < trusted->count; i++)
        if (network_holds(&trusted->items[i], envelope->client.addr))
            return true;
    return false;
}

static void
fill_mail(const struct config *config, const struct envelope *envelope, str recipient,
          struct suppression_mail *mail)
{
    const struct config_list *of =
        config_find_list(config, envelope->reverse_path, envelope->account);

    *mail = (struct suppression_mail){ .account = envelope->account,
                                       .sender = envelope->reverse_path,
                                       .recipient = recipient,
                                       .knows_lane = true,
                                       .lane = envelope->lane,
                                       .list = of ? of->name : S("") };
}

static void
record(struct queue *queue, const struct envelope *envelope, const struct schedule_row *row,
       const char *stage, const char *text)
{
    struct event event = {
        .kind = EVENT_SUPPRESSED,
        .message = envelope->id,
        .sender = envelope->reverse_path,
        .account = envelope->account,
        .recipient = envelope->recipients[row->index].address,
        .recipient_index = row->index,
        .stage = str_from(stage),
        .text = str_from(text),
    };

    if (str_eq(event.stage, S("delivery"))) {
        event.code = REFUSED_CODE;
        event.enhanced = S(REFUSED_ENHANCED);
    }
    if (queue->events)
        events_record(queue->events, &event);
}

/* True when ROW has left the attempt, its result among RETURNED. */
WAITS static bool
leave_out(struct attempt *a, struct schedule_row *row, struct result *returned)
{
    struct runner *runner = a->runner;
    struct suppression_mail mail;
    struct suppression_entry entry;
    char said[TEXT_MAX];
    str text;
    bool found;

    fill_mail(runner->config, &a->envelope, a->envelope.recipients[row->index].address, &mail);
    /* A list that cannot be read keeps nothing back: what comes of that is a bounce, at worst. */
    if (suppression_check(runner->queue->suppression, &mail, clock_now(), &runner->arena, &found,
                          &entry) ||
        !found)
        return false;
    suppression_tell(&entry, said, sizeof(said));
    if (!arena_printf(&runner->arena, &text, "Suppressed: %s", said))
        return false;
    *returned = (struct result){
        .row = row,
        .outcome = OUTCOME_FAILED,
        .code = REFUSED_CODE,
        .enhanced = REFUSED_ENHANCED,
        .text = text.ptr,
        .remote = "",
        .is_attempt = true,
    };
    record(runner->queue, &a->envelope, row, "delivery", said);
    return true;
}

WAITS void
attempt_leave_suppressed(struct attempt *a)
{
    struct suppression_stats stats;
    struct result *returned;
    size_t count = 0;
    size_t left = 0;

    suppression_stats(a->runner->queue->suppression, &stats);
    if (stats.entries == 0 || !is_ours(a->runner->config, &a->envelope))
        return;
    returned = arena_new_array(&a->runner->arena, struct result, a->count);
    if (!returned)
        return;
    for (size_t i = 0; i < a->count; i++) {
        if (leave_out(a, a->rows[i], &returned[count]))
            count++;
        else
            a->rows[left++] = a->rows[i];
    }
    a->count = left;
    if (count)
        settle(a->runner->loop, a->runner->batch.message, &a->envelope, returned, count);
}

WAITS void
attempt_unlearn(struct attempt *a)
{
    struct suppression_mail mail;
    struct suppression_stats stats;

    suppression_stats(a->runner->queue->suppression, &stats);
    /* A relay takes what it is given: that says nothing of the mailbox. */
    if (stats.entries == 0 || a->route.kind != ROUTE_MX ||
        !is_ours(a->runner->config, &a->envelope))
        return;
    for (size_t i = 0; i < a->result_count; i++) {
        str recipient = a->envelope.recipients[a->results[i].row->index].address;
        if (a->results[i].outcome != OUTCOME_DELIVERED)
            continue;
        fill_mail(a->runner->config, &a->envelope, recipient, &mail);
        suppression_unlearn(a->runner->queue->suppression, &mail, clock_now());
    }
}

WAITS void
suppress_learn(struct queue *queue, const struct config *config, const struct envelope *envelope,
               const struct result *result, const char *enhanced, const char *text)
{
    char said[TEXT_MAX];
    struct suppression_news news = {
        .reason = SUPPRESSION_BOUNCE,
        .account = envelope->account,
        .sender = envelope->reverse_path,
        .lane = envelope->lane,
        .message = envelope->id,
        .recipient = envelope->recipients[result->row->index].address,
        .source = S(SUPPRESSION_BY_DELIVERY),
    };
    bool entered;
    enum err e;

    if (!queue->suppression || result->outcome != OUTCOME_FAILED || result->code / 100 != 5 ||
        !reply_class_is_dead(result->class) || !is_ours(config, envelope))
        return;
    snprintf(said, sizeof(said), "%u %s%s%s", result->code, enhanced, enhanced[0] ? " " : "", text);
    news.text = str_from(said);
    e = suppression_learn(queue->suppression, &news, clock_now(), &entered, NULL);
    if (e)
        log_warning("an entry for the suppression list could not be kept: %s", err_name(e));
    else if (entered)
        record(queue, envelope, result->row, "learnt", said);
}
