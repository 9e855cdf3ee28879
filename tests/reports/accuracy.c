/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* accuracy.c: are reports of every fashion read right, and nothing else taken for one?
 *
 * accuracy FILE…: each file is a list of shapes (README.md says in which language).  A shape counts
 * for each recipient that it names: found, missed, or found and wrong.  Then each is read again in
 * disguise, forwarded and quoted by a person: nobody may fail then.  Ends with the figures and a
 * line `N passed, N failed`.
 */
#include "formats/report.h"

#include "base/buf.h"
#include "base/must.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
    FILE_MAX = 1 << 20,
    EXPECTED_MAX = 100,
    HOSTILE_SIZE = 1 << 20,
    HOSTILE_MS = 1000
};

/* What the issue asks for. */
enum {
    SHAPES_MIN = 200,
    OTHERS_MIN = 60,
    FOUND_PERCENT_MIN = 95
};

#define ORIGINAL_HEADERS                                                                           \
    "Return-Path: <ann@here.example>\n"                                                            \
    "Received: from pc (pc.here.example [192.0.2.7])\n"                                            \
    "\tby mx.here.example with ESMTPSA\n\tid 01JDKEPT1\n"                                          \
    "\tfor <bob@there.example>; Thu, 26 Nov 2026 22:05:56 +0000\n"                                 \
    "Date: Thu, 26 Nov 2026 22:05:56 +0000\nFrom: Ann <ann@here.example>\n"                        \
    "To: Bob <bob@there.example>\nSubject: Plans\nMessage-ID: <1.kept@here.example>\n"

struct expected {
    str address;
    str action;
    str status;
    str code;
};

struct shape {
    str name;
    str kind;
    str form;
    str id;
    struct expected expected[EXPECTED_MAX];
    size_t count;
    str message;
};

struct figures {
    unsigned shapes;
    unsigned others; /* Shapes in which nobody fails. */
    unsigned recipients;
    unsigned found;
    unsigned wrong;
    unsigned details;
    unsigned details_wrong;
    unsigned ids;
    unsigned ids_found;
    unsigned kinds_wrong;
    unsigned disguised;
    unsigned disguised_wrong;
};

static struct arena arena;

static str
next_word(str *line)
{
    str word;

    (void)str_split(*line, ' ', &word, line);
    return word;
}

static str
next_line(str *text)
{
    str line;

    (void)str_split(*text, '\n', &line, text);
    return line;
}

/* "%original%" and "%headers%" stand for the message that all of this is about. */
static void
add_message(str text, struct buf *message)
{
    while (text.len) {
        str line = next_line(&text);

        if (str_eq(line, S("%original%")))
            buf_add(message,
                    S(ORIGINAL_HEADERS "\nLet us meet: eve@elsewhere.example comes, too.\n"));
        else if (str_eq(line, S("%headers%")))
            buf_add(message, S(ORIGINAL_HEADERS));
        else {
            buf_add(message, line);
            buf_add_byte(message, '\n');
        }
    }
}

/* Takes one shape off the front. */
static bool
next_shape(str *file, struct shape *shape)
{
    ssize_t end;

    *shape = (struct shape){};
    if (!str_starts(*file, S("=== ")))
        return false;
    shape->name = str_skip(next_line(file), 4);
    for (;;) {
        str line = next_line(file), word = next_word(&line);

        if (str_eq(word, S("---")))
            break;
        if (str_eq(word, S("expect"))) {
            shape->kind = next_word(&line);
            shape->form = next_word(&line);
        } else if (str_eq(word, S("id"))) {
            shape->id = line;
        } else {
            struct expected *e = &shape->expected[shape->count++];

            must(str_eq(word, S("rcpt")) && shape->count < EXPECTED_MAX);
            e->action = next_word(&line);
            e->status = next_word(&line);
            e->code = next_word(&line);
            e->address = line;
        }
    }
    end = str_find_str(*file, S("\n=== "));
    shape->message = end < 0 ? *file : str_head(*file, (size_t)end + 1);
    *file = end < 0 ? S("") : str_skip(*file, (size_t)end + 1);
    return true;
}

static void
complain(const struct shape *shape, const char *what, str detail)
{
    printf("%.*s: %s %.*s\n", STR_ARG(shape->name), what, STR_ARG(detail));
}

static const struct report_recipient *
find_recipient(const struct report *report, const struct expected *e)
{
    for (const struct report_recipient *r = report->recipients; r; r = r->next)
        if (str_eq_nocase(r->original, e->address) || str_eq_nocase(r->final, e->address))
            return r;
    return NULL;
}

static bool
is_expected(const struct shape *shape, const struct report_recipient *r)
{
    for (size_t i = 0; i < shape->count; i++)
        if (str_eq_nocase(r->original, shape->expected[i].address) ||
            str_eq_nocase(r->final, shape->expected[i].address))
            return str_eq(shape->expected[i].action, str_from(report_action_name(r->action)));
    return false;
}

static void
judge_details(const struct shape *shape, const struct expected *e, const struct report_recipient *r,
              struct figures *figures)
{
    uint64_t code = 0;

    if (!str_eq(e->status, S("-"))) {
        figures->details++;
        if (!str_eq(r->status, e->status)) {
            figures->details_wrong++;
            complain(shape, "status is not as expected but", r->status);
        }
    }
    if (str_to_u64(e->code, &code)) {
        figures->details++;
        if (r->code != code) {
            figures->details_wrong++;
            complain(shape, "the reply is not", e->code);
        }
    }
}

static void
judge(const struct shape *shape, const struct report *report, struct figures *figures)
{
    for (size_t i = 0; i < shape->count; i++) {
        const struct expected *e = &shape->expected[i];
        const struct report_recipient *r = find_recipient(report, e);

        figures->recipients++;
        if (r && str_eq(e->action, str_from(report_action_name(r->action)))) {
            figures->found++;
            judge_details(shape, e, r, figures);
        } else {
            complain(shape, "missed", e->address);
        }
    }
    for (const struct report_recipient *r = report->recipients; r; r = r->next) {
        if (!is_expected(shape, r)) {
            figures->wrong++;
            complain(shape, "wrongly found", report_address(r));
        }
    }
    if (!str_eq(shape->kind, str_from(report_kind_name(report->kind))) ||
        !str_eq(shape->form, str_from(report_form_name(report->form)))) {
        figures->kinds_wrong++;
        complain(shape, "taken for", str_from(report_kind_name(report->kind)));
    }
    if (shape->id.len) {
        figures->ids++;
        if (str_eq(shape->id, report->message_id))
            figures->ids_found++;
        else
            complain(shape, "not tied to the message but to", report->message_id);
    }
}

static struct report
read_message(const struct buf *message)
{
    struct report report = {};

    arena_clear(&arena);
    must(report_read(buf_str(message), &arena, &report) == OK);
    return report;
}

/* A person passes it on, or answers it: nobody fails. */
static void
judge_disguise(const struct shape *shape, const struct buf *disguise, const char *how,
               struct figures *figures)
{
    struct report report = read_message(disguise);

    figures->disguised++;
    for (const struct report_recipient *r = report.recipients; r; r = r->next) {
        figures->disguised_wrong++;
        complain(shape, how, report_address(r));
    }
}

static void
disguise(const struct shape *shape, const struct buf *message, struct figures *figures)
{
    str rest = buf_str(message), body;
    ssize_t end = str_find_str(rest, S("\n\n"));
    struct buf buf;

    buf_init(&buf, FILE_MAX);
    buf_add(&buf, S("From: Carl <carl@other.example>\nTo: ann@here.example\nSubject: Fwd: look\n"
                    "Content-Type: multipart/mixed; boundary=outer\n\n--outer\n\nsee\n--outer\n"
                    "Content-Type: message/rfc822\n\n"));
    buf_add(&buf, rest);
    buf_add(&buf, S("\n--outer--\n"));
    judge_disguise(shape, &buf, "forwarded by a person, yet found", figures);
    buf_clear(&buf);
    body = end < 0 ? rest : str_skip(rest, (size_t)end + 2);
    buf_add(&buf, S("From: Carl <carl@other.example>\nTo: ann@here.example\n"
                    "Subject: Undelivered Mail Returned to Sender\n\nI got this:\n\n"));
    buf_add(&buf, body);
    judge_disguise(shape, &buf, "pasted by a person, yet found", figures);
    buf_clear(&buf);
    buf_add(&buf, S("From: Postmaster <postmaster@there.example>\nTo: ann@here.example\n"
                    "Subject: Re: Undelivered Mail Returned to Sender\n\nThat means:\n\n"));
    while (body.len) {
        buf_add(&buf, S("> "));
        buf_add(&buf, next_line(&body));
        buf_add_byte(&buf, '\n');
    }
    judge_disguise(shape, &buf, "quoted by a postmaster, yet found", figures);
    buf_done(&buf);
}

/* The same with CRLF. */
static void
to_crlf(const struct buf *message, struct buf *crlf)
{
    str rest = buf_str(message);

    while (rest.len) {
        buf_add(crlf, next_line(&rest));
        buf_add(crlf, S("\r\n"));
    }
}

static void
read_shape(const struct shape *shape, struct figures *figures)
{
    struct buf message, crlf;
    struct report report;
    size_t failing = 0;

    buf_init(&message, FILE_MAX);
    buf_init(&crlf, FILE_MAX);
    add_message(shape->message, &message);
    to_crlf(&message, &crlf);
    report = read_message(&crlf);
    judge(shape, &report, figures);
    failing = report.recipient_count;
    report = read_message(&message);
    if (report.recipient_count != failing)
        complain(shape, "with bare LF it is", str_from(report_kind_name(report.kind)));
    if (shape->count)
        disguise(shape, &message, figures);
    figures->shapes += shape->count > 0 || str_eq(shape->kind, S("feedback"));
    figures->others += shape->count == 0 && !str_eq(shape->kind, S("feedback"));
    buf_done(&message);
    buf_done(&crlf);
}

static bool
read_file(const char *path, struct figures *figures)
{
    FILE *file = fopen(path, "rb");
    char *bytes = malloc(FILE_MAX);
    struct shape shape;
    str rest;

    must(bytes);
    if (!file) {
        perror(path);
        free(bytes);
        return false;
    }
    rest = (str){ bytes, fread(bytes, 1, FILE_MAX, file) };
    fclose(file);
    while (next_shape(&rest, &shape))
        read_shape(&shape, figures);
    free(bytes);
    return rest.len == 0;
}

/* Hostile messages: a piece, repeated up to a megabyte behind a head that makes it count. */

#define BOUNCE_HEAD "From: MAILER-DAEMON@x.example\nSubject: failure notice\n"
#define STATUS_HEAD                                                                                \
    BOUNCE_HEAD "Content-Type: multipart/report; boundary=b\n\n--b\n"                              \
                "Content-Type: message/delivery-status\n\n"

/* clang-format off */
static const struct {
    const char *name;
    const char *head;
    const char *piece;
} hostile[] = {
    { "addresses", BOUNCE_HEAD "\nYour message could not be delivered\n\n", "a@b.example: 550 no\n" },
    { "at signs", BOUNCE_HEAD "\nYour message could not be delivered\n", "@" },
    { "half addresses", BOUNCE_HEAD "\nYour message could not be delivered\n", "a@b.c<" },
    { "one long line", BOUNCE_HEAD "\nYour message could not be delivered to ", "x" },
    { "sentences", BOUNCE_HEAD "\nfailed\n", "could not be delivered to a@b.example\n" },
    { "empty lines", BOUNCE_HEAD "\ncould not be delivered\n<a@b.example>:\n550", "\n" },
    { "groups", STATUS_HEAD, "Final-Recipient: rfc822;a@b.example\nAction: failed\n\n" },
    { "empty groups", STATUS_HEAD, "\n" },
    { "folded field", STATUS_HEAD "Diagnostic-Code: smtp; 550", " x\n" },
    { "boundaries", BOUNCE_HEAD "Content-Type: multipart/report; boundary=b\n\n", "--b\n" },
    { "nested multiparts", BOUNCE_HEAD "Content-Type: multipart/mixed; boundary=b\n\n",
      "--b\nContent-Type: multipart/mixed; boundary=b\n\n" },
    { "parameters", BOUNCE_HEAD "Content-Type: multipart/report;", " a=\"\\\"\";\n" },
    { "header fields", BOUNCE_HEAD, "Received: by x id y; z\n" },
    { "received fields of the original", BOUNCE_HEAD "Content-Type: multipart/report; boundary=b\n\n--b\n"
      "Content-Type: message/delivery-status\n\nFinal-Recipient: rfc822;a@b.example\nAction: failed\n\n--b\n"
      "Content-Type: message/rfc822\n\n", "Received: by x id y; z\n" },
    { "open tags", BOUNCE_HEAD "Content-Type: text/html\n\nfailed", "<style" },
    { "tags with at signs", BOUNCE_HEAD "Content-Type: text/html\n\nfailed", "<a@" },
    { "entities", BOUNCE_HEAD "Content-Type: text/html\n\nfailed", "&lt;&#39" },
    { "encoded words", BOUNCE_HEAD "Subject: ", "=?utf-8?q?=41?= " },
    { "quoted-printable", BOUNCE_HEAD "Content-Transfer-Encoding: quoted-printable\n\nfailed\n", "=40=\n" },
    { "codes", BOUNCE_HEAD "\ncould not be delivered\n<a@b.example>:\n", "550 5.1.1 " },
    { "message ids", BOUNCE_HEAD "\ncould not be delivered\n<a@b.example>: 550 no\n--- Original message ---\n",
      "Message-ID: <\n" },
};
/* clang-format on */

static unsigned
read_hostile(void)
{
    unsigned failed = 0;
    struct buf buf;

    for (size_t i = 0; i < COUNT_OF(hostile); i++) {
        clock_t before = clock();
        long ms;

        buf_init(&buf, HOSTILE_SIZE + 4096);
        buf_add(&buf, str_from(hostile[i].head));
        while (buf.len < HOSTILE_SIZE)
            buf_add(&buf, str_from(hostile[i].piece));
        before = clock();
        (void)read_message(&buf);
        ms = (long)((clock() - before) * 1000 / CLOCKS_PER_SEC);
        if (ms > HOSTILE_MS)
            failed++;
        if (ms > HOSTILE_MS || ms > 100)
            printf("a megabyte of %s: %ld ms\n", hostile[i].name, ms);
        buf_done(&buf);
    }
    return failed;
}

static unsigned
claim(bool holds, const char *text)
{
    printf("%s %s\n", holds ? "ok" : "FAILED", text);
    return holds ? 0 : 1;
}

static unsigned
judge_figures(const struct figures *f)
{
    unsigned failed = 0;

    printf("%u shapes, %u others; %u of %u recipients found, %u wrongly; kinds wrong: %u; "
           "%u of %u details wrong; %u of %u tied; %u disguises, %u of them wrong\n",
           f->shapes, f->others, f->found, f->recipients, f->wrong, f->kinds_wrong,
           f->details_wrong, f->details, f->ids_found, f->ids, f->disguised, f->disguised_wrong);
    failed += claim(f->shapes >= SHAPES_MIN, "two hundred shapes or more");
    failed += claim(f->others >= OTHERS_MIN, "sixty or more that are no reports");
    failed += claim(f->found * 100 >= f->recipients * FOUND_PERCENT_MIN, "recipients are found");
    failed += claim(f->wrong == 0, "none is found wrongly");
    failed += claim(f->disguised_wrong == 0, "nor in what people pass on, paste or quote");
    failed += claim(f->kinds_wrong * 100 <= f->shapes * 2, "kinds are told apart");
    failed += claim(f->details_wrong * 100 <= f->details * 5, "codes and statuses are read");
    failed +=
        claim(f->ids_found * 100 >= f->ids * FOUND_PERCENT_MIN, "reports are tied to messages");
    return failed;
}

int
main(int argc, char **argv)
{
    struct figures figures = {};
    unsigned failed = 0;

    arena_init(&arena, REPORT_ARENA);
    for (int i = 1; i < argc; i++)
        failed += claim(read_file(argv[i], &figures), argv[i]);
    failed += judge_figures(&figures);
    failed += claim(read_hostile() == 0, "a hostile megabyte is bounded work");
    arena_done(&arena);
    printf("%u passed, %u failed\n", (unsigned)argc + 8 - failed, failed);
    return failed ? 1 : 0;
}
