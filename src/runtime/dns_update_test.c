/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* dns_update_test.c: what a request looks like, and which answers are believed.  The answers are
 * signed here by OpenSSL alone. */
#include "runtime/dns_update.h"

#include "runtime/dns_ask.h"

#include "check.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct tsig_key key = { .name = "k.example",
                                     .secret = "0123456789",
                                     .secret_size = 10 };
static const instant now = SECONDS(1764201600LL);
static const struct dns_update update = { S("example.org"), S("s._domainkey.Example.org"),
                                          S("v=DKIM1; p=AAAA"), 300 };

static void
sign(const char *bytes, size_t size, uint8_t mac[TSIG_MAC_SIZE])
{
    unsigned len = TSIG_MAC_SIZE;

    CHECK(HMAC(EVP_sha256(), "0123456789", 10, (const unsigned char *)bytes, size, mac, &len));
}

/* "\001k\007example\0", the class, the TTL, "\013hmac-sha256\0", the time, the fudge, no error. */
static const char variables[] = "\1k\7example\0\0\xff\0\0\0\0\13hmac-sha256\0"
                                "\0\0\x69\x27\x94\x80\1\x2c\0\0\0\0";

static void
a_request_replaces_all_texts_of_a_name(void)
{
    static const char expected[] = "\x12\x34\x28\0\0\1\0\0\0\2\0\0"
                                   "\7example\3org\0\0\6\0\1"
                                   "\1s\12_domainkey\7example\3org\0\0\x10\0\xff\0\0\0\0\0\0"
                                   "\1s\12_domainkey\7example\3org\0\0\x10\0\1\0\0\1\x2c\0\x10"
                                   "\17v=DKIM1; p=AAAA";
    uint8_t mac[TSIG_MAC_SIZE];
    struct tsig_sent sent;
    struct buf message, bytes;

    buf_init(&message, DNS_MESSAGE_MAX);
    CHECK(dns_update_encode(&update, &key, 0x1234, now, &message, &sent) == OK);
    CHECK(message.len > sizeof(expected) - 1 && message.data[11] == 1);
    message.data[11] = 0;
    CHECK(memcmp(message.data, expected, sizeof(expected) - 1) == 0);
    buf_init(&bytes, 10000);
    buf_add(&bytes, (str){ expected, sizeof(expected) - 1 });
    buf_add(&bytes, (str){ variables, sizeof(variables) - 1 });
    sign(bytes.data, bytes.len, mac);
    CHECK(memcmp(mac, sent.mac, sizeof(mac)) == 0);
    CHECK(str_find_str(buf_str(&message), (str){ (char *)mac, sizeof(mac) }) > 0);
    buf_done(&bytes);
    buf_done(&message);
}

static void
a_withdrawal_adds_nothing_and_long_texts_are_cut_into_strings(void)
{
    struct dns_update other = update;
    char text[DNS_UPDATE_TEXT_MAX + 1];
    struct tsig_sent sent;
    struct buf message;

    memset(text, 'x', sizeof(text));
    buf_init(&message, DNS_MESSAGE_MAX);
    other.text = S("");
    CHECK(dns_update_encode(&other, &key, 1, now, &message, &sent) == OK);
    CHECK(message.data[9] == 1);
    other.text = (str){ text, 400 };
    CHECK(dns_update_encode(&other, &key, 1, now, &message, &sent) == OK);
    CHECK(str_find_str(buf_str(&message), S("\x01\x92\xffxxx")) > 0);
    CHECK(str_find_str(buf_str(&message), S("xxx\x91xxx")) > 0);
    other.text = (str){ text, sizeof(text) };
    CHECK(dns_update_encode(&other, &key, 1, now, &message, &sent) == ERR_LIMIT);
    other.name = S("a..b");
    CHECK(dns_update_encode(&other, &key, 1, now, &message, &sent) == ERR_SYNTAX);
    buf_done(&message);
}

/* The answer of a server to what left SENT behind, signed. */
static void
make_answer(const struct tsig_sent *sent, unsigned rcode, struct buf *answer)
{
    static const char zone[] = "\7example\3org\0\0\6\0\1";
    uint8_t mac[TSIG_MAC_SIZE];
    struct buf bytes;

    buf_init(&bytes, 10000);
    dns_add_u16(&bytes, TSIG_MAC_SIZE);
    buf_add(&bytes, (str){ (const char *)sent->mac, TSIG_MAC_SIZE });
    buf_clear(answer);
    dns_add_u16(answer, sent->id);
    dns_add_u16(answer, 0xa800 | rcode);
    dns_add_u16(answer, 1);
    dns_add_u32(answer, 0);
    dns_add_u16(answer, 0);
    buf_add(answer, (str){ zone, sizeof(zone) - 1 });
    buf_add(&bytes, buf_str(answer));
    buf_add(&bytes, (str){ variables, sizeof(variables) - 1 });
    sign(bytes.data, bytes.len, mac);
    answer->data[11] = 1;
    buf_add(answer, (str){ "\1k\7example\0\0\xfa\0\xff\0\0\0\0\0\x3d\13hmac-sha256\0", 34 });
    buf_add(answer, (str){ "\0\0\x69\x27\x94\x80\1\x2c\0\x20", 10 });
    buf_add(answer, (str){ (const char *)mac, sizeof(mac) });
    dns_add_u16(answer, sent->id);
    dns_add_u32(answer, 0);
    buf_done(&bytes);
}

static void
only_an_answer_that_our_key_signed_is_believed(void)
{
    struct tsig_key other = key;
    struct tsig_sent sent;
    struct buf message, answer;
    struct why why;

    buf_init(&message, DNS_MESSAGE_MAX);
    buf_init(&answer, DNS_MESSAGE_MAX);
    CHECK(dns_update_encode(&update, &key, 0x1234, now, &message, &sent) == OK);
    make_answer(&sent, 0, &answer);
    CHECK(dns_update_check(buf_str(&answer), &sent, &key, now, &why) == OK);
    CHECK(dns_update_check(buf_str(&answer), &sent, &key, now + MINUTES(6), &why) == ERR_CORRUPT);
    other.secret[0] ^= 1;
    CHECK(dns_update_check(buf_str(&answer), &sent, &other, now, &why) == ERR_CORRUPT);
    for (size_t i = 0; i < answer.len; i++) {
        answer.data[i] ^= 1;
        CHECK(dns_update_check(buf_str(&answer), &sent, &key, now, &why) != OK);
        answer.data[i] ^= 1;
        CHECK(dns_update_check(str_head(buf_str(&answer), i), &sent, &key, now, &why) != OK);
    }
    sent.mac[0] ^= 1;
    CHECK(dns_update_check(buf_str(&answer), &sent, &key, now, &why) == ERR_CORRUPT);
    buf_done(&message);
    buf_done(&answer);
}

static void
a_server_says_why_not(void)
{
    static const char refused[] = "\x12\x34\xa8\5\0\0\0\0\0\0\0\0";
    static const char done[] = "\x12\x34\xa8\0\0\0\0\0\0\0\0\0";
    static const char badkey[] = "\x12\x34\xa8\x09\0\0\0\0\0\0\0\1"
                                 "\1k\7example\0\0\xfa\0\xff\0\0\0\0\0\x1d\13hmac-sha256\0"
                                 "\0\0\x69\x27\x94\x80\1\x2c\0\0\x12\x34\0\x11\0\0";
    struct tsig_sent sent;
    struct buf message;
    struct why why;

    buf_init(&message, DNS_MESSAGE_MAX);
    CHECK(dns_update_encode(&update, &key, 0x1234, now, &message, &sent) == OK);
    CHECK(dns_update_check((str){ refused, 12 }, &sent, &key, now, &why) == ERR_REFUSED);
    CHECK(strstr(why.text, "REFUSED"));
    CHECK(dns_update_check((str){ done, 12 }, &sent, &key, now, &why) == ERR_CORRUPT);
    CHECK(dns_update_check((str){ badkey, sizeof(badkey) - 1 }, &sent, &key, now, &why) ==
          ERR_REFUSED);
    CHECK(strstr(why.text, "BADKEY"));
    make_answer(&sent, 10, &message);
    CHECK(dns_update_check(buf_str(&message), &sent, &key, now, &why) == ERR_REFUSED);
    CHECK(strstr(why.text, "NOTZONE"));
    buf_done(&message);
}

static void
a_key_is_read_from_a_file_of_ours_alone(void)
{
    char path[] = "/tmp/outpost-tsig-XXXXXX";
    struct tsig_key read;
    struct why why;
    int fd = mkstemp(path);

    CHECK(fd >= 0 && write(fd, "MDEyMzQ1Njc4OQ==\nrest\n", 22) == 22);
    CHECK(tsig_key_load(path, S("K.example."), &read, &why) == OK);
    CHECK(read.secret_size == 10 && memcmp(read.secret, "0123456789", 10) == 0);
    CHECK_STR(str_from(read.name), "k.example");
    tsig_key_done(&read);
    CHECK(read.secret_size == 0 && read.secret[0] == 0);
    CHECK(fchmod(fd, 0640) == 0);
    CHECK(tsig_key_load(path, S("k"), &read, &why) == ERR_REFUSED);
    CHECK(fchmod(fd, 0600) == 0 && ftruncate(fd, 0) == 0);
    CHECK(tsig_key_load(path, S("k"), &read, &why) == ERR_SYNTAX);
    close(fd);
    unlink(path);
    CHECK(tsig_key_load(path, S("k"), &read, &why) == ERR_NOT_FOUND);
}

int
main(void)
{
    RUN(a_request_replaces_all_texts_of_a_name);
    RUN(a_withdrawal_adds_nothing_and_long_texts_are_cut_into_strings);
    RUN(only_an_answer_that_our_key_signed_is_believed);
    RUN(a_server_says_why_not);
    RUN(a_key_is_read_from_a_file_of_ours_alone);
    return check_end();
}
