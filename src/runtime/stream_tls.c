/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* stream_tls.c: TLS between a stream's buffers and its transport.
 *
 * OpenSSL reads and writes through a BIO that calls the transport and never waits; a fiber never
 * parks inside of OpenSSL (whose error queue belongs to the thread), but here, when OpenSSL says
 * what it wants. Start reading at handshake().
 *
 * Each write wakes the peer.  So two small records wait for the next one and leave with it: a
 * session ticket, which goes with our first words, and the last words, which go with the end.
 */
#include "runtime/stream.h"

#include "base/must.h"
#include "runtime/loop.h"
#include "runtime/stream_inside.h"
#include "runtime/tls.h"
#include "runtime/tls_inside.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    HELD_MAX = 2048,
    USAGE_DANE_EE = 3 /* RFC 7218 2.1 */
};

struct tls_session {
    SSL *ssl;
    struct transport *transport;
    enum err transport_error; /* Why the BIO has failed. */
    bool named;               /* The peer's certificate was checked for a name. */
    bool ends;                /* What is written now is followed by the end. */
    bool offered;             /* An earlier session was. */
    struct tls_context *context;
    str key;    /* Of the server, in CONTEXT. */
    char *held; /* Leaves with the next write. */
    size_t held_size;
    enum tls_fault *fault; /* Where its failure is told; NULL: nowhere. */
    struct tls_info info;
};

/* The BIO. */

static int
bio_result(BIO *bio, enum err e, size_t count, int retry)
{
    struct tls_session *session = BIO_get_data(bio);

    BIO_clear_retry_flags(bio);
    if (!e)
        return (int)count;
    if (e == ERR_BUSY) {
        BIO_set_flags(bio, retry | BIO_FLAGS_SHOULD_RETRY);
        return -1;
    }
    session->transport_error = e;
    return e == ERR_CLOSED && retry == BIO_FLAGS_READ ? 0 : -1;
}

static int
bio_read(BIO *bio, char *bytes, int room)
{
    struct tls_session *session = BIO_get_data(bio);
    struct transport *transport = session->transport;
    size_t got = 0;
    enum err e;

    if (room <= 0)
        return 0;
    e = transport->ops->read(transport, bytes, (size_t)room, &got);
    return bio_result(bio, e, got, BIO_FLAGS_READ);
}

/* Under TLS 1.2 the peer waits for the ticket. */
static bool
can_wait(const struct tls_session *session, size_t size)
{
    bool is_ticket = SSL_get_state(session->ssl) == TLS_ST_SW_SESSION_TICKET &&
                     SSL_version(session->ssl) >= TLS1_3_VERSION;

    return !session->held && size <= HELD_MAX && (is_ticket || session->ends);
}

static void
hold(struct tls_session *session, str bytes)
{
    session->held = malloc(bytes.len);
    must(session->held);
    memcpy(session->held, bytes.ptr, bytes.len);
    session->held_size = bytes.len;
}

/* What is held, then BYTES, of which *PUT have gone. */
static enum err
write_with_held(struct tls_session *session, str bytes, size_t *put)
{
    struct transport *transport = session->transport;
    struct iovec parts[] = {
        { .iov_base = session->held, .iov_len = session->held_size },
        { .iov_base = (void *)(uintptr_t)bytes.ptr, .iov_len = bytes.len },
    };
    size_t sent = 0;
    enum err e = transport->ops->write(transport, parts, 2, &sent);

    if (e)
        return e;
    if (sent < session->held_size) {
        session->held_size -= sent;
        memmove(session->held, session->held + sent, session->held_size);
        return ERR_BUSY;
    }
    *put = sent - session->held_size;
    session->held_size = 0;
    free(take(session->held));
    return *put || !bytes.len ? OK : ERR_BUSY;
}

static int
bio_write(BIO *bio, const char *bytes, int count)
{
    struct tls_session *session = BIO_get_data(bio);
    struct transport *transport = session->transport;
    struct iovec part = { .iov_base = (void *)bytes, .iov_len = (size_t)MAX(count, 0) };
    size_t put = 0;
    enum err e;

    if (count <= 0)
        return 0;
    if (can_wait(session, part.iov_len)) {
        hold(session, (str){ bytes, part.iov_len });
        return count;
    }
    if (session->held)
        e = write_with_held(session, (str){ bytes, part.iov_len }, &put);
    else
        e = transport->ops->write(transport, &part, 1, &put);
    return bio_result(bio, e, put, BIO_FLAGS_WRITE);
}

static long
bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
    struct tls_session *session = BIO_get_data(bio);

    (void)number, (void)pointer;
    if (command == BIO_CTRL_FLUSH)
        return 1;
    if (command == BIO_CTRL_EOF)
        return session->transport_error != OK;
    return 0;
}

static BIO_METHOD *bio_method;

static void
make_bio_method(void)
{
    bio_method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "transport");
    must(bio_method);
    BIO_meth_set_read(bio_method, bio_read);
    BIO_meth_set_write(bio_method, bio_write);
    BIO_meth_set_ctrl(bio_method, bio_ctrl);
}

static struct tls_session *
session_new(struct tls_context *context, struct transport *transport)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct tls_session *session = calloc(1, sizeof(*session));
    BIO *bio;

    pthread_once(&once, make_bio_method);
    must(session);
    session->transport = transport;
    session->context = tls_context_ref(context);
    session->ssl = SSL_new(tls_context_ssl(context)); /* It holds the SSL_CTX from now on. */
    bio = BIO_new(bio_method);
    must(session->ssl && bio);
    BIO_set_data(bio, session);
    BIO_set_init(bio, 1);
    SSL_set_bio(session->ssl, bio, bio);
    return session;
}

void
tls_session_ends(struct tls_session *session)
{
    session->ends = true;
}

void
tls_session_free(struct tls_session *session, bool failed)
{
    size_t put;

    ERR_clear_error();
    if (!failed && !session->transport_error && SSL_is_init_finished(session->ssl))
        (void)SSL_shutdown(session->ssl);
    if (!failed && !session->transport_error && session->held)
        (void)write_with_held(session, S(""), &put);
    free(session->held);
    SSL_free(session->ssl);
    tls_context_unref(session->context);
    free((char *)(uintptr_t)session->key.ptr);
    free(session);
}

/* Bytes. */

/* Old errors would be taken for new ones.  Mostly there are none, and looking is cheaper. */
static void
forget_errors(void)
{
    if (ERR_peek_error())
        ERR_clear_error();
}

/* What RESULT, not positive, of an SSL call means for the stream. */
static enum err
session_error(struct tls_session *session, int result, bool *output)
{
    switch (SSL_get_error(session->ssl, result)) {
    case SSL_ERROR_WANT_READ:
        *output = false;
        return ERR_BUSY;
    case SSL_ERROR_WANT_WRITE:
        *output = true;
        return ERR_BUSY;
    case SSL_ERROR_ZERO_RETURN:
        return ERR_CLOSED;
    case SSL_ERROR_SYSCALL:
        return session->transport_error ? session->transport_error : ERR_CLOSED;
    default:
        return ERR_TLS;
    }
}

enum err
tls_session_read(struct tls_session *session, void *bytes, size_t room, size_t *got, bool *output)
{
    int count;

    forget_errors();
    count = SSL_read(session->ssl, bytes, (int)room);
    if (count <= 0)
        return session_error(session, count, output);
    *got = (size_t)count;
    return OK;
}

enum err
tls_session_write(struct tls_session *session, str bytes, size_t *put, bool *output)
{
    int count;

    forget_errors();
    count = SSL_write(session->ssl, bytes.ptr, (int)MIN(bytes.len, 1 << 20));
    if (count <= 0)
        return session_error(session, count, output);
    *put = (size_t)count;
    return OK;
}

/* Facts. */

static void
copy_text(char *to, size_t size, const char *text)
{
    size_t length = MIN(text ? strlen(text) : 0, size - 1);

    if (length)
        memcpy(to, text, length);
    to[length] = 0;
}

static enum tls_fault
fault_of(long result)
{
    switch (result) {
    case X509_V_OK:
        return TLS_FAULT_NONE;
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        return TLS_FAULT_NAME;
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return TLS_FAULT_DATES;
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_CERT_UNTRUSTED:
    case X509_V_ERR_CERT_REVOKED:
        return TLS_FAULT_ISSUER;
    default:
        return TLS_FAULT_OTHER;
    }
}

static void
note_certificate(struct tls_session *session)
{
    struct tls_info *info = &session->info;
    long result = SSL_get_verify_result(session->ssl);
    uint8_t usage = 0;

    info->resumed = SSL_session_reused(session->ssl) == 1;
    info->peer_has_cert = SSL_get0_peer_certificate(session->ssl) != NULL;
    info->by_dane = SSL_get0_dane_authority(session->ssl, NULL, NULL) >= 0;
    info->by_anchor = info->by_dane &&
                      SSL_get0_dane_tlsa(session->ssl, &usage, NULL, NULL, NULL, NULL) >= 0 &&
                      usage != USAGE_DANE_EE;
    info->verified = info->peer_has_cert && session->named && result == X509_V_OK;
    if (!info->verified)
        info->fault = info->peer_has_cert && session->named ? fault_of(result) : TLS_FAULT_OTHER;
    copy_text(info->verify_text, sizeof(info->verify_text),
              info->verified         ? "ok"
              : !info->peer_has_cert ? "no certificate"
              : !session->named      ? "not checked for a name"
                                     : X509_verify_cert_error_string(result));
}

static void
note_facts(struct tls_session *session)
{
    static const char label[] = "EXPORTER-Channel-Binding";
    struct tls_info *info = &session->info;
    SSL *ssl = session->ssl;

    copy_text(info->version, sizeof(info->version), SSL_get_version(ssl));
    /* As IANA has it, not as OpenSSL does: it goes into Received fields. */
    copy_text(info->cipher, sizeof(info->cipher),
              SSL_CIPHER_standard_name(SSL_get_current_cipher(ssl)));
    copy_text(info->sni, sizeof(info->sni), SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name));
    note_certificate(session);
    /* RFC 9266 section 3: with TLS 1.2 only under the extended master secret. */
    if (SSL_version(ssl) >= TLS1_3_VERSION || SSL_get_extms_support(ssl) == 1)
        info->has_exporter = SSL_export_keying_material(ssl, info->exporter, sizeof(info->exporter),
                                                        label, sizeof(label) - 1, NULL, 0, 0) == 1;
}

const struct tls_info *
stream_tls(const struct stream *stream)
{
    return stream->tls ? &stream->tls->info : NULL;
}

/* The peer's certificate, for people. */

static void
add_name(char *names, size_t size, const char *name, size_t length)
{
    size_t used = strlen(names);

    if (length == 0 || used + length + 2 > size)
        return;
    (void)snprintf(names + used, size - used, "%s%.*s", used ? " " : "", (int)length, name);
}

static void
list_names(X509 *peer, char *names, size_t size)
{
    GENERAL_NAMES *list = X509_get_ext_d2i(peer, NID_subject_alt_name, NULL, NULL);
    char subject[256] = "";

    names[0] = '\0';
    for (int i = 0; i < sk_GENERAL_NAME_num(list); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(list, i);
        if (name->type == GEN_DNS)
            add_name(names, size, (const char *)ASN1_STRING_get0_data(name->d.dNSName),
                     (size_t)ASN1_STRING_length(name->d.dNSName));
    }
    GENERAL_NAMES_free(list);
    if (!names[0] && X509_NAME_get_text_by_NID(X509_get_subject_name(peer), NID_commonName, subject,
                                               sizeof(subject)) > 0)
        add_name(names, size, subject, strlen(subject));
}

/* A stranger wrote these. */
static void
make_printable(char *text)
{
    for (; *text; text++)
        if (*text < ' ' || *text > '~')
            *text = '?';
}

bool
stream_certificate(const struct stream *stream, struct tls_certificate *certificate)
{
    X509 *peer = stream->tls ? SSL_get0_peer_certificate(stream->tls->ssl) : NULL;
    struct tm until = {};

    if (!peer)
        return false;
    *certificate = (struct tls_certificate){};
    list_names(peer, certificate->names, sizeof(certificate->names));
    make_printable(certificate->names);
    if (X509_NAME_get_text_by_NID(X509_get_issuer_name(peer), NID_commonName, certificate->issuer,
                                  sizeof(certificate->issuer)) < 0)
        certificate->issuer[0] = '\0';
    make_printable(certificate->issuer);
    if (ASN1_TIME_to_tm(X509_get0_notAfter(peer), &until))
        certificate->until = SECONDS(MIN((int64_t)timegm(&until), NEVER / SECONDS(1)));
    return true;
}

/* The handshake. */

static enum err
handshake_failed(struct stream *stream, struct tls_session *session, enum err e, struct why *why)
{
    long result = SSL_get_verify_result(session->ssl);
    char peer[IPADDR_TEXT_MAX + 8];

    if (session->fault)
        *session->fault =
            e == ERR_TLS && result != X509_V_OK ? fault_of(result) : TLS_FAULT_HANDSHAKE;
    endpoint_format(&stream->peer, peer);
    if (e == ERR_TLS && result != X509_V_OK)
        e = err_why(why, e, "the certificate of %s is not trusted: %s", peer,
                    X509_verify_cert_error_string(result));
    else if (e == ERR_TLS)
        e = err_why(why, e, "the TLS handshake with %s failed: %s", peer, tls_reason());
    else
        e = err_why(why, e, "the TLS handshake with %s failed: %s", peer,
                    e == ERR_CLOSED ? "the peer closed the connection" : err_name(e));
    if (session->offered)
        tls_context_keep_session(session->context, session->key, NULL);
    tls_session_free(session, true);
    stream->in_error = stream->out_error = e;
    return e;
}

static enum err
handshake(struct stream *stream, struct tls_session *session, struct why *why)
{
    for (;;) {
        bool output = false;
        enum err e;
        int result;
        ERR_clear_error();
        result = SSL_do_handshake(session->ssl);
        if (result == 1)
            break;
        e = session_error(session, result, &output);
        if (e == ERR_BUSY)
            e = stream->transport->ops->wait(stream->transport, output, stream->deadline);
        if (e)
            return handshake_failed(stream, session, e, why);
    }
    note_facts(session);
    stream->tls = session;
    /* A handshake uses three pages more than a conversation does. */
    fiber_trim_stack();
    return OK;
}

/* Nothing that came in the clear may be taken for what came under TLS. */
static enum err
prepare(struct stream *stream, struct why *why)
{
    enum err e;

    must(!stream->tls);
    if (stream_buffered(stream)) {
        stream->in_error = stream->out_error = ERR_TLS;
        return err_why(why, ERR_TLS, "the peer sent %zu bytes before TLS was started",
                       stream_buffered(stream));
    }
    e = stream_flush(stream);
    if (e)
        return err_why(why, e, "before TLS: %s", err_name(e));
    return OK;
}

enum err
stream_start_tls_server(struct stream *stream, struct tls_context *context, struct why *why)
{
    struct tls_session *session;
    enum err e = prepare(stream, why);

    if (e)
        return e;
    session = session_new(context, stream->transport);
    SSL_set_accept_state(session->ssl);
    return handshake(stream, session, why);
}

/* SNI and the name that the certificate is checked for; an address is checked, but not sent. */
static enum err
set_server_name(struct tls_session *session, str name, bool san_only, struct why *why)
{
    SSL *ssl = session->ssl;
    unsigned flags = X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS;
    char text[256];
    ipaddr addr;

    if (name.len && name.ptr[name.len - 1] == '.')
        name.len--;
    if (name.len == 0)
        return OK;
    if (name.len >= sizeof(text) || str_find(name, '\0') >= 0)
        return err_why(why, ERR_SYNTAX, "\"%.*s\" is not a server's name",
                       STR_ARG(str_head(name, 80)));
    memcpy(text, name.ptr, name.len);
    text[name.len] = 0;
    session->named = true;
    if (ipaddr_parse(name, &addr)) {
        must(X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), text) == 1);
        return OK;
    }
    if (san_only)
        flags |= X509_CHECK_FLAG_NEVER_CHECK_SUBJECT;
    SSL_set_hostflags(ssl, flags);
    if (SSL_set1_host(ssl, text) != 1 || SSL_set_tlsext_host_name(ssl, text) != 1)
        return err_why(why, ERR_SYNTAX, "\"%s\" is not a server's name", text);
    return OK;
}

/* For the next connection to this server. */
int
tls_session_is_new(SSL *ssl, SSL_SESSION *ticket)
{
    struct tls_session *session = SSL_get_app_data(ssl);

    if (!session || !session->key.ptr)
        return 0;
    tls_context_keep_session(session->context, session->key, ticket);
    return 1;
}

/* Only what was checked in the same way, at the same address, goes on. */
static void
offer_session(struct tls_session *session, const struct stream *stream,
              const struct tls_client_options *options)
{
    char peer[IPADDR_TEXT_MAX + 8], *key;
    SSL_SESSION *earlier;
    int size;

    endpoint_format(&stream->peer, peer);
    size = asprintf(&key, "%s %d%s %.*s", peer, (int)options->verify, options->san_only ? "s" : "",
                    STR_ARG(str_head(options->server_name, 255)));
    must(size >= 0);
    session->key = (str){ key, (size_t)size };
    SSL_set_app_data(session->ssl, session);
    earlier = tls_context_take_session(session->context, session->key);
    session->offered = earlier && SSL_set_session(session->ssl, earlier) == 1;
    SSL_SESSION_free(earlier);
    if (options->resuming)
        *options->resuming = session->offered;
}

/* RFC 7672 3: the records stand for the roots; of DANE-EE neither name nor dates matter. */
static enum err
set_records(struct tls_session *session, const struct tls_client_options *options, struct why *why)
{
    SSL *ssl = session->ssl;
    char text[256];

    if (options->server_name.len >= sizeof(text) || options->also_named.len >= sizeof(text))
        return err_why(why, ERR_SYNTAX, "the name of the server is too long");
    memcpy(text, options->server_name.ptr, options->server_name.len);
    text[options->server_name.len] = 0;
    if (SSL_dane_enable(ssl, text) <= 0)
        return err_why(why, ERR_TLS, "DANE for \"%s\": %s", text, tls_reason());
    SSL_dane_set_flags(ssl, DANE_FLAG_NO_DANE_EE_NAMECHECKS);
    for (size_t i = 0; i < options->tlsa_count; i++) {
        const struct tls_tlsa *record = &options->tlsa[i];
        if (SSL_dane_tlsa_add(ssl, record->usage, record->selector, record->matching,
                              (const unsigned char *)record->data.ptr, record->data.len) < 0)
            return err_why(why, ERR_TLS, "a TLSA record of %s: %s", text, tls_reason());
    }
    if (options->also_named.len) {
        memcpy(text, options->also_named.ptr, options->also_named.len);
        text[options->also_named.len] = 0;
        (void)SSL_add1_host(ssl, text); /* Not a name: then it names nobody. */
    }
    return OK;
}

enum err
stream_start_tls_client(struct stream *stream, struct tls_context *context,
                        const struct tls_client_options *options, struct why *why)
{
    struct tls_session *session;
    enum err e = prepare(stream, why);

    if (e)
        return e;
    session = session_new(context, stream->transport);
    session->fault = options->fault;
    SSL_set_connect_state(session->ssl);
    SSL_set_verify(session->ssl,
                   options->verify == TLS_VERIFY_NONE ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, NULL);
    e = set_server_name(session, options->server_name, options->san_only, why);
    if (!e && options->verify == TLS_VERIFY_DANE)
        e = set_records(session, options, why);
    if (e) {
        tls_session_free(session, true);
        return e;
    }
    /* What TLSA records named then, they need not name now. */
    if (options->verify != TLS_VERIFY_DANE)
        offer_session(session, stream, options);
    return handshake(stream, session, why);
}
