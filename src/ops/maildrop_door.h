/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* maildrop_door.h: takes in what stands in DATA/maildrop, at start and whenever somebody rings. */
#pragma once

#include "base/base.h"
#include "base/err.h"

struct intake_services;
struct maildrop_door;

WAITS enum err maildrop_door_start(struct intake_services *services, struct maildrop_door **door,
                                   struct why *why);
/* What was not taken in stays where it is, for the next start. */
WAITS void maildrop_door_stop(struct maildrop_door *door);
