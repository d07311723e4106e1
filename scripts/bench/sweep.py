"""Drives scripts/bench/sweep; `scripts/bench/sweep --help` says what is measured."""

import argparse
import datetime
import json
import math
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import time
import tomllib

import sweep_rows
from step import KEEP_MEMORY, machine

HERE = pathlib.Path(__file__).parent
CORES = len(os.sched_getaffinity(0))
SWEEP = "sweeps/bench_grid.toml"
# Parts of the grid, each with all the kinds of work that the whole has.
PARTS = {
    1: {"learning_rate": [5e-5], "batch_size": [16], "dropout": [0.1]},
    2: {"learning_rate": [5e-5], "batch_size": [16, 32], "dropout": [0.1]},
    4: {"learning_rate": [5e-5], "batch_size": [16, 32], "dropout": [0.1, 0.3]},
    12: {},
}


def say(*words):
    print(*words, file=sys.stderr, flush=True)


class Watch(threading.Thread):
    """Notes when each frame arrives in our workers' logs: that is when a step, or its evaluation, was done."""

    def __init__(self, home):
        super().__init__(daemon=True)
        self.home, self.done = home, threading.Event()
        self.read, self.rest, self.frames = {}, {}, []

    def run(self):
        while not self.done.wait(0.02):
            self.look()
        self.look()

    def look(self):
        for path in self.home.glob("workers/*/up.log"):
            if path.stat().st_size == self.read.get(path, 0):
                continue
            with path.open("rb") as file:
                file.seek(self.read.get(path, 0))
                new = file.read()
            self.read[path] = self.read.get(path, 0) + len(new)
            *lines, self.rest[path] = (self.rest.get(path, b"") + new).split(b"\n")
            now = time.perf_counter()
            self.frames += [(now, json.loads(line.split(b" ", 2)[2])) for line in lines]

    def parts(self):
        """Returns seconds of all workers together: loading, steps, evaluations (saving the best included), the rest."""
        parts = dict.fromkeys(("load", "step", "evaluation", "end", "tokens", "steps"), 0.0)
        last = {}
        for now, frame in self.frames:
            attempt = frame.get("attempt")
            if frame["type"] == "step":
                metrics = dict(frame["metrics"])
                parts["step"] += metrics["train/seconds"]
                parts["tokens"] += metrics["train/tokens"]
                parts["steps"] += 1
                rest = max(0.0, now - last[attempt] - metrics["train/seconds"])
                if "validation/loss" in metrics:
                    parts["evaluation"] += rest
                elif frame["step"] == 1:
                    parts["load"] += rest
            elif frame["type"] == "ended":
                parts["end"] += now - last[attempt]
            last[attempt] = now
        return parts


def ours(program, grid, rows):
    with tempfile.TemporaryDirectory(prefix="converge-bench-") as folder:
        home = pathlib.Path(folder) / "home"
        overrides = [f"{name}={','.join(map(str, values))}" for name, values in grid.items()]
        overrides += [f"data.train_limit={rows}", f"data.validation_limit={rows}"]
        watch = Watch(home)
        watch.start()
        begin = time.perf_counter()
        command = [program, "--home", str(home), "run", SWEEP]
        subprocess.run([*command, *overrides], check=True, stdout=subprocess.DEVNULL)
        wall = time.perf_counter() - begin
        watch.done.set()
        watch.join()
        query = ["--home", str(home), "trials", "--json"]
        trials = subprocess.run([program, *query], check=True, capture_output=True, text=True).stdout
    parts = watch.parts()
    return {"wall": wall, "accuracy": best_of(trials), "computed": parts["tokens"], **parts}


def best_of(trials):
    values = [trial["objective"] for trial in json.loads(trials) if trial["objective"] is not None]
    if not values:
        raise SystemExit(f"error: no trial of ours has an objective: {trials[:300]}")
    return max(values)


def theirs(mode, grid, definition):
    count = min(2, math.prod(map(len, grid.values()))) if mode == "best" else 1
    with tempfile.TemporaryDirectory(prefix="converge-bench-") as folder:
        job = sweep_rows.draw(definition) | {
            "grid": grid,
            "model": definition["model"]["path"],
            "max_length": definition["train"]["max_length"],
            "epochs": definition["train"]["epochs"],
        }
        (pathlib.Path(folder) / "job.json").write_text(json.dumps(job))
        variables = dict(os.environ, TOKENIZERS_PARALLELISM="false")
        if mode == "best":
            variables |= {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", **KEEP_MEMORY}
        command = [sys.executable, str(HERE / "sweep_optuna.py"), folder]
        subprocess.run([*command, "create", str(count - 1)], check=True, env=variables, stderr=subprocess.DEVNULL)
        begin = time.perf_counter()
        variables["BENCH_STARTED"] = str(time.time())
        running = []
        for number in range(count):
            with open(f"{folder}/log-{number}", "w") as log:
                running.append(subprocess.Popen([*command, mode, str(number)], env=variables, stdout=log, stderr=log))
        codes = [process.wait() for process in running]
        wall = time.perf_counter() - begin
        if any(codes):
            for number in (number for number, code in enumerate(codes) if code):
                say(pathlib.Path(folder, f"log-{number}").read_text()[-3000:])
            raise SystemExit(f"error: the sweep of Optuna and Trainer ({mode}) ended with {codes}")
        reports = [json.loads(pathlib.Path(folder, f"report-{n}.json").read_text()) for n in range(count)]
    trials = [trial for report in reports for trial in report["trials"]]
    parts = {n: sum(trial[n] for trial in trials) for n in ("step", "evaluation", "tokens", "computed", "steps")}
    rest = sum(trial["total"] for trial in trials) - parts["step"] - parts["evaluation"]
    cells = {tuple(trial[name] for name in grid) for trial in trials}
    return {
        "wall": wall,
        "accuracy": max(trial["accuracy"] for trial in trials),
        "load": rest,
        "end": 0.0,
        "start_up": [report["start_up"] for report in reports],
        "repeated_cells": len(trials) - len(cells),
        **parts,
    }


def breakdown(result, processes):
    """Returns wall seconds by part: those of all processes over their number, and what is left."""
    step, evaluation = result["step"] / processes, result["evaluation"] / processes
    trial = (result["load"] + result["end"]) / processes
    left = result["wall"] - step - evaluation - trial
    return {"step": step, "evaluation": evaluation, "per trial": trial, "start-up, idle": left}


def tables(results, processes):
    base = results["ours"]
    yield "| contender | wall clock, s | over ours | best validation accuracy |"
    yield "|---|---|---|---|"
    for name, result in results.items():
        yield f"| {name} | {result['wall']:.1f} | {result['wall'] / base['wall']:.2f} | {result['accuracy']:.1%} |"
    yield ""
    yield "Where the wall clock goes (seconds; in brackets times ours). A step's time is padding x time per computed token."
    yield ""
    yield "| contender | step | padding: computed / real tokens | ms per 1000 computed tokens | evaluation | loading and saving per trial | start-up, idle |"
    yield "|---|---|---|---|---|---|---|"
    mine = breakdown(base, processes["ours"])
    rate = {n: 1e6 * r["step"] / processes[n] / r["computed"] for n, r in results.items()}
    for name, result in results.items():
        parts = breakdown(result, processes[name])
        cells = {
            part: f"{s:.1f} ({s / mine[part]:.2f})" if mine[part] > 0.05 else f"{s:.1f}" for part, s in parts.items()
        }
        padding = result["computed"] / result["tokens"]
        yield (
            f"| {name} | {cells['step']} | {padding:.2f} | {rate[name]:.0f} ({rate[name] / rate['ours']:.2f}) | "
            f"{cells['evaluation']} | {cells['per trial']} | {cells['start-up, idle']} |"
        )


def main():
    parser = argparse.ArgumentParser(prog="scripts/bench/sweep")
    parser.add_argument("--program", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--trials", type=int, choices=PARTS, default=12)
    parser.add_argument("--rows", type=int, default=512)
    parser.add_argument("--only", default="ours,best,default")
    options = parser.parse_args()
    with open(SWEEP, "rb") as file:
        definition = tomllib.load(file)
    definition["data"] |= {"train_limit": options.rows, "validation_limit": options.rows}
    grid = PARTS[options.trials] or {n: p["values"] for n, p in definition["parameters"].items()}
    wanted = options.only.split(",")
    if unknown := set(wanted) - {"ours", "best", "default"}:
        parser.error(f"--only knows ours, best and default, not {', '.join(sorted(unknown))}")
    head = {"date": datetime.datetime.now().isoformat(timespec="minutes"), "machine": machine()}
    results, runs = {}, []
    order = [name for name in ("ours", "best", "default") if name in wanted]
    for name in order + (["ours"] if len(order) > 1 and "ours" in order else []):
        result = (
            ours(options.program, PARTS[options.trials], options.rows)
            if name == "ours"
            else theirs(name, grid, definition)
        )
        runs.append((name, result))
        say(f"{name}: {result['wall']:.1f} s, best accuracy {result['accuracy']:.1%}")
    for name in order:
        same = [result for other, result in runs if other == name]
        numeric = [key for key, value in same[0].items() if isinstance(value, int | float)]
        results[name] = same[0] | {key: math.fsum(r[key] for r in same) / len(same) for key in numeric}
    if len({round(result["tokens"]) for result in results.values()}) > 1:
        tokens = {name: result["tokens"] for name, result in results.items()}
        say(f"warning: not the same rows: tokens trained on {tokens}; see sweep_rows.py")
    processes = {"ours": min(CORES, options.trials), "best": min(2, options.trials), "default": 1}
    if "ours" in results:
        print("\n".join(tables(results, processes)))
    print(json.dumps({**head, "trials": options.trials, "rows": options.rows, "runs": runs}))


if __name__ == "__main__":
    main()
