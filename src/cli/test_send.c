/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* test_send.c: outpost test send: one message through any server, told as it happens.
 *
 * The conversation is that of the delivery (protocols/smtp/client); this file listens to it: each
 * stage is told when the next one begins, the replies are read from the tap.  When it fails,
 * test_meaning.c says what that means.  Start reading at test_send().
 */
#include "cli/test_send.h"

#include "auth/sasl.h"
#include "base/must.h"
#include "cli/test_meaning.h"
#include "cli/test_message.h"
#include "formats/dsn.h"
#include "protocols/smtp/client.h"
#include "runtime/clock.h"
#include "runtime/dns.h"
#include "runtime/fiber.h"
#include "runtime/tls.h"
#include "runtime/wait.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    DETAIL_SIZE = 400,
    MESSAGE_SIZE_MAX = 256 << 20,
    RECIPIENTS_MAX = 100,
    ADDRESSES_MAX = 16
};

struct sending {
    struct call *call;
    struct smtp_client_options options;
    struct smtp_message message;
    struct smtp_recipient recipients[RECIPIENTS_MAX];
    struct buf text;
    const char *server;
    uint16_t port;
    struct endpoint addresses[ADDRESSES_MAX];
    size_t address_count;
    bool only_check;
    bool verbose;

    /* What is being told. */
    bool running; /* A stage has begun and was not told yet. */
    enum test_stage stage;
    instant began;
    struct buf lines[2]; /* Of what the server says, and we, so far. */
    unsigned told;
    char reply[DETAIL_SIZE]; /* Its last whole reply: the last line, or the words of EHLO. */
    size_t reply_lines;
    unsigned replies; /* Since the message began. */
    int exit;
};

static void
tell_json(struct sending *s, const char *stage, const char *state, const char *detail, int64_t ms,
          const struct test_meaning *meaning)
{
    struct json_writer writer;
    struct buf row;

    buf_init(&row, 65536);
    json_writer_init(&writer, &row);
    json_begin_object(&writer, NULL);
    json_put_text(&writer, "stage", str_from(stage));
    json_put_text(&writer, "state", str_from(state));
    json_put_int(&writer, "ms", ms);
    json_put_text(&writer, "detail", str_from(detail));
    if (meaning) {
        json_put_text(&writer, "meaning", str_from(meaning->meaning));
        json_put_text(&writer, "cure", str_from(meaning->cure));
    }
    json_end_object(&writer);
    output_row_text(s->call->out, buf_str(&row));
    fflush(s->call->out->file);
    buf_done(&row);
}

/* One line about STAGE, with the time since the last one. */
static void
tell(struct sending *s, enum test_stage stage, const char *state, const char *detail,
     const struct test_meaning *meaning)
{
    instant now = clock_steady();
    int64_t ms = (now - s->began) / MILLISECONDS(1);
    char colored[64];

    s->began = now;
    s->running = false;
    if (s->call->out->format != OUTPUT_TABLE) {
        tell_json(s, test_stage_name(stage), state, detail, ms, meaning);
        return;
    }
    output_colored(s->call->out, state, colored);
    if (!s->call->out->quiet)
        fprintf(s->call->out->file, "%2u %-11s %s%*s ", ++s->told, test_stage_name(stage), colored,
                (int)(5 - strlen(state)), "");
    output_line(s->call->out, "%s  (%lld ms)", detail, (long long)ms);
    if (meaning)
        output_line(s->call->out, "\n   %s\n   %s", meaning->meaning, meaning->cure);
    fflush(s->call->out->file);
}

static void
finish_stage(struct sending *s)
{
    char peer[IPADDR_TEXT_MAX + 8];

    if (!s->running)
        return;
    if (s->stage == TEST_CONNECT) {
        endpoint_format(&s->options.peer, peer);
        tell(s, s->stage, "ok", peer, NULL);
    } else {
        tell(s, s->stage, "ok", s->reply, NULL);
    }
}

static void
tell_failure(struct sending *s, enum test_stage stage, enum err e, const struct smtp_answer *answer,
             const char *why)
{
    struct test_failure failure = {
        .stage = stage,
        .e = e,
        .enhanced = "",
        .text = why,
        .implicit_tls = s->options.implicit_tls,
    };
    struct test_meaning meaning;
    char detail[DETAIL_SIZE + SMTP_ANSWER_TEXT_MAX];

    /* A stage that went well may not have been told yet. */
    if (s->stage != stage)
        finish_stage(s);
    snprintf(detail, sizeof(detail), "%s", why);
    if (answer && answer->code) {
        failure.e = OK;
        failure.code = answer->code;
        failure.enhanced = answer->enhanced;
        failure.text = answer->text;
        snprintf(detail, sizeof(detail), "%u %s%s%s", answer->code, answer->enhanced,
                 answer->enhanced[0] ? " " : "", answer->text);
    }
    meaning = test_meaning(&failure);
    tell(s, stage, "FAIL", detail, &meaning);
    s->exit = EXIT_NO;
}

/* --- Listening to the conversation. */

static enum test_stage
stage_of(enum smtp_stage stage)
{
    static const enum test_stage stages[] = {
        [SMTP_STAGE_CONNECT] = TEST_CONNECT, [SMTP_STAGE_GREETING] = TEST_GREETING,
        [SMTP_STAGE_EHLO] = TEST_EHLO,       [SMTP_STAGE_STARTTLS] = TEST_STARTTLS,
        [SMTP_STAGE_TLS] = TEST_TLS,         [SMTP_STAGE_AUTH] = TEST_AUTH,
        [SMTP_STAGE_MAIL] = TEST_MAIL,       [SMTP_STAGE_RCPT] = TEST_RCPT,
        [SMTP_STAGE_DATA] = TEST_DATA,       [SMTP_STAGE_BODY] = TEST_DATA,
        [SMTP_STAGE_FINAL] = TEST_ACCEPTED,  [SMTP_STAGE_IDLE] = TEST_ACCEPTED,
    };

    return stages[stage];
}

static void
on_stage(void *arg, enum smtp_stage stage)
{
    struct sending *s = arg;

    finish_stage(s);
    s->reply[0] = '\0';
    s->replies = 0;
    s->stage = stage_of(stage);
    /* Those of the message are told reply by reply. */
    s->running = stage < SMTP_STAGE_MAIL;
}

static void
on_tls(void *arg, const struct tls_info *info)
{
    struct sending *s = arg;
    char detail[DETAIL_SIZE];

    snprintf(detail, sizeof(detail), "%s %s", info->version, info->cipher);
    tell(s, TEST_TLS, "ok", detail, NULL);
    if (info->verified)
        tell(s, TEST_CERTIFICATE, "ok", "valid for this name", NULL);
    else
        tell(s, TEST_CERTIFICATE, "warn", info->verify_text, NULL);
}

/* A whole reply came while the message was under way: to what, its place says. */
static void
on_message_reply(struct sending *s, unsigned code)
{
    unsigned number = s->replies++;
    enum test_stage stage = TEST_ACCEPTED;

    if (number == 0)
        stage = TEST_MAIL;
    else if (number <= s->message.recipient_count)
        stage = TEST_RCPT;
    else if (code == 354)
        stage = TEST_DATA;
    if (code < 400)
        tell(s, stage, "ok", s->reply, NULL);
}

/* The words of EHLO go one after the other, without the server's name; of other replies the last
 * line counts. */
static void
on_line(struct sending *s, str line)
{
    uint64_t code = 0;
    str text = str_skip(line, 4);
    size_t used = strlen(s->reply);
    bool is_last = line.len < 4 || line.ptr[3] == ' ';

    str_to_u64(str_head(line, 3), &code);
    if (s->stage != TEST_EHLO)
        snprintf(s->reply, sizeof(s->reply), "%.*s", STR_ARG(str_head(line, DETAIL_SIZE - 1)));
    else if (s->reply_lines)
        snprintf(s->reply + used, sizeof(s->reply) - used, "%s%.*s", used ? ", " : "",
                 STR_ARG(str_head(text, DETAIL_SIZE)));
    s->reply_lines = is_last ? 0 : s->reply_lines + 1;
    if (is_last && s->stage == TEST_MAIL)
        on_message_reply(s, (unsigned)code);
}

static void
show_line(bool output, str line)
{
    struct buf safe;

    buf_init(&safe, line.len + 1);
    output_add_harmless(&safe, line);
    fprintf(stderr, "   %c %.*s\n", output ? '>' : '<', STR_ARG(buf_str(&safe)));
    buf_done(&safe);
}

static void
on_bytes(void *arg, bool output, str bytes)
{
    struct sending *s = arg;
    struct buf *line = &s->lines[output];

    for (size_t i = 0; i < bytes.len; i++) {
        if (bytes.ptr[i] != '\n') {
            buf_add_byte(line, bytes.ptr[i]);
            continue;
        }
        if (s->verbose)
            show_line(output, str_trim(buf_str(line)));
        if (!output)
            on_line(s, str_trim(buf_str(line)));
        buf_clear(line);
    }
}

/* --- Names. */

/* The resolvers of the system, from resolv.conf. */
static size_t
read_resolvers(struct endpoint *resolvers, size_t max)
{
    FILE *file = fopen("/etc/resolv.conf", "re");
    char line[512];
    size_t count = 0;

    while (file && count < max && fgets(line, sizeof(line), file)) {
        str text = str_trim(str_from(line));

        if (str_starts(text, S("nameserver")) &&
            ipaddr_parse(str_trim(str_skip(text, 10)), &resolvers[count].addr))
            resolvers[count++].port = 53;
    }
    if (file)
        fclose(file);
    return count;
}

/* On a thread: see dns_configure(). */
struct configuring {
    enum err result;
    struct why why;
};

static void
configure_dns(void *arg)
{
    struct configuring *configuring = arg;
    struct endpoint resolvers[3];
    struct dns_options options = {
        .forwarders = resolvers,
        .forwarder_count = read_resolvers(resolvers, COUNT_OF(resolvers)),
        .hosts_file = access("/etc/hosts", R_OK) == 0 ? "/etc/hosts" : NULL,
    };

    configuring->result = dns_configure(&options, &configuring->why);
}

WAITS static void
look_up_type(struct sending *s, enum dns_type type, struct dns_answer *answer)
{
    *answer = (struct dns_answer){ .status = DNS_TEMPORARY };
    if (dns_lookup(&s->call->arena, str_from(s->server), type, deadline_in(SECONDS(20)), answer))
        answer->status = DNS_NO_NAME;
    for (size_t i = 0; answer->status == DNS_FOUND && i < answer->count; i++) {
        if (s->address_count < ADDRESSES_MAX)
            s->addresses[s->address_count++] =
                (struct endpoint){ answer->records[i].addr, s->port };
    }
}

static void
tell_addresses(struct sending *s)
{
    char detail[DETAIL_SIZE] = "";
    size_t used = 0;

    for (size_t i = 0; i < s->address_count && used < sizeof(detail) - IPADDR_TEXT_MAX - 4; i++) {
        char text[IPADDR_TEXT_MAX];

        ipaddr_format(s->addresses[i].addr, text);
        used += (size_t)snprintf(detail + used, sizeof(detail) - used, "%s%s", i ? ", " : "", text);
    }
    tell(s, TEST_LOOKUP, "ok", detail, NULL);
}

WAITS static bool
look_up(struct sending *s)
{
    struct dns_answer answer = { 0 };
    struct configuring configuring = { .result = OK };
    ipaddr addr;

    s->began = clock_steady();
    if (ipaddr_parse(str_from(s->server), &addr)) {
        s->addresses[s->address_count++] = (struct endpoint){ addr, s->port };
        return true;
    }
    offload(configure_dns, &configuring);
    if (configuring.result) {
        tell_failure(s, TEST_LOOKUP, ERR_TIMEOUT, NULL, configuring.why.text);
        return false;
    }
    if (!call_has(s->call, "--ipv6"))
        look_up_type(s, DNS_A, &answer);
    if (!call_has(s->call, "--ipv4") && answer.status != DNS_NO_NAME)
        look_up_type(s, DNS_AAAA, &answer);
    if (s->address_count) {
        tell_addresses(s);
        return true;
    }
    if (answer.status == DNS_TEMPORARY || answer.status == DNS_BOGUS)
        tell_failure(s, TEST_LOOKUP, answer.status == DNS_BOGUS ? ERR_REFUSED : ERR_TIMEOUT, NULL,
                     answer.why);
    else
        tell_failure(s, TEST_LOOKUP, ERR_NOT_FOUND, NULL,
                     answer.status == DNS_NO_DATA ? "the name has no address" : "no such name");
    return false;
}

/* --- The message. */

static enum err
read_text(void *arg, uint64_t offset, void *bytes, size_t size, size_t *got)
{
    const struct sending *s = arg;
    str rest = str_skip(buf_str(&s->text), (size_t)offset);

    *got = MIN(size, rest.len);
    if (*got)
        memcpy(bytes, rest.ptr, *got);
    return OK;
}

/* What became of it, after the conversation went its whole way. */
static void
tell_outcome(struct sending *s)
{
    for (size_t i = 0; i < s->message.recipient_count; i++) {
        const struct smtp_recipient *rcpt = &s->recipients[i];

        if (rcpt->answer && rcpt->answer->code >= 200 && rcpt->answer->code < 300)
            continue;
        tell_failure(s, stage_of(rcpt->stage), ERR_REFUSED, rcpt->answer, "no answer came");
        return;
    }
    output_line(s->call->out, "\nThe server has taken the message.");
}

WAITS static void
send_message(struct sending *s, struct smtp_client *client)
{
    struct smtp_failure failure = { 0 };
    enum err e = smtp_client_send(client, &s->message, &failure);

    if (e)
        tell_failure(s, stage_of(failure.stage), e, &failure.answer, failure.why.text);
    else
        tell_outcome(s);
}

/* Whether another address may do better. */
static bool
is_of_address(const struct smtp_failure *failure)
{
    return failure->stage == SMTP_STAGE_CONNECT;
}

WAITS static struct smtp_client *
open_client(struct sending *s)
{
    for (size_t i = 0; i < s->address_count; i++) {
        struct smtp_client *client = NULL;
        struct smtp_failure failure = { 0 };
        enum err e;

        s->options.peer = s->addresses[i];
        e = smtp_client_open(&s->options, &client, &failure);
        if (!e) {
            finish_stage(s);
            return client;
        }
        if (is_of_address(&failure) && i + 1 < s->address_count) {
            tell(s, TEST_CONNECT, "warn", failure.why.text, NULL);
            continue;
        }
        tell_failure(s, stage_of(failure.stage), e, &failure.answer, failure.why.text);
        return NULL;
    }
    return NULL;
}

/* The whole conversation, in a fiber. */
WAITS static void
run(void *arg)
{
    struct sending *s = arg;
    struct smtp_client *client;

    if (!look_up(s))
        return;
    client = open_client(s);
    if (!client)
        return;
    if (s->only_check)
        output_line(s->call->out, "\nThe connection is good; no message was sent.");
    else
        send_message(s, client);
    smtp_client_quit(client);
}

/* --- The flags. */

static enum relay_tls
tls_of(const char *word, bool implicit)
{
    if (implicit || !word || strcmp(word, "require") == 0 || strcmp(word, "required") == 0 ||
        strcmp(word, "on") == 0)
        return RELAY_TLS_REQUIRE;
    return strcmp(word, "off") == 0 ? RELAY_TLS_OFF : RELAY_TLS_MAY;
}

static enum relay_auth
auth_of(const char *word)
{
    static const char *const words[] = { "auto", "none", "plain", "login", "scram-sha-256" };

    for (size_t i = 0; word && i < COUNT_OF(words); i++) {
        if (strcmp(word, words[i]) == 0)
            return (enum relay_auth)i;
    }
    return RELAY_AUTH_AUTO;
}

static int
missing(struct call *call, const char *flag)
{
    return call_fail(call, EXIT_USAGE, "usage", "for an example: outpost test send --help",
                     "%s is missing", flag);
}

static int
take_server(struct sending *s)
{
    struct call *call = s->call;
    const char *type = call_text(call, "--type");
    uint64_t port;

    s->server = call_text(call, "--server");
    if (!s->server)
        return missing(call, "--server");
    port = call_number(call, "--port", 0);
    /* Port 465 says by itself what it is. */
    s->options.implicit_tls = type ? strcmp(type, "smtps") == 0 : port == 465;
    if (!port)
        port = s->options.implicit_tls ? 465 : 587;
    if (port > 65535)
        return call_fail(call, EXIT_USAGE, "usage", "ports are 1 to 65535", "there is no port %llu",
                         (unsigned long long)port);
    s->port = (uint16_t)port;
    s->options.tls = tls_of(call_text(call, "--tls"), s->options.implicit_tls);
    s->message.require_tls = call_has(call, "--require-tls");
    if (s->message.require_tls)
        s->options.tls = RELAY_TLS_REQUIRE;
    return EXIT_OK;
}

static int
take_tls(struct sending *s)
{
    const char *verify = call_text(s->call, "--verify");
    const char *sni = call_text(s->call, "--sni");
    struct why why = { "" };

    s->options.host = str_from(sni ? sni : s->server);
    s->options.verify = s->options.tls == RELAY_TLS_MAY ? RELAY_VERIFY_OFF : RELAY_VERIFY_ON;
    if (verify)
        s->options.verify = strcmp(verify, "none") == 0 ? RELAY_VERIFY_OFF : RELAY_VERIFY_ON;
    if (s->options.tls == RELAY_TLS_OFF)
        return EXIT_OK;
    if (tls_client_new(call_text(s->call, "--ca"), &s->options.tls_context, &why))
        return call_fail(s->call, EXIT_NOINPUT, "ca", "name a PEM file with --ca FILE", "%s",
                         why.text);
    return EXIT_OK;
}

static int
take_login(struct sending *s)
{
    const char *user = call_text(s->call, "--user");

    s->options.auth = auth_of(call_text(s->call, "--auth"));
    if (!user || s->options.auth == RELAY_AUTH_NONE)
        return user || s->options.auth <= RELAY_AUTH_NONE ? EXIT_OK : missing(s->call, "--user");
    s->options.user = str_from(user);
    s->options.sasl = sasl_new();
    return call_password(s->call, false, &s->options.password);
}

static int
take_connection(struct sending *s)
{
    duration timeout = call_duration(s->call, "--timeout", SECONDS(30));
    const char *helo = call_text(s->call, "--helo");
    const char *source = call_text(s->call, "--source");
    char host[256] = "";
    ipaddr *local;

    if (!helo && gethostname(host, sizeof(host) - 1) == 0 && host[0])
        helo = host;
    if (!arena_copy(&s->call->arena, str_from(helo ? helo : "localhost"), &s->options.helo_name))
        return EXIT_INTERNAL;
    s->options.timeouts = (struct smtp_timeouts){ timeout, timeout, timeout, timeout, timeout };
    s->options.tap = on_bytes;
    s->options.on_stage = on_stage;
    s->options.on_tls = on_tls;
    s->options.arg = s;
    s->only_check = call_has(s->call, "--only-check");
    s->verbose = call_has(s->call, "--verbose");
    if (!source)
        return EXIT_OK;
    local = arena_new(&s->call->arena, ipaddr);
    if (!local || !ipaddr_parse(str_from(source), local))
        return call_fail(s->call, EXIT_USAGE, "usage", "write an IP address of this machine",
                         "--source cannot be \"%s\"", source);
    s->options.local = local;
    return EXIT_OK;
}

static int
read_file(struct call *call, const char *path, struct buf *text)
{
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
    size_t count = 1;

    while (file && count) {
        char *room = buf_reserve(text, 65536);

        if (!room) {
            fclose(file);
            return call_fail(call, EXIT_DATA, "too_large", "256M are possible", "%s is too large",
                             path);
        }
        count = fread(room, 1, 65536, file);
        buf_claim(text, count);
    }
    if (!file || ferror(file))
        return call_fail(call, EXIT_NOINPUT, "no_input", NULL, "cannot read %s: %s", path,
                         strerror(errno));
    if (file != stdin)
        fclose(file);
    return EXIT_OK;
}

static bool
is_address(const char *text)
{
    str address = str_from(text);
    ssize_t at = str_find_last(address, '@');

    return at > 0 && (size_t)at + 1 < address.len && address.len <= 320 && str_is_utf8(address) &&
           str_find(address, ' ') < 0 && str_find(address, '<') < 0 && str_find(address, '>') < 0 &&
           str_find(address, '\r') < 0 && str_find(address, '\n') < 0;
}

static int
take_addresses(struct sending *s)
{
    const char *from = call_text(s->call, "--from");
    const char *text;
    unsigned at = 0;

    if (s->only_check)
        return EXIT_OK;
    if (!from)
        return missing(s->call, "--from");
    while ((text = call_each(s->call, "--to", &at))) {
        if (!is_address(text) || s->message.recipient_count == RECIPIENTS_MAX)
            return call_fail(s->call, EXIT_USAGE, "usage",
                             "write addresses as ann@example.org, 100 at most",
                             "--to cannot be \"%s\"", text);
        s->recipients[s->message.recipient_count++].address = str_from(text);
    }
    if (!s->message.recipient_count)
        return missing(s->call, "--to");
    /* The null reverse-path is a sender too. */
    if (strcmp(from, "<>") == 0)
        from = "";
    else if (!is_address(from))
        return call_fail(s->call, EXIT_USAGE, "usage", "write it as ann@example.org, or <>",
                         "--from cannot be \"%s\"", from);
    s->message.reverse_path = str_from(from);
    return EXIT_OK;
}

static void
write_message(struct sending *s, str body)
{
    const char *subject = call_text(s->call, "--subject");
    str to[RECIPIENTS_MAX];
    struct test_message_options options = {
        .from = s->message.reverse_path.len ? s->message.reverse_path : S("postmaster@localhost"),
        .to = to,
        .to_count = s->message.recipient_count,
        .subject = str_from(subject ? subject : "Test message"),
        .body = body,
        .helo_name = s->options.helo_name,
        .server = str_from(s->server),
        .size = call_number(s->call, "--size", 0),
        .now = clock_now(),
    };

    random_bytes(&options.unique, sizeof(options.unique));
    for (size_t i = 0; i < options.to_count; i++)
        to[i] = s->recipients[i].address;
    test_message_write(&options, &s->text);
}

static int
take_message(struct sending *s)
{
    const char *eml = call_text(s->call, "--eml");
    const char *body = call_text(s->call, "--body");
    struct buf file;
    int exit = EXIT_OK;

    if (s->only_check)
        return EXIT_OK;
    buf_init(&file, MESSAGE_SIZE_MAX);
    if (eml || body)
        exit = read_file(s->call, eml ? eml : body, &file);
    if (!exit && eml)
        test_message_crlf(buf_str(&file), &s->text);
    else if (!exit)
        write_message(s, buf_str(&file));
    buf_done(&file);
    if (!exit && !buf_ok(&s->text))
        exit = call_fail(s->call, EXIT_DATA, "too_large", "256M are possible",
                         "the message is too large");
    s->message.size = s->text.len;
    s->message.eightbit = !str_is_ascii(buf_str(&s->text));
    s->message.smtputf8 = !str_is_ascii(s->message.reverse_path);
    for (size_t i = 0; i < s->message.recipient_count; i++)
        s->message.smtputf8 = s->message.smtputf8 || !str_is_ascii(s->recipients[i].address);
    s->message.recipients = s->recipients;
    s->message.arena = &s->call->arena;
    s->message.read = read_text;
    s->message.arg = s;
    return exit;
}

static int
take_all(struct sending *s)
{
    int exit = take_server(s);

    if (!exit)
        exit = take_connection(s);
    if (!exit)
        exit = take_addresses(s);
    if (!exit)
        exit = take_tls(s);
    if (!exit)
        exit = take_login(s);
    if (!exit)
        exit = take_message(s);
    return exit;
}

static const struct column columns[] = {
    { "stage", NULL, COLUMN_ID, false },
    { "state", NULL, COLUMN_STATE, false },
    { "ms", NULL, COLUMN_NUMBER, false },
    { "detail", NULL, COLUMN_TEXT, false },
    { "meaning", NULL, COLUMN_TEXT, true },
    { "cure", NULL, COLUMN_TEXT, true },
    { 0 },
};

int
test_send(struct call *call)
{
    struct runtime_options runtime = { .loops = 1 };
    struct sending *s = calloc(1, sizeof(*s));
    int exit;

    must(s);
    s->call = call;
    buf_init(&s->text, MESSAGE_SIZE_MAX);
    buf_init(&s->lines[0], 65536);
    buf_init(&s->lines[1], 65536);
    exit = take_all(s);
    if (!exit) {
        output_list(call->out, "outpost.test.stage/1", columns);
        exit = runtime_run(&runtime, run, s) ? EXIT_SYSTEM : s->exit;
        output_list_end(call->out, NULL);
    }
    tls_context_unref(s->options.tls_context);
    sasl_free(s->options.sasl);
    buf_done(&s->text);
    buf_done(&s->lines[0]);
    buf_done(&s->lines[1]);
    free(s);
    return exit;
}
