"""auc: how well a score orders anomalies above the rest."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.errors import ModelError
from subbyte.compiler.metrics.arrays import numbers, whole_labels
from subbyte.compiler.metrics.intervals import LEVEL, Statistic, hanley_mcneil
from subbyte.compiler.metrics.score import Score


def auc(scores: NDArray[Any], labels: NDArray[Any], *, level: float = LEVEL) -> Score:
    """The area under the ROC curve: the share of pairs (anomaly, normal) in which the anomaly scores higher, ties half.

    A = (sum of the anomalies' ranks - P (P + 1) / 2) / (P N), equal scores with their mean rank: exact in integers.

    Args: scores: [N], or with further extents of 1; larger means more anomalous. labels: [N], 1 anomaly and 0 normal.
    Raises: ModelError: NaN, other labels than 0 and 1, or only one of them.
    """
    values, anomalous = _checked(scores, labels)
    positives, negatives = int(anomalous.sum()), int((~anomalous).sum())
    area = _doubled_pairs(values, anomalous, np.ones(len(values), np.int64)) / (2 * positives * negatives)
    interval = hanley_mcneil(area, positives, negatives, level)
    details = {"anomalies": positives, "normal": negatives}
    return Score("auc", area, len(values), interval, details=details)


def auc_statistic(scores: NDArray[Any], labels: NDArray[Any]) -> Statistic:
    """The area as a function of how often each sample counts; NaN where only one label is left."""
    values, anomalous = _checked(scores, labels)

    def area(weights: NDArray[np.int64]) -> float:
        positives, negatives = int(weights[anomalous].sum()), int(weights[~anomalous].sum())
        if not positives or not negatives:
            return float("nan")
        return _doubled_pairs(values, anomalous, weights) / (2 * positives * negatives)

    return area


def _checked(scores: NDArray[Any], labels: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    if scores.size != len(scores):
        raise ModelError(f"the answers are {list(scores.shape[1:])} for each sample; one anomaly score is needed.")
    values = numbers(scores.reshape(-1), "the answers")
    truth = whole_labels(labels, len(values))
    strange = (truth != 0) & (truth != 1)
    if strange.any():
        at = int(strange.argmax())
        raise ModelError(
            f"the label of sample {at} is {int(truth[at])}; auc needs 1 for an anomaly and 0 for the rest."
        )
    if truth.min() == truth.max():
        raise ModelError(f"all {len(truth)} samples have the label {int(truth[0])}; auc compares samples of 0 with 1.")
    return values, truth.astype(bool)


def _doubled_pairs(values: NDArray[np.float64], anomalous: NDArray[np.bool_], weights: NDArray[np.int64]) -> int:
    """Twice the number of pairs in which the anomaly scores higher, a tie counted once."""
    _, level = np.unique(values, return_inverse=True)
    above = np.zeros(level.max() + 1, np.int64)
    below = np.zeros_like(above)
    np.add.at(above, level[anomalous], weights[anomalous])
    np.add.at(below, level[~anomalous], weights[~anomalous])
    return int((above * (2 * (np.cumsum(below) - below) + below)).sum())
