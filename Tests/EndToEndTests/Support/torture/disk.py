"""Rows 6 and 7: a disk that is full, a file that may not grow. letterd pauses, says so, answers, and goes on by itself."""

import os
import random
import resource
import shutil
import subprocess
import time

import numpy

from rig import Rig, Skipped, expect
from truth import Ledger, Tokenizer, check_state

MOUNT = 'mount -t tmpfs -o size=$1 letter "$2" && shift 2 && exec "$@"'


def need_mount(folder):
    if shutil.which("unshare") is None:
        raise Skipped("unshare is not installed")
    probe = subprocess.run(
        ["unshare", "-rm", "sh", "-c", MOUNT, "sh", "1m", folder, "true"], capture_output=True, text=True)
    if probe.returncode != 0:
        raise Skipped(f"no file system may be mounted here: {probe.stderr.strip()}")


def fill(path, leave):
    """Takes the space of a file system but for `leave` bytes. Returns the ballast's path."""
    ballast = os.path.join(path, "ballast")
    with open(ballast, "wb", buffering=0) as file:
        try:
            while file.write(bytes(1 << 16)) == 1 << 16:
                pass
            while file.write(bytes(1 << 12)):
                pass
        except OSError as error:
            expect(error.errno == 28, f"the disk is not full but: {error}")
        else:
            expect(False, "the disk never fills")
        os.ftruncate(file.fileno(), max(0, os.fstat(file.fileno()).st_size - leave))
    return ballast


def disk_full(settings):
    """The state is on a small tmpfs of its own, which is filled and emptied again."""
    choose = random.Random(settings.seed)
    with Rig(settings, "full") as rig:
        os.mkdir(rig.state)
        need_mount(rig.state)
        rig.make_catalog(60, numpy.random.default_rng(settings.seed))
        rig.start(wrapper=["unshare", "-rm", "sh", "-c", MOUNT, "sh", settings.pick("4m", "24m"), rig.state])
        # The mount is seen through the process that has it.
        rig.state = f"/proc/{rig.process.pid}/root{rig.state}"
        rig.publish_and_build()
        ledger, tokenizer = Ledger(), Tokenizer()
        check_state(rig, rig.dump(), ledger, tokenizer)
        rounds = settings.pick(2, 25)
        for number in range(rounds):
            if settings.time_is_up():
                break
            before = rig.dump()
            pid = rig.status()["pid"]
            # What is left sometimes takes the beginning of a transaction, never all of it.
            ballast = fill(rig.state, choose.choice([0, 4_096, 20_000, 60_000]))
            # New items the first time, then new vectors of the same ones, lest the small disk be too small for good.
            rig.add(300, numpy.random.default_rng(settings.seed + number), "full-")
            status = rig.until_problem()
            if status is None:
                os.remove(ballast)
                expect(number > 0, "300 new items were stored on a full disk: the test proves nothing")
                continue
            problem = status["problems"][0]
            expect(problem["code"] == "store.disk_full", lambda: f"the status says {problem}")
            expect("space" in problem["remedy"] and status["state"] == "degraded", lambda: f"{status}")
            expect(rig.dump() == before, "other answers while the disk is full")
            if number == 0:
                code, said = rig.publish()
                expect(code != 0 and "disk_full" in said, lambda: f"publishing on a full disk: {code} {said}")
            os.remove(ballast)
            status = rig.until("work goes on", lambda status: status["caught_up"] and not status["problems"])
            expect(status["pid"] == pid, "letterd was started again")
            check_state(rig, rig.dump(), ledger, tokenizer)
        generations = rig.ask("GET", "/v1/generations")["generations"]
        expect(len(generations) == 1, lambda: f"the refused publication left {generations}")
        code = rig.kill(15)
        expect(code == 0, f"letterd ended with {code}")
        return f"{number + 1} times: assignments pause, store.disk_full in the status, answers go on, work resumes by itself"


def file_size_limit(settings):
    """RLIMIT_FSIZE under letterd: no death by SIGXFSZ, a problem in the status, and it goes on when the limit is raised."""
    with Rig(settings, "limit") as rig:
        rig.make_catalog(60, numpy.random.default_rng(settings.seed))
        rig.start()
        rig.publish_and_build()
        ledger, tokenizer = Ledger(), Tokenizer()
        before = rig.dump()
        check_state(rig, before, ledger, tokenizer)
        expect(rig.kill(15) == 0, "letterd does not end in order")
        rounds = settings.pick([60_000], [40_000, 50_000, 60_000, 80_000, 100_000, 150_000])
        for number, limit in enumerate(rounds):
            rig.start(limit=limit)
            pid = rig.process.pid
            before = rig.dump()
            rig.add(400, numpy.random.default_rng(settings.seed + number), f"limit{number}-")
            status = rig.until_problem()
            expect(status is not None, "the limit was never met: the test proves nothing")
            problem = status["problems"][0]
            expect(problem["code"] == "store.write_failed", lambda: f"the status says {problem}")
            expect(rig.dump() == before, "other answers at the limit")
            time.sleep(settings.pick(0.3, 2))
            expect(rig.process.poll() is None, "letterd ended at the limit")
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            rig.until("work goes on", lambda status: status["caught_up"] and not status["problems"])
            check_state(rig, rig.dump(), ledger, tokenizer)
            expect(rig.kill(15) == 0, "letterd does not end in order")
        return f"limits of {', '.join(map(str, rounds))} bytes met: told in the status, alive, and on when raised"
