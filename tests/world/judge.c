/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* judge.c: what must hold when nobody waits any more, and the figures of many worlds.
 *
 * "Learnt": a limit may be broken while it is found out, a quarter of an hour after the backlog
 * came, or three periods of a rate; from then on refusals for it stay a small share of the attempts
 * of each window.  The steady state, in which throughput is measured, begins then, too, and ends
 * when the backlog would be gone at the rate that the receiver allows.  After a crash all that was
 * learnt is gone: worlds with crashes are judged for losses and repeats only.  Start reading at
 * judge().
 */
#include "world.h"

#include <stdarg.h>
#include <string.h>

enum {
    LEARNING_WINDOWS = 3, /* A quarter of an hour, or */
    LEARNING_PERIODS = 3, /* so many of the receiver's own, if that is longer. */
    LEARNING_PENALTIES = 4,
    LEARNING_GROWTH = 15,
    REFUSED_ONE_IN = 20, /* Attempts of a window may be refused for a limit, */
    REFUSED_FREE = 4,    /* and so many more: a cut at the door is believed late. */
    REACHED_LEAST = 90,  /* Of what is allowed, in a hundred. */
    WINDOWS_LEAST = 60, /* With fewer, one site that is unlucky decides. */
    WINDOWS_OVER_ONE_IN = 20,
    EXCESS_MOST = 1,   /* The probe. */
    SECONDS_MOST = 16, /* For what is in the queue beside newsletters. */
    SPANS_LEAST = 60,
    CONNECTIONS_MAX = 20, /* delivery.site_connections_max. */
    COMPLAINTS_MAX = 4
};

/* An attempt that is under way when the time is over goes on. */
static const duration late_excused = MINUTES(15);

/* For a letter that is no newsletter; told with --verbose. */
#define LONG MINUTES(1)

/* The same where a rate must be kept, by lane; the last are small newsletters. */
static const double seconds_at_rate[LANE_COUNT + 1] = { 8, 64, 256, 0, 256 };

/* --- Saying it. */

static void
complain(struct tally *tally, const struct world *world, FILE *out, const char *format, ...)
{
    va_list args;

    if (tally->failures++ >= COMPLAINTS_MAX)
        return;
    fprintf(out, "seed %llu: ", (unsigned long long)world->options.seed);
    va_start(args, format);
    vfprintf(out, format, args);
    va_end(args);
    fprintf(out, "\n");
}

static const char *
lane_words(size_t lane)
{
    return lane < LANE_COUNT ? lane_name((enum lane)lane) : "a small newsletter";
}

static void
span_add(struct spans *spans, duration time)
{
    size_t step = 0;

    while (step + 1 < SPAN_STEPS && time > SECONDS(1) << step)
        step++;
    spans->steps[step]++;
    spans->count++;
    spans->total += time;
    spans->most = MAX(spans->most, time);
}

/* The step below which SHARE of them are, in seconds. */
static double
span_quantile(const struct spans *spans, double share)
{
    uint64_t seen = 0;

    for (size_t i = 0; i < SPAN_STEPS; i++) {
        seen += spans->steps[i];
        if ((double)seen >= share * (double)spans->count)
            return (double)(1ULL << i);
    }
    return 0;
}

/* Whether it says anything of limits and times. */
static bool
is_calm(const struct world *world)
{
    return world->crash_count == 0 && !world->options.meddles;
}

/* --- Losses and repeats. */

static bool
is_dead(enum kind kind)
{
    switch (kind) {
    case KIND_DEAD:
    case KIND_SILENT:
    case KIND_DNS_DEAD:
    case KIND_DNS_BOGUS:
    case KIND_DNS_NO_DATA:
    case KIND_DNS_NO_NAME:
        return true;
    default:
        return false;
    }
}

static bool
must_come_back(const struct world *world, const struct letter *letter)
{
    return letter->manner == MANNER_UNKNOWN || letter->manner == MANNER_FULL ||
           is_dead(world->sites[letter->site].kind);
}

/* NULL when all is well. */
static const char *
judge_letter(const struct world *world, const struct letter *letter)
{
    bool cuts = world->sites[letter->site].kind == KIND_FLAKY ||
                world->sites[letter->site].kind == KIND_CUTS;

    if (letter->delivered && letter->delivered_at < letter->release_at && !world->options.meddles)
        return "delivered before its time";
    if (letter->by && letter->delivered && letter->delivered_at > letter->by + late_excused)
        return "delivered after the time by which it was to be returned";
    if (letter->by && letter->delivered == 0 && letter->failed_reports > 0)
        return NULL;
    if (must_come_back(world, letter)) {
        if (letter->delivered)
            return "delivered where nobody takes it";
        if (letter->failed_reports == 0)
            return "neither delivered nor returned";
    } else if (letter->delivered == 0) {
        if (letter->failed_reports == 0)
            return "neither delivered nor returned";
        if (!cuts)
            return "returned though it could be delivered";
    } else if (letter->failed_reports && !cuts && world->crash_count == 0) {
        return "delivered and returned";
    }
    if (world->crash_count == 0 && letter->failed_reports > 1)
        return "returned twice";
    if (world->crash_count == 0 && letter->delayed_reports > 1)
        return "reported late twice";
    return NULL;
}

/* Seconds after the begin of the world; 0: never. */
static double
since(const struct world *world, instant when)
{
    return when ? (double)(when - world->begins) / SECONDS(1) : 0;
}

static void
judge_letters(struct world *world, struct tally *tally, FILE *out)
{
    for (uint32_t i = 0; i < world->letter_count; i++) {
        const struct letter *letter = &world->letters[i];
        struct site *site = &world->sites[letter->site];
        const char *wrong;
        if (letter->lane == LANE_BULK && !letter->small && letter->manner == MANNER_TAKEN)
            site->last_bulk = MAX(site->last_bulk, letter->delivered_at);
        if (!letter->promised)
            continue;
        tally->letters++;
        tally->delivered += letter->delivered > 0;
        tally->returned += letter->failed_reports > 0;
        tally->lost += letter->delivered == 0 && letter->failed_reports == 0;
        wrong = judge_letter(world, letter);
        if (wrong)
            complain(
                tally, world, out,
                "letter r%u to site %u (%s), posted %.0f s, released %.0f s, wanted by %.0f s, "
                "delivered %.0f s after the begin: %s",
                i, site->number, kinds[site->kind].name, since(world, letter->post_at),
                since(world, letter->release_at), since(world, letter->by),
                since(world, letter->delivered_at), wrong);
    }
    if (!world->settled)
        complain(tally, world, out, "somebody still waits after six days");
    if (world->repeats)
        complain(tally, world, out, "%llu deliveries were repeated without an excuse",
                 (unsigned long long)world->repeats);
    if (world->strange)
        complain(tally, world, out, "%llu commands or addresses that nobody should send",
                 (unsigned long long)world->strange);
}

/* --- Limits and throughput. */

/* The windows of SITE's steady state: from this one. */
static unsigned
steady_begin(const struct world *world, const struct site *site)
{
    unsigned learnt = MAX((unsigned)LEARNING_WINDOWS,
                          (unsigned)(LEARNING_PERIODS * site->period / window_length));

    learnt += (unsigned)(LEARNING_PENALTIES * site->penalty / window_length);
    /* That more is allowed, nobody says. */
    if (site->change_at && site->allowed > site->allowed_before)
        learnt = LEARNING_GROWTH;
    if (site->change_at)
        learnt += (unsigned)((site->change_at - world->begins) / window_length);
    return learnt;
}

/* To before this one. */
static unsigned
steady_end(const struct world *world, const struct site *site)
{
    double left = site->takers;
    double seconds = 0;

    if (site->change_at) {
        seconds = (double)(site->change_at - world->begins) / SECONDS(1);
        left -= site->allowed_before * seconds;
    }
    seconds += left / site->allowed;
    return MIN((unsigned)(seconds / ((double)window_length / SECONDS(1))), (unsigned)WINDOWS);
}

/* One line, and the first windows: taken of attempts. */
static void
show_site(const struct site *site, uint64_t taken, double allowed, unsigned end, FILE *out)
{
    fprintf(out, "  site %u (%s): %u letters, %.2f/min allowed, %.0f of %.0f in the steady state;",
            site->number, kinds[site->kind].name, site->takers, site->allowed * 60, (double)taken,
            allowed);
    if (site->rate)
        fprintf(out, " %u in %.0f s;", site->rate, (double)site->period / SECONDS(1));
    if (site->cap)
        fprintf(out, " %u connections;", site->cap);
    for (unsigned i = 0; i < end; i++)
        fprintf(out, " %u/%u", site->windows[i].taken, site->windows[i].attempts);
    fprintf(out, "\n");
}

static void
judge_windows(const struct world *world, const struct site *site, struct tally *tally, FILE *out)
{
    struct kind_tally *kind = &tally->kinds[site->kind];
    unsigned end = steady_end(world, site);
    unsigned learnt = steady_begin(world, site);
    uint64_t before = 0, taken = 0;
    double allowed;

    for (unsigned i = 0; i < learnt; i++)
        before += site->windows[i].taken;
    for (unsigned i = learnt; i < end; i++) {
        const struct window *window = &site->windows[i];
        taken += window->taken;
        kind->attempts += window->attempts;
        kind->over_rate += window->over_rate;
        kind->over_cap += window->over_cap;
        kind->windows++;
        kind->windows_over += (window->over_rate + window->over_cap) * REFUSED_ONE_IN >
                              window->attempts + REFUSED_FREE * REFUSED_ONE_IN;
        kind->excess_max = MAX(kind->excess_max, (uint64_t)window->excess);
    }
    if (end <= learnt)
        return;
    allowed = site->allowed * (double)(end - learnt) * (double)window_length / SECONDS(1);
    if (allowed > (double)site->takers - (double)before)
        allowed = (double)site->takers - (double)before;
    if (allowed <= 0)
        return;
    kind->allowed += allowed;
    kind->reached += (double)taken > allowed ? allowed : (double)taken;
    if (world->options.verbose)
        show_site(site, taken, allowed, end, out);
}

/* Nothing but our own ceiling bounds it: how long the backlog took, and how long it would take
 * with all connections from the first second on. */
static void
measure_drain(const struct world *world, const struct site *site, struct kind_tally *kind)
{
    kind->ideal_seconds +=
        (double)site->takers * (double)site->latency / SECONDS(1) / CONNECTIONS_MAX;
    kind->drained++;
    kind->seconds += (double)(site->last_bulk - world->begins) / SECONDS(1);
}

static void
judge_sites(const struct world *world, struct tally *tally, FILE *out)
{
    for (unsigned i = 0; i < world->site_count; i++) {
        const struct site *site = &world->sites[i];
        struct kind_tally *kind = &tally->kinds[site->kind];
        kind->sites++;
        kind->letters += site->letters;
        kind->taken += site->taken;
        if (!site->is_large || !is_calm(world))
            continue;
        if (site->allowed > 0)
            judge_windows(world, site, tally, out);
        else if (site->last_bulk > 0 && site->leader == i)
            measure_drain(world, site, kind);
    }
}

/* --- How long it took. */

static void
measure_letter(const struct world *world, const struct letter *letter, struct tally *tally)
{
    const struct site *site = &world->sites[letter->site];
    duration time = letter->delivered_at - MAX(letter->post_at, letter->release_at);

    span_add(&tally->beside[site->rate > 0][letter->small ? LANE_COUNT : letter->lane], time);
    if (world->options.verbose && letter->lane < LANE_BULK && time > LONG)
        printf("  r%u (%s) to site %u (%s): posted %.0f s, released %.0f s, delivered %.0f s\n",
               (unsigned)(letter - world->letters), lane_name((enum lane)letter->lane),
               letter->site, kinds[site->kind].name, since(world, letter->post_at),
               since(world, letter->release_at), since(world, letter->delivered_at));
}

static void
measure_lanes(const struct world *world, struct tally *tally)
{
    for (uint32_t i = 0; i < world->letter_count; i++) {
        const struct letter *letter = &world->letters[i];
        const struct site *site = &world->sites[letter->site];
        if (site->is_large && site->penalty == 0 && letter->delivered > 0 &&
            letter->manner == MANNER_TAKEN)
            measure_letter(world, letter, tally);
    }
}

static void
measure_recovery(const struct world *world, struct tally *tally)
{
    for (uint32_t i = 0; i < world->letter_count; i++) {
        const struct letter *letter = &world->letters[i];
        const struct site *site = &world->sites[letter->site];
        instant ready = MAX(letter->post_at, letter->release_at);
        if (ready >= site->sick_from && ready < site->sick_until && letter->delivered > 0 &&
            letter->manner == MANNER_TAKEN)
            span_add(&tally->recovery, letter->delivered_at - site->sick_until);
    }
}

static void
measure_healthy(const struct world *world, struct spans *spans)
{
    for (uint32_t i = 0; i < world->letter_count; i++) {
        const struct letter *letter = &world->letters[i];
        if (kinds[world->sites[letter->site].kind].healthy && letter->delivered > 0 &&
            letter->manner == MANNER_TAKEN)
            span_add(spans, letter->delivered_at - MAX(letter->post_at, letter->release_at));
    }
}

static void
spans_add(struct spans *sum, const struct spans *one)
{
    for (size_t i = 0; i < SPAN_STEPS; i++)
        sum->steps[i] += one->steps[i];
    sum->count += one->count;
    sum->total += one->total;
    sum->most = MAX(sum->most, one->most);
}

static double
span_mean(const struct spans *spans)
{
    return spans->count ? (double)spans->total / SECONDS(1) / (double)spans->count : 0;
}

void
judge_pair(struct world *with, struct world *without, struct tally *tally, FILE *out)
{
    struct spans sick = {}, alone = {};

    measure_healthy(with, &sick);
    measure_healthy(without, &alone);
    spans_add(&tally->healthy, &sick);
    spans_add(&tally->healthy_alone, &alone);
    if (span_mean(&sick) > span_mean(&alone) * 1.1 + 1 ||
        span_quantile(&sick, 0.99) > 2 * span_quantile(&alone, 0.99))
        complain(tally, with, out,
                 "sick sites delay healthy ones: %.1f s on average, 99 of 100 in %.0f s; alone "
                 "%.1f s and %.0f s",
                 span_mean(&sick), span_quantile(&sick, 0.99), span_mean(&alone),
                 span_quantile(&alone, 0.99));
}

void
judge(struct world *world, struct tally *tally, FILE *out)
{
    tally->worlds++;
    tally->crashes += world->crash_count;
    tally->sites += world->site_count;
    tally->virtual_time += world->ended - world->begins;
    tally->repeats += world->repeats;
    tally->repeats_excused += world->repeats_excused;
    judge_letters(world, tally, out);
    judge_sites(world, tally, out);
    if (!is_calm(world))
        return;
    measure_lanes(world, tally);
    measure_recovery(world, tally);
}

/* --- Many worlds. */

void
tally_add(struct tally *sum, const struct tally *one)
{
    sum->worlds += one->worlds;
    sum->crashes += one->crashes;
    sum->sites += one->sites;
    sum->letters += one->letters;
    sum->delivered += one->delivered;
    sum->returned += one->returned;
    sum->lost += one->lost;
    sum->repeats += one->repeats;
    sum->repeats_excused += one->repeats_excused;
    sum->failures += one->failures;
    sum->virtual_time += one->virtual_time;
    for (size_t i = 0; i < KIND_COUNT; i++) {
        struct kind_tally *to = &sum->kinds[i];
        const struct kind_tally *from = &one->kinds[i];
        to->sites += from->sites;
        to->letters += from->letters;
        to->taken += from->taken;
        to->allowed += from->allowed;
        to->reached += from->reached;
        to->ideal_seconds += from->ideal_seconds;
        to->seconds += from->seconds;
        to->drained += from->drained;
        to->windows += from->windows;
        to->windows_over += from->windows_over;
        to->attempts += from->attempts;
        to->over_rate += from->over_rate;
        to->over_cap += from->over_cap;
        to->excess_max = MAX(to->excess_max, from->excess_max);
    }
    for (size_t i = 0; i < COUNT_OF(sum->beside); i++)
        for (size_t lane = 0; lane <= LANE_COUNT; lane++)
            spans_add(&sum->beside[i][lane], &one->beside[i][lane]);
    spans_add(&sum->recovery, &one->recovery);
    spans_add(&sum->healthy, &one->healthy);
    spans_add(&sum->healthy_alone, &one->healthy_alone);
}

static void
print_spans(const char *name, const struct spans *spans, FILE *out)
{
    if (spans->count)
        fprintf(
            out,
            "%s: %llu, %.1f s on average, half within %.0f s, 95 of 100 within %.0f s, 99 within "
            "%.0f s, the last %.0f s\n",
            name, (unsigned long long)spans->count, span_mean(spans), span_quantile(spans, 0.5),
            span_quantile(spans, 0.95), span_quantile(spans, 0.99),
            (double)spans->most / SECONDS(1));
}

static double
percent(double part, double all)
{
    return all > 0 ? 100 * part / all : 0;
}

static void
print_kind(size_t index, const struct kind_tally *kind, FILE *out)
{
    if (kind->sites == 0)
        return;
    fprintf(out, "%-24s %7llu sites %9llu letters", kinds[index].name,
            (unsigned long long)kind->sites, (unsigned long long)kind->letters);
    if (kind->allowed > 0)
        fprintf(
            out,
            "  reached %5.1f %%, refused %4.1f %% + %4.1f %%, %llu of %llu windows, excess %llu",
            percent(kind->reached, kind->allowed),
            percent((double)kind->over_rate, (double)kind->attempts),
            percent((double)kind->over_cap, (double)kind->attempts),
            (unsigned long long)kind->windows_over, (unsigned long long)kind->windows,
            (unsigned long long)kind->excess_max);
    if (kind->seconds > 0)
        fprintf(out, "  drained in %.0f s on average, at best %.0f s",
                kind->seconds / (double)kind->drained, kind->ideal_seconds / (double)kind->drained);
    fprintf(out, "\n");
}

/* Who punishes the question itself cannot be asked what he allows. */
static bool
is_judged(size_t kind)
{
    return kind != KIND_RATE_PUNISHES;
}

void
tally_print(const struct tally *tally, bool verbose, FILE *out)
{
    double allowed = 0, reached = 0;

    if (verbose)
        fprintf(out, "After a quarter of an hour: what was reached of what the receiver allows; "
                     "attempts refused "
                     "for rate + for connections;\nwindows of five minutes with more than a "
                     "twentieth refused; "
                     "connections above the cap.\n");
    for (size_t i = 0; i < KIND_COUNT; i++) {
        if (is_judged(i)) {
            allowed += tally->kinds[i].allowed;
            reached += tally->kinds[i].reached;
        }
        if (verbose)
            print_kind(i, &tally->kinds[i], out);
    }
    fprintf(out,
            "%llu worlds, %llu sites, %llu crashes, %llu letters: %llu delivered, %llu returned, "
            "%llu lost; "
            "%llu repeated (%llu more with an excuse); throughput %.1f %%\n",
            (unsigned long long)tally->worlds, (unsigned long long)tally->sites,
            (unsigned long long)tally->crashes, (unsigned long long)tally->letters,
            (unsigned long long)tally->delivered, (unsigned long long)tally->returned,
            (unsigned long long)tally->lost, (unsigned long long)tally->repeats,
            (unsigned long long)tally->repeats_excused, allowed > 0 ? 100 * reached / allowed : 0);
    for (size_t i = 0; i < COUNT_OF(tally->beside); i++)
        for (size_t lane = 0; lane <= LANE_COUNT; lane++) {
            char name[64];
            (void)snprintf(name, sizeof(name), "%s beside a backlog%s", lane_words(lane),
                           i ? " at a rate" : "");
            print_spans(name, &tally->beside[i][lane], out);
        }
    print_spans("after an outage", &tally->recovery, out);
    print_spans("letters to healthy sites", &tally->healthy, out);
    print_spans("the same without sick ones", &tally->healthy_alone, out);
}

/* For one kind, or for all together (NAME). */
static void
judge_bars(const char *name, const struct kind_tally *kind, struct tally *tally, FILE *out)
{
    if (kind->windows < WINDOWS_LEAST)
        return;
    if (percent(kind->reached, kind->allowed) < REACHED_LEAST) {
        tally->failures++;
        fprintf(out, "%s: %.1f %% of what is allowed was reached, %u %% must be\n", name,
                percent(kind->reached, kind->allowed), REACHED_LEAST);
    }
    if (kind->windows_over * WINDOWS_OVER_ONE_IN > kind->windows) {
        tally->failures++;
        fprintf(out, "%s: in %llu of %llu windows too much was refused for a limit that is known\n",
                name, (unsigned long long)kind->windows_over, (unsigned long long)kind->windows);
    }
    if (kind->excess_max > EXCESS_MOST) {
        tally->failures++;
        fprintf(out, "%s: %llu connections more than allowed, when that is known\n", name,
                (unsigned long long)kind->excess_max);
    }
}

static void
judge_lane(size_t lane, const struct spans *spans, double most, struct tally *tally, FILE *out)
{
    if (spans->count < SPANS_LEAST || span_quantile(spans, 0.95) <= most)
        return;
    tally->failures++;
    fprintf(out, "%s: 95 of 100 took up to %.0f s beside a backlog, %.0f s is the bar\n",
            lane_words(lane), span_quantile(spans, 0.95), most);
}

void
judge_all(struct tally *tally, FILE *out)
{
    struct kind_tally all = {};

    for (size_t i = 0; i < KIND_COUNT; i++) {
        const struct kind_tally *kind = &tally->kinds[i];
        if (!is_judged(i))
            continue;
        judge_bars(kinds[i].name, kind, tally, out);
        all.reached += kind->reached;
        all.allowed += kind->allowed;
        all.windows += kind->windows;
        all.windows_over += kind->windows_over;
    }
    judge_bars("all sites", &all, tally, out);
    for (size_t lane = 0; lane <= LANE_COUNT; lane++) {
        if (lane == LANE_BULK)
            continue;
        judge_lane(lane, &tally->beside[0][lane], SECONDS_MOST, tally, out);
        judge_lane(lane, &tally->beside[1][lane], seconds_at_rate[lane], tally, out);
    }
}
