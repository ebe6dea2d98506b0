"""Notifications to senders [X3461]: what Python's email package reads in them, and kill -9 around them."""

import email
import email.policy
import random
import time
import unittest

from harness import EndToEnd, wait_for


def refuse_bad(recipient, attempt):
    return "550 5.1.1 <" + recipient + "> no such user" if recipient.startswith("bad") else "250 2.1.5 ok"


class Notifications(EndToEnd):
    def mta(self, yaml=""):
        self.mail = self.sink(rcpt=refuse_bad)
        return self.stack(f'routes: {{"*": ["127.0.0.1:{self.mail.port}"]}}\n' + yaml, listener="dsn: true").start()

    def received(self, count=1):
        self.mail.wait(count)
        return [email.message_from_bytes(d.content, policy=email.policy.default) for d in self.mail.deliveries]

    def parts(self, notification):
        """The text for people, the fields about the message and of each recipient, and what came back."""
        self.assertEqual(notification.get_content_type(), "multipart/report")
        self.assertEqual(notification.get_param("report-type"), "delivery-status")
        self.assertEqual([defect for part in notification.walk() for defect in part.defects], [])
        text, status, returned = notification.get_payload()
        self.assertEqual(status.get_content_type(), "message/delivery-status")
        about_message, *recipients = status.get_payload()
        return text.get_content(), about_message, recipients, returned

    def test_every_field_of_a_failure_is_there_for_people_and_programs(self):
        stack = self.mta()
        with stack.smtp() as client:
            client.ehlo()
            client.mail("ann@from.test", ["RET=HDRS", "ENVID=order+2B17"])
            client.rcpt("bad1@x.test", ["NOTIFY=FAILURE", "ORCPT=rfc822;bad1+2Btag@y.test"])
            client.rcpt("bad2@x.test")
            client.rcpt("bad3@x.test", ["NOTIFY=NEVER"])
            client.data("From: ann@from.test\r\nMessage-ID: <17@from.test>\r\nSubject: the order\r\n\r\nThe text.\r\n")
        notification, = self.received()
        delivery = self.mail.deliveries[0]
        self.assertEqual((delivery.sender, delivery.recipient), ("", "ann@from.test"))
        self.assertEqual(notification["From"], "Mail Delivery System <MAILER-DAEMON@mta.test>")
        self.assertEqual(notification["To"].addresses[0].addr_spec, "ann@from.test")
        self.assertEqual(notification["Auto-Submitted"], "auto-replied")
        self.assertEqual(notification["In-Reply-To"], "<17@from.test>")
        self.assertEqual(notification["References"], "<17@from.test>")
        self.assertRegex(notification["Message-ID"], r"^<[0-9a-f-]{36}@mta\.test>$")
        self.assertLess(abs(notification["Date"].datetime.timestamp() - time.time()), 300)
        self.assertIn("Undelivered", notification["Subject"])

        text, about_message, recipients, returned = self.parts(notification)
        for wanted in ("<bad1@x.test>", "550 5.1.1 <bad2@x.test> no such user", "What you can do", "Subject: the order"):
            self.assertIn(wanted, text)
        self.assertEqual(about_message["Reporting-MTA"], "dns; mta.test")
        self.assertEqual(about_message["Original-Envelope-Id"], "order+17")
        self.assertEqual(about_message["Received-From-MTA"], "dns; client.test")
        self.assertIn("Arrival-Date", about_message)
        bounced = stack.wait_events(1, "bounced")[0]
        self.assertEqual(about_message["X-Postfleet-Message"], bounced["data"]["message_id"])
        self.assertEqual([r["Final-Recipient"] for r in recipients], ["rfc822; bad1@x.test", "rfc822; bad2@x.test"])
        self.assertEqual([r["Original-Recipient"] for r in recipients], ["rfc822;bad1+tag@y.test", None])
        for recipient in recipients:
            self.assertEqual((recipient["Action"], recipient["Status"]), ("failed", "5.1.1"))
            self.assertEqual(recipient["Remote-MTA"], "dns; [127.0.0.1]")
            self.assertTrue(recipient["Diagnostic-Code"].startswith("smtp; 550 5.1.1 <bad"))
            self.assertIn("Last-Attempt-Date", recipient)
        self.assertEqual(returned.get_content_type(), "text/rfc822-headers")
        header = email.message_from_string(returned.get_payload())
        self.assertEqual((header["Subject"], header["Message-ID"]), ("the order", "<17@from.test>"))
        self.assertIn("Received", header)
        self.assertNotIn("The text.", str(notification))

    def test_ret_full_returns_the_message_octet_for_octet(self):
        stack = self.mta()
        body = "From: ann@from.test\r\nSubject: =?utf-8?q?gr=C3=BC=C3=9Fe?=\r\nContent-Type: text/plain; charset=utf-8\r\n" \
               "Content-Transfer-Encoding: 8bit\r\n\r\nGrüße, 3 €\r\n.with a dot\r\n"
        with stack.smtp() as client:
            client.ehlo()
            client.mail("ann@from.test", ["RET=FULL", "BODY=8BITMIME"])
            client.rcpt("bad@x.test")
            client.data(body.encode())
        notification, = self.received()
        *_, returned = self.parts(notification)
        self.assertEqual(returned.get_content_type(), "message/rfc822")
        self.assertIn(body.encode(), self.mail.deliveries[0].content)
        inner, = returned.get_payload()
        self.assertEqual(inner.get_content().replace("\r\n", "\n"), "Grüße, 3 €\n.with a dot\n")

    def test_an_address_in_utf_8_is_told_in_ascii(self):
        stack = self.mta()
        with stack.smtp() as client:
            client.ehlo()
            client.command_encoding = "utf-8"
            client.mail("ann@from.test", ["SMTPUTF8", "BODY=8BITMIME"])
            client.rcpt("bücher@x.test")  # the sink does not offer SMTPUTF8
            client.data("From: ann@from.test\r\nSubject: grüße\r\n\r\nText.\r\n".encode())
        notification, = self.received()
        self.assertTrue(self.mail.deliveries[0].content.isascii())
        text, _, recipients, returned = self.parts(notification)
        self.assertIn("<bücher@x.test>", text)
        self.assertEqual(recipients[0]["Final-Recipient"], r"utf-8; b\x{FC}cher@x.test")
        self.assertEqual(recipients[0]["Status"], "5.6.7")
        self.assertEqual(returned.get_content_type(), "message/global-headers")

    def test_who_asked_is_told_that_the_next_server_took_it(self):
        stack = self.mta()
        with stack.smtp() as client:
            client.ehlo()
            client.mail("ann@from.test")
            client.rcpt("good@x.test", ["NOTIFY=SUCCESS,FAILURE"])
            client.data("From: ann@from.test\r\nSubject: a\r\n\r\nText.\r\n")
        self.mail.wait(2)
        notification = next(m for m in self.received(2) if m.get_content_type() == "multipart/report")
        _, _, recipients, _ = self.parts(notification)
        self.assertEqual((recipients[0]["Action"], recipients[0]["Status"]), ("relayed", "2.0.0"))

    def test_a_listener_for_bulk_mail_has_reports_and_no_notifications(self):
        self.mail = self.sink(rcpt=refuse_bad)
        stack = self.stack(f'routes: {{"*": ["127.0.0.1:{self.mail.port}"]}}\n', listener="dsn: false").start()
        stack.send("bad@x.test")
        stack.wait_events(1, "bounced")
        wait_for(lambda: stack.queued() == 0, "the spool to be empty")
        self.assertEqual(self.mail.deliveries, [])

    def test_no_kill_loses_a_notification_or_makes_a_second_one(self):
        chance = random.Random(3461)
        stack = self.mta()
        senders = []
        for _ in range(5):
            client = stack.smtp()
            for _ in range(chance.randrange(10, 40)):
                senders.append(f"s{len(senders)}@from.test")
                client.sendmail(senders[-1], ["bad@x.test"], "Subject: a\r\n\r\nText.\r\n")
            stack.kill()
            client.close()
            stack.start()
        wait_for(lambda: set(senders) <= {d.recipient for d in self.mail.deliveries}, "every sender to be told")
        wait_for(lambda: stack.queued() == 0, "the spool to be empty")
        ids = {}
        for delivery in self.mail.deliveries:
            ids.setdefault(delivery.recipient, set()).add(delivery.header("Message-ID"))
        # A kill may make a second copy of one that was on its way; it never makes another one.
        self.assertEqual({sender: found for sender, found in ids.items() if len(found) != 1}, {})


if __name__ == "__main__":
    unittest.main()
