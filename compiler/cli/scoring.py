"""The metrics of `subbyte score`: which arrays each takes, and how two models are compared by it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.cli.labelled import Labelled
from subbyte.compiler.errors import ModelError
from subbyte.compiler.metrics.detection import Boxes, map_statistic, mean_average_precision
from subbyte.compiler.metrics.noise import psnr, psnr_statistic
from subbyte.compiler.metrics.paired import PairedShares, PairedValues, compare_right, compare_values
from subbyte.compiler.metrics.roc import auc, auc_statistic
from subbyte.compiler.metrics.score import Score
from subbyte.compiler.metrics.shares import agreement, top1, top1_right
from subbyte.compiler.samples import Samples

Array = NDArray[Any]
Answers = Mapping[str, Array]
Paired = PairedShares | PairedValues


@dataclass(frozen=True)
class Asked:
    """What the command line says: labels and outputs by name, the level of intervals, the seed, the peak of images."""

    labels: str | None = None
    outputs: Sequence[str] = ()
    level: float = 0.95
    seed: int = 0
    peak: float = 1.0


@dataclass(frozen=True)
class Metric(ABC):
    """A figure of answers beside labelled samples."""

    data: Labelled
    samples: Samples
    asked: Asked = field(default_factory=Asked)

    @abstractmethod
    def score(self, answers: Answers, other: Answers | None = None) -> Score:
        """The figure; other: another model's answers, where one is given.

        Raises ModelError: the answers or labels cannot be meant.
        """

    @abstractmethod
    def compare(self, first: Answers, second: Answers) -> Paired | None:
        """Two models on the same samples; None of a figure that compares them itself."""

    def output(self, answers: Answers) -> Array:
        """The output that is judged."""
        return _output(answers, self.asked.outputs)

    @property
    def labels(self) -> Array:
        return self.data.labels(self.asked.labels)


class Top1(Metric):
    """The largest score is the label's."""

    def score(self, answers: Answers, other: Answers | None = None) -> Score:
        return top1(self.output(answers), self.labels, level=self.asked.level)

    def compare(self, first: Answers, second: Answers) -> Paired | None:
        return compare_right(top1_right(self.output(first), self.labels), top1_right(self.output(second), self.labels))


class Auc(Metric):
    """An anomaly score for each sample: the output itself, of two classes the second's less the first's, or where the
    output has the size of the one input the mean squared error of the two."""

    def score(self, answers: Answers, other: Answers | None = None) -> Score:
        return auc(self._anomalies(answers), self.labels, level=self.asked.level)

    def compare(self, first: Answers, second: Answers) -> Paired | None:
        one, other = (auc_statistic(self._anomalies(each), self.labels) for each in (first, second))
        return compare_values(one, other, self.samples.count, self.asked.level, seed=self.asked.seed)

    def _anomalies(self, answers: Answers) -> Array:
        found = self.output(answers).astype(np.float64)
        flat = found.reshape(len(found), -1)
        if flat.shape[1] == 2:
            return flat[:, 1] - flat[:, 0]
        inputs = [array.reshape(len(array), -1) for array in self.samples.arrays.values()]
        if flat.shape[1] > 2 and len(inputs) == 1 and inputs[0].shape == flat.shape:
            errors: Array = ((flat - inputs[0].astype(np.float64)) ** 2).mean(axis=1)
            return errors
        return flat


class Psnr(Metric):
    """The output is an image, the label the image that it should be."""

    def score(self, answers: Answers, other: Answers | None = None) -> Score:
        return psnr(
            self.output(answers), self.labels, peak=self.asked.peak, level=self.asked.level, seed=self.asked.seed
        )

    def compare(self, first: Answers, second: Answers) -> Paired | None:
        self.score(first)  # refuses what cannot be compared
        one, other = (psnr_statistic(self.output(each), self.labels, self.asked.peak) for each in (first, second))
        return compare_values(one, other, self.samples.count, self.asked.level, seed=self.asked.seed)


class MeanAveragePrecision(Metric):
    """Boxes [n, 4], scores [n] and classes [n] for each sample, or scores [n, classes]; or rows of six numbers.

    The file has the true boxes as `boxes` [samples, m, 4] and `classes` [samples, m], -1 where there are fewer than m.
    """

    def score(self, answers: Answers, other: Answers | None = None) -> Score:
        return mean_average_precision(self._found(answers), self._true, level=self.asked.level, seed=self.asked.seed)

    def compare(self, first: Answers, second: Answers) -> Paired | None:
        one, other = (map_statistic(self._found(each), self._true) for each in (first, second))
        return compare_values(one, other, self.samples.count, self.asked.level, resamples=200, seed=self.asked.seed)

    @property
    def _true(self) -> list[Boxes]:
        boxes, classes = (self.data.labels(name) for name in ("boxes", "classes"))
        return [Boxes.of(*one) for one in zip(boxes, classes, strict=True)]

    def _found(self, answers: Answers) -> list[Boxes]:
        names = tuple(self.asked.outputs) or tuple(answers)
        unknown = [name for name in names if name not in answers]
        if unknown:
            _output(answers, unknown)
        if not self.asked.outputs and {"boxes", "scores"} <= set(names):
            names = tuple(name for name in ("boxes", "scores", "classes") if name in names)
        arrays = [answers[name] for name in names]
        if len(arrays) == 1 and arrays[0].shape[-1] == 6:
            rows = arrays[0].reshape(len(arrays[0]), -1, 6)
            return [Boxes.of(one[:, :4], _classes(one[:, 5]), one[:, 4]) for one in rows]
        if len(arrays) not in (2, 3) or arrays[0].shape[-1] != 4:
            raise ModelError(
                f"the outputs are {_listed(answers)}; mAP needs boxes [n, 4], scores [n] and classes [n], or boxes and "
                "scores [n, classes], in this order or so called (--output BOXES --output SCORES --output CLASSES), or "
                "one output of rows (x1, y1, x2, y2, score, class). A model whose boxes are still to be decoded, or to "
                "be freed of duplicates, has them not."
            )
        boxes = arrays[0].reshape(len(arrays[0]), -1, 4)
        if len(arrays) == 3:
            scores, classes = (array.reshape(len(array), -1) for array in arrays[1:])
            return [Boxes.of(b, _classes(c), s) for b, s, c in zip(boxes, scores, classes, strict=True)]
        kinds = arrays[1].shape[-1]
        every = arrays[1].reshape(len(boxes), -1, kinds)
        labels = np.arange(kinds)
        return [
            Boxes.of(np.repeat(b, kinds, axis=0), np.tile(labels, len(b)), s.reshape(-1))
            for b, s in zip(boxes, every, strict=True)
        ]


class Agreement(Metric):
    """The largest score is where the reference has it: another model's answers, or those in the file.

    The file has them as an array that is called like the output, or as --labels says.
    """

    def score(self, answers: Answers, other: Answers | None = None) -> Score:
        found = self.output(answers)
        if other is not None:
            return agreement(found, self.output(other), level=self.asked.level)
        name = self.asked.labels or next(name for name, array in answers.items() if array is found)
        if name not in self.data.arrays:
            raise ModelError(
                f"agreement has nothing to agree with: '{self.data.path}' has no array '{name}' of recorded answers, "
                "and no other model is given. --against OTHER.onnx names one, --labels NAME an array."
            )
        recorded = self.data.arrays[name]
        if recorded.size == found.size:
            recorded = recorded.reshape(found.shape)
        return agreement(found, recorded, level=self.asked.level)

    def compare(self, first: Answers, second: Answers) -> Paired | None:
        return None


METRICS: dict[str, type[Metric]] = {
    "top1": Top1,
    "mAP": MeanAveragePrecision,
    "auc": Auc,
    "psnr": Psnr,
    "agreement": Agreement,
}


def _classes(found: Array) -> NDArray[np.int64]:
    if found.dtype.kind == "f" and not np.isfinite(found).all():
        raise ModelError("the classes of detections hold NaN or infinities; whole numbers are needed.")
    return np.rint(found).astype(np.int64)


def _output(answers: Answers, wanted: Sequence[str]) -> Array:
    """The one output that is there, or that is wanted."""
    if len(wanted) == 1 and wanted[0] in answers:
        return answers[wanted[0]]
    if not wanted and len(answers) == 1:
        return next(iter(answers.values()))
    said = f"--output names {', '.join(map(repr, wanted))}" if wanted else "one must be chosen with --output NAME"
    raise ModelError(f"the model's outputs are {_listed(answers)}; {said}.")


def _listed(answers: Answers) -> str:
    return ", ".join(f"'{name}' {list(array.shape[1:])}" for name, array in answers.items())
