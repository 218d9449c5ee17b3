#!/usr/bin/python3
"""The `hashing/1` embedder a second time, from its documented formulas, to check the first one against.

usage: hashing_reference.py DIMENSION TEXT        prints the vector as 32-bit patterns

Python 3, standard library only. Sources/TextEmbedding/HashingEmbedder.swift explains the method.
"""

import struct
import sys
import unicodedata

MASK = (1 << 64) - 1
GOLDEN = 0x9E3779B97F4A7C15
WORD, PAIR, TRIGRAM = 0x574F5244, 0x50414952, 0x54524947


def mix(z):
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def fnv(units):
    value = 0xCBF29CE484222325
    for unit in units:
        value = ((value ^ unit) * 0x100000001B3) & MASK
    return mix(value)


def f32(value):
    return struct.unpack("<f", struct.pack("<f", value))[0]


def words(text):
    word = []
    for character in text:
        category = unicodedata.category(character)
        if category[0] in "LN" or (category[0] == "M" and word):
            word += [ord(lower) for lower in character.lower()]
        elif word:
            yield word
            word = []
    if word:
        yield word


def features(text):
    """Feature hash → [count, weight of one occurrence], in the order of first occurrence."""
    counts = {}

    def add(value, weight):
        counts.setdefault(value, [0, weight])[0] += 1

    previous = None
    for word in words(text):
        value = fnv(word)
        factor = 0.25 if len(word) < 4 else 1.0
        add(mix(value ^ WORD), factor)
        if previous:
            add(mix(((previous[0] * GOLDEN) & MASK) ^ value ^ PAIR), 0.25 * min(factor, previous[1]))
        previous = (value, factor)
        bounded = [2] + word + [3]
        for a, b, c in zip(bounded, bounded[1:], bounded[2:]):
            add(mix(mix(a << 42 | b << 21 | c) ^ TRIGRAM), 0.25 * factor)
    return counts


def embed(text, dimension):
    vector = [0.0] * dimension
    for value, (count, weight) in features(text).items():
        weight = f32(weight * f32(count ** 0.5))
        for step in (1, 2):
            bits = mix((value + step * GOLDEN) & MASK)
            for half in (bits & 0xFFFFFFFF, bits >> 32):
                column = ((half & 0x7FFFFFFF) * dimension) >> 31
                vector[column] = f32(vector[column] + (-weight if half >> 31 else weight))
    total = 0.0
    for value in vector:
        total += value * value
    if not total:
        raise SystemExit("no vector")
    scale = 1 / total**0.5
    return [f32(value * scale) for value in vector]


if __name__ == "__main__":
    for value in embed(sys.argv[2], int(sys.argv[1])):
        print("0x%08X" % struct.unpack("<I", struct.pack("<f", value)))
