"""How well one measure of layers predicts another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.errors import ModelError


def spearman(a: Sequence[float], b: Sequence[float]) -> float:
    """The correlation of the ranks of a and b, -1 to 1; equal numbers share the mean of their ranks.

    0 where all numbers of one are equal.  Raises: ModelError: they are not equally many, or fewer than two.
    Source: Spearman 1904.
    """
    if len(a) != len(b) or len(a) < 2:
        raise ModelError(f"ranks of {len(a)} and {len(b)} numbers were to be compared; two or more pairs are needed")
    x, y = (ranks - ranks.mean() for ranks in (_ranks(np.asarray(a, float)), _ranks(np.asarray(b, float))))
    size = float(np.sqrt((x**2).sum() * (y**2).sum()))
    return float((x * y).sum()) / size if size else 0.0


def _ranks(values: NDArray[Any]) -> NDArray[Any]:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2)[inverse])
