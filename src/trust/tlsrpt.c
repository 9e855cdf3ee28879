/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* tlsrpt.c: reads the record of RFC 8460 3, writes the report of RFC 8460 4. */
#include "trust/tlsrpt.h"

#include "formats/address.h"
#include "formats/date.h"
#include "formats/json.h"

#include <zlib.h>

enum {
    HTTPS_PORT = 443,
    GZIP_WINDOW = 15 + 16, /* zlib: the largest window, and gzip's frame around it. */
    GZIP_MEMORY = 8,       /* zlib's own default. */
    COMPRESS_STEP = 16384,
};

const char *
tlsrpt_result_name(enum tlsrpt_result result)
{
    static const char *const names[TLSRPT_RESULT_COUNT] = {
        [TLSRPT_OK] = "",
        [TLSRPT_STARTTLS_NOT_SUPPORTED] = "starttls-not-supported",
        [TLSRPT_CERTIFICATE_HOST_MISMATCH] = "certificate-host-mismatch",
        [TLSRPT_CERTIFICATE_EXPIRED] = "certificate-expired",
        [TLSRPT_CERTIFICATE_NOT_TRUSTED] = "certificate-not-trusted",
        [TLSRPT_VALIDATION_FAILURE] = "validation-failure",
        [TLSRPT_TLSA_INVALID] = "tlsa-invalid",
        [TLSRPT_DNSSEC_INVALID] = "dnssec-invalid",
        [TLSRPT_DANE_REQUIRED] = "dane-required",
        [TLSRPT_STS_POLICY_FETCH_ERROR] = "sts-policy-fetch-error",
        [TLSRPT_STS_POLICY_INVALID] = "sts-policy-invalid",
        [TLSRPT_STS_WEBPKI_INVALID] = "sts-webpki-invalid",
    };

    return (unsigned)result < TLSRPT_RESULT_COUNT ? names[result] : "validation-failure";
}

const char *
tlsrpt_policy_name(enum tlsrpt_policy_type type)
{
    return type == TLSRPT_TLSA ? "tlsa" : type == TLSRPT_STS ? "sts" : "no-policy-found";
}

/* --- The record. */

bool
tlsrpt_is_record(str text)
{
    str version, rest;

    return str_split(text, ';', &version, &rest) && str_starts(version, S("v=TLSRPTv1")) &&
           str_trim_blanks(version).len == S("v=TLSRPTv1").len;
}

/* %40 becomes "@"; false on a "%" that two digits do not follow. */
static bool
decode(str text, struct arena *arena, str *decoded)
{
    char *out = arena_alloc(arena, text.len + 1);
    size_t len = 0;

    for (size_t i = 0; out && i < text.len; i++) {
        int high, low;
        if (text.ptr[i] != '%') {
            out[len++] = text.ptr[i];
            continue;
        }
        high = i + 2 < text.len ? ascii_hex(text.ptr[i + 1]) : -1;
        low = high >= 0 ? ascii_hex(text.ptr[i + 2]) : -1;
        if (low < 0)
            return false;
        out[len++] = (char)(high * 16 + low);
        i += 2;
    }
    *decoded = (str){ out, len };
    return out != NULL;
}

/* RFC 6068: one address; what stands behind a "?" is for a human's mail program. */
static bool
read_mailto(str rest, struct arena *arena, struct tlsrpt_rua *rua)
{
    struct address address;
    str path, fields, text;

    (void)str_split(rest, '?', &path, &fields);
    return decode(path, arena, &text) && str_is_ascii(text) &&
           !address_parse(text, arena, &address) && address.domain.len && address.local.len &&
           address_text(&address, arena, &rua->address);
}

/* RFC 9110 4.2.2, by a name: an address alone has no certificate worth anything. */
static bool
read_https(str rest, struct arena *arena, struct tlsrpt_rua *rua)
{
    size_t end = 0;
    str authority, port, target, fragment;
    uint64_t number = HTTPS_PORT;

    while (end < rest.len && !str_starts(str_skip(rest, end), S("/")) && rest.ptr[end] != '?' &&
           rest.ptr[end] != '#')
        end++;
    authority = str_head(rest, end);
    (void)str_split(str_skip(rest, end), '#', &target, &fragment);
    if (str_split(authority, ':', &rua->host, &port) && port.len &&
        (!str_to_u64(port, &number) || number == 0 || number > 65535))
        return false;
    if (!domain_is_valid(rua->host) || !str_is_ascii(rua->host))
        return false;
    rua->port = (uint16_t)number;
    return arena_printf(arena, &rua->target, "%s%.*s", str_starts(target, S("/")) ? "" : "/",
                        STR_ARG(target));
}

bool
tlsrpt_read_uri(str uri, struct arena *arena, struct tlsrpt_rua *rua)
{
    *rua = (struct tlsrpt_rua){ .uri = uri };
    if (uri.len > TLSRPT_URI_MAX || !str_is_printable(uri) || str_find(uri, ' ') >= 0)
        return false;
    if (str_starts_nocase(uri, S("mailto:")))
        return read_mailto(str_skip(uri, S("mailto:").len), arena, rua);
    if (str_starts_nocase(uri, S("https://")))
        return read_https(str_skip(uri, S("https://").len), arena, rua);
    return false;
}

static bool
is_there(const struct tlsrpt_record *record, str uri)
{
    for (size_t i = 0; i < record->count; i++)
        if (str_eq(record->rua[i].uri, uri))
            return true;
    return false;
}

static void
read_rua(str value, struct arena *arena, struct tlsrpt_record *record)
{
    str uri;

    while (value.len && record->count < TLSRPT_RUA_MAX) {
        (void)str_split(value, ',', &uri, &value);
        uri = str_trim_blanks(uri);
        if (!is_there(record, uri) && tlsrpt_read_uri(uri, arena, &record->rua[record->count]))
            record->count++;
    }
}

enum err
tlsrpt_parse(str text, struct arena *arena, struct tlsrpt_record *record)
{
    struct tlsrpt_record found = {};
    str field, name, value;
    bool has_rua = false;

    if (text.len > TLSRPT_RECORD_MAX)
        return ERR_LIMIT;
    if (!tlsrpt_is_record(text))
        return ERR_SYNTAX;
    (void)str_split(text, ';', &field, &text);
    while (text.len) {
        (void)str_split(text, ';', &field, &text);
        field = str_trim_blanks(field);
        if (field.len == 0 && str_trim_blanks(text).len == 0)
            break;
        if (!str_split(field, '=', &name, &value) || !name.len)
            return ERR_SYNTAX;
        /* The first one counts; other names are for extensions to come. */
        if (str_eq(name, S("rua")) && !has_rua) {
            has_rua = true;
            read_rua(value, arena, &found);
        }
    }
    if (!has_rua)
        return ERR_SYNTAX;
    *record = found;
    return OK;
}

enum err
tlsrpt_find(const struct dns_record *records, size_t count, struct arena *arena,
            struct tlsrpt_record *record)
{
    const struct dns_record *found = NULL;

    for (size_t i = 0; i < count; i++) {
        if (!tlsrpt_is_record(records[i].data))
            continue;
        if (found)
            return ERR_NOT_FOUND;
        found = &records[i];
    }
    return found ? tlsrpt_parse(found->data, arena, record) : ERR_NOT_FOUND;
}

/* --- The report. */

static void
put_time(struct json_writer *writer, const char *key, instant time)
{
    char text[DATE_TEXT_MAX];

    date_format_rfc3339(time, false, text);
    json_put_text(writer, key, str_from(text));
}

static void
put_lines(struct json_writer *writer, const char *key, str lines)
{
    str line;

    if (!lines.len)
        return;
    json_begin_array(writer, key);
    while (lines.len) {
        (void)str_split(lines, '\n', &line, &lines);
        json_put_text(writer, NULL, line);
    }
    json_end_array(writer);
}

static void
put_if_any(struct json_writer *writer, const char *key, str text)
{
    if (text.len)
        json_put_text(writer, key, text);
}

static void
put_failure(struct json_writer *writer, const struct tlsrpt_failure *failure)
{
    json_begin_object(writer, NULL);
    json_put_text(writer, "result-type", str_from(tlsrpt_result_name(failure->result)));
    put_if_any(writer, "sending-mta-ip", failure->sending_ip);
    put_if_any(writer, "receiving-mx-hostname", failure->mx);
    put_if_any(writer, "receiving-mx-helo", failure->helo);
    put_if_any(writer, "receiving-ip", failure->receiving_ip);
    json_put_int(writer, "failed-session-count", (int64_t)failure->count);
    put_if_any(writer, "failure-reason-code", failure->reason);
    json_end_object(writer);
}

static void
put_policy(struct json_writer *writer, const struct tlsrpt_policy *policy)
{
    json_begin_object(writer, NULL);
    json_begin_object(writer, "policy");
    json_put_text(writer, "policy-type", str_from(tlsrpt_policy_name(policy->type)));
    put_lines(writer, "policy-string", policy->lines);
    json_put_text(writer, "policy-domain", policy->domain);
    put_lines(writer, "mx-host", policy->mx);
    json_end_object(writer);
    json_begin_object(writer, "summary");
    json_put_int(writer, "total-successful-session-count", (int64_t)policy->succeeded);
    json_put_int(writer, "total-failure-session-count", (int64_t)policy->failed);
    json_end_object(writer);
    if (policy->failure_count) {
        json_begin_array(writer, "failure-details");
        for (size_t i = 0; i < policy->failure_count; i++)
            put_failure(writer, &policy->failures[i]);
        json_end_array(writer);
    }
    json_end_object(writer);
}

enum err
tlsrpt_format(const struct tlsrpt_report *report, struct buf *buf)
{
    struct json_writer writer;

    json_writer_init(&writer, buf);
    json_begin_object(&writer, NULL);
    json_put_text(&writer, "organization-name", report->organization);
    json_begin_object(&writer, "date-range");
    put_time(&writer, "start-datetime", report->begin);
    put_time(&writer, "end-datetime", report->end - SECONDS(1));
    json_end_object(&writer);
    json_put_text(&writer, "contact-info", report->contact);
    json_put_text(&writer, "report-id", report->id);
    json_begin_array(&writer, "policies");
    for (size_t i = 0; i < report->policy_count; i++)
        put_policy(&writer, &report->policies[i]);
    json_end_array(&writer);
    json_end_object(&writer);
    return buf_ok(buf) ? OK : ERR_LIMIT;
}

enum err
tlsrpt_compress(str text, struct buf *buf)
{
    z_stream stream = { .next_in = (Bytef *)text.ptr, .avail_in = (uInt)text.len };
    int state = Z_OK;

    if (text.len > TLSRPT_JSON_MAX || deflateInit2(&stream, Z_BEST_COMPRESSION, Z_DEFLATED,
                                                   GZIP_WINDOW, GZIP_MEMORY, Z_DEFAULT_STRATEGY))
        return ERR_LIMIT;
    while (state == Z_OK) {
        char *room = buf_reserve(buf, COMPRESS_STEP);
        if (!room)
            break;
        stream.next_out = (Bytef *)room;
        stream.avail_out = COMPRESS_STEP;
        state = deflate(&stream, Z_FINISH);
        buf_claim(buf, COMPRESS_STEP - stream.avail_out);
    }
    (void)deflateEnd(&stream);
    return state == Z_STREAM_END ? OK : ERR_LIMIT;
}
