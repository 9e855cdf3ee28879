/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* tls_reports_inside.h: what tls_reports.c (counting), tls_reports_rows.c (the database) and
 * tls_reports_send.c (the day's work) share. */
#pragma once

#include "base/map.h"
#include "base/rand.h"
#include "delivery/secure/tls_reports.h"
#include "runtime/fiber.h"
#include "runtime/wait.h"
#include "store/db.h"

#include <pthread.h>
#include <stdatomic.h>

struct tally;

struct tls_reports {
    struct db *db;
    _Atomic(bool) counts;
    _Atomic(duration) period;
    _Atomic(duration) delay;
    _Atomic(uint64_t) seed;
    _Atomic(bool) has_rows; /* False: the database is empty, and nobody need look into it. */
    struct bell bell;       /* Something is to be written. */
    struct bell due;        /* For the sender: something may be due. */
    pthread_mutex_t lock;   /* For all that follows; never held across a wait. */
    struct map tallies;
    struct tally *others; /* What found no place; NULL: nothing. */
    size_t unsaved_bytes;
};

/* A row of a domain, as far as ceilings are concerned. */
struct domain_counts {
    int64_t id;
    int64_t policies;
    int64_t failures;
};
