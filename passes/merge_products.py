"""Merge convolutions and matrix products that follow each other with nothing in between into one."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np

from subbyte.compiler.ir import ops
from subbyte.compiler.ir.graph import Graph, Stage
from subbyte.compiler.ir.layers import Layer, WeightedNode, is_layer
from subbyte.compiler.ir.macs import multiply_accumulates
from subbyte.compiler.ir.node import Node
from subbyte.compiler.ir.rewrite import Rewriter, union_sources
from subbyte.compiler.pass_manager import Within, graph_pass
from subbyte.passes.linear.maps import float_constant, known_bias, regrouped, with_map


@graph_pass(
    requires=Stage.IMPORTED,
    ensures=Stage.IMPORTED,
    exactness=Within(steps=1, reason="the product of the weights is rounded once, what lay between is not rounded"),
)
def merge_products(graph: Graph) -> Graph:
    """W2 (W1 x + b1) + b2  ->  (W2 W1) x + (W2 b1 + b2), where that is no more work and no more weights.

    Conv and Conv: one of the two has a 1x1 kernel without pads, the first of such without strides. Where the second one
    pads, the first may have no bias, since the borders would not have it. Gemm and MatMul: any two. Only where nobody
    else reads what lies between and no other layer shares the weights.
    """
    while True:
        merged = _sweep(graph)
        if merged is graph:
            return graph
        graph = merged


def _sweep(graph: Graph) -> Graph:
    """Merge pairs that do not meet each other."""
    readers = Counter(value for node in graph.nodes() for value in node.operands)
    shown = {output.value for output in graph.outputs}
    rewriter = Rewriter(graph)
    done: set[Node] = set()

    def is_free(node: Node) -> bool:
        return is_layer(node) and readers[node.operands[1]] == 1

    for node in graph.nodes():
        merged = None
        if is_free(node):
            x = node.operands[0]
            if is_free(x.node) and readers[x] == 1 and x not in shown and x.node not in done:
                merged = _merged(x.node, node)
        if merged is None:
            rewriter.replace(node, rewriter.rebuilt(node))
            continue
        done.add(node)
        x = merged.operands[0]
        placed = merged.map_operands(lambda value, x=x: rewriter[x] if value == x else value)  # type: ignore[misc]
        rewriter.replace(node, placed.replace(sources=union_sources(x.node, node), tensor=node.tensor))
    return rewriter.finish()


def _merged(first: Node, second: Node) -> WeightedNode | None:
    """One layer for both, over the operand of the first; None where there is none, or it is more work."""
    merged: WeightedNode | None
    match first, second:
        case ops.Conv(), ops.Conv():
            merged = _merged_convolutions(first, second)
        case (ops.Gemm() | ops.MatMul(), ops.Gemm() | ops.MatMul()):
            merged = _merged_matrices(first, second)
        case _:
            return None
    if merged is None:
        return None
    weights = Layer("", merged).weights.size
    macs = multiply_accumulates(merged)
    if weights > sum(node.operands[1].type.elements for node in (first, second)):
        return None
    return merged if macs <= multiply_accumulates(first) + multiply_accumulates(second) else None


def _merged_convolutions(first: ops.Conv, second: ops.Conv) -> ops.Conv | None:
    bias, added = known_bias(first), known_bias(second)
    if bias is None or added is None:
        return None
    groups = math.gcd(first.group, second.group)
    w1, w2 = (_in_groups(node, groups) for node in (first, second))
    if _is_pointwise(second):
        kernel = np.einsum("gom,gmck->gock", w2[..., 0], w1)
        taps = first.w.type.shape[2:]
        strides = tuple(s * t for s, t in zip(first.strides, second.strides, strict=True))
        pads, dilations = first.pads, first.dilations
    elif _is_pointwise(first) and set(first.strides) == {1} and not (bias.any() and any(second.pads)):
        kernel = np.einsum("gomk,gmc->gock", w2, w1[..., 0])
        taps = second.w.type.shape[2:]
        strides, pads, dilations = second.strides, second.pads, second.dilations
    else:
        return None
    outputs = second.type.shape[1]
    constant = np.broadcast_to(bias, (first.type.shape[1],)).reshape(groups, -1)
    shift = np.einsum("gomk,gm->go", w2, constant).reshape(-1) + added
    return ops.Conv(
        first.x,
        float_constant(kernel.reshape(outputs, -1, *taps), union_sources(first.w.node, second.w.node)),
        float_constant(shift) if first.b is not None or second.b is not None else None,
        strides,
        pads,
        dilations,
        groups,
    )


def _is_pointwise(node: ops.Conv) -> bool:
    return set(node.w.type.shape[2:]) == {1} and not any(node.pads)


def _in_groups(node: ops.Conv, groups: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """[groups, outputs of a group, inputs of a group, kernel]"""
    weights = regrouped(Layer("", node).weights.astype(np.float64), node.group, groups)
    return weights.reshape(groups, weights.shape[0] // groups, weights.shape[1], -1)


def _merged_matrices(first: ops.Gemm | ops.MatMul, second: ops.Gemm | ops.MatMul) -> WeightedNode | None:
    bias, added = known_bias(first), known_bias(second)
    if bias is None or added is None or (isinstance(second, ops.Gemm) and second.transpose_a):
        return None
    inner, outer = (Layer("", node).matrix()[0].astype(np.float64) * _alpha(node) for node in (first, second))
    shift = np.broadcast_to(bias, (*bias.shape[:-1], len(inner))) @ outer.T + added
    layer = first if isinstance(first, ops.Gemm) or isinstance(second, ops.MatMul) else _as_gemm(first)
    if layer is None:
        return None
    if isinstance(layer, ops.Gemm):
        layer = layer.replace(alpha=1.0)
    width = second.type.shape[-1]
    blank = float_constant(np.zeros((width, inner.shape[1]) if _is_transposed(layer) else (inner.shape[1], width)))
    resized = layer.replace(b=blank, c=None) if isinstance(layer, ops.Gemm) else layer.replace(b=blank)
    return with_map(resized, (outer @ inner)[np.newaxis], shift)


def _alpha(node: ops.Gemm | ops.MatMul) -> np.float64:
    return np.float64(np.float32(node.alpha if isinstance(node, ops.Gemm) else 1.0))


def _is_transposed(node: ops.Gemm | ops.MatMul) -> bool:
    return isinstance(node, ops.Gemm) and node.transpose_b


def _as_gemm(node: ops.MatMul) -> ops.Gemm | None:
    if node.type.rank != 2 or node.a.type.rank != 2:
        return None
    return ops.Gemm(node.a, node.b, None, 1.0, 1.0, False, False)
