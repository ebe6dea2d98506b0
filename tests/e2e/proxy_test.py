"""Behind a load balancer: the PROXY protocol as HAProxy and cloud load balancers speak it, and Postfix's XCLIENT."""

import re
import socket
import ssl
import struct
import unittest

from harness import EndToEnd, Stack, free_port, wait_for
from tls_test import make_certificate

ROUTES = 'routes: {{"*": ["127.0.0.1:{port}"]}}\n'
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def line_header(client="192.0.2.7", server="198.51.100.1"):
    return f"PROXY TCP4 {client} {server} 40000 25\r\n".encode()


def binary_header(client="192.0.2.7", command=0x21, family=0x11, tlv=b""):
    addresses = socket.inet_aton(client) + socket.inet_aton("198.51.100.1") + struct.pack("!HH", 40000, 25)
    rest = (addresses if family == 0x11 else b"") + tlv
    return SIGNATURE + struct.pack("!BBH", command, family, len(rest)) + rest


class Client:
    """A client socket that sends what it is told to, octet for octet."""

    def __init__(self, port, source="127.0.0.1"):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30, source_address=(source, 0))
        self.file = self.socket.makefile("rb")

    def send(self, octets):
        self.socket.sendall(octets)
        return self

    def reply(self):
        """All lines of a reply; nothing when the connection is closed."""
        lines = [self.file.readline()]
        while lines[-1][3:4] == b"-":
            lines.append(self.file.readline())
        return b"".join(lines).decode().rstrip()

    def ask(self, line):
        self.send(line.encode() + b"\r\n")
        return self.reply()

    def close(self):
        self.file.close()
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()


class ProxyTest(EndToEnd):
    def proxy_stack(self, more="", sink_port=1, relay_from="192.0.2.0/24", proxy_from="127.0.0.1"):
        stack = Stack(ROUTES.format(port=sink_port))
        self.closers.append(stack)
        self.proxied = free_port()
        stack.write_config(f"listeners:\n  behind: {{address: \"127.0.0.1:{self.proxied}\", relay_from: [{relay_from}], "
                           f"proxy_from: [{proxy_from}]{more}}}\n", "behind.yaml")
        return stack

    def count(self, stack, reason):
        found = re.search(rf'postfleet_ingest_refusals_total{{reason="{reason}"}} (\d+)', stack.http("/metrics")[1])
        return int(found.group(1)) if found else 0

    def test_the_announced_client_is_the_client_for_rights_received_log_and_report(self):
        sink = self.sink()
        stack = self.proxy_stack(sink_port=sink.port).start()
        for number, header in enumerate((line_header(), binary_header(), binary_header(tlv=b"\x04\x00\x02hi"))):
            with Client(self.proxied) as client:
                self.assertEqual(client.send(header).reply()[:3], "220")
                self.assertEqual(client.ask("EHLO client.test")[:3], "250")
                self.assertEqual(client.ask("MAIL FROM:<a@src.test>")[:3], "250")
                self.assertEqual(client.ask(f"RCPT TO:<r{number}@dest.test>")[:3], "250")
                self.assertEqual(client.ask("DATA")[:3], "354")
                self.assertEqual(client.ask("Subject: x\r\n\r\nx\r\n.")[:3], "250")
        wait_for(lambda: len(sink.deliveries) == 3, "three deliveries")
        for delivery in sink.deliveries:
            self.assertIn("[192.0.2.7]", delivery.header("Received"))
        wait_for(lambda: "client=192.0.2.7 proxy=127.0.0.1" in stack.process.output(), "the log line")
        with Client(self.proxied) as client:  # the load balancer has no rights to lend
            client.send(line_header("203.0.113.9")).reply()
            client.ask("EHLO x")
            client.ask("MAIL FROM:<a@src.test>")
            self.assertEqual(client.ask("RCPT TO:<r@dest.test>")[:3], "550")

    def test_a_connection_of_the_proxy_itself_is_greeted_but_has_no_rights(self):
        stack = self.proxy_stack(relay_from="127.0.0.0/8").start()
        for header in (b"PROXY UNKNOWN\r\n", binary_header(command=0x20, family=0), binary_header(family=0x00)):
            with Client(self.proxied) as client:
                self.assertEqual(client.send(header).reply()[:3], "220")
                client.ask("EHLO health.test")
                client.ask("MAIL FROM:<a@src.test>")
                self.assertEqual(client.ask("RCPT TO:<r@dest.test>")[:3], "550")
        self.assertTrue(stack.process.is_running())

    def test_without_a_header_or_from_elsewhere_nobody_is_heard(self):
        stack = self.proxy_stack().start()
        for said in (b"EHLO client.test\r\n", b"PROXY TCP4 x y 1 2\r\n", SIGNATURE + b"\x11\x11\0\0", b"\x16\x03\x01"):
            with Client(self.proxied) as client:
                self.assertEqual(client.send(said).reply(), "", said)
        self.assertEqual(self.count(stack, "proxy_header"), 4)
        with Client(self.proxied, source="127.0.0.2") as client:
            self.assertEqual(client.reply(), "")
        self.assertEqual(self.count(stack, "proxy_not_trusted"), 1)
        for line in ("client=127.0.0.2 reason=proxy_not_trusted",
                     'client=127.0.0.1 reason=proxy_header text="no PROXY header"'):
            wait_for(lambda: line in stack.process.output(), f"the log line {line}")
        with stack.smtp() as client:  # the other listener takes no header for one
            self.assertEqual(client.docmd(line_header().decode().strip())[0], 500)

    def test_the_announced_client_counts_for_the_limits(self):
        stack = self.proxy_stack(more=", max_connections_per_client: 1").start()
        with Client(self.proxied) as first, Client(self.proxied) as second, Client(self.proxied) as third:
            self.assertEqual(first.send(line_header("192.0.2.7")).reply()[:3], "220")
            self.assertEqual(second.send(line_header("192.0.2.7")).reply()[:3], "421")
            self.assertEqual(third.send(line_header("192.0.2.8")).reply()[:3], "220")
        self.assertEqual(self.count(stack, "too_many_connections_of_client"), 1)

    def test_xclient_says_whose_connection_is_passed_on(self):
        sink = self.sink()
        stack = Stack(ROUTES.format(port=sink.port))
        self.closers.append(stack)
        port = free_port()
        stack.write_config(f"listeners:\n  filtered: {{address: \"127.0.0.1:{port}\", relay_from: [192.0.2.0/24], "
                           "xclient_from: [127.0.0.1], max_connections_per_client: 1}\n", "filtered.yaml")
        stack.start()
        with Client(port) as first:
            self.assertEqual(first.reply()[:3], "220")
            self.assertEqual(first.ask("XCLIENT ADDR=192.0.2.7 NAME=app.test HELO=app.test PROTO=SMTP")[:3], "220")
            first.ask("EHLO filter.test")
            first.ask("MAIL FROM:<a@src.test>")
            self.assertEqual(first.ask("RCPT TO:<r@dest.test>")[:3], "250")
            first.ask("DATA")
            self.assertEqual(first.ask("Subject: x\r\n\r\nx\r\n.")[:3], "250")
            with Client(port) as second:  # 127.0.0.1 has its place back, 192.0.2.7 has one connection already
                self.assertEqual(second.reply()[:3], "220")
                self.assertEqual(second.ask("XCLIENT ADDR=192.0.2.7")[:3], "421")
            self.assertEqual(first.ask("XCLIENT ADDR=[UNAVAILABLE]")[:3], "220")
            first.ask("EHLO filter.test")
            first.ask("MAIL FROM:<a@src.test>")
            self.assertEqual(first.ask("RCPT TO:<r@dest.test>")[:3], "550")
            first.ask("RSET")
            self.assertEqual(first.ask("XCLIENT LOGIN=nobody")[:3], "550")
        delivery = wait_for(lambda: sink.deliveries and sink.deliveries[0], "the delivery")
        self.assertRegex(delivery.content.decode(), r"Received: from app\.test \(\[192\.0\.2\.7\]\)\s+by mta\.test\s[^;]*with SMTP\s")
        wait_for(lambda: "event=xclient listener=filtered client=192.0.2.7 proxy=127.0.0.1 name=app.test" in
                 stack.process.output(), "the log line")
        with Client(port, source="127.0.0.2") as stranger:
            stranger.reply()
            self.assertNotIn("XCLIENT", stranger.ask("EHLO x"))
            self.assertEqual(stranger.ask("XCLIENT ADDR=192.0.2.7")[:3], "550")

    def test_the_header_comes_before_implicit_tls_in_one_piece_with_it_or_alone(self):
        stack = self.proxy_stack(more=", tls: implicit, certificate: server.crt, private_key: server.key")
        certificate, _ = make_certificate(stack.config, "server")
        stack.start()
        context = ssl.create_default_context(cafile=certificate)
        context.check_hostname = False
        for together in (True, False):
            incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            tls = context.wrap_bio(incoming, outgoing)
            plain = socket.create_connection(("127.0.0.1", self.proxied), timeout=30)
            self.addCleanup(plain.close)
            header = binary_header()
            if not together:
                plain.sendall(header[:20])
                plain.sendall(header[20:])
                header = b""
            greeting = b""
            while not greeting:
                try:
                    if tls.version() is None:
                        tls.do_handshake()
                    greeting = tls.read()
                except ssl.SSLWantReadError:
                    plain.sendall(header + outgoing.read())
                    header = b""
                    incoming.write(plain.recv(65536))
            self.assertEqual(greeting[:3], b"220")


if __name__ == "__main__":
    unittest.main()
