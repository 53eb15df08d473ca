"""Which channels belong together: a channel goes from a chain of operations as a whole, or not at all."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TypeGuard

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.ir import ops, qops
from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.ir.node import Constant, Node, Value

Labels = NDArray[np.int64]
Product = qops.QConv | qops.QGemm


@dataclass(frozen=True)
class Channels:
    """The axis of a value along which channels may go, and the label of each channel there."""

    axis: int
    labels: Labels


@dataclass
class Spaces:
    """Labels for the channels of each value; equal labels (after `roots`) go together.

    Operations channel by channel hand their labels on; elementwise operations join those of both operands; a product
    that sums over channels takes them in and gives new ones to what it makes. `fixed` channels never go: those of graph
    inputs and outputs, and of every operation that is not mentioned here.
    """

    channels: dict[Value, Channels] = field(default_factory=dict)
    products: list[Product] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)
    fixed: set[int] = field(default_factory=set)

    @classmethod
    def of(cls, graph: Graph) -> Spaces:
        spaces = cls()
        for node in graph.nodes():
            if not isinstance(node, Constant):
                spaces._enter(node)
        for output in graph.outputs:
            spaces._fix(output.value)
        return spaces

    def roots(self) -> Labels:
        """The label that stands for each label, and for all that go with it."""
        return np.array([self._root(label) for label in range(len(self.parents))], np.int64)

    def _enter(self, node: Node) -> None:
        if is_product(node):
            self._take_in(node)
            return
        per_axis = any(t.quant is not None and not t.quant.is_per_tensor for t in node.types)
        found = None if per_axis else self._handed_on(node)
        if found is None:
            for value in node.operands:
                self._fix(value)
            return
        for index, channels in enumerate(found):
            self.channels[Value(node, index)] = channels

    def _take_in(self, node: Product) -> None:
        """A product: takes in the channels of its data, makes new ones."""
        axis = node.type.rank - 1 if isinstance(node, qops.QGemm) else 1
        data = node.a if isinstance(node, qops.QGemm) else node.x
        taken = self.channels.get(data)
        if taken is not None and taken.axis != summed_axis(node):
            self._fix(data)
        self.products.append(node)
        self.channels[node.out] = Channels(axis, self._new(node.type.shape[axis]))

    def _handed_on(self, node: Node) -> tuple[Channels, ...] | None:
        """The channels of what `node` makes from those of its operands; None where it needs all of them."""
        match node:
            case qops.QBinary(a=a, b=b):
                return self._joined((a, b), node)
            case ops.Concat():
                return self._concatenated(node)
        x = self.channels.get(node.operands[0]) if node.operands else None
        if x is None or any(value in self.channels for value in node.operands[1:]):
            return None
        axis, before = x.axis, node.operands[0].type
        match node:
            case qops.QConv() if is_depthwise(node) and axis == 1:
                return (Channels(1, np.repeat(x.labels, node.w.type.shape[0] // node.group)),)
            case qops.Lookup() | qops.Clamp() | qops.OffsetCodes():
                return (x,)
            case ops.MaxPool() | qops.QAveragePool() if axis == 1:
                return (x,)
            case ops.Pad(pads=pads) if pads[axis] == pads[before.rank + axis] == 0:
                return (x,)
            case ops.Slice() if node.spans()[axis] == range(before.shape[axis]):
                return (x,)
            case ops.ResizeNearest() | qops.QResizeLinear() if (
                node.sizes[axis] == before.shape[axis] and node.scales[axis] == 1
            ):
                return (x,)
            case qops.QReduce() | ops.ReduceMax() | ops.ReduceMin() if axis not in node.axes:
                return (Channels(axis if node.keepdims else axis - sum(a < axis for a in node.axes), x.labels),)
            case ops.Transpose(perm=perm):
                return (Channels(perm.index(axis), x.labels),)
            case ops.Reshape(shape=shape):
                return _reshaped(x, before.shape, shape)
            case ops.Split() if node.axis != axis:
                return (x,) * len(node.types)
            case ops.Split(sizes=sizes):
                return tuple(Channels(axis, part) for part in np.split(x.labels, np.cumsum(sizes)[:-1]))
        return None

    def _joined(self, operands: tuple[Value, ...], node: Node) -> tuple[Channels, ...] | None:
        """The common channels of operands with equal extents; one that is broadcast along them has none of its own."""
        rank = node.type.rank
        given = {value: found for value in operands if (found := self.channels.get(value)) is not None}
        wide = [(value.type.rank, found) for value, found in given.items() if len(found.labels) > 1]
        axes = {rank - of_rank + found.axis for of_rank, found in wide}
        if len(axes) != 1:
            return None
        axis = axes.pop()
        for value in operands:
            aligned = axis - (rank - value.type.rank)
            extent = value.type.shape[aligned] if aligned >= 0 else 1
            own = given.get(value)
            if extent > 1 and value.constant is None and (own is None or own.axis != aligned):
                return None
        labels = wide[0][1].labels
        for _, found in wide[1:]:
            self._join(labels, found.labels)
        for value, found in given.items():
            if len(found.labels) == 1:
                self._fix(value)
        return (Channels(axis, labels),) if len(labels) == node.type.shape[axis] else None

    def _concatenated(self, node: ops.Concat) -> tuple[Channels, ...] | None:
        found = [self.channels.get(value) for value in node.values]
        axes = {channels.axis for channels in found if channels is not None}
        if len(axes) != 1 or ((axis := axes.pop()) != node.axis and None in found):
            return None
        if axis != node.axis:
            parts = [channels.labels for channels in found if channels is not None]
            for part in parts[1:]:
                self._join(parts[0], part)
            return (Channels(axis, parts[0]),)
        parts = []
        for value, channels in zip(node.values, found, strict=True):
            parts.append(self._new(value.type.shape[axis]) if channels is None else channels.labels)
            if channels is None:
                self.fixed.update(parts[-1].tolist())
        return (Channels(axis, np.concatenate(parts)),)

    def _fix(self, value: Value) -> None:
        if value in self.channels:
            self.fixed.update(self.channels[value].labels.tolist())

    def _new(self, count: int) -> Labels:
        labels = np.arange(len(self.parents), len(self.parents) + count)
        self.parents.extend(labels.tolist())
        return labels

    def _join(self, one: Labels, other: Labels) -> None:
        for a, b in zip(one.tolist(), other.tolist(), strict=True):
            roots = self._root(a), self._root(b)
            self.parents[max(roots)] = min(roots)

    def _root(self, label: int) -> int:
        while self.parents[label] != label:
            self.parents[label] = self.parents[self.parents[label]]
            label = self.parents[label]
        return label


def _reshaped(x: Channels, before: tuple[int, ...], after: tuple[int, ...]) -> tuple[Channels, ...] | None:
    """Channels on an axis of `after` with the same extents in front, each of them a run of entries there."""
    count = before[x.axis]
    for axis, extent in enumerate(after):
        if math.prod(after[:axis]) == math.prod(before[: x.axis]) and extent % count == 0 and extent:
            return (Channels(axis, np.repeat(x.labels, extent // count)),)
    return None


def summed_axis(node: Product) -> int:
    """The axis of its data over which a product sums."""
    return node.a.type.rank - 1 if isinstance(node, qops.QGemm) else 1


def is_product(node: Node) -> TypeGuard[Product]:
    """A sum of products over all channels of its data, with known weights and bias: one that channels may leave."""
    match node:
        case qops.QConv(group=1, w=w, x=x):
            known = w.constant is not None and x.constant is None
        case qops.QGemm(a=a, b=b):
            known = b.constant is not None and b.type.rank == 2 and a.constant is None
        case _:
            return False
    quants = [value.type.quant for value in node.operands[:2]]
    affine = all(q is None or (q.is_static and q.levels is None and q.block is None) for q in quants)
    plain = quants[0] is None or quants[0].is_per_tensor
    return known and affine and plain and (node.bias is None or node.bias.constant is not None)


def is_depthwise(node: qops.QConv) -> bool:
    """Each output channel is made of one input channel, by known weights."""
    constant = node.w.constant is not None and (node.bias is None or node.bias.constant is not None)
    return constant and 1 < node.group == node.x.type.shape[1]
