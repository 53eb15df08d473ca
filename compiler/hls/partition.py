"""A model in three parts: what the processor does before, the integer core that becomes hardware, what follows it.

Inside the design there are integers only. Where a model takes or gives floats, or ends in a softmax, those nodes stay
on the processor, in front of the core and behind it; `portable` compiles them, so the whole stays exact. What would
have to leave the core and come back is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.errors import UnsupportedError
from subbyte.compiler.ir.graph import Graph, Output, Stage
from subbyte.compiler.ir.interpret import evaluate
from subbyte.compiler.ir.macs import multiply_accumulates
from subbyte.compiler.ir.node import Constant, Input, Node, Value
from subbyte.compiler.ir.rewrite import Rewriter

Arrays = Mapping[str, NDArray[Any]]
Reason = Callable[[Node], "str | None"]
_SHOWN = 4
"""Nodes that an error lists; further ones are counted."""


@dataclass(frozen=True, eq=False)
class Partition:
    """The parts of `whole`; before and behind are None where there is nothing to do.

    Values that cross a border have one name on both sides: an output of one part and an input of another.
    names: what values of `whole` are called in the parts. macs: multiply-accumulates of the three parts.
    reasons: why nodes stay on the processor, by their labels.
    """

    whole: Graph
    before: Graph | None
    core: Graph
    behind: Graph | None
    names: Mapping[Value, str]
    macs: tuple[int, int, int]
    reasons: tuple[tuple[str, str], ...]

    def core_inputs(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        """What reaches the core for inputs of the model."""
        known = self._after_before(inputs)
        return {node.name: known[node.name] for node in self.core.inputs}

    def outputs(self, inputs: Arrays, of_core: Arrays) -> dict[str, NDArray[Any]]:
        """The model's outputs, of its inputs and what the core made of them."""
        known = {**self._after_before(inputs), **of_core}
        if self.behind is not None:
            known |= evaluate(self.behind, {node.name: known[node.name] for node in self.behind.inputs})
        return {output.name: self._found(output.value, known) for output in self.whole.outputs}

    def sources(self) -> dict[str, str]:
        """For each output of the model what it is called where it is made: an input, or a value of one of the parts."""
        made = [output for output in self.whole.outputs if not isinstance(output.value.node, Constant)]
        return {output.name: self._name(output.value) for output in made}

    def _found(self, value: Value, known: Arrays) -> NDArray[Any]:
        return value.node.value if isinstance(value.node, Constant) else known[self._name(value)]

    def _name(self, value: Value) -> str:
        return value.node.name if isinstance(value.node, Input) else self.names[value]

    def _after_before(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        known = {name: np.asarray(array) for name, array in inputs.items()}
        if self.before is not None:
            known |= evaluate(self.before, {node.name: known[node.name] for node in self.before.inputs})
        return known


def partition(graph: Graph, reason_against: Reason) -> Partition:
    """The parts of a quantized graph whose nodes are built unless `reason_against` gives a reason.

    A node that cannot be built stands before the core where nothing with products stands before it, else behind; what
    it depends on, or what depends on it, goes with it.
    Raises UnsupportedError: products depend on a node behind the core, each such node with its reason; nothing is left
    to build.
    """
    reasons = {node: reason for node in graph.operations() if (reason := reason_against(node)) is not None}
    users = graph.users()
    early, late = _sides(graph, reasons)
    before = _closure(early, _makers)
    behind = _closure(late, lambda node: [user for value in _results(node) for user in users.get(value, [])])
    built = [node for node in graph.operations() if node not in reasons]
    stuck = [node for node in built if node in behind and multiply_accumulates(node)]
    if stuck:
        in_the_way = [node for node in late if node in _closure([stuck[0]], _makers)]
        causes = "; ".join(f"{node.label}: {reasons[node]}" for node in in_the_way[:_SHOWN])
        more = f"; and {len(in_the_way) - _SHOWN} more" if len(in_the_way) > _SHOWN else ""
        raise UnsupportedError(
            f"target 'hls' builds integer operations in one piece, and {stuck[0].label} needs what is not built: "
            f"{causes}{more}. Quantize these nodes or replace them, or try --target portable."
        )
    core = [node for node in graph.operations() if node not in before and node not in behind]
    if not any(multiply_accumulates(node) for node in core):
        causes = "; ".join(f"{node.label}: {reason}" for node, reason in reasons.items())
        integer = any(multiply_accumulates(node) and node.operands[0].type.dtype.is_integer for node in reasons)
        way_on = "Try --target portable" if integer else "`subbyte quantize` makes integers of a float model"
        raise UnsupportedError(
            f"graph '{graph.name}' has no integer convolution or matrix product for target 'hls' to build: "
            f"{causes or 'it has no products at all'}. {way_on}."
        )
    kept = {node for node in before if not isinstance(node, (Input, Constant))}
    shares = tuple(sum(multiply_accumulates(node) for node in part) for part in (kept, core, behind))
    return _cut(graph, kept, set(core), behind, shares, tuple((node.label, why) for node, why in reasons.items()))


def _sides(graph: Graph, reasons: Mapping[Node, str]) -> tuple[list[Node], list[Node]]:
    """The nodes that are not built: those that no built product stands before, and the others."""
    worked: set[Node] = set()
    early: list[Node] = []
    late: list[Node] = []
    for node in graph.operations():
        after = any(operand.node in worked for operand in node.operands)
        if node in reasons:
            (late if after else early).append(node)
        if after or (node not in reasons and multiply_accumulates(node)):
            worked.add(node)
    return early, late


def _makers(node: Node) -> list[Node]:
    return [operand.node for operand in node.operands]


def _closure(nodes: list[Node], following: Callable[[Node], list[Node]]) -> set[Node]:
    found: set[Node] = set()
    stack = list(nodes)
    while stack:
        node = stack.pop()
        if node not in found:
            found.add(node)
            stack.extend(following(node))
    return found


def _cut(
    graph: Graph,
    before: set[Node],
    core: set[Node],
    behind: set[Node],
    macs: tuple[int, ...],
    reasons: tuple[tuple[str, str], ...],
) -> Partition:
    names = _border_names(graph, [before, core, behind])
    own = {output.value for output in graph.outputs}
    first = _part(graph, before, names, own) if before else None
    middle = _part(graph, core, names, own)
    last = _part(graph, behind, names, own) if behind else None
    if middle is None:
        raise UnsupportedError(f"graph '{graph.name}' has an integer part that nothing reads")
    return Partition(graph, first, middle, last, names, (macs[0], macs[1], macs[2]), reasons)


def _border_names(graph: Graph, parts: list[set[Node]]) -> dict[Value, str]:
    """A name for every value that one part makes and another reads, unlike those of the graph's inputs and outputs."""
    side = {node: index for index, part in enumerate(parts) for node in part}
    taken = {node.name for node in graph.inputs} | {output.name for output in graph.outputs}
    names: dict[Value, str] = {output.value: output.name for output in graph.outputs}
    for node in graph.operations():
        for operand in node.operands:
            maker = operand.node
            if isinstance(maker, (Input, Constant)) or side[maker] == side[node] or operand in names:
                continue
            stem = maker.tensor or (maker.sources[-1] if maker.sources else "border")
            name, number = stem, 2
            while name in taken:
                name, number = f"{stem}_{number}", number + 1
            taken.add(name)
            names[operand] = name
    return names


def _part(graph: Graph, part: set[Node], names: Mapping[Value, str], own: set[Value]) -> Graph | None:
    """The nodes of one part as a graph: values of others are inputs, values that others read are outputs."""
    rewriter = Rewriter(graph)
    inputs: dict[Value, Input] = {}
    read_elsewhere = {
        operand for node in graph.operations() if node not in part for operand in node.operands if operand.node in part
    }
    for node in graph.operations():
        if node not in part:
            continue
        for operand in node.operands:
            maker = operand.node
            if isinstance(maker, Constant) or maker in part or operand in inputs:
                continue
            entry = maker if isinstance(maker, Input) else _entry(names[operand], operand)
            inputs[operand] = entry
            if not isinstance(maker, Input):
                rewriter.replace(
                    maker,
                    tuple(
                        entry.out if index == operand.index else rewriter[Value(maker, index)]
                        for index in range(len(maker.types))
                    ),
                )
        rewriter.replace(node, rewriter.rebuilt(node))
    outputs = [
        Output(names[value], rewriter[value])
        for node in graph.operations()
        if node in part
        for value in _results(node)
        if value in read_elsewhere or value in own
    ]
    if not outputs:
        return None
    return Graph(graph.name, tuple(inputs.values()), tuple(outputs), Stage.QUANTIZED)


def _results(node: Node) -> list[Value]:
    return [Value(node, index) for index in range(len(node.types))]


def _entry(name: str, value: Value) -> Input:
    """The input of a part that stands for a value of another; what the codes mean stays."""
    return Input(name, value.type.with_layout(None), sources=value.node.sources, tensor=value.node.tensor)
