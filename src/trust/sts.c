/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* sts.c: reads what a domain says of MTA-STS; start reading at sts_policy_parse().
 *
 * Fields that nobody knows are passed over, and of a field that stands twice the first counts, but
 * for mx (RFC 8461 3.2).  A policy that names no host is one of mode none.
 */
#include "trust/sts.h"

#include "base/cursor.h"
#include "formats/address.h"

#include <string.h>

static const str version = { "v=STSv1", 7 };

const char *
sts_mode_name(enum sts_mode mode)
{
    return mode == STS_ENFORCE ? "enforce" : mode == STS_TESTING ? "testing" : "none";
}

/* --- The record. */

bool
sts_record_is_ours(str record)
{
    return str_starts(record, version) &&
           str_starts(str_trim_blanks(str_skip(record, version.len)), S(";"));
}

static bool
is_id(str text)
{
    if (text.len == 0 || text.len > STS_ID_MAX)
        return false;
    for (size_t i = 0; i < text.len; i++)
        if (!ascii_is_alnum(text.ptr[i]))
            return false;
    return true;
}

static bool
is_name(str text)
{
    if (text.len == 0 || text.len > 32 || !ascii_is_alnum(text.ptr[0]))
        return false;
    for (size_t i = 1; i < text.len; i++)
        if (!ascii_is_alnum(text.ptr[i]) && text.ptr[i] != '_' && text.ptr[i] != '-' &&
            text.ptr[i] != '.')
            return false;
    return true;
}

static bool
is_extension(str name, str value)
{
    if (!is_name(name) || value.len == 0)
        return false;
    for (size_t i = 0; i < value.len; i++)
        if (value.ptr[i] <= 0x20 || value.ptr[i] > 0x7e || value.ptr[i] == '=')
            return false;
    return true;
}

bool
sts_record_parse(str record, str *id)
{
    str rest, field, name, value;
    str found = S("");

    if (!sts_record_is_ours(record) || !str_split(record, ';', &field, &rest))
        return false;
    while (str_trim_blanks(rest).len) {
        if (!str_split(rest, ';', &field, &rest))
            rest = S("");
        if (!str_split(str_trim_blanks(field), '=', &name, &value))
            return false;
        name = str_trim_blanks(name);
        value = str_trim_blanks(value);
        if (!str_eq(name, S("id"))) {
            if (!is_extension(name, value))
                return false;
            continue;
        }
        if (!is_id(value))
            return false;
        if (!found.len)
            found = value;
    }
    *id = found;
    return found.len > 0;
}

/* --- The policy. */

struct reading {
    struct arena *arena;
    struct sts_policy *policy;
    struct why *why;
    bool has_version;
    bool has_mode;
    bool has_max_age;
    unsigned line;
};

static enum err
wrong(const struct reading *r, enum err e, const char *what)
{
    return err_why(r->why, e, "line %u of the policy: %s", r->line, what);
}

static enum err
read_mode(struct reading *r, str value)
{
    if (r->has_mode)
        return OK;
    r->has_mode = true;
    if (str_eq(value, S("enforce")))
        r->policy->mode = STS_ENFORCE;
    else if (str_eq(value, S("testing")))
        r->policy->mode = STS_TESTING;
    else if (str_eq(value, S("none")))
        r->policy->mode = STS_NONE;
    else
        return wrong(r, ERR_SYNTAX, "the mode is none, testing or enforce");
    return OK;
}

static enum err
read_max_age(struct reading *r, str value)
{
    uint64_t seconds;

    if (r->has_max_age)
        return OK;
    r->has_max_age = true;
    if (value.len > 10 || !str_to_u64(value, &seconds))
        return wrong(r, ERR_SYNTAX, "max_age is a number of seconds");
    r->policy->max_age = SECONDS((duration)MIN(seconds, (uint64_t)(STS_MAX_AGE_MAX / SECONDS(1))));
    return OK;
}

static enum err
read_pattern(struct reading *r, str value)
{
    struct sts_policy *policy = r->policy;
    str host = str_starts(value, S("*.")) ? str_skip(value, 2) : value;
    char *copy;

    if (!str_is_ascii(host) || !domain_is_valid(host))
        return wrong(r, ERR_SYNTAX, "mx is a host, or *. and a domain");
    if (policy->pattern_count == STS_PATTERNS_MAX)
        return wrong(r, ERR_LIMIT, "it names more hosts than we keep");
    copy = arena_alloc(r->arena, value.len);
    if (!copy)
        return ERR_LIMIT;
    for (size_t i = 0; i < value.len; i++)
        copy[i] = ascii_lower(value.ptr[i]);
    policy->patterns[policy->pattern_count++] = (str){ copy, value.len };
    return OK;
}

static enum err
read_line(struct reading *r, str line)
{
    str name, value;

    if (line.len > STS_LINE_MAX)
        return wrong(r, ERR_LIMIT, "it is too long");
    line = str_trim_blanks(line);
    if (line.len == 0)
        return OK;
    if (!str_split(line, ':', &name, &value) || !is_name(name) || !str_is_utf8(value))
        return wrong(r, ERR_SYNTAX, "it is no \"name: value\"");
    value = str_trim_blanks(value);
    if (str_eq(name, S("version"))) {
        if (!r->has_version && !str_eq(value, S("STSv1")))
            return wrong(r, ERR_SYNTAX, "the version is not STSv1");
        r->has_version = true;
        return OK;
    }
    if (str_eq(name, S("mode")))
        return read_mode(r, value);
    if (str_eq(name, S("max_age")))
        return read_max_age(r, value);
    return str_eq(name, S("mx")) ? read_pattern(r, value) : OK;
}

static enum err
missing(const struct reading *r)
{
    const char *what = !r->has_version   ? "version"
                       : !r->has_mode    ? "mode"
                       : !r->has_max_age ? "max_age"
                                         : "mx";

    if (r->has_version && r->has_mode && r->has_max_age &&
        (r->policy->pattern_count || r->policy->mode == STS_NONE))
        return OK;
    return err_why(r->why, ERR_SYNTAX, "the policy says nothing of %s", what);
}

enum err
sts_policy_parse(str text, struct arena *arena, struct sts_policy *policy, struct why *why)
{
    struct sts_policy read = { .patterns = arena_new_array(arena, str, STS_PATTERNS_MAX) };
    struct reading r = { .arena = arena, .policy = &read, .why = why };
    enum err e = OK;
    str line;

    if (!read.patterns)
        return ERR_LIMIT;
    if (text.len > STS_POLICY_SIZE_MAX)
        return err_why(why, ERR_LIMIT, "the policy is longer than 64 KiB");
    while (!e && text.len) {
        if (!str_split(text, '\n', &line, &text))
            text = S("");
        if (str_ends(line, S("\r")))
            line.len--;
        if (++r.line > STS_LINES_MAX)
            e = wrong(&r, ERR_LIMIT, "it has too many lines");
        else
            e = read_line(&r, line);
    }
    if (!e)
        e = missing(&r);
    if (!e)
        *policy = read;
    return e;
}

void
sts_policy_format(const struct sts_policy *policy, struct buf *text)
{
    buf_addf(text, "version: STSv1\nmode: %s\n", sts_mode_name(policy->mode));
    for (size_t i = 0; i < policy->pattern_count; i++)
        buf_addf(text, "mx: %.*s\n", STR_ARG(policy->patterns[i]));
    buf_addf(text, "max_age: %lld\n", (long long)(policy->max_age / SECONDS(1)));
}

/* --- Hosts. */

bool
sts_pattern_matches(str pattern, str host)
{
    ssize_t dot = str_find(host, '.');

    if (str_ends(host, S(".")))
        host.len--;
    if (!str_starts(pattern, S("*.")))
        return str_eq_nocase(pattern, host);
    return dot > 0 && str_eq_nocase(str_skip(pattern, 1), str_skip(host, (size_t)dot));
}

bool
sts_policy_names(const struct sts_policy *policy, str host)
{
    for (size_t i = 0; i < policy->pattern_count; i++)
        if (sts_pattern_matches(policy->patterns[i], host))
            return true;
    return false;
}
