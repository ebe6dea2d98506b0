"""postfleet-ingest between a router and RabbitMQ: 250 after the confirm, 451 while the broker is away, and back by itself."""
import os
import re
import smtplib
import socket
import sys
import tempfile
import time
import unittest
import urllib.error
import urllib.request

from harness import BIN, Process, answers, free_port, wait_for

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../support/brokers"))
import rabbitmq  # noqa: E402

pika = rabbitmq.import_pika()

CONFIG = """
hostname: mx.src.test
shards: 1
listeners:
  relay: {{address: "127.0.0.1:{port}", headers: honour}}
virtual_mtas:
  tx: {{ehlo: tx.src.test}}
  promo: {{ehlo: promo.src.test, sender: sender-1}}
{more}
default_virtual_mta: tx
shutdown_grace: 5s
"""


class Cluster:
    """A router and an ingest on their own ports, with a broker."""

    def __init__(self, directory, broker, more=""):
        self.directory, self.broker = directory, broker
        self.smtp_port, self.router_port, self.http_port = free_port(), free_port(), free_port()
        self.config = os.path.join(directory, "config")
        os.makedirs(self.config)
        self.configure(more)
        self.router = self.ingest = None
        self.start_router()
        self.start_ingest()

    def configure(self, more="", port=None):
        path = os.path.join(self.config, "postfleet.yaml")
        with open(path + ".new", "w") as file:
            file.write(CONFIG.format(port=port or self.smtp_port, more=more))
        os.rename(path + ".new", path)

    def start_router(self):
        self.router = Process([os.path.join(BIN, "postfleet-router"), "--config", self.config,
                               "--data-dir", os.path.join(self.directory, "router"),
                               "--listen", f"127.0.0.1:{self.router_port}", "--http", "127.0.0.1:0"],
                              os.path.join(self.directory, "router.log"))
        wait_for(lambda: "is ready" in self.router.output() or not self.router.is_running(), "the router")
        assert self.router.is_running(), self.router.output()

    def start_ingest(self):
        self.ingest = Process([os.path.join(BIN, "postfleet-ingest"), "--router", f"127.0.0.1:{self.router_port}",
                               "--broker", self.broker.url, "--data-dir", os.path.join(self.directory, "ingest"),
                               "--files", self.config, "--http", f"127.0.0.1:{self.http_port}"],
                              os.path.join(self.directory, "ingest.log"))
        wait_for(lambda: answers(self.smtp_port) or not self.ingest.is_running(), "the listener")
        assert self.ingest.is_running(), self.ingest.output()

    def is_ready(self):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.http_port}/healthz/ready", timeout=5):
                return True
        except (urllib.error.URLError, OSError):
            return False

    def epoch(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http_port}/metrics", timeout=5) as answer:
            found = re.search(r"^postfleet_config_epoch (\d+)", answer.read().decode(), re.MULTILINE)
        return int(found[1])

    def send(self, recipients, headers=""):
        with smtplib.SMTP("127.0.0.1", self.smtp_port, timeout=60) as client:
            return client.sendmail("from@src.test", recipients, f"{headers}Subject: x\r\n\r\nHello.\r\n")

    def close(self):
        for process in (self.ingest, self.router):
            if process is not None:
                process.kill()


class ClusterIngestTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="postfleet-e2e-")
        self.addCleanup(self.folder.cleanup)
        self.broker = rabbitmq.RabbitMq()
        self.addCleanup(self.broker.close)
        self.cluster = Cluster(self.folder.name, self.broker)
        self.addCleanup(self.cluster.close)
        wait_for(self.cluster.is_ready, "readiness")

    def count(self, queue):
        connection = pika.BlockingConnection(pika.URLParameters(self.broker.url + "/%2F"))
        try:
            return connection.channel().queue_declare(queue, passive=True).method.message_count
        finally:
            connection.close()

    def test_mail_goes_to_the_queue_of_its_sender(self):
        self.cluster.send(["a@dst.test", "b@dst.test"])
        self.cluster.send(["a@dst.test"], "X-Virtual-MTA: promo\r\n")
        wait_for(lambda: self.count("postfleet.deliver.sender-0") == 1, "the message for sender-0")
        wait_for(lambda: self.count("postfleet.deliver.sender-1") == 1, "the message for sender-1")

    def test_a_new_configuration_brings_new_senders_without_a_restart(self):
        self.cluster.configure("  extra: {ehlo: extra.src.test, sender: sender-2}")
        wait_for(lambda: "configuration-applied" in self.cluster.ingest.output(), "the new configuration")
        self.cluster.send(["a@dst.test"], "X-Virtual-MTA: extra\r\n")
        wait_for(lambda: self.count("postfleet.deliver.sender-2") == 1, "the message for sender-2")

    def test_a_configuration_that_cannot_be_used_here_is_refused_and_the_last_one_stays(self):
        first = self.cluster.epoch()
        with socket.create_server(("127.0.0.1", 0)) as taken:
            self.cluster.configure(port=taken.getsockname()[1])
            wait_for(lambda: "configuration-refused" in self.cluster.ingest.output(), "the refusal")
            self.assertEqual(self.cluster.epoch(), first)
            self.cluster.send(["a@dst.test"])
        self.cluster.configure("  later: {sender: sender-4}")
        wait_for(lambda: self.cluster.epoch() == first + 2, "the configuration after it")

    def test_451_while_the_broker_is_away_and_recovery_by_itself_F19(self):
        self.cluster.send(["a@dst.test"])
        self.broker.kill()
        wait_for(lambda: not self.cluster.is_ready(), "not ready")
        started = time.monotonic()
        with self.assertRaises(smtplib.SMTPResponseException) as refused:
            self.cluster.send(["b@dst.test"])
        self.assertEqual(451, refused.exception.smtp_code)
        self.assertLess(time.monotonic() - started, 35)
        self.broker.start()
        wait_for(self.cluster.is_ready, "readiness")
        self.cluster.send(["c@dst.test"])
        wait_for(lambda: self.count("postfleet.deliver.sender-0") == 2, "what was accepted, and nothing else")

    def test_it_starts_and_works_without_a_router(self):
        self.cluster.router.kill()
        self.cluster.send(["a@dst.test"])
        self.cluster.ingest.terminate()
        self.cluster.start_ingest()
        wait_for(self.cluster.is_ready, "readiness")
        self.cluster.send(["b@dst.test"])
        wait_for(lambda: self.count("postfleet.deliver.sender-0") == 2, "both messages")


if __name__ == "__main__":
    unittest.main()
