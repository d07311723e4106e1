"""Optuna's library and command line open sweeps.db, finished and while a sweep runs."""

import collections
import datetime
import json
import os
import sqlite3
import subprocess
import time
import tomllib

os.environ["TZ"] = "America/New_York"
time.tzset()

import optuna  # noqa: E402
from sweeps import Running, check, converge, finished, same  # noqa: E402

optuna.logging.set_verbosity(optuna.logging.ERROR)


def study_of(database, name):
    return optuna.load_study(study_name=name, storage=f"sqlite:///{database}")


def whole(database):
    """A finished sweep is a study with the same trials, values and times."""
    study = study_of(database, "interop")
    trials = study.trials
    ours = json.loads(converge("trials", "--json"))
    same([trial.number + 1 for trial in trials], [one["trial"] for one in ours], "numbers")
    states = {"completed": "COMPLETE", "diverged": "FAIL", "failed": "FAIL", "cancelled": "FAIL", "stopped": "PRUNED"}
    counts = collections.Counter(one["state"] for one in ours)
    check(len(counts) == 3, f"trials end in three ways: {counts}")
    for trial, one in zip(trials, ours):
        what = f"trial {one['trial']}"
        same(trial.state.name, states[one["state"]], what)
        same(trial.params, one["configuration"], what)
        same(trial.user_attrs["state"], one["state"], what)
        same(trial.user_attrs["trial"], one["trial"], what)
        same(trial.user_attrs["replicate"], one["replicate"], what)
        same(trial.user_attrs["fingerprint"], one["fingerprint"], what)
        for name, distribution in trial.distributions.items():
            inside = distribution._contains(distribution.to_internal_repr(trial.params[name]))
            check(inside, f"{what}: {name} {trial.params[name]} {distribution}")
        trial._validate()
        if trial.state.name == "COMPLETE":
            same(trial.value, max(trial.intermediate_values.values()), what)
            same(trial.intermediate_values[trial.user_attrs["best_step"]], trial.value, what)
        else:
            check(trial.values is None, what)
    check({4} == {len(trial.intermediate_values) for trial in trials if trial.values}, "four evaluations a trial")
    check(any(trial.user_attrs.get("failure_class") == "data" for trial in trials), "failures have their class")
    classes = {name: type(distribution).__name__ for trial in trials for name, distribution in trial.distributions.items()}
    same(
        classes,
        {
            "learning_rate": "FloatDistribution",
            "optimizer": "CategoricalDistribution",
            "momentum": "CategoricalDistribution",
            "batch_size": "CategoricalDistribution",
            "dropout": "FloatDistribution",
            "epochs": "IntDistribution",
            "max_length": "CategoricalDistribution",
            "weight_decay": "FloatDistribution",
        },
        "distributions",
    )
    [rate] = {trial.distributions["learning_rate"] for trial in trials}
    check(rate.log and (rate.low, rate.high) == (1e-5, 1e-3), f"{rate}")

    same(study.direction.name, "MAXIMIZE", "direction")
    same(study.metric_names, ["validation/accuracy"], "name of the objective")
    same(study.best_value, max(one["objective"] for one in ours if one["state"] == "completed"), "best value")
    frame = study.trials_dataframe()
    same(len(frame), len(ours), "rows of the data frame")
    check(frame["params_momentum"].isna().any(), "momentum is absent with adamw")
    importances = optuna.importance.get_param_importances(study)
    check({"learning_rate", "batch_size"} <= set(importances), f"{importances}")
    check(abs(sum(importances.values()) - 1) < 1e-6, f"{importances}")

    # Optuna's times are those of the clock on the wall.
    (created,) = sqlite3.connect(database).execute("select min(leased_at_ms) from attempts").fetchone()
    local = datetime.datetime.fromtimestamp(created / 1000)
    same(min(trial.datetime_start for trial in trials), local, "first start")


def refused(database):
    """Optuna cannot write."""
    before = sqlite3.connect(database).execute("select count(*) from sweep_trials").fetchone()
    try:
        study_of(database, "interop").enqueue_trial({"learning_rate": 1e-4})
    except Exception as error:  # noqa: BLE001
        check("StorageInternalError" in type(error).__name__, repr(error))
    else:
        raise AssertionError("a trial was enqueued")
    same(sqlite3.connect(database).execute("select count(*) from sweep_trials").fetchone(), before, "trials")
    same(converge("doctor", "--json", code=(0, 1)) != "", True, "doctor answers")


def copied(database):
    """A copy is Optuna's own study: a search of Optuna's can go on from there."""
    storage = optuna.storages.InMemoryStorage()
    optuna.copy_study(from_study_name="interop", from_storage=f"sqlite:///{database}", to_storage=storage)
    copy = optuna.load_study(study_name="interop", storage=storage)
    same(copy.best_value, study_of(database, "interop").best_value, "best value of the copy")
    check(copy.ask({"learning_rate": copy.best_trial.distributions["learning_rate"]}).params, "the copy suggests more")


def command_line(database):
    """`optuna best-trial` and `optuna trials`."""

    def ask(*arguments):
        command = ["optuna", *arguments, "--storage", f"sqlite:///{database}", "-f", "json"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return json.loads(done.stdout)

    study = study_of(database, "interop")
    same(ask("best-trial", "--study-name", "interop")["number"], study.best_trial.number, "optuna best-trial")
    same(len(ask("trials", "--study-name", "interop")), len(study.trials), "optuna trials")
    same([one["name"] for one in ask("studies")], ["interop"], "optuna studies")


def live():
    """While a sweep runs, its study is as far as it is; and the sweep does not mind."""
    running = Running()
    with running as database:
        running.wait_for(database.exists)
        states = lambda: collections.Counter(trial.state.name for trial in study_of(database, "live").trials)

        def started():
            try:
                return states()["RUNNING"] == 2
            except (KeyError, optuna.exceptions.StorageInternalError):
                return False

        running.wait_for(started)
        same(states(), {"RUNNING": 2, "WAITING": 10}, "states")
        study = study_of(database, "live")
        evaluated = lambda: any(trial.intermediate_values for trial in study.get_trials(deepcopy=False))
        running.wait_for(evaluated)
        grid = tomllib.loads(open("live.toml").read())["parameters"]["learning_rate"]["values"]
        same(sorted({trial.params["learning_rate"] for trial in study.trials}), sorted(grid), "values of the grid")
    check(json.loads(converge("status", "--json"))["sweeps"], "the home is whole")
    same(running.process.returncode, 4, "exit code of the interrupted sweep")


database = finished()
whole(database)
refused(database)
copied(database)
command_line(database)
live()
print(f"Optuna {optuna.__version__}: a finished study of 120 trials, a running one of 12, and its command line")
