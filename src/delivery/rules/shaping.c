/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* shaping.c: the rules at work: whose a host is, what a reply means.
 *
 * A reply is held against the user's rules first (those of the provider, then those for everybody),
 * then against the shipped ones in the same order; the first that fits decides.  Within a list the
 * file's own order counts.  Phrases are pieces that must occur one after the other, so that a look
 * costs no more than one walk through the text.  Start reading at shaping_judge().
 */
#include "delivery/rules/shaping.h"

#include "base/must.h"
#include "config/body.h"
#include "config/config.h"
#include "delivery/rules/shaping_inside.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    SHAPING_MEMORY_MAX = 32 << 20
};

/* Made from receivers.conf by tools/embed. */
extern const char shaping_receivers[];
extern const size_t shaping_receivers_size;

str
shaping_shipped(void)
{
    return (str){ shaping_receivers, shaping_receivers_size };
}

/* --- A snapshot. */

static struct shaping *
shaping_new(void)
{
    struct shaping *shaping = calloc(1, sizeof(*shaping));

    must(shaping);
    shaping->refs = 1;
    arena_init(&shaping->arena, SHAPING_MEMORY_MAX);
    for (unsigned layer = 0; layer < LAYER_COUNT; layer++)
        shaping->rules[layer].end = &shaping->rules[layer].first;
    return shaping;
}

struct shaping *
shaping_ref(const struct shaping *shaping)
{
    struct shaping *mine = (struct shaping *)(uintptr_t)shaping;

    __atomic_fetch_add(&mine->refs, 1, __ATOMIC_RELAXED);
    return mine;
}

void
shaping_unref(const struct shaping *shaping)
{
    struct shaping *mine = (struct shaping *)(uintptr_t)shaping;

    if (!mine || __atomic_fetch_sub(&mine->refs, 1, __ATOMIC_ACQ_REL) != 1)
        return;
    arena_done(&mine->arena);
    free(mine);
}

enum err
shaping_parse(str own, struct shaping **shaping, struct config_problems *problems)
{
    struct shaping *made = shaping_new();
    struct config_problems none = { 0 };
    enum err e = shaping_read(made, shaping_shipped(), LAYER_SHIPPED, &none);

    must(!e && none.count == 0);
    config_problems_done(&none);
    e = shaping_read(made, own, LAYER_OWN, problems);
    if (e)
        shaping_unref(made);
    else
        *shaping = made;
    return e;
}

static enum err
read_file(const char *path, struct buf *text)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t count = 0;
    enum err e = fd < 0 ? err_from_errno(errno) : OK;

    while (!e) {
        char *room = buf_reserve(text, 65536);
        count = room ? read(fd, room, 65536) : 0;
        if (!room)
            e = ERR_LIMIT;
        else if (count < 0)
            e = err_from_errno(errno);
        if (e || count == 0)
            break;
        buf_claim(text, (size_t)count);
    }
    if (fd >= 0)
        close(fd);
    return e;
}

enum err
shaping_load(const char *path, struct shaping **shaping, struct config_problems *problems)
{
    struct buf text;
    enum err e = OK;

    buf_init(&text, SHAPING_FILE_MAX);
    if (path && path[0])
        e = read_file(path, &text);
    if (e)
        problem_addf(problems, 0, 0, "is it a file that the server may read, and below 1 MiB?",
                     "the rules cannot be read: %s", err_name(e));
    else
        e = shaping_parse(buf_str(&text), shaping, problems);
    buf_done(&text);
    return e;
}

enum err
shaping_of(const struct config *config, struct shaping **shaping, struct why *why)
{
    const char *path = config->delivery.rules_file.ptr;
    struct config_problems problems = { 0 };
    enum err e = shaping_load(path, shaping, &problems);

    if (e && problems.count)
        (void)err_why(why, e, "%s:%u: %s: %s", path ? path : "", problems.items[0].line,
                      problems.items[0].text, problems.items[0].cure);
    config_problems_done(&problems);
    return e;
}

/* --- Providers. */

bool
shaping_glob(str pattern, str text)
{
    size_t p = 0, t = 0, star = SIZE_MAX, mark = 0;

    while (t < text.len) {
        if (p < pattern.len && pattern.ptr[p] == '*') {
            star = p++;
            mark = t;
        } else if (p < pattern.len && pattern.ptr[p] == text.ptr[t]) {
            p++;
            t++;
        } else if (star != SIZE_MAX) {
            p = star + 1;
            t = ++mark;
        } else {
            return false;
        }
    }
    while (p < pattern.len && pattern.ptr[p] == '*')
        p++;
    return p == pattern.len;
}

/* Lower case, without the dot at the end. */
static str
lower_name(str name, char *bytes, size_t size)
{
    str lower = { bytes, MIN(name.len, size) };

    for (size_t i = 0; i < lower.len; i++)
        bytes[i] = ascii_lower(name.ptr[i]);
    if (lower.len && lower.ptr[lower.len - 1] == '.')
        lower.len--;
    return lower;
}

static bool
host_is_of(const struct shaping_provider *provider, enum rule_layer layer, str host)
{
    for (const struct shaping_pattern *at = provider->body->mx[layer]; at; at = at->next)
        if (shaping_glob(at->text, host))
            return true;
    return false;
}

/* ".example.org" is what stands below example.org. */
static bool
domain_is_of(const struct shaping_provider *provider, enum rule_layer layer, str domain)
{
    for (const struct shaping_pattern *at = provider->body->domains[layer]; at; at = at->next)
        if (at->text.ptr[0] == '.' ? str_ends(domain, at->text) : str_eq(domain, at->text))
            return true;
    return false;
}

static const struct shaping_provider *
provider_by(const struct shaping *shaping, str name,
            bool (*is_of)(const struct shaping_provider *, enum rule_layer, str))
{
    if (name.len == 0)
        return NULL;
    for (unsigned layer = 0; layer < LAYER_COUNT; layer++)
        for (const struct shaping_provider *at = shaping->providers; at; at = at->body->next)
            if (is_of(at, (enum rule_layer)layer, name))
                return at;
    return NULL;
}

const struct shaping_provider *
shaping_provider_of(const struct shaping *shaping, const str *hosts, size_t count, str domain)
{
    char bytes[256];
    const struct shaping_provider *provider = NULL;

    for (size_t i = 0; i < count; i++) {
        const struct shaping_provider *one =
            provider_by(shaping, lower_name(hosts[i], bytes, sizeof(bytes)), host_is_of);
        /* One name among others is nobody's word for the provider: anybody may list it. */
        if (!one || (provider && one != provider)) {
            provider = NULL;
            break;
        }
        provider = one;
    }
    if (!provider)
        provider = provider_by(shaping, lower_name(domain, bytes, sizeof(bytes)), domain_is_of);
    return provider;
}

const struct shaping_provider *
shaping_provider_find(const struct shaping *shaping, str name)
{
    const struct shaping_provider *at = shaping->providers;

    while (at && !str_eq(at->name, name))
        at = at->body->next;
    return at;
}

const struct shaping_provider *
shaping_provider_next(const struct shaping *shaping, const struct shaping_provider *at)
{
    return at ? at->body->next : shaping->providers;
}

/* --- Times that a reply names. */

struct time_unit {
    str name;
    duration size;
};

static const struct time_unit time_units[] = {
    { { "s", 1 }, SECONDS(1) },       { { "sec", 3 }, SECONDS(1) },
    { { "secs", 4 }, SECONDS(1) },    { { "second", 6 }, SECONDS(1) },
    { { "seconds", 7 }, SECONDS(1) }, { { "m", 1 }, MINUTES(1) },
    { { "min", 3 }, MINUTES(1) },     { { "mins", 4 }, MINUTES(1) },
    { { "minute", 6 }, MINUTES(1) },  { { "minutes", 7 }, MINUTES(1) },
    { { "h", 1 }, HOURS(1) },         { { "hr", 2 }, HOURS(1) },
    { { "hrs", 3 }, HOURS(1) },       { { "hour", 4 }, HOURS(1) },
    { { "hours", 5 }, HOURS(1) },
};

/* Words behind which a number with a unit is a time to wait. */
static const str wait_words[] = {
    { "again", 5 }, { "retry", 5 },    { "wait", 4 },     { "come back", 9 },
    { "delay", 5 }, { "greylist", 8 }, { "graylist", 8 }, { "resend", 6 },
};

static size_t
count_while(str text, bool (*holds)(char))
{
    size_t count = 0;

    while (count < text.len && holds(text.ptr[count]))
        count++;
    return count;
}

/* The number with which TEXT begins; LEN is that of all its digits. */
static bool
small_number(str text, size_t *len, uint64_t *value)
{
    *len = count_while(text, ascii_is_digit);
    return *len <= 6 && str_to_u64(str_head(text, *len), value);
}

/* "05:00" or ":05:00" behind the first number. */
static duration
clock_wait(str text, uint64_t first)
{
    uint64_t parts[3] = { first };
    unsigned count = 1;
    size_t len;

    while (count < 3 && text.len > 1 && text.ptr[0] == ':' && ascii_is_digit(text.ptr[1])) {
        text = str_skip(text, 1);
        if (!small_number(text, &len, &parts[count]) || len != 2 || parts[count] > 59)
            return 0;
        text = str_skip(text, len);
        count++;
    }
    if (count == 3)
        return HOURS(parts[0]) + MINUTES(parts[1]) + SECONDS(parts[2]);
    return count == 2 ? MINUTES(parts[0]) + SECONDS(parts[1]) : 0;
}

static duration
unit_wait(str text, uint64_t number)
{
    char word[8];
    size_t len;

    text = str_skip(text, text.len && (text.ptr[0] == ' ' || text.ptr[0] == '-') ? 1 : 0);
    len = count_while(text, ascii_is_alpha);
    if (len == 0 || len > sizeof(word) || (len < text.len && ascii_is_digit(text.ptr[len])))
        return 0;
    for (size_t i = 0; i < len; i++)
        word[i] = ascii_lower(text.ptr[i]);
    for (size_t i = 0; i < COUNT_OF(time_units); i++)
        if (str_eq(time_units[i].name, (str){ word, len }))
            return (duration)number * time_units[i].size;
    return 0;
}

/* The first time in TEXT. */
static duration
first_wait(str text)
{
    while (text.len) {
        uint64_t number;
        duration wait = 0;
        size_t len;

        if (!ascii_is_digit(text.ptr[0])) {
            /* A word at once: what stands in the middle of one is no number. */
            text = str_skip(text, MAX(count_while(text, ascii_is_alnum), (size_t)1));
            continue;
        }
        if (small_number(text, &len, &number)) {
            str rest = str_skip(text, len);
            wait =
                rest.len && rest.ptr[0] == ':' ? clock_wait(rest, number) : unit_wait(rest, number);
        }
        if (wait > 0)
            return wait;
        text = str_skip(text, count_while(text, ascii_is_alnum));
    }
    return 0;
}

duration
shaping_named_wait(str text)
{
    ssize_t first = -1;
    duration wait;

    text = str_head(text, SHAPING_TEXT_MAX);
    for (size_t i = 0; i < COUNT_OF(wait_words); i++) {
        ssize_t at = str_find_nocase(text, wait_words[i]);
        if (at >= 0 && (first < 0 || at < first))
            first = at;
    }
    if (first < 0)
        return 0;
    wait = first_wait(str_skip(text, (size_t)first));
    if (wait == 0)
        return 0;
    return MIN(MAX(wait, SHAPING_NAMED_MIN), SHAPING_NAMED_MAX);
}

/* --- Replies. */

/* A reply, made ready for many looks. */
struct reply {
    uint16_t code;
    bool has_enhanced;
    uint16_t enhanced[3];
    str text; /* Lower case. */
    uint64_t probes[PROBE_COUNT / 64];
    char bytes[SHAPING_TEXT_MAX];
};

static bool
enhanced_parse(str text, uint16_t *numbers)
{
    for (unsigned i = 0; i < 3; i++) {
        uint64_t value;
        str part;
        bool more = str_split(text, '.', &part, &text);
        if (more != (i < 2) || part.len > 3 || !str_to_u64(part, &value))
            return false;
        numbers[i] = (uint16_t)value;
    }
    return true;
}

static void
reply_init(struct reply *reply, uint16_t code, str enhanced, str text)
{
    for (size_t i = 0; i < COUNT_OF(reply->probes); i++)
        reply->probes[i] = 0;
    reply->code = code;
    reply->has_enhanced = enhanced_parse(enhanced, reply->enhanced);
    reply->text = (str){ reply->bytes, MIN(text.len, (size_t)SHAPING_TEXT_MAX) };
    for (size_t i = 0; i < reply->text.len; i++)
        reply->bytes[i] = ascii_lower(text.ptr[i]);
    for (size_t i = 0; i + 1 < reply->text.len; i++) {
        unsigned probe = shaping_probe(reply->bytes + i);
        reply->probes[probe / 64] |= 1ULL << probe % 64;
    }
}

static bool
enhanced_fits(const struct enhanced_pattern *pattern, const uint16_t *numbers)
{
    for (unsigned i = 0; i < 3; i++)
        if (numbers[i] < pattern->least[i] || numbers[i] > pattern->most[i])
            return false;
    return true;
}

static bool
rule_fits(const struct shaping_rule *rule, const struct reply *reply)
{
    str rest = reply->text;

    if (reply->code < rule->code_least || reply->code > rule->code_most)
        return false;
    if (rule->has_enhanced &&
        !(reply->has_enhanced && enhanced_fits(&rule->enhanced, reply->enhanced)))
        return false;
    if (rule->has_probe && !(reply->probes[rule->probe / 64] & 1ULL << rule->probe % 64))
        return false;
    for (unsigned i = 0; i < rule->piece_count; i++) {
        str piece = rule->pieces[i];
        const char *at = memmem(rest.ptr, rest.len, piece.ptr, piece.len);
        if (!at)
            return false;
        rest = str_skip(rest, (size_t)(at - rest.ptr) + piece.len);
    }
    return true;
}

static const struct shaping_rule *
rule_for(const struct shaping *shaping, const struct shaping_provider *provider,
         const struct reply *reply)
{
    for (unsigned layer = 0; layer < LAYER_COUNT; layer++) {
        const struct shaping_rule *at = provider ? provider->body->rules[layer].first : NULL;
        for (; at; at = at->next)
            if (rule_fits(at, reply))
                return at;
        for (at = shaping->rules[layer].first; at; at = at->next)
            if (rule_fits(at, reply))
                return at;
    }
    return NULL;
}

/* A class says when what is tried again is tried; only a rule turns a failure into a delay. */
static void
decide_recipient(const struct effect *effect, bool by_rule, uint16_t code,
                 struct shaping_verdict *verdict)
{
    verdict->bounces = code >= 500;
    verdict->bounce_said = effect->recipient == RECIPIENT_BOUNCE;
    if (verdict->bounce_said)
        verdict->bounces = true;
    else if (effect->recipient == RECIPIENT_RETRY && by_rule)
        verdict->bounces = false;
    verdict->retry_after = verdict->bounces ? 0 : effect->retry_after;
}

void
shaping_judge(const struct shaping *shaping, const struct shaping_provider *provider, uint16_t code,
              str enhanced, str text, struct shaping_verdict *verdict)
{
    struct reply reply;
    const struct shaping_rule *rule;
    const struct effect *effect;
    duration named;

    *verdict = (struct shaping_verdict){ .class = CLASS_NONE };
    if (code >= 200 && code < 400)
        return;
    reply_init(&reply, code, enhanced, text);
    rule = rule_for(shaping, provider, &reply);
    verdict->rule = rule;
    verdict->is_providers = rule && rule->is_providers;
    verdict->class = rule ? rule->class : CLASS_NO_ANSWER;
    effect = rule && rule->effect.is_said ? &rule->effect : &shaping->classes[verdict->class];
    decide_recipient(effect, rule && rule->effect.is_said, code, verdict);
    verdict->site = effect->site;
    verdict->site_for = effect->site_for;
    verdict->next_host = effect->next_host;
    named = code >= 400 && code < 500 ? shaping_named_wait(text) : 0;
    if (named == 0)
        return;
    if (!verdict->bounces) {
        verdict->retry_after = named;
        verdict->retry_named = true;
    }
    if (verdict->site == SITE_SLOW || verdict->site == SITE_BACK_OFF)
        verdict->site_for = named;
}

/* --- For people. */

static const char *const site_action_names[] = {
    [SITE_NOTHING] = "",
    [SITE_SLOW] = "slow",
    [SITE_BACK_OFF] = "back_off",
    [SITE_SUSPEND_SENDER] = "suspend_sender",
};

const char *
shaping_site_action_name(enum shaping_site_action action)
{
    return site_action_names[action];
}

void
shaping_rule_place(const struct shaping_rule *rule, struct buf *out)
{
    if (rule)
        buf_addf(out, "%s:%u", rule->is_own ? "rules_file" : "receivers.conf", rule->line);
}

void
shaping_rule_format(const struct shaping_rule *rule, struct buf *out)
{
    buf_add(out, rule->words);
}
