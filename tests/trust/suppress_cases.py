# SPDX-License-Identifier: AGPL-3.0-or-later
"""suppress_cases: links to leave a list that others verify and use, and what the answers of a Postfix teach."""
import os
import re
import shutil
import signal
import smtplib
import subprocess
import tempfile

from harness import Cases, Outpost, Sink, free_port, need, wait_for, wait_port
from parts import Knot, ZONE

HERE = os.path.dirname(os.path.abspath(__file__))
BINARY = None
SYSTEM_PYTHON = "/usr/bin/python3"
LIST = ("list weekly { sender news@here.example; unsubscribe_url https://mail.here.example/u/;\n"
        "  unsubscribe_to leave@here.example; list_id weekly.here.example; }\n")
NEWS = "news@here.example"


def send(server, recipient, sender=NEWS, fields="Subject: news\r\n", options=()):
    """The code of the first refusal, with its text; 250 if there is none."""
    with smtplib.SMTP("127.0.0.1", server.ports["smtp"], timeout=60) as client:
        client.ehlo("client.example")
        client.mail(sender, list(options))
        answer = client.rcpt(recipient)
        if answer[0] == 250:
            answer = client.data(f"From: {sender}\r\nTo: {recipient}\r\n{fields}\r\nHello.\r\n")
        return answer


def suppressed(server, *words):
    return server.rows("suppression", "list", *words)


class Postfix:
    """A Postfix at 127.0.17.1 that has one mailbox, and a list of whom it does not want."""

    def __init__(self):
        if os.geteuid() != 0:
            raise Cases.Skip("peers need root")
        script = os.path.join(HERE, "..", "peers", "postfix.sh")
        self.dir = tempfile.mkdtemp(prefix="peer-postfix-")
        os.chmod(self.dir, 0o755)
        self.port = free_port("127.0.17.1")
        installed = subprocess.run([script, "install"], capture_output=True, text=True, timeout=300)
        if installed.returncode:
            raise Cases.Skip(f"postfix cannot be unpacked: {installed.stderr[-300:]}")
        extra = "\n".join((
            "inet_interfaces = all",
            "mydestination = far.example",
            "local_recipient_maps = inline:{{alive=x},{blocked=x},{full=x}}",
            "local_transport = discard",
            "smtpd_recipient_restrictions = check_recipient_access inline:{"
            "{blocked@far.example=554 5.7.1 Service unavailable; client host [127.0.0.1] blocked using a blocklist},"
            "{full@far.example=552 5.2.2 The mailbox is full}}, permit_mynetworks, reject",
        ))
        self.out = open(os.path.join(self.dir, "out"), "wb")
        self.process = subprocess.Popen([script, "run"], stdout=self.out, stderr=self.out, start_new_session=True, env=dict(
            os.environ, SMTP_HOST="127.0.17.1", SMTP_PORT=str(self.port), SINK_PORT="9", STATE=self.dir, PF_EXTRA=extra))
        try:
            wait_port(self.port, "127.0.17.1")
        except AssertionError:
            self.close()
            raise

    def close(self):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.out.close()
        subprocess.run(["rm", "-rf", "--one-file-system", self.dir])


class Sender:
    """A server that sends the mail of a list to a sink, signed."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="trust-")
        self.sink = Sink("127.0.17.2")
        self.server = Outpost(BINARY, setup=["--trust", "127.0.0.0/8", "--relay",
                                             f"smtp://127.0.17.2:{self.sink.port}?tls=off"])
        self.server.append_config(LIST)
        self.server.start()
        self.server.run("dkim", "new", ZONE)
        self.records = os.path.join(self.dir, "records")
        with open(self.records, "w") as f:
            for key in self.server.rows("dkim", "list", ZONE, "--no-dns"):
                self.server.run("dkim", "sign", ZONE, key["selector"], "--force")
                f.write(f"{key['name']} {key['record']}\n")

    def received(self, recipient):
        before = len(self.sink.messages)
        assert send(self.server, recipient)[0] == 250
        wait_for(lambda: len(self.sink.messages) > before, 60, "the mail at the sink")
        return self.sink.messages[-1].data

    def close(self):
        self.server.close()
        self.sink.close()
        shutil.rmtree(self.dir, ignore_errors=True)


def fields_of(message):
    """Names in lower case with unfolded values, in order."""
    head = re.sub(rb"\r\n[ \t]+", b" ", message.split(b"\r\n\r\n", 1)[0])
    return [(name.lower(), value.strip()) for name, _, value in (line.partition(b":") for line in head.split(b"\r\n"))]


def token_in(message):
    value = dict(fields_of(message))[b"list-unsubscribe"].decode()
    found = re.fullmatch(r"<https://mail\.here\.example/u/([a-z2-7]+)>, <mailto:leave@here\.example\?subject=([a-z2-7]+)>", value)
    assert found and found[1] == found[2], value
    return found[1]


def links_are_signed(sender):
    if subprocess.run([SYSTEM_PYTHON, "-c", "import dkim, nacl"], capture_output=True).returncode:
        raise Cases.Skip("python3-dkim is not on this machine")
    message = sender.received("bob@far.example")
    fields = fields_of(message)
    assert dict(fields)[b"list-unsubscribe-post"] == b"List-Unsubscribe=One-Click"
    assert dict(fields)[b"list-id"] == b"<weekly.here.example>"
    token_in(message)
    signatures = [value for name, value in fields if name == b"dkim-signature"]
    assert len(signatures) == 2, fields
    for value in signatures:
        names = re.sub(rb"\s", b"", re.search(rb"[; ]h=([^;]*)", value)[1]).lower().split(b":")
        assert {b"list-unsubscribe", b"list-unsubscribe-post", b"list-id"} <= set(names), names
    changed = message.replace(b"One-Click", b"Two-Click")
    for name, content, verdict in (("good", message, "pass"), ("changed", changed, "fail")):
        path = os.path.join(sender.dir, name)
        with open(path, "wb") as f:
            f.write(content)
        done = subprocess.run([SYSTEM_PYTHON, os.path.join(HERE, "verify_dkim.py"), sender.records, path],
                              capture_output=True, text=True, timeout=60)
        lines = done.stdout.splitlines()
        assert len(lines) == 2 and all(line.endswith(verdict) for line in lines), (name, done.stdout, done.stderr)


def swaks(server, subject, to="leave@here.example", sender="carol@far.example"):
    return subprocess.run([need("swaks"), "--server", f"127.0.0.1:{server.ports['smtp']}", "--from", sender, "--to", to,
                           "--header", f"Subject: {subject}", "--body", "unsubscribe", "--helo", "mx.far.example"],
                          capture_output=True, text=True, timeout=60)


def mail_leaves_the_list(sender):
    server = sender.server
    message = sender.received("carol@far.example")
    token = token_in(message)
    for wrong in ("unsubscribe", token[:-8] + "aaaaaaaa", token[8:]):
        refused = swaks(server, wrong)
        assert refused.returncode != 0 and "550 5.7.1" in refused.stdout, refused.stdout
    assert not suppressed(server, "carol@far.example")
    assert send(server, "carol@far.example")[0] == 250

    done = swaks(server, token)
    assert done.returncode == 0, done.stdout
    rows = suppressed(server, "carol@far.example")
    assert [(r["reason"], r["list"], r["account"]) for r in rows] == [("unsubscribe", "weekly", NEWS)], rows
    code, text = send(server, "carol@far.example")
    assert code == 550 and b"unsubscribe since" in text, (code, text)
    # What a person writes is no mail of the list.
    assert send(server, "carol@far.example", sender="ann@here.example", fields="Subject: dear Carol\r\n")[0] == 250
    events = server.rows("trace", "search", "carol@far.example", "--kind", "suppressed")
    assert any(e.get("stage") == "unsubscribe" for e in events), events

    server.run("suppression", "unsubscribe", token, "--undo")
    assert not suppressed(server, "carol@far.example")
    assert send(server, "carol@far.example")[0] == 250
    assert "gets no more" in server.run("suppression", "unsubscribe", "https://mail.here.example/u/" + token, "--dry-run").stdout
    assert not suppressed(server, "carol@far.example")
    server.run("suppression", "unsubscribe", token)
    assert send(server, "carol@far.example")[0] == 550
    assert server.run("suppression", "unsubscribe", token[:-1] + ("a" if token[-1] != "a" else "b"), check=False).returncode == 77
    # The plus of the address holds it as well, where it fits; a token of another key does nothing.
    assert not any(r["address"] == "dave@far.example" for r in suppressed(server))


def a_postfix_teaches_who_is_dead():
    postfix = Postfix()
    zone = Knot("far.example", "@ MX 10 mx\nmx A 127.0.17.1")
    server = Outpost(BINARY, setup=["--trust", "127.0.0.0/8"])
    server.append_config(f'dns {{ stub "far.example" 127.0.0.1:{zone.port}; timeout 5s; }}\n'
                         f"delivery {{ smtp_port {postfix.port}; tls off; }}\n")
    bulk = "Subject: to many\r\nPrecedence: bulk\r\n"

    def attempt(recipient, fields, kind):
        def ended():
            return len([r for r in server.rows("trace", "search", recipient) if r["kind"] == kind])
        before = ended()
        code, text = send(server, recipient, fields=fields)
        assert code == 250, (recipient, code, text)
        wait_for(lambda: ended() > before, 40, f"{kind} of the mail to {recipient}", 0.3)
    try:
        server.start()
        # A person's mail to a dead mailbox teaches nothing; bulk mail does.
        attempt("dead@far.example", "Subject: hello\r\n", "bounced")
        assert not suppressed(server)
        attempt("dead@far.example", bulk, "bounced")
        wait_for(lambda: suppressed(server), 20, "the entry", 0.2)
        row = suppressed(server)[0]
        assert row["address"] == "dead@far.example" and row["reason"] == "bounce" and row["account"] == NEWS, row
        assert row["note"].startswith("550 5.1.1") and "expires" in row and row["source"] == "delivery", row
        code, text = send(server, "dead@far.example", fields=bulk)
        assert code == 550 and b"Suppressed: bounce" in text, (code, text)
        # Neither a full mailbox nor a block of us says that nobody is there.
        code, _ = send(server, "full@far.example", fields=bulk)
        assert code == 250
        wait_for(lambda: any(r["kind"] in ("bounced", "deferred") for r in server.rows("trace", "search", "full@far.example")),
                 40, "the answer of the full mailbox", 0.3)
        attempt("alive@far.example", bulk, "delivered")
        # The last, for it makes the site wait.
        attempt("blocked@far.example", bulk, "bounced")
        assert [r["address"] for r in suppressed(server)] == ["dead@far.example"], suppressed(server)
    except AssertionError:
        for row in server.rows("trace", "search", "--max", "20"):
            print("#", {key: row[key] for key in ("kind", "recipient", "code", "text", "text_raw", "stage") if key in row})
        raise
    finally:
        server.close()
        zone.close()
        postfix.close()


def run(cases, binary):
    global BINARY
    BINARY = os.path.abspath(binary)
    names = ("the links of a list are signed, and dkimpy verifies them", "swaks leaves the list by mail, and comes back")
    if not cases.only or any(word in name for word in cases.only for name in names):
        sender = Sender()
        try:
            cases.run(names[0], links_are_signed, sender)
            cases.run(names[1], mail_leaves_the_list, sender)
        finally:
            sender.close()
    cases.run("a Postfix teaches who is dead, and a block teaches nothing", a_postfix_teaches_who_is_dead)
