/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* spool_crc.h: CRC-32C (Castagnoli), the checksum of what the spool stores. */
#pragma once

#include "base/base.h"

/* Goes on from CRC (0 at the start) with SIZE more bytes. */
uint32_t crc32c(uint32_t crc, const void *bytes, size_t size);
