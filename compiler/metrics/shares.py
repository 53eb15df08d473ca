"""top1 and agreement: the share of samples whose largest score is at the right place."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.errors import ModelError
from subbyte.compiler.metrics.arrays import class_labels, class_scores
from subbyte.compiler.metrics.intervals import LEVEL, wilson
from subbyte.compiler.metrics.score import ClassScore, Score


def top1(scores: NDArray[Any], labels: NDArray[Any], *, level: float = LEVEL) -> Score:
    """The share of samples whose largest score, the first of equal ones, is at the label.

    Args: scores: [N, C], or with further extents of 1. labels: [N] whole numbers 0..C-1.
    Returns: classes by label: of the samples with that label, the share that is right.
    Raises: ModelError: NaN, no sample, another number of labels, labels out of range.
    """
    wide = class_scores(scores)
    truth = class_labels(labels, *wide.shape)
    return _share("top1", wide.argmax(axis=1) == truth, truth, wide.shape[1], level)


def top1_right(scores: NDArray[Any], labels: NDArray[Any]) -> NDArray[np.bool_]:
    """[N]: which samples `top1` counts as right."""
    wide = class_scores(scores)
    right: NDArray[np.bool_] = wide.argmax(axis=1) == class_labels(labels, *wide.shape)
    return right


def agreement(scores: NDArray[Any], reference: NDArray[Any], *, level: float = LEVEL) -> Score:
    """The share of samples whose largest score is where the reference has its largest; a tie of the reference agrees.

    Args: scores, reference: [N, C] of two models on the same samples.
    Returns: classes by the reference's answer.
    Raises: ModelError: NaN, no sample, shapes that differ.
    """
    wide, expected = class_scores(scores), class_scores(reference, "the reference's answers")
    if wide.shape != expected.shape:
        raise ModelError(
            f"the answers are {list(wide.shape)}, those of the reference {list(expected.shape)}; the same samples and "
            "classes are needed."
        )
    chosen = np.take_along_axis(expected, wide.argmax(axis=1)[:, np.newaxis], axis=1)[:, 0]
    return _share("agreement", chosen == expected.max(axis=1), expected.argmax(axis=1), expected.shape[1], level)


def _share(metric: str, right: NDArray[np.bool_], truth: NDArray[np.int64], classes: int, level: float) -> Score:
    counts = np.bincount(truth, minlength=classes)
    rights = np.bincount(truth[right], minlength=classes)
    rows = tuple(
        ClassScore(label, int(r) / int(n) if n else None, int(n), int(r), wilson(int(r), int(n), level))
        for label, (r, n) in enumerate(zip(rights, counts, strict=True))
    )
    total, count = int(right.sum()), len(right)
    return Score(metric, total / count, count, wilson(total, count, level), total, rows)
