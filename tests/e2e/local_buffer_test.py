"""postfleet-ingest with a local buffer: 250 while RabbitMQ is away, nothing lost when either is killed, no id twice over.

What counts is what lies in the sender's queue in the end: each message that was answered with 250, under one hand-over id
(a sender drops the second copy of an id: cluster_sender_test.py), and nothing that was refused."""
import re
import smtplib
import sys
import tempfile
import unittest
import urllib.request

from cluster_ingest_test import Cluster, pika, rabbitmq
from harness import wait_for

QUEUE = "postfleet.deliver.sender-0"


class LocalBufferTest(unittest.TestCase):
    def start(self, max_size):
        self.folder = tempfile.TemporaryDirectory(prefix="postfleet-e2e-")
        self.addCleanup(self.folder.cleanup)
        self.broker = rabbitmq.RabbitMq()
        self.addCleanup(self.broker.close)
        self.cluster = Cluster(self.folder.name, self.broker, more=f"local_buffer: {{max_size: {max_size}}}")
        self.addCleanup(self.cluster.close)
        wait_for(self.cluster.is_ready, "readiness")
        self.sent = 0
        self.accepted = set()

    def send(self, count, size=100):
        """Returns how many were refused with 451."""
        refused = 0
        with smtplib.SMTP("127.0.0.1", self.cluster.smtp_port, timeout=120) as client:
            for _ in range(count):
                self.sent += 1
                text = f"X-Number: {self.sent}\r\nSubject: x\r\n\r\n" + ("y" * 70 + "\r\n") * (size // 72 + 1)
                try:
                    client.sendmail("from@src.test", ["a@dst.test"], text)
                    self.accepted.add(self.sent)
                except smtplib.SMTPResponseException as error:
                    self.assertEqual(451, error.smtp_code, error.smtp_error)
                    refused += 1
        return refused

    def metric(self, name):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.cluster.http_port}/metrics", timeout=30) as answer:
            text = answer.read().decode()
        found = re.search(rf"^{name} (\S+)$", text, re.MULTILINE)
        return float(found.group(1)) if found else None

    def restart_ingest_killed(self):
        self.cluster.ingest.kill()
        self.cluster.start_ingest()

    def wait_until_empty(self):
        wait_for(lambda: self.metric("postfleet_ingest_buffer_messages") == 0, "the buffer to be empty", 120)

    def check_all_are_there(self):
        connection = pika.BlockingConnection(pika.URLParameters(self.broker.url + "/%2F"))
        channel = connection.channel()
        ids, copies = {}, 0
        while True:
            method, properties, body = channel.basic_get(QUEUE, auto_ack=True)
            if method is None:
                break
            copies += 1
            number = int(re.search(rb"X-Number: (\d+)\r\n", body).group(1))
            ids.setdefault(number, set()).add(properties.message_id)
        connection.close()
        self.assertEqual(self.accepted, set(ids), "lost, or not accepted and there")
        self.assertEqual([], [number for number, of_it in ids.items() if len(of_it) != 1], "under two ids")
        self.assertEqual(len(ids), len(set().union(*ids.values())))
        return copies

    def test_it_goes_on_accepting_and_loses_nothing_whoever_is_killed(self):
        """F19, P1, P3: the broker dies, ingest dies with mail in the buffer and again while it hands that over."""
        self.start("64MiB")
        self.send(20)
        self.broker.kill()
        self.assertEqual(0, self.send(300))
        self.assertTrue(self.cluster.is_ready(), "it takes mail, so it is ready")
        wait_for(lambda: "buffer-begins" in self.cluster.ingest.output(), "the log to say so")
        self.restart_ingest_killed()
        self.assertEqual(0, self.send(100))
        self.assertEqual(400, self.metric("postfleet_ingest_buffer_messages"))
        self.broker.start()
        wait_for(lambda: self.broker.queues()[QUEUE]["messages"] > 20, "the first of them to be handed over")
        self.restart_ingest_killed()
        wait_for(self.cluster.is_ready, "readiness")
        self.assertEqual(0, self.send(10))
        self.wait_until_empty()
        self.check_all_are_there()

    def test_a_broker_that_stands_still_costs_seconds_and_no_mail(self):
        self.start("64MiB")
        self.send(1)
        self.broker.pause()
        try:
            self.assertEqual(0, self.send(3))
        finally:
            self.broker.resume()
        self.wait_until_empty()
        self.check_all_are_there()

    def test_it_is_bounded_and_stays_on_disk_when_the_process_ends(self):
        self.start("40KiB")
        self.broker.kill()
        refused = self.send(40, size=1400)
        self.assertGreater(refused, 0)
        self.assertGreater(len(self.accepted), 5)
        wait_for(lambda: not self.cluster.is_ready(), "not ready when it is full")
        wait_for(lambda: "buffer-full" in self.cluster.ingest.output(), "the log to say so")
        self.assertEqual(0, self.cluster.ingest.terminate())
        self.cluster.configure("local_buffer: {max_size: 0}")  # off: what is there goes all the same
        self.cluster.start_ingest()
        self.broker.start()
        wait_for(self.cluster.is_ready, "readiness")
        self.wait_until_empty()
        self.send(1)
        self.check_all_are_there()


if __name__ == "__main__":
    sys.exit(unittest.main())
