"""A server without 8BITMIME gets 7-bit mail that means the same [X6152]: read back by Python's email package."""

import email
import email.policy
import random
import socketserver
import threading
import unittest
from email.message import EmailMessage

from harness import EndToEnd, wait_for

MESSAGES = 120
WORDS = ["Köln", "naïve", "price = 3 €", "Дорогой", "日本語", "plain", "From here", ".dot", "x" * 90, "trailing ", "tab\t", ""]


class SevenBitServer(socketserver.StreamRequestHandler):
    """Takes everything, offers no extension, and keeps what came."""

    def handle(self):
        self.say("220 old.test ESMTP")
        while line := self.rfile.readline():
            verb = line[:4].upper().strip()
            if verb == b"EHLO":
                self.say("250 old.test")
            elif verb == b"DATA":
                self.say("354 go on")
                lines = []
                while (line := self.rfile.readline()) not in (b".\r\n", b""):
                    lines.append(line[1:] if line.startswith(b".") else line)
                self.server.received.append(b"".join(lines))
                self.say("250 2.0.0 taken")
            elif verb == b"QUIT":
                self.say("221 2.0.0 bye")
                return
            else:
                self.say("250 2.0.0 ok")

    def say(self, text):
        self.wfile.write(text.encode() + b"\r\n")


def random_part(rng, depth):
    part = EmailMessage(policy=email.policy.SMTP.clone(cte_type="8bit"))
    kind = rng.choice(["text", "html", "octets", "message", "mixed"] if depth else ["text", "mixed", "mixed"])
    lines = "\r\n".join(" ".join(rng.choices(WORDS, k=rng.randrange(1, 7))) for _ in range(rng.randrange(0, 30)))
    if kind in ("text", "html"):
        part.set_content(lines, subtype="plain" if kind == "text" else "html", cte="8bit", charset="utf-8")
    elif kind == "octets":
        part.set_content(rng.randbytes(rng.randrange(300)), maintype="image", subtype="x", cte="base64")
    elif kind == "message" and depth < 3:
        inner = random_part(rng, depth + 1)
        inner["Subject"] = "inside"
        part.set_content(inner, cte="8bit")
    else:
        part.make_mixed()
        part.preamble = rng.choice([None, "a preamble"])
        for _ in range(rng.randrange(1, 4)):
            part.attach(random_part(rng, depth + 1) if depth < 3 else EmailMessage())
    return part


def leaves(message):
    """(type, content) of every part that holds something, in order."""
    found = []
    for part in message.walk():
        if not part.is_multipart():
            payload = part.get_payload(decode=True) or b""
            # The line end before a boundary is the boundary's.
            found.append((part.get_content_type(), part.get_content_charset(), payload.rstrip(b"\r\n")))
    return found


class SevenBit(EndToEnd):
    def test_generated_messages_come_out_as_they_went_in(self):
        server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), SevenBitServer)
        server.daemon_threads = True
        server.received = []
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        stack = self.stack(f"routes: {{\"*\": [\"127.0.0.1:{server.server_address[1]}\"]}}\n")
        stack.start()
        rng = random.Random(6152)
        sent = {}
        with stack.smtp() as client:
            for number in range(MESSAGES):
                message = random_part(rng, 0)
                message["From"], message["To"] = "a@src.test", "b@dst.test"
                message["Message-ID"] = f"<{number}@src.test>"
                octets = message.as_bytes()
                sent[number] = octets
                client.sendmail("a@src.test", "b@dst.test", octets, mail_options=["BODY=8BITMIME"])
        wait_for(lambda: len(server.received) == MESSAGES, "all messages to arrive")
        converted = 0
        for octets in server.received:
            self.assertTrue(octets.isascii())
            for line in octets.split(b"\r\n"):
                self.assertLessEqual(len(line), 998)
            message = email.message_from_bytes(octets, policy=email.policy.SMTP)
            original = email.message_from_bytes(sent[int(message["Message-ID"][1:].split("@")[0])],
                                                policy=email.policy.SMTP)
            self.assertEqual(leaves(message), leaves(original))
            self.assertFalse([part for part in message.walk() if part["Content-Transfer-Encoding"] == "8bit"])
            converted += not original.as_bytes().isascii()
        self.assertGreater(converted, MESSAGES // 3)


if __name__ == "__main__":
    unittest.main()
