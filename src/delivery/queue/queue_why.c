/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* queue_why.c: why a recipient waits, in words, and what one can do.
 *
 * queue_sentence() is a line of a list; queue_tell() is the paragraph of `outpost queue why`: where
 * it is, what was answered, what its site is doing, what happens next.  What one may type next
 * comes from the table `advice` by the class of the last answer.  Start reading at queue_tell().
 */
#include "delivery/queue/queue_advice.h"
#include "delivery/queue/queue_look.h"

#include "delivery/rules/classify.h"
#include "delivery/queue/cluster.h"
#include "delivery/rules/standing.h"
#include "formats/date.h"
#include "runtime/clock.h"

#include <stdio.h>
#include <string.h>

enum {
    STORY_MAX = 8192
};

const char *const queue_state_names[] = {
    [ROW_SCHEDULED] = "scheduled",
    [ROW_READY] = "ready",
    [ROW_RUNNING] = "running",
    [ROW_HELD] = "held",
};

/* --- Times. */

void
queue_put_duration(struct buf *buf, duration time)
{
    static const struct {
        duration unit;
        const char *name;
    } units[] = { { DAYS(1), "d" }, { HOURS(1), "h" }, { MINUTES(1), "min" }, { SECONDS(1), "s" } };

    time = MAX(time, 0);
    for (size_t i = 0; i < COUNT_OF(units); i++) {
        int64_t whole = time / units[i].unit;
        int64_t rest;
        if (whole == 0 && i + 1 < COUNT_OF(units))
            continue;
        buf_addf(buf, "%lld %s", (long long)whole, units[i].name);
        if (i + 1 == COUNT_OF(units) || whole >= 10)
            return;
        rest = time % units[i].unit / units[i + 1].unit;
        if (rest)
            buf_addf(buf, " %lld %s", (long long)rest, units[i + 1].name);
        return;
    }
}

void
queue_put_when(struct buf *buf, instant when, instant now)
{
    char text[DATE_TEXT_MAX];

    date_format_rfc3339(when, false, text);
    buf_addf(buf, "%s", text);
    if (when > now) {
        buf_add(buf, S(" (in "));
        queue_put_duration(buf, when - now);
        buf_add(buf, S(")"));
    }
}

/* --- Sentences. */

/* "rule 3 (slow provider:google: 421 4.7.28, by root)" */
static bool
put_rule(struct queue *queue, struct buf *buf, uint32_t id)
{
    struct standing_rule rule;
    struct arena arena;
    str words = S("");
    bool found;

    arena_init(&arena, 64 * 1024);
    found = standing_find(queue->standing, id, &arena, &rule) &&
            standing_describe(&rule, &arena, &words);
    if (found)
        buf_addf(buf, "rule %u (%.*s: %.*s, by %.*s)", id, STR_ARG(words), STR_ARG(rule.reason),
                 STR_ARG(rule.actor));
    arena_done(&arena);
    return found;
}

static void
put_held(struct queue *queue, struct buf *buf, const struct row_view *row)
{
    if (!row->kept) {
        buf_add(buf, S("It is held, until somebody releases it."));
        return;
    }
    buf_add(buf, S("It is held by "));
    if (!put_rule(queue, buf, row->rule))
        buf_add(buf, S("a rule that has just ended"));
    buf_add(buf, S("."));
}

static void
put_scheduled(struct queue *queue, struct buf *buf, const struct row_view *row, instant now)
{
    if (row->kept) {
        buf_add(buf, S("It is put off by "));
        if (!put_rule(queue, buf, row->rule))
            buf_add(buf, S("a rule that has just ended"));
        buf_add(buf, S("; it may go at "));
    } else {
        buf_add(buf, row->attempts ? S("Its next attempt is at ") : S("It waits for its time, "));
    }
    queue_put_when(buf, row->due, now);
    buf_add(buf, S("."));
}

static void
put_ready(struct buf *buf, const struct row_view *row, instant now)
{
    if (row->wait.kind == WAIT_NOTHING) {
        buf_addf(buf, "It is about to go to %.*s", STR_ARG(row->site));
        if (row->reason.len)
            buf_addf(buf, ", which said a while ago: %.*s", STR_ARG(row->reason));
        buf_add(buf, S("."));
        return;
    }
    buf_addf(buf, "It waits: %s", row->wait.text);
    if (row->wait.until > now) {
        buf_add(buf, row->wait.kind == WAIT_RATE ? S("; the next message may go at ")
                                                 : S("; it goes on at "));
        queue_put_when(buf, row->wait.until, now);
    }
    buf_add(buf, S("."));
}

static void
put_state(struct queue *queue, struct buf *buf, const struct row_view *row, instant now)
{
    switch (row->state) {
    case ROW_HELD:
        put_held(queue, buf, row);
        break;
    case ROW_RUNNING:
        buf_addf(buf, "A delivery to %.*s is under way.", STR_ARG(row->site));
        break;
    case ROW_SCHEDULED:
        put_scheduled(queue, buf, row, now);
        break;
    case ROW_READY:
        put_ready(buf, row, now);
        break;
    default:
        break;
    }
}

str
queue_sentence(struct queue *queue, struct arena *arena, const struct row_view *row)
{
    str text = S("");
    struct buf buf;

    buf_init(&buf, STORY_MAX);
    put_state(queue, &buf, row, clock_now());

    if (!arena_copy(arena, buf_str(&buf), &text))
        text = S("");
    buf_done(&buf);
    return text;
}

/* --- The paragraph. */

/* What its site said to others, or before MAIL, keeps it back as well as an answer of its own. */
static void
put_other_answer(struct buf *buf, const struct queue_recipient *to, const char *reason,
                 const char *class)
{
    if (reason[0] == '\0') {
        buf_add(buf, to->attempts ? S("") : S(" It was never tried."));
        return;
    }
    buf_addf(buf, " It got no answer of its own yet; what its site said last: \"%s\"", reason);
    if (class[0])
        buf_addf(buf, " (class %s)", class);
    buf_add(buf, S("."));
}

static void
put_answer(struct buf *buf, const struct queue_recipient *to, const char *class, instant now)
{
    if (to->attempts)
        buf_addf(buf, " It was tried %u time%s; the last answer", to->attempts,
                 to->attempts == 1 ? "" : "s");
    else
        buf_add(buf, S(" It was refused before it was offered; the last answer"));
    if (to->last_attempt) {
        buf_add(buf, S(", "));
        queue_put_duration(buf, now - to->last_attempt);
        buf_add(buf, S(" ago"));
    }
    if (to->remote.len)
        buf_addf(buf, ", of %.*s", STR_ARG(to->remote));
    buf_add(buf, S(": \""));
    if (to->code)
        buf_addf(buf, "%u ", to->code);
    if (to->enhanced.len)
        buf_addf(buf, "%.*s ", STR_ARG(to->enhanced));
    buf_addf(buf, "%.*s\"", STR_ARG(to->text));
    if (class[0])
        buf_addf(buf, " (class %s)", class);
    buf_add(buf, S("."));
}

/* What the tables know of the site that RECIPIENT waits for. */
struct place {
    bool known;
    unsigned running;
    unsigned limit;
    struct schedule_wait wait;
    char reason[200]; /* What it said last, when it is not well. */
    uint64_t waiting; /* At the site, or the whole provider. */
};

static bool
is_same_place(const struct schedule_site *site, const struct schedule_site *wanted)
{
    str provider = queue_provider_of(wanted);

    return site == wanted || (provider.len && str_eq(provider, queue_provider_of(site)));
}

static void
find_place(struct queue *queue, const struct queue_recipient *to, struct place *place)
{
    const struct schedule_site *site = NULL;
    const struct schedule_target *target;
    void *value;
    str key;

    *place = (struct place){};
    pthread_mutex_lock(&queue->lock);
    target = map_get(&queue->schedule.targets, to->route);
    site = target ? target->site : NULL;
    if (site) {
        place->known = true;
        place->running = site->own.running;
        place->limit = site->own.limit;
        schedule_site_why(&queue->schedule, site, clock_now(), &place->wait);
        (void)snprintf(place->reason, sizeof(place->reason), "%.*s",
                       STR_ARG(queue_site_reason(site)));
        for (size_t at = 0; map_next(&queue->schedule.targets, &at, &key, &value);) {
            const struct schedule_target *other = value;
            if (is_same_place(other->site, site))
                place->waiting += other->rows;
        }
    }
    pthread_mutex_unlock(&queue->lock);
}

static void
put_place(struct buf *buf, const struct queue_recipient *to, const struct place *place, instant now)
{
    if (!place->known || str_eq(str_from(to->state), S("running")))
        return;
    buf_addf(buf, " Its site is %.*s", STR_ARG(to->site));
    if (to->provider.len)
        buf_addf(buf, " (%.*s)", STR_ARG(to->provider));
    buf_addf(buf, ": %u of %u connection%s in use", place->running, place->limit,
             place->limit == 1 ? "" : "s");
    /* What a ready one waits for was said already. */
    if (!str_eq(str_from(to->state), S("ready")) && place->wait.until > now) {
        buf_addf(buf, ", and %s, until ", place->wait.text);
        queue_put_when(buf, place->wait.until, now);
    }
    buf_addf(buf, "; %llu other recipient%s for it.", (unsigned long long)(place->waiting - 1),
             place->waiting == 2 ? " waits" : "s wait");
}

/* What concerns all that waits for the same place: "provider:google", "site:mx.example.org". */
bool
queue_place_words(struct arena *arena, str provider, str site, str *words)
{
    str first;

    if (provider.len)
        return arena_printf(arena, words, "provider:%.*s", STR_ARG(provider));
    (void)str_split(site, ',', &first, &site);
    return arena_printf(arena, words, "site:%.*s", STR_ARG(first));
}

static enum advice_case
case_of(const struct queue_recipient *to, const struct place *place, enum reply_class class)
{
    if (to->rule && !str_eq(str_from(to->state), S("running")))
        return ADVICE_RULE;
    if (str_eq(str_from(to->state), S("held")))
        return ADVICE_HELD;
    if (place->wait.kind == WAIT_RATE || (place->reason[0] && place->wait.kind != WAIT_PAUSE))
        return ADVICE_THROTTLED;
    return class == CLASS_NONE ? ADVICE_NONE : ADVICE_CLASS;
}

/* RFC 8689. */
static void
put_wish(struct buf *buf, enum tls_wish wish)
{
    if (wish == TLS_REQUIRED)
        buf_add(buf, S(" Its sender demands TLS with verified hosts on the whole way (REQUIRETLS)."));
    else if (wish == TLS_OPTIONAL)
        buf_add(buf, S(" It may go without TLS, whatever the domain asks (TLS-Required: No)."));
}

enum err
queue_tell(struct queue *queue, const struct queue_entry *entry, const struct queue_recipient *to,
           struct arena *arena, struct queue_story *story)
{
    const struct shaping *shaping = queue_shaping(queue);
    struct advice advice = { .code = to->code, .enhanced = to->enhanced };
    char id[MSGID_TEXT_SIZE + 1];
    instant now = clock_now();
    enum reply_class class;
    struct place place;
    str text = to->text;
    struct buf buf;
    bool fits;

    find_place(queue, to, &place);
    if (to->text.len == 0)
        text = queue_take_answer(str_from(place.reason), &advice.code, &advice.enhanced);
    class = queue_class(shaping, to->provider, advice.code, advice.enhanced, text);
    shaping_unref(shaping);
    msgid_format(entry->id, id);
    buf_init(&buf, STORY_MAX);
    buf_add(&buf, to->wait);
    if (to->text.len)
        put_answer(&buf, to, reply_class_name(class), now);
    else
        put_other_answer(&buf, to, place.reason, reply_class_name(class));
    put_place(&buf, to, &place, now);
    put_wish(&buf, entry->tls_wish);
    buf_add(&buf, S(" It goes back to its sender at "));
    queue_put_when(&buf, to->expires, now);
    buf_add(&buf, S(", if nothing helps."));
    *story = (struct queue_story){ .class = str_from(reply_class_name(class)),
                                   .others = place.waiting ? place.waiting - 1 : 0 };
    if (text.len)
        cluster_format(cluster_id(advice.code, advice.enhanced, text), story->cluster);
    fits = arena_copy(arena, buf_str(&buf), &story->text) &&
           queue_place_words(arena, to->provider, to->site, &advice.place);
    buf_done(&buf);
    advice.id = str_from(id);
    advice.rule = to->rule;
    advice.address = to->address;
    if (!advice.code)
        queue_split_answer(str_from(place.reason), &advice.code, &advice.enhanced);
    fits = fits && advice_give(case_of(to, &place, class), class, &advice, arena, &story->advice,
                               story->commands, &story->command_count);
    return fits ? OK : ERR_LIMIT;
}
