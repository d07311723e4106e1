#!/usr/bin/env python3
"""Fits the polynomial of `normal` in crates/kernels/src/special.rs and prints its coefficients and errors.

Phi(-x) = exp(-x^2 / 2) R(x) for x >= 0. R is fitted by a polynomial in t = 1 / (1 + x / 4) so that the largest relative
error over x <= 14 is as small as it gets: least squares at Chebyshev points, reweighted by the errors (Lawson).
Needs numpy and mpmath.
"""

import mpmath
import numpy

SCALE, FARTHEST, DEGREE, POINTS, ROUNDS = 0.25, 14.0, 9, 400, 60


def ratio(x: float) -> float:
    x = mpmath.mpf(x)
    return float(mpmath.erfc(x / mpmath.sqrt(2)) / 2 * mpmath.exp(x * x / 2))


def fit() -> tuple[numpy.ndarray, float]:
    first, last = 1 / (1 + SCALE * FARTHEST), 1.0
    angles = numpy.pi * (numpy.arange(POINTS) + 0.5) / POINTS
    t = (first + last) / 2 + (last - first) / 2 * numpy.cos(angles)
    values = numpy.array([ratio(x) for x in (1 / t - 1) / SCALE])
    powers = numpy.vander(t, DEGREE + 1, increasing=True)
    weights = numpy.ones(POINTS) / POINTS
    for _ in range(ROUNDS):
        row = numpy.sqrt(weights) / values
        coefficients, *_ = numpy.linalg.lstsq(powers * row[:, None], values * row, rcond=None)
        errors = numpy.abs(powers @ coefficients / values - 1)
        weights = weights * errors / (weights * errors).sum()
    return coefficients, float(errors.max())


def main() -> None:
    coefficients, error = fit()
    print("from the highest power down:", *(f"{value:.9g}" for value in coefficients[::-1]))
    x = numpy.linspace(-8, 8, 4001, dtype=numpy.float32)
    single = numpy.float32
    t = single(1) / (single(1) + single(SCALE) * numpy.abs(x))
    value = numpy.full_like(x, single(coefficients[-1]))
    for coefficient in coefficients[-2::-1]:
        value = value * t + single(coefficient)
    tail = numpy.exp(-(x * x) * single(0.5)) * value
    found = numpy.where(x < 0, tail, single(1) - tail)
    exact = numpy.array([float(mpmath.ncdf(float(v))) for v in x])
    print(f"largest relative error {error:.2e}; in single precision at most {abs(found - exact).max():.2e}")


if __name__ == "__main__":
    main()
