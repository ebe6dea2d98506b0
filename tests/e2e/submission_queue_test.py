"""Submission queues with a real RabbitMQ: the documented examples, all kinds of bodies, poison, and kill -9 of either side
under load (F01, F19, F27)."""

import collections
import email
import email.policy
import gzip
import json
import os
import random
import re
import sys
import tempfile
import threading
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../support/brokers"))
import rabbitmq  # noqa: E402
from harness import EndToEnd, run, wait_for  # noqa: E402

pika = rabbitmq.import_pika()
PROPERTIES = dict(delivery_mode=2)
GUIDE_URL = "amqp://guest:guest@127.0.0.1:5672"


def document(language):
    """The first code block of docs/SUBMITTING_BY_QUEUE.md in one language."""
    with open(os.path.join(os.path.dirname(__file__), "../../docs/SUBMITTING_BY_QUEUE.md")) as page:
        return re.findall(rf"^```{language}\n(.*?)^```$", page.read(), re.M | re.S)[0]


def draft(recipient, **more):
    return {"from": "a@src.test", "to": recipient, "subject": recipient, "text": "Hello.", **more}


class Publisher:
    """A connection that confirms; it is made again when it is lost."""

    process = None

    def __init__(self, broker):
        self.broker, self.connection = broker, None

    def publish(self, body, content_type="application/json", **properties):
        if isinstance(body, dict):
            body = json.dumps(body)
        if self.connection is None or self.connection.is_closed:
            self.connection = pika.BlockingConnection(pika.URLParameters(self.broker.url))
            self.channel = self.connection.channel()
            self.channel.confirm_delivery()
        self.channel.basic_publish("postfleet.submit", "postfleet.submit", body, mandatory=True,
                                   properties=pika.BasicProperties(content_type=content_type, **PROPERTIES, **properties))

    def get(self, queue):
        method, properties, body = self.channel.basic_get(queue, auto_ack=True)
        return (properties, body) if method else None

    def close(self):
        if self.connection and self.connection.is_open:
            self.connection.close()


class SubmissionQueue(EndToEnd):
    def setUp(self):
        super().setUp()
        self.broker = rabbitmq.RabbitMq()
        self.closers.append(self.broker)

    def start(self, sink, more=""):
        stack = self.stack(f'routes: {{"*": ["127.0.0.1:{sink.port}"]}}\nshaping:\n  - {{max_connections: 8}}\n' + more)
        stack.write_config(document("yaml").replace(GUIDE_URL, self.broker.url), "queues.yaml")
        stack.start()
        wait_for(lambda: stack.http("/healthz/ready")[0] == 200, "the queue to be there")
        return stack

    def publisher(self):
        publisher = Publisher(self.broker)
        self.closers.append(publisher)
        return publisher

    def left(self):
        """On the broker: ready or not acknowledged."""
        return int(self.broker.queues().get("postfleet.submit", {}).get("messages", 0))

    def test_the_python_example_of_the_guide_is_sent(self):
        sink = self.sink()
        stack = self.start(sink)
        program = document("python").replace(GUIDE_URL, self.broker.url)
        exec(compile(program, "docs/SUBMITTING_BY_QUEUE.md", "exec"), {"pika": pika})
        delivery = sink.wait(1)[0]
        self.assertEqual((delivery.sender, delivery.recipient), ("orders@shop.example", "alice@customer.example"))
        self.assertEqual(delivery.header("Subject"), "Your order")
        event = stack.wait_events(1, "delivered")[0]
        self.assertEqual(event["data"]["listener"], "shop")

    def test_every_kind_of_body_becomes_the_same_mail(self):
        sink = self.sink()
        stack = self.start(sink)
        publisher = self.publisher()
        publisher.publish({**json.loads(document("json")), "attachments": [
            {"filename": "Übersicht.txt", "content_type": "text/plain; charset=utf-8", "content": "w7xiZXI="},
            {"filename": "logo.png", "content_type": "image/png", "content": "UE5H", "content_id": "logo"}],
            "subject": "Grüße aus Wien, wie immer mit den besten Wünschen für die kommenden Feiertage und das neue Jahr"})
        message = email.message_from_bytes(sink.wait(1)[0].content, policy=email.policy.default)
        self.assertEqual(message["Subject"], "Grüße aus Wien, wie immer mit den besten Wünschen für die kommenden "
                                             "Feiertage und das neue Jahr")
        self.assertEqual(str(message["From"]), "The Shop <orders@shop.example>")
        parts = {part.get_content_type(): part for part in message.walk()}
        self.assertEqual(parts["text/html"].get_content().rstrip(), "<p>It is on its way.</p>")
        self.assertEqual(parts["image/png"]["Content-ID"], "<logo>")
        files = [part for part in message.walk() if part.get_content_disposition() == "attachment"]
        self.assertEqual([file.get_filename() for file in files], ["Übersicht.txt"])
        self.assertEqual(files[0].get_content(), "über")
        self.assertEqual(stack.wait_events(1, "delivered")[0]["data"]["metadata"], {"order": "17"})

        mime = "From: a@src.test\r\nSubject: s\r\n\r\nHi\r\n"
        publisher.publish({"envelope": "b@src.test", "recipient": "mailerq@dst.test", "mime": mime})
        publisher.publish(mime.replace("\r\n", "\n"), "message/rfc822",
                          headers={"mail-from": "b@src.test", "rcpt-to": ["raw1@dst.test", "raw2@dst.test"], "job": "j"})
        # postfleet.v1.Submission: mail_from (1), recipients (2) with address (1), mime (3)
        field = lambda number, text: bytes([number << 3 | 2, len(text)]) + text  # noqa: E731
        publisher.publish(field(1, b"b@src.test") + field(2, field(1, b"proto@dst.test")) + field(3, mime.encode()),
                          "application/x-protobuf")
        deliveries = {d.recipient: d for d in sink.wait(5)}
        for name in ("mailerq", "raw1", "raw2", "proto"):
            delivery = deliveries[name + "@dst.test"]
            self.assertEqual(delivery.sender, "b@src.test")
            self.assertTrue(delivery.content.endswith(b"\r\n\r\nHi\r\n"))

    def test_f27_poison_is_rejected_with_a_reason_and_its_neighbours_are_sent(self):
        sink = self.sink()
        self.start(sink)
        publisher = self.publisher()
        for number in range(30):
            publisher.publish(draft(f"r{number}@dst.test"))
            if number % 10 == 5:
                publisher.publish({"to": "x@dst.test", "sbject": "?"}, message_id=f"poison{number}")
        publisher.publish("x", "text/plain")
        sink.wait(30)
        reasons = []
        while len(reasons) < 4:
            properties, body = wait_for(lambda: publisher.get("postfleet.rejected"), "a rejected submission")
            reasons.append(properties.headers["x-postfleet-reason"])
            self.assertEqual(properties.headers["x-postfleet-queue"], "postfleet.submit")
        self.assertEqual(reasons[0], "sbject: is no field that is known here; what is yours alone belongs into metadata")
        self.assertTrue(reasons[3].startswith('content_type: "text/plain" is none of'))
        # What is compressed would go out as it is.
        publisher.publish(gzip.compress(b"From: a@src.test\r\n\r\nHi\r\n"), "message/rfc822", content_encoding="gzip",
                          headers={"mail-from": "a@src.test", "rcpt-to": "x@dst.test"})
        properties, _ = wait_for(lambda: publisher.get("postfleet.rejected"), "a rejected submission")
        self.assertEqual(properties.headers["x-postfleet-reason"],
                         'content_encoding: "gzip" is not understood; publish the body as it is, not compressed')
        self.assertEqual(properties.content_encoding, "gzip")
        publisher.publish({"to": "x@dst.test", "sbject": "?"})
        self.check_that_it_is_listed_with_the_services_password()

    def check_that_it_is_listed_with_the_services_password(self):
        """`postfleet rejected` takes what lets the services in, and does not wait for ever where nothing does."""
        with tempfile.TemporaryDirectory() as folder:
            right, wrong = os.path.join(folder, "right"), os.path.join(folder, "wrong")
            for path, password in ((right, "guest"), (wrong, "guessed")):
                with open(path, "w") as file:
                    file.write(password)
            variables = {"POSTFLEET_BROKER": self.broker.url.replace("guest:guest@", "guest:nothing@")}

            def listed(password):
                return run("rejected", "list", check=False, env={**variables, "POSTFLEET_BROKER_PASSWORD_FILE": password})
            wait_for(lambda: "sbject: is no field" in listed(right).stdout, "the rejected submission to be listed")
            done = listed(wrong)
            self.assertEqual(1, done.returncode)
            self.assertIn("postfleet: the broker cannot be reached: ", done.stderr)
            self.assertIn("cannot log in as guest", done.stderr)
        wait_for(lambda: self.left() == 0, "the queue to be empty")

    def test_a_key_or_a_message_id_is_sent_once_also_over_a_restart(self):
        sink = self.sink()
        stack = self.start(sink)
        publisher = self.publisher()
        for _ in range(3):
            publisher.publish(draft("key@dst.test", idempotency_key="k1"))
            publisher.publish(draft("id@dst.test"), message_id="m1")
        sink.wait(2)
        wait_for(lambda: self.left() == 0, "the queue to be empty")
        stack.stop()
        stack.start()
        publisher.publish(draft("key@dst.test", idempotency_key="k1"))
        publisher.publish(draft("id@dst.test"), message_id="m1")
        publisher.publish(draft("last@dst.test"))
        wait_for(lambda: any(d.recipient == "last@dst.test" for d in sink.deliveries), "the last one")
        wait_for(lambda: self.left() == 0, "the queue to be empty")
        self.assertEqual(sorted(d.recipient for d in sink.deliveries), ["id@dst.test", "key@dst.test", "last@dst.test"])

    def test_a_broker_that_comes_late_or_goes_away_is_only_waited_for(self):
        sink = self.sink()
        self.broker.stop()
        stack = self.stack(f'routes: {{"*": ["127.0.0.1:{sink.port}"]}}\n')
        stack.write_config(document("yaml").replace(GUIDE_URL, self.broker.url), "queues.yaml")
        stack.start()
        wait_for(lambda: "shop: " in stack.http("/healthz/ready")[1], "the process to say what it waits for")
        self.assertEqual(stack.http("/healthz/ready")[0], 503)
        stack.send("smtp@dst.test")  # other ways in go on
        sink.wait(1)
        self.broker.start()
        wait_for(lambda: stack.http("/healthz/ready")[0] == 200, "the broker to be found")
        self.publisher().publish(draft("queue@dst.test"))
        sink.wait(2)

    def test_a_queue_that_the_configuration_has_no_more_is_let_go_and_nothing_waits_for_it(self):
        sink = self.sink()
        stack = self.start(sink)
        stack.write_config("{}\n", "queues.yaml")
        stack.command("reload")
        wait_for(lambda: "consumer of" not in self.broker.ctl("list_connections", "-q", "client_properties"),
                 "its consumers to go", 60)
        code, text = stack.http("/healthz/ready")
        self.assertEqual(code, 200, text)
        self.publisher().publish(draft("queue@dst.test"))
        stack.send("smtp@dst.test")
        self.assertEqual(sink.wait(1)[0].recipient, "smtp@dst.test")
        stack.write_config(document("yaml").replace(GUIDE_URL, self.broker.url), "queues.yaml")
        stack.command("reload")  # it comes back
        self.assertEqual(sink.wait(2)[1].recipient, "queue@dst.test")
        wait_for(lambda: stack.http("/healthz/ready")[0] == 200, "the queue to be there again")

    def flood(self, stop):
        """Publishes until told to stop; what was confirmed is in `confirmed`, what may be there in `offered`."""
        self.confirmed, self.offered = set(), set()

        def run(number):
            publisher, count = Publisher(self.broker), 0
            while not stop.is_set():
                name = f"w{number}-{count}"
                count += 1
                self.offered.add(name)
                # One in three has neither, and may be sent twice.
                properties = {"message_id": name} if count % 3 else {}
                while not stop.is_set():
                    try:
                        publisher.publish(draft(f"{name}@d{count % 4}.test", text="x" * 3000), **properties)
                        self.confirmed.add(name)
                        break
                    except Exception:
                        publisher.connection = None
                        stop.wait(0.2)
                stop.wait(0.002)
        threads = [threading.Thread(target=run, args=(number,), daemon=True) for number in range(3)]
        for thread in threads:
            thread.start()
        return threads

    def judge(self, sink, kills):
        def missing():
            got = {d.recipient.split("@")[0] for d in list(sink.deliveries)}
            return self.confirmed - got
        wait_for(lambda: not missing(), "all that was confirmed to be sent", 120)
        wait_for(lambda: self.left() == 0, "the queue to be empty", 60)
        copies = collections.Counter(d.recipient.split("@")[0] for d in sink.deliveries)
        self.assertFalse(set(copies) - self.offered)
        doubled = {name for name, count in copies.items() if count > 1}
        # What has a message_id is accepted once. A delivery that the crash interrupted may have a second copy (P3),
        # and its publisher may have published again what it had no confirm for.
        marked = {name for name in doubled if (int(name.split("-")[1]) + 1) % 3}
        print(f"{self._testMethodName}: {len(self.confirmed)} confirmed, lost 0, {len(doubled)} sent twice, "
              f"{len(marked)} of these with a message_id, {kills} kills")
        return doubled, marked

    def test_f01_nothing_is_lost_when_postfleet_is_killed_under_load(self):
        sink = self.sink()
        stack = self.start(sink)
        stop, chance = threading.Event(), random.Random(7)
        threads = self.flood(stop)
        for _ in range(5):
            before = len(sink.deliveries)
            wait_for(lambda: len(sink.deliveries) > before + chance.randrange(20, 100), "mail to flow")
            stack.kill()
            stack.start()
        stop.set()
        for thread in threads:
            thread.join()
        doubled, marked = self.judge(sink, 5)
        # In flight to the sink at each kill: at most a transaction on each of its connections (P3).
        self.assertLessEqual(len(marked), 5 * 4 * 8)

    def test_f19_nothing_is_lost_when_the_broker_is_killed_under_load(self):
        sink = self.sink()
        self.start(sink)
        stop = threading.Event()
        threads = self.flood(stop)
        for _ in range(3):
            before = len(sink.deliveries)
            wait_for(lambda: len(sink.deliveries) > before + 50, "mail to flow", 90)
            self.broker.kill()
            self.broker.start()
        stop.set()
        for thread in threads:
            thread.join()
        doubled, marked = self.judge(sink, 3)
        self.assertEqual(marked, set())


if __name__ == "__main__":
    unittest.main()
