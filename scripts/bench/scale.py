"""Drives scripts/bench/scale; `scripts/bench/scale --help` says what is measured."""

import argparse
import contextlib
import datetime
import json
import os
import pathlib
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time

from step import machine

LEFT = 20
SWEEP = """
[sweep]
name = "{name}"
method = "random"
[budget]
max_trials = {trials}
[model]
preset = "tiny"
[data]
train = "none.tsv"
[parameters]
learning_rate = {{ distribution = "log_uniform_values", min = 1e-6, max = 1e-1 }}
batch_size = {{ values = [8, 16, 32, 64] }}
optimizer = {{ values = ["adamw", "sgd"] }}
momentum = {{ min = 0.0, max = 0.95, when = {{ optimizer = "sgd" }} }}
[run]
device = "scripted"
workers = 2
[[run.script]]
steps = 24
step_milliseconds = {pause}
"""


def say(*words):
    print(*words, file=sys.stderr, flush=True)


class Home:
    def __init__(self, folder, programs):
        self.folder, self.programs = pathlib.Path(folder), programs
        self.database = self.folder / "home" / "sweeps.db"

    def command(self, *words):
        return [f"{self.programs}/converge", "--home", str(self.folder / "home"), *words]

    def query(self, sql, *values):
        with contextlib.closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)) as database:
            return database.execute(sql, values).fetchall()

    def file(self, name, trials, pause):
        path = self.folder / f"{name}.toml"
        path.write_text(SWEEP.format(name=name, trials=trials, pause=pause))
        return str(path)

    def make(self, trials):
        for name in ("first", "second", "third"):
            subprocess.run(self.command("run", self.file(name, 40, 0)), check=True, capture_output=True)
        begun = time.perf_counter()
        self.until_started(self.command("run", self.file("long", trials + LEFT, 2000)), signal.SIGINT, patience=600)
        say(f"a sweep of {trials + LEFT:,} trials, created in {time.perf_counter() - begun:.1f} s")
        done = subprocess.run(
            [f"{self.programs}/examples/populate", str(self.database), str(LEFT)],
            check=True, capture_output=True, text=True,
        )
        say(f"past: {done.stdout.strip()}")

    def until_started(self, command, stop, patience=60):
        """Runs a scheduler until it has started a trial, then stops it; returns the seconds to that start."""
        (last,) = self.query("select coalesce(max(id), 0) from attempts")[0] if self.database.exists() else (0,)
        begun = time.time()
        with open(self.folder / "log", "w") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log)
        started = None
        while started is None:
            if process.poll() is not None or time.time() - begun > patience:
                process.kill()
                raise SystemExit(f"error: no trial started:\n{(self.folder / 'log').read_text()[-2000:]}")
            time.sleep(0.005)
            with contextlib.suppress(sqlite3.OperationalError):
                found = self.query("select min(started_at_ms) from attempts where id > ?", last)
                started = found[0][0]
        process.send_signal(stop)
        process.wait()
        return started / 1000 - begun

    def forget(self):
        """Has the system drop what it holds in memory of the database and the program."""
        for path in (self.database, pathlib.Path(f"{self.programs}/converge")):
            with open(path, "rb") as file:
                os.fsync(file.fileno())
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)

    def timed(self, *words):
        with open(self.folder / "out", "w") as out:
            begun = time.perf_counter()
            subprocess.run(self.command(*words), check=True, stdout=out)
            return time.perf_counter() - begun


def measure(home, rounds, export):
    interrupted = lambda: home.until_started(home.command("resume"), signal.SIGINT)
    killed = lambda: home.until_started(home.command("resume"), signal.SIGKILL)
    plain = lambda *words: lambda: home.timed(*words)
    # Name, limit in seconds, what is run.
    rows = [
        ("resume, to the first new trial", 2.0, interrupted),
        ("best", 0.020, plain("best")),
        ("status", 0.100, plain("status")),
        ("best --json", None, plain("best", "--json")),
        ("best --top 1000", None, plain("best", "--top", "1000")),
        ("best --metric train/loss", None, plain("best", "--metric", "train/loss")),
        ("show best", None, plain("show", "best")),
        ("curve 1,2 train/loss", None, plain("curve", "1,2", "train/loss")),
        ("trials", None, plain("trials")),
        ("--version", None, plain("--version")),
    ]
    results = {}
    for name, limit, run in rows:
        run()
        warm = sorted(run() for _ in range(rounds))
        cold = []
        for _ in range(min(rounds, 3)):
            home.forget()
            cold.append(run())
        results[name] = {"limit": limit, "warm": statistics.median(warm), "worst": warm[-1],
                         "cold": statistics.median(cold)}
        say(f"{name}: {results[name]['warm'] * 1e3:.1f} ms, cold {results[name]['cold'] * 1e3:.1f} ms")
    # Each round leaves a killed scheduler to the next.
    killed()
    warm = sorted(killed() for _ in range(rounds))
    interrupted()
    results["resume, after kill -9"] = {"limit": None, "warm": statistics.median(warm), "worst": warm[-1], "cold": None}
    if export:
        seconds = home.timed("export")
        results["export"] = {"limit": None, "warm": seconds, "worst": seconds, "cold": None}
    return results


def table(results):
    yield "| command | limit | warm, median | worst | cold |"
    yield "|---|---|---|---|---|"
    shown = lambda seconds: "-" if seconds is None else f"{seconds * 1e3:,.1f} ms"
    for name, result in results.items():
        times = " | ".join(shown(result[key]) for key in ("limit", "warm", "worst", "cold"))
        yield f"| {name} | {times} |"


def main():
    parser = argparse.ArgumentParser(prog="scripts/bench/scale")
    parser.add_argument("--programs", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--trials", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--home", type=pathlib.Path)
    parser.add_argument("--no-export", action="store_true")
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = options.home or stack.enter_context(tempfile.TemporaryDirectory(prefix="converge-scale-"))
        home = Home(folder, options.programs)
        if not home.database.exists():
            home.folder.mkdir(parents=True, exist_ok=True)
            home.make(options.trials)
        results = measure(home, options.rounds, not options.no_export)
        (trials,) = home.query("select count(*) from sweep_trials where ended_at_ms is not null")[0]
        (observations,) = home.query("select count(*) from observations")[0]
        size = home.database.stat().st_size
    print(f"{trials:,} finished trials, {observations:,} observations, {size / 1e6:,.0f} MB\n")
    print("\n".join(table(results)) + "\n")
    missed = [name for name, result in results.items() if result["limit"] and result["warm"] > result["limit"]]
    for name in missed:
        say(f"{name} is over its limit")
    print(json.dumps({
        "date": datetime.datetime.now().isoformat(timespec="minutes"), "machine": machine(),
        "trials": trials, "observations": observations, "bytes": size, "results": results,
    }))
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
