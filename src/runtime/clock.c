/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* clock.c: the system's clocks and random bytes, or the simulated world's. */
#include "runtime/clock.h"

#include "base/must.h"
#include "runtime/sim_world.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
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

static void
kernel_random(void *bytes, size_t count)
{
    char *at = bytes;

    while (count) {
        ssize_t got = getrandom(at, count, 0);
        must(got > 0 || errno == EINTR);
        if (got > 0) {
            at += got;
            count -= (size_t)got;
        }
    }
}

/* Few at a time come from a store of the thread, each given away once. */
static _Thread_local struct {
    unsigned char bytes[512];
    size_t left;
} store;

/* A child must not give away what its parent does. */
static void
forget_store(void)
{
    store.left = 0;
}

static void
mind_forks(void)
{
    must(pthread_atfork(NULL, NULL, forget_store) == 0);
}

void
random_bytes(void *bytes, size_t count)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    if (sim_is_on()) {
        sim_random_bytes(bytes, count);
        return;
    }
    if (count > sizeof(store.bytes) / 8) {
        kernel_random(bytes, count);
        return;
    }
    if (store.left < count) {
        pthread_once(&once, mind_forks);
        kernel_random(store.bytes, sizeof(store.bytes));
        store.left = sizeof(store.bytes);
    }
    store.left -= count;
    memcpy(bytes, store.bytes + store.left, count);
    explicit_bzero(store.bytes + store.left, count);
}
