"""mAP: mean average precision of detected boxes, as COCO's own evaluation defines it.

For each class and each threshold t of 0.50, 0.55, ... 0.95: detections in the order of their scores, at most 100 of a
class in a sample, each take the true box of the class in their sample that overlaps most of those not taken, if the
intersection over the union is at least t; a detection without one is false. Precision at recall r is the largest at
any recall >= r, read at r = 0, 0.01, ... 1, and 0 beyond the recall that is reached; the mean is the average precision.
mAP is its mean over thresholds and over the classes that have true boxes. Boxes are (x1, y1, x2, y2), x2 and y2 not in
the box. True boxes that count for nothing ("crowd", "difficult") and the three sizes of boxes are not known here.

Source: T.-Y. Lin et al., Microsoft COCO, and cocodataset.org/#detection-eval.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.errors import ModelError
from subbyte.compiler.metrics.arrays import finite
from subbyte.compiler.metrics.intervals import LEVEL, Statistic, bootstrap
from subbyte.compiler.metrics.score import ClassScore, Score

THRESHOLDS = tuple(i / 100 for i in range(50, 100, 5))
MOST_DETECTIONS = 100
_RECALLS = np.linspace(0, 1, 101)


@dataclass(frozen=True)
class Boxes:
    """The boxes of one sample: boxes [n, 4] as (x1, y1, x2, y2), classes [n]; scores [n] of detections alone."""

    boxes: NDArray[np.float64]
    classes: NDArray[np.int64]
    scores: NDArray[np.float64] | None = None

    @classmethod
    def of(cls, boxes: NDArray[Any], classes: NDArray[Any], scores: NDArray[Any] | None = None) -> Boxes:
        """From arrays of any number type; rows with a negative class fill up and are left out.

        Raises ModelError: not [n, 4], other numbers of classes or scores, NaN, a corner before the other.
        """
        flat = boxes.reshape(-1, boxes.shape[-1]) if boxes.ndim else boxes.reshape(1, 1)
        labels = classes.reshape(-1)
        if flat.shape[-1] != 4 or len(flat) != len(labels) or (scores is not None and scores.size != len(flat)):
            found = "" if scores is None else f" and scores {list(scores.shape)}"
            raise ModelError(
                f"boxes {list(boxes.shape)} come with classes {list(classes.shape)}{found}; boxes [n, 4] with n of "
                "each are needed."
            )
        kept = labels >= 0
        if not kept.any():
            return cls(np.zeros((0, 4)), np.zeros(0, np.int64), None if scores is None else np.zeros(0))
        corners = finite(flat[kept], "the boxes")
        if (corners[:, 2:] < corners[:, :2]).any():
            wrong = corners[(corners[:, 2:] < corners[:, :2]).any(axis=1)][0]
            raise ModelError(
                f"a box is {wrong.tolist()}; its corners are (x1, y1, x2, y2), with x1 <= x2 and y1 <= y2."
            )
        wide = None if scores is None else finite(scores.reshape(-1)[kept], "the scores")
        return cls(corners, labels[kept].astype(np.int64), wide)


def mean_average_precision(
    detections: Sequence[Boxes],
    truths: Sequence[Boxes],
    *,
    level: float = LEVEL,
    resamples: int = 200,
    seed: int = 0,
) -> Score:
    """COCO's mAP of the detections of each sample beside its true boxes.

    Returns: classes by AP over all thresholds, `count` the true boxes; details: AP50, AP75, true boxes, detections.
    Raises: ModelError: another number of samples, no true box.
    """
    matched = _match(detections, truths)
    whole = np.ones(len(truths), np.int64)
    precisions = {label: one.average_precisions(whole) for label, one in matched.items()}
    table = np.array(list(precisions.values()))
    classes = tuple(
        ClassScore(label, float(average.mean()), int(matched[label].truths.sum()))
        for label, average in precisions.items()
    )
    details = {
        "AP50": float(table[:, 0].mean()),
        "AP75": float(table[:, THRESHOLDS.index(0.75)].mean()),
        "true_boxes": sum(len(truth.classes) for truth in truths),
        "detections": sum(len(found.classes) for found in detections),
    }
    interval = bootstrap(_statistic(matched), len(truths), level, resamples=resamples, seed=seed)
    return Score("mAP", float(table.mean()), len(truths), interval, classes=classes, details=details)


def map_statistic(detections: Sequence[Boxes], truths: Sequence[Boxes]) -> Statistic:
    """mAP as a function of how often each sample counts; NaN where none of those drawn has a true box."""
    return _statistic(_match(detections, truths))


@dataclass(frozen=True)
class _Matched:
    """One class: its detections of all samples in the order of their scores, which of them are right at each threshold.

    sample: [D] where each was found. right: [thresholds, D]. truths: [samples] true boxes.
    """

    sample: NDArray[np.int64]
    right: NDArray[np.bool_]
    truths: NDArray[np.int64]

    def average_precisions(self, weights: NDArray[np.int64]) -> NDArray[np.float64]:
        """[thresholds] AP where sample i counts weights[i] times; NaN where no true box is left.

        A sample that counts k times has its detections k times in a row: precision at the last of a row is the largest
        of the row if they are right, and where they are wrong recall stays, so that the last one says all.
        """
        total = int((self.truths * weights).sum())
        if not total:
            return np.full(len(THRESHOLDS), np.nan)
        often = weights[self.sample]
        drawn = often > 0
        often, right = often[drawn], self.right[:, drawn]
        if not len(often):
            return np.zeros(len(THRESHOLDS))
        hits = np.cumsum(right * often, axis=1)
        precision = hits / np.cumsum(often)
        best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        recall = hits / total
        averages: NDArray[np.float64] = np.zeros(len(THRESHOLDS))
        for index in range(len(THRESHOLDS)):
            places = np.searchsorted(recall[index], _RECALLS, side="left")
            reached = places < len(often)
            averages[index] = best[index, places[reached]].sum() / len(_RECALLS)
        return averages


def _match(detections: Sequence[Boxes], truths: Sequence[Boxes]) -> dict[int, _Matched]:
    """Each class that has true boxes."""
    if len(detections) != len(truths):
        raise ModelError(f"there are detections of {len(detections)} samples and true boxes of {len(truths)}.")
    classes = sorted({int(label) for truth in truths for label in truth.classes})
    if not classes:
        raise ModelError(f"none of the {len(truths)} samples has a true box; mAP needs at least one.")
    return {label: _match_class(label, detections, truths) for label in classes}


def _match_class(label: int, detections: Sequence[Boxes], truths: Sequence[Boxes]) -> _Matched:
    samples, scores, rights = [], [], []
    for index, (found, truth) in enumerate(zip(detections, truths, strict=True)):
        assert found.scores is not None  # detections have scores
        of_class = np.flatnonzero(found.classes == label)
        order = of_class[np.argsort(-found.scores[of_class], kind="stable")][:MOST_DETECTIONS]
        rights.append(_take(overlaps(found.boxes[order], truth.boxes[truth.classes == label])))
        scores.append(found.scores[order])
        samples.append(np.full(len(order), index))
    order = np.argsort(-np.concatenate(scores), kind="stable")
    counts = np.array([int((truth.classes == label).sum()) for truth in truths])
    return _Matched(np.concatenate(samples)[order], np.concatenate(rights, axis=1)[:, order], counts)


def _take(overlap: NDArray[np.float64]) -> NDArray[np.bool_]:
    """[thresholds, D]: which detections, best first, find a true box that no earlier one took; overlap [D, T]."""
    right = np.zeros((len(THRESHOLDS), len(overlap)), bool)
    for row, threshold in zip(right, THRESHOLDS, strict=True):
        free = overlap.copy()
        for detection in range(len(overlap)):
            best = int(free[detection].argmax()) if free.shape[1] else -1
            if best >= 0 and free[detection, best] >= threshold:
                row[detection] = True
                free[:, best] = -1
    return right


def overlaps(boxes: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """[A, B] intersection over union of boxes [A, 4] and [B, 4]; 0 of boxes without area."""
    low = np.maximum(boxes[:, np.newaxis, :2], others[np.newaxis, :, :2])
    high = np.minimum(boxes[:, np.newaxis, 2:], others[np.newaxis, :, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=2)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)[:, np.newaxis] + (others[:, 2:] - others[:, :2]).prod(axis=1)
    union = areas - shared
    ratio: NDArray[np.float64] = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return ratio


def _statistic(matched: dict[int, _Matched]) -> Statistic:
    def mean(weights: NDArray[np.int64]) -> float:
        table = np.array([one.average_precisions(weights) for one in matched.values()])
        present = table[~np.isnan(table[:, 0])]
        return float(present.mean()) if len(present) else float("nan")

    return mean
