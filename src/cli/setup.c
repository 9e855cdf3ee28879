/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* setup.c: outpost setup: from nothing to a server that can be started.
 *
 * All that was asked for is looked at first; then directories, certificate, passwords of next hops
 * and the first account are made, and outpost.conf last.  What is there already stays, so that a
 * second run only adds what is missing; what a failed run has made is taken away again.  Start
 * reading at setup().
 */
#include "cli/nouns.h"

#include "accounts/account.h"
#include "cli/devca.h"
#include "cli/setup_text.h"
#include "config/config.h"
#include "runtime/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    MADE_MAX = 256,
    GENERATED_SIZE = 24
};

struct setup {
    struct call *call;
    struct setup_wishes wishes;
    const char *dir; /* Absolute. */
    const char *config_path;
    const char *database;
    struct devca_paths tls;
    const struct passwd *user; /* To whom the files are given; NULL: nobody. */
    str password;              /* Of the account; empty when there is one already. */
    bool generated;
    bool has_config; /* outpost.conf is there and stays. */
    bool new_account;
    char *made[MADE_MAX]; /* To be taken away if the rest fails. */
    size_t made_count;
};

static const char *
path_in(struct setup *s, const char *name)
{
    str path;

    if (!arena_printf(&s->call->arena, &path, "%s/%s", s->dir, name))
        return "";
    return path.ptr;
}

static void
remember(struct setup *s, const char *path)
{
    if (s->made_count < MADE_MAX)
        s->made[s->made_count++] = str_dup(str_from(path));
}

/* After a failure: the newest first; a directory goes only when it is empty. */
static void
take_away(struct setup *s)
{
    while (s->made_count) {
        char *path = s->made[--s->made_count];

        if (unlink(path))
            rmdir(path);
        free(path);
    }
}

static void
forget_made(struct setup *s)
{
    while (s->made_count)
        free(s->made[--s->made_count]);
}

static bool
exists(const char *path)
{
    return access(path, F_OK) == 0;
}

static int
system_failed(struct setup *s, const char *what, const char *path)
{
    return call_fail(s->call, errno == EACCES ? EXIT_PERMISSION : EXIT_CANTCREATE, "cannot_create",
                     "choose another place with --data DIR, or run it as root", "cannot %s %s: %s",
                     what, path, strerror(errno));
}

static void
give_away(struct setup *s, const char *path)
{
    if (s->user && chown(path, s->user->pw_uid, s->user->pw_gid))
        fprintf(stderr, "outpost: cannot give %s to %s: %s\n", path, s->user->pw_name,
                strerror(errno));
}

/* DIR and what is above it, as mkdir -p. */
static int
make_dir(struct setup *s, const char *dir, mode_t mode)
{
    char path[PATH_MAX];
    size_t length = strlen(dir);

    if (length >= sizeof(path)) {
        errno = ENAMETOOLONG;
        return system_failed(s, "make", dir);
    }
    for (size_t i = 1; i <= length; i++) {
        if (dir[i] != '/' && dir[i] != '\0')
            continue;
        memcpy(path, dir, i);
        path[i] = '\0';
        if (mkdir(path, 0700) == 0) {
            remember(s, path);
            /* The umask is as strict as can be; what is to be looser says so. */
            if (chmod(path, i == length ? mode : 0755))
                return system_failed(s, "make", path);
            if (i == length)
                give_away(s, path);
        } else if (errno != EEXIST) {
            return system_failed(s, "make", path);
        }
    }
    return EXIT_OK;
}

/* The whole of a file, at once or not at all. */
static int
write_file(struct setup *s, const char *path, str text, mode_t mode)
{
    char temporary[PATH_MAX];
    bool is_new = !exists(path);
    ssize_t written;
    int fd;

    if (snprintf(temporary, sizeof(temporary), "%s.new", path) >= (int)sizeof(temporary)) {
        errno = ENAMETOOLONG;
        return system_failed(s, "make", path);
    }
    unlink(temporary);
    fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
    if (fd < 0)
        return system_failed(s, "make", temporary);
    written = write(fd, text.ptr, text.len);
    if (written != (ssize_t)text.len || fchmod(fd, mode) || fsync(fd)) {
        close(fd);
        unlink(temporary);
        return system_failed(s, "write", path);
    }
    close(fd);
    if (rename(temporary, path)) {
        unlink(temporary);
        return system_failed(s, "write", path);
    }
    if (is_new)
        remember(s, path);
    give_away(s, path);
    return EXIT_OK;
}

static const char *
absolute(struct call *call, const char *path)
{
    char *cwd;
    str whole;
    bool made;

    if (path[0] == '/')
        return path;
    while (path[0] == '.' && path[1] == '/')
        path += 2;
    cwd = getcwd(NULL, 0);
    made = cwd && arena_printf(&call->arena, &whole, "%s/%s", cwd, path);
    free(cwd);
    return made ? whole.ptr : path;
}

/* Where everything goes, by --dev, --data and --config. */
static void
choose_places(struct setup *s)
{
    struct call *call = s->call;
    const char *data = call_text(call, "--data");
    const char *config = call_text(call, "--config");
    bool dev = call_has(call, "--dev");

    s->dir = absolute(call, data ? data : dev ? "outpost-data" : "/var/lib/outpost");
    if (config)
        s->config_path = absolute(call, config);
    else
        s->config_path = data || dev ? path_in(s, "outpost.conf") : "/etc/outpost/outpost.conf";
    s->database = path_in(s, "directory.db");
    s->tls = (struct devca_paths){
        .ca = path_in(s, "tls/ca.pem"),
        .ca_key = path_in(s, "tls/ca-key.pem"),
        .certificate = path_in(s, "tls/server.pem"),
        .key = path_in(s, "tls/server-key.pem"),
    };
    s->wishes.dir = s->dir;
    s->wishes.dev = dev;
    s->wishes.certificate = s->tls.certificate;
    s->wishes.key = s->tls.key;
    s->has_config = exists(s->config_path) && !call_has(call, "--force");
}

static int
choose_user(struct setup *s)
{
    char cure[PATH_MAX + 100];

    if (geteuid() != 0 || s->wishes.dev)
        return EXIT_OK;
    s->user = getpwnam("outpost");
    if (s->user)
        return EXIT_OK;
    snprintf(cure, sizeof(cure),
             "make it with: adduser --system --group --no-create-home --home %s outpost", s->dir);
    return call_fail(s->call, EXIT_NOUSER, "no_system_account", cure,
                     "the system account \"outpost\", under which the server runs, is missing");
}

/* 20 letters that nobody confuses with one another: 98 bits. */
static void
generate_password(struct setup *s, char text[GENERATED_SIZE + 1])
{
    static const char letters[] = "abcdefghijkmnpqrstuvwxyz23456789"; /* 32 */
    uint8_t bytes[20];
    size_t used = 0;

    random_bytes(bytes, sizeof(bytes));
    for (size_t i = 0; i < sizeof(bytes); i++) {
        if (i && i % 5 == 0)
            text[used++] = '-';
        text[used++] = letters[bytes[i] % 32];
    }
    text[used] = '\0';
    s->generated = true;
}

/* Whether the account is there: only then no password is needed. */
WAITS static int
look_for_account(struct setup *s, struct accounts **accounts)
{
    struct account_info info;
    struct why why = { "" };
    enum err e;

    e = accounts_open(s->database, accounts, &why);
    if (e)
        return call_fail(s->call, EXIT_SYSTEM, "directory", NULL, "cannot open %s: %s", s->database,
                         why.text);
    e = accounts_get(*accounts, &s->call->arena, s->wishes.address, &info);
    s->new_account = e == ERR_NOT_FOUND;
    return EXIT_OK;
}

static int
choose_password(struct setup *s)
{
    char *text;

    if (call_has_password(s->call))
        return call_password(s->call, true, &s->password);
    text = arena_alloc(&s->call->arena, GENERATED_SIZE + 1);
    if (!text)
        return EXIT_INTERNAL;
    generate_password(s, text);
    s->password = str_from(text);
    return EXIT_OK;
}

/* postmaster@ and abuse@ lead to the first account.  RFC 2142, RFC 5321 4.5.1. */
WAITS static enum err
add_role_aliases(struct setup *s, struct accounts *accounts, struct why *why)
{
    static const char *const roles[] = { "postmaster", "abuse" };

    for (size_t i = 0; i < COUNT_OF(roles); i++) {
        str address;
        enum err e;

        if (!arena_printf(&s->call->arena, &address, "%s@%.*s", roles[i],
                          STR_ARG(s->wishes.domain)))
            return ERR_LIMIT;
        if (str_eq_nocase(address, s->wishes.address))
            continue;
        e = accounts_add_alias(accounts, address, s->wishes.address, why);
        if (e && e != ERR_EXISTS)
            return e;
    }
    return OK;
}

WAITS static int
add_account(struct setup *s, struct accounts *accounts)
{
    struct why why = { "" };
    int64_t id;
    enum err e = accounts_add(accounts, s->wishes.address, s->password, &id, &why);

    if (!e)
        e = add_role_aliases(s, accounts, &why);
    if (!e)
        return EXIT_OK;
    return call_fail(s->call, e == ERR_SYNTAX ? EXIT_DATA : EXIT_SYSTEM, "account", NULL,
                     "cannot add %.*s: %s", STR_ARG(s->wishes.address),
                     why.text[0] ? why.text : err_name(e));
}

WAITS static int
make_account(struct setup *s)
{
    static const char *const endings[] = { "", "-wal", "-shm" };
    struct accounts *accounts = NULL;
    bool is_new = !exists(s->database);
    char path[PATH_MAX];
    int exit = look_for_account(s, &accounts);

    for (size_t i = 0; is_new && i < COUNT_OF(endings); i++) {
        snprintf(path, sizeof(path), "%s%s", s->database, endings[i]);
        remember(s, path);
    }
    if (!exit && s->new_account)
        exit = choose_password(s);
    if (!exit && s->new_account)
        exit = add_account(s, accounts);
    accounts_close(accounts);
    for (size_t i = 0; i < COUNT_OF(endings); i++) {
        snprintf(path, sizeof(path), "%s%s", s->database, endings[i]);
        if (exists(path))
            give_away(s, path);
    }
    return exit;
}

static int
tls_failed(struct setup *s, const struct why *why)
{
    return call_fail(s->call, EXIT_CANTCREATE, "certificate",
                     "choose another place with --data DIR, or delete the half of a pair of files",
                     "%s", why->text);
}

/* A certificate that holds for a month or more stays. */
static int
make_certificate(struct setup *s)
{
    const char *names[8];
    size_t count = setup_names(&s->wishes, names, COUNT_OF(names));
    const char *kind = call_text(s->call, "--key");
    struct why why = { "" };
    int exit = make_dir(s, path_in(s, "tls"), 0700);

    if (exit)
        return exit;
    if (!exists(s->tls.ca)) {
        if (devca_make(&s->tls, &why))
            return tls_failed(s, &why);
        remember(s, s->tls.ca);
        remember(s, s->tls.ca_key);
    }
    if (exists(s->tls.key) && devca_days_left(s->tls.certificate) >= 30 &&
        !(kind && call_has(s->call, "--force")))
        return EXIT_OK;
    if (!exists(s->tls.certificate)) {
        remember(s, s->tls.certificate);
        remember(s, s->tls.key);
    }
    if (devca_sign(&s->tls, kind && strcmp(kind, "rsa") == 0 ? DEVCA_KEY_RSA2048 : DEVCA_KEY_P256,
                   names, count, &why))
        return tls_failed(s, &why);
    give_away(s, s->tls.certificate);
    give_away(s, s->tls.key);
    return EXIT_OK;
}

/* The password of a next hop goes into a file of its own below DIR. */
static int
make_secret(struct setup *s, struct setup_hop *hop)
{
    struct buf line;
    int exit;

    if (!hop->password.len || exists(hop->password_file))
        return EXIT_OK;
    exit = make_dir(s, path_in(s, "secrets"), 0700);
    if (exit)
        return exit;
    buf_init(&line, 4096);
    buf_add(&line, hop->password);
    buf_add_byte(&line, '\n');
    exit = write_file(s, hop->password_file, buf_str(&line), 0600);
    buf_done(&line);
    return exit;
}

/* The configuration stays root's: the server only reads it. */
static int
make_config(struct setup *s, str text)
{
    const struct passwd *user = s->user;
    char dir[PATH_MAX];
    char *slash;
    int exit = EXIT_OK;

    if (s->has_config)
        return EXIT_OK;
    s->user = NULL;
    snprintf(dir, sizeof(dir), "%s", s->config_path);
    slash = strrchr(dir, '/');
    if (slash && slash != dir) {
        *slash = '\0';
        exit = make_dir(s, dir, 0755);
    }
    /* Secrets stand in files of their own; whoever calls sendmail reads this one. */
    if (!exit)
        exit = write_file(s, s->config_path, text, 0644);
    s->user = user;
    return exit;
}

WAITS static int
make_all(struct setup *s, str text)
{
    int exit = make_dir(s, s->dir, 0711);

    if (!exit)
        exit = make_certificate(s);
    for (size_t i = 0; !exit && i < s->wishes.hop_count; i++)
        exit = make_secret(s, &s->wishes.hops[i]);
    if (!exit)
        exit = make_account(s);
    if (!exit)
        exit = make_config(s, text);
    return exit;
}

/* What would be written has to be a good configuration. */
static int
check_text(struct setup *s, str text)
{
    struct config_problems problems = { 0 };
    struct config *config = NULL;
    int exit = EXIT_OK;

    if (config_parse(text, s->config_path, &config, &problems)) {
        for (size_t i = 0; i < problems.count; i++)
            exit = call_fail(s->call, EXIT_USAGE, "usage", problems.items[i].cure, "%s",
                             problems.items[i].text);
    }
    config_problems_done(&problems);
    config_unref(config);
    return exit;
}

static int
print_card(struct setup *s)
{
    struct config_problems problems = { 0 };
    struct config *config = NULL;
    struct setup_card card = {
        .wishes = &s->wishes,
        .config_path = s->config_path,
        .ca = s->tls.ca,
        .password = s->generated ? s->password : (str){ 0 },
        .password_file = call_text(s->call, "--password-file"),
        .new_account = s->new_account,
        .kept_config = s->has_config,
    };

    if (config_load(s->config_path, &config, &problems)) {
        config_problems_done(&problems);
        return call_fail(s->call, EXIT_CONFIG, "configuration",
                         "look with: outpost config check --config FILE",
                         "%s was there before, and has mistakes", s->config_path);
    }
    card.config = config;
    setup_print_card(s->call, &card);
    config_unref(config);
    return EXIT_OK;
}

WAITS static int
setup(struct call *call)
{
    struct setup s = { .call = call };
    struct buf text;
    int exit;

    umask(077);
    choose_places(&s);
    exit = setup_read_wishes(call, &s.wishes);
    if (!exit)
        exit = choose_user(&s);
    if (exit)
        return exit;
    buf_init(&text, 1 << 20);
    setup_write_config(&s.wishes, &text);
    exit = check_text(&s, buf_str(&text));
    if (!exit && call_has(call, "--dry-run")) {
        output_line(call->out, "# would be written to %s:\n%s", s.config_path, buf_cstr(&text));
        buf_done(&text);
        return EXIT_OK;
    }
    if (!exit)
        exit = make_all(&s, buf_str(&text));
    buf_done(&text);
    if (exit) {
        take_away(&s);
        return exit;
    }
    forget_made(&s);
    return print_card(&s);
}

/* clang-format off */
static const struct flag setup_flags[] = {
    { "--dev", 0, FLAG_NONE, NULL, false, "A server for tests: on loopback, with a 2 before each port" },
    { "--data", 0, FLAG_TEXT, "DIR", false, "Where everything lives" },
    { "--hostname", 0, FLAG_TEXT, "NAME", false, "The name of the server" },
    { "--relay", 0, FLAG_TEXT, "URL", false, "Send everything by this smarthost" },
    { "--relay-password-file", 0, FLAG_TEXT, "FILE", false, "Its first line is the password for --relay" },
    { "--route", 0, FLAG_TEXT, "DOMAIN=URL", true, "Send mail for DOMAIN by this next hop" },
    { "--route-password-file", 0, FLAG_TEXT, "DOMAIN=FILE", true, "The same for the route of DOMAIN" },
    { "--trust", 0, FLAG_TEXT, "CIDR", true, "Let this network send without login" },
    { "--listen", 0, FLAG_TEXT, "NAME=ADDR:PORT", true, "Where smtp, submission, submissions, pop3, pop3s listen" },
    { "--dns", 0, FLAG_TEXT, "ADDR:PORT", true, "Ask this resolver instead of the roots" },
    { "--key", 0, FLAG_CHOICE, "ec|rsa", false, "The kind of the certificate's key" },
    { "--force", 0, FLAG_NONE, NULL, false, "Write the configuration anew although there is one" },
    PASSWORD_FLAGS,
    { 0 },
};
/* clang-format on */

const struct command setup_commands[] = {
    {
        .args = "ADDRESS",
        .args_min = 1,
        .args_max = 1,
        .uses = USES_CONFIG | USES_CHANGES,
        .flags = setup_flags,
        .summary = "Make a configuration, a certificate and the first account",
        .text = "Without --dev and --data the configuration is /etc/outpost/outpost.conf and the "
                "data lives in /var/lib/outpost.\n"
                "What is there already stays: a second run only adds what is missing. "
                "The password of the account comes from a file, from standard input, or is made "
                "and shown once.",
        .run = setup,
        .examples = { "outpost setup ann@example.org --dev --data ./try", "a server for tests",
                      "outpost setup ann@example.org --relay smtps://ann@smtp.example.net",
                      "all mail leaves by a provider",
                      "outpost setup ann@example.org --dev --route "
                      "example.org=lmtp://dovecot.lan:24",
                      "a gateway in front of another server" },
    },
    { 0 },
};
