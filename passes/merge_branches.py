"""Merge parallel convolutions of one tensor whose results are added, as RepVGG trains them, into one convolution."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.dtype import FLOAT32
from subbyte.compiler.ir import ops
from subbyte.compiler.ir.graph import Graph, Stage
from subbyte.compiler.ir.layers import is_layer
from subbyte.compiler.ir.node import Node, Value
from subbyte.compiler.ir.rewrite import Rewriter, union_sources
from subbyte.compiler.pass_manager import Within, graph_pass
from subbyte.passes.linear.affine import affine_of
from subbyte.passes.linear.maps import float_constant, known_bias, regrouped

Doubles = NDArray[np.float64]


@graph_pass(
    requires=Stage.IMPORTED,
    ensures=Stage.IMPORTED,
    exactness=Within(steps=1, reason="the sum of the weights is rounded once, what was added is not rounded"),
)
def merge_branches(graph: Graph) -> Graph:
    """Conv3x3(x) + Conv1x1(x) + BatchNormalization(x) + x  ->  Conv3x3(x) with the sum of their weights.

    Each branch is a kernel around the same place: a 1x1 convolution has one tap, a normalization (or a factor for each
    channel) is diagonal, x itself is the identity. Branches must agree in strides and dilations; kernels may differ in
    size, groups may differ. Merged where the sum has no more weights than the branches, and where at least two of them
    compute something: x + Conv(x) stays, since a weight of 1 beside small ones widens the range of the weights.
    BatchNormalization behind the convolutions is folded before, by `fold_batch_norm`.
    Source: Ding et al., RepVGG: Making VGG-style ConvNets Great Again, 2021, section 3.3.
    """
    merger = _Merger(graph)
    for node in graph.nodes():
        merger.rewriter.replace(node, merger.merged(node) or merger.rewriter.rebuilt(node))
    return merger.rewriter.finish()


@dataclass(frozen=True)
class _Branch:
    """A convolution of x: weights [O, C / groups, kernel...], bias [O]; `size` counts its weights in the graph.

    begins: how far its first tap lies before the place of a result, on each axis; dilated like the others.
    """

    value: Value
    x: Value
    weights: Doubles
    bias: Doubles
    groups: int
    strides: tuple[int, ...]
    dilations: tuple[int, ...] | None  # None: it has one tap
    begins: tuple[int, ...]
    size: int


class _Merger:
    def __init__(self, graph: Graph) -> None:
        self.rewriter = Rewriter(graph)
        self.readers = Counter(value for node in graph.nodes() for value in node.operands)
        self.readers.update(output.value for output in graph.outputs)
        self.users = graph.users()

    def merged(self, node: Node) -> Node | None:
        """The sum with convolutions of one tensor merged; None where there are none, or it is part of a larger sum."""
        if not isinstance(node, ops.Add) or self._is_inner(node):
            return None
        sums: list[Node] = []
        terms = self._terms(node, sums)
        for x in dict.fromkeys(value for term in terms for value in (term, *term.node.operands[:1])):
            branches = [branch for term in terms if (branch := self._branch(term, x, node.type.shape)) is not None]
            if sum(branch.size > 0 for branch in branches) < 2:
                continue
            conv = _sum(branches, node)
            if conv is not None:
                return self._rebuilt(node, conv.replace(sources=union_sources(*sums)), branches, terms)
        return None

    def _rebuilt(self, node: ops.Add, conv: ops.Conv, branches: list[_Branch], terms: list[Value]) -> Node:
        """The sum of the merged convolution and of the terms that are left."""
        sources = union_sources(*(branch.value.node for branch in branches if branch.size), conv)
        placed: Node = conv.replace(x=self.rewriter[conv.x], sources=sources)
        gone = [branch.value for branch in branches]
        for term in terms:
            if term in gone:
                gone.remove(term)
            else:
                placed = ops.Add(placed.out, self.rewriter[term], sources=node.sources)
        return placed.replace(tensor=node.tensor)

    def _is_inner(self, node: ops.Add) -> bool:
        """Whether another addition is all that reads this one."""
        users = self.users.get(node.out, [])
        return self.readers[node.out] == 1 and len(users) == 1 and self._is_sum(users[0])

    def _is_sum(self, node: Node) -> bool:
        return isinstance(node, ops.Add) and node.a.type.shape == node.b.type.shape and node.type.dtype == FLOAT32

    def _terms(self, node: ops.Add, sums: list[Node]) -> list[Value]:
        """What is added, in order; a sum within that nobody else reads is taken apart. `sums` gets all of them."""
        terms: list[Value] = []
        for value in (node.a, node.b):
            inner = value.node
            if isinstance(inner, ops.Add) and self._is_sum(inner) and self.readers[value] == 1:
                terms += self._terms(inner, sums)
            else:
                terms.append(value)
        sums.append(node)
        return terms

    def _branch(self, value: Value, x: Value, shape: tuple[int, ...]) -> _Branch | None:
        """`value` as a convolution of x; None where it is none, or somebody else reads it."""
        rank = x.type.rank - 2
        if rank < 1 or value.type.shape != shape or x.constant is not None:
            return None
        node, ones, zeros = value.node, (1,) * rank, (0,) * rank
        if value == x:
            return _diagonal(value, x, np.ones(x.type.shape[1]), np.zeros(x.type.shape[1]), 0)
        if self.readers[value] != 1:
            return None
        if isinstance(node, ops.Conv) and node.x == x and is_layer(node) and self.readers[node.w] == 1:
            bias = known_bias(node)
            if bias is None:
                return None
            weights = np.asarray(node.w.constant, np.float64)
            shift = np.broadcast_to(bias, weights.shape[:1])
            dilations = None if set(weights.shape[2:]) == set(ones) else node.dilations
            begins = node.pads[:rank] if dilations is not None or any(node.pads) else zeros
            return _Branch(value, x, weights, shift, node.group, node.strides, dilations, begins, weights.size)
        affine = affine_of(node)
        if affine is not None and affine.x == x:
            return _diagonal(value, x, affine.gain, affine.shift, len(affine.gain))
        return None


def _diagonal(value: Value, x: Value, gain: Doubles, shift: Doubles, size: int) -> _Branch:
    rank = x.type.rank - 2
    weights = gain.reshape(-1, 1, *(1,) * rank)
    return _Branch(value, x, weights, shift, len(gain), (1,) * rank, None, (0,) * rank, size)


def _sum(branches: list[_Branch], node: Node) -> ops.Conv | None:
    """One convolution for all; None where they do not fit each other, or it would have more weights than they."""
    rank = node.type.rank - 2
    strides = {branch.strides for branch in branches}
    dilated = {branch.dilations for branch in branches if branch.dilations is not None}
    if len(strides) != 1 or len(dilated) > 1:
        return None
    (stride,), dilations = strides, dilated.pop() if dilated else (1,) * rank
    groups = math.gcd(*(branch.groups for branch in branches))
    begins = [max(branch.begins[axis] for branch in branches) for axis in range(rank)]
    places = [[(begins[axis] - branch.begins[axis]) / dilations[axis] for axis in range(rank)] for branch in branches]
    if any(not place.is_integer() for row in places for place in row):
        return None
    first = [[int(place) for place in row] for row in places]
    kernel = [
        max(row[axis] + branch.weights.shape[2 + axis] for row, branch in zip(first, branches, strict=True))
        for axis in range(rank)
    ]
    total = np.zeros((node.type.shape[1], branches[0].x.type.shape[1] // groups, *kernel))
    for row, branch in zip(first, branches, strict=True):
        taps = tuple(slice(at, at + n) for at, n in zip(row, branch.weights.shape[2:], strict=True))
        total[(slice(None), slice(None), *taps)] += regrouped(branch.weights, branch.groups, groups)
    if total.size > sum(branch.size for branch in branches):
        return None
    return _placed(branches, node, total, (*stride,), (*dilations,), begins, groups)


def _placed(
    branches: list[_Branch],
    node: Node,
    weights: Doubles,
    strides: tuple[int, ...],
    dilations: tuple[int, ...],
    begins: list[int],
    groups: int,
) -> ops.Conv | None:
    """The convolution, with pads behind x so that it has as many results as the branches."""
    x = branches[0].x
    ends = []
    for axis, begin in enumerate(begins):
        extent, results = x.type.shape[2 + axis], node.type.shape[2 + axis]
        reach = (weights.shape[2 + axis] - 1) * dilations[axis]
        ends.append((results - 1) * strides[axis] + 1 + reach - extent - begin)
    bias = np.sum([branch.bias for branch in branches], axis=0)
    some = any(branch.bias.any() for branch in branches)
    pads = (*begins, *(max(end, 0) for end in ends))  # below 0: a stride leaves some of x out
    shift = float_constant(bias) if some else None
    conv = ops.Conv(x, float_constant(weights), shift, strides, pads, dilations, groups)
    return conv if conv.type == node.type else None
