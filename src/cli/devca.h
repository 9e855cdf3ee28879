/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* devca.h: a certificate authority for tests, and the server's certificate by it. */
#pragma once

#include "base/base.h"
#include "base/err.h"
#include "base/str.h"

enum devca_key { DEVCA_KEY_P256, DEVCA_KEY_RSA2048 };

struct devca_paths {
    const char *ca;
    const char *ca_key;
    const char *certificate; /* With the CA behind it. */
    const char *key;
};

/* A CA with a P-256 key for 10 years.  Files must not exist; keys get mode 0600. */
enum err devca_make(const struct devca_paths *paths, struct why *why);
/* A certificate for 397 days with all of NAMES (host names and IP addresses), signed by that CA.  Existing files
 * are replaced at once or not at all. */
enum err devca_sign(const struct devca_paths *paths, enum devca_key key, const char *const *names,
                    size_t name_count, struct why *why);
/* How long the certificate at PATH still holds; 0 when it is over or cannot be read. */
unsigned devca_days_left(const char *path);
/* The SHA-256 of the certificate at PATH, as AB:CD:...; empty when it cannot be read. */
enum { DEVCA_FINGERPRINT_SIZE = 96 };
void devca_fingerprint(const char *path, char text[DEVCA_FINGERPRINT_SIZE]);
