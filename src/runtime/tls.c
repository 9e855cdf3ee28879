/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* tls.c: OpenSSL contexts for servers and clients. */
#include "runtime/tls.h"

#include "base/must.h"
#include "runtime/tls_inside.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A session of a client, until it is resumed or another one takes its slot. */
struct kept_session {
    char *key;
    size_t key_size;
    SSL_SESSION *session;
};

struct tls_context {
    atomic_uint refs;
    SSL_CTX *ssl;
    pthread_mutex_t lock; /* For the slots. */
    struct kept_session
        *kept; /* TLS_SESSIONS_KEPT slots by the hash of the key; NULL: a server's. */
};

const char *
tls_reason(void)
{
    unsigned long code = ERR_peek_last_error();
    const char *reason = code ? ERR_reason_error_string(code) : NULL;

    return reason ? reason : "no reason given";
}

void *
tls_context_ssl(struct tls_context *context)
{
    return context->ssl;
}

static struct kept_session *
slot_of_key(struct tls_context *context, str key)
{
    return &context->kept[str_hash(key) % TLS_SESSIONS_KEPT];
}

static bool
is_of_key(const struct kept_session *slot, str key)
{
    return slot->session && str_eq((str){ slot->key, slot->key_size }, key);
}

static void
slot_clear(struct kept_session *slot)
{
    SSL_SESSION_free(slot->session);
    free(slot->key);
    *slot = (struct kept_session){};
}

void *
tls_context_take_session(struct tls_context *context, str key)
{
    struct kept_session *slot;
    SSL_SESSION *session = NULL;

    if (!context->kept)
        return NULL;
    slot = slot_of_key(context, key);
    pthread_mutex_lock(&context->lock);
    if (is_of_key(slot, key)) {
        session = slot->session;
        must(SSL_SESSION_up_ref(session) == 1);
        if (SSL_SESSION_get_protocol_version(session) >= TLS1_3_VERSION)
            slot_clear(slot);
    }
    pthread_mutex_unlock(&context->lock);
    return session;
}

void
tls_context_keep_session(struct tls_context *context, str key, void *session)
{
    struct kept_session *slot;

    if (!context->kept) {
        SSL_SESSION_free(session);
        return;
    }
    slot = slot_of_key(context, key);
    pthread_mutex_lock(&context->lock);
    if (session || is_of_key(slot, key))
        slot_clear(slot);
    if (session) {
        slot->key = malloc(key.len + 1);
        must(slot->key);
        memcpy(slot->key, key.ptr, key.len);
        slot->key_size = key.len;
        slot->session = session;
    }
    pthread_mutex_unlock(&context->lock);
}

size_t
tls_context_sessions(struct tls_context *context)
{
    size_t count = 0;

    pthread_mutex_lock(&context->lock);
    for (size_t i = 0; context->kept && i < TLS_SESSIONS_KEPT; i++)
        count += context->kept[i].session != NULL;
    pthread_mutex_unlock(&context->lock);
    return count;
}

static struct tls_context *
context_new(const SSL_METHOD *method)
{
    struct tls_context *context = calloc(1, sizeof(*context));

    must(context);
    atomic_init(&context->refs, 1);
    pthread_mutex_init(&context->lock, NULL);
    context->ssl = SSL_CTX_new(method);
    must(context->ssl);
    SSL_CTX_set_min_proto_version(context->ssl, TLS1_2_VERSION);
    /* Idle sessions keep no record buffers; one read takes all that the socket has. */
    SSL_CTX_set_mode(context->ssl, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                       SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_read_ahead(context->ssl, 1);
    /* Our protocols say themselves where they end; many peers never send close_notify. */
    SSL_CTX_set_options(context->ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_IGNORE_UNEXPECTED_EOF);
    return context;
}

/* Opened, since access() does not know of a sandbox. */
static enum err
unreadable(const char *what, const char *file, struct why *why)
{
    int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY);

    if (fd < 0)
        return err_why(
            why, err_from_errno(errno), "cannot read the %s %s: %s%s", what, file,
            strerrordesc_np(errno),
            errno == EACCES ? " (a folder that is new to a running server takes a restart)" : "");
    close(fd);
    return err_why(why, ERR_SYNTAX, "%s holds no %s in PEM form: %s", file, what, tls_reason());
}

static enum err
load_server(SSL_CTX *ssl, const char *cert_file, const char *key_file, struct why *why)
{
    bool loaded;

    ERR_clear_error();
    if (SSL_CTX_use_certificate_chain_file(ssl, cert_file) != 1)
        return unreadable("certificate", cert_file, why);
    loaded = SSL_CTX_use_PrivateKey_file(ssl, key_file, SSL_FILETYPE_PEM) == 1;
    if (loaded && SSL_CTX_check_private_key(ssl) == 1)
        return OK;
    if (loaded || ERR_GET_REASON(ERR_peek_last_error()) == X509_R_KEY_VALUES_MISMATCH)
        return err_why(
            why, ERR_SYNTAX,
            "the key %s does not belong to the first certificate in %s; the server's own "
            "certificate must stand first",
            key_file, cert_file);
    return unreadable("private key", key_file, why);
}

enum err
tls_server_new(const char *cert_file, const char *key_file, struct tls_context **context,
               struct why *why)
{
    static const unsigned char id[] = "outpost";
    struct tls_context *made = context_new(TLS_server_method());
    enum err e = load_server(made->ssl, cert_file, key_file, why);

    if (e) {
        tls_context_unref(made);
        return e;
    }
    /* Resumption by tickets, which cost no memory here. */
    SSL_CTX_set_session_cache_mode(made->ssl, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_session_id_context(made->ssl, id, sizeof(id) - 1);
    SSL_CTX_set_num_tickets(made->ssl, 1);
    SSL_CTX_set_options(made->ssl, SSL_OP_CIPHER_SERVER_PREFERENCE);
    *context = made;
    return OK;
}

enum err
tls_client_new(const char *ca_file, struct tls_context **context, struct why *why)
{
    struct tls_context *made = context_new(TLS_client_method());

    ERR_clear_error();
    (void)SSL_CTX_set_default_verify_paths(made->ssl);
    if (ca_file && SSL_CTX_load_verify_file(made->ssl, ca_file) != 1) {
        enum err e = unreadable("certificate", ca_file, why);
        tls_context_unref(made);
        return e;
    }
    SSL_CTX_set_session_cache_mode(made->ssl, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(made->ssl, tls_session_is_new);
    made->kept = calloc(TLS_SESSIONS_KEPT, sizeof(struct kept_session));
    must(made->kept);
    must(SSL_CTX_dane_enable(made->ssl) == 1);
    *context = made;
    return OK;
}

struct tls_context *
tls_context_ref(struct tls_context *context)
{
    atomic_fetch_add(&context->refs, 1);
    return context;
}

void
tls_context_unref(struct tls_context *context)
{
    if (!context || atomic_fetch_sub(&context->refs, 1) != 1)
        return;
    for (size_t i = 0; context->kept && i < TLS_SESSIONS_KEPT; i++)
        slot_clear(&context->kept[i]);
    free(context->kept);
    pthread_mutex_destroy(&context->lock);
    SSL_CTX_free(context->ssl);
    free(context);
}
