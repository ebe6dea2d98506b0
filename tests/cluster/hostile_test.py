"""The ports where a sender and feedback answer operators, as a hostile or broken peer sees them: mail goes on, operators
are answered, and memory stays bounded (SEC-10, SEC-22). The router's port: tests/e2e/control_hostile_test.py."""

import unittest

from cluster import ClusterTest, free_port, room, run, wait_for
from http2_peer import PATIENCE, connect, flood, memory_of, unary

SOME = room(256 << 20)
# An argument of two octets takes a hundred times as many in memory.
MANY_ARGUMENTS = b"\x0a\x04list" + b"\x12\0" * 30_000


class Hostile(ClusterTest):
    def setUp(self):
        self.connections = []
        self.addCleanup(lambda: [connection.close() for connection in self.connections])
        self.sink_of_all = self.sink()
        self.fleet = self.cluster(self.sink_of_all, senders=1, postgres=False, start=False)
        self.control = {}
        for service in (self.fleet.sender[0], self.fleet.feedback[0]):
            self.control[service.name] = free_port()
            service.environment["POSTFLEET_CONTROL"] = f"127.0.0.1:{self.control[service.name]}"
        self.fleet.start()

    def hold(self, port, *octets):
        self.connections.append(connect(port, *octets))

    def ask(self, *arguments):
        return run(*arguments, "--router", self.fleet.router[0].environment["POSTFLEET_LISTEN"], check=False, deadline=PATIENCE)

    def stands(self, service, path):
        port, pid = self.control[service.name], service.pid
        before = memory_of(pid)
        flood(port, path, self.hold)
        for _ in range(20):
            connect(port, *unary(path, MANY_ARGUMENTS)).close()
        recipient = f"{service.name}@dst.test"
        self.fleet.send(recipient)
        delivered = self.fleet.reports.wait(1, "delivered", deadline=PATIENCE)
        self.assertEqual([recipient], [event["data"]["recipient"] for event in delivered])
        self.assertTrue(service.is_ready())
        self.assertEqual(pid, service.pid)
        self.assertLess(memory_of(pid) - before, SOME)
        return delivered[0]["data"]["message_id"]

    def test_a_sender_goes_on_delivering_and_answers_its_operators(self):
        sender = self.fleet.sender[0]
        self.stands(sender, b"/postfleet.v1.SenderControl/Run")
        answered = lambda: self.ask("status")
        wait_for(lambda: answered().returncode == 0, "an answer to an operator", PATIENCE, 0.5)
        self.assertIn(sender.name, answered().stdout)

    def test_feedback_goes_on_reporting_and_answers_its_operators(self):
        message_id = self.stands(self.fleet.feedback[0], b"/postfleet.v1.FeedbackQuery/Run")
        wait_for(lambda: self.ask("trace", message_id).returncode == 0, "an answer to an operator", PATIENCE, 0.5)


if __name__ == "__main__":
    unittest.main()
