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


# The life of a key -------------------------------------------------------------------------------------

FIRST, SECOND, RESOLVER = "127.0.13.1", "127.0.13.2", "127.0.13.3"
TSIG = ("outpost.here.example", "c2VjcmV0IG9mIGEga2V5IGZvciBhIHRlc3QgYWxvbmU=")


def signatures(data):
    """(selector, name of the record) of each signature of a message."""
    text = data.decode("utf-8", "replace").split("\r\n\r\n")[0].replace("\r\n\t", " ")
    fields = [line for line in text.split("\r\n") if line.startswith("DKIM-Signature:")]
    tags = [dict(tag.strip().split("=", 1) for tag in field[16:].split(";") if "=" in tag) for field in fields]
    return [(tag["s"], f"{tag['s']}._domainkey.{tag['d']}") for tag in tags]


class Rotating:
    """A server beside name servers: what it sends is verified when it arrives, against what each server of the zone
    says at that moment."""

    def __init__(self, dkim, servers=(FIRST,), config="", decide=None):
        self.dir = tempfile.mkdtemp(prefix="rotating-")
        self.zones = [Knot(ZONE, address=server, servers=servers, key=TSIG) for server in servers]
        self.sink = Sink(decide=decide)
        self.server = Outpost(BINARY, setup=["--trust", "127.0.0.0/8", "--relay", f"smtp://127.0.0.1:{self.sink.port}"])
        self.secret = os.path.join(os.path.dirname(self.server.config), "tsig")  # A place that the sandbox leaves open.
        with open(self.secret, "w") as f:
            f.write(TSIG[1] + "\n")
        os.chmod(self.secret, 0o600)
        self.server.append_config(f'dns {{ stub "{ZONE}" {FIRST}:53; }}\nserver {{ postmaster postmaster@{ZONE}; sandbox on; }}\n'
                                  f"dkim {{ {dkim} }}\nsmtp {{ message_timeout 1s; }}\n{config}")
        self.server.start()
        self.verified = 0
        self.unsigned = 0

    def update_block(self):
        return f"dns_update {ZONE} {{ server {FIRST}:53; key_name {TSIG[0]}; key_file {self.secret}; ttl 1s; }}"

    def keys(self):
        return {key["selector"]: key["state"] for key in self.server.rows("dkim", "list", "--no-dns")}

    def in_state(self, state):
        return sorted(selector for selector, at in self.keys().items() if at == state)

    def check(self, data):
        """Every signature holds by each server of the zone as it is now; the selectors."""
        for zone in self.zones:
            path, records = os.path.join(self.dir, "message.eml"), os.path.join(self.dir, "records")
            with open(records, "w") as f:
                for _, name in signatures(data):
                    for record in zone.records(name):
                        f.write(f"{name} {record}\n")
            with open(path, "wb") as f:
                f.write(data)
            done = subprocess.run([SYSTEM_PYTHON, os.path.join(HERE, "verify_dkim.py"), records, path],
                                  capture_output=True, text=True, timeout=60)
            lines = done.stdout.splitlines()
            assert len(lines) == len(signatures(data)) and all(line.endswith(" pass") for line in lines), \
                f"{lines} {done.stderr[-500:]}\nat {zone.address}: {open(records).read()}\n{self.keys()}"
        self.verified += 1
        return sorted(selector for selector, _ in signatures(data))

    def send(self, recipient="bob@far.example"):
        with smtplib.SMTP("127.0.0.1", self.server.ports["smtp"], timeout=60) as client:
            client.ehlo("client.example")
            client.sendmail("ann@here.example", [recipient], SHAPES["plain"])

    def send_one(self):
        before = len(self.sink.messages)
        self.send()
        wait_for(lambda: len(self.sink.messages) > before, 30, "the mail")
        return self.check(self.sink.messages[-1].data)

    def send_until(self, condition, what, seconds=60):
        """Mail goes out and is verified while we wait."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"{what}: {self.server.rows('dkim', 'list', ZONE)}\n{self.server.log_text()[-3000:]}"
            self.send_one()

    def close(self):
        self.server.close()
        self.sink.close()
        for zone in self.zones:
            zone.close()
        shutil.rmtree(self.dir, ignore_errors=True)


def a_zone_that_a_human_edits():
    """Two servers of the zone, and a resolver that is named, disagree for a while."""
    world = Rotating(f"settle 2s; look_every 1s; overlap 0s; resolvers {RESOLVER}:53;", (FIRST, SECOND),
                     "delivery { expire 3s; }")
    resolver = Knot(ZONE, address=RESOLVER)
    first, second = world.zones
    try:
        world.server.run("dkim", "new", ZONE, "--algorithm", "rsa", "--selector", "one")
        name, record = f"one._domainkey.{ZONE}", world.server.rows("dkim", "list", ZONE)[0]["record"]
        assert world.send_one() == [], "nothing is signed by a key that nobody can see"
        refused = world.server.run("dkim", "sign", ZONE, "one", check=False)
        assert refused.returncode == 77 and "absent" in refused.stderr, refused.stderr
        first.publish(name, record)
        second.publish(name, "v=DKIM1; k=rsa; p=AAAA")
        resolver.publish(name, record)
        time.sleep(5)
        assert world.in_state("new") == ["one"], "one server of the zone has another key"
        shown = world.server.rows("dkim", "list", ZONE)[0]
        assert shown["dns"] == "another key" and SECOND in shown["seen"], shown
        assert {SECOND: "another key", FIRST: "seen"} == {view["who"].split("(")[1][:-1]: view["sight"]
                                                         for view in shown["views"] if "(" in view["who"]}, shown
        refused = world.server.run("dkim", "sign", ZONE, "one", check=False)
        assert refused.returncode == 77 and SECOND in refused.stderr, refused.stderr
        second.withdraw(name)
        time.sleep(3)
        assert world.in_state("new") == ["one"] and world.send_one() == []
        second.publish(name, record)
        resolver.withdraw(name)
        time.sleep(4)
        assert world.in_state("new") == ["one"], "the resolver that dkim.resolvers names does not see it"
        resolver.publish(name, record)
        world.send_until(lambda: world.in_state("active") == ["one"], "the first key signs")
        assert world.send_one() == ["one"]

        done = world.server.run("dkim", "rotate", ZONE)
        assert "put these records into the zone" in done.stderr and "_domainkey" in done.stdout, done
        assert "DKIM keys that wait for their records in the DNS: 1;" in world.server.run("status").stdout
        again = world.server.rows("dkim", "rotate", ZONE)
        assert len(again) == 1, "it goes on with the key that it made"
        name, record, two = again[0]["name"], again[0]["record"], again[0]["selector"]
        for zone in (first, second, resolver):
            assert world.send_one() == ["one"], "the old key signs until everybody sees the new one"
            zone.publish(name, record)
        world.send_until(lambda: world.in_state("active") == [two], "the second key signs")
        assert world.send_one() == [two]
        world.send_until(lambda: world.in_state("revoked") == ["one"], "the first key is revoked")
        assert world.server.rows("dns", "records", ZONE), "the records"
        for zone in (first, second):
            zone.withdraw(f"one._domainkey.{ZONE}")
        world.server.run("dkim", "rm", ZONE, "one", "--yes", "--reason", "rotated")
        world.server.stop()
        world.server.start()
        assert world.keys() == {two: "active"} and world.send_one() == [two]
    finally:
        world.close()
        resolver.close()


def a_zone_that_we_write():
    """A rotation from its begin to its end with updates of our own, killed in each state; what waits meanwhile holds."""
    late = {"refuse": True}
    world = Rotating("settle 2s; look_every 1s; overlap 0s;", config="delivery { expire 16s; retry_min 1s; retry_max 2s; }",
                     decide=lambda stage, text: "451 4.2.1 later" if stage == "rcpt" and "slow" in text and late["refuse"] else None)
    zone = world.zones[0]

    def kill():
        world.server.kill()
        world.server.start()

    def arrivals(name):
        return [message.data for message in world.sink.messages if name in message.recipients]
    try:
        world.server.append_config(world.update_block())
        world.server.run("reload")
        world.server.run("dkim", "rotate", ZONE)
        world.send_until(lambda: len(world.in_state("active")) == 2, "the first two keys sign")
        old = world.in_state("active")
        assert world.send_one() == old
        for selector in old:
            assert len(zone.records(f"{selector}._domainkey.{ZONE}")) == 1

        world.send("slow@far.example")  # Signed by the old keys, and on its way for long.
        world.send("slow.held@far.example")
        wait_for(lambda: world.server.run("queue", "hold", "to:slow.held@far.example", check=False).returncode == 0, 20, "a mail that is held", 0.5)
        done = world.server.run("dkim", "rotate", ZONE)
        assert "written" in done.stderr, done
        kill()
        assert len(world.in_state("new")) == 2 and world.in_state("active") == old, world.keys()
        assert world.send_one() == old, "a key that is not settled does not sign"
        world.send_until(lambda: len(world.in_state("active")) == 2 and world.in_state("active") != old and
                         not world.in_state("new"), "the next two keys sign")
        new = world.in_state("active")
        kill()
        assert world.in_state("active") == new and world.in_state("retired") == old and world.send_one() == new
        late["refuse"] = False
        wait_for(lambda: arrivals("slow@far.example"), 30, "the mail that was late")
        assert world.check(arrivals("slow@far.example")[0]) == old, "signed by the old keys, and verified after they retired"
        until = time.monotonic() + 18
        world.send_until(lambda: time.monotonic() > until, "nothing")
        assert world.in_state("retired") == old, "mail that they signed is held in the queue, for longer than it may wait"
        world.server.run("queue", "delete", "to:slow.held@far.example", "--yes", "--reason", "a test")
        world.send_until(lambda: world.in_state("revoked") == old, "the old keys are revoked")
        wait_for(lambda: all(record.endswith("p=") for selector in old for record in zone.records(f"{selector}._domainkey.{ZONE}")),
                 20, "the empty records of the old keys")
        kill()
        assert world.send_one() == new
        for selector in old:
            world.server.run("dkim", "rm", ZONE, selector, "--yes", "--reason", "rotated")
            assert zone.records(f"{selector}._domainkey.{ZONE}") == []
        assert sorted(world.keys()) == new
        assert world.verified > 20, world.verified
    finally:
        world.close()


def every_step_of_a_rotation_can_be_undone():
    for writes in (True, False):
        world = Rotating("settle 1s; look_every 1s; overlap 0s;", config="delivery { expire 4s; }")
        zone = world.zones[0]

        def publish():
            for key in [] if writes else world.server.rows("dkim", "list", ZONE, "--no-dns"):
                zone.publish(key["name"], key["record"])

        def rotate(signs=2):
            before = world.in_state("active")
            world.server.run("dkim", "rotate", ZONE)
            publish()
            world.send_until(lambda: world.in_state("active") != before and len(world.in_state("active")) == signs and
                             not world.in_state("new"), "the next keys sign")
            return world.in_state("active")
        try:
            if writes:
                world.server.append_config(world.update_block())
                world.server.run("reload")
            old = rotate()

            world.server.run("dkim", "rotate", ZONE)  # Made and published, and back.
            made = world.in_state("new")
            assert len(made) == 2, world.keys()
            world.server.run("dkim", "undo", ZONE)
            assert world.keys() == dict.fromkeys(old, "active"), world.keys()
            if writes:
                assert all(not zone.records(f"{selector}._domainkey.{ZONE}") for selector in made)
            assert world.send_one() == old

            new = rotate()  # Signing, and back, and forth.
            world.server.run("dkim", "undo", ZONE)
            assert world.in_state("active") == old and world.send_one() == old and world.in_state("retired") == new
            world.server.run("dkim", "undo", ZONE)
            assert world.in_state("active") == new and world.send_one() == new and world.in_state("retired") == old

            world.send_until(lambda: world.in_state("revoked") == old, "the old keys are revoked")  # Revoked, and back.
            shown = [key["record"] for key in world.server.rows("dkim", "list", "--no-dns") if key["state"] == "revoked"]
            assert all(record.endswith("p=") for record in shown), shown
            world.server.run("dkim", "undo", ZONE)
            assert world.in_state("retired") == old and world.send_one() == new
            if writes:
                for selector in old:
                    assert len(zone.records(f"{selector}._domainkey.{ZONE}")[0]) > 40, "the whole record is back"
            world.send_until(lambda: world.in_state("revoked") == old, "the old keys are revoked again")
            for selector in old:
                world.server.run("dkim", "rm", ZONE, selector, "--yes", "--reason", "a test")
            none = world.server.run("dkim", "undo", ZONE, check=False)
            assert none.returncode not in (0, 64) and "no step" in none.stderr, none.stderr
            assert world.send_one() == new
        finally:
            world.close()


def bounces_are_signed_and_verify():
    world = Rotating("settle 0s; look_every 1s;", decide=lambda stage, text: "550 5.1.1 no" if stage == "rcpt" and "nobody@" in text else None)
    try:
        world.server.append_config(world.update_block())
        world.server.run("reload")
        world.server.run("dkim", "rotate", ZONE)
        world.send_until(lambda: len(world.in_state("active")) == 2, "the keys sign")
        before = len(world.sink.messages)
        with smtplib.SMTP("127.0.0.1", world.server.ports["smtp"], timeout=60) as client:
            client.ehlo("client.example")
            client.sendmail("ann@elsewhere.example", ["nobody@far.example"], SHAPES["plain"])
        wait_for(lambda: len(world.sink.messages) > before, 30, "the report")
        report = world.sink.messages[-1]
        assert report.recipients == ["ann@elsewhere.example"] and b"multipart/report" in report.data, report
        assert world.check(report.data) == world.in_state("active")
    finally:
        world.close()


def keys_are_rotated_when_they_are_old():
    world = Rotating("settle 1s; look_every 1s; overlap 0s; rotate_every 12s;", config="delivery { expire 2s; }")
    try:
        world.server.run("dkim", "new", ZONE, "--algorithm", "ed25519")
        only = world.in_state("new")
        world.zones[0].publish(f"{only[0]}._domainkey.{ZONE}", world.server.rows("dkim", "list", ZONE, "--no-dns")[0]["record"])
        world.send_until(lambda: world.in_state("active") == only, "the key signs")
        wait_for(lambda: "older than dkim.rotate_every" in world.server.log_text(), 30, "the reminder for a human")
        assert world.in_state("active") == only
        world.server.append_config(world.update_block())
        world.server.run("reload")
        world.send_until(lambda: world.in_state("active") and world.in_state("active") != only, "the next key signs")
        world.send_until(lambda: only[0] in world.in_state("revoked"), "the first one is revoked")
    finally:
        world.close()


def updates_that_are_refused_are_told():
    world = Rotating("settle 1s; look_every 1s;")
    try:
        world.server.append_config(world.update_block().replace(TSIG[0], "nobody.here.example"))
        world.server.run("reload")
        world.server.run("dkim", "new", ZONE, "--algorithm", "ed25519", "--selector", "one")
        told = world.server.run("dkim", "publish", ZONE, "one", check=False)
        assert told.returncode not in (0, 64) and "BADKEY" in told.stderr, told.stderr
        with open(world.secret, "w") as f:
            f.write("b3RoZXIgc2VjcmV0\n")
        text = open(world.server.config).read().replace("nobody.here.example", TSIG[0])
        with open(world.server.config, "w") as f:
            f.write(text)
        world.server.run("reload")
        told = world.server.run("dkim", "publish", ZONE, "one", check=False)
        assert told.returncode not in (0, 64) and "BADSIG" in told.stderr, told.stderr
        os.chmod(world.secret, 0o644)
        told = world.server.run("dkim", "publish", ZONE, "one", check=False)
        assert told.returncode not in (0, 64) and "chmod 600" in told.stderr, told.stderr
        os.chmod(world.secret, 0o600)
        with open(world.secret, "w") as f:
            f.write(TSIG[1] + "\n")
        assert "written" in world.server.run("dkim", "publish", ZONE, "one").stdout
        assert len(world.zones[0].records(f"one._domainkey.{ZONE}")) == 1
        assert world.secret and TSIG[1] not in world.server.log_text()
    finally:
        world.close()


def run(cases, binary):
    global BINARY
    BINARY = binary
    signed = Signed()
    try:
        for case in (dkimpy_verifies, a_changed_message_fails, opendkim_verifies, rspamd_verifies):
            cases.run(case.__name__.replace("_", " "), case, signed)
    finally:
        signed.close()
    for case in (a_policy_signs_in_each_canonical_form, keys_are_made_for_our_own_domains, a_zone_that_a_human_edits,
                 a_zone_that_we_write, every_step_of_a_rotation_can_be_undone, bounces_are_signed_and_verify,
                 keys_are_rotated_when_they_are_old, updates_that_are_refused_are_told):
        cases.run(case.__name__.replace("_", " "), case)
