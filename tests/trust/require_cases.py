# SPDX-License-Identifier: AGPL-3.0-or-later
"""require_cases: REQUIRETLS and TLS-Required (RFC 8689) from the first client to the last hop, beside a signed
zone: a second Outpost that promises the same, and hosts that do not."""
import contextlib
import json
import smtplib
import ssl
import subprocess

from harness import Outpost, Sink, free_port, wait_for
from parts import Certificates, Knot, SignedZone
from receivers import Page, PolicyHost, Postfix, issue

BINARY = None
TEXT = b"From: Ann <ann@a.far.example>\r\nTo: bob@far.example\r\nSubject: hello\r\n%s\r\nThe secret itself.\r\n"
OFFERS = ("PIPELINING", "8BITMIME", "SIZE 99999999", "REQUIRETLS")


class Place:
    """Two servers and some sinks, with their names in a zone that is signed and in one that is not."""

    def __init__(self):
        self.port = port = free_port("127.0.11.1")
        self.certificates = certificates = Certificates()
        self.near = Outpost(BINARY, "ann@a.far.example", ["--hostname", "host-a.far.example"], name="near")
        self.far = Outpost(BINARY, "bob@b.far.example", ["--hostname", "host-b.far.example"], name="far")
        self.far.run("alias", "add", "on@b.far.example", "x@clear.far.example")
        own, wrong = certificates.key_digest("own"), "00" * 32
        self.sinks = {
            "offers": Sink("127.0.11.3", port, tls=certificates.context("own"), capabilities=OFFERS),
            "silent": Sink("127.0.11.4", port, tls=certificates.context("own")),
            "clear": Sink("127.0.11.5", port),
            "wrong": Sink("127.0.11.6", port, tls=certificates.context("own"), capabilities=OFFERS),
            "unverified": Sink("127.0.11.7", port, tls=certificates.context("own"), capabilities=OFFERS),
        }
        records = f"a MX 10 host-a\nb MX 10 host-b\nhost-a A 127.0.11.1\nhost-b A 127.0.11.2\n"
        for name, server in (("host-a", self.near), ("host-b", self.far)):
            rows = server.rows("dns", "records", server.address.split("@")[1], "--no-dns")
            tlsa = next(row["value"] for row in rows if row["type"] == "TLSA")
            records += f"_{port}._tcp.{name} TLSA {tlsa}\n"
        for name, sink in self.sinks.items():
            digest = wrong if name == "wrong" else own
            records += f"{name} MX 10 host-{name}\nhost-{name} A {sink.host}\n"
            records += f"_{port}._tcp.host-{name} TLSA 3 1 1 {digest}\n" if name not in ("clear", "unverified") else ""
        records += "second MX 10 host-silent\nsecond MX 20 host-offers\n"
        records += "later MX 10 host-silent\nlater MX 20 host-down\nhost-down A 127.0.11.9\n"
        self.zone = SignedZone("far.example", records)
        for server, last in ((self.near, 1), (self.far, 2)):
            server.append_config(
                f'dns {{ stub "far.example" 127.0.0.1:{self.zone.port}; trust_anchor "{self.zone.anchor}"; timeout 5s; }}\n'
                f"delivery {{ smtp_port {port}; sts_private_addresses on; }}\nlisten mx {{ kind smtp; address 127.0.11.{last}:{port}; }}\n")
            server.start()

    def send(self, recipient, option=True, field=b""):
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with smtplib.SMTP_SSL("127.0.0.1", self.near.ports["submissions"], timeout=60, context=context) as client:
            client.ehlo("client.example")
            assert client.has_extn("requiretls")
            client.login("ann@a.far.example", "correct horse battery")
            client.sendmail("ann@a.far.example", [recipient], TEXT % field, ["REQUIRETLS"] if option else [])

    def outcome(self, recipient, server=None):
        def look():
            rows = (server or self.near).rows("trace", "search", recipient)
            return next((row for row in rows if row["kind"] in ("delivered", "deferred", "bounced")), None)
        return wait_for(look, 40, f"what came of {recipient}", 0.3)

    def returned(self):
        """The reports that ann has got."""
        import poplib
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        box = poplib.POP3_SSL("127.0.0.1", self.near.ports["pop3s"], context=context, timeout=30)
        box.user("ann@a.far.example")
        box.pass_("correct horse battery")
        texts = [b"\n".join(box.retr(i + 1)[1]).decode("utf-8", "replace") for i in range(len(box.list()[1]))]
        box.quit()
        return texts

    def close(self):
        for part in [self.near, self.far, self.zone, self.certificates, *self.sinks.values()]:
            part.close()


def verify_of(event):
    return event["tls"]["verify"] if "tls" in event else event["tls_verify"]


def it_goes_on_only_to_who_promises_the_same():
    place = Place()
    try:
        place.send("bob@b.far.example")
        event = place.outcome("bob@b.far.example")
        assert event["kind"] == "delivered" and verify_of(event) == "dane", event
        assert "on the whole way" in str(event), event
        accepted = wait_for(lambda: [row for row in place.far.rows("trace", "search", "bob@b.far.example")
                                     if row["kind"] == "accepted"], 20, "the second server's acceptance")
        assert "REQUIRETLS" in str(accepted), accepted

        place.send("x@offers.far.example")
        assert place.outcome("x@offers.far.example")["kind"] == "delivered"
        assert " REQUIRETLS" in place.sinks["offers"].messages[0].sender, place.sinks["offers"].messages
        for name, code in (("silent", "5.7.30"), ("clear", "5.7.10"), ("wrong", "5.7.10"), ("unverified", "5.7.10")):
            place.send(f"x@{name}.far.example")
            event = place.outcome(f"x@{name}.far.example")
            assert event["kind"] == "bounced" and event["enhanced"] == code, f"{name}: {event}"
            assert not place.sinks[name].messages, name
        place.send("x@second.far.example")
        assert place.outcome("x@second.far.example")["kind"] == "delivered"
        assert len(place.sinks["offers"].messages) == 2 and not place.sinks["silent"].messages
        # A host that is down may do it tomorrow.
        place.send("x@later.far.example")
        assert place.outcome("x@later.far.example")["kind"] == "deferred"
        reports = wait_for(lambda: [t for t in place.returned()] if len(place.returned()) >= 4 else None, 30, "four reports", 1)
        for report in reports:
            assert "Subject: hello" in report and "The secret itself" not in report, report
        assert any("does not offer REQUIRETLS" in report for report in reports), reports
        # A program of this machine may demand it as well.
        done = subprocess.run(["sendmail", "-C", place.near.config, "-O", "RequireTLS=true", "-f", "ann@a.far.example", "z@silent.far.example"],
                              executable=place.near.binary, input=TEXT % b"", capture_output=True, timeout=30)
        assert done.returncode == 0, done.stderr
        event = place.outcome("z@silent.far.example")
        assert event["kind"] == "bounced" and event["enhanced"] == "5.7.30", event
        # The same hosts are not to blame, and take what demands nothing.
        place.send("y@silent.far.example", option=False)
        assert place.outcome("y@silent.far.example")["kind"] == "delivered"
        assert "REQUIRETLS" not in place.sinks["silent"].messages[0].sender
    finally:
        place.close()


def an_alias_carries_it_and_the_report_comes_back_encrypted():
    place = Place()
    try:
        place.send("on@b.far.example")
        event = place.outcome("x@clear.far.example", place.far)
        assert event["kind"] == "bounced" and event["enhanced"] == "5.7.10", event
        report = wait_for(place.returned, 30, "the report of the second server", 1)[0]
        assert "Received: from host-b.far.example" in report and "with ESMTPS" in report and "tls TLS_" in report, report
        assert "The secret itself" not in report, report
        accepted = [row for row in place.near.rows("trace", "search", "ann@a.far.example") if row["kind"] == "accepted"]
        assert any("REQUIRETLS" in str(row) and not row.get("sender") for row in accepted), accepted
    finally:
        place.close()


def a_message_that_does_not_care_ignores_the_domain():
    place = Place()
    try:
        place.send("x@wrong.far.example", option=False)
        assert place.outcome("x@wrong.far.example")["kind"] == "deferred"
        place.send("y@wrong.far.example", option=False, field=b"TLS-Required: No\r\n")
        # It does not wait with the other, whose host is left alone for a while.
        event = place.outcome("y@wrong.far.example")
        assert event["kind"] == "delivered" and verify_of(event) == "opportunistic", event
        # The connection that was good enough for it is not for the next.
        place.send("z@wrong.far.example", option=False)
        place.near.run("queue", "retry", "--all")
        assert place.outcome("z@wrong.far.example")["kind"] == "deferred"
        # REQUIRETLS goes before the field.
        wait_for(lambda: not place.near.run("queue", "bounce", "--all", "--yes", check=False).returncode and not place.near.queue(),
                 30, "an empty queue", 0.5)
        place.send("v@wrong.far.example", field=b"TLS-Required: No\r\n")
        place.near.run("queue", "retry", "--all")
        assert place.outcome("v@wrong.far.example")["kind"] == "bounced"
    finally:
        place.close()


def a_route_is_walked_and_judged():
    place = Place()

    def walk(domain, *words):
        done = place.near.run("test", "route", f"x@{domain}.far.example", "--json", *words, check=False)
        lines = done.stdout.splitlines()
        assert len(lines) == 1, done.stdout + done.stderr
        return done.returncode, json.loads(lines[0])
    try:
        code, seen = walk("b")
        host = seen["hosts"][0]
        assert code == 0 and seen["end"] == "takes" and seen["problem"] == "none" and seen["mx_dnssec"], seen
        assert host["tlsa_records"] == 1, host
        assert host["host"] == "host-b.far.example" and host["dnssec"] and host["demanded_by"] == "dane", host
        assert host["tls"]["verified"] == "dane" and host["tls"]["certificate"]["names"].startswith("host-b.far.example"), host
        assert "REQUIRETLS" in host["offers"] and [s["stage"] for s in host["stages"]][:3] == ["connect", "greeting", "ehlo"], host
        assert "verified by its TLSA records" in seen["verdict"], seen
        for domain, end, problem, words in (
                ("wrong", "later", "theirs", "is not trusted"), ("unverified", "takes", "none", "to whoever answers"),
                ("clear", "takes", "none", "in the clear"), ("second", "takes", "none", "host-silent"),
                ("nothere", "returns", "theirs", "550 5.1.2")):
            code, seen = walk(domain)
            assert (code == 0) == (end == "takes") and seen["end"] == end and seen["problem"] == problem, f"{domain}: {seen}"
            assert words in seen["verdict"], f"{domain}: {seen}"
        assert walk("wrong")[1]["hosts"][0]["tls"]["certificate"]["names"] == "whoever"
        assert walk("wrong")[1]["hosts"][0]["result"] in ("validation-failure", "certificate-not-trusted"), walk("wrong")
        for domain, end, words in (("silent", "returns", "does not offer REQUIRETLS"), ("clear", "returns", "STARTTLS"),
                                   ("second", "takes", "before that, host-silent"), ("b", "takes", "DANE"),
                                   ("later", "later", "host-down")):
            code, seen = walk(domain, "--require-tls")
            assert seen["end"] == end and words in seen["verdict"], f"{domain}: {seen}"
        place.near.run("rule", "add", "tls", "domain:wrong.far.example", "--level", "plain", "--for", "1h")
        code, seen = walk("wrong")
        assert code == 0 and seen["hosts"][0]["demanded_by"] == "rule" and "in the clear, as it was told to" in seen["verdict"], seen
        place.near.run("rule", "rm", "1")
        before = {name: sink.connections for name, sink in place.sinks.items()}
        code, seen = walk("wrong", "--no-connect")
        assert seen["end"] == "untried" and seen["hosts"][0]["demand"] == "tlsa", seen
        assert before == {name: sink.connections for name, sink in place.sinks.items()}
        text = place.near.run("test", "route", "x@b.far.example").stdout
        assert "Goes to the mail hosts" in text and "took: connect" in text and "certificate: for host-b.far.example" in text, text
        bad = place.near.run("test", "route", "x@b.far.example", "--lane", "foo", check=False)
        assert bad.returncode == 64, bad.stderr
        assert not any(sink.messages for sink in place.sinks.values()) and not place.near.queue()
        # What it found keeps nobody's mail back.
        place.send("y@silent.far.example", option=False)
        assert place.outcome("y@silent.far.example")["kind"] == "delivered"
    finally:
        place.close()


def a_policy_proves_the_hosts_and_postfix_promises_nothing():
    zone, port, web = "policy.example", free_port("127.0.11.21"), "127.0.11.23"
    with contextlib.ExitStack() as stack:
        def enter(part):
            return stack.enter_context(contextlib.closing(part))
        certificates = enter(Certificates())
        for name in ("pf", "ours"):
            issue(certificates, name, f"{name}.{zone}")
        issue(certificates, "web", f"mta-sts.d-pf.{zone}", f"mta-sts.d-ours.{zone}")
        records = f"pf A 127.0.11.21\nours A 127.0.11.22\nd-bare MX 10 ours\n"
        for name in ("pf", "ours"):
            records += f'd-{name} MX 10 {name}\n_mta-sts.d-{name} TXT "v=STSv1; id=7;"\nmta-sts.d-{name} A {web}\n'
        names = enter(Knot(zone, records))
        pages = enter(PolicyHost(certificates, web))
        for name in ("pf", "ours"):
            pages.pages[f"mta-sts.d-{name}.{zone}"] = Page(f"version: STSv1\nmode: enforce\nmx: {name}.{zone}\nmax_age: 86400\n")
        postfix = enter(Postfix(certificates, port, {"127.0.11.21": "pf"}))
        sink = enter(Sink("127.0.11.22", port, tls=certificates.context("ours"), capabilities=OFFERS))
        server = enter(Outpost(BINARY, "ann@a.far.example"))
        server.append_config(f'dns {{ stub "{zone}" 127.0.0.1:{names.port}; timeout 5s; }}\n'
                             f'tls {{ ca_file "{certificates.path("ca.pem")}"; }}\ndelivery {{ smtp_port {port}; sts_private_addresses on; }}')
        server.start()
        place = Place.__new__(Place)
        place.near = server
        place.send(f"x@d-ours.{zone}")
        event = place.outcome(f"x@d-ours.{zone}")
        assert event["kind"] == "delivered" and verify_of(event) == "sts", event
        assert " REQUIRETLS" in sink.messages[0].sender, sink.messages
        for name, words in (("pf", "does not offer REQUIRETLS"), ("bare", "neither DNSSEC nor MTA-STS")):
            place.send(f"x@d-{name}.{zone}")
            event = place.outcome(f"x@d-{name}.{zone}")
            assert event["kind"] == "bounced" and event["enhanced"] == "5.7.30" and words in str(event), event
        # Without the demand Postfix is verified by the policy, and takes it.
        place.send(f"y@d-pf.{zone}", option=False)
        event = place.outcome(f"y@d-pf.{zone}")
        assert event["kind"] == "delivered" and verify_of(event) == "sts", event
        wait_for(lambda: postfix.has(f"y@d-pf.{zone}"), 30, "the mail behind Postfix")
        done = server.run("test", "route", f"x@d-pf.{zone}", "--require-tls", "--json", check=False)
        seen = json.loads(done.stdout)
        assert done.returncode == 1 and seen["end"] == "returns" and seen["problem"] == "senders", seen
        assert seen["sts"]["mode"] == "enforce" and seen["sts"]["mx"] == [f"pf.{zone}"] and seen["sts"]["id"] == "7", seen
        text = server.run("test", "route", f"x@d-pf.{zone}").stdout
        assert "Its MTA-STS policy (enforce, id 7) names pf.policy.example" in text, text
        assert "verified as the domain's MTA-STS policy asks" in text, text


def run(cases, binary):
    global BINARY
    BINARY = binary
    cases.run("require: it goes on only to who promises the same", it_goes_on_only_to_who_promises_the_same)
    cases.run("require: an alias carries it, and the report comes back encrypted", an_alias_carries_it_and_the_report_comes_back_encrypted)
    cases.run("require: a route is walked and judged", a_route_is_walked_and_judged)
    cases.run("require: a policy proves the hosts, and Postfix promises nothing", a_policy_proves_the_hosts_and_postfix_promises_nothing)
    cases.run("require: a message that does not care ignores the domain", a_message_that_does_not_care_ignores_the_domain)
