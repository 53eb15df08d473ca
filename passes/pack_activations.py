"""Let codes of 1, 2 and 4 bits share bytes between layers, where that is faster, or wherever it can be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from math import inf

from subbyte.compiler.ir.graph import Graph, Stage
from subbyte.compiler.ir.node import Constant, Input, Node, Value
from subbyte.compiler.ir.qops import QConv, QConvTranspose, QGemm
from subbyte.compiler.ir.rewrite import Rewriter
from subbyte.compiler.ir.types import Layout, TensorType
from subbyte.compiler.pass_manager import graph_pass
from subbyte.compiler.target import Packs, Target
from subbyte.passes.layout.orders import is_view

_WIDTHS = (1, 2, 4)
_ROUNDS = 3  # over all groups: what a sum reads and what it writes may be in two of them


@graph_pass(requires=Stage.QUANTIZED, ensures=Stage.QUANTIZED)
def pack_activations(graph: Graph, target: Target) -> Graph:
    """op(x) of 4 bits, a byte for each code -> op(x) of 4 bits, two codes a byte; and so for 2 bits and 1.

    The target's facts say what for: where all kernels that write and read the codes take less time together, moving
    the bytes included, or wherever there are such kernels, for the fewest bytes. Tensors that an operation other than a
    sum of products has in common are a group: all of it is packed, and then one tensor after the other taken out or put
    in while the costs fall. Inputs and outputs stay as they are. Exact: the codes are the same.
    """
    if target.facts.packs_activations is Packs.NEVER:
        return graph
    layouts = _Choice(graph, target).run()
    rewriter = Rewriter(graph)
    for node in graph.nodes():
        current = rewriter.rebuilt(node)
        rewriter.replace(node, current.replace(layout=layouts[node.out]) if node.out in layouts else current)
    return rewriter.finish()


class _Choice:
    """Which tensors are packed, and how."""

    def __init__(self, graph: Graph, target: Target) -> None:
        shown = {output.value for output in graph.outputs}
        self.target = target
        self.nodes = [node for node in graph.nodes() if not isinstance(node, (Input, Constant))]
        candidates = {node.out: _packed(node) for node in self.nodes if len(node.types) == 1}
        self.layouts = {v: layout for v, layout in candidates.items() if layout is not None and v not in shown}
        self.touching: dict[Value, list[Node]] = {value: [value.node] for value in self.layouts}
        for node in self.nodes:
            for value in dict.fromkeys(node.operands):
                if value in self.layouts:
                    self.touching[value].append(node)
        self.packed: set[Value] = set()
        self.known: dict[tuple[Node, frozenset[Value]], float] = {}

    def run(self) -> dict[Value, Layout]:
        groups = self._groups()
        for _ in range(_ROUNDS):
            before = set(self.packed)
            for group in groups:
                self._decide(group)
            if self.packed == before:
                break
        return {value: self.layouts[value] for value in self.layouts if value in self.packed}

    def _decide(self, group: list[Value]) -> None:
        """The better of the group as it is and all of it packed that can be; then what any one tensor improves."""
        touched = list(dict.fromkeys(node for value in group for node in self.touching[value]))
        together = self.packed | set(group)
        while (stuck := next((node for node in touched if self._cost(node, together) == inf), None)) is not None:
            taken = {value for value in _tensors(stuck) if value in together and value in group}
            if not taken:
                break
            together -= taken
        self._take_if_better(together, touched)
        improved = True
        while improved:
            improved = False
            for value in group:
                improved |= self._take_if_better(self.packed ^ {value}, self.touching[value])

    def _take_if_better(self, packed: set[Value], touched: Iterable[Node]) -> bool:
        nodes = list(touched)
        better = self._total(nodes, packed) < self._total(nodes, self.packed)
        if better:
            self.packed = packed
        return better

    def _total(self, nodes: Iterable[Node], packed: set[Value]) -> float:
        return sum(self._cost(node, packed) for node in nodes)

    def _cost(self, node: Node, packed: set[Value]) -> float:
        """What `node` costs with these tensors packed; infinite where there is no kernel for that."""
        own = frozenset(value for value in _tensors(node) if value in packed)
        if (node, own) not in self.known:
            self.known[node, own] = self._cost_of(node, own)
        return self.known[node, own]

    def _cost_of(self, node: Node, packed: frozenset[Value]) -> float:
        stored = _stored(node, {value: self.layouts[value] for value in packed})
        cost = 0.0 if is_view(stored) else self.target.cost(stored)
        if cost is None and packed:
            return inf
        if self.target.facts.packs_activations is Packs.FOR_SPACE:
            return sum(of_type.bytes for of_type in stored.types)
        moved = sum(value.type.bytes for value in stored.operands if value.constant is None)
        moved += sum(of_type.bytes for of_type in stored.types)
        # where nothing is packed, and nothing can be done, lower_to_kernels says so
        return (cost or 0.0) + moved / self.target.facts.bytes_per_second

    def _groups(self) -> list[list[Value]]:
        """The candidates in order, those together that an operation other than a sum reads or writes."""
        leader = {value: value for value in self.layouts}

        def first(value: Value) -> Value:
            while leader[value] != value:
                value = leader[value]
            return value

        for node in self.nodes:
            if not isinstance(node, (QConv, QConvTranspose, QGemm)):
                together = [first(value) for value in _tensors(node) if value in leader]
                for other in together[1:]:
                    leader[first(other)] = first(together[0])
        groups: dict[Value, list[Value]] = {}
        for value in self.layouts:
            groups.setdefault(first(value), []).append(value)
        return list(groups.values())


def _tensors(node: Node) -> tuple[Value, ...]:
    return (*dict.fromkeys(node.operands), node.out)


def _packed(node: Node) -> Layout | None:
    """How the only result of `node` is stored in the bits that its codes need; None where that saves nothing."""
    of_type: TensorType = node.types[0]
    if of_type.dtype.kind not in ("int", "uint") or of_type.dtype.bits > max(_WIDTHS) or not of_type.rank:
        return None
    bits = next(width for width in _WIDTHS if of_type.dtype.bits <= width)
    layout = of_type.layout or Layout(of_type.order)
    return None if layout.bits is not None or layout.lanes != 1 else replace(layout, bits=bits)


def _stored(node: Node, layouts: Mapping[Value, Layout]) -> Node:
    """`node` over operands that are stored so, its result too."""
    inputs = {value: Input("packed", value.type.with_layout(layout)).out for value, layout in layouts.items()}
    over = node.map_operands(lambda value: inputs.get(value, value))
    return over.replace(layout=layouts[node.out]) if node.out in layouts else over
