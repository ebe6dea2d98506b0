"""HTTP/2 as a hostile peer speaks it: frames made by hand, for tests of the gRPC ports."""
import os
import socket
import struct

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, CONTINUATION = 0, 1, 3, 4, 6, 9
END_HEADERS = 4
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
    try:
        connection.sendall(b"".join(octets))
    except (ConnectionError, socket.timeout):
        pass  # thrown out before we had finished
    return connection


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
