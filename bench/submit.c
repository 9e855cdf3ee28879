/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* submit.c: submits mail as many clients at once: the near end of the relay benchmark.
 *
 *     submit PORT SESSIONS MESSAGES BYTES PER_SESSION [AUTH]
 *
 * Each session connects, says EHLO, with AUTH (base64 of \0user\0password) starts TLS with a full handshake
 * and logs in, sends PER_SESSION messages, and quits.  Prints one line with what went well.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { LINE_WIDTH = 76, HEADER_ROOM = 1024 };

static int port;
static int total, per_session;
static const char *auth;
static SSL_CTX *context;
static char *body;
static size_t body_len;
static atomic_int next_message, sent_well, went_wrong;

struct session {
    int fd;
    SSL *tls;
    size_t have;
    char in[8192];
};

static bool
put(struct session *s, const char *bytes, size_t len)
{
    while (len) {
        ssize_t n = s->tls ? SSL_write(s->tls, bytes, (int)len) : write(s->fd, bytes, len);
        if (n <= 0)
            return false;
        bytes += n;
        len -= (size_t)n;
    }
    return true;
}

/* The class of the next whole reply, 2 to 5; 0 when the connection ended. */
static int
reply_class(struct session *s)
{
    for (;;) {
        char *line = s->in, *end;
        while ((end = memchr(line, '\n', s->have - (size_t)(line - s->in)))) {
            if (end - line >= 4 && line[3] != '-') {
                int class = line[0] - '0';
                s->have -= (size_t)(end + 1 - s->in);
                memmove(s->in, end + 1, s->have);
                return class;
            }
            line = end + 1;
        }
        if (s->have == sizeof(s->in))
            return 0;
        ssize_t n = s->tls ? SSL_read(s->tls, s->in + s->have, (int)(sizeof(s->in) - s->have))
                           : read(s->fd, s->in + s->have, sizeof(s->in) - s->have);
        if (n <= 0)
            return 0;
        s->have += (size_t)n;
    }
}

static bool
ask(struct session *s, const char *command, int class)
{
    return put(s, command, strlen(command)) && reply_class(s) == class;
}

static bool
log_in(struct session *s)
{
    char command[1024];

    if (!ask(s, "STARTTLS\r\n", 2))
        return false;
    s->tls = SSL_new(context);
    SSL_set_fd(s->tls, s->fd);
    if (SSL_connect(s->tls) != 1)
        return false;
    s->have = 0;
    snprintf(command, sizeof(command), "AUTH PLAIN %s\r\n", auth);
    return ask(s, "EHLO client.example\r\n", 2) && ask(s, command, 2);
}

static int
session_run(int messages)
{
    struct session *s = calloc(1, sizeof(*s));
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int done = 0;

    s->fd = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
    setsockopt(s->fd, SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){ 60, 0 }, sizeof(struct timeval));
    if (connect(s->fd, (struct sockaddr *)&address, sizeof(address)) == 0 && reply_class(s) == 2 &&
        ask(s, "EHLO client.example\r\n", 2) && (!auth || log_in(s))) {
        while (done < messages && ask(s, "MAIL FROM:<bench@src.example>\r\n", 2) &&
               ask(s, "RCPT TO:<rcpt@dst.example>\r\n", 2) && ask(s, "DATA\r\n", 3) &&
               put(s, body, body_len) && reply_class(s) == 2)
            done++;
        ask(s, "QUIT\r\n", 2);
    }
    SSL_free(s->tls);
    close(s->fd);
    free(s);
    return done;
}

static void *
client(void *arg)
{
    (void)arg;
    while (atomic_fetch_add(&next_message, per_session) < total) {
        int done = session_run(per_session);
        sent_well += done;
        went_wrong += per_session - done;
    }
    return NULL;
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

/* The load is the server's to bear: no time goes into the chain of a certificate nobody signed. */
static int
trust_all(X509_STORE_CTX *store, void *arg)
{
    (void)store, (void)arg;
    return 1;
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

int
main(int argc, char **argv)
{
    enum { SESSIONS_MAX = 1000 };
    pthread_t threads[SESSIONS_MAX];
    double began;
    int sessions;

    if (argc < 6) {
        fprintf(stderr, "usage: submit PORT SESSIONS MESSAGES BYTES PER_SESSION [AUTH]\n");
        return 64;
    }
    port = number(argv[1]);
    sessions = number(argv[2]) < SESSIONS_MAX ? number(argv[2]) : SESSIONS_MAX;
    total = number(argv[3]);
    per_session = number(argv[5]);
    auth = argc > 6 ? argv[6] : NULL;
    make_body((size_t)number(argv[4]));
    context = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_cert_verify_callback(context, trust_all, NULL);
    began = seconds_now();
    for (int i = 0; i < sessions; i++)
        if (pthread_create(&threads[i], NULL, client, NULL) != 0)
            return 71;
    for (int i = 0; i < sessions; i++)
        pthread_join(threads[i], NULL);
    printf("sent %d wrong %d seconds %.3f\n", (int)sent_well, (int)went_wrong, seconds_now() - began);
    return went_wrong != 0;
}
