"""Streams: the values of one feature space that layers write to and read from, as the residual stream of a transformer.

A rotation of the space is invisible where all that writes to the stream writes rotated features, all that reads it
takes the rotation back, and all between commutes with it: sums, data movement along other axes, and normalizations
without scale and bias. A mean that LayerNorm takes off is taken off the writers first.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from subbyte.compiler.ir import ops
from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.ir.layers import Layer
from subbyte.compiler.ir.node import Input, Node, Value
from subbyte.compiler.ir.ops_normalization import LayerNormalization, Normalization
from subbyte.passes.features.flow import input_axis, output_axis


@dataclass
class Stream:
    """One feature space of `width` features.

    axes: the feature axis of each value in it. writers: layers whose outputs are in it. constants: those that nodes put
    into it, with their feature axis. readers: layers that read it. normalizations: within it.
    why_not: what does not commute with a rotation; "" where one is possible.
    """

    width: int
    axes: dict[Value, int] = field(default_factory=dict)
    writers: list[Layer] = field(default_factory=list)
    constants: dict[tuple[Node, Value], int] = field(default_factory=dict)
    readers: list[Layer] = field(default_factory=list)
    normalizations: list[Normalization] = field(default_factory=list)
    why_not: str = ""


def streams(graph: Graph, every: Mapping[Node, Layer], bare: Collection[Normalization]) -> Iterator[Stream]:
    """The stream of each normalization over one axis, each once, in the graph's order.

    bare: normalizations that have no scale and bias, or whose readers can take them.
    """
    seen: set[Node] = set()
    for node in graph.nodes():
        if isinstance(node, Normalization) and node not in seen and node.axis == node.type.rank - 1:
            stream = _Spread(graph, every, bare, node).stream
            seen.update(stream.normalizations)
            yield stream


class _Spread:
    """Finds all values of the stream around one normalization, through their makers and their users."""

    def __init__(
        self, graph: Graph, every: Mapping[Node, Layer], bare: Collection[Normalization], first: Normalization
    ) -> None:
        self.every, self.bare = every, bare
        self.users = graph.users()
        self.shown = {output.value: output.name for output in graph.outputs}
        self.stream = Stream(first.type.shape[first.axis])
        self.pending: list[Value] = []
        self._join(first.x, first.axis)
        while self.pending and not self.stream.why_not:
            value = self.pending.pop()
            self._made(value)
            for user in dict.fromkeys(self.users.get(value, [])):
                self._used(value, user)
        order = {node: index for index, node in enumerate(graph.nodes())}
        for found in (self.stream.writers, self.stream.readers):
            found.sort(key=lambda layer: order[layer.node])
        self.stream.normalizations.sort(key=order.__getitem__)
        if not self.stream.why_not:
            self.stream.why_not = self._raw_readers()

    def _join(self, value: Value, axis: int) -> None:
        found = self.stream.axes.get(value)
        if found is None and value.type.shape[axis] == self.stream.width:
            self.stream.axes[value] = axis
            self.pending.append(value)
        elif found != axis:
            self._refuse(value.node, "has the features on another axis, or others beside them")

    def _refuse(self, node: Node, why: str) -> None:
        self.stream.why_not = self.stream.why_not or f"{node.label} {why}"

    # Makers -----------------------------------------------------------------------------------------------------------

    def _made(self, value: Value) -> None:
        axis, node = self.stream.axes[value], value.node
        if value in self.shown:
            self._refuse(node, f"makes the output '{self.shown[value]}'")
        layer = self.every.get(node)
        if isinstance(node, Input):
            self._refuse(node, f"'{node.name}' is given from outside")
        elif layer is not None and output_axis(layer) == axis and layer.groups == 1 and _plain_bias(layer):
            self.stream.writers.append(layer)
        elif layer is not None:
            self._refuse(node, "mixes features with others, in groups, or has a bias that is no constant row")
        else:
            self._through(node, axis)

    def _through(self, node: Node, axis: int) -> None:
        """The operands of a node within the stream, from its result."""
        match node:
            case ops.Add() | ops.Sub():
                for value in node.operands:
                    self._operand(node, value, axis)
            case ops.Concat(values=values, axis=along) if along != axis:
                for value in values:
                    self._operand(node, value, axis)
            case Normalization():
                self._normalization(node, axis)
            case _:
                moved = _source_axis(node, axis)
                if moved is None:
                    self._refuse(node, "is neither a sum nor movement of whole features")
                elif node.operands[0].constant is not None:
                    self.stream.constants[node, node.operands[0]] = moved
                else:
                    self._join(node.operands[0], moved)

    def _operand(self, node: Node, value: Value, axis: int) -> None:
        """An operand beside others; a constant is broadcast along the features where it has none of its own."""
        own = axis - node.type.rank + value.type.rank
        if value.constant is not None:
            if own < 0 or value.type.shape[own] not in (1, self.stream.width):
                self._refuse(node, "adds a constant of other features")
            else:
                self.stream.constants[node, value] = own
        elif own < 0:
            self._refuse(node, "adds a value without the features")
        else:
            self._join(value, own)

    def _normalization(self, node: Normalization, axis: int) -> None:
        if node in self.stream.normalizations:
            return
        if node.axis != axis or node.axis != node.type.rank - 1:
            self._refuse(node, "normalizes over other axes than the features")
        elif node not in self.bare:
            self._refuse(node, "has a scale or bias that not all of its readers can take")
        else:
            self.stream.normalizations.append(node)
            self._join(node.x, axis)
            self._join(node.out, axis)

    # Users ------------------------------------------------------------------------------------------------------------

    def _used(self, value: Value, user: Node) -> None:
        axis = self.stream.axes[value]
        layer = self.every.get(user)
        if layer is not None:
            if layer.x != value or input_axis(layer) != axis or layer.groups != 1:
                self._refuse(user, "reads the stream otherwise than as the rows of a layer")
            elif layer not in self.stream.readers:
                self.stream.readers.append(layer)
            return
        match user:
            case ops.Add() | ops.Sub():
                self._join(user.out, axis + user.type.rank - value.type.rank)
            case ops.Concat(axis=along) if along != axis:
                self._join(user.out, axis)
            case Normalization():
                self._normalization(user, axis)
            case _:
                moved = _result_axis(user, axis)
                if moved is None or user.operands[0] != value:
                    self._refuse(user, "is neither a sum nor movement of whole features")
                else:
                    for index in range(len(user.types)):
                        self._join(Value(user, index), moved)

    # Means ------------------------------------------------------------------------------------------------------------

    def _raw_readers(self) -> str:
        """With a LayerNormalization, the mean of a row is lost: why nobody but LayerNormalizations may see it."""
        if not any(isinstance(node, LayerNormalization) for node in self.stream.normalizations):
            return ""
        for node in self.stream.normalizations:
            if not isinstance(node, LayerNormalization):
                return f"{node.label} sees the mean of a row, which others take off"
        behind = set(self._behind())
        for layer in self.stream.readers:
            if layer.x not in behind:
                return f"{layer.node.label} sees the mean of a row, which LayerNormalizations take off"
        return ""

    def _behind(self) -> Iterator[Value]:
        """The values that are normalized ones, moved."""
        pending = [node.out for node in self.stream.normalizations]
        while pending:
            value = pending.pop()
            yield value
            for user in self.users.get(value, []):
                if user not in self.every and not isinstance(user, (ops.Add, ops.Sub, ops.Concat, Normalization)):
                    pending.extend(Value(user, index) for index in range(len(user.types)))


def _plain_bias(layer: Layer) -> bool:
    bias = layer.bias
    return bias is None or (bias.constant is not None and bias.type.elements == bias.type.shape[-1])


def _source_axis(node: Node, axis: int) -> int | None:
    """The axis of operand 0 that a movement of whole features puts on `axis` of its result; None: it does not."""
    rank = node.operands[0].type.rank if node.operands else 0
    return next((own for own in range(rank) if _result_axis(node, own) == axis), None)


def _result_axis(node: Node, axis: int) -> int | None:
    """Where `axis` of operand 0 lies in the result; None where the movement touches it, or is none."""
    match node:
        case ops.Reshape(x=x, shape=shape):
            before, extent = math.prod(x.type.shape[:axis]), x.type.shape[axis]
            places = [i for i, n in enumerate(shape) if n == extent and math.prod(shape[:i]) == before]
            return places[0] if places else None
        case ops.Transpose(perm=perm):
            return perm.index(axis)
        case ops.Slice() if list(node.spans()[axis]) == list(range(node.x.type.shape[axis])):
            return axis
        case ops.Split(axis=along) if along != axis:
            return axis
        case ops.ReduceMean(axes=axes, keepdims=keepdims) if axis not in axes:
            return axis if keepdims else axis - sum(other < axis for other in axes)
        case ops.Gather(axis=along, indices=indices) if along != axis:
            return axis if axis < along else axis - 1 + indices.type.rank
    return None
