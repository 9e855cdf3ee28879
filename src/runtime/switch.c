/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* switch.c: three ways to change stacks, chosen when building (option "fibers").
 *
 *   fcontext  Boost.Context's two assembly functions: 7 ns a switch.  For production.
 *   ucontext  swapcontext(): 300 ns, on every Linux.
 *   pthread   one thread for each fiber, and a baton that one of them holds: 5 us, for debuggers
 * and tools that do not understand fibers, and to prove that nothing depends on the switching.
 *
 * The sanitizers are told of every switch here, and only here.
 */
#include "runtime/switch.h"

#include "base/must.h"

#if defined(__SANITIZE_ADDRESS__)
#define WITH_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WITH_ASAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define WITH_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define WITH_TSAN 1
#endif
#endif
#if defined(FIBERS_PTHREAD)
#undef WITH_ASAN
#undef WITH_TSAN
#endif

#if defined(WITH_ASAN)
void __sanitizer_start_switch_fiber(void **fake_stack, const void *bottom, size_t size);
void __sanitizer_finish_switch_fiber(void *fake_stack, const void **bottom, size_t *size);
#endif
#if defined(WITH_TSAN)
void *__tsan_get_current_fiber(void);
void *__tsan_create_fiber(unsigned flags);
void __tsan_destroy_fiber(void *fiber);
void __tsan_switch_to_fiber(void *fiber, unsigned flags);
#endif

void
context_done(struct context *context)
{
#if defined(WITH_TSAN)
    __tsan_destroy_fiber(context->tsan);
#endif
#if defined(FIBERS_PTHREAD)
    pthread_join(context->thread, NULL);
    sem_destroy(&context->baton);
#endif
    *context = (struct context){};
}

#if defined(FIBERS_PTHREAD)

static void *
thread_entry(void *arg)
{
    struct context *context = arg;

    while (sem_wait(&context->baton))
        continue;
    context->fn(context->arg);
    return NULL;
}

void
context_init_thread(struct context *context)
{
    *context = (struct context){};
    must(sem_init(&context->baton, 0, 0) == 0);
}

void
context_done_thread(struct context *context)
{
    sem_destroy(&context->baton);
}

bool
context_make(struct context *context, char *bottom, size_t size, void (*fn)(void *), void *arg)
{
    (void)bottom, (void)size;
    *context = (struct context){ .fn = fn, .arg = arg };
    must(sem_init(&context->baton, 0, 0) == 0);
    return pthread_create(&context->thread, NULL, thread_entry, context) == 0;
}

void
context_switch(struct context *from, struct context *to)
{
    sem_post(&to->baton);
    while (sem_wait(&from->baton))
        continue;
}

_Noreturn void
context_leave(struct context *from, struct context *to)
{
    (void)from;
    sem_post(&to->baton);
    pthread_exit(NULL);
}

#else

static void
leaving(struct context *from, struct context *to, bool last)
{
    (void)from, (void)to, (void)last;
#if defined(WITH_ASAN)
    __sanitizer_start_switch_fiber(last ? NULL : &from->fake_stack, to->bottom, to->size);
#endif
#if defined(WITH_TSAN)
    __tsan_switch_to_fiber(to->tsan, 0);
#endif
}

static void
arrived(struct context *here, struct context *from)
{
    (void)here, (void)from;
#if defined(WITH_ASAN)
    __sanitizer_finish_switch_fiber(here->fake_stack, &from->bottom, &from->size);
#endif
}

static void
sanitizers_begin(struct context *context)
{
    (void)context;
#if defined(WITH_TSAN)
    context->tsan = __tsan_create_fiber(0);
#endif
}

void
context_init_thread(struct context *context)
{
    *context = (struct context){};
#if defined(WITH_TSAN)
    context->tsan = __tsan_get_current_fiber();
#endif
}

void
context_done_thread(struct context *context)
{
    *context = (struct context){};
}

#if defined(FIBERS_UCONTEXT)

/* Who switched, for the one who arrives: makecontext() passes only ints. */
static _Thread_local struct context *switched_from;
static _Thread_local struct context *switched_to;

static void
entry(void)
{
    struct context *context = switched_to;

    arrived(context, switched_from);
    context->fn(context->arg);
    must(!"a fiber's function has returned to its stack's start");
}

bool
context_make(struct context *context, char *bottom, size_t size, void (*fn)(void *), void *arg)
{
    *context = (struct context){ .fn = fn, .arg = arg, .bottom = bottom, .size = size };
    must(getcontext(&context->registers) == 0);
    context->registers.uc_stack.ss_sp = bottom;
    context->registers.uc_stack.ss_size = size;
    makecontext(&context->registers, entry, 0);
    sanitizers_begin(context);
    return true;
}

static void
jump(struct context *from, struct context *to, bool last)
{
    leaving(from, to, last);
    switched_from = from;
    switched_to = to;
    must(swapcontext(&from->registers, &to->registers) == 0);
    arrived(from, switched_from);
}

#else

/* Boost.Context's C interface; its header is C++. */
struct transfer {
    void *frame;
    void *data;
};

extern void *make_fcontext(void *top, size_t size, void (*fn)(struct transfer));
extern struct transfer jump_fcontext(void *to, void *data);

/* Every jump brings the context that was left, so that the one who arrives can note where it
 * stopped. */
static void
entry(struct transfer transfer)
{
    struct context *from = transfer.data;
    struct context *here = from->towards;

    from->frame = transfer.frame;
    arrived(here, from);
    here->fn(here->arg);
    must(!"a fiber's function has returned to its stack's start");
}

bool
context_make(struct context *context, char *bottom, size_t size, void (*fn)(void *), void *arg)
{
    *context = (struct context){ .fn = fn, .arg = arg, .bottom = bottom, .size = size };
    context->frame = make_fcontext(bottom + size, size, entry);
    sanitizers_begin(context);
    return true;
}

static void
jump(struct context *from, struct context *to, bool last)
{
    struct transfer transfer;
    struct context *back;

    from->towards = to;
    leaving(from, to, last);
    transfer = jump_fcontext(to->frame, from);
    back = transfer.data;
    back->frame = transfer.frame;
    arrived(from, back);
}

#endif

void
context_switch(struct context *from, struct context *to)
{
    jump(from, to, false);
}

_Noreturn void
context_leave(struct context *from, struct context *to)
{
    jump(from, to, true);
    must(!"a finished fiber was resumed");
    __builtin_unreachable();
}

#endif
