/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* gates.c: everything that can happen to a message before it is accepted, in order.
 *
 * One table for each door.  A gate that has something against the message answers by a verdict and
 * the later ones are not asked.  A gate that fails itself (disk, database, memory) puts the message
 * off with a 4xx: what we lack is never the sender's fault.
 */
#include "intake/gates.h"

#include "intake/transaction.h"

/* clang-format off */
static const struct gate submission_gates[] = {
    /* when         what must hold, or what is done                              how */
    { AT_SENDER,    "client is logged in, or in a trusted network",              gate_login_required },
    { AT_SENDER,    "spool and queue have room",                                 gate_room },
    { AT_SENDER,    "announced size is within the ceiling",                      gate_announced_size },
    { AT_SENDER,    "non-ASCII sender came with SMTPUTF8",                       gate_sender_syntax },
    { AT_SENDER,    "sender belongs to the login",                               gate_sender_owned },
    { AT_SENDER,    "priority is lowered to what this client may ask for",       gate_priority },
    { AT_SENDER,    "time of delivery is not shorter than the minimum",          gate_deliver_by },
    { AT_SENDER,    "message is to be held at this door, and not for too long",  gate_future_release },
    { AT_SENDER,    "account has messages left today",                           gate_messages_limit },
    { AT_RECIPIENT, "message has room for one more recipient",                   gate_recipient_count },
    { AT_RECIPIENT, "list has one recipient for each message, if it wants that", gate_one_recipient },
    { AT_RECIPIENT, "non-ASCII recipient came with SMTPUTF8, and has a domain",  gate_recipient_syntax },
    { AT_RECIPIENT, "address for what comes back is one that we made",           gate_return_address },
    { AT_RECIPIENT, "recipient exists, if its domain is ours",                   gate_recipient_exists },
    { AT_RECIPIENT, "mailbox has room, if it has a quota",                       gate_mailbox_room },
    { AT_RECIPIENT, "recipient is not suppressed for all mail of this sender",   gate_recipient_suppressed },
    { AT_RECIPIENT, "account has recipients left, in this message and today",    gate_recipients_limit },
    { AT_HEADER,    "lines and count of fields are within their ceilings",       gate_header_bounds },
    { AT_HEADER,    "one From, one Date, one of each that must be single",       gate_header_fields },
    { AT_HEADER,    "message did not go in circles",                             gate_hops },
    { AT_HEADER,    "mail to leave a list brings a token of ours",               gate_unsubscribe_token },
    { AT_HEADER,    "From belongs to the login",                                 gate_from_owned },
    { AT_HEADER,    "Received, Date, Message-ID are added, Bcc is removed",      gate_complete_header },
    { AT_HEADER,    "mail of a list gets links to leave it",                     gate_list_header },
    { AT_HEADER,    "signature of the From domain is begun, if we have its key", gate_begin_signature },
    { AT_LANE,      "not all recipients are suppressed for mail of this lane",   gate_all_suppressed },
    { AT_END,       "message carries the signatures of its From domain",         gate_sign },
    { AT_END,       "who wanted to leave a list has left it",                    gate_unsubscribe },
};

static const struct gate mx_gates[] = {
    { AT_SENDER,    "spool and queue have room",                                 gate_room },
    { AT_SENDER,    "announced size is within the ceiling",                      gate_announced_size },
    { AT_SENDER,    "non-ASCII sender came with SMTPUTF8",                       gate_sender_syntax },
    { AT_SENDER,    "priority is lowered to what this client may ask for",       gate_priority },
    { AT_SENDER,    "time of delivery is not shorter than the minimum",          gate_deliver_by },
    { AT_SENDER,    "message is to be held at this door, and not for too long",  gate_future_release },
    { AT_RECIPIENT, "message has room for one more recipient",                   gate_recipient_count },
    { AT_RECIPIENT, "list has one recipient for each message, if it wants that", gate_one_recipient },
    { AT_RECIPIENT, "non-ASCII recipient came with SMTPUTF8, and has a domain",  gate_recipient_syntax },
    { AT_RECIPIENT, "address for what comes back is one that we made",           gate_return_address },
    { AT_RECIPIENT, "recipient's domain is ours, or the client may relay",       gate_relay },
    { AT_RECIPIENT, "recipient exists, if its domain is ours",                   gate_recipient_exists },
    { AT_RECIPIENT, "mailbox has room, if it has a quota",                       gate_mailbox_room },
    { AT_RECIPIENT, "recipient is not suppressed for all mail of this sender",   gate_recipient_suppressed },
    { AT_HEADER,    "lines and count of fields are within their ceilings",       gate_header_bounds },
    { AT_HEADER,    "one From at most",                                          gate_single_from },
    { AT_HEADER,    "message did not go in circles",                             gate_hops },
    { AT_HEADER,    "mail to leave a list brings a token of ours",               gate_unsubscribe_token },
    { AT_HEADER,    "Received is added; for a trusted client, what is missing",   gate_keep_header },
    { AT_HEADER,    "mail of a list gets links to leave it",                     gate_list_header },
    { AT_HEADER,    "signature is begun, if a trusted client begins its way here", gate_begin_signature },
    { AT_LANE,      "not all recipients are suppressed for mail of this lane",   gate_all_suppressed },
    { AT_END,       "that message carries the signatures of its From domain",    gate_sign },
    { AT_END,       "who wanted to leave a list has left it",                    gate_unsubscribe },
};

static const struct gate local_gates[] = {
    { AT_SENDER,    "spool and queue have room",                                 gate_room },
    { AT_SENDER,    "non-ASCII sender came with SMTPUTF8",                       gate_sender_syntax },
    { AT_RECIPIENT, "message has room for one more recipient",                   gate_recipient_count },
    { AT_RECIPIENT, "list has one recipient for each message, if it wants that", gate_one_recipient },
    { AT_RECIPIENT, "non-ASCII recipient came with SMTPUTF8, and has a domain",  gate_recipient_syntax },
    { AT_RECIPIENT, "address for what comes back is one that we made",           gate_return_address },
    { AT_RECIPIENT, "recipient exists, if its domain is ours",                   gate_recipient_exists },
    { AT_RECIPIENT, "recipient is not suppressed for all mail of this sender",   gate_recipient_suppressed },
    { AT_HEADER,    "lines and count of fields are within their ceilings",       gate_header_bounds },
    { AT_HEADER,    "message did not go in circles",                             gate_hops },
    { AT_HEADER,    "mail to leave a list brings a token of ours",               gate_unsubscribe_token },
    { AT_HEADER,    "Received, Date, Message-ID are added, Bcc is removed",      gate_complete_header },
    { AT_HEADER,    "mail of a list gets links to leave it",                     gate_list_header },
    { AT_HEADER,    "signature of the From domain is begun, if we have its key", gate_begin_signature },
    { AT_LANE,      "not all recipients are suppressed for mail of this lane",   gate_all_suppressed },
    { AT_END,       "message carries the signatures of its From domain",         gate_sign },
    { AT_END,       "who wanted to leave a list has left it",                    gate_unsubscribe },
};
/* clang-format on */

const struct gate *
gates_of_door(enum door door, size_t *count)
{
    switch (door) {
    case DOOR_MX:
        *count = COUNT_OF(mx_gates);
        return mx_gates;
    case DOOR_SUBMISSION:
        *count = COUNT_OF(submission_gates);
        return submission_gates;
    case DOOR_LOCAL:
    case DOOR_BOUNCE:
    case DOOR_REPORT:
        break;
    }
    *count = COUNT_OF(local_gates);
    return local_gates;
}

enum err
gates_pass(struct intake *intake, enum gate_time time, struct verdict *verdict)
{
    size_t count;
    const struct gate *gates = gates_of_door(intake->peer.door, &count);
    enum err e;

    for (size_t i = 0; i < count; i++) {
        if (gates[i].time != time)
            continue;
        e = gates[i].judge(intake, verdict);
        if (e)
            return intake_failed(e, verdict);
        if (!verdict_accepts(verdict))
            return OK;
    }
    return OK;
}
