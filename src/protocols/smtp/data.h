/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* data.h: the content of a message on the SMTP wire: dots doubled, and the one true end.
 *
 * Both machines are fed with whatever came, cut anywhere, and give pieces: views of the input,
 * or constants.  CR LF . CR LF is the only end of DATA.  A CR without LF, a LF without CR, and
 * NUL do not end a line here whatever others make of them: they are noted, and the whole
 * message is to be refused after its real end, so that nobody down the line can read two
 * messages where we read one (CVE-2023-51764 and its kin).  RFC 5321 2.3.8, 4.1.1.4, 4.5.2.
 */
#pragma once

#include "base/base.h"
#include "base/str.h"

enum {
    SMTP_TEXT_LINE_MAX = 998
}; /* RFC 5321 4.5.3.1.6, without CRLF. */

/* What is wrong with a content, by bits. */
enum smtp_data_violation {
    SMTP_DATA_BARE_CR = 1,
    SMTP_DATA_BARE_LF = 2,
    SMTP_DATA_NUL = 4,
    SMTP_DATA_LONG_LINE = 8,
};

struct smtp_data_decoder {
    unsigned violations; /* enum smtp_data_violation. */
    bool has_8bit;       /* A byte beyond ASCII: to be sent with 8BITMIME. */
    bool ended;
    uint8_t state;
    uint64_t line;     /* Bytes in the current line so far. */
    uint64_t line_max; /* 0: lines may have any length. */
    uint64_t longest;
};

enum smtp_data_step {
    SMTP_DATA_PIECE, /* PIECE is content; call again. */
    SMTP_DATA_MORE,  /* The input is used up. */
    SMTP_DATA_END,   /* The end stood there and is consumed; the input holds what follows it. */
};

/* Lines longer than LINE_MAX without CRLF are a violation; 0 for none. */
void smtp_data_decoder_init(struct smtp_data_decoder *decoder, uint64_t line_max);
/* Takes bytes off the front of IN.  Content is given as it came (but for doubled dots) even after a
 * violation; the caller may throw it away then, and reads on to the end. */
enum smtp_data_step smtp_data_decode(struct smtp_data_decoder *decoder, str *in, str *piece);

/* The same watch over content without dots and end, as BDAT brings it: all chunks in turn, then the
 * end. */
void smtp_data_inspect(struct smtp_data_decoder *decoder, str bytes);
void smtp_data_inspect_end(struct smtp_data_decoder *decoder);

struct smtp_data_encoder {
    bool at_line_start;
    bool held_cr; /* A CR whose LF may come with the next bytes. */
};

void smtp_data_encoder_init(struct smtp_data_encoder *encoder);
/* Takes bytes off the front of IN; false when it is empty.  A bare CR or LF becomes CR LF: what we
 * send can be read in one way only. */
bool smtp_data_encode(struct smtp_data_encoder *encoder, str *in, str *piece);
/* What ends the message, the last CRLF added where it is missing. */
str smtp_data_encode_end(struct smtp_data_encoder *encoder);
