"""Drives scripts/chaos; `scripts/chaos --help` says what happens."""

import argparse
import collections
import contextlib
import datetime
import json
import os
import pathlib
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time

# Killed workers are not the trials' fault.
FAILURE = """
[failure]
retries = { killed = 1000000 }
max_consecutive = "none"
"""
OVERRIDES = ["epochs=36", "run.workers=2", "run.checkpoint_seconds=0.1"]
# Kind, and how often it is drawn.
KINDS = {
    "kill -9 scheduler": 30,
    "kill -9 worker": 25,
    "kill -9 both": 15,
    "SIGTERM scheduler": 8,
    "SIGINT scheduler": 5,
    "SIGHUP scheduler": 3,
    "SIGTERM worker": 5,
    "SIGSTOP, SIGCONT worker": 5,
    "SIGSTOP, SIGCONT scheduler": 4,
}
KILLS = [kind for kind in KINDS if kind.startswith("kill")]
# A scheduler that was signalled before it listens dies of it.
EXITS = {0, 4, -signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT, -signal.SIGHUP}
PATIENCE = 120

OBSERVATIONS = """
    select trial, metric, step, value from curves
    where sweep = ? and metric <> 'train/seconds' order by trial, metric, step"""
FINALS = """
    select number, sweep_trials.state, objective_value, objective_step, best_weights_step, best_weights_value
    from sweep_trials join sweeps on sweeps.id = sweep where sweeps.name = ? order by number"""
EXTREMES = """
    select number, metrics.name, min, min_step, max, max_step, last, last_step
    from trial_metrics join sweep_trials on sweep_trials.id = trial join metrics on metrics.id = metric
    join sweeps on sweeps.id = sweep
    where sweeps.name = ? and metrics.name <> 'train/seconds' order by number, metrics.name"""
WEIGHTS = """
    select number, best_weights_directory from sweep_trials join sweeps on sweeps.id = sweep
    where sweeps.name = ? and best_weights_directory is not null"""
VIOLATIONS = {
    "the database is damaged": "select * from pragma_integrity_check where integrity_check <> 'ok'",
    "rows point to nothing": "select * from pragma_foreign_key_check",
    "trials that are not completed": "select sweep, number, state from sweep_trials where state <> 'completed'",
    "trials without exactly one completed attempt": """select sweep, number from sweep_trials where
        (select count(*) from attempts where trial = sweep_trials.id and ending = 'completed') <> 1""",
    "open attempts": "select id from attempts where ending is null",
    "open workers": "select id from workers where ended_at_ms is null",
    "observations after the fence": """select attempt, step from observations join attempts on attempts.id = attempt
        where seq > closed_seq or seq < opened_seq""",
    "curves with holes": """
        select sweeps.name, number from sweep_trials join sweeps on sweeps.id = sweep_trials.sweep
        left join (select sweep, trial, count(distinct step) as steps, max(step) as last
                   from curves where metric = 'train/loss' group by sweep, trial) as losses
            on losses.sweep = sweeps.name and losses.trial = number
        where steps is not total_steps or last is not total_steps""",
    "curves with doubles": """
        select sweep, trial, metric, step from curves group by sweep, trial, metric, step having count(*) > 1""",
}


def say(*words):
    print(*words, file=sys.stderr, flush=True)


def query(home, sql, *parameters):
    with contextlib.closing(sqlite3.connect(f"file:{home}/sweeps.db?mode=ro", uri=True)) as database:
        return database.execute(sql, parameters).fetchall()


def files(home, name):
    """Returns the best weights of a sweep: content by trial and file."""
    found = {}
    for number, directory in query(home, WEIGHTS, name):
        for path in sorted((home / directory).iterdir()):
            found[number, path.name] = path.read_bytes()
    return found


def results(home, name):
    """Returns all that has to be equal between two runs of the sweep."""
    return {
        "observations": query(home, OBSERVATIONS, name),
        "final values": query(home, FINALS, name),
        "extremes": query(home, EXTREMES, name),
        "best weights": files(home, name),
    }


class Run:
    """Schedulers of one home, one after the other."""

    def __init__(self, program, folder, sweep):
        self.program, self.folder, self.sweep = program, folder, sweep  # The file, and overrides.
        self.home = folder / "home"
        self.scheduler = None
        self.lives = 0
        self.exits = collections.Counter()
        self.wrong = []
        self.number = 0

    def command(self, *arguments):
        self.lives += 1
        log = self.folder / "log"
        with open(log, "w") as out:
            environment = dict(os.environ, CONVERGE_HOME=str(self.home))
            self.scheduler = subprocess.Popen(
                [self.program, *arguments], stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=environment
            )

    def sweeps(self):
        with contextlib.suppress(sqlite3.OperationalError):
            return query(self.home, "select name, state from sweeps order by id")
        return []

    def go_on(self):
        """Starts what a user would start: the unfinished sweep again, or else the next one."""
        sweeps = self.sweeps()
        if any(state != "finished" for _, state in sweeps):
            self.command("resume")
        else:
            self.number = len(sweeps) + 1
            self.command("run", *self.sweep, "--name", f"chaos-{self.number}")

    def ended(self):
        """Notes how the scheduler ended, if it did."""
        if self.scheduler is None:
            return True
        code = self.scheduler.poll()
        if code is None:
            return False
        self.exits[code] += 1
        if code not in EXITS:
            self.wrong.append(f"a scheduler ended with {code}: {(self.folder / 'log').read_text()[-1500:]}")
        self.scheduler = None
        return True

    def workers(self):
        """Returns the pids of the workers that train or are about to; those of a preparation have no folder in the home."""
        found = []
        mark = f"{self.home}/workers/".encode()
        for entry in pathlib.Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    if mark in (entry / "cmdline").read_bytes():
                        found.append(int(entry.name))
        return sorted(found)

    def wait(self, seconds):
        """Waits for the scheduler's end, up to a time."""
        until = time.monotonic() + seconds
        while not self.ended():
            if time.monotonic() > until:
                return False
            time.sleep(0.005)
        return True


def send(pid, number):
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
        return True
    return False


def strike(run, kind, draw, counts):
    """Does one thing to a run; returns whether there was anybody to do it to."""
    scheduler = run.scheduler.pid if run.scheduler else None
    workers = run.workers()
    word = kind.split()
    number = signal.SIGKILL if word[0] == "kill" else getattr(signal, word[0].rstrip(","))
    targets = []
    if word[-1] in ("scheduler", "both") and scheduler:
        targets.append(scheduler)
    if word[-1] == "worker" and workers:
        targets.append(draw.choice(workers))
    if word[-1] == "both":
        if not (scheduler and workers):
            return False
        targets.extend(workers)
    if not targets:
        return False
    for target in targets:
        send(target, number)
    counts[kind] += 1
    counts["processes killed"] += len(targets) * (number == signal.SIGKILL)
    if number == signal.SIGSTOP:
        time.sleep(draw.uniform(0.0, 1.0))
        # Sometimes its scheduler is killed while it is stopped: `resume` then has to do with a worker that does not leave.
        if targets[0] != scheduler and draw.random() < 0.1 and scheduler:
            send(scheduler, signal.SIGKILL)
            counts["kill -9 scheduler"] += 1
            counts["processes killed"] += 1
            run.wait(PATIENCE)
            run.go_on()
            time.sleep(draw.uniform(0.0, 12.0))
        send(targets[0], signal.SIGCONT)
    elif scheduler in targets and not run.wait(PATIENCE):
        run.wrong.append(f"the scheduler lived on for {PATIENCE} s after {kind}")
        send(scheduler, signal.SIGKILL)
    return True


def chaos(run, options, draw):
    counts = collections.Counter()
    until = time.monotonic() + 60 * options.minutes
    shown = time.monotonic()
    while time.monotonic() < until and not run.wrong:
        if run.ended():
            run.go_on()
        # From a moment to several times the mean, so that all phases of a life are met.
        run.wait(min(draw.expovariate(1 / options.every), 6 * options.every))
        if not run.ended():
            strike(run, draw.choices(list(KINDS), KINDS.values())[0], draw, counts)
        if time.monotonic() - shown > 30:
            shown = time.monotonic()
            done = len([state for _, state in run.sweeps() if state == "finished"])
            kills = sum(counts[kind] for kind in KILLS)
            say(f"{int(until - shown)} s left: {kills} kills, {run.lives} lives, {done} sweeps finished")
    # The last one ends in peace.
    while not run.wrong:
        if run.ended():
            if run.sweeps() and all(state == "finished" for _, state in run.sweeps()):
                break
            run.go_on()
        if not run.wait(10 * PATIENCE):
            run.wrong.append("the last sweep does not end")
    return counts


def check(run, expected):
    """Returns everything that is wrong with what the run left."""
    wrong = list(run.wrong)
    for what, sql in VIOLATIONS.items():
        if rows := query(run.home, sql):
            wrong.append(f"{what}: {rows[:5]}")
    for name, _ in run.sweeps():
        found = results(run.home, name)
        for what, reference in expected.items():
            if found[what] != reference:
                wrong.append(f"{what} of {name} differ from those of a run that was left alone")
    kept = {directory for (directory,) in query(
        run.home, "select best_weights_directory from sweep_trials where best_weights_directory is not null")}
    there = {str(path.relative_to(run.home)) for path in run.home.glob("attempts/*/*") if path.is_dir()}
    if kept != there:
        wrong.append(f"folders that nobody needs: {sorted(there - kept)[:5]}; missing: {sorted(kept - there)[:5]}")
    if left := run.workers():
        wrong.append(f"workers that are still there: {left}")
    return wrong


def table(rows, head):
    lines = [f"| {head} | count |", "|---|--:|"]
    return "\n".join(lines + [f"| {name} | {count:,} |" for name, count in rows])


def main():
    parser = argparse.ArgumentParser(prog="scripts/chaos")
    parser.add_argument("--program", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--minutes", type=float, default=1)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--every", type=float, default=1.5)
    parser.add_argument("--trials", type=int, default=12)
    parser.add_argument("--keep", type=pathlib.Path)
    options = parser.parse_args()
    draw = random.Random(options.seed)
    folder = (options.keep or pathlib.Path(tempfile.mkdtemp(prefix="converge-chaos-"))).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "chaos.toml"
    file.write_text(pathlib.Path("sweeps/smoke.toml").read_text() + FAILURE)
    sweep = [str(file), *OVERRIDES, f"sweep.replicates={max(1, options.trials // 6)}"]

    alone = Run(options.program, folder / "alone", sweep)
    alone.folder.mkdir(exist_ok=True)
    begin = time.monotonic()
    alone.go_on()
    if not alone.wait(20 * PATIENCE) or alone.exits[0] != 1:
        raise SystemExit(f"error: the sweep does not even end when it is left alone: {alone.wrong}")
    expected = results(alone.home, "chaos-1")
    seconds = time.monotonic() - begin
    rows = len(expected["observations"])
    say(f"left alone: {len(expected['final values'])} trials, {rows:,} observations, {seconds:.1f} s")

    run = Run(options.program, folder, sweep)
    begin = time.monotonic()
    counts = chaos(run, options, draw)
    minutes = (time.monotonic() - begin) / 60
    wrong = check(run, expected)

    one = lambda sql: query(run.home, sql)[0][0] or 0  # noqa: E731
    kills = sum(counts[kind] for kind in KILLS)
    found = {
        "kill -9, all kinds": kills,
        "processes killed by them": counts["processes killed"],
        "other signals": sum(counts[kind] for kind in KINDS) - kills,
        "lives of the scheduler": run.lives,
        "workers": one("select count(*) from workers"),
        "sweeps finished": one("select count(*) from sweeps where state = 'finished'"),
        "trials completed": one("select count(*) from sweep_trials where state = 'completed'"),
        "observations that count": one("select count(*) from curves"),
        "observations of cut-off attempts": one("select count(*) from observations") - one("select count(*) from curves"),
        "stale frames refused": one("select sum(stale_frames) from workers"),
        "torn lines skipped": one("select sum(torn_lines) from workers"),
    }
    attempts = dict(query(run.home, "select ending, count(*) from attempts group by ending order by 2 desc"))
    print(f"Seed {options.seed}, {minutes:.1f} minutes, a kill or signal every {options.every} s on average.\n")
    print(table([(kind, counts[kind]) for kind in KINDS], "what was done") + "\n")
    print(table([*found.items(), ("**violations**", len(wrong))], "what came of it") + "\n")
    print(table(attempts.items(), "attempts that ended") + "\n")
    for what in wrong:
        say(f"violation: {what}")
    print(json.dumps({
        "date": datetime.datetime.now().isoformat(timespec="minutes"),
        "seed": options.seed, "minutes": round(minutes, 2), "every": options.every,
        "done": dict(counts), "found": found, "attempts": attempts,
        "exits": {str(code): count for code, count in run.exits.items()}, "violations": wrong,
    }))
    if wrong:
        say(f"the home stays in {folder}; once more: scripts/chaos --seed {options.seed} --minutes {options.minutes:g}")
        return 1
    if not options.keep:
        shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
