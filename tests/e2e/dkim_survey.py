"""Signs many messages with every kind of key and form, and has every verifier that there is check what arrives.

    make dkim-survey N=2000 SEED=1

Half of the messages are ordinary ones in odd layouts, half have any octets that a message may have. For each verifier
it prints how many signatures were good; a message that one of them refuses is kept and shown, and the exit code is 1,
as it is when a verifier is not installed. The tests of every run (dkim_test.py) do the same with few messages and two
verifiers. [D-1] [D-4]
"""

import argparse
import os
import random
import shutil
import sys
import tempfile
import time

from dkim_keys import Keys
from dkim_messages import FORMS, random_message
from dkim_verifiers import ALL
from dns_server import DnsServer
from harness import Sink, Stack, wait_for

KINDS = (("s1", "rsa"), ("ed", "ed25519"))


def send_chunk(client, content):
    client.mail("a@src.test")
    client.rcpt("b@dst.test")
    client.send(f"BDAT {len(content)} LAST\r\n".encode() + content)
    code, text = client.getreply()
    assert code == 250, (code, text, content)


def relay(stack, sink, messages, rng):
    """What arrives of `messages` random ones."""
    with stack.smtp() as client:
        client.ehlo()
        for number in range(messages):
            send_chunk(client, random_message(rng, list(FORMS)[number % len(FORMS)], number))
    wait_for(lambda: len(sink.deliveries) >= messages, "all messages", 600)
    return [delivery.content for delivery in sink.deliveries]


def write_files(folder, contents):
    paths = []
    for number, content in enumerate(contents):
        paths.append(os.path.join(folder, f"{number}.eml"))
        with open(paths[-1], "wb") as f:
            f.write(content)
    return paths


def content_of(path):
    with open(path, "rb") as f:
        return f.read()


def judge(verifier, paths, keep):
    """Prints one line; the number of messages that it refuses."""
    begun = time.monotonic()
    want = str(len(verifier.kinds))
    paths = [path for path in paths if verifier.may_be_asked(content_of(path))]
    refused = [(path, result) for path, result in zip(paths, verifier.verify(paths)) if result != want]
    print(f"{verifier.title:<12} {(len(paths) - len(refused)) * len(verifier.kinds):>8} signatures good"
          f"{len(refused):>8} messages refused   {time.monotonic() - begun:.0f} s", flush=True)
    for path, result in refused[:5]:
        os.makedirs(keep, exist_ok=True)
        kept = shutil.copy(path, os.path.join(keep, f"{verifier.title.replace(':', '')}-{os.path.basename(path)}"))
        print(f"  {kept}: {result}")
    return len(refused)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--messages", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", default="build/dkim-survey", help="where refused messages are kept")
    arguments = parser.parse_args()
    missing = [one for one in ALL if not one.is_installed()]
    for one in missing:
        print(f"{one.title:<12} NOT INSTALLED: apt-get install {one.packages}")
    folder = tempfile.mkdtemp(prefix="postfleet-dkim-")
    os.chmod(folder, 0o755)
    dns, sink, stack = DnsServer(), Sink(), Stack(base=folder)
    started = []
    try:
        keys = Keys(folder)
        rules = "".join(f"  - {{domain: {domain}, selector: {selector}, key_file: {keys.make(domain, selector, kind)}, "
                        f"canonicalization: {form}}}\n" for domain, form in FORMS.items() for selector, kind in KINDS)
        keys.serve(dns)
        stack.write_config(f"routes: {{\"*\": [\"127.0.0.1:{sink.port}\"]}}\ndkim:\n{rules}")
        stack.start()
        paths = write_files(folder, relay(stack, sink, arguments.messages, random.Random(arguments.seed)))
        print(f"{len(paths)} messages, {len(paths) * len(KINDS)} signatures, seed {arguments.seed}")
        refused = 0
        for verifier in ALL:
            if verifier in missing:
                continue
            started.append(verifier(folder, keys.records, dns))
            refused += judge(started[-1], paths, arguments.keep)
        return 1 if refused or missing else 0
    finally:
        for one in (*started, stack, sink):
            one.close()
        dns.close()


if __name__ == "__main__":
    sys.exit(main())
