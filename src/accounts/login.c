/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* login.c: from a line of a client to a verdict.
 *
 * The order is always the same: ask the throttle, look at the secret, tell the throttle,
 * wait if it wants the answer slowed, and only then tell whether the account is disabled, so that
 * nobody learns anything without the right password.  An unknown name takes the same way
 * with a hash that nothing matches.
 *
 * Start reading at login_step().
 */
#include "accounts/login.h"

#include "accounts/account.h"
#include "base/must.h"
#include "runtime/clock.h"
#include "runtime/fiber.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct logins {
    struct accounts *accounts;
    struct sasl *sasl;
    pthread_mutex_t lock; /* For the throttle; never held across a wait. */
    struct throttle *throttle;
};

struct login {
    struct logins *logins;
    struct sasl_server *sasl;
    ipaddr client;
    bool proved; /* The server's proof is out, the empty answer is awaited. */
};

/* The throttle. */

static void
throttle_ask(struct logins *logins, str name, ipaddr client, struct throttle_verdict *verdict)
{
    pthread_mutex_lock(&logins->lock);
    throttle_check(logins->throttle, name, client, clock_steady(), verdict);
    pthread_mutex_unlock(&logins->lock);
}

static void
throttle_tell(struct logins *logins, str name, ipaddr client, bool right, uint64_t secret)
{
    pthread_mutex_lock(&logins->lock);
    if (right)
        throttle_succeeded(logins->throttle, name, client, clock_steady());
    else
        throttle_failed(logins->throttle, name, client, secret, clock_steady());
    pthread_mutex_unlock(&logins->lock);
}

void
logins_state(struct logins *logins, str address, struct throttle_state *state)
{
    pthread_mutex_lock(&logins->lock);
    throttle_state(logins->throttle, address, clock_steady(), state);
    pthread_mutex_unlock(&logins->lock);
}

void
logins_unlock(struct logins *logins, str address)
{
    pthread_mutex_lock(&logins->lock);
    throttle_unlock(logins->throttle, address);
    pthread_mutex_unlock(&logins->lock);
}

struct logins *
logins_new(struct accounts *accounts)
{
    struct logins *logins = calloc(1, sizeof(*logins));
    uint64_t seed;

    must(logins);
    random_bytes(&seed, sizeof(seed));
    logins->accounts = accounts;
    logins->sasl = sasl_new();
    logins->throttle = throttle_new(seed);
    pthread_mutex_init(&logins->lock, NULL);
    return logins;
}

void
logins_free(struct logins *logins)
{
    if (!logins)
        return;
    sasl_free(logins->sasl);
    throttle_free(logins->throttle);
    pthread_mutex_destroy(&logins->lock);
    free(logins);
}

/* Verdicts. */

static void
result_init(struct login_result *result, str name)
{
    size_t len = MIN(name.len, (size_t)SASL_NAME_MAX);

    *result = (struct login_result){ .state = LOGIN_BAD };
    if (len)
        memcpy(result->address, name.ptr, len);
}

/* Sees to it that a locked name is not even looked at.  False: RESULT is the verdict. */
static bool
may_try(struct logins *logins, str name, ipaddr client, duration *delay,
        struct login_result *result)
{
    struct throttle_verdict verdict;

    throttle_ask(logins, name, client, &verdict);
    *delay = verdict.delay;
    if (!verdict.locked)
        return true;
    result->state = LOGIN_THROTTLED;
    result->retry_after = verdict.retry_after;
    return false;
}

/* The right secret was shown for NAME. */
static void
welcome(struct logins *logins, str name, struct login_result *result)
{
    struct arena arena;
    struct account_info info;

    arena_init(&arena, 16384);
    if (accounts_get(logins->accounts, &arena, name, &info) == OK) {
        result_init(result, info.address);
        result->state = info.disabled ? LOGIN_DISABLED : LOGIN_OK;
        result->account = info.disabled ? 0 : info.id;
    }
    arena_done(&arena);
}

WAITS static enum err
wrong(struct logins *logins, str name, ipaddr client, uint64_t secret, duration delay)
{
    throttle_tell(logins, name, client, false, secret);
    return delay ? fiber_sleep(delay) : OK;
}

WAITS enum err
login_plain(struct logins *logins, ipaddr client, str name, str password,
            struct login_result *result)
{
    struct passwords *passwords = accounts_passwords(logins->accounts);
    struct password_secret secret = { 0 };
    int64_t account = 0;
    bool disabled;
    bool right;
    duration delay;
    enum err e;

    result_init(result, name);
    if (!may_try(logins, name, client, &delay, result))
        return OK;
    if (name.len > SASL_NAME_MAX ||
        accounts_get_secret(logins->accounts, name, &account, &disabled, &secret))
        account = 0; /* An unknown name: the empty hash costs the same and is never right. */
    e = password_check(passwords, account, str_from(secret.hash), password, clock_steady(), &right);
    if (e) {
        result->state = LOGIN_BUSY;
        return OK;
    }
    if (!right)
        return wrong(logins, name, client, password_digest(passwords, name, password), delay);
    throttle_tell(logins, name, client, true, 0);
    welcome(logins, name, result);
    return OK;
}

/* SASL. */

static bool
find_keys(void *arg, str name, struct scram_keys *keys)
{
    struct logins *logins = arg;
    struct password_secret secret;
    char lower[SASL_NAME_MAX];
    int64_t account;
    bool disabled;

    if (accounts_get_secret(logins->accounts, name, &account, &disabled, &secret) == OK &&
        secret.scram.iterations) {
        *keys = secret.scram;
        return true;
    }
    /* A real name has one salt, whatever its spelling: so has one that nobody has. */
    name = str_head(name, sizeof(lower));
    for (size_t i = 0; i < name.len; i++)
        lower[i] = ascii_lower(name.ptr[i]);
    password_fake_scram(accounts_passwords(logins->accounts), (str){ lower, name.len }, keys);
    return false;
}

enum err
login_begin(struct logins *logins, const struct login_options *options, struct login **result)
{
    struct sasl_server_options sasl = {
        .mechanism = options->mechanism,
        .exporter = options->exporter,
        .find_keys = find_keys,
        .arg = logins,
    };
    struct login *login = calloc(1, sizeof(*login));
    enum err e;

    must(login);
    login->logins = logins;
    login->client = options->client;
    e = sasl_server_new(logins->sasl, &sasl, &login->sasl);
    if (e) {
        free(login);
        return e;
    }
    *result = login;
    return OK;
}

void
login_free(struct login *login)
{
    if (!login)
        return;
    sasl_server_free(login->sasl);
    free(login);
}

void
login_drop(struct login **login)
{
    login_free(take(*login));
}

/* Nobody acts for another: the name to act for must be the name itself. */
static bool
acts_for_another(const struct login *login)
{
    str other = sasl_server_authorize_as(login->sasl);

    return other.len && !str_eq_nocase(other, sasl_server_name(login->sasl));
}

WAITS static enum err
scram_failed(struct login *login, struct login_result *result)
{
    str name = sasl_server_name(login->sasl);
    duration delay;

    result_init(result, name);
    if (!may_try(login->logins, name, login->client, &delay, result))
        return OK;
    return wrong(login->logins, name, login->client, 0, delay);
}

/* The proof was right, and our own, which would tell so, is not out yet: a locked name stays
 * locked. */
static void
scram_proved(struct login *login, struct buf *challenge, struct login_result *result)
{
    str name = sasl_server_name(login->sasl);
    duration delay;

    result_init(result, name);
    if (acts_for_another(login) || !may_try(login->logins, name, login->client, &delay, result)) {
        buf_clear(challenge);
        return;
    }
    login->proved = true;
    result->state = LOGIN_CONTINUE;
}

WAITS static enum err
check_plain(struct login *login, struct login_result *result)
{
    str name = sasl_server_name(login->sasl);

    result_init(result, name);
    if (acts_for_another(login))
        return OK;
    return login_plain(login->logins, login->client, name, sasl_server_password(login->sasl),
                       result);
}

static void
finish_proof(struct login *login, const str *line, struct login_result *result)
{
    str name = sasl_server_name(login->sasl);

    result_init(result, name);
    if (line && str_eq(*line, S("*")))
        result->state = LOGIN_ABORTED;
    else if (line && line->len && !str_eq(*line, S("=")))
        result->state = LOGIN_BROKEN;
    else {
        throttle_tell(login->logins, name, login->client, true, 0);
        welcome(login->logins, name, result);
    }
}

WAITS enum err
login_step(struct login *login, const str *line, struct buf *challenge, struct login_result *result)
{
    enum sasl_state state;

    buf_clear(challenge);
    if (login->proved) {
        finish_proof(login, line, result);
        return OK;
    }
    state = sasl_server_step(login->sasl, line, challenge);
    if (state == SASL_CHECK)
        return check_plain(login, result);
    if (state == SASL_FAILED)
        return scram_failed(login, result);
    result_init(result, sasl_server_name(login->sasl));
    switch (state) {
    case SASL_PROVED:
        scram_proved(login, challenge, result);
        break;
    case SASL_CONTINUE:
        result->state = LOGIN_CONTINUE;
        break;
    case SASL_ABORTED:
        result->state = LOGIN_ABORTED;
        break;
    default:
        result->state = LOGIN_BROKEN;
    }
    return OK;
}
