"""Row 4: power losses. power_shim.c writes down what letterd does to its files and what it syncs; here the folder is made
again as a power loss at any moment may leave it, and judged with Python's SQLite and by letterd itself.

The model is stricter than any one file system: what was written to a file is on the disk for certain only after an fsync
of that file, and until then any part of it may be, in 512-byte sectors, in any order; a name is there for certain only
after an fsync of its directory, and until then it may be missing, though not before an older change of the same
directory. A rename happens whole or not at all.
"""

import os
import random
import shutil
import sqlite3
import struct
import subprocess

import numpy

from rig import Failed, Rig, Skipped, expect
from truth import Ledger, Tokenizer, check_generation_folders, check_state, codes_of, index_problems, open_sqlite

HERE = os.path.dirname(os.path.abspath(__file__))
SECTOR = 512
HEAD = struct.Struct("<cQQI")


class File:
    def __init__(self):
        self.durable, self.pending = bytearray(), []

    def image(self, choose, keep):
        """Its bytes with some of what is pending: keep(choose) says of each sector whether it got there."""
        data = bytearray(self.durable)
        for offset, piece in self.pending:
            if piece is None:
                if keep(choose):
                    resize(data, offset)
                continue
            start = 0
            while start < len(piece):
                end = start + SECTOR - (offset + start) % SECTOR
                if keep(choose):
                    put(data, offset + start, piece[start:end])
                start = end
        return data


class Folder:
    def __init__(self):
        self.current, self.durable = {}, {}


def resize(data, size):
    if size < len(data):
        del data[size:]
    else:
        data.extend(bytes(size - len(data)))


def put(data, offset, piece):
    if offset > len(data):
        resize(data, offset)
    data[offset:offset + len(piece)] = piece


class Disk:
    """The folder as the process sees it, as it is on the disk, and what lies between."""

    def __init__(self, root, file_syncs=True, folder_syncs=True):
        self.root, self.top = root, Folder()
        self.files, self.pending = {}, []
        self.file_syncs, self.folder_syncs = file_syncs, folder_syncs

    def place(self, path):
        """The folder that a path is in, and its name there."""
        folder = self.top
        *above, name = os.path.relpath(path, self.root).split("/")
        for part in above:
            folder = folder.current[part]
        return folder, name

    def apply(self, kind, inode, offset, data):
        if kind in b"wt":
            self.files[inode].pending.append((offset, data if kind == b"w" else None))
        elif kind == b"s":
            self.sync(inode, data.decode())
        else:
            paths = data.decode().split("\0")
            places = [self.place(path) for path in paths]
            (folder, name) = places[0]
            if kind == b"c":
                self.files[inode] = node = File()
                change = [(folder, name, node)]
            elif kind == b"m":
                change = [(folder, name, Folder())]
            elif kind == b"r":
                change = [(folder, name, None), (*places[1], folder.current[name])]
            else:
                change = [(folder, name, None)]
            self.enter(change, lambda folder: folder.current)
            self.pending.append(change)

    @staticmethod
    def enter(change, entries):
        for folder, name, node in change:
            if node is None:
                entries(folder).pop(name, None)
            else:
                entries(folder)[name] = node

    def sync(self, inode, path):
        node = self.top
        for part in os.path.relpath(path, self.root).split("/") if path != self.root else []:
            node = node.current.get(part) if isinstance(node, Folder) else None
        if isinstance(node, Folder):
            if self.folder_syncs:
                self.sync_folder(node)
        elif self.file_syncs:
            file = self.files[inode]
            file.durable = file.image(None, lambda _: True)
            file.pending = []

    def sync_folder(self, node):
        """What changed its names is on the disk, with what that rests on."""
        wanted, chosen = {node}, []
        for change in reversed(self.pending):
            if any(folder in wanted for folder, _, _ in change):
                wanted.update(folder for folder, _, _ in change)
                chosen.append(change)
        for change in reversed(chosen):
            self.enter(change, lambda folder: folder.durable)
        self.pending = [change for change in self.pending if not any(change is other for other in chosen)]

    def write_image(self, target, choose, keep):
        """Makes the folder as a power loss now may leave it."""
        entries, cut = {}, set()

        def of(folder):
            return entries.setdefault(folder, dict(folder.durable))

        for change in self.pending:
            folders = {folder for folder, _, _ in change}
            if folders & cut or not keep(choose):
                cut |= folders
            else:
                self.enter(change, of)

        def make(folder, path):
            os.mkdir(path)
            for name, node in of(folder).items():
                if isinstance(node, Folder):
                    make(node, os.path.join(path, name))
                else:
                    with open(os.path.join(path, name), "wb") as file:
                        file.write(node.image(choose, keep))

        make(self.top, target)


KEEP = {
    "nothing": lambda _: False,
    "everything": lambda _: True,
    "half": lambda choose: choose.random() < 0.5,
    "most": lambda choose: choose.random() < 0.9,
    "little": lambda choose: choose.random() < 0.1,
}


def power_loss(settings):
    compiler = next((name for name in ("clang", "gcc", "cc") if shutil.which(name)), None)
    if compiler is None:
        raise Skipped("no C compiler")
    with Rig(settings, "power") as rig:
        shim = os.path.join(rig.folder, "shim.so")
        subprocess.run(
            [compiler, "-O1", "-fPIC", "-shared", "-o", shim, os.path.join(HERE, "power_shim.c"), "-ldl"], check=True)
        records, marks = record(settings, rig, shim)
        judge = Judge(rig, marks)
        choose = random.Random(settings.seed)
        images, started = judge_all(settings, rig, records, judge, choose)
        refusals = []
        for name, options in (
            ("files", {"file_syncs": False}), ("folders", {"folder_syncs": False})):
            refusals.append(control(settings, rig, records, judge, choose, name, options))
        return (
            f"{images} images of {len(records)} operations, in {len(marks)} answered states; {started} of them taken up "
            f"by letterd; controls: {'; '.join(refusals)}")


def record(settings, rig, shim):
    """A life of a daemon on record, and what it had answered when: [(operations by then, {item: codes})]."""
    os.mkdir(os.path.join(rig.folder, "disk"))
    rig.state = os.path.join(rig.folder, "disk", "state")
    journal = os.path.join(rig.folder, "journal")
    environment = {
        "LD_PRELOAD": shim, "POWER_FOLDER": os.path.dirname(rig.state), "POWER_JOURNAL": journal}
    generator = numpy.random.default_rng(settings.seed)
    rig.make_catalog(150, generator)
    marks = []

    def answered():
        rig.caught_up()
        dump = rig.dump()
        marks.append((os.path.getsize(journal), dump))

    for life in range(settings.pick(2, 4)):
        rig.start(environment=environment)
        if life == 0:
            status, said = rig.publish()
            expect(status == 0, lambda: f"publish: {said}")
        answered()
        for step in range(settings.pick(2, 5)):
            rig.add(12, generator, f"life{life}{step}-")
            answered()
            rig.delete([f"item-{100 + 10 * life + step:05}".encode()])
            answered()
        # An orderly end moves the log into the file; the other end leaves it.
        rig.kill(15 if life % 2 == 0 else 9)
    records, ends = read_journal(journal)
    return records, [(sum(end <= size for end in ends), dump) for size, dump in marks]


def read_journal(path):
    records, ends = [], []
    with open(path, "rb") as file:
        while head := file.read(HEAD.size):
            kind, inode, offset, length = HEAD.unpack(head)
            records.append((kind, inode, offset, file.read(length)))
            ends.append(file.tell())
    kinds = {kind for kind, *_ in records}
    expect(kinds >= set(map(bytes, zip(b"cwsrm"))), lambda: f"the shim saw only {kinds}: was it loaded?")
    return records, ends


class Judge:
    """Whether an image is one of the states that were ever answered, and not older than what was answered last."""

    def __init__(self, rig, marks):
        self.rig, self.marks = rig, marks

    def judge(self, state, position):
        answered = [number for number, (at, _) in enumerate(self.marks) if at <= position]
        last = answered[-1] if answered else None
        stages = check_generation_folders(state)
        if last is None:
            expect(set(stages.values()) <= {"building", "candidate", "active"}, lambda: f"stages {stages}")
        else:
            expect(stages == {1: "active"}, lambda: f"answered from generation 1 before; now there is {stages}")
        index = os.path.join(state, "generations", "000001", "index.sqlite")
        if not os.path.exists(index) or 1 not in stages:
            expect(last is None, "the index that answered is gone")
            return
        found = codes_in(index)
        legal = [dump for _, dump in self.marks[last or 0:]] + ([{}] if last is None else [])
        expect(found in legal, lambda: self.difference(found, last))
        problems = index_problems(index) if found else []
        expect(not problems, lambda: f"index.sqlite: {problems[:3]}")

    def difference(self, found, last):
        if last is None:
            return f"a mixture: {len(found)} items"
        dump = self.marks[last][1]
        lost = sum(found.get(item) != codes for item, codes in dump.items())
        return f"{lost} of {len(dump)} answered identifiers are lost or others, and it is no later state either"


def codes_in(path):
    """{item: codes} of an index; {} if its making was interrupted before it held anything."""
    connection = open_sqlite(path)
    try:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
        if b"item" not in tables:
            return {}
        rows = connection.execute("SELECT id, codes FROM item WHERE codes IS NOT NULL")
        return {item: codes_of(codes) for item, codes in rows}
    except sqlite3.DatabaseError as error:
        raise Failed(f"index.sqlite: {error}")
    finally:
        connection.close()


def images(settings, rig, records, choose, share, **options):
    """Images of power losses at chosen moments, as (position, mode, folder); the folder is gone after the turn."""
    disk = Disk(os.path.join(rig.folder, "disk"), **options)
    target = os.path.join(rig.folder, "image")
    for position, entry in enumerate(records, 1):
        disk.apply(*entry)
        for mode, keep in KEEP.items():
            if choose.random() >= share or settings.time_is_up():
                continue
            disk.write_image(target, choose, keep)
            yield position, mode, target
            shutil.rmtree(target)


def judge_all(settings, rig, records, judge, choose):
    share = min(1.0, settings.pick(250, 20_000) / (len(records) * len(KEEP)))
    count, kept, every = 0, [], settings.pick(60, 400)
    for position, mode, folder in images(settings, rig, records, choose, share):
        count += 1
        # The making of the registry is the more delicate time.
        if count % every == 0 or (position < len(records) // 8 and count % (every // 5) == 0):
            # Before Python's SQLite recovers it: letterd is to do that itself.
            kept.append((position, mode, os.path.join(rig.folder, f"kept{count}")))
            shutil.copytree(folder, kept[-1][2])
        try:
            judge.judge(os.path.join(folder, "state"), position)
        except Failed as error:
            raise Failed(f"power loss after operation {position} of {len(records)}, {mode} kept: {error}")
    tokenizer = Tokenizer()
    for position, mode, folder in kept:
        rig.state = os.path.join(folder, "state")
        ledger = Ledger()
        for at, dump in judge.marks:
            if at <= position:
                ledger.observe(dump)
        rig.start()
        if rig.status()["state"] in ("waiting_for_generation", "starting"):
            if not rig.ask("GET", "/v1/generations")["generations"]:
                status, said = rig.publish()
                expect(status == 0, lambda: f"publish: {said}")
        rig.caught_up()
        check_state(rig, rig.dump(), ledger, tokenizer)
        rig.kill()
    return count, len(kept)


def control(settings, rig, records, judge, choose, name, options):
    """Were these syncs worth nothing, the same judgement would have to fail."""
    share = min(1.0, 400 / (len(records) * len(KEEP)))
    for position, mode, folder in images(settings, rig, records, choose, share, **options):
        try:
            judge.judge(os.path.join(folder, "state"), position)
        except Failed as error:
            shutil.rmtree(folder)
            return f"without syncs of {name}: {error}"
    raise Failed(f"without syncs of {name} the judgement holds too: it proves nothing")
