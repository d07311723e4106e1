"""One process of scripts/bench/peers_durability on Optuna's side; run by its driver.

peers_durability_optuna.py STORAGE SAMPLER TRIALS [--kill-in N] [--fail-at X,Y]: optimizes one study; says `ready`
when all is imported and waits for a line, so that many of them begin at once.
"""

import argparse
import os
import signal
import sys

import optuna

GRID = {"x": [0, 1, 2], "y": [0, 1]}


def storage(url):
    if url.startswith("journal:"):
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend

        return JournalStorage(JournalFileBackend(url.removeprefix("journal:")))
    return url


def sampler(name):
    if name == "grid":
        return optuna.samplers.GridSampler(GRID, seed=7)
    return optuna.samplers.RandomSampler(seed=int(name) if name != "none" else None)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("storage")
    parser.add_argument("sampler")
    parser.add_argument("trials", type=int)
    parser.add_argument("--kill-in", type=int)
    parser.add_argument("--fail-at")
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    print("ready", flush=True)
    sys.stdin.readline()
    study = optuna.create_study(
        study_name="study", storage=storage(options.storage), sampler=sampler(options.sampler), load_if_exists=True
    )
    fails = tuple(map(int, options.fail_at.split(","))) if options.fail_at else None

    def objective(trial):
        if options.sampler == "grid":
            point = trial.suggest_categorical("x", GRID["x"]), trial.suggest_categorical("y", GRID["y"])
            if point == fails:
                raise ValueError("this point fails")
            return sum(point)
        value = trial.suggest_float("x", 0, 1)
        if trial.number == options.kill_in:
            os.kill(os.getpid(), signal.SIGKILL)
        return value

    if options.trials:
        # A failing point must not end the search: `catch` is how Optuna goes on.
        study.optimize(objective, n_trials=options.trials, catch=(ValueError,))


if __name__ == "__main__":
    main()
