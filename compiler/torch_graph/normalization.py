"""Softmax and the normalizations on PyTorch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from subbyte.compiler.ir import ops
from subbyte.compiler.ir.ops_normalization import LayerNormalization, Normalization, RMSNormalization
from subbyte.compiler.torch_graph.registry import first_alone, off_axis, runs

if TYPE_CHECKING:
    from torch import Tensor


@runs(ops.Softmax, together=off_axis)
def softmax(node: ops.Softmax, x: Tensor) -> Tensor:
    return x.softmax(node.axis)


@runs(ops.LogSoftmax, together=off_axis)
def log_softmax(node: ops.LogSoftmax, x: Tensor) -> Tensor:
    return x.log_softmax(node.axis)


@runs(ops.BatchNormalization, together=first_alone)
def batch_normalization(
    node: ops.BatchNormalization, x: Tensor, scale: Tensor, bias: Tensor, mean: Tensor, variance: Tensor
) -> Tensor:
    """Written out, so that gradients reach all four parameters."""
    along = (-1, *[1] * (x.ndim - 2))
    inverse = (variance + node.epsilon).rsqrt()
    return (x - mean.reshape(along)) * (inverse * scale).reshape(along) + bias.reshape(along)


def _rows_apart(node: Normalization, carried: Sequence[bool]) -> bool:
    return node.axis != 0 and first_alone(node, carried)


@runs(LayerNormalization, together=_rows_apart)
def layer_normalization(node: Normalization, x: Tensor, *affine: Tensor) -> Tensor:
    axes = tuple(range(node.axis, x.ndim))
    return _normalized(node, x - x.mean(axes, keepdim=True), affine)


@runs(RMSNormalization, together=_rows_apart)
def rms_normalization(node: Normalization, x: Tensor, *affine: Tensor) -> Tensor:
    return _normalized(node, x, affine)


def _normalized(node: Normalization, difference: Tensor, affine: Sequence[Tensor]) -> Tensor:
    axes = tuple(range(node.axis, difference.ndim))
    y = difference * ((difference * difference).mean(axes, keepdim=True) + node.epsilon).rsqrt()
    if affine:
        y = y * affine[0]
    return y + affine[1] if len(affine) > 1 else y
