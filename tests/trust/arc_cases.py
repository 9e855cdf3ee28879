# SPDX-License-Identifier: AGPL-3.0-or-later
"""arc_cases: what aliases send on is sealed; dkimpy and Rspamd look at the chains, we look at theirs."""
import json
import os
import re
import shutil
import smtplib
import socket
import struct
import subprocess
import tempfile
import urllib.request

from harness import Cases, Outpost, Sink, free_port, need, wait_for, wait_port
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


def a_rewritten_sender_changes_no_seal(world):
    server = world.servers["three"]
    with open(server.config) as f:
        before = f.read()
    try:
        server.append_config(f"bounces {{ srs_domain three.{ZONE}; }}")
        server.run("reload")
        message = world.send(world.signed(author(SHAPES["plain"])), "two")
        assert "<SRS0=" in world.sink.messages[-1].sender, world.sink.messages[-1].sender
        verdict = world.check(message)[0]
        assert verdict["cv"] == "pass" and verdict["sets"] == 2 and verdict["dkim"] == [[AUTHOR, True]], verdict
        assert f"smtp.mailfrom=ann@{AUTHOR}" in found(message, 2), found(message, 2)
    finally:
        with open(server.config, "w") as f:
            f.write(before)
        server.run("reload")


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




def the_vectors_of_the_arc_test_suite_are_judged(world):
    """Signed by another program; the suite is not part of this tree."""
    path = os.environ.get("OUTPOST_ARC_VECTORS")
    if not path:
        raise Cases.Skip("OUTPOST_ARC_VECTORS names no arc-draft-sign-tests.yml")
    rows = [json.loads(line) for line in python("vectors", path).splitlines()]
    names = Knot("example.org")
    server = Outpost(BINARY, address="ann@vectors.example", setup=["--relay", f"smtp://127.0.0.1:{world.sink.port}"], name="vectors")
    try:
        for name, record in rows[0][2].items():
            names.publish(name, record)
        server.append_config(f'dns {{ stub "example.org" 127.0.0.1:{names.port}; timeout 4s; }}')
        server.start()
        server.run("alias", "add", "next@vectors.example", "bob@far.example")
        server.run("dkim", "new", "vectors.example", "--algorithm", "rsa", "--selector", "s")
        server.run("dkim", "sign", "vectors.example", "s", "--force")
        for name, message, _, expected in rows:
            before = len(world.sink.messages)
            with smtplib.SMTP("127.0.0.1", server.ports["smtp"], timeout=60) as client:
                client.sendmail("jqd@d1.example", ["next@vectors.example"], message.encode())
            wait_for(lambda: len(world.sink.messages) > before, 60, "the mail at the sink")
            arrived = world.sink.messages[-1].data
            ours = re.match(rb"ARC-Seal: i=\d+; cv=(\w+);", arrived)
            assert (ours.group(1).decode() if ours else "fail") == expected, f"{name}: {arrived[:300]}"
            assert bool(ours) == (expected == "pass"), f"{name}: a chain that was found broken gets no more sets"
    finally:
        server.close()
        names.close()


class OpenDkim:
    """OpenDKIM as a signer, asked as a mail server asks a milter."""

    def __init__(self, world, canon):
        self.dir, self.port = tempfile.mkdtemp(prefix="opendkim-"), free_port()
        key = os.path.join(self.dir, "key.pem")
        shutil.copy(world.keys[AUTHOR], key)
        os.chmod(key, 0o600)
        with open(os.path.join(self.dir, "conf"), "w") as f:
            f.write(f"Mode s\nDomain {AUTHOR}\nSelector s\nKeyFile {key}\nCanonicalization {canon}\nSignatureAlgorithm rsa-sha256\n"
                    f"Socket inet:{self.port}@127.0.0.1\nInternalHosts 127.0.0.1\nRequireSafeKeys false\n")
        self.process = subprocess.Popen([need("opendkim"), "-f", "-x", os.path.join(self.dir, "conf")],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_port(self.port)

    def say(self, command, data=b"", answers=b"c"):
        """Sends a packet; the data of all answers until one of ANSWERS."""
        self.socket.sendall(struct.pack(">I", len(data) + 1) + command + data)
        kept = []
        while answers:
            size = struct.unpack(">I", self.read(4))[0]
            packet = self.read(size)
            kept.append(packet)
            if packet[:1] in answers:
                break
        return kept

    def read(self, size):
        data = b""
        while len(data) < size:
            more = self.socket.recv(size - len(data))
            assert more, "OpenDKIM has gone"
            data += more
        return data

    def sign(self, content):
        header, _, body = content.partition(b"\r\n\r\n")
        with socket.create_connection(("127.0.0.1", self.port), 20) as self.socket:
            # Version 6, all actions, and the blanks before values (SMFIP_HDR_LEADSPC).
            self.say(b"O", struct.pack(">III", 6, 0x1ff, 0x100000), b"O")
            self.say(b"C", b"localhost\0" + b"4" + struct.pack(">H", 2525) + b"127.0.0.1\0")
            self.say(b"H", b"localhost\0")
            self.say(b"M", f"<ann@{AUTHOR}>\0".encode())
            self.say(b"R", b"<bob@far.example>\0")
            for field in re.findall(rb"[^\r\n].*?(?:\r\n(?![ \t])|$)", header + b"\r\n", re.S):
                name, _, value = field.rstrip(b"\r\n").partition(b":")
                self.say(b"L", name + b"\0" + value.replace(b"\r\n", b"\n") + b"\0")
            self.say(b"N")
            for at in range(0, len(body), 60000):
                self.say(b"B", body[at:at + 60000])
            answers = self.say(b"E", b"", b"acr")
        for packet in answers:
            if packet[:1] in b"ih" and b"DKIM-Signature\0" in packet:
                name, value = packet[5 if packet[:1] == b"i" else 1:].split(b"\0")[:2]
                return name + b":" + value.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n") + b"\r\n" + content
        raise AssertionError(f"OpenDKIM did not sign: {answers}")

    def close(self):
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)


def signatures_of_opendkim_are_judged(world):
    need("opendkim")
    for canon in ("simple/simple", "simple/relaxed", "relaxed/simple", "relaxed/relaxed"):
        signer = OpenDkim(world, canon)
        try:
            for shape in ("plain", "folded fields", "blanks", "dots", "no body", "empty lines only", "eight bits", "one long line"):
                content = b"Date: Fri, 27 Nov 2026 01:00:00 +0000\r\n" + author(SHAPES[shape])
                signed = signer.sign(content)
                assert f"c={canon}".encode() in signed, signed[:400]
                text = found(world.send(signed), 1)
                assert "dkim=pass (2048-bit RSA key)" in text, f"{shape} {canon}: {text}"
                text = found(world.send(signed.replace(b"From: Ann", b"From: Bob")), 1)
                assert "dkim=fail (the signature is not of this header section and key)" in text, f"{shape} {canon}: {text}"
        finally:
            signer.close()


def a_signature_by_sha1_is_not_believed(world):
    """That is what OpenDKIM's tool makes; RFC 8301 3.1."""
    program, key = need("opendkim-testmsg"), world.path("own.pem")
    shutil.copy(world.keys[AUTHOR], key)
    os.chmod(key, 0o600)
    content = b"Date: Fri, 27 Nov 2026 01:00:00 +0000\r\n" + author(SHAPES["plain"])
    done = subprocess.run([program, "-d", AUTHOR, "-k", key, "-s", "s", "-C"], input=content, capture_output=True)
    assert done.returncode == 0 and b"a=rsa-sha1" in done.stdout, done.stderr
    text = found(world.send(done.stdout), 1)
    assert "dkim=fail (rsa-sha1 proves nothing any more)" in text, text


def our_own_signatures_are_judged(world):
    """What one of us signs comes to the alias of another, with both signatures and in both forms."""
    writer = Outpost(BINARY, address=f"ann@own.{ZONE}", name="writer",
                     setup=["--trust", "127.0.0.0/8", "--relay", f"smtp://127.0.0.1:{world.servers['three'].ports['smtp']}"])
    writer.start()
    try:
        writer.run("dkim", "new", f"own.{ZONE}")
        for key in writer.rows("dkim", "list", f"own.{ZONE}", "--no-dns"):
            writer.run("dkim", "sign", f"own.{ZONE}", key["selector"], "--force")
            world.publish(key["name"], key["record"])
        for header in ("relaxed", "simple"):
            for body in ("relaxed", "simple"):
                writer.append_config(f"dkim {{ header {header}; body {body}; }}")
                writer.run("reload")
                before = len(world.sink.messages)
                with smtplib.SMTP("127.0.0.1", writer.ports["smtp"], timeout=60) as client:
                    client.sendmail(f"ann@own.{ZONE}", [f"next@three.{ZONE}"], SHAPES["blanks"].replace(b"ann@here.example", f"ann@own.{ZONE}".encode()))
                wait_for(lambda: len(world.sink.messages) > before, 60, "the mail at the sink")
                text = found(world.sink.messages[-1].data, 1)
                assert text.count("dkim=pass") == 2 and "Ed25519" in text and f"c={header}/{body}".encode() in world.sink.messages[-1].data, text
                with open(writer.config) as f:
                    config = f.read()
                with open(writer.config, "w") as f:
                    f.write(config.replace(f"dkim {{ header {header}; body {body}; }}", ""))
    finally:
        writer.close()


RSPAMD = """options { pidfile = "%(dir)s/pid"; filters = "dkim"; dns { nameserver = ["127.0.0.1:%(dns)d"]; timeout = 5s; }
  tempdir = "%(dir)s"; url_tld = "%(dir)s/tlds"; history_file = null; control_socket = "%(dir)s/rspamd.sock mode=0600"; rrd = null; }
logging { type = "file"; filename = "%(dir)s/log"; level = "info"; }
worker "normal" { bind_socket = "127.0.0.1:%(port)d"; count = 1; task_timeout = 60s; }
dkim { dkim_cache_size = 1; time_jitter = 6h; trusted_only = false; skip_multi = false; max_sigs = 5; }
modules { path = "%(plugins)s/arc.lua"; }
arc { sign_local = false; sign_authenticated = false; use_domain = "header"; path = "%(dir)s/none"; }
"""


def rspamd_says_the_same(world):
    program, plugins = need("rspamd"), "/usr/share/rspamd/plugins"
    folder, port = tempfile.mkdtemp(prefix="rspamd-"), free_port()
    if not os.path.exists(os.path.join(plugins, "arc.lua")):
        raise Cases.Skip("Rspamd's plugin for ARC is not on this machine")
    os.chmod(folder, 0o755)
    with open(os.path.join(folder, "rspamd.conf"), "w") as f:
        f.write(RSPAMD % {"dir": folder, "dns": world.names.port, "port": port, "plugins": plugins})
    with open(os.path.join(folder, "tlds"), "w") as f:
        f.write("com\norg\nexample\n")
    with open(os.path.join(folder, "out"), "wb") as out:
        process = subprocess.Popen([program, "-f", "-i", "-c", os.path.join(folder, "rspamd.conf")], stdout=out, stderr=out)
    try:
        wait_port(port, seconds=30)
        good = {hops: world.send(world.signed(author(SHAPES["folded fields"])), HOPS[3 - hops]) for hops in (1, 2, 3)}
        changed = good[2].replace(b"Hello.", b"Hallo.")
        for content, symbol in [(content, "ARC_ALLOW") for content in good.values()] + [(changed, "ARC_REJECT")]:
            request = urllib.request.Request(f"http://127.0.0.1:{port}/checkv2", data=content, headers={"From": f"ann@{AUTHOR}", "IP": "203.0.113.9"})
            symbols = json.load(urllib.request.urlopen(request, timeout=90))["symbols"]
            with open(os.path.join(folder, "log"), errors="replace") as f:
                assert symbol in symbols, f"{symbol} is not among {list(symbols)}\n{f.read()[-2500:]}"
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


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
                     a_silent_dns_seals_nothing_and_stops_nothing, a_rewritten_sender_changes_no_seal, what_begins_here_or_is_not_to_be_sealed_is_not,
                     signatures_of_dkimpy_are_judged, signatures_of_opendkim_are_judged,
                     a_signature_by_sha1_is_not_believed, our_own_signatures_are_judged,
                     key_records_of_a_real_dns_are_judged, the_vectors_of_the_arc_test_suite_are_judged, rspamd_says_the_same):
            cases.run("arc: " + case.__name__.replace("_", " "), case, world)
    finally:
        world.close()
