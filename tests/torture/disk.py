"""What a disk may hold after the power went: the journal of faults.cpp, replayed up to a moment and then cut.

The rules are those of POSIX and no kinder: a write may be on the disk from the moment it was made, and must be only when
a sync of its file that began later has ended; without that, each block of it may be there or not, whichever came first,
and the one that was being written may be torn between two sectors. A name is like a write to its directory, and names
of one directory come in order. Nothing of a file is there without its name."""

import os
import struct

BLOCK, SECTOR = 4096, 512
(WRITE, SYNC_BEGUN, SYNC_DONE, CREATE, TRUNCATE, ALLOCATE, RENAME, REMOVE, MKDIR, REPLY_SENT, REPLY_RECEIVED,
 START) = range(1, 13)
_ENTRY = struct.Struct("<IHHQQq")
_MAGIC = 0x54524A46


def read_journal(path):
    """Yields (what, path, inode, offset, octets), in the order in which they were noted."""
    with open(path, "rb") as f:
        data = memoryview(f.read())
    at = 0
    while at + _ENTRY.size <= len(data):
        magic, what, path_octets, octets, inode, offset = _ENTRY.unpack_from(data, at)
        assert magic == _MAGIC, f"the journal is damaged at {at}"
        at += _ENTRY.size
        name = bytes(data[at:at + path_octets]).decode()
        at += path_octets
        yield what, name, inode, offset, bytes(data[at:at + octets])
        at += octets


class Content:
    """Blocks by number, and a size; what is not there is zeros."""

    def __init__(self, blocks=None, size=0):
        self.blocks, self.size = dict(blocks or {}), size

    def write(self, offset, octets):
        self.size = max(self.size, offset + len(octets))
        while octets:
            number, begin = divmod(offset, BLOCK)
            part = octets[:BLOCK - begin]
            old = self.blocks.get(number, bytes(BLOCK))
            self.blocks[number] = old[:begin] + part + old[begin + len(part):]
            offset += len(part)
            octets = octets[len(part):]

    def resize(self, size):
        for number in [n for n in self.blocks if n * BLOCK >= size]:
            del self.blocks[number]
        if size < self.size and size % BLOCK and size // BLOCK in self.blocks:
            kept = self.blocks[size // BLOCK][:size % BLOCK]
            self.blocks[size // BLOCK] = kept + bytes(BLOCK - len(kept))
        self.size = size

    def apply(self, what, offset, octets):
        if what == WRITE:
            self.write(offset, octets)
        elif what == TRUNCATE:
            self.resize(offset)
        else:
            self.size = max(self.size, offset)


class File:
    def __init__(self):
        self.durable, self.pending = Content(), []   # pending: (ordinal, what, offset, octets)

    def sync(self, begun):
        for ordinal, *change in self.pending:
            if ordinal < begun:
                self.durable.apply(*change)
        self.pending = [p for p in self.pending if p[0] >= begun]

    def after_power_loss(self, chance, mode):
        """The content that this file may have now; `mode` says how much of what was not synced is there."""
        content = Content(self.durable.blocks, self.durable.size)
        for index, (_, what, offset, octets) in enumerate(self.pending):
            if mode == "nothing":
                continue
            if what != WRITE or mode == "everything":
                if what == WRITE or mode == "everything" or chance.random() < 0.5:
                    content.apply(what, offset, octets)
                continue
            if mode == "in order" and chance.random() < 1 / (len(self.pending) - index + 1):
                self._some_blocks(content, offset, octets, chance, torn=True, until=chance.random())
                break
            if mode == "in order":
                content.write(offset, octets)
            else:
                self._some_blocks(content, offset, octets, chance, torn=mode == "torn", until=1.0)
        return content

    @staticmethod
    def _some_blocks(content, offset, octets, chance, torn, until):
        """Each block of a write may be there, in any order; a torn one has some of its sectors."""
        end = offset + len(octets)
        limit = offset + int(len(octets) * until)
        at = offset
        unit = SECTOR if torn else BLOCK
        while at < min(end, limit):
            stop = min((at // unit + 1) * unit, end)
            if until < 1.0 or chance.random() < 0.5:
                content.write(at, octets[at - offset:stop - offset])
            at = stop


class Disk:
    MODES = ("nothing", "everything", "in order", "any blocks", "torn")

    def __init__(self, base):
        self.base = base
        self.live, self.durable, self.pending = {}, {}, {}   # path: File or None (a directory); pending per directory
        self.files = {}                                      # inode: File
        self.started = 0                                     # the ordinal at which the process began

    def replay(self, ordinal, what, path, inode, offset, octets):
        if what in (WRITE, TRUNCATE, ALLOCATE):
            if inode in self.files:
                self.files[inode].pending.append((ordinal, what, offset, octets))
        elif what == START:
            self.started = ordinal
        elif what == SYNC_DONE:
            offset += self.started
            if path in self.live and self.live[path] is None or path == self.base:
                for done in [p for p in self.pending.get(path, []) if p[0] < offset]:
                    self._name(self.durable, done)
                self.pending[path] = [p for p in self.pending.get(path, []) if p[0] >= offset]
            elif inode in self.files:
                self.files[inode].sync(offset)
        elif what in (CREATE, MKDIR):
            file = None
            if what == CREATE:
                file = self.files[inode] = File()
            self._change(ordinal, os.path.dirname(path), [(path, file)], [])
        elif what == REMOVE:
            self._change(ordinal, os.path.dirname(path), [], [path])
        elif what == RENAME:
            source, target = path.split("\0")
            if source in self.live:
                self._change(ordinal, os.path.dirname(target), [(target, self.live[source])], [source])

    def _change(self, ordinal, directory, made, gone):
        change = (ordinal, made, gone)
        self._name(self.live, change)
        self.pending.setdefault(directory, []).append(change)

    @staticmethod
    def _name(names, change):
        for path in change[2]:
            names.pop(path, None)
        for path, file in change[1]:
            names[path] = file

    def after_power_loss(self, chance, mode, target):
        """Writes one of the states that the disk may be in to the directory `target`."""
        names = dict(self.durable)
        for changes in self.pending.values():
            count = {"nothing": 0, "everything": len(changes)}.get(mode, chance.randint(0, len(changes)))
            for change in changes[:count]:
                self._name(names, change)
        for path in sorted(names):
            parents = []
            above = os.path.dirname(path)
            while above != self.base:
                parents.append(above)
                above = os.path.dirname(above)
            if any(p not in names for p in parents):
                continue   # its directory is not there
            to = target + path[len(self.base):]
            if names[path] is None:
                os.makedirs(to, exist_ok=True)
                continue
            content = names[path].after_power_loss(chance, mode)
            with open(to, "wb") as f:
                f.truncate(content.size)
                for number, block in content.blocks.items():
                    f.seek(number * BLOCK)
                    f.write(block[:max(0, content.size - number * BLOCK)])
