"""Drives scripts/bench/orchestration; `scripts/bench/orchestration --help` says what is measured."""

import argparse
import contextlib
import datetime
import importlib.util
import json
import os
import pathlib
import sqlite3
import subprocess
import sys
import tempfile
import time

from step import machine

CORES = len(os.sched_getaffinity(0))
OPTUNA = ("optuna-rdb", "optuna-rdb-wal", "optuna-journal")
NAMES = ("ours", *OPTUNA, "hyperqueue")
SWEEP = """
[sweep]
name = "null"
method = "random"
[budget]
max_trials = {trials}
[model]
preset = "tiny"
[data]
train = "none.tsv"
[parameters]
learning_rate = {{ distribution = "log_uniform_values", min = 1e-6, max = 1e-1 }}
[run]
device = "scripted"
keep_best = 0
[[run.script]]
steps = {steps}
"""


def say(*words):
    print(*words, file=sys.stderr, flush=True)


def our_sweep(programs, folder, trials, steps):
    """Runs a scripted sweep; returns its seconds and what it stored."""
    path = pathlib.Path(folder)
    (path / "sweep.toml").write_text(SWEEP.format(trials=trials, steps=steps))
    command = [f"{programs}/converge", "--home", f"{folder}/home", "run", f"{folder}/sweep.toml"]
    begin = time.perf_counter()
    with open(path / "log", "w") as log:
        code = subprocess.run(command, stdout=log, stderr=log).returncode
    seconds = time.perf_counter() - begin
    if code:
        raise SystemExit(f"error: converge ended with {code}:\n{(path / 'log').read_text()[-2000:]}")
    with contextlib.closing(sqlite3.connect(f"file:{folder}/home/sweeps.db?mode=ro", uri=True)) as database:
        (done,) = database.execute("select count(*) from sweep_trials where state = 'completed'").fetchone()
        (observations,) = database.execute("select count(*) from observations").fetchone()
    assert done == trials, f"{done} of {trials} trials completed"
    return seconds, observations


def study_of(name, folder):
    import optuna
    import sqlalchemy
    from optuna.storages import JournalStorage, RDBStorage
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    if name == "optuna-journal":
        storage = JournalStorage(JournalFileBackend(f"{folder}/journal.log"))
    else:
        if name == "optuna-rdb-wal" and not hasattr(study_of, "listening"):
            study_of.listening = True

            @sqlalchemy.event.listens_for(sqlalchemy.engine.Engine, "connect")
            def tune(connection, _):
                if study_of.name == "optuna-rdb-wal":
                    connection.execute("pragma journal_mode = wal")
                    connection.execute("pragma synchronous = normal")

        study_of.name = name
        storage = RDBStorage(f"sqlite:///{folder}/study.db")
    sampler = optuna.samplers.RandomSampler(seed=42)
    return optuna.create_study(storage=storage, sampler=sampler, study_name="null")


def optuna_trials(name, folder, trials, limit):
    study = study_of(name, folder)
    ends = []
    begin = time.perf_counter()

    def objective(trial):
        return trial.suggest_float("learning_rate", 1e-6, 1e-1, log=True)

    study.optimize(objective, n_trials=trials, timeout=limit, callbacks=[lambda *_: ends.append(time.perf_counter())])
    seconds = time.perf_counter() - begin
    tail = max(1, len(ends) // 10)
    last = (ends[-1] - ends[-1 - tail]) / tail if len(ends) > tail else seconds / len(ends)
    return {"done": len(ends), "seconds": seconds, "last_tenth": last}


def optuna_observations(name, folder, limit):
    study = study_of(name, folder)
    done, begin = 0, time.perf_counter()
    # As many steps a trial as there is time for, up to those of ours.
    while time.perf_counter() - begin < limit and done < 200_000:
        trial = study.ask()
        for step in range(10_000):
            trial.report(0.5, step)
            done += 1
            if time.perf_counter() - begin >= limit:
                break
        study.tell(trial, 0.5)
    return {"done": done, "seconds": time.perf_counter() - begin}


@contextlib.contextmanager
def silent():
    """Turns both outputs off: HyperQueue's server is native code and prints what it likes."""
    kept = os.dup(1), os.dup(2)
    with open(os.devnull, "w") as nothing:
        os.dup2(nothing.fileno(), 1), os.dup2(nothing.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept[0], 1), os.dup2(kept[1], 2)
        os.close(kept[0]), os.close(kept[1])


def hyperqueue_trials(folder, trials):
    from hyperqueue import Job
    from hyperqueue.cluster import LocalCluster, WorkerConfig

    with silent(), LocalCluster(folder, WorkerConfig(cores=CORES)) as cluster:
        client = cluster.client()
        begin = time.perf_counter()
        job = Job()
        for _ in range(trials):
            job.program(["true"], stdout=None, stderr=None)
        client.wait_for_jobs([client.submit(job)])
        seconds = time.perf_counter() - begin
    return {"done": trials, "seconds": seconds}


def ingest(programs):
    """Returns what the store alone takes in: the lines of its example."""
    text = subprocess.run([f"{programs}/examples/ingest"], check=True, capture_output=True, text=True).stdout
    return [line.split() for line in text.splitlines()[1:]]


def trials_table(sizes, results):
    yield "Milliseconds per null trial, start-up included; (n): only n done within the limit. Right: trials a second."
    yield ""
    yield f"| contender | {' | '.join(f'{size:,}' for size in sizes)} | trials/s at the largest | ours over it |"
    yield "|---" * (len(sizes) + 3) + "|"
    rates = {name: list(by.values())[-1] for name, by in results.items() if by}
    for name, by in results.items():
        cells = []
        for size in sizes:
            result = by.get(size)
            short = f" ({result['done']:,})" if result and result["done"] < size else ""
            cells.append(f"{result['seconds'] / result['done'] * 1e3:.2f}{short}" if result else "-")
        rate = rates[name]["done"] / rates[name]["seconds"]
        mine = rates["ours"]["done"] / rates["ours"]["seconds"] / rate if "ours" in rates else float("nan")
        yield f"| {name} | {' | '.join(cells)} | {rate:,.0f} | {mine:.1f} |"


def observations_table(results):
    yield "| contender | observations | seconds | a second | ours over it |"
    yield "|---|---|---|---|---|"
    rates = {name: result["done"] / result["seconds"] for name, result in results.items()}
    for name, result in results.items():
        over = f"{rates['ours'] / rates[name]:,.0f}" if "ours" in rates else "-"
        yield f"| {name} | {result['done']:,} | {result['seconds']:.1f} | {rates[name]:,.0f} | {over} |"


def measure_trials(name, size, options):
    with tempfile.TemporaryDirectory(prefix="converge-bench-") as folder:
        if name == "ours":
            seconds, _ = our_sweep(options.programs, folder, size, 1)
            return {"done": size, "seconds": seconds}
        if name == "hyperqueue":
            return hyperqueue_trials(folder, size)
        return optuna_trials(name, folder, size, options.limit)


def measure_observations(name, options):
    with tempfile.TemporaryDirectory(prefix="converge-bench-") as folder:
        if name == "ours":
            seconds, observations = our_sweep(options.programs, folder, 20, 10_000)
            return {"done": observations, "seconds": seconds}
        return optuna_observations(name, folder, min(options.limit, 30))


def main():
    parser = argparse.ArgumentParser(prog="scripts/bench/orchestration")
    parser.add_argument("--programs", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--sizes", default="100,1000,10000")
    parser.add_argument("--huge", action="store_true")
    parser.add_argument("--limit", type=float, default=60)
    parser.add_argument("--only", default=",".join(NAMES))
    options = parser.parse_args()
    sizes = [int(size) for size in options.sizes.split(",")] + [100_000] * options.huge
    wanted = options.only.split(",")
    if unknown := set(wanted) - set(NAMES):
        parser.error(f"--only knows {', '.join(NAMES)}; not {', '.join(sorted(unknown))}")
    if "hyperqueue" in wanted and not importlib.util.find_spec("hyperqueue"):
        say("hyperqueue is not installed (scripts/bench/requirements.txt) and is left out")
        wanted.remove("hyperqueue")
    head = {"date": datetime.datetime.now().isoformat(timespec="minutes"), "machine": machine()}
    names = [name for name in NAMES if name in wanted]
    trials = {name: {} for name in names}
    for size in sizes:
        for name in names:
            before = list(trials[name].values())[-1:]
            # A process per task takes milliseconds each: what cannot end within the limit is not begun.
            if name == "hyperqueue" and before:
                expected = before[0]["seconds"] / before[0]["done"] * size
                if expected > 3 * options.limit:
                    continue
            if name in OPTUNA and before and before[0]["done"] < before[0].get("size", 0):
                continue
            result = measure_trials(name, size, options)
            trials[name][size] = {**result, "size": size}
            say(f"{name}: {result['done']:,} of {size:,} null trials in {result['seconds']:.2f} s")
    observations = {}
    for name in (name for name in names if name != "hyperqueue"):
        observations[name] = result = measure_observations(name, options)
        say(f"{name}: {result['done']:,} observations in {result['seconds']:.2f} s")
    store = ingest(options.programs) if "ours" in names else []
    print("\n".join(trials_table(sizes, trials)) + "\n")
    print("\n".join(observations_table(observations)) + "\n")
    for metrics, steps, rate, *_ in store:
        print(f"Our store alone, {metrics} metrics a step, {steps} steps a transaction: {int(rate):,} observations/s")
    print(json.dumps({**head, "trials": trials, "observations": observations, "store": store}))


if __name__ == "__main__":
    main()
