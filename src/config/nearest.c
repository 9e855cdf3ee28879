/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* nearest.c: the edit distance of two words, with transposition (optimal string alignment). */
#include "config/nearest.h"

#include <string.h>

enum {
    WORD_MAX = 32
};

unsigned
word_distance(str a, str b)
{
    unsigned rows[3][WORD_MAX + 1];
    unsigned *before = rows[0], *above = rows[1], *row = rows[2];

    a = str_head(a, WORD_MAX);
    b = str_head(b, WORD_MAX);
    memset(rows, 0, sizeof(rows));
    for (unsigned j = 0; j <= b.len; j++)
        above[j] = j;
    for (unsigned i = 1; i <= a.len; i++) {
        unsigned *oldest = before;
        char x = ascii_lower(a.ptr[i - 1]);

        row[0] = i;
        for (unsigned j = 1; j <= b.len; j++) {
            char y = ascii_lower(b.ptr[j - 1]);

            row[j] = MIN(above[j] + 1, row[j - 1] + 1);
            row[j] = MIN(row[j], above[j - 1] + (x != y));
            if (i > 1 && j > 1 && x == ascii_lower(b.ptr[j - 2]) && ascii_lower(a.ptr[i - 2]) == y)
                row[j] = MIN(row[j], before[j - 2] + 1);
        }
        before = above;
        above = row;
        row = oldest;
    }
    return above[b.len];
}

void
nearest_init(struct nearest *nearest, str word)
{
    *nearest = (struct nearest){ .word = word };
    /* A third of the letters may be wrong, and one in the shortest words. */
    nearest->distance = (unsigned)MIN(word.len, WORD_MAX) / 3 + 1;
    if (word.len < 3)
        nearest->distance = 1;
}

void
nearest_offer(struct nearest *nearest, const char *candidate)
{
    str name = str_from(candidate);
    unsigned distance = word_distance(nearest->word, name);

    /* The beginning of a longer word is a good guess as well. */
    if (nearest->word.len >= 3 && str_starts_nocase(name, nearest->word))
        distance = MIN(distance, 1);
    if (distance < nearest->distance || (distance == nearest->distance && !nearest->best)) {
        nearest->best = candidate;
        nearest->distance = distance;
    }
}
