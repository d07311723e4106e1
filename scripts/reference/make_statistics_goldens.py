"""Makes the numbers that `crates/core/src/statistics` is tested against, from scipy, statsmodels and, for what was
chosen for being the best, multiple_inference (by an author of the method's papers).

    python make_statistics_goldens.py

Writes `crates/core/tests/goldens/statistics.json`; README.md beside this file describes it.
"""

import json
from pathlib import Path

import numpy
import scipy.misc
from scipy import optimize, stats
from sklearn import metrics
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import proportion_confint

# It imports what scipy no longer has, for densities, which are not asked for here.
scipy.misc.derivative = None
from multiple_inference.rank_condition import RankCondition  # noqa: E402

GOLDENS = Path(__file__).resolve().parents[2] / "crates/core/tests/goldens"
DRAW = numpy.random.default_rng(17)


def distributions():
    chances = [1e-9, 1e-4, 0.0025, 0.025, 0.05, 0.3, 0.5, 0.8, 0.975, 0.9975, 0.9999]
    values = [-8.0, -4.5, -1.96, -0.3, 0.0, 0.7, 2.5, 6.0]
    yield "normal", [[x, stats.norm.cdf(x)] for x in values]
    yield "normal_quantile", [[p, stats.norm.ppf(p)] for p in chances]
    degrees = [1, 2, 3.7, 10, 40.2, 499, 20000]
    yield "student_quantile", [[p, d, stats.t.ppf(p, d)] for d in degrees for p in chances[1:]]
    yield "student_two_sided", [[t, d, 2 * stats.t.sf(abs(t), d)] for d in degrees for t in [0.0, 0.5, -2.3, 4.1]]
    yield "ratio_above", [[x, a, b, stats.f.sf(x, a, b)] for x in [0.2, 1.0, 3.3, 40.0] for a in [1, 2, 4] for b in [2, 17, 60]]
    yield "fair_coins", [[k, n, stats.binom.cdf(k, n, 0.5)] for n in [1, 2, 9, 40, 333] for k in {0, n // 3, n // 2, n}]


def shares():
    counts = [(1, 2), (3, 10), (11, 24), (1, 500), (499, 500), (60, 90)]
    for method in ["jeffreys", "wilson"]:
        rows = []
        for level in [0.9, 0.95]:
            for count, of in counts:
                rows.append([count, of, level, *proportion_confint(count, of, 1 - level, method)])
        yield method, rows
    yield "wilson_ends", [[k, n, 0.95, *proportion_confint(k, n, 0.05, "wilson")] for k, n in [(0, 4), (7, 7)]]


def discordant():
    rows = []
    for b, c in [(0, 0), (1, 0), (0, 6), (5, 5), (3, 11), (40, 22), (150, 190)]:
        exact = mcnemar([[10, b], [c, 10]], exact=True).pvalue
        k, n = min(b, c), b + c
        mid = min(1.0, 2 * stats.binom.cdf(k, n, 0.5) - stats.binom.pmf(k, n, 0.5))
        rows.append([b, c, float(exact), float(mid)])
    return rows


def paired():
    cases = []
    for count in [2, 3, 5, 6, 9, 12]:
        differences = DRAW.normal(0.3, 1.0, count).round(6)
        student = stats.ttest_1samp(differences, 0.0)
        interval = student.confidence_interval(0.95)
        flips = stats.permutation_test(
            (differences, numpy.zeros(count)),
            lambda left, right, axis: (left - right).mean(axis=axis),
            permutation_type="samples",
            n_resamples=numpy.inf,
            vectorized=True,
        )
        # Twice the smaller tail, which is the two-sided one as the distribution is symmetric.
        cases.append(
            {
                "differences": differences.tolist(),
                "student": [differences.mean(), interval.low, interval.high, student.pvalue],
                "sign_flips": float(flips.pvalue),
            }
        )
    return cases


def bootstraps():
    """Intervals of differences by many resamples: known to about 2 %."""
    size = 300
    right = DRAW.integers(0, 3, size)
    first = numpy.where(DRAW.random(size) < 0.8, right, DRAW.integers(0, 3, size))
    second = numpy.where(DRAW.random(size) < 0.85, first, DRAW.integers(0, 3, size))
    found = {}
    by_name = {
        "accuracy": metrics.accuracy_score,
        "macro_f1": lambda y, a: metrics.f1_score(y, a, average="macro", zero_division=0),
    }
    for name, metric in by_name.items():
        result = stats.bootstrap(
            (right, first, second),
            lambda y, a, b, metric=metric: metric(y, a) - metric(y, b),
            paired=True,
            vectorized=False,
            n_resamples=20_000,
            method="percentile",
            random_state=numpy.random.default_rng(5),
        )
        difference = metric(right, first) - metric(right, second)
        interval = result.confidence_interval
        found[name] = [difference, interval.low, interval.high, result.standard_error]
    return {"right": right.tolist(), "first": first.tolist(), "second": second.tolist(), "differences": found}


def winners():
    """Hybrid intervals of the largest of several estimates, and the value that it is as likely above as below."""
    error = 0.05
    of_bound = error / 10
    tail = (error - of_bound) / (1 - of_bound) / 2
    cases = []
    for count, spread in [(2, 0.0), (5, 0.0), (5, 3.0), (12, 0.5), (12, 0.0)]:
        root = DRAW.normal(size=(count, count)) * 0.4 + numpy.identity(count)
        covariance = (root @ root.T).round(6)
        means = (DRAW.multivariate_normal(numpy.zeros(count), covariance) + spread * numpy.arange(count)).round(6)
        winner = int(means.argmax())
        scale = covariance[winner, winner] ** 0.5
        # Theirs is simultaneous by simulation; Bonferroni's is the same for everyone.
        bound = -stats.norm.ppf(of_bound / 2 / count) * scale
        found = RankCondition(means, covariance).get_marginal_distribution(
            winner, projection_interval=(-bound, bound)
        )
        # Its own search for quantiles gives up at times.
        ends = means[winner] + 0.999999 * bound * numpy.array([-1, 1])
        quantiles = [
            optimize.brentq(lambda x: float(found.cdf(x)) - chance, *ends, xtol=1e-11)
            for chance in (tail, 0.5, 1 - tail)
        ]
        cases.append({"means": means.tolist(), "covariance": covariance.ravel().tolist(), "quantiles": quantiles})
    return cases


def main():
    content = {
        **dict(distributions()),
        **dict(shares()),
        "discordant": discordant(),
        "paired": paired(),
        "bootstrap": bootstraps(),
        "winners": winners(),
    }
    GOLDENS.mkdir(parents=True, exist_ok=True)
    text = json.dumps(content, separators=(",", ":"), default=float)
    text = text.replace('],"', '],\n"').replace('{"differences"', '\n{"differences"').replace('{"means"', '\n{"means"')
    (GOLDENS / "statistics.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
