/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* offload.c: a bounded pool of threads for what blocks.
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

enum {
    THREADS_MAX = 16
};

struct job {
    struct job *next;
    void (*fn)(void *arg);
    void *arg;
    struct latch done;
};

static struct {
    pthread_mutex_t lock;
    pthread_cond_t filled;
    struct job *first;
    struct job **last;
    unsigned idle;
    unsigned threads;
    bool stopping;
    pthread_t thread[THREADS_MAX];
} pool = { .lock = PTHREAD_MUTEX_INITIALIZER, .filled = PTHREAD_COND_INITIALIZER };

/* The next job, or NULL when the pool ends. */
static struct job *
take_job(void)
{
    struct job *job;

    pthread_mutex_lock(&pool.lock);
    pool.idle++;
    while (!pool.first && !pool.stopping)
        pthread_cond_wait(&pool.filled, &pool.lock);
    pool.idle--;
    job = pool.first;
    if (job) {
        pool.first = job->next;
        if (!pool.first)
            pool.last = NULL;
    }
    pthread_mutex_unlock(&pool.lock);
    return job;
}

static void *
work(void *arg)
{
    struct job *job;

    while ((job = take_job())) {
        job->fn(job->arg);
        latch_open(&job->done);
    }
    return arg;
}

/* Called with the lock held.  False when there is not a single thread. */
static bool
have_thread(void)
{
    sigset_t all, before;

    if (pool.idle || pool.threads == THREADS_MAX)
        return true;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    if (pthread_create(&pool.thread[pool.threads], NULL, work, NULL) == 0)
        pool.threads++;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return pool.threads > 0;
}

static bool
submit(struct job *job)
{
    bool taken;

    pthread_mutex_lock(&pool.lock);
    taken = have_thread();
    if (taken) {
        if (pool.last)
            *pool.last = job;
        else
            pool.first = job;
        pool.last = &job->next;
        pthread_cond_signal(&pool.filled);
    }
    pthread_mutex_unlock(&pool.lock);
    return taken;
}

void
offload(void (*fn)(void *), void *arg)
{
    struct job job = { .fn = fn, .arg = arg };

    if (!fiber_self() || sim_is_on() || !submit(&job))
        fn(arg);
    else
        latch_wait_always(&job.done);
}

void
offload_stop(void)
{
    pthread_mutex_lock(&pool.lock);
    must(!pool.first);
    pool.stopping = true;
    pthread_cond_broadcast(&pool.filled);
    pthread_mutex_unlock(&pool.lock);
    for (unsigned i = 0; i < pool.threads; i++)
        pthread_join(pool.thread[i], NULL);
    pool.threads = 0;
    pool.stopping = false;
}
