#!/usr/bin/python3
"""Writes the weights of a tokenizer that does not fit any catalog: the frozen one, with an encoder that gives nearly the
same latent embedding for every item.

usage: misfit.py OUTPUT.safetensors
"""

import json
import os
import struct
import sys

import numpy

TOKENIZER = os.path.join(
    os.path.dirname(os.path.abspath(__file__)), "..", "..", "TokenizerFixtures", "Fixtures",
    "scientific-frozen-tokenizer.safetensors")


def main():
    with open(TOKENIZER, "rb") as file:
        (size,) = struct.unpack("<Q", file.read(8))
        head = file.read(size)
        data = bytearray(file.read())
    header = json.loads(head)
    last = max(int(name.split(".")[1]) for name in header if name.startswith("encoder."))
    start, end = header[f"encoder.{last}.weight"]["data_offsets"]
    weights = numpy.frombuffer(bytes(data[start:end]), "<f4") * numpy.float32(1e-6)
    data[start:end] = weights.astype("<f4").tobytes()
    with open(sys.argv[1], "wb") as file:
        file.write(struct.pack("<Q", size) + head + data)


if __name__ == "__main__":
    main()
