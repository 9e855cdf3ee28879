/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* standing_file.c: see standing_file.h. */
#include "delivery/rules/standing_file.h"

#include "formats/json.h"
#include "store/disk.h"

#include <stdio.h>
#include <string.h>

static const char head[] = "outpost-standing-rules ";

void
standing_encode(struct buf *buf, uint32_t next_id, struct standing_rule *const *rules, size_t count)
{
    struct json_writer writer;

    buf_addf(buf, "%s%d %u\n", head, STANDING_FILE_VERSION, next_id);
    for (size_t i = 0; i < count; i++) {
        const struct standing_rule *rule = rules[i];
        json_writer_init(&writer, buf);
        json_begin_object(&writer, NULL);
        json_put_int(&writer, "id", rule->id);
        json_put_text(&writer, "kind", str_from(standing_kind_name(rule->kind)));
        for (unsigned fact = 0; fact < FACT_COUNT; fact++)
            if (rule->values[fact].len)
                json_put_text(&writer, standing_fact_name(fact), rule->values[fact]);
        json_put_text(&writer, "reason", rule->reason);
        json_put_text(&writer, "actor", rule->actor);
        if (rule->route.len)
            json_put_text(&writer, "route", rule->route);
        if (rule->level)
            json_put_text(&writer, "level", str_from(standing_level_name(rule->level)));
        if (rule->kind == STANDING_SLOW) {
            json_put_int(&writer, "rate_count", rule->rate_count);
            json_put_int(&writer, "rate_ns", rule->rate_period);
        }
        json_put_bool(&writer, "by_engine", rule->by_engine);
        json_put_int(&writer, "made_ns", rule->made);
        json_put_int(&writer, "until_ns", rule->until);
        json_end_object(&writer);
        buf_add_byte(buf, '\n');
    }
}

static bool
decode_rule(str line, struct arena *arena, struct standing_rule *rule)
{
    struct json *json;
    int64_t id, count;

    if (json_parse(line, arena, &json) ||
        !standing_kind_parse(json_get_text(json, "kind"), &rule->kind))
        return false;
    for (unsigned fact = 0; fact < FACT_COUNT; fact++)
        rule->values[fact] = json_get_text(json, standing_fact_name(fact));
    rule->level = LEVEL_NONE;
    if (rule->kind == STANDING_TLS &&
        !standing_level_parse(json_get_text(json, "level"), &rule->level))
        return false;
    id = json_get_int(json, "id");
    count = json_get_int(json, "rate_count");
    rule->id = (uint32_t)id;
    rule->reason = json_get_text(json, "reason");
    rule->actor = json_get_text(json, "actor");
    rule->route = json_get_text(json, "route");
    rule->rate_count = (uint32_t)count;
    rule->rate_period = json_get_int(json, "rate_ns");
    rule->by_engine = json_get_bool(json, "by_engine");
    rule->made = json_get_int(json, "made_ns");
    rule->until = json_get_int(json, "until_ns");
    return id > 0 && id <= STANDING_ID_MAX && count >= 0 && count <= STANDING_RATE_MAX &&
           (rule->kind != STANDING_SLOW || (count > 0 && rule->rate_period > 0));
}

/* The line with the version: the rest of the file, and the next id. */
static enum err
decode_head(str *rest, uint32_t *next_id)
{
    str line, version, id;
    uint64_t number, next;

    if (!str_split(*rest, '\n', &line, rest) || !str_starts(line, str_from(head)) ||
        !str_split(str_skip(line, sizeof(head) - 1), ' ', &version, &id) ||
        !str_to_u64(version, &number) || !str_to_u64(id, &next) || next == 0 ||
        next > STANDING_ID_MAX)
        return ERR_CORRUPT;
    if (number < 1 || number > STANDING_FILE_VERSION)
        return ERR_UNSUPPORTED;
    *next_id = (uint32_t)next;
    return OK;
}

enum err
standing_decode(str bytes, struct arena *arena, uint32_t *next_id, struct standing_rule **rules,
                size_t *count)
{
    struct standing_rule *read = arena_new_array(arena, struct standing_rule, STANDING_RULES_MAX);
    size_t read_count = 0;
    enum err e;
    str line;

    if (!read)
        return ERR_LIMIT;
    e = decode_head(&bytes, next_id);
    while (!e && bytes.len > 0) {
        uint32_t before = read_count ? read[read_count - 1].id : 0;
        if (!str_split(bytes, '\n', &line, &bytes) || read_count == STANDING_RULES_MAX ||
            !decode_rule(line, arena, &read[read_count]) || read[read_count].id <= before)
            e = ERR_CORRUPT;
        read_count++;
    }
    if (e)
        return e;
    *rules = read;
    *count = read_count;
    return OK;
}

/* The folder of PATH, for the sync that makes the new name durable. */
static enum err
sync_folder(const struct disk *disk, const char *path)
{
    char folder[1024];
    const char *slash = strrchr(path, '/');
    size_t len = slash && slash > path ? (size_t)(slash - path) : 1;

    if (len >= sizeof(folder))
        return ERR_LIMIT;
    memcpy(folder, slash ? path : ".", len);
    folder[len] = '\0';
    return disk->sync_dir(disk, folder);
}

enum err
standing_file_write(const struct disk *disk, const char *path, str bytes)
{
    struct iovec part = { (void *)(uintptr_t)bytes.ptr, bytes.len };
    char beside[1024];
    int length = snprintf(beside, sizeof(beside), "%s.new", path);
    int file;
    enum err e;

    if (length < 0 || (size_t)length >= sizeof(beside))
        return ERR_LIMIT;
    e = disk->unlink(disk, beside); /* What a crash left. */
    e = disk->open(disk, beside, DISK_WRITE | DISK_CREATE, &file);
    if (e)
        return e;
    e = disk->write(disk, file, &part, 1, 0);
    if (!e)
        e = disk->sync(disk, file);
    disk->close(disk, file);
    if (!e)
        e = disk->rename(disk, beside, path);
    return e ? e : sync_folder(disk, path);
}

enum err
standing_file_read(const struct disk *disk, const char *path, struct buf *buf)
{
    uint64_t size;
    size_t got;
    char *room;
    int file;
    enum err e = disk->open(disk, path, DISK_READ, &file);

    if (e)
        return e == ERR_NOT_FOUND ? OK : e;
    e = disk->size(disk, file, &size);
    if (!e && size > STANDING_FILE_MAX)
        e = ERR_CORRUPT;
    room = e ? NULL : buf_reserve(buf, (size_t)size);
    if (!e && !room)
        e = ERR_LIMIT;
    if (!e)
        e = disk->read(disk, file, room, (size_t)size, 0, false, &got);
    if (!e)
        buf_claim(buf, got);
    disk->close(disk, file);
    return e;
}
