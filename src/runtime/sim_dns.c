/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* sim_dns.c: the DNS of the simulated world: a table of names. */
#include "runtime/sim.h"

#include "base/map.h"
#include "base/must.h"
#include "runtime/clock.h"
#include "runtime/dns_wire.h"
#include "runtime/sim_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    ALIASES_MAX = 8,
    ANSWER_TTL = 300
};

struct sim_record {
    struct sim_record *next;
    enum dns_type type;
    bool secure;
    struct dns_record record; /* With copies of its texts. */
};

struct sim_name {
    struct sim_record *records;
    enum dns_status failure; /* DNS_FOUND: none */
};

static struct map names;

static struct sim_name *
name_at(const char *text)
{
    char normal[256];
    struct sim_name *name;
    enum err e;

    must(dns_name_normalize(str_from(text), normal));
    name = map_get(&names, str_from(normal));
    if (name)
        return name;
    name = calloc(1, sizeof(*name));
    must(name);
    e = map_put(&names, str_from(normal), name);
    must(!e);
    return name;
}

static str
keep(str s)
{
    return (str){ str_dup(s), s.len };
}

void
sim_dns_add(const char *name, enum dns_type type, const struct dns_record *record, bool secure)
{
    struct sim_record *made = calloc(1, sizeof(*made));
    struct sim_record **last = &name_at(name)->records;

    must(made);
    *made = (struct sim_record){ .type = type, .secure = secure, .record = *record };
    made->record.name = keep(record->name);
    made->record.data = keep(record->data);
    while (*last)
        last = &(*last)->next;
    *last = made;
}

void
sim_dns_fail(const char *name, enum dns_status status)
{
    name_at(name)->failure = status;
}

void
sim_dns_clear(void)
{
    size_t at = 0;
    str key;
    void *value;

    while (map_next(&names, &at, &key, &value)) {
        struct sim_name *name = value;
        while (name->records) {
            struct sim_record *record = name->records;
            name->records = record->next;
            free((char *)record->record.name.ptr);
            free((char *)record->record.data.ptr);
            free(record);
        }
        free(name);
    }
    map_done(&names);
    map_init(&names, 0);
}

static const struct sim_record *
find_record(const struct sim_name *name, enum dns_type type)
{
    const struct sim_record *record = name->records;

    while (record && record->type != type)
        record = record->next;
    return record;
}

static enum err
copy_record(struct arena *arena, const struct dns_record *from, struct dns_record *to)
{
    *to = *from;
    if (!arena_copy(arena, from->name, &to->name) || !arena_copy(arena, from->data, &to->data))
        return ERR_LIMIT;
    return OK;
}

static enum err
collect(struct arena *arena, const struct sim_name *name, enum dns_type type,
        struct dns_answer *answer)
{
    size_t count = 0;

    for (const struct sim_record *record = name->records; record; record = record->next)
        count += record->type == type;
    answer->status = count ? DNS_FOUND : DNS_NO_DATA;
    answer->secure = count > 0;
    if (count > DNS_RECORDS_MAX)
        return ERR_LIMIT;
    answer->records = arena_new_array(arena, struct dns_record, count);
    if (count && !answer->records)
        return ERR_LIMIT;
    for (const struct sim_record *record = name->records; record; record = record->next) {
        enum err e;
        if (record->type != type)
            continue;
        answer->secure &= record->secure;
        e = copy_record(arena, &record->record, &answer->records[answer->count++]);
        if (e)
            return e;
    }
    return OK;
}

static void
fail(struct dns_answer *answer, enum dns_status status)
{
    answer->status = status;
    snprintf(answer->why, sizeof(answer->why), "%s",
             status == DNS_BOGUS ? "the signature does not match" : "no server answers");
}

static enum err
answer_from_table(struct arena *arena, const char *asked, enum dns_type type,
                  struct dns_answer *answer)
{
    const struct sim_record *alias = NULL;
    bool secure = true;
    str at = str_from(asked);
    enum err e;

    for (int i = 0; i < ALIASES_MAX; i++) {
        const struct sim_name *name = map_get(&names, at);
        if (!arena_copy(arena, at, &answer->canonical))
            return ERR_LIMIT;
        if (!name) {
            answer->status = DNS_NO_NAME;
            return OK;
        }
        if (name->failure != DNS_FOUND) {
            fail(answer, name->failure);
            return OK;
        }
        alias = type == DNS_CNAME ? NULL : find_record(name, DNS_CNAME);
        if (!alias) {
            e = collect(arena, name, type, answer);
            answer->secure &= secure;
            return e;
        }
        secure &= alias->secure;
        at = alias->record.name;
    }
    fail(answer, DNS_TEMPORARY);
    return OK;
}

enum err
sim_dns_lookup(struct arena *arena, str name, enum dns_type type, instant deadline,
               struct dns_answer *answer)
{
    struct dns_answer made = { .ttl = ANSWER_TTL };
    char asked[256];
    enum err e;

    if (!dns_name_normalize(name, asked))
        return ERR_SYNTAX;
    e = sim_delay(MILLISECONDS(1) + (duration)sim_random_below(MILLISECONDS(20)), deadline);
    if (e == ERR_TIMEOUT) {
        fail(&made, DNS_TEMPORARY);
        e = OK;
    } else if (!e) {
        e = answer_from_table(arena, asked, type, &made);
    }
    if (!e)
        *answer = made;
    return e;
}
