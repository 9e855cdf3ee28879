# SPDX-License-Identifier: AGPL-3.0-or-later
"""report_cases: bounces that real mail servers write are read right.

Postfix, Exim and OpenSMTPD of Debian relay a message to a sink that refuses some of its recipients; the report
that comes back is read by `outpost test report`.  And reports that others have collected, where
OUTPOST_MAIL_SAMPLES names a folder of them.
"""
import json
import os
import smtplib
import subprocess
import tempfile

from harness import Cases, Peer, Sink, wait_for

SENDER = "ann@here.example"
ID = "<1.kept@here.example>"
MESSAGE = (f"From: Ann <{SENDER}>\r\nTo: many@there.example\r\nSubject: Plans\r\nMessage-ID: {ID}\r\n"
           "Date: Thu, 26 Nov 2026 22:05:56 +0000\r\n\r\nLet us meet.  eve@elsewhere.example comes, too.\r\n")
REFUSALS = {
    "nobody@there.example": "550 5.1.1 No such user here",
    "full@there.example": "552 5.2.2 The mailbox is full",
    "refused@there.example": "554 5.7.1 By policy",
    "late@there.example": "451 4.3.0 Come later",
}
# What others have collected: who failed, and how, by file.
SAMPLES = {
    "mikel-mail/emails/multipart_report_emails/report_422.eml": {"fraser@oooooooo.com.au": ("delayed", "4.2.2")},
    "mikel-mail/emails/multipart_report_emails/report_530.eml": {"edwin@zzzzzzz.com": ("failed", "5.3.0")},
    "mikel-mail/emails/multipart_report_emails/multipart_report_multiple_status.eml": {"u@ci.com": ("failed", "5.3.0")},
    "mikel-mail/emails/multipart_report_emails/multi_address_bounce1.eml": 5,
    "mikel-mail/emails/multipart_report_emails/multi_address_bounce2.eml": 5,
    "mikel-mail/emails/mime_emails/raw_email_with_mimepart_without_content_type.eml":
        {"larose.julie@courrier.uqam.ca": ("delayed", "4.5.0")},
    "php-imap/example_bounce.eml": {"ding@ding.de": ("failed", "5.0.0")},
    "python-test-email/msg_16.txt": {"jangel1@cougar.noc.ucla.edu": ("failed", "5.0.0")},
    "python-test-email/msg_25.txt": {"scoffman@wellpartner.com": ("failed", "5.4.6")},
    "python-test-email/msg_43.txt": 11,
    "python-test-email/msg_05.txt": {},
    "mikel-mail/emails/plain_emails/basic_email.eml": {},
    "mikel-mail/emails/plain_emails/raw_email_reply.eml": {},
}


def read(binary, data):
    done = subprocess.run([binary, "test", "report", "--json", "-"], input=data, capture_output=True, timeout=30)
    assert done.returncode in (0, 1), done.stderr
    return json.loads(done.stdout)


def decide(stage, text):
    if stage == "rcpt":
        return next((reply for address, reply in REFUSALS.items() if f"<{address}>" in text), None)
    return None



def send(peer, recipients, options=()):
    with smtplib.SMTP("127.0.0.1", peer.port, timeout=30) as client:
        client.ehlo("pc.here.example")
        client.mail(SENDER)
        for recipient in recipients:
            code, text = client.rcpt(recipient, options)
            assert code == 250, (code, text)
        client.data(MESSAGE)


def report_of(sink, seconds=60):
    """The one message that came back: nobody is its sender."""
    found = wait_for(lambda: [m for m in sink.messages if "<>" in m.sender], seconds, "the report")
    return found[-1].data


def check(report, expected):
    got = {r["address"]: (r["action"], r["status"], r["code"]) for r in report["recipients"]}
    assert set(got) == set(expected), f"{got} instead of {expected}: {report}"
    for address, (action, status, code) in expected.items():
        assert got[address][0] == action, (address, got[address])
        assert status is None or got[address][1] == status, (address, got[address])
        assert code is None or got[address][2] == code, (address, got[address])
    assert report["message_id"] == ID, report


def refused_at_rcpt(binary, name, env):
    sink = Sink(decide=decide)
    peer = Peer(name, sink.port, **env)
    try:
        send(peer, ["nobody@there.example", "full@there.example", "refused@there.example", "fine@there.example"])
        report = read(binary, report_of(sink))
        assert report["kind"] == "failure", report
        # OpenSMTPD writes one report for each recipient, at times.
        got = {}
        for data in [m.data for m in sink.messages if "<>" in m.sender]:
            got.update({r["address"]: r for r in read(binary, data)["recipients"]})
        assert all(a in REFUSALS for a in got), got
        assert len(got) == 3 or name == "opensmtpd", got
        for address, recipient in got.items():
            code, status = REFUSALS[address].split()[:2]
            assert recipient["action"] == "failed", recipient
            assert (recipient["status"], recipient["code"]) == (status, int(code)), recipient
        assert report["message_id"] == ID, report
    finally:
        peer.close()


def refused_after_data(binary, name, env):
    sink = Sink(decide=lambda stage, text: None)
    state = {"sender": ""}

    def judge(stage, text):
        if stage == "mail":
            state["sender"] = text
        return "554 5.6.0 The content is refused" if stage == "end" and SENDER in state["sender"] else None
    sink.decide = judge
    peer = Peer(name, sink.port, **env)
    try:
        send(peer, ["bob@there.example"])
        report = read(binary, report_of(sink))
        check(report, {"bob@there.example": ("failed", "5.6.0", 554)})
    finally:
        peer.close()


def a_warning_of_postfix(binary):
    sink = Sink(decide=decide)
    peer = Peer("postfix", sink.port, PF_EXTRA="delay_warning_time = 1s\nminimal_backoff_time = 1s\nqueue_run_delay = 1s")
    try:
        send(peer, ["late@there.example"])
        report = read(binary, report_of(sink, 90))
        assert report["kind"] == "delay", report
        check(report, {"late@there.example": ("delayed", "4.3.0", 451)})
    finally:
        peer.close()


def a_success_of_postfix(binary):
    sink = Sink()
    peer = Peer("postfix", sink.port)
    try:
        send(peer, ["bob@there.example"], ["NOTIFY=SUCCESS", "ORCPT=rfc822;robert+2Bx@there.example"])
        report = read(binary, report_of(sink))
        assert report["kind"] == "success", report
        assert report["recipients"][0]["original"] == "robert+x@there.example", report
        assert report["recipients"][0]["final"] == "bob@there.example", report
    finally:
        peer.close()


def samples(binary):
    folder = os.environ.get("OUTPOST_MAIL_SAMPLES")
    if not folder:
        raise Cases.Skip("OUTPOST_MAIL_SAMPLES names no folder")
    seen = 0
    for name, expected in SAMPLES.items():
        path = os.path.join(folder, name)
        if not os.path.exists(path):
            print(f"   {name} is not there")
            continue
        seen += 1
        with open(path, "rb") as file:
            report = read(binary, file.read())
        if isinstance(expected, int):
            assert len(report["recipients"]) == expected, (name, report)
            continue
        got = {r["address"]: (r["action"], r["status"]) for r in report["recipients"]}
        assert got == expected, (name, got)
    if not seen:
        raise Cases.Skip(f"none of the files is in {folder}")
    print(f"   {seen} files")


def the_command_line(binary):
    with tempfile.NamedTemporaryFile(suffix=".eml") as file:
        file.write(b"From: MAILER-DAEMON@mx.example\nSubject: failure notice\n\nHi. This is the qmail-send program.\n"
                   b"I wasn't able to deliver your message.\n\n<bob@there.example>:\n550 5.1.1 no \x1b[31m\n\n"
                   b"--- Below this line is a copy of the message.\n\nMessage-ID: <1.kept@here.example>\n")
        file.flush()
        done = subprocess.run([binary, "test", "report", file.name], capture_output=True, text=True)
    assert done.returncode == 0, done
    assert "bob@there.example: failed, 5.1.1" in done.stdout and "\x1b" not in done.stdout, done.stdout
    done = subprocess.run([binary, "test", "report", "-"], input="From: a@b.example\n\nhello\n", capture_output=True, text=True)
    assert done.returncode == 1 and "no report" in done.stdout, done
    done = subprocess.run([binary, "test", "report", "/nowhere.eml"], capture_output=True, text=True)
    assert done.returncode == 66 and "nowhere" in done.stderr, done


def run(cases, binary):
    cases.run("report: outpost test report says what a file is", the_command_line, binary)
    cases.run("report: what others have collected", samples, binary)
    for name, env in (("postfix", {}), ("exim", {}), ("opensmtpd", {})):
        cases.run(f"report: {name} tells who was refused", refused_at_rcpt, binary, name, env)
        cases.run(f"report: {name} tells that the content was refused", refused_after_data, binary, name, env)
    cases.run("report: postfix warns of a delay", a_warning_of_postfix, binary)
    cases.run("report: postfix tells of success", a_success_of_postfix, binary)
