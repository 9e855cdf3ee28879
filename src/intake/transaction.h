/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* transaction.h: the inside of an intake, for the files of this folder. */
#pragma once

#include "accounts/account.h"
#include "base/arena.h"
#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "formats/header.h"
#include "intake/intake.h"
#include "mail/envelope.h"

struct config_list;
struct draft;
struct gate;
struct limits_ticket;
struct signing;

/* How far the bytes of the message have come. */
enum intake_stage {
    STAGE_ENVELOPE, /* No byte yet. */
    STAGE_HEADER,   /* The header section is being collected. */
    STAGE_BODY,     /* It has passed its gates and stands in the draft; the rest streams. */
};

/* An address as the directory knows it. */
struct address_forms {
    str canonical; /* Lower case, A-labels: formats/address.h. */
    str domain;    /* Of the canonical form; empty for <> and <postmaster>. */
};

struct intake {
    struct intake_services *services;
    const struct config *config;
    struct intake_peer peer;
    struct arena arena;
    bool trusted; /* Comes from a network that may relay. */
    struct intake_sender sender;
    struct address_forms sender_forms;
    struct envelope envelope;
    size_t recipient_capacity;
    const struct recipient *candidate;    /* The recipient that is being judged, */
    struct address_forms candidate_forms; /* and how it is looked up. */
    struct arena lookup;                  /* Memory of the next, for one candidate at a time. */
    struct resolution resolution;         /* Where the candidate leads, once a gate has asked. */
    bool resolved;
    bool comes_back; /* The candidate is an address of delivery/returns/return_address.h. */
    struct limits_ticket *ticket; /* Of the login's sending limits. */

    enum intake_stage stage;
    struct verdict refusal;    /* Of the bytes; the first one stays. */
    uint64_t received;         /* Bytes of the message so far. */
    struct buf header;         /* Raw, while STAGE_HEADER; then what follows its end. */
    size_t header_size;        /* Once it is complete: with its empty line, if it has one. */
    size_t header_scanned;     /* Whole lines of it that were looked at. */
    struct header_facts facts; /* AT_HEADER: from one walk. */
    struct buf fixed;          /* The header section as it will be stored. */
    char lane_why[LANE_WHY_MAX];
    struct draft *draft;
    bool has_links;          /* To leave its list: we have added them. */
    str unsubscribe;         /* The token that the message brings; empty: none. */
    struct signing *signing; /* NULL: nobody signs. */
};

/* Whether the login, or the network, makes this client one of ours. */
static inline bool
intake_is_ours(const struct intake *intake)
{
    return intake->peer.account.len > 0 || intake->trusted;
}

/* The list whose mail this is; NULL: of none, or not ours. */
const struct config_list *intake_list(const struct intake *intake);
/* Puts the failure E of our own into the words of the protocol: always 4xx. ERR_CANCELLED passes.
 */
enum err intake_failed(enum err e, struct verdict *verdict);
