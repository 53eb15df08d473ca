"""Where a model is cut to be traced: at the codes that it computes, each known by a tensor of the ONNX model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.errors import ModelError
from subbyte.compiler.ir import ops, qops
from subbyte.compiler.ir.graph import Graph, Output
from subbyte.compiler.ir.node import Input, Node, Value
from subbyte.compiler.ir.qops_dynamic import DynamicQuantize, DynamicRange
from subbyte.compiler.ir.types import TensorType
from subbyte.compiler.numerics.affine import spread

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Point:
    """A value of the imported graph that an engine has too: codes, or the run-time scale of some.

    made_by: the operation that rounds: QuantizeLinear, DynamicQuantize, DynamicRange. value: its result, clamped where
    the model clamps it. tensor: the name of the ONNX tensor that holds it, as codes, or (dequantized) as their reals.
    """

    made_by: Node
    value: Value
    tensor: str
    is_dequantized: bool = False

    def of(self, tensors: Mapping[str, Array]) -> Array:
        """The value as the engine has it, in the container of its dtype.

        Raises: ModelError: the engine's reals are no codes on the grid of the tensor.
        """
        held = tensors[self.tensor]
        dtype, quant = self.value.type.dtype, self.value.type.quant
        if not self.is_dequantized:
            return held.astype(dtype.numpy).reshape(self.value.type.shape)
        assert quant is not None, "codes that are dequantized have a scale"
        scale, zero_point = (spread(one, held.shape, quant.axis, quant.block) for one in quant.static())
        units = np.rint(held.astype(np.float64) / scale)
        if (np.asarray(units.astype(np.float32) * scale, np.float32) != held).any():
            raise ModelError(f"'{self.tensor}' of the engine holds numbers that are no multiple of its scale.")
        return np.asarray(units + zero_point).astype(dtype.numpy).reshape(self.value.type.shape)


def find_points(graph: Graph, scales_of: Mapping[str, tuple[str, str]]) -> list[Point]:
    """The points of an imported graph, in topological order; codes of constants are none.

    scales_of: (name of the scale, name of the zero point) by the name of dynamically quantized codes: only the ONNX
        model names them.
    """
    users = graph.users()
    found: list[Point] = []
    for node in graph.operations():
        if isinstance(node, DynamicRange):
            codes = next((user for user in users.get(Value(node, 0), []) if isinstance(user, DynamicQuantize)), None)
            names = scales_of.get(codes.tensor) if codes is not None else None
            if names is not None:
                found += [Point(node, Value(node, index), name) for index, name in enumerate(names) if name]
        elif isinstance(node, (ops.QuantizeLinear, DynamicQuantize)) and node.x.constant is None:
            point = _of_codes(node, users)
            if point is not None:
                found.append(point)
    return found


def _of_codes(node: Node, users: Mapping[Value, list[Node]]) -> Point | None:
    """The point behind a rounding: its clamped codes by their own name, or by that of their reals; None without any.

    Codes of less than 8 bits are known by their reals alone: engines give them to NumPy in no type.
    """
    value = node.out
    while len(users.get(value, [])) == 1 and isinstance(users[value][0], qops.Clamp):
        value = users[value][0].out
    if value.node.tensor and value.type.dtype.bits >= 8:
        return Point(node, value, value.node.tensor)
    for user in users.get(value, []):
        if isinstance(user, ops.DequantizeLinear) and user.tensor and user.x == value:
            return Point(node, value, user.tensor, is_dequantized=True)
    return None


@dataclass(frozen=True, eq=False)
class Cut:
    """A graph that reads each point as an input and shows it as an output: every region between points by itself.

    names: of the input and the output of each point.
    """

    graph: Graph
    names: tuple[str, ...]

    def joined(self, graph: Graph, outputs: int) -> Graph:
        """`graph`, made from the cut one, with each point's input replaced by its output again.

        outputs: how many of the model's own outputs lead the list.
        """
        shown = {output.name: output.value for output in graph.outputs}
        place = {name: shown[name] for name in self.names}
        new: dict[Value, Value] = {}

        def at(value: Value) -> Value:
            node = value.node
            return new.get(value, value) if not (isinstance(node, Input) and node.name in place) else joint(node.name)

        def joint(name: str) -> Value:
            return new.get(place[name], place[name])

        for node in _in_order_of_points(graph, place):
            rebuilt = node.map_operands(at)
            new.update((Value(node, i), Value(rebuilt, i)) for i in range(len(node.types)))
        inputs = tuple(node for node in graph.inputs if node.name not in place)
        own = tuple(Output(o.name, at(o.value)) for o in graph.outputs[:outputs])
        return Graph(graph.name, inputs, own, graph.stage)


def _in_order_of_points(graph: Graph, place: Mapping[str, Value]) -> list[Node]:
    """The nodes of a cut graph such that what shows a point comes before what reads it."""
    done: dict[Node, None] = {}
    stack: list[tuple[Node, bool]] = [(output.value.node, False) for output in reversed(graph.outputs)]
    while stack:
        node, visited = stack.pop()
        if visited:
            done[node] = None
        elif node not in done:
            stack.append((node, True))
            before = [place[node.name].node] if isinstance(node, Input) and node.name in place else []
            stack += [(other, False) for other in (*before, *(o.node for o in node.operands)) if other not in done]
    return list(done)


def cut_at(graph: Graph, points: list[Point]) -> Cut:
    """The imported `graph` cut at `points`."""
    names = tuple(f"point {index}: {point.tensor}" for index, point in enumerate(points))
    at = {point.value: index for index, point in enumerate(points)}
    new: dict[Value, Value] = {}
    computed: dict[int, Value] = {}
    inputs: list[Input] = []
    for node in graph.nodes():
        rebuilt = node.map_operands(lambda operand: new.get(operand, operand))
        for index in range(len(node.types)):
            old, value = Value(node, index), Value(rebuilt, index)
            if old in at:
                computed[at[old]] = value
                given = Input(names[at[old]], TensorType(value.type.dtype, value.type.shape, value.type.quant))
                inputs.append(given)
                value = given.out
            new[old] = value
    own = [Output(output.name, new[output.value]) for output in graph.outputs]
    shown = [Output(names[index], computed[index]) for index in range(len(points))]
    return Cut(Graph(graph.name, (*graph.inputs, *inputs), (*own, *shown), graph.stage), names)
