"""Makes the numbers that the samplers of `crates/core` are tested against.

    python make_sampler_goldens.py discrepancy    centred discrepancy of scipy's scrambled Sobol sequences
    python make_sampler_goldens.py parzen         densities of Optuna's Parzen estimator on fixed observations
    python make_sampler_goldens.py regret         what Optuna's TPE reaches on three functions (about 6 minutes)

All write into `crates/core/tests/goldens`; README.md beside this file describes the files.
"""

import json
import math
import sys
import warnings
from pathlib import Path

import numpy

GOLDENS = Path(__file__).resolve().parents[2] / "crates/core/tests/goldens"


def save(name, content):
    GOLDENS.mkdir(parents=True, exist_ok=True)
    text = json.dumps(content, separators=(",", ":"))
    (GOLDENS / name).write_text(text.replace('{"name"', '\n{"name"') + "\n")


def shortened(values, digits):
    return [float(f"{value:.{digits}g}") for value in values]


# --- discrepancy -----------------------------------------------------------------------------------------------------

SEEDS = 100


def discrepancy():
    from scipy.stats import qmc

    cells = []
    for dimensions in (2, 3, 4, 6, 8):
        for count in (64, 128, 256, 512, 1024):
            found = [
                qmc.discrepancy(qmc.Sobol(dimensions, rng=seed).random(count), method="CD") for seed in range(SEEDS)
            ]
            quartiles = shortened(numpy.quantile(found, (0.25, 0.5, 0.75)), 8)
            cells.append({"name": f"{dimensions}x{count}", "dimensions": dimensions, "count": count, "quartiles": quartiles})
    random = numpy.random.default_rng(7)
    fixed = random.random((17, 3)).round(6)
    save(
        "discrepancy.json",
        {
            "seeds": SEEDS,
            "fixed": {"points": fixed.tolist(), "centred": qmc.discrepancy(fixed, method="CD")},
            "scipy": cells,
        },
    )


# --- densities -------------------------------------------------------------------------------------------------------


def parzen():
    """Everything on [0, 1]: a range, a range in 100 cells, and 4 words.

    Observations share no cell: which of equal ones gets the width of which neighbour hangs on how numpy sorts.
    """
    from optuna import distributions
    from optuna.samplers._tpe import parzen_estimator
    from optuna.samplers._tpe.sampler import default_weights

    space = {
        "range": distributions.FloatDistribution(0.0, 1.0),
        "cells": distributions.IntDistribution(0, 99),
        "words": distributions.CategoricalDistribution(("a", "b", "c", "d")),
    }
    options = parzen_estimator._ParzenEstimatorParameters(
        prior_weight=1.0,
        consider_magic_clip=True,
        consider_endpoints=False,
        weights=default_weights,
        multivariate=True,
    )
    random = numpy.random.default_rng(3)

    def points(count):
        return {
            "range": random.beta(2, 5, count).round(6),
            "cells": random.choice(100, count, replace=False).astype(float),
            "words": random.integers(0, 4, count).astype(float),
        }

    cases = []
    for count in (0, 1, 2, 7, 24, 40):
        observed, asked = points(count), points(12)
        found = parzen_estimator._ParzenEstimator(observed, space, options).log_pdf(asked)
        cases.append(
            {
                "name": f"{count} observations",
                "observations": numpy.array(list(observed.values())).T.tolist(),
                "points": numpy.array(list(asked.values())).T.tolist(),
                "log_densities": found.tolist(),
            }
        )
    save("parzen.json", cases)


# --- regret ----------------------------------------------------------------------------------------------------------
# The same functions stand in `crates/core/tests/samplers/functions.rs`.

TRIALS = 80
STUDIES = 100


def branin(trial):
    x, y = trial.suggest_float("x", -5.0, 10.0), trial.suggest_float("y", 0.0, 15.0)
    value = (y - 5.1 / (4 * math.pi**2) * x * x + 5 / math.pi * x - 6) ** 2
    return value + 10 * (1 - 1 / (8 * math.pi)) * math.cos(x) + 10 - 0.39788735772973816


HARTMANN = (
    (1.0, (10.0, 3.0, 17.0, 3.5, 1.7, 8.0), (0.1312, 0.1696, 0.5569, 0.0124, 0.8283, 0.5886)),
    (1.2, (0.05, 10.0, 17.0, 0.1, 8.0, 14.0), (0.2329, 0.4135, 0.8307, 0.3736, 0.1004, 0.9991)),
    (3.0, (3.0, 3.5, 1.7, 10.0, 17.0, 8.0), (0.2348, 0.1451, 0.3522, 0.2883, 0.3047, 0.6650)),
    (3.2, (17.0, 8.0, 0.05, 10.0, 0.1, 14.0), (0.4047, 0.8828, 0.8732, 0.5743, 0.1091, 0.0381)),
)


def hartmann(trial):
    point = [trial.suggest_float(f"x{axis}", 0.0, 1.0) for axis in range(6)]
    value = 3.322368011391339
    for height, widths, centre in HARTMANN:
        value -= height * math.exp(-sum(w * (x - c) ** 2 for w, x, c in zip(widths, point, centre)))
    return value


def fine_tune(trial):
    """A caricature of a validation loss, with what exists for one optimizer only."""
    optimizer = trial.suggest_categorical("optimizer", ("adamw", "sgd"))
    batch_size = trial.suggest_categorical("batch_size", (8, 16, 32, 64))
    epochs = trial.suggest_int("epochs", 1, 6)
    dropout = trial.suggest_float("dropout", 0.0, 0.5, step=0.1)
    warmup = trial.suggest_float("warmup_ratio", 0.0, 0.5)
    doublings = math.log2(batch_size / 16)
    if optimizer == "adamw":
        rate = trial.suggest_float("rate_adamw", 1e-6, 1e-3, log=True)
        off = math.log10(rate) + 4.5 - 0.15 * doublings
        value = 0.0
    else:
        rate = trial.suggest_float("rate_sgd", 1e-4, 1.0, log=True)
        momentum = trial.suggest_float("momentum", 0.0, 0.99)
        off = math.log10(rate / (1.0 - momentum)) + 1.0 - 0.15 * doublings
        value = 0.03 + 0.05 * (momentum - 0.9) ** 2
    # Too small a rate learns little, too large a one nothing.
    value += 0.1 * off * off if off < 0.0 else min(0.6, 0.4 * off * off)
    value += 0.01 * doublings * doublings + 0.01 * (epochs - 4) ** 2
    return value + (dropout - 0.1) ** 2 + 0.5 * (warmup - 0.1) ** 2


def regret():
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    functions = []
    for function in (branin, hartmann, fine_tune):
        for ahead in (1, 4):
            found = []
            for seed in range(STUDIES):
                study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))
                # As many trials are asked for before the result of the first is told.
                pending = []
                while len(study.trials) < TRIALS or pending:
                    while len(pending) < ahead and len(study.trials) < TRIALS:
                        trial = study.ask()
                        pending.append((trial, function(trial)))
                    study.tell(*pending.pop(0))
                found.append(study.best_value)
            functions.append({"name": function.__name__, "ahead": ahead, "regrets": shortened(found, 6)})
            quartiles = numpy.quantile(found, (0.25, 0.5, 0.75))
            print(function.__name__, ahead, *(f"{value:.5f}" for value in quartiles))
    save("regret.json", {"trials": TRIALS, "optuna": functions})


if __name__ == "__main__":
    {"discrepancy": discrepancy, "parzen": parzen, "regret": regret}[sys.argv[1]]()
