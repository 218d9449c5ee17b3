#!/usr/bin/python3
"""Checks what a daemon answers against the catalog itself, read with Python's lmdb.

usage: oracle.py check CATALOG DUMP [--levels 4] [--codebook 256] [--policy POLICY]
       oracle.py compare BEFORE AFTER [--added FILE] [--edited FILE] [--deleted FILE] [--reassigned] [--policy POLICY]
       oracle.py equal DUMP DUMP
       oracle.py answers DUMP SOCKET

DUMP, BEFORE and AFTER are outputs of `letter dump`: JSON lines {"item", "codes"}.

check    every item with a vector that can be encoded has exactly one identifier, and no other item has one (an item
         whose record went bad may keep the one it had); identifiers are unique, of --levels codes, each below
         --codebook; the dump is in key order. Under suffix there is one code more, below 65,536; under share items may have
         one identifier together.
compare  between two dumps nobody's identifier changed but that of the edited (and theirs only with --reassigned);
         exactly the added came and the deleted went; no identifier that an item left was given to another (under share
         it may be). FILE is what plain_writer.py printed, or any JSON lines with "ids".
equal    the two dumps say the same.
answers  what the daemon at SOCKET answers agrees with its dump: item to identifier to items is the identity; walked from
         the empty prefix, its trie spells exactly the dumped identifiers, with the right number of items below each
         prefix; all of it names one generation.

Prints a JSON object; its "problems" are empty and the exit status 0 if all holds, else 1.
"""

import argparse
import json
import math
import sys

from catalog_files import Catalog, decode_vector, id_bytes, id_text
from control_socket import Control

SHOWN = 20
POLICIES = ("reassign", "suffix", "share")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    command = verbs.add_parser("check")
    command.add_argument("catalog")
    command.add_argument("dump")
    command.add_argument("--levels", type=int, default=4)
    command.add_argument("--codebook", type=int, default=256)
    command.add_argument("--policy", choices=POLICIES, default="reassign")
    command.set_defaults(run=check)
    command = verbs.add_parser("compare")
    command.add_argument("before")
    command.add_argument("after")
    for name in ("--added", "--edited", "--deleted"):
        command.add_argument(name, action="append", default=[], metavar="FILE")
    command.add_argument("--reassigned", action="store_true", help="the edited may have new identifiers")
    command.add_argument("--policy", choices=POLICIES, default="reassign")
    command.set_defaults(run=compare)
    command = verbs.add_parser("equal")
    command.add_argument("first")
    command.add_argument("second")
    command.set_defaults(run=equal)
    command = verbs.add_parser("answers")
    command.add_argument("dump")
    command.add_argument("socket")
    command.set_defaults(run=answers)
    arguments = parser.parse_args()

    problems = []
    facts = arguments.run(arguments, problems)
    facts["problem_count"] = len(problems)
    facts["problems"] = problems[:SHOWN]
    print(json.dumps(facts))
    sys.exit(1 if problems else 0)


def check(arguments, problems):
    catalog = Catalog(arguments.catalog)
    dimension, dtype = catalog.read_format()
    embeddings = catalog.database("embeddings")
    good, bad = set(), set()
    with catalog.environment.begin() as transaction:
        for key, data in transaction.cursor(db=embeddings):
            vector = decode_vector(data, dtype)
            usable = vector is not None and len(vector) == dimension and all(map(math.isfinite, vector))
            (good if usable else bad).add(bytes(key))

    entries = read_entries(arguments.dump, problems)
    seen, owners = {}, {}
    previous = None
    bounds = [arguments.codebook] * arguments.levels + [65536] * (arguments.policy == "suffix")
    for key, codes in entries:
        name = id_text(key)
        if key in seen:
            problems.append(f"item {name} is dumped twice")
        if previous is not None and key <= previous:
            problems.append(f"item {name} is out of key order")
        previous = key
        seen[key] = codes
        if len(codes) != len(bounds) or not all(0 <= code < bound for code, bound in zip(codes, bounds)):
            problems.append(f"item {name} has codes {list(codes)}")
        if codes in owners and arguments.policy != "share":
            problems.append(f"items {id_text(owners[codes])} and {name} share {list(codes)}")
        owners[codes] = key
    for key in sorted(good - seen.keys()):
        problems.append(f"item {id_text(key)} has no identifier")
    for key in sorted(seen.keys() - good - bad):
        problems.append(f"item {id_text(key)} has an identifier and is not in the catalog")
    return {"items": len(good), "unusable": len(bad), "dumped": len(entries), "identifiers": len(owners)}


def compare(arguments, problems):
    before = dict(read_entries(arguments.before, problems))
    after = dict(read_entries(arguments.after, problems))
    added, edited, deleted = (read_ids(files) for files in (arguments.added, arguments.edited, arguments.deleted))
    added, deleted = added - deleted, deleted - added

    changed = {key for key in before.keys() & after.keys() if before[key] != after[key]}
    for key in sorted(changed - (edited if arguments.reassigned else set())):
        problems.append(f"item {id_text(key)} had {list(before[key])} and has {list(after[key])}")
    came, went = after.keys() - before.keys(), before.keys() - after.keys()
    for key in sorted(came - added):
        problems.append(f"item {id_text(key)} came unasked")
    for key in sorted(added - after.keys()):
        problems.append(f"item {id_text(key)} was added and has no identifier")
    for key in sorted(went - deleted):
        problems.append(f"item {id_text(key)} went unasked")
    for key in sorted(deleted & after.keys()):
        problems.append(f"item {id_text(key)} was deleted and has an identifier")
    tombstones = {before[key]: key for key in went | changed} if arguments.policy != "share" else {}
    for key in sorted(after):
        owner = tombstones.get(after[key])
        if owner is not None:
            problems.append(f"item {id_text(key)} was given {list(after[key])}, which {id_text(owner)} left")
    return {
        "before": len(before), "after": len(after), "came": len(came), "went": len(went), "changed": len(changed),
        "kept": len(before.keys() & after.keys()) - len(changed),
    }


def equal(arguments, problems):
    first = dict(read_entries(arguments.first, problems))
    second = dict(read_entries(arguments.second, problems))
    for key in sorted(first.keys() | second.keys()):
        if first.get(key) != second.get(key):
            problems.append(f"item {id_text(key)}: {first.get(key)} and {second.get(key)}")
    return {"first": len(first), "second": len(second)}


def answers(arguments, problems):
    entries = dict(read_entries(arguments.dump, problems))
    control = Control(arguments.socket)
    generations = set()

    keys = sorted(entries)
    buckets = {}
    for key in keys:
        buckets.setdefault(entries[key], []).append(key)
    for batch in batches(keys):
        answer = control.ask("POST", "/v1/items/lookup", {"ids": [id_text(key) for key in batch]})
        generations.add(answer["generation"])
        if [id_bytes(item["item"]) for item in answer["items"]] != batch:
            problems.append(f"the items from {id_text(batch[0])} are not answered in the order asked")
        for item in answer["items"]:
            if item["codes"] is None or tuple(item["codes"]) != entries.get(id_bytes(item["item"])):
                problems.append(f"item {item['item']} is answered with {item['codes']}")
    for batch in batches(keys):
        body = {"identifiers": [list(entries[key]) for key in batch]}
        answer = control.ask("POST", "/v1/identifiers/lookup", body)
        generations.add(answer["generation"])
        for key, found in zip(batch, answer["identifiers"], strict=True):
            if [id_bytes(item) for item in found["items"]] != buckets[entries[key]] or tuple(found["codes"]) != entries[key]:
                problems.append(f"identifier {list(entries[key])} of item {id_text(key)} is answered with {found}")

    # Every prefix of the dump, the empty one and whole identifiers included: what can follow, how many items are below.
    expected = {}
    for codes in entries.values():
        for length in range(len(codes) + 1):
            following, count = expected.setdefault(codes[:length], (set(), [0]))
            count[0] += 1
            if length < len(codes):
                following.add(codes[length])
    expected.setdefault((), (set(), [0]))
    reached, prefixes = set(), [()]
    while prefixes:
        deeper = []
        for batch in batches(prefixes):
            answer = control.ask("POST", "/v1/trie/next", {"prefixes": [list(prefix) for prefix in batch]})
            generations.add(answer["generation"])
            for prefix, found in zip(batch, answer["answers"], strict=True):
                reached.add(prefix)
                following, count = expected.get(prefix, (set(), [0]))
                if found["next"] != sorted(following) or found["items"] != count[0]:
                    problems.append(f"prefix {list(prefix)} is followed by {found}")
                deeper += [prefix + (code,) for code in found["next"] if prefix + (code,) in expected]
        prefixes = deeper
    for prefix in sorted(expected.keys() - reached):
        problems.append(f"prefix {list(prefix)} is not in the trie")
    if len(generations) > 1:
        problems.append(f"answers came from generations {sorted(generations, key=str)}")
    return {"items": len(entries), "identifiers": len(buckets), "prefixes": len(reached), "generations": sorted(generations, key=str)}


def batches(values, size=1000):
    return [values[start : start + size] for start in range(0, len(values), size)]


def read_entries(path, problems):
    """[(item, codes)] of a dump."""
    entries = []
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            try:
                record = json.loads(line)
                entries.append((id_bytes(record["item"]), tuple(int(code) for code in record["codes"])))
            except (ValueError, KeyError, TypeError) as error:
                problems.append(f"{path}:{number}: {error!r}")
    return entries


def read_ids(paths):
    ids = set()
    for path in paths:
        with open(path, encoding="utf-8") as file:
            for line in file:
                ids.update(id_bytes(text) for text in json.loads(line)["ids"])
    return ids


if __name__ == "__main__":
    main()
