/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* switch.h: from one stack to another, and nothing else.  Internal to the runtime. */
#pragma once

#include "base/base.h"

#if defined(FIBERS_UCONTEXT)
#include <ucontext.h>
#elif defined(FIBERS_PTHREAD)
#include <pthread.h>
#include <semaphore.h>
#endif

/* A stack that is not running.  A zeroed one stands for the thread that first switches away. */
struct context {
#if defined(FIBERS_UCONTEXT)
    ucontext_t registers;
#elif defined(FIBERS_PTHREAD)
    pthread_t thread;
    sem_t baton;
#else
    void *frame;
    struct context *towards;
#endif
    void (*fn)(void *);
    void *arg;
    void *fake_stack; /* AddressSanitizer's. */
    const void *bottom;
    size_t size;
    void *tsan; /* ThreadSanitizer's. */
};

/* For the thread's own stack, from which fibers are run. */
void context_init_thread(struct context *context);
void context_done_thread(struct context *context);
/* FN(ARG) will run on the SIZE bytes from BOTTOM at the first switch; it must not return.  False
 * when the system gives no more. */
bool context_make(struct context *context, char *bottom, size_t size, void (*fn)(void *),
                  void *arg);
/* Leaves FROM and goes on in TO; returns when somebody switches back. */
void context_switch(struct context *from, struct context *to);
/* The same for the last time. */
_Noreturn void context_leave(struct context *from, struct context *to);
/* After context_leave(), called on another stack. */
void context_done(struct context *context);
