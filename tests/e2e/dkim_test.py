"""DKIM end to end: what arrives is verified by two others' programs, dkimpy and Perl's Mail::DKIM [D-1 to D-7, F62]."""

import json
import os
import random
import re
import subprocess
import threading
import unittest

from dns_server import DnsServer
from harness import EndToEnd, run, wait_for
from seven_bit_test import SevenBitServer
import socketserver

HERE = os.path.dirname(os.path.abspath(__file__))
MESSAGES = 420
FORMS = {"rr.test": "relaxed/relaxed", "rs.test": "relaxed/simple", "sr.test": "simple/relaxed", "ss.test": "simple/simple"}
WORDS = ["word", "two  blanks", "tab\there", "Köln", "=C3", "x" * 70, ".", "From ", "日本", "end ", "\t", "a;b=c", ""]


class Keys:
    """Keys made by `postfleet dkim key`, and their records as the name server has them."""

    def __init__(self, folder):
        self.folder, self.records = folder, {}

    def make(self, domain, selector, kind="rsa"):
        path = os.path.join(self.folder, f"{domain}.{selector}.pem")
        done = run("dkim", "key", "--domain", domain, "--selector", selector, "--type", kind, "--out", path)
        name = re.search(r"^  name   (\S+)$", done.stdout, re.M).group(1)
        self.records[name] = re.search(r"^  value  (.+)$", done.stdout, re.M).group(1)
        assert os.stat(path).st_mode & 0o777 == 0o600
        return path

    def serve(self, dns):
        for name, text in self.records.items():
            dns.set(name, "TXT", [[text[i:i + 255] for i in range(0, len(text), 255)]])
        return dns


def random_header(rng, domain, number):
    fields = [f"From: \"Somebody\" <a@{domain}>", f"Message-ID: <{number}@{domain}>"]
    fields += [f"To: b@dst.test,\r\n {rng.choice(['', chr(9)])}c@dst.test"] if rng.random() < .5 else []
    fields += [f"Subject:{rng.choice(['', ' ', '   ', chr(9)])}" + rng.choice(["hi", "a  b", "folded\r\n\t here\r\n  too", ""])]
    fields += rng.choice([[], ["MIME-Version: 1.0", "Content-Type: text/plain;\r\n\tcharset=utf-8"]])
    fields += [f"X-Again: {rng.randrange(9)}" for _ in range(rng.randrange(3))]
    fields += ["Comments:\r\n \tonly\r\n folds  \t "] if rng.random() < .3 else []
    fields += ["List-Unsubscribe:\t<https://x.test/u>"] if rng.random() < .2 else []
    fields += ["cOmMeNtS: odd case"] if rng.random() < .2 else []
    rng.shuffle(fields)
    return "\r\n".join(fields) + "\r\n"


def random_body(rng):
    kind = rng.random()
    if kind < .05:
        return b""
    if kind < .1:
        return b"\r\n" * rng.randrange(1, 5)
    if kind < .15:
        return bytes(rng.choice(b"abc \t\xff\x80=.") for _ in range(rng.randrange(1, 900)))
    lines = [rng.choice(["", "", " "]).join(rng.choices(WORDS, k=rng.randrange(6))) for _ in range(rng.randrange(1, 25))]
    lines += [""] * rng.choice([0, 0, 1, 3]) + rng.choice([[], [" "], ["\t \t"]])
    if rng.random() < .05:
        lines.append("y" * 990)
    return "\r\n".join(lines).encode() + rng.choice([b"\r\n", b"\r\n", b"\r\n\r\n\r\n"])


class Dkim(EndToEnd):
    def setUp(self):
        super().setUp()
        self.dns = DnsServer()
        self.addCleanup(self.dns.close)

    def files_of(self, stack, contents):
        paths = []
        for number, content in enumerate(contents):
            paths.append(os.path.join(stack.base, f"{number}.eml"))
            with open(paths[-1], "wb") as f:
                f.write(content)
        return paths

    def verify(self, stack, keys, contents, signatures, rsa_signatures):
        """Every signature of every message, by both verifiers."""
        paths = self.files_of(stack, contents)
        records = os.path.join(stack.base, "records.json")
        with open(records, "w") as f:
            json.dump(keys.records, f)
        keys.serve(self.dns)
        for command, count in (["/usr/bin/python3", os.path.join(HERE, "dkim_verify.py"), records], signatures), \
                              (["perl", os.path.join(HERE, "dkim_verify.pl"), str(self.dns.port)], rsa_signatures):
            done = subprocess.run(command + paths, capture_output=True, text=True, timeout=240)
            self.assertEqual(done.returncode, 0, done.stderr)
            results = done.stdout.split("\n")[:-1]
            self.assertEqual(len(results), len(paths))
            for path, content, result in zip(paths, contents, results):
                self.assertEqual(result, str(count), f"{command[1]} {path}: {content[:3000]!r}")

    def signing_stack(self, sink_port, rules, more="", listener=""):
        text = "".join(f"  - {{{rule}}}\n" for rule in rules)
        stack = self.stack(f"routes: {{\"*\": [\"127.0.0.1:{sink_port}\"]}}\ndkim:\n{text}"
                           f"dns: {{servers: [\"{self.dns.address}\"]}}\n{more}", listener)
        return stack

    def test_generated_messages_verify_in_every_form_and_with_both_kinds_of_keys(self):
        """[D-1] [D-2] [D-3] [D-4] the octets that arrive are the ones that were signed."""
        sink = self.sink()
        stack = self.stack()
        keys = Keys(stack.base)
        rules = []
        for domain, form in FORMS.items():
            for selector, kind in ("s1", "rsa"), ("ed", "ed25519"):
                path = keys.make(domain, selector, kind)
                rules.append(f"domain: {domain}, selector: {selector}, key_file: {path}, canonicalization: {form}, "
                             f"expire_after: 7d, bimi_selector: brand")
        stack = self.signing_stack(sink.port, rules, listener="max_message_size: 4MiB").start()
        rng = random.Random(6376)
        with stack.smtp() as client:
            client.ehlo()
            for number in range(MESSAGES):
                domain = list(FORMS)[number % len(FORMS)]
                body = random_body(rng)
                if number % 100 == 7:  # several chunks of the spool
                    body = b"".join(random_body(rng) for _ in range(3000))[:700_000].rstrip(b"\r") + b"\r\n"
                message = random_header(rng, domain, number).encode() + b"\r\n" + body
                if number % 4 == 1:
                    self.send_chunk(client, message)  # without a line end at its end, perhaps
                else:
                    client.sendmail("a@" + domain, "b@dst.test", message)
        wait_for(lambda: len(sink.deliveries) >= MESSAGES, "all messages", 120)
        contents = [delivery.content for delivery in sink.deliveries]
        for content in contents:
            self.assertIn(b"\r\nBIMI-Selector: v=BIMI1; s=brand\r\n", content)
            self.assertNotRegex(content.split(b"\r\n\r\n")[0], rb";\s*l=")
            self.assertTrue(content.startswith(b"DKIM-Signature:"))
        self.verify(stack, keys, contents, 2, 1)

    @staticmethod
    def send_chunk(client, message):
        client.mail("a@src.test")
        client.rcpt("b@dst.test")
        client.send(f"BDAT {len(message)} LAST\r\n".encode() + message)
        code, text = client.getreply()
        assert code == 250, (code, text)

    def test_the_signature_is_over_the_converted_message(self):
        """[D-1] [X6152] conversion to 7 bits comes first."""
        server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), SevenBitServer)
        server.daemon_threads, server.received = True, []
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        stack = self.stack()
        keys = Keys(stack.base)
        path = keys.make("src.test", "s1")
        stack = self.signing_stack(server.server_address[1], [f"domain: src.test, selector: s1, key_file: {path}"]).start()
        with stack.smtp() as client:
            for number in range(20):
                client.sendmail("a@src.test", "b@dst.test",
                                f"From: a@src.test\r\nSubject: {number}\r\n\r\nKöln {'ä' * number}\r\n".encode())
        wait_for(lambda: len(server.received) == 20, "20 messages")
        for content in server.received:
            self.assertTrue(content.isascii())
        self.verify(stack, keys, server.received, 1, 1)

    def test_without_its_key_mail_waits_and_is_never_sent_unsigned(self):
        """[D-7] [F62] a key that is missing defers as 4.7.5; other mail goes on; the key comes with a reload."""
        sink = self.sink()
        stack = self.stack()
        keys = Keys(stack.base)
        path = keys.make("src.test", "s1")
        os.rename(path, path + ".away")
        stack = self.signing_stack(sink.port, [f"domain: src.test, selector: s1, key_file: {path}"],
                                   "shaping: [{retry_after: 1h}]\n").start()
        stack.send("b@dst.test", sender="a@src.test")
        event = stack.wait_events(1, "deferred")[0]["data"]
        self.assertEqual(event["delivery"]["enhanced_code"], "4.7.5")
        self.assertIn("src.test/s1", event["delivery"]["response"])
        stack.send("b@dst.test", sender="a@other.test")
        wait_for(lambda: len(sink.deliveries) == 1, "the mail that needs no key")
        self.assertNotIn(b"DKIM-Signature", sink.deliveries[0].content)
        os.chmod(path + ".away", 0o644)
        os.rename(path + ".away", path)
        stack.command("reload")
        stack.command("retry", "--domain", "dst.test")
        stack.wait_events(2, "deferred")
        self.assertIn("chmod 600", stack.process.output())
        os.chmod(path, 0o600)
        stack.command("reload")
        stack.command("retry", "--domain", "dst.test")
        wait_for(lambda: len(sink.deliveries) == 2, "the signed mail")
        self.verify(stack, keys, [sink.deliveries[1].content], 1, 1)
        with open(path) as f:
            secret = f.read().split("\n")[1]
        self.assertNotIn(secret, stack.process.output())

    def test_x_dkim_options_choose_the_key_and_do_not_go_out(self):
        sink = self.sink()
        stack = self.stack()
        keys = Keys(stack.base)
        rules = [f"domain: src.test, selector: {s}, key_file: {keys.make('src.test', s)}{more}"
                 for s, more in (("s1", ""), ("s2", ", key_list: brands"))]
        stack = self.signing_stack(sink.port, rules, listener="headers: honour").start()
        stack.send("b@dst.test", sender="a@src.test", headers=[("X-DKIM-Options", "key-list=brands; i=@x.src.test")])
        stack.send("b@dst.test", sender="a@src.test")
        wait_for(lambda: len(sink.deliveries) == 2, "both")
        contents = sorted((d.content for d in sink.deliveries), key=lambda c: b"s=s2" in c)
        self.assertIn(b"s=s1;", contents[0])
        self.assertIn(b"s=s2;", contents[1])
        self.assertIn(b"i=@x.src.test;", contents[1])
        for content in contents:
            self.assertNotIn(b"X-DKIM-Options", content)
        self.verify(stack, keys, contents, 1, 1)
        stack.send("b@dst.test", sender="a@src.test", headers=[("X-DKIM-Options", "s=none")])
        self.assertIn("s=none", stack.wait_events(1, "deferred")[0]["data"]["delivery"]["response"])

    def test_dkim_check_compares_the_published_key(self):
        """[D-6] [D-2]"""
        stack = self.stack()
        keys = Keys(stack.base)
        path = keys.make("src.test", "s1")
        stack = self.signing_stack(1, [f"domain: src.test, selector: s1, key_file: {path}"])
        other = Keys(stack.base)
        other.make("src.test", "s9")
        name = "s1._domainkey.src.test"

        def check(records):
            if records is None:
                self.dns.remove(name)
            else:
                self.dns.set(name, "TXT", [[r[i:i + 255] for i in range(0, len(r), 255)] or [""] for r in records])
            done = run("dkim", "check", "src.test", "--config", stack.config, "--json", check=False)
            found = json.loads(done.stdout)[0]
            self.assertEqual(done.returncode, 1 if found["result"] == "bad" else 0, done.stderr)
            return found["result"], " ".join(found["problems"])

        self.assertEqual(check([keys.records[name]]), ("good", ""))
        self.assertIn("no TXT record", check(None)[1])
        self.assertIn("another key", check([other.records["s9._domainkey.src.test"]])[1])
        self.assertIn("revoked", check(["v=DKIM1; p="])[1])
        self.assertEqual(check([keys.records[name] + "; t=y"])[0], "warning")
        self.dns.behave(name, "servfail")
        self.assertIn("the DNS gave no answer", check([keys.records[name]])[1])
        text = run("dkim", "check", "src.test", "--config", stack.config, check=False).stdout
        self.assertIn("src.test/s1: bad", text)
        missing = run("dkim", "check", "nobody.test", "--config", stack.config, check=False)
        self.assertEqual(missing.returncode, 1)
        self.assertIn("no DKIM key is configured for nobody.test", missing.stderr)


if __name__ == "__main__":
    unittest.main()
