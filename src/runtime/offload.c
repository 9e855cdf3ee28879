/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* offload.c: a bounded pool of threads for what blocks, and one for what only computes.
 *
 * The second has a thread for each core: more of them would only take the cores from each other,
 * and one that is busy goes on to the next job without a wake-up.
 *
 * A job stands on the stack of the fiber that waits for it, so the queue is as long as there are
 * waiting fibers and needs no memory.  Threads are started as they are needed and end with the
 * loops.
 */
#include "runtime/wait.h"

#include "base/must.h"
#include "runtime/loop.h"
#include "runtime/sim_world.h"

#include <signal.h>
#include <unistd.h>

enum {
    THREADS_MAX = 16
};

struct job {
    struct job *next;
    void (*fn)(void *arg);
    void *arg;
    struct latch done;
};

struct pool {
    pthread_mutex_t lock;
    pthread_cond_t filled;
    struct job *first;
    struct job **last;
    unsigned idle;
    unsigned threads;
    unsigned threads_max; /* 0: not known yet. */
    bool stopping;
    pthread_t thread[THREADS_MAX];
};
static struct pool blocking = { .lock = PTHREAD_MUTEX_INITIALIZER,
                                .filled = PTHREAD_COND_INITIALIZER,
                                .threads_max = THREADS_MAX };
static struct pool computing = { .lock = PTHREAD_MUTEX_INITIALIZER,
                                 .filled = PTHREAD_COND_INITIALIZER };

/* The next job, or NULL when the pool ends. */
static struct job *
take_job(struct pool *pool)
{
    struct job *job;

    pthread_mutex_lock(&pool->lock);
    pool->idle++;
    while (!pool->first && !pool->stopping)
        pthread_cond_wait(&pool->filled, &pool->lock);
    pool->idle--;
    job = pool->first;
    if (job) {
        pool->first = job->next;
        if (!pool->first)
            pool->last = NULL;
    }
    pthread_mutex_unlock(&pool->lock);
    return job;
}

static void *
work(void *arg)
{
    struct job *job;

    while ((job = take_job(arg))) {
        job->fn(job->arg);
        latch_open(&job->done);
    }
    return arg;
}

/* Called with the lock held.  False when there is not a single thread. */
static bool
have_thread(struct pool *pool)
{
    sigset_t all, before;

    if (!pool->threads_max)
        pool->threads_max = (unsigned)MIN(MAX(sysconf(_SC_NPROCESSORS_ONLN), 1), THREADS_MAX);
    if (pool->idle || pool->threads == pool->threads_max)
        return true;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    if (pthread_create(&pool->thread[pool->threads], NULL, work, pool) == 0)
        pool->threads++;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return pool->threads > 0;
}

static bool
submit(struct pool *pool, struct job *job)
{
    bool taken;

    pthread_mutex_lock(&pool->lock);
    taken = have_thread(pool);
    if (taken) {
        if (pool->last)
            *pool->last = job;
        else
            pool->first = job;
        pool->last = &job->next;
        pthread_cond_signal(&pool->filled);
    }
    pthread_mutex_unlock(&pool->lock);
    return taken;
}

WAITS static void
run_in(struct pool *pool, void (*fn)(void *), void *arg)
{
    struct job job = { .fn = fn, .arg = arg };

    if (!fiber_self() || sim_is_on() || !submit(pool, &job))
        fn(arg);
    else
        latch_wait_always(&job.done);
}

void
offload(void (*fn)(void *), void *arg)
{
    run_in(&blocking, fn, arg);
}

void
offload_computing(void (*fn)(void *), void *arg)
{
    run_in(&computing, fn, arg);
}

static void
stop(struct pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    must(!pool->first);
    pool->stopping = true;
    pthread_cond_broadcast(&pool->filled);
    pthread_mutex_unlock(&pool->lock);
    for (unsigned i = 0; i < pool->threads; i++)
        pthread_join(pool->thread[i], NULL);
    pool->threads = 0;
    pool->stopping = false;
}

void
offload_stop(void)
{
    stop(&blocking);
    stop(&computing);
}
