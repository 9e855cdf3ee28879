# SPDX-License-Identifier: AGPL-3.0-or-later
"""dkim_cases: signatures that others verify, and the life of a key beside a real name server."""
import hashlib
import json
import os
import shutil
import smtplib
import subprocess
import tempfile
import time
import urllib.request

from harness import Outpost, Sink, free_port, need, wait_for, wait_port
from parts import Knot, SHAPES, ZONE

HERE = os.path.dirname(os.path.abspath(__file__))
BINARY = None
SYSTEM_PYTHON = "/usr/bin/python3"


def make_keys(server):
    """Both keys, signing at once; the records by name."""
    server.run("dkim", "new", ZONE)
    records = {}
    for key in server.rows("dkim", "list", ZONE, "--no-dns"):
        server.run("dkim", "sign", ZONE, key["selector"], "--force")
        records[key["name"]] = key["record"]
    assert len(records) == 2, records
    return records


def send(server, content, options=()):
    with smtplib.SMTP("127.0.0.1", server.ports["smtp"], timeout=60) as client:
        client.ehlo("client.example")
        client.mail("ann@here.example", list(options))
        client.rcpt("bob@far.example")
        code, answer = client.data(content)
        assert code == 250, answer


class Signed:
    """A server that signs and a sink that keeps what it sent, by shape."""

    def __init__(self, policy="", shapes=SHAPES):
        self.dir = tempfile.mkdtemp(prefix="trust-")
        self.sink = Sink(capabilities=("PIPELINING", "8BITMIME", "SMTPUTF8", "SIZE 99999999"))
        self.server = Outpost(BINARY, setup=["--trust", "127.0.0.0/8", "--relay", f"smtp://127.0.0.1:{self.sink.port}"])
        self.server.append_config(policy)
        self.server.start()
        self.records = make_keys(self.server)
        self.paths = {}
        for name, content in shapes.items():
            self.add(name, content, ["BODY=8BITMIME"])
        self.add("SMTPUTF8", "From: J\u00f6rg <j\u00f6rg@here.example>\r\nSubject: \u00fc\r\n\r\n\u00fc\r\n".encode(),
                 ["BODY=8BITMIME", "SMTPUTF8"])
        self.records_file = os.path.join(self.dir, "records")
        with open(self.records_file, "w") as f:
            for name, record in self.records.items():
                f.write(f"{name} {record}\n")

    def add(self, name, content, options):
        before = len(self.sink.messages)
        send(self.server, content, options)
        wait_for(lambda: len(self.sink.messages) > before, 60, f"the mail {name!r} at the sink")
        path = os.path.join(self.dir, name.replace(" ", "_") + ".eml")
        with open(path, "wb") as f:
            f.write(self.sink.messages[-1].data)
        self.paths[name] = path

    def close(self):
        self.server.close()
        self.sink.close()
        shutil.rmtree(self.dir, ignore_errors=True)


def verdicts(signed, paths):
    """What dkimpy says of each signature, by path."""
    if subprocess.run([SYSTEM_PYTHON, "-c", "import dkim, nacl"], capture_output=True).returncode:
        raise Cases.Skip("python3-dkim is not on this machine")
    done = subprocess.run([SYSTEM_PYTHON, os.path.join(HERE, "verify_dkim.py"), signed.records_file, *paths],
                          capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-1500:]
    return {path: [line for line in done.stdout.splitlines() if line.startswith(path + " ")] for path in paths}


def dkimpy_verifies(signed):
    for path, lines in verdicts(signed, signed.paths.values()).items():
        assert len(lines) == 2 and all(line.endswith("pass") for line in lines), f"{path}: {lines}"
        assert {"a=rsa-sha256", "a=ed25519-sha256"} == {line.split()[3] for line in lines}, lines


def a_changed_message_fails(signed):
    with open(signed.paths["plain"], "rb") as f:
        content = f.read()
    changes = {"body": content.replace(b"Hello.", b"Hallo."),
               "subject": content.replace(b"Subject: hello", b"Subject: yello"),
               "second_From": content.replace(b"From: Ann", b"From: eve@evil.example\r\nFrom: Ann", 1)}
    for name, changed in changes.items():
        with open(os.path.join(signed.dir, name), "wb") as f:
            f.write(changed)
    for path, lines in verdicts(signed, [os.path.join(signed.dir, name) for name in changes]).items():
        assert len(lines) == 2 and all(line.endswith("fail") for line in lines), f"{path}: {lines}"


def opendkim_verifies(signed):
    program = need("opendkim")
    config = os.path.join(signed.dir, "opendkim.conf")
    with open(config, "w") as f:
        f.write(f"Mode v\nTestDNSData file:{signed.records_file}\nCanonicalization relaxed/relaxed\n")
    for name, path in signed.paths.items():
        done = subprocess.run([program, "-x", config, "-t", path, "-vv"], capture_output=True, text=True, timeout=120)
        text = done.stdout + done.stderr
        assert "verification (s=" in text and "succeeded" in text and "failed" not in text.lower(), f"{name}: {text[-800:]}"


def rspamd_verifies(signed):
    program = need("rspamd")
    names = Knot(ZONE)
    port, folder = free_port(), tempfile.mkdtemp(prefix="rspamd-")
    process = None
    try:
        for name, record in signed.records.items():
            names.publish(name, record)
        local = os.path.join(folder, "local.d")
        os.makedirs(local)
        os.chmod(folder, 0o755)
        config = os.path.join(folder, "rspamd.conf")
        with open(config, "w") as f:
            f.write('options { pidfile = "%s/pid"; filters = "dkim"; dns { nameserver = ["127.0.0.1:%d"]; timeout = 5s; }\n'
                    '  tempdir = "%s"; url_tld = "%s/tlds"; history_file = null; control_socket = "%s/rspamd.sock mode=0600"; rrd = null; }\n'
                    'logging { type = "file"; filename = "%s/log"; level = "info"; }\n'
                    'worker "normal" { bind_socket = "127.0.0.1:%d"; count = 1; task_timeout = 60s; }\n'
                    'dkim { dkim_cache_size = 1; time_jitter = 6h; trusted_only = false; skip_multi = false; max_sigs = 5; }\n'
                    % (folder, names.port, folder, folder, folder, folder, port))
        with open(os.path.join(folder, "tlds"), "w") as f:
            f.write("com\norg\nexample\n")
        process = subprocess.Popen([program, "-f", "-i", "-c", config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_port(port, seconds=30)
        for name, path in signed.paths.items():
            with open(path, "rb") as f:
                request = urllib.request.Request(f"http://127.0.0.1:{port}/checkv2", data=f.read(), headers={"From": "ann@here.example", "IP": "203.0.113.9"})
            symbols = json.load(urllib.request.urlopen(request, timeout=90))["symbols"]
            assert "R_DKIM_ALLOW" in symbols and "R_DKIM_REJECT" not in symbols, f"{name}: {list(symbols)}"
    finally:
        if process:
            process.terminate()
            process.wait()
        names.close()
        shutil.rmtree(folder, ignore_errors=True)


def a_policy_signs_in_each_canonical_form():
    """Three of the four pairs; the usual one is that of the cases before."""
    shapes = {name: content for name, content in SHAPES.items() if name != "25 MiB"}
    for pair in ("simple/simple", "simple/relaxed", "relaxed/simple"):
        header, body = pair.split("/")
        signed = Signed(f"dkim_policy {ZONE} {{ header {header}; body {body}; fields From To Subject Date Message-ID List-Unsubscribe;\n"
                        "  oversign From Subject; expire 30d; }", shapes)
        try:
            with open(signed.paths["plain"], "rb") as f:
                text = f.read().decode().replace("\r\n\t", " ")
            assert text.count(f"c={pair};") == 2 and text.count(" x=") == 2, text[:1500]
            assert text.count("h=From:From:To:Subject:Subject:Date:Message-ID;") == 2, text[:1500]
            dkimpy_verifies(signed)
            if header == "simple":
                del signed.paths["blanks"]  # OpenDKIM's test mode does not keep the blanks behind the colon.
            opendkim_verifies(signed)
            rspamd_verifies(signed)
        finally:
            signed.close()


# The life of a key -------------------------------------------------------------------------------------

def selectors_that_sign(sink):
    text = sink.messages[-1].data.decode("utf-8", "replace").replace("\r\n\t", " ")
    return sorted(word[2:-1] for word in text.split() if word.startswith("s=") and word.endswith(";"))


def state_of(server, selector):
    return next((key["state"] for key in server.rows("dkim", "list", ZONE, "--no-dns") if key["selector"] == selector), None)


def a_key_signs_once_it_is_seen_and_rotates():
    names, sink = Knot(ZONE), Sink()
    server = Outpost(BINARY, setup=["--trust", "127.0.0.0/8", "--relay", f"smtp://127.0.0.1:{sink.port}"])
    server.append_config(f'dns {{ stub "{ZONE}" 127.0.0.1:{names.port}; }}\n'
                         "dkim { settle 2s; look_every 1s; overlap 0s; }\ndelivery { expire 3s; }")
    server.start()

    def send_one():
        before = len(sink.messages)
        send(server, SHAPES["plain"])
        wait_for(lambda: len(sink.messages) > before, 30, "the mail")
        return selectors_that_sign(sink)
    try:
        server.run("dkim", "new", ZONE, "--algorithm", "rsa", "--selector", "one")
        assert send_one() == [], "nothing is signed by a key that nobody can see"
        refused = server.run("dkim", "sign", ZONE, "one", check=False)
        assert refused.returncode == 77 and "absent" in refused.stderr, refused.stderr
        names.publish(f"one._domainkey.{ZONE}", "v=DKIM1; k=rsa; p=AAAA")
        time.sleep(4)
        assert state_of(server, "one") == "new", "another key's record is not this key's"
        record = server.rows("dkim", "list", ZONE)[0]["record"]
        names.publish(f"one._domainkey.{ZONE}", record)
        wait_for(lambda: state_of(server, "one") == "active", 30, "the first key to sign", 0.3)
        assert send_one() == ["one"]

        server.run("dkim", "new", ZONE, "--algorithm", "rsa", "--selector", "two")
        assert send_one() == ["one"], "the old key signs until the new one is seen"
        record = next(key["record"] for key in server.rows("dkim", "list", ZONE) if key["selector"] == "two")
        names.publish(f"two._domainkey.{ZONE}", record)
        wait_for(lambda: state_of(server, "two") == "active", 30, "the second key to sign", 0.3)
        assert state_of(server, "one") in ("retired", "revoked"), state_of(server, "one")
        assert send_one() == ["two"]
        wait_for(lambda: state_of(server, "one") == "revoked", 30, "the first key to be revoked", 0.3)
        assert server.rows("dns", "records", ZONE), "the records"
        names.withdraw(f"one._domainkey.{ZONE}")
        server.run("dkim", "rm", ZONE, "one", "--yes", "--reason", "rotated")
        server.stop()
        server.start()
        assert state_of(server, "one") is None and send_one() == ["two"]
    finally:
        server.close()
        sink.close()
        names.close()


def keys_are_made_for_our_own_domains():
    server = Outpost(BINARY)
    server.start()
    try:
        refused = server.run("dkim", "new", "else.example", check=False)
        assert refused.returncode not in (0, 64) and "not one of our domains" in refused.stderr, refused.stderr
        assert server.rows("dkim", "list", "--no-dns") == []
        server.run("dkim", "new", f"shop.{ZONE}", "--algorithm", "ed25519")
        server.run("dkim", "new", "else.example", "--algorithm", "ed25519", "--force")
        assert len(server.rows("dkim", "list", "--no-dns")) == 2
    finally:
        server.close()


def every_step_of_a_rotation_can_be_undone():
    names, sink = Knot(ZONE), Sink()
    server = Outpost(BINARY, setup=["--trust", "127.0.0.0/8", "--relay", f"smtp://127.0.0.1:{sink.port}"])
    server.append_config(f'dns {{ stub "{ZONE}" 127.0.0.1:{names.port}; }}\ndkim {{ settle 1d; look_every 1s; }}')
    server.start()
    try:
        for selector in ("one", "two"):
            server.run("dkim", "new", ZONE, "--algorithm", "ed25519", "--selector", selector)
        server.run("dkim", "sign", ZONE, "one", "--force")
        server.run("dkim", "sign", ZONE, "two", "--force")
        assert (state_of(server, "one"), state_of(server, "two")) == ("retired", "active")
        server.run("dkim", "sign", ZONE, "one")
        assert (state_of(server, "one"), state_of(server, "two")) == ("active", "retired")
        server.run("dkim", "retire", ZONE, "one")
        assert (state_of(server, "one"), state_of(server, "two")) == ("retired", "retired")
        send(server, SHAPES["plain"])
        wait_for(lambda: sink.messages, 30, "the mail")
        assert selectors_that_sign(sink) == []
    finally:
        server.close()
        sink.close()
        names.close()


def run(cases, binary):
    global BINARY
    BINARY = binary
    signed = Signed()
    try:
        for case in (dkimpy_verifies, a_changed_message_fails, opendkim_verifies, rspamd_verifies):
            cases.run(case.__name__.replace("_", " "), case, signed)
    finally:
        signed.close()
    for case in (a_policy_signs_in_each_canonical_form, keys_are_made_for_our_own_domains,
                 a_key_signs_once_it_is_seen_and_rotates, every_step_of_a_rotation_can_be_undone):
        cases.run(case.__name__.replace("_", " "), case)
