/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* data.c: the machines of data.h.
 *
 *               '.'              CR               LF
 *      START -------> DOT ----------> DOT_CR ----------> the end
 *       |  ^            | else            | else (bare CR)
 *       |  | LF         v                 v
 *  else |  +---- CR <------- TEXT <-------+
 *       |         | else  CR  ^ ^
 *       |         +-----------+ |
 *       +-----------------------+
 *
 * The dot of DOT is never content: it is either the end or was doubled by the sender.  Nearly
 * all content is good lines, which whole_lines() passes over 64 bytes at a time; the machines see
 * only the rest.  There, runs of plain bytes are found by memchr() in windows, so that a content
 * of nothing but bare CRs costs no more than its length times a constant.
 */
#include "protocols/smtp/data.h"

#include "base/must.h"

#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

enum {
    SCAN_WINDOW = 1024
};

enum state {
    START,
    TEXT,
    CR,
    DOT,
    DOT_CR
};

/* How many bytes at the front are neither CR nor LF; at most a window. */
static size_t
plain_run(str s)
{
    const char *end;

    s = str_head(s, SCAN_WINDOW);
    if (s.len == 0)
        return 0;
    end = memchr(s.ptr, '\n', s.len);
    if (end)
        s.len = (size_t)(end - s.ptr);
    end = s.len ? memchr(s.ptr, '\r', s.len) : NULL;
    return end ? (size_t)(end - s.ptr) : s.len;
}

#ifdef __SSE2__

/* A bit for each of the 64 bytes from AT on: whether it is C. */
static uint64_t
bits_of(const char *at, char c)
{
    uint64_t bits = 0;

    for (int i = 3; i >= 0; i--) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)(at + 16 * i));
        bits <<= 16;
        bits |= (uint16_t)_mm_movemask_epi8(_mm_cmpeq_epi8(bytes, _mm_set1_epi8(c)));
    }
    return bits;
}

/* From the start of a line: the size of the lines that end in CR LF, have no CR or LF elsewhere,
 * and with DOTS do not begin with one, up to the first other.  May leave such lines at the end of
 * IN. */
static size_t
whole_lines(str in, bool dots, uint64_t *longest)
{
    uint64_t cr_before = 0;
    uint64_t lf_before = 1;
    size_t end = 0;

    for (size_t at = 0; in.len - at >= 64; at += 64) {
        uint64_t cr = bits_of(in.ptr + at, '\r');
        uint64_t lf = bits_of(in.ptr + at, '\n');
        uint64_t dot = dots ? bits_of(in.ptr + at, '.') : 0;
        uint64_t wrong = (lf ^ (cr << 1 | cr_before)) | (dot & (lf << 1 | lf_before));
        uint64_t ends = wrong ? lf & ((wrong & -wrong) - 1) : lf;
        for (; ends; ends &= ends - 1) {
            size_t next = at + (size_t)__builtin_ctzll(ends) + 1;
            *longest = MAX(*longest, (uint64_t)(next - end - 2));
            end = next;
        }
        if (wrong)
            break;
        cr_before = cr >> 63;
        lf_before = lf >> 63;
    }
    return end;
}

#else

static size_t
whole_lines(str in, bool dots, uint64_t *longest)
{
    (void)in, (void)dots, (void)longest;
    return 0;
}

#endif

static bool
has_8bit(str s)
{
    uint64_t all = 0;
    size_t i = 0;

    for (; i + sizeof(all) <= s.len; i += sizeof(all)) {
        uint64_t word;
        memcpy(&word, s.ptr + i, sizeof(word));
        all |= word;
    }
    for (; i < s.len; i++)
        all |= (unsigned char)s.ptr[i];
    return (all & 0x8080808080808080U) != 0;
}

void
smtp_data_decoder_init(struct smtp_data_decoder *decoder, uint64_t line_max)
{
    *decoder = (struct smtp_data_decoder){ .line_max = line_max };
}

static void
count_line(struct smtp_data_decoder *decoder, uint64_t size)
{
    if (size > decoder->longest)
        decoder->longest = size;
    if (decoder->line_max && size > decoder->line_max)
        decoder->violations |= SMTP_DATA_LONG_LINE;
}

static void
count(struct smtp_data_decoder *decoder, size_t bytes)
{
    decoder->line += bytes;
    count_line(decoder, decoder->line);
}

/* A CR or LF that ends no line: a byte like others, but noted. */
static void
bare(struct smtp_data_decoder *decoder, enum smtp_data_violation violation)
{
    decoder->violations |= violation;
    decoder->state = TEXT;
    count(decoder, 1);
}

static void
look_at_bytes(struct smtp_data_decoder *decoder, str piece)
{
    if (!decoder->has_8bit)
        decoder->has_8bit = has_8bit(piece);
    if (!(decoder->violations & SMTP_DATA_NUL) && piece.len && memchr(piece.ptr, 0, piece.len))
        decoder->violations |= SMTP_DATA_NUL;
}

/* Walks over content, from START, TEXT or CR, up to a dot at the start of a line or the end of IN.
 */
static size_t
walk_content(struct smtp_data_decoder *decoder, str in, bool dots)
{
    size_t at = 0;

    while (at < in.len) {
        char c;

        if (decoder->state == START) {
            uint64_t longest = 0;
            at += whole_lines(str_skip(in, at), dots, &longest);
            count_line(decoder, longest);
            if (at == in.len)
                break;
        }
        c = in.ptr[at];
        if (decoder->state == START && dots && c == '.')
            break;
        if (decoder->state == CR && c == '\n') {
            decoder->state = START;
            decoder->line = 0;
            at++;
            continue;
        }
        if (decoder->state == CR)
            bare(decoder, SMTP_DATA_BARE_CR);
        decoder->state = TEXT;
        if (c == '\r') {
            decoder->state = CR;
            at++;
        } else if (c == '\n') {
            bare(decoder, SMTP_DATA_BARE_LF);
            at++;
        } else {
            size_t run = plain_run(str_skip(in, at));
            count(decoder, run);
            at += run;
        }
    }
    return at;
}

/* The byte after ".\r" at the start of a line. */
static enum smtp_data_step
finish_dot(struct smtp_data_decoder *decoder, str *in, str *piece)
{
    if (in->ptr[0] == '\n') {
        *in = str_skip(*in, 1);
        decoder->ended = true;
        return SMTP_DATA_END;
    }
    bare(decoder, SMTP_DATA_BARE_CR);
    *piece = S("\r");
    return SMTP_DATA_PIECE;
}

enum smtp_data_step
smtp_data_decode(struct smtp_data_decoder *decoder, str *in, str *piece)
{
    must(!decoder->ended);
    while (in->len) {
        size_t size;

        if (decoder->state == DOT_CR)
            return finish_dot(decoder, in, piece);
        if (decoder->state == DOT || (decoder->state == START && in->ptr[0] == '.')) {
            bool ends_dot = decoder->state == DOT && in->ptr[0] == '\r';

            if (ends_dot || decoder->state == START)
                *in = str_skip(*in, 1);
            decoder->state = ends_dot ? DOT_CR : decoder->state == START ? DOT : TEXT;
            continue;
        }
        size = walk_content(decoder, *in, true);
        *piece = str_head(*in, size);
        *in = str_skip(*in, size);
        look_at_bytes(decoder, *piece);
        return SMTP_DATA_PIECE;
    }
    return SMTP_DATA_MORE;
}

void
smtp_data_inspect(struct smtp_data_decoder *decoder, str bytes)
{
    (void)walk_content(decoder, bytes, false);
    look_at_bytes(decoder, bytes);
}

void
smtp_data_inspect_end(struct smtp_data_decoder *decoder)
{
    if (decoder->state == CR)
        bare(decoder, SMTP_DATA_BARE_CR);
}

void
smtp_data_encoder_init(struct smtp_data_encoder *encoder)
{
    *encoder = (struct smtp_data_encoder){ .at_line_start = true };
}

/* Whole lines, up to one that begins with a dot or ends badly, or to the end.  Leaves a last CR. */
static size_t
walk_lines(struct smtp_data_encoder *encoder, str in)
{
    size_t at = 0;

    for (;;) {
        uint64_t longest = 0;
        str rest;
        size_t run;

        if (encoder->at_line_start)
            at += whole_lines(str_skip(in, at), true, &longest);
        rest = str_skip(in, at);
        if (rest.len == 0 || (encoder->at_line_start && rest.ptr[0] == '.' && at))
            return at;
        run = plain_run(rest);
        if (run) {
            encoder->at_line_start = false;
            at += run;
            continue;
        }
        if (!str_starts(rest, S("\r\n")))
            return at;
        encoder->at_line_start = true;
        at += 2;
    }
}

/* Not a run of good lines: a held CR, or a CR or LF alone.  True when PIECE was set. */
static bool
mend_line_end(struct smtp_data_encoder *encoder, str *in, str *piece)
{
    if (encoder->held_cr) {
        encoder->held_cr = false;
        if (in->ptr[0] == '\n')
            *in = str_skip(*in, 1);
    } else if (in->ptr[0] == '\r' && in->len == 1) {
        encoder->held_cr = true;
        *in = str_skip(*in, 1);
        return false;
    } else {
        *in = str_skip(*in, 1);
    }
    encoder->at_line_start = true;
    *piece = S("\r\n");
    return true;
}

bool
smtp_data_encode(struct smtp_data_encoder *encoder, str *in, str *piece)
{
    size_t size;

    if (in->len == 0)
        return false;
    if (encoder->held_cr)
        return mend_line_end(encoder, in, piece);
    if (encoder->at_line_start && in->ptr[0] == '.') {
        encoder->at_line_start = false;
        *piece = S(".");
        return true;
    }
    size = walk_lines(encoder, *in);
    if (size == 0)
        return mend_line_end(encoder, in, piece);
    *piece = str_head(*in, size);
    *in = str_skip(*in, size);
    return true;
}

str
smtp_data_encode_end(struct smtp_data_encoder *encoder)
{
    bool at_line_start = encoder->at_line_start && !encoder->held_cr;

    smtp_data_encoder_init(encoder);
    return at_line_start ? S(".\r\n") : S("\r\n.\r\n");
}
