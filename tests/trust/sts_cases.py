# SPDX-License-Identifier: AGPL-3.0-or-later
"""sts_cases: MTA-STS (RFC 8461) and DANE (RFC 7672) towards real Postfix receivers, with policies from a real HTTPS
host and zones of Knot, one of them signed, in each of their failure cases."""
import contextlib
import smtplib
import time

from harness import Outpost, Sink, free_port, wait_for
from parts import Certificates, Knot, SHAPES, SignedZone
from receivers import Page, PolicyHost, Postfix, issue

BINARY = None
OPEN, SIGNED, BOGUS = "open.example", "safe.example", "bogus.example"
WEB = "127.0.10.100"
# What each face of Postfix shows, and at which address.
FACES = {"good": "127.0.10.1", "expired": "127.0.10.2", "selfsigned": "127.0.10.3", "wrongname": "127.0.10.4",
         "clear": "127.0.10.5", "spare": "127.0.10.6", "common": "127.0.10.8"}


def policy(*hosts, mode="enforce", max_age=86400):
    return "".join(["version: STSv1\n", f"mode: {mode}\n", *(f"mx: {host}\n" for host in hosts), f"max_age: {max_age}\n"])


class World:
    """Two zones, Postfix with six faces, a policy host, and us."""

    def __init__(self, open_records="", signed_records=lambda world: ""):
        with contextlib.ExitStack() as stack:
            self.certificates = stack.enter_context(contextlib.closing(Certificates()))
            for face in ("good", "spare", "expired"):
                issue(self.certificates, face, f"{face}.{OPEN}", f"{face}.{SIGNED}", f"h-anchor.{SIGNED}", expired=face == "expired")
            # DANE-TA wants the authority in the handshake.
            with open(self.certificates.path("good.pem"), "a") as chain, open(self.certificates.path("ca.pem")) as ca:
                chain.write(ca.read())
            issue(self.certificates, "selfsigned", f"selfsigned.{OPEN}", f"selfsigned.{SIGNED}", by_ca=False)
            issue(self.certificates, "common", f"common.{OPEN}", only_common=True)
            issue(self.certificates, "wrongname", "somebody.else.example")
            issue(self.certificates, "web", f"mta-sts.{OPEN}", f"*.{OPEN}", *(f"mta-sts.{name}.{zone}" for name in NAMES for zone in (OPEN, SIGNED)))
            issue(self.certificates, "webself", *(f"mta-sts.{name}.{OPEN}" for name in NAMES), by_ca=False)
            self.port = free_port()
            self.postfix = stack.enter_context(contextlib.closing(Postfix(
                self.certificates, self.port, {address: None if face == "clear" else face for face, address in FACES.items()})))
            self.web = stack.enter_context(contextlib.closing(PolicyHost(self.certificates, WEB)))
            hosts = "".join(f"{face} A {address}\n" for face, address in FACES.items())
            self.zone = stack.enter_context(contextlib.closing(Knot(OPEN, hosts + open_records)))
            self.signed = stack.enter_context(contextlib.closing(SignedZone(SIGNED, hosts + signed_records(self))))
            self.bogus = stack.enter_context(contextlib.closing(SignedZone(BOGUS, "d MX 10 good\ngood A 127.0.10.1\n")))
            lie = self.bogus.anchor[:-8] + ("00000000" if not self.bogus.anchor.endswith("00000000") else "11111111")
            self.server = stack.enter_context(contextlib.closing(Outpost(BINARY, setup=["--trust", "127.0.0.0/8"])))
            self.server.append_config(
                f'dns {{ stub "{OPEN}" 127.0.0.1:{self.zone.port}; stub "{BOGUS}" 127.0.0.1:{self.bogus.port}; trust_anchor "{lie}"; stub "{SIGNED}" 127.0.0.1:{self.signed.port};'
                f' trust_anchor "{self.signed.anchor}"; timeout 5s; }}\n'
                f'tls {{ ca_file "{self.certificates.path("ca.pem")}"; }}\n'
                f"delivery {{ smtp_port {self.port}; sts_timeout 2s; sts_private_addresses on; retry_min 1s; retry_max 2s; }}")
            self.server.start()
            self.stack = stack.pop_all()

    def close(self):
        self.stack.close()

    def send_to(self, name, zone=OPEN, who="b"):
        with smtplib.SMTP("127.0.0.1", self.server.ports["smtp"], timeout=60) as client:
            client.sendmail("ann@here.example", [f"{who}@{name}.{zone}"], SHAPES["plain"])

    def event_of(self, address):
        rows = self.server.rows("trace", "search", address)
        return next((row for row in rows if row["kind"] in ("delivered", "deferred", "bounced")), None)

    def expect(self, name, verify, words, zone=OPEN, who="b"):
        """What came of the mail: VERIFY, or None for put off; WORDS stand in what the event says."""
        address = f"{who}@{name}.{zone}"
        event = wait_for(lambda: self.event_of(address), 60, f"an attempt at {address}", 0.3)
        said = f"{event.get('tls_verify')} {event.get('tls_why')} {event.get('text')} {event.get('text_raw')}"
        assert event["kind"] == ("delivered" if verify else "deferred"), f"{name}: {event}"
        if verify:
            assert event["tls_verify"] == verify, f"{name}: {event}"
            wait_for(lambda: self.postfix.has(address), 60, f"the mail to {address} behind Postfix", 0.3)
        else:
            assert event["enhanced"].startswith("4.7."), f"{name}: {event}"
            assert not self.postfix.has(address), f"{name}: mail went to a host that proved too little"
        assert words in said, f"{name}: {words!r} is not in {event}"


def domain(name, *faces, record='"v=STSv1; id=1;"', zone=OPEN):
    """The records of a domain with a policy."""
    text = "".join(f"{name} MX {10 * (i + 1)} {face}\n" for i, face in enumerate(faces))
    text += "".join(f"_mta-sts.{name} TXT {one}\n" for one in ([record] if isinstance(record, str) else record))
    return text + f"mta-sts.{name} A {WEB}\n"


GOOD = f"good.{OPEN}"
# domain, faces of its hosts, its page; how its mail is verified (None: put off), words of the event
STS = [
    ("fine", ["good"], Page(policy(GOOD)), "sts", "enforce"),
    ("wild", ["good"], Page(policy(f"*.{OPEN}")), "sts", "enforce"),
    ("expired", ["expired"], Page(policy(f"*.{OPEN}")), None, "expired"),
    ("selfsigned", ["selfsigned"], Page(policy(f"*.{OPEN}")), None, "self-signed"),
    ("wrongname", ["wrongname"], Page(policy(f"*.{OPEN}")), None, "mismatch"),
    ("common", ["common"], Page(policy(f"*.{OPEN}")), None, "mismatch"),
    ("clear", ["clear"], Page(policy(f"*.{OPEN}")), None, "STARTTLS"),
    ("unnamed", ["good"], Page(policy("mx.elsewhere.example")), None, "does not name"),
    ("deepwild", ["good"], Page(policy("*.example")), None, "does not name"),
    ("nexthost", ["expired", "clear", "good"], Page(policy(f"*.{OPEN}")), "sts", "enforce"),
    ("nextname", ["selfsigned", "spare"], Page(policy(f"spare.{OPEN}")), "sts", "enforce"),
    ("testing", ["selfsigned"], Page(policy(f"*.{OPEN}", mode="testing")), "opportunistic", "self-signed"),
    ("testclear", ["clear"], Page(policy(f"*.{OPEN}", mode="testing")), "none", ""),
    ("testname", ["good"], Page(policy("mx.elsewhere.example", mode="testing")), "sts", "does not name"),
    ("none", ["clear"], Page(policy(mode="none")), "none", ""),
    ("badweb", ["selfsigned"], Page(policy(GOOD), shows="webself"), "opportunistic", "policy host"),
    ("redirect", ["selfsigned"], Page("", "301 Moved", more=f"Location: https://mta-sts.fine.{OPEN}/.well-known/mta-sts.txt\r\n"),
     "opportunistic", "redirect"),
    ("missing", ["selfsigned"], Page("no", "404 Not Found"), "opportunistic", "404"),
    ("large", ["selfsigned"], Page(policy(GOOD) + "x: y\n" * 14000), "opportunistic", "64 KiB"),
    ("syntax", ["selfsigned"], Page("version: STSv1\nmode: always\n"), "opportunistic", "line 2"),
    ("html", ["selfsigned"], Page(policy(GOOD), content_type="text/html"), "opportunistic", "text/plain"),
    ("twice", ["selfsigned"], Page(policy(GOOD)), "opportunistic", ""),
    ("slow", ["selfsigned"], Page(policy(GOOD), slow=4), "opportunistic", "in time"),
]
MORE = ["turn", "brief", "both", "bothwrong", "bothunusable"]
NAMES = [row[0] for row in STS] + MORE


def policies_decide_about_certificates():
    records = "".join(domain(name, *faces, record=['"v=STSv1; id=1;"', '"v=STSv1; id=2;"'] if name == "twice" else '"v=STSv1; id=1;"')
                      for name, faces, *_ in STS)
    world = World(records)
    try:
        for name, _, page, *_ in STS:
            world.web.pages[f"mta-sts.{name}.{OPEN}"] = page
        for name, *_ in STS:
            world.send_to(name)
        for name, _, _, verify, words in STS:
            world.expect(name, verify, words)
        asked = [host for host, target in world.web.visits if target == "/.well-known/mta-sts.txt"]
        assert f"mta-sts.twice.{OPEN}" not in asked, "a domain with two records was asked for its policy"
        # A second message finds the policy in memory, and the failure is remembered.
        before = len(world.web.visits)
        world.send_to("fine", who="c")
        world.send_to("missing", who="c")
        world.expect("fine", "sts", "enforce", who="c")
        world.expect("missing", "opportunistic", "404", who="c")
        assert len(world.web.visits) == before, world.web.visits[before:]
        why = world.server.run("queue", "why", f"to:b@expired.{OPEN}").stdout
        assert "certificate has expired" in why and "the MTA-STS policy of" in why, why
        # What is known of the policies, for operators.
        rows = {row["domain"]: row for row in world.server.rows("tls", "list")}
        fine = rows[f"fine.{OPEN}"]
        assert fine["mode"] == "enforce" and fine["mx"] == [GOOD] and fine["policy_id"] == "1" and "failure" not in fine, fine
        for name, failure in (("badweb", "sts-webpki-invalid"), ("missing", "sts-policy-fetch-error"), ("syntax", "sts-policy-invalid")):
            assert rows[f"{name}.{OPEN}"]["failure"] == failure, rows[f"{name}.{OPEN}"]
        assert f"twice.{OPEN}" not in rows
        assert "redirect" in world.server.rows("tls", "show", f"redirect.{OPEN}")[0]["text"]
        world.server.run("tls", "forget", f"fine.{OPEN}")
        assert world.server.run("tls", "show", f"fine.{OPEN}", check=False).returncode != 0
        world.send_to("fine", who="d")
        world.expect("fine", "sts", "enforce", who="d")
        assert len(world.web.visits) == before + 1
    finally:
        world.close()


def kept_connections_prove_enough():
    world = World(domain("fine", "good") + domain("testing", "good") + "loose MX 10 good\nother MX 10 good\n"
                  + domain("turn", "grey") + "grey A 127.0.10.7\n")
    issue(world.certificates, "grey", f"grey.{OPEN}")
    grey = Sink("127.0.10.7", world.port, tls=world.certificates.context("grey"),
                decide=lambda stage, text: "451 4.7.1 Greylisted, come back later" if stage == "rcpt" else None)
    world.web.pages[f"mta-sts.turn.{OPEN}"] = Page(policy(f"*.{OPEN}"))
    for name, mode in (("fine", "enforce"), ("testing", "testing")):
        world.web.pages[f"mta-sts.{name}.{OPEN}"] = Page(policy(f"*.{OPEN}", mode=mode))
    verified = {"fine": "sts", "testing": "sts", "loose": "pkix", "other": "pkix"}
    names = [name for _ in range(6) for name in verified]
    try:
        for n, name in enumerate(names):
            world.send_to(name, who=f"k{n}")
        for n, name in enumerate(names):
            world.expect(name, verified[name], "enforce" if name == "fine" else "", who=f"k{n}")
        # Mail that waits says how its last connection was secured, and why so.
        world.send_to("turn")
        event = wait_for(lambda: world.event_of(f"b@turn.{OPEN}"), 40, "an attempt at the grey host", 0.3)
        assert event["kind"] == "deferred" and event["tls_verify"] == "sts" and event["tls_version"].startswith("TLS"), event
        why = " ".join(world.server.run("queue", "why", f"to:b@turn.{OPEN}").stdout.split())
        assert f"to grey.{OPEN}, had {event['tls_version']} with {event['tls_cipher']}, verified: sts (the MTA-STS policy" in why, why
        wide = world.server.run("trace", "search", f"b@turn.{OPEN}", "-o", "wide").stdout
        assert event["tls_cipher"] in wide and "VERIFIED" in wide, wide
    finally:
        grey.close()
        world.close()


def policies_come_and_go():
    world = World(domain("turn", "good") + domain("brief", "selfsigned"))
    turn, brief = f"mta-sts.turn.{OPEN}", f"mta-sts.brief.{OPEN}"
    try:
        # Another id brings another policy, even to mail that waits already.
        world.web.pages[turn] = Page(policy("mx.elsewhere.example"))
        world.send_to("turn")
        world.expect("turn", None, "does not name")
        world.web.pages[turn] = Page(policy(GOOD))
        time.sleep(3)
        assert not world.postfix.has(f"b@turn.{OPEN}"), "the policy changed without its id"
        world.zone.publish(f"_mta-sts.turn.{OPEN}", "v=STSv1; id=2;")
        wait_for(lambda: world.postfix.has(f"b@turn.{OPEN}"), 60, "the mail under the second policy", 0.3)
        # A policy that is valid outlives its host, its record and a restart, and ends at its time.
        world.web.pages[brief] = Page(policy(f"*.{OPEN}", max_age=45))
        began = time.monotonic()
        world.send_to("brief")
        world.expect("brief", None, "self-signed")
        world.web.pages[brief] = Page("gone", "503 Gone")
        world.zone.publish(f"_mta-sts.brief.{OPEN}", "v=STSv1; id=2;")
        world.server.stop()
        world.server.start()
        world.send_to("brief", who="c")
        world.expect("brief", None, "self-signed", who="c")
        world.zone.withdraw(f"_mta-sts.brief.{OPEN}")
        world.send_to("brief", who="d")
        world.expect("brief", None, "self-signed", who="d")
        assert time.monotonic() - began < 44, "this machine was too slow for the case"
        wait_for(lambda: world.postfix.has(f"d@brief.{OPEN}"), 90, "the mail after the end of the policy", 0.3)
        assert time.monotonic() - began > 44, "mail went to an unproven host while the policy was valid"
    finally:
        world.close()


def rules_of_operators_go_before_both():
    world = World("".join(f"{name} MX 10 {face}\n" for name, face in (
        ("verify", "selfsigned"), ("verified", "good"), ("require", "clear"), ("broken", "selfsigned"))) + domain("fine", "expired"))
    world.web.pages[f"mta-sts.fine.{OPEN}"] = Page(policy(f"*.{OPEN}"))

    def add(level, name):
        return world.server.run("rule", "add", "tls", f"domain:{name}.{OPEN}", "--level", level, "--reason", f"agreed on {level}")
    try:
        for level, name in (("verify", "verify"), ("verify", "verified"), ("require", "require"), ("plain", "broken"), ("plain", "fine")):
            add(level, name)
        refused = world.server.run("rule", "add", "tls", "sender:@here.example", "--level", "plain", "--reason", "x", check=False)
        assert refused.returncode != 0 and "connection" in refused.stderr, refused
        for name in ("verify", "verified", "require", "broken", "fine"):
            world.send_to(name)
        world.expect("verify", None, "self-signed")
        world.expect("verified", "rule", "agreed on verify")
        world.expect("require", None, "STARTTLS")
        world.expect("broken", "none", "agreed on plain")
        world.expect("fine", "none", "agreed on plain")  # Its policy says enforce, and its certificate has expired.
        rows = world.server.rows("rule", "list")
        assert {row.get("level") for row in rows} == {"verify", "require", "plain"} and all(row["reason"] for row in rows), rows
        # Without the rule the mail goes.
        number = next(row["id"] for row in rows if row.get("domain") == f"verify.{OPEN}")
        world.server.run("rule", "rm", str(number))
        wait_for(lambda: world.postfix.has(f"b@verify.{OPEN}"), 60, "the mail after the end of the rule", 0.3)
    finally:
        world.close()


def dane_goes_first():
    wrong = "00" * 32

    def records(world):
        own = {face: world.certificates.key_digest(face) for face in FACES if face != "clear"}
        ca = world.certificates.certificate_digest("ca")
        text = ""
        for name, face, tlsa in (("own", "selfsigned", f"3 1 1 {own['selfsigned']}"), ("old", "expired", f"3 1 1 {own['expired']}"),
                                 ("other", "wrongname", f"3 1 1 {own['wrongname']}"), ("mis", "good", f"3 1 1 {wrong}"),
                                 ("plain", "clear", f"3 1 1 {wrong}"), ("anchor", "good", f"2 0 1 {ca}"),
                                 ("anchorname", "wrongname", f"2 0 1 {ca}"), ("unusable", "selfsigned", f"1 1 1 {wrong}")):
            text += f"h-{name} A {FACES[face]}\n_{world.port}._tcp.h-{name} TLSA {tlsa}\n{name} MX 10 h-{name}\n"
        text += f"_{world.port}._tcp.selfsigned TLSA 3 1 1 {own['selfsigned']}\n_{world.port}._tcp.good TLSA 3 1 1 {wrong}\n"
        text += f"_{world.port}._tcp.spare TLSA 1 1 1 {wrong}\n"
        text += domain("both", "selfsigned") + domain("bothwrong", "good") + domain("bothunusable", "spare")
        return text
    world = World("", records)
    try:
        for name in ("both", "bothwrong", "bothunusable"):
            world.web.pages[f"mta-sts.{name}.{SIGNED}"] = Page(policy(f"*.{SIGNED}"))
        table = [("own", "dane", ""), ("old", "dane", ""), ("other", "dane", ""), ("mis", None, ""), ("plain", None, "STARTTLS"),
                 ("anchor", "dane", "TLSA"), ("anchorname", None, ""), ("unusable", "opportunistic", "none of them can be used"),
                 # A certificate that no root vouches for but the records name: MTA-STS does not take that away, ...
                 ("both", "dane", "TLSA"),
                 # ... and does not heal what fails by DANE; where the records cannot be used, it has its say.
                 ("bothwrong", None, ""), ("bothunusable", "sts", "enforce")]
        for name, *_ in table:
            world.send_to(name, SIGNED)
        for name, verify, words in table:
            world.expect(name, verify, words, SIGNED)
        # Answers that fail their DNSSEC check are no answers.
        world.send_to("d", BOGUS)
        world.expect("d", None, "DNSSEC", BOGUS)
    finally:
        world.close()


def run(cases, binary):
    global BINARY
    BINARY = binary
    cases.run("MTA-STS policies decide about certificates", policies_decide_about_certificates)
    cases.run("a kept connection proves enough for the next domain", kept_connections_prove_enough)
    cases.run("MTA-STS policies come and go", policies_come_and_go)
    cases.run("DANE goes before MTA-STS", dane_goes_first)
    cases.run("an operator's TLS rule goes before both", rules_of_operators_go_before_both)
