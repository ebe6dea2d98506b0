"""The other side of faults.cpp: what a test may do to a process that it started with the library preloaded."""

import mmap
import os
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))

LIBRARY = os.environ.get("POSTFLEET_FAULTS", os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                                          "../../build/release/tests/libpostfleet_faults.so"))
# The orders of faults.hpp.
PLACES = ("log", "index", "data", "reports", "smtp")
OPERATIONS = ("write", "sync", "sync-directory", "create", "rename", "remove", "reply-sent", "reply-received")
NONE, KILL_BEFORE, KILL_AFTER, FAIL, TEAR = range(5)
_HEAD = struct.Struct("<IIIIqqqqq")


class Faults:
    """The control page of one process and all that follow it under the same directory."""

    def __init__(self, base, journal=False):
        self.base = os.path.realpath(base)
        self.control_path = os.path.join(os.path.dirname(self.base), os.path.basename(self.base) + ".faults")
        self.journal_path = self.control_path + ".journal" if journal else None
        with open(self.control_path, "wb") as f:
            f.write(bytes(4096))
        with open(self.control_path, "r+b") as f:
            self.page = mmap.mmap(f.fileno(), 4096)

    def environment(self):
        if not os.path.exists(LIBRARY):
            raise SystemExit(f"{LIBRARY} is not there: ninja -C build/release postfleet_faults")
        return {**os.environ, "LD_PRELOAD": LIBRARY, "POSTFLEET_FAULTS_BASE": self.base,
                "POSTFLEET_FAULTS_CONTROL": self.control_path,
                **({"POSTFLEET_FAULTS_JOURNAL": self.journal_path} if self.journal_path else {})}

    def arm(self, place, operation, strike, countdown=0, times=1, error=0):
        """The strike itself is written last: only then does the process see it."""
        self.disarm()
        struct.pack_into("<II", self.page, 0, PLACES.index(place), OPERATIONS.index(operation))
        struct.pack_into("<Iqqq", self.page, 12, error, countdown, times, 0)
        struct.pack_into("<I", self.page, 8, strike)

    def disarm(self):
        struct.pack_into("<I", self.page, 8, NONE)

    @property
    def struck(self):
        return _HEAD.unpack_from(self.page)[6]

    def move_clock(self, seconds):
        struct.pack_into("<q", self.page, 40, int(seconds * 1e9))

    def slow_syncs(self, seconds):
        struct.pack_into("<q", self.page, 48, int(seconds * 1e9))

    def calls(self, place, operation):
        at = 56 + 8 * (PLACES.index(place) * len(OPERATIONS) + OPERATIONS.index(operation))
        return struct.unpack_from("<q", self.page, at)[0]

    def close(self):
        self.page.close()
        for path in (self.control_path, self.journal_path):
            if path and os.path.exists(path):
                os.unlink(path)
