"""What scales and shifts each channel: BatchNormalization, and arithmetic with constants that are one a channel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.dtype import FLOAT32
from subbyte.compiler.ir import ops
from subbyte.compiler.ir.node import Node, Value

Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class Affine:
    """gain * x + shift, one of each for every index of axis 1 of x."""

    x: Value
    gain: Doubles
    shift: Doubles


def affine_of(node: Node) -> Affine | None:
    """`node` as an affine map of channels; None where it is something else, or its constants are not finite."""
    if len(node.types) != 1 or node.type.dtype != FLOAT32 or node.type.rank < 2:
        return None
    found = _batch_norm(node) if isinstance(node, ops.BatchNormalization) else _arithmetic(node)
    if found is None or not (np.isfinite(found.gain).all() and np.isfinite(found.shift).all()):
        return None
    return found


def _batch_norm(node: ops.BatchNormalization) -> Affine | None:
    parameters = [v.constant for v in (node.scale, node.bias, node.mean, node.variance)]
    scale, bias, mean, variance = (None if p is None else p.astype(np.float64) for p in parameters)
    if scale is None or bias is None or mean is None or variance is None or node.x.constant is not None:
        return None
    with np.errstate(all="ignore"):
        gain = scale / np.sqrt(variance + np.float64(np.float32(node.epsilon)))
        return Affine(node.x, gain, bias - mean * gain)


def _arithmetic(node: Node) -> Affine | None:
    if not isinstance(node, (ops.Add, ops.Sub, ops.Mul, ops.Div)):
        return None
    x, other = (node.b, node.a) if node.a.constant is not None else (node.a, node.b)
    if x.constant is not None or other.constant is None or x.type.shape != node.type.shape:
        return None
    values = _per_channel(other.constant, node)
    if values is None:
        return None
    one, zero = np.ones(len(values)), np.zeros(len(values))
    match node:
        case ops.Add():
            return Affine(x, one, values)
        case ops.Sub():
            return Affine(x, one, -values) if other is node.b else Affine(x, -one, values)
        case ops.Mul():
            return Affine(x, values, zero)
    if other is node.a:  # a constant divided by x
        return None
    with np.errstate(divide="ignore"):
        return Affine(x, 1 / values, zero)


def _per_channel(constant: NDArray[np.generic], node: Node) -> Doubles | None:
    """[channels] what stands beside each channel; None where it changes along another axis."""
    aligned = constant.reshape((1,) * (node.type.rank - constant.ndim) + constant.shape)
    if any(extent != 1 for axis, extent in enumerate(aligned.shape) if axis != 1):
        return None
    return np.broadcast_to(aligned.reshape(-1).astype(np.float64), (node.type.shape[1],))
