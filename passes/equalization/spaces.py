"""Which channels of a float network may be scaled, and which only together: labels that move as the data do."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.dtype import FLOAT32
from subbyte.compiler.ir import ops
from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.ir.interpret import evaluate_node  # noqa: F401  (registers what data movement means)
from subbyte.compiler.ir.interpret_registry import interpretation_of
from subbyte.compiler.ir.layers import Layer, layers
from subbyte.compiler.ir.node import Constant, Node, Value
from subbyte.compiler.ir.ops_indexing import Expand

Labels = NDArray[np.int64]

FIXED = 0
"""The label of what must not be scaled."""

_MOVES = (
    ops.Reshape, ops.Transpose, ops.Concat, ops.Split, ops.Slice, ops.Gather, ops.DepthToSpace, ops.SpaceToDepth,
    ops.ResizeNearest, ops.Pad, Expand,
)  # fmt: skip
_HOMOGENEOUS = ("Relu", "LeakyRelu", "Abs", "Neg")
_REDUCTIONS = (ops.ReduceSum, ops.ReduceMean, ops.ReduceMax, ops.ReduceMin)
_ORDERS = (ops.Minimum, ops.Maximum)


@dataclass(frozen=True)
class Stretch:
    """A layer that can take scales: y / s_out = (W * s_in / s_out) @ (x / s_in) + b / s_out.

    taken: [groups * inputs of a group] the labels of what it sums over. made: [outputs] the labels of its results.
    """

    layer: Layer
    taken: Labels
    made: Labels

    def matrix(self) -> NDArray[np.float64]:
        """[groups, outputs of a group, inputs of a group, kernel] of the weights, kernel positions on one axis."""
        matrix = self.layer.matrix().astype(np.float64)
        return matrix.reshape(*matrix.shape[:2], len(self.taken) // len(matrix), -1)

    def factors(self, scales: NDArray[np.float64]) -> NDArray[np.float64]:
        """[groups, outputs of a group, inputs of a group] what each weight is multiplied by: s_in / s_out."""
        groups = self.layer.groups
        of_inputs = scales[self.taken].reshape(groups, 1, -1)
        return np.asarray(of_inputs / scales[self.made].reshape(groups, -1, 1))


class Spaces:
    """Labels for every computed value: a value may be divided by s[label], element by element, s > 0 for each label.

    Equal labels (after `roots`) have one s. A layer takes the labels of its operand in and makes new ones; what keeps
    order and scale (Relu, pools, data movement) hands them on; an addition joins those of its operands. FIXED are graph
    inputs and outputs and all around an operation that is not mentioned here, such as a Clip at 6 or a Sigmoid.
    Labels are arrays that broadcast against their values, so that they can move as the data do.
    """

    def __init__(self, graph: Graph) -> None:
        readers = Counter(value for node in graph.nodes() for value in node.operands)
        self.labels: dict[Value, Labels] = {}
        self.stretches: list[Stretch] = []
        self._parents = [FIXED]
        self._layers = {layer.node: layer for layer in layers(graph) if readers[layer.w] == 1}
        for node in graph.nodes():
            if not isinstance(node, Constant):
                self._enter(node)
        for output in graph.outputs:
            self._fix(output.value)

    def roots(self) -> Labels:
        """The label that stands for each label, and for all that are scaled with it."""
        return np.array([self._root(label) for label in range(len(self._parents))], np.int64)

    def along(self, value: Value, axis: int) -> Labels:
        """[extent of the axis] the labels of a value along `axis`, one for all places on the other axes."""
        labels = np.moveaxis(self._of(value), axis, -1)
        rows = np.unique(labels.reshape(-1, labels.shape[-1]), axis=0)
        for row in rows[1:]:
            self._join(rows[0], row)
        return np.broadcast_to(rows[0], (value.type.shape[axis],))

    def _of(self, value: Value) -> Labels:
        return self.labels.get(value, np.full((1,) * value.type.rank, FIXED, np.int64))

    def _enter(self, node: Node) -> None:
        handed_on = self._handed_on(node) if all(t.dtype == FLOAT32 and t.elements for t in node.types) else None
        if handed_on is None:
            for value in node.operands:
                self._fix(value)
            handed_on = tuple(np.full((1,) * t.rank, FIXED, np.int64) for t in node.types)
        for index, labels in enumerate(handed_on):
            self.labels[Value(node, index)] = labels

    def _handed_on(self, node: Node) -> tuple[Labels, ...] | None:
        """The labels of what `node` makes; None where scales cannot pass it."""
        if node in self._layers:
            return self._through_layer(self._layers[node])
        if isinstance(node, _MOVES):
            return self._moved(node)
        match node:
            case ops.Unary(x=x, function=function) if function in _HOMOGENEOUS or _is_rectifier(node):
                return (self._of(x),)
            case ops.PRelu(x=x, slope=slope) if slope.constant is not None:
                return (self._of(x),)
            case ops.MaxPool(x=x) | ops.AveragePool(x=x):
                return (self._uniform(x, range(2, x.type.rank)),)
            case ops.Reduce(x=x, axes=axes, keepdims=keepdims) if isinstance(node, _REDUCTIONS):
                labels = self._uniform(x, axes)
                return (labels if keepdims else labels.squeeze(axes),)
            case ops.ResizeLinear(x=x, sizes=sizes, scales=scales):
                resized = [k for k, n in enumerate(x.type.shape) if sizes[k] != n or scales[k] != 1]
                return (self._uniform(x, resized),)
            case ops.Add() | ops.Sub() | ops.Minimum() | ops.Maximum() | ops.Mul() | ops.Div():
                return self._through_binary(node)
        return None

    def _through_layer(self, layer: Layer) -> tuple[Labels, ...] | None:
        if layer.bias is not None and layer.bias.constant is None:
            return None
        node, rank = layer.node, layer.node.type.rank
        match node:
            case ops.Conv() | ops.ConvTranspose():
                taken_axis, made_axis = 1, 1
            case ops.Gemm(transpose_a=True):
                taken_axis, made_axis = 0, 1
            case _:
                taken_axis, made_axis = layer.x.type.rank - 1, rank - 1
        made = self._new(node.type.shape[made_axis])
        self.stretches.append(Stretch(layer, self.along(layer.x, taken_axis), made))
        return (made.reshape([-1 if axis == made_axis else 1 for axis in range(rank)]),)

    def _moved(self, node: Node) -> tuple[Labels, ...] | None:
        """Data movement is done to the labels. A border of zeros is zero on any scale: it has its neighbour's."""
        operands: list[Labels] = []
        match node:
            case ops.Pad(mode="constant", value=border):
                if border != 0 or 0 in node.operands[0].type.shape:
                    return None
                node = node.replace(mode="edge")
            case ops.Gather(indices=indices) if indices.constant is None:
                return None
        for value in node.operands:
            if isinstance(node, ops.Gather) and value == node.indices and value.constant is not None:
                operands.append(value.constant)
            else:
                operands.append(np.broadcast_to(self._of(value), value.type.shape))
        found = interpretation_of(node)(node, *operands)
        return tuple(_compressed(labels) for labels in (found if isinstance(found, tuple) else (found,)))

    def _through_binary(self, node: ops.Binary) -> tuple[Labels, ...] | None:
        rank = node.type.rank
        a, b = (_aligned(self._of(value), rank) for value in (node.a, node.b))
        if node.a.constant is not None or node.b.constant is not None:
            return self._beside_constant(node, b if node.a.constant is not None else a)
        if isinstance(node, (ops.Mul, ops.Div)):
            if self._is_fixed(b):
                return (a,)
            return (b,) if isinstance(node, ops.Mul) and self._is_fixed(a) else None
        self._join(a, b)
        return (np.broadcast_arrays(a, b)[0],)

    def _beside_constant(self, node: ops.Binary, labels: Labels) -> tuple[Labels, ...] | None:
        """A constant that is added is scaled with x; a factor stays; a limit is scaled where it is one a channel."""
        constant = node.a.constant if node.b.constant is None else node.b.constant
        if constant is None or (isinstance(node, ops.Div) and node.b.constant is None):
            return None
        if isinstance(node, _ORDERS) and constant.any():
            wide = _aligned(constant, node.type.rank).shape
            if np.broadcast_shapes(wide, labels.shape) != wide:
                return None
        return (labels,)

    def _uniform(self, value: Value, axes: range | list[int] | tuple[int, ...]) -> Labels:
        """The labels of a value, joined along `axes`."""
        labels = self._of(value)
        for axis in axes:
            first = labels.take([0], axis)
            self._join(np.broadcast_to(first, labels.shape), labels)
            labels = first
        return labels

    def _fix(self, value: Value) -> None:
        self._join(np.int64(FIXED), self._of(value))

    def _is_fixed(self, labels: Labels) -> bool:
        return all(self._root(label) == FIXED for label in np.unique(labels).tolist())

    def _new(self, count: int) -> Labels:
        labels = np.arange(len(self._parents), len(self._parents) + count)
        self._parents.extend(labels.tolist())
        return labels

    def _join(self, one: Labels | np.int64, other: Labels) -> None:
        a, b = np.broadcast_arrays(one, other)
        pairs = np.stack([a.reshape(-1), b.reshape(-1)], axis=1)
        for left, right in np.unique(pairs[pairs[:, 0] != pairs[:, 1]], axis=0).tolist():
            roots = self._root(left), self._root(right)
            self._parents[max(roots)] = min(roots)

    def _root(self, label: int) -> int:
        while self._parents[label] != label:
            self._parents[label] = self._parents[self._parents[label]]
            label = self._parents[label]
        return label


def _is_rectifier(node: ops.Unary) -> bool:
    """A Clip that only knows 0: scaling does not move its limits."""
    return node.function == "Clip" and all(limit == 0 or np.isinf(limit) for limit in node.parameters)


def _aligned(array: NDArray[Any], rank: int) -> NDArray[Any]:
    """Axes of extent 1 in front, up to `rank`."""
    return array.reshape((1,) * (rank - array.ndim) + array.shape)


def _compressed(labels: Labels) -> Labels:
    """The same labels with extent 1 on every axis along which they do not change."""
    for axis in range(labels.ndim):
        first = labels.take([0], axis) if labels.shape[axis] > 1 else labels
        if first is not labels and (labels == first).all():
            labels = first
    return labels
