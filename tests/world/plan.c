/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* plan.c: the sites of a world and the letters to them, drawn from the seed.
 *
 * A limit is drawn as what it allows in an hour, so that a backlog that takes about an hour is of
 * a bearable size whatever the kind.  Start reading at world_plan().
 */
#include "world.h"

#include "base/must.h"
#include "runtime/clock.h"

#include <stdlib.h>
#include <string.h>

/* clang-format off */
const struct kind_facts kinds[KIND_COUNT] = {
    [KIND_PLAIN]         = { "plain",                     22, true,  true },
    [KIND_RATE_421]      = { "rate, 421",                  8, true,  false },
    [KIND_RATE_450]      = { "rate, 450",                  6, true,  false },
    [KIND_RATE_WINDOW]   = { "rate, fixed windows",        5, true,  false },
    [KIND_RATE_CHANGES]  = { "rate that changes",          3, true,  false },
    [KIND_RATE_PUNISHES] = { "rate with a penalty",        2, true,  false },
    [KIND_CAP_421]       = { "connections, 421",           6, true,  false },
    [KIND_CAP_REFUSE]    = { "connections, refused",       4, true,  false },
    [KIND_CONNECT_RATE]  = { "connections a minute",       3, true,  true },
    [KIND_SESSION]       = { "messages a connection",      4, true,  true },
    [KIND_RECIPIENTS]    = { "recipients a message",       4, true,  true },
    [KIND_PROVIDER]      = { "provider of many domains",   5, true,  false },
    [KIND_GREAT]         = { "sites of a great provider",  5, true,  false },
    [KIND_GREY]          = { "greylisting",                6, false, false },
    [KIND_TARPIT]        = { "tarpit",                     3, false, false },
    [KIND_FLAKY]         = { "random resets",              4, false, false },
    [KIND_CUTS]          = { "cuts after the dot",         2, false, false },
    [KIND_OUTAGE_REFUSE] = { "an hour refused",            3, false, false },
    [KIND_OUTAGE_SILENT] = { "an hour silent",             3, false, false },
    [KIND_OUTAGE_421]    = { "an hour of 421",             2, false, false },
    [KIND_DISK_FULL]     = { "disk full for a while",      2, false, false },
    [KIND_DEFERS_FIRST]  = { "first host puts off",        3, true,  false },
    [KIND_BROKEN_V6]     = { "IPv6 does not work",         3, true,  false },
    [KIND_DEAD_FIRST]    = { "first host refuses",         3, true,  false },
    [KIND_SILENT_FIRST]  = { "first host silent",          2, true,  false },
    [KIND_DEAD]          = { "dead, refuses",              3, false, false },
    [KIND_SILENT]        = { "dead, silent",               3, false, false },
    [KIND_DNS_OUTAGE]    = { "DNS fails for a while",      2, false, false },
    [KIND_DNS_DEAD]      = { "DNS fails",                  1, false, false },
    [KIND_DNS_BOGUS]     = { "DNS bogus",                  1, false, false },
    [KIND_DNS_NO_DATA]   = { "no host in the DNS",         1, false, false },
    [KIND_DNS_NO_NAME]   = { "no such domain",             1, false, false },
    [KIND_TLS_BROKEN]    = { "TLS breaks",                 2, false, true },
    [KIND_TLS_REFUSED]   = { "TLS refused",                2, false, true },
    [KIND_HOME]          = { "home",                       0, false, true },
};

enum {
    BACKLOG_MINUTES = 60,
    CAP_MINUTES = 40,
    CHANGE_MINUTES = 20,
    GROWTH_MINUTES = 60,
    GREAT_COUNT = 3,
    ALLOWED_LEAST = 240,    /* Messages an hour. */
    ALLOWED_SPAN = 900,
    PER_SITE_LEAST = 2,
    PER_SITE_SPAN = 12,
    SESSION_LEAST = 1,
    TIMED_ONE_IN = 16,
    SMALL_LETTERS = 3,
    MESSAGE_LETTERS_MAX = 40
};
/* clang-format on */

/* What a site without a limit gets: as if it took so many messages a second. */
#define LIKE_A_LIMIT 0.2

static uint64_t
draw(struct world *world, uint64_t limit)
{
    return rand_below(&world->dice, limit);
}

static duration
draw_time(struct world *world, duration least, duration most)
{
    return least + (duration)draw(world, (uint64_t)(most - least));
}

ipaddr
world_address(const struct site *site, unsigned host)
{
    return ipaddr_from_v4(ADDRESS_BASE + site->number * HOST_STEP + host);
}

ipaddr
world_address_v6(const struct site *site, unsigned host)
{
    uint32_t number = ADDRESS_BASE + site->number * HOST_STEP + host;
    uint8_t bytes[16] = { 0xfd, 0 };

    for (unsigned i = 0; i < 4; i++)
        bytes[15 - i] = (uint8_t)(number >> 8 * i);
    return ipaddr_from_v6(bytes);
}

void
world_domain(const struct site *site, unsigned domain, char *text, size_t size)
{
    (void)snprintf(text, size, "d%u.s%u.example", domain, site->number);
}

void
world_host(const struct world *world, const struct site *site, unsigned host, char *text,
           size_t size)
{
    /* So that the shipped rules know them. */
    static const char *const great[GREAT_COUNT] = { "l.google.com", "am0.yahoodns.net",
                                                    "mail.protection.outlook.com" };

    (void)snprintf(text, size, "mx%u-s%u.%s", host, site->number,
                   site->kind == KIND_GREAT ? great[world->great] : "example");
}

/* --- Sites. */

static unsigned
weight_of(const struct world *world, size_t kind)
{
    if (!world->options.only)
        return kinds[kind].weight;
    return kind != KIND_HOME && strstr(kinds[kind].name, world->options.only) ? 1 : 0;
}

static enum kind
draw_kind(struct world *world)
{
    unsigned total = 0;
    uint64_t at;

    for (size_t i = 0; i < KIND_COUNT; i++)
        total += weight_of(world, i);
    at = draw(world, total);
    for (size_t i = 0; i < KIND_COUNT; i++) {
        unsigned weight = weight_of(world, i);
        if (at < weight)
            return (enum kind)i;
        at -= weight;
    }
    return KIND_PLAIN;
}

/* A few connections, each of which takes its time. */
static void
give_cap(struct world *world, struct site *site)
{
    site->cap = 1 + (unsigned)draw(world, 8);
    site->latency = draw_time(world, SECONDS(2), SECONDS(10));
    site->allowed = (double)site->cap / ((double)site->latency / SECONDS(1));
}

static void
give_rate(struct world *world, struct site *site, unsigned allowed, duration period)
{
    site->period = period;
    site->rate = MAX(1U, (unsigned)(allowed * period / HOURS(1)));
    site->allowed = (double)site->rate / ((double)period / SECONDS(1));
    site->latency = draw_time(world, MILLISECONDS(50), SECONDS(2));
    for (unsigned i = 0; i < SOURCES_MAX; i++)
        site->counters[i] = (struct counters){ .bucket = site->rate,
                                               .bucket_at = world->begins,
                                               .window_at = world->begins };
}

static void
give_sickness(struct world *world, struct site *site, duration least, duration most)
{
    site->sick_from = world->begins + draw_time(world, -MINUTES(20), MINUTES(60));
    site->sick_until = site->sick_from + draw_time(world, least, most);
}

/* After CHANGE_MINUTES a third of it, or twice as much. */
static void
give_change(struct world *world, struct site *site)
{
    bool grows = draw(world, 2);

    site->allowed_before = site->allowed;
    site->change_at = world->begins + MINUTES(CHANGE_MINUTES);
    site->rate_after = grows ? site->rate * 2 : MAX(1U, site->rate / 3);
    site->allowed *= (double)site->rate_after / site->rate;
}

static void
give_limits(struct world *world, struct site *site, unsigned allowed)
{
    switch (site->kind) {
    case KIND_RATE_421:
    case KIND_RATE_450:
        give_rate(world, site, allowed, MINUTES(1 + (duration)draw(world, 4)));
        break;
    case KIND_RATE_CHANGES:
        give_rate(world, site, allowed, MINUTES(1 + (duration)draw(world, 3)));
        give_change(world, site);
        break;
    case KIND_RATE_PUNISHES:
        give_rate(world, site, allowed, MINUTES(1));
        site->penalty = draw_time(world, SECONDS(30), MINUTES(5));
        break;
    case KIND_CONNECT_RATE:
        site->connects_max = 2 + (unsigned)draw(world, 10);
        break;
    case KIND_RATE_WINDOW:
        give_rate(world, site, allowed, MINUTES(1 + (duration)draw(world, 10)));
        site->fixed_windows = true;
        break;
    case KIND_CAP_421:
    case KIND_CAP_REFUSE:
        give_cap(world, site);
        break;
    case KIND_PROVIDER:
        site->domains = 2 + (unsigned)draw(world, 30);
        site->hosts = 2;
        give_rate(world, site, allowed, MINUTES(1));
        site->cap = 2 + (unsigned)draw(world, 6);
        site->latency = MIN(site->latency, HOURS(1) / allowed * site->cap / 2);
        break;
    case KIND_GREAT:
        site->hosts = 2;
        give_rate(world, site, allowed, MINUTES(1 + (duration)draw(world, 10)));
        break;
    case KIND_SESSION:
        site->session_max = SESSION_LEAST + (unsigned)draw(world, 20);
        break;
    case KIND_RECIPIENTS:
        site->recipients_max = 1 + (unsigned)draw(world, 20);
        break;
    default:
        break;
    }
}

static void
give_troubles(struct world *world, struct site *site)
{
    switch (site->kind) {
    case KIND_GREY:
        site->grey_min = draw_time(world, MINUTES(1), MINUTES(15));
        break;
    case KIND_TARPIT:
        site->tarpit = draw_time(world, SECONDS(2), SECONDS(40));
        break;
    case KIND_FLAKY:
        site->resets_one_in = 3 + (unsigned)draw(world, 20);
        break;
    case KIND_CUTS:
        site->cuts_one_in = 2 + (unsigned)draw(world, 6);
        site->stalls_one_in = 20;
        break;
    case KIND_OUTAGE_REFUSE:
    case KIND_OUTAGE_SILENT:
    case KIND_OUTAGE_421:
        give_sickness(world, site, MINUTES(30), MINUTES(90));
        break;
    case KIND_DISK_FULL:
    case KIND_DNS_OUTAGE:
        give_sickness(world, site, MINUTES(5), MINUTES(60));
        break;
    case KIND_DEFERS_FIRST:
    case KIND_DEAD_FIRST:
    case KIND_SILENT_FIRST:
        site->hosts = 2 + (unsigned)draw(world, 2);
        break;
    default:
        break;
    }
}

/* What takes an hour, or half of it where that is much. */
static unsigned
backlog_of(const struct site *site)
{
    double minutes = site->cap && !site->rate ? CAP_MINUTES : BACKLOG_MINUTES;

    if (site->allowed == 0)
        return (unsigned)(LIKE_A_LIMIT * 60 * minutes);
    if (site->change_at && site->rate_after > site->rate)
        minutes += GROWTH_MINUTES;
    if (site->change_at)
        return (unsigned)((site->allowed_before * CHANGE_MINUTES +
                           site->allowed * (minutes - CHANGE_MINUTES)) *
                          60);
    return (unsigned)(site->allowed * 60 * minutes);
}

static void
plan_site(struct world *world, struct site *site, uint32_t number)
{
    unsigned allowed = ALLOWED_LEAST + (unsigned)draw(world, ALLOWED_SPAN);

    *site = (struct site){
        .kind = number + 1 == world->site_count ? KIND_HOME : draw_kind(world),
        .number = number,
        .leader = number,
        .domains = 1,
        .hosts = 1 + (unsigned)(draw(world, 3) == 0),
        .latency = draw_time(world, MILLISECONDS(5), SECONDS(2)),
    };
    give_limits(world, site, allowed);
    give_troubles(world, site);
    site->allowed *= world->options.sources;
    site->allowed_before *= world->options.sources;
    site->backlog = backlog_of(site);
    if (site->kind == KIND_HOME)
        site->latency = MILLISECONDS(5);
}

/* --- Letters. */

static struct letter *
add_letter(struct world *world, const struct letter *letter)
{
    if (world->letter_count % 4096 == 0) {
        size_t room = world->letter_count + 4096;
        world->letters = reallocarray(world->letters, room, sizeof(*world->letters));
        must(world->letters);
    }
    world->letters[world->letter_count] = *letter;
    return &world->letters[world->letter_count++];
}

static enum manner
draw_manner(struct world *world, enum lane lane)
{
    static const enum manner rare[] = { MANNER_UNKNOWN, MANNER_UNKNOWN, MANNER_FULL,
                                        MANNER_FULL_ONCE };

    if (lane == LANE_CODE || draw(world, 20) != 0)
        return MANNER_TAKEN;
    return rare[draw(world, COUNT_OF(rare))];
}

/* A few are to wait, and a few are of no use later. */
static void
give_times(struct world *world, struct letter *letter)
{
    uint64_t wish = draw(world, TIMED_ONE_IN);

    if (letter->lane == LANE_BULK || letter->lane == LANE_CODE)
        return;
    if (wish == 0)
        letter->release_at = letter->post_at + draw_time(world, MINUTES(1), HOURS(8));
    else if (wish == 1)
        letter->by = letter->post_at + draw_time(world, MINUTES(5), HOURS(4));
}

static struct letter *
plan_letter(struct world *world, struct site *site, enum lane lane, instant post_at,
            uint32_t message)
{
    struct letter letter = {
        .site = site->number,
        .domain = (uint16_t)draw(world, site->domains),
        .lane = (uint8_t)lane,
        .manner = (uint8_t)draw_manner(world, lane),
        .message = message,
        .post_at = post_at,
    };

    site->letters++;
    world->sites[site->leader].takers += letter.manner == MANNER_TAKEN && lane == LANE_BULK;
    return add_letter(world, &letter);
}

/* The sites of the great provider share the limits of the first, and its backlog. */
static void
join_great(struct world *world)
{
    struct site *first = NULL;
    unsigned count = 0;

    world->great = (unsigned)draw(world, GREAT_COUNT);
    for (uint32_t i = 0; i < world->site_count; i++)
        count += world->sites[i].kind == KIND_GREAT;
    for (uint32_t i = 0; i < world->site_count; i++) {
        struct site *site = &world->sites[i];
        if (site->kind != KIND_GREAT)
            continue;
        if (!first) {
            first = site;
            first->backlog /= count;
        }
        site->leader = first->number;
        site->backlog = first->backlog;
        site->allowed = site == first ? first->allowed : 0;
    }
}

/* One for each recipient, as newsletters are sent, all at the beginning. */
static void
plan_backlog(struct world *world, struct site *site)
{
    instant at = world->begins + draw_time(world, 0, SECONDS(30));

    site->is_large = true;
    for (unsigned i = 0; i < site->backlog; i++)
        (void)plan_letter(world, site, LANE_BULK, at, world->message_count++);
}

/* A few letters of another newsletter, which shall not wait for all of the large one. */
static void
plan_small_newsletter(struct world *world, struct site *site)
{
    instant at = world->begins + draw_time(world, MINUTES(5), MINUTES(20));

    for (unsigned i = 0; i < SMALL_LETTERS; i++) {
        struct letter *letter = plan_letter(world, site, LANE_BULK, at, world->message_count++);
        letter->small = true;
        world->sites[site->leader].takers -= letter->manner == MANNER_TAKEN;
    }
}

/* Codes and letters beside it. */
static void
plan_small_mail(struct world *world, struct site *site)
{
    unsigned count = PER_SITE_LEAST + (unsigned)draw(world, PER_SITE_SPAN);

    for (unsigned i = 0; i < count; i++) {
        enum lane lane = (enum lane)draw(world, LANE_BULK);
        instant at = world->begins + draw_time(world, 0, MINUTES(90));
        give_times(world, plan_letter(world, site, lane, at, world->message_count++));
    }
}

/* Messages to many recipients at many sites. */
static void
plan_lists(struct world *world)
{
    for (unsigned i = 0; i < world->site_count / 8; i++) {
        instant at = world->begins + draw_time(world, 0, MINUTES(60));
        unsigned count = 2 + (unsigned)draw(world, MESSAGE_LETTERS_MAX - 2);
        uint32_t message = world->message_count++;
        while (count > 0) {
            struct site *site = &world->sites[draw(world, world->site_count - 1)];
            unsigned some = 1 + (unsigned)draw(world, count);
            for (unsigned k = 0; k < some; k++)
                (void)plan_letter(world, site, LANE_NOTICE, at, message);
            count -= some;
        }
    }
}

static int
compare_letters(const void *a, const void *b)
{
    const struct letter *x = a;
    const struct letter *y = b;

    if (x->post_at != y->post_at)
        return x->post_at < y->post_at ? -1 : 1;
    return (x->message > y->message) - (x->message < y->message);
}

static void
drop_letters_to_the_sick(struct world *world)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < world->letter_count; i++) {
        if (kinds[world->sites[world->letters[i].site].kind].healthy)
            world->letters[kept++] = world->letters[i];
        else
            world->sites[world->letters[i].site].letters = 0;
    }
    world->letter_count = kept;
}

struct letter *
world_letter(struct world *world, str address)
{
    uint64_t number = 0;

    if (address.len < 2 || address.ptr[0] != 'r')
        return NULL;
    for (size_t i = 1; i < address.len && address.ptr[i] != '@'; i++)
        number = number * 10 + (uint64_t)(address.ptr[i] - '0');
    return number < world->letter_count ? &world->letters[number] : NULL;
}

static void
plan_crashes(struct world *world)
{
    instant at = world->begins;

    if (world->options.crashes == 0)
        return;
    world->crash_count = 1 + (unsigned)draw(world, MIN(world->options.crashes, CRASHES_MAX));
    for (unsigned i = 0; i < world->crash_count; i++) {
        at += draw_time(world, SECONDS(1), MINUTES(40));
        world->crashes[i] = (struct crash){
            .at = at,
            .after = 1 + (unsigned)draw(world, 400),
            .hiccups = draw(world, 4) == 0 ? 1 + (unsigned)draw(world, 4) : 0,
            .silence = draw_time(world, 0, draw(world, 2) ? SECONDS(2) : MINUTES(3)),
        };
    }
}

void
world_plan(struct world *world)
{
    unsigned large = 0;

    rand_init(&world->dice, world->options.seed);
    rand_init(&world->mischief, world->options.seed ^ 0x5eed);
    rand_init(&world->whims, world->options.seed ^ 0xbad);
    world->begins = clock_now();
    world->site_count = MIN(world->options.sites, (unsigned)SITES_MAX) + 1;
    world->sites = calloc(world->site_count, sizeof(*world->sites));
    must(world->sites);
    for (uint32_t i = 0; i < world->site_count; i++)
        plan_site(world, &world->sites[i], i);
    join_great(world);
    for (uint32_t i = 0; i + 1 < world->site_count; i++) {
        struct site *site = &world->sites[i];
        plan_small_mail(world, site);
        if (kinds[site->kind].measured && world->letter_count < world->options.recipients &&
            large++ < world->site_count)
            plan_backlog(world, site);
        if (site->is_large && draw(world, 3) == 0)
            plan_small_newsletter(world, site);
    }
    plan_lists(world);
    plan_crashes(world);
    if (world->options.without_sick)
        drop_letters_to_the_sick(world);
    qsort(world->letters, world->letter_count, sizeof(*world->letters), compare_letters);
}

void
world_forget(struct world *world)
{
    free(world->sites);
    free(world->letters);
}
