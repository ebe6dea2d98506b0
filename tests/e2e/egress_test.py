"""Mail through egress proxies: the address that the receiving side sees is the virtual MTA's, at the proxy."""

import contextlib
import os
import socket
import struct
import threading
import unittest

from harness import EndToEnd, run, wait_for

SOURCE = "127.0.0.31"  # an address of the "proxy's machine"


class Proxy:
    """A proxy of one thread per connection: SOCKS5 (user, password, BIND for the source) or PROXY version 2."""

    process = None

    def __init__(self, kind, login=None, port=0):
        self.kind, self.login = kind, login
        self.listening = socket.create_server(("127.0.0.1", port))
        self.port = self.listening.getsockname()[1]
        self.open, self.targets = [], []
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                client, _ = self.listening.accept()
            except OSError:
                return
            self.open.append(client)
            threading.Thread(target=self.session, args=(client,), daemon=True).start()

    def session(self, client):
        try:
            server = self.socks5(client) if self.kind == "socks5" else self.proxy_header(client)
            if server:
                self.open.append(server)
                threading.Thread(target=self.copy, args=(client, server), daemon=True).start()
                self.copy(server, client)
        except (OSError, EOFError):
            client.close()

    @staticmethod
    def copy(source, target):
        try:
            while octets := source.recv(65536):
                target.sendall(octets)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    @staticmethod
    def read(client, count):
        octets = b""
        while len(octets) < count:
            octets += client.recv(count - len(octets)) or Proxy.ended()
        return octets

    @staticmethod
    def ended():
        raise EOFError

    def socks5(self, client):
        methods = self.read(client, self.read(client, 2)[1])
        if self.login:
            assert 2 in methods
            client.sendall(b"\5\2")
            user = self.read(client, self.read(client, 2)[1])
            password = self.read(client, self.read(client, 1)[0])
            good = (user, password) == self.login
            client.sendall(b"\1\0" if good else b"\1\1")
            if not good:
                return None
        else:
            client.sendall(b"\5\0")
        source = None
        while True:
            _, command, _, kind = self.read(client, 4)
            assert kind == 1
            address, port = socket.inet_ntoa(self.read(client, 4)), struct.unpack("!H", self.read(client, 2))[0]
            if command == 2:
                source = (address, 0)
                client.sendall(b"\5\0\0\1" + socket.inet_aton(address) + b"\0\0")
                continue
            self.targets.append((address, port))
            server = socket.create_connection((address, port), source_address=source)
            own, own_port = server.getsockname()
            client.sendall(b"\5\0\0\1" + socket.inet_aton(own) + struct.pack("!H", own_port))
            return server

    def proxy_header(self, client):
        head = self.read(client, 16)
        assert head[:12] == b"\r\n\r\n\0\r\nQUIT\n" and head[12:14] == b"\x21\x11"
        rest = self.read(client, struct.unpack("!H", head[14:])[0])
        source, target = socket.inet_ntoa(rest[:4]), (socket.inet_ntoa(rest[4:8]), struct.unpack("!H", rest[10:12])[0])
        self.targets.append(target)
        return socket.create_connection(target, source_address=(source, 0))

    def close(self):
        with contextlib.suppress(OSError):  # it may be closed already
            self.listening.shutdown(socket.SHUT_RDWR)
        self.listening.close()
        for connection in self.open:
            connection.close()


class Proxies(EndToEnd):
    def proxy(self, *arguments, **options):
        proxy = Proxy(*arguments, **options)
        self.closers.append(proxy)
        return proxy

    def run_through(self, proxy, scheme, extra=""):
        sink = self.sink()
        stack = self.stack(f'routes: {{"*": ["127.0.0.1:{sink.port}"]}}\n'
                           f'virtual_mtas:\n  out: {{source: {SOURCE}, proxy: "{scheme}://127.0.0.1:{proxy.port}"{extra}}}\n')
        return sink, stack

    def check_delivery(self, sink, stack, proxy):
        stack.start()
        for i in range(5):
            stack.send(f"u{i}@dest.test")
        sink.wait(5)
        self.assertEqual({c.source for c in sink.connections}, {SOURCE})
        self.assertEqual(set(proxy.targets), {("127.0.0.1", sink.port)})
        for event in stack.wait_events(5, "delivered"):
            self.assertEqual(event["data"]["source_ip"], SOURCE)

    def test_socks5_with_a_login_and_a_source_address(self):
        proxy = self.proxy("socks5", login=(b"mta", b"s3cret"))
        sink, stack = self.run_through(proxy, "socks5", ", proxy_user: mta, proxy_password_file: proxy-password")
        path = os.path.join(stack.config, "proxy-password")
        with open(path, "w") as f:
            f.write("s3cret\n")
        os.chmod(path, 0o600)
        self.check_delivery(sink, stack, proxy)

    def test_haproxy(self):
        proxy = self.proxy("haproxy")
        sink, stack = self.run_through(proxy, "haproxy")
        self.check_delivery(sink, stack, proxy)

    def test_a_proxy_that_goes_away_and_comes_back(self):
        proxy = self.proxy("socks5")
        sink, stack = self.run_through(proxy, "socks5")
        proxy.close()
        stack.start()
        stack.send("a@dest.test")
        why = f"proxy socks5://127.0.0.1:{proxy.port}: "
        wait_for(lambda: [q for q in stack.json("show", "queues")["queues"] if q["hold_reason"].startswith(why)],
                 "the queue to say why it holds")
        disabled = stack.wait_events(1, "virtual_mta.disabled")[0]
        self.assertTrue(disabled["data"]["reason"].startswith(why))
        self.assertIn('postfleet_virtual_mta_suspended_sources{virtual_mta="out"} 1', stack.http("/metrics")[1])
        self.assertEqual(sink.connections, [])  # never past the proxy
        self.proxy("socks5", port=proxy.port)
        sink.wait(1)
        stack.wait_events(1, "virtual_mta.enabled")
        wait_for(lambda: 'postfleet_virtual_mta_suspended_sources{virtual_mta="out"} 0' in stack.http("/metrics")[1],
                 "the gauge to fall")

    def test_what_cannot_work_is_refused_before_the_start(self):
        def problems(line):
            stack = self.stack(f"virtual_mtas:\n  out: {{{line}}}\n")
            done = run("config", "check", stack.config, check=False)
            self.assertNotEqual(done.returncode, 0)
            return done.stdout + done.stderr
        self.assertIn("is not a proxy; write socks5://", problems('proxy: "http://127.0.0.1:3128"'))
        self.assertIn("needs `source`", problems('proxy: "haproxy://127.0.0.1:2526"'))
        self.assertIn("belong together", problems('proxy: "socks5://127.0.0.1:1080", proxy_user: x'))
        self.assertIn("cannot read", problems('proxy: "socks5://127.0.0.1:1080", proxy_user: x, '
                                              'proxy_password_file: nowhere'))


if __name__ == "__main__":
    unittest.main(verbosity=2)
