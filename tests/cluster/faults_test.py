"""What RabbitMQ, kills and operators do to a cluster, each fault by itself; docs/FAULTS.md has the rows.

One cluster for most tests: what one of them has broken has to be whole again for the next.
"""

import collections
import smtplib
import threading
import unittest

from cluster import Cluster, Sink, import_pika, wait_for

YAML = """shaping:
  - {max_connections: 4, retry_after: [1s]}
shutdown_grace: 20s
"""
DEADLINE = 180


class Faults(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.refusing = threading.Event()
        cls.sink = Sink(rcpt=lambda recipient, n: "451 4.3.0 not now" if cls.refusing.is_set() else "250 2.1.5 ok")
        cls.addClassCleanup(cls.sink.close)
        cls.fleet = Cluster(cls.sink.port, YAML, ingests=2, senders=2, postgres=False)
        cls.addClassCleanup(cls.fleet.close)

    def setUp(self):
        self.refusing.clear()
        self.addCleanup(self.print_logs)

    def print_logs(self):
        if any(error for _, error in getattr(self._outcome, "errors", [])):
            print(self.fleet.logs(15))

    # --- the parts

    def arrived(self, name):
        """{recipient: copies} of this test's mail."""
        return collections.Counter(d.recipient for d in self.sink.deliveries if d.recipient.startswith(name))

    def await_arrivals(self, expected):
        name = expected[0].partition("-")[0]
        wait_for(lambda: self.arrived(name).keys() >= set(expected), f"the mail of {name}", DEADLINE)
        wait_for(lambda: {e["data"]["recipient"] for e in self.fleet.reports.events("delivered")} >= set(expected),
                 f"the reports of {name}", DEADLINE)
        wait_for(lambda: self.fleet.queued() == 0, "the spools to be empty", DEADLINE)

    def send_until_accepted(self, recipient, ingest=0):
        """As a mail server does: what is answered 4xx, or not at all, is sent again."""
        def is_accepted():
            try:
                self.fleet.send(recipient, ingest=ingest)
                return True
            except (smtplib.SMTPException, OSError):
                return False
        wait_for(is_accepted, f"{recipient} to be accepted", DEADLINE, every=0.2)

    def refusal(self, recipient):
        with self.assertRaises(smtplib.SMTPResponseException) as refused:
            self.fleet.send(recipient)
        return refused.exception.smtp_code

    def mail_in_the_spools(self, name, count):
        """Accepted, taken in by both senders, tried once, and due again in a second."""
        self.refusing.set()
        people = [f"{name}-{n}@dst.test" for n in range(count)]
        for recipient in people:
            self.send_until_accepted(recipient)
        wait_for(lambda: {r for _, r, _ in self.sink.attempts} >= set(people), "a first attempt for each", DEADLINE)
        return people

    def submit_all(self, people):
        """A lost connection means that nobody knows: they are published again, with the same message_id."""
        for recipient in people:
            def is_confirmed():
                try:
                    self.fleet.submit({"from": "a@src.test", "to": recipient, "subject": "x", "text": "Hello."},
                                      message_id=recipient)
                    return True
                except (OSError, import_pika().exceptions.AMQPError):
                    self.fleet.submission = None
                    return False
            wait_for(is_confirmed, "a confirm", DEADLINE, every=0.2)

    # --- what happens

    def test_a_lost_ack_and_a_lost_confirm_send_nothing_twice_with_two_senders(self):
        """Each submission comes at least twice: given out again, because its ingest has died, and published again."""
        people = [f"twice-{n}@dst.test" for n in range(150)]
        for turn in range(3):
            publishing = threading.Thread(target=self.submit_all, args=(people,), daemon=True)
            publishing.start()
            before = len(self.arrived("twice"))
            wait_for(lambda: turn > 0 or len(self.arrived("twice")) > before + 10, "mail under way", DEADLINE)
            for ingest in self.fleet.ingest:
                ingest.kill()
            publishing.join()
            for ingest in self.fleet.ingest:
                ingest.start()
        self.await_arrivals(people)
        wait_for(lambda: sum(q["messages"] for n, q in self.fleet.broker.queues().items()
                             if "submit" in n or "deliver" in n) == 0, "the queues to be empty", DEADLINE)
        wait_for(lambda: self.fleet.queued() == 0, "the spools to be empty", DEADLINE)
        self.assertEqual({1}, set(self.arrived("twice").values()))
        self.assertEqual({"127.0.0.20", "127.0.0.21"},
                         {d.connection.source for d in self.sink.deliveries if d.recipient.startswith("twice")})

    def test_F14_senders_that_are_told_to_stop_finish_what_is_in_flight_and_double_nothing(self):
        stopping = threading.Event()
        accepted = []

        def send():
            for n in range(100_000):
                if stopping.is_set():
                    return
                self.send_until_accepted(f"told-{n}@dst.test")
                accepted.append(f"told-{n}@dst.test")
        client = threading.Thread(target=send, daemon=True)
        client.start()
        self.addCleanup(stopping.set)
        for sender in self.fleet.sender * 2:
            before = len(accepted)
            wait_for(lambda: len(accepted) > before + 20, "mail to come in", DEADLINE)
            code = sender.stop()
            sender.start()
            self.assertEqual(0, code)
        stopping.set()
        client.join()
        self.await_arrivals(accepted)
        self.assertEqual({1}, set(self.arrived("told").values()))

    def test_F19_a_broker_that_restarts_while_messages_wait_for_their_confirm_loses_and_doubles_nothing(self):
        people = [f"restart-{n}@dst.test" for n in range(100)]
        publishing = threading.Thread(target=self.submit_all, args=(people,), daemon=True)
        publishing.start()
        wait_for(lambda: len(self.arrived("restart")) > 5, "mail under way", DEADLINE)
        self.fleet.broker.kill()
        self.fleet.broker.start()
        publishing.join()
        self.await_arrivals(people)
        self.assertEqual({1}, set(self.arrived("restart").values()))

    def test_F22_a_broker_that_stands_still_is_answered_for_with_451_and_the_spools_go_on(self):
        people = self.mail_in_the_spools("still", 20)
        self.fleet.broker.pause()
        try:
            self.refusing.clear()
            wait_for(lambda: len(self.arrived("still")) == 20, "the spools' mail to be delivered without a broker", DEADLINE)
            self.assertEqual(451, self.refusal("refused-1@dst.test"))
            for service in self.fleet.services:
                self.assertEqual(200, service.get("/healthz/live")[0])
        finally:
            self.fleet.broker.resume()
        self.assertEqual({1}, set(self.arrived("still").values()))
        self.send_until_accepted("still-later@dst.test")
        self.await_arrivals([*people, "still-later@dst.test"])

    def test_F23_a_broker_short_of_memory_is_answered_for_with_451_and_consumers_go_on(self):
        people = self.mail_in_the_spools("alarm", 10)
        self.fleet.sender[0].pause()
        queued = [f"alarm-queued-{n}@dst.test" for n in range(10)]
        for recipient in queued:
            self.send_until_accepted(recipient)
        self.fleet.broker.raise_memory_alarm()
        try:
            self.refusing.clear()
            self.fleet.sender[0].resume()
            wait_for(lambda: self.arrived("alarm").keys() >= {*people, *queued}, "what the queues have to be sent", DEADLINE)
            wait_for(lambda: self.refusal("refused-2@dst.test") == 451, "a refusal for now", DEADLINE)
        finally:
            self.fleet.broker.clear_memory_alarm()
        self.send_until_accepted("alarm-later@dst.test")
        self.await_arrivals([*people, *queued, "alarm-later@dst.test"])

    def test_F24_a_queue_that_is_full_is_answered_for_with_451_and_loses_nothing(self):
        for sender in self.fleet.sender:
            sender.stop()
        self.fleet.broker.ctl("set_policy", "small", "^postfleet[.]deliver", '{"max-length-bytes": 20000}', "--apply-to", "queues")
        self.send_until_accepted("full-first@dst.test")
        accepted = ["full-first@dst.test"]
        try:
            with self.assertRaises(smtplib.SMTPResponseException) as refused:
                for n in range(1000):
                    self.fleet.send(f"full-{n}@dst.test", body="x" * 2000)
                    accepted.append(f"full-{n}@dst.test")
            self.assertEqual(451, refused.exception.smtp_code)
        finally:
            self.fleet.broker.ctl("clear_policy", "small")
            for sender in self.fleet.sender:
                sender.start()
        self.send_until_accepted("full-later@dst.test")
        self.await_arrivals([*accepted, "full-later@dst.test"])

    def test_F25_a_binding_that_is_deleted_keeps_the_message_until_it_is_there_again(self):
        channel = import_pika().BlockingConnection(import_pika().URLParameters(self.fleet.broker.url)).channel()
        for sender in self.fleet.sender:
            for queue in (f"postfleet.deliver.{sender.name}", f"postfleet.deliver.{sender.name}.high"):
                channel.queue_unbind(queue, "postfleet.deliver", queue)

        def returned():
            return sum(value for name, value in self.fleet.ingest[0].metrics().items() if name.startswith("postfleet_broker_returned"))
        before = returned()
        sending = threading.Thread(target=self.send_until_accepted, args=("unbound-1@dst.test",), daemon=True)
        sending.start()
        wait_for(lambda: returned() > before, "the message to come back", DEADLINE)
        self.assertEqual(0, len(self.arrived("unbound")))
        self.fleet.broker.close_connections()  # who connects declares everything
        sending.join()
        self.await_arrivals(["unbound-1@dst.test"])

    def test_F28_mail_that_waits_for_hours_holds_nothing_open_at_the_broker(self):
        people = self.mail_in_the_spools("waits", 20)

        def held():
            return {name: counts for name, counts in self.fleet.broker.queues().items()
                    if "deliver" in name and counts["messages"] > 0}
        wait_for(lambda: not held(), "the hand-overs to be acknowledged", DEADLINE)
        self.refusing.clear()
        self.await_arrivals(people)


if __name__ == "__main__":
    unittest.main()
