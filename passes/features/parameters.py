"""The constants of a float graph while a pass changes them: float64 until the graph is built anew."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.dtype import FLOAT32
from subbyte.compiler.ir import ops
from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.ir.layers import Layer
from subbyte.compiler.ir.node import Constant, Node, Value
from subbyte.compiler.ir.ops_normalization import Normalization
from subbyte.compiler.ir.rewrite import Rewriter
from subbyte.passes.features.flow import Addend, Flow, Reader

Doubles = NDArray[np.float64]


class Parameters:
    """Constant operands by node and field, and rows that are to be added behind a node."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._users = graph.users()
        self._shown = {output.value for output in graph.outputs}
        self._changed: dict[tuple[Node, str], Doubles | None] = {}
        self._behind: dict[Node, Doubles] = {}
        self._operands: dict[Node, dict[Value, Value]] = {}
        self._kinds: dict[Normalization, type[Normalization]] = {}

    def __getitem__(self, key: tuple[Node, str]) -> Doubles | None:
        """The constant that operand `field` of `node` holds now; None where there is none."""
        node, name = key
        if key in self._changed:
            return self._changed[key]
        value: Value | None = getattr(node, name)
        return None if value is None or value.constant is None else value.constant.astype(np.float64)

    def __setitem__(self, key: tuple[Node, str], values: Doubles | None) -> None:
        self._changed[key] = values

    def matrix(self, layer: Layer) -> Doubles:
        """The weights of a layer as they are now, [groups, outputs / groups, K]."""
        weights = self[layer.node, _weight_field(layer)]
        assert weights is not None, "a layer has constant weights"
        return layer.matrix(weights)

    def set_matrix(self, layer: Layer, matrix: Doubles) -> None:
        self[layer.node, _weight_field(layer)] = layer.from_matrix(matrix)

    def bias(self, layer: Layer) -> Doubles | None:
        """The constant that the layer's node itself adds; None where it adds none."""
        field = _bias_field(layer)
        return None if field is None else self[layer.node, field]

    def set_bias(self, layer: Layer, bias: Doubles) -> None:
        """Change the constant that the layer's node adds already."""
        field = _bias_field(layer)
        assert field is not None, "only what has a bias can be given another"
        self[layer.node, field] = bias

    def turn_addend(self, addend: Addend, members: NDArray[np.int64], rotation: Doubles) -> None:
        """The entries of features `members`, in this order, become their product with `rotation`."""
        constant = self[addend.node, addend.name]
        assert constant is not None, "an addend of a flow is a constant"
        features = addend.features
        axis = next((i for i, extent in enumerate(features.shape) if extent > 1), features.ndim - 1)
        places = np.flatnonzero(np.isin(features.reshape(-1), members))
        if not places.size:
            return
        places = places[np.argsort(features.reshape(-1)[places])]
        spread = np.broadcast_to(constant, np.broadcast_shapes(constant.shape, features.shape)).copy()
        front = np.moveaxis(spread, axis, -1)
        front[..., places] = front[..., places] @ rotation
        self[addend.node, addend.name] = _narrow(spread)

    def without_growth(self, flow: Flow, strengths: Doubles) -> Doubles:
        """Divisors of the open features, times the one number with which no weight of a layer that makes them grows
        beyond the largest: readers and their activations do not see it, and the layer's range stays.

        As they are where the source is a normalization, which has no weights to be rounded.
        """
        source = flow.source
        if isinstance(source, Normalization) or not flow.open.any():
            return strengths
        largest = np.abs(self.matrix(source)).max(axis=2).reshape(-1)[flow.open]
        growth = (largest / strengths[flow.open]).max() / largest.max() if largest.any() else 1.0
        return np.where(flow.open, strengths * growth, strengths)

    def scale_features(self, flow: Flow, factors: Doubles) -> None:
        """Feature f becomes f * factors[f] at the source, in what is added on the way; readers divide by it."""
        self.scale_source(flow, factors)
        for reader in flow.readers:
            self.scale_columns(reader, 1 / factors)

    def scale_source(self, flow: Flow, factors: Doubles) -> None:
        """Feature f becomes f * factors[f], [features], where it is made and where constants are added to it."""
        source = flow.source
        if isinstance(source, Normalization):
            row = source.type.shape[source.axis :]
            scale, bias = self[source, "scale"], self[source, "bias"]
            self[source, "scale"] = (np.ones(row) if scale is None else scale) * factors.reshape(row)
            if bias is not None:
                self[source, "bias"] = bias * factors.reshape(row)
        else:
            matrix = self.matrix(source)
            self.set_matrix(source, matrix * factors.reshape(*matrix.shape[:2], 1))
            bias = self.bias(source)
            if bias is not None:
                self.set_bias(source, bias * factors)
        for addend in flow.addends:
            constant = self[addend.node, addend.name]
            assert constant is not None, "an addend of a flow is a constant"
            spread = np.where(addend.features >= 0, factors[addend.features], 1.0)
            self[addend.node, addend.name] = _narrow(constant * spread)

    def scale_columns(self, reader: Reader, factors: Doubles) -> None:
        """Every weight of feature f is multiplied by factors[f]."""
        columns = reader.columns()
        spread = np.where(columns >= 0, factors[columns], 1.0)
        self.set_matrix(reader.layer, self.matrix(reader.layer) * spread[:, np.newaxis, :])

    def add_through_readers(self, flow: Flow, row: Doubles) -> None:
        """What `row`, [features], added to the features does to the readers' outputs is added to their biases instead,
        with their weights as they are now."""
        for reader in flow.readers:
            columns = reader.columns()
            spread = np.where(columns >= 0, row[columns], 0.0)
            sums = np.einsum("gok,gk->go", self.matrix(reader.layer), spread).reshape(-1)
            node = reader.layer.node
            self.add_to_outputs(reader.layer, sums * node.alpha if isinstance(node, ops.Gemm) else sums)

    def add_to_outputs(self, layer: Layer, row: Doubles) -> None:
        """Add `row`, [outputs], to what a layer computes: in its bias, in the Add behind it, or in a new one."""
        node, field = layer.node, _bias_field(layer)
        given = None if field is None else getattr(node, field)
        plain = not isinstance(node, ops.Gemm) or given is None or node.beta == 1
        if field is not None and plain and (given is None or given.constant is not None):
            held = self[node, field]
            self[node, field] = row if held is None else held + row
            return
        users = self._users.get(node.out, [])
        if not isinstance(node, (ops.Conv, ops.ConvTranspose)) and len(users) == 1 and node.out not in self._shown:
            (user,) = users
            if isinstance(user, ops.Add) and user.a != user.b and user.type.shape == node.type.shape:
                name = "b" if user.a == node.out else "a"
                constant = self[user, name]
                if constant is not None:
                    self[user, name] = constant + row
                    return
        self.add_behind(node, row)

    def add_behind(self, node: Node, row: Doubles) -> None:
        """Add `row`, along the last axis, to what `node` computes, by a new Add."""
        self._behind[node] = self._behind.get(node, np.zeros(row.size)) + row

    def replace_operand(self, node: Node, old: Value, values: Doubles) -> None:
        """Let `node` read `values` where it reads the constant `old`, in whichever fields."""
        self._operands.setdefault(node, {})[old] = _float(values, old.node.sources)

    def change_kind(self, node: Normalization, kind: type[Normalization]) -> None:
        """Make a normalization one of another kind, with the same operands."""
        self._kinds[node] = kind

    def finish(self) -> Graph:
        """The graph with the constants as they are now, rounded once to float32; the old one where none changed."""
        by_node: dict[Node, dict[str, Any]] = {}
        for (node, name), values in self._changed.items():
            by_node.setdefault(node, {})[name] = values
        rewriter = Rewriter(self.graph)
        for node in self.graph.nodes():
            current: Node = rewriter.rebuilt(node)
            operands = self._operands.get(node)
            if operands:
                current = current.map_operands(lambda value, new=operands: new.get(value, value))  # type: ignore[misc]
            changes = by_node.get(node)
            if changes:
                current = current.replace(**{name: _operand(node, name, v) for name, v in changes.items()})
            if isinstance(current, Normalization) and isinstance(node, Normalization) and node in self._kinds:
                current = _as_kind(current, self._kinds[node])
            if node in self._behind:
                row = self._behind[node]
                current = ops.Add(current.replace(tensor="").out, _float(row), sources=node.sources, tensor=node.tensor)
            rewriter.replace(node, current)
        return rewriter.finish()


def _as_kind(node: Normalization, kind: type[Normalization]) -> Normalization:
    fields = (node.x, node.scale, node.bias, node.axis, node.epsilon, node.divides)
    return kind(*fields, sources=node.sources, tensor=node.tensor)


def _weight_field(layer: Layer) -> str:
    return "b" if isinstance(layer.node, (ops.Gemm, ops.MatMul)) else "w"


def _bias_field(layer: Layer) -> str | None:
    match layer.node:
        case ops.Gemm():
            return "c"
        case ops.MatMul():
            return None
    return "b"


def _narrow(constant: Doubles) -> Doubles:
    """Without leading axes of extent 1."""
    while constant.ndim > 1 and constant.shape[0] == 1:
        constant = constant[0]
    return constant


def _operand(node: Node, name: str, values: Any) -> Any:
    if values is None:
        return None
    old: Value | None = getattr(node, name)
    return _float(values, old.node.sources if old is not None else ())


def _float(values: Doubles, sources: tuple[str, ...] = ()) -> Value:
    return Constant.of(np.ascontiguousarray(values, np.float32), FLOAT32, sources=sources).out
