"""Mail for us: taken from anybody, on disk before the 250, listed; everything else refused."""

import os
import smtplib
import unittest

from harness import EndToEnd, wait_for

INTAKE = """
intake:
  domains:
    - {domain: bounces.test, kind: bounce}
    - {domain: complaints.test, kind: complaint}
  max_size: 1MiB
"""


class Intake(EndToEnd):
    def start(self):
        stack = self.stack(INTAKE)
        # Nobody may relay here.
        stack.edit_config('relay_from: ["127.0.0.0/8"]', "relay_from: []")
        return stack.start()

    def send(self, stack, recipient, size=100):
        line = "x" * 70 + "\r\n"
        with stack.smtp() as client:
            return client.sendmail("", [recipient], "Subject: report\r\n\r\n" + line * (size // 70))

    def test_what_was_answered_250_is_on_disk_after_a_kill(self):
        stack = self.start()
        for n in range(5):
            self.send(stack, f"b+{n}=customer.test@bounces.test")
        self.send(stack, "fbl@complaints.test")
        stack.kill()
        kept = os.path.join(stack.data, "intake", "bounce", "new")
        self.assertEqual(len(os.listdir(kept)), 5)
        with open(os.path.join(kept, sorted(os.listdir(kept))[0]), newline="") as file:
            self.assertTrue(file.read().startswith(
                "Return-Path: <>\r\nDelivered-To: b+0=customer.test@bounces.test\r\n"))
        stack.start()
        shown = stack.json("show", "intake")
        self.assertEqual(shown["mails"], 6)
        self.assertEqual([m["kind"] for m in shown["listed"]], ["bounce"] * 5 + ["complaint"])
        self.assertIn("6 mails for us", stack.command("show", "intake").stdout)
        self.assertIn("postfleet_intake_octets", stack.http("/metrics")[1])

    def test_nobody_can_relay_through_the_listener(self):
        stack = self.start()
        with self.assertRaises(smtplib.SMTPRecipientsRefused) as refused:
            self.send(stack, "somebody@elsewhere.test")
        code, text = refused.exception.recipients["somebody@elsewhere.test"]
        self.assertEqual(code, 550)
        self.assertTrue(text.startswith(b"5.7.1"))

    def test_a_full_store_says_later_until_there_is_room(self):
        stack = self.start()
        for _ in range(10):
            self.send(stack, "b@bounces.test", 100_000)
        with self.assertRaises(smtplib.SMTPDataError) as refused:
            self.send(stack, "b@bounces.test", 100_000)
        self.assertEqual(refused.exception.smtp_code, 452)
        for mail in stack.json("show", "intake")["listed"]:
            os.unlink(mail["path"])

        def is_taken():
            try:
                return self.send(stack, "b@bounces.test", 100_000) == {}
            except smtplib.SMTPDataError:
                return False
        wait_for(is_taken, "mail for us to be taken again")


if __name__ == "__main__":
    unittest.main(verbosity=2)
