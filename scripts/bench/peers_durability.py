"""Drives scripts/bench/peers_durability; `scripts/bench/peers_durability --help` says what is done."""

import argparse
import contextlib
import datetime
import importlib.metadata
import json
import os
import pathlib
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time

from step import machine

HERE = pathlib.Path(__file__).parent
PROCESSES = 24
EACH = 2
DRAWS = 8
POINTS = [(x, y) for x in (0, 1, 2) for y in (0, 1)]
ACCIDENTS = {
    "1": f"{PROCESSES} processes start at once",
    "2": "`kill -9` in a trial, the same command again",
    "3": "a grid point fails, then works",
    "4": "a finished grid started again",
}
SWEEP = """
[sweep]
name = "{name}"
method = "{method}"
seed = 7
[model]
preset = "tiny"
[data]
train = "none.tsv"
[run]
device = "scripted"
workers = {workers}
"""
RANDOM = """
[budget]
max_trials = {trials}
[parameters]
learning_rate = {{ distribution = "log_uniform_values", min = 1e-6, max = 1e-1 }}
"""
GRID = """
[parameters]
learning_rate = { values = [1e-5, 1e-4, 1e-3] }
batch_size = { values = [16, 32] }
"""
SCRIPT = """
[[run.script]]
steps = {steps}
step_milliseconds = {pause}
"""
FAILING = """
[[run.script]]
when = {{ learning_rate = 1e-4, batch_size = 16 }}
steps = 4
at_step = 2
end = "{end}"
attempts = 1
"""


def say(*words):
    print(*words, file=sys.stderr, flush=True)


def outcome(dead=0, repeated=0, holes=0, zombies=0, note=""):
    return {"dead": dead, "repeated": repeated, "holes": holes, "zombies": zombies, "note": note}


# Optuna


def start(folder, url, sampler, trials, *more):
    command = [sys.executable, HERE / "peers_durability_optuna.py", url, sampler, str(trials), *more]
    log = open(pathlib.Path(folder) / "log", "a")
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True)


def go(processes):
    """Lets processes begin at the same moment; returns their exit codes."""
    for process in processes:
        process.stdout.readline()
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    return [process.wait() for process in processes]


def optuna_trials(url):
    """Returns the point and state of each trial."""
    import optuna

    from peers_durability_optuna import storage

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.load_study(study_name="study", storage=storage(url))
    return [(tuple(sorted(trial.params.items())), trial.state.name) for trial in study.trials]


def counted(trials, expected, dead=0, note=""):
    """Counts what is wrong with trials: `expected` is the points that should have a result, or how many."""
    points = [point for point, _ in trials if point]
    done = {point for point, state in trials if state == "COMPLETE"}
    holes = expected - len(done) if isinstance(expected, int) else len(set(expected) - done)
    return outcome(
        dead=dead,
        repeated=len(points) - len(set(points)),
        holes=max(0, holes),
        zombies=sum(state == "RUNNING" for _, state in trials),
        note=note,
    )


def optuna_start(folder, url, made):
    if made:
        go([start(folder, url, "none", 0)])
    codes = go([start(folder, url, "none", EACH) for _ in range(PROCESSES)])
    return counted(optuna_trials(url), PROCESSES * EACH, dead=sum(code != 0 for code in codes))


def optuna_killed(folder, url):
    go([start(folder, f"{url}-undisturbed", "7", DRAWS)])
    undisturbed = [point for point, _ in optuna_trials(f"{url}-undisturbed")]
    go([start(folder, url, "7", DRAWS, "--kill-in", "3")])
    (code,) = go([start(folder, url, "7", DRAWS)])
    trials = optuna_trials(url)
    return counted(trials, undisturbed, dead=int(code != 0), note=f"{len(trials)} trials for {DRAWS}")


def grid_points():
    return [(("x", x), ("y", y)) for x, y in POINTS]


def optuna_failing(folder, url):
    codes = go([start(folder, url, "grid", 100, "--fail-at", "1,0")])
    codes += go([start(folder, url, "grid", 100)])
    trials = optuna_trials(url)
    return counted(trials, grid_points(), dead=sum(code != 0 for code in codes), note=f"{len(trials)} trials for 6")


def optuna_again(folder, url):
    codes = go([start(folder, url, "grid", 100)])
    codes += go([start(folder, url, "grid", 100)])
    trials = optuna_trials(url)
    return counted(trials, grid_points(), dead=sum(code != 0 for code in codes), note=f"{len(trials)} trials for 6")


# Ours


class Ours:
    def __init__(self, program, folder):
        self.program, self.folder = program, pathlib.Path(folder)
        self.database = self.folder / "home" / "sweeps.db"

    def file(self, *parts):
        path = self.folder / "sweep.toml"
        path.write_text("".join(parts))
        return str(path)

    def start(self, *words, log="log"):
        with open(self.folder / log, "w") as out:
            command = [self.program, "--home", str(self.folder / "home"), *words]
            return subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)

    def said(self, log="log"):
        return (self.folder / log).read_text()

    def query(self, sql):
        with contextlib.closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)) as database:
            return database.execute(sql).fetchall()

    def pids(self):
        return [pid for (pid,) in self.query("select pid from workers where ended_at_ms is null and pid is not null")]

    def counted(self, expected, dead=0, note=""):
        def one(sql):
            return self.query(sql)[0][0]

        again = one("select count(*) from (select distinct configuration from sweep_trials where replicate = 0)")
        repeated = one("select count(*) from sweep_trials where replicate = 0") - again
        # A trial that was done a second time would be a repetition too.
        repeated += one("select count(*) - count(distinct trial) from attempts where ending = 'completed'")
        zombies = one("select count(*) from sweep_trials where state = 'running'")
        zombies += sum(pathlib.Path(f"/proc/{pid}").exists() for pid in self.pids())
        holes = expected - one("select count(*) from sweep_trials where state = 'completed'")
        return outcome(dead, repeated, holes, zombies, note)


def ours_start(program, folder):
    ours = Ours(program, folder)
    sweep = SWEEP.format(name="start", method="random", workers=PROCESSES)
    file = ours.file(sweep, RANDOM.format(trials=PROCESSES * EACH), SCRIPT.format(steps=10, pause=20))
    code = ours.start("run", file).wait()
    exits = [exit for (exit,) in ours.query("select exit from workers")]
    dead = int(code != 0) + sum(exit != "exit code 0" for exit in exits)
    return ours.counted(PROCESSES * EACH, dead, note=f"{len(exits)} workers")


def ours_race(program, folder):
    ours = Ours(program, folder)
    sweep = SWEEP.format(name="race", method="random", workers=2)
    file = ours.file(sweep, RANDOM.format(trials=PROCESSES * EACH), SCRIPT.format(steps=10, pause=50))
    processes = [ours.start("run", file, log=f"log{index}") for index in range(PROCESSES)]
    codes = [process.wait() for process in processes]
    told = [code == 2 and "another converge is running" in ours.said(f"log{index}") and "pid" in ours.said(f"log{index}")
            for index, code in enumerate(codes)]
    dead = sum(code != 0 and not told for code, told in zip(codes, told))
    return ours.counted(PROCESSES * EACH, dead, note=f"{codes.count(0)} ran, {sum(told)} said who does")


def ours_killed(program, folder):
    ours = Ours(program, folder)
    sweep = SWEEP.format(name="killed", method="random", workers=1)
    file = ours.file(sweep, RANDOM.format(trials=DRAWS), SCRIPT.format(steps=10, pause=30))
    process = ours.start("run", file)
    fourth = "select count(*) from sweep_trials where number = 4 and state = 'running'"
    while not (ours.database.exists() and running(ours, fourth)):
        if process.poll() is not None:
            raise SystemExit(f"error: converge ended too early:\n{ours.said()}")
        time.sleep(0.01)
    workers = ours.pids()
    process.kill()
    for pid in workers:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait()
    code = ours.start("run", file).wait()
    (trials,) = ours.query("select count(*) from sweep_trials")[0]
    return ours.counted(DRAWS, int(code != 0), note=f"{trials} trials for {DRAWS}")


def running(ours, sql):
    with contextlib.suppress(sqlite3.OperationalError):
        return ours.query(sql)[0][0] > 0
    return False


def ours_failing(program, folder):
    """A crash: tried again without a word from the user."""
    ours = Ours(program, folder)
    sweep = SWEEP.format(name="failing", method="grid", workers=1)
    file = ours.file(sweep, GRID, FAILING.format(end="panic"), SCRIPT.format(steps=4, pause=0))
    codes = [ours.start("run", file).wait() for _ in range(2)]
    (attempts,) = ours.query("select count(*) from attempts")[0]
    return ours.counted(6, sum(code != 0 for code in codes), note=f"a crash: retried, {attempts} attempts for 6 trials")


def ours_mended(program, folder):
    """An error that no retry would mend: said, and done once the user asks for it."""
    ours = Ours(program, folder)
    sweep = SWEEP.format(name="mended", method="grid", workers=1)
    file = ours.file(sweep, GRID, FAILING.format(end="data"), SCRIPT.format(steps=4, pause=0))
    code = ours.start("run", file).wait()
    told = code == 3 and "1 trial failed" in ours.said()
    code = ours.start("resume", "--retry", "failed").wait()
    return ours.counted(6, int(not told) + int(code != 0), note="an error: said, `resume --retry failed`")


def ours_again(program, folder):
    ours = Ours(program, folder)
    sweep = SWEEP.format(name="again", method="grid", workers=2)
    file = ours.file(sweep, GRID, SCRIPT.format(steps=4, pause=0))
    codes = [ours.start("run", file).wait() for _ in range(2)]
    (trials,) = ours.query("select count(*) from sweep_trials")[0]
    return ours.counted(6, sum(code != 0 for code in codes), note=f"{trials} trials for 6")


def can_retry(program):
    return "--retry" in subprocess.run([program, "resume", "--help"], capture_output=True, text=True).stdout


def plan(program, rounds):
    """Returns accident, contender, rounds, and what to do in a folder."""
    rdb = lambda folder: f"sqlite:///{folder}/study.db"
    journal = lambda folder: f"journal:{folder}/study.log"
    yield "1", "optuna", rounds, lambda folder: optuna_start(folder, rdb(folder), False)
    yield "1", "optuna, made", rounds, lambda folder: optuna_start(folder, rdb(folder), True)
    yield "1", "optuna-journal", rounds, lambda folder: optuna_start(folder, journal(folder), False)
    yield "1", "ours", rounds, lambda folder: ours_start(program, folder)
    yield "1", "ours, 24 commands", rounds, lambda folder: ours_race(program, folder)
    peers = {"2": optuna_killed, "3": optuna_failing, "4": optuna_again}
    mine = {"2": [ours_killed], "3": [ours_failing, ours_mended], "4": [ours_again]}
    if not can_retry(program):
        say("this converge has no `resume --retry`: the error that no retry would mend is left out")
        mine["3"].remove(ours_mended)
    for accident, run in peers.items():
        yield accident, "optuna", 1, lambda folder, run=run: run(folder, rdb(folder))
        yield accident, "optuna-journal", 1, lambda folder, run=run: run(folder, journal(folder))
        for run in mine[accident]:
            yield accident, "ours", 1, lambda folder, run=run: run(program, folder)


def table(results):
    yield "| accident | contender | processes dead | trials repeated | holes | zombies | |"
    yield "|---|---|---|---|---|---|---|"
    for accident, contender, outcomes in results:
        # Of several rounds each is told; equal ones once.
        cells = []
        for column in ("dead", "repeated", "holes", "zombies"):
            values = [outcome[column] for outcome in outcomes]
            cells.append(str(values[0]) if len(set(values)) == 1 else ", ".join(map(str, values)))
        yield f"| {ACCIDENTS[accident]} | {contender} | {' | '.join(cells)} | {outcomes[-1]['note']} |"


def main():
    parser = argparse.ArgumentParser(prog="scripts/bench/peers_durability")
    parser.add_argument("--program", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default=",".join(ACCIDENTS))
    options = parser.parse_args()
    wanted = options.only.split(",")
    if unknown := set(wanted) - set(ACCIDENTS):
        parser.error(f"--only knows {', '.join(ACCIDENTS)}; not {', '.join(sorted(unknown))}")
    program = os.path.abspath(options.program)
    results = []
    for accident, contender, rounds, run in plan(program, options.rounds):
        if accident not in wanted:
            continue
        outcomes = []
        for _ in range(rounds):
            with tempfile.TemporaryDirectory(prefix="converge-durability-") as folder:
                outcomes.append(run(folder))
            say(f"{accident} {contender}: {outcomes[-1]}")
        results.append((accident, contender, outcomes))
    print("\n".join(table(results)) + "\n")
    print(json.dumps({
        "date": datetime.datetime.now().isoformat(timespec="minutes"), "machine": machine(),
        "optuna": importlib.metadata.version("optuna"),
        "results": [
            {"accident": ACCIDENTS[accident], "contender": contender, "rounds": outcomes}
            for accident, contender, outcomes in results
        ],
    }))
    lost = [
        outcome for _, contender, outcomes in results if contender.startswith("ours")
        for outcome in outcomes if any(outcome[column] for column in ("dead", "repeated", "holes", "zombies"))
    ]
    sys.exit(1 if lost else 0)


if __name__ == "__main__":
    main()
