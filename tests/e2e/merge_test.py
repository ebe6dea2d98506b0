"""PowerMTA's mail merge: one text in, a letter for each recipient out, octet for octet; also over a kill -9."""

import os
import random
import re
import socket
import unittest

from harness import DEADLINE, EndToEnd, wait_for

RECIPIENTS = 100
GUIDE = os.path.join(os.path.dirname(__file__), "../../docs/MAIL_MERGE.md")
LISTENER = "mail_merge: true, received: none"
WORDS = ["Köln", "a [name] that is not merged again", "[[", "]", ".", "..", "say \"hi\"", "back\\slash", "line\r\nbreak",
         ".\r\n.\r\nQUIT", "", "x" * 3000, "тест", "tab\tin", "100%", "=3D"]


class Client:
    """Speaks octets, and wants the answer that is written."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=DEADLINE)
        self.file = self.socket.makefile("rb")
        self.hear("220")
        self.say("EHLO shop.example")
        self.extensions = self.hear("250")

    def say(self, line):
        self.socket.sendall(line.encode() + b"\r\n")

    def hear(self, code):
        text = ""
        while True:
            line = self.file.readline().decode()
            text += line
            if line[3:4] != "-":
                break
        if not text.startswith(code):
            raise AssertionError(f"{text!r} instead of {code}")
        return text

    def ask(self, line, code="250"):
        self.say(line)
        return self.hear(code)

    def part(self, argument, content):
        self.ask(f"XPRT {argument}", "354")
        stuffed = re.sub(rb"(?m)^\.", b"..", content)
        self.socket.sendall(stuffed + b".\r\n")
        return self.hear("250")

    def close(self):
        self.file.close()
        self.socket.close()


def quoted(value):
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\r\n", "\\r\\n")
    return f'"{escaped}"'


def merged(parts, chosen, variables):
    """What a recipient should get, made in another way than the product does."""
    text = b"".join(parts[number] for number in chosen)

    def replace(match):
        if match.group(0) == b"[[":
            return b"["
        return variables.get(match.group(1).decode().lower(), "").encode()

    return re.sub(rb"\[\[|\[(\*?[A-Za-z][A-Za-z0-9_]{0,63})\]", replace, text)


PARTS = {1: b"Subject: For [Nick]\r\nX-Number: [number]\r\nMIME-Version: 1.0\r\n"
            b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nDear [Name],\r\n",
         2: b"[Text]\r\n[[not] [a b] <!--[if mso]> []\r\n[dots]\r\n[Missing]|\r\n",
         7: b"Sent to [*TO] for [*jobid], [number] [Number][NUMBER].\r\n"}


class MailMerge(EndToEnd):
    def people(self, chance):
        for n in range(RECIPIENTS):
            chosen = chance.choice([[1, 2, 7], [1, 7], [1, 7, 2], [1, 2, 2]])
            variables = {"nick": f"n{n}", "number": str(n), "name": chance.choice(WORDS), "text": chance.choice(WORDS),
                         "dots": chance.choice(WORDS), "*jobid": f"job{n % 3}"}
            yield f"r{n}@d{n % 4}.test", chosen, variables

    def submit(self, stack, people, acknowledged):
        client = Client(stack.port)
        for keyword in ("XMRG", "XACK", "VERP"):
            self.assertIn(keyword, client.extensions)
        if not acknowledged:
            client.ask("XACK OFF")
        client.ask("XMRG FROM:<news@shop.example>")
        for address, chosen, variables in people:
            definitions = " ".join(f"{name}={quoted(value)}" for name, value in variables.items())
            for line in (f"XDFN {definitions}", f"XDFN *parts={','.join(map(str, chosen))}", f"RCPT TO:<{address}>"):
                client.say(line)
                if acknowledged:
                    client.hear("250")
        for number in (1, 2):
            client.part(str(number), PARTS[number])
        client.part("7 LAST", PARTS[7])
        client.close()

    def check(self, sink, people):
        got = {}
        for delivery in sink.deliveries:
            got.setdefault(delivery.recipient, delivery.content)
        for address, chosen, variables in people:
            self.assertEqual(got[address], merged(PARTS, chosen, {**variables, "*to": address}), address)

    def test_a_hundred_recipients_get_their_own_text_octet_for_octet(self):
        for acknowledged in (True, False):
            with self.subTest(acknowledged=acknowledged):
                sink = self.sink()
                stack = self.stack(f'routes: {{"*": ["127.0.0.1:{sink.port}"]}}\n', listener=LISTENER).start()
                people = list(self.people(random.Random(7)))
                self.submit(stack, people, acknowledged)
                sink.wait(RECIPIENTS)
                self.check(sink, people)
                self.assertEqual(len(sink.deliveries), RECIPIENTS)
                for event in stack.wait_events(RECIPIENTS, "delivered"):
                    number = int(event["data"]["recipient"][1:].split("@")[0])
                    self.assertEqual(event["data"]["job"], f"job{number % 3}")
                wait_for(lambda: stack.queued() == 0, "the spool to be empty")
                stack.stop()

    def test_variables_survive_a_kill_while_recipients_wait(self):
        late = self.sink(rcpt=lambda recipient, attempt: "451 4.7.1 later" if attempt == 1 else "250 2.1.5 ok")
        stack = self.stack(f'routes: {{"*": ["127.0.0.1:{late.port}"]}}\n'
                           "shaping:\n  - {retry_after: [1s]}\n", listener=LISTENER).start()
        people = list(self.people(random.Random(11)))
        self.submit(stack, people, False)
        wait_for(lambda: len(late.attempts) >= RECIPIENTS // 2, "half of the first attempts")
        stack.kill()
        stack.start()
        wait_for(lambda: {d.recipient for d in late.deliveries} == {address for address, _, _ in people},
                 "every recipient to have its text")
        self.check(late, people)

    def test_what_cannot_be_merged_fails_for_its_recipient_and_is_told(self):
        sink = self.sink()
        stack = self.stack(f'routes: {{"*": ["127.0.0.1:{sink.port}"]}}\n', listener=LISTENER).start()
        client = Client(stack.port)
        client.ask("XMRG FROM:<news@shop.example>")
        client.ask('XDFN subject="hi\\r\\nBcc: everybody@x.test"')
        client.ask("RCPT TO:<evil@x.test>")
        client.ask("XDFN subject=hi")
        client.ask("RCPT TO:<good@x.test>")
        client.part("1 LAST", b"Subject: [subject]\r\n\r\nhello\r\n")
        failed = stack.wait_events(1, "rendering_failed")[0]
        self.assertEqual(failed["data"]["recipient"], "evil@x.test")
        self.assertIn("line break", failed["data"]["reason"])
        sink.wait(1)
        self.assertEqual(sink.deliveries[0].recipient, "good@x.test")
        wait_for(lambda: stack.queued() == 0, "the spool to be empty")

    def test_verp_writes_the_recipient_into_the_sender(self):
        sink = self.sink()
        stack = self.stack(f'routes: {{"*": ["127.0.0.1:{sink.port}"]}}\n', listener=LISTENER).start()
        client = Client(stack.port)
        client.ask("MAIL FROM:<news@shop.example> VERP")
        client.ask("RCPT TO:<a@x.test>")
        client.ask("RCPT TO:<b@x.test>")
        client.ask("DATA", "354")
        client.ask("Subject: x\r\n\r\nhello\r\n.")
        sink.wait(2)
        self.assertEqual({d.sender for d in sink.deliveries},
                         {"news-a=x.test@shop.example", "news-b=x.test@shop.example"})

    def test_the_dialogue_of_the_guide_goes_as_written(self):
        with open(GUIDE) as file:
            guide = file.read()
        dialogue = re.search(r"```smtp\n(.*?)```", guide, re.S).group(1)
        letter = re.search(r"```eml\n(.*?)```", guide, re.S).group(1)
        sink = self.sink()
        stack = self.stack(f'routes: {{"*": ["127.0.0.1:{sink.port}"]}}\n',
                           listener=f"{LISTENER}, undefined_variables: refuse").start()
        client = Client(stack.port)
        for line in dialogue.splitlines()[1:]:  # EHLO was said
            who, text = line[:2], line[3:]
            if who == "C:":
                client.say(text)
            else:
                heard = re.sub(r"queued as \S+", "queued as ID", client.hear(""))
                self.assertEqual(heard, text + "\r\n")
        sink.wait(2)
        bob = next(d for d in sink.deliveries if d.recipient == "bob@example.test")
        self.assertEqual(bob.content.decode(), letter.replace("\n", "\r\n"))
        alice = next(d for d in sink.deliveries if d.recipient == "alice@example.test")
        self.assertIn(b"You have a [gold] card.\r\nSee you in Herndon.\r\n", alice.content)

    def test_the_file_of_the_pickup_guide_is_sent(self):
        with open(os.path.join(os.path.dirname(GUIDE), "PICKUP.md")) as file:
            text = re.search(r"```smtp\n(.*?)```", file.read(), re.S).group(1)
        sink = self.sink()
        stack = self.stack(f'routes: {{"*": ["127.0.0.1:{sink.port}"]}}\n')
        folders = {name: os.path.join(stack.base, name) for name in ("in", "bad")}
        os.mkdir(folders["in"], 0o700)
        stack.edit_config("http:", f"pickups: {{files: {{directory: {folders['in']}, bad_directory: {folders['bad']}}}}}\nhttp:")
        stack.start()
        written = os.path.join(stack.base, "order")
        with open(written, "w") as file:
            file.write(text)
        os.rename(written, os.path.join(folders["in"], "order"))
        sink.wait(2)
        letters = {d.recipient: d.content for d in sink.deliveries}
        self.assertIn(b"To: alice@customer.example\r\nSubject: Your order 17\r\n\r\nDear Alice, it is on its way.\r\n",
                      letters["alice@customer.example"])
        self.assertIn(b"Dear Bob, it is on its way.\r\n", letters["bob@customer.example"])
        self.assertEqual(os.listdir(folders["bad"]), [])


if __name__ == "__main__":
    unittest.main()
