"""Fold BatchNormalization into the float weights of the convolution or matrix product before it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.dtype import FLOAT32
from subbyte.compiler.ir.graph import Graph, Stage
from subbyte.compiler.ir.node import Constant, Node, Value
from subbyte.compiler.ir.ops import BatchNormalization, Conv, ConvTranspose, Gemm, MatMul
from subbyte.compiler.ir.rewrite import Rewriter, union_sources
from subbyte.compiler.pass_manager import Within, graph_pass

Doubles = NDArray[np.float64]


@graph_pass(
    requires=Stage.IMPORTED,
    ensures=Stage.IMPORTED,
    exactness=Within(steps=1, reason="the products weight * gain are rounded before they are summed, not after"),
)
def fold_batch_norm(graph: Graph) -> Graph:
    """BatchNormalization(product(x, w) + b) -> product(x, w * gain) + (b - mean) * gain + bias.

    gain = scale / sqrt(variance + epsilon). Only where w and b are float constants and nobody else reads the product.
    Weights behind a DequantizeLinear keep their codes: fold_qdq makes gain and shift part of the requantization.
    """
    shown = {output.value for output in graph.outputs}
    users = graph.users()
    rewriter = Rewriter(graph)
    for node in graph.nodes():
        current: Node = rewriter.rebuilt(node)
        if isinstance(node, BatchNormalization) and isinstance(current, BatchNormalization):
            alone = len(users[node.x]) == 1 and node.x not in shown
            current = (_folded(current) if alone else None) or current
        rewriter.replace(node, current)
    return rewriter.finish()


def _folded(node: BatchNormalization) -> Node | None:
    """The product with the normalization in its weights; None where it cannot be there."""
    parameters = [v.constant for v in (node.scale, node.bias, node.mean, node.variance)]
    scale, bias, mean, variance = (None if p is None else p.astype(np.float64) for p in parameters)
    if scale is None or bias is None or mean is None or variance is None or node.type.dtype != FLOAT32:
        return None
    gain = scale / np.sqrt(variance + np.float64(np.float32(node.epsilon)))
    shift = bias - mean * gain
    if not (np.isfinite(gain).all() and np.isfinite(shift).all()):
        return None
    return _with_gain(node, gain, shift)


def _with_gain(node: BatchNormalization, gain: Doubles, shift: Doubles) -> Node | None:
    product = node.x.node
    names: dict[str, Any] = {"sources": union_sources(product, node), "tensor": node.tensor}
    match product:
        case Conv(w=w, b=b):
            weights = _scaled(w, gain, 0)
        case ConvTranspose(w=w, b=b, group=group):
            weights = _scaled(w, gain, 1) if group == 1 else None
        case Gemm(b=w, c=b, beta=1.0):
            weights = _scaled(w, gain, 0 if product.transpose_b else 1)
        case MatMul(a=a, b=w) if w.type.rank == a.type.rank == 2:
            weights = _scaled(w, gain, 1)
            if weights is None:
                return None
            gemm = Gemm(a, weights, _float(shift), 1.0, 1.0, False, False)
            return gemm.replace(**names)
        case _:
            return None
    bias = np.float64(0) if b is None else b.constant
    if weights is None or bias is None or np.shape(bias) not in ((), gain.shape, (1, *gain.shape)):
        return None
    moved = _float((np.asarray(bias, np.float64) * gain).reshape(gain.shape) + shift)
    if isinstance(product, Gemm):
        return product.replace(b=weights, c=moved, **names)
    return product.replace(w=weights, b=moved, **names)


def _scaled(w: Value, gain: Doubles, axis: int) -> Value | None:
    """w times gain along `axis`, rounded once; None where w is no float constant."""
    weights = w.constant
    if weights is None or w.type.dtype != FLOAT32:
        return None
    along = [1] * weights.ndim
    along[axis] = -1
    return _float(weights.astype(np.float64) * gain.reshape(along), w.node.sources)


def _float(values: Doubles, sources: tuple[str, ...] = ()) -> Value:
    return Constant.of(values.astype(np.float32), FLOAT32, sources=sources).out
