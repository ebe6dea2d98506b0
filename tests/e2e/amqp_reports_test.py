"""Delivery reports on a real RabbitMQ, read as an application reads them: with pika. [F24, F26, F64]"""
import json
import os
import pathlib
import subprocess
import sys
import unittest

from harness import EndToEnd, wait_for

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/support/brokers"))
from rabbitmq import RabbitMq, import_pika  # noqa: E402

pika = import_pika()


class AmqpReports(EndToEnd):
    def setUp(self):
        super().setUp()
        self.broker = RabbitMq()
        self.addCleanup(self.broker.close)

    def reporting_stack(self, more="", yaml=""):
        sink = self.sink(rcpt=lambda recipient, attempt: "550 5.1.1 unknown" if recipient.startswith("bad") else "250 ok")
        stack = self.stack(f'  - {{type: amqp, url: "{self.broker.url}"{more}}}\n'
                           f'routes: {{"*": ["127.0.0.1:{sink.port}"]}}\n{yaml}',
                           listener="headers: honour").start()
        return sink, stack

    def report(self, stack):
        return next(r for r in stack.json("status")["reports"] if r["name"] == "amqp")

    def wait_until_reported(self, stack, seconds=120):
        wait_for(lambda: self.report(stack)["lag_events"] == 0, "every event to be in RabbitMQ", seconds)

    def consume(self, queue="postfleet.reports"):
        """Everything in the queue: [(method, properties, body)], acknowledged."""
        connection = pika.BlockingConnection(pika.URLParameters(self.broker.url))
        channel = connection.channel()
        channel.basic_qos(prefetch_count=100)
        messages = []
        for method, properties, body in channel.consume(queue, inactivity_timeout=3):
            if method is None:
                break
            messages.append((method, properties, body))
            channel.basic_ack(method.delivery_tag)
        connection.close()
        return messages

    def check_complete(self, stack, messages):
        expected = {event["id"]: event for event in stack.events()}
        found = {json.loads(body)["id"]: json.loads(body) for _, _, body in messages}
        self.assertEqual(expected, found)

    def test_an_application_reads_every_event_with_its_key_id_and_headers(self):
        sink, stack = self.reporting_stack(yaml="pools: {bulk: {members: [default]}}\ndefault_virtual_mta: bulk\n")
        for i in range(10):
            stack.send([f"a{i}@dest.test", f"bad{i}@dest.test"], headers=[("X-Job", "spring.sale")])
        stack.wait_events(40)
        self.wait_until_reported(stack)
        messages = self.consume()
        self.check_complete(stack, messages)
        self.assertEqual(40, len(messages))
        for method, properties, body in messages:
            event = json.loads(body)
            self.assertEqual(event["type"] + ".default.bulk", method.routing_key)
            self.assertEqual("postfleet.reports", method.exchange)
            self.assertEqual(event["id"], properties.message_id)
            self.assertEqual(event["type"], properties.type)
            self.assertEqual("application/cloudevents+json", properties.content_type)
            self.assertEqual(2, properties.delivery_mode)
            self.assertEqual(("default", "spring.sale", event["data"]["recipient"]),
                             tuple(properties.headers[name] for name in ("tenant", "job", "recipient")))
        self.check_against_the_published_files(messages)

    def check_against_the_published_files(self, messages):
        """What came is what docs/schemas says."""
        import jsonschema
        schemas = ROOT / "docs/schemas"
        asyncapi = json.loads((schemas / "reports.asyncapi.json").read_text())
        message = asyncapi["components"]["messages"]["amqpEvent"]
        payload = json.loads((schemas / message["payload"]["schema"]["$ref"]).read_text())
        exchange = asyncapi["channels"]["reports"]["bindings"]["amqp"]["exchange"]
        for method, properties, body in messages:
            jsonschema.Draft202012Validator(payload).validate(json.loads(body))
            jsonschema.Draft202012Validator(message["headers"]).validate(properties.headers)
            self.assertLessEqual(set(properties.headers), set(message["headers"]["properties"]))
            self.assertEqual(exchange["name"], method.exchange)
            self.assertEqual(4, len(method.routing_key.split(".")))

    def test_the_example_for_applications_reads_a_queue_of_its_own(self):
        sink, stack = self.reporting_stack()
        stack.send(["good@dest.test"])
        self.wait_until_reported(stack)  # the exchange is there
        reader = subprocess.Popen([sys.executable, ROOT / "docs/examples/read_reports.py", self.broker.url, "bounces",
                                   "email.bounced.#", "--count", "3"], stdout=subprocess.PIPE, text=True,
                                  env={**os.environ, "PYTHONPATH": os.path.dirname(os.path.dirname(pika.__file__))})
        self.addCleanup(reader.kill)
        wait_for(lambda: self.broker.queues().get("bounces", {}).get("consumers"), "the example to consume")
        stack.send([f"bad{i}@dest.test" for i in range(3)] + ["good@dest.test"])
        out, _ = reader.communicate(timeout=60)
        self.assertEqual(0, reader.returncode)
        self.assertEqual(sorted(f"bad{i}@dest.test" for i in range(3)),
                         sorted(line.split()[1] for line in out.splitlines()))
        self.assertIn("bad-mailbox", out)

    def test_F64_reports_wait_while_the_broker_is_away_and_mail_goes_on(self):
        sink, stack = self.reporting_stack()
        stack.send(["first@dest.test"])
        self.wait_until_reported(stack)
        self.broker.kill()
        for i in range(20):
            stack.send([f"c{i}@dest.test"])
        sink.wait(21)
        stack.wait_events(42)
        wait_for(lambda: self.report(stack).get("last_error"), "the failure to be told")
        self.broker.start()
        self.wait_until_reported(stack)
        self.check_complete(stack, self.consume())

    def test_the_broker_may_be_away_when_we_start(self):
        self.broker.stop()
        sink, stack = self.reporting_stack()
        stack.send(["a@dest.test"])
        sink.wait(1)
        self.broker.start()
        self.wait_until_reported(stack)
        self.check_complete(stack, self.consume())

    def test_F24_a_queue_that_nobody_reads_is_full_and_keeps_the_events_in_the_spool(self):
        sink, stack = self.reporting_stack(more=", quota: 1MiB, on_full: pause")
        sent = 0
        # A thousand events or two are more than the queue takes.
        while not self.report(stack).get("last_error"):
            stack.send([f"r{sent + i}@dest.test" for i in range(50)], headers=[("X-Job", "j" * 60)])
            sent += 50
            self.assertLess(sent, 5_000)
        sink.wait(sent)  # mail goes on
        self.assertGreater(self.report(stack)["lag_events"], 0)
        wait_for(lambda: stack.queued() == 0, "the mail to be delivered")
        everything = []
        while self.report(stack)["lag_events"] > 0 or not everything:
            everything += self.consume()
        everything += self.consume()
        self.check_complete(stack, everything)

    def test_F26_a_queue_that_somebody_declared_otherwise_is_an_error_that_is_told_and_stops_no_mail(self):
        connection = pika.BlockingConnection(pika.URLParameters(self.broker.url))
        connection.channel().queue_declare("postfleet.reports", durable=False)
        sink, stack = self.reporting_stack()
        stack.send(["a@dest.test"])
        sink.wait(1)
        wait_for(lambda: "postfleet.reports" in self.report(stack).get("last_error", ""), "the error to be told")
        connection.channel().queue_delete("postfleet.reports")
        connection.close()
        self.wait_until_reported(stack)
        self.check_complete(stack, self.consume())


if __name__ == "__main__":
    unittest.main()
