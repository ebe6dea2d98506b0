"""HTTP/2 as a hostile peer speaks it: frames made by hand, for tests of the gRPC ports."""
import os
import random
import socket
import struct

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, CONTINUATION = 0, 1, 3, 4, 6, 9
END_STREAM, END_HEADERS = 1, 4
PATIENCE = 120


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


def garbage(chance):
    """Three connections' worth of octets that mean nothing: before, behind and after the preface."""
    yield (chance.randbytes(chance.randrange(1, 4000)),)
    yield (PREFACE, chance.randbytes(chance.randrange(1, 4000)))
    yield (PREFACE, frame(SETTINGS, 0, 0), *(
        frame(chance.randrange(12), chance.randrange(256), chance.randrange(6), chance.randbytes(chance.randrange(200)))
        for _ in range(50)))


def connect(port, *octets):
    connection = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
    connection.settimeout(10)
    try:
        connection.sendall(b"".join(octets))
    except (ConnectionError, socket.timeout):
        pass  # thrown out, or not read any more, before we had finished
    connection.settimeout(PATIENCE)
    return connection


def settings():
    return PREFACE + frame(SETTINGS, 0, 0)


def calls(path, count):
    return b"".join(frame(HEADERS, END_HEADERS, 2 * n + 1, call_headers(path)) for n in range(count))


def unary(path, body):
    """A whole call; the window has room for 65,535 octets."""
    octets = message(body)
    parts = [octets[at:at + 16_000] for at in range(0, len(octets), 16_000)]
    return (settings(), frame(HEADERS, END_HEADERS, 1, call_headers(path)),
            *(frame(DATA, END_STREAM if n + 1 == len(parts) else 0, 1, part) for n, part in enumerate(parts)))


def flood(port, path, hold):
    """What costs a peer nothing. hold(port, *octets) connects, says that, and stays; the others leave at once."""
    chance = random.Random(20261122)
    for _ in range(40):
        for octets in garbage(chance):
            connect(port, *octets).close()
        connect(port, *unary(path, chance.randbytes(300))).close()
    resets = b"".join(frame(HEADERS, END_HEADERS, 2 * n + 1, call_headers(path)) +
                      frame(RST_STREAM, 0, 2 * n + 1, b"\0\0\0\x08") for n in range(5000))
    connect(port, settings(), resets).close()
    connect(port, settings(), frame(PING, 0, 0, b"\0" * 8) * 5000).close()
    connect(port, settings() + frame(SETTINGS, 0, 0) * 5000).close()
    endless = literal(b"x", b"y" * 100) * 100
    connect(port, settings(), frame(HEADERS, 0, 1, call_headers(path)), frame(CONTINUATION, 0, 1, endless) * 1000).close()
    # Four gigabytes are announced; a compressed message, which could become as many.
    hold(port, settings(), calls(path, 1), frame(DATA, 0, 1, b"\0\xff\xff\xff\xff" + b"x" * 1000))
    hold(port, settings(), calls(path, 1), frame(DATA, END_STREAM, 1, message(b"x" * 1000, compressed=1)))
    hold(port, settings(), calls(path, 3000))
    for _ in range(50):  # half open, and slow
        hold(port)
        hold(port, settings(), calls(path, 1), frame(DATA, 0, 1, b"\0"))


def is_closed(connection):
    """Reads until the other side has closed."""
    try:
        while connection.recv(65536):
            pass
    except ConnectionError:
        pass
    return True


def memory_of(pid):
    """Octets resident."""
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
