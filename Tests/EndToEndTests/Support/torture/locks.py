"""Row 11: another process holds the write lock of letterd's SQLite files."""

import sqlite3
import threading
import time

import numpy

from rig import Rig, expect
from truth import Ledger, Tokenizer, check_state

# letterd's patience with a lock, less what a clock may differ.
PATIENCE = 4.5


def held_elsewhere(settings):
    """It waits five seconds, then says that trying again may help, and goes on when the lock is released."""
    with Rig(settings, "locks") as rig:
        rig.make_catalog(60, numpy.random.default_rng(settings.seed))
        rig.start()
        rig.publish_and_build()
        ledger, tokenizer = Ledger(), Tokenizer()
        for number in range(settings.pick(1, 5)):
            before = rig.dump()
            expect(not rig.status()["problems"], lambda: f"{rig.status()}")
            holders = []
            for path in (rig.index(), rig.registry()):
                holder = sqlite3.connect(path, isolation_level=None)
                holder.execute("BEGIN IMMEDIATE")
                holders.append(holder)
            published = {}

            def publish():
                start = time.monotonic()
                published["status"], published["said"] = rig.publish()
                published["took"] = time.monotonic() - start

            thread = threading.Thread(target=publish)
            thread.start()
            start = time.monotonic()
            rig.add(10, numpy.random.default_rng(settings.seed + number), f"held{number}-")
            status = rig.until("the lock is told", lambda status: status["problems"])
            took = time.monotonic() - start
            expect(took > PATIENCE, f"it waited for {took:.1f} s only")
            problem = status["problems"][0]
            expect(problem["code"] == "store.busy", lambda: f"the status says {problem}")
            expect(rig.dump() == before, "other answers while the lock is held")
            thread.join()
            expect(published["status"] == 75, lambda: f"publish with a locked registry: {published}")
            expect(published["took"] > PATIENCE and "store.busy" in published["said"], lambda: f"{published}")
            for holder in holders:
                holder.execute("ROLLBACK")
                holder.close()
            rig.until("work goes on", lambda status: status["caught_up"] and not status["problems"])
            check_state(rig, rig.dump(), ledger, tokenizer)
        # What was refused works now, and is the second generation, not the third.
        status, said = rig.publish()
        expect(status == 0, lambda: f"publish: {said}")
        generations = rig.ask("GET", "/v1/generations")["generations"]
        expect([entry["number"] for entry in generations] == [1, 2], lambda: f"{generations}")
        return (
            f"index and registry held {number + 1} times: waited {took:.1f} s, store.busy in the status and exit 75 for "
            f"publish, answers meanwhile, on by itself after")
