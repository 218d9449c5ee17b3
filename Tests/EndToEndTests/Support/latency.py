#!/usr/bin/python3
"""Measures the time from a plain writer's commit to the daemon's answer.

usage: latency.py CATALOG SOCKET N [--interval 0.02] [--batch 1] [--prefix latency-]

N times: commits --batch new items, then asks for the last of them over the control socket until it has an identifier.
The clock runs from the return of the commit to the answer. Between two rounds it waits --interval and a random part of
50 ms, so that the commits do not march in step with the daemon's polling. Prints one JSON object, times in ms.
"""

import argparse
import json
import random
import time
import urllib.parse

from catalog_files import Catalog, encode_vector
from control_socket import Control
from plain_writer import direction


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("catalog")
    parser.add_argument("socket")
    parser.add_argument("count", type=int)
    parser.add_argument("--interval", type=float, default=0.02)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--prefix", default="latency-")
    parser.add_argument("--timeout", type=float, default=10.0)
    arguments = parser.parse_args()

    generator = random.Random(1)
    catalog = Catalog(arguments.catalog, write=True)
    dimension, dtype = catalog.read_format()
    embeddings = catalog.database("embeddings")
    control = Control(arguments.socket)
    times = []
    number = 0
    for _ in range(arguments.count):
        time.sleep(arguments.interval + generator.random() * 0.05)
        vectors = [encode_vector(direction(generator, dimension), dtype) for _ in range(arguments.batch)]
        with catalog.environment.begin(write=True) as transaction:
            for vector in vectors:
                name = f"{arguments.prefix}{number}"
                number += 1
                if not transaction.put(name.encode(), vector, overwrite=False, db=embeddings):
                    raise SystemExit(f"item {name} is there already; choose another --prefix")
        committed = time.monotonic_ns()
        target = "/v1/items/" + urllib.parse.quote(name, safe="")
        while control.ask("GET", target)["codes"] is None:
            if time.monotonic_ns() - committed > arguments.timeout * 1e9:
                raise SystemExit(f"item {name} has no identifier after {arguments.timeout} s")
            time.sleep(0.0005)
        times.append((time.monotonic_ns() - committed) / 1e6)
    times.sort()
    quantiles = {
        name: round(times[min(len(times) - 1, int(len(times) * share))], 2)
        for name, share in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("max", 1))
    }
    print(json.dumps({"commits": arguments.count, "items_each": arguments.batch, **quantiles}))


if __name__ == "__main__":
    main()
