"""Makes the numbers that `crates/core/src/effects` is tested against.

    python make_effects_goldens.py

Importances by Optuna's `PedAnovaImportanceEvaluator`, tables by statsmodels' `anova_lm`, expected best values by numpy.
Needs numpy, optuna, pandas and statsmodels, see requirements.txt. README.md beside this file describes the file.
"""

import json
import warnings
from math import comb
from pathlib import Path

import numpy
import optuna
import pandas
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.importance import PedAnovaImportanceEvaluator
from optuna.trial import create_trial
from statsmodels.formula.api import ols
from statsmodels.stats.anova import anova_lm

GOLDEN = Path(__file__).resolve().parents[2] / "crates/core/tests/goldens/effects.json"


# --- PED-ANOVA -------------------------------------------------------------------------------------------------------


def scale(distribution):
    if isinstance(distribution, CategoricalDistribution):
        return {"choices": len(distribution.choices)}
    return {
        "low": distribution.low,
        "high": distribution.high,
        "logarithmic": distribution.log,
        "step": distribution.step,
    }


def short(number):
    """Few digits, for a small file."""
    return float(f"{number:.4g}")


def importances(name, trials, target, region, direction="maximize"):
    """`trials`: (parameters, distributions, value), parameters without those that do not apply."""
    study = optuna.create_study(direction=direction)
    for params, distributions, value in trials:
        study.add_trial(create_trial(params=params, distributions=distributions, value=value))
    evaluator = PedAnovaImportanceEvaluator(target_quantile=target, region_quantile=region)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = evaluator.evaluate(study)
    axes = []
    for parameter, value in sorted(found.items()):
        scales, places = [], []
        for params, distributions, _ in trials:
            distribution = distributions.get(parameter)
            if distribution is None:
                places.append(None)
                continue
            if distribution not in scales:
                scales.append(distribution)
            number = params[parameter]
            if isinstance(distribution, CategoricalDistribution):
                number = distribution.choices.index(number)
            places.append([scales.index(distribution), number])
        axes.append({"scales": [scale(one) for one in scales], "values": places, "importance": value})
    return {
        "name": name,
        "maximize": direction == "maximize",
        "objective": [value for _, _, value in trials],
        "target": target,
        "region": region,
        "axes": axes,
    }


def ped_anova():
    draw = numpy.random.default_rng(7)
    rate = FloatDistribution(1e-6, 1e-2, log=True)
    dropout = FloatDistribution(0.0, 0.3, step=0.1)
    warmup = FloatDistribution(0.0, 0.25)
    layers = IntDistribution(2, 12, step=2)
    epochs = IntDistribution(1, 200)
    batch = CategoricalDistribution([8, 16, 32])
    optimizer = CategoricalDistribution(["adamw", "sgd"])
    momentum = FloatDistribution(0.0, 0.99)
    sgd_rate = FloatDistribution(1e-4, 1.0, log=True)

    def trial(conditional):
        chosen = optimizer.choices[draw.integers(2)]
        own_rate = sgd_rate if conditional and chosen == "sgd" else rate
        distributions = {
            "learning_rate": own_rate,
            "dropout": dropout,
            "warmup_ratio": warmup,
            "model.layers": layers,
            "epochs": epochs,
            "batch_size": batch,
            "optimizer": optimizer,
        }
        if conditional and chosen == "sgd":
            distributions["momentum"] = momentum
        params = {}
        for key, one in distributions.items():
            if isinstance(one, CategoricalDistribution):
                params[key] = chosen if key == "optimizer" else one.choices[draw.integers(len(one.choices))]
            elif isinstance(one, IntDistribution):
                params[key] = int(one.low + one.step * draw.integers((one.high - one.low) // one.step + 1))
            elif one.step:
                params[key] = round(one.low + one.step * int(draw.integers(4)), 12)
            elif one.log:
                params[key] = short(numpy.exp(draw.uniform(numpy.log(one.low), numpy.log(one.high))))
            else:
                params[key] = short(draw.uniform(one.low, one.high))
        middle = numpy.log(own_rate.low * own_rate.high) / 2
        value = (
            0.9
            - 0.02 * (numpy.log(params["learning_rate"]) - middle) ** 2
            - 0.1 * params["dropout"]
            + 0.002 * params["model.layers"]
            + 0.02 * draw.normal()
        )
        # Two decimals: some are equal, at the cutoffs too.
        return params, distributions, round(float(value), 2)

    cases = []
    for count, conditional in [(12, False), (60, False), (60, True), (150, True)]:
        trials = [trial(conditional) for _ in range(count)]
        kind = "conditional" if conditional else "plain"
        for target, region in [(0.1, 1.0), (0.1, 0.5), (0.3, 0.8)]:
            cases.append(importances(f"{count} {kind}, {target} of {region}", trials, target, region))
    losses = [(params, distributions, -value) for params, distributions, value in trials[:80]]
    cases.append(importances("80 losses, 0.1 of 0.5", losses, 0.1, 0.5, "minimize"))
    return cases


# --- analysis of variance --------------------------------------------------------------------------------------------


def table(name, levels, replicates, formula, kind, seed, nested=False):
    draw = numpy.random.default_rng(seed)
    names = "abcd"[: len(levels)]
    rows = []
    for cell in numpy.ndindex(*levels):
        effect = sum((place + 1) * 0.3 * numpy.sin(level * 1.7) for place, level in enumerate(cell))
        effect += 0.2 * cell[0] * cell[1] if len(cell) > 1 else 0
        for _ in range(replicates):
            rows.append(dict(zip(names, cell), y=short(effect + 0.15 * draw.normal())))
    frame = pandas.DataFrame(rows)
    found = anova_lm(ols(formula, data=frame).fit(), typ=kind)
    parts = {}
    for term, row in found.iterrows():
        if term == "Intercept":
            continue
        parts[term.replace("C(", "").replace(")", "")] = {
            "degrees": int(row["df"]),
            "squares": float(row["sum_sq"]),
            "f": None if numpy.isnan(row["F"]) else float(row["F"]),
            "p": None if numpy.isnan(row["PR(>F)"]) else float(row["PR(>F)"]),
        }
    return {
        "name": name,
        "levels": list(levels),
        "replicates": replicates,
        "cells": [row["y"] for row in rows],
        "parts": parts,
    }


def anova():
    return [
        table("two factors, replicated", (3, 2), 3, "y ~ C(a) * C(b)", 2, 1),
        table("three factors, replicated", (3, 2, 4), 2, "y ~ C(a, Sum) * C(b, Sum) * C(c, Sum)", 3, 2),
        table("three factors, once", (3, 2, 4), 1, "y ~ (C(a) + C(b) + C(c)) ** 2", 2, 3),
        table("four factors, once", (2, 3, 2, 2), 1, "y ~ (C(a) + C(b) + C(c) + C(d)) ** 2", 2, 4),
        table("one factor, replicated", (4,), 5, "y ~ C(a)", 2, 5),
        # The second factor within the first, as learning rates of two optimizers are.
        table("nested, replicated", (2, 3, 2), 2, "y ~ C(a) + C(a):C(b) + C(a):C(c) + C(a):C(b):C(c)", 1, 6),
    ]


# --- expected best ---------------------------------------------------------------------------------------------------


def expected_best():
    draw = numpy.random.default_rng(3)
    cases = []
    for count in [1, 2, 7, 24, 60]:
        values = [round(float(value), 3) for value in draw.beta(8, 2, size=count)]
        ordered = numpy.sort(values)
        place = numpy.arange(1, count + 1)
        plug_in = [
            float(ordered @ ((place / count) ** n - ((place - 1) / count) ** n)) for n in range(1, count + 1)
        ]
        unbiased = [
            sum(float(ordered[i - 1]) * comb(i - 1, n - 1) / comb(count, n) for i in range(n, count + 1))
            for n in range(1, count + 1)
        ]
        cases.append({"name": f"{count} values", "values": values, "plug_in": plug_in, "unbiased": unbiased})
    return cases


def main():
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    content = {"ped_anova": ped_anova(), "anova": anova(), "expected_best": expected_best()}
    GOLDEN.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(content, separators=(",", ":"))
    GOLDEN.write_text(text.replace('{"name"', '\n{"name"') + "\n")


if __name__ == "__main__":
    main()
