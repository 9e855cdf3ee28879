# SPDX-License-Identifier: AGPL-3.0-or-later
"""return_cases: what comes back from real servers, and what only pretends to.

Postfix and Exim take mail at first and find out later that its recipient is not there; a feedback loop
complains; mail that an alias sends on leaves with a sender of ours, and the next server's bounce finds its way.
"""
import glob
import os
import re
import smtplib

from harness import Outpost, Peer, Sink, wait_for

HERE = os.path.dirname(os.path.abspath(__file__))
ADDRESS = "127.0.15.1"
BINARY = None
BOUNCES = "bounces.here.example"
SRS = "srs.here.example"


def receiver(name, next_port, failing="gone.example"):
    """Postfix or Exim, who takes everything and fails FAILING later; all else goes on to NEXT_PORT."""
    return Peer(name, next_port,
                PF_EXTRA=f"virtual_alias_maps = inline:{{ {{ @{failing} = @inner.example }} }}\n"
                         f"transport_maps = inline:{{ {{ inner.example = error:5.1.1 No such person here }} }}",
                EXIM_ROUTERS=f"gone:\n  driver = redirect\n  domains = {failing}\n  allow_fail\n"
                             f"  data = :fail: 550 5.1.1 No such person here")


def text_to(to, sender="ann@here.example", subject="hello"):
    return f"From: <{sender}>\r\nTo: <{to}>\r\nSubject: {subject}\r\n\r\nHello.\r\n"


def send(server, sender, recipients, text, source="127.0.0.1"):
    """From loopback it is a trusted client; from another address a stranger."""
    with smtplib.SMTP("127.0.0.1", server.ports["smtp"], timeout=60, source_address=(source, 0)) as client:
        return client.sendmail(sender, recipients, text)


def events(server, kind, words=()):
    return server.rows("trace", "search", "--kind", kind, *words)


def wait_event(server, kind, seconds=60):
    return wait_for(lambda: events(server, kind), seconds, f"an event {kind}", 0.3)[0]


def serve():
    server = Outpost(BINARY, setup=["--trust", "127.0.0.1/32"])
    server.append_config(f"bounces {{ return_path domain; domain {BOUNCES}; srs_domain {SRS};\n"
                         f"  complaints_to fbl@{BOUNCES}; }}")
    return server


def bounces_later(name):
    """The other server takes the mail, and its bounce becomes an event of the recipient."""
    server = serve()
    peer = receiver(name, server.ports["smtp"])
    server.append_config(f"route gone {{ domain gone.example; to smtp://127.0.0.1:{peer.port}?tls=off; }}")
    server.start()
    try:
        send(server, "ann@here.example", ["bob@gone.example"], text_to("bob@gone.example"))
        event = wait_event(server, "bounced_later")
        assert event["recipient"] == "bob@gone.example" and event["sender"] == "ann@here.example", event
        assert event["enhanced"].startswith("5."), event
        delivered = next(row for row in events(server, "delivered") if row["recipient"] == "bob@gone.example")
        assert event["message"] == delivered["message"], (event, delivered)
        shown = [row["kind"] for row in server.rows("trace", "show", event["message"])]
        assert shown.index("delivered") < shown.index("bounced_later"), shown
        arrived = wait_for(lambda: [row for row in events(server, "delivered") if row["recipient"] == "ann@here.example"],
                           30, "the report in ann's mailbox", 0.3)
        assert len(arrived) == 1, arrived
        # Two at one domain: the sender names the message alone, the report says who it is.
        send(server, "ann@here.example", ["eve@gone.example", "tom@gone.example"], text_to("eve@gone.example"))
        wait_for(lambda: len(events(server, "bounced_later")) == 3, 60, "two more events", 0.3)
        assert {row["recipient"] for row in events(server, "bounced_later")} == {f"{n}@gone.example" for n in ("bob", "eve", "tom")}
        server.wait_empty()
    finally:
        server.close()
        peer.close()


def srs_finds_its_way_back(name):
    """An alias sends on to a server that bounces later: the report goes back to the stranger who wrote."""
    stranger = Sink(host=ADDRESS)
    server = serve()
    peer = receiver(name, server.ports["smtp"])
    server.append_config(f"route gone {{ domain gone.example; to smtp://127.0.0.1:{peer.port}?tls=off; }}\n"
                         f"route stranger {{ domain stranger.example; to smtp://{ADDRESS}:{stranger.port}?tls=off; }}\n")
    server.start()
    server.run("alias", "add", "team@here.example", "bob@gone.example")
    try:
        send(server, "zoe@stranger.example", ["team@here.example"], text_to("team@here.example", "zoe@stranger.example"),
             source="127.0.15.2")
        report = wait_for(lambda: stranger.messages, 60, "the bounce at the stranger's server", 0.3)[0]
        assert "<>" in report.sender and report.recipients == ["zoe@stranger.example"], report
        assert b"SRS0=" in report.data and b"No such person" in report.data, report.data.decode()
        assert not events(server, "bounced_later")
        server.wait_empty()
    finally:
        server.close()
        peer.close()
        stranger.close()


def arf(path):
    return (f"From: fbl@loop.example\r\nSubject: FW: hello\r\nMIME-Version: 1.0\r\n"
            f"Content-Type: multipart/report; report-type=feedback-report; boundary=b\r\n\r\n"
            f"--b\r\nContent-Type: text/plain\r\n\r\nThis is a complaint.\r\n"
            f"--b\r\nContent-Type: message/feedback-report\r\n\r\nFeedback-Type: abuse\r\nUser-Agent: Loop/1\r\nVersion: 1\r\n"
            f"Original-Mail-From: <{path}>\r\nOriginal-Rcpt-To: <redacted@far.example>\r\n\r\n"
            f"--b\r\nContent-Type: message/rfc822\r\n\r\nFrom: ann@here.example\r\nSubject: hello\r\n\r\nHello.\r\n--b--\r\n")


def sent_path(server, sink, to="bob@far.example"):
    """Sends one mail; the sender with which it left."""
    before = len(sink.messages)
    send(server, "ann@here.example", [to], text_to(to))
    wait_for(lambda: len(sink.messages) > before, 30, "the mail at the sink")
    return sink.messages[-1].sender.split("<", 1)[1].split(">", 1)[0]


def complaints_are_tied():
    sink = Sink(host=ADDRESS)
    server = serve()
    server.append_config(f"route far {{ domain far.example; to smtp://{ADDRESS}:{sink.port}?tls=off; }}")
    server.start()
    try:
        path = sent_path(server, sink)
        assert path.endswith("@" + BOUNCES) and len(path.split("@")[0]) <= 64, path
        by_path = server.rows("trace", "show", path)
        assert by_path and by_path[0]["recipient"] == "bob@far.example", by_path
        send(server, "fbl@loop.example", [f"fbl@{BOUNCES}"], arf(path), source="127.0.15.2")
        event = wait_event(server, "complaint")
        assert event["recipient"] == "bob@far.example" and event["class"] == "abuse", event
        entry = wait_for(lambda: server.rows("suppression", "list"), 10, "an entry of the suppression list", 0.2)[0]
        assert entry["address"] == "bob@far.example" and entry["reason"] == "complaint", entry
        send(server, "fbl@loop.example", [f"fbl@{BOUNCES}"], arf(path), source="127.0.15.2")
        server.wait_empty()
        server.stop()  # What was counted before a restart is not counted again after it.
        server.start()
        send(server, "fbl@loop.example", [f"fbl@{BOUNCES}"], arf(path), source="127.0.15.2")
        server.wait_empty()
        assert len(events(server, "complaint")) == 1
    finally:
        server.close()
        sink.close()


def dsn(recipient, status="5.1.1"):
    return (f"From: MAILER-DAEMON@far.example\r\nSubject: failure\r\nMIME-Version: 1.0\r\n"
            f"Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n"
            f"--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; far.example\r\n\r\n"
            f"Final-Recipient: rfc822; {recipient}\r\nAction: failed\r\nStatus: {status}\r\n\r\n--b--\r\n")


def changed(text, position):
    letters = "abcdefghijklmnopqrstuvwxyz234567"
    other = letters[(letters.index(text[position]) + 1) % 32] if text[position] in letters else "a"
    return text[:position] + other + text[position + 1:]


def a_storm_of_forged_bounces_changes_nothing():
    """Addresses that are nearly right, reports of others, complaints with senders that nobody made."""
    sink = Sink(host=ADDRESS)
    server = serve()
    server.append_config(f"route far {{ domain far.example; to smtp://{ADDRESS}:{sink.port}?tls=off; }}")
    server.start()
    try:
        path = sent_path(server, sink)
        local, domain = path.split("@")
        first = len("bounce-")
        forged = [f"{changed(local, i)}@{domain}" for i in range(first, len(local))]
        forged += [f"bounce-{'a' * 45}@{domain}", f"bounce-{'a' * 45}@here.example", f"{local[:-1]}@{domain}",
                   f"SRS0=aaaaaaaa=AA=far.example=bob@{SRS}", f"SRS1=aaaaaaaa=x.example==A=AA=y.example=z@{SRS}"]
        refused = 0
        for start in range(0, 4 * len(forged), 4):  # Whoever guesses more in one session is slowed down.
            with smtplib.SMTP("127.0.0.1", server.ports["smtp"], timeout=60, source_address=("127.0.15.2", 0)) as client:
                client.ehlo()
                client.mail("")
                for n in range(start, start + 4):
                    code, answer = client.rcpt(forged[n % len(forged)])
                    assert code == 550 and answer == b"5.1.1 No such recipient here", (forged[n % len(forged)], code, answer)
                    refused += 1
        for n in range(50):
            wrong = forged[n % len(forged)]
            send(server, "fbl@loop.example", [f"fbl@{BOUNCES}"], arf(wrong), source="127.0.15.2")
        # Two recipients of one domain, so that the address names nobody; and a report of somebody else.
        before = len(sink.messages)
        send(server, "ann@here.example", ["eve@far.example", "tom@far.example"], text_to("eve@far.example"))
        wait_for(lambda: len(sink.messages) > before, 30, "the mail at the sink")
        both = sink.messages[-1].sender.split("<", 1)[1].split(">", 1)[0]
        for n in range(50):
            send(server, "", [both], dsn(f"mallory{n}@far.example"), source="127.0.15.2")
        server.wait_empty()
        for kind in ("bounced_later", "delayed", "complaint", "replied", "suppressed"):
            assert not events(server, kind), (kind, events(server, kind))
        assert not server.rows("suppression", "list")
        print(f"   {refused} forged addresses refused, 100 reports of others read")
        # And the true one still counts, whatever the case of its letters.
        send(server, "", [path.upper()], dsn("bob@far.example"), source="127.0.15.2")
        assert wait_event(server, "bounced_later")["recipient"] == "bob@far.example"
    finally:
        server.close()
        sink.close()


def shapes():
    """The reports of tests/reports: name, what is expected of each recipient, the message."""
    original = ("Return-Path: <ann@here.example>\nReceived: from pc (pc.here.example [192.0.2.7])\n\tby mx.here.example\n"
                "Date: Thu, 26 Nov 2026 22:05:56 +0000\nFrom: Ann <ann@here.example>\nTo: Bob <bob@there.example>\n"
                "Subject: Plans\nMessage-ID: <1.kept@here.example>\n")
    for path in sorted(glob.glob(os.path.join(HERE, "..", "reports", "*.txt"))):
        with open(path, encoding="utf-8", errors="surrogateescape", newline="\n") as f:
            text = f.read()
        for shape in re.split(r"^=== ", text, flags=re.M)[1:]:
            head, message = shape.split("\n---\n", 1)
            lines = head.split("\n")
            expected = [line.split()[1:] for line in lines if line.startswith("rcpt ")]
            message = message.replace("%original%\n", original + "\nHello.\n").replace("%headers%\n", original)
            yield lines[0], [(words[0], words[3]) for words in expected if "@" in words[3]], message


def shapes_are_tied_to_their_messages():
    """Each shape comes back to the address of a message that went to its recipients and to one more."""
    sink = Sink(host=ADDRESS)
    server = Outpost(BINARY, setup=["--trust", "127.0.0.1/32", "--relay", f"smtp://{ADDRESS}:{sink.port}?tls=off"])
    server.append_config(f"bounces {{ return_path domain; domain {BOUNCES}; }}")
    server.start()
    kinds = {"failed": "bounced_later", "delayed": "delayed"}
    sent = {}
    try:
        all_shapes = [shape for shape in shapes() if all(address.isascii() for _, address in shape[1])]
        for number, (name, expected, _) in enumerate(all_shapes):
            recipients = sorted({address.lower() for _, address in expected} | {"bob@there.example", f"zed{number}@there.example"})
            send(server, "ann@here.example", recipients, text_to(recipients[0], subject=f"{number}"))
        wait_for(lambda: len(sink.messages) >= len(all_shapes), 60, "all mails at the sink", 0.3)
        for message in sink.messages:
            number = int(re.search(rb"^Subject: (\d+)", message.data, re.M).group(1))
            sent[number] = message.sender.split("<", 1)[1].split(">", 1)[0]
        with smtplib.SMTP("127.0.0.1", server.ports["smtp"], timeout=60, source_address=("127.0.15.2", 0)) as client:
            for number, (name, expected, text) in enumerate(all_shapes):
                body = text.encode("utf-8", "surrogateescape").replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
                client.sendmail("", [sent[number]], body)
        server.wait_empty(60)
        by_message = {}
        for row in server.rows("trace", "search", "--max", "50000"):
            if row["kind"] in kinds.values():
                by_message.setdefault(row["message"], set()).add((row["kind"], row["recipient"].lower()))
        # The message of each number: the one that was delivered to its zed.
        of_number = {int(re.match(r"zed(\d+)@", row["recipient"]).group(1)): row["message"]
                     for row in server.rows("trace", "search", "--kind", "delivered", "--max", "50000")
                     if row["recipient"].startswith("zed")}
        found, total, wrong, missed = 0, 0, [], []
        for number, (name, expected, _) in enumerate(all_shapes):
            want = {(kinds[action], address.lower()) for action, address in expected if action in kinds}
            have = by_message.get(of_number[number], set())
            total += len(want)
            found += len(want & have)
            missed += [(name, one) for one in want - have]
            wrong += [(name, one) for one in have - want]
        print(f"   {len(all_shapes)} shapes: {found} of {total} recipients found, {len(wrong)} wrongly", *missed, sep="\n   ")
        assert len(all_shapes) >= 200 and found >= 0.95 * total and not wrong, wrong
    finally:
        server.close()
        sink.close()


def run(cases, binary):
    global BINARY
    BINARY = os.path.abspath(binary)
    for name in ("postfix", "exim"):
        cases.run(f"{name} takes first and bounces later: an event of the recipient", bounces_later, name)
        cases.run(f"srs: {name}'s later bounce finds the stranger whose mail an alias sent on", srs_finds_its_way_back, name)
    cases.run("return: a complaint is tied to its message by the sender inside", complaints_are_tied)
    cases.run("return: reports of all shapes are tied to message and recipient", shapes_are_tied_to_their_messages)
    cases.run("return: a storm of forged bounces changes nothing", a_storm_of_forged_bounces_changes_nothing)
