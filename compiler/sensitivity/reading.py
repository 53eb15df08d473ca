"""Outputs read as distributions: without labels, the loss of a changed network is how far its distributions moved.

A network's outputs are parameters of p(y | x). The loss of another network is the mean over samples of

    KL(p || q) = E_p[log p(y) - log q(y)],   p of the float network, q of the changed one,

summed over outputs. It is 0 for the float network itself and never negative, its gradient there is 0, and its second
derivative by the outputs is the Fisher information: so the Hessian of the loss by weights, at the float weights, is the
Fisher information matrix J^T F J (Martens 2020, "New Insights and Perspectives on the Natural Gradient Method").
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.ir import ops
from subbyte.compiler.ir.node import Value

if TYPE_CHECKING:
    from torch import Tensor

Array = NDArray[Any]
_SMALLEST = 1e-12  # a probability below this counts as this


class Kind(Enum):
    """What the numbers of an output are."""

    LOGITS = "logits"
    PROBABILITIES = "probabilities"
    LOG_PROBABILITIES = "log probabilities"
    REAL = "real numbers"


@dataclass(frozen=True)
class Reading:
    """How an output is read: classes along `axis`, or real numbers with normal errors of one variance.

    variance: of real numbers, the mean square of the float network's outputs around their mean over samples.
    """

    kind: Kind
    axis: int = 1
    variance: float = 1.0

    def log_probabilities(self, y: Array) -> Array:
        """Of classes: float64, of the shape of y."""
        wide = y.astype(np.float64)
        match self.kind:
            case Kind.PROBABILITIES:
                return np.asarray(np.log(np.maximum(wide, _SMALLEST)))
            case Kind.LOG_PROBABILITIES:
                return wide
        shifted = wide - wide.max(self.axis, keepdims=True)
        return np.asarray(shifted - np.log(np.exp(shifted).sum(self.axis, keepdims=True)))

    def divergence(self, reference: Array, y: Array, samples: int) -> float:
        """KL(reference || y), the mean over so many samples, both [samples * extent, ...]."""
        if self.kind is Kind.REAL:
            difference = y.astype(np.float64) - reference.astype(np.float64)
            return float((difference**2).sum() / (2 * self.variance * samples))
        p, q = self.log_probabilities(reference), self.log_probabilities(y)
        return max(0.0, float((np.exp(p) * (p - q)).sum() / samples))

    def product(self, reference: Array, a: Array, b: Array, samples: int) -> float:
        """The mean over samples of a^T F b, a and b changes of the outputs, F the Fisher information at reference."""
        wide_a, wide_b = a.astype(np.float64), b.astype(np.float64)
        if self.kind is Kind.REAL:
            return float((wide_a * wide_b).sum() / (self.variance * samples))
        p = np.exp(self.log_probabilities(reference))
        if self.kind is Kind.PROBABILITIES:
            wide_a, wide_b = wide_a / np.maximum(p, _SMALLEST), wide_b / np.maximum(p, _SMALLEST)
        centred = wide_a - (p * wide_a).sum(self.axis, keepdims=True)
        return float((p * centred * wide_b).sum() / samples)

    def torch_log_probabilities(self, y: Tensor) -> Tensor:
        """`log_probabilities` of a tensor, in its dtype, with gradients."""
        match self.kind:
            case Kind.PROBABILITIES:
                return y.clamp(min=_SMALLEST).log()
            case Kind.LOG_PROBABILITIES:
                return y
        return y.log_softmax(self.axis)

    def torch_divergence(self, reference: Tensor, y: Tensor) -> Tensor:
        """The sum over samples of KL(reference || y), with gradients to y."""
        if self.kind is Kind.REAL:
            return ((y - reference) ** 2).sum() / (2 * self.variance)
        p, q = self.torch_log_probabilities(reference).detach(), self.torch_log_probabilities(y)
        return (p.exp() * (p - q)).sum()

    def torch_scores(self, y: Tensor, signs: Tensor) -> Tensor:
        """sum(s * t(y)), the gradient of which by the outputs, squared, is F on average over random signs.

        Classes: t = log p, s_c = signs_c sqrt(p_c); then s^T dt = sum_c signs_c sqrt(p_c) (e_c - p)^T dy, and the mean
        of its square is dy^T (diag(p) - p p^T) dy. Real numbers: t = y, s = signs / sqrt(variance).
        """
        if self.kind is Kind.REAL:
            return (signs * y).sum() / math.sqrt(self.variance)
        logs = self.torch_log_probabilities(y)
        return (signs * (logs.detach() / 2).exp() * logs).sum()


def reading_of(value: Value, reference: Array) -> Reading:
    """How an output is read, by what computes it and its shape.

    Behind a Softmax (LogSoftmax) it is (log) probabilities along that axis; a matrix [N, C] of C >= 2 columns is the
    logits of C classes; anything else is real numbers.
    """
    node = value.node
    while isinstance(node, ops.Reshape) and node.type.shape == node.x.type.shape:
        node = node.x.node
    match node:
        case ops.Softmax(axis=axis):
            return Reading(Kind.PROBABILITIES, axis)
        case ops.LogSoftmax(axis=axis):
            return Reading(Kind.LOG_PROBABILITIES, axis)
    if value.type.rank == 2 and value.type.shape[1] >= 2:
        return Reading(Kind.LOGITS)
    wide = reference.astype(np.float64)
    variance = float(((wide - wide.mean(0)) ** 2).mean()) if wide.ndim else 0.0
    return Reading(Kind.REAL, variance=variance if variance > 0 else 1.0)
