/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* spool_crc.c: CRC-32C, by the processor's instruction where it has one. */
#include "store/spool_crc.h"

#include <pthread.h>
#include <string.h>

static uint32_t table[8][256];
static pthread_once_t table_once = PTHREAD_ONCE_INIT;

static void
table_fill(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t value = i;
        for (int bit = 0; bit < 8; bit++)
            value = value & 1 ? value >> 1 ^ 0x82f63b78 : value >> 1;
        table[0][i] = value;
    }
    for (size_t k = 1; k < 8; k++)
        for (size_t i = 0; i < 256; i++)
            table[k][i] = table[k - 1][i] >> 8 ^ table[0][table[k - 1][i] & 255];
}

static uint32_t
crc_by_table(uint32_t crc, const unsigned char *at, size_t size)
{
    pthread_once(&table_once, table_fill);
    for (; size >= 8; size -= 8, at += 8) {
        uint32_t low = crc ^ ((uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 |
                              (uint32_t)at[3] << 24);
        crc = table[7][low & 255] ^ table[6][low >> 8 & 255] ^ table[5][low >> 16 & 255] ^
              table[4][low >> 24] ^ table[3][at[4]] ^ table[2][at[5]] ^ table[1][at[6]] ^
              table[0][at[7]];
    }
    for (; size; size--, at++)
        crc = crc >> 8 ^ table[0][(crc ^ *at) & 255];
    return crc;
}

#if defined(__x86_64__)

__attribute__((target("sse4.2"))) static uint32_t
crc_by_processor(uint32_t crc, const unsigned char *at, size_t size)
{
    uint64_t wide = crc;

    for (; size >= 8; size -= 8, at += 8) {
        uint64_t word;
        memcpy(&word, at, 8);
        wide = __builtin_ia32_crc32di(wide, word);
    }
    crc = (uint32_t)wide;
    for (; size; size--, at++)
        crc = __builtin_ia32_crc32qi(crc, *at);
    return crc;
}

#endif

uint32_t
crc32c(uint32_t crc, const void *bytes, size_t size)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("sse4.2"))
        return ~crc_by_processor(~crc, bytes, size);
#endif
    return ~crc_by_table(~crc, bytes, size);
}
