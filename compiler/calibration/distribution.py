"""How the elements of a tensor are distributed, as counts in bins: what methods that choose a range are given."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Distribution:
    """Counts of elements in disjoint bins, ascending; and the exact extremes.

    left, right: float64 [bins], the borders of each bin that holds something, clipped to the extremes; equal for the
        bin of a single number. counts: int64 [bins], above 0.
    """

    low: float
    high: float
    left: Array
    right: Array
    counts: Array

    @property
    def total(self) -> int:
        return int(self.counts.sum())

    @cached_property
    def centres(self) -> Array:
        """What stands for the elements of a bin."""
        return np.asarray(self.left / 2 + self.right / 2)

    @cached_property
    def sums(self) -> Array:
        """float64 [3, bins + 1]: sums of counts, of elements and of their squares over all bins before each border."""
        terms = np.stack([self.counts, self.counts * self.centres, self.counts * np.square(self.centres)])
        return np.concatenate([np.zeros((3, 1)), np.cumsum(terms, axis=1)], axis=1)

    def below(self, borders: Array) -> Array:
        """How many elements lie below each of `borders`, as if spread evenly within a bin."""
        found = np.searchsorted(self.right, borders, side="left")  # bins that end before the border
        inside = np.minimum(found, len(self.counts) - 1)
        width = self.right[inside] - self.left[inside]
        share = np.divide(borders - self.left[inside], width, out=np.zeros_like(width), where=width > 0)
        part = np.where(found < len(self.counts), np.clip(share, 0, 1) * self.counts[inside], 0)
        return np.asarray(self.sums[0][found] + part)

    def quantile(self, fraction: float) -> float:
        """The number below which `fraction` of the elements lie; the extremes for 0 and 1."""
        wanted = fraction * self.total
        index = min(int(np.searchsorted(self.sums[0][1:], wanted, side="left")), len(self.counts) - 1)
        share = (wanted - self.sums[0][index]) / self.counts[index]
        left, right = self.left[index], self.right[index]
        return float(min(max(left + min(max(share, 0.0), 1.0) * (right - left), self.low), self.high))

    def magnitudes(self) -> Distribution:
        """The distribution of |x|."""
        left = np.where(self.right <= 0, -self.right, self.left)
        right = np.where(self.right <= 0, -self.left, self.right)
        order = np.argsort(left + right, kind="stable")
        left, right, counts = left[order], right[order], self.counts[order]
        largest = max(abs(self.low), abs(self.high))
        smallest = 0.0 if self.low <= 0 <= self.high else min(abs(self.low), abs(self.high))
        return Distribution(smallest, largest, left, right, counts)
