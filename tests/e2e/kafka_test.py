"""Delivery reports in a real Kafka topic: every one, whatever happens to the broker. [F64]"""
import json
import os
import sys
import unittest

from harness import EndToEnd, wait_for

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support", "brokers"))
from kafka import Kafka  # noqa: E402


class KafkaReports(EndToEnd):
    def setUp(self):
        super().setUp()
        self.broker = Kafka()
        self.addCleanup(self.broker.close)

    def reporting_stack(self, more=""):
        sink = self.sink()
        return sink, self.stack(f'  - {{type: kafka, brokers: ["{self.broker.address}"], topic: reports{more}}}\n'
                                f'routes: {{"*": ["127.0.0.1:{sink.port}"]}}\n').start()

    def report(self, stack):
        return next(r for r in stack.json("status")["reports"] if r["name"] == "kafka")

    def wait_until_reported(self, stack):
        wait_for(lambda: self.report(stack)["lag_events"] == 0, "every event to be in Kafka", 120)

    def check_topic(self, stack):
        """The topic has every event of the file, and nothing else."""
        expected = {event["id"]: event for event in stack.events()}
        records = self.broker.read("reports", seconds=8)
        found = {json.loads(value)["id"]: (key, headers, value) for key, headers, value in records}
        self.assertEqual(set(expected), set(found))
        for event_id, (key, headers, value) in found.items():
            self.assertEqual(expected[event_id], json.loads(value))
            if "message_id" in json.loads(value)["data"]:
                self.assertEqual(json.loads(value)["data"]["message_id"], key)
            self.assertIn("content-type:application/cloudevents+json", headers)
        return records

    def test_every_event_is_in_the_topic_once_with_the_message_id_as_key(self):
        sink, stack = self.reporting_stack()
        for i in range(50):
            stack.send([f"a{i}@dest.test", f"b{i}@dest.test"])
        sink.wait(100)
        stack.wait_events(200)
        self.wait_until_reported(stack)
        self.assertEqual(200, len(self.check_topic(stack)))

    def test_F64_a_broker_that_is_killed_holds_up_no_mail_and_gets_every_event_later(self):
        sink, stack = self.reporting_stack()
        for i in range(20):
            stack.send([f"a{i}@dest.test"])
        self.wait_until_reported(stack)
        self.broker.kill()
        for i in range(20):
            stack.send([f"b{i}@dest.test"])
        sink.wait(40)   # mail goes on
        stack.wait_events(80)
        self.assertGreater(self.report(stack)["lag_events"], 0)
        self.broker.start()
        self.wait_until_reported(stack)
        self.check_topic(stack)

    def test_events_survive_a_crash_of_ours_while_the_broker_does_not_answer(self):
        sink, stack = self.reporting_stack()
        stack.send(["first@dest.test"])
        self.wait_until_reported(stack)
        self.broker.pause()
        for i in range(20):
            stack.send([f"c{i}@dest.test"])
        sink.wait(21)
        stack.wait_events(42)
        stack.kill()
        self.broker.resume()
        stack.start()
        self.wait_until_reported(stack)
        self.check_topic(stack)


if __name__ == "__main__":
    unittest.main()
