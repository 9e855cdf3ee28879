/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* schedule_inside.h: what the files of the schedule share; nobody else includes it. */
#pragma once

#include "base/must.h"
#include "delivery/schedule/schedule.h"

/* schedule_turns.c */
void turnstile_init(struct turnstile *turnstile);
/* The rank whose turn it is, or -1. */
int turnstile_next(const struct turnstile *turnstile);
/* The first rank that has anything, or -1. */
int turnstile_best(const struct turnstile *turnstile);
void turnstile_enter(struct turnstile *turnstile, unsigned rank, struct link *item);
/* RANK was served. */
void turnstile_charge(struct turnstile *turnstile, unsigned rank);
enum schedule_rank schedule_rank_of(enum lane lane, int priority);
/* A row that became ready enters its turn; one that leaves it. */
void schedule_turns_enter(struct schedule *schedule, struct schedule_row *row, bool in_front);
void schedule_turns_leave(struct schedule *schedule, struct schedule_row *row);
/* The ready rows of TARGET go with it. */
void schedule_turns_move(struct schedule *schedule, struct schedule_target *target,
                         struct schedule_site *site);
void schedule_turns_free(struct schedule_target *target);

/* schedule_messages.c */
void schedule_messages_free(struct schedule *schedule);

/* schedule.c: the parts of READY and back that are no matter of turns. */
void schedule_row_out(struct schedule *schedule, struct schedule_row *row);

/* schedule_site.c */
struct schedule_site *schedule_site_get(struct schedule *schedule, str key, str source);
void schedule_site_free(struct schedule_site *site);
void schedule_group_free(struct schedule_group *group);
void schedule_site_free_if_idle(struct schedule *schedule, struct schedule_site *site);
/* SITE stands among the runnable ones exactly when something can be done for it. */
void schedule_site_update(struct schedule *schedule, struct schedule_site *site);
/* The group that does not let SITE send at NOW, and until when; NULL: all do. */
struct schedule_group *schedule_site_closed(const struct schedule_site *site, bool is_code,
                                            instant now, instant *until);
/* SITE waits at GROUP; UNTIL 0: for a slot. */
void schedule_site_await(struct schedule *schedule, struct schedule_site *site,
                         struct schedule_group *group, instant until);
/* One message is taken: every rate counts it. */
void schedule_site_charge(struct schedule *schedule, struct schedule_site *site, bool is_code,
                          instant now);
void schedule_site_take_slot(struct schedule *schedule, struct schedule_site *site);
bool schedule_site_has_slot(const struct schedule *schedule, const struct schedule_site *site,
                            bool is_code);
bool schedule_has_slot(const struct schedule *schedule, bool is_code);
struct schedule_group *schedule_site_group_of(struct schedule_site *site,
                                              enum schedule_scope scope);
/* COUNT of those that wait at GROUP may look again. */
void schedule_group_wake(struct schedule *schedule, struct schedule_group *group, unsigned count);
/* The timer of GROUP is due. */
void schedule_group_tick(struct schedule *schedule, struct schedule_group *group, instant now);
unsigned schedule_group_ceiling(const struct schedule *schedule,
                                const struct schedule_group *group);
void schedule_group_reason(struct schedule_group *group, str reason);
void schedule_group_pause(struct schedule *schedule, struct schedule_group *group, instant until);
/* From NOW on, when GROUP lets a message through. */
instant schedule_group_opens(const struct schedule_group *group, bool is_code, instant now);

/* schedule_learn.c: rates that are learnt. */
instant schedule_rate_opens(const struct schedule_rate *rate, bool is_code, instant now);
void schedule_rate_charge(struct schedule_rate *rate, bool is_code, instant now);
/* A site had to wait for it. */
void schedule_rate_bound(struct schedule_rate *rate, bool is_code, instant now);
/* Refused, and no probe has come through. */
bool schedule_rate_is_closed(const struct schedule_rate *rate);
/* The messages an hour that are learnt; 0: none. */
uint64_t schedule_rate_per_hour(const struct schedule_rate *rate);
