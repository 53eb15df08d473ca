"""Confidence intervals: of shares by Wilson's formula, of an area under a curve by Hanley and McNeil's, else drawn."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.errors import ModelError

LEVEL = 0.95
RESAMPLES = 1000

Statistic = Callable[[NDArray[np.int64]], float]
"""A figure of samples weighted by how often each is drawn, [N]; NaN where the drawn ones have none."""


@dataclass(frozen=True)
class Interval:
    """From `low` to `high` at a confidence level; method: how it was found."""

    low: float
    high: float
    level: float
    method: str

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def wilson(numerator: int, count: int, level: float = LEVEL) -> Interval | None:
    """The interval of a share p: (p + z^2 / 2n -+ z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2 / n); None if n is 0.

    Source: E. B. Wilson, Probable Inference, JASA 22 (1927).
    """
    if not count:
        return None
    z = _quantile(level)
    share = numerator / count
    centre = share + z * z / (2 * count)
    spread = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    scale = 1 + z * z / count
    low, high = (centre - spread) / scale, (centre + spread) / scale
    # At 0 and at all the formula ends there exactly; float64 does not.
    return Interval(0.0 if numerator == 0 else low, 1.0 if numerator == count else high, level, "Wilson")


def hanley_mcneil(area: float, positives: int, negatives: int, level: float = LEVEL) -> Interval:
    """A -+ z sqrt((A (1 - A) + (P - 1)(Q1 - A^2) + (N - 1)(Q2 - A^2)) / P N), cut to 0..1; Q1 = A / (2 - A) and
    Q2 = 2 A^2 / (1 + A). At an area of 0 or 1 it has no width.

    Source: J. A. Hanley, B. J. McNeil, The Meaning and Use of the Area under a ROC Curve, Radiology 143 (1982).
    """
    q1, q2 = area / (2 - area), 2 * area * area / (1 + area)
    variance = area * (1 - area) + (positives - 1) * (q1 - area * area) + (negatives - 1) * (q2 - area * area)
    spread = _quantile(level) * math.sqrt(max(variance, 0.0) / (positives * negatives))
    return Interval(max(0.0, area - spread), min(1.0, area + spread), level, "Hanley-McNeil")


def bootstrap(
    statistic: Statistic, count: int, level: float = LEVEL, *, resamples: int = RESAMPLES, seed: int = 0
) -> Interval | None:
    """The middle `level` of the statistic over samples drawn with replacement; None for one sample, or where too few
    of the drawings have a figure.

    Source: B. Efron, Bootstrap Methods, Annals of Statistics 7 (1979), percentile method.
    """
    if count < 2:
        return None
    generator = np.random.default_rng(seed)
    uniform = np.full(count, 1 / count)
    drawn = np.array([statistic(generator.multinomial(count, uniform)) for _ in range(resamples)])
    drawn = drawn[~np.isnan(drawn)]
    if len(drawn) < resamples // 2:
        return None
    tails = ((1 - level) / 2, (1 + level) / 2)
    low, high = np.quantile(drawn, tails, method="inverted_cdf")  # a value that occurs: infinities do not mix
    return Interval(float(low), float(high), level, f"bootstrap of {resamples}, seed {seed}")


def check_level(level: float) -> None:
    """Raises ModelError where `level` is no confidence level."""
    if not 0 < level < 1:
        raise ModelError(f"a confidence level of {level} was asked for; between 0 and 1 is needed, 0.95 for 95 %.")


def _quantile(level: float) -> float:
    check_level(level)
    return NormalDist().inv_cdf((1 + level) / 2)
