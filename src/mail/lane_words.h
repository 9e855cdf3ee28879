/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* lane_words.h: words of subjects, sorted by their bytes; see lane_words.c. */
#pragma once

#include "base/base.h"

extern const char *const lane_phrases[];
extern const size_t lane_phrase_count;
extern const char *const lane_code_words[];
extern const size_t lane_code_word_count;
extern const char *const lane_other_codes[];
extern const size_t lane_other_code_count;
