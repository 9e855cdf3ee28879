/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* client_test.c: the client against peers that follow a script, in the simulated network.
 *
 * A script is lines: "> text" the peer says, "< text" it must hear (a prefix), "<." it takes a
 * message to its dot, "<=N" it takes N bytes, "cut" it closes, "hang" it says nothing more.
 */
#include "protocols/smtp/client.h"

#include "formats/dsn.h"
#include "protocols/smtp/reply.h"
#include "runtime/clock.h"
#include "runtime/fiber.h"
#include "runtime/listener.h"
#include "runtime/sim.h"
#include "runtime/stream.h"

#include "check.h"

#include <string.h>

enum {
    RECIPIENTS = 3,
    HEARD_MAX = 8192
};

struct peer {
    const char *const *script;
    char heard[HEARD_MAX]; /* Of bodies. */
    size_t heard_len;
    bool strayed; /* The client said something else than the script. */
};

static const struct endpoint server = { .port = 25 };
static const char *const no_script[] = { NULL };

static void
hear(struct peer *peer, str bytes)
{
    size_t len = MIN(bytes.len, HEARD_MAX - peer->heard_len);

    memcpy(peer->heard + peer->heard_len, bytes.ptr, len);
    peer->heard_len += len;
}

static enum err
hear_count(struct peer *peer, struct stream *stream, uint64_t count)
{
    while (count > 0) {
        str bytes;
        enum err e = stream_fill(stream, &bytes);
        if (e)
            return e;
        bytes = str_head(bytes, (size_t)MIN(count, (uint64_t)bytes.len));
        hear(peer, bytes);
        count -= bytes.len;
        stream_consume(stream, bytes.len);
    }
    return OK;
}

static enum err
hear_message(struct peer *peer, struct stream *stream)
{
    for (;;) {
        str line;
        enum err e = stream_read_line(stream, 1024, &line);
        if (e)
            return e;
        hear(peer, line);
        if (str_eq(line, S(".\r\n")))
            return OK;
    }
}

static enum err
hear_command(struct peer *peer, struct stream *stream, str wanted)
{
    str line;
    enum err e = stream_read_line(stream, 1024, &line);

    if (e)
        return e;
    if (str_starts(line, wanted))
        return OK;
    printf("heard \"%.*s\" instead of \"%.*s\"\n", STR_ARG(str_trim(line)), STR_ARG(wanted));
    peer->strayed = true;
    return ERR_SYNTAX;
}

static enum err
follow(struct peer *peer, struct stream *stream, str step)
{
    uint64_t count;
    enum err e;

    if (str_eq(step, S("cut")))
        return ERR_CLOSED;
    if (str_eq(step, S("hang"))) {
        e = stream_flush(stream);
        return e ? e : fiber_sleep(HOURS(24));
    }
    if (str_eq(step, S("<.")))
        return hear_message(peer, stream);
    if (str_starts(step, S("<=")) && str_to_u64(str_skip(step, 2), &count))
        return hear_count(peer, stream, count);
    if (str_starts(step, S("< ")))
        return hear_command(peer, stream, str_skip(step, 2));
    e = stream_write(stream, str_skip(step, 2));
    return e ? e : stream_write(stream, S("\r\n"));
}

static void
serve(void *arg, struct stream *stream)
{
    struct peer *peer = arg;
    enum err e = OK;

    stream_set_deadline(stream, NEVER);
    for (size_t i = 0; !e && peer->script[i]; i++)
        e = follow(peer, stream, str_from(peer->script[i]));
    if (!e)
        e = stream_flush(stream);
    stream_close(stream);
}

/* --- One dialogue. */

struct dialogue {
    const char *const *script;
    const char *body;
    bool lmtp;
    enum relay_tls tls;
    bool smtputf8;
    bool eightbit;
    uint8_t notify;
    unsigned messages;
    /* What came of it. */
    struct peer peer;
    enum err opened;
    enum err sent;
    struct smtp_failure failure;
    uint16_t codes[RECIPIENTS];
    char enhanced[RECIPIENTS][12];
    char texts[RECIPIENTS][SMTP_ANSWER_TEXT_MAX];
    enum smtp_stage stages[RECIPIENTS];
    bool usable;
    uint64_t recipients_max;
};

static enum err
read_body(void *arg, uint64_t offset, void *bytes, size_t size, size_t *got)
{
    str rest = str_skip(str_from(arg), (size_t)offset);

    *got = MIN(size, rest.len);
    memcpy(bytes, rest.ptr, *got);
    return OK;
}

static void
send_one(struct dialogue *d, struct smtp_client *client)
{
    struct smtp_recipient recipients[RECIPIENTS] = {
        { .address = S("ann@example.org"), .notify = d->notify },
        { .address = S("bob@example.org") },
        { .address = S("eve@example.org"), .original = S("rfc822;e+ve@example.net") },
    };
    struct smtp_message message = {
        .reverse_path = S("me@here.example"),
        .envid = S("a b"),
        .ret = "HDRS",
        .size = strlen(d->body),
        .smtputf8 = d->smtputf8,
        .eightbit = d->eightbit,
        .recipients = recipients,
        .recipient_count = RECIPIENTS,
        .read = read_body,
        .arg = (void *)(uintptr_t)d->body,
    };
    struct arena arena;

    arena_init(&arena, 100000);
    message.arena = &arena;
    d->sent = smtp_client_send(client, &message, &d->failure);
    for (size_t i = 0; i < RECIPIENTS; i++) {
        const struct smtp_answer *answer = recipients[i].answer;
        d->codes[i] = answer ? answer->code : 0;
        d->stages[i] = recipients[i].stage;
        if (!answer)
            continue;
        memcpy(d->enhanced[i], answer->enhanced, sizeof(d->enhanced[i]));
        memcpy(d->texts[i], answer->text, sizeof(d->texts[i]));
    }
    arena_done(&arena);
}

static void
talk(void *arg)
{
    struct dialogue *d = arg;
    struct listener_options listener_options = { .name = "peer" };
    struct smtp_client_options options = {
        .peer = server,
        .host = S("mx.example.org"),
        .helo_name = S("here.example"),
        .lmtp = d->lmtp,
        .tls = d->tls ? d->tls : RELAY_TLS_MAY,
        .timeouts = { SECONDS(30), MINUTES(5), MINUTES(5), MINUTES(3), MINUTES(10) },
    };
    struct smtp_client *client = NULL;
    struct listener *listener;

    CHECK(ipaddr_parse(S("192.0.2.1"), &options.peer.addr));
    d->peer.script = d->script;
    CHECK(listener_start_sim(&options.peer, &listener_options, serve, &d->peer, &listener) == OK);
    d->opened = smtp_client_open(&options, &client, &d->failure);
    if (!d->opened) {
        d->recipients_max = smtp_client_capabilities(client)->rcpt_max;
        for (unsigned i = 0; i < MAX(d->messages, 1U); i++)
            send_one(d, client);
        d->usable = smtp_client_is_usable(client);
        smtp_client_close(client);
    }
    listener_stop(listener, clock_steady() + SECONDS(1));
}

static void
run(struct dialogue *d)
{
    struct runtime_options options = { .simulated = true, .seed = 7 };

    if (!d->body)
        d->body = "Subject: x\r\n\r\n.dot\r\nend\r\n";
    if (!d->script)
        d->script = no_script;
    CHECK(runtime_run(&options, talk, d) == OK);
    CHECK(!d->peer.strayed);
}

#define DIALOGUE(name, ...)                                                                        \
    static const char *const name##_script[] = { __VA_ARGS__, NULL };                              \
    struct dialogue name = { .script = name##_script }

/* --- Opening. */

static void
a_421_greeting_refuses_the_connection(void)
{
    DIALOGUE(d, "> 421 4.3.2 too busy");
    run(&d);
    CHECK(d.opened == ERR_REFUSED && d.failure.stage == SMTP_STAGE_GREETING);
    CHECK(d.failure.answer.code == 421);
    CHECK_STR(str_from(d.failure.answer.enhanced), "4.3.2");
    CHECK_STR(str_from(d.failure.answer.text), "too busy");
}

static void
a_peer_that_hangs_is_given_up_in_time(void)
{
    DIALOGUE(d, "hang");
    run(&d);
    CHECK(d.opened == ERR_TIMEOUT && d.failure.stage == SMTP_STAGE_GREETING);
}

static void
something_else_than_smtp_is_recognised(void)
{
    DIALOGUE(d, "> HTTP/1.1 400 Bad Request");
    run(&d);
    CHECK(d.opened == ERR_SYNTAX);
}

static void
an_overlong_reply_is_cut_off(void)
{
    static char line[6000];
    const char *const script[] = { line, "hang", NULL };
    struct dialogue d = { .script = script };

    memset(line, 'x', sizeof(line) - 1);
    memcpy(line, "> 220 ", 6);
    run(&d);
    CHECK(d.opened == ERR_SYNTAX && d.failure.stage == SMTP_STAGE_GREETING);
}

static void
controls_in_replies_are_cleaned(void)
{
    DIALOGUE(d, "> 554-5.7.1 go \x1b[31maway", "> 554 5.7.1 now\x07");
    run(&d);
    CHECK_STR(str_from(d.failure.answer.text), "go ?[31maway now?");
}

static void
helo_serves_where_ehlo_is_unknown(void)
{
    DIALOGUE(d, "> 220 old.example", "< EHLO here.example", "> 502 what", "< HELO here.example",
             "> 250 hello", "< MAIL FROM:<me@here.example>\r\n", "> 250 ok",
             "< RCPT TO:<ann@example.org>\r\n", "> 250 ok", "< RCPT TO:<bob", "> 250 ok",
             "< RCPT TO:<eve", "> 250 ok", "< DATA", "> 354 go", "<.", "> 250 taken");
    run(&d);
    CHECK(d.opened == OK && d.sent == OK && d.codes[0] == 250 && d.codes[2] == 250);
    CHECK_STR(((str){ d.peer.heard, d.peer.heard_len }), "Subject: x\r\n\r\n..dot\r\nend\r\n.\r\n");
}

static void
required_tls_that_is_not_offered_ends_it(void)
{
    DIALOGUE(d, "> 220 mx", "< EHLO", "> 250 mx");
    d.tls = RELAY_TLS_REQUIRE;
    run(&d);
    CHECK(d.opened == ERR_TLS && d.failure.stage == SMTP_STAGE_STARTTLS);
}

/* Both in one write of the peer: what came before the handshake must not survive it. */
static void
bytes_after_the_starttls_reply_are_a_failure_of_tls(void)
{
    DIALOGUE(d, "> 220 mx", "< EHLO", "> 250-mx\r\n250 STARTTLS", "< STARTTLS",
             "> 220 go\r\n250-EVIL\r\n250 AUTH PLAIN", "hang");
    d.tls = RELAY_TLS_REQUIRE;
    run(&d);
    CHECK(d.opened == ERR_TLS);
}

/* --- Messages. */

#define PIPELINING "> 220 mx", "< EHLO", "> 250-mx\r\n250-PIPELINING\r\n250-SIZE 1000\r\n250 DSN"
#define ENVELOPE                                                                                   \
    "< MAIL FROM:<me@here.example>", "< RCPT TO:<ann", "< RCPT TO:<bob", "< RCPT TO:<eve"

static void
the_envelope_goes_in_one_flight(void)
{
    DIALOGUE(d, PIPELINING, "< MAIL FROM:<me@here.example> SIZE=25 RET=HDRS ENVID=a+20b\r\n",
             "< RCPT TO:<ann@example.org> NOTIFY=SUCCESS,FAILURE\r\n",
             "< RCPT TO:<bob@example.org>\r\n",
             "< RCPT TO:<eve@example.org> ORCPT=rfc822;e+2Bve@example.net\r\n", "< DATA",
             "> 250 ok\r\n250 ok\r\n250 ok\r\n250 ok\r\n354 go", "<.", "> 250 2.0.0 taken as 1");
    d.notify = NOTIFY_SUCCESS | NOTIFY_FAILURE;
    run(&d);
    CHECK(d.sent == OK && d.codes[0] == 250 && d.codes[1] == 250 && d.codes[2] == 250);
    CHECK(d.stages[0] == SMTP_STAGE_FINAL && d.usable);
    CHECK_STR(str_from(d.texts[1]), "taken as 1");
}

static void
each_recipient_has_his_own_answer(void)
{
    DIALOGUE(d, PIPELINING, ENVELOPE, "< DATA",
             "> 250 ok\r\n550 5.1.1 nobody\r\n452 4.2.2 full\r\n250 ok\r\n354 go", "<.",
             "> 250 taken");
    run(&d);
    CHECK(d.sent == OK && d.codes[0] == 550 && d.codes[1] == 452 && d.codes[2] == 250);
    CHECK_STR(str_from(d.enhanced[0]), "5.1.1");
    CHECK(d.stages[0] == SMTP_STAGE_RCPT && d.stages[2] == SMTP_STAGE_FINAL);
}

static void
a_refused_sender_is_everybodys_answer_and_the_connection_goes_on(void)
{
    DIALOGUE(d, PIPELINING, ENVELOPE, "< DATA",
             "> 550 5.7.1 not you\r\n503 no\r\n503 no\r\n503 no\r\n503 no", "< RSET", ENVELOPE,
             "< DATA", "> 250 ok\r\n250 ok\r\n250 ok\r\n250 ok\r\n250 ok\r\n354 go", "<.",
             "> 250 taken");
    d.messages = 2;
    run(&d);
    CHECK(d.sent == OK && d.codes[0] == 250 && d.codes[2] == 250 && d.usable);
    DIALOGUE(once, PIPELINING, ENVELOPE, "< DATA",
             "> 550 5.7.1 not you\r\n503 no\r\n503 no\r\n503 no\r\n503 no");
    run(&once);
    CHECK(once.sent == OK && once.codes[0] == 550 && once.codes[2] == 550);
    CHECK(once.stages[2] == SMTP_STAGE_MAIL);
}

static void
data_taken_for_nobody_is_answered_with_nothing(void)
{
    DIALOGUE(d, PIPELINING, ENVELOPE, "< DATA", "> 250 ok\r\n550 no\r\n550 no\r\n550 no\r\n354 go",
             "< .\r\n", "> 554 no recipients");
    run(&d);
    CHECK(d.sent == OK && d.codes[0] == 550 && d.codes[2] == 550 && d.usable);
}

static void
a_no_to_data_is_the_answer_of_the_accepted(void)
{
    DIALOGUE(d, PIPELINING, ENVELOPE, "< DATA",
             "> 250 ok\r\n250 ok\r\n550 no\r\n250 ok\r\n451 4.3.0 later");
    run(&d);
    CHECK(d.sent == OK && d.codes[0] == 451 && d.codes[1] == 550 && d.codes[2] == 451);
    CHECK(d.stages[0] == SMTP_STAGE_DATA);
}

static void
a_4xx_after_the_dot_is_no_delivery(void)
{
    DIALOGUE(d, PIPELINING, ENVELOPE, "< DATA", "> 250 ok\r\n250 ok\r\n250 ok\r\n250 ok\r\n354 go",
             "<.", "> 451 4.3.0 disk full");
    run(&d);
    CHECK(d.sent == OK && d.codes[0] == 451 && d.stages[0] == SMTP_STAGE_FINAL);
}

static void
a_cut_after_the_dot_leaves_it_uncertain(void)
{
    DIALOGUE(d, PIPELINING, ENVELOPE, "< DATA",
             "> 250 ok\r\n550 5.1.1 no\r\n250 ok\r\n250 ok\r\n354 go", "<.", "cut");
    run(&d);
    CHECK(d.sent == ERR_CLOSED && d.failure.stage == SMTP_STAGE_FINAL);
    CHECK(d.codes[0] == 550 && d.codes[1] == 0 && d.codes[2] == 0 && !d.usable);
    CHECK(!d.failure.silent);
}

static void
a_cut_before_any_reply_is_told_apart(void)
{
    DIALOGUE(d, PIPELINING, "< MAIL", "cut");
    run(&d);
    CHECK(d.sent == ERR_CLOSED && d.failure.silent && d.failure.stage == SMTP_STAGE_MAIL);
}

static void
after_421_the_connection_is_not_used_again(void)
{
    DIALOGUE(d, PIPELINING, ENVELOPE, "< DATA",
             "> 250 ok\r\n421 4.7.0 bye\r\n250 ok\r\n250 ok\r\n354 go", "<.", "> 250 taken");
    run(&d);
    CHECK(d.sent == OK && d.codes[0] == 421 && d.codes[1] == 250 && !d.usable);
}

static void
a_message_beyond_their_size_is_not_sent(void)
{
    static char body[1100];
    DIALOGUE(d, PIPELINING, "hang");

    memset(body, 'x', sizeof(body) - 1);
    d.body = body;
    run(&d);
    CHECK(d.sent == OK && d.codes[0] == 552 && d.usable);
    CHECK_STR(str_from(d.enhanced[0]), "5.3.4");
}

static void
mail_that_needs_smtputf8_does_not_go_where_it_is_unknown(void)
{
    DIALOGUE(d, PIPELINING, "hang");
    d.smtputf8 = true;
    run(&d);
    CHECK(d.sent == OK && d.codes[1] == 550);
    CHECK_STR(str_from(d.enhanced[1]), "5.6.7");
}

static void
lmtp_answers_each_recipient_after_the_message(void)
{
    DIALOGUE(d, "> 220 lmtp", "< LHLO here.example", "> 250-lmtp\r\n250 PIPELINING", ENVELOPE,
             "< DATA", "> 250 ok\r\n250 ok\r\n550 5.1.1 no\r\n250 ok\r\n354 go", "<.",
             "> 250 2.0.0 ann\r\n452 4.2.2 full");
    d.lmtp = true;
    run(&d);
    CHECK(d.sent == OK && d.codes[0] == 250 && d.codes[1] == 550 && d.codes[2] == 452);
}

#define CHUNKING                                                                                   \
    "> 220 mx", "< EHLO",                                                                          \
        "> 250-mx\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-LIMITS RCPTMAX=2\r\n250 CHUNKING"

static void
a_small_message_goes_in_one_flight_with_bdat(void)
{
    DIALOGUE(d, CHUNKING, "< MAIL FROM:<me@here.example> BODY=8BITMIME\r\n", "< RCPT", "< RCPT",
             "< RCPT", "< BDAT 25 LAST\r\n", "<=25",
             "> 250 ok\r\n250 ok\r\n550 5.1.1 no\r\n250 ok\r\n250 taken");
    d.eightbit = true;
    run(&d);
    CHECK(d.sent == OK && d.codes[0] == 250 && d.codes[1] == 550 && d.codes[2] == 250);
    CHECK(d.recipients_max == 2);
    CHECK_STR(((str){ d.peer.heard, d.peer.heard_len }), "Subject: x\r\n\r\n.dot\r\nend\r\n");
}

static void
a_large_message_goes_in_chunks(void)
{
    static char body[1024 * 1024 + 500];
    DIALOGUE(d, CHUNKING, ENVELOPE, "> 250 ok\r\n250 ok\r\n250 ok\r\n250 ok", "< BDAT 1048576\r\n",
             "<=1048576", "> 250 ok", "< BDAT 499 LAST\r\n", "<=499", "> 250 taken");

    memset(body, 'x', sizeof(body) - 1);
    d.body = body;
    run(&d);
    CHECK(d.sent == OK && d.codes[0] == 250 && d.usable);
}

static void
a_refused_chunk_is_the_answer(void)
{
    static char body[1024 * 1024 + 500];
    DIALOGUE(d, CHUNKING, ENVELOPE, "> 250 ok\r\n250 ok\r\n250 ok\r\n250 ok", "< BDAT 1048576\r\n",
             "<=1048576", "> 552 5.3.4 too large", "< BDAT", "<=499", "> 503 no");

    memset(body, 'x', sizeof(body) - 1);
    d.body = body;
    run(&d);
    CHECK(d.codes[0] == 552 && d.codes[2] == 552 && !d.usable);
}

static void
bare_line_ends_never_leave(void)
{
    DIALOGUE(d, CHUNKING, "< MAIL", "< RCPT", "< RCPT", "< RCPT", "< BDAT", "hang");
    d.body = "Subject: x\r\n\r\nhello\n.\nMAIL FROM:<evil@example.org>\r\n";
    run(&d);
    CHECK(d.sent == ERR_SYNTAX && d.codes[0] == 0);
    DIALOGUE(dotted, PIPELINING, ENVELOPE, "< DATA",
             "> 250 ok\r\n250 ok\r\n250 ok\r\n250 ok\r\n354 go", "<.", "> 250 taken");
    dotted.body = "Subject: x\r\n\r\nhello\n.\nMAIL FROM:<evil@example.org>\r\n";
    run(&dotted);
    CHECK(dotted.sent == OK && dotted.codes[0] == 250);
    CHECK_STR(((str){ dotted.peer.heard, dotted.peer.heard_len }),
              "Subject: x\r\n\r\nhello\r\n..\r\nMAIL FROM:<evil@example.org>\r\n.\r\n");
}

int
main(void)
{
    RUN(a_421_greeting_refuses_the_connection);
    RUN(a_peer_that_hangs_is_given_up_in_time);
    RUN(something_else_than_smtp_is_recognised);
    RUN(an_overlong_reply_is_cut_off);
    RUN(controls_in_replies_are_cleaned);
    RUN(helo_serves_where_ehlo_is_unknown);
    RUN(required_tls_that_is_not_offered_ends_it);
    RUN(bytes_after_the_starttls_reply_are_a_failure_of_tls);
    RUN(the_envelope_goes_in_one_flight);
    RUN(each_recipient_has_his_own_answer);
    RUN(a_refused_sender_is_everybodys_answer_and_the_connection_goes_on);
    RUN(data_taken_for_nobody_is_answered_with_nothing);
    RUN(a_no_to_data_is_the_answer_of_the_accepted);
    RUN(a_4xx_after_the_dot_is_no_delivery);
    RUN(a_cut_after_the_dot_leaves_it_uncertain);
    RUN(a_cut_before_any_reply_is_told_apart);
    RUN(after_421_the_connection_is_not_used_again);
    RUN(a_message_beyond_their_size_is_not_sent);
    RUN(mail_that_needs_smtputf8_does_not_go_where_it_is_unknown);
    RUN(lmtp_answers_each_recipient_after_the_message);
    RUN(a_small_message_goes_in_one_flight_with_bdat);
    RUN(a_large_message_goes_in_chunks);
    RUN(a_refused_chunk_is_the_answer);
    RUN(bare_line_ends_never_leave);
    return check_end();
}
