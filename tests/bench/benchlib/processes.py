"""Processes of the benchmark: started in a group of their own, measured, and ended by their ids."""

import os
import signal
import socket
import subprocess
import time

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


class BenchError(Exception):
    """Something that stops a cell or the whole benchmark; the text is for people."""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for_port(port, process=None, seconds=30):
    """Waits until somebody listens; a process that ends meanwhile is an error."""
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        if process is not None and process.poll() is not None:
            raise BenchError(f"{process.args[0]} ended with code {process.returncode}: {tail_of(process)}")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise BenchError(f"nobody listens on 127.0.0.1:{port} after {seconds} s")


def start(arguments, log_path, **options):
    """Starts a program with both outputs in a file."""
    log = open(log_path, "wb")
    process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=options.pop("stdout", log),
                               stderr=log, start_new_session=True, **options)
    process.log_path = log_path
    log.close()
    return process


def tail_of(process):
    try:
        with open(process.log_path, errors="replace") as log:
            return " / ".join(log.read().strip().splitlines()[-3:]) or "it printed nothing"
    except OSError as error:
        return str(error)


def end(process, seconds=20):
    """SIGTERM, and SIGKILL to its group when it takes too long."""
    if process.poll() is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _stat(pid):
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rpartition(") ")[2].split()
    parent = int(fields[1])
    ticks = sum(int(field) for field in fields[11:15])  # user, system, and the same of children that have ended
    return parent, ticks


def cpu_seconds(root):
    """CPU time of a process, its living descendants, and the dead ones that were waited for."""
    stats = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                stats[int(name)] = _stat(name)
            except (OSError, IndexError):
                continue
    total = 0
    tree = [root]
    while tree:
        pid = tree.pop()
        if pid in stats:
            total += stats[pid][1]
        tree.extend(child for child, (parent, _) in stats.items() if parent == pid)
    return total / TICKS_PER_SECOND
