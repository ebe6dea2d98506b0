"""DKIM end to end: what arrives is verified by two others' programs, dkimpy and Perl's Mail::DKIM [D-1 to D-7, F62]."""

import json
import os
import random
import re
import socketserver
import threading
import unittest

from dkim_keys import Keys
from dkim_messages import FORMS, fuzzed_body, fuzzed_header, random_body, random_header
from dkim_survey import KINDS, send_chunk, write_files
from dkim_verifiers import EVERY_RUN
from dns_server import DnsServer
from harness import EndToEnd, run, wait_for
from seven_bit_test import SevenBitServer

MESSAGES = 420


class Dkim(EndToEnd):
    def setUp(self):
        super().setUp()
        self.dns = DnsServer()
        self.addCleanup(self.dns.close)

    def verify(self, stack, keys, contents, signatures):
        """Every signature of every message, by both verifiers. `signatures` are kinds of keys."""
        paths = write_files(stack.base, contents)
        keys.serve(self.dns)
        for kind in EVERY_RUN:
            verifier = kind(stack.base, keys.records, self.dns)
            count = sum(one in kind.kinds for one in signatures)
            for path, content, result in zip(paths, contents, verifier.verify(paths)):
                self.assertEqual(result, str(count), f"{kind.title} {path}: {content[:3000]!r}")

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
            for selector, kind in KINDS:
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
                message = random_header(rng, domain, number) + b"\r\n" + body
                if number % 4 == 1:
                    send_chunk(client, message)  # without a line end at its end, perhaps
                else:
                    client.sendmail("a@" + domain, "b@dst.test", message)
        wait_for(lambda: len(sink.deliveries) >= MESSAGES, "all messages", 120)
        contents = [delivery.content for delivery in sink.deliveries]
        for content in contents:
            self.assertIn(b"\r\nBIMI-Selector: v=BIMI1; s=brand\r\n", content)
            self.assertNotRegex(content.split(b"\r\n\r\n")[0], rb";\s*l=")
            self.assertTrue(content.startswith(b"DKIM-Signature:"))
        self.verify(stack, keys, contents, ["rsa", "ed25519"])

    def test_messages_of_any_octets_verify(self):
        """[D-1] [D-4] [SEC-28] what is strange but allowed is signed as verifiers read it."""
        sink = self.sink()
        stack = self.stack()
        keys = Keys(stack.base)
        rules = [f"domain: {domain}, selector: {selector}, key_file: {keys.make(domain, selector, kind)}, "
                 f"canonicalization: {form}" for domain, form in FORMS.items() for selector, kind in KINDS]
        stack = self.signing_stack(sink.port, rules).start()
        rng = random.Random(8463)
        with stack.smtp() as client:
            client.ehlo()
            for number in range(200):
                send_chunk(client, fuzzed_header(rng, list(FORMS)[number % 4], number) + b"\r\n" + fuzzed_body(rng))
        wait_for(lambda: len(sink.deliveries) >= 200, "all messages")
        self.verify(stack, keys, [delivery.content for delivery in sink.deliveries], ["rsa", "ed25519"])

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
        self.verify(stack, keys, server.received, ["rsa"])

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
        self.verify(stack, keys, [sink.deliveries[1].content], ["rsa"])
        with open(path) as f:
            secret = f.read().split("\n")[1]
        self.assertNotIn(secret, stack.process.output())

    def test_keys_are_rotated_under_load_and_no_message_fails(self):
        """[F62] [SEC-21] [D-6] a new selector, and a new key in the same file, while mail flows."""
        sink = self.sink()
        stack = self.stack()
        keys = Keys(stack.base)
        paths = [keys.make("src.test", f"s{number}") for number in range(4)]
        stack = self.signing_stack(sink.port, [f"domain: src.test, selector: s0, key_file: {paths[0]}"]).start()
        messages = 0
        for number in range(1, 4):
            for _ in range(30):
                stack.send("b@dst.test", sender="a@src.test", body=f"message {messages}")
                messages += 1
            stack.edit_config(f"selector: s{number - 1}, key_file: {paths[number - 1]}",
                              f"selector: s{number}, key_file: {paths[number]}")
            stack.command("reload")
        stack.send("b@dst.test", sender="a@src.test")
        wait_for(lambda: len(sink.deliveries) == messages + 1, "all messages")
        self.assertEqual(stack.events("deferred", "bounced"), [])
        self.verify(stack, keys, [delivery.content for delivery in sink.deliveries], ["rsa"])
        self.assertIn(b" s=s3;", sink.deliveries[-1].content)
        with open(f"/proc/{stack.process.child.pid}/environ", "rb") as f:
            shown = f.read().decode(errors="replace") + stack.process.output()
        shown += stack.command("config", "show", check=False).stdout
        for path in paths:
            with open(path) as f:
                self.assertNotIn(f.read().split("\n")[1], shown)

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
        self.verify(stack, keys, contents, ["rsa"])
        stack.send("b@dst.test", sender="a@src.test", headers=[("X-DKIM-Options", "s=none")])
        self.assertIn("s=none", stack.wait_events(1, "deferred")[0]["data"]["delivery"]["response"])

    def test_the_examples_of_the_guide_load(self):
        with open(os.path.join(os.path.dirname(__file__), "../../docs/DKIM.md")) as page:
            examples = re.findall(r"^```yaml\n(.*?)^```$", page.read(), re.M | re.S)
        self.assertEqual(len(examples), 2)
        for example in examples:
            run("config", "check", self.stack(example).config)

    def test_dkim_check_compares_the_published_key(self):
        """[D-6] [D-2] [F54] whatever stands there, a TXT record of 64 KB too, is told in a sentence."""
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
        self.assertIn("another key", check(["v=DKIM1; p=" + "A" * 60_000])[1])
        self.assertIn("several key records", check(["v=DKIM1; p=" + "A" * 200 + str(n) for n in range(200)])[1])
        self.dns.behave(name, "servfail")
        self.assertIn("the DNS gave no answer", check([keys.records[name]])[1])
        text = run("dkim", "check", "src.test", "--config", stack.config, check=False).stdout
        self.assertIn("src.test/s1: bad", text)
        missing = run("dkim", "check", "nobody.test", "--config", stack.config, check=False)
        self.assertEqual(missing.returncode, 1)
        self.assertIn("no DKIM key is configured for nobody.test", missing.stderr)


if __name__ == "__main__":
    unittest.main()
