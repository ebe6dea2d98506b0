"""One real path from SMTP to SMTP: binding, source address, headers, retries, events."""

import email
import smtplib
import unittest

from harness import EndToEnd, wait_for

ROUTES = 'routes: {{"*": ["127.0.0.1:{port}"]}}\n'


class FirstMail(EndToEnd):
    def test_a_message_arrives_from_the_virtual_mtas_own_address_and_is_reported(self):
        sink = self.sink()
        stack = self.stack(ROUTES.format(port=sink.port) +
                           'virtual_mtas:\n  tx: {source: 127.0.0.7, ehlo: tx.mta.test}\n').start()
        stack.send("to@dest.test", body="One.\r\n.Two starts with a dot.\r\n..Three with two.")
        [got] = sink.wait(1)
        self.assertEqual(got.connection.source, "127.0.0.7")
        self.assertEqual(got.connection.ehlo, "tx.mta.test")
        self.assertEqual(got.sender, "from@src.test")
        self.assertTrue(got.content.endswith(b"\r\n\r\nOne.\r\n.Two starts with a dot.\r\n..Three with two.\r\n"), got.content)
        received = got.content.split(b"\r\nFrom:")[0].decode()
        self.assertIn("from client.test", received)
        self.assertIn("by mta.test", received)
        [event] = stack.wait_events(1, "delivered")
        self.assertEqual(event["specversion"], "1.0")
        data = event["data"]
        self.assertEqual((data["recipient"], data["sender"], data["virtual_mta"], data["tenant"], data["source_ip"]),
                         ("to@dest.test", "from@src.test", "tx", "default", "127.0.0.7"))
        self.assertEqual(data["queue"], "*/tx" if data["queue"].startswith("*") else data["queue"])
        self.assertTrue(data["queue"].endswith("/tx"))
        self.assertEqual(data["attempt"], 1)
        self.assertEqual(data["delivery"]["code"], 250)
        self.assertIn(data["message_id"], received)

    def test_the_250_names_the_message_that_the_events_name(self):
        sink = self.sink()
        stack = self.stack(ROUTES.format(port=sink.port)).start()
        with stack.smtp() as client:
            client.ehlo()
            client.mail("a@src.test")
            client.rcpt("b@dest.test")
            code, text = client.data("Subject: id\r\n\r\nx\r\n")
        self.assertEqual(code, 250)
        [event] = stack.wait_events(1, "delivered")
        self.assertIn(event["data"]["message_id"], text.decode())

    def test_content_is_stored_once_and_many_recipients_share_transactions(self):
        sink = self.sink()
        stack = self.stack(ROUTES.format(port=sink.port) +
                           "shaping:\n  - {max_recipients_per_transaction: 10, max_connections: 1}\n").start()
        stack.send([f"user{i}@dest.test" for i in range(25)])
        sink.wait(25)
        self.assertEqual(sum(c.transactions for c in sink.connections), 3)
        self.assertEqual(len({e["data"]["message_id"] for e in stack.wait_events(25, "delivered")}), 1)
        self.assertEqual(len({e["id"] for e in stack.events("delivered")}), 25)

    def test_bindings_choose_by_header_sender_domain_and_client_and_headers_are_stripped(self):
        sink = self.sink()
        stack = self.stack(ROUTES.format(port=sink.port) + """
virtual_mtas:
  one: {source: 127.0.0.11}
  two: {source: 127.0.0.12}
  three: {source: 127.0.0.13}
  four: {source: 127.0.0.14}
pools:
  both: {members: {one: 3, two: 1}}
bindings:
  - {header: {X-Campaign: "^promo"}, virtual_mta: two}
  - {mail_from: "@news\\\\.src\\\\.test$", virtual_mta: three}
  - {rcpt_domain: "special\\\\.test", virtual_mta: four}
default_virtual_mta: one
""", listener="headers: honour").start()
        stack.send("header@dest.test", headers=[("X-Campaign", "promo-7")])
        stack.send("sender@dest.test", sender="x@news.src.test")
        stack.send("domain@special.test")
        stack.send("default@dest.test")
        stack.send("named@dest.test", headers=[("X-Virtual-MTA", "four"), ("X-Job", "j1"), ("X-EnvID", "e1")])
        source = {d.recipient: d.connection.source for d in sink.wait(5)}
        self.assertEqual(source, {"header@dest.test": "127.0.0.12", "sender@dest.test": "127.0.0.13",
                                  "domain@special.test": "127.0.0.14", "default@dest.test": "127.0.0.11",
                                  "named@dest.test": "127.0.0.14"})
        named = next(d for d in sink.deliveries if d.recipient == "named@dest.test")
        for name in ("X-Virtual-MTA", "X-Job", "X-EnvID"):
            self.assertIsNone(named.header(name))
        event = next(e for e in stack.wait_events(5, "delivered") if e["data"]["recipient"] == "named@dest.test")
        self.assertEqual(event["data"]["job"], "j1")
        with self.assertRaises(smtplib.SMTPDataError) as refused:
            stack.send("x@dest.test", headers=[("X-Virtual-MTA", "nobody")])
        self.assertEqual(refused.exception.smtp_code, 554)
        self.assertIn(b"nobody", refused.exception.smtp_error)
        for i in range(80):
            stack.send(f"pool{i}@dest.test", headers=[("X-Virtual-MTA", "both")])
        counts = {}
        for d in sink.wait(85):
            if d.recipient.startswith("pool"):
                counts[d.connection.source] = counts.get(d.connection.source, 0) + 1
        self.assertEqual(set(counts), {"127.0.0.11", "127.0.0.12"})
        self.assertGreater(counts["127.0.0.11"], counts["127.0.0.12"])

    def test_mixed_recipient_results_end_apart(self):
        def rcpt(recipient, attempt):
            if recipient.startswith("gone"):
                return "550 5.1.1 no such user"
            if recipient.startswith("later") and attempt == 1:
                return "450 4.2.1 try again"
            return "250 2.1.5 ok"
        sink = self.sink(rcpt=rcpt)
        stack = self.stack(ROUTES.format(port=sink.port) + "shaping:\n  - {retry_after: [200ms]}\n").start()
        stack.send(["good@dest.test", "gone@dest.test", "later@dest.test"])
        sink.wait(2)
        [bounced] = stack.wait_events(1, "bounced")
        self.assertEqual(bounced["data"]["recipient"], "gone@dest.test")
        self.assertEqual(bounced["data"]["delivery"]["enhanced_code"], "5.1.1")
        self.assertEqual(bounced["data"]["bounce"]["category"], "bad-mailbox")
        delivered = {e["data"]["recipient"]: e["data"]["attempt"] for e in stack.wait_events(2, "delivered")}
        self.assertEqual(delivered, {"good@dest.test": 1, "later@dest.test": 2})
        [deferred] = stack.wait_events(1, "deferred")
        self.assertEqual(deferred["data"]["recipient"], "later@dest.test")

    def test_attempts_and_due_times_survive_a_kill(self):
        sink = self.sink(rcpt=lambda recipient, attempt: "451 4.7.1 greylisted" if attempt <= 2 else "250 ok")
        stack = self.stack(ROUTES.format(port=sink.port) + "shaping:\n  - {retry_after: [100ms, 3s, 1h]}\n").start()
        stack.send("grey@dest.test")
        stack.wait_events(2, "deferred")
        stack.kill()
        stack.start()
        [delivered] = stack.wait_events(1, "delivered")
        self.assertEqual(delivered["data"]["attempt"], 3)
        times = [at for at, _, _ in sink.attempts]
        self.assertEqual(len(times), 3)
        self.assertGreaterEqual(times[2] - times[1], 2.9)

    def test_undeliverable_mail_expires_with_an_event(self):
        sink = self.sink(rcpt=lambda recipient, attempt: "451 4.3.0 never")
        stack = self.stack(ROUTES.format(port=sink.port) +
                           "shaping:\n  - {retry_after: [200ms], expire_after: 1s}\n").start()
        stack.send("never@dest.test")
        [expired] = stack.wait_events(1, "expired")
        self.assertEqual(expired["data"]["recipient"], "never@dest.test")
        wait_for(lambda: stack.queued() == 0, "the queue to be empty")

    def test_a_large_message_arrives_whole(self):
        sink = self.sink()
        stack = self.stack(ROUTES.format(port=sink.port)).start()
        body = "\r\n".join(f".{i} " + "x" * 70 for i in range(40000))
        stack.send("big@dest.test", body=body)
        [got] = sink.wait(1)
        self.assertEqual(got.content.split(b"\r\n\r\n", 1)[1].decode(), body + "\r\n")

    def test_relaying_is_for_the_networks_that_may(self):
        sink = self.sink()
        stack = self.stack(ROUTES.format(port=sink.port))
        stack.edit_config("127.0.0.0/8", "10.0.0.0/8")
        stack.start()
        with self.assertRaises(smtplib.SMTPRecipientsRefused) as refused:
            stack.send("to@dest.test")
        [(code, reply)] = refused.exception.recipients.values()
        self.assertEqual(code, 550)
        self.assertIn(b"5.7.1", reply)

    def test_the_sinks_copy_is_what_was_sent(self):
        sink = self.sink()
        stack = self.stack(ROUTES.format(port=sink.port)).start()
        stack.send("to@dest.test", body="Grüße".encode("utf-8").decode("latin-1").encode("ascii", "replace").decode(),
                   headers=[("From", "A <a@src.test>"), ("X-Folded", "one\r\n two")])
        message = email.message_from_bytes(sink.wait(1)[0].content)
        self.assertEqual(message["X-Folded"].replace("\r\n", ""), "one two")
        self.assertEqual(message["From"], "A <a@src.test>")


if __name__ == "__main__":
    unittest.main(verbosity=2)
