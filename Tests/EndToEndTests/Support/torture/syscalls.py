"""Rows 2, 5 and 8: what happens at, and in which order, are single system calls; by strace."""

import os
import random
import re
import shutil
import subprocess
import time

import numpy

import compaction
from rig import PATIENCE, Failed, Rig, Skipped, expect
from truth import Ledger, Tokenizer, check_generation_folders, check_index, check_state


def need_strace():
    if shutil.which("strace") is None:
        raise Skipped("strace is not installed")
    probe = subprocess.run(["strace", "-qq", "-o", "/dev/null", "true"], capture_output=True, text=True)
    if probe.returncode != 0:
        raise Skipped(f"strace may not trace here: {probe.stderr.strip()}")


def strace(log, *expressions):
    command = ["strace", "-f", "-qq", "-y", "-s", "0", "-o", log]
    for expression in expressions:
        command += ["-e", expression]
    return command + ["--"]


class Calls:
    """The finished calls of a trace in the order they ended: (pid, name, arguments, result)."""

    LINE = re.compile(r"^(\d+) +(\w+)\((.*)\) += (.*)$")
    BEGUN = re.compile(r"^(\d+) +(\w+)\((.*) <unfinished \.\.\.>$")
    ENDED = re.compile(r"^(\d+) +<\.\.\. (\w+) resumed>(.*)\) += (.*)$")

    def __init__(self, path):
        self.all, begun = [], {}
        with open(path, errors="replace") as file:
            for line in file:
                line = line.rstrip("\n")
                if match := self.BEGUN.match(line):
                    begun[match[1]] = match[3]
                elif match := self.ENDED.match(line):
                    self.all.append((match[1], match[2], begun.pop(match[1], "") + match[3], match[4]))
                elif match := self.LINE.match(line):
                    self.all.append(match.groups())


# Row 2 ---------------------------------------------------------------------------------------------------------------


def kill_sweep(settings):
    """For every N the Nth call of each kind is the last thing letterd does; then it is started again."""
    need_strace()
    tried = {}
    choose = random.Random(settings.seed)
    for scenario in (sweep_publish, sweep_ingest):
        scenario(settings, choose, tried)
    deaths = sum(count for count, _ in tried.values())
    expect(deaths >= settings.pick(8, 60), f"only {deaths} of the calls killed letterd: {tried}")
    order = compaction.sweep(settings, choose, tried, numbers, is_traced)
    compacting = sum(count for count, _ in tried.values()) - deaths
    expect(compacting >= settings.pick(2, 10), f"only {compacting} deaths while the journal is compacted: {tried}")
    reported = ", ".join(f"{what} {count} of {most}" for what, (count, most) in sorted(tried.items()))
    return (
        f"{deaths + compacting} deaths, consistent after each (deaths of highest N tried: {reported}); "
        f"a compaction: {order}")


def numbers(settings, choose, few, samples):
    """N as CI tries them, or all."""
    if settings.short:
        yield from sorted(choose.sample(range(1, few + 1), min(samples, few)))
    else:
        number = 0
        while not settings.time_is_up():
            number += 1
            yield number


def launch_traced(rig, when, trace, *expressions):
    """Runs letterd under strace, from its start or from when it answers. strace counts the calls of each thread, so
    that what is done at the start would otherwise hide what other threads do later."""
    if when == "start":
        rig.launch(strace(trace, *expressions))
        end = time.monotonic() + PATIENCE
        while rig.process.poll() is None and rig.try_status() is None:
            expect(time.monotonic() < end, "letterd under strace does not answer")
            time.sleep(0.01)
        return
    rig.start()
    pid = rig.process.pid
    rig.others.append(subprocess.Popen(strace(trace, *expressions)[:-1] + ["-p", str(pid)]))
    end = time.monotonic() + PATIENCE
    while not all(is_traced(f"/proc/{pid}/task/{task}/status") for task in os.listdir(f"/proc/{pid}/task")):
        expect(rig.others[-1].poll() is None, "strace cannot attach to letterd")
        expect(time.monotonic() < end, "strace does not attach to letterd")
        time.sleep(0.005)


def is_traced(path):
    try:
        with open(path) as file:
            return "TracerPid:\t0\n" not in file.read()
    except FileNotFoundError:
        return True


def die_at(rig, when, call, number, work):
    """Runs letterd to the Nth call of a kind while `work` gives it something to do. Whether it died."""
    trace = os.path.join(rig.folder, "trace")
    launch_traced(rig, when, trace, f"trace={call}", f"inject={call}:signal=KILL:when={number}")
    if rig.process.poll() is None:
        work()
    died = rig.process.poll() is not None
    if not died:
        rig.kill_traced()
    return died


def survives(rig, condition):
    """Waits until letterd is dead, or alive and a condition on its status holds."""
    end = time.monotonic() + PATIENCE
    while rig.process.poll() is None:
        status = rig.try_status()
        if status is not None and condition(status):
            return
        expect(time.monotonic() < end, lambda: f"neither dead nor done: {status}")
        time.sleep(0.01)


RENAMES = "?rename,?renameat,?renameat2"


def sweep_publish(settings, choose, tried):
    """Death while a first generation is published and built: it is there whole, or not at all."""
    tokenizer = Tokenizer()
    # From when on, which calls, and for CI: up to which N, and how many of them. A publication makes four pwrites.
    for when, call, few, samples in (
        ("start", "pwrite64", 20, 2), ("start", "fdatasync", 6, 1), ("publish", "pwrite64", 4, 2),
        ("publish", "fdatasync", 1, 1), ("publish", "fsync", 6, 2), ("publish", RENAMES, 3, 1)):
        deaths = most = 0
        for number in numbers(settings, choose, few, samples):
            with Rig(settings, "sweep") as rig:
                rig.make_catalog(60, numpy.random.default_rng(settings.seed))

                def work():
                    status, _ = rig.publish()
                    if status == 0:
                        survives(rig, lambda status: status["caught_up"])

                most = number
                died = die_at(rig, when, call, number, work)
                # A copy, for Python's SQLite would recover the original.
                copy = os.path.join(rig.folder, "copy")
                shutil.copytree(rig.state, copy)
                stages = check_generation_folders(copy)
                rig.start()
                if not stages:
                    status, said = rig.publish()
                    expect(status == 0, lambda: f"{call} {number}: cannot publish after the death: {said}")
                rig.caught_up()
                check_state(rig, rig.dump(), Ledger(), tokenizer)
                expect(len(rig.ask("GET", "/v1/generations")["generations"]) == 1, "a generation came twice")
                deaths += died
                if not died and not settings.short:
                    break
        tried[f"{when} {call.split(',')[-1].lstrip('?')}"] = (deaths, most)


def sweep_ingest(settings, choose, tried):
    """Death while commits of the catalog are taken in: nothing is lost and nobody moves."""
    tokenizer, ledger = Tokenizer(), Ledger()
    with Rig(settings, "sweep") as rig:
        rig.make_catalog(200, numpy.random.default_rng(settings.seed))
        rig.start()
        rig.publish_and_build()
        rig.kill()
        round_number = 0
        for call, few, samples in (("pwrite64", 40, 3), ("fdatasync", 3, 2)):
            deaths = most = 0
            for number in numbers(settings, choose, few, samples):
                round_number += 1

                def work():
                    generator = numpy.random.default_rng(settings.seed + round_number)
                    for part in "ab":
                        rig.add(6, generator, f"new{round_number:05}{part}-")
                        rig.add(3, generator, "item-")
                        rig.delete([f"new{round_number:05}{part}-00000".encode()])
                        survives(rig, lambda status: status["caught_up"])

                most = number
                died = die_at(rig, "ingest", call, number, work)
                rig.start()
                rig.caught_up()
                check_state(rig, rig.dump(), ledger, tokenizer)
                rig.kill()
                deaths += died
                if not died and not settings.short:
                    break
            tried["ingest " + call] = (deaths, most)


# Row 5 ---------------------------------------------------------------------------------------------------------------


def publish_order(settings):
    """fsync of the files < fsync of their folder < rename < fsync of the parent < COMMIT in the registry."""
    need_strace()
    with Rig(settings, "order") as rig:
        rig.make_catalog(60, numpy.random.default_rng(settings.seed))
        trace = os.path.join(rig.folder, "trace")
        rig.launch(
            strace(trace, "trace=fsync,fdatasync,pwrite64,?rename,?renameat,?renameat2"))
        rig.until_answers()
        rig.publish_and_build()
        rig.kill_traced()
        calls = Calls(trace).all
        steps = publication(calls, rig.state)
        order = [index for _, index in steps]
        expect(order == sorted(order), lambda: f"published in the wrong order: {steps}")
        # The negative control: the same calls, the rename moved before the first sync, or the row before the rename.
        for moved, target in ((3, 0), (5, 3)):
            wrong = list(calls)
            wrong.insert(steps[target][1], wrong.pop(steps[moved][1]))
            order = [index for _, index in publication(wrong, rig.state)]
            expect(order != sorted(order), "the check accepts a wrong order: it proves nothing")
        return " < ".join(name for name, _ in steps)


def publication(calls, state):
    """Where in a trace the steps of publishing generation 1 are: [(name, index)] in the order they must have."""
    target = f"{state}/generations/000001"
    renames = [
        index for index, (_, name, arguments, result) in enumerate(calls)
        if name.startswith("rename") and arguments_of(arguments)[-1] == target and result == "0"]
    expect(len(renames) == 1, f"{len(renames)} renames to {target}")
    (rename,) = renames
    source = arguments_of(calls[rename][2])[0]

    def sync(path):
        found = [
            index for index, (_, name, arguments, result) in enumerate(calls)
            if name in ("fsync", "fdatasync") and f"<{path}>" in arguments and result == "0"]
        expect(found, f"{path} is never synced")
        return found

    # From the last sync of the upload on, nothing but this publication commits to the registry.
    uploaded = max(
        (index for index, (_, name, arguments, _) in enumerate(calls)
         if name == "fsync" and f"<{state}/uploads/" in arguments), default=-1)
    log = f"<{state}/letterd.sqlite-wal>"
    rows = [
        index for index, (_, name, arguments, _) in enumerate(calls)
        if name == "pwrite64" and log in arguments and index > uploaded]
    expect(rows, "the registry was never written to")
    commits = [
        index for index, (_, name, arguments, _) in enumerate(calls)
        if name == "fdatasync" and log in arguments and index > rows[0]]
    expect(commits, "the registry was never synced")
    return [
        ("fsync(manifest.json)", sync(f"{source}/manifest.json")[-1]),
        ("fsync(tokenizer.safetensors)", sync(f"{source}/tokenizer.safetensors")[-1]),
        ("fsync(folder)", sync(source)[-1]), ("rename", rename),
        ("fsync(generations)", sync(f"{state}/generations")[0]), ("write of the row", rows[0]),
        ("fdatasync(letterd.sqlite-wal)", commits[0]),
    ]


def path_of(text):
    """What a descriptor of a trace names."""
    return re.sub(r"^\d+<(.*)>$", r"\1", text).replace(" (deleted)", "")


def arguments_of(text):
    return re.findall(r'"([^"]*)"', text)


# Row 8 ---------------------------------------------------------------------------------------------------------------


def failing_sync(settings):
    """An fsync that fails ends letterd with an error, is not repeated, and the next start is consistent."""
    need_strace()
    choose = random.Random(settings.seed)
    tokenizer = Tokenizer()
    failures = []
    with Rig(settings, "sync") as rig:
        rig.make_catalog(100, numpy.random.default_rng(settings.seed))
        rig.start()
        rig.publish_and_build()
        rig.kill()
        ledger, round_number = Ledger(), 0
        for scenario, calls in (
            ("start", ("fdatasync",)), ("ingest", ("fdatasync",)), ("publish", ("fsync", "fdatasync"))):
            for call in calls:
                for number in [1, 2] if settings.short else range(1, 40):
                    round_number += 1
                    if settings.time_is_up():
                        break
                    failed, code = fail_at(rig, call, number, scenario, settings.seed + round_number)
                    if failed:
                        failures.append(f"{scenario} {call} {number}")
                        expect(code not in (0, None), f"{failures[-1]}: letterd ended with {code}")
                        expect(code > 0, f"{failures[-1]}: letterd died of signal {-code}")
                        expect("error" in rig.log_text() or "critical" in rig.log_text(), "nothing was logged")
                    rig.start()
                    rig.caught_up()
                    expect(not rig.status()["problems"], lambda: f"after a clean start: {rig.status()}")
                    check_state(rig, rig.dump(), ledger, tokenizer)
                    check_folders(rig)
                    rig.kill()
                    if not failed and not settings.short:
                        break
        expect(len(failures) >= settings.pick(4, 8), f"only these syncs failed: {failures}")
        return f"{len(failures)} failed syncs, each ended letterd at once and none was repeated: {', '.join(failures)}"


def check_folders(rig):
    copy = os.path.join(rig.folder, "copy")
    for attempt in range(10):
        shutil.rmtree(copy, ignore_errors=True)
        try:
            shutil.copytree(rig.state, copy)
            break
        except shutil.Error:
            # The daemon may still build a candidate and replace a file meanwhile.
            expect(attempt < 9, "the state folder changes all the time")
            time.sleep(0.2)
    check_generation_folders(copy)
    shutil.rmtree(copy)


def fail_at(rig, call, number, scenario, seed):
    """The Nth call of each thread fails with EIO. Returns whether one did, and how letterd ended."""
    trace = os.path.join(rig.folder, "trace")
    launch_traced(rig, scenario, trace, "trace=fsync,fdatasync", f"inject={call}:error=EIO:when={number}")
    if rig.process.poll() is None:
        if scenario != "publish":
            for part in "abc":
                if rig.process.poll() is None:
                    rig.add(5, numpy.random.default_rng(seed), f"sync{seed}{part}-")
                    survives(rig, lambda status: status["caught_up"])
        else:
            status, _ = rig.publish()
            survives(rig, lambda _: status == 0)
    calls = Calls(trace).all
    # SQLite does not mind a failed fdatasync of a directory; letterd's own syncs of directories are fsyncs.
    injected = [
        index for index, (_, name, arguments, result) in enumerate(calls)
        if "INJECTED" in result and not (name == "fdatasync" and os.path.isdir(path_of(arguments)))]
    code = rig.process.poll()
    if injected:
        if code is None:
            # It has a moment to end by itself.
            try:
                code = rig.end(20)
            except Failed:
                raise Failed(f"{scenario} {call} {number}: letterd goes on after {calls[injected[0]]}")
        calls = Calls(trace).all
        name, arguments = calls[injected[0]][1:3]
        later = [c for c in calls[injected[0] + 1:] if c[1] in ("fsync", "fdatasync") and c[2] == arguments]
        # SQLite closes the copy that VACUUM INTO could not finish with another sync; nobody uses a copy by its .tmp name.
        expect(not later or ".tmp>" in arguments, f"{name}({arguments}) failed and was tried again: {later}")
    else:
        rig.kill_traced()
    return bool(injected), code
