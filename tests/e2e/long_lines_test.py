"""Lines of more than 998 octets, as message_checks says [M5322-2]: repaired mail is read back by Python's email package."""

import email
import email.policy
import os
import random
import smtplib
import unittest
from email.message import EmailMessage

from harness import EndToEnd, wait_for
from seven_bit_test import leaves

LINES = ["Köln " * 300, "x" * 5000, "=3D. " * 250, "a short one", "日本語" * 500, ".dot" + "y" * 1200, ""]


def wide_part(rng, depth):
    part = EmailMessage(policy=email.policy.SMTP.clone(cte_type="8bit"))
    kind = rng.choice(["text", "html", "octets", "mixed"] if depth else ["text", "mixed", "mixed"])
    if kind in ("text", "html"):
        text = "\r\n".join(rng.choices(LINES, k=rng.randrange(1, 5)))
        part.set_content(text, subtype="plain" if kind == "text" else "html", cte="8bit", charset="utf-8")
    elif kind == "octets":
        part.set_content(rng.randbytes(3000), maintype="image", subtype="x", cte="base64")
        part.set_payload(part.get_payload().replace("\n", "").replace("\r", ""))  # in one line, as some programs write it
    else:
        part.make_mixed()
        for _ in range(rng.randrange(1, 4)):
            part.attach(wide_part(rng, depth + 1) if depth < 3 else EmailMessage())
    return part


def wide_message(rng, number, at_least=0):
    message = wide_part(rng, 0)
    message["From"], message["To"] = "a@src.test", "b@dst.test"
    message["Message-ID"] = f"<{number}@src.test>"
    octets = message.as_bytes()
    octets += b"a line of the end\r\n" * (max(at_least - len(octets), 0) // 19)
    return b"X-List: " + b", ".join(b"name%d@list.test" % n for n in range(100)) + b"\r\n" + octets


class Session(smtplib.SMTP):
    """One message in BDAT."""

    def send_chunk(self, octets):
        self.ehlo_or_helo_if_needed()
        for command in ("mail FROM:<a@src.test> BODY=8BITMIME", "rcpt TO:<b@dst.test>"):
            assert self.docmd(command)[0] == 250
        self.send(b"BDAT %d LAST\r\n" % len(octets) + octets)
        return self.getreply()


class LongLines(EndToEnd):
    def start(self, checks):
        self.target = self.sink()
        stack = self.stack(f'routes: {{"*": ["127.0.0.1:{self.target.port}"]}}\n', listener=f"message_checks: {checks}")
        folder = stack.base
        self.pickup, self.bad = os.path.join(folder, "pickup"), os.path.join(folder, "bad")
        os.makedirs(self.pickup)
        stack.write_config(f"pickups: {{files: {{directory: {self.pickup}, bad_directory: {self.bad}, "
                           f"message_checks: {checks}}}}}\n", "pickups.yaml")
        return stack.start()

    def move_in(self, stack, name, octets):
        path = os.path.join(stack.base, name)
        with open(path, "wb") as file:
            file.write(b"x-sender: a@src.test\nx-receiver: b@dst.test\n" + octets)
        os.rename(path, os.path.join(self.pickup, name))

    def test_m5322_2_repaired_messages_say_what_they_said(self):
        stack = self.start("repair")
        rng = random.Random(5322)
        sent = {}
        with Session("127.0.0.1", stack.port) as client:
            for number in range(60):
                octets = sent[number] = wide_message(rng, number, rng.choice([0, 0, 0, 300_000]))
                if number % 3 == 0:
                    client.sendmail("a@src.test", "b@dst.test", octets, mail_options=["BODY=8BITMIME"])
                elif number % 3 == 1:
                    self.assertEqual(client.send_chunk(octets)[0], 250)
                else:
                    self.move_in(stack, f"{number}.eml", octets)
        self.target.wait(len(sent))
        self.assertEqual(len(self.target.deliveries), len(sent))
        for delivery in self.target.deliveries:
            for line in delivery.content.split(b"\r\n"):
                self.assertLessEqual(len(line), 998)
            message = email.message_from_bytes(delivery.content, policy=email.policy.SMTP)
            original = email.message_from_bytes(sent[int(message["Message-ID"][1:].split("@")[0])],
                                                policy=email.policy.SMTP)
            self.assertEqual(leaves(message), leaves(original))
            self.assertEqual(message["X-List"], original["X-List"])

    def test_m5322_2_what_cannot_be_repaired_is_refused_at_once_or_bounces(self):
        stack = self.start("repair")
        sealed = (b"From: a@src.test\r\nContent-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n\r\n" + b"x" * 1200 + b"\r\n" +
                  b"%s--b--\r\n")
        why = "this cannot be repaired: it has long lines in multipart/signed, which must not change"
        with Session("127.0.0.1", stack.port) as client:
            with self.assertRaises(smtplib.SMTPDataError) as refused:
                client.sendmail("a@src.test", "b@dst.test", sealed % b"")
            self.assertEqual(refused.exception.smtp_code, 550)
            self.assertIn(why, refused.exception.smtp_error.decode())
            client.sendmail("a@src.test", "b@dst.test", sealed % (b"filled up\r\n" * 30_000))
        bounced = stack.wait_events(1, "bounced")[0]
        self.assertIn(why, str(bounced))
        self.move_in(stack, "sealed.eml", sealed % b"")
        wait_for(lambda: os.path.exists(os.path.join(self.bad, "sealed.eml.reason")), "the bad file")
        with open(os.path.join(self.bad, "sealed.eml.reason")) as reason:
            self.assertIn(why, reason.read())
        self.assertEqual(self.target.deliveries, [])

    def test_m5322_2_allowed_lines_pass_as_they_came_and_refused_ones_do_not(self):
        octets = b"From: a@src.test\r\nX: " + b"h" * 2000 + b"\r\n\r\n" + b"." + b"z" * 3_000_000 + b"\r\n"
        stack = self.start("allow")
        with Session("127.0.0.1", stack.port) as client:
            client.sendmail("a@src.test", "b@dst.test", octets)
            self.assertEqual(client.send_chunk(octets)[0], 250)
        self.move_in(stack, "wide.eml", octets)
        self.target.wait(3)
        for delivery in self.target.deliveries:
            self.assertTrue(delivery.content.endswith(octets))
        stack = self.start("refuse")
        with Session("127.0.0.1", stack.port) as client:
            with self.assertRaises(smtplib.SMTPDataError) as refused:
                client.sendmail("a@src.test", "b@dst.test", b"Date: x\r\nMessage-ID: <1@src.test>\r\n" + octets)
            self.assertIn(b"5.6.0", refused.exception.smtp_error)


if __name__ == "__main__":
    unittest.main()
