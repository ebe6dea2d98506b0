"""Results as a table for people and as JSON for machines."""

import datetime
import json
import os
import platform
import statistics

# What the project promises of itself, as a fraction of the bare forwarder at 10 kB (docs/PERFORMANCE.md).
BARS = {"per-message": 0.50, "reuse": 0.50, "own": 0.40}
BAR_SIZE = 10240
# With DKIM and RSA of 2048 bits, of a bare forwarder that signs a hash of the message: by `--relays bare-rsa,postfleet-rsa`.
SIGNING_BAR = 0.85


def environment(directory, sessions):
    model = ""
    with open("/proc/cpuinfo") as file:
        for line in file:
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    return {"time": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            "cpus": os.cpu_count(), "cpu_model": model, "kernel": platform.release(),
            "directory": directory, "file_system": file_system_of(directory), "sessions": sessions,
            "load_average": os.getloadavg()[0]}


def file_system_of(directory):
    best, kind = "", "unknown"
    path = os.path.realpath(directory)
    with open("/proc/mounts") as file:
        for line in file:
            _, mount, file_system = line.split()[:3]
            if (path + "/").startswith(mount.rstrip("/") + "/") and len(mount) >= len(best):
                best, kind = mount, file_system
    return kind


def summarize(runs):
    """Medians of the good runs, with the spread of the rate."""
    good = [run for run in runs if "error" not in run]
    if not good:
        return None
    keys = [key for key in good[0] if key != "messages"]
    summary = {key: statistics.median(run[key] for run in good) for key in keys}
    summary["rate_min"] = min(run["rate"] for run in good)
    summary["rate_max"] = max(run["rate"] for run in good)
    return summary


def format_size(size):
    return f"{size // 1024} kB" if size >= 1024 else f"{size} B"


def format_cell(cell, titles):
    lines = [f"{format_size(cell['size'])}, {cell['way_title']}"]
    lines.append(f"  {'':<16}{'msg/s':>8}  {'(min - max)':<17}{'of bare':>8}{'x Postfix':>11}{'CPU us/msg':>12}"
                 f"{'p50 ms':>9}{'p99 ms':>9}")
    summaries = {name: summarize(runs) for name, runs in cell["runs"].items()}
    bare, postfix = summaries.get("bare"), summaries.get("postfix")
    for name, summary in summaries.items():
        if summary is None:
            lines.append(f"  {titles[name]:<16}{'failed: ' + cell['runs'][name][-1]['error']}")
            continue
        spread = f"({summary['rate_min']:.0f} - {summary['rate_max']:.0f})"
        fraction = f"{summary['rate'] / bare['rate']:.0%}" if bare else ""
        ratio = f"{summary['rate'] / postfix['rate']:.1f}" if postfix else ""
        latency = [f"{summary[key]:.1f}" if key in summary else "" for key in ("p50_ms", "p99_ms")]
        lines.append(f"  {titles[name]:<16}{summary['rate']:>8.0f}  {spread:<17}{fraction:>8}{ratio:>11}"
                     f"{summary['cpu_us_per_message']:>12.0f}{latency[0]:>9}{latency[1]:>9}")
    return "\n".join(lines)


def bars_of(cells):
    """(text, holds) for each bar that was measured."""
    found = []
    for cell in cells:
        for suffix, title, bar in (("", "the bare forwarder", BARS.get(cell["way"])),
                                   ("-rsa", "the bare forwarder that signs", SIGNING_BAR)):
            own, bare = (summarize(cell["runs"].get(name + suffix, [])) for name in ("postfleet", "bare"))
            if bar is None or cell["size"] != BAR_SIZE or own is None or bare is None:
                continue
            fraction = own["rate"] / bare["rate"]
            found.append((f"{cell['way']}: {fraction:.0%} of {title}, at least {bar:.0%} is promised", fraction >= bar))
    return found


def write_json(path, environment_facts, cells):
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    for cell in cells:
        cell["median"] = {name: summarize(runs) for name, runs in cell["runs"].items()}
    with open(path, "w") as file:
        json.dump({"environment": environment_facts, "cells": cells}, file, indent=2)
        file.write("\n")
