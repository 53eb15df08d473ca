"""Layers as linear maps: with scaled and shifted results or operands, and as blocks of another number of groups."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.dtype import FLOAT32
from subbyte.compiler.ir import ops
from subbyte.compiler.ir.layers import Layer, WeightedNode
from subbyte.compiler.ir.node import Constant, Value

Doubles = NDArray[np.float64]
Kernel = ops.Conv | ops.ConvTranspose


def float_constant(values: Any, sources: tuple[str, ...] = ()) -> Value:
    """A float32 constant, rounded once."""
    return Constant.of(np.asarray(values, np.float64).astype(np.float32), FLOAT32, sources=sources).out


def known_bias(node: WeightedNode) -> Doubles | None:
    """What the layer adds to its results, [outputs] or [rows, outputs] or []; None where it is not a constant."""
    bias = None if isinstance(node, ops.MatMul) else node.c if isinstance(node, ops.Gemm) else node.b
    if bias is None:
        return np.zeros(())
    if bias.constant is None:
        return None
    factor = node.beta if isinstance(node, ops.Gemm) else 1.0
    return np.asarray(bias.constant.astype(np.float64) * np.float64(np.float32(factor)))


def with_map(node: WeightedNode, matrix: Doubles, bias: Doubles) -> WeightedNode | None:
    """The layer with another matrix [groups, outputs, K], and another bias; None where it has no place for a bias.

    A product of matrices becomes a Gemm where it gets a bias.
    """
    layer = Layer("", node)
    weights = float_constant(layer.from_matrix(matrix), layer.w.node.sources)
    some = bool(bias.any())
    match node:
        case ops.Conv() | ops.ConvTranspose():
            shift = float_constant(np.broadcast_to(bias, (node.type.shape[1],))) if some or node.b is not None else None
            return node.replace(w=weights, b=shift)
        case ops.Gemm():
            return node.replace(b=weights, c=float_constant(bias) if some or node.c is not None else None, beta=1.0)
    if not some:
        return node.replace(b=weights)
    if node.type.rank != 2:
        return None
    names: dict[str, Any] = {"sources": node.sources, "tensor": node.tensor}
    return ops.Gemm(node.a, weights, float_constant(bias), 1.0, 1.0, False, False, **names)


def with_affine_results(node: WeightedNode, gain: Doubles, shift: Doubles) -> WeightedNode | None:
    """gain * (W x + b) + shift  ->  (gain W) x + (gain b + shift), [outputs] each; None where it cannot be."""
    bias = known_bias(node)
    if bias is None:
        return None
    matrix = Layer("", node).matrix().astype(np.float64)
    return with_map(node, matrix * gain.reshape(*matrix.shape[:2], 1), bias * gain + shift)


def with_affine_operand(node: WeightedNode, gain: Doubles, shift: Doubles) -> WeightedNode | None:
    """W (gain * x + shift) + b  ->  (W gain) x + (W shift + b), [inputs] each; None where that is not the same.

    A border of zeros is not shifted: a convolution with pads takes a shift of zero only.
    """
    bias = known_bias(node)
    if bias is None or (isinstance(node, Kernel) and shift.any() and _has_borders(node)):
        return None
    matrix = Layer("", node).matrix().astype(np.float64)
    groups, outputs, columns = matrix.shape
    split = matrix.reshape(groups, outputs, len(gain) // groups, -1)
    moved = np.einsum("gock,gc->go", split, shift.reshape(groups, -1)).reshape(-1)
    alpha = np.float64(np.float32(node.alpha)) if isinstance(node, ops.Gemm) else 1.0
    scaled = (split * gain.reshape(groups, 1, -1, 1)).reshape(groups, outputs, columns)
    return with_map(node, scaled, bias + alpha * moved)


def _has_borders(node: Kernel) -> bool:
    """Whether some results meet fewer operands than others."""
    if isinstance(node, ops.ConvTranspose):
        return any(extent > 1 for extent in node.w.type.shape[2:]) or any(stride > 1 for stride in node.strides)
    return any(node.pads)


def regrouped(weights: Doubles, groups: int, into: int) -> Doubles:
    """[O, C / groups, kernel...] -> [O, C / into, kernel...], zeros where there was no weight; into divides groups."""
    outputs, inputs, *kernel = weights.shape
    blocks = groups // into
    wide = np.zeros((into, blocks, outputs // groups, blocks, inputs, *kernel))
    split = weights.reshape(into, blocks, outputs // groups, inputs, *kernel)
    for block in range(blocks):
        wide[:, block, :, block] = split[:, block]
    return wide.reshape(outputs, blocks * inputs, *kernel)
