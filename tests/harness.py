# SPDX-License-Identifier: AGPL-3.0-or-later
"""harness: what the suites over real sockets share.

Outpost is a server in a folder of its own, set up and driven through its command line as a user would;
Sink is a receiving SMTP server whose answers a test chooses; Cases counts, and prints the closing line.
Only the standard library; everything listens on 127.0.0.x and ends with the test.
"""
import collections
import contextlib
import json
import os
import random
import shutil
import signal
import socket
import socketserver
import subprocess
import sys
import tempfile
import threading
import time
import traceback

PASSWORD = "correct horse battery"
PEERS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "peers")


PORTS_GIVEN = set()


def free_port(host="127.0.0.1"):
    """A port that nobody listens at, below those that the kernel gives to outgoing connections, and never
    the same twice: it is bound only later, by another process."""
    while True:
        port = random.randrange(15000, 32000)
        if port in PORTS_GIVEN:
            continue
        with socket.socket() as s, contextlib.suppress(OSError):
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.bind((host, port))
            PORTS_GIVEN.add(port)
            return port


def wait_for(condition, seconds=20, what="the condition", step=0.05):
    """Waits until CONDITION() is true; its last value is returned, a time-out is a failure."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"{what} did not come true within {seconds} s")
        time.sleep(step)


def wait_port(port, host="127.0.0.1", seconds=20):
    def open_now():
        with contextlib.suppress(OSError), socket.create_connection((host, port), 1):
            return True
    return wait_for(open_now, seconds, f"a listener at {host}:{port}")


class Outpost:
    """A server in a folder of its own; ports by listener name."""
    LISTENERS = ["smtp", "submission", "submissions", "pop3", "pop3s"]

    def __init__(self, binary, address="ann@here.example", setup=(), name="outpost", data=None):
        self.binary = os.path.abspath(binary)
        self.dir = tempfile.mkdtemp(prefix=f"{name}-")
        self.data = data or os.path.join(self.dir, "data")
        self.config = os.path.join(self.data, "outpost.conf")
        self.address = address
        self.ports = {listener: free_port() for listener in self.LISTENERS}
        self.process = None
        self.log = open(os.path.join(self.dir, "serve.log"), "ab")
        self.password_file = os.path.join(self.dir, "password")
        with open(self.password_file, "w") as f:
            f.write(PASSWORD + "\n")
        os.chmod(self.password_file, 0o600)
        listens = []
        for listener, port in self.ports.items():
            listens += ["--listen", f"{listener}=127.0.0.1:{port}"]
        self.run("setup", address, "--dev", "--data", self.data, "--password-file", self.password_file,
                 *listens, *setup, config=False)

    def run(self, *words, stdin=None, config=True, check=True):
        """Runs `outpost WORDS...`; the finished process."""
        environment = dict(os.environ)
        environment.pop("OUTPOST_CONFIG", None)
        environment.setdefault("OUTPOST_REASON", "a test")
        if config:
            environment["OUTPOST_CONFIG"] = self.config
        done = subprocess.run([self.binary, *words], input=stdin, capture_output=True, text=True,
                              env=environment, timeout=60)
        if check and done.returncode:
            raise AssertionError(f"outpost {' '.join(words)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def rows(self, *words):
        """The JSON lines of a command."""
        return [json.loads(line) for line in self.run(*words, "--json").stdout.splitlines() if line.strip()]

    def append_config(self, text):
        with open(self.config, "a") as f:
            f.write("\n" + text + "\n")
            f.flush()
            os.fsync(f.fileno())

    def start(self, seconds=30):
        self.process = subprocess.Popen([self.binary, "serve", "--config", self.config], stdout=subprocess.PIPE,
                                        stderr=self.log, text=True)
        line = self.process.stdout.readline()
        assert line.startswith("ready"), f"the first line of output is {line!r}\n{self.log_text()}"
        threading.Thread(target=self.process.stdout.read, daemon=True).start()
        return self

    def log_text(self):
        self.log.flush()
        with open(self.log.name, errors="replace") as f:
            return f.read()[-4000:]

    def pids(self):
        """The supervisor and its servers."""
        if not self.process or self.process.poll() is not None:
            return []
        children = subprocess.run(["pgrep", "-P", str(self.process.pid)], capture_output=True, text=True).stdout
        return [self.process.pid] + [int(p) for p in children.split()]

    def kill(self):
        """SIGKILL to every process at once: a crash of all."""
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if self.process:
            self.process.wait()
        wait_for(self.ports_are_free, 10, "the end of every process of the server")

    def ports_are_free(self):
        for port in self.ports.values():
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                return False
        return True

    def stop(self, seconds=40):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.kill()
                raise AssertionError(f"the server did not stop within {seconds} s")
        return self.process.returncode if self.process else 0

    def close(self, keep=False):
        try:
            if self.process and self.process.poll() is None:
                self.process.terminate()
                try:
                    self.process.wait(10)
                except subprocess.TimeoutExpired:
                    self.kill()
        finally:
            self.log.close()
            if not keep:
                shutil.rmtree(self.dir, ignore_errors=True)

    def add_user(self, address, password=PASSWORD):
        self.run("user", "add", address, "--password-stdin", stdin=password + "\n")

    def queue(self):
        return self.rows("queue", "list", "--all")

    def wait_empty(self, seconds=30):
        wait_for(lambda: not self.queue(), seconds, "an empty queue", 0.2)


class Sink:
    """Receives by SMTP.  `decide(stage, text)` may return a reply line ("451 4.3.0 later"), "cut" or "hang";
    stages: connect, ehlo, mail, rcpt, data, end.  Everything that was answered 250 stands in `messages`."""
    Message = collections.namedtuple("Message", "sender recipients data")

    def __init__(self, host="127.0.0.1", port=None, decide=None, capabilities=("PIPELINING", "8BITMIME", "SIZE 99999999"),
                 auth=None, tls=None):
        self.host, self.port = host, port or free_port(host)
        self.decide = decide or (lambda stage, text: None)
        self.capabilities, self.auth, self.tls = capabilities, auth, tls
        self.messages, self.lock, self.connections, self.peers = [], threading.Lock(), 0, set()
        outer = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self):
                with contextlib.suppress(OSError, EOFError):
                    outer.converse(self.request)

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address, daemon_threads, request_queue_size = True, True, 512

            def handle_error(self, request, client_address):
                pass
        self.server = Server((self.host, self.port), Handler)
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def answer(self, out, stage, text, default):
        reply = self.decide(stage, text) or default
        if reply == "hang":
            time.sleep(3600)
        if reply == "cut":
            raise EOFError
        out.write(reply.encode() + b"\r\n")
        out.flush()
        return reply[0] in "23"

    def converse(self, connection):
        with self.lock:
            self.connections += 1
            self.peers.add(connection.getpeername()[0])
        stream = connection.makefile("rwb")
        sender, recipients, logged_in = None, [], self.auth is None  # sender: of a MAIL that was taken
        if not self.answer(stream, "connect", "", "220 sink.example ESMTP"):
            return
        while True:
            line = stream.readline(4096)
            if not line:
                return
            text = line.decode("utf-8", "replace").rstrip("\r\n")
            verb = text[:4].upper()
            if verb == "EHLO":
                words = list(self.capabilities) + (["AUTH PLAIN LOGIN"] if self.auth else []) + \
                    (["STARTTLS"] if self.tls and not hasattr(connection, "cipher") else [])
                self.answer(stream, "ehlo", text, "\r\n".join(["250-sink.example"] + ["250-" + w for w in words] + ["250 ENHANCEDSTATUSCODES"]))
            elif verb == "STAR" and self.tls:
                self.answer(stream, "starttls", text, "220 2.0.0 go ahead")
                connection = self.tls.wrap_socket(connection, server_side=True)
                stream = connection.makefile("rwb")
            elif verb == "AUTH":
                logged_in = self.login(stream, text)
            elif verb == "MAIL":
                if not logged_in:
                    stream.write(b"530 5.7.0 log in first\r\n")
                    stream.flush()
                elif self.answer(stream, "mail", text, "250 2.1.0 ok"):
                    sender, recipients = text, []
            elif verb in ("RCPT", "DATA") and sender is None:
                self.answer(stream, "other", text, "503 5.5.1 MAIL first")
            elif verb == "RCPT":
                if self.answer(stream, "rcpt", text, "250 2.1.5 ok"):
                    recipients.append(text.split("<", 1)[1].split(">", 1)[0])
            elif verb == "DATA":
                if not self.answer(stream, "data", text, "354 go" if recipients else "554 5.5.1 nobody"):
                    continue
                data = self.read_data(stream)
                if self.answer(stream, "end", data, "250 2.0.0 taken"):
                    with self.lock:
                        self.messages.append(self.Message(sender, recipients, data))
                sender, recipients = None, []
            elif verb in ("RSET", "NOOP", "HELO"):
                self.answer(stream, verb.lower(), text, "250 2.0.0 ok")
            elif verb == "QUIT":
                self.answer(stream, "quit", text, "221 2.0.0 bye")
                return
            else:
                self.answer(stream, "other", text, "502 5.5.1 no")

    def login(self, stream, text):
        import base64
        words = text.split()
        if words[1].upper() == "PLAIN":
            if len(words) < 3:
                stream.write(b"334 \r\n")
                stream.flush()
                words.append(stream.readline().decode().strip())
            given = base64.b64decode(words[2]).split(b"\0")[1:]
        else:
            given = []
            for question in (b"334 VXNlcm5hbWU6\r\n", b"334 UGFzc3dvcmQ6\r\n"):
                stream.write(question)
                stream.flush()
                given.append(base64.b64decode(stream.readline()))
        good = tuple(g.decode() for g in given) == self.auth
        stream.write(b"235 2.7.0 welcome\r\n" if good else b"535 5.7.8 no\r\n")
        stream.flush()
        return good

    @staticmethod
    def read_data(stream):
        lines = []
        while True:
            line = stream.readline()
            if not line:
                raise EOFError
            if line == b".\r\n":
                return b"".join(lines)
            lines.append(line[1:] if line.startswith(b".") else line)

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Peer:
    """A mail server of Debian, unpacked by peers/NAME.sh; it relays everything to NEXT_PORT.  ENV: knobs of the script."""

    def __init__(self, name, next_port, **env):
        script = os.path.join(PEERS, name + ".sh")
        if os.geteuid() != 0:
            raise Cases.Skip("peers need root")
        self.dir = tempfile.mkdtemp(prefix=f"peer-{name}-")
        os.chmod(self.dir, 0o755)
        self.port = free_port()
        installed = subprocess.run([script, "install"], capture_output=True, text=True, timeout=300)
        if installed.returncode:
            raise Cases.Skip(f"{name} cannot be unpacked: {installed.stderr[-300:]}")
        self.version = subprocess.run([script, "version"], capture_output=True, text=True).stdout.strip()
        self.out = open(os.path.join(self.dir, "out"), "wb")
        self.process = subprocess.Popen([script, "run"], stdout=self.out, stderr=self.out, start_new_session=True, env=dict(
            os.environ, SMTP_PORT=str(self.port), SINK_PORT=str(next_port), STATE=self.dir, **env))
        self.script = script
        print(f"   {self.version}")
        wait_port(self.port)

    def flush(self):
        subprocess.run([self.script, "flush"], env=dict(os.environ, STATE=self.dir), capture_output=True, timeout=60)

    def close(self):
        os.killpg(self.process.pid, 15)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, 9)
            self.process.wait()
        self.out.close()
        subprocess.run(["rm", "-rf", "--one-file-system", self.dir])


class Cases:
    """Runs cases one by one; a case that raises Skip is skipped aloud."""
    class Skip(Exception):
        pass

    def __init__(self):
        self.passed = self.failed = self.skipped = 0
        self.only = sys.argv[2:]

    def run(self, name, function, *arguments):
        if self.only and not any(word in name for word in self.only):
            return
        began = time.monotonic()
        try:
            function(*arguments)
            self.passed += 1
            print(f"ok {name} ({time.monotonic() - began:.1f} s)", flush=True)
        except self.Skip as reason:
            self.skipped += 1
            print(f"skipped {name}: {reason}", flush=True)
        except Exception as failure:
            self.failed += 1
            print(f"FAILED {name}: {failure}", flush=True)
            traceback.print_exc(file=sys.stdout)

    def end(self):
        if self.skipped:
            print(f"{self.skipped} skipped")
        print(f"{self.passed} passed, {self.failed} failed", flush=True)
        os._exit(1 if self.failed else 0)


def need(program):
    path = shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if not path:
        raise Cases.Skip(f"{program} is not on this machine")
    return path
