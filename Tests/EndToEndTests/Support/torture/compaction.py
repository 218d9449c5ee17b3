"""Row 2, while the journal of the index is compacted: the Nth call of the thread that compacts it is letterd's last one."""

import os
import shutil
import signal
import subprocess
import time

import numpy

from rig import PATIENCE, Rig, expect
from truth import Ledger, Tokenizer, check_state

# A journal of more bytes is compacted (JournalCompaction.Settings).
LEAST = 16 << 20
# Long ids, so that few changes fill a journal: about 520 bytes each.
PREFIX = "compaction-" + "x" * 480 + "-"
ITEMS, CHURN = 1_500, 250


class Churn:
    """Items that are deleted and added again, commit by commit."""

    def __init__(self, seed):
        self.seed, self.commits = seed, 0

    def commit(self, rig):
        self.commits += 1
        if self.commits % 2 == 1:
            rig.delete([f"{PREFIX}{row:05}".encode() for row in range(CHURN)])
        else:
            rig.add(CHURN, numpy.random.default_rng(self.seed + self.commits), PREFIX)


def journal_of(rig):
    return os.path.join(rig.generation(), "index.journal")


def sweep(settings, choose, tried, numbers, is_traced):
    with Rig(settings, "churn") as base:
        churn = prepare(base, settings)
        tokenizer, ledger = Tokenizer(), Ledger()
        order = survive_compaction(settings, base, churn, None, 0, is_traced, tokenizer, ledger)
        renames = "?rename,?renameat,?renameat2"
        for call, few, samples in (
            ("fsync", 3, 1), (renames, 1, 1), ("fdatasync", 1, 1), ("write", 3, 0), ("pwrite64", 3, 0),
            ("openat", 3, 0)):
            deaths = most = 0
            for number in numbers(settings, choose, few, samples):
                most = number
                died = survive_compaction(settings, base, churn, call, number, is_traced, tokenizer, ledger)
                deaths += died
                if not died and not settings.short:
                    break
            tried["compaction " + call.split(",")[-1].lstrip("?")] = (deaths, most)
    return " < ".join(order)


def prepare(rig, settings):
    """A state whose journal lacks one commit to be compacted."""
    rig.make_catalog(ITEMS, numpy.random.default_rng(settings.seed), PREFIX)
    rig.start()
    rig.publish_and_build()
    churn = Churn(settings.seed)
    growth = 0
    while (size := os.path.getsize(journal_of(rig))) + growth < LEAST:
        churn.commit(rig)
        rig.caught_up()
        after = os.path.getsize(journal_of(rig))
        expect(after > size, "the journal does not grow")
        # Frames of additions are a little shorter than those of deletions.
        growth = min(growth, after - size) if growth else after - size
    expect(size <= LEAST, "the journal is compacted too early")
    rig.kill(signal.SIGTERM)
    return churn


def survive_compaction(settings, base, churn, call, number, is_traced, tokenizer, ledger):
    """Lets a copy of the state compact its journal, with the Nth call of a kind as the last thing that its thread does.

    Returns whether letterd died; without a call, the steps of the compaction in their order."""
    with Rig(settings, "compact") as rig:
        shutil.copytree(base.catalog, rig.catalog)
        shutil.copytree(base.state, rig.state)
        rig.start()
        rig.caught_up()
        trace = os.path.join(rig.folder, "trace")
        (thread,) = [
            task for task in os.listdir(f"/proc/{rig.process.pid}/task")
            if open(f"/proc/{rig.process.pid}/task/{task}/comm").read().strip().startswith("trie")]
        command = ["strace", "-qq", "-y", "-s", "0", "-o", trace]
        if call is None:
            command += ["-e", "trace=fsync,fdatasync,?rename,?renameat,?renameat2"]
        else:
            command += ["-e", f"trace={call}", "-e", f"inject={call}:signal=KILL:when={number}"]
        rig.others.append(subprocess.Popen(command + ["-p", thread]))
        end = time.monotonic() + PATIENCE
        while not is_traced(f"/proc/{rig.process.pid}/task/{thread}/status"):
            expect(time.monotonic() < end, "strace does not attach to letterd")
            time.sleep(0.005)
        next_commit = Churn(churn.seed)
        next_commit.commits = churn.commits
        next_commit.commit(rig)
        while rig.process.poll() is None and os.path.getsize(journal_of(rig)) > LEAST // 2:
            expect(time.monotonic() < end, "the journal is not compacted")
            time.sleep(0.01)
        # The last call of a compaction comes after the rename that makes the journal short.
        try:
            rig.process.wait(0.3)
            died = True
        except subprocess.TimeoutExpired:
            died = False
            rig.kill()
        rig.start()
        rig.caught_up()
        check_state(rig, rig.dump(), ledger, tokenizer)
        leftover = journal_of(rig) + ".tmp"
        expect(not os.path.exists(leftover), f"{leftover} is still there")
        verified = rig.run_letter("index", "verify")
        expect(verified.returncode == 0, lambda: f"{call} {number}: {verified.stdout} {verified.stderr}")
        rebuild(rig)
        return steps(trace, rig) if call is None else died


def rebuild(rig):
    """The index made again from its journal alone has the same identifiers."""
    before = rig.dump()
    rig.kill(signal.SIGTERM)
    for suffix in ("", "-wal", "-shm"):
        if os.path.exists(rig.index() + suffix):
            os.remove(rig.index() + suffix)
    result = rig.run_letter("index", "rebuild", "--state", rig.state)
    expect(result.returncode == 0, lambda: f"rebuild: {result.stdout} {result.stderr}")
    rig.start()
    rig.caught_up()
    expect(rig.dump() == before, "a rebuild gives other identifiers")


def steps(trace, rig):
    """The syncs and the rename of a compaction: [name] in the order that they happened, which is checked."""
    folder = rig.generation()
    kinds = [
        ("sync of the new journal", ("fsync",), f"<{folder}/index.journal.tmp>"),
        ("COMMIT of its place", ("fdatasync", "fsync"), f"<{folder}/index.sqlite-wal>"),
        ("rename", ("rename", "renameat", "renameat2"), f'{folder}/index.journal"'),
        ("sync of the folder", ("fsync",), f"<{folder}>"),
    ]
    with open(trace, errors="replace") as file:
        lines = [line for line in file if "= 0" in line]

    def places(lines):
        found = []
        for name, calls, what in kinds:
            matching = [
                index for index, line in enumerate(lines) if line.split("(")[0] in calls and what in line]
            expect(matching, lambda: f"no {name}: {lines}")
            found.append(matching[0] if name != "sync of the folder" else matching[-1])
        return found

    order = places(lines)
    expect(order == sorted(order), lambda: f"compacted in the wrong order: {lines}")
    # The negative control: the same calls with the rename first.
    wrong = list(lines)
    wrong.insert(0, wrong.pop(order[2]))
    expect(places(wrong) != sorted(places(wrong)), "the check accepts a wrong order: it proves nothing")
    return [name for name, _, _ in kinds]
