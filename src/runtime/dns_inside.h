/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* dns_inside.h: libunbound's events on our loop.  For files of this room only. */
#pragma once

#include "base/base.h"

struct dns_events;
struct loop;
struct ub_event_base;

struct dns_events *dns_events_new(struct loop *loop);
struct ub_event_base *dns_events_base(struct dns_events *events);
void dns_events_free(struct dns_events *events); /* When the resolver is deleted. */
