"""A message through all four services: by SMTP and by RabbitMQ in, to the world's mail servers, and back as reports."""

import unittest

from cluster import ClusterTest, wait_for


class Round(ClusterTest):
    def test_mail_comes_in_by_smtp_and_by_rabbitmq_and_each_recipient_is_reported_once(self):
        sink = self.sink(rcpt=lambda recipient, n: "550 5.1.1 nobody" if recipient.startswith("gone") else "250 2.1.5 ok")
        fleet = self.cluster(sink, routers=2, senders=2)
        for n in range(10):
            fleet.send([f"smtp{n}@dst.test", f"smtp{n}@other.test"])
            fleet.submit({"from": "a@src.test", "to": f"queue{n}@dst.test", "subject": "x", "text": "Hello."})
        fleet.send("gone@dst.test")

        sink.wait(30)
        fleet.reports.wait(30, "delivered")
        bounced = fleet.reports.wait(1, "bounced")
        delivered = fleet.reports.events("delivered")
        expected = {f"smtp{n}@{domain}.test" for n in range(10) for domain in ("dst", "other")}
        expected |= {f"queue{n}@dst.test" for n in range(10)}
        self.assertEqual(expected, {d.recipient for d in sink.deliveries})
        self.assertEqual(expected, {e["data"]["recipient"] for e in delivered})
        self.assertEqual({"gone@dst.test"}, {e["data"]["recipient"] for e in bounced})
        self.assertEqual({"/senders/sender-0", "/senders/sender-1"}, {e["source"] for e in delivered})
        self.assertEqual({f"127.0.0.{20 + n}" for n in range(2)}, {c.source for c in sink.connections})
        wait_for(lambda: fleet.queued() == 0, "the spools to be empty")


if __name__ == "__main__":
    unittest.main()
