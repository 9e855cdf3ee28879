/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* clock.c: the system's clocks and random bytes, or the simulated world's. */
#include "runtime/clock.h"

#include "base/must.h"
#include "runtime/sim_world.h"

#include <errno.h>
#include <sys/random.h>
#include <time.h>

static instant
read_clock(clockid_t clock)
{
    struct timespec now;

    must(clock_gettime(clock, &now) == 0);
    return SECONDS(now.tv_sec) + now.tv_nsec;
}

instant
clock_now(void)
{
    return sim_is_on() ? sim_wall() : read_clock(CLOCK_REALTIME);
}

instant
clock_steady(void)
{
    return sim_is_on() ? sim_now() : read_clock(CLOCK_MONOTONIC);
}

void
random_bytes(void *bytes, size_t count)
{
    char *at = bytes;

    if (sim_is_on()) {
        sim_random_bytes(bytes, count);
        return;
    }
    while (count) {
        ssize_t got = getrandom(at, count, 0);
        must(got > 0 || errno == EINTR);
        if (got > 0) {
            at += got;
            count -= (size_t)got;
        }
    }
}
