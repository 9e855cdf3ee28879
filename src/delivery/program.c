/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* program.c: an attempt whose next hop is a program: one run for each recipient, the message with
 * LF as line end on its input.  The exit codes are those of sysexits.h: 0 delivered, 75 later,
 * others returned to the sender.  Start reading at program_deliver().
 */
#include "delivery/program.h"

#include "delivery/attempt.h"
#include "protocols/http/client.h"
#include "runtime/clock.h"
#include "runtime/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

enum {
    BLOCK = 32768,
    OUTPUT_MAX = 64 << 20 /* What a program may say; a little of it is kept. */
};

/* --- The pure parts. */

bool
program_request_parse(str packet, str parts[PROGRAM_PARTS])
{
    for (size_t i = 0; i < PROGRAM_PARTS; i++)
        if (!str_split(packet, '\0', &parts[i], &packet))
            return false;
    return packet.len == 0 && parts[PROGRAM_COMMAND].len > 0;
}

size_t
program_words(const str parts[PROGRAM_PARTS], str *words, size_t max)
{
    str rest = parts[PROGRAM_COMMAND];
    size_t count = 0;

    while (rest.len) {
        str word;
        if (!str_split(rest, ' ', &word, &rest))
            rest = S("");
        if (!word.len)
            continue;
        if (count == max)
            return 0;
        if (str_eq(word, S("{recipient}")))
            word = parts[PROGRAM_RECIPIENT];
        else if (str_eq(word, S("{sender}")))
            word = parts[PROGRAM_SENDER];
        words[count++] = word;
    }
    return count;
}

const char *
program_meaning(const struct program_end *end, unsigned *code)
{
    *code = 451;
    if (end->how != PROGRAM_EXITED)
        return "4.3.0";
    switch (end->number) {
    case 0:
        *code = 250;
        return "2.0.0";
    case EX_TEMPFAIL:
    case 126: /* As shells say that a program could not be run. */
    case 127:
        return "4.3.0";
    case EX_DATAERR:
        *code = 554;
        return "5.6.0";
    case EX_NOUSER:
        *code = 550;
        return "5.1.1";
    case EX_NOPERM:
        *code = 550;
        return "5.7.1";
    default:
        *code = 554;
        return "5.3.0";
    }
}

/* --- A run. */

struct run {
    struct attempt *a;
    str recipient;
    struct stream *in, *out, *end;
    char *bytes;
    char text[HTTP_TEXT_MAX];
    enum err output; /* What reading it came to. */
    struct program_end how;
};

static void
run_done(struct run *run)
{
    stream_close(take(run->in));
    stream_close(take(run->out));
    stream_close(take(run->end));
}

/* Ends without a program, when there is nobody to ask. */
static enum err
send_request(int to, str packet, const int fds[PROGRAM_FDS])
{
    char control[CMSG_SPACE(sizeof(int) * PROGRAM_FDS)] = {};
    struct iovec part = { (void *)(uintptr_t)packet.ptr, packet.len };
    struct msghdr message = {
        .msg_iov = &part,
        .msg_iovlen = 1,
        .msg_control = control,
        .msg_controllen = sizeof(control),
    };
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);

    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof(int) * PROGRAM_FDS);
    memcpy(CMSG_DATA(head), fds, sizeof(int) * PROGRAM_FDS);
    if (sendmsg(to, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
        return err_from_errno(errno);
    return OK;
}

static enum err
open_pair(struct stream **ours, int *theirs)
{
    int fds[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds))
        return err_from_errno(errno);
    /* Ours must not block the loop; the program's may. */
    if (fcntl(fds[0], F_SETFL, O_NONBLOCK)) {
        close(fds[0]);
        close(fds[1]);
        return ERR_IO;
    }
    *theirs = fds[1];
    return stream_from_socket(fds[0], ours);
}

static enum err
start(struct run *run)
{
    struct attempt *a = run->a;
    struct stream **ends[PROGRAM_FDS] = { &run->in, &run->out, &run->end };
    int fds[PROGRAM_FDS] = { -1, -1, -1 };
    char id[MSGID_TEXT_SIZE + 1];
    struct buf packet;
    enum err e = OK;

    msgid_format(a->envelope.id, id);
    buf_init(&packet, PROGRAM_REQUEST_MAX);
    buf_add(&packet, a->route.relay.path);
    buf_add_byte(&packet, '\0');
    buf_add(&packet, a->envelope.reverse_path);
    buf_add_byte(&packet, '\0');
    buf_add(&packet, run->recipient);
    buf_add_byte(&packet, '\0');
    buf_add(&packet, str_from(id));
    buf_add_byte(&packet, '\0');
    for (size_t i = 0; !e && i < PROGRAM_FDS; i++)
        e = open_pair(ends[i], &fds[i]);
    if (!e)
        e = buf_ok(&packet) ? send_request(a->runner->queue->programs, buf_str(&packet), fds)
                            : ERR_LIMIT;
    for (size_t i = 0; i < PROGRAM_FDS; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    buf_done(&packet);
    return e;
}

/* CRLF becomes LF.  A program that does not read everything is none of our business. */
WAITS static enum err
write_message(struct run *run)
{
    struct body *body = run->a->body;
    uint64_t offset = 0;
    bool after_cr = false;
    enum err e = OK;

    while (!e) {
        size_t got, kept = 0;
        /* The first byte is left for a CR of the block before. */
        e = body_read(body, offset, run->bytes + 1, BLOCK - 1, &got);
        if (e || got == 0)
            break;
        offset += got;
        for (size_t i = 1; i <= got; i++) {
            char c = run->bytes[i];
            if (after_cr && c != '\n')
                run->bytes[kept++] = '\r';
            after_cr = c == '\r';
            if (!after_cr)
                run->bytes[kept++] = c;
        }
        e = stream_write(run->in, (str){ run->bytes, kept });
    }
    if (!e)
        e = stream_flush(run->in);
    stream_close(take(run->in));
    return e == ERR_CLOSED ? OK : e;
}

/* The beginning of what it says is kept; one that says too much has its output closed. */
WAITS static enum err
read_output(struct run *run)
{
    size_t total = 0;
    str bytes;
    enum err e;

    while (!(e = stream_fill(run->out, &bytes)) && total < OUTPUT_MAX) {
        if (total == 0)
            http_clean(bytes, run->text);
        total += bytes.len;
        stream_consume(run->out, bytes.len);
    }
    stream_close(take(run->out));
    return e == ERR_CLOSED ? OK : e;
}

WAITS static void
read_output_beside(void *arg)
{
    struct run *run = arg;

    run->output = read_output(run);
}

/* A program may say something before it has read all: both ways are open at a time. */
WAITS static enum err
exchange(struct run *run)
{
    struct group reading;
    enum err e;

    group_init(&reading);
    e = group_start(&reading, read_output_beside, run, "program output");
    if (!e)
        e = write_message(run);
    if (e)
        group_cancel(&reading);
    group_join(&reading);
    return e ? e : run->output;
}

WAITS static enum err
converse(struct run *run)
{
    instant deadline = deadline_in(run->a->runner->config->delivery.program_timeout);
    str bytes;
    enum err e;

    stream_set_deadline(run->in, deadline);
    stream_set_deadline(run->out, deadline);
    stream_set_deadline(run->end, deadline);
    e = exchange(run);
    if (!e)
        e = stream_fill_at_least(run->end, sizeof(run->how), &bytes);
    if (!e)
        memcpy(&run->how, bytes.ptr, sizeof(run->how));
    return e;
}

static void
explain(const struct run *run, enum err e, char *text, size_t size)
{
    static const char *const hows[] = {
        [PROGRAM_UNKNOWN] = "the program is not in the configuration with which the server was "
                            "started; restart the server",
        [PROGRAM_BUSY] = "too many programs run",
    };

    if (e)
        (void)snprintf(text, size, "the program: %s",
                       e == ERR_TIMEOUT ? "it did not end in time, and was killed" : err_name(e));
    else if (run->how.how == PROGRAM_EXITED)
        (void)snprintf(text, size, "the program ended with %u%s%s", run->how.number,
                       run->text[0] ? ": " : "", run->text);
    else if (run->how.how == PROGRAM_KILLED)
        (void)snprintf(text, size, "the program was killed by signal %u", run->how.number);
    else if (run->how.how == PROGRAM_FAILED)
        (void)snprintf(text, size, "the program cannot be run: %s",
                       strerrordesc_np((int)MIN(run->how.number, 200U)));
    else
        (void)snprintf(text, size, "%s",
                       run->how.how <= PROGRAM_BUSY ? hows[run->how.how] : "what came is no end");
}

WAITS static enum err
run_for(struct attempt *a, struct schedule_row *row, char *bytes)
{
    struct run *run = arena_new(&a->runner->arena, struct run);
    char text[HTTP_TEXT_MAX + 64];
    struct result *result;
    const char *enhanced;
    unsigned code;
    enum err e;

    if (!run)
        return ERR_LIMIT;
    *run = (struct run){ .a = a,
                         .recipient = a->envelope.recipients[row->index].address,
                         .bytes = bytes,
                         .how = { PROGRAM_UNKNOWN, 0 } };
    e = a->runner->queue->programs > 0 ? start(run) : OK;
    if (!e && run->end)
        e = converse(run);
    run_done(run);
    if (e == ERR_CANCELLED)
        return e;
    enhanced = program_meaning(&run->how, &code);
    if (e)
        code = 451;
    explain(run, e, text, sizeof(text));
    result = attempt_add_result(a, row, attempt_outcome_of(code), code, e ? "4.3.0" : enhanced,
                                attempt_text(&a->runner->arena, text).ptr);
    result->remote = "program";
    result->relayed = code == 250 ? RELAYED_WITHOUT_DSN : 0;
    return OK;
}

WAITS enum err
program_deliver(struct attempt *a)
{
    char *bytes = arena_alloc(&a->runner->arena, BLOCK + 1);
    struct queue *queue = a->runner->queue;
    enum err e = bytes ? OK : ERR_LIMIT;

    for (size_t i = 0; !e && i < a->count; i++) {
        str recipient = a->envelope.recipients[a->rows[i]->index].address;
        /* It would look like an option to the program. */
        if (str_starts(recipient, S("-")) || str_starts(a->envelope.reverse_path, S("-")))
            (void)attempt_add_result(a, a->rows[i], OUTCOME_FAILED, 553, "5.1.3",
                                     "An address that begins with - is not given to a program");
        else
            e = run_for(a, a->rows[i], bytes);
    }
    pthread_mutex_lock(&queue->lock);
    if (!e)
        schedule_site_succeeded(&queue->schedule, a->runner->site, clock_now());
    pthread_mutex_unlock(&queue->lock);
    attempt_record(a);
    return e;
}
