"""Drives scripts/bench/gpu; `scripts/bench/gpu --help` says what is measured, and that it was never run on a GPU."""

import argparse
import contextlib
import datetime
import gc
import json
import pathlib
import random
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time

import torch
from step import machine
from step_pytorch import Trainer, make

WARM_UP = 10
SWEEP = """
[sweep]
name = "gpu"
method = "grid"
objective = {{ metric = "train/loss", goal = "minimize", at = "last" }}
[train]
learning_rate = 2e-5
batch_size = {batch}
max_length = {length}
max_steps = {steps}
epochs = 1
dropout = 0.1
precision = "{precision}"
evaluations_per_epoch = 1
[model]
path = "{folder}/model"
[data]
train = "{folder}/train.tsv"
validation = "none"
validation_fraction = 0.0
[run]
device = "{device}"
keep_best = 0
"""


def ours(options, folder, batch, length, precision):
    """Returns the median seconds of a step as the sweep recorded them, or why there are none."""
    steps = options.steps + WARM_UP
    values = {"batch": batch, "length": length, "steps": steps, "folder": folder, "device": options.device}
    values["precision"] = precision
    (folder / "sweep.toml").write_text(SWEEP.format(**values))
    home = tempfile.mkdtemp(dir=folder)
    command = [options.program, "--home", home, "run", str(folder / "sweep.toml")]
    process = subprocess.run(command, capture_output=True, text=True)
    if process.returncode:
        return None, process.stderr.strip()
    with contextlib.closing(sqlite3.connect(f"{home}/sweeps.db")) as database:
        rows = database.execute("select value from curves where metric = 'train/seconds' order by step")
        return statistics.median([value for (value,) in rows][WARM_UP:]), ""


def theirs(options, folder, batch, length, precision):
    trainer = Trainer(str(folder / "model"), "tuned", options.device, precision)
    trainer.prepare(batch, length)
    times = []
    for _ in range(options.steps + WARM_UP):
        begin = time.perf_counter()
        trainer.step()  # its last call waits for the device
        times.append(time.perf_counter() - begin)
    peak = torch.cuda.max_memory_allocated() if options.device != "cpu" else 0
    del trainer
    gc.collect()
    if options.device != "cpu":
        # What PyTorch keeps would be missing to our process.
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    return statistics.median(times[WARM_UP:]), peak


def main():
    parser = argparse.ArgumentParser(prog="scripts/bench/gpu")
    parser.add_argument("--program", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--shape", default="12x768:32x128")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    if options.device != "cpu" and not torch.cuda.is_available():
        raise SystemExit("error: PyTorch sees no CUDA device\nhint: `nvidia-smi` tells whether the driver does")
    layers, hidden, batch, length = map(int, options.shape.replace(":", "x").split("x"))
    words = [
        word
        for word in pathlib.Path("models/minilm/vocab.txt").read_text().split("\n")
        if word.isalpha() and word.isascii()
    ]
    generator = random.Random(42)
    kinds = [(torch.float32, "float32"), (torch.bfloat16, "bfloat16")]
    seconds = {f"{who} {kind}": [] for _, kind in kinds for who in ("ours", "PyTorch")}
    peaks, reasons = {}, {}
    with tempfile.TemporaryDirectory(prefix="converge-bench-") as name:
        folder = pathlib.Path(name)
        make(folder / "model", layers, hidden)
        texts = (" ".join(generator.choices(words, k=length - 2)) for _ in range(batch * (options.steps + WARM_UP)))
        (folder / "train.tsv").write_text("text\tlabel\n" + "".join(f"{t}\t{n % 2}\n" for n, t in enumerate(texts)))
        for _ in range(options.rounds):
            for precision, kind in kinds:
                key = f"PyTorch {kind}"
                median, peaks[key] = theirs(options, folder, batch, length, precision)
                seconds[key].append(median)
                median, reason = ours(options, folder, batch, length, kind)
                if median is None:
                    reasons[kind] = reason
                else:
                    seconds[f"ours {kind}"].append(median)
    for kind, reason in reasons.items():
        print(f"ours in {kind} left out; it said:\n{reason}", file=sys.stderr)
    print(
        f"| {options.shape} on {options.device} | ms a step | ours over it | peak MB on the device |\n|---|---|---|---|"
    )
    for key, rounds in seconds.items():
        if not rounds:
            continue
        same = seconds["ours " + key.rsplit(" ", 1)[1]]
        over = [theirs / mine for theirs, mine in zip(rounds, same, strict=False)]
        print(
            f"| {key} | {statistics.median(rounds) * 1e3:.2f} | {f'{statistics.median(over):.2f}' if over else '-'} | "
            f"{peaks.get(key, 0) / 1e6:.0f} |"
        )
    device = torch.cuda.get_device_name() if options.device != "cpu" else machine()
    print(
        json.dumps(
            {
                "date": datetime.datetime.now().isoformat(timespec="minutes"),
                "device": device,
                "seconds": seconds,
                "peak_bytes": peaks,
            }
        )
    )


if __name__ == "__main__":
    main()
