"""One Postfleet with its load and its sinks, for measurements that last: started, watched, restarted, ended."""

import http.client
import json
import os
import shutil
import signal
import socket
import sys
import threading
import time

from .processes import BenchError, cpu_seconds, end, free_port, start, tail_of

MIB = 1 << 20

# Whoever is told to end ends what he started, too.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


def say(text):
    print(text, flush=True)


class Server:
    """`postfleet standalone` on a directory of its own. `body` is its configuration beside the doors."""

    def __init__(self, postfleet, directory, body):
        self.postfleet = postfleet
        self.directory = directory
        self.port, self.http_port = free_port(), free_port()
        self.environment = {}
        self.process = None
        os.makedirs(os.path.join(directory, "config"))
        with open(os.path.join(directory, "config", "postfleet.yaml"), "w") as file:
            file.write(f"hostname: bench.test\ndata_dir: {directory}/data\nlog: {{level: warning}}\n"
                       f"listeners: {{relay: {{address: \"127.0.0.1:{self.port}\", headers: honour}}}}\n"
                       f"http: {{address: \"127.0.0.1:{self.http_port}\"}}\n" + body)

    @property
    def pid(self):
        return self.process.pid

    def start(self, limit_seconds=300):
        """Seconds until it was ready."""
        begin = time.monotonic()
        self.process = start([self.postfleet, "standalone", "--config", os.path.join(self.directory, "config")],
                             os.path.join(self.directory, "output"), env={**os.environ, **self.environment})
        while not self.is_ready():
            if self.process.poll() is not None:
                raise BenchError(f"postfleet ended with code {self.process.returncode}: {tail_of(self.process)}")
            if time.monotonic() - begin > limit_seconds:
                raise BenchError(f"postfleet was not ready after {limit_seconds} s")
            time.sleep(0.01)
        return time.monotonic() - begin

    def is_ready(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=10)
        try:
            connection.request("GET", "/healthz/ready")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()

    def stop(self, limit_seconds=120):
        """Seconds from SIGTERM until it had ended."""
        if self.process is None:
            return 0.0
        begin = time.monotonic()
        end(self.process, limit_seconds)
        return time.monotonic() - begin

    def remove(self):
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def cpu_seconds(self):
        return cpu_seconds(self.pid)

    def facts(self):
        """Anonymous memory in octets, threads, descriptors."""
        fields = {}
        with open(f"/proc/{self.pid}/status") as status:
            for line in status:
                name, _, value = line.partition(":")
                fields[name] = value.split()
        return {"anonymous": int(fields["RssAnon"][0]) * 1024, "threads": int(fields["Threads"][0]),
                "descriptors": len(os.listdir(f"/proc/{self.pid}/fd"))}

    def metrics(self):
        """Name with labels → value."""
        connection = http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=30)
        try:
            connection.request("GET", "/metrics")
            text = connection.getresponse().read().decode()
        finally:
            connection.close()
        lines = (line.rpartition(" ") for line in text.splitlines() if line and not line.startswith("#"))
        return {name: float(value) for name, _, value in lines}

    def await_quiet(self, limit_seconds=120, share=0.1):
        """Waits until it uses little of a processor for two seconds: what ran behind the last load is done."""
        limit = time.monotonic() + limit_seconds
        while time.monotonic() < limit:
            before = self.cpu_seconds()
            time.sleep(2)
            if self.cpu_seconds() - before < 2 * share:
                return True
        return False


class Load:
    """`postfleet load` in the background; wait() has its report."""

    def __init__(self, server, name, options, port=None):
        self.report_path = os.path.join(server.directory, f"load-{name}.json")
        with open(self.report_path, "wb") as report:
            self.process = start([server.postfleet, "load", f"127.0.0.1:{port or server.port}", "--json", "--run-id",
                                  f"{name}.{time.monotonic_ns()}", *map(str, options)],
                                 os.path.join(server.directory, f"load-{name}.log"), stdout=report)

    def wait(self, limit_seconds, progress=None):
        limit = time.monotonic() + limit_seconds
        while self.process.poll() is None:
            if time.monotonic() > limit:
                end(self.process)
                raise BenchError(f"the load was not done after {limit_seconds} s")
            if progress is not None:
                progress()
            time.sleep(0.05)
        with open(self.report_path) as file:
            text = file.read()
        if not text:
            raise BenchError(f"the load ended with code {self.process.returncode}: {tail_of(self.process)}")
        return json.loads(text)

    def stop(self):
        """The report of what was sent so far."""
        end(self.process, 60)
        return self.wait(1)


def run_load(server, name, options, limit_seconds=600, progress=None, port=None):
    load = Load(server, name, options, port)
    try:
        return load.wait(limit_seconds, progress)
    finally:
        end(load.process)


class Sink:
    """`postfleet sink` that counts each delivery by its X-Load-Id; stop() has its summary."""

    def __init__(self, postfleet, directory, name, port=None, options=()):
        self.port = port or free_port()
        self.summary_path = os.path.join(directory, f"{name}.json")
        self.count_path = os.path.join(directory, f"{name}.count")
        with open(self.summary_path, "wb") as summary:
            self.process = start([postfleet, "sink", "--listen", f"127.0.0.1:{self.port}", "--id-header", "X-Load-Id",
                                  "--json", "--count-file", self.count_path, *options],
                                 os.path.join(directory, f"{name}.log"), stdout=summary)

    def count(self):
        """Messages until about a second ago."""
        try:
            with open(self.count_path) as file:
                return int(file.read() or 0)
        except (OSError, ValueError):
            return 0

    def stop(self):
        end(self.process, 60)
        with open(self.summary_path) as file:
            text = file.read()
        return json.loads(text) if text else {}


class Watch:
    """Samples a server's memory in the background."""

    def __init__(self, server, every=0.25):
        self.server, self.every = server, every
        self.peak, self.last = 0, 0
        self.samples = []
        self.begin = time.monotonic()
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while not self.over.wait(self.every):
            try:
                self.last = self.server.facts()["anonymous"]
            except (OSError, KeyError):  # it is between two lives
                continue
            self.peak = max(self.peak, self.last)
            self.samples.append((round(time.monotonic() - self.begin, 2), self.last))

    def take_peak(self):
        """The most since this was asked last."""
        peak, self.peak = self.peak, self.last
        return peak

    def stop(self):
        self.over.set()
        self.thread.join()


class DeadPort:
    """A port that refuses connections, and that nobody else is given meanwhile."""

    def __init__(self):
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]

    def release(self):
        self.socket.close()
        return self.port


class Progress:
    """A line every few seconds."""

    def __init__(self, text, every=5):
        self.text, self.every = text, every
        self.next = time.monotonic() + every

    def __call__(self):
        if time.monotonic() >= self.next:
            self.next = time.monotonic() + self.every
            say(f"  … {self.text()}")


class Bars:
    """Rows of what was measured; those with a bar say whether it holds."""

    def __init__(self):
        self.rows = []
        self.missed = 0

    def add(self, what, value, bar="", holds=None):
        if holds is False:
            self.missed += 1
        self.rows.append((what, value, bar, {None: "", True: "ok", False: "MISSED"}[holds]))

    def show(self):
        widths = [max(len(row[i]) for row in self.rows) for i in range(4)]
        print()
        for row in self.rows:
            print("  ".join(text.ljust(width) for text, width in zip(row, widths)).rstrip())


def write_results(path, results, bars):
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    results["table"] = bars.rows
    with open(path, "w") as file:
        json.dump(results, file, indent=1)
        file.write("\n")
    print(f"\n{path}")


def conclude(bars, results, arguments):
    """Table, file, exit code."""
    bars.show()
    write_results(arguments.results, results, bars)
    sys.stdout.flush()
    return 1 if arguments.check and bars.missed else 0
