/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* sink.c: takes mail and throws it away, counting: the far end of the relay benchmark.
 *
 *     sink PORT COUNTS
 *
 * A thread for each connection.  COUNTS is a file of one line, "messages recipients\n", rewritten in
 * place after each message, so that the harness can wait for a number without asking.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BUFFER = 65536, LINE_MAX_BYTES = 2048 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t messages, recipients;
static int counts_fd;

struct conversation {
    int fd;
    size_t have, at;
    size_t out_len;
    uint64_t recipients;
    char in[BUFFER];
    char out[BUFFER];
};

static void
count_message(uint64_t for_recipients)
{
    char line[64];
    int len;

    pthread_mutex_lock(&lock);
    messages++;
    recipients += for_recipients;
    len = snprintf(line, sizeof(line), "%20llu %20llu\n", (unsigned long long)messages,
                   (unsigned long long)recipients);
    if (pwrite(counts_fd, line, (size_t)len, 0) != len)
        perror("sink: counts");
    pthread_mutex_unlock(&lock);
}

static bool
flush(struct conversation *c)
{
    size_t sent = 0;

    while (sent < c->out_len) {
        ssize_t n = write(c->fd, c->out + sent, c->out_len - sent);
        if (n <= 0)
            return false;
        sent += (size_t)n;
    }
    c->out_len = 0;
    return true;
}

static bool
fill(struct conversation *c)
{
    ssize_t n;

    if (!flush(c))
        return false;
    memmove(c->in, c->in + c->at, c->have - c->at);
    c->have -= c->at;
    c->at = 0;
    if (c->have == sizeof(c->in))
        return false;
    n = read(c->fd, c->in + c->have, sizeof(c->in) - c->have);
    if (n <= 0)
        return false;
    c->have += (size_t)n;
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

/* The next line, NUL-terminated in place; NULL at the end. */
static char *
next_line(struct conversation *c)
{
    for (;;) {
        char *start = c->in + c->at;
        char *end = memchr(start, '\n', c->have - c->at);
        if (end) {
            *end = '\0';
            c->at = (size_t)(end + 1 - c->in);
            return start;
        }
        if (!fill(c))
            return NULL;
    }
}

/* Up to and including CRLF.CRLF; the CRLF before the dot may be that of the last line. */
static bool
swallow_data(struct conversation *c)
{
    bool line_start = true;

    for (;;) {
        char *start, *end;
        if (c->at == c->have && !fill(c))
            return false;
        start = c->in + c->at;
        end = memchr(start, '\n', c->have - c->at);
        if (!end) {
            if (c->have - c->at > 2) {
                line_start = false;
                c->at = c->have;
            } else if (!fill(c)) {
                return false;
            }
            continue;
        }
        c->at = (size_t)(end + 1 - c->in);
        if (line_start && end - start == 2 && start[0] == '.')
            return true;
        line_start = true;
    }
}

static bool
answer(struct conversation *c, const char *line)
{
    if (strncasecmp(line, "EHLO", 4) == 0)
        say(c, "250-sink.example\r\n250-PIPELINING\r\n250-SIZE 104857600\r\n250 8BITMIME\r\n");
    else if (strncasecmp(line, "MAIL", 4) == 0)
        c->recipients = 0, say(c, "250 2.1.0 Ok\r\n");
    else if (strncasecmp(line, "RCPT", 4) == 0)
        c->recipients++, say(c, "250 2.1.5 Ok\r\n");
    else if (strncasecmp(line, "DATA", 4) == 0) {
        say(c, "354 End data with <CR><LF>.<CR><LF>\r\n");
        if (!swallow_data(c))
            return false;
        say(c, "250 2.0.0 Ok\r\n");
        count_message(c->recipients);
    } else if (strncasecmp(line, "QUIT", 4) == 0) {
        say(c, "221 2.0.0 Bye\r\n");
        flush(c);
        return false;
    } else
        say(c, "250 2.0.0 Ok\r\n");
    return true;
}

static void *
converse(void *arg)
{
    struct conversation *c = arg;
    char *line;

    say(c, "220 sink.example ESMTP\r\n");
    while ((line = next_line(c)) && answer(c, line))
        continue;
    close(c->fd);
    free(c);
    return NULL;
}

static void
serve(int listener)
{
    pthread_attr_t attributes;

    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        struct conversation *c = fd < 0 ? NULL : calloc(1, sizeof(*c));
        pthread_t thread;
        if (!c)
            continue;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
        c->fd = fd;
        if (pthread_create(&thread, &attributes, converse, c) != 0) {
            close(fd);
            free(c);
        }
    }
}

int
main(int argc, char **argv)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int listener = socket(AF_INET, SOCK_STREAM, 0);

    if (argc != 3) {
        fprintf(stderr, "usage: sink PORT COUNTS\n");
        return 64;
    }
    address.sin_port = htons((uint16_t)strtoul(argv[1], NULL, 10));
    counts_fd = open(argv[2], O_CREAT | O_RDWR | O_TRUNC, 0644);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int));
    if (counts_fd < 0 || bind(listener, (struct sockaddr *)&address, sizeof(address)) != 0 ||
        listen(listener, 1024) != 0) {
        perror("sink");
        return 71;
    }
    serve(listener);
}
