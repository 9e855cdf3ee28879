/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* queue_trouble.c: which receivers take less than there is, for `outpost status` and for counts.
 *
 * With half of fifty thousand domains dead this is asked under the lock: numbers are compared for
 * all, words are made for the few that are shown.  Start reading at queue_troubles().
 */
#include "delivery/queue/queue_advice.h"
#include "delivery/queue/queue_look.h"

#include "runtime/clock.h"

#include <stdlib.h>

bool
queue_site_state(const struct schedule *schedule, const struct schedule_site *site, instant now,
                 struct buf *buf)
{
    struct schedule_wait wait;

    buf_clear(buf);
    schedule_site_why(schedule, site, now, &wait);
    if (wait.kind == WAIT_RATE || wait.kind == WAIT_PAUSE) {
        buf_addf(buf, "%s; %s at ", wait.text, wait.kind == WAIT_RATE ? "next" : "again");
        if (wait.until > now)
            queue_put_when(buf, wait.until, now);
        else
            buf_add(buf, S("any moment"));
    } else if (queue_site_reason(site).len) {
        str reason = queue_site_reason(site);
        buf_addf(buf, "takes less than there is, by %u connection%s (%.*s)", site->own.limit,
                 site->own.limit == 1 ? "" : "s", STR_ARG(reason));
    } else {
        return false;
    }
    return true;
}

struct found {
    const struct schedule_site *site; /* One of them. */
    uint64_t waiting;
};

static int
compare_found(const void *a, const void *b)
{
    const struct found *const *first = a, *const *second = b;

    return ((*first)->waiting < (*second)->waiting) - ((*first)->waiting > (*second)->waiting);
}

/* Under the lock. */
static enum err
find_all(const struct schedule *schedule, instant now, struct arena *arena, struct map *places)
{
    void *value;
    str key;

    for (size_t at = 0; map_next(&schedule->targets, &at, &key, &value);) {
        const struct schedule_target *target = value;
        const struct schedule_site *site = target->site;
        str provider = queue_provider_of(site);
        str place = provider.len ? provider : str_from(site->key);
        struct found *found;
        if (target->rows == 0 ||
            (schedule_site_paused_until(site, now) <= now &&
             schedule_site_throttled_until(site, now) <= now && queue_site_reason(site).len == 0))
            continue;
        found = map_get(places, place);
        if (!found) {
            found = arena_new(arena, struct found);
            if (!found || map_put(places, place, found))
                return ERR_LIMIT;
            found->site = site;
        }
        found->waiting += target->rows;
    }
    return OK;
}

/* Under the lock: the largest of PLACES in words. */
static enum err
tell_largest(const struct schedule *schedule, const struct map *places, size_t max, instant now,
             struct arena *arena, struct queue_trouble *troubles, size_t *count)
{
    struct found **sorted = arena_new_array(arena, struct found *, map_count(places) + 1);
    size_t at = 0, total = 0;
    struct buf buf;
    bool fits = sorted;
    void *value;
    str key;

    while (sorted && map_next(places, &at, &key, &value))
        sorted[total++] = value;
    if (sorted)
        qsort(sorted, total, sizeof(*sorted), compare_found);
    buf_init(&buf, 2048);
    *count = MIN(max, total);
    for (size_t i = 0; fits && i < *count; i++) {
        const struct schedule_site *site = sorted[i]->site;
        troubles[i].waiting = sorted[i]->waiting;
        (void)queue_site_state(schedule, site, now, &buf);
        fits = arena_copy(arena, buf_str(&buf), &troubles[i].state) &&
               queue_place_words(arena, queue_provider_of(site), str_from(site->key),
                                 &troubles[i].place);
    }
    buf_done(&buf);
    return fits ? OK : ERR_LIMIT;
}

enum err
queue_troubles(struct queue *queue, size_t max, struct arena *arena,
               struct queue_trouble **troubles, size_t *count, uint64_t *all)
{
    instant now = clock_now();
    struct map places;
    enum err e;

    *troubles = arena_new_array(arena, struct queue_trouble, max + 1);
    if (!*troubles)
        return ERR_LIMIT;
    map_init(&places, 0);
    pthread_mutex_lock(&queue->lock);
    e = find_all(&queue->schedule, now, arena, &places);
    if (!e)
        e = tell_largest(&queue->schedule, &places, max, now, arena, *troubles, count);
    pthread_mutex_unlock(&queue->lock);
    *all = map_count(&places);
    map_done(&places);
    return e;
}
