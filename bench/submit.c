/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* submit.c: submits mail as many clients at once: the near end of the relay benchmark.
 *
 *     submit PORT SESSIONS MESSAGES BYTES PER_SESSION RECIPIENTS MODE [AUTH]
 *
 * Each session connects, says EHLO, with AUTH (base64 of \0user\0password) starts TLS and logs in, sends
 * PER_SESSION messages of RECIPIENTS each, and quits.  MODE is a word of letters: p, the envelope and DATA leave in one
 * flight (RFC 2920), as servers send; l, command by command; r, TLS sessions are resumed.  One thread and one
 * epoll, so that the load takes as little as it can of the machine that it shares with what is measured.
 * Prints one line with what went well.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { LINE_WIDTH = 76, HEADER_ROOM = 1024, SESSIONS_MAX = 1000, PATIENCE_MS = 60000 };

enum phase { GREETING, EHLO, STARTTLS, HANDSHAKE, EHLO_AGAIN, AUTH, ENVELOPE, BODY, QUIT };

static int port, epoll_fd;
static int total, per_session, recipients;
static bool pipelines, resumes;
static char auth_command[1024]; /* Empty: neither TLS nor login. */
static SSL_CTX *context;
static char *body, *envelope;
static size_t body_len, envelope_len;
static int taken, sent_well, went_wrong, alive;

struct session {
    int fd;
    SSL *tls;
    SSL_SESSION *ticket;
    enum phase phase;
    int done;
    int expected;  /* Replies to come before the next words. */
    size_t spoken; /* Of the envelope, command by command. */
    const char *out;
    size_t out_len;
    uint32_t watched;
    size_t have;
    char in[65536];
};

static int
keep_ticket(SSL *tls, SSL_SESSION *ticket)
{
    struct session *s = SSL_get_app_data(tls);

    SSL_SESSION_free(s->ticket);
    s->ticket = ticket;
    return 1;
}

static void
watch(struct session *s, uint32_t events)
{
    struct epoll_event event = { .events = events, .data.ptr = s };

    if (s->watched == events)
        return;
    epoll_ctl(epoll_fd, s->watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, s->fd, &event);
    s->watched = events;
}

/* False when the connection is broken. */
static bool
flush(struct session *s)
{
    while (s->out_len) {
        ssize_t n = s->tls ? SSL_write(s->tls, s->out, (int)s->out_len) : write(s->fd, s->out, s->out_len);
        if (n <= 0) {
            if (s->tls ? SSL_get_error(s->tls, (int)n) != SSL_ERROR_WANT_WRITE : errno != EAGAIN)
                return false;
            watch(s, EPOLLIN | EPOLLOUT);
            return true;
        }
        s->out += n;
        s->out_len -= (size_t)n;
    }
    watch(s, EPOLLIN);
    return true;
}

static bool
say(struct session *s, enum phase phase, const char *text, size_t len, int expected)
{
    s->phase = phase;
    s->out = text;
    s->out_len = len;
    s->expected = expected;
    return flush(s);
}

static bool
say_word(struct session *s, enum phase phase, const char *text)
{
    return say(s, phase, text, strlen(text), 1);
}

/* The envelope: all of it, or its next command. */
static bool
say_envelope(struct session *s)
{
    const char *command = envelope + s->spoken;
    size_t len = (size_t)(strchr(command, '\n') + 1 - command);

    if (pipelines)
        return say(s, ENVELOPE, envelope, envelope_len, recipients + 2);
    s->spoken += len;
    return say(s, ENVELOPE, command, len, 1);
}

static bool
next_message(struct session *s)
{
    s->spoken = 0;
    if (s->done == per_session)
        return say_word(s, QUIT, "QUIT\r\n");
    return say_envelope(s);
}

static bool
shake_hands(struct session *s)
{
    int result;

    s->phase = HANDSHAKE;
    if (!s->tls) {
        s->tls = SSL_new(context);
        SSL_set_app_data(s->tls, s);
        SSL_set_fd(s->tls, s->fd);
        SSL_set_connect_state(s->tls);
        if (resumes && s->ticket)
            SSL_set_session(s->tls, s->ticket);
    }
    result = SSL_do_handshake(s->tls);
    if (result == 1)
        return say_word(s, EHLO_AGAIN, "EHLO client.example\r\n");
    return SSL_get_error(s->tls, result) == SSL_ERROR_WANT_READ;
}

/* All replies to the last words are there, and good. */
static bool
go_on(struct session *s)
{
    switch (s->phase) {
    case GREETING:
        return say_word(s, EHLO, "EHLO client.example\r\n");
    case EHLO:
        return auth_command[0] ? say_word(s, STARTTLS, "STARTTLS\r\n") : next_message(s);
    case STARTTLS:
        s->have = 0;
        return shake_hands(s);
    case EHLO_AGAIN:
        return say_word(s, AUTH, auth_command);
    case AUTH:
        return next_message(s);
    case ENVELOPE:
        if (!pipelines && s->spoken < envelope_len)
            return say_envelope(s);
        return say(s, BODY, body, body_len, 1);
    case BODY:
        s->done++;
        return next_message(s);
    default:
        return false;
    }
}

/* Takes whole replies from the buffer; false at the end of the session. */
static bool
take_replies(struct session *s)
{
    char *line = s->in, *end;
    bool goes_on = true;

    while (goes_on && s->have && (end = memchr(line, '\n', s->have - (size_t)(line - s->in)))) {
        if (end - line >= 4 && line[3] != '-') {
            bool last = s->expected == 1;
            char wanted = last && s->phase == ENVELOPE && (pipelines || s->spoken == envelope_len) ? '3' : '2';
            if (line[0] != wanted)
                return false;
            if (--s->expected == 0)
                goes_on = go_on(s);
        }
        line = end + 1;
    }
    if (s->have) {
        s->have -= (size_t)(line - s->in);
        memmove(s->in, line, s->have);
    }
    return goes_on;
}

static bool
hear(struct session *s)
{
    for (;;) {
        size_t room = sizeof(s->in) - s->have;
        ssize_t n;
        if (s->phase == HANDSHAKE)
            return shake_hands(s);
        n = s->tls ? SSL_read(s->tls, s->in + s->have, (int)room) : read(s->fd, s->in + s->have, room);
        if (n <= 0)
            return s->tls ? SSL_get_error(s->tls, (int)n) == SSL_ERROR_WANT_READ : n < 0 && errno == EAGAIN;
        s->have += (size_t)n;
        if (!take_replies(s))
            return false;
        if (!s->tls) /* What comes later rings again. */
            return true;
    }
}

static void
session_end(struct session *s)
{
    if (s->tls)
        SSL_shutdown(s->tls);
    SSL_free(s->tls);
    s->tls = NULL;
    close(s->fd);
    ERR_clear_error();
}

/* The next session of this client; false when there is nothing left to send. */
static bool
session_begin(struct session *s)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

    if (taken >= total)
        return false;
    taken += per_session;
    s->fd = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
    if (connect(s->fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
        perror("submit: connect");
        exit(75);
    }
    fcntl(s->fd, F_SETFL, O_NONBLOCK);
    s->phase = GREETING;
    s->expected = 1;
    s->done = 0;
    s->have = s->out_len = 0;
    s->watched = 0;
    watch(s, EPOLLIN);
    return true;
}

static void
step(struct session *s, uint32_t events)
{
    bool goes_on = true;

    if (events & EPOLLOUT)
        goes_on = flush(s);
    if (goes_on && (events & ~(uint32_t)EPOLLOUT))
        goes_on = hear(s);
    if (goes_on)
        return;
    sent_well += s->done;
    went_wrong += per_session - s->done;
    session_end(s);
    if (!session_begin(s))
        alive--;
}

static void
make_body(size_t size)
{
    body = malloc(size + HEADER_ROOM + LINE_WIDTH);
    body_len = (size_t)snprintf(body, HEADER_ROOM,
                                "From: <bench@src.example>\r\nTo: <rcpt@dst.example>\r\n"
                                "Subject: load\r\nDate: Mon, 1 Jan 2024 00:00:00 +0000\r\n"
                                "Message-ID: <1.2.3@src.example>\r\n\r\n");
    while (body_len < size) {
        memset(body + body_len, 'X', LINE_WIDTH);
        memcpy(body + body_len + LINE_WIDTH, "\r\n", 2);
        body_len += LINE_WIDTH + 2;
    }
    memcpy(body + body_len, ".\r\n", 3);
    body_len += 3;
}

static void
make_envelope(void)
{
    enum { COMMAND_ROOM = 64 };
    size_t room = (size_t)(recipients + 2) * COMMAND_ROOM;

    envelope = malloc(room);
    envelope_len = (size_t)snprintf(envelope, room, "MAIL FROM:<bench@src.example>\r\n");
    for (int i = 0; i < recipients; i++)
        envelope_len += (size_t)snprintf(envelope + envelope_len, room - envelope_len,
                                         "RCPT TO:<rcpt%d@dst.example>\r\n", i);
    envelope_len += (size_t)snprintf(envelope + envelope_len, room - envelope_len, "DATA\r\n");
}

/* The load is the server's to bear: no time goes into the chain of a certificate nobody signed. */
static int
trust_all(X509_STORE_CTX *store, void *arg)
{
    (void)store, (void)arg;
    return 1;
}

static void
make_context(void)
{
    context = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_session_cache_mode(context, resumes ? SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL_STORE
                                                    : SSL_SESS_CACHE_OFF);
    SSL_CTX_sess_set_new_cb(context, keep_ticket);
    SSL_CTX_set_cert_verify_callback(context, trust_all, NULL);
    SSL_CTX_set_read_ahead(context, 1);
}

static double
seconds_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int
number(const char *text)
{
    return (int)strtoul(text, NULL, 10);
}

static void
run(int sessions)
{
    struct epoll_event events[64];

    for (int i = 0; i < sessions; i++)
        alive += session_begin(calloc(1, sizeof(struct session)));
    while (alive) {
        int count = epoll_wait(epoll_fd, events, 64, PATIENCE_MS);
        if (count == 0) {
            fprintf(stderr, "submit: %d sessions hear nothing for a minute\n", alive);
            exit(75);
        }
        for (int i = 0; i < count; i++)
            step(events[i].data.ptr, events[i].events);
    }
}

int
main(int argc, char **argv)
{
    double began;

    if (argc < 8) {
        fprintf(stderr, "usage: submit PORT SESSIONS MESSAGES BYTES PER_SESSION RECIPIENTS MODE [AUTH]\n");
        return 64;
    }
    port = number(argv[1]);
    total = number(argv[3]);
    per_session = number(argv[5]);
    recipients = number(argv[6]);
    pipelines = strchr(argv[7], 'p');
    resumes = strchr(argv[7], 'r');
    if (argc > 8)
        snprintf(auth_command, sizeof(auth_command), "AUTH PLAIN %s\r\n", argv[8]);
    make_body((size_t)number(argv[4]));
    make_envelope();
    make_context();
    epoll_fd = epoll_create1(0);
    began = seconds_now();
    run(number(argv[2]) < SESSIONS_MAX ? number(argv[2]) : SESSIONS_MAX);
    printf("sent %d wrong %d seconds %.3f\n", sent_well, went_wrong, seconds_now() - began);
    return went_wrong != 0;
}
