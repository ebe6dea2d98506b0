"""Each part of a cluster is killed while mail comes in by SMTP and by RabbitMQ: what was accepted goes out, and is reported.

One cluster for all tests: what one of them has broken has to be whole again for the next.
"""

import smtplib
import threading
import unittest

from cluster import Cluster, Sink, import_pika, wait_for

TERMINAL = ("delivered", "bounced", "expired")
YAML = """shaping:
  - {max_connections: 4, retry_after: [1s]}
shutdown_grace: 5s
"""


class Traffic:
    """Mail by both ways, all the time, until it is told to stop; knows what was accepted."""

    def __init__(self, fleet, name):
        self.fleet, self.name = fleet, name
        self.lock = threading.Lock()
        self.accepted = {"smtp": [], "queue": []}
        self.refusals = []
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=self._run, args=(way,), daemon=True) for way in ("smtp", "queue")]
        for thread in self.threads:
            thread.start()

    def _run(self, way):
        number = 0
        while not self.stopping.is_set():
            number += 1
            recipient = f"{self.name}-{way}-{number}@dst.test"
            try:
                if way == "smtp":
                    self.fleet.send(recipient, ingest=number % len(self.fleet.ingest))
                else:
                    self._submit(recipient)
            except smtplib.SMTPException as refused:
                with self.lock:
                    self.refusals.append(getattr(refused, "smtp_code", 0))
                self.stopping.wait(0.05)
            except (OSError, import_pika().exceptions.AMQPError):
                self.stopping.wait(0.05)
            else:
                with self.lock:
                    self.accepted[way].append(recipient)
                self.stopping.wait(0.01)

    def _submit(self, recipient):
        # By its id a submission that is given out again, because an ingest or the broker has died, is sent once.
        self.fleet.submit({"from": "a@src.test", "to": recipient, "subject": "x", "text": "Hello."}, message_id=recipient)

    def wait_for_more(self, count=20, ways=("smtp", "queue")):
        """Until so many more have been accepted by each of these ways."""
        with self.lock:
            wanted = {way: len(self.accepted[way]) + count for way in ways}
        wait_for(lambda: all(len(self.accepted[way]) >= wanted[way] for way in ways), f"{self.name}: more mail", 120)

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join()
        return {recipient for way in self.accepted.values() for recipient in way}


class Deaths(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.sink = Sink()
        cls.addClassCleanup(cls.sink.close)
        cls.fleet = Cluster(cls.sink.port, YAML, routers=2, ingests=2, senders=2, feedbacks=2)
        cls.addClassCleanup(cls.fleet.close)

    def setUp(self):
        self.before = len(self.sink.deliveries)
        self.traffic = Traffic(self.fleet, self._testMethodName.split("_")[1])
        self.addCleanup(self.print_logs)
        self.addCleanup(self.traffic.stop)
        self.traffic.wait_for_more()

    def print_logs(self):
        if any(error for _, error in getattr(self._outcome, "errors", [])):
            print(self.fleet.logs(15))

    def reported(self):
        """{recipient: ids of its terminal events}"""
        ends = {}
        for event in self.fleet.reports.events(*TERMINAL):
            ends.setdefault(event["data"]["recipient"], set()).add(event["id"])
        return ends

    def check_that_nothing_is_lost(self):
        accepted = self.traffic.stop()
        wait_for(lambda: accepted <= {d.recipient for d in self.sink.deliveries}, "the mail to arrive", 180)
        wait_for(lambda: accepted <= self.reported().keys(), "the reports", 180)
        ends = self.reported()
        self.assertEqual([], [r for r in accepted if len(ends[r]) != 1], "one end for each recipient")

    def test_F01_an_ingest_that_is_killed_loses_nothing_and_the_other_goes_on(self):
        self.fleet.ingest[0].kill()
        self.traffic.wait_for_more()
        self.fleet.ingest[0].start()
        self.traffic.wait_for_more()
        self.check_that_nothing_is_lost()

    def test_F02_a_sender_that_is_killed_goes_on_from_its_spool_and_the_other_does_not_notice(self):
        self.fleet.sender[0].kill()
        self.traffic.wait_for_more(100)
        self.assertGreater(len(self.sink.deliveries), self.before)
        self.fleet.sender[0].start()
        self.check_that_nothing_is_lost()

    def test_F03_mail_goes_on_while_no_router_is_there(self):
        for router in self.fleet.router:
            router.kill()
        self.traffic.wait_for_more(100)
        accepted = list(self.traffic.accepted["smtp"])
        wait_for(lambda: set(accepted) <= {d.recipient for d in self.sink.deliveries}, "mail without routers", 120)
        for router in self.fleet.router:
            router.start()
        self.check_that_nothing_is_lost()

    def test_F05_reports_wait_for_a_feedback_and_mail_does_not(self):
        for feedback in self.fleet.feedback:
            feedback.kill()
        self.traffic.wait_for_more(100)
        accepted = list(self.traffic.accepted["smtp"])
        wait_for(lambda: set(accepted) <= {d.recipient for d in self.sink.deliveries}, "mail without feedback", 120)
        for feedback in self.fleet.feedback:
            feedback.start()
        self.check_that_nothing_is_lost()

    def test_F19_a_broker_that_is_killed_is_waited_for_with_451_and_loses_nothing(self):
        self.fleet.broker.kill()
        wait_for(lambda: 451 in self.traffic.refusals, "mail to be refused for now", 120)
        self.fleet.broker.start()
        self.traffic.wait_for_more()
        self.assertLessEqual(set(self.traffic.refusals), {0, 421, 451})
        self.check_that_nothing_is_lost()

    def test_F60_mail_goes_on_while_the_routers_have_no_database(self):
        self.fleet.state.kill()
        self.traffic.wait_for_more(100)
        self.assertTrue(self.fleet.router[0].is_running())
        self.fleet.state.start()
        for router in self.fleet.router:
            router.wait_until_ready(120)
        self.check_that_nothing_is_lost()


if __name__ == "__main__":
    unittest.main()
