/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* content.h: what DATA and BDAT share about the bytes of a message. */
#pragma once

#include "base/base.h"

struct intake;
struct smtp_session;

/* Refuses what could be read in two ways; VIOLATIONS are those of protocols/smtp/data.h, not 0. */
void smtp_refuse_violations(struct intake *intake, unsigned violations);
/* Far more than the ceiling has come in: time to cut. */
bool smtp_content_is_endless(const struct smtp_session *s);
