"""postfleet-feedback between a router and RabbitMQ: events in a sink's queue become reports, and are acknowledged then.

[F05] a killed process, [F27] what cannot be read, [F64] a sink that is away.
"""
import json
import os
import pathlib
import sys
import tempfile
import unittest

from harness import BIN, Process, free_port, wait_for

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/support/brokers"))
import rabbitmq  # noqa: E402

pika = rabbitmq.import_pika()

# What senders write; made for the fuzzer, and read here as any batch.
BATCH = (ROOT / "tests/corpus/events/bounced_and_backoff").read_bytes()
EVENTS_IN_BATCH = 4


class ClusterFeedback(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="postfleet-feedback-")
        self.broker = rabbitmq.RabbitMq()
        self.addCleanup(self.broker.close)
        self.reports = os.path.join(self.directory, "events.jsonl")
        self.router_port = free_port()
        self.config = os.path.join(self.directory, "config")
        os.makedirs(self.config)
        with open(os.path.join(self.config, "postfleet.yaml"), "w") as file:
            file.write(f"""
hostname: mta.test
listeners: {{relay: {{address: "127.0.0.1:{free_port()}"}}}}
reports:
  - {{type: file, path: {self.reports}}}
  - {{type: amqp, url: "{self.broker.url}"}}
""")
        self.router = self.start("postfleet-router", "--config", self.config,
                                 "--listen", f"127.0.0.1:{self.router_port}", "--http", "127.0.0.1:0")

    def start(self, name, *arguments):
        process = Process([os.path.join(BIN, name), "--data-dir", os.path.join(self.directory, name), *arguments],
                          os.path.join(self.directory, name + ".log"))
        self.addCleanup(process.kill)
        wait_for(lambda: "is ready" in process.output() or not process.is_running(), name, 60)
        self.assertTrue(process.is_running(), process.output())
        return process

    def start_feedback(self):
        feedback = self.start("postfleet-feedback", "--router", f"127.0.0.1:{self.router_port}",
                              "--broker", self.broker.url, "--files", self.config, "--http", "127.0.0.1:0")
        wait_for(lambda: self.broker.queues().get("postfleet.sink.amqp", {}).get("consumers"), "it to consume", 60)
        return feedback

    def publish(self, sink, body, message_id="1"):
        connection = pika.BlockingConnection(pika.URLParameters(self.broker.url))
        channel = connection.channel()
        channel.confirm_delivery()
        channel.basic_publish("postfleet.events", f"postfleet.sink.{sink}", body,
                              pika.BasicProperties(message_id=message_id, delivery_mode=2), mandatory=True)
        connection.close()

    def written(self):
        if not os.path.exists(self.reports):
            return []
        with open(self.reports) as file:
            return [json.loads(line) for line in file.read().split("\n")[:-1]]

    def waiting(self, queue):
        return self.broker.queues().get(queue, {}).get("messages", 0)

    def wait_for_written(self, count):
        wait_for(lambda: len({e["id"] for e in self.written()}) >= count, f"{count} events in the file", 90)

    def test_events_of_senders_become_reports_and_are_acknowledged(self):
        self.start_feedback()
        self.publish("file", BATCH)
        self.publish("amqp", BATCH)
        self.wait_for_written(EVENTS_IN_BATCH)
        event = self.written()[1]
        self.assertEqual(("email.delivered", "/senders/a", 2),
                         (event["type"], event["source"], event["data"]["sequence"]))
        wait_for(lambda: self.waiting("postfleet.reports") == EVENTS_IN_BATCH, "the report queue", 60)
        wait_for(lambda: self.waiting("postfleet.sink.file") + self.waiting("postfleet.sink.amqp") == 0,
                 "the acknowledgements", 60)

    def test_F27_a_batch_that_cannot_be_read_is_put_aside_and_its_neighbours_are_written(self):
        self.start_feedback()
        self.publish("file", b"no protobuf", "poison")
        self.publish("file", BATCH)
        self.wait_for_written(EVENTS_IN_BATCH)
        wait_for(lambda: self.waiting("postfleet.rejected") == 1, "the poison to be put aside", 60)

    def test_F05_nothing_is_lost_when_the_process_or_the_broker_is_killed(self):
        feedback = self.start_feedback()
        feedback.kill()
        self.publish("file", BATCH)
        self.start_feedback()
        self.wait_for_written(EVENTS_IN_BATCH)
        self.broker.kill()
        self.broker.start()
        wait_for(lambda: self.broker.queues().get("postfleet.sink.file", {}).get("consumers"), "it to come back", 90)
        before = len(self.written())
        self.publish("file", BATCH)
        wait_for(lambda: len(self.written()) >= before + EVENTS_IN_BATCH, "the batch after the kill", 90)


if __name__ == "__main__":
    unittest.main()
