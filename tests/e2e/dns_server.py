"""A name server for tests: answers from a table like a recursive resolver, signs (RFC 4034), and misbehaves on order.

    dns = DnsServer(signed=["signed.test"])
    dns.set("a.test", "MX", [(10, "mx.a.test"), (20, "mx2.a.test")], ttl=60)
    dns.set("mx.a.test", "A", ["127.0.25.1"])
    dns.set("www.a.test", "CNAME", ["mx.a.test"])
    dns.set("_mta-sts.a.test", "TXT", ["v=STSv1; id=1;"])                 # a list in the list: several strings
    dns.set("_25._tcp.mx.a.test", "TLSA", [(3, 1, 1, "00ff…")])
    dns.behave("mx2.a.test", "servfail")                                  # for one type: behave(name, what, "A")
    dns.outage = True                                                     # no answer to anything, until False
    dns.asked                                                             # [("a.test", "MX"), …] in order

UDP and TCP on one free port of 127.0.0.1. A name that is not in the table does not exist; aliases are followed to
their end within the answer, as a recursive resolver does. UDP answers longer than the client allows are truncated.

Names in and below a signed zone are signed, and so are denials (NSEC), with a key of 1024 bits that is the same in
every run. trust_anchors(path) writes the file for `dns.trust_anchor_file`; everything else is insecure, as it is for
whoever has no anchor above it. A zone in `unsigned` is an insecure delegation inside a signed zone.

Behaviours: servfail, refused, nxdomain (whatever the table says), silent, slow (answers after `delay` seconds),
truncated (over UDP; whole over TCP), wrong_id, garbage, empty (NOERROR without anything), loop (an alias to itself);
for signed names also bogus (a signature that is wrong), expired, stripped (no signature at all).
"""

import base64
import hashlib
import random
import socket
import struct
import threading
import time

TYPES = {"A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "PTR": 12, "MX": 15, "TXT": 16, "AAAA": 28, "DS": 43, "RRSIG": 46,
         "NSEC": 47, "DNSKEY": 48, "TLSA": 52}
NAMES = {number: name for name, number in TYPES.items()}
OPT, ALGORITHM, KEY_FLAGS = 41, 8, 257  # RSASHA256; a key that signs keys and records
NOERROR, SERVFAIL, NXDOMAIN, REFUSED = 0, 2, 3, 5


# --- a key of our own: so that no tool and no package is needed ---------------------------------------------------

class Key:
    def __init__(self, seed, bits=1024):
        numbers = random.Random(seed)
        self.e = 65537
        while True:
            p, q = self._prime(numbers, bits // 2), self._prime(numbers, bits // 2)
            if p != q and (p - 1) % self.e and (q - 1) % self.e and (p * q).bit_length() == bits:
                break
        self.n, self.d, self.octets = p * q, pow(self.e, -1, (p - 1) * (q - 1)), bits // 8

    @staticmethod
    def _prime(numbers, bits):
        while True:
            candidate = numbers.getrandbits(bits) | 1 | (3 << (bits - 2))
            if all(candidate % small for small in (3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47)) and \
                    all(pow(base, candidate - 1, candidate) == 1 for base in (2, 3, 5, 7)):
                return candidate

    def sign(self, octets):  # RSASSA-PKCS1-v1_5 with SHA-256 (RFC 5702)
        digest = bytes.fromhex("3031300d060960864801650304020105000420") + hashlib.sha256(octets).digest()
        padded = b"\0\1" + b"\xff" * (self.octets - len(digest) - 3) + b"\0" + digest
        return pow(int.from_bytes(padded, "big"), self.d, self.n).to_bytes(self.octets, "big")

    def rdata(self):
        exponent = self.e.to_bytes(3, "big")
        return struct.pack("!HBB", KEY_FLAGS, 3, ALGORITHM) + bytes([len(exponent)]) + exponent + \
            self.n.to_bytes(self.octets, "big")

    def tag(self):
        total = sum(octet << 8 if at % 2 == 0 else octet for at, octet in enumerate(self.rdata()))
        return (total + (total >> 16)) & 0xffff


# --- wire format -------------------------------------------------------------------------------------------------

def wire_name(name):
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".") if label) + b"\0"


def wire_rdata(kind, value):
    if kind in ("A", "AAAA"):
        return socket.inet_pton(socket.AF_INET if kind == "A" else socket.AF_INET6, value)
    if kind in ("CNAME", "NS", "PTR"):
        return wire_name(value)
    if kind == "MX":
        return struct.pack("!H", value[0]) + wire_name(value[1])
    if kind == "TXT":
        strings = [value] if isinstance(value, str) else value
        return b"".join(bytes([len(s.encode())]) + s.encode() for s in strings)
    if kind == "TLSA":
        return bytes(value[:3]) + bytes.fromhex(value[3])
    return value  # octets already


def record(owner, kind, ttl, rdata):
    return wire_name(owner) + struct.pack("!HHIH", TYPES[kind], 1, ttl, len(rdata)) + rdata


def type_bitmap(kinds):
    bits = bytearray(32)
    for kind in kinds:
        bits[TYPES[kind] // 8] |= 0x80 >> TYPES[kind] % 8
    used = bytes(bits).rstrip(b"\0")
    return bytes([0, len(used)]) + used


def canonical_order(name):  # RFC 4034 §6.1
    return [label.encode() for label in reversed(name.split("."))] if name else []


def is_in(name, zone):
    return name == zone or name.endswith("." + zone)


class Query:
    def __init__(self, octets, is_tcp):
        self.octets, self.is_tcp = octets, is_tcp
        at, labels = 12, []
        while octets[at]:
            labels.append(octets[at + 1:at + 1 + octets[at]].decode("latin-1").lower())
            at += 1 + octets[at]
        self.name, number = ".".join(labels), struct.unpack("!H", octets[at + 1:at + 3])[0]
        self.kind = NAMES.get(number, str(number))
        self.question = octets[12:at + 5]
        self.limit, self.wants_signatures, self.has_edns = 512, False, False
        rest = octets[at + 5:]
        if struct.unpack("!H", octets[10:12])[0] and rest[:3] == b"\0" + struct.pack("!H", OPT):
            self.has_edns = True
            self.limit = max(512, struct.unpack("!H", rest[3:5])[0])
            self.wants_signatures = bool(rest[7] & 0x80)


class DnsServer:
    process = None  # it is a thread of the test

    def __init__(self, signed=(), unsigned=(), ttl=300):
        self.ttl, self.delay, self.outage = ttl, 2.0, False
        self.asked, self.times, self.tcp_queries = [], [], 0
        self._lock = threading.RLock()
        self._table, self._ttls, self._behaviours = {}, {}, {}
        self._keys = {zone: Key(zone) for zone in signed}
        self._unsigned = set(unsigned)
        self._signatures = {}
        for zone, key in self._keys.items():
            self._table[zone] = {"DNSKEY": [key.rdata()]}
        for zone in unsigned:
            self._table[zone] = {"NS": ["ns." + zone]}
        self._open_sockets()
        threading.Thread(target=self._serve_udp, daemon=True).start()
        threading.Thread(target=self._serve_tcp, daemon=True).start()

    # --- the script ----------------------------------------------------------------------------------------------

    def set(self, name, kind, values, ttl=None):
        """Replaces the records of one name and type; [] leaves the name without them."""
        with self._lock:
            self._table.setdefault(name, {})[kind] = list(values)
            self._ttls[name, kind] = ttl
            self._signatures.clear()
        return self

    def remove(self, name):
        with self._lock:
            self._table.pop(name, None)
            self._signatures.clear()

    def behave(self, name, what, kind=None):
        """`what` None: as it should again. A name that misbehaves exists."""
        with self._lock:
            self._table.setdefault(name, {})
            self._behaviours[name, kind] = what

    def queries(self, name, kind):
        with self._lock:
            return self.asked.count((name, kind))

    def trust_anchors(self, path):
        with open(path, "w") as f:
            for zone, key in self._keys.items():
                public = base64.b64encode(key.rdata()[4:]).decode()
                f.write(f"{zone}. 3600 IN DNSKEY {KEY_FLAGS} 3 {ALGORITHM} {public}\n")
        return path

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def close(self):
        self.udp.close()
        self.tcp.close()

    # --- sockets -------------------------------------------------------------------------------------------------

    def _open_sockets(self):
        for _ in range(50):  # a port that is free for UDP may be in use for TCP
            self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.udp.bind(("127.0.0.1", 0))
            self.port = self.udp.getsockname()[1]
            try:
                self.tcp = socket.create_server(("127.0.0.1", self.port), backlog=100)
                return
            except OSError:
                self.udp.close()
        raise OSError("no port that is free for UDP and TCP")

    def _serve_udp(self):
        while True:
            try:
                octets, client = self.udp.recvfrom(4096)
            except OSError:
                return
            self._answer_to(octets, False, lambda reply, client=client: self.udp.sendto(reply, client))

    def _serve_tcp(self):
        while True:
            try:
                connection, _ = self.tcp.accept()
            except OSError:
                return
            threading.Thread(target=self._tcp_session, args=(connection,), daemon=True).start()

    def _tcp_session(self, connection):
        with connection, connection.makefile("rb") as stream:
            connection.settimeout(10)
            try:
                while len(length := stream.read(2)) == 2:
                    octets = stream.read(struct.unpack("!H", length)[0])
                    self._answer_to(octets, True,
                                    lambda reply: connection.sendall(struct.pack("!H", len(reply)) + reply))
            except OSError:
                pass

    def _answer_to(self, octets, is_tcp, send):
        try:
            query = Query(octets, is_tcp)
        except (IndexError, struct.error):
            return
        with self._lock:
            self.asked.append((query.name, query.kind))
            self.times.append(time.monotonic())
            self.tcp_queries += is_tcp
            behaviour = self._behaviours.get((query.name, query.kind)) or self._behaviours.get((query.name, None))
            if self.outage or behaviour == "silent":
                return
            reply = self._answer(query, behaviour)

        def deliver():
            try:
                send(reply)
            except OSError:
                pass

        if behaviour == "slow" and not is_tcp:
            threading.Timer(self.delay, deliver).start()
        else:
            deliver()

    # --- answers -------------------------------------------------------------------------------------------------

    def _answer(self, query, behaviour):
        if behaviour == "garbage":
            return query.octets[:2] + b"\x81\x80\xff\xff\xff\xff" + bytes(range(60))
        code, answer, authority = NOERROR, [], []
        if behaviour == "servfail":
            code = SERVFAIL
        elif behaviour == "refused":
            code = REFUSED
        elif behaviour == "nxdomain":
            code, authority = NXDOMAIN, [self._soa(query.name)]
        elif behaviour == "loop":
            answer = [[record(query.name, "CNAME", self.ttl, wire_name(query.name))]]
        elif behaviour != "empty":
            code, answer, authority = self._look_up(query, behaviour)
        return self._message(query, code, answer, authority, behaviour)

    def _message(self, query, code, answer, authority, behaviour):
        sections = [[r for rrset in section for r in rrset] for section in (answer, authority)]
        extra = b"\0" + struct.pack("!HHIH", OPT, 1232, 0x8000 if query.wants_signatures else 0, 0) \
            if query.has_edns else b""
        octets = b"".join(sections[0] + sections[1])
        flags = 0x8180 | code  # a response; recursion desired and available
        if not query.is_tcp and (behaviour == "truncated" or
                                 12 + len(query.question) + len(octets) + len(extra) > query.limit):
            flags, octets, sections = flags | 0x0200, b"", [[], []]
        number = bytes([query.octets[0] ^ 0x55, query.octets[1]]) if behaviour == "wrong_id" else query.octets[:2]
        return number + struct.pack("!HHHHH", flags, 1, len(sections[0]), len(sections[1]), bool(extra)) + \
            query.question + octets + extra

    def _look_up(self, query, behaviour):
        answer, name, seen = [], query.name, set()
        while True:
            held = self._table.get(name)
            if held is None:
                # Above a name that exists: no records, but not "does not exist" either.
                exists = any(known.endswith("." + name) for known in self._table)
                return (NOERROR if exists else NXDOMAIN), answer, self._denial(query, name, exists, behaviour)
            wanted = "CNAME" if held.get("CNAME") and query.kind != "CNAME" else query.kind
            if not held.get(wanted):
                return NOERROR, answer, self._denial(query, name, True, behaviour)
            ttl = self._ttls.get((name, wanted))
            answer.append(self._signed(query, name, wanted, self.ttl if ttl is None else ttl,
                                       [wire_rdata(wanted, value) for value in held[wanted]], behaviour))
            if wanted == query.kind or name in seen or len(answer) > 30:
                return NOERROR, answer, []
            seen.add(name)
            name = held["CNAME"][0]

    def _zone_of(self, name, kind=None):
        zones = [zone for zone in [*self._keys, *self._unsigned]
                 if is_in(name, zone) and not (kind == "DS" and zone == name and zone in self._unsigned)]
        zone = max(zones, key=len, default="")
        return zone if zone in self._keys else ""

    def _soa(self, name):
        zone = self._zone_of(name)
        return [record(zone, "SOA", self.ttl, self._soa_rdata())]

    def _soa_rdata(self):
        return wire_name("ns.invalid") + wire_name("root.invalid") + struct.pack("!5I", 1, 3600, 600, 86400, self.ttl)

    def _denial(self, query, name, exists, behaviour):
        zone = self._zone_of(name, query.kind)
        sections = [self._signed(query, zone, "SOA", self.ttl, [self._soa_rdata()], behaviour)]
        if not zone or not query.wants_signatures or behaviour == "stripped":
            return sections
        owners = sorted((n for n in self._table if is_in(n, zone) and self._zone_of(n, "DS") == zone),
                        key=canonical_order)
        covering = [self._owner_before(owners, name)]
        if not exists:
            encloser = name
            while not any(is_in(owner, encloser) for owner in owners):
                encloser = encloser.split(".", 1)[1]
            wildcard = self._owner_before(owners, "*." + encloser)
            if wildcard not in covering:
                covering.append(wildcard)
        for owner in covering:
            following = owners[(owners.index(owner) + 1) % len(owners)]
            kinds = [kind for kind, values in self._table[owner].items() if values] + ["RRSIG", "NSEC"]
            if owner == zone:
                kinds += ["SOA", "NS"]
            sections.append(self._signed(query, owner, "NSEC", self.ttl,
                                         [wire_name(following) + type_bitmap(kinds)], behaviour))
        return sections

    @staticmethod
    def _owner_before(owners, name):
        before = [owner for owner in owners if canonical_order(owner) <= canonical_order(name)]
        return before[-1] if before else owners[-1]

    def _signed(self, query, owner, kind, ttl, rdatas, behaviour):
        """The records of one set, and its signature if its zone has a key and the client wants it."""
        records = [record(owner, kind, ttl, rdata) for rdata in rdatas]
        zone = self._zone_of(owner, "DS" if kind == "NSEC" else kind)
        if not zone or not query.wants_signatures or behaviour == "stripped":
            return records
        key, now = self._keys[zone], int(time.time())
        inception, expiration = now - 3600, now + 86400
        if behaviour == "expired":
            inception, expiration = now - 40 * 86400, now - 10 * 86400
        about = (owner, kind, ttl, tuple(rdatas), behaviour == "expired")
        rrsig = self._signatures.get(about)
        if rrsig is None:
            head = struct.pack("!HBBIIIH", TYPES[kind], ALGORITHM, len([x for x in owner.split(".") if x]), ttl,
                               expiration, inception, key.tag()) + wire_name(zone)
            rrsig = head + key.sign(head + b"".join(record(owner, kind, ttl, rdata) for rdata in sorted(rdatas)))
            self._signatures[about] = rrsig
        if behaviour == "bogus":
            rrsig = rrsig[:-1] + bytes([rrsig[-1] ^ 1])
        return records + [record(owner, "RRSIG", ttl, rrsig)]
