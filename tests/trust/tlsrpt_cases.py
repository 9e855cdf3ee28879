# SPDX-License-Identifier: AGPL-3.0-or-later
"""tlsrpt_cases: the reports about TLS that go out (RFC 8460), to a mail host and to a web server.

A day is some seconds long here (tls_reports.period); everything else is as it always is.
"""
import email
import email.policy
import gzip
import http.server
import json
import os
import re
import smtplib
import socket
import subprocess
import tempfile
import threading
import time

from harness import Outpost, Sink, free_port, wait_for
from parts import Certificates, Knot, SHAPES, SignedZone
from receivers import Page, PolicyHost, issue

HERE = os.path.dirname(os.path.abspath(__file__))
BINARY = None
SYSTEM_PYTHON = "/usr/bin/python3"
DAY = 12


class Web:
    """A web server with TLS that keeps what is posted; `statuses` are given away one by one, then 201."""

    def __init__(self, host, port, context, statuses=()):
        self.posts, left = [], list(statuses)
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = left.pop(0) if left else 201
                outer.posts.append((status, self.path, dict(self.headers), body))
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *words):
                pass
        self.server = http.server.ThreadingHTTPServer((host, port), Handler)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class World:
    """Hosts that are right and wrong about their TLS, and those that take reports."""

    def __init__(self, statuses=(), decide=None, config="", keys=True):
        self.certificates = Certificates()
        own = self.certificates.key_digest("own")
        self.wrong = "00" * 32
        self.port, self.web_port = free_port("127.0.12.1"), free_port("127.0.12.5")
        shows = self.certificates.context("own")
        tlsa = f"_{self.port}._tcp"
        self.sinks = {
            "good": Sink("127.0.12.1", self.port, tls=shows),
            "wrong": Sink("127.0.12.2", self.port, tls=shows),
            "clear": Sink("127.0.12.3", self.port),
            "reports": Sink("127.0.12.4", self.port, tls=shows, decide=decide),
        }
        self.web = Web("127.0.12.5", self.web_port, shows, statuses)
        self.tarpit = socket.create_server(("127.0.12.6", 0))  # Takes connections, and says nothing.
        tar = ",".join(f"https://tarpit.far.example:{self.tarpit.getsockname()[1]}/{i}" for i in range(4))
        # The host that takes the reports has broken TLSA records itself: they must come all the same.
        self.zone = SignedZone("far.example", f"""
good A 127.0.12.1
wrong A 127.0.12.2
clear A 127.0.12.3
reports A 127.0.12.4
web A 127.0.12.5
tarpit A 127.0.12.6
{tlsa}.good TLSA 3 1 1 {own}
{tlsa}.wrong TLSA 3 1 1 {self.wrong}
{tlsa}.reports TLSA 3 1 1 {self.wrong}
mixed MX 10 wrong
mixed MX 20 good
open MX 10 clear
silent MX 10 good
tar MX 10 good
inbox MX 10 reports
_smtp._tls.mixed TXT "v=TLSRPTv1; rua=mailto:tls%2Breports@inbox.far.example,https://web.far.example:{self.web_port}/v1/in?a=b"
_smtp._tls.open TXT "v=TLSRPTv1;rua=mailto:open@inbox.far.example"
_smtp._tls.silent TXT "v=spf1 -all"
_smtp._tls.tar TXT "v=TLSRPTv1;rua={tar}"
""")
        self.own = own
        self.server = Outpost(BINARY, setup=["--trust", "127.0.0.0/8"])
        self.server.append_config(
            f'dns {{ stub "far.example" 127.0.0.1:{self.zone.port}; trust_anchor "{self.zone.anchor}"; timeout 5s; }}\n'
            f"delivery {{ smtp_port {self.port}; retry_min 1s; idle_time 10ms; sts_private_addresses on; }}\n"
            f"tls_reports {{ from tlsrpt@here.example; organization \"Here, Inc.\"; contact tls@here.example; "
            f"period {DAY}s; delay 0s; private_addresses on; }}\n{config}")
        self.server.start()
        self.records = {}
        if keys:
            self.server.run("dkim", "new", "here.example")
            for key in self.server.rows("dkim", "list", "here.example", "--no-dns"):
                self.server.run("dkim", "sign", "here.example", key["selector"], "--force")
                self.records[key["name"]] = key["record"]

    def send(self, domain):
        with smtplib.SMTP("127.0.0.1", self.server.ports["smtp"], timeout=60) as client:
            client.sendmail("ann@here.example", [f"b@{domain}.far.example"], SHAPES["plain"])

    def counted(self, domain):
        return self.server.rows("tls-report", "show", f"{domain}.far.example")

    def reports(self, domain=None):
        return [row for row in self.server.rows("tls-report", "list") if not domain or row["domain"] == f"{domain}.far.example"]

    def at_a_days_beginning(self):
        """So that what follows belongs to one day."""
        time.sleep(DAY - time.time() % DAY + 0.2)
        return int(time.time()) // DAY * DAY

    def close(self):
        self.server.close()
        self.zone.close()
        self.web.close()
        self.tarpit.close()
        self.certificates.close()
        for sink in self.sinks.values():
            sink.close()


def verify(data, records):
    """The signatures of a message, by dkimpy."""
    with tempfile.TemporaryDirectory() as directory:
        message, names = os.path.join(directory, "message"), os.path.join(directory, "records")
        with open(message, "wb") as f:
            f.write(data)
        with open(names, "w") as f:
            f.writelines(f"{name} {record}\n" for name, record in records.items())
        done = subprocess.run([SYSTEM_PYTHON, os.path.join(HERE, "verify_dkim.py"), names, message], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def check_json(report, day, port, own):
    """Every field of a report about `mixed`."""
    assert report["organization-name"] == "Here, Inc." and report["contact-info"] == "tls@here.example"
    stamp = "%Y-%m-%dT%H:%M:%SZ"
    assert report["date-range"] == {"start-datetime": time.strftime(stamp, time.gmtime(day)),
                                    "end-datetime": time.strftime(stamp, time.gmtime(day + DAY - 1))}, report["date-range"]
    by_domain = {entry["policy"]["policy-domain"]: entry for entry in report["policies"]}
    assert set(by_domain) == {"good.far.example", "wrong.far.example"}, by_domain
    good, wrong = by_domain["good.far.example"], by_domain["wrong.far.example"]
    assert good["policy"] == {"policy-type": "tlsa", "policy-string": [f"3 1 1 {own}"], "policy-domain": "good.far.example",
                              "mx-host": ["good.far.example"]}, good
    assert good["summary"] == {"total-successful-session-count": 1, "total-failure-session-count": 0}, good
    assert "failure-details" not in good
    assert wrong["policy"]["policy-type"] == "tlsa" and wrong["policy"]["policy-string"] == ["3 1 1 " + "00" * 32]
    assert wrong["summary"] == {"total-successful-session-count": 0, "total-failure-session-count": 1}, wrong
    (failure,) = map(dict, wrong["failure-details"])
    reason = failure.pop("failure-reason-code")
    assert reason and failure == {
        "result-type": "validation-failure", "sending-mta-ip": "127.0.0.1", "receiving-mx-hostname": "wrong.far.example",
        "receiving-mx-helo": "sink.example", "receiving-ip": "127.0.12.2", "failed-session-count": 1}, failure


def check_mail(message, world, day):
    parsed = email.message_from_bytes(message.data, policy=email.policy.default)
    assert parsed["TLS-Report-Domain"] == "mixed.far.example" and parsed["TLS-Report-Submitter"] == "here.example"
    assert parsed["TLS-Required"] == "No" and "tlsrpt@here.example" in parsed["From"]
    assert str(parsed["To"]).strip("<>") == "tls+reports@inbox.far.example", parsed["To"]
    assert message.recipients == ["tls+reports@inbox.far.example"], message.recipients
    match = re.fullmatch(r"Report Domain: mixed\.far\.example Submitter: here\.example Report-ID: <([A-Z0-9]+)@here\.example>", parsed["Subject"])
    assert match, parsed["Subject"]
    assert parsed.get_content_type() == "multipart/report" and parsed.get_param("report-type") == "tlsrpt"
    words, attached = parsed.iter_parts()
    assert words.get_content_type() == "text/plain" and "1 succeeded, 1 failed" in words.get_content()
    assert attached.get_content_type() == "application/tlsrpt+gzip" and attached.get_content_disposition() == "attachment"
    assert attached.get_filename() == f"here.example!mixed.far.example!{day}!{day + DAY - 1}!{match.group(1)}.json.gz"
    lines = verify(message.data, world.records)
    assert len(lines) == 2 and all(line.endswith("pass") and "d=here.example" in line for line in lines), lines
    report = json.loads(gzip.decompress(attached.get_content()))
    assert report["report-id"] == match.group(1) + "@here.example"
    return report


def a_day_of_failures_is_reported_by_mail_and_by_post():
    world = World(statuses=[503])
    try:
        day = world.at_a_days_beginning()
        for domain in ("mixed", "open", "silent"):
            world.send(domain)
        wait_for(lambda: all(world.sinks[name].messages for name in ("good", "clear")), 20, "the messages")
        wait_for(lambda: len(world.sinks["good"].messages) == 2, 20, "the message to `silent`")
        assert sum(row["count"] for row in world.counted("mixed") if row["result"] == "sessions") == 2, world.counted("mixed")
        (failure,) = [row for row in world.counted("open") if row["result"] != "sessions"]
        assert failure["result"] == "starttls-not-supported" and failure["policy"] == "no-policy-found", failure
        dry = [json.loads(line) for line in
               world.server.run("tls-report", "send", "mixed.far.example", "--day", "today", "--dry-run").stdout.splitlines()]
        check_json(dry[-1], day, world.port, world.own)
        wait_for(lambda: len(world.sinks["reports"].messages) == 2 and len(world.web.posts) == 2, 40, "the reports", 0.3)
        (message,) = [m for m in world.sinks["reports"].messages if b"mixed.far.example" in m.data]
        report = check_mail(message, world, day)
        check_json(report, day, world.port, world.own)
        # The web server was busy at first, and got the same report again.
        (first, path, _, body), (second, _, headers, again) = world.web.posts
        assert (first, second) == (503, 201) and path == "/v1/in?a=b" and body == again
        assert headers["Content-Type"] == "application/tlsrpt+gzip" and headers["Host"] == f"web.far.example:{world.web_port}"
        assert json.loads(gzip.decompress(again)) == report
        assert {row["state"] for row in wait_for(world.reports, 5)} == {"sent"}, world.reports()
        assert not world.reports("silent") and not world.reports("inbox")
        events = [row for row in world.server.rows("trace", "search", "--kind", "tls") if row.get("stage") == "report"]
        assert len(events) == 3, events
        time.sleep(DAY + 3)  # Nothing more comes of that day, and the reports' own sessions are not reported.
        assert len(world.sinks["reports"].messages) == 2 and len(world.web.posts) == 2
    finally:
        world.close()


def a_report_goes_once_though_the_server_is_killed():
    state = {"late": True}
    world = World(decide=lambda stage, text: "451 4.3.0 later" if stage == "rcpt" and state["late"] else None)
    try:
        world.at_a_days_beginning()
        world.send("mixed")
        wait_for(lambda: world.sinks["good"].messages, 20, "the message")
        wait_for(lambda: not world.server.queue(), 20, "the result")
        time.sleep(2)  # What is done is noted with the next group: killed before, it would be sent again.
        assert world.counted("mixed")  # It is in the database from here on.
        world.server.kill()
        world.server.start()
        rows = wait_for(lambda: [row for row in world.reports("mixed") if row["state"] == "sent" and row["to"].startswith("mailto")], 40,
                        "the report in the queue", 0.3)
        assert rows[0]["succeeded"] == 1 and rows[0]["failed"] == 1, rows
        world.server.kill()
        world.server.start()
        state["late"] = False
        wait_for(lambda: world.sinks["reports"].messages, 40, "the report", 0.3)
        time.sleep(DAY + 2)
        assert len(world.sinks["reports"].messages) == 1 and len(world.web.posts) == 1
    finally:
        world.close()


def counts_survive_a_stop():
    world = World()
    try:
        world.at_a_days_beginning()
        world.send("mixed")
        wait_for(lambda: world.sinks["good"].messages, 20, "the message")
        world.server.stop()
        world.server.start()
        rows = wait_for(lambda: world.reports("mixed"), 40, "the reports", 0.3)
        assert rows[0]["succeeded"] == 1 and rows[0]["failed"] == 1, rows
    finally:
        world.close()


def failures_of_mta_sts_are_reported():
    """Policies that are enforced, only tested, cannot be had; certificates that are right, and not."""
    domains = ["enforced", "tested", "lost"]
    certificates = Certificates()
    issue(certificates, "good", "mx.open.example")
    issue(certificates, "stranger", "elsewhere.example")
    issue(certificates, "old", "old.open.example", expired=True)
    issue(certificates, "web", *(f"mta-sts.{name}.open.example" for name in domains))
    port = free_port("127.0.12.31")
    sinks = {name: Sink(address, port, tls=certificates.context(name)) for name, address in
             (("good", "127.0.12.31"), ("stranger", "127.0.12.32"), ("old", "127.0.12.33"))}
    inbox, web = Sink("127.0.12.34", port), PolicyHost(certificates, "127.0.12.35")
    policy = "version: STSv1\nmode: {}\nmx: *.open.example\nmax_age: 86400\n"
    web.pages = {"mta-sts.enforced.open.example": Page(policy.format("enforce")), "mta-sts.tested.open.example": Page(policy.format("testing")),
                 "mta-sts.lost.open.example": Page("gone", "404 Not Found")}
    records = "mx A 127.0.12.31\nstranger A 127.0.12.32\nold A 127.0.12.33\ninbox A 127.0.12.34\nbox MX 10 inbox\n"
    hosts = {"enforced": ["old", "mx"], "tested": ["stranger"], "lost": ["stranger"]}
    for name in domains:
        records += "".join(f"{name} MX {10 * (i + 1)} {host}\n" for i, host in enumerate(hosts[name]))
        records += (f'_mta-sts.{name} TXT "v=STSv1; id=1;"\nmta-sts.{name} A 127.0.12.35\n'
                    f'_smtp._tls.{name} TXT "v=TLSRPTv1; rua=mailto:{name}@box.open.example"\n')
    zone = Knot("open.example", records)
    server = Outpost(BINARY, setup=["--trust", "127.0.0.0/8"])
    server.append_config(
        f'dns {{ stub "open.example" 127.0.0.1:{zone.port}; timeout 5s; }}\ntls {{ ca_file "{certificates.path("ca.pem")}"; }}\n'
        f"delivery {{ smtp_port {port}; idle_time 10ms; sts_private_addresses on; }}\ntls_reports {{ from tlsrpt@here.example; period {DAY}s; delay 0s; }}")
    server.start()
    try:
        server.run("dkim", "new", "here.example", "--algorithm", "rsa")
        (key,) = server.rows("dkim", "list", "here.example", "--no-dns")
        server.run("dkim", "sign", "here.example", key["selector"], "--force")
        time.sleep(DAY - time.time() % DAY + 0.2)
        for name in domains:
            with smtplib.SMTP("127.0.0.1", server.ports["smtp"], timeout=60) as client:
                client.sendmail("ann@here.example", [f"b@{name}.open.example"], SHAPES["plain"])
        wait_for(lambda: len(inbox.messages) == 3, 60, "three reports", 0.3)
        reports = {}
        for message in inbox.messages:
            parsed = email.message_from_bytes(message.data, policy=email.policy.default)
            report = json.loads(gzip.decompress(list(parsed.iter_parts())[1].get_content()))
            (reports[parsed["TLS-Report-Domain"].split(".")[0]],) = report["policies"]
        summary = {name: tuple(entry["summary"].values()) for name, entry in reports.items()}
        assert summary == {"enforced": (1, 1), "tested": (0, 1), "lost": (0, 1)}, summary
        assert {entry["policy"]["policy-type"] for entry in reports.values()} == {"sts"}
        assert reports["enforced"]["policy"] == {
            "policy-type": "sts", "policy-domain": "enforced.open.example", "mx-host": ["*.open.example"],
            "policy-string": ["version: STSv1", "mode: enforce", "mx: *.open.example", "max_age: 86400"]}, reports["enforced"]
        found = {name: [(f["result-type"], f["receiving-mx-hostname"]) for f in entry["failure-details"]] for name, entry in reports.items()}
        assert found == {"enforced": [("certificate-expired", "old.open.example")],
                         "tested": [("certificate-host-mismatch", "stranger.open.example")],
                         "lost": [("sts-policy-fetch-error", "stranger.open.example")]}, found
        # What was only tested, and what could not be had, kept no mail back; what is enforced did not go to the wrong host.
        assert len(sinks["stranger"].messages) == 2 and len(sinks["good"].messages) == 1 and not sinks["old"].messages
    finally:
        server.close()
        zone.close()
        web.close()
        certificates.close()
        for sink in [*sinks.values(), inbox]:
            sink.close()


def nothing_goes_by_mail_without_a_key_and_it_is_given_up():
    world = World(keys=False, statuses=[404] * 1000)
    try:
        world.at_a_days_beginning()
        world.send("mixed")
        wait_for(lambda: world.sinks["good"].messages, 20, "the message")
        rows = wait_for(lambda: [row for row in world.reports("mixed") if row["state"] == "dropped"] if
                        all(row["state"] == "dropped" for row in world.reports("mixed")) else None, 60, "the end of it", 0.5)
        assert len(rows) == 2 and any("DKIM" in row["text"] for row in rows) and any("404" in row["text"] for row in rows), rows
        assert not world.sinks["reports"].messages
        assert "is given up" in world.server.log_text()
        events = [row for row in world.server.rows("trace", "search", "--kind", "tls") if row.get("class") == "dropped"]
        assert len(events) == 2, events
    finally:
        world.close()


def places_that_are_silent_hold_no_other_report():
    world = World()
    try:
        world.at_a_days_beginning()
        world.send("tar")
        wait_for(lambda: world.counted("tar"), 20, "the count of the first")
        world.send("open")
        wait_for(lambda: world.sinks["clear"].messages, 20, "the message")
        wait_for(lambda: world.sinks["reports"].messages, DAY + 25, "the report to who listens")
        assert all(row["state"] in ("waiting", "sending") for row in world.reports("tar")), world.reports("tar")
    finally:
        world.close()


def run(cases, binary):
    global BINARY
    BINARY = binary
    cases.run("a day of failures is reported by mail and by post", a_day_of_failures_is_reported_by_mail_and_by_post)
    cases.run("a report goes once though the server is killed", a_report_goes_once_though_the_server_is_killed)
    cases.run("what was counted survives a stop", counts_survive_a_stop)
    cases.run("failures of MTA-STS are reported", failures_of_mta_sts_are_reported)
    cases.run("places that are silent hold no other report", places_that_are_silent_hold_no_other_report)
    cases.run("nothing goes by mail without a key, and it is given up", nothing_goes_by_mail_without_a_key_and_it_is_given_up)
