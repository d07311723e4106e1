#!/usr/bin/env python3
"""The script of `converge show T --as trainer` trains as converge does: 20 steps, dropout 0, losses within 1e-3.

One batch holds all examples, so that the order in which each side draws them does not matter; the model brings its head,
so that both begin with the same weights. The loss on the validation split says that the split is the same.
"""

import csv
import io
import json
import pathlib
import subprocess
import sys

from tiny_bert import converge, write_data, write_model

TOLERANCE = 1e-3
STEPS = 20
SWEEP = """
[sweep]
name = "{name}"
[train]
batch_size = 64
epochs = {steps}
evaluations_per_epoch = 1
dropout = 0.0
{train}
[model]
path = "model"
[data]
train = "data.tsv"
validation_fraction = 0.3
train_limit = 36
"""
CASES = {
    "adamw": 'learning_rate = 2e-3\nweight_decay = 0.1\nwarmup_ratio = 0.2\nmax_grad_norm = 0.5',
    "cosine": 'learning_rate = 1e-3\nschedule = "cosine"\nlabel_smoothing = 0.1\ngradient_accumulation = 2',
    "sgd": 'optimizer = "sgd"\nlearning_rate = 3e-1\nschedule = "constant"\nfreeze = 1\nweight_decay = 0.0',
}


def ours(name):
    """Training losses by step, and the last validation loss."""
    rows = list(csv.DictReader(io.StringIO(converge("export", name))))
    losses = {int(row["step"]): float(row["value"]) for row in rows if row["metric"] == "train/loss"}
    validation = [float(row["value"]) for row in rows if row["metric"] == "validation/loss"]
    return losses, validation[-1]


def theirs(name):
    """The same, from the printed script."""
    script = pathlib.Path(f"{name}.py")
    script.write_text(converge("show", "1", "--sweep", name, "--as", "trainer"))
    done = subprocess.run([sys.executable, str(script)], text=True, capture_output=True)
    if done.returncode != 0:
        sys.exit(f"{script}: exit code {done.returncode}\n{script.read_text()}\n{done.stderr}")
    state = json.loads(pathlib.Path("trial-1/trainer_state.json").read_text())
    losses = {entry["step"]: entry["loss"] for entry in state["log_history"] if "loss" in entry}
    validation = [entry["eval_loss"] for entry in state["log_history"] if "eval_loss" in entry]
    return losses, validation[-1]


def main():
    write_model("model")
    write_data("data.tsv", 60)
    for name, train in CASES.items():
        pathlib.Path(f"{name}.toml").write_text(SWEEP.format(name=name, steps=STEPS, train=train))
        converge("run", f"{name}.toml")
        (losses, validation), (expected, expected_validation) = ours(name), theirs(name)
        assert len(losses) == len(expected) == STEPS, (losses, expected)
        worst = max(abs(losses[step] - expected[step]) for step in losses)
        apart = abs(validation - expected_validation)
        fall = losses[1] - losses[STEPS]
        print(f"{name}: losses differ by {worst:.1e} at most, on validation by {apart:.1e}; they fell by {fall:.2f}")
        assert worst <= TOLERANCE, {step: (losses[step], expected[step]) for step in losses}
        # With smoothing the Trainer's evaluation is smoothed too, ours is not.
        assert apart <= TOLERANCE or "smoothing" in train, (validation, expected_validation)
        # Equal losses of a model that does not learn would say little.
        assert fall > 0.03, losses


if __name__ == "__main__":
    main()
