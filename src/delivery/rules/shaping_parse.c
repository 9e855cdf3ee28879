/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* shaping_parse.c: from the text of a rules file to a snapshot, and everything that is wrong in it.
 *
 *     file      = *(provider / reply / class)
 *     provider  = "provider" name "{" *(mx / domain / limit / rate / reply) "}"
 *     mx        = "mx" 1*pattern ";"                  *.google.com
 *     domain    = "domain" 1*name ";"                 gmail.com .example.org
 *     limit     = ("connections" / "messages_per_connection" / "recipients_per_transaction") n ";"
 *     rate      = "rate" 1*4(n "/" period) ";"        600/1m 20000/1d
 *     reply     = "reply" [code] [enhanced] [quoted phrase] class *action ";"
 *     class     = "class" name *action ";"
 *     action    = "bounce" / "next_host" / "retry" [time]
 *               / "slow" / ("back_off" / "suspend_sender") time
 *
 * A code is 421, 42x, 4xx, or 000 (there was no reply); an enhanced code is 4.7.28, 5.7.*, *.1.1 or
 * 5.7.606-649; a star in a phrase is any bytes.  A provider that is there already goes on: figures
 * are replaced, names and rules are added.  Words and signs are those of outpost.conf
 * (config/lex.h).  After a mistake the parser goes on behind the next `;` or `}`.  Start reading at
 * shaping_read().
 */
#include "config/body.h"
#include "config/config.h"
#include "config/lex.h"
#include "config/value.h"
#include "delivery/rules/shaping_inside.h"

enum {
    WORDS_MAX = 256,
    PROVIDER_NAME_MAX = 40,
};

struct reader {
    struct lexer lexer;
    struct token token;
    struct shaping *shaping;
    struct config_problems *problems;
    enum rule_layer layer;
    struct shaping_provider *provider; /* Whose block is open, or NULL. */

    /* The statement at hand. */
    struct token words[WORDS_MAX];
    size_t count;
    size_t at; /* The next word. */
};

/* What may be shown of a word. */
#define SHOWN(text) STR_ARG(str_head((text), 60))

static void
complain(struct reader *r, const struct token *where, const char *what, const char *cure)
{
    problem_addf(r->problems, where->line, where->column, cure, "'%.*s' %s", SHOWN(where->text),
                 what);
}

static void
complain_of_statement(struct reader *r, const char *what, const char *cure)
{
    complain(r, &r->words[0], what, cure);
}

static const struct token *
next_word(struct reader *r)
{
    return r->at < r->count ? &r->words[r->at++] : NULL;
}

static const struct token *
peek_word(const struct reader *r)
{
    return r->at < r->count ? &r->words[r->at] : NULL;
}

static bool
word_is(const struct token *token, const char *name)
{
    return token && !token->quoted && str_eq(token->text, str_from(name));
}

static bool
copy_lower(struct reader *r, str text, str *copy)
{
    char *bytes;

    if (!arena_copy(&r->shaping->arena, text, copy))
        return false;
    bytes = (char *)(uintptr_t)copy->ptr;
    for (size_t i = 0; i < copy->len; i++)
        bytes[i] = ascii_lower(bytes[i]);
    return true;
}

/* --- Codes. */

static bool
code_parse(str word, struct shaping_rule *rule)
{
    uint16_t least = 0, most = 0;

    if (word.len != 3)
        return false;
    for (unsigned i = 0; i < 3; i++) {
        bool any = word.ptr[i] == 'x' && i > 0;
        if (!any && !ascii_is_digit(word.ptr[i]))
            return false;
        least = (uint16_t)(least * 10 + (any ? 0 : word.ptr[i] - '0'));
        most = (uint16_t)(most * 10 + (any ? 9 : word.ptr[i] - '0'));
    }
    if (most != 0 && (least < 400 || most > 599))
        return false;
    rule->code_least = least;
    rule->code_most = most;
    return true;
}

static bool
enhanced_part_parse(str part, uint16_t *least, uint16_t *most)
{
    str from, to;
    uint64_t low, high;

    *least = 0;
    *most = 999;
    if (str_eq(part, S("*")))
        return true;
    if (!str_split(part, '-', &from, &to))
        to = from;
    if (from.len > 3 || to.len > 3 || !str_to_u64(from, &low) || !str_to_u64(to, &high) ||
        low > high)
        return false;
    *least = (uint16_t)low;
    *most = (uint16_t)high;
    return true;
}

static bool
enhanced_pattern_parse(str word, struct enhanced_pattern *pattern)
{
    for (unsigned i = 0; i < 3; i++) {
        str part;
        bool more = str_split(word, '.', &part, &word);
        if (more != (i < 2) || !enhanced_part_parse(part, &pattern->least[i], &pattern->most[i]))
            return false;
    }
    return true;
}

/* --- Phrases. */

static bool
phrase_parse(struct reader *r, const struct token *token, struct shaping_rule *rule)
{
    str rest;
    bool more = true;

    if (token->text.len > SHAPING_PHRASE_MAX || !copy_lower(r, token->text, &rest)) {
        complain(r, token, "is too long for a phrase", "200 bytes are enough to know a reply by");
        return false;
    }
    while (more) {
        str piece;
        more = str_split(rest, '*', &piece, &rest);
        if (piece.len == 0)
            continue;
        if (rule->piece_count == SHAPING_PIECES_MAX) {
            complain(r, token, "has too many stars", "use at most five");
            return false;
        }
        rule->pieces[rule->piece_count++] = piece;
    }
    for (unsigned i = 0; i < rule->piece_count; i++) {
        if (rule->pieces[i].len < 2)
            continue;
        rule->has_probe = true;
        rule->probe = shaping_probe(rule->pieces[i].ptr + rule->pieces[i].len - 2);
    }
    if (rule->piece_count == 0)
        complain(r, token, "is no phrase", "write at least one letter between the quotes");
    return rule->piece_count > 0;
}

/* --- Actions. */

static bool
duration_word(struct reader *r, duration *time)
{
    const struct token *token = peek_word(r);

    if (!token || token->quoted || !duration_parse(token->text, time))
        return false;
    r->at++;
    return true;
}

static bool
is_reasonable(struct reader *r, duration time)
{
    if (time >= SECONDS(1) && time <= DAYS(7))
        return true;
    complain(r, &r->words[r->at - 1], "is no such time", "write 1s to 7d, such as 15m or 2h");
    return false;
}

static bool
site_action_parse(struct reader *r, const struct token *token, struct effect *effect)
{
    for (unsigned i = SITE_SLOW; i <= SITE_SUSPEND_SENDER; i++) {
        if (!word_is(token, shaping_site_action_name((enum shaping_site_action)i)))
            continue;
        effect->site = (enum shaping_site_action)i;
        if (i == SITE_SLOW)
            return true;
        if (duration_word(r, &effect->site_for))
            return is_reasonable(r, effect->site_for);
        complain(r, token, "has no time", "say for how long, such as: back_off 1h");
        return false;
    }
    complain(r, token, "is no action",
             "known are: retry, bounce, next_host, slow, back_off, suspend_sender");
    return false;
}

static bool
actions_parse(struct reader *r, struct effect *effect)
{
    const struct token *token;

    while ((token = next_word(r))) {
        effect->is_said = true;
        if (word_is(token, "next_host")) {
            effect->next_host = true;
        } else if (word_is(token, "bounce")) {
            effect->recipient = RECIPIENT_BOUNCE;
        } else if (word_is(token, "retry")) {
            effect->recipient = RECIPIENT_RETRY;
            if (duration_word(r, &effect->retry_after) && !is_reasonable(r, effect->retry_after))
                return false;
        } else if (!site_action_parse(r, token, effect)) {
            return false;
        }
    }
    return true;
}

static bool
class_word(struct reader *r, enum reply_class *class)
{
    const struct token *token = next_word(r);

    if (token && !token->quoted && reply_class_parse(token->text, class))
        return true;
    complain(r, token ? token : &r->words[0], token ? "is no class" : "lacks its class",
             "the classes are listed in outpost-rules(5), such as rate_limited");
    return false;
}

/* --- Statements. */

/* The words from the first to the last, as one text of a line. */
static bool
keep_words(struct reader *r, str *words)
{
    struct buf text;
    bool kept;

    buf_init(&text, 1024);
    for (size_t i = 0; i < r->count; i++) {
        const char *quote = r->words[i].quoted ? "\"" : "";
        buf_addf(&text, "%s%s%.*s%s", i ? " " : "", quote, STR_ARG(r->words[i].text), quote);
    }
    kept = arena_copy(&r->shaping->arena, buf_str(&text), words);
    buf_done(&text);
    return kept;
}

static bool
reply_conditions(struct reader *r, struct shaping_rule *rule)
{
    const struct token *token = peek_word(r);

    rule->code_most = 999;
    if (token && !token->quoted && code_parse(token->text, rule)) {
        r->at++;
        token = peek_word(r);
    }
    if (token && !token->quoted && enhanced_pattern_parse(token->text, &rule->enhanced)) {
        rule->has_enhanced = true;
        r->at++;
        token = peek_word(r);
    }
    if (!token || !token->quoted)
        return true;
    r->at++;
    return phrase_parse(r, token, rule);
}

static void
read_reply(struct reader *r)
{
    struct shaping *shaping = r->shaping;
    struct shaping_rule *rule;
    bool any;
    struct rule_list *list =
        r->provider ? &r->provider->body->rules[r->layer] : &shaping->rules[r->layer];

    if (shaping->rule_count == SHAPING_RULES_MAX ||
        !(rule = arena_new(&shaping->arena, struct shaping_rule))) {
        complain_of_statement(r, "is one rule too many", "there is room for 4096");
        return;
    }
    rule->is_own = r->layer == LAYER_OWN;
    rule->is_providers = r->provider != NULL;
    rule->line = r->words[0].line;
    if (!reply_conditions(r, rule))
        return;
    any = r->at > 1;
    if (!class_word(r, &rule->class) || !actions_parse(r, &rule->effect) ||
        !keep_words(r, &rule->words))
        return;
    if (!any) {
        complain_of_statement(r, "has no code and no phrase",
                              "say which replies: reply 4xx \"too many\" rate_limited;");
        return;
    }
    shaping->rule_count++;
    *list->end = rule;
    list->end = &rule->next;
}

static void
read_class(struct reader *r)
{
    enum reply_class class;
    struct effect effect = { 0 };

    if (class_word(r, &class) && actions_parse(r, &effect))
        r->shaping->classes[class] = effect;
}

static void
read_patterns(struct reader *r, struct shaping_pattern **list)
{
    const struct token *token;

    while (*list)
        list = &(*list)->next;
    while ((token = next_word(r))) {
        struct shaping_pattern *pattern = arena_new(&r->shaping->arena, struct shaping_pattern);
        if (token->text.len == 0 || token->text.len > 253) {
            complain(r, token, "is no name", "write host names, such as *.example.org");
            return;
        }
        if (!pattern || ++r->shaping->pattern_count > SHAPING_PATTERNS_MAX ||
            !copy_lower(r, token->text, &pattern->text)) {
            complain(r, token, "is one name too many", "there is room for 8192");
            return;
        }
        *list = pattern;
        list = &pattern->next;
    }
}

static void
read_number(struct reader *r, unsigned *number)
{
    uint64_t value;

    if (r->count != 2 || !str_to_u64(r->words[1].text, &value) || value < 1 || value > 1000000)
        complain_of_statement(r, "is followed by no number", "write one from 1 to 1000000");
    else
        *number = (unsigned)value;
}

bool
shaping_rate_parse(str word, struct rate *rate)
{
    static const struct {
        str name;
        duration period;
    } units[] = {
        { { "s", 1 }, SECONDS(1) },
        { { "m", 1 }, MINUTES(1) },
        { { "h", 1 }, HOURS(1) },
        { { "d", 1 }, DAYS(1) },
    };
    str number, period;
    uint64_t count;
    duration length = 0;

    if (!str_split(word, '/', &number, &period) || !str_to_u64(number, &count) || count < 1 ||
        count > UINT32_MAX)
        return false;
    for (size_t i = 0; i < COUNT_OF(units); i++)
        if (str_eq(period, units[i].name))
            length = units[i].period;
    if (length == 0 && !duration_parse(period, &length))
        return false;
    *rate = (struct rate){ (uint32_t)count, length };
    return length >= SECONDS(1) && length <= DAYS(1);
}

static void
read_rates(struct reader *r, struct pace *pace)
{
    const struct token *token;

    if (r->count < 2 || r->count - 1 > PACE_RATES) {
        complain_of_statement(r, "wants one to four rates", "such as: rate 10/1s 20000/1d;");
        return;
    }
    pace->rate_count = 0;
    while ((token = next_word(r))) {
        if (!shaping_rate_parse(token->text, &pace->rates[pace->rate_count])) {
            complain(r, token, "is no rate", "write a number, / and 1s to 1d, such as 600/1m");
            return;
        }
        pace->rate_count++;
    }
}

static void
read_in_provider(struct reader *r)
{
    const struct token *name = next_word(r);
    struct shaping_provider *provider = r->provider;

    if (word_is(name, "reply"))
        read_reply(r);
    else if (word_is(name, "mx"))
        read_patterns(r, &provider->body->mx[r->layer]);
    else if (word_is(name, "domain"))
        read_patterns(r, &provider->body->domains[r->layer]);
    else if (word_is(name, "connections"))
        read_number(r, &provider->pace.connections);
    else if (word_is(name, "messages_per_connection"))
        read_number(r, &provider->pace.messages_per_connection);
    else if (word_is(name, "recipients_per_transaction"))
        read_number(r, &provider->pace.recipients_per_transaction);
    else if (word_is(name, "rate"))
        read_rates(r, &provider->pace);
    else
        complain(r, name, "is not known in a provider",
                 "known are: mx, domain, connections, messages_per_connection, "
                 "recipients_per_transaction, rate, reply");
}

static void
read_at_top(struct reader *r)
{
    const struct token *name = next_word(r);

    if (word_is(name, "reply"))
        read_reply(r);
    else if (word_is(name, "class"))
        read_class(r);
    else
        complain(r, name, "is not known here", "known are: provider, reply, class");
}

/* --- Blocks. */

static bool
is_name(str word)
{
    if (word.len == 0 || word.len > PROVIDER_NAME_MAX)
        return false;
    for (size_t i = 0; i < word.len; i++)
        if (ascii_lower(word.ptr[i]) != word.ptr[i] ||
            (!ascii_is_alnum(word.ptr[i]) && word.ptr[i] != '-' && word.ptr[i] != '_' &&
             word.ptr[i] != '.'))
            return false;
    return true;
}

static struct shaping_provider *
provider_new(struct reader *r, str name)
{
    struct shaping *shaping = r->shaping;
    struct shaping_provider *provider = arena_new(&shaping->arena, struct shaping_provider);
    struct shaping_provider_body *body = arena_new(&shaping->arena, struct shaping_provider_body);
    struct shaping_provider **end = &shaping->providers;

    if (!provider || !body || shaping->provider_count == SHAPING_PROVIDERS_MAX ||
        !copy_lower(r, name, &provider->name))
        return NULL;
    provider->body = body;
    for (unsigned layer = 0; layer < LAYER_COUNT; layer++)
        body->rules[layer].end = &body->rules[layer].first;
    while (*end)
        end = &(*end)->body->next;
    *end = provider;
    shaping->provider_count++;
    return provider;
}

/* What was opened wrongly is read in a provider that nobody sees, for the other mistakes in it. */
static void
open_block(struct reader *r)
{
    struct shaping_provider *provider = NULL;

    if (r->provider) {
        complain(r, &r->token, "opens a block in a block", "close the provider first, with }");
        return;
    }
    if (r->count != 2 || !word_is(&r->words[0], "provider") || !is_name(r->words[1].text)) {
        complain(
            r, r->count ? &r->words[r->count == 2 && word_is(&r->words[0], "provider")] : &r->token,
            "opens no block that is known",
            "write: provider NAME { ... }, the name in small letters, digits, - and _");
    } else {
        provider = (struct shaping_provider *)(uintptr_t)shaping_provider_find(r->shaping,
                                                                               r->words[1].text);
        if (!provider)
            provider = provider_new(r, r->words[1].text);
        if (!provider)
            complain(r, &r->words[1], "is one provider too many", "there is room for 1024");
    }
    r->provider = provider ? provider : provider_new(r, S("-"));
}

static void
close_block(struct reader *r)
{
    if (r->count)
        complain_of_statement(r, "does not end", "put a ; behind it");
    else if (!r->provider)
        complain(r, &r->token, "closes nothing", "delete it");
    r->provider = NULL;
}

static void
end_statement(struct reader *r)
{
    r->at = 0;
    if (!r->count)
        return;
    if (r->words[0].quoted)
        complain_of_statement(r, "is no statement", "begin with a word without quotes");
    else if (r->provider)
        read_in_provider(r);
    else
        read_at_top(r);
}

static void
add_word(struct reader *r)
{
    if (r->count < WORDS_MAX)
        r->words[r->count++] = r->token;
    else
        complain(r, &r->token, "is one word too many", "write several statements");
}

enum err
shaping_read(struct shaping *shaping, str text, enum rule_layer layer,
             struct config_problems *problems)
{
    struct reader *r = arena_new(&shaping->arena, struct reader);

    if (!r)
        return ERR_LIMIT;
    *r = (struct reader){ .shaping = shaping, .problems = problems, .layer = layer };
    lexer_init(&r->lexer, &shaping->arena, text);
    do {
        lexer_next(&r->lexer, &r->token);
        switch (r->token.kind) {
        case TOKEN_WORD:
            add_word(r);
            continue;
        case TOKEN_OPEN:
            open_block(r);
            break;
        case TOKEN_CLOSE:
            close_block(r);
            break;
        case TOKEN_SEMICOLON:
            end_statement(r);
            break;
        case TOKEN_BAD:
            problem_addf(problems, r->token.line, r->token.column, r->token.cure, "%s",
                         r->token.why);
            break;
        case TOKEN_END:
            break;
        }
        if (r->token.kind == TOKEN_END && (r->count || r->provider))
            problem_addf(problems, r->token.line, r->token.column,
                         "close the last block with }, and the last statement with ;",
                         "the file ends too early");
        r->count = 0;
    } while (r->token.kind != TOKEN_END);
    return problems->count ? ERR_SYNTAX : OK;
}
