/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* queue_query.c: the words by which operators say which messages they mean.
 *
 * Each word is a row of the table `words`, with the function that reads its value.  A word is asked
 * twice: of the tables, which can often say no (queue_row_may_match()), and of everything
 * (queue_row_matches()).
 */
#include "delivery/queue/queue_look.h"

#include "delivery/rules/classify.h"
#include "delivery/queue/cluster.h"
#include "delivery/route.h"
#include "formats/address.h"

#include <string.h>

enum {
    NUMBER_MAX = 1000000
};

/* --- Reading. */

static bool
read_relation(str *text, enum queue_relation *relation)
{
    static const struct {
        str sign;
        enum queue_relation relation;
    } signs[] = {
        { S(">="), RELATION_AT_LEAST }, { S("<="), RELATION_AT_MOST }, { S(">"), RELATION_ABOVE },
        { S("<"), RELATION_BELOW },     { S("="), RELATION_IS },
    };

    *relation = RELATION_IS;
    for (size_t i = 0; i < COUNT_OF(signs); i++)
        if (str_starts(*text, signs[i].sign)) {
            *relation = signs[i].relation;
            *text = str_skip(*text, signs[i].sign.len);
            return true;
        }
    return false;
}

/* "12" with one of the letters of UNITS behind it, which stand for SIZES. */
static bool
read_amount(str text, const char *units, const int64_t *sizes, int64_t *amount)
{
    const char *unit = text.len ? memchr(units, text.ptr[text.len - 1], strlen(units)) : NULL;
    uint64_t number;

    if (!unit || !str_to_u64(str_head(text, text.len - 1), &number) || number > NUMBER_MAX)
        return false;
    *amount = (int64_t)number * sizes[unit - units];
    return true;
}

/* Never empty: a variable that was not set would select everything. */
static bool
read_text(str text, struct queue_term *term)
{
    (void)term;
    return text.len > 0 && text.len <= QUEUE_WORD_MAX;
}

static bool
read_domain(str text, struct queue_term *term)
{
    return read_text(text, term) && (domain_is_valid(text) || domain_literal_parse(text, NULL));
}

/* Only of "@domain" it is known that it must be one. */
static bool
read_address(str text, struct queue_term *term)
{
    return str_starts(text, S("@")) ? read_domain(str_skip(text, 1), term) : read_text(text, term);
}

static bool
read_id(str text, struct queue_term *term)
{
    return msgid_parse(text, &term->id);
}

static bool
read_state(str text, struct queue_term *term)
{
    for (unsigned i = 0; i < ROW_DONE; i++)
        if (str_eq_nocase(text, str_from(queue_state_names[i]))) {
            term->number = i;
            return true;
        }
    return false;
}

static bool
read_age(str text, struct queue_term *term)
{
    static const int64_t sizes[] = { SECONDS(1), MINUTES(1), HOURS(1), DAYS(1) };

    return read_relation(&text, &term->relation) && term->relation != RELATION_IS &&
           read_amount(text, "smhd", sizes, &term->number);
}

static bool
read_size(str text, struct queue_term *term)
{
    static const int64_t sizes[] = { 1024, 1024, 1048576, 1048576, 1073741824, 1073741824 };
    uint64_t number;

    if (!read_relation(&text, &term->relation) || term->relation == RELATION_IS)
        return false;
    if (read_amount(text, "kKmMgG", sizes, &term->number))
        return true;
    if (!str_to_u64(text, &number) || number > INT64_MAX)
        return false;
    term->number = (int64_t)number;
    return true;
}

static bool
read_number(str text, struct queue_term *term)
{
    uint64_t number;

    (void)read_relation(&text, &term->relation);
    if (!str_to_u64(text, &number) || number > (1 << 20))
        return false;
    term->number = (int64_t)number;
    return true;
}

static bool
read_lane(str text, struct queue_term *term)
{
    enum lane lane;

    if (!lane_parse(text, &lane))
        return false;
    term->number = lane;
    return true;
}

static bool
read_class(str text, struct queue_term *term)
{
    enum reply_class class;

    if (!reply_class_parse(text, &class))
        return false;
    term->number = class;
    return true;
}

/* "9f2c1a7b", or a code: "421", "4.7.28", "421-4.7.28". */
static bool
read_cluster(str text, struct queue_term *term)
{
    uint32_t id;

    term->number = cluster_parse(text, &id) ? (int64_t)id : -1;
    return text.len > 0 && text.len <= 16;
}

/* clang-format off */
static const struct {
    const char *name;
    enum queue_word word;
    bool (*read)(str text, struct queue_term *term);
    const char *example;
} words[] = {
    { "id",       QUEUE_ID,       read_id,      "id:01J..." },
    { "to",       QUEUE_TO,       read_address, "to:@example.org" },
    { "from",     QUEUE_FROM,     read_address, "from:ann@example.org" },
    { "domain",   QUEUE_DOMAIN,   read_domain,  "domain:example.org" },
    { "account",  QUEUE_ACCOUNT,  read_address, "account:shop@example.org" },
    { "state",    QUEUE_STATE,    read_state,   "state:held, or scheduled, ready, running" },
    { "age",      QUEUE_AGE,      read_age,     "age:>2h" },
    { "site",     QUEUE_SITE,     read_text,    "site:mx.example.org" },
    { "provider", QUEUE_PROVIDER, read_text,    "provider:google" },
    { "source",   QUEUE_SOURCE,   read_text,    "source:first" },
    { "lane",     QUEUE_LANE,     read_lane,    "lane:code, or personal, notice, bulk" },
    { "class",    QUEUE_CLASS,    read_class,   "class:rate_limited" },
    { "cluster",  QUEUE_CLUSTER,  read_cluster, "cluster:421-4.7.28" },
    { "attempts", QUEUE_ATTEMPTS, read_number,  "attempts:>=3" },
    { "size",     QUEUE_SIZE,     read_size,    "size:>5M" },
    { "route",    QUEUE_ROUTE,    read_text,    "route:gateway" },
    { "msgid",    QUEUE_MSGID,    read_text,    "msgid:abc@example.org" },
    { "rule",     QUEUE_RULE,     read_number,  "rule:3" },
};
/* clang-format on */

#define WORDS_TEXT                                                                                 \
    "words are id: to: from: domain: account: state: age: site: provider: source: lane: class: "   \
    "cluster: attempts: size: route: msgid: rule:"

static enum err
parse_word(str text, struct queue_term *term, struct why *why)
{
    str name, value;

    if (str_starts(text, S("not:"))) {
        term->negated = true;
        text = str_skip(text, 4);
    }
    if (!str_split(text, ':', &name, &value)) {
        term->word = QUEUE_ID;
        term->text = text;
        return msgid_parse(text, &term->id)
                   ? OK
                   : err_why(why, ERR_SYNTAX,
                             "\"%.*s\" is no word of a query and no id; " WORDS_TEXT,
                             STR_ARG(str_head(text, 40)));
    }
    term->text = value;
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        if (!str_eq(name, str_from(words[i].name)))
            continue;
        term->word = words[i].word;
        return words[i].read(value, term)
                   ? OK
                   : err_why(why, ERR_SYNTAX, "\"%.*s\" does not fit; write for example %s",
                             STR_ARG(str_head(text, 60)), words[i].example);
    }
    return err_why(why, ERR_SYNTAX, "\"%.*s:\" is no word of a query; " WORDS_TEXT,
                   STR_ARG(str_head(name, 40)));
}

enum err
queue_query_parse(str text, struct queue_query *query, struct why *why)
{
    struct queue_query read = {};
    str rest = str_trim(text);
    str word;

    while (rest.len > 0) {
        enum err e;
        if (!str_split(rest, ' ', &word, &rest))
            rest = S("");
        rest = str_trim(rest);
        if (read.count == QUEUE_QUERY_WORDS)
            return err_why(why, ERR_LIMIT, "a query has at most %d words", QUEUE_QUERY_WORDS);
        e = parse_word(word, &read.words[read.count++], why);
        if (e)
            return e;
    }
    *query = read;
    return OK;
}

/* --- Matching. */

/* Addresses stand in the envelope as they were given: with U-labels or A-labels. */
static bool
domain_eq(str a, str b)
{
    struct arena arena;
    bool same;

    if (str_eq_nocase(a, b) || (str_is_ascii(a) && str_is_ascii(b)))
        return str_eq_nocase(a, b);
    arena_init(&arena, 4096);
    same = domain_to_alabel(a, &arena, &a) == OK && domain_to_alabel(b, &arena, &b) == OK &&
           str_eq(a, b);
    arena_done(&arena);
    return same;
}

static bool
domain_matches(str address, str wanted)
{
    ssize_t at = str_find_last(address, '@');

    return at >= 0 && domain_eq(str_skip(address, (size_t)at + 1), wanted);
}

/* "ann@example.org" whole, "@example.org" at the end, anything else anywhere. */
static bool
address_matches(str address, str wanted)
{
    ssize_t at = str_find_last(wanted, '@');

    if (at < 0)
        return wanted.len == 0 || str_find_nocase(address, wanted) >= 0;
    return (at == 0 || str_eq_nocase(str_head(address, (size_t)MAX(str_find_last(address, '@'), 0)),
                                     str_head(wanted, (size_t)at))) &&
           domain_matches(address, str_skip(wanted, (size_t)at + 1));
}

static bool
number_matches(int64_t number, const struct queue_term *term)
{
    switch (term->relation) {
    case RELATION_IS:
        return number == term->number;
    case RELATION_ABOVE:
        return number > term->number;
    case RELATION_BELOW:
        return number < term->number;
    case RELATION_AT_LEAST:
        return number >= term->number;
    case RELATION_AT_MOST:
        return number <= term->number;
    }
    return false;
}

/* What keeps a recipient back: the last answer that it got itself, or, where it got none, what its
 * site said to others before it was tried. */
struct said {
    uint16_t code;
    str enhanced;
    str text;
};

static struct said
said_to(const struct message_view *view, uint32_t index)
{
    const struct recipient_progress *progress = &view->progress.recipients[index];
    struct said said = { progress->code, progress->enhanced, progress->text };

    if (said.code == 0 && said.text.len == 0 && view->rows[index].state != ROW_DONE)
        said.text = queue_take_answer(view->rows[index].reason, &said.code, &said.enhanced);
    return said;
}

static bool
cluster_matches(const struct said *said, const struct queue_term *term)
{
    str code, enhanced;
    uint64_t number;

    if (said->code == 0 && said->text.len == 0)
        return false;
    if (term->number >= 0)
        return cluster_id(said->code, said->enhanced, said->text) == (uint32_t)term->number;
    if (!str_split(term->text, '-', &code, &enhanced))
        return str_to_u64(term->text, &number) ? said->code == number
                                               : str_eq(said->enhanced, term->text);
    return str_to_u64(code, &number) && said->code == number && str_eq(said->enhanced, enhanced);
}

static bool
class_matches(const struct message_view *view, const struct queue_term *term, uint32_t index)
{
    struct said said = said_to(view, index);

    return (said.code || said.text.len) &&
           queue_class(view->shaping, view->rows[index].provider, said.code, said.enhanced,
                       said.text) == (enum reply_class)term->number;
}

static bool
msgid_matches(str header, str wanted)
{
    return str_find_nocase(header, wanted) >= 0;
}

/* Words that the envelope and the note answer. */
static bool
content_holds(const struct message_view *view, const struct queue_term *term, uint32_t index)
{
    const struct envelope *envelope = &view->envelope;
    struct said said = said_to(view, index);
    str address = envelope->recipients[index].address;

    switch (term->word) {
    case QUEUE_TO:
        return address_matches(address, term->text);
    case QUEUE_FROM:
        if (str_eq(term->text, S("<>")))
            return envelope->reverse_path.len == 0;
        return address_matches(envelope->reverse_path, term->text);
    case QUEUE_DOMAIN:
        return domain_matches(address, term->text);
    case QUEUE_ACCOUNT:
        return address_matches(envelope->account, term->text);
    case QUEUE_SIZE:
        return number_matches((int64_t)envelope->size, term);
    case QUEUE_MSGID:
        return msgid_matches(envelope->header_message_id, term->text);
    case QUEUE_CLASS:
        return class_matches(view, term, index);
    case QUEUE_CLUSTER:
        return cluster_matches(&said, term);
    default:
        return true;
    }
}

/* The facts of a row that the tables have. */
struct table_facts {
    msgid id;
    instant received_at;
    enum lane lane;
    unsigned state;
    unsigned attempts;
    uint32_t rule;
    str site;
    str source;
    str provider;
    str route;
};

/* *KNOWN: the tables can answer TERM. */
static bool
table_holds(const struct table_facts *facts, const struct queue_term *term, instant now,
            bool *known)
{
    *known = true;
    switch (term->word) {
    case QUEUE_ID:
        return msgid_cmp(facts->id, term->id) == 0;
    case QUEUE_STATE:
        return facts->state == (unsigned)term->number;
    case QUEUE_AGE:
        return number_matches(now - facts->received_at, term);
    case QUEUE_SITE:
        return route_site_has(facts->site, term->text);
    case QUEUE_PROVIDER:
        return str_eq_nocase(facts->provider, term->text);
    case QUEUE_SOURCE:
        return str_eq_nocase(facts->source, term->text);
    case QUEUE_LANE:
        return facts->lane == (enum lane)term->number;
    case QUEUE_ATTEMPTS:
        return number_matches(facts->attempts, term);
    case QUEUE_ROUTE:
        return str_find_nocase(facts->route, term->text) >= 0;
    case QUEUE_RULE:
        return number_matches(facts->rule, term);
    default:
        *known = false;
        return true;
    }
}

static bool
names_id(const struct queue_term *term)
{
    return term->word == QUEUE_ID && !term->negated;
}

/* Several ids are several messages: one of them is enough. */
static bool
is_among_ids(msgid id, const struct queue_query *query)
{
    bool any = false;

    for (size_t i = 0; i < query->count; i++) {
        if (!names_id(&query->words[i]))
            continue;
        if (msgid_cmp(query->words[i].id, id) == 0)
            return true;
        any = true;
    }
    return !any;
}

bool
queue_row_matches(const struct message_view *view, const struct queue_query *query, uint32_t index,
                  instant now)
{
    const struct row_view *row = &view->rows[index];
    struct table_facts facts = {
        .id = view->id,
        .received_at = view->envelope.received_at,
        .lane = view->lane,
        .state = row->state,
        .attempts = row->attempts,
        .rule = row->rule,
        .site = row->site,
        .source = row->source,
        .provider = row->provider,
        .route = row->route,
    };

    if (row->state == ROW_DONE)
        return false;
    if (!is_among_ids(view->id, query))
        return false;
    for (size_t i = 0; i < query->count; i++) {
        const struct queue_term *term = &query->words[i];
        bool known;
        bool holds = table_holds(&facts, term, now, &known);
        if (!known)
            holds = content_holds(view, term, index);
        if (!names_id(term) && holds == term->negated)
            return false;
    }
    return true;
}

/* A way by MX bears the name of its domain: what it says against one spares the envelope. */
static bool
is_other_domain(str route, const struct queue_term *term)
{
    return term->word == QUEUE_DOMAIN && !term->negated && str_starts(route, S("mx:")) &&
           str_is_ascii(term->text) && !str_eq_nocase(str_skip(route, 3), term->text);
}

bool
queue_row_may_match(const struct schedule_row *row, const struct queue_query *query, instant now,
                    bool *sure)
{
    const struct schedule_site *site;
    struct table_facts facts;

    *sure = true;
    if (row->state == ROW_DONE)
        return false;
    site = row->target->site;
    facts = (struct table_facts){
        .id = row->message->id,
        .received_at = row->message->received_at,
        .lane = row->message->lane,
        .state = row->state,
        .attempts = row->attempts,
        .rule = row->rule,
        .site = str_from(site->key),
        .source = str_from(site->source),
        .provider = queue_provider_of(site),
        .route = str_from(row->target->key),
    };
    if (!is_among_ids(row->message->id, query))
        return false;
    for (size_t i = 0; i < query->count; i++) {
        const struct queue_term *term = &query->words[i];
        bool known;
        bool holds = table_holds(&facts, term, now, &known);
        *sure = *sure && known;
        if ((known && !names_id(term) && holds == term->negated) ||
            is_other_domain(facts.route, term))
            return false;
    }
    return true;
}

str
queue_provider_of(const struct schedule_site *site)
{
    const struct schedule_group *group = site->groups[SCOPE_PROVIDER];

    return str_from(group ? group->name : "");
}

str
queue_site_reason(const struct schedule_site *site)
{
    for (unsigned i = 0; i < SCOPE_COUNT; i++) {
        const struct schedule_group *group = site->groups[i];
        if (group && !schedule_group_is_well(group) && group->reason)
            return str_from(group->reason);
    }
    return S("");
}

str
queue_take_answer(str text, uint16_t *code, str *enhanced)
{
    uint64_t number;
    str first, second, rest;

    *code = 0;
    *enhanced = S("");
    if (!str_split(text, ' ', &first, &rest) || first.len != 3 || !str_to_u64(first, &number) ||
        number < 400 || number > 599)
        return text;
    *code = (uint16_t)number;
    text = rest;
    (void)str_split(text, ' ', &second, &rest);
    if (second.len < 5 || second.len > 11 || second.ptr[1] != '.')
        return text;
    *enhanced = second;
    return rest;
}

void
queue_split_answer(str text, uint16_t *code, str *enhanced)
{
    (void)queue_take_answer(text, code, enhanced);
}

enum reply_class
queue_class(const struct shaping *shaping, str provider, uint16_t code, str enhanced, str text)
{
    struct shaping_verdict verdict;

    if (code == 0 && text.len == 0)
        return CLASS_NONE;
    shaping_judge(shaping, provider.len ? shaping_provider_find(shaping, provider) : NULL, code,
                  enhanced, text, &verdict);
    return verdict.class;
}
