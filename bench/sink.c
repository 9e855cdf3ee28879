/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* sink.c: takes mail and throws it away, counting: the far end of the relay benchmark.
 *
 *     sink PORT COUNTS [CERT KEY]
 *
 * On the loopback address, or with "*:PORT" on all of them.
 * Offers what large receivers do: PIPELINING, CHUNKING, 8BITMIME, SIZE; with a certificate also STARTTLS, and after it
 * AUTH PLAIN, which takes any password.  One thread, one epoll.  COUNTS is a file of one line,
 * "transactions recipients connections\n", rewritten in place once in each turn, so that the harness can
 * wait for a number without asking.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BUFFER = 65536 };

static uint64_t messages, recipients, connections;
static bool counts_changed;
static int counts_fd, epoll_fd, listener;
static SSL_CTX *context;

struct conversation {
    int fd;
    SSL *tls;
    bool shaking, in_data, line_start, last_chunk;
    uint64_t chunk_left;
    uint64_t recipients;
    size_t have, at, out_len;
    char in[BUFFER];
    char out[BUFFER];
};

static void
count_message(struct conversation *c)
{
    messages++;
    recipients += c->recipients;
    c->recipients = 0;
    counts_changed = true;
}

static void
write_counts(void)
{
    char line[80];
    int len = snprintf(line, sizeof(line), "%20llu %20llu %20llu\n", (unsigned long long)messages,
                       (unsigned long long)recipients, (unsigned long long)connections);

    if (pwrite(counts_fd, line, (size_t)len, 0) != len)
        perror("sink: counts");
    counts_changed = false;
}

/* The socket takes all that we ever say at once; a peer that does not read is broken. */
static bool
flush(struct conversation *c)
{
    ssize_t n = (ssize_t)c->out_len;

    if (c->out_len)
        n = c->tls && !c->shaking ? SSL_write(c->tls, c->out, (int)c->out_len) : write(c->fd, c->out, c->out_len);
    if (n != (ssize_t)c->out_len)
        return false;
    c->out_len = 0;
    return true;
}

static void
say(struct conversation *c, const char *text)
{
    size_t len = strlen(text);

    if (c->out_len + len <= sizeof(c->out)) {
        memcpy(c->out + c->out_len, text, len);
        c->out_len += len;
    }
}

/* The next line, NUL-terminated in place; NULL: not yet. */
static char *
next_line(struct conversation *c)
{
    char *start = c->in + c->at;
    char *end = memchr(start, '\n', c->have - c->at);

    if (!end)
        return NULL;
    *end = '\0';
    c->at = (size_t)(end + 1 - c->in);
    return start;
}

/* Takes what is there of the content up to and including CRLF.CRLF. */
static void
swallow_data(struct conversation *c)
{
    while (c->in_data && c->at < c->have) {
        char *start = c->in + c->at;
        char *end = memchr(start, '\n', c->have - c->at);
        if (!end) {
            if (c->have - c->at <= 2)
                return;
            c->line_start = false;
            c->at = c->have;
            return;
        }
        c->at = (size_t)(end + 1 - c->in);
        if (c->line_start && end - start == 2 && start[0] == '.') {
            c->in_data = false;
            say(c, "250 2.0.0 Ok\r\n");
            count_message(c);
        }
        c->line_start = true;
    }
}

static void
swallow_chunk(struct conversation *c)
{
    size_t there = c->have - c->at;
    size_t part = there < c->chunk_left ? there : (size_t)c->chunk_left;

    c->at += part;
    c->chunk_left -= part;
    if (c->chunk_left)
        return;
    say(c, "250 2.0.0 Ok\r\n");
    if (c->last_chunk)
        count_message(c);
    c->last_chunk = false;
}

static void
hello(struct conversation *c)
{
    say(c, "250-sink.example\r\n250-PIPELINING\r\n250-SIZE 104857600\r\n250-8BITMIME\r\n");
    if (context && !c->tls)
        say(c, "250-STARTTLS\r\n");
    if (c->tls)
        say(c, "250-AUTH PLAIN\r\n");
    say(c, "250 CHUNKING\r\n");
}

static bool
answer(struct conversation *c, const char *line)
{
    if (strncasecmp(line, "EHLO", 4) == 0) {
        hello(c);
    } else if (strncasecmp(line, "MAIL", 4) == 0) {
        c->recipients = 0;
        say(c, "250 2.1.0 Ok\r\n");
    } else if (strncasecmp(line, "RCPT", 4) == 0) {
        c->recipients++;
        say(c, "250 2.1.5 Ok\r\n");
    } else if (strncasecmp(line, "DATA", 4) == 0) {
        c->in_data = c->line_start = true;
        say(c, "354 End data with <CR><LF>.<CR><LF>\r\n");
    } else if (strncasecmp(line, "BDAT ", 5) == 0) {
        char *end;
        c->chunk_left = strtoull(line + 5, &end, 10);
        c->last_chunk = strncasecmp(end, " LAST", 5) == 0;
        if (!c->chunk_left)
            swallow_chunk(c);
    } else if (context && strncasecmp(line, "STARTTLS", 8) == 0) {
        say(c, "220 2.0.0 Go on\r\n");
        c->shaking = true;
    } else if (strncasecmp(line, "AUTH PLAIN", 10) == 0) {
        say(c, "235 2.7.0 Welcome\r\n");
    } else if (strncasecmp(line, "QUIT", 4) == 0) {
        say(c, "221 2.0.0 Bye\r\n");
        return false;
    } else {
        say(c, "250 2.0.0 Ok\r\n");
    }
    return true;
}

/* Everything that is in the buffer; false at the end of the conversation. */
static bool
work(struct conversation *c)
{
    bool goes_on = true;
    char *line;

    while (goes_on && c->at < c->have && !c->shaking) {
        if (c->in_data) {
            size_t before = c->at;
            swallow_data(c);
            if (c->in_data && c->at == before)
                break;
        } else if (c->chunk_left) {
            swallow_chunk(c);
        } else if ((line = next_line(c))) {
            goes_on = answer(c, line);
        } else {
            break;
        }
    }
    memmove(c->in, c->in + c->at, c->have - c->at);
    c->have -= c->at;
    c->at = 0;
    return flush(c) && goes_on && c->have < sizeof(c->in);
}

static bool
shake_hands(struct conversation *c)
{
    int result;

    if (!c->tls) {
        c->tls = SSL_new(context);
        SSL_set_fd(c->tls, c->fd);
        SSL_set_accept_state(c->tls);
    }
    result = SSL_do_handshake(c->tls);
    if (result == 1) {
        c->shaking = false;
        return true;
    }
    return SSL_get_error(c->tls, result) == SSL_ERROR_WANT_READ;
}

static bool
hear(struct conversation *c)
{
    for (;;) {
        size_t room = sizeof(c->in) - c->have;
        ssize_t n;
        if (c->shaking && (!shake_hands(c) || c->shaking))
            return c->shaking && SSL_want(c->tls) == SSL_READING;
        n = c->tls ? SSL_read(c->tls, c->in + c->have, (int)room) : read(c->fd, c->in + c->have, room);
        if (n <= 0)
            return c->tls ? SSL_get_error(c->tls, (int)n) == SSL_ERROR_WANT_READ : n < 0 && errno == EAGAIN;
        c->have += (size_t)n;
        if (!work(c))
            return false;
        if (!c->tls && !c->shaking) /* What comes later rings again. */
            return true;
    }
}

static void
end(struct conversation *c)
{
    if (c->tls && !c->shaking)
        SSL_shutdown(c->tls);
    SSL_free(c->tls);
    close(c->fd);
    free(c);
    ERR_clear_error();
}

static void
take_connection(void)
{
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
    struct conversation *c = fd < 0 ? NULL : calloc(1, sizeof(*c));
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = c };

    if (!c)
        return;
    connections++;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
    c->fd = fd;
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event);
    say(c, "220 sink.example ESMTP\r\n");
    if (!flush(c))
        end(c);
}

static void
serve(void)
{
    struct epoll_event events[64], event = { .events = EPOLLIN };

    epoll_fd = epoll_create1(0);
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        int count = epoll_wait(epoll_fd, events, 64, -1);
        for (int i = 0; i < count; i++) {
            if (!events[i].data.ptr)
                take_connection();
            else if (!hear(events[i].data.ptr))
                end(events[i].data.ptr);
        }
        if (counts_changed)
            write_counts();
    }
}

static bool
make_context(const char *cert, const char *key)
{
    context = SSL_CTX_new(TLS_server_method());
    SSL_CTX_set_session_id_context(context, (const unsigned char *)"sink", 4);
    SSL_CTX_set_read_ahead(context, 1);
    return SSL_CTX_use_certificate_chain_file(context, cert) == 1 &&
           SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) == 1;
}

int
main(int argc, char **argv)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

    if (argc != 3 && argc != 5) {
        fprintf(stderr, "usage: sink PORT COUNTS [CERT KEY]\n");
        return 64;
    }
    if (argc == 5 && !make_context(argv[3], argv[4])) {
        fprintf(stderr, "sink: the certificate cannot be used\n");
        return 71;
    }
    signal(SIGPIPE, SIG_IGN); /* Who goes without waiting for our last word of TLS. */
    listener = socket(AF_INET, SOCK_STREAM, 0);
    if (strncmp(argv[1], "*:", 2) == 0)
        address.sin_addr.s_addr = htonl(INADDR_ANY), argv[1] += 2;
    address.sin_port = htons((uint16_t)strtoul(argv[1], NULL, 10));
    counts_fd = open(argv[2], O_CREAT | O_RDWR | O_TRUNC, 0644);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int));
    if (counts_fd < 0 || bind(listener, (struct sockaddr *)&address, sizeof(address)) != 0 ||
        listen(listener, 1024) != 0) {
        perror("sink");
        return 71;
    }
    serve();
}
