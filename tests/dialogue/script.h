/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* script.h: a dialogue as a list of steps; README.md describes the language. */
#pragma once

#include "base/arena.h"
#include "base/base.h"
#include "base/err.h"
#include "base/str.h"

enum step_kind {
    STEP_GIVEN,   /* given domain here.example, account ann */
    STEP_NOW,     /* now disabled ann: the same, in the middle */
    STEP_SEND,    /* C> text */
    STEP_RAW,     /* C>raw text */
    STEP_EXPECT,  /* S< pattern, M< pattern */
    STEP_ABSENT,  /* S! text */
    STEP_ACTOR,   /* C connects ..., S closes, S is silent, M accepts */
    STEP_THEN,    /* then the queue is empty */
    STEP_AFTER,   /* after 31m */
    STEP_SERVER,  /* server stops, server starts */
    STEP_CUT,     /* cut C */
    STEP_STARTTLS /* starttls C */
};

struct step {
    unsigned line;
    enum step_kind kind;
    str actor; /* "C", "C2", "M": whose connection it is about; S2 is the server's side of C2. */
    str text;
};

struct script {
    struct step *steps;
    size_t count;
};

/* Views into TEXT.  On ERR_SYNTAX LINE tells where. */
enum err script_parse(str text, struct arena *arena, struct script *script, unsigned *line);
