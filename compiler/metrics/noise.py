"""psnr: how far images are from their references."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.errors import ModelError
from subbyte.compiler.metrics.arrays import finite
from subbyte.compiler.metrics.intervals import LEVEL, RESAMPLES, Statistic, bootstrap
from subbyte.compiler.metrics.score import Score


def psnr(
    images: NDArray[Any],
    references: NDArray[Any],
    *,
    peak: float = 1.0,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Score:
    """The mean over samples of 10 log10(peak^2 / mean((image - reference)^2)), in dB; infinite where one is equal.

    Args: images, references: [N, ...] of the same number of values a sample. peak: the largest value there can be.
    Returns: details: `rmse`, the root of the mean squared error over all, and `exact`, the samples without any.
    Raises: ModelError: NaN, other shapes, a peak that is not above 0.
    """
    ratios, squares = _ratios(images, references, peak)
    interval = bootstrap(psnr_statistic(images, references, peak), len(ratios), level, resamples=resamples, seed=seed)
    details = {"rmse": float(np.sqrt(squares.mean())), "exact": int((squares == 0).sum()), "peak": peak}
    return Score("psnr", float(ratios.mean()), len(ratios), interval, details=details)


def psnr_statistic(images: NDArray[Any], references: NDArray[Any], peak: float) -> Statistic:
    """The mean ratio as a function of how often each sample counts."""
    ratios, _ = _ratios(images, references, peak)

    def mean(weights: NDArray[np.int64]) -> float:
        drawn = weights > 0
        return float((ratios[drawn] * weights[drawn]).sum() / weights.sum())

    return mean


def _ratios(
    images: NDArray[Any], references: NDArray[Any], peak: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """[N] in dB and [N] mean squared errors."""
    if not (np.isfinite(peak) and peak > 0):
        raise ModelError(f"the peak of the images is {peak}; a number above 0 is needed, 255 for bytes.")
    if len(images) != len(references) or images.size != references.size:
        raise ModelError(
            f"the answers are {list(images.shape)}, the references {list(references.shape)}; one reference of the same "
            "size for each sample is needed."
        )
    found = finite(images, "the answers").reshape(len(images), -1)
    expected = finite(references, "the references").reshape(len(images), -1)
    squares = ((found - expected) ** 2).mean(axis=1)
    with np.errstate(divide="ignore"):
        return 10 * np.log10(peak * peak / squares), squares
