# SPDX-License-Identifier: AGPL-3.0-or-later
"""arc_cases: what aliases send on is sealed; dkimpy and Rspamd look at the chains, we look at theirs."""
import json
import os
import re
import shutil
import smtplib
import subprocess
import tempfile

from harness import Outpost, Sink, need, wait_for
from parts import Knot, SHAPES

HERE = os.path.dirname(os.path.abspath(__file__))
SYSTEM_PYTHON = "/usr/bin/python3"
ZONE = "arc.example"
HOPS = ("one", "two", "three")
AUTHOR = f"from.{ZONE}"
LIMIT = 30
BINARY = None


def python(*words, stdin=None):
    done = subprocess.run([SYSTEM_PYTHON, os.path.join(HERE, "verify_arc.py"), *words], input=stdin, capture_output=True, timeout=240)
    assert done.returncode == 0, done.stderr.decode()[-1500:]
    return done.stdout


class World:
    """Outposts in a row: list@one → next@two → next@three → bob@far.example at the sink; one DNS for all."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="arc-")
        self.names, self.records = Knot(ZONE), {}
        self.sink = Sink(capabilities=("PIPELINING", "8BITMIME", "SMTPUTF8", "SIZE 99999999"))
        self.servers, self.keys = {}, {}
        next_port, target = self.sink.port, "bob@far.example"
        for hop in reversed(HOPS):
            domain = f"{hop}.{ZONE}"
            server = Outpost(BINARY, address=f"ann@{domain}", setup=["--relay", f"smtp://127.0.0.1:{next_port}"], name=hop)
            server.append_config(f'dns {{ stub "{ZONE}" 127.0.0.1:{self.names.port}; timeout 4s; }}')
            server.start()
            server.run("alias", "add", f"next@{domain}", target)
            server.run("alias", "add", f"out@{domain}", "bob@far.example")
            server.run("dkim", "new", domain)
            for key in server.rows("dkim", "list", domain, "--no-dns"):
                server.run("dkim", "sign", domain, key["selector"], "--force")
                self.publish(key["name"], key["record"])
            self.servers[hop] = server
            next_port, target = server.ports["smtp"], f"next@{domain}"
        self.author_keys()

    def publish(self, name, record):
        self.names.publish(name, record)
        self.records[name] = record
        with open(self.path("records"), "w") as f:
            f.writelines(f"{name} {record}\n" for name, record in self.records.items())

    def author_keys(self):
        """Keys of an author and of a hop that dkimpy plays."""
        for domain in (AUTHOR, f"other.{ZONE}"):
            pem = self.path(domain + ".pem")
            subprocess.run(["openssl", "genrsa", "-traditional", "-out", pem, "2048"], check=True, capture_output=True)
            der = subprocess.run(["openssl", "rsa", "-in", pem, "-pubout", "-outform", "DER"], check=True, capture_output=True).stdout
            self.publish(f"s._domainkey.{domain}", "v=DKIM1; k=rsa; p=" + base64_of(der))
            self.keys[domain] = pem
        made = subprocess.run([SYSTEM_PYTHON, "-c", "import nacl.signing, base64; k = nacl.signing.SigningKey.generate();"
                               "print(base64.b64encode(bytes(k)).decode(), base64.b64encode(bytes(k.verify_key)).decode())"],
                              check=True, capture_output=True, text=True).stdout.split()
        with open(self.path("ed25519"), "w") as f:
            f.write(made[0])
        self.publish(f"e._domainkey.{AUTHOR}", "v=DKIM1; k=ed25519; p=" + made[1])
        self.keys["ed25519"] = self.path("ed25519")

    def path(self, name):
        return os.path.join(self.dir, name)

    def signed(self, content, canon="relaxed/relaxed", key=AUTHOR, *more):
        return python("sign", self.keys[key], AUTHOR, canon, *more, stdin=content) + content

    def sealed(self, content, cv):
        return python("seal", self.keys[f"other.{ZONE}"], f"other.{ZONE}", cv, stdin=content) + content

    def send(self, content, hop="three", options=("BODY=8BITMIME",), local="next"):
        """In at HOP, out at the sink: what arrives there."""
        before = len(self.sink.messages)
        with smtplib.SMTP("127.0.0.1", self.servers[hop].ports["smtp"], timeout=60) as client:
            client.ehlo("client.example")
            code, answer = client.mail(f"ann@{AUTHOR}", list(options))
            assert code == 250, answer
            code, answer = client.rcpt(f"{local}@{hop}.{ZONE}")
            assert code == 250, answer
            code, answer = client.data(content)
            assert code == 250, answer
        wait_for(lambda: len(self.sink.messages) > before, 60, "the mail at the sink")
        return self.sink.messages[-1].data

    def check(self, *messages):
        paths = []
        for index, message in enumerate(messages):
            paths.append(self.path(f"{index}.eml"))
            with open(paths[-1], "wb") as f:
                f.write(message)
        return [json.loads(line) for line in python("check", self.path("records"), *paths).splitlines()]

    def told(self, hop):
        """What the events of aliases at HOP say, the newest first."""
        return [json.dumps(row) for row in self.servers[hop].rows("trace", "search") if "addresses of the alias" in json.dumps(row)]

    def close(self):
        for server in self.servers.values():
            server.close()
        self.sink.close()
        self.names.close()
        shutil.rmtree(self.dir, ignore_errors=True)


def base64_of(data):
    import base64
    return base64.b64encode(data).decode()


def author(content):
    return content.replace(b"ann@here.example", f"ann@{AUTHOR}".encode())


def seals(message):
    """(i, cv) of each seal, the newest first."""
    return [(int(i), cv.decode()) for i, cv in re.findall(rb"^ARC-Seal: i=(\d+); cv=(\w+);", message, re.M)]


def found(message, instance):
    """The results of one set, unfolded."""
    match = re.search(rb"^ARC-Authentication-Results: i=%d;.*?\r?\n(?![ \t])" % instance, message, re.M | re.S)
    return re.sub(r"\s+", " ", match.group(0).decode("utf-8"))


def every_shape_is_sealed_and_keeps_its_signature(world):
    shapes = {name: (author(content), ("BODY=8BITMIME",)) for name, content in SHAPES.items()}
    shapes["SMTPUTF8"] = (f"From: J\u00f6rg <j\u00f6rg@{AUTHOR}>\r\nSubject: \u00fc\r\n\r\n\u00fc\r\n".encode(), ("BODY=8BITMIME", "SMTPUTF8"))
    arrived = {name: world.send(world.signed(content, "simple/simple"), "three", options) for name, (content, options) in shapes.items()}
    for name, verdict in zip(arrived, world.check(*arrived.values())):
        assert verdict["cv"] == "pass" and verdict["sets"] == 1, f"{name}: {verdict}"
        assert verdict["dkim"] == [[AUTHOR, True]], f"{name}: {verdict}"
        assert arrived[name].startswith(b"ARC-Seal: i=1; cv=none; a=rsa-sha256;"), arrived[name][:200]
        text = found(arrived[name], 1)
        assert f"dkim=pass (2048-bit RSA key) header.d={AUTHOR} header.s=s header.a=rsa-sha256" in text, f"{name}: {text}"
        assert f"arc=none smtp.remote-ip=127.0.0.1 smtp.mailfrom=ann@{AUTHOR}" in text, text


def chains_of_up_to_three_hops_pass(world):
    content = author(SHAPES["folded fields"])
    for hops in (1, 2, 3):
        message = world.send(world.signed(content), HOPS[3 - hops])
        verdict = world.check(message)[0]
        assert verdict["cv"] == "pass" and verdict["sets"] == hops, f"{hops}: {verdict}"
        assert verdict["dkim"] == [[AUTHOR, True]], verdict
        assert seals(message) == [(i, "none" if i == 1 else "pass") for i in range(hops, 0, -1)], seals(message)


def a_hop_of_dkimpy_before_ours_passes(world):
    message = world.send(world.sealed(world.signed(author(SHAPES["plain"])), "none"), "two")
    verdict = world.check(message)[0]
    assert verdict["cv"] == "pass" and verdict["sets"] == 3, verdict
    assert "arc=pass" in found(message, 2) and "dkim=pass" in found(message, 2)
    wait_for(lambda: "sealed (ARC i=2, the chain holds)" in world.told("two")[0], 10, "the event of the alias", 0.5)


def a_broken_chain_fails_and_stays_so(world):
    good = world.sealed(world.signed(author(SHAPES["plain"])), "none")
    broken = {"body": good.replace(b"Hello.", b"Hallo."),
              "results": good.replace(b"; arc=none", b"; arc=pass", 1),
              "seal gone": good.replace(b"ARC-Seal:", b"X-Seal:", 1),
              "key gone": good.replace(b"s=s; t=", b"s=t; t=", 1)}
    for name, content in broken.items():
        message = world.send(content, "two")
        assert seals(message)[0] == (2, "fail") and len(re.findall(rb"^ARC-Seal:", message, re.M)) <= 2, f"{name}: {seals(message)}"
        verdict = world.check(message)[0]
        assert verdict["cv"] != "pass", f"{name}: {verdict}"
        assert "arc=fail (" in found(message, 2), found(message, 2)
    wait_for(lambda: "not sealed: the chain was found broken before" in world.told("three")[0], 10, "the event of the alias", 0.5)
    assert "sealed (ARC i=2, the chain is broken: message signature 1: there is no such key in the DNS)" in world.told("two")[0], world.told("two")[0]


def what_is_claimed_of_results_is_not_believed(world):
    claim = f"Authentication-Results: three.{ZONE}; dkim=pass header.d=bank.example; spf=pass\r\n".encode()
    text = found(world.send(claim + author(SHAPES["plain"])), 1)
    assert "dkim=none" in text and "bank.example" not in text and "spf=" not in text, text


def a_silent_dns_seals_nothing_and_stops_nothing(world):
    silent = Outpost(BINARY, address="ann@silent.example", setup=["--relay", f"smtp://127.0.0.1:{world.sink.port}"], name="silent")
    try:
        silent.append_config(f'dns {{ stub "{ZONE}" 127.0.0.1:9; timeout 2s; }}')
        silent.start()
        silent.run("alias", "add", "next@silent.example", "bob@far.example")
        silent.run("dkim", "new", "silent.example", "--algorithm", "rsa", "--selector", "s")
        silent.run("dkim", "sign", "silent.example", "s", "--force")
        signed = world.signed(author(SHAPES["plain"]))
        for content, starts in ((signed, b"ARC-Seal: i=1; cv=none"), (world.sealed(signed, "none"), b"Delivered-To:")):
            before = len(world.sink.messages)
            with smtplib.SMTP("127.0.0.1", silent.ports["smtp"], timeout=60) as client:
                client.sendmail(f"ann@{AUTHOR}", ["next@silent.example"], content)
            wait_for(lambda: len(world.sink.messages) > before, 60, "the mail at the sink")
            message = world.sink.messages[-1].data
            assert message.startswith(starts), message[:300]
            if starts.startswith(b"ARC"):
                assert "dkim=temperror (the DNS does not answer for the key)" in found(message, 1), found(message, 1)
    finally:
        silent.close()


def what_begins_here_or_is_not_to_be_sealed_is_not(world):
    server = world.servers["three"]
    with open(server.config) as f:
        before = f.read()
    try:
        server.append_config("dkim { seal off; }")
        server.run("reload")
        assert not world.send(author(SHAPES["plain"])).startswith(b"ARC-"), "dkim.seal is off"
    finally:
        with open(server.config, "w") as f:
            f.write(before)
        server.run("reload")
    assert world.send(author(SHAPES["plain"])).startswith(b"ARC-Seal")


def signatures_of_dkimpy_are_judged(world):
    content = author(SHAPES["blanks"])
    for key in (AUTHOR, "ed25519"):
        for canon in ("simple/simple", "simple/relaxed", "relaxed/simple", "relaxed/relaxed"):
            text = found(world.send(world.signed(content, canon, key)), 1)
            assert f"header.d={AUTHOR}" in text and "dkim=pass" in text, f"{key} {canon}: {text}"
            text = found(world.send(world.signed(content, canon, key).replace(b"end", b"END")), 1)
            assert "dkim=fail (the body was changed)" in text, f"{key} {canon}: {text}"
            text = found(world.send(world.signed(content, canon, key).replace(b"spaced", b"placed")), 1)
            assert "dkim=fail (the signature is not of this header section and key)" in text, f"{key} {canon}: {text}"
    limited = world.signed(content, "relaxed/simple", AUTHOR, "length")
    assert b"l=" in limited
    assert "dkim=pass" in found(world.send(limited + b"more\r\n"), 1)
    assert "dkim=fail (the body was changed)" in found(world.send(limited.replace(b"end", b"END")), 1)


def key_records_of_a_real_dns_are_judged(world):
    content, name = world.signed(author(SHAPES["plain"])), f"s._domainkey.{AUTHOR}"
    good = world.records[name]
    rows = ((good.replace("p=", "t=y:s; n=note; h=sha256:sha1; s=email; p="), "dkim=pass"),
            (good.replace("p=", "h=sha1; p="), "permerror (the key is not for SHA-256)"),
            (good.replace("p=", "s=other; p="), "permerror (the key is not for mail)"),
            ("v=DKIM1; k=rsa; p=", "permerror (the key was revoked)"),
            ("v=DKIM1; k=rsa; p=AAAA", "permerror (the key cannot be read)"),
            (None, "permerror (there is no such key in the DNS)"))
    try:
        for record, says in rows:
            if record:
                world.names.publish(name, record)
            else:
                world.names.withdraw(name)

            def judged():
                text = found(world.send(content), 1)
                return says in text
            wait_for(judged, 20, f"{record}: {says}", 1)
    finally:
        world.names.publish(name, good)
        wait_for(lambda: "dkim=pass" in found(world.send(content), 1), 20, "the old record", 1)




def run(cases, binary):
    global BINARY
    BINARY = binary
    if subprocess.run([SYSTEM_PYTHON, "-c", "import dkim, nacl, authres"], capture_output=True).returncode:
        def absent():
            raise cases.Skip("python3-dkim, python3-nacl or python3-authres is not on this machine")
        cases.run("chains of ARC", absent)
        return
    world = World()
    try:
        for case in (every_shape_is_sealed_and_keeps_its_signature, chains_of_up_to_three_hops_pass, a_hop_of_dkimpy_before_ours_passes,
                     a_broken_chain_fails_and_stays_so, what_is_claimed_of_results_is_not_believed,
                     a_silent_dns_seals_nothing_and_stops_nothing, what_begins_here_or_is_not_to_be_sealed_is_not,
                     signatures_of_dkimpy_are_judged, key_records_of_a_real_dns_are_judged):
            cases.run("arc: " + case.__name__.replace("_", " "), case, world)
    finally:
        world.close()
