"""Which activations must be quantized so that no arithmetic is left in float, and which of them share a grid."""

from __future__ import annotations

from dataclasses import dataclass, field

import networkx as nx

from subbyte.compiler.dtype import FLOAT32
from subbyte.compiler.ir import ops
from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.ir.node import Node, Value
from subbyte.compiler.ir.ops_logic import Where
from subbyte.passes.precision.chains import ELEMENTWISE, PRODUCTS, Chains, computed, is_move, is_relu
from subbyte.passes.quantization.demands import MOVES, ORDERS, clamp_bounds

_OF_ONE = (ops.Minimum, ops.Maximum, ops.Pow)
"""Elementwise operations that have an integer form only as functions of one tensor."""


def quantization_points(graph: Graph, *, outputs: bool = False) -> tuple[Value, ...]:
    """The activations of a float graph to be quantized, in its order.

    Every operand of a product, and all that such operands are made of: what is added, averaged, multiplied, and its
    result. Never between an operation and what its requantization absorbs (`chains`), nor behind data movement, whose
    codes are those of its operand, nor inside a function of one tensor, which is one table. What lies behind the last
    products stays float, and so do the outputs; `outputs` asks for these too.

    To be used behind fold_batch_norm, recognize_normalization and remove_dead_nodes.
    """
    return _Demands(graph, outputs).points()


def shared_grids(graph: Graph, *, outputs: bool = False) -> tuple[tuple[Value, ...], ...]:
    """Groups of `quantization_points` that must get one grid each, so that Concat and Where only move their codes."""
    return _Demands(graph, outputs).groups()


@dataclass
class _Demands:
    """The values that are to be codes, found from the last product down.

    asked: the points. joins: the operations whose operands lie on one grid. needed: values that are made of codes,
    points or not.
    """

    graph: Graph
    outputs: bool
    asked: set[Value] = field(default_factory=set, init=False)
    joins: set[Node] = field(default_factory=set, init=False)
    needed: set[Value] = field(default_factory=set, init=False)

    def __post_init__(self) -> None:
        self.chains = Chains(self.graph)
        self.ends = set(self.chains.end.values())
        while True:  # a point cuts a function of one tensor in two, so others may be asked for; there are finitely many
            before = len(self.asked)
            self._sweep()
            if len(self.asked) == before:
                return

    def points(self) -> tuple[Value, ...]:
        values = (Value(node, i) for node in self.graph.nodes() for i in range(len(node.types)))
        return tuple(value for value in values if value in self.asked)

    def groups(self) -> tuple[tuple[Value, ...], ...]:
        order = {value: place for place, value in enumerate(self.points())}
        joined = nx.Graph()
        for node in self.graph.nodes():
            if node in self.joins:
                roots = sorted(self._roots(node.out), key=order.__getitem__)
                nx.add_path(joined, roots)
        found = (sorted(group, key=order.__getitem__) for group in nx.connected_components(joined))
        return tuple(sorted((tuple(group) for group in found if len(group) > 1), key=lambda group: order[group[0]]))

    def _sweep(self) -> None:
        bases = self._bases()
        self.needed = set(self.asked)
        self.joins = set()
        if self.outputs:
            for output in self.graph.outputs:
                if output.value.type.dtype == FLOAT32 and output.value.constant is None:
                    self._ask(output.value)
        for node in reversed(self.graph.operations()):
            if isinstance(node, PRODUCTS) and node.type.dtype == FLOAT32:
                self._ask_all(computed(node))
            elif any(Value(node, index) in self.needed for index in range(len(node.types))):
                self._look_below(node, bases)

    def _look_below(self, node: Node, bases: dict[Value, Value]) -> None:
        """Ask for what the codes of `node`, which is no product, are made of."""
        if node in self.chains.absorbed or isinstance(node, (*MOVES, *ORDERS)) or is_relu(node):
            # what is asked of the end of a chain, or behind a move, is asked of its beginning
            self.needed.update(computed(node))
        elif node in self.chains.end and node.out in bases:
            self._ask(bases[node.out])
        elif node in self.chains.end and not (isinstance(node, _OF_ONE) and len(computed(node)) > 1):
            self._ask_all(computed(node))

    def _ask_all(self, values: list[Value]) -> None:
        for value in values:
            self._ask(value)

    def _ask(self, value: Value) -> None:
        roots = self._roots(value, self.joins)
        self.asked.update(roots)
        self.needed.update(roots)

    def _roots(self, value: Value, joins: set[Node] | None = None) -> set[Value]:
        """The values whose grid `value` has: itself, or what it is moved from."""
        found: set[Value] = set()
        waiting, seen = [value], {value}
        while waiting:
            current = waiting.pop()
            operands = self._moved_from(current)
            if not operands:
                found.add(current)
                continue
            if joins is not None and isinstance(current.node, (ops.Concat, Where)):
                joins.add(current.node)
            fresh = [operand for operand in operands if operand not in seen]
            seen.update(fresh)
            waiting += fresh
        return found

    def _moved_from(self, value: Value) -> list[Value]:
        """The operands whose grid `value` keeps; none where it has a grid of its own."""
        node = value.node
        if value in self.ends or value.type.dtype != FLOAT32:
            return []
        return computed(node) if is_move(node) or is_relu(node) else []

    def _bases(self) -> dict[Value, Value]:
        """Values that are functions, element by element, of one other value: of which."""
        bases: dict[Value, Value] = {}
        for node in self.graph.operations():
            if node in self.chains.end and isinstance(node, (*ELEMENTWISE, ops.BatchNormalization)):
                operands = computed(node)
                found = {self._base(operand, bases) for operand in operands}
                constants = [v for v in node.operands if v not in operands]
                scalar = not isinstance(node, ops.Binary) or all(v.type.elements == 1 for v in constants)
                if len(found) == 1 and scalar and all(v.type.shape == node.type.shape for v in operands):
                    bases[node.out] = found.pop()
            elif node in self.chains.absorbed and clamp_bounds(node) is not None:
                (operand,) = computed(node)
                if operand in bases:
                    bases[node.out] = bases[operand]
        return bases

    def _base(self, operand: Value, bases: dict[Value, Value]) -> Value:
        return operand if operand in self.asked else bases.get(operand, operand)
