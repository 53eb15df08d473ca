"""Two models on the same samples: which of them is better, and whether that could be chance."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.errors import ModelError
from subbyte.compiler.metrics.intervals import LEVEL, RESAMPLES, Interval, Statistic, bootstrap


@dataclass(frozen=True)
class PairedShares:
    """How many samples both answer right, only the first, only the second, neither; the chance of such a difference.

    p_value: two-sided, of models that are right equally often (McNemar's test, exact).
    """

    both: int
    only_first: int
    only_second: int
    neither: int
    p_value: float

    @property
    def count(self) -> int:
        return self.both + self.only_first + self.only_second + self.neither

    @property
    def difference(self) -> int:
        """By how many samples the first is ahead."""
        return self.only_first - self.only_second

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "difference": self.difference}


@dataclass(frozen=True)
class PairedValues:
    """Figures of two models on the same samples; interval: of first - second, the same samples drawn for both."""

    first: float
    second: float
    interval: Interval | None

    @property
    def difference(self) -> float:
        return self.first - self.second

    def as_dict(self) -> dict[str, Any]:
        interval = None if self.interval is None else self.interval.as_dict()
        return {"first": self.first, "second": self.second, "difference": self.difference, "interval": interval}


def compare_right(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> PairedShares:
    """[N] right or wrong of two models on the same samples.

    With n samples that one alone answers right, k of them the less often better model: p = min(1, 2 P(X <= k)), X of
    the binomial distribution (n, 1/2), exact in integers.
    Source: Q. McNemar, Psychometrika 12 (1947).
    Raises: ModelError: different numbers of samples.
    """
    if first.shape != second.shape:
        raise ModelError(f"{len(first)} samples are compared with {len(second)}; the same ones are needed.")
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    both, neither = int((first & second).sum()), int((~first & ~second).sum())
    return PairedShares(both, only_first, only_second, neither, mcnemar(only_first, only_second))


def mcnemar(only_first: int, only_second: int) -> float:
    """The two-sided p of McNemar's exact test."""
    count = only_first + only_second
    tail = sum(math.comb(count, k) for k in range(min(only_first, only_second) + 1))
    share: float = 2 * tail / 2**count  # of integers of any size, rounded once
    return min(1.0, share)


def compare_values(
    first: Statistic,
    second: Statistic,
    count: int,
    level: float = LEVEL,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> PairedValues:
    """Two figures of `count` samples; each drawing of the bootstrap takes the same samples for both."""
    all_once = np.ones(count, np.int64)

    def difference(weights: NDArray[np.int64]) -> float:
        one, other = first(weights), second(weights)
        return 0.0 if one == other else one - other  # two infinities do not differ

    interval = bootstrap(difference, count, level, resamples=resamples, seed=seed)
    return PairedValues(first(all_once), second(all_once), interval)
