/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* tls.h: contexts and facts of TLS 1.2 and 1.3 (OpenSSL 3).  The handshakes are in stream.h. */
#pragma once

#include "base/base.h"
#include "base/err.h"
#include "base/instant.h"
#include "base/str.h"

struct tls_context; /* Immutable once made; shared by reference between loops. */

/* For servers: a PEM chain and its key.  WHY names the file and the cure. */
enum err tls_server_new(const char *cert_file, const char *key_file, struct tls_context **context,
                        struct why *why);
/* For clients: the system's roots, and CA_FILE beside them when not NULL. */
enum err tls_client_new(const char *ca_file, struct tls_context **context, struct why *why);
/* How many sessions a client's context has kept. */
size_t tls_context_sessions(struct tls_context *context);
struct tls_context *tls_context_ref(struct tls_context *context);
void tls_context_unref(struct tls_context *context); /* NULL is fine. */

/* Sessions that a client's context keeps to resume them, each for a server at an address. */
enum {
    TLS_SESSIONS_KEPT = 256
};

enum tls_verify {
    TLS_VERIFY_NONE, /* Encrypt only; the result of the check is recorded all the same. */
    TLS_VERIFY_PKIX, /* The chain must lead to a root and name the server: else ERR_TLS. */
    TLS_VERIFY_DANE, /* The chain must hold what one of the TLSA records names: else ERR_TLS. */
};

/* RFC 6698 2.1; usage 2 (DANE-TA) or 3 (DANE-EE). */
struct tls_tlsa {
    uint8_t usage;
    uint8_t selector;
    uint8_t matching;
    str data;
};

/* What is wrong with a server's certificate. */
enum tls_fault {
    TLS_FAULT_NONE,
    TLS_FAULT_NAME, /* It is for others. */
    TLS_FAULT_DATES,
    TLS_FAULT_ISSUER, /* No root that we trust vouches for it. */
    TLS_FAULT_OTHER,  /* None of its keys is the one that was named, it is broken, there is none. */
    TLS_FAULT_HANDSHAKE, /* It did not come to a certificate. */
};

struct tls_client_options {
    str server_name; /* For SNI and for the check of the certificate. */
    enum tls_verify verify;
    const struct tls_tlsa *tlsa; /* For TLS_VERIFY_DANE. */
    size_t tlsa_count;
    str also_named; /* DANE-TA: a certificate for this name will do as well; may be empty. */
    /* Set when an earlier session was to be resumed.  After a failure the next try begins anew. */
    bool *resuming;
    bool san_only;         /* The certificate's common name does not count as a name. */
    enum tls_fault *fault; /* Of a handshake that failed; NULL: nobody asks. */
};

/* What the peer showed, in words; what is too long is cut. */
struct tls_certificate {
    char names[400];  /* Those it is for, parted by blanks: subjectAltName, or the subject's name. */
    char issuer[200]; /* Who signed it. */
    instant until;    /* Wall clock. */
};

struct tls_info {
    char version[16]; /* "TLSv1.3" */
    char cipher[64];  /* "TLS_AES_256_GCM_SHA384" */
    bool peer_has_cert;
    bool verified;        /* The peer's chain led to a root and named the server, */
    bool by_dane;         /* or a TLSA record did, */
    bool by_anchor;       /* one of an authority (DANE-TA), so that the name mattered too. */
    enum tls_fault fault; /* NONE when verified. */
    char verify_text[96]; /* Why not, or "ok". */
    uint8_t exporter[32]; /* tls-exporter channel binding (RFC 9266). */
    bool has_exporter;
    bool resumed;  /* An earlier session goes on, with what was checked then. */
    char sni[256]; /* Server side: the name that the client asked for. */
};
