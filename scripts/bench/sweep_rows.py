"""Which rows converge trains on and validates on: crates/core/src/seed.rs and crates/finetune/src/data/split.rs again.

    python sweep_rows.py SWEEP_FILE     prints {"train": [[text, label], ...], "validation": [...]} as JSON

For one TSV file with the columns text and label; scripts/bench/sweep compares the number of tokens with what a sweep
recorded, so a copy that has come apart from the original is noticed.
"""

import hashlib
import json
import math
import sys
import tomllib
from fractions import Fraction

WORD = (1 << 64) - 1


def stream(seed, name, index):
    data = seed.to_bytes(8, "little") + index.to_bytes(8, "little") + name.encode()
    return int.from_bytes(hashlib.sha256(data).digest()[:8], "little")


def permutation(seed, count):
    """Fisher and Yates' shuffle, driven by SplitMix64 and Lemire's bounded numbers."""
    state, numbers = seed, list(range(count))

    def below(bound):
        nonlocal state
        while True:
            state = (state + 0x9E3779B97F4A7C15) & WORD
            bits = state
            bits = (bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9 & WORD
            bits = (bits ^ (bits >> 27)) * 0x94D049BB133111EB & WORD
            product = (bits ^ (bits >> 31)) * bound
            if product & WORD >= (1 << 64) % bound:
                return product >> 64

    for last in range(count - 1, 0, -1):
        other = below(last + 1)
        numbers[last], numbers[other] = numbers[other], numbers[last]
    return numbers


def stratified_order(classes, seed, every_class_first):
    placed = []
    for name in sorted(set(classes)):
        members = [place for place, other in enumerate(classes) if other == name]
        for k, place in enumerate(permutation(stream(seed, "class", name), len(members))):
            early = every_class_first and k == 0
            placed.append((not early, (k + 0.5) / len(members), name, members[place]))
    return [example for *_, example in sorted(placed, key=lambda entry: entry[:3])]


def limit(examples, classes, most, seed):
    if most is None or most >= len(examples):
        return examples
    order = stratified_order([classes[example] for example in examples], stream(seed, "limit", 0), True)
    return [examples[place] for place in order[:most]]


def draw(definition):
    """Returns the rows of training and validation, in our order."""
    data = definition["data"]
    with open(data["train"], encoding="utf-8", newline="") as file:
        lines = [line.removesuffix("\r") for line in file.read().split("\n") if line.strip()]
    header = lines[0].split("\t")
    text, label = header.index(data.get("text", "text")), header.index(data.get("label", "label"))
    rows = [(fields[text], fields[label]) for fields in (line.split("\t") for line in lines[1:])]
    names = sorted({name for _, name in rows})
    classes = [names.index(name) for _, name in rows]
    seed = stream(definition["sweep"].get("seed", 42), "split", 0)
    order = stratified_order(classes, stream(seed, "held_out", 0), False)
    # Rust rounds a half away from zero.
    share = data.get("validation_fraction", 0.2) * len(rows)
    held_out = math.floor(Fraction(share) + Fraction(1, 2))
    validation = limit(order[:held_out], classes, data.get("validation_limit"), seed)
    train = limit(order[held_out:], classes, data.get("train_limit"), seed)
    return {
        "train": [(rows[place][0], classes[place]) for place in train],
        "validation": [(rows[place][0], classes[place]) for place in validation],
    }


if __name__ == "__main__":
    with open(sys.argv[1], "rb") as sweep_file:
        json.dump(draw(tomllib.load(sweep_file)), sys.stdout)
