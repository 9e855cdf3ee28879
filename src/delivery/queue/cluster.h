/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* cluster.h: what answers that say the same thing have in common.
 *
 * Receivers put addresses, times, ids and links into their texts, so that a thousand refusals for
 * one reason are a thousand texts.  cluster_text() leaves out what differs and keeps what names the
 * reason, also in the words of a vendor: S3150, 4.7.28, TSS04, zen.spamhaus.org.  Pure.
 */
#pragma once

#include "base/base.h"
#include "base/str.h"

enum {
    CLUSTER_TEXT_MAX = 240,
    CLUSTER_NAME_SIZE = 9
};

/* Lower case, one blank between words, a `*` for what was left out; a view into ROOM. */
str cluster_text(str text, char room[CLUSTER_TEXT_MAX + 1]);
/* Equal for answers of one cluster. */
uint32_t cluster_id(uint16_t code, str enhanced, str text);
/* "9f2c1a7b" */
void cluster_format(uint32_t id, char name[CLUSTER_NAME_SIZE]);
bool cluster_parse(str name, uint32_t *id);
