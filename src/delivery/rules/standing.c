/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* standing.c: the table of standing rules.
 *
 * Rules are found by one of their facts, the most telling that they name (the sender, the account,
 * the domain, the provider): a few looks into a map, however many rules there are.  Those that name
 * none of these stand in a chain of their own.
 *
 * A slow rule is a clock: the next transaction may go at `next_slot`, and takes the slot by moving
 * it on.  Who has booked a slot that lies ahead is put off until then and not asked again.
 *
 * A change is in force at once, and durable when the call returns.  Several changes at the same
 * time may end in one write of the file: each waits for its own generation.  Start reading at
 * standing_match().
 */
#include "delivery/rules/standing.h"

#include "base/buf.h"
#include "base/map.h"
#include "base/must.h"
#include "delivery/route.h"
#include "delivery/rules/standing_file.h"
#include "delivery/rules/standing_spell.h"
#include "runtime/wait.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    DECODE_ARENA_MAX = 64 * 1024 * 1024,
    KEY_SIZE_MAX = STANDING_VALUE_MAX + 8
};

struct kept {
    struct standing_rule rule; /* Its strings stand in `text`. */
    struct kept *next;         /* With the same key; the oldest first. */
    instant next_slot;
    char text[];
};

struct standing {
    const struct disk *disk;
    char *path; /* NULL: in memory only. */
    _Atomic(size_t) count;
    _Atomic(instant) due; /* When the next rule ends: asked at every turn of a loop. */
    pthread_mutex_t lock; /* For all up to the blank line. */
    struct kept **rules;  /* By id. */
    struct map by_key;
    struct kept *others; /* Without a key. */
    uint32_t next_id;
    size_t engine_count;
    uint64_t generation;

    pthread_mutex_t save_lock; /* Of the threads that write the file. */
    uint64_t saved;            /* The generation in the file. */
};

/* clang-format off */
static const char *const kind_names[STANDING_KINDS] = {
    [STANDING_HOLD] = "hold",     [STANDING_SUSPEND] = "suspend", [STANDING_BOUNCE] = "bounce",
    [STANDING_REROUTE] = "reroute", [STANDING_SLOW] = "slow", [STANDING_TLS] = "tls",
};
static const char *const level_names[] = {
    [LEVEL_NONE] = "", [LEVEL_REQUIRE] = "require", [LEVEL_VERIFY] = "verify", [LEVEL_PLAIN] = "plain",
};
static const char *const fact_names[FACT_COUNT] = {
    [FACT_DOMAIN] = "domain", [FACT_SITE] = "site",       [FACT_PROVIDER] = "provider",
    [FACT_SENDER] = "sender", [FACT_ACCOUNT] = "account", [FACT_SOURCE] = "source",
    [FACT_LANE] = "lane",
};
/* The facts by which rules are found, the most telling first. */
static const enum standing_fact key_facts[] = { FACT_SENDER, FACT_ACCOUNT, FACT_DOMAIN, FACT_PROVIDER };
/* clang-format on */

/* --- Words. */

const char *
standing_kind_name(enum standing_kind kind)
{
    return kind_names[kind];
}

bool
standing_kind_parse(str text, enum standing_kind *kind)
{
    for (unsigned i = 0; i < STANDING_KINDS; i++)
        if (str_eq_nocase(text, str_from(kind_names[i]))) {
            *kind = (enum standing_kind)i;
            return true;
        }
    return false;
}

const char *
standing_level_name(enum standing_level level)
{
    return level_names[level];
}

bool
standing_level_parse(str text, enum standing_level *level)
{
    for (unsigned i = LEVEL_REQUIRE; i < COUNT_OF(level_names); i++)
        if (str_eq_nocase(text, str_from(level_names[i]))) {
            *level = (enum standing_level)i;
            return true;
        }
    return false;
}

const char *
standing_fact_name(enum standing_fact fact)
{
    return fact_names[fact];
}

bool
standing_fact_parse(str text, enum standing_fact *fact)
{
    for (unsigned i = 0; i < FACT_COUNT; i++)
        if (str_eq_nocase(text, str_from(fact_names[i]))) {
            *fact = (enum standing_fact)i;
            return true;
        }
    return false;
}

bool
standing_rate_parse(str text, uint32_t *count, duration *period)
{
    str number, time;
    uint64_t much, many = 1;
    duration unit;

    if (!str_split(text, '/', &number, &time) || time.len == 0 || !str_to_u64(number, &much) ||
        much == 0 || much > STANDING_RATE_MAX)
        return false;
    switch (time.ptr[time.len - 1]) {
    case 's':
        unit = SECONDS(1);
        break;
    case 'm':
        unit = MINUTES(1);
        break;
    case 'h':
        unit = HOURS(1);
        break;
    case 'd':
        unit = DAYS(1);
        break;
    default:
        return false;
    }
    if (time.len > 1 &&
        (!str_to_u64(str_head(time, time.len - 1), &many) || many == 0 || many > 1000))
        return false;
    *count = (uint32_t)much;
    *period = unit * (duration)many;
    return true;
}

bool
standing_describe(const struct standing_rule *rule, struct arena *arena, str *text)
{
    struct buf buf;
    bool made;

    buf_init(&buf, FACT_COUNT * (STANDING_VALUE_MAX + 16) + 32);
    buf_addf(&buf, "%s%s%s", kind_names[rule->kind], rule->level ? " " : "",
             level_names[rule->level]);
    for (unsigned i = 0; i < FACT_COUNT; i++)
        if (rule->values[i].len)
            buf_addf(&buf, " %s:%.*s", fact_names[i], STR_ARG(rule->values[i]));
    made = arena_copy(arena, buf_str(&buf), text);
    buf_done(&buf);
    return made;
}

/* --- The index. */

static str
key_of(char *room, enum standing_fact fact, str value)
{
    size_t len = MIN(value.len, (size_t)STANDING_VALUE_MAX);

    room[0] = (char)('0' + (int)fact);
    for (size_t i = 0; i < len; i++)
        room[i + 1] = ascii_lower(value.ptr[i]);
    return (str){ room, len + 1 };
}

/* Behind the older ones of its key. */
static void
index_rule(struct standing *standing, struct kept *kept)
{
    char room[KEY_SIZE_MAX];
    struct kept **at = &standing->others;
    struct kept *first;
    str key = S("");

    for (size_t i = 0; i < COUNT_OF(key_facts) && key.len == 0; i++)
        if (kept->rule.values[key_facts[i]].len)
            key = key_of(room, key_facts[i], kept->rule.values[key_facts[i]]);
    kept->next = NULL;
    first = key.len ? map_get(&standing->by_key, key) : NULL;
    if (key.len && !first) {
        must(map_put(&standing->by_key, key, kept) == OK);
        return;
    }
    if (first)
        at = &first->next;
    while (*at)
        at = &(*at)->next;
    *at = kept;
}

/* Under the lock, after a change. */
static void
find_due(struct standing *standing)
{
    instant due = NEVER;

    for (size_t i = 0; i < standing->count; i++)
        due = MIN(due, standing->rules[i]->rule.until);
    standing->due = due;
}

static void
index_all(struct standing *standing)
{
    map_done(&standing->by_key);
    map_init(&standing->by_key, 0);
    standing->others = NULL;
    standing->engine_count = 0;
    for (size_t i = 0; i < standing->count; i++) {
        index_rule(standing, standing->rules[i]);
        standing->engine_count += standing->rules[i]->rule.by_engine;
    }
    find_due(standing);
}

/* Where the rule ID stands, or would. */
static size_t
place_of(const struct standing *standing, uint32_t id)
{
    size_t low = 0, high = standing->count;

    while (low < high) {
        size_t middle = (low + high) / 2;
        if (standing->rules[middle]->rule.id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct kept *
find_id(const struct standing *standing, uint32_t id)
{
    size_t place = place_of(standing, id);

    return place < standing->count && standing->rules[place]->rule.id == id ? standing->rules[place]
                                                                            : NULL;
}

/* --- Matching. */

static str
domain_part(str address)
{
    ssize_t at = str_find_last(address, '@');

    return at < 0 ? S("") : str_skip(address, (size_t)at);
}

static bool
value_holds(enum standing_fact fact, str value, str wanted)
{
    if (wanted.len == 0)
        return true;
    if (value.len == 0)
        return false;
    if (fact == FACT_SITE)
        return route_site_has(value, wanted);
    if ((fact == FACT_SENDER || fact == FACT_ACCOUNT) && str_starts(wanted, S("@")))
        return str_eq_nocase(domain_part(value), wanted);
    return str_eq_nocase(value, wanted);
}

static bool
rule_holds(const struct standing_rule *rule, const struct standing_facts *facts, instant now)
{
    if (rule->until <= now)
        return false;
    for (unsigned i = 0; i < FACT_COUNT; i++)
        if (!value_holds(i, facts->values[i], rule->values[i]))
            return false;
    return true;
}

/* The first of CHAIN that holds and goes before BEST. */
static struct kept *
better(struct kept *chain, struct kept *best, const struct standing_facts *facts, instant now,
       bool tls)
{
    for (struct kept *at = chain; at; at = at->next) {
        bool before = !best || at->rule.kind < best->rule.kind ||
                      (at->rule.kind == best->rule.kind && at->rule.id < best->rule.id);
        if (before && (at->rule.kind == STANDING_TLS) == tls && rule_holds(&at->rule, facts, now))
            best = at;
    }
    return best;
}

/* Among TLS rules, or among all others. */
static struct kept *
find_rule(const struct standing *standing, const struct standing_facts *facts, instant now,
          bool tls)
{
    struct kept *best = better(standing->others, NULL, facts, now, tls);
    char room[KEY_SIZE_MAX];

    for (size_t i = 0; i < COUNT_OF(key_facts); i++) {
        enum standing_fact fact = key_facts[i];
        str value = facts->values[fact];
        if (value.len == 0)
            continue;
        best = better(map_get(&standing->by_key, key_of(room, fact, value)), best, facts, now, tls);
        if ((fact == FACT_SENDER || fact == FACT_ACCOUNT) && domain_part(value).len)
            best = better(map_get(&standing->by_key, key_of(room, fact, domain_part(value))), best,
                          facts, now, tls);
    }
    return best;
}

static void
copy_text(char *to, size_t size, str from)
{
    size_t len = MIN(from.len, size - 1);

    if (len)
        memcpy(to, from.ptr, len);
    to[len] = '\0';
}

bool
standing_is_empty(const struct standing *standing)
{
    return standing->count == 0;
}

size_t
standing_count(const struct standing *standing)
{
    return standing->count;
}

static bool
match_spelled(struct standing *standing, const struct standing_facts *facts, instant now, bool tls,
              struct standing_verdict *verdict)
{
    const struct kept *found;

    pthread_mutex_lock(&standing->lock);
    found = find_rule(standing, facts, now, tls);
    if (found) {
        verdict->kind = found->rule.kind;
        verdict->rule = found->rule.id;
        verdict->until = found->rule.until;
        verdict->names_lane = found->rule.values[FACT_LANE].len > 0;
        verdict->level = found->rule.level;
        copy_text(verdict->reason, sizeof(verdict->reason), found->rule.reason);
        copy_text(verdict->route, sizeof(verdict->route), found->rule.route);
    }
    pthread_mutex_unlock(&standing->lock);
    return found != NULL;
}

/* Addresses come as they were given, with SMTPUTF8 also with U-labels. */
static bool
match(struct standing *standing, const struct standing_facts *facts, instant now, bool tls,
      struct standing_verdict *verdict)
{
    struct standing_facts spelled = *facts;
    struct arena arena;
    struct why why;
    bool is_ascii = true, found;

    if (standing_is_empty(standing))
        return false;
    for (unsigned i = 0; i < FACT_COUNT; i++)
        is_ascii = is_ascii && str_is_ascii(facts->values[i]);
    if (is_ascii)
        return match_spelled(standing, facts, now, tls, verdict);
    arena_init(&arena, STANDING_SPELL_MEMORY);
    (void)standing_spell(spelled.values, &arena, &why);
    found = match_spelled(standing, &spelled, now, tls, verdict);
    arena_done(&arena);
    return found;
}

bool
standing_match(struct standing *standing, const struct standing_facts *facts, instant now,
               struct standing_verdict *verdict)
{
    return match(standing, facts, now, false, verdict);
}

bool
standing_match_tls(struct standing *standing, const struct standing_facts *facts, instant now,
                   struct standing_verdict *verdict)
{
    return match(standing, facts, now, true, verdict);
}

void
standing_hit(struct standing *standing, uint32_t rule, uint64_t count)
{
    struct kept *kept;

    pthread_mutex_lock(&standing->lock);
    kept = find_id(standing, rule);
    if (kept)
        kept->rule.hits += count;
    pthread_mutex_unlock(&standing->lock);
}

instant
standing_slot(struct standing *standing, uint32_t rule, instant now)
{
    instant slot = now;
    struct kept *kept;

    pthread_mutex_lock(&standing->lock);
    kept = find_id(standing, rule);
    if (kept) {
        slot = MAX(now, kept->next_slot);
        if (slot < kept->rule.until)
            kept->next_slot = slot + kept->rule.rate_period / (duration)kept->rule.rate_count;
        slot = MIN(slot, MAX(now, kept->rule.until));
    }
    pthread_mutex_unlock(&standing->lock);
    return slot;
}

bool
standing_route(struct standing *standing, uint32_t rule, char route[STANDING_ROUTE_MAX + 1])
{
    const struct kept *kept;

    route[0] = '\0';
    if (standing_is_empty(standing))
        return false;
    pthread_mutex_lock(&standing->lock);
    kept = find_id(standing, rule);
    if (kept)
        copy_text(route, STANDING_ROUTE_MAX + 1, kept->rule.route);
    pthread_mutex_unlock(&standing->lock);
    return kept != NULL;
}

/* --- Changes. */

static str
put_text(char **at, str text, bool lower)
{
    str copy = { *at, text.len };

    for (size_t i = 0; i < text.len; i++)
        (*at)[i] = lower ? ascii_lower(text.ptr[i]) : text.ptr[i];
    (*at)[text.len] = '\0';
    *at += text.len + 1;
    return copy;
}

static struct kept *
kept_new(const struct standing_rule *rule)
{
    size_t size = rule->reason.len + rule->actor.len + rule->route.len + 3;
    struct kept *kept;
    char *at;

    for (unsigned i = 0; i < FACT_COUNT; i++)
        size += rule->values[i].len + 1;
    kept = calloc(1, sizeof(*kept) + size);
    must(kept);
    at = kept->text;
    kept->rule = *rule;
    for (unsigned i = 0; i < FACT_COUNT; i++)
        kept->rule.values[i] = put_text(&at, rule->values[i], true);
    kept->rule.reason = put_text(&at, rule->reason, false);
    kept->rule.actor = put_text(&at, rule->actor, false);
    kept->rule.route = put_text(&at, rule->route, false);
    return kept;
}

struct saving {
    struct standing *standing;
    uint64_t wanted; /* This generation, or a later one. */
    enum err e;
};

/* In a thread that may block. */
static void
save(void *arg)
{
    struct saving *saving = arg;
    struct standing *standing = saving->standing;
    uint64_t generation;
    struct buf buf;

    pthread_mutex_lock(&standing->save_lock);
    if (standing->saved < saving->wanted) {
        struct standing_rule **rules = calloc(STANDING_RULES_MAX, sizeof(*rules));
        must(rules);
        buf_init(&buf, STANDING_FILE_MAX);
        pthread_mutex_lock(&standing->lock);
        for (size_t i = 0; i < standing->count; i++)
            rules[i] = &standing->rules[i]->rule;
        standing_encode(&buf, standing->next_id, rules, standing->count);
        generation = standing->generation;
        pthread_mutex_unlock(&standing->lock);
        saving->e = buf_ok(&buf)
                        ? standing_file_write(standing->disk, standing->path, buf_str(&buf))
                        : ERR_LIMIT;
        if (!saving->e)
            standing->saved = generation;
        buf_done(&buf);
        free(rules);
    }
    pthread_mutex_unlock(&standing->save_lock);
}

WAITS static enum err
save_generation(struct standing *standing, uint64_t generation)
{
    struct saving saving = { .standing = standing, .wanted = generation };

    if (standing->path)
        offload(save, &saving);
    return saving.e;
}

static enum err
check_rule(const struct standing_rule *rule, instant now, struct why *why)
{
    bool any = false;

    for (unsigned i = 0; i < FACT_COUNT; i++) {
        any = any || rule->values[i].len > 0;
        if (rule->values[i].len > STANDING_VALUE_MAX || !str_is_utf8(rule->values[i]))
            return err_why(why, ERR_SYNTAX, "%s: has no value that could match", fact_names[i]);
    }
    if (!any)
        return err_why(why, ERR_SYNTAX,
                       "a rule has to say what it is for, by domain: site: provider: sender: "
                       "account: source: or lane:");
    if ((rule->kind == STANDING_TLS) != (rule->level != LEVEL_NONE))
        return err_why(why, ERR_SYNTAX,
                       "a level (require, verify or plain) belongs to tls, and only to it");
    if (rule->kind == STANDING_TLS && rule->values[FACT_SENDER].len +
                                          rule->values[FACT_ACCOUNT].len +
                                          rule->values[FACT_LANE].len)
        return err_why(why, ERR_SYNTAX,
                       "a connection serves many senders: tls goes by domain: site: provider: or "
                       "source: alone");
    if (rule->reason.len == 0 || rule->reason.len > STANDING_REASON_MAX)
        return err_why(why, ERR_SYNTAX, "a rule needs a reason of at most %d bytes",
                       STANDING_REASON_MAX);
    if (rule->until <= now || rule->until - now > STANDING_TIME_MAX)
        return err_why(why, ERR_SYNTAX, "a rule ends in the future, within a year");
    if (rule->kind == STANDING_SLOW && (rule->rate_count == 0 || rule->rate_period <= 0))
        return err_why(why, ERR_SYNTAX, "how slow? for example --rate 10/m");
    if ((rule->kind == STANDING_REROUTE) != (rule->route.len > 0) ||
        rule->route.len > STANDING_ROUTE_MAX)
        return err_why(why, ERR_SYNTAX, "a next hop belongs to reroute, and only to it");
    return OK;
}

/* Under the lock. */
static enum err
check_room(const struct standing *standing, const struct standing_rule *rule, struct why *why)
{
    if (standing->count >= STANDING_RULES_MAX)
        return err_why(why, ERR_LIMIT, "there are %d rules, and more are not kept",
                       STANDING_RULES_MAX);
    if (rule->by_engine && standing->engine_count >= STANDING_ENGINE_MAX)
        return err_why(why, ERR_LIMIT, "the engine made %d rules, and makes no more",
                       STANDING_ENGINE_MAX);
    return OK;
}

/* Under the lock. */
static uint32_t
take_id(struct standing *standing)
{
    uint32_t id;

    do {
        id = standing->next_id;
        standing->next_id = id == STANDING_ID_MAX ? 1 : id + 1;
    } while (find_id(standing, id));
    return id;
}

/* Under the lock. */
static void
insert(struct standing *standing, struct kept *kept)
{
    size_t place = place_of(standing, kept->rule.id);

    for (size_t i = standing->count++; i > place; i--)
        standing->rules[i] = standing->rules[i - 1];
    standing->rules[place] = kept;
    standing->engine_count += kept->rule.by_engine;
    index_rule(standing, kept);
    find_due(standing);
}

/* With the error of what names no domain, which stands in it as it was. */
static enum err
kept_spelled(const struct standing_rule *rule, struct kept **kept, struct why *why)
{
    struct standing_rule spelled = *rule;
    struct arena arena;
    enum err e;

    arena_init(&arena, STANDING_SPELL_MEMORY);
    e = standing_spell(spelled.values, &arena, why);
    *kept = kept_new(&spelled);
    arena_done(&arena);
    return e;
}

enum err
standing_add(struct standing *standing, const struct standing_rule *rule, instant now, uint32_t *id,
             struct why *why)
{
    struct kept *kept = NULL;
    uint64_t generation = 0;
    enum err e = check_rule(rule, now, why);

    if (e)
        return e;
    e = kept_spelled(rule, &kept, why);
    if (rule->by_engine)
        e = OK; /* It takes what deliveries name. */
    pthread_mutex_lock(&standing->lock);
    if (!e)
        e = check_room(standing, rule, why);
    if (!e) {
        kept->rule.id = take_id(standing);
        kept->rule.made = now;
        kept->rule.hits = 0;
        insert(standing, kept);
        generation = ++standing->generation;
        *id = kept->rule.id;
    }
    pthread_mutex_unlock(&standing->lock);
    if (e) {
        free(kept);
        return e;
    }
    e = save_generation(standing, generation);
    return e ? err_why(why, e, "the file of the rules cannot be written: %s", err_name(e)) : OK;
}

uint32_t
standing_prolong(struct standing *standing, const struct standing_facts *facts,
                 enum standing_kind kind, instant until)
{
    uint64_t generation = 0;
    uint32_t id = 0;
    enum err e;

    if (standing_is_empty(standing))
        return 0;
    pthread_mutex_lock(&standing->lock);
    for (size_t i = 0; i < standing->count && id == 0; i++) {
        struct standing_rule *rule = &standing->rules[i]->rule;
        bool same = rule->by_engine && rule->kind == kind;
        for (unsigned fact = 0; fact < FACT_COUNT && same; fact++)
            same = str_eq_nocase(rule->values[fact], facts->values[fact]);
        if (!same)
            continue;
        id = rule->id;
        if (until > rule->until) {
            rule->until = until;
            find_due(standing);
            generation = ++standing->generation;
        }
    }
    pthread_mutex_unlock(&standing->lock);
    e = generation ? save_generation(standing, generation) : OK;
    (void)e; /* It is in force; a restart may end it sooner. */
    return id;
}

/* Under the lock. */
static void
drop_at(struct standing *standing, size_t index)
{
    free(standing->rules[index]);
    standing->count--;
    for (size_t i = index; i < standing->count; i++)
        standing->rules[i] = standing->rules[i + 1];
}

enum err
standing_remove(struct standing *standing, uint32_t id)
{
    uint64_t generation = 0;

    pthread_mutex_lock(&standing->lock);
    for (size_t i = 0; i < standing->count && !generation; i++)
        if (standing->rules[i]->rule.id == id) {
            drop_at(standing, i);
            index_all(standing);
            generation = ++standing->generation;
        }
    pthread_mutex_unlock(&standing->lock);
    return generation ? save_generation(standing, generation) : ERR_NOT_FOUND;
}

size_t
standing_expire(struct standing *standing, instant now, uint32_t *ids, bool *moved, size_t max)
{
    uint64_t generation = 0;
    size_t count = 0;
    enum err e;

    pthread_mutex_lock(&standing->lock);
    for (size_t i = 0; i < standing->count && count < max;) {
        if (standing->rules[i]->rule.until > now) {
            i++;
            continue;
        }
        if (moved)
            moved[count] = standing->rules[i]->rule.kind == STANDING_REROUTE;
        ids[count++] = standing->rules[i]->rule.id;
        drop_at(standing, i);
    }
    if (count) {
        index_all(standing);
        generation = ++standing->generation;
    }
    pthread_mutex_unlock(&standing->lock);
    e = generation ? save_generation(standing, generation) : OK;
    (void)e; /* An ended rule in the file is passed over when it is read. */
    return count;
}

instant
standing_due(struct standing *standing)
{
    return standing->due;
}

static bool
copy_rule(const struct standing_rule *rule, struct arena *arena, struct standing_rule *copy)
{
    bool copied = true;

    *copy = *rule;
    for (unsigned fact = 0; fact < FACT_COUNT; fact++)
        copied = copied && arena_copy(arena, rule->values[fact], &copy->values[fact]);
    return copied && arena_copy(arena, rule->reason, &copy->reason) &&
           arena_copy(arena, rule->actor, &copy->actor) &&
           arena_copy(arena, rule->route, &copy->route);
}

bool
standing_find(struct standing *standing, uint32_t id, struct arena *arena,
              struct standing_rule *rule)
{
    const struct kept *kept;
    bool copied;

    if (standing_is_empty(standing))
        return false;
    pthread_mutex_lock(&standing->lock);
    kept = find_id(standing, id);
    copied = kept && copy_rule(&kept->rule, arena, rule);
    pthread_mutex_unlock(&standing->lock);
    return copied;
}

enum err
standing_list(struct standing *standing, struct arena *arena, struct standing_rule **rules,
              size_t *count)
{
    struct standing_rule *list;
    bool copied = true;
    size_t listed = 0;

    pthread_mutex_lock(&standing->lock);
    list = arena_new_array(arena, struct standing_rule, standing->count + 1);
    for (size_t i = 0; list && copied && i < standing->count; i++)
        copied = copy_rule(&standing->rules[i]->rule, arena, &list[listed++]);
    pthread_mutex_unlock(&standing->lock);
    if (!list || !copied)
        return ERR_LIMIT;
    *rules = list;
    *count = listed;
    return OK;
}

/* --- Life. */

static enum err
read_rules(struct standing *standing, instant now, struct why *why)
{
    struct standing_rule *rules = NULL;
    size_t count = 0;
    struct arena arena;
    struct why ignored; /* Older versions took what is no domain. */
    struct buf buf;
    enum err e;

    buf_init(&buf, STANDING_FILE_MAX + 1);
    arena_init(&arena, DECODE_ARENA_MAX);
    e = standing_file_read(standing->disk, standing->path, &buf);
    if (!e && buf.len)
        e = standing_decode(buf_str(&buf), &arena, &standing->next_id, &rules, &count);
    for (size_t i = 0; !e && i < count; i++) {
        must(i < STANDING_RULES_MAX);
        if (rules[i].until > now && rules[i].until - now <= STANDING_TIME_MAX)
            (void)kept_spelled(&rules[i], &standing->rules[standing->count++], &ignored);
    }
    index_all(standing);
    buf_done(&buf);
    arena_done(&arena);
    return e ? err_why(why, e, "the standing rules in %s cannot be read: %s; move the file away",
                       standing->path, err_name(e))
             : OK;
}

enum err
standing_open(const struct disk *disk, const char *path, instant now, struct standing **standing,
              struct why *why)
{
    struct standing *made = calloc(1, sizeof(*made));
    enum err e = OK;

    must(made);
    made->disk = disk;
    made->path = path ? str_dup(str_from(path)) : NULL;
    made->rules = calloc(STANDING_RULES_MAX, sizeof(struct kept *));
    must(made->rules);
    made->next_id = 1;
    made->due = NEVER;
    map_init(&made->by_key, 0);
    must(pthread_mutex_init(&made->lock, NULL) == 0);
    must(pthread_mutex_init(&made->save_lock, NULL) == 0);
    if (path)
        e = read_rules(made, now, why);
    if (e) {
        standing_free(made);
        return e;
    }
    *standing = made;
    return OK;
}

void
standing_free(struct standing *standing)
{
    if (!standing)
        return;
    for (size_t i = 0; i < standing->count; i++)
        free(standing->rules[i]);
    map_done(&standing->by_key);
    pthread_mutex_destroy(&standing->lock);
    pthread_mutex_destroy(&standing->save_lock);
    free(standing->rules);
    free(standing->path);
    free(standing);
}
