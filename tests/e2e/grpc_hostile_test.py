"""The gRPC port as hostile and careless peers see it: garbage, oversized and compressed bodies, calls that stand still,
floods. It costs them something, us little, and others are served (SEC-10, SEC-22)."""

import os
import random
import socket
import struct
import unittest

from grpc_submission_test import GrpcCase, PATIENCE, Outcome, grpc, mail, pb
from harness import wait_for

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, CONTINUATION = 0, 1, 3, 4, 6, 9
END_HEADERS = 4
SEND, SEND_MANY = (b"/postfleet.v1.SubmissionService/" + name for name in (b"Send", b"SendMany"))


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def literal(name, value):
    """A header field of HPACK that nothing is remembered of (RFC 7541 §6.2.2), without Huffman."""
    return b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value


def call_headers(path, *more):
    fields = ((b":method", b"POST"), (b":scheme", b"http"), (b":path", path), (b":authority", b"x"),
              (b"content-type", b"application/grpc"), (b"te", b"trailers"), *more)
    return b"".join(literal(*field) for field in fields)


def message(body, compressed=0):
    return struct.pack(">BI", compressed, len(body)) + body


class Hostile(GrpcCase):
    def setUp(self):
        super().setUp()
        self.mail_sink = self.sink()
        self.served = 0

    def begin(self, keys=""):
        self.running = self.start(self.mail_sink, keys)
        self.good = self.service()
        self.is_serving()

    def is_serving(self):
        self.served += 1
        result = self.send(self.good, mail(f"good{self.served}@dst.test"))
        self.assertEqual(result.outcome, Outcome.ACCEPTED)

    def memory(self):
        """Octets resident."""
        with open(f"/proc/{self.running.process.child.pid}/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def connect(self, *octets):
        connection = socket.create_connection(("127.0.0.1", self.grpc_port), timeout=PATIENCE)
        self.closers.append(connection)
        try:
            connection.sendall(b"".join(octets))
        except (ConnectionError, socket.timeout):
            pass  # thrown out before we had finished
        return connection

    def is_closed(self, connection):
        """Reads until the other side has closed."""
        try:
            while connection.recv(65536):
                pass
        except ConnectionError:
            pass
        return True

    def calls(self):
        for line in self.running.http("/metrics")[1].splitlines():
            if line.startswith('postfleet_grpc_calls{listener="api"}'):
                return float(line.split()[-1])
        return 0.0

    def test_garbage_is_thrown_out(self):
        self.begin()
        before = self.memory()
        chance = random.Random(20261122)
        for _ in range(60):
            self.connect(chance.randbytes(chance.randrange(1, 4000))).close()
            self.connect(PREFACE, chance.randbytes(chance.randrange(1, 4000))).close()
            self.connect(PREFACE, frame(SETTINGS, 0, 0), *(
                frame(chance.randrange(12), chance.randrange(256), chance.randrange(6), chance.randbytes(chance.randrange(200)))
                for _ in range(50))).close()
            # What follows the headers of a call is no message, or no submission.
            self.connect(PREFACE, frame(SETTINGS, 0, 0), frame(HEADERS, END_HEADERS, 1, call_headers(SEND)),
                         frame(DATA, 1, 1, chance.randbytes(300))).close()
            self.connect(PREFACE, frame(SETTINGS, 0, 0), frame(HEADERS, END_HEADERS, 1, call_headers(SEND_MANY)),
                         *(frame(DATA, 0, 1, message(chance.randbytes(100))) for _ in range(10))).close()
        self.assertTrue(self.is_closed(self.connect(b"EHLO there\r\n")))
        self.is_serving()
        wait_for(lambda: self.calls() == 0, "the calls to be over", PATIENCE)
        self.assertLess(self.memory() - before, 64 << 20)

    def test_a_body_that_is_too_large_is_refused_before_it_is_there(self):
        self.begin("    max_message_size: 1MiB\n")
        before = self.memory()
        for _ in range(20):
            self.refused(grpc.StatusCode.RESOURCE_EXHAUSTED, self.good, mail("a@dst.test", headers=[
                pb.HeaderField(name="X-Large", value="x" * (8 << 20))]))
            with self.assertRaises(grpc.RpcError) as failure:
                list(self.good.SendMany(iter([pb.Submission(mime=b"x" * (8 << 20))]), timeout=PATIENCE))
            self.assertEqual(failure.exception.code(), grpc.StatusCode.RESOURCE_EXHAUSTED)
        # Four gigabytes are announced.
        self.connect(PREFACE, frame(SETTINGS, 0, 0), frame(HEADERS, END_HEADERS, 1, call_headers(SEND)),
                     frame(DATA, 0, 1, b"\0\xff\xff\xff\xff" + b"x" * 1000))
        # It fits, and what is made of it does not.
        text = self.refused(grpc.StatusCode.INVALID_ARGUMENT, self.good, mail("a@dst.test", attachments=[
            pb.Attachment(filename="f", content=b"x" * (1 << 20))]))
        self.assertIn("too big", text)
        self.is_serving()
        self.assertLess(self.memory() - before, 128 << 20)

    def test_a_compressed_body_is_not_taken(self):
        self.begin()
        before = self.memory()
        for compression in (grpc.Compression.Gzip, grpc.Compression.Deflate):
            with self.assertRaises(grpc.RpcError) as failure:  # 8 MiB as some kilobytes
                self.good.Send(pb.Submission(mime=b"\0" * (8 << 20)), timeout=PATIENCE, compression=compression)
            self.assertEqual(failure.exception.code(), grpc.StatusCode.UNIMPLEMENTED)
        self.is_serving()
        self.assertLess(self.memory() - before, 64 << 20)

    def test_calls_that_stand_still_are_ended_and_there_are_only_so_many(self):
        self.begin("    max_calls: 50\n    call_timeout: 3s\n")
        slow = []
        for _ in range(40):  # one octet of a message, and nothing more
            slow.append(self.connect(PREFACE, frame(SETTINGS, 0, 0),
                                     frame(HEADERS, END_HEADERS, 1, call_headers(SEND_MANY)), frame(DATA, 0, 1, b"\0")))
        wait_for(lambda: self.calls() >= 40, "the calls to be there", PATIENCE)
        self.is_serving()
        # A flood over one connection, of which most must wait or are refused.
        flood = self.connect(PREFACE, frame(SETTINGS, 0, 0), *(
            frame(HEADERS, END_HEADERS, 2 * n + 1, call_headers(SEND)) for n in range(100)))
        wait_for(lambda: self.calls() == 0, "the calls to be ended", PATIENCE)
        flood.close()
        self.is_serving()
        self.assertTrue(all(self.is_closed(connection) for connection in slow))

    def test_who_does_not_read_results_is_not_read(self):
        self.begin("    call_timeout: 3s\n    max_in_flight: 20\n")
        before = self.memory()
        # Our window for results is nothing, so none can be written.
        small_window = struct.pack(">HI", 4, 0)
        body = frame(DATA, 0, 1, message(mail("nobody").SerializeToString()))
        connection = self.connect(PREFACE, frame(SETTINGS, 0, 0, small_window),
                                  frame(HEADERS, END_HEADERS, 1, call_headers(SEND_MANY)))
        connection.settimeout(5)
        taken = 0
        try:
            for _ in range(20_000):
                connection.sendall(body)
                taken += 1
        except (socket.timeout, ConnectionError):
            pass  # neither read any more, or thrown out
        self.is_serving()
        wait_for(lambda: self.calls() == 0, "the call to be ended", PATIENCE)
        refused = sum(float(line.split()[-1]) for line in self.running.http("/metrics")[1].splitlines()
                      if line.startswith('postfleet_grpc_submissions_total{listener="api",result="refused"}'))
        self.assertLessEqual(refused, 25)
        self.assertLess(self.memory() - before, 64 << 20)

    def test_floods_of_small_frames_cost_little(self):
        """SEC-22: resets, pings, settings, headers without an end."""
        self.begin()
        before = self.memory()
        resets = b"".join(frame(HEADERS, END_HEADERS, 2 * n + 1, call_headers(SEND)) +
                          frame(RST_STREAM, 0, 2 * n + 1, b"\0\0\0\x08") for n in range(5000))
        self.connect(PREFACE, frame(SETTINGS, 0, 0), resets).close()
        self.connect(PREFACE, frame(SETTINGS, 0, 0), frame(PING, 0, 0, b"\0" * 8) * 5000).close()
        self.connect(PREFACE, frame(SETTINGS, 0, 0) * 5000).close()
        endless = literal(b"x", b"y" * 100) * 100
        self.connect(PREFACE, frame(SETTINGS, 0, 0), frame(HEADERS, 0, 1, call_headers(SEND)),
                     frame(CONTINUATION, 0, 1, endless) * 1000).close()
        large = literal(b"authorization", b"x" * 120) * 1000
        self.connect(PREFACE, frame(SETTINGS, 0, 0), frame(HEADERS, END_HEADERS, 1, call_headers(SEND) + large[:16000])).close()
        self.is_serving()
        wait_for(lambda: self.calls() == 0, "the calls to be over", PATIENCE)
        self.assertLess(self.memory() - before, 128 << 20)


if __name__ == "__main__":
    unittest.main()
