"""Rows 9 and 10: SQLite files that are damaged, from a later version, or somebody else's."""

import hashlib
import os
import random
import shutil
import sqlite3

import numpy

from rig import Failed, Rig, expect, id_text
from truth import index_problems, read_catalog

# Row 10 --------------------------------------------------------------------------------------------------------------


def foreign_files(settings):
    """A file of a later version or of another application is refused and not touched."""
    with Rig(settings, "foreign") as rig:
        rig.make_catalog(60, numpy.random.default_rng(settings.seed))
        rig.start()
        rig.publish_and_build()
        dump = rig.dump()
        expect(rig.kill(15) == 0, "letterd does not end in order")
        original = os.path.join(rig.folder, "original")
        shutil.copytree(rig.state, original)
        cases = [("user_version", 99, "store.newer"), ("application_id", 0x1234, "store.foreign")]
        tried = 0
        for path in ("letterd.sqlite", "generations/000001/index.sqlite"):
            for pragma, value, code in cases:
                shutil.rmtree(rig.state)
                shutil.copytree(original, rig.state)
                file = os.path.join(rig.state, path)
                connection = sqlite3.connect(file, isolation_level=None)
                connection.execute(f"PRAGMA {pragma} = {value}")
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                connection.close()
                before = digest(file)
                tried += 1
                if path == "letterd.sqlite":
                    rig.launch()
                    status = rig.end()
                    expect(status == 69, f"{path} with {pragma} {value}: letterd ended with {status}")
                    expect(code in rig.log_text(), f"{path} with {pragma} {value}: {code} is not said")
                else:
                    rig.start()
                    problems = rig.problems()
                    expect(code in problems, lambda: f"{path} with {pragma} {value}: the status says {problems}")
                    expect(problems[code]["remedy"], "no remedy")
                    refused, answer = rig.ask("GET", "/v1/dump", failures=True)
                    expect(refused == 503, lambda: f"it answers from a file that is not its own: {refused} {answer}")
                    expect(rig.kill(15) == 0, "letterd does not end in order")
                expect(digest(file) == before, f"{path} with {pragma} {value} was changed")
                expect(not os.path.exists(file + "-wal") or os.path.getsize(file + "-wal") == 0, f"{path} has a log")
        # The negative control: as it was, the same folder is served.
        shutil.rmtree(rig.state)
        shutil.copytree(original, rig.state)
        rig.start()
        rig.caught_up()
        expect(rig.dump() == dump, "the untouched folder is not served")
        return f"{tried} files refused with their code and remedy, SHA-256 unchanged"


def digest(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


# Row 9 ---------------------------------------------------------------------------------------------------------------


def mutations(settings):
    """Bytes flipped, pages overwritten, files cut: the right answers, or a refusal that says what to do."""
    choose = random.Random(settings.seed)
    counts = {}
    unseen = []
    with Rig(settings, "damage") as rig:
        rig.make_catalog(120, numpy.random.default_rng(settings.seed))
        rig.start()
        rig.publish_and_build()
        rig.add(20, numpy.random.default_rng(settings.seed + 1), "late-")
        rig.delete([b"item-00003", b"item-00017"])
        rig.caught_up()
        truth = answers(rig)
        # Moved into the files, so that they and not the logs are what is read; then it dies with the mark of a process
        # that did not end in order.
        expect(rig.kill(15) == 0, "letterd does not end in order")
        rig.start()
        rig.caught_up()
        rig.kill()
        original = os.path.join(rig.folder, "original")
        shutil.copytree(rig.state, original)
        # What letterd keeps beside an index, but for its logs: what is cut off a log was never committed.
        beside = [
            os.path.join("generations/000001", name) for name in sorted(os.listdir(rig.generation()))
            if name.startswith("index.") and name != "index.sqlite" and not name.endswith(("-wal", "-shm"))
            and os.path.getsize(os.path.join(rig.generation(), name)) > 0]
        total = settings.pick(30, 1_000)
        for number in range(total):
            if settings.time_is_up():
                break
            shutil.rmtree(rig.state)
            shutil.copytree(original, rig.state)
            name = choose.choice(["generations/000001/index.sqlite"] * 4 + ["letterd.sqlite"] * 2 + beside)
            what = f"{os.path.basename(name)}, {mutate(os.path.join(rig.state, name), choose)}"
            # Nothing else may lead to a wrong answer, whatever is in it.
            visible = can_be_told(os.path.join(rig.state, name)) if name.endswith("index.sqlite") else ["all is"]
            outcome = serve(rig, truth, what, name)
            if outcome == "wrong":
                expect(not visible, lambda: f"{what}: wrong answers without a word; {visible[:2]}")
                outcome = "wrong where no check can tell"
                unseen.append(what)
            key = f"{os.path.basename(name)} {outcome}"
            counts[key] = counts.get(key, 0) + 1
        detected = sum(count for key, count in counts.items() if "refused" in key)
        expect(detected > 0, "nothing was ever detected: the mutations do nothing")
        told = ", ".join(f"{key} {count}" for key, count in sorted(counts.items()))
        return f"{sum(counts.values())} mutations: {told}" + (f"; unseen: {unseen[:5]}" if unseen else "")


def mutate(path, choose):
    """Damages a file; says how."""
    size = os.path.getsize(path)
    kind = choose.choice(["flip", "flip", "flips", "zero page", "copy page", "noise", "truncate"])
    with open(path, "r+b") as file:
        if kind in ("flip", "flips"):
            for _ in range(1 if kind == "flip" else choose.randint(2, 30)):
                at = choose.randrange(size)
                file.seek(at)
                (byte,) = file.read(1)
                file.seek(at)
                file.write(bytes([byte ^ 1 << choose.randrange(8)]))
            return f"{kind} at {at}"
        at = choose.randrange(-(-size // 4096)) * 4096
        if kind == "truncate":
            at = min(size - 1, at + choose.choice([0, 0, choose.randrange(4096)]))
            file.truncate(at)
        elif kind == "copy page":
            file.seek(choose.randrange(-(-size // 4096)) * 4096)
            page = file.read(4096)
            file.seek(at)
            file.write(page)
        else:
            file.seek(at)
            file.write(bytes(4096) if kind == "zero page" else choose.randbytes(choose.randint(1, 4096)))
    return f"{kind} at {at}"


def can_be_told(path):
    """What SQLite's own check, or tables compared with each other, can tell of a copy of the file."""
    copy = path + ".copy"
    for suffix in ("", "-wal"):
        if os.path.exists(path + suffix):
            shutil.copy(path + suffix, copy + suffix)
    try:
        return index_problems(copy)
    finally:
        for suffix in ("", "-wal", "-shm"):
            if os.path.exists(copy + suffix):
                os.remove(copy + suffix)


def serve(rig, truth, what, name):
    """How letterd takes it: right, refused, repaired by itself; "wrong" if it answers wrongly without a word."""
    log = os.path.getsize(rig.log)
    rig.launch()
    try:
        rig.until("it answers", lambda status: status["caught_up"] or status["problems"])
    except Failed:
        code = rig.process.poll()
        expect(code is not None, lambda: f"{what}: it neither answers nor ends")
        expect(code > 0, f"{what}: letterd ended with {code}")
        with open(rig.log, errors="replace") as file:
            file.seek(log)
            said = file.read()
        expect("store." in said or "generations." in said, lambda: f"{what}: ended with {code} and said {said[-300:]}")
        return "refused at the start"
    try:
        found = answers(rig)
        problems = rig.problems()
        expect(rig.process.poll() is None, f"{what}: letterd ended with {rig.process.poll()} while it answered")
    finally:
        rig.kill()
    if found == truth:
        return "right"
    if problems:
        expect(all(problem["remedy"] for problem in problems.values()), lambda: f"{what}: no remedy in {problems}")
        return "refused"
    return "wrong"


def answers(rig):
    """Everything letterd says of items, identifiers and the trie; refusals are told apart from answers."""
    catalog = sorted(read_ids(rig))
    status, items = rig.ask("POST", "/v1/items/lookup", {"ids": [id_text(key) for key in catalog]}, failures=True)
    if status != 200:
        return ("refused", status)
    codes = {entry["item"]: entry["codes"] and tuple(entry["codes"]) for entry in items["items"]}
    wanted = [list(entry) for entry in codes.values() if entry]
    status, found = rig.ask("POST", "/v1/identifiers/lookup", {"identifiers": wanted}, failures=True)
    owners = status == 200 and {tuple(entry["codes"]): entry["items"] for entry in found["identifiers"]}
    prefixes = sorted({tuple(entry[:depth]) for entry in wanted for depth in range(5)})
    status, found = rig.ask("POST", "/v1/trie/next", {"prefixes": [list(p) for p in prefixes]}, failures=True)
    trie = status == 200 and {tuple(entry["prefix"]): (entry["next"], entry["items"]) for entry in found["answers"]}
    return codes, owners, trie, rig.dump()


def read_ids(rig):
    return [item for item, vector in read_catalog(rig.catalog).items() if vector is not None]
