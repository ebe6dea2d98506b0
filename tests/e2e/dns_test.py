"""What DNS does to delivery: broken, lying, silent and signed answers; outages; private targets; `postfleet resolve`."""

import json
import os
import time
import unittest

from dns_server import DnsServer
from harness import EndToEnd, Sink, run, wait_for

MX_ADDRESS, OTHER_ADDRESS = "127.0.26.1", "127.0.26.2"


class Dns(EndToEnd):
    def names(self, **options):
        names = DnsServer(**options)
        self.closers.append(names)
        return names

    def sink_on(self, address, **options):
        sink = Sink(address=address, port=25, **options)
        self.closers.append(sink)
        return sink

    def stack_by(self, names, more="", dns="timeout: 2s"):
        anchors = ""
        if names._keys:
            folder = self.stack().base  # goes with the test
            anchors = ", trust_anchor_file: " + names.trust_anchors(os.path.join(folder, "anchors"))
        return self.stack(f'dns: {{servers: ["{names.address}"], {dns}{anchors}}}\n'
                          f"shaping:\n  - {{retry_after: [300ms]}}\n{more}")

    def with_mx(self, names, domain, address=MX_ADDRESS):
        names.set(domain, "MX", [(10, "mx." + domain)]).set("mx." + domain, "A", [address])

    def resolve(self, stack, domain):
        return json.loads(run("resolve", domain, "--config", stack.config, "--json").stdout)

    # --- broken answers ----------------------------------------------------------------------------------------

    def test_F51_a_domain_with_broken_dns_waits_alone_and_goes_when_it_is_mended(self):
        names, sink = self.names(signed=["signed.test"], ttl=2), self.sink_on(MX_ADDRESS)
        broken = {"fails.test": "servfail", "refuses.test": "refused", "loops.test": "loop",
                  "bogus.signed.test": "bogus", "expired.signed.test": "expired", "stripped.signed.test": "stripped"}
        for domain, what in broken.items():
            self.with_mx(names, domain)
            names.behave(domain, what)
        self.with_mx(names, "good.test")
        stack = self.stack_by(names).start()
        for domain in broken:
            stack.send(f"to@{domain}")
        stack.send("to@good.test")
        sink.wait(1)
        self.assertEqual(sink.deliveries[0].recipient, "to@good.test")
        deferred = wait_for(lambda: {e["data"]["recipient"]: e["data"]["delivery"] for e in stack.events("deferred")}
                            if len({e["data"]["recipient"] for e in stack.events("deferred")}) == len(broken) else None,
                            "every broken domain to be deferred")
        self.assertEqual({d["enhanced_code"] for d in deferred.values()}, {"4.4.3"})
        self.assertIn("DNSSEC validation failed", deferred["to@bogus.signed.test"]["response"])
        for domain in broken:
            names.behave(domain, None)
        stack.command("retry", "--all")
        sink.wait(1 + len(broken), deadline=150)  # the validator remembers for a while what was bogus
        self.assertEqual(stack.events("bounced"), [])

    def test_SEC27_answers_that_are_not_answers_are_not_believed(self):
        names, sink = self.names(), self.sink_on(MX_ADDRESS)
        for domain in ("garbage.test", "forged.test", "silent.test"):
            self.with_mx(names, domain)
        names.behave("garbage.test", "garbage")
        names.behave("forged.test", "wrong_id")
        names.behave("silent.test", "silent")
        stack = self.stack_by(names).start()
        for domain in ("garbage.test", "forged.test", "silent.test"):
            stack.send(f"to@{domain}")
        wait_for(lambda: len({e["data"]["recipient"] for e in stack.events("deferred")}) == 3, "three deferred")
        self.assertEqual(stack.events("bounced") + sink.deliveries, [])

    def test_C5321_1_a_truncated_answer_comes_over_tcp_and_aliases_are_followed(self):
        names, sink = self.names(), self.sink_on(MX_ADDRESS)
        self.with_mx(names, "big.test")
        names.behave("big.test", "truncated", "MX")
        names.set("alias.test", "CNAME", ["second.test"]).set("second.test", "CNAME", ["big.test"])
        names.set("named.test", "MX", [(10, "www.named.test")]).set("www.named.test", "CNAME", ["mx.big.test"])
        stack = self.stack_by(names).start()
        for domain in ("big.test", "alias.test", "named.test"):
            stack.send(f"to@{domain}")
        sink.wait(3)
        self.assertGreaterEqual(names.tcp_queries, 1)

    def test_F54_a_thousand_mx_records_and_a_loop_of_aliases_are_bounded_work(self):
        names = self.names()
        names.set("many.test", "MX", [(i, f"mx{i}.many.test") for i in range(1000)])
        for i in range(1000):
            names.set(f"mx{i}.many.test", "A", [f"127.1.{i // 250}.{i % 250}"])
        names.set("mx0.many.test", "A", [f"127.2.0.{i}" for i in range(200)])
        names.set("a.loop.test", "CNAME", ["b.loop.test"]).set("b.loop.test", "CNAME", ["a.loop.test"])
        stack = self.stack_by(names)
        many = self.resolve(stack, "many.test")
        self.assertEqual(len(many["hosts"]), 20)
        self.assertEqual(len(many["hosts"][0]["addresses"]), 16)
        self.assertLess(len(names.asked), 200)
        self.assertEqual(self.resolve(stack, "a.loop.test")["outcome"], "temporary")

    # --- outages -----------------------------------------------------------------------------------------------

    def test_F50_an_outage_of_dns_defers_and_ends_without_a_stampede(self):
        """Acceptance never waits for DNS; what was known is used; questions are merged and bounded."""
        names, sink = self.names(ttl=1), self.sink_on(MX_ADDRESS)
        domains = [f"d{i}.test" for i in range(40)]
        for domain in domains + ["known.test"]:
            self.with_mx(names, domain)
        stack = self.stack_by(names, dns="timeout: 1s").start()
        stack.send("to@known.test")
        sink.wait(1)
        names.outage = True
        began = time.monotonic()
        for domain in domains:
            for user in ("a", "b", "c"):
                stack.send(f"{user}@{domain}")
        stack.send("again@known.test")
        sink.wait(2)
        self.assertEqual(sink.deliveries[1].recipient, "again@known.test")
        stack.wait_events(len(domains), "deferred")
        outage = time.monotonic() - began
        asked = len(names.asked)
        self.assertLess(asked, 60 * len(domains) * (1 + outage / 4))
        names.outage = False
        sink.wait(2 + 3 * len(domains))
        self.assertEqual(stack.events("bounced", "expired"), [])
        self.assertEqual({e["data"]["delivery"]["enhanced_code"] for e in stack.events("deferred")}, {"4.4.3"})

    def test_X7505_null_mx_no_such_domain_and_no_address_bounce_and_are_remembered(self):
        names = self.names()
        names.set("null.test", "MX", [(0, "")])
        names.set("empty.test", "TXT", ["no mail here"])
        names.set("void.test", "MX", [(10, "gone.void.test")])
        stack = self.stack_by(names).start()
        domains = ("null.test", "missing.test", "empty.test", "void.test")
        for _ in range(2):
            for domain in domains:
                stack.send(f"to@{domain}")
        events = stack.wait_events(8, "bounced")
        codes = {e["data"]["recipient"]: e["data"]["delivery"]["enhanced_code"] for e in events}
        self.assertEqual(codes, {"to@null.test": "5.1.10", "to@missing.test": "5.1.2", "to@empty.test": "5.1.2",
                                 "to@void.test": "5.1.2"})
        self.assertEqual([names.queries(domain, "MX") for domain in domains], [1, 1, 1, 1])

    # --- targets -----------------------------------------------------------------------------------------------

    def test_SEC13_mail_is_not_led_into_our_own_network(self):
        names, sink = self.names(), self.sink_on(MX_ADDRESS)
        self.with_mx(names, "inside.test")
        names.set("mapped.test", "AAAA", ["::ffff:" + MX_ADDRESS])
        stack = self.stack_by(names)
        stack.write_config("", "harness.yaml")
        stack.start()
        recipients = ["to@inside.test", "to@mapped.test", f"to@[{MX_ADDRESS}]", "to@[IPv6:::1]"]
        for recipient in recipients:
            stack.send(recipient)
        bounced = stack.wait_events(len(recipients), "bounced")
        self.assertEqual({e["data"]["delivery"]["enhanced_code"] for e in bounced}, {"5.4.4"})
        self.assertEqual(sink.connections, [])
        self.assertIn("bounces with 5.4.4", stack.command("resolve", "inside.test").stdout)

    def test_F53_mail_that_waits_follows_the_mx_records(self):
        names = self.names(ttl=1)
        old = self.sink_on(MX_ADDRESS, rcpt=lambda recipient, attempt: "451 4.3.0 not now")
        new = self.sink_on(OTHER_ADDRESS)
        self.with_mx(names, "moves.test")
        stack = self.stack_by(names).start()
        stack.send("to@moves.test")
        stack.wait_events(1, "deferred")
        names.set("moves.test", "MX", [(10, "mx.elsewhere.test")]).set("mx.elsewhere.test", "A", [OTHER_ADDRESS])
        new.wait(1)
        self.assertEqual(old.deliveries, [])
        self.assertEqual(stack.wait_events(1, "delivered")[-1]["data"]["queue"], "mx.elsewhere.test/default")

    # --- postfleet resolve -------------------------------------------------------------------------------------

    def test_resolve_shows_the_same_with_and_without_a_server(self):
        names = self.names(signed=["signed.test"], unsigned=["plain.signed.test"])
        self.with_mx(names, "signed.test")
        self.with_mx(names, "plain.signed.test")
        names.set("bogus.signed.test", "MX", [(10, "mx.signed.test")]).behave("bogus.signed.test", "bogus")
        self.with_mx(names, "xn--mnchen-3ya.test")
        stack = self.stack_by(names, "providers:\n  here: {mx: [\"*.signed.test\"]}\n")
        offline = self.resolve(stack, "to@signed.test")
        self.assertEqual((offline["dnssec"], offline["hosts"][0]["dnssec"]), ("secure", "secure"))
        self.assertEqual((offline["site"], offline["why"]), ("here", "provider here: mx *.signed.test"))
        self.assertRegex(offline["origin"], r"postfleet\.yaml:\d+:\d+$")
        self.assertEqual(self.resolve(stack, "plain.signed.test")["dnssec"], "insecure")
        self.assertEqual(self.resolve(stack, "bogus.signed.test")["outcome"], "temporary")
        self.assertEqual(self.resolve(stack, "bogus.signed.test")["dnssec"], "bogus")
        self.assertEqual(self.resolve(stack, "München.test.")["hosts"][0]["name"], "mx.xn--mnchen-3ya.test")
        stack.start()
        online = stack.json("resolve", "signed.test")
        for volatile in ("ttl_seconds",):
            for answer in (online, offline):
                answer.pop(volatile)
                answer["hosts"][0].pop(volatile)
        self.assertEqual(online, offline)
        self.assertIn("provider here", stack.command("resolve", "signed.test").stdout)
        self.assertIn("*.yahoodns.net", stack.command("show", "providers").stdout)
        wrong = stack.command("resolve", "a..b", check=False)
        self.assertEqual(wrong.returncode, 1)
        self.assertIn("a..b", wrong.stderr)

    def test_lookups_are_counted_by_type_and_result(self):
        names, sink = self.names(), self.sink_on(MX_ADDRESS)
        self.with_mx(names, "good.test")
        stack = self.stack_by(names).start()
        stack.send("to@good.test")
        stack.send("to@missing.test")
        sink.wait(1)
        stack.wait_events(1, "bounced")
        metrics = stack.http("/metrics")[1]
        counted = dict(line.rsplit(" ", 1) for line in metrics.splitlines() if line.startswith("postfleet_dns"))
        self.assertEqual(counted['postfleet_dns_lookups_total{type="mx",result="found"}'], "1")
        self.assertEqual(counted['postfleet_dns_lookups_total{type="mx",result="none"}'], "1")
        self.assertEqual(counted['postfleet_dns_lookup_seconds_count{type="mx"}'], "2")


if __name__ == "__main__":
    unittest.main(verbosity=2)
