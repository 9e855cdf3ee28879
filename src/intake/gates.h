/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* gates.h: what may happen to a message before it is accepted, as ordered tables: see gates.c. */
#pragma once

#include "base/base.h"
#include "base/err.h"
#include "mail/envelope.h"

struct intake;
struct verdict;

/* When a gate stands in the way. */
enum gate_time {
    AT_SENDER,    /* MAIL was said: intake->sender is known. */
    AT_RECIPIENT, /* RCPT was said: intake->candidate. */
    AT_HEADER,    /* The header section has come in whole: intake->header. */
    AT_LANE,      /* Its lane was chosen: intake->envelope.lane. */
    AT_END,       /* All bytes are in the draft. */
};

struct gate {
    enum gate_time time;
    const char *name;
    /* Leaves VERDICT alone to let pass.  An error is one of our own: it becomes a 4xx. */
    WAITS enum err (*judge)(struct intake *intake, struct verdict *verdict);
};

/* Runs the gates of the intake's door for TIME, in order, until one refuses. */
WAITS enum err gates_pass(struct intake *intake, enum gate_time time, struct verdict *verdict);

/* For documentation: the table of a door. */
const struct gate *gates_of_door(enum door door, size_t *count);

/* The gates.  gates_sender.c: */
WAITS enum err gate_login_required(struct intake *intake, struct verdict *verdict);
WAITS enum err gate_room(struct intake *intake, struct verdict *verdict);
WAITS enum err gate_announced_size(struct intake *intake, struct verdict *verdict);
WAITS enum err gate_sender_syntax(struct intake *intake, struct verdict *verdict);
WAITS enum err gate_sender_owned(struct intake *intake, struct verdict *verdict);
WAITS enum err gate_messages_limit(struct intake *intake, struct verdict *verdict);
/* gates_handling.c: */
WAITS enum err gate_priority(struct intake *intake, struct verdict *verdict);
WAITS enum err gate_deliver_by(struct intake *intake, struct verdict *verdict);
WAITS enum err gate_future_release(struct intake *intake, struct verdict *verdict);
/* gates_recipient.c: */
WAITS enum err gate_recipient_count(struct intake *intake, struct verdict *verdict);
WAITS enum err gate_recipient_syntax(struct intake *intake, struct verdict *verdict);
WAITS enum err gate_return_address(struct intake *intake, struct verdict *verdict);
WAITS enum err gate_relay(struct intake *intake, struct verdict *verdict);
WAITS enum err gate_recipient_exists(struct intake *intake, struct verdict *verdict);
WAITS enum err gate_mailbox_room(struct intake *intake, struct verdict *verdict);
WAITS enum err gate_recipients_limit(struct intake *intake, struct verdict *verdict);
/* gates_header.c: */
WAITS enum err gate_header_bounds(struct intake *intake, struct verdict *verdict);
WAITS enum err gate_header_fields(struct intake *intake, struct verdict *verdict);
WAITS enum err gate_single_from(struct intake *intake, struct verdict *verdict);
WAITS enum err gate_hops(struct intake *intake, struct verdict *verdict);
WAITS enum err gate_from_owned(struct intake *intake, struct verdict *verdict);
/* gates_sign.c: */
WAITS enum err gate_begin_signature(struct intake *intake, struct verdict *verdict);
WAITS enum err gate_sign(struct intake *intake, struct verdict *verdict);
/* gates_list.c: */
WAITS enum err gate_one_recipient(struct intake *intake, struct verdict *verdict);
WAITS enum err gate_list_header(struct intake *intake, struct verdict *verdict);
WAITS enum err gate_unsubscribe_token(struct intake *intake, struct verdict *verdict);
WAITS enum err gate_unsubscribe(struct intake *intake, struct verdict *verdict);
/* gates_suppress.c: */
WAITS enum err gate_recipient_suppressed(struct intake *intake, struct verdict *verdict);
WAITS enum err gate_all_suppressed(struct intake *intake, struct verdict *verdict);
/* header_fixes.c: */
WAITS enum err gate_complete_header(struct intake *intake, struct verdict *verdict);
WAITS enum err gate_keep_header(struct intake *intake, struct verdict *verdict);
