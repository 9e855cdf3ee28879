/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* ledger.c: what the receivers took, and what came back to the senders.
 *
 * A second delivery is excused once by what can cause it: an answer to the dot that never arrived,
 * or a crash before the first one could be durable.  Start reading at ledger_delivered().
 */
#include "world.h"

#include "runtime/clock.h"

enum {
    REPEATS_SHOWN = 4
};

/* What was told to the spool so long before the disk died may not have been on it
 * (SPOOL_DELAY_MS_MAX, and a group under way). */
static const duration durable_after = SECONDS(2);

void
ledger_delivered(struct world *world, struct letter *letter)
{
    instant now = clock_now();

    if (letter->delivered == 0) {
        letter->delivered_at = now;
    } else if (letter->may_repeat) {
        letter->repeats_excused++;
        world->repeats_excused++;
    } else {
        if (world->repeats++ < REPEATS_SHOWN)
            printf("  r%u at site %u (%s) came %.1f s after its begin, and again %.1f s later\n",
                   (unsigned)(letter - world->letters), letter->site,
                   kinds[world->sites[letter->site].kind].name,
                   (double)(letter->last_at - world->begins) / SECONDS(1),
                   (double)(now - letter->last_at) / SECONDS(1));
    }
    if (letter->delivered < UINT8_MAX)
        letter->delivered++;
    letter->last_at = now;
    letter->may_repeat = true;
}

void
ledger_answered(struct letter *letter)
{
    letter->last_at = clock_now();
    letter->may_repeat = false;
}

void
ledger_report(struct world *world, struct letter *letter, bool is_failure)
{
    (void)world;
    if (is_failure)
        letter->failed_reports = (uint8_t)MIN(letter->failed_reports + 1, UINT8_MAX);
    else
        letter->delayed_reports = (uint8_t)MIN(letter->delayed_reports + 1, UINT8_MAX);
}

struct window *
ledger_window(struct world *world, struct site *site)
{
    int64_t index = (clock_now() - world->begins) / window_length;

    return index >= 0 && index < WINDOWS ? &site->windows[index] : NULL;
}

void
ledger_crashed(struct world *world, instant dead_at)
{
    for (uint32_t i = 0; i < world->letter_count; i++)
        if (world->letters[i].last_at >= dead_at - durable_after)
            world->letters[i].may_repeat = true;
}
