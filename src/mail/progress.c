/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* progress.c: the progress' stored form: a version byte, a count, a row for each recipient. */
#include "mail/progress.h"

#include "base/cursor.h"
#include "mail/envelope.h"

/* Version 1 had no route. */
enum { PROGRESS_VERSION = 2 };
enum { FLAG_HELD = 1, FLAG_DELAY_REPORTED = 2, FLAG_REPORTED = 4, FLAG_FORWARDED = 8 };

const char *
recipient_state_name(enum recipient_state state)
{
    static const char *const names[] = {
        [RECIPIENT_WAITING] = "waiting", [RECIPIENT_DELIVERED] = "delivered",
        [RECIPIENT_FAILED] = "failed",   [RECIPIENT_EXPIRED] = "expired",
        [RECIPIENT_EXPANDED] = "expanded", [RECIPIENT_DELETED] = "deleted",
    };

    return names[state];
}

enum err
progress_init(struct progress *progress, struct arena *arena, size_t count, instant now)
{
    struct recipient_progress *rows = arena_new_array(arena, struct recipient_progress, count);

    if (!rows)
        return ERR_LIMIT;
    for (size_t i = 0; i < count; i++)
        rows[i].next_attempt = now;
    *progress = (struct progress){ rows, count };
    return OK;
}

void
progress_encode(const struct progress *progress, struct buf *buf)
{
    buf_add_u8(buf, PROGRESS_VERSION);
    buf_add_u32(buf, (uint32_t)progress->recipient_count);
    for (size_t i = 0; i < progress->recipient_count; i++) {
        const struct recipient_progress *row = &progress->recipients[i];
        buf_add_u8(buf, (uint8_t)row->state);
        buf_add_u8(buf, (uint8_t)((row->held ? FLAG_HELD : 0) |
                                  (row->delay_reported ? FLAG_DELAY_REPORTED : 0) |
                                  (row->reported ? FLAG_REPORTED : 0) |
                                  (row->forwarded ? FLAG_FORWARDED : 0)));
        buf_add_u32(buf, row->attempts);
        buf_add_u64(buf, (uint64_t)row->next_attempt);
        buf_add_u64(buf, (uint64_t)row->last_attempt);
        buf_add_u32(buf, row->code);
        buf_add_str(buf, str_head(row->enhanced, 16));
        buf_add_str(buf, str_head(row->text, PROGRESS_TEXT_MAX));
        buf_add_str(buf, str_head(row->remote, PROGRESS_TEXT_MAX));
        buf_add_str(buf, str_head(row->route, PROGRESS_ROUTE_MAX));
    }
}

static void
read_row(struct cursor *cursor, unsigned version, struct recipient_progress *row)
{
    uint8_t flags;

    row->state = (enum recipient_state)cursor_u8(cursor);
    flags = cursor_u8(cursor);
    row->held = flags & FLAG_HELD;
    row->delay_reported = flags & FLAG_DELAY_REPORTED;
    row->reported = flags & FLAG_REPORTED;
    row->forwarded = flags & FLAG_FORWARDED;
    row->attempts = cursor_u32(cursor);
    row->next_attempt = (instant)cursor_u64(cursor);
    row->last_attempt = (instant)cursor_u64(cursor);
    row->code = (uint16_t)cursor_u32(cursor);
    row->enhanced = cursor_str(cursor);
    row->text = cursor_str(cursor);
    row->remote = cursor_str(cursor);
    if (version >= 2)
        row->route = cursor_str(cursor);
    if (row->state > RECIPIENT_DELETED)
        cursor_fail(cursor);
}

enum err
progress_decode(str bytes, struct arena *arena, struct progress *progress)
{
    struct progress read = {};
    struct cursor cursor;
    unsigned version;

    cursor_init(&cursor, bytes);
    version = cursor_u8(&cursor);
    if (version == 0 || version > PROGRESS_VERSION)
        return ERR_CORRUPT;
    read.recipient_count = cursor_u32(&cursor);
    if (!cursor_ok(&cursor) || read.recipient_count > RECIPIENTS_MAX)
        return ERR_CORRUPT;
    read.recipients = arena_new_array(arena, struct recipient_progress, read.recipient_count);
    if (!read.recipients)
        return ERR_LIMIT;
    for (size_t i = 0; i < read.recipient_count; i++)
        read_row(&cursor, version, &read.recipients[i]);
    if (!cursor_ok(&cursor) || !cursor_at_end(&cursor))
        return ERR_CORRUPT;
    *progress = read;
    return OK;
}

bool
progress_is_done(const struct progress *progress)
{
    for (size_t i = 0; i < progress->recipient_count; i++)
        if (progress->recipients[i].state == RECIPIENT_WAITING)
            return false;
    return true;
}
