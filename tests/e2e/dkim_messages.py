"""Messages to be signed: ordinary ones in odd layouts, and ones with whatever octets a message may have."""

FORMS = {"rr.test": "relaxed/relaxed", "rs.test": "relaxed/simple", "sr.test": "simple/relaxed", "ss.test": "simple/simple"}
WORDS = ["word", "two  blanks", "tab\there", "Köln", "=C3", "x" * 70, ".", "From ", "日本", "end ", "\t", "a;b=c", ""]
# NUL and bare line ends are refused at the door. VT and FF are no white space in DKIM (RFC 6376 §2.8), but verifiers of
# all languages whose libraries think so take them for it: what is signed with them may be refused whoever signs.
OCTETS = bytes(octet for octet in range(1, 256) if octet not in b"\r\n\v\f")


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
    return "\r\n".join(fields).encode() + b"\r\n"


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


def random_octets(rng, most, more=b" \t"):
    """Anything between two line ends, white space more often than chance would have it."""
    return bytes(rng.choice(more if rng.random() < .3 else OCTETS) for _ in range(rng.randrange(most)))


def fuzzed_header(rng, domain, number):
    """Signed fields with any octets in them, folded anywhere, some several times, in any order.

    To, Cc and Subject come once, as RFC 5322 wants it: Rspamd does not find the second one.
    """
    fields = [b"From: a@" + domain.encode(), b"Message-ID: <%d@x>" % number]
    once = rng.sample([b"Subject", b"To", b"cc"], rng.randrange(4))
    for name in once + rng.choices([b"REPLY-TO", b"In-Reply-To", b"Feedback-ID", b"X-Any"], k=rng.randrange(7)):
        folds = (b"\r\n" + rng.choice([b" ", b"\t"])).join(random_octets(rng, 60) + b"x" for _ in range(rng.randrange(1, 4)))
        fields.append(name + b":" + folds)
    rng.shuffle(fields)
    return b"\r\n".join(fields) + b"\r\n"


def fuzzed_body(rng):
    return b"\r\n".join(random_octets(rng, rng.choice([2, 80, 900])) for _ in range(rng.randrange(1, 12))) + b"\r\n"


def random_message(rng, domain, number):
    if rng.random() < .5:
        return random_header(rng, domain, number) + b"\r\n" + random_body(rng)
    return fuzzed_header(rng, domain, number) + b"\r\n" + fuzzed_body(rng)
