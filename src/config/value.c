/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* value.c: one pair of functions for each type of option, and the two tables that choose them.
 * Start reading at value_set(). */
#include "config/value.h"

#include "base/must.h"
#include "config/config.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct unit {
    const char *name;
    uint64_t size;
};

/* clang-format off */
static const struct unit duration_units[] = { /* The largest first: formatting takes the first that divides. */
    { "d", DAYS(1) }, { "h", HOURS(1) }, { "m", MINUTES(1) }, { "s", SECONDS(1) }, { "ms", MILLISECONDS(1) },
};
static const struct unit byte_units[] = {
    { "T", 1ULL << 40 }, { "G", 1ULL << 30 }, { "M", 1ULL << 20 }, { "K", 1ULL << 10 }, { "", 1 },
};
/* clang-format on */

struct setting {
    const struct option *option;
    struct arena *arena;
    str base_dir;
    str word;
    struct config_problem *problem;
};

PRINTF_LIKE(2, 3)
static bool
wrong(struct setting *s, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(s->problem->text, sizeof(s->problem->text), format, args);
    va_end(args);
    return false;
}

PRINTF_LIKE(2, 3)
static bool
cure(struct setting *s, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(s->problem->cure, sizeof(s->problem->cure), format, args);
    va_end(args);
    return false;
}

/* "WORD is not a ...", with an example of what would be. */
static bool
not_a(struct setting *s, const char *what, const char *cure_text)
{
    wrong(s, "\"%.*s\" is not %s", STR_ARG(str_head(s->word, 100)), what);
    return cure(s, "%s", cure_text);
}

static bool
too_large(struct setting *s)
{
    wrong(s, "the configuration is too large");
    return cure(s, "make it smaller");
}

static bool
keep(struct setting *s, str text, str *field)
{
    return arena_copy(s->arena, text, field) || too_large(s);
}

static bool
number_with_unit(str text, const struct unit *units, size_t count, uint64_t *value)
{
    size_t digits = 0;
    uint64_t number;

    while (digits < text.len && ascii_is_digit(text.ptr[digits]))
        digits++;
    if (!str_to_u64(str_head(text, digits), &number))
        return false;
    for (size_t i = 0; i < count; i++) {
        if (str_eq_nocase(str_skip(text, digits), str_from(units[i].name)))
            return !__builtin_mul_overflow(number, units[i].size, value);
    }
    return false;
}

bool
duration_parse(str text, duration *time)
{
    uint64_t value;

    if (!number_with_unit(text, duration_units, COUNT_OF(duration_units), &value) ||
        value > INT64_MAX / 2)
        return false;
    *time = (duration)value;
    return true;
}

bool
bytes_parse(str text, uint64_t *bytes)
{
    return number_with_unit(text, byte_units, COUNT_OF(byte_units), bytes);
}

static void
format_with_unit(uint64_t value, const struct unit *units, size_t count, struct buf *out)
{
    for (size_t i = 0; i < count; i++) {
        if (value && value % units[i].size == 0) {
            buf_addf(out, "%llu%s", (unsigned long long)(value / units[i].size), units[i].name);
            return;
        }
    }
    buf_addf(out, "0%s", units == duration_units ? "s" : "");
}

void
duration_format(duration time, struct buf *out)
{
    /* Nothing finer than a millisecond can be written. */
    time -= time % MILLISECONDS(1);
    format_with_unit((uint64_t)time, duration_units, COUNT_OF(duration_units), out);
}

void
bytes_format(uint64_t bytes, struct buf *out)
{
    format_with_unit(bytes, byte_units, COUNT_OF(byte_units), out);
}

static bool
set_bool(struct setting *s, void *field)
{
    bool *flag = field;

    if (str_eq_nocase(s->word, S("on")) || str_eq_nocase(s->word, S("yes")))
        *flag = true;
    else if (str_eq_nocase(s->word, S("off")) || str_eq_nocase(s->word, S("no")))
        *flag = false;
    else
        return not_a(s, "on or off", "write on or off");
    return true;
}

static void
format_bound(const struct option *option, uint64_t bound, struct buf *out)
{
    if (option->type == OPTION_DURATION)
        duration_format((duration)bound, out);
    else if (option->type == OPTION_BYTES)
        bytes_format(bound, out);
    else
        buf_addf(out, "%llu", (unsigned long long)bound);
}

static bool
within(struct setting *s, uint64_t value)
{
    const struct option *option = s->option;
    struct buf text;

    if (!option->max || (value >= option->min && value <= option->max))
        return true;
    buf_init(&text, 200);
    format_bound(option, option->min, &text);
    buf_add(&text, S(" to "));
    format_bound(option, option->max, &text);
    wrong(s, "\"%.*s\" is out of range for %s", STR_ARG(str_head(s->word, 40)), option->name);
    cure(s, "write a value from %s", buf_cstr(&text));
    buf_done(&text);
    return false;
}

static bool
set_integer(struct setting *s, void *field)
{
    uint64_t value;

    if (!str_to_u64(s->word, &value))
        return not_a(s, "a number", "write digits only, such as 100");
    if (!within(s, value))
        return false;
    *(unsigned *)field = (unsigned)value;
    return true;
}

static bool
set_bytes(struct setting *s, void *field)
{
    uint64_t value;

    if (!bytes_parse(s->word, &value))
        return not_a(s, "a number of bytes", "write a number, then K, M, G or T, such as 25M");
    if (!within(s, value))
        return false;
    *(uint64_t *)field = value;
    return true;
}

static bool
set_duration(struct setting *s, void *field)
{
    duration value;
    uint64_t ignored;

    if (str_to_u64(s->word, &ignored)) {
        wrong(s, "\"%.*s\" has no unit", STR_ARG(str_head(s->word, 40)));
        return cure(s, "write %.*ss for seconds; the units are ms, s, m, h and d",
                    STR_ARG(str_head(s->word, 40)));
    }
    if (!duration_parse(s->word, &value))
        return not_a(s, "a duration", "write a number and ms, s, m, h or d, such as 30m");
    if (!within(s, (uint64_t)value))
        return false;
    *(duration *)field = value;
    return true;
}

static bool
set_text(struct setting *s, void *field)
{
    if (!str_is_utf8(s->word))
        return not_a(s, "UTF-8", "save the file in UTF-8");
    return keep(s, s->word, field);
}

static bool
lower(struct setting *s, str word, str *field)
{
    char *bytes;

    if (!keep(s, word, field))
        return false;
    bytes = (char *)(uintptr_t)field->ptr;
    for (size_t i = 0; i < word.len; i++)
        bytes[i] = ascii_lower(bytes[i]);
    return true;
}

static bool
set_hostname(struct setting *s, void *field)
{
    for (size_t i = 0; i < s->word.len; i++) {
        char c = s->word.ptr[i];

        if (!ascii_is_alnum(c) && c != '-' && c != '.')
            return not_a(s, "a host name", "write letters, digits, - and dots: mail.example.org");
    }
    if (s->word.len < 1 || s->word.len > 253 || s->word.ptr[0] == '.' || s->word.ptr[0] == '-')
        return not_a(s, "a host name", "write a name such as mail.example.org");
    return lower(s, s->word, field);
}

static bool
set_path(struct setting *s, void *field)
{
    str path;

    if (!s->word.len || s->word.len > 4000 || str_find(s->word, '\0') >= 0)
        return not_a(s, "a path", "write the path of a file");
    if (s->word.ptr[0] == '/' || !s->base_dir.len)
        return keep(s, s->word, field);
    if (!arena_printf(s->arena, &path, "%.*s/%.*s", STR_ARG(s->base_dir), STR_ARG(s->word)))
        return too_large(s);
    *(str *)field = path;
    return true;
}

static bool
set_address(struct setting *s, void *field)
{
    ssize_t at = str_find_last(s->word, '@');

    if (at < 1 || (size_t)at + 1 == s->word.len || s->word.len > 320 || !str_is_utf8(s->word) ||
        str_find(s->word, ' ') >= 0)
        return not_a(s, "a mail address", "write it as name@example.org");
    return keep(s, s->word, field);
}

static bool
set_enum(struct setting *s, void *field)
{
    struct buf names;

    buf_init(&names, 200);
    for (const struct option_choice *c = s->option->choices; c->name; c++) {
        if (str_eq_nocase(s->word, str_from(c->name))) {
            *(unsigned *)field = c->value;
            buf_done(&names);
            return true;
        }
        buf_addf(&names, "%s%s", c == s->option->choices ? "" : ", ", c->name);
    }
    wrong(s, "%s cannot be \"%.*s\"", s->option->name, STR_ARG(str_head(s->word, 60)));
    cure(s, "write one of: %s", buf_cstr(&names));
    buf_done(&names);
    return false;
}

static bool
set_url(struct setting *s, void *field)
{
    struct why why;

    if (relay_parse_unresolved(s->arena, s->word, field, &why) == OK)
        return true;
    wrong(s, "%s", why.text);
    return cure(s, "examples: smtps://ann@smtp.example.org  smtp://mail.lan:25?tls=off  "
                   "lmtp:///run/dovecot/lmtp");
}

/* A list's new last item of SIZE bytes, zeroed; the old ones are copied. */
static void *
append(struct setting *s, void *items, size_t *count, size_t size)
{
    char *more = NULL;

    if (*count < VALUE_ITEMS_MAX)
        more = arena_alloc(s->arena, (*count + 1) * size);
    if (!more) {
        wrong(s, "%s has too many items", s->option->name);
        cure(s, "%d are possible", VALUE_ITEMS_MAX);
        return NULL;
    }
    if (*count)
        memcpy(more, *(void **)items, *count * size);
    *(void **)items = more;
    (*count)++;
    return more + (*count - 1) * size;
}

static bool
add_text(struct setting *s, void *field)
{
    struct config_texts *list = field;
    str *item;

    if (!s->word.len || !str_is_utf8(s->word))
        return not_a(s, "a text", "write text in UTF-8");
    item = append(s, &list->items, &list->count, sizeof(*item));
    return item && keep(s, s->word, item);
}

static bool
add_domain(struct setting *s, void *field)
{
    struct config_texts *list = field;
    str *item;

    if (!s->word.len || s->word.len > 320 || !str_is_utf8(s->word) || str_find(s->word, ' ') >= 0)
        return not_a(s, "a domain", "write it as example.org");
    item = append(s, &list->items, &list->count, sizeof(*item));
    return item && lower(s, s->word, item);
}

static bool
add_network(struct setting *s, void *field)
{
    struct config_networks *list = field;
    struct network network;
    struct network *item;

    if (!network_parse(s->word, &network))
        return not_a(s, "a network",
                     "write it as 10.0.0.0/8, 2001:db8::/32 or one address; no bit below the "
                     "mask may be set");
    item = append(s, &list->items, &list->count, sizeof(*item));
    if (item)
        *item = network;
    return item != NULL;
}

static bool
add_endpoint(struct setting *s, void *field)
{
    struct config_endpoints *list = field;
    struct endpoint endpoint;
    struct endpoint *item;

    if (!endpoint_parse(s->word, &endpoint) || endpoint.port == 0)
        return not_a(s, "an address and a port",
                     "write it as 192.0.2.1:25, [2001:db8::1]:25, or :25 for all addresses");
    item = append(s, &list->items, &list->count, sizeof(*item));
    if (item)
        *item = endpoint;
    return item != NULL;
}

static bool
add_addr(struct setting *s, void *field)
{
    struct config_addrs *list = field;
    ipaddr addr;
    ipaddr *item;

    if (!ipaddr_parse(s->word, &addr))
        return not_a(s, "an IP address", "write it as 192.0.2.1 or 2001:db8::1");
    item = append(s, &list->items, &list->count, sizeof(*item));
    if (item)
        *item = addr;
    return item != NULL;
}

static bool
set_stub(const struct option *option, struct setting *s, const str *words, size_t count,
         struct config_stubs *list)
{
    struct dns_stub stub;
    struct dns_stub *item;
    str zone;

    if (count != 2) {
        wrong(s, "%s takes a zone and an address", option->name);
        return cure(s, "write %s example.org 192.0.2.53:53;", option->name);
    }
    if (!set_hostname(s, &zone))
        return false;
    s->word = words[1];
    if (!endpoint_parse(words[1], &stub.server))
        return not_a(s, "an address and a port", "write it as 192.0.2.53:53");
    stub.zone = zone.ptr;
    item = append(s, &list->items, &list->count, sizeof(*item));
    if (item)
        *item = stub;
    return item != NULL;
}

/* clang-format off */
static bool (*const setters[])(struct setting *, void *) = {
    [OPTION_BOOL] = set_bool, [OPTION_INTEGER] = set_integer, [OPTION_BYTES] = set_bytes,
    [OPTION_DURATION] = set_duration, [OPTION_TEXT] = set_text, [OPTION_HOSTNAME] = set_hostname,
    [OPTION_PATH] = set_path, [OPTION_ADDRESS] = set_address, [OPTION_ENUM] = set_enum,
    [OPTION_URL] = set_url, [OPTION_TEXTS] = add_text, [OPTION_DOMAINS] = add_domain,
    [OPTION_NETWORKS] = add_network, [OPTION_ENDPOINTS] = add_endpoint, [OPTION_ADDRS] = add_addr,
};
/* clang-format on */

bool
value_set(const struct option *option, struct arena *arena, str base_dir, const str *words,
          size_t count, void *section, struct config_problem *problem, size_t *bad)
{
    struct setting s = { option, arena, base_dir, count ? words[0] : (str){ 0 }, problem };
    void *field = (char *)section + option->offset;

    *bad = 0;
    if (count == 0) {
        wrong(&s, "%s has no value", option->name);
        return cure(&s, "write: %s VALUE;  (%s)", option->name, option_type_text(option));
    }
    if (option->type == OPTION_STUBS)
        return set_stub(option, &s, words, count, field);
    if (count > 1 && !option_is_list(option)) {
        *bad = 1;
        wrong(&s, "%s takes one value, here are %zu", option->name, count);
        return cure(&s, "put a text with blanks into \"quotes\", or end the line before with ;");
    }
    for (size_t i = 0; i < count; i++) {
        *bad = i;
        s.word = words[i];
        if (!setters[option->type](&s, field))
            return false;
    }
    return true;
}

static void
format_text(str text, struct buf *out)
{
    bool plain = text.len > 0 && text.ptr[0] != '#';

    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];

        if (c <= ' ' || c == 0x7f || strchr("{};\"\\", c))
            plain = false;
    }
    if (plain) {
        buf_add(out, text);
        return;
    }
    buf_add_byte(out, '"');
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '"' || text.ptr[i] == '\\')
            buf_add_byte(out, '\\');
        buf_add_byte(out, text.ptr[i]);
    }
    buf_add_byte(out, '"');
}

static void
format_url(const struct relay_target *target, struct buf *out)
{
    struct relay_target written = *target;
    struct arena arena;
    str url;

    relay_resolve(&written);
    arena_init(&arena, 16384);
    if (target->kind != RELAY_NONE && relay_format_url(&arena, &written, &url))
        format_text(url, out);
    arena_done(&arena);
}

static void
format_network(const struct network *network, struct buf *out)
{
    char text[IPADDR_TEXT_MAX];
    bool v4 = ipaddr_is_v4(network->addr) && network->bits >= 96;
    unsigned bits = v4 ? network->bits - 96 : network->bits;

    ipaddr_format(network->addr, text);
    buf_addf(out, "%s/%u", text, bits);
}

static void
format_endpoint(const struct endpoint *endpoint, struct buf *out)
{
    char text[IPADDR_TEXT_MAX + 8];

    endpoint_format(endpoint, text);
    buf_addf(out, "%s", text);
}

static size_t
item_count(const struct option *option, const void *field)
{
    switch (option->type) {
    case OPTION_TEXTS:
    case OPTION_DOMAINS:
        return ((const struct config_texts *)field)->count;
    case OPTION_NETWORKS:
        return ((const struct config_networks *)field)->count;
    case OPTION_ENDPOINTS:
        return ((const struct config_endpoints *)field)->count;
    case OPTION_ADDRS:
        return ((const struct config_addrs *)field)->count;
    case OPTION_STUBS:
        return ((const struct config_stubs *)field)->count;
    default:
        return 0;
    }
}

static void
format_item(const struct option *option, const void *field, size_t i, struct buf *out)
{
    const struct config_stubs *stubs = field;
    char text[IPADDR_TEXT_MAX];

    switch (option->type) {
    case OPTION_NETWORKS:
        format_network(&((const struct config_networks *)field)->items[i], out);
        break;
    case OPTION_ENDPOINTS:
        format_endpoint(&((const struct config_endpoints *)field)->items[i], out);
        break;
    case OPTION_ADDRS:
        ipaddr_format(((const struct config_addrs *)field)->items[i], text);
        buf_addf(out, "%s", text);
        break;
    case OPTION_STUBS:
        buf_addf(out, "%s%s ", i ? "; stub " : "", stubs->items[i].zone);
        format_endpoint(&stubs->items[i].server, out);
        break;
    default:
        format_text(((const struct config_texts *)field)->items[i], out);
    }
}

static void
format_choice(const struct option *option, unsigned value, struct buf *out)
{
    for (const struct option_choice *c = option->choices; c->name; c++) {
        if (c->value == value)
            buf_addf(out, "%s", c->name);
    }
}

void
value_format(const struct option *option, const void *section, struct buf *out)
{
    const void *field = (const char *)section + option->offset;
    size_t count = item_count(option, field);

    switch (option->type) {
    case OPTION_BOOL:
        buf_addf(out, "%s", *(const bool *)field ? "on" : "off");
        break;
    case OPTION_INTEGER:
        buf_addf(out, "%u", *(const unsigned *)field);
        break;
    case OPTION_BYTES:
        bytes_format(*(const uint64_t *)field, out);
        break;
    case OPTION_DURATION:
        duration_format(*(const duration *)field, out);
        break;
    case OPTION_ENUM:
        format_choice(option, *(const unsigned *)field, out);
        break;
    case OPTION_URL:
        format_url(field, out);
        break;
    case OPTION_TEXT:
    case OPTION_HOSTNAME:
    case OPTION_PATH:
    case OPTION_ADDRESS:
        if (!value_is_empty(option, section))
            format_text(*(const str *)field, out);
        break;
    default:
        for (size_t i = 0; i < count; i++) {
            if (i && option->type != OPTION_STUBS)
                buf_add_byte(out, ' ');
            format_item(option, field, i, out);
        }
    }
}

bool
value_is_empty(const struct option *option, const void *section)
{
    const void *field = (const char *)section + option->offset;

    switch (option->type) {
    case OPTION_TEXT:
    case OPTION_HOSTNAME:
    case OPTION_PATH:
    case OPTION_ADDRESS:
        return ((const str *)field)->len == 0;
    case OPTION_URL:
        return ((const struct relay_target *)field)->kind == RELAY_NONE;
    default:
        return option_is_list(option) && item_count(option, field) == 0;
    }
}

bool
value_eq(const struct option *option, const void *a, const void *b)
{
    struct buf x, y;
    bool same;

    buf_init(&x, 1048576);
    buf_init(&y, 1048576);
    value_format(option, a, &x);
    value_format(option, b, &y);
    same = str_eq(buf_str(&x), buf_str(&y));
    buf_done(&x);
    buf_done(&y);
    return same;
}
