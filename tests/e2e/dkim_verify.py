"""Verifies every DKIM signature of message files with dkimpy. Run by Debian's python3, which has python3-dkim.

    dkim_verify.py RECORDS.json FILE…      one line per file: its number of signatures, or what is wrong
"""

import json
import sys

import dkim


def main():
    with open(sys.argv[1]) as f:
        records = json.load(f)

    def look_up(name, timeout=5):
        return records.get(name.decode().rstrip("."), "").encode() or None

    for path in sys.argv[2:]:
        with open(path, "rb") as f:
            message = f.read()
        verifier = dkim.DKIM(message)
        count = sum(name.lower() == b"dkim-signature" for name, _ in verifier.headers)
        try:
            good = [verifier.verify(idx=i, dnsfunc=look_up) for i in range(count)]
            print(count if all(good) else f"bad {good}")
        except dkim.DKIMException as error:
            print(f"error {error!r}")


if __name__ == "__main__":
    main()
