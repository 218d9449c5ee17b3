"""Rows 1 and 3: letterd and writers are killed at random times, again and again."""

import os
import random
import subprocess
import sys
import time

import numpy

from rig import PATIENCE, Rig, expect
from truth import Ledger, Tokenizer, check_state, prove_checks

WRITER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "writer.py")


class Writers:
    """Writers of a rig, by prefix; killed and started again, paused for a comparison."""

    def __init__(self, rig, seed):
        self.rig, self.seed, self.processes, self.kinds = rig, seed, {}, {}
        self.pause_file = os.path.join(rig.folder, "pause")
        self.pauses = 0

    def start(self, prefix, *options):
        self.seed += 1
        self.kinds[prefix] = options
        process = subprocess.Popen(
            [sys.executable, WRITER, self.rig.catalog, "--seed", str(self.seed), "--prefix", prefix, "--pause",
             self.pause_file, *options], stdin=subprocess.DEVNULL)
        self.processes[prefix] = process
        self.rig.others.append(process)
        return process

    def kill(self, prefix):
        self.processes[prefix].kill()
        self.processes[prefix].wait()

    def kill_and_start(self, prefix):
        self.kill(prefix)
        self.start(prefix, *self.kinds[prefix])

    def pause(self):
        self.pauses += 1
        with open(self.pause_file + ".new", "w") as file:
            file.write(str(self.pauses))
        os.rename(file.name, self.pause_file)
        end = time.monotonic() + PATIENCE
        for prefix, process in self.processes.items():
            while not os.path.exists(f"{self.pause_file}.{prefix}.{self.pauses}"):
                expect(process.poll() is None, f"the writer {prefix} died by itself")
                expect(time.monotonic() < end, f"the writer {prefix} does not pause")
                time.sleep(0.005)

    def resume(self):
        os.remove(self.pause_file)

    def commits(self):
        total = 0
        for prefix in self.processes:
            path = f"{self.pause_file}.count.{prefix}"
            if os.path.exists(path):
                with open(path) as file:
                    total += sum(1 for _ in file)
        return total


def kill_loop(settings):
    """Kills letterd and now and then a writer; compares with the oracle whenever the writers pause."""
    kills, every = settings.kills or settings.pick(12, 200), settings.pick(6, 10)
    choose = random.Random(settings.seed)
    tokenizer, ledger = Tokenizer(), Ledger()
    with Rig(settings, "kill") as rig:
        rig.make_catalog(settings.pick(600, 2_000), numpy.random.default_rng(settings.seed))
        writers = Writers(rig, settings.seed * 1_000)
        for prefix, *options in [("plain-",), ("other-",)] + cooperating_writers():
            writers.start(prefix, *options)
        rig.start()
        # Published while they write; the first kills fall into the build, if it is slow enough.
        status, said = rig.publish()
        expect(status == 0, lambda: f"publish: {status} {said}")
        done = full = incremental = compared = writer_kills = dumps = 0
        while done < kills and not settings.time_is_up():
            moment = choose.choice(["start", "start", "work", "work", "dump"]) if done % 5 != 4 else "dump"
            if moment == "start":
                time.sleep(10 ** choose.uniform(-2.5, -0.1))
            else:
                rig.until_answers()
                time.sleep(10 ** choose.uniform(-2.5, -0.5))
            if moment == "dump":
                ledger.observe(rig.dump())
                dumps += 1
            counters = rig.try_status() if moment != "start" else None
            if counters:
                full += counters["catalog"]["full_scans"]
                incremental += counters["catalog"]["incremental_batches"]
            if choose.random() < 0.25:
                writers.kill_and_start(choose.choice(sorted(writers.processes)))
                writer_kills += 1
            code = rig.kill()
            expect(code == -9, lambda: f"letterd ended with {code} before it was killed")
            done += 1
            if done % every == 0 or done == kills:
                writers.pause()
                rig.start()
                rig.caught_up()
                compared += check_state(rig, rig.dump(), ledger, tokenizer)
                writers.resume()
            else:
                rig.launch()
        expect(dumps > 0 or done < 5, "no dump was read between the kills")
        writers.pause()
        rig.until_answers()
        rig.caught_up()
        compared += check_state(rig, rig.dump(), ledger, tokenizer)
        prove_checks(rig, rig.dump(), ledger, tokenizer)
        code = rig.kill(15)
        expect(code == 0, lambda: f"letterd ended with {code} after SIGTERM")
        return (
            f"{done} kills of letterd and {writer_kills} of writers over {writers.commits():,} transactions "
            f"({', '.join(sorted(writers.processes))}); seen on the way: {full} full and {incremental} incremental "
            f"batches; {ledger.answers:,} answers agree, {compared:,} natural codes equal the oracle's")


def cooperating_writers():
    """The writer that keeps the change log, where its module is there."""
    try:
        import cooperating
    except ImportError:
        return []
    return [("logged-", "--cooperating")] if cooperating.AVAILABLE else []


def killed_writer(settings):
    """A writer dies with its transaction open: letterd answers what was committed, and nothing else."""
    rounds = settings.pick(4, 60)
    choose = random.Random(settings.seed)
    with Rig(settings, "writer") as rig:
        rig.make_catalog(300, numpy.random.default_rng(settings.seed))
        rig.start()
        rig.publish_and_build()
        writers = Writers(rig, settings.seed * 1_000)
        full = writers.pause_file + ".full"
        ledger, tokenizer = Ledger(), Tokenizer()

        def doomed(prefix, *options):
            writers.start(prefix, "--doomed", *options)
            while not os.path.exists(full):
                expect(writers.processes[prefix].poll() is None, "the writer died by itself")
                time.sleep(0.005)
            os.remove(full)
            time.sleep(choose.uniform(0, 0.05))
            writers.kill(prefix)
            del writers.processes[prefix]

        for number in range(rounds):
            if settings.time_is_up():
                break
            doomed(f"doomed{number}-")
            # The next writer goes on where the dead one held the lock.
            rig.add(5, numpy.random.default_rng(settings.seed + number), f"kept{number}-")
            rig.caught_up()
            dump = rig.dump()
            expect(not any(item.startswith(b"doomed") for item in dump), "an item that was never committed is answered")
            expect(f"kept{number}-00004".encode() in dump, "a committed item is not answered")
            check_state(rig, dump, ledger, tokenizer)
        # The negative control: the same writer, had it committed, is seen.
        doomed("doomedcommitted-", "--commit")
        rig.caught_up()
        expect(b"doomedcommitted-0000" in rig.dump(), "the check cannot see a commit: it proves nothing")
        return f"{number + 1} writers killed with 300 items uncommitted, none seen; committed, all are seen"
