"""Mail without routes: MX lookup through the resolver, hosts in order of preference, null MX, domains that are not."""

import unittest

from dns_server import DnsServer
from harness import EndToEnd, Sink

MX_ADDRESSES = ("127.0.25.1", "127.0.25.2")


class MxLookup(EndToEnd):
    def sink_on(self, address, **options):
        try:
            sink = Sink(address=address, port=25, **options)
        except PermissionError:
            self.fail("mail goes to port 25: run as root, or with net.ipv4.ip_unprivileged_port_start=25")
        self.closers.append(sink)
        return sink

    def resolving_stack(self, table):
        names = DnsServer()
        self.closers.append(names)
        for (name, kind), values in table.items():
            names.set(name, kind, values)
        return names, self.stack(f'dns: {{servers: ["127.0.0.1:{names.port}"]}}\nshaping:\n  - {{retry_after: [300ms]}}\n').start()

    def test_mail_goes_to_the_most_preferred_host_and_the_site_is_named_after_it(self):
        first, second = self.sink_on(MX_ADDRESSES[0]), self.sink_on(MX_ADDRESSES[1])
        names, stack = self.resolving_stack({
            ("a.test", "MX"): [(20, "mx2.host.test"), (10, "mx1.host.test")],
            ("b.test", "MX"): [(10, "mx1.host.test"), (20, "mx2.host.test")],
            ("mx1.host.test", "A"): [MX_ADDRESSES[0]], ("mx2.host.test", "A"): [MX_ADDRESSES[1]]})
        stack.send("to@a.test")
        stack.send("to@b.test")
        first.wait(2)
        self.assertEqual(second.deliveries, [])
        self.assertIn(("a.test", "MX"), names.asked)
        events = stack.wait_events(2, "delivered")
        self.assertEqual({e["data"]["queue"] for e in events}, {"mx1.host.test/default"})
        self.assertEqual({e["data"]["delivery"]["mx_host"] for e in events}, {"mx1.host.test"})

    def test_the_next_host_takes_it_when_the_first_does_not_answer(self):
        second = self.sink_on(MX_ADDRESSES[1])
        _, stack = self.resolving_stack({
            ("a.test", "MX"): [(10, "mx1.host.test"), (20, "mx2.host.test")],
            ("mx1.host.test", "A"): ["127.0.25.9"], ("mx2.host.test", "A"): [MX_ADDRESSES[1]]})
        stack.send("to@a.test")
        second.wait(1)
        self.assertEqual(stack.events("deferred"), [])

    def test_a_domain_without_mx_is_its_own_host(self):
        sink = self.sink_on(MX_ADDRESSES[0])
        _, stack = self.resolving_stack({("plain.test", "A"): [MX_ADDRESSES[0]]})
        stack.send("to@plain.test")
        sink.wait(1)

    def test_a_null_mx_and_a_domain_that_does_not_exist_bounce_at_once(self):
        _, stack = self.resolving_stack({("null.test", "MX"): [(0, "")]})
        stack.send("to@null.test")
        stack.send("to@missing.test")
        bounced = {e["data"]["recipient"]: e["data"]["delivery"]["enhanced_code"] for e in stack.wait_events(2, "bounced")}
        self.assertEqual(bounced, {"to@null.test": "5.1.10", "to@missing.test": "5.1.2"})


if __name__ == "__main__":
    unittest.main(verbosity=2)
