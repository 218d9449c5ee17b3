#!/usr/bin/python3
"""Faults on purpose: rows 1 to 11 of the acceptance table, against the real letterd.

usage: torture --letterd FILE --letter FILE [--rows 1,2,…] [--seed N] [--kills N] [--minutes M] [--short] [--keep]

Prints the seed, then a line a row: what was done, and the verdict. Exit status 0: all held (rows that cannot run here
are skipped and say why); 1: something did not hold; 77 with a single row: that row was skipped.
"""

import argparse
import random
import sys
import time

import damage
import disk
import locks
import loop
import power
import syscalls
from rig import Failed, Settings, Skipped

ROWS = {
    1: ("kill -9 of letterd under writers", loop.kill_loop),
    2: ("KILL at the Nth system call", syscalls.kill_sweep),
    3: ("kill -9 of a writer within a transaction", loop.killed_writer),
    4: ("power loss in publish and commit", power.power_loss),
    5: ("order of publishing", syscalls.publish_order),
    6: ("disk full", disk.disk_full),
    7: ("file size limit", disk.file_size_limit),
    8: ("fsync fails", syscalls.failing_sync),
    9: ("damaged SQLite files", damage.mutations),
    10: ("newer or foreign SQLite files", damage.foreign_files),
    11: ("SQLite files locked by another process", locks.held_elsewhere),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--letterd", required=True)
    parser.add_argument("--letter", required=True)
    parser.add_argument("--rows", help="numbers between commas (all)")
    parser.add_argument("--seed", type=int, help="repeat a run (random)")
    parser.add_argument("--kills", type=int, help="kills of row 1 (200; 12 with --short)")
    parser.add_argument("--minutes", type=float, help="begin nothing new in a row after this time")
    parser.add_argument("--short", action="store_true", help="as in CI")
    parser.add_argument("--keep", action="store_true", help="leave the folders")
    arguments = parser.parse_args()
    rows = [int(row) for row in arguments.rows.split(",")] if arguments.rows else sorted(ROWS)
    if unknown := set(rows) - ROWS.keys():
        parser.error(f"no such row: {unknown}")
    seed = arguments.seed if arguments.seed is not None else random.SystemRandom().randrange(1 << 30)
    print(f"seed {seed}", flush=True)
    settings = Settings(
        arguments.letterd, arguments.letter, seed, arguments.short, arguments.kills, arguments.minutes, arguments.keep)
    failed = skipped = 0
    try:
        for row in rows:
            title, scenario = ROWS[row]
            start = time.monotonic()
            try:
                verdict, said = "holds", scenario(settings)
            except Skipped as error:
                verdict, said = "SKIPPED", str(error)
                skipped += 1
            except Failed as error:
                verdict, said = "FAILED", str(error)
                failed += 1
            print(f"row {row:2} {verdict}: {title}: {said} [{time.monotonic() - start:.0f} s]", flush=True)
    finally:
        settings.close()
    if failed:
        return 1
    return 77 if skipped and skipped == len(rows) else 0


if __name__ == "__main__":
    sys.exit(main())
