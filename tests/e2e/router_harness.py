"""Routers and probes as processes, for the tests of the control plane."""
import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import unittest
import urllib.error
import urllib.request

from harness import BIN, Process, free_port, run, wait_for

ROUTER = os.path.join(BIN, "postfleet-router")
PROBE = os.path.join(BIN, "../tests/router_probe")
CONFIGURATION = """
hostname: mta.example.test
data_dir: /var/lib/postfleet
listeners:
  relay: {address: "127.0.0.1:2525", relay_from: ["127.0.0.0/8"]}
"""


class Router:
    """A postfleet-router with its own data directory; several may share a configuration directory and a state."""

    def __init__(self, base, name, config, *arguments, env=None):
        self.data = os.path.join(base, name)
        self.port, self.http = free_port(), free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.env = env
        self.arguments = [ROUTER, "--config", config, "--data-dir", self.data, "--listen", self.address,
                          "--http", f"127.0.0.1:{self.http}", *arguments]
        self.log = os.path.join(base, name + ".log")
        self.process = None

    def start(self, wait=True):
        self.process = Process(self.arguments, self.log, env={**os.environ, **(self.env or {})})
        if wait:
            wait_for(lambda: self.is_ready() or not self.process.is_running(), "the router to be ready")
            if not self.process.is_running():
                raise AssertionError(self.process.output())
        return self

    def health(self, which="ready"):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.http}/healthz/{which}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError as error:
            return 0, str(error)

    def is_ready(self):
        return self.health()[0] == 200

    def kill(self):
        self.process.kill()

    def pause(self):
        self.process.child.send_signal(signal.SIGSTOP)

    def resume(self):
        self.process.child.send_signal(signal.SIGCONT)

    def stop(self):
        if self.process and self.process.is_running():
            self.resume()
            self.process.terminate()

    def command(self, *arguments, check=True):
        return run(*arguments, "--socket", os.path.join(self.data, "control.sock"), check=check)


class Probe:
    """tests/support/router_probe: claims keys all the time, and says what it hears."""

    def __init__(self, base, name, routers, *ownership, env=None):
        self.events = []
        addresses = ",".join(router.address for router in routers)
        self.child = subprocess.Popen([PROBE, os.path.join(base, name), name, addresses, *ownership],
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                      env={**os.environ, **(env or {})})
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.child.stdout:
            self.events.append(json.loads(line))

    def heard(self, event):
        return [one.get("number") for one in list(self.events) if one["event"] == event]

    def wait(self, event, number=None, deadline=60):
        return wait_for(lambda: [n for n in self.heard(event) if number in (None, n)], f"{event} {number}", deadline)

    def finish(self):
        """What its claims were like."""
        self.child.stdin.close()
        if self.child.wait(30) != 0:
            raise AssertionError(f"the probe ended with {self.child.returncode}")
        self.reader.join(10)
        return next(one for one in self.events if one["event"] == "claims")

    def kill(self):
        if self.child.poll() is None:
            self.child.kill()
            self.child.wait()
        self.child.stdin.close()
        self.reader.join(10)
        self.child.stdout.close()


class ControlPlane(unittest.TestCase):
    def setUp(self):
        self.base = tempfile.mkdtemp(prefix="pf-router-")
        self.config = os.path.join(self.base, "config")
        os.mkdir(self.config)
        self.write(CONFIGURATION)
        self.processes = []

    def tearDown(self):
        for process in reversed(self.processes):
            process.kill() if isinstance(process, Probe) else process.stop()
        shutil.rmtree(self.base, ignore_errors=True)

    def write(self, yaml, name="postfleet.yaml"):
        path = os.path.join(self.config, name)
        with open(path + ".new", "w") as f:
            f.write(yaml)
        os.rename(path + ".new", path)

    def router(self, name="router-0", *arguments, **options):
        router = Router(self.base, name, self.config, *arguments, **options)
        self.processes.append(router)
        return router

    def probe(self, name, routers, *ownership, **options):
        probe = Probe(self.base, name, routers, *ownership, **options)
        self.processes.append(probe)
        return probe
