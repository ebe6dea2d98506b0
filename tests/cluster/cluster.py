"""The four services as real processes, with a real RabbitMQ and a real PostgreSQL, for tests and measurements.

    with Cluster(sink.port, senders=2) as fleet:
        fleet.send("a@dst.test")             # SMTP, to ingest
        fleet.submit({"from": …, "to": …})   # RabbitMQ, to postfleet.submit
        fleet.sender[1].kill(); fleet.sender[1].start()
        fleet.broker.kill(); fleet.broker.start()
        fleet.reports.events()               # what was published to postfleet.reports, as an application reads it

Everything lives in one temporary folder and on ports that were free a moment ago; every process is ended by its own pid.
Only the routers read the configuration directory; the others are told their router, their broker and their name.
"""

import contextlib
import http.client
import json
import os
import shutil
import signal
import smtplib
import sys
import tempfile
import threading
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path[:0] = [os.path.join(ROOT, "tests", "e2e"), os.path.join(ROOT, "tests", "support", "brokers")]
sys.dont_write_bytecode = True

from harness import BIN, DEADLINE, Process, Sink, room, run, wait_for  # noqa: E402
from postgres import Postgres, free_port  # noqa: E402
from rabbitmq import RabbitMq, import_pika  # noqa: E402


class Service:
    """One process of one of the four services; its data directory outlives its kills."""

    def __init__(self, fleet, kind, name, environment):
        self.fleet, self.kind, self.name = fleet, kind, name
        self.directory = os.path.join(fleet.base, name)
        os.makedirs(self.directory, exist_ok=True)
        self.http_port = free_port()
        self.environment = {**os.environ, "POSTFLEET_NAME": name, "POSTFLEET_DATA_DIR": self.directory,
                            "POSTFLEET_HTTP": f"127.0.0.1:{self.http_port}", "POSTFLEET_FILES": fleet.config,
                            **environment}
        self.process = None

    @property
    def pid(self):
        return self.process.child.pid

    @property
    def log_path(self):
        return os.path.join(self.fleet.base, f"{self.name}.log")

    def start(self, wait=True):
        self.process = Process([os.path.join(BIN, f"postfleet-{self.kind}")], self.log_path, env=self.environment)
        if wait:
            self.wait_until_ready()
        return self

    def wait_until_ready(self, deadline=DEADLINE):
        wait_for(lambda: self.is_ready() or not self.process.is_running(), f"{self.name} to be ready", deadline)
        if not self.process.is_running():
            raise AssertionError(f"{self.name} ended at start:\n{self.process.output()[-4000:]}")

    def get(self, path):
        connection = http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=10)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def is_ready(self):
        with contextlib.suppress(OSError, http.client.HTTPException):
            return self.get("/healthz/ready")[0] == 200
        return False

    def metrics(self):
        """Name with labels: value."""
        lines = (line.rpartition(" ") for line in self.get("/metrics")[1].splitlines() if line[:1] not in ("", "#"))
        return {name: float(value) for name, _, value in lines}

    def is_running(self):
        return self.process is not None and self.process.is_running()

    def kill(self):
        if self.process is not None:
            self.process.kill()

    def stop(self, deadline=40):
        """SIGTERM, and its exit code."""
        return self.process.terminate(deadline)

    def signal(self, number):
        self.process.child.send_signal(number)

    def pause(self):
        self.signal(signal.SIGSTOP)

    def resume(self):
        self.signal(signal.SIGCONT)


class Reports:
    """An application that reads postfleet.reports with pika, and goes on after whatever happens to the broker."""

    def __init__(self, url, queue="postfleet.reports"):
        self.url, self.queue = url, queue
        self.lock = threading.Lock()
        self.received = []
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        pika = import_pika()
        while not self.stopping.is_set():
            try:
                connection = pika.BlockingConnection(pika.URLParameters(self.url))
                channel = connection.channel()
                channel.basic_qos(prefetch_count=500)
                for method, _, body in channel.consume(self.queue, inactivity_timeout=0.2):
                    if self.stopping.is_set():
                        break
                    if method is None:
                        continue
                    with self.lock:
                        self.received.append(json.loads(body))
                    channel.basic_ack(method.delivery_tag)
                connection.close()
            except (pika.exceptions.AMQPError, OSError):
                self.stopping.wait(0.2)  # the broker is away, or the queue is not declared yet

    def events(self, *types):
        """Every event so far, in the order of its coming; the types without their "email."."""
        with self.lock:
            return [e for e in self.received if not types or e["type"].removeprefix("email.") in types]

    def wait(self, count, *types, deadline=DEADLINE):
        """Until so many different events are there."""
        wait_for(lambda: len({e["id"] for e in self.events(*types)}) >= count, f"{count} events of {types}", deadline)
        return self.events(*types)

    def close(self):
        self.stopping.set()
        self.thread.join()


class Cluster:
    def __init__(self, sink, yaml="", routers=1, ingests=1, senders=2, feedbacks=1, postgres=True, listener="",
                 start=True, broker=None, report=""):
        """sink: the port that all mail goes to. yaml: more configuration. postgres=False: one router with SQLite.
        listener, report: more keys of these. broker: lines of rabbitmq.conf."""
        self.base = tempfile.mkdtemp(prefix="postfleet-cluster-")
        self.config = os.path.join(self.base, "config")
        os.makedirs(self.config)
        self.broker = self.state = self.reports = self.submission = None
        self.router, self.sender, self.feedback, self.ingest = [], [], [], []
        try:
            self.broker = RabbitMq(config=broker)
            self.state = Postgres().start() if postgres else None
            self._name_services(routers, ingests, senders, feedbacks)
            self.write_config(sink, yaml, listener, report)
            if start:
                self.start()
        except BaseException:
            self.close()
            raise

    def _name_services(self, routers, ingests, senders, feedbacks):
        addresses = [f"127.0.0.1:{free_port()}" for _ in range(routers)]
        self.smtp_ports = [free_port() for _ in range(ingests)]
        # The variable is each process's own: so every ingest on this machine listens elsewhere by one configuration.
        listens = [{"SMTP_PORT": str(port)} for port in self.smtp_ports]
        shared = {"POSTFLEET_ROUTER": ",".join(addresses), "POSTFLEET_BROKER": self.broker.url, **listens[0]}
        control = {"POSTFLEET_CONFIG": self.config, **listens[0],
                   **({"POSTFLEET_STATE": self.state.url} if self.state else {})}
        self.router = [Service(self, "router", f"router-{n}", {**control, "POSTFLEET_LISTEN": address})
                       for n, address in enumerate(addresses)]
        self.sender = [Service(self, "sender", f"sender-{n}", shared) for n in range(senders)]
        self.feedback = [Service(self, "feedback", f"feedback-{n}", shared) for n in range(feedbacks)]
        self.ingest = [Service(self, "ingest", f"ingest-{n}", {**shared, **listens[n]}) for n in range(ingests)]

    @property
    def services(self):
        """In the order of what waits for what; each could start before what it needs, too."""
        return [*self.router, *self.sender, *self.feedback, *self.ingest]

    def write_config(self, sink, yaml="", listener="", report=""):
        report = f", {report}" if report else ""
        extra = f", {listener}" if listener else ""
        mtas = "".join(f"  mta-{n}: {{source: {self.source_of(sender)}, ehlo: mta-{n}.fleet.test, sender: {sender.name}}}\n"
                       for n, sender in enumerate(self.sender))
        members = ", ".join(f"mta-{n}" for n in range(len(self.sender)))
        path = os.path.join(self.config, "postfleet.yaml")
        with open(path + ".new", "w") as file:
            file.write(f"hostname: fleet.test\n"
                       f"listeners:\n  relay: {{address: \"127.0.0.1:${{SMTP_PORT}}\", relay_from: [\"127.0.0.0/8\"], "
                       f"headers: honour, dsn: false{extra}}}\n"
                       f"virtual_mtas:\n{mtas}pools: {{all: {{members: [{members}]}}}}\ndefault_virtual_mta: all\n"
                       f"allow_private_targets: [127.0.0.0/8, \"::1\"]\n"
                       f"routes: {{\"*\": [\"127.0.0.1:{sink}\"]}}\n"
                       f"submission_queues: {{main: {{url: \"{self.broker.url}\"}}}}\n"
                       f"reports:\n  - {{type: amqp, url: \"{self.broker.url}\"{report}}}\n" + yaml)
        os.rename(path + ".new", path)

    def source_of(self, sender):
        return f"127.0.0.{20 + self.sender.index(sender)}"

    def start(self):
        for service in self.services:
            service.start()
        self.reports = Reports(self.broker.url)
        return self

    def send(self, recipients, body="Hello.", sender="from@src.test", headers=(), ingest=0):
        """By SMTP."""
        text = "".join(f"{name}: {value}\r\n" for name, value in (("From", f"<{sender}>"), *headers))
        with smtplib.SMTP("127.0.0.1", self.smtp_ports[ingest], local_hostname="client.test", timeout=60) as client:
            return client.sendmail(sender, [recipients] if isinstance(recipients, str) else recipients,
                                   f"{text}Subject: fleet\r\n\r\n{body}\r\n")

    def submit(self, body, content_type="application/json", **properties):
        """By RabbitMQ: persistent, mandatory, and with a confirm."""
        pika = import_pika()
        if self.submission is None or self.submission.is_closed:
            # It stands idle while a test does something else: without heartbeats the broker lets it.
            url = self.broker.url + "/%2F?heartbeat=0"
            self.submission = pika.BlockingConnection(pika.URLParameters(url)).channel()
            self.submission.confirm_delivery()
        octets = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.submission.basic_publish("postfleet.submit", "postfleet.submit", octets, mandatory=True,
                                      properties=pika.BasicProperties(content_type=content_type, delivery_mode=2,
                                                                      **properties))

    def command(self, service, *arguments, check=True):
        """`postfleet …` at the control socket of one service."""
        return run(*arguments, "--socket", os.path.join(service.directory, "control.sock"), check=check)

    def queued(self):
        """Messages in the spools of all senders."""
        return sum(sender.metrics()["postfleet_sender_held_messages"] for sender in self.sender)

    def logs(self, lines=40):
        """The end of what each process has said."""
        text = ""
        for service in self.services:
            if service.process is not None:
                text += f"--- {service.name}\n" + "".join(service.process.output().splitlines(True)[-lines:])
        return text

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        if self.reports is not None:
            self.reports.close()
        for service in self.services:
            service.kill()
        for server in (self.broker, self.state):
            if server is not None:
                server.close()
        shutil.rmtree(self.base, ignore_errors=True)


class ClusterTest(unittest.TestCase):
    """A test with clusters and sinks that are cleaned up; when it fails the logs are printed."""

    def sink(self, *arguments, **options):
        sink = Sink(*arguments, **options)
        self.addCleanup(sink.close)
        return sink

    def cluster(self, sink, *arguments, **options):
        fleet = Cluster(sink.port, *arguments, **options)
        self.addCleanup(fleet.close)
        self.addCleanup(self._print_logs, fleet)
        return fleet

    def _print_logs(self, fleet):
        outcome = self._outcome
        unhappy = [*getattr(outcome, "errors", []), *getattr(getattr(outcome, "result", None), "failures", []),
                   *getattr(getattr(outcome, "result", None), "errors", [])]
        if any(test is self and error for test, error in unhappy):
            print(fleet.logs())
