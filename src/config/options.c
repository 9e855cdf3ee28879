/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* options.c: the table.  A new option is a field in config.h and a row here, and nothing else;
 * config_test.c checks that no field is without its row. */
#include "config/options.h"

#include "config/config.h"
#include "config/nearest.h"

#define IN_CONFIG(field) offsetof(struct config, field), sizeof(((struct config *)0)->field)

/* clang-format off */
const struct section sections[SECTION_COUNT] = {
    [SECTION_SERVER]   = { "server", "Who and where this server is.", false, IN_CONFIG(server) },
    [SECTION_LISTEN]   = { "listen", "A door: where clients connect.  The label is its name, and its kind when it is the name of one.  Without any such block the usual ports are used.", true, 0, sizeof(struct config_listen) },
    [SECTION_TLS]      = { "tls", "The certificate of this server, and whom it believes.", false, IN_CONFIG(tls) },
    [SECTION_TRUST]    = { "trust", "Who may send anywhere without login.", false, IN_CONFIG(trust) },
    [SECTION_RELAY]    = { "relay", "A smarthost for everything that no route takes.", false, IN_CONFIG(relay) },
    [SECTION_ROUTE]    = { "route", "A way out for some mail.  Everything that a block says of the mail must hold; the first block of the file that fits is taken, those with domain or recipient before the others.  The label is the recipient domain where the block says nothing of the mail.", true, 0, sizeof(struct config_route) },
    [SECTION_SOURCE]   = { "source", "A place that mail leaves from: addresses of this machine, with the name they say in EHLO, or a proxy.  The label is its name, for delivery.sources and route.sources.", true, 0, sizeof(struct config_source) },
    [SECTION_SMTP]     = { "smtp", "Ceilings for what clients may ask of us by SMTP.", false, IN_CONFIG(smtp) },
    [SECTION_AUTH]     = { "auth", "How clients log in.", false, IN_CONFIG(auth) },
    [SECTION_LIMITS]   = { "limits", "How much one account may send, where the directory sets no limit of its own.", false, IN_CONFIG(limits) },
    [SECTION_DELIVERY] = { "delivery", "How mail goes out, and what happens when it cannot.", false, IN_CONFIG(delivery) },
    [SECTION_DKIM]     = { "dkim", "How mail that begins its way here is signed.", false, IN_CONFIG(dkim) },
    [SECTION_DKIM_POLICY] = { "dkim_policy", "How mail of one domain, and of those below it, is signed; what is not set is as in dkim.  The label is the domain.", true, 0, sizeof(struct config_dkim_policy) },
    [SECTION_DNS_UPDATE] = { "dns_update", "A zone whose records we write ourselves, by dynamic updates (RFC 2136) signed with a key (TSIG, hmac-sha256).  The label is the zone.", true, 0, sizeof(struct config_dns_update) },
    [SECTION_TLS_REPORTS] = { "tls_reports", "The daily reports about TLS that we send to domains that want them (RFC 8460).", false, IN_CONFIG(tls_reports) },
    [SECTION_SUPPRESSION] = { "suppression", "To whom mail that begins its way here is not sent: what is entered by itself.", false, IN_CONFIG(suppression) },
    [SECTION_LIST]     = { "list", "Mail to many that people can leave.  The label is its name.  What sender or account says decides which mail it is.", true, 0, sizeof(struct config_list) },
    [SECTION_DNS]      = { "dns", "How names are resolved.", false, IN_CONFIG(dns) },
    [SECTION_BOUNCES]  = { "bounces", "Under which sender mail leaves, and what comes back to it.  Off until the MX of the domain leads here.", false, IN_CONFIG(bounces) },
    [SECTION_STORE]    = { "store", "The spool and the mailboxes.", false, IN_CONFIG(store) },
    [SECTION_EVENTS]   = { "events", "The record that outpost trace reads.", false, IN_CONFIG(events) },
    [SECTION_POP3]     = { "pop3", "Ceilings for clients of POP3.", false, IN_CONFIG(pop3) },
    [SECTION_LOG]      = { "log", "What is said on standard error.", false, IN_CONFIG(log) },
};

static const struct option_choice listen_kinds[] = {
    { "auto", LISTEN_AUTO }, { "smtp", LISTEN_SMTP }, { "submission", LISTEN_SUBMISSION },
    { "submissions", LISTEN_SUBMISSIONS }, { "pop3", LISTEN_POP3 }, { "pop3s", LISTEN_POP3S },
    { NULL, 0 },
};
static const struct option_choice listen_tls[] = {
    { "auto", LISTEN_TLS_AUTO }, { "none", LISTEN_TLS_NONE }, { "starttls", LISTEN_TLS_STARTTLS },
    { "implicit", LISTEN_TLS_IMPLICIT }, { NULL, 0 },
};
static const struct option_choice relay_tls[] = {
    { "auto", RELAY_TLS_AUTO }, { "off", RELAY_TLS_OFF }, { "may", RELAY_TLS_MAY },
    { "require", RELAY_TLS_REQUIRE }, { NULL, 0 },
};
static const struct option_choice delivery_tls[] = {
    { "off", RELAY_TLS_OFF }, { "may", RELAY_TLS_MAY }, { "require", RELAY_TLS_REQUIRE }, { NULL, 0 },
};
static const struct option_choice relay_auth[] = {
    { "auto", RELAY_AUTH_AUTO }, { "none", RELAY_AUTH_NONE }, { "plain", RELAY_AUTH_PLAIN },
    { "login", RELAY_AUTH_LOGIN }, { "scram-sha-256", RELAY_AUTH_SCRAM_SHA_256 }, { NULL, 0 },
};
static const struct option_choice relay_verify[] = {
    { "auto", RELAY_VERIFY_AUTO }, { "on", RELAY_VERIFY_ON }, { "off", RELAY_VERIFY_OFF }, { NULL, 0 },
};
static const struct option_choice http_formats[] = {
    { "json", HTTP_JSON }, { "raw", HTTP_RAW }, { NULL, 0 },
};
static const struct option_choice ip_wishes[] = {
    { "auto", IP_AUTO }, { "4", IP_4 }, { "6", IP_6 }, { "prefer-4", IP_PREFER_4 },
    { "prefer-6", IP_PREFER_6 }, { NULL, 0 },
};
static const struct option_choice presets[] = {
    { "unlimited", LIMIT_UNLIMITED }, { "gmail", LIMIT_GMAIL }, { "workspace", LIMIT_WORKSPACE },
    { "small-host", LIMIT_SMALL_HOST }, { NULL, 0 },
};
static const struct option_choice return_paths[] = {
    { "off", RETURN_PATHS_OFF }, { "domain", RETURN_PATHS_DOMAIN }, { "sender", RETURN_PATHS_SENDER }, { NULL, 0 },
};
static const struct option_choice log_levels[] = {
    { "error", LOG_LEVEL_ERROR }, { "warning", LOG_LEVEL_WARNING }, { "info", LOG_LEVEL_INFO },
    { "debug", LOG_LEVEL_DEBUG }, { NULL, 0 },
};

static const struct option_choice dkim_forms[] = {
    { "auto", DKIM_FORM_AUTO }, { "simple", DKIM_FORM_SIMPLE }, { "relaxed", DKIM_FORM_RELAXED }, { NULL, 0 },
};

/* One row: section, field, type, default, reload, least, most, choices, what it means. */
#define ROW(SECTION, section, field, TYPE, standard, RELOAD, min, max, choices, doc)               \
    { SECTION_##SECTION, #field, OPTION_##TYPE, standard, RELOAD_##RELOAD,                         \
      offsetof(struct config_##section, field), min, max, choices, doc }
#define LISTEN(...)   ROW(LISTEN, listen, __VA_ARGS__)
#define SERVER(...)   ROW(SERVER, server, __VA_ARGS__)
#define TLS(...)      ROW(TLS, tls, __VA_ARGS__)
#define SMTP(...)     ROW(SMTP, smtp, __VA_ARGS__)
#define AUTH(...)     ROW(AUTH, auth, __VA_ARGS__)
#define LIMITS(...)   ROW(LIMITS, limits, __VA_ARGS__)
#define DELIVERY(...) ROW(DELIVERY, delivery, __VA_ARGS__)
#define DKIM(...)     ROW(DKIM, dkim, __VA_ARGS__)
#define DKIM_POLICY(...) ROW(DKIM_POLICY, dkim_policy, __VA_ARGS__)
#define DNS_UPDATE(...) ROW(DNS_UPDATE, dns_update, __VA_ARGS__)
#define TLS_REPORTS(...) ROW(TLS_REPORTS, tls_reports, __VA_ARGS__)
#define SUPPRESSION(...) ROW(SUPPRESSION, suppression, __VA_ARGS__)
#define LIST(...)     ROW(LIST, list, __VA_ARGS__)
#define SOURCE(...)   ROW(SOURCE, source, __VA_ARGS__)
#define DNS(...)      ROW(DNS, dns, __VA_ARGS__)
#define BOUNCES(...)  ROW(BOUNCES, bounces, __VA_ARGS__)
#define STORE(...)    ROW(STORE, store, __VA_ARGS__)
#define POP3(...)     ROW(POP3, pop3, __VA_ARGS__)
/* The options that `relay` and `route` share. */
#define HOP(SECTION)                                                                                                                                          \
    ROW(SECTION, route, to, URL, "", LIVE, 0, 0, NULL, "The next hop: smtp://HOST, smtps://USER@HOST, lmtp://HOST:PORT, lmtp:///PATH, https://HOST/PATH, pipe:/PROGRAM, mx or local; ?tls=off|may|require may follow the first three."), \
    ROW(SECTION, route, username, TEXT, "", LIVE, 0, 0, NULL, "The account at the next hop, when the URL does not name it."),                              \
    ROW(SECTION, route, password_file, PATH, "", LIVE, 0, 0, NULL, "The file whose first line is the password for the next hop; for HTTP without a user, the bearer token."),                          \
    ROW(SECTION, route, tls, ENUM, "auto", LIVE, 0, 0, relay_tls, "Encryption; auto requires it when a password is sent."),                                  \
    ROW(SECTION, route, auth, ENUM, "auto", LIVE, 0, 0, relay_auth, "The mechanism of the login; auto takes the strongest that both sides know."),         \
    ROW(SECTION, route, verify, ENUM, "auto", LIVE, 0, 0, relay_verify, "Whether the certificate must be valid for the host; auto checks where TLS is required."), \
    ROW(SECTION, route, format, ENUM, "json", LIVE, 0, 0, http_formats, "What an HTTP server is sent: json, with the message in base64, or the raw message, with the envelope in header fields."), \
    ROW(SECTION, route, fallback, URL, "", LIVE, 0, 0, NULL, "Another next hop, written like to: for mail that failed fallback_after times, and while no host of this way answers."), \
    ROW(SECTION, route, fallback_password_file, PATH, "", LIVE, 0, 0, NULL, "The file whose first line is the password for the user in fallback."), \
    ROW(SECTION, route, fallback_after, INTEGER, "3", LIVE, 1, 1000, NULL, "Failed attempts after which fallback is taken."), \
    ROW(SECTION, route, sources, TEXTS, "", LIVE, 0, 0, NULL, "Source blocks that mail on this way leaves from; those of delivery when not set."), \
    ROW(SECTION, route, ip, ENUM, "auto", LIVE, 0, 0, ip_wishes, "Which addresses of a host are used: only IPv4 or IPv6, or one before the other; auto as in delivery.")

const struct option options[] = {
    SERVER(hostname, HOSTNAME, "", RESTART, 0, 0, NULL, "The name of this server in greetings and Received fields; the system's name when not set."),
    SERVER(data_dir, PATH, DATA_DIR_STANDARD, RESTART, 0, 0, NULL, "Where spool, mailboxes, directory and control socket live."),
    SERVER(user, TEXT, "outpost", RESTART, 0, 0, NULL, "The system account to which the server changes when started as root."),
    SERVER(postmaster, ADDRESS, "", LIVE, 0, 0, NULL, "Who is named in bounces; postmaster@hostname when not set."),
    SERVER(program_user, TEXT, "nobody", RESTART, 0, 0, NULL, "The system account whose rights the programs of pipe: routes get when the server is started as root."),
    SERVER(loops, INTEGER, "0", RESTART, 0, 256, NULL, "Threads that serve; 0 means one for each core."),
    SERVER(sandbox, BOOL, "on", RESTART, 0, 0, NULL, "Whether the server shuts itself in with seccomp and Landlock."),

    LISTEN(kind, ENUM, "auto", RESTART, 0, 0, listen_kinds, "What is spoken here; auto takes the block's name."),
    LISTEN(tls, ENUM, "auto", RESTART, 0, 0, listen_tls, "How TLS begins; auto is implicit for submissions and pop3s, starttls for the others, none without a certificate."),
    LISTEN(address, ENDPOINTS, "", RESTART, 0, 0, NULL, "ADDRESS:PORT, or :PORT for all addresses; the kind's usual port on all addresses when not set."),
    LISTEN(proxy_protocol, NETWORKS, "", LIVE, 0, 0, NULL, "Load balancers whose connections begin with a PROXY protocol header."),
    LISTEN(connections_max, INTEGER, "20000", RESTART, 1, 1000000, NULL, "Connections served at a time; later ones wait."),

    TLS(certificate, PATH, "", LIVE, 0, 0, NULL, "PEM file with the server's certificate and its chain; no TLS is offered without one."),
    TLS(key, PATH, "", LIVE, 0, 0, NULL, "PEM file with the certificate's key."),
    TLS(next_key, PATH, "", LIVE, 0, 0, NULL, "PEM file with the key, or the certificate, that comes next: 'outpost dns records' prints its TLSA record beside that of the present one, so that it is there before it is needed."),
    TLS(ca_file, PATH, "", RESTART, 0, 0, NULL, "PEM file with roots that we believe beside the system's when we connect to others."),

    ROW(TRUST, trust, network, NETWORKS, "", LIVE, 0, 0, NULL, "Networks whose hosts may send anywhere without login."),

    HOP(RELAY),
    ROW(ROUTE, route, domain, DOMAINS, "", LIVE, 0, 0, NULL, "Recipient domains that go this way; .example.org means what is below example.org."),
    ROW(ROUTE, route, recipient, DOMAINS, "", LIVE, 0, 0, NULL, "Recipient addresses whose mail goes this way."),
    ROW(ROUTE, route, sender, DOMAINS, "", LIVE, 0, 0, NULL, "Sender addresses or domains whose mail goes this way."),
    ROW(ROUTE, route, account, DOMAINS, "", LIVE, 0, 0, NULL, "Accounts, or domains of accounts, whose mail goes this way."),
    ROW(ROUTE, route, network, NETWORKS, "", LIVE, 0, 0, NULL, "Client networks whose mail goes this way."),
    ROW(ROUTE, route, door, TEXTS, "", LIVE, 0, 0, NULL, "By which door the mail came: mx, submission, local (sendmail), bounce (our own reports)."),
    ROW(ROUTE, route, lane, TEXTS, "", LIVE, 0, 0, NULL, "Lanes whose mail goes this way: code, personal, notice, bulk."),
    ROW(ROUTE, route, size_over, BYTES, "0", LIVE, 0, 0, NULL, "Only mail larger than this; 0 for any."),
    ROW(ROUTE, route, size_under, BYTES, "0", LIVE, 0, 0, NULL, "Only mail smaller than this; 0 for any."),
    HOP(ROUTE),

    SOURCE(address, ADDRS, "", LIVE, 0, 0, NULL, "Local addresses to connect from, one for each family that this source shall reach; the system chooses when not set."),
    SOURCE(helo_name, HOSTNAME, "", LIVE, 0, 0, NULL, "The name that we say in EHLO from here; delivery.helo_name when not set."),
    SOURCE(weight, INTEGER, "1", LIVE, 0, 1000, NULL, "Its share of the mail beside others of its pool; 0 for one that serves only while the others are out."),
    SOURCE(socks5, ENDPOINTS, "", LIVE, 0, 0, NULL, "ADDRESS:PORT of a SOCKS5 proxy that makes the connections."),
    SOURCE(proxy, ENDPOINTS, "", LIVE, 0, 0, NULL, "ADDRESS:PORT of a proxy that makes the connections and is told by a PROXY protocol header (version 2) from which of the addresses and to whom."),
    SOURCE(username, TEXT, "", LIVE, 0, 0, NULL, "The account at the SOCKS5 proxy."),
    SOURCE(password_file, PATH, "", LIVE, 0, 0, NULL, "The file whose first line is the password for the SOCKS5 proxy."),
    SOURCE(connections_max, INTEGER, "0", LIVE, 0, 1000000, NULL, "Connections from here to all sites together, at a time; 0 for no limit, as in the next three."),
    SOURCE(messages_per_minute, INTEGER, "0", LIVE, 0, 0xffffffff, NULL, "Messages that leave from here in a minute."),
    SOURCE(messages_per_hour, INTEGER, "0", LIVE, 0, 0xffffffff, NULL, "Messages that leave from here in an hour."),
    SOURCE(messages_per_day, INTEGER, "0", LIVE, 0, 0xffffffff, NULL, "Messages that leave from here in a day: for an address that is warmed up."),

    SMTP(message_size_max, BYTES, "50M", LIVE, 1024, 1ULL << 40, NULL, "The largest message that is taken; announced as SIZE."),
    SMTP(recipients_max, INTEGER, "1000", LIVE, 100, 1000000, NULL, "Recipients of one message; RFC 5321 wants at least 100."),
    SMTP(command_line_max, INTEGER, "2048", LIVE, 512, 16384, NULL, "Bytes of a command line."),
    SMTP(auth_line_max, INTEGER, "12288", LIVE, 1024, 16384, NULL, "Bytes of a line of a login; RFC 4954 wants 12288."),
    SMTP(text_line_max, INTEGER, "16000", LIVE, 1000, 16384, NULL, "Bytes of a line of a message."),
    SMTP(header_size_max, BYTES, "256K", LIVE, 4096, 1ULL << 30, NULL, "Bytes of the header section of a message."),
    SMTP(header_fields_max, INTEGER, "2000", LIVE, 50, 1000000, NULL, "Fields in the header section of a message."),
    SMTP(hops_max, INTEGER, "50", LIVE, 5, 1000, NULL, "Received fields; a message with more is going round in circles."),
    SMTP(commands_max, INTEGER, "100000", LIVE, 100, 0xffffffff, NULL, "Commands in one session."),
    SMTP(errors_max, INTEGER, "20", LIVE, 1, 100000, NULL, "Refused commands after which a session is ended."),
    SMTP(unknown_recipients_max, INTEGER, "20", LIVE, 1, 100000, NULL, "Unknown recipients after which a session is ended."),
    SMTP(auth_failures_max, INTEGER, "3", LIVE, 1, 100, NULL, "Failed logins after which a session is ended."),
    SMTP(messages_max, INTEGER, "10000", LIVE, 1, 0xffffffff, NULL, "Messages in one session."),
    SMTP(connections_per_address_max, INTEGER, "200", LIVE, 1, 1000000, NULL, "Connections of one client address at a time; loopback and trusted networks are not counted."),
    SMTP(transaction_memory_max, BYTES, "4M", LIVE, 65536, 1ULL << 30, NULL, "Memory for the envelope of one message, beside its text."),
    SMTP(command_timeout, DURATION, "5m", LIVE, MILLISECONDS(10), DAYS(1), NULL, "How long we wait for the next command; RFC 5321 wants 5 minutes."),
    SMTP(data_timeout, DURATION, "3m", LIVE, MILLISECONDS(10), DAYS(1), NULL, "How long we wait for the next bytes of a message."),
    SMTP(message_timeout, DURATION, "1h", LIVE, MILLISECONDS(10), DAYS(7), NULL, "How long one message may take from DATA to its end."),
    SMTP(handshake_timeout, DURATION, "30s", LIVE, MILLISECONDS(10), HOURS(1), NULL, "How long a TLS handshake may take."),
    SMTP(session_timeout, DURATION, "1d", LIVE, MILLISECONDS(10), DAYS(30), NULL, "How long one session may last."),
    SMTP(greeting, TEXT, "", LIVE, 0, 0, NULL, "What follows the host name in the greeting; ESMTP when not set."),
    SMTP(future_release_max, DURATION, "30d", LIVE, 0, DAYS(3650), NULL, "How long a client that has logged in may have a message held (FUTURERELEASE); 0 does not offer it."),
    SMTP(deliver_by_min, DURATION, "1m", LIVE, 0, DAYS(1), NULL, "The shortest time in which a client may demand delivery or return (DELIVERBY)."),
    SMTP(priority_max, INTEGER, "9", LIVE, 0, 9, NULL, "The highest MT-PRIORITY that a login is granted; who has not logged in is granted none above 0."),

    AUTH(mechanisms, TEXTS, "PLAIN LOGIN SCRAM-SHA-256 SCRAM-SHA-256-PLUS", LIVE, 0, 0, NULL, "SASL mechanisms that are offered, over TLS only."),

    LIMITS(preset, ENUM, "unlimited", LIVE, 0, 0, presets, "A set of figures: gmail (100 recipients at once, 500 messages a day), workspace (500, 2000), small-host (100, 1000, and 200 first-time recipients)."),
    LIMITS(recipients_per_message, INTEGER, "0", LIVE, 0, 1000000, NULL, "Recipients of one message; 0 takes the preset's figure, as in the next two."),
    LIMITS(messages_per_day, INTEGER, "0", LIVE, 0, 0xffffffff, NULL, "Messages of one account in 24 hours."),
    LIMITS(new_recipients_per_day, INTEGER, "0", LIVE, 0, 0xffffffff, NULL, "Recipients to whom the account never wrote before, in 24 hours."),
    LIMITS(system_messages_per_day, INTEGER, "0", LIVE, 0, 0xffffffff, NULL, "Messages of all accounts together in 24 hours; 0 for no limit."),

    DELIVERY(retry_min, DURATION, "5m", LIVE, MILLISECONDS(10), DAYS(1), NULL, "The wait after the first failed attempt; it doubles with each further one."),
    DELIVERY(retry_max, DURATION, "4h", LIVE, MILLISECONDS(10), DAYS(5), NULL, "The longest wait between two attempts."),
    DELIVERY(delay_warning, DURATION, "4h", LIVE, 0, DAYS(30), NULL, "After this time the sender is told that the message still waits; 0s for never."),
    DELIVERY(expire, DURATION, "5d", LIVE, MILLISECONDS(10), DAYS(60), NULL, "After this time a message is returned to its sender."),
    DELIVERY(expire_bounce, DURATION, "5d", LIVE, MILLISECONDS(10), DAYS(60), NULL, "After this time a bounce is given up."),
    DELIVERY(connect_timeout, DURATION, "30s", LIVE, MILLISECONDS(10), HOURS(1), NULL, "How long a connection may take to be made."),
    DELIVERY(next_address_timeout, DURATION, "10s", LIVE, MILLISECONDS(10), HOURS(1), NULL, "How long a connection may take to be made while another address of the way is still to be tried."),
    DELIVERY(busy_connect_timeout, DURATION, "5s", LIVE, MILLISECONDS(10), HOURS(1), NULL, "How long a connection may take to be made while other sites wait for theirs and a quarter of connections_max is in use."),
    DELIVERY(greeting_timeout, DURATION, "5m", LIVE, MILLISECONDS(10), HOURS(1), NULL, "How long we wait for a greeting."),
    DELIVERY(command_timeout, DURATION, "5m", LIVE, MILLISECONDS(10), HOURS(1), NULL, "How long we wait for the answer to a command."),
    DELIVERY(data_timeout, DURATION, "3m", LIVE, MILLISECONDS(10), HOURS(1), NULL, "How long one block of a message may take to leave."),
    DELIVERY(final_timeout, DURATION, "10m", LIVE, MILLISECONDS(10), HOURS(2), NULL, "How long we wait for the answer to a message's end; RFC 5321 wants 10 minutes, for a hurry here makes duplicates."),
    DELIVERY(program_timeout, DURATION, "5m", LIVE, MILLISECONDS(10), HOURS(2), NULL, "How long a program of a pipe: route may run before it is killed."),
    DELIVERY(idle_time, DURATION, "2s", LIVE, 0, MINUTES(5), NULL, "How long a connection waits for a next message before it is closed."),
    DELIVERY(connections_max, INTEGER, "1000", LIVE, 1, 1000000, NULL, "Outgoing connections at a time."),
    DELIVERY(site_connections_max, INTEGER, "20", LIVE, 1, 100000, NULL, "Outgoing connections to one site, that is one set of MX hosts, at a time."),
    DELIVERY(messages_per_connection, INTEGER, "1000", LIVE, 1, 1000000, NULL, "Messages sent over one connection."),
    DELIVERY(recipients_per_transaction, INTEGER, "100", LIVE, 1, 100000, NULL, "Recipients given to the next hop in one transaction."),
    DELIVERY(hosts_max, INTEGER, "10", LIVE, 1, 100, NULL, "Addresses that one attempt tries."),
    DELIVERY(smtp_port, INTEGER, "25", LIVE, 1, 65535, NULL, "The port of MX hosts; only a test has another one."),
    DELIVERY(tls, ENUM, "may", LIVE, 0, 0, delivery_tls, "Encryption towards MX hosts: may uses what is offered and records what it was worth."),
    DELIVERY(ip, ENUM, "auto", LIVE, 0, 0, ip_wishes, "Which addresses of a host are used: only IPv4 or IPv6, or one before the other; auto as prefer_ipv6 says."),
    DELIVERY(dane, BOOL, "on", LIVE, 0, 0, NULL, "Whether the TLSA records of MX hosts decide about their certificates (RFC 7672); needs dns.trust_anchor_file."),
    DELIVERY(sts, BOOL, "on", LIVE, 0, 0, NULL, "Whether the policies of domains decide about the certificates of their MX hosts (MTA-STS, RFC 8461)."),
    DELIVERY(sts_timeout, DURATION, "20s", LIVE, MILLISECONDS(10), MINUTES(10), NULL, "How long a policy may take to come from its host."),
    DELIVERY(sts_private_addresses, BOOL, "off", LIVE, 0, 0, NULL, "Whether a policy is fetched from a host in a private network or on this machine; strangers say where their policies are."),
    DELIVERY(prefer_ipv6, BOOL, "on", LIVE, 0, 0, NULL, "Whether IPv6 is tried before IPv4 at the same host, where ip is auto."),
    DELIVERY(helo_name, HOSTNAME, "", LIVE, 0, 0, NULL, "The name that we say in EHLO; hostname when not set."),
    DELIVERY(source, ADDRS, "", LIVE, 0, 0, NULL, "Local addresses from which we connect; the system chooses when not set."),
    DELIVERY(rules_file, PATH, "", LIVE, 0, 0, NULL, "Rules of your own for receivers and their replies, see outpost-rules(5); they win over those that we ship."),
    DELIVERY(sources, TEXTS, "", LIVE, 0, 0, NULL, "Source blocks that mail leaves from, one chosen for each message and destination by weight; instead of source and helo_name."),

    DKIM(sign, BOOL, "on", LIVE, 0, 0, NULL, "Whether mail of a domain that has an active key is signed; outpost dkim new makes keys."),
    DKIM(settle, DURATION, "15m", LIVE, 0, DAYS(7), NULL, "How long the record of a new key must have been seen in the DNS before the key signs."),
    DKIM(overlap, DURATION, "7d", LIVE, 0, DAYS(90), NULL, "How long the key of a rotation before stays valid for what it signed; afterwards it is revoked."),
    DKIM(look_every, DURATION, "5m", LIVE, SECONDS(1), DAYS(1), NULL, "How often the DNS is asked for the records of new keys."),

    DKIM(header, ENUM, "relaxed", LIVE, 0, 0, dkim_forms, "How header fields are made canonical before they are signed: relaxed bears other folding on the way, simple bears nothing; auto is relaxed."),
    DKIM(body, ENUM, "relaxed", LIVE, 0, 0, dkim_forms, "The same for the body."),
    DKIM(fields, TEXTS, "", LIVE, 0, 0, NULL, "Names of the header fields that are signed, From among them; the usual ones when not set."),
    DKIM(oversign, TEXTS, "", LIVE, 0, 0, NULL, "Those of the fields that nobody shall add to: each is signed once more than it occurs.  none for none; the usual ones when not set."),
    DKIM(expire, DURATION, "0s", LIVE, 0, DAYS(365), NULL, "How long a signature is valid (x=); 0s for ever.  It must be longer than delivery.expire."),
    DKIM(resolvers, ENDPOINTS, "", LIVE, 0, 0, NULL, "Resolvers, as ADDRESS:PORT, that must see a new record as well before its key signs."),
    DKIM(ask_zone, BOOL, "on", LIVE, 0, 0, NULL, "Whether every server of the zone must see it, too, each asked directly; off where they cannot be reached from here."),
    DKIM(rotate_every, DURATION, "0s", LIVE, 0, DAYS(3650), NULL, "How old the keys of a domain become before they are rotated; 0s for never by itself.  Needs dns_update for its zone."),
    DKIM(seal, BOOL, "on", LIVE, 0, 0, NULL, "Whether mail from other servers that an alias sends on to other places gets an ARC seal (RFC 8617), with the RSA key of the alias's domain."),
    DKIM_POLICY(header, ENUM, "auto", LIVE, 0, 0, dkim_forms, "How header fields are made canonical; auto is as in dkim."),
    DKIM_POLICY(body, ENUM, "auto", LIVE, 0, 0, dkim_forms, "The same for the body."),
    DKIM_POLICY(fields, TEXTS, "", LIVE, 0, 0, NULL, "Names of the header fields that are signed, From among them."),
    DKIM_POLICY(oversign, TEXTS, "", LIVE, 0, 0, NULL, "Those of the fields that nobody shall add to; none for none."),
    DKIM_POLICY(expire, DURATION, "0s", LIVE, 0, DAYS(365), NULL, "How long a signature is valid (x=); 0s as in dkim."),

    DNS_UPDATE(server, ENDPOINTS, "", LIVE, 0, 0, NULL, "ADDRESS:PORT of the zone's primary server."),
    DNS_UPDATE(key_name, HOSTNAME, "", LIVE, 0, 0, NULL, "The name by which the server knows the key."),
    DNS_UPDATE(key_file, PATH, "", LIVE, 0, 0, NULL, "The file, readable by the server's user alone (0600), whose first line is the key in base64.  A folder where no other file of the configuration lies is opened to the server by a restart only."),
    DNS_UPDATE(ttl, DURATION, "5m", LIVE, SECONDS(1), DAYS(7), NULL, "The TTL of records that we write."),

    TLS_REPORTS(send, BOOL, "on", LIVE, 0, 0, NULL, "Whether reports are counted and sent.  Those by mail need a DKIM key for the domain of from."),
    TLS_REPORTS(from, ADDRESS, "", LIVE, 0, 0, NULL, "The sender of reports by mail; tlsrpt at the domain of hostname that a DKIM key signs for when not set."),
    TLS_REPORTS(organization, TEXT, "", LIVE, 0, 0, NULL, "Who reports; hostname when not set."),
    TLS_REPORTS(contact, TEXT, "", LIVE, 0, 0, NULL, "Where to ask about a report; postmaster at the domain of from when not set."),
    TLS_REPORTS(delay, DURATION, "4h", LIVE, 0, HOURS(20), NULL, "Reports leave up to so long after the end of the day, each server at another time."),
    TLS_REPORTS(period, DURATION, "1d", RESTART, SECONDS(5), DAYS(1), NULL, "What a report covers, which RFC 8460 wants to be a day of UTC; only a test has another one."),
    TLS_REPORTS(private_addresses, BOOL, "off", LIVE, 0, 0, NULL, "Whether a report is posted to a web server at an address of a private network or of this machine; strangers say where reports go."),

    SUPPRESSION(learn, BOOL, "on", LIVE, 0, 0, NULL, "Whether entries are made by themselves: of mailboxes that are dead, by what receivers answer to bulk mail and notices, and of complaints."),
    SUPPRESSION(for_all, BOOL, "off", LIVE, 0, 0, NULL, "Whether a dead mailbox is entered for everybody, not only for the account or sender whose mail was refused."),
    SUPPRESSION(bounces, INTEGER, "1", LIVE, 1, 100, NULL, "Refusals of an address until the entry is in force."),
    SUPPRESSION(bounce_expire, DURATION, "90d", LIVE, HOURS(1), DAYS(3650), NULL, "How long a dead mailbox stays entered; twice as long each time that it is dead still."),
    SUPPRESSION(bounce_expire_max, DURATION, "720d", LIVE, HOURS(1), DAYS(3650), NULL, "The longest of these times."),
    SUPPRESSION(complaint_expire, DURATION, "0s", LIVE, 0, DAYS(3650), NULL, "How long who complained stays entered; 0s for ever."),

    LIST(sender, DOMAINS, "", LIVE, 0, 0, NULL, "Sender addresses, or their domains, of the envelope whose mail this is."),
    LIST(account, DOMAINS, "", LIVE, 0, 0, NULL, "Accounts, or their domains, whose mail this is, whatever the sender."),
    LIST(unsubscribe_url, TEXT, "", LIVE, 0, 0, NULL, "An https URL; a token follows it in List-Unsubscribe (RFC 8058)."),
    LIST(unsubscribe_to, ADDRESS, "", LIVE, 0, 0, NULL, "An address of a domain of ours: mail to it with a token unsubscribes."),
    LIST(list_id, TEXT, "", LIVE, 0, 0, NULL, "What List-Id names, such as weekly.example.org; none is added when not set."),
    LIST(one_recipient, BOOL, "off", LIVE, 0, 0, NULL, "Whether a message may have one recipient only, so that each gets its own link: further ones are put off with 452, and clients send these again."),

    DNS(forwarders, ENDPOINTS, "", RESTART, 0, 0, NULL, "Resolvers to ask, as ADDRESS:PORT; without them the roots are asked."),
    DNS(stub, STUBS, "", RESTART, 0, 0, NULL, "ZONE ADDRESS:PORT: a zone that is asked at a server of its own."),
    DNS(trust_anchor_file, PATH, "", RESTART, 0, 0, NULL, "File with the root's key for DNSSEC; nothing is validated without one."),
    DNS(trust_anchor, TEXTS, "", RESTART, 0, 0, NULL, "A DS or DNSKEY record, quoted, that is believed as well."),
    DNS(hosts_file, PATH, "", RESTART, 0, 0, NULL, "A file like /etc/hosts that is believed before the DNS."),
    DNS(timeout, DURATION, "30s", LIVE, MILLISECONDS(10), MINUTES(10), NULL, "How long one question may take."),

    BOUNCES(return_path, ENUM, "off", LIVE, 0, 0, return_paths, "The sender under which mail of logins, trusted networks and this machine leaves: its own (off), or an address that names the message, so that late bounces and complaints are tied to it: at bounces.domain (domain), or at the sender's own domain where it is ours (sender).  The MX of that domain must lead here, and its SPF record must allow this server."),
    BOUNCES(domain, HOSTNAME, "", LIVE, 0, 0, NULL, "A domain for such senders alone, such as bounces.example.org; below the domain of From, DMARC takes it as aligned."),
    BOUNCES(keep, DURATION, "14d", LIVE, HOURS(1), DAYS(3650), NULL, "How long after its message was taken in such an address is still mailed to; not longer than events.retention."),
    BOUNCES(forward, BOOL, "on", LIVE, 0, 0, NULL, "Whether a report that was understood goes on to the original sender, too; all else that comes to such an address always does."),
    BOUNCES(complaints_to, ADDRESS, "", LIVE, 0, 0, NULL, "The address to which feedback loops send complaints (ARF); where it is a mailbox here they are put there as well."),
    BOUNCES(srs_domain, HOSTNAME, "", LIVE, 0, 0, NULL, "The domain of senders (SRS) of mail that an alias sends on to other places, so that its SPF record holds; its MX must lead here.  Senders stay as they are when not set."),

    STORE(segment_size, BYTES, "64M", RESTART, 1048576, 1ULL << 32, NULL, "Bytes of one segment of the spool."),
    STORE(body_file_over, BYTES, "1M", RESTART, 4096, 1ULL << 32, NULL, "Messages above this size get a file of their own in the spool."),
    STORE(free_space_min, BYTES, "256M", RESTART, 0, 1ULL << 50, NULL, "Free disk space below which new mail is put off."),
    STORE(queue_max, INTEGER, "10000000", LIVE, 1000, 0xffffffff, NULL, "Waiting recipients above which new mail is put off."),

    ROW(EVENTS, events, retention, DURATION, "30d", LIVE, HOURS(1), DAYS(3650), NULL, "How long the record is kept."),

    POP3(idle_timeout, DURATION, "10m", LIVE, MILLISECONDS(10), DAYS(1), NULL, "How long we wait for the next command; RFC 1939 wants 10 minutes."),
    POP3(command_line_max, INTEGER, "512", LIVE, 255, 16384, NULL, "Bytes of a command line; logins may be as long as smtp.auth_line_max."),
    POP3(commands_max, INTEGER, "1000000", LIVE, 100, 0xffffffff, NULL, "Commands in one session."),
    POP3(errors_max, INTEGER, "20", LIVE, 1, 100000, NULL, "Refused commands after which a session is ended."),
    POP3(auth_failures_max, INTEGER, "3", LIVE, 1, 100, NULL, "Failed logins after which a session is ended."),

    ROW(LOG, log, level, ENUM, "info", LIVE, 0, 0, log_levels, "The least important kind of line that is still written."),
};
/* clang-format on */

const size_t option_count = COUNT_OF(options);

const struct section *
section_find(str name)
{
    for (size_t i = 0; i < SECTION_COUNT; i++) {
        if (str_eq(name, str_from(sections[i].name)))
            return &sections[i];
    }
    return NULL;
}

const struct option *
option_find(enum section_id section, str name)
{
    for (size_t i = 0; i < option_count; i++) {
        if (options[i].section == section && str_eq(name, str_from(options[i].name)))
            return &options[i];
    }
    return NULL;
}

const struct option *
option_find_key(str key)
{
    const struct section *section;
    str head, name;

    if (!str_split(key, '.', &head, &name))
        return NULL;
    section = section_find(head);
    return section ? option_find(section_id(section), name) : NULL;
}

bool
option_is_list(const struct option *option)
{
    return option->type >= OPTION_TEXTS;
}

const char *
option_type_text(const struct option *option)
{
    /* clang-format off */
    static const char *const texts[] = {
        [OPTION_BOOL] = "on or off", [OPTION_INTEGER] = "number",
        [OPTION_BYTES] = "bytes, such as 64K or 25M",
        [OPTION_DURATION] = "duration, such as 30s, 5m, 4h or 5d", [OPTION_TEXT] = "text",
        [OPTION_HOSTNAME] = "host name", [OPTION_PATH] = "path", [OPTION_ADDRESS] = "mail address",
        [OPTION_ENUM] = "word", [OPTION_URL] = "URL of a next hop", [OPTION_TEXTS] = "list of texts",
        [OPTION_DOMAINS] = "list of domains", [OPTION_NETWORKS] = "list of networks, such as 10.0.0.0/8",
        [OPTION_ENDPOINTS] = "list of ADDRESS:PORT", [OPTION_ADDRS] = "list of IP addresses",
        [OPTION_STUBS] = "zone and ADDRESS:PORT",
    };
    /* clang-format on */

    return texts[option->type];
}

const char *
option_reload_text(const struct option *option)
{
    return option->reload == RELOAD_LIVE ? "at reload" : "at restart";
}

const char *
section_nearest(str word)
{
    struct nearest nearest;

    nearest_init(&nearest, word);
    for (size_t i = 0; i < SECTION_COUNT; i++)
        nearest_offer(&nearest, sections[i].name);
    return nearest.best;
}

const char *
option_nearest(enum section_id section, str word)
{
    struct nearest nearest;

    nearest_init(&nearest, word);
    for (size_t i = 0; i < option_count; i++) {
        if (options[i].section == section)
            nearest_offer(&nearest, options[i].name);
    }
    return nearest.best;
}

const struct section *
section_with_option(str name)
{
    for (size_t i = 0; i < option_count; i++) {
        if (str_eq(name, str_from(options[i].name)))
            return &sections[options[i].section];
    }
    return NULL;
}
