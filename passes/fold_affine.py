"""Fold what scales and shifts channels into the layers around it: BatchNormalization in every order."""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.dtype import FLOAT32
from subbyte.compiler.ir import ops
from subbyte.compiler.ir.graph import Graph, Stage
from subbyte.compiler.ir.layers import WeightedNode, is_layer
from subbyte.compiler.ir.node import Node, Value
from subbyte.compiler.ir.rewrite import Rewriter, union_sources
from subbyte.compiler.pass_manager import Within, graph_pass
from subbyte.passes.linear.affine import Affine, affine_of
from subbyte.passes.linear.maps import with_affine_operand, with_affine_results

Doubles = NDArray[np.float64]


@graph_pass(
    requires=Stage.IMPORTED,
    ensures=Stage.IMPORTED,
    exactness=Within(steps=1, reason="weights and biases are rounded once after gain and shift are in them"),
)
def fold_affine(graph: Graph) -> Graph:
    """gain (W x + b) + shift -> (gain W) x + (gain b + shift); W (gain x + shift) + b -> (W gain) x + (W shift + b).

    gain and shift are those of a BatchNormalization, or of a constant for each channel that is added, subtracted,
    multiplied, or divided by. First they move up to the layers that made the channels: across Concat (each part takes
    its own), additions (one side takes the shift), average pools, and with gains above zero across MaxPool and, without
    a shift, Relu. Where there is no layer, they move into all that read the result, if these are layers; a convolution
    with pads takes no shift, as its borders are not shifted. Only where nobody else reads what lies between and no
    other layer shares the weights. What is then left stays: BatchNormalization, Relu, Conv of residual networks whose
    activations come first.
    """
    while True:
        folded = _Sweep(graph).run()
        if folded is graph:
            return graph
        graph = folded


class _Sweep:
    """One pass over a graph: folds that do not meet each other."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.users = graph.users()
        self.shown = {output.value for output in graph.outputs}
        self.readers = Counter(value for node in graph.nodes() for value in node.operands)
        self.rewriter = Rewriter(graph)
        self.taken: set[Node] = set()  # what this sweep has changed, or will
        self.into_readers: dict[Value, Affine] = {}

    def run(self) -> Graph:
        for node in self.graph.nodes():
            self.rewriter.replace(node, self._folded(node) or self.rewriter.rebuilt(node))
        return self.rewriter.finish()

    def _folded(self, node: Node) -> Node | None:
        if self._is_free_layer(node):
            for operand in node.operands:
                if operand in self.into_readers:
                    return self._over_plain_operand(node, operand)
        affine = affine_of(node)
        if affine is None or node in self.taken:
            return None
        moved: set[Node] = set()
        above = self._above(affine.x, affine.gain, affine.shift, node, moved)
        if above is not None:
            self.taken |= moved | {node}
            return above.node.replace(tensor=node.tensor)
        if self._readers_take(node, affine):
            self.into_readers[node.out] = affine
            self.taken |= {node, *self.users[node.out]}
        return None

    def _above(self, x: Value, gain: Doubles, shift: Doubles, node: Node, moved: set[Node]) -> Value | None:
        """gain * x + shift as a value in which the layers that make x have taken both in; None where they cannot.

        node: the affine map, whose sources they take over. moved: gets what was rebuilt.
        """
        made = x.node
        if len(self.users.get(x, ())) != 1 or x in self.shown or made in self.taken or len(made.types) != 1:
            return None
        moved.add(made)
        if isinstance(made, WeightedNode):
            return self._into_layer(made, gain, shift, node)
        if (inner := affine_of(made)) is not None:
            return self._above(inner.x, gain * inner.gain, gain * inner.shift + shift, node, moved)

        def over(*values: Value | None) -> Value | None:
            known = [value for value in values if value is not None]
            if len(known) < len(values):
                return None
            new = dict(zip(made.operands, known, strict=True))
            return made.map_operands(new.__getitem__).replace(tensor="").out

        match made:
            case ops.Concat(values=values, axis=axis):
                if len(set(values)) < len(values):
                    return None
                parts = [(value, gain, shift) for value in values]
                if axis == 1:
                    cuts = np.cumsum([value.type.shape[1] for value in values])[:-1]
                    parts = list(zip(values, np.split(gain, cuts), np.split(shift, cuts), strict=True))
                return over(*(self._above(value, g, s, node, moved) for value, g, s in parts))
            case ops.Add(a=a, b=b) | ops.Sub(a=a, b=b) if a != b and a.type.shape == b.type.shape:
                nothing = np.zeros_like(shift)
                return over(self._above(a, gain, shift, node, moved), self._above(b, gain, nothing, node, moved))
            case ops.AveragePool(x=x) if not shift.any() or not (any(made.pads) and made.count_include_pad):
                return over(self._above(x, gain, shift, node, moved))
            case ops.ReduceMean(x=x, axes=axes) if min(axes, default=2) > 1:
                return over(self._above(x, gain, shift, node, moved))
            case ops.MaxPool(x=x) if (gain > 0).all():
                return over(self._above(x, gain, shift, node, moved))
            case ops.Unary(x=x, function="Relu" | "LeakyRelu") if (gain > 0).all() and not shift.any():
                return over(self._above(x, gain, shift, node, moved))
        return None

    def _into_layer(self, made: Node, gain: Doubles, shift: Doubles, node: Node) -> Value | None:
        if not self._is_free_layer(made) or made.type.dtype != FLOAT32:
            return None
        current = self.rewriter.rebuilt(made)
        if not isinstance(current, WeightedNode) or (isinstance(current, ops.MatMul) and current.type.rank != 2):
            return None
        new = with_affine_results(current, gain, shift)
        return None if new is None else new.replace(sources=union_sources(made, node), tensor="").out

    def _readers_take(self, node: Node, affine: Affine) -> bool:
        """Whether all that read the result are layers that can take gain and shift in."""
        readers = self.users.get(node.out, [])
        if not readers or node.out in self.shown:
            return False
        return all(
            self._is_free_layer(reader)
            and reader not in self.taken
            and reader.operands[0] == node.out
            and not (isinstance(reader, ops.Gemm) and reader.transpose_a)
            and not (isinstance(reader, ops.MatMul) and reader.type.rank != 2)
            and with_affine_operand(reader, affine.gain, affine.shift) is not None  # type: ignore[arg-type]
            for reader in readers
        )

    def _over_plain_operand(self, node: Node, operand: Value) -> Node | None:
        affine = self.into_readers[operand]
        new = with_affine_operand(node, affine.gain, affine.shift)  # type: ignore[arg-type]
        assert new is not None  # _readers_take asked
        plain = self.rewriter[affine.x]
        over = new.map_operands(lambda value: plain if value == operand else value)
        return over.replace(sources=union_sources(operand.node, node))

    def _is_free_layer(self, node: Node) -> bool:
        """A layer whose weights nobody shares."""
        if not is_layer(node):
            return False
        return self.readers[node.operands[1]] == 1
