#!/usr/bin/env python3
"""Runs what README.md tells a newcomer to type, as it stands there, with free ports instead of 2525 and 2526.

usage: readme_test.py README BIN_DIRECTORY
"""
import json
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import time

PATIENCE = 30


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until(holds, what):
    deadline = time.monotonic() + PATIENCE
    while not holds():
        if time.monotonic() > deadline:
            sys.exit(f"not within {PATIENCE} s: {what}")
        time.sleep(0.01)


def answers(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def main():
    readme, bin_directory = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]).resolve()
    section = readme.read_text().split("## Five minutes", 1)[1].split("\n## ", 1)[0]
    blocks = re.findall(r"```sh\n(.*?)```", section, re.S)
    if len(blocks) != 3:
        sys.exit(f"the section has {len(blocks)} blocks, not one per terminal")
    relay, sink = free_port(), free_port()
    processes = []
    with tempfile.TemporaryDirectory() as folder:

        def shell(commands, wait=True):
            text = "set -e\n" + commands.replace("build/release/bin/", f"{bin_directory}/")
            text = text.replace("127.0.0.1:2525", f"127.0.0.1:{relay}").replace("127.0.0.1:2526", f"127.0.0.1:{sink}")
            if not wait:
                text = re.sub(r"(?m)^(\S+/postfleet (?:sink|standalone))", r"exec \1", text)
                processes.append(subprocess.Popen(["bash", "-c", text], cwd=folder))
                return None
            return subprocess.run(["bash", "-c", text], cwd=folder, check=True, text=True, stdout=subprocess.PIPE,
                                  timeout=PATIENCE).stdout

        try:
            shell(blocks[0], wait=False)
            shell(blocks[1], wait=False)
            wait_until(lambda: answers(sink) and answers(relay), "the sink and the listener answer")
            print(shell(blocks[2].split("tail ")[0]))
            events = pathlib.Path(folder, "demo/events.jsonl")
            wait_until(lambda: events.exists() and events.read_text().count('"email.delivered"') == 10, "ten deliveries")
            shown = shell("tail " + blocks[2].split("tail ")[1])
            if json.loads(shown)["type"] != "email.delivered":
                sys.exit(f"the last report is no delivery: {shown}")
        finally:
            for process in processes:
                process.terminate()
            codes = [process.wait(timeout=PATIENCE) for process in processes]
        if any(codes):
            sys.exit(f"the processes ended with {codes}, not with 0")


main()
