/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* encoded_word.h: other letters in header fields, as =?utf-8?q?J=C3=B6rg?=.  RFC 2047. */
#pragma once

#include "base/arena.h"
#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

/* Printable ASCII as it is; anything else (UTF-8; what is not becomes "?") as encoded words, folded
 * between them.  COLUMN is where the line stands.  Controls, line ends among them, never get
 * through. */
void encoded_word_encode(str text, size_t column, struct buf *buf);
/* Takes encoded words in a value (unfolded or not) apart.  The result is UTF-8 without controls;
 * words of charsets other than UTF-8, US-ASCII, ISO-8859-1, ISO-8859-15 and Windows-1252 stay as
 * they are. */
enum err encoded_word_decode(str value, struct arena *arena, str *text);
