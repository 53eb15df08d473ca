"""What answers and labels must be: checked once for all metrics, each refusal a sentence."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.errors import ModelError


def class_scores(scores: NDArray[Any], what: str = "the answers") -> NDArray[np.float64]:
    """[N, C] of scores [N, ..., C, ...] with one extent beside the samples that is not 1, all of them numbers."""
    if sum(extent > 1 for extent in scores.shape[1:]) != 1:
        raise ModelError(
            f"{what} are {list(scores.shape[1:])} for each sample; one score for each class is needed, [classes], of "
            "two classes or more."
        )
    wide = numbers(scores, what)
    return wide.reshape(len(wide), -1)


def numbers(values: NDArray[Any], what: str) -> NDArray[np.float64]:
    """`values` as float64; no NaN among them and at least one sample."""
    if not len(values):
        raise ModelError(f"{what} hold no sample; at least one is needed.")
    wide = values.astype(np.float64)
    bad = np.isnan(wide).reshape(len(wide), -1).any(axis=1)
    if bad.any():
        raise ModelError(
            f"{what} hold NaN for {int(bad.sum())} of {len(wide)} samples, the first of them sample "
            f"{int(bad.argmax())}; numbers are needed."
        )
    return wide


def finite(values: NDArray[Any], what: str) -> NDArray[np.float64]:
    """As `numbers`, without infinities."""
    wide = numbers(values, what)
    bad = np.isinf(wide).reshape(len(wide), -1).any(axis=1)
    if bad.any():
        raise ModelError(f"{what} hold an infinity for sample {int(bad.argmax())}; finite numbers are needed.")
    return wide


def class_labels(labels: NDArray[Any], count: int, classes: int) -> NDArray[np.int64]:
    """[N] labels 0..classes - 1 of `count` samples, from an array of whole numbers with `count` elements."""
    whole = whole_labels(labels, count)
    strange = (whole < 0) | (whole >= classes)
    if strange.any():
        raise ModelError(
            f"the label of sample {int(strange.argmax())} is {int(whole[strange.argmax()])}; the answers have "
            f"{classes} scores, for the classes 0 to {classes - 1}."
        )
    return whole


def whole_labels(labels: NDArray[Any], count: int) -> NDArray[np.int64]:
    """[N] int64 of labels with `count` elements, one a sample."""
    if labels.size != count or (labels.ndim and len(labels) != count):
        raise ModelError(f"there are {count} samples and labels of the shape {list(labels.shape)}; one label for each.")
    if labels.dtype.kind not in "iub":
        with np.errstate(invalid="ignore"):
            is_whole = labels.dtype.kind == "f" and bool((labels == np.rint(labels)).all())
        if not is_whole:
            raise ModelError(
                f"the labels are {labels.dtype}, and not all are whole numbers; classes 0, 1, ... are needed."
            )
    return labels.reshape(-1).astype(np.int64)
