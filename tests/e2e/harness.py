"""Starts real processes for the end-to-end tests: the standalone stack, its sink, and nothing fixed.

A Stack owns a temporary folder with a configuration directory, a data directory and an event file. Every
process is started on ports that were free a moment ago and is ended by its own pid. Waiting always means
waiting for an event (a line, a count, an exit) with a deadline.
"""

import contextlib
import json
import os
import shutil
import signal
import smtplib
import socket
import subprocess
import tempfile
import time
import unittest

BIN = os.environ.get("POSTFLEET_BIN_DIR", os.path.join(os.path.dirname(__file__), "../../build/release/bin"))
POSTFLEET = os.path.join(BIN, "postfleet")
DEADLINE = float(os.environ.get("POSTFLEET_TEST_DEADLINE", "60"))


def free_port(address="127.0.0.1"):
    with socket.socket() as probe:
        probe.bind((address, 0))
        return probe.getsockname()[1]


def wait_for(question, what, deadline=DEADLINE, every=0.02):
    """Asks until the answer is true; fails with `what` after the deadline."""
    end = time.monotonic() + deadline
    while True:
        answer = question()
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError(f"waited {deadline:.0f} s for {what}")
        time.sleep(every)


def answers(port, address="127.0.0.1"):
    with contextlib.suppress(OSError), socket.create_connection((address, port), timeout=2) as s:
        s.settimeout(2)
        return s.recv(3) == b"220"
    return False


class Process:
    """A child with its output in a file; stopped by its own pid and nothing else."""

    def __init__(self, arguments, log_path, **options):
        self.log_path = log_path
        self.log = open(log_path, "ab")
        self.child = subprocess.Popen(arguments, stdout=self.log, stderr=self.log, stdin=subprocess.DEVNULL, **options)

    def output(self):
        with open(self.log_path, "r", errors="replace") as f:
            return f.read()

    def is_running(self):
        return self.child.poll() is None

    def kill(self):
        if self.is_running():
            self.child.kill()
        self.child.wait()
        self.log.close()

    def terminate(self, deadline=40):
        if self.is_running():
            self.child.send_signal(signal.SIGTERM)
            try:
                self.child.wait(deadline)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()
                raise AssertionError(f"did not stop within {deadline} s of SIGTERM:\n{self.output()[-4000:]}")
        self.log.close()
        return self.child.returncode


def room(octets):
    """How much memory a process may take meanwhile; under a sanitizer (CMakePresets.json) it takes several times as much."""
    return octets * 4 if "POSTFLEET_SANITIZED" in os.environ else octets


def run(*arguments, check=True, deadline=60, env=None):
    """Runs a postfleet command to its end."""
    done = subprocess.run([POSTFLEET, *map(str, arguments)], capture_output=True, text=True, timeout=deadline,
                          stdin=subprocess.DEVNULL, env={**os.environ, "NO_COLOR": "1", **(env or {})})
    if check and done.returncode != 0:
        raise AssertionError(f"postfleet {' '.join(map(str, arguments))}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done


class Stack:
    """One standalone stack in a folder of its own."""

    def __init__(self, yaml="", listener="", base=None):
        self.base = base or tempfile.mkdtemp(prefix="postfleet-e2e-")
        self.config = os.path.join(self.base, "config")
        self.data = os.path.join(self.base, "data")
        self.events_path = os.path.join(self.base, "events.jsonl")
        os.makedirs(self.config, exist_ok=True)
        self.port = free_port()
        self.http_port = free_port()
        self.process = None
        self.listener = listener
        self.starts = 0
        self.write_config(yaml)

    def write_config(self, yaml, name="postfleet.yaml"):
        if name == "postfleet.yaml":
            extra = f", {self.listener}" if self.listener else ""
            if not any(key.strip().startswith("dsn:") for key in extra.split(",")):
                extra += ", dsn: false"  # most tests count what arrives
            yaml = (f"hostname: mta.test\ndata_dir: {self.data}\n"
                    f"listeners:\n  relay: {{address: \"127.0.0.1:{self.port}\", relay_from: [\"127.0.0.0/8\"]{extra}}}\n"
                    f"http: {{address: \"127.0.0.1:{self.http_port}\"}}\n"
                    f"reports:\n  - {{type: file, path: {self.events_path}}}\n") + yaml
            # Where the tests' mail servers are. In a file of its own, so that lines of the other can be counted.
            with open(os.path.join(self.config, "harness.yaml"), "w") as f:
                f.write('allow_private_targets: [127.0.0.0/8, "::1"]\n')
        with open(os.path.join(self.config, name), "w") as f:
            f.write(yaml)

    def edit_config(self, old, new):
        path = os.path.join(self.config, "postfleet.yaml")
        with open(path) as f:
            text = f.read()
        assert old in text, f"{old!r} is not in the configuration"
        with open(path, "w") as f:
            f.write(text.replace(old, new))

    def start(self, wait=True, **options):
        self.starts += 1
        self.process = Process([POSTFLEET, "standalone", "--config", self.config],
                               os.path.join(self.base, "postfleet.log"), **options)
        if wait:
            wait_for(lambda: answers(self.port) or not self.process.is_running(), "the listener to answer")
            if not self.process.is_running():
                raise AssertionError("postfleet ended at start:\n" + self.process.output()[-4000:])
        return self

    def kill(self):
        self.process.kill()

    def stop(self):
        return self.process.terminate()

    def smtp(self):
        return smtplib.SMTP("127.0.0.1", self.port, local_hostname="client.test", timeout=30)

    def send(self, recipients, sender="from@src.test", body="Hello.", headers=()):
        text = "".join(f"{name}: {value}\r\n" for name, value in headers)
        if not any(name.lower() == "from" for name, _ in headers):
            text += f"From: <{sender}>\r\n"
        text += f"Subject: e2e\r\n\r\n{body}\r\n"
        with self.smtp() as client:
            return client.sendmail(sender, [recipients] if isinstance(recipients, str) else recipients, text)

    def command(self, *arguments, check=True):
        return run(*arguments, "--socket", os.path.join(self.data, "control.sock"), check=check)

    def json(self, *arguments):
        return json.loads(self.command(*arguments, "--json").stdout)

    def queued(self):
        """Recipients in the spool."""
        return self.json("status")["sender"]["queued_recipients"]

    def events(self, *types):
        """Every event so far, in order; the types without their "email."."""
        found = []
        folder, name = os.path.split(self.events_path)
        names = sorted((n for n in os.listdir(folder) if n.startswith(name)), key=lambda n: (n == name, n))
        for n in names:
            with open(os.path.join(folder, n)) as f:
                for line in f.read().split("\n")[:-1]:
                    event = json.loads(line)
                    if not types or event["type"].removeprefix("email.") in types:
                        found.append(event)
        return found

    def wait_events(self, count, *types, deadline=DEADLINE):
        wait_for(lambda: len(self.events(*types)) >= count, f"{count} events of {types}", deadline)
        return self.events(*types)

    def http(self, path):
        import urllib.error
        import urllib.request
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.http_port}{path}", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def close(self, keep=False):
        if self.process and self.process.is_running():
            self.process.kill()
        if not keep:
            shutil.rmtree(self.base, ignore_errors=True)


class EndToEnd(unittest.TestCase):
    """A test with stacks and sinks that are cleaned up; on failure the logs are printed."""

    def setUp(self):
        self.closers = []

    def stack(self, *arguments, **options):
        stack = Stack(*arguments, **options)
        self.closers.append(stack)
        return stack

    def sink(self, *arguments, **options):
        sink = Sink(*arguments, **options)
        self.closers.append(sink)
        return sink

    def tearDown(self):
        failed = any(error for _, error in getattr(self._outcome, "errors", [])) or \
            any(test is self for test, _ in getattr(getattr(self._outcome, "result", None), "failures", []) +
                getattr(getattr(self._outcome, "result", None), "errors", []))
        for closer in reversed(self.closers):
            if failed and getattr(closer, "process", None):
                print(f"--- {closer.process.log_path} (the end of it)\n{closer.process.output()[-6000:]}")
            closer.close()


class Connection:
    def __init__(self, source):
        self.source = source
        self.opened = time.monotonic()
        self.closed = None
        self.ehlo = None
        self.transactions = 0


class Delivery:
    """One message that the sink answered 250 to, for one recipient."""

    def __init__(self, sender, recipient, content, connection, at):
        self.sender, self.recipient, self.content = sender, recipient, content
        self.connection, self.at = connection, at

    def header(self, name):
        for line in self.content.split(b"\r\n\r\n", 1)[0].split(b"\r\n"):
            if line.lower().startswith(name.lower().encode() + b":"):
                return line.split(b":", 1)[1].strip().decode()
        return None


class ThreadedServer:
    """A server with a thread for each connection, for scripts that are easier to write so: `_serve(connection)`."""

    process = None

    def __init__(self, address="127.0.0.1", port=0):
        import threading
        self.connected = 0
        self.socket = socket.create_server((address, port), backlog=100)
        self.port = self.socket.getsockname()[1]

        def accept():
            while True:
                try:
                    connection, _ = self.socket.accept()
                except OSError:
                    return
                self.connected += 1
                connection.settimeout(60)
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()
        threading.Thread(target=accept, daemon=True).start()

    def close(self):
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)  # or accept() keeps the port
        self.socket.close()


class Sink:
    """A scripted MX of our own, written apart from the product so that a fault of ours cannot hide in it.

    `rcpt(recipient, attempt)` and `data(sender, recipients, attempt)` return a reply line; "" closes the
    connection without a reply; what `data` returns may be awaited for its reply. `attempt` counts from 1 per recipient
    (rcpt) or per first recipient (data).
    """

    process = None

    def __init__(self, rcpt=None, data=None, pipelining=True, greeting="220 sink.test ESMTP", address="127.0.0.1",
                 port=0):
        import asyncio
        import threading
        self.rcpt, self.data, self.pipelining, self.greeting = rcpt, data, pipelining, greeting
        self.deliveries, self.connections, self.attempts = [], [], []   # attempts: (time, recipient, connection)
        self._tries = {}
        self._asyncio = asyncio
        self.loop = asyncio.new_event_loop()
        started = threading.Event()
        listening = socket.create_server((address, port), backlog=1000)
        self.port = listening.getsockname()[1]

        async def serve():
            self.server = await asyncio.start_server(self._session, sock=listening, limit=64 << 20)
            started.set()

        def loop_forever():
            asyncio.set_event_loop(self.loop)
            self.loop.create_task(serve())
            self.loop.run_forever()

        self.thread = threading.Thread(target=loop_forever, daemon=True)
        self.thread.start()
        started.wait(10)

    def _count(self, key):
        self._tries[key] = self._tries.get(key, 0) + 1
        return self._tries[key]

    async def _session(self, reader, writer):
        connection = Connection(writer.get_extra_info("peername")[0])
        self.connections.append(connection)
        try:
            await self._dialogue(reader, writer, connection)
        except (ConnectionError, self._asyncio.IncompleteReadError, self._asyncio.CancelledError):
            pass
        finally:
            connection.closed = time.monotonic()
            writer.close()

    async def _dialogue(self, reader, writer, connection):
        sender, recipients = None, []
        writer.write(self.greeting.encode() + b"\r\n")
        while True:
            line = (await reader.readuntil(b"\r\n"))[:-2].decode("utf-8", "surrogateescape")
            verb = line[:4].upper()
            if verb == "EHLO":
                connection.ehlo = line[5:]
                writer.write(b"250-sink.test\r\n" + (b"250-PIPELINING\r\n" if self.pipelining else b"") +
                             b"250-8BITMIME\r\n250-ENHANCEDSTATUSCODES\r\n250 SIZE 104857600\r\n")
            elif verb == "HELO":
                connection.ehlo = line[5:]
                writer.write(b"250 sink.test\r\n")
            elif verb == "MAIL":
                sender, recipients = line[line.index("<") + 1:line.index(">")], []
                writer.write(b"250 2.1.0 ok\r\n")
            elif verb == "RCPT":
                recipient = line[line.index("<") + 1:line.index(">")]
                self.attempts.append((time.monotonic(), recipient, connection))
                reply = self.rcpt(recipient, self._count(("rcpt", recipient))) if self.rcpt else "250 2.1.5 ok"
                if reply == "":
                    return
                if reply.startswith("2"):
                    recipients.append(recipient)
                writer.write(reply.encode() + b"\r\n")
            elif verb == "DATA":
                if not recipients:
                    writer.write(b"554 5.5.1 no valid recipients\r\n")
                    continue
                writer.write(b"354 go\r\n")
                await writer.drain()
                content = b""
                while True:
                    part = await reader.readuntil(b"\r\n")
                    if part == b".\r\n":
                        break
                    content += part[1:] if part.startswith(b".") else part
                reply = self.data(sender, recipients, self._count(("data", recipients[0]))) if self.data else "250 2.0.0 ok"
                if not isinstance(reply, str):
                    reply = await reply
                if reply == "":
                    return
                if reply.startswith("2"):
                    connection.transactions += 1
                    at = time.monotonic()
                    self.deliveries += [Delivery(sender, r, content, connection, at) for r in recipients]
                writer.write(reply.encode() + b"\r\n")
                recipients = []
            elif verb == "RSET":
                recipients = []
                writer.write(b"250 2.0.0 ok\r\n")
            elif verb == "QUIT":
                writer.write(b"221 2.0.0 bye\r\n")
                await writer.drain()
                return
            else:
                writer.write(b"250 2.0.0 ok\r\n")
            if reader._buffer == b"":  # replies of pipelined commands go out together
                await writer.drain()

    def wait(self, count, deadline=DEADLINE):
        wait_for(lambda: len(self.deliveries) >= count, f"{count} deliveries (have {len(self.deliveries)})", deadline)
        return self.deliveries

    def most_connections_at_once(self):
        changes = sorted([(c.opened, 1) for c in self.connections] +
                         [(c.closed, -1) for c in self.connections if c.closed])
        most = now = 0
        for _, change in changes:
            now += change
            most = max(most, now)
        return most

    def close(self):
        async def end():
            self.server.close()
            sessions = [t for t in self._asyncio.all_tasks() if t is not self._asyncio.current_task()]
            for session in sessions:
                session.cancel()
            await self._asyncio.gather(*sessions, return_exceptions=True)
            self.loop.stop()
        self._asyncio.run_coroutine_threadsafe(end(), self.loop)
        self.thread.join(10)
