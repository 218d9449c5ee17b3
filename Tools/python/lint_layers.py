"""Prints the graph of a Swift package's targets, and checks that each imports lower layers only.

usage: swift package dump-package | lint_layers.py LAYERS

LAYERS is Tools/layers.txt. Prints each target with its layer, its lines and what it imports; problems go to standard error,
and the exit status is 1 if there is any.
"""

import json
import os
import sys


def read_layers(text):
    """Target → layer."""
    layers = {}
    for line in text.splitlines():
        words = line.split("#")[0].split()
        for name in words[1:]:
            if name in layers:
                raise SystemExit(f"layers: {name} is in two layers")
            layers[name] = int(words[0])
    return layers


class Target:
    def __init__(self, description):
        self.name = description["name"]
        folder = "Tests" if description.get("type") == "test" else "Sources"
        self.path = description.get("path") or os.path.join(folder, self.name)
        # Tests, and what only tests and benchmarks use.
        self.is_free = description.get("type") == "test" or self.path.split("/")[0] == "Tests"
        self.targets, self.products = [], []
        for dependency in description.get("dependencies", []):
            kind, value = next(iter(dependency.items()))
            (self.products if kind == "product" else self.targets).append(value[0])

    def lines(self):
        count = 0
        for folder, _, files in os.walk(self.path):
            for file in files:
                if file.endswith((".swift", ".c", ".h")):
                    with open(os.path.join(folder, file), errors="replace") as source:
                        count += sum(1 for _ in source)
        return count


def check(targets, layers):
    """What is wrong with a graph, a sentence each."""
    problems = []
    by_name = {target.name: target for target in targets}
    for target in targets:
        if target.is_free:
            continue
        if target.name not in layers:
            problems.append(f"{target.name} has no layer: add it to Tools/layers.txt")
            continue
        for name in target.targets:
            other = by_name.get(name)
            if other is None:
                continue
            # A benchmark is an executable that is not installed; it may use the tests' helpers.
            if other.is_free and not target.path.startswith("Tools/"):
                problems.append(f"{target.name} imports {name}, which is for tests")
            elif not other.is_free and layers.get(name, -1) >= layers[target.name]:
                problems.append(
                    f"{target.name} (layer {layers[target.name]}) imports {name} (layer {layers[name]}): "
                    "a target imports lower layers only")
    return problems


def graph(targets, layers):
    """The lines to print, lowest layer first, tests last."""
    counts = {target.name: target.lines() for target in targets}

    def order(target):
        return (target.is_free, layers.get(target.name, 99), target.name)

    for target in sorted(targets, key=order):
        layer = "-" if target.is_free else layers.get(target.name, "?")
        uses = sorted(target.targets) + sorted(target.products)
        yield f"{layer:>2} {counts[target.name]:7,}  {target.name}" + (" → " + ", ".join(uses) if uses else "")
    yield f"   {sum(counts.values()):7,}  in all"


def main(arguments):
    with open(arguments[0], encoding="utf-8") as file:
        layers = read_layers(file.read())
    targets = [Target(description) for description in json.load(sys.stdin)["targets"]]
    for line in graph(targets, layers):
        print(line)
    problems = check(targets, layers)
    for problem in problems:
        print(f"layers: {problem}", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
